/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Event notifiers (ioeventfds) in the place of the guest's notifications of receive and transmit queues:
 * under KVM the virtual CPU goes on at once. Used by vionet_pci.c.
 *
 * Threads: those that hold QEMU's big lock; notifications are told from the main loop.
 */
#ifndef DEVICE_QEMU_NOTIFIERS_H
#define DEVICE_QEMU_NOTIFIERS_H

#include "exec/memory.h"

#include <vionet/pci.h>

struct notifiers;

/*
 * Makes one for each receive and transmit queue and puts it on its address in bars; kicked is told of
 * notifications. NULL, with nothing done, if there are no descriptors left, or all queues have one address:
 * then notifications come as accesses to the BAR.
 */
struct notifiers *notifiers_new(const VionetPci *pci, MemoryRegion *bars, unsigned n_queues,
                                void (*kicked)(void *opaque, unsigned queue), void *opaque);

/* Takes them away; NULL is ignored. */
void notifiers_free(struct notifiers *notifiers);

#endif
