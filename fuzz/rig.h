/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device on guest memory that is watched. Every region has a shadow, which holds what the guest
 * has written and what the device was seen to write rightly; after each call into the device, a
 * target allows the ranges that the device may have written and requires the rest to be unchanged.
 * The guest here is as small as can be: it speaks to the device through vionet/transport.h, writes
 * rings by hand, and rules of the specification hold for it only as far as the input wants.
 *
 *     gpa                        octets   what
 *     0x10000                    32 Ki    rings, 2 KiB for each queue; tables; then buffers
 *     0x18000                    16 Ki    buffers: adjacent for the guest, elsewhere for the host
 *     0x40000                    4 Ki     the device may not write here
 *     2^64 - 8 Ki                8 Ki     the end of the address space
 */
#ifndef FUZZ_RIG_H
#define FUZZ_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vionet/device.h>
#include <vionet/spec.h>
#include <vionet/transport.h>

#define RIG_REGIONS    4
#define RIG_MAX_PAIRS  3
#define RIG_MAX_QUEUES (2 * RIG_MAX_PAIRS + 1)
#define RIG_MAX_SIZE   64 /* entries of the largest queue */

#define RIG_BASE        UINT64_C(0x10000)
#define RIG_RING_SPACE  2048u
#define RIG_TABLES      (RIG_BASE + RIG_MAX_QUEUES * RIG_RING_SPACE)
#define RIG_TABLE       256u /* octets of a small indirect table: 16 entries */
#define RIG_N_TABLES    16u
#define RIG_BUFFERS     (RIG_TABLES + RIG_N_TABLES * RIG_TABLE)
#define RIG_BUFFERS_END (RIG_BASE + 0xc000)
#define RIG_READONLY    UINT64_C(0x40000)
#define RIG_TOP         (UINT64_MAX - 0x1fff)

struct rig_region {
    uint64_t gpa;
    uint64_t size;
    unsigned flags; /* VIONET_MAP_* */
    bool mapped;    /* into the device */
    uint8_t *host;
    uint8_t *shadow;
};

/* A queue as the guest has set it up. */
struct rig_queue {
    uint16_t size;
    uint64_t area[3];              /* by VionetQueueArea */
    uint16_t posted;               /* buffers put into the available ring */
    uint16_t next;                 /* next descriptor to use, going round */
    uint16_t used;                 /* the next used index or, packed, the next used place */
    uint8_t entries[RIG_MAX_SIZE]; /* of the ring that a buffer takes up, by its head (packed) */
    unsigned table;                /* next small table to use, going round */
};

/* Frames that the host has and has not given back, by the pair that sent them. */
#define RIG_MAX_OUT 64

struct rig_outs {
    VionetFrame frames[RIG_MAX_OUT];
    unsigned pairs[RIG_MAX_OUT];
    unsigned n;
};

struct rig {
    VionetDevice *device;
    struct rig_outs outs;
    struct rig_region regions[RIG_REGIONS];
    struct rig_queue queues[RIG_MAX_QUEUES];
    unsigned n_queues;
    uint64_t buffer; /* next buffer's address, going round */
    uint64_t accepted[VIONET_FEATURE_WORDS];
    bool odd;     /* a used ring may lie where the guest stores other things; then this tells */
    bool spoiled; /* that it has stored over one, as no driver would */

    /* what the host was told */
    uint64_t interrupts[RIG_MAX_QUEUES];
    uint64_t config_interrupts;
    uint64_t kicks[RIG_MAX_QUEUES];
    bool faulted[RIG_MAX_QUEUES]; /* a fatal violation named the queue */
    VionetViolation fault[RIG_MAX_QUEUES];
    uint64_t now_ns;
    uint64_t deadline_ns[RIG_MAX_QUEUES];
};

/* ---- life ---- */

/* A configuration that offers all that a target could want of a device with so many pairs. */
void rig_config(VionetConfig *config, const VionetDialect *dialect, unsigned pairs);

/* Makes the device, on memory that is all zero and all mapped. */
void rig_init(struct rig *rig, const VionetConfig *config);
void rig_end(struct rig *rig);

/* ---- guest memory ---- */

/* The guest's stores and loads. Where there is no memory nothing happens, and loads give 0. */
void rig_store(struct rig *rig, uint64_t gpa, const void *from, size_t n);
void rig_load(const struct rig *rig, uint64_t gpa, void *to, size_t n);
void rig_store16(struct rig *rig, uint64_t gpa, uint16_t value);
void rig_store32(struct rig *rig, uint64_t gpa, uint32_t value);
void rig_store64(struct rig *rig, uint64_t gpa, uint64_t value);
uint16_t rig_load16(const struct rig *rig, uint64_t gpa);
uint32_t rig_load32(const struct rig *rig, uint64_t gpa);
uint64_t rig_load64(const struct rig *rig, uint64_t gpa);

/* Whether all octets of a range are mapped into the device, and for writing. */
bool rig_reachable(const struct rig *rig, uint64_t gpa, uint64_t n, bool write);

/* The host address of an octet that is reachable, for comparing with what the device hands out. */
const uint8_t *rig_host(const struct rig *rig, uint64_t gpa);

/* Octets from there to the end of the region. */
uint64_t rig_run(const struct rig *rig, uint64_t gpa);

/* Whether the device has written anything since the last time it was allowed to. */
bool rig_changed(const struct rig *rig);

/* The device may have written here: what stands there now is taken over. */
void rig_allow(struct rig *rig, uint64_t gpa, uint64_t n);
void rig_allow_all(struct rig *rig);

/* Requires that the device has written nowhere else. */
void rig_require_unchanged(const struct rig *rig, const char *after);

/* ---- the network ---- */

/* From the host, one to four broadcasts, as how says; how many went in. */
size_t rig_deliver(struct rig *rig, uint8_t how);

/*
 * Up to eight frames of the pair that how names, which the host keeps, but no more than most of them; how many.
 * Bits 7 and 6 of how: before it, or behind it, all that it has are given back.
 */
size_t rig_transmit(struct rig *rig, uint8_t how, unsigned most);
void rig_give_back(struct rig *rig);

/* ---- the driver's registers ---- */

/* Status 0; all is forgotten. Rings are zeroed. */
void rig_reset(struct rig *rig);

/* Takes out of a set of features what lacks another that it requires. */
void rig_sound_features(uint64_t *features);

/* From reset to FEATURES_OK, with these features; false if the device refuses. */
bool rig_negotiate(struct rig *rig, const uint64_t *features);

static inline bool rig_has(const struct rig *rig, unsigned bit)
{
    return vionet_features_test(rig->accepted, bit);
}

/* The usual place of a queue's parts. */
void rig_place(struct rig *rig, unsigned queue, uint16_t size);

/* Writes size and addresses of rig->queues[queue] and enables the queue. */
void rig_enable(struct rig *rig, unsigned queue);

/* All queues at their usual place with so many entries, then DRIVER_OK. */
void rig_run_all(struct rig *rig, uint16_t size);

/* Index of the control queue; n_queues or more if there is none. */
unsigned rig_control(const struct rig *rig);

/* ---- posting ---- */

struct rig_piece {
    uint64_t gpa;
    uint32_t len;
    bool writable;
};

/* Memory for a buffer: octets that follow each other, not in use until the pool has gone round. */
uint64_t rig_buffer(struct rig *rig, uint32_t len);

void rig_store_desc(struct rig *rig, uint64_t at, uint64_t gpa, uint32_t len, uint16_t flags,
                    uint16_t next);

/*
 * Writes a chain, directly or through a table, and puts it into the available ring; its head. A packed
 * ring is written as a driver writes it, each buffer's first descriptor last; its id is its first slot.
 */
uint16_t rig_post(struct rig *rig, unsigned queue, const struct rig_piece *pieces, unsigned n,
                  bool indirect);

/* Puts any one descriptor into a packed ring, available but for what flags have of AVAIL and USED. */
void rig_store_packed(struct rig *rig, unsigned queue, uint64_t gpa, uint32_t len, uint16_t id,
                      uint16_t flags);

/* Puts a head into the available ring (split). */
void rig_offer(struct rig *rig, unsigned queue, uint16_t head);

/*
 * The next used buffer in a queue, of which the device may have written the used element and what it
 * says of notifications; false if there is none.
 */
bool rig_next_used(struct rig *rig, unsigned queue, uint32_t *head, uint32_t *len);

/* Lets the device see what was posted; of a packed ring it does at once. */
void rig_publish(struct rig *rig, unsigned queue);

/* The device is as usable as a new one: resets it, and passes a frame each way. */
void rig_require_works(struct rig *rig);

#endif
