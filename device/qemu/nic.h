/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A frontend (device/frontend.h) as a NIC of QEMU, on whatever bus: its netdev, the guest's memory, timers,
 * the machine's stops. A part of the QOM types' instances: vionet_pci.c and vionet_mmio.c, which have the
 * registers in front.
 *
 * Life: nic_init, nic_realize, nic_start, nic_unrealize, nic_finalize. What nic_realize() makes is there until
 * nic_unrealize(); a NIC may be realized again.
 *
 * Threads: those that hold QEMU's big lock.
 */
#ifndef DEVICE_QEMU_NIC_H
#define DEVICE_QEMU_NIC_H

#include "net/net.h"
#include "qemu/timer.h"

#include "frontend.h"
#include "guest_memory.h"
#include "qom_properties.h"

struct nic_timer;

struct nic {
    DeviceState *owner;
    NICConf conf; /* DEFINE_NIC_PROPERTIES() */
    QomProperties properties;
    const VionetFrontendOps *transport;
    VionetFrontend *frontend; /* what follows is there while the NIC is realized */
    VionetDevice *device;
    struct guest_memory *memory;
    QEMUBH *wake;
    VMChangeStateEntry *run_state;
    unsigned n_timers;
    struct nic_timer *timers;
};

/* In instance_init and instance_finalize of the type. */
void nic_init(struct nic *nic, Object *owner);
void nic_finalize(struct nic *nic);

/*
 * Makes the device. transport has msi and intx, or interrupt if the type has a transport of its own, and event
 * if it wants to be told too; they get nic as their opaque. It must outlive the NIC. Nothing of the device moves before nic_start(). False, with nothing made, on error.
 */
bool nic_realize(struct nic *nic, const VionetFrontendOps *transport, Error **errp);

/* All of the type is there: frames may come. */
void nic_start(struct nic *nic);

/* Harmless if it is not realized. */
void nic_unrealize(struct nic *nic);

/* A driver notified a queue. */
void nic_kick(struct nic *nic, unsigned queue);

/* After anything that a guest made the device do: who cares for guest memory is told what was written. */
void nic_settle(struct nic *nic);

#endif
