/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Expectations: loaded whole into one sorted table, which is then walked in step with the packets;
 * see expect.h.
 */
#include "expect.h"

#include "expectation.h"
#include "pcapng_file.h"
#include "replay_error.h"

#include <errno.h>
#include <string.h>

static gint by_packet(gconstpointer a, gconstpointer b)
{
    const struct expectation *first = a;
    const struct expectation *second = b;

    if (first->capture != second->capture) {
        return first->capture < second->capture ? -1 : 1;
    }
    return (first->packet > second->packet) - (first->packet < second->packet);
}

static bool sort_table(struct expectations *e, GError **error)
{
    g_array_sort(e->table, by_packet);
    for (unsigned i = 1; i < e->table->len; i++) {
        const struct expectation *expectation = &g_array_index(e->table, struct expectation, i);

        if (by_packet(expectation - 1, expectation) == 0) {
            return complain(error, "packet %" G_GUINT64_FORMAT " twice", expectation->packet);
        }
    }
    return true;
}

static bool load(struct expectations *e, FILE *file, GError **error)
{
    static const uint8_t pcap_magics[4][4] = {{0xa1, 0xb2, 0xc3, 0xd4},
                                              {0xd4, 0xc3, 0xb2, 0xa1},
                                              {0xa1, 0xb2, 0x3c, 0x4d},
                                              {0x4d, 0x3c, 0xb2, 0xa1}};
    uint8_t magic[4] = {0};
    bool done;

    if (fread(magic, 1, sizeof(magic), file) == 0 && ferror(file)) {
        return complain(error, "%s", g_strerror(errno));
    }
    rewind(file);
    for (unsigned i = 0; i < G_N_ELEMENTS(pcap_magics); i++) {
        if (memcmp(magic, pcap_magics[i], sizeof(magic)) == 0) {
            return complain(error, "a pcap file, which cannot carry hashes; pcapng can");
        }
    }
    done = pcapng_is_magic(magic) ? expect_read_pcapng(e, file, error)
                                  : expect_read_ndjson(e, file, error);
    if (done && ferror(file)) {
        return complain(error, "%s", g_strerror(errno));
    }
    return done && sort_table(e, error);
}

static struct expectations *new_expectations(const char *const *captures, unsigned n)
{
    struct expectations *e = g_new0(struct expectations, 1);

    e->table = g_array_new(FALSE, FALSE, sizeof(struct expectation));
    e->strings = g_string_chunk_new(4096);
    e->others = g_hash_table_new(g_str_hash, g_str_equal);
    e->captures = g_ptr_array_new();
    e->n_captures = n;
    for (unsigned i = 0; i < n; i++) {
        g_ptr_array_add(e->captures, (gpointer)captures[i]);
    }
    return e;
}

struct expectations *expect_load(const char *name, const char *const *captures, unsigned n,
                                 expect_mismatch tell, void *opaque, GError **error)
{
    struct expectations *e = new_expectations(captures, n);
    g_autofree char *shown = display_name(name);
    FILE *file = fopen(name, "rb");
    bool done;

    e->tell = tell;
    e->opaque = opaque;
    if (file) {
        done = load(e, file, error);
        fclose(file);
    } else {
        done = complain(error, "%s", g_strerror(errno));
    }
    if (!done) {
        g_prefix_error(error, "--expect: %s: ", shown);
        expect_free(e);
        return NULL;
    }
    return e;
}

/* ---- Comparing ---- */

static void mismatch(struct expectations *e, uint32_t capture, uint64_t packet, const char *field,
                     const char *expected, const char *found)
{
    g_autofree char *wanted = display_name(expected);
    g_autoptr(GString) line = g_string_new(NULL);

    if (e->n_captures > 1 || capture >= e->n_captures) {
        g_autofree char *name = display_name(g_ptr_array_index(e->captures, capture));

        g_string_append_printf(line, "%s: ", name);
    }
    g_string_append_printf(line, "packet %" G_GUINT64_FORMAT ": %s: expected %s, found %s", packet,
                           field, wanted, found);
    e->mismatches++;
    e->tell(line->str, e->opaque);
}

static void mismatch_number(struct expectations *e, const struct expectation *expectation,
                            const char *field, uint64_t expected, uint64_t found)
{
    g_autofree char *wanted = g_strdup_printf("%" G_GUINT64_FORMAT, expected);
    g_autofree char *got = g_strdup_printf("%" G_GUINT64_FORMAT, found);

    mismatch(e, expectation->capture, expectation->packet, field, wanted, got);
}

static void describe_hash(char text[16], bool hashed, uint32_t hash)
{
    if (hashed) {
        g_snprintf(text, 16, "0x%08x", hash);
    } else {
        g_strlcpy(text, "null", 16);
    }
}

static void check_hash(struct expectations *e, const struct expectation *expectation,
                       const struct replay_result *result)
{
    bool hashed = expectation->says & SAYS_HASH;
    char wanted[16];
    char got[16];

    if (hashed == result->hashed && (!hashed || expectation->hash == result->hash)) {
        return;
    }
    describe_hash(wanted, hashed, expectation->hash);
    describe_hash(got, result->hashed, result->hash);
    mismatch(e, expectation->capture, expectation->packet, "hash", wanted, got);
}

/* Whether the two agree on the packet having been dropped, and why; else they agree on nothing. */
static bool check_dropped(struct expectations *e, const struct expectation *expectation,
                          const struct replay_result *result)
{
    const char *none = "a delivered packet";
    const char *wanted = expectation->says & SAYS_DROPPED ? expectation->dropped : none;
    const char *got = result->dropped ? result->reason : none;
    bool delivered = expectation->says & ~(SAYS_LENGTH | SAYS_DROPPED);

    if (strcmp(wanted, got) == 0 || (wanted == none && !delivered)) {
        return !result->dropped;
    }
    mismatch(e, expectation->capture, expectation->packet, "dropped", wanted, got);
    return false;
}

static void compare(struct expectations *e, const struct expectation *expectation, uint64_t length,
                    const struct replay_result *result, bool reports_tunnel)
{
    unsigned says = expectation->says;

    if ((says & SAYS_LENGTH) && expectation->length != length) {
        mismatch_number(e, expectation, "length", expectation->length, length);
    }
    if (!check_dropped(e, expectation, result)) {
        return;
    }
    if ((says & SAYS_QUEUE) && expectation->queue != result->queue) {
        mismatch_number(e, expectation, "queue", expectation->queue, result->queue);
    }
    if (says & (SAYS_HASH | SAYS_NO_HASH)) {
        check_hash(e, expectation, result);
    }
    if ((says & SAYS_REPORT) && expectation->report != result->report) {
        mismatch(e, expectation->capture, expectation->packet, "report",
                 report_name(expectation->report), report_name(result->report));
    }
    if ((says & SAYS_TUNNEL) && (!reports_tunnel || expectation->tunnel != result->tunnel)) {
        mismatch(e, expectation->capture, expectation->packet, "tunnel",
                 tunnel_name(expectation->tunnel),
                 reports_tunnel ? tunnel_name(result->tunnel) : "no such field");
    }
}

static const struct expectation *peek(const struct expectations *e)
{
    return e->next < e->table->len ? &g_array_index(e->table, struct expectation, e->next) : NULL;
}

static void missing(struct expectations *e, const struct expectation *expectation)
{
    mismatch(e, expectation->capture, expectation->packet, "packet", "one", "none");
}

void expect_check(struct expectations *e, unsigned capture, uint64_t packet, uint64_t length,
                  const struct replay_result *result, bool reports_tunnel)
{
    const struct expectation found = {.capture = capture, .packet = packet};
    const struct expectation *expectation;

    while ((expectation = peek(e)) != NULL && by_packet(expectation, &found) < 0) {
        missing(e, expectation);
        e->next++;
    }
    if (!expectation || by_packet(expectation, &found) != 0) {
        mismatch(e, capture, packet, "packet", "none", "one");
        return;
    }
    compare(e, expectation, length, result, reports_tunnel);
    e->next++;
}

void expect_finish(struct expectations *e)
{
    const struct expectation *expectation;

    for (; (expectation = peek(e)) != NULL; e->next++) {
        missing(e, expectation);
    }
}

uint64_t expect_mismatches(const struct expectations *e)
{
    return e->mismatches;
}

void expect_free(struct expectations *e)
{
    if (e) {
        g_array_unref(e->table);
        g_string_chunk_free(e->strings);
        g_ptr_array_unref(e->captures);
        g_hash_table_unref(e->others);
        g_free(e);
    }
}
