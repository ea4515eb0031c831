/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Walking a chain: what becomes of each descriptor, whatever the format that it is of. A format reads
 * the descriptors of its ring, in its order, and hands their words in; the walk translates and bounds
 * what they say, and adds it to a chain. Internal to lib/ring.
 */
#ifndef VIONET_RING_WALK_H
#define VIONET_RING_WALK_H

#include "ring/ring.h"

struct walk {
    struct ring *ring;
    struct chain *chain;
    unsigned n;    /* elements so far */
    unsigned head; /* the chain's name in faults */
};

/* The words of a descriptor that both formats have, copied: one read of each octet. */
struct walk_desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags;
};

/* A table that a descriptor refers to, checked. */
struct walk_table {
    uint64_t gpa;
    uint32_t n; /* entries, not 0 */
};

/*
 * Adds one element to the chain. All of these functions: 0, or -1 with ring.fault set, in which index
 * names the descriptor.
 */
int walk_add(struct walk *walk, unsigned index, const struct walk_desc *desc);

/* What a descriptor that refers to a table says of it. */
int walk_enter(struct walk *walk, unsigned index, const struct walk_desc *desc,
               struct walk_table *table);

/* The 16 octets of an entry, copied; the table may lie across mappings, or in remote memory. */
int walk_entry(struct walk *walk, unsigned index, const struct walk_table *table, uint32_t i,
               uint64_t words[2]);

/* Fetches what lies in remote memory, when all elements are there. */
int walk_finish(struct walk *walk);

#endif
