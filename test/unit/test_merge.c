/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Merging (device/merge.c). Frames, and the packet that is expected of them, are built here octet
 * by octet with a checksum of our own; then each rule that forbids merging, and random traffic of
 * many connections, of which segmentation has to give back every frame.
 */
#include <string.h>

#include <glib.h>

#include <vionet/spec.h>

#include "merge.h"
#include "segment.h"

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16, URG = 32, ECE = 64, CWR = 128 };

#define TAKES_V4  (1u << VIRTIO_NET_F_GUEST_CSUM | 1u << VIRTIO_NET_F_GUEST_TSO4)
#define TAKES_V6  (1u << VIRTIO_NET_F_GUEST_CSUM | 1u << VIRTIO_NET_F_GUEST_TSO6)
#define TAKES_ALL (TAKES_V4 | TAKES_V6)

/* ---- Frames from scratch ---- */

struct shape {
    bool v6;
    bool df;
    unsigned vlans;
    unsigned options; /* words, of TCP */
    unsigned port;
    uint16_t id;
    uint32_t seq;
    uint8_t flags;
};

static void put16(uint8_t *p, unsigned value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static void put32(uint8_t *p, uint32_t value)
{
    put16(p, value >> 16);
    put16(p + 2, value & 0xffff);
}

static unsigned get16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
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

static size_t ip_at(const struct shape *shape)
{
    return 14 + 4 * shape->vlans;
}

static size_t tcp_at(const struct shape *shape)
{
    return ip_at(shape) + (shape->v6 ? 40 : 20);
}

static size_t headers_of(const struct shape *shape)
{
    return tcp_at(shape) + 20 + 4 * shape->options;
}

static uint32_t pseudo(const struct shape *shape, const uint8_t *frame, size_t len)
{
    const uint8_t *ip = frame + ip_at(shape);

    return sum(ip + (shape->v6 ? 8 : 12), shape->v6 ? 32 : 8, 6 + (uint32_t)(len - tcp_at(shape)));
}

/* Makes the checksums right; that of TCP for the pseudo header alone if it is partial. */
static void finish(const struct shape *shape, uint8_t *frame, size_t len, bool partial)
{
    uint8_t *ip = frame + ip_at(shape);
    uint8_t *tcp = frame + tcp_at(shape);

    if (!shape->v6) {
        put16(ip + 10, 0);
        put16(ip + 10, ~sum(ip, 20, 0));
    }
    put16(tcp + 16, 0);
    put16(tcp + 16, partial ? pseudo(shape, frame, len)
                            : ~sum(tcp, len - tcp_at(shape), pseudo(shape, frame, len)));
}

static void put_ip(const struct shape *shape, uint8_t *ip, size_t len)
{
    if (shape->v6) {
        put32(ip, 0x61234567);
        put16(ip + 4, (unsigned)(len - 40));
        ip[6] = 6;
        ip[7] = 61;
        for (unsigned i = 0; i < 32; i++) {
            ip[8 + i] = (uint8_t)(i * 11);
        }
        return;
    }
    put16(ip, 0x4502);
    put16(ip + 2, (unsigned)len);
    put16(ip + 4, shape->id);
    put16(ip + 6, shape->df ? 0x4000 : 0);
    put16(ip + 8, 0x3f06);
    put32(ip + 12, 0x0a010203);
    put32(ip + 16, 0x0a040506);
}

/* Headers and n octets of payload. */
static uint8_t *build(const struct shape *shape, const uint8_t *payload, size_t n, bool partial)
{
    const size_t len = headers_of(shape) + n;
    uint8_t *frame = g_malloc0(len);
    uint8_t *tcp = frame + tcp_at(shape);

    for (unsigned i = 0; i < 12; i++) {
        frame[i] = (uint8_t)(2 * i);
    }
    for (unsigned i = 0; i < shape->vlans; i++) {
        put16(frame + 12 + 4 * i, i + 1 < shape->vlans ? 0x88a8 : 0x8100);
        put16(frame + 14 + 4 * i, 0x2000 + 100 * i);
    }
    put16(frame + ip_at(shape) - 2, shape->v6 ? 0x86dd : 0x0800);
    put_ip(shape, frame + ip_at(shape), len - ip_at(shape));
    put16(tcp, shape->port);
    put16(tcp + 2, 5001);
    put32(tcp + 4, shape->seq);
    put32(tcp + 8, 0xcafebabe);
    tcp[12] = (uint8_t)((5 + shape->options) << 4);
    tcp[13] = shape->flags;
    put16(tcp + 14, 0x7ffe);
    for (unsigned i = 0; i < shape->options; i++) {
        put32(tcp + 20 + 4 * i, 0x01010100 + i);
    }
    if (n > 0) {
        memcpy(tcp + 20 + 4 * shape->options, payload, n);
    }
    finish(shape, frame, len, partial);
    return frame;
}

static uint8_t *new_payload(size_t n)
{
    uint8_t *payload = g_malloc(n + 1);

    for (size_t i = 0; i < n; i++) {
        payload[i] = (uint8_t)(i * 31 + (i >> 8) * 7);
    }
    return payload;
}

/* ---- The burst: frames on their way through the merger ---- */

enum split { WHOLE, BEHIND_HEADERS, OCTETS, RANDOM };

struct original {
    uint8_t *octets;
    size_t len;
    unsigned connection; /* that it is of, for the order */
    bool bad;            /* may not be merged */
    bool seen;
    VionetFrame frame;
    GArray *iov;
};

struct run {
    struct merger *merger;
    GPtrArray *originals;
    VionetFrame *packets;
    size_t n;
};

static void original_free(gpointer data)
{
    struct original *original = data;

    for (unsigned i = 0; i < original->iov->len; i++) {
        g_free(g_array_index(original->iov, struct iovec, i).iov_base);
    }
    g_array_unref(original->iov);
    g_free(original->octets);
    g_free(original);
}

static struct run *run_new(void)
{
    struct run *run = g_new0(struct run, 1);

    run->merger = merger_new();
    run->originals = g_ptr_array_new_with_free_func(original_free);
    return run;
}

static void run_free(struct run *run)
{
    merger_free(run->merger);
    g_ptr_array_unref(run->originals);
    g_free(run->packets);
    g_free(run);
}

static struct original *original_at(const struct run *run, size_t i)
{
    return g_ptr_array_index(run->originals, i);
}

static size_t range_len(size_t at, size_t len, enum split split)
{
    size_t n = len - at;

    if (split == BEHIND_HEADERS && at == 0) {
        n = MIN(len, 54);
    } else if (split == OCTETS) {
        n = 1;
    } else if (split == RANDOM && g_test_rand_int_range(0, 3) > 0) {
        n = (size_t)g_test_rand_int_range(0, g_test_rand_bit() ? 60 : 1000);
    }
    return MIN(n, len - at);
}

/* Adds a frame, and owns it. Each of its ranges is memory of its own, of exactly its length. */
static struct original *run_add(struct run *run, uint8_t *octets, size_t len, enum split split)
{
    struct original *original = g_new0(struct original, 1);

    original->octets = octets;
    original->len = len;
    original->iov = g_array_new(FALSE, FALSE, sizeof(struct iovec));
    for (size_t at = 0; at < len || original->iov->len == 0;) {
        struct iovec range = {NULL, range_len(at, len, split)};

        range.iov_base = g_malloc(MAX(range.iov_len, 1));
        if (range.iov_len > 0) {
            memcpy(range.iov_base, octets + at, range.iov_len);
        }
        at += range.iov_len;
        g_array_append_val(original->iov, range);
    }
    original->frame.n_iov = original->iov->len;
    original->frame.iov = (struct iovec *)(void *)original->iov->data;
    original->frame.len = (uint32_t)len;
    original->frame.token = run->originals->len;
    g_ptr_array_add(run->originals, original);
    return original;
}

static struct original *run_add_shape(struct run *run, const struct shape *shape,
                                      const uint8_t *payload, size_t n)
{
    return run_add(run, build(shape, payload, n, false), headers_of(shape) + n, WHOLE);
}

static void run_merge(struct run *run, uint64_t offloads)
{
    const size_t n = run->originals->len;

    g_free(run->packets);
    run->packets = g_new0(VionetFrame, n);
    merge_begin(run->merger, run->packets, n, offloads);
    for (size_t i = 0; i < n; i++) {
        run->n = merge_add(run->merger, &original_at(run, i)->frame);
    }
    g_assert_cmpuint(merge_end(run->merger), ==, run->n);
}

/* ---- Expectations ---- */

static uint8_t *octets_of(const VionetFrame *frame)
{
    VionetFrame plain = {.iov = frame->iov, .n_iov = frame->n_iov, .len = frame->len};
    uint8_t *octets = g_malloc(frame->len + 1);

    g_assert_cmpuint(vionet_frame_linearize(&plain, octets, frame->len), ==, frame->len);
    return octets;
}

static void assert_same(const uint8_t *found, size_t n, const uint8_t *expected, size_t n_expected)
{
    for (size_t i = 0; i < MIN(n, n_expected); i++) {
        if (found[i] != expected[i]) {
            g_error("octet %zu is %02x, not %02x", i, found[i], expected[i]);
        }
    }
    g_assert_cmpuint(n, ==, n_expected);
}

/* A packet that bears payload of so many octets, in frames of size. */
static void assert_packet(const VionetFrame *packet, const struct shape *shape,
                          const uint8_t *payload, size_t n, size_t size)
{
    uint8_t *expected = build(shape, payload, n, true);
    uint8_t *found = octets_of(packet);

    assert_same(found, packet->len, expected, headers_of(shape) + n);
    g_assert_cmphex(packet->flags, ==, VIRTIO_NET_HDR_F_NEEDS_CSUM);
    g_assert_cmphex(packet->gso_type, ==,
                    shape->v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4);
    g_assert_cmpuint(packet->gso_size, ==, size);
    g_assert_cmpuint(packet->hdr_len, ==, headers_of(shape));
    g_assert_cmpuint(packet->csum_start, ==, tcp_at(shape));
    g_assert_cmpuint(packet->csum_offset, ==, 16);
    g_free(found);
    g_free(expected);
}

/* Octets of the frame's own memory that the packet refers to: all of the payload. */
static bool refers_to(const VionetFrame *packet, const struct original *original, size_t n)
{
    const struct iovec *last = &original->frame.iov[original->frame.n_iov - 1];
    const uint8_t *end = (const uint8_t *)last->iov_base + last->iov_len;

    for (unsigned i = 1; i < packet->n_iov; i++) {
        if ((const uint8_t *)packet->iov[i].iov_base + packet->iov[i].iov_len == end) {
            return packet->iov[i].iov_len == n;
        }
    }
    return false;
}

/* What segmentation makes of a packet is this frame; same_id: but for its identification. */
static void assert_segment(struct segmenter *segmenter, const struct original *original,
                           const struct shape *same_id)
{
    const size_t len = segment_len(segmenter);
    uint8_t *found = g_malloc(len + 1);
    uint8_t *expected = g_memdup2(original->octets, original->len);

    g_assert_cmpuint(segment_next(segmenter, found, len), ==, len);
    if (same_id) {
        memcpy(expected + ip_at(same_id) + 4, found + ip_at(same_id) + 4, 2);
        finish(same_id, expected, original->len, false);
    }
    assert_same(found, len, expected, original->len);
    g_free(expected);
    g_free(found);
}

/* A packet's parts, which are frames in order; how many. */
static unsigned check_packet(struct run *run, const VionetFrame *packet,
                             const struct shape *same_id)
{
    const bool merged = packet->gso_type != 0 && packet->token >= run->originals->len;
    const VionetFrame *parts;
    const unsigned n = merge_give_back(run->merger, packet, &parts);
    struct segmenter segmenter;

    g_assert_cmpuint(n, >, 0);
    g_assert_true(merged == (n > 1));
    g_assert_true(!merged || segment_begin(&segmenter, packet, 0));
    for (unsigned i = 0; i < n; i++) {
        struct original *original = original_at(run, parts[i].token);

        g_assert_false(original->seen);
        original->seen = true;
        if (merged) {
            g_assert_false(original->bad);
            assert_segment(&segmenter, original, same_id);
        } else {
            g_assert_cmpmem(packet, sizeof(*packet), &original->frame, sizeof(*packet));
        }
        g_assert_true(i == 0 || parts[i].token > parts[i - 1].token);
    }
    g_assert_true(!merged || segment_len(&segmenter) == 0);
    return n;
}

/* All frames come out, once. How many were merged. */
static unsigned check_all(struct run *run)
{
    unsigned n_merged = 0;

    for (size_t i = 0; i < run->n; i++) {
        const VionetFrame packet = run->packets[i];
        const unsigned n = check_packet(run, &packet, NULL);
        const VionetFrame *parts;

        n_merged += n > 1 ? n : 0;
        if (packet.token >= run->originals->len) {
            g_assert_cmpuint(merge_give_back(run->merger, &packet, &parts), ==, 0); /* twice */
        }
    }
    for (size_t i = 0; i < run->originals->len; i++) {
        g_assert_true(original_at(run, i)->seen);
    }
    return n_merged;
}

/* How many frames each packet has: "31" for two packets, of three frames and one. */
static void assert_parts(struct run *run, const char *expected, const char *name)
{
    GString *found = g_string_new(NULL);

    for (size_t i = 0; i < run->n; i++) {
        g_string_append_printf(found, "%u", check_packet(run, &run->packets[i], NULL));
    }
    if (strcmp(found->str, expected) != 0) {
        g_error("%s: %s, not %s", name, found->str, expected);
    }
    g_string_free(found, TRUE);
}

/* ---- What is merged ---- */

/* Adds the payload in frames of size. */
static void add_stream(struct run *run, const struct shape *shape, const uint8_t *payload, size_t n,
                       size_t size, enum split split)
{
    for (size_t at = 0, i = 0; at < n; at += size, i++) {
        const size_t here = MIN(size, n - at);
        struct shape each = *shape;

        each.seq += (uint32_t)at;
        each.id = (uint16_t)(each.id + i);
        each.flags &= (uint8_t)(at + here < n ? ~PSH : 0xff);
        run_add(run, build(&each, payload + at, here, false), headers_of(shape) + here, split);
    }
}

/* A stream that becomes one packet. */
static void check_stream(const struct shape *shape, size_t n, size_t size, enum split split)
{
    struct run *run = run_new();
    uint8_t *payload = new_payload(n);

    add_stream(run, shape, payload, n, size, split);
    run_merge(run, shape->v6 ? TAKES_V6 : TAKES_V4);
    g_assert_cmpuint(run->n, ==, 1);
    assert_packet(&run->packets[0], shape, payload, n, size);
    if (split == WHOLE) {
        for (size_t i = 0; i < run->originals->len; i++) {
            g_assert_true(
                refers_to(&run->packets[0], original_at(run, i), MIN(size, n - i * size)));
        }
    }
    g_assert_cmpuint(check_all(run), ==, run->originals->len);
    g_free(payload);
    run_free(run);
}

static void test_streams(void)
{
    static const struct shape shapes[] = {
        {.flags = ACK, .id = 0xfffe, .seq = 0xffffff00},
        {.flags = ACK | PSH, .df = true, .vlans = 1},
        {.flags = ACK | PSH, .options = 3, .vlans = 2},
        {.flags = ACK, .options = 10, .id = 7},
        {.v6 = true, .flags = ACK | PSH, .seq = 0xfffffff0},
        {.v6 = true, .flags = ACK, .options = 10, .vlans = 2},
        {.v6 = true, .flags = ACK, .options = 3},
    };
    static const size_t sizes[] = {1, 2, 7, 536, 1447, 1448, 1460, 9000};

    for (size_t i = 0; i < G_N_ELEMENTS(shapes) * G_N_ELEMENTS(sizes); i++) {
        const struct shape *shape = &shapes[i / G_N_ELEMENTS(sizes)];
        const size_t size = sizes[i % G_N_ELEMENTS(sizes)];
        const size_t lens[] = {size + 1, 2 * size, 2 * size + 1, 5 * size - 1, 6 * size + size / 2,
                               7 * size};

        for (size_t k = 0; k < G_N_ELEMENTS(lens); k++) {
            if (lens[k] > size) {
                check_stream(shape, lens[k], size, WHOLE);
                check_stream(shape, lens[k], size, BEHIND_HEADERS);
                check_stream(shape, lens[k], size, RANDOM);
            }
        }
    }
}

/* Frames of size, in all n octets: the first packet bears so many of them. */
static void check_limit(const struct shape *shape, size_t n, size_t size, size_t first)
{
    struct run *run = run_new();
    uint8_t *payload = new_payload(n);

    add_stream(run, shape, payload, n, size, WHOLE);
    run_merge(run, TAKES_ALL);
    assert_packet(&run->packets[0], shape, payload, first, size);
    if (first == n) {
        g_assert_cmpuint(run->n, ==, 1);
    }
    check_all(run);
    g_free(payload);
    run_free(run);
}

static void test_limits(void)
{
    const struct shape v4 = {.flags = ACK};
    const struct shape v6 = {.flags = ACK, .v6 = true};
    const struct shape vlan = {.flags = ACK, .vlans = 1};

    check_limit(&v4, 65495, 1455, 65495); /* 65535 octets of IP */
    check_limit(&v4, 65496, 1455, 45 * 1455);
    check_limit(&v4, 70000, 1460, 44 * 1460);
    check_limit(&v4, 65495, 32748, 65495);
    check_limit(&v6, 65475, 1455, 65475);
    check_limit(&v6, 65475 + 1455, 1455, 65475);
    check_limit(&v6, 100000, 1440, 45 * 1440);
    check_limit(&vlan, 65491, 9000, 65491); /* the device takes no longer frames */
    check_limit(&vlan, 65492, 9000, 63000);
    check_limit(&v4, 1000, 10, 10 * MERGE_MOST);
}

/* A packet has 128 ranges at most, and a frame only joins if all of its own would have room. */
static void test_ranges(void)
{
    static const struct {
        size_t size;
        const char *parts;
    } cases[] = {{10, "4"}, {20, "31"}, {30, "22"}, {40, "1111"}, {200, "1111"}};
    const struct shape shape = {.flags = ACK};

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const size_t n = 4 * cases[i].size;
        struct run *run = run_new();
        uint8_t *payload = new_payload(n);

        add_stream(run, &shape, payload, n, cases[i].size, OCTETS);
        run_merge(run, TAKES_ALL);
        assert_parts(run, cases[i].parts, "ranges");
        g_free(payload);
        run_free(run);
    }
}

static void test_offloads(void)
{
    static const struct {
        uint64_t offloads;
        bool v4;
        bool v6;
    } cases[] = {
        {0, false, false},
        {1u << VIRTIO_NET_F_GUEST_TSO4 | 1u << VIRTIO_NET_F_GUEST_TSO6, false, false},
        {1u << VIRTIO_NET_F_GUEST_CSUM, false, false},
        {TAKES_V4, true, false},
        {TAKES_V6, false, true},
        {TAKES_ALL, true, true},
        {UINT64_MAX, true, true},
    };

    for (size_t i = 0; i < 2 * G_N_ELEMENTS(cases); i++) {
        const struct shape shape = {.v6 = i % 2, .flags = ACK};
        struct run *run = run_new();
        uint8_t *payload = new_payload(3000);

        add_stream(run, &shape, payload, 3000, 1000, WHOLE);
        run_merge(run, cases[i / 2].offloads);
        assert_parts(run, (i % 2 ? cases[i / 2].v6 : cases[i / 2].v4) ? "3" : "111", "offloads");
        g_free(payload);
        run_free(run);
    }
}

/* ---- What is not ---- */

/* Octets of the second of three frames, counted from the IP or the TCP header, are changed. */
struct change {
    const char *name;
    const char *parts;
    bool in_tcp;
    int at;
    uint8_t flip;
};

static const struct change any_changes[] = {
    {"destination MAC", "111", false, -14, 1},
    {"source MAC", "111", false, -3, 1},
    {"source port", "111", true, 1, 1},
    {"destination port", "111", true, 2, 1},
    {"sequence number", "111", true, 7, 1},
    {"sequence number, far away", "111", true, 4, 0x80},
    {"acknowledgement", "111", true, 11, 1},
    {"reserved bit", "111", true, 12, 1},
    {"longer options", "111", true, 12, 0x20},
    {"header too short", "111", true, 12, 0x30},
    {"FIN", "111", true, 13, FIN},
    {"SYN", "111", true, 13, SYN},
    {"RST", "111", true, 13, RST},
    {"URG", "111", true, 13, URG},
    {"ECE", "111", true, 13, ECE},
    {"CWR", "111", true, 13, CWR},
    {"no ACK", "111", true, 13, ACK},
    {"no ACK, PSH", "111", true, 13, ACK | PSH},
    {"window", "111", true, 15, 1},
    {"urgent pointer", "111", true, 19, 1},
    {"option", "111", true, 23, 1},
    {"PSH", "21", true, 13, PSH},
    {"payload", "3", true, 24, 1},
};

static const struct change v4_changes[] = {
    {"version", "111", false, 0, 0x10},
    {"IP options", "111", false, 0, 3},
    {"header length", "111", false, 0, 1},
    {"TOS", "111", false, 1, 1},
    {"IP length, shorter", "111", false, 3, 1},
    {"IP length, longer", "111", false, 2, 0x80},
    {"identification", "111", false, 5, 4},
    {"reserved flag", "111", false, 6, 0x80},
    {"DF", "111", false, 6, 0x40},
    {"more fragments", "111", false, 6, 0x20},
    {"fragment", "111", false, 7, 1},
    {"TTL", "111", false, 8, 1},
    {"protocol", "111", false, 9, 3},
    {"source", "111", false, 15, 1},
    {"destination", "111", false, 16, 1},
    {"EtherType", "111", false, -1, 1},
};

static const struct change v6_changes[] = {
    {"version", "111", false, 0, 0x10},
    {"traffic class", "111", false, 0, 1},
    {"flow label", "111", false, 3, 1},
    {"payload length, shorter", "111", false, 5, 1},
    {"payload length, longer", "111", false, 4, 0x80},
    {"next header", "111", false, 6, 1},
    {"fragment", "111", false, 6, 42},
    {"hop limit", "111", false, 7, 1},
    {"source", "111", false, 23, 1},
    {"destination", "111", false, 39, 1},
    {"EtherType", "111", false, -1, 1},
};

static void check_change(const struct shape *shape, const struct change *change)
{
    struct run *run = run_new();
    uint8_t *payload = new_payload(3001);

    for (unsigned i = 0; i < 3; i++) {
        struct shape each = *shape;
        uint8_t *frame;
        size_t len;

        each.seq += 1000 * i;
        each.id = (uint16_t)(each.id + i);
        len = headers_of(shape) + 1000;
        frame = build(&each, payload + (size_t)(1000 * i), 1000, false);
        if (i == 1) {
            const size_t at = change->in_tcp ? tcp_at(shape) : ip_at(shape);

            frame[(int)at + change->at] ^= change->flip;
            finish(shape, frame, len, false);
        }
        run_add(run, frame, len, WHOLE);
    }
    run_merge(run, TAKES_ALL);
    assert_parts(run, change->parts, change->name);
    g_free(payload);
    run_free(run);
}

static void test_changes(void)
{
    for (unsigned k = 0; k < 6; k++) {
        const struct shape shape = {.v6 = k % 2, .vlans = k / 2, .options = 1, .flags = ACK};

        for (size_t i = 0; i < G_N_ELEMENTS(any_changes); i++) {
            check_change(&shape, &any_changes[i]);
        }
        for (size_t i = 0; !shape.v6 && i < G_N_ELEMENTS(v4_changes); i++) {
            check_change(&shape, &v4_changes[i]);
        }
        for (size_t i = 0; shape.v6 && i < G_N_ELEMENTS(v6_changes); i++) {
            check_change(&shape, &v6_changes[i]);
        }
    }
}

/* Two frames that follow each other, both with an octet of TCP's header set. */
static void check_both(unsigned at, unsigned octet, const char *parts)
{
    struct run *run = run_new();
    uint8_t payload[200] = {0};

    for (unsigned i = 0; i < 2; i++) {
        const struct shape shape = {.flags = ACK, .seq = 100 * i, .id = (uint16_t)i};
        const size_t len = headers_of(&shape) + 100;
        uint8_t *frame = build(&shape, payload, 100, false);

        frame[tcp_at(&shape) + at] = (uint8_t)octet;
        finish(&shape, frame, len, false);
        run_add(run, frame, len, WHOLE);
    }
    run_merge(run, TAKES_ALL);
    assert_parts(run, parts, "both");
    run_free(run);
}

/* What segmentation treats in a way of its own stays alone though all frames bear it. */
static void test_both(void)
{
    for (unsigned octet = 0; octet < 256; octet++) {
        check_both(13, octet, octet == ACK ? "2" : "11");  /* flags */
        check_both(12, octet, octet == 0x50 ? "2" : "11"); /* reserved */
        check_both(18, octet, octet == 0 ? "2" : "11");    /* urgent */
        check_both(19, octet, octet == 0 ? "2" : "11");
        check_both(15, octet, "2"); /* window */
    }
}

/* Frames of these lengths, in this order, of one connection. */
static void check_lengths(const size_t *lens, size_t n, const char *parts)
{
    struct run *run = run_new();
    uint8_t *payload = new_payload(10000);
    struct shape shape = {.flags = ACK};

    for (size_t i = 0; i < n; i++, shape.id++) {
        run_add_shape(run, &shape, payload, lens[i]);
        shape.seq += (uint32_t)lens[i];
    }
    run_merge(run, TAKES_ALL);
    assert_parts(run, parts, "lengths");
    g_free(payload);
    run_free(run);
}

static void test_lengths(void)
{
    check_lengths((size_t[]){100, 100, 99, 100}, 4, "31");
    check_lengths((size_t[]){100, 101, 101}, 3, "12");
    check_lengths((size_t[]){100, 1, 1, 1}, 4, "22");
    check_lengths((size_t[]){100, 0, 100}, 3, "111"); /* nothing but an acknowledgement */
    check_lengths((size_t[]){0, 0, 100, 100}, 4, "112");
    check_lengths((size_t[]){1, 1, 2, 2, 1, 1}, 6, "231");
}

/* Ethernet fills up short frames: segmentation would not. */
static void test_padding(void)
{
    const struct shape shape = {.flags = ACK};
    struct run *run = run_new();
    uint8_t payload[100] = {0};

    for (unsigned i = 0; i < 3; i++) {
        struct shape each = {.flags = ACK, .seq = 3 * i, .id = (uint16_t)i};
        uint8_t *frame = build(&each, payload, 3, false);

        run_add(run, g_realloc(frame, 60), i == 1 ? 60 : headers_of(&shape) + 3, WHOLE);
        memset(original_at(run, i)->octets + headers_of(&shape) + 3, 0, 3);
    }
    run_merge(run, TAKES_ALL);
    assert_parts(run, "111", "padding");
    run_free(run);
}

/* ---- Identifications ---- */

static void check_ids(bool df, const uint16_t ids[3], const char *parts, bool same)
{
    const struct shape with = {.flags = ACK, .df = df};
    struct run *run = run_new();
    GString *found = g_string_new(NULL);
    uint8_t payload[100] = {0};

    for (unsigned i = 0; i < 3; i++) {
        struct shape shape = with;

        shape.seq = 100 * i;
        shape.id = ids[i];
        run_add_shape(run, &shape, payload, 100);
    }
    run_merge(run, TAKES_ALL);
    for (size_t i = 0; i < run->n; i++) {
        g_string_append_printf(found, "%u",
                               check_packet(run, &run->packets[i], same ? &with : NULL));
    }
    g_assert_cmpstr(found->str, ==, parts);
    g_string_free(found, TRUE);
    run_free(run);
}

static void test_identifications(void)
{
    check_ids(false, (uint16_t[]){5, 6, 7}, "3", false);
    check_ids(true, (uint16_t[]){5, 6, 7}, "3", false);
    check_ids(false, (uint16_t[]){0xffff, 0, 1}, "3", false);
    check_ids(false, (uint16_t[]){5, 5, 5}, "111", false);
    check_ids(true, (uint16_t[]){5, 5, 5}, "3", true);
    check_ids(true, (uint16_t[]){0, 0, 0}, "3", true);
    check_ids(true, (uint16_t[]){5, 5, 6}, "21", true);
    check_ids(true, (uint16_t[]){5, 6, 6}, "21", false);
    check_ids(true, (uint16_t[]){5, 7, 9}, "111", false);
    check_ids(false, (uint16_t[]){5, 7, 8}, "12", false);
    check_ids(false, (uint16_t[]){5, 4, 3}, "111", false);
}

/* ---- Checksums ---- */

/* Three frames; the second has octets flipped at the end of all. */
static void check_trust(const struct shape *shape, uint8_t flags, unsigned at, uint8_t flip,
                        const char *parts)
{
    struct run *run = run_new();
    uint8_t *payload = new_payload(300);
    GString *found = g_string_new(NULL);

    for (unsigned i = 0; i < 3; i++) {
        struct shape each = *shape;
        struct original *original;
        uint8_t *frame;

        each.seq += 100 * i;
        each.id = (uint16_t)(each.id + i);
        frame = build(&each, payload + (size_t)(100 * i), 100, false);
        frame[at] ^= i == 1 ? flip : 0;
        original = run_add(run, frame, headers_of(shape) + 100, RANDOM);
        original->frame.flags = flags;
    }
    run_merge(run, TAKES_ALL);
    for (size_t i = 0; i < run->n; i++) {
        const VionetFrame *frames;

        g_string_append_printf(found, "%u",
                               merge_give_back(run->merger, &run->packets[i], &frames));
    }
    g_assert_cmpstr(found->str, ==, parts);
    g_string_free(found, TRUE);
    g_free(payload);
    run_free(run);
}

static void test_checksums(void)
{
    for (unsigned v6 = 0; v6 < 2; v6++) {
        const struct shape shape = {.v6 = v6, .flags = ACK};
        const unsigned payload = (unsigned)headers_of(&shape) + 50;
        const unsigned field = (unsigned)tcp_at(&shape) + 16;

        check_trust(&shape, 0, payload, 0, "3");
        check_trust(&shape, 0, payload, 1, "111");
        check_trust(&shape, 0, payload + 49, 0x80, "111");
        check_trust(&shape, 0, field, 1, "111");
        check_trust(&shape, VIRTIO_NET_HDR_F_DATA_VALID, payload, 1, "3"); /* believed */
        check_trust(&shape, VIRTIO_NET_HDR_F_NEEDS_CSUM, payload, 0, "111");
        check_trust(&shape, 0xff, payload, 0, "111");
    }
    /* That of IP is never believed. */
    check_trust(&(struct shape){.flags = ACK}, VIRTIO_NET_HDR_F_DATA_VALID, 14 + 10, 1, "111");
}

/* Two frames, the first with 0xffff in the checksum at field if it is 0; true if it was. */
static bool check_unusual(struct shape shape, const uint8_t payload[4], size_t field)
{
    struct run *run = run_new();
    uint8_t *frame = build(&shape, payload, 4, false);
    const bool zero = get16(frame + field) == 0;

    if (zero) {
        put16(frame + field, 0xffff);
    }
    run_add(run, frame, headers_of(&shape) + 4, WHOLE);
    shape.seq += 4;
    shape.id++;
    run_add_shape(run, &shape, payload, 4);
    run_merge(run, TAKES_ALL);
    assert_parts(run, zero ? "11" : "2", "sum");
    run_free(run);
    return zero;
}

/* 0xffff says the same as 0, but would not come back. All sums are met. */
static void test_unusual_checksums(void)
{
    unsigned tcp_zeros = 0;
    unsigned ip_zeros = 0;

    for (unsigned i = 0; i < 65536; i++) {
        const struct shape shape = {.flags = ACK, .id = (uint16_t)i};
        const uint8_t payload[4] = {(uint8_t)(i >> 8), (uint8_t)i};

        tcp_zeros += check_unusual(shape, payload, tcp_at(&shape) + 16);
        ip_zeros += check_unusual(shape, payload, ip_at(&shape) + 10);
    }
    g_assert_cmpuint(tcp_zeros, >, 0);
    g_assert_cmpuint(ip_zeros, >, 0);
}

/* ---- Connections side by side ---- */

static void test_interleaved(void)
{
    struct run *run = run_new();
    uint8_t payload[100] = {0};

    for (unsigned i = 0; i < 12; i++) {
        const struct shape shape = {.v6 = i % 4 == 3,
                                    .flags = ACK,
                                    .port = i % 4,
                                    .seq = 100 * (i / 4),
                                    .id = (uint16_t)(i / 4)};

        run_add_shape(run, &shape, payload, 100);
    }
    run_merge(run, TAKES_ALL);
    assert_parts(run, "3333", "interleaved");
    run_free(run);
}

/* Between two frames that fit stands another, changed: parts of all. */
static void check_between(const struct shape *other, size_t at, uint8_t octet, uint8_t gso_type,
                          const char *parts)
{
    struct run *run = run_new();
    uint8_t payload[100] = {0};
    struct shape shape = {.flags = ACK};
    struct original *between;
    uint8_t *frame = build(other, payload, 100, false);

    run_add_shape(run, &shape, payload, 100);
    frame[at] = octet;
    finish(other, frame, headers_of(other) + 100, false);
    between = run_add(run, frame, headers_of(other) + 100, WHOLE);
    between->frame.gso_type = gso_type;
    shape.seq += 100;
    shape.id++;
    run_add_shape(run, &shape, payload, 100);
    run_merge(run, TAKES_ALL);
    assert_parts(run, parts, "between");
    run_free(run);
}

/* What may belong to the connection ends the packet, what cannot does not. */
static void test_between(void)
{
    const struct shape v4 = {.port = 9, .flags = ACK};
    const struct shape v6 = {.port = 9, .flags = ACK, .v6 = true};

    check_between(&v4, 35, 9, 0, "21");
    check_between(&v6, 55, 9, 0, "21");
    check_between(&v4, 47, SYN, 0, "21");
    check_between(&v4, 13, 6, 0, "21");     /* ARP */
    check_between(&v4, 23, 17, 0, "21");    /* UDP */
    check_between(&v6, 20, 58, 0, "21");    /* ICMPv6 */
    check_between(&v4, 20, 0x20, 0, "111"); /* a fragment */
    check_between(&v4, 14, 0x46, 0, "111"); /* IP options */
    check_between(&v6, 20, 44, 0, "111");   /* a fragment */
    check_between(&v6, 20, 60, 0, "111");   /* options in front of TCP */
    check_between(&v4, 12, 0x88, 0, "111"); /* MPLS or worse */
    check_between(&v4, 35, 9, 1, "111");    /* to be segmented already */
    check_between(&v4, 35, 0, 0, "12");     /* the connection itself, from its beginning */
}

static void test_many_connections(void)
{
    static const unsigned counts[] = {2, 31, 32, 33, 100};
    uint8_t payload[100] = {0};

    for (size_t k = 0; k < G_N_ELEMENTS(counts); k++) {
        struct run *run = run_new();

        for (unsigned i = 0; i < 4 * counts[k]; i++) {
            const struct shape shape = {.flags = ACK,
                                        .port = i % counts[k],
                                        .seq = 100 * (i / counts[k]),
                                        .id = (uint16_t)(i / counts[k])};

            run_add_shape(run, &shape, payload, 100);
        }
        run_merge(run, TAKES_ALL);
        g_assert_cmpuint(run->n, ==, counts[k] <= 32 ? counts[k] : 4 * counts[k]);
        check_all(run);
        run_free(run);
    }
}

/* ---- Giving back ---- */

/* Packets of several bursts are out, and come back in another order. */
static void test_out_of_order(void)
{
    struct run *run = run_new();
    uint8_t *payload = new_payload(3000);
    const struct shape shape = {.flags = ACK};
    const VionetFrame *parts;
    VionetFrame packets[20];

    add_stream(run, &shape, payload, 3000, 1000, WHOLE);
    for (unsigned i = 0; i < 20; i++) {
        run_merge(run, TAKES_ALL);
        g_assert_cmpuint(run->n, ==, 1);
        packets[i] = run->packets[0];
    }
    for (unsigned i = 0; i < 20; i++) {
        const VionetFrame *packet = &packets[i * 7 % 20];

        assert_packet(packet, &shape, payload, 3000, 1000);
        g_assert_cmpuint(merge_give_back(run->merger, packet, &parts), ==, 3);
        g_assert_cmpuint(parts[2].token, ==, 2);
        g_assert_cmpuint(merge_give_back(run->merger, packet, &parts), ==, 0);
    }
    packets[0].token = UINT64_MAX;
    g_assert_cmpuint(merge_give_back(run->merger, &packets[0], &parts), ==, 0);
    g_free(payload);
    run_free(run);
}

static void test_nothing(void)
{
    struct merger *merger = merger_new();
    const VionetFrame empty = {.token = 5};
    VionetFrame packet;

    merge_begin(merger, NULL, 0, TAKES_ALL);
    g_assert_cmpuint(merge_end(merger), ==, 0);
    merge_begin(merger, &packet, 1, TAKES_ALL);
    g_assert_cmpuint(merge_add(merger, &empty), ==, 1);
    g_assert_cmpuint(merge_end(merger), ==, 1);
    g_assert_cmpuint(packet.token, ==, 5);
    merger_free(merger);
    merger_free(NULL);
}

/* ---- Malformed frames and noise ---- */

static void test_truncated(void)
{
    for (unsigned k = 0; k < 12; k++) {
        const struct shape shape = {
            .v6 = k % 2, .vlans = k / 2 % 3, .options = k / 6 * 10, .flags = ACK};
        const size_t len = headers_of(&shape) + 10;
        uint8_t payload[10] = {0};

        for (size_t cut = 0; cut < len; cut++) {
            struct run *run = run_new();
            struct shape next = shape;

            run_add_shape(run, &shape, payload, 10);
            next.seq += 10;
            next.id++;
            run_add(run, build(&next, payload, 10, false), cut, cut % 2 ? WHOLE : RANDOM);
            run_merge(run, TAKES_ALL);
            assert_parts(run, "11", "truncated");
            run_free(run);
        }
    }
}

#define ANY 8 /* stands where a connection is not known */

/* A sender that does mostly what can be merged. */
struct sender {
    struct shape shape;
    size_t size;
};

static void send_random(struct run *run, struct sender *sender, unsigned number)
{
    static const uint8_t flags[] = {ACK | PSH, ACK | PSH, ACK | FIN, SYN,
                                    RST,       ACK | URG, ACK | ECE};
    struct shape *shape = &sender->shape;
    struct shape each = *shape;
    uint8_t payload[1500];
    size_t n = sender->size;
    struct original *original;
    uint8_t *frame;

    for (size_t i = 0; i < sizeof(payload); i++) {
        payload[i] = (uint8_t)g_test_rand_int();
    }
    if (g_test_rand_int_range(0, 8) == 0) {
        n = (size_t)g_test_rand_int_range(0, (int)sender->size + 1);
    }
    if (g_test_rand_int_range(0, 12) == 0) {
        each.flags = flags[g_test_rand_int_range(0, G_N_ELEMENTS(flags))];
    }
    each.seq += g_test_rand_int_range(0, 20) == 0 ? 1 : 0;
    each.id = (uint16_t)(each.id + (g_test_rand_int_range(0, 20) == 0 ? 1000 : 0));
    each.options ^= g_test_rand_int_range(0, 20) == 0 ? 1u : 0;
    frame = build(&each, payload, n, false);
    original = run_add(run, frame, headers_of(&each) + n, g_test_rand_bit() ? WHOLE : RANDOM);
    original->connection = number;
    if (g_test_rand_int_range(0, 8) == 0) {
        original->frame.flags = VIRTIO_NET_HDR_F_DATA_VALID;
    }
    shape->seq += (uint32_t)n;
    shape->id++;
}

/* Breaks an octet, of the frame's first range and of what is known of it. */
static void break_original(struct original *original)
{
    const struct iovec *range = &original->frame.iov[0];
    size_t at;

    if (range->iov_len == 0) {
        return;
    }
    at = (size_t)g_test_rand_int_range(0, 120) % range->iov_len;
    original->octets[at] ^= (uint8_t)g_test_rand_int_range(1, 256);
    ((uint8_t *)range->iov_base)[at] = original->octets[at];
    original->frame.flags = 0;
    original->bad = at >= 66; /* a checksum covers it, whatever is in front */
    if (at < 66) {            /* it may bear the name of another connection */
        original->connection = ANY;
    }
}

/* Frames of each connection come out in order. */
static void check_order(struct run *run)
{
    size_t last[ANY] = {0};

    for (size_t i = 0; i < run->n; i++) {
        const VionetFrame packet = run->packets[i];
        const VionetFrame *parts;
        const unsigned n = merge_give_back(run->merger, &packet, &parts);

        for (unsigned k = 0; k < n; k++) {
            const unsigned connection = original_at(run, parts[k].token)->connection;

            if (connection != ANY) {
                g_assert_cmpuint(parts[k].token + 1, >, last[connection]);
                last[connection] = parts[k].token + 1;
            }
        }
    }
}

static unsigned random_burst(bool noisy)
{
    struct sender senders[ANY];
    const unsigned n_senders = (unsigned)g_test_rand_int_range(1, ANY + 1);
    const int n = g_test_rand_int_range(1, 100);
    struct run *run = run_new();
    unsigned merged;

    for (unsigned i = 0; i < n_senders; i++) {
        senders[i] = (struct sender){.size = (size_t)g_test_rand_int_range(1, 1460)};
        senders[i].shape = (struct shape){.v6 = g_test_rand_bit(),
                                          .df = g_test_rand_bit(),
                                          .vlans = (unsigned)g_test_rand_int_range(0, 3),
                                          .options = (unsigned)g_test_rand_int_range(0, 10),
                                          .port = i,
                                          .id = (uint16_t)g_test_rand_int(),
                                          .seq = (uint32_t)g_test_rand_int(),
                                          .flags = ACK};
    }
    for (int i = 0; i < n; i++) {
        const unsigned number = (unsigned)g_test_rand_int_range(0, (int)n_senders);

        send_random(run, &senders[number], number);
        if (noisy && g_test_rand_int_range(0, 4) == 0) {
            break_original(original_at(run, run->originals->len - 1));
        }
    }
    run_merge(run, TAKES_ALL);
    check_order(run);
    run_merge(run, TAKES_ALL);
    merged = check_all(run);
    run_free(run);
    return merged;
}

static void test_random(void)
{
    const unsigned rounds = g_test_slow() ? 20000 : 1000;
    unsigned merged = 0;

    for (unsigned i = 0; i < rounds; i++) {
        merged += random_burst(false);
    }
    g_assert_cmpuint(merged, >, 5 * rounds);
}

static void test_noise(void)
{
    const unsigned rounds = g_test_slow() ? 20000 : 1000;
    unsigned merged = 0;

    for (unsigned i = 0; i < rounds; i++) {
        merged += random_burst(true);
    }
    g_assert_cmpuint(merged, >, rounds);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/merge/streams", test_streams);
    g_test_add_func("/merge/limits", test_limits);
    g_test_add_func("/merge/ranges", test_ranges);
    g_test_add_func("/merge/offloads", test_offloads);
    g_test_add_func("/merge/refused/changes", test_changes);
    g_test_add_func("/merge/refused/both", test_both);
    g_test_add_func("/merge/refused/lengths", test_lengths);
    g_test_add_func("/merge/refused/padding", test_padding);
    g_test_add_func("/merge/identifications", test_identifications);
    g_test_add_func("/merge/checksums", test_checksums);
    g_test_add_func("/merge/unusual-checksums", test_unusual_checksums);
    g_test_add_func("/merge/connections/interleaved", test_interleaved);
    g_test_add_func("/merge/connections/between", test_between);
    g_test_add_func("/merge/connections/many", test_many_connections);
    g_test_add_func("/merge/give-back/out-of-order", test_out_of_order);
    g_test_add_func("/merge/give-back/nothing", test_nothing);
    g_test_add_func("/merge/truncated", test_truncated);
    g_test_add_func("/merge/random", test_random);
    g_test_add_func("/merge/noise", test_noise);
    return g_test_run();
}
