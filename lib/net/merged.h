/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A received frame over several buffers (VIRTIO_NET_F_MRG_RXBUF; VIRTIO 1.4, 5.1.6.4): those are taken that it needs, and
 * pushed when all of it is in, so that a frame that does not fit leaves no trace but octets in buffers that are the
 * device's to write. Called by receive.c, in the gates of the lane and the queue; what is wrong with a buffer breaks the
 * queue.
 */
#ifndef VIONET_NET_MERGED_H
#define VIONET_NET_MERGED_H

#include "net/burst.h"

/*
 * Fills in a frame of len octets behind its header, into buffers of any kind, the first of which has been taken: it is in
 * queue->chain, and holds at least the header. Delivered, held or dropped.
 */
VionetVerdict merged_fill(struct queue *queue, const struct view *view, const uint8_t *hdr,
                          const VionetFrame *frame, size_t len, struct outcome *outcome);

/*
 * Delivers a frame over plain buffers, the first of which is too short for it. Nothing is copied before there are enough:
 * a frame that has to wait costs little. False if not all that it takes are plain, or they are too many: nothing has
 * happened then.
 */
bool merged_deliver_plain(struct queue *queue, const struct view *view,
                          const struct station *station, VionetVerdict *verdict,
                          struct outcome *outcome);

#endif
