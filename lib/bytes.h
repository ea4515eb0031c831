/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Typed access to octets: what stands on the wire or in guest memory is read and written through
 * these and nothing else. The plain forms take any alignment; the guest_ forms are single accesses
 * to naturally aligned words that another processor may be changing, with the ordering they name.
 */
#ifndef VIONET_BYTES_H
#define VIONET_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define CPU_LE16(v) __builtin_bswap16(v)
#define CPU_LE32(v) __builtin_bswap32(v)
#define CPU_LE64(v) __builtin_bswap64(v)
#else
#define CPU_LE16(v) (v)
#define CPU_LE32(v) (v)
#define CPU_LE64(v) (v)
#endif

static inline uint16_t get_le16(const void *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof(v));
    return CPU_LE16(v);
}

static inline uint32_t get_le32(const void *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return CPU_LE32(v);
}

static inline uint64_t get_le64(const void *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return CPU_LE64(v);
}

static inline void put_le16(void *p, uint16_t v)
{
    v = CPU_LE16(v);
    memcpy(p, &v, sizeof(v));
}

static inline void put_le32(void *p, uint32_t v)
{
    v = CPU_LE32(v);
    memcpy(p, &v, sizeof(v));
}

static inline void put_le64(void *p, uint64_t v)
{
    v = CPU_LE64(v);
    memcpy(p, &v, sizeof(v));
}

static inline uint16_t get_be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t get_be32(const uint8_t *p)
{
    return (uint32_t)get_be16(p) << 16 | get_be16(p + 2);
}

static inline uint64_t get_be64(const uint8_t *p)
{
    return (uint64_t)get_be32(p) << 32 | get_be32(p + 4);
}

static inline void put_be16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

/*
 * Copies n octets that the guest may be changing. What is decided is decided on the copy; the fence
 * keeps the compiler from going back to the original for it.
 */
static inline void guest_copy(void *to, const void *from, size_t n)
{
    memcpy(to, from, n);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static inline uint16_t guest_load16(const void *p)
{
    return CPU_LE16(__atomic_load_n((const uint16_t *)p, __ATOMIC_RELAXED));
}

static inline uint16_t guest_load16_acquire(const void *p)
{
    return CPU_LE16(__atomic_load_n((const uint16_t *)p, __ATOMIC_ACQUIRE));
}

static inline uint32_t guest_load32(const void *p)
{
    return CPU_LE32(__atomic_load_n((const uint32_t *)p, __ATOMIC_RELAXED));
}

static inline uint64_t guest_load64(const void *p)
{
    return CPU_LE64(__atomic_load_n((const uint64_t *)p, __ATOMIC_RELAXED));
}

static inline uint64_t guest_load64_acquire(const void *p)
{
    return CPU_LE64(__atomic_load_n((const uint64_t *)p, __ATOMIC_ACQUIRE));
}

static inline void guest_store16(void *p, uint16_t v)
{
    __atomic_store_n((uint16_t *)p, CPU_LE16(v), __ATOMIC_RELAXED);
}

static inline void guest_store16_release(void *p, uint16_t v)
{
    __atomic_store_n((uint16_t *)p, CPU_LE16(v), __ATOMIC_RELEASE);
}

static inline void guest_store32(void *p, uint32_t v)
{
    __atomic_store_n((uint32_t *)p, CPU_LE32(v), __ATOMIC_RELAXED);
}

static inline void guest_store64(void *p, uint64_t v)
{
    __atomic_store_n((uint64_t *)p, CPU_LE64(v), __ATOMIC_RELAXED);
}

static inline void guest_store64_release(void *p, uint64_t v)
{
    __atomic_store_n((uint64_t *)p, CPU_LE64(v), __ATOMIC_RELEASE);
}

#endif
