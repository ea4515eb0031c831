/* SPDX-License-Identifier: BSD-3-Clause */
/* The queues of a device through its registers; see queue.h. */
#include "queue.h"

#include <sched.h>
#include <stdio.h>

#include <vionet/spec.h>

#include "common.h"

#define VECTOR_CONFIG 0

static bool select_queue(struct guest_driver *driver, unsigned index)
{
    if (index >= driver->n_queues) {
        return false;
    }
    common_put(driver, queue_select, index);
    return true;
}

struct virtq *guest_queue_ring(struct guest_driver *driver, unsigned index)
{
    return index < driver->n_queues ? driver->queues[index].vq : NULL;
}

void guest_queue_locate(struct guest_driver *driver)
{
    unsigned max = 1;

    if (guest_driver_has(driver, VIRTIO_NET_F_MQ) || guest_driver_has(driver, VIRTIO_NET_F_RSS)) {
        max = driver->config.max_virtqueue_pairs;
        if (max < VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN || max > VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MAX) {
            complaints_add(driver->complaints, "max_virtqueue_pairs is %u", max);
            max = 1;
        }
    }
    driver->has_control = guest_driver_has(driver, VIRTIO_NET_F_CTRL_VQ);
    driver->max_pairs = max;
    driver->control = 2 * max;
    driver->pairs = max;
    if (driver->options.pairs && driver->options.pairs < max) {
        driver->pairs = driver->options.pairs;
    }
}

/* One vector for the configuration and one a queue, if there are as many; else queues share. */
static uint16_t vector_of(const struct guest_driver *driver, unsigned index)
{
    unsigned place = driver->has_control && index == driver->control ? 2 * driver->pairs : index;

    if (driver->vectors >= 2 * driver->pairs + driver->has_control + 1 &&
        1 + place < driver->vectors) {
        return (uint16_t)(1 + place);
    }
    return driver->vectors >= 2 ? 1 : VECTOR_CONFIG;
}

static void name_of(const struct guest_driver *driver, unsigned index, char *name, size_t size)
{
    if (driver->has_control && index == driver->control) {
        snprintf(name, size, "controlq");
    } else {
        snprintf(name, size, "%sq%u", index % 2 ? "transmit" : "receive", index / 2 + 1);
    }
}

/* The entries a queue gets; 0 if it cannot be had. The queue is selected. */
static uint16_t choose_size(struct guest_driver *driver, unsigned index, uint16_t size)
{
    uint16_t max = (uint16_t)common_get(driver, queue_size);
    uint16_t now;

    if (max == 0 || max > VIRTQ_MAX_SIZE) {
        complaints_add(driver->complaints, "queue %u has a size of %u", index, max);
        return 0;
    }
    if (size == 0) {
        size = driver->options.queue_size;
    }
    if (size == 0 || size > max || driver->transport->fixed_sizes) {
        size = max;
    }
    common_put(driver, queue_size, size);
    now = (uint16_t)common_get(driver, queue_size);
    if (now != size) {
        complaints_add(driver->complaints, "queue %u: size %u was written and reads %u", index,
                       size, now);
        return 0;
    }
    return size;
}

static bool alloc_area(struct guest_driver *driver, uint16_t size, struct virtq_area *area)
{
    return driver->transport->legacy
               ? virtq_area_alloc_legacy(driver->memory, size, GUEST_LEGACY_ALIGN, area)
               : virtq_area_alloc(driver->memory, size, area);
}

static bool make_ring(struct guest_driver *driver, unsigned index, uint16_t size)
{
    struct guest_queue *queue = &driver->queues[index];
    struct virtq_options options = {
        .size = size,
        .packed = guest_driver_has(driver, VIRTIO_F_RING_PACKED),
        .event_idx = guest_driver_has(driver, VIRTIO_F_EVENT_IDX),
        .indirect = guest_driver_has(driver, VIRTIO_F_INDIRECT_DESC),
        .in_order = guest_driver_has(driver, VIRTIO_F_IN_ORDER),
        .big_endian = driver->options.big_endian,
    };
    char name[32];

    name_of(driver, index, name, sizeof(name));
    if (size > queue->area_size) {
        if (!alloc_area(driver, size, &queue->area)) {
            complaints_add(driver->complaints, "%s: no guest memory for %u entries", name, size);
            queue->area_size = 0;
            return false;
        }
        queue->area_size = size;
    }
    if (driver->transport->legacy) {
        queue->area = virtq_area_legacy(queue->area.desc_gpa, size, GUEST_LEGACY_ALIGN);
    }
    virtq_free(queue->vq);
    options.area = queue->area;
    queue->vq = virtq_new(driver->memory, driver->complaints, name, &options);
    return queue->vq != NULL;
}

static void put_address(struct guest_driver *driver, const char *what, uint32_t offset,
                        uint64_t address)
{
    uint64_t now;

    guest_common_write(driver, offset, 4, (uint32_t)address);
    guest_common_write(driver, offset + 4, 4, (uint32_t)(address >> 32));
    now = guest_common_read(driver, offset, 4);
    now |= (uint64_t)guest_common_read(driver, offset + 4, 4) << 32;
    if (now != address) {
        complaints_add(driver->complaints, "%s: 0x%llx was written and reads 0x%llx", what,
                       (unsigned long long)address, (unsigned long long)now);
    }
}

/* Address and identifier of the notification (4.1.4.4, 4.1.5.2, and the draft's notify_data). */
static void learn_notification(struct guest_driver *driver, unsigned index)
{
    struct guest_queue *queue = &driver->queues[index];
    struct pci_function *pci = &driver->pci;

    queue->notify_off = (uint16_t)common_get(driver, queue_notify_off);
    queue->notify_at = (uint64_t)queue->notify_off * pci->notify_off_multiplier;
    queue->notify_id = (uint16_t)index;
    if (guest_driver_has(driver, VIRTIO_F_NOTIF_CONFIG_DATA)) {
        queue->notif_config_data = (uint16_t)common_get(driver, queue_notif_config_data);
        queue->notify_id = queue->notif_config_data;
    } else if (guest_driver_has(driver, VIRTIO_F_NOTIFICATION_DATA) && pci->notify_data_valid) {
        queue->notify_id = pci->notify_data;
    }
}

static bool enable(struct guest_driver *driver, unsigned index)
{
    common_put(driver, queue_enable, 1);
    if (common_get(driver, queue_enable) == 1) {
        return true;
    }
    complaints_add(driver->complaints, "queue %u does not become enabled", index);
    return false;
}

bool guest_queue_setup(struct guest_driver *driver, unsigned index, uint16_t size)
{
    const struct guest_queue *queue;

    if (!select_queue(driver, index)) {
        complaints_add(driver->complaints, "there is no queue %u", index);
        return false;
    }
    queue = &driver->queues[index];
    size = choose_size(driver, index, size);
    if (size == 0 || !make_ring(driver, index, size)) {
        return false;
    }
    put_address(driver, "queue_desc", COMMON_AT(queue_desc), queue->area.desc_gpa);
    if (!driver->transport->legacy) {
        put_address(driver, "queue_driver", COMMON_AT(queue_driver), queue->area.driver_gpa);
        put_address(driver, "queue_device", COMMON_AT(queue_device), queue->area.device_gpa);
    }
    learn_notification(driver, index);
    if (driver->vectors) {
        guest_queue_vector(driver, index, vector_of(driver, index));
    }
    return enable(driver, index);
}

static void set_up_config_vector(struct guest_driver *driver)
{
    if (driver->vectors == 0) {
        return;
    }
    common_put(driver, config_msix_vector, VECTOR_CONFIG);
    if (common_get(driver, config_msix_vector) != VECTOR_CONFIG) {
        complaints_add(driver->complaints, "the configuration got no vector");
    }
}

bool guest_queue_setup_all(struct guest_driver *driver)
{
    guest_queue_locate(driver);
    set_up_config_vector(driver);
    for (unsigned i = 0; i < 2 * driver->pairs; i++) {
        if (!guest_queue_setup(driver, i, 0)) {
            return false;
        }
    }
    return !driver->has_control || guest_queue_setup(driver, driver->control, 0);
}

uint16_t guest_queue_vector(struct guest_driver *driver, unsigned index, uint16_t vector)
{
    uint16_t now;

    if (!select_queue(driver, index)) {
        return VIRTIO_MSI_NO_VECTOR;
    }
    common_put(driver, queue_msix_vector, vector);
    now = (uint16_t)common_get(driver, queue_msix_vector);
    if (now != vector && vector < driver->pci.msix.vectors) {
        complaints_add(driver->complaints, "queue %u: vector %u was written and reads %u", index,
                       vector, now);
    }
    driver->queues[index].vector = now;
    return now;
}

void guest_queue_notify_raw(struct guest_driver *driver, unsigned index, unsigned size,
                            uint32_t value)
{
    if (index >= driver->n_queues) {
        return;
    }
    driver->queues[index].notifications++;
    driver->transport->notify(driver, index, size, value);
}

void guest_queue_notify(struct guest_driver *driver, unsigned index)
{
    struct virtq *vq = guest_queue_ring(driver, index);
    uint32_t id;

    if (!vq) {
        return;
    }
    id = driver->queues[index].notify_id;
    if (guest_driver_has(driver, VIRTIO_F_NOTIFICATION_DATA)) {
        guest_queue_notify_raw(driver, index, 4, id | (uint32_t)virtq_position(vq) << 16);
    } else {
        guest_queue_notify_raw(driver, index, 2, id);
    }
}

void guest_queue_kick(struct guest_driver *driver, unsigned index)
{
    struct virtq *vq = guest_queue_ring(driver, index);

    if (!vq) {
        return;
    }
    virtq_publish(vq);
    /* No notification before DRIVER_OK; the device looks by itself then. */
    if (driver->running && virtq_must_kick(vq)) {
        guest_queue_notify(driver, index);
    }
}

bool guest_queue_reset(struct guest_driver *driver, unsigned index)
{
    if (!guest_driver_has(driver, VIRTIO_F_RING_RESET) || !select_queue(driver, index)) {
        return false;
    }
    common_put(driver, queue_reset, 1);
    for (unsigned i = 0; i < COMMON_TRIES; i++) {
        if (common_get(driver, queue_reset) == 0) {
            virtq_free(driver->queues[index].vq);
            driver->queues[index].vq = NULL;
            if (common_get(driver, queue_enable) != 0) {
                complaints_add(driver->complaints, "queue %u is enabled after its reset", index);
            }
            return true;
        }
        sched_yield();
    }
    complaints_add(driver->complaints, "the reset of queue %u does not end", index);
    return false;
}
