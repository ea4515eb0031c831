/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * As much of JSON as a line of the ndjson format takes: one object whose values are strings, whole
 * numbers or null. Strings are octets, not characters: octets that are not UTF-8 (file names can
 * have them) are written as the lone surrogates \udc80 to \udcff, as Python does, and read back.
 */
#ifndef REPLAY_JSON_H
#define REPLAY_JSON_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum json_type {
    JSON_NULL,
    JSON_NUMBER,
    JSON_STRING,
};

struct json_value {
    enum json_type type;
    uint64_t number;
    const char *string; /* without NUL octets inside; lives during the callback */
};

/* Called for each member, in order; false, with error set, ends the reading. */
typedef bool (*json_member)(const char *key, const struct json_value *value, void *opaque,
                            GError **error);

/* Appends the octets of string as a JSON string, with its quotes. */
void json_append_string(GString *text, const char *string);

/* Reads the object that text is, and nothing else. Strict; the error says what was expected. */
bool json_read_object(const char *text, json_member member, void *opaque, GError **error);

#endif
