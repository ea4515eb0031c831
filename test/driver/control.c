/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands over the control queue; see control.h. */
#include "control.h"

#include <string.h>

#include <vionet/spec.h>

#include "bytes.h"
#include "net_private.h"

#define USUAL_WAIT_US 100000
/* Between two looks at a device that takes its time. */
#define PAUSE_US 20
/* Class and command. */
#define COMMAND_HEADER 2

static bool make_area(struct guest_net *net, struct net_buffer *area, uint32_t size)
{
    area->gpa = guest_alloc(net->driver->memory, size, 64);
    area->host = guest_ptr(net->driver->memory, area->gpa, size);
    if (!area->host) {
        complaints_add(net->driver->complaints, "no guest memory for %u octets of command", size);
    }
    return area->host != NULL;
}

bool net_control_start(struct guest_net *net)
{
    struct net_control *control = &net->control;

    control->stuck = false;
    return (control->command.host || make_area(net, &control->command, net->control_size)) &&
           (control->reply.host || make_area(net, &control->reply, NET_REPLY_MAX));
}

void net_control_free(struct net_control *control)
{
    g_free(control->segments);
}

uint32_t net_control_used_len(const struct guest_net *net)
{
    return net->control.used_len;
}

/* Cut both parts into one list and put it into the ring. */
static bool add(struct guest_net *net, struct virtq *vq, const struct net_control_layout *layout,
                uint32_t readable_len, uint32_t readable_header, uint32_t writable_len,
                uint32_t writable_header)
{
    struct net_control *control = &net->control;
    unsigned n_readable =
        readable_len ? layout_count(&layout->command, readable_len, readable_header) : 0;
    unsigned n_writable =
        writable_len ? layout_count(&layout->reply, writable_len, writable_header) : 0;
    unsigned n = n_readable + n_writable;

    if (layout->command.indirect && !net_buffer_table(net, &control->command, n)) {
        return false;
    }
    net_segments(&control->segments, &control->max_segments, n);
    if (n_readable) {
        layout_cut(&layout->command, control->command.gpa, readable_len, readable_header, false,
                   control->segments);
    }
    if (n_writable) {
        layout_cut(&layout->reply, control->reply.gpa, writable_len, writable_header, true,
                   control->segments + n_readable);
    }
    return layout_add(&layout->command, vq, control->segments, n, control->command.table_gpa,
                      control);
}

/* Our command among what became used; a test's own buffers are passed over. */
static bool answered(struct guest_net *net, struct virtq *vq)
{
    struct virtq_used used;

    while (virtq_poll(vq, &used)) {
        if (used.cookie == &net->control) {
            net->control.used_len = used.len;
            return true;
        }
    }
    return false;
}

/* The device answers within the notification if it is in this process, else soon. */
static bool wait_for_answer(struct guest_net *net, struct virtq *vq)
{
    uint32_t wait = net->options.control_wait_us ? net->options.control_wait_us : USUAL_WAIT_US;
    gint64 end;

    if (answered(net, vq)) {
        return true;
    }
    end = g_get_monotonic_time() + wait;
    while (!virtq_broken(vq) &&
           !(guest_driver_status(net->driver) & VIRTIO_STATUS_DEVICE_NEEDS_RESET) &&
           g_get_monotonic_time() < end) {
        g_usleep(PAUSE_US);
        if (answered(net, vq)) {
            return true;
        }
    }
    return answered(net, vq);
}

/* The control queue, if it can take a command now. */
static struct virtq *ready(struct guest_net *net)
{
    struct net_control *control = &net->control;
    struct virtq *vq =
        net->driver->has_control ? guest_queue_ring(net->driver, net->driver->control) : NULL;

    if (!vq || !control->command.host || !control->reply.host) {
        return NULL;
    }
    /* The memory of a command that was never answered is still the device's. */
    if (control->stuck && answered(net, vq)) {
        control->stuck = false;
    }
    return control->stuck ? NULL : vq;
}

/* As Linux cuts a command, if the ring has room for four descriptors; in a table if it has one. */
static const struct net_control_layout *usual_layout(const struct virtq *vq)
{
    static const struct net_control_layout apart = {
        .command = {.shape = NET_HEADER_APART},
        .reply = {.shape = NET_HEADER_APART},
    };
    static const struct net_control_layout whole;
    static const struct net_control_layout table = {.command = {.indirect = true}};
    const unsigned size = virtq_options(vq)->size;

    return size >= 4 ? &apart : size > 1 ? &whole : &table;
}

int64_t net_control_octets(struct guest_net *net, const struct net_control_layout *layout,
                           const void *readable, uint32_t readable_len, uint32_t readable_header,
                           void *writable, uint32_t writable_len, uint32_t writable_header)
{
    struct net_control *control = &net->control;
    struct virtq *vq = ready(net);

    if (!vq || readable_len > net->control_size || writable_len > NET_REPLY_MAX) {
        return NET_CONTROL_NONE;
    }
    if (readable_len) {
        memcpy(control->command.host, readable, readable_len);
    }
    memset(control->reply.host, 0xff, writable_len);
    if (!add(net, vq, layout ? layout : usual_layout(vq), readable_len, readable_header,
             writable_len, writable_header)) {
        return NET_CONTROL_NONE;
    }
    guest_queue_kick(net->driver, net->driver->control);
    if (!wait_for_answer(net, vq)) {
        control->stuck = true;
        return NET_CONTROL_NONE;
    }
    if (writable_len) {
        memcpy(writable, control->reply.host, writable_len);
    }
    return control->used_len;
}

static bool ack_is_last(const struct net_control_layout *layout, uint8_t class, uint8_t command)
{
    if (layout && layout->ack_place != NET_ACK_USUAL) {
        return layout->ack_place == NET_ACK_LAST;
    }
    return (class == VIRTIO_NET_CTRL_NOTF_COAL && command == VIRTIO_NET_CTRL_NOTF_COAL_VQ_GET) ||
           (class == VIRTNET_RSS_CTX_CTRL && command == VIRTNET_RSS_CTX_CTRL_CAP_GET);
}

int net_control_laid_out(struct guest_net *net, const struct net_control_layout *layout,
                         uint8_t class, uint8_t command, const void *payload, uint32_t len,
                         void *reply, uint32_t reply_len)
{
    uint32_t ack_len = layout ? 1 + layout->more_ack : 1;
    bool last = ack_is_last(layout, class, command);
    uint32_t ack_at = last ? reply_len : 0;
    uint64_t writable_len = (uint64_t)ack_len + reply_len;
    uint8_t *readable;
    uint8_t *writable;
    int64_t used;
    int ack = NET_CONTROL_NONE;

    if (ack_len == 0 || writable_len > NET_REPLY_MAX || len > net->control_size - COMMAND_HEADER) {
        return NET_CONTROL_NONE;
    }
    readable = g_malloc(COMMAND_HEADER + len);
    writable = g_malloc(writable_len);
    readable[0] = class;
    readable[1] = command;
    if (len) {
        memcpy(readable + COMMAND_HEADER, payload, len);
    }
    used = net_control_octets(net, layout, readable, COMMAND_HEADER + len, COMMAND_HEADER, writable,
                              (uint32_t)writable_len, last ? reply_len : ack_len);
    if (used >= 0) {
        ack = writable[ack_at];
        if (reply_len) {
            memcpy(reply, writable + (last ? 0 : ack_len), reply_len);
        }
    }
    if (ack == VIRTIO_NET_OK && used <= ack_at) {
        complaints_add(net->driver->complaints,
                       "controlq: command %u/%u was answered, its used length %u covers no ack",
                       class, command, (unsigned)used);
    }
    g_free(readable);
    g_free(writable);
    return ack;
}

int net_control(struct guest_net *net, uint8_t class, uint8_t command, const void *payload,
                uint32_t len, void *reply, uint32_t reply_len)
{
    return net_control_laid_out(net, NULL, class, command, payload, len, reply, reply_len);
}

static int send(struct guest_net *net, uint8_t class, uint8_t command, GByteArray *payload)
{
    int ack = net_control(net, class, command, payload->data, payload->len, NULL, 0);

    g_byte_array_unref(payload);
    return ack;
}

static void append16(GByteArray *octets, uint16_t value)
{
    uint8_t value_le[2];

    bytes_put16(value_le, value);
    g_byte_array_append(octets, value_le, sizeof(value_le));
}

static void append32(GByteArray *octets, uint32_t value)
{
    uint8_t value_le[4];

    bytes_put32(value_le, value);
    g_byte_array_append(octets, value_le, sizeof(value_le));
}

/* Numbers of the commands that a legacy driver has too, in its order. */
static uint16_t ordered16(const struct guest_net *net, uint16_t value)
{
    return net->driver->options.big_endian ? __builtin_bswap16(value) : value;
}

static uint32_t ordered32(const struct guest_net *net, uint32_t value)
{
    return net->driver->options.big_endian ? __builtin_bswap32(value) : value;
}

static uint64_t ordered64(const struct guest_net *net, uint64_t value)
{
    return net->driver->options.big_endian ? __builtin_bswap64(value) : value;
}

int net_control_rx(struct guest_net *net, uint8_t command, bool on)
{
    uint8_t octet = on;

    return net_control(net, VIRTIO_NET_CTRL_RX, command, &octet, 1, NULL, 0);
}

int net_control_mac_table(struct guest_net *net, const void *unicast, uint32_t n_unicast,
                          const void *multicast, uint32_t n_multicast)
{
    GByteArray *payload = g_byte_array_new();

    append32(payload, ordered32(net, n_unicast));
    g_byte_array_append(payload, unicast, 6 * n_unicast);
    append32(payload, ordered32(net, n_multicast));
    g_byte_array_append(payload, multicast, 6 * n_multicast);
    return send(net, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, payload);
}

int net_control_mac(struct guest_net *net, const uint8_t mac[6])
{
    return net_control(net, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 6, NULL, 0);
}

static int vlan(struct guest_net *net, uint8_t command, uint16_t id)
{
    uint8_t payload[2];

    bytes_put16(payload, ordered16(net, id));
    return net_control(net, VIRTIO_NET_CTRL_VLAN, command, payload, sizeof(payload), NULL, 0);
}

int net_control_vlan_add(struct guest_net *net, uint16_t id)
{
    return vlan(net, VIRTIO_NET_CTRL_VLAN_ADD, id);
}

int net_control_vlan_del(struct guest_net *net, uint16_t id)
{
    return vlan(net, VIRTIO_NET_CTRL_VLAN_DEL, id);
}

int net_control_announce_ack(struct guest_net *net)
{
    return net_control(net, VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK, NULL, 0, NULL,
                       0);
}

static void append_key(GByteArray *octets, const struct net_rss *rss)
{
    g_byte_array_append(octets, &rss->key_len, 1);
    if (rss->key_len) {
        g_byte_array_append(octets, rss->key, rss->key_len);
    }
    if (rss->has_tunnel_types) {
        append32(octets, rss->tunnel_types);
    }
}

GByteArray *net_rss_encode(const struct net_rss *rss)
{
    GByteArray *octets = g_byte_array_new();
    uint32_t spread = rss->max_tx_vq ? rss->max_tx_vq : 1;

    append32(octets, rss->hash_types);
    append16(octets, (uint16_t)(rss->table_len - 1));
    append16(octets, rss->unclassified_queue);
    for (uint32_t i = 0; i < rss->table_len; i++) {
        append16(octets, rss->table ? rss->table[i] : (uint16_t)(i % spread));
    }
    append16(octets, rss->max_tx_vq);
    append_key(octets, rss);
    return octets;
}

GByteArray *net_hash_encode(const struct net_rss *hash)
{
    static const uint8_t reserved[8];
    GByteArray *octets = g_byte_array_new();

    append32(octets, hash->hash_types);
    g_byte_array_append(octets, reserved, sizeof(reserved));
    append_key(octets, hash);
    return octets;
}

int net_control_pairs(struct guest_net *net, uint16_t pairs)
{
    uint8_t payload[2];

    bytes_put16(payload, ordered16(net, pairs));
    return net_control(net, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, payload,
                       sizeof(payload), NULL, 0);
}

int net_control_rss(struct guest_net *net, const struct net_rss *rss)
{
    return send(net, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_RSS_CONFIG, net_rss_encode(rss));
}

int net_control_hash(struct guest_net *net, const struct net_rss *hash)
{
    return send(net, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_HASH_CONFIG, net_hash_encode(hash));
}

int net_control_offloads(struct guest_net *net, uint64_t offloads)
{
    uint8_t payload[8];

    bytes_put64(payload, ordered64(net, offloads));
    return net_control(net, VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET,
                       payload, sizeof(payload), NULL, 0);
}

static int coalesce(struct guest_net *net, uint8_t command, uint32_t max_packets,
                    uint32_t max_usecs)
{
    GByteArray *payload = g_byte_array_new();

    append32(payload, max_packets);
    append32(payload, max_usecs);
    return send(net, VIRTIO_NET_CTRL_NOTF_COAL, command, payload);
}

int net_control_coalesce_tx(struct guest_net *net, uint32_t max_packets, uint32_t max_usecs)
{
    return coalesce(net, VIRTIO_NET_CTRL_NOTF_COAL_TX_SET, max_packets, max_usecs);
}

int net_control_coalesce_rx(struct guest_net *net, uint32_t max_packets, uint32_t max_usecs)
{
    return coalesce(net, VIRTIO_NET_CTRL_NOTF_COAL_RX_SET, max_packets, max_usecs);
}

int net_control_coalesce_queue(struct guest_net *net, uint16_t index, uint32_t max_packets,
                               uint32_t max_usecs)
{
    GByteArray *payload = g_byte_array_new();

    append16(payload, index);
    append16(payload, 0);
    append32(payload, max_packets);
    append32(payload, max_usecs);
    return send(net, VIRTIO_NET_CTRL_NOTF_COAL, VIRTIO_NET_CTRL_NOTF_COAL_VQ_SET, payload);
}

int net_control_coalesce_get(struct guest_net *net, uint16_t index, uint32_t *max_packets,
                             uint32_t *max_usecs)
{
    uint8_t asked[4] = {0};
    uint8_t told[8];
    int ack;

    bytes_put16(asked, index);
    ack = net_control(net, VIRTIO_NET_CTRL_NOTF_COAL, VIRTIO_NET_CTRL_NOTF_COAL_VQ_GET, asked,
                      sizeof(asked), told, sizeof(told));
    if (ack == VIRTIO_NET_OK) {
        *max_packets = bytes_get32(told);
        *max_usecs = bytes_get32(told + 4);
    }
    return ack;
}

int net_control_hash_tunnel(struct guest_net *net, uint32_t types)
{
    uint8_t types_le[4];

    bytes_put32(types_le, types);
    return net_control(net, VIRTIO_NET_CTRL_HASH_TUNNEL, VIRTIO_NET_CTRL_HASH_TUNNEL_SET, types_le,
                       sizeof(types_le), NULL, 0);
}

GByteArray *net_stats_encode(const struct net_stats_entry *entries, unsigned n)
{
    GByteArray *octets = g_byte_array_new();

    for (unsigned i = 0; i < n; i++) {
        uint8_t entry_le[16] = {0};

        bytes_put16(entry_le, entries[i].queue);
        bytes_put64(entry_le + 8, entries[i].types);
        g_byte_array_append(octets, entry_le, sizeof(entry_le));
    }
    return octets;
}

uint32_t net_stats_size(unsigned type)
{
    /* 5.1.6.5.11: the header of 8 octets, and so many counters of 8. */
    static const uint8_t counters[] = {
        [VIRTIO_NET_STATS_TYPE_REPLY_RX_BASIC] = 6, [VIRTIO_NET_STATS_TYPE_REPLY_RX_CSUM] = 4,
        [VIRTIO_NET_STATS_TYPE_REPLY_RX_GSO] = 4,   [VIRTIO_NET_STATS_TYPE_REPLY_RX_SPEED] = 2,
        [VIRTIO_NET_STATS_TYPE_REPLY_TX_BASIC] = 6, [VIRTIO_NET_STATS_TYPE_REPLY_TX_CSUM] = 2,
        [VIRTIO_NET_STATS_TYPE_REPLY_TX_GSO] = 6,   [VIRTIO_NET_STATS_TYPE_REPLY_TX_SPEED] = 2,
        [VIRTIO_NET_STATS_TYPE_REPLY_CVQ] = 2,
    };

    return type < G_N_ELEMENTS(counters) && counters[type] ? 8 + 8u * counters[type] : 0;
}

int net_control_stats_query(struct guest_net *net, uint64_t *types)
{
    uint8_t types_le[8];
    int ack = net_control(net, VIRTIO_NET_CTRL_STATS, VIRTIO_NET_CTRL_STATS_QUERY, NULL, 0,
                          types_le, sizeof(types_le));

    if (ack == VIRTIO_NET_OK) {
        *types = bytes_get64(types_le);
    }
    return ack;
}

int net_control_stats_get(struct guest_net *net, const struct net_stats_entry *entries, unsigned n,
                          void *replies, uint32_t room)
{
    GByteArray *payload = net_stats_encode(entries, n);
    int ack = net_control(net, VIRTIO_NET_CTRL_STATS, VIRTIO_NET_CTRL_STATS_GET, payload->data,
                          payload->len, replies, room);

    g_byte_array_unref(payload);
    return ack;
}

GByteArray *net_context_encode(uint16_t id, const struct net_rss *rss)
{
    static const uint8_t reserved[6];
    GByteArray *octets = g_byte_array_new();
    GByteArray *config = net_rss_encode(rss);

    append16(octets, id);
    g_byte_array_append(octets, reserved, sizeof(reserved));
    g_byte_array_append(octets, config->data, config->len);
    g_byte_array_unref(config);
    return octets;
}

int net_control_context_max(struct guest_net *net, uint16_t *max)
{
    uint8_t max_le[2];
    int ack = net_control(net, VIRTNET_RSS_CTX_CTRL, VIRTNET_RSS_CTX_CTRL_CAP_GET, NULL, 0, max_le,
                          sizeof(max_le));

    if (ack == VIRTIO_NET_OK) {
        *max = bytes_get16(max_le);
    }
    return ack;
}

int net_control_context_add(struct guest_net *net, uint16_t id, const struct net_rss *rss)
{
    return send(net, VIRTNET_RSS_CTX_CTRL, VIRTNET_RSS_CTX_CTRL_ADD, net_context_encode(id, rss));
}

int net_control_context_modify(struct guest_net *net, uint16_t id, const struct net_rss *rss)
{
    return send(net, VIRTNET_RSS_CTX_CTRL, VIRTNET_RSS_CTX_CTRL_MOD, net_context_encode(id, rss));
}

int net_control_context_delete(struct guest_net *net, uint16_t id)
{
    uint8_t id_le[2];

    bytes_put16(id_le, id);
    return net_control(net, VIRTNET_RSS_CTX_CTRL, VIRTNET_RSS_CTX_CTRL_DEL, id_le, sizeof(id_le),
                       NULL, 0);
}
