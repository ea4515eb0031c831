/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Microsoft's verification suite for RSS hashing, as published: its key, and connections with the
 * hash of the addresses and that with the ports. For every suite that needs a hash which nobody here
 * computed.
 */
#ifndef TEST_REFERENCE_SUITE_H
#define TEST_REFERENCE_SUITE_H

#include <stdint.h>

#define SUITE_CONNECTIONS 8

struct connection {
    const char *src;
    const char *dst;
    uint16_t sport;
    uint16_t dport;
    uint32_t by_addresses;
    uint32_t with_ports;
};

extern const uint8_t suite_key[40];

/* Five of IPv4, then three of IPv6. */
extern const struct connection suite[SUITE_CONNECTIONS];

#endif
