/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Copying frames. Most are short, and for those a call costs more than the copy: up to 128 octets it is
 * done in place, by pieces of fixed size of which the last overlaps the one before. Nothing is read or
 * written outside the n octets.
 */
#ifndef VIONET_COPY_H
#define VIONET_COPY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define COPY_IN_PLACE 128

/* Copies n octets between memory that does not overlap. */
static inline void copy_frame(uint8_t *to, const uint8_t *from, size_t n)
{
    if (n > COPY_IN_PLACE || n < 16) {
        memcpy(to, from, n);
    } else if (n > 64) {
        memcpy(to, from, 64);
        memcpy(to + n - 64, from + n - 64, 64);
    } else if (n > 32) {
        memcpy(to, from, 32);
        memcpy(to + n - 32, from + n - 32, 32);
    } else {
        memcpy(to, from, 16);
        memcpy(to + n - 16, from + n - 16, 16);
    }
}

#endif
