/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ring as the specification has it (VIRTIO 1.4, 2.7 and 2.8), read slowly and literally from the
 * shadow of guest memory: what the device must find in it, what it must refuse, and what must be used
 * in the end. Shares nothing with the library. The formats are in ring_model_split.c and
 * ring_model_packed.c.
 *
 * A queue is *rude* once the driver has done something to it after which the specification says
 * nothing about what is next (split: the available index went back, or too far; packed: the driver
 * itself has marked buffers as used; either: two buffers of one name are out). Then only the limits
 * of what the device may write are known.
 */
#ifndef FUZZ_RING_MODEL_H
#define FUZZ_RING_MODEL_H

#include "rig.h"

/* Descriptors of one chain at most: that many are accepted in indirect tables. */
#define MODEL_MAX_CHAIN 1024

struct model_chain {
    uint16_t head; /* its name: the first descriptor's index, or a packed buffer's id */
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
    uint32_t turn; /* which one it is, however it is called */
    uint16_t head;
    uint16_t entries;
    bool done;
};

/* A used buffer that the driver must find. */
struct model_owed {
    uint32_t id;
    uint32_t len;
    uint16_t entries;
};

struct model {
    bool started; /* the device looks at it */
    bool broken;  /* the device has said so */
    bool rude;
    bool jumped; /* it is, and the device must notice as soon as it looks (split) */
    bool
        wrong; /* before the call there was something against the rules, which is written over now */
    bool packed;
    unsigned queue;
    uint16_t next;   /* available index, or place, of the next buffer to be taken */
    uint16_t idx;    /* available index as the driver has stored it (split) */
    uint16_t used;   /* used index as the driver sees it, or the next used place */
    uint16_t n_owed; /* used buffers that the device owes since then */
    struct model_owed owed[RIG_MAX_SIZE];
    struct model_taken taken[RIG_MAX_SIZE]; /* oldest first */
    unsigned n_taken;
    uint32_t turns;
    uint8_t ring[PVIRTQ_DESC_RING_SIZE(RIG_MAX_SIZE)]; /* before the call (packed) */
};

enum model_found { MODEL_NONE, MODEL_CHAIN, MODEL_WRONG };

/* The queue is looked at from now on, with all its indices 0. */
void model_start(struct model *model, unsigned queue, bool packed);

/* The driver may have stored anything; from here on the ring is looked at as it is now. */
void model_note(struct model *model, const struct rig *rig);

/* The same of a queue that is not known: it has not jumped if the ring could hold what is there by now. */
void model_note_jump(struct model *model, const struct rig *rig);

/* Whether the ring's parts are aligned and reachable. */
bool model_parts_good(const struct model *model, const struct rig *rig);

/* The buffer that is ahead buffers behind the next: none yet, a chain, or against the rules. */
enum model_found model_look(const struct model *model, const struct rig *rig, unsigned ahead,
                            struct model_chain *chain);

/* A chain is empty, and about to be read. */
void model_clear(struct model_chain *chain);

/* The next buffer is taken: it is out until given back, by its turn; or taken and given back at once. */
uint32_t model_take(struct model *model, const struct model_chain *chain);
void model_give(struct model *model, const struct rig *rig, uint32_t turn);
void model_use(struct model *model, const struct model_chain *chain, uint32_t len);

/* The name of a buffer that is out. */
uint16_t model_head(const struct model *model, uint32_t turn);

/* Takes over what the device may have written: the ring and all buffers it can have reached. */
void model_allow(const struct model *model, struct rig *rig);

/* The driver sees what is owed, no more and no less; from then on nothing is owed. */
void model_require_used(struct model *model, const struct rig *rig);

/* The used buffer behind those that are owed; false if the driver sees none. */
bool model_unseen(const struct model *model, const struct rig *rig, uint32_t *id, uint32_t *len);

/* Whether the driver wanted to be notified of what became used, from old to what it sees now. */
bool model_wants_interrupt(const struct model *model, const struct rig *rig, uint16_t old);

/* Whether the driver would notify if it published one buffer more. */
bool model_would_kick(const struct model *model, const struct rig *rig);

/* Whether the device may write over a ring or table itself: then its reading cannot be foretold. */
bool model_writes_over_rings(const struct model *models, unsigned n, const struct rig *rig);

#endif
