/* SPDX-License-Identifier: BSD-3-Clause */
/* The packet header; see header.h. */
#include "header.h"

#include <string.h>

#include <vionet/spec.h>

#include "bytes.h"

unsigned header_size(const struct guest_features *accepted)
{
    if (features_has(accepted, VIRTIO_NET_F_OUT_NET_HEADER) ||
        features_has(accepted, VIRTIO_NET_F_IPSEC)) {
        return 32;
    }
    if (features_has(accepted, VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO) ||
        features_has(accepted, VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO)) {
        return 24;
    }
    return features_has(accepted, VIRTIO_NET_F_HASH_REPORT) ? 20 : 12;
}

void header_load(const uint8_t *octets, unsigned size, struct net_header *header)
{
    *header = (struct net_header){
        .flags = octets[0],
        .gso_type = octets[1],
        .hdr_len = bytes_get16(octets + 2),
        .gso_size = bytes_get16(octets + 4),
        .csum_start = bytes_get16(octets + 6),
        .csum_offset = bytes_get16(octets + 8),
        .num_buffers = bytes_get16(octets + 10),
    };
    if (size >= 20) {
        header->hash_value = bytes_get32(octets + 12);
        header->hash_report = bytes_get16(octets + 16);
        header->hash_report_tunnel = octets[18];
        header->padding = octets[19];
    }
    if (size >= 24) {
        header->outer_th_offset = bytes_get16(octets + 20);
        header->inner_nh_offset = bytes_get16(octets + 22);
    }
    if (size >= 32) {
        header->outer_nh_offset = bytes_get16(octets + 24);
    }
}

void header_store(uint8_t *octets, unsigned size, const struct net_header *header)
{
    octets[0] = header->flags;
    octets[1] = header->gso_type;
    bytes_put16(octets + 2, header->hdr_len);
    bytes_put16(octets + 4, header->gso_size);
    bytes_put16(octets + 6, header->csum_start);
    bytes_put16(octets + 8, header->csum_offset);
    bytes_put16(octets + 10, header->num_buffers);
    if (size >= 20) {
        bytes_put32(octets + 12, header->hash_value);
        bytes_put16(octets + 16, header->hash_report);
        octets[18] = header->hash_report_tunnel;
        octets[19] = header->padding;
    }
    if (size >= 24) {
        bytes_put16(octets + 20, header->outer_th_offset);
        bytes_put16(octets + 22, header->inner_nh_offset);
    }
    if (size >= 32) {
        bytes_put16(octets + 24, header->outer_nh_offset);
        memset(octets + 26, 0, 6);
    }
}
