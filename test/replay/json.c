/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writing and reading of flat JSON objects; see json.h.
 */
#include "json.h"

#include "replay_error.h"

#include <string.h>

static const char escaped[] = "\"\\/bfnrt";
static const char meaning[] = "\"\\/\b\f\n\r\t";

#define SURROGATE_HIGH 0xd800u
#define SURROGATE_LOW  0xdc00u
#define SURROGATE_END  0xe000u
#define SURROGATE_RAW  0xdc00u /* plus an octet from 0x80 on */

void json_append_string(GString *text, const char *string)
{
    g_string_append_c(text, '"');
    while (*string) {
        unsigned char octet = (unsigned char)*string;
        const char *known = octet == '/' ? NULL : strchr(meaning, octet);

        if (known) {
            g_string_append_printf(text, "\\%c", escaped[known - meaning]);
        } else if (octet < 0x20) {
            g_string_append_printf(text, "\\u%04x", octet);
        } else if ((int)g_utf8_get_char_validated(string, -1) < 0) {
            g_string_append_printf(text, "\\u%04x", SURROGATE_RAW + octet);
        } else {
            const char *next = g_utf8_next_char(string);

            g_string_append_len(text, string, next - string);
            string = next;
            continue;
        }
        string++;
    }
    g_string_append_c(text, '"');
}

static void skip_space(const char **at)
{
    *at += strspn(*at, " \t\r\n");
}

static bool take(const char **at, char wanted, GError **error)
{
    skip_space(at);
    if (**at != wanted) {
        return complain(error, "expected '%c'", wanted);
    }
    ++*at;
    return true;
}

/* Four hexadecimal digits; -1 if they are not there. */
static int read_hex(const char **at)
{
    int value = 0;

    for (int i = 0; i < 4; i++) {
        int digit = g_ascii_xdigit_value((*at)[i]);

        if (digit < 0) {
            return -1;
        }
        value = value << 4 | digit;
    }
    *at += 4;
    return value;
}

/* What follows "\u". */
static bool read_unicode(const char **at, GString *string, GError **error)
{
    int first = read_hex(at);
    int second;

    if (first <= 0) {
        return complain(error, "expected four hexadecimal digits, not 0000, after \\u");
    }
    if (first < (int)SURROGATE_HIGH || first >= (int)SURROGATE_END) {
        g_string_append_unichar(string, (gunichar)first);
        return true;
    }
    if (first >= (int)SURROGATE_RAW + 0x80 && first <= (int)SURROGATE_RAW + 0xff) {
        g_string_append_c(string, (char)(first - (int)SURROGATE_RAW));
        return true;
    }
    if (first < (int)SURROGATE_LOW && strncmp(*at, "\\u", 2) == 0) {
        *at += 2;
        second = read_hex(at);
        if (second >= (int)SURROGATE_LOW && second < (int)SURROGATE_END) {
            g_string_append_unichar(string, 0x10000u + (((unsigned)first - SURROGATE_HIGH) << 10) +
                                                ((unsigned)second - SURROGATE_LOW));
            return true;
        }
    }
    return complain(error, "half a surrogate pair in a string");
}

static bool read_escape(const char **at, GString *string, GError **error)
{
    char c = **at;
    const char *known = c ? strchr(escaped, c) : NULL;

    if (known) {
        g_string_append_c(string, meaning[known - escaped]);
        ++*at;
        return true;
    }
    if (c != 'u') {
        return complain(error, "unknown escape in a string");
    }
    ++*at;
    return read_unicode(at, string, error);
}

static bool read_string(const char **at, GString *string, GError **error)
{
    g_string_truncate(string, 0);
    if (!take(at, '"', error)) {
        return false;
    }
    while (**at != '"') {
        unsigned char c = (unsigned char)*(*at)++;

        if (c < 0x20) {
            return complain(error, c ? "control character in a string" : "string without an end");
        }
        if (c != '\\') {
            g_string_append_c(string, (char)c);
        } else if (!read_escape(at, string, error)) {
            return false;
        }
    }
    ++*at;
    return true;
}

/* A whole number as JSON writes it: no sign, fraction, exponent or leading zero. */
static bool read_number(const char **at, uint64_t *number, GError **error)
{
    size_t digits = strspn(*at, "0123456789");
    g_autofree char *text = g_strndup(*at, digits);
    guint64 value;

    if ((digits > 1 && text[0] == '0') || strchr(".eE", (*at)[digits] ? (*at)[digits] : ' ') ||
        !g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT64, &value, NULL)) {
        return complain(error, "expected a whole number below 2^64");
    }
    *number = value;
    *at += digits;
    return true;
}

static bool read_value(const char **at, struct json_value *value, GString *string, GError **error)
{
    skip_space(at);
    if (**at == '"') {
        value->type = JSON_STRING;
        if (!read_string(at, string, error)) {
            return false;
        }
        value->string = string->str;
        return true;
    }
    if (g_ascii_isdigit(**at)) {
        value->type = JSON_NUMBER;
        return read_number(at, &value->number, error);
    }
    if (strncmp(*at, "null", 4) == 0) {
        value->type = JSON_NULL;
        *at += 4;
        return true;
    }
    return complain(error, "expected a string, a whole number or null");
}

static bool read_member(const char **at, json_member member, void *opaque, GError **error)
{
    g_autoptr(GString) key = g_string_new(NULL);
    g_autoptr(GString) string = g_string_new(NULL);
    struct json_value value = {0};

    return read_string(at, key, error) && take(at, ':', error) &&
           read_value(at, &value, string, error) && member(key->str, &value, opaque, error);
}

bool json_read_object(const char *text, json_member member, void *opaque, GError **error)
{
    const char *at = text;

    if (!g_utf8_validate(text, -1, NULL)) {
        return complain(error, "not UTF-8");
    }
    if (!take(&at, '{', error)) {
        return false;
    }
    skip_space(&at);
    if (*at == '}') {
        at++;
    } else {
        do {
            if (!read_member(&at, member, opaque, error)) {
                return false;
            }
            skip_space(&at);
        } while (*at == ',' && at++);
        if (!take(&at, '}', error)) {
            return false;
        }
    }
    skip_space(&at);
    return *at ? complain(error, "something follows the object") : true;
}
