/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cache lines. What one thread writes for every frame shares no line with what another one writes, or
 * reads for every frame: else the two wait for each other without a lock to be seen. Processors fetch the
 * other line of an aligned pair along, so that a pair is the unit here. Any thread.
 */
#ifndef VIONET_LINES_H
#define VIONET_LINES_H

#include <glib.h>

#define CACHE_LINE 64
#define LINE_PAIR  (2 * CACHE_LINE)

/* Zeroed memory of n blocks, in lines that nobody else's memory is in; g_aligned_free() gives it back. */
static inline gpointer lines_new0(size_t n, size_t size)
{
    const size_t pair = LINE_PAIR;

    return g_aligned_alloc0((n * size + pair - 1) / pair, pair, pair);
}

#endif
