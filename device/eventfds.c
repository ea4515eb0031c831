/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See eventfds.h. Called by vfio-user/ and vhost-user/.
 *
 * A read can be told not to wait, whatever the flag says. A write cannot: it is only made when there
 * is room. A peer that takes the room between the two would have to be as quick as a system call,
 * and to have cleared the flag; what it wins is that its own device stops.
 */
#include "eventfds.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <glib.h>

static bool is_eventfd(int fd)
{
    char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    char target[64] = "";
    const ssize_t n = readlink(path, target, sizeof(target) - 1);

    g_free(path);
    return n < 0 || strcmp(target, "anon_inode:[eventfd]") == 0;
}

bool eventfds_accept(int fd)
{
    const int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && is_eventfd(fd) && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

void eventfds_signal(int fd)
{
    struct pollfd room = {.fd = fd, .events = POLLOUT};
    const uint64_t one = 1;
    int n;

    do {
        n = poll(&room, 1, 0);
    } while (n < 0 && errno == EINTR);
    if (n == 1 && room.revents & POLLOUT) {
        (void)!write(fd, &one, sizeof(one));
    }
}

bool eventfds_take(int fd)
{
    uint64_t count;
    struct iovec iov = {&count, sizeof(count)};
    ssize_t n = preadv2(fd, &iov, 1, -1, RWF_NOWAIT);

    if (n < 0 && errno == EOPNOTSUPP) { /* before Linux 5.8 */
        n = read(fd, &count, sizeof(count));
    }
    return n == sizeof(count);
}
