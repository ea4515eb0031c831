/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Segmentation in software; see segment.h. Called by pump.c.
 *
 *     headers                      payload
 *     Ethernet, VLAN, IP, TCP      its octets                      TCPV4, TCPV6
 *     Ethernet, VLAN, IP, UDP      its octets                      UDP_L4
 *     Ethernet, VLAN, IP           UDP and its octets              UDP (fragments)
 *     ... IP, UDP, tunnel, ... IP, TCP or UDP      its octets      with a tunnel bit
 *
 * Each segment gets the headers and one piece of the payload; then the headers are made to fit,
 * from the innermost outwards. How long the packet is, the frame says, not the IP header: that is
 * what Linux does with what its own guests send.
 */
#include "segment.h"

#include <string.h>

#define VIONET_SPEC_NO_STRUCTS
#include <vionet/spec.h>

#include "checksum.h"

#define GSO_TUNNEL (VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV4 | VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV6)

#define ETHERNET_LEN 14
#define MAX_VLANS    2
#define IPV6_LEN     40
#define UDP_LEN      8
#define FRAGMENT_LEN 8
#define MAX_LENGTH   65535 /* that 16 bits can say */

enum { HOP_BY_HOP = 0, TCP = 6, UDP = 17, ROUTING = 43, FRAGMENT = 44, DESTINATION = 60 };

/* Options of IPv6 with which lengths or addresses stand elsewhere. */
enum { OPTION_JUMBO = 0xc2, OPTION_HOME_ADDRESS = 0xc9 };

enum { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PSH = 8, TCP_URG = 32, TCP_CWR = 128 };

/* ---- Checksums ---- */

/* The pseudo header of a packet of len octets at ip. */
static uint64_t sum_pseudo_of(const uint8_t *headers, const struct segment_ip *ip, size_t len)
{
    return sum_pseudo(headers + ip->at, ip->v6, ip->protocol, len);
}

static unsigned checksum_offset(const struct segment_ip *ip)
{
    return ip->protocol == TCP ? 16 : 6;
}

/* RFC 768: a sum of zero is sent as its other form, zero itself says that there is none. */
static void put_transport_checksum(uint8_t *field, const struct segment_ip *ip, uint64_t sum)
{
    put_checksum(field, sum);
    if (ip->protocol == UDP && field[0] == 0 && field[1] == 0) {
        field[0] = field[1] = 0xff;
    }
}

/* ---- Reading the frame ---- */

static size_t frame_octets(const VionetFrame *frame)
{
    size_t len = 0;

    for (unsigned i = 0; i < frame->n_iov; i++) {
        len += frame->iov[i].iov_len;
    }
    return len;
}

/* The next octets that lie in one range, at most max; there are some. Moves past them. */
static const uint8_t *next_octets(struct segmenter *s, size_t max, size_t *n)
{
    const uint8_t *octets;

    while (s->rest.iov_len == 0) {
        s->rest = *s->iov++;
        s->n_iov--;
    }
    octets = s->rest.iov_base;
    *n = MIN(s->rest.iov_len, max);
    s->rest.iov_base = (uint8_t *)s->rest.iov_base + *n;
    s->rest.iov_len -= *n;
    return octets;
}

static void read_octets(struct segmenter *s, uint8_t *buf, size_t len)
{
    while (len > 0) {
        size_t n;
        const uint8_t *octets = next_octets(s, len, &n);

        memcpy(buf, octets, n);
        buf += n;
        len -= n;
    }
}

/* Moves the next len octets of payload to buf. */
static void take_payload(struct segmenter *s, uint8_t *buf, size_t len)
{
    const size_t at = s->n_headers + s->done;
    const size_t copied = at < s->n_copied ? MIN(s->n_copied - at, len) : 0;

    memcpy(buf, s->headers + MIN(at, s->n_copied), copied);
    read_octets(s, buf + copied, len - copied);
    s->done += (uint32_t)len;
}

/* ---- Parsing headers: all of it on the copy ---- */

/* Whether an options header of IPv6 has one of a kind that we could not do justice to. */
static bool has_unfit_options(const uint8_t *options, size_t len)
{
    for (size_t i = 0; i < len;) {
        const uint8_t type = options[i];

        if (type == OPTION_JUMBO || type == OPTION_HOME_ADDRESS) {
            return true;
        }
        if (type == 0) { /* Pad1 has no length */
            i++;
        } else if (i + 1 < len) {
            i += 2u + options[i + 1];
        } else {
            return true;
        }
    }
    return false;
}

/* An extension header at offset at; its length, 0 if it does not fit or is not one to pass. */
static size_t extension_len(const struct segmenter *s, uint8_t type, size_t at)
{
    size_t len;

    if (s->n_copied - at < 8) {
        return 0;
    }
    len = 8 + 8 * (size_t)s->headers[at + 1];
    if (len > s->n_copied - at) {
        return 0;
    }
    if (type == ROUTING) { /* with segments left, the checksum would be over another address */
        return s->headers[at + 3] == 0 ? len : 0;
    }
    return has_unfit_options(s->headers + at + 2, len - 2) ? 0 : len;
}

static bool parse_ipv6(const struct segmenter *s, size_t at, struct segment_ip *ip)
{
    size_t next_at = at + 6;
    size_t transport = at + IPV6_LEN;

    if (s->n_copied - at < IPV6_LEN) {
        return false;
    }
    ip->fragment = (uint16_t)transport;
    ip->fragment_next = (uint16_t)next_at;
    for (;;) {
        const uint8_t type = s->headers[next_at];
        size_t len;

        if (type != HOP_BY_HOP && type != ROUTING && type != DESTINATION) {
            ip->protocol = type;
            ip->transport = (uint16_t)transport;
            return true;
        }
        len = extension_len(s, type, transport);
        if (len == 0) {
            return false;
        }
        next_at = transport;
        transport += len;
        if (type != DESTINATION) { /* RFC 8200, 4.5: the per-fragment headers */
            ip->fragment = (uint16_t)transport;
            ip->fragment_next = (uint16_t)next_at;
        }
    }
}

static bool parse_ipv4(const struct segmenter *s, size_t at, struct segment_ip *ip)
{
    const uint8_t *header = s->headers + at;
    size_t len;

    if (s->n_copied - at < 20) {
        return false;
    }
    len = 4 * (size_t)(header[0] & 0xf);
    if (len < 20 || len > s->n_copied - at || (get_be16(header + 6) & 0x3fff)) {
        return false; /* or a fragment already */
    }
    ip->protocol = header[9];
    ip->transport = ip->fragment = (uint16_t)(at + len);
    return true;
}

static bool parse_ip(const struct segmenter *s, size_t at, struct segment_ip *ip)
{
    if (at >= s->n_copied) {
        return false;
    }
    ip->at = (uint16_t)at;
    ip->v6 = s->headers[at] >> 4 == 6;
    if (ip->v6) {
        return parse_ipv6(s, at, ip);
    }
    return s->headers[at] >> 4 == 4 && parse_ipv4(s, at, ip);
}

/* The IP header behind Ethernet and VLAN tags. */
static bool parse_ethernet(const struct segmenter *s, struct segment_ip *ip)
{
    size_t at = ETHERNET_LEN;
    uint16_t type;

    for (unsigned tags = 0;; tags++, at += 4) {
        if (at > s->n_copied) {
            return false;
        }
        type = get_be16(s->headers + at - 2);
        if ((type != 0x8100 && type != 0x88a8) || tags == MAX_VLANS) {
            break;
        }
    }
    return parse_ip(s, at, ip) && type == (ip->v6 ? 0x86dd : 0x0800);
}

/* Inside a tunnel, whose own header may be anything: the driver has to say where it ends. */
static bool parse_tunnel(struct segmenter *s, const VionetFrame *frame)
{
    const struct segment_ip *outer = &s->outer;

    if (!parse_ethernet(s, &s->outer) || outer->protocol != UDP ||
        outer->transport != frame->outer_th_offset ||
        frame->inner_nh_offset < outer->transport + UDP_LEN ||
        !parse_ip(s, frame->inner_nh_offset, &s->ip)) {
        return false;
    }
    s->tunnel = true;
    s->outer_checksum = (frame->flags & VIRTIO_NET_HDR_F_UDP_TUNNEL_CSUM) ||
                        get_be16(s->headers + outer->transport + 6) != 0;
    return true;
}

/* Where the payload begins behind TCP or UDP; 0 if their header does not fit. */
static size_t transport_end(const struct segmenter *s)
{
    const size_t at = s->ip.transport;
    size_t len = UDP_LEN;

    if (s->ip.protocol == TCP) {
        if (s->n_copied - at < 20) {
            return 0;
        }
        len = 4 * (size_t)(s->headers[at + 12] >> 4);
        if (len < 20) {
            return 0;
        }
    }
    return len > s->n_copied - at ? 0 : at + len;
}

static bool type_fits(const struct segmenter *s, uint8_t gso_type)
{
    switch (gso_type & ~(GSO_TUNNEL | VIRTIO_NET_HDR_GSO_ECN)) {
    case VIRTIO_NET_HDR_GSO_TCPV4:
        return s->ip.protocol == TCP && !s->ip.v6;
    case VIRTIO_NET_HDR_GSO_TCPV6:
        return s->ip.protocol == TCP && s->ip.v6;
    case VIRTIO_NET_HDR_GSO_UDP_L4:
        return s->ip.protocol == UDP;
    case VIRTIO_NET_HDR_GSO_UDP:
        return s->ip.protocol == UDP && !s->tunnel;
    default:
        return false;
    }
}

/* ---- Beginning ---- */

/* The headers of what becomes fragments: a whole datagram, with length and checksum. */
static void finish_datagram(struct segmenter *s, size_t len)
{
    struct segmenter reader = *s; /* to read the payload for the first time */
    uint8_t *udp = s->headers + s->ip.transport;
    size_t at = s->n_copied - s->ip.transport;
    const size_t udp_len = len - s->ip.transport;
    uint64_t sum;

    put_be16(udp + 4, udp_len);
    put_be16(udp + 6, 0);
    sum = sum_pseudo_of(s->headers, &s->ip, udp_len) + sum_octets(udp, at);
    while (at < udp_len) {
        size_t n;
        const uint8_t *octets = next_octets(&reader, udp_len - at, &n);

        sum += at % 2 ? sum_odd(octets, n) : sum_octets(octets, n);
        at += n;
    }
    put_transport_checksum(udp + 6, &s->ip, sum);
}

/* Fragments carry multiples of 8 octets; a datagram that fits into one stays whole. */
static bool begin_fragments(struct segmenter *s, size_t len)
{
    if (len - s->ip.at > MAX_LENGTH) {
        return false;
    }
    finish_datagram(s, len);
    s->n_headers = s->ip.fragment;
    if (len - s->n_headers > s->size) {
        s->fragments = true;
        s->size &= ~7u;
    }
    return s->size > 0;
}

/* What is of no use in several packets. */
static bool may_be_repeated(const struct segmenter *s)
{
    return s->ip.protocol != TCP || !(s->headers[s->ip.transport + 13] & (TCP_SYN | TCP_RST));
}

/* How many segments there will be; false if they would be too many or too long. */
static bool count_segments(struct segmenter *s, size_t len)
{
    const size_t first_ip = s->tunnel ? s->outer.at : s->ip.at;

    s->payload = (uint32_t)(len - s->n_headers);
    s->n = s->payload == 0 ? 1 : (s->payload + s->size - 1) / s->size;
    return s->n <= SEGMENT_MOST && (s->n == 1 || may_be_repeated(s)) &&
           s->n_headers - first_ip + MIN(s->size, s->payload) + FRAGMENT_LEN <= MAX_LENGTH;
}

bool segment_begin(struct segmenter *s, const VionetFrame *frame, uint32_t ident)
{
    const size_t len = frame_octets(frame);
    const uint8_t tunnel = frame->gso_type & GSO_TUNNEL;

    memset(s, 0, offsetof(struct segmenter, headers));
    if (len < ETHERNET_LEN || len > UINT32_MAX / 2 || frame->gso_size == 0 ||
        tunnel == GSO_TUNNEL) {
        return false;
    }
    s->iov = frame->iov;
    s->n_iov = frame->n_iov;
    s->size = frame->gso_size;
    s->ident = ident;
    s->n_copied = (uint16_t)MIN(len, SEGMENT_MAX_HEADERS);
    read_octets(s, s->headers, s->n_copied);
    if (!(tunnel ? parse_tunnel(s, frame) : parse_ethernet(s, &s->ip)) ||
        !type_fits(s, frame->gso_type)) {
        return false;
    }
    s->n_headers = (uint16_t)transport_end(s);
    if (s->n_headers == 0) {
        return false;
    }
    if ((frame->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) == VIRTIO_NET_HDR_GSO_UDP &&
        !begin_fragments(s, len)) {
        return false;
    }
    return count_segments(s, len);
}

/* ---- Making segments ---- */

static size_t next_payload(const struct segmenter *s)
{
    return MIN(s->payload - s->done, s->size);
}

static size_t fragment_header_len(const struct segmenter *s)
{
    return s->fragments && s->ip.v6 ? FRAGMENT_LEN : 0;
}

size_t segment_len(const struct segmenter *s)
{
    return s->index == s->n ? 0 : s->n_headers + fragment_header_len(s) + next_payload(s);
}

static void fit_ip(const struct segmenter *s, uint8_t *segment, size_t len,
                   const struct segment_ip *ip)
{
    uint8_t *header = segment + ip->at;

    if (ip->v6) {
        put_be16(header + 4, len - ip->at - IPV6_LEN);
        return;
    }
    put_be16(header + 2, len - ip->at);
    if (!s->fragments) { /* which share one */
        put_be16(header + 4, (get_be16(header + 4) + s->index) & 0xffff);
    }
    put_be16(header + 10, 0);
    put_checksum(header + 10, sum_octets(header, 4 * (size_t)(header[0] & 0xf)));
}

/* Offset is that of the segment's payload in the frame's. */
static void fit_tcp(const struct segmenter *s, uint8_t *tcp, uint32_t offset)
{
    const uint16_t urgent = get_be16(tcp + 18);

    put_be32(tcp + 4, get_be32(tcp + 4) + offset);
    if (s->index > 0) {
        tcp[13] &= (uint8_t)~TCP_CWR;
        if ((tcp[13] & TCP_URG) && urgent > offset) { /* it counts from the sequence number */
            put_be16(tcp + 18, urgent - offset);
        } else {
            tcp[13] &= (uint8_t)~TCP_URG;
            put_be16(tcp + 18, 0);
        }
    }
    if (s->index + 1 < s->n) {
        tcp[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
    }
}

/* UDP or TCP at ip, of a segment of len octets that is finished from there on but for them. */
static void fit_transport(uint8_t *segment, size_t len, const struct segment_ip *ip, bool checksum)
{
    uint8_t *header = segment + ip->transport;
    uint8_t *field = header + checksum_offset(ip);
    const size_t transport_len = len - ip->transport;

    if (ip->protocol == UDP) {
        put_be16(header + 4, transport_len);
    }
    put_be16(field, 0);
    if (checksum) {
        put_transport_checksum(field, ip,
                               sum_pseudo_of(segment, ip, transport_len) +
                                   sum_octets(header, transport_len));
    }
}

/* RFC 791: options without the copied flag are for the first fragment; others get padding there. */
static void drop_options(uint8_t *header)
{
    const size_t len = 4 * (size_t)(header[0] & 0xf);
    size_t i = 20;

    while (i < len && header[i] != 0) {
        size_t octets = 1;

        if (header[i] != 1) {
            octets = i + 1 < len ? header[i + 1] : 0;
        }
        if (octets == 0 || octets > len - i) {
            return;
        }
        if (!(header[i] & 0x80)) {
            memset(header + i, 1, octets);
        }
        i += octets;
    }
}

static void fit_fragment(const struct segmenter *s, uint8_t *segment, uint32_t offset)
{
    const bool more = s->index + 1 < s->n;
    uint8_t *header = segment + s->ip.at;

    if (s->ip.v6) {
        uint8_t *fragment = segment + s->ip.fragment;

        fragment[0] = segment[s->ip.fragment_next];
        fragment[1] = 0;
        put_be16(fragment + 2, offset | more);
        put_be32(fragment + 4, s->ident);
        segment[s->ip.fragment_next] = FRAGMENT;
        return;
    }
    put_be16(header + 6, offset >> 3 | (more ? 0x2000u : 0));
    if (s->index > 0) {
        drop_options(header);
    }
}

size_t segment_next(struct segmenter *s, void *buf, size_t size)
{
    const size_t len = segment_len(s);
    const size_t payload = next_payload(s);
    const uint32_t offset = s->done;
    uint8_t *segment = buf;

    if (len == 0 || len > size) {
        return 0;
    }
    memcpy(segment, s->headers, s->n_headers);
    take_payload(s, segment + len - payload, payload);
    if (s->fragments) {
        fit_fragment(s, segment, offset);
    } else if (s->ip.protocol == TCP) {
        fit_tcp(s, segment + s->ip.transport, offset);
    }
    fit_ip(s, segment, len, &s->ip);
    if (!s->fragments) {
        fit_transport(segment, len, &s->ip, true);
    }
    if (s->tunnel) {
        fit_ip(s, segment, len, &s->outer);
        fit_transport(segment, len, &s->outer, s->outer_checksum);
    }
    s->index++;
    return len;
}
