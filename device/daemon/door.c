/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The way in; see door.h. Called by main.c.
 */
#include "door.h"

#include "vfio-user/server.h"
#include "vhost-user/server.h"

/* One of the two is there. */
struct door {
    VionetVfioUser *vfio;
    VionetVhostUser *vhost;
};

struct door *door_new(const struct arguments *arguments, GMainContext *context,
                      const struct door_ops *ops, void *opaque, GError **error)
{
    const VionetVfioUserOps vfio_ops = {sizeof(vfio_ops), ops->connected, ops->event, ops->trace};
    const VionetVhostUserOps vhost_ops = {sizeof(vhost_ops), ops->connected, ops->event,
                                          ops->trace};
    struct door *door = g_new0(struct door, 1);

    if (arguments->protocol == PROTOCOL_VHOST_USER) {
        door->vhost = vionet_vhost_user_new(arguments->device, arguments->netdev, context,
                                            &vhost_ops, opaque, error);
    } else {
        door->vfio = vionet_vfio_user_new(arguments->device, arguments->netdev, context, &vfio_ops,
                                          opaque, error);
    }
    if (!door->vfio && !door->vhost) {
        g_clear_pointer(&door, g_free);
    }
    return door;
}

void door_free(struct door *door)
{
    if (door) {
        vionet_vfio_user_free(door->vfio);
        vionet_vhost_user_free(door->vhost);
        g_free(door);
    }
}

bool door_open(struct door *door, const struct arguments *arguments, GError **error)
{
    if (door->vfio) {
        return arguments->socket
                   ? vionet_vfio_user_listen(door->vfio, arguments->socket, error)
                   : vionet_vfio_user_listen_fd(door->vfio, arguments->socket_fd, error);
    }
    if (arguments->client) {
        return vionet_vhost_user_connect(door->vhost, arguments->socket, error);
    }
    return arguments->socket
               ? vionet_vhost_user_listen(door->vhost, arguments->socket, error)
               : vionet_vhost_user_listen_fd(door->vhost, arguments->socket_fd, error);
}

bool door_is_connected(const struct door *door)
{
    return door->vfio ? vionet_vfio_user_is_connected(door->vfio)
                      : vionet_vhost_user_is_connected(door->vhost);
}

VionetFrontend *door_frontend(const struct door *door)
{
    return door->vfio ? vionet_vfio_user_frontend(door->vfio)
                      : vionet_vhost_user_frontend(door->vhost);
}
