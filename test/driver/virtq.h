/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver's side of a virtqueue (VIRTIO 1.4, 2.6 to 2.8), whatever its format: buffers go in as
 * lists of segments with a cookie, and come back as that cookie with a length. All that the device
 * does is checked against the driver's private record; what is wrong becomes a complaint and is
 * then made harmless. To write wrong things into the ring, see the formats' own headers (split.h,
 * packed.h).
 *
 *     virtq_add ... virtq_add   the buffer is in the ring, the device cannot see it yet
 *     virtq_publish             now it can
 *     virtq_must_kick           whether it wants to be told
 *     virtq_poll                buffers it has used
 *
 * Threads: one at a time per queue.
 */
#ifndef TEST_DRIVER_VIRTQ_H
#define TEST_DRIVER_VIRTQ_H

#include <stdbool.h>
#include <stdint.h>

#include "complaints.h"
#include "guest.h"

/* One piece of a buffer. Readable pieces belong in front of writable ones; nobody checks here. */
struct virtq_segment {
    uint64_t gpa;
    uint32_t len;
    bool writable;
};

/* A buffer that the device has given back. */
struct virtq_used {
    void *cookie;
    uint32_t len; /* octets written, never more than the buffer's writable ones */
    uint16_t id;
};

/* Where the three parts are: descriptor area, driver area, device area. */
struct virtq_area {
    uint64_t desc_gpa;
    uint64_t driver_gpa;
    uint64_t device_gpa;
};

struct virtq_options {
    uint16_t size; /* entries, 1 to 32768 */
    bool packed;   /* the format: packed or split */
    bool event_idx;
    bool indirect;
    bool in_order;
    bool big_endian;        /* words of the ring, which a legacy driver's can be (split) */
    struct virtq_area area; /* from virtq_area_alloc, or chosen by the caller */
};

struct virtq;

/* Take memory for the three parts of a queue of so many entries, in either format; false if none. */
bool virtq_area_alloc(struct guest_memory *memory, uint16_t size, struct virtq_area *area);

/*
 * The same in one piece, as the legacy interface has it: the device area at a multiple of align behind the
 * others; and where the parts are of such a queue that begins at gpa, a multiple of align.
 */
bool virtq_area_alloc_legacy(struct guest_memory *memory, uint16_t size, uint32_t align,
                             struct virtq_area *area);
struct virtq_area virtq_area_legacy(uint64_t gpa, uint16_t size, uint32_t align);

/*
 * Make an empty queue, its parts filled with zeroes. NULL with a complaint if an option is
 * unusable or the parts are misaligned or not guest memory. The name appears in complaints.
 */
struct virtq *virtq_new(struct guest_memory *memory, struct complaints *complaints,
                        const char *name, const struct virtq_options *options);
void virtq_free(struct virtq *vq);

const struct virtq_options *virtq_options(const struct virtq *vq);
/* Buffers added and not polled yet; ring entries free for more. */
unsigned virtq_in_flight(const struct virtq *vq);
unsigned virtq_room(const struct virtq *vq);
/* True once the device has made nonsense of the ring: nothing is polled any more. */
bool virtq_broken(const struct virtq *vq);
/* What the device did wrong; the list handed to virtq_new. */
struct complaints *virtq_complaints(const struct virtq *vq);

/* Add a buffer of n segments, a descriptor each. False if there is no room. */
bool virtq_add(struct virtq *vq, const struct virtq_segment *segments, unsigned n, void *cookie);
/*
 * Add a buffer whose first n_direct segments are descriptors of the ring and whose others stand in
 * an indirect table, written to table_gpa (16 octets a segment; the caller's until polled). The
 * feature need not be on. False if there is no room, the table is not guest memory, or the ring is
 * packed and n_direct is not 0.
 */
bool virtq_add_indirect(struct virtq *vq, const struct virtq_segment *segments, unsigned n,
                        unsigned n_direct, uint64_t table_gpa, void *cookie);

/* Show the device all that was added. */
void virtq_publish(struct virtq *vq);
/* Whether the device wants to be told of what was published since the last such question. */
bool virtq_must_kick(struct virtq *vq);
/*
 * Position of the next buffer for a notification: next_off in bits 0-14, next_wrap in bit 15; the
 * index where there is no wrap counter.
 */
uint16_t virtq_position(const struct virtq *vq);

/* The next used buffer, if there is one. */
bool virtq_poll(struct virtq *vq, struct virtq_used *used);
/* How many buffers the device has given back so far, modulo 2^16, polled or not. */
uint16_t virtq_used_total(const struct virtq *vq);
/* Take back a buffer in flight of a queue that was reset, and is only good to be freed then. */
bool virtq_detach(struct virtq *vq, void **cookie);

/* Show the device a buffer that breaks a rule; without room, in place of those it has not taken. */
void virtq_spoil(struct virtq *vq);

/* Ask for no used buffer notifications. */
void virtq_disable_interrupts(struct virtq *vq);
/* Ask for them, from the n-th next used buffer on (1 without EVENT_IDX); false if one is there. */
bool virtq_enable_interrupts(struct virtq *vq, uint16_t n);

/* Whether what only the driver writes still is as the driver wrote it; complains if not. Slow. */
bool virtq_verify(struct virtq *vq);

#endif
