/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Feature negotiation (VIRTIO 1.4, 2.2, 5.1.3, 6): what is offered, what is refused, what each bit
 * makes exist. The table of bits and prerequisites below is written from the specification.
 */
#include <string.h>

#include <vionet/spec.h>
#include <vionet/transport.h>

#include "machine/machine.h"

#define NONE   0xff
#define N_BITS 128

/* ---- the specification's table ---- */

/* A bit and what the driver may not accept it without: all of needs, each by either alternative. */
struct feature {
    uint8_t bit;
    const char *name;
    uint8_t needs[4][2];
};

#define ALONE                                     \
    {                                             \
        {NONE, NONE}, {NONE, NONE}, {NONE, NONE}, \
        {                                         \
            NONE, NONE                            \
        }                                         \
    }
#define NEEDS(a)                               \
    {                                          \
        {a, NONE}, {NONE, NONE}, {NONE, NONE}, \
        {                                      \
            NONE, NONE                         \
        }                                      \
    }
#define NEEDS_OR(a, b)                      \
    {                                       \
        {a, b}, {NONE, NONE}, {NONE, NONE}, \
        {                                   \
            NONE, NONE                      \
        }                                   \
    }

static const struct feature table[] = {
    {0, "VIRTIO_NET_F_CSUM", ALONE},
    {1, "VIRTIO_NET_F_GUEST_CSUM", ALONE},
    {2, "VIRTIO_NET_F_CTRL_GUEST_OFFLOADS", ALONE},
    {3, "VIRTIO_NET_F_MTU", ALONE},
    {5, "VIRTIO_NET_F_MAC", ALONE},
    {7, "VIRTIO_NET_F_GUEST_TSO4", NEEDS(1)},
    {8, "VIRTIO_NET_F_GUEST_TSO6", NEEDS(1)},
    {9, "VIRTIO_NET_F_GUEST_ECN", NEEDS_OR(7, 8)},
    {10, "VIRTIO_NET_F_GUEST_UFO", NEEDS(1)},
    {11, "VIRTIO_NET_F_HOST_TSO4", NEEDS(0)},
    {12, "VIRTIO_NET_F_HOST_TSO6", NEEDS(0)},
    {13, "VIRTIO_NET_F_HOST_ECN", NEEDS_OR(11, 12)},
    {14, "VIRTIO_NET_F_HOST_UFO", NEEDS(0)},
    {15, "VIRTIO_NET_F_MRG_RXBUF", ALONE},
    {16, "VIRTIO_NET_F_STATUS", ALONE},
    {17, "VIRTIO_NET_F_CTRL_VQ", ALONE},
    {18, "VIRTIO_NET_F_CTRL_RX", NEEDS(17)},
    {19, "VIRTIO_NET_F_CTRL_VLAN", NEEDS(17)},
    {20, "VIRTIO_NET_F_CTRL_RX_EXTRA", ALONE},
    {21, "VIRTIO_NET_F_GUEST_ANNOUNCE", NEEDS(17)},
    {22, "VIRTIO_NET_F_MQ", NEEDS(17)},
    {23, "VIRTIO_NET_F_CTRL_MAC_ADDR", NEEDS(17)},
    {28, "VIRTIO_F_INDIRECT_DESC", ALONE},
    {29, "VIRTIO_F_EVENT_IDX", ALONE},
    {32, "VIRTIO_F_VERSION_1", ALONE},
    {33, "VIRTIO_F_ACCESS_PLATFORM", ALONE},
    {34, "VIRTIO_F_RING_PACKED", ALONE},
    {35, "VIRTIO_F_IN_ORDER", ALONE},
    {36, "VIRTIO_F_ORDER_PLATFORM", ALONE},
    {38, "VIRTIO_F_NOTIFICATION_DATA", ALONE},
    {39, "VIRTIO_F_NOTIF_CONFIG_DATA", ALONE},
    {40, "VIRTIO_F_RING_RESET", ALONE},
    {50, "VIRTIO_NET_F_DEVICE_STATS", ALONE},
    {51, "VIRTIO_NET_F_HASH_TUNNEL", {{17, NONE}, {60, 57}, {NONE, NONE}, {NONE, NONE}}},
    {52, "VIRTIO_NET_F_VQ_NOTF_COAL", NEEDS(17)}, /* both drafts' tunnel bit has the same need */
    {53, "VIRTIO_NET_F_NOTF_COAL", NEEDS(17)},
    {54, "VIRTIO_NET_F_GUEST_USO4", NEEDS(1)},
    {55, "VIRTIO_NET_F_GUEST_USO6", NEEDS(1)},
    {56, "VIRTIO_NET_F_HOST_USO", NEEDS(0)},
    {57, "VIRTIO_NET_F_HASH_REPORT", ALONE},
    {59, "VIRTIO_NET_F_GUEST_HDRLEN", ALONE},
    {60, "VIRTIO_NET_F_RSS", NEEDS(17)},
    {61, "VIRTIO_NET_F_RSC_EXT", NEEDS_OR(11, 12)},
    {62, "VIRTIO_NET_F_STANDBY", ALONE},
    {63, "VIRTIO_NET_F_SPEED_DUPLEX", ALONE},
    {64, "VIRTIO_NET_F_RSS_CONTEXT", {{17, NONE}, {60, NONE}, {NONE, NONE}, {NONE, NONE}}},
    {65, "VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO", {{7, NONE}, {8, NONE}, {54, NONE}, {55, NONE}}},
    {66, "VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO_CSUM", NEEDS(65)},
    {67, "VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO", {{11, NONE}, {12, NONE}, {56, NONE}, {NONE, NONE}}},
    {68, "VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO_CSUM", NEEDS(67)},
    {69, "VIRTIO_NET_F_OUT_NET_HEADER", ALONE},
    {70, "VIRTIO_NET_F_IPSEC", ALONE},
};

/* What should not be offered without (5.1.4.1, and by its nature). */
static const struct {
    uint8_t bit;
    uint8_t with;
} offered_with[] = {
    {2, 17}, {20, 17}, {21, 16}, {50, 17}, {57, 17},
};

static const char *const dialects[] = {"ratified", "draft-v10", "draft-v7", "off"};

static const struct feature *row_of(unsigned bit)
{
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        if (table[i].bit == bit) {
            return &table[i];
        }
    }
    return NULL;
}

/* The first requirement of a bit's that a set does not meet, -1 if it meets all. */
static int unmet(const struct feature *row, const struct guest_features *set)
{
    for (int i = 0; row && i < 4 && row->needs[i][0] != NONE; i++) {
        if (!features_has(set, row->needs[i][0]) && !features_has(set, row->needs[i][1])) {
            return i;
        }
    }
    return -1;
}

/* Takes out what lacks a prerequisite, and what should not be offered then, until nothing does. */
static struct guest_features consistent_part(struct guest_features set, bool offer)
{
    struct guest_features before;

    do {
        before = set;
        for (unsigned bit = 0; bit < N_BITS; bit++) {
            if (unmet(row_of(bit), &set) >= 0) {
                features_remove(&set, bit);
            }
        }
        for (size_t i = 0; offer && i < G_N_ELEMENTS(offered_with); i++) {
            if (!features_has(&set, offered_with[i].with)) {
                features_remove(&set, offered_with[i].bit);
            }
        }
    } while (!features_equal(before, set));
    return set;
}

static bool consistent(struct guest_features set)
{
    return features_has(&set, VIRTIO_F_VERSION_1) &&
           features_equal(set, consistent_part(set, false));
}

/* Adds a bit with the first alternative of all that it needs. */
static void add_closed(struct guest_features *set, unsigned bit)
{
    const struct feature *row = row_of(bit);

    features_add(set, bit);
    for (unsigned i = 0; row && i < 4 && row->needs[i][0] != NONE; i++) {
        add_closed(set, row->needs[i][0]);
    }
}

/* ---- devices ---- */

static uint64_t no_clock(void *opaque)
{
    (void)opaque;
    return 0;
}

static void no_timer(void *opaque, unsigned queue, uint64_t deadline_ns)
{
    (void)opaque;
    (void)queue;
    (void)deadline_ns;
}

static const VionetHostOps host = {.size = sizeof(host), .clock_ns = no_clock, .timer = no_timer};

static void dialect_config(VionetConfig *config, const char *dialect)
{
    vionet_config_init(config);
    config->dialect = vionet_dialect_find(dialect);
    config->tunnel_types = config->dialect->all_types;
    config->max_pairs = 2;
}

static void offer_set(VionetConfig *config, const struct guest_features *set)
{
    memset(config->features, 0, sizeof(config->features));
    for (unsigned bit = 0; bit < N_BITS; bit++) {
        vionet_features_set(config->features, bit, features_has(set, bit));
    }
    if (!features_has(set, VIRTIO_NET_F_MQ) && !features_has(set, VIRTIO_NET_F_RSS)) {
        config->max_pairs = 1;
    }
}

/* Everything that the library has for a dialect. */
static struct guest_features everything(const char *dialect)
{
    struct guest_features set = {{0}};
    const VionetFeature *feature;

    for (unsigned i = 0; (feature = vionet_feature_at(vionet_dialect_find(dialect), i)); i++) {
        features_add(&set, feature->bit);
    }
    return set;
}

static VionetDevice *device_offering(const char *dialect, struct guest_features set, GError **error)
{
    VionetConfig config;

    dialect_config(&config, dialect);
    offer_set(&config, &set);
    return vionet_device_new(&config, &host, NULL, error);
}

static VionetDevice *full_device(const char *dialect)
{
    VionetDevice *device = device_offering(dialect, everything(dialect), NULL);

    if (!device) {
        g_error("no device for %s", dialect);
    }
    return device;
}

/* A driver's attempt from reset on: whether FEATURES_OK stays. */
static bool accepts(VionetDevice *device, const struct guest_features *set)
{
    vionet_device_write_status(device, 0);
    vionet_device_write_status(device, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
    for (unsigned window = 0; window < FEATURES_WINDOWS; window++) {
        vionet_device_write_driver_features(device, window, set->window[window]);
    }
    vionet_device_write_status(device, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER |
                                           VIRTIO_STATUS_FEATURES_OK);
    return vionet_device_status(device) & VIRTIO_STATUS_FEATURES_OK;
}

static struct guest_features offered_by(const VionetDevice *device)
{
    struct guest_features set;

    for (unsigned window = 0; window < FEATURES_WINDOWS; window++) {
        set.window[window] = vionet_device_offered(device, window);
    }
    return set;
}

/* ---- the library's own table ---- */

static void test_rows(void)
{
    for (unsigned d = 0; d < G_N_ELEMENTS(dialects); d++) {
        struct guest_features seen = {{0}};
        const VionetFeature *feature;

        for (unsigned i = 0; (feature = vionet_feature_at(vionet_dialect_find(dialects[d]), i));
             i++) {
            const struct feature *row = row_of(feature->bit);
            const bool draft = feature->bit == 52 && strncmp(dialects[d], "draft", 5) == 0;

            g_assert_nonnull(row);
            g_assert_false(features_has(&seen, feature->bit));
            features_add(&seen, feature->bit);
            g_assert_cmpstr(feature->name, ==,
                            draft ? "VIRTIO_NET_F_HASH_TUNNEL_DRAFT" : row->name);
            g_assert_cmpuint(strlen(feature->property), >, 0);
            g_assert_cmpuint(strlen(feature->help), >, 0);
        }
        g_assert_true(features_has(&seen, VIRTIO_F_VERSION_1));
        g_assert_cmpint(features_has(&seen, 51), ==, d == 0);
        g_assert_cmpint(features_has(&seen, 52), ==, true);
    }
}

static void test_bits_past_127(void)
{
    uint64_t words[VIONET_FEATURE_WORDS + 1] = {0};

    for (unsigned bit = 128; bit < 400; bit++) {
        vionet_features_set(words, bit, true);
        g_assert_false(vionet_features_test(words, bit));
    }
    vionet_features_set(words, UINT32_MAX, true);
    g_assert_false(vionet_features_test(words, UINT32_MAX));
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        g_assert_cmphex(words[i], ==, 0);
    }
    vionet_features_set(words, 127, true);
    g_assert_cmphex(words[1], ==, UINT64_C(1) << 63);
    vionet_features_set(words, 127, false);
    g_assert_cmphex(words[1], ==, 0);
}

/* ---- offering ---- */

static void test_offer_needs_prerequisites(void)
{
    for (unsigned d = 0; d < G_N_ELEMENTS(dialects); d++) {
        const struct guest_features all = everything(dialects[d]);

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
            const struct feature *row = &table[i];

            for (unsigned n = 0; n < 4 && row->needs[n][0] != NONE; n++) {
                struct guest_features set = all;
                GError *error = NULL;

                if (!features_has(&all, row->bit) || row->bit == 52) {
                    continue;
                }
                features_remove(&set, row->needs[n][0]);
                features_remove(&set, row->needs[n][1]);
                /* Nothing but this one may be what is wrong. */
                set = consistent_part(set, true);
                features_add(&set, row->bit);
                g_assert_null(device_offering(dialects[d], set, &error));
                g_assert_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG);
                g_assert_nonnull(strstr(error->message, row->name));
                g_assert_nonnull(strstr(error->message, row_of(row->needs[n][0])->name));
                g_clear_error(&error);
            }
        }
    }
}

static void test_offer_should_go_with(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(offered_with); i++) {
        struct guest_features set = everything("ratified");
        GError *error = NULL;

        features_remove(&set, offered_with[i].with);
        set = consistent_part(set, true);
        features_add(&set, offered_with[i].bit);
        g_assert_null(device_offering("ratified", set, &error));
        g_assert_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG);
        g_assert_nonnull(strstr(error->message, row_of(offered_with[i].bit)->name));
        g_assert_nonnull(strstr(error->message, row_of(offered_with[i].with)->name));
        g_clear_error(&error);
    }
}

static void test_draft_bit_without_control_queue(void)
{
    for (unsigned d = 1; d <= 2; d++) {
        struct guest_features set = features_of(VIRTIO_F_VERSION_1, 52, FEATURES_END);
        GError *error = NULL;

        g_assert_null(device_offering(dialects[d], set, &error));
        g_assert_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG);
        g_assert_nonnull(strstr(error->message, "VIRTIO_NET_F_CTRL_VQ"));
        g_clear_error(&error);
    }
}

/* Draft v7 has no way to configure a hash by bit 52 alone; draft v10 has one. */
static void test_draft_bit_alone(void)
{
    const struct guest_features set =
        features_of(VIRTIO_F_VERSION_1, VIRTIO_NET_F_CTRL_VQ, 52, FEATURES_END);
    GError *error = NULL;
    VionetDevice *device;

    g_assert_null(device_offering("draft-v7", set, &error));
    g_assert_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG);
    g_clear_error(&error);
    device = device_offering("draft-v10", set, &error);
    g_assert_no_error(error);
    g_clear_error(&error);
    vionet_device_free(device);
}

/* What can be offered of a set: prerequisites and company, and v7's bit needs a hash to be for. */
static struct guest_features offerable(struct guest_features set, const char *dialect)
{
    struct guest_features part;

    do {
        part = set;
        set = consistent_part(set, true);
        if (strcmp(dialect, "draft-v7") == 0 && !features_has(&set, 57) &&
            !features_has(&set, 60)) {
            features_remove(&set, 52);
        }
    } while (!features_equal(part, set));
    return set;
}

/* vionet_features_settle() leaves just that, and a device can be made of it. */
static void test_settle(void)
{
    GRand *random = g_rand_new_with_seed(11);

    for (unsigned i = 0; i < 4000; i++) {
        const char *dialect = dialects[i % G_N_ELEMENTS(dialects)];
        struct guest_features set = everything(dialect), expected, settled = {{0}};
        VionetDevice *device;
        VionetConfig config;

        for (unsigned bit = 0; bit < N_BITS; bit++) {
            if (bit != VIRTIO_F_VERSION_1 && g_rand_int_range(random, 0, 1 + (int)(i % 8)) == 0) {
                features_remove(&set, bit);
            }
        }
        expected = offerable(set, dialect);
        dialect_config(&config, dialect);
        offer_set(&config, &set);
        vionet_features_settle(config.dialect, config.features, NULL);
        for (unsigned bit = 0; bit < N_BITS; bit++) {
            if (vionet_features_test(config.features, bit)) {
                features_add(&settled, bit);
            }
        }
        g_assert_true(features_equal(settled, expected));
        device = device_offering(dialect, settled, NULL);
        g_assert_nonnull(device);
        vionet_device_free(device);
    }
    g_rand_free(random);
}

/* What is to be kept stays, so that the error can be told. */
static void test_settle_keeps(void)
{
    struct guest_features set = everything("ratified");
    uint64_t keep[VIONET_FEATURE_WORDS] = {0};
    VionetConfig config;

    features_remove(&set, VIRTIO_NET_F_CTRL_VQ);
    dialect_config(&config, "ratified");
    offer_set(&config, &set);
    vionet_features_set(keep, VIRTIO_NET_F_CTRL_RX, true);
    vionet_features_settle(config.dialect, config.features, keep);
    g_assert_true(vionet_features_test(config.features, VIRTIO_NET_F_CTRL_RX));
    g_assert_false(vionet_features_test(config.features, VIRTIO_NET_F_CTRL_VLAN));
    g_assert_false(vionet_features_test(config.features, VIRTIO_NET_F_RSS));
    g_assert_true(vionet_features_test(config.features, VIRTIO_NET_F_MAC));
}

static void test_unknown_bits_not_offered(void)
{
    for (unsigned d = 0; d < G_N_ELEMENTS(dialects); d++) {
        const struct guest_features all = everything(dialects[d]);

        for (unsigned bit = 0; bit < N_BITS; bit++) {
            struct guest_features set = all;
            GError *error = NULL;
            char *number;

            if (features_has(&all, bit)) {
                continue;
            }
            features_add(&set, bit);
            g_assert_null(device_offering(dialects[d], set, &error));
            g_assert_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG);
            number = g_strdup_printf("%u", bit);
            g_assert_nonnull(strstr(error->message, number));
            g_free(number);
            g_clear_error(&error);
        }
    }
}

static void test_version_1(void)
{
    struct guest_features set = everything("ratified");
    VionetDevice *device = full_device("ratified");
    GError *error = NULL;

    g_assert_cmphex(vionet_device_offered(device, 1) & 1, ==, 1);
    features_remove(&set, VIRTIO_F_VERSION_1);
    g_assert_null(device_offering("ratified", set, &error));
    g_assert_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG);
    g_assert_nonnull(strstr(error->message, "VIRTIO_F_VERSION_1"));
    g_clear_error(&error);
    g_assert_false(accepts(device, &set));
    g_assert_cmpuint(vionet_device_violations(device, VIONET_VIOLATION_FEATURES_DEPENDENCY), ==, 1);
    vionet_device_free(device);
}

static void test_offer_is_the_configuration(void)
{
    for (unsigned d = 0; d < G_N_ELEMENTS(dialects); d++) {
        VionetDevice *device = full_device(dialects[d]);

        g_assert_true(features_equal(offered_by(device), everything(dialects[d])));
        g_assert_true(consistent(offered_by(device)));
        vionet_device_free(device);
    }
}

static void test_windows_past_the_end(void)
{
    static const uint32_t windows[] = {4, 5, 7, 8, 0x7fffffff, 0x80000000, UINT32_MAX};
    VionetDevice *device = full_device("ratified");

    for (unsigned i = 0; i < G_N_ELEMENTS(windows); i++) {
        g_assert_cmphex(vionet_device_offered(device, windows[i]), ==, 0);
        vionet_device_write_driver_features(device, windows[i], UINT32_MAX);
        g_assert_cmphex(vionet_device_driver_features(device, windows[i]), ==, 0);
    }
    for (unsigned window = 0; window < 4; window++) {
        g_assert_cmphex(vionet_device_driver_features(device, window), ==, 0);
    }
    vionet_device_free(device);
}

/* A feature that no device has is not offered: FEATURES_OK stays clear until the driver starts over. */
static void test_accepting_past_the_end(void)
{
    static const uint32_t windows[] = {4, 5, 8, 0x08000000, UINT32_MAX};
    VionetDevice *device = full_device("ratified");
    struct guest_features all = offered_by(device);

    for (unsigned i = 0; i < G_N_ELEMENTS(windows); i++) {
        vionet_device_write_status(device, 0);
        vionet_device_write_status(device, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
        vionet_device_write_driver_features(device, windows[i], 0);
        vionet_device_write_driver_features(device, windows[i], 0x80000000);
        vionet_device_write_driver_features(device, 1, 1); /* VIRTIO_F_VERSION_1 */
        vionet_device_write_status(device, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER |
                                               VIRTIO_STATUS_FEATURES_OK);
        g_assert_cmphex(vionet_device_status(device) & VIRTIO_STATUS_FEATURES_OK, ==, 0);
        g_assert_cmpuint(vionet_device_violations(device, VIONET_VIOLATION_FEATURES_NOT_OFFERED),
                         ==, i + 1);
        g_assert_true(accepts(device, &all));
    }
    vionet_device_free(device);
}

/* ---- accepting ---- */

static void test_each_prerequisite(void)
{
    for (unsigned d = 0; d < G_N_ELEMENTS(dialects); d++) {
        VionetDevice *device = full_device(dialects[d]);
        const struct guest_features all = offered_by(device);

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
            const struct feature *row = &table[i];

            for (unsigned n = 0; features_has(&all, row->bit) && n < 4; n++) {
                struct guest_features set = features_of(VIRTIO_F_VERSION_1, FEATURES_END);

                if (row->needs[n][0] == NONE) {
                    continue;
                }
                add_closed(&set, row->bit);
                g_assert_true(accepts(device, &set));
                features_remove(&set, row->needs[n][0]);
                features_remove(&set, row->needs[n][1]);
                g_assert_false(accepts(device, &set));
                if (row->needs[n][1] != NONE) {
                    add_closed(&set, row->needs[n][1]);
                    g_assert_true(accepts(device, &set));
                }
            }
        }
        vionet_device_free(device);
    }
}

/* A driver that the text merely advises against is not refused. */
static void test_advice_is_not_refused(void)
{
    static const int alone[] = {2, 20, 57};
    VionetDevice *device = full_device("ratified");

    for (unsigned i = 0; i < G_N_ELEMENTS(alone); i++) {
        const struct guest_features set = features_of(VIRTIO_F_VERSION_1, alone[i], FEATURES_END);

        g_assert_true(accepts(device, &set));
    }
    vionet_device_free(device);
}

static struct guest_features random_subset(GRand *random, struct guest_features all)
{
    const int density = g_rand_int_range(random, 1, 16);
    struct guest_features set = {{0}};

    for (unsigned bit = 0; bit < N_BITS; bit++) {
        if (features_has(&all, bit) && g_rand_int_range(random, 0, 16) < density) {
            features_add(&set, bit);
        }
    }
    features_add(&set, VIRTIO_F_VERSION_1);
    return g_rand_boolean(random) ? consistent_part(set, false) : set;
}

static void test_random_subsets(void)
{
    GRand *random = g_rand_new_with_seed(2026);

    for (unsigned d = 0; d < G_N_ELEMENTS(dialects); d++) {
        VionetDevice *device = full_device(dialects[d]);
        unsigned accepted = 0;

        for (unsigned i = 0; i < 3000; i++) {
            const struct guest_features set = random_subset(random, offered_by(device));

            if (accepts(device, &set) != consistent(set)) {
                g_test_message("%08x %08x %08x %08x", set.window[3], set.window[2], set.window[1],
                               set.window[0]);
                g_test_fail();
                break;
            }
            accepted += consistent(set);
        }
        g_assert_cmpuint(accepted, >, 1000);
        g_assert_cmpuint(accepted, <, 2900);
        vionet_device_free(device);
    }
    g_rand_free(random);
}

static void test_refused_then_mended(void)
{
    VionetDevice *device = full_device("ratified");
    struct guest_features set = features_of(VIRTIO_F_VERSION_1, VIRTIO_NET_F_MAC, FEATURES_END);

    features_add(&set, 4);
    g_assert_false(accepts(device, &set));
    g_assert_false(vionet_device_negotiated(device, VIRTIO_NET_F_MAC));
    /* Without a reset: what the driver wrote is what it may correct. */
    g_assert_cmphex(vionet_device_driver_features(device, 0) & 0x20, ==, 0x20);
    vionet_device_write_driver_features(device, 0, 0x20);
    vionet_device_write_status(device, 0xb);
    g_assert_cmphex(vionet_device_status(device), ==, 0xb);
    g_assert_true(vionet_device_negotiated(device, VIRTIO_NET_F_MAC));
    g_assert_false(vionet_device_negotiated(device, 4));
    vionet_device_free(device);
}

static void test_late_features(void)
{
    VionetDevice *device = full_device("ratified");
    const struct guest_features set =
        features_of(VIRTIO_F_VERSION_1, VIRTIO_NET_F_MAC, FEATURES_END);

    g_assert_true(accepts(device, &set));
    for (unsigned window = 0; window < 5; window++) {
        vionet_device_write_driver_features(device, window, 0xffffffff);
        vionet_device_write_driver_features(device, window, 0);
    }
    g_assert_cmphex(vionet_device_driver_features(device, 0), ==, 0x20);
    g_assert_cmphex(vionet_device_driver_features(device, 1), ==, 1);
    for (unsigned bit = 0; bit < N_BITS + 8; bit++) {
        g_assert_cmpint(vionet_device_negotiated(device, bit), ==, bit == 5 || bit == 32);
    }
    g_assert_cmpuint(vionet_device_violations(device, VIONET_VIOLATION_FEATURES_LATE), ==, 10);
    vionet_device_free(device);
}

static void test_read_back(void)
{
    VionetDevice *device = full_device("ratified");

    for (unsigned window = 0; window < 4; window++) {
        const uint32_t valid = vionet_device_offered(device, window);

        for (uint32_t value = 1; value; value <<= 1) {
            vionet_device_write_driver_features(device, window, value);
            g_assert_cmphex(vionet_device_driver_features(device, window) & valid, ==,
                            value & valid);
        }
        vionet_device_write_driver_features(device, window, 0);
    }
    vionet_device_free(device);
}

/* ---- C-12: what is not offered is not there ---- */

/* A command in its shortest valid form, and the features of which one is needed. */
struct command {
    uint8_t class;
    uint8_t command;
    uint8_t needs[2];
    uint8_t len;
    uint8_t payload[24];
    uint8_t reply;
};

static const struct command commands[] = {
    {0, 0, {18, NONE}, 1, {0}, 0},
    {0, 1, {18, NONE}, 1, {0}, 0},
    {0, 2, {20, NONE}, 1, {0}, 0},
    {0, 3, {20, NONE}, 1, {0}, 0},
    {0, 4, {20, NONE}, 1, {0}, 0},
    {0, 5, {20, NONE}, 1, {0}, 0},
    {1, 0, {18, NONE}, 8, {0}, 0},
    {1, 1, {23, 18}, 6, {2, 0, 0, 0, 0, 1}, 0},
    {2, 0, {19, NONE}, 2, {1, 0}, 0},
    {2, 1, {19, NONE}, 2, {1, 0}, 0},
    {3, 0, {21, NONE}, 0, {0}, 0},
    {4, 0, {22, NONE}, 2, {1, 0}, 0},
    {4, 1, {60, NONE}, 13, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0}, 0},
    {4, 2, {57, NONE}, 13, {0}, 0},
    {5, 0, {2, NONE}, 8, {0}, 0},
    {6, 0, {53, NONE}, 8, {0}, 0},
    {6, 1, {53, NONE}, 8, {0}, 0},
    {6, 2, {52, NONE}, 12, {0}, 0},
    {6, 3, {52, NONE}, 4, {0}, 8},
    {7, 0, {51, NONE}, 4, {0}, 0},
    {8, 0, {50, NONE}, 0, {0}, 8},
    {8, 1, {50, NONE}, 16, {0}, 0},
    {9, 0, {64, NONE}, 0, {0}, 2},
    {9, 1, {64, NONE}, 21, {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 0},
    {9, 2, {64, NONE}, 21, {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 0},
    {9, 3, {64, NONE}, 2, {1, 0}, 0},
};

/* Whether a command is open with these features; bit 52 stands for it in the ratified text only. */
static bool is_open(const struct command *command, const char *dialect,
                    const struct guest_features *set)
{
    const bool draft = strncmp(dialect, "draft", 5) == 0;

    if (command->class == 6 && command->needs[0] == 52 && draft) {
        return false;
    }
    if (command->class == 4 && command->command == 2 && strcmp(dialect, "draft-v10") == 0 &&
        features_has(set, 52)) {
        return true;
    }
    return features_has(set, command->needs[0]) || features_has(set, command->needs[1]);
}

/* Draft v10 sends its tunnel types behind the key, in RSS contexts too. */
static unsigned payload_len(const struct command *command, const char *dialect,
                            const struct guest_features *set)
{
    const bool keyed =
        (command->class == 4 && command->command > 0) || (command->class == 9 && command->len > 8);
    const bool longer = keyed && strcmp(dialect, "draft-v10") == 0 && features_has(set, 52);

    return command->len + (longer ? 4 : 0);
}

static void check_commands(struct machine *machine, const char *dialect)
{
    const struct guest_features *set = &machine->driver->accepted;

    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        const struct command *command = &commands[i];
        uint8_t payload[28] = {0};
        uint8_t reply[8];
        int expected = NET_CONTROL_NONE;
        int ack;

        memcpy(payload, command->payload, sizeof(command->payload));
        ack = net_control(machine->net, command->class, command->command, payload,
                          payload_len(command, dialect, set), reply, command->reply);
        if (features_has(set, VIRTIO_NET_F_CTRL_VQ)) {
            expected = is_open(command, dialect, set) ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
        }
        if (ack != expected) {
            g_test_message("%s: command %u/%u answered %d", dialect, command->class,
                           command->command, ack);
            g_test_fail();
        }
    }
}

/* 5.1.4: fields of features that are not offered do not exist, which reads as 0. */
static void check_config(struct machine *machine, const char *dialect)
{
    const struct guest_features *set = &machine->driver->offered;
    const struct net_config *config = &machine->driver->config;
    const bool v10 = strcmp(dialect, "draft-v10") == 0 && features_has(set, 52);
    const bool rss = features_has(set, 60);
    const bool hash = rss || features_has(set, 57) || v10;
    const bool tunnel = v10 || features_has(set, 51);

    g_assert_cmpint(config->status != 0, ==, features_has(set, 16));
    g_assert_cmpint(config->max_virtqueue_pairs != 0, ==, rss || features_has(set, 22));
    g_assert_cmpint(config->mtu != 0, ==, features_has(set, 3));
    g_assert_cmpint(config->speed != 0, ==, features_has(set, 63));
    g_assert_cmpint(config->duplex != 0, ==, features_has(set, 63));
    g_assert_cmpint(config->rss_max_key_size != 0, ==, hash);
    g_assert_cmpint(config->rss_max_indirection_table_length != 0, ==, rss);
    g_assert_cmpint(config->supported_hash_types != 0, ==, hash);
    g_assert_cmpint(config->supported_tunnel_types != 0, ==, tunnel);
}

/* The driver tries to take a bit all the same. */
static void check_refused(struct machine *machine, unsigned bit)
{
    struct guest_features set = machine->driver->offered;

    g_assert_false(features_has(&set, bit));
    features_add(&set, bit);
    g_assert_true(guest_driver_reset(machine->driver));
    guest_driver_acknowledge(machine->driver);
    machine_forget_events(machine);
    guest_driver_write_features(machine->driver, set);
    g_assert_false(guest_driver_features_ok(machine->driver));
    g_assert_nonnull(machine_violation(machine, VIONET_VIOLATION_FEATURES_NOT_OFFERED));
    g_assert_cmpuint(machine->events[0].value, ==, bit);
}

static void withhold(unsigned bit, const char *dialect)
{
    struct guest_features set = everything(dialect);
    struct machine_setup setup;
    struct machine *machine;

    features_remove(&set, bit);
    set = consistent_part(set, true);
    machine_setup_init(&setup);
    dialect_config(&setup.device, dialect);
    offer_set(&setup.device, &set);
    machine = machine_new(&setup, NULL);
    if (!machine) {
        g_error("no machine");
    }
    g_assert_true(guest_driver_probe(machine->driver));
    guest_driver_read_features(machine->driver);
    check_refused(machine, bit);
    if (!machine_boot(machine, features_known())) {
        g_error("%s without bit %u does not boot", dialect, bit);
    }
    g_assert_true(features_equal(machine->driver->offered, set));
    check_commands(machine, dialect);
    check_config(machine, dialect);
    g_assert_cmpuint(complaints_count(guest_driver_complaints(machine->driver)), ==, 0);
    machine_free(machine);
}

static void test_withheld(gconstpointer data)
{
    const char *dialect = data;

    for (unsigned bit = 0; bit < N_BITS; bit++) {
        if (bit != VIRTIO_F_VERSION_1) {
            withhold(bit, dialect);
        }
    }
}

/* Offered, but declined: the commands are not there either. */
static void test_declined(gconstpointer data)
{
    const struct guest_features all = everything(data);
    struct machine_setup setup;
    struct machine *machine;

    machine_setup_init(&setup);
    dialect_config(&setup.device, data);
    offer_set(&setup.device, &all);
    machine = machine_new(&setup, NULL);
    for (unsigned bit = 0; machine && bit < N_BITS; bit++) {
        struct guest_features set = all;

        if (bit == VIRTIO_F_VERSION_1 || !features_has(&all, bit)) {
            continue;
        }
        features_remove(&set, bit);
        set = consistent_part(set, false);
        g_assert_true(machine_boot(machine, set));
        g_assert_true(features_equal(machine->driver->accepted, set));
        check_commands(machine, data);
        check_config(machine, data);
    }
    machine_free(machine);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_set_nonfatal_assertions();
    g_test_add_func("/features/names-and-numbers-are-the-specifications", test_rows);
    g_test_add_func("/features/bits-past-127-belong-to-no-set", test_bits_past_127);
    g_test_add_func("/features/no-offer-without-its-prerequisite", test_offer_needs_prerequisites);
    g_test_add_func("/features/no-offer-without-its-company", test_offer_should_go_with);
    g_test_add_func("/features/draft/bit-52-needs-the-control-queue",
                    test_draft_bit_without_control_queue);
    g_test_add_func("/features/draft/bit-52-alone-is-an-offer-in-v10-only", test_draft_bit_alone);
    g_test_add_func("/features/settled-is-what-can-be-offered", test_settle);
    g_test_add_func("/features/settled-keeps-what-it-is-told-to", test_settle_keeps);
    g_test_add_func("/features/what-does-not-exist-is-not-offered", test_unknown_bits_not_offered);
    g_test_add_func("/features/version-1-on-both-sides", test_version_1);
    g_test_add_func("/features/all-windows-show-the-offer", test_offer_is_the_configuration);
    g_test_add_func("/features/windows-past-the-end-are-empty", test_windows_past_the_end);
    g_test_add_func("/features/accepting-past-the-end-is-refused", test_accepting_past_the_end);
    g_test_add_func("/features/each-prerequisite-is-demanded", test_each_prerequisite);
    g_test_add_func("/features/advice-is-no-ground-to-refuse", test_advice_is_not_refused);
    g_test_add_func("/features/every-consistent-subset-is-accepted-and-no-other",
                    test_random_subsets);
    g_test_add_func("/features/C-09/refused-then-mended", test_refused_then_mended);
    g_test_add_func("/features/C-04/writes-after-features-ok-have-no-effect", test_late_features);
    g_test_add_func("/features/valid-bits-read-back", test_read_back);
    for (unsigned i = 0; i < G_N_ELEMENTS(dialects); i++) {
        char *withheld = g_strdup_printf("/features/C-12/each-bit-withheld/%s", dialects[i]);
        char *declined = g_strdup_printf("/features/C-12/each-bit-declined/%s", dialects[i]);

        g_test_add_data_func(withheld, dialects[i], test_withheld);
        g_test_add_data_func(declined, dialects[i], test_declined);
        g_free(withheld);
        g_free(declined);
    }
    return g_test_run();
}
