/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory for what one thread writes for every frame: in cache lines that nothing else is in, a pair of them
 * at least, as processors fetch those together. Any thread.
 */
#ifndef DEVICE_THREAD_MEMORY_H
#define DEVICE_THREAD_MEMORY_H

#include <glib.h>

#define LINE_PAIR 128

/* Zeroed memory; g_aligned_free() gives it back. */
static inline gpointer thread_memory_new0(size_t size)
{
    return g_aligned_alloc0((size + LINE_PAIR - 1) / LINE_PAIR, LINE_PAIR, LINE_PAIR);
}

#endif
