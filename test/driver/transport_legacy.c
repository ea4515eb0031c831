/* SPDX-License-Identifier: BSD-3-Clause */
/* Over PCI, by the legacy header in BAR 0 (VIRTIO 1.4, 4.1.4.10); see transport.h. */
#include "common.h"
#include "transport.h"

#define PAGE_SHIFT 12

static uint32_t get(struct guest_driver *driver, uint32_t offset, unsigned size)
{
    return (uint32_t)pci_read(&driver->pci, &driver->pci.legacy, offset, size);
}

static void put(struct guest_driver *driver, uint32_t offset, unsigned size, uint32_t value)
{
    pci_write(&driver->pci, &driver->pci.legacy, offset, size, value);
}

static bool probe(struct guest_driver *driver)
{
    return pci_probe_legacy(&driver->pci, driver->access, driver->complaints);
}

static uint32_t common_read(struct guest_driver *driver, uint32_t offset, unsigned size)
{
    const struct guest_shadow *shadow = &driver->shadow;

    (void)size;
    switch (offset) {
    case COMMON_AT(device_feature):
        return shadow->device_window ? 0 : get(driver, VIRTIO_PCI_LEGACY_DEVICE_FEATURES, 4);
    case COMMON_AT(driver_feature):
        return shadow->driver_window ? 0 : get(driver, VIRTIO_PCI_LEGACY_DRIVER_FEATURES, 4);
    case COMMON_AT(config_msix_vector):
        return get(driver, VIRTIO_PCI_LEGACY_CONFIG_VECTOR, 2);
    case COMMON_AT(device_status):
        return get(driver, VIRTIO_PCI_LEGACY_STATUS, 1);
    case COMMON_AT(queue_select):
        return get(driver, VIRTIO_PCI_LEGACY_QUEUE_SELECT, 2);
    case COMMON_AT(queue_size):
        return get(driver, VIRTIO_PCI_LEGACY_QUEUE_SIZE, 2);
    case COMMON_AT(queue_msix_vector):
        return get(driver, VIRTIO_PCI_LEGACY_QUEUE_VECTOR, 2);
    case COMMON_AT(queue_enable):
        return get(driver, VIRTIO_PCI_LEGACY_QUEUE_ADDRESS, 4) != 0;
    case COMMON_AT(queue_desc):
        return (uint32_t)shadow->desc_gpa;
    case COMMON_AT(queue_desc) + 4:
        return (uint32_t)(shadow->desc_gpa >> 32);
    default:
        return 0;
    }
}

static void common_write(struct guest_driver *driver, uint32_t offset, unsigned size,
                         uint32_t value)
{
    struct guest_shadow *shadow = &driver->shadow;

    (void)size;
    switch (offset) {
    case COMMON_AT(device_feature_select):
        shadow->device_window = value;
        break;
    case COMMON_AT(driver_feature_select):
        shadow->driver_window = value;
        break;
    case COMMON_AT(driver_feature):
        if (shadow->driver_window == 0) {
            put(driver, VIRTIO_PCI_LEGACY_DRIVER_FEATURES, 4, value);
        }
        break;
    case COMMON_AT(config_msix_vector):
        put(driver, VIRTIO_PCI_LEGACY_CONFIG_VECTOR, 2, value);
        break;
    case COMMON_AT(device_status):
        put(driver, VIRTIO_PCI_LEGACY_STATUS, 1, value);
        break;
    case COMMON_AT(queue_select):
        put(driver, VIRTIO_PCI_LEGACY_QUEUE_SELECT, 2, value);
        break;
    case COMMON_AT(queue_msix_vector):
        put(driver, VIRTIO_PCI_LEGACY_QUEUE_VECTOR, 2, value);
        break;
    case COMMON_AT(queue_enable):
        put(driver, VIRTIO_PCI_LEGACY_QUEUE_ADDRESS, 4,
            value ? (uint32_t)(shadow->desc_gpa >> PAGE_SHIFT) : 0);
        break;
    case COMMON_AT(queue_desc):
        shadow->desc_gpa = (shadow->desc_gpa & ~UINT64_C(0xffffffff)) | value;
        break;
    case COMMON_AT(queue_desc) + 4:
        shadow->desc_gpa = (uint32_t)shadow->desc_gpa | (uint64_t)value << 32;
        break;
    default:
        break; /* there is nothing of the kind */
    }
}

static uint32_t config(struct guest_driver *driver, uint32_t offset, unsigned size)
{
    const uint32_t at = VIRTIO_PCI_LEGACY_CONFIG(driver->vectors > 0) + offset;
    uint32_t value;

    if (at + size > driver->pci.legacy.length) {
        return 0;
    }
    value = get(driver, at, size);
    return driver->options.big_endian ? __builtin_bswap32(value) >> (32 - 8 * size) : value;
}

static void notify(struct guest_driver *driver, unsigned index, unsigned size, uint32_t value)
{
    (void)index;
    put(driver, VIRTIO_PCI_LEGACY_QUEUE_NOTIFY, size, value);
}

static uint8_t isr(struct guest_driver *driver)
{
    return (uint8_t)get(driver, VIRTIO_PCI_LEGACY_ISR, 1);
}

const struct guest_transport transport_pci_legacy = {
    .legacy = true,
    .fixed_sizes = true,
    .probe = probe,
    .count_queues = transport_count_queues,
    .read = common_read,
    .write = common_write,
    .config = config,
    .notify = notify,
    .isr = isr,
};
