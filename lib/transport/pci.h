/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The PCI function as its own files see it: pci.c is the function (configuration space, BARs,
 * interrupts), pci_common.c the common configuration structure, pci_legacy.c the legacy header,
 * pci_notify.c notifications. They reach the device through vionet/transport.h like any transport.
 */
#ifndef VIONET_TRANSPORT_PCI_H
#define VIONET_TRANSPORT_PCI_H

#include <vionet/pci.h>
#include <vionet/spec.h>
#include <vionet/transport.h>

#include "transport/msix.h"

/* How a notification names its queue (4.1.5.2; the draft of January 2020). */
enum notify_form {
    NOTIFY_BY_INDEX,  /* the queue's index */
    NOTIFY_BY_CONFIG, /* queue_notif_config_data */
    NOTIFY_BY_DATA,   /* the capability's notify_data; the queue is told by the address */
};

struct VionetPci {
    VionetDevice *device;
    VionetPciConfig config;
    VionetPciOps ops;
    void *opaque;

    uint8_t space[VIONET_PCI_CONFIG_SIZE];
    uint8_t writable[VIONET_PCI_CONFIG_SIZE]; /* bits that the driver may change */
    uint64_t bar_size[VIONET_PCI_N_BARS];
    unsigned cfg_cap;  /* offset of the PCI configuration access capability */
    unsigned msix_cap; /* offset of the MSI-X capability, 0 if there is none */
    uint32_t notify_len;

    struct msix msix;
    _Atomic uint8_t isr;
    atomic_bool intx_disabled;
    _Atomic enum notify_form notify_form;
    _Atomic uint16_t config_vector;
    _Atomic uint16_t *queue_vectors;

    /* registers of the common configuration structure that are the transport's own */
    uint32_t device_feature_select;
    uint32_t driver_feature_select;
    uint16_t queue_select;
    bool any_layout; /* a legacy driver accepted VIRTIO_F_ANY_LAYOUT */
};

/* Whether MSI-X is enabled. */
bool pci_msix_on(VionetPci *pci);

/* ISR status, which reading clears. */
uint8_t pci_take_isr(VionetPci *pci);

/* The common configuration structure, accesses of any width and alignment. */
uint64_t pci_common_read(VionetPci *pci, uint32_t offset, unsigned size);
void pci_common_write(VionetPci *pci, uint32_t offset, unsigned size, uint64_t value);

/* The legacy header and the configuration behind it, accesses of any width and alignment. */
uint64_t pci_legacy_read(VionetPci *pci, uint32_t offset, unsigned size);
void pci_legacy_write(VionetPci *pci, uint32_t offset, unsigned size, uint64_t value);

/* A write to the notification area. A data function if it notifies a receive or transmit queue. */
void pci_notify_write(VionetPci *pci, uint32_t offset, unsigned size, uint64_t value);

/* Configuration space as the driver last had it. */
void pci_copy_space(const VionetPci *pci, uint8_t space[VIONET_PCI_CONFIG_SIZE]);

/* Whether two functions have it in common but for what a driver can write; taking up the latter. */
bool pci_space_fits(const VionetPci *pci, const uint8_t space[VIONET_PCI_CONFIG_SIZE]);
void pci_take_space(VionetPci *pci, const uint8_t space[VIONET_PCI_CONFIG_SIZE]);

/* The driver wrote the status: forms and registers that follow from it are set anew. */
void pci_status_written(VionetPci *pci);

#endif
