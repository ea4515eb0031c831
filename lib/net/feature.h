/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Feature bits as data: what exists, what each requires, what may be offered with what (VIRTIO 1.4,
 * 2.2, 5.1.3.1, 6). Used by the device for negotiation and by vionet_feature_at().
 */
#ifndef VIONET_NET_FEATURE_H
#define VIONET_NET_FEATURE_H

#include <vionet/device.h>

static inline bool feature_test(const uint64_t *features, unsigned bit)
{
    return features[bit / 64] >> (bit % 64) & 1;
}

/* Checks that config can be offered; false with VIONET_ERROR_CONFIG. */
bool feature_check_offer(const VionetConfig *config, bool has_timers, GError **error);

/*
 * Checks a driver's set against the offered one. False if it is refused, with the offending bit in
 * *bit and whether that was not offered (*violation says which rule).
 */
bool feature_check_driver(const VionetConfig *config, const uint64_t *driver,
                          VionetViolation *violation, unsigned *bit);

/*
 * The first bit of a driver's set that cannot be accepted, in *bit, and the rule that it is against; false
 * if there is none. A set that is refused for VERSION_1 alone has none.
 */
bool feature_find_unfit(const VionetConfig *config, const uint64_t *driver,
                        VionetViolation *violation, unsigned *bit);

#endif
