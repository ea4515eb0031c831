/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bounce memory: host memory that stands for a chain's ranges in remote memory, so that whoever uses
 * the chain sees ranges and nothing else. What the device may read is fetched when the chain is taken;
 * what it wrote is written out before the chain is given back, and no octet more than that. Used by
 * the formats (filling), and by the data path and the control queue (writing out).
 */
#ifndef VIONET_RING_BOUNCE_H
#define VIONET_RING_BOUNCE_H

#include "ring/ring.h"

/* Frees what a chain has of it. The storage of its ranges stays the caller's. */
void chain_free(struct chain *chain);

/*
 * Adds the ranges of len octets at gpa, some of which are remote, to the first n of those that the
 * device may read (or write), in place of what stands behind them. False if any octet is not memory, or
 * not writable while write.
 */
bool bounce_add(struct ring *ring, struct chain *chain, unsigned n, uint64_t gpa, uint64_t len,
                bool write);

/*
 * Gives the remote ranges memory and fetches what is to be read; false with *gpa where that failed, or the first
 * range's if there is no memory.
 */
bool bounce_fetch(struct ring *ring, struct chain *chain, uint64_t *gpa);

/* The bounce memory becomes the caller's, to be freed with g_free(); its octets in *len. */
uint8_t *bounce_steal(struct chain *chain, size_t *len);

/*
 * Writes out what of the first written octets of the writable ranges is remote. False if that failed:
 * then the ring is lost (see ring_lose()).
 */
bool bounce_write_out(struct ring *ring, const struct chain *chain, uint64_t written);

/* Notes in the map's log what of the first written octets of the writable ranges is mapped. */
void chain_log(const struct ring *ring, const struct chain *chain, uint64_t written);

/* After a chain's octets were written, and before it is given back. */
static inline bool chain_write_out(struct ring *ring, const struct chain *chain, uint64_t written)
{
    if (G_UNLIKELY(ring->map->log.bits != NULL)) {
        chain_log(ring, chain, written);
    }
    return G_LIKELY(chain->n_remote == 0) || bounce_write_out(ring, chain, written);
}

/* Where octet number offset of the writable ranges, which have it, lies in guest memory if it is remote. */
bool bounce_find(const struct chain *chain, size_t offset, uint64_t *gpa);

#endif
