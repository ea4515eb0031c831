/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads that move frames: one for each queue pair of a device, with an event loop, a pump and a
 * queue of the backend (backend_split()) to itself. frontend.c makes them when the property threads
 * is on, and tells them what happened.
 *
 * A worker sends what the guest's transmit queue of its pair has, and receives what its queue of the
 * backend has; the device steers that to any pair, on the worker's lane. It is told of room in any
 * receive queue, as its held frames may be for that one.
 *
 * Threads: functions are for the thread that realizes the frontend, but for those that are said to be
 * for any. Operations of the frontend are called from the workers.
 */
#ifndef DEVICE_WORKERS_H
#define DEVICE_WORKERS_H

#include <vionet/device.h>

#include "backend.h"

struct workers;

/* Makes one for each queue of a backend that was split, which stays the caller's; none runs yet. */
struct workers *workers_new(VionetBackend *backend);

/* Frees them; none may run. NULL is ignored. */
void workers_free(struct workers *workers);

/* As pump_set_poll(), for each of them. */
void workers_set_poll(struct workers *workers, uint64_t poll_ns, uint64_t (*clock_ns)(void *opaque),
                      void *clock);

/*
 * Starts their threads, named pair-0 and so on, on a device which must not be running; they have begun
 * on return. False, and none runs, on error.
 */
bool workers_start(struct workers *workers, VionetDevice *device, GError **error);

/* Ends them; frames that are held are dropped. Harmless if none runs. */
void workers_stop(struct workers *workers);

/* Any thread: the guest notified a receive or transmit queue. */
void workers_kicked(struct workers *workers, unsigned queue);

/* The driver began to run, or does no more: each looks what there is to be done now. */
void workers_wake(struct workers *workers);

/* Waits until each has completed the guest's frames that it had taken when this was called. */
void workers_settle(struct workers *workers);

/* Any thread: whether it is that of a worker. */
bool workers_is_one(void);

/* The event loop of the worker that serves a pair. */
GMainContext *workers_context(const struct workers *workers, unsigned pair);

#endif
