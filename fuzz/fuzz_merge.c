/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Merging (device/merge.c): bursts of frames of a few connections, good and spoiled, with others
 * between. Every frame must be in one packet, those of a connection in order; a packet must be what
 * its frames make together, and segmentation (device/segment.c) must give them back octet for octet.
 * Two good frames that follow each other must be merged.
 *
 * Setup: 1 octet what the guest does not take, 1 room for packets; then frames, each of 1 octet how,
 * 1 what (see make_frame()), 1 where it is cut into ranges, and more as these say.
 */
#include <stdlib.h>
#include <string.h>

#define VIONET_SPEC_NO_STRUCTS
#include <vionet/spec.h>

#include "input.h"
#include "merge.h"
#include "packet.h"
#include "reach.h"
#include "segment.h"

#define MAX_BURST  128 /* frames */
#define MAX_FRAMES 512 /* of an input */
#define MAX_PACKET (MERGE_MOST * 2048)
#define ALL_TOKENS (UINT64_C(1) << 63)

enum { PSH = 8, ACK = 16 };

enum {
    FRAMES,
    BURSTS,
    PACKETS,
    PACKETS_V6,
    PARTS,
    SAME_IDS,
    FULL_PACKETS,
    ALONE,
    PAIRS,
};

struct reach fuzz_reach[] = {
    [FRAMES] = {"frames", 500, 0},
    [BURSTS] = {"bursts", 50, 0},
    [PACKETS] = {"packets of several frames", 50, 0},
    [PACKETS_V6] = {"of them IPv6", 10, 0},
    [PARTS] = {"frames in them", 200, 0},
    [SAME_IDS] = {"packets whose frames had the same identification", 4, 0},
    [FULL_PACKETS] = {"packets that are full", 1, 0},
    [ALONE] = {"frames that stay alone", 100, 0},
    [PAIRS] = {"pairs that have to be merged", 50, 0},
    {NULL, 0, 0},
};

#define REACHED(what) (fuzz_reach[what].count++)

enum kind {
    ANY,     /* nothing is known of it */
    KNOWN,   /* it belongs to its connection */
    GOOD,    /* and can be merged */
    BARRIER, /* it may belong to any connection */
};

struct made {
    enum kind kind;
    unsigned connection;
    bool v6;
    bool psh;
    uint16_t id;
    uint32_t seq;
    size_t headers;
    size_t len;
    uint8_t *octets;
    struct iovec iov[3];
    VionetFrame frame;
    unsigned place; /* in the order in which they left, 0: it has not */
    bool first;     /* it begins a packet, or is alone */
    uint64_t next;  /* the token behind it in its packet, ALL_TOKENS: none */
};

struct run {
    struct input input;
    struct merger *merger;
    uint64_t offloads;
    unsigned room;
    unsigned n_made;
    unsigned place;
    struct made made[MAX_BURST];
    VionetFrame packets[MAX_BURST];
    uint32_t seq[8];
    uint16_t id[8];
};

static bool takes(const struct run *run, unsigned bit)
{
    return run->offloads >> bit & 1;
}

/* ---- Frames ---- */

static void spoil(struct run *run, struct made *made)
{
    const unsigned at = input_16(&run->input);

    made->octets[at % made->len] ^= input_8(&run->input);
}

/* The IP header at offset at, in front of n octets; what is behind it. */
static size_t put_ip(struct made *made, size_t at, size_t n, bool fragment)
{
    uint8_t *ip = made->octets + at;

    if (made->v6) {
        ip[0] = 0x60;
        packet_put_16(ip + 4, (unsigned)n);
        ip[6] = PACKET_TCP;
        ip[7] = 64;
        ip[23] = 1;
        ip[39] = 2;
        return at + 40;
    }
    ip[0] = 0x45;
    packet_put_16(ip + 2, (unsigned)(20 + n));
    packet_put_16(ip + 4, made->id);
    ip[6] = fragment ? 0x20 : made->connection & 1 ? 0x40 : 0; /* MF, DF */
    ip[8] = 64;
    ip[9] = PACKET_TCP;
    ip[15] = 1;
    ip[19] = 2;
    return at + 20;
}

/*
 * A frame of TCP.
 *     how   0-2 connection, 3 DATA_VALID, 4 raw octets, 5 spoiled, checksums right, 6 spoiled,
 *           checksums wrong, 7 the last of its burst
 *     what  0-2 length, 3 PSH, 4 not in sequence, 5 the same identification, 6 options, 7 VLAN tag
 */
static void make_frame(struct run *run, struct made *made, uint8_t how, uint8_t what)
{
    static const uint16_t lengths[8] = {0, 1, 10, 10, 100, 100, 1000, 1448};
    const size_t options = what & 0x40 ? 12 : 0;
    const size_t payload = lengths[what & 7];
    const size_t ip = what & 0x80 ? 18 : 14;
    struct packet packet;
    size_t tcp;

    made->connection = how & 7;
    made->v6 = how & 4;
    made->headers = ip + (made->v6 ? 40 : 20) + 20 + options;
    made->len = made->headers + payload;
    made->octets = calloc(1, made->len);
    made->psh = what & 8;
    made->seq = run->seq[made->connection] += what & 0x10 ? 1 : 0;
    made->id = run->id[made->connection] += what & 0x20 ? 0 : 1;
    run->seq[made->connection] += (uint32_t)payload;
    packet_put_16(made->octets + 12, 0x8100);
    packet_put_16(made->octets + ip - 2, made->v6 ? 0x86dd : 0x0800);
    tcp = put_ip(made, ip, 20 + options + payload, what == 0xfe);
    made->octets[tcp + 1] = (uint8_t)made->connection;
    made->octets[tcp + 3] = 80;
    packet_put_32(made->octets + tcp + 4, made->seq);
    made->octets[tcp + 12] = (uint8_t)((20 + options) / 4 << 4);
    made->octets[tcp + 13] = ACK | (made->psh ? PSH : 0);
    for (size_t i = made->headers; i < made->len; i++) {
        made->octets[i] = (uint8_t)(made->seq + i);
    }
    made->kind = what == 0xfe && !made->v6 ? BARRIER : payload ? GOOD : KNOWN;
    if (how & 0x20) {
        made->kind = ANY;
        spoil(run, made);
    }
    packet = (struct packet){.ip = ip, .v6 = made->v6, .protocol = PACKET_TCP, .transport = tcp};
    if (made->v6 || (made->octets[ip] & 15) == 5) {
        packet_finish_ip(made->octets, &packet);
    }
    packet_finish_transport(made->octets, made->len, &packet);
    /* The checksums that nobody computes, and which stay alone. */
    if (packet_16(made->octets + tcp + 16) == 0xffff ||
        (!made->v6 && packet_16(made->octets + ip + 10) == 0xffff)) {
        made->kind = made->kind == GOOD ? KNOWN : made->kind;
    }
    made->frame.flags = how & 8 ? VIRTIO_NET_HDR_F_DATA_VALID : 0;
    if (how & 0x40) { /* which nobody would call valid */
        made->kind = ANY;
        made->frame.flags = 0;
        spoil(run, made);
    }
}

static void make_raw(struct run *run, struct made *made)
{
    made->kind = ANY;
    made->len = 1 + (size_t)input_8(&run->input);
    made->octets = malloc(made->len);
    input_octets(&run->input, made->octets, made->len);
}

/* Up to three ranges. */
static void cut(struct made *made, uint8_t where)
{
    const size_t first = where & 0x80 ? (where & 0x7f) % (made->len + 1) : 0;
    const size_t second = where & 0x40 ? (made->len - first) / 2 : 0;

    made->iov[0] = (struct iovec){made->octets, first};
    made->iov[1] = (struct iovec){made->octets + first, second};
    made->iov[2] = (struct iovec){made->octets + first + second, made->len - first - second};
    made->frame.iov = made->iov + (first ? 0 : second ? 1 : 2);
    made->frame.n_iov = first ? 3 : second ? 2 : 1;
    made->frame.len = (uint32_t)made->len;
}

/* ---- What came of a burst ---- */

static struct made *made_of(struct run *run, const VionetFrame *part)
{
    FUZZ_REQUIRE(part->token < run->n_made, "a frame of an unknown token");
    return &run->made[part->token];
}

/* A frame leaves, as it was. */
static void leave(struct run *run, const VionetFrame *part)
{
    struct made *made = made_of(run, part);

    FUZZ_REQUIRE(!made->place, "a frame leaves twice");
    FUZZ_REQUIRE(part->iov == made->frame.iov && part->n_iov == made->frame.n_iov &&
                     part->len == made->frame.len && part->flags == made->frame.flags &&
                     part->gso_type == 0,
                 "a frame leaves as another");
    made->place = ++run->place;
}

/* The packet, read by itself: its headers, and the payload of its parts. */
static void check_packet(struct run *run, const VionetFrame *frame, const VionetFrame *parts,
                         unsigned n)
{
    static uint8_t octets[MAX_PACKET];
    const size_t len = vionet_frame_linearize(
        &(VionetFrame){.iov = frame->iov, .n_iov = frame->n_iov, .len = frame->len}, octets,
        sizeof(octets));
    struct packet p;
    size_t at;

    FUZZ_REQUIRE(len == frame->len && packet_find(octets, len, &p) && p.protocol == PACKET_TCP,
                 "a packet that cannot be read");
    at = p.transport + packet_transport_len(octets, len, &p);
    FUZZ_REQUIRE(takes(run, VIRTIO_NET_F_GUEST_CSUM) &&
                     takes(run, p.v6 ? VIRTIO_NET_F_GUEST_TSO6 : VIRTIO_NET_F_GUEST_TSO4),
                 "a packet that the guest does not take");
    FUZZ_REQUIRE(frame->flags == VIRTIO_NET_HDR_F_NEEDS_CSUM && frame->csum_start == p.transport &&
                     frame->csum_offset == 16 && frame->hdr_len == at,
                 "a packet's members");
    FUZZ_REQUIRE(frame->gso_type == (p.v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4),
                 "a packet's type");
    FUZZ_REQUIRE(frame->gso_size == parts[0].len - at, "gso_size %u", frame->gso_size);
    FUZZ_REQUIRE(packet_16(octets + p.ip + (p.v6 ? 4 : 2)) == len - p.ip - (p.v6 ? 40 : 0),
                 "a packet's length");
    FUZZ_REQUIRE(p.v6 || packet_sum(octets + p.ip, 20, 0) == 0xffff, "a packet's IP checksum");
    FUZZ_REQUIRE(packet_16(octets + p.transport + 16) ==
                     packet_pseudo_sum(octets, &p, len - p.transport),
                 "a packet's partial checksum");
    for (unsigned i = 0; i < n; i++) {
        const struct made *made = made_of(run, &parts[i]);
        const size_t payload = made->len - frame->hdr_len;

        FUZZ_REQUIRE(made->len > frame->hdr_len && payload <= len - at &&
                         memcmp(octets + at, made->octets + frame->hdr_len, payload) == 0,
                     "payload of part %u of %u", i, n);
        at += payload;
    }
    FUZZ_REQUIRE(at == len, "%zu octets are nobody's", len - at);
    fuzz_reach[PACKETS_V6].count += p.v6;
}

/* With DF, and all the same, identifications are counted up instead; without it they must not be. */
static bool count_ids(const struct made *first, const struct made *second, uint8_t *octets,
                      unsigned index)
{
    struct packet p;

    if (!packet_find(first->octets, first->len, &p) || p.v6 || !(first->octets[p.ip + 6] & 0x40) ||
        packet_16(first->octets + p.ip + 4) != packet_16(second->octets + p.ip + 4)) {
        return false;
    }
    packet_put_16(octets + p.ip + 4, packet_16(octets + p.ip + 4) + index);
    packet_finish_ip(octets, &p);
    return true;
}

static void check_segments(struct run *run, const VionetFrame *packet, const VionetFrame *parts,
                           unsigned n)
{
    struct segmenter segmenter;

    FUZZ_REQUIRE(segment_begin(&segmenter, packet, 1), "a packet that cannot be segmented");
    for (unsigned i = 0; i < n; i++) {
        const struct made *made = made_of(run, &parts[i]);
        uint8_t *expected = malloc(made->len);
        uint8_t *segment = malloc(made->len);
        bool same;

        memcpy(expected, made->octets, made->len);
        same = count_ids(made_of(run, &parts[0]), made_of(run, &parts[1]), expected, i);
        fuzz_reach[SAME_IDS].count += same && i == 0;
        FUZZ_REQUIRE(segment_next(&segmenter, segment, made->len) == made->len,
                     "segment %u of %u has another length", i, n);
        for (size_t at = 0; at < made->len; at++) {
            FUZZ_REQUIRE(segment[at] == expected[at],
                         "segment %u of %u: octet %zu is 0x%02x, not 0x%02x", i, n, at, segment[at],
                         expected[at]);
        }
        free(expected);
        free(segment);
    }
    FUZZ_REQUIRE(segment_len(&segmenter) == 0, "more than %u segments", n);
}

static void take_packet(struct run *run, const VionetFrame *packet)
{
    const VionetFrame *parts;
    unsigned n;

    if (packet->token < ALL_TOKENS) {
        n = merge_give_back(run->merger, packet, &parts);
        FUZZ_REQUIRE(n == 1 && parts == packet, "a frame that is not itself");
        leave(run, packet);
        made_of(run, packet)->first = true;
        REACHED(ALONE);
        return;
    }
    REACHED(PACKETS);
    n = merge_give_back(run->merger, packet, &parts);
    FUZZ_REQUIRE(n >= 2 && n <= MERGE_MOST, "a packet of %u frames", n);
    fuzz_reach[PARTS].count += n;
    fuzz_reach[FULL_PACKETS].count += n == MERGE_MOST;
    for (unsigned i = 0; i < n; i++) {
        leave(run, &parts[i]);
        made_of(run, &parts[i])->next = i + 1 < n ? parts[i + 1].token : ALL_TOKENS;
    }
    made_of(run, &parts[0])->first = true;
    check_packet(run, packet, parts, n);
    check_segments(run, packet, parts, n);
    FUZZ_REQUIRE(merge_give_back(run->merger, packet, &parts) == 0, "a packet is given back twice");
}

/* Whether two frames that were added one after the other had to be merged. */
static bool is_pair(const struct run *run, const struct made *a, const struct made *b)
{
    const bool df = a->connection & 1;

    return a->kind == GOOD && b->kind == GOOD && a->first && !a->psh &&
           takes(run, VIRTIO_NET_F_GUEST_CSUM) &&
           takes(run, a->v6 ? VIRTIO_NET_F_GUEST_TSO6 : VIRTIO_NET_F_GUEST_TSO4) &&
           a->connection == b->connection && a->headers == b->headers && a->len >= b->len &&
           b->seq == a->seq + (uint32_t)(a->len - a->headers) &&
           (a->v6 || b->id == (uint16_t)(a->id + 1) || (df && a->id == b->id));
}

static void check_order(const struct run *run)
{
    for (unsigned i = 0; i < run->n_made; i++) {
        const struct made *a = &run->made[i];

        FUZZ_REQUIRE(a->place, "frame %u has not left", i);
        for (unsigned j = i + 1; j < run->n_made && a->kind != ANY; j++) {
            const struct made *b = &run->made[j];
            const bool ordered = b->kind != ANY && (a->connection == b->connection ||
                                                    a->kind == BARRIER || b->kind == BARRIER);

            FUZZ_REQUIRE(!ordered || a->place < b->place, "frame %u passes frame %u", j, i);
        }
        if (i + 1 < run->n_made && is_pair(run, a, a + 1)) {
            REACHED(PAIRS);
            FUZZ_REQUIRE(a->next == i + 1, "frames %u and %u are not merged", i, i + 1);
        }
    }
}

static void end_burst(struct run *run)
{
    const size_t n = merge_end(run->merger);

    REACHED(BURSTS);
    run->place = 0;
    for (size_t i = 0; i < n; i++) {
        take_packet(run, &run->packets[i]);
    }
    check_order(run);
    for (unsigned i = 0; i < run->n_made; i++) {
        free(run->made[i].octets);
    }
    run->n_made = 0;
    merge_begin(run->merger, run->packets, run->room, run->offloads);
}

/* ---- The run ---- */

static void add_frame(struct run *run)
{
    struct made *made = &run->made[run->n_made];
    const uint8_t how = input_8(&run->input);
    const uint8_t what = input_8(&run->input);
    const uint8_t where = input_8(&run->input);

    *made = (struct made){.next = ALL_TOKENS};
    if (how & 0x10) {
        make_raw(run, made);
    } else {
        make_frame(run, made, how, what);
    }
    cut(made, where);
    made->frame.token = run->n_made++;
    REACHED(FRAMES);
    if (merge_add(run->merger, &made->frame) == run->room || run->n_made == MAX_BURST ||
        (how & 0x80)) {
        end_burst(run);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t bits[] = {VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_GUEST_TSO4,
                                   VIRTIO_NET_F_GUEST_TSO6};
    static struct run run;
    uint8_t lacks;

    memset(&run, 0, sizeof(run));
    run.input = input_of(data, size);
    run.merger = merger_new();
    lacks = input_8(&run.input);
    for (unsigned i = 0; i < 3; i++) {
        run.offloads |= (uint64_t)(~lacks >> i & 1) << bits[i];
    }
    run.room = 1 + input_8(&run.input) % MAX_BURST;
    merge_begin(run.merger, run.packets, run.room, run.offloads);
    for (unsigned i = 0; i < MAX_FRAMES && !input_ended(&run.input); i++) {
        add_frame(&run);
    }
    end_burst(&run);
    merge_end(run.merger);
    merger_free(run.merger);
    return 0;
}
