/* SPDX-License-Identifier: BSD-3-Clause */
/* See ring_model.h. */
#include "ring_model.h"

#include <string.h>

#include "reach.h"

static const struct rig_queue *queue_of(const struct model *model, const struct rig *rig)
{
    return &rig->queues[model->queue];
}

static uint32_t part_len(const struct rig_queue *q, unsigned area)
{
    switch (area) {
    case VIONET_AREA_DESC:
        return VIRTQ_DESC_TABLE_SIZE(q->size);
    case VIONET_AREA_DRIVER:
        return VIRTQ_AVAIL_SIZE(q->size);
    default:
        return VIRTQ_USED_SIZE(q->size);
    }
}

void model_start(struct model *model, unsigned queue)
{
    memset(model, 0, sizeof(*model));
    model->started = true;
    model->queue = queue;
}

bool model_parts_good(const struct model *model, const struct rig *rig)
{
    static const unsigned align[3] = {16, 2, 4};
    const struct rig_queue *q = queue_of(model, rig);

    for (unsigned area = 0; area < 3; area++) {
        if (q->area[area] % align[area] ||
            !rig_reachable(rig, q->area[area], part_len(q, area), area == VIONET_AREA_DEVICE)) {
            return false;
        }
    }
    return true;
}

/* ---- chains ---- */

struct desc {
    uint64_t gpa;
    uint32_t len;
    uint16_t flags;
    uint16_t next;
};

static uint64_t little_endian(const uint8_t *octets, unsigned n)
{
    uint64_t value = 0;

    while (n--) {
        value = value << 8 | octets[n];
    }
    return value;
}

static struct desc load_desc(const struct rig *rig, uint64_t at)
{
    uint8_t octets[16];

    rig_load(rig, at, octets, sizeof(octets));
    return (struct desc){
        .gpa = little_endian(octets, 8),
        .len = (uint32_t)little_endian(octets + 8, 4),
        .flags = (uint16_t)little_endian(octets + 12, 2),
        .next = (uint16_t)little_endian(octets + 14, 2),
    };
}

/* Adds an element; false if it breaks a rule. One of no octets is neither readable nor writable. */
static bool add(struct model_chain *chain, const struct rig *rig, const struct desc *desc,
                unsigned limit)
{
    const bool writable = desc->flags & VIRTQ_DESC_F_WRITE;

    if (chain->n == limit || !rig_reachable(rig, desc->gpa, desc->len, writable) ||
        (!writable && chain->in_len)) {
        return false;
    }
    chain->pieces[chain->n++] = (struct rig_piece){desc->gpa, desc->len, writable};
    if (writable) {
        chain->in_len += desc->len;
    } else {
        chain->out_len += desc->len;
    }
    return chain->in_len + chain->out_len <= UINT64_C(1) << 32;
}

/* The elements from entry at on of a table of n entries; an indirect one ends it. */
static bool walk(struct model_chain *chain, const struct rig *rig, uint64_t table, uint32_t n,
                 uint16_t at, bool in_ring)
{
    const unsigned limit = in_ring ? n : MODEL_MAX_CHAIN;

    for (;;) {
        const struct desc desc = load_desc(rig, table + 16u * at);

        if (!rig_reachable(rig, table + 16u * at, 16, false)) {
            return false;
        }
        chain->entries += in_ring;
        if (desc.flags & VIRTQ_DESC_F_INDIRECT) {
            chain->table = desc.gpa;
            chain->table_len = desc.len;
            return in_ring && rig_has(rig, VIRTIO_F_INDIRECT_DESC) &&
                   !(desc.flags & VIRTQ_DESC_F_NEXT) && desc.len && desc.len % 16 == 0 &&
                   desc.len / 16 <= MODEL_MAX_CHAIN && desc.gpa <= UINT64_MAX - desc.len &&
                   walk(chain, rig, desc.gpa, desc.len / 16, 0, false);
        }
        if (!add(chain, rig, &desc, limit)) {
            return false;
        }
        if (!(desc.flags & VIRTQ_DESC_F_NEXT)) {
            return true;
        }
        at = desc.next;
        if (at >= n) {
            return false;
        }
    }
}

static bool is_out(const struct model *model, uint16_t head)
{
    for (unsigned i = 0; i < model->n_taken; i++) {
        if (model->taken[i].head == head) {
            return true;
        }
    }
    return false;
}

static uint16_t avail_idx(const struct model *model, const struct rig *rig)
{
    return rig_load16(rig, queue_of(model, rig)->area[VIONET_AREA_DRIVER] + 2);
}

enum model_found model_look(const struct model *model, const struct rig *rig, unsigned ahead,
                            struct model_chain *chain)
{
    const struct rig_queue *q = queue_of(model, rig);
    const uint16_t idx = avail_idx(model, rig);
    const uint16_t at = (uint16_t)(model->next + ahead);

    if ((uint16_t)(idx - model->next) == ahead) {
        return MODEL_NONE;
    }
    chain->head = rig_load16(rig, q->area[VIONET_AREA_DRIVER] + 4 + 2u * (at & (q->size - 1u)));
    chain->n = chain->entries = 0;
    chain->in_len = chain->out_len = chain->table = chain->table_len = 0;
    if ((uint16_t)(idx - model->used) > q->size || chain->head >= q->size ||
        is_out(model, chain->head)) {
        return MODEL_WRONG;
    }
    return walk(chain, rig, q->area[VIONET_AREA_DESC], q->size, chain->head, true) ? MODEL_CHAIN
                                                                                   : MODEL_WRONG;
}

void model_note(struct model *model, const struct rig *rig)
{
    const uint16_t idx = avail_idx(model, rig);
    const uint16_t ahead = (uint16_t)(idx - model->used);

    if (ahead < (uint16_t)(model->idx - model->used) || ahead > queue_of(model, rig)->size) {
        model->rude = true;
        model->jumped = model->next == model->idx;
        model_note_jump(model, rig);
    }
    model->idx = idx;
}

void model_note_jump(struct model *model, const struct rig *rig)
{
    const struct rig_queue *q = queue_of(model, rig);
    const uint16_t used = rig_load16(rig, q->area[VIONET_AREA_DEVICE] + 2);

    model->jumped = model->jumped && (uint16_t)(avail_idx(model, rig) - used) > q->size;
}

/* ---- the account ---- */

static void owe(struct model *model, uint32_t id, uint32_t len)
{
    FUZZ_REQUIRE(model->expected < RIG_MAX_SIZE, "queue %u: too many used buffers", model->queue);
    model->ids[model->expected] = id;
    model->lens[model->expected] = len;
    model->expected++;
}

void model_use(struct model *model, const struct model_chain *chain, uint32_t len)
{
    model->next++;
    owe(model, chain->head, len);
}

void model_take(struct model *model, const struct model_chain *chain)
{
    FUZZ_REQUIRE(model->n_taken < RIG_MAX_SIZE, "queue %u: too many buffers out", model->queue);
    model->next++;
    model->taken[model->n_taken++] = (struct model_taken){chain->head, false};
}

static void forget_taken(struct model *model, unsigned i)
{
    model->n_taken--;
    memmove(&model->taken[i], &model->taken[i + 1], (model->n_taken - i) * sizeof(model->taken[0]));
}

/* With IN_ORDER those that are done become used as far as all before them are done. */
void model_give(struct model *model, const struct rig *rig, uint16_t head)
{
    for (unsigned i = 0; i < model->n_taken; i++) {
        if (model->taken[i].head == head && !model->taken[i].done) {
            model->taken[i].done = true;
            if (!rig_has(rig, VIRTIO_F_IN_ORDER)) {
                forget_taken(model, i);
                owe(model, head, 0);
            }
            break;
        }
    }
    while (model->n_taken && model->taken[0].done) {
        owe(model, model->taken[0].head, 0);
        forget_taken(model, 0);
    }
}

/* ---- what may be written ---- */

/* Every descriptor of a table that says that it is writable. */
static void allow_table(struct rig *rig, uint64_t table, uint32_t n, bool deeper)
{
    for (uint32_t i = 0; i < n && rig_reachable(rig, table + 16u * i, 16, false); i++) {
        const struct desc desc = load_desc(rig, table + 16u * i);

        if (desc.flags & VIRTQ_DESC_F_WRITE) {
            rig_allow(rig, desc.gpa, desc.len);
        }
        if (deeper && (desc.flags & VIRTQ_DESC_F_INDIRECT)) {
            allow_table(rig, desc.gpa,
                        desc.len / 16 < MODEL_MAX_CHAIN ? desc.len / 16 : MODEL_MAX_CHAIN, false);
        }
    }
}

static void allow_chains(const struct model *model, struct rig *rig)
{
    static struct model_chain chain;

    for (unsigned ahead = 0; ahead < RIG_MAX_SIZE; ahead++) {
        if (model_look(model, rig, ahead, &chain) != MODEL_CHAIN) {
            return;
        }
        for (unsigned i = 0; i < chain.n; i++) {
            if (chain.pieces[i].writable) {
                rig_allow(rig, chain.pieces[i].gpa, chain.pieces[i].len);
            }
        }
    }
}

void model_allow(const struct model *model, struct rig *rig)
{
    const struct rig_queue *q = queue_of(model, rig);
    const bool transmit = model->queue % 2 == 1;

    if (!model->started || model->broken) {
        return;
    }
    rig_allow(rig, q->area[VIONET_AREA_DEVICE], VIRTQ_USED_SIZE(q->size));
    if (transmit) {
        return;
    }
    if (model->rude) {
        allow_table(rig, q->area[VIONET_AREA_DESC], q->size, true);
    } else {
        allow_chains(model, rig);
    }
}

/* ---- the used ring ---- */

static uint64_t used_at(const struct model *model, const struct rig *rig, uint16_t idx)
{
    const struct rig_queue *q = queue_of(model, rig);

    return q->area[VIONET_AREA_DEVICE] + 4 + 8u * (idx & (q->size - 1u));
}

unsigned model_unseen(const struct model *model, const struct rig *rig)
{
    const uint64_t used = queue_of(model, rig)->area[VIONET_AREA_DEVICE];

    return (uint16_t)(rig_load16(rig, used + 2) - model->used);
}

void model_unseen_at(const struct model *model, const struct rig *rig, unsigned i, uint32_t *id,
                     uint32_t *len)
{
    const uint64_t at = used_at(model, rig, (uint16_t)(model->used + i));

    *id = rig_load32(rig, at);
    *len = rig_load32(rig, at + 4);
}

void model_require_used(struct model *model, const struct rig *rig)
{
    const unsigned unseen = model_unseen(model, rig);

    FUZZ_REQUIRE(unseen == model->expected, "queue %u: %u buffers became used, not %u",
                 model->queue, unseen, model->expected);
    for (unsigned i = 0; i < unseen; i++) {
        uint32_t id, len;

        model_unseen_at(model, rig, i, &id, &len);
        FUZZ_REQUIRE(id == model->ids[i] && len == model->lens[i],
                     "queue %u: used element %u is %u, %u octets; not %u, %u", model->queue, i, id,
                     len, model->ids[i], model->lens[i]);
    }
    model->used = (uint16_t)(model->used + unseen);
    model->expected = 0;
}

/* ---- notifications ---- */

bool model_wants_interrupt(const struct model *model, const struct rig *rig, uint16_t old)
{
    const struct rig_queue *q = queue_of(model, rig);
    const uint64_t avail = q->area[VIONET_AREA_DRIVER];

    if (model->used == old) {
        return false;
    }
    if (rig_has(rig, VIRTIO_F_EVENT_IDX)) {
        const uint16_t event = rig_load16(rig, avail + 4 + 2u * q->size);

        return (uint16_t)(model->used - event - 1) < (uint16_t)(model->used - old);
    }
    return !(rig_load16(rig, avail) & VIRTQ_AVAIL_F_NO_INTERRUPT);
}

bool model_would_kick(const struct model *model, const struct rig *rig)
{
    const struct rig_queue *q = queue_of(model, rig);
    const uint64_t used = q->area[VIONET_AREA_DEVICE];

    if (rig_has(rig, VIRTIO_F_EVENT_IDX)) {
        return rig_load16(rig, used + 4 + 8u * q->size) == avail_idx(model, rig);
    }
    return !(rig_load16(rig, used) & VIRTQ_USED_F_NO_NOTIFY);
}

/* ---- trouble ---- */

static bool overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
    return a_len && b_len && (a <= b ? b - a < a_len : a - b < b_len);
}

/* What the devices reads to find buffers: the parts of rings, and the tables of what is there. */
struct read_range {
    uint64_t gpa;
    uint64_t len;
};

#define MAX_RANGES (RIG_MAX_QUEUES * (3 + RIG_MAX_SIZE))

/* The ranges of one queue, appended to the n that are there; how many there are then. */
static unsigned collect_ranges(const struct model *model, const struct rig *rig,
                               struct read_range *ranges, unsigned n)
{
    static struct model_chain chain;
    const struct rig_queue *q = queue_of(model, rig);

    for (unsigned area = 0; area < 3; area++) {
        ranges[n++] = (struct read_range){q->area[area], part_len(q, area)};
    }
    for (unsigned ahead = 0; ahead < RIG_MAX_SIZE; ahead++) {
        const enum model_found found = model_look(model, rig, ahead, &chain);

        if (found != MODEL_NONE && chain.table_len) {
            ranges[n++] = (struct read_range){chain.table, chain.table_len};
        }
        if (found != MODEL_CHAIN) {
            break;
        }
    }
    return n;
}

static bool over_ranges(const struct read_range *ranges, unsigned n, uint64_t gpa, uint64_t len)
{
    for (unsigned i = 0; i < n; i++) {
        if (overlap(gpa, len, ranges[i].gpa, ranges[i].len)) {
            return true;
        }
    }
    return false;
}

/* Whether a writable piece of a buffer lies over what is read. */
static bool buffers_over_ranges(const struct model *model, const struct rig *rig,
                                const struct read_range *ranges, unsigned n)
{
    static struct model_chain chain;

    for (unsigned ahead = 0; ahead < RIG_MAX_SIZE; ahead++) {
        if (model_look(model, rig, ahead, &chain) != MODEL_CHAIN) {
            return false;
        }
        for (unsigned p = 0; p < chain.n; p++) {
            const struct rig_piece *piece = &chain.pieces[p];

            if (piece->writable && over_ranges(ranges, n, piece->gpa, piece->len)) {
                return true;
            }
        }
    }
    return false;
}

bool model_writes_over_rings(const struct model *models, unsigned n, const struct rig *rig)
{
    static struct read_range ranges[MAX_RANGES];
    unsigned n_ranges = 0;

    for (unsigned i = 0; i < n; i++) {
        if (models[i].started) {
            n_ranges = collect_ranges(&models[i], rig, ranges, n_ranges);
        }
    }
    for (unsigned i = 0; i < n; i++) {
        const struct rig_queue *q = queue_of(&models[i], rig);
        unsigned over_used = 0;

        for (unsigned r = 0; models[i].started && r < n_ranges; r++) {
            over_used += overlap(q->area[VIONET_AREA_DEVICE], part_len(q, VIONET_AREA_DEVICE),
                                 ranges[r].gpa, ranges[r].len);
        }
        /* The used ring lies over itself. Receive and control queues have an even number. */
        if (over_used > 1 || (i % 2 == 0 && models[i].started &&
                              buffers_over_ranges(&models[i], rig, ranges, n_ranges))) {
            return true;
        }
    }
    return false;
}
