/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory (lib/memory.c): making maps, looking up, translating. The reference is a list of
 * mappings asked octet by octet, which shares nothing with the code under test.
 */
#include <string.h>

#include <glib.h>

#include <vionet/device.h>

#include "memory.h"

#define PAGE 4096u
#define TOP  UINT64_MAX

/* Host addresses that stand for memory, so far apart as 100000 can be; nothing is read or written there. */
static uint8_t *host_at(uint64_t n)
{
    const uintptr_t apart = UINTPTR_MAX / 0x1a000 & ~(uintptr_t)(PAGE - 1);

    return (uint8_t *)((uintptr_t)(n + 1) * apart);
}

static struct memory_map *add(struct memory_map *map, uint64_t gpa, uint64_t size, uint8_t *host,
                              unsigned flags)
{
    const struct memory_region region = {gpa, size, host, flags};
    GError *error = NULL;
    struct memory_map *next = memory_map_with(map, &region, &error);

    g_assert_no_error(error);
    g_assert_nonnull(next);
    g_free(map);
    return next;
}

/* Regions back to back from 64 KiB on, of so many pages each; their host memory lies apart. */
static struct memory_map *adjacent(const unsigned *pages, unsigned n)
{
    struct memory_map *map = memory_map_empty();
    uint64_t gpa = 0x10000;

    for (unsigned i = 0; i < n; i++) {
        map = add(map, gpa, (uint64_t)pages[i] * PAGE, host_at(i), 0);
        gpa += (uint64_t)pages[i] * PAGE;
    }
    return map;
}

/* ---- Mapping ---- */

static void assert_refused(const struct memory_map *map, const struct memory_region *region)
{
    GError *error = NULL;

    g_assert_null(memory_map_with(map, region, &error));
    g_assert_error(error, VIONET_ERROR, VIONET_ERROR_MEMORY);
    g_assert_cmpuint(strlen(error->message), >, 10);
    g_error_free(error);
    g_assert_null(memory_map_with(map, region, NULL));
}

static void test_refuses_what_is_no_mapping(void)
{
    static const struct memory_region wrong[] = {
        {.gpa = 0x1001, .size = PAGE},
        {.gpa = 0x1800, .size = PAGE},
        {.gpa = 0x1000, .size = PAGE - 1},
        {.gpa = 0x1000, .size = PAGE + 1},
        {.gpa = 0x1000, .size = 1},
        {.gpa = 0x1000, .size = 0},
        {.gpa = TOP - PAGE + 1, .size = 2 * PAGE},
        {.gpa = TOP - 2 * PAGE + 1, .size = 3 * PAGE},
        {.gpa = PAGE, .size = TOP - PAGE + 1},
        {.gpa = 0, .size = UINT64_C(1) << 63},
    };
    struct memory_map *map = memory_map_empty();

    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        struct memory_region region = wrong[i];

        region.host = host_at(1);
        g_test_message("0x%" G_GINT64_MODIFIER "x of 0x%" G_GINT64_MODIFIER "x", region.gpa,
                       region.size);
        assert_refused(map, &region);
    }
    g_free(map);
}

static void test_refuses_host_memory_that_is_misaligned(void)
{
    struct memory_map *map = memory_map_empty();
    struct memory_region region = {.gpa = 0, .size = PAGE};

    assert_refused(map, &region);
    for (unsigned i = 1; i < 16; i++) {
        region.host = host_at(1) + i;
        assert_refused(map, &region);
    }
    region.host = host_at(1) + 16;
    g_free(add(map, region.gpa, region.size, region.host, 0));
}

static void test_refuses_overlap(void)
{
    /* Against a mapping of pages 4 to 7; whether they have a page in common was counted by hand. */
    static const struct {
        uint64_t first, pages;
        bool refused;
    } cases[] = {
        {0, 1, false}, {0, 4, false}, {3, 1, false}, {0, 5, true},  {0, 8, true}, {0, 16, true},
        {3, 2, true},  {4, 1, true},  {4, 4, true},  {4, 9, true},  {5, 2, true}, {7, 1, true},
        {7, 2, true},  {8, 1, false}, {8, 8, false}, {9, 1, false},
    };
    struct memory_map *map = add(memory_map_empty(), 4 * PAGE, 4 * PAGE, host_at(0), 0);
    const uint64_t serial = map->serial;

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const struct memory_region region = {cases[i].first * PAGE, cases[i].pages * PAGE,
                                             host_at(1), 0};
        struct memory_map *next = memory_map_with(map, &region, NULL);

        g_test_message("pages %d and %d on", (int)cases[i].first, (int)cases[i].pages);
        g_assert_true((next == NULL) == cases[i].refused);
        if (cases[i].refused) {
            assert_refused(map, &region);
        }
        g_free(next);
        g_assert_cmpuint(map->n_regions, ==, 1);
        g_assert_cmpuint(map->serial, ==, serial);
    }
    g_free(map);
}

static void test_overlap_at_the_ends_of_the_address_space(void)
{
    struct memory_map *map = add(memory_map_empty(), TOP - PAGE + 1, PAGE, host_at(0), 0);
    const struct memory_region again = {TOP - PAGE + 1, PAGE, host_at(1), 0};
    const struct memory_region around = {TOP - 2 * PAGE + 1, 2 * PAGE, host_at(1), 0};

    assert_refused(map, &again);
    assert_refused(map, &around);
    map = add(map, 0, PAGE, host_at(2), 0);
    map = add(map, TOP - 2 * PAGE + 1, PAGE, host_at(3), 0);
    g_assert_cmpuint(map->n_regions, ==, 3);
    g_free(map);
}

static void test_unmapping_takes_exactly_what_was_mapped(void)
{
    static const unsigned pages[] = {1, 2, 3};
    static const struct {
        uint64_t gpa, size;
    } wrong[] = {
        {0, PAGE},           {0x10000, 2 * PAGE}, {0x11000, PAGE},
        {0x11000, 3 * PAGE}, {0x12000, PAGE},     {0x10000, 0},
        {0x13000, 2 * PAGE}, {0x10000, 6 * PAGE}, {0x13001, 3 * PAGE},
    };
    struct memory_map *map = adjacent(pages, 3);
    struct memory_map *next;
    GError *error = NULL;
    unsigned hint = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_assert_null(memory_map_without(map, wrong[i].gpa, wrong[i].size, &error));
        g_assert_error(error, VIONET_ERROR, VIONET_ERROR_MEMORY);
        g_clear_error(&error);
    }
    next = memory_map_without(map, 0x11000, 2 * PAGE, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(next->n_regions, ==, 2);
    g_assert_nonnull(memory_find(next, 0x10fff, &hint));
    g_assert_null(memory_find(next, 0x11000, &hint));
    g_assert_null(memory_find(next, 0x12fff, &hint));
    g_assert_nonnull(memory_find(next, 0x13000, &hint));
    g_assert_nonnull(memory_find(map, 0x11000, &hint)); /* the old one stays */
    g_free(map);
    g_free(next);
}

/* The same calls through the device, which says the same. */
static void test_device_refuses_alike(void)
{
    const VionetHostOps ops = {.size = sizeof(ops)};
    uint8_t *host = g_aligned_alloc0(2, PAGE, PAGE);
    GError *error = NULL;
    VionetConfig config;
    VionetDevice *device;

    vionet_config_init(&config);
    device = vionet_device_new(&config, &ops, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(vionet_device_map(device, PAGE, host, PAGE, 0, &error));
    g_assert_false(vionet_device_map(device, PAGE, host, PAGE, 0, &error));
    g_assert_error(error, VIONET_ERROR, VIONET_ERROR_MEMORY);
    g_clear_error(&error);
    g_assert_false(vionet_device_map(device, 0, host, 2 * PAGE, VIONET_MAP_READONLY, &error));
    g_assert_error(error, VIONET_ERROR, VIONET_ERROR_MEMORY);
    g_clear_error(&error);
    g_assert_false(vionet_device_unmap(device, PAGE, 2 * PAGE, &error));
    g_assert_error(error, VIONET_ERROR, VIONET_ERROR_MEMORY);
    g_clear_error(&error);
    g_assert_true(vionet_device_unmap(device, PAGE, PAGE, &error));
    g_assert_false(vionet_device_unmap(device, PAGE, PAGE, NULL));
    g_assert_true(vionet_device_map(device, 0, host, 2 * PAGE, 0, &error));
    vionet_device_free(device);
    g_aligned_free(host);
}

/* ---- Looking up ---- */

static void test_any_hint_will_do(void)
{
    static const unsigned pages[] = {1, 4, 1, 2, 7};
    static const unsigned hints[] = {0, 1, 2, 3, 4, 5, 6, 0x7fffffff, 0xffffffff};
    struct memory_map *map = adjacent(pages, 5);

    for (uint64_t page = 0; page < 40; page++) {
        const bool inside = page >= 16 && page < 31;

        for (size_t i = 0; i < G_N_ELEMENTS(hints); i++) {
            unsigned hint = hints[i];
            const struct memory_region *region = memory_find(map, page * PAGE + 17, &hint);

            g_assert_true((region != NULL) == inside);
            if (region) {
                g_assert_cmphex(region->gpa, <=, page * PAGE);
                g_assert_cmphex(region->gpa + region->size, >, page * PAGE + 17);
                g_assert_true(memory_find(map, page * PAGE, &hint) == region);
            }
        }
    }
    g_free(map);
}

static void test_nothing_in_an_empty_map(void)
{
    struct memory_map *map = memory_map_empty();
    unsigned hint = 3;
    unsigned n = 0;

    g_assert_null(memory_find(map, 0, &hint));
    g_assert_null(memory_find(map, TOP, &hint));
    g_assert_null(memory_pointer(map, &hint, 0, 1, false));
    g_assert_false(memory_translate(map, &hint, 0, 1, false, NULL, &n, 0));
    g_free(map);
}

/* ---- Translating ---- */

/* G-01: each seam, at every offset, for lengths that end before, at and behind it. */
static void test_seams(void)
{
    static const unsigned pages[] = {1, 1, 2};
    struct memory_map *map = adjacent(pages, 3);

    for (unsigned seam = 1; seam < 3; seam++) {
        const uint64_t at = 0x10000 + (uint64_t)seam * PAGE;

        for (int before = -16; before <= 16; before++) {
            for (uint64_t len = 1; len <= 40; len++) {
                const uint64_t gpa = at + (uint64_t)(int64_t)before;
                const uint64_t first = gpa < at ? MIN(len, at - gpa) : 0;
                struct iovec iov[3] = {{NULL, 0}};
                unsigned hint = 0;
                unsigned n = 0;

                g_assert_true(memory_translate(map, &hint, gpa, len, true, iov, &n, 3));
                g_assert_cmpuint(n, ==, (first > 0) + (first < len));
                if (first) {
                    g_assert_true(iov[0].iov_base == host_at(seam - 1) + PAGE - (at - gpa));
                    g_assert_cmpuint(iov[0].iov_len, ==, first);
                }
                if (first < len) {
                    const uint64_t into = gpa > at ? gpa - at : 0;

                    g_assert_true(iov[n - 1].iov_base == host_at(seam) + into);
                    g_assert_cmpuint(iov[n - 1].iov_len, ==, len - first);
                }
                g_assert_true((memory_pointer(map, &hint, gpa, len, true) != NULL) == (n == 1));
            }
        }
    }
    g_free(map);
}

/* R-19, and addresses at the very end. */
static void test_the_end_of_the_address_space(void)
{
    static const struct {
        uint64_t gpa, len;
        bool good;
    } cases[] = {
        {TOP - PAGE + 1, PAGE, true},
        {TOP - PAGE + 1, PAGE + 1, false},
        {TOP - PAGE + 1, 2 * PAGE, false},
        {TOP, 1, true},
        {TOP, 2, false},
        {TOP, 0, true},
        {TOP, TOP, false},
        {TOP - 1, 2, true},
        {TOP - 1, 3, false},
        {TOP - PAGE, 1, false},
        {TOP - PAGE, 2, false},
        {0, 1, true},
        {0, PAGE, true},
        {0, PAGE + 1, false},
        {1, TOP, false},
    };
    struct memory_map *map = add(memory_map_empty(), TOP - PAGE + 1, PAGE, host_at(0), 0);

    /* What wraps must not be continued at address 0, though there is memory. */
    map = add(map, 0, PAGE, host_at(1), 0);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct iovec iov[4];
        unsigned hint = 0;
        unsigned n = 0;

        g_test_message("0x%" G_GINT64_MODIFIER "x and 0x%" G_GINT64_MODIFIER "x octets",
                       cases[i].gpa, cases[i].len);
        g_assert_true(memory_translate(map, &hint, cases[i].gpa, cases[i].len, true, iov, &n, 4) ==
                      cases[i].good);
        if (cases[i].len) {
            g_assert_true((memory_pointer(map, &hint, cases[i].gpa, cases[i].len, true) != NULL) ==
                          cases[i].good);
        }
    }
    g_free(map);
}

/* G-04: no octets need no memory, wherever, and make no range. */
static void test_no_octets(void)
{
    static const uint64_t places[] = {0, 1, 0x10000, 0x10001, 0x10fff, 0x11000, TOP - 1, TOP};
    static const unsigned pages[] = {1};
    struct memory_map *map = adjacent(pages, 1);

    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        struct iovec iov[1];
        unsigned hint = 0;
        unsigned n = 0;

        g_assert_true(memory_translate(map, &hint, places[i], 0, true, iov, &n, 1));
        g_assert_cmpuint(n, ==, 0);
    }
    g_free(map);
}

static void test_ranges_beyond_room_are_checked(void)
{
    static const unsigned pages[] = {1, 1, 1, 1, 1};
    struct memory_map *map = adjacent(pages, 5);
    struct iovec iov[3];
    unsigned hint = 0;
    unsigned n = 0;

    memset(iov, 0x5a, sizeof(iov));
    g_assert_true(memory_translate(map, &hint, 0x10000, 5 * PAGE, false, iov, &n, 2));
    g_assert_cmpuint(n, ==, 2);
    g_assert_cmphex(iov[2].iov_len, ==, (size_t)UINT64_C(0x5a5a5a5a5a5a5a5a));
    g_assert_true(memory_translate(map, &hint, 0x10000, 1, false, iov, &n, 2));
    g_assert_cmpuint(n, ==, 2);
    g_assert_false(memory_translate(map, &hint, 0x10000, 5 * PAGE + 1, false, iov, &n, 2));
    n = 0;
    g_assert_true(memory_translate(map, &hint, 0x10000, 5 * PAGE, false, NULL, &n, 0));
    g_assert_cmpuint(n, ==, 0);
    g_free(map);
}

static void test_read_only(void)
{
    struct memory_map *map = add(memory_map_empty(), 0, PAGE, host_at(0), 0);
    struct iovec iov[4];
    unsigned hint = 0;
    unsigned n = 0;

    map = add(map, PAGE, PAGE, host_at(1), VIONET_MAP_READONLY);
    map = add(map, 2 * PAGE, PAGE, host_at(2), 0);
    g_assert_true(memory_translate(map, &hint, 0, 3 * PAGE, false, iov, &n, 4));
    g_assert_cmpuint(n, ==, 3);
    g_assert_false(memory_translate(map, &hint, 0, PAGE + 1, true, iov, &n, 4));
    n = 0;
    g_assert_false(memory_translate(map, &hint, 2 * PAGE - 1, 2, true, iov, &n, 4));
    n = 0;
    g_assert_true(memory_translate(map, &hint, 2 * PAGE, PAGE, true, iov, &n, 4));
    g_assert_null(memory_pointer(map, &hint, PAGE, 1, true));
    g_assert_nonnull(memory_pointer(map, &hint, PAGE, 1, false));
    g_free(map);
}

/* ---- Against a list ---- */

#define MODEL_PAGES   64
#define MODEL_REGIONS 16

/* Which mapping a page belongs to, 0: none. Numbers are never used twice. */
struct model {
    unsigned page[MODEL_PAGES];
    bool readonly[MODEL_PAGES];
    unsigned first[100000]; /* first page of a mapping */
    unsigned pages[100000];
    unsigned numbers;
    unsigned n_regions;
};

static uint8_t *model_host(const struct model *model, uint64_t gpa)
{
    const unsigned number = model->page[gpa / PAGE];

    return host_at(number) + (gpa - (uint64_t)model->first[number] * PAGE);
}

static struct memory_map *model_map(struct model *model, struct memory_map *map, GRand *random)
{
    const unsigned first = (unsigned)g_rand_int_range(random, 0, MODEL_PAGES);
    const unsigned pages = (unsigned)g_rand_int_range(random, 1, 9);
    const unsigned flags = g_rand_boolean(random) ? VIONET_MAP_READONLY : 0;
    const struct memory_region region = {(uint64_t)first * PAGE, (uint64_t)pages * PAGE,
                                         host_at(model->numbers + 1), flags};
    struct memory_map *next;
    bool clear = first + pages <= MODEL_PAGES;

    for (unsigned i = first; clear && i < first + pages; i++) {
        clear = model->page[i] == 0;
    }
    if (first + pages > MODEL_PAGES) {
        return map;
    }
    next = memory_map_with(map, &region, NULL);
    g_assert_true((next != NULL) == clear);
    if (!next) {
        return map;
    }
    model->numbers++;
    model->n_regions++;
    model->first[model->numbers] = first;
    model->pages[model->numbers] = pages;
    for (unsigned i = first; i < first + pages; i++) {
        model->page[i] = model->numbers;
        model->readonly[i] = flags != 0;
    }
    g_free(map);
    return next;
}

static struct memory_map *model_unmap(struct model *model, struct memory_map *map, GRand *random)
{
    const unsigned first = (unsigned)g_rand_int_range(random, 0, MODEL_PAGES);
    const unsigned number = model->page[first];
    const bool exact = number && model->first[number] == first;
    const unsigned pages = exact ? model->pages[number] : 1;
    struct memory_map *next =
        memory_map_without(map, (uint64_t)first * PAGE, (uint64_t)pages * PAGE, NULL);

    g_assert_true((next != NULL) == exact);
    if (!next) {
        return map;
    }
    for (unsigned i = first; i < first + pages; i++) {
        model->page[i] = 0;
    }
    model->n_regions--;
    g_free(map);
    return next;
}

/* G-02: the ranges cover exactly the octets asked for, in order, or the answer is no. */
static void model_probe(const struct model *model, const struct memory_map *map, unsigned *hint,
                        GRand *random)
{
    const uint64_t gpa = (uint64_t)g_rand_int_range(random, 0, MODEL_PAGES * PAGE);
    const uint64_t len = 1 + (uint64_t)g_rand_int_range(random, 0, 3 * PAGE);
    const bool write = g_rand_boolean(random);
    struct iovec iov[8];
    bool good = gpa + len <= MODEL_PAGES * (uint64_t)PAGE;
    unsigned n = 0;
    uint64_t at = gpa;

    for (uint64_t page = gpa / PAGE; good && page <= (gpa + len - 1) / PAGE; page++) {
        good = model->page[page] != 0 && !(write && model->readonly[page]);
    }
    g_assert_true(memory_translate(map, hint, gpa, len, write, iov, &n, 8) == good);
    if (!good) {
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        g_assert_cmpuint(iov[i].iov_len, >, 0);
        g_assert_true(iov[i].iov_base == model_host(model, at));
        at += iov[i].iov_len - 1;
        /* The last octet is the same mapping's, and the next one is not. */
        g_assert_true((uint8_t *)iov[i].iov_base + iov[i].iov_len - 1 == model_host(model, at));
        at++;
        g_assert_true(at == gpa + len || model->page[at / PAGE] != model->page[(at - 1) / PAGE]);
    }
    g_assert_cmphex(at, ==, gpa + len);
}

static void test_random_maps(void)
{
    struct model *model = g_new0(struct model, 1);
    struct memory_map *map = memory_map_empty();
    GRand *random = g_rand_new_with_seed(20260801);
    uint64_t serial = map->serial;
    unsigned hint = 0;

    for (unsigned i = 0; i < 10000; i++) {
        struct memory_map *next = g_rand_int_range(random, 0, 3) ? model_map(model, map, random)
                                                                 : model_unmap(model, map, random);

        /* Each map has a serial of its own, one after the other. */
        g_assert_true(next->serial == serial || next->serial == serial + 1);
        serial = next->serial;
        map = next;
        g_assert_cmpuint(map->n_regions, ==, model->n_regions);
        for (unsigned r = 1; r < map->n_regions; r++) {
            g_assert_cmphex(map->regions[r - 1].gpa + map->regions[r - 1].size, <=,
                            map->regions[r].gpa);
        }
        for (unsigned probe = 0; probe < 8; probe++) {
            model_probe(model, map, &hint, random);
        }
    }
    g_rand_free(random);
    g_free(map);
    g_free(model);
}

/* ---- remote memory ---- */

static uint8_t remote_pages[3 * PAGE];
static _Alignas(MEMORY_HOST_ALIGN) uint8_t mapped_page[PAGE];
static unsigned remote_left; /* operations that succeed */

static bool remote_read(void *opaque, uint64_t gpa, void *buf, size_t len)
{
    g_assert_true(opaque == remote_pages);
    if (remote_left == 0) {
        return false;
    }
    remote_left--;
    memcpy(buf, remote_pages + (gpa - 0x10000), len);
    return true;
}

static bool remote_write(void *opaque, uint64_t gpa, const void *buf, size_t len)
{
    g_assert_true(opaque == remote_pages);
    if (remote_left == 0) {
        return false;
    }
    remote_left--;
    memcpy(remote_pages + (gpa - 0x10000), buf, len);
    return true;
}

/* Remote, mapped, remote and read-only: found by what looks for either kind, and by nothing else. */
static void test_remote(void)
{
    static const struct memory_remote remote = {remote_read, remote_write, remote_pages};
    struct memory_map *map = memory_map_empty();
    struct memory_piece piece;
    struct iovec iov[4];
    uint8_t from[2 * PAGE];
    uint8_t to[2 * PAGE];
    unsigned hint = 0;
    unsigned n = 0;

    map->remote = &remote;
    map = add(map, 0x10000, PAGE, NULL, MEMORY_REMOTE);
    map = add(map, 0x10000 + PAGE, PAGE, mapped_page, 0);
    map = add(map, 0x10000 + 2 * PAGE, PAGE, NULL, MEMORY_REMOTE | VIONET_MAP_READONLY);
    g_assert_true(map->remote == &remote);
    assert_refused(map, &(struct memory_region){0, PAGE, NULL, 0});
    assert_refused(map, &(struct memory_region){0, PAGE, host_at(1), MEMORY_REMOTE});
    g_assert_null(memory_pointer(map, &hint, 0x10000, 1, false));
    g_assert_false(memory_translate(map, &hint, 0x10000 + PAGE - 1, 2, false, iov, &n, 4));
    g_assert_false(memory_translate(map, &hint, 0x10000 + 2 * PAGE - 1, 2, false, iov, &n, 4));
    g_assert_true(memory_exists(map, &hint, 0x10000, 3 * PAGE, false));
    g_assert_false(memory_exists(map, &hint, 0x10000, 3 * PAGE, true));
    g_assert_false(memory_exists(map, &hint, 0x10000, 3 * PAGE + 1, false));
    g_assert_true(memory_piece(map, &hint, 0x10000 + 8, 2 * PAGE, true, &piece));
    g_assert_null(piece.host);
    g_assert_cmpuint(piece.len, ==, PAGE - 8);
    for (unsigned i = 0; i < sizeof(from); i++) {
        from[i] = (uint8_t)(i * 3);
    }
    remote_left = 2;
    g_assert_true(memory_write(map, &hint, 0x10000, from, sizeof(from)));
    g_assert_true(memory_read(map, &hint, 0x10000, to, sizeof(to)));
    g_assert_cmpmem(from, sizeof(from), to, sizeof(to));
    g_assert_cmpmem(mapped_page, PAGE, from + PAGE, PAGE);
    g_assert_cmpuint(remote_left, ==, 0);
    g_assert_false(memory_read(map, &hint, 0x10000 + PAGE - 1, to, 2));
    remote_left = 9;
    g_assert_false(memory_write(map, &hint, 0x10000 + 2 * PAGE, from, 1));
    g_assert_cmpuint(remote_left, ==, 9);
    g_free(map);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/memory/map/refuses-what-is-no-mapping", test_refuses_what_is_no_mapping);
    g_test_add_func("/memory/map/refuses-misaligned-host-memory",
                    test_refuses_host_memory_that_is_misaligned);
    g_test_add_func("/memory/map/refuses-overlap", test_refuses_overlap);
    g_test_add_func("/memory/map/overlap-at-the-ends-of-the-address-space",
                    test_overlap_at_the_ends_of_the_address_space);
    g_test_add_func("/memory/map/device-refuses-alike", test_device_refuses_alike);
    g_test_add_func("/memory/unmap/takes-exactly-what-was-mapped",
                    test_unmapping_takes_exactly_what_was_mapped);
    g_test_add_func("/memory/find/any-hint-will-do", test_any_hint_will_do);
    g_test_add_func("/memory/find/nothing-in-an-empty-map", test_nothing_in_an_empty_map);
    g_test_add_func("/memory/translate/G-01/each-seam-at-every-offset", test_seams);
    g_test_add_func("/memory/translate/G-02/random-maps-and-ranges", test_random_maps);
    g_test_add_func("/memory/translate/G-04/no-octets-need-no-memory", test_no_octets);
    g_test_add_func("/memory/translate/R-19/the-end-of-the-address-space",
                    test_the_end_of_the_address_space);
    g_test_add_func("/memory/translate/ranges-beyond-room-are-checked",
                    test_ranges_beyond_room_are_checked);
    g_test_add_func("/memory/translate/read-only-is-not-written", test_read_only);
    g_test_add_func("/memory/remote", test_remote);
    return g_test_run();
}
