/* SPDX-License-Identifier: BSD-3-Clause */
/* See control_model.h. */
#include "control_model.h"

#include <limits.h>
#include <string.h>

static bool has(const struct control_model *model, unsigned bit)
{
    return vionet_features_test(model->features, bit);
}

bool control_tunnels(const struct control_model *model)
{
    const int feature = model->config->dialect->feature;

    return feature >= 0 && has(model, (unsigned)feature);
}

static uint32_t le(const uint8_t *octets, unsigned n)
{
    uint32_t value = 0;

    while (n--) {
        value = value << 8 | octets[n];
    }
    return value;
}

static void put_le32(uint8_t *octets, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++) {
        octets[i] = (uint8_t)(value >> 8 * i);
    }
}

/* ---- offloads ---- */

/*
 * Bits of GUEST_OFFLOADS_SET with the features that make them exist, and with those that have to be on
 * too (5.1.3.1): all of a mask, or any of it.
 */
#define BIT(n) (UINT64_C(1) << (n))
static const struct {
    uint8_t bit;
    uint8_t feature;
    bool any;
    uint64_t with;
} offloads[] = {
    {1, VIRTIO_NET_F_GUEST_CSUM, false, 0},
    {7, VIRTIO_NET_F_GUEST_TSO4, false, BIT(1)},
    {8, VIRTIO_NET_F_GUEST_TSO6, false, BIT(1)},
    {9, VIRTIO_NET_F_GUEST_ECN, true, BIT(7) | BIT(8)},
    {10, VIRTIO_NET_F_GUEST_UFO, false, BIT(1)},
    {54, VIRTIO_NET_F_GUEST_USO4, false, BIT(1)},
    {55, VIRTIO_NET_F_GUEST_USO6, false, BIT(1)},
    {46, VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO, false, BIT(7) | BIT(8) | BIT(54) | BIT(55)},
    {47, VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO_CSUM, false, BIT(46)},
};

#define N_OFFLOADS (sizeof(offloads) / sizeof(offloads[0]))

static uint64_t all_offloads(const struct control_model *model)
{
    uint64_t mask = 0;

    for (size_t i = 0; i < N_OFFLOADS; i++) {
        if (has(model, offloads[i].feature)) {
            mask |= BIT(offloads[i].bit);
        }
    }
    return mask;
}

/* A mask without those offloads that lack what they stand on. */
static uint64_t sound_offloads(uint64_t mask)
{
    for (size_t i = 0; i < N_OFFLOADS; i++) {
        const uint64_t with = offloads[i].with;

        if (offloads[i].any ? !(mask & with) : (mask & with) != with) {
            mask &= ~BIT(offloads[i].bit);
        }
    }
    return mask;
}

static bool offload(const struct control_model *model, unsigned bit)
{
    return model->offloads >> bit & 1;
}

/* ---- life ---- */

void control_start(struct control_model *model, const VionetConfig *config,
                   const uint64_t *features)
{
    const unsigned serial = model->hash_serial;

    memset(model, 0, sizeof(*model));
    model->hash_serial = serial + 1;
    model->config = config;
    memcpy(model->features, features, sizeof(model->features));
    memcpy(model->mac, config->mac, 6);
    memcpy(model->config_mac, config->mac, 6);
    model->pairs = 1;
    model->offloads = all_offloads(model);
}

void control_queue(struct control_model *model, unsigned queue, bool enabled)
{
    model->enabled[queue] = enabled;
    memcpy(model->coalesce[queue], model->defaults[queue % 2], sizeof(model->coalesce[queue]));
}

/* ---- commands: each says whether it can be obeyed ---- */

struct payload {
    const uint8_t *at;
    size_t len;
};

static bool set_mode(struct control_model *model, uint8_t command, const struct payload *p)
{
    const uint8_t bit = (uint8_t)(1u << command);

    if (p->len < 1) {
        return false;
    }
    model->modes = (uint8_t)((model->modes & ~bit) | (p->at[0] ? bit : 0));
    return true;
}

/* Reads a list from *at on; false if it does not fit. */
static bool read_list(struct control_list *list, const struct payload *p, size_t *at)
{
    uint64_t n;

    if (p->len - *at < 4) {
        return false;
    }
    n = le(p->at + *at, 4);
    *at += 4;
    if (n * 6 > p->len - *at) {
        return false;
    }
    list->overflow = n > VIONET_MAX_MAC_TABLE;
    list->n = list->overflow ? 0 : (unsigned)n;
    memcpy(list->mac, p->at + *at, list->n * 6u);
    *at += n * 6;
    return true;
}

static bool set_lists(struct control_model *model, const struct payload *p)
{
    struct control_list unicast, multicast;
    size_t at = 0;

    if (!read_list(&unicast, p, &at) || !read_list(&multicast, p, &at) || at != p->len) {
        return false;
    }
    model->unicast = unicast;
    model->multicast = multicast;
    return true;
}

static bool set_mac(struct control_model *model, const struct payload *p)
{
    static const uint8_t zero[6];

    if (p->len != 6 || (p->at[0] & 1) || memcmp(p->at, zero, 6) == 0) {
        return false;
    }
    memcpy(model->mac, p->at, 6);
    if (has(model, VIRTIO_NET_F_MAC)) {
        memcpy(model->config_mac, p->at, 6);
    }
    return true;
}

static bool set_vlan(struct control_model *model, bool add, const struct payload *p)
{
    const unsigned id = p->len < 2 ? 4096 : le(p->at, 2);

    if (id > 4095) {
        return false;
    }
    if (add) {
        model->vlans[id / 8] |= (uint8_t)(1u << id % 8);
    } else {
        model->vlans[id / 8] &= (uint8_t) ~(1u << id % 8);
    }
    return true;
}

static bool set_pairs(struct control_model *model, const struct payload *p)
{
    const unsigned pairs = p->len < 2 ? 0 : le(p->at, 2);

    if (pairs < 1 || pairs > model->config->max_pairs || model->n_contexts) {
        return false;
    }
    model->by_table = false;
    model->pairs = pairs;
    return true;
}

static bool tunnels_supported(const struct control_model *model, uint32_t types)
{
    const VionetDialect *dialect = model->config->dialect;

    return (types & ~(model->config->tunnel_types | dialect->always_types)) == 0;
}

/* Key and, by dialect, tunnel types: all that is left from at on. */
static bool set_hash(struct control_model *model, uint32_t types, const struct payload *p,
                     size_t at)
{
    const VionetDialect *dialect = model->config->dialect;
    const size_t tail = control_tunnels(model) && dialect->types_after_key ? 4 : 0;
    uint32_t tunnels = model->tunnel_types;
    size_t key_len;

    if (p->len < at + 1) {
        return false;
    }
    key_len = p->at[at];
    /* An octet of padding may follow where nothing else does. */
    if (p->len < at + 1 + key_len + tail || p->len > at + 1 + key_len + (tail ? tail : 1) ||
        key_len > model->config->rss_max_key_size) {
        return false;
    }
    if (tail) {
        tunnels = le(p->at + at + 1 + key_len, 4);
    } else if (control_tunnels(model) && dialect->types_in_hash_types) {
        tunnels = types & 0xe00;
        types &= ~UINT32_C(0xe00);
    }
    if ((types & ~model->config->hash_types) || !tunnels_supported(model, tunnels) ||
        (key_len == 0 && types)) {
        return false;
    }
    model->hash_types = types;
    model->tunnel_types = tunnels;
    memcpy(model->key, p->at + at + 1, key_len);
    model->key_len = key_len;
    model->hash_serial++;
    return true;
}

static bool set_rss(struct control_model *model, const struct payload *p)
{
    const unsigned max_pairs = model->config->max_pairs;
    uint16_t table[CONTROL_TABLE_MAX];
    unsigned n, max_tx, unclassified;

    if (p->len < 8) {
        return false;
    }
    n = le(p->at + 4, 2) + 1;
    unclassified = le(p->at + 6, 2);
    if ((n & (n - 1)) || n > model->config->rss_max_table || p->len < 8 + 2u * n + 3 ||
        unclassified >= max_pairs) {
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        table[i] = (uint16_t)le(p->at + 8 + 2 * i, 2);
        if (table[i] >= max_pairs) {
            return false;
        }
    }
    max_tx = le(p->at + 8 + 2 * n, 2);
    if (max_tx < 1 || max_tx > max_pairs || !set_hash(model, le(p->at, 4), p, 8 + 2 * n + 2)) {
        return false;
    }
    memcpy(model->table, table, sizeof(table));
    model->mask = (uint16_t)(n - 1);
    model->unclassified = (uint16_t)unclassified;
    model->by_table = true;
    return true;
}

static bool set_hash_config(struct control_model *model, const struct payload *p)
{
    /* Three of the four reserved words: Linux leaves max_tx_vq in the last. */
    if (p->len < 12 || le(p->at + 4, 4) || le(p->at + 8, 2) ||
        !set_hash(model, le(p->at, 4), p, 12)) {
        return false;
    }
    model->by_table = false;
    return true;
}

static bool set_offloads(struct control_model *model, const struct payload *p)
{
    uint64_t mask;

    if (p->len < 8) {
        return false;
    }
    mask = le(p->at, 4) | (uint64_t)le(p->at + 4, 4) << 32;
    if (mask & ~all_offloads(model)) {
        return false;
    }
    model->offloads = sound_offloads(mask);
    return true;
}

static unsigned data_queues(const struct control_model *model)
{
    return has(model, VIRTIO_NET_F_MQ) || has(model, VIRTIO_NET_F_RSS)
               ? 2u * model->config->max_pairs
               : 2;
}

static bool is_data_queue(const struct control_model *model, unsigned queue)
{
    return queue < data_queues(model);
}

static bool set_coalescing(struct control_model *model, unsigned direction, const struct payload *p)
{
    if (p->len < 8) {
        return false;
    }
    for (unsigned word = 0; word < 2; word++) {
        model->defaults[direction][word] = le(p->at + 4 * word, 4);
    }
    for (unsigned i = direction; i < RIG_MAX_QUEUES; i += 2) {
        if (is_data_queue(model, i) && model->enabled[i]) {
            memcpy(model->coalesce[i], model->defaults[direction], sizeof(model->coalesce[i]));
        }
    }
    return true;
}

static bool queue_coalescing(struct control_model *model, bool set, const struct payload *p,
                             struct control_answer *answer)
{
    const unsigned queue = p->len < 4 ? UINT16_MAX + 1u : le(p->at, 2);

    if (!is_data_queue(model, queue) || !model->enabled[queue] || (set && p->len < 12)) {
        return false;
    }
    for (unsigned word = 0; word < 2; word++) {
        if (set) {
            model->coalesce[queue][word] = le(p->at + 4 + 4 * word, 4);
        } else {
            put_le32(answer->reply + 4 * word, model->coalesce[queue][word]);
        }
    }
    return true;
}

/* ---- RSS contexts: kept, without consequences for frames ---- */

static bool context_there(const struct control_model *model, const struct payload *p, bool there)
{
    const unsigned id = p->len < 2 ? 0 : le(p->at, 2);

    return id >= 1 && id <= model->config->max_rss_contexts && model->contexts[id] == there;
}

static bool set_context(struct control_model *model, bool add, const struct payload *p)
{
    static struct control_model scratch; /* the default configuration stays */
    struct payload rest;

    if (p->len < 8 || !context_there(model, p, !add)) {
        return false;
    }
    rest = (struct payload){p->at + 8, p->len - 8};
    scratch = *model;
    if (!set_rss(&scratch, &rest)) {
        return false;
    }
    model->n_contexts += add;
    model->contexts[le(p->at, 2)] = true;
    return true;
}

static bool delete_context(struct control_model *model, const struct payload *p)
{
    if (!context_there(model, p, true)) {
        return false;
    }
    model->n_contexts--;
    model->contexts[le(p->at, 2)] = false;
    return true;
}

/* ---- statistics ---- */

/* Values of counters, or: */
enum { NOTHING = VIONET_N_COUNTERS, COMMANDS, COMMANDS_OK };

/* 5.1.6.5.11: types by their bits, what opens them, and what stands in their replies. */
static const struct stats_type {
    unsigned type;
    unsigned queue; /* modulo 2, or 2: the control queue */
    uint64_t any_of;
    unsigned n;
    unsigned values[6];
} stats_types[] = {
    {0,
     0,
     0,
     6,
     {VIONET_COUNTER_KICKS, VIONET_COUNTER_PACKETS, VIONET_COUNTER_OCTETS,
      VIONET_COUNTER_INTERRUPTS, VIONET_COUNTER_DROPS, NOTHING}},
    {1,
     0,
     BIT(VIRTIO_NET_F_GUEST_CSUM),
     4,
     {VIONET_COUNTER_CSUM_VALID, VIONET_COUNTER_CSUM_NEEDS, VIONET_COUNTER_CSUM_NONE, NOTHING}},
    {2,
     0,
     BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6),
     4,
     {VIONET_COUNTER_GSO_PACKETS, VIONET_COUNTER_GSO_OCTETS, NOTHING, NOTHING}},
    {3, 0, 0, 2, {NOTHING, NOTHING}},
    {16,
     1,
     0,
     6,
     {VIONET_COUNTER_KICKS, VIONET_COUNTER_PACKETS, VIONET_COUNTER_OCTETS,
      VIONET_COUNTER_INTERRUPTS, VIONET_COUNTER_DROPS, NOTHING}},
    {17, 1, BIT(VIRTIO_NET_F_CSUM), 2, {VIONET_COUNTER_CSUM_NONE, VIONET_COUNTER_CSUM_NEEDS}},
    {18,
     1,
     BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) | BIT(VIRTIO_NET_F_HOST_USO),
     6,
     {VIONET_COUNTER_GSO_PACKETS, VIONET_COUNTER_GSO_OCTETS, NOTHING, NOTHING,
      VIONET_COUNTER_GSO_PACKETS, VIONET_COUNTER_GSO_OCTETS}},
    {19, 1, 0, 2, {NOTHING, NOTHING}},
    {32, 2, 0, 2, {COMMANDS, COMMANDS_OK}},
};

#define N_STATS_TYPES (sizeof(stats_types) / sizeof(stats_types[0]))

/* The open types of receive, transmit or control queues. */
static uint64_t open_types(const struct control_model *model, unsigned queue)
{
    uint64_t types = 0;

    for (size_t i = 0; i < N_STATS_TYPES; i++) {
        if (stats_types[i].queue == queue &&
            (!stats_types[i].any_of || (model->features[0] & stats_types[i].any_of))) {
            types |= BIT(stats_types[i].type);
        }
    }
    return types;
}

static uint64_t value_of(const struct control_model *model, unsigned queue, unsigned value)
{
    const uint64_t *counters = model->counters[queue];
    const uint64_t ok = counters[VIONET_COUNTER_COMMANDS_OK] + 1; /* with this one */

    return value == NOTHING       ? 0
           : value == COMMANDS_OK ? ok
           : value == COMMANDS    ? ok + counters[VIONET_COUNTER_COMMANDS_ERR]
                                  : counters[value];
}

static void put_le64(uint8_t *octets, uint64_t value)
{
    put_le32(octets, (uint32_t)value);
    put_le32(octets + 4, (uint32_t)(value >> 32));
}

static bool query_stats(const struct control_model *model, uint64_t room,
                        struct control_answer *answer)
{
    if (room < 8) {
        return false;
    }
    put_le64(answer->stats, open_types(model, 0) | open_types(model, 1) | open_types(model, 2));
    answer->n_stats = 8;
    return true;
}

/* Puts one reply behind the others; false if it does not fit. */
static bool put_stats(const struct control_model *model, const struct stats_type *type,
                      unsigned queue, uint64_t room, struct control_answer *answer)
{
    const unsigned size = 8 + 8 * type->n;
    uint8_t *reply = answer->stats + answer->n_stats;

    if (answer->n_stats + size > room) {
        return false;
    }
    memset(reply, 0, 8);
    reply[0] = (uint8_t)type->type;
    reply[2] = (uint8_t)queue;
    reply[6] = (uint8_t)size;
    for (unsigned i = 0; i < type->n; i++) {
        put_le64(reply + 8 + 8 * i, value_of(model, queue, type->values[i]));
    }
    answer->n_stats += size;
    return true;
}

static bool get_stats(const struct control_model *model, const struct payload *p, uint64_t room,
                      struct control_answer *answer)
{
    const unsigned control = data_queues(model);
    bool on = true;

    for (size_t at = 0; at < p->len; at += 16) {
        const unsigned queue = p->len - at < 16 ? UINT_MAX : le(p->at + at, 2);
        const uint64_t types =
            queue > control ? 0 : le(p->at + at + 8, 4) | (uint64_t)le(p->at + at + 12, 4) << 32;

        if (queue > control || (types & ~open_types(model, queue == control ? 2 : queue % 2))) {
            return false;
        }
    }
    for (size_t at = 0; at < p->len && on; at += 16) {
        const uint64_t types = le(p->at + at + 8, 4) | (uint64_t)le(p->at + at + 12, 4) << 32;

        for (size_t i = 0; i < N_STATS_TYPES && on; i++) {
            on = !(types >> stats_types[i].type & 1) ||
                 put_stats(model, &stats_types[i], le(p->at + at, 2), room, answer);
        }
    }
    return p->len > 0;
}

static bool set_tunnels(struct control_model *model, const struct payload *p)
{
    if (p->len < 4 || !tunnels_supported(model, le(p->at, 4))) {
        return false;
    }
    model->tunnel_types = le(p->at, 4);
    model->hash_serial++;
    return true;
}

/* ---- which commands there are ---- */

static bool mq_open(const struct control_model *model, uint8_t command)
{
    switch (command) {
    case VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET:
        return has(model, VIRTIO_NET_F_MQ);
    case VIRTIO_NET_CTRL_MQ_RSS_CONFIG:
        return has(model, VIRTIO_NET_F_RSS);
    case VIRTIO_NET_CTRL_MQ_HASH_CONFIG:
        return has(model, VIRTIO_NET_F_HASH_REPORT) ||
               (control_tunnels(model) && model->config->dialect->is_hash_feature);
    default:
        return false;
    }
}

static bool coalescing_open(const struct control_model *model, uint8_t command)
{
    if (command <= VIRTIO_NET_CTRL_NOTF_COAL_RX_SET) {
        return has(model, VIRTIO_NET_F_NOTF_COAL);
    }
    /* Bit 52 has another meaning in the drafts. */
    return command <= VIRTIO_NET_CTRL_NOTF_COAL_VQ_GET && has(model, VIRTIO_NET_F_VQ_NOTF_COAL) &&
           model->config->dialect->feature != VIRTIO_NET_F_VQ_NOTF_COAL;
}

/* Whether the command exists and the driver may send it. */
static bool is_open(const struct control_model *model, uint8_t class, uint8_t command)
{
    switch (class) {
    case VIRTIO_NET_CTRL_RX:
        return command <= VIRTIO_NET_CTRL_RX_NOBCAST &&
               has(model, command <= VIRTIO_NET_CTRL_RX_ALLMULTI ? VIRTIO_NET_F_CTRL_RX
                                                                 : VIRTIO_NET_F_CTRL_RX_EXTRA);
    case VIRTIO_NET_CTRL_MAC:
        return has(model, VIRTIO_NET_F_CTRL_RX) ? command <= VIRTIO_NET_CTRL_MAC_ADDR_SET
                                                : command == VIRTIO_NET_CTRL_MAC_ADDR_SET &&
                                                      has(model, VIRTIO_NET_F_CTRL_MAC_ADDR);
    case VIRTIO_NET_CTRL_VLAN:
        return command <= VIRTIO_NET_CTRL_VLAN_DEL && has(model, VIRTIO_NET_F_CTRL_VLAN);
    case VIRTIO_NET_CTRL_ANNOUNCE:
        return command == VIRTIO_NET_CTRL_ANNOUNCE_ACK && has(model, VIRTIO_NET_F_GUEST_ANNOUNCE);
    case VIRTIO_NET_CTRL_MQ:
        return mq_open(model, command);
    case VIRTIO_NET_CTRL_GUEST_OFFLOADS:
        return command == VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET &&
               has(model, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);
    case VIRTIO_NET_CTRL_NOTF_COAL:
        return coalescing_open(model, command);
    case VIRTIO_NET_CTRL_HASH_TUNNEL:
        return command == VIRTIO_NET_CTRL_HASH_TUNNEL_SET && control_tunnels(model) &&
               model->config->dialect->types_by_command;
    case VIRTIO_NET_CTRL_STATS:
        return command <= VIRTIO_NET_CTRL_STATS_GET && has(model, VIRTIO_NET_F_DEVICE_STATS);
    case VIRTNET_RSS_CTX_CTRL:
        return command <= VIRTNET_RSS_CTX_CTRL_DEL && has(model, VIRTIO_NET_F_RSS_CONTEXT);
    default:
        return false;
    }
}

static bool context_command(struct control_model *model, uint8_t command, const struct payload *p,
                            struct control_answer *answer)
{
    switch (command) {
    case VIRTNET_RSS_CTX_CTRL_CAP_GET:
        answer->reply[0] = (uint8_t)model->config->max_rss_contexts;
        answer->reply[1] = (uint8_t)(model->config->max_rss_contexts >> 8);
        return true;
    case VIRTNET_RSS_CTX_CTRL_DEL:
        return delete_context(model, p);
    default:
        return set_context(model, command == VIRTNET_RSS_CTX_CTRL_ADD, p);
    }
}

static bool obey(struct control_model *model, uint8_t class, uint8_t command,
                 const struct payload *p, uint64_t room, struct control_answer *answer)
{
    switch (class) {
    case VIRTIO_NET_CTRL_RX:
        return set_mode(model, command, p);
    case VIRTIO_NET_CTRL_MAC:
        return command == VIRTIO_NET_CTRL_MAC_TABLE_SET ? set_lists(model, p) : set_mac(model, p);
    case VIRTIO_NET_CTRL_VLAN:
        return set_vlan(model, command == VIRTIO_NET_CTRL_VLAN_ADD, p);
    case VIRTIO_NET_CTRL_ANNOUNCE:
        model->announce = false;
        return true;
    case VIRTIO_NET_CTRL_MQ:
        return command == VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET ? set_pairs(model, p)
               : command == VIRTIO_NET_CTRL_MQ_RSS_CONFIG ? set_rss(model, p)
                                                          : set_hash_config(model, p);
    case VIRTIO_NET_CTRL_GUEST_OFFLOADS:
        return set_offloads(model, p);
    case VIRTIO_NET_CTRL_NOTF_COAL:
        if (command <= VIRTIO_NET_CTRL_NOTF_COAL_RX_SET) {
            return set_coalescing(model, command == VIRTIO_NET_CTRL_NOTF_COAL_TX_SET, p);
        }
        return queue_coalescing(model, command == VIRTIO_NET_CTRL_NOTF_COAL_VQ_SET, p, answer);
    case VIRTIO_NET_CTRL_STATS:
        return command == VIRTIO_NET_CTRL_STATS_QUERY ? query_stats(model, room, answer)
                                                      : get_stats(model, p, room, answer);
    case VIRTNET_RSS_CTX_CTRL:
        return context_command(model, command, p, answer);
    default:
        return set_tunnels(model, p);
    }
}

struct control_answer control_execute(struct control_model *model, const uint8_t *command,
                                      size_t len, uint64_t in_len)
{
    static struct control_model trial;
    struct control_answer answer = {.answered = len >= 2 && in_len >= 1, .ack = VIRTIO_NET_ERR};
    struct payload payload;
    unsigned reply = 0;

    if (!answer.answered) {
        return answer;
    }
    /* These have a structure in front of the acknowledgement, if there is room for both. */
    if (command[0] == VIRTIO_NET_CTRL_NOTF_COAL && command[1] == VIRTIO_NET_CTRL_NOTF_COAL_VQ_GET) {
        reply = CONTROL_REPLY_MAX;
    } else if (command[0] == VIRTNET_RSS_CTX_CTRL && command[1] == VIRTNET_RSS_CTX_CTRL_CAP_GET) {
        reply = 2;
    }
    answer.ack_at = in_len > reply ? reply : 0;
    payload = (struct payload){command + 2, len - 2};
    trial = *model;
    if (is_open(model, command[0], command[1]) && answer.ack_at == reply &&
        obey(&trial, command[0], command[1], &payload, in_len - 1, &answer)) {
        answer.ack = VIRTIO_NET_OK;
        *model = trial;
    }
    return answer;
}

/* ---- what follows for frames ---- */

static bool in_list(const struct control_list *list, const uint8_t *mac)
{
    for (unsigned i = 0; i < list->n; i++) {
        if (memcmp(list->mac[i], mac, 6) == 0) {
            return true;
        }
    }
    return list->overflow;
}

static bool mode(const struct control_model *model, unsigned command)
{
    return model->modes >> command & 1;
}

static bool destination_good(const struct control_model *model, const uint8_t *mac)
{
    static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

    if (memcmp(mac, broadcast, 6) == 0) {
        return !mode(model, VIRTIO_NET_CTRL_RX_NOBCAST);
    }
    if (mac[0] & 1) {
        return !mode(model, VIRTIO_NET_CTRL_RX_NOMULTI) &&
               (mode(model, VIRTIO_NET_CTRL_RX_ALLMULTI) || !has(model, VIRTIO_NET_F_CTRL_RX) ||
                in_list(&model->multicast, mac));
    }
    return !mode(model, VIRTIO_NET_CTRL_RX_NOUNI) &&
           (mode(model, VIRTIO_NET_CTRL_RX_ALLUNI) || memcmp(mac, model->mac, 6) == 0 ||
            in_list(&model->unicast, mac));
}

static bool vlan_good(const struct control_model *model, const uint8_t *octets)
{
    const unsigned type = octets[12] << 8 | octets[13];
    const unsigned id = (octets[14] & 0x0f) << 8 | octets[15];

    return !has(model, VIRTIO_NET_F_CTRL_VLAN) || (type != 0x8100 && type != 0x88a8) ||
           (model->vlans[id / 8] >> id % 8 & 1);
}

/* Offloads of a frame: without tunnels, and sound in themselves. */
static bool offloads_good(const struct control_model *model, const VionetFrame *frame)
{
    const bool ecn = frame->gso_type & VIRTIO_NET_HDR_GSO_ECN;

    if (frame->gso_type == VIRTIO_NET_HDR_GSO_NONE ||
        (frame->gso_type == VIRTIO_NET_HDR_GSO_ECN && offload(model, 9))) {
        return true;
    }
    if (!offload(model, 1) || (ecn && !offload(model, 9))) {
        return false;
    }
    switch (frame->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
    case VIRTIO_NET_HDR_GSO_TCPV4:
        return offload(model, 7);
    case VIRTIO_NET_HDR_GSO_TCPV6:
        return offload(model, 8);
    case VIRTIO_NET_HDR_GSO_UDP:
        return offload(model, 10);
    case VIRTIO_NET_HDR_GSO_UDP_L4:
        return offload(model, 54) || offload(model, 55);
    default:
        return false;
    }
}

VionetVerdict control_verdict(const struct control_model *model, const uint8_t *octets,
                              const VionetFrame *frame)
{
    if (!mode(model, VIRTIO_NET_CTRL_RX_PROMISC)) {
        if (!vlan_good(model, octets)) {
            return VIONET_DROP_VLAN;
        }
        if (!destination_good(model, octets)) {
            return VIONET_DROP_FILTER;
        }
    }
    return offloads_good(model, frame) ? VIONET_DELIVERED : VIONET_DROP_OFFLOAD;
}

bool control_completes(const struct control_model *model, const VionetFrame *frame)
{
    return (frame->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) && !offload(model, 1);
}
