/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of feature bits (VIRTIO 1.4, 5.1.3, 5.1.3.1, 6). Each row: bit, names, what the driver
 * must have accepted with it, what it should not be offered without. Only what the device honours
 * stands here; a bit without a row is neither offered nor accepted.
 */
#include "net/feature.h"

#include <vionet/spec.h>

/* A requirement is met by any of its alternatives. */
#define MAX_ALTERNATIVES 2
#define MAX_REQUIREMENTS 4
#define NOTHING          0xff

struct requirement {
    uint8_t any_of[MAX_ALTERNATIVES];
};

struct feature_row {
    VionetFeature feature;
    bool tunnel; /* inner-header hashing of the dialect whose bit it is */
    unsigned n_requires;
    struct requirement requires[MAX_REQUIREMENTS]; /* for the offer and the acceptance */
    unsigned n_offer_with;
    struct requirement offer_with[1]; /* for the offer only */
};

/* clang-format off */
#define ONE(bit)          {{bit, NOTHING}}
#define EITHER(one, other) {{one, other}}
#define REQUIRES(n, ...)   .n_requires = (n), .requires = {__VA_ARGS__}
#define OFFER_WITH(...)    .n_offer_with = 1, .offer_with = {__VA_ARGS__}

#define ROW(prefix, bit_name, property_name, default_on, help_text)                                \
    .feature = {                                                                                   \
        .bit = prefix##bit_name,                                                                   \
        .name = #prefix #bit_name,                                                                 \
        .property = property_name,                                                                 \
        .by_default = default_on,                                                                  \
        .help = help_text,                                                                         \
    }
#define NET(...)  ROW(VIRTIO_NET_F_, __VA_ARGS__)
#define RING(...) ROW(VIRTIO_F_, __VA_ARGS__)

static const struct feature_row rows[] = {
    {NET(CSUM, "csum", false, "transmit: the device completes checksums")},
    {NET(GUEST_CSUM, "guest_csum", false, "receive: the driver takes partial checksums")},
    {NET(CTRL_GUEST_OFFLOADS, "ctrl_guest_offloads", false,
         "the driver switches receive offloads at run time"),
     OFFER_WITH(ONE(VIRTIO_NET_F_CTRL_VQ))},
    {NET(MTU, "host_mtu", false, "the device tells its MTU")},
    {NET(MAC, "has_mac", true, "the device tells its MAC address")},
    {NET(GUEST_TSO4, "guest_tso4", false, "receive: TCP segmentation, IPv4"),
     REQUIRES(1, ONE(VIRTIO_NET_F_GUEST_CSUM))},
    {NET(GUEST_TSO6, "guest_tso6", false, "receive: TCP segmentation, IPv6"),
     REQUIRES(1, ONE(VIRTIO_NET_F_GUEST_CSUM))},
    {NET(GUEST_ECN, "guest_ecn", false, "receive: TCP segmentation with ECN"),
     REQUIRES(1, EITHER(VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_TSO6))},
    {NET(GUEST_UFO, "guest_ufo", false, "receive: UDP fragmentation"),
     REQUIRES(1, ONE(VIRTIO_NET_F_GUEST_CSUM))},
    {NET(HOST_TSO4, "host_tso4", false, "transmit: TCP segmentation, IPv4"),
     REQUIRES(1, ONE(VIRTIO_NET_F_CSUM))},
    {NET(HOST_TSO6, "host_tso6", false, "transmit: TCP segmentation, IPv6"),
     REQUIRES(1, ONE(VIRTIO_NET_F_CSUM))},
    {NET(HOST_ECN, "host_ecn", false, "transmit: TCP segmentation with ECN"),
     REQUIRES(1, EITHER(VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_HOST_TSO6))},
    {NET(HOST_UFO, "host_ufo", false, "transmit: UDP fragmentation"),
     REQUIRES(1, ONE(VIRTIO_NET_F_CSUM))},
    {NET(MRG_RXBUF, "mrg_rxbuf", true, "receive: packets over several buffers")},
    {NET(STATUS, "status", true, "the device tells link state")},
    {NET(CTRL_VQ, "ctrl_vq", true, "control queue")},
    {NET(CTRL_RX, "ctrl_rx", true, "receive modes and MAC table"),
     REQUIRES(1, ONE(VIRTIO_NET_F_CTRL_VQ))},
    {NET(CTRL_VLAN, "ctrl_vlan", true, "VLAN filter"), REQUIRES(1, ONE(VIRTIO_NET_F_CTRL_VQ))},
    {NET(CTRL_RX_EXTRA, "ctrl_rx_extra", true, "more receive modes"),
     OFFER_WITH(ONE(VIRTIO_NET_F_CTRL_VQ))},
    {NET(GUEST_ANNOUNCE, "guest_announce", true, "the driver announces itself when asked"),
     REQUIRES(1, ONE(VIRTIO_NET_F_CTRL_VQ)), OFFER_WITH(ONE(VIRTIO_NET_F_STATUS))},
    {NET(MQ, "mq", false, "several queue pairs, automatic steering"),
     REQUIRES(1, ONE(VIRTIO_NET_F_CTRL_VQ))},
    {NET(CTRL_MAC_ADDR, "ctrl_mac_addr", true, "the driver sets the MAC address"),
     REQUIRES(1, ONE(VIRTIO_NET_F_CTRL_VQ))},
    {NET(DEVICE_STATS, "device_stats", false, "the device tells statistics of its queues"),
     OFFER_WITH(ONE(VIRTIO_NET_F_CTRL_VQ))},
    {NET(HASH_TUNNEL, "hash-tunnel", false, "receive: inner-header hashing"),
     .tunnel = true,
     REQUIRES(2, ONE(VIRTIO_NET_F_CTRL_VQ), EITHER(VIRTIO_NET_F_RSS, VIRTIO_NET_F_HASH_REPORT))},
    {NET(HASH_TUNNEL_DRAFT, "hash-tunnel", false, "receive: inner-header hashing"),
     .tunnel = true,
     REQUIRES(1, ONE(VIRTIO_NET_F_CTRL_VQ)),
     OFFER_WITH(EITHER(VIRTIO_NET_F_RSS, VIRTIO_NET_F_HASH_REPORT))},
    {NET(VQ_NOTF_COAL, "vq_notf_coal", false, "interrupt coalescing of single queues"),
     REQUIRES(1, ONE(VIRTIO_NET_F_CTRL_VQ))},
    {NET(NOTF_COAL, "notf_coal", false, "interrupt coalescing"),
     REQUIRES(1, ONE(VIRTIO_NET_F_CTRL_VQ))},
    {NET(GUEST_USO4, "guest_uso4", false, "receive: UDP segmentation, IPv4"),
     REQUIRES(1, ONE(VIRTIO_NET_F_GUEST_CSUM))},
    {NET(GUEST_USO6, "guest_uso6", false, "receive: UDP segmentation, IPv6"),
     REQUIRES(1, ONE(VIRTIO_NET_F_GUEST_CSUM))},
    {NET(HOST_USO, "host_uso", false, "transmit: UDP segmentation"),
     REQUIRES(1, ONE(VIRTIO_NET_F_CSUM))},
    {NET(HASH_REPORT, "hash", false, "receive: the packet header tells the hash"),
     OFFER_WITH(ONE(VIRTIO_NET_F_CTRL_VQ))},
    {NET(RSS, "rss", false, "receive-side scaling"), REQUIRES(1, ONE(VIRTIO_NET_F_CTRL_VQ))},
    {NET(STANDBY, "standby", false, "may stand by for a primary device with its MAC address")},
    {NET(SPEED_DUPLEX, "speed_duplex", false, "the device tells speed and duplex")},
    {NET(RSS_CONTEXT, "rss_context", false, "more configurations of receive-side scaling"),
     REQUIRES(2, ONE(VIRTIO_NET_F_CTRL_VQ), ONE(VIRTIO_NET_F_RSS))},
    {NET(GUEST_UDP_TUNNEL_GSO, "guest_tunnel", false, "receive: segmentation inside UDP tunnels"),
     REQUIRES(4, ONE(VIRTIO_NET_F_GUEST_TSO4), ONE(VIRTIO_NET_F_GUEST_TSO6),
              ONE(VIRTIO_NET_F_GUEST_USO4), ONE(VIRTIO_NET_F_GUEST_USO6))},
    {NET(GUEST_UDP_TUNNEL_GSO_CSUM, "guest_tunnel_csum", false,
         "receive: and partial outer checksums"),
     REQUIRES(1, ONE(VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO))},
    {NET(HOST_UDP_TUNNEL_GSO, "host_tunnel", false, "transmit: segmentation inside UDP tunnels"),
     REQUIRES(3, ONE(VIRTIO_NET_F_HOST_TSO4), ONE(VIRTIO_NET_F_HOST_TSO6),
              ONE(VIRTIO_NET_F_HOST_USO))},
    {NET(HOST_UDP_TUNNEL_GSO_CSUM, "host_tunnel_csum", false,
         "transmit: and partial outer checksums"),
     REQUIRES(1, ONE(VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO))},
    {RING(INDIRECT_DESC, "indirect_desc", true, "indirect descriptors")},
    {RING(EVENT_IDX, "event_idx", true, "notifications by index")},
    {RING(VERSION_1, "version_1", true, "the modern interface; always offered")},
    {RING(RING_PACKED, "packed", false, "the packed format of queues")},
    {RING(IN_ORDER, "in_order", false, "buffers are used in order")},
    {RING(NOTIFICATION_DATA, "notification_data", false, "notifications carry the ring position")},
    {RING(NOTIF_CONFIG_DATA, "notif_config_data", false,
          "notifications carry an identifier of the device's choice")},
    {RING(RING_RESET, "queue_reset", true, "single queues can be reset")},
};
/* clang-format on */

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

/* Whether a row means anything to a device of that dialect: one bit has two meanings. */
static bool row_in_dialect(const struct feature_row *row, const VionetDialect *dialect)
{
    return row->tunnel == ((int)row->feature.bit == dialect->feature);
}

const VionetFeature *vionet_feature_at(const VionetDialect *dialect, unsigned i)
{
    for (unsigned r = 0; r < N_ROWS; r++) {
        if (row_in_dialect(&rows[r], dialect) && i-- == 0) {
            return &rows[r].feature;
        }
    }
    return NULL;
}

void vionet_features_set(uint64_t *features, unsigned bit, bool on)
{
    uint64_t mask = UINT64_C(1) << (bit % 64);

    if (bit >= 64 * VIONET_FEATURE_WORDS) {
        return;
    }
    if (on) {
        features[bit / 64] |= mask;
    } else {
        features[bit / 64] &= ~mask;
    }
}

bool vionet_features_test(const uint64_t *features, unsigned bit)
{
    return bit < 64 * VIONET_FEATURE_WORDS && feature_test(features, bit);
}

static const struct feature_row *row_of(unsigned bit, const VionetDialect *dialect)
{
    for (unsigned r = 0; r < N_ROWS; r++) {
        if (rows[r].feature.bit == bit && row_in_dialect(&rows[r], dialect)) {
            return &rows[r];
        }
    }
    return NULL;
}

static bool requirement_met(const struct requirement *requirement, const uint64_t *features)
{
    for (unsigned i = 0; i < MAX_ALTERNATIVES; i++) {
        if (requirement->any_of[i] != NOTHING && feature_test(features, requirement->any_of[i])) {
            return true;
        }
    }
    return false;
}

/* The first requirement in a list that features do not meet, NULL if they meet all. */
static const struct requirement *first_unmet(const struct requirement *list, unsigned n,
                                             const uint64_t *features)
{
    for (unsigned i = 0; i < n; i++) {
        if (!requirement_met(&list[i], features)) {
            return &list[i];
        }
    }
    return NULL;
}

static bool refuse_offer(const struct feature_row *row, const struct requirement *unmet,
                         const VionetDialect *dialect, GError **error)
{
    const struct feature_row *one = row_of(unmet->any_of[0], dialect);
    const struct feature_row *other =
        unmet->any_of[1] == NOTHING ? NULL : row_of(unmet->any_of[1], dialect);

    g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG, "%s (%s) needs %s (%s)%s%s%s%s%s",
                row->feature.name, row->feature.property, one->feature.name, one->feature.property,
                other ? " or " : "", other ? other->feature.name : "", other ? " (" : "",
                other ? other->feature.property : "", other ? ")" : "");
    return false;
}

/* What keeps a row from being offered among features, NULL if nothing does. */
static const struct requirement *offer_lacks(const struct feature_row *row,
                                             const VionetDialect *dialect, const uint64_t *features)
{
    const struct requirement *unmet = first_unmet(row->requires, row->n_requires, features);

    if (unmet || (row->tunnel && dialect->is_hash_feature)) {
        return unmet; /* that dialect's bit makes a device hash on its own */
    }
    return first_unmet(row->offer_with, row->n_offer_with, features);
}

static bool check_row(const struct feature_row *row, const VionetConfig *config, GError **error)
{
    const struct requirement *unmet = offer_lacks(row, config->dialect, config->features);

    return unmet ? refuse_offer(row, unmet, config->dialect, error) : true;
}

void vionet_features_settle(const VionetDialect *dialect, uint64_t *features, const uint64_t *keep)
{
    bool changed;

    do {
        changed = false;
        for (unsigned r = 0; r < N_ROWS; r++) {
            const unsigned bit = rows[r].feature.bit;

            if (row_in_dialect(&rows[r], dialect) && feature_test(features, bit) &&
                !(keep && feature_test(keep, bit)) && offer_lacks(&rows[r], dialect, features)) {
                vionet_features_set(features, bit, false);
                changed = true;
            }
        }
    } while (changed);
}

bool feature_check_offer(const VionetConfig *config, bool has_timers, GError **error)
{
    const bool coalescing = feature_test(config->features, VIRTIO_NET_F_NOTF_COAL) ||
                            (config->dialect->feature != VIRTIO_NET_F_VQ_NOTF_COAL &&
                             feature_test(config->features, VIRTIO_NET_F_VQ_NOTF_COAL));

    for (unsigned bit = 0; bit < 64 * VIONET_FEATURE_WORDS; bit++) {
        const struct feature_row *row = row_of(bit, config->dialect);

        if (!feature_test(config->features, bit)) {
            continue;
        }
        if (!row) {
            g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG,
                        "feature bit %u is not one that a device with hash-tunnel=%s can offer",
                        bit, config->dialect->name);
            return false;
        }
        if (!check_row(row, config, error)) {
            return false;
        }
    }
    if (!feature_test(config->features, VIRTIO_F_VERSION_1)) {
        g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG,
                    "VIRTIO_F_VERSION_1 (version_1) must be offered");
        return false;
    }
    if (coalescing && !has_timers) {
        g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG,
                    "VIRTIO_NET_F_NOTF_COAL and VIRTIO_NET_F_VQ_NOTF_COAL need the host operations "
                    "clock_ns and timer");
        return false;
    }
    return true;
}

bool feature_find_unfit(const VionetConfig *config, const uint64_t *driver,
                        VionetViolation *violation, unsigned *bit)
{
    for (*bit = 0; *bit < 64 * VIONET_FEATURE_WORDS; (*bit)++) {
        const struct feature_row *row;

        if (!feature_test(driver, *bit)) {
            continue;
        }
        if (!feature_test(config->features, *bit)) {
            *violation = VIONET_VIOLATION_FEATURES_NOT_OFFERED;
            return true;
        }
        row = row_of(*bit, config->dialect);
        g_assert(row); /* it was offered */
        if (first_unmet(row->requires, row->n_requires, driver)) {
            *violation = VIONET_VIOLATION_FEATURES_DEPENDENCY;
            return true;
        }
    }
    return false;
}

bool feature_check_driver(const VionetConfig *config, const uint64_t *driver,
                          VionetViolation *violation, unsigned *bit)
{
    if (feature_find_unfit(config, driver, violation, bit)) {
        return false;
    }
    *bit = VIRTIO_F_VERSION_1;
    *violation = VIONET_VIOLATION_FEATURES_DEPENDENCY;
    return feature_test(driver, VIRTIO_F_VERSION_1);
}
