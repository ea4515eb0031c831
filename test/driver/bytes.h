/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Little-endian numbers at any address, and single accesses to words that the
 * device may read or write at the same moment.
 */
#ifndef TEST_DRIVER_BYTES_H
#define TEST_DRIVER_BYTES_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t bytes_get16(const void *at)
{
    uint16_t value_le;

    memcpy(&value_le, at, sizeof(value_le));
    return le16toh(value_le);
}

static inline uint32_t bytes_get32(const void *at)
{
    uint32_t value_le;

    memcpy(&value_le, at, sizeof(value_le));
    return le32toh(value_le);
}

static inline uint64_t bytes_get64(const void *at)
{
    uint64_t value_le;

    memcpy(&value_le, at, sizeof(value_le));
    return le64toh(value_le);
}

static inline void bytes_put16(void *at, uint16_t value)
{
    uint16_t value_le = htole16(value);

    memcpy(at, &value_le, sizeof(value_le));
}

static inline void bytes_put32(void *at, uint32_t value)
{
    uint32_t value_le = htole32(value);

    memcpy(at, &value_le, sizeof(value_le));
}

static inline void bytes_put64(void *at, uint64_t value)
{
    uint64_t value_le = htole64(value);

    memcpy(at, &value_le, sizeof(value_le));
}

/* One access each, to a naturally aligned word shared with the device. */
static inline uint16_t bytes_load16(const uint16_t *at)
{
    return le16toh(__atomic_load_n(at, __ATOMIC_RELAXED));
}

static inline uint16_t bytes_acquire16(const uint16_t *at)
{
    return le16toh(__atomic_load_n(at, __ATOMIC_ACQUIRE));
}

static inline uint32_t bytes_load32(const uint32_t *at)
{
    return le32toh(__atomic_load_n(at, __ATOMIC_RELAXED));
}

static inline uint64_t bytes_acquire64(const uint64_t *at)
{
    return le64toh(__atomic_load_n(at, __ATOMIC_ACQUIRE));
}

static inline void bytes_store16(uint16_t *at, uint16_t value)
{
    __atomic_store_n(at, htole16(value), __ATOMIC_RELAXED);
}

static inline void bytes_store32(uint32_t *at, uint32_t value)
{
    __atomic_store_n(at, htole32(value), __ATOMIC_RELAXED);
}

static inline void bytes_release16(uint16_t *at, uint16_t value)
{
    __atomic_store_n(at, htole16(value), __ATOMIC_RELEASE);
}

static inline void bytes_release64(uint64_t *at, uint64_t value)
{
    __atomic_store_n(at, htole64(value), __ATOMIC_RELEASE);
}

#endif
