/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is printed for each packet: a line of ndjson for programs, or a row of a table for people,
 * and the table's summary. ndjson is a contract; the table says the same and may change its looks.
 */
#ifndef REPLAY_OUTPUT_H
#define REPLAY_OUTPUT_H

#include "settings.h"
#include "tally.h"
#include "terminal.h"

struct output;

enum output_format {
    OUTPUT_TABLE,
    OUTPUT_NDJSON,
    OUTPUT_NOTHING,
};

/* An output to standard output; settings must live as long. several: more than one capture. */
struct output *output_new(enum output_format format, const struct replay_settings *settings,
                          bool several);

/* A capture of that name begins. */
void output_capture(struct output *output, const char *name);

/* The next packet of the capture. */
void output_packet(struct output *output, uint64_t packet, uint64_t length,
                   const struct replay_result *result);

/* What ends a table, over all captures. */
void output_summary(struct output *output, const struct tally *tally);

/* NULL is ignored. */
void output_free(struct output *output);

#endif
