/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Capabilities in the version messages of vfio-user, which are JSON. Used by server.c.
 */
#ifndef DEVICE_VFIO_USER_CAPABILITIES_H
#define DEVICE_VFIO_USER_CAPABILITIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the client can do; at first what holds for one that does not say. */
struct capabilities {
    uint64_t max_msg_fds;
    uint64_t max_data_xfer_size;
    bool write_multiple;
    bool twin_socket;
};

/* JSON text longer than this is refused unread: so it cannot be nested deeply either. */
#define CAPABILITIES_MAX_TEXT 4096

/*
 * Reads the client's, of len octets, which end with a NUL unless there are none. False if they are
 * no JSON of the right form. Members that are not known are passed over.
 */
bool capabilities_read(const char *text, size_t len, struct capabilities *capabilities);

/*
 * Our answer to these, NUL-terminated; with a twin socket, which is the first descriptor of the message,
 * or not. To be freed with g_free().
 */
char *capabilities_answer(const struct capabilities *client, bool twin_socket);

#endif
