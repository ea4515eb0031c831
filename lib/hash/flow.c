/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One flow to its hash. Called for every received frame that does not come in a burst. Addresses and
 * ports are hashed where they stand in the packet.
 */
#include "hash/flow.h"

#include "hash/engine.h"

unsigned vionet_flow_report(const VionetFlow *flow, uint32_t hash_types)
{
    return choose_report(flow, hash_types);
}

const char *vionet_report_name(unsigned report)
{
    static const char *const names[] = {"NONE",  "IPv4",  "TCPv4",   "UDPv4",    "IPv6",
                                        "TCPv6", "UDPv6", "IPv6_EX", "TCPv6_EX", "UDPv6_EX"};

    return report < sizeof(names) / sizeof(names[0]) ? names[report] : names[0];
}

static const uint8_t no_ports[4];

uint32_t vionet_hash_flow(const VionetHashKey *key, const VionetFlow *flow, unsigned report)
{
    const uint8_t *ports = report_has_ports(report) ? flow->ports : no_ports;
    const uint8_t *src = flow->src;
    const uint8_t *dst = flow->dst;

    if (report == VIRTIO_NET_HASH_REPORT_NONE) {
        return 0;
    }
    if (flow->addr_len == 4) {
        return key->engine.v4(key->prepared, src, ports); /* dst follows src */
    }
    if (report_is_extended(report)) {
        src = flow->ex_src;
        dst = flow->ex_dst;
    }
    return key->engine.v6(key->prepared, src, dst, ports);
}
