/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Toeplitz hashing by carry-less products (PCLMULQDQ, SSE4.1). A word of input as a polynomial, its
 * first bit at x^31, times the 63 key bits that it can meet, the first of them at x^0: the coefficient
 * at x^(31 + r) is the sum of the products of input bit i and key bit i + r, that is, bit r of the
 * hash. So the hash stands in bits 31 to 62, its first bit lowest, and is turned round once at the end.
 */
#include "hash/engine.h"

#ifdef HASH_ENGINE_PCLMUL

#include <immintrin.h>
#include <string.h>

#define PCLMUL __attribute__((target("pclmul,sse4.1")))

struct windows {
    uint64_t of[HASH_WORDS + 1]; /* lowest bit first; the last is zero, to make pairs */
};

static bool runs(void)
{
    return __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
}

static void prepare(void *prepared, const uint8_t key[HASH_KEY_PADDED])
{
    struct windows *windows = prepared;

    memset(windows, 0, sizeof(*windows));
    for (unsigned word = 0; word < HASH_WORDS; word++) {
        const uint64_t window = hash_key_window(key, word);

        for (unsigned bit = 0; bit < 63; bit++) {
            windows->of[word] |= (window >> (63 - bit) & 1) << bit;
        }
    }
}

/* Two words of input, those at the octets that order names, times the windows from the word-th. */
PCLMUL static inline __m128i two_words(const struct windows *windows, unsigned word, __m128i input,
                                       __m128i order)
{
    const __m128i pair = _mm_shuffle_epi8(input, order);
    const __m128i key = _mm_loadu_si128((const __m128i *)&windows->of[word]);

    return _mm_xor_si128(_mm_clmulepi64_si128(pair, key, 0x00),
                         _mm_clmulepi64_si128(pair, key, 0x11));
}

/* Most significant octet first, each word alone in 64 bits. */
#define FIRST_WORDS  _mm_setr_epi8(3, 2, 1, 0, -1, -1, -1, -1, 7, 6, 5, 4, -1, -1, -1, -1)
#define SECOND_WORDS _mm_setr_epi8(11, 10, 9, 8, -1, -1, -1, -1, 15, 14, 13, 12, -1, -1, -1, -1)

PCLMUL static inline __m128i four_words(const struct windows *windows, unsigned word, __m128i input)
{
    return _mm_xor_si128(two_words(windows, word, input, FIRST_WORDS),
                         two_words(windows, word + 2, input, SECOND_WORDS));
}

/* Octets by __builtin_bswap32, bits in each by two look-ups of its halves. */
PCLMUL static inline uint32_t finish(__m128i sum)
{
    const __m128i low_half = _mm_set1_epi8(0x0f);
    const __m128i low =
        _mm_setr_epi8(0x00, (char)0x80, 0x40, (char)0xc0, 0x20, (char)0xa0, 0x60, (char)0xe0, 0x10,
                      (char)0x90, 0x50, (char)0xd0, 0x30, (char)0xb0, 0x70, (char)0xf0);
    const __m128i high = _mm_setr_epi8(0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15);
    const __m128i hash = _mm_srli_epi64(sum, 31);
    const __m128i turned =
        _mm_or_si128(_mm_shuffle_epi8(low, _mm_and_si128(hash, low_half)),
                     _mm_shuffle_epi8(high, _mm_and_si128(_mm_srli_epi64(hash, 4), low_half)));

    return __builtin_bswap32((uint32_t)_mm_cvtsi128_si32(turned));
}

PCLMUL static inline __m128i load4(const uint8_t *p)
{
    int word;

    memcpy(&word, p, sizeof(word));
    return _mm_cvtsi32_si128(word);
}

PCLMUL static uint32_t v4(const void *prepared, const uint8_t *addrs, const uint8_t *ports)
{
    const struct windows *windows = prepared;
    const __m128i rest = _mm_shuffle_epi8(load4(ports), FIRST_WORDS);
    const __m128i key = _mm_loadl_epi64((const __m128i *)&windows->of[2]);

    return finish(
        _mm_xor_si128(two_words(windows, 0, _mm_loadl_epi64((const __m128i *)addrs), FIRST_WORDS),
                      _mm_clmulepi64_si128(rest, key, 0x00)));
}

PCLMUL static uint32_t v6(const void *prepared, const uint8_t *src, const uint8_t *dst,
                          const uint8_t *ports)
{
    const struct windows *windows = prepared;
    const __m128i rest = _mm_shuffle_epi8(load4(ports), FIRST_WORDS);
    const __m128i key = _mm_loadl_epi64((const __m128i *)&windows->of[8]);
    const __m128i addrs =
        _mm_xor_si128(four_words(windows, 0, _mm_loadu_si128((const __m128i *)src)),
                      four_words(windows, 4, _mm_loadu_si128((const __m128i *)dst)));

    return finish(_mm_xor_si128(addrs, _mm_clmulepi64_si128(rest, key, 0x00)));
}

PCLMUL static void burst12(const void *prepared, const uint8_t *const inputs[], size_t n,
                           uint32_t hashes[])
{
    for (size_t i = 0; i < n; i++) {
        hashes[i] = v4(prepared, inputs[i], inputs[i] + 8);
    }
}

PCLMUL static void burst36(const void *prepared, const uint8_t *const inputs[], size_t n,
                           uint32_t hashes[])
{
    for (size_t i = 0; i < n; i++) {
        hashes[i] = v6(prepared, inputs[i], inputs[i] + 16, inputs[i] + 32);
    }
}

const struct hash_engine hash_engine_pclmul = {
    .name = "pclmul",
    .runs = runs,
    .room = sizeof(struct windows),
    .prepare = prepare,
    .v4 = v4,
    .v6 = v6,
    .burst12 = burst12,
    .burst36 = burst36,
};

#endif
