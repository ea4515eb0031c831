/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Toeplitz hashing by carry-less products on AArch64 (PMULL). As in engine_pclmul.c, but the bits of
 * the input are turned round, by RBIT, instead of those of the hash: a word's first bit stands at x^0
 * and the first key bit that it meets at x^62, so that the hash is bits 31 to 62 as they are.
 */
#include "hash/engine.h"

#ifdef HASH_ENGINE_PMULL

#include <arm_neon.h>
#include <string.h>
#include <sys/auxv.h>

#ifdef __clang__
#define PMULL __attribute__((target("aes")))
#else
#define PMULL __attribute__((target("+crypto")))
#endif

#define HAS_PMULL (1 << 4) /* AT_HWCAP, as the kernel's ABI has it */

struct windows {
    uint64_t of[HASH_WORDS + 1]; /* the last is zero, to make pairs */
};

static bool runs(void)
{
    return getauxval(AT_HWCAP) & HAS_PMULL;
}

static void prepare(void *prepared, const uint8_t key[HASH_KEY_PADDED])
{
    struct windows *windows = prepared;

    for (unsigned word = 0; word < HASH_WORDS; word++) {
        windows->of[word] = hash_key_window(key, word) >> 1;
    }
    windows->of[HASH_WORDS] = 0;
}

PMULL static inline uint64x2_t two_words(const struct windows *windows, unsigned word,
                                         uint32x2_t input)
{
    const poly64x2_t pair = vreinterpretq_p64_u64(vmovl_u32(input));
    const poly64x2_t key = vreinterpretq_p64_u64(vld1q_u64(&windows->of[word]));

    return veorq_u64(
        vreinterpretq_u64_p128(vmull_p64(vgetq_lane_p64(pair, 0), vgetq_lane_p64(key, 0))),
        vreinterpretq_u64_p128(vmull_high_p64(pair, key)));
}

PMULL static inline uint64x2_t four_words(const struct windows *windows, unsigned word,
                                          const uint8_t *input)
{
    const uint32x4_t turned = vreinterpretq_u32_u8(vrbitq_u8(vld1q_u8(input)));

    return veorq_u64(two_words(windows, word, vget_low_u32(turned)),
                     two_words(windows, word + 2, vget_high_u32(turned)));
}

PMULL static inline uint32x2_t turned_pair(uint64_t octets)
{
    return vreinterpret_u32_u8(vrbit_u8(vcreate_u8(octets)));
}

/* Ports, and the window that follows theirs met by zeros. */
PMULL static inline uint64x2_t ports_word(const struct windows *windows, unsigned word,
                                          const uint8_t *ports)
{
    uint32_t octets;

    memcpy(&octets, ports, sizeof(octets));
    return two_words(windows, word, turned_pair(octets));
}

static inline uint32_t finish(uint64x2_t sum)
{
    return (uint32_t)(vgetq_lane_u64(sum, 0) >> 31);
}

PMULL static uint32_t v4(const void *prepared, const uint8_t *addrs, const uint8_t *ports)
{
    uint64_t octets;

    memcpy(&octets, addrs, sizeof(octets));
    return finish(
        veorq_u64(two_words(prepared, 0, turned_pair(octets)), ports_word(prepared, 2, ports)));
}

PMULL static uint32_t v6(const void *prepared, const uint8_t *src, const uint8_t *dst,
                         const uint8_t *ports)
{
    const uint64x2_t addrs = veorq_u64(four_words(prepared, 0, src), four_words(prepared, 4, dst));

    return finish(veorq_u64(addrs, ports_word(prepared, 8, ports)));
}

PMULL static void burst12(const void *prepared, const uint8_t *const inputs[], size_t n,
                          uint32_t hashes[])
{
    for (size_t i = 0; i < n; i++) {
        hashes[i] = v4(prepared, inputs[i], inputs[i] + 8);
    }
}

PMULL static void burst36(const void *prepared, const uint8_t *const inputs[], size_t n,
                          uint32_t hashes[])
{
    for (size_t i = 0; i < n; i++) {
        hashes[i] = v6(prepared, inputs[i], inputs[i] + 16, inputs[i] + 32);
    }
}

const struct hash_engine hash_engine_pmull = {
    .name = "pmull",
    .runs = runs,
    .room = sizeof(struct windows),
    .prepare = prepare,
    .v4 = v4,
    .v6 = v6,
    .burst12 = burst12,
    .burst36 = burst36,
};

#endif
