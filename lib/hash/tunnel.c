/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Recognises encapsulations: GRE (RFC 2784, 2890, 7676), NVGRE (RFC 7637), VXLAN (RFC 7348),
 * VXLAN-GPE (draft-ietf-nvo3-vxlan-gpe-12), GENEVE (RFC 8926), IPv4 in IPv4 (RFC 2003) and GRE in
 * UDP (RFC 8086). Called by the dissector for the outer packet only (VIRTIO 1.4, 5.1.6.4.4).
 */
#include "hash/tunnel.h"

#include "bytes.h"

#include <vionet/hash.h>

#define UDP_TUNNEL_FIXED 8 /* VXLAN, VXLAN-GPE and GENEVE alike */

static bool fits(const uint8_t *p, const uint8_t *end, unsigned need, bool *short_of_octets)
{
    if ((uintptr_t)(end - p) >= need) {
        return true;
    }
    *short_of_octets = true;
    return false;
}

/* Length of a well-formed GRE header at p, 0 if there is none. */
static unsigned gre_length(const uint8_t *p, const uint8_t *end, bool *short_of_octets)
{
    unsigned len = 4;

    if (!fits(p, end, 4, short_of_octets) || (p[0] & (GRE_ROUTING | GRE_RFC1701)) ||
        (p[1] & GRE_VERSION)) {
        return 0;
    }
    len += (p[0] & GRE_CHECKSUM) ? 4 : 0;
    len += (p[0] & GRE_KEY) ? 4 : 0;
    len += (p[0] & GRE_SEQUENCE) ? 4 : 0;
    return fits(p, end, len, short_of_octets) ? len : 0;
}

static unsigned match_gre(const struct payload *payload, struct inner *inner, bool *short_of_octets)
{
    const uint8_t *p = payload->start;
    unsigned len = gre_length(p, payload->end, short_of_octets);
    unsigned tunnels = 0;

    if (!len) {
        return 0;
    }
    inner->start = p + len;
    inner->type = get_be16(p + 2);
    if (p[0] & (GRE_KEY | GRE_SEQUENCE)) {
        tunnels |= VIONET_TUNNEL_GRE_2890;
    } else if (!payload->ipv6) {
        tunnels |= VIONET_TUNNEL_GRE_2784;
    }
    if (payload->ipv6 || inner->type == ETHERTYPE_IPV6) {
        tunnels |= VIONET_TUNNEL_GRE_7676;
    }
    if ((p[0] & (GRE_CHECKSUM | GRE_KEY | GRE_SEQUENCE)) == GRE_KEY &&
        inner->type == ETHERTYPE_ETHERNET) {
        tunnels |= VIONET_TUNNEL_NVGRE;
    }
    return tunnels;
}

static unsigned match_gre_udp(const uint8_t *p, const uint8_t *end, struct inner *inner,
                              bool *short_of_octets)
{
    unsigned len = gre_length(p, end, short_of_octets);

    if (!len) {
        return 0;
    }
    inner->start = p + len;
    inner->type = get_be16(p + 2);
    return VIONET_TUNNEL_GRE_UDP;
}

static unsigned match_vxlan(const uint8_t *p, struct inner *inner)
{
    if (!(p[0] & VXLAN_INSTANCE)) {
        return 0;
    }
    inner->start = p + UDP_TUNNEL_FIXED;
    inner->type = ETHERTYPE_ETHERNET;
    return VIONET_TUNNEL_VXLAN;
}

static unsigned match_vxlan_gpe(const uint8_t *p, struct inner *inner)
{
    static const uint16_t next_protocol[] = {0, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_ETHERNET};

    if ((p[0] & (VXLAN_INSTANCE | VXLAN_GPE_VERSION)) != VXLAN_INSTANCE) {
        return 0;
    }
    inner->start = p + UDP_TUNNEL_FIXED;
    inner->type = ETHERTYPE_ETHERNET;
    if (p[0] & VXLAN_GPE_PROTOCOL) {
        inner->type = p[3] < 4 ? next_protocol[p[3]] : 0;
    }
    return VIONET_TUNNEL_VXLAN_GPE;
}

static unsigned match_geneve(const uint8_t *p, const uint8_t *end, struct inner *inner,
                             bool *short_of_octets)
{
    unsigned len = UDP_TUNNEL_FIXED + 4u * (p[0] & GENEVE_OPTIONS);

    if ((p[0] & GENEVE_VERSION) || !fits(p, end, len, short_of_octets)) {
        return 0;
    }
    inner->start = p + len;
    inner->type = get_be16(p + 2);
    return VIONET_TUNNEL_GENEVE;
}

static unsigned match_udp(const struct payload *payload, struct inner *inner, bool *short_of_octets)
{
    const uint8_t *p = payload->start + UDP_HEADER;
    unsigned port;

    if (!fits(payload->start, payload->end, UDP_HEADER, short_of_octets)) {
        return 0;
    }
    port = get_be16(payload->start + 2);
    if (port == PORT_GRE_UDP) {
        return match_gre_udp(p, payload->end, inner, short_of_octets);
    }
    if (port != PORT_VXLAN && port != PORT_VXLAN_GPE && port != PORT_GENEVE) {
        return 0;
    }
    if (!fits(p, payload->end, UDP_TUNNEL_FIXED, short_of_octets)) {
        return 0;
    }
    if (port == PORT_VXLAN) {
        return match_vxlan(p, inner);
    }
    if (port == PORT_GENEVE) {
        return match_geneve(p, payload->end, inner, short_of_octets);
    }
    return match_vxlan_gpe(p, inner);
}

unsigned tunnel_match(const struct payload *payload, struct inner *inner, bool *short_of_octets)
{
    switch (payload->protocol) {
    case PROTOCOL_UDP:
        return match_udp(payload, inner, short_of_octets);
    case PROTOCOL_GRE:
        return match_gre(payload, inner, short_of_octets);
    case PROTOCOL_IPIP:
        if (payload->ipv6) {
            return 0;
        }
        inner->start = payload->start;
        inner->type = ETHERTYPE_IPV4;
        return VIONET_TUNNEL_IPIP;
    default:
        return 0;
    }
}
