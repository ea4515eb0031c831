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

static void start_chunk(struct chunk *chunk)
{
    chunk->v4.n = chunk->v6.n = 0;
}

/* Written to both lots, of which one grows: a branch here would be a coin's toss. */
static inline void add_input(struct chunk *chunk, const uint8_t *input, unsigned addr_len,
                             unsigned at)
{
    const unsigned v6 = addr_len >> 4; /* 16 or 4 */

    chunk->v4.inputs[chunk->v4.n] = input;
    chunk->v6.inputs[chunk->v6.n] = input;
    chunk->v4.at[chunk->v4.n] = (uint8_t)at;
    chunk->v6.at[chunk->v6.n] = (uint8_t)at;
    chunk->v4.n += 1 - v6;
    chunk->v6.n += v6;
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

/* The flow that is the at-th of the chunk; its report. */
static inline unsigned add_flow(struct chunk *chunk, const VionetFlow *flow, uint32_t hash_types,
                                unsigned at)
{
    const unsigned report = choose_report(flow, hash_types);
    const uint8_t *input = flow->src;

    if (report == VIRTIO_NET_HASH_REPORT_NONE) {
        return report;
    }
    if (flow->ports != input + 2 * flow->addr_len || !report_has_ports(report) || flow->ex_src) {
        input = copy_input(flow, report, chunk->copies[at]);
    }
    add_input(chunk, input, flow->addr_len, at);
    return report;
}

static void hash_chunk(const VionetHashKey *key, struct chunk *chunk)
{
    vionet_toeplitz_burst(key, chunk->v4.inputs, 12, chunk->v4.n, chunk->v4.hashes);
    vionet_toeplitz_burst(key, chunk->v6.inputs, VIONET_HASH_INPUT_MAX, chunk->v6.n,
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
    struct chunk chunk;

    start_chunk(&chunk);
    for (unsigned i = 0; i < n; i++) {
        reports[i] = (uint8_t)add_flow(&chunk, &flows[i], hash_types, i);
        hashes[i] = 0;
    }
    hash_chunk(key, &chunk);
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

/* A frame of a common shape of which the report with ports is enabled; else nothing is done. */
static inline bool add_straight(struct chunk *chunk, const uint8_t *frame, size_t len,
                                unsigned tunnels, uint32_t hash_types, unsigned at,
                                VionetFrameHash *result)
{
    struct straight straight;
    unsigned report;

    if (!dissect_straight(frame, len, tunnels, &straight)) {
        return false;
    }
    report = report_with_ports(straight.addr_len, straight.protocol);
    if (!report_enabled(hash_types, report)) {
        return false;
    }
    add_input(chunk, straight.ports - 2 * straight.addr_len, straight.addr_len, at);
    *result = (VionetFrameHash){0, (uint16_t)straight.tunnels, (uint8_t)report, false};
    return true;
}

static void add_general(struct chunk *chunk, const uint8_t *frame, size_t len, unsigned tunnels,
                        uint32_t hash_types, unsigned at, VionetFrameHash *result)
{
    VionetFlow flow;

    dissect_general(frame, len, tunnels, &flow);
    result->report = (uint8_t)add_flow(chunk, &flow, hash_types, at);
    result->hash = 0;
    result->tunnels = flow.tunnels;
    result->short_of_octets = flow.short_of_octets;
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
    struct chunk chunk;

    start_chunk(&chunk);
    for (unsigned i = 0; i < n; i++) {
        if (!add_straight(&chunk, frames[i], lens[i], tunnels, hash_types, i, &results[i])) {
            add_general(&chunk, frames[i], lens[i], tunnels, hash_types, i, &results[i]);
        }
    }
    hash_chunk(key, &chunk);
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
