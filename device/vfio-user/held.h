/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands that came while the device waited for remote memory, and that have to wait until it is done:
 * in their order, each answered already or not. Used by waiting.c.
 */
#ifndef DEVICE_VFIO_USER_HELD_H
#define DEVICE_VFIO_USER_HELD_H

#include "stream.h"

#define HELD_MAX 256

struct held_message {
    struct stream_message message; /* as in stream.h, but for good */
    bool answered;
    bool notification; /* which no register tells of */
};

struct held;

struct held *held_new(void);
/* NULL is ignored. */
void held_free(struct held *held);

/*
 * Keeps a copy of the message, whose descriptors it takes over. A notification that waits already is
 * not kept twice. False if they are too many, or too long for the memory that there is.
 */
bool held_add(struct held *held, struct stream_message *message, bool answered, bool notification);

/* The first one, NULL if there is none; to be freed with held_message_free(). */
struct held_message *held_take(struct held *held);
void held_message_free(struct held_message *message);

/* How many there are; how many that are no notifications; whether one is still to be answered. */
unsigned held_count(const struct held *held);
unsigned held_count_ordered(const struct held *held);
bool held_owes(const struct held *held);

#endif
