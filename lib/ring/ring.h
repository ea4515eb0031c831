/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtqueue as the device sees it (VIRTIO 1.4, 2.6 to 2.8): take chains, give them back, decide on
 * notifications. The only interface to queues; which format the driver and device agreed on, split or
 * packed, is known in this folder alone. A ring knows no network, and is used by one thread at a time (its queue's
 * gate).
 *
 *     driver's memory                      struct ring
 *     ---------------                      -----------
 *     available buffers  --- pop ------->  next_avail      (unpop steps back)
 *     used buffers       <-- push -------  staged          (written, not yet to be seen)
 *                        <-- flush ------  next_used       (seen by the driver)
 *     event words        <-- kicks ------
 *                        --- must_notify ->
 *
 * The ring keeps its own copy of every index and reads each word of guest memory once; what it wrote
 * there it never reads back, but for the index from which a ring goes on that another device had. When
 * the driver breaks a rule, pop returns -1 and fault says which; the
 * ring is then stopped for good, until ring_start().
 *
 * Parts that lie in remote memory are read word by word into a copy, and written through. If the host
 * cannot do that the ring is lost: pop fails, and nothing that was not flushed before is shown.
 */
#ifndef VIONET_RING_H
#define VIONET_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "memory.h"
#include "ring/chain.h"

struct ring;
struct ring_setup;

/* What the driver did wrong. */
struct ring_fault {
    VionetViolation violation;
    unsigned descriptor; /* VIONET_NONE if it is not about one */
    uint64_t value;
};

/* A buffer that goes back. */
struct ring_used {
    struct chain_ref ref;
    uint32_t written; /* octets */
};

/*
 * A buffer of the plainest kind, and by far the most frequent: one descriptor, all of it in one
 * mapping of this process.
 */
struct ring_plain {
    uint8_t *host;
    uint32_t len;  /* not 0; on its way back, octets written if it was taken for writing */
    uint16_t id;   /* as in its chain_ref */
    uint16_t turn; /* likewise, with IN_ORDER */
};

static inline struct chain_ref ring_plain_ref(const struct ring_plain *buffer)
{
    return (struct chain_ref){.id = buffer->id, .turn = buffer->turn, .n_desc = 1};
}

/*
 * Where a ring stands, between two visits to it: all that is needed to go on elsewhere. Those that were
 * taken and not shown come with their ids and numbers of descriptors, in the order of taking.
 */
struct ring_state {
    uint16_t next_avail;
    uint16_t next_used;
    bool avail_wrap;
    bool used_wrap;
    uint16_t told_used;
    bool told_valid;
    uint32_t untold;
    unsigned n_taken;
    struct ring_used *taken;
};

struct ring_ops {
    /* Octets of a part (VionetQueueArea) for size descriptors, its alignment, who writes to it. */
    uint32_t (*area_size)(unsigned area, uint16_t size);
    unsigned area_align[3];
    bool area_written[3];      /* by the device */
    bool size_is_power_of_two; /* or any */
    int (*pop)(struct ring *ring, struct chain *chain);
    unsigned (*pop_plain)(struct ring *ring, bool write, struct ring_plain *buffers, unsigned n);
    void (*unpop)(struct ring *ring, const struct chain_ref *ref);
    /* Put them behind those that are staged: each by itself, all by one entry, plain ones. */
    void (*put_used)(struct ring *ring, const struct ring_used *used, unsigned n);
    void (*put_batch)(struct ring *ring, const struct ring_used *used, unsigned n);
    void (*put_plain)(struct ring *ring, bool write, const struct ring_plain *buffers, unsigned n);
    /* Shows what was put; by how many places of the ring the driver's view advances. */
    unsigned (*publish)(struct ring *ring);
    bool (*must_notify)(struct ring *ring);
    void (*set_kicks)(struct ring *ring, bool wanted);
    bool (*has_more)(struct ring *ring);
    /* Where the ring stands, in the format's own encoding; and a ring just started goes on from there. */
    uint32_t (*get_base)(const struct ring *ring);
    void (*set_base)(struct ring *ring, uint32_t base);
    /* A ring just started goes on from where a process died, by its journal; staged are those to be shown. */
    void (*recover)(struct ring *ring);
    /* Why a ring can not stand where its setup says, NULL if it can. */
    const char *(*state_wrong)(const struct ring_setup *setup);
    /* Counts a buffer as taken that was so where the state comes from. */
    void (*retake)(struct ring *ring, struct chain_ref *ref);
    /* Notes in the log that n places, up to next_used, were published. */
    void (*log_used)(struct ring *ring, unsigned n);
};

/* A buffer that was given back while one before it was not (IN_ORDER). */
struct ring_turn {
    struct ring_used used;
    bool waits; /* it is one; all others are false */
};

struct ring_setup {
    uint64_t area_gpa[3]; /* by VionetQueueArea */
    uint16_t size;
    bool indirect;   /* VIRTIO_F_INDIRECT_DESC */
    bool event_idx;  /* VIRTIO_F_EVENT_IDX */
    bool in_order;   /* buffers go back in the order in which they were taken */
    bool batches;    /* VIRTIO_F_IN_ORDER: unwritten ones go back with one entry for several */
    bool packed;     /* VIRTIO_F_RING_PACKED */
    bool big_endian; /* words of the ring, a legacy driver's (split) */
    bool resumes;    /* goes on from base, where another device left it */
    bool logs; /* writes to the ring are noted in the map's log, as if the part lay at log_gpa */
    uint32_t base;
    struct ring_state *state; /* or, NULL otherwise, from there; its buffers get their turns */
    uint64_t log_gpa;
    uint8_t *journal; /* with in_order: where it stands is noted there (journal.h), NULL: nowhere */
};

struct ring {
    const struct ring_ops *ops;
    const struct memory_map *map; /* valid while the queue's gate is held */
    uint64_t map_serial;          /* of the map that the pointers below are of */
    /* host pointers of the parts, NULL for one in several pieces or in remote memory */
    uint8_t *area[3];
    unsigned hint; /* for memory_find() */
    struct ring_setup setup;
    uint16_t chain_limit; /* descriptors of one chain */

    /*
     * Split: indices that run freely through 16 bits. Packed: places in the ring, with a wrap counter
     * each.
     */
    uint16_t next_avail; /* of the next buffer to take */
    uint16_t seen_avail; /* the driver's, as last read (split) */
    uint16_t next_used;  /* that the driver sees */
    uint16_t staged;     /* used buffers past it */
    bool avail_wrap;     /* of next_avail */
    bool used_wrap;      /* of next_used */
    bool put_wrap;       /* of next_put */
    uint16_t next_put;   /* where the next used descriptor is written (packed) */
    bool kicks_wanted;
    bool lost;          /* remote memory failed, fault says where: nothing is shown any more */
    uint16_t told_used; /* next_used at the last notification decision (split) */
    bool told_valid;    /* told_used means something */
    uint32_t untold;    /* places that next_used advanced since that decision */
    /*
     * Taken and not yet pushed (or, IN_ORDER, not yet staged): buffers (split), or descriptors of the
     * ring (packed), where those staged count until they are shown.
     */
    uint16_t in_flight;

    uint16_t next_turn;  /* turns[] is indexed by the bits of it that turn_mask has */
    uint16_t first_turn; /* oldest turn not yet staged; only kept with IN_ORDER */
    uint16_t turn_mask;
    struct ring_turn
        *turns; /* more than setup.size; allocated by ring_init() for the largest size */
    struct ring_used *unseen; /* the staged ones, setup.size at most (packed, with a journal) */
    uint64_t first_put; /* second half of the first descriptor staged, not yet written (packed) */
    bool *taken;        /* by id: in flight (split) */
    struct ring_fault fault;
    _Alignas(16) uint8_t word[16]; /* copy of what was read last from remote memory */
};

/*
 * Where the parts of a legacy ring are that begins at gpa: one behind the other, the last at a multiple
 * of align, which is a power of two (2.7.2).
 */
void ring_legacy_areas(uint16_t size, uint64_t gpa, uint32_t align, uint64_t area_gpa[3]);

/* Allocates for up to max_size descriptors; ring_free() gives back. */
void ring_init(struct ring *ring, uint16_t max_size);
void ring_free(struct ring *ring);

/*
 * Starts the ring anew with all indices 0, or where setup or a journal that a process left says, in that map.
 * False with fault set if the setup breaks a rule.
 */
bool ring_start(struct ring *ring, const struct ring_setup *setup, const struct memory_map *map);

/* Where the ring stands, nothing being in flight: for another device's setup to go on from. */
static inline uint32_t ring_base(const struct ring *ring)
{
    return ring->ops->get_base(ring);
}

/*
 * Where the ring stands; *taken has room for those that the ring itself keeps, for IN_ORDER, because they
 * wait for others: setup.size. Who took the others adds them, and sorts all by turn.
 */
void ring_get_state(const struct ring *ring, struct ring_state *state);

/* How far behind the oldest buffer that is out one is in the order of taking. Only with IN_ORDER. */
static inline uint16_t ring_turn_of(const struct ring *ring, const struct chain_ref *ref)
{
    return (uint16_t)(ref->turn - ring->first_turn);
}

/* Where a ring with that setup is to go on, if it never goes on from setup->state itself. */
uint32_t ring_state_base(const struct ring_setup *setup);

/*
 * Why a ring with that setup can not stand where setup->state says, NULL if it can. Of one that resumed at
 * a base, the places may be any distance apart: that is as the driver and another device left it.
 */
const char *ring_state_wrong(const struct ring_setup *setup);

/* Stops the ring because memory that was there could not be reached; the first reason stays. */
void ring_lose(struct ring *ring, VionetViolation violation, unsigned descriptor, uint64_t value);

/* Makes the ring use map from now on; false with fault set if a part is not in it. */
bool ring_remap(struct ring *ring, const struct memory_map *map);

/*
 * Takes the next buffer: 1 and chain filled in, 0 if there is none, -1 with fault set if the driver
 * broke a rule (and nothing has been written anywhere).
 */
static inline int ring_pop(struct ring *ring, struct chain *chain)
{
    return ring->ops->pop(ring, chain);
}

/*
 * Takes up to n of the next buffers as long as they are plain, for writing or for reading; how many. Where
 * it stops there is none, or one for ring_pop(), which also finds out what is wrong with it.
 */
static inline unsigned ring_pop_plain(struct ring *ring, bool write, struct ring_plain *buffers,
                                      unsigned n)
{
    return ring->ops->pop_plain(ring, write, buffers, n);
}

/*
 * Puts the buffer taken last back, as if it had not been taken, and the one before it when called again.
 * Not after it was pushed, or one that was taken later.
 */
void ring_unpop(struct ring *ring, const struct chain_ref *ref);

/* The same for n plain ones, the last that were taken. */
void ring_unpop_plain(struct ring *ring, const struct ring_plain *buffers, unsigned n);

/*
 * Gives a buffer back with written octets in it. The driver sees it after the next flush; with
 * IN_ORDER not before those that were taken earlier. It cannot be taken back: the used buffer may stand over
 * the available one.
 */
void ring_push(struct ring *ring, const struct chain_ref *ref, uint32_t written);

/* The same for n buffers, one after the other. */
void ring_push_burst(struct ring *ring, const struct ring_used *used, unsigned n);

/* The same for n plain ones, all taken for writing, with len octets written, not 0, or all for reading. */
void ring_push_plain(struct ring *ring, bool write, const struct ring_plain *buffers, unsigned n);

/* Lets the driver see all buffers pushed so far, at once. False if there was nothing new to see. */
bool ring_flush(struct ring *ring);

/* Whether the driver wants to be notified of what was flushed since the last call (2.7.7, 2.7.10). */
static inline bool ring_must_notify(struct ring *ring)
{
    return ring->ops->must_notify(ring);
}

/*
 * Asks the driver to notify, or not to. Enabling returns true if buffers have been added in the
 * meantime: the caller looks again, as no notification may come for them.
 */
bool ring_enable_kicks(struct ring *ring);
void ring_disable_kicks(struct ring *ring);

#endif
