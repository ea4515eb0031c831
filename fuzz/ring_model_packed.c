/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The packed ring (VIRTIO 1.4, 2.8) for ring_model.c; see ring_model_format.h. A place is counted from
 * the beginning, so that slot and wrap counter are a division.
 *
 * The device writes over what it has read. So the descriptors are read from model.ring, where they are
 * kept as they were before the call; what is owed is written there, and then that is what the ring must be,
 * octet by octet.
 */
#include <string.h>

#include "reach.h"
#include "ring_model_format.h"

#define DESC 16u
#define BITS (VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED)

static uint32_t packed_part_len(unsigned area, uint16_t size)
{
    return area == VIONET_AREA_DESC ? PVIRTQ_DESC_RING_SIZE(size) : PVIRTQ_EVENT_SIZE;
}

/* ---- places ---- */

static uint16_t slot_of(const struct rig_queue *q, unsigned place)
{
    return (uint16_t)(place % q->size);
}

static bool wrap_of(const struct rig_queue *q, unsigned place)
{
    return place / q->size % 2 == 0;
}

static struct model_desc desc_of(const uint8_t *octets)
{
    return (struct model_desc){
        .gpa = model_number(octets, 8),
        .len = (uint32_t)model_number(octets + 8, 4),
        .id = (uint16_t)model_number(octets + 12, 2),
        .flags = (uint16_t)model_number(octets + 14, 2),
    };
}

static bool is_available(const struct model_desc *desc, bool wrap)
{
    return (desc->flags & BITS) == (wrap ? VIRTQ_DESC_F_AVAIL : VIRTQ_DESC_F_USED);
}

static bool is_used(const struct model_desc *desc, bool wrap)
{
    return (desc->flags & BITS) == (wrap ? BITS : 0);
}

/* ---- chains ---- */

static bool walk_table(struct model_chain *chain, const struct rig *rig,
                       const struct model_desc *table)
{
    for (uint32_t i = 0; i < table->len / DESC; i++) {
        uint8_t octets[DESC];
        struct model_desc desc;

        rig_load(rig, table->gpa + DESC * i, octets, sizeof(octets));
        desc = desc_of(octets);
        if (!rig_reachable(rig, table->gpa + DESC * i, DESC, false) ||
            !model_add(chain, rig, &desc, MODEL_MAX_CHAIN)) {
            return false;
        }
    }
    return true;
}

/* The list that begins at a place, of a ring in which room descriptors are not out. */
static enum model_found list_at(const struct model *model, const struct rig *rig, unsigned place,
                                unsigned room, struct model_chain *chain)
{
    const struct rig_queue *q = model_queue(model, rig);

    for (;; place++) {
        const struct model_desc desc = desc_of(&model->ring[DESC * slot_of(q, place)]);

        if (!is_available(&desc, wrap_of(q, place))) {
            return chain->entries ? MODEL_WRONG : MODEL_NONE;
        }
        if (chain->entries == room) {
            return MODEL_WRONG;
        }
        chain->entries++;
        chain->head = desc.id;
        if (desc.flags & VIRTQ_DESC_F_INDIRECT) {
            return model_enter(chain, rig, &desc) && chain->entries == 1 &&
                           walk_table(chain, rig, &desc)
                       ? MODEL_CHAIN
                       : MODEL_WRONG;
        }
        if (!model_add(chain, rig, &desc, MODEL_MAX_CHAIN)) {
            return MODEL_WRONG;
        }
        if (!(desc.flags & VIRTQ_DESC_F_NEXT)) {
            return MODEL_CHAIN;
        }
    }
}

/* Descriptors of buffers that the driver has not seen used. */
static unsigned n_out(const struct model *model)
{
    unsigned n = 0;

    for (unsigned i = 0; i < model->n_taken; i++) {
        n += model->taken[i].entries;
    }
    for (unsigned i = 0; i < model->n_owed; i++) {
        n += model->owed[i].entries;
    }
    return n;
}

static enum model_found packed_look(const struct model *model, const struct rig *rig,
                                    unsigned ahead, struct model_chain *chain)
{
    unsigned room = model_queue(model, rig)->size - n_out(model);
    unsigned place = model->next;
    enum model_found found;

    while ((found = list_at(model, rig, place, room, chain)) == MODEL_CHAIN && ahead) {
        room -= chain->entries;
        place += chain->entries;
        ahead--;
        model_clear(chain);
    }
    return found;
}

/* A driver that says for itself that buffers are used has only itself to ask what they are. */
static void packed_note(struct model *model, const struct rig *rig)
{
    const struct rig_queue *q = model_queue(model, rig);

    rig_load(rig, q->area[VIONET_AREA_DESC], model->ring, DESC * q->size);
    for (unsigned place = model->used; place < model->used + q->size; place++) {
        const struct model_desc desc = desc_of(&model->ring[DESC * slot_of(q, place)]);

        model->rude = model->rude || is_used(&desc, wrap_of(q, place));
    }
}

/* No index of the driver's can be ahead of what the ring holds. */
static void packed_note_jump(struct model *model, const struct rig *rig)
{
    rig_load(rig, model_queue(model, rig)->area[VIONET_AREA_DESC], model->ring,
             DESC * model_queue(model, rig)->size);
}

static unsigned packed_places(const struct model_chain *chain)
{
    return chain->entries;
}

/* ---- what is used ---- */

/* Of a descriptor the second half. Which ones were to be written, packed_require_used() knows. */
static void packed_allow(const struct model *model, struct rig *rig)
{
    const struct rig_queue *q = model_queue(model, rig);

    for (unsigned slot = 0; slot < q->size; slot++) {
        rig_allow(rig, q->area[VIONET_AREA_DESC] + DESC * slot + 8, 8);
    }
    rig_allow(rig, q->area[VIONET_AREA_DEVICE], PVIRTQ_EVENT_SIZE);
}

static bool packed_unseen(const struct model *model, const struct rig *rig, uint32_t *id,
                          uint32_t *len)
{
    const struct rig_queue *q = model_queue(model, rig);
    unsigned place = model->used;
    uint8_t octets[DESC];
    struct model_desc desc;

    for (unsigned i = 0; i < model->n_owed; i++) {
        place += model->owed[i].entries;
    }
    rig_load(rig, q->area[VIONET_AREA_DESC] + DESC * slot_of(q, place), octets, sizeof(octets));
    desc = desc_of(octets);
    *id = desc.id;
    *len = desc.len;
    return is_used(&desc, wrap_of(q, place));
}

static void packed_require_used(struct model *model, const struct rig *rig)
{
    const struct rig_queue *q = model_queue(model, rig);
    uint8_t octets[DESC];

    for (unsigned i = 0; i < model->n_owed; i++) {
        const struct model_owed *owed = &model->owed[i];
        const uint16_t flags =
            (wrap_of(q, model->used) ? BITS : 0) | (owed->len ? VIRTQ_DESC_F_WRITE : 0);
        const uint64_t rest = (uint64_t)flags << 48 | (uint64_t)owed->id << 32 | owed->len;

        for (unsigned octet = 0; octet < 8; octet++) {
            model->ring[DESC * slot_of(q, model->used) + 8 + octet] = (uint8_t)(rest >> 8 * octet);
        }
        model->used = (uint16_t)(model->used + owed->entries);
    }
    for (unsigned slot = 0; slot < q->size; slot++) {
        const uint8_t *wanted = &model->ring[DESC * slot];

        rig_load(rig, q->area[VIONET_AREA_DESC] + DESC * slot, octets, sizeof(octets));
        FUZZ_REQUIRE(memcmp(octets, wanted, DESC) == 0,
                     "queue %u: descriptor %u has id %u, %u octets, flags 0x%x; not %u, %u, 0x%x",
                     model->queue, slot, desc_of(octets).id, desc_of(octets).len,
                     desc_of(octets).flags, desc_of(wanted).id, desc_of(wanted).len,
                     desc_of(wanted).flags);
    }
}

/* ---- notifications ---- */

/* Whether event words that say DESC name that place. */
static bool names(const struct rig_queue *q, uint16_t event, unsigned place)
{
    return (event & RING_EVENT_OFF_MASK) == slot_of(q, place) &&
           !!(event & RING_EVENT_WRAP) == wrap_of(q, place);
}

static bool packed_wants_interrupt(const struct model *model, const struct rig *rig, uint16_t old)
{
    const struct rig_queue *q = model_queue(model, rig);
    const uint16_t event = rig_load16(rig, q->area[VIONET_AREA_DRIVER]);
    const uint16_t flags = rig_load16(rig, q->area[VIONET_AREA_DRIVER] + 2) & 3;

    if (flags != RING_EVENT_FLAGS_DESC || !rig_has(rig, VIRTIO_F_EVENT_IDX) ||
        (event & RING_EVENT_OFF_MASK) >= q->size) {
        return flags != RING_EVENT_FLAGS_DISABLE;
    }
    for (unsigned place = old; place < model->used; place++) {
        if (names(q, event, place)) {
            return true;
        }
    }
    return false;
}

/* Behind the buffers that are there, where the driver puts the next one. */
static unsigned place_behind(const struct model *model, const struct rig *rig)
{
    static struct model_chain chain;
    unsigned room = model_queue(model, rig)->size - n_out(model);
    unsigned place = model->next;

    for (;;) {
        model_clear(&chain);
        if (list_at(model, rig, place, room, &chain) != MODEL_CHAIN) {
            return place;
        }
        room -= chain.entries;
        place += chain.entries;
    }
}

static bool packed_would_kick(const struct model *model, const struct rig *rig)
{
    const struct rig_queue *q = model_queue(model, rig);
    const uint16_t event = rig_load16(rig, q->area[VIONET_AREA_DEVICE]);
    const uint16_t flags = rig_load16(rig, q->area[VIONET_AREA_DEVICE] + 2);

    return flags == RING_EVENT_FLAGS_ENABLE ||
           (flags == RING_EVENT_FLAGS_DESC && rig_has(rig, VIRTIO_F_EVENT_IDX) &&
            names(q, event, place_behind(model, rig)));
}

const struct model_format model_packed = {
    .part_len = packed_part_len,
    .align = {16, 4, 4},
    .written = {true, false, true},
    .look = packed_look,
    .note = packed_note,
    .note_jump = packed_note_jump,
    .places = packed_places,
    .allow = packed_allow,
    .unseen = packed_unseen,
    .require_used = packed_require_used,
    .wants_interrupt = packed_wants_interrupt,
    .would_kick = packed_would_kick,
};
