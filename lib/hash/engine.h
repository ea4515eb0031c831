/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ways to compute the Toeplitz hash, one row each; all of them give the same hashes. A row is chosen
 * when a key is made ready (toeplitz.c) and is the key's for life, so that nothing is looked up while
 * hashing and no state is shared. Internal to lib/hash; a new engine is a file, a row in toeplitz.c,
 * and is tested by being there.
 *
 * Threads: all functions are pure but for prepare, which fills what nobody else has yet.
 */
#ifndef VIONET_HASH_ENGINE_H
#define VIONET_HASH_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A key as prepare gets it: 40 octets, and zeros so that 64 bits can be read from any of them. */
#define HASH_KEY_PADDED 48
/* Input words of 32 bits; the engines that multiply have a window of 63 key bits for each. */
#define HASH_WORDS 9

struct hash_engine {
    const char *name;
    bool (*runs)(void); /* on this processor */
    size_t room;        /* octets of a prepared key, which begins at a multiple of 64 */
    void (*prepare)(void *prepared, const uint8_t key[HASH_KEY_PADDED]);

    /* Hash of 8 octets of addresses and 4 of ports, from wherever they stand. */
    uint32_t (*v4)(const void *prepared, const uint8_t *addrs, const uint8_t *ports);
    /* The same of two times 16 octets and 4. */
    uint32_t (*v6)(const void *prepared, const uint8_t *src, const uint8_t *dst,
                   const uint8_t *ports);
    /* Hashes of n inputs of 12, or of 36, octets, of which exactly those are read. */
    void (*burst12)(const void *prepared, const uint8_t *const inputs[], size_t n,
                    uint32_t hashes[]);
    void (*burst36)(const void *prepared, const uint8_t *const inputs[], size_t n,
                    uint32_t hashes[]);
};

struct VionetHashKey {
    struct hash_engine engine; /* a copy: one step less to its functions */
    _Alignas(64) uint8_t prepared[];
};

/* Tables of 256 words, one for each input octet: 36 KiB a key. Runs everywhere. */
extern const struct hash_engine hash_engine_table;

#if defined(__x86_64__) && defined(__GNUC__)
/* PCLMULQDQ and SSE4.1: 80 octets a key. */
#define HASH_ENGINE_PCLMUL
extern const struct hash_engine hash_engine_pclmul;
/* VPCLMULQDQ for one hash, GFNI for many, in registers of 512 bits: 384 octets a key. */
#define HASH_ENGINE_AVX512
extern const struct hash_engine hash_engine_avx512;
#endif

#if defined(__aarch64__) && defined(__AARCH64EL__) && defined(__linux__) && \
    (!defined(__clang__) || __clang_major__ >= 16 || defined(__ARM_FEATURE_AES))
/* NEON with PMULL: 80 octets a key. */
#define HASH_ENGINE_PMULL
extern const struct hash_engine hash_engine_pmull;
#endif

/* vionet_hash_key_new(), but NULL if there is no memory. */
struct VionetHashKey *hash_key_try_new(const uint8_t *key, size_t len);

/* The 64 bits of the key that begin at its 32-bit word word. */
static inline uint64_t hash_key_window(const uint8_t *key, unsigned word)
{
    uint64_t window = 0;

    for (unsigned i = 0; i < 8; i++) {
        window = window << 8 | key[4 * word + i];
    }
    return window;
}

#endif
