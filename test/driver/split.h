/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Raw access to a split virtqueue (VIRTIO 1.4, 2.7), for tests that misbehave and for tests that
 * look at octets. Writes go to guest memory and count as the driver's own (virtq_verify knows
 * them), but the record of buffers in virtq.c knows nothing of them. Every index is checked against
 * the ring; false or 0 is the answer to one outside, and to a queue that is not split.
 */
#ifndef TEST_DRIVER_SPLIT_H
#define TEST_DRIVER_SPLIT_H

#include "virtq.h"

struct split_desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags;
    uint16_t next;
};

/* Descriptor i of the table. */
bool split_write_desc(struct virtq *vq, unsigned i, const struct split_desc *desc);
bool split_read_desc(struct virtq *vq, unsigned i, struct split_desc *desc);
/* Entry i of an indirect table in guest memory. */
bool split_write_table(struct guest_memory *memory, uint64_t table_gpa, unsigned i,
                       const struct split_desc *desc);

/* The available ring. The index written here is not kept: the next publish stores the true one. */
bool split_write_avail(struct virtq *vq, unsigned slot, uint16_t head);
void split_write_avail_idx(struct virtq *vq, uint16_t idx);
void split_write_avail_flags(struct virtq *vq, uint16_t flags);
void split_write_used_event(struct virtq *vq, uint16_t idx);
uint16_t split_read_avail_idx(struct virtq *vq);

/* The used ring. */
uint16_t split_read_used_flags(struct virtq *vq);
uint16_t split_read_used_idx(const struct virtq *vq);
bool split_read_used(struct virtq *vq, unsigned slot, uint32_t *id, uint32_t *len);
uint16_t split_read_avail_event(struct virtq *vq);

/*
 * Take the next free descriptor away from virtq_add for good, to write it by hand. A fresh queue
 * gives 0, 1, 2, ... False if none is left.
 */
bool split_take(struct virtq *vq, uint16_t *i);
/*
 * Put a head into the next slot of the available ring, to be published with the rest: a chain that
 * was written with split_write_desc. A head in range that is not in flight comes back with its
 * cookie from virtq_poll (with any length); for one that is, a second used element is let pass.
 */
void split_offer(struct virtq *vq, uint16_t head, void *cookie);

#endif
