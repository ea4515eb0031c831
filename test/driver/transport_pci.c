/* SPDX-License-Identifier: BSD-3-Clause */
/* Over PCI, by the structures that its capabilities name (VIRTIO 1.4, 4.1); see transport.h. */
#include "common.h"
#include "transport.h"

static bool probe(struct guest_driver *driver)
{
    return pci_probe(&driver->pci, driver->access, driver->complaints);
}

static unsigned count_queues(struct guest_driver *driver)
{
    return common_get(driver, num_queues);
}

static uint32_t common_read(struct guest_driver *driver, uint32_t offset, unsigned size)
{
    return (uint32_t)pci_read(&driver->pci, &driver->pci.common, offset, size);
}

static void common_write(struct guest_driver *driver, uint32_t offset, unsigned size,
                         uint32_t value)
{
    pci_write(&driver->pci, &driver->pci.common, offset, size, value);
}

static uint32_t config(struct guest_driver *driver, uint32_t offset, unsigned size)
{
    return config_field(&driver->pci, offset, size);
}

static void notify(struct guest_driver *driver, unsigned index, unsigned size, uint32_t value)
{
    pci_write(&driver->pci, &driver->pci.notify, driver->queues[index].notify_at, size, value);
}

static uint8_t isr(struct guest_driver *driver)
{
    return (uint8_t)pci_read(&driver->pci, &driver->pci.isr, 0, 1);
}

const struct guest_transport transport_pci = {
    .probe = probe,
    .count_queues = count_queues,
    .read = common_read,
    .write = common_write,
    .config = config,
    .notify = notify,
    .isr = isr,
};
