/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Notifications of queues by eventfd: descriptors that the client signals where it would write to the
 * notification area otherwise. Used by server.c, which tells the client which queue has which.
 *
 * Threads: that of the event loop.
 */
#ifndef DEVICE_VFIO_USER_IOEVENTFDS_H
#define DEVICE_VFIO_USER_IOEVENTFDS_H

#include "frontend.h"

struct ioeventfds;

/*
 * Makes a set that has none yet, for a frontend which must outlive it, and be realized. Descriptors
 * are watched by the threads that serve their queues, or in context.
 */
struct ioeventfds *ioeventfds_new(VionetFrontend *frontend, GMainContext *context);

/* Closes and frees them; NULL is ignored. */
void ioeventfds_free(struct ioeventfds *ioeventfds);

/* Sees to it that there are n of them, up to STREAM_MAX_FDS; false, and none, if they cannot be had. */
bool ioeventfds_open(struct ioeventfds *ioeventfds, unsigned n);

/* As after ioeventfds_new(). */
void ioeventfds_close(struct ioeventfds *ioeventfds);

/* The descriptors, which stay theirs; how many there are. */
const int *ioeventfds_fds(const struct ioeventfds *ioeventfds);
unsigned ioeventfds_count(const struct ioeventfds *ioeventfds);

/* Which of them is a queue's: several queues share one if there are more queues. */
unsigned ioeventfds_index(const struct ioeventfds *ioeventfds, unsigned queue);

#endif
