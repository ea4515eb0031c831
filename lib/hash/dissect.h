/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The general pass of vionet_dissect(), for burst.c, and for tests that hold the straight one
 * (straight.h) against it. Internal to lib/hash.
 */
#ifndef VIONET_HASH_DISSECT_H
#define VIONET_HASH_DISSECT_H

#include <stddef.h>
#include <stdint.h>

#include <vionet/hash.h>

/* As vionet_dissect(), whatever the frame's shape. */
void dissect_general(const uint8_t *frame, size_t len, unsigned tunnels, VionetFlow *flow);

#endif
