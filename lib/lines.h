/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cache lines. What one thread writes for every frame shares no line with what another one writes, or
 * reads for every frame: else the two wait for each other without a lock to be seen. Processors fetch the
 * other line of an aligned pair along, so that a pair is the unit here. Any thread.
 */
#ifndef VIONET_LINES_H
#define VIONET_LINES_H

#include <stdlib.h>
#include <string.h>

#include <glib.h>

#define CACHE_LINE 64
#define LINE_PAIR  (2 * CACHE_LINE)

/* Zeroed memory of n blocks, in lines that nobody else's memory is in; g_aligned_free() gives it back. */
static inline gpointer lines_new0(size_t n, size_t size)
{
    const size_t pair = LINE_PAIR;

    return g_aligned_alloc0((n * size + pair - 1) / pair, pair, pair);
}

/* The same, NULL if there is no memory for it. (Where this is, g_aligned_free() is free().) */
static inline gpointer lines_try_new0(size_t n, size_t size)
{
    const size_t octets = (n * size + LINE_PAIR - 1) / LINE_PAIR * LINE_PAIR;
    void *made;

    return posix_memalign(&made, LINE_PAIR, octets) == 0 ? memset(made, 0, octets) : NULL;
}

/*
 * Begins to fetch a line that will be written. On x86-64 as the only owner: a line that is fetched as one of
 * several has to be asked for again when it is written. (The compiler says so only for processors that are
 * known to have the instruction; all others of 64 bits do nothing.)
 */
static inline void line_fetch_to_write(const void *p)
{
#ifdef __x86_64__
    __asm__ volatile("prefetchw %0" : : "m"(*(const char *)p));
#else
    __builtin_prefetch(p, 1);
#endif
}

#endif
