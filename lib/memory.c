/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory map: a sorted array of regions, searched by halving. Called by the device (making new
 * maps) and by rings and chains (translating). VIRTIO 1.4, 2.7: addresses are guest-physical.
 */
#include "memory.h"

#include <string.h>

#include <vionet/device.h>

#include "bytes.h"

static struct memory_map *map_alloc(unsigned n_regions, uint64_t serial)
{
    struct memory_map *map =
        g_malloc0(sizeof(*map) + (size_t)n_regions * sizeof(struct memory_region));

    map->serial = serial;
    map->n_regions = n_regions;
    return map;
}

struct memory_map *memory_map_empty(void)
{
    return map_alloc(0, 1);
}

static bool region_valid(const struct memory_region *region, GError **error)
{
    if (region->size == 0 || region->gpa % MEMORY_PAGE || region->size % MEMORY_PAGE) {
        g_set_error(error, VIONET_ERROR, VIONET_ERROR_MEMORY,
                    "mapping at 0x%" G_GINT64_MODIFIER "x of 0x%" G_GINT64_MODIFIER
                    "x octets: address and size must be multiples of %u, and size not 0",
                    region->gpa, region->size, MEMORY_PAGE);
        return false;
    }
    if ((region->host == NULL) != ((region->flags & MEMORY_REMOTE) != 0) ||
        (uintptr_t)region->host % MEMORY_HOST_ALIGN) {
        g_set_error(error, VIONET_ERROR, VIONET_ERROR_MEMORY,
                    "mapping at 0x%" G_GINT64_MODIFIER "x: host memory must be aligned to %u",
                    region->gpa, MEMORY_HOST_ALIGN);
        return false;
    }
    if (region->size - 1 > UINT64_MAX - region->gpa || region->size > SIZE_MAX / 2) {
        g_set_error(error, VIONET_ERROR, VIONET_ERROR_MEMORY,
                    "mapping at 0x%" G_GINT64_MODIFIER "x ends past the address space",
                    region->gpa);
        return false;
    }
    return true;
}

/* Both ends are known not to wrap; the last octet is compared, as the end itself may be 2^64. */
static bool regions_overlap(const struct memory_region *a, const struct memory_region *b)
{
    return a->gpa <= b->gpa + (b->size - 1) && b->gpa <= a->gpa + (a->size - 1);
}

struct memory_map *memory_map_with(const struct memory_map *map, const struct memory_region *region,
                                   GError **error)
{
    struct memory_map *next;
    unsigned at = 0;

    if (!region_valid(region, error)) {
        return NULL;
    }
    for (unsigned i = 0; i < map->n_regions; i++) {
        if (regions_overlap(&map->regions[i], region)) {
            g_set_error(error, VIONET_ERROR, VIONET_ERROR_MEMORY,
                        "mapping at 0x%" G_GINT64_MODIFIER
                        "x overlaps the one at 0x%" G_GINT64_MODIFIER "x",
                        region->gpa, map->regions[i].gpa);
            return NULL;
        }
        if (map->regions[i].gpa < region->gpa) {
            at = i + 1;
        }
    }
    next = map_alloc(map->n_regions + 1, map->serial + 1);
    next->remote = map->remote;
    next->log = map->log;
    memcpy(next->regions, map->regions, at * sizeof(*region));
    next->regions[at] = *region;
    memcpy(next->regions + at + 1, map->regions + at, (map->n_regions - at) * sizeof(*region));
    return next;
}

struct memory_map *memory_map_without(const struct memory_map *map, uint64_t gpa, uint64_t size,
                                      GError **error)
{
    struct memory_map *next;

    for (unsigned i = 0; i < map->n_regions; i++) {
        if (map->regions[i].gpa != gpa || map->regions[i].size != size) {
            continue;
        }
        next = map_alloc(map->n_regions - 1, map->serial + 1);
        next->remote = map->remote;
        next->log = map->log;
        memcpy(next->regions, map->regions, i * sizeof(map->regions[0]));
        memcpy(next->regions + i, map->regions + i + 1,
               (map->n_regions - 1 - i) * sizeof(map->regions[0]));
        return next;
    }
    g_set_error(error, VIONET_ERROR, VIONET_ERROR_MEMORY,
                "no mapping at 0x%" G_GINT64_MODIFIER "x of 0x%" G_GINT64_MODIFIER "x octets", gpa,
                size);
    return NULL;
}

struct memory_map *memory_map_logged(const struct memory_map *map, const struct memory_log *log)
{
    struct memory_map *next = map_alloc(map->n_regions, map->serial + 1);

    next->remote = map->remote;
    next->log = *log;
    memcpy(next->regions, map->regions, map->n_regions * sizeof(map->regions[0]));
    return next;
}

static bool region_holds(const struct memory_region *region, uint64_t gpa)
{
    return gpa >= region->gpa && gpa - region->gpa < region->size;
}

const struct memory_region *memory_find(const struct memory_map *map, uint64_t gpa, unsigned *hint)
{
    unsigned low = 0;
    unsigned high = map->n_regions;

    if (G_LIKELY(*hint < high && region_holds(&map->regions[*hint], gpa))) {
        return &map->regions[*hint];
    }
    while (low < high) {
        unsigned middle = low + (high - low) / 2;

        if (region_holds(&map->regions[middle], gpa)) {
            *hint = middle;
            return &map->regions[middle];
        }
        if (gpa < map->regions[middle].gpa) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

/* Flags that a region may not have for its host pointer to be used. */
static inline unsigned unfit(bool write)
{
    return write ? MEMORY_REMOTE | VIONET_MAP_READONLY : MEMORY_REMOTE;
}

bool memory_translate(const struct memory_map *map, unsigned *hint, uint64_t gpa, uint64_t len,
                      bool write, struct iovec *iov, unsigned *n, unsigned max)
{
    while (len > 0) {
        const struct memory_region *region = memory_find(map, gpa, hint);
        uint64_t offset, here;

        if (G_UNLIKELY(region == NULL || (region->flags & unfit(write)))) {
            return false;
        }
        offset = gpa - region->gpa;
        here = MIN(len, region->size - offset);
        if (G_LIKELY(*n < max)) {
            iov[*n].iov_base = region->host + offset;
            iov[*n].iov_len = (size_t)here;
            (*n)++;
        }
        len -= here;
        if (len > 0 && here > UINT64_MAX - gpa) {
            return false; /* past the end of the address space */
        }
        gpa += here;
    }
    return true;
}

uint8_t *memory_pointer(const struct memory_map *map, unsigned *hint, uint64_t gpa, uint64_t len,
                        bool write)
{
    const struct memory_region *region = memory_find(map, gpa, hint);
    uint64_t offset;

    if (region == NULL || (region->flags & unfit(write))) {
        return NULL;
    }
    offset = gpa - region->gpa;
    return len <= region->size - offset ? region->host + offset : NULL;
}

struct memory_window memory_window_at(const struct memory_map *map, unsigned *hint, uint64_t gpa,
                                      bool write)
{
    const struct memory_region *region = memory_find(map, gpa, hint);

    if (region == NULL || (region->flags & unfit(write))) {
        return (struct memory_window){0};
    }
    return (struct memory_window){region->gpa, region->size, region->host};
}

/* ---- memory of either kind ---- */

bool memory_piece(const struct memory_map *map, unsigned *hint, uint64_t gpa, uint64_t len,
                  bool write, struct memory_piece *piece)
{
    const struct memory_region *region = memory_find(map, gpa, hint);
    uint64_t offset;

    if (region == NULL || (write && (region->flags & VIONET_MAP_READONLY))) {
        return false;
    }
    offset = gpa - region->gpa;
    piece->gpa = gpa;
    piece->len = MIN(len, region->size - offset);
    piece->host = region->host ? region->host + offset : NULL;
    /* What goes on behind it may not go past the end of the address space. */
    return piece->len == len || piece->len <= UINT64_MAX - gpa;
}

bool memory_exists(const struct memory_map *map, unsigned *hint, uint64_t gpa, uint64_t len,
                   bool write)
{
    struct memory_piece piece;

    for (; len > 0; len -= piece.len, gpa += piece.len) {
        if (!memory_piece(map, hint, gpa, len, write, &piece)) {
            return false;
        }
    }
    return true;
}

bool memory_read(const struct memory_map *map, unsigned *hint, uint64_t gpa, void *buf, size_t len)
{
    struct memory_piece piece;
    uint8_t *to = buf;

    for (; len > 0; len -= piece.len, gpa += piece.len, to += piece.len) {
        if (!memory_piece(map, hint, gpa, len, false, &piece)) {
            return false;
        }
        if (piece.host) {
            guest_copy(to, piece.host, (size_t)piece.len);
        } else if (!map->remote->read(map->remote->opaque, gpa, to, (size_t)piece.len)) {
            return false;
        }
    }
    return true;
}

bool memory_write(const struct memory_map *map, unsigned *hint, uint64_t gpa, const void *buf,
                  size_t len)
{
    struct memory_piece piece;
    const uint8_t *from = buf;

    for (; len > 0; len -= piece.len, gpa += piece.len, from += piece.len) {
        if (!memory_piece(map, hint, gpa, len, true, &piece)) {
            return false;
        }
        if (piece.host) {
            memcpy(piece.host, from, (size_t)piece.len);
        } else if (!map->remote->write(map->remote->opaque, gpa, from, (size_t)piece.len)) {
            return false;
        }
    }
    return true;
}

/* ---- what was written ---- */

void memory_log_pages(const struct memory_log *log, uint64_t gpa, uint64_t len)
{
    const uint64_t first = gpa / MEMORY_PAGE;
    const uint64_t last = (gpa + MIN(len - 1, UINT64_MAX - gpa)) / MEMORY_PAGE;

    if (len == 0) {
        return;
    }
    /* The page's octets are there before its bit: who takes the bit and then the page has them. */
    for (uint64_t page = first; page <= last && page / 8 < log->size; page++) {
        __atomic_fetch_or(&log->bits[page / 8], (uint8_t)(1u << page % 8), __ATOMIC_ACQ_REL);
    }
}

void memory_log_host(const struct memory_map *map, const void *host, uint64_t len)
{
    for (unsigned i = 0; i < map->n_regions; i++) {
        const struct memory_region *region = &map->regions[i];
        const uint64_t offset = (uintptr_t)host - (uintptr_t)region->host;

        if (region->host && (uintptr_t)host >= (uintptr_t)region->host && offset < region->size) {
            memory_log_pages(&map->log, region->gpa + offset, len);
            return;
        }
    }
}
