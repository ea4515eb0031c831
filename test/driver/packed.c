/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The packed virtqueue (VIRTIO 1.4, 2.8), driver's side.
 *
 * A place is counted from 0 when the ring is made and never comes again; its slot is the place
 * modulo the size, its wrap counter is 1 in even rounds and 0 in odd ones. Ids lie on a stack, last
 * freed first taken, so that they have nothing to do with slots. The second half of a descriptor
 * (len, id, flags) is read and written as one word of 64 bits: it is what orders the two sides. Of
 * all that was added and not published the first flags are held back.
 *
 * What the driver has written is kept a second time; where a buffer came back, as the device left
 * it. So virtq_verify can tell what the device wrote elsewhere, or later.
 */
#include "packed.h"

#include <stddef.h>
#include <string.h>

#include <glib.h>
#include <vionet/spec.h>

#include "bytes.h"
#include "virtq_format.h"

#define DESC 16
#define REST 8 /* of a descriptor: len, id, flags */

#define AVAIL_USED (VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED)

/* A list offered raw under an id that no record stands for. */
struct foreign {
    uint16_t id;
    uint16_t entries;
};

struct packed {
    struct virtq base;
    /* Guest memory, as the driver sees it. */
    uint8_t *ring;
    uint8_t *driver_event;
    uint8_t *device_event;
    /* What stands in the first two if the device keeps its hands off. */
    uint8_t *ring_copy;
    uint32_t driver_event_copy;
    uint16_t *ids; /* those free, n_ids of them */
    unsigned n_ids;
    GArray *foreign;
    uint64_t avail_at;  /* place of the next descriptor */
    uint64_t shown_at;  /* avail_at as last published */
    uint64_t kicked_at; /* shown_at at the last decision to kick */
    uint64_t held;      /* the second half that makes shown_at available */
    uint64_t used_at;   /* place where the next buffer comes back */
    uint64_t event_at;  /* place whose use interrupts */
    uint16_t returned;  /* buffers polled so far */
    bool interrupts;
};

static struct packed *of(struct virtq *vq)
{
    return (struct packed *)vq;
}

static const struct packed *of_const(const struct virtq *vq)
{
    return (const struct packed *)vq;
}

/* ---- Places ---- */

static uint16_t slot_of(const struct packed *packed, uint64_t at)
{
    return (uint16_t)(at % packed->base.options.size);
}

static bool wrap_of(const struct packed *packed, uint64_t at)
{
    return at / packed->base.options.size % 2 == 0;
}

/* AVAIL and USED of an available descriptor there; and of a used one. */
static uint16_t available_there(const struct packed *packed, uint64_t at)
{
    return wrap_of(packed, at) ? VIRTQ_DESC_F_AVAIL : VIRTQ_DESC_F_USED;
}

static uint16_t used_there(const struct packed *packed, uint64_t at)
{
    return wrap_of(packed, at) ? AVAIL_USED : 0;
}

/* Slot and wrap counter as event words and notifications have them. */
static uint16_t off_wrap(const struct packed *packed, uint64_t at)
{
    return (uint16_t)(slot_of(packed, at) | (wrap_of(packed, at) ? RING_EVENT_WRAP : 0));
}

/* ---- Memory ---- */

static uint64_t rest_of(uint32_t len, uint16_t id, uint16_t flags)
{
    return len | (uint64_t)id << 32 | (uint64_t)flags << 48;
}

static uint64_t load_rest(const struct packed *packed, uint64_t at)
{
    return bytes_acquire64(
        (const uint64_t *)(const void *)(packed->ring + DESC * slot_of(packed, at) + REST));
}

static void put_addr(struct packed *packed, unsigned slot, uint64_t addr)
{
    bytes_put64(packed->ring_copy + DESC * slot, addr);
    bytes_put64(packed->ring + DESC * slot, addr);
}

static void put_rest(struct packed *packed, unsigned slot, uint64_t rest)
{
    bytes_put64(packed->ring_copy + DESC * slot + REST, rest);
    bytes_release64((uint64_t *)(void *)(packed->ring + DESC * slot + REST), rest);
}

static void put_event(struct packed *packed, uint16_t place, uint16_t flags)
{
    packed->driver_event_copy = place | (uint32_t)flags << 16;
    bytes_store32((uint32_t *)(void *)packed->driver_event, packed->driver_event_copy);
}

static uint32_t device_event(const struct packed *packed)
{
    return bytes_load32((const uint32_t *)(const void *)packed->device_event);
}

/* ---- Making ---- */

static void packed_destroy(struct virtq *vq)
{
    struct packed *packed = of(vq);

    g_free(packed->ring_copy);
    g_free(packed->ids);
    g_array_unref(packed->foreign);
    g_free(packed);
}

static uint8_t *part(struct guest_memory *memory, uint64_t gpa, uint32_t size, unsigned align)
{
    uint8_t *host = gpa % align == 0 ? guest_ptr(memory, gpa, size) : NULL;

    if (host) {
        memset(host, 0, size);
    }
    return host;
}

/* Interrupt when the buffer at that place comes back. */
static void put_event_at(struct packed *packed, uint64_t at)
{
    packed->event_at = at;
    put_event(packed, off_wrap(packed, at), RING_EVENT_FLAGS_DESC);
}

static struct virtq *packed_make(struct guest_memory *memory, const struct virtq_options *options)
{
    const uint16_t size = options->size;
    uint8_t *ring = part(memory, options->area.desc_gpa, PVIRTQ_DESC_RING_SIZE(size), 16);
    uint8_t *driver = part(memory, options->area.driver_gpa, PVIRTQ_EVENT_SIZE, 4);
    uint8_t *device = part(memory, options->area.device_gpa, PVIRTQ_EVENT_SIZE, 4);
    struct packed *packed;

    if (size > VIRTQ_MAX_SIZE || !ring || !driver || !device) {
        return NULL;
    }
    packed = g_new0(struct packed, 1);
    packed->base.options = *options;
    packed->ring = ring;
    packed->driver_event = driver;
    packed->device_event = device;
    packed->ring_copy = g_malloc0(PVIRTQ_DESC_RING_SIZE(size));
    packed->ids = g_new(uint16_t, size);
    for (unsigned id = size; id-- > 0;) {
        packed->ids[packed->n_ids++] = (uint16_t)id;
    }
    packed->foreign = g_array_new(FALSE, FALSE, sizeof(struct foreign));
    packed->interrupts = true;
    if (options->event_idx) {
        put_event_at(packed, 0);
    }
    return &packed->base;
}

/* ---- Making available ---- */

static void packed_write_segments(const struct virtq *vq, uint8_t *table,
                                  const struct virtq_segment *segments, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint8_t *entry = table + DESC * (size_t)i;

        bytes_put64(entry, segments[i].gpa);
        bytes_put64(entry + REST,
                    rest_of(segments[i].len, 0, segments[i].writable ? VIRTQ_DESC_F_WRITE : 0));
    }
}

/* Write a descriptor at the next place; the second half of the first one unpublished is held. */
static void place(struct packed *packed, uint64_t addr, uint32_t len, uint16_t id, uint16_t flags)
{
    const uint64_t at = packed->avail_at++;
    const uint64_t rest = rest_of(len, id, flags | available_there(packed, at));

    put_addr(packed, slot_of(packed, at), addr);
    if (at == packed->shown_at) {
        packed->held = rest;
    } else {
        put_rest(packed, slot_of(packed, at), rest);
    }
}

static uint16_t packed_place(struct virtq *vq, const struct virtq_list *list, unsigned entries)
{
    struct packed *packed = of(vq);
    const uint16_t id = packed->ids[--packed->n_ids];

    for (unsigned i = 0; i < list->n_direct; i++) {
        const struct virtq_segment *segment = &list->segments[i];

        place(packed, segment->gpa, segment->len, id,
              (uint16_t)((segment->writable ? VIRTQ_DESC_F_WRITE : 0) |
                         (i + 1 < entries ? VIRTQ_DESC_F_NEXT : 0)));
    }
    if (list->table) {
        place(packed, list->table_gpa, list->table_len, id, VIRTQ_DESC_F_INDIRECT);
    }
    return id;
}

static void packed_publish(struct virtq *vq)
{
    struct packed *packed = of(vq);

    if (packed->shown_at != packed->avail_at) {
        put_rest(packed, slot_of(packed, packed->shown_at), packed->held);
        packed->shown_at = packed->avail_at;
    }
}

static bool packed_must_kick(struct virtq *vq)
{
    struct packed *packed = of(vq);
    const uint64_t round = 2 * (uint64_t)vq->options.size;
    const uint64_t shown = packed->shown_at - packed->kicked_at;
    const uint64_t old = packed->kicked_at;
    uint64_t event_at;
    uint32_t event;

    packed->kicked_at = packed->shown_at;
    if (shown == 0) {
        return false;
    }
    /* The stores of flags before the load of the event word. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    event = device_event(packed);
    if (event >> 16 == RING_EVENT_FLAGS_DISABLE) {
        return false;
    }
    event_at = event & RING_EVENT_OFF_MASK;
    if (event >> 16 == RING_EVENT_FLAGS_ENABLE) {
        return true;
    }
    if (event >> 16 != RING_EVENT_FLAGS_DESC || !vq->options.event_idx ||
        event_at >= vq->options.size) {
        virtq_complain(vq, "the device's event word is 0x%x", event);
        return true;
    }
    /* Places look alike after two rounds: how far from old on that one is. */
    event_at += event & RING_EVENT_WRAP ? 0 : vq->options.size;
    return (event_at + round - old % round) % round < shown;
}

static uint16_t packed_position(const struct virtq *vq)
{
    return off_wrap(of_const(vq), of_const(vq)->shown_at);
}

/* ---- Taking back ---- */

static bool is_used(const struct packed *packed, uint64_t at, uint64_t rest)
{
    return (rest >> 48 & AVAIL_USED) == used_there(packed, at);
}

/* Nothing is there: the next used buffer shall interrupt, unless one further on was asked for. */
static void rearm(struct packed *packed)
{
    if (!packed->interrupts || !packed->base.options.event_idx ||
        packed->event_at >= packed->used_at) {
        return;
    }
    put_event_at(packed, packed->used_at);
    /* The store of the event word before the load of the next used place. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static bool packed_used(struct virtq *vq, uint32_t *id, uint32_t *len)
{
    struct packed *packed = of(vq);
    uint64_t rest = load_rest(packed, packed->used_at);
    uint16_t flags;

    if (!is_used(packed, packed->used_at, rest)) {
        rearm(packed);
        rest = load_rest(packed, packed->used_at);
        if (!is_used(packed, packed->used_at, rest)) {
            return false;
        }
    }
    flags = (uint16_t)(rest >> 48 & (uint16_t)~AVAIL_USED);
    *id = (uint16_t)(rest >> 32);
    *len = (uint32_t)rest;
    if (flags & ~VIRTQ_DESC_F_WRITE || !(flags & VIRTQ_DESC_F_WRITE) != (*len == 0)) {
        virtq_complain(vq, "buffer %u used with %u octets written and flags 0x%x", *id, *len,
                       flags);
    }
    if (!(flags & VIRTQ_DESC_F_WRITE)) {
        *len = 0;
    }
    return true;
}

/*
 * One used descriptor stands for a whole batch, and what it names is how far the batch goes: there
 * is nothing else that could tell.
 */
static bool packed_advanced(struct virtq *vq, unsigned buffers)
{
    return buffers <= vq->published;
}

static void pass(struct packed *packed, uint16_t entries)
{
    const size_t at = DESC * (size_t)slot_of(packed, packed->used_at);

    memcpy(packed->ring_copy + at, packed->ring + at, DESC);
    packed->used_at += entries;
    packed->returned++;
}

static void packed_release(struct virtq *vq, uint16_t id, uint16_t entries)
{
    struct packed *packed = of(vq);

    pass(packed, entries);
    packed->ids[packed->n_ids++] = id;
}

/* The first list offered raw under an id; NULL if there is none. */
static const struct foreign *find_foreign(const struct packed *packed, uint32_t id, guint *i)
{
    for (*i = 0; *i < packed->foreign->len; (*i)++) {
        const struct foreign *one = &g_array_index(packed->foreign, struct foreign, *i);

        if (one->id == id) {
            return one;
        }
    }
    return NULL;
}

static bool packed_skip(struct virtq *vq, uint32_t id)
{
    struct packed *packed = of(vq);
    const struct foreign *foreign;
    guint i;

    foreign = find_foreign(packed, id, &i);
    if (!foreign) {
        vq->broken = true; /* nobody knows where the next buffer comes back */
        return false;
    }
    vq->room = MIN(vq->room + foreign->entries, vq->options.size);
    pass(packed, foreign->entries);
    g_array_remove_index(packed->foreign, i);
    return true;
}

/* ---- Looking ahead ---- */

/*
 * The place behind the buffer, or the batch, that came back at a place; the same place if none did
 * or its id is unknown. Its buffers are added to n.
 */
static uint64_t behind_used(const struct packed *packed, uint64_t at, uint32_t *order, unsigned *n)
{
    const struct virtq *vq = &packed->base;
    const uint64_t rest = load_rest(packed, at);
    const uint16_t id = (uint16_t)(rest >> 32);
    const struct foreign *foreign;
    guint i;

    if (at >= packed->shown_at || !is_used(packed, at, rest)) {
        return at;
    }
    if (id < vq->options.size && vq->chains[id].state == CHAIN_PUBLISHED) {
        if (!vq->options.in_order) {
            ++*n;
            return at + vq->chains[id].entries;
        }
        while (*order != vq->next_order) {
            const uint16_t next = vq->order[(*order)++ & vq->order_mask];

            ++*n;
            at += vq->chains[next].entries;
            if (next == id) {
                break;
            }
        }
        return at;
    }
    foreign = find_foreign(packed, id, &i);
    *n += foreign ? 1 : 0;
    return foreign ? at + foreign->entries : at;
}

/* How many buffers came back that were not polled. */
static unsigned count_used(const struct packed *packed)
{
    uint32_t order = packed->base.first_order;
    uint64_t at = packed->used_at;
    uint64_t next;
    unsigned n = 0;

    while ((next = behind_used(packed, at, &order, &n)) != at) {
        at = next;
    }
    return n;
}

static uint16_t packed_used_total(const struct virtq *vq)
{
    return (uint16_t)(of_const(vq)->returned + count_used(of_const(vq)));
}

/* The place of the n-th next used buffer, if they come back in the order they went. */
static uint64_t place_of_used(const struct packed *packed, unsigned n)
{
    const struct virtq *vq = &packed->base;
    const uint32_t in_flight = vq->next_order - vq->first_order;
    uint64_t at = packed->used_at;

    for (uint32_t i = 0; i + 1 < n; i++) {
        const uint16_t id = vq->order[(vq->first_order + i) & vq->order_mask];

        at += i < in_flight ? vq->chains[id].entries : 1;
    }
    return at;
}

static void packed_disable(struct virtq *vq)
{
    of(vq)->interrupts = false;
    put_event(of(vq), 0, RING_EVENT_FLAGS_DISABLE);
}

static bool packed_enable(struct virtq *vq, uint16_t n)
{
    struct packed *packed = of(vq);

    packed->interrupts = true;
    if (vq->options.event_idx) {
        put_event_at(packed, place_of_used(packed, n));
    } else {
        put_event(packed, 0, RING_EVENT_FLAGS_ENABLE);
        n = 1;
    }
    /* The store of the event word before the loads of used places. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return count_used(packed) < n;
}

/* ---- Verifying ---- */

/* Every slot is as the driver wrote it, but for those in which a buffer has come back. */
static bool verify_ring(struct packed *packed)
{
    struct virtq *vq = &packed->base;
    uint32_t order = vq->first_order;
    unsigned came_back = 0;
    uint64_t used = packed->used_at;
    const uint64_t end = used + vq->options.size;

    for (uint64_t at = used; at < end; at++) {
        const size_t offset = DESC * (size_t)slot_of(packed, at);

        if (at == used) {
            used = behind_used(packed, at, &order, &came_back);
            if (used != at) {
                continue;
            }
        }
        for (size_t i = offset; i < offset + DESC; i++) {
            if (packed->ring[i] != packed->ring_copy[i]) {
                virtq_complain(vq, "octet %zu of the descriptor ring is 0x%02x, written as 0x%02x",
                               i, packed->ring[i], packed->ring_copy[i]);
                return false;
            }
        }
    }
    return true;
}

static bool packed_verify(struct virtq *vq)
{
    struct packed *packed = of(vq);
    const uint32_t ours = bytes_load32((const uint32_t *)(const void *)packed->driver_event);
    const uint32_t event = device_event(packed);
    bool good = true;

    if (event >> 16 > (vq->options.event_idx ? RING_EVENT_FLAGS_DESC : RING_EVENT_FLAGS_DISABLE) ||
        (event & RING_EVENT_OFF_MASK) >= vq->options.size) {
        virtq_complain(vq, "the device's event word is 0x%x", event);
        good = false;
    }
    if (ours != packed->driver_event_copy) {
        virtq_complain(vq, "the driver's event word is 0x%x, written as 0x%x", ours,
                       packed->driver_event_copy);
        good = false;
    }
    return verify_ring(packed) && good;
}

/* A table of no entries; if the ring is full, in all places, for it is not known which comes next. */
static void packed_spoil(struct virtq *vq)
{
    struct packed *packed = of(vq);
    uint64_t at = vq->room ? packed->shown_at : packed->used_at;

    do {
        put_rest(packed, slot_of(packed, at),
                 rest_of(0, 0, VIRTQ_DESC_F_INDIRECT | available_there(packed, at)));
    } while (++at < packed->shown_at);
}

const struct virtq_format packed_format = {
    .make = packed_make,
    .destroy = packed_destroy,
    .write_table = packed_write_segments,
    .place = packed_place,
    .publish = packed_publish,
    .must_kick = packed_must_kick,
    .position = packed_position,
    .used = packed_used,
    .used_total = packed_used_total,
    .advanced = packed_advanced,
    .release = packed_release,
    .skip = packed_skip,
    .disable = packed_disable,
    .enable = packed_enable,
    .verify = packed_verify,
    .spoil = packed_spoil,
};

/* ---- Raw access ---- */

static bool is_packed(const struct virtq *vq)
{
    return vq->format == &packed_format;
}

uint16_t packed_slot(const struct virtq *vq, unsigned n)
{
    return is_packed(vq) ? slot_of(of_const(vq), of_const(vq)->avail_at + n) : 0;
}

uint16_t packed_available(const struct virtq *vq, unsigned n)
{
    return is_packed(vq) ? available_there(of_const(vq), of_const(vq)->avail_at + n) : 0;
}

bool packed_write_desc(struct virtq *vq, unsigned slot, const struct packed_desc *desc)
{
    if (!is_packed(vq) || slot >= vq->options.size) {
        return false;
    }
    put_addr(of(vq), slot, desc->addr);
    put_rest(of(vq), slot, rest_of(desc->len, desc->id, desc->flags));
    return true;
}

bool packed_read_desc(struct virtq *vq, unsigned slot, struct packed_desc *desc)
{
    const uint8_t *at;

    if (!is_packed(vq) || slot >= vq->options.size) {
        return false;
    }
    at = of(vq)->ring + DESC * (size_t)slot;
    desc->addr = bytes_get64(at);
    desc->len = bytes_get32(at + 8);
    desc->id = bytes_get16(at + 12);
    desc->flags = bytes_get16(at + 14);
    return true;
}

bool packed_write_table(struct guest_memory *memory, uint64_t table_gpa, unsigned i,
                        const struct packed_desc *desc)
{
    uint8_t entry[DESC];

    bytes_put64(entry, desc->addr);
    bytes_put64(entry + REST, rest_of(desc->len, desc->id, desc->flags));
    return guest_write(memory, table_gpa + DESC * (uint64_t)i, entry, sizeof(entry));
}

void packed_write_event(struct virtq *vq, uint16_t place, uint16_t flags)
{
    if (is_packed(vq)) {
        put_event(of(vq), place, flags);
    }
}

void packed_read_event(const struct virtq *vq, uint16_t *place, uint16_t *flags)
{
    const uint32_t event = is_packed(vq) ? device_event(of_const(vq)) : 0;

    *place = (uint16_t)event;
    *flags = (uint16_t)(event >> 16);
}

/* Take an id off the free ones, wherever on the stack it is. */
static void take_id(struct packed *packed, uint16_t id)
{
    unsigned i = 0;

    while (packed->ids[i] != id) {
        i++;
    }
    memmove(&packed->ids[i], &packed->ids[i + 1], (--packed->n_ids - i) * sizeof(packed->ids[0]));
}

void packed_offer(struct virtq *vq, unsigned n, uint16_t id, void *cookie)
{
    struct virtq_chain chain = {.cookie = cookie, .capacity = UINT32_MAX, .entries = (uint16_t)n};
    struct foreign foreign = {id, (uint16_t)n};
    struct packed *packed = of(vq);

    if (!is_packed(vq)) {
        return;
    }
    virtq_publish(vq);
    packed->avail_at += n;
    packed->shown_at = packed->avail_at;
    vq->room -= MIN(n, vq->room);
    if (id < vq->options.size && vq->chains[id].state == CHAIN_FREE) {
        take_id(packed, id);
        virtq_record(vq, id, &chain);
        virtq_publish(vq);
    } else {
        vq->foreign++;
        g_array_append_val(packed->foreign, foreign);
    }
}
