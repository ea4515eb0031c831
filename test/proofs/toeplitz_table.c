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
