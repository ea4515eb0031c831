/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A set of feature bits, 0 to 127, as four windows of 32 bits: what the common configuration shows
 * (VIRTIO 1.4, 4.1.4.3). Bits out of range belong to no set.
 */
#ifndef TEST_DRIVER_FEATURE_SET_H
#define TEST_DRIVER_FEATURE_SET_H

#include <stdbool.h>
#include <stdint.h>

#define FEATURES_WINDOWS 4
#define FEATURES_END     (-1) /* closes the list of features_of */

struct guest_features {
    uint32_t window[FEATURES_WINDOWS];
};

static inline bool features_has(const struct guest_features *features, unsigned bit)
{
    return bit < 32 * FEATURES_WINDOWS && (features->window[bit / 32] >> bit % 32 & 1);
}

static inline void features_add(struct guest_features *features, unsigned bit)
{
    if (bit < 32 * FEATURES_WINDOWS) {
        features->window[bit / 32] |= UINT32_C(1) << bit % 32;
    }
}

static inline void features_remove(struct guest_features *features, unsigned bit)
{
    if (bit < 32 * FEATURES_WINDOWS) {
        features->window[bit / 32] &= ~(UINT32_C(1) << bit % 32);
    }
}

/* The set of the bits listed: features_of(VIRTIO_F_VERSION_1, VIRTIO_NET_F_MAC, FEATURES_END). */
struct guest_features features_of(int bit, ...);
/* What is in both; what is in either; what is in the first and not in the second. */
struct guest_features features_and(struct guest_features a, struct guest_features b);
struct guest_features features_or(struct guest_features a, struct guest_features b);
struct guest_features features_without(struct guest_features a, struct guest_features b);
/* Whether two sets are the same; whether one has no member. */
bool features_equal(struct guest_features a, struct guest_features b);
bool features_empty(struct guest_features a);
/* All that this driver model can live with; a good mask for guest_driver_negotiate. */
struct guest_features features_known(void);

#endif
