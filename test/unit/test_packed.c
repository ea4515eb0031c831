/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packed rings alone (lib/ring/packed.c), as test_ring.c does with split ones: what stands in guest
 * memory octet by octet, which words are read and written, how often and in which order, wrap
 * counters, event words, and what a chain may be (VIRTIO 1.4, 2.8). A place is counted here from the
 * beginning of time: its slot is the place modulo the size, its wrap counter 1 in even rounds.
 */
#include <string.h>

#include <glib.h>

#include <vionet/spec.h>

#include "driver/bytes.h"
#include "ring_bench.h"

#define NEXT  VIRTQ_DESC_F_NEXT
#define WRITE VIRTQ_DESC_F_WRITE
#define TABLE VIRTQ_DESC_F_INDIRECT
#define AVAIL VIRTQ_DESC_F_AVAIL
#define USED  VIRTQ_DESC_F_USED

static uint64_t slot_gpa(const struct bench *bench, unsigned at)
{
    return bench->desc + 16 * (uint64_t)(at % bench->setup.size);
}

static bool wrap_at(const struct bench *bench, unsigned at)
{
    return at / bench->setup.size % 2 == 0;
}

static uint16_t available_at(const struct bench *bench, unsigned at)
{
    return wrap_at(bench, at) ? AVAIL : USED;
}

static uint16_t used_at(const struct bench *bench, unsigned at)
{
    return wrap_at(bench, at) ? AVAIL | USED : 0;
}

static void put_entry(const struct bench *bench, uint64_t gpa, uint64_t addr, uint32_t len,
                      uint16_t id, uint16_t flags)
{
    uint8_t *at = guest(bench, gpa, 16);

    bytes_put64(at, addr);
    bytes_put32(at + 8, len);
    bytes_put16(at + 12, id);
    bytes_put16(at + 14, flags);
}

/* The next descriptor, available. */
static void put(struct bench *bench, uint64_t addr, uint32_t len, uint16_t id, uint16_t flags)
{
    put_entry(bench, slot_gpa(bench, bench->at), addr, len, id,
              flags | available_at(bench, bench->at));
    bench->at++;
}

/* A list of n descriptors of 10 octets each, the last of which has the id. */
static void put_list(struct bench *bench, unsigned n, uint16_t id)
{
    for (unsigned i = 0; i < n; i++) {
        const bool last = i + 1 == n;

        put(bench, bench->data + 16 * (uint64_t)i, 10, last ? id : 0xaaaa, last ? 0 : NEXT);
    }
}

static void put_event(const struct bench *bench, uint16_t off_wrap, uint16_t flags)
{
    bytes_put16(guest(bench, bench->driver, 2), off_wrap);
    bytes_put16(guest(bench, bench->driver + 2, 2), flags);
}

/* So many buffers of one descriptor come and go. */
static void bench_turn(struct bench *bench, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct chain_ref ref;

        put_list(bench, 1, 1);
        ref = pop_one(bench);
        ring_push(&bench->ring, &ref, 0);
        ring_flush(&bench->ring);
    }
    bench->ring.untold = 0;
}

static void assert_refused(struct bench *bench, VionetViolation violation, unsigned descriptor,
                           uint64_t value)
{
    g_assert_cmpint(pop(bench), ==, -1);
    assert_fault(bench, violation, descriptor, value);
}

/* What stands in the second half of the descriptor at a place. */
static void assert_used(const struct bench *bench, unsigned at, uint16_t id, uint32_t len)
{
    const uint8_t *desc = guest(bench, slot_gpa(bench, at), 16);

    g_assert_cmphex(bytes_get16(desc + 12), ==, id);
    g_assert_cmphex(bytes_get16(desc + 14), ==, used_at(bench, at) | (len ? WRITE : 0));
    g_assert_cmpuint(bytes_get32(desc + 8), ==, len);
}

/* ---- Octets worked by hand ---- */

/* A ring of 3: a list of two, then an indirect one; the next list goes round the end. */
static void test_hand_worked(void)
{
    static const uint8_t ring_1[48] = {
        0x00, 0x50, 0x10, 0, 0, 0, 0, 0, 0x0c, 0x00, 0, 0, 0x77, 0x77, 0x81, 0x00, /* NEXT */
        0x00, 0x60, 0x10, 0, 0, 0, 0, 0, 0xea, 0x05, 0, 0, 0x34, 0x12, 0x82, 0x00, /* WRITE */
        0x00, 0x70, 0x10, 0, 0, 0, 0, 0, 0x20, 0x00, 0, 0, 0xff, 0xff, 0x84, 0x00, /* TABLE */
    };
    /* At 0x107000; the ids are junk, and so are all flags but bit 1. */
    static const uint8_t table[32] = {
        0x00, 0x80, 0x10, 0, 0, 0, 0, 0, 0x0a, 0x00, 0, 0, 0xde, 0xad, 0xfd, 0xff,
        0x00, 0x90, 0x10, 0, 0, 0, 0, 0, 0x08, 0x00, 0, 0, 0xbe, 0xef, 0x02, 0x00,
    };
    /* The table comes back first, in slot 0; then the list, in slot 1. */
    static const uint8_t used_0[8] = {8, 0, 0, 0, 0xff, 0xff, 0x82, 0x80};
    static const uint8_t used_1[8] = {0, 0, 0, 0, 0x34, 0x12, 0x80, 0x80};
    struct bench *bench = bench_packed(3, false, false);
    const struct chain *chain = &bench->chain;
    struct chain_ref list, indirect;
    uint8_t *ring = guest(bench, bench->desc, 48);

    memcpy(ring, ring_1, 48);
    memcpy(guest(bench, 0x107000, 32), table, 32);
    list = pop_one(bench);
    g_assert_cmphex(list.id, ==, 0x1234);
    g_assert_cmpuint(list.n_desc, ==, 2);
    g_assert_cmpuint(chain->n_out, ==, 1);
    g_assert_true(chain->out[0].iov_base == guest(bench, 0x105000, 12));
    g_assert_cmpuint(chain->in_len, ==, 0x5ea);
    indirect = pop_one(bench);
    g_assert_cmphex(indirect.id, ==, 0xffff);
    g_assert_cmpuint(indirect.n_desc, ==, 1);
    g_assert_cmpuint(chain->n_out, ==, 1);
    g_assert_cmpuint(chain->n_in, ==, 1);
    g_assert_true(chain->out[0].iov_base == guest(bench, 0x108000, 10));
    g_assert_true(chain->in[0].iov_base == guest(bench, 0x109000, 8));
    g_assert_cmpint(pop(bench), ==, 0); /* slot 0 is of this round still */
    ring_push(&bench->ring, &indirect, 8);
    ring_push(&bench->ring, &list, 0);
    g_assert_cmpmem(ring, 16, ring_1, 16); /* where the driver looks, until it is shown */
    g_assert_true(ring_flush(&bench->ring));
    g_assert_false(ring_flush(&bench->ring));
    g_assert_cmpmem(ring + 8, 8, used_0, 8);
    g_assert_cmpmem(ring + 24, 8, used_1, 8);
    g_assert_cmpmem(ring, 8, ring_1, 8);
    g_assert_cmpmem(ring + 32, 16, ring_1 + 32, 16);
    g_assert_cmpmem(guest(bench, 0x107000, 32), 32, table, 32);
    g_assert_cmpint(pop(bench), ==, 0);
    bench_free(bench);
}

/* ---- Setting up ---- */

static void test_parts(void)
{
    static const struct {
        uint16_t size;
        uint32_t desc;
    } hand[] = {{1, 16}, {3, 48}, {256, 4096}, {32767, 524272}, {32768, 524288}};
    struct bench *bench = bench_packed(2, false, false);
    const struct ring_ops *ops = bench->ring.ops;

    for (size_t i = 0; i < G_N_ELEMENTS(hand); i++) {
        g_assert_cmpuint(ops->area_size(VIONET_AREA_DESC, hand[i].size), ==, hand[i].desc);
        g_assert_cmpuint(ops->area_size(VIONET_AREA_DRIVER, hand[i].size), ==, 4);
        g_assert_cmpuint(ops->area_size(VIONET_AREA_DEVICE, hand[i].size), ==, 4);
    }
    for (unsigned area = 0; area < 3; area++) {
        uint64_t *gpa = area == VIONET_AREA_DESC     ? &bench->desc
                        : area == VIONET_AREA_DRIVER ? &bench->driver
                                                     : &bench->device;
        const unsigned align = area == VIONET_AREA_DESC ? 16 : 4;

        for (unsigned off = 0; off < 32; off++) {
            *gpa += off;
            bench->setup.area_gpa[area] = *gpa;
            g_assert_true(ring_start(&bench->ring, &bench->setup, bench->map) ==
                          (off % align == 0));
            *gpa -= off;
            bench->setup.area_gpa[area] = *gpa;
        }
    }
    bench_free(bench);
}

static void test_any_size(void)
{
    struct bench *bench = bench_packed(1, false, false);

    for (unsigned size = 0; size < 0x10000; size++) {
        bench->setup.size = (uint16_t)size;
        g_assert_true(ring_start(&bench->ring, &bench->setup, bench->map) ==
                      (size > 0 && size <= 32768));
    }
    bench_free(bench);
}

/* ---- Wrap counters ---- */

/*
 * buffers of n descriptors for several rounds, at each of which the list, its used
 * descriptor and the bits of both are where a count of places says. Each goes before the next comes.
 */
static void turn_lists(uint16_t size, unsigned n, unsigned rounds)
{
    struct bench *bench = bench_packed(size, false, false);

    for (unsigned i = 0; i * n < rounds * size; i++) {
        const uint16_t id = (uint16_t)(i * 7919);
        struct chain_ref ref;

        g_assert_cmpint(pop(bench), ==, 0);
        put_list(bench, n, id);
        ref = pop_one(bench);
        g_assert_cmphex(ref.id, ==, id);
        g_assert_cmpuint(ref.n_desc, ==, n);
        g_assert_cmpuint(bench->chain.n_out, ==, n);
        for (unsigned k = 0; k < n; k++) {
            g_assert_true(bench->chain.out[k].iov_base == guest(bench, bench->data + 16 * k, 10));
        }
        ring_push(&bench->ring, &ref, i % 3);
        g_assert_true(ring_flush(&bench->ring));
        assert_used(bench, i * n, id, i % 3);
        g_assert_cmpuint(bench->ring.in_flight, ==, 0);
    }
    bench_free(bench);
}

static void test_rounds(void)
{
    static const uint16_t sizes[] = {1, 2, 3, 4, 5, 7, 8, 33};

    for (size_t s = 0; s < G_N_ELEMENTS(sizes); s++) {
        for (unsigned n = 1; n <= sizes[s]; n++) {
            turn_lists(sizes[s], n, 64);
        }
    }
    turn_lists(32768, 1, 3);
    turn_lists(32768, 1000, 3);
}

/* the bits of a descriptor in all combinations, in either round: one is available. */
static void test_four_states(void)
{
    static const uint16_t states[] = {0, AVAIL, USED, AVAIL | USED};

    for (unsigned round = 0; round < 3; round++) {
        for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
            struct bench *bench = bench_packed(3, true, false);
            const bool available = states[i] == (round % 2 ? USED : AVAIL);
            struct ring_plain plain;

            bench_turn(bench, 3 * round + 1);
            put_entry(bench, slot_gpa(bench, bench->at), bench->data, 10, 1, states[i]);
            g_assert_true(ring_enable_kicks(&bench->ring) == available);
            g_assert_cmpuint(ring_pop_plain(&bench->ring, true, &plain, 1), ==, 0);
            g_assert_cmpint(pop(bench), ==, available);
            bench_free(bench);
        }
    }
}

/* ---- Which buffers are out ---- */

/* no more than the ring has; the place of one that is out is not another one. */
static void test_in_flight_is_bounded(void)
{
    for (uint16_t size = 1; size <= 6; size++) {
        for (unsigned first = 0; first < 2u * size; first++) {
            struct bench *bench = bench_packed(size, false, false);
            struct ring_plain plain[8];

            bench_turn(bench, first);
            for (unsigned i = 0; i < size; i++) {
                put_list(bench, 1, 1);
            }
            g_assert_cmpuint(ring_pop_plain(&bench->ring, false, plain, 8), ==, size);
            g_assert_cmpint(pop(bench), ==, 0);
            put_list(bench, 1, 1);
            g_assert_cmpuint(ring_pop_plain(&bench->ring, false, plain, 8), ==, 0);
            assert_refused(bench, VIONET_VIOLATION_AVAIL_JUMP, VIONET_NONE, size + 1u);
            bench_free(bench);
        }
    }
}

/* A list that would go on into the places of buffers that are out. */
static void test_list_meets_what_is_out(void)
{
    struct bench *bench = bench_packed(5, false, false);

    put_list(bench, 2, 1);
    pop_one(bench);
    put_list(bench, 3, 2);
    put_entry(bench, slot_gpa(bench, 4), bench->data, 10, 2, AVAIL | NEXT);
    put_entry(bench, slot_gpa(bench, 5), bench->data, 10, 2, USED); /* as if slot 0 were free */
    assert_refused(bench, VIONET_VIOLATION_CHAIN_LENGTH, 2, 3);
    bench_free(bench);
}

/* An id is the driver's own affair: any value, twice too, comes back as it went. */
static void test_any_id(void)
{
    static const uint16_t ids[] = {0xffff, 4, 0x8000, 4, 0};
    struct bench *bench = bench_packed(5, false, false);
    struct chain_ref refs[5];

    for (size_t i = 0; i < 5; i++) {
        put_list(bench, 1, ids[i]);
        refs[i] = pop_one(bench);
    }
    for (size_t i = 0; i < 5; i++) {
        ring_push(&bench->ring, &refs[4 - i], (uint32_t)i);
    }
    g_assert_true(ring_flush(&bench->ring));
    for (unsigned i = 0; i < 5; i++) {
        assert_used(bench, i, ids[4 - i], i);
    }
    bench_free(bench);
}

/* taken and put back: memory is as it was, and the same ones come again. */
static void test_unpop_leaves_no_trace(void)
{
    for (unsigned in_order = 0; in_order < 2; in_order++) {
        for (unsigned first = 0; first < 12; first++) {
            struct bench *bench = bench_packed(6, false, in_order);
            uint8_t before[96];
            struct chain_ref refs[3];

            bench_turn(bench, first);
            put_list(bench, 1, 10);
            refs[0] = pop_one(bench);
            ring_push(&bench->ring, &refs[0], 3); /* stays staged */
            put_list(bench, 2, 11);
            put_list(bench, 3, 12);
            memcpy(before, guest(bench, bench->desc, 96), 96);
            for (unsigned i = 0; i < 100; i++) {
                refs[1] = pop_one(bench);
                refs[2] = pop_one(bench);
                g_assert_cmpuint(bench->ring.in_flight, ==, 6);
                ring_unpop(&bench->ring, &refs[2]);
                ring_unpop(&bench->ring, &refs[1]);
                g_assert_cmpuint(bench->ring.in_flight, ==, 1);
            }
            g_assert_cmpmem(guest(bench, bench->desc, 96), 96, before, 96);
            for (unsigned i = 1; i < 3; i++) {
                refs[i] = pop_one(bench);
                g_assert_cmpuint(refs[i].id, ==, 10 + i);
                ring_push(&bench->ring, &refs[i], i);
            }
            g_assert_true(ring_flush(&bench->ring));
            assert_used(bench, first, 10, 3);
            assert_used(bench, first + 1, 11, 1);
            assert_used(bench, first + 3, 12, 2);
            bench_free(bench);
        }
    }
}

/* with IN_ORDER, in whatever order buffers are pushed, they come back as they went. */
static void test_in_order(void)
{
    static const uint8_t length[4] = {2, 1, 3, 1};
    static const uint8_t begin[4] = {0, 2, 3, 6};

    for (unsigned order = 0; order < 256; order++) {
        struct bench *bench = bench_packed(9, false, true);
        struct chain_ref refs[4];
        unsigned done = 0;
        unsigned shown = 0;

        for (unsigned i = 0; i < 4; i++) {
            put_list(bench, length[i], (uint16_t)(40 + i));
            refs[i] = pop_one(bench);
        }
        for (unsigned step = 0; step < 4; step++) {
            const unsigned which = order >> 2 * step & 3;

            if (done >> which & 1) {
                break;
            }
            done |= 1u << which;
            ring_push(&bench->ring, &refs[which], which + 1);
            g_assert_true(ring_flush(&bench->ring) == (which == shown));
            while (done >> shown & 1) {
                assert_used(bench, begin[shown], (uint16_t)(40 + shown), shown + 1);
                shown++;
            }
            if (shown < 4) {
                g_assert_cmphex(bytes_get16(guest(bench, slot_gpa(bench, begin[shown]), 16) + 14) &
                                    (AVAIL | USED),
                                ==, AVAIL);
            }
        }
        bench_free(bench);
    }
}

/* ---- Notifications ---- */

/* By the definition: was the place that the event word names among the last n? */
static bool among(const struct bench *bench, uint16_t event, unsigned end, unsigned n)
{
    for (unsigned at = end - n; at < end; at++) {
        const uint16_t off_wrap = (uint16_t)(at % bench->setup.size | wrap_at(bench, at) << 15);

        if (off_wrap == event) {
            return true;
        }
    }
    return false;
}

/* All event words, all places, all stretches of a ring, shown by one flush or more. */
static void test_events_by_definition(void)
{
    for (uint16_t size = 1; size <= 5; size++) {
        for (unsigned first = 0; first < 4u * size; first++) {
            struct bench *bench = bench_packed(size, true, false);

            bench_turn(bench, first);
            for (unsigned k = 0; k < 2u * size * size; k++) {
                const uint16_t event = (uint16_t)(k / 2 % size | k % 2 << 15);
                const unsigned n = 1 + k / 2 / size;

                put_event(bench, event, RING_EVENT_FLAGS_DESC);
                for (unsigned i = 0; i < n; i++) {
                    struct chain_ref ref;

                    put_list(bench, 1, 1);
                    ref = pop_one(bench);
                    ring_push(&bench->ring, &ref, 0);
                    if (i % 2) {
                        ring_flush(&bench->ring);
                    }
                }
                ring_flush(&bench->ring);
                g_assert_true(ring_must_notify(&bench->ring) == among(bench, event, bench->at, n));
            }
            bench_free(bench);
        }
    }
}

/* The place that is asked for may lie inside a list: then its buffer was among those used. */
static void test_event_inside_a_list(void)
{
    for (unsigned event = 0; event < 7; event++) {
        struct bench *bench = bench_packed(7, true, false);
        struct chain_ref ref;

        bench_turn(bench, 2);
        put_list(bench, 3, 1);
        ref = pop_one(bench);
        put_event(bench, (uint16_t)(event | 0x8000), RING_EVENT_FLAGS_DESC);
        ring_push(&bench->ring, &ref, 0);
        ring_flush(&bench->ring);
        g_assert_true(ring_must_notify(&bench->ring) == (event >= 2 && event < 5));
        bench_free(bench);
    }
}

/* Flags 0, 1, 3, bits reserved, places that are none, and what EVENT_IDX has to do with it. */
static void test_event_flags(void)
{
    static const struct {
        uint16_t off_wrap, flags;
        bool event_idx, notify;
    } rows[] = {
        {0, 0, true, true},           {0, 0, false, true},      {0x8005, 1, true, false},
        {0x8005, 1, false, false},    {0x8001, 3, true, true},  {0x8001, 3, false, true},
        {0x8001, 2, true, false},     {0x8001, 2, false, true}, {0x8005, 2, true, true},
        {0x8004, 2, true, true},      {0x8003, 2, true, false}, {0x0003, 2, true, false},
        {0xffff, 2, true, true},      {0x7fff, 2, true, true},  {0x8001, 0xfffe, true, false},
        {0x8000, 0xfffe, true, true}, {0, 0xfffd, true, false}, {0, 0xfffc, true, true},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct bench *bench = bench_packed(4, rows[i].event_idx, false);
        struct chain_ref ref;

        put_event(bench, rows[i].off_wrap, rows[i].flags);
        put_list(bench, 1, 1);
        ref = pop_one(bench);
        ring_push(&bench->ring, &ref, 0);
        ring_flush(&bench->ring);
        g_test_message("off and wrap 0x%x, flags 0x%x", rows[i].off_wrap, rows[i].flags);
        g_assert_true(ring_must_notify(&bench->ring) == rows[i].notify);
        bench_free(bench);
    }
}

/* What the device says of kicks: off, wrap and flags, in every place of two rounds. */
static void test_kicks(void)
{
    for (unsigned event_idx = 0; event_idx < 2; event_idx++) {
        for (unsigned first = 0; first < 6; first++) {
            struct bench *bench = bench_packed(3, event_idx, false);
            const uint8_t *word = guest(bench, bench->device, 4);

            bench_turn(bench, first);
            ring_disable_kicks(&bench->ring);
            g_assert_cmphex(bytes_get16(word + 2), ==, RING_EVENT_FLAGS_DISABLE);
            g_assert_false(ring_enable_kicks(&bench->ring));
            g_assert_cmphex(bytes_get16(word + 2), ==,
                            event_idx ? RING_EVENT_FLAGS_DESC : RING_EVENT_FLAGS_ENABLE);
            g_assert_cmphex(bytes_get16(word), ==, first % 3 | (first < 3 ? 0x8000 : 0));
            put_list(bench, 1, 1);
            g_assert_true(ring_enable_kicks(&bench->ring));
            bench_free(bench);
        }
    }
}

/* driver: makes one available, decides. Device: finds none, asks, looks again. In any order. */
static void test_no_kick_is_lost(void)
{
    for (unsigned k = 0; k < 2 * 6 * 32; k++) {
        const unsigned order = k % 32;
        struct bench *bench;
        struct ring *ring;
        unsigned device = 0;
        unsigned driver = 0;
        bool known = false; /* to the device */

        if (__builtin_popcount(order) != 3) {
            continue;
        }
        bench = bench_packed(3, k / 32 / 6, false);
        ring = &bench->ring;
        bench_turn(bench, k / 32 % 6);
        ring_disable_kicks(ring);
        for (unsigned step = 0; step < 5; step++) {
            const bool devices_turn = order >> step & 1;

            if (devices_turn && device++ == 0) {
                known |= pop(bench) == 1;
            } else if (devices_turn && device == 2) {
                ring->kicks_wanted = true;
                ring->ops->set_kicks(ring, true);
            } else if (devices_turn) {
                known |= ring->ops->has_more(ring);
            } else if (driver++ == 0) {
                put_list(bench, 1, 1);
            } else {
                const uint8_t *word = guest(bench, bench->device, 4);
                const uint16_t flags = bytes_get16(word + 2);

                known |= flags == RING_EVENT_FLAGS_ENABLE ||
                         (flags == RING_EVENT_FLAGS_DESC &&
                          among(bench, bytes_get16(word), bench->at, 1));
            }
        }
        g_test_message("order 0x%x of %u", order, k);
        g_assert_true(known);
        bench_free(bench);
    }
}

/* Device: shows n used buffers, decides. Driver, which had seen all: asks, looks. In any order. */
static void test_no_interrupt_is_lost(void)
{
    for (unsigned k = 0; k < 2 * 6 * 3 * 16; k++) {
        const unsigned order = k % 16;
        const unsigned n = 1 + k / 16 % 3;
        const unsigned first = k / 48 % 6;
        struct bench *bench;
        unsigned device = 0;
        unsigned driver = 0;
        bool known = false; /* to the driver */

        if (__builtin_popcount(order) != 2) {
            continue;
        }
        bench = bench_packed(3, k / 288, false);
        bench_turn(bench, first);
        put_event(bench, 0, RING_EVENT_FLAGS_DISABLE);
        for (unsigned i = 0; i < n; i++) {
            struct chain_ref ref;

            put_list(bench, 1, 1);
            ref = pop_one(bench);
            ring_push(&bench->ring, &ref, 0);
        }
        for (unsigned step = 0; step < 4; step++) {
            const bool devices_turn = order >> step & 1;

            if (devices_turn && device++ == 0) {
                ring_flush(&bench->ring);
            } else if (devices_turn) {
                known |= ring_must_notify(&bench->ring);
            } else if (driver++ == 0) {
                put_event(bench, (uint16_t)(first % 3 | wrap_at(bench, first) << 15),
                          bench->setup.event_idx ? RING_EVENT_FLAGS_DESC : RING_EVENT_FLAGS_ENABLE);
            } else {
                const uint8_t *desc = guest(bench, slot_gpa(bench, first), 16);

                known |= (bytes_get16(desc + 14) & (AVAIL | USED)) == used_at(bench, first);
            }
        }
        g_assert_true(known);
        bench_free(bench);
    }
}

/* ---- What a buffer may be ---- */

/* As many descriptors as the ring has, and not one more; a table may have more. */
static void test_longest(void)
{
    for (uint16_t size = 1; size <= 9; size++) {
        struct bench *bench = bench_packed(size, false, false);
        const uint64_t table = bench->data + PAGE;

        put_list(bench, size, 1);
        g_assert_cmpuint(pop_one(bench).n_desc, ==, size);
        g_assert_true(bench_start(bench));
        for (unsigned i = 0; i < size; i++) {
            put(bench, bench->data, 10, 1, NEXT);
        }
        assert_refused(bench, VIONET_VIOLATION_CHAIN_LENGTH, 0, size);

        g_assert_true(bench_start(bench));
        for (unsigned i = 0; i < CHAIN_MAX_INDIRECT; i++) {
            put_entry(bench, table + 16 * i, bench->data, 1, 0, 0);
        }
        put(bench, table, 16 * CHAIN_MAX_INDIRECT, 1, TABLE);
        g_assert_cmpuint(pop_one(bench).n_desc, ==, 1);
        g_assert_cmpuint(bench->chain.out_len, ==, CHAIN_MAX_INDIRECT);
        g_assert_true(bench_start(bench));
        put(bench, table, 16 * (CHAIN_MAX_INDIRECT + 1), 1, TABLE);
        assert_refused(bench, VIONET_VIOLATION_INDIRECT_LENGTH, 0, 16 * (CHAIN_MAX_INDIRECT + 1));
        bench_free(bench);
    }
}

/* Only WRITE counts in a table, and does not count where the table is referred to (2.8.7). */
static void test_flags_of_tables(void)
{
    struct bench *bench = bench_packed(4, false, false);
    const uint64_t table = bench->data + PAGE;

    for (unsigned flags = 0; flags < 0x10000; flags++) {
        g_assert_true(bench_start(bench));
        put_entry(bench, table, bench->data, 7, 0x5555, (uint16_t)(flags & ~WRITE));
        put_entry(bench, table + 16, bench->data, 9, 0x6666, (uint16_t)(flags | WRITE));
        put(bench, table, 32, 3, TABLE | (flags & WRITE));
        g_assert_cmpuint(pop_one(bench).id, ==, 3);
        g_assert_cmpuint(bench->chain.out_len, ==, 7);
        g_assert_cmpuint(bench->chain.in_len, ==, 9);
    }
    bench_free(bench);
}

/* elements without octets are honest, as the whole of a buffer too. */
static void test_empty_elements(void)
{
    struct bench *bench = bench_packed(4, false, false);

    put(bench, bench->data, 0, 1, NEXT);
    put(bench, bench->data, 5, 1, NEXT);
    put(bench, bench->data, 0, 2, WRITE);
    g_assert_cmpuint(pop_one(bench).n_desc, ==, 3);
    g_assert_cmpuint(bench->chain.out_len, ==, 5);
    g_assert_cmpuint(bench->chain.in_len, ==, 0);
    put(bench, bench->data, 0, 3, 0);
    g_assert_cmpuint(pop_one(bench).id, ==, 3);
    bench_free(bench);
}

/* G-01: the descriptor ring over a seam of the map, in one piece for the driver only. */
static void test_over_a_seam(void)
{
    static const struct guest_extent extents[] = {{BASE, PAGE}, {BASE + PAGE, ROOM - PAGE}};
    const struct guest_memory_options options = {
        .extents = extents, .n_extents = 2, .straddle = true};

    for (unsigned before = 1; before < 8; before++) {
        struct bench *bench = bench_make(8, true, &options);
        struct ring_plain plain;

        bench->desc = BASE + PAGE - 16 * before;
        bench->driver = BASE + 2 * PAGE;
        bench->device = BASE + 3 * PAGE;
        bench->data = BASE + 4 * PAGE;
        g_assert_true(bench_start(bench));
        g_assert_null(bench->ring.area[VIONET_AREA_DESC]);
        for (unsigned i = 0; i < 40; i++) {
            struct chain_ref ref;

            put_list(bench, 3, (uint16_t)i);
            g_assert_cmpuint(ring_pop_plain(&bench->ring, false, &plain, 1), ==, 0);
            ref = pop_one(bench);
            g_assert_cmpuint(ref.id, ==, i);
            ring_push(&bench->ring, &ref, i % 2);
            g_assert_true(ring_flush(&bench->ring));
            assert_used(bench, 3 * i, (uint16_t)i, i % 2);
        }
        bench_free(bench);
    }
}

/* ---- pop_plain ---- */

/* What may stand in the ring, mostly plain. */
static void put_random(struct bench *bench, GRand *random, bool write)
{
    const uint64_t addr = bench->data + (uint64_t)g_rand_int_range(random, 0, 4096);
    const uint32_t len = (uint32_t)g_rand_int_range(random, 1, 2000);
    const uint16_t flags = write ? WRITE : 0;
    const uint16_t id = (uint16_t)g_rand_int(random);

    switch (g_rand_int_range(random, 0, 24)) {
    case 0:
        put(bench, addr, 0, id, flags);
        break;
    case 1:
        put(bench, addr, len, id, flags ^ WRITE);
        break;
    case 2:
        put(bench, addr, len, id, flags | NEXT);
        break;
    case 3:
        put(bench, BASE + ROOM - len + 1, len, id, flags);
        break;
    case 4:
        put(bench, addr, len, id, flags | TABLE);
        break;
    case 5:
        put(bench, UINT64_MAX - 3, len, id, flags);
        break;
    default:
        put(bench, addr, len, id, flags);
        break;
    }
}

/* What is taken in bursts is what is taken singly, and behind them comes what comes singly. */
static void test_plain_is_pop(void)
{
    GRand *random = g_rand_new_with_seed(1414);

    for (unsigned round = 0; round < 3000; round++) {
        const uint16_t size = (uint16_t)g_rand_int_range(random, 1, 40);
        struct bench *bench = bench_packed(size, false, round % 2);
        const bool write = g_rand_boolean(random);
        const unsigned there = (unsigned)g_rand_int_range(random, 0, size + 1);
        struct ring_plain plain[64];
        struct ring single;
        unsigned n;

        bench_turn(bench, (unsigned)g_rand_int_range(random, 0, 3 * size));
        for (unsigned i = 0; i < there; i++) {
            put_random(bench, random, write);
        }
        single = bench->ring;
        single.turns = g_memdup2(single.turns, VIONET_MAX_QUEUE_SIZE * sizeof(*single.turns));
        n = ring_pop_plain(&bench->ring, write, plain, (unsigned)g_rand_int_range(random, 0, 64));
        for (unsigned i = 0; i < n; i++) {
            const struct chain *chain = &bench->chain;
            const struct iovec *range = write ? chain->in : chain->out;

            g_assert_cmpint(ring_pop(&single, &bench->chain), ==, 1);
            g_assert_cmpuint(write ? chain->n_in : chain->n_out, ==, 1);
            g_assert_cmpuint(write ? chain->n_out : chain->n_in, ==, 0);
            g_assert_true(range->iov_base == plain[i].host);
            g_assert_cmpuint(range->iov_len, ==, plain[i].len);
            g_assert_cmpuint(chain->ref.id, ==, plain[i].id);
            g_assert_cmpuint(chain->ref.n_desc, ==, 1);
            if (bench->setup.in_order) { /* nothing else depends on it */
                g_assert_cmpuint(chain->ref.turn, ==, plain[i].turn);
            }
        }
        g_assert_cmpuint(single.next_avail, ==, bench->ring.next_avail);
        g_assert_true(single.avail_wrap == bench->ring.avail_wrap);
        g_assert_cmpuint(single.in_flight, ==, bench->ring.in_flight);
        g_assert_cmpuint(single.next_turn, ==, bench->ring.next_turn);
        for (uint16_t turn = single.first_turn; round % 2 && turn != single.next_turn; turn++) {
            g_assert_cmpmem(&single.turns[turn % size].used.ref, sizeof(struct chain_ref),
                            &bench->ring.turns[turn % size].used.ref, sizeof(struct chain_ref));
        }
        g_assert_cmpint(ring_pop(&single, &bench->chain), ==, pop(bench));
        g_free(single.turns);
        bench_free(bench);
    }
    g_rand_free(random);
}

/* What comes back in a burst, as test_ring.c has it for split rings; here around the ring's end too. */
static void test_push_plain(void)
{
    for (unsigned how = 0; how < 8 * 14; how++) {
        const bool in_order = how & 1;
        const bool write = how & 2;
        const bool late = how & 4;
        const unsigned turn = how / 8;
        struct bench *bench = bench_packed(7, false, in_order);
        struct ring_plain plain[6];
        struct chain_ref first;
        uint8_t before[16 * 7];

        bench_turn(bench, turn);
        for (uint16_t i = 0; i < 7; i++) {
            put(bench, bench->data, 100, 50 + i, write ? WRITE : 0);
        }
        first = pop_one(bench);
        g_assert_cmpuint(ring_pop_plain(&bench->ring, write, plain, 6), ==, 6);
        for (uint32_t i = 0; i < 6; i++) {
            plain[i].len = 10 + i;
        }
        memcpy(before, guest(bench, bench->desc, sizeof(before)), sizeof(before));
        if (!late) {
            ring_push(&bench->ring, &first, 9);
        }
        ring_push_plain(&bench->ring, write, plain, 6);
        if (late) {
            g_assert_cmpuint(bench->ring.staged, ==, in_order ? 0 : 6);
            ring_push(&bench->ring, &first, 9);
        }
        /* The driver, who looks at the first place, sees none of them yet. */
        g_assert_cmpmem(guest(bench, slot_gpa(bench, turn), 16), 16, &before[16 * (turn % 7)], 16);
        g_assert_true(ring_flush(&bench->ring));
        g_assert_cmpuint(bench->ring.in_flight, ==, 0);
        for (unsigned i = 0; i < 7; i++) {
            const unsigned at = late && !in_order ? (i + 1) % 7 : i;
            const bool together = in_order && !write && !late && at > 0;

            if (!together) {
                assert_used(bench, turn + i, (uint16_t)(50 + at), at == 0 ? 9 : write ? 9 + at : 0);
            } else if (at == 1) {
                assert_used(bench, turn + i, 56, 0);
            } else {
                g_assert_cmpmem(guest(bench, slot_gpa(bench, turn + i), 16), 16,
                                &before[16 * ((turn + i) % 7)], 16);
            }
        }
        bench_free(bench);
    }
}

/* ---- How often a word is read, and in which order it is written ---- */

/* Words written: where, in the memory, and whether what was before is there before. */
static struct written {
    size_t at;
    bool release;
} log_of[4096];
static unsigned n_log;

static void note_write(const void *p, bool release)
{
    g_assert_cmpuint(n_log, <, G_N_ELEMENTS(log_of));
    log_of[n_log++] = (struct written){counted_at(p), release};
}

static void noted_store64(void *p, uint64_t v)
{
    note_write(p, false);
    guest_store64(p, v);
}

static void noted_store64_release(void *p, uint64_t v)
{
    note_write(p, true);
    guest_store64_release(p, v);
}

#define guest_load32(p)             counted_load32(p)
#define guest_load64(p)             counted_load64(p)
#define guest_load64_acquire(p)     counted_load64_acquire(p)
#define guest_store64(p, v)         noted_store64(p, v)
#define guest_store64_release(p, v) noted_store64_release(p, v)
#define ring_format_packed          counted_format
#define walk_add                    counted_walk_add
#define walk_enter                  counted_walk_enter
#define walk_entry                  counted_walk_entry
#define walk_finish                 counted_walk_finish
#include "ring/packed.c"
#include "ring/walk.c"

static struct bench *bench_counted(uint16_t size, bool event_idx)
{
    struct bench *bench = bench_packed(size, event_idx, false);

    n_log = 0;
    bench_count(bench, &counted_format);
    return bench;
}

/* T-01, T-02: a list, a table and a burst; nothing of a word is read a second time. */
static void test_reads_once(void)
{
    struct bench *bench = bench_counted(64, true);
    const uint64_t table = bench->data + PAGE;
    struct ring_plain plain[16];

    put_list(bench, 5, 1);
    pop_one(bench);
    assert_read(bench->desc, 5 * 16, 1);
    assert_nothing_else_read();

    put_entry(bench, table, bench->data, 10, 0, 0);
    put_entry(bench, table + 16, bench->data, 10, 0, 0);
    put(bench, table, 32, 1, TABLE);
    pop_one(bench);
    assert_read(bench->desc + 5 * 16, 16, 1);
    assert_read(table, 32, 1);
    assert_nothing_else_read();

    for (unsigned i = 0; i < 10; i++) {
        put_list(bench, 1, 1);
    }
    g_assert_cmpuint(ring_pop_plain(&bench->ring, false, plain, 16), ==, 10);
    assert_read(bench->desc + 6 * 16, 10 * 16, 1);
    assert_read(bench->desc + 16 * 16 + 8, 8, 1); /* that there is no eleventh */
    assert_nothing_else_read();
    g_assert_cmpint(pop(bench), ==, 0);
    assert_read(bench->desc + 16 * 16 + 8, 8, 1);

    for (unsigned i = 0; i < 10; i++) {
        const struct chain_ref ref = ring_plain_ref(&plain[i]);

        ring_push(&bench->ring, &ref, 0);
    }
    ring_flush(&bench->ring);
    ring_must_notify(&bench->ring);
    assert_read(bench->driver, 4, 1);
    assert_nothing_else_read(); /* nothing of what was used, nor of the device's own word */
    bench_free_counted(bench);
}

/* R-06, T-01: a refused list is read once and no further than the ring is long. */
static void test_refusal_reads_once(void)
{
    struct bench *bench = bench_counted(8, false);

    for (unsigned i = 0; i < 8; i++) {
        put(bench, bench->data, 1, 1, NEXT);
    }
    assert_refused(bench, VIONET_VIOLATION_CHAIN_LENGTH, 0, 8);
    assert_read(bench->desc, 8 * 16, 1);
    assert_nothing_else_read();

    g_assert_true(bench_start(bench));
    bench->ring.ops = &counted_format;
    put(bench, bench->data, 1, 1, NEXT);
    assert_refused(bench, VIONET_VIOLATION_CHAIN_UNAVAILABLE, 1, 0);
    assert_read(bench->desc, 16, 1);
    assert_read(bench->desc + 16 + 8, 8, 1); /* its state, and nothing that it may not be */
    assert_nothing_else_read();
    g_assert_cmpuint(n_log, ==, 0);
    bench_free_counted(bench);
}

/*
 * Several buffers are shown at once: the first used descriptor is written last, in order behind the
 * others; each is written once, and no descriptor that was shown is written again in its round.
 */
static void test_order_of_writing(void)
{
    struct bench *bench = bench_counted(7, false);
    unsigned at = 0; /* the place that is used next */

    for (unsigned round = 0; round < 60; round++) {
        struct chain_ref refs[3];
        unsigned places[3];
        const unsigned n = 1 + round % 3;

        n_log = 0;
        for (unsigned i = 0; i < n; i++) {
            put_list(bench, 1 + (round + i) % 2, (uint16_t)i);
            refs[i] = pop_one(bench);
            ring_push(&bench->ring, &refs[i], i);
            places[i] = at;
            at += refs[i].n_desc;
        }
        g_assert_cmpuint(n_log, ==, n - 1); /* behind the place at which the driver looks */
        g_assert_true(ring_flush(&bench->ring));
        g_assert_cmpuint(n_log, ==, n);
        for (unsigned i = 0; i < n; i++) {
            const unsigned which = i + 1 < n ? i + 1 : 0;

            g_assert_cmpuint(log_of[i].at, ==, slot_gpa(bench, places[which]) + 8 - BASE);
            g_assert_true(log_of[i].release == (which == 0));
        }
    }
    bench_free_counted(bench);
}

/* ---- Handed over (M-07), and what is noted of it ---- */

/* The ring goes on in another device, whose base may leave out the used place. */
static void test_handed_over(void)
{
    for (unsigned turns = 0; turns < 12; turns++) {
        for (unsigned half = 0; half < 2; half++) {
            struct bench *bench = bench_packed(5, false, false);
            uint32_t base;

            bench_turn(bench, turns);
            base = ring_base(&bench->ring);
            g_assert_cmphex(base, ==, (turns % 5 | (turns / 5 % 2 ? 0 : 0x8000)) * 0x10001u);
            bench->setup.resumes = true;
            bench->setup.base = half ? base & 0xffff : base;
            g_assert_true(ring_start(&bench->ring, &bench->setup, bench->map));
            bench_turn(bench, 7);
            for (unsigned i = turns + 2; i < turns + 7; i++) {
                assert_used(bench, i, 1, 0);
            }
            bench_free(bench);
        }
    }
}

/* A place that the ring does not have is the first. */
static void test_handed_over_nonsense(void)
{
    struct bench *bench = bench_packed(5, false, false);

    bench->setup.resumes = true;
    bench->setup.base = 0xffffffff;
    g_assert_true(ring_start(&bench->ring, &bench->setup, bench->map));
    bench_turn(bench, 12);
    assert_used(bench, 11, 1, 0);
    bench_free(bench);
}

/* Used descriptors are noted where they are, round the end too; the event structure where it is said. */
static void test_noted(void)
{
    struct bench *bench = bench_packed(600, false, false); /* two pages and a half */
    uint8_t bits[(BASE + ROOM) / PAGE / 8 + 1] = {0};
    const struct memory_log log = {bits, sizeof(bits)};
    struct memory_map *map = memory_map_logged(bench->map, &log);
    const unsigned first = (unsigned)(bench->desc / PAGE);
    const unsigned elsewhere = first + 40;

    bench->setup.logs = true;
    bench->setup.log_gpa = (uint64_t)elsewhere * PAGE;
    g_assert_true(ring_start(&bench->ring, &bench->setup, map));
    bench_turn(bench, 599);
    memset(bits, 0, sizeof(bits));
    bench_turn(bench, 1);
    for (unsigned page = 0; page < 8 * sizeof(bits); page++) {
        g_assert_cmpuint(bits[page / 8] >> page % 8 & 1, ==, page == first + 2);
    }
    bench_turn(bench, 599);
    memset(bits, 0, sizeof(bits));
    for (unsigned i = 0; i < 2; i++) { /* the last place and the first, shown together */
        struct chain_ref ref;

        put_list(bench, 1, 1);
        ref = pop_one(bench);
        ring_push(&bench->ring, &ref, 0);
    }
    ring_flush(&bench->ring);
    ring_disable_kicks(&bench->ring);
    for (unsigned page = 0; page < 8 * sizeof(bits); page++) {
        g_assert_cmpuint(bits[page / 8] >> page % 8 & 1, ==,
                         page == first || page == first + 2 || page == elsewhere);
    }
    bench_free(bench);
    g_free(map);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/packed/hand-worked/octets-of-a-ring-of-3", test_hand_worked);
    g_test_add_func("/packed/setup/G-06/octets-and-alignment-of-the-parts", test_parts);
    g_test_add_func("/packed/setup/any-size", test_any_size);
    g_test_add_func("/packed/wrap/R-14/lists-of-every-length", test_rounds);
    g_test_add_func("/packed/wrap/R-13/four-states", test_four_states);
    g_test_add_func("/packed/in-flight/R-02/never-more-than-the-ring", test_in_flight_is_bounded);
    g_test_add_func("/packed/in-flight/R-02/a-list-into-what-is-out", test_list_meets_what_is_out);
    g_test_add_func("/packed/in-flight/R-22/any-id", test_any_id);
    g_test_add_func("/packed/unpop/R-03/leaves-no-trace", test_unpop_leaves_no_trace);
    g_test_add_func("/packed/plain/push", test_push_plain);
    g_test_add_func("/packed/in-order/R-27/every-permutation", test_in_order);
    g_test_add_func("/packed/events/literal-definition", test_events_by_definition);
    g_test_add_func("/packed/events/inside-a-list", test_event_inside_a_list);
    g_test_add_func("/packed/events/flags", test_event_flags);
    g_test_add_func("/packed/events/asks-for-kicks", test_kicks);
    g_test_add_func("/packed/X-01/no-kick-is-lost", test_no_kick_is_lost);
    g_test_add_func("/packed/X-01/no-interrupt-is-lost", test_no_interrupt_is_lost);
    g_test_add_func("/packed/chain/R-07/longest", test_longest);
    g_test_add_func("/packed/chain/flags-of-tables", test_flags_of_tables);
    g_test_add_func("/packed/chain/R-01/empty-elements", test_empty_elements);
    g_test_add_func("/packed/G-01/descriptor-ring-over-a-seam", test_over_a_seam);
    g_test_add_func("/packed/plain/same-as-pop", test_plain_is_pop);
    g_test_add_func("/packed/read-once/T-02/pop", test_reads_once);
    g_test_add_func("/packed/read-once/T-01/refusal", test_refusal_reads_once);
    g_test_add_func("/packed/publish/first-of-several-is-last", test_order_of_writing);
    g_test_add_func("/packed/handed-over/M-07/goes-on", test_handed_over);
    g_test_add_func("/packed/handed-over/M-07/nonsense", test_handed_over_nonsense);
    g_test_add_func("/packed/handed-over/M-07/noted", test_noted);
    return g_test_run();
}
