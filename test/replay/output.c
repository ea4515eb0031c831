/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ndjson lines and table rows; see output.h.
 */
#include "output.h"

#include "json.h"
#include "replay_error.h"

#include <string.h>

#define BAR_COLUMNS 40 /* of the summary, at most */

struct output {
    enum output_format format;
    const struct replay_settings *settings;
    bool several;
    bool tunnel; /* there is a column for it */
    struct terminal terminal;
    GString *prefix; /* what an ndjson line of this capture begins with */
    GString *line;   /* reused for each */
    unsigned captures;
};

struct output *output_new(enum output_format format, const struct replay_settings *settings,
                          bool several)
{
    struct output *output = g_new0(struct output, 1);

    output->format = format;
    output->settings = settings;
    output->several = several;
    output->tunnel = dialect_of(settings)->reports_tunnel;
    output->terminal = terminal_of(stdout);
    output->prefix = g_string_new(NULL);
    output->line = g_string_new(NULL);
    return output;
}

static void table_heading(struct output *output, const char *name)
{
    const struct terminal *terminal = &output->terminal;
    GString *line = output->line;

    if (output->several) {
        g_autofree char *shown = display_name(name);

        g_string_append(line, output->captures > 1 ? "\n" : "");
        terminal_paint(terminal, line, COLOUR_BOLD, "%s", shown);
        g_string_append_c(line, '\n');
    }
    terminal_paint(terminal, line, COLOUR_BOLD, "%8s  %6s  %5s  %-8s  %s%s", "packet", "length",
                   "queue", "report", output->tunnel ? "hash        " : "hash",
                   output->tunnel ? "tunnel" : "");
    g_string_append_c(line, '\n');
}

void output_capture(struct output *output, const char *name)
{
    output->captures++;
    g_string_truncate(output->line, 0);
    g_string_assign(output->prefix, "{");
    if (output->several) {
        g_string_append(output->prefix, "\"capture\": ");
        json_append_string(output->prefix, name);
        g_string_append(output->prefix, ", ");
    }
    if (output->format == OUTPUT_TABLE) {
        table_heading(output, name);
        fputs(output->line->str, stdout);
    }
}

static void ndjson_line(struct output *output, uint64_t packet, uint64_t length,
                        const struct replay_result *result)
{
    GString *line = output->line;

    g_string_append(line, output->prefix->str);
    g_string_append_printf(line,
                           "\"packet\": %" G_GUINT64_FORMAT ", \"length\": %" G_GUINT64_FORMAT ", ",
                           packet, length);
    if (result->dropped) {
        g_string_append(line, "\"dropped\": ");
        json_append_string(line, result->reason);
        g_string_append(line, "}\n");
        return;
    }
    g_string_append_printf(line, "\"queue\": %u, \"hash\": ", result->queue);
    if (result->hashed) {
        g_string_append_printf(line, "\"0x%08x\"", result->hash);
    } else {
        g_string_append(line, "null");
    }
    g_string_append_printf(line, ", \"report\": \"%s\"", report_name(result->report));
    if (output->tunnel) {
        g_string_append_printf(line, ", \"tunnel\": \"%s\"", tunnel_name(result->tunnel));
    }
    g_string_append(line, "}\n");
}

static void table_row(struct output *output, uint64_t packet, uint64_t length,
                      const struct replay_result *result)
{
    const struct terminal *terminal = &output->terminal;
    GString *line = output->line;

    g_string_append_printf(line, "%8" G_GUINT64_FORMAT "  %6" G_GUINT64_FORMAT "  ", packet,
                           length);
    if (result->dropped) {
        g_string_append_printf(line, "%5s  ", "-");
        terminal_paint(terminal, line, COLOUR_RED, "dropped: %s", result->reason);
        g_string_append_c(line, '\n');
        return;
    }
    g_string_append_printf(line, "%5u  ", result->queue);
    if (result->hashed) {
        g_string_append_printf(line, "%-8s  0x%08x", report_name(result->report), result->hash);
    } else {
        terminal_paint(terminal, line, COLOUR_DIM, output->tunnel ? "%-8s  %-10s" : "%-8s  %s",
                       report_name(result->report), "-");
    }
    if (output->tunnel) {
        g_string_append_printf(line, "  %s", tunnel_name(result->tunnel));
    }
    g_string_append_c(line, '\n');
}

void output_packet(struct output *output, uint64_t packet, uint64_t length,
                   const struct replay_result *result)
{
    if (output->format == OUTPUT_NOTHING) {
        return;
    }
    g_string_truncate(output->line, 0);
    if (output->format == OUTPUT_NDJSON) {
        ndjson_line(output, packet, length, result);
    } else {
        table_row(output, packet, length, result);
    }
    fwrite(output->line->str, output->line->len, 1, stdout);
}

/* A row of the summary: what, how many, how much of all. */
static void share_row(const struct terminal *terminal, GString *text, const char *label,
                      enum colour colour, uint64_t part, const struct tally *tally, uint64_t scale)
{
    unsigned columns = MIN(BAR_COLUMNS, terminal->width - 30);
    char share[PERCENT_SIZE];

    g_string_append_printf(text, "%10s  %9" G_GUINT64_FORMAT "  %5s", label, part,
                           percent(share, part, tally->packets));
    if (part) {
        g_string_append(text, "  ");
        terminal_bar(terminal, text, colour, part, scale, columns, false);
    }
    g_string_append_c(text, '\n');
}

static void summary_queues(const struct terminal *terminal, GString *text,
                           const struct tally *tally)
{
    uint64_t busiest = tally_busiest(tally);

    for (unsigned first = 0, last; first < tally->n_queues; first = last + 1) {
        g_autofree char *label = NULL;

        last = tally_empty_run(tally, NULL, first);
        label = last > first ? g_strdup_printf("%u-%u", first, last) : g_strdup_printf("%u", first);
        share_row(terminal, text, label, COLOUR_CYAN, tally->queues[first], tally, busiest);
    }
}

static void summary_reports(const struct terminal *terminal, GString *text,
                            const struct tally *tally)
{
    uint64_t most = 0;

    for (unsigned i = 0; i < N_REPORTS; i++) {
        most = MAX(most, tally->reports[i]);
    }
    for (unsigned i = 0; i < N_REPORTS; i++) {
        unsigned report = (i + 1) % N_REPORTS; /* NONE last */

        if (tally->reports[report]) {
            share_row(terminal, text, report_name(report), report ? COLOUR_GREEN : COLOUR_YELLOW,
                      tally->reports[report], tally, most);
        }
    }
}

static void summary_drops(const struct terminal *terminal, GString *text, const struct tally *tally)
{
    uint64_t most = 0;

    for (unsigned i = 0; i < tally->drops->len; i++) {
        const struct drop_count *drop = g_ptr_array_index(tally->drops, i);

        most = MAX(most, drop->packets);
    }
    for (unsigned i = 0; i < tally->drops->len; i++) {
        const struct drop_count *drop = g_ptr_array_index(tally->drops, i);

        share_row(terminal, text, drop->reason, COLOUR_RED, drop->packets, tally, most);
    }
}

static void summary_heading(const struct terminal *terminal, GString *text, const char *label)
{
    g_string_append_c(text, '\n');
    terminal_paint(terminal, text, COLOUR_BOLD, "%10s  %9s", label, "packets");
    g_string_append_c(text, '\n');
}

void output_summary(struct output *output, const struct tally *tally)
{
    const struct terminal *terminal = &output->terminal;
    uint64_t hashes = tally ? tally_hashes(tally) : 0;
    GString *text = output->line;

    if (output->format != OUTPUT_TABLE) {
        return;
    }
    g_string_assign(text, "\n");
    terminal_paint(terminal, text, COLOUR_BOLD,
                   "%" G_GUINT64_FORMAT " %s: %" G_GUINT64_FORMAT " delivered, %" G_GUINT64_FORMAT
                   " dropped; %" G_GUINT64_FORMAT " hashed, %" G_GUINT64_FORMAT " different %s",
                   tally->packets, tally->packets == 1 ? "packet" : "packets", tally->delivered,
                   tally->packets - tally->delivered, tally->hashed, hashes,
                   hashes == 1 ? "hash" : "hashes");
    g_string_append_c(text, '\n');
    if (tally->delivered) {
        summary_heading(terminal, text, "queue");
        summary_queues(terminal, text, tally);
        summary_heading(terminal, text, "report");
        summary_reports(terminal, text, tally);
    }
    if (tally->drops->len) {
        summary_heading(terminal, text, "dropped");
        summary_drops(terminal, text, tally);
    }
    fputs(text->str, stdout);
}

void output_free(struct output *output)
{
    if (output) {
        g_string_free(output->prefix, TRUE);
        g_string_free(output->line, TRUE);
        g_free(output);
    }
}
