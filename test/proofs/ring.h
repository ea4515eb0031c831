/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any ring that can be, of size QUEUE: set up by ring_start() itself on any map, then put into any state that
 * stands_well() allows. What each claim shows is that stands_well() holds after every step too, so that it
 * holds after any number of steps.
 */
#ifndef VIONET_PROOFS_RING_H
#define VIONET_PROOFS_RING_H

#include "memory_contract.h"
#include "ring/bounce.h"
#include "ring/chain.h"
#include "ring/ring.h"

#ifndef QUEUE
#define QUEUE 4
#endif
/* Ranges kept of a chain, in each direction: fewer than there can be, so that the bound is met. */
#define RANGES 3

static struct memory_map the_map;
static struct ring the_ring;
static struct ring_turn the_turns[2 * QUEUE];
static struct ring_used the_unseen[QUEUE];
static bool the_taken[QUEUE];
static struct iovec the_ranges[2 * RANGES];

/* Chains in remote memory have their own proof of bounds in the copies that memory_read() makes; here none is. */
bool bounce_add(struct ring *ring, struct chain *chain, unsigned n, uint64_t gpa, uint64_t len,
                bool write)
{
    return false;
}

bool bounce_fetch(struct ring *ring, struct chain *chain, uint64_t *gpa)
{
    claim(false, "nothing is remote");
    return false;
}

/* A ring that ring_start() made; false if it refused. */
static bool start_ring(bool packed, bool big_endian)
{
    struct ring_setup setup = {.size = QUEUE, .packed = packed, .big_endian = big_endian};

    setup.indirect = any_bool();
    setup.event_idx = any_bool();
    setup.area_gpa[0] = any_64();
    setup.area_gpa[1] = any_64();
    setup.area_gpa[2] = any_64();
    the_map.serial = 1;
    the_ring.turns = the_turns;
    the_ring.unseen = the_unseen;
    the_ring.taken = the_taken;
    return ring_start(&the_ring, &setup, &the_map);
}

static unsigned n_taken(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < QUEUE; i++) {
        n += the_taken[i];
    }
    return n;
}

/* Nothing of this is the driver's to change. */
static bool stands_well(void)
{
    const struct ring *ring = &the_ring;

    if (ring->lost) {
        return true;
    }
    if (ring->setup.packed) {
        const unsigned out =
            (ring->avail_wrap == ring->used_wrap ? 0u : QUEUE) + ring->next_avail - ring->next_used;
        const unsigned put =
            (ring->put_wrap == ring->used_wrap ? 0u : QUEUE) + ring->next_put - ring->next_used;

        return ring->next_avail < QUEUE && ring->next_used < QUEUE && ring->next_put < QUEUE &&
               out == ring->in_flight && out <= QUEUE && put <= out && ring->staged <= put;
    }
    return ring->in_flight == n_taken() && ring->in_flight + ring->staged <= QUEUE &&
           (uint16_t)(ring->next_avail - ring->next_used) == ring->in_flight + ring->staged &&
           (uint16_t)(ring->seen_avail - ring->next_avail) <=
               QUEUE - ring->in_flight - ring->staged;
}

/* Anywhere that a ring can stand. */
static void go_anywhere(void)
{
    struct ring *ring = &the_ring;

    ring->next_avail = any_16();
    ring->seen_avail = any_16();
    ring->next_used = any_16();
    ring->next_put = any_16();
    ring->staged = any_16();
    ring->in_flight = any_16();
    ring->avail_wrap = any_bool();
    ring->used_wrap = any_bool();
    ring->put_wrap = any_bool();
    ring->told_used = any_16();
    ring->told_valid = any_bool();
    ring->untold = any_32();
    ring->next_turn = any_16();
    ring->hint = any_32();
    ring->first_put = any_64();
    for (unsigned i = 0; i < QUEUE; i++) {
        the_taken[i] = any_bool();
    }
    assume(stands_well());
}

/* A chain that a pop gave: kept ranges are as many as there are, inside guest memory, and fit to be written. */
static void check_chain(const struct chain *chain)
{
    const unsigned i = any_below(RANGES);

    claim(chain->n_out <= RANGES && chain->n_in <= RANGES, "no more ranges than there is room for");
    claim(chain->out_len + chain->in_len <= UINT64_C(1) << 32,
          "2.7.5: no chain of more than 2^32 octets");
    if (i < chain->n_out) {
        claim(is_range(&chain->out[i], false), "each range to be read is guest memory");
        claim(chain->out[i].iov_len <= chain->out_len, "and is counted");
    }
    if (i < chain->n_in) {
        claim(is_range(&chain->in[i], true),
              "each range to be written is guest memory that may be");
        claim(chain->in[i].iov_len <= chain->in_len, "and is counted");
    }
}

#endif
