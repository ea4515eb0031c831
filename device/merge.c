/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Merging in software; see merge.h. Called by backends.
 *
 *     frame       headers, payload   headers, payload   headers, payload
 *                    |        |                |                  |
 *     packet    new headers   |                |                  |      iov[0], iov[1], ...
 *
 * Each frame that may begin a packet does so, and the packet is open until a frame of the same
 * connection does not fit. A packet that stays alone leaves the frame as it was. All headers are
 * copied once, and everything is decided on the copy.
 */
#include "merge.h"

#include <string.h>

#define VIONET_SPEC_NO_STRUCTS
#include <vionet/spec.h>

#include "checksum.h"

#define ETHERNET_LEN 14
#define MAX_VLANS    2
#define IPV4_LEN     20
#define IPV6_LEN     40
#define TCP_LEN      20
#define MAX_HEADERS  (ETHERNET_LEN + 4 * MAX_VLANS + IPV6_LEN + 60)
#define MAX_PACKET   (65535 + ETHERNET_LEN) /* VLAN tags included: no more passes the device */

#define MOST_RANGES (2 * MERGE_MOST)
#define MOST_OPEN   32 /* connections at a time */

#define MERGED (UINT64_C(1) << 63) /* in tokens */

enum { ICMP = 1, TCP = 6, UDP = 17, ICMPV6 = 58 };

enum { TCP_PSH = 8, TCP_ACK = 16 };

/* What can be said of a frame: */
enum kind {
    UNCLEAR,   /* nothing, it may belong to any connection */
    OTHER,     /* that it is not TCP */
    CONNECTED, /* to which connection it belongs */
    MERGEABLE, /* also that it may be part of a packet */
};

/* Headers and where they are in them. */
struct headers {
    uint16_t ip;
    uint16_t tcp;
    uint16_t len;
    bool v6;
    uint8_t octets[MAX_HEADERS];
};

/* A frame that was read. */
struct segment {
    const VionetFrame *frame;
    size_t len;     /* octets */
    size_t payload; /* those of TCP */
    size_t n_read;  /* octets in headers.octets */
    struct headers headers;
};

struct packet {
    uint64_t token;
    struct packet *next; /* of the burst */
    bool out;            /* merged, and not given back */
    size_t at;           /* its place in the burst */
    uint32_t next_seq;   /* what fits */
    size_t size;         /* payload of each frame but the last */
    size_t payload;
    bool same_id; /* IPv4: with DF, all have the first one's identification */
    unsigned n_parts;
    unsigned n_iov;
    struct headers headers;
    uint8_t fixed[MAX_HEADERS]; /* the headers without what may differ */
    struct iovec iov[MOST_RANGES];
    VionetFrame parts[MERGE_MOST];
};

struct merger {
    VionetFrame *packets; /* of the burst */
    size_t n;
    size_t n_max;
    bool takes_v4;
    bool takes_v6;
    struct packet *burst; /* packets that were begun in it */
    unsigned n_open;
    struct packet *open[MOST_OPEN]; /* the last one is the latest */
    GPtrArray *all;                 /* struct packet, by the number in the token */
    GPtrArray *unused;
};

/* ---- Reading frames ---- */

static size_t read_headers(const VionetFrame *frame, uint8_t *octets)
{
    size_t n = 0;

    for (unsigned i = 0; i < frame->n_iov && n < MAX_HEADERS; i++) {
        const size_t here = MIN(frame->iov[i].iov_len, MAX_HEADERS - n);

        if (here > 0) {
            memcpy(octets + n, frame->iov[i].iov_base, here);
            n += here;
        }
    }
    return n;
}

static size_t frame_octets(const VionetFrame *frame)
{
    size_t len = 0;

    for (unsigned i = 0; i < frame->n_iov; i++) {
        len += frame->iov[i].iov_len;
    }
    return len;
}

/* The sum of all octets behind the first skip ones. */
static uint64_t sum_behind(const VionetFrame *frame, size_t skip)
{
    uint64_t sum = 0;
    size_t at = 0;

    for (unsigned i = 0; i < frame->n_iov; i++) {
        const size_t skipped = MIN(skip, frame->iov[i].iov_len);
        const uint8_t *octets = frame->iov[i].iov_base;
        const size_t n = frame->iov[i].iov_len - skipped;

        skip -= skipped;
        if (n > 0) {
            sum += at % 2 ? sum_odd(octets + skipped, n) : sum_octets(octets + skipped, n);
        }
        at += n;
    }
    return sum;
}

/* 0xffff is as good as 0, but nobody computes it, so it would not be found again. */
static bool is_usual(const uint8_t *checksum)
{
    return get_be16(checksum) != 0xffff;
}

/* Where the IP header is, by the EtherType in front of it; 0 if there is none. */
static size_t find_ip(const struct segment *s, uint16_t *type)
{
    size_t at = ETHERNET_LEN;

    for (unsigned tags = 0; at <= s->n_read; tags++, at += 4) {
        *type = get_be16(s->headers.octets + at - 2);
        if ((*type != 0x8100 && *type != 0x88a8) || tags == MAX_VLANS) {
            return at;
        }
    }
    *type = 0;
    return 0;
}

/* The IP header of a whole packet: all of it is there, and nothing behind it in *exact. */
static enum kind read_ipv4(struct segment *s, bool *exact)
{
    const uint8_t *ip = s->headers.octets + s->headers.ip;
    const size_t len = s->len - s->headers.ip;

    if (s->n_read - s->headers.ip < IPV4_LEN) {
        return UNCLEAR;
    }
    if (ip[9] == UDP || ip[9] == ICMP) {
        return OTHER;
    }
    if (ip[0] != 0x45 || ip[9] != TCP || (get_be16(ip + 6) & 0x3fff) || get_be16(ip + 2) > len) {
        return UNCLEAR;
    }
    s->headers.tcp = s->headers.ip + IPV4_LEN;
    *exact =
        get_be16(ip + 2) == len && fold(sum_octets(ip, IPV4_LEN)) == 0xffff && is_usual(ip + 10);
    return CONNECTED;
}

static enum kind read_ipv6(struct segment *s, bool *exact)
{
    const uint8_t *ip = s->headers.octets + s->headers.ip;
    const size_t len = s->len - s->headers.ip;

    if (s->n_read - s->headers.ip < IPV6_LEN) {
        return UNCLEAR;
    }
    if (ip[6] == UDP || ip[6] == ICMPV6) {
        return OTHER;
    }
    if (ip[0] >> 4 != 6 || ip[6] != TCP || len < IPV6_LEN + (size_t)get_be16(ip + 4)) {
        return UNCLEAR;
    }
    s->headers.tcp = s->headers.ip + IPV6_LEN;
    *exact = len == IPV6_LEN + (size_t)get_be16(ip + 4);
    return CONNECTED;
}

static bool has_good_checksum(const struct segment *s)
{
    const uint8_t *ip = s->headers.octets + s->headers.ip;
    const size_t len = s->len - s->headers.tcp;

    return is_usual(s->headers.octets + s->headers.tcp + 16) &&
           ((s->frame->flags & VIRTIO_NET_HDR_F_DATA_VALID) ||
            fold(sum_pseudo(ip, s->headers.v6, TCP, len) + sum_behind(s->frame, s->headers.tcp)) ==
                0xffff);
}

/* Data and nothing else: no flag but ACK and PSH, nothing urgent, nothing in reserved bits. */
static enum kind read_tcp(struct segment *s, bool exact)
{
    const uint8_t *tcp = s->headers.octets + s->headers.tcp;
    size_t len;

    if (s->n_read - s->headers.tcp < TCP_LEN) {
        return UNCLEAR;
    }
    len = 4 * (size_t)(tcp[12] >> 4);
    s->headers.len = (uint16_t)(s->headers.tcp + len);
    if (!exact || len < TCP_LEN || s->headers.len >= s->len || (tcp[12] & 0xf) ||
        (tcp[13] & ~TCP_PSH) != TCP_ACK || get_be16(tcp + 18) != 0 || s->len > MAX_PACKET) {
        return CONNECTED;
    }
    s->payload = s->len - s->headers.len;
    return has_good_checksum(s) ? MERGEABLE : CONNECTED;
}

static enum kind read_frame(const struct merger *m, const VionetFrame *frame, struct segment *s)
{
    enum kind kind;
    uint16_t type;
    bool exact;

    s->frame = frame;
    s->len = frame_octets(frame);
    s->n_read = read_headers(frame, s->headers.octets);
    s->headers.ip = (uint16_t)find_ip(s, &type);
    s->headers.v6 = type == 0x86dd;
    if (type == 0x0806) {
        return OTHER;
    }
    if ((type != 0x86dd && type != 0x0800) || (frame->flags & ~VIRTIO_NET_HDR_F_DATA_VALID) ||
        frame->gso_type != VIRTIO_NET_HDR_GSO_NONE) {
        return UNCLEAR;
    }
    kind = s->headers.v6 ? read_ipv6(s, &exact) : read_ipv4(s, &exact);
    if (kind != CONNECTED) {
        return kind;
    }
    return read_tcp(s, exact && (s->headers.v6 ? m->takes_v6 : m->takes_v4));
}

/* ---- Packets ---- */

static struct packet *packet_new(struct merger *m)
{
    struct packet *packet;

    if (m->unused->len > 0) {
        return g_ptr_array_steal_index_fast(m->unused, m->unused->len - 1);
    }
    packet = g_new0(struct packet, 1);
    packet->token = MERGED | m->all->len;
    g_ptr_array_add(m->all, packet);
    return packet;
}

/* The headers of a frame without what may differ among those of a packet. */
static void fix_headers(const struct headers *headers, uint8_t *fixed)
{
    uint8_t *ip = fixed + headers->ip;
    uint8_t *tcp = fixed + headers->tcp;

    memcpy(fixed, headers->octets, headers->len);
    if (headers->v6) {
        put_be16(ip + 4, 0); /* length */
    } else {
        put_be32(ip + 2, 0);  /* length, identification */
        put_be16(ip + 10, 0); /* checksum */
    }
    put_be32(tcp + 4, 0); /* sequence number */
    tcp[13] &= (uint8_t)~TCP_PSH;
    put_be16(tcp + 16, 0); /* checksum */
}

/* Adds a frame that fits. */
static void append(struct packet *packet, const struct segment *s)
{
    const VionetFrame *frame = s->frame;
    size_t skip = s->headers.len;

    for (unsigned i = 0; i < frame->n_iov; i++) {
        const size_t skipped = MIN(skip, frame->iov[i].iov_len);
        const size_t n = frame->iov[i].iov_len - skipped;

        skip -= skipped;
        if (n > 0) {
            packet->iov[packet->n_iov++] =
                (struct iovec){(uint8_t *)frame->iov[i].iov_base + skipped, n};
        }
    }
    packet->parts[packet->n_parts++] = *frame;
    packet->payload += s->payload;
    packet->next_seq += (uint32_t)s->payload;
}

/* A frame that fits and is the last: it pushes, or is shorter than the others. */
static bool ends_packet(const struct packet *packet, const struct segment *s)
{
    return s->payload < packet->size || (s->headers.octets[s->headers.tcp + 13] & TCP_PSH);
}

/* Begins a packet with a frame that is in the burst already. */
static void open_packet(struct merger *m, const struct segment *s)
{
    struct packet *packet = packet_new(m);

    packet->at = m->n - 1;
    packet->n_parts = 0;
    packet->n_iov = 1;
    packet->payload = 0;
    packet->same_id = false;
    packet->size = s->payload;
    packet->headers = s->headers;
    packet->next_seq = get_be32(s->headers.octets + s->headers.tcp + 4);
    packet->next = m->burst;
    m->burst = packet;
    fix_headers(&s->headers, packet->fixed);
    append(packet, s);
    if (m->n_open == MOST_OPEN) {
        memmove(m->open, m->open + 1, --m->n_open * sizeof(m->open[0]));
    }
    m->open[m->n_open++] = packet;
}

static void close_packet(struct merger *m, unsigned i)
{
    memmove(m->open + i, m->open + i + 1, (--m->n_open - i) * sizeof(m->open[0]));
}

/* ---- What fits ---- */

static bool same_connection(const struct headers *a, const struct headers *b)
{
    const size_t addresses = a->v6 ? 8 : 12;

    return a->v6 == b->v6 && memcmp(a->octets + a->tcp, b->octets + b->tcp, 4) == 0 &&
           memcmp(a->octets + a->ip + addresses, b->octets + b->ip + addresses, a->v6 ? 32 : 8) ==
               0;
}

/* The open packet of the frame's connection, or n_open. There is one at most. */
static unsigned find_open(const struct merger *m, const struct segment *s)
{
    for (unsigned i = m->n_open; i > 0; i--) {
        if (same_connection(&m->open[i - 1]->headers, &s->headers)) {
            return i - 1;
        }
    }
    return m->n_open;
}

/* Consecutive identifications, or with DF, which the second frame decides, all the same. */
static bool id_fits(struct packet *packet, const struct segment *s)
{
    const uint8_t *first = packet->headers.octets + packet->headers.ip;
    const uint8_t *ip = s->headers.octets + s->headers.ip;
    const uint16_t ahead = (uint16_t)(get_be16(ip + 4) - get_be16(first + 4));

    if (packet->n_parts == 1) {
        packet->same_id = (ip[6] & 0x40) && ahead == 0;
    }
    return ahead == (packet->same_id ? 0 : packet->n_parts);
}

static bool fits(struct packet *packet, const struct segment *s)
{
    const struct headers *headers = &packet->headers;
    uint8_t fixed[MAX_HEADERS];

    if (s->headers.len != headers->len || s->payload > packet->size ||
        get_be32(s->headers.octets + s->headers.tcp + 4) != packet->next_seq ||
        packet->n_parts == MERGE_MOST || s->frame->n_iov > MOST_RANGES - packet->n_iov ||
        headers->len + packet->payload + s->payload > MAX_PACKET) {
        return false;
    }
    fix_headers(&s->headers, fixed);
    return memcmp(fixed, packet->fixed, headers->len) == 0 && (headers->v6 || id_fits(packet, s));
}

/* Puts a frame into the open packet of its connection. Otherwise that one is complete. */
static bool join(struct merger *m, const struct segment *s, enum kind kind)
{
    const unsigned i = find_open(m, s);
    struct packet *packet;

    if (i == m->n_open) {
        return false;
    }
    packet = m->open[i];
    if (kind != MERGEABLE || !fits(packet, s)) {
        close_packet(m, i);
        return false;
    }
    append(packet, s);
    if (ends_packet(packet, s)) {
        packet->headers.octets[s->headers.tcp + 13] = s->headers.octets[s->headers.tcp + 13];
        close_packet(m, i);
    }
    return true;
}

static bool may_begin(const struct segment *s)
{
    return !(s->headers.octets[s->headers.tcp + 13] & TCP_PSH) &&
           s->frame->n_iov <= MOST_RANGES - 1;
}

size_t merge_add(struct merger *m, const VionetFrame *frame)
{
    const bool merges = m->takes_v4 || m->takes_v6;
    struct segment s;
    const enum kind kind = merges ? read_frame(m, frame, &s) : OTHER;

    if (kind == UNCLEAR) {
        m->n_open = 0;
    }
    if ((kind == CONNECTED || kind == MERGEABLE) && join(m, &s, kind)) {
        return m->n;
    }
    g_assert(m->n < m->n_max);
    m->packets[m->n++] = *frame;
    if (kind == MERGEABLE && may_begin(&s)) {
        open_packet(m, &s);
    }
    return m->n;
}

/* ---- Bursts ---- */

/* The checksum is that of the pseudo header alone: the guest, or who segments, does the rest. */
static void finish_headers(struct packet *packet)
{
    const struct headers *headers = &packet->headers;
    uint8_t *ip = packet->headers.octets + headers->ip;
    uint8_t *tcp = packet->headers.octets + headers->tcp;
    const size_t tcp_len = headers->len - headers->tcp + packet->payload;
    const uint16_t partial = fold(sum_pseudo(ip, headers->v6, TCP, tcp_len));

    if (headers->v6) {
        put_be16(ip + 4, tcp_len);
    } else {
        put_be16(ip + 2, IPV4_LEN + tcp_len);
        put_be16(ip + 10, 0);
        put_checksum(ip + 10, sum_octets(ip, IPV4_LEN));
    }
    memcpy(tcp + 16, &partial, sizeof(partial));
}

static void finish_packet(struct merger *m, struct packet *packet)
{
    const struct headers *headers = &packet->headers;

    finish_headers(packet);
    packet->out = true;
    packet->iov[0] = (struct iovec){packet->headers.octets, headers->len};
    m->packets[packet->at] = (VionetFrame){
        .iov = packet->iov,
        .n_iov = packet->n_iov,
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .gso_type = headers->v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4,
        .hdr_len = headers->len,
        .gso_size = (uint16_t)packet->size,
        .csum_start = headers->tcp,
        .csum_offset = 16,
        .len = (uint32_t)(headers->len + packet->payload),
        .token = packet->token,
    };
}

void merge_begin(struct merger *m, VionetFrame *packets, size_t n, uint64_t offloads)
{
    const bool csum = offloads >> VIRTIO_NET_F_GUEST_CSUM & 1;

    m->packets = packets;
    m->n = 0;
    m->n_max = n;
    m->takes_v4 = csum && (offloads >> VIRTIO_NET_F_GUEST_TSO4 & 1);
    m->takes_v6 = csum && (offloads >> VIRTIO_NET_F_GUEST_TSO6 & 1);
}

size_t merge_end(struct merger *m)
{
    for (struct packet *packet = m->burst; packet; packet = packet->next) {
        if (packet->n_parts > 1) {
            finish_packet(m, packet);
        } else {
            g_ptr_array_add(m->unused, packet);
        }
    }
    m->burst = NULL;
    m->n_open = 0;
    return m->n;
}

unsigned merge_give_back(struct merger *m, const VionetFrame *packet, const VionetFrame **parts)
{
    const uint64_t index = packet->token & ~MERGED;
    struct packet *merged;

    *parts = packet;
    if (!(packet->token & MERGED)) {
        return 1;
    }
    merged = index < m->all->len ? g_ptr_array_index(m->all, index) : NULL;
    if (!merged || !merged->out) {
        return 0;
    }
    merged->out = false;
    g_ptr_array_add(m->unused, merged);
    *parts = merged->parts;
    return merged->n_parts;
}

/* ---- Life ---- */

struct merger *merger_new(void)
{
    struct merger *m = g_new0(struct merger, 1);

    m->all = g_ptr_array_new_with_free_func(g_free);
    m->unused = g_ptr_array_new();
    return m;
}

void merger_free(struct merger *m)
{
    if (m) {
        g_ptr_array_unref(m->unused);
        g_ptr_array_unref(m->all);
        g_free(m);
    }
}
