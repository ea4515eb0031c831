/* SPDX-License-Identifier: BSD-3-Clause */
/* The split ring (VIRTIO 1.4, 2.7) for ring_model.c; see ring_model_format.h. */
#include "reach.h"
#include "ring_model_format.h"

static uint32_t split_part_len(unsigned area, uint16_t size)
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

/* ---- chains ---- */

static struct model_desc load_desc(const struct rig *rig, uint64_t at)
{
    uint8_t octets[16];

    rig_load(rig, at, octets, sizeof(octets));
    return (struct model_desc){
        .gpa = model_number(octets, 8),
        .len = (uint32_t)model_number(octets + 8, 4),
        .flags = (uint16_t)model_number(octets + 12, 2),
        .next = (uint16_t)model_number(octets + 14, 2),
    };
}

/* The elements from entry at on of a table of n entries; an indirect one ends it. */
static bool walk(struct model_chain *chain, const struct rig *rig, uint64_t table, uint32_t n,
                 uint16_t at, bool in_ring)
{
    const unsigned limit = in_ring ? n : MODEL_MAX_CHAIN;

    for (;;) {
        const struct model_desc desc = load_desc(rig, table + 16u * at);

        if (!rig_reachable(rig, table + 16u * at, 16, false)) {
            return false;
        }
        chain->entries += in_ring;
        if (desc.flags & VIRTQ_DESC_F_INDIRECT) {
            return model_enter(chain, rig, &desc) && in_ring &&
                   walk(chain, rig, desc.gpa, desc.len / 16, 0, false);
        }
        if (!model_add(chain, rig, &desc, limit)) {
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
    return rig_load16(rig, model_queue(model, rig)->area[VIONET_AREA_DRIVER] + 2);
}

static enum model_found split_look(const struct model *model, const struct rig *rig, unsigned ahead,
                                   struct model_chain *chain)
{
    const struct rig_queue *q = model_queue(model, rig);
    const uint16_t idx = avail_idx(model, rig);
    const uint16_t at = (uint16_t)(model->next + ahead);

    if ((uint16_t)(idx - model->next) == ahead) {
        return MODEL_NONE;
    }
    chain->head = rig_load16(rig, q->area[VIONET_AREA_DRIVER] + 4 + 2u * (at & (q->size - 1u)));
    if ((uint16_t)(idx - model->used) > q->size || chain->head >= q->size ||
        is_out(model, chain->head)) {
        return MODEL_WRONG;
    }
    return walk(chain, rig, q->area[VIONET_AREA_DESC], q->size, chain->head, true) ? MODEL_CHAIN
                                                                                   : MODEL_WRONG;
}

static void split_note_jump(struct model *model, const struct rig *rig)
{
    const struct rig_queue *q = model_queue(model, rig);
    const uint16_t used = rig_load16(rig, q->area[VIONET_AREA_DEVICE] + 2);

    model->jumped = model->jumped && (uint16_t)(avail_idx(model, rig) - used) > q->size;
}

static void split_note(struct model *model, const struct rig *rig)
{
    const uint16_t idx = avail_idx(model, rig);
    const uint16_t ahead = (uint16_t)(idx - model->used);

    if (ahead < (uint16_t)(model->idx - model->used) || ahead > model_queue(model, rig)->size) {
        model->rude = true;
        model->jumped = model->next == model->idx;
        split_note_jump(model, rig);
    }
    model->idx = idx;
}

static unsigned split_places(const struct model_chain *chain)
{
    (void)chain;
    return 1;
}

/* ---- the used ring ---- */

static void split_allow(const struct model *model, struct rig *rig)
{
    const struct rig_queue *q = model_queue(model, rig);

    rig_allow(rig, q->area[VIONET_AREA_DEVICE], VIRTQ_USED_SIZE(q->size));
}

static uint16_t n_unseen(const struct model *model, const struct rig *rig)
{
    const uint64_t used = model_queue(model, rig)->area[VIONET_AREA_DEVICE];

    return (uint16_t)(rig_load16(rig, used + 2) - model->used);
}

static void load_used(const struct model *model, const struct rig *rig, unsigned i, uint32_t *id,
                      uint32_t *len)
{
    const struct rig_queue *q = model_queue(model, rig);
    const uint16_t idx = (uint16_t)(model->used + i);
    const uint64_t at = q->area[VIONET_AREA_DEVICE] + 4 + 8u * (idx & (q->size - 1u));

    *id = rig_load32(rig, at);
    *len = rig_load32(rig, at + 4);
}

static bool split_unseen(const struct model *model, const struct rig *rig, uint32_t *id,
                         uint32_t *len)
{
    if (model->n_owed >= n_unseen(model, rig)) {
        return false;
    }
    load_used(model, rig, model->n_owed, id, len);
    return true;
}

static void split_require_used(struct model *model, const struct rig *rig)
{
    const unsigned unseen = n_unseen(model, rig);

    FUZZ_REQUIRE(unseen == model->n_owed, "queue %u: %u buffers became used, not %u", model->queue,
                 unseen, model->n_owed);
    for (unsigned i = 0; i < unseen; i++) {
        const struct model_owed *owed = &model->owed[i];
        uint32_t id, len;

        load_used(model, rig, i, &id, &len);
        FUZZ_REQUIRE(id == owed->id && len == owed->len,
                     "queue %u: used element %u is %u, %u octets; not %u, %u", model->queue, i, id,
                     len, owed->id, owed->len);
    }
    model->used = (uint16_t)(model->used + unseen);
}

/* ---- notifications ---- */

static bool split_wants_interrupt(const struct model *model, const struct rig *rig, uint16_t old)
{
    const struct rig_queue *q = model_queue(model, rig);
    const uint64_t avail = q->area[VIONET_AREA_DRIVER];

    if (rig_has(rig, VIRTIO_F_EVENT_IDX)) {
        const uint16_t event = rig_load16(rig, avail + 4 + 2u * q->size);

        return (uint16_t)(model->used - event - 1) < (uint16_t)(model->used - old);
    }
    return !(rig_load16(rig, avail) & VIRTQ_AVAIL_F_NO_INTERRUPT);
}

static bool split_would_kick(const struct model *model, const struct rig *rig)
{
    const struct rig_queue *q = model_queue(model, rig);
    const uint64_t used = q->area[VIONET_AREA_DEVICE];

    if (rig_has(rig, VIRTIO_F_EVENT_IDX)) {
        return rig_load16(rig, used + 4 + 8u * q->size) == avail_idx(model, rig);
    }
    return !(rig_load16(rig, used) & VIRTQ_USED_F_NO_NOTIFY);
}

const struct model_format model_split = {
    .part_len = split_part_len,
    .align = {16, 2, 4},
    .written = {false, false, true},
    .look = split_look,
    .note = split_note,
    .note_jump = split_note_jump,
    .places = split_places,
    .allow = split_allow,
    .unseen = split_unseen,
    .require_used = split_require_used,
    .wants_interrupt = split_wants_interrupt,
    .would_kick = split_would_kick,
};
