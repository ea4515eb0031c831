/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Colours, bars and percentages; see terminal.h.
 */
#include "terminal.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define WIDTH_DEFAULT 80
#define WIDTH_MIN     60
#define WIDTH_MAX     120 /* longer lines are harder to follow */

#define EIGHTHS 8

static const char *const colours[] = {
    [COLOUR_BOLD] = "\033[1m",   [COLOUR_DIM] = "\033[2m",     [COLOUR_RED] = "\033[31m",
    [COLOUR_GREEN] = "\033[32m", [COLOUR_YELLOW] = "\033[33m", [COLOUR_CYAN] = "\033[36m",
};

/* Left blocks of one to seven eighths, and the full one. */
static const char *const blocks[EIGHTHS] = {
    "\xe2\x96\x8f", "\xe2\x96\x8e", "\xe2\x96\x8d", "\xe2\x96\x8c",
    "\xe2\x96\x8b", "\xe2\x96\x8a", "\xe2\x96\x89", "\xe2\x96\x88",
};

static bool wants_colour(void)
{
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");

    return !(no_color && *no_color) && term && strcmp(term, "dumb") != 0;
}

struct terminal terminal_of(FILE *stream)
{
    struct terminal terminal = {stream, false, g_get_charset(NULL), WIDTH_DEFAULT};
    struct winsize size;

    if (isatty(fileno(stream))) {
        terminal.colour = wants_colour();
        if (ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col) {
            terminal.width = CLAMP(size.ws_col, WIDTH_MIN, WIDTH_MAX);
        }
    }
    return terminal;
}

void terminal_paint(const struct terminal *terminal, GString *text, enum colour colour,
                    const char *format, ...)
{
    va_list arguments;

    if (terminal->colour) {
        g_string_append(text, colours[colour]);
    }
    va_start(arguments, format);
    g_string_append_vprintf(text, format, arguments);
    va_end(arguments);
    if (terminal->colour) {
        g_string_append(text, "\033[0m");
    }
}

/* Returns the columns used. */
static unsigned append_blocks(GString *bar, double cells)
{
    unsigned eighths = MAX((unsigned)(cells * EIGHTHS + 0.5), 1);

    for (unsigned i = 0; i < eighths / EIGHTHS; i++) {
        g_string_append(bar, blocks[EIGHTHS - 1]);
    }
    if (eighths % EIGHTHS) {
        g_string_append(bar, blocks[eighths % EIGHTHS - 1]);
    }
    return (eighths + EIGHTHS - 1) / EIGHTHS;
}

static unsigned append_hashes(GString *bar, double cells)
{
    unsigned n = MAX((unsigned)(cells + 0.5), 1);

    for (unsigned i = 0; i < n; i++) {
        g_string_append_c(bar, '#');
    }
    return n;
}

void terminal_bar(const struct terminal *terminal, GString *text, enum colour colour, uint64_t part,
                  uint64_t whole, unsigned width, bool pad)
{
    unsigned used = 0;

    if (part && whole) {
        g_autoptr(GString) bar = g_string_new(NULL);
        double cells = (double)part / (double)whole * width;

        used = terminal->utf8 ? append_blocks(bar, cells) : append_hashes(bar, cells);
        terminal_paint(terminal, text, colour, "%s", bar->str);
    }
    for (; pad && used < width; used++) {
        g_string_append_c(text, ' ');
    }
}

void terminal_print_wrapped(const struct terminal *terminal, enum colour colour, const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, " ", -1);
    g_autoptr(GString) plain = g_string_new(NULL);
    g_autoptr(GString) painted = g_string_new(NULL);
    long column = 0;

    for (char **word = words; *word; word++) {
        long len = g_utf8_strlen(*word, -1);

        if (column && column + 1 + len > (long)terminal->width) {
            g_string_append_c(plain, '\n');
            column = 0;
        } else if (column) {
            g_string_append_c(plain, ' ');
            column++;
        }
        g_string_append(plain, *word);
        column += len;
    }
    terminal_paint(terminal, painted, colour, "%s", plain->str);
    fprintf(terminal->stream, "%s\n", painted->str);
}

const char *percent(char text[PERCENT_SIZE], uint64_t part, uint64_t whole)
{
    unsigned rounded = whole ? (unsigned)(100.0 * (double)part / (double)whole + 0.5) : 0;

    if (part && rounded == 0) {
        return "<1 %";
    }
    if (part < whole && rounded == 100) {
        return ">99 %";
    }
    g_snprintf(text, PERCENT_SIZE, "%u %%", rounded);
    return text;
}
