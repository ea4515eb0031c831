/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vhost-user back-end and a front-end that writes its messages octet by octet, with a guest's rings
 * behind it. Both live in one thread: a request is sent, the server's event loop runs until it has
 * nothing to do, the reply is there. The numbers of the protocol are written out here once more, from its
 * text; none come from the server.
 */
#ifndef TEST_UNIT_VHOST_FRONT_H
#define TEST_UNIT_VHOST_FRONT_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "driver/guest.h"
#include "driver/virtq.h"
#include "vhost-user/server.h"

enum {
    GET_FEATURES = 1,
    SET_FEATURES = 2,
    SET_OWNER = 3,
    RESET_OWNER = 4,
    SET_MEM_TABLE = 5,
    SET_LOG_BASE = 6,
    SET_LOG_FD = 7,
    SET_VRING_NUM = 8,
    SET_VRING_ADDR = 9,
    SET_VRING_BASE = 10,
    GET_VRING_BASE = 11,
    SET_VRING_KICK = 12,
    SET_VRING_CALL = 13,
    SET_VRING_ERR = 14,
    GET_PROTOCOL_FEATURES = 15,
    SET_PROTOCOL_FEATURES = 16,
    GET_QUEUE_NUM = 17,
    SET_VRING_ENABLE = 18,
    SEND_RARP = 19,
    NET_SET_MTU = 20,
    SET_BACKEND_REQ_FD = 21,
    GET_CONFIG = 24,
    SET_CONFIG = 25,
    GET_INFLIGHT_FD = 31,
    SET_INFLIGHT_FD = 32,
    RESET_DEVICE = 34,
    GET_MAX_MEM_SLOTS = 36,
    ADD_MEM_REG = 37,
    REM_MEM_REG = 38,
    SET_STATUS = 39,
    GET_STATUS = 40,
    LAST_REQUEST = 40
};

#define F_LOG_ALL  (UINT64_C(1) << 26)
#define F_PROTOCOL (UINT64_C(1) << 30)
#define P_RARP     (UINT64_C(1) << 2)
#define P_ACK      (UINT64_C(1) << 3)
#define P_INFLIGHT (UINT64_C(1) << 12)
#define P_ALL      UINT64_C(0x1b23f)
#define NO_FD      0x100u

/* Two numbers of 32 bits, one behind the other, among such of 64. */
#if G_BYTE_ORDER == G_LITTLE_ENDIAN
#define WORDS(first, second) ((uint64_t)(second) << 32 | (first))
#else
#define WORDS(first, second) ((uint64_t)(first) << 32 | (second))
#endif
#define LOST UINT64_MAX /* in place of an answer: the connection has ended */

/* What a driver takes of a device with the default properties. */
#define F_DRIVER (UINT64_C(1) << 32 | UINT64_C(1) << 29 | UINT64_C(1) << 28 | UINT64_C(1) << 15)

#define GUEST_BASE UINT64_C(0x100000)
#define GUEST_SIZE UINT64_C(0x800000)
#define USER_BASE  UINT64_C(0x7f1200000000) /* where GUEST_BASE is for the front-end */
#define RING_SIZE  64
#define BUFFER     2048 /* octets of each */
#define HEADER     12   /* of a packet */
#define MAX_RINGS  5

struct ring_state {
    struct virtq *vq;
    struct virtq_area area;
    int kick;
    int call;
    int err;
    uint64_t buffers; /* RING_SIZE of them, BUFFER octets each */
    unsigned next;    /* for transmitting */
};

struct front {
    GMainContext *context;
    VionetVhostUser *server;
    unsigned connected; /* calls of the operation */
    unsigned gone;
    int fd;
    uint64_t protocol; /* features of the protocol that it has */
    uint64_t features;
    struct guest_memory *memory;
    const struct guest_region *region;
    struct complaints *complaints;
    unsigned n_rings;
    struct ring_state rings[MAX_RINGS];
    /* the last reply */
    uint32_t len;
    uint8_t data[512];
    int reply_fd; /* that came with it, or -1 */
};

/* What the server logs is not shown, and a warning is no failure. */
void front_quiet(void);

/* A server, and a guest's memory that nobody knows yet. */
void front_init(struct front *front, const char *properties, const char *backend);
void front_end(struct front *front);

/* Runs the event loop until nothing is ready. */
void front_settle(struct front *front);

/* A new connection; and its end, which the server sees. */
void front_connect(struct front *front);
void front_close(struct front *front);
bool front_is_lost(struct front *front);

/* Sends octets as they are. */
bool front_send(struct front *front, const void *octets, size_t len, const int *fds, unsigned n);
/* A request with those flags beside the version. */
bool front_post(struct front *front, uint32_t request, uint32_t flags, const void *payload,
                uint32_t len, const int *fds, unsigned n);
/* The next reply, to that request: false if none is there. */
bool front_reply(struct front *front, uint32_t request);
/* A request that has a reply of its own: its first 8 octets, LOST. */
uint64_t front_ask(struct front *front, uint32_t request, const void *payload, uint32_t len);
/* One that has not: what REPLY_ACK says, LOST. */
uint64_t front_ack(struct front *front, uint32_t request, const void *payload, uint32_t len,
                   const int *fds, unsigned n);
/* The same for payloads of one number, and of a ring's index and a number. */
uint64_t front_number(struct front *front, uint32_t request, uint64_t number);
uint64_t front_state(struct front *front, uint32_t request, uint32_t index, uint32_t number);
uint64_t front_ring_fd(struct front *front, uint32_t request, uint64_t number, int fd);

/* Steps of a session. */
void front_negotiate(struct front *front, uint64_t features);
uint64_t front_set_memory(struct front *front);
uint64_t front_set_addr(struct front *front, unsigned ring, uint32_t flags);
/* Number, base, addresses and descriptors of a ring, whose driver's side is made if it is not there. */
void front_set_ring(struct front *front, unsigned ring, uint32_t base);
uint32_t front_get_base(struct front *front, unsigned ring);
/* All of it, for receive and transmit ring. */
void front_start(struct front *front, uint64_t features);
/* Receive buffers, all of them. */
void front_fill(struct front *front);

/* Sends a frame of that number by the transmit ring, without a kick; and with one. */
void front_transmit(struct front *front, unsigned number);
void front_kick(struct front *front, unsigned ring);
/* Takes back what was transmitted; a frame received and its number, -1: none. */
unsigned front_reclaim(struct front *front);
int front_receive(struct front *front);
/* A frame out and, as the backend is loopback, in again; with a call for each ring. */
void front_echo(struct front *front, unsigned number);

/* A new connection can work. */
void front_works(struct front *front);

unsigned front_count_fds(void);
unsigned front_count_maps(void);
uint64_t front_take_event(int fd);
int front_memfd(uint64_t size);

#endif
