/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A ring alone (lib/ring/ring.h) in guest memory of its own, without a device: for test_ring.c, where it
 * is split, and test_packed.c. What a driver writes there is each suite's own. One thread; what fails
 * ends the test.
 *
 * And a count of how often each octet of that memory is read: a suite compiles its format once more, with
 * the counted_ accessors in place of those of lib/bytes.h (T-01, T-02).
 */
#ifndef TEST_UNIT_RING_BENCH_H
#define TEST_UNIT_RING_BENCH_H

#include "bytes.h"
#include "driver/guest.h"
#include "ring/ring.h"

#define BASE UINT64_C(0x100000)
#define PAGE UINT64_C(4096)
#define ROOM (UINT64_C(1) << 20)

/* Ranges that a chain has storage for here. */
#define RANGES 4096

struct bench {
    struct ring ring;
    struct ring_setup setup;
    struct memory_map *map;
    struct guest_memory *memory;
    struct chain chain;
    struct iovec *ranges;
    uint64_t desc, driver, device; /* where the parts are */
    uint64_t data;                 /* and memory for buffers */
    uint16_t avail_idx;            /* the driver's (split) */
    unsigned at;                   /* place of the next descriptor of the driver (packed) */
};

/* Not started yet, its parts on pages of their own; options is NULL for memory in one piece. */
struct bench *bench_make(uint16_t size, bool packed, const struct guest_memory_options *options);

/* The same started, in one piece. */
struct bench *bench_split(uint16_t size, bool event_idx, bool in_order);
struct bench *bench_packed(uint16_t size, bool event_idx, bool in_order);

void bench_free(struct bench *bench);

/* Starts the ring as setup and the places of its parts say, for a driver that begins too. */
bool bench_start(struct bench *bench);

/* Octets of guest memory, which are there. */
uint8_t *guest(const struct bench *bench, uint64_t gpa, uint64_t len);

/* Takes the next buffer; pop_one() knows that there is one. */
int pop(struct bench *bench);
struct chain_ref pop_one(struct bench *bench);

/* What the ring has against its driver. */
void assert_fault(const struct bench *bench, VionetViolation violation, unsigned descriptor,
                  uint64_t value);

/* ---- How often a word is read ---- */

/* Counts from now on, with the ring's operations taken from a format compiled anew; one bench at a time. */
void bench_count(struct bench *bench, const struct ring_ops *counted);
void bench_free_counted(struct bench *bench);

/* Where an octet is in the memory; n of them were read. */
size_t counted_at(const void *p);
void count_read_at(size_t at, size_t n);

static inline void count_read(const void *p, size_t n)
{
    count_read_at(counted_at(p), n);
}

/* Everything in [gpa, gpa + len) was read so often; then it counts from 0 again. */
void assert_read(uint64_t gpa, uint64_t len, unsigned times);
void assert_nothing_else_read(void);

static inline uint16_t counted_load16(const void *p)
{
    count_read(p, 2);
    return guest_load16(p);
}

static inline uint16_t counted_load16_acquire(const void *p)
{
    count_read(p, 2);
    return guest_load16_acquire(p);
}

static inline uint32_t counted_load32(const void *p)
{
    count_read(p, 4);
    return guest_load32(p);
}

static inline uint64_t counted_load64(const void *p)
{
    count_read(p, 8);
    return guest_load64(p);
}

static inline uint64_t counted_load64_acquire(const void *p)
{
    count_read(p, 8);
    return guest_load64_acquire(p);
}

#endif
