/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The part of a vfio-user client that answers DMA_READ and DMA_WRITE out of a guest's memory, in a thread
 * of its own, as the server waits for it. It reads the client's socket and passes on what else comes;
 * or it has a twin socket for itself. It can be made to misbehave, and to want an answer of its own
 * before it answers.
 */
#ifndef TEST_VFIO_RESPONDER_H
#define TEST_VFIO_RESPONDER_H

#include <stdatomic.h>

#include "vfio_client.h"

enum misdeed {
    NO_MISDEED,
    NO_ANSWER,
    ERROR_ANSWER,
    ERROR_WITH_PAYLOAD,
    OTHER_ID,
    OTHER_COMMAND,
    OTHER_ADDRESS,
    OTHER_COUNT,
    TOO_SHORT,
    TOO_LONG,
    NO_HEADER_ROOM, /* a size that no message has */
    A_COMMAND,      /* in place of an answer */
    TWO_ANSWERS,
    GO_AWAY,
    N_MISDEEDS
};

struct responder {
    int fd;    /* whom it answers */
    int inner; /* where the rest goes, -1: a twin socket, where there is no rest */
    struct guest_memory *memory;
    GThread *thread;
    size_t max_data; /* no request may be for more */
    bool bare;       /* answers to DMA_WRITE without payload */
    enum misdeed misdeed;
    atomic_uint act_at; /* number of the request for it, and for on_request; 0: none */
    atomic_uint n_requests;
    void (*on_request)(struct responder *responder);
    void *opaque;
};

/* Begins to answer for a client that is open. The twin is its socket then, -1 if there is none. */
void responder_start(struct responder *responder, struct client *client,
                     struct guest_memory *memory, int twin);

/* Ends it. Its client's socket is closed, but for what was passed on. */
void responder_end(struct responder *responder, struct client *client);

/*
 * From on_request: sends a command over the client's own socket and waits for its answer, as a client
 * does that can do one thing at a time. The answer's payload, whose length it returns; -1 if none came.
 */
int responder_call(struct responder *responder, uint16_t command, const void *payload, size_t len,
                   void *answer, size_t size);
/* The same without waiting. */
void responder_post(struct responder *responder, uint16_t command, uint32_t flags,
                    const void *payload, size_t len);

#endif
