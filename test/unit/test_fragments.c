/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which fragments of IPv4 go on to libslirp (device/fragments.c): those that come in order, of a packet that is not
 * forgotten; and of no other packet the rest.
 */
#include <string.h>

#include <glib.h>

#include "checksum.h"
#include "fragments.h"

#define SECOND INT64_C(1000000)

struct shape {
    unsigned id;
    unsigned begin;
    unsigned len;
    bool last;
    unsigned options; /* words */
    bool df;
};

/* A frame in memory of exactly its length. */
static uint8_t *build(const struct shape *shape, size_t *len)
{
    const size_t header = 20 + 4 * shape->options;
    uint8_t *frame;
    uint8_t *ip;

    *len = 14 + header + shape->len;
    frame = g_malloc0(*len);
    put_be16(frame + 12, 0x0800);
    ip = frame + 14;
    ip[0] = (uint8_t)(0x40 | header / 4);
    put_be16(ip + 2, header + shape->len);
    put_be16(ip + 4, shape->id);
    put_be16(ip + 6, shape->begin / 8 | (shape->last ? 0u : 0x2000u) | (shape->df ? 0x4000u : 0u));
    ip[8] = 64;
    ip[9] = 17;
    put_be32(ip + 12, 0x0a00020f);
    put_be32(ip + 16, 0x0a000202);
    put_checksum(ip + 10, sum_octets(ip, header));
    return frame;
}

static bool pass_at(struct fragments *fragments, const struct shape *shape, int64_t now_us)
{
    size_t len;
    uint8_t *frame = build(shape, &len);
    const bool passed = fragments_pass(fragments, frame, len, now_us, now_us);

    g_free(frame);
    return passed;
}

static bool pass(struct fragments *fragments, unsigned id, unsigned begin, unsigned len, bool last)
{
    return pass_at(fragments, &(struct shape){.id = id, .begin = begin, .len = len, .last = last},
                   SECOND);
}

static void test_in_order(void)
{
    struct fragments fragments = {0};

    for (unsigned i = 0; i < 1000; i++) { /* the same name again and again */
        g_assert_true(pass(&fragments, 1, 0, 1480, false));
        g_assert_true(pass(&fragments, 2, 0, 8, false)); /* another one meanwhile */
        g_assert_true(pass(&fragments, 1, 1480, 1480, false));
        g_assert_true(pass(&fragments, 2, 8, 1, true));
        g_assert_true(pass(&fragments, 1, 2960, 40, true));
    }
    g_assert_true(pass(&fragments, 3, 0, 65504, false));
    g_assert_true(pass(&fragments, 3, 65504, 11, true)); /* the longest packet */
}

/* A last fragment alone, and whatever does not begin where the one before it ended. */
static void test_out_of_order(void)
{
    static const struct shape others[] = {
        {.begin = 8, .len = 8, .last = true},
        {.begin = 0, .len = 16},
        {.begin = 0, .len = 24},
        {.begin = 8, .len = 8},
        {.begin = 8, .len = 16},
        {.begin = 24, .len = 8, .last = true},
        {.begin = 65504, .len = 8},
        {.begin = 0, .len = 8},
    };
    struct fragments fragments = {0};

    g_assert_false(pass(&fragments, 1, 8, 8, true));
    g_assert_false(pass(&fragments, 1, 1480, 0, true));
    g_assert_false(pass(&fragments, 1, 1480, 1480, false));
    for (unsigned i = 0; i < G_N_ELEMENTS(others); i++) {
        struct shape other = others[i];

        other.id = 10 + i;
        g_assert_true(pass(&fragments, 10 + i, 0, 16, false));
        g_assert_false(pass_at(&fragments, &other, SECOND));
        g_assert_false(pass(&fragments, 10 + i, 16, 8, true)); /* spoiled */
        g_assert_false(pass(&fragments, 10 + i, 0, 16, false));
    }
}

/* What libslirp would not take must not count as taken. */
static void test_unsound(void)
{
    static const struct {
        unsigned at;
        uint8_t flip;
    } cases[] = {
        {14, 0x10}, {14, 0x01}, {14, 0x0f}, {14, 0x05}, {16, 0x80},
        {17, 0x20}, {20, 0x80}, {22, 0x40}, {24, 0x01}, {25, 0x80},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        for (unsigned mended = 0; mended < 2; mended++) {
            struct fragments fragments = {0};
            size_t len;
            uint8_t *frame = build(&(struct shape){.id = 1, .len = 16}, &len);

            frame[cases[i].at] ^= cases[i].flip;
            if (mended && cases[i].at < 24) {
                const size_t header = (frame[14] & 0xfu) * 4;

                put_be16(frame + 24, 0);
                put_checksum(frame + 24, sum_octets(frame + 14, MIN(header, len - 14)));
            }
            g_assert_false(fragments_pass(&fragments, frame, len, SECOND, SECOND));
            g_assert_false(pass(&fragments, 1, 16, 8, true));
            g_free(frame);
        }
    }
    for (unsigned len = 0; len < 16; len++) { /* nothing, or ends that no fragment has */
        struct fragments fragments = {0};

        g_assert_true(pass(&fragments, 1, 0, len, false) == (len == 8));
        g_assert_true(pass(&fragments, 2, 0, 8, false));
        g_assert_true(pass(&fragments, 2, 8, len, true) == (len > 0));
    }
    for (unsigned begin = 65496; begin < 65536; begin += 8) { /* longer than a packet can be */
        struct fragments fragments = {0};

        g_assert_true(pass(&fragments, 1, 0, 65496, false));
        g_assert_true(pass(&fragments, 1, begin, 20, true) ==
                      (begin == 65496 && begin + 40 <= 65535));
    }
    for (unsigned options = 0; options <= 10; options++) { /* with the first one's header */
        struct fragments fragments = {0};

        g_assert_true(pass_at(&fragments,
                              &(struct shape){.id = 1, .len = 65464, .options = options}, SECOND));
        g_assert_true(pass(&fragments, 1, 65464, 31, true) == (options <= 5));
    }
}

static void test_other_frames(void)
{
    struct fragments fragments = {0};
    size_t len;
    uint8_t *frame;

    for (unsigned df = 0; df < 2; df++) {
        g_assert_true(pass_at(&fragments, &(struct shape){.len = 9, .last = true, .df = df}, 0));
    }
    frame = build(&(struct shape){.begin = 8, .len = 8}, &len);
    g_assert_false(fragments_pass(&fragments, frame, len, 0, 0));
    for (size_t cut = 0; cut < len; cut++) { /* libslirp drops what is short of its header itself */
        uint8_t *part = g_memdup2(frame, MAX(cut, 1));

        g_assert_true(fragments_pass(&fragments, part, cut, 0, 0) == (cut < 34));
        g_free(part);
    }
    put_be16(frame + 12, 0x86dd);
    g_assert_true(fragments_pass(&fragments, frame, len, 0, 0));
    g_free(frame);
}

static void test_time(void)
{
    struct fragments fragments = {0};
    const struct shape first = {.id = 1, .len = 8};
    const struct shape second = {.id = 1, .begin = 8, .len = 8};

    g_assert_true(pass_at(&fragments, &first, 0));
    g_assert_true(pass_at(&fragments, &second, FRAGMENTS_PATIENCE_US));
    g_assert_true(pass_at(&fragments, &first, FRAGMENTS_MEMORY_US));
    g_assert_false(
        pass_at(&fragments, &second,
                FRAGMENTS_MEMORY_US + FRAGMENTS_PATIENCE_US + 1)); /* it may be forgotten */
    g_assert_false(pass_at(&fragments, &first, 2 * FRAGMENTS_MEMORY_US - 1)); /* or may not */
    g_assert_true(pass_at(&fragments, &first, 2 * FRAGMENTS_MEMORY_US));
}

/* While the clock of libslirp stands, it forgets nothing. */
static void test_a_clock_that_stands(void)
{
    struct fragments fragments = {0};
    size_t len;
    uint8_t *frame = build(&(struct shape){.id = 1, .len = 8}, &len);

    g_assert_true(fragments_pass(&fragments, frame, len, 0, 0));
    for (int64_t now = 1; now < 1000; now++) {
        g_assert_false(fragments_pass(&fragments, frame, len, now * SECOND, 0));
    }
    g_assert_true(fragments_pass(&fragments, frame, len, 1000 * SECOND, FRAGMENTS_MEMORY_US));
    g_free(frame);
}

/* As many packets as there is room for; one that ends makes room, and so does time. */
static void test_many(void)
{
    struct fragments fragments = {0};

    for (unsigned i = 0; i < FRAGMENTS_PACKETS; i++) {
        g_assert_true(pass(&fragments, i, 0, 8, false));
    }
    g_assert_false(pass(&fragments, 1000, 0, 8, false));
    g_assert_true(pass(&fragments, 7, 8, 8, true));
    g_assert_true(pass(&fragments, 1000, 0, 8, false));
    g_assert_false(pass(&fragments, 7, 0, 8, false));
    for (unsigned i = 0; i < FRAGMENTS_PACKETS; i++) {
        g_assert_true(pass_at(&fragments, &(struct shape){.id = 2000 + i, .len = 8},
                              SECOND + FRAGMENTS_MEMORY_US));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fragments/in-order", test_in_order);
    g_test_add_func("/fragments/out-of-order", test_out_of_order);
    g_test_add_func("/fragments/unsound", test_unsound);
    g_test_add_func("/fragments/other-frames", test_other_frames);
    g_test_add_func("/fragments/time", test_time);
    g_test_add_func("/fragments/a-clock-that-stands", test_a_clock_that_stands);
    g_test_add_func("/fragments/many", test_many);
    return g_test_run();
}
