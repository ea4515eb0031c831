/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which queue pair a received frame goes to, and the hash that goes with it (VIRTIO 1.4, 5.1.6.4.3
 * Hash calculation, 5.1.6.5.5 Automatic receive steering, 5.1.6.5.7 Receive-side scaling).
 */
#ifndef VIONET_NET_STEER_H
#define VIONET_NET_STEER_H

#include <stdatomic.h>

#include "net/header.h"
#include "net/view.h"

#include <vionet/spec.h>

/*
 * Automatic steering remembers by a mix of addresses and ports on which pair a flow was last sent;
 * both directions of a flow mix to the same. Flows that fall together share an entry: their frames
 * may change queue, which is allowed, never be lost.
 */
#define FLOW_ENTRIES 4096

struct flow_table {
    _Atomic uint16_t pair_plus_1[FLOW_ENTRIES]; /* 0: nothing sent yet */
};

/* Whether there is anything to find out: if not, all frames go to pair 0, and none has a hash. */
bool steer_chooses(const struct view *view);

/* Whether received frames have to be dissected at all. */
bool steer_needs_flow(const struct view *view);

/* Whether a hash, which there is then, and nothing else of a flow decides. */
bool steer_by_hash(const struct view *view);

/* What was found out about a frame, as the hash to report and steer by. */
static inline struct hash_result steer_take_hash(const struct view *view,
                                                 const VionetFrameHash *found)
{
    const bool tells = view->dialect->reports_tunnel && found->report;
    const unsigned tunnel = tells ? vionet_dialect_report(view->dialect, found->tunnels) : 0;

    return (struct hash_result){found->hash, found->report, (uint8_t)tunnel};
}

/* The queue pair where steer_by_hash(). */
static inline unsigned steer_hashed(const struct steering *steering, struct hash_result hash)
{
    if (steering->mode == STEER_AUTOMATIC) {
        return 0;
    }
    if (hash.report == VIRTIO_NET_HASH_REPORT_NONE) {
        return steering->unclassified;
    }
    return steering->table->pairs[hash.value & steering->table->mask];
}

/* The hash to report and steer by; all zero if none is calculated. */
void steer_hash(const struct view *view, const VionetFlow *flow, struct hash_result *hash);

/* The queue pair for a frame, by the flow only where not by the hash. It may be one that is not enabled. */
unsigned steer_pair(const struct view *view, const struct flow_table *table, const VionetFlow *flow,
                    const struct hash_result *hash);

/* Whether frames that the driver sends should be learnt from, and learning from one. */
bool steer_learns(const struct view *view);
void steer_learn(struct flow_table *table, const VionetFlow *flow, unsigned pair);

/* Forgets everything. */
void steer_forget(struct flow_table *table);

#endif
