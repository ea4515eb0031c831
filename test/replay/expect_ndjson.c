/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Expectations from ndjson: a line a packet, in the format that output.c writes. Strict: a key that
 * the format does not have, or a value it cannot have, makes the file unusable.
 */
#include "expectation.h"
#include "json.h"
#include "replay_error.h"

#include <stdlib.h>
#include <string.h>

#define LINE_MAX_OCTETS 65536 /* far above any file name, so far above any line of ours */

/* A line while it is read. */
struct line {
    struct expectations *expectations;
    struct expectation *expectation;
    char *capture; /* NULL: not said */
    GHashTable *keys;
};

static bool wrong_type(const char *wanted, GError **error)
{
    return complain(error, "expected %s", wanted);
}

static bool read_packet(const struct json_value *value, struct line *line, GError **error)
{
    line->expectation->packet = value->number;
    return (value->type == JSON_NUMBER && value->number) || wrong_type("a number from 1", error);
}

static bool read_length(const struct json_value *value, struct line *line, GError **error)
{
    line->expectation->says |= SAYS_LENGTH;
    line->expectation->length = value->number;
    return value->type == JSON_NUMBER || wrong_type("a number", error);
}

static bool read_queue(const struct json_value *value, struct line *line, GError **error)
{
    line->expectation->says |= SAYS_QUEUE;
    line->expectation->queue = (uint32_t)value->number;
    return (value->type == JSON_NUMBER && value->number <= UINT32_MAX) ||
           wrong_type("the number of a queue", error);
}

static bool read_hash(const struct json_value *value, struct line *line, GError **error)
{
    const char *text = value->string;

    if (value->type == JSON_NULL) {
        line->expectation->says |= SAYS_NO_HASH;
        return true;
    }
    if (value->type != JSON_STRING || strlen(text) != 10 || strncmp(text, "0x", 2) != 0 ||
        strspn(text + 2, "0123456789abcdefABCDEF") != 8) {
        return wrong_type("null or a string such as \"0x51ccc178\"", error);
    }
    line->expectation->says |= SAYS_HASH;
    line->expectation->hash = (uint32_t)strtoul(text + 2, NULL, 16);
    return true;
}

static bool read_report(const struct json_value *value, struct line *line, GError **error)
{
    int report = value->type == JSON_STRING ? report_find(value->string) : -1;

    line->expectation->says |= SAYS_REPORT;
    line->expectation->report = (uint8_t)report;
    return report >= 0 || wrong_type("the name of a report, such as \"TCPv4\"", error);
}

static bool read_tunnel(const struct json_value *value, struct line *line, GError **error)
{
    int tunnel = value->type == JSON_STRING ? tunnel_find(value->string) : -1;

    line->expectation->says |= SAYS_TUNNEL;
    line->expectation->tunnel = (uint8_t)tunnel;
    return tunnel >= 0 || wrong_type("one of \"NONE\", \"GRE\", \"VXLAN\", \"GENEVE\"", error);
}

static bool read_dropped(const struct json_value *value, struct line *line, GError **error)
{
    if (value->type != JSON_STRING) {
        return wrong_type("the reason as a string", error);
    }
    line->expectation->says |= SAYS_DROPPED;
    line->expectation->dropped =
        g_string_chunk_insert_const(line->expectations->strings, value->string);
    return true;
}

static bool read_capture(const struct json_value *value, struct line *line, GError **error)
{
    if (value->type != JSON_STRING) {
        return wrong_type("a name as a string", error);
    }
    line->capture = g_string_chunk_insert_const(line->expectations->strings, value->string);
    return true;
}

static const struct {
    const char *name;
    bool (*read)(const struct json_value *value, struct line *line, GError **error);
} keys[] = {
    {"capture", read_capture}, {"packet", read_packet},   {"length", read_length},
    {"queue", read_queue},     {"hash", read_hash},       {"report", read_report},
    {"tunnel", read_tunnel},   {"dropped", read_dropped},
};

static bool read_key(const char *name, const struct json_value *value, void *opaque, GError **error)
{
    g_autofree char *shown = NULL;
    struct line *line = opaque;

    for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (strcmp(keys[i].name, name) != 0) {
            continue;
        }
        if (!g_hash_table_add(line->keys, (gpointer)keys[i].name)) {
            return complain(error, "\"%s\" twice", keys[i].name);
        }
        if (!keys[i].read(value, line, error)) {
            g_prefix_error(error, "\"%s\": ", keys[i].name);
            return false;
        }
        return true;
    }
    shown = display_name(name);
    return complain(error, "the format has no key \"%s\"", shown);
}

/* The index of a capture that is not replayed; its packets will be missed. */
static uint32_t other_capture(struct expectations *e, char *name)
{
    gpointer index;

    if (!g_hash_table_lookup_extended(e->others, name, NULL, &index)) {
        index = GUINT_TO_POINTER(e->captures->len);
        g_hash_table_insert(e->others, name, index);
        g_ptr_array_add(e->captures, name);
    }
    return GPOINTER_TO_UINT(index);
}

/*
 * Which capture a line is about. Lines are in the order of the captures, so that a name given twice
 * on the command line is looked for from the capture of the line before on.
 */
static uint32_t find_capture(struct expectations *e, char *name, uint64_t packet)
{
    uint32_t from = 0;

    if (e->table->len) {
        const struct expectation *before =
            &g_array_index(e->table, struct expectation, e->table->len - 1);

        from = before->packet < packet ? before->capture : before->capture + 1;
    }
    for (uint32_t i = 0; i < e->n_captures; i++) {
        uint32_t index = (from + i) % e->n_captures;

        if (strcmp(g_ptr_array_index(e->captures, index), name) == 0) {
            return index;
        }
    }
    return other_capture(e, name);
}

static bool finish_line(struct line *line, GError **error)
{
    struct expectations *e = line->expectations;
    struct expectation *expectation = line->expectation;

    if (!expectation->packet) {
        return complain(error, "no \"packet\"");
    }
    if (line->capture) {
        expectation->capture = find_capture(e, line->capture, expectation->packet);
    } else if (e->n_captures > 1) {
        return complain(error, "no \"capture\", although several are replayed");
    }
    if ((expectation->says & SAYS_DROPPED) && (expectation->says & ~(SAYS_DROPPED | SAYS_LENGTH))) {
        return complain(error, "a dropped packet has a length only");
    }
    return true;
}

static bool read_line(struct expectations *e, const char *text, GError **error)
{
    struct expectation expectation = {0};
    struct line line = {e, &expectation, NULL, g_hash_table_new(g_str_hash, g_str_equal)};
    bool done = json_read_object(text, read_key, &line, error) && finish_line(&line, error);

    g_hash_table_unref(line.keys);
    if (done) {
        g_array_append_val(e->table, expectation);
    }
    return done;
}

/* A line into buffer, without its end. False at the end of the file or with error set. */
static bool next_line(FILE *file, char *buffer, size_t size, GError **error)
{
    size_t len = 0;
    int c;

    while ((c = getc(file)) != EOF && c != '\n') {
        if (c == '\0') {
            return complain(error, "not a text");
        }
        if (len + 1 >= size) {
            return complain(error, "longer than %zu octets", size - 1);
        }
        buffer[len++] = (char)c;
    }
    buffer[len] = '\0';
    return c != EOF || len;
}

bool expect_read_ndjson(struct expectations *e, FILE *file, GError **error)
{
    g_autofree char *buffer = g_malloc(LINE_MAX_OCTETS);
    GError *reason = NULL;
    uint64_t number = 1;

    for (; next_line(file, buffer, LINE_MAX_OCTETS, &reason); number++) {
        if (buffer[strspn(buffer, " \t\r")] && !read_line(e, buffer, &reason)) {
            break;
        }
    }
    if (reason) {
        g_propagate_prefixed_error(error, reason, "line %" G_GUINT64_FORMAT ": ", number);
        return false;
    }
    return true;
}
