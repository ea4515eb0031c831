/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device as one function of a PCI bus (VIRTIO 1.4, 4.1 Virtio Over PCI Bus). An emulator forwards configuration space accesses and accesses to the BARs, and gets
 * back interrupts. All functions are control functions as vionet/device.h defines them, but for
 * writes to the notification area, which are data functions when they notify a receive or transmit
 * queue.
 *
 * BAR 1 (32-bit memory) holds the MSI-X table and pending bits; BAR 4 (64-bit memory, prefetchable)
 * the virtio structures. BAR 0 (64 octets of I/O) is there if the function is a transitional one, and has
 * the legacy interface, of which a driver takes either; all of it is control functions.
 */
#ifndef VIONET_PCI_H
#define VIONET_PCI_H

#include <vionet/device.h>

VIONET_BEGIN_DECLS

typedef struct VionetPci VionetPci;

#define VIONET_PCI_CONFIG_SIZE 256
#define VIONET_PCI_N_BARS      6
#define VIONET_PCI_MAX_VECTORS 2048

/* What the function is, beside the device behind it. */
typedef struct VionetPciConfig {
    size_t size;                /* of this structure */
    uint16_t n_vectors;         /* MSI-X table size; 0: no MSI-X; VIONET_PCI_VECTORS_AUTO */
    uint32_t notify_multiplier; /* notify_off_multiplier: 0 or a power of two, 2 to 65536 */
    bool notify_data_valid;     /* the draft of January 2020: the capability carries notify_data */
    uint16_t notify_data;       /* its value */
    bool notify_data_lenient;   /* accept the queue's index too, from drivers that do not know it */
    uint16_t subsystem_vendor;
    uint16_t subsystem_device; /* 0x40 or more; with legacy 1, which is the default there */
    bool legacy;               /* a transitional function: the legacy interface too */
    bool no_modern;            /* with legacy: nothing else */
    bool legacy_big_endian;    /* order of octets of the guest, for a legacy driver */
} VionetPciConfig;

/* Vectors for every queue and for configuration changes. */
#define VIONET_PCI_VECTORS_AUTO 0xffff

/* Sets every member to its default: automatic vectors, multiplier 4, no draft. */
VIONET_EXPORT void vionet_pci_config_init(VionetPciConfig *config);

typedef struct VionetPciOps {
    size_t size; /* of this structure */
    /*
     * Sends the message of an MSI-X vector. From data and control functions. NULL: no MSI-X is
     * offered.
     */
    void (*msi)(void *opaque, unsigned vector, uint64_t address, uint32_t data);
    /*
     * Sets the level of INTx (pin A). May be called twice with the same level. NULL: the function
     * has no interrupt pin.
     */
    void (*intx)(void *opaque, bool level);
} VionetPciOps;

/*
 * Puts a PCI function in front of device, which must outlive it and may have one at a time. NULL with
 * VIONET_ERROR_CONFIG if the parameters contradict each other or the device's features:
 * notify_data needs VIRTIO_F_NOTIFICATION_DATA, a multiplier other than 0 (the address is all that
 * tells the queue then), and excludes VIRTIO_F_NOTIF_CONFIG_DATA.
 */
VIONET_EXPORT VionetPci *vionet_pci_new(VionetDevice *device, const VionetPciConfig *config,
                                        const VionetPciOps *ops, void *opaque, GError **error);

/*
 * Takes the function away; NULL is ignored. No other call may be under way. The device is left as the
 * driver had it, but may not reach memory any more (vionet_device_set_dma()).
 */
VIONET_EXPORT void vionet_pci_free(VionetPci *pci);

/* Resets function and device as a reset of the bus does. */
VIONET_EXPORT void vionet_pci_reset(VionetPci *pci);

/*
 * Configuration space: size is 1, 2 or 4 and offset a multiple of it; anything else reads as all ones
 * and writes nothing. Accesses may reach the BARs through the PCI configuration access capability.
 */
VIONET_EXPORT uint32_t vionet_pci_config_read(VionetPci *pci, uint32_t offset, unsigned size);
VIONET_EXPORT void vionet_pci_config_write(VionetPci *pci, uint32_t offset, unsigned size,
                                           uint32_t value);

/* Octets of a BAR, a power of two; 0 if the function has no such BAR (or it is a high half). */
VIONET_EXPORT uint64_t vionet_pci_bar_size(const VionetPci *pci, unsigned bar);

/*
 * An access at offset of a BAR, of 1, 2, 4 or 8 octets; value is little-endian as on the bus, that is
 * its low octet is the one at offset. Where nothing stands, reads give 0 and writes do nothing.
 */
VIONET_EXPORT uint64_t vionet_pci_bar_read(VionetPci *pci, unsigned bar, uint64_t offset,
                                           unsigned size);
VIONET_EXPORT void vionet_pci_bar_write(VionetPci *pci, unsigned bar, uint64_t offset,
                                        unsigned size, uint64_t value);

/*
 * Where a queue's notifications are written: the BAR and the offset in it, for emulators that watch
 * the address themselves (an ioeventfd). False if there is no such queue, or if all queues share one
 * address. Such a watcher calls vionet_device_kick() with the queue.
 */
VIONET_EXPORT bool vionet_pci_notify_address(const VionetPci *pci, unsigned queue, unsigned *bar,
                                             uint64_t *offset);

VIONET_END_DECLS

#endif
