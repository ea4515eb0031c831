/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The part of a virtqueue that all ring formats share: which buffers are in flight, and whether
 * what the device gives back can be true. A format (split.c, packed.c) reads and
 * writes the ring itself.
 */
#include "virtq_format.h"

#include <vionet/spec.h>

static void complain(struct virtq *vq, const char *format, va_list arguments)
{
    char *what = g_strdup_vprintf(format, arguments);

    complaints_add(vq->complaints, "%s: %s", vq->name, what);
    g_free(what);
}

void virtq_complain(struct virtq *vq, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    complain(vq, format, arguments);
    va_end(arguments);
}

void virtq_break(struct virtq *vq, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    complain(vq, format, arguments);
    va_end(arguments);
    vq->broken = true;
}

bool virtq_area_alloc(struct guest_memory *memory, uint16_t size, struct virtq_area *area)
{
    area->desc_gpa = guest_alloc(memory, VIRTQ_DESC_TABLE_SIZE(size), 16);
    area->driver_gpa = guest_alloc(memory, VIRTQ_AVAIL_SIZE(size), 4);
    area->device_gpa = guest_alloc(memory, VIRTQ_USED_SIZE(size), 4);
    return area->desc_gpa != GUEST_NONE && area->driver_gpa != GUEST_NONE &&
           area->device_gpa != GUEST_NONE;
}

bool virtq_area_alloc_legacy(struct guest_memory *memory, uint16_t size, uint32_t align,
                             struct virtq_area *area)
{
    const uint64_t used_at = virtq_area_legacy(0, size, align).device_gpa;
    const uint64_t gpa = guest_alloc(memory, used_at + VIRTQ_USED_SIZE(size), align);

    *area = virtq_area_legacy(gpa, size, align);
    return gpa != GUEST_NONE;
}

struct virtq_area virtq_area_legacy(uint64_t gpa, uint16_t size, uint32_t align)
{
    struct virtq_area area = {.desc_gpa = gpa, .driver_gpa = gpa + 16 * (uint64_t)size};

    area.device_gpa = area.driver_gpa + 2 * (3 + (uint64_t)size);
    while (area.device_gpa % align) {
        area.device_gpa++;
    }
    return area;
}

static uint32_t power_of_two_above(uint32_t n)
{
    uint32_t power = 1;

    while (power < n) {
        power *= 2;
    }
    return power;
}

struct virtq *virtq_new(struct guest_memory *memory, struct complaints *complaints,
                        const char *name, const struct virtq_options *options)
{
    const struct virtq_format *format = options->packed ? &packed_format : &split_format;
    struct virtq *vq = options->size ? format->make(memory, options) : NULL;

    if (!vq) {
        complaints_add(complaints, "%s: no queue of %u entries can be made there", name,
                       options->size);
        return NULL;
    }
    vq->format = format;
    vq->memory = memory;
    vq->complaints = complaints;
    vq->name = g_strdup(name);
    vq->options = *options;
    vq->room = options->size;
    vq->chains = g_new0(struct virtq_chain, options->size);
    vq->order_mask = power_of_two_above(options->size) - 1;
    vq->order = g_new0(uint16_t, vq->order_mask + 1);
    return vq;
}

void virtq_free(struct virtq *vq)
{
    if (!vq) {
        return;
    }
    g_free(vq->name);
    g_free(vq->chains);
    g_free(vq->order);
    vq->format->destroy(vq);
}

const struct virtq_options *virtq_options(const struct virtq *vq)
{
    return &vq->options;
}

unsigned virtq_in_flight(const struct virtq *vq)
{
    return vq->published + vq->unpublished;
}

unsigned virtq_room(const struct virtq *vq)
{
    return vq->room;
}

bool virtq_broken(const struct virtq *vq)
{
    return vq->broken;
}

struct complaints *virtq_complaints(const struct virtq *vq)
{
    return vq->complaints;
}

void virtq_record(struct virtq *vq, uint16_t id, const struct virtq_chain *chain)
{
    vq->chains[id] = *chain;
    vq->chains[id].order = vq->next_order;
    vq->chains[id].state = CHAIN_ADDED;
    vq->order[vq->next_order++ & vq->order_mask] = id;
    vq->unpublished++;
}

static uint32_t writable_octets(const struct virtq_segment *segments, unsigned n)
{
    uint64_t octets = 0;

    for (unsigned i = 0; i < n; i++) {
        octets += segments[i].writable ? segments[i].len : 0;
    }
    return octets > UINT32_MAX ? UINT32_MAX : (uint32_t)octets;
}

static bool add(struct virtq *vq, const struct virtq_list *list, uint32_t capacity, void *cookie)
{
    unsigned entries = list->n_direct + list->table;
    struct virtq_chain chain = {
        .cookie = cookie,
        .capacity = capacity,
        .entries = (uint16_t)entries,
    };

    if (entries == 0 || entries > vq->room || vq->broken) {
        return false;
    }
    vq->room -= entries;
    virtq_record(vq, vq->format->place(vq, list, entries), &chain);
    return true;
}

bool virtq_add(struct virtq *vq, const struct virtq_segment *segments, unsigned n, void *cookie)
{
    struct virtq_list list = {.segments = segments, .n_direct = n};

    return add(vq, &list, writable_octets(segments, n), cookie);
}

bool virtq_add_indirect(struct virtq *vq, const struct virtq_segment *segments, unsigned n,
                        unsigned n_direct, uint64_t table_gpa, void *cookie)
{
    struct virtq_list list = {
        .segments = segments,
        .n_direct = n_direct,
        .table = true,
        .table_gpa = table_gpa,
    };
    uint8_t *table;

    if (n_direct >= n || n - n_direct > UINT32_MAX / 16 || n_direct >= vq->room ||
        (n_direct && vq->options.packed)) {
        return false;
    }
    list.table_len = 16 * (n - n_direct);
    table = guest_ptr(vq->memory, table_gpa, list.table_len);
    if (!table) {
        return false;
    }
    vq->format->write_table(vq, table, segments + n_direct, n - n_direct);
    return add(vq, &list, writable_octets(segments, n), cookie);
}

void virtq_publish(struct virtq *vq)
{
    for (uint32_t i = vq->next_order - vq->unpublished; i != vq->next_order; i++) {
        vq->chains[vq->order[i & vq->order_mask]].state = CHAIN_PUBLISHED;
    }
    vq->published += vq->unpublished;
    vq->unpublished = 0;
    vq->format->publish(vq);
}

bool virtq_must_kick(struct virtq *vq)
{
    return vq->format->must_kick(vq);
}

uint16_t virtq_position(const struct virtq *vq)
{
    return vq->format->position(vq);
}

/* Give a published buffer to the caller and its entries to the ring. */
static bool take(struct virtq *vq, uint16_t id, uint32_t len, struct virtq_used *used)
{
    struct virtq_chain *chain = &vq->chains[id];

    if (len > chain->capacity) {
        virtq_complain(vq, "buffer %u used with %u octets written, it has room for %u", id, len,
                       chain->capacity);
        len = chain->capacity;
    }
    used->cookie = chain->cookie;
    used->len = len;
    used->id = id;
    chain->state = CHAIN_FREE;
    chain->cookie = NULL;
    vq->first_order++;
    vq->published--;
    vq->room += chain->entries;
    vq->format->release(vq, id, chain->entries);
    return true;
}

/* The next buffer of a batch that one used element closed; all but the last were used in full. */
static bool take_from_batch(struct virtq *vq, struct virtq_used *used)
{
    uint16_t id = vq->order[vq->first_order & vq->order_mask];

    if (id == vq->batch_id) {
        vq->batch = false;
        return take(vq, id, vq->batch_len, used);
    }
    return take(vq, id, vq->chains[id].capacity, used);
}

/* With IN_ORDER the element names the oldest buffer in flight, or the last of a batch from it. */
static bool take_in_order(struct virtq *vq, uint16_t id, uint32_t len, struct virtq_used *used)
{
    uint32_t ahead = vq->chains[id].order - vq->first_order;

    if (ahead > 0 && !vq->format->advanced(vq, ahead + 1)) {
        virtq_break(vq, "buffer %u used before %u older ones in spite of IN_ORDER", id, ahead);
        return false;
    }
    vq->batch = true;
    vq->batch_id = id;
    vq->batch_len = len;
    return take_from_batch(vq, used);
}

/* An element that names no buffer in flight: go past it, and say so if it cannot be. */
static void refuse(struct virtq *vq, uint32_t id)
{
    if (vq->format->skip(vq, id)) {
        vq->foreign--;
    } else if (id >= vq->options.size) {
        virtq_complain(vq, "used id %u is outside of a ring of %u", id, vq->options.size);
    } else {
        virtq_complain(vq, "used id %u is %s", id,
                       vq->chains[id].state == CHAIN_ADDED ? "not available yet" : "not in flight");
    }
}

bool virtq_poll(struct virtq *vq, struct virtq_used *used)
{
    uint32_t id;
    uint32_t len;

    for (unsigned tries = 0; tries <= vq->options.size && !vq->broken; tries++) {
        if (vq->batch) {
            return take_from_batch(vq, used);
        }
        if (!vq->format->used(vq, &id, &len)) {
            return false;
        }
        if (id >= vq->options.size || vq->chains[id].state != CHAIN_PUBLISHED) {
            refuse(vq, id);
            continue;
        }
        if (vq->options.in_order) {
            return take_in_order(vq, (uint16_t)id, len, used);
        }
        return take(vq, (uint16_t)id, len, used);
    }
    return false;
}

uint16_t virtq_used_total(const struct virtq *vq)
{
    return vq->format->used_total(vq);
}

void virtq_spoil(struct virtq *vq)
{
    vq->format->spoil(vq);
}

bool virtq_detach(struct virtq *vq, void **cookie)
{
    vq->broken = true;
    for (; vq->detached < vq->options.size; vq->detached++) {
        struct virtq_chain *chain = &vq->chains[vq->detached];

        if (chain->state != CHAIN_FREE) {
            chain->state = CHAIN_FREE;
            *cookie = chain->cookie;
            return true;
        }
    }
    return false;
}

void virtq_disable_interrupts(struct virtq *vq)
{
    vq->format->disable(vq);
}

bool virtq_enable_interrupts(struct virtq *vq, uint16_t n)
{
    return vq->format->enable(vq, n);
}

bool virtq_verify(struct virtq *vq)
{
    return vq->format->verify(vq);
}
