/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A run of fuzz_whole: what its files share. whole_frames.c is frames both ways and the accounts of them,
 * whole_commands.c the control queue, fuzz_whole.c the rest of the program.
 *
 * The driver of test/driver/ is honest, and complains of all that the device does wrong. What makes a driver
 * dishonest (a spoilt buffer, a store between two reads, memory that goes away) *taints* the run until the
 * driver starts again: until then the device only has to survive, and to stay inside of guest memory.
 */
#ifndef FUZZ_WHOLE_RUN_H
#define FUZZ_WHOLE_RUN_H

#include "control_model.h"
#include "driver/queue.h"
#include "input.h"
#include "machine/machine.h"
#include "reach.h"
#include "traffic.h"

#define WHOLE_MAX_PAIRS RIG_MAX_PAIRS
#define WHOLE_MAX_SENT  192 /* frames of a run, each way */
#define WHOLE_BURST     8
#define WHOLE_MAX_OUT   64

/* What is counted: indices of fuzz_reach. */
enum {
    BOOTED,
    BOOTED_LEGACY,
    BOOTED_MMIO,
    BOOTED_PACKED,
    BOOTED_REMOTE,
    OFFERED,
    DELIVERED,
    RECEIVED,
    MERGED,
    HELD,
    FILTERED,
    REFUSED,
    HASHED,
    HASHED_INNER,
    BY_TABLE,
    COMPLETED,
    SEGMENTS_IN,
    SENT,
    TAKEN,
    DROPPED,
    SEGMENTS_OUT,
    STALE,
    COMMANDS,
    COMMANDS_OK,
    QUEUE_RESETS,
    DEVICE_RESETS,
    UNBOUND,
    BUS_RESETS,
    MIGRATED,
    MIGRATED_OUT,
    REMAPPED,
    TIMERS,
    AWOKEN,
    RACES,
    TAINTED,
    SETTLED,
    STOPPED,
    RECOVERED,
    LOGGED,
};

#define REACHED(what) (fuzz_reach[what].count++)

/* A frame towards the guest, by its serial number. */
struct whole_in {
    struct traffic_frame *traffic;
    bool delivered; /* so the device said */
    bool received;
    bool logged;    /* it was written while the dirty log was there */
    bool lost;      /* perhaps: its queue was reset */
    bool completed; /* its checksum was the device's to complete */
    bool by_table;
    unsigned pair; /* where the table says it goes */
    bool has_hash; /* and its header says this */
    uint16_t report;
    uint32_t hash;
    uint8_t tunnel;
};

/* A frame of the guest. */
struct whole_out {
    struct traffic_frame *traffic;
    struct net_header header;
    unsigned pair;
    bool settled; /* taken by the host, or dropped */
};

/* A frame that the host has and has not given back. */
struct whole_taken {
    VionetFrame frame;
    unsigned pair;
    int out; /* which of the guest's frames it is, -1: nobody knows */
};

struct whole {
    struct machine *machine;
    struct input input;
    struct control_model model;
    bool modelled; /* commands are: not a big-endian guest's, nor any behind one without answer */
    bool tainted;
    bool no_memory; /* something is not mapped */
    bool dma_off;
    bool link_off;
    bool paused;
    bool queues_reset;                      /* since the driver started: order may differ */
    bool undone;                            /* frames found not enough buffers since then */
    char violation[160];                    /* the last of the driver's */
    uint64_t offered;                       /* frames since the last reset, both ways */
    uint64_t traced;                        /* those that the trace operation told of */
    bool logged;                            /* the dirty log is there */
    uint8_t *journals[2 * WHOLE_MAX_PAIRS]; /* of queues that have one */
    struct whole_in in[WHOLE_MAX_SENT];
    unsigned n_in;
    uint32_t last_received[WHOLE_MAX_PAIRS];
    struct whole_out out[WHOLE_MAX_SENT];
    unsigned n_out;
    struct whole_taken taken[WHOLE_MAX_OUT];
    unsigned n_taken;
};

/* Pairs that the driver has. */
static inline unsigned whole_pairs(const struct whole *whole)
{
    return whole->machine->driver->pairs;
}

/* Nothing is out of the ordinary: what the model says must be so. */
static inline bool whole_exact(const struct whole *whole)
{
    return !whole->tainted && !whole->no_memory && !whole->dma_off && !whole->paused &&
           vionet_device_running(whole->machine->device);
}

/* What every call may have come to: complaints of an honest driver, or that it is no longer one. */
void whole_look(struct whole *whole, const char *after);

/* ---- whole_frames.c ---- */

void whole_act_deliver(struct whole *whole);
void whole_act_receive(struct whole *whole);
void whole_act_send(struct whole *whole);
void whole_act_take(struct whole *whole);
void whole_act_complete(struct whole *whole);
void whole_act_reclaim(struct whole *whole);

/* Gives back all that the host has. */
void whole_complete_all(struct whole *whole);

/*
 * All that is under way arrives, and the accounts are closed: each frame that was delivered was received
 * once, each that was sent was taken or dropped once, each buffer of the driver is the driver's again.
 */
void whole_settle(struct whole *whole);

/*
 * Frames of a lost queue, which the host gives back for nothing: they will be taken once more, and all behind the
 * first of them, dropped or given back, which had to wait for it.
 */
void whole_take_again(struct whole *whole, unsigned pair);

/* Whether the dirty log tells of an octet that the driver found written. */
bool whole_is_logged(const struct whole *whole, const uint8_t *at);

/* What was under way is lost, as a reset does. */
void whole_forget_frames(struct whole *whole);

/* The same for a queue that is about to be reset. */
void whole_forget_queue(struct whole *whole, unsigned queue);

/* Frees all frames, at the end of a run. */
void whole_free_frames(struct whole *whole);

/* One frame of these octets towards the guest. */
void whole_deliver_one(struct whole *whole, const uint8_t *octets, size_t len);

/* ---- whole_commands.c ---- */

void whole_act_command(struct whole *whole);

#endif
