/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Octets to values: how every target reads its input. Numbers are little-endian. Past the end
 * everything reads as 0, so that any octets are an input and a shorter one means less, not an error.
 */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct input {
    const uint8_t *at;
    size_t left;
};

static inline struct input input_of(const uint8_t *data, size_t size)
{
    return (struct input){data, size};
}

static inline bool input_ended(const struct input *input)
{
    return input->left == 0;
}

uint8_t input_8(struct input *input);
uint16_t input_16(struct input *input);
uint32_t input_32(struct input *input);
uint64_t input_64(struct input *input);

/* A number below n (which is not 0), from one octet if n is at most 256, else from two. */
unsigned input_below(struct input *input, unsigned n);

/*
 * A number that is often one at which things change: near 0, near a power of two, near the end of
 * its width, or near the value given. Takes one octet, or five.
 */
uint32_t input_edgy(struct input *input, uint32_t near);

/* Copies n octets to to; those past the end are 0. */
void input_octets(struct input *input, void *to, size_t n);

/* The next n octets, or as many as are left, in place; moves past them. */
const uint8_t *input_take(struct input *input, size_t *n);

#endif
