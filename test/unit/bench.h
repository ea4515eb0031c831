/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest in front of a frontend: the guest driver model of test/driver, with memory of its own, on
 * the PCI function of a frontend (device/frontend.h) as an emulator's glue would have it. For the
 * suites of backends. One thread; what fails ends the test.
 *
 * Life: bench_new (realized, its memory mapped) - bench_attach, if the backend is to live with an
 * event loop - bench_start, again after a reset - bench_free.
 */
#ifndef TEST_UNIT_BENCH_H
#define TEST_UNIT_BENCH_H

#include <vionet/device.h>

#include "driver/net.h"
#include "frontend.h"

struct bench {
    VionetFrontend *frontend;
    GMainContext *context; /* NULL if not attached */
    struct guest_memory *memory;
    struct guest_access access;
    struct guest_driver *driver;
    struct guest_net *net;
    unsigned wakes;
    uint64_t now_ns;
    uint64_t deadline_ns; /* of queue 0, 0: none */
    unsigned depth;       /* of interrupts within interrupts */
    unsigned deepest;
    void (*on_interrupt)(struct bench *bench); /* what the guest does at once */
    void (*on_event)(struct bench *bench, const VionetEvent *event);
    unsigned countdown; /* the test's */
};

/* Properties and backend as for vionet_frontend_new(). */
struct bench *bench_new(const char *properties, const char *backend);

/* The same for an emulator in which notifications are deferred. */
struct bench *bench_new_deferred(const char *properties, const char *backend);

/* Realizes the frontend again, and maps the memory. */
void bench_realize(struct bench *bench);

/* Gives the backend an event loop, which is the bench's. */
void bench_attach(struct bench *bench);

/* The guest's driver comes up, without the features listed (closed by FEATURES_END). */
void bench_start(struct bench *bench, const struct net_options *options,
                 struct guest_features without);

/* bench_new() and bench_start() with all features. */
struct bench *bench_up(const char *properties, const char *backend,
                       const struct net_options *options);

/* The next packet, as soon as the event loop has brought it. */
struct guest_packet bench_receive(struct bench *bench);

/* The driver must have nothing to complain of, the event loop nothing to do. */
void bench_free(struct bench *bench);

#endif
