/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a driver cuts a buffer into descriptors. The device must not care (VIRTIO 1.4, 2.7.4 Message
 * Framing), so suites run the same traffic through many layouts.
 */
#ifndef TEST_DRIVER_LAYOUT_H
#define TEST_DRIVER_LAYOUT_H

#include "virtq.h"

enum net_shape {
    NET_WHOLE,         /* one descriptor */
    NET_HEADER_APART,  /* the header, then the rest */
    NET_HEADER_OCTETS, /* each octet of the header, then the rest */
    NET_OCTETS,        /* each octet */
    NET_CUTS,          /* at the given offsets; equal ones make descriptors of length 0 */
};

/* All zeroes is one direct descriptor. */
struct net_layout {
    enum net_shape shape;
    bool indirect;        /* in an indirect table; the feature is not looked at */
    unsigned n_direct;    /* with indirect: so many descriptors in front of it (split) */
    const uint32_t *cuts; /* ascending; those beyond the end count as the end; the caller's */
    unsigned n_cuts;
};

/* Number of segments that a buffer of len octets, header_len of them header, is cut into. */
unsigned layout_count(const struct net_layout *layout, uint32_t len, uint32_t header_len);
/* Write them, layout_count many. */
void layout_cut(const struct net_layout *layout, uint64_t gpa, uint32_t len, uint32_t header_len,
                bool writable, struct virtq_segment *segments);
/* Ring entries that a buffer of so many segments takes. */
unsigned layout_entries(const struct net_layout *layout, unsigned n);
/* Add such segments to a queue as the layout says, direct or with a table at table_gpa. */
bool layout_add(const struct net_layout *layout, struct virtq *vq,
                const struct virtq_segment *segments, unsigned n, uint64_t table_gpa, void *cookie);

#endif
