/* SPDX-License-Identifier: BSD-3-Clause */
/* Tables of registers, and what two of them have in common; see pci_registers.h. */
#include "transport/pci_registers.h"

#include <glib.h>

/* The vector that is in effect: NO_VECTOR for one that does not exist (4.1.5.1.2.1). */
static uint16_t usable_vector(VionetPci *pci, unsigned queue, uint32_t value)
{
    if (value < pci->msix.n_vectors) {
        return (uint16_t)value;
    }
    if (value != VIRTIO_MSI_NO_VECTOR) {
        vionet_device_violation(pci->device, VIONET_VIOLATION_VECTOR_RANGE, queue, VIONET_NONE,
                                value);
    }
    return VIRTIO_MSI_NO_VECTOR;
}

uint32_t pci_read_config_vector(VionetPci *pci)
{
    return atomic_load(&pci->config_vector);
}

void pci_write_config_vector(VionetPci *pci, uint32_t value)
{
    atomic_store(&pci->config_vector, usable_vector(pci, VIONET_NONE, value));
}

uint32_t pci_read_status(VionetPci *pci)
{
    return vionet_device_status(pci->device);
}

void pci_write_status(VionetPci *pci, uint32_t value)
{
    vionet_device_write_status(pci->device, (uint8_t)value);
    pci_status_written(pci);
}

uint32_t pci_read_queue_select(VionetPci *pci)
{
    return pci->queue_select;
}

void pci_write_queue_select(VionetPci *pci, uint32_t value)
{
    pci->queue_select = (uint16_t)value;
}

uint32_t pci_read_queue_size(VionetPci *pci)
{
    return vionet_device_queue_size(pci->device, pci->queue_select);
}

bool pci_queue_exists(VionetPci *pci)
{
    return pci_read_queue_size(pci) != 0;
}

uint32_t pci_read_queue_vector(VionetPci *pci)
{
    return pci_queue_exists(pci) ? atomic_load(&pci->queue_vectors[pci->queue_select])
                                 : VIRTIO_MSI_NO_VECTOR;
}

void pci_write_queue_vector(VionetPci *pci, uint32_t value)
{
    if (!pci_queue_exists(pci)) {
        vionet_device_violation(pci->device, VIONET_VIOLATION_QUEUE_SELECT, pci->queue_select,
                                VIONET_NONE, 0);
        return;
    }
    atomic_store(&pci->queue_vectors[pci->queue_select],
                 usable_vector(pci, pci->queue_select, value));
}

/* The first octet that an access and a register have in common, and how many. */
static bool overlap(const struct pci_register *reg, uint32_t offset, unsigned size, uint32_t *first,
                    unsigned *n)
{
    const uint32_t end = MIN(reg->offset + (uint32_t)reg->size, offset + size);

    *first = MAX(reg->offset, offset);
    *n = end > *first ? end - *first : 0;
    return *n > 0;
}

static uint64_t octets_mask(unsigned n)
{
    return n >= 8 ? UINT64_MAX : (UINT64_C(1) << 8 * n) - 1;
}

uint64_t pci_registers_read(VionetPci *pci, const struct pci_register *registers,
                            size_t n_registers, uint32_t offset, unsigned size)
{
    uint64_t value = 0;

    for (size_t i = 0; i < n_registers; i++) {
        const struct pci_register *reg = &registers[i];
        uint64_t part;
        uint32_t first;
        unsigned n;

        if (overlap(reg, offset, size, &first, &n)) {
            part = (uint64_t)reg->read(pci) >> 8 * (first - reg->offset) & octets_mask(n);
            value |= part << 8 * (first - offset);
        }
    }
    return value;
}

void pci_registers_write(VionetPci *pci, const struct pci_register *registers, size_t n_registers,
                         uint32_t offset, unsigned size, uint64_t value)
{
    for (size_t i = 0; i < n_registers; i++) {
        const struct pci_register *reg = &registers[i];
        uint64_t mask, merged;
        uint32_t first;
        unsigned n;

        if (!reg->write || !overlap(reg, offset, size, &first, &n)) {
            continue;
        }
        mask = octets_mask(n) << 8 * (first - reg->offset);
        merged = (value >> 8 * (first - offset) << 8 * (first - reg->offset)) & mask;
        if (n < reg->size) {
            merged |= reg->read(pci) & ~mask;
        }
        reg->write(pci, (uint32_t)merged);
    }
}
