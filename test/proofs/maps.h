/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any memory map of up to MAP_REGIONS regions, as memory_map_with() makes them. Nothing stands in these regions:
 * their host pointers are numbers, far from each other, which lib/memory.c reckons with and never follows.
 */
#ifndef VIONET_PROOFS_MAPS_H
#define VIONET_PROOFS_MAPS_H

#include "memory.h"

#include <vionet/device.h>

static struct memory_map the_map;

static struct memory_map *any_map(void)
{
    struct memory_map *map = &the_map;

    map->n_regions = any_below(MAP_REGIONS + 1);
    for (unsigned i = 0; i < MAP_REGIONS; i++) {
        struct memory_region *region = &the_map.regions[i];

        region->gpa = (uint64_t)(any_64() / MEMORY_PAGE) * MEMORY_PAGE;
        region->size = (uint64_t)any_32() * MEMORY_PAGE;
        region->flags = any_bool() ? VIONET_MAP_READONLY : 0;
        region->host = (uint8_t *)((uintptr_t)(i + 1) << 48);
        assume(region->size > 0);
        assume(region->size - 1 <= UINT64_MAX - region->gpa);
        assume(i == 0 || region->gpa > region[-1].gpa + (region[-1].size - 1));
    }
    return map;
}

/* Whether an octet is in the map, in a writable region if write: by looking at every region. */
static bool map_has(uint64_t gpa, bool write)
{
    bool has = false;

    for (unsigned i = 0; i < MAP_REGIONS; i++) {
        const struct memory_region *region = &the_map.regions[i];

        has |= i < the_map.n_regions && gpa >= region->gpa && gpa - region->gpa < region->size &&
               !(write && (region->flags & VIONET_MAP_READONLY));
    }
    return has;
}

/* Whether p is where the len octets at gpa are, all of them in one region of the map that is fit. */
static bool map_leads(const void *p, uint64_t gpa, uint64_t len, bool write)
{
    const unsigned i = (unsigned)((uintptr_t)p >> 48) - 1;
    const struct memory_region *region = &the_map.regions[i];
    const uint64_t offset = (uintptr_t)p & ((UINT64_C(1) << 48) - 1);

    return i < the_map.n_regions && offset <= region->size && len <= region->size - offset &&
           region->gpa + offset == gpa && !(write && (region->flags & VIONET_MAP_READONLY));
}

#endif
