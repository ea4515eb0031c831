/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lists of options as QEMU users write them: "name=value,name=value", a comma inside a value
 * doubled. Used for the device's properties and for a backend's options.
 *
 * Errors are of domain VIONET_ERROR, code VIONET_ERROR_CONFIG, one line each. Threads: all
 * functions are pure.
 */
#ifndef DEVICE_OPTIONS_H
#define DEVICE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

struct option {
    char *name;
    char *value; /* NULL if there was no equals sign */
};

/*
 * Takes text apart into an array of struct option, in order; the empty text has none. The caller
 * unrefs the array, which owns its options. NULL if an option has no name.
 */
GPtrArray *options_parse(const char *text, GError **error);

/*
 * The one of the candidates (NULL at the end) that name was most likely meant to be; NULL if none
 * is near.
 */
const char *options_nearest(const char *name, const char *const *candidates);

/*
 * Reads a number, decimal or hexadecimal after 0x, without sign, into *number. False, and nothing
 * written, if text is not one, or one that is not from min to max.
 */
bool options_number(const char *text, uint64_t min, uint64_t max, uint64_t *number);

#endif
