/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MSI-X (see msix.h). Called by the PCI function: registers from the control side, raising from
 * anywhere.
 */
#include "transport/msix.h"

#include <glib.h>

#define CONTROL_WORD 3
#define CONTROL_MASK 1u

void msix_init(struct msix *msix, unsigned n_vectors,
               void (*send)(void *opaque, unsigned vector, uint64_t address, uint32_t data),
               void *opaque)
{
    msix->n_vectors = n_vectors;
    msix->vectors = lines_new0(n_vectors, sizeof(struct msix_vector));
    msix->send = send;
    msix->opaque = opaque;
    msix_reset(msix);
}

void msix_free(struct msix *msix)
{
    g_aligned_free(msix->vectors);
}

void msix_reset(struct msix *msix)
{
    atomic_store(&msix->enabled, false);
    atomic_store(&msix->masked, false);
    for (unsigned i = 0; i < msix->n_vectors; i++) {
        for (unsigned word = 0; word < CONTROL_WORD; word++) {
            atomic_store(&msix->vectors[i].words[word], 0);
        }
        atomic_store(&msix->vectors[i].words[CONTROL_WORD], CONTROL_MASK);
        atomic_store(&msix->vectors[i].pending, false);
    }
}

uint32_t msix_table_size(const struct msix *msix)
{
    return msix->n_vectors * MSIX_ENTRY;
}

uint32_t msix_pba_size(const struct msix *msix)
{
    return (msix->n_vectors + 63) / 64 * 8;
}

/* Sends a pending message if nothing masks it (any more). */
static void deliver(struct msix *msix, unsigned index)
{
    struct msix_vector *vector = &msix->vectors[index];
    uint64_t address;

    if (!atomic_load(&msix->enabled) || atomic_load(&msix->masked) ||
        (atomic_load(&vector->words[CONTROL_WORD]) & CONTROL_MASK) ||
        !atomic_exchange(&vector->pending, false)) {
        return;
    }
    address = atomic_load(&vector->words[0]) | (uint64_t)atomic_load(&vector->words[1]) << 32;
    msix->send(msix->opaque, index, address, atomic_load(&vector->words[2]));
}

void msix_raise(struct msix *msix, unsigned index)
{
    if (index >= msix->n_vectors) {
        return;
    }
    atomic_store(&msix->vectors[index].pending, true);
    deliver(msix, index);
}

void msix_set_control(struct msix *msix, bool enabled, bool masked)
{
    atomic_store(&msix->enabled, enabled);
    atomic_store(&msix->masked, masked);
    for (unsigned i = 0; i < msix->n_vectors; i++) {
        deliver(msix, i);
    }
}

uint32_t msix_table_read(struct msix *msix, uint32_t offset)
{
    return offset < msix_table_size(msix)
               ? atomic_load(&msix->vectors[offset / MSIX_ENTRY].words[offset % MSIX_ENTRY / 4])
               : 0;
}

/* Of each word of an entry: messages go to dwords; what is not the mask is reserved. */
static const uint32_t writable[] = {~3u, ~0u, ~0u, CONTROL_MASK};

bool msix_entry_valid(const uint32_t words[4])
{
    return !(words[0] & ~writable[0]) && !(words[CONTROL_WORD] & ~writable[CONTROL_WORD]);
}

void msix_set_entry(struct msix *msix, unsigned index, const uint32_t words[4], bool pending)
{
    for (unsigned word = 0; word <= CONTROL_WORD; word++) {
        atomic_store(&msix->vectors[index].words[word], words[word]);
    }
    atomic_store(&msix->vectors[index].pending, pending);
}

void msix_table_write(struct msix *msix, uint32_t offset, uint32_t value)
{
    const unsigned index = offset / MSIX_ENTRY;
    const unsigned word = offset % MSIX_ENTRY / 4;

    if (offset >= msix_table_size(msix)) {
        return;
    }
    atomic_store(&msix->vectors[index].words[word], value & writable[word]);
    deliver(msix, index);
}

uint32_t msix_pba_read(struct msix *msix, uint32_t offset)
{
    uint32_t bits = 0;

    for (unsigned i = 0; i < 32; i++) {
        const unsigned index = offset * 8 + i;

        if (index < msix->n_vectors && atomic_load(&msix->vectors[index].pending)) {
            bits |= 1u << i;
        }
    }
    return bits;
}
