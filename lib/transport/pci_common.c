/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The common configuration structure (VIRTIO 1.4, 4.1.4.3) as a table of registers. 64-bit fields
 * are two registers, as drivers write them.
 */
#include "transport/pci_registers.h"

#include <glib.h>

static uint32_t read_device_feature_select(VionetPci *pci)
{
    return pci->device_feature_select;
}

static void write_device_feature_select(VionetPci *pci, uint32_t value)
{
    pci->device_feature_select = value;
}

static uint32_t read_device_feature(VionetPci *pci)
{
    return vionet_device_offered(pci->device, pci->device_feature_select);
}

static uint32_t read_driver_feature_select(VionetPci *pci)
{
    return pci->driver_feature_select;
}

static void write_driver_feature_select(VionetPci *pci, uint32_t value)
{
    pci->driver_feature_select = value;
}

static uint32_t read_driver_feature(VionetPci *pci)
{
    return vionet_device_driver_features(pci->device, pci->driver_feature_select);
}

static void write_driver_feature(VionetPci *pci, uint32_t value)
{
    vionet_device_write_driver_features(pci->device, pci->driver_feature_select, value);
}

static uint32_t read_num_queues(VionetPci *pci)
{
    return vionet_device_num_queues(pci->device);
}

static uint32_t read_generation(VionetPci *pci)
{
    return vionet_device_config_generation(pci->device);
}

static void write_queue_size(VionetPci *pci, uint32_t value)
{
    vionet_device_write_queue_size(pci->device, pci->queue_select, (uint16_t)value);
}

static uint32_t read_queue_enable(VionetPci *pci)
{
    return vionet_device_queue_enabled(pci->device, pci->queue_select);
}

static void write_queue_enable(VionetPci *pci, uint32_t value)
{
    vionet_device_write_queue_enable(pci->device, pci->queue_select, (uint16_t)value);
}

static uint32_t read_notify_off(VionetPci *pci)
{
    return pci_queue_exists(pci) ? pci->queue_select : 0;
}

static uint32_t read_area(VionetPci *pci, VionetQueueArea area, unsigned half)
{
    return (uint32_t)(vionet_device_queue_area(pci->device, pci->queue_select, area) >> 32 * half);
}

static void write_area(VionetPci *pci, VionetQueueArea area, unsigned half, uint32_t value)
{
    uint64_t gpa = vionet_device_queue_area(pci->device, pci->queue_select, area);
    uint64_t mask = UINT64_C(0xffffffff) << 32 * half;

    gpa = (gpa & ~mask) | (uint64_t)value << 32 * half;
    vionet_device_write_queue_area(pci->device, pci->queue_select, area, gpa);
}

#define AREA_REGISTERS(name, area)                                  \
    static uint32_t read_##name##_low(VionetPci *pci)               \
    {                                                               \
        return read_area(pci, area, 0);                             \
    }                                                               \
    static void write_##name##_low(VionetPci *pci, uint32_t value)  \
    {                                                               \
        write_area(pci, area, 0, value);                            \
    }                                                               \
    static uint32_t read_##name##_high(VionetPci *pci)              \
    {                                                               \
        return read_area(pci, area, 1);                             \
    }                                                               \
    static void write_##name##_high(VionetPci *pci, uint32_t value) \
    {                                                               \
        write_area(pci, area, 1, value);                            \
    }

AREA_REGISTERS(queue_desc, VIONET_AREA_DESC)
AREA_REGISTERS(queue_driver, VIONET_AREA_DRIVER)
AREA_REGISTERS(queue_device, VIONET_AREA_DEVICE)

static uint32_t read_notif_config_data(VionetPci *pci)
{
    if (!pci_queue_exists(pci) || atomic_load(&pci->notify_form) != NOTIFY_BY_CONFIG) {
        return 0;
    }
    return (uint16_t)(vionet_device_config(pci->device)->notif_config_base + pci->queue_select);
}

static uint32_t read_zero(VionetPci *pci)
{
    (void)pci;
    return 0; /* a queue reset is complete when the write returns; there are no admin queues */
}

static void write_queue_reset(VionetPci *pci, uint32_t value)
{
    if (value == 1 && vionet_device_reset_queue(pci->device, pci->queue_select)) {
        /* "any state" of the queue (2.6.1.1), and what QEMU does too */
        atomic_store(&pci->queue_vectors[pci->queue_select], VIRTIO_MSI_NO_VECTOR);
    }
}

/* clang-format off */
#define FIELD(name, size, read, write)                                                            \
    {#name, offsetof(struct virtio_pci_common_cfg, name), size, read, write}
#define HALVES(name)                                                                              \
    {#name, offsetof(struct virtio_pci_common_cfg, name), 4, read_##name##_low,                   \
     write_##name##_low},                                                                         \
    {                                                                                             \
        #name " (high)", offsetof(struct virtio_pci_common_cfg, name) + 4, 4,                     \
            read_##name##_high, write_##name##_high                                               \
    }

/* In order of offset, without gaps. */
static const struct pci_register registers[] = {
    FIELD(device_feature_select, 4, read_device_feature_select, write_device_feature_select),
    FIELD(device_feature, 4, read_device_feature, NULL),
    FIELD(driver_feature_select, 4, read_driver_feature_select, write_driver_feature_select),
    FIELD(driver_feature, 4, read_driver_feature, write_driver_feature),
    FIELD(config_msix_vector, 2, pci_read_config_vector, pci_write_config_vector),
    FIELD(num_queues, 2, read_num_queues, NULL),
    FIELD(device_status, 1, pci_read_status, pci_write_status),
    FIELD(config_generation, 1, read_generation, NULL),
    FIELD(queue_select, 2, pci_read_queue_select, pci_write_queue_select),
    FIELD(queue_size, 2, pci_read_queue_size, write_queue_size),
    FIELD(queue_msix_vector, 2, pci_read_queue_vector, pci_write_queue_vector),
    FIELD(queue_enable, 2, read_queue_enable, write_queue_enable),
    FIELD(queue_notify_off, 2, read_notify_off, NULL),
    HALVES(queue_desc),
    HALVES(queue_driver),
    HALVES(queue_device),
    FIELD(queue_notif_config_data, 2, read_notif_config_data, NULL),
    FIELD(queue_reset, 2, read_zero, write_queue_reset),
    FIELD(admin_queue_index, 2, read_zero, NULL),
    FIELD(admin_queue_num, 2, read_zero, NULL),
};
/* clang-format on */

uint64_t pci_common_read(VionetPci *pci, uint32_t offset, unsigned size)
{
    return pci_registers_read(pci, registers, G_N_ELEMENTS(registers), offset, size);
}

void pci_common_write(VionetPci *pci, uint32_t offset, unsigned size, uint64_t value)
{
    pci_registers_write(pci, registers, G_N_ELEMENTS(registers), offset, size, value);
}
