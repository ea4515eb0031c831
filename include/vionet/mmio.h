/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device as a window of memory-mapped registers (VIRTIO 1.4, 4.2 Virtio Over MMIO), for machines that
 * have no PCI. An emulator forwards accesses to the window, and gets back the level of one interrupt
 * line. All functions are control functions as vionet/device.h defines them, but for a write to
 * QueueNotify of version 2, which is a data function when it notifies a receive or transmit queue.
 *
 * No feature of a queue's notifications but NOTIFICATION_DATA exists here: NOTIF_CONFIG_DATA may not be
 * offered. There is no shared memory.
 */
#ifndef VIONET_MMIO_H
#define VIONET_MMIO_H

#include <vionet/device.h>

VIONET_BEGIN_DECLS

typedef struct VionetMmio VionetMmio;

/* Octets of the window: registers, and from the middle on the configuration space. */
#define VIONET_MMIO_SIZE 0x200

typedef struct VionetMmioConfig {
    size_t size;            /* of this structure */
    unsigned version;       /* 2, or 1 for the legacy interface */
    uint32_t vendor;        /* VendorID */
    bool legacy_big_endian; /* with version 1: order of octets of the guest */
} VionetMmioConfig;

/* Sets every member to its default: version 2, vendor 0x1af4. */
VIONET_EXPORT void vionet_mmio_config_init(VionetMmioConfig *config);

typedef struct VionetMmioOps {
    size_t size; /* of this structure */
    /*
     * Sets the level of the interrupt line. From data and control functions; may be called twice with
     * the same level. NULL: a driver has to poll.
     */
    void (*interrupt)(void *opaque, bool level);
} VionetMmioOps;

/*
 * Puts a window in front of device, which must outlive it and may have one transport object at a time.
 * NULL with VIONET_ERROR_CONFIG if the parameters contradict each other or the device's features.
 */
VIONET_EXPORT VionetMmio *vionet_mmio_new(VionetDevice *device, const VionetMmioConfig *config,
                                          const VionetMmioOps *ops, void *opaque, GError **error);

/*
 * Takes the window away; NULL is ignored. No other call may be under way. The device is left as the
 * driver had it, but may not reach memory any more (vionet_device_set_dma()).
 */
VIONET_EXPORT void vionet_mmio_free(VionetMmio *mmio);

/* Resets window and device as a reset of the machine does. */
VIONET_EXPORT void vionet_mmio_reset(VionetMmio *mmio);

/*
 * An access at offset of the window, of 1, 2, 4 or 8 octets; value is little-endian as on the bus, that is
 * its low octet is the one at offset. Registers are accessed by 4 octets, aligned. Where nothing stands,
 * or not in that way, reads give 0 and writes do nothing.
 */
VIONET_EXPORT uint64_t vionet_mmio_read(VionetMmio *mmio, uint64_t offset, unsigned size);
VIONET_EXPORT void vionet_mmio_write(VionetMmio *mmio, uint64_t offset, unsigned size,
                                     uint64_t value);

VIONET_END_DECLS

#endif
