/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the dissector's passes and the tunnel recogniser say to each other, and the numbers that they
 * know packets by. Internal to lib/hash.
 */
#ifndef VIONET_HASH_TUNNEL_H
#define VIONET_HASH_TUNNEL_H

#include <stdbool.h>
#include <stdint.h>

#define ETHERTYPE_IPV4     0x0800
#define ETHERTYPE_IPV6     0x86dd
#define ETHERTYPE_ETHERNET 0x6558 /* transparent Ethernet bridging, inside GRE and GENEVE */

#define ETHERNET_HEADER 14
#define IPV4_HEADER     20
#define IPV6_HEADER     40
#define TCP_HEADER      20
#define UDP_HEADER      8

#define PROTOCOL_IPIP 4
#define PROTOCOL_TCP  6
#define PROTOCOL_UDP  17
#define PROTOCOL_GRE  47

#define PORT_VXLAN     4789
#define PORT_VXLAN_GPE 4790
#define PORT_GENEVE    6081
#define PORT_GRE_UDP   4754

#define GRE_CHECKSUM 0x80
#define GRE_ROUTING  0x40
#define GRE_KEY      0x20
#define GRE_SEQUENCE 0x10
#define GRE_RFC1701  0x0c /* strict source route and the first recursion bit: must be discarded */
#define GRE_VERSION  0x07

#define VXLAN_INSTANCE     0x08
#define VXLAN_GPE_VERSION  0x30
#define VXLAN_GPE_PROTOCOL 0x04

#define GENEVE_VERSION 0xc0
#define GENEVE_OPTIONS 0x3f /* their length in words */

/* An IP packet's payload, after all that the walk over its headers has skipped. */
struct payload {
    const uint8_t *start;
    const uint8_t *end;
    uint8_t protocol; /* 0 where there is nothing to look at: a fragment, a truncated header */
    bool ipv6;        /* of the packet that carries it */
};

/* Where a tunnel leads: what stands at start is of EtherType type, 0 for "not IP". */
struct inner {
    const uint8_t *start;
    uint16_t type;
};

/*
 * The encapsulations that the payload of an outer packet is of (VIONET_TUNNEL_*; 0 if none). If not
 * 0, inner is filled in. Sets *short_of_octets if a header that began did not fit.
 */
unsigned tunnel_match(const struct payload *payload, struct inner *inner, bool *short_of_octets);

#endif
