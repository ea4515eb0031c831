/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the ring formats share among themselves: the list of them, and the account of buffers that
 * are out. Internal to lib/ring.
 */
#ifndef VIONET_RING_FORMATS_H
#define VIONET_RING_FORMATS_H

#include "ring/ring.h"

extern const struct ring_ops ring_format_split;

/* The device writes to the Device Area only; see the format for exceptions. */
static inline bool ring_area_written(unsigned area)
{
    return area == 2;
}

static inline struct ring_turn *ring_turn(struct ring *ring, uint16_t turn)
{
    return &ring->turns[turn % ring->setup.size];
}

/* Whether a buffer of that id is out. */
static inline bool ring_is_taken(const struct ring *ring, uint16_t id)
{
    return ring->taken[id / 32] >> (id % 32) & 1;
}

/* Notes that a buffer is out; its turn goes to ref. */
static inline void ring_take(struct ring *ring, uint16_t id, struct chain_ref *ref)
{
    ref->id = id;
    ref->turn = ring->next_turn++;
    *ring_turn(ring, ref->turn) = (struct ring_turn){.id = id};
    ring->taken[id / 32] |= 1u << (id % 32);
    ring->in_flight++;
}

static inline void ring_release(struct ring *ring, uint16_t id)
{
    ring->taken[id / 32] &= ~(1u << (id % 32));
    ring->in_flight--;
}

#endif
