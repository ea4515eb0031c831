/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The split virtqueue (VIRTIO 1.4, 2.7): descriptor table, available ring, used ring.
 *
 *     Descriptor Area          Driver Area                Device Area
 *     desc[0..N)               flags, idx                 flags, idx
 *       addr len flags next    ring[0..N)  heads          ring[0..N)  id, len
 *                              used_event                 avail_event
 *
 * The driver writes the first two, the device the third. An index runs freely through 16 bits; its
 * slot is the index modulo N. Every word is read once, into a copy that is then checked: the driver
 * may be changing it while we look.
 *
 * Words are little-endian. split_big.c makes a second format of this file, for legacy drivers of
 * big-endian guests (2.7.3): neither pays for the other.
 */
#include "ring/formats.h"

#include "bytes.h"
#include "lines.h"
#include "ring/walk.h"

#include <stdatomic.h>

#include <vionet/spec.h>

#ifdef SPLIT_BIG_ENDIAN
#define FORMAT    ring_format_split_big
#define WORD16(v) __builtin_bswap16(v)
#define WORD32(v) __builtin_bswap32(v)
#define WORD64(v) __builtin_bswap64(v)
#else
#define FORMAT    ring_format_split
#define WORD16(v) (v)
#define WORD32(v) (v)
#define WORD64(v) (v)
#endif

#define USED_FLAGS  0u
#define USED_IDX    2u
#define USED_RING   4u
#define AVAIL_FLAGS 0u
#define AVAIL_IDX   2u
#define AVAIL_RING  4u

static uint32_t split_area_size(unsigned area, uint16_t size)
{
    switch (area) {
    case VIONET_AREA_DESC:
        return VIRTQ_DESC_TABLE_SIZE(size);
    case VIONET_AREA_DRIVER:
        return VIRTQ_AVAIL_SIZE(size);
    default:
        return VIRTQ_USED_SIZE(size);
    }
}

/* Storing in the part that the device writes. */
static inline void store16(struct ring *ring, uint32_t offset, uint16_t number)
{
    uint8_t *device = ring->area[VIONET_AREA_DEVICE];
    const uint16_t value = WORD16(number);

    if (G_LIKELY(device != NULL)) {
        guest_store16(device + offset, value);
    } else {
        ring_store(ring, VIONET_AREA_DEVICE, offset, value, 2);
    }
}

/* ---- Buffers that are out ---- */

static inline void take(struct ring *ring, struct chain_ref *ref)
{
    ring->taken[ref->id] = true;
    ring->in_flight++;
    ref->turn = ring->next_turn++;
}

static inline void release(struct ring *ring, uint16_t id)
{
    ring->taken[id] = false;
    ring->in_flight--;
}

/* ---- Taking ---- */

/* A descriptor, copied. */
struct desc {
    struct walk_desc common;
    uint16_t next;
};

static inline struct desc desc_of(uint64_t addr, uint64_t rest)
{
    return (struct desc){
        .common = {.addr = WORD64(addr),
                   .len = WORD32((uint32_t)rest),
                   .flags = WORD16((uint16_t)(rest >> 32))},
        .next = WORD16((uint16_t)(rest >> 48)),
    };
}

static inline struct desc desc_load(const uint8_t *p)
{
    const uint64_t rest = guest_load64(p + 8);

    return desc_of(guest_load64(p), rest);
}

/* The elements of a table; index is the descriptor that refers to it. */
static int walk_table(struct walk *walk, unsigned index, const struct walk_table *table)
{
    struct ring *ring = walk->ring;
    uint64_t words[2];
    struct desc desc;

    for (uint32_t i = 0; i < table->n; i = desc.next) {
        if (walk_entry(walk, index, table, i, words) < 0) {
            return -1;
        }
        desc = desc_of(words[0], words[1]);
        if (desc.common.flags & VIRTQ_DESC_F_INDIRECT) {
            return ring_fault(ring, VIONET_VIOLATION_INDIRECT_NESTED, index, i);
        }
        if (walk_add(walk, index, &desc.common) < 0) {
            return -1;
        }
        if (!(desc.common.flags & VIRTQ_DESC_F_NEXT)) {
            return 0;
        }
    }
    return ring_fault(ring, VIONET_VIOLATION_NEXT_RANGE, index, desc.next);
}

/* The chain that begins at head. An indirect table can only end it, so the loop never resumes. */
static int walk_chain(struct walk *walk, uint16_t head)
{
    struct ring *ring = walk->ring;
    struct walk_table table;
    uint16_t index = head;

    for (;;) {
        struct desc desc = desc_load(ring_at(ring, VIONET_AREA_DESC, 16u * index, 16));

        walk->chain->ref.n_desc++;
        if (G_UNLIKELY(desc.common.flags & VIRTQ_DESC_F_INDIRECT)) {
            return walk_enter(walk, index, &desc.common, &table) < 0
                       ? -1
                       : walk_table(walk, index, &table);
        }
        if (walk_add(walk, index, &desc.common) < 0) {
            return -1;
        }
        if (!(desc.common.flags & VIRTQ_DESC_F_NEXT)) {
            return 0;
        }
        index = desc.next;
        if (G_UNLIKELY(index >= ring->setup.size)) {
            return ring_fault(ring, VIONET_VIOLATION_NEXT_RANGE, head, index);
        }
        /* Direct chains are bounded by the table even where indirect ones may be longer. */
        if (G_UNLIKELY(walk->n >= ring->setup.size)) {
            return ring_fault(ring, VIONET_VIOLATION_CHAIN_LENGTH, head, ring->setup.size);
        }
    }
}

/* Reads the driver's index if all that was seen is taken. 1 if there is a buffer, 0, or -1. */
static int look(struct ring *ring)
{
    uint16_t idx;

    if (ring->next_avail != ring->seen_avail) {
        return 1;
    }
    /* Acquire: the ring entries and descriptors behind idx are read after it. */
    idx = WORD16(guest_load16_acquire(ring_at(ring, VIONET_AREA_DRIVER, AVAIL_IDX, 2)));
    if (G_UNLIKELY(ring->lost)) {
        return -1;
    }
    if (idx == ring->next_avail) {
        return 0;
    }
    /* No more than the driver can have: the ring less what it has not got back. */
    if ((uint16_t)(idx - ring->next_avail) > ring->setup.size - ring->in_flight - ring->staged) {
        return ring_fault(ring, VIONET_VIOLATION_AVAIL_JUMP, VIONET_NONE,
                          (uint16_t)(idx - ring->next_avail));
    }
    ring->seen_avail = idx;
    return 1;
}

static int split_pop(struct ring *ring, struct chain *chain)
{
    struct walk walk = {.ring = ring, .chain = chain};
    uint16_t slot, head;
    int found = look(ring);

    if (found <= 0) {
        return found;
    }
    slot = ring->next_avail & (ring->setup.size - 1);
    head = WORD16(guest_load16(ring_at(ring, VIONET_AREA_DRIVER, AVAIL_RING + 2u * slot, 2)));
    if (G_UNLIKELY(head >= ring->setup.size)) {
        return ring_fault(ring, VIONET_VIOLATION_HEAD_RANGE, VIONET_NONE, head);
    }
    if (G_UNLIKELY(ring->taken[head])) {
        return ring_fault(ring, VIONET_VIOLATION_HEAD_IN_FLIGHT, head, ring->next_avail);
    }
    walk.head = head;
    chain_clear(chain);
    chain->ref.id = head;
    if (G_UNLIKELY(walk_chain(&walk, head) < 0 || walk_finish(&walk) < 0)) {
        return -1;
    }
    take(ring, &chain->ref);
    ring->next_avail++;
    return 1;
}

/*
 * The lines of the used elements that will be written for n buffers, but for one that others stand in
 * already: the driver may be reading them.
 */
static inline void fetch_used(const struct ring *ring, unsigned n)
{
    const uint8_t *const device = ring->area[VIONET_AREA_DEVICE];
    const unsigned slot = (ring->next_used + ring->staged) & (ring->setup.size - 1u);
    const unsigned straight = MIN(n, ring->setup.size - slot);
    const unsigned whole = (8u * slot + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;

    if (G_LIKELY(device != NULL)) {
        for (unsigned at = whole; at < 8u * (slot + straight); at += CACHE_LINE) {
            line_fetch_to_write(device + USED_RING + at);
        }
    }
}

/* What is read of the ring and not written here stands in variables: guest memory may alias anything. */
static unsigned split_pop_plain(struct ring *ring, bool write, struct ring_plain *buffers,
                                unsigned n)
{
    const uint8_t *const avail = ring->area[VIONET_AREA_DRIVER];
    const uint8_t *const table = ring->area[VIONET_AREA_DESC];
    const uint16_t wanted = write ? VIRTQ_DESC_F_WRITE : 0;
    const unsigned next = ring->next_avail;
    const unsigned last = ring->setup.size - 1u;
    bool *const taken = ring->taken;
    struct memory_window window = {0};
    unsigned i;

    if (G_UNLIKELY(!avail || !table) || look(ring) <= 0) {
        return 0;
    }
    n = MIN(n, (uint16_t)(ring->seen_avail - next));
    fetch_used(ring, n);
    for (i = 0; i < n; i++) {
        const unsigned head = WORD16(guest_load16(avail + AVAIL_RING + 2u * ((next + i) & last)));
        struct ring_plain *const buffer = &buffers[i];
        struct desc desc;

        if (G_UNLIKELY(head > last || taken[head])) {
            break;
        }
        desc = desc_load(table + 16u * head);
        if (desc.common.flags != wanted || desc.common.len == 0) {
            break;
        }
        buffer->host = memory_window_pointer(&window, ring->map, &ring->hint, desc.common.addr,
                                             desc.common.len, write);
        if (G_UNLIKELY(!buffer->host)) {
            break;
        }
        buffer->len = desc.common.len;
        buffer->id = (uint16_t)head;
        taken[head] = true;
    }
    ring_take_turns(ring, buffers, i);
    ring->in_flight = (uint16_t)(ring->in_flight + i);
    ring->next_avail = (uint16_t)(next + i);
    return i;
}

static void split_unpop(struct ring *ring, const struct chain_ref *ref)
{
    release(ring, ref->id);
    ring->next_avail--;
}

/* ---- Giving back ---- */

/* A used element, at its index. In two words: it is aligned to 4 only, and may lie across mappings. */
static inline void put_elem(struct ring *ring, unsigned index, uint16_t id, uint32_t written)
{
    const uint32_t elem = USED_RING + 8u * (index & (ring->setup.size - 1u));
    uint8_t *const device = ring->area[VIONET_AREA_DEVICE];

    if (G_LIKELY(device != NULL)) {
        guest_store32(device + elem, WORD32((uint32_t)id));
        guest_store32(device + elem + 4, WORD32(written));
    } else {
        ring_store(ring, VIONET_AREA_DEVICE, elem, WORD32((uint32_t)id), 4);
        ring_store(ring, VIONET_AREA_DEVICE, elem + 4, WORD32(written), 4);
    }
}

static void split_put_used(struct ring *ring, const struct ring_used *used, unsigned n)
{
    const unsigned first = ring->next_used + ring->staged;

    for (unsigned i = 0; i < n; i++) {
        put_elem(ring, first + i, used[i].ref.id, used[i].written);
        release(ring, used[i].ref.id);
    }
}

/* The last one's id in the first one's place. */
static void split_put_batch(struct ring *ring, const struct ring_used *used, unsigned n)
{
    put_elem(ring, ring->next_used + ring->staged, used[n - 1].ref.id, 0);
    for (unsigned i = 0; i < n; i++) {
        release(ring, used[i].ref.id);
    }
}

/* What is read of the ring and not written here stands in variables, as above. */
static void split_put_plain(struct ring *ring, bool write, const struct ring_plain *buffers,
                            unsigned n)
{
    const unsigned first = ring->next_used + ring->staged;
    const unsigned last = ring->setup.size - 1u;
    uint8_t *const device = ring->area[VIONET_AREA_DEVICE];
    bool *const taken = ring->taken;
    unsigned i;

    if (ring->setup.batches && !write) {
        put_elem(ring, first, buffers[n - 1].id, 0);
    } else if (G_LIKELY(device != NULL)) {
        for (i = 0; i < n; i++) {
            uint8_t *const elem = device + USED_RING + 8u * ((first + i) & last);

            guest_store32(elem, WORD32((uint32_t)buffers[i].id));
            guest_store32(elem + 4, write ? WORD32(buffers[i].len) : 0);
        }
    } else {
        for (i = 0; i < n; i++) {
            put_elem(ring, first + i, buffers[i].id, write ? buffers[i].len : 0);
        }
    }
    for (i = 0; i < n; i++) {
        taken[buffers[i].id] = false;
    }
    ring->in_flight = (uint16_t)(ring->in_flight - n);
}

static unsigned split_publish(struct ring *ring)
{
    const uint16_t n = ring->staged;

    ring->next_used = (uint16_t)(ring->next_used + n);
    /* Release: data and used elements are there before the index that covers them. */
    if (G_LIKELY(ring->area[VIONET_AREA_DEVICE] != NULL)) {
        guest_store16_release(ring->area[VIONET_AREA_DEVICE] + USED_IDX, WORD16(ring->next_used));
    } else {
        ring_store(ring, VIONET_AREA_DEVICE, USED_IDX, WORD16(ring->next_used), 2);
    }
    return n;
}

/* ---- Notifications ---- */

static bool split_must_notify(struct ring *ring)
{
    uint16_t size = ring->setup.size;
    uint16_t old = ring->told_used;
    bool valid = ring->told_valid;
    uint16_t event;

    /* Orders our store of used.idx with the driver's of its event word or flags, which we read. */
    atomic_thread_fence(memory_order_seq_cst);
    if (!ring->setup.event_idx) {
        event = WORD16(guest_load16(ring_at(ring, VIONET_AREA_DRIVER, AVAIL_FLAGS, 2)));
        return !(event & VIRTQ_AVAIL_F_NO_INTERRUPT);
    }
    ring->told_used = ring->next_used;
    ring->told_valid = true;
    ring->untold = 0;
    event = WORD16(guest_load16(ring_at(ring, VIONET_AREA_DRIVER, AVAIL_RING + 2u * size, 2)));
    return !valid || (uint16_t)(ring->next_used - event - 1) < (uint16_t)(ring->next_used - old);
}

static void split_set_kicks(struct ring *ring, bool wanted)
{
    uint16_t size = ring->setup.size;

    if (!ring->setup.event_idx) {
        store16(ring, USED_FLAGS, wanted ? 0 : VIRTQ_USED_F_NO_NOTIFY);
    } else if (wanted) {
        store16(ring, USED_RING + 8u * size, ring->next_avail);
    }
    if (G_UNLIKELY(ring->setup.logs)) {
        ring_log(ring, ring->setup.event_idx ? USED_RING + 8u * size : USED_FLAGS, 2);
    }
    /* Unwanted with event index: the event word is left behind, which is how it is said. */
}

static bool split_has_more(struct ring *ring)
{
    /* Orders our store of flags or event word with the driver's of avail.idx, which we read. */
    atomic_thread_fence(memory_order_seq_cst);
    return ring->next_avail != ring->seen_avail ||
           WORD16(guest_load16(ring_at(ring, VIONET_AREA_DRIVER, AVAIL_IDX, 2))) !=
               ring->next_avail;
}

static void split_log_used(struct ring *ring, unsigned n)
{
    const uint16_t size = ring->setup.size;
    const unsigned first = (ring->next_used - n) & (size - 1u);
    const unsigned straight = MIN(n, size - first);

    ring_log(ring, USED_RING + 8u * first, 8u * straight);
    if (n > straight) {
        ring_log(ring, USED_RING, 8u * (n - straight));
    }
    ring_log(ring, USED_IDX, 2);
}

/* The index of the next buffer to take: what vhost calls the base of a split queue. */
static uint32_t split_get_base(const struct ring *ring)
{
    return ring->next_avail;
}

/*
 * What the driver was given back, the used ring alone says. A driver that writes there has its buffers
 * mixed up, and nobody else's.
 */
static void split_set_base(struct ring *ring, uint32_t base)
{
    ring->next_avail = ring->seen_avail = (uint16_t)base;
    ring->next_used = WORD16(guest_load16(ring_at(ring, VIONET_AREA_DEVICE, USED_IDX, 2)));
}

/* As many as went back were taken, and what was taken beyond that is taken again. */
static void split_recover(struct ring *ring)
{
    split_set_base(ring, WORD16(guest_load16(ring_at(ring, VIONET_AREA_DEVICE, USED_IDX, 2))));
    ring->next_used = ring->next_avail;
}

static const char *split_state_wrong(const struct ring_setup *setup)
{
    const struct ring_state *state = setup->state;
    const uint16_t size = setup->size;
    const uint16_t distance = (uint16_t)(state->next_avail - state->next_used);
    bool *seen;
    bool wrong = false;

    if (distance != state->n_taken && !setup->resumes) {
        return "its indices are not as far apart as buffers are out";
    }
    seen = g_new0(bool, size);
    for (unsigned i = 0; i < state->n_taken && !wrong; i++) {
        const uint16_t id = state->taken[i].ref.id;

        wrong = id >= size || seen[id];
        seen[wrong ? 0 : id] = true;
    }
    g_free(seen);
    return wrong ? "a buffer is out that it does not have, or twice" : NULL;
}

const struct ring_ops FORMAT = {
    .area_size = split_area_size,
    .area_align = {16, 2, 4},
    .area_written = {false, false, true},
    .size_is_power_of_two = true,
    .pop = split_pop,
    .pop_plain = split_pop_plain,
    .unpop = split_unpop,
    .put_used = split_put_used,
    .put_batch = split_put_batch,
    .put_plain = split_put_plain,
    .publish = split_publish,
    .must_notify = split_must_notify,
    .set_kicks = split_set_kicks,
    .has_more = split_has_more,
    .get_base = split_get_base,
    .set_base = split_set_base,
    .recover = split_recover,
    .state_wrong = split_state_wrong,
    .retake = take,
    .log_used = split_log_used,
};
