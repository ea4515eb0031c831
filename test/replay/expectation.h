/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of expectations, shared by expect.c, which compares with it, and by the readers of the
 * two file formats, which fill it. Nobody else includes this.
 */
#ifndef REPLAY_EXPECTATION_H
#define REPLAY_EXPECTATION_H

#include "expect.h"

#include <stdio.h>

enum {
    SAYS_LENGTH = 1 << 0,
    SAYS_QUEUE = 1 << 1,
    SAYS_HASH = 1 << 2,
    SAYS_NO_HASH = 1 << 3,
    SAYS_REPORT = 1 << 4,
    SAYS_TUNNEL = 1 << 5,
    SAYS_DROPPED = 1 << 6,
};

struct expectation {
    uint64_t packet;
    uint64_t length;
    const char *dropped;
    uint32_t capture; /* index; from n_captures on: one that is not replayed */
    uint32_t queue;
    uint32_t hash;
    uint8_t says; /* SAYS_*; which members mean something */
    uint8_t report;
    uint8_t tunnel;
};

struct expectations {
    GArray *table;       /* struct expectation */
    unsigned next;       /* first that has not met its packet */
    GPtrArray *captures; /* names; the replayed ones first */
    unsigned n_captures; /* replayed ones */
    GHashTable *others;  /* index in captures by name, of those that are not replayed */
    GStringChunk *strings;
    expect_mismatch tell;
    void *opaque;
    uint64_t mismatches;
};

/* Each appends what file says to the table; false with error set if the file is unusable. */
bool expect_read_ndjson(struct expectations *expectations, FILE *file, GError **error);
bool expect_read_pcapng(struct expectations *expectations, FILE *file, GError **error);

#endif
