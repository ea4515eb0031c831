/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory that outlives us, in which each ring's place is noted: we make it, the front-end keeps it, and gives
 * it back to whoever is the back-end next (GET_INFLIGHT_FD, SET_INFLIGHT_FD). Used by server.c and vrings.c.
 *
 * Threads: that of the event loop; the memory itself is for any that runs the device.
 */
#ifndef DEVICE_VHOST_USER_INFLIGHT_H
#define DEVICE_VHOST_USER_INFLIGHT_H

#include <stdbool.h>

#include "protocol.h"
#include "sharing.h"

struct inflight {
    struct sharing mapping; /* nothing: there is none */
    unsigned n_rings;
    uint32_t ring_size;
};

/*
 * Makes such memory, for the rings that about names, of which there are at most so many; about then says
 * where it is. Its descriptor, the caller's, or -1.
 */
int inflight_make(struct vhost_user_inflight *about, unsigned max_rings);

/*
 * Maps what a front-end gives, in place of what was there, if it is as large as it should be. loss as in
 * sharing.h. False, with nothing changed, if that cannot be.
 */
bool inflight_take(struct inflight *inflight, const struct vhost_user_inflight *about, int fd,
                   unsigned max_rings, struct sharing_loss *loss);

/* Gives it back; harmless if there is none. */
void inflight_drop(struct inflight *inflight);

/* A ring's journal, NULL if there is none for a ring of that size. */
void *inflight_journal(const struct inflight *inflight, unsigned ring, uint32_t size);

#endif
