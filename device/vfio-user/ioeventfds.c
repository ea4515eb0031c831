/* SPDX-License-Identifier: BSD-3-Clause */
/* Notifications by eventfd; see ioeventfds.h. Called by server.c. */
#include "ioeventfds.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <glib-unix.h>

#include <vionet/transport.h>

#include "eventfds.h"
#include "stream.h"

struct ioeventfds {
    VionetDevice *device;
    GMainContext *context;
    unsigned n;
    int fds[STREAM_MAX_FDS];
    GSource *sources[STREAM_MAX_FDS];
};

static gboolean notified(gint fd, GIOCondition condition, gpointer data)
{
    const struct ioeventfds *ioeventfds = data;

    (void)condition;
    if (!eventfds_take(fd)) {
        return G_SOURCE_CONTINUE;
    }
    for (unsigned i = 0; i < ioeventfds->n; i++) {
        for (unsigned queue = i;
             fd == ioeventfds->fds[i] && queue < vionet_device_num_queues(ioeventfds->device);
             queue += ioeventfds->n) {
            vionet_device_kick(ioeventfds->device, queue);
        }
    }
    return G_SOURCE_CONTINUE;
}

bool ioeventfds_open(struct ioeventfds *ioeventfds, unsigned n)
{
    while (ioeventfds->n < n) {
        const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        GSource *source;

        if (fd < 0) {
            ioeventfds_close(ioeventfds);
            return false;
        }
        source = g_unix_fd_source_new(fd, G_IO_IN);
        g_source_set_can_recurse(source, TRUE);
        g_source_set_callback(source, G_SOURCE_FUNC(notified), ioeventfds, NULL);
        g_source_attach(source, ioeventfds->context);
        ioeventfds->sources[ioeventfds->n] = source;
        ioeventfds->fds[ioeventfds->n++] = fd;
    }
    return true;
}

void ioeventfds_close(struct ioeventfds *ioeventfds)
{
    while (ioeventfds->n > 0) {
        const unsigned i = --ioeventfds->n;

        g_source_destroy(ioeventfds->sources[i]);
        g_source_unref(ioeventfds->sources[i]);
        close(ioeventfds->fds[i]);
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

struct ioeventfds *ioeventfds_new(VionetDevice *device, GMainContext *context)
{
    struct ioeventfds *ioeventfds = g_new0(struct ioeventfds, 1);

    ioeventfds->device = device;
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
