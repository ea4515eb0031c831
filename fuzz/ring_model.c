/* SPDX-License-Identifier: BSD-3-Clause */
/* What rings of either format have in common; see ring_model.h. */
#include "ring_model_format.h"

#include <string.h>

#include "reach.h"

static const struct model_format *format_of(const struct model *model)
{
    return model->packed ? &model_packed : &model_split;
}

static uint32_t part_len(const struct model *model, const struct rig *rig, unsigned area)
{
    return format_of(model)->part_len(area, model_queue(model, rig)->size);
}

void model_start(struct model *model, unsigned queue, bool packed)
{
    memset(model, 0, sizeof(*model));
    model->started = true;
    model->queue = queue;
    model->packed = packed;
}

bool model_parts_good(const struct model *model, const struct rig *rig)
{
    const struct model_format *format = format_of(model);
    const struct rig_queue *q = model_queue(model, rig);

    for (unsigned area = 0; area < 3; area++) {
        if (q->area[area] % format->align[area] ||
            !rig_reachable(rig, q->area[area], part_len(model, rig, area), format->written[area])) {
            return false;
        }
    }
    return true;
}

/* ---- chains ---- */

void model_clear(struct model_chain *chain)
{
    chain->n = chain->entries = 0;
    chain->in_len = chain->out_len = chain->table = chain->table_len = 0;
}

/* One of no octets is neither readable nor writable. */
bool model_add(struct model_chain *chain, const struct rig *rig, const struct model_desc *desc,
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

bool model_enter(struct model_chain *chain, const struct rig *rig, const struct model_desc *desc)
{
    chain->table = desc->gpa;
    chain->table_len = desc->len;
    return rig_has(rig, VIRTIO_F_INDIRECT_DESC) && !(desc->flags & VIRTQ_DESC_F_NEXT) &&
           desc->len && desc->len % 16 == 0 && desc->len / 16 <= MODEL_MAX_CHAIN &&
           desc->gpa <= UINT64_MAX - desc->len;
}

enum model_found model_look(const struct model *model, const struct rig *rig, unsigned ahead,
                            struct model_chain *chain)
{
    model_clear(chain);
    return format_of(model)->look(model, rig, ahead, chain);
}

/* Whether two buffers that are out have one name. */
static bool doubled(const struct model *model)
{
    for (unsigned i = 0; i < model->n_taken; i++) {
        for (unsigned j = i + 1; j < model->n_taken; j++) {
            if (model->taken[i].head == model->taken[j].head) {
                return true;
            }
        }
    }
    return false;
}

/* A packed ring's driver may have written over a buffer that is out; then the device does in its turn. */
static bool wrong_ahead(const struct model *model, const struct rig *rig)
{
    static struct model_chain chain;
    enum model_found found = MODEL_CHAIN;

    for (unsigned ahead = 0; found == MODEL_CHAIN && ahead < RIG_MAX_SIZE; ahead++) {
        found = model_look(model, rig, ahead, &chain);
    }
    return found == MODEL_WRONG;
}

void model_note(struct model *model, const struct rig *rig)
{
    model->wrong = false;
    model->rude = doubled(model);
    format_of(model)->note(model, rig);
}

void model_note_jump(struct model *model, const struct rig *rig)
{
    format_of(model)->note_jump(model, rig);
}

/* ---- the account ---- */

static void owe(struct model *model, uint32_t id, uint32_t len, uint16_t entries)
{
    FUZZ_REQUIRE(model->n_owed < RIG_MAX_SIZE, "queue %u: too many used buffers", model->queue);
    model->owed[model->n_owed++] = (struct model_owed){id, len, entries};
}

static void advance(struct model *model, const struct model_chain *chain)
{
    model->next = (uint16_t)(model->next + format_of(model)->places(chain));
}

void model_use(struct model *model, const struct model_chain *chain, uint32_t len)
{
    advance(model, chain);
    owe(model, chain->head, len, (uint16_t)chain->entries);
}

uint32_t model_take(struct model *model, const struct model_chain *chain)
{
    FUZZ_REQUIRE(model->n_taken < RIG_MAX_SIZE, "queue %u: too many buffers out", model->queue);
    advance(model, chain);
    model->taken[model->n_taken++] = (struct model_taken){
        .turn = model->turns, .head = chain->head, .entries = (uint16_t)chain->entries};
    return model->turns++;
}

static void forget_taken(struct model *model, unsigned i)
{
    model->n_taken--;
    memmove(&model->taken[i], &model->taken[i + 1], (model->n_taken - i) * sizeof(model->taken[0]));
}

static unsigned index_of(const struct model *model, uint32_t turn)
{
    unsigned i = 0;

    while (i < model->n_taken && model->taken[i].turn != turn) {
        i++;
    }
    FUZZ_REQUIRE(i < model->n_taken, "queue %u: buffer %u is not out", model->queue, turn);
    return i;
}

uint16_t model_head(const struct model *model, uint32_t turn)
{
    return model->taken[index_of(model, turn)].head;
}

static void return_taken(struct model *model, unsigned i)
{
    const struct model_taken taken = model->taken[i];

    forget_taken(model, i);
    owe(model, taken.head, 0, taken.entries);
}

/* With IN_ORDER those that are done become used as far as all before them are done. */
void model_give(struct model *model, const struct rig *rig, uint32_t turn)
{
    const unsigned i = index_of(model, turn);

    if (!rig_has(rig, VIRTIO_F_IN_ORDER)) {
        return_taken(model, i);
        return;
    }
    model->taken[i].done = true;
    while (model->n_taken && model->taken[0].done) {
        return_taken(model, 0);
    }
}

void model_require_used(struct model *model, const struct rig *rig)
{
    model->wrong = model->wrong || (model->packed && model->n_owed && wrong_ahead(model, rig));
    format_of(model)->require_used(model, rig);
    model->n_owed = 0;
}

bool model_unseen(const struct model *model, const struct rig *rig, uint32_t *id, uint32_t *len)
{
    return format_of(model)->unseen(model, rig, id, len);
}

bool model_wants_interrupt(const struct model *model, const struct rig *rig, uint16_t old)
{
    return model->used != old && format_of(model)->wants_interrupt(model, rig, old);
}

bool model_would_kick(const struct model *model, const struct rig *rig)
{
    return format_of(model)->would_kick(model, rig);
}

/* ---- what may be written ---- */

/* Every entry of a table that says that it is writable; the formats have their flags in two places. */
static void allow_table(const struct model *model, struct rig *rig, uint64_t table, uint32_t n,
                        bool deeper)
{
    for (uint32_t i = 0; i < n && rig_reachable(rig, table + 16u * i, 16, false); i++) {
        const uint64_t gpa = rig_load64(rig, table + 16u * i);
        const uint32_t len = rig_load32(rig, table + 16u * i + 8);
        const uint16_t flags = rig_load16(rig, table + 16u * i + (model->packed ? 14 : 12));

        if (flags & VIRTQ_DESC_F_WRITE) {
            rig_allow(rig, gpa, len);
        }
        if (deeper && (flags & VIRTQ_DESC_F_INDIRECT)) {
            allow_table(model, rig, gpa, len / 16 < MODEL_MAX_CHAIN ? len / 16 : MODEL_MAX_CHAIN,
                        false);
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

/* Buffers first: a packed ring's descriptors are gone once the device has written over them. */
void model_allow(const struct model *model, struct rig *rig)
{
    const struct rig_queue *q = model_queue(model, rig);
    const bool transmit = model->queue % 2 == 1;

    if (!model->started || model->broken) {
        return;
    }
    if (!transmit && model->rude) {
        allow_table(model, rig, q->area[VIONET_AREA_DESC], q->size, true);
    } else if (!transmit) {
        allow_chains(model, rig);
    }
    format_of(model)->allow(model, rig);
}

/* ---- trouble ---- */

static bool overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
    return a_len && b_len && (a <= b ? b - a < a_len : a - b < b_len);
}

/* What the device reads to find buffers: the parts of rings, and the tables of what is there. */
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
    const struct rig_queue *q = model_queue(model, rig);

    for (unsigned area = 0; area < 3; area++) {
        ranges[n++] = (struct read_range){q->area[area], part_len(model, rig, area)};
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

/* Whether a part that the device writes lies over what is read, besides itself. */
static bool part_over_ranges(const struct model *model, const struct rig *rig,
                             const struct read_range *ranges, unsigned n)
{
    const struct rig_queue *q = model_queue(model, rig);

    for (unsigned area = 0; area < 3; area++) {
        unsigned over = 0;

        for (unsigned r = 0; format_of(model)->written[area] && r < n; r++) {
            over +=
                overlap(q->area[area], part_len(model, rig, area), ranges[r].gpa, ranges[r].len);
        }
        if (over > 1) {
            return true;
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
        /* Receive and control queues have an even number. */
        if (models[i].started &&
            (part_over_ranges(&models[i], rig, ranges, n_ranges) ||
             (i % 2 == 0 && buffers_over_ranges(&models[i], rig, ranges, n_ranges)))) {
            return true;
        }
    }
    return false;
}
