/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The HTML page of --report; see report.h. A picture with the queues down its middle, bars by outer
 * header to the left and by inner header to the right, then the numbers and the settings as tables.
 * Everything that comes from outside goes through append_escaped().
 */
#include "report.h"

#include "replay.h"

#include <stdio.h>

/* The picture's measures, in SVG units. */
#define PICTURE_WIDTH 880
#define MIDDLE        (PICTURE_WIDTH / 2)
#define LABEL_HALF    42 /* from the middle to where bars begin */
#define BAR_MAX       270
#define BAR_HEIGHT    18
#define ROW_HEIGHT    26
#define HEAD_HEIGHT   40
#define FOOT_HEIGHT   34

static const char page_head[] =
    "<!DOCTYPE html>\n"
    "<html lang=\"en\">\n"
    "<head>\n"
    "<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<style>\n"
    ":root { --ground: #fdfdfb; --ink: #1f2528; --faint: #69747a; --line: #d9dedc;\n"
    "        --outer: #d08a3c; --inner: #2f8f6f; }\n"
    "@media (prefers-color-scheme: dark) {\n"
    "  :root { --ground: #16191b; --ink: #e4e8e6; --faint: #939da1; --line: #343b3e;\n"
    "          --outer: #dd9d55; --inner: #4bb592; }\n"
    "}\n"
    "body { background: var(--ground); color: var(--ink); margin: 2.5rem auto;\n"
    "       padding: 0 1.25rem; max-width: 56rem; font: 16px/1.5 system-ui, sans-serif; }\n"
    "h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; }\n"
    "h2 { font-size: 1rem; margin: 2.5rem 0 .5rem; }\n"
    "p { margin: .25rem 0; }\n"
    ".faint, footer { color: var(--faint); }\n"
    ".verdict { font-size: 1.2rem; margin: 1.5rem 0; }\n"
    "svg { width: 100%; height: auto; font: 13px system-ui, sans-serif; }\n"
    "svg text { fill: var(--ink); font-variant-numeric: tabular-nums; paint-order: stroke;\n"
    "           stroke: var(--ground); stroke-width: 4px; }\n"
    "svg .faint { fill: var(--faint); }\n"
    "svg .head { font-weight: 600; font-size: 14px; }\n"
    "svg .outer { fill: var(--outer); }\n"
    "svg .inner { fill: var(--inner); }\n"
    "svg .even { stroke: var(--faint); stroke-dasharray: 3 4; }\n"
    "table { border-collapse: collapse; font-variant-numeric: tabular-nums; }\n"
    "th, td { padding: .2rem 1.5rem .2rem 0; text-align: right; border-bottom: 1px solid\n"
    "         var(--line); }\n"
    "th:first-child, td:first-child, .text td { text-align: left; }\n"
    "th { font-weight: 600; }\n"
    ".text td { overflow-wrap: anywhere; }\n"
    ".text td:first-child { white-space: nowrap; vertical-align: top; }\n"
    "footer { margin-top: 3rem; font-size: .85rem; }\n"
    "</style>\n";

static void append_escaped(GString *page, const char *text)
{
    g_autofree char *escaped = g_markup_escape_text(text, -1);

    g_string_append(page, escaped);
}

static void append_introduction(GString *page, const struct comparison *comparison)
{
    g_autofree char *title = compare_title(comparison);
    g_autofree char *verdict = compare_verdict(comparison);

    g_string_append(page, "<title>");
    append_escaped(page, comparison->subject);
    g_string_append(page,
                    ": receive queues by outer and inner header</title>\n</head>\n<body>\n<h1>");
    append_escaped(page, comparison->subject);
    g_string_append(page, "</h1>\n<p class=\"faint\">");
    append_escaped(page, title);
    g_string_append(page, "</p>\n<p class=\"verdict\">");
    append_escaped(page, verdict);
    g_string_append(page, "</p>\n");
}

/* ---- The picture ---- */

/* Length of the bar for part, scale packets being a full one; what is not 0 can be seen. */
static unsigned bar_length(uint64_t part, uint64_t scale)
{
    unsigned length = scale ? (unsigned)((double)part / (double)scale * BAR_MAX + 0.5) : 0;

    return part ? MAX(length, 2) : 0;
}

/* One side of a row: its bar, and the numbers where the bar ends. */
static void append_bar(GString *page, const struct tally *tally, unsigned queue, uint64_t scale,
                       unsigned top, bool inner)
{
    uint64_t part = tally->queues[queue];
    unsigned length = bar_length(part, scale);
    unsigned left = inner ? MIDDLE + LABEL_HALF : MIDDLE - LABEL_HALF - length;
    unsigned text = inner ? left + length + 8 : left - 8;
    char buffer[PERCENT_SIZE];
    g_autofree char *share = g_markup_escape_text(percent(buffer, part, tally->delivered), -1);

    g_string_append_printf(page, "<text x=\"%u\" y=\"%u\"%s", text, top + BAR_HEIGHT - 5,
                           inner ? "" : " text-anchor=\"end\"");
    if (!part) {
        g_string_append(page, " class=\"faint\">0</text>\n");
        return;
    }
    g_string_append_printf(page, ">%" G_GUINT64_FORMAT " <tspan class=\"faint\">%s</tspan></text>",
                           part, share);
    g_string_append_printf(
        page, "<rect class=\"%s\" x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" rx=\"2\"/>\n",
        inner ? "inner" : "outer", left, top, length, BAR_HEIGHT);
}

/* A row for each queue, or for a run of queues that nobody uses; returns where the rows end. */
static unsigned append_rows(GString *page, const struct comparison *comparison, uint64_t scale)
{
    const struct tally *outer = comparison->outer;
    const struct tally *inner = comparison->inner;
    unsigned top = HEAD_HEIGHT;

    for (unsigned first = 0, last; first < inner->n_queues; first = last + 1, top += ROW_HEIGHT) {
        last = tally_empty_run(outer, inner, first);
        g_string_append_printf(page,
                               "<text class=\"faint\" x=\"%u\" y=\"%u\" text-anchor=\"middle\">%u",
                               MIDDLE, top + BAR_HEIGHT - 5, first);
        if (last > first) {
            g_string_append_printf(page, "\xe2\x80\x93%u", last);
        }
        g_string_append(page, "</text>");
        append_bar(page, outer, first, scale, top, false);
        append_bar(page, inner, first, scale, top, true);
    }
    return top;
}

/* Where every bar would end if packets were spread evenly; behind the rows. */
static void append_even_spread(GString *page, const struct comparison *comparison, uint64_t scale,
                               unsigned bottom)
{
    const struct tally *inner = comparison->inner;
    unsigned length = bar_length(inner->delivered, scale * inner->n_queues);
    const unsigned at[2] = {MIDDLE - LABEL_HALF - length, MIDDLE + LABEL_HALF + length};

    if (!length) {
        return;
    }
    for (unsigned i = 0; i < 2; i++) {
        g_string_append_printf(page,
                               "<line class=\"even\" x1=\"%u\" x2=\"%u\" y1=\"%u\" y2=\"%u\"/>\n",
                               at[i], at[i], HEAD_HEIGHT - 6, bottom);
    }
    g_string_append_printf(page,
                           "<text class=\"faint\" x=\"%u\" y=\"%u\" text-anchor=\"middle\">dashed: "
                           "an even spread</text>\n",
                           MIDDLE, bottom + 20);
}

static void append_picture(GString *page, const struct comparison *comparison)
{
    uint64_t scale = MAX(tally_busiest(comparison->outer), tally_busiest(comparison->inner));
    g_autoptr(GString) rows = g_string_new(NULL);
    unsigned bottom = append_rows(rows, comparison, scale);

    g_string_append_printf(page,
                           "<svg viewBox=\"0 0 %u %u\" role=\"img\" aria-label=\"Packets of each "
                           "receive queue by outer and by inner header\">\n",
                           PICTURE_WIDTH, bottom + FOOT_HEIGHT);
    g_string_append_printf(
        page,
        "<text class=\"head outer\" x=\"%u\" y=\"20\" text-anchor=\"end\">by outer "
        "header</text>",
        MIDDLE - LABEL_HALF);
    g_string_append_printf(
        page, "<text class=\"faint\" x=\"%u\" y=\"20\" text-anchor=\"middle\">queue</text>",
        MIDDLE);
    g_string_append_printf(page,
                           "<text class=\"head inner\" x=\"%u\" y=\"20\">by inner header</text>\n",
                           MIDDLE + LABEL_HALF);
    append_even_spread(page, comparison, scale, bottom);
    g_string_append(page, rows->str);
    g_string_append(page, "</svg>\n");
}

/* ---- The tables ---- */

static void append_number_row(GString *page, const char *label, uint64_t outer, uint64_t inner)
{
    g_string_append(page, "<tr><td>");
    append_escaped(page, label);
    g_string_append_printf(
        page, "</td><td>%" G_GUINT64_FORMAT "</td><td>%" G_GUINT64_FORMAT "</td></tr>\n", outer,
        inner);
}

static void append_numbers(GString *page, const struct comparison *comparison)
{
    const struct tally *outer = comparison->outer;
    const struct tally *inner = comparison->inner;

    g_string_append(page, "<h2>Packets</h2>\n<table>\n<tr><th></th><th>by outer header</th>"
                          "<th>by inner header</th></tr>\n");
    append_number_row(page, "queues in use", tally_used(outer), tally_used(inner));
    append_number_row(page, "different hashes", tally_hashes(outer), tally_hashes(inner));
    for (unsigned i = 0; i < N_REPORTS; i++) {
        unsigned report = (i + 1) % N_REPORTS; /* NONE last */
        g_autofree char *label = g_strdup_printf("report %s", report_name(report));

        if (outer->reports[report] || inner->reports[report]) {
            append_number_row(page, label, outer->reports[report], inner->reports[report]);
        }
    }
    append_number_row(page, "dropped", outer->packets - outer->delivered,
                      inner->packets - inner->delivered);
    g_string_append(page, "</table>\n");
}

static void append_settings(GString *page, const struct comparison *comparison)
{
    g_autofree char *line = settings_describe(comparison->settings);
    g_auto(GStrv) words = g_strsplit(line, " ", -1);

    g_string_append(page, "<h2>Settings</h2>\n<table class=\"text\">\n");
    for (char **word = words; word[0] && word[1]; word += 2) {
        g_string_append(page, "<tr><td>");
        append_escaped(page, word[0]);
        g_string_append(page, "</td><td>");
        append_escaped(page, word[1]);
        g_string_append(page, "</td></tr>\n");
    }
    g_string_append(page, "</table>\n<footer>vionet-replay " REPLAY_VERSION
                          "</footer>\n</body>\n</html>\n");
}

bool report_write(const struct comparison *comparison, FILE *file)
{
    g_autoptr(GString) page = g_string_new(page_head);

    append_introduction(page, comparison);
    append_picture(page, comparison);
    append_numbers(page, comparison);
    append_settings(page, comparison);
    return fwrite(page->str, page->len, 1, file) == 1;
}
