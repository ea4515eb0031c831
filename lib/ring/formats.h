/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the ring formats share among themselves: the list of them, access to the parts, the account of
 * buffers that are out. Internal to lib/ring.
 */
#ifndef VIONET_RING_FORMATS_H
#define VIONET_RING_FORMATS_H

#include "ring/ring.h"

extern const struct ring_ops ring_format_split;
extern const struct ring_ops ring_format_split_big;
extern const struct ring_ops ring_format_packed;

/*
 * What a part has at offset, in one load or as a copy that is good until the next one; and a value of
 * 2 or 4 octets stored there, in order behind what was stored before. For parts without a host pointer.
 * Where memory fails the ring is lost, and what is loaded is all ones.
 */
const uint8_t *ring_load(struct ring *ring, unsigned area, uint32_t offset, uint32_t len);
void ring_store(struct ring *ring, unsigned area, uint32_t offset, uint32_t value, uint32_t len);

/*
 * Where to load len octets at offset of a part from, once. Parts were checked to be memory when the
 * map was taken up; mappings begin at page boundaries and the parts are aligned, so that no word (and
 * no descriptor, which is aligned to its size) lies across two of them.
 */
static inline const uint8_t *ring_at(struct ring *ring, unsigned area, uint32_t offset,
                                     uint32_t len)
{
    if (G_LIKELY(ring->area[area] != NULL)) {
        return ring->area[area] + offset;
    }
    return ring_load(ring, area, offset, len);
}

/* What was read of memory that failed is not the driver's doing: that fault stays. */
static inline int ring_fault(struct ring *ring, VionetViolation violation, unsigned descriptor,
                             uint64_t value)
{
    if (!ring->lost) {
        ring->fault = (struct ring_fault){violation, descriptor, value};
    }
    return -1;
}

/* Notes that len octets at offset of the part that the device writes were written. If setup.logs. */
void ring_log(const struct ring *ring, uint32_t offset, uint32_t len);

/* Gives n buffers that are taken their turns, on which nothing depends without IN_ORDER. */
static inline void ring_take_turns(struct ring *ring, struct ring_plain *buffers, unsigned n)
{
    for (unsigned i = 0; ring->setup.in_order && i < n; i++) {
        buffers[i].turn = (uint16_t)(ring->next_turn + i);
    }
    ring->next_turn = (uint16_t)(ring->next_turn + n);
}

#endif
