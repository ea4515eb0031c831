/* SPDX-License-Identifier: BSD-3-Clause */
/* P3: tables that descriptors refer to, in both formats. Each entry point is a claim; see README.md. */
#include "ring.h"

#include <vionet/spec.h>

/*
 * Entries that a table has at most. The library's limit is CHAIN_MAX_INDIRECT, or the queue's size; here it is
 * set to less, as nothing depends on it but when a walk ends.
 */
#ifndef LIMIT
#define LIMIT 4
#endif

static void pop_indirect(bool packed)
{
    struct chain chain = {0};
    struct ring before;
    unsigned words;
    int found;

    if (!start_ring(packed, packed ? false : any_bool())) {
        return;
    }
    the_ring.chain_limit = LIMIT;
    chain_init(&chain, the_ranges, RANGES);
    go_anywhere();
    before = the_ring;
    proof_loads = proof_copies = 0;
    found = ring_pop(&the_ring, &chain);
    words = proof_loads + 2 * proof_copies;
    claim(proof_stores == 0, "nothing is written");
    claim(stands_well(), "it stands well");
    if (found == 1) {
        reached("taken");
        check_chain(&chain);
        claim(chain.ref.n_desc >= 1 && chain.ref.n_desc <= QUEUE, "of the ring's descriptors");
        if (proof_loads > 2u + 2u * chain.ref.n_desc) {
            reached("by a table");
        }
        ring_unpop(&the_ring, &chain.ref);
        claim(the_ring.next_avail == before.next_avail && the_ring.in_flight == before.in_flight,
              "putting it back leaves nothing");
    }
    /* What is copied is read of memory in several pieces, by which a ring's own words are counted twice or more. */
    claim(words <= 3 * (2 + 2 * QUEUE) + 2 * LIMIT,
          "a walk ends, within the words of a ring and a table");
}

void indirect_split(void)
{
    pop_indirect(false);
}

void indirect_packed(void)
{
    pop_indirect(true);
}
