/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Over MMIO (VIRTIO 1.4, 4.2), version 2 and the legacy version 1; see transport.h. The window is BAR 0 of
 * the access table.
 */
#include "common.h"
#include "transport.h"

#include <vionet/mmio.h>

static uint32_t get(struct guest_driver *driver, uint32_t offset)
{
    return (uint32_t)driver->access->bar_read(driver->access->opaque, 0, offset, 4);
}

static void put(struct guest_driver *driver, uint32_t offset, uint32_t value)
{
    driver->access->bar_write(driver->access->opaque, 0, offset, 4, value);
}

static bool probe_version(struct guest_driver *driver, uint32_t version)
{
    if (get(driver, VIRTIO_MMIO_MAGIC_VALUE) != VIRTIO_MMIO_MAGIC ||
        get(driver, VIRTIO_MMIO_VERSION) != version ||
        get(driver, VIRTIO_MMIO_DEVICE_ID) != VIRTIO_ID_NET) {
        complaints_add(driver->complaints, "no network device of MMIO version %u", version);
        return false;
    }
    return true;
}

static bool probe(struct guest_driver *driver)
{
    return probe_version(driver, 2);
}

static bool probe_legacy(struct guest_driver *driver)
{
    if (!probe_version(driver, 1)) {
        return false;
    }
    put(driver, VIRTIO_MMIO_GUEST_PAGE_SIZE, GUEST_LEGACY_ALIGN);
    return true;
}

static uint32_t half(uint64_t gpa, uint32_t offset)
{
    return (uint32_t)(offset % 8 ? gpa >> 32 : gpa);
}

static void put_half(uint64_t *gpa, uint32_t offset, uint32_t value)
{
    *gpa = offset % 8 ? (uint32_t)*gpa | (uint64_t)value << 32
                      : (*gpa & ~UINT64_C(0xffffffff)) | value;
}

static uint32_t common_read(struct guest_driver *driver, uint32_t offset, unsigned size)
{
    const struct guest_shadow *shadow = &driver->shadow;
    const bool legacy = driver->transport->legacy;

    (void)size;
    switch (offset) {
    case COMMON_AT(device_feature):
        return get(driver, VIRTIO_MMIO_DEVICE_FEATURES);
    case COMMON_AT(driver_feature):
        return shadow->driver_features;
    case COMMON_AT(device_status):
        return get(driver, VIRTIO_MMIO_STATUS);
    case COMMON_AT(config_generation):
        return legacy ? 0 : get(driver, VIRTIO_MMIO_CONFIG_GENERATION);
    case COMMON_AT(queue_size):
        return shadow->size ? shadow->size : get(driver, VIRTIO_MMIO_QUEUE_SIZE_MAX);
    case COMMON_AT(queue_enable):
        return legacy ? get(driver, VIRTIO_MMIO_QUEUE_PFN) != 0
                      : get(driver, VIRTIO_MMIO_QUEUE_READY);
    case COMMON_AT(queue_desc):
    case COMMON_AT(queue_desc) + 4:
        return half(shadow->desc_gpa, offset);
    case COMMON_AT(queue_driver):
    case COMMON_AT(queue_driver) + 4:
        return half(shadow->driver_gpa, offset);
    case COMMON_AT(queue_device):
    case COMMON_AT(queue_device) + 4:
        return half(shadow->device_gpa, offset);
    case COMMON_AT(queue_reset):
        return legacy ? 0 : get(driver, VIRTIO_MMIO_QUEUE_RESET);
    default:
        return 0;
    }
}

static void enable(struct guest_driver *driver, uint32_t value)
{
    if (!driver->transport->legacy) {
        put(driver, VIRTIO_MMIO_QUEUE_READY, value);
        return;
    }
    put(driver, VIRTIO_MMIO_QUEUE_ALIGN, GUEST_LEGACY_ALIGN);
    put(driver, VIRTIO_MMIO_QUEUE_PFN,
        value ? (uint32_t)(driver->shadow.desc_gpa / GUEST_LEGACY_ALIGN) : 0);
}

/* An address is remembered, and written where there is a register for it. */
static void put_area(struct guest_driver *driver, uint64_t *gpa, uint32_t offset, uint32_t low,
                     uint32_t value)
{
    put_half(gpa, offset, value);
    if (!driver->transport->legacy) {
        put(driver, low + offset % 8, value);
    }
}

static void common_write(struct guest_driver *driver, uint32_t offset, unsigned size,
                         uint32_t value)
{
    struct guest_shadow *shadow = &driver->shadow;

    (void)size;
    switch (offset) {
    case COMMON_AT(device_feature_select):
        put(driver, VIRTIO_MMIO_DEVICE_FEATURES_SEL, value);
        break;
    case COMMON_AT(driver_feature_select):
        put(driver, VIRTIO_MMIO_DRIVER_FEATURES_SEL, value);
        break;
    case COMMON_AT(driver_feature):
        shadow->driver_features = value;
        put(driver, VIRTIO_MMIO_DRIVER_FEATURES, value);
        break;
    case COMMON_AT(device_status):
        put(driver, VIRTIO_MMIO_STATUS, value);
        break;
    case COMMON_AT(queue_select):
        shadow->size = 0;
        put(driver, VIRTIO_MMIO_QUEUE_SEL, value);
        break;
    case COMMON_AT(queue_size):
        shadow->size = value;
        put(driver, VIRTIO_MMIO_QUEUE_SIZE, value);
        break;
    case COMMON_AT(queue_enable):
        enable(driver, value);
        break;
    case COMMON_AT(queue_desc):
    case COMMON_AT(queue_desc) + 4:
        put_area(driver, &shadow->desc_gpa, offset, VIRTIO_MMIO_QUEUE_DESC_LOW, value);
        break;
    case COMMON_AT(queue_driver):
    case COMMON_AT(queue_driver) + 4:
        put_area(driver, &shadow->driver_gpa, offset, VIRTIO_MMIO_QUEUE_DRIVER_LOW, value);
        break;
    case COMMON_AT(queue_device):
    case COMMON_AT(queue_device) + 4:
        put_area(driver, &shadow->device_gpa, offset, VIRTIO_MMIO_QUEUE_DEVICE_LOW, value);
        break;
    case COMMON_AT(queue_reset):
        put(driver, VIRTIO_MMIO_QUEUE_RESET, value);
        break;
    default:
        break; /* there is nothing of the kind */
    }
}

static uint32_t config(struct guest_driver *driver, uint32_t offset, unsigned size)
{
    uint32_t value = (uint32_t)driver->access->bar_read(driver->access->opaque, 0,
                                                        VIRTIO_MMIO_CONFIG + offset, size);

    return driver->options.big_endian ? __builtin_bswap32(value) >> (32 - 8 * size) : value;
}

static void notify(struct guest_driver *driver, unsigned index, unsigned size, uint32_t value)
{
    (void)index;
    (void)size;
    put(driver, VIRTIO_MMIO_QUEUE_NOTIFY, value);
}

static uint8_t isr(struct guest_driver *driver)
{
    const uint32_t status = get(driver, VIRTIO_MMIO_INTERRUPT_STATUS);

    put(driver, VIRTIO_MMIO_INTERRUPT_ACK, status);
    return (uint8_t)status;
}

const struct guest_transport transport_mmio = {
    .probe = probe,
    .count_queues = transport_count_queues,
    .read = common_read,
    .write = common_write,
    .config = config,
    .notify = notify,
    .isr = isr,
};

const struct guest_transport transport_mmio_legacy = {
    .legacy = true,
    .probe = probe_legacy,
    .count_queues = transport_count_queues,
    .read = common_read,
    .write = common_write,
    .config = config,
    .notify = notify,
    .isr = isr,
};
