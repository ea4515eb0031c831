/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Saving and loading a device (vionet/state.h): taking its state, judging one that came from anywhere,
 * taking it up. A state is judged whole before the device is touched, so that there is no way back to be
 * found. Called by the embedder.
 */
#include "net/state.h"

#include <string.h>

#include "net/device.h"
#include "net/filter.h"
#include "net/header.h"

#include <vionet/spec.h>

#define ALL_STATUS                                                                \
    (VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_DRIVER_OK | \
     VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_DEVICE_NEEDS_RESET | VIRTIO_STATUS_FAILED)

#define refuse_value(error, ...) state_refuse((error), VIONET_STATE_ERROR_VALUE, __VA_ARGS__)

/* ---- taking ---- */

static void take_config(const VionetDevice *device, struct state_config *state)
{
    const VionetConfig *config = &device->config;

    memcpy(state->features, config->features, sizeof(state->features));
    memcpy(state->dialect, config->dialect->name,
           strnlen(config->dialect->name, sizeof(state->dialect)));
    memcpy(state->mac, config->mac, sizeof(state->mac));
    state->max_pairs = config->max_pairs;
    state->receive_queue_size = config->receive_queue_size;
    state->transmit_queue_size = config->transmit_queue_size;
    state->control_queue_size = config->control_queue_size;
    state->mtu = config->mtu;
    state->speed = config->speed;
    state->duplex = config->duplex;
    state->rss_max_key_size = config->rss_max_key_size;
    state->rss_max_table = config->rss_max_table;
    state->hash_types = config->hash_types;
    state->tunnel_types = config->tunnel_types;
    state->notif_config_base = config->notif_config_base;
    state->max_rss_contexts = config->max_rss_contexts;
}

static void take_device(const VionetDevice *device, struct state_device *state)
{
    const struct view *view = device_view(device);

    state->status = vionet_device_status(device);
    memcpy(state->driver_features, device->driver_features, sizeof(state->driver_features));
    state->driver_beyond = device->driver_beyond;
    state->stuck = device->stuck;
    state->link_up = view->link_up;
    state->announce = device->announce;
    state->config_dirty = device->config_dirty;
    state->config_due = device->config_due;
    state->config_generation = device->config_generation;
    memcpy(state->mac, device->mac, sizeof(state->mac));
    state->offloads = view->offloads;
    state->receive_max_packets = device->coalesce[0].max_packets;
    state->receive_max_usecs = device->coalesce[0].max_usecs;
    state->transmit_max_packets = device->coalesce[1].max_packets;
    state->transmit_max_usecs = device->coalesce[1].max_usecs;
    state->legacy = view->legacy;
    state->big_endian = view->big_endian;
    state->placed = device->placed;
    state->early = device->early;
}

static void take_filter(const struct filter *filter, struct state_filter *state)
{
    memcpy(state->mac, filter->mac, sizeof(state->mac));
    state->modes = filter->modes;
    state->vlan_filter = filter->vlan_filter;
    state->all_unicast = filter->unicast.overflow;
    state->all_multicast = filter->multicast.overflow;
    record_list_set(&state->unicast, filter->unicast.mac, filter->unicast.n, 6);
    record_list_set(&state->multicast, filter->multicast.mac, filter->multicast.n, 6);
    memcpy(state->vlans, filter->vlans, sizeof(state->vlans));
}

static void take_steering(const struct steering *steering, struct state_steering *state)
{
    state->mode = steering->mode == STEER_TABLE;
    state->pairs = steering->n_pairs;
    state->unclassified = steering->unclassified;
    state->max_tx_vq = steering->max_tx_vq;
    state->hash_types = steering->hash_types;
    state->tunnel_types = steering->tunnel_types;
    if (steering->key) {
        record_list_set(&state->key, steering->key->octets, steering->key->len, 1);
    }
    if (steering->table) {
        record_list_set(&state->table, steering->table->pairs, steering->table->mask + 1u,
                        sizeof(steering->table->pairs[0]));
    }
}

static void take_place(const struct ring_state *ring, struct state_queue *state)
{
    uint16_t *out = g_new(uint16_t, OUT_WORDS * (size_t)ring->n_taken);

    state->started = true;
    state->next_avail = ring->next_avail;
    state->avail_wrap = ring->avail_wrap;
    state->next_used = ring->next_used;
    state->used_wrap = ring->used_wrap;
    state->told_valid = ring->told_valid;
    state->told_used = ring->told_used;
    state->untold = ring->untold;
    for (unsigned i = 0; i < ring->n_taken; i++) {
        out[OUT_WORDS * i + OUT_ID] = ring->taken[i].ref.id;
        out[OUT_WORDS * i + OUT_DESCRIPTORS] = ring->taken[i].ref.n_desc;
    }
    record_list_set(&state->out, out, ring->n_taken, OUT_WORDS * sizeof(out[0]));
    g_free(out);
}

static void take_queue(struct queue *queue, struct state_queue *state)
{
    struct ring_state *ring = queue_get_state(queue);

    state->size = queue->size;
    state->enabled = queue->enabled;
    state->broken = queue->broken;
    state->desc = queue->area_gpa[VIONET_AREA_DESC];
    state->driver = queue->area_gpa[VIONET_AREA_DRIVER];
    state->device = queue->area_gpa[VIONET_AREA_DEVICE];
    state->resumes = queue->resumes;
    state->base = queue->base;
    state->max_packets = queue->coalesce.max_packets;
    state->max_usecs = queue->coalesce.max_usecs;
    if (ring) {
        take_place(ring, state);
        state->pending = queue->coalesce.pending;
        queue_free_state(ring);
    }
}

static void take_counts(struct record_list *list, const _Atomic uint64_t *counts, uint32_t n)
{
    uint64_t *values = g_new(uint64_t, n);

    for (uint32_t i = 0; i < n; i++) {
        values[i] = atomic_load_explicit((_Atomic uint64_t *)&counts[i], memory_order_relaxed);
    }
    record_list_set(list, values, n, sizeof(values[0]));
    g_free(values);
}

static void take_verdicts(const VionetDevice *device, struct state_verdicts *state)
{
    uint64_t sums[VIONET_N_VERDICTS] = {0};

    for (unsigned i = 0; i < VIONET_N_VERDICTS; i++) {
        for (unsigned lane = 0; lane < device->config.max_pairs; lane++) {
            sums[i] += atomic_load_explicit(&device->lanes[lane].verdicts[i], memory_order_relaxed);
        }
    }
    record_list_set(&state->verdicts, sums, VIONET_N_VERDICTS, sizeof(sums[0]));
}

static void take_flows(const struct flow_table *table, struct state_flows *state)
{
    uint16_t *flows = g_new(uint16_t, FLOW_WORDS * FLOW_ENTRIES);
    uint32_t n = 0;

    for (uint16_t i = 0; i < FLOW_ENTRIES; i++) {
        const uint16_t pair_plus_1 = atomic_load_explicit(
            &((struct flow_table *)table)->pair_plus_1[i], memory_order_relaxed);

        if (pair_plus_1) {
            flows[FLOW_WORDS * n + FLOW_ENTRY] = i;
            flows[FLOW_WORDS * n++ + FLOW_PAIR] = (uint16_t)(pair_plus_1 - 1);
        }
    }
    record_list_set(&state->flows, flows, n, FLOW_WORDS * sizeof(flows[0]));
    g_free(flows);
}

static void take_counters(const struct queue *queue, struct record_list *list)
{
    uint64_t values[VIONET_N_COUNTERS];

    for (unsigned i = 0; i < VIONET_N_COUNTERS; i++) {
        values[i] = atomic_load_explicit((_Atomic uint64_t *)queue_counter(queue, (VionetCounter)i),
                                         memory_order_relaxed);
    }
    record_list_set(list, values, VIONET_N_COUNTERS, sizeof(values[0]));
}

static struct state *take(VionetDevice *device)
{
    const struct view *view = device_view(device);
    struct state *state = state_new(1u + device->config.max_rss_contexts, device->n_queues);

    take_config(device, &state->config);
    take_device(device, &state->device);
    take_filter(&view->filter, &state->filter);
    take_steering(&view->steering, &state->steering[0]);
    state->has_steering[0] = true;
    for (unsigned i = 1; i < state->n_steering; i++) {
        if (device->rss_contexts[i - 1]) {
            take_steering(device->rss_contexts[i - 1], &state->steering[i]);
            state->has_steering[i] = true;
        }
    }
    for (unsigned i = 0; i < device->n_queues; i++) {
        if (device_queue_kind(device, i) != QUEUE_NONE) {
            take_queue(&device->queues[i], &state->queues[i]);
            take_counters(&device->queues[i], &state->counters[i].counters);
            take_counts(&state->counters[i].verdicts, device->queues[i].verdicts,
                        VIONET_N_VERDICTS);
            state->has_queue[i] = true;
        }
    }
    take_verdicts(device, &state->verdicts);
    take_flows(device->flows, &state->flows);
    return state;
}

/* ---- judging ---- */

static bool check_config(const VionetDevice *device, struct state *state, GError **error)
{
    struct state_config own = {0};
    const char *field;

    take_config(device, &own);
    for (unsigned i = 0; i < VIONET_FEATURE_WORDS; i++) {
        const uint64_t missing = state->config.features[i] & ~own.features[i];

        if (missing) {
            return state_refuse(error, VIONET_STATE_ERROR_FEATURES,
                                "feature bit %u was offered, and is not by this device",
                                64 * i + (unsigned)__builtin_ctzll(missing));
        }
        own.features[i] = state->config.features[i];
    }
    field = record_differs(&state_records[STATE_CONFIG], &state->config, &own);
    if (field) {
        return state_refuse(error, VIONET_STATE_ERROR_CONFIG,
                            "this device was made with another %s", field);
    }
    if (own.max_pairs > 1 && !feature_test(state->config.features, VIRTIO_NET_F_MQ) &&
        !feature_test(state->config.features, VIRTIO_NET_F_RSS)) {
        return state_refuse(error, VIONET_STATE_ERROR_CONFIG,
                            "section config: several pairs, and nothing offered to use them by");
    }
    return true;
}

/* Whether the driver's features hold. Those of a legacy driver do as it writes them. */
static bool is_negotiated(const struct state_device *state)
{
    return state->placed || (state->status & VIRTIO_STATUS_FEATURES_OK);
}

/* Those of a legacy driver, if it has written any. */
static bool are_legacy_features(const struct state_device *state)
{
    uint64_t others = state->driver_beyond | state->driver_features[0] >> 32;

    for (unsigned i = 1; i < VIONET_FEATURE_WORDS; i++) {
        others |= state->driver_features[i];
    }
    return !others && (state->placed || !state->driver_features[0]);
}

static bool check_features(const VionetDevice *device, const struct state_device *state,
                           GError **error)
{
    const VionetConfig *config = &device->config;
    VionetViolation violation;
    unsigned bit;
    bool good;

    if (state->legacy) {
        good = are_legacy_features(state) &&
               !feature_find_unfit(config, state->driver_features, &violation, &bit);
    } else {
        good = !is_negotiated(state) ||
               (!state->driver_beyond &&
                feature_check_driver(config, state->driver_features, &violation, &bit));
    }
    return good || state_refuse(error, VIONET_STATE_ERROR_FEATURES,
                                "section device: negotiated features that this device does not "
                                "offer, or that need others");
}

/* What the negotiated features make of the device: what the rest is held against. */
static struct view *negotiated_view(const VionetDevice *device, const struct state_device *state)
{
    struct view *view = view_new(&device->config);

    if (state->legacy) {
        view_begin_legacy(view, &device->config, state->big_endian);
    }
    if (is_negotiated(state)) {
        view_negotiate(view, &device->config, state->driver_features);
    }
    return view;
}

/* Why the driver cannot be as far as its status says, NULL if it can. */
static const char *life_wrong(const struct state_device *state)
{
    const uint8_t status = state->status;

    if (status & ~ALL_STATUS) {
        return "status has bits that there are not";
    }
    if (state->legacy ? (status & VIRTIO_STATUS_FEATURES_OK)
                      : (state->big_endian || state->placed || state->early)) {
        return "legacy is contradicted";
    }
    if ((status & VIRTIO_STATUS_DRIVER_OK) && !(status & VIRTIO_STATUS_FEATURES_OK) &&
        !state->legacy) {
        return "DRIVER_OK without FEATURES_OK";
    }
    if (state->stuck && !(status & VIRTIO_STATUS_DEVICE_NEEDS_RESET)) {
        return "stuck without DEVICE_NEEDS_RESET";
    }
    return NULL;
}

static bool check_device(const struct view *view, const struct state_device *state, GError **error)
{
    const char *wrong = life_wrong(state);
    struct view scratch = *view;

    if (wrong) {
        return refuse_value(error, "section device: %s", wrong);
    }
    if (state->driver_beyond && state->driver_beyond < 64 * VIONET_FEATURE_WORDS) {
        return refuse_value(error, "section device: driver_beyond is not past the others");
    }
    if ((state->mac[0] & 1) && !state->legacy) {
        return refuse_value(error, "section device: mac is a multicast address");
    }
    if (state->announce && !view_has(view, VIRTIO_NET_F_GUEST_ANNOUNCE)) {
        return refuse_value(error, "section device: announce without its feature");
    }
    if (!header_set_offloads(&scratch, state->offloads) || scratch.offloads != state->offloads) {
        return refuse_value(error,
                            "section device: offloads that were not negotiated, or not as a whole");
    }
    if ((state->receive_max_packets || state->receive_max_usecs || state->transmit_max_packets ||
         state->transmit_max_usecs) &&
        !control_coalesces(view)) {
        return refuse_value(error, "section device: coalescing without its feature");
    }
    return true;
}

static bool check_filter(const struct view *view, const struct state_filter *state, GError **error)
{
    if ((state->mac[0] & 1) && !view->legacy) {
        return refuse_value(error, "section filter: mac is a multicast address");
    }
    if (state->vlan_filter && !view_has(view, VIRTIO_NET_F_CTRL_VLAN)) {
        return refuse_value(error, "section filter: vlan_filter without its feature");
    }
    if (state->unicast.n > VIONET_MAX_MAC_TABLE || state->multicast.n > VIONET_MAX_MAC_TABLE ||
        (state->all_unicast && state->unicast.n) || (state->all_multicast && state->multicast.n)) {
        return refuse_value(error, "section filter: a table has more addresses than it can");
    }
    return true;
}

static bool hashes(const struct view *view)
{
    return view_has(view, VIRTIO_NET_F_RSS) || view_has(view, VIRTIO_NET_F_HASH_REPORT) ||
           control_has_tunnels(view);
}

/* What is wrong with a table, NULL if nothing is. */
static const char *table_wrong(const VionetConfig *config, const struct state_steering *state)
{
    const uint16_t *pairs = state->table.items;
    const uint32_t n = state->table.n;

    if (n > config->rss_max_table || (n & (n - 1))) {
        return "the table's length is none that it can have";
    }
    for (uint32_t i = 0; i < n; i++) {
        if (pairs[i] >= config->max_pairs) {
            return "the table names a pair that there is not";
        }
    }
    return NULL;
}

static const char *steering_wrong(const VionetConfig *config, const struct view *view,
                                  const struct state_steering *state, bool context)
{
    const bool by_table = state->mode == STEER_TABLE;
    const char *wrong = table_wrong(config, state);

    if (wrong) {
        return wrong;
    }
    if (context ? !by_table || state->pairs || !view_has(view, VIRTIO_NET_F_RSS_CONTEXT)
                : state->pairs == 0 || state->pairs > config->max_pairs) {
        return context ? "an RSS context has no feature, or no table" : "pairs is out of range";
    }
    if (state->unclassified >= config->max_pairs || state->max_tx_vq > config->max_pairs) {
        return "unclassified or max_tx_vq is out of range";
    }
    if (by_table && (!view_has(view, VIRTIO_NET_F_RSS) || !state->table.n || !state->max_tx_vq)) {
        return "mode is by table, which there is not";
    }
    if ((state->hash_types & ~config->hash_types) || (state->hash_types && !state->key.n) ||
        !control_tunnel_types_supported(config, state->tunnel_types) ||
        state->key.n > config->rss_max_key_size) {
        return "hash types or key are none that the device supports";
    }
    if ((state->tunnel_types && !control_has_tunnels(view)) ||
        ((state->key.n || state->table.n) && !hashes(view))) {
        return "a hash is configured without its feature";
    }
    return NULL;
}

static bool check_steering(const VionetDevice *device, const struct view *view,
                           const struct state *state, GError **error)
{
    for (unsigned i = 0; i < state->n_steering; i++) {
        const char *wrong = state->has_steering[i]
                                ? steering_wrong(&device->config, view, &state->steering[i], i > 0)
                                : NULL;

        if (wrong) {
            return refuse_value(error, "section steering %u: %s", i, wrong);
        }
    }
    return true;
}

/* The place that a queue is to go on from; NULL if it begins, or is broken. */
static struct ring_state *place_of(const struct state_queue *state)
{
    const uint16_t *out = state->out.items;
    struct ring_state *ring;

    if (!state->started) {
        return NULL;
    }
    ring = g_new0(struct ring_state, 1);
    ring->next_avail = state->next_avail;
    ring->avail_wrap = state->avail_wrap;
    ring->next_used = state->next_used;
    ring->used_wrap = state->used_wrap;
    ring->told_valid = state->told_valid;
    ring->told_used = state->told_used;
    ring->untold = state->untold;
    ring->n_taken = state->out.n;
    ring->taken = g_new0(struct ring_used, state->out.n);
    for (uint32_t i = 0; i < state->out.n; i++) {
        ring->taken[i].ref.id = out[OUT_WORDS * i + OUT_ID];
        ring->taken[i].ref.n_desc = out[OUT_WORDS * i + OUT_DESCRIPTORS];
    }
    return ring;
}

static bool is_begun(const struct state_queue *state)
{
    return state->started || state->next_avail || state->avail_wrap || state->next_used ||
           state->used_wrap || state->told_valid || state->told_used || state->untold ||
           state->pending || state->out.n;
}

/* Whether the parts lie as those of a legacy queue do, in one piece, at some alignment. */
static bool is_legacy_layout(const struct state_queue *state)
{
    for (unsigned i = 0; i < 32; i++) {
        uint64_t area_gpa[3];

        ring_legacy_areas(state->size, state->desc, UINT32_C(1) << i, area_gpa);
        if (area_gpa[VIONET_AREA_DRIVER] == state->driver &&
            area_gpa[VIONET_AREA_DEVICE] == state->device) {
            return state->desc != 0;
        }
    }
    return false;
}

static const char *queue_wrong(const struct state_device *device, const struct view *view,
                               const struct state_queue *state, enum queue_kind kind)
{
    struct ring_state *ring;
    const char *wrong;

    if (state->enabled && !(device->status & VIRTIO_STATUS_FEATURES_OK) && !device->legacy) {
        return "enabled without FEATURES_OK";
    }
    if (state->enabled && device->legacy && !is_legacy_layout(state)) {
        return "its parts do not lie as those of a legacy queue";
    }
    if (state->broken &&
        (!state->enabled || !(device->status & VIRTIO_STATUS_DEVICE_NEEDS_RESET))) {
        return "broken without DEVICE_NEEDS_RESET";
    }
    if (is_begun(state) && (!state->started || !state->enabled || state->broken ||
                            !(device->early || (device->status & VIRTIO_STATUS_DRIVER_OK)))) {
        return "it stands somewhere, and never ran";
    }
    if (state->out.n && kind != QUEUE_TRANSMIT) {
        return "buffers are out of a queue that gives them back at once";
    }
    if ((state->max_packets || state->max_usecs || state->pending) &&
        (kind == QUEUE_CONTROL || !control_coalesces(view))) {
        return "coalescing without its feature";
    }
    if (state->out.n > state->size) {
        return "more buffers are out than it has";
    }
    ring = place_of(state);
    wrong = ring ? queue_state_wrong(state->size, view->features, state->resumes, ring) : NULL;
    queue_free_state(ring);
    return wrong;
}

/*
 * The features that say where queues are, of a device that offers those. Before negotiation a device that offers more
 * may have a control queue where the state has none, which is as after a reset then; all others are where they were, as
 * both have the same pairs, and offer what these need.
 */
static const uint64_t *placing_features(const struct state_device *state, const uint64_t *offered)
{
    return is_negotiated(state) ? state->driver_features : offered;
}

/* As device_queue_kind() has it with those features, and the size that such a queue has at most. */
static enum queue_kind kind_with(const VionetDevice *device, const uint64_t *features,
                                 unsigned index, uint16_t *max_size)
{
    const VionetConfig *config = &device->config;
    const bool several =
        feature_test(features, VIRTIO_NET_F_MQ) || feature_test(features, VIRTIO_NET_F_RSS);
    const unsigned n_data = several ? 2u * config->max_pairs : 2;

    if (index < n_data) {
        *max_size = index % 2 ? config->transmit_queue_size : config->receive_queue_size;
        return index % 2 ? QUEUE_TRANSMIT : QUEUE_RECEIVE;
    }
    *max_size = config->control_queue_size;
    return index == n_data && feature_test(features, VIRTIO_NET_F_CTRL_VQ) ? QUEUE_CONTROL
                                                                           : QUEUE_NONE;
}

/* A legacy driver may have set a queue up before its features made another one of it: of the third they decide. */
static uint16_t size_before_features(const VionetDevice *device, const uint64_t *offered,
                                     unsigned index)
{
    uint16_t max_size;

    if (kind_with(device, offered, index, &max_size) == QUEUE_NONE) {
        return 0;
    }
    return index == 2 ? MAX(max_size, device->config.control_queue_size) : max_size;
}

static bool check_queues(const VionetDevice *device, const struct view *view,
                         const struct state *state, GError **error)
{
    const uint64_t *const offered = state->config.features;

    for (unsigned i = 0; i < state->n_queues; i++) {
        const struct state_queue *queue = &state->queues[i];
        uint16_t max_size;
        const enum queue_kind kind =
            kind_with(device, placing_features(&state->device, offered), i, &max_size);
        const bool any_size = view_has(view, VIRTIO_F_RING_PACKED);
        const char *wrong;

        if (state->has_queue[i] != (kind != QUEUE_NONE)) {
            return state_refuse(error, VIONET_STATE_ERROR_SECTION, "section queue %u is %s", i,
                                state->has_queue[i] ? "of a queue that there is not" : "missing");
        }
        if (!state->has_queue[i]) {
            continue;
        }
        if (state->device.legacy && queue->enabled) {
            max_size = MAX(max_size, size_before_features(device, offered, i));
        }
        if (queue->size == 0 || queue->size > max_size ||
            ((queue->size & (queue->size - 1)) && !any_size)) {
            return refuse_value(error, "section queue %u: its size is %u", i, queue->size);
        }
        wrong = queue_wrong(&state->device, view, queue, kind);
        if (wrong) {
            return refuse_value(error, "section queue %u: %s", i, wrong);
        }
    }
    return true;
}

static bool check_flows(const VionetDevice *device, const struct state_flows *state, GError **error)
{
    const uint16_t *flows = state->flows.items;

    for (uint32_t i = 0; i < state->flows.n; i++) {
        if (flows[FLOW_WORDS * i + FLOW_ENTRY] >= FLOW_ENTRIES ||
            flows[FLOW_WORDS * i + FLOW_PAIR] >= device->config.max_pairs) {
            return refuse_value(error, "section flows: an entry or pair that there is not");
        }
    }
    return true;
}

static bool check(const VionetDevice *device, struct state *state, GError **error)
{
    struct view *view;
    bool good;

    if (!check_config(device, state, error) || !check_features(device, &state->device, error)) {
        return false;
    }
    view = negotiated_view(device, &state->device);
    good = check_device(view, &state->device, error) && check_filter(view, &state->filter, error) &&
           check_steering(device, view, state, error) && check_queues(device, view, state, error) &&
           check_flows(device, &state->flows, error);
    view_free(view);
    return good;
}

/* ---- taking up ---- */

static void apply_filter(const struct state_filter *state, struct filter *filter)
{
    memcpy(filter->mac, state->mac, sizeof(filter->mac));
    filter->modes = state->modes;
    filter->vlan_filter = state->vlan_filter;
    filter->unicast.overflow = state->all_unicast;
    filter->multicast.overflow = state->all_multicast;
    filter->unicast.n = state->unicast.n;
    filter->multicast.n = state->multicast.n;
    if (state->unicast.n) {
        memcpy(filter->unicast.mac, state->unicast.items, 6 * (size_t)state->unicast.n);
    }
    if (state->multicast.n) {
        memcpy(filter->multicast.mac, state->multicast.items, 6 * (size_t)state->multicast.n);
    }
    memcpy(filter->vlans, state->vlans, sizeof(filter->vlans));
}

static void apply_steering(const struct state_steering *state, const VionetDialect *dialect,
                           struct steering *steering)
{
    steering->mode = state->mode ? STEER_TABLE : STEER_AUTOMATIC;
    steering->n_pairs = state->pairs;
    steering->unclassified = state->unclassified;
    steering->max_tx_vq = state->max_tx_vq;
    steering->hash_types = state->hash_types;
    steering->tunnel_types = state->tunnel_types;
    steering->tunnels = vionet_dialect_tunnels(dialect, state->tunnel_types);
    if (!steering_try_set_key(steering, state->key.items, state->key.n) ||
        (state->table.n && !steering_try_set_table(steering, state->table.items, state->table.n))) {
        g_error("failed to allocate a key or a table"); /* too late to be refused */
    }
}

static void apply_contexts(VionetDevice *device, const struct state *state)
{
    for (unsigned i = 1; i < state->n_steering; i++) {
        if (state->has_steering[i]) {
            struct steering *context = g_new0(struct steering, 1);

            apply_steering(&state->steering[i], device->config.dialect, context);
            device->rss_contexts[i - 1] = context;
            device->n_rss_contexts++;
        }
    }
}

static void apply_queue(const struct state_queue *state, bool big_endian, struct queue *queue)
{
    queue->size = state->size;
    queue->enabled = state->enabled;
    queue->area_gpa[VIONET_AREA_DESC] = state->desc;
    queue->area_gpa[VIONET_AREA_DRIVER] = state->driver;
    queue->area_gpa[VIONET_AREA_DEVICE] = state->device;
    queue->resumes = state->resumes;
    queue->base = state->base;
    queue->big_endian = state->enabled && big_endian;
    if (state->broken) {
        queue_set_broken(queue);
    }
    queue->coalesce.max_packets = state->max_packets;
    queue->coalesce.max_usecs = state->max_usecs;
    queue_set_state(queue, place_of(state), state->pending);
}

/* A list may be of a version that counted more, or less. */
static void apply_counts(const struct record_list *list, _Atomic uint64_t *counts, uint32_t n)
{
    const uint64_t *values = list->items;

    for (uint32_t i = 0; i < n; i++) {
        atomic_store_explicit(&counts[i], i < list->n ? values[i] : 0, memory_order_relaxed);
    }
}

static void apply_counters(const struct record_list *list, struct queue *queue)
{
    apply_counts(list, queue->counters, VIONET_N_COUNTERS);
    atomic_store_explicit(&queue->kicks, queue->counters[VIONET_COUNTER_KICKS],
                          memory_order_relaxed);
    queue->counters[VIONET_COUNTER_KICKS] = 0;
}

static void apply_flows(const struct state_flows *state, struct flow_table *table)
{
    const uint16_t *flows = state->flows.items;

    for (uint32_t i = 0; i < state->flows.n; i++) {
        atomic_store_explicit(&table->pair_plus_1[flows[FLOW_WORDS * i + FLOW_ENTRY]],
                              (uint16_t)(flows[FLOW_WORDS * i + FLOW_PAIR] + 1),
                              memory_order_relaxed);
    }
}

static void apply_device(const struct state_device *state, bool link_up, VionetDevice *device)
{
    const bool tells_link = vionet_features_test(device->config.features, VIRTIO_NET_F_STATUS);
    const bool link_changed = tells_link && link_up != state->link_up;

    memcpy(device->driver_features, state->driver_features, sizeof(device->driver_features));
    device->driver_beyond = state->driver_beyond;
    device->stuck = state->stuck;
    device->announce = state->announce;
    device->config_dirty = state->config_dirty || link_changed;
    device->config_due = state->config_due || link_changed;
    device->config_generation = state->config_generation;
    memcpy(device->mac, state->mac, sizeof(device->mac));
    device->coalesce[0].max_packets = state->receive_max_packets;
    device->coalesce[0].max_usecs = state->receive_max_usecs;
    device->coalesce[1].max_packets = state->transmit_max_packets;
    device->coalesce[1].max_usecs = state->transmit_max_usecs;
    device->placed = state->placed;
    device->early = state->early;
}

static void apply(VionetDevice *device, const struct state *state)
{
    const struct record_list none = {0};
    const bool link_up = device_view(device)->link_up;
    struct view *view = negotiated_view(device, &state->device);

    view->link_up = link_up;
    view->offloads = state->device.offloads;
    apply_filter(&state->filter, &view->filter);
    apply_steering(&state->steering[0], device->config.dialect, &view->steering);
    device_place_queues(device, placing_features(&state->device, device->config.features));
    device_publish(device, view);
    apply_contexts(device, state);
    apply_device(&state->device, link_up, device);
    for (unsigned i = 0; i < device->n_queues; i++) {
        if (state->has_queue[i]) {
            struct queue *queue = &device->queues[i];

            apply_queue(&state->queues[i], state->device.big_endian, queue);
            apply_counters(&state->counters[i].counters, queue);
            apply_counts(&state->counters[i].verdicts, queue->verdicts, VIONET_N_VERDICTS);
        }
    }
    for (unsigned i = 0; i < device->config.max_pairs; i++) {
        apply_counts(i == 0 ? &state->verdicts.verdicts : &none, device->lanes[i].verdicts,
                     VIONET_N_VERDICTS);
    }
    steer_forget(device->flows);
    apply_flows(&state->flows, device->flows);
    device_set_status(device, state->device.status);
}

/* The host hears what a driver would have made it hear. */
static void tell_host(VionetDevice *device)
{
    const uint8_t status = vionet_device_status(device);

    if ((status & VIRTIO_STATUS_FEATURES_OK) || device->placed) {
        device_event(device, VIONET_EVENT_FEATURES);
    }
    if ((status & VIRTIO_STATUS_FEATURES_OK) || device_view(device)->legacy) {
        device_event(device, VIONET_EVENT_OFFLOADS);
        device_event(device, VIONET_EVENT_FILTER);
        device_event(device, VIONET_EVENT_STEERING);
    }
    if (status & VIRTIO_STATUS_DRIVER_OK) {
        device_event(device, VIONET_EVENT_RUNNING);
    }
}

/* ---- sections of transports ---- */

struct attached {
    VionetStateSection section;
    void *opaque;
    void *parsed; /* while a state is loaded */
};

static struct attached *attached_at(const VionetDevice *device, unsigned i)
{
    return device->state_sections && i < device->state_sections->len
               ? &g_array_index(device->state_sections, struct attached, i)
               : NULL;
}

void vionet_device_add_state_section(VionetDevice *device, const VionetStateSection *section,
                                     void *opaque)
{
    struct attached attached = {.opaque = opaque};

    memcpy(&attached.section, section, MIN(section->size, sizeof(attached.section)));
    if (!device->state_sections) {
        device->state_sections = g_array_new(FALSE, FALSE, sizeof(attached));
    }
    g_array_append_val(device->state_sections, attached);
}

void vionet_device_remove_state_section(VionetDevice *device, const char *name)
{
    const struct attached *attached;

    for (unsigned i = 0; (attached = attached_at(device, i)) != NULL; i++) {
        if (strcmp(attached->section.name, name) == 0) {
            g_array_remove_index(device->state_sections, i);
            return;
        }
    }
}

void state_forget_sections(VionetDevice *device)
{
    if (device->state_sections) {
        g_array_unref(device->state_sections);
    }
}

static void save_attached(const VionetDevice *device, GByteArray *octets)
{
    GByteArray *payload = g_byte_array_new();
    const struct attached *attached;

    for (unsigned i = 0; (attached = attached_at(device, i)) != NULL; i++) {
        const VionetStateSection *section = &attached->section;

        g_byte_array_set_size(payload, 0);
        section->save(attached->opaque, payload);
        state_write_section(octets, section->name, section->version, !section->skippable, 0,
                            payload->data, payload->len);
    }
    g_byte_array_unref(payload);
}

static const struct state_foreign *foreign_named(const struct state *state, const char *name)
{
    for (unsigned i = 0; i < state->foreign->len; i++) {
        const struct state_foreign *foreign =
            &g_array_index(state->foreign, struct state_foreign, i);

        if (strcmp(foreign->name, name) == 0) {
            return foreign;
        }
    }
    return NULL;
}

static bool parse_one(struct attached *attached, const struct state *state, GError **error)
{
    const VionetStateSection *section = &attached->section;
    const struct state_foreign *foreign = foreign_named(state, section->name);
    const bool newer = foreign && foreign->version > section->version;

    if (section->missing && (!foreign || (newer && !foreign->required))) {
        return section->missing(attached->opaque, error);
    }
    if (!foreign) {
        return state_refuse(error, VIONET_STATE_ERROR_SECTION, "section %s is missing",
                            section->name);
    }
    if (newer) {
        return state_refuse(error, VIONET_STATE_ERROR_VERSION,
                            "section %s of version %u: this library reads versions up to %u",
                            section->name, foreign->version, section->version);
    }
    attached->parsed =
        section->parse(attached->opaque, foreign->version, foreign->octets, foreign->len, error);
    return attached->parsed != NULL;
}

/* What the driver is to a transport; 0 if that is open yet. */
static unsigned driver_of(const struct state_device *state)
{
    if (state->legacy) {
        return state->big_endian ? VIONET_STATE_DRIVER_LEGACY_BIG : VIONET_STATE_DRIVER_LEGACY;
    }
    return state->status & VIRTIO_STATUS_FEATURES_OK ? VIONET_STATE_DRIVER_MODERN : 0;
}

/* Whether all transports let the driver in: what the device's section says may come from anywhere. */
static bool check_driver(const VionetDevice *device, const struct state_device *state,
                         GError **error)
{
    const unsigned driver = driver_of(state);
    const struct attached *attached;

    for (unsigned i = 0; (attached = attached_at(device, i)) != NULL; i++) {
        const VionetStateSection *section = &attached->section;

        if (section->drivers && (driver & ~section->drivers)) {
            return refuse_value(error, "section device: section %s has no interface for its driver",
                                section->name);
        }
    }
    return true;
}

/* Hands what was parsed to its transports, or drops it. */
static void settle_attached(const VionetDevice *device, bool take_up)
{
    struct attached *attached;

    for (unsigned i = 0; (attached = attached_at(device, i)) != NULL; i++) {
        void *const parsed = attached->parsed;

        attached->parsed = NULL;
        if (take_up) {
            attached->section.take(attached->opaque, parsed);
        } else if (parsed) {
            attached->section.drop(attached->opaque, parsed);
        }
    }
}

static bool is_attached(const VionetDevice *device, const char *name)
{
    const struct attached *attached;

    for (unsigned i = 0; (attached = attached_at(device, i)) != NULL; i++) {
        if (strcmp(attached->section.name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Those that transports and others are to know, and none else that is required. */
static bool parse_attached(const VionetDevice *device, const struct state *state, GError **error)
{
    struct attached *attached;

    for (unsigned i = 0; i < state->foreign->len; i++) {
        const struct state_foreign *foreign =
            &g_array_index(state->foreign, struct state_foreign, i);

        if (foreign->required && !is_attached(device, foreign->name)) {
            return state_refuse(error, VIONET_STATE_ERROR_SECTION,
                                "section %s is needed, and not known here", foreign->name);
        }
    }
    for (unsigned i = 0; (attached = attached_at(device, i)) != NULL; i++) {
        if (!parse_one(attached, state, error)) {
            return false;
        }
    }
    return true;
}

/* ---- the two functions ---- */

GBytes *vionet_device_save(VionetDevice *device, GError **error)
{
    GByteArray *octets;
    struct state *state;

    if (!device->paused) {
        state_refuse(error, VIONET_STATE_ERROR_NOT_PAUSED, "the device is not paused");
        return NULL;
    }
    state = take(device);
    octets = state_write(state);
    save_attached(device, octets);
    state_finish(octets);
    state_free(state);
    return g_byte_array_free_to_bytes(octets);
}

bool vionet_device_load(VionetDevice *device, const void *octets, size_t len, GError **error)
{
    struct state *state;
    bool good;

    if (!device->paused) {
        return state_refuse(error, VIONET_STATE_ERROR_NOT_PAUSED, "the device is not paused");
    }
    if (vionet_device_status(device) != 0 || device_view(device)->legacy) {
        return state_refuse(error, VIONET_STATE_ERROR_NOT_FRESH, "a driver has touched the device");
    }
    state = state_read(octets, len, 1u + device->config.max_rss_contexts, device->n_queues, error);
    if (!state) {
        return false;
    }
    good = check(device, state, error) && parse_attached(device, state, error) &&
           check_driver(device, &state->device, error);
    if (good) {
        apply(device, state);
    }
    settle_attached(device, good);
    if (good) {
        tell_host(device);
    }
    state_free(state);
    return good;
}
