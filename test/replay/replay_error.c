/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tool's error domain and printable names; see replay_error.h.
 */
#include "replay_error.h"

#include <stdarg.h>
#include <string.h>

G_DEFINE_QUARK(replay - error - quark, replay_error)

bool complain(GError **error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    if (error) {
        *error = g_error_new_valist(REPLAY_ERROR, 0, format, arguments);
    }
    va_end(arguments);
    return false;
}

/* Octets of the printable character at text, 0 if there is none. */
static size_t printable(const char *text, bool utf8)
{
    gunichar c = g_utf8_get_char_validated(text, -1);

    if (c == (gunichar)-1 || c == (gunichar)-2 || !g_unichar_isprint(c) || (c >= 0x80 && !utf8)) {
        return 0;
    }
    return (size_t)(g_utf8_next_char(text) - text);
}

char *display_name(const char *name)
{
    GString *text = g_string_new(NULL);
    bool utf8 = g_get_charset(NULL);

    while (*name) {
        size_t len = printable(name, utf8);

        if (len) {
            g_string_append_len(text, name, (gssize)len);
            name += len;
        } else {
            g_string_append_printf(text, "\\x%02x", (unsigned char)*name++);
        }
    }
    return g_string_free(text, FALSE);
}
