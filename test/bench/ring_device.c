/* SPDX-License-Identifier: BSD-3-Clause */
/* The device under the ring yardstick; see ring_device.h. Called by ring_yardstick.c. */
#include "ring_device.h"

#include <stdio.h>

#include <vionet/device.h>
#include <vionet/spec.h>

#include "copy.h"

#include "vhost-user/server.h"

#pragma GCC visibility push(default)

static VionetVhostUser *server;
static VionetDevice *device;
static struct iovec ranges[RING_DEVICE_FRAMES];
static VionetFrame frames[RING_DEVICE_FRAMES];

static gpointer serve(gpointer data)
{
    GMainContext *context = data;
    GMainLoop *loop = g_main_loop_new(context, FALSE);

    g_main_context_push_thread_default(context);
    g_main_loop_run(loop);
    return NULL;
}

bool ring_device_open(const char *path, const char *properties)
{
    GMainContext *context = g_main_context_new();
    GError *error = NULL;

    server = vionet_vhost_user_new(properties, "null", context, NULL, NULL, &error);
    if (!server || !vionet_vhost_user_listen(server, path, &error)) {
        fprintf(stderr, "%s\n", error->message);
        return false;
    }
    device = vionet_frontend_device(vionet_vhost_user_frontend(server));
    g_thread_unref(g_thread_new("messages", serve, context));
    return true;
}

bool ring_device_running(void)
{
    if (!vionet_device_running(device)) {
        return false;
    }
    vionet_device_set_poll(device, 0, true);
    vionet_device_set_poll(device, 1, true);
    return true;
}

void ring_device_prepare(const struct ring_frame *from, unsigned n)
{
    for (unsigned i = 0; i < n && i < RING_DEVICE_FRAMES; i++) {
        ranges[i] = (struct iovec){from[i].data, from[i].len};
        frames[i] = (VionetFrame){.iov = &ranges[i], .n_iov = 1};
        if (from[i].segmented) {
            frames[i].flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
            frames[i].gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
            frames[i].hdr_len = 54;
            frames[i].gso_size = 1448;
            frames[i].csum_start = 34;
            frames[i].csum_offset = 16;
        }
    }
}

unsigned ring_device_receive(unsigned first)
{
    return (unsigned)vionet_device_receive(device, 0, &frames[first], RING_DEVICE_BURST, NULL, 0);
}

unsigned ring_device_transmit(struct ring_frame *to, unsigned n)
{
    VionetFrame out[RING_DEVICE_BURST];
    const unsigned taken = (unsigned)vionet_device_transmit(device, 0, out, n);

    for (unsigned i = 0; i < taken; i++) {
        uint8_t *at = to[i].data;

        to[i].len = out[i].len;
        for (unsigned r = 0; r < out[i].n_iov; r++) {
            copy_frame(at, out[i].iov[r].iov_base, out[i].iov[r].iov_len);
            at += out[i].iov[r].iov_len;
        }
    }
    if (taken > 0) {
        vionet_device_complete(device, 0, out, taken);
    }
    return taken;
}

#pragma GCC visibility pop
