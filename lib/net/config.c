/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Configuration, both kinds: what the embedder asks for (defaults and checks), and the configuration
 * space that the driver reads (VIRTIO 1.4, 5.1.4, 2.5). Called by the device and by transports.
 */
#include "net/device.h"

#include <string.h>

#include "bytes.h"

#include <vionet/spec.h>

#define ETHERNET_HEADER 14

void vionet_config_init(VionetConfig *config)
{
    const VionetFeature *feature;

    memset(config, 0, sizeof(*config));
    *config = (VionetConfig){
        .size = sizeof(*config),
        .dialect = vionet_dialect_at(0),
        .mac = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56},
        .max_pairs = 1,
        .receive_queue_size = 256,
        .transmit_queue_size = 256,
        .control_queue_size = 64,
        .mtu = 1500,
        .speed = VIRTIO_NET_SPEED_UNKNOWN,
        .duplex = VIRTIO_NET_DUPLEX_UNKNOWN,
        .link_up = true,
        .rss_max_key_size = 40, /* Linux refuses a device that takes longer ones */
        .rss_max_table = 128,
        .max_rss_contexts = 16,
        .hash_types = 0x1ff,
        .tunnel_types = VIONET_ALL_TUNNELS,
        .max_frame = VIONET_MAX_FRAME,
    };
    for (unsigned i = 0; (feature = vionet_feature_at(config->dialect, i)) != NULL; i++) {
        vionet_features_set(config->features, feature->bit, feature->by_default);
    }
}

bool config_complete(const VionetConfig *config, VionetConfig *full, GError **error)
{
    if (config->size < sizeof(config->size) || config->size > sizeof(*full)) {
        g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG,
                    "size %zu of the configuration is not one that this version knows",
                    config->size);
        return false;
    }
    vionet_config_init(full);
    memcpy(full, config, config->size);
    if (full->dialect && full->tunnel_types == VIONET_ALL_TUNNELS) {
        full->tunnel_types = full->dialect->all_types;
    }
    return true;
}

static bool in_range(const char *name, uint64_t value, uint64_t low, uint64_t high, GError **error)
{
    if (value >= low && value <= high) {
        return true;
    }
    g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG,
                "%s is %" G_GUINT64_FORMAT ", must be %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT,
                name, value, low, high);
    return false;
}

static bool power_of_two(const char *name, uint64_t value, uint64_t low, uint64_t high,
                         GError **error)
{
    if (!in_range(name, value, low, high, error)) {
        return false;
    }
    if (value & (value - 1)) {
        g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG,
                    "%s is %" G_GUINT64_FORMAT ", must be a power of two", name, value);
        return false;
    }
    return true;
}

static bool known_bits(const char *name, uint32_t value, uint32_t known, GError **error)
{
    if (value & ~known) {
        g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG,
                    "%s 0x%x has bits that do not exist (0x%x)", name, value, value & ~known);
        return false;
    }
    return true;
}

static bool offers(const VionetConfig *config, unsigned bit)
{
    return vionet_features_test(config->features, bit);
}

static bool check_ranges(const VionetConfig *c, GError **error)
{
    return in_range("max_frame", c->max_frame, 1514, VIONET_MAX_FRAME, error) &&
           in_range("max_pairs", c->max_pairs, 1, VIONET_MAX_PAIRS, error) &&
           power_of_two("receive_queue_size", c->receive_queue_size, 2, VIONET_MAX_QUEUE_SIZE,
                        error) &&
           power_of_two("transmit_queue_size", c->transmit_queue_size, 2, VIONET_MAX_QUEUE_SIZE,
                        error) &&
           power_of_two("control_queue_size", c->control_queue_size, 2, VIONET_MAX_QUEUE_SIZE,
                        error) &&
           (!offers(c, VIRTIO_NET_F_MTU) ||
            in_range("mtu", c->mtu, 68, c->max_frame - ETHERNET_HEADER, error)) &&
           (c->speed == VIRTIO_NET_SPEED_UNKNOWN ||
            in_range("speed", c->speed, 0, 0x7fffffff, error)) &&
           (c->duplex == VIRTIO_NET_DUPLEX_UNKNOWN ||
            in_range("duplex", c->duplex, VIRTIO_NET_DUPLEX_HALF, VIRTIO_NET_DUPLEX_FULL, error)) &&
           in_range("rss_max_key_size", c->rss_max_key_size, 40, 255, error) &&
           power_of_two("rss_max_table", c->rss_max_table, 128, 32768, error) &&
           in_range("max_rss_contexts", c->max_rss_contexts, 1, VIONET_MAX_RSS_CONTEXTS, error) &&
           known_bits("hash_types", c->hash_types, 0x1ff, error) &&
           known_bits("tunnel_types", c->tunnel_types, c->dialect->all_types, error);
}

static bool check(const VionetConfig *config, bool has_timers, GError **error)
{
    if (!config->dialect) {
        g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG, "dialect is not set");
        return false;
    }
    if (!check_ranges(config, error) || !feature_check_offer(config, has_timers, error)) {
        return false;
    }
    if (config->max_pairs > 1 && !offers(config, VIRTIO_NET_F_MQ) &&
        !offers(config, VIRTIO_NET_F_RSS)) {
        g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG,
                    "max_pairs is %u, which needs VIRTIO_NET_F_MQ or VIRTIO_NET_F_RSS",
                    config->max_pairs);
        return false;
    }
    if (config->mac[0] & 1) {
        g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG, "mac is a multicast address");
        return false;
    }
    return true;
}

bool vionet_config_check(const VionetConfig *config, const VionetHostOps *ops, GError **error)
{
    VionetHostOps all = {0};
    VionetConfig full;

    memcpy(&all, ops, MIN(ops->size, sizeof(all)));
    return config_complete(config, &full, error) && check(&full, all.clock_ns && all.timer, error);
}

/* ---- configuration space ---- */

static bool offers_tunnels(const VionetConfig *config)
{
    return config->dialect->feature >= 0 && offers(config, (unsigned)config->dialect->feature);
}

/*
 * A driver that went without the draft whose types stand among the hash types does not see them any
 * more: Linux asks for every type that it reads there.
 */
bool config_depends_on_driver(const VionetDevice *device)
{
    const VionetDialect *dialect = device->config.dialect;

    return dialect->types_in_hash_types && offers_tunnels(&device->config) &&
           (vionet_device_status(device) & VIRTIO_STATUS_FEATURES_OK) &&
           !vionet_device_negotiated(device, (unsigned)dialect->feature);
}

static void put_hash_fields(const VionetDevice *device, uint8_t *space)
{
    const VionetConfig *config = &device->config;
    const VionetDialect *dialect = config->dialect;
    const bool tunnels = offers_tunnels(config);
    const bool rss = offers(config, VIRTIO_NET_F_RSS);
    uint32_t hash_types = config->hash_types;

    if (rss || offers(config, VIRTIO_NET_F_HASH_REPORT) || (tunnels && dialect->is_hash_feature)) {
        if (tunnels && dialect->types_in_hash_types && !config_depends_on_driver(device)) {
            hash_types |= config->tunnel_types;
        }
        space[offsetof(struct virtio_net_config, rss_max_key_size)] = config->rss_max_key_size;
        put_le32(space + offsetof(struct virtio_net_config, supported_hash_types), hash_types);
    }
    if (rss) {
        put_le16(space + offsetof(struct virtio_net_config, rss_max_indirection_table_length),
                 config->rss_max_table);
    }
    if (tunnels && dialect->config_field) {
        put_le32(space + offsetof(struct virtio_net_config, supported_tunnel_types),
                 config->tunnel_types | dialect->always_types);
    }
}

/* The whole space as it stands now: fields of features that are not offered are 0. */
static void put_space(const VionetDevice *device, uint8_t *space)
{
    const VionetConfig *config = &device->config;
    const struct view *view = device_view(device);

    memcpy(space, device->mac, 6);
    if (offers(config, VIRTIO_NET_F_STATUS)) {
        view_put16(view, space + offsetof(struct virtio_net_config, status),
                   (view->link_up ? VIRTIO_NET_S_LINK_UP : 0) |
                       (device->announce ? VIRTIO_NET_S_ANNOUNCE : 0));
    }
    if (offers(config, VIRTIO_NET_F_MQ) || offers(config, VIRTIO_NET_F_RSS)) {
        view_put16(view, space + offsetof(struct virtio_net_config, max_virtqueue_pairs),
                   config->max_pairs);
    }
    if (offers(config, VIRTIO_NET_F_MTU)) {
        view_put16(view, space + offsetof(struct virtio_net_config, mtu), config->mtu);
    }
    if (view->legacy) {
        return; /* what follows is for features that such a driver cannot have */
    }
    if (offers(config, VIRTIO_NET_F_SPEED_DUPLEX)) {
        put_le32(space + offsetof(struct virtio_net_config, speed), config->speed);
        space[offsetof(struct virtio_net_config, duplex)] = config->duplex;
    }
    put_hash_fields(device, space);
}

void vionet_device_config_read(VionetDevice *device, uint32_t offset, void *buf, size_t len)
{
    uint8_t space[sizeof(struct virtio_net_config)] = {0};

    if (device->config_dirty) {
        device->config_dirty = false;
        device->config_generation++;
    }
    memset(buf, 0, len);
    put_space(device, space);
    if (offset < sizeof(space)) {
        memcpy(buf, space + offset, MIN(len, sizeof(space) - offset));
    }
}

/*
 * Octets of mac, which a legacy driver sets here if it has no command for it (5.1.4.3). Each takes effect
 * at once.
 */
static void write_mac(VionetDevice *device, uint32_t offset, const uint8_t *octets, size_t len)
{
    struct view *view = view_copy(device_view(device));

    memcpy(device->mac + offset, octets, len);
    memcpy(view->filter.mac, device->mac, 6);
    device_publish(device, view);
    device_event(device, VIONET_EVENT_FILTER);
}

void vionet_device_config_write(VionetDevice *device, uint32_t offset, const void *buf, size_t len)
{
    const struct view *view = device_view(device);

    if (view->legacy && !view_has(view, VIRTIO_NET_F_CTRL_MAC_ADDR) && offset < 6 &&
        len <= 6 - offset) {
        write_mac(device, offset, buf, len);
        return;
    }
    vionet_device_violation(device, VIONET_VIOLATION_CONFIG_WRITE, VIONET_NONE, VIONET_NONE,
                            offset);
}

uint8_t vionet_device_config_generation(const VionetDevice *device)
{
    return device->config_generation;
}
