/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MSI-X: table, pending bits, masks (PCI Local Bus 3.0, 6.8.2; VIRTIO 1.4, 4.1.5.1.2). Raising a
 * vector is a data function; the rest is the control side's. No lock: whoever unmasks looks at the
 * pending bit after it has unmasked, whoever raises looks at the mask after it has set the bit, so
 * that one of the two sends.
 */
#ifndef VIONET_TRANSPORT_MSIX_H
#define VIONET_TRANSPORT_MSIX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lines.h"

#define MSIX_ENTRY 16u

struct msix_vector {
    _Alignas(LINE_PAIR) _Atomic uint32_t words[4]; /* address low and high, data, control */
    atomic_bool pending;
};

struct msix {
    unsigned n_vectors;
    atomic_bool enabled;
    atomic_bool masked; /* the function mask */
    struct msix_vector *vectors;
    void (*send)(void *opaque, unsigned vector, uint64_t address, uint32_t data);
    void *opaque;
};

void msix_init(struct msix *msix, unsigned n_vectors,
               void (*send)(void *opaque, unsigned vector, uint64_t address, uint32_t data),
               void *opaque);
void msix_free(struct msix *msix);
void msix_reset(struct msix *msix);

/* Octets of table and pending bit array, each. */
uint32_t msix_table_size(const struct msix *msix);
uint32_t msix_pba_size(const struct msix *msix);

/* The message control word's enable and function mask bits changed. */
void msix_set_control(struct msix *msix, bool enabled, bool masked);

/* Aligned 32-bit accesses to the table and to the pending bits. */
uint32_t msix_table_read(struct msix *msix, uint32_t offset);
void msix_table_write(struct msix *msix, uint32_t offset, uint32_t value);
uint32_t msix_pba_read(struct msix *msix, uint32_t offset);

/* Whether a driver can have left an entry so; and an entry as it was in another device. */
bool msix_entry_valid(const uint32_t words[4]);
void msix_set_entry(struct msix *msix, unsigned vector, const uint32_t words[4], bool pending);

/* Sends a vector's message, or remembers to. Vectors that do not exist are ignored. */
void msix_raise(struct msix *msix, unsigned vector);

#endif
