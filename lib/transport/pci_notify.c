/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Driver notifications over PCI (VIRTIO 1.4, 4.1.4.4, 4.1.5.2) in their three forms. What stands
 * beside the identifier (next_off, next_wrap) is a hint that the device does not need: it believes
 * the ring.
 */
#include "transport/pci.h"

/* The queue that an identifier names, for a form and, with a multiplier, the queue of the address. */
static bool identifier_fits(const VionetPci *pci, enum notify_form form, uint16_t id,
                            unsigned queue)
{
    switch (form) {
    case NOTIFY_BY_DATA:
        return id == pci->config.notify_data || (pci->config.notify_data_lenient && id == queue);
    case NOTIFY_BY_CONFIG:
        return id == (uint16_t)(vionet_device_config(pci->device)->notif_config_base + queue);
    default:
        return id == queue;
    }
}

static unsigned queue_of_identifier(const VionetPci *pci, enum notify_form form, uint16_t id)
{
    if (form == NOTIFY_BY_CONFIG) {
        return (uint16_t)(id - vionet_device_config(pci->device)->notif_config_base);
    }
    return id;
}

void pci_notify_write(VionetPci *pci, uint32_t offset, unsigned size, uint64_t value)
{
    const enum notify_form form = atomic_load(&pci->notify_form);
    const uint32_t multiplier = pci->config.notify_multiplier;
    const uint16_t id = (uint16_t)value;
    unsigned queue;

    if (size < 2 || (multiplier ? offset % multiplier : offset) != 0) {
        vionet_device_violation(pci->device, VIONET_VIOLATION_NOTIFY_QUEUE, VIONET_NONE,
                                VIONET_NONE, value);
        return;
    }
    if (multiplier == 0) {
        vionet_device_kick(pci->device, queue_of_identifier(pci, form, id));
        return;
    }
    queue = offset / multiplier;
    if (!identifier_fits(pci, form, id, queue)) {
        vionet_device_violation(pci->device, VIONET_VIOLATION_NOTIFY_DATA, queue, VIONET_NONE,
                                value & 0xffffffff);
        return;
    }
    vionet_device_kick(pci->device, queue);
}
