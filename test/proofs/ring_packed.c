/* SPDX-License-Identifier: BSD-3-Clause */
/* P2: the packed ring. Each entry point is a claim; see README.md. */
#include "ring.h"

#include <vionet/spec.h>

/* The bit of the wrap counter that a place so many places on has, as 2.8.1 counts: passes modulo 2. */
static bool wrap_after(bool wrap, unsigned slot, unsigned places)
{
    return wrap ^ ((slot + places) / QUEUE % 2);
}

void packed_start(void)
{
    if (start_ring(true, false)) {
        reached("started");
        claim(stands_well(), "it stands well");
        claim(the_ring.in_flight == 0 && the_ring.next_avail == 0 && the_ring.avail_wrap &&
                  the_ring.used_wrap,
              "at its beginning, both counters 1");
    }
}

void packed_pop_any(void)
{
    struct chain chain = {0};
    struct ring before;
    int found;

    if (!start_ring(true, false)) {
        return;
    }
    the_ring.setup.indirect = false; /* see indirect_* */
    chain_init(&chain, the_ranges, RANGES);
    go_anywhere();
    before = the_ring;
    proof_loads = 0;
    found = ring_pop(&the_ring, &chain);
    claim(proof_loads <= 2 * QUEUE, "no more words are read than a ring has for one chain");
    claim(proof_stores == 0, "nothing is written");
    claim(stands_well(), "it stands well");
    if (found == 1) {
        reached("taken");
        check_chain(&chain);
        claim(chain.ref.n_desc >= 1 && chain.ref.n_desc <= QUEUE - before.in_flight,
              "of places that are not out");
        claim(proof_loads == 2 * chain.ref.n_desc,
              "each word was read once: two of each descriptor");
        claim(the_ring.next_avail == (before.next_avail + chain.ref.n_desc) % QUEUE,
              "so many places on");
        claim(the_ring.avail_wrap ==
                  wrap_after(before.avail_wrap, before.next_avail, chain.ref.n_desc),
              "the wrap counter is the number of passes modulo 2");
        ring_unpop(&the_ring, &chain.ref);
        claim(the_ring.next_avail == before.next_avail &&
                  the_ring.avail_wrap == before.avail_wrap &&
                  the_ring.in_flight == before.in_flight && the_ring.next_turn == before.next_turn,
              "putting it back leaves nothing");
        claim(stands_well(), "and the ring stands well");
    } else {
        claim(found == 0 || found == -1, "or there is none, or a rule is broken");
        claim(the_ring.next_avail == before.next_avail && the_ring.in_flight == before.in_flight,
              "and nothing is taken");
        if (found == 0) {
            reached("none");
        } else {
            reached("broken");
        }
    }
}

void packed_give(void)
{
    struct chain_ref ref = {.id = any_16(), .n_desc = any_16()};
    unsigned put, in_flight;
    struct ring before;

    if (!start_ring(true, false)) {
        return;
    }
    go_anywhere();
    put = (the_ring.put_wrap == the_ring.used_wrap ? 0u : QUEUE) + the_ring.next_put -
          the_ring.next_used;
    assume((the_ring.staged == 0) == (put == 0));
    /* It was taken, and is not staged: its places are among those behind the staged ones. */
    assume(ref.n_desc >= 1 && ref.n_desc <= the_ring.in_flight - put && !the_ring.lost);
    in_flight = the_ring.in_flight;
    before = the_ring;
    proof_stores = 0;
    ring_push(&the_ring, &ref, any_32());
    claim(before.staged > 0 || the_ring.lost || proof_stores == 0,
          "the first used descriptor waits for the flush");
    claim(the_ring.in_flight == in_flight && the_ring.staged == before.staged + 1,
          "it is staged, and counts still");
    claim(stands_well(), "it stands well");
    ring_flush(&the_ring);
    if (!the_ring.lost) {
        reached("shown");
        claim(the_ring.in_flight == in_flight - put - ref.n_desc,
              "all that was staged is not out any more");
        claim(the_ring.next_used == (before.next_used + put + ref.n_desc) % QUEUE,
              "so many places on");
        claim(the_ring.used_wrap ==
                  wrap_after(before.used_wrap, before.next_used, put + ref.n_desc),
              "the wrap counter is the number of passes modulo 2");
    }
    claim(stands_well(), "it stands well");
    ring_must_notify(&the_ring);
    ring_enable_kicks(&the_ring);
    ring_disable_kicks(&the_ring);
    claim(stands_well(), "it stands well");
}

void packed_plain(void)
{
    struct ring_plain buffers[QUEUE];
    const unsigned wanted = any_below(QUEUE + 1);
    const bool write = any_bool();
    unsigned n, i = any_below(QUEUE);
    struct ring before;

    if (!start_ring(true, false)) {
        return;
    }
    go_anywhere();
    before = the_ring;
    proof_loads = 0;
    n = ring_pop_plain(&the_ring, write, buffers, wanted);
    claim(n <= wanted && the_ring.in_flight == before.in_flight + n, "so many more are out");
    claim(proof_loads <= 2 * wanted, "each word was read once");
    claim(proof_stores == 0, "nothing is written");
    claim(the_ring.avail_wrap == wrap_after(before.avail_wrap, before.next_avail, n),
          "the wrap counter is the number of passes modulo 2");
    claim(stands_well(), "it stands well");
    if (i < n) {
        reached("taken");
        claim(__CPROVER_r_ok(buffers[i].host, buffers[i].len) && buffers[i].len > 0,
              "of guest memory");
        claim(contract_write == write, "that may be written, if it is to be");
    }
    if (any_bool()) {
        ring_unpop_plain(&the_ring, buffers, n);
        claim(the_ring.in_flight == before.in_flight && the_ring.next_avail == before.next_avail &&
                  the_ring.avail_wrap == before.avail_wrap,
              "put back, they are not out");
    } else {
        ring_push_plain(&the_ring, write, buffers, n);
    }
    claim(stands_well(), "it stands well");
}
