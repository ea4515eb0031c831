/* SPDX-License-Identifier: BSD-3-Clause */
/* Guest-physical memory over a memfd; see guest.h. */
#include "guest.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <glib.h>

/* Regions whose guest addresses touch, in one mapping of the driver's. */
struct run {
    uint64_t gpa;
    uint64_t size;
    uint8_t *host;
};

/* What the allocator takes from: a region, or a run if allocations may straddle. */
struct arena {
    uint64_t gpa;
    uint64_t size;
    uint64_t used;
};

struct guest_memory {
    int fd;
    uint64_t size;
    uint64_t page;
    bool guard_pages;
    unsigned n_regions;
    unsigned n_runs;
    unsigned n_arenas;
    struct guest_region regions[GUEST_MAX_REGIONS];
    struct run runs[GUEST_MAX_REGIONS];
    struct arena arenas[GUEST_MAX_REGIONS];
};

static bool extents_valid(const struct guest_memory_options *options, uint64_t page)
{
    uint64_t end = 0;

    if (options->n_extents == 0 || options->n_extents > GUEST_MAX_REGIONS) {
        return false;
    }
    for (unsigned i = 0; i < options->n_extents; i++) {
        const struct guest_extent *extent = &options->extents[i];

        if (extent->size == 0 || extent->gpa % page || extent->size % page || extent->gpa < end ||
            extent->size > UINT64_MAX - extent->gpa) {
            return false;
        }
        end = extent->gpa + extent->size;
    }
    return true;
}

/* Lay the regions out in the memfd and find the runs; nothing is mapped yet. */
static void lay_out(struct guest_memory *memory, const struct guest_memory_options *options)
{
    for (unsigned i = 0; i < options->n_extents; i++) {
        const struct guest_extent *extent = &options->extents[i];
        struct run *run = memory->n_runs ? &memory->runs[memory->n_runs - 1] : NULL;

        memory->regions[i] = (struct guest_region){
            .gpa = extent->gpa,
            .size = extent->size,
            .fd = memory->fd,
            .fd_offset = memory->size,
        };
        if (run && run->gpa + run->size == extent->gpa) {
            run->size += extent->size;
        } else {
            memory->runs[memory->n_runs++] = (struct run){.gpa = extent->gpa, .size = extent->size};
        }
        memory->size += extent->size;
    }
    memory->n_regions = options->n_extents;
    memory->guard_pages = options->guard_pages;
    memory->n_arenas = options->straddle ? memory->n_runs : memory->n_regions;
    for (unsigned i = 0; i < memory->n_arenas; i++) {
        memory->arenas[i].gpa = options->straddle ? memory->runs[i].gpa : memory->regions[i].gpa;
        memory->arenas[i].size = options->straddle ? memory->runs[i].size : memory->regions[i].size;
    }
}

static void *map_piece(const struct guest_memory *memory, void *at, uint64_t size, uint64_t offset)
{
    void *host = mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | (at ? MAP_FIXED : 0),
                      memory->fd, (off_t)offset);

    return host == MAP_FAILED ? NULL : host;
}

/* Map a region between two pages that nobody may touch. */
static void *map_fenced(const struct guest_memory *memory, const struct guest_region *region)
{
    uint64_t size = region->size + 2 * memory->page;
    uint8_t *fence = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (fence == MAP_FAILED) {
        return NULL;
    }
    if (!map_piece(memory, fence + memory->page, region->size, region->fd_offset)) {
        munmap(fence, size);
        return NULL;
    }
    return fence + memory->page;
}

static bool map_all(struct guest_memory *memory)
{
    uint64_t offset = 0;

    if (ftruncate(memory->fd, (off_t)memory->size) != 0) {
        return false;
    }
    for (unsigned i = 0; i < memory->n_runs; i++) {
        struct run *run = &memory->runs[i];

        run->host = map_piece(memory, NULL, run->size, offset);
        if (!run->host) {
            return false;
        }
        offset += run->size;
    }
    for (unsigned i = 0; i < memory->n_regions; i++) {
        struct guest_region *region = &memory->regions[i];

        region->host = memory->guard_pages ? map_fenced(memory, region)
                                           : guest_ptr(memory, region->gpa, region->size);
        if (!region->host) {
            return false;
        }
    }
    return true;
}

struct guest_memory *guest_memory_new(const struct guest_memory_options *options)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    struct guest_memory *memory;

    if (!extents_valid(options, page)) {
        return NULL;
    }
    memory = g_new0(struct guest_memory, 1);
    memory->page = page;
    memory->fd = memfd_create("guest", MFD_CLOEXEC);
    lay_out(memory, options);
    if (memory->fd < 0 || !map_all(memory)) {
        guest_memory_free(memory);
        return NULL;
    }
    return memory;
}

struct guest_memory *guest_memory_flat(uint64_t gpa, uint64_t size)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    struct guest_extent extent = {gpa, (size + page - 1) / page * page};
    struct guest_memory_options options = {.extents = &extent, .n_extents = 1};

    return guest_memory_new(&options);
}

void guest_memory_free(struct guest_memory *memory)
{
    if (!memory) {
        return;
    }
    for (unsigned i = 0; memory->guard_pages && i < memory->n_regions; i++) {
        if (memory->regions[i].host) {
            munmap((uint8_t *)memory->regions[i].host - memory->page,
                   memory->regions[i].size + 2 * memory->page);
        }
    }
    for (unsigned i = 0; i < memory->n_runs; i++) {
        if (memory->runs[i].host) {
            munmap(memory->runs[i].host, memory->runs[i].size);
        }
    }
    if (memory->fd >= 0) {
        close(memory->fd);
    }
    g_free(memory);
}

unsigned guest_memory_regions(const struct guest_memory *memory,
                              const struct guest_region **regions)
{
    *regions = memory->regions;
    return memory->n_regions;
}

uint64_t guest_alloc(struct guest_memory *memory, uint64_t size, uint64_t align)
{
    if (align == 0 || (align & (align - 1))) {
        return GUEST_NONE;
    }
    for (unsigned i = 0; i < memory->n_arenas; i++) {
        struct arena *arena = &memory->arenas[i];
        uint64_t gpa = arena->gpa + arena->used;
        uint64_t pad = -gpa & (align - 1);

        if (pad > arena->size - arena->used || size > arena->size - arena->used - pad) {
            continue;
        }
        arena->used += pad + size;
        return gpa + pad;
    }
    return GUEST_NONE;
}

void guest_mark(const struct guest_memory *memory, struct guest_mark *mark)
{
    for (unsigned i = 0; i < memory->n_arenas; i++) {
        mark->used[i] = memory->arenas[i].used;
    }
}

void guest_release(struct guest_memory *memory, const struct guest_mark *mark)
{
    for (unsigned i = 0; i < memory->n_arenas; i++) {
        memory->arenas[i].used = mark->used[i];
    }
}

void *guest_ptr(const struct guest_memory *memory, uint64_t gpa, uint64_t len)
{
    for (unsigned i = 0; i < memory->n_runs; i++) {
        const struct run *run = &memory->runs[i];

        if (gpa >= run->gpa && gpa - run->gpa <= run->size && len <= run->size - (gpa - run->gpa)) {
            return run->host + (gpa - run->gpa);
        }
    }
    return NULL;
}

bool guest_read(const struct guest_memory *memory, uint64_t gpa, void *to, uint64_t len)
{
    const void *from = guest_ptr(memory, gpa, len);

    if (!from) {
        return false;
    }
    memcpy(to, from, len);
    return true;
}

bool guest_write(const struct guest_memory *memory, uint64_t gpa, const void *from, uint64_t len)
{
    void *to = guest_ptr(memory, gpa, len);

    if (!to) {
        return false;
    }
    memcpy(to, from, len);
    return true;
}

bool guest_fill(const struct guest_memory *memory, uint64_t gpa, uint64_t len, uint8_t value)
{
    void *at = guest_ptr(memory, gpa, len);

    if (!at) {
        return false;
    }
    memset(at, value, len);
    return true;
}

uint64_t guest_differs(const struct guest_memory *memory, uint64_t gpa, uint64_t len, uint8_t value)
{
    const uint8_t *at = guest_ptr(memory, gpa, len);
    uint64_t i = 0;

    while (at && i < len && at[i] == value) {
        i++;
    }
    return i;
}
