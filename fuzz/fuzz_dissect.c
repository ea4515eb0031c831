/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A frame, a dialect, masks and a key: the library against the reference (test/reference), which
 * must agree exactly; and the frame's first parts against the whole of it.
 *
 *     octets   meaning
 *     1        dialect
 *     2        hash types (draft 7: its tunnel types too)
 *     2        tunnel types
 *     1        octets of key that follow, 0: the key of Microsoft's suite
 *     n        key
 *     2 * 4    where the frame is cut
 *     rest     frame
 */
#include <stdlib.h>
#include <string.h>

#include <vionet/spec.h>

#include "input.h"
#include "reach.h"
#include "reference/reference.h"

#define N_CUTS  4
#define KEY_MAX 64
#define N_BURST 20

enum {
    FRAMES,
    HASHED,
    HASHED_INNER,
    HASHED_EX,
    NO_INNER,
    SHORT_FRAMES,
    PARTS_ENOUGH,
    PARTS_SHORT,
    REPORTED_TUNNELS,
    ENGINES,
};

struct reach fuzz_reach[] = {
    [FRAMES] = {"frames", 100, 0},
    [HASHED] = {"frames hashed", 80, 0},
    [HASHED_INNER] = {"frames hashed by an inner header", 30, 0},
    [HASHED_EX] = {"frames hashed as with extension headers", 20, 0},
    [NO_INNER] = {"tunnels without a packet to be hashed", 10, 0},
    [SHORT_FRAMES] = {"frames short of octets", 30, 0},
    [PARTS_ENOUGH] = {"first parts that were enough", 80, 0},
    [PARTS_SHORT] = {"first parts that were not", 350, 0},
    [REPORTED_TUNNELS] = {"frames with hash_report_tunnel", 10, 0},
    [ENGINES] = {"hashes by each engine", 300, 0},
    {NULL, 0, 0},
};

#define REACHED(what) (fuzz_reach[what].count++)

static const uint8_t suite_key[40] = {
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
    0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
    0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

static const struct {
    const char *name;
    enum reference_dialect reference;
} dialects[] = {
    {"off", REFERENCE_OFF},
    {"draft-v7", REFERENCE_DRAFT_V7},
    {"draft-v10", REFERENCE_DRAFT_V10},
    {"ratified", REFERENCE_RATIFIED},
};

struct question {
    const VionetDialect *dialect;
    enum reference_dialect reference;
    uint32_t hash_types;
    uint32_t tunnel_types;
    uint8_t key[KEY_MAX];
    size_t key_len;
    uint16_t cuts[N_CUTS];
    const uint8_t *frame;
    size_t len;
};

static void read_question(struct input *input, struct question *q)
{
    const unsigned dialect = input_below(input, 4);

    q->dialect = vionet_dialect_find(dialects[dialect].name);
    q->reference = dialects[dialect].reference;
    q->hash_types = input_16(input);
    q->tunnel_types = input_16(input);
    q->key_len = input_below(input, KEY_MAX);
    input_octets(input, q->key, q->key_len);
    if (q->key_len == 0) {
        q->key_len = sizeof(suite_key);
        memcpy(q->key, suite_key, q->key_len);
    }
    for (unsigned i = 0; i < N_CUTS; i++) {
        q->cuts[i] = input_16(input);
    }
    q->len = SIZE_MAX;
    q->frame = input_take(input, &q->len);
}

/* The tunnels that the library is asked for, and the hash types without those that name tunnels. */
static unsigned tunnels_of(const struct question *q)
{
    const uint32_t types = q->dialect->types_in_hash_types ? q->hash_types : q->tunnel_types;

    return vionet_dialect_tunnels(q->dialect, types & q->dialect->all_types);
}

static uint32_t hash_types_of(const struct question *q)
{
    return q->hash_types & 0x1ff;
}

/* An address or the ports lie inside the frame. */
static void require_inside(const struct question *q, const uint8_t *at, size_t n, const char *what)
{
    FUZZ_REQUIRE(!at || (at >= q->frame && n <= q->len && (size_t)(at - q->frame) <= q->len - n),
                 "%s of a flow lies outside the frame", what);
}

static void require_flow(const struct question *q, const VionetFlow *flow)
{
    FUZZ_REQUIRE(flow->addr_len == 0 || flow->addr_len == 4 || flow->addr_len == 16,
                 "addresses of %u octets", flow->addr_len);
    FUZZ_REQUIRE(!flow->src == !flow->addr_len && !flow->dst == !flow->addr_len,
                 "addresses that are and are not there");
    FUZZ_REQUIRE(!flow->ex_src == !flow->ex_dst && (!flow->ex_src || flow->addr_len == 16),
                 "addresses of extension headers without IPv6");
    FUZZ_REQUIRE(!flow->ports == !flow->protocol, "ports without a protocol");
    require_inside(q, flow->src, flow->addr_len, "source");
    require_inside(q, flow->dst, flow->addr_len, "destination");
    require_inside(q, flow->ex_src, 16, "home address");
    require_inside(q, flow->ex_dst, 16, "routing address");
    require_inside(q, flow->ports, 4, "ports");
}

static void count_reach(const VionetFlow *flow, const struct reference_result *result)
{
    REACHED(FRAMES);
    if (result->report) {
        REACHED(HASHED);
        fuzz_reach[HASHED_INNER].count += flow->tunnels != 0;
        fuzz_reach[HASHED_EX].count += result->report >= VIRTIO_NET_HASH_REPORT_IPv6_EX;
        fuzz_reach[REPORTED_TUNNELS].count += result->tunnel != 0;
    }
    fuzz_reach[NO_INNER].count += flow->tunnels && !flow->addr_len;
    fuzz_reach[SHORT_FRAMES].count += flow->short_of_octets;
}

/* All ways of hashing that this processor has come to the same, alone and several at once. */
static void compare_engines(const struct question *q, unsigned tunnels, const VionetFlow *flow,
                            unsigned report, uint32_t hash)
{
    const uint8_t *frames[N_BURST];
    size_t lens[N_BURST];
    VionetFlow flows[N_BURST];
    uint8_t reports[N_BURST];
    uint32_t hashes[N_BURST];
    VionetFrameHash results[N_BURST];
    const char *engine;

    for (unsigned i = 0; i < N_BURST; i++) {
        frames[i] = q->frame;
        lens[i] = i % 2 ? q->cuts[i % N_CUTS] % (q->len + 1) : q->len;
        vionet_dissect(frames[i], lens[i], tunnels, &flows[i]);
    }
    for (unsigned e = 0; (engine = vionet_hash_engine_at(e)) != NULL; e++) {
        VionetHashKey *key = vionet_hash_key_new_for(engine, q->key, q->key_len);

        FUZZ_REQUIRE(key, "there is no %s after all", engine);
        FUZZ_REQUIRE(vionet_hash_flow(key, flow, report) == hash, "%s: another hash", engine);
        vionet_hash_flows(key, flows, N_BURST, hash_types_of(q), reports, hashes);
        vionet_hash_frames(key, frames, lens, N_BURST, tunnels, hash_types_of(q), results);
        for (unsigned i = 0; i < N_BURST; i++) {
            const unsigned single = vionet_flow_report(&flows[i], hash_types_of(q));

            FUZZ_REQUIRE(reports[i] == single && results[i].report == single &&
                             results[i].tunnels == flows[i].tunnels &&
                             results[i].short_of_octets == flows[i].short_of_octets,
                         "%s: another flow in a burst", engine);
            FUZZ_REQUIRE(hashes[i] == vionet_hash_flow(key, &flows[i], single) &&
                             hashes[i] == results[i].hash && (i % 2 || hashes[i] == hash),
                         "%s: another hash in a burst", engine);
        }
        vionet_hash_key_free(key);
        REACHED(ENGINES);
    }
}

static void compare_with_reference(const struct question *q, const VionetFlow *flow)
{
    VionetHashKey *key = vionet_hash_key_new(q->key, q->key_len);
    const unsigned report = vionet_flow_report(flow, hash_types_of(q));
    const uint32_t hash = vionet_hash_flow(key, flow, report);
    const unsigned tunnel = report ? vionet_dialect_report(q->dialect, flow->tunnels) : 0;
    struct reference_result expected;

    reference_hash(q->frame, q->len, q->reference, q->hash_types, q->tunnel_types, q->key,
                   q->key_len, &expected);
    count_reach(flow, &expected);
    FUZZ_REQUIRE(report == expected.report, "report %s, the reference has %s",
                 vionet_report_name(report), vionet_report_name(expected.report));
    FUZZ_REQUIRE(hash == expected.hash, "hash 0x%08x, the reference has 0x%08x", hash,
                 expected.hash);
    FUZZ_REQUIRE(tunnel == expected.tunnel, "tunnel %u, the reference has %u", tunnel,
                 expected.tunnel);
    FUZZ_REQUIRE(vionet_toeplitz(key, expected.input, expected.input_len) == expected.hash,
                 "the hash of the reference's input");
    vionet_hash_key_free(key);
    compare_engines(q, tunnels_of(q), flow, report, hash);
}

/* Where a pointer into a frame leads, 0 if it is NULL. */
static size_t place(const uint8_t *at, const uint8_t *frame)
{
    return at ? (size_t)(at - frame) + 1 : 0;
}

static void require_same_flow(const VionetFlow *part, const uint8_t *part_frame,
                              const VionetFlow *whole, const uint8_t *frame, size_t cut)
{
    FUZZ_REQUIRE(part->addr_len == whole->addr_len && part->protocol == whole->protocol &&
                     part->tunnels == whole->tunnels,
                 "first %zu octets: another kind of flow", cut);
    FUZZ_REQUIRE(place(part->src, part_frame) == place(whole->src, frame) &&
                     place(part->dst, part_frame) == place(whole->dst, frame) &&
                     place(part->ex_src, part_frame) == place(whole->ex_src, frame) &&
                     place(part->ex_dst, part_frame) == place(whole->ex_dst, frame) &&
                     place(part->ports, part_frame) == place(whole->ports, frame),
                 "first %zu octets: another flow", cut);
    FUZZ_REQUIRE(!whole->short_of_octets, "first %zu octets are enough, the whole is not", cut);
}

/* The first part of a frame, alone in its memory, gives the whole's flow or says that it cannot. */
static void compare_with_part(const struct question *q, unsigned tunnels, const VionetFlow *whole,
                              size_t cut)
{
    uint8_t *part = malloc(cut ? cut : 1);
    VionetFlow flow;

    memcpy(part, q->frame, cut);
    vionet_dissect(part, cut, tunnels, &flow);
    if (flow.short_of_octets) {
        REACHED(PARTS_SHORT);
    } else {
        REACHED(PARTS_ENOUGH);
        require_same_flow(&flow, part, whole, q->frame, cut);
    }
    free(part);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = input_of(data, size);
    struct question q;
    VionetFlow flow;

    read_question(&input, &q);
    if (q.len == 0) {
        return 0;
    }
    vionet_dissect(q.frame, q.len, tunnels_of(&q), &flow);
    require_flow(&q, &flow);
    compare_with_reference(&q, &flow);
    for (unsigned i = 0; i < N_CUTS; i++) {
        compare_with_part(&q, tunnels_of(&q), &flow, q.cuts[i] % (q.len + 1));
    }
    return 0;
}
