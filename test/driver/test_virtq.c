/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver's side of a virtqueue against octets worked by hand from VIRTIO 1.4, 2.7 (split) and
 * 2.8 (packed). There is no device here: a test writes what the device would, itself.
 */
#include <string.h>

#include <glib.h>
#include <vionet/spec.h>

#include "bytes.h"
#include "packed.h"
#include "split.h"

/* A queue of 4: table of 64 octets, available ring of 14, used ring of 38. */
#define QUEUE  4
#define TABLE  0x10000
#define AVAIL  0x10100
#define USED   0x10200
#define BUFFER 0x11000

struct bench {
    struct guest_memory *memory;
    struct complaints *complaints;
    struct virtq *vq;
};

static const struct virtq_options plain = {
    .size = QUEUE,
    .area = {TABLE, AVAIL, USED},
};

/* A packed queue has its event words in place of the two rings; and any size. */
static const struct virtq_options packed = {
    .size = QUEUE,
    .packed = true,
    .area = {TABLE, AVAIL, USED},
};
static const struct virtq_options packed_3 = {
    .size = 3,
    .packed = true,
    .area = {TABLE, AVAIL, USED},
};

static void set_up(struct bench *bench, const struct virtq_options *options)
{
    bench->memory = guest_memory_flat(0x10000, 0x10000);
    bench->complaints = complaints_new();
    bench->vq = virtq_new(bench->memory, bench->complaints, "test", options);
    g_assert_nonnull(bench->vq);
}

static void tear_down(struct bench *bench)
{
    virtq_free(bench->vq);
    complaints_free(bench->complaints);
    guest_memory_free(bench->memory);
}

static void assert_no_complaints(struct bench *bench)
{
    char *text = complaints_text(bench->complaints);

    g_assert_cmpstr(text, ==, "");
    g_free(text);
}

/* Compare guest memory with octets in hexadecimal; blanks and bars are for the reader. */
static void assert_octets(struct bench *bench, uint64_t gpa, const char *hex)
{
    GString *found = g_string_new(NULL);
    GString *wanted = g_string_new(NULL);
    const uint8_t *at;

    for (; *hex; hex++) {
        if (g_ascii_isxdigit(*hex)) {
            g_string_append_c(wanted, *hex);
        }
    }
    at = guest_ptr(bench->memory, gpa, wanted->len / 2);
    for (gsize i = 0; i < wanted->len / 2; i++) {
        g_string_append_printf(found, "%02x", at[i]);
    }
    g_assert_cmpstr(found->str, ==, wanted->str);
    g_string_free(found, TRUE);
    g_string_free(wanted, TRUE);
}

/* What the device does: an element into a slot, and its index. */
static void device_uses(struct bench *bench, unsigned slot, uint32_t id, uint32_t len)
{
    uint8_t element[8];

    bytes_put32(element, id);
    bytes_put32(element + 4, len);
    g_assert_true(guest_write(bench->memory, USED + 4 + 8 * slot, element, sizeof(element)));
}

static void device_writes(struct bench *bench, uint64_t gpa, uint16_t value)
{
    uint8_t word[2];

    bytes_put16(word, value);
    g_assert_true(guest_write(bench->memory, gpa, word, sizeof(word)));
}

static void device_idx(struct bench *bench, uint16_t idx)
{
    device_writes(bench, USED + 2, idx);
}

static void device_event(struct bench *bench, uint16_t idx)
{
    device_writes(bench, USED + 4 + 8 * QUEUE, idx);
}

static void assert_polls(struct bench *bench, const char *cookie, uint32_t len)
{
    struct virtq_used used;

    g_assert_true(virtq_poll(bench->vq, &used));
    g_assert_cmpstr(used.cookie, ==, cookie);
    g_assert_cmpuint(used.len, ==, len);
}

static void assert_polls_nothing(struct bench *bench)
{
    struct virtq_used used;

    g_assert_false(virtq_poll(bench->vq, &used));
}

/* Cookies are words here. */
static bool add(struct bench *bench, const struct virtq_segment *segments, unsigned n,
                const char *cookie)
{
    return virtq_add(bench->vq, segments, n, (void *)cookie);
}

static bool add_table(struct bench *bench, const struct virtq_segment *segments, unsigned n,
                      unsigned n_direct, uint64_t table_gpa, const char *cookie)
{
    return virtq_add_indirect(bench->vq, segments, n, n_direct, table_gpa, (void *)cookie);
}

static void add_one(struct bench *bench, const char *cookie)
{
    struct virtq_segment segment = {BUFFER, 0x100, true};

    g_assert_true(add(bench, &segment, 1, cookie));
}

static void offer(struct bench *bench, uint16_t head, const char *cookie)
{
    split_offer(bench->vq, head, (void *)cookie);
}

/* Add, publish, use and poll n buffers, one at a time: both indices move on by n. */
static void turn(struct bench *bench, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct virtq_used used;
        uint16_t idx = split_read_used_idx(bench->vq);
        uint8_t head[2];

        add_one(bench, "turn");
        virtq_publish(bench->vq);
        g_assert_true(guest_read(bench->memory, AVAIL + 4 + 2 * (idx % QUEUE), head, 2));
        device_uses(bench, idx % QUEUE, bytes_get16(head), 0);
        device_idx(bench, idx + 1);
        g_assert_true(virtq_poll(bench->vq, &used));
    }
}

static void test_direct_chain(void)
{
    static const struct virtq_segment segments[] = {
        {0x1122334455667788, 12, false},
        {0xa0b0c0d0e0f00010, 0x01020304, true},
    };
    struct bench bench;

    set_up(&bench, &plain);
    guest_fill(bench.memory, TABLE + 64, 0x40, 0xee);
    g_assert_true(add(&bench, segments, 2, "a"));
    assert_octets(&bench, TABLE,
                  "8877665544332211 0c000000 0100 0100" /* NEXT, 1 */
                  "1000f0e0d0c0b0a0 04030201 0200 0000" /* WRITE */
                  "0000000000000000 00000000 0000 0000"
                  "0000000000000000 00000000 0000 0000"
                  "eeeeeeee");
    assert_octets(&bench, AVAIL, "0000 0000 | 0000 0000 0000 0000 | 0000");
    virtq_publish(bench.vq);
    assert_octets(&bench, AVAIL, "0000 0100 | 0000 0000 0000 0000 | 0000");

    /* The second chain takes the other two, and there is no room for a third. */
    g_assert_true(add(&bench, segments, 2, "b"));
    g_assert_false(add(&bench, segments, 1, "c"));
    virtq_publish(bench.vq);
    assert_octets(&bench, TABLE + 32,
                  "8877665544332211 0c000000 0100 0300"
                  "1000f0e0d0c0b0a0 04030201 0200 0000"
                  "eeeeeeee");
    assert_octets(&bench, AVAIL, "0000 0200 | 0000 0200 0000 0000 | 0000");
    g_assert_cmpuint(virtq_in_flight(bench.vq), ==, 2);
    g_assert_cmpuint(virtq_room(bench.vq), ==, 0);

    assert_polls_nothing(&bench);
    device_uses(&bench, 0, 2, 0x01020304);
    device_uses(&bench, 1, 0, 7);
    device_idx(&bench, 2);
    assert_polls(&bench, "b", 0x01020304);
    assert_polls(&bench, "a", 7);
    assert_polls_nothing(&bench);
    g_assert_cmpuint(virtq_room(bench.vq), ==, QUEUE);

    /* Last freed is first taken: 0, 1, then 2. */
    g_assert_true(add(&bench, segments, 2, "d"));
    g_assert_true(add(&bench, segments, 1, "e"));
    virtq_publish(bench.vq);
    assert_octets(&bench, AVAIL, "0000 0400 | 0000 0200 0000 0200 | 0000");
    assert_octets(&bench, TABLE,
                  "8877665544332211 0c000000 0100 0100"
                  "1000f0e0d0c0b0a0 04030201 0200 0000"
                  "8877665544332211 0c000000 0000 0000");
    g_assert_true(virtq_verify(bench.vq));
    assert_no_complaints(&bench);
    tear_down(&bench);
}

static void test_indirect_chain(void)
{
    static const struct virtq_segment segments[] = {
        {0x100, 1, false},
        {0x200, 2, false},
        {0x300, 3, true},
    };
    struct virtq_options options = plain;
    struct bench bench;

    options.indirect = true;
    set_up(&bench, &options);
    guest_fill(bench.memory, BUFFER, 0x100, 0xee);

    /* All three in the table: one descriptor of 48 octets of table. */
    g_assert_true(add_table(&bench, segments, 3, 0, BUFFER, "a"));
    assert_octets(&bench, BUFFER,
                  "0001000000000000 01000000 0100 0100"
                  "0002000000000000 02000000 0100 0200"
                  "0003000000000000 03000000 0200 0000"
                  "eeee");
    assert_octets(&bench, TABLE, "0010010000000000 30000000 0400 0000");

    /* One direct, then the table of two (2.7.5.3). */
    g_assert_true(add_table(&bench, segments, 3, 1, BUFFER + 0x80, "b"));
    assert_octets(&bench, BUFFER + 0x80,
                  "0002000000000000 02000000 0100 0100"
                  "0003000000000000 03000000 0200 0000"
                  "eeee");
    assert_octets(&bench, TABLE + 16,
                  "0001000000000000 01000000 0100 0200"
                  "8010010000000000 20000000 0400 0000"
                  "0000000000000000 00000000 0000 0000");
    g_assert_cmpuint(virtq_room(bench.vq), ==, 1);
    g_assert_false(add_table(&bench, segments, 3, 1, BUFFER, "c"));
    g_assert_false(add_table(&bench, segments, 3, 3, BUFFER, "c"));
    g_assert_false(add_table(&bench, segments, 3, 0, 0x20000 - 47, "c"));
    virtq_publish(bench.vq);
    assert_octets(&bench, AVAIL, "0000 0200 | 0000 0100 0000 0000 | 0000");

    device_uses(&bench, 0, 1, 3);
    device_uses(&bench, 1, 0, 2);
    device_idx(&bench, 2);
    assert_polls(&bench, "b", 3);
    assert_polls(&bench, "a", 2);
    g_assert_cmpuint(virtq_room(bench.vq), ==, QUEUE);
    assert_no_complaints(&bench);
    tear_down(&bench);
}

static void test_index_wraps(void)
{
    struct bench bench;

    set_up(&bench, &plain);
    turn(&bench, 65535);
    assert_octets(&bench, AVAIL, "0000 ffff");
    g_assert_cmpuint(virtq_position(bench.vq), ==, 0xffff);
    /* Slot 3 is entry 65535, slot 0 entry 65536. */
    add_one(&bench, "a");
    add_one(&bench, "b");
    virtq_publish(bench.vq);
    assert_octets(&bench, AVAIL, "0000 0100 | 0100 0000 0000 0000 | 0000");
    g_assert_cmpuint(virtq_position(bench.vq), ==, 1);
    device_uses(&bench, 3, 0, 1);
    device_uses(&bench, 0, 1, 2);
    device_idx(&bench, 1);
    assert_polls(&bench, "a", 1);
    assert_polls(&bench, "b", 2);
    assert_polls_nothing(&bench);
    assert_no_complaints(&bench);
    tear_down(&bench);
}

static void test_in_order_goes_round(void)
{
    static const struct virtq_segment segments[] = {{1, 1, true}, {2, 1, true}, {3, 1, true}};
    struct virtq_options options = plain;
    struct bench bench;

    options.in_order = true;
    set_up(&bench, &options);
    g_assert_true(add(&bench, segments, 3, "a"));
    virtq_publish(bench.vq);
    device_uses(&bench, 0, 0, 3);
    device_idx(&bench, 1);
    assert_polls(&bench, "a", 3);
    g_assert_true(add(&bench, segments, 3, "b"));
    virtq_publish(bench.vq);
    /* 3, then next is 0, then 1; descriptor 2 is left from the first chain. */
    assert_octets(&bench, TABLE,
                  "0200000000000000 01000000 0300 0100"
                  "0300000000000000 01000000 0200 0000"
                  "0300000000000000 01000000 0200 0000"
                  "0100000000000000 01000000 0300 0000");
    assert_octets(&bench, AVAIL, "0000 0200 | 0000 0300 0000 0000 | 0000");
    assert_no_complaints(&bench);
    tear_down(&bench);
}

static void test_in_order_batch(void)
{
    struct virtq_options options = plain;
    struct bench bench;

    options.in_order = true;
    set_up(&bench, &options);
    add_one(&bench, "a");
    add_one(&bench, "b");
    add_one(&bench, "c");
    add_one(&bench, "d");
    virtq_publish(bench.vq);

    /* One element for three buffers, in the slot of the first; the index jumps over them. */
    device_uses(&bench, 0, 2, 9);
    device_idx(&bench, 3);
    assert_polls(&bench, "a", 0x100);
    assert_polls(&bench, "b", 0x100);
    assert_polls(&bench, "c", 9);
    assert_polls_nothing(&bench);
    device_uses(&bench, 3, 3, 8);
    device_idx(&bench, 4);
    assert_polls(&bench, "d", 8);
    assert_no_complaints(&bench);
    tear_down(&bench);
}

static void test_in_order_violated(void)
{
    struct virtq_options options = plain;
    struct bench bench;

    options.in_order = true;
    set_up(&bench, &options);
    add_one(&bench, "a");
    add_one(&bench, "b");
    virtq_publish(bench.vq);
    device_uses(&bench, 0, 1, 9);
    device_idx(&bench, 1);
    assert_polls_nothing(&bench);
    g_assert_true(complaints_mention(bench.complaints, "in spite of IN_ORDER"));
    g_assert_true(virtq_broken(bench.vq));
    tear_down(&bench);
}

/* The table of need_event: event word, index at the last decision, index now. */
static void test_kick_by_event_index(void)
{
    static const struct {
        uint16_t event;
        uint16_t old;
        uint16_t new;
        bool kick;
    } rows[] = {
        {0, 0, 1, true},          {5, 2, 5, false},         {5, 2, 6, true},
        {2, 2, 3, true},          {1, 2, 3, false},         {3, 2, 3, false},
        {65535, 65534, 1, true},  {1, 65534, 1, false},     {0, 65535, 1, true},
        {65534, 65535, 1, false}, {65533, 65534, 2, false}, {1, 65534, 2, true},
    };
    struct virtq_options options = plain;

    options.event_idx = true;
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct bench bench;

        set_up(&bench, &options);
        turn(&bench, rows[i].old);
        device_event(&bench, 0x8000);
        virtq_must_kick(bench.vq); /* the decision that makes old */
        device_event(&bench, rows[i].event);
        for (uint16_t idx = rows[i].old; idx != rows[i].new; idx++) {
            add_one(&bench, "kick");
        }
        /* Nothing is shown yet, so there is nothing to tell. */
        g_assert_false(virtq_must_kick(bench.vq));
        virtq_publish(bench.vq);
        g_assert_true(virtq_must_kick(bench.vq) == rows[i].kick);
        g_assert_false(virtq_must_kick(bench.vq));
        assert_no_complaints(&bench);
        tear_down(&bench);
    }
}

static void test_kick_by_flags(void)
{
    struct bench bench;

    set_up(&bench, &plain);
    device_event(&bench, 0x7777); /* of no meaning here */
    g_assert_false(virtq_must_kick(bench.vq));
    add_one(&bench, "a");
    virtq_publish(bench.vq);
    g_assert_true(virtq_must_kick(bench.vq));
    g_assert_false(virtq_must_kick(bench.vq));
    device_writes(&bench, USED, VIRTQ_USED_F_NO_NOTIFY);
    add_one(&bench, "b");
    virtq_publish(bench.vq);
    g_assert_false(virtq_must_kick(bench.vq));
    assert_no_complaints(&bench);
    device_writes(&bench, USED, 2);
    add_one(&bench, "c");
    virtq_publish(bench.vq);
    g_assert_true(virtq_must_kick(bench.vq));
    g_assert_true(complaints_mention(bench.complaints, "used flags"));
    tear_down(&bench);
}

static void test_interrupts_by_flags(void)
{
    struct bench bench;

    set_up(&bench, &plain);
    virtq_disable_interrupts(bench.vq);
    assert_octets(&bench, AVAIL, "0100");
    g_assert_true(virtq_enable_interrupts(bench.vq, 1));
    assert_octets(&bench, AVAIL, "0000");
    add_one(&bench, "a");
    virtq_publish(bench.vq);
    device_uses(&bench, 0, 0, 0);
    device_idx(&bench, 1);
    g_assert_false(virtq_enable_interrupts(bench.vq, 1));
    assert_polls(&bench, "a", 0);
    assert_no_complaints(&bench);
    tear_down(&bench);
}

static void test_interrupts_by_event_index(void)
{
    struct virtq_options options = plain;
    struct bench bench;

    options.event_idx = true;
    set_up(&bench, &options);
    for (unsigned i = 0; i < 3; i++) {
        add_one(&bench, "a");
    }
    virtq_publish(bench.vq);
    /* used_event stands behind the ring: octets 12 and 13. */
    assert_octets(&bench, AVAIL, "0000 0300 | 0000 0100 0200 0000 | 0000");
    device_uses(&bench, 0, 0, 0);
    device_idx(&bench, 1);
    assert_polls(&bench, "a", 0);
    assert_octets(&bench, AVAIL + 12, "0000");
    /* Only when nothing is left is the next one asked for. */
    assert_polls_nothing(&bench);
    assert_octets(&bench, AVAIL + 12, "0100");

    virtq_disable_interrupts(bench.vq);
    assert_octets(&bench, AVAIL, "0000 0300 | 0000 0100 0200 0000 | 0000");
    assert_polls_nothing(&bench);
    assert_octets(&bench, AVAIL + 12, "0000");

    /* The second from here: index 2. One is used meanwhile, which is not enough. */
    device_uses(&bench, 1, 1, 0);
    device_idx(&bench, 2);
    g_assert_true(virtq_enable_interrupts(bench.vq, 2));
    assert_octets(&bench, AVAIL + 12, "0200");
    assert_polls(&bench, "a", 0);
    /* What was asked for further on stands. */
    g_assert_true(virtq_enable_interrupts(bench.vq, 3));
    assert_polls_nothing(&bench);
    assert_octets(&bench, AVAIL + 12, "0400");
    assert_no_complaints(&bench);
    tear_down(&bench);
}

static void test_used_id_not_in_flight(void)
{
    struct bench bench;

    set_up(&bench, &plain);
    add_one(&bench, "a");
    add_one(&bench, "b");
    virtq_publish(bench.vq);
    add_one(&bench, "hidden");
    device_uses(&bench, 0, 3, 0);
    device_uses(&bench, 1, 1, 0);
    device_idx(&bench, 2);
    assert_polls(&bench, "b", 0);
    g_assert_true(complaints_mention(bench.complaints, "used id 3 is not in flight"));
    tear_down(&bench);

    set_up(&bench, &plain);
    add_one(&bench, "a");
    virtq_publish(bench.vq);
    add_one(&bench, "hidden");
    device_uses(&bench, 0, 1, 0);
    device_idx(&bench, 1);
    assert_polls_nothing(&bench);
    g_assert_true(complaints_mention(bench.complaints, "used id 1 is not available yet"));
    tear_down(&bench);

    set_up(&bench, &plain);
    add_one(&bench, "a");
    virtq_publish(bench.vq);
    device_uses(&bench, 0, 0x10000, 0);
    device_idx(&bench, 1);
    assert_polls_nothing(&bench);
    g_assert_true(complaints_mention(bench.complaints, "used id 65536 is outside"));
    tear_down(&bench);
}

static void test_used_index_jumps(void)
{
    struct bench bench;

    set_up(&bench, &plain);
    add_one(&bench, "a");
    virtq_publish(bench.vq);
    device_idx(&bench, 2);
    assert_polls_nothing(&bench);
    assert_polls_nothing(&bench);
    g_assert_true(complaints_mention(bench.complaints, "used idx went from 0 to 2"));
    g_assert_cmpuint(complaints_count(bench.complaints), ==, 1);
    g_assert_true(virtq_broken(bench.vq));
    tear_down(&bench);

    /* Backwards is a jump too. */
    set_up(&bench, &plain);
    turn(&bench, 1);
    add_one(&bench, "a");
    virtq_publish(bench.vq);
    device_idx(&bench, 0);
    assert_polls_nothing(&bench);
    g_assert_true(virtq_broken(bench.vq));
    tear_down(&bench);
}

static void test_used_length_too_long(void)
{
    static const struct virtq_segment segments[] = {{1, 100, false}, {2, 10, true}, {3, 5, true}};
    struct bench bench;

    set_up(&bench, &plain);
    g_assert_true(add(&bench, segments, 3, "a"));
    virtq_publish(bench.vq);
    device_uses(&bench, 0, 0, 16);
    device_idx(&bench, 1);
    assert_polls(&bench, "a", 15);
    g_assert_true(complaints_mention(bench.complaints, "16 octets written, it has room for 15"));
    tear_down(&bench);
}

static void test_verify_finds_a_scribble(void)
{
    struct bench bench;

    set_up(&bench, &plain);
    add_one(&bench, "a");
    virtq_publish(bench.vq);
    g_assert_true(virtq_verify(bench.vq));
    device_writes(&bench, TABLE + 8, 0x101);
    g_assert_false(virtq_verify(bench.vq));
    g_assert_true(complaints_mention(bench.complaints, "octet 8 of the descriptor table is 0x01"));
    tear_down(&bench);

    set_up(&bench, &plain);
    device_writes(&bench, AVAIL + 12, 1);
    g_assert_false(virtq_verify(bench.vq));
    g_assert_true(complaints_mention(bench.complaints, "octet 12 of the available ring"));
    tear_down(&bench);
}

static void test_raw_chain(void)
{
    static const struct split_desc loop = {0x0102030405060708, 0x11223344, 0x8001, 0};
    struct bench bench;
    struct split_desc read;
    uint16_t i;

    set_up(&bench, &plain);
    g_assert_true(split_take(bench.vq, &i));
    g_assert_cmpuint(i, ==, 0);
    g_assert_true(split_write_desc(bench.vq, i, &loop));
    g_assert_false(split_write_desc(bench.vq, QUEUE, &loop));
    g_assert_true(split_read_desc(bench.vq, 0, &read));
    g_assert_cmphex(read.addr, ==, loop.addr);
    g_assert_cmphex(read.flags, ==, 0x8001);
    assert_octets(&bench, TABLE, "0807060504030201 44332211 0180 0000");
    offer(&bench, i, "loop");
    offer(&bench, i, "again");
    offer(&bench, 0xffff, "outside");
    virtq_publish(bench.vq);
    assert_octets(&bench, AVAIL, "0000 0300 | 0000 0000 ffff 0000 | 0000");
    add_one(&bench, "honest");
    virtq_publish(bench.vq);
    assert_octets(&bench, AVAIL, "0000 0400 | 0000 0000 ffff 0100 | 0000");
    device_uses(&bench, 0, 0, 5);
    device_uses(&bench, 1, 0, 6);
    device_uses(&bench, 2, 1, 7);
    device_idx(&bench, 3);
    assert_polls(&bench, "loop", 5);
    assert_polls(&bench, "honest", 7);
    assert_polls_nothing(&bench);
    g_assert_true(virtq_verify(bench.vq));
    assert_no_complaints(&bench);

    split_write_avail_idx(bench.vq, 0x1234);
    assert_octets(&bench, AVAIL, "0000 3412");
    split_write_avail_flags(bench.vq, 3);
    split_write_used_event(bench.vq, 0xabcd);
    g_assert_true(split_write_avail(bench.vq, 3, 0xbeef));
    g_assert_false(split_write_avail(bench.vq, 4, 0));
    assert_octets(&bench, AVAIL, "0300 3412 | 0000 0000 ffff efbe | cdab");
    virtq_publish(bench.vq);
    assert_octets(&bench, AVAIL, "0300 0400");
    tear_down(&bench);
}

static void test_spoil(void)
{
    struct bench bench;

    set_up(&bench, &plain);
    add_one(&bench, "a");
    virtq_publish(bench.vq);
    virtq_spoil(bench.vq);
    assert_octets(&bench, AVAIL, "0000 0200 | 0000 0400 0000 0000");
    tear_down(&bench);

    set_up(&bench, &packed);
    add_one(&bench, "a");
    virtq_publish(bench.vq);
    virtq_spoil(bench.vq);
    assert_octets(&bench, TABLE + 16 + 8, "00000000 0000 8400");
    for (unsigned i = 0; i < 3; i++) {
        add_one(&bench, "a");
    }
    virtq_publish(bench.vq);
    virtq_spoil(bench.vq);
    assert_octets(&bench, TABLE + 8, "00000000 0000 8400");
    assert_octets(&bench, TABLE + 48 + 8, "00000000 0000 8400");
    tear_down(&bench);
}

static void test_detach_gives_all_back(void)
{
    struct bench bench;
    void *cookie;
    GString *cookies = g_string_new(NULL);

    set_up(&bench, &plain);
    add_one(&bench, "a");
    add_one(&bench, "b");
    virtq_publish(bench.vq);
    add_one(&bench, "c");
    while (virtq_detach(bench.vq, &cookie)) {
        g_string_append(cookies, cookie);
    }
    g_assert_cmpstr(cookies->str, ==, "abc");
    g_string_free(cookies, TRUE);
    tear_down(&bench);
}

/* ---- Packed ---- */

/* What the device does: a used descriptor into a slot (its address is left), and its event word. */
static void device_packs(struct bench *bench, unsigned slot, uint16_t id, uint32_t len,
                         uint16_t flags)
{
    uint8_t rest[8];

    bytes_put32(rest, len);
    bytes_put16(rest + 4, id);
    bytes_put16(rest + 6, flags);
    g_assert_true(guest_write(bench->memory, TABLE + 16 * slot + 8, rest, sizeof(rest)));
}

static void device_packed_event(struct bench *bench, uint16_t off_wrap, uint16_t flags)
{
    device_writes(bench, USED, off_wrap);
    device_writes(bench, USED + 2, flags);
}

#define USED_1  0x8080 /* AVAIL and USED of a used descriptor, in a round of wrap counter 1 */
#define USED_0  0x0000 /* and 0 */
#define WRITTEN VIRTQ_DESC_F_WRITE

/* Add, publish, use and poll n buffers of one descriptor, one at a time, from a place on. */
static void packed_turn(struct bench *bench, unsigned from, unsigned n)
{
    for (unsigned at = from; at < from + n; at++) {
        const unsigned size = virtq_options(bench->vq)->size;
        uint8_t id[2];

        add_one(bench, "turn");
        virtq_publish(bench->vq);
        g_assert_true(guest_read(bench->memory, TABLE + 16 * (at % size) + 12, id, 2));
        device_packs(bench, at % size, bytes_get16(id), 0, at / size % 2 ? USED_0 : USED_1);
        assert_polls(bench, "turn", 0);
    }
}

static void test_packed_chain(void)
{
    static const struct virtq_segment segments[] = {
        {0x1122334455667788, 12, false},
        {0xa0b0c0d0e0f00010, 0x01020304, true},
    };
    struct bench bench;

    set_up(&bench, &packed_3);
    guest_fill(bench.memory, TABLE + 48, 0x40, 0xee);
    g_assert_true(add(&bench, segments, 2, "a"));
    /* All but the second half of the first. */
    assert_octets(&bench, TABLE,
                  "8877665544332211 00000000 0000 0000"
                  "1000f0e0d0c0b0a0 04030201 0000 8200" /* WRITE, AVAIL */
                  "0000000000000000 00000000 0000 0000"
                  "eeeeeeee");
    g_assert_cmphex(virtq_position(bench.vq), ==, 0x8000);
    virtq_publish(bench.vq);
    assert_octets(&bench, TABLE, "8877665544332211 0c000000 0000 8100"); /* NEXT, AVAIL */
    g_assert_cmphex(virtq_position(bench.vq), ==, 0x8002);
    assert_octets(&bench, AVAIL, "0000 0000 | 0000");

    /* One more, and then there is no room. */
    g_assert_true(add(&bench, segments, 1, "b"));
    g_assert_false(add(&bench, segments, 1, "c"));
    virtq_publish(bench.vq);
    assert_octets(&bench, TABLE + 32, "8877665544332211 0c000000 0100 8000 | eeeeeeee");
    g_assert_cmphex(virtq_position(bench.vq), ==, 0x0000);
    g_assert_cmpuint(virtq_in_flight(bench.vq), ==, 2);
    g_assert_cmpuint(virtq_room(bench.vq), ==, 0);
    g_assert_true(virtq_verify(bench.vq));

    /* b comes back first, in slot 0; a behind it, in slot 1. */
    assert_polls_nothing(&bench);
    device_packs(&bench, 0, 1, 0, USED_1);
    g_assert_cmpuint(virtq_used_total(bench.vq), ==, 1);
    assert_polls(&bench, "b", 0);
    assert_polls_nothing(&bench);
    device_packs(&bench, 1, 0, 0x01020304, USED_1 | WRITTEN);
    g_assert_cmpuint(virtq_used_total(bench.vq), ==, 2);
    g_assert_true(virtq_verify(bench.vq));
    assert_polls(&bench, "a", 0x01020304);
    assert_polls_nothing(&bench);
    g_assert_cmpuint(virtq_used_total(bench.vq), ==, 2);
    g_assert_cmpuint(virtq_room(bench.vq), ==, 3);

    /* The second round: the bits the other way. Id 0 was freed last. */
    g_assert_true(add(&bench, segments, 2, "d"));
    g_assert_true(add(&bench, segments, 1, "e"));
    virtq_publish(bench.vq);
    assert_octets(&bench, TABLE,
                  "8877665544332211 0c000000 0000 0180"
                  "1000f0e0d0c0b0a0 04030201 0000 0280"
                  "8877665544332211 0c000000 0100 0080");
    g_assert_cmphex(virtq_position(bench.vq), ==, 0x8000);
    device_packs(&bench, 0, 0, 5, USED_0 | WRITTEN);
    assert_polls(&bench, "d", 5);
    device_packs(&bench, 2, 1, 0, USED_0);
    assert_polls(&bench, "e", 0);
    g_assert_true(virtq_verify(bench.vq));
    assert_no_complaints(&bench);
    tear_down(&bench);
}

/* Of all that is published at once the first flags are written last; the end lies inside a list. */
static void test_packed_across_the_end(void)
{
    static const struct virtq_segment segments[] = {{1, 1, false}, {2, 2, false}, {3, 3, true}};
    struct bench bench;

    set_up(&bench, &packed);
    packed_turn(&bench, 0, 2);
    g_assert_true(add(&bench, segments, 3, "a"));
    g_assert_true(add(&bench, segments, 1, "b"));
    assert_octets(&bench, TABLE + 32 + 8, "00000000 0000 0000");
    virtq_publish(bench.vq);
    assert_octets(&bench, TABLE,
                  "0300000000000000 03000000 0000 0280"
                  "0100000000000000 01000000 0100 0080"
                  "0100000000000000 01000000 0000 8100"
                  "0200000000000000 02000000 0000 8100");
    g_assert_cmphex(virtq_position(bench.vq), ==, 0x0002);
    /* a in slot 2 of the first round, b in slot 1 of the second. */
    device_packs(&bench, 2, 0, 3, USED_1 | WRITTEN);
    device_packs(&bench, 1, 1, 0, USED_0);
    assert_polls(&bench, "a", 3);
    assert_polls(&bench, "b", 0);
    assert_no_complaints(&bench);
    tear_down(&bench);
}

static void test_packed_indirect(void)
{
    static const struct virtq_segment segments[] = {
        {0x100, 1, false},
        {0x200, 2, false},
        {0x300, 3, true},
    };
    struct virtq_options options = packed;
    struct bench bench;

    options.indirect = true;
    set_up(&bench, &options);
    guest_fill(bench.memory, BUFFER, 0x100, 0xee);
    g_assert_true(add_table(&bench, segments, 3, 0, BUFFER, "a"));
    g_assert_false(add_table(&bench, segments, 3, 1, BUFFER, "b")); /* none in front of a table */
    virtq_publish(bench.vq);
    assert_octets(&bench, BUFFER,
                  "0001000000000000 01000000 0000 0000"
                  "0002000000000000 02000000 0000 0000"
                  "0003000000000000 03000000 0000 0200"
                  "eeee");
    assert_octets(&bench, TABLE, "0010010000000000 30000000 0000 8400");
    device_packs(&bench, 0, 0, 3, USED_1 | WRITTEN);
    assert_polls(&bench, "a", 3);
    assert_no_complaints(&bench);
    tear_down(&bench);
}

/* One used descriptor, in the slot of the first of three buffers; the next is behind all of them. */
static void test_packed_in_order_batch(void)
{
    static const struct virtq_segment segments[] = {{1, 1, true}, {2, 2, true}};
    struct virtq_options options = packed;
    struct bench bench;

    options.in_order = true;
    set_up(&bench, &options);
    g_assert_true(add(&bench, segments, 2, "a"));
    add_one(&bench, "b");
    add_one(&bench, "c");
    virtq_publish(bench.vq);
    device_packs(&bench, 0, 1, 9, USED_1 | WRITTEN);
    g_assert_cmpuint(virtq_used_total(bench.vq), ==, 2);
    g_assert_true(virtq_verify(bench.vq));
    assert_polls(&bench, "a", 3);
    assert_polls(&bench, "b", 9);
    assert_polls_nothing(&bench);
    device_packs(&bench, 3, 2, 8, USED_1 | WRITTEN);
    assert_polls(&bench, "c", 8);
    assert_no_complaints(&bench);
    tear_down(&bench);

    /* Out of order instead: what stands behind the first is in no used place. */
    set_up(&bench, &options);
    add_one(&bench, "a");
    add_one(&bench, "b");
    virtq_publish(bench.vq);
    device_packs(&bench, 0, 1, 0, USED_1);
    device_packs(&bench, 1, 0, 0, USED_1);
    g_assert_false(virtq_verify(bench.vq));
    g_assert_true(complaints_mention(bench.complaints, "octet 25 of the descriptor ring"));
    tear_down(&bench);
}

/* Every event word against every stretch of places in a ring of 3, twice round. */
static void test_packed_kicks(void)
{
    struct virtq_options options = packed_3;

    options.event_idx = true;
    for (unsigned word = 0; word < 6; word++) {
        for (unsigned old = 0; old < 12; old++) {
            for (unsigned n = 1; n <= 3; n++) {
                const uint16_t off_wrap = (uint16_t)(word % 3 | (word < 3 ? 0x8000 : 0));
                bool among = false;
                struct bench bench;

                for (unsigned at = old; at < old + n; at++) {
                    among |= at % 6 == word; /* rounds of wrap counter 1 and 0 take turns */
                }
                set_up(&bench, &options);
                packed_turn(&bench, 0, old);
                virtq_must_kick(bench.vq);
                device_packed_event(&bench, off_wrap, RING_EVENT_FLAGS_DESC);
                for (unsigned i = 0; i < n; i++) {
                    add_one(&bench, "kick");
                }
                g_assert_false(virtq_must_kick(bench.vq));
                virtq_publish(bench.vq);
                g_assert_true(virtq_must_kick(bench.vq) == among);
                g_assert_false(virtq_must_kick(bench.vq));
                assert_no_complaints(&bench);
                tear_down(&bench);
            }
        }
    }
}

static void test_packed_kicks_by_flags(void)
{
    static const struct {
        uint16_t off_wrap, flags;
        bool event_idx, kick, wrong;
    } rows[] = {
        {0, RING_EVENT_FLAGS_ENABLE, false, true, false},
        {0x8002, RING_EVENT_FLAGS_ENABLE, true, true, false},
        {0x8000, RING_EVENT_FLAGS_DISABLE, true, false, false},
        {0x8000, RING_EVENT_FLAGS_DESC, false, true, true},
        {0x8004, RING_EVENT_FLAGS_DESC, true, true, true},
        {0x8000, 3, true, true, true},
        {0x8000, 0x100, true, true, true},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct virtq_options options = packed;
        struct bench bench;

        options.event_idx = rows[i].event_idx;
        set_up(&bench, &options);
        device_packed_event(&bench, rows[i].off_wrap, rows[i].flags);
        add_one(&bench, "a");
        virtq_publish(bench.vq);
        g_assert_true(virtq_must_kick(bench.vq) == rows[i].kick);
        g_assert_true(complaints_mention(bench.complaints, "event word") == rows[i].wrong);
        tear_down(&bench);
    }
}

static void test_packed_interrupts(void)
{
    static const struct virtq_segment segments[] = {{1, 1, true}, {2, 2, true}};
    struct virtq_options options = packed;
    struct bench bench;

    set_up(&bench, &packed);
    virtq_disable_interrupts(bench.vq);
    assert_octets(&bench, AVAIL, "0000 0100");
    g_assert_true(virtq_enable_interrupts(bench.vq, 1));
    assert_octets(&bench, AVAIL, "0000 0000");
    add_one(&bench, "a");
    virtq_publish(bench.vq);
    device_packs(&bench, 0, 0, 0, USED_1);
    g_assert_false(virtq_enable_interrupts(bench.vq, 1));
    tear_down(&bench);

    options.event_idx = true;
    set_up(&bench, &options);
    assert_octets(&bench, AVAIL, "0080 0200"); /* place 0, DESC */
    g_assert_true(add(&bench, segments, 2, "a"));
    g_assert_true(add(&bench, segments, 2, "b"));
    virtq_publish(bench.vq);
    device_packs(&bench, 0, 0, 0, USED_1);
    assert_polls(&bench, "a", 0);
    assert_octets(&bench, AVAIL, "0080 0200");
    /* Only when nothing is left is the next one asked for. */
    assert_polls_nothing(&bench);
    assert_octets(&bench, AVAIL, "0280 0200");
    virtq_disable_interrupts(bench.vq);
    assert_octets(&bench, AVAIL, "0000 0100");
    assert_polls_nothing(&bench);
    assert_octets(&bench, AVAIL, "0000 0100");
    /* The second from here is in slot 0 of the second round. */
    g_assert_true(virtq_enable_interrupts(bench.vq, 2));
    assert_octets(&bench, AVAIL, "0000 0200");
    device_packs(&bench, 2, 1, 0, USED_1);
    g_assert_true(virtq_enable_interrupts(bench.vq, 2));
    g_assert_false(virtq_enable_interrupts(bench.vq, 1));
    assert_octets(&bench, AVAIL, "0280 0200");
    assert_no_complaints(&bench);
    tear_down(&bench);
}

static void test_packed_used_cannot_be(void)
{
    static const struct {
        uint16_t id;
        uint32_t len;
        uint16_t flags;
        const char *complaint;
    } rows[] = {
        {2, 0, USED_1, "used id 2 is not in flight"},
        {1, 0, USED_1, "used id 1 is not available yet"},
        {0xffff, 0, USED_1, "used id 65535 is outside"},
        {0, 0x101, USED_1 | WRITTEN, "257 octets written, it has room for 256"},
        {0, 5, USED_1, "5 octets written and flags 0x0"},
        {0, 0, USED_1 | WRITTEN, "0 octets written and flags 0x2"},
        {0, 0, USED_1 | VIRTQ_DESC_F_NEXT, "flags 0x1"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct virtq_used used;
        struct bench bench;

        set_up(&bench, &packed);
        add_one(&bench, "a");
        virtq_publish(bench.vq);
        add_one(&bench, "hidden");
        device_packs(&bench, 0, rows[i].id, rows[i].len, rows[i].flags);
        g_assert_true(virtq_poll(bench.vq, &used) == (rows[i].id == 0));
        g_assert_true(complaints_mention(bench.complaints, rows[i].complaint));
        g_assert_true(virtq_broken(bench.vq) == (rows[i].id != 0));
        tear_down(&bench);
    }
}

/* What was written last round, or for the round after, is nothing in this one. */
static void test_packed_used_in_no_round(void)
{
    static const uint16_t flags[] = {0x0080, 0x8000, 0x8080};
    struct bench bench;

    set_up(&bench, &packed);
    packed_turn(&bench, 0, 4);
    add_one(&bench, "a");
    virtq_publish(bench.vq);
    for (gsize i = 0; i < G_N_ELEMENTS(flags); i++) {
        device_packs(&bench, 0, 0, 0, flags[i]);
        assert_polls_nothing(&bench);
    }
    device_packs(&bench, 0, 0, 0, USED_0);
    assert_polls(&bench, "a", 0);
    tear_down(&bench);
}

static void test_packed_verify(void)
{
    static const struct {
        uint64_t at;
        const char *complaint;
    } rows[] = {
        {TABLE + 40, "octet 40 of the descriptor ring is 0x77"}, /* behind the used place */
        {TABLE + 24, "octet 24 of the descriptor ring is 0x77"}, /* a place given back before */
        {AVAIL, "the driver's event word"},
        {AVAIL + 2, "the driver's event word"},
        {USED, "the device's event word"},
        {USED + 2, "the device's event word"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct bench bench;

        set_up(&bench, &packed);
        packed_turn(&bench, 0, 2);
        add_one(&bench, "a");
        virtq_publish(bench.vq);
        g_assert_true(virtq_verify(bench.vq));
        device_writes(&bench, rows[i].at, 0x4477);
        g_assert_false(virtq_verify(bench.vq));
        g_assert_true(complaints_mention(bench.complaints, rows[i].complaint));
        tear_down(&bench);
    }
}

static void test_packed_raw(void)
{
    static const struct packed_desc loop = {0x0102030405060708, 0x11223344, 0x5566, 0x8001};
    struct packed_desc read;
    struct bench bench;
    uint16_t off_wrap, flags;

    set_up(&bench, &packed);
    g_assert_true(packed_write_desc(bench.vq, 1, &loop));
    g_assert_false(packed_write_desc(bench.vq, QUEUE, &loop));
    g_assert_true(packed_read_desc(bench.vq, 1, &read));
    g_assert_cmphex(read.addr, ==, loop.addr);
    g_assert_cmphex(read.id, ==, 0x5566);
    g_assert_cmphex(read.flags, ==, 0x8001);
    assert_octets(&bench, TABLE + 16, "0807060504030201 44332211 6655 0180");

    /* A list of two with an id of its own, one with an id beyond the ring, an honest one. */
    g_assert_cmpuint(packed_slot(bench.vq, 5), ==, 1);
    g_assert_cmphex(packed_available(bench.vq, 3), ==, 0x0080);
    g_assert_cmphex(packed_available(bench.vq, 4), ==, 0x8000);
    packed_offer(bench.vq, 2, 3, (void *)"raw");
    packed_offer(bench.vq, 1, 0x5566, (void *)"foreign");
    g_assert_cmpuint(virtq_room(bench.vq), ==, 1);
    add_one(&bench, "honest");
    virtq_publish(bench.vq);
    assert_octets(&bench, TABLE + 48 + 8, "00010000 0000 8200");
    device_packs(&bench, 0, 3, 5, USED_1 | WRITTEN);
    device_packs(&bench, 2, 0x5566, 6, USED_1 | WRITTEN);
    device_packs(&bench, 3, 0, 7, USED_1 | WRITTEN);
    g_assert_cmpuint(virtq_used_total(bench.vq), ==, 3);
    assert_polls(&bench, "raw", 5);
    assert_polls(&bench, "honest", 7);
    assert_polls_nothing(&bench);
    g_assert_cmpuint(virtq_room(bench.vq), ==, QUEUE);
    assert_no_complaints(&bench);

    packed_write_event(bench.vq, 0x8123, 3);
    assert_octets(&bench, AVAIL, "2381 0300");
    device_packed_event(&bench, 0x8002, 1);
    packed_read_event(bench.vq, &off_wrap, &flags);
    g_assert_cmphex(off_wrap, ==, 0x8002);
    g_assert_cmphex(flags, ==, 1);
    tear_down(&bench);
}

static void test_refuses_bad_options(void)
{
    static const struct virtq_options bad[] = {
        {.size = 0, .area = {TABLE, AVAIL, USED}},
        {.size = 3, .area = {TABLE, AVAIL, USED}},
        {.size = 0, .packed = true, .area = {TABLE, AVAIL, USED}},
        {.size = 32769, .packed = true, .area = {TABLE, AVAIL, USED}},
        {.size = 4, .packed = true, .area = {TABLE + 8, AVAIL, USED}},
        {.size = 4, .packed = true, .area = {TABLE, AVAIL + 2, USED}},
        {.size = 4, .packed = true, .area = {TABLE, AVAIL, USED + 2}},
        {.size = 4, .packed = true, .area = {TABLE, AVAIL, 0x20000}},
        {.size = 4, .area = {TABLE + 8, AVAIL, USED}},
        {.size = 4, .area = {TABLE, AVAIL + 1, USED}},
        {.size = 4, .area = {TABLE, AVAIL, USED + 2}},
        {.size = 4, .area = {TABLE, AVAIL, 0x20000 - 36}},
        {.size = 32768, .area = {TABLE, AVAIL, USED}},
    };
    struct guest_memory *memory = guest_memory_flat(0x10000, 0x10000);
    struct complaints *complaints = complaints_new();

    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_null(virtq_new(memory, complaints, "bad", &bad[i]));
        g_assert_cmpuint(complaints_count(complaints), ==, i + 1);
    }
    complaints_free(complaints);
    guest_memory_free(memory);
}

static void test_memory_refuses_bad_extents(void)
{
    static const struct guest_extent bad[][2] = {
        {{0x1000, 0x2000}, {0x2000, 0x1000}}, {{0x2000, 0x1000}, {0x1000, 0x1000}},
        {{0x1000, 0x800}, {0x2000, 0x1000}},  {{0x1800, 0x1000}, {0x3000, 0x1000}},
        {{0x1000, 0}, {0x2000, 0x1000}},      {{0x1000, 0x1000}, {UINT64_MAX - 0xfff, 0x1000}},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        struct guest_memory_options options = {.extents = bad[i], .n_extents = 2};

        g_assert_null(guest_memory_new(&options));
    }
}

static void test_memory_runs(void)
{
    static const struct guest_extent extents[] = {
        {0x0, 0x2000},
        {0x2000, 0x1000},
        {0x100000000, 0x1000},
    };
    struct guest_memory_options options = {
        .extents = extents,
        .n_extents = G_N_ELEMENTS(extents),
        .guard_pages = true,
        .straddle = true,
    };
    struct guest_memory *memory = guest_memory_new(&options);
    const struct guest_region *regions;
    struct guest_mark mark;

    g_assert_nonnull(memory);
    g_assert_cmpuint(guest_memory_regions(memory, &regions), ==, 3);
    /* One run for the driver, two pieces for the device, the same octets. */
    g_assert_true(guest_write(memory, 0x1ffe, "seam", 4));
    g_assert_cmpint(memcmp((uint8_t *)regions[0].host + 0x1ffe, "se", 2), ==, 0);
    g_assert_cmpint(memcmp(regions[1].host, "am", 2), ==, 0);
    g_assert_null(guest_ptr(memory, 0x2fff, 2));
    g_assert_nonnull(guest_ptr(memory, 0x2fff, 1));
    g_assert_null(guest_ptr(memory, UINT64_MAX, 1));
    g_assert_null(guest_ptr(memory, 0x1000, UINT64_MAX));

    guest_mark(memory, &mark);
    g_assert_cmphex(guest_alloc(memory, 0x1001, 1), ==, 0);
    g_assert_cmphex(guest_alloc(memory, 0x1800, 0x800), ==, 0x1800);
    g_assert_cmphex(guest_alloc(memory, 0x1000, 16), ==, 0x100000000);
    g_assert_cmphex(guest_alloc(memory, 1, 1), ==, GUEST_NONE);
    guest_release(memory, &mark);
    g_assert_cmphex(guest_alloc(memory, 0x2fff, 1), ==, 0);
    g_assert_cmphex(guest_alloc(memory, 1, 0x2000), ==, 0x100000000);
    g_assert_cmphex(guest_alloc(memory, 1, 0x2000), ==, GUEST_NONE);
    g_assert_cmphex(guest_alloc(memory, 1, 3), ==, GUEST_NONE);
    guest_release(memory, &mark);
    g_assert_cmphex(guest_alloc(memory, 0x3000, 16), ==, 0);
    guest_fill(memory, 0x100, 0x100, 0xa5);
    g_assert_cmphex(guest_differs(memory, 0x100, 0x100, 0xa5), ==, 0x100);
    g_assert_cmphex(guest_differs(memory, 0x100, 0x101, 0xa5), ==, 0x100);
    guest_memory_free(memory);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtq/direct-chain", test_direct_chain);
    g_test_add_func("/virtq/indirect-chain", test_indirect_chain);
    g_test_add_func("/virtq/index-wraps", test_index_wraps);
    g_test_add_func("/virtq/in-order-goes-round", test_in_order_goes_round);
    g_test_add_func("/virtq/in-order-batch", test_in_order_batch);
    g_test_add_func("/virtq/in-order-violated", test_in_order_violated);
    g_test_add_func("/virtq/kick-by-event-index", test_kick_by_event_index);
    g_test_add_func("/virtq/kick-by-flags", test_kick_by_flags);
    g_test_add_func("/virtq/interrupts-by-flags", test_interrupts_by_flags);
    g_test_add_func("/virtq/interrupts-by-event-index", test_interrupts_by_event_index);
    g_test_add_func("/virtq/used-id-not-in-flight", test_used_id_not_in_flight);
    g_test_add_func("/virtq/used-index-jumps", test_used_index_jumps);
    g_test_add_func("/virtq/used-length-too-long", test_used_length_too_long);
    g_test_add_func("/virtq/verify-finds-a-scribble", test_verify_finds_a_scribble);
    g_test_add_func("/virtq/raw-chain", test_raw_chain);
    g_test_add_func("/virtq/spoil", test_spoil);
    g_test_add_func("/virtq/detach-gives-all-back", test_detach_gives_all_back);
    g_test_add_func("/virtq/packed/chain", test_packed_chain);
    g_test_add_func("/virtq/packed/across-the-end", test_packed_across_the_end);
    g_test_add_func("/virtq/packed/indirect", test_packed_indirect);
    g_test_add_func("/virtq/packed/in-order-batch", test_packed_in_order_batch);
    g_test_add_func("/virtq/packed/kicks", test_packed_kicks);
    g_test_add_func("/virtq/packed/kicks-by-flags", test_packed_kicks_by_flags);
    g_test_add_func("/virtq/packed/interrupts", test_packed_interrupts);
    g_test_add_func("/virtq/packed/used-cannot-be", test_packed_used_cannot_be);
    g_test_add_func("/virtq/packed/used-in-no-round", test_packed_used_in_no_round);
    g_test_add_func("/virtq/packed/verify", test_packed_verify);
    g_test_add_func("/virtq/packed/raw", test_packed_raw);
    g_test_add_func("/virtq/refuses-bad-options", test_refuses_bad_options);
    g_test_add_func("/guest/memory-refuses-bad-extents", test_memory_refuses_bad_extents);
    g_test_add_func("/guest/memory-runs", test_memory_runs);
    return g_test_run();
}
