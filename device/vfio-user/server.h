/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vionet device as a vfio-user server: a VMM (QEMU's vfio-user-pci, for one) connects to its socket
 * and has a PCI function. One VMM at a time; when it has gone, its memory and its interrupts are let
 * go, the device is reset, and the next one may come. A VMM that breaks the protocol loses its
 * connection, and nothing else happens.
 *
 * Notifications are writes to a region: they are answered first and acted upon then, as posted writes
 * are on a bus.
 *
 * Threads: that of the event loop; with threads=on the operations event and trace are called from any,
 * several at a time. Memory that is not shared cannot be reached then. What happens is logged (g_info, g_message, g_warning).
 */
#ifndef DEVICE_VFIO_USER_SERVER_H
#define DEVICE_VFIO_USER_SERVER_H

#include "frontend.h"

typedef struct VionetVfioUser VionetVfioUser;

/* What the server tells its program; each may be NULL. */
typedef struct VionetVfioUserOps {
    size_t size; /* of this structure */
    /* A client came (and agreed on the protocol), or went. */
    void (*connected)(void *opaque, bool connected);
    /* As in VionetFrontendOps. */
    void (*event)(void *opaque, const VionetEvent *event);
    void (*trace)(void *opaque, const VionetTrace *trace);
} VionetVfioUserOps;

/*
 * Makes the device (properties and backend as vionet_frontend_new() takes them) and realizes it. It
 * and its backend live with context from now on. NULL on error.
 */
VionetVfioUser *vionet_vfio_user_new(const char *properties, const char *backend,
                                     GMainContext *context, const VionetVfioUserOps *ops,
                                     void *opaque, GError **error);

/* Ends the connection, closes the socket (removing its path), frees all; NULL is ignored. */
void vionet_vfio_user_free(VionetVfioUser *server);

/*
 * Waits for clients at a path, where a socket that nobody serves any more is replaced; or at a
 * listening socket, which is taken over. False on error.
 */
bool vionet_vfio_user_listen(VionetVfioUser *server, const char *path, GError **error);
bool vionet_vfio_user_listen_fd(VionetVfioUser *server, int fd, GError **error);

/* Serves a connected socket, which is taken over, unless there is a client. */
bool vionet_vfio_user_serve(VionetVfioUser *server, int fd);

/* Whether there is a client. */
bool vionet_vfio_user_is_connected(const VionetVfioUser *server);

/* Stays the server's. */
VionetFrontend *vionet_vfio_user_frontend(const VionetVfioUser *server);

#endif
