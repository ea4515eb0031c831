/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names and numbers of what can be set and reported: dialects, tunnel types, hash types, reports.
 * The tables are read by the command line, by --help, by every output and by expectations. The bits
 * are the specification's, not the library's: replay configures a device as a driver would.
 */
#ifndef REPLAY_SETTINGS_H
#define REPLAY_SETTINGS_H

#include "session.h"

/* A name and its bit in a mask; a table of them ends with a NULL name. */
struct named_bit {
    const char *name;
    uint32_t bit;
};

struct dialect {
    const char *name;
    enum replay_dialect id;
    const struct named_bit *tunnel_types;
    bool reports_tunnel; /* the packet header names the encapsulation */
};

#define N_REPORTS 10

/* The i-th dialect, NULL past the last; and the one that settings name. */
const struct dialect *dialect_at(unsigned i);
const struct dialect *dialect_of(const struct replay_settings *settings);

const struct named_bit *hash_types(void);

/* Names of hash_report and of draft v7's hash_report_tunnel; NULL where the value has none. */
const char *report_name(unsigned report);
const char *tunnel_name(unsigned tunnel);

/* The value of such a name, -1 if there is none. */
int report_find(const char *name);
int tunnel_find(const char *name);

/* Every default of the command line. */
void settings_init(struct replay_settings *settings);

/*
 * Each reads the text of one option into settings and is strict: false with error set, naming the
 * option and what it takes. The dialect must be set before the tunnel types.
 */
bool settings_set_dialect(struct replay_settings *settings, const char *text, GError **error);
bool settings_set_tunnel_types(struct replay_settings *settings, const char *text, GError **error);
bool settings_set_hash_types(struct replay_settings *settings, const char *text, GError **error);
bool settings_set_key(struct replay_settings *settings, const char *text, GError **error);
bool settings_set_queues(struct replay_settings *settings, const char *text, GError **error);
bool settings_set_indirection(struct replay_settings *settings, const char *text, GError **error);
bool settings_set_ring(struct replay_settings *settings, const char *text, GError **error);

/* Appends the names of the bits of mask, "all" or "none", as the options take them. */
void settings_describe_bits(GString *text, const struct named_bit *table, uint32_t mask);

/* The settings as the options that give them, on one line. Free with g_free(). */
char *settings_describe(const struct replay_settings *settings);

#endif
