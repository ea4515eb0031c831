/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of properties and the kinds of values that they take; see property.h. Called by
 * properties.c. The dialect in VionetProperties stands before any other property is read.
 */
#include "property.h"

#include <inttypes.h>
#include <string.h>

#define VIONET_SPEC_NO_STRUCTS
#include <vionet/spec.h>

#include "options.h"

/* ---- Members ---- */

static void store(const struct property *property, VionetProperties *to, uint64_t value)
{
    char *member = (char *)to + property->offset;
    const uint8_t u8 = (uint8_t)value;
    const uint16_t u16 = (uint16_t)value;
    const uint32_t u32 = (uint32_t)value;

    switch (property->width) {
    case sizeof(u8):
        memcpy(member, &u8, sizeof(u8));
        break;
    case sizeof(u16):
        memcpy(member, &u16, sizeof(u16));
        break;
    default:
        memcpy(member, &u32, sizeof(u32));
        break;
    }
}

static uint64_t load(const struct property *property, const VionetProperties *from)
{
    const char *member = (const char *)from + property->offset;
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;

    switch (property->width) {
    case sizeof(u8):
        memcpy(&u8, member, sizeof(u8));
        return u8;
    case sizeof(u16):
        memcpy(&u16, member, sizeof(u16));
        return u16;
    default:
        memcpy(&u32, member, sizeof(u32));
        return u32;
    }
}

/* ---- Switches ---- */

bool property_read_switch(const char *text, bool *on)
{
    static const char *const words[][2] = {
        {"off", "on"}, {"no", "yes"}, {"false", "true"}, {"n", "y"}};

    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        if (strcmp(text, words[i][0]) == 0 || strcmp(text, words[i][1]) == 0) {
            *on = strcmp(text, words[i][1]) == 0;
            return true;
        }
    }
    return false;
}

static bool read_switch(const struct property *property, const char *text, VionetProperties *to)
{
    bool on;

    if (!property_read_switch(text, &on)) {
        return false;
    }
    store(property, to, on != property->negated);
    return true;
}

static char *show_switch(const struct property *property, const VionetProperties *from)
{
    return g_strdup((load(property, from) != 0) != property->negated ? "on" : "off");
}

static char *expect_switch(const struct property *property, const VionetProperties *to)
{
    (void)property;
    (void)to;
    return g_strdup("on or off");
}

static const struct property_kind switch_kind = {read_switch, show_switch, expect_switch};

/* ---- Numbers, and words that stand for numbers ---- */

static bool read_word(const struct property *property, const char *text, uint64_t *value)
{
    for (const struct property_word *word = property->words; word && word->name; word++) {
        if (strcmp(text, word->name) == 0) {
            *value = word->value;
            return true;
        }
    }
    return false;
}

static bool read_digits(const struct property *property, const char *text, uint64_t *value)
{
    return property->max > 0 && options_number(text, property->min, property->max, value) &&
           !(property->power_of_two && (*value & (*value - 1)) != 0);
}

static bool read_number(const struct property *property, const char *text, VionetProperties *to)
{
    uint64_t value;

    if (!read_word(property, text, &value) && !read_digits(property, text, &value)) {
        return false;
    }
    store(property, to, value);
    return true;
}

static void append_digits(GString *text, const struct property *property, uint64_t value)
{
    if (property->hexadecimal) {
        g_string_append_printf(text, "0x%04" PRIx64, value);
    } else {
        g_string_append_printf(text, "%" PRIu64, value);
    }
}

static char *show_number(const struct property *property, const VionetProperties *from)
{
    const uint64_t value = load(property, from);
    GString *text;

    for (const struct property_word *word = property->words; word && word->name; word++) {
        if (word->value == value) {
            return g_strdup(word->name);
        }
    }
    text = g_string_new(NULL);
    append_digits(text, property, value);
    return g_string_free(text, FALSE);
}

static char *expect_number(const struct property *property, const VionetProperties *to)
{
    GString *text = g_string_new(property->power_of_two ? "a power of two from " : NULL);

    (void)to;
    if (property->max > 0) {
        append_digits(text, property, property->min);
        g_string_append(text, " to ");
        append_digits(text, property, property->max);
    }
    for (const struct property_word *word = property->words; word && word->name; word++) {
        g_string_append_printf(text, "%s%s", text->len ? " or " : "", word->name);
    }
    return g_string_free(text, FALSE);
}

static const struct property_kind number_kind = {read_number, show_number, expect_number};

static const struct property_word zero_too[] = {{"0", 0}, {NULL, 0}};
static const struct property_word auto_vectors[] = {{"auto", VIONET_PCI_VECTORS_AUTO}, {NULL, 0}};
static const struct property_word unknown_speed[] = {{"unknown", VIRTIO_NET_SPEED_UNKNOWN},
                                                     {NULL, 0}};
static const struct property_word duplexes[] = {{"half", VIRTIO_NET_DUPLEX_HALF},
                                                {"full", VIRTIO_NET_DUPLEX_FULL},
                                                {"unknown", VIRTIO_NET_DUPLEX_UNKNOWN},
                                                {NULL, 0}};

static const struct property_word endians[] = {{"little", false}, {"big", true}, {NULL, 0}};

/* ---- The MAC address ---- */

static bool read_mac(const struct property *property, const char *text, VionetProperties *to)
{
    static const uint8_t zero[6];
    uint8_t mac[6];

    if (!properties_read_mac(text, mac) || (mac[0] & 1) != 0 ||
        memcmp(mac, zero, sizeof(zero)) == 0) {
        return false;
    }
    memcpy((char *)to + property->offset, mac, sizeof(mac));
    return true;
}

static char *show_mac(const struct property *property, const VionetProperties *from)
{
    const uint8_t *mac = (const uint8_t *)from + property->offset;

    return g_strdup_printf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
                           mac[5]);
}

static char *expect_mac(const struct property *property, const VionetProperties *to)
{
    (void)property;
    (void)to;
    return g_strdup("six octets such as 52:54:00:12:34:56, not a group address, not all zero");
}

static const struct property_kind mac_kind = {read_mac, show_mac, expect_mac};

/* ---- The dialect of inner-header hashing ---- */

/*
 * A dialect has features of its own, so they start afresh with it. Nothing else may have been read.
 */
static bool read_dialect(const struct property *property, const char *text, VionetProperties *to)
{
    const VionetDialect *dialect = vionet_dialect_find(text);
    const VionetFeature *feature;

    (void)property;
    if (!dialect) {
        return false;
    }
    to->config.dialect = dialect;
    to->config.tunnel_types = dialect->all_types;
    memset(to->config.features, 0, sizeof(to->config.features));
    for (unsigned i = 0; (feature = vionet_feature_at(dialect, i)) != NULL; i++) {
        vionet_features_set(to->config.features, feature->bit, feature->by_default);
    }
    return true;
}

static char *show_dialect(const struct property *property, const VionetProperties *from)
{
    const VionetDialect *dialect = from->config.dialect;

    (void)property;
    return g_strdup(dialect->feature >= 0 &&
                            vionet_features_test(from->config.features, (unsigned)dialect->feature)
                        ? dialect->name
                        : "off");
}

static char *expect_dialect(const struct property *property, const VionetProperties *to)
{
    GString *text = g_string_new(NULL);
    const VionetDialect *dialect;

    (void)property;
    (void)to;
    for (unsigned i = 0; (dialect = vionet_dialect_at(i)) != NULL; i++) {
        g_string_append_printf(text, "%s%s", i > 0 ? " or " : "", dialect->name);
    }
    return g_string_free(text, FALSE);
}

static const struct property_kind dialect_kind = {read_dialect, show_dialect, expect_dialect};

/* ---- Masks, as names joined by plus signs ---- */

static const char *tunnel_type_name(const VionetDialect *dialect, unsigned i, uint32_t *bit)
{
    for (unsigned j = 0; j < i; j++) {
        if (!dialect->types[j].name) {
            return NULL;
        }
    }
    *bit = dialect->types[i].bit;
    return dialect->types[i].name;
}

static const char *hash_type_name(const VionetDialect *dialect, unsigned i, uint32_t *bit)
{
    const char *name = vionet_report_name(i + 1);

    (void)dialect;
    *bit = i < 32 ? UINT32_C(1) << i : 0;
    return strcmp(name, vionet_report_name(0)) == 0 ? NULL : name;
}

/* Names are written in lower case with hyphens, whatever the specification's spelling. */
static char *as_written(const char *name)
{
    return g_strdelimit(g_ascii_strdown(name, -1), "_", '-');
}

static uint32_t mask_all(property_mask_name *mask_name, const VionetDialect *dialect)
{
    uint32_t all = 0;
    uint32_t bit;

    for (unsigned i = 0; mask_name(dialect, i, &bit) != NULL; i++) {
        all |= bit;
    }
    return all;
}

/* The bit of a name as a user writes it, 0 if there is none. */
static uint32_t mask_bit(property_mask_name *mask_name, const VionetDialect *dialect,
                         const char *text)
{
    const char *name;
    uint32_t bit;

    for (unsigned i = 0; (name = mask_name(dialect, i, &bit)) != NULL; i++) {
        char *written = as_written(name);
        const bool same = strcmp(written, text) == 0;

        g_free(written);
        if (same) {
            return bit;
        }
    }
    return 0;
}

static bool read_mask_names(const struct property *property, const VionetDialect *dialect,
                            char *const *names, uint32_t *mask)
{
    for (*mask = 0; *names; names++) {
        const uint32_t bit = mask_bit(property->mask_name, dialect, *names);

        if (bit == 0) {
            return false;
        }
        *mask |= bit;
    }
    return *mask != 0;
}

static bool read_mask(const struct property *property, const char *text, VionetProperties *to)
{
    const VionetDialect *dialect = to->config.dialect;
    uint32_t mask = 0;
    bool ok = true;

    if (strcmp(text, "all") == 0) {
        mask = mask_all(property->mask_name, dialect);
    } else if (strcmp(text, "none") != 0) {
        char **names = g_strsplit(text, "+", -1);

        ok = read_mask_names(property, dialect, names, &mask);
        g_strfreev(names);
    }
    store(property, to, mask);
    return ok;
}

static void append_names(GString *text, property_mask_name *mask_name, const VionetDialect *dialect,
                         uint32_t mask)
{
    const size_t start = text->len;
    const char *name;
    uint32_t bit;

    for (unsigned i = 0; (name = mask_name(dialect, i, &bit)) != NULL; i++) {
        if (mask & bit) {
            char *written = as_written(name);

            g_string_append_printf(text, "%s%s", text->len > start ? "+" : "", written);
            g_free(written);
        }
    }
}

static char *show_mask(const struct property *property, const VionetProperties *from)
{
    const VionetDialect *dialect = from->config.dialect;
    const uint32_t all = mask_all(property->mask_name, dialect);
    const uint32_t mask = (uint32_t)load(property, from) & all;
    GString *text = g_string_new(NULL);

    if (mask == all || mask == 0) {
        g_string_append(text, mask ? "all" : "none");
    } else {
        append_names(text, property->mask_name, dialect, mask);
    }
    return g_string_free(text, FALSE);
}

static char *expect_mask(const struct property *property, const VionetProperties *to)
{
    GString *text = g_string_new("all, none, or some of ");

    append_names(text, property->mask_name, to->config.dialect, UINT32_MAX);
    return g_string_free(text, FALSE);
}

static const struct property_kind mask_kind = {read_mask, show_mask, expect_mask};

/* ---- The table ---- */

#define AT(member)                                \
    .offset = offsetof(VionetProperties, member), \
    .width = sizeof(((const VionetProperties *)NULL)->member)
#define SWITCH(member)           .kind = &switch_kind, AT(member)
#define NUMBER(member, from, to) .kind = &number_kind, AT(member), .min = (from), .max = (to)
#define WORD(member, list)       .kind = &number_kind, AT(member), .words = (list)
#define MASK(member, names)      .kind = &mask_kind, AT(member), .mask_name = (names)

static const struct property rows[] = {
    {"mac", "MAC address", .kind = &mac_kind, AT(config.mac), .makes_on = VIRTIO_NET_F_MAC},
    {"queues", "queue pairs; more than 1 turns on mq, unless it is off, or rss then",
     NUMBER(config.max_pairs, 1, VIONET_MAX_PAIRS), .makes_on = PROPERTY_MAKES_NOTHING},
    {"rx_queue_size", "descriptors of a receive queue",
     NUMBER(config.receive_queue_size, 2, VIONET_MAX_QUEUE_SIZE), .power_of_two = true,
     .makes_on = PROPERTY_MAKES_NOTHING},
    {"tx_queue_size", "descriptors of a transmit queue",
     NUMBER(config.transmit_queue_size, 2, VIONET_MAX_QUEUE_SIZE), .power_of_two = true,
     .makes_on = PROPERTY_MAKES_NOTHING},
    {"ctrl_queue_size", "descriptors of the control queue",
     NUMBER(config.control_queue_size, 2, VIONET_MAX_QUEUE_SIZE), .power_of_two = true,
     .makes_on = PROPERTY_MAKES_NOTHING},
    {"host_mtu", "MTU in octets that the driver is told", NUMBER(config.mtu, 68, 65535),
     .makes_on = VIRTIO_NET_F_MTU},
    {"speed", "link speed in Mbit/s that the driver is told", NUMBER(config.speed, 0, G_MAXINT32),
     .words = unknown_speed, .makes_on = VIRTIO_NET_F_SPEED_DUPLEX},
    {"duplex", "link mode that the driver is told", WORD(config.duplex, duplexes),
     .makes_on = VIRTIO_NET_F_SPEED_DUPLEX},
    {"link", "whether the link is up at first", SWITCH(config.link_up),
     .makes_on = PROPERTY_MAKES_NOTHING},
    {"max-frame", "octets of the largest frame", NUMBER(config.max_frame, 1514, VIONET_MAX_FRAME),
     .makes_on = PROPERTY_MAKES_NOTHING},
    {"rss-key-size", "octets of the longest hash key", NUMBER(config.rss_max_key_size, 40, 255),
     .makes_on = PROPERTY_MAKES_NOTHING},
    {"rss-table", "entries of the largest indirection table",
     NUMBER(config.rss_max_table, 128, 32768), .power_of_two = true,
     .makes_on = PROPERTY_MAKES_NOTHING},
    {"rss-contexts", "RSS configurations beside the default one, with rss_context",
     NUMBER(config.max_rss_contexts, 1, VIONET_MAX_RSS_CONTEXTS),
     .makes_on = PROPERTY_MAKES_NOTHING},
    {"hash-types", "hash types supported, joined by plus signs",
     MASK(config.hash_types, hash_type_name), .makes_on = PROPERTY_MAKES_NOTHING},
    {"hash-tunnel", "inner-header hashing: ratified, or as in a draft", .kind = &dialect_kind,
     AT(config.dialect), .makes_on = PROPERTY_MAKES_DIALECT},
    {"tunnel-types", "tunnel types supported, of that dialect, joined by plus signs",
     MASK(config.tunnel_types, tunnel_type_name), .makes_on = PROPERTY_MAKES_DIALECT},
    {"vectors", "MSI-X vectors, 0 for none", NUMBER(pci.n_vectors, 0, VIONET_PCI_MAX_VECTORS),
     .words = auto_vectors, .makes_on = PROPERTY_MAKES_NOTHING},
    {"notify-multiplier", "octets from one queue's notification address to the next's",
     NUMBER(pci.notify_multiplier, 2, 65536), .power_of_two = true, .words = zero_too,
     .makes_on = PROPERTY_MAKES_NOTHING},
    {"notify-data", "identifier in notifications, as in the draft of January 2020",
     NUMBER(pci.notify_data, 0, 0xffff), .hexadecimal = true,
     .makes_on = VIRTIO_F_NOTIFICATION_DATA},
    {"notify-data-lenient", "with notify-data: take the queue's index as well",
     SWITCH(pci.notify_data_lenient), .makes_on = PROPERTY_MAKES_NOTHING},
    {"notif-config-base", "queue q's identifier in notifications is this plus q",
     NUMBER(config.notif_config_base, 0, 0xffff), .hexadecimal = true,
     .makes_on = VIRTIO_F_NOTIF_CONFIG_DATA},
    {"poll-us", "how long a transmit queue is polled after its last frame, in microseconds",
     NUMBER(poll_us, 0, 1000000), .makes_on = PROPERTY_MAKES_NOTHING},
    {"threads", "a thread for each queue pair; the backend has to have as many queues",
     SWITCH(threads), .makes_on = PROPERTY_MAKES_NOTHING},
    {"disable-legacy", "no legacy interface: off makes a transitional device", SWITCH(pci.legacy),
     .negated = true, .makes_on = PROPERTY_MAKES_NOTHING},
    {"disable-modern", "no modern interface, with disable-legacy=off", SWITCH(pci.no_modern),
     .makes_on = PROPERTY_MAKES_NOTHING},
    {"legacy-endian", "order of octets of the guest, for a legacy driver",
     WORD(pci.legacy_big_endian, endians), .makes_on = PROPERTY_MAKES_NOTHING},
    {"subsystem-vendor", "PCI subsystem vendor", NUMBER(pci.subsystem_vendor, 0, 0xffff),
     .hexadecimal = true, .makes_on = PROPERTY_MAKES_NOTHING},
    {"subsystem-device", "PCI subsystem device", NUMBER(pci.subsystem_device, 0x40, 0xffff),
     .hexadecimal = true, .makes_on = PROPERTY_MAKES_NOTHING},
};

const struct property *property_at(unsigned i)
{
    return i < G_N_ELEMENTS(rows) ? &rows[i] : NULL;
}

const struct property *property_find(const char *name)
{
    const struct property *property;

    for (unsigned i = 0; (property = property_at(i)) != NULL; i++) {
        if (strcmp(property->name, name) == 0) {
            return property;
        }
    }
    return NULL;
}

bool property_is_switch(const struct property *property)
{
    return property->kind == &switch_kind;
}
