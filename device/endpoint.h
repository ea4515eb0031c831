/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ends of sockets, as options name them: TYPE=inet with host and port, TYPE=unix with a path,
 * TYPE=fd with the number of a descriptor. For the backends stream and dgram. Nothing here blocks:
 * hosts are addresses, not names to be looked up, but for localhost.
 */
#ifndef DEVICE_ENDPOINT_H
#define DEVICE_ENDPOINT_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "reader.h"

#define ENDPOINT_OPTIONS 5

/* The options of an end, as they follow each other in a backend's table from first on. */
enum endpoint_option { ENDPOINT_TYPE, ENDPOINT_PATH, ENDPOINT_HOST, ENDPOINT_PORT, ENDPOINT_STR };

struct endpoint {
    unsigned first; /* of its options */
    bool given;
    int fd; /* -1 if it is an address */
    socklen_t len;
    union {
        struct sockaddr any;
        struct sockaddr_in inet;
        struct sockaddr_in6 inet6;
        struct sockaddr_un local;
    } address;
};

/* Reads the options from first on; given is false if there are none. False on error. */
bool endpoint_read(const struct reader *reader, unsigned first, struct endpoint *endpoint);

/* False, with an error that names the option with which the end stands or falls. */
bool endpoint_refuse(const struct reader *reader, const struct endpoint *endpoint, const char *why);

/* Makes a socket of that type (SOCK_STREAM, ...), not blocking; -1 with errno. */
int endpoint_socket(const struct endpoint *endpoint, int type);

/*
 * Gives a socket the address; the socket that an earlier process left at a path is replaced. False
 * with errno.
 */
bool endpoint_bind(const struct endpoint *endpoint, int fd);

/* Takes a descriptor over, which must be a socket of that type. False with an error. */
bool endpoint_take_fd(const struct reader *reader, const struct endpoint *endpoint, int type);

/* Closes what an end has been bound to: the descriptor, unless it is -1, and the path. */
void endpoint_unbind(const struct endpoint *endpoint, int fd);

#endif
