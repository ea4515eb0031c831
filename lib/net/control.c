/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control queue (VIRTIO 1.4, 5.1.6.5). A command is copied out of guest memory, found in the
 * table below, checked against its row, and executed on a copy of the view, which is published if
 * all went well: a command that fails changes nothing. Runs on the control side, when the driver
 * notifies the queue.
 */
#include "net/device.h"

#include <string.h>

#include "bytes.h"
#include "iov.h"
#include "net/filter.h"
#include "net/header.h"
#include "net/stats.h"
#include "ring/bounce.h"

#include <vionet/spec.h>

#define NO_FEATURE 0xff
#define REPLY_MAX  8

/* ANSWER_NO_MEMORY is the only one that is no fault of the driver's. */
enum answer { ANSWER_OK, ANSWER_LENGTH, ANSWER_VALUE, ANSWER_NO_MEMORY };

/* What became of a command: which rule it is against, or one of the two behind all rules. */
enum { COMMAND_OK = VIONET_N_VIOLATIONS, COMMAND_NO_MEMORY };

/* A command under way. */
struct request {
    VionetDevice *device;
    struct view *view; /* a copy, to be changed */
    const uint8_t *payload;
    size_t len;
    uint8_t reply[REPLY_MAX]; /* in front of ack */
    struct iov_cursor behind; /* ack, where results go */
    uint64_t room;            /* octets there */
    size_t n_results;         /* octets of them, written by commands that succeed */
    bool filter_changed;
    bool steering_changed;
    bool coalescing_changed;
    bool offloads_changed;
};

struct command {
    uint8_t class;
    uint8_t command;
    uint8_t features[2]; /* either of them unlocks it */
    uint16_t min;        /* payload octets; more are ignored unless exact */
    bool exact;          /* min is all, or the handler judges the length itself if min is 0 */
    uint8_t reply;       /* octets of answer in front of ack */
    enum answer (*run)(struct request *request, const struct command *row);
};

/* ---- receive filter ---- */

static enum answer set_rx_mode(struct request *request, const struct command *row)
{
    const uint8_t bit = (uint8_t)(1u << row->command);
    struct filter *filter = &request->view->filter;

    filter->modes = request->payload[0] ? filter->modes | bit : filter->modes & (uint8_t)~bit;
    request->filter_changed = true;
    return ANSWER_OK;
}

static enum answer set_mac_table(struct request *request, const struct command *row)
{
    (void)row;
    if (!filter_set_table(request->view, request->payload, request->len)) {
        return ANSWER_LENGTH;
    }
    request->filter_changed = true;
    return ANSWER_OK;
}

static enum answer set_mac(struct request *request, const struct command *row)
{
    static const uint8_t zero[6];
    VionetDevice *device = request->device;

    (void)row;
    if ((request->payload[0] & 1) || memcmp(request->payload, zero, 6) == 0) {
        return ANSWER_VALUE;
    }
    memcpy(request->view->filter.mac, request->payload, 6);
    if (view_has(request->view, VIRTIO_NET_F_MAC)) {
        memcpy(device->mac, request->payload, 6);
        device->config_dirty = true;
    }
    request->filter_changed = true;
    return ANSWER_OK;
}

static enum answer set_vlan(struct request *request, const struct command *row)
{
    const unsigned id = view_get16(request->view, request->payload);
    uint32_t *word;

    if (id >= N_VLANS) {
        return ANSWER_VALUE;
    }
    word = &request->view->filter.vlans[id / 32];
    if (row->command == VIRTIO_NET_CTRL_VLAN_ADD) {
        *word |= 1u << (id % 32);
    } else {
        *word &= ~(1u << (id % 32));
    }
    request->filter_changed = true;
    return ANSWER_OK;
}

static enum answer acknowledge_announce(struct request *request, const struct command *row)
{
    (void)row;
    request->device->announce = false;
    request->device->config_dirty = true;
    return ANSWER_OK;
}

/* ---- steering ---- */

static enum answer set_pairs(struct request *request, const struct command *row)
{
    const unsigned pairs = view_get16(request->view, request->payload);

    (void)row;
    /* 5.1.6.5.8: nor may it be sent while there is an RSS context. */
    if (pairs == 0 || pairs > request->device->config.max_pairs ||
        request->device->n_rss_contexts) {
        return ANSWER_VALUE;
    }
    request->view->steering.mode = STEER_AUTOMATIC;
    request->view->steering.n_pairs = (uint16_t)pairs;
    request->steering_changed = true;
    return ANSWER_OK;
}

bool control_has_tunnels(const struct view *view)
{
    return view->dialect->feature >= 0 && view_has(view, (unsigned)view->dialect->feature);
}

static void enable_tunnels(struct steering *steering, const VionetDialect *dialect, uint32_t types)
{
    steering->tunnel_types = types;
    steering->tunnels = vionet_dialect_tunnels(dialect, types);
}

bool control_tunnel_types_supported(const VionetConfig *config, uint32_t types)
{
    return !(types & ~(config->tunnel_types | config->dialect->always_types));
}

/*
 * What a configuration of RSS and HASH_CONFIG end with: key length, key and, in a dialect that has it
 * so, the tunnel types. p points at the key length. Nothing may follow but the octet of padding that
 * Linux 6.16 and later send with the key (struct virtio_net_rss_config_trailer has an even size); no
 * driver with tunnel types does so.
 */
static enum answer take_hash(const struct request *request, struct steering *steering,
                             uint32_t hash_types, const uint8_t *p)
{
    const VionetConfig *config = &request->device->config;
    const uint8_t *end = request->payload + request->len;
    const struct view *view = request->view;
    const bool tunnels = control_has_tunnels(view);
    const size_t tail = tunnels && view->dialect->types_after_key ? 4 : 0;
    uint32_t tunnel_types = steering->tunnel_types;
    size_t key_len, excess;

    if (end - p < 1 || (size_t)(end - p) < 1u + p[0] + tail) {
        return ANSWER_LENGTH;
    }
    excess = (size_t)(end - p) - (1u + p[0] + tail);
    if (excess > (tail ? 0u : 1u)) {
        return ANSWER_LENGTH;
    }
    key_len = p[0];
    if (tail) {
        tunnel_types = get_le32(p + 1 + key_len);
    } else if (tunnels && view->dialect->types_in_hash_types) {
        tunnel_types = hash_types & view->dialect->all_types;
        hash_types &= ~view->dialect->all_types;
    }
    if ((hash_types & ~config->hash_types) ||
        !control_tunnel_types_supported(config, tunnel_types) ||
        key_len > config->rss_max_key_size || (key_len == 0 && hash_types)) {
        return ANSWER_VALUE;
    }
    steering->hash_types = hash_types;
    if (!steering_try_set_key(steering, p + 1, key_len)) {
        return ANSWER_NO_MEMORY;
    }
    enable_tunnels(steering, view->dialect, tunnel_types);
    return ANSWER_OK;
}

/*
 * struct virtio_net_rss_config: hash_types, mask, unclassified, table, max_tx_vq, key. It is the rest
 * of the payload from p on, eight octets at least.
 */
static enum answer take_rss(const struct request *request, struct steering *steering,
                            const uint8_t *p)
{
    const VionetConfig *config = &request->device->config;
    const size_t len = request->len - (size_t)(p - request->payload);
    unsigned entries, unclassified, max_tx_vq;
    enum answer answer;
    uint16_t *pairs;

    entries = get_le16(p + 4) + 1u;
    unclassified = get_le16(p + 6);
    if ((entries & (entries - 1)) || entries > config->rss_max_table) {
        return ANSWER_VALUE;
    }
    if (len < 8 + 2u * entries + 3) {
        return ANSWER_LENGTH;
    }
    max_tx_vq = get_le16(p + 8 + 2 * entries);
    if (unclassified >= config->max_pairs || max_tx_vq == 0 || max_tx_vq > config->max_pairs) {
        return ANSWER_VALUE;
    }
    pairs = g_try_new(uint16_t, entries);
    if (!pairs) {
        return ANSWER_NO_MEMORY;
    }
    answer = ANSWER_OK;
    for (unsigned i = 0; i < entries; i++) {
        pairs[i] = get_le16(p + 8 + 2 * i);
        answer = pairs[i] >= config->max_pairs ? ANSWER_VALUE : answer;
    }
    if (answer == ANSWER_OK) {
        answer = take_hash(request, steering, get_le32(p), p + 10 + 2 * entries);
    }
    if (answer == ANSWER_OK && !steering_try_set_table(steering, pairs, entries)) {
        answer = ANSWER_NO_MEMORY;
    }
    if (answer == ANSWER_OK) {
        steering->mode = STEER_TABLE;
        steering->unclassified = (uint16_t)unclassified;
        steering->max_tx_vq = (uint16_t)max_tx_vq;
    }
    g_free(pairs);
    return answer;
}

static enum answer set_rss(struct request *request, const struct command *row)
{
    (void)row;
    request->steering_changed = true;
    return take_rss(request, &request->view->steering, request->payload);
}

/*
 * struct virtio_net_hash_config: hash_types, four reserved words, key. The words are 0, but the last:
 * Linux leaves max_tx_vq there, which RSS_CONFIG has in that place.
 */
static enum answer set_hash_config(struct request *request, const struct command *row)
{
    struct steering *steering = &request->view->steering;
    const uint8_t *p = request->payload;

    (void)row;
    if (get_le32(p + 4) || get_le16(p + 8)) {
        return ANSWER_VALUE;
    }
    request->steering_changed = true;
    steering->mode = STEER_AUTOMATIC;
    return take_hash(request, steering, get_le32(p), p + 12);
}

static enum answer set_tunnels(struct request *request, const struct command *row)
{
    const uint32_t types = get_le32(request->payload);

    (void)row;
    if (!control_tunnel_types_supported(&request->device->config, types)) {
        return ANSWER_VALUE;
    }
    enable_tunnels(&request->view->steering, request->view->dialect, types);
    request->steering_changed = true;
    return ANSWER_OK;
}

/* ---- RSS contexts ---- */

static enum answer get_context_cap(struct request *request, const struct command *row)
{
    (void)row;
    put_le16(request->reply, request->device->config.max_rss_contexts);
    return ANSWER_OK;
}

/* Where the context is that a payload names, NULL if there can be none of that id. */
static struct steering **context_at(const struct request *request)
{
    const unsigned id = get_le16(request->payload);
    const VionetDevice *device = request->device;

    return id == 0 || id > device->config.max_rss_contexts ? NULL : &device->rss_contexts[id - 1];
}

static void free_context(VionetDevice *device, struct steering **context)
{
    if (*context) {
        steering_clear(*context);
        g_free(*context);
        *context = NULL;
        device->n_rss_contexts--;
    }
}

/* ADD and MOD differ in what has to be there before. The configuration is complete in itself. */
static enum answer set_context(struct request *request, const struct command *row)
{
    const bool add = row->command == VIRTNET_RSS_CTX_CTRL_ADD;
    struct steering **context = context_at(request);
    struct steering steering = {0};
    struct steering *made;
    enum answer answer;

    if (!context || add == (*context != NULL)) {
        return ANSWER_VALUE;
    }
    answer =
        take_rss(request, &steering, request->payload + sizeof(struct virtnet_rss_ctx_add_modify));
    made = answer == ANSWER_OK ? g_try_new(struct steering, 1) : NULL;
    if (!made) {
        steering_clear(&steering);
        return answer == ANSWER_OK ? ANSWER_NO_MEMORY : answer;
    }
    free_context(request->device, context);
    *made = steering;
    *context = made;
    request->device->n_rss_contexts++;
    return ANSWER_OK;
}

static enum answer delete_context(struct request *request, const struct command *row)
{
    struct steering **context = context_at(request);

    (void)row;
    if (!context || !*context) {
        return ANSWER_VALUE;
    }
    free_context(request->device, context);
    return ANSWER_OK;
}

void control_clear_contexts(VionetDevice *device)
{
    for (unsigned i = 0; i < device->config.max_rss_contexts; i++) {
        free_context(device, &device->rss_contexts[i]);
    }
}

static enum answer set_offloads(struct request *request, const struct command *row)
{
    (void)row;
    request->offloads_changed = true;
    return header_set_offloads(request->view, view_get64(request->view, request->payload))
               ? ANSWER_OK
               : ANSWER_VALUE;
}

/* ---- coalescing ---- */

/* What this leaves to be said is said once the command is answered. */
static void coalesce_queue(struct request *request, unsigned index, uint32_t max_packets,
                           uint32_t max_usecs)
{
    VionetDevice *device = request->device;

    queue_coalesce_set(&device->queues[index], &device->map, max_packets, max_usecs,
                       &device->outcomes[index]);
    request->coalescing_changed = true;
}

static void settle_coalescing(VionetDevice *device)
{
    for (unsigned i = 0; i < device->n_queues; i++) {
        const struct outcome outcome = device->outcomes[i];

        device->outcomes[i] = (struct outcome){0};
        device_settle(device, &device->queues[i], &outcome);
    }
}

static enum answer set_coalescing(struct request *request, const struct command *row)
{
    const unsigned direction = row->command == VIRTIO_NET_CTRL_NOTF_COAL_TX_SET;
    VionetDevice *device = request->device;
    struct coalesce_defaults *defaults = &device->coalesce[direction];

    defaults->max_packets = get_le32(request->payload);
    defaults->max_usecs = get_le32(request->payload + 4);
    for (unsigned i = direction; i < device->n_queues; i += 2) {
        if (device_queue_kind(device, i) != QUEUE_CONTROL && device->queues[i].enabled) {
            coalesce_queue(request, i, defaults->max_packets, defaults->max_usecs);
        }
    }
    return ANSWER_OK;
}

/* The enabled receive or transmit queue that a payload begins with, NULL if it is none. */
static struct queue *coalesced_queue(const struct request *request)
{
    const unsigned index = get_le16(request->payload);
    const enum queue_kind kind = device_queue_kind(request->device, index);
    struct queue *queue;

    if (kind != QUEUE_RECEIVE && kind != QUEUE_TRANSMIT) {
        return NULL;
    }
    queue = &request->device->queues[index];
    return queue->enabled ? queue : NULL;
}

static enum answer set_queue_coalescing(struct request *request, const struct command *row)
{
    const struct queue *queue = coalesced_queue(request);

    (void)row;
    if (!queue) {
        return ANSWER_VALUE;
    }
    coalesce_queue(request, queue->index, get_le32(request->payload + 4),
                   get_le32(request->payload + 8));
    return ANSWER_OK;
}

static enum answer get_queue_coalescing(struct request *request, const struct command *row)
{
    const struct queue *queue = coalesced_queue(request);

    (void)row;
    if (!queue) {
        return ANSWER_VALUE;
    }
    put_le32(request->reply, queue->coalesce.max_packets);
    put_le32(request->reply + 4, queue->coalesce.max_usecs);
    return ANSWER_OK;
}

/* ---- statistics ---- */

static enum answer query_stats(struct request *request, const struct command *row)
{
    uint8_t types_le[sizeof(struct virtio_net_stats_capabilities)];

    (void)row;
    if (request->room < sizeof(types_le)) {
        return ANSWER_LENGTH;
    }
    put_le64(types_le, stats_types(request->view));
    request->n_results = iov_write(&request->behind, types_le, sizeof(types_le));
    return ANSWER_OK;
}

static enum answer get_stats(struct request *request, const struct command *row)
{
    const size_t n = request->len / sizeof(struct virtio_net_ctrl_queue_stats_entry);

    (void)row;
    if (request->len % sizeof(struct virtio_net_ctrl_queue_stats_entry)) {
        return ANSWER_LENGTH;
    }
    if (!stats_check(request->device, request->payload, n)) {
        return ANSWER_VALUE;
    }
    request->n_results =
        stats_reply(request->device, request->payload, n, &request->behind, request->room);
    return ANSWER_OK;
}

/* ---- the table ---- */

/* clang-format off */
#define RX(name, feature)                                                                         \
    {VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_##name, {feature, NO_FEATURE}, 1, false, 0, set_rx_mode}

static const struct command commands[] = {
    RX(PROMISC, VIRTIO_NET_F_CTRL_RX),
    RX(ALLMULTI, VIRTIO_NET_F_CTRL_RX),
    RX(ALLUNI, VIRTIO_NET_F_CTRL_RX_EXTRA),
    RX(NOMULTI, VIRTIO_NET_F_CTRL_RX_EXTRA),
    RX(NOUNI, VIRTIO_NET_F_CTRL_RX_EXTRA),
    RX(NOBCAST, VIRTIO_NET_F_CTRL_RX_EXTRA),
    {VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, {VIRTIO_NET_F_CTRL_RX, NO_FEATURE},
     8, false, 0, set_mac_table},
    {VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET,
     {VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_F_CTRL_RX}, 6, true, 0, set_mac},
    {VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, {VIRTIO_NET_F_CTRL_VLAN, NO_FEATURE},
     2, false, 0, set_vlan},
    {VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_DEL, {VIRTIO_NET_F_CTRL_VLAN, NO_FEATURE},
     2, false, 0, set_vlan},
    {VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK,
     {VIRTIO_NET_F_GUEST_ANNOUNCE, NO_FEATURE}, 0, false, 0, acknowledge_announce},
    {VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, {VIRTIO_NET_F_MQ, NO_FEATURE},
     2, false, 0, set_pairs},
    {VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_RSS_CONFIG, {VIRTIO_NET_F_RSS, NO_FEATURE},
     8, false, 0, set_rss},
    {VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_HASH_CONFIG, {VIRTIO_NET_F_HASH_REPORT, NO_FEATURE},
     12, false, 0, set_hash_config},
    {VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET,
     {VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, NO_FEATURE}, 8, false, 0, set_offloads},
    {VIRTIO_NET_CTRL_NOTF_COAL, VIRTIO_NET_CTRL_NOTF_COAL_TX_SET,
     {VIRTIO_NET_F_NOTF_COAL, NO_FEATURE}, 8, false, 0, set_coalescing},
    {VIRTIO_NET_CTRL_NOTF_COAL, VIRTIO_NET_CTRL_NOTF_COAL_RX_SET,
     {VIRTIO_NET_F_NOTF_COAL, NO_FEATURE}, 8, false, 0, set_coalescing},
    {VIRTIO_NET_CTRL_NOTF_COAL, VIRTIO_NET_CTRL_NOTF_COAL_VQ_SET,
     {VIRTIO_NET_F_VQ_NOTF_COAL, NO_FEATURE}, 12, false, 0, set_queue_coalescing},
    {VIRTIO_NET_CTRL_NOTF_COAL, VIRTIO_NET_CTRL_NOTF_COAL_VQ_GET,
     {VIRTIO_NET_F_VQ_NOTF_COAL, NO_FEATURE}, 4, false, 8, get_queue_coalescing},
    {VIRTIO_NET_CTRL_HASH_TUNNEL, VIRTIO_NET_CTRL_HASH_TUNNEL_SET,
     {VIRTIO_NET_F_HASH_TUNNEL, NO_FEATURE}, 4, false, 0, set_tunnels},
    {VIRTIO_NET_CTRL_STATS, VIRTIO_NET_CTRL_STATS_QUERY, {VIRTIO_NET_F_DEVICE_STATS, NO_FEATURE},
     0, false, 0, query_stats},
    {VIRTIO_NET_CTRL_STATS, VIRTIO_NET_CTRL_STATS_GET, {VIRTIO_NET_F_DEVICE_STATS, NO_FEATURE},
     sizeof(struct virtio_net_ctrl_queue_stats_entry), false, 0, get_stats},
    {VIRTNET_RSS_CTX_CTRL, VIRTNET_RSS_CTX_CTRL_CAP_GET, {VIRTIO_NET_F_RSS_CONTEXT, NO_FEATURE},
     0, false, sizeof(struct virtnet_rss_ctx_cap), get_context_cap},
    {VIRTNET_RSS_CTX_CTRL, VIRTNET_RSS_CTX_CTRL_ADD, {VIRTIO_NET_F_RSS_CONTEXT, NO_FEATURE},
     sizeof(struct virtnet_rss_ctx_add_modify) + 8, false, 0, set_context},
    {VIRTNET_RSS_CTX_CTRL, VIRTNET_RSS_CTX_CTRL_MOD, {VIRTIO_NET_F_RSS_CONTEXT, NO_FEATURE},
     sizeof(struct virtnet_rss_ctx_add_modify) + 8, false, 0, set_context},
    {VIRTNET_RSS_CTX_CTRL, VIRTNET_RSS_CTX_CTRL_DEL, {VIRTIO_NET_F_RSS_CONTEXT, NO_FEATURE},
     sizeof(struct virtnet_rss_ctx_del), false, 0, delete_context},
};
/* clang-format on */

/* A bit that the device's dialect uses for tunnels does not stand for what it is elsewhere. */
static bool has_feature(const struct view *view, uint8_t bit)
{
    return bit != NO_FEATURE && (int)bit != view->dialect->feature && view_has(view, bit);
}

bool control_coalesces(const struct view *view)
{
    return has_feature(view, VIRTIO_NET_F_NOTF_COAL) ||
           has_feature(view, VIRTIO_NET_F_VQ_NOTF_COAL);
}

static const struct command *find_command(uint8_t class, uint8_t command)
{
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (commands[i].class == class && commands[i].command == command) {
            return &commands[i];
        }
    }
    return NULL;
}

/*
 * Whether a row is open to the driver. A command that sets tunnel types is for dialects that have one; a
 * dialect can be a reason of its own to configure the hash.
 */
static bool unlocked(const struct view *view, const struct command *row)
{
    const VionetDialect *dialect = view->dialect;

    if (row->run == set_tunnels) {
        return dialect->types_by_command && control_has_tunnels(view);
    }
    if (row->run == set_hash_config && dialect->is_hash_feature && control_has_tunnels(view)) {
        return true;
    }
    return has_feature(view, row->features[0]) || has_feature(view, row->features[1]);
}

/* ---- the queue ---- */

static unsigned execute(struct request *request, const struct command *row, uint64_t in_len)
{
    static const unsigned becomes[] = {
        [ANSWER_OK] = COMMAND_OK,
        [ANSWER_LENGTH] = VIONET_VIOLATION_COMMAND_LENGTH,
        [ANSWER_VALUE] = VIONET_VIOLATION_COMMAND_VALUE,
        [ANSWER_NO_MEMORY] = COMMAND_NO_MEMORY,
    };

    if (!row) {
        return VIONET_VIOLATION_COMMAND_UNKNOWN;
    }
    if (!unlocked(device_view(request->device), row)) {
        return VIONET_VIOLATION_COMMAND_NOT_NEGOTIATED;
    }
    if (request->len < row->min || (row->exact && request->len != row->min) ||
        in_len < row->reply + 1u) {
        return VIONET_VIOLATION_COMMAND_LENGTH;
    }
    return becomes[row->run(request, row)];
}

/* Runs the command in the control buffer and publishes what it changed. */
static unsigned run_command(struct request *request, const struct queue *queue,
                            const struct command *row)
{
    VionetDevice *device = request->device;
    unsigned became;

    request->view = view_try_copy(device_view(device));
    if (!request->view) {
        return COMMAND_NO_MEMORY;
    }
    became = execute(request, row, queue->chain.in_len);
    if (became == COMMAND_OK) {
        device_publish(device, request->view);
    } else {
        view_free(request->view);
    }
    return became;
}

/* Tells the host of a command that was answered. */
static void report(const struct request *request, const struct queue *queue,
                   const struct command *row, unsigned became)
{
    VionetDevice *device = request->device;
    const uint8_t *command = device->control_buffer;

    if (request->coalescing_changed) {
        settle_coalescing(device);
    } else if (became < VIONET_N_VIOLATIONS) {
        vionet_device_violation(device, (VionetViolation)became, queue->index, queue->chain.ref.id,
                                (uint64_t)command[0] << 8 | command[1]);
    } else if (became == COMMAND_NO_MEMORY) {
        return;
    } else if (request->filter_changed) {
        device_event(device, VIONET_EVENT_FILTER);
    } else if (request->steering_changed) {
        device_event(device, VIONET_EVENT_STEERING);
    } else if (request->offloads_changed) {
        device_event(device, VIONET_EVENT_OFFLOADS);
    } else if (row->run == acknowledge_announce) {
        device_event(device, VIONET_EVENT_ANNOUNCED);
    }
}

/* Gives the driver what comes before ack, and ack; what stands behind it is there. */
static void give_answer(struct queue *queue, const struct request *request,
                        const struct command *row, bool ok)
{
    const struct chain *chain = &queue->chain;
    const size_t ack_at = row && chain->in_len > row->reply ? row->reply : 0;
    struct iov_cursor in = iov_begin(chain->in, chain->n_in);
    uint8_t answer[REPLY_MAX + 1];
    size_t written;

    memcpy(answer, request->reply, ack_at);
    answer[ack_at] = ok ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
    written = iov_write(&in, answer, ack_at + 1) + request->n_results;
    chain_write_out(&queue->ring, chain, written); /* if it fails, the flush shows nothing */
    ring_push(&queue->ring, &chain->ref, (uint32_t)written);
}

/*
 * Executes and answers the command just taken from the queue. The host hears of it only after that: no
 * host operation comes between a chain's taking and its giving back.
 */
static void serve(VionetDevice *device, struct queue *queue, struct outcome *outcome)
{
    const struct chain *chain = &queue->chain;
    struct iov_cursor out = iov_begin(chain->out, chain->n_out);
    struct request request = {.device = device, .payload = device->control_buffer + 2};
    const struct command *row;
    unsigned became;
    bool ok;

    if (chain->out_len < 2 || chain->in_len < 1) {
        queue_break_with(queue, VIONET_VIOLATION_CONTROL_UNANSWERABLE, chain->ref.id,
                         chain->out_len, outcome);
        return;
    }
    request.behind = iov_begin(chain->in, chain->n_in);
    request.room = chain->in_len - iov_skip(&request.behind, 1);
    request.len = iov_read(&out, device->control_buffer, CONTROL_MAX) - 2;
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* the command is what was read */
    row = find_command(device->control_buffer[0], device->control_buffer[1]);
    became = chain->out_len > CONTROL_MAX ? VIONET_VIOLATION_COMMAND_LENGTH
                                          : run_command(&request, queue, row);
    ok = became == COMMAND_OK;
    give_answer(queue, &request, row, ok);
    queue_flush(queue, 1, outcome);
    queue_count(queue, ok ? VIONET_COUNTER_COMMANDS_OK : VIONET_COUNTER_COMMANDS_ERR, 1);
    report(&request, queue, row, became);
}

/*
 * Takes a command. The driver is always asked to notify; with an empty ring what it asks for is
 * renewed, and looked behind.
 */
static int take_command(struct queue *queue)
{
    int taken = ring_pop(&queue->ring, &queue->chain);

    if (taken == 0 && ring_enable_kicks(&queue->ring)) {
        taken = ring_pop(&queue->ring, &queue->chain);
    }
    return taken;
}

/*
 * The gate is only passed, for each command: the queue is the control side's, as this is, and the data
 * side has no business in it; but what the host heard of the last command may have led it to reset
 * the device or to change the memory map.
 */
static bool pass_gate(VionetDevice *device, struct queue *queue, struct outcome *outcome)
{
    if (!queue_enter(queue, &device->map, outcome)) {
        return false;
    }
    gate_leave(&queue->gate);
    return true;
}

static void run_queue(VionetDevice *device, struct queue *queue, struct outcome *outcome)
{
    unsigned budget = queue->max_size;

    while (pass_gate(device, queue, outcome)) {
        int taken;

        if (budget-- == 0) {
            outcome->kick = ring_enable_kicks(&queue->ring);
            return;
        }
        taken = take_command(queue);
        if (taken < 0) {
            queue_break(queue, outcome);
        }
        if (taken <= 0) {
            return;
        }
        serve(device, queue, outcome);
    }
}

void control_run(VionetDevice *device)
{
    unsigned index = atomic_load_explicit(&device->control_queue, memory_order_relaxed);
    struct outcome outcome = {0};
    struct queue *queue;

    if (index >= device->n_queues || device->in_control) {
        return;
    }
    queue = &device->queues[index];
    device->in_control = true;
    run_queue(device, queue, &outcome);
    device->in_control = false;
    device_settle(device, queue, &outcome);
}
