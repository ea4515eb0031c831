/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames over a started driver (VIRTIO 1.4, 5.1.6): receive buffers and transmit buffers in guest
 * memory, cut into descriptors as a suite likes. Commands to the device are in control.h.
 *
 *     guest_driver_start(driver, features_known());
 *     net = net_new(driver, NULL);
 *     net_start(net);
 *     while (net_receive(net, &packet)) ...
 *
 * Nothing on the way of a frame allocates. Every received header is held against the accepted
 * features; what is wrong becomes a complaint of the driver.
 *
 * Threads: the functions that take a pair may run in one thread a pair and direction; the others
 * want the whole net for themselves.
 */
#ifndef TEST_DRIVER_NET_H
#define TEST_DRIVER_NET_H

#include "driver.h"
#include "header.h"
#include "layout.h"

/* All zeroes is a good choice. */
struct net_options {
    uint32_t receive_size;    /* octets of a receive buffer with its header; 0: by features */
    uint16_t receive_buffers; /* per queue; 0: up to 256; never more than the ring takes */
    uint16_t receive_batch;   /* used buffers kept before they are given back; 0: an eighth */
    struct net_layout receive_layout;
    uint32_t transmit_size; /* octets of a transmit buffer with its header; 0: 65550 and header */
    uint16_t transmit_buffers; /* per queue; 0: up to 32 */
    struct net_layout transmit_layout;
    uint32_t control_size;    /* longest command in octets; 0: 160 KiB */
    uint32_t control_wait_us; /* how long to wait for an answer; 0: 100 ms */
    bool hold;                /* post receive buffers by net_post only */
    bool poison;              /* fill receive buffers with 0xa5 and see what the device leaves */
};

#define NET_POISON 0xa5

/* A received packet. The pointers hold until the next net_receive of that pair, or net_recycle. */
struct guest_packet {
    unsigned pair;
    unsigned n_buffers;
    struct net_header header;
    const uint8_t *raw_header; /* header octets as the device wrote them */
    const uint8_t *data;       /* the frame in one piece: in guest memory, or copied together */
    uint32_t len;
};

struct guest_net;

/* Make the network side of a driver; options may be NULL. The driver must outlive it. */
struct guest_net *net_new(struct guest_driver *driver, const struct net_options *options);
/* Forget it; its guest memory is not given back. */
void net_free(struct guest_net *net);
/*
 * Make the buffers and fill the receive queues, after each guest_driver_start. False, with a
 * complaint, if memory is short or a buffer does not fit its ring.
 */
bool net_start(struct guest_net *net);
/* Octets in front of each packet. */
unsigned net_header_size(const struct guest_net *net);
struct guest_driver *net_driver(const struct guest_net *net);

/*
 * Reset a queue of a started net (RING_RESET) and set it up again with so many entries (0: as the
 * driver's options say), a receive queue full of buffers.
 */
bool net_reset_queue(struct guest_net *net, unsigned index, uint16_t size);

/* ---- Receive ---- */

/* The next packet of any queue, or of one pair. False if there is none. */
bool net_receive(struct guest_net *net, struct guest_packet *packet);
bool net_receive_pair(struct guest_net *net, unsigned pair, struct guest_packet *packet);
/* Give back the buffers of the last packets at once, and show them to the device. */
void net_recycle(struct guest_net *net);
/* Post up to n receive buffers that are not posted, and show the device; how many it were. */
unsigned net_post(struct guest_net *net, unsigned pair, unsigned n);
/* The same by a driver that has not come to notifying yet: guest_queue_kick() does it. */
unsigned net_post_silently(struct guest_net *net, unsigned pair, unsigned n);

/* ---- Transmit ---- */

/*
 * Send a frame: header (NULL: zeroes) and data are copied into a transmit buffer, the device is
 * notified if it wants to be. False if all buffers are in flight or the frame is too long.
 */
bool net_transmit(struct guest_net *net, unsigned pair, const struct net_header *header,
                  const void *data, uint32_t len);
/* The same in a layout of its own (NULL: the options'), and not shown to the device yet. */
bool net_transmit_add(struct guest_net *net, unsigned pair, const struct net_layout *layout,
                      const struct net_header *header, const void *data, uint32_t len);
/* The same with any octets in place of header and frame. */
bool net_transmit_octets(struct guest_net *net, unsigned pair, const struct net_layout *layout,
                         const void *octets, uint32_t len);
/* Show the device what was added. */
void net_transmit_flush(struct guest_net *net, unsigned pair);
/* Take back transmit buffers the device is done with; how many. Adding does so when it runs out. */
unsigned net_reclaim(struct guest_net *net, unsigned pair);
/* Transmit buffers not taken back yet. */
unsigned net_transmit_pending(const struct guest_net *net, unsigned pair);

#endif
