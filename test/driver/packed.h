/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Raw access to a packed virtqueue (VIRTIO 1.4, 2.8), for tests that misbehave and for tests that
 * look at octets. Writes go to guest memory and count as the driver's own (virtq_verify knows
 * them), but the record of buffers in virtq.c knows nothing of them. Places are counted from the
 * next one that virtq_add would take; slots from the beginning of the ring. Every slot is checked
 * against the ring; false or 0 is the answer to one outside, and to a queue that is not packed.
 */
#ifndef TEST_DRIVER_PACKED_H
#define TEST_DRIVER_PACKED_H

#include "virtq.h"

struct packed_desc {
    uint64_t addr;
    uint32_t len;
    uint16_t id;
    uint16_t flags;
};

/* The slot n places on; and the bits AVAIL and USED that make a descriptor there available. */
uint16_t packed_slot(const struct virtq *vq, unsigned n);
uint16_t packed_available(const struct virtq *vq, unsigned n);

/* The descriptor in a slot, all its flags as given: if they say so, the device sees it at once. */
bool packed_write_desc(struct virtq *vq, unsigned slot, const struct packed_desc *desc);
bool packed_read_desc(struct virtq *vq, unsigned slot, struct packed_desc *desc);
/* Entry i of an indirect table in guest memory. */
bool packed_write_table(struct guest_memory *memory, uint64_t table_gpa, unsigned i,
                        const struct packed_desc *desc);

/* The event words: what the driver says of interrupts, what the device says of notifications. */
void packed_write_event(struct virtq *vq, uint16_t off_wrap, uint16_t flags);
void packed_read_event(const struct virtq *vq, uint16_t *off_wrap, uint16_t *flags);

/*
 * Go n places on, over a list that was written with packed_write_desc. If its id is in range and
 * not in flight it comes back with its cookie from virtq_poll (with any length); for another, a
 * used descriptor with it is let pass.
 */
void packed_offer(struct virtq *vq, unsigned n, uint16_t id, void *cookie);

#endif
