/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames by an input: Ethernet with or without tags, IP of both versions, TCP and UDP, in tunnels or not, with
 * offloads that fit them or any at all. Each has a serial number where neither filters, nor hashes, nor
 * offloads look (its source address), by which it is known again where it arrives. For fuzz_whole.
 */
#ifndef FUZZ_TRAFFIC_H
#define FUZZ_TRAFFIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vionet/device.h>

#include "input.h"

#define TRAFFIC_MAX    4096 /* octets of a frame */
#define TRAFFIC_PIECES 3

struct traffic_frame {
    uint8_t octets[TRAFFIC_MAX];
    size_t len;
    VionetFrame frame; /* its pieces lie in octets */
    struct iovec pieces[TRAFFIC_PIECES];
    bool odd; /* its offloads are any at all, or in a tunnel */
};

/* The next frame of the input. */
void traffic_make(struct input *input, uint32_t serial, struct traffic_frame *traffic);

/* The serial number of a frame; false if it has none of ours. */
bool traffic_serial(const uint8_t *octets, size_t len, uint32_t *serial);

/* One of the addresses that frames go to, for commands. */
const uint8_t *traffic_mac(unsigned i);

/*
 * Whether a frame that arrived is the one that was sent. completed: its checksum was the device's to
 * complete, and has to be right.
 */
bool traffic_same(const struct traffic_frame *sent, const uint8_t *octets, size_t len,
                  bool completed);

#endif
