/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Descriptors by which a front-end is told of its rings: an eventfd for each, which may be another at any
 * time. Used by server.c, one for used buffers and one for errors, and by vrings.c.
 *
 * Threads: signalling is for any; the rest for one at a time, that of the event loop.
 */
#ifndef DEVICE_VHOST_USER_CALLS_H
#define DEVICE_VHOST_USER_CALLS_H

struct calls;

/* Makes so many, none of which has a descriptor. Never NULL. */
struct calls *calls_new(unsigned n);

/* Closes all; NULL is ignored. */
void calls_free(struct calls *calls);

/* Takes over a descriptor for number i, which exists, in place of the one there; -1: none. */
void calls_set(struct calls *calls, unsigned i, int fd);

/* Lets go of all. */
void calls_clear(struct calls *calls);

/* Signals number i, if it exists and has a descriptor. */
void calls_signal(struct calls *calls, unsigned i);

#endif
