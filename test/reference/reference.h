/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The second implementation of dissection and hashing, which the fuzzers and the unit tests hold
 * the library against. Written from the texts and the list of decisions alone: it shares no code
 * with the library, and where speed and plainness disagree it is plain. "Decision n" in a comment
 * is the ruling of that number.
 */
#ifndef VIONET_TEST_REFERENCE_H
#define VIONET_TEST_REFERENCE_H

#include <stddef.h>
#include <stdint.h>

/* How a device says which tunnels are hashed by their inner header, if it does so at all. */
enum reference_dialect {
    REFERENCE_OFF,
    REFERENCE_DRAFT_V7,
    REFERENCE_DRAFT_V10,
    REFERENCE_RATIFIED
};

/* Source and destination address and both ports of IPv6, the longest input there is. */
#define REFERENCE_INPUT_MAX 36

struct reference_result {
    uint16_t report;  /* VIRTIO_NET_HASH_REPORT_* */
    uint32_t hash;    /* 0 if report is NONE */
    uint8_t tunnel;   /* draft v7: hash_report_tunnel; 0 in the other dialects */
    size_t input_len; /* octets that were hashed; 0 if report is NONE */
    uint8_t input[REFERENCE_INPUT_MAX];
};

/* The Toeplitz hash as it is defined, key bit by key bit. Key bits past the end are zero. */
uint32_t reference_toeplitz(const uint8_t *key, size_t key_len, const uint8_t *input,
                            size_t input_len);

/* The same function the way emulators have it, a 32-bit window that moves one bit per input bit. */
uint32_t reference_toeplitz_shift(const uint8_t *key, size_t key_len, const uint8_t *input,
                                  size_t input_len);

/*
 * What a device reports for the frame. tunnel_types is in the dialect's own bits; draft v7 has them
 * in bits 9 to 11 of hash_types and tunnel_types is not looked at. Any length is hashed: that a
 * device drops runts and oversize frames (decision 17) is the caller's business, though a runt has
 * no hash here either.
 */
void reference_hash(const uint8_t *frame, size_t len, enum reference_dialect dialect,
                    uint32_t hash_types, uint32_t tunnel_types, const uint8_t *key, size_t key_len,
                    struct reference_result *out);

#endif /* VIONET_TEST_REFERENCE_H */
