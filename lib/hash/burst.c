/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The hashes of a burst of flows or of frames. What is to be hashed is sorted by length first, 12 octets
 * of IPv4 and 36 of IPv6, so that engines get many inputs of one length and nothing is decided packet
 * by packet. Inputs are hashed where they stand in the packet; they are put together only if something
 * stands between their parts or the ports do not count.
 */
#include <vionet/hash.h>

#include "hash/dissect.h"
#include "hash/flow.h"
#include "hash/straight.h"

#include <string.h>

#define CHUNK 64 /* packets of a burst at a time: what is kept of them stays in L1 */

/* Inputs of one length. */
struct lot {
    unsigned n;
    uint8_t at[CHUNK]; /* whose they are */
    const uint8_t *inputs[CHUNK];
    uint32_t hashes[CHUNK];
};

struct chunk {
    struct lot v4, v6;
    uint8_t copies[CHUNK][VIONET_HASH_INPUT_MAX]; /* inputs that do not stand together */
};

/* How far the lots are filled; in registers while a burst is sorted. */
struct filled {
    unsigned v4, v6;
};

/* Written to both lots, of which one grows: a branch here would be a coin's toss. */
static inline struct filled add_input(struct chunk *chunk, struct filled filled,
                                      const uint8_t *input, unsigned addr_len, unsigned at)
{
    const unsigned v6 = addr_len >> 4; /* 16 or 4 */

    chunk->v4.inputs[filled.v4] = input;
    chunk->v6.inputs[filled.v6] = input;
    chunk->v4.at[filled.v4] = (uint8_t)at;
    chunk->v6.at[filled.v6] = (uint8_t)at;
    return (struct filled){filled.v4 + 1 - v6, filled.v6 + v6};
}

static const uint8_t *copy_input(const VionetFlow *flow, unsigned report, uint8_t *copy)
{
    const bool extended = report_is_extended(report);
    const unsigned len = flow->addr_len;

    memcpy(copy, extended ? flow->ex_src : flow->src, len);
    memcpy(copy + len, extended ? flow->ex_dst : flow->dst, len);
    if (report_has_ports(report)) {
        memcpy(copy + 2 * len, flow->ports, 4);
    } else {
        memset(copy + 2 * len, 0, 4);
    }
    return copy;
}

/* Where the input of a flow with this report stands together, or was put together. */
static inline const uint8_t *flow_input(struct chunk *chunk, const VionetFlow *flow,
                                        unsigned report, unsigned at)
{
    if (flow->ports != flow->src + 2 * flow->addr_len || !report_has_ports(report) ||
        flow->ex_src) {
        return copy_input(flow, report, chunk->copies[at]);
    }
    return flow->src;
}

static void hash_chunk(const VionetHashKey *key, struct chunk *chunk, struct filled filled)
{
    chunk->v4.n = filled.v4;
    chunk->v6.n = filled.v6;
    vionet_toeplitz_burst(key, chunk->v4.inputs, 12, filled.v4, chunk->v4.hashes);
    vionet_toeplitz_burst(key, chunk->v6.inputs, VIONET_HASH_INPUT_MAX, filled.v6,
                          chunk->v6.hashes);
}

/* ---- flows ---- */

static void give_hashes(const struct lot *lot, uint32_t hashes[])
{
    for (unsigned i = 0; i < lot->n; i++) {
        hashes[lot->at[i]] = lot->hashes[i];
    }
}

static void hash_some_flows(const VionetHashKey *key, const VionetFlow flows[], unsigned n,
                            uint32_t hash_types, uint8_t reports[], uint32_t hashes[])
{
    struct filled filled = {0, 0};
    struct chunk chunk;

    for (unsigned i = 0; i < n; i++) {
        const unsigned report = choose_report(&flows[i], hash_types);

        reports[i] = (uint8_t)report;
        hashes[i] = 0;
        if (report != VIRTIO_NET_HASH_REPORT_NONE) {
            filled = add_input(&chunk, filled, flow_input(&chunk, &flows[i], report, i),
                               flows[i].addr_len, i);
        }
    }
    hash_chunk(key, &chunk, filled);
    give_hashes(&chunk.v4, hashes);
    give_hashes(&chunk.v6, hashes);
}

void vionet_hash_flows(const VionetHashKey *key, const VionetFlow flows[], size_t n,
                       uint32_t hash_types, uint8_t reports[], uint32_t hashes[])
{
    for (size_t done = 0; done < n; done += CHUNK) {
        const size_t some = n - done < CHUNK ? n - done : CHUNK;

        hash_some_flows(key, flows + done, (unsigned)some, hash_types, reports + done,
                        hashes + done);
    }
}

/* ---- frames ---- */

/*
 * In steps over the burst, each small enough to stay in registers: dissect, sort, hash. A frame of no
 * common shape has no ports after the first step, and its result is complete but for the hash.
 */
static void dissect_some(const uint8_t *const frames[], const size_t lens[], unsigned n,
                         unsigned tunnels, struct straight straights[])
{
    for (unsigned i = 0; i < n; i++) {
        if (!dissect_straight(frames[i], lens[i], tunnels, &straights[i])) {
            straights[i] = (struct straight){NULL, 4, 0, 0};
        }
    }
}

/* The general way, for a frame that is of no common shape or whose ports do not count. */
static struct filled add_general(struct chunk *chunk, struct filled filled, const uint8_t *frame,
                                 size_t len, unsigned tunnels, uint32_t hash_types, unsigned at,
                                 VionetFrameHash *result)
{
    VionetFlow flow;

    dissect_general(frame, len, tunnels, &flow);
    result->report = (uint8_t)choose_report(&flow, hash_types);
    result->hash = 0;
    result->tunnels = flow.tunnels;
    result->short_of_octets = flow.short_of_octets;
    if (result->report == VIRTIO_NET_HASH_REPORT_NONE) {
        return filled;
    }
    return add_input(chunk, filled, flow_input(chunk, &flow, result->report, at), flow.addr_len,
                     at);
}

static void give_results(const struct lot *lot, VionetFrameHash results[])
{
    for (unsigned i = 0; i < lot->n; i++) {
        results[lot->at[i]].hash = lot->hashes[i];
    }
}

static void hash_some_frames(const VionetHashKey *key, const uint8_t *const frames[],
                             const size_t lens[], unsigned n, unsigned tunnels, uint32_t hash_types,
                             VionetFrameHash results[])
{
    struct straight straights[CHUNK];
    struct filled filled = {0, 0};
    struct chunk chunk;

    dissect_some(frames, lens, n, tunnels, straights);
    for (unsigned i = 0; i < n; i++) {
        const struct straight *straight = &straights[i];
        const unsigned report = report_with_ports(straight->addr_len, straight->protocol);

        if (straight->ports && report_enabled(hash_types, report)) {
            results[i].report = (uint8_t)report;
            results[i].tunnels = (uint16_t)straight->tunnels;
            results[i].short_of_octets = false;
            filled = add_input(&chunk, filled, straight->ports - 2 * straight->addr_len,
                               straight->addr_len, i);
        } else {
            filled = add_general(&chunk, filled, frames[i], lens[i], tunnels, hash_types, i,
                                 &results[i]);
        }
    }
    hash_chunk(key, &chunk, filled);
    give_results(&chunk.v4, results);
    give_results(&chunk.v6, results);
}

void vionet_hash_frames(const VionetHashKey *key, const uint8_t *const frames[],
                        const size_t lens[], size_t n, unsigned tunnels, uint32_t hash_types,
                        VionetFrameHash results[])
{
    for (size_t done = 0; done < n; done += CHUNK) {
        const size_t some = n - done < CHUNK ? n - done : CHUNK;

        hash_some_frames(key, frames + done, lens + done, (unsigned)some, tunnels, hash_types,
                         results + done);
    }
}
