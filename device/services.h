/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a frontend asks of its emulator, from an event loop: a clock, timers, and being called again
 * soon. For programs whose main loop is GLib's: the operations clock_ns, timer and wake of
 * VionetFrontendOps lead here.
 *
 * Threads: that of the event loop; services_timer() and services_clock_ns() are for any.
 */
#ifndef DEVICE_SERVICES_H
#define DEVICE_SERVICES_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

struct services;

/* What is called from the loop; both may be NULL. */
struct services_ops {
    void (*expired)(void *opaque, unsigned queue); /* a timer */
    bool (*again)(
        void *opaque); /* after services_wake(); true: once more, when others had a turn */
};

/* Makes them for n_timers timers; NULL with an error if the host has no timer left. */
struct services *services_new(GMainContext *context, unsigned n_timers,
                              const struct services_ops *ops, void *opaque, GError **error);

/* No timer expires any more; NULL is ignored. */
void services_free(struct services *services);

/* Monotonic time in nanoseconds. */
uint64_t services_clock_ns(void);

/* Timer number i is to expire at that time, and at no other that it was given before. */
void services_timer(struct services *services, unsigned i, uint64_t deadline_ns);

/* Calls again soon, after what waits in the loop now. */
void services_wake(struct services *services);

#endif
