/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The log; see log.h. Called through GLib by whoever logs, and by main.c. A line is written with one
 * system call, so that lines of several processes on one terminal stay whole.
 */
#include "log.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct {
    GMutex lock;
    GLogLevelFlags level;
    enum log_format format;
    struct log_limit limit;
} the_log; /* as there is one standard error */

/* ---- Levels ---- */

static const struct {
    const char *name;
    GLogLevelFlags level;
} levels[] = {
    {"error", G_LOG_LEVEL_ERROR},     {"error", G_LOG_LEVEL_CRITICAL},
    {"warning", G_LOG_LEVEL_WARNING}, {"message", G_LOG_LEVEL_MESSAGE},
    {"info", G_LOG_LEVEL_INFO},       {"debug", G_LOG_LEVEL_DEBUG},
};

/* Backwards: "error" is meant to show both of that name. */
bool log_find_level(const char *name, GLogLevelFlags *level)
{
    for (size_t i = G_N_ELEMENTS(levels); i-- > 0;) {
        if (strcmp(levels[i].name, name) == 0) {
            *level = levels[i].level;
            return true;
        }
    }
    return false;
}

static const char *level_name(GLogLevelFlags level)
{
    for (size_t i = 0; i < G_N_ELEMENTS(levels); i++) {
        if (level & levels[i].level) {
            return levels[i].name;
        }
    }
    return "message";
}

/* ---- Lines ---- */

char *log_printable(const char *text)
{
    GString *shown = g_string_new(NULL);

    while (*text) {
        const gunichar c = g_utf8_get_char_validated(text, -1);
        const bool good = c != (gunichar)-1 && c != (gunichar)-2 && g_unichar_isprint(c);
        const char *next = good ? g_utf8_next_char(text) : text + 1;

        if (good) {
            g_string_append_len(shown, text, next - text);
        } else {
            g_string_append_printf(shown, "\\x%02x", (unsigned char)*text);
        }
        text = next;
    }
    return g_string_free(shown, FALSE);
}

static void append_time(GString *line, gint64 time_us)
{
    const time_t seconds = (time_t)(time_us / G_USEC_PER_SEC);
    struct tm tm;

    gmtime_r(&seconds, &tm);
    g_string_append_printf(line, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900,
                           tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                           (int)(time_us % G_USEC_PER_SEC / 1000));
}

/* Of printable text. */
static void append_json(GString *line, const char *text)
{
    g_string_append_c(line, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') {
            g_string_append_c(line, '\\');
        }
        g_string_append_c(line, *text);
    }
    g_string_append_c(line, '"');
}

static void append_member(GString *line, const char *name, const char *text)
{
    char *shown = log_printable(text);

    g_string_append_printf(line, ",\"%s\":", name);
    append_json(line, shown);
    g_free(shown);
}

static void append_text(GString *line, const struct log_entry *entry)
{
    char *shown = log_printable(entry->message);

    append_time(line, entry->time_us);
    g_string_append_printf(line, " %s %s", level_name(entry->level), shown);
    if (entry->document) {
        g_string_append_printf(line, ": %s", entry->document);
    }
    g_free(shown);
}

static void append_object(GString *line, const struct log_entry *entry)
{
    g_string_append(line, "{\"time\":\"");
    append_time(line, entry->time_us);
    g_string_append_c(line, '"');
    append_member(line, "level", level_name(entry->level));
    if (entry->kind) {
        append_member(line, "kind", entry->kind);
    }
    append_member(line, "message", entry->message);
    if (entry->document) {
        g_string_append_printf(line, ",\"document\":%s", entry->document);
    }
    g_string_append_c(line, '}');
}

char *log_line(enum log_format format, const struct log_entry *entry)
{
    GString *line = g_string_new(NULL);

    if (format == LOG_JSON) {
        append_object(line, entry);
    } else {
        append_text(line, entry);
    }
    g_string_append_c(line, '\n');
    return g_string_free(line, FALSE);
}

/* ---- Limits ---- */

bool log_limit_pass(struct log_limit *limit, const char *kind, gint64 now_us, unsigned *left_out)
{
    struct log_kind *one = &limit->kinds[g_str_hash(kind) % LOG_KINDS];
    const gint64 back = one->used > 0 ? (now_us - one->since_us) / LOG_REFILL : 0;

    one->since_us = one->used > 0 ? one->since_us + back * LOG_REFILL : now_us;
    one->used -= (unsigned)MIN(back, one->used);
    if (one->used == LOG_BURST) {
        one->left_out += one->left_out < G_MAXUINT;
        return false;
    }
    one->used++;
    *left_out = one->left_out;
    one->left_out = 0;
    return true;
}

/* The text without numbers, which are what differs from one entry of a kind to the next. */
static char *kind_of(const char *message)
{
    GString *kind = g_string_new(NULL);

    while (*message) {
        const bool number = g_ascii_isdigit(*message);

        g_string_append_c(kind, number ? '#' : *message);
        do {
            message++;
        } while (number && (g_ascii_isxdigit(*message) || *message == 'x'));
    }
    return g_string_free(kind, FALSE);
}

static bool pass(const char *kind, const char *message, unsigned *left_out)
{
    char *found = kind ? g_strdup(kind) : kind_of(message);
    bool good;

    g_mutex_lock(&the_log.lock);
    good = log_limit_pass(&the_log.limit, found, g_get_monotonic_time(), left_out);
    g_mutex_unlock(&the_log.lock);
    g_free(found);
    return good;
}

/* ---- Writing ---- */

static void write_line(const struct log_entry *entry)
{
    char *line = log_line(the_log.format, entry);
    const char *at = line;
    size_t left = strlen(line);
    ssize_t n;

    do {
        n = write(STDERR_FILENO, at, left);
        at += n > 0 ? n : 0;
        left -= n > 0 ? (size_t)n : 0;
    } while (left > 0 && (n > 0 || (n < 0 && errno == EINTR)));
    g_free(line);
}

static char *field(const GLogField *fields, gsize n_fields, const char *name)
{
    for (gsize i = 0; i < n_fields; i++) {
        if (strcmp(fields[i].key, name) == 0) {
            return fields[i].length < 0 ? g_strdup(fields[i].value)
                                        : g_strndup(fields[i].value, (gsize)fields[i].length);
        }
    }
    return NULL;
}

static GLogWriterOutput write_entry(GLogLevelFlags level, const GLogField *fields, gsize n_fields,
                                    gpointer data)
{
    char *message = field(fields, n_fields, "MESSAGE");
    char *kind = field(fields, n_fields, LOG_KIND);
    unsigned left_out = 0;

    (void)data;
    if (message && (level & G_LOG_LEVEL_MASK) <= the_log.level && pass(kind, message, &left_out)) {
        char *more = left_out > 0 ? g_strdup_printf("%s (%u more of this kind were not shown)",
                                                    message, left_out)
                                  : g_strdup(message);
        const struct log_entry entry = {g_get_real_time(), level, kind, more, NULL};

        write_line(&entry);
        g_free(more);
    }
    g_free(message);
    g_free(kind);
    return G_LOG_WRITER_HANDLED;
}

void log_open(GLogLevelFlags level, enum log_format format)
{
    the_log.level = level;
    the_log.format = format;
    g_log_set_writer_func(write_entry, NULL, NULL);
}

void log_document(const char *name, const char *json)
{
    const struct log_entry entry = {g_get_real_time(), G_LOG_LEVEL_MESSAGE, NULL, name, json};

    write_line(&entry);
}
