/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon's log on standard error: one line an entry, text or JSON.
 *
 *     2026-11-21T13:00:00.123Z info vfio-user: client agreed on version 0.1
 *     {"time":"2026-11-21T13:00:00.123Z","level":"info","message":"vfio-user: client ..."}
 *
 * What others log with GLib comes here. Entries of one kind are limited: a burst, then a few each
 * minute, and how many were left out; so a guest that does something wrong a million times a second
 * does not fill a disk. The kind is LOG_KIND of a structured entry; of others, it is the text without
 * its numbers. Control characters and what is not UTF-8 are shown as \xNN.
 *
 * Threads: any.
 */
#ifndef DEVICE_DAEMON_LOG_H
#define DEVICE_DAEMON_LOG_H

#include <stdbool.h>

#include <glib.h>

enum log_format { LOG_TEXT, LOG_JSON };

/* Field of a structured entry: a word for what it is about. */
#define LOG_KIND "VIONET_KIND"

/* The level of that name: error, warning, message, info, debug. */
bool log_find_level(const char *name, GLogLevelFlags *level);

/* From now on the log is that of GLib; entries less urgent than level are not shown. Once. */
void log_open(GLogLevelFlags level, enum log_format format);

/* Logs a JSON document under a name, whatever the level, and without limit. */
void log_document(const char *name, const char *json);

/* ---- The parts, for tests ---- */

struct log_entry {
    gint64 time_us; /* since 1970 */
    GLogLevelFlags level;
    const char *kind; /* NULL: none */
    const char *message;
    const char *document; /* JSON, NULL: none */
};

/* The line, with its end; to be freed with g_free(). */
char *log_line(enum log_format format, const struct log_entry *entry);

/* text with what is not printable as \xNN; to be freed with g_free(). */
char *log_printable(const char *text);

/* How much of each kind was logged. Kinds share a place if there are many: they may be unlimited. */
#define LOG_KINDS 64
#define LOG_BURST 10
#define LOG_REFILL \
    (G_GINT64_CONSTANT(30) * G_USEC_PER_SEC) /* until one more of a kind may be logged */

struct log_limit {
    struct log_kind {
        gint64 since_us; /* when what is used up began to come back */
        unsigned used;   /* of the burst */
        unsigned left_out;
    } kinds[LOG_KINDS];
};

/* Whether an entry of a kind may be logged now (monotonic); then also how many before could not. */
bool log_limit_pass(struct log_limit *limit, const char *kind, gint64 now_us, unsigned *left_out);

#endif
