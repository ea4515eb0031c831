/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dialects of inner-header hashing: the rows walked and held against tables copied from the
 * texts, then what each makes of features, configuration space, commands and packet headers, through
 * the whole device. Hashes are expected from the reference.
 */
#include <string.h>

#include <glib.h>

#include <vionet/spec.h>
#include <vionet/transport.h>

#include "machine/machine.h"
#include "reference/reference.h"

#define ALL_HASH_TYPES 0x1ffu

static const uint8_t key[40] = {
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
    0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
    0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

static const VionetDialect *find(const char *name)
{
    const VionetDialect *dialect = vionet_dialect_find(name);

    g_assert_nonnull(dialect);
    return dialect;
}

/* ---- the rows ---- */

static unsigned n_bits(uint64_t mask)
{
    return (unsigned)__builtin_popcountll(mask);
}

static void test_names(void)
{
    GHashTable *seen = g_hash_table_new(g_str_hash, g_str_equal);
    const VionetDialect *dialect;
    unsigned n = 0;

    for (; (dialect = vionet_dialect_at(n)) != NULL; n++) {
        g_assert_true(g_hash_table_add(seen, (void *)dialect->name));
        g_assert_true(vionet_dialect_find(dialect->name) == dialect);
    }
    g_assert_cmpuint(n, ==, 4);
    g_assert_null(vionet_dialect_at(n + 1));
    g_assert_null(vionet_dialect_at(UINT_MAX));
    g_assert_null(vionet_dialect_find(""));
    g_assert_null(vionet_dialect_find("draft"));
    g_assert_null(vionet_dialect_find("Ratified"));
    g_assert_cmpstr(vionet_dialect_at(0)->name, ==, "ratified");
    g_hash_table_unref(seen);
}

static void check_type(const VionetDialect *dialect, const VionetTunnelType *type)
{
    g_assert_cmpuint(n_bits(type->bit), ==, 1);
    g_assert_cmphex(type->bit & ~dialect->all_types, ==, 0);
    g_assert_cmphex(type->bit & dialect->always_types, ==, 0);
    g_assert_cmphex(type->tunnels, !=, 0);
    g_assert_cmphex(type->tunnels & ~VIONET_TUNNEL_ALL, ==, 0);
    g_assert_true(dialect->reports_tunnel == (type->report != 0));
    for (const VionetTunnelType *other = dialect->types; other != type; other++) {
        g_assert_cmpstr(other->name, !=, type->name);
        g_assert_cmphex(other->bit, !=, type->bit);
        g_assert_true(!dialect->reports_tunnel || other->report != type->report);
    }
}

static void test_types_of_a_row(void)
{
    const VionetDialect *dialect;

    for (unsigned i = 0; (dialect = vionet_dialect_at(i)) != NULL; i++) {
        uint32_t types = dialect->always_types;

        for (const VionetTunnelType *type = dialect->types; type->name; type++) {
            check_type(dialect, type);
            types |= type->bit;
        }
        g_assert_cmphex(types, ==, dialect->all_types);
    }
}

/* A mask comes in by one way, or by none where there is no feature. */
static void test_columns_go_together(void)
{
    const VionetDialect *dialect;

    for (unsigned i = 0; (dialect = vionet_dialect_at(i)) != NULL; i++) {
        const unsigned ways =
            dialect->types_in_hash_types + dialect->types_after_key + dialect->types_by_command;

        g_assert_cmpuint(ways, ==, dialect->feature >= 0);
        g_assert_true(dialect->feature >= 0 || !dialect->all_types);
        g_assert_true(dialect->feature >= 0 || !dialect->config_field);
        g_assert_true(!(dialect->config_field && dialect->types_in_hash_types));
        if (dialect->types_in_hash_types) {
            g_assert_cmphex(dialect->all_types & ALL_HASH_TYPES, ==, 0);
        }
    }
}

/* The tables of the three texts: names, bits, reports, feature bits. */
static const struct {
    const char *dialect;
    int feature;
    uint32_t all;
    const char *name;
    uint32_t bit;
    uint8_t report;
} texts[] = {
    {"draft-v7", 52, 0xe00, "gre", 1 << 9, 1},      {"draft-v7", 52, 0xe00, "vxlan", 1 << 10, 2},
    {"draft-v7", 52, 0xe00, "geneve", 1 << 11, 3},  {"draft-v10", 52, 0x3f, "gre", 1 << 1, 0},
    {"draft-v10", 52, 0x3f, "vxlan", 1 << 2, 0},    {"draft-v10", 52, 0x3f, "geneve", 1 << 3, 0},
    {"draft-v10", 52, 0x3f, "ipip", 1 << 4, 0},     {"draft-v10", 52, 0x3f, "nvgre", 1 << 5, 0},
    {"ratified", 51, 0x1ff, "gre-2784", 1 << 0, 0}, {"ratified", 51, 0x1ff, "gre-2890", 1 << 1, 0},
    {"ratified", 51, 0x1ff, "gre-7676", 1 << 2, 0}, {"ratified", 51, 0x1ff, "gre-udp", 1 << 3, 0},
    {"ratified", 51, 0x1ff, "vxlan", 1 << 4, 0},    {"ratified", 51, 0x1ff, "vxlan-gpe", 1 << 5, 0},
    {"ratified", 51, 0x1ff, "geneve", 1 << 6, 0},   {"ratified", 51, 0x1ff, "ipip", 1 << 7, 0},
    {"ratified", 51, 0x1ff, "nvgre", 1 << 8, 0},
};

static const VionetTunnelType *type_named(const VionetDialect *dialect, const char *name)
{
    for (const VionetTunnelType *type = dialect->types; type->name; type++) {
        if (strcmp(type->name, name) == 0) {
            return type;
        }
    }
    return NULL;
}

static void test_bits_of_the_texts(void)
{
    const VionetDialect *dialect;
    unsigned n = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        const VionetTunnelType *type = type_named(find(texts[i].dialect), texts[i].name);

        g_assert_nonnull(type);
        g_assert_cmphex(type->bit, ==, texts[i].bit);
        g_assert_cmpuint(type->report, ==, texts[i].report);
        g_assert_cmpint(find(texts[i].dialect)->feature, ==, texts[i].feature);
        g_assert_cmphex(find(texts[i].dialect)->all_types, ==, texts[i].all);
    }
    for (unsigned i = 0; (dialect = vionet_dialect_at(i)) != NULL; i++) {
        for (const VionetTunnelType *type = dialect->types; type->name; type++) {
            n++;
        }
    }
    g_assert_cmpuint(n, ==, G_N_ELEMENTS(texts));
    g_assert_cmphex(find("draft-v10")->always_types, ==, VIRTIO_NET_HASH_TUNNEL_V10_NONE);
}

/* A mask enables what its bits enable, each by itself, and bits that are no type nothing. */
static void test_masks(void)
{
    const VionetDialect *dialect;

    for (unsigned i = 0; (dialect = vionet_dialect_at(i)) != NULL; i++) {
        g_assert_cmphex(vionet_dialect_tunnels(dialect, 0), ==, 0);
        g_assert_cmphex(vionet_dialect_tunnels(dialect, ~dialect->all_types), ==, 0);
        g_assert_cmphex(vionet_dialect_tunnels(dialect, dialect->always_types), ==, 0);
        for (uint32_t mask = 0; mask < 1 << 12; mask++) {
            unsigned tunnels = 0;

            for (const VionetTunnelType *type = dialect->types; type->name; type++) {
                tunnels |= mask & type->bit ? type->tunnels : 0;
            }
            g_assert_cmphex(vionet_dialect_tunnels(dialect, mask), ==, tunnels);
        }
    }
}

/* Every encapsulation is somebody's, and all of them are the ratified text's. */
static void test_all_encapsulations_are_ratified(void)
{
    g_assert_cmphex(vionet_dialect_tunnels(find("ratified"), 0x1ff), ==, VIONET_TUNNEL_ALL);
    g_assert_cmphex(vionet_dialect_tunnels(find("off"), UINT32_MAX), ==, 0);
}

static void test_tunnel_reports(void)
{
    const VionetDialect *dialect;

    for (unsigned i = 0; (dialect = vionet_dialect_at(i)) != NULL; i++) {
        g_assert_cmpuint(vionet_dialect_report(dialect, 0), ==, 0);
        for (unsigned tunnels = 1; tunnels <= VIONET_TUNNEL_ALL; tunnels++) {
            const unsigned report = vionet_dialect_report(dialect, tunnels);
            const unsigned gre = VIONET_TUNNEL_GRE_2784 | VIONET_TUNNEL_GRE_2890 |
                                 VIONET_TUNNEL_GRE_7676 | VIONET_TUNNEL_NVGRE;

            if (!dialect->reports_tunnel) {
                g_assert_cmpuint(report, ==, 0);
            } else if (tunnels == VIONET_TUNNEL_VXLAN) {
                g_assert_cmpuint(report, ==, VIRTIO_NET_HASH_REPORT_VXLAN);
            } else if (tunnels == VIONET_TUNNEL_GENEVE) {
                g_assert_cmpuint(report, ==, VIRTIO_NET_HASH_REPORT_GENEVE);
            } else if (!(tunnels & ~gre)) {
                g_assert_cmpuint(report, ==, VIRTIO_NET_HASH_REPORT_GRE);
            }
        }
    }
}

/* ---- features ---- */

static const VionetFeature *feature_of(const VionetDialect *dialect, unsigned bit)
{
    const VionetFeature *feature;

    for (unsigned i = 0; (feature = vionet_feature_at(dialect, i)) != NULL; i++) {
        if (feature->bit == bit) {
            return feature;
        }
    }
    return NULL;
}

/* Bit 52 is either draft's hash_tunnel, else VQ_NOTF_COAL; bit 51 is the ratified text's alone. */
static void test_one_bit_two_meanings(void)
{
    const VionetDialect *dialect;

    for (unsigned i = 0; (dialect = vionet_dialect_at(i)) != NULL; i++) {
        const bool draft = dialect->feature == 52;

        g_assert_cmpstr(feature_of(dialect, 52)->property, ==,
                        draft ? "hash-tunnel" : "vq_notf_coal");
        g_assert_true(!feature_of(dialect, 51) == (dialect->feature != 51));
        for (unsigned j = 0; vionet_feature_at(dialect, j); j++) {
            for (unsigned k = 0; k < j; k++) {
                g_assert_cmpuint(vionet_feature_at(dialect, j)->bit, !=,
                                 vionet_feature_at(dialect, k)->bit);
            }
        }
    }
}

/* What the device is made with, and which of it the driver takes. */
struct wanted {
    const char *dialect;
    bool rss;
    bool report;
    bool tunnel; /* the driver takes the dialect's feature */
};

static void fill_setup(struct machine_setup *setup, const char *name)
{
    const VionetDialect *dialect = find(name);

    machine_setup_init(setup);
    setup->device.dialect = dialect;
    setup->device.tunnel_types = dialect->all_types;
    setup->device.max_pairs = 2;
    vionet_features_set(setup->device.features, VIRTIO_NET_F_MQ, true);
    vionet_features_set(setup->device.features, VIRTIO_NET_F_RSS, true);
    vionet_features_set(setup->device.features, VIRTIO_NET_F_HASH_REPORT, true);
    if (dialect->feature >= 0) {
        vionet_features_set(setup->device.features, (unsigned)dialect->feature, true);
    }
}

static struct machine *machine_of(const struct machine_setup *setup)
{
    GError *error = NULL;
    struct machine *machine = machine_new(setup, &error);

    g_assert_no_error(error);
    return machine;
}

static bool boot(struct machine *machine, const struct wanted *wanted)
{
    struct guest_features features = features_known();
    const int feature = find(wanted->dialect)->feature;

    if (!wanted->rss) {
        features_remove(&features, VIRTIO_NET_F_RSS);
    }
    if (!wanted->report) {
        features_remove(&features, VIRTIO_NET_F_HASH_REPORT);
    }
    if (!wanted->tunnel && feature >= 0) {
        features_remove(&features, (unsigned)feature);
    }
    return machine_boot(machine, features) &&
           net_control_rx(machine->net, VIRTIO_NET_CTRL_RX_PROMISC, true) == VIRTIO_NET_OK;
}

static struct machine *booted(const struct wanted *wanted)
{
    struct machine_setup setup;
    struct machine *machine;

    fill_setup(&setup, wanted->dialect);
    machine = machine_of(&setup);
    g_assert_true(boot(machine, wanted));
    return machine;
}

static struct machine *booted_with_all(const char *dialect)
{
    const struct wanted all = {dialect, true, true, true};

    return booted(&all);
}

/* Whether a device can be made with nothing but these features and the dialect's. */
static bool can_offer(const VionetDialect *dialect, const unsigned *features, size_t n)
{
    struct machine_setup setup;
    struct machine *machine;
    GError *error = NULL;

    fill_setup(&setup, dialect->name);
    setup.device.max_pairs = 1;
    memset(setup.device.features, 0, sizeof(setup.device.features));
    vionet_features_set(setup.device.features, VIRTIO_F_VERSION_1, true);
    vionet_features_set(setup.device.features, (unsigned)dialect->feature, true);
    for (size_t i = 0; i < n; i++) {
        vionet_features_set(setup.device.features, features[i], true);
    }
    machine = machine_new(&setup, &error);
    if (machine) {
        machine_free(machine);
        return true;
    }
    g_assert_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG);
    g_error_free(error);
    return false;
}

static void test_prerequisites_of_the_offer(void)
{
    static const unsigned rss[] = {VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_RSS};
    static const unsigned report[] = {VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_HASH_REPORT};
    const VionetDialect *dialect;

    for (unsigned i = 0; (dialect = vionet_dialect_at(i)) != NULL; i++) {
        if (dialect->feature < 0) {
            continue;
        }
        g_assert_true(can_offer(dialect, rss, 2));
        g_assert_true(can_offer(dialect, report, 2));
        g_assert_false(can_offer(dialect, report + 1, 1));
        g_assert_false(can_offer(dialect, NULL, 0));
        /* Nothing in these dialects would set hash types then. */
        g_assert_true(dialect->is_hash_feature || !can_offer(dialect, rss, 1));
    }
}

/* The driver may not take it without CTRL_VQ either. */
static void test_prerequisites_of_the_acceptance(void)
{
    static const char *const names[] = {"draft-v7", "draft-v10", "ratified"};

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        struct machine_setup setup;
        struct machine *machine;
        struct guest_features features = features_of(VIRTIO_F_VERSION_1, VIRTIO_NET_F_HASH_REPORT,
                                                     find(names[i])->feature, FEATURES_END);

        fill_setup(&setup, names[i]);
        machine = machine_of(&setup);
        g_assert_false(machine_boot(machine, features));
        g_assert_nonnull(machine_violation(machine, VIONET_VIOLATION_FEATURES_DEPENDENCY));
        machine_free(machine);
    }
}

/* A dialect's device does not offer the bit that another dialect uses. */
static void test_foreign_features_are_refused(void)
{
    static const struct {
        const char *dialect;
        unsigned bit;
    } foreign[] = {{"draft-v7", 51}, {"draft-v10", 51}, {"off", 51}};

    for (size_t i = 0; i < G_N_ELEMENTS(foreign); i++) {
        struct machine_setup setup;
        GError *error = NULL;

        fill_setup(&setup, foreign[i].dialect);
        vionet_features_set(setup.device.features, foreign[i].bit, true);
        g_assert_null(machine_new(&setup, &error));
        g_assert_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG);
        g_error_free(error);
    }
}

/* ---- configuration space ---- */

static void test_config_fields(void)
{
    static const struct {
        const char *dialect;
        uint32_t hash_types;
        uint32_t tunnel_types;
    } fields[] = {
        {"draft-v7", 0xfff, 0},
        {"draft-v10", 0x1ff, 0x3f},
        {"ratified", 0x1ff, 0x1ff},
        {"off", 0x1ff, 0},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++) {
        struct machine *machine = booted_with_all(fields[i].dialect);
        const struct net_config *config = &machine->driver->config;

        g_assert_cmphex(config->supported_hash_types, ==, fields[i].hash_types);
        g_assert_cmphex(config->supported_tunnel_types, ==, fields[i].tunnel_types);
        g_assert_cmpuint(config->rss_max_key_size, >=, 40);
        machine_finish(machine);
    }
}

/* Only what is configured is shown, but draft 10's NONE always. */
static void test_config_fields_of_a_subset(void)
{
    static const struct {
        const char *dialect;
        uint32_t configured;
        uint32_t hash_types;
        uint32_t tunnel_types;
    } fields[] = {
        {"draft-v7", 1 << 10, 0x1ff | 1 << 10, 0},
        {"draft-v10", 1 << 3, 0x1ff, 1 << 3 | 1},
        {"ratified", 1 << 6, 0x1ff, 1 << 6},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++) {
        struct machine_setup setup;
        struct machine *machine;

        fill_setup(&setup, fields[i].dialect);
        setup.device.tunnel_types = fields[i].configured;
        machine = machine_of(&setup);
        g_assert_true(machine_boot(machine, features_known()));
        g_assert_cmphex(machine->driver->config.supported_hash_types, ==, fields[i].hash_types);
        g_assert_cmphex(machine->driver->config.supported_tunnel_types, ==, fields[i].tunnel_types);
        machine_finish(machine);
    }
}

/* Without the feature the fields are not there. */
static void test_config_fields_without_the_feature(void)
{
    static const char *const names[] = {"draft-v7", "draft-v10", "ratified"};

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        struct machine_setup setup;
        struct machine *machine;

        fill_setup(&setup, names[i]);
        vionet_features_set(setup.device.features, (unsigned)setup.device.dialect->feature, false);
        machine = machine_of(&setup);
        g_assert_true(machine_boot(machine, features_known()));
        g_assert_cmphex(machine->driver->config.supported_hash_types, ==, 0x1ff);
        g_assert_cmphex(machine->driver->config.supported_tunnel_types, ==, 0);
        machine_finish(machine);
    }
}

static struct net_rss usual(const char *dialect, uint32_t hash_types, uint32_t tunnel_types);

static uint32_t hash_types_shown(struct machine *machine)
{
    uint8_t octets[4];

    vionet_device_config_read(machine->device, 20, octets, 4);
    return octets[0] | (uint32_t)octets[1] << 8 | (uint32_t)octets[2] << 16 |
           (uint32_t)octets[3] << 24;
}

/*
 * A driver that does not know draft 7 takes every type that it is shown (Linux 6.1), and would be
 * refused: from FEATURES_OK on it is not shown the draft's.
 */
static void test_config_fields_of_a_driver_without_the_feature(void)
{
    const struct wanted without = {"draft-v7", true, true, false};
    const struct wanted with = {"draft-v7", true, true, true};
    struct machine_setup setup;
    struct machine *machine;
    uint8_t generation;

    fill_setup(&setup, "draft-v7");
    machine = machine_of(&setup);
    for (unsigned round = 0; round < 2; round++) {
        struct net_rss rss = usual("draft-v7", 0x1ff, 0);

        g_assert_cmphex(hash_types_shown(machine), ==, 0xfff);
        generation = vionet_device_config_generation(machine->device);
        g_assert_true(boot(machine, &without));
        g_assert_cmphex(hash_types_shown(machine), ==, 0x1ff);
        g_assert_cmpuint(vionet_device_config_generation(machine->device), !=, generation);
        rss.hash_types = hash_types_shown(machine);
        g_assert_cmpint(net_control_rss(machine->net, &rss), ==, VIRTIO_NET_OK);
        g_assert_true(boot(machine, &with));
        g_assert_cmphex(hash_types_shown(machine), ==, 0xfff);
        g_assert_true(guest_driver_reset(machine->driver));
    }
    machine_finish(machine);
}

/* ---- frames ---- */

#define MACS 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2
/* IPv4 and IPv6 headers by total or payload length, protocol and last octet of the addresses. */
#define IP4(len, protocol, ends) \
    0x45, 0, 0, (len), 0, 0, 0, 0, 64, (protocol), 0, 0, 10, 0, 0, (ends), 10, 0, 0, (ends) + 1
#define IP6(len, next, ends)                                                                  \
    0x60, 0, 0, 0, 0, (len), (next), 64, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
        (ends), 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, (ends) + 1
#define TCP(sport)          0, (sport), 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0, 0, 0, 0, 0, 0, 0
#define UDP(len, high, low) 0xc0, 1, (high), (low), 0, (len), 0, 0
#define INNER               IP4(40, 6, 50), TCP(77) /* 40 octets */
#define VXLAN_HEADER        8, 0, 0, 0, 0, 0, 7, 0
#define FRAME(...)          (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

/* Packets, and the names of their types in each dialect that has them. */
static const struct packet {
    const char *name;
    const uint8_t *octets;
    size_t len;
    const char *types[3]; /* draft-v7, draft-v10, ratified */
} packets[] = {
    {"plain tcp", FRAME(MACS, 8, 0, INNER), {"", "", ""}},
    {"plain tcp over ipv6", FRAME(MACS, 0x86, 0xdd, IP6(20, 6, 70), TCP(9)), {"", "", ""}},
    {"gre", FRAME(MACS, 8, 0, IP4(64, 47, 10), 0, 0, 8, 0, INNER), {"gre", "gre", "gre-2784"}},
    {"gre with key",
     FRAME(MACS, 8, 0, IP4(68, 47, 11), 0x20, 0, 8, 0, 1, 2, 3, 4, INNER),
     {"gre", "gre", "gre-2890"}},
    {"gre over ipv6",
     FRAME(MACS, 0x86, 0xdd, IP6(44, 47, 12), 0, 0, 8, 0, INNER),
     {"gre", "gre", "gre-7676"}},
    {"nvgre",
     FRAME(MACS, 8, 0, IP4(82, 47, 13), 0x20, 0, 0x65, 0x58, 0, 0, 9, 0, MACS, 8, 0, INNER),
     {"gre", "gre nvgre", "gre-2890 nvgre"}},
    {"gre in udp",
     FRAME(MACS, 8, 0, IP4(72, 17, 14), UDP(52, 0x12, 0x92), 0, 0, 8, 0, INNER),
     {"", "", "gre-udp"}},
    {"vxlan",
     FRAME(MACS, 8, 0, IP4(90, 17, 15), UDP(70, 0x12, 0xb5), VXLAN_HEADER, MACS, 8, 0, INNER),
     {"vxlan", "vxlan", "vxlan"}},
    {"vxlan-gpe",
     FRAME(MACS, 8, 0, IP4(90, 17, 16), UDP(70, 0x12, 0xb6), VXLAN_HEADER, MACS, 8, 0, INNER),
     {"", "", "vxlan-gpe"}},
    {"geneve",
     FRAME(MACS, 8, 0, IP4(76, 17, 17), UDP(56, 0x17, 0xc1), 0, 0, 8, 0, 0, 0, 7, 0, INNER),
     {"geneve", "geneve", "geneve"}},
    {"ipip", FRAME(MACS, 8, 0, IP4(60, 4, 18), INNER), {"", "ipip", "ipip"}},
    {"arp in vxlan",
     FRAME(MACS, 8, 0, IP4(72, 17, 19), UDP(52, 0x12, 0xb5), VXLAN_HEADER, MACS, 8, 6, 0, 1, 8, 0,
           6, 4, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0),
     {"vxlan", "vxlan", "vxlan"}},
    {"vxlan in vxlan",
     FRAME(MACS, 8, 0, IP4(140, 17, 20), UDP(120, 0x12, 0xb5), VXLAN_HEADER, MACS, 8, 0,
           IP4(90, 17, 30), UDP(70, 0x12, 0xb5), VXLAN_HEADER, MACS, 8, 0, INNER),
     {"vxlan", "vxlan", "vxlan"}},
    {"gre version 1", FRAME(MACS, 8, 0, IP4(64, 47, 21), 0, 1, 8, 0, INNER), {"", "", ""}},
    {"udp inside udp port 4755",
     FRAME(MACS, 8, 0, IP4(72, 17, 22), UDP(52, 0x12, 0x93), 0, 0, 8, 0, INNER),
     {"", "", ""}},
};

static size_t column_of(const char *dialect)
{
    return strcmp(dialect, "draft-v7") == 0 ? 0 : strcmp(dialect, "draft-v10") == 0 ? 1 : 2;
}

static uint32_t types_of(const struct packet *packet, const char *dialect)
{
    char **names = g_strsplit(packet->types[column_of(dialect)], " ", -1);
    uint32_t types = 0;

    for (char **name = names; *name && strcmp(dialect, "off") != 0; name++) {
        const VionetTunnelType *type = type_named(find(dialect), *name);

        types |= type ? type->bit : 0;
    }
    g_strfreev(names);
    return types;
}

/* What the reference says of the inner or outer packet. Draft 7's tunnel is added. */
static struct reference_result expected_of(const struct packet *packet, const char *dialect,
                                           uint32_t hash_types, uint32_t enabled)
{
    const uint32_t types = types_of(packet, dialect) & enabled;
    struct reference_result result;

    /* Any mask that has a type of the packet gives its inner header in the ratified dialect. */
    reference_hash(packet->octets, packet->len, types ? REFERENCE_RATIFIED : REFERENCE_OFF,
                   hash_types, types ? 0x1ff : 0, key, sizeof(key), &result);
    result.tunnel = 0;
    if (strcmp(dialect, "draft-v7") == 0 && result.report) {
        result.tunnel = types & 1 << 9 ? 1 : types & 1 << 10 ? 2 : types & 1 << 11 ? 3 : 0;
    }
    return result;
}

/* Delivers the packet and takes it; the raw header stays until the next one. */
static struct guest_packet through(struct machine *machine, const struct packet *packet)
{
    struct guest_packet received;

    g_assert_cmpuint(machine_deliver(machine, packet->octets, packet->len), ==, VIONET_DELIVERED);
    g_assert_true(net_receive(machine->net, &received));
    return received;
}

/* Every packet is hashed as this mask and these hash types have it. */
static void assert_hashed(struct machine *machine, const char *dialect, uint32_t hash_types,
                          uint32_t enabled)
{
    for (size_t i = 0; i < G_N_ELEMENTS(packets); i++) {
        const struct reference_result expected =
            expected_of(&packets[i], dialect, hash_types, enabled);
        const struct guest_packet received = through(machine, &packets[i]);

        g_test_message("%s, mask 0x%x", packets[i].name, enabled);
        g_assert_cmpuint(received.header.hash_report, ==, expected.report);
        g_assert_cmphex(received.header.hash_value, ==, expected.hash);
        g_assert_cmpuint(received.header.hash_report_tunnel, ==, expected.tunnel);
        g_assert_cmpuint(received.raw_header[18], ==, expected.tunnel);
        g_assert_cmpuint(received.raw_header[19], ==, 0);
    }
}

/* ---- configuring ---- */

static struct net_rss usual(const char *dialect, uint32_t hash_types, uint32_t tunnel_types)
{
    const VionetDialect *row = find(dialect);

    return (struct net_rss){
        .hash_types = hash_types | (row->types_in_hash_types ? tunnel_types : 0),
        .table_len = 2,
        .max_tx_vq = 2,
        .key = key,
        .key_len = sizeof(key),
        .has_tunnel_types = row->types_after_key,
        .tunnel_types = tunnel_types,
    };
}

/* Hash types and mask by RSS_CONFIG, and by HASH_TUNNEL_SET where that is the way. */
static int configure(struct machine *machine, const char *dialect, uint32_t hash_types,
                     uint32_t tunnel_types)
{
    const struct net_rss rss = usual(dialect, hash_types, tunnel_types);
    const int ack = net_control_rss(machine->net, &rss);

    return ack == VIRTIO_NET_OK && find(dialect)->types_by_command
               ? net_control_hash_tunnel(machine->net, tunnel_types)
               : ack;
}

static void test_each_type_alone(const void *data)
{
    const char *dialect = data;
    struct machine *machine = booted_with_all(dialect);

    for (const VionetTunnelType *type = find(dialect)->types; type->name; type++) {
        g_assert_cmpint(configure(machine, dialect, ALL_HASH_TYPES, type->bit), ==, VIRTIO_NET_OK);
        assert_hashed(machine, dialect, ALL_HASH_TYPES, type->bit);
    }
    g_assert_cmpint(configure(machine, dialect, ALL_HASH_TYPES, find(dialect)->all_types), ==,
                    VIRTIO_NET_OK);
    assert_hashed(machine, dialect, ALL_HASH_TYPES, find(dialect)->all_types);
    machine_finish(machine);
}

/* No hash type, no hash, and no tunnel in the report; no fall-back to the outer header either. */
static void test_hash_types_decide(const void *data)
{
    static const uint32_t types[] = {0, VIRTIO_NET_HASH_TYPE_UDPv4, VIRTIO_NET_HASH_TYPE_IPv4,
                                     VIRTIO_NET_HASH_TYPE_TCPv4 | VIRTIO_NET_HASH_TYPE_TCPv6};
    const char *dialect = data;
    struct machine *machine = booted_with_all(dialect);

    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        g_assert_cmpint(configure(machine, dialect, types[i], find(dialect)->all_types), ==,
                        VIRTIO_NET_OK);
        assert_hashed(machine, dialect, types[i], find(dialect)->all_types);
    }
    machine_finish(machine);
}

/* Initially, after a mask of 0, and after a reset: outer headers. */
static void test_off_at_first_and_after_reset(const void *data)
{
    const char *dialect = data;
    const struct wanted all = {dialect, true, true, true};
    struct machine *machine = booted_with_all(dialect);

    for (unsigned round = 0; round < 2; round++) {
        const struct net_rss rss = usual(dialect, ALL_HASH_TYPES, 0);

        assert_hashed(machine, dialect, 0, 0); /* nothing at all yet */
        g_assert_cmpint(net_control_rss(machine->net, &rss), ==, VIRTIO_NET_OK);
        assert_hashed(machine, dialect, ALL_HASH_TYPES, 0);
        g_assert_cmpint(configure(machine, dialect, ALL_HASH_TYPES, find(dialect)->all_types), ==,
                        VIRTIO_NET_OK);
        assert_hashed(machine, dialect, ALL_HASH_TYPES, find(dialect)->all_types);
        g_assert_cmpint(configure(machine, dialect, ALL_HASH_TYPES, 0), ==, VIRTIO_NET_OK);
        assert_hashed(machine, dialect, ALL_HASH_TYPES, 0);
        g_assert_cmpint(configure(machine, dialect, ALL_HASH_TYPES, find(dialect)->all_types), ==,
                        VIRTIO_NET_OK);
        g_assert_true(boot(machine, &all));
    }
    machine_finish(machine);
}

/* A driver that leaves the feature is hashed for by outer headers, and cannot set a mask. */
static void test_not_negotiated(const void *data)
{
    const char *dialect = data;
    const struct wanted wanted = {dialect, true, true, false};
    struct machine *machine = booted(&wanted);
    const struct net_rss plain = usual("off", ALL_HASH_TYPES, 0);
    const struct net_rss with_mask = usual(dialect, ALL_HASH_TYPES, find(dialect)->all_types);

    g_assert_cmpint(net_control_hash_tunnel(machine->net, find(dialect)->all_types), ==,
                    VIRTIO_NET_ERR);
    if (!find(dialect)->types_by_command) {
        g_assert_cmpint(net_control_rss(machine->net, &with_mask), ==, VIRTIO_NET_ERR);
        g_assert_cmpint(net_control_hash(machine->net, &with_mask), ==, VIRTIO_NET_ERR);
    }
    assert_hashed(machine, dialect, 0, 0);
    g_assert_cmpint(net_control_rss(machine->net, &plain), ==, VIRTIO_NET_OK);
    assert_hashed(machine, dialect, ALL_HASH_TYPES, 0);
    machine_finish(machine);
}

/* A mask with an unsupported bit is answered ERR, and the one before it stands. */
static void test_unsupported_types(const void *data)
{
    const char *dialect = data;
    const VionetDialect *row = find(dialect);
    const uint32_t supported = type_named(row, "vxlan")->bit;
    struct machine_setup setup;
    struct machine *machine;
    const struct wanted all = {dialect, true, true, true};

    fill_setup(&setup, dialect);
    setup.device.tunnel_types = supported;
    machine = machine_of(&setup);
    g_assert_true(boot(machine, &all));
    g_assert_cmpint(configure(machine, dialect, ALL_HASH_TYPES, supported), ==, VIRTIO_NET_OK);
    for (unsigned bit = 9; bit < 41; bit++) {
        const uint32_t wrong = UINT32_C(1) << bit % 32;

        if (wrong & (supported | row->always_types) ||
            (row->types_in_hash_types && wrong <= ALL_HASH_TYPES)) {
            continue;
        }
        if (row->types_by_command) {
            g_assert_cmpint(net_control_hash_tunnel(machine->net, wrong), ==, VIRTIO_NET_ERR);
            g_assert_cmpint(net_control_hash_tunnel(machine->net, wrong | supported), ==,
                            VIRTIO_NET_ERR);
        } else {
            const struct net_rss rss = usual(dialect, 0, wrong);

            g_assert_cmpint(net_control_rss(machine->net, &rss), ==, VIRTIO_NET_ERR);
            g_assert_cmpint(net_control_hash(machine->net, &rss), ==, VIRTIO_NET_ERR);
        }
    }
    assert_hashed(machine, dialect, ALL_HASH_TYPES, supported);
    machine_finish(machine);
}

/* ---- the commands' layout ---- */

/* An octet string of a command, cut short or with octets behind it. */
static int spoiled(struct machine *machine, uint8_t command, GByteArray *octets, int more)
{
    static const uint8_t zeroes[8];
    int ack;

    g_byte_array_append(octets, zeroes, sizeof(zeroes));
    ack = net_control(machine->net, VIRTIO_NET_CTRL_MQ, command, octets->data,
                      (uint32_t)((int)octets->len - (int)sizeof(zeroes) + more), NULL, 0);
    g_byte_array_unref(octets);
    return ack;
}

/*
 * The length of RSS_CONFIG and HASH_CONFIG is exact, with the mask in it or not as the dialect has
 * it: an octet too few or too many, or the four of the other dialect, are refused. Behind a key that
 * nothing follows one octet may stand, as Linux 6.16 and later send it.
 */
static void test_exact_length(const void *data)
{
    const char *dialect = data;
    struct machine *machine = booted_with_all(dialect);
    const struct net_rss rss = usual(dialect, ALL_HASH_TYPES, find(dialect)->all_types);
    const int most = find(dialect)->types_after_key ? 0 : 1;

    for (int more = -5; more <= 5; more++) {
        const int expected = more < 0 || more > most ? VIRTIO_NET_ERR : VIRTIO_NET_OK;

        g_assert_cmpint(spoiled(machine, VIRTIO_NET_CTRL_MQ_RSS_CONFIG, net_rss_encode(&rss), more),
                        ==, expected);
        g_assert_cmpint(
            spoiled(machine, VIRTIO_NET_CTRL_MQ_HASH_CONFIG, net_hash_encode(&rss), more), ==,
            expected);
    }
    machine_finish(machine);
}

/* Draft 10: the mask stands right behind a key of any length, at whatever offset that is. */
static void test_mask_behind_keys_of_every_length(void)
{
    static const char *const dialect = "draft-v10";
    struct machine *machine = booted_with_all(dialect);
    struct net_rss rss = usual(dialect, VIRTIO_NET_HASH_TYPE_IPv4, 1 << 2);

    for (uint8_t len = 1; len <= 40; len++) {
        for (unsigned command = 0; command < 2; command++) {
            struct reference_result expected;
            struct guest_packet received;
            const struct packet *vxlan = &packets[7];

            rss.key_len = len;
            g_assert_cmpint(command ? net_control_hash(machine->net, &rss)
                                    : net_control_rss(machine->net, &rss),
                            ==, VIRTIO_NET_OK);
            reference_hash(vxlan->octets, vxlan->len, REFERENCE_DRAFT_V10, 1, 1 << 2, key, len,
                           &expected);
            received = through(machine, vxlan);
            g_assert_cmpuint(received.header.hash_report, ==, VIRTIO_NET_HASH_REPORT_IPv4);
            g_assert_cmphex(received.header.hash_value, ==, expected.hash);
        }
    }
    machine_finish(machine);
}

/* Draft 10: NONE means outer, alone; beside another bit it means nothing. */
static void test_none_bit(void)
{
    static const char *const dialect = "draft-v10";
    struct machine *machine = booted_with_all(dialect);

    g_assert_cmpint(configure(machine, dialect, ALL_HASH_TYPES, 0x3f), ==, VIRTIO_NET_OK);
    g_assert_cmpint(configure(machine, dialect, ALL_HASH_TYPES, 1), ==, VIRTIO_NET_OK);
    assert_hashed(machine, dialect, ALL_HASH_TYPES, 0);
    g_assert_cmpint(configure(machine, dialect, ALL_HASH_TYPES, 1 | 1 << 3), ==, VIRTIO_NET_OK);
    assert_hashed(machine, dialect, ALL_HASH_TYPES, 1 << 3);
    machine_finish(machine);
}

/* Draft 10: both commands carry the mask, and the last one decides. */
static void test_last_command_decides(void)
{
    static const char *const dialect = "draft-v10";
    struct machine *machine = booted_with_all(dialect);
    const struct net_rss gre = usual(dialect, ALL_HASH_TYPES, 1 << 1);
    const struct net_rss vxlan = usual(dialect, VIRTIO_NET_HASH_TYPE_IPv4, 1 << 2);

    g_assert_cmpint(net_control_rss(machine->net, &gre), ==, VIRTIO_NET_OK);
    assert_hashed(machine, dialect, ALL_HASH_TYPES, 1 << 1);
    g_assert_cmpint(net_control_hash(machine->net, &vxlan), ==, VIRTIO_NET_OK);
    assert_hashed(machine, dialect, VIRTIO_NET_HASH_TYPE_IPv4, 1 << 2);
    g_assert_cmpint(net_control_rss(machine->net, &gre), ==, VIRTIO_NET_OK);
    assert_hashed(machine, dialect, ALL_HASH_TYPES, 1 << 1);
    machine_finish(machine);
}

/* Draft 10 without RSS takes the mask by HASH_CONFIG. */
static void test_hash_config_without_rss(void)
{
    static const char *const dialect = "draft-v10";
    const struct wanted wanted = {dialect, false, true, true};
    struct machine *machine = booted(&wanted);
    const struct net_rss hash = usual(dialect, ALL_HASH_TYPES, 1 << 3 | 1 << 4);

    g_assert_cmpint(net_control_rss(machine->net, &hash), ==, VIRTIO_NET_ERR);
    g_assert_cmpint(net_control_hash(machine->net, &hash), ==, VIRTIO_NET_OK);
    assert_hashed(machine, dialect, ALL_HASH_TYPES, 1 << 3 | 1 << 4);
    machine_finish(machine);
}

/* Draft 10's feature is a reason of its own to configure hashes; the other dialects' is not. */
static void test_feature_alone(void)
{
    static const struct {
        const char *dialect;
        int ack;
    } rows[] = {{"draft-v10", VIRTIO_NET_OK}, {"draft-v7", VIRTIO_NET_ERR}};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const struct wanted wanted = {rows[i].dialect, false, false, true};
        struct machine *machine = booted(&wanted);
        const struct net_rss hash = usual(rows[i].dialect, ALL_HASH_TYPES, 0);

        g_assert_cmpint(net_control_hash(machine->net, &hash), ==, rows[i].ack);
        g_assert_cmpuint(through(machine, &packets[0]).len, ==, packets[0].len);
        machine_finish(machine);
    }
}

static void test_reserved_of_hash_config(void)
{
    static const char *const dialect = "draft-v10";
    struct machine *machine = booted_with_all(dialect);
    const struct net_rss hash = usual(dialect, ALL_HASH_TYPES, 1 << 3);

    for (unsigned at = 4; at < 10; at++) {
        GByteArray *octets = net_hash_encode(&hash);

        octets->data[at] = 0x80;
        g_assert_cmpint(spoiled(machine, VIRTIO_NET_CTRL_MQ_HASH_CONFIG, octets, 0), ==,
                        VIRTIO_NET_ERR);
    }
    assert_hashed(machine, dialect, 0, 0);
    machine_finish(machine);
}

/* Ratified: the command takes four octets; fewer are refused, more are passed over. */
static void test_tunnel_command_lengths(void)
{
    struct machine *machine = booted_with_all("ratified");
    const struct net_rss rss = usual("ratified", ALL_HASH_TYPES, 0);
    const uint8_t payload[8] = {1 << 4, 0, 0, 0, 0xff, 0xff, 0xff, 0xff};

    g_assert_cmpint(net_control_rss(machine->net, &rss), ==, VIRTIO_NET_OK);
    for (uint32_t len = 0; len < 4; len++) {
        g_assert_cmpint(net_control(machine->net, VIRTIO_NET_CTRL_HASH_TUNNEL,
                                    VIRTIO_NET_CTRL_HASH_TUNNEL_SET, payload, len, NULL, 0),
                        ==, VIRTIO_NET_ERR);
        assert_hashed(machine, "ratified", ALL_HASH_TYPES, 0);
    }
    for (uint32_t len = 4; len <= sizeof(payload); len++) {
        g_assert_cmpint(net_control_hash_tunnel(machine->net, 0), ==, VIRTIO_NET_OK);
        g_assert_cmpint(net_control(machine->net, VIRTIO_NET_CTRL_HASH_TUNNEL,
                                    VIRTIO_NET_CTRL_HASH_TUNNEL_SET, payload, len, NULL, 0),
                        ==, VIRTIO_NET_OK);
        assert_hashed(machine, "ratified", ALL_HASH_TYPES, 1 << 4);
    }
    machine_finish(machine);
}

/* Ratified: the mask stays over other commands, until it is set anew. */
static void test_mask_outlives_rss_config(void)
{
    struct machine *machine = booted_with_all("ratified");
    struct net_rss rss = usual("ratified", ALL_HASH_TYPES, 0);

    g_assert_cmpint(net_control_hash_tunnel(machine->net, 1 << 6), ==, VIRTIO_NET_OK);
    g_assert_cmpint(net_control_rss(machine->net, &rss), ==, VIRTIO_NET_OK);
    assert_hashed(machine, "ratified", ALL_HASH_TYPES, 1 << 6);
    rss.hash_types = VIRTIO_NET_HASH_TYPE_IPv4;
    g_assert_cmpint(net_control_rss(machine->net, &rss), ==, VIRTIO_NET_OK);
    assert_hashed(machine, "ratified", VIRTIO_NET_HASH_TYPE_IPv4, 1 << 6);
    g_assert_cmpint(net_control_hash(machine->net, &rss), ==, VIRTIO_NET_OK);
    assert_hashed(machine, "ratified", VIRTIO_NET_HASH_TYPE_IPv4, 1 << 6);
    machine_finish(machine);
}

/* The ratified command does not exist in the other dialects. */
static void test_tunnel_command_is_ratified(void)
{
    static const char *const names[] = {"draft-v7", "draft-v10", "off"};

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        struct machine *machine = booted_with_all(names[i]);

        g_assert_cmpint(net_control_hash_tunnel(machine->net, 0), ==, VIRTIO_NET_ERR);
        machine_finish(machine);
    }
}

/* Draft 7: with inner hashing but without HASH_REPORT there is no field, and steering still works. */
static void test_steering_without_report(const void *data)
{
    const char *dialect = data;
    const struct wanted wanted = {dialect, true, false, true};
    struct machine *machine = booted(&wanted);
    const uint32_t all = find(dialect)->all_types;

    g_assert_cmpint(configure(machine, dialect, ALL_HASH_TYPES, all), ==, VIRTIO_NET_OK);
    g_assert_cmpuint(net_header_size(machine->net), ==, 12);
    for (size_t i = 0; i < G_N_ELEMENTS(packets); i++) {
        const struct reference_result expected =
            expected_of(&packets[i], dialect, ALL_HASH_TYPES, all);

        g_assert_cmpuint(through(machine, &packets[i]).pair, ==,
                         expected.report ? expected.hash & 1 : 0);
    }
    machine_finish(machine);
}

static void add_for_each(const char *path, GTestDataFunc function)
{
    static const char *const names[] = {"draft-v7", "draft-v10", "ratified"};

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        char *whole = g_strdup_printf("/dialect/%s/%s", names[i], path);

        g_test_add_data_func(whole, names[i], function);
        g_free(whole);
    }
}

static void add_row_tests(void)
{
    g_test_add_func("/dialect/rows/names-are-unique", test_names);
    g_test_add_func("/dialect/rows/types-are-unique-and-make-up-the-mask", test_types_of_a_row);
    g_test_add_func("/dialect/rows/columns-go-together", test_columns_go_together);
    g_test_add_func("/dialect/rows/bits-and-reports-of-the-texts", test_bits_of_the_texts);
    g_test_add_func("/dialect/rows/masks-enable-what-their-bits-do", test_masks);
    g_test_add_func("/dialect/rows/ratified-has-every-encapsulation",
                    test_all_encapsulations_are_ratified);
    g_test_add_func("/dialect/rows/tunnel-reports", test_tunnel_reports);
    g_test_add_func("/dialect/features/bit-52-by-dialect", test_one_bit_two_meanings);
    g_test_add_func("/dialect/features/not-offered-without-prerequisites",
                    test_prerequisites_of_the_offer);
    g_test_add_func("/dialect/features/not-accepted-without-ctrl-vq",
                    test_prerequisites_of_the_acceptance);
    g_test_add_func("/dialect/features/other-dialects-bit-is-refused",
                    test_foreign_features_are_refused);
    g_test_add_func("/dialect/config/supported-types", test_config_fields);
    g_test_add_func("/dialect/config/subset-of-types", test_config_fields_of_a_subset);
    g_test_add_func("/dialect/config/nothing-without-the-feature",
                    test_config_fields_without_the_feature);
    g_test_add_func("/dialect/config/nothing-without-the-feature-in-the-driver",
                    test_config_fields_of_a_driver_without_the_feature);
}

static void add_device_tests(void)
{
    add_for_each("each-type-alone-and-all", test_each_type_alone);
    add_for_each("hash-types-decide-without-fall-back", test_hash_types_decide);
    add_for_each("H-05-H-14-off-at-first-and-after-reset", test_off_at_first_and_after_reset);
    add_for_each("H-14-not-negotiated-is-outer", test_not_negotiated);
    add_for_each("H-14-unsupported-types-change-nothing", test_unsupported_types);
    add_for_each("config-commands-have-exact-length", test_exact_length);
    add_for_each("steers-without-report", test_steering_without_report);
    g_test_add_func("/dialect/draft-v10/mask-behind-keys-of-every-length",
                    test_mask_behind_keys_of_every_length);
    g_test_add_func("/dialect/draft-v10/none-is-outer", test_none_bit);
    g_test_add_func("/dialect/draft-v10/last-command-decides", test_last_command_decides);
    g_test_add_func("/dialect/draft-v10/hash-config-without-rss", test_hash_config_without_rss);
    g_test_add_func("/dialect/draft-v10/reserved-of-hash-config-must-be-zero",
                    test_reserved_of_hash_config);
    g_test_add_func("/dialect/features/draft-v10-alone-configures-hashes", test_feature_alone);
    g_test_add_func("/dialect/ratified/H-14-command-of-three-and-five-octets",
                    test_tunnel_command_lengths);
    g_test_add_func("/dialect/ratified/mask-outlives-rss-config", test_mask_outlives_rss_config);
    g_test_add_func("/dialect/ratified/no-other-dialect-has-the-command",
                    test_tunnel_command_is_ratified);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_row_tests();
    add_device_tests();
    return g_test_run();
}
