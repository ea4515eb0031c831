/* SPDX-License-Identifier: BSD-3-Clause */
/* P7: the Toeplitz hash by tables is the one by bits (lib/hash/engine_table.c). See README.md. */
#include "hash/engine_table.c"

unsigned proof_loads, proof_stores;

/* The definition (5.1.6.4.3.5): for each bit of the input that is set, the 32 bits of the key that begin there. */
static uint32_t by_bits(const uint8_t *key, const uint8_t *input, unsigned begin, unsigned end)
{
    uint32_t hash = 0;

    for (unsigned bit = 8 * begin; bit < 8 * end; bit++) {
        uint32_t window = 0;

        for (unsigned i = 0; i < 32; i++) {
            window = window << 1 | (key[(bit + i) / 8] >> (7 - (bit + i) % 8) & 1);
        }
        if (input[bit / 8 - begin] >> (7 - bit % 8) & 1) {
            hash ^= window;
        }
    }
    return hash;
}

/* Every window of the key: the one that a table begins with, at any bit of the input. */
void key_window_any(void)
{
    uint8_t key[HASH_KEY_PADDED];
    const unsigned bit = any_below(8 * VIONET_HASH_INPUT_MAX), i = any_below(32);

    claim((key_window(key, bit) >> (31 - i) & 1) ==
              (key[(bit + i) / 8] >> (7 - (bit + i) % 8) & 1u),
          "32 bits of the key, from that one on, none of them past it");
    reached("looked");
}

/* One table, of the octet at AT, for every key and every value. */
void table_any(void)
{
    static struct tables tables;
    uint8_t key[HASH_KEY_PADDED];
    const uint8_t value = any_8();

    prepare(&tables, key);
    claim(tables.of[AT][value] == by_bits(key, &value, AT, AT + 1),
          "an entry is what its octet adds to the hash");
    reached("looked");
}

/* The hash is the sum of what its octets add, for any tables. */
void sum_any(void)
{
    static struct tables tables;
    uint8_t input[VIONET_HASH_INPUT_MAX];
    uint32_t sum = 0;

    for (unsigned i = 0; i < VIONET_HASH_INPUT_MAX; i++) {
        if (i == 12) {
            claim(v4(&tables, input, input + 8) == sum, "of 12 octets");
        }
        sum ^= tables.of[i][input[i]];
    }
    claim(v6(&tables, input, input + 16, input + 32) == sum, "of 36 octets");
    reached("summed");
}
