/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The header in front of every packet (VIRTIO 1.4, 5.1.6, struct virtio_net_hdr), in the driver's
 * byte order. How much of it there is depends on the accepted features; what there is not is 0, but for
 * the number of buffers, which is 1.
 */
#ifndef TEST_DRIVER_HEADER_H
#define TEST_DRIVER_HEADER_H

#include <stdint.h>

#include "feature_set.h"

struct net_header {
    uint8_t flags;
    uint8_t gso_type;
    uint16_t hdr_len;
    uint16_t gso_size;
    uint16_t csum_start;
    uint16_t csum_offset;
    uint16_t num_buffers;
    /* From 20 octets on. */
    uint32_t hash_value;
    uint16_t hash_report;
    uint8_t hash_report_tunnel; /* draft of January 2023, else padding */
    uint8_t padding;
    /* From 24 octets on. */
    uint16_t outer_th_offset;
    uint16_t inner_nh_offset;
    /* With 32 octets. */
    uint16_t outer_nh_offset;
};

/* Octets of the header with these features: 12, 20, 24 or 32; 10 or 12 without VERSION_1. */
unsigned header_size(const struct guest_features *accepted);
/*
 * From and to the octets in front of a packet; size is one of these. Those of the first 12 octets are a
 * legacy driver's too, and can be big-endian.
 */
void header_load(const uint8_t *octets, unsigned size, bool big_endian, struct net_header *header);
void header_store(uint8_t *octets, unsigned size, bool big_endian, const struct net_header *header);

#endif
