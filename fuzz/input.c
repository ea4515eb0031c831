/* SPDX-License-Identifier: BSD-3-Clause */
/* See input.h. */
#include "input.h"

#include <string.h>

void input_octets(struct input *input, void *to, size_t n)
{
    const size_t here = n < input->left ? n : input->left;

    memset(to, 0, n);
    if (here) {
        memcpy(to, input->at, here);
        input->at += here;
        input->left -= here;
    }
}

const uint8_t *input_take(struct input *input, size_t *n)
{
    const uint8_t *at = input->at;

    if (*n > input->left) {
        *n = input->left;
    }
    if (*n) {
        input->at += *n;
        input->left -= *n;
    }
    return at;
}

static uint64_t number(struct input *input, size_t n)
{
    uint8_t octets[8];
    uint64_t value = 0;

    input_octets(input, octets, n);
    while (n--) {
        value = value << 8 | octets[n];
    }
    return value;
}

uint8_t input_8(struct input *input)
{
    return (uint8_t)number(input, 1);
}

uint16_t input_16(struct input *input)
{
    return (uint16_t)number(input, 2);
}

uint32_t input_32(struct input *input)
{
    return (uint32_t)number(input, 4);
}

uint64_t input_64(struct input *input)
{
    return number(input, 8);
}

unsigned input_below(struct input *input, unsigned n)
{
    return (unsigned)number(input, n <= 256 ? 1 : 2) % n;
}

uint32_t input_edgy(struct input *input, uint32_t near)
{
    const uint8_t how = input_8(input);
    const uint32_t small = how & 7;

    switch (how >> 6) {
    case 0: /* how itself */
        return how;
    case 1: /* around what was given */
        return near + small - 4;
    case 2: /* around a power of two */
        return (UINT32_C(1) << (how & 31)) - (how >> 5 & 1);
    default:
        return how & 0x20 ? UINT32_MAX - small : input_32(input);
    }
}
