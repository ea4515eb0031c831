/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's memory, kept mapped into a device as QEMU's memory map changes, and told of what the device
 * wrote there, as QEMU's own DMA functions tell it: translated code that stood there goes, the screen is
 * drawn anew, a migration sends the page again. Used by nic.c.
 *
 * The map is that of the machine: as no device of ours offers VIRTIO_F_ACCESS_PLATFORM, drivers use
 * guest physical addresses, whatever IOMMU there is. Memory that is no RAM is not there for the device.
 *
 * Threads: those that hold QEMU's big lock.
 */
#ifndef DEVICE_QEMU_GUEST_MEMORY_H
#define DEVICE_QEMU_GUEST_MEMORY_H

#include <vionet/device.h>

struct guest_memory;

/* Maps what there is, and from then on what comes. device must outlive it. */
struct guest_memory *guest_memory_new(VionetDevice *device);

/* Takes all mappings away; NULL is ignored. */
void guest_memory_free(struct guest_memory *memory);

/* The device may have written: whoever cares is told. Quick when nobody does. */
void guest_memory_settle(struct guest_memory *memory);

#endif
