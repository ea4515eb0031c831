/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What both formats of ring share: setting up, the account of buffers that are out, and the order of
 * giving back (VIRTIO 1.4, 2.6, 2.7.9). Called by the queue (net/queue.c) and the data path.
 */
#include "ring/ring.h"

#include <string.h>

#include "bytes.h"
#include "ring/formats.h"

#include <vionet/spec.h>

/* A power of two, so that indices may run freely through 16 bits, above size. */
static unsigned turns_for(uint16_t size)
{
    unsigned n = 1;

    while (n <= size) {
        n *= 2;
    }
    return n;
}

void ring_init(struct ring *ring, uint16_t max_size)
{
    memset(ring, 0, sizeof(*ring));
    /* One more than can wait, so that the one behind the last is none that waits. */
    ring->turns = g_new0(struct ring_turn, turns_for(max_size));
    ring->unseen = g_new0(struct ring_used, max_size);
    ring->taken = g_new0(bool, max_size);
}

void ring_free(struct ring *ring)
{
    g_free(ring->turns);
    g_free(ring->unseen);
    g_free(ring->taken);
}

static bool ring_fail(struct ring *ring, VionetViolation violation, uint64_t value)
{
    ring->fault = (struct ring_fault){violation, VIONET_NONE, value};
    return false;
}

void ring_lose(struct ring *ring, VionetViolation violation, unsigned descriptor, uint64_t value)
{
    if (!ring->lost) {
        ring->lost = true;
        ring->fault = (struct ring_fault){violation, descriptor, value};
    }
}

const uint8_t *ring_load(struct ring *ring, unsigned area, uint32_t offset, uint32_t len)
{
    const uint64_t gpa = ring->setup.area_gpa[area] + offset;
    const uint8_t *p = memory_pointer(ring->map, &ring->hint, gpa, len, false);

    if (p) {
        return p;
    }
    if (!memory_read(ring->map, &ring->hint, gpa, ring->word, len)) {
        memset(ring->word, 0xff, len);
        ring_lose(ring, VIONET_VIOLATION_RING_ADDRESS, VIONET_NONE, gpa);
    }
    return ring->word;
}

void ring_store(struct ring *ring, unsigned area, uint32_t offset, uint32_t value, uint32_t len)
{
    const uint64_t gpa = ring->setup.area_gpa[area] + offset;
    uint8_t *p = memory_pointer(ring->map, &ring->hint, gpa, len, true);

    if (p && len == 2) {
        guest_store16_release(p, (uint16_t)value);
    } else if (p) {
        guest_store32(p, value);
    } else if (!ring->lost) {
        put_le32(ring->word, value);
        if (!memory_write(ring->map, &ring->hint, gpa, ring->word, len)) {
            ring_lose(ring, VIONET_VIOLATION_RING_ADDRESS, VIONET_NONE, gpa);
        }
    }
}

bool ring_remap(struct ring *ring, const struct memory_map *map)
{
    const struct ring_setup *setup = &ring->setup;

    ring->map = map;
    if (ring->map_serial == map->serial) {
        return true;
    }
    ring->map_serial = map->serial;
    for (unsigned area = 0; area < 3; area++) {
        uint64_t gpa = setup->area_gpa[area];
        uint32_t size = ring->ops->area_size(area, setup->size);
        bool written = ring->ops->area_written[area];

        ring->area[area] = memory_pointer(map, &ring->hint, gpa, size, written);
        if (ring->area[area] == NULL && !memory_exists(map, &ring->hint, gpa, size, written)) {
            return ring_fail(ring, VIONET_VIOLATION_RING_ADDRESS, gpa);
        }
    }
    return true;
}

void ring_legacy_areas(uint16_t size, uint64_t gpa, uint32_t align, uint64_t area_gpa[3])
{
    const uint64_t used = VIRTQ_DESC_TABLE_SIZE((uint64_t)size) + VIRTQ_AVAIL_SIZE((uint64_t)size);

    area_gpa[VIONET_AREA_DESC] = gpa;
    area_gpa[VIONET_AREA_DRIVER] = gpa + VIRTQ_DESC_TABLE_SIZE((uint64_t)size);
    area_gpa[VIONET_AREA_DEVICE] = gpa + ((used + align - 1) & ~((uint64_t)align - 1));
}

static const struct ring_ops *format_of(const struct ring_setup *setup)
{
    if (setup->packed) {
        return &ring_format_packed;
    }
    return setup->big_endian ? &ring_format_split_big : &ring_format_split;
}

bool ring_start(struct ring *ring, const struct ring_setup *setup, const struct memory_map *map)
{
    struct ring fresh = {.turns = ring->turns, .unseen = ring->unseen, .taken = ring->taken};

    fresh.setup = *setup;
    fresh.ops = format_of(setup);
    fresh.avail_wrap = fresh.used_wrap = true;
    fresh.kicks_wanted = true;
    fresh.chain_limit = (uint16_t)MAX(setup->size, CHAIN_MAX_INDIRECT);
    *ring = fresh;
    if (setup->size == 0 || setup->size > VIRTQ_MAX_SIZE ||
        (ring->ops->size_is_power_of_two && (setup->size & (setup->size - 1)) != 0)) {
        return ring_fail(ring, VIONET_VIOLATION_QUEUE_SIZE, setup->size);
    }
    memset(ring->taken, 0, setup->size * sizeof(ring->taken[0]));
    ring->turn_mask = (uint16_t)(turns_for(setup->size) - 1);
    memset(ring->turns, 0, turns_for(setup->size) * sizeof(ring->turns[0]));
    for (unsigned area = 0; area < 3; area++) {
        if (setup->area_gpa[area] % ring->ops->area_align[area]) {
            return ring_fail(ring, VIONET_VIOLATION_RING_MISALIGNED, setup->area_gpa[area]);
        }
    }
    if (!ring_remap(ring, map)) {
        return false;
    }
    if (setup->resumes) {
        ring->ops->set_base(ring, setup->base);
    }
    return true;
}

void ring_unpop(struct ring *ring, const struct chain_ref *ref)
{
    ring->ops->unpop(ring, ref);
    ring->next_turn--;
}

static void stage(struct ring *ring, const struct ring_used *used, unsigned n)
{
    ring->ops->put_used(ring, used, n);
    ring->staged = (uint16_t)(ring->staged + n);
}

static struct ring_turn *turn_at(struct ring *ring, uint16_t turn)
{
    return &ring->turns[turn & ring->turn_mask];
}

/* IN_ORDER: those go back that nobody before is missing for, and with them who waited for them. */
static void push_in_order(struct ring *ring, const struct ring_used *used, unsigned n)
{
    struct ring_turn *turn;
    unsigned next = 0;

    while (next < n && used[next].ref.turn == (uint16_t)(ring->first_turn + next)) {
        next++;
    }
    if (next > 0) {
        stage(ring, used, next);
        ring->first_turn = (uint16_t)(ring->first_turn + next);
    }
    for (unsigned i = next; i < n; i++) {
        *turn_at(ring, used[i].ref.turn) = (struct ring_turn){used[i], true};
    }
    while ((turn = turn_at(ring, ring->first_turn))->waits) {
        stage(ring, &turn->used, 1);
        turn->waits = false;
        ring->first_turn++;
    }
}

void ring_push_burst(struct ring *ring, const struct ring_used *used, unsigned n)
{
    if (G_LIKELY(!ring->setup.in_order)) {
        stage(ring, used, n);
    } else {
        push_in_order(ring, used, n);
    }
}

void ring_push(struct ring *ring, const struct chain_ref *ref, uint32_t written)
{
    const struct ring_used used = {*ref, written};

    ring_push_burst(ring, &used, 1);
}

struct ring_mark ring_mark(const struct ring *ring)
{
    return (struct ring_mark){
        .next_avail = ring->next_avail,
        .avail_wrap = ring->avail_wrap,
        .in_flight = ring->in_flight,
        .next_turn = ring->next_turn,
        .first_turn = ring->first_turn,
        .staged = ring->staged,
    };
}

void ring_rewind(struct ring *ring, const struct ring_mark *mark)
{
    for (uint16_t turn = mark->next_turn; ring->setup.in_order && turn != ring->next_turn; turn++) {
        turn_at(ring, turn)->waits = false;
    }
    ring->next_avail = mark->next_avail;
    ring->avail_wrap = mark->avail_wrap;
    ring->in_flight = mark->in_flight;
    ring->next_turn = mark->next_turn;
    ring->first_turn = mark->first_turn;
    ring->staged = mark->staged;
}

void ring_log(const struct ring *ring, uint32_t offset, uint32_t len)
{
    if (ring->map->log.bits && offset <= UINT64_MAX - ring->setup.log_gpa) {
        memory_log_pages(&ring->map->log, ring->setup.log_gpa + offset, len);
    }
}

bool ring_flush(struct ring *ring)
{
    unsigned shown;

    if (ring->staged == 0 || G_UNLIKELY(ring->lost)) {
        return false;
    }
    shown = ring->ops->publish(ring);
    ring->untold += shown;
    if (ring->untold > UINT16_MAX) {
        ring->told_valid = false;
        ring->untold = UINT16_MAX;
    }
    ring->staged = 0;
    if (G_UNLIKELY(ring->setup.logs)) {
        ring->ops->log_used(ring, shown);
    }
    return true;
}

bool ring_enable_kicks(struct ring *ring)
{
    ring->kicks_wanted = true;
    ring->ops->set_kicks(ring, true);
    return ring->ops->has_more(ring);
}

void ring_disable_kicks(struct ring *ring)
{
    if (ring->kicks_wanted) {
        ring->kicks_wanted = false;
        ring->ops->set_kicks(ring, false);
    }
}
