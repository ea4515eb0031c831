/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frame to flow, in one bounded pass: Ethernet with up to two VLAN tags, IPv4 or IPv6 with extension
 * headers, at most one encapsulation and the inner packet, TCP or UDP ports (VIRTIO 1.4, 5.1.6.4.3
 * and 5.1.6.4.4; docs/hashing.md for what they leave open). Called for every received frame; the walk
 * below is for those that are not of a common shape (straight.h).
 *
 * Every step takes a cursor and an end and moves the cursor forward over octets that it has proved to
 * be there; the end only shrinks (frame end, then the IP length). So the walk is bounded by the frame
 * and a frame that is given in parts can be dissected by its first part alone, unless the flow comes
 * back short_of_octets.
 */
#include "hash/dissect.h"

#include "bytes.h"
#include "hash/straight.h"
#include "hash/tunnel.h"

#include <string.h>

#define ETHERTYPE_VLAN 0x8100
#define ETHERTYPE_QINQ 0x88a8
#define MAX_VLAN_TAGS  2

#define IPV4_MORE_OR_OFFSET 0x3fff /* MF and the fragment offset */
#define IPV6_MORE_OR_OFFSET 0xfff9

#define NEXT_HOP_BY_HOP  0
#define NEXT_ROUTING     43
#define NEXT_FRAGMENT    44
#define NEXT_AH          51
#define NEXT_DESTINATION 60
#define NEXT_MOBILITY    135
#define NEXT_HIP         139
#define NEXT_SHIM6       140

#define OPTION_PAD1         0
#define OPTION_HOME_ADDRESS 0xc9

static size_t left(const uint8_t *p, const uint8_t *end)
{
    return (size_t)(end - p);
}

/* The EtherType behind up to two tags and, in *p, what follows it; 0 if there is none. */
static uint16_t ethernet(const uint8_t **p, const uint8_t *end, bool *short_of_octets)
{
    const uint8_t *type_at;
    uint16_t type;

    if (left(*p, end) < ETHERNET_HEADER) {
        *short_of_octets = true;
        return 0;
    }
    type_at = *p + ETHERNET_HEADER - 2;
    type = get_be16(type_at);
    for (int tags = 0; type == ETHERTYPE_VLAN || type == ETHERTYPE_QINQ; tags++) {
        if (tags == MAX_VLAN_TAGS) {
            return 0;
        }
        if (left(type_at, end) < 6) {
            *short_of_octets = true;
            return 0;
        }
        type_at += 4;
        type = get_be16(type_at);
    }
    *p = type_at + 2;
    return type;
}

static void ipv4(const uint8_t *p, const uint8_t *end, VionetFlow *flow, struct payload *payload)
{
    size_t header;
    size_t total;

    if (left(p, end) < IPV4_HEADER) {
        flow->short_of_octets = true;
        return;
    }
    header = 4u * (p[0] & 0x0f);
    if (p[0] >> 4 != 4 || header < IPV4_HEADER) {
        return;
    }
    if (left(p, end) < header) {
        flow->short_of_octets = true;
        return;
    }
    total = get_be16(p + 2);
    flow->src = p + 12;
    flow->dst = p + 16;
    flow->addr_len = 4;
    if (get_be16(p + 6) & IPV4_MORE_OR_OFFSET) {
        return;
    }
    payload->protocol = p[9];
    payload->start = p + header;
    if (total == 0 || total >= left(p, end)) {
        payload->end = end; /* total 0: as captures before segmentation have it */
    } else {
        payload->end = total < header ? payload->start : p + total;
    }
}

/*
 * A home address option among the options of the destination options header [p, end). Each one
 * replaces the address, so the last counts (RFC 6275, 6.3 allows no second).
 */
static void find_home_address(const uint8_t *p, const uint8_t *end, VionetFlow *flow)
{
    p += 2;
    while (p < end) {
        if (*p == OPTION_PAD1) {
            p++;
            continue;
        }
        if (left(p, end) < 2 || left(p, end) < 2u + p[1]) {
            return;
        }
        if (p[0] == OPTION_HOME_ADDRESS && p[1] == 16) {
            flow->ex_src = p + 2;
        }
        p += 2 + p[1];
    }
}

/* Octets of the extension header of type next at p, as it says itself. */
static size_t extension_length(uint8_t next, const uint8_t *p)
{
    switch (next) {
    case NEXT_FRAGMENT:
        return 8;
    case NEXT_AH:
        return 4u * (p[1] + 2u);
    default:
        return 8u * (p[1] + 1u);
    }
}

static bool is_extension(uint8_t next)
{
    switch (next) {
    case NEXT_HOP_BY_HOP:
    case NEXT_ROUTING:
    case NEXT_FRAGMENT:
    case NEXT_AH:
    case NEXT_DESTINATION:
    case NEXT_MOBILITY:
    case NEXT_HIP:
    case NEXT_SHIM6:
        return true;
    default:
        return false;
    }
}

/* Walks the extension headers; leaves payload->protocol 0 at a fragment or a truncated header. */
static void ipv6_extensions(const uint8_t *p, const uint8_t *end, uint8_t next, VionetFlow *flow,
                            struct payload *payload)
{
    flow->ex_src = flow->src;
    flow->ex_dst = flow->dst;
    while (is_extension(next)) {
        size_t len;

        if (left(p, end) < 8 || left(p, end) < (len = extension_length(next, p))) {
            flow->short_of_octets = true;
            return;
        }
        if (next == NEXT_FRAGMENT && (get_be16(p + 2) & IPV6_MORE_OR_OFFSET)) {
            return;
        }
        if (next == NEXT_DESTINATION) {
            find_home_address(p, p + len, flow);
        }
        if (next == NEXT_ROUTING && p[1] == 2 && p[2] == 2 && p[3] == 1) {
            flow->ex_dst = p + 8;
        }
        next = p[0];
        p += len;
    }
    payload->protocol = next;
    payload->start = p;
    payload->end = end;
}

static void ipv6(const uint8_t *p, const uint8_t *end, VionetFlow *flow, struct payload *payload)
{
    size_t len;

    if (left(p, end) < IPV6_HEADER) {
        flow->short_of_octets = true;
        return;
    }
    if (p[0] >> 4 != 6) {
        return;
    }
    len = get_be16(p + 4);
    flow->src = p + 8;
    flow->dst = p + 24;
    flow->addr_len = 16;
    payload->ipv6 = true;
    if (len != 0 && len < left(p, end) - IPV6_HEADER) {
        end = p + IPV6_HEADER + len;
    }
    if (is_extension(p[6])) {
        ipv6_extensions(p + IPV6_HEADER, end, p[6], flow, payload);
        return;
    }
    payload->protocol = p[6];
    payload->start = p + IPV6_HEADER;
    payload->end = end;
}

/* The packet of EtherType type at p. A payload of protocol 0 is one that is not to be looked at. */
static void network(uint16_t type, const uint8_t *p, const uint8_t *end, VionetFlow *flow,
                    struct payload *payload)
{
    payload->protocol = 0;
    payload->ipv6 = false;
    if (type == ETHERTYPE_IPV4) {
        ipv4(p, end, flow, payload);
    } else if (type == ETHERTYPE_IPV6) {
        ipv6(p, end, flow, payload);
    }
}

static void transport(const struct payload *payload, VionetFlow *flow)
{
    size_t need = payload->protocol == PROTOCOL_TCP   ? TCP_HEADER
                  : payload->protocol == PROTOCOL_UDP ? UDP_HEADER
                                                      : 0;

    if (!need) {
        return;
    }
    if (left(payload->start, payload->end) < need) {
        flow->short_of_octets = true;
        return;
    }
    flow->ports = payload->start;
    flow->protocol = payload->protocol;
}

/* Starts the flow anew as the inner packet's. What the outer one lacked stays known. */
static void enter_tunnel(const struct inner *inner, const uint8_t *end, unsigned tunnels,
                         VionetFlow *flow, struct payload *payload)
{
    bool short_of_octets = flow->short_of_octets;
    const uint8_t *p = inner->start;
    uint16_t type = inner->type;

    memset(flow, 0, sizeof(*flow));
    flow->tunnels = (uint16_t)tunnels;
    flow->short_of_octets = short_of_octets;
    if (type == ETHERTYPE_ETHERNET) {
        type = ethernet(&p, end, &flow->short_of_octets);
    }
    network(type, p, end, flow, payload);
}

void dissect_general(const uint8_t *frame, size_t len, unsigned tunnels, VionetFlow *flow)
{
    const uint8_t *p = frame;
    struct payload payload;
    struct inner inner;
    const uint8_t *end;
    uint16_t type;

    memset(flow, 0, sizeof(*flow));
    if (len < ETHERNET_HEADER) { /* frame may be NULL with len 0 */
        flow->short_of_octets = true;
        return;
    }
    end = frame + len;
    type = ethernet(&p, end, &flow->short_of_octets);
    network(type, p, end, flow, &payload);
    if (tunnels && payload.protocol) {
        unsigned match = tunnel_match(&payload, &inner, &flow->short_of_octets);

        if (match & tunnels) {
            enter_tunnel(&inner, payload.end, match, flow, &payload);
        }
    }
    transport(&payload, flow);
}

void vionet_dissect(const uint8_t *frame, size_t len, unsigned tunnels, VionetFlow *flow)
{
    struct straight straight;

    if (dissect_straight(frame, len, tunnels, &straight)) {
        straight_flow(&straight, flow);
    } else {
        dissect_general(frame, len, tunnels, flow);
    }
}
