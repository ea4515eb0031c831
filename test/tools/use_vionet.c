/* SPDX-License-Identifier: BSD-3-Clause */
/* A program as small as any: library_checks.py builds it as strangers to the source tree would. */
#include <stdio.h>

#include <vionet/hash.h>

int main(void)
{
    static const uint8_t octets[40] = {0x6d, 0x5a};
    static const uint8_t input[12] = {0x80};
    VionetHashKey *key = vionet_hash_key_new(octets, sizeof(octets));

    printf("0x%08x\n", (unsigned)vionet_toeplitz(key, input, sizeof(input)));
    vionet_hash_key_free(key);
    return 0;
}
