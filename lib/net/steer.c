/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Steering (see steer.h): the stations "hash" and "steer" of a received frame, and learning from
 * transmitted ones.
 */
#include "net/steer.h"

#include <string.h>

#include <vionet/spec.h>

bool steer_chooses(const struct view *view)
{
    return view->steering.mode != STEER_AUTOMATIC || steer_needs_flow(view);
}

bool steer_needs_flow(const struct view *view)
{
    return view->steering.key != NULL || steer_learns(view);
}

bool steer_by_hash(const struct view *view)
{
    return view->steering.key && !steer_learns(view);
}

void steer_hash(const struct view *view, const VionetFlow *flow, struct hash_result *hash)
{
    const struct steering *steering = &view->steering;

    *hash = (struct hash_result){0};
    if (!steering->key) {
        return;
    }
    hash->report = (uint16_t)vionet_flow_report(flow, steering->hash_types);
    if (hash->report == VIRTIO_NET_HASH_REPORT_NONE) {
        return;
    }
    hash->value = vionet_hash_flow(steering->key->key, flow, hash->report);
    hash->tunnel = (uint8_t)vionet_dialect_report(view->dialect, flow->tunnels);
}

static uint64_t mix_end(const uint8_t *addr, unsigned addr_len, const uint8_t *port)
{
    uint64_t word[2] = {0, 0};
    uint16_t number = 0;

    memcpy(word, addr, addr_len);
    if (port) {
        memcpy(&number, port, sizeof(number));
    }
    word[0] = (word[0] ^ number) * UINT64_C(0x9e3779b97f4a7c15);
    word[1] *= UINT64_C(0xc2b2ae3d27d4eb4f);
    return (word[0] ^ word[1] ^ word[0] >> 29) * UINT64_C(0x165667b19e3779f9);
}

/* The same number for both directions: the ends are added. */
static uint32_t mix_flow(const VionetFlow *flow)
{
    const uint8_t *ports = flow->ports;
    uint64_t sum = mix_end(flow->src, flow->addr_len, ports) +
                   mix_end(flow->dst, flow->addr_len, ports ? ports + 2 : NULL);

    return (uint32_t)(sum >> 32);
}

static unsigned steer_automatic(const struct view *view, const struct flow_table *table,
                                const VionetFlow *flow)
{
    unsigned n_pairs = view->steering.n_pairs;
    unsigned learnt;
    uint32_t mix;

    if (!flow->addr_len) {
        return 0;
    }
    mix = mix_flow(flow);
    learnt = atomic_load_explicit(&table->pair_plus_1[mix % FLOW_ENTRIES], memory_order_relaxed);
    return learnt && learnt <= n_pairs ? learnt - 1 : mix % n_pairs;
}

unsigned steer_pair(const struct view *view, const struct flow_table *table, const VionetFlow *flow,
                    const struct hash_result *hash)
{
    return steer_learns(view) ? steer_automatic(view, table, flow)
                              : steer_hashed(&view->steering, *hash);
}

bool steer_learns(const struct view *view)
{
    return view->steering.mode == STEER_AUTOMATIC && view->steering.n_pairs > 1;
}

void steer_learn(struct flow_table *table, const VionetFlow *flow, unsigned pair)
{
    _Atomic uint16_t *entry;

    if (!flow->addr_len) {
        return;
    }
    entry = &table->pair_plus_1[mix_flow(flow) % FLOW_ENTRIES];
    /* Written only when it changes: the line is read by every pair. */
    if (atomic_load_explicit(entry, memory_order_relaxed) != pair + 1) {
        atomic_store_explicit(entry, (uint16_t)(pair + 1), memory_order_relaxed);
    }
}

void steer_forget(struct flow_table *table)
{
    for (unsigned i = 0; i < FLOW_ENTRIES; i++) {
        atomic_store_explicit(&table->pair_plus_1[i], 0, memory_order_relaxed);
    }
}
