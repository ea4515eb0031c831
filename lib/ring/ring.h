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

/* What the driver did wrong. */
struct ring_fault {
    VionetViolation violation;
    unsigned descriptor; /* VIONET_NONE if it is not about one */
    uint64_t value;
};

/*
 * A buffer of the plainest kind, and by far the most frequent: one descriptor, all of it in one
 * mapping of this process.
 */
struct ring_plain {
    uint8_t *host;
    uint32_t len; /* not 0 */
};

/* A buffer that goes back. */
struct ring_used {
    struct chain_ref ref;
    uint32_t written; /* octets */
};

struct ring_ops {
    /* Octets of a part (VionetQueueArea) for size descriptors, its alignment, who writes to it. */
    uint32_t (*area_size)(unsigned area, uint16_t size);
    unsigned area_align[3];
    bool area_written[3];      /* by the device */
    bool size_is_power_of_two; /* or any */
    int (*pop)(struct ring *ring, struct chain *chain);
    unsigned (*pop_plain)(struct ring *ring, bool write, struct ring_plain *buffers,
                          struct ring_used *used, unsigned n);
    void (*unpop)(struct ring *ring, const struct chain_ref *ref);
    /* Puts them behind those that are staged. */
    void (*put_used)(struct ring *ring, const struct ring_used *used, unsigned n);
    /* Shows what was put; by how many places of the ring the driver's view advances. */
    unsigned (*publish)(struct ring *ring);
    bool (*must_notify)(struct ring *ring);
    void (*set_kicks)(struct ring *ring, bool wanted);
    bool (*has_more)(struct ring *ring);
    /* Where the ring stands, in the format's own encoding; and a ring just started goes on from there. */
    uint32_t (*get_base)(const struct ring *ring);
    void (*set_base)(struct ring *ring, uint32_t base);
    /* Notes in the log that n places, up to next_used, were published. */
    void (*log_used)(struct ring *ring, unsigned n);
};

/* A buffer that was given back while one before it was not (IN_ORDER). */
struct ring_turn {
    struct ring_used used;
    bool waits; /* it is one; all others are false */
};

/* Where the taking stands; ring_rewind() goes back to it. */
struct ring_mark {
    uint16_t next_avail;
    bool avail_wrap;
    uint16_t in_flight;
    uint16_t next_turn;
    uint16_t first_turn;
    uint16_t staged;
};

struct ring_setup {
    uint16_t size;
    uint64_t area_gpa[3]; /* by VionetQueueArea */
    bool indirect;        /* VIRTIO_F_INDIRECT_DESC */
    bool event_idx;       /* VIRTIO_F_EVENT_IDX */
    bool in_order;        /* VIRTIO_F_IN_ORDER */
    bool packed;          /* VIRTIO_F_RING_PACKED */
    bool big_endian;      /* words of the ring, a legacy driver's (split) */
    bool resumes;         /* goes on from base, where another device left it */
    uint32_t base;
    bool logs; /* writes to the ring are noted in the map's log, as if the part lay at log_gpa */
    uint64_t log_gpa;
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
    struct ring_used *unseen; /* the staged ones, setup.size at most (packed) */
    bool *taken;              /* by id: in flight (split) */
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
 * Starts the ring anew with all indices 0, or where setup says, in that map. False with fault set if the
 * setup breaks a rule.
 */
bool ring_start(struct ring *ring, const struct ring_setup *setup, const struct memory_map *map);

/* Where the ring stands, nothing being in flight: for another device's setup to go on from. */
static inline uint32_t ring_base(const struct ring *ring)
{
    return ring->ops->get_base(ring);
}

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
 * Takes up to n of the next buffers as long as they are plain, for writing or for reading; how many. used
 * is made ready for giving them back, with 0 octets written. Where it stops there is none, or one for ring_pop(), which also finds out what is wrong with it.
 */
static inline unsigned ring_pop_plain(struct ring *ring, bool write, struct ring_plain *buffers,
                                      struct ring_used *used, unsigned n)
{
    return ring->ops->pop_plain(ring, write, buffers, used, n);
}

/* Puts the buffer taken last back, as if it had not been taken. Not after it was pushed. */
void ring_unpop(struct ring *ring, const struct chain_ref *ref);

/*
 * Gives a buffer back with written octets in it. The driver sees it after the next flush; with
 * IN_ORDER not before those that were taken earlier.
 */
void ring_push(struct ring *ring, const struct chain_ref *ref, uint32_t written);

/* The same for n buffers, one after the other. */
void ring_push_burst(struct ring *ring, const struct ring_used *used, unsigned n);

/*
 * Undoes what was taken since a mark, all of which was pushed and none of it flushed: nobody but the
 * device knows of it.
 */
struct ring_mark ring_mark(const struct ring *ring);
void ring_rewind(struct ring *ring, const struct ring_mark *mark);

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
