/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tables of names, and strict readers of the options that take them. A new dialect is a new row
 * of dialects[] (and a list of its tunnel types); a new report or hash type is a new entry.
 */
#include "settings.h"

#include "replay_error.h"

#include <vionet/spec.h>

#include <string.h>

static const struct named_bit no_types[] = {{NULL, 0}};

static const struct named_bit draft_v7_types[] = {
    {"gre", VIRTIO_NET_HASH_TYPE_GRE_INNER},
    {"vxlan", VIRTIO_NET_HASH_TYPE_VXLAN_INNER},
    {"geneve", VIRTIO_NET_HASH_TYPE_GENEVE_INNER},
    {NULL, 0},
};

static const struct named_bit draft_v10_types[] = {
    {"gre", VIRTIO_NET_HASH_TUNNEL_V10_GRE},       {"vxlan", VIRTIO_NET_HASH_TUNNEL_V10_VXLAN},
    {"geneve", VIRTIO_NET_HASH_TUNNEL_V10_GENEVE}, {"ipip", VIRTIO_NET_HASH_TUNNEL_V10_IPIP},
    {"nvgre", VIRTIO_NET_HASH_TUNNEL_V10_NVGRE},   {NULL, 0},
};

static const struct named_bit ratified_types[] = {
    {"gre-2784", VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_2784},
    {"gre-2890", VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_2890},
    {"gre-7676", VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_7676},
    {"gre-udp", VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_UDP},
    {"vxlan", VIRTIO_NET_HASH_TUNNEL_TYPE_VXLAN},
    {"vxlan-gpe", VIRTIO_NET_HASH_TUNNEL_TYPE_VXLAN_GPE},
    {"geneve", VIRTIO_NET_HASH_TUNNEL_TYPE_GENEVE},
    {"ipip", VIRTIO_NET_HASH_TUNNEL_TYPE_IPIP},
    {"nvgre", VIRTIO_NET_HASH_TUNNEL_TYPE_NVGRE},
    {NULL, 0},
};

static const struct dialect dialects[] = {
    {"off", REPLAY_OFF, no_types, false},
    {"draft-v7", REPLAY_DRAFT_V7, draft_v7_types, true},
    {"draft-v10", REPLAY_DRAFT_V10, draft_v10_types, false},
    {"ratified", REPLAY_RATIFIED, ratified_types, false},
};

static const struct named_bit hash_type_table[] = {
    {"ipv4", VIRTIO_NET_HASH_TYPE_IPv4},       {"tcpv4", VIRTIO_NET_HASH_TYPE_TCPv4},
    {"udpv4", VIRTIO_NET_HASH_TYPE_UDPv4},     {"ipv6", VIRTIO_NET_HASH_TYPE_IPv6},
    {"tcpv6", VIRTIO_NET_HASH_TYPE_TCPv6},     {"udpv6", VIRTIO_NET_HASH_TYPE_UDPv6},
    {"ipv6-ex", VIRTIO_NET_HASH_TYPE_IP_EX},   {"tcpv6-ex", VIRTIO_NET_HASH_TYPE_TCP_EX},
    {"udpv6-ex", VIRTIO_NET_HASH_TYPE_UDP_EX}, {NULL, 0},
};

static const char *const reports[N_REPORTS] = {
    [VIRTIO_NET_HASH_REPORT_NONE] = "NONE",         [VIRTIO_NET_HASH_REPORT_IPv4] = "IPv4",
    [VIRTIO_NET_HASH_REPORT_TCPv4] = "TCPv4",       [VIRTIO_NET_HASH_REPORT_UDPv4] = "UDPv4",
    [VIRTIO_NET_HASH_REPORT_IPv6] = "IPv6",         [VIRTIO_NET_HASH_REPORT_TCPv6] = "TCPv6",
    [VIRTIO_NET_HASH_REPORT_UDPv6] = "UDPv6",       [VIRTIO_NET_HASH_REPORT_IPv6_EX] = "IPv6_EX",
    [VIRTIO_NET_HASH_REPORT_TCPv6_EX] = "TCPv6_EX", [VIRTIO_NET_HASH_REPORT_UDPv6_EX] = "UDPv6_EX",
};

static const char *const tunnels[] = {
    [VIRTIO_NET_HASH_REPORT_TUNNEL_NONE] = "NONE",
    [VIRTIO_NET_HASH_REPORT_GRE] = "GRE",
    [VIRTIO_NET_HASH_REPORT_VXLAN] = "VXLAN",
    [VIRTIO_NET_HASH_REPORT_GENEVE] = "GENEVE",
};

/* The key of Microsoft's RSS verification suite. */
static const uint8_t default_key[] = {
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
    0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
    0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

static int find(const char *const *names, unsigned n, const char *name)
{
    for (unsigned i = 0; i < n; i++) {
        if (strcmp(names[i], name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static uint32_t all_bits(const struct named_bit *table)
{
    uint32_t mask = 0;

    for (; table->name; table++) {
        mask |= table->bit;
    }
    return mask;
}

const struct dialect *dialect_at(unsigned i)
{
    return i < G_N_ELEMENTS(dialects) ? &dialects[i] : NULL;
}

const struct dialect *dialect_of(const struct replay_settings *settings)
{
    unsigned i = 0;

    while (dialects[i].id != settings->dialect) {
        i++;
    }
    return &dialects[i];
}

const struct named_bit *hash_types(void)
{
    return hash_type_table;
}

const char *report_name(unsigned report)
{
    return report < N_REPORTS ? reports[report] : NULL;
}

const char *tunnel_name(unsigned tunnel)
{
    return tunnel < G_N_ELEMENTS(tunnels) ? tunnels[tunnel] : NULL;
}

int report_find(const char *name)
{
    return find(reports, N_REPORTS, name);
}

int tunnel_find(const char *name)
{
    return find(tunnels, G_N_ELEMENTS(tunnels), name);
}

void settings_init(struct replay_settings *settings)
{
    memset(settings, 0, sizeof(*settings));
    settings->dialect = REPLAY_RATIFIED;
    settings->tunnel_types = all_bits(ratified_types);
    settings->hash_types = all_bits(hash_type_table);
    memcpy(settings->key, default_key, sizeof(default_key));
    settings->key_len = sizeof(default_key);
    settings->queues = 4;
    settings->indirection = 128;
}

bool settings_set_dialect(struct replay_settings *settings, const char *text, GError **error)
{
    g_autofree char *shown = NULL;
    g_autoptr(GString) valid = NULL;

    for (unsigned i = 0; i < G_N_ELEMENTS(dialects); i++) {
        if (strcmp(dialects[i].name, text) == 0) {
            settings->dialect = dialects[i].id;
            settings->tunnel_types = all_bits(dialects[i].tunnel_types);
            return true;
        }
    }
    shown = display_name(text);
    valid = g_string_new(dialects[0].name);
    for (unsigned i = 1; i < G_N_ELEMENTS(dialects); i++) {
        g_string_append_printf(valid, ", %s", dialects[i].name);
    }
    return complain(error, "--dialect: '%s' is not one of %s", shown, valid->str);
}

/* "all, none, or a comma list of a, b, c" */
static char *valid_names(const struct named_bit *table)
{
    GString *text = g_string_new(table->name ? "all, none, or a comma list of " : "all or none");

    for (const struct named_bit *entry = table; entry->name; entry++) {
        g_string_append_printf(text, "%s%s", entry == table ? "" : ", ", entry->name);
    }
    return g_string_free(text, FALSE);
}

static const struct named_bit *find_bit(const struct named_bit *table, const char *name)
{
    for (; table->name; table++) {
        if (strcmp(table->name, name) == 0) {
            return table;
        }
    }
    return NULL;
}

/* Reads "all", "none" or a comma list; what begins a complaint. */
static bool read_bits(const struct named_bit *table, const char *text, const char *what,
                      uint32_t *mask, GError **error)
{
    g_auto(GStrv) names = NULL;
    uint32_t bits = 0;

    if (strcmp(text, "all") == 0 || strcmp(text, "none") == 0) {
        *mask = text[0] == 'a' ? all_bits(table) : 0;
        return true;
    }
    names = g_strsplit(*text ? text : ",", ",", -1);
    for (char **name = names; *name; name++) {
        const struct named_bit *entry = find_bit(table, *name);

        if (!entry) {
            g_autofree char *valid = valid_names(table);
            g_autofree char *shown = display_name(*name);

            return complain(error, "%s: '%s' is not %s", what, shown, valid);
        }
        bits |= entry->bit;
    }
    *mask = bits;
    return true;
}

bool settings_set_tunnel_types(struct replay_settings *settings, const char *text, GError **error)
{
    const struct dialect *dialect = dialect_of(settings);
    g_autofree char *what = g_strdup_printf("--tunnel-types with dialect %s", dialect->name);

    return read_bits(dialect->tunnel_types, text, what, &settings->tunnel_types, error);
}

bool settings_set_hash_types(struct replay_settings *settings, const char *text, GError **error)
{
    return read_bits(hash_type_table, text, "--hash-types", &settings->hash_types, error);
}

bool settings_set_key(struct replay_settings *settings, const char *text, GError **error)
{
    size_t digits = strspn(text, "0123456789abcdefABCDEF");
    size_t max = MIN(session_limits()->max_key, sizeof(settings->key));

    if (digits == 0 || digits % 2 != 0 || text[digits]) {
        return complain(error, "--key: expected hexadecimal digits, two for each octet");
    }
    if (digits / 2 > max) {
        return complain(error, "--key: %zu octets, but the device takes 1 to %zu", digits / 2, max);
    }
    for (size_t i = 0; i < digits / 2; i++) {
        settings->key[i] = (uint8_t)(g_ascii_xdigit_value(text[2 * i]) << 4 |
                                     g_ascii_xdigit_value(text[2 * i + 1]));
    }
    settings->key_len = digits / 2;
    return true;
}

static bool read_number(const char *text, unsigned max, unsigned *number)
{
    guint64 value;

    if (!g_ascii_string_to_unsigned(text, 10, 1, max, &value, NULL)) {
        return false;
    }
    *number = (unsigned)value;
    return true;
}

bool settings_set_queues(struct replay_settings *settings, const char *text, GError **error)
{
    unsigned max = session_limits()->max_queues;
    g_autofree char *shown = NULL;

    if (read_number(text, max, &settings->queues)) {
        return true;
    }
    shown = display_name(text);
    return complain(error, "--queues: '%s' is not a number from 1 to %u", shown, max);
}

bool settings_set_indirection(struct replay_settings *settings, const char *text, GError **error)
{
    unsigned max = session_limits()->max_indirection;
    g_autofree char *shown = NULL;
    unsigned number;

    if (read_number(text, max, &number) && (number & (number - 1)) == 0) {
        settings->indirection = number;
        return true;
    }
    shown = display_name(text);
    return complain(error, "--indirection: '%s' is not a power of two from 1 to %u", shown, max);
}

bool settings_set_ring(struct replay_settings *settings, const char *text, GError **error)
{
    g_autofree char *shown = NULL;

    if (strcmp(text, "split") == 0) {
        settings->packed = false;
        return true;
    }
    if (strcmp(text, "packed") == 0) {
        settings->packed = true;
        return true;
    }
    shown = display_name(text);
    return complain(error, "--ring: '%s' is not one of split, packed", shown);
}

void settings_describe_bits(GString *text, const struct named_bit *table, uint32_t mask)
{
    const char *comma = "";

    if (mask == 0 || mask == all_bits(table)) {
        g_string_append(text, mask ? "all" : "none");
        return;
    }
    for (; table->name; table++) {
        if (mask & table->bit) {
            g_string_append_printf(text, "%s%s", comma, table->name);
            comma = ",";
        }
    }
}

char *settings_describe(const struct replay_settings *settings)
{
    const struct dialect *dialect = dialect_of(settings);
    GString *text = g_string_new(NULL);

    g_string_append_printf(text, "--dialect %s --tunnel-types ", dialect->name);
    settings_describe_bits(text, dialect->tunnel_types, settings->tunnel_types);
    g_string_append(text, " --hash-types ");
    settings_describe_bits(text, hash_type_table, settings->hash_types);
    g_string_append(text, " --key ");
    for (size_t i = 0; i < settings->key_len; i++) {
        g_string_append_printf(text, "%02x", settings->key[i]);
    }
    g_string_append_printf(text, " --queues %u --indirection %u --ring %s", settings->queues,
                           settings->indirection, settings->packed ? "packed" : "split");
    return g_string_free(text, FALSE);
}
