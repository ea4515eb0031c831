/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Software segmentation (device/segment.c) against packets that are built here from scratch, octet
 * by octet, with a checksum of their own: each type, with VLAN tags, IP options, extension headers
 * and tunnels, in ranges of all kinds; then what must be refused, and noise.
 */
#include <string.h>

#include <glib.h>

#include <vionet/spec.h>

#include "segment.h"

#define IDENT 0x1234abcd

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16, URG = 32, ECE = 64, CWR = 128 };

/* ---- Packets from scratch ---- */

/* One packet, or a frame to be segmented, as it is to look. */
struct shape {
    bool v6;
    bool tcp;
    unsigned vlans;
    unsigned options;    /* words of IPv4 options */
    unsigned extensions; /* bits: 1 hop by hop, 2 destination, 4 routing, 8 destination */
    unsigned tcp_words;  /* of options */
    uint16_t id;
    uint32_t seq;
    uint8_t flags;
    uint16_t urgent;
    /* Tunnel: an outer Ethernet, IP and UDP, 8 octets that are none of our business, Ethernet. */
    bool tunnel;
    bool outer_v6;
    bool outer_checksum;
    uint16_t outer_id;
    /* Fragments: of the IP payload, that is the datagram. */
    bool fragment;
    bool more;
    unsigned offset;
};

static void add(GByteArray *packet, const void *octets, size_t n)
{
    g_byte_array_append(packet, octets, (guint)n);
}

static void add8(GByteArray *packet, unsigned value)
{
    const uint8_t octet = (uint8_t)value;

    add(packet, &octet, 1);
}

static void add16(GByteArray *packet, unsigned value)
{
    add8(packet, value >> 8);
    add8(packet, value);
}

static void add32(GByteArray *packet, uint32_t value)
{
    add16(packet, value >> 16);
    add16(packet, value & 0xffff);
}

static void set16(GByteArray *packet, size_t at, unsigned value)
{
    packet->data[at] = (uint8_t)(value >> 8);
    packet->data[at + 1] = (uint8_t)value;
}

/* One's complement sum, a pair of octets at a time. */
static uint32_t sum(const uint8_t *octets, size_t n, uint32_t sum)
{
    for (size_t i = 0; i < n; i++) {
        sum += i % 2 ? octets[i] : (uint32_t)octets[i] << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

static void add_addresses(GByteArray *packet, bool v6, unsigned net)
{
    for (unsigned i = 0; i < (v6 ? 32 : 8); i++) {
        add8(packet, i * 17 + net);
    }
}

static void add_ethernet(GByteArray *packet, const struct shape *shape, bool v6)
{
    for (unsigned i = 0; i < 12; i++) {
        add8(packet, 2 * i);
    }
    for (unsigned i = 0; i < shape->vlans; i++) {
        add16(packet, i + 1 < shape->vlans ? 0x88a8 : 0x8100);
        add16(packet, 0x2000 + 100 * i);
    }
    add16(packet, v6 ? 0x86dd : 0x0800);
}

/* An IPv4 header in front of n octets. */
static void add_ipv4(GByteArray *packet, const struct shape *shape, unsigned protocol, unsigned id,
                     unsigned options, size_t n, unsigned net)
{
    const size_t at = packet->len;

    add8(packet, 0x45 + options);
    add8(packet, 0x02);
    add16(packet, (unsigned)(20 + 4 * options + n));
    add16(packet, id);
    add16(packet, shape->fragment ? shape->offset / 8 + (shape->more ? 0x2000 : 0) : 0x4000);
    add8(packet, 63);
    add8(packet, protocol);
    add16(packet, 0);
    add_addresses(packet, false, net);
    for (unsigned i = 0; i < options; i++) { /* one to be copied, others not */
        if (shape->fragment && shape->offset > 0 && i > 0) {
            add32(packet, 0x01010101);
        } else {
            add32(packet, i == 0 ? 0x94040000 : 0x07040400 + i);
        }
    }
    set16(packet, at + 10, ~sum(packet->data + at, 20 + 4 * options, 0));
}

static void add_extension(GByteArray *packet, unsigned *next_at, unsigned type)
{
    static const uint8_t options[14] = {1, 2, 0, 0, 0, 0, 0x1e, 6};
    static const uint8_t routing[14] = {2, 0};

    packet->data[*next_at] = (uint8_t)type;
    *next_at = packet->len;
    add8(packet, 0);
    add8(packet, 1); /* 16 octets */
    add(packet, type == 43 ? routing : options, 14);
}

static unsigned n_extensions(unsigned bits)
{
    return (bits & 1) + (bits >> 1 & 1) + (bits >> 2 & 1) + (bits >> 3 & 1);
}

static void add_ipv6(GByteArray *packet, const struct shape *shape, unsigned protocol,
                     unsigned extensions, size_t n, unsigned net)
{
    static const uint8_t types[4] = {0, 60, 43, 60};
    const size_t at = packet->len;
    unsigned next_at = packet->len + 6;

    /* Fragments of this test bear destination options behind their header only in the offset. */
    add32(packet, 0x62012345);
    add16(packet, (unsigned)(n + 16 * n_extensions(extensions) + (shape->fragment ? 8 : 0)));
    add8(packet, 0);
    add8(packet, 62);
    add_addresses(packet, true, net);
    for (unsigned i = 0; i < 4; i++) {
        if (extensions >> i & 1) {
            add_extension(packet, &next_at, types[i]);
        }
    }
    if (shape->fragment) {
        packet->data[next_at] = 44;
        next_at = packet->len;
        add8(packet, 0);
        add8(packet, 0);
        add16(packet, shape->offset + shape->more);
        add32(packet, IDENT);
    }
    packet->data[next_at] = (uint8_t)protocol;
    g_assert_cmpuint(packet->len, >, at);
}

/* The checksum at field of what begins at transport, by the addresses at ip. */
static void finish(GByteArray *packet, bool v6, size_t ip, size_t transport, size_t field,
                   unsigned protocol)
{
    const size_t n = packet->len - transport;
    uint32_t value = sum(packet->data + ip + (v6 ? 8 : 12), v6 ? 32 : 8, 0);

    set16(packet, field, 0);
    value = sum(packet->data + transport, n, value + protocol + (uint32_t)n);
    value = ~value & 0xffff;
    set16(packet, field, protocol == 17 && value == 0 ? 0xffff : value);
}

static void add_tcp(GByteArray *packet, const struct shape *shape)
{
    add16(packet, 1000);
    add16(packet, 80);
    add32(packet, shape->seq);
    add32(packet, 0xcafebabe);
    add8(packet, (5 + shape->tcp_words) << 4 | 1);
    add8(packet, shape->flags);
    add16(packet, 0x7fff);
    add16(packet, 0xdead);
    add16(packet, shape->urgent);
    for (unsigned i = 0; i < shape->tcp_words; i++) {
        add32(packet, 0x01010100 + i);
    }
}

static void add_udp(GByteArray *packet, size_t n)
{
    add16(packet, 1000);
    add16(packet, 53);
    add16(packet, (unsigned)(8 + n));
    add16(packet, 0xdead);
}

static size_t transport_len(const struct shape *shape)
{
    return shape->tcp ? 20 + 4 * shape->tcp_words : 8;
}

static size_t ip_len(const struct shape *shape)
{
    return shape->v6 ? 40 + 16 * n_extensions(shape->extensions) + (shape->fragment ? 8 : 0)
                     : 20 + 4 * shape->options;
}

/* Headers of the tunnel; what they have to say of lengths comes later. */
static void add_outer(GByteArray *packet, const struct shape *shape, size_t n)
{
    const struct shape outer = {.vlans = shape->vlans};
    const struct shape inner = {.vlans = 0};
    const size_t inside = 8 + 8 + 14 + n;

    add_ethernet(packet, &outer, shape->outer_v6);
    if (shape->outer_v6) {
        add_ipv6(packet, &outer, 17, 0, inside, 7);
    } else {
        add_ipv4(packet, &outer, 17, shape->outer_id, 0, inside, 7);
    }
    add_udp(packet, inside - 8);
    add32(packet, 0x08000000);
    add32(packet, 0x00123400);
    add_ethernet(packet, &inner, shape->v6);
}

static size_t outer_transport(const struct shape *shape)
{
    return 14 + 4 * shape->vlans + (shape->outer_v6 ? 40 : 20);
}

/* A packet with finished checksums. */
static GByteArray *build(const struct shape *shape, const uint8_t *payload, size_t n)
{
    GByteArray *packet = g_byte_array_new();
    const unsigned protocol = shape->tcp ? 6 : 17;
    const size_t n_ip = (shape->fragment ? 0 : transport_len(shape)) + n;
    size_t ip;
    size_t transport;

    if (shape->tunnel) {
        add_outer(packet, shape, ip_len(shape) + n_ip);
    } else {
        add_ethernet(packet, shape, shape->v6);
    }
    ip = packet->len;
    if (shape->v6) {
        add_ipv6(packet, shape, protocol, shape->extensions, n_ip, 1);
    } else {
        add_ipv4(packet, shape, protocol, shape->id, shape->options, n_ip, 1);
    }
    transport = packet->len;
    if (shape->fragment) {
        add(packet, payload, n);
        return packet;
    }
    if (shape->tcp) {
        add_tcp(packet, shape);
    } else {
        add_udp(packet, n);
    }
    add(packet, payload, n);
    finish(packet, shape->v6, ip, transport, transport + (shape->tcp ? 16 : 6), protocol);
    if (shape->tunnel) {
        const size_t outer = outer_transport(shape);

        set16(packet, outer + 6, 0);
        if (shape->outer_checksum) {
            finish(packet, shape->outer_v6, 14 + 4 * shape->vlans, outer, outer + 6, 17);
        }
    }
    return packet;
}

static uint8_t *new_payload(size_t n)
{
    uint8_t *payload = g_malloc(n + 1);

    for (size_t i = 0; i < n; i++) {
        payload[i] = (uint8_t)(i * 31 + (i >> 8) * 7);
    }
    return payload;
}

/* ---- Frames in ranges ---- */

enum split { WHOLE, OCTETS, RANDOM, N_SPLITS };

struct pieces {
    VionetFrame frame;
    struct iovec *iov;
};

/* Each range is memory of its own, of exactly its length. */
static struct pieces split_frame(const uint8_t *octets, size_t len, enum split split)
{
    GArray *ranges = g_array_new(FALSE, FALSE, sizeof(struct iovec));
    struct pieces pieces = {.frame = {.len = (uint32_t)len}};

    for (size_t at = 0; at < len || ranges->len == 0;) {
        struct iovec range = {NULL, len - at};

        if (split == OCTETS && len > 0) {
            range.iov_len = 1;
        } else if (split == RANDOM) {
            range.iov_len = (size_t)g_test_rand_int_range(0, 700);
            range.iov_len = MIN(range.iov_len, len - at);
        }
        range.iov_base = g_malloc(MAX(range.iov_len, 1));
        if (range.iov_len > 0) {
            memcpy(range.iov_base, octets + at, range.iov_len);
        }
        at += range.iov_len;
        g_array_append_val(ranges, range);
    }
    pieces.frame.n_iov = ranges->len;
    pieces.frame.iov = pieces.iov = (struct iovec *)(void *)g_array_free(ranges, FALSE);
    return pieces;
}

static void free_pieces(struct pieces *pieces)
{
    for (unsigned i = 0; i < pieces->frame.n_iov; i++) {
        g_free(pieces->iov[i].iov_base);
    }
    g_free(pieces->iov);
}

/* ---- Expectations ---- */

static void assert_octets(const uint8_t *found, size_t len, const GByteArray *expected)
{
    for (size_t i = 0; i < MIN(len, expected->len); i++) {
        if (found[i] != expected->data[i]) {
            g_error("octet %zu is %02x, not %02x", i, found[i], expected->data[i]);
        }
    }
    g_assert_cmpuint(len, ==, expected->len);
}

/* The next segment is this one; and it does not go into one octet less. */
static void assert_next(struct segmenter *segmenter, GByteArray *expected)
{
    const size_t len = segment_len(segmenter);
    uint8_t *buf = g_malloc(expected->len);

    g_assert_cmpuint(len, ==, expected->len);
    g_assert_cmpuint(segment_next(segmenter, buf, len - 1), ==, 0);
    g_assert_cmpuint(segment_next(segmenter, buf, len), ==, len);
    assert_octets(buf, len, expected);
    g_free(buf);
    g_byte_array_unref(expected);
}

static void assert_end(struct segmenter *segmenter)
{
    uint8_t buf[4];

    g_assert_cmpuint(segment_len(segmenter), ==, 0);
    g_assert_cmpuint(segment_next(segmenter, buf, sizeof(buf)), ==, 0);
}

static uint8_t base_type(const struct shape *shape)
{
    if (!shape->tcp) {
        return VIRTIO_NET_HDR_GSO_UDP_L4;
    }
    return shape->v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
}

/* The frame as the driver hands it over, its checksums and, if wished, its lengths senseless. */
static struct pieces frame_of(const struct shape *shape, const uint8_t *payload, size_t n,
                              uint16_t size, enum split split)
{
    GByteArray *octets = build(shape, payload, n);
    struct pieces pieces = split_frame(octets->data, octets->len, split);

    pieces.frame.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    pieces.frame.gso_type = base_type(shape);
    pieces.frame.gso_size = size;
    pieces.frame.hdr_len = (uint16_t)g_test_rand_int();
    if (shape->tunnel) {
        pieces.frame.gso_type |=
            shape->v6 ? VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV6 : VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV4;
        pieces.frame.flags |= shape->outer_checksum ? VIRTIO_NET_HDR_F_UDP_TUNNEL_CSUM : 0;
        pieces.frame.outer_th_offset = (uint16_t)outer_transport(shape);
        pieces.frame.inner_nh_offset = (uint16_t)(outer_transport(shape) + 8 + 8 + 14);
    }
    g_byte_array_unref(octets);
    return pieces;
}

/* Each segment of TCP or of UDP by datagrams is what a sender would have sent by itself. */
static void check_segments(const struct shape *shape, size_t n, uint16_t size, enum split split)
{
    uint8_t *payload = new_payload(n);
    struct pieces pieces = frame_of(shape, payload, n, size, split);
    struct segmenter segmenter;
    size_t at = 0;

    g_assert_true(segment_begin(&segmenter, &pieces.frame, IDENT));
    for (unsigned i = 0; i == 0 || at < n; i++) {
        const size_t len = MIN(size, n - at);
        struct shape segment = *shape;

        segment.id = (uint16_t)(shape->id + i);
        segment.outer_id = (uint16_t)(shape->outer_id + i);
        segment.seq += (uint32_t)at;
        if (at + len < n) {
            segment.flags &= (uint8_t) ~(FIN | PSH);
        }
        if (i > 0) {
            segment.flags &= (uint8_t)~CWR;
            segment.urgent = shape->urgent > at ? (uint16_t)(shape->urgent - at) : 0;
            segment.flags &= (uint8_t) ~(segment.urgent == 0 ? URG : 0);
        }
        assert_next(&segmenter, build(&segment, payload + at, len));
        at += len;
    }
    assert_end(&segmenter);
    free_pieces(&pieces);
    g_free(payload);
}

/* Around multiples of the size, and in all kinds of ranges. */
static void check_shape(const struct shape *shape)
{
    static const uint16_t sizes[] = {1, 7, 48, 536, 1448, 9000};

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        const unsigned size = sizes[i];
        const unsigned lens[] = {
            0,        1,        size - 1,     size,         size + 1,
            2 * size, 5 * size, 5 * size - 1, 5 * size + 1, 7 * size + size / 2};

        for (size_t k = 0; k < G_N_ELEMENTS(lens); k++) {
            for (unsigned split = 0; split < N_SPLITS; split++) {
                check_segments(shape, lens[k], sizes[i], split);
            }
        }
    }
}

static void test_tcp4(void)
{
    struct shape shape = {.tcp = true, .id = 0xfffe, .seq = 0xfffffff0, .flags = ACK | PSH | FIN};

    check_shape(&shape);
    for (shape.vlans = 1; shape.vlans <= 2; shape.vlans++) {
        shape.options = 5 * shape.vlans;
        shape.tcp_words = 10;
        check_shape(&shape);
    }
    shape.vlans = shape.options = 0;
    check_segments(&shape, 65000, 1448, WHOLE);
    check_segments(&shape, 65000, 48, WHOLE);
    check_segments(&shape, 65000, 65000, WHOLE);
}

static void test_tcp6(void)
{
    struct shape shape = {.v6 = true, .tcp = true, .seq = 1, .flags = ACK | ECE | PSH};

    for (shape.extensions = 0; shape.extensions < 16; shape.extensions++) {
        check_segments(&shape, 10000, 1428, RANDOM);
    }
    shape.extensions = 0;
    check_shape(&shape);
    shape.extensions = 5;
    shape.vlans = 1;
    shape.tcp_words = 3;
    check_shape(&shape);
}

static void test_congestion(void)
{
    const struct shape shape = {.tcp = true, .flags = ACK | CWR | ECE};
    uint8_t *payload = new_payload(3000);
    struct pieces pieces = frame_of(&shape, payload, 3000, 1000, WHOLE);
    struct segmenter segmenter;
    uint8_t buf[2000];

    check_shape(&shape);
    pieces.frame.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
    g_assert_true(segment_begin(&segmenter, &pieces.frame, 0));
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmpuint(segment_next(&segmenter, buf, sizeof(buf)), ==, 1054);
        g_assert_cmphex(buf[14 + 20 + 13], ==, i == 0 ? ACK | CWR | ECE : ACK | ECE);
    }
    free_pieces(&pieces);
    g_free(payload);
}

static void test_urgent(void)
{
    static const uint16_t pointers[] = {0, 1, 999, 1000, 1001, 2000, 2001, 60000};
    struct shape shape = {.tcp = true, .flags = ACK | URG | PSH};

    for (size_t i = 0; i < G_N_ELEMENTS(pointers); i++) {
        shape.urgent = pointers[i];
        check_segments(&shape, 3500, 1000, WHOLE);
    }
}

static void test_datagrams(void)
{
    struct shape shape = {.id = 77};

    check_shape(&shape);
    shape.v6 = true;
    check_shape(&shape);
    shape.extensions = 3;
    shape.vlans = 2;
    check_shape(&shape);
    shape.v6 = false;
    shape.options = 10;
    check_shape(&shape);
}

/* All of 65536 sums are met, zero among them. */
static void test_sum_of_zero(void)
{
    const struct shape shape = {.v6 = true};
    uint8_t payload[4] = {0};
    unsigned zeros = 0;

    for (unsigned i = 0; i < 65536; i++) {
        struct pieces pieces;
        struct segmenter segmenter;
        GByteArray *expected;

        payload[0] = (uint8_t)(i >> 8);
        payload[1] = (uint8_t)i;
        expected = build(&shape, payload, sizeof(payload));
        zeros += expected->data[60] == 0xff && expected->data[61] == 0xff;
        pieces = frame_of(&shape, payload, sizeof(payload), 100, WHOLE);
        g_assert_true(segment_begin(&segmenter, &pieces.frame, 0));
        assert_next(&segmenter, expected);
        free_pieces(&pieces);
    }
    g_assert_cmpuint(zeros, >, 0);
}

/* ---- IP fragments ---- */

/* A datagram of n octets, finished, is cut behind headers of n_headers octets. */
static void check_fragments(const struct shape *shape, size_t n, uint16_t size, enum split split)
{
    uint8_t *payload = new_payload(n);
    struct pieces pieces = frame_of(shape, payload, n, size, split);
    GByteArray *whole = build(shape, payload, n);
    const size_t n_headers = 14 + 4 * shape->vlans + ip_len(shape);
    const size_t n_ip = whole->len - n_headers;
    const size_t step = n_ip > size ? size & ~7u : n_ip;
    struct segmenter segmenter;

    pieces.frame.gso_type = VIRTIO_NET_HDR_GSO_UDP;
    g_assert_true(segment_begin(&segmenter, &pieces.frame, IDENT));
    if (n_ip <= size) {
        assert_next(&segmenter, g_byte_array_ref(whole));
        n = 0;
    }
    for (size_t at = 0; n_ip > size && at < n_ip; at += step) {
        struct shape fragment = *shape;

        fragment.fragment = true;
        fragment.offset = (unsigned)at;
        fragment.more = at + step < n_ip;
        assert_next(&segmenter,
                    build(&fragment, whole->data + n_headers + at, MIN(step, n_ip - at)));
    }
    assert_end(&segmenter);
    g_byte_array_unref(whole);
    free_pieces(&pieces);
    g_free(payload);
}

static void test_fragments(void)
{
    static const uint16_t sizes[] = {48, 55, 1480, 1448, 1479, 9000};
    static const struct shape shapes[] = {
        {.id = 5},
        {.id = 5, .options = 3, .vlans = 1},
        {.v6 = true},
        {.v6 = true, .extensions = 5},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(shapes) * G_N_ELEMENTS(sizes); i++) {
        const struct shape *shape = &shapes[i / G_N_ELEMENTS(sizes)];
        const uint16_t size = sizes[i % G_N_ELEMENTS(sizes)];

        for (unsigned split = 0; split < N_SPLITS; split++) {
            for (unsigned k = 0; k < 30; k++) {
                check_fragments(shape, 4u * size - 20 + k, size, split);
                check_fragments(shape, size - 20 + k, size, split);
            }
        }
        check_fragments(shape, 0, size, WHOLE);
        check_fragments(shape, 65000, MAX(size, 1480), WHOLE);
        check_fragments(shape, 60001, 1480, OCTETS);
    }
}

/* ---- Tunnels ---- */

static void test_tunnels(void)
{
    for (unsigned i = 0; i < 32; i++) {
        const struct shape shape = {
            .tunnel = true,
            .v6 = i & 1,
            .tcp = i & 2,
            .outer_v6 = i & 4,
            .outer_checksum = i & 8,
            .vlans = i >> 4,
            .flags = ACK | PSH,
            .seq = 9,
            .id = 0xffff,
            .outer_id = 100,
        };

        check_segments(&shape, 0, 1000, WHOLE);
        for (unsigned k = 0; k < 6; k++) {
            check_segments(&shape, 4998 + k, 1000, k % N_SPLITS);
        }
        check_segments(&shape, 60000, 1350, RANDOM);
    }
}

/* A checksum that is there has to be right even if nobody asked for it. */
static void test_tunnel_checksum_found(void)
{
    const struct shape shape = {.tunnel = true, .tcp = true, .outer_checksum = true};
    uint8_t *payload = new_payload(100);
    struct pieces pieces = frame_of(&shape, payload, 100, 200, WHOLE);
    struct segmenter segmenter;

    pieces.frame.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    g_assert_true(segment_begin(&segmenter, &pieces.frame, 0));
    assert_next(&segmenter, build(&shape, payload, 100));
    free_pieces(&pieces);
    g_free(payload);
}

/* ---- What cannot be segmented ---- */

static const struct shape all_shapes[] = {
    {.tcp = true, .vlans = 2, .options = 2, .tcp_words = 3},
    {.tcp = true, .v6 = true, .extensions = 15, .vlans = 1},
    {.options = 10},
    {.v6 = true, .extensions = 2},
    {.tunnel = true, .tcp = true, .tcp_words = 1},
    {.tunnel = true, .v6 = true, .outer_v6 = true},
};

static bool begins(const uint8_t *octets, size_t len, const VionetFrame *like)
{
    struct pieces pieces = split_frame(octets, len, RANDOM);
    const struct iovec *iov = pieces.frame.iov;
    const unsigned n_iov = pieces.frame.n_iov;
    struct segmenter segmenter;
    bool begun;

    pieces.frame = *like;
    pieces.frame.iov = iov;
    pieces.frame.n_iov = n_iov;
    begun = segment_begin(&segmenter, &pieces.frame, 0);
    if (!begun) {
        assert_end(&segmenter);
    }
    free_pieces(&pieces);
    return begun;
}

static void test_truncated(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(all_shapes); i++) {
        struct pieces pieces = frame_of(&all_shapes[i], NULL, 0, 1000, WHOLE);
        const uint8_t *octets = pieces.iov[0].iov_base;
        const size_t len = pieces.iov[0].iov_len;

        for (size_t n = 0; n < len; n++) {
            g_assert_false(begins(octets, n, &pieces.frame));
        }
        g_assert_true(begins(octets, len, &pieces.frame));
        pieces.frame.n_iov = 0;
        g_assert_false(segment_begin(&(struct segmenter){0}, &pieces.frame, 0));
        pieces.frame.n_iov = 1;
        free_pieces(&pieces);
    }
}

/* A frame with a tunnel is one of UDP to who does not look inside. */
static bool fits(const struct shape *shape, unsigned type)
{
    const unsigned base = type & ~0xe0u;
    const bool tunnel = type & 0x60;

    if ((type & 0x60) == 0x60 || (tunnel && !shape->tunnel)) {
        return false;
    }
    if (tunnel || !shape->tunnel) {
        return base == base_type(shape) ||
               (base == VIRTIO_NET_HDR_GSO_UDP && !shape->tcp && !tunnel);
    }
    return base == VIRTIO_NET_HDR_GSO_UDP || base == VIRTIO_NET_HDR_GSO_UDP_L4;
}

static void test_wrong_types(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(all_shapes); i++) {
        struct pieces pieces = frame_of(&all_shapes[i], NULL, 0, 1000, WHOLE);
        VionetFrame frame = pieces.frame;

        for (unsigned type = 0; type < 256; type++) {
            frame.gso_type = (uint8_t)type;
            g_assert_true(segment_begin(&(struct segmenter){0}, &frame, 0) ==
                          fits(&all_shapes[i], type));
        }
        free_pieces(&pieces);
    }
}

static void test_sizes(void)
{
    const struct shape tcp = {.tcp = true};
    const struct shape udp = {.tcp = false};
    uint8_t *payload = new_payload(70000);
    const struct {
        const struct shape *shape;
        size_t n;
        uint16_t size;
        uint8_t type;
        bool good;
    } cases[] = {
        {&tcp, 100, 0, VIRTIO_NET_HDR_GSO_TCPV4, false},
        {&tcp, SEGMENT_MOST, 1, VIRTIO_NET_HDR_GSO_TCPV4, true},
        {&tcp, SEGMENT_MOST + 1, 1, VIRTIO_NET_HDR_GSO_TCPV4, false},
        {&tcp, 65480, 48, VIRTIO_NET_HDR_GSO_TCPV4, true},
        {&tcp, 65480, 65535, VIRTIO_NET_HDR_GSO_TCPV4, true},
        {&tcp, 65510, 65535, VIRTIO_NET_HDR_GSO_TCPV4, false},
        {&tcp, 70000, 1448, VIRTIO_NET_HDR_GSO_TCPV4, true},
        {&udp, 100, 7, VIRTIO_NET_HDR_GSO_UDP, false},
        {&udp, 100, 8, VIRTIO_NET_HDR_GSO_UDP, true},
        {&udp, 65507, 1480, VIRTIO_NET_HDR_GSO_UDP, true},
        {&udp, 65508, 1480, VIRTIO_NET_HDR_GSO_UDP, false},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct pieces pieces = frame_of(cases[i].shape, payload, cases[i].n, cases[i].size, WHOLE);

        pieces.frame.gso_type = cases[i].type;
        if (segment_begin(&(struct segmenter){0}, &pieces.frame, 0) != cases[i].good) {
            g_error("size %zu", i);
        }
        free_pieces(&pieces);
    }
    g_free(payload);
}

static void test_malformed(void)
{
    const struct {
        struct shape shape;
        unsigned at;
        uint8_t octet;
    } cases[] = {
        {{.tcp = true}, 14, 0x44},                 /* header of 16 octets */
        {{.tcp = true}, 14, 0x65},                 /* version */
        {{.tcp = true}, 13, 0xdd},                 /* not what the EtherType says */
        {{.tcp = true}, 20, 0x20},                 /* more fragments */
        {{.tcp = true}, 21, 1},                    /* fragment offset */
        {{.tcp = true}, 23, 17},                   /* protocol */
        {{.tcp = true}, 46, 0x40},                 /* TCP header of 16 octets */
        {{.tcp = true}, 47, SYN},                  /* in several segments */
        {{.tcp = true}, 47, RST},                  /* so too */
        {{.v6 = true, .tcp = true}, 20, 44},       /* a fragment header */
        {{.v6 = true, .tcp = true}, 20, 51},       /* authentication */
        {{.v6 = true, .tcp = true}, 20, 59},       /* nothing follows */
        {{.v6 = true, .extensions = 1}, 55, 255},  /* longer than the frame */
        {{.v6 = true, .extensions = 1}, 56, 0xc2}, /* jumbogram */
        {{.v6 = true, .extensions = 2}, 56, 0xc9}, /* home address */
        {{.v6 = true, .extensions = 4}, 57, 1},    /* segments left */
        {{.vlans = 2}, 20, 0x81},                  /* a third tag */
        {{.tunnel = true}, 23, 6},                 /* no UDP outside */
        {{.tunnel = true}, 64, 0x55},              /* no IP inside */
    };
    uint8_t *payload = new_payload(200);

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct pieces pieces = frame_of(&cases[i].shape, payload, 200, 100, WHOLE);
        uint8_t *octets = pieces.iov[0].iov_base;

        g_assert_true(segment_begin(&(struct segmenter){0}, &pieces.frame, 0));
        octets[cases[i].at] = cases[i].octet;
        if (segment_begin(&(struct segmenter){0}, &pieces.frame, 0)) {
            g_error("malformed %zu", i);
        }
        free_pieces(&pieces);
    }
    g_free(payload);
}

static void test_tunnel_offsets(void)
{
    const struct shape shape = {.tunnel = true, .tcp = true};
    struct pieces pieces = frame_of(&shape, NULL, 0, 100, WHOLE);
    const VionetFrame good = pieces.frame;
    VionetFrame frame = good;

    for (unsigned offset = 0; offset < 65536; offset++) {
        frame.outer_th_offset = (uint16_t)offset;
        g_assert_true(segment_begin(&(struct segmenter){0}, &frame, 0) == (offset == 34));
        frame.outer_th_offset = 34;
        frame.inner_nh_offset = (uint16_t)offset;
        g_assert_true(segment_begin(&(struct segmenter){0}, &frame, 0) == (offset == 64));
        frame.inner_nh_offset = 64;
    }
    free_pieces(&pieces);
}

/* ---- Noise ---- */

/* Makes all segments of whatever it is, each in memory of just its length. */
static void drain(struct segmenter *segmenter)
{
    unsigned n = 0;

    for (size_t len; (len = segment_len(segmenter)) > 0; n++) {
        uint8_t *buf = g_malloc(len);

        g_assert_cmpuint(len, <=, 65535 + 22);
        g_assert_cmpuint(segment_next(segmenter, buf, len), ==, len);
        g_free(buf);
    }
    g_assert_cmpuint(n, >, 0);
    g_assert_cmpuint(n, <=, SEGMENT_MOST);
}

/*
 * P-09: any octet of the headers is anything (types that nobody knows, headers of 0 and of 60 octets, TCP that begins
 * in its payload): refused, or segments that are no longer than they may be.
 */
static void test_each_octet(void)
{
    uint8_t *payload = new_payload(300);
    unsigned n_refused = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(all_shapes); i++) {
        struct pieces pieces = frame_of(&all_shapes[i], payload, 300, 100, WHOLE);
        uint8_t *octets = pieces.iov[0].iov_base;

        for (size_t at = 12; at + 300 < pieces.frame.len; at++) {
            const uint8_t before = octets[at];

            for (unsigned octet = 0; octet < 256; octet++) {
                struct segmenter segmenter;

                octets[at] = (uint8_t)octet;
                if (segment_begin(&segmenter, &pieces.frame, 0)) {
                    drain(&segmenter);
                } else {
                    n_refused++;
                }
            }
            octets[at] = before;
        }
        free_pieces(&pieces);
    }
    g_assert_cmpuint(n_refused, >, 1000);
    g_free(payload);
}

static void test_noise(void)
{
    static const uint8_t types[] = {1, 3, 4, 5, 0x21, 0x25, 0x41, 0x44, 0x81};
    const unsigned rounds = g_test_slow() ? 1000000 : 30000;
    uint8_t *payload = new_payload(5000);
    unsigned begun = 0;

    for (unsigned i = 0; i < rounds; i++) {
        const struct shape *shape = &all_shapes[i % G_N_ELEMENTS(all_shapes)];
        const size_t n = (size_t)g_test_rand_int_range(0, 5000);
        struct pieces pieces = frame_of(shape, payload, n, (uint16_t)(g_test_rand_int() >> 20),
                                        g_test_rand_bit() ? WHOLE : RANDOM);
        struct segmenter segmenter;

        for (int flips = g_test_rand_int_range(0, 4); flips > 0; flips--) {
            const struct iovec *range = &pieces.iov[0];

            if (range->iov_len > 0) {
                const size_t at = (size_t)g_test_rand_int_range(0, 160) % range->iov_len;

                ((uint8_t *)range->iov_base)[at] = (uint8_t)g_test_rand_int();
            }
        }
        if (g_test_rand_int_range(0, 4) == 0) {
            pieces.frame.gso_type = types[g_test_rand_int_range(0, G_N_ELEMENTS(types))];
        }
        if (segment_begin(&segmenter, &pieces.frame, 0)) {
            drain(&segmenter);
            begun++;
        }
        free_pieces(&pieces);
    }
    g_assert_cmpuint(begun, >, rounds / 10);
    g_free(payload);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/segment/tcp4", test_tcp4);
    g_test_add_func("/segment/tcp6", test_tcp6);
    g_test_add_func("/segment/congestion", test_congestion);
    g_test_add_func("/segment/urgent", test_urgent);
    g_test_add_func("/segment/datagrams", test_datagrams);
    g_test_add_func("/segment/sum-of-zero", test_sum_of_zero);
    g_test_add_func("/segment/fragments", test_fragments);
    g_test_add_func("/segment/tunnels", test_tunnels);
    g_test_add_func("/segment/tunnel-checksum-found", test_tunnel_checksum_found);
    g_test_add_func("/segment/refused/truncated", test_truncated);
    g_test_add_func("/segment/refused/types", test_wrong_types);
    g_test_add_func("/segment/refused/sizes", test_sizes);
    g_test_add_func("/segment/refused/malformed", test_malformed);
    g_test_add_func("/segment/refused/tunnel-offsets", test_tunnel_offsets);
    g_test_add_func("/segment/P-09/each-octet", test_each_octet);
    g_test_add_func("/segment/noise", test_noise);
    return g_test_run();
}
