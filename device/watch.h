/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A source of an event loop that watches one descriptor, or waits for a time, as its owner wants at
 * the moment: it asks each time before the loop sleeps. For the backends stream and dgram.
 *
 * Threads: that of the event loop.
 */
#ifndef DEVICE_WATCH_H
#define DEVICE_WATCH_H

#include <stdbool.h>

#include <glib.h>

struct watch;

struct watch_wish {
    int fd;              /* -1, or with no events: none */
    GIOCondition events; /* G_IO_IN, G_IO_OUT */
    gint64 deadline;     /* in microseconds of g_get_monotonic_time(), 0: none */
    bool at_once;        /* do not sleep */
};

/* Makes a source; happened is told what the descriptor is ready for, 0 if it is about time. */
struct watch *watch_new(struct watch_wish (*wish)(void *opaque),
                        void (*happened)(void *opaque, GIOCondition events), void *opaque);

/* From now on it belongs to context (NULL: the default one). */
void watch_attach(struct watch *watch, GMainContext *context);

/* Nothing is called any more; NULL is ignored. */
void watch_free(struct watch *watch);

#endif
