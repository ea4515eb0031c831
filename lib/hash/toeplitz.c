/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Toeplitz hashing with a prepared key: one table of 256 words for each octet of the input, so that
 * a hash is an exclusive or of one look-up an octet (VIRTIO 1.4, 5.1.6.4.3.5). The addresses and
 * ports are taken where they stand in the packet; nothing is gathered first.
 */
#include <vionet/hash.h>
#include <vionet/spec.h>

#include "bytes.h"

#include <glib.h>
#include <string.h>

struct VionetHashKey {
    uint32_t table[VIONET_HASH_INPUT_MAX][256];
};

/* The 32 bits of the key that begin at bit. */
static uint32_t key_window(const uint8_t *key, unsigned bit)
{
    const uint8_t *p = key + bit / 8;
    uint64_t five = (uint64_t)p[0] << 32 | (uint64_t)p[1] << 24 | (uint64_t)p[2] << 16 |
                    (uint64_t)p[3] << 8 | p[4];

    return (uint32_t)(five >> (8 - bit % 8));
}

VionetHashKey *vionet_hash_key_new(const uint8_t *key, size_t len)
{
    VionetHashKey *prepared = g_new(VionetHashKey, 1);
    uint8_t padded[VIONET_HASH_KEY_USED] = {0};

    if (len) {
        memcpy(padded, key, MIN(len, sizeof(padded)));
    }
    for (unsigned octet = 0; octet < VIONET_HASH_INPUT_MAX; octet++) {
        uint32_t *table = prepared->table[octet];

        table[0] = 0;
        for (unsigned value = 1; value < 256; value++) {
            unsigned lowest = (unsigned)__builtin_ctz(value);

            table[value] = table[value & (value - 1)] ^ key_window(padded, 8 * octet + 7 - lowest);
        }
    }
    return prepared;
}

void vionet_hash_key_free(VionetHashKey *key)
{
    g_free(key);
}

/* The part that n octets of input contribute when they stand at octet at of it. */
static inline uint32_t part(const VionetHashKey *key, unsigned at, const uint8_t *input, unsigned n)
{
    uint32_t even = 0;
    uint32_t odd = 0;

    for (unsigned i = 0; i < n; i += 2) { /* n is even: two chains, half the latency */
        even ^= key->table[at + i][input[i]];
        odd ^= key->table[at + i + 1][input[i + 1]];
    }
    return even ^ odd;
}

uint32_t vionet_toeplitz(const VionetHashKey *key, const uint8_t *input, size_t len)
{
    uint32_t hash = 0;

    for (size_t i = 0; i < len && i < VIONET_HASH_INPUT_MAX; i++) {
        hash ^= key->table[i][input[i]];
    }
    return hash;
}

static bool report_is_extended(unsigned report)
{
    return report >= VIRTIO_NET_HASH_REPORT_IPv6_EX;
}

/* Reports come in threes: addresses, addresses with TCP ports, addresses with UDP ports. */
static bool report_has_ports(unsigned report)
{
    return (report - VIRTIO_NET_HASH_REPORT_IPv4) % 3 != 0;
}

uint32_t vionet_hash_flow(const VionetHashKey *key, const VionetFlow *flow, unsigned report)
{
    const uint8_t *src = flow->src;
    const uint8_t *dst = flow->dst;
    uint32_t hash;

    if (report == VIRTIO_NET_HASH_REPORT_NONE) {
        return 0;
    }
    if (flow->addr_len == 4) {
        hash = part(key, 0, src, 4) ^ part(key, 4, dst, 4);
        return report_has_ports(report) ? hash ^ part(key, 8, flow->ports, 4) : hash;
    }
    if (report_is_extended(report)) {
        src = flow->ex_src;
        dst = flow->ex_dst;
    }
    hash = part(key, 0, src, 16) ^ part(key, 16, dst, 16);
    return report_has_ports(report) ? hash ^ part(key, 32, flow->ports, 4) : hash;
}
