/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Toeplitz hashing by table: 256 words for each octet of the input, so that a hash is an exclusive or
 * of one look-up an octet. For processors without a carry-less product. (Tables by half octets would
 * be 4.5 KiB and take twice the look-ups, which costs more than the cache that they save.)
 */
#include "hash/engine.h"

#include <vionet/hash.h>

#include "bytes.h"

struct tables {
    uint32_t of[VIONET_HASH_INPUT_MAX][256];
};

static bool runs(void)
{
    return true;
}

/* The 32 bits of the key that begin at bit. */
static uint32_t key_window(const uint8_t *key, unsigned bit)
{
    return (uint32_t)(hash_key_window(key + bit / 8, 0) >> (32 - bit % 8));
}

static void prepare(void *prepared, const uint8_t key[HASH_KEY_PADDED])
{
    struct tables *tables = prepared;

    for (unsigned octet = 0; octet < VIONET_HASH_INPUT_MAX; octet++) {
        uint32_t *table = tables->of[octet];

        table[0] = 0;
        for (unsigned value = 1; value < 256; value++) {
            unsigned lowest = (unsigned)__builtin_ctz(value);

            table[value] = table[value & (value - 1)] ^ key_window(key, 8 * octet + 7 - lowest);
        }
    }
}

/* What 8 octets of input at octet at of it contribute; they are read at once, and look-ups are all. */
static inline uint32_t eight(const struct tables *tables, unsigned at, const uint8_t *input)
{
    const uint64_t word = get_le64(input);
    const uint32_t low = (uint32_t)word;
    const uint32_t high = (uint32_t)(word >> 32);

    return (tables->of[at][low & 0xff] ^ tables->of[at + 1][low >> 8 & 0xff] ^
            tables->of[at + 2][low >> 16 & 0xff] ^ tables->of[at + 3][low >> 24]) ^
           (tables->of[at + 4][high & 0xff] ^ tables->of[at + 5][high >> 8 & 0xff] ^
            tables->of[at + 6][high >> 16 & 0xff] ^ tables->of[at + 7][high >> 24]);
}

static inline uint32_t four(const struct tables *tables, unsigned at, const uint8_t *input)
{
    const uint32_t word = get_le32(input);

    return tables->of[at][word & 0xff] ^ tables->of[at + 1][word >> 8 & 0xff] ^
           tables->of[at + 2][word >> 16 & 0xff] ^ tables->of[at + 3][word >> 24];
}

static uint32_t v4(const void *prepared, const uint8_t *addrs, const uint8_t *ports)
{
    return eight(prepared, 0, addrs) ^ four(prepared, 8, ports);
}

static uint32_t v6(const void *prepared, const uint8_t *src, const uint8_t *dst,
                   const uint8_t *ports)
{
    return eight(prepared, 0, src) ^ eight(prepared, 8, src + 8) ^ eight(prepared, 16, dst) ^
           eight(prepared, 24, dst + 8) ^ four(prepared, 32, ports);
}

static void burst12(const void *prepared, const uint8_t *const inputs[], size_t n,
                    uint32_t hashes[])
{
    for (size_t i = 0; i < n; i++) {
        hashes[i] = v4(prepared, inputs[i], inputs[i] + 8);
    }
}

static void burst36(const void *prepared, const uint8_t *const inputs[], size_t n,
                    uint32_t hashes[])
{
    for (size_t i = 0; i < n; i++) {
        hashes[i] = v6(prepared, inputs[i], inputs[i] + 16, inputs[i] + 32);
    }
}

const struct hash_engine hash_engine_table = {
    .name = "table",
    .runs = runs,
    .room = sizeof(struct tables),
    .prepare = prepare,
    .v4 = v4,
    .v6 = v6,
    .burst12 = burst12,
    .burst36 = burst36,
};
