/* SPDX-License-Identifier: BSD-3-Clause */
/* A toy network device; see toy.h. */
#include "toy.h"

#include <stddef.h>
#include <string.h>

#include <vionet/spec.h>

#include "bytes.h"
#include "header.h"

/* A chain taken from a ring: what is readable, and where to write. */
struct element {
    uint16_t head;
    uint16_t places; /* of a packed ring that it takes up */
    GByteArray *readable;
    GArray *writable; /* struct virtq_segment */
};

static bool has(const struct toy *toy, unsigned feature)
{
    return features_has(&toy->accepted, feature);
}

static uint8_t *ring(const struct toy *toy, const struct toy_queue *queue, unsigned part,
                     uint64_t offset, uint64_t size)
{
    return guest_ptr(toy->memory, queue->area[part] + offset, size);
}

static void interrupt(struct toy *toy, uint16_t vector, uint8_t isr)
{
    if (!toy->driver) {
        return;
    }
    if (bytes_get16(toy->config + TOY_CAP_MSIX + 2) & 0x8000) {
        if (vector < TOY_VECTORS) {
            guest_driver_msi(toy->driver, vector);
        }
        return;
    }
    toy->isr |= isr;
    guest_driver_intx(toy->driver, true);
}

/* What a descriptor adds to an element; its flags stand at an offset of their own in each format. */
static void piece(struct toy *toy, const uint8_t *desc, unsigned flags_at, struct element *element)
{
    struct virtq_segment segment = {bytes_get64(desc), bytes_get32(desc + 8), true};

    if (bytes_get16(desc + flags_at) & VIRTQ_DESC_F_WRITE) {
        g_array_append_val(element->writable, segment);
    } else if (guest_ptr(toy->memory, segment.gpa, segment.len)) {
        g_byte_array_append(element->readable, guest_ptr(toy->memory, segment.gpa, segment.len),
                            segment.len);
    }
}

static void walk(struct toy *toy, const uint8_t *table, uint32_t entries, uint16_t at,
                 struct element *element)
{
    for (uint32_t steps = 0; at < entries && steps < entries; steps++) {
        const uint8_t *desc = table + 16 * (size_t)at;
        struct virtq_segment segment = {bytes_get64(desc), bytes_get32(desc + 8), true};
        uint16_t flags = bytes_get16(desc + 12);

        if (flags & VIRTQ_DESC_F_INDIRECT) {
            const uint8_t *inner = guest_ptr(toy->memory, segment.gpa, segment.len);

            if (inner) {
                walk(toy, inner, segment.len / 16, 0, element);
            }
            return;
        }
        piece(toy, desc, 12, element);
        if (!(flags & VIRTQ_DESC_F_NEXT)) {
            return;
        }
        at = bytes_get16(desc + 14);
    }
}

/* ---- packed rings ---- */

static uint8_t *packed_desc(const struct toy *toy, const struct toy_queue *queue, uint32_t place)
{
    return ring(toy, queue, 0, 16 * (uint64_t)(place % queue->size), 16);
}

/* The wrap counter there, as bit 15: so it stands in event words. */
static uint16_t packed_wrap(const struct toy_queue *queue, uint32_t place)
{
    return place / queue->size % 2 ? 0 : 0x8000;
}

static bool packed_pop(struct toy *toy, struct toy_queue *queue, struct element *element)
{
    const uint16_t ready =
        packed_wrap(queue, queue->avail_place) ? VIRTQ_DESC_F_AVAIL : VIRTQ_DESC_F_USED;
    uint16_t flags = bytes_get16(packed_desc(toy, queue, queue->avail_place) + 14);

    if ((flags & (VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED)) != ready) {
        return false;
    }
    element->readable = g_byte_array_new();
    element->writable = g_array_new(FALSE, FALSE, sizeof(struct virtq_segment));
    element->places = 0;
    do {
        const uint8_t *desc = packed_desc(toy, queue, queue->avail_place + element->places++);
        const uint32_t len = bytes_get32(desc + 8);

        flags = bytes_get16(desc + 14);
        element->head = bytes_get16(desc + 12);
        if (flags & VIRTQ_DESC_F_INDIRECT) {
            for (uint32_t i = 0; i < len / 16; i++) {
                piece(toy, guest_ptr(toy->memory, bytes_get64(desc) + 16 * i, 16), 14, element);
            }
        } else {
            piece(toy, desc, 14, element);
        }
    } while (flags & VIRTQ_DESC_F_NEXT);
    queue->avail_place += element->places;
    if (has(toy, VIRTIO_F_EVENT_IDX)) {
        bytes_put16(ring(toy, queue, 2, 0, 2), (uint16_t)(queue->avail_place % queue->size |
                                                          packed_wrap(queue, queue->avail_place)));
        bytes_put16(ring(toy, queue, 2, 2, 2), RING_EVENT_FLAGS_DESC);
    }
    return true;
}

static void packed_push(struct toy *toy, struct toy_queue *queue, const struct element *element,
                        uint32_t len)
{
    uint8_t *desc = packed_desc(toy, queue, queue->used_place);
    const uint16_t done =
        packed_wrap(queue, queue->used_place) ? VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED : 0;

    bytes_put32(desc + 8, len);
    bytes_put16(desc + 12, element->head);
    bytes_put16(desc + 14, done | (len ? VIRTQ_DESC_F_WRITE : 0));
    queue->used_place += element->places;
}

/* Interrupt if the driver wants it after what came behind a place. */
static bool packed_wanted(struct toy *toy, const struct toy_queue *queue, uint32_t old)
{
    const uint16_t event = bytes_get16(ring(toy, queue, 1, 0, 2));
    const uint16_t flags = bytes_get16(ring(toy, queue, 1, 2, 2));

    for (uint32_t place = old; flags == RING_EVENT_FLAGS_DESC && place < queue->used_place;
         place++) {
        if (event == (place % queue->size | packed_wrap(queue, place))) {
            return true;
        }
    }
    return flags == RING_EVENT_FLAGS_ENABLE;
}

/* ---- rings ---- */

static bool pop(struct toy *toy, struct toy_queue *queue, struct element *element)
{
    uint16_t slot = queue->last_avail % queue->size;

    if (has(toy, VIRTIO_F_RING_PACKED)) {
        return packed_pop(toy, queue, element);
    }
    if (bytes_get16(ring(toy, queue, 1, 2, 2)) == queue->last_avail) {
        return false;
    }
    element->head = bytes_get16(ring(toy, queue, 1, 4 + 2 * slot, 2));
    element->readable = g_byte_array_new();
    element->writable = g_array_new(FALSE, FALSE, sizeof(struct virtq_segment));
    walk(toy, ring(toy, queue, 0, 0, 16 * queue->size), queue->size, element->head, element);
    queue->last_avail++;
    bytes_put16(ring(toy, queue, 2, 4 + 8 * queue->size, 2), queue->last_avail);
    return true;
}

static void element_free(struct element *element)
{
    g_byte_array_unref(element->readable);
    g_array_unref(element->writable);
}

static void push(struct toy *toy, struct toy_queue *queue, struct element *element, uint32_t len)
{
    if (has(toy, VIRTIO_F_RING_PACKED)) {
        packed_push(toy, queue, element, len);
    } else {
        uint8_t *used = ring(toy, queue, 2, 4 + 8 * (queue->used_idx % queue->size), 8);

        bytes_put32(used, element->head);
        bytes_put32(used + 4, len);
        queue->used_idx++;
    }
    element_free(element);
}

/* Show the used index and interrupt if the driver wants it. */
static void flush(struct toy *toy, struct toy_queue *queue, const struct toy_queue *before)
{
    uint16_t event = bytes_get16(ring(toy, queue, 1, 4 + 2 * queue->size, 2));
    uint16_t flags = bytes_get16(ring(toy, queue, 1, 0, 2));
    uint16_t old = before->used_idx;

    if (has(toy, VIRTIO_F_RING_PACKED)) {
        if (packed_wanted(toy, queue, before->used_place)) {
            interrupt(toy, queue->vector, VIRTIO_PCI_ISR_QUEUE);
        }
        return;
    }
    bytes_put16(ring(toy, queue, 2, 2, 2), queue->used_idx);
    if (has(toy, VIRTIO_F_EVENT_IDX)
            ? (uint16_t)(queue->used_idx - event - 1) < (uint16_t)(queue->used_idx - old)
            : !(flags & 1)) {
        interrupt(toy, queue->vector, VIRTIO_PCI_ISR_QUEUE);
    }
}

/* Write octets into an element; how many found room. */
static uint32_t fill(struct toy *toy, struct element *element, const uint8_t *octets, uint32_t len)
{
    uint32_t done = 0;

    for (guint i = 0; i < element->writable->len && done < len; i++) {
        struct virtq_segment *segment = &g_array_index(element->writable, struct virtq_segment, i);
        uint32_t part = MIN(segment->len, len - done);

        guest_write(toy->memory, segment->gpa, octets + done, part);
        done += part;
    }
    return done;
}

bool toy_deliver(struct toy *toy, unsigned pair, const void *frame, uint32_t len)
{
    struct toy_queue *queue = &toy->queues[2 * pair];
    struct toy_queue before = *queue;
    uint32_t size = header_size(&toy->accepted);
    struct net_header header = {
        .flags = toy->flags,
        .hash_value = toy->hash_value,
        .hash_report = toy->hash_report,
    };
    GByteArray *packet = g_byte_array_new();
    GArray *elements = g_array_new(FALSE, FALSE, sizeof(struct element));
    struct element element;
    uint32_t room = 0;
    uint32_t done = 0;

    g_byte_array_set_size(packet, size);
    g_byte_array_append(packet, frame, len);
    if (toy->overrun) {
        g_byte_array_append(packet, (const guint8 *)"!", 1);
    }
    while (queue->enable && room < packet->len && (room == 0 || has(toy, VIRTIO_NET_F_MRG_RXBUF)) &&
           pop(toy, queue, &element)) {
        for (guint i = 0; i < element.writable->len; i++) {
            room += g_array_index(element.writable, struct virtq_segment, i).len;
        }
        g_array_append_val(elements, element);
    }
    if (!queue->enable || room < packet->len) {
        for (guint i = 0; i < elements->len; i++) {
            element_free(&g_array_index(elements, struct element, i));
        }
        queue->last_avail = before.last_avail;
        queue->avail_place = before.avail_place;
    } else {
        header.num_buffers = (uint16_t)(elements->len + toy->buffers_off);
        header_store(packet->data, size, false, &header);
        for (guint i = 0; i < elements->len; i++) {
            struct element *one = &g_array_index(elements, struct element, i);
            uint32_t part = fill(toy, one, packet->data + done, packet->len - done);

            done += part;
            push(toy, queue, one, toy->overrun && done == packet->len ? part - 1 : part);
        }
        flush(toy, queue, &before);
    }
    g_array_unref(elements);
    g_byte_array_unref(packet);
    return done > 0;
}

static void transmit(struct toy *toy, unsigned index)
{
    struct toy_queue *queue = &toy->queues[index];
    uint32_t size = header_size(&toy->accepted);
    struct toy_queue before = *queue;
    struct element element;

    while (pop(toy, queue, &element)) {
        toy->transmitted++;
        if (element.readable->len > size) {
            toy_deliver(toy, index / 2, element.readable->data + size,
                        element.readable->len - size);
        }
        push(toy, queue, &element, 0);
    }
    flush(toy, queue, &before);
}

static void control(struct toy *toy)
{
    struct toy_queue *queue = &toy->queues[toy->control];
    struct toy_queue before = *queue;
    struct element element;

    while (!toy->mute && pop(toy, queue, &element)) {
        GByteArray *answer = g_byte_array_new();
        uint32_t len;

        if (toy->reply_first) {
            g_byte_array_append(answer, toy->reply->data, toy->reply->len);
        }
        g_byte_array_append(answer, &toy->ack, 1);
        if (!toy->reply_first) {
            g_byte_array_append(answer, toy->reply->data, toy->reply->len);
        }
        g_byte_array_set_size(toy->command, 0);
        g_byte_array_append(toy->command, element.readable->data, element.readable->len);
        len = fill(toy, &element, answer->data, answer->len);
        push(toy, queue, &element, len);
        g_byte_array_unref(answer);
    }
    flush(toy, queue, &before);
}

static void notify(struct toy *toy, uint64_t offset, unsigned size, uint32_t value)
{
    unsigned index = (unsigned)(offset / TOY_MULTIPLIER);

    toy->notified_at = offset;
    toy->notified_size = size;
    toy->notified_value = value;
    toy->notifications++;
    if (index >= toy->n_queues || !toy->queues[index].enable ||
        !(toy->status & VIRTIO_STATUS_DRIVER_OK)) {
        return;
    }
    if (index == toy->control) {
        control(toy);
    } else if (index % 2) {
        transmit(toy, index);
    }
}

static void queue_reset(struct toy *toy, struct toy_queue *queue)
{
    *queue = (struct toy_queue){.size = toy->queue_max, .vector = VIRTIO_MSI_NO_VECTOR};
}

static void reset(struct toy *toy)
{
    for (unsigned i = 0; i < TOY_MAX_QUEUES; i++) {
        queue_reset(toy, &toy->queues[i]);
    }
    memset(toy->select, 0, sizeof(toy->select));
    toy->accepted = (struct guest_features){{0}};
    toy->config_vector = VIRTIO_MSI_NO_VECTOR;
    toy->status = toy->sticky ? toy->status : 0;
}

static struct toy_queue *selected(struct toy *toy)
{
    return toy->select[2] < toy->n_queues ? &toy->queues[toy->select[2]] : NULL;
}

#define AT(field) offsetof(struct virtio_pci_common_cfg, field)

static uint64_t queue_read(struct toy *toy, const struct toy_queue *queue, uint64_t offset)
{
    switch (offset) {
    case AT(queue_size):
        return queue->size;
    case AT(queue_msix_vector):
        return queue->vector;
    case AT(queue_enable):
        return queue->enable;
    case AT(queue_notify_off):
        return toy->select[2];
    case AT(queue_notif_config_data):
        return has(toy, VIRTIO_F_NOTIF_CONFIG_DATA) ? 0x100 + toy->select[2] : 0;
    default:
        if (offset >= AT(queue_desc) && offset < AT(queue_notif_config_data)) {
            offset -= AT(queue_desc);
            return (uint32_t)(queue->area[offset / 8] >> 8 * (offset % 8));
        }
        return 0;
    }
}

static uint64_t common_read(struct toy *toy, uint64_t offset)
{
    uint32_t window = toy->select[offset == AT(driver_feature)];
    const struct toy_queue *queue = selected(toy);

    switch (offset) {
    case AT(device_feature):
        return window < FEATURES_WINDOWS ? toy->offered.window[window] : 0;
    case AT(driver_feature):
        return window < FEATURES_WINDOWS ? toy->accepted.window[window] : 0;
    case AT(config_msix_vector):
        return toy->config_vector;
    case AT(num_queues):
        return toy->n_queues;
    case AT(device_status):
        return toy->status;
    case AT(config_generation):
        toy->generation += toy->restless;
        return toy->generation;
    case AT(queue_select):
        return toy->select[2];
    default:
        return queue ? queue_read(toy, queue, offset) : 0;
    }
}

static void queue_write(struct toy *toy, struct toy_queue *queue, uint64_t offset, uint32_t value)
{
    switch (offset) {
    case AT(queue_size):
        queue->size = (uint16_t)value;
        return;
    case AT(queue_msix_vector):
        queue->vector = value < TOY_VECTORS ? (uint16_t)value : VIRTIO_MSI_NO_VECTOR;
        return;
    case AT(queue_enable):
        queue->enable = 1;
        return;
    case AT(queue_reset):
        queue_reset(toy, queue);
        return;
    default:
        if (offset >= AT(queue_desc) && offset < AT(queue_notif_config_data)) {
            unsigned shift = offset % 8 * 8;

            offset -= AT(queue_desc);
            queue->area[offset / 8] &= ~(UINT64_C(0xffffffff) << shift);
            queue->area[offset / 8] |= (uint64_t)value << shift;
        }
        return;
    }
}

static void status_write(struct toy *toy, uint8_t value)
{
    struct guest_features excess = features_without(toy->accepted, toy->offered);

    if (value == 0) {
        reset(toy);
        return;
    }
    if (!features_empty(excess)) {
        value &= (uint8_t)~VIRTIO_STATUS_FEATURES_OK;
    }
    toy->status = value;
    toy->control = has(toy, VIRTIO_NET_F_MQ) || has(toy, VIRTIO_NET_F_RSS) ? toy->n_queues - 1 : 2;
}

static void common_write(struct toy *toy, uint64_t offset, uint32_t value)
{
    switch (offset) {
    case AT(device_feature_select):
        toy->select[0] = value;
        return;
    case AT(driver_feature_select):
        toy->select[1] = value;
        return;
    case AT(driver_feature):
        if (toy->select[1] < FEATURES_WINDOWS) {
            toy->accepted.window[toy->select[1]] = value;
        }
        return;
    case AT(config_msix_vector):
        toy->config_vector = value < TOY_VECTORS ? (uint16_t)value : VIRTIO_MSI_NO_VECTOR;
        return;
    case AT(device_status):
        status_write(toy, (uint8_t)value);
        return;
    case AT(queue_select):
        toy->select[2] = value;
        return;
    default:
        if (selected(toy)) {
            queue_write(toy, selected(toy), offset, value);
        }
        return;
    }
}

static uint64_t bytes_of(const uint8_t *from, unsigned size)
{
    uint8_t octets[8] = {0};

    memcpy(octets, from, size);
    return bytes_get64(octets);
}

static uint64_t bar_read(void *opaque, unsigned bar, uint64_t offset, unsigned size)
{
    struct toy *toy = opaque;

    if (bar == 1) {
        return offset + size <= sizeof(toy->bar1) ? bytes_of(toy->bar1 + offset, size) : 0;
    }
    if (offset >= TOY_AT_NOTIFY) {
        return 0;
    }
    if (offset >= TOY_AT_DEVICE) {
        offset -= TOY_AT_DEVICE;
        return offset + size <= 28 ? bytes_of(toy->device_config + offset, size) : 0;
    }
    if (offset >= TOY_AT_ISR) {
        uint8_t isr = toy->isr;

        toy->isr = 0;
        guest_driver_intx(toy->driver, false);
        return isr;
    }
    return common_read(toy, offset);
}

static void bar_write(void *opaque, unsigned bar, uint64_t offset, unsigned size, uint64_t value)
{
    struct toy *toy = opaque;

    if (bar == 1) {
        if (offset + size <= sizeof(toy->bar1)) {
            bytes_put32(toy->bar1 + offset, (uint32_t)value);
        }
    } else if (offset >= TOY_AT_NOTIFY) {
        notify(toy, offset - TOY_AT_NOTIFY, size, (uint32_t)value);
    } else if (offset < TOY_AT_ISR) {
        common_write(toy, offset, (uint32_t)value);
    }
}

/* The configuration access capability's window: where an access of pci_cfg_data goes. */
static uint32_t config_read(void *opaque, uint32_t offset, unsigned size)
{
    struct toy *toy = opaque;
    const uint8_t *cap = toy->config + TOY_CAP_CONFIG;

    if (offset == TOY_CAP_CONFIG + 16) {
        return (uint32_t)bar_read(toy, cap[4], bytes_get32(cap + 8), bytes_get32(cap + 12));
    }
    return offset + size <= sizeof(toy->config) ? (uint32_t)bytes_of(toy->config + offset, size)
                                                : UINT32_MAX;
}

static void config_write(void *opaque, uint32_t offset, unsigned size, uint32_t value)
{
    static const uint32_t bar_masks[6] = {0, 0xfffff000, 0xffffc000, 0xffffffff, 0, 0};
    struct toy *toy = opaque;
    uint8_t octets[4];

    bytes_put32(octets, value);
    if (offset >= 0x10 && offset < 0x28 && size == 4) {
        unsigned bar = (offset - 0x10) / 4;

        bytes_put32(toy->config + offset, (value & bar_masks[bar]) | (bar == 2 ? 0xc : 0));
    } else if (offset == TOY_CAP_CONFIG + 16) {
        const uint8_t *cap = toy->config + TOY_CAP_CONFIG;

        bar_write(toy, cap[4], bytes_get32(cap + 8), bytes_get32(cap + 12), value);
    } else if (offset + size <= sizeof(toy->config) &&
               (offset == 4 || offset == TOY_CAP_MSIX + 2 || offset > TOY_CAP_CONFIG)) {
        memcpy(toy->config + offset, octets, size);
    }
}

static void put_cap(struct toy *toy, uint8_t at, uint8_t next, uint8_t len, uint8_t type,
                    uint32_t offset, uint32_t length)
{
    uint8_t *cap = toy->config + at;

    cap[0] = 0x09;
    cap[1] = next;
    cap[2] = len;
    cap[3] = type;
    cap[4] = 2;
    bytes_put32(cap + 8, offset);
    bytes_put32(cap + 12, length);
}

static void put_config(struct toy *toy)
{
    uint8_t *config = toy->config;

    bytes_put16(config, VIRTIO_PCI_VENDOR_ID);
    bytes_put16(config + 2, VIRTIO_PCI_DEVICE_ID_NET);
    config[6] = 0x10;
    config[8] = 1;
    config[0x0b] = 2;
    config[0x34] = TOY_CAP_MSIX;
    config[TOY_CAP_MSIX] = 0x11;
    config[TOY_CAP_MSIX + 1] = TOY_CAP_COMMON;
    bytes_put16(config + TOY_CAP_MSIX + 2, TOY_VECTORS - 1);
    bytes_put32(config + TOY_CAP_MSIX + 4, 1);
    bytes_put32(config + TOY_CAP_MSIX + 8, 0x800 | 1);
    put_cap(toy, TOY_CAP_COMMON, TOY_CAP_ISR, 16, VIRTIO_PCI_CAP_COMMON_CFG, TOY_AT_COMMON, 64);
    put_cap(toy, TOY_CAP_ISR, TOY_CAP_DEVICE, 16, VIRTIO_PCI_CAP_ISR_CFG, TOY_AT_ISR, 1);
    put_cap(toy, TOY_CAP_DEVICE, TOY_CAP_NOTIFY, 16, VIRTIO_PCI_CAP_DEVICE_CFG, TOY_AT_DEVICE, 28);
    put_cap(toy, TOY_CAP_NOTIFY, TOY_CAP_CONFIG, 24, VIRTIO_PCI_CAP_NOTIFY_CFG, TOY_AT_NOTIFY,
            TOY_MULTIPLIER * TOY_MAX_QUEUES);
    bytes_put32(config + TOY_CAP_NOTIFY + 16, TOY_MULTIPLIER);
    put_cap(toy, TOY_CAP_CONFIG, 0, 20, VIRTIO_PCI_CAP_PCI_CFG, 0, 0);
}

struct toy *toy_new(struct guest_memory *memory, struct guest_features offered, unsigned pairs,
                    uint16_t queue_max)
{
    struct toy *toy = g_new0(struct toy, 1);

    toy->access = (struct guest_access){toy, config_read, config_write, bar_read, bar_write};
    toy->memory = memory;
    toy->offered = offered;
    toy->n_queues = 2 * pairs + 1;
    toy->queue_max = queue_max;
    toy->command = g_byte_array_new();
    toy->reply = g_byte_array_new();
    memcpy(toy->device_config, "\x52\x54\x00\x12\x34\x56\x01\x00", 8);
    bytes_put16(toy->device_config + 8, (uint16_t)pairs);
    put_config(toy);
    reset(toy);
    return toy;
}

void toy_free(struct toy *toy)
{
    g_byte_array_unref(toy->command);
    g_byte_array_unref(toy->reply);
    g_free(toy);
}
