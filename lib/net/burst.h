/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A burst of frames on its way to the guest. receive.c brings each frame from station to station; straight.c
 * brings those to their queues that need no more than most do, the whole burst at once. What goes straight has
 * gone; what does not is as if nobody had tried, but for a hash that was found.
 */
#ifndef VIONET_NET_BURST_H
#define VIONET_NET_BURST_H

#include "net/device.h"
#include "net/hand.h"

#define ETHERNET_HEADER 14
#define VLAN_TAG        4
#define CHUNK           HAND_MAX /* frames on their way at once */

_Static_assert(CHUNK <= 32, "a frame of a burst is a bit of a word");

/* A frame on its way. */
struct station {
    const VionetFrame *frame;
    struct hash_result hash;
    uint32_t len; /* of a frame that is admitted, else anything */
    uint16_t pair;
    bool pending; /* neither delivered nor dropped yet */
    bool steered; /* pair is where it belongs */
    bool needs_checksum;
    uint8_t verdict; /* VionetVerdict */
};

/* A queue that was worked on, and what is to be said about it afterwards. */
struct visit {
    struct queue *queue;
    struct outcome outcome;
};

struct burst {
    VionetDevice *device;
    struct lane *lane;
    const struct view *view; /* in the lane's gate */
    bool hold;
    bool steers; /* there is more than one way for a frame to go, or a hash to tell */
    unsigned n;
    uint32_t gone;    /* by bit: frames that went straight, which have no stations */
    unsigned n_known; /* frames at the front that are admitted, and whose hash and pair are found */
    unsigned n_visits;
    struct hash_result hashes[CHUNK]; /* of those known */
    uint16_t pairs[CHUNK];
    struct station stations[CHUNK];
    struct visit
        visits[3 * CHUNK + 1]; /* see visit_queue_of(), and one for each lot of straight.c */
};

/* All of the frames, by bit. */
static inline uint32_t burst_all(unsigned n)
{
    return (uint32_t)((UINT64_C(1) << n) - 1);
}

/* What is to be said about a queue when all gates are left. */
static inline void burst_note_visit(struct burst *burst, struct queue *queue,
                                    const struct outcome *outcome)
{
    if (outcome->interrupt || outcome->deadline_ns || outcome->faulted) {
        burst->visits[burst->n_visits++] = (struct visit){queue, *outcome};
    }
}

/* Counts frames that are in a queue; of them, checked say something of their checksums. */
static inline void burst_count_delivered(struct queue *queue, uint32_t packets, uint64_t octets,
                                         uint32_t checked)
{
    queue_count(queue, VIONET_COUNTER_PACKETS, packets);
    queue_count(queue, VIONET_COUNTER_OCTETS, octets);
    queue_count(queue, VIONET_COUNTER_CSUM_NONE, packets - checked);
    count(&queue->verdicts[VIONET_DELIVERED], packets);
}

/* For a view in which all frames are the first queue's. Enters its gate and no other. */
void burst_go_straight(struct burst *burst, const VionetFrame *frames);

/* For a view in which a hash is all that is to be found out. In the lane's gate. */
void burst_hash_and_go(struct burst *burst, const VionetFrame *frames);

#endif
