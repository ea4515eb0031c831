/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which hash type a flow takes (VIRTIO 1.4, 5.1.6.4.3), for flow.c and burst.c. Internal to lib/hash.
 */
#ifndef VIONET_HASH_FLOW_H
#define VIONET_HASH_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include <vionet/hash.h>
#include <vionet/spec.h>

#include "hash/tunnel.h"

/* Reports come in threes: addresses, addresses with TCP ports, addresses with UDP ports. */
enum { ADDRESSES, WITH_TCP, WITH_UDP };

/*
 * The report of TCP (protocol 6) or UDP with addresses of 4 or 16 octets. No branch: in traffic both
 * are random.
 */
static inline unsigned report_with_ports(unsigned addr_len, unsigned protocol)
{
    const unsigned is_v6 = addr_len >> 4;
    const unsigned is_tcp = protocol == PROTOCOL_TCP;

    return VIRTIO_NET_HASH_REPORT_IPv4 + WITH_UDP - (WITH_UDP - WITH_TCP) * is_tcp +
           (VIRTIO_NET_HASH_REPORT_IPv6 - VIRTIO_NET_HASH_REPORT_IPv4) * is_v6;
}

static inline bool report_enabled(uint32_t hash_types, unsigned report)
{
    return hash_types >> (report - 1) & 1;
}

static inline unsigned choose_report(const VionetFlow *flow, uint32_t hash_types)
{
    const unsigned base =
        flow->addr_len == 4 ? VIRTIO_NET_HASH_REPORT_IPv4 : VIRTIO_NET_HASH_REPORT_IPv6;
    const unsigned with_ports = report_with_ports(flow->addr_len, flow->protocol);
    const unsigned to_ex = VIRTIO_NET_HASH_REPORT_IPv6_EX - VIRTIO_NET_HASH_REPORT_IPv6;

    if (!flow->addr_len) {
        return VIRTIO_NET_HASH_REPORT_NONE;
    }
    if (flow->ex_src) {
        if (flow->ports && report_enabled(hash_types, with_ports + to_ex)) {
            return with_ports + to_ex;
        }
        if (report_enabled(hash_types, VIRTIO_NET_HASH_REPORT_IPv6_EX)) {
            return VIRTIO_NET_HASH_REPORT_IPv6_EX;
        }
    }
    if (flow->ports && report_enabled(hash_types, with_ports)) {
        return with_ports;
    }
    return report_enabled(hash_types, base) ? base : VIRTIO_NET_HASH_REPORT_NONE;
}

static inline bool report_is_extended(unsigned report)
{
    return report >= VIRTIO_NET_HASH_REPORT_IPv6_EX;
}

static inline bool report_has_ports(unsigned report)
{
    const unsigned all = 1u << VIRTIO_NET_HASH_REPORT_IPv4 | 1u << VIRTIO_NET_HASH_REPORT_IPv6 |
                         1u << VIRTIO_NET_HASH_REPORT_IPv6_EX;

    return !(all >> report & 1);
}

#endif
