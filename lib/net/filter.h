/* SPDX-License-Identifier: BSD-3-Clause */
/* Which frames are for this guest: receive modes, MAC table, VLAN table (VIRTIO 1.4, 5.1.6.5.1-3). */
#ifndef VIONET_NET_FILTER_H
#define VIONET_NET_FILTER_H

#include "net/view.h"

/*
 * VIONET_DELIVERED if a frame passes, else the reason. linear octets of it, at least 14, lie at data
 * (18 if the frame has them).
 */
VionetVerdict filter_frame(const struct view *view, const uint8_t *data, size_t linear);

/*
 * Takes a MAC_TABLE_SET payload: unicast and multicast tables with their counts. False if its length
 * is not exactly what the counts say; the filter is then unchanged.
 */
bool filter_set_table(struct view *view, const uint8_t *payload, size_t len);

/* What a filter is, for others to see. */
void filter_describe(const struct filter *filter, VionetFilter *described);

#endif
