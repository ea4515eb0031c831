/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Listening sockets; see listener.h. Called by vfio-user/server.c and daemon/.
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

#include <vionet/device.h>

#define BACKLOG 4

/* ---- At a path ---- */

static bool refuse_path(const char *path, const char *why, GError **error)
{
    g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG, "socket %s: %s", path, why);
    return false;
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

int listener_open(const char *path, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    if (*path == '\0' || strlen(path) >= sizeof(address.sun_path)) {
        refuse_path(path, *path ? "the path is too long" : "the path is empty", error);
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

bool listener_adopt(int fd, GError **error)
{
    if (socket_number(fd, SO_ACCEPTCONN) != 1 || socket_number(fd, SO_DOMAIN) != AF_UNIX ||
        socket_number(fd, SO_TYPE) != SOCK_STREAM) {
        g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG,
                    "descriptor %d: expected a UNIX stream socket that listens", fd);
        return false;
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    return true;
}

bool listener_has_lost(int fd)
{
    struct pollfd poll_fd = {.fd = fd};

    return poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & (POLLHUP | POLLERR | POLLNVAL));
}
