/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the two formats of a ring do each in its own way, for ring_model.c and nobody else; and what both
 * need to read a chain. Neither knows the other, and both are read from the specification literally.
 */
#ifndef FUZZ_RING_MODEL_FORMAT_H
#define FUZZ_RING_MODEL_FORMAT_H

#include "ring_model.h"

struct model_format {
    uint32_t (*part_len)(unsigned area, uint16_t size);
    unsigned align[3];
    bool written[3]; /* by the device */
    /* See model_look(); the chain is empty. */
    enum model_found (*look)(const struct model *model, const struct rig *rig, unsigned ahead,
                             struct model_chain *chain);
    /* See model_note() and model_note_jump(). */
    void (*note)(struct model *model, const struct rig *rig);
    void (*note_jump)(struct model *model, const struct rig *rig);
    /* How far next moves when a chain is taken. */
    unsigned (*places)(const struct model_chain *chain);
    /* What of the ring itself the device may have written is taken over. */
    void (*allow)(const struct model *model, struct rig *rig);
    bool (*unseen)(const struct model *model, const struct rig *rig, uint32_t *id, uint32_t *len);
    /* All of what is owed is seen, and used is moved past it. */
    void (*require_used)(struct model *model, const struct rig *rig);
    bool (*wants_interrupt)(const struct model *model, const struct rig *rig, uint16_t old);
    bool (*would_kick)(const struct model *model, const struct rig *rig);
};

extern const struct model_format model_split;
extern const struct model_format model_packed;

static inline const struct rig_queue *model_queue(const struct model *model, const struct rig *rig)
{
    return &rig->queues[model->queue];
}

/* A descriptor, or an entry of a table; next is a split one's, id a packed one's. */
struct model_desc {
    uint64_t gpa;
    uint32_t len;
    uint16_t flags;
    uint16_t next;
    uint16_t id;
};

/* Little-endian octets. */
static inline uint64_t model_number(const uint8_t *octets, unsigned n)
{
    uint64_t value = 0;

    while (n--) {
        value = value << 8 | octets[n];
    }
    return value;
}

/* Adds an element; false if it breaks a rule, or is one more than limit. */
bool model_add(struct model_chain *chain, const struct rig *rig, const struct model_desc *desc,
               unsigned limit);

/* Notes the table that a descriptor refers to; false if that breaks a rule. */
bool model_enter(struct model_chain *chain, const struct rig *rig, const struct model_desc *desc);

#endif
