/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The packed virtqueue (VIRTIO 1.4, 2.8): one ring of descriptors, which both sides write.
 *
 *     Descriptor Area            Driver Area              Device Area
 *     desc[0..N)                 event suppression        event suppression
 *       addr len id flags          off:15 wrap:1 flags      off:15 wrap:1 flags
 *
 * The driver makes a buffer available by writing its descriptors, the flags of the first one last;
 * the device gives it back by writing one used descriptor at the next used place, over whatever was
 * there, and skips as many places as the buffer had. Two bits of the flags, AVAIL and USED, tell in
 * which state a place is, in terms of a wrap counter that flips each time round.
 *
 * A used descriptor destroys the available one in its place, so that who pushes must be sure of it. Drivers
 * look at one place after the other: of the used ones staged all but the first are written where they
 * belong, and the flush writes that one. The second half of a descriptor (len, id, flags) is one aligned
 * word of 64 bits, and read and written as one.
 */
#include "ring/formats.h"

#include "bytes.h"
#include "lines.h"
#include "ring/journal.h"
#include "ring/walk.h"

#include <stdatomic.h>

#include <vionet/spec.h>

#define DESC_SIZE 16u
#define DESC_REST 8u /* len, id, flags */
#define BASE_WRAP 0x8000u

static uint32_t packed_area_size(unsigned area, uint16_t size)
{
    return area == VIONET_AREA_DESC ? PVIRTQ_DESC_RING_SIZE(size) : PVIRTQ_EVENT_SIZE;
}

/* ---- Places and their states ---- */

struct place {
    uint16_t slot;
    bool wrap;
};

static struct place place_next(const struct ring *ring, struct place place, unsigned n)
{
    const unsigned slot = place.slot + n;

    if (slot < ring->setup.size) {
        return (struct place){(uint16_t)slot, place.wrap};
    }
    return (struct place){(uint16_t)(slot - ring->setup.size), !place.wrap};
}

static struct place place_back(const struct ring *ring, struct place place, unsigned n)
{
    if (n <= place.slot) {
        return (struct place){(uint16_t)(place.slot - n), place.wrap};
    }
    return (struct place){(uint16_t)(place.slot + ring->setup.size - n), !place.wrap};
}

static struct place avail_place(const struct ring *ring)
{
    return (struct place){ring->next_avail, ring->avail_wrap};
}

static struct place used_place(const struct ring *ring)
{
    return (struct place){ring->next_used, ring->used_wrap};
}

static void set_used_place(struct ring *ring, struct place place)
{
    ring->next_used = ring->next_put = place.slot;
    ring->used_wrap = ring->put_wrap = place.wrap;
}

static void set_avail_place(struct ring *ring, struct place place)
{
    ring->next_avail = place.slot;
    ring->avail_wrap = place.wrap;
}

static bool is_available(uint16_t flags, bool wrap)
{
    return !!(flags & VIRTQ_DESC_F_AVAIL) == wrap && !!(flags & VIRTQ_DESC_F_USED) != wrap;
}

/* ---- Taking ---- */

static uint16_t rest_flags(uint64_t rest)
{
    return (uint16_t)(rest >> 48);
}

static uint16_t rest_id(uint64_t rest)
{
    return (uint16_t)(rest >> 32);
}

static struct walk_desc desc_of(uint64_t addr, uint64_t rest)
{
    return (struct walk_desc){.addr = addr, .len = (uint32_t)rest, .flags = rest_flags(rest)};
}

/*
 * The second half of the descriptor there. Acquire: what the driver wrote before it, of this buffer or
 * in it, is read after it.
 */
static uint64_t load_rest(struct ring *ring, unsigned slot)
{
    return guest_load64_acquire(
        ring_at(ring, VIONET_AREA_DESC, DESC_SIZE * slot + DESC_REST, DESC_SIZE - DESC_REST));
}

static uint64_t load_addr(struct ring *ring, unsigned slot)
{
    return guest_load64(ring_at(ring, VIONET_AREA_DESC, DESC_SIZE * slot, DESC_REST));
}

/* The entries of a table, one after the other; in their flags nothing counts but WRITE (2.8.7). */
static int walk_table(struct walk *walk, unsigned slot, const struct walk_table *table)
{
    uint64_t words[2];

    for (uint32_t i = 0; i < table->n; i++) {
        if (walk_entry(walk, slot, table, i, words) < 0) {
            return -1;
        }
        const struct walk_desc desc = desc_of(words[0], words[1]);

        if (walk_add(walk, slot, &desc) < 0) {
            return -1;
        }
    }
    return 0;
}

/* A buffer of one descriptor that refers to a table. */
static int walk_indirect(struct walk *walk, unsigned slot, const struct walk_desc *desc)
{
    struct walk_table table;

    return walk_enter(walk, slot, desc, &table) < 0 ? -1 : walk_table(walk, slot, &table);
}

/*
 * The list that begins at the next available place, the second half of which is rest. Its id is the
 * last descriptor's.
 */
static int walk_list(struct walk *walk, uint64_t rest)
{
    struct ring *ring = walk->ring;
    struct chain_ref *ref = &walk->chain->ref;
    const unsigned room = ring->setup.size - ring->in_flight;
    struct place place = avail_place(ring);

    for (;;) {
        const struct walk_desc desc = desc_of(load_addr(ring, place.slot), rest);

        ref->n_desc++;
        ref->id = rest_id(rest);
        if (G_UNLIKELY(desc.flags & VIRTQ_DESC_F_INDIRECT)) {
            return ref->n_desc > 1
                       ? ring_fault(ring, VIONET_VIOLATION_INDIRECT_MIXED, place.slot, walk->head)
                       : walk_indirect(walk, place.slot, &desc);
        }
        if (walk_add(walk, place.slot, &desc) < 0) {
            return -1;
        }
        if (!(desc.flags & VIRTQ_DESC_F_NEXT)) {
            return 0;
        }
        if (G_UNLIKELY(ref->n_desc == room)) {
            return ring_fault(ring, VIONET_VIOLATION_CHAIN_LENGTH, walk->head, room);
        }
        place = place_next(ring, place, 1);
        rest = load_rest(ring, place.slot);
        if (G_UNLIKELY(!is_available(rest_flags(rest), place.wrap))) {
            return ring_fault(ring, VIONET_VIOLATION_CHAIN_UNAVAILABLE, place.slot, walk->head);
        }
    }
}

static void take(struct ring *ring, struct chain_ref *ref)
{
    ring->in_flight = (uint16_t)(ring->in_flight + ref->n_desc);
    ref->turn = ring->next_turn++;
    set_avail_place(ring, place_next(ring, avail_place(ring), ref->n_desc));
}

static int packed_pop(struct ring *ring, struct chain *chain)
{
    struct walk walk = {.ring = ring, .chain = chain, .head = ring->next_avail};
    const uint64_t rest = load_rest(ring, ring->next_avail);

    if (G_UNLIKELY(ring->lost)) {
        return -1;
    }
    if (!is_available(rest_flags(rest), ring->avail_wrap)) {
        return 0;
    }
    if (G_UNLIKELY(ring->in_flight == ring->setup.size)) {
        /* The place of a buffer that is out. */
        return ring_fault(ring, VIONET_VIOLATION_AVAIL_JUMP, VIONET_NONE, ring->in_flight + 1u);
    }
    chain_clear(chain);
    if (G_UNLIKELY(walk_list(&walk, rest) < 0 || walk_finish(&walk) < 0)) {
        return -1;
    }
    take(ring, &chain->ref);
    return 1;
}

/* The lines of n descriptors, to read them now and write used ones over them later. */
static inline void fetch_descs(const uint8_t *table, unsigned slot, unsigned n)
{
    for (unsigned at = DESC_SIZE * slot; at < DESC_SIZE * (slot + n); at += CACHE_LINE) {
        line_fetch_to_write(table + at);
    }
}

static unsigned packed_pop_plain(struct ring *ring, bool write, struct ring_plain *buffers,
                                 unsigned n)
{
    const uint16_t turned = VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED;
    const uint8_t *const table = ring->area[VIONET_AREA_DESC];
    const unsigned size = ring->setup.size;
    struct memory_window window = {0};
    unsigned slot = ring->next_avail;
    uint16_t wanted = (uint16_t)((ring->avail_wrap ? VIRTQ_DESC_F_AVAIL : VIRTQ_DESC_F_USED) |
                                 (write ? VIRTQ_DESC_F_WRITE : 0));
    unsigned i = 0;
    uint64_t rest;

    n = MIN(n, size - ring->in_flight);
    if (G_UNLIKELY(!table || n == 0)) {
        return 0;
    }
    rest = guest_load64_acquire(table + DESC_SIZE * slot + DESC_REST);
    /* The lines of an empty ring are left to the driver, which is about to write there. */
    if (rest_flags(rest) == wanted) {
        fetch_descs(table, slot, MIN(n, size - slot));
    }
    while (rest_flags(rest) == wanted && (uint32_t)rest != 0) {
        const uint8_t *p = table + DESC_SIZE * slot;
        struct ring_plain *const buffer = &buffers[i];

        buffer->len = (uint32_t)rest;
        buffer->id = rest_id(rest);
        buffer->host = memory_window_pointer(&window, ring->map, &ring->hint, guest_load64(p),
                                             buffer->len, write);
        if (G_UNLIKELY(!buffer->host)) {
            break;
        }
        if (++slot == size) {
            slot = 0;
            wanted ^= turned;
        }
        if (++i == n) {
            break;
        }
        rest = guest_load64_acquire(table + DESC_SIZE * slot + DESC_REST);
    }
    ring_take_turns(ring, buffers, i);
    ring->in_flight = (uint16_t)(ring->in_flight + i);
    set_avail_place(ring, place_next(ring, avail_place(ring), i));
    return i;
}

static void packed_unpop(struct ring *ring, const struct chain_ref *ref)
{
    ring->in_flight = (uint16_t)(ring->in_flight - ref->n_desc);
    set_avail_place(ring, place_back(ring, avail_place(ring), ref->n_desc));
}

/* ---- Giving back ---- */

/* The second half of a used descriptor. */
static uint64_t used_rest(uint16_t id, uint32_t written, bool wrap)
{
    const uint64_t flags =
        (wrap ? VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED : 0) | (written ? VIRTQ_DESC_F_WRITE : 0);

    return flags << 48 | (uint64_t)id << 32 | written;
}

/* The same written, where there is no pointer to the ring; its flags last. */
static void store_rest(struct ring *ring, unsigned slot, uint64_t rest)
{
    const uint32_t at = DESC_SIZE * slot + DESC_REST;

    ring_store(ring, VIONET_AREA_DESC, at, (uint32_t)rest, 4);
    ring_store(ring, VIONET_AREA_DESC, at + 4, rest_id(rest), 2);
    ring_store(ring, VIONET_AREA_DESC, at + 6, rest_flags(rest), 2);
}

static uint16_t place_word(struct place place)
{
    return (uint16_t)(place.slot | (place.wrap ? BASE_WRAP : 0));
}

static void write_used(struct ring *ring, unsigned slot, uint64_t rest)
{
    uint8_t *const table = ring->area[VIONET_AREA_DESC];

    if (G_LIKELY(table != NULL)) {
        guest_store64(table + DESC_SIZE * slot + DESC_REST, rest);
    } else {
        store_rest(ring, slot, rest);
    }
}

/*
 * Puts one used descriptor for n places, as the index-th of those staged. The first of them is kept back for the
 * flush; with a journal, in which they have to stand before they overwrite anything, all of them are.
 */
static void put_place(struct ring *ring, unsigned index, uint16_t id, uint32_t written, unsigned n)
{
    const struct place place = {ring->next_put, ring->put_wrap};
    const struct place next = place_next(ring, place, n);
    const uint64_t rest = used_rest(id, written, place.wrap);

    if (G_UNLIKELY(ring->setup.journal)) {
        ring->unseen[index] = (struct ring_used){{.id = id, .n_desc = (uint16_t)n}, written};
    } else if (index == 0) {
        ring->first_put = rest;
    } else {
        write_used(ring, place.slot, rest);
    }
    ring->next_put = next.slot;
    ring->put_wrap = next.wrap;
}

static void packed_put_used(struct ring *ring, const struct ring_used *used, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        put_place(ring, ring->staged + i, used[i].ref.id, used[i].written, used[i].ref.n_desc);
    }
}

/* The last one's id in the first one's place. */
static void packed_put_batch(struct ring *ring, const struct ring_used *used, unsigned n)
{
    unsigned places = 0;

    for (unsigned i = 0; i < n; i++) {
        places += used[i].ref.n_desc;
    }
    put_place(ring, ring->staged, used[n - 1].ref.id, 0, places);
}

/* Puts n plain ones at places that follow each other, the first of them not the first staged. */
static void put_straight(struct ring *ring, bool write, const struct ring_plain *buffers,
                         unsigned n)
{
    const struct place place = {ring->next_put, ring->put_wrap};
    const struct place next = place_next(ring, place, n);
    const uint64_t flags = used_rest(0, write, place.wrap) & ~(uint64_t)UINT32_MAX;
    uint8_t *p = ring->area[VIONET_AREA_DESC] + DESC_SIZE * place.slot + DESC_REST;

    for (unsigned i = 0; i < n; i++, p += DESC_SIZE) {
        const uint32_t written = write ? buffers[i].len : 0;

        guest_store64(p, flags | (uint64_t)buffers[i].id << 32 | written);
    }
    ring->next_put = next.slot;
    ring->put_wrap = next.wrap;
}

static void packed_put_plain(struct ring *ring, bool write, const struct ring_plain *buffers,
                             unsigned n)
{
    const bool singly = !ring->area[VIONET_AREA_DESC] || ring->setup.journal;
    unsigned i = 0;

    if (ring->setup.batches && !write) {
        put_place(ring, ring->staged, buffers[n - 1].id, 0, n);
        return;
    }
    while (i < n && (i + ring->staged == 0 || G_UNLIKELY(singly))) {
        put_place(ring, i + ring->staged, buffers[i].id, write ? buffers[i].len : 0, 1);
        i++;
    }
    while (i < n) {
        const unsigned straight = MIN(n - i, (unsigned)ring->setup.size - ring->next_put);

        put_straight(ring, write, &buffers[i], straight);
        i += straight;
    }
}

/* Release: all that was written before the first of them is there before it is. */
static unsigned publish(struct ring *ring)
{
    uint8_t *const table = ring->area[VIONET_AREA_DESC];
    const unsigned first = ring->next_used;
    unsigned n = ring->next_put - first;

    if (ring->put_wrap != ring->used_wrap) {
        n += ring->setup.size;
    }
    if (G_LIKELY(table != NULL)) {
        guest_store64_release(table + DESC_SIZE * first + DESC_REST, ring->first_put);
    } else {
        store_rest(ring, first, ring->first_put);
    }
    ring->next_used = ring->next_put;
    ring->used_wrap = ring->put_wrap;
    ring->in_flight = (uint16_t)(ring->in_flight - n);
    return n;
}

/* The same with a journal, in which all that are to be shown are noted at once. */
static unsigned publish_noted(struct ring *ring)
{
    const struct ring_used *const used = ring->unseen;
    struct place place = used_place(ring);
    const struct place next = {ring->next_put, ring->put_wrap};
    const struct journal_places places = {.old = place_word(place), .next = place_word(next)};
    unsigned n;

    journal_intend(ring->setup.journal, used, ring->staged, &places);
    ring->first_put = used_rest(used[0].ref.id, used[0].written, place.wrap);
    for (unsigned i = 1; i < ring->staged; i++) {
        place = place_next(ring, place, used[i - 1].ref.n_desc);
        write_used(ring, place.slot, used_rest(used[i].ref.id, used[i].written, place.wrap));
    }
    n = publish(ring);
    journal_settle(ring->setup.journal, places.next);
    return n;
}

static unsigned packed_publish(struct ring *ring)
{
    return G_UNLIKELY(ring->setup.journal) ? publish_noted(ring) : publish(ring);
}

/* ---- Notifications ---- */

static bool packed_must_notify(struct ring *ring)
{
    const uint32_t shown = ring->untold;
    uint32_t event, off, distance;

    ring->untold = 0;
    /* Orders our stores of used descriptors with the driver's of its event words, which we read. */
    atomic_thread_fence(memory_order_seq_cst);
    event = guest_load32(ring_at(ring, VIONET_AREA_DRIVER, 0, PVIRTQ_EVENT_SIZE));
    switch (event >> 16 & 3) {
    case RING_EVENT_FLAGS_DISABLE:
        return false;
    case RING_EVENT_FLAGS_DESC:
        break;
    default:
        return true;
    }
    off = event & RING_EVENT_OFF_MASK;
    if (!ring->setup.event_idx || off >= ring->setup.size) {
        return true;
    }
    distance = ring->next_used - off;
    if (!!(event & RING_EVENT_WRAP) != ring->used_wrap) {
        distance += ring->setup.size;
    }
    return distance - 1 < shown; /* from 1 to shown */
}

static void packed_set_kicks(struct ring *ring, bool wanted)
{
    const uint32_t flags = !wanted                 ? RING_EVENT_FLAGS_DISABLE
                           : ring->setup.event_idx ? RING_EVENT_FLAGS_DESC
                                                   : RING_EVENT_FLAGS_ENABLE;
    const uint32_t off = ring->next_avail | (ring->avail_wrap ? RING_EVENT_WRAP : 0);
    uint8_t *device = ring->area[VIONET_AREA_DEVICE];

    if (G_LIKELY(device != NULL)) {
        guest_store32(device, flags << 16 | off);
    } else {
        ring_store(ring, VIONET_AREA_DEVICE, 0, flags << 16 | off, 4);
    }
    if (G_UNLIKELY(ring->setup.logs)) {
        ring_log(ring, 0, PVIRTQ_EVENT_SIZE);
    }
}

static bool packed_has_more(struct ring *ring)
{
    uint64_t rest;

    /* Orders our store of the event word with the driver's of its flags, which we read. */
    atomic_thread_fence(memory_order_seq_cst);
    rest = load_rest(ring, ring->next_avail);
    /* Who looks again at a lost ring is told by pop that it is. */
    return G_UNLIKELY(ring->lost) || is_available(rest_flags(rest), ring->avail_wrap);
}

/* The log address stands for the Device Area; descriptors are noted where they are. */
static void log_descs(const struct ring *ring, unsigned slot, unsigned n)
{
    if (ring->map->log.bits) {
        memory_log_pages(&ring->map->log, ring->setup.area_gpa[VIONET_AREA_DESC] + DESC_SIZE * slot,
                         (uint64_t)DESC_SIZE * n);
    }
}

static void packed_log_used(struct ring *ring, unsigned n)
{
    const struct place first = place_back(ring, used_place(ring), n);
    const unsigned straight = MIN(n, (unsigned)ring->setup.size - first.slot);

    log_descs(ring, first.slot, straight);
    log_descs(ring, 0, n - straight);
}

/* ---- Being handed over ---- */

/* Both places, the available one in the lower half, each with its wrap counter in bit 15 (vhost). */
static uint32_t packed_get_base(const struct ring *ring)
{
    return ring->next_avail | (ring->avail_wrap ? BASE_WRAP : 0) |
           (ring->next_used | (ring->used_wrap ? BASE_WRAP : 0)) << 16;
}

/* A place that the ring does not have is the first one: the base is not the driver's, who has no say. */
static struct place base_place(const struct ring *ring, uint32_t base)
{
    const uint16_t slot = base & (BASE_WRAP - 1);

    return (struct place){slot < ring->setup.size ? slot : 0, base & BASE_WRAP};
}

/*
 * Who hands a ring over with nothing in flight may say the one place only (virtio-user does); they are the
 * same then.
 */
static void packed_set_base(struct ring *ring, uint32_t base)
{
    set_avail_place(ring, base_place(ring, base));
    set_used_place(ring, base_place(ring, base >> 16 ? base >> 16 : base));
}

/*
 * Buffers that were to be shown when the process died were so if the first of them was, which is the last
 * one written. If not, others may have been written over, and all are staged once more.
 */
static void packed_recover(struct ring *ring)
{
    const struct journal_places places = journal_places(ring->setup.journal);
    const struct place old = base_place(ring, places.old);
    struct place next = base_place(ring, places.next);
    const unsigned turned = old.wrap != next.wrap ? ring->setup.size : 0;
    const unsigned n = turned + next.slot - old.slot; /* places between them */

    set_used_place(ring, next);
    if (n > 0 && is_available(rest_flags(load_rest(ring, old.slot)), old.wrap)) {
        set_used_place(ring, old);
        if (n <= ring->setup.size) {
            ring->staged = (uint16_t)journal_read(ring->setup.journal, ring->unseen, n);
        }
        ring->in_flight = ring->staged ? (uint16_t)n : 0;
        next = ring->staged ? next : old;
    }
    ring->next_put = next.slot;
    ring->put_wrap = next.wrap;
    set_avail_place(ring, next);
}

/* The places from one to another; another number than 0 to size if it cannot be. */
static unsigned places_between(uint16_t size, struct place from, struct place to)
{
    return (from.wrap == to.wrap ? 0u : size) + to.slot - from.slot;
}

static const char *packed_state_wrong(const struct ring_setup *setup)
{
    const struct ring_state *state = setup->state;
    const uint16_t size = setup->size;
    const struct place avail = {state->next_avail, state->avail_wrap};
    const struct place used = {state->next_used, state->used_wrap};
    const unsigned distance = places_between(size, used, avail);
    uint64_t n = 0;

    if (avail.slot >= size || used.slot >= size) {
        return "it stands at a place that it does not have";
    }
    for (unsigned i = 0; i < state->n_taken; i++) {
        if (state->taken[i].ref.n_desc == 0) {
            return "a buffer is out that has no descriptor";
        }
        n += state->taken[i].ref.n_desc;
    }
    if (n > size || (n != distance && !setup->resumes)) {
        return "its places are not as far apart as buffers are out";
    }
    return NULL;
}

static void packed_retake(struct ring *ring, struct chain_ref *ref)
{
    ring->in_flight = (uint16_t)(ring->in_flight + ref->n_desc);
    ref->turn = ring->next_turn++;
}

const struct ring_ops ring_format_packed = {
    .area_size = packed_area_size,
    .area_align = {16, 4, 4},
    .area_written = {true, false, true},
    .size_is_power_of_two = false,
    .pop = packed_pop,
    .pop_plain = packed_pop_plain,
    .unpop = packed_unpop,
    .put_used = packed_put_used,
    .put_batch = packed_put_batch,
    .put_plain = packed_put_plain,
    .publish = packed_publish,
    .must_notify = packed_must_notify,
    .set_kicks = packed_set_kicks,
    .has_more = packed_has_more,
    .get_base = packed_get_base,
    .set_base = packed_set_base,
    .recover = packed_recover,
    .state_wrong = packed_state_wrong,
    .retake = packed_retake,
    .log_used = packed_log_used,
};
