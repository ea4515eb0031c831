/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Listening sockets; see listener.h. Called by the servers and daemon/status.c.
 */
#include "listener.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <glib-unix.h>

#include <vionet/device.h>

#define BACKLOG 4

/* ---- At a path ---- */

static bool refuse_path(const char *path, const char *why, GError **error)
{
    g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG, "socket %s: %s", path, why);
    return false;
}

bool listener_check_path(const char *path, GError **error)
{
    const struct sockaddr_un address;

    return (*path != '\0' && strlen(path) < sizeof(address.sun_path)) ||
           refuse_path(path, *path ? "the path is too long" : "the path is empty", error);
}

/* 0 if the socket there takes clients, else why it does not. */
static int try_socket(const struct sockaddr_un *address)
{
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int result = 0;

    if (fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0) {
        result = errno == EAGAIN ? 0 : errno; /* others wait in line */
    }
    if (fd >= 0) {
        close(fd);
    }
    return result;
}

/* Removes a socket that a server left behind. False if something else is there. */
static bool clear_path(const struct sockaddr_un *address, GError **error)
{
    struct stat status;
    int why;

    if (lstat(address->sun_path, &status) != 0) {
        return true;
    }
    if (!S_ISSOCK(status.st_mode)) {
        return refuse_path(address->sun_path, "is there, and no socket", error);
    }
    why = try_socket(address);
    if (why != ECONNREFUSED) {
        return refuse_path(address->sun_path,
                           why ? g_strerror(why) : "is served by another process", error);
    }
    unlink(address->sun_path);
    return true;
}

/* -1 with an error. */
static int open_path(const char *path, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    if (!listener_check_path(path, error)) {
        return -1;
    }
    strcpy(address.sun_path, path);
    if (!clear_path(&address, error)) {
        return -1;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(fd, BACKLOG) != 0) {
        refuse_path(path, g_strerror(errno), error);
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    return fd;
}

/* ---- Handed over ---- */

static int socket_number(int fd, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);

    return getsockopt(fd, SOL_SOCKET, name, &value, &len) == 0 ? value : -1;
}

static bool is_listening(int fd, GError **error)
{
    if (socket_number(fd, SO_ACCEPTCONN) != 1 || socket_number(fd, SO_DOMAIN) != AF_UNIX ||
        socket_number(fd, SO_TYPE) != SOCK_STREAM) {
        g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG,
                    "descriptor %d: expected a UNIX stream socket that listens", fd);
        return false;
    }
    return true;
}

/* ---- Who connects ---- */

struct listener {
    int fd;
    char *path; /* NULL: it was handed over */
    GSource *source;
    void (*came)(void *opaque, int fd);
    void *opaque;
};

static gboolean accept_one(gint fd, GIOCondition condition, gpointer data)
{
    const struct listener *listener = data;
    const int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)condition;
    if (peer >= 0) {
        listener->came(listener->opaque, peer);
    } else if (errno == EMFILE || errno == ENFILE) {
        g_usleep(1000); /* it stays in line; do not spin meanwhile */
    }
    return G_SOURCE_CONTINUE;
}

static struct listener *listener_new(int fd, const char *path, GMainContext *context,
                                     void (*came)(void *opaque, int fd), void *opaque)
{
    struct listener *listener = g_new0(struct listener, 1);

    listener->fd = fd;
    listener->path = g_strdup(path);
    listener->came = came;
    listener->opaque = opaque;
    listener->source = g_unix_fd_source_new(fd, G_IO_IN);
    g_source_set_callback(listener->source, G_SOURCE_FUNC(accept_one), listener, NULL);
    g_source_attach(listener->source, context);
    return listener;
}

struct listener *listener_open(const char *path, GMainContext *context,
                               void (*came)(void *opaque, int fd), void *opaque, GError **error)
{
    const int fd = open_path(path, error);

    return fd < 0 ? NULL : listener_new(fd, path, context, came, opaque);
}

struct listener *listener_adopt(int fd, GMainContext *context, void (*came)(void *opaque, int fd),
                                void *opaque, GError **error)
{
    if (!is_listening(fd, error)) {
        return NULL;
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    return listener_new(fd, NULL, context, came, opaque);
}

void listener_close(struct listener *listener)
{
    if (!listener) {
        return;
    }
    g_source_destroy(listener->source);
    g_source_unref(listener->source);
    close(listener->fd);
    if (listener->path) {
        unlink(listener->path);
        g_free(listener->path);
    }
    g_free(listener);
}

bool listener_has_lost(int fd)
{
    struct pollfd poll_fd = {.fd = fd};
    int n;

    do {
        n = poll(&poll_fd, 1, 0);
    } while (n < 0 && errno == EINTR);
    return n == 1 && (poll_fd.revents & (POLLHUP | POLLERR | POLLNVAL));
}
