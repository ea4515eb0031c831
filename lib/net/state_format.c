/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The format of saved state: the tables of its records, and the sections that they stand in (docs/state.md).
 * Called by state.c. What is read may come from anywhere: all lengths are held against what there is
 * before anything is allocated for them.
 *
 *     header    magic (8 octets), version (32 bits), sections (32), octets of all (64)
 *     section   name (16 octets), version (16), flags (16), index (32), octets that follow (32)
 */
#include "net/state.h"

#include <string.h>

#include "bytes.h"

#define MAGIC          "VIONETST"
#define MAGIC_LEN      8u
#define HEADER_VERSION 8u
#define HEADER_COUNT   12u
#define HEADER_LENGTH  16u
#define HEADER_SIZE    24u

#define NAME_LEN        16u
#define SECTION_VERSION 16u
#define SECTION_FLAGS   18u
#define SECTION_INDEX   20u
#define SECTION_LENGTH  24u
#define SECTION_SIZE    28u

#define FLAG_REQUIRED 1u

GQuark vionet_state_error_quark(void)
{
    return g_quark_from_static_string("vionet-state-error");
}

/* ---- the tables ---- */

/* clang-format off */
static const struct record_field config_fields[] = {
    RECORD_WORDS(struct state_config, features, "features offered: this device offers them too"),
    RECORD_WORDS(struct state_config, dialect, "of inner-header hashing, its name, then zeros"),
    RECORD_WORDS(struct state_config, mac, "MAC address that a reset gives back"),
    RECORD_WORD(struct state_config, max_pairs, 0, "queue pairs"),
    RECORD_WORD(struct state_config, receive_queue_size, 0, "descriptors, at most"),
    RECORD_WORD(struct state_config, transmit_queue_size, 0, "descriptors, at most"),
    RECORD_WORD(struct state_config, control_queue_size, 0, "descriptors, at most"),
    RECORD_WORD(struct state_config, mtu, 0, "as offered"),
    RECORD_WORD(struct state_config, speed, 0, "Mbit/s"),
    RECORD_WORD(struct state_config, duplex, 0, "0 half, 1 full, 255 unknown"),
    RECORD_WORD(struct state_config, rss_max_key_size, 0, "octets"),
    RECORD_WORD(struct state_config, rss_max_table, 0, "entries"),
    RECORD_WORD(struct state_config, hash_types, 0, "supported, without tunnels"),
    RECORD_WORD(struct state_config, tunnel_types, 0, "supported, in the dialect's own bits"),
    RECORD_WORD(struct state_config, notif_config_base, 0, "of queue_notif_config_data"),
    RECORD_WORD(struct state_config, max_rss_contexts, 0, "beside the default one"),
};

static const struct record_field device_fields[] = {
    RECORD_WORD(struct state_device, status, 0, "device status; DRIVER_OK not without FEATURES_OK or legacy"),
    RECORD_WORDS(struct state_device, driver_features,
                 "as the driver wrote them; negotiated once there is FEATURES_OK, or with placed"),
    RECORD_WORD(struct state_device, driver_beyond, 0,
                "a feature past bit 127 that the driver wrote, 0: none; not with FEATURES_OK"),
    RECORD_WORD(struct state_device, stuck, 1,
                "the driver broke the life cycle: nothing runs until reset"),
    RECORD_WORD(struct state_device, link_up, 1, "as the driver was told"),
    RECORD_WORD(struct state_device, announce, 1, "VIRTIO_NET_S_ANNOUNCE"),
    RECORD_WORD(struct state_device, config_dirty, 1,
                "the configuration space changed since the driver read it"),
    RECORD_WORD(struct state_device, config_due, 1, "and the driver has not been notified of it"),
    RECORD_WORD(struct state_device, config_generation, 0, "config_generation"),
    RECORD_WORDS(struct state_device, mac, "MAC address in the configuration space"),
    RECORD_WORD(struct state_device, offloads, 0,
                "receive offloads in force, as bits of VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET"),
    RECORD_WORD(struct state_device, receive_max_packets, 0, "coalescing of receive queues"),
    RECORD_WORD(struct state_device, receive_max_usecs, 0, "its time"),
    RECORD_WORD(struct state_device, transmit_max_packets, 0, "coalescing of transmit queues"),
    RECORD_WORD(struct state_device, transmit_max_usecs, 0, "its time"),
    RECORD_WORD_SINCE(struct state_device, legacy, 2, 1, "the driver uses the legacy interface"),
    RECORD_WORD_SINCE(struct state_device, big_endian, 2, 1, "and its guest is big-endian"),
    RECORD_WORD_SINCE(struct state_device, placed, 2, 1,
                      "it has written its features: there are the queues that these say"),
    RECORD_WORD_SINCE(struct state_device, early, 2, 1, "it used its queues before DRIVER_OK"),
};

static const struct record_field filter_fields[] = {
    RECORD_WORDS(struct state_filter, mac, "MAC address that frames are held against"),
    RECORD_WORD(struct state_filter, modes, 0x3f,
                "bit n: VIRTIO_NET_CTRL_RX command n is on, from PROMISC to NOBCAST"),
    RECORD_WORD(struct state_filter, vlan_filter, 1, "frames with a VLAN tag are held against vlans"),
    RECORD_WORD(struct state_filter, all_unicast, 1, "more addresses were given than are kept: all pass"),
    RECORD_WORD(struct state_filter, all_multicast, 1, "the same"),
    RECORD_LIST(struct state_filter, unicast, 8, 6, 0, "MAC table, up to 64"),
    RECORD_LIST(struct state_filter, multicast, 8, 6, 0, "MAC table, up to 64"),
    RECORD_WORDS(struct state_filter, vlans, "bit n % 32 of word n / 32: VLAN n passes"),
};

static const struct record_field steering_fields[] = {
    RECORD_WORD(struct state_steering, mode, 1, "0 automatic, 1 by table"),
    RECORD_WORD(struct state_steering, pairs, 0, "in use when automatic; 0 in contexts"),
    RECORD_WORD(struct state_steering, unclassified, 0, "pair of packets without a hash"),
    RECORD_WORD(struct state_steering, max_tx_vq, 0, "highest transmit queue that the driver uses"),
    RECORD_WORD(struct state_steering, hash_types, 0, "enabled, without tunnels"),
    RECORD_WORD(struct state_steering, tunnel_types, 0, "enabled, in the dialect's own bits"),
    RECORD_LIST(struct state_steering, key, 8, 1, 0, "octets of the key"),
    RECORD_LIST(struct state_steering, table, 16, 1, 0, "pairs, a power of two of them, or none"),
};

static const struct record_field queue_fields[] = {
    RECORD_WORD(struct state_queue, size, 0, "descriptors"),
    RECORD_WORD(struct state_queue, enabled, 1, "queue_enable"),
    RECORD_WORD(struct state_queue, broken, 1, "the driver broke a rule; with DEVICE_NEEDS_RESET only"),
    RECORD_WORD(struct state_queue, desc, 0, "address of the Descriptor Area"),
    RECORD_WORD(struct state_queue, driver, 0, "address of the Driver Area"),
    RECORD_WORD(struct state_queue, device, 0, "address of the Device Area"),
    RECORD_WORD(struct state_queue, resumes, 1, "it begins at base, and not at its beginning"),
    RECORD_WORD(struct state_queue, base, 0, "as vionet_device_write_queue_base() has it"),
    RECORD_WORD(struct state_queue, started, 1, "it stands where the following say; all 0 if not"),
    RECORD_WORD(struct state_queue, next_avail, 0,
                "next buffer to take: index, or with VIRTIO_F_RING_PACKED place in the ring"),
    RECORD_WORD(struct state_queue, avail_wrap, 1, "wrap counter of next_avail"),
    RECORD_WORD(struct state_queue, next_used, 0, "next buffer to show: index or place"),
    RECORD_WORD(struct state_queue, used_wrap, 1, "wrap counter of next_used"),
    RECORD_WORD(struct state_queue, told_valid, 1, "told_used counts"),
    RECORD_WORD(struct state_queue, told_used, 0, "next_used at the last decision on notifying"),
    RECORD_WORD(struct state_queue, untold, 0xffff, "places shown since that decision"),
    RECORD_WORD(struct state_queue, max_packets, 0, "coalescing"),
    RECORD_WORD(struct state_queue, max_usecs, 0, "its time"),
    RECORD_WORD(struct state_queue, pending, 0,
                "packets that the driver waits to be notified of: it is when the queue goes on"),
    RECORD_LIST(struct state_queue, out, 16, OUT_WORDS, 0,
                "buffers taken and not shown, in that order: id, and descriptors in the ring"),
};

static const struct record_field counters_fields[] = {
    RECORD_LIST(struct state_counters, counters, 64, 1, 0, "by VionetCounter"),
    RECORD_LIST(struct state_counters, verdicts, 64, 1, 0, "by VionetVerdict"),
};

static const struct record_field verdicts_fields[] = {
    RECORD_LIST(struct state_verdicts, verdicts, 64, 1, 0, "by VionetVerdict"),
};

static const struct record_field flows_fields[] = {
    RECORD_LIST(struct state_flows, flows, 16, FLOW_WORDS, 0,
                "entry (0 to 4095), and the pair that the driver sent on"),
};

#define RECORD(type, version, needed, text)                                                        \
    {#type, version, needed, sizeof(struct state_##type), type##_fields,                           \
     G_N_ELEMENTS(type##_fields), text}

const struct record state_records[STATE_KINDS] = {
    [STATE_CONFIG] = RECORD(config, 1, true, "What the driver can read and not change"),
    [STATE_DEVICE] = RECORD(device, 2, true, "Status, features, configuration space, offloads"),
    [STATE_FILTER] = RECORD(filter, 1, true, "Receive modes, MAC table, VLAN table"),
    [STATE_STEERING] = RECORD(steering, 1, true,
                              "Index 0: queue pairs, RSS, hash; index n: RSS context n"),
    [STATE_QUEUE] = RECORD(queue, 1, true, "By queue"),
    [STATE_COUNTERS] = RECORD(counters, 1, false, "By queue: what is counted since the last reset"),
    [STATE_VERDICTS] = RECORD(verdicts, 1, false, "Frames that had no queue, since the last reset"),
    [STATE_FLOWS] = RECORD(flows, 1, false, "What automatic steering has learnt"),
};
/* clang-format on */

/* ---- states ---- */

struct state *state_new(unsigned n_steering, unsigned n_queues)
{
    struct state *state = g_new0(struct state, 1);

    state->n_steering = n_steering;
    state->n_queues = n_queues;
    state->steering = g_new0(struct state_steering, n_steering);
    state->queues = g_new0(struct state_queue, n_queues);
    state->counters = g_new0(struct state_counters, n_queues);
    state->has_steering = g_new0(bool, n_steering);
    state->has_queue = g_new0(bool, n_queues);
    state->foreign = g_array_new(FALSE, FALSE, sizeof(struct state_foreign));
    return state;
}

/* The structure of a section, NULL if there is none of that index. */
static void *structure_at(const struct state *state, enum state_kind kind, uint32_t index)
{
    struct state *s = (struct state *)state;

    switch (kind) {
    case STATE_STEERING:
        return index < s->n_steering ? &s->steering[index] : NULL;
    case STATE_QUEUE:
        return index < s->n_queues ? &s->queues[index] : NULL;
    case STATE_COUNTERS:
        return index < s->n_queues ? &s->counters[index] : NULL;
    case STATE_CONFIG:
        return index == 0 ? &s->config : NULL;
    case STATE_DEVICE:
        return index == 0 ? &s->device : NULL;
    case STATE_FILTER:
        return index == 0 ? &s->filter : NULL;
    case STATE_VERDICTS:
        return index == 0 ? &s->verdicts : NULL;
    default:
        return index == 0 ? &s->flows : NULL;
    }
}

void state_free(struct state *state)
{
    for (unsigned kind = 0; kind < STATE_KINDS; kind++) {
        void *structure;

        for (uint32_t i = 0; (structure = structure_at(state, kind, i)) != NULL; i++) {
            record_clear(&state_records[kind], structure);
        }
    }
    g_free(state->steering);
    g_free(state->queues);
    g_free(state->counters);
    g_free(state->has_steering);
    g_free(state->has_queue);
    g_array_unref(state->foreign);
    g_free(state);
}

bool state_refuse(GError **error, VionetStateError code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (error) {
        *error = g_error_new_valist(VIONET_STATE_ERROR, (gint)code, format, args);
    }
    va_end(args);
    return false;
}

/* ---- writing ---- */

void state_write_section(GByteArray *octets, const char *name, unsigned version, bool required,
                         uint32_t index, const uint8_t *payload, size_t len)
{
    uint8_t head[SECTION_SIZE] = {0};

    memcpy(head, name, strnlen(name, NAME_LEN - 1));
    put_le16(head + SECTION_VERSION, (uint16_t)version);
    put_le16(head + SECTION_FLAGS, required ? FLAG_REQUIRED : 0);
    put_le32(head + SECTION_INDEX, index);
    put_le32(head + SECTION_LENGTH, (uint32_t)len);
    g_byte_array_append(octets, head, sizeof(head));
    g_byte_array_append(octets, payload, (guint)len);
    put_le32(octets->data + HEADER_COUNT, get_le32(octets->data + HEADER_COUNT) + 1);
}

static bool is_there(const struct state *state, enum state_kind kind, uint32_t index)
{
    switch (kind) {
    case STATE_STEERING:
        return state->has_steering[index];
    case STATE_QUEUE:
    case STATE_COUNTERS:
        return state->has_queue[index];
    default:
        return true;
    }
}

GByteArray *state_write(const struct state *state)
{
    GByteArray *octets = g_byte_array_new();
    GByteArray *payload = g_byte_array_new();
    uint8_t head[HEADER_SIZE] = {0};

    memcpy(head, MAGIC, MAGIC_LEN);
    put_le32(head + HEADER_VERSION, VIONET_STATE_VERSION);
    g_byte_array_append(octets, head, sizeof(head));
    for (unsigned kind = 0; kind < STATE_KINDS; kind++) {
        const struct record *record = &state_records[kind];
        const void *structure;

        for (uint32_t i = 0; (structure = structure_at(state, kind, i)) != NULL; i++) {
            if (is_there(state, kind, i)) {
                g_byte_array_set_size(payload, 0);
                record_write(record, structure, payload);
                state_write_section(octets, record->name, record->version, record->required, i,
                                    payload->data, payload->len);
            }
        }
    }
    g_byte_array_unref(payload);
    return octets;
}

void state_finish(GByteArray *octets)
{
    put_le64(octets->data + HEADER_LENGTH, octets->len);
}

/* ---- reading ---- */

struct section {
    char name[NAME_LEN];
    unsigned version;
    bool required;
    uint32_t index;
    const uint8_t *octets;
    size_t len;
};

static bool read_header(const uint8_t *octets, size_t len, uint32_t *n_sections, GError **error)
{
    if (len < HEADER_SIZE || memcmp(octets, MAGIC, MAGIC_LEN) != 0) {
        return state_refuse(error, VIONET_STATE_ERROR_FORMAT, "this is not the state of a device");
    }
    if (get_le32(octets + HEADER_VERSION) > VIONET_STATE_VERSION) {
        return state_refuse(error, VIONET_STATE_ERROR_VERSION,
                            "state of version %u: this library reads versions up to %u",
                            get_le32(octets + HEADER_VERSION), VIONET_STATE_VERSION);
    }
    if (get_le32(octets + HEADER_VERSION) == 0 || get_le64(octets + HEADER_LENGTH) != len) {
        return state_refuse(error, VIONET_STATE_ERROR_FORMAT, "the state was cut or garbled");
    }
    *n_sections = get_le32(octets + HEADER_COUNT);
    return true;
}

/* Small letters, digits and hyphens, then zeros. */
static bool is_name(const char name[NAME_LEN])
{
    const size_t n = strnlen(name, NAME_LEN);

    for (size_t i = 0; i < NAME_LEN; i++) {
        const bool fits = g_ascii_islower(name[i]) || g_ascii_isdigit(name[i]) || name[i] == '-';

        if (i < n ? !fits : name[i] != 0) {
            return false;
        }
    }
    return n > 0 && n < NAME_LEN;
}

/* The section at *octets, which is moved behind it. */
static bool next_section(const uint8_t **octets, size_t *len, struct section *section,
                         GError **error)
{
    const uint8_t *p = *octets;

    if (*len < SECTION_SIZE || get_le32(p + SECTION_LENGTH) > *len - SECTION_SIZE) {
        return state_refuse(error, VIONET_STATE_ERROR_FORMAT, "the state was cut or garbled");
    }
    memcpy(section->name, p, NAME_LEN);
    section->version = get_le16(p + SECTION_VERSION);
    section->required = get_le16(p + SECTION_FLAGS) & FLAG_REQUIRED;
    section->index = get_le32(p + SECTION_INDEX);
    section->octets = p + SECTION_SIZE;
    section->len = get_le32(p + SECTION_LENGTH);
    if (!is_name(section->name) || section->version == 0 ||
        (get_le16(p + SECTION_FLAGS) & ~FLAG_REQUIRED)) {
        return state_refuse(error, VIONET_STATE_ERROR_FORMAT, "the head of a section is garbled");
    }
    *octets += SECTION_SIZE + section->len;
    *len -= SECTION_SIZE + section->len;
    return true;
}

static enum state_kind kind_of(const char *name)
{
    unsigned kind = 0;

    while (kind < STATE_KINDS && strcmp(name, state_records[kind].name) != 0) {
        kind++;
    }
    return kind;
}

static bool read_own(struct state *state, enum state_kind kind, const struct section *section,
                     GError **error)
{
    const struct record *record = &state_records[kind];
    void *structure = structure_at(state, kind, section->index);

    if (section->version > record->version) {
        return !(section->required || record->required) ||
               state_refuse(error, VIONET_STATE_ERROR_VERSION,
                            "section %s of version %u: this library reads versions up to %u",
                            record->name, section->version, record->version);
    }
    if (!structure) {
        return state_refuse(error, VIONET_STATE_ERROR_VALUE,
                            "section %s: there is none of index %u in this device", record->name,
                            section->index);
    }
    if (kind == STATE_STEERING) {
        state->has_steering[section->index] = true;
    } else if (kind == STATE_QUEUE) {
        state->has_queue[section->index] = true;
    }
    return record_read(record, section->version, section->octets, section->len, structure, error);
}

static bool read_foreign(struct state *state, const struct section *section, GError **error)
{
    struct state_foreign foreign = {.version = (uint16_t)section->version,
                                    .required = section->required,
                                    .octets = section->octets,
                                    .len = section->len};

    if (section->index != 0) {
        return !section->required ||
               state_refuse(error, VIONET_STATE_ERROR_SECTION, "section %s of index %u",
                            section->name, section->index);
    }
    memcpy(foreign.name, section->name, NAME_LEN);
    g_array_append_val(state->foreign, foreign);
    return true;
}

/* Each section once. */
static bool is_new(GHashTable *seen, const struct section *section, GError **error)
{
    char *key = g_strdup_printf("%s %u", section->name, section->index);

    return g_hash_table_add(seen, key) ||
           state_refuse(error, VIONET_STATE_ERROR_SECTION, "section %s, index %u, is there twice",
                        section->name, section->index);
}

/* So many sections, and nothing behind them. */
static bool read_sections(struct state *state, const uint8_t *octets, size_t len,
                          uint32_t n_sections, GError **error)
{
    GHashTable *seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    bool good = true;

    while (good && n_sections-- > 0) {
        struct section section;
        enum state_kind kind;

        good = next_section(&octets, &len, &section, error) && is_new(seen, &section, error);
        if (good) {
            kind = kind_of(section.name);
            good = kind < STATE_KINDS ? read_own(state, kind, &section, error)
                                      : read_foreign(state, &section, error);
        }
    }
    if (good && len > 0) {
        good = state_refuse(error, VIONET_STATE_ERROR_FORMAT, "more follows the last section");
    }
    for (unsigned kind = 0; good && kind < STATE_KINDS; kind++) {
        char *first = g_strdup_printf("%s 0", state_records[kind].name);

        if (state_records[kind].required && !g_hash_table_contains(seen, first)) {
            good = state_refuse(error, VIONET_STATE_ERROR_SECTION, "section %s is missing",
                                state_records[kind].name);
        }
        g_free(first);
    }
    g_hash_table_unref(seen);
    return good;
}

struct state *state_read(const uint8_t *octets, size_t len, unsigned n_steering, unsigned n_queues,
                         GError **error)
{
    struct state *state;
    uint32_t n_sections = 0;

    if (!read_header(octets, len, &n_sections, error)) {
        return NULL;
    }
    state = state_new(n_steering, n_queues);
    if (!read_sections(state, octets + HEADER_SIZE, len - HEADER_SIZE, n_sections, error)) {
        state_free(state);
        return NULL;
    }
    return state;
}
