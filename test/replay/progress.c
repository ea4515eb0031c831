/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The progress line; see progress.h.
 */
#include "progress.h"

#include <glib.h>
#include <stdio.h>
#include <unistd.h>

#define SIZE_LARGE   (16u << 20)
#define EVERY_PACKET 1024u /* looking at the clock for each would be felt */
#define INTERVAL     (G_USEC_PER_SEC / 10)

struct progress {
    bool enabled;
    bool shown;
    uint64_t size;
    gint64 next; /* when to draw */
};

struct progress *progress_new(uint64_t size, bool wanted)
{
    struct progress *progress = g_new0(struct progress, 1);

    progress->size = size;
    progress->enabled = wanted && size >= SIZE_LARGE && isatty(STDERR_FILENO);
    progress->next = g_get_monotonic_time() + G_USEC_PER_SEC / 2;
    return progress;
}

bool progress_is_due(const struct progress *progress, uint64_t packets)
{
    return progress->enabled && packets % EVERY_PACKET == 0 &&
           g_get_monotonic_time() >= progress->next;
}

void progress_update(struct progress *progress, uint64_t position, uint64_t packets)
{
    unsigned done =
        (unsigned)(100.0 * (double)MIN(position, progress->size) / (double)progress->size);

    fprintf(stderr, "\rvionet-replay: %3u %%, %" G_GUINT64_FORMAT " packets", done, packets);
    fflush(stderr);
    progress->shown = true;
    progress->next = g_get_monotonic_time() + INTERVAL;
}

void progress_clear(struct progress *progress)
{
    if (progress->shown) {
        fputs("\r\033[K", stderr);
        progress->shown = false;
    }
}

void progress_free(struct progress *progress)
{
    if (progress) {
        progress_clear(progress);
        g_free(progress);
    }
}
