/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the stream that people read can show: width, colour (only on a terminal, and not if NO_COLOR
 * is set), block characters (only if the locale's charset is UTF-8); bars and percentages for it.
 */
#ifndef REPLAY_TERMINAL_H
#define REPLAY_TERMINAL_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct terminal {
    FILE *stream;
    bool colour;
    bool utf8;
    unsigned width; /* columns to use: 80 unless a terminal says otherwise */
};

enum colour {
    COLOUR_BOLD,
    COLOUR_DIM,
    COLOUR_RED,
    COLOUR_GREEN,
    COLOUR_YELLOW,
    COLOUR_CYAN,
};

/* Of the stream, which must have been opened. Needs setlocale(). */
struct terminal terminal_of(FILE *stream);

/* Appends formatted text in a colour, or as it is where there is no colour. */
void terminal_paint(const struct terminal *terminal, GString *text, enum colour colour,
                    const char *format, ...) G_GNUC_PRINTF(4, 5);

/*
 * Appends a bar for part of whole, width columns for a whole, padded with spaces to width if pad is
 * set. A part that is not 0 can be seen.
 */
void terminal_bar(const struct terminal *terminal, GString *text, enum colour colour, uint64_t part,
                  uint64_t whole, unsigned width, bool pad);

/* Writes text broken between words into lines of the terminal's width, and a newline. */
void terminal_print_wrapped(const struct terminal *terminal, enum colour colour, const char *text);

/*
 * part of whole as "27 %": 0 and 100 only where nothing or everything is meant, else "<1 %" and
 * ">99 %". For a whole of 0, "0 %".
 */
#define PERCENT_SIZE 8
const char *percent(char text[PERCENT_SIZE], uint64_t part, uint64_t whole);

#endif
