/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Toeplitz hashing with AVX-512.
 *
 * One hash: carry-less products (VPCLMULQDQ) of all words of the input at once. The bits of each
 * octet are turned round first, so that a word's first bit is its lowest and the hash comes out as
 * bits 31 to 62 of the sum (as in engine_pmull.c).
 *
 * Many: octet o of a hash is the sum over the input's octets i of a matrix of 8 by 8 key bits, which
 * depends on i + o alone, times octet i. GF2P8AFFINEQB multiplies 64 octets by matrices, eight octets
 * by the same one. So sixteen inputs are transposed, word j of each in one register; a register shifted
 * by octets holds of every input the four octets i = d, d - 1, d - 2 and d - 3 where octets o = 0 to 3
 * of its hash stand, and one instruction does everything that matrix d has to do for sixteen hashes.
 * Nothing has to be added up across a register.
 */
#include "hash/engine.h"

#ifdef HASH_ENGINE_AVX512

#include <immintrin.h>
#include <string.h>

#define AVX512 \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi2,gfni,vpclmulqdq,pclmul")))

#define LOT      16 /* hashes at a time */
#define FEW      6  /* so many are faster one by one than in a lot that they do not fill */
#define MATRICES (4 * HASH_WORDS + 3) /* values of i + o */

struct matrices {
    uint64_t windows[HASH_WORDS]; /* key bits as engine_pmull.c has them */
    uint64_t of[MATRICES];
};

static bool runs(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("gfni") &&
           __builtin_cpu_supports("vpclmulqdq") && __builtin_cpu_supports("pclmul");
}

/*
 * The matrix for input octet i and hash octet o with i + o = d, as the instruction takes it: its
 * octet t makes bit t of the result, counted from the first, out of the input's bits, also so.
 */
static uint64_t matrix(const uint8_t *key, unsigned d)
{
    const unsigned bits = (unsigned)key[d] << 8 | key[d + 1];
    uint64_t rows = 0;

    for (unsigned t = 0; t < 8; t++) {
        rows |= (uint64_t)(bits >> (8 - t) & 0xff) << 8 * t;
    }
    return rows;
}

static void prepare(void *prepared, const uint8_t key[HASH_KEY_PADDED])
{
    struct matrices *matrices = prepared;

    for (unsigned word = 0; word < HASH_WORDS; word++) {
        matrices->windows[word] = hash_key_window(key, word) >> 1;
    }
    for (unsigned d = 0; d < MATRICES; d++) {
        matrices->of[d] = matrix(key, d);
    }
}

/* ---- one hash ---- */

#define TURNED 0x8040201008040201 /* the matrix that turns an octet's bits round */

AVX512 static inline __m128i load4(const uint8_t *p)
{
    int word;

    memcpy(&word, p, sizeof(word));
    return _mm_cvtsi32_si128(word);
}

/* In registers of 128 bits: three words need no more, and nothing has to be cleaned up behind it. */
AVX512 static uint32_t v4(const void *prepared, const uint8_t *addrs, const uint8_t *ports)
{
    const struct matrices *matrices = prepared;
    const __m128i turn = _mm_set1_epi64x((long long)TURNED);
    const __m128i key = _mm_load_si128((const __m128i *)matrices->windows);
    const __m128i rest =
        _mm_clmulepi64_si128(_mm_gf2p8affine_epi64_epi8(load4(ports), turn, 0),
                             _mm_loadl_epi64((const __m128i *)&matrices->windows[2]), 0x00);
    const __m128i words = _mm_cvtepu32_epi64(
        _mm_gf2p8affine_epi64_epi8(_mm_loadl_epi64((const __m128i *)addrs), turn, 0));
    const __m128i hash = _mm_ternarylogic_epi64(_mm_clmulepi64_si128(words, key, 0x00),
                                                _mm_clmulepi64_si128(words, key, 0x11), rest, 0x96);

    return (uint32_t)((uint64_t)_mm_cvtsi128_si64(hash) >> 31);
}

#define XOR3(a, b, c) _mm512_ternarylogic_epi64(a, b, c, 0x96)

AVX512 static uint32_t v6(const void *prepared, const uint8_t *src, const uint8_t *dst,
                          const uint8_t *ports)
{
    const struct matrices *matrices = prepared;
    const __m512i key = _mm512_loadu_si512(matrices->windows);
    const __m256i addrs =
        _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)src)),
                                _mm_loadu_si128((const __m128i *)dst), 1);
    const __m512i words = _mm512_cvtepu32_epi64(
        _mm256_gf2p8affine_epi64_epi8(addrs, _mm256_set1_epi64x((long long)TURNED), 0));
    const __m128i rest = _mm_clmulepi64_si128(
        _mm_gf2p8affine_epi64_epi8(load4(ports), _mm_set1_epi64x((long long)TURNED), 0),
        _mm_loadl_epi64((const __m128i *)&matrices->windows[8]), 0x00);
    const __m512i all = _mm512_xor_si512(_mm512_clmulepi64_epi128(words, key, 0x00),
                                         _mm512_clmulepi64_epi128(words, key, 0x11));
    const __m256i half =
        _mm256_xor_si256(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
    const __m128i hash = _mm_ternarylogic_epi64(_mm256_castsi256_si128(half),
                                                _mm256_extracti128_si256(half, 1), rest, 0x96);

    return (uint32_t)((uint64_t)_mm_cvtsi128_si64(hash) >> 31);
}

/* ---- many ---- */

AVX512 static inline __m512i multiply(const struct matrices *matrices, __m512i octets, unsigned d)
{
    __m512i matrix = _mm512_set1_epi64((long long)matrices->of[d]);

#ifdef __clang__
    /* clang 14 encodes a wrong displacement if it makes the broadcast part of the product. */
    __asm__("" : "+v"(matrix));
#endif
    return _mm512_gf2p8affine_epi64_epi8(octets, matrix, 0);
}

/* The part of the first word of the input for which nothing stands before it. */
AVX512 static inline __m512i before_word(const struct matrices *matrices, __m512i word)
{
    return XOR3(multiply(matrices, _mm512_slli_epi32(word, 24), 0),
                multiply(matrices, _mm512_slli_epi32(word, 16), 1),
                multiply(matrices, _mm512_slli_epi32(word, 8), 2));
}

/* Adds to sum the part of a word, the j-th, and of what reaches into it from the next. */
AVX512 static inline __m512i add_word(const struct matrices *matrices, __m512i sum, __m512i word,
                                      __m512i next, unsigned j)
{
    const unsigned d = 4 * j + 3;

    sum = XOR3(sum, multiply(matrices, word, d),
               multiply(matrices, _mm512_shrdi_epi32(word, next, 8), d + 1));
    return XOR3(sum, multiply(matrices, _mm512_shrdi_epi32(word, next, 16), d + 2),
                multiply(matrices, _mm512_shrdi_epi32(word, next, 24), d + 3));
}

AVX512 static inline __m512i together(__m128i a, __m128i b, __m128i c, __m128i d)
{
    return _mm512_inserti64x4(
        _mm512_castsi256_si512(_mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1)),
        _mm256_inserti128_si256(_mm256_castsi128_si256(c), d, 1), 1);
}

AVX512 static inline __m128i load12(const uint8_t *input)
{
    return _mm_maskz_loadu_epi32(0x7, input);
}

AVX512 static inline __m128i load16(const uint8_t *input)
{
    return _mm_loadu_si128((const __m128i *)input);
}

/* Inputs k, k + 4, k + 8 and k + 12: the k-th of each four words after the transposition. */
AVX512 static inline __m512i row12(const uint8_t *const inputs[], unsigned k)
{
    return together(load12(inputs[k]), load12(inputs[k + 4]), load12(inputs[k + 8]),
                    load12(inputs[k + 12]));
}

AVX512 static inline __m512i row16(const uint8_t *const inputs[], unsigned k, unsigned at)
{
    return together(load16(inputs[k] + at), load16(inputs[k + 4] + at), load16(inputs[k + 8] + at),
                    load16(inputs[k + 12] + at));
}

/* Four rows of inputs become four words of all. */
AVX512 static inline void transpose(const __m512i row[4], __m512i word[4])
{
    const __m512i low01 = _mm512_unpacklo_epi32(row[0], row[1]);
    const __m512i low23 = _mm512_unpacklo_epi32(row[2], row[3]);
    const __m512i high01 = _mm512_unpackhi_epi32(row[0], row[1]);
    const __m512i high23 = _mm512_unpackhi_epi32(row[2], row[3]);

    word[0] = _mm512_unpacklo_epi64(low01, low23);
    word[1] = _mm512_unpackhi_epi64(low01, low23);
    word[2] = _mm512_unpacklo_epi64(high01, high23);
    word[3] = _mm512_unpackhi_epi64(high01, high23);
}

AVX512 static inline void lot12(const struct matrices *matrices, const uint8_t *const inputs[],
                                uint32_t hashes[])
{
    const __m512i none = _mm512_setzero_si512();
    __m512i row[4], word[4], even, odd;

    for (unsigned k = 0; k < 4; k++) {
        row[k] = row12(inputs, k);
    }
    transpose(row, word);
    even = add_word(matrices, none, word[0], word[1], 0);
    odd = add_word(matrices, before_word(matrices, word[0]), word[1], word[2], 1);
    even = add_word(matrices, even, word[2], none, 2);
    _mm512_storeu_si512(hashes, _mm512_xor_si512(even, odd));
}

AVX512 static inline void lot36(const struct matrices *matrices, const uint8_t *const inputs[],
                                uint32_t hashes[])
{
    static const unsigned at[3] = {0, 16,
                                   20}; /* the last four words overlap: no octet past the end */
    __m512i row[4], word[12], even, odd;

    for (unsigned part = 0; part < 3; part++) {
        for (unsigned k = 0; k < 4; k++) {
            row[k] = row16(inputs, k, at[part]);
        }
        transpose(row, word + 4 * part);
    }
    word[8] = word[11];
    word[9] = _mm512_setzero_si512();
    even = word[9];
    odd = before_word(matrices, word[0]);
    for (unsigned j = 0; j < 8; j += 2) {
        even = add_word(matrices, even, word[j], word[j + 1], j);
        odd = add_word(matrices, odd, word[j + 1], word[j + 2], j + 1);
    }
    even = add_word(matrices, even, word[8], word[9], 8);
    _mm512_storeu_si512(hashes, _mm512_xor_si512(even, odd));
}

/* The inputs of a lot that is not full, and its last one again and again. */
static void fill_lot(const uint8_t *const inputs[], size_t n, const uint8_t *full[LOT])
{
    for (size_t i = 0; i < LOT; i++) {
        full[i] = inputs[i < n ? i : n - 1];
    }
}

AVX512 static void burst12(const void *prepared, const uint8_t *const inputs[], size_t n,
                           uint32_t hashes[])
{
    const uint8_t *full[LOT];
    uint32_t out[LOT];

    for (; n >= LOT; n -= LOT, inputs += LOT, hashes += LOT) {
        lot12(prepared, inputs, hashes);
    }
    if (n <= FEW) {
        for (size_t i = 0; i < n; i++) {
            hashes[i] = v4(prepared, inputs[i], inputs[i] + 8);
        }
    } else {
        fill_lot(inputs, n, full);
        lot12(prepared, full, out);
        memcpy(hashes, out, n * sizeof(out[0]));
    }
}

AVX512 static void burst36(const void *prepared, const uint8_t *const inputs[], size_t n,
                           uint32_t hashes[])
{
    const uint8_t *full[LOT];
    uint32_t out[LOT];

    for (; n >= LOT; n -= LOT, inputs += LOT, hashes += LOT) {
        lot36(prepared, inputs, hashes);
    }
    if (n <= FEW) {
        for (size_t i = 0; i < n; i++) {
            hashes[i] = v6(prepared, inputs[i], inputs[i] + 16, inputs[i] + 32);
        }
    } else {
        fill_lot(inputs, n, full);
        lot36(prepared, full, out);
        memcpy(hashes, out, n * sizeof(out[0]));
    }
}

const struct hash_engine hash_engine_avx512 = {
    .name = "avx512",
    .runs = runs,
    .room = sizeof(struct matrices),
    .prepare = prepare,
    .v4 = v4,
    .v6 = v6,
    .burst12 = burst12,
    .burst36 = burst36,
};

#endif
