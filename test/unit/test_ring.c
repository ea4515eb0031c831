/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rings alone (lib/ring), without device or network: what stands in guest memory octet by octet,
 * which words are read and how often, the arithmetic of indices and events, and the order of giving
 * back. Guest memory is written here by hand; expected octets and ranges are worked out by hand or
 * by the specification's own words (VIRTIO 1.4, 2.6, 2.7).
 */
#include <string.h>

#include <glib.h>

#include <vionet/spec.h>

#include "driver/bytes.h"
#include "ring_bench.h"

#define NEXT  VIRTQ_DESC_F_NEXT
#define WRITE VIRTQ_DESC_F_WRITE
#define TABLE VIRTQ_DESC_F_INDIRECT

/* Offsets in the rings (2.7.6, 2.7.8). */
#define AVAIL_AT(i) (4 + 2 * (uint64_t)(i))
#define USED_AT(i)  (4 + 8 * (uint64_t)(i))

static void put16(const struct bench *bench, uint64_t gpa, uint16_t value)
{
    bytes_put16(guest(bench, gpa, 2), value);
}

static uint16_t get16(const struct bench *bench, uint64_t gpa)
{
    return bytes_get16(guest(bench, gpa, 2));
}

static uint32_t get32(const struct bench *bench, uint64_t gpa)
{
    return bytes_get32(guest(bench, gpa, 4));
}

/* Not inlined: gcc 12 at -O3 takes a constant part of the address for all of it, and warns. */
static G_GNUC_NO_INLINE void put_entry(const struct bench *bench, uint64_t gpa, uint64_t addr,
                                       uint32_t len, uint16_t flags, uint16_t next)
{
    uint8_t *at = guest(bench, gpa, 16);

    bytes_put64(at, addr);
    bytes_put32(at + 8, len);
    bytes_put16(at + 12, flags);
    bytes_put16(at + 14, next);
}

static void put_desc(const struct bench *bench, unsigned i, uint64_t addr, uint32_t len,
                     uint16_t flags, uint16_t next)
{
    put_entry(bench, bench->desc + 16 * (uint64_t)i, addr, len, flags, next);
}

/* Makes a head available, and shows it. */
static void offer(struct bench *bench, uint16_t head)
{
    put16(bench, bench->driver + AVAIL_AT(bench->avail_idx % bench->setup.size), head);
    put16(bench, bench->driver + 2, ++bench->avail_idx);
}

/* Both sides go on from an index as if so many buffers had come and gone. */
static void bench_skip_to(struct bench *bench, uint16_t idx)
{
    bench->avail_idx = idx;
    put16(bench, bench->driver + 2, idx);
    put16(bench, bench->device + 2, idx);
    bench->ring.next_avail = bench->ring.seen_avail = idx;
    bench->ring.next_used = bench->ring.told_used = idx;
    bench->ring.told_valid = true;
}

static void assert_range(const struct bench *bench, const struct iovec *range, uint64_t gpa,
                         size_t len)
{
    g_assert_true(range->iov_base == guest(bench, gpa, len));
    g_assert_cmpuint(range->iov_len, ==, len);
}

/* ---- Octets worked by hand ---- */

/* Four descriptors: 0 goes on at 2; 1 is writable; 3 refers to a table. The rest is junk. */
static const uint8_t hand_table[64] = {
    0x00, 0x80, 0x10, 0, 0, 0, 0, 0, 0x0c, 0x00, 0, 0, 1, 0, 0x02, 0x00,
    0x00, 0x90, 0x10, 0, 0, 0, 0, 0, 0xea, 0x05, 0, 0, 2, 0, 0xff, 0xff,
    0x10, 0xa0, 0x10, 0, 0, 0, 0, 0, 0x40, 0x00, 0, 0, 0, 0, 0x77, 0x77,
    0x00, 0xb0, 0x10, 0, 0, 0, 0, 0, 0x30, 0x00, 0, 0, 4, 0, 0xff, 0xff,
};

/* At 0x10b000: 0, then 2, then 1, which is writable. */
static const uint8_t hand_indirect[48] = {
    0x00, 0xc0, 0x10, 0, 0, 0, 0, 0, 0x0a, 0x00, 0, 0, 1, 0, 2, 0,
    0x00, 0xd0, 0x10, 0, 0, 0, 0, 0, 0x08, 0x00, 0, 0, 2, 0, 0, 0,
    0x00, 0xc1, 0x10, 0, 0, 0, 0, 0, 0x14, 0x00, 0, 0, 1, 0, 1, 0,
};

static void hand_pops(struct bench *bench, struct chain_ref refs[3])
{
    struct chain *chain = &bench->chain;

    refs[0] = pop_one(bench);
    g_assert_cmpuint(refs[0].id, ==, 0);
    g_assert_cmpuint(chain->n_out, ==, 2);
    g_assert_cmpuint(chain->n_in, ==, 0);
    assert_range(bench, &chain->out[0], 0x108000, 12);
    assert_range(bench, &chain->out[1], 0x10a010, 64);
    g_assert_cmpuint(chain->out_len, ==, 76);
    refs[1] = pop_one(bench);
    g_assert_cmpuint(refs[1].id, ==, 1);
    g_assert_cmpuint(chain->n_out, ==, 0);
    g_assert_cmpuint(chain->n_in, ==, 1);
    assert_range(bench, &chain->in[0], 0x109000, 1514);
    g_assert_cmpuint(chain->in_len, ==, 1514);
    refs[2] = pop_one(bench);
    g_assert_cmpuint(refs[2].id, ==, 3);
    g_assert_cmpuint(chain->n_out, ==, 2);
    assert_range(bench, &chain->out[0], 0x10c000, 10);
    assert_range(bench, &chain->out[1], 0x10c100, 20);
    g_assert_cmpuint(chain->n_in, ==, 1);
    assert_range(bench, &chain->in[0], 0x10d000, 8);
    g_assert_cmpuint(chain->out_len, ==, 30);
    g_assert_cmpuint(chain->in_len, ==, 8);
    g_assert_cmpint(pop(bench), ==, 0);
}

static void test_hand_worked(void)
{
    static const uint8_t avail_1[14] = {0, 0, 3, 0, 0, 0, 1, 0, 3, 0};
    static const uint8_t used_1[38] = {
        0, 0, 3, 0, 3, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0x23, 1,
    };
    /* The next two go to slot 3 and, around the end, to slot 0. */
    static const uint8_t avail_2[14] = {0, 0, 5, 0, 1, 0, 1, 0, 3, 0, 0, 0};
    static const uint8_t used_2[38] = {
        0, 0, 5, 0, 0, 0,    0, 0, 0, 0, 0, 0, 0, 0,    0, 0, 0, 0, 0,
        0, 1, 0, 0, 0, 0x23, 1, 0, 0, 1, 0, 0, 0, 0xea, 5, 0, 0, 0, 0,
    };
    struct bench *bench = bench_split(4, false, false);
    struct chain_ref refs[3];

    memcpy(guest(bench, bench->desc, 64), hand_table, 64);
    memcpy(guest(bench, 0x10b000, 48), hand_indirect, 48);
    memcpy(guest(bench, bench->driver, 14), avail_1, 14);
    hand_pops(bench, refs);
    ring_push(&bench->ring, &refs[2], 8);
    ring_push(&bench->ring, &refs[0], 0);
    ring_push(&bench->ring, &refs[1], 0x123);
    /* All is there but the index, which shows it: 2.7.8.2. */
    g_assert_cmpuint(get16(bench, bench->device + 2), ==, 0);
    g_assert_cmpmem(guest(bench, bench->device + 4, 34), 34, used_1 + 4, 34);
    g_assert_true(ring_flush(&bench->ring));
    g_assert_cmpmem(guest(bench, bench->device, 38), 38, used_1, 38);
    g_assert_false(ring_flush(&bench->ring));

    memcpy(guest(bench, bench->driver, 14), avail_2, 14);
    refs[0] = pop_one(bench);
    refs[1] = pop_one(bench);
    g_assert_cmpuint(refs[0].id, ==, 0);
    g_assert_cmpuint(refs[1].id, ==, 1);
    ring_push(&bench->ring, &refs[1], 0x5ea);
    ring_push(&bench->ring, &refs[0], 0);
    g_assert_true(ring_flush(&bench->ring));
    g_assert_cmpmem(guest(bench, bench->device, 38), 38, used_2, 38);

    /* Nothing else was written to. */
    g_assert_cmpmem(guest(bench, bench->desc, 64), 64, hand_table, 64);
    g_assert_cmpmem(guest(bench, 0x10b000, 48), 48, hand_indirect, 48);
    g_assert_cmpmem(guest(bench, bench->driver, 14), 14, avail_2, 14);
    bench_free(bench);
}

/* 2.7: octets and alignment of the parts. */
static void test_part_sizes(void)
{
    static const struct {
        uint16_t size;
        uint32_t desc, avail, used;
    } hand[] = {
        {1, 16, 8, 14},         {2, 32, 10, 22},           {4, 64, 14, 38},
        {256, 4096, 518, 2054}, {1024, 16384, 2054, 8198}, {32768, 524288, 65542, 262150},
    };
    struct bench *bench = bench_split(2, false, false);
    const struct ring_ops *ops = bench->ring.ops;

    for (size_t i = 0; i < G_N_ELEMENTS(hand); i++) {
        g_assert_cmpuint(ops->area_size(VIONET_AREA_DESC, hand[i].size), ==, hand[i].desc);
        g_assert_cmpuint(ops->area_size(VIONET_AREA_DRIVER, hand[i].size), ==, hand[i].avail);
        g_assert_cmpuint(ops->area_size(VIONET_AREA_DEVICE, hand[i].size), ==, hand[i].used);
    }
    g_assert_cmpuint(ops->area_align[VIONET_AREA_DESC], ==, 16);
    g_assert_cmpuint(ops->area_align[VIONET_AREA_DRIVER], ==, 2);
    g_assert_cmpuint(ops->area_align[VIONET_AREA_DEVICE], ==, 4);
    bench_free(bench);
}

/* 2.7.8.2: an element is whole in memory while the index does not show it yet. */
static void test_element_before_index(void)
{
    struct bench *bench = bench_split(4, true, false);

    for (uint16_t i = 0; i < 10; i++) {
        const uint64_t element = bench->device + USED_AT(i % 4);

        put_desc(bench, i % 4, bench->data, 100, WRITE, 0);
        offer(bench, i % 4);
        g_assert_cmpint(ring_pop(&bench->ring, &bench->chain), ==, 1);
        guest_fill(bench->memory, element, 8, 0xee);
        ring_push(&bench->ring, &bench->chain.ref, 1000u + i);
        g_assert_cmpuint(get16(bench, bench->device + 2), ==, i);
        g_assert_cmpuint(get32(bench, element), ==, i % 4);
        g_assert_cmpuint(get32(bench, element + 4), ==, 1000u + i);
        g_assert_true(ring_flush(&bench->ring));
        g_assert_cmpuint(get16(bench, bench->device + 2), ==, i + 1);
        g_assert_cmpuint(get32(bench, element), ==, i % 4);
        g_assert_cmpuint(get32(bench, element + 4), ==, 1000u + i);
    }
    bench_free(bench);
}

/* ---- Setting up ---- */

static void test_queue_size(void)
{
    static const uint16_t wrong[] = {0, 3, 5, 6, 7, 12, 255, 257, 1023, 32767};
    struct bench *bench = bench_make(2, false, NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        bench->setup.size = wrong[i];
        g_assert_false(bench_start(bench));
        assert_fault(bench, VIONET_VIOLATION_QUEUE_SIZE, VIONET_NONE, wrong[i]);
    }
    for (unsigned size = 1; size <= 32768; size *= 2) {
        bench->setup.size = (uint16_t)size;
        bench->driver = bench->device = bench->desc; /* that much fits */
        g_assert_true(bench_start(bench));
    }
    bench_free(bench);
}

static void test_misaligned_parts(void)
{
    struct bench *bench = bench_make(4, false, NULL);
    uint64_t *const parts[3] = {&bench->desc, &bench->driver, &bench->device};
    static const unsigned align[3] = {16, 2, 4};

    for (unsigned part = 0; part < 3; part++) {
        const uint64_t good = *parts[part];

        for (unsigned off = 0; off <= 32; off++) {
            *parts[part] = good + off;
            g_assert_true(bench_start(bench) == (off % align[part] == 0));
            if (off % align[part]) {
                assert_fault(bench, VIONET_VIOLATION_RING_MISALIGNED, VIONET_NONE, good + off);
            }
        }
        *parts[part] = good;
    }
    bench_free(bench);
}

static void test_parts_outside_memory(void)
{
    struct bench *bench = bench_make(4, false, NULL);
    uint64_t *const parts[3] = {&bench->desc, &bench->driver, &bench->device};
    static const uint32_t sizes[3] = {64, 14, 38};
    const uint64_t end = BASE + ROOM;

    for (unsigned part = 0; part < 3; part++) {
        const uint64_t good = *parts[part];
        const uint64_t last = (end - sizes[part]) & ~UINT64_C(15);
        const uint64_t wrong[] = {
            0,          BASE - 16,         last + 16,         end,
            end + PAGE, UINT64_C(1) << 63, UINT64_MAX - 4095, UINT64_MAX - 15};

        for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
            if (wrong[i] == last + 16 && wrong[i] + sizes[part] <= end) {
                continue;
            }
            *parts[part] = wrong[i];
            g_assert_false(bench_start(bench));
            assert_fault(bench, VIONET_VIOLATION_RING_ADDRESS, VIONET_NONE, wrong[i]);
        }
        *parts[part] = last;
        g_assert_true(bench_start(bench));
        *parts[part] = good;
    }
    bench_free(bench);
}

/* Only the Device Area has to be writable. */
static void test_parts_in_read_only_memory(void)
{
    struct bench *bench = bench_make(4, false, NULL);
    struct memory_map *map = memory_map_empty();
    struct memory_region region = {BASE, ROOM, guest(bench, BASE, ROOM), VIONET_MAP_READONLY};
    struct memory_map *readonly = memory_map_with(map, &region, NULL);
    struct memory_map *both;

    g_free(map);
    map = bench->map;
    bench->map = readonly;
    g_assert_false(bench_start(bench));
    assert_fault(bench, VIONET_VIOLATION_RING_ADDRESS, VIONET_NONE, bench->device);

    region = (struct memory_region){0, PAGE, guest(bench, bench->device, PAGE), 0};
    both = memory_map_with(readonly, &region, NULL);
    bench->map = both;
    bench->device = 0;
    g_assert_true(bench_start(bench));
    g_free(readonly);
    g_free(map);
    bench_free(bench);
}

/* A ring follows its parts to where another map has them, and breaks if that has them not. */
static void test_remap(void)
{
    struct bench *bench = bench_split(4, false, false);
    uint8_t *elsewhere = g_aligned_alloc0(1, ROOM, PAGE);
    struct memory_map *none = memory_map_without(bench->map, BASE, ROOM, NULL);
    const struct memory_region region = {BASE, ROOM, elsewhere, 0};
    struct memory_map *moved = memory_map_with(none, &region, NULL);
    struct chain_ref ref;

    put_desc(bench, 2, bench->data, 100, 0, 0);
    offer(bench, 2);
    memcpy(elsewhere, guest(bench, BASE, ROOM), ROOM);
    memset(guest(bench, BASE, ROOM), 0xff, ROOM);
    g_assert_true(ring_remap(&bench->ring, moved));
    ref = pop_one(bench);
    g_assert_cmpuint(ref.id, ==, 2);
    g_assert_true(bench->chain.out[0].iov_base == elsewhere + (bench->data - BASE));
    ring_push(&bench->ring, &ref, 0);
    g_assert_true(ring_flush(&bench->ring));
    g_assert_cmpuint(bytes_get16(elsewhere + (bench->device - BASE) + 2), ==, 1);
    g_assert_cmpuint(guest_differs(bench->memory, BASE, ROOM, 0xff), ==, ROOM);
    g_assert_false(ring_remap(&bench->ring, none));
    assert_fault(bench, VIONET_VIOLATION_RING_ADDRESS, VIONET_NONE, bench->desc);
    g_free(none);
    g_free(moved);
    g_aligned_free(elsewhere);
    bench_free(bench);
}

/* ---- Seams (G-01): parts, tables and buffers over mappings that touch for the guest only ---- */

#define SEAM_PAGES 4

static struct bench *bench_in_pieces(uint16_t size, struct guest_extent *extents, unsigned n)
{
    const struct guest_memory_options options = {
        .extents = extents, .n_extents = n, .guard_pages = true, .straddle = true};

    for (unsigned i = 0; i < n; i++) {
        extents[i] = (struct guest_extent){BASE + i * SEAM_PAGES * PAGE, SEAM_PAGES * PAGE};
    }
    return bench_make(size, false, &options);
}

static uint64_t seam(unsigned i)
{
    return BASE + i * SEAM_PAGES * PAGE;
}

/* Three rounds and a bit of buffers, given back in pairs the wrong way round. */
static void run_rounds(struct bench *bench)
{
    const uint16_t size = bench->setup.size;

    for (unsigned i = 0; i < 3u * size + size / 2; i += 2) {
        const uint16_t heads[2] = {(uint16_t)(i % size), (uint16_t)((i + 1) % size)};
        struct chain_ref refs[2];

        for (unsigned k = 0; k < 2; k++) {
            put_desc(bench, heads[k], bench->data + 64 * (uint64_t)heads[k], 10 + heads[k], 0, 0);
            offer(bench, heads[k]);
        }
        for (unsigned k = 0; k < 2; k++) {
            refs[k] = pop_one(bench);
            g_assert_cmpuint(refs[k].id, ==, heads[k]);
            g_assert_cmpuint(bench->chain.out_len, ==, 10u + heads[k]);
        }
        ring_push(&bench->ring, &refs[1], i + 1);
        ring_push(&bench->ring, &refs[0], i);
        g_assert_true(ring_flush(&bench->ring));
        for (unsigned k = 0; k < 2; k++) {
            const uint64_t at = bench->device + USED_AT((i + k) % size);

            g_assert_cmpuint(get32(bench, at), ==, heads[1 - k]);
            g_assert_cmpuint(get32(bench, at + 4), ==, i + 1 - k);
        }
        g_assert_cmpuint(get16(bench, bench->device + 2), ==, i + 2);
        ring_enable_kicks(&bench->ring);
        g_assert_cmpuint(get16(bench, bench->device + USED_AT(size)), ==, i + 2);
    }
}

static void parts_over_seams(unsigned part, uint16_t size, int first, int last, int step)
{
    struct guest_extent extents[16];

    for (int off = first; off <= last; off += step) {
        struct bench *bench = bench_in_pieces(size, extents, 16);
        uint64_t *const parts[3] = {&bench->desc, &bench->driver, &bench->device};

        g_test_message("part %u of a ring of %u at a seam %+d", part, size, off);
        bench->desc = seam(1);
        bench->driver = seam(5);
        bench->device = seam(9);
        bench->data = seam(13);
        bench->setup.event_idx = true;
        *parts[part] += (uint64_t)(int64_t)off;
        g_assert_true(bench_start(bench));
        run_rounds(bench);
        bench_free(bench);
    }
}

/* Host memory is fenced: a part taken for one piece faults, which ends the program. */
static void in_subprocess(void)
{
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
}

static void test_descriptors_over_seams(void)
{
    if (!g_test_subprocess()) {
        in_subprocess();
        return;
    }
    parts_over_seams(VIONET_AREA_DESC, 2, -32, 16, 16);
    parts_over_seams(VIONET_AREA_DESC, 4, -64, 16, 16);
    parts_over_seams(VIONET_AREA_DESC, 256, -4096, 16, 272);
}

static void test_available_ring_over_seams(void)
{
    if (!g_test_subprocess()) {
        in_subprocess();
        return;
    }
    parts_over_seams(VIONET_AREA_DRIVER, 2, -16, 16, 2);
    parts_over_seams(VIONET_AREA_DRIVER, 4, -16, 16, 2);
    parts_over_seams(VIONET_AREA_DRIVER, 256, -520, 16, 2);
}

static void test_used_ring_over_seams(void)
{
    if (!g_test_subprocess()) {
        in_subprocess();
        return;
    }
    parts_over_seams(VIONET_AREA_DEVICE, 2, -24, 16, 4);
    parts_over_seams(VIONET_AREA_DEVICE, 4, -40, 16, 4);
    parts_over_seams(VIONET_AREA_DEVICE, 256, -2056, 16, 4);
}

/* An indirect table may stand at any address; here at each around a seam. */
static void test_indirect_table_over_seams(void)
{
    struct guest_extent extents[4];
    struct bench *bench;

    if (!g_test_subprocess()) {
        in_subprocess();
        return;
    }
    bench = bench_in_pieces(4, extents, 4);
    bench->driver = BASE + PAGE;
    bench->device = BASE + 2 * PAGE;
    bench->data = seam(3);
    g_assert_true(bench_start(bench));
    for (int off = -64; off <= 16; off++) {
        const uint64_t table = seam(1) + (uint64_t)(int64_t)off;
        struct chain_ref ref;

        put_entry(bench, table, bench->data, 100, NEXT, 2);
        put_entry(bench, table + 16, bench->data + 200, 7, WRITE, 0);
        put_entry(bench, table + 32, bench->data + 100, 50, NEXT, 1);
        put_desc(bench, 1, table, 48, TABLE | WRITE, 0);
        offer(bench, 1);
        ref = pop_one(bench);
        g_assert_cmpuint(bench->chain.out_len, ==, 150);
        g_assert_cmpuint(bench->chain.in_len, ==, 7);
        ring_push(&bench->ring, &ref, 7);
        ring_flush(&bench->ring);
    }
    bench_free(bench);
}

/* host ranges are not descriptors. Q descriptors that all cross seams are an honest chain. */
static void test_every_descriptor_over_a_seam(void)
{
    static const uint16_t sizes[] = {2, 4, 256, 1024};
    struct guest_extent extents[16];

    for (size_t s = 0; s < G_N_ELEMENTS(sizes); s++) {
        const uint16_t size = sizes[s];
        struct bench *bench = bench_in_pieces(size, extents, 16);

        bench->desc = seam(0);
        bench->driver = seam(2);
        bench->device = seam(4);
        g_assert_true(bench_start(bench));
        for (uint16_t i = 0; i < size; i++) {
            put_desc(bench, i, seam(8 + i % 4) - 3, 7, i + 1 < size ? NEXT : 0,
                     (uint16_t)(i + 1) % size);
        }
        offer(bench, 0);
        pop_one(bench);
        g_assert_cmpuint(bench->chain.out_len, ==, 7u * size);
        g_assert_cmpuint(bench->chain.n_out, ==, 2u * size);
        for (unsigned i = 0; i < bench->chain.n_out; i++) {
            g_assert_cmpuint(bench->chain.out[i].iov_len, ==, i % 2 ? 4 : 3);
        }
        bench_free(bench);
    }
}

/* ---- Indices ---- */

/* one buffer at a time through more than all values of an index, in the largest ring. */
static void test_largest_ring(void)
{
    struct bench *bench = bench_split(32768, true, false);
    uint8_t *used = guest(bench, bench->device, USED_AT(32768) + 2);

    for (uint32_t i = 0; i < 70000; i++) {
        const uint16_t head = (uint16_t)(32767 - i % 32768);
        struct chain_ref ref;

        put_desc(bench, head, bench->data, 1, 0, 0);
        offer(bench, head);
        ref = pop_one(bench);
        g_assert_cmpuint(ref.id, ==, head);
        g_assert_cmpint(pop(bench), ==, 0);
        ring_push(&bench->ring, &ref, i);
        ring_flush(&bench->ring);
        g_assert_cmpuint(bytes_get16(used + 2), ==, (uint16_t)(i + 1));
        g_assert_cmpuint(bytes_get32(used + USED_AT(i % 32768)), ==, head);
        g_assert_cmpuint(bytes_get32(used + USED_AT(i % 32768) + 4), ==, i);
        /* The event words stand behind the rings: 65540 and 262148 octets from their beginnings. */
        g_assert_false(ring_enable_kicks(&bench->ring));
        g_assert_cmpuint(bytes_get16(used + 262148), ==, (uint16_t)(i + 1));
        put16(bench, bench->driver + 65540, (uint16_t)(i + i % 2));
        g_assert_true(ring_must_notify(&bench->ring) == (i == 0 || i % 2 == 0));
    }
    g_assert_cmpuint(bytes_get16(used), ==, 0);
    bench_free(bench);
}

/* The whole ring at once, from each place around the wrap of the index. */
static void test_full_ring(void)
{
    static const uint16_t sizes[] = {1, 2, 4, 256, 32768};
    static const uint16_t starts[] = {0, 1, 0x7fff, 0x8000, 0xfffe, 0xffff};

    for (size_t s = 0; s < G_N_ELEMENTS(sizes); s++) {
        const uint16_t size = sizes[s];
        struct chain_ref *refs = g_new(struct chain_ref, size);

        for (size_t k = 0; k < G_N_ELEMENTS(starts); k++) {
            struct bench *bench = bench_split(size, false, false);

            bench_skip_to(bench, starts[k]);
            for (uint16_t i = 0; i < size; i++) {
                put_desc(bench, i, bench->data, i, 0, 0);
                offer(bench, i);
            }
            for (uint16_t i = 0; i < size; i++) {
                refs[i] = pop_one(bench);
                g_assert_cmpuint(refs[i].id, ==, i);
            }
            g_assert_cmpint(pop(bench), ==, 0);
            for (uint16_t i = size; i > 0; i--) {
                ring_push(&bench->ring, &refs[i - 1], 0);
            }
            ring_flush(&bench->ring);
            for (uint16_t i = 0; i < size; i++) {
                const uint16_t slot = (uint16_t)(starts[k] + i) % size;

                g_assert_cmpuint(get32(bench, bench->device + USED_AT(slot)), ==, size - 1u - i);
            }
            g_assert_cmpuint(get16(bench, bench->device + 2), ==, (uint16_t)(starts[k] + size));
            bench_free(bench);
        }
        g_free(refs);
    }
}

/* how far the driver's index may be ahead: by what it has, which is less what is out. */
static void test_available_index(void)
{
    static const uint16_t sizes[] = {1, 2, 4, 256, 32768};
    static const uint16_t starts[] = {0, 0x7fff, 0xfffe, 0xffff};

    for (size_t s = 0; s < G_N_ELEMENTS(sizes); s++) {
        for (size_t k = 0; k < G_N_ELEMENTS(starts); k++) {
            for (unsigned out = 0; out <= MIN(2, sizes[s]); out++) {
                const uint32_t most = sizes[s] - out;
                const uint32_t ahead[] = {0, 1, most, most + 1, most + 2, 0x8000, 0xffff};

                for (size_t a = 0; a < G_N_ELEMENTS(ahead); a++) {
                    struct bench *bench = bench_split(sizes[s], false, false);
                    uint16_t jump = (uint16_t)ahead[a];

                    bench_skip_to(bench, starts[k]);
                    for (uint16_t i = 0; i < out; i++) {
                        offer(bench, i);
                        pop_one(bench);
                    }
                    for (unsigned i = 0; i < sizes[s]; i++) {
                        put16(bench, bench->driver + AVAIL_AT(i), (uint16_t)out % sizes[s]);
                    }
                    put16(bench, bench->driver + 2, (uint16_t)(starts[k] + out + jump));
                    g_assert_cmpint(pop(bench), ==, jump == 0 ? 0 : jump <= most ? 1 : -1);
                    if (jump > most) {
                        assert_fault(bench, VIONET_VIOLATION_AVAIL_JUMP, VIONET_NONE, jump);
                    }
                    bench_free(bench);
                }
            }
        }
    }
}

/* what is out and what is staged count alike; never more than Q in flight. */
static void test_in_flight_is_bounded(void)
{
    static const uint16_t sizes[] = {2, 4, 256};

    for (size_t s = 0; s < G_N_ELEMENTS(sizes); s++) {
        const uint16_t size = sizes[s];
        struct bench *bench = bench_split(size, false, false);
        unsigned taken = 0;
        int found;

        do {
            offer(bench, (uint16_t)(taken % size));
            found = pop(bench);
            taken += found > 0;
        } while (found > 0 && taken <= 3u * size);
        g_assert_cmpint(found, ==, -1);
        g_assert_cmpuint(taken, ==, size);
        g_assert_cmpuint(bench->ring.in_flight, ==, size);
        assert_fault(bench, VIONET_VIOLATION_AVAIL_JUMP, VIONET_NONE, 1);
        bench_free(bench);
    }
}

/* the same head twice is refused at the second pop, and is good again once it was used. */
static void test_head_in_flight(void)
{
    struct bench *bench = bench_split(4, false, false);
    struct chain_ref ref;

    for (unsigned round = 0; round < 10; round++) {
        put_desc(bench, 3, bench->data, 20, 0, 0);
        offer(bench, 3);
        ref = pop_one(bench);
        ring_push(&bench->ring, &ref, 0);
        ring_flush(&bench->ring);
    }
    offer(bench, 3);
    pop_one(bench);
    offer(bench, 3);
    g_assert_cmpint(pop(bench), ==, -1);
    assert_fault(bench, VIONET_VIOLATION_HEAD_IN_FLIGHT, 3, 11);
    bench_free(bench);
}

/* ---- Stepping back ---- */

/* taking and putting back leaves no trace, however often. */
static void test_unpop_leaves_no_trace(void)
{
    for (unsigned in_order = 0; in_order < 2; in_order++) {
        struct bench *bench = bench_split(4, true, in_order);
        struct chain_ref ref;

        for (uint16_t i = 0; i < 4; i++) {
            put_desc(bench, i, bench->data, 10, 0, 0);
            offer(bench, i);
        }
        for (unsigned i = 0; i < 70000; i++) {
            ref = pop_one(bench);
            g_assert_cmpuint(ref.id, ==, 0);
            ring_unpop(&bench->ring, &ref);
        }
        for (uint16_t i = 0; i < 4; i++) {
            ref = pop_one(bench);
            g_assert_cmpuint(ref.id, ==, i);
            ring_push(&bench->ring, &ref, i);
        }
        g_assert_cmpint(pop(bench), ==, 0);
        g_assert_cmpuint(bench->ring.in_flight, ==, 0);
        ring_flush(&bench->ring);
        g_assert_cmpuint(get16(bench, bench->device + 2), ==, 4);
        bench_free(bench);
    }
}

/* The same of several at a time, down to none but one that was given back. */
static void test_unpop_several(void)
{
    for (unsigned in_order = 0; in_order < 2; in_order++) {
        struct bench *bench = bench_split(8, true, in_order);

        for (uint16_t i = 0; i < 8; i++) {
            put_desc(bench, i, bench->data, 10, WRITE, 0);
            offer(bench, i);
        }
        for (unsigned kept = 0; kept < 8; kept++) {
            struct chain_ref refs[8];

            for (unsigned round = 0; round < 10000; round++) {
                const unsigned n = 8 - kept;

                for (unsigned i = 0; i < n; i++) {
                    refs[i] = pop_one(bench);
                    g_assert_cmpuint(refs[i].id, ==, kept + i);
                }
                for (unsigned i = n; i-- > 0;) {
                    ring_unpop(&bench->ring, &refs[i]);
                }
            }
            refs[0] = pop_one(bench);
            ring_push(&bench->ring, &refs[0], kept);
        }
        g_assert_cmpint(pop(bench), ==, 0);
        g_assert_true(ring_flush(&bench->ring));
        for (unsigned i = 0; i < 8; i++) {
            g_assert_cmpuint(get32(bench, bench->device + USED_AT(i)), ==, i);
            g_assert_cmpuint(get32(bench, bench->device + USED_AT(i) + 4), ==, i);
        }
        bench_free(bench);
    }
}

/* ---- In order ---- */

/* The n-th permutation of five. */
static void permutation(unsigned n, unsigned order[5])
{
    unsigned left[5] = {0, 1, 2, 3, 4};

    for (unsigned i = 0; i < 5; i++) {
        const unsigned pick = n % (5 - i);

        n /= 5 - i;
        order[i] = left[pick];
        memmove(&left[pick], &left[pick + 1], (4 - pick) * sizeof(left[0]));
        left[4] = 0;
    }
}

/* in whatever order buffers come back, the driver sees them in the order it made them. */
static void test_in_order(void)
{
    static const uint16_t heads[5] = {6, 1, 7, 0, 3};
    struct bench *bench = bench_split(8, false, true);

    for (unsigned n = 0; n < 120; n++) {
        const uint16_t base = get16(bench, bench->device + 2);
        struct chain_ref refs[5];
        bool back[5] = {false};
        unsigned order[5];
        unsigned seen = 0;

        for (unsigned i = 0; i < 5; i++) {
            put_desc(bench, heads[i], bench->data, 10, WRITE, 0);
            offer(bench, heads[i]);
        }
        for (unsigned i = 0; i < 5; i++) {
            refs[i] = pop_one(bench);
        }
        permutation(n, order);
        for (unsigned i = 0; i < 5; i++) {
            const unsigned before = seen;

            ring_push(&bench->ring, &refs[order[i]], 100 + order[i]);
            back[order[i]] = true;
            while (seen < 5 && back[seen]) {
                seen++;
            }
            g_assert_true(ring_flush(&bench->ring) == (seen > before));
            g_assert_cmpuint(get16(bench, bench->device + 2), ==, (uint16_t)(base + seen));
        }
        for (unsigned i = 0; i < 5; i++) {
            const uint64_t at = bench->device + USED_AT((base + i) % 8);

            g_assert_cmpuint(get32(bench, at), ==, heads[i]);
            g_assert_cmpuint(get32(bench, at + 4), ==, 100 + i);
        }
    }
    g_assert_cmpuint(bench->ring.in_flight, ==, 0);
    bench_free(bench);
}

/* Through the wrap of turns and indices, with all of the ring out and coming back at random. */
static void test_in_order_at_length(void)
{
    static const uint16_t sizes[] = {2, 4, 256};
    GRand *random = g_rand_new_with_seed(27);

    for (size_t s = 0; s < G_N_ELEMENTS(sizes); s++) {
        const uint16_t size = sizes[s];
        struct bench *bench = bench_split(size, false, true);
        struct chain_ref *out = g_new(struct chain_ref, size);
        uint32_t made = 0;
        uint32_t seen = 0;
        unsigned n = 0;

        while (seen < 140000) {
            while (made - seen < size) {
                put_desc(bench, made % size, bench->data, 10, WRITE, 0);
                offer(bench, (uint16_t)(made++ % size));
            }
            while (n < size && pop(bench) == 1) {
                out[n++] = bench->chain.ref;
            }
            for (unsigned k = 1 + (unsigned)g_rand_int_range(random, 0, (int)n); k > 0; k--) {
                const unsigned pick = (unsigned)g_rand_int_range(random, 0, (int)n);

                ring_push(&bench->ring, &out[pick], out[pick].id + 7u);
                out[pick] = out[--n];
            }
            ring_flush(&bench->ring);
            for (; (uint16_t)seen != get16(bench, bench->device + 2); seen++) {
                g_assert_cmpuint(get32(bench, bench->device + USED_AT(seen % size)), ==,
                                 seen % size);
                g_assert_cmpuint(get32(bench, bench->device + USED_AT(seen % size) + 4), ==,
                                 seen % size + 7);
            }
        }
        g_free(out);
        bench_free(bench);
    }
    g_rand_free(random);
}

/* ---- Notifying the driver ---- */

static void put_used_event(const struct bench *bench, uint16_t event)
{
    put16(bench, bench->driver + AVAIL_AT(bench->setup.size), event);
}

/* 2.7.7.2, to the letter: an element was placed at the index that the driver named. */
static bool placed_at(uint16_t event, uint16_t old, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if ((uint16_t)(old + i) == event) {
            return true;
        }
    }
    return false;
}

static void assert_decision(struct bench *bench, uint16_t event, uint16_t old, unsigned n)
{
    bench->ring.told_used = old;
    bench->ring.told_valid = true;
    bench->ring.next_used = (uint16_t)(old + n);
    put_used_event(bench, event);
    if (ring_must_notify(&bench->ring) != placed_at(event, old, n)) {
        g_test_message("event %u, %u to %u", event, old, (uint16_t)(old + n));
        g_test_fail();
    }
}

/* Every pair of index and event, as far as more than the ring's size can matter, and all events. */
static void test_event_formula(void)
{
    static const uint16_t starts[] = {0,      1,      2,      3,      0x7ffd, 0x7ffe, 0x7fff,
                                      0x8000, 0x8001, 0xfffb, 0xfffc, 0xfffd, 0xfffe, 0xffff};
    static const uint16_t sizes[] = {2, 4};

    for (size_t s = 0; s < G_N_ELEMENTS(sizes); s++) {
        struct bench *bench = bench_split(sizes[s], true, false);

        for (unsigned n = 0; n <= sizes[s]; n++) {
            for (uint32_t old = 0; old < 65536; old++) {
                for (int near = -6; near <= 6; near++) {
                    assert_decision(bench, (uint16_t)((int)old + near), (uint16_t)old, n);
                }
            }
            for (size_t i = 0; i < G_N_ELEMENTS(starts); i++) {
                for (uint32_t event = 0; event < 65536; event++) {
                    assert_decision(bench, (uint16_t)event, starts[i], n);
                }
            }
        }
        bench_free(bench);
    }
}

static void test_event_formula_in_large_rings(void)
{
    static const uint16_t sizes[] = {256, 32768};
    GRand *random = g_rand_new_with_seed(5);

    for (size_t s = 0; s < G_N_ELEMENTS(sizes); s++) {
        struct bench *bench = bench_split(sizes[s], true, false);

        for (unsigned i = 0; i < 3000; i++) {
            const uint16_t old = (uint16_t)g_rand_int(random);
            const unsigned n = (unsigned)g_rand_int_range(random, 0, sizes[s] + 1);

            assert_decision(bench, (uint16_t)g_rand_int(random), old, n);
            assert_decision(bench, old, old, n);
            assert_decision(bench, (uint16_t)(old - 1), old, n);
            assert_decision(bench, (uint16_t)(old + n), old, n);
            assert_decision(bench, (uint16_t)(old + n - 1), old, n);
        }
        bench_free(bench);
    }
    g_rand_free(random);
}

/* Examples that were worked by hand. */
static void test_event_examples(void)
{
    static const struct {
        uint16_t event, old, new;
        bool notify;
    } hand[] = {
        {0, 0, 1, true},         {5, 2, 5, false},     {5, 2, 6, true},
        {65535, 65534, 1, true}, {1, 65534, 1, false}, {2, 2, 2, false},
    };
    struct bench *bench = bench_split(4, true, false);

    for (size_t i = 0; i < G_N_ELEMENTS(hand); i++) {
        bench->ring.told_used = hand[i].old;
        bench->ring.told_valid = true;
        bench->ring.next_used = hand[i].new;
        put_used_event(bench, hand[i].event);
        g_assert_true(ring_must_notify(&bench->ring) == hand[i].notify);
    }
    bench_free(bench);
}

/* One buffer for the driver to see. */
static void use_one(struct bench *bench)
{
    struct chain_ref ref;

    put_desc(bench, 0, bench->data, 10, 0, 0);
    offer(bench, 0);
    ref = pop_one(bench);
    ring_push(&bench->ring, &ref, 0);
    g_assert_true(ring_flush(&bench->ring));
}

/* The same through the front door: an index at a time, the event where a driver may have it. */
static void test_event_index_wraps(void)
{
    GRand *random = g_rand_new_with_seed(65536);
    struct bench *bench = bench_split(4, true, false);
    uint16_t told = 0;

    for (uint32_t i = 0; i < 140000; i++) {
        const uint16_t event = (uint16_t)(i + (uint32_t)g_rand_int_range(random, -6, 7));

        put_used_event(bench, event);
        use_one(bench);
        if (i % 3 == 2) {
            const uint16_t now = (uint16_t)(i + 1);
            const bool notify = ring_must_notify(&bench->ring);

            /* The first decision has nothing to compare with and may be one too many. */
            g_assert_true(i == 2 || notify == placed_at(event, told, (uint16_t)(now - told)));
            told = now;
        }
    }
    bench_free(bench);
    g_rand_free(random);
}

static void test_first_decision_notifies(void)
{
    static const uint16_t events[] = {0, 1, 0x8000, 0xffff};

    for (size_t i = 0; i < G_N_ELEMENTS(events); i++) {
        struct bench *bench = bench_split(4, true, false);

        put_used_event(bench, events[i]);
        use_one(bench);
        g_assert_true(ring_must_notify(&bench->ring));
        bench_free(bench);
    }
}

/* 2.7.7.2: without EVENT_IDX bit 0 of flags decides, the event word is nothing. */
static void test_flags_decide(void)
{
    struct bench *bench = bench_split(4, false, false);

    for (uint32_t i = 0; i < 1000; i++) {
        const uint16_t flags = (uint16_t)(i % 8);

        put16(bench, bench->driver, flags);
        put_used_event(bench, (uint16_t)(i * 7));
        use_one(bench);
        g_assert_true(ring_must_notify(&bench->ring) == !(flags & 1));
    }
    bench_free(bench);
}

/* With EVENT_IDX flags are nothing. */
static void test_flags_are_ignored(void)
{
    struct bench *bench = bench_split(4, true, false);

    use_one(bench);
    ring_must_notify(&bench->ring);
    for (uint16_t i = 1; i < 1000; i++) {
        put16(bench, bench->driver, i % 2);
        put_used_event(bench, i % 3 ? i : i + 1);
        use_one(bench);
        g_assert_true(ring_must_notify(&bench->ring) == (i % 3 != 0));
        g_assert_cmpuint(get16(bench, bench->device), ==, 0);
    }
    bench_free(bench);
}

/* ---- Being notified ---- */

static void test_kicks_by_flags(void)
{
    struct bench *bench = bench_split(4, false, false);

    put16(bench, bench->device + USED_AT(4), 0xbeef);
    g_assert_false(ring_enable_kicks(&bench->ring));
    g_assert_cmpuint(get16(bench, bench->device), ==, 0);
    ring_disable_kicks(&bench->ring);
    g_assert_cmpuint(get16(bench, bench->device), ==, 1);
    ring_disable_kicks(&bench->ring);
    g_assert_cmpuint(get16(bench, bench->device), ==, 1);
    offer(bench, 0);
    g_assert_true(ring_enable_kicks(&bench->ring));
    g_assert_cmpuint(get16(bench, bench->device), ==, 0);
    pop_one(bench);
    g_assert_false(ring_enable_kicks(&bench->ring));
    g_assert_cmphex(get16(bench, bench->device + USED_AT(4)), ==, 0xbeef); /* not the device's */
    bench_free(bench);
}

static void test_kicks_by_event(void)
{
    struct bench *bench = bench_split(4, true, false);

    bench_skip_to(bench, 0xfffe);
    for (uint32_t i = 0xfffe; i < 0x10004; i++) {
        struct chain_ref ref;

        g_assert_false(ring_enable_kicks(&bench->ring));
        g_assert_cmpuint(get16(bench, bench->device + USED_AT(4)), ==, (uint16_t)i);
        ring_disable_kicks(&bench->ring);
        g_assert_cmpuint(get16(bench, bench->device), ==, 0);
        offer(bench, 1);
        g_assert_true(ring_enable_kicks(&bench->ring));
        ref = pop_one(bench);
        g_assert_false(ring_enable_kicks(&bench->ring));
        g_assert_cmpuint(get16(bench, bench->device + USED_AT(4)), ==, (uint16_t)(i + 1));
        ring_push(&bench->ring, &ref, 0);
        ring_flush(&bench->ring);
    }
    bench_free(bench);
}

/* ---- Lost notifications, by trying all orders ---- */

/* What the model's driver knows besides memory. */
struct driver {
    uint16_t kicked; /* index at its last decision */
    bool kick;       /* it notified since the device last looked */
};

/* 2.7.10 as the driver does it. */
static void driver_decide(struct bench *bench, struct driver *driver)
{
    const uint16_t now = bench->avail_idx;
    const uint16_t old = driver->kicked;

    driver->kicked = now;
    if (bench->setup.event_idx) {
        const uint16_t event = get16(bench, bench->device + USED_AT(bench->setup.size));

        driver->kick |= placed_at(event, old, (uint16_t)(now - old));
    } else {
        driver->kick |= now != old && !(get16(bench, bench->device) & 1);
    }
}

/*
 * Driver: add, decide, add, decide. Device: finds nothing, asks, looks again. order has a bit for
 * each step, set if it is the device's.
 */
static void interleave_kick(struct bench *bench, unsigned order, uint16_t start)
{
    struct ring *ring = &bench->ring;
    struct driver driver = {.kicked = start};
    unsigned driver_step = 0;
    unsigned device_step = 0;
    bool more = false;
    int found = 0;

    bench_skip_to(bench, start);
    ring->in_flight = 0;
    ring->kicks_wanted = true;
    ring_disable_kicks(ring); /* it was at work */
    put16(bench, bench->device + USED_AT(bench->setup.size), (uint16_t)(start - 1));
    for (unsigned step = 0; step < 7; step++) {
        if (!(order >> step & 1)) {
            if (driver_step++ % 2 == 0) {
                offer(bench, (uint16_t)(driver_step / 2));
            } else {
                driver_decide(bench, &driver);
            }
        } else if (device_step++ == 0) {
            found = ring->next_avail != get16(bench, bench->driver + 2);
        } else if (device_step == 2) {
            driver.kick = false; /* older ones would be in vain */
            ring->kicks_wanted = true;
            ring->ops->set_kicks(ring, true);
        } else {
            more = ring->ops->has_more(ring);
        }
    }
    /* It found nothing, it sees nothing: then it must have been told. */
    if (!found && !more && !driver.kick) {
        g_test_message("size %u, index %u, order 0x%x", bench->setup.size, start, order);
        g_test_fail();
    }
}

/* no order of steps loses a notification by the driver, at any index. */
static void test_no_kick_is_lost(void)
{
    static const uint16_t sizes[] = {2, 4};

    for (unsigned event_idx = 0; event_idx < 2; event_idx++) {
        for (size_t s = 0; s < G_N_ELEMENTS(sizes); s++) {
            struct bench *bench = bench_split(sizes[s], event_idx, false);

            for (unsigned order = 0; order < 128; order++) {
                if (__builtin_popcount(order) != 3) {
                    continue;
                }
                for (uint32_t start = 0; start < 65536; start += event_idx ? 1 : 257) {
                    interleave_kick(bench, order, (uint16_t)start);
                }
            }
            bench_free(bench);
        }
    }
}

/* Device: shows n used buffers, decides. Driver, which had seen all: asks, looks. */
static void interleave_interrupt(struct bench *bench, unsigned order, uint16_t start, unsigned n)
{
    struct ring *ring = &bench->ring;
    unsigned driver_step = 0;
    unsigned device_step = 0;
    bool interrupted = false;
    bool seen = false;

    bench_skip_to(bench, start);
    ring->staged = (uint16_t)n;
    put16(bench, bench->driver, VIRTQ_AVAIL_F_NO_INTERRUPT);
    put_used_event(bench, (uint16_t)(start - 1));
    for (unsigned step = 0; step < 4; step++) {
        if (order >> step & 1) {
            if (device_step++ == 0) {
                ring_flush(ring);
            } else {
                interrupted = ring_must_notify(ring);
            }
        } else if (driver_step++ == 0) {
            if (bench->setup.event_idx) {
                put_used_event(bench, start);
            } else {
                put16(bench, bench->driver, 0);
            }
        } else {
            seen = get16(bench, bench->device + 2) != start;
        }
    }
    if (!seen && !interrupted) {
        g_test_message("size %u, index %u, %u used, order 0x%x", bench->setup.size, start, n,
                       order);
        g_test_fail();
    }
}

static void test_no_interrupt_is_lost(void)
{
    static const uint16_t sizes[] = {2, 4};

    for (unsigned event_idx = 0; event_idx < 2; event_idx++) {
        for (size_t s = 0; s < G_N_ELEMENTS(sizes); s++) {
            struct bench *bench = bench_split(sizes[s], event_idx, false);

            for (unsigned order = 0; order < 16; order++) {
                for (uint32_t i = 0; __builtin_popcount(order) == 2 && i < 65536; i++) {
                    interleave_interrupt(bench, order, (uint16_t)i, 1 + i % sizes[s]);
                }
            }
            bench_free(bench);
        }
    }
}

/* ---- Chains that are unusual and right ---- */

/* descriptors without octets are passed over, wherever they stand; they count as such. */
static void test_empty_descriptors(void)
{
    struct bench *bench = bench_split(4, false, false);
    struct chain_ref ref;

    put_desc(bench, 0, bench->data, 0, NEXT, 1);
    put_desc(bench, 1, bench->data + 100, 5, NEXT, 2);
    put_desc(bench, 2, UINT64_MAX, 0, NEXT | WRITE, 3); /* no octet is outside of memory */
    put_desc(bench, 3, bench->data + 200, 6, WRITE, 0);
    offer(bench, 0);
    ref = pop_one(bench);
    g_assert_cmpuint(bench->chain.n_out, ==, 1);
    g_assert_cmpuint(bench->chain.n_in, ==, 1);
    assert_range(bench, &bench->chain.out[0], bench->data + 100, 5);
    assert_range(bench, &bench->chain.in[0], bench->data + 200, 6);
    ring_push(&bench->ring, &ref, 0);
    for (uint16_t i = 0; i < 4; i++) {
        put_desc(bench, i, 0, 0, i < 3 ? NEXT : 0, (uint16_t)(i + 1));
    }
    ring_flush(&bench->ring);
    offer(bench, 0);
    pop_one(bench);
    g_assert_cmpuint(bench->chain.out_len + bench->chain.in_len, ==, 0);
    bench_free(bench);
}

/* Flags that do not exist, and next without NEXT, are nothing. */
static void test_unknown_flags(void)
{
    struct bench *bench = bench_split(4, false, false);

    put_desc(bench, 0, bench->data, 5, (uint16_t)(NEXT | 0xfff8), 2);
    put_desc(bench, 2, bench->data, 6, (uint16_t)(WRITE | 0xfff8), 0xffff);
    offer(bench, 0);
    pop_one(bench);
    g_assert_cmpuint(bench->chain.out_len, ==, 5);
    g_assert_cmpuint(bench->chain.in_len, ==, 6);
    bench_free(bench);
}

/* 2.7.5.3.2: direct descriptors, then a table; R-09's legal half. */
static void test_direct_then_indirect(void)
{
    struct bench *bench = bench_split(4, false, false);

    for (uint16_t direct = 0; direct < 4; direct++) {
        struct chain_ref ref;

        for (uint16_t i = 0; i < direct; i++) {
            put_desc(bench, i, bench->data + i, 1, NEXT, (uint16_t)(i + 1));
        }
        put_desc(bench, direct, bench->data + PAGE + direct, 32, TABLE | WRITE, 0x4444);
        put_entry(bench, bench->data + PAGE + direct, bench->data + 50, 2, NEXT, 1);
        put_entry(bench, bench->data + PAGE + direct + 16, bench->data + 60, 3, WRITE, 0);
        offer(bench, 0);
        ref = pop_one(bench);
        g_assert_cmpuint(bench->chain.out_len, ==, direct + 2u);
        g_assert_cmpuint(bench->chain.in_len, ==, 3);
        ring_push(&bench->ring, &ref, 3);
        ring_flush(&bench->ring);
    }
    bench_free(bench);
}

/* The longest chains: Q descriptors, and a table of Q or 1024 entries, whichever is more. */
static void test_longest_chains(void)
{
    static const uint16_t sizes[] = {2, 4, 256, 1024, 2048};

    for (size_t s = 0; s < G_N_ELEMENTS(sizes); s++) {
        const uint16_t size = sizes[s];
        const unsigned entries = MAX(size, 1024);
        struct bench *bench = bench_split(size, false, false);
        const uint64_t table = bench->data + PAGE;
        struct chain_ref ref;

        for (uint16_t i = 0; i < size; i++) {
            put_desc(bench, i, bench->data, 1, i + 1 < size ? NEXT : 0, (uint16_t)(i + 1));
        }
        offer(bench, 0);
        ref = pop_one(bench);
        g_assert_cmpuint(bench->chain.out_len, ==, size);
        ring_push(&bench->ring, &ref, 0);
        ring_flush(&bench->ring);
        for (unsigned i = 0; i < entries; i++) {
            put_entry(bench, table + 16 * (uint64_t)i, bench->data, 1, i + 1 < entries ? NEXT : 0,
                      (uint16_t)(i + 1));
        }
        put_desc(bench, 1, table, 16 * entries, TABLE, 0);
        offer(bench, 1);
        ref = pop_one(bench);
        g_assert_cmpuint(bench->chain.out_len, ==, entries);
        ring_push(&bench->ring, &ref, 0);
        ring_flush(&bench->ring);
        /* One more, from in front of the table. */
        put_desc(bench, 0, bench->data, 1, NEXT, 1);
        offer(bench, 0);
        g_assert_cmpint(pop(bench), ==, -1);
        assert_fault(bench, VIONET_VIOLATION_CHAIN_LENGTH, 0, entries);
        bench_free(bench);
    }
}

/* what held for one chain does not for the next, in either order. */
static void test_limits_are_each_chains_own(void)
{
    for (unsigned indirect_first = 0; indirect_first < 2; indirect_first++) {
        struct bench *bench = bench_split(4, false, false);
        const uint64_t table = bench->data + PAGE;

        /* A table of 8 that goes from 0 to 7, and a direct chain that may not. */
        put_desc(bench, 0, table, 8 * 16, TABLE, 0);
        put_entry(bench, table, bench->data, 1, NEXT, 7);
        put_entry(bench, table + 7 * 16, bench->data, 1, 0, 0);
        put_desc(bench, 1, bench->data, 1, NEXT, indirect_first ? 7 : 3);
        put_desc(bench, 3, bench->data, 1, 0, 0);
        if (indirect_first) {
            offer(bench, 0);
            offer(bench, 1);
            pop_one(bench);
            g_assert_cmpint(pop(bench), ==, -1);
            assert_fault(bench, VIONET_VIOLATION_NEXT_RANGE, 1, 7);
        } else {
            offer(bench, 1);
            offer(bench, 0);
            pop_one(bench);
            pop_one(bench);
        }
        bench_free(bench);
    }
}

/* A table of two entries in a ring of 256: 2 to 255 are in the ring, and not in the table. */
static void test_tables_have_bounds_of_their_own(void)
{
    struct bench *bench = bench_split(256, false, false);
    const uint64_t table = bench->data + PAGE;

    put_desc(bench, 9, table, 2 * 16, TABLE, 0);
    put_entry(bench, table, bench->data, 1, NEXT, 2);
    put_entry(bench, table + 32, bench->data, 1, 0, 0);
    offer(bench, 9);
    g_assert_cmpint(pop(bench), ==, -1);
    assert_fault(bench, VIONET_VIOLATION_NEXT_RANGE, 9, 2);
    bench_free(bench);
}

/* 2^32 octets are allowed, one more is not; sums are wide enough to tell. */
static void test_most_octets(void)
{
    static const struct guest_extent extent = {BASE, UINT64_C(16) << 20};
    static const struct guest_memory_options options = {.extents = &extent, .n_extents = 1};
    static const uint16_t sizes[] = {2, 4, 256, 2048};
    static const uint16_t flags[] = {0, WRITE};

    for (size_t k = 0; k < G_N_ELEMENTS(sizes) * G_N_ELEMENTS(flags); k++) {
        struct bench *bench = bench_make(sizes[k / 2], false, &options);
        const uint64_t table = bench->data;
        const uint16_t way = flags[k % 2];
        struct chain_ref ref;

        g_assert_true(bench_start(bench));
        for (unsigned i = 0; i < 257; i++) {
            put_entry(bench, table + 16 * (uint64_t)i, BASE, i < 256 ? 16u << 20 : 1,
                      i < 255 ? NEXT | way : way, (uint16_t)(i + 1));
        }
        put_desc(bench, 0, table, 257 * 16, TABLE, 0);
        offer(bench, 0);
        ref = pop_one(bench);
        g_assert_cmphex(way ? bench->chain.in_len : bench->chain.out_len, ==, UINT64_C(1) << 32);
        ring_push(&bench->ring, &ref, 0);
        ring_flush(&bench->ring);
        put_entry(bench, table + 16 * 255, BASE, 16u << 20, NEXT | way, 256);
        offer(bench, 0);
        g_assert_cmpint(pop(bench), ==, -1);
        assert_fault(bench, VIONET_VIOLATION_CHAIN_OCTETS, 0, (UINT64_C(1) << 32) + 1);
        bench_free(bench);
    }
}

/* R-19's other side: memory that ends with the address space is memory to its end. */
static void test_end_of_address_space(void)
{
    struct bench *bench = bench_make(4, false, NULL);
    const uint64_t top = UINT64_MAX - PAGE + 1;
    const struct memory_region region = {top, PAGE, guest(bench, bench->data, PAGE), 0};
    struct memory_map *map = memory_map_with(bench->map, &region, NULL);

    g_free(bench->map);
    bench->map = map;
    g_assert_true(bench_start(bench));
    put_desc(bench, 0, UINT64_MAX - 9, 10, 0, 0);
    offer(bench, 0);
    pop_one(bench);
    g_assert_cmpuint(bench->chain.out_len, ==, 10);
    put_entry(bench, bench->data + PAGE - 16, BASE, 10, 0, 0);
    put_desc(bench, 1, UINT64_MAX - 15, 16, TABLE, 0);
    offer(bench, 1);
    pop_one(bench);
    g_assert_cmpuint(bench->chain.out_len, ==, 10);
    bench_free(bench);
}

/* ---- pop_plain ---- */

/* What may stand in a descriptor, mostly plain. */
static void put_random(struct bench *bench, GRand *random, unsigned i, bool write)
{
    const uint64_t addr = bench->data + (uint64_t)g_rand_int_range(random, 0, 4096);
    const uint32_t len = (uint32_t)g_rand_int_range(random, 1, 2000);
    const uint16_t flags = write ? WRITE : 0;
    const uint16_t next = (uint16_t)g_rand_int_range(random, 0, bench->setup.size + 1);

    switch (g_rand_int_range(random, 0, 24)) {
    case 0:
        put_desc(bench, i, addr, 0, flags, next);
        break;
    case 1:
        put_desc(bench, i, addr, len, flags ^ WRITE, next);
        break;
    case 2:
        put_desc(bench, i, addr, len, flags | NEXT, next);
        break;
    case 3:
        put_desc(bench, i, BASE + ROOM - len + 1, len, flags, next);
        break;
    case 4:
        put_desc(bench, i, addr, len, flags | TABLE, next);
        break;
    case 5:
        put_desc(bench, i, UINT64_MAX - 3, len, flags, next);
        break;
    default:
        put_desc(bench, i, addr, len, flags, next);
        break;
    }
}

/* The same ring again, with an account of its own. */
static struct ring twin_of(const struct ring *ring)
{
    struct ring twin = *ring;

    twin.turns = g_memdup2(ring->turns, VIONET_MAX_QUEUE_SIZE * sizeof(*ring->turns));
    twin.taken = g_memdup2(ring->taken, VIONET_MAX_QUEUE_SIZE * sizeof(*ring->taken));
    return twin;
}

/* What is taken in bursts is what is taken singly, and behind them comes what comes singly. */
static void test_plain_is_pop(void)
{
    GRand *random = g_rand_new_with_seed(1414);

    for (unsigned round = 0; round < 3000; round++) {
        const uint16_t size = (uint16_t)(2u << g_rand_int_range(random, 0, 5));
        struct bench *bench = bench_split(size, false, round % 2);
        const bool write = g_rand_boolean(random);
        const unsigned there = (unsigned)g_rand_int_range(random, 0, size + 1);
        const unsigned shift = (unsigned)g_rand_int_range(random, 0, size);
        struct ring_plain plain[64];
        struct ring single;
        unsigned n;

        bench_skip_to(bench, (uint16_t)g_rand_int(random));
        for (unsigned i = 0; i < there; i++) {
            /* Now and then a head twice, or none. */
            const bool odd = g_rand_int_range(random, 0, 40) == 0;

            put_random(bench, random, (i + shift) % size, write);
            offer(bench, (uint16_t)(odd ? (unsigned)g_rand_int_range(random, 0, size + 1)
                                        : (i + shift) % size));
        }
        single = twin_of(&bench->ring);
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
        g_assert_cmpuint(single.in_flight, ==, bench->ring.in_flight);
        g_assert_cmpuint(single.next_turn, ==, bench->ring.next_turn);
        g_assert_cmpmem(single.taken, size, bench->ring.taken, size);
        g_assert_cmpint(ring_pop(&single, &bench->chain), ==, pop(bench));
        g_assert_cmpint(single.fault.violation, ==, bench->ring.fault.violation);
        g_free(single.turns);
        g_free(single.taken);
        bench_free(bench);
    }
    g_rand_free(random);
}

/*
 * Plain buffers come back singly or in bursts: the driver sees the same; but for those of a ring in order that
 * nothing was written to, for which the last one's entry stands in the first one's place.
 */
static void test_push_plain(void)
{
    for (unsigned how = 0; how < 8; how++) {
        const bool in_order = how & 1;
        const bool write = how & 2;
        const bool late = how & 4; /* one before them is missing */
        const bool together = in_order && !write && !late;
        struct bench *bench = bench_split(8, true, in_order);
        struct ring_plain plain[6];
        struct chain_ref first;

        for (uint16_t i = 0; i < 7; i++) {
            put_desc(bench, 7 - i, bench->data, 100, write ? WRITE : 0, 0);
            offer(bench, 7 - i);
        }
        memset(guest(bench, bench->device + 4, 64), 0xee, 64);
        first = pop_one(bench);
        g_assert_cmpuint(ring_pop_plain(&bench->ring, write, plain, 6), ==, 6);
        for (uint32_t i = 0; i < 6; i++) {
            plain[i].len = 10 + i;
        }
        if (!late) {
            ring_push(&bench->ring, &first, 9);
        }
        ring_push_plain(&bench->ring, write, plain, 6);
        if (late) {
            g_assert_cmpuint(bench->ring.staged, ==, in_order ? 0 : 6);
            ring_push(&bench->ring, &first, 9);
        }
        g_assert_true(ring_flush(&bench->ring));
        g_assert_cmpuint(get16(bench, bench->device + 2), ==, 7);
        g_assert_cmpuint(bench->ring.in_flight, ==, 0);
        for (unsigned i = 0; i < 7; i++) {
            const unsigned at = late && !in_order ? (i + 1) % 7 : i; /* in which it was taken */
            const uint64_t elem = bench->device + USED_AT(i);

            if (together && at > 1) {
                g_assert_cmpuint(get32(bench, elem), ==, 0xeeeeeeee);
                continue;
            }
            g_assert_cmpuint(get32(bench, elem), ==, together && at ? 1 : 7 - at);
            g_assert_cmpuint(get32(bench, elem + 4), ==, at == 0 ? 9 : write ? 9 + at : 0);
        }
        /* All of them may be taken again. */
        for (uint16_t i = 1; i < 8; i++) {
            offer(bench, i);
            pop_one(bench);
        }
        bench_free(bench);
    }
}

/* ---- How often a word is read (T-01, T-02, T-05) ---- */

/*
 * The walker once more, with accessors that count: how often each octet of guest memory is read.
 * Memory is one piece here, so that an address is enough.
 */
static bool counted_read(const struct memory_map *map, unsigned *hint, uint64_t gpa, void *to,
                         size_t n)
{
    count_read_at(gpa - BASE, n);
    return memory_read(map, hint, gpa, to, n);
}

#define guest_load16(p)         counted_load16(p)
#define guest_load16_acquire(p) counted_load16_acquire(p)
#define guest_load64(p)         counted_load64(p)
#define memory_read             counted_read
#define ring_format_split       counted_format
#define walk_add                counted_walk_add
#define walk_enter              counted_walk_enter
#define walk_entry              counted_walk_entry
#define walk_finish             counted_walk_finish
#include "ring/split.c"
#include "ring/walk.c"

static struct bench *bench_counted(uint16_t size, bool event_idx)
{
    struct bench *bench = bench_split(size, event_idx, false);

    bench_count(bench, &counted_format);
    return bench;
}

static void test_pop_reads_once(void)
{
    struct bench *bench = bench_counted(256, true);
    const uint64_t tables[] = {bench->data + PAGE, bench->data + PAGE + 1, bench->data + PAGE + 8,
                               bench->data + 2 * PAGE - 24};

    /* A direct chain of three, then direct and a table, at addresses aligned and not. */
    put_desc(bench, 7, bench->data, 10, NEXT, 200);
    put_desc(bench, 200, bench->data, 10, NEXT, 0);
    put_desc(bench, 0, bench->data, 10, WRITE, 0);
    offer(bench, 7);
    pop_one(bench);
    assert_read(bench->driver + 2, 2, 1);
    assert_read(bench->driver + AVAIL_AT(0), 2, 1);
    assert_read(bench->desc + 16 * 7, 16, 1);
    assert_read(bench->desc + 16 * 200, 16, 1);
    assert_read(bench->desc, 16, 1);
    assert_nothing_else_read();
    for (unsigned i = 0; i < G_N_ELEMENTS(tables); i++) {
        put_desc(bench, 20 + 2 * i, bench->data, 10, NEXT, (uint16_t)(21 + 2 * i));
        put_desc(bench, 21 + 2 * i, tables[i], 3 * 16, TABLE, 0);
        put_entry(bench, tables[i], bench->data, 10, NEXT, 2);
        put_entry(bench, tables[i] + 32, bench->data, 10, 0, 0);
        offer(bench, (uint16_t)(20 + 2 * i));
        pop_one(bench);
        assert_read(bench->driver + 2, 2, 1);
        assert_read(bench->driver + AVAIL_AT(1 + i), 2, 1);
        assert_read(bench->desc + 16 * (20 + 2 * i), 32, 1);
        assert_read(tables[i], 16, 1);
        assert_read(tables[i] + 32, 16, 1);
        assert_nothing_else_read();
    }
    bench_free_counted(bench);
}

/* A loop is found by counting: no descriptor is read more often than the limit allows. */
static void test_loop_is_bounded(void)
{
    static const uint16_t sizes[] = {2, 4, 256, 2048};

    for (size_t k = 0; k < 2 * G_N_ELEMENTS(sizes); k++) {
        const uint16_t size = sizes[k / 2];
        const bool indirect = k % 2;
        const unsigned limit = indirect ? MAX(size, 1024) : size;
        struct bench *bench = bench_counted(size, false);
        const uint64_t table = bench->data + PAGE;

        put_desc(bench, 0, bench->data, 1, NEXT, 0);
        put_desc(bench, 1, table, 16, TABLE, 0);
        put_entry(bench, table, bench->data, 1, NEXT, 0);
        offer(bench, indirect);
        g_assert_cmpint(pop(bench), ==, -1);
        assert_fault(bench, VIONET_VIOLATION_CHAIN_LENGTH, indirect, limit);
        assert_read(bench->driver + 2, 4, 1);
        if (indirect) {
            assert_read(bench->desc + 16, 16, 1);
            assert_read(table, 16, limit + 1);
        } else {
            assert_read(bench->desc, 16, limit);
        }
        assert_nothing_else_read();
        bench_free_counted(bench);
    }
}

/* Several buffers shown at once cost one look at the index. */
static void test_index_is_read_once_a_batch(void)
{
    struct bench *bench = bench_counted(256, true);
    struct chain_ref refs[100];

    for (uint16_t i = 0; i < 100; i++) {
        put_desc(bench, i, bench->data, 10, 0, 0);
        offer(bench, i);
    }
    for (uint16_t i = 0; i < 100; i++) {
        refs[i] = pop_one(bench);
    }
    assert_read(bench->driver + 2, 2, 1);
    assert_read(bench->driver + AVAIL_AT(0), 200, 1);
    assert_read(bench->desc, 1600, 1);
    for (uint16_t i = 0; i < 100; i++) {
        ring_push(&bench->ring, &refs[i], 0);
    }
    ring_flush(&bench->ring);
    ring_must_notify(&bench->ring);
    assert_read(bench->driver + AVAIL_AT(256), 2, 1); /* used_event */
    assert_nothing_else_read();                       /* of the Device Area nothing at all */
    g_assert_false(ring_enable_kicks(&bench->ring));
    assert_read(bench->driver + 2, 2, 1);
    assert_nothing_else_read();
    bench_free_counted(bench);
}

/* A refused chain reads nothing twice either, and nothing of what its descriptors point at. */
static void test_refusal_reads_once(void)
{
    struct bench *bench = bench_counted(4, false);

    put_desc(bench, 2, bench->data, 10, NEXT, 3);
    put_desc(bench, 3, BASE + ROOM, 10, 0, 0);
    offer(bench, 2);
    g_assert_cmpint(pop(bench), ==, -1);
    assert_fault(bench, VIONET_VIOLATION_ADDRESS, 3, BASE + ROOM);
    assert_read(bench->driver + 2, 2, 1);
    assert_read(bench->driver + AVAIL_AT(0), 2, 1);
    assert_read(bench->desc + 32, 32, 1);
    assert_nothing_else_read();
    bench_free_counted(bench);
}

static void add_setup(void)
{
    g_test_add_func("/ring/hand-worked/octets-of-a-ring-of-4", test_hand_worked);
    g_test_add_func("/ring/used/element-stands-before-the-index", test_element_before_index);
    g_test_add_func("/ring/setup/octets-and-alignment-of-the-parts", test_part_sizes);
    g_test_add_func("/ring/setup/size-is-a-power-of-two", test_queue_size);
    g_test_add_func("/ring/setup/G-06/misaligned-parts-are-refused", test_misaligned_parts);
    g_test_add_func("/ring/setup/parts-outside-memory-are-refused", test_parts_outside_memory);
    g_test_add_func("/ring/setup/used-ring-must-be-writable", test_parts_in_read_only_memory);
    g_test_add_func("/ring/remap/follows-the-map", test_remap);
    g_test_add_func("/ring/G-01/descriptor-table-over-seams", test_descriptors_over_seams);
    g_test_add_func("/ring/G-01/available-ring-over-seams", test_available_ring_over_seams);
    g_test_add_func("/ring/G-01/used-ring-over-seams", test_used_ring_over_seams);
    g_test_add_func("/ring/G-01/indirect-table-over-seams", test_indirect_table_over_seams);
    g_test_add_func("/ring/R-11/every-descriptor-over-a-seam", test_every_descriptor_over_a_seam);
}

static void add_indices(void)
{
    g_test_add_func("/ring/index/R-15/largest-ring-wraps", test_largest_ring);
    g_test_add_func("/ring/index/whole-ring-at-once", test_full_ring);
    g_test_add_func("/ring/index/R-05/how-far-ahead", test_available_index);
    g_test_add_func("/ring/in-flight/R-02/never-more-than-the-ring", test_in_flight_is_bounded);
    g_test_add_func("/ring/in-flight/R-22/a-head-once-only", test_head_in_flight);
    g_test_add_func("/ring/unpop/R-03/leaves-no-trace", test_unpop_leaves_no_trace);
    g_test_add_func("/ring/unpop/R-03/several", test_unpop_several);
    g_test_add_func("/ring/plain/push", test_push_plain);
    g_test_add_func("/ring/in-order/R-27/every-permutation", test_in_order);
    g_test_add_func("/ring/in-order/R-27/at-random-through-the-wrap", test_in_order_at_length);
}

static void add_notifications(void)
{
    g_test_add_func("/ring/event-index/literal-definition", test_event_formula);
    g_test_add_func("/ring/event-index/literal-definition-in-large-rings",
                    test_event_formula_in_large_rings);
    g_test_add_func("/ring/event-index/hand-worked", test_event_examples);
    g_test_add_func("/ring/event-index/wraps-at-65536", test_event_index_wraps);
    g_test_add_func("/ring/event-index/first-decision-notifies", test_first_decision_notifies);
    g_test_add_func("/ring/event-index/available-flags-are-ignored", test_flags_are_ignored);
    g_test_add_func("/ring/flags/bit-0-decides-on-interrupts", test_flags_decide);
    g_test_add_func("/ring/flags/ask-for-kicks", test_kicks_by_flags);
    g_test_add_func("/ring/event-index/asks-for-kicks", test_kicks_by_event);
    g_test_add_func("/ring/X-01/no-kick-is-lost", test_no_kick_is_lost);
    g_test_add_func("/ring/X-01/no-interrupt-is-lost", test_no_interrupt_is_lost);
}

static void add_chains(void)
{
    g_test_add_func("/ring/chain/R-01/empty-descriptors", test_empty_descriptors);
    g_test_add_func("/ring/chain/unknown-flags-are-ignored", test_unknown_flags);
    g_test_add_func("/ring/chain/R-09/direct-then-indirect", test_direct_then_indirect);
    g_test_add_func("/ring/chain/longest", test_longest_chains);
    g_test_add_func("/ring/chain/R-10/limits-are-each-chains-own", test_limits_are_each_chains_own);
    g_test_add_func("/ring/chain/R-07/tables-have-bounds-of-their-own",
                    test_tables_have_bounds_of_their_own);
    g_test_add_func("/ring/chain/R-18/most-octets", test_most_octets);
    g_test_add_func("/ring/chain/R-19/end-of-the-address-space", test_end_of_address_space);
    g_test_add_func("/ring/plain/same-as-pop", test_plain_is_pop);
    g_test_add_func("/ring/read-once/T-02/pop", test_pop_reads_once);
    g_test_add_func("/ring/read-once/T-01/refusal", test_refusal_reads_once);
    g_test_add_func("/ring/read-once/R-06/loop", test_loop_is_bounded);
    g_test_add_func("/ring/read-once/index-once-a-batch", test_index_is_read_once_a_batch);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_setup();
    add_indices();
    add_notifications();
    add_chains();
    return g_test_run();
}
