/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A source that watches one descriptor; see watch.h. Called by backend_stream.c and
 * backend_dgram.c.
 *
 * Asking anew each time is what makes it simple: a descriptor that was closed, or whose number is
 * another socket's by now, is never slept on.
 */
#include "watch.h"

struct watch {
    GSource source;
    struct watch_wish (*wish)(void *opaque);
    void (*happened)(void *opaque, GIOCondition events);
    void *opaque;
    GPollFD poll; /* with events: known to the loop */
    gint64 deadline;
};

static void set_poll(struct watch *watch, int fd, GIOCondition events)
{
    const bool known = watch->poll.events != 0;

    if (fd < 0 || events == 0) {
        fd = -1;
        events = 0;
    }
    if (known && fd != watch->poll.fd) {
        g_source_remove_poll(&watch->source, &watch->poll);
    }
    watch->poll.events = (gushort)events;
    watch->poll.revents = 0;
    if (events && (!known || fd != watch->poll.fd)) {
        watch->poll.fd = fd;
        g_source_add_poll(&watch->source, &watch->poll);
    }
    watch->poll.fd = fd;
}

static gboolean watch_prepare(GSource *source, gint *timeout)
{
    struct watch *watch = (struct watch *)source;
    const struct watch_wish wish = watch->wish(watch->opaque);

    set_poll(watch, wish.fd, wish.events);
    watch->deadline = wish.deadline;
    *timeout = -1;
    if (wish.deadline != 0) {
        const gint64 left = wish.deadline - g_get_monotonic_time();

        *timeout = (gint)CLAMP((left + 999) / 1000, 0, G_MAXINT);
    }
    return wish.at_once || *timeout == 0;
}

static gboolean watch_check(GSource *source)
{
    const struct watch *watch = (struct watch *)source;

    return watch->poll.revents != 0 ||
           (watch->deadline != 0 && g_get_monotonic_time() >= watch->deadline);
}

static gboolean watch_dispatch(GSource *source, GSourceFunc callback, gpointer data)
{
    struct watch *watch = (struct watch *)source;

    (void)callback;
    (void)data;
    watch->happened(watch->opaque, (GIOCondition)watch->poll.revents);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs watch_funcs = {
    .prepare = watch_prepare,
    .check = watch_check,
    .dispatch = watch_dispatch,
};

struct watch *watch_new(struct watch_wish (*wish)(void *opaque),
                        void (*happened)(void *opaque, GIOCondition events), void *opaque)
{
    struct watch *watch = (struct watch *)g_source_new(&watch_funcs, sizeof(struct watch));

    /* Or GLib would wake the loop up for each call, to take the descriptor out and in again. */
    g_source_set_can_recurse(&watch->source, TRUE);
    watch->wish = wish;
    watch->happened = happened;
    watch->opaque = opaque;
    watch->poll.fd = -1;
    return watch;
}

void watch_attach(struct watch *watch, GMainContext *context)
{
    g_source_attach(&watch->source, context);
}

void watch_free(struct watch *watch)
{
    if (watch) {
        g_source_destroy(&watch->source);
        g_source_unref(&watch->source);
    }
}
