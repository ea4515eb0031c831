/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets as a careful receiver reads them: where the headers of a frame are, and what its checksums
 * should be. For the targets of device/segment.c and device/merge.c; written from the RFCs, slow and
 * plain, and shares nothing with those.
 */
#ifndef FUZZ_PACKET_H
#define FUZZ_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PACKET_TCP = 6, PACKET_UDP = 17 };

/* An IP packet in a frame: offsets from the frame's beginning. */
struct packet {
    size_t ip;
    bool v6;
    uint8_t protocol;
    size_t transport;
    size_t fragment;      /* where fragments of it begin */
    size_t fragment_next; /* IPv6: the octet that says what stands there */
};

static inline unsigned packet_16(const uint8_t *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

static inline uint32_t packet_32(const uint8_t *at)
{
    return (uint32_t)packet_16(at) << 16 | packet_16(at + 2);
}

static inline void packet_put_16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline void packet_put_32(uint8_t *at, uint32_t value)
{
    packet_put_16(at, value >> 16);
    packet_put_16(at + 2, value & 0xffff);
}

/*
 * The IP header behind Ethernet and up to two VLAN tags, among the first len octets of a frame. False
 * if there is none.
 */
bool packet_find(const uint8_t *octets, size_t len, struct packet *packet);

/*
 * The IP header at offset ip. False if it is not whole, a fragment already, or has extension headers
 * by which the packet goes elsewhere or has another length than it says.
 */
bool packet_read(const uint8_t *octets, size_t len, size_t ip, struct packet *packet);

/* Octets of the TCP or UDP header; 0 if it is not whole, or it is something else. */
size_t packet_transport_len(const uint8_t *octets, size_t len, const struct packet *packet);

/* One's complement sum of n octets, 16 bits of it, added to another. */
uint32_t packet_sum(const uint8_t *octets, size_t n, uint32_t sum);

/* That of the pseudo header, for a TCP or UDP packet of n octets. */
uint32_t packet_pseudo_sum(const uint8_t *octets, const struct packet *packet, size_t n);

/* Writes the checksum of an IPv4 header; nothing for IPv6. */
void packet_finish_ip(uint8_t *octets, const struct packet *packet);

/* Writes the checksum of TCP or UDP, for a packet that ends at len. */
void packet_finish_transport(uint8_t *octets, size_t len, const struct packet *packet);

#endif
