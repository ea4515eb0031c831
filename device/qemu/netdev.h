/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A QEMU NIC as a backend (device/backend.h): its peer is whatever -netdev the user gave. Made by
 * nic.c, called through backend.c.
 *
 * What comes for the guest is copied into a queue, and goes on in a burst when QEMU's main loop comes
 * round; with the queue full the peer waits, as for QEMU's own NICs. To a guest that takes packets of TCP
 * to be segmented, what waits there goes in as few of them as can be (merge.h), unless the peer has packet
 * headers and so sees to that itself.
 *
 * Threads: those that hold QEMU's big lock. The operations of struct netdev_ops are called with it.
 */
#ifndef DEVICE_QEMU_NETDEV_H
#define DEVICE_QEMU_NETDEV_H

#include "net/net.h"

#include "backend.h"

/* What the NIC asks of its device. */
struct netdev_ops {
    /* Whether a driver runs: without one, what comes is dropped. */
    bool (*is_wanted)(void *opaque);
    /* The link was switched. */
    void (*link_switched)(void *opaque, bool up);
    /* For query-rx-filter; info is the callee's, but for its name. */
    void (*describe_filter)(void *opaque, RxFilterInfo *info);
    /* The guest is to tell the network where it is (announce-self, and after a migration). */
    void (*announce)(void *opaque);
    /* Frames may have gone into the guest's memory, when the main loop came round. */
    void (*delivered)(void *opaque);
};

/* Makes the NIC, which is conf's, and the backend; backend_close() ends both. Never NULL. */
VionetBackend *netdev_new(NICConf *conf, DeviceState *owner, const struct netdev_ops *ops,
                          void *opaque);

/*
 * The driver changed its filter: tells who listens (NIC_RX_FILTER_CHANGED), once after each query, and
 * shows the address that it has now.
 */
void netdev_filter_changed(VionetBackend *backend, const uint8_t *mac);

/* Drops what waits for the guest: it was reset. */
void netdev_drop(VionetBackend *backend);

/* Hands on what waits now, and not when the main loop comes round: the machine is about to stop. */
void netdev_hurry(VionetBackend *backend);

#endif
