/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The flow of frames between a device and a backend, both ways, in bursts. frontend.c tells it what
 * happened (pump_kicked, pump_want) and then lets it run; nothing moves otherwise. While no driver
 * runs, held frames are dropped and no others asked for.
 *
 * Threads: one at a time. Delivering a frame may lead back here, through an interrupt, the guest
 * and its next notification: pump_run() does nothing then, and the one that is under way goes on.
 */
#ifndef DEVICE_PUMP_H
#define DEVICE_PUMP_H

#include <vionet/device.h>

#include "backend.h"

struct pump;

/*
 * Makes a pump to and from backend, which stays the caller's; frames go to the guest on that lane of
 * the device (vionet_device_receive()), of which it is the only user. Never NULL.
 */
struct pump *pump_new(VionetBackend *backend, unsigned lane);

/* Frees a pump that is not connected; NULL is ignored. */
void pump_free(struct pump *pump);

/*
 * After a notification a pair is polled until it had nothing for poll_ns by that clock; 0: it is
 * not. Before it is connected.
 */
void pump_set_poll(struct pump *pump, uint64_t poll_ns, uint64_t (*clock_ns)(void *opaque),
                   void *clock);

/*
 * The pump is not run at once when a pair has notified, but from an event loop: until a run has found
 * nothing to send, that pair's notifications are off. Before it is connected.
 */
void pump_defer(struct pump *pump);

/* Connects it to a device, which must not be running; and takes it away again. */
void pump_connect(struct pump *pump, VionetDevice *device);
void pump_disconnect(struct pump *pump);

/*
 * The guest notified a queue: it has frames to send, or room for held ones, or more commands than
 * were executed.
 */
void pump_kicked(struct pump *pump, unsigned queue);

/* Up to n frames (in all, not on top of those wanted before) may come from the backend. */
void pump_want(struct pump *pump, size_t n);

/* Moves what can be moved, up to a limit; true if there is more, or may be soon (polling). */
bool pump_run(struct pump *pump);

/* Whether pump_run() is under way. */
bool pump_is_busy(const struct pump *pump);

/* Whether the driver runs and no frames are held; frames held. */
bool pump_can_receive(const struct pump *pump);
unsigned pump_held(const struct pump *pump);

#endif
