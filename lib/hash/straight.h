/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The common shapes in a straight line: TCP or UDP over IPv4 without options or IPv6
 * without extension headers, plain or inside VXLAN, GENEVE or GRE, no VLAN tags, nothing fragmented or
 * cut. All else goes to the general pass (dissect.c), which gives the same flow for these frames too.
 *
 * The IP version and TCP or UDP are values here, not branches: in ordinary traffic each would be a coin's
 * toss, and to guess wrong costs more than all of the arithmetic. The branches left are the kind of
 * tunnel and those that lead away, which are hardly ever taken.
 *
 * As in the general pass an octet is looked at only after it was proved to be there. Inline, for
 * dissect.c and burst.c. Internal to lib/hash.
 */
#ifndef VIONET_HASH_STRAIGHT_H
#define VIONET_HASH_STRAIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vionet/hash.h>

#include "bytes.h"
#include "hash/tunnel.h"

#define NEXT_AT_LEAST 8 /* octets that any payload looked at here has */

#define unlikely(condition) __builtin_expect(condition, 0)

/* v, of which the compiler is to make no branch. */
static inline unsigned value(unsigned v)
{
    __asm__("" : "+r"(v));
    return v;
}

/* What is left of a frame, or of a packet in it. */
struct span {
    const uint8_t *p;
    size_t n;
};

static inline struct span after(struct span span, size_t n)
{
    return (struct span){span.p + n, span.n - n};
}

struct packet {
    struct span payload; /* at least NEXT_AT_LEAST octets */
    unsigned protocol;
    size_t ipv6; /* 1 or 0 */
};

/* What stands on the wire as v, loaded little-endian. */
#define WIRE16(v) (((v)&0xffu) << 8 | (v) >> 8)

/*
 * The IP packet in span, of IPV4_HEADER + NEXT_AT_LEAST octets or more; start is its EtherType and its
 * first octet, loaded little-endian. False if it is not one of the common shapes. Both versions have
 * fragment and protocol among the four octets at 6, other octets of them, and the length at 2 or 4; all
 * that differs is computed from ipv6.
 */
static inline bool read_ip(struct packet *packet, uint32_t start, struct span span)
{
    const uint8_t *p = span.p;
    const uint32_t word = get_le32(p + 6);
    const unsigned is_v6 = (start & 0xf0ffff) == (WIRE16(ETHERTYPE_IPV6) | 0x60u << 16);
    const unsigned is_v4 = start == (WIRE16(ETHERTYPE_IPV4) | 0x45u << 16);
    const size_t ipv6 = value(is_v6);
    const size_t header = IPV4_HEADER + (IPV6_HEADER - IPV4_HEADER) * ipv6;
    size_t total;

    if (unlikely(!value(is_v4 | (unsigned)ipv6)) ||
        unlikely(word & 0xff3f & (ipv6 - 1))) { /* IPv4: more fragments, and the offset */
        return false;
    }
    total = get_be16(p + 2 + 2 * ipv6) + IPV6_HEADER * ipv6;
    if (unlikely(total > span.n) || unlikely(total < header + NEXT_AT_LEAST)) {
        return false;
    }
    packet->payload.p = p + header;
    packet->payload.n = total - header;
    packet->protocol = word >> ((ipv6 - 1) & 24) & 0xff; /* IPv4: the last of the four */
    packet->ipv6 = ipv6;
    return true;
}

/* A tunnel's header, and what it leads to. */
struct tunnel {
    unsigned tunnels; /* VIONET_TUNNEL_*, 0 for none */
    unsigned type;    /* EtherType of the inner packet, loaded little-endian */
    size_t skip;      /* octets from the outer payload to it, not proved to be there */
};

/* Words of checksum, key and sequence number that a GRE header's upper four flags announce. */
static const uint8_t gre_words[16] = {0, 1, 1, 2, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3};

static inline bool read_gre(struct tunnel *tunnel, const uint8_t *p, size_t outer_ipv6)
{
    const unsigned flags = p[0];
    const unsigned type = get_le16(p + 2);

    if (unlikely((flags & (GRE_ROUTING | GRE_RFC1701)) | (p[1] & GRE_VERSION))) {
        return false;
    }
    tunnel->type = type;
    tunnel->skip = 4;
    tunnel->tunnels =
        VIONET_TUNNEL_GRE_7676 * ((unsigned)outer_ipv6 | (type == WIRE16(ETHERTYPE_IPV6)));
    if (flags & (GRE_KEY | GRE_SEQUENCE)) {
        tunnel->tunnels |= VIONET_TUNNEL_GRE_2890;
    } else {
        tunnel->tunnels |= VIONET_TUNNEL_GRE_2784 * !outer_ipv6;
    }
    if (flags) {
        tunnel->skip += 4u * gre_words[flags >> 4];
        if ((flags & (GRE_CHECKSUM | GRE_KEY | GRE_SEQUENCE)) == GRE_KEY &&
            type == WIRE16(ETHERTYPE_ETHERNET)) {
            tunnel->tunnels |= VIONET_TUNNEL_NVGRE;
        }
    }
    return true;
}

/* VXLAN or GENEVE, the payload of UDP datagrams to port. */
static inline bool read_udp(struct tunnel *tunnel, unsigned port, struct span span)
{
    const uint8_t *p = span.p;

    if (unlikely(span.n < NEXT_AT_LEAST)) {
        return false;
    }
    tunnel->skip = UDP_HEADER + 8;
    if (port == PORT_VXLAN) {
        tunnel->tunnels = VIONET_TUNNEL_VXLAN;
        tunnel->type = WIRE16(ETHERTYPE_ETHERNET);
        return p[0] & VXLAN_INSTANCE;
    }
    tunnel->tunnels = VIONET_TUNNEL_GENEVE;
    tunnel->type = get_le16(p + 2);
    tunnel->skip += 4u * (p[0] & GENEVE_OPTIONS);
    return !(p[0] & GENEVE_VERSION);
}

/* The tunnel that the outer packet is, or none; false if that is for the general pass to say. */
static inline bool read_tunnel(struct tunnel *tunnel, const struct packet *outer)
{
    unsigned port;

    if (outer->protocol == PROTOCOL_GRE) {
        return read_gre(tunnel, outer->payload.p, outer->ipv6);
    }
    if (outer->protocol == PROTOCOL_UDP) {
        port = get_be16(outer->payload.p + 2);
        if (port == PORT_VXLAN || port == PORT_GENEVE) {
            return read_udp(tunnel, port, after(outer->payload, UDP_HEADER));
        }
        return port != PORT_VXLAN_GPE && port != PORT_GRE_UDP;
    }
    return outer->protocol != PROTOCOL_IPIP;
}

/* The packet in the tunnel instead of the outer one. */
static inline bool straight_enter(struct packet *packet, const struct tunnel *tunnel)
{
    const bool ethernet = tunnel->type == WIRE16(ETHERTYPE_ETHERNET);
    const size_t skip = tunnel->skip + (ethernet ? ETHERNET_HEADER : 0);
    struct span span;
    uint32_t start;

    if (unlikely(packet->payload.n < skip + IPV4_HEADER + NEXT_AT_LEAST)) {
        return false;
    }
    span = after(packet->payload, skip);
    if (ethernet) {
        start = get_le32(span.p - 2) & 0xffffff;
    } else {
        start = tunnel->type | (uint32_t)span.p[0] << 16;
    }
    return read_ip(packet, start, span);
}

/* The packet of a frame that is to be hashed, TCP or UDP. */
struct straight {
    const uint8_t *ports;
    unsigned
        addr_len; /* before the ports: source and destination are the end of either IP header */
    unsigned protocol;
    unsigned tunnels;
};

static inline bool straight_transport(struct straight *straight, const struct packet *packet,
                                      unsigned tunnels)
{
    const unsigned tcp = value(packet->protocol == PROTOCOL_TCP);
    const unsigned udp = value(packet->protocol == PROTOCOL_UDP);

    if (unlikely(!(tcp | udp)) ||
        unlikely(packet->payload.n < UDP_HEADER + (TCP_HEADER - UDP_HEADER) * tcp)) {
        return false;
    }
    straight->ports = packet->payload.p;
    straight->addr_len = 4 + 12 * (unsigned)packet->ipv6;
    straight->protocol = packet->protocol;
    straight->tunnels = tunnels;
    return true;
}

/* False if the frame is not of a common shape; the general pass is to look at it then. */
static inline bool dissect_straight(const uint8_t *frame, size_t len, unsigned tunnels,
                                    struct straight *straight)
{
    struct tunnel tunnel = {0};
    struct packet packet;

    if (unlikely(len < ETHERNET_HEADER + IPV4_HEADER + NEXT_AT_LEAST) ||
        !read_ip(&packet, get_le32(frame + ETHERNET_HEADER - 2) & 0xffffff,
                 after((struct span){frame, len}, ETHERNET_HEADER))) {
        return false;
    }
    if (tunnels && !read_tunnel(&tunnel, &packet)) {
        return false;
    }
    if (!(tunnel.tunnels & tunnels)) {
        /* A tunnel's header that is cut counts even where its tunnel does not: short_of_octets. */
        return packet.payload.n >= tunnel.skip && straight_transport(straight, &packet, 0);
    }
    return straight_enter(&packet, &tunnel) &&
           straight_transport(straight, &packet, tunnel.tunnels);
}

/* What the general pass makes of such a frame. */
static inline void straight_flow(const struct straight *straight, VionetFlow *flow)
{
    flow->ports = straight->ports;
    flow->dst = flow->ports - straight->addr_len;
    flow->src = flow->dst - straight->addr_len;
    flow->ex_src = NULL;
    flow->ex_dst = NULL;
    flow->addr_len = (uint8_t)straight->addr_len;
    flow->protocol = (uint8_t)straight->protocol;
    flow->short_of_octets = false;
    flow->tunnels = (uint16_t)straight->tunnels;
}

#undef unlikely

#endif
