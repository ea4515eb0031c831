/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The split virtqueue (VIRTIO 1.4, 2.7), driver's side.
 *
 * Free descriptors hang on a list in private memory, last freed first taken; with IN_ORDER they are
 * taken round the table instead, as "In-order use of descriptors" asks (next = x + 1, 0 behind the
 * last). What the driver has written is kept a second time, so that virtq_verify can tell what the
 * device wrote over.
 */
#include "split.h"

#include <stddef.h>
#include <string.h>

#include <glib.h>
#include <vionet/spec.h>

#include "bytes.h"
#include "virtq_format.h"

#define AVAIL_FLAGS   0
#define AVAIL_IDX     2
#define AVAIL_RING(i) (4 + 2 * (size_t)(i))
#define USED_FLAGS    0
#define USED_IDX      2
#define USED_RING(i)  (4 + 8 * (size_t)(i))

struct split {
    struct virtq base;
    uint16_t mask;
    /* Guest memory, as the driver sees it. */
    uint8_t *desc;
    uint8_t *avail;
    uint8_t *used;
    /* What stands in the first two if the device keeps its hands off. */
    uint8_t *desc_copy;
    uint8_t *avail_copy;
    uint16_t *link;      /* the free descriptor after this one; within a chain, the next of it */
    uint16_t free;       /* first free descriptor */
    uint16_t avail_idx;  /* the next buffer's */
    uint16_t shown_idx;  /* avail_idx as last published */
    uint16_t kicked_idx; /* shown_idx at the last decision to kick */
    uint16_t used_idx;   /* the device's, as last read */
    uint16_t last_used;
    uint16_t used_event;
    bool interrupts;
};

static struct split *of(struct virtq *vq)
{
    return (struct split *)vq;
}

static uint16_t *word(uint8_t *part, size_t offset)
{
    return (uint16_t *)(void *)(part + offset);
}

/* Numbers in the order of the ring, and back: little-endian, or a legacy driver's. */
static uint16_t ordered16(const struct virtq *vq, uint16_t value)
{
    return vq->options.big_endian ? __builtin_bswap16(value) : value;
}

static uint32_t ordered32(const struct virtq *vq, uint32_t value)
{
    return vq->options.big_endian ? __builtin_bswap32(value) : value;
}

static uint64_t ordered64(const struct virtq *vq, uint64_t value)
{
    return vq->options.big_endian ? __builtin_bswap64(value) : value;
}

static void put_avail(struct split *split, size_t offset, uint16_t value)
{
    const uint16_t ordered = ordered16(&split->base, value);

    bytes_put16(split->avail_copy + offset, ordered);
    bytes_store16(word(split->avail, offset), ordered);
}

static void put_entry(const struct virtq *vq, uint8_t *entry, uint64_t addr, uint32_t len,
                      uint16_t flags, uint16_t next)
{
    bytes_put64(entry, ordered64(vq, addr));
    bytes_put32(entry + 8, ordered32(vq, len));
    bytes_put16(entry + 12, ordered16(vq, flags));
    bytes_put16(entry + 14, ordered16(vq, next));
}

static void put_desc(struct split *split, unsigned i, uint64_t addr, uint32_t len, uint16_t flags,
                     uint16_t next)
{
    uint8_t *copy = split->desc_copy + 16 * (size_t)i;

    put_entry(&split->base, copy, addr, len, flags, next);
    memcpy(split->desc + 16 * (size_t)i, copy, 16);
}

static void split_destroy(struct virtq *vq)
{
    struct split *split = of(vq);

    g_free(split->desc_copy);
    g_free(split->avail_copy);
    g_free(split->link);
    g_free(split);
}

static bool part(struct guest_memory *memory, uint64_t gpa, uint32_t size, unsigned align,
                 uint8_t **host)
{
    *host = gpa % align == 0 ? guest_ptr(memory, gpa, size) : NULL;
    if (*host) {
        memset(*host, 0, size);
    }
    return *host != NULL;
}

static struct virtq *split_make(struct guest_memory *memory, const struct virtq_options *options)
{
    uint16_t size = options->size;
    struct split *split;

    if (size > VIRTQ_MAX_SIZE || (size & (size - 1))) {
        return NULL;
    }
    split = g_new0(struct split, 1);
    if (!part(memory, options->area.desc_gpa, VIRTQ_DESC_TABLE_SIZE(size), 16, &split->desc) ||
        !part(memory, options->area.driver_gpa, VIRTQ_AVAIL_SIZE(size), 2, &split->avail) ||
        !part(memory, options->area.device_gpa, VIRTQ_USED_SIZE(size), 4, &split->used)) {
        g_free(split);
        return NULL;
    }
    split->mask = size - 1;
    split->desc_copy = g_malloc0(VIRTQ_DESC_TABLE_SIZE(size));
    split->avail_copy = g_malloc0(VIRTQ_AVAIL_SIZE(size));
    split->link = g_new(uint16_t, size);
    for (unsigned i = 0; i < size; i++) {
        split->link[i] = (uint16_t)(i + 1) & split->mask;
    }
    split->interrupts = true;
    return &split->base;
}

static uint16_t segment_flags(const struct virtq_segment *segment, bool last)
{
    return (segment->writable ? VIRTQ_DESC_F_WRITE : 0) | (last ? 0 : VIRTQ_DESC_F_NEXT);
}

static void split_write_segments(const struct virtq *vq, uint8_t *table,
                                 const struct virtq_segment *segments, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint8_t *entry = table + 16 * (size_t)i;
        bool last = i + 1 == n;

        put_entry(vq, entry, segments[i].gpa, segments[i].len, segment_flags(&segments[i], last),
                  last ? 0 : (uint16_t)(i + 1));
    }
}

static void offer(struct split *split, uint16_t head)
{
    put_avail(split, AVAIL_RING(split->avail_idx & split->mask), head);
    split->avail_idx++;
}

static uint16_t split_place(struct virtq *vq, const struct virtq_list *list, unsigned entries)
{
    struct split *split = of(vq);
    uint16_t head = split->free;
    uint16_t i = head;

    for (unsigned n = 0; n < entries; n++) {
        bool last = n + 1 == entries;
        uint16_t next = split->link[i];

        if (n < list->n_direct) {
            const struct virtq_segment *segment = &list->segments[n];

            put_desc(split, i, segment->gpa, segment->len, segment_flags(segment, last),
                     last ? 0 : next);
        } else {
            put_desc(split, i, list->table_gpa, list->table_len, VIRTQ_DESC_F_INDIRECT, 0);
        }
        i = next;
    }
    split->free = i;
    offer(split, head);
    return head;
}

static void split_publish(struct virtq *vq)
{
    struct split *split = of(vq);

    split->shown_idx = split->avail_idx;
    /* Descriptors and ring entries before the index that shows them. */
    split_write_avail_idx(vq, split->avail_idx);
}

static uint16_t avail_event(struct split *split)
{
    return ordered16(&split->base,
                     bytes_load16(word(split->used, USED_RING(split->base.options.size))));
}

static bool split_must_kick(struct virtq *vq)
{
    struct split *split = of(vq);
    uint16_t old = split->kicked_idx;
    uint16_t new = split->shown_idx;
    uint16_t flags;

    split->kicked_idx = new;
    if (new == old) {
        return false;
    }
    /* The store of avail idx before the load of avail_event or flags. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (vq->options.event_idx) {
        return (uint16_t)(new - avail_event(split) - 1) < (uint16_t)(new - old);
    }
    flags = ordered16(vq, bytes_load16(word(split->used, USED_FLAGS)));
    if (flags > VIRTQ_USED_F_NO_NOTIFY) {
        virtq_complain(vq, "used flags are 0x%x", flags);
    }
    return !(flags & VIRTQ_USED_F_NO_NOTIFY);
}

static uint16_t split_position(const struct virtq *vq)
{
    return ((const struct split *)vq)->shown_idx;
}

/* Read the device's index anew; the number of used elements not looked at yet. */
static unsigned count_used(struct split *split)
{
    struct virtq *vq = &split->base;
    unsigned n;

    /* The index before the elements it shows. */
    split->used_idx = split_read_used_idx(vq);
    n = (uint16_t)(split->used_idx - split->last_used);
    if (n > vq->published + vq->foreign) {
        virtq_break(vq, "used idx went from %u to %u with %u buffers available", split->last_used,
                    split->used_idx, vq->published);
        return 0;
    }
    return n;
}

static void put_used_event(struct split *split, uint16_t idx)
{
    split->used_event = idx;
    put_avail(split, AVAIL_RING(split->base.options.size), idx);
}

/* Nothing is there: the next used buffer shall interrupt, unless one further on was asked for. */
static unsigned rearm(struct split *split)
{
    if (split->base.broken || !split->interrupts || !split->base.options.event_idx ||
        (int16_t)(split->used_event - split->last_used) >= 0) {
        return 0;
    }
    put_used_event(split, split->last_used);
    /* The store of used_event before the load of used idx. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return count_used(split);
}

static bool split_used(struct virtq *vq, uint32_t *id, uint32_t *len)
{
    struct split *split = of(vq);
    const uint8_t *element = split->used + USED_RING(split->last_used & split->mask);

    if (split->used_idx == split->last_used && !count_used(split) && !rearm(split)) {
        return false;
    }
    *id = ordered32(vq, bytes_load32((const uint32_t *)(const void *)element));
    *len = ordered32(vq, bytes_load32((const uint32_t *)(const void *)(element + 4)));
    return true;
}

static bool split_advanced(struct virtq *vq, unsigned buffers)
{
    return count_used(of(vq)) >= buffers;
}

static void split_release(struct virtq *vq, uint16_t id, uint16_t entries)
{
    struct split *split = of(vq);
    uint16_t last = id;

    split->last_used++;
    if (entries == 0 || vq->options.in_order) {
        return; /* in order, link stays the circle it is */
    }
    for (unsigned n = 1; n < entries; n++) {
        last = split->link[last];
    }
    split->link[last] = split->free;
    split->free = id;
}

static bool split_skip(struct virtq *vq, uint32_t id)
{
    of(vq)->last_used++;
    return vq->foreign > 0 && id < vq->options.size;
}

static uint16_t split_used_total(const struct virtq *vq)
{
    return split_read_used_idx(vq);
}

static void split_disable(struct virtq *vq)
{
    struct split *split = of(vq);

    split->interrupts = false;
    if (vq->options.event_idx) {
        put_used_event(split, split->last_used - 1);
    } else {
        put_avail(split, AVAIL_FLAGS, VIRTQ_AVAIL_F_NO_INTERRUPT);
    }
}

static bool split_enable(struct virtq *vq, uint16_t n)
{
    struct split *split = of(vq);

    split->interrupts = true;
    if (vq->options.event_idx) {
        put_used_event(split, split->last_used + n - 1);
    } else {
        put_avail(split, AVAIL_FLAGS, 0);
        n = 1;
    }
    /* The store of used_event or flags before the load of used idx. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return count_used(split) < n;
}

static bool same(struct virtq *vq, const char *what, const uint8_t *now, const uint8_t *written,
                 size_t octets)
{
    for (size_t i = 0; i < octets; i++) {
        if (now[i] != written[i]) {
            virtq_complain(vq, "octet %zu of the %s is 0x%02x, written as 0x%02x", i, what, now[i],
                           written[i]);
            return false;
        }
    }
    return true;
}

static bool split_verify(struct virtq *vq)
{
    struct split *split = of(vq);
    uint16_t size = vq->options.size;
    uint16_t flags = ordered16(vq, bytes_load16(word(split->used, USED_FLAGS)));
    bool good = flags <= (vq->options.event_idx ? 0 : VIRTQ_USED_F_NO_NOTIFY);

    if (!good) {
        virtq_complain(vq, "used flags are 0x%x", flags);
    }
    good &=
        same(vq, "descriptor table", split->desc, split->desc_copy, VIRTQ_DESC_TABLE_SIZE(size));
    good &= same(vq, "available ring", split->avail, split->avail_copy, VIRTQ_AVAIL_SIZE(size));
    return good;
}

/* A head that does not exist; if the ring is full, one more than it holds. */
static void split_spoil(struct virtq *vq)
{
    struct split *split = of(vq);

    put_avail(split, AVAIL_RING(split->shown_idx & split->mask), vq->options.size);
    split_write_avail_idx(vq, (uint16_t)(split->shown_idx + 1));
}

const struct virtq_format split_format = {
    .make = split_make,
    .destroy = split_destroy,
    .write_table = split_write_segments,
    .place = split_place,
    .publish = split_publish,
    .must_kick = split_must_kick,
    .position = split_position,
    .used = split_used,
    .used_total = split_used_total,
    .advanced = split_advanced,
    .release = split_release,
    .skip = split_skip,
    .disable = split_disable,
    .enable = split_enable,
    .verify = split_verify,
    .spoil = split_spoil,
};

/* ---- Raw access ---- */

static bool is_split(const struct virtq *vq)
{
    return vq->format == &split_format;
}

bool split_write_desc(struct virtq *vq, unsigned i, const struct split_desc *desc)
{
    if (!is_split(vq) || i >= vq->options.size) {
        return false;
    }
    put_desc(of(vq), i, desc->addr, desc->len, desc->flags, desc->next);
    return true;
}

bool split_read_desc(struct virtq *vq, unsigned i, struct split_desc *desc)
{
    const uint8_t *at;

    if (!is_split(vq) || i >= vq->options.size) {
        return false;
    }
    at = of(vq)->desc + 16 * (size_t)i;
    desc->addr = ordered64(vq, bytes_get64(at));
    desc->len = ordered32(vq, bytes_get32(at + 8));
    desc->flags = ordered16(vq, bytes_get16(at + 12));
    desc->next = ordered16(vq, bytes_get16(at + 14));
    return true;
}

bool split_write_table(struct guest_memory *memory, uint64_t table_gpa, unsigned i,
                       const struct split_desc *desc)
{
    uint8_t entry[16];

    bytes_put64(entry, desc->addr);
    bytes_put32(entry + 8, desc->len);
    bytes_put16(entry + 12, desc->flags);
    bytes_put16(entry + 14, desc->next);
    return guest_write(memory, table_gpa + 16 * (uint64_t)i, entry, sizeof(entry));
}

bool split_write_avail(struct virtq *vq, unsigned slot, uint16_t head)
{
    if (!is_split(vq) || slot >= vq->options.size) {
        return false;
    }
    put_avail(of(vq), AVAIL_RING(slot), head);
    return true;
}

void split_write_avail_idx(struct virtq *vq, uint16_t idx)
{
    if (is_split(vq)) {
        idx = ordered16(vq, idx);
        bytes_put16(of(vq)->avail_copy + AVAIL_IDX, idx);
        bytes_release16(word(of(vq)->avail, AVAIL_IDX), idx);
    }
}

void split_write_avail_flags(struct virtq *vq, uint16_t flags)
{
    if (is_split(vq)) {
        put_avail(of(vq), AVAIL_FLAGS, flags);
    }
}

void split_write_used_event(struct virtq *vq, uint16_t idx)
{
    if (is_split(vq)) {
        put_used_event(of(vq), idx);
    }
}

uint16_t split_read_avail_idx(struct virtq *vq)
{
    return is_split(vq) ? ordered16(vq, bytes_load16(word(of(vq)->avail, AVAIL_IDX))) : 0;
}

uint16_t split_read_used_flags(struct virtq *vq)
{
    return is_split(vq) ? ordered16(vq, bytes_load16(word(of(vq)->used, USED_FLAGS))) : 0;
}

uint16_t split_read_used_idx(const struct virtq *vq)
{
    if (!is_split(vq)) {
        return 0;
    }
    return ordered16(vq, bytes_acquire16(word(((const struct split *)vq)->used, USED_IDX)));
}

bool split_read_used(struct virtq *vq, unsigned slot, uint32_t *id, uint32_t *len)
{
    const uint8_t *element;

    if (!is_split(vq) || slot >= vq->options.size) {
        return false;
    }
    element = of(vq)->used + USED_RING(slot);
    *id = ordered32(vq, bytes_get32(element));
    *len = ordered32(vq, bytes_get32(element + 4));
    return true;
}

uint16_t split_read_avail_event(struct virtq *vq)
{
    return is_split(vq) ? avail_event(of(vq)) : 0;
}

bool split_take(struct virtq *vq, uint16_t *i)
{
    if (!is_split(vq) || vq->room == 0) {
        return false;
    }
    *i = of(vq)->free;
    of(vq)->free = of(vq)->link[*i];
    vq->room--;
    return true;
}

void split_offer(struct virtq *vq, uint16_t head, void *cookie)
{
    struct virtq_chain chain = {.cookie = cookie, .capacity = UINT32_MAX};

    if (!is_split(vq)) {
        return;
    }
    offer(of(vq), head);
    if (head < vq->options.size && vq->chains[head].state == CHAIN_FREE) {
        virtq_record(vq, head, &chain);
    } else {
        vq->foreign++;
    }
}
