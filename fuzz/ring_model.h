/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The split ring as the specification has it (VIRTIO 1.4, 2.7), read slowly and literally from the
 * shadow of guest memory: what the device must find in it, what it must refuse, and what the used
 * ring must show in the end. Shares nothing with the library.
 *
 * A queue is *rude* once the driver has done something to it after which the specification says
 * nothing about what is next (the available index went back, or too far). Then only the limits of
 * what the device may write are known.
 */
#ifndef FUZZ_RING_MODEL_H
#define FUZZ_RING_MODEL_H

#include "rig.h"

/* Descriptors of one chain at most: that many are accepted in indirect tables. */
#define MODEL_MAX_CHAIN 1024

struct model_chain {
    uint16_t head;
    unsigned n;
    unsigned entries; /* of the ring that it takes up */
    uint64_t out_len;
    uint64_t in_len;
    uint64_t table; /* of an indirect descriptor, 0 if there is none */
    uint32_t table_len;
    struct rig_piece pieces[MODEL_MAX_CHAIN];
};

/* A buffer that the device has taken, in the order of taking. */
struct model_taken {
    uint16_t head;
    bool done;
};

struct model {
    bool started; /* the device looks at it */
    bool broken;  /* the device has said so */
    bool rude;
    bool jumped; /* it is, and the device must notice as soon as it looks */
    unsigned queue;
    uint16_t next;     /* available index of the next buffer to be taken */
    uint16_t idx;      /* available index as the driver has stored it */
    uint16_t used;     /* used index as the driver sees it */
    uint16_t expected; /* used elements that the device owes since then */
    uint32_t ids[RIG_MAX_SIZE];
    uint32_t lens[RIG_MAX_SIZE];
    struct model_taken taken[RIG_MAX_SIZE]; /* oldest first */
    unsigned n_taken;
};

enum model_found { MODEL_NONE, MODEL_CHAIN, MODEL_WRONG };

/* The queue is looked at from now on, with all its indices 0. */
void model_start(struct model *model, unsigned queue);

/* The driver may have stored another available index. */
void model_note(struct model *model, const struct rig *rig);

/* The same of a rude queue: it has not jumped if the ring could hold what is there by now. */
void model_note_jump(struct model *model, const struct rig *rig);

/* Whether the ring's parts are aligned and reachable. */
bool model_parts_good(const struct model *model, const struct rig *rig);

/* The buffer that is ahead buffers behind the next: none yet, a chain, or against the rules. */
enum model_found model_look(const struct model *model, const struct rig *rig, unsigned ahead,
                            struct model_chain *chain);

/* The next buffer is taken: it is out until given back; or taken and given back at once. */
void model_take(struct model *model, const struct model_chain *chain);
void model_give(struct model *model, const struct rig *rig, uint16_t head);
void model_use(struct model *model, const struct model_chain *chain, uint32_t len);

/* Takes over what the device may have written: the used ring and all buffers it can have reached. */
void model_allow(const struct model *model, struct rig *rig);

/* The used ring shows what is owed, no more and no less; from then on nothing is owed. */
void model_require_used(struct model *model, const struct rig *rig);

/* The number of elements in the used ring that the driver has not seen yet, and one of them. */
unsigned model_unseen(const struct model *model, const struct rig *rig);
void model_unseen_at(const struct model *model, const struct rig *rig, unsigned i, uint32_t *id,
                     uint32_t *len);

/* Whether the driver wanted to be notified of used elements from old to what it sees now. */
bool model_wants_interrupt(const struct model *model, const struct rig *rig, uint16_t old);

/* Whether the driver would notify if it published one buffer more. */
bool model_would_kick(const struct model *model, const struct rig *rig);

/* Whether the device may write over a ring or table itself: then its reading cannot be foretold. */
bool model_writes_over_rings(const struct model *models, unsigned n, const struct rig *rig);

#endif
