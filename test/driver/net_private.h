/* SPDX-License-Identifier: BSD-3-Clause */
/* The insides of a guest_net; for net.c, receive.c, transmit.c and control.c. */
#ifndef TEST_DRIVER_NET_PRIVATE_H
#define TEST_DRIVER_NET_PRIVATE_H

#include "net.h"
#include "queue.h"

/* A buffer in guest memory, and room for its indirect table. */
struct net_buffer {
    uint64_t gpa;
    uint8_t *host;
    uint64_t table_gpa;
    uint32_t table_entries;
};

/* Buffers of one queue, kept over resets. */
struct net_buffers {
    struct net_buffer *at;
    unsigned n;
    uint32_t size;
};

struct net_receive_queue {
    unsigned index;
    struct net_buffers buffers;
    unsigned n_buffers; /* of them, in use */
    unsigned n_segments;
    struct virtq_segment *pieces;   /* of a buffer at address 0 */
    struct virtq_segment *segments; /* of the buffer at hand */
    struct net_buffer **current;    /* buffers of the last packet */
    unsigned n_current;
    struct net_buffer **idle; /* a stack of those not posted */
    unsigned n_idle;
    unsigned added; /* to the ring since the last kick */
    unsigned batch;
    uint8_t *assembly; /* where a packet of several buffers is copied together */
};

struct net_transmit_queue {
    unsigned index;
    struct net_buffers buffers;
    struct net_buffer **free; /* a stack */
    unsigned n_free;
    unsigned n_buffers;
    struct virtq_segment *segments;
    unsigned max_segments;
};

struct net_control {
    struct net_buffer command;
    struct net_buffer reply;
    struct virtq_segment *segments;
    unsigned max_segments;
    bool stuck; /* a command was never answered */
    uint32_t used_len;
};

/* What a received header may say. */
struct net_allowed {
    uint8_t flags;
    uint8_t gso_bits;  /* above the base type */
    uint8_t gso_types; /* a bit for each base type */
    bool multiple;     /* MRG_RXBUF */
};

struct guest_net {
    struct guest_driver *driver;
    struct net_options options;
    unsigned header_size;
    uint32_t receive_size;
    uint32_t transmit_size;
    uint32_t control_size;
    struct net_allowed allowed;
    unsigned n_pairs; /* elements of both arrays */
    unsigned pairs;   /* started */
    unsigned next_pair;
    struct net_receive_queue *receive;
    struct net_transmit_queue *transmit;
    struct net_control control;
};

/* Octets a packet of several buffers may have. */
#define NET_ASSEMBLY_SIZE (1u << 18)

/* Have n buffers of size octets. */
bool net_buffers_make(struct guest_net *net, struct net_buffers *buffers, unsigned n,
                      uint32_t size);
/* Have a table of n entries for a buffer. */
bool net_buffer_table(struct guest_net *net, struct net_buffer *buffer, unsigned n);
/* The buffer that a cookie stands for; NULL if it is not one of these. */
struct net_buffer *net_buffers_find(const struct net_buffers *buffers, unsigned n, void *cookie);
/* Have room for n segments. */
void net_segments(struct virtq_segment **segments, unsigned *max, unsigned n);

bool net_receive_start(struct guest_net *net, unsigned pair);
void net_receive_free(struct net_receive_queue *queue);
bool net_transmit_start(struct guest_net *net, unsigned pair);
void net_transmit_free(struct net_transmit_queue *queue);
bool net_control_start(struct guest_net *net);
void net_control_free(struct net_control *control);

#endif
