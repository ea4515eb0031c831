/* SPDX-License-Identifier: BSD-3-Clause */
/* Notifications by eventfd; see ioeventfds.h. Called by server.c. */
#include "ioeventfds.h"

#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <glib-unix.h>

#include <vionet/transport.h>

#include "eventfds.h"
#include "stream.h"
#include "thread_memory.h"

/* One of them, which its source owns: a thread may be about to read it when the others let go of it. */
struct ioeventfd {
    VionetDevice *device;
    int fd;
    unsigned first; /* of its queues */
    unsigned step;  /* from one to the next */
    /* That it is freed after the last call of notified() is GLib's order. A sanitizer sees this one. */
    atomic_uint calls;
};

struct ioeventfds {
    VionetFrontend *frontend;
    GMainContext *context;
    unsigned n;
    int fds[STREAM_MAX_FDS];
    GSource *sources[STREAM_MAX_FDS];
};

static gboolean notified(gint fd, GIOCondition condition, gpointer data)
{
    struct ioeventfd *ioeventfd = data;
    const unsigned n_queues = vionet_device_num_queues(ioeventfd->device);

    (void)condition;
    if (eventfds_take(fd)) {
        for (unsigned i = ioeventfd->first; i < n_queues; i += ioeventfd->step) {
            vionet_device_kick(ioeventfd->device, i);
        }
    }
    atomic_fetch_add_explicit(&ioeventfd->calls, 1, memory_order_release);
    return G_SOURCE_CONTINUE;
}

static void ioeventfd_free(gpointer data)
{
    struct ioeventfd *ioeventfd = data;

    (void)atomic_load_explicit(&ioeventfd->calls, memory_order_acquire);
    close(ioeventfd->fd);
    g_aligned_free(ioeventfd);
}

/* Where one is watched: the thread that serves all of its queues has it. */
static GMainContext *find_context(const struct ioeventfds *ioeventfds, unsigned first,
                                  unsigned step)
{
    const unsigned n_queues =
        vionet_device_num_queues(vionet_frontend_device(ioeventfds->frontend));
    GMainContext *context = vionet_frontend_queue_context(ioeventfds->frontend, first);

    for (unsigned i = first + step; i < n_queues; i += step) {
        if (vionet_frontend_queue_context(ioeventfds->frontend, i) != context) {
            context = NULL;
        }
    }
    return context ? context : ioeventfds->context;
}

/* The i-th of n. */
static bool open_one(struct ioeventfds *ioeventfds, unsigned i, unsigned n)
{
    const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct ioeventfd *ioeventfd;
    GSource *source;

    if (fd < 0) {
        return false;
    }
    ioeventfd = thread_memory_new0(sizeof(*ioeventfd));
    ioeventfd->device = vionet_frontend_device(ioeventfds->frontend);
    ioeventfd->fd = fd;
    ioeventfd->first = i;
    ioeventfd->step = n;
    source = g_unix_fd_source_new(fd, G_IO_IN);
    g_source_set_can_recurse(source, TRUE);
    g_source_set_callback(source, G_SOURCE_FUNC(notified), ioeventfd, ioeventfd_free);
    g_source_attach(source, find_context(ioeventfds, i, n));
    ioeventfds->sources[i] = source;
    ioeventfds->fds[i] = fd;
    return true;
}

bool ioeventfds_open(struct ioeventfds *ioeventfds, unsigned n)
{
    for (; ioeventfds->n < n; ioeventfds->n++) {
        if (!open_one(ioeventfds, ioeventfds->n, n)) {
            ioeventfds_close(ioeventfds);
            return false;
        }
    }
    return true;
}

void ioeventfds_close(struct ioeventfds *ioeventfds)
{
    while (ioeventfds->n > 0) {
        const unsigned i = --ioeventfds->n;

        g_source_destroy(ioeventfds->sources[i]);
        g_source_unref(ioeventfds->sources[i]);
    }
}

const int *ioeventfds_fds(const struct ioeventfds *ioeventfds)
{
    return ioeventfds->fds;
}

unsigned ioeventfds_count(const struct ioeventfds *ioeventfds)
{
    return ioeventfds->n;
}

unsigned ioeventfds_index(const struct ioeventfds *ioeventfds, unsigned queue)
{
    return queue % ioeventfds->n;
}

struct ioeventfds *ioeventfds_new(VionetFrontend *frontend, GMainContext *context)
{
    struct ioeventfds *ioeventfds = g_new0(struct ioeventfds, 1);

    ioeventfds->frontend = frontend;
    ioeventfds->context = context;
    return ioeventfds;
}

void ioeventfds_free(struct ioeventfds *ioeventfds)
{
    if (ioeventfds) {
        ioeventfds_close(ioeventfds);
        g_free(ioeventfds);
    }
}
