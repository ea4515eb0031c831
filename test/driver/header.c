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
    if (features_has(accepted, VIRTIO_NET_F_HASH_REPORT)) {
        return 20;
    }
    return features_has(accepted, VIRTIO_F_VERSION_1) ||
                   features_has(accepted, VIRTIO_NET_F_MRG_RXBUF)
               ? 12
               : 10;
}

static uint16_t get16(const uint8_t *octets, bool big_endian)
{
    const uint16_t value = bytes_get16(octets);

    return big_endian ? __builtin_bswap16(value) : value;
}

static void put16(uint8_t *octets, bool big_endian, uint16_t value)
{
    bytes_put16(octets, big_endian ? __builtin_bswap16(value) : value);
}

void header_load(const uint8_t *octets, unsigned size, bool big_endian, struct net_header *header)
{
    *header = (struct net_header){
        .flags = octets[0],
        .gso_type = octets[1],
        .hdr_len = get16(octets + 2, big_endian),
        .gso_size = get16(octets + 4, big_endian),
        .csum_start = get16(octets + 6, big_endian),
        .csum_offset = get16(octets + 8, big_endian),
        .num_buffers = size >= 12 ? get16(octets + 10, big_endian) : 1,
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

void header_store(uint8_t *octets, unsigned size, bool big_endian, const struct net_header *header)
{
    octets[0] = header->flags;
    octets[1] = header->gso_type;
    put16(octets + 2, big_endian, header->hdr_len);
    put16(octets + 4, big_endian, header->gso_size);
    put16(octets + 6, big_endian, header->csum_start);
    put16(octets + 8, big_endian, header->csum_offset);
    if (size >= 12) {
        put16(octets + 10, big_endian, header->num_buffers);
    }
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
