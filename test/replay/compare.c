/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table and the verdict of --compare; see compare.h. Both sides of the table have one scale, so
 * that bars can be compared across.
 */
#include "compare.h"

#include <string.h>

#define LABEL_COLUMNS   9 /* queue, with the margin before it */
#define PERCENT_COLUMNS 5
#define GAP             2

/* How the table is laid out for its terminal and counts. */
struct layout {
    const struct terminal *terminal;
    const struct comparison *comparison;
    int count; /* columns of a count */
    unsigned bar;
    uint64_t scale; /* packets of a full bar */
};

/* How the spread over queues changed, as the last part of the sentence. */
static char *spread_change(const struct tally *outer, const struct tally *inner)
{
    uint64_t before = tally_busiest(outer);
    uint64_t after = tally_busiest(inner);
    char from[PERCENT_SIZE];
    char to[PERCENT_SIZE];
    const char *was = percent(from, before, outer->delivered);
    const char *is = percent(to, after, inner->delivered);

    if (strcmp(was, is) == 0) {
        return g_strdup_printf("the busiest queue stays at %s", was);
    }
    return g_strdup_printf("the busiest queue %s from %s to %s", after < before ? "falls" : "rises",
                           was, is);
}

char *compare_verdict(const struct comparison *comparison)
{
    const struct tally *outer = comparison->outer;
    const struct tally *inner = comparison->inner;
    g_autofree char *change = NULL;

    if (!inner->delivered) {
        return g_strdup("There is nothing to compare: no packet was delivered.");
    }
    if (comparison->settings->tunnel_types == 0) {
        return g_strdup("There is nothing to compare: no tunnel type is enabled, so that outer "
                        "headers are hashed on both sides.");
    }
    if (inner->n_queues == 1) {
        return g_strdup("There is nothing to compare: one queue takes every packet.");
    }
    if (!comparison->changed) {
        return g_strdup(
            "Inner hashing changes nothing here: no packet is in a tunnel of an enabled "
            "type, or hashes differently inside.");
    }
    change = spread_change(outer, inner);
    return g_strdup_printf("Outer hashing uses %u of %u queues; inner hashing %u of %u: %s.",
                           tally_used(outer), outer->n_queues, tally_used(inner), inner->n_queues,
                           change);
}

char *compare_title(const struct comparison *comparison)
{
    const struct replay_settings *settings = comparison->settings;
    uint64_t packets = comparison->inner->packets;
    uint64_t dropped = packets - comparison->inner->delivered;
    GString *text = g_string_new(NULL);

    g_string_append_printf(text, "%" G_GUINT64_FORMAT " %s", packets,
                           packets == 1 ? "packet" : "packets");
    if (dropped) {
        g_string_append_printf(text, " (%" G_GUINT64_FORMAT " dropped)", dropped);
    }
    g_string_append_printf(text, ", dialect %s, %u %s", dialect_of(settings)->name,
                           settings->queues, settings->queues == 1 ? "queue" : "queues");
    return g_string_free(text, FALSE);
}

static struct layout lay_out(const struct comparison *comparison, const struct terminal *terminal)
{
    struct layout layout = {.terminal = terminal, .comparison = comparison};
    g_autofree char *most = g_strdup_printf("%" G_GUINT64_FORMAT, comparison->inner->packets);
    unsigned fixed;

    layout.count = (int)MAX(strlen(most), strlen("packets"));
    fixed = LABEL_COLUMNS + 2 * ((unsigned)layout.count + 3 * GAP + PERCENT_COLUMNS);
    layout.bar = terminal->width > fixed + 8 ? (terminal->width - fixed) / 2 : 4;
    layout.scale = MAX(tally_busiest(comparison->outer), tally_busiest(comparison->inner));
    return layout;
}

/* Columns of one side behind its first gap. */
static int side_columns(const struct layout *layout)
{
    return layout->count + 2 * GAP + PERCENT_COLUMNS + (int)layout->bar;
}

static void append_heading(const struct layout *layout, GString *text)
{
    int columns = side_columns(layout);

    g_string_append_printf(text, "%*s", LABEL_COLUMNS + GAP, "");
    terminal_paint(layout->terminal, text, COLOUR_BOLD, "%-*s", columns + GAP, "by outer header");
    terminal_paint(layout->terminal, text, COLOUR_BOLD, "by inner header");
    g_string_append_c(text, '\n');
    terminal_paint(layout->terminal, text, COLOUR_DIM, "%*s%*s%*s%*s", LABEL_COLUMNS, "queue",
                   GAP + layout->count, "packets", columns - layout->count + GAP, "", layout->count,
                   "packets");
    g_string_append_c(text, '\n');
}

static void append_side(const struct layout *layout, GString *text, enum colour colour,
                        const struct tally *tally, unsigned queue, bool last)
{
    uint64_t part = tally->queues[queue];
    char share[PERCENT_SIZE];

    g_string_append_printf(text, "%*s%*" G_GUINT64_FORMAT "%*s%*s", GAP, "", layout->count, part,
                           GAP, "", PERCENT_COLUMNS, percent(share, part, tally->delivered));
    if (part || !last) {
        g_string_append_printf(text, "%*s", GAP, "");
        terminal_bar(layout->terminal, text, colour, part, layout->scale, layout->bar, !last);
    }
}

static void append_queues(const struct layout *layout, GString *text)
{
    const struct tally *outer = layout->comparison->outer;
    const struct tally *inner = layout->comparison->inner;

    for (unsigned first = 0, last; first < inner->n_queues; first = last + 1) {
        g_autofree char *label = NULL;

        last = tally_empty_run(outer, inner, first);
        label = last > first ? g_strdup_printf("%u-%u", first, last) : g_strdup_printf("%u", first);
        g_string_append_printf(text, "%*s", LABEL_COLUMNS, label);
        append_side(layout, text, COLOUR_YELLOW, outer, first, false);
        append_side(layout, text, COLOUR_GREEN, inner, first, true);
        g_string_append_c(text, '\n');
    }
}

/* A row of two numbers without share and bar. */
static void append_pair(const struct layout *layout, GString *text, const char *label,
                        uint64_t outer, uint64_t inner)
{
    g_string_append_printf(text, "%*s%*s%*" G_GUINT64_FORMAT "%*s%*" G_GUINT64_FORMAT "\n",
                           LABEL_COLUMNS, label, GAP, "", layout->count, outer,
                           side_columns(layout) - layout->count + GAP, "", layout->count, inner);
}

static void append_totals(const struct layout *layout, GString *text)
{
    const struct tally *outer = layout->comparison->outer;
    const struct tally *inner = layout->comparison->inner;

    g_string_append_c(text, '\n');
    append_pair(layout, text, "hashes", tally_hashes(outer), tally_hashes(inner));
    if (outer->hashed < outer->delivered || inner->hashed < inner->delivered) {
        append_pair(layout, text, "no hash", outer->delivered - outer->hashed,
                    inner->delivered - inner->hashed);
    }
}

void compare_print(const struct comparison *comparison, FILE *stream)
{
    struct terminal terminal = terminal_of(stream);
    struct layout layout = lay_out(comparison, &terminal);
    g_autofree char *title = compare_title(comparison);
    g_autofree char *verdict = compare_verdict(comparison);
    g_autoptr(GString) text = g_string_new(NULL);

    terminal_paint(&terminal, text, COLOUR_BOLD, "%s", comparison->subject);
    g_string_append_printf(text, ": %s\n\n", title);
    append_heading(&layout, text);
    append_queues(&layout, text);
    append_totals(&layout, text);
    g_string_append_c(text, '\n');
    fputs(text->str, stream);
    terminal_print_wrapped(&terminal, COLOUR_BOLD, verdict);
}
