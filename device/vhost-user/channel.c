/* SPDX-License-Identifier: BSD-3-Clause */
/* A back-end's own requests; see channel.h. Called by server.c, and by the device's threads. */
#include "channel.h"

#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>

#include "protocol.h"

struct channel {
    pthread_mutex_t lock; /* of what follows: it is not closed while somebody sends */
    int fd;               /* -1: none */
};

struct channel *channel_new(void)
{
    struct channel *channel = g_new0(struct channel, 1);

    pthread_mutex_init(&channel->lock, NULL);
    channel->fd = -1;
    return channel;
}

void channel_free(struct channel *channel)
{
    if (channel) {
        channel_set(channel, -1);
        pthread_mutex_destroy(&channel->lock);
        g_free(channel);
    }
}

static bool is_socket(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode);
}

static void change(struct channel *channel, int fd)
{
    if (channel->fd >= 0) {
        close(channel->fd);
    }
    channel->fd = fd;
}

bool channel_set(struct channel *channel, int fd)
{
    if (fd >= 0 && !is_socket(fd)) {
        close(fd);
        return false;
    }
    pthread_mutex_lock(&channel->lock);
    change(channel, fd);
    pthread_mutex_unlock(&channel->lock);
    return true;
}

/*
 * One that does not go because there is no room need not: one is there that the front-end has not read,
 * and it looks at what is then. A socket that took a part of it, or has nobody at its other end, is given up.
 */
void channel_tell_config(struct channel *channel)
{
    const struct vhost_user_header header = {
        .request = VHOST_USER_BACKEND_CONFIG_CHANGE,
        .flags = VHOST_USER_VERSION,
    };

    pthread_mutex_lock(&channel->lock);
    if (channel->fd >= 0) {
        ssize_t n;

        do {
            n = send(channel->fd, &header, sizeof(header), MSG_DONTWAIT | MSG_NOSIGNAL);
        } while (n < 0 && errno == EINTR);
        if (n != (ssize_t)sizeof(header) && !(n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))) {
            change(channel, -1);
        }
    }
    pthread_mutex_unlock(&channel->lock);
}
