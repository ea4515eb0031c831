/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The legacy interface of a transitional function (VIRTIO 1.4, 4.1.4.10): a header of registers in I/O
 * BAR 0, and behind it the device's configuration. Called by pci.c, from the control side.
 *
 * Registers are little-endian; rings, frames and configuration have the guest's order, which is the
 * function's configuration. A driver that only looks at the header is none yet: writing makes it a
 * legacy driver, and so does reading the configuration, whose octets depend on it.
 */
#include "transport/pci_registers.h"

#include <glib.h>

#include "bytes.h"

#define ANY_LAYOUT (UINT32_C(1) << VIRTIO_F_ANY_LAYOUT)
#define PAGE_SHIFT 12
#define PAGE       4096u

static bool begin(VionetPci *pci)
{
    return vionet_device_begin_legacy(pci->device, pci->config.legacy_big_endian);
}

/* A device that takes buffers in any layout has always said so here, and need not know of the bit. */
static uint32_t read_device_features(VionetPci *pci)
{
    return vionet_device_offered(pci->device, 0) | ANY_LAYOUT;
}

static uint32_t read_driver_features(VionetPci *pci)
{
    return vionet_device_driver_features(pci->device, 0) | (pci->any_layout ? ANY_LAYOUT : 0);
}

static void write_driver_features(VionetPci *pci, uint32_t value)
{
    if (begin(pci)) {
        pci->any_layout = value & ANY_LAYOUT;
        vionet_device_write_driver_features(pci->device, 0, value & ~ANY_LAYOUT);
    }
}

static uint32_t read_queue_address(VionetPci *pci)
{
    return (uint32_t)(vionet_device_queue_area(pci->device, pci->queue_select, VIONET_AREA_DESC) >>
                      PAGE_SHIFT);
}

static void write_queue_address(VionetPci *pci, uint32_t value)
{
    if (begin(pci)) {
        vionet_device_write_legacy_queue(pci->device, pci->queue_select,
                                         (uint64_t)value << PAGE_SHIFT, PAGE);
    }
}

static uint32_t read_notify(VionetPci *pci)
{
    (void)pci;
    return 0;
}

static void write_notify(VionetPci *pci, uint32_t value)
{
    if (begin(pci)) {
        vionet_device_start_legacy(pci->device);
        vionet_device_kick(pci->device, value);
    }
}

static void write_status(VionetPci *pci, uint32_t value)
{
    if (value == 0 || begin(pci)) {
        pci_write_status(pci, value);
    }
}

static uint32_t read_isr(VionetPci *pci)
{
    return pci_take_isr(pci);
}

/* In order of offset, without gaps. */
static const struct pci_register registers[] = {
    {"device_features", VIRTIO_PCI_LEGACY_DEVICE_FEATURES, 4, read_device_features, NULL},
    {"driver_features", VIRTIO_PCI_LEGACY_DRIVER_FEATURES, 4, read_driver_features,
     write_driver_features},
    {"queue_address", VIRTIO_PCI_LEGACY_QUEUE_ADDRESS, 4, read_queue_address, write_queue_address},
    {"queue_size", VIRTIO_PCI_LEGACY_QUEUE_SIZE, 2, pci_read_queue_size, NULL},
    {"queue_select", VIRTIO_PCI_LEGACY_QUEUE_SELECT, 2, pci_read_queue_select,
     pci_write_queue_select},
    {"queue_notify", VIRTIO_PCI_LEGACY_QUEUE_NOTIFY, 2, read_notify, write_notify},
    {"device_status", VIRTIO_PCI_LEGACY_STATUS, 1, pci_read_status, write_status},
    {"isr_status", VIRTIO_PCI_LEGACY_ISR, 1, read_isr, NULL},
    /* while MSI-X is enabled */
    {"config_msix_vector", VIRTIO_PCI_LEGACY_CONFIG_VECTOR, 2, pci_read_config_vector,
     pci_write_config_vector},
    {"queue_msix_vector", VIRTIO_PCI_LEGACY_QUEUE_VECTOR, 2, pci_read_queue_vector,
     pci_write_queue_vector},
};

#define N_VECTOR_REGISTERS 2

/* How many registers there are, and where they end. */
static size_t layout(VionetPci *pci, uint32_t *end)
{
    const bool vectors = pci_msix_on(pci);

    *end = VIRTIO_PCI_LEGACY_CONFIG(vectors);
    return G_N_ELEMENTS(registers) - (vectors ? 0 : N_VECTOR_REGISTERS);
}

uint64_t pci_legacy_read(VionetPci *pci, uint32_t offset, unsigned size)
{
    uint8_t octets[8] = {0};
    uint32_t end;
    const size_t n = layout(pci, &end);
    const uint64_t value = pci_registers_read(pci, registers, n, offset, size);
    const uint32_t first = MAX(offset, end);

    if (first >= offset + size) {
        return value;
    }
    if (!(vionet_device_status(pci->device) & VIRTIO_STATUS_FEATURES_OK)) {
        begin(pci);
    }
    vionet_device_config_read(pci->device, first - end, octets + (first - offset),
                              offset + size - first);
    return value | get_le64(octets);
}

void pci_legacy_write(VionetPci *pci, uint32_t offset, unsigned size, uint64_t value)
{
    uint8_t octets[8];
    uint32_t end;
    const size_t n = layout(pci, &end);
    const uint32_t first = MAX(offset, end);

    pci_registers_write(pci, registers, n, offset, size, value);
    if (first < offset + size && begin(pci)) {
        put_le64(octets, value);
        vionet_device_config_write(pci->device, first - end, octets + (first - offset),
                                   offset + size - first);
    }
}
