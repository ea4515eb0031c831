/* SPDX-License-Identifier: BSD-3-Clause */
/* See ring_bench.h. */
#include "ring_bench.h"

#include <glib.h>

/* ---- Life ---- */

static struct memory_map *map_of(const struct guest_memory *memory)
{
    const struct guest_region *regions;
    unsigned n = guest_memory_regions(memory, &regions);
    struct memory_map *map = memory_map_empty();

    for (unsigned i = 0; i < n; i++) {
        const struct memory_region region = {regions[i].gpa, regions[i].size, regions[i].host, 0};
        struct memory_map *next = memory_map_with(map, &region, NULL);

        g_assert_nonnull(next);
        g_free(map);
        map = next;
    }
    return map;
}

/* The places have room for either format. */
struct bench *bench_make(uint16_t size, bool packed, const struct guest_memory_options *options)
{
    struct bench *bench = g_new0(struct bench, 1);

    bench->memory = options ? guest_memory_new(options) : guest_memory_flat(BASE, ROOM);
    g_assert_nonnull(bench->memory);
    bench->map = map_of(bench->memory);
    bench->setup = (struct ring_setup){.size = size, .indirect = true, .packed = packed};
    bench->ranges = g_new0(struct iovec, 2 * RANGES);
    chain_init(&bench->chain, bench->ranges, RANGES);
    ring_init(&bench->ring, VIONET_MAX_QUEUE_SIZE);
    bench->desc = BASE;
    bench->driver = bench->desc + (16 * (uint64_t)size + PAGE) / PAGE * PAGE;
    bench->device = bench->driver + (6 + 2 * (uint64_t)size + PAGE) / PAGE * PAGE;
    bench->data = bench->device + (6 + 8 * (uint64_t)size + PAGE) / PAGE * PAGE;
    return bench;
}

bool bench_start(struct bench *bench)
{
    bench->setup.area_gpa[VIONET_AREA_DESC] = bench->desc;
    bench->setup.area_gpa[VIONET_AREA_DRIVER] = bench->driver;
    bench->setup.area_gpa[VIONET_AREA_DEVICE] = bench->device;
    bench->avail_idx = 0;
    bench->at = 0;
    if (bench->setup.packed) {
        guest_fill(bench->memory, bench->desc, 16 * (uint64_t)bench->setup.size, 0);
    }
    return ring_start(&bench->ring, &bench->setup, bench->map);
}

static struct bench *bench_new(uint16_t size, bool packed, bool event_idx, bool in_order)
{
    struct bench *bench = bench_make(size, packed, NULL);

    bench->setup.event_idx = event_idx;
    bench->setup.in_order = bench->setup.batches = in_order;
    g_assert_true(bench_start(bench));
    return bench;
}

struct bench *bench_split(uint16_t size, bool event_idx, bool in_order)
{
    return bench_new(size, false, event_idx, in_order);
}

struct bench *bench_packed(uint16_t size, bool event_idx, bool in_order)
{
    return bench_new(size, true, event_idx, in_order);
}

void bench_free(struct bench *bench)
{
    ring_free(&bench->ring);
    g_free(bench->map);
    g_free(bench->ranges);
    guest_memory_free(bench->memory);
    g_free(bench);
}

/* ---- Use ---- */

uint8_t *guest(const struct bench *bench, uint64_t gpa, uint64_t len)
{
    uint8_t *at = guest_ptr(bench->memory, gpa, len);

    g_assert_nonnull(at);
    return at;
}

int pop(struct bench *bench)
{
    return ring_pop(&bench->ring, &bench->chain);
}

struct chain_ref pop_one(struct bench *bench)
{
    g_assert_cmpint(pop(bench), ==, 1);
    return bench->chain.ref;
}

void assert_fault(const struct bench *bench, VionetViolation violation, unsigned descriptor,
                  uint64_t value)
{
    g_assert_cmpint(bench->ring.fault.violation, ==, violation);
    g_assert_cmphex(bench->ring.fault.descriptor, ==, descriptor);
    g_assert_cmphex(bench->ring.fault.value, ==, value);
}

/* ---- How often a word is read ---- */

/* Memory is one piece, so that an address is enough. */
static const uint8_t *counted_base;
static uint16_t *counts;

void bench_count(struct bench *bench, const struct ring_ops *counted)
{
    counted_base = guest(bench, BASE, ROOM);
    counts = g_new0(uint16_t, ROOM);
    bench->ring.ops = counted;
}

void bench_free_counted(struct bench *bench)
{
    g_free(counts);
    counts = NULL;
    bench_free(bench);
}

size_t counted_at(const void *p)
{
    return (size_t)((const uint8_t *)p - counted_base);
}

void count_read_at(size_t at, size_t n)
{
    if (at < ROOM) {
        for (size_t i = 0; i < n; i++) {
            counts[at + i]++;
        }
    }
}

void assert_read(uint64_t gpa, uint64_t len, unsigned times)
{
    for (uint64_t i = gpa - BASE; i < gpa - BASE + len; i++) {
        g_assert_cmpuint(counts[i], ==, times);
        counts[i] = 0;
    }
}

void assert_nothing_else_read(void)
{
    for (uint64_t i = 0; i < ROOM; i++) {
        g_assert_cmpuint(counts[i], ==, 0);
    }
}
