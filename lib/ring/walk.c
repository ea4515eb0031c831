/* SPDX-License-Identifier: BSD-3-Clause */
/* Walking a chain; see walk.h (VIRTIO 1.4, 2.7.5 and 2.8.5 to 2.8.8). Called by the formats. */
#include "ring/walk.h"

#include "bytes.h"
#include "ring/bounce.h"
#include "ring/formats.h"

#include <vionet/spec.h>

/* Adds the ranges of an element; false if any octet of it is not memory. */
static bool add_ranges(struct walk *walk, const struct walk_desc *desc, bool write)
{
    struct chain *chain = walk->chain;
    struct ring *ring = walk->ring;
    unsigned *n = write ? &chain->n_in : &chain->n_out;
    const unsigned before = *n;

    return G_LIKELY(memory_translate(ring->map, &ring->hint, desc->addr, desc->len, write,
                                     write ? chain->in : chain->out, n,
                                     write ? chain->keep_in : chain->keep_out)) ||
           bounce_add(ring, chain, before, desc->addr, desc->len, write);
}

int walk_add(struct walk *walk, unsigned index, const struct walk_desc *desc)
{
    const bool write = desc->flags & VIRTQ_DESC_F_WRITE;
    struct chain *chain = walk->chain;
    struct ring *ring = walk->ring;

    if (G_UNLIKELY(++walk->n > ring->chain_limit)) {
        return ring_fault(ring, VIONET_VIOLATION_CHAIN_LENGTH, walk->head, ring->chain_limit);
    }
    if (write) {
        chain->in_len += desc->len;
    } else if (G_UNLIKELY(chain->in_len > 0 || chain->n_in > 0)) {
        return ring_fault(ring, VIONET_VIOLATION_READABLE_AFTER_WRITABLE, index, walk->head);
    } else {
        chain->out_len += desc->len;
    }
    if (G_UNLIKELY(!add_ranges(walk, desc, write))) {
        return ring_fault(ring, VIONET_VIOLATION_ADDRESS, index, desc->addr);
    }
    if (G_UNLIKELY(chain->out_len + chain->in_len > UINT64_C(1) << 32)) {
        return ring_fault(ring, VIONET_VIOLATION_CHAIN_OCTETS, walk->head,
                          chain->out_len + chain->in_len);
    }
    return 0;
}

int walk_enter(struct walk *walk, unsigned index, const struct walk_desc *desc,
               struct walk_table *table)
{
    struct ring *ring = walk->ring;

    if (!ring->setup.indirect) {
        return ring_fault(ring, VIONET_VIOLATION_INDIRECT_NOT_NEGOTIATED, index, desc->flags);
    }
    if (desc->flags & VIRTQ_DESC_F_NEXT) {
        return ring_fault(ring, VIONET_VIOLATION_INDIRECT_WITH_NEXT, index, desc->flags);
    }
    if (desc->len == 0 || desc->len % 16 || desc->len / 16 > ring->chain_limit) {
        return ring_fault(ring, VIONET_VIOLATION_INDIRECT_LENGTH, index, desc->len);
    }
    if (desc->len - 1 > UINT64_MAX - desc->addr) {
        return ring_fault(ring, VIONET_VIOLATION_ADDRESS, index, desc->addr);
    }
    *table = (struct walk_table){desc->addr, desc->len / 16};
    return 0;
}

int walk_entry(struct walk *walk, unsigned index, const struct walk_table *table, uint32_t i,
               uint64_t words[2])
{
    const uint64_t gpa = table->gpa + 16u * (uint64_t)i;
    struct ring *ring = walk->ring;
    const uint8_t *p = memory_pointer(ring->map, &ring->hint, gpa, 16, false);
    uint8_t copy[16];

    if (G_LIKELY(p != NULL && (uintptr_t)p % 8 == 0)) {
        words[0] = guest_load64(p);
        words[1] = guest_load64(p + 8);
        return 0;
    }
    if (!memory_read(ring->map, &ring->hint, gpa, copy, sizeof(copy))) {
        return ring_fault(ring, VIONET_VIOLATION_ADDRESS, index, gpa);
    }
    words[0] = get_le64(copy);
    words[1] = get_le64(copy + 8);
    return 0;
}

int walk_finish(struct walk *walk)
{
    uint64_t gpa;

    if (G_UNLIKELY(walk->chain->n_remote > 0) && !bounce_fetch(walk->ring, walk->chain, &gpa)) {
        return ring_fault(walk->ring, VIONET_VIOLATION_ADDRESS, walk->head, gpa);
    }
    return 0;
}
