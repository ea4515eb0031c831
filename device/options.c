/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Takes option lists apart and guesses at misspelt names; see options.h. Called by properties.c,
 * backend.c and the backends that have options.
 */
#include "options.h"

#include <string.h>

#include <vionet/device.h>

/* Longer words are not guessed at. */
#define MAX_WORD 32

static void option_free(gpointer data)
{
    struct option *option = data;

    g_free(option->name);
    g_free(option->value);
    g_free(option);
}

/* The text of the option that begins at *at, doubled commas made single; moves *at past it. */
static char *take_option(const char **at)
{
    GString *text = g_string_new(NULL);
    const char *p = *at;

    for (; *p && !(p[0] == ',' && p[1] != ','); p++) {
        if (*p == ',') {
            p++;
        }
        g_string_append_c(text, *p);
    }
    *at = p;
    return g_string_free(text, FALSE);
}

/* Takes text over. NULL if it has no name. */
static struct option *option_new(char *text)
{
    char *equals = strchr(text, '=');
    struct option *option;

    if (*text == '\0' || equals == text) {
        g_free(text);
        return NULL;
    }
    option = g_new0(struct option, 1);
    option->name = text;
    if (equals) {
        *equals = '\0';
        option->value = g_strdup(equals + 1);
    }
    return option;
}

GPtrArray *options_parse(const char *text, GError **error)
{
    GPtrArray *options = g_ptr_array_new_with_free_func(option_free);
    const char *at = text;

    if (*text == '\0') {
        return options;
    }
    for (;;) {
        struct option *option = option_new(take_option(&at));

        if (!option) {
            g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG,
                        "an option without a name in \"%s\"", text);
            g_ptr_array_unref(options);
            return NULL;
        }
        g_ptr_array_add(options, option);
        if (*at++ == '\0') {
            return options;
        }
    }
}

/* Octets to be changed, added or left out to make one word of the other (Levenshtein). */
static unsigned distance(const char *one, const char *other)
{
    unsigned row[MAX_WORD + 1];
    const size_t n = strlen(other);

    for (size_t j = 0; j <= n; j++) {
        row[j] = (unsigned)j;
    }
    for (size_t i = 0; one[i]; i++) {
        unsigned diagonal = row[0];

        row[0] = (unsigned)i + 1;
        for (size_t j = 0; j < n; j++) {
            unsigned here = diagonal + (one[i] != other[j]);

            diagonal = row[j + 1];
            here = MIN(here, row[j] + 1);
            row[j + 1] = MIN(here, diagonal + 1);
        }
    }
    return row[n];
}

const char *options_nearest(const char *name, const char *const *candidates)
{
    unsigned best = 1 + (unsigned)strlen(name) / 3;
    const char *nearest = NULL;

    if (strlen(name) > MAX_WORD) {
        return NULL;
    }
    for (; *candidates; candidates++) {
        unsigned here;

        if (strlen(*candidates) > MAX_WORD) {
            continue;
        }
        here = distance(name, *candidates);
        if (here < best || (here == best && !nearest)) {
            best = here;
            nearest = *candidates;
        }
    }
    return nearest;
}

bool options_number(const char *text, uint64_t min, uint64_t max, uint64_t *number)
{
    guint64 value;
    bool ok;

    if (g_str_has_prefix(text, "0x") || g_str_has_prefix(text, "0X")) {
        ok = g_ascii_string_to_unsigned(text + 2, 16, min, max, &value, NULL);
    } else {
        ok = g_ascii_string_to_unsigned(text, 10, min, max, &value, NULL);
    }
    if (ok) {
        *number = value;
    }
    return ok;
}
