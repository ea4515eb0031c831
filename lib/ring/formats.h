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

/*
 * What a part has at offset, in one load or as a copy that is good until the next one; and a value of
 * 2 or 4 octets stored there, in order behind what was stored before. For parts without a host pointer.
 * Where memory fails the ring is lost, and what is loaded is all ones.
 */
const uint8_t *ring_load(struct ring *ring, unsigned area, uint32_t offset, uint32_t len);
void ring_store(struct ring *ring, unsigned area, uint32_t offset, uint32_t value, uint32_t len);

/* Notes that len octets at offset of the part that the device writes were written. If setup.logs. */
void ring_log(const struct ring *ring, uint32_t offset, uint32_t len);

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
