/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The reverse of segment.h: consecutive plain frames of one TCP connection, which are there at the
 * same time, become one packet to be segmented. A guest that takes such packets handles one where
 * it handled ten. Payload is not copied: a packet is one new header in front of ranges of the
 * frames, which have to stay until it is given back.
 *
 *     merge_begin(merger, packets, n, offloads);
 *     ... merge_add(merger, &frame) for each, while it returns less than n ...
 *     n = merge_end(merger);
 *     ... merge_give_back(merger, &packets[i], &parts) for each, some time ...
 *
 * The rules are those of Linux's GRO, or stricter. Segmentation gives the frames back octet for
 * octet, but for one case: packets with DF set that all bear the same IPv4 identification get
 * consecutive ones (RFC 6864: it means nothing there).
 *
 * A frame takes part if its checksums are right. That of TCP is believed if the frame says so
 * (VIRTIO_NET_HDR_F_DATA_VALID), else it is computed. Nothing waits for frames to come, and frames
 * of one connection keep their order.
 *
 * Threads: one at a time.
 */
#ifndef DEVICE_MERGE_H
#define DEVICE_MERGE_H

#include <vionet/device.h>

#define MERGE_MOST 64 /* frames in one packet */

struct merger;

/* Never NULL. */
struct merger *merger_new(void);

/* Frees the merger and what was not given back; NULL is ignored. */
void merger_free(struct merger *merger);

/*
 * Begins a burst of at most n packets, to be put into packets. offloads is what the guest takes,
 * in bits as those of VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET; without GUEST_CSUM and GUEST_TSO4 or
 * GUEST_TSO6 nothing is merged.
 */
void merge_begin(struct merger *merger, VionetFrame *packets, size_t n, uint64_t offloads);

/*
 * Adds a frame, for which there must be room; how many packets there are now. Tokens of frames are
 * below 1 << 63.
 */
size_t merge_add(struct merger *merger, const VionetFrame *frame);

/* Ends the burst: what is not merged is as it was added. How many packets there are. */
size_t merge_end(struct merger *merger);

/*
 * Takes a packet back: the frames that it was made of, by their tokens, in order. They hold until
 * the next burst begins; how many there are. A packet that is not merged is its own only part.
 */
unsigned merge_give_back(struct merger *merger, const VionetFrame *packet,
                         const VionetFrame **parts);

#endif
