/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest-physical memory: regions at chosen addresses, and an allocator for the driver.
 *
 * Each region is a piece of one memfd. The driver sees regions with adjacent guest addresses as one
 * linear run (guest_ptr); the device is given the regions one by one. With guard pages the device's
 * mappings are separate and fenced on both sides with PROT_NONE, so an access that takes guest
 * adjacency for host adjacency faults at once. Without, both look at the same mapping.
 *
 * Threads: everything but the allocator may be used from any thread.
 */
#ifndef TEST_DRIVER_GUEST_H
#define TEST_DRIVER_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUEST_MAX_REGIONS 64
/* What guest_alloc answers when there is no room. */
#define GUEST_NONE UINT64_MAX

/* A region as the device's side is to map it. The host address is good until guest_memory_free. */
struct guest_region {
    uint64_t gpa;
    uint64_t size;
    void *host;
    int fd; /* the memfd, for a device in another process */
    uint64_t fd_offset;
};

/* Where a region goes. Address and size are multiples of the page size; the order is ascending. */
struct guest_extent {
    uint64_t gpa;
    uint64_t size;
};

struct guest_memory_options {
    const struct guest_extent *extents;
    unsigned n_extents;
    bool guard_pages; /* fence the device's mapping of each region */
    bool straddle;    /* let an allocation run from a region into an adjacent one */
};

/* Positions of the allocator, to return to. */
struct guest_mark {
    uint64_t used[GUEST_MAX_REGIONS];
};

struct guest_memory;

/* Make guest memory, filled with zeroes. NULL if the extents are no good or memory is short. */
struct guest_memory *guest_memory_new(const struct guest_memory_options *options);
/* One region of so many octets (rounded up to pages) at so high an address. */
struct guest_memory *guest_memory_flat(uint64_t gpa, uint64_t size);
void guest_memory_free(struct guest_memory *memory);

/* The regions, for the suite to map into the device. */
unsigned guest_memory_regions(const struct guest_memory *memory,
                              const struct guest_region **regions);

/* Take octets at a multiple of align (a power of two); GUEST_NONE if there is no room. */
uint64_t guest_alloc(struct guest_memory *memory, uint64_t size, uint64_t align);
/* Remember the allocator's position, and give back all that was taken since. */
void guest_mark(const struct guest_memory *memory, struct guest_mark *mark);
void guest_release(struct guest_memory *memory, const struct guest_mark *mark);

/* The driver's pointer to [gpa, gpa + len); NULL unless all of it is guest memory. */
void *guest_ptr(const struct guest_memory *memory, uint64_t gpa, uint64_t len);

/* Copy out of and into guest memory; false, and nothing done, if the range is not guest memory. */
bool guest_read(const struct guest_memory *memory, uint64_t gpa, void *to, uint64_t len);
bool guest_write(const struct guest_memory *memory, uint64_t gpa, const void *from, uint64_t len);

/* Set every octet to a value; and find the first that differs from it: its offset, or len. */
bool guest_fill(const struct guest_memory *memory, uint64_t gpa, uint64_t len, uint8_t value);
uint64_t guest_differs(const struct guest_memory *memory, uint64_t gpa, uint64_t len,
                       uint8_t value);

#endif
