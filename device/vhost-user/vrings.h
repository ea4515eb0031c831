/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The rings of a vhost-user connection: what the front-end says of each of them, its descriptors, and
 * when it runs. A ring runs once it is enabled and has its addresses and a descriptor for kicks (or the
 * word that there is none), in whatever order these came; the device's queue of the same index is
 * enabled then. A transmit ring that is disabled runs too, but its frames are not sent. While no ring
 * runs, or the front-end has taken all receive rings back, the device stands still, and frames wait in
 * the backend. Used by server.c.
 *
 * Threads: that of the event loop. Kicks are taken where the frontend says.
 */
#ifndef DEVICE_VHOST_USER_VRINGS_H
#define DEVICE_VHOST_USER_VRINGS_H

#include "calls.h"
#include "frontend.h"
#include "inflight.h"
#include "memory.h"

struct vrings;

struct vrings_ops {
    /* The first ring is about to run, and the device needs a reset: it is negotiated anew. */
    void (*renew)(void *opaque);
    /* Frames may move that could not. */
    void (*wake)(void *opaque);
};

/* Makes the rings of a frontend's device, which like the others must outlive them. Never NULL. */
struct vrings *vrings_new(VionetFrontend *frontend, const struct memory *memory,
                          const struct inflight *inflight, struct calls *calls,
                          struct calls *errors, GMainContext *context, const struct vrings_ops *ops,
                          void *opaque);

/* Stops all, lets go of their descriptors for kicks, frees; NULL is ignored. */
void vrings_free(struct vrings *vrings);

/*
 * Rings may run from now on, the device having its features; they are enabled without being told if
 * by_default. If it has no control queue, the front-end has that, the rings that run tell how many pairs
 * are in use. Or none may run, and all that do are stopped.
 */
void vrings_allow(struct vrings *vrings, bool by_default, bool has_control);
void vrings_forbid(struct vrings *vrings);

/* Stops all that run, where they stand; and lets run what can. False if one that is to run cannot. */
void vrings_hold(struct vrings *vrings);
bool vrings_go_on(struct vrings *vrings);

/* Disables all, and lets go of their descriptors for kicks. */
void vrings_disable(struct vrings *vrings);

/* The rings' journals say nothing any more: the device was reset, and the front-end knows it. */
void vrings_clear_journals(struct vrings *vrings);

/* What the requests of these names ask. False if that cannot be. */
bool vrings_set_num(struct vrings *vrings, const struct vhost_user_state *state);
bool vrings_set_addr(struct vrings *vrings, const struct vhost_user_addr *addr);
bool vrings_set_base(struct vrings *vrings, const struct vhost_user_state *state);
bool vrings_get_base(struct vrings *vrings, struct vhost_user_state *state);
bool vrings_set_enable(struct vrings *vrings, const struct vhost_user_state *state);
/* The descriptor is taken over if there is one, -1 if the number says that there is none. */
bool vrings_set_kick(struct vrings *vrings, uint64_t number, int fd);
bool vrings_set_call(struct vrings *vrings, uint64_t number, int fd);
bool vrings_set_err(struct vrings *vrings, uint64_t number, int fd);

/* Whether any ring runs. */
bool vrings_run(const struct vrings *vrings);

/* Looks into the rings that have no descriptor for kicks; false if there are none. */
bool vrings_poll(struct vrings *vrings);

#endif
