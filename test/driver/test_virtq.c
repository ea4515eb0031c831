/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver's side of a split virtqueue against octets worked by hand from VIRTIO 1.4, 2.7. There
 * is no device here: a test writes the used ring itself, as the device would.
 */
#include <string.h>

#include <glib.h>
#include <vionet/spec.h>

#include "bytes.h"
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

static void test_refuses_bad_options(void)
{
    static const struct virtq_options bad[] = {
        {.size = 0, .area = {TABLE, AVAIL, USED}},
        {.size = 3, .area = {TABLE, AVAIL, USED}},
        {.size = 4, .packed = true, .area = {TABLE, AVAIL, USED}},
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
    g_test_add_func("/virtq/detach-gives-all-back", test_detach_gives_all_back);
    g_test_add_func("/virtq/refuses-bad-options", test_refuses_bad_options);
    g_test_add_func("/guest/memory-refuses-bad-extents", test_memory_refuses_bad_extents);
    g_test_add_func("/guest/memory-runs", test_memory_runs);
    return g_test_run();
}
