/* SPDX-License-Identifier: BSD-3-Clause */
/* Sets of feature bits; see feature_set.h. */
#include "feature_set.h"

#include <stdarg.h>
#include <string.h>

#include <vionet/spec.h>

struct guest_features features_of(int bit, ...)
{
    struct guest_features features = {{0}};
    va_list bits;

    va_start(bits, bit);
    for (; bit >= 0; bit = va_arg(bits, int)) {
        features_add(&features, (unsigned)bit);
    }
    va_end(bits);
    return features;
}

struct guest_features features_and(struct guest_features a, struct guest_features b)
{
    for (unsigned i = 0; i < FEATURES_WINDOWS; i++) {
        a.window[i] &= b.window[i];
    }
    return a;
}

struct guest_features features_or(struct guest_features a, struct guest_features b)
{
    for (unsigned i = 0; i < FEATURES_WINDOWS; i++) {
        a.window[i] |= b.window[i];
    }
    return a;
}

struct guest_features features_without(struct guest_features a, struct guest_features b)
{
    for (unsigned i = 0; i < FEATURES_WINDOWS; i++) {
        a.window[i] &= ~b.window[i];
    }
    return a;
}

bool features_equal(struct guest_features a, struct guest_features b)
{
    return memcmp(&a, &b, sizeof(a)) == 0;
}

bool features_empty(struct guest_features a)
{
    return features_equal(a, (struct guest_features){{0}});
}

struct guest_features features_known(void)
{
    /* Rings and transport; suspending and an admin queue are not modelled. */
    struct guest_features known = features_of(
        VIRTIO_F_INDIRECT_DESC, VIRTIO_F_EVENT_IDX, VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM,
        VIRTIO_F_RING_PACKED, VIRTIO_F_IN_ORDER, VIRTIO_F_ORDER_PLATFORM,
        VIRTIO_F_NOTIFICATION_DATA, VIRTIO_F_NOTIF_CONFIG_DATA, VIRTIO_F_RING_RESET, FEATURES_END);

    /* The network device: all that is assigned, but for inline IPsec. */
    for (unsigned bit = VIRTIO_NET_F_CSUM; bit <= VIRTIO_NET_F_CTRL_MAC_ADDR; bit++) {
        features_add(&known, bit);
    }
    for (unsigned bit = VIRTIO_NET_F_DEVICE_STATS; bit <= VIRTIO_NET_F_OUT_NET_HEADER; bit++) {
        features_add(&known, bit);
    }
    /* Not assigned to a modern network device. */
    features_remove(&known, 4);
    features_remove(&known, 6);
    features_remove(&known, 58);
    return known;
}
