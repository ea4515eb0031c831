/* SPDX-License-Identifier: BSD-3-Clause */
/* See traffic.h. */
#include "traffic.h"

#include <string.h>

#include <vionet/spec.h>

#define N_MACS 8
#define SOURCE 6  /* where the source address stands */
#define TYPE   12 /* and behind it the Ethernet type */

static const uint8_t macs[N_MACS][6] = {
    {0x52, 0x54, 0x00, 0x12, 0x34, 0x56}, /* the device's at first */
    {0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
    {0x02, 0, 0, 0, 0, 0x0b},
    {0x02, 0, 0, 0, 0, 0x0c},
    {0x01, 0x00, 0x5e, 0, 0, 0x01},
    {0x33, 0x33, 0, 0, 0, 0x01},
    {0x02, 0, 0, 0, 0, 0x0d},
    {0, 0, 0, 0, 0, 0},
};

const uint8_t *traffic_mac(unsigned i)
{
    return macs[i % N_MACS];
}

bool traffic_serial(const uint8_t *octets, size_t len, uint32_t *serial)
{
    const uint8_t *source = octets + SOURCE;

    if (len < 14 || source[0] != 0x02 || source[1] != 0xf0) {
        return false;
    }
    *serial = (uint32_t)source[2] << 24 | (uint32_t)source[3] << 16 | (uint32_t)source[4] << 8 |
              source[5];
    return true;
}

/* ---- layers, appended to a frame ---- */

enum { TCP = 6, UDP = 17, IPIP = 4, IPV6 = 41, GRE = 47, DSTOPTS = 60 };

static void put(struct traffic_frame *traffic, const uint8_t *octets, size_t n)
{
    memcpy(traffic->octets + traffic->len, octets, n);
    traffic->len += n;
}

#define PUT(traffic, ...) \
    put(traffic, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void put_ip(struct traffic_frame *traffic, bool v6, uint8_t protocol, uint8_t ends)
{
    if (!v6) {
        PUT(traffic, 0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, ends, 10, 0, 1, ends);
        return;
    }
    PUT(traffic, 0x60, 0, 0, 0, 0, 0, protocol, 64);
    for (unsigned i = 0; i < 2; i++) {
        PUT(traffic, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, (uint8_t)i, ends);
    }
}

/* The lengths of an IP header at ip, and of the UDP header behind it, once the frame is whole. */
static void finish_ip(struct traffic_frame *traffic, size_t ip)
{
    uint8_t *header = traffic->octets + ip;
    const bool v6 = header[0] >> 4 == 6;
    const size_t len = traffic->len - ip - (v6 ? 40 : 0);
    const size_t behind = traffic->len - ip - (v6 ? 40 : 20);
    uint8_t *transport = header + (v6 ? 40 : 20);

    header[v6 ? 4 : 2] = (uint8_t)(len >> 8);
    header[v6 ? 5 : 3] = (uint8_t)len;
    if (header[v6 ? 6 : 9] == UDP) {
        transport[4] = (uint8_t)(behind >> 8);
        transport[5] = (uint8_t)behind;
    }
}

static void put_transport(struct traffic_frame *traffic, uint8_t protocol, uint8_t port)
{
    if (protocol == TCP) {
        PUT(traffic, 0, port, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 0, 0, 0, 0, 0, 0);
    } else {
        PUT(traffic, 0xc0, port, 0, 53, 0, 0, 0, 0);
    }
}

static void put_ethertype(struct traffic_frame *traffic, bool v6)
{
    PUT(traffic, v6 ? 0x86 : 8, v6 ? 0xdd : 0);
}

/* ---- frames ---- */

/* What is around the innermost IP packet. */
enum { PLAIN, VLAN, QINQ, VXLAN, GENEVE, GRE_IP, GRE_ETHERNET, IP_IN_IP, EXTENSION, OTHER, RAW };

struct place {
    size_t outer; /* of the outer IP header, 0: there is no tunnel */
    size_t outer_transport;
    size_t ip; /* of the innermost IP header, 0: there is none */
    size_t transport;
    bool v6;
    bool outer_v6;
    uint8_t protocol;
};

static void put_tunnel(struct traffic_frame *traffic, struct place *place, unsigned kind,
                       uint8_t ends)
{
    const bool udp = kind == VXLAN || kind == GENEVE;
    const uint16_t port = kind == VXLAN ? 4789 : 6081;

    place->outer = traffic->len;
    put_ip(traffic, place->outer_v6,
           udp                ? UDP
           : kind != IP_IN_IP ? GRE
           : place->v6        ? IPV6
                              : IPIP,
           ends ^ 0x80);
    place->outer_transport = traffic->len;
    if (udp) {
        PUT(traffic, 0xc0, 1, (uint8_t)(port >> 8), (uint8_t)port, 0, 0, 0, 0);
    }
    switch (kind) {
    case VXLAN:
        PUT(traffic, 8, 0, 0, 0, 0, 0, 7, 0);
        break;
    case GENEVE:
        PUT(traffic, 1, 0, 0x65, 0x58, 0, 0, 7, 0, 1, 2, 3, 0); /* with an option */
        break;
    case GRE_ETHERNET:
        PUT(traffic, 0x20, 0, 0x65, 0x58, 0, 0, 9, 0);
        break;
    case GRE_IP:
        PUT(traffic, 0, 0);
        put_ethertype(traffic, place->v6);
        return;
    default:
        return;
    }
    put(traffic, macs[2], 6);
    put(traffic, macs[3], 6);
    put_ethertype(traffic, place->v6);
}

static void put_around(struct traffic_frame *traffic, struct place *place, unsigned kind,
                       uint8_t ends)
{
    if (kind == VLAN || kind == QINQ) {
        if (kind == QINQ) {
            PUT(traffic, 0x88, 0xa8, 0, 5);
        }
        PUT(traffic, 0x81, 0, 0, ends & 7);
    }
    if (kind >= VXLAN && kind <= IP_IN_IP) {
        put_ethertype(traffic, place->outer_v6);
        put_tunnel(traffic, place, kind, ends);
    } else {
        put_ethertype(traffic, place->v6);
    }
}

static void put_payload(struct traffic_frame *traffic, size_t len, uint32_t serial)
{
    for (size_t i = 0; i < len; i++) {
        traffic->octets[traffic->len++] = (uint8_t)(serial + i);
    }
}

static void make_octets(struct input *input, uint32_t serial, struct traffic_frame *traffic,
                        struct place *place)
{
    const uint8_t how = input_8(input); /* 0x0f what is around, 0x10 and 0x20 IPv6, 0x40 UDP */
    const uint8_t where = input_8(input);
    const uint8_t payload = input_8(input);
    const unsigned kind = (how & 15) % (RAW + 1);

    place->v6 = how & 0x10;
    place->outer_v6 = how & 0x20;
    place->protocol = how & 0x40 ? UDP : TCP;
    put(traffic, macs[where & 7], 6);
    PUT(traffic, 0x02, 0xf0, (uint8_t)(serial >> 24), (uint8_t)(serial >> 16),
        (uint8_t)(serial >> 8), (uint8_t)serial);
    if (kind == RAW || kind == OTHER) {
        size_t n = payload;
        const uint8_t *octets = input_take(input, &n);

        if (kind == OTHER) {
            PUT(traffic, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1);
        }
        if (n) {
            put(traffic, octets, n);
        }
        return;
    }
    put_around(traffic, place, kind, where >> 3);
    place->ip = traffic->len;
    if (kind == EXTENSION && place->v6) {
        put_ip(traffic, true, DSTOPTS, where >> 3);
        PUT(traffic, place->protocol, 0, 1, 4, 0, 0, 0, 0);
    } else {
        put_ip(traffic, place->v6, place->protocol, where >> 3);
    }
    place->transport = traffic->len;
    put_transport(traffic, place->protocol, payload);
    put_payload(traffic, payload < 200 ? payload : 200 + (payload - 200u) * 60, serial);
    if (kind != EXTENSION) {
        finish_ip(traffic, place->ip);
    }
    if (place->outer) {
        finish_ip(traffic, place->outer);
    }
}

static void offload_segments(VionetFrame *frame, const struct place *place, uint8_t how)
{
    frame->gso_type = place->protocol == UDP ? VIRTIO_NET_HDR_GSO_UDP_L4
                      : place->v6            ? VIRTIO_NET_HDR_GSO_TCPV6
                                             : VIRTIO_NET_HDR_GSO_TCPV4;
    if (place->protocol == UDP && (how & 0x10)) {
        frame->gso_type = VIRTIO_NET_HDR_GSO_UDP;
    }
    if (place->protocol == TCP && (how & 0x10)) {
        frame->gso_type |= VIRTIO_NET_HDR_GSO_ECN;
    }
    frame->gso_size = (uint16_t)(16 + 8 * (how >> 5));
    frame->hdr_len = (uint16_t)(place->transport + (place->protocol == UDP ? 8 : 20));
    if (place->outer) {
        frame->gso_type |= place->outer_v6 ? VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV6
                                           : VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV4;
        frame->outer_th_offset = (uint16_t)place->outer_transport;
        frame->inner_nh_offset = (uint16_t)place->ip;
        frame->flags |= how & 0x20 ? VIRTIO_NET_HDR_F_UDP_TUNNEL_CSUM : 0;
    }
}

/* A device that completes a checksum where the serial number is would make another frame of it. */
static void spare_serial(VionetFrame *frame)
{
    const unsigned at = frame->csum_start + frame->csum_offset;

    if (at + 2 > SOURCE && at < TYPE) {
        frame->csum_offset = (uint16_t)(frame->csum_offset + TYPE);
    }
}

/* how: 0x03 none, a checksum, segments, or any at all */
static void make_offloads(struct input *input, struct traffic_frame *traffic,
                          const struct place *place)
{
    const uint8_t how = input_8(input);
    VionetFrame *frame = &traffic->frame;

    if ((how & 3) == 3) {
        frame->flags = input_8(input);
        frame->gso_type = input_8(input);
        frame->hdr_len = (uint16_t)input_edgy(input, (uint32_t)traffic->len);
        frame->gso_size = (uint16_t)input_edgy(input, 1);
        frame->csum_start = (uint16_t)input_edgy(input, (uint32_t)traffic->len);
        frame->csum_offset = (uint16_t)input_edgy(input, 16);
        frame->outer_th_offset = (uint16_t)input_edgy(input, 34);
        frame->inner_nh_offset = (uint16_t)input_edgy(input, 70);
        spare_serial(frame);
        traffic->odd = true;
    } else if ((how & 3) && place->transport) {
        frame->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        frame->csum_start = (uint16_t)place->transport;
        frame->csum_offset = place->protocol == UDP ? 6 : 16;
        traffic->odd = place->outer != 0;
        if (how & 2) {
            offload_segments(frame, place, how);
        }
    }
}

void traffic_make(struct input *input, uint32_t serial, struct traffic_frame *traffic)
{
    struct place place = {0};
    size_t at = 0;
    unsigned cuts;

    traffic->len = 0;
    traffic->odd = false;
    traffic->frame = (VionetFrame){.iov = traffic->pieces};
    make_octets(input, serial, traffic, &place);
    make_offloads(input, traffic, &place);
    cuts = input_8(input);
    for (unsigned i = 0; i + 1 < TRAFFIC_PIECES && cuts >> 4 * i; i++) {
        const size_t part = (cuts >> 4 * i & 15) * 7u;

        if (part && part < traffic->len - at) {
            traffic->pieces[traffic->frame.n_iov++] = (struct iovec){traffic->octets + at, part};
            at += part;
        }
    }
    traffic->pieces[traffic->frame.n_iov++] =
        (struct iovec){traffic->octets + at, traffic->len - at};
    traffic->frame.len = (uint32_t)traffic->len;
}

/* The sum of all behind the start, the checksum included, is then that of nothing. */
static bool checksum_right(const uint8_t *octets, size_t len, size_t start)
{
    uint32_t sum = 0;

    for (size_t i = start; i < len; i++) {
        sum += (i - start) % 2 ? octets[i] : (uint32_t)octets[i] << 8;
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum == 0xffff;
}

bool traffic_same(const struct traffic_frame *sent, const uint8_t *octets, size_t len,
                  bool completed)
{
    const size_t start = sent->frame.csum_start;
    const size_t at = start + sent->frame.csum_offset;

    if (len != sent->len) {
        return false;
    }
    if (!completed || at + 2 > len) {
        return memcmp(octets, sent->octets, len) == 0;
    }
    return memcmp(octets, sent->octets, at) == 0 &&
           memcmp(octets + at + 2, sent->octets + at + 2, len - at - 2) == 0 &&
           (sent->odd || checksum_right(octets, len, start));
}
