/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Readiness; see ready.h. Called by main.c.
 */
#include "ready.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <vionet/device.h>

/* A path, or a name in the abstract space behind an at sign. */
static bool notify_address(const char *name, struct sockaddr_un *address, socklen_t *len)
{
    const size_t n = strlen(name);

    if ((name[0] != '/' && name[0] != '@') || n >= sizeof(address->sun_path)) {
        return false;
    }
    memcpy(address->sun_path, name, n);
    if (name[0] == '@') {
        address->sun_path[0] = '\0';
    }
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    return true;
}

static int connect_notify(const char *name, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t len;
    int fd = -1;

    errno = EINVAL;
    if (notify_address(name, &address, &len)) {
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    }
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, len) != 0) {
        g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG, "NOTIFY_SOCKET=%s: %s", name,
                    g_strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    return fd;
}

bool ready_open(struct ready *ready, int fd, GError **error)
{
    const char *name = g_getenv("NOTIFY_SOCKET");

    *ready = (struct ready){fd, -1};
    if (name && *name) {
        ready->notify = connect_notify(name, error);
        return ready->notify >= 0;
    }
    return true;
}

void ready_tell(struct ready *ready)
{
    static const char line[] = "ready\n";
    static const char message[] = "READY=1";

    if (ready->fd >= 0) {
        if (write(ready->fd, line, strlen(line)) < 0) {
            g_warning("descriptor %d for readiness: %s", ready->fd, g_strerror(errno));
        }
        close(ready->fd);
    }
    if (ready->notify >= 0) {
        if (send(ready->notify, message, strlen(message), MSG_NOSIGNAL) < 0) {
            g_warning("NOTIFY_SOCKET: %s", g_strerror(errno));
        }
        close(ready->notify);
    }
    *ready = (struct ready){-1, -1};
}
