/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two tallies of the same packets, hashed by outer headers alone and by inner ones: the table of
 * --compare and the sentence that says what inner hashing repairs, which --report shows as well.
 */
#ifndef REPLAY_COMPARE_H
#define REPLAY_COMPARE_H

#include "settings.h"
#include "tally.h"
#include "terminal.h"

struct comparison {
    const struct replay_settings *settings; /* of the inner side */
    const char *subject;                    /* what was replayed, fit for printing */
    const struct tally *outer;
    const struct tally *inner;
    uint64_t changed; /* packets whose hash differs, or that have one on one side only */
};

/* The verdict as one sentence. Free with g_free(). */
char *compare_verdict(const struct comparison *comparison);

/* "10 packets, dialect ratified, 4 queues". Free with g_free(). */
char *compare_title(const struct comparison *comparison);

/* Prints the comparison on stream. */
void compare_print(const struct comparison *comparison, FILE *stream);

#endif
