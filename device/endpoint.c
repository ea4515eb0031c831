/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ends of sockets; see endpoint.h. Called by backend_stream.c and backend_dgram.c.
 */
#include "endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "options.h"

static const char *value_of(const struct reader *reader, const struct endpoint *endpoint,
                            enum endpoint_option option)
{
    return reader_value(reader, endpoint->first + option);
}

static bool refuse(const struct reader *reader, const struct endpoint *endpoint,
                   enum endpoint_option option, const char *why)
{
    const char *value = value_of(reader, endpoint, option);

    return value ? reader_refuse(reader, endpoint->first + option, value, "%s", why)
                 : reader_refuse_without(reader, endpoint->first + option, "is missing");
}

static bool read_inet(const struct reader *reader, struct endpoint *endpoint)
{
    const char *host = value_of(reader, endpoint, ENDPOINT_HOST);
    const char *port = value_of(reader, endpoint, ENDPOINT_PORT);
    uint64_t number;

    if (!host) {
        return refuse(reader, endpoint, ENDPOINT_HOST, NULL);
    }
    if (!port || !options_number(port, 1, UINT16_MAX, &number)) {
        return refuse(reader, endpoint, ENDPOINT_PORT, "expected a number from 1 to 65535");
    }
    if (strcmp(host, "localhost") == 0) {
        host = "127.0.0.1";
    }
    if (inet_pton(AF_INET, host, &endpoint->address.inet.sin_addr) == 1) {
        endpoint->address.inet.sin_family = AF_INET;
        endpoint->address.inet.sin_port = htons((uint16_t)number);
        endpoint->len = sizeof(endpoint->address.inet);
    } else if (inet_pton(AF_INET6, host, &endpoint->address.inet6.sin6_addr) == 1) {
        endpoint->address.inet6.sin6_family = AF_INET6;
        endpoint->address.inet6.sin6_port = htons((uint16_t)number);
        endpoint->len = sizeof(endpoint->address.inet6);
    } else {
        return refuse(reader, endpoint, ENDPOINT_HOST,
                      "expected an IPv4 or IPv6 address, or localhost");
    }
    return true;
}

static bool read_unix(const struct reader *reader, struct endpoint *endpoint)
{
    const char *path = value_of(reader, endpoint, ENDPOINT_PATH);
    const size_t size = sizeof(endpoint->address.local.sun_path);

    endpoint->address.local.sun_family = AF_UNIX;
    endpoint->len = sizeof(endpoint->address.local);
    return (path && g_strlcpy(endpoint->address.local.sun_path, path, size) < size) ||
           refuse(reader, endpoint, ENDPOINT_PATH, "expected a path of at most 107 octets");
}

static bool read_fd(const struct reader *reader, struct endpoint *endpoint)
{
    const char *text = value_of(reader, endpoint, ENDPOINT_STR);
    uint64_t number;

    if (!text || !options_number(text, 0, INT32_MAX, &number)) {
        return refuse(reader, endpoint, ENDPOINT_STR, "expected the number of a descriptor");
    }
    endpoint->fd = (int)number;
    return true;
}

static const struct endpoint_type {
    const char *name;
    unsigned options; /* bits of enum endpoint_option */
    bool (*read)(const struct reader *reader, struct endpoint *endpoint);
} types[] = {
    {"inet", 1 << ENDPOINT_HOST | 1 << ENDPOINT_PORT, read_inet},
    {"unix", 1 << ENDPOINT_PATH, read_unix},
    {"fd", 1 << ENDPOINT_STR, read_fd},
};

static const struct endpoint_type *find_type(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        if (strcmp(types[i].name, name) == 0) {
            return &types[i];
        }
    }
    return NULL;
}

bool endpoint_read(const struct reader *reader, unsigned first, struct endpoint *endpoint)
{
    const struct endpoint_type *type;
    unsigned given = 0;

    *endpoint = (struct endpoint){.first = first, .fd = -1};
    for (unsigned i = ENDPOINT_PATH; i < ENDPOINT_OPTIONS; i++) {
        given |= value_of(reader, endpoint, i) ? 1u << i : 0;
    }
    if (!value_of(reader, endpoint, ENDPOINT_TYPE)) {
        return given == 0 || refuse(reader, endpoint, ENDPOINT_TYPE, NULL);
    }
    endpoint->given = true;
    type = find_type(value_of(reader, endpoint, ENDPOINT_TYPE));
    if (!type) {
        return refuse(reader, endpoint, ENDPOINT_TYPE, "expected inet, unix or fd");
    }
    for (unsigned i = ENDPOINT_PATH; i < ENDPOINT_OPTIONS; i++) {
        if (given & ~type->options & 1u << i) {
            return refuse(reader, endpoint, i, "expected with another type only");
        }
    }
    return type->read(reader, endpoint);
}

bool endpoint_refuse(const struct reader *reader, const struct endpoint *endpoint, const char *why)
{
    if (endpoint->fd >= 0) {
        return refuse(reader, endpoint, ENDPOINT_STR, why);
    }
    return refuse(reader, endpoint,
                  endpoint->address.any.sa_family == AF_UNIX ? ENDPOINT_PATH : ENDPOINT_PORT, why);
}

int endpoint_socket(const struct endpoint *endpoint, int type)
{
    return socket(endpoint->address.any.sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* Removes a socket that nobody can have any use for; other files stay. */
static void remove_socket(const struct endpoint *endpoint)
{
    const char *path = endpoint->address.local.sun_path;
    struct stat status;

    if (endpoint->address.any.sa_family == AF_UNIX && lstat(path, &status) == 0 &&
        S_ISSOCK(status.st_mode)) {
        g_unlink(path);
    }
}

bool endpoint_bind(const struct endpoint *endpoint, int fd)
{
    const int on = 1;

    if (endpoint->address.any.sa_family != AF_UNIX) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    }
    remove_socket(endpoint);
    return bind(fd, &endpoint->address.any, endpoint->len) == 0;
}

bool endpoint_take_fd(const struct reader *reader, const struct endpoint *endpoint, int type)
{
    const int flags = fcntl(endpoint->fd, F_GETFL);
    int found = 0;
    socklen_t len = sizeof(found);

    if (getsockopt(endpoint->fd, SOL_SOCKET, SO_TYPE, &found, &len) != 0) {
        return endpoint_refuse(reader, endpoint, g_strerror(errno));
    }
    if (found != type) {
        return endpoint_refuse(reader, endpoint,
                               type == SOCK_STREAM ? "expected a stream socket"
                                                   : "expected a datagram socket");
    }
    fcntl(endpoint->fd, F_SETFL, flags | O_NONBLOCK);
    fcntl(endpoint->fd, F_SETFD, FD_CLOEXEC);
    return true;
}

void endpoint_unbind(const struct endpoint *endpoint, int fd)
{
    if (fd < 0) {
        return;
    }
    close(fd);
    remove_socket(endpoint);
}
