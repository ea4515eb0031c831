/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counting of results; see tally.h.
 */
#include "tally.h"

#include <string.h>

static void free_drop_count(gpointer data)
{
    struct drop_count *drop = data;

    g_free(drop->reason);
    g_free(drop);
}

struct tally *tally_new(unsigned n_queues)
{
    struct tally *tally = g_new0(struct tally, 1);

    tally->n_queues = n_queues;
    tally->queues = g_new0(uint64_t, n_queues);
    tally->drops = g_ptr_array_new_with_free_func(free_drop_count);
    tally->hashes = g_hash_table_new(NULL, NULL);
    return tally;
}

static struct drop_count *find_drop(struct tally *tally, const char *reason)
{
    struct drop_count *drop;

    for (unsigned i = 0; i < tally->drops->len; i++) {
        drop = g_ptr_array_index(tally->drops, i);
        if (strcmp(drop->reason, reason) == 0) {
            return drop;
        }
    }
    drop = g_new0(struct drop_count, 1);
    drop->reason = g_strdup(reason);
    g_ptr_array_add(tally->drops, drop);
    return drop;
}

void tally_add(struct tally *tally, const struct replay_result *result)
{
    tally->packets++;
    if (result->dropped) {
        find_drop(tally, result->reason)->packets++;
        return;
    }
    tally->delivered++;
    tally->queues[result->queue]++;
    tally->reports[result->report]++;
    if (result->hashed) {
        tally->hashed++;
        g_hash_table_add(tally->hashes, GUINT_TO_POINTER(result->hash));
    }
}

unsigned tally_used(const struct tally *tally)
{
    unsigned used = 0;

    for (unsigned i = 0; i < tally->n_queues; i++) {
        used += tally->queues[i] != 0;
    }
    return used;
}

uint64_t tally_busiest(const struct tally *tally)
{
    uint64_t most = 0;

    for (unsigned i = 0; i < tally->n_queues; i++) {
        most = MAX(most, tally->queues[i]);
    }
    return most;
}

uint64_t tally_hashes(const struct tally *tally)
{
    return g_hash_table_size(tally->hashes);
}

unsigned tally_empty_run(const struct tally *tally, const struct tally *other, unsigned first)
{
    unsigned end = first;

    while (end < tally->n_queues && !tally->queues[end] && (!other || !other->queues[end])) {
        end++;
    }
    return end > first + 2 ? end - 1 : first;
}

void tally_free(struct tally *tally)
{
    if (tally) {
        g_free(tally->queues);
        g_ptr_array_unref(tally->drops);
        g_hash_table_unref(tally->hashes);
        g_free(tally);
    }
}
