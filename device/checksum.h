/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Words of the network and checksums (RFC 1071), for who makes headers: segment.c, merge.c. Sums
 * are in the order of octets in memory, and need no swapping for it.
 */
#ifndef DEVICE_CHECKSUM_H
#define DEVICE_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t get_be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline void put_be16(uint8_t *p, size_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static inline uint32_t get_be32(const uint8_t *p)
{
    return (uint32_t)get_be16(p) << 16 | get_be16(p + 2);
}

static inline void put_be32(uint8_t *p, uint32_t value)
{
    put_be16(p, value >> 16);
    put_be16(p + 2, value & 0xffff);
}

static inline uint64_t sum_octets(const uint8_t *p, size_t n)
{
    uint64_t sum = 0;
    uint8_t last[2] = {0, 0};
    uint32_t word;
    uint16_t half;

    for (; n >= sizeof(word); n -= sizeof(word), p += sizeof(word)) {
        memcpy(&word, p, sizeof(word));
        sum += word;
    }
    if (n >= sizeof(half)) {
        memcpy(&half, p, sizeof(half));
        sum += half;
        n -= sizeof(half);
        p += sizeof(half);
    }
    if (n > 0) {
        last[0] = *p;
        memcpy(&half, last, sizeof(half));
        sum += half;
    }
    return sum;
}

static inline uint16_t fold(uint64_t sum)
{
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)sum;
}

/* Sums up octets behind an odd number of others. */
static inline uint64_t sum_odd(const uint8_t *p, size_t n)
{
    const uint16_t sum = fold(sum_octets(p, n));

    return (uint16_t)(sum << 8 | sum >> 8);
}

static inline void put_checksum(uint8_t *field, uint64_t sum)
{
    const uint16_t checksum = (uint16_t)~fold(sum);

    memcpy(field, &checksum, sizeof(checksum));
}

/* The pseudo header of a TCP or UDP packet of len octets behind that IP header. */
static inline uint64_t sum_pseudo(const uint8_t *ip, bool v6, uint8_t protocol, size_t len)
{
    uint8_t rest[8] = {0};

    put_be32(rest, (uint32_t)len);
    rest[7] = protocol;
    return sum_octets(rest, sizeof(rest)) + (v6 ? sum_octets(ip + 8, 32) : sum_octets(ip + 12, 8));
}

#endif
