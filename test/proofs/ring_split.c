/* SPDX-License-Identifier: BSD-3-Clause */
/* P1: the split ring. Each entry point is a claim; see README.md. */
#include "ring.h"

#include <vionet/spec.h>

/* A ring that began stands well, whatever its setup. */
void split_start(void)
{
    if (start_ring(false, any_bool())) {
        reached("started");
        claim(stands_well(), "it stands well");
        claim(the_ring.in_flight == 0 && the_ring.next_avail == 0, "at its beginning");
    }
}

/* pop and unpop, anywhere. */
void split_pop_any(void)
{
    struct chain chain = {0};
    struct ring before;
    unsigned taken;
    int found;

    if (!start_ring(false, any_bool())) {
        return;
    }
    the_ring.setup.indirect = false; /* see indirect_* */
    chain_init(&chain, the_ranges, RANGES);
    go_anywhere();
    before = the_ring;
    taken = n_taken();
    proof_loads = 0;
    found = ring_pop(&the_ring, &chain);
    claim(proof_loads <= 2 + 2 * QUEUE, "no more words are read than a ring has for one chain");
    claim(proof_stores == 0, "nothing is written");
    claim(stands_well(), "it stands well");
    if (found == 1) {
        reached("taken");
        check_chain(&chain);
        claim(chain.ref.id < QUEUE && the_taken[chain.ref.id],
              "the buffer is one, and counted as out");
        claim(n_taken() == taken + 1, "it was not out before");
        claim(chain.ref.n_desc >= 1 && chain.ref.n_desc <= QUEUE, "of the ring's descriptors");
        claim(proof_loads == 1 + 2 * chain.ref.n_desc || proof_loads == 2 + 2 * chain.ref.n_desc,
              "each word was read once: index, head, two of each descriptor");
        ring_unpop(&the_ring, &chain.ref);
        claim(the_ring.next_avail == before.next_avail && the_ring.in_flight == before.in_flight &&
                  the_ring.next_turn == before.next_turn && n_taken() == taken,
              "putting it back leaves nothing");
        claim(stands_well(), "and the ring stands well");
    } else {
        claim(found == 0 || found == -1, "or there is none, or a rule is broken");
        claim(the_ring.next_avail == before.next_avail && n_taken() == taken,
              "and nothing is taken");
        if (found == 0) {
            reached("none");
        } else {
            reached("broken");
        }
    }
}

/* push of a buffer that is out, and flush. */
void split_give(void)
{
    struct chain_ref ref = {.id = (uint16_t)any_below(QUEUE), .n_desc = 1};
    unsigned taken, staged;
    uint16_t used;

    if (!start_ring(false, any_bool())) {
        return;
    }
    go_anywhere();
    assume(the_taken[ref.id] && !the_ring.lost);
    taken = n_taken();
    staged = the_ring.staged;
    used = the_ring.next_used;
    ring_push(&the_ring, &ref, any_32());
    claim(n_taken() == taken - 1 && the_ring.staged == staged + 1,
          "it is staged, and not out any more");
    claim(stands_well(), "it stands well");
    ring_flush(&the_ring);
    claim(the_ring.lost || the_ring.next_used == (uint16_t)(used + staged + 1),
          "the driver sees all that was staged");
    claim(stands_well(), "it stands well");
    ring_must_notify(&the_ring);
    ring_enable_kicks(&the_ring);
    ring_disable_kicks(&the_ring);
    claim(stands_well(), "it stands well");
    if (!the_ring.lost) {
        reached("shown");
    }
}

/* Bursts of plain buffers. */
void split_plain(void)
{
    struct ring_plain buffers[QUEUE];
    const unsigned wanted = any_below(QUEUE + 1);
    const bool write = any_bool();
    unsigned taken, n, i = any_below(QUEUE);

    if (!start_ring(false, any_bool())) {
        return;
    }
    go_anywhere();
    taken = n_taken();
    proof_loads = 0;
    n = ring_pop_plain(&the_ring, write, buffers, wanted);
    claim(n <= wanted && n_taken() == taken + n, "so many more are out");
    claim(proof_loads <= 1 + 3 * wanted, "each word was read once");
    claim(proof_stores == 0, "nothing is written");
    claim(stands_well(), "it stands well");
    if (i < n) {
        reached("taken");
        claim(buffers[i].id < QUEUE && the_taken[buffers[i].id],
              "each is a buffer, and counted as out");
        claim(__CPROVER_r_ok(buffers[i].host, buffers[i].len) && buffers[i].len > 0,
              "of guest memory");
        claim(contract_write == write, "that may be written, if it is to be");
    }
    if (any_bool()) {
        ring_unpop_plain(&the_ring, buffers, n);
        claim(n_taken() == taken, "put back, they are not out");
    } else {
        ring_push_plain(&the_ring, write, buffers, n);
        claim(n_taken() == taken, "pushed, they are not out");
    }
    claim(stands_well(), "it stands well");
}
