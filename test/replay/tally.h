/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a session made of all packets, counted: by queue, by report, by reason of drop, and how many
 * different hashes there were. Read by the table's summary, by --compare and by --report.
 */
#ifndef REPLAY_TALLY_H
#define REPLAY_TALLY_H

#include "settings.h"

struct tally {
    unsigned n_queues;
    uint64_t packets;
    uint64_t delivered;
    uint64_t hashed;
    uint64_t *queues; /* delivered packets of each */
    uint64_t reports[N_REPORTS];
    GPtrArray *drops; /* struct drop_count *, in order of first appearance */
    GHashTable *hashes;
};

struct drop_count {
    char *reason;
    uint64_t packets;
};

struct tally *tally_new(unsigned n_queues);

/* Counts one packet. Its queue and report must exist. */
void tally_add(struct tally *tally, const struct replay_result *result);

/* Queues with at least one packet; packets of the busiest one; number of different hashes. */
unsigned tally_used(const struct tally *tally);
uint64_t tally_busiest(const struct tally *tally);
uint64_t tally_hashes(const struct tally *tally);

/*
 * The last queue of the run that begins with first: more than two queues without a packet in this
 * tally, nor in other unless that is NULL, make a run; else it is first itself.
 */
unsigned tally_empty_run(const struct tally *tally, const struct tally *other, unsigned first);

/* NULL is ignored. */
void tally_free(struct tally *tally);

#endif
