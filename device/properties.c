/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Properties of the device as text; see properties.h. Called by frontend.c when it is configured.
 *
 * Order does not matter because text is read in passes: the dialect first, which decides on the
 * features there are; then the features that are named; then all other properties, which may turn
 * on features that were not named; at last what spans several properties, and what cannot be offered
 * any more.
 */
#include "properties.h"

#include <string.h>

#define VIONET_SPEC_NO_STRUCTS
#include <vionet/spec.h>

#include "options.h"
#include "property.h"

#define DIALECT "hash-tunnel"

/* ---- Errors ---- */

static bool refuse_value(const char *name, const char *value, const char *expected, GError **error)
{
    g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG, "property %s=%s: expected %s", name,
                value, expected);
    return false;
}

static const char *given_value(GPtrArray *options, const char *name)
{
    for (guint i = 0; i < options->len; i++) {
        const struct option *option = g_ptr_array_index(options, i);

        if (strcmp(option->name, name) == 0) {
            return option->value;
        }
    }
    return NULL;
}

/* name was given, and other has a value that does not go with it. */
static bool refuse_pair(GPtrArray *options, const char *name, const char *other,
                        const char *other_value, GError **error)
{
    g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG, "property %s=%s contradicts %s=%s", name,
                given_value(options, name), other, other_value);
    return false;
}

/* ---- Features ---- */

/* Whether the row is hash-tunnel's, which turns it on and off as no feature property does. */
static bool is_tunnel_feature(const VionetFeature *feature, const VionetDialect *dialect)
{
    return (int)feature->bit == dialect->feature;
}

const VionetFeature *properties_feature(const VionetDialect *dialect, unsigned bit)
{
    const VionetFeature *feature;

    for (unsigned i = 0; (feature = vionet_feature_at(dialect, i)) != NULL; i++) {
        if (feature->bit == bit) {
            return feature;
        }
    }
    return NULL;
}

/* Whether a feature has a property of its own, and not one of the table that stands for it. */
static bool has_switch(const VionetFeature *feature, const VionetDialect *dialect)
{
    return feature->property && !is_tunnel_feature(feature, dialect) &&
           !property_find(feature->property);
}

static const VionetFeature *find_feature(const VionetDialect *dialect, const char *name)
{
    const VionetFeature *feature;

    for (unsigned i = 0; (feature = vionet_feature_at(dialect, i)) != NULL; i++) {
        if (has_switch(feature, dialect) && strcmp(feature->property, name) == 0) {
            return feature;
        }
    }
    return NULL;
}

/* A feature of that name that only other dialects have. */
static const VionetFeature *find_foreign_feature(const char *name)
{
    const VionetFeature *feature = NULL;
    const VionetDialect *dialect;

    for (unsigned i = 0; !feature && (dialect = vionet_dialect_at(i)) != NULL; i++) {
        feature = find_feature(dialect, name);
    }
    return feature;
}

/* The name that a feature is switched by. */
static const char *switch_name(const VionetDialect *dialect, unsigned bit)
{
    const VionetFeature *feature;

    if ((int)bit == dialect->feature) {
        return DIALECT;
    }
    feature = properties_feature(dialect, bit);
    g_assert(feature); /* who asks has its bit from the table */
    return feature->property;
}

static void ask_feature(VionetProperties *to, unsigned bit, bool on)
{
    vionet_features_set(to->config.features, bit, on);
    vionet_features_set(to->asked, bit, true);
}

static bool asked_off(const VionetProperties *to, unsigned bit)
{
    return vionet_features_test(to->asked, bit) && !vionet_features_test(to->config.features, bit);
}

/* ---- The passes ---- */

static bool check_form(GPtrArray *options, GError **error)
{
    for (guint i = 0; i < options->len; i++) {
        const struct option *option = g_ptr_array_index(options, i);
        const char *first = given_value(options, option->name);

        if (!option->value) {
            g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG,
                        "property %s has no value (%s=VALUE)", option->name, option->name);
            return false;
        }
        if (first != option->value) {
            g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG,
                        "property %s is given twice, %s=%s and %s=%s", option->name, option->name,
                        first, option->name, option->value);
            return false;
        }
    }
    return true;
}

static bool refuse_unknown(const char *name, const VionetDialect *dialect, GError **error)
{
    GPtrArray *names = g_ptr_array_new();
    const struct property *property;
    const VionetFeature *feature;
    const char *nearest;

    for (unsigned i = 0; (property = property_at(i)) != NULL; i++) {
        g_ptr_array_add(names, (gpointer)property->name);
    }
    for (unsigned i = 0; (feature = vionet_feature_at(dialect, i)) != NULL; i++) {
        if (has_switch(feature, dialect)) {
            g_ptr_array_add(names, (gpointer)feature->property);
        }
    }
    g_ptr_array_add(names, NULL);
    nearest = options_nearest(name, (const char *const *)names->pdata);
    g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG, "unknown property %s%s%s%s", name,
                nearest ? " (did you mean " : "", nearest ? nearest : "", nearest ? "?)" : "");
    g_ptr_array_unref(names);
    return false;
}

/* A feature that another dialect has: it may be turned off. */
static bool read_foreign_feature(const struct option *option, const VionetFeature *feature, bool on,
                                 const VionetDialect *dialect, GError **error)
{
    const VionetFeature *here = properties_feature(dialect, feature->bit);

    if (!on) {
        return true;
    }
    g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG,
                "property %s=%s contradicts " DIALECT "=%s, where feature bit %u is %s",
                option->name, option->value, dialect->name, feature->bit,
                here ? here->name : "not used");
    return false;
}

static bool read_feature(const struct option *option, VionetProperties *to, GError **error)
{
    const VionetDialect *dialect = to->config.dialect;
    const VionetFeature *own = find_feature(dialect, option->name);
    const VionetFeature *feature = own ? own : find_foreign_feature(option->name);
    bool on;

    if (!feature) {
        return refuse_unknown(option->name, dialect, error);
    }
    if (!property_read_switch(option->value, &on)) {
        return refuse_value(option->name, option->value, "on or off", error);
    }
    if (!own) {
        return read_foreign_feature(option, feature, on, dialect, error);
    }
    ask_feature(to, own->bit, on);
    return true;
}

static bool read_features(GPtrArray *options, VionetProperties *to, GError **error)
{
    for (guint i = 0; i < options->len; i++) {
        const struct option *option = g_ptr_array_index(options, i);

        if (!property_find(option->name) && !read_feature(option, to, error)) {
            return false;
        }
    }
    return true;
}

static bool read_value(const struct property *property, const char *value, VionetProperties *to,
                       GError **error)
{
    char *expected;

    if (property->kind->read(property, value, to)) {
        return true;
    }
    expected = property->kind->expect(property, to);
    refuse_value(property->name, value, expected, error);
    g_free(expected);
    return false;
}

/* Turns on what a property needs that was given. */
static bool make_on(const struct property *property, GPtrArray *options, VionetProperties *to,
                    GError **error)
{
    const int bit = property->makes_on == PROPERTY_MAKES_DIALECT ? to->config.dialect->feature
                                                                 : property->makes_on;

    if (property->makes_on == PROPERTY_MAKES_NOTHING) {
        return true;
    }
    if (bit < 0) { /* the dialect that has no feature */
        return strcmp(property->name, DIALECT) == 0 ||
               refuse_pair(options, property->name, DIALECT, to->config.dialect->name, error);
    }
    if (asked_off(to, (unsigned)bit)) {
        return refuse_pair(options, property->name, switch_name(to->config.dialect, (unsigned)bit),
                           "off", error);
    }
    ask_feature(to, (unsigned)bit, true);
    return true;
}

static bool read_properties(GPtrArray *options, VionetProperties *to, GError **error)
{
    for (guint i = 0; i < options->len; i++) {
        const struct option *option = g_ptr_array_index(options, i);
        const struct property *property = property_find(option->name);

        if (!property) {
            continue;
        }
        if (!make_on(property, options, to, error)) {
            return false;
        }
        if (strcmp(property->name, DIALECT) != 0 &&
            !read_value(property, option->value, to, error)) {
            return false;
        }
    }
    return true;
}

/* ---- What spans several properties ---- */

/* Several pairs need MQ or RSS: the first of them that was not turned off, if neither is on. */
static bool settle_queues(GPtrArray *options, VionetProperties *to, GError **error)
{
    const VionetDialect *dialect = to->config.dialect;
    const uint64_t *on = to->config.features;

    if (to->config.max_pairs == 1 || vionet_features_test(on, VIRTIO_NET_F_MQ)) {
        return true;
    }
    /* Linux sets up one pair of a device with RSS alone. */
    if (!asked_off(to, VIRTIO_NET_F_MQ)) {
        ask_feature(to, VIRTIO_NET_F_MQ, true);
        return true;
    }
    if (vionet_features_test(on, VIRTIO_NET_F_RSS)) {
        return true;
    }
    if (!asked_off(to, VIRTIO_NET_F_RSS)) {
        ask_feature(to, VIRTIO_NET_F_RSS, true);
        return true;
    }
    g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG,
                "property queues=%s contradicts %s=off and %s=off", given_value(options, "queues"),
                switch_name(dialect, VIRTIO_NET_F_MQ), switch_name(dialect, VIRTIO_NET_F_RSS));
    return false;
}

/* The draft's notify_data: at most one way of identifying a queue, and the address must tell it. */
static bool settle_notify_data(GPtrArray *options, VionetProperties *to, GError **error)
{
    const char *base = given_value(options, "notif-config-base");

    to->pci.notify_data_valid = given_value(options, "notify-data") != NULL;
    if (!to->pci.notify_data_valid) {
        return !to->pci.notify_data_lenient ||
               refuse_value("notify-data-lenient", given_value(options, "notify-data-lenient"),
                            "notify-data=VALUE with it", error);
    }
    if (to->pci.notify_multiplier == 0) {
        return refuse_pair(options, "notify-data", "notify-multiplier", "0", error);
    }
    if (base) {
        return refuse_pair(options, "notify-data", "notif-config-base", base, error);
    }
    if (vionet_features_test(to->config.features, VIRTIO_F_NOTIF_CONFIG_DATA)) {
        return refuse_pair(options, "notify-data",
                           switch_name(to->config.dialect, VIRTIO_F_NOTIF_CONFIG_DATA), "on",
                           error);
    }
    return true;
}

static bool settle_legacy(GPtrArray *options, const VionetProperties *to, GError **error)
{
    return to->pci.legacy || !to->pci.no_modern ||
           refuse_pair(options, "disable-modern", "disable-legacy", "on", error);
}

static bool read_options(GPtrArray *options, VionetProperties *to, GError **error)
{
    const char *dialect = given_value(options, DIALECT);

    if ((dialect && !read_value(property_find(DIALECT), dialect, to, error)) ||
        !read_features(options, to, error) || !read_properties(options, to, error) ||
        !settle_queues(options, to, error) || !settle_notify_data(options, to, error) ||
        !settle_legacy(options, to, error)) {
        return false;
    }
    /* What was turned off takes with it what nobody asked for: ctrl_vq=off needs no list behind it. */
    vionet_features_settle(to->config.dialect, to->config.features, to->asked);
    return true;
}

static void set_defaults(VionetProperties *properties)
{
    memset(properties, 0, sizeof(*properties));
    vionet_config_init(&properties->config);
    vionet_pci_config_init(&properties->pci);
}

bool properties_parse(const char *text, VionetProperties *properties, GError **error)
{
    GPtrArray *options = options_parse(text, error);
    bool ok;

    if (!options) {
        return false;
    }
    set_defaults(properties);
    ok = check_form(options, error) && read_options(options, properties, error);
    g_ptr_array_unref(options);
    return ok;
}

void properties_suit(VionetProperties *properties, uint64_t features)
{
    VionetConfig *config = &properties->config;

    for (unsigned bit = 0; bit < 64; bit++) {
        if (features >> bit & 1 && (int)bit != config->dialect->feature &&
            !vionet_features_test(properties->asked, bit)) {
            vionet_features_set(config->features, bit, true);
        }
    }
    vionet_features_settle(config->dialect, config->features, properties->asked);
}

/* ---- Looking through them ---- */

/* Whether a dialect in front of the d-th has a feature of that name. */
static bool named_before(unsigned d, const char *name)
{
    while (d-- > 0) {
        if (find_feature(vionet_dialect_at(d), name)) {
            return true;
        }
    }
    return false;
}

/* The i-th feature that has a switch, of all dialects. */
static const VionetFeature *feature_at(unsigned i)
{
    const VionetDialect *dialect;
    const VionetFeature *feature;

    for (unsigned d = 0; (dialect = vionet_dialect_at(d)) != NULL; d++) {
        for (unsigned f = 0; (feature = vionet_feature_at(dialect, f)) != NULL; f++) {
            if (has_switch(feature, dialect) && !named_before(d, feature->property) && i-- == 0) {
                return feature;
            }
        }
    }
    return NULL;
}

static void describe_row(const struct property *property, VionetPropertyInfo *info)
{
    VionetProperties defaults;

    set_defaults(&defaults);
    *info = (VionetPropertyInfo){
        .name = property->name,
        .help = property->help,
        .is_switch = property_is_switch(property),
        .by_default = property->kind->show(property, &defaults),
    };
}

bool properties_at(unsigned i, VionetPropertyInfo *info)
{
    const struct property *property;
    const VionetFeature *feature;
    unsigned n_rows;

    for (n_rows = 0; (property = property_at(n_rows)) != NULL; n_rows++) {
        if (n_rows == i) {
            describe_row(property, info);
            return true;
        }
    }
    feature = feature_at(i - n_rows);
    if (!feature) {
        return false;
    }
    *info = (VionetPropertyInfo){
        .name = feature->property,
        .help = feature->help,
        .is_switch = true,
        .by_default = g_strdup(feature->by_default ? "on" : "off"),
    };
    return true;
}

/* ---- Help ---- */

/* Appends "name=default  text". */
static void help_name(GString *help, const char *name, const char *by_default, const char *text)
{
    char *left = g_strdup_printf("%s=%s", name, by_default);

    g_string_append_printf(help, "  %-30s  %s", left, text);
    g_free(left);
}

/* Appends what bit a property turns on, if any. */
static void help_makes_on(GString *help, int makes_on, const VionetConfig *defaults)
{
    const int bit = makes_on == PROPERTY_MAKES_DIALECT ? defaults->dialect->feature : makes_on;
    const VionetFeature *feature;

    if (bit < 0) {
        return;
    }
    feature = properties_feature(defaults->dialect, (unsigned)bit);
    g_assert(feature); /* a property turns on what there is */
    g_string_append_printf(help, "; turns on %s (bit %u)%s", feature->name, feature->bit,
                           feature->by_default ? "" : ", which is off by default");
}

static void help_properties(GString *help, const VionetProperties *defaults)
{
    const struct property *property;

    for (unsigned i = 0; (property = property_at(i)) != NULL; i++) {
        char *expected = property->kind->expect(property, defaults);
        char *shown = property->kind->show(property, defaults);

        help_name(help, property->name, shown, property->help);
        g_string_append_printf(help, " (%s)", expected);
        help_makes_on(help, property->makes_on, &defaults->config);
        g_string_append_c(help, '\n');
        g_free(expected);
        g_free(shown);
    }
}

static void help_features(GString *help, const VionetDialect *dialect)
{
    const VionetFeature *feature;

    for (unsigned i = 0; (feature = vionet_feature_at(dialect, i)) != NULL; i++) {
        if (has_switch(feature, dialect)) {
            help_name(help, feature->property, feature->by_default ? "on" : "off", feature->help);
            g_string_append_printf(help, "; %s (bit %u)\n", feature->name, feature->bit);
        }
    }
}

/* tunnel-types takes other names in each dialect. */
static void help_dialects(GString *help, const VionetProperties *defaults)
{
    const struct property *types = property_find("tunnel-types");
    VionetProperties other = *defaults;

    for (unsigned i = 0; (other.config.dialect = vionet_dialect_at(i)) != NULL; i++) {
        if (other.config.dialect->feature >= 0) {
            char *expected = types->kind->expect(types, &other);

            g_string_append_printf(help, "  %s: %s\n", other.config.dialect->name, expected);
            g_free(expected);
        }
    }
}

char *properties_help(void)
{
    GString *help = g_string_new("Properties, name=value with the default, joined by commas:\n");
    VionetProperties defaults;

    set_defaults(&defaults);
    help_properties(help, &defaults);
    g_string_append(
        help,
        "Features, on or off; those that suit the backend are on unless they are turned off:\n");
    help_features(help, defaults.config.dialect);
    g_string_append(help, "Tunnel types with each hash-tunnel:\n");
    help_dialects(help, &defaults);
    return g_string_free(help, FALSE);
}

bool properties_read_mac(const char *text, uint8_t mac[6])
{
    uint8_t read[6];

    if (strlen(text) != 17) {
        return false;
    }
    for (unsigned i = 0; i < 6; i++) {
        const char *p = text + 3 * i;

        if (!g_ascii_isxdigit(p[0]) || !g_ascii_isxdigit(p[1]) ||
            (i < 5 && p[2] != ':' && p[2] != '-')) {
            return false;
        }
        read[i] = (uint8_t)(g_ascii_xdigit_value(p[0]) << 4 | g_ascii_xdigit_value(p[1]));
    }
    memcpy(mac, read, sizeof(read));
    return true;
}
