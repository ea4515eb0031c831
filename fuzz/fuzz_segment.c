/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Segmentation (device/segment.c): any frame with any offload members. Whether it can be segmented,
 * and each octet of each segment, must be what this target works out by itself: so payload is
 * neither lost nor doubled, and lengths, identifications and checksums are right.
 *
 *     octets   meaning
 *     1        gso_type
 *     1        flags
 *     2        gso_size
 *     2        outer_th_offset
 *     2        inner_nh_offset
 *     2        octets of payload made up behind those of the input
 *     4 * 2    where the frame is cut into ranges
 *     rest     frame
 */
#include <stdlib.h>
#include <string.h>

#define VIONET_SPEC_NO_STRUCTS
#include <vionet/spec.h>

#include "input.h"
#include "packet.h"
#include "reach.h"
#include "segment.h"

#define N_CUTS     4
#define MAX_FRAME  (65536 + 4096)
#define GSO_TUNNEL (VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV4 | VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV6)

enum {
    FRAMES,
    REFUSED,
    SEGMENTED_TCP4,
    SEGMENTED_TCP6,
    SEGMENTED_UDP,
    FRAGMENTED4,
    FRAGMENTED6,
    TUNNELS,
    VLANS,
    WITH_OPTIONS,
    SEGMENTS,
};

struct reach fuzz_reach[] = {
    [FRAMES] = {"frames", 100, 0},
    [REFUSED] = {"of them refused", 20, 0},
    [SEGMENTED_TCP4] = {"frames of TCP over IPv4 segmented", 10, 0},
    [SEGMENTED_TCP6] = {"frames of TCP over IPv6 segmented", 10, 0},
    [SEGMENTED_UDP] = {"frames of UDP segmented", 10, 0},
    [FRAGMENTED4] = {"datagrams in fragments of IPv4", 5, 0},
    [FRAGMENTED6] = {"datagrams in fragments of IPv6", 5, 0},
    [TUNNELS] = {"frames segmented in tunnels", 10, 0},
    [VLANS] = {"frames segmented with VLAN tags", 5, 0},
    [WITH_OPTIONS] = {"frames segmented with IP options or extension headers", 5, 0},
    [SEGMENTS] = {"segments", 500, 0},
    {NULL, 0, 0},
};

#define REACHED(what) (fuzz_reach[what].count++)

struct run {
    uint8_t octets[MAX_FRAME];
    size_t len;
    VionetFrame frame;
    struct iovec iov[N_CUTS + 1];
    uint32_t ident;
    /* What becomes of it: */
    bool tunnel;
    bool fragments;
    struct packet outer;
    struct packet inner;
    size_t headers; /* octets in front of what is divided */
    size_t size;    /* octets of that in a segment */
    unsigned n;
    uint8_t expected[MAX_FRAME + 8];
};

/* ---- What is expected of a frame ---- */

static bool type_fits(const struct run *run)
{
    const struct packet *p = &run->inner;

    switch (run->frame.gso_type & ~(GSO_TUNNEL | VIRTIO_NET_HDR_GSO_ECN)) {
    case VIRTIO_NET_HDR_GSO_TCPV4:
        return p->protocol == PACKET_TCP && !p->v6;
    case VIRTIO_NET_HDR_GSO_TCPV6:
        return p->protocol == PACKET_TCP && p->v6;
    case VIRTIO_NET_HDR_GSO_UDP:
        return p->protocol == PACKET_UDP && !run->tunnel;
    case VIRTIO_NET_HDR_GSO_UDP_L4:
        return p->protocol == PACKET_UDP;
    default:
        return false;
    }
}

/* Headers may take SEGMENT_MAX_HEADERS octets. */
static bool read_packets(struct run *run)
{
    const size_t len = run->len < SEGMENT_MAX_HEADERS ? run->len : SEGMENT_MAX_HEADERS;
    const unsigned tunnel = run->frame.gso_type & GSO_TUNNEL;
    size_t transport;

    run->tunnel = tunnel != 0;
    if (tunnel == GSO_TUNNEL ||
        !packet_find(run->octets, len, run->tunnel ? &run->outer : &run->inner)) {
        return false;
    }
    if (run->tunnel &&
        (run->outer.protocol != PACKET_UDP || run->outer.transport != run->frame.outer_th_offset ||
         run->outer.transport + 8 > run->frame.inner_nh_offset ||
         !packet_read(run->octets, len, run->frame.inner_nh_offset, &run->inner))) {
        return false;
    }
    transport = packet_transport_len(run->octets, len, &run->inner);
    run->headers = run->inner.transport + transport;
    return transport > 0 && type_fits(run);
}

/* A datagram for IP to divide: it is made whole first. False if it cannot be. */
static bool expect_fragments(struct run *run)
{
    const size_t whole = run->len - run->inner.transport;

    if (run->len - run->inner.ip > 65535) {
        return false;
    }
    packet_put_16(run->octets + run->inner.transport + 4, (unsigned)whole);
    packet_finish_transport(run->octets, run->len, &run->inner);
    run->headers = run->inner.fragment;
    if (run->len - run->headers > run->size) {
        run->fragments = true;
        run->size -= run->size % 8;
    }
    return run->size > 0;
}

static bool expect(struct run *run)
{
    size_t payload, first_ip;

    run->size = run->frame.gso_size;
    if (run->size == 0 || run->len < 14 || !read_packets(run)) {
        return false;
    }
    if ((run->frame.gso_type & ~VIRTIO_NET_HDR_GSO_ECN) == VIRTIO_NET_HDR_GSO_UDP &&
        !expect_fragments(run)) {
        return false;
    }
    payload = run->len - run->headers;
    first_ip = run->tunnel ? run->outer.ip : run->inner.ip;
    run->n = payload == 0 ? 1 : (unsigned)((payload + run->size - 1) / run->size);
    if (run->n > 1 && run->inner.protocol == PACKET_TCP &&
        (run->octets[run->inner.transport + 13] & 0x06)) {
        return false; /* SYN, RST */
    }
    return run->n <= SEGMENT_MOST &&
           run->headers - first_ip + (payload < run->size ? payload : run->size) + 8 <= 65535;
}

/* ---- What is expected of a segment ---- */

static void expect_ip(const struct run *run, size_t len, const struct packet *p, unsigned index)
{
    uint8_t *header = (uint8_t *)run->expected + p->ip;

    if (p->v6) {
        packet_put_16(header + 4, (unsigned)(len - p->ip - 40));
        return;
    }
    packet_put_16(header + 2, (unsigned)(len - p->ip));
    if (!run->fragments) {
        packet_put_16(header + 4, packet_16(header + 4) + index);
    }
    packet_finish_ip((uint8_t *)run->expected, p);
}

static void expect_tcp(struct run *run, unsigned index, uint32_t offset)
{
    uint8_t *tcp = run->expected + run->inner.transport;
    const unsigned urgent = packet_16(tcp + 18);

    packet_put_32(tcp + 4, packet_32(tcp + 4) + offset);
    if (index > 0) {
        const bool still = (tcp[13] & 0x20) && urgent > offset;

        tcp[13] &= still ? 0x7f : 0x5f; /* CWR, URG */
        packet_put_16(tcp + 18, still ? urgent - offset : 0);
    }
    if (index < run->n - 1) {
        tcp[13] &= 0xf6; /* FIN, PSH */
    }
}

/* Options that are for the first fragment only become padding in the others. */
static void expect_options(uint8_t *header)
{
    const size_t end = 4u * (header[0] & 15);
    size_t at = 20;

    while (at < end && header[at] != 0) {
        const size_t n = header[at] == 1 ? 1 : at + 1 == end ? 0 : header[at + 1];

        if (n == 0 || at + n > end) {
            return;
        }
        if (header[at] < 0x80) {
            memset(header + at, 1, n);
        }
        at += n;
    }
}

static void expect_fragment(struct run *run, unsigned index, uint32_t offset)
{
    const bool more = index < run->n - 1;
    uint8_t *header = run->expected + run->inner.ip;

    if (run->inner.v6) {
        uint8_t *fragment = run->expected + run->headers;

        fragment[0] = run->octets[run->inner.fragment_next];
        fragment[1] = 0;
        packet_put_16(fragment + 2, offset + more);
        packet_put_32(fragment + 4, run->ident);
        run->expected[run->inner.fragment_next] = 44;
        return;
    }
    packet_put_16(header + 6, offset / 8 + (more ? 0x2000 : 0));
    if (index > 0) {
        expect_options(header);
    }
}

/* Puts the segment into expected; its octets. */
static size_t expect_segment(struct run *run, unsigned index)
{
    const size_t offset = index * run->size;
    const size_t left = run->len - run->headers - offset;
    const size_t payload = left < run->size ? left : run->size;
    const size_t headers = run->headers + (run->fragments && run->inner.v6 ? 8 : 0);
    const size_t len = headers + payload;
    uint8_t *udp = run->expected + run->inner.transport;

    memcpy(run->expected, run->octets, run->headers);
    memcpy(run->expected + headers, run->octets + run->headers + offset, payload);
    if (run->fragments) {
        expect_fragment(run, index, (uint32_t)offset);
    } else if (run->inner.protocol == PACKET_TCP) {
        expect_tcp(run, index, (uint32_t)offset);
    } else {
        packet_put_16(udp + 4, (unsigned)(len - run->inner.transport));
    }
    expect_ip(run, len, &run->inner, index);
    if (!run->fragments) {
        packet_finish_transport(run->expected, len, &run->inner);
    }
    if (run->tunnel) {
        const unsigned checksum = packet_16(run->octets + run->outer.transport + 6);

        udp = run->expected + run->outer.transport;
        expect_ip(run, len, &run->outer, index);
        packet_put_16(udp + 4, (unsigned)(len - run->outer.transport));
        if (checksum || (run->frame.flags & VIRTIO_NET_HDR_F_UDP_TUNNEL_CSUM)) {
            packet_finish_transport(run->expected, len, &run->outer);
        }
    }
    return len;
}

/* ---- The run ---- */

/* Ranges that end where the input says, each alone in its memory. */
static void make_ranges(struct run *run, struct input *cuts)
{
    size_t at = 0;

    run->frame.iov = run->iov;
    run->frame.n_iov = N_CUTS + 1;
    run->frame.len = (uint32_t)run->len;
    for (unsigned i = 0; i <= N_CUTS; i++) {
        const size_t left = run->len - at;
        const size_t n = i == N_CUTS ? left : input_16(cuts) % (left + 1);

        run->iov[i] = (struct iovec){malloc(n ? n : 1), n};
        memcpy(run->iov[i].iov_base, run->octets + at, n);
        at += n;
    }
}

static void read_run(struct run *run, struct input input)
{
    const uint8_t *octets;
    struct input cuts;
    size_t n = SIZE_MAX, made_up, at = 2 * N_CUTS;

    memset(run, 0, offsetof(struct run, expected));
    run->ident = 0x01020304;
    run->frame.gso_type = input_8(&input);
    run->frame.flags = input_8(&input);
    run->frame.gso_size = input_16(&input);
    run->frame.outer_th_offset = input_16(&input);
    run->frame.inner_nh_offset = input_16(&input);
    made_up = input_16(&input);
    octets = input_take(&input, &at);
    cuts = input_of(octets, at);
    octets = input_take(&input, &n);
    n = n < 4096 ? n : 4096;
    memcpy(run->octets, octets, n);
    run->len = n + made_up;
    for (; n < run->len; n++) {
        run->octets[n] = (uint8_t)(n * 7 + (n >> 8));
    }
    make_ranges(run, &cuts);
}

static void count_frame(const struct run *run)
{
    const size_t first = run->tunnel ? run->outer.ip : run->inner.ip;
    const unsigned kind = run->fragments ? (run->inner.v6 ? FRAGMENTED6 : FRAGMENTED4)
                          : run->inner.protocol == PACKET_UDP ? SEGMENTED_UDP
                          : run->inner.v6                     ? SEGMENTED_TCP6
                                                              : SEGMENTED_TCP4;

    fuzz_reach[kind].count += run->n > 1;
    fuzz_reach[TUNNELS].count += run->tunnel;
    fuzz_reach[VLANS].count += first > 14;
    fuzz_reach[WITH_OPTIONS].count +=
        run->inner.transport > run->inner.ip + (run->inner.v6 ? 40 : 20);
    fuzz_reach[SEGMENTS].count += run->n;
}

static void check_segment(struct run *run, struct segmenter *segmenter, unsigned index)
{
    const size_t len = expect_segment(run, index);
    uint8_t *segment = malloc(len);

    FUZZ_REQUIRE(segment_len(segmenter) == len, "segment %u of %u: %zu octets, not %zu", index,
                 run->n, segment_len(segmenter), len);
    FUZZ_REQUIRE(segment_next(segmenter, segment, len - 1) == 0, "a segment without room");
    FUZZ_REQUIRE(segment_next(segmenter, segment, len) == len, "segment %u is not made", index);
    for (size_t i = 0; i < len; i++) {
        FUZZ_REQUIRE(segment[i] == run->expected[i],
                     "segment %u of %u: octet %zu is 0x%02x, not 0x%02x", index, run->n, i,
                     segment[i], run->expected[i]);
    }
    free(segment);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run run;
    struct segmenter segmenter;
    bool good;

    read_run(&run, input_of(data, size));
    good = segment_begin(&segmenter, &run.frame, run.ident);
    FUZZ_REQUIRE(good == expect(&run), "a frame is %s", good ? "not refused" : "refused");
    REACHED(FRAMES);
    fuzz_reach[REFUSED].count += !good;
    for (unsigned i = 0; good && i < run.n; i++) {
        check_segment(&run, &segmenter, i);
    }
    if (good) {
        count_frame(&run);
        FUZZ_REQUIRE(segment_len(&segmenter) == 0, "more than %u segments", run.n);
    }
    for (unsigned i = 0; i <= N_CUTS; i++) {
        free(run.iov[i].iov_base);
    }
    return 0;
}
