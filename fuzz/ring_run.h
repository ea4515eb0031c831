/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A run of fuzz_ring: what its files share. ring_check.c holds each call into the device against the
 * model, ring_receive.c and ring_transmit.c are frames either way, fuzz_ring.c is the rest of the
 * program.
 */
#ifndef FUZZ_RING_RUN_H
#define FUZZ_RING_RUN_H

#include "input.h"
#include "reach.h"
#include "rig.h"
#include "ring_model.h"

#define RUN_MAX_OUT (RIG_MAX_PAIRS * RIG_MAX_SIZE)
#define HEADER_MAX  24

/* What is counted: indices of fuzz_reach. */
enum {
    DRIVER_OK,
    POSTED,
    POSTED_INDIRECT,
    POSTED_PACKED,
    USED_PACKED,
    DELIVERED,
    MERGED,
    NO_ROOM,
    TOO_SMALL,
    TAKEN,
    DROPPED,
    STARVED,
    COMPLETED,
    COMMANDS,
    COMMANDS_OK,
    WANTED_INTERRUPTS,
    KICKS_CHECKED,
    QUEUE_RESETS,
    DEVICE_RESETS,
    REMAPPED,
    BROKEN,
    RUDE,
    JUMPS,
    WILD,
    SEVERAL_PAIRS,
    WORKS,
};

#define REACHED(what) (fuzz_reach[what].count++)

/* A frame that the device has handed out. */
struct out {
    VionetFrame frame;
    unsigned pair;
    uint32_t turn; /* the model's */
    bool known;    /* the model knows of it too */
};

struct run {
    struct rig rig;
    struct model models[RIG_MAX_QUEUES];
    struct input input;
    unsigned n_models;
    unsigned pairs;
    uint32_t hdr_len;
    bool mergeable;
    bool running; /* DRIVER_OK, as far as the driver is concerned */
    bool failed;
    bool dma;
    bool link;
    bool raw;  /* something was stored without a thought */
    bool wild; /* the device may write over what it reads, or the driver has over a used ring */
    bool poll[RIG_MAX_QUEUES];
    bool starved[RIG_MAX_PAIRS]; /* transmit stopped for want of slots */
    uint32_t pending[RIG_MAX_PAIRS]
                    [RIG_MAX_SIZE]; /* turns completed while memory was out of reach */
    unsigned n_pending[RIG_MAX_PAIRS];
    struct out outs[RUN_MAX_OUT];
    unsigned n_outs;
    uint64_t commands_ok; /* since the last reset */
    uint32_t serial;      /* of the last frame */
    uint16_t sizes[3];
    bool uneven;      /* sizes of packed rings are no power of two */
    unsigned n_large; /* buffers of many elements, which take their time */
    /* as they were before the call */
    uint16_t old_used[RIG_MAX_QUEUES];
    uint64_t old_interrupts[RIG_MAX_QUEUES];
    uint64_t old_kicks[RIG_MAX_QUEUES];
};

/* ---- ring_check.c ---- */

static inline struct model *model_of(struct run *run, unsigned queue)
{
    return &run->models[queue];
}

/* The model says all about a queue: it is neither broken nor past prediction. */
bool known(const struct run *run, unsigned queue);

/* The device works on a queue, but perhaps for a ring that is out of reach. */
bool live(const struct run *run, unsigned queue);

/* Around every call into the device. */
void before(struct run *run);
void after(struct run *run, const char *what);

/* The first part of after(): what was written, and where. The used rings can be read then. */
void check_memory(struct run *run, const char *what);

/* The device has looked for a buffer: if there were more than the ring holds, it is broken now. */
void require_jump_noticed(struct run *run, unsigned queue);

/* The driver has to notify of the next buffer, or none will ever be looked at. */
void require_kicks_wanted(struct run *run, unsigned queue);

/* ---- ring_receive.c ---- */

void act_receive(struct run *run);

/* ---- ring_transmit.c ---- */

void act_transmit(struct run *run);
void act_complete(struct run *run);

/* Memory is in reach again: what was completed meanwhile becomes used. */
void account_resumed(struct run *run);

/* Gives back the i-th of the frames that are out. */
void complete(struct run *run, unsigned i);

/* Frames of a transmit queue whose life is over are nobody's; they are completed all the same. */
void forget_outs(struct run *run, unsigned queue);

#endif
