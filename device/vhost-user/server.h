/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vionet device as a vhost-user back-end: a front-end (QEMU's -netdev vhost-user, DPDK's virtio-user)
 * shares memory and rings, and we are the device's data path; with a front-end that passes the control
 * queue and the configuration space on, the whole device. One front-end at a time; when it has gone, its
 * memory and rings are let go, the device is reset, and the next one may come. A front-end that breaks
 * the protocol loses its connection, and nothing else happens.
 *
 * We wait for it at a socket, or it waits for us: then a lost connection is made again.
 *
 * Threads: that of the event loop. What happens is logged (g_info, g_message, g_warning).
 */
#ifndef DEVICE_VHOST_USER_SERVER_H
#define DEVICE_VHOST_USER_SERVER_H

#include "frontend.h"

typedef struct VionetVhostUser VionetVhostUser;

/* What the server tells its program; each may be NULL. */
typedef struct VionetVhostUserOps {
    size_t size; /* of this structure */
    /* A front-end came, or went. */
    void (*connected)(void *opaque, bool connected);
    /* As in VionetFrontendOps. */
    void (*event)(void *opaque, const VionetEvent *event);
    void (*trace)(void *opaque, const VionetTrace *trace);
} VionetVhostUserOps;

/*
 * Makes the device (properties and backend as vionet_frontend_new() takes them) and realizes it. It
 * and its backend live with context from now on. NULL on error.
 */
VionetVhostUser *vionet_vhost_user_new(const char *properties, const char *backend,
                                       GMainContext *context, const VionetVhostUserOps *ops,
                                       void *opaque, GError **error);

/* Ends the connection, closes the socket (removing its path), frees all; NULL is ignored. */
void vionet_vhost_user_free(VionetVhostUser *server);

/*
 * Waits for front-ends at a path, where a socket that nobody serves any more is replaced; or at a
 * listening socket, which is taken over. False on error.
 */
bool vionet_vhost_user_listen(VionetVhostUser *server, const char *path, GError **error);
bool vionet_vhost_user_listen_fd(VionetVhostUser *server, int fd, GError **error);

/*
 * Connects to the front-end that waits at a path: now or, as long as nobody does, each second, and again
 * whenever the connection is lost. False if the path cannot be one.
 */
bool vionet_vhost_user_connect(VionetVhostUser *server, const char *path, GError **error);

/* Serves a connected socket, which is taken over, unless there is a front-end. */
bool vionet_vhost_user_serve(VionetVhostUser *server, int fd);

/* Whether there is a front-end. */
bool vionet_vhost_user_is_connected(const VionetVhostUser *server);

/* Stays the server's. */
VionetFrontend *vionet_vhost_user_frontend(const VionetVhostUser *server);

#endif
