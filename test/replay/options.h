/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command line of vionet-replay as values: everything is checked that can be checked without
 * opening a capture. replay-contract names the options; help.c explains them.
 */
#ifndef REPLAY_OPTIONS_H
#define REPLAY_OPTIONS_H

#include "settings.h"

struct options {
    struct replay_settings settings;
    bool ndjson;
    bool compare;
    char *expect; /* file names; NULL: not asked for */
    char *write;
    char *report;
    char **captures;
    unsigned n_captures;
    bool help;
    bool version;
};

/* Reads argv, which it changes. False with error set if the command line is unusable. */
bool options_parse(struct options *options, int *argc, char ***argv, GError **error);

/* Frees what options_parse() put there, whatever it returned. */
void options_clear(struct options *options);

#endif
