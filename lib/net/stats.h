/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Device statistics (VIRTIO 1.4, 5.1.6.5.11): the queues' counters as the driver asks for them.
 * Control side; called by the control queue.
 */
#ifndef VIONET_NET_STATS_H
#define VIONET_NET_STATS_H

#include "iov.h"
#include "net/device.h"

/* The types that the negotiated features open, 1 << VIRTIO_NET_STATS_TYPE_REPLY_* each. */
uint64_t stats_types(const struct view *view);

/* Whether each of n entries of a STATS_GET names a queue, and types that are open and its own. */
bool stats_check(const VionetDevice *device, const uint8_t *entries, size_t n);

/*
 * Writes the replies to entries that were checked, by entry and then by type: whole ones, as many as there
 * is room for. Counters of one entry are of one moment. The command at hand counts as done. How many octets.
 */
size_t stats_reply(VionetDevice *device, const uint8_t *entries, size_t n, struct iov_cursor *to,
                   uint64_t room);

#endif
