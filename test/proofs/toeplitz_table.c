/* SPDX-License-Identifier: BSD-3-Clause */
/* P7: the Toeplitz hash by tables (lib/hash/engine_table.c). Each entry point is a claim; see README.md. */
#include "hash/engine_table.c"

unsigned proof_loads, proof_stores;

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

/* Every entry of a table is the sum of the windows at the bits that its value has. */
void table_entry_any(void)
{
    static struct tables tables;
    uint8_t key[HASH_KEY_PADDED];
    const unsigned octet = any_below(VIONET_HASH_INPUT_MAX), value = any_below(256);
    uint32_t sum = 0;

    prepare(&tables, key);
    for (unsigned bit = 0; bit < 8; bit++) {
        sum ^= value >> (7 - bit) & 1 ? key_window(key, 8 * octet + bit) : 0;
    }
    claim(tables.of[octet][value] == sum, "an entry is the sum of its windows");
    reached("looked");
}

/* Every hash is the sum of the entries for its octets, whatever stands in the tables. */
void hash_sum_any(void)
{
    struct tables *tables = malloc(sizeof(*tables));
    uint8_t input[VIONET_HASH_INPUT_MAX];
    const unsigned n = any_bool() ? 12 : 36;
    uint32_t sum = 0;

    assume(tables != NULL);
    for (unsigned i = 0; i < VIONET_HASH_INPUT_MAX; i++) {
        sum ^= i < n ? tables->of[i][input[i]] : 0;
    }
    claim((n == 12 ? v4(tables, input, input + 8) : v6(tables, input, input + 16, input + 32)) ==
              sum,
          "a hash is the sum of its octets' entries");
    reached("summed");
}
