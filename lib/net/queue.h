/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One virtqueue of the device: its registers, its ring, its gate and its counters.
 *
 * Theory of operation. The control side owns the registers. It starts and stops the ring, always
 * inside the gate. The data side enters the gate, finds the queue live or leaves again, works, and
 * leaves with an outcome: what has to be told to the host, which happens with no gate held
 * (device_settle()). A ring that the driver broke is no longer live; only a reset brings it back.
 */
#ifndef VIONET_NET_QUEUE_H
#define VIONET_NET_QUEUE_H

#include <stdatomic.h>

#include <vionet/transport.h>

#include "gate.h"
#include "ring/ring.h"

/* Ranges of a transmitted frame kept for its slot: Linux's largest segmented frame has 19. */
#define SLOT_RANGES 20u
/* Frames out at once that have more. */
#define N_LARGE_SLOTS 4

/* Octets of bounce memory that frames may have out at once, if it is more than one frame. */
#define MAX_BOUNCED (16u << 20)

/* A token tells the frame's slot, and which of all frames ever taken it is. */
#define TOKEN_OF(n_taken, slot) ((uint64_t)(n_taken) << 16 | (slot))

/* States of a slot, by bit; 0: it is free. */
enum {
    SLOT_OUT = 1 << 0, /* until the host gives the frame back, whatever becomes of the queue */
    SLOT_DONE =
        1 << 1, /* given back while the queue was paused: goes to the driver when it goes on */
    /* It has more than other slots: several descriptors, or what queue_release_slot_extras() frees. */
    SLOT_EXTRAS = 1 << 2,
};

/* A transmitted frame that the host has. One cache line, and all of it that most frames use. */
struct slot {
    _Alignas(CACHE_LINE) struct chain_ref ref; /* how the buffer goes back */
    uint8_t state;
    int8_t large;   /* index of its large slot, -1 if it has none */
    uint16_t index; /* of the slot itself */
    uint64_t token;
    struct iovec plain; /* the range of a frame that has one */
    uint32_t bounced;   /* octets of bounce, 0: none */
    uint8_t *bounce;    /* its octets, where they are in remote memory */
};

/* Interrupt coalescing (5.1.6.5.9). */
struct coalesce {
    uint32_t max_packets;
    uint32_t max_usecs;
    uint32_t pending;  /* packets since the last notification */
    uint64_t since_ns; /* when the first of them came */
    bool armed;
};

/*
 * No line of it is written by two threads for every frame, nor read by one and written by another:
 * test_lines.c looks at the addresses.
 */
struct queue {
    _Alignas(LINE_PAIR) struct gate gate;

    /* the data side's, inside the gate */
    bool live; /* started, not broken, not paused */
    bool paused;
    atomic_bool broken; /* also looked at from outside */
    bool poll;
    bool awaited; /* receive: frames are held, which wait for more buffers; see queue_await() */
    bool starved; /* transmit: stopped for want of slots */
    bool
        draining; /* transmit: to be stopped once no frames are out, and none are taken meanwhile */
    bool discards; /* transmit: frames are given back unsent */
    struct ring ring;
    struct chain chain;
    struct iovec *ranges;      /* storage of chain */
    struct ring_used *several; /* receive: buffers of the frame at hand, max_size at most */
    struct coalesce coalesce;
    struct slot *slots;        /* transmit: n_slots of them */
    struct iovec *slot_ranges; /* SLOT_RANGES for each */
    uint16_t *free_slots;      /* a stack of the indices of those that are not out */
    uint16_t n_free_slots;
    uint16_t n_slots;
    uint64_t awaited_kicks; /* as many as there had been then */
    size_t bounced;         /* octets of bounce memory that frames have out */
    uint64_t n_taken;       /* frames ever: makes tokens unique */
    struct iovec *large_ranges;
    bool large_out[N_LARGE_SLOTS];
    uint64_t first_token; /* of the queue's present life: lower ones are stale */
    _Atomic uint64_t counters[VIONET_N_COUNTERS]; /* but for notifications: queue_counter() */
    _Atomic uint64_t verdicts[VIONET_N_VERDICTS];
    _Atomic uint64_t reported; /* violations that had their event since the last reset */

    /* set once */
    uint16_t index;
    const VionetHostOps *ops;
    void *opaque;
    _Atomic uint8_t *status; /* the device's */

    /* of whoever notifies: any thread of the guest */
    _Alignas(LINE_PAIR) _Atomic uint64_t kicks;

    /* the control side's */
    uint16_t max_size;
    uint16_t size;
    bool enabled;
    bool started;
    bool resumes; /* starts at base */
    uint32_t base;
    struct ring_state *state; /* or there, as another device was saved; NULL: it does not */
    bool logs;                /* what it writes to its ring is noted, at log_gpa */
    uint64_t log_gpa;
    uint8_t *journal; /* the transport's, or NULL */
    bool big_endian;  /* the words of its ring */
    uint64_t area_gpa[3];
};

/* What a visit to a queue leaves to be done once its gate is left. */
struct outcome {
    bool interrupt;
    bool kick; /* there is more to do than was done: the host should come again */
    bool faulted;
    bool needs_reset;     /* the fault is what made the device want a reset */
    uint64_t deadline_ns; /* for the coalescing timer, 0: none */
    struct ring_fault fault;
};

/* ops, whose clock is all that is used of it, and status must outlive the queue. */
void queue_init(struct queue *queue, uint16_t index, uint16_t max_size, bool transmit,
                const VionetHostOps *ops, void *opaque, _Atomic uint8_t *status);
void queue_free(struct queue *queue);

/* Registers and counters as after a device reset. Not while live. */
void queue_reset_registers(struct queue *queue, uint16_t max_size);
void queue_reset_counters(struct queue *queue);

/* Makes the queue live with its registers' values, inside the gate. */
void queue_start(struct queue *queue, const uint64_t *features, const struct memory_map *map,
                 struct outcome *outcome);

/* Makes it dead; on return no data function works on it. */
void queue_stop(struct queue *queue);

/*
 * The same for a queue that is to go on, here or elsewhere: *base is where. If it was paused, the driver
 * is shown what the host gave back meanwhile; if it was to start where another device's stood, what was out
 * there. False while frames taken from it are out; no others are taken from then on.
 */
bool queue_stop_at(struct queue *queue, const uint64_t *features, _Atomic(struct memory_map *) *map,
                   uint32_t *base, struct outcome *outcome);

/*
 * The same, but for a while: its state stays. Resuming is for a queue that was started; it shows the
 * driver what the host gave back meanwhile.
 */
void queue_pause(struct queue *queue);
void queue_resume(struct queue *queue, _Atomic(struct memory_map *) *map, struct outcome *outcome);

/*
 * Where the queue stands, with the buffers of frames that are out, for another one to go on: a new state,
 * NULL if it has not begun or is broken. To be freed with queue_free_state().
 */
struct ring_state *queue_get_state(struct queue *queue);
void queue_free_state(struct ring_state *state);

/* Why a queue of that size can not stand there (or not unless it resumed at a base), NULL if it can. */
const char *queue_state_wrong(uint16_t size, const uint64_t *features, bool resumes,
                              struct ring_state *state);

/*
 * A queue that was not started stands there from now on, which becomes its own, and has that many packets
 * to notify of. When it starts, the driver gets back what is out there.
 */
void queue_set_state(struct queue *queue, struct ring_state *state, uint32_t pending);

/* A queue that was not started is one that a driver broke where it comes from: it has no ring until a reset. */
void queue_set_broken(struct queue *queue);

/* Whether, and where, writes to its ring are noted from now on. */
void queue_set_log(struct queue *queue, bool logs, uint64_t gpa);

/* Whether a transmit queue's frames are given back unsent from now on. */
void queue_set_discard(struct queue *queue, bool discards);

/* Gives up what of a slot not every one has. */
void queue_release_slot_extras(struct queue *queue, struct slot *slot);

/* Makes a slot free again. Inside the gate. */
static inline void queue_release_slot(struct queue *queue, struct slot *slot)
{
    if (G_UNLIKELY(slot->state & SLOT_EXTRAS)) {
        queue_release_slot_extras(queue, slot);
    }
    slot->state = 0;
    queue->free_slots[queue->n_free_slots++] = slot->index;
}

/*
 * Enters the gate; false, with the gate left, if the queue is not live, or breaks because its memory
 * is not in the map, which is loaded inside. Leave with gate_leave().
 */
bool queue_enter(struct queue *queue, _Atomic(struct memory_map *) *map, struct outcome *outcome);

/*
 * Stops the queue for a rule that the driver broke, which ring.fault names, and makes the device want a
 * reset. All of it inside the gate, so that a reset that comes meanwhile leaves nothing of it.
 */
void queue_break(struct queue *queue, struct outcome *outcome);
void queue_break_with(struct queue *queue, VionetViolation violation, unsigned descriptor,
                      uint64_t value, struct outcome *outcome);

/*
 * Frames are held that found too few buffers, and asked the driver to notify. Until it has, after which all who hold
 * frames come again, nobody else's frames take that back, though there are buffers enough for them. Inside the gate.
 */
void queue_await(struct queue *queue);

/* Asks the driver not to notify, unless frames are held that wait for it. Inside the gate. */
void queue_quiet_driver(struct queue *queue);

/* The same, at every burst. */
static inline void queue_quiet(struct queue *queue)
{
    if (queue->ring.kicks_wanted) {
        queue_quiet_driver(queue);
    }
}

/*
 * Takes a receive buffer into chain, as ring_pop() does. An empty ring is looked at again after the driver was asked to
 * notify: from then on it does. Inside the gate.
 */
int queue_take_buffer(struct queue *queue);

/* Breaks the queue if remote memory failed its ring. For whoever used the ring and does not pop. */
void queue_check(struct queue *queue, struct outcome *outcome);

/* Shows the driver what was pushed, for that many packets, and decides on notifying. */
void queue_flush(struct queue *queue, uint32_t packets, struct outcome *outcome);

/*
 * The same for a transmit queue, where a buffer is a packet. With IN_ORDER these are not the ones just
 * pushed: some wait for others, and come with them.
 */
static inline void queue_flush_buffers(struct queue *queue, struct outcome *outcome)
{
    queue_flush(queue, queue->ring.staged, outcome);
}

/* Takes up new coalescing parameters, or the timer's expiry: notifies if that is due now. */
void queue_coalesce_set(struct queue *queue, _Atomic(struct memory_map *) *map,
                        uint32_t max_packets, uint32_t max_usecs, struct outcome *outcome);
void queue_coalesce_expire(struct queue *queue, struct outcome *outcome);

/* Counters have one writer at a time (the gate's holder), so that no locked addition is needed. */
static inline void count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline const _Atomic uint64_t *queue_counter(const struct queue *queue,
                                                    VionetCounter counter)
{
    return counter == VIONET_COUNTER_KICKS ? &queue->kicks : &queue->counters[counter];
}

/* Not for VIONET_COUNTER_KICKS. */
static inline void queue_count(struct queue *queue, VionetCounter counter, uint64_t n)
{
    count(&queue->counters[counter], n);
}

/*
 * Counts a frame passed on by its header, which is not all zero; 1 if that says anything of
 * checksums. Frames that say nothing are counted by the burst.
 */
unsigned queue_count_offloads(struct queue *queue, uint8_t flags, uint8_t gso_type, size_t len);

#endif
