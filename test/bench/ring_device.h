/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vionet device behind a vhost-user socket, for a program that knows neither GLib nor vionet: the
 * yardstick that drives it is built where its peer, DPDK, is packaged. Messages are served by a thread of
 * their own; frames are moved by the caller, in poll mode. Nothing here is measured but the library.
 */
#ifndef BENCH_RING_DEVICE_H
#define BENCH_RING_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#define RING_DEVICE_BURST 32

/* A frame of the caller's, or room for one. */
struct ring_frame {
    void *data;
    uint32_t len;
    bool segmented; /* TCP over IPv4, without options: to be cut to 1448 octets each */
};

/* Waits at path with these properties (as vionet-device --device); false with a message on stderr. */
bool ring_device_open(const char *path, const char *properties);

/* Whether a driver runs; from then on frames move. */
bool ring_device_running(void);

/* The frames that are to be passed to the driver; how many there can be. */
#define RING_DEVICE_FRAMES 256
void ring_device_prepare(const struct ring_frame *frames, unsigned n);

/* Passes RING_DEVICE_BURST of them, from first on, to the driver; how many it had buffers for. */
unsigned ring_device_receive(unsigned first);

/*
 * Takes up to RING_DEVICE_BURST frames from the driver, copies each to its place in to (which has room)
 * and gives them back; how many. to[i].len is set.
 */
unsigned ring_device_transmit(struct ring_frame *to, unsigned n);

#endif
