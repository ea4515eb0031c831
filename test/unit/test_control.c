/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control queue (VIRTIO 1.4, 5.1.6.5): every command in every length and cut, what each answers,
 * and that a command which fails changes nothing. The device's state is observed from outside: what
 * frames it passes and how it marks them, what VQ_GET and the configuration space say. The table of
 * commands is written from the specification.
 */
#include <malloc.h>
#include <string.h>

#include <vionet/spec.h>
#include <vionet/transport.h>

#include "driver/bytes.h"
#include "driver/queue.h"
#include "machine/machine.h"
#include "reference/reference.h"

#define PAIRS 4
#define NONE  0xff

static const char *const dialects[] = {"ratified", "draft-v10", "draft-v7", "off"};

static const uint8_t key[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
                                0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
                                0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
                                0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

static const uint8_t own_mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
static const uint8_t other_mac[6] = {0x06, 0, 0, 0, 0, 0x31};
static const uint8_t unicast[2][6] = {{2, 0, 0, 0, 0, 0xaa}, {2, 0, 0, 0, 0, 0xbb}};
static const uint8_t multicast[2][6] = {{1, 0, 0x5e, 0, 0, 7}, {1, 0, 0x5e, 0, 0, 9}};
static const uint8_t strangers[2][6] = {{2, 0, 0, 0, 0, 0xee}, {1, 0, 0x5e, 0, 0, 0xee}};
static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

/* ---- machines ---- */

static void setup_all(struct machine_setup *setup, const char *dialect)
{
    machine_setup_init(setup);
    setup->device.dialect = vionet_dialect_find(dialect);
    setup->device.tunnel_types = setup->device.dialect->all_types;
    setup->device.max_pairs = PAIRS;
    setup->net.transmit_size = 4096;
    machine_setup_offer_all(setup);
}

static struct machine *boot_all(const char *dialect)
{
    struct machine_setup setup;

    setup_all(&setup, dialect);
    return machine_booted(&setup, features_known());
}

static const char *dialect_of(const struct machine *machine)
{
    return vionet_device_config(machine->device)->dialect->name;
}

static bool speaks(const struct machine *machine, const char *dialect)
{
    return strcmp(dialect_of(machine), dialect) == 0;
}

static bool has(const struct machine *machine, unsigned feature)
{
    return guest_driver_has(machine->driver, feature);
}

/* ---- probe frames ---- */

/* Ethernet, IPv4, TCP: 54 octets; n makes flows differ. */
static void put_flow(uint8_t *p, const uint8_t *destination, unsigned n)
{
    static const uint8_t addresses[8] = {66, 9, 149, 187, 161, 142, 100, 80};

    memset(p, 0, 60);
    memcpy(p, destination, 6);
    p[6] = 2;
    p[12] = 8;
    p[14] = 0x45;
    p[17] = 40;
    p[22] = 64;
    p[23] = 6;
    memcpy(p + 26, addresses, 8);
    p[29] = (uint8_t)(p[29] + n);
    p[34] = 0x0a;
    p[35] = 0xea;
    p[36] = 0x06;
    p[37] = 0xe6;
    p[46] = 0x50;
}

/* The same inside VXLAN: 50 octets more. */
static void put_vxlan(uint8_t *p, unsigned n)
{
    put_flow(p, own_mac, 0);
    memset(p + 34, 0, 16);
    p[16] = 0;
    p[17] = 90;
    p[23] = 17;
    p[34] = 0x30;
    p[36] = 0x12; /* 4789 */
    p[37] = 0xb5;
    p[39] = 70;
    p[42] = 8;
    put_flow(p + 50, own_mac, n);
}

/* What the guest sees of a frame, appended to print. */
static void probe(struct machine *machine, const VionetFrame *one, GByteArray *print)
{
    struct guest_packet packet = {0};
    VionetVerdict verdict;
    uint8_t octets[10] = {0};

    vionet_device_receive(machine->device, 0, one, 1, &verdict, 0);
    octets[0] = (uint8_t)verdict;
    if (verdict == VIONET_DELIVERED && net_receive(machine->net, &packet)) {
        octets[1] = (uint8_t)packet.pair;
        octets[2] = packet.header.flags;
        octets[3] = packet.header.gso_type;
        bytes_put32(octets + 4, packet.header.hash_value);
        octets[8] = (uint8_t)packet.header.hash_report;
        octets[9] = packet.header.hash_report_tunnel;
    }
    g_byte_array_append(print, octets, sizeof(octets));
}

static void probe_octets(struct machine *machine, const uint8_t *p, size_t len, GByteArray *print)
{
    const struct iovec piece = {(void *)p, len};
    const VionetFrame one = {.iov = &piece, .n_iov = 1};

    probe(machine, &one, print);
}

static void probe_filter(struct machine *machine, GByteArray *print)
{
    const uint8_t *const macs[] = {own_mac,      other_mac,    unicast[0],   unicast[1],  broadcast,
                                   multicast[0], multicast[1], strangers[0], strangers[1]};
    uint8_t p[60];

    for (unsigned i = 0; i < G_N_ELEMENTS(macs); i++) {
        put_flow(p, macs[i], 0);
        p[12] = 0x88; /* no hash: the filter alone */
        p[13] = 0xb5;
        probe_octets(machine, p, sizeof(p), print);
    }
    for (unsigned id = 0; id < 4096; id += 585) {
        put_flow(p, broadcast, 0);
        p[12] = 0x81;
        p[13] = 0;
        p[14] = (uint8_t)(id >> 8);
        p[15] = (uint8_t)id;
        probe_octets(machine, p, sizeof(p), print);
    }
}

static void probe_flows(struct machine *machine, GByteArray *print)
{
    const struct iovec piece = {g_malloc(128), 60};
    const VionetFrame partial = {.iov = &piece,
                                 .n_iov = 1,
                                 .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                 .csum_start = 34,
                                 .csum_offset = 16};

    for (unsigned n = 0; n < 8; n++) {
        put_flow(piece.iov_base, own_mac, n);
        probe_octets(machine, piece.iov_base, 60, print);
        put_vxlan(piece.iov_base, n);
        probe_octets(machine, piece.iov_base, 104, print);
    }
    put_flow(piece.iov_base, own_mac, 0);
    probe(machine, &partial, print);
    g_free(piece.iov_base);
}

static void probe_queues(struct machine *machine, GByteArray *print)
{
    for (uint16_t i = 0; i < 2 * PAIRS; i++) {
        uint32_t told[2] = {0, 0};
        uint8_t octets[9] = {0};

        if (!has(machine, 52) || machine->driver->max_pairs < PAIRS ||
            strncmp(dialect_of(machine), "draft", 5) == 0) {
            return;
        }
        octets[0] = (uint8_t)net_control_coalesce_get(machine->net, i, &told[0], &told[1]);
        bytes_put32(octets + 1, told[0]);
        bytes_put32(octets + 5, told[1]);
        g_byte_array_append(print, octets, sizeof(octets));
    }
}

/* Whether a queue's notification waits for more packets: then a timer was asked for. */
static void probe_coalescing(struct machine *machine, GByteArray *print)
{
    const unsigned n = 2 * machine->driver->pairs;
    uint8_t octets[2] = {0, 0};
    struct guest_packet packet;
    uint8_t p[60];

    for (unsigned i = 0; i < n; i++) {
        vionet_device_timer(machine->device, i); /* whatever waits already */
        machine->deadline_ns[i] = 0;
    }
    put_flow(p, own_mac, 0);
    p[12] = 0x88; /* not a flow to be learnt */
    p[13] = 0xb5;
    net_transmit(machine->net, 0, NULL, p, sizeof(p));
    machine_drain(machine, 0);
    net_reclaim(machine->net, 0);
    machine_deliver(machine, p, sizeof(p));
    net_receive(machine->net, &packet);
    for (unsigned i = 0; i < n; i++) {
        octets[i % 2] |= machine->deadline_ns[i] != 0;
    }
    g_byte_array_append(print, octets, sizeof(octets));
}

/* All that can be seen of what commands set. */
static GBytes *fingerprint(struct machine *machine)
{
    GByteArray *print = g_byte_array_new();
    uint8_t space[28];

    probe_filter(machine, print);
    probe_flows(machine, print);
    probe_queues(machine, print);
    probe_coalescing(machine, print);
    vionet_device_config_read(machine->device, 0, space, sizeof(space));
    g_byte_array_append(print, space, sizeof(space));
    return g_byte_array_free_to_bytes(print);
}

/* Whether the state is still what it was then. */
static bool unchanged(struct machine *machine, GBytes *then)
{
    GBytes *now = fingerprint(machine);
    const bool same = g_bytes_equal(then, now);

    g_bytes_unref(now);
    return same;
}

/* ---- commands that can be seen to work ---- */

enum form { FIXED, MAC_TABLE, RSS_CONFIG, HASH_CONFIG };

/* A command with a payload that changes the state, and one that changes it back. */
struct change {
    const char *name;
    uint8_t class;
    uint8_t command;
    uint8_t needs[2];
    enum form form;
    uint8_t len; /* of a FIXED form */
    uint8_t on[12];
    uint8_t off[12];
    uint8_t off_command;
    bool exact; /* a longer payload is an error */
};

static const struct change changes[] = {
    {"rx-promisc", 0, 0, {18, NONE}, FIXED, 1, {1}, {0}, 0, false},
    {"rx-allmulti", 0, 1, {18, NONE}, FIXED, 1, {1}, {0}, 1, false},
    {"rx-alluni", 0, 2, {20, NONE}, FIXED, 1, {1}, {0}, 2, false},
    {"rx-nomulti", 0, 3, {20, NONE}, FIXED, 1, {1}, {0}, 3, false},
    {"rx-nouni", 0, 4, {20, NONE}, FIXED, 1, {1}, {0}, 4, false},
    {"rx-nobcast", 0, 5, {20, NONE}, FIXED, 1, {1}, {0}, 5, false},
    {"mac-table-set", 1, 0, {18, NONE}, MAC_TABLE, 0, {0}, {0}, 0, true},
    {"mac-addr-set",
     1,
     1,
     {23, 18},
     FIXED,
     6,
     {6, 0, 0, 0, 0, 0x31},
     {0x52, 0x54, 0, 0x12, 0x34, 0x56},
     1,
     true},
    {"vlan-add", 2, 0, {19, NONE}, FIXED, 2, {0x49, 2}, {0x49, 2}, 1, false},
    {"mq-vq-pairs-set", 4, 0, {22, NONE}, FIXED, 2, {PAIRS, 0}, {1, 0}, 0, false},
    {"mq-rss-config", 4, 1, {60, NONE}, RSS_CONFIG, 0, {0}, {0}, 1, true},
    {"mq-hash-config", 4, 2, {57, NONE}, HASH_CONFIG, 0, {0}, {0}, 2, true},
    {"guest-offloads-set", 5, 0, {2, NONE}, FIXED, 8, {0}, {2}, 0, false},
    {"coal-tx-set", 6, 0, {53, NONE}, FIXED, 8, {5, 0, 0, 0, 7}, {0}, 0, false},
    {"coal-rx-set", 6, 1, {53, NONE}, FIXED, 8, {5, 0, 0, 0, 7}, {0}, 1, false},
    {"coal-vq-set", 6, 2, {52, NONE}, FIXED, 12, {1, 0, 0x5a, 0xa5, 9, 0, 0, 0, 9}, {1}, 2, false},
    {"hash-tunnel-set", 7, 0, {51, NONE}, FIXED, 4, {0x10}, {0}, 0, false},
};

/* And two that change nothing that frames show. */
static const struct change silent_changes[] = {
    {"announce-ack", 3, 0, {21, NONE}, FIXED, 0, {0}, {0}, 0, false},
    {"vlan-del", 2, 1, {19, NONE}, FIXED, 2, {0x49, 2}, {0x49, 2}, 1, false},
};

static void append_mac_table(GByteArray *payload, bool on)
{
    uint8_t one[4] = {1, 0, 0, 0};

    g_byte_array_append(payload, one, 4);
    g_byte_array_append(payload, unicast[on], 6);
    g_byte_array_append(payload, one, 4);
    g_byte_array_append(payload, multicast[on], 6);
}

static const uint16_t table_on[4] = {3, 2, 1, 0};
static const uint16_t table_off[2] = {1, 2};

/* Configuration A (on) and B. In draft v10 the tunnel types are part of it; in v7 of hash_types. */
static struct net_rss rss_of(const struct machine *machine, bool on)
{
    const bool tunnels = has(machine, 52);

    return (struct net_rss){
        .hash_types =
            (on ? 0x1ff : 0x1) | (on && tunnels && speaks(machine, "draft-v7") ? 0x400 : 0),
        .table = on ? table_on : table_off,
        .table_len = on ? 4 : 2,
        .unclassified_queue = on ? 2 : 3,
        .max_tx_vq = on ? PAIRS : 1,
        .key = key,
        .key_len = on ? 40 : 8,
        .has_tunnel_types = tunnels && speaks(machine, "draft-v10"),
        .tunnel_types = on ? 4 : 1,
    };
}

/* How many octets may follow a hash key that nothing else follows: the padding that Linux sends. */
static unsigned padding_of(const struct machine *machine)
{
    return rss_of(machine, true).has_tunnel_types ? 0 : 1;
}

static GByteArray *payload_of(const struct machine *machine, const struct change *change, bool on)
{
    const struct net_rss rss = rss_of(machine, on);
    GByteArray *payload;

    switch (change->form) {
    case RSS_CONFIG:
        return net_rss_encode(&rss);
    case HASH_CONFIG:
        return net_hash_encode(&rss);
    default:
        break;
    }
    payload = g_byte_array_new();
    if (change->form == MAC_TABLE) {
        append_mac_table(payload, on);
    } else {
        g_byte_array_append(payload, on ? change->on : change->off, change->len);
    }
    return payload;
}

/* 5.1.6.5 and facts of each dialect: whether a command exists for this driver. */
static bool is_open(const struct machine *machine, const struct change *change)
{
    const bool draft = strncmp(dialect_of(machine), "draft", 5) == 0;

    if (change->form == HASH_CONFIG && speaks(machine, "draft-v10") && has(machine, 52)) {
        return true;
    }
    for (unsigned i = 0; i < 2; i++) {
        const uint8_t bit = change->needs[i];

        if (bit != NONE && has(machine, bit) && !(bit == 52 && draft)) {
            return true;
        }
    }
    return false;
}

static int apply(struct machine *machine, const struct change *change, bool on)
{
    GByteArray *payload = payload_of(machine, change, on);
    const uint8_t command = on ? change->command : change->off_command;
    int ack =
        net_control(machine->net, change->class, command, payload->data, payload->len, NULL, 0);

    g_byte_array_unref(payload);
    return ack;
}

/* A state in which each change can be seen: tables filled, everything else as after reset. */
static void baseline(struct machine *machine)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(changes); i++) {
        const struct change *change = &changes[i];
        /* Offloads not negotiated cannot be switched on. */
        const bool possible = is_open(machine, change) &&
                              (change->class != 5 || has(machine, VIRTIO_NET_F_GUEST_CSUM));

        if (possible) {
            g_assert_cmpint(apply(machine, change, false), ==, VIRTIO_NET_OK);
        }
    }
}

static void test_changes_are_seen(gconstpointer data)
{
    struct machine *machine = boot_all(data);

    baseline(machine);
    for (unsigned i = 0; i < G_N_ELEMENTS(changes); i++) {
        GBytes *off;

        if (!is_open(machine, &changes[i])) {
            continue;
        }
        g_assert_cmpint(apply(machine, &changes[i], false), ==, VIRTIO_NET_OK);
        off = fingerprint(machine);
        g_assert_cmpint(apply(machine, &changes[i], true), ==, VIRTIO_NET_OK);
        if (unchanged(machine, off)) {
            g_test_message("%s makes no difference", changes[i].name);
            g_test_fail();
        }
        g_assert_cmpint(apply(machine, &changes[i], false), ==, VIRTIO_NET_OK);
        g_assert_true(unchanged(machine, off));
        g_bytes_unref(off);
    }
    machine_finish(machine);
}

/* ---- P-19: every class, command and length ---- */

static const struct change *change_of(uint8_t class, uint8_t command)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(changes); i++) {
        if (changes[i].class == class && changes[i].command == command) {
            return &changes[i];
        }
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(silent_changes); i++) {
        if (silent_changes[i].class == class && silent_changes[i].command == command) {
            return &silent_changes[i];
        }
    }
    return NULL;
}

/* All lengths of a command that exists in the specification, open or not. */
static void sweep_lengths(struct machine *machine, const struct change *change, GBytes **state)
{
    GByteArray *payload = payload_of(machine, change, false);
    const unsigned need = payload->len;
    const bool has_key = change->form == RSS_CONFIG || change->form == HASH_CONFIG;
    const unsigned most = need + (has_key ? padding_of(machine) : 0);
    const bool open = is_open(machine, change);

    g_byte_array_append(payload, (const uint8_t *)"\0\0", 2);
    for (unsigned len = 0; len <= need + 2; len++) {
        const bool fits = len >= need && (len <= most || !change->exact);
        const bool possible = change->class != 5 || has(machine, VIRTIO_NET_F_GUEST_CSUM);
        const int expected = open && fits && possible ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
        const int ack =
            net_control(machine->net, change->class, change->command, payload->data, len, NULL, 0);

        if (ack != expected) {
            g_test_message("%s, %u octets: %d", change->name, len, ack);
            g_test_fail();
        }
        if (ack == VIRTIO_NET_OK) {
            g_bytes_unref(*state);
            *state = fingerprint(machine);
        } else {
            g_assert_true(unchanged(machine, *state));
        }
    }
    g_byte_array_unref(payload);
}

/* Lengths of one that does not, and of VQ_GET without room for its reply. */
static void sweep_unknown(struct machine *machine, uint8_t class, uint8_t command)
{
    static const uint8_t payload[8];

    for (unsigned len = 0; len <= (class == 6 ? 6 : 2); len++) {
        const int ack = net_control_laid_out(
            machine->net, &(struct net_control_layout){.ack_place = NET_ACK_FIRST}, class, command,
            payload, len, NULL, 0);

        if (ack != VIRTIO_NET_ERR) {
            g_test_message("command %u/%u, %u octets: %d", class, command, len, ack);
            g_test_fail();
        }
    }
}

static void sweep(struct machine *machine)
{
    GBytes *state;

    baseline(machine);
    state = fingerprint(machine);
    for (unsigned class = 0; class < 256; class ++) {
        for (unsigned command = 0; command < 8; command++) {
            const struct change *change = change_of((uint8_t) class, (uint8_t)command);

            if (change) {
                sweep_lengths(machine, change, &state);
            } else {
                sweep_unknown(machine, (uint8_t) class, (uint8_t)command);
            }
        }
        if (class < 16 || class % 32 == 0) {
            g_assert_true(unchanged(machine, state));
        }
    }
    g_bytes_unref(state);
}

static const uint8_t command_features[] = {18, 19, 20, 21, 22, 23, 2, 1, 51, 52, 53, 57, 60};

static void test_all_lengths(gconstpointer data)
{
    struct machine *machine = boot_all(data);

    sweep(machine);
    for (unsigned i = 0; i < G_N_ELEMENTS(command_features); i++) {
        struct guest_features wanted = features_known();

        features_remove(&wanted, command_features[i]);
        if (command_features[i] == 1) { /* takes all receive offloads with it */
            wanted =
                features_without(wanted, features_of(7, 8, 9, 10, 54, 55, 65, 66, FEATURES_END));
        } else if (command_features[i] == 57 || command_features[i] == 60) {
            wanted = features_without(wanted, features_of(51, 64, FEATURES_END));
        }
        g_assert_true(machine_boot(machine, wanted));
        sweep(machine);
    }
    g_assert_true(
        machine_boot(machine, features_of(VIRTIO_F_VERSION_1, VIRTIO_NET_F_CTRL_VQ, FEATURES_END)));
    sweep(machine);
    machine_finish(machine);
}

/* ---- P-19: every cut ---- */

/* One command cut so; it must work as it does uncut. */
static void check_layout(struct machine *machine, const struct change *change,
                         const struct net_control_layout *layout, GBytes *off, GBytes *on)
{
    GByteArray *payload = payload_of(machine, change, true);
    int ack;

    g_assert_cmpint(apply(machine, change, false), ==, VIRTIO_NET_OK);
    g_assert_true(unchanged(machine, off));
    ack = net_control_laid_out(machine->net, layout, change->class, change->command, payload->data,
                               payload->len, NULL, 0);
    g_assert_cmpint(ack, ==, VIRTIO_NET_OK);
    g_assert_cmpuint(net_control_used_len(machine->net), ==, 1);
    g_assert_true(unchanged(machine, on));
    g_byte_array_unref(payload);
}

static void check_cuts(struct machine *machine, const struct change *change)
{
    GByteArray *payload = payload_of(machine, change, true);
    GBytes *off, *on;

    g_assert_cmpint(apply(machine, change, false), ==, VIRTIO_NET_OK);
    off = fingerprint(machine);
    g_assert_cmpint(apply(machine, change, true), ==, VIRTIO_NET_OK);
    on = fingerprint(machine);
    for (uint32_t cut = 0; cut <= payload->len + 2; cut++) {
        const uint32_t cuts[2] = {cut, cut};
        struct net_control_layout layout = {
            .command = {.shape = NET_CUTS, .cuts = cuts, .n_cuts = 1 + cut % 2},
        };

        check_layout(machine, change, &layout, off, on);
        layout.command.indirect = true;
        layout.command.n_direct = cut % 3;
        check_layout(machine, change, &layout, off, on);
    }
    check_layout(machine, change,
                 &(struct net_control_layout){.command = {.shape = NET_OCTETS, .indirect = true}},
                 off, on);
    g_bytes_unref(off);
    g_bytes_unref(on);
    g_byte_array_unref(payload);
}

static void test_cuts(gconstpointer data)
{
    struct machine *machine = boot_all(data);

    baseline(machine);
    for (unsigned i = 0; i < G_N_ELEMENTS(changes); i++) {
        if (is_open(machine, &changes[i])) {
            check_cuts(machine, &changes[i]);
        }
    }
    machine_finish(machine);
}

/* Payloads that are short by one octet, cut anywhere: the answer is ERR and nothing has changed. */
static void test_cuts_of_short_commands(void)
{
    struct machine *machine = boot_all("ratified");
    GBytes *state;

    baseline(machine);
    state = fingerprint(machine);
    for (unsigned i = 0; i < G_N_ELEMENTS(changes); i++) {
        GByteArray *payload = payload_of(machine, &changes[i], true);

        for (uint32_t cut = 0; cut <= payload->len + 1; cut++) {
            const struct net_control_layout layout = {
                .command = {.shape = NET_CUTS, .cuts = &cut, .n_cuts = 1},
            };

            g_assert_cmpint(net_control_laid_out(machine->net, &layout, changes[i].class,
                                                 changes[i].command, payload->data,
                                                 payload->len - 1, NULL, 0),
                            ==, VIRTIO_NET_ERR);
        }
        g_assert_true(unchanged(machine, state));
        g_byte_array_unref(payload);
    }
    g_bytes_unref(state);
    machine_finish(machine);
}

/* ---- answers ---- */

/* Whatever room there is: one octet of answer, at its place, and no other is written. */
static void test_answer_room(void)
{
    struct machine *machine = boot_all("ratified");
    const uint8_t good[3] = {0, 0, 0};
    const uint8_t bad[3] = {200, 0, 0};

    for (uint32_t room = 1; room <= 64; room++) {
        uint8_t answer[64];

        g_assert_cmpint(net_control_octets(machine->net, NULL, good, 3, 2, answer, room, 1), ==, 1);
        g_assert_cmphex(answer[0], ==, VIRTIO_NET_OK);
        for (uint32_t i = 1; i < room; i++) {
            g_assert_cmphex(answer[i], ==, 0xff);
        }
        g_assert_cmpint(net_control_octets(machine->net, NULL, bad, 3, 2, answer, room, 1), ==, 1);
        g_assert_cmphex(answer[0], ==, VIRTIO_NET_ERR);
        for (uint32_t i = 1; i < room; i++) {
            g_assert_cmphex(answer[i], ==, 0xff);
        }
    }
    machine_finish(machine);
}

/* VQ_GET: eight octets, then the answer, if there is room for all of it. */
static void test_reply_room(void)
{
    struct machine *machine = boot_all("ratified");
    const uint8_t command[6] = {6, 3, 1, 0, 0x5a, 0xa5};
    static const uint8_t told[8] = {0x44, 0x33, 0x22, 0x11, 0x88, 0x77, 0x66, 0x55};

    g_assert_cmpint(net_control_coalesce_queue(machine->net, 1, 0x11223344, 0x55667788), ==,
                    VIRTIO_NET_OK);
    for (uint32_t room = 1; room <= 20; room++) {
        uint8_t answer[20];
        const int64_t used =
            net_control_octets(machine->net, NULL, command, 6, 2, answer, room, MIN(room, 8));

        if (room < 9) {
            g_assert_cmpint(used, ==, 1);
            g_assert_cmphex(answer[0], ==, VIRTIO_NET_ERR);
            continue;
        }
        g_assert_cmpint(used, ==, 9);
        g_assert_cmpmem(answer, 8, told, 8);
        g_assert_cmphex(answer[8], ==, VIRTIO_NET_OK);
        for (uint32_t i = 9; i < room; i++) {
            g_assert_cmphex(answer[i], ==, 0xff);
        }
    }
    machine_finish(machine);
}

static void test_reply_cuts(void)
{
    struct machine *machine = boot_all("ratified");
    const uint8_t command[6] = {6, 3, 1, 0, 0, 0};

    g_assert_cmpint(net_control_coalesce_queue(machine->net, 1, 3, 4), ==, VIRTIO_NET_OK);
    for (uint32_t cut = 0; cut <= 9; cut++) {
        const struct net_control_layout layout = {
            .command = {.shape = NET_OCTETS},
            .reply = {.shape = NET_CUTS, .cuts = &cut, .n_cuts = 1},
        };
        uint8_t answer[9];

        g_assert_cmpint(net_control_octets(machine->net, &layout, command, 6, 2, answer, 9, 8), ==,
                        9);
        g_assert_cmpmem(answer, 9, "\3\0\0\0\4\0\0\0\0", 9);
    }
    machine_finish(machine);
}

/* A failed VQ_GET answers where the driver looks for it, and tells nothing of the one before. */
static void test_reply_of_failure(void)
{
    struct machine *machine = boot_all("ratified");
    const uint8_t command[6] = {6, 3, 2 * PAIRS, 0, 0, 0};
    uint32_t told[2];
    uint8_t answer[9];

    g_assert_cmpint(net_control_coalesce_queue(machine->net, 1, 0x5a5a5a5a, 0x5a5a5a5a), ==,
                    VIRTIO_NET_OK);
    g_assert_cmpint(net_control_coalesce_get(machine->net, 1, &told[0], &told[1]), ==,
                    VIRTIO_NET_OK);
    g_assert_cmpint(net_control_octets(machine->net, NULL, command, 6, 2, answer, 9, 8), ==, 9);
    g_assert_cmpmem(answer, 9, "\0\0\0\0\0\0\0\0\1", 9);
    machine_finish(machine);
}

static void check_unanswerable(uint32_t readable, uint32_t writable)
{
    struct machine *machine = boot_all("ratified");
    const uint8_t command[3] = {0, 0, 1};
    const VionetEvent *event;
    uint8_t answer[1] = {0};
    GBytes *state = fingerprint(machine);

    g_assert_cmpint(
        net_control_octets(machine->net, NULL, command, readable, 1, answer, writable, 1), ==,
        NET_CONTROL_NONE);
    g_assert_cmphex(guest_driver_status(machine->driver) & VIRTIO_STATUS_DEVICE_NEEDS_RESET, ==,
                    VIRTIO_STATUS_DEVICE_NEEDS_RESET);
    event = machine_violation(machine, VIONET_VIOLATION_CONTROL_UNANSWERABLE);
    g_assert_nonnull(event);
    g_assert_cmpuint(event->queue, ==, 2 * PAIRS);
    g_assert_true(machine_works(machine));
    g_bytes_unref(state);
    machine_free(machine);
}

static void test_unanswerable(void)
{
    check_unanswerable(0, 1);
    check_unanswerable(1, 1);
    check_unanswerable(3, 0);
}

static void test_counters_and_events(void)
{
    struct machine *machine = boot_all("ratified");
    const unsigned queue = 2 * PAIRS;

    machine_forget_events(machine);
    g_assert_cmpint(net_control(machine->net, 77, 5, NULL, 0, NULL, 0), ==, VIRTIO_NET_ERR);
    g_assert_cmpint(net_control(machine->net, 4, 0, "\0\0", 2, NULL, 0), ==, VIRTIO_NET_ERR);
    g_assert_cmpint(net_control(machine->net, 4, 0, "\0", 1, NULL, 0), ==, VIRTIO_NET_ERR);
    g_assert_cmpint(net_control_rx(machine->net, 0, true), ==, VIRTIO_NET_OK);
    g_assert_cmpint(net_control_pairs(machine->net, 2), ==, VIRTIO_NET_OK);
    g_assert_cmpuint(machine->n_events, ==, 5);
    g_assert_cmpint(machine->events[0].violation, ==, VIONET_VIOLATION_COMMAND_UNKNOWN);
    g_assert_cmphex(machine->events[0].value, ==, 0x4d05);
    g_assert_cmpint(machine->events[1].violation, ==, VIONET_VIOLATION_COMMAND_VALUE);
    g_assert_cmphex(machine->events[1].value, ==, 0x0400);
    g_assert_cmpint(machine->events[2].violation, ==, VIONET_VIOLATION_COMMAND_LENGTH);
    g_assert_cmpint(machine->events[3].kind, ==, VIONET_EVENT_FILTER);
    g_assert_cmpint(machine->events[4].kind, ==, VIONET_EVENT_STEERING);
    g_assert_cmpuint(vionet_device_counter(machine->device, queue, VIONET_COUNTER_COMMANDS_OK), ==,
                     2);
    g_assert_cmpuint(vionet_device_counter(machine->device, queue, VIONET_COUNTER_COMMANDS_ERR), ==,
                     3);
    machine_finish(machine);
}

/* ---- RSS_CONFIG and HASH_CONFIG at every limit (H-06, H-07, H-08, P-22) ---- */

/* The payload of a valid configuration with one thing changed. */
struct trial {
    const char *name;
    struct net_rss rss;
    int extra; /* octets to add or take away at the end */
    int expected;
};

/* The same configuration for an RSS context, added and changed: it gets the same answer. */
static void run_context_trial(struct machine *machine, const struct trial *trial,
                              const GByteArray *config)
{
    const struct net_rss good = rss_of(machine, true);
    GByteArray *payload = g_byte_array_new();

    g_byte_array_append(payload, (const uint8_t *)"\2\0\1\2\3\4\5\6", 8); /* reserved is ignored */
    g_byte_array_append(payload, config->data, config->len);
    g_assert_cmpint(net_control(machine->net, VIRTNET_RSS_CTX_CTRL, VIRTNET_RSS_CTX_CTRL_ADD,
                                payload->data, payload->len, NULL, 0),
                    ==, trial->expected);
    if (trial->expected == VIRTIO_NET_ERR) { /* then there is none, and one can be made */
        g_assert_cmpint(net_control_context_delete(machine->net, 2), ==, VIRTIO_NET_ERR);
        g_assert_cmpint(net_control_context_add(machine->net, 2, &good), ==, VIRTIO_NET_OK);
    }
    g_assert_cmpint(net_control(machine->net, VIRTNET_RSS_CTX_CTRL, VIRTNET_RSS_CTX_CTRL_MOD,
                                payload->data, payload->len, NULL, 0),
                    ==, trial->expected);
    g_assert_cmpint(net_control_context_delete(machine->net, 2), ==, VIRTIO_NET_OK);
    g_byte_array_unref(payload);
}

static void run_trial(struct machine *machine, bool hash_only, const struct trial *trial)
{
    GByteArray *payload = hash_only ? net_hash_encode(&trial->rss) : net_rss_encode(&trial->rss);
    GBytes *state;
    int ack;

    g_assert_cmpint(apply(machine, &changes[hash_only ? 11 : 10], true), ==, VIRTIO_NET_OK);
    state = fingerprint(machine);
    g_byte_array_set_size(payload, (guint)((int)payload->len + trial->extra));
    ack = net_control(machine->net, VIRTIO_NET_CTRL_MQ, hash_only ? 2 : 1, payload->data,
                      payload->len, NULL, 0);
    if (ack != trial->expected) {
        g_test_message("%s, %s: %s answered %d", dialect_of(machine), hash_only ? "hash" : "rss",
                       trial->name, ack);
        g_test_fail();
    }
    if (trial->expected == VIRTIO_NET_ERR && !unchanged(machine, state)) {
        g_test_message("%s: %s failed, and changed something", dialect_of(machine), trial->name);
        g_test_fail();
    }
    if (!hash_only && has(machine, VIRTIO_NET_F_RSS_CONTEXT)) {
        run_context_trial(machine, trial, payload);
        g_assert_true(trial->expected != VIRTIO_NET_ERR || unchanged(machine, state));
    }
    g_bytes_unref(state);
    g_byte_array_unref(payload);
}

static void run_lengths(struct machine *machine, bool hash_only)
{
    struct trial trial = {.rss = rss_of(machine, true)};

    for (trial.extra = -12; trial.extra <= 12; trial.extra++) {
        trial.name = "length";
        trial.expected = trial.extra >= 0 && trial.extra <= (int)padding_of(machine)
                             ? VIRTIO_NET_OK
                             : VIRTIO_NET_ERR;
        run_trial(machine, hash_only, &trial);
    }
}

static void run_keys(struct machine *machine, bool hash_only)
{
    static const uint8_t lengths[] = {0, 1, 2, 8, 39, 40, 41, 42, 52, 254, 255};
    uint8_t long_key[255];
    struct trial trial = {.name = "key length", .rss = rss_of(machine, true)};

    memset(long_key, 0x5c, sizeof(long_key));
    trial.rss.key = long_key;
    for (unsigned i = 0; i < G_N_ELEMENTS(lengths); i++) {
        trial.rss.key_len = lengths[i];
        trial.expected = lengths[i] >= 1 && lengths[i] <= 40 ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
        run_trial(machine, hash_only, &trial);
    }
    trial.name = "no key and no types";
    trial.rss.hash_types = 0;
    trial.rss.key_len = 0;
    trial.expected = VIRTIO_NET_OK;
    run_trial(machine, hash_only, &trial);
}

static void run_types(struct machine *machine, bool hash_only)
{
    const uint32_t inner = has(machine, 52) && speaks(machine, "draft-v7") ? 0xe00 : 0;
    struct trial trial = {.name = "hash types", .rss = rss_of(machine, true)};

    for (unsigned bit = 0; bit < 32; bit++) {
        trial.rss.hash_types = 1u << bit;
        trial.expected = (0x1ff | inner) >> bit & 1 ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
        run_trial(machine, hash_only, &trial);
        trial.rss.hash_types = 0x1ff | 1u << bit;
        run_trial(machine, hash_only, &trial);
    }
    trial.rss.hash_types = UINT32_MAX;
    trial.expected = VIRTIO_NET_ERR;
    run_trial(machine, hash_only, &trial);
}

/* Draft v10: each bit of hash_tunnel_types, NONE included. */
static void run_tunnel_types(struct machine *machine, bool hash_only)
{
    struct trial trial = {.name = "tunnel types", .rss = rss_of(machine, true)};

    if (!trial.rss.has_tunnel_types) {
        return;
    }
    for (unsigned bit = 0; bit < 32; bit++) {
        trial.rss.tunnel_types = 1u << bit;
        trial.expected = bit < 6 ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
        run_trial(machine, hash_only, &trial);
        trial.rss.tunnel_types = 0x3f | 1u << bit;
        run_trial(machine, hash_only, &trial);
    }
    trial.rss.tunnel_types = 0;
    trial.expected = VIRTIO_NET_OK;
    run_trial(machine, hash_only, &trial);
}

static void run_tables(struct machine *machine)
{
    static const uint32_t sizes[] = {1, 2, 3, 4, 5, 64, 127, 128, 129, 256, 0x8000, 0x10000};
    struct trial trial = {.name = "table", .rss = rss_of(machine, true)};

    trial.rss.table = NULL;
    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
        const bool power = (sizes[i] & (sizes[i] - 1)) == 0;

        trial.rss.table_len = sizes[i];
        trial.expected = power && sizes[i] <= 128 ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
        run_trial(machine, false, &trial);
    }
}

/* Queue numbers: PAIRS exist; bit 15 is reserved. */
static void run_queues(struct machine *machine)
{
    static const uint16_t numbers[] = {0,      1,      PAIRS - 1,  PAIRS, PAIRS + 1,
                                       0x7fff, 0x8000, 0x8000 | 1, 0xffff};
    uint16_t table[4];

    for (unsigned i = 0; i < G_N_ELEMENTS(numbers); i++) {
        struct trial trial = {.name = "unclassified queue", .rss = rss_of(machine, true)};

        trial.expected = numbers[i] < PAIRS ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
        trial.rss.unclassified_queue = numbers[i];
        run_trial(machine, false, &trial);
        trial.name = "table entry";
        trial.rss.unclassified_queue = 0;
        trial.rss.table = table;
        for (unsigned at = 0; at < 4; at++) {
            memcpy(table, table_on, sizeof(table));
            table[at] = numbers[i];
            run_trial(machine, false, &trial);
        }
        trial.name = "max_tx_vq";
        trial.rss.table = table_on;
        trial.rss.max_tx_vq = numbers[i];
        trial.expected = numbers[i] >= 1 && numbers[i] <= PAIRS ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
        run_trial(machine, false, &trial);
    }
}

/* NET-HASH-05: the reserved words are zero, but for the last, which Linux does not clear. */
static void run_reserved(struct machine *machine)
{
    const struct net_rss rss = rss_of(machine, true);

    for (unsigned word = 0; word < 4; word++) {
        for (unsigned value = 0; value <= 0x10000; value = value ? 2 * value : 1) {
            GByteArray *payload = net_hash_encode(&rss);
            const bool fine = value % 0x10000 == 0 || word == 3;
            GBytes *state = fingerprint(machine);

            bytes_put16(payload->data + 4 + 2 * word, (uint16_t)value);
            g_assert_cmpint(net_control(machine->net, 4, 2, payload->data, payload->len, NULL, 0),
                            ==, fine ? VIRTIO_NET_OK : VIRTIO_NET_ERR);
            g_assert_true(fine || unchanged(machine, state));
            g_bytes_unref(state);
            g_byte_array_unref(payload);
        }
    }
}

static void test_rss_config(gconstpointer data)
{
    struct machine *machine = boot_all(data);

    baseline(machine);
    run_lengths(machine, false);
    run_keys(machine, false);
    run_types(machine, false);
    run_tunnel_types(machine, false);
    run_tables(machine);
    run_queues(machine);
    machine_finish(machine);
}

static void test_hash_config(gconstpointer data)
{
    struct machine *machine = boot_all(data);

    baseline(machine);
    run_lengths(machine, true);
    run_keys(machine, true);
    run_types(machine, true);
    run_tunnel_types(machine, true);
    run_reserved(machine);
    machine_finish(machine);
}

/* F.3, 3: without the draft's bit negotiated the field is absent, and the types of v7 do not exist. */
static void test_draft_not_negotiated(gconstpointer data)
{
    struct guest_features wanted = features_known();
    struct machine_setup setup;
    struct machine *machine;
    struct trial trial = {.name = "tunnel types not negotiated"};

    setup_all(&setup, data);
    features_remove(&wanted, 52);
    machine = machine_booted(&setup, wanted);
    baseline(machine);
    for (unsigned hash_only = 0; hash_only < 2; hash_only++) {
        trial.rss = rss_of(machine, true);
        trial.expected = VIRTIO_NET_OK;
        run_trial(machine, hash_only, &trial);
        trial.expected = VIRTIO_NET_ERR;
        trial.rss.has_tunnel_types = true;
        run_trial(machine, hash_only, &trial);
        trial.rss.has_tunnel_types = false;
        for (unsigned bit = 9; bit < 12; bit++) {
            trial.rss.hash_types = 0x1ff | 1u << bit;
            run_trial(machine, hash_only, &trial);
        }
    }
    machine_finish(machine);
}

/* ---- RSS contexts ---- */

static int context_pairs(struct machine *machine)
{
    return net_control_pairs(machine->net, 2);
}

/* Ids from 1 to what CAP_GET tells; each once, until it is deleted. */
static void test_context_ids(void)
{
    static const uint16_t never[] = {0, 6, 7, 255, 256, 0x8001, 0xffff};
    struct machine_setup setup;
    struct machine *machine;
    struct net_rss rss;
    uint16_t max = 0;

    setup_all(&setup, "ratified");
    setup.device.max_rss_contexts = 5;
    machine = machine_booted(&setup, features_known());
    rss = rss_of(machine, true);
    g_assert_cmpint(net_control_context_max(machine->net, &max), ==, VIRTIO_NET_OK);
    g_assert_cmpuint(max, ==, 5);
    for (unsigned i = 0; i < G_N_ELEMENTS(never); i++) {
        g_assert_cmpint(net_control_context_add(machine->net, never[i], &rss), ==, VIRTIO_NET_ERR);
        g_assert_cmpint(net_control_context_modify(machine->net, never[i], &rss), ==,
                        VIRTIO_NET_ERR);
        g_assert_cmpint(net_control_context_delete(machine->net, never[i]), ==, VIRTIO_NET_ERR);
    }
    for (unsigned round = 0; round < 3; round++) {
        for (uint16_t id = 5; id >= 1; id--) {
            g_assert_cmpint(net_control_context_modify(machine->net, id, &rss), ==, VIRTIO_NET_ERR);
            g_assert_cmpint(net_control_context_delete(machine->net, id), ==, VIRTIO_NET_ERR);
            g_assert_cmpint(net_control_context_add(machine->net, id, &rss), ==, VIRTIO_NET_OK);
            g_assert_cmpint(net_control_context_add(machine->net, id, &rss), ==, VIRTIO_NET_ERR);
            g_assert_cmpint(net_control_context_modify(machine->net, id, &rss), ==, VIRTIO_NET_OK);
        }
        for (uint16_t id = 1; id <= 5; id++) {
            g_assert_cmpint(net_control_context_delete(machine->net, id), ==, VIRTIO_NET_OK);
        }
    }
    machine_finish(machine);
}

static void test_context_lengths(void)
{
    struct machine *machine = boot_all("ratified");
    const struct net_rss rss = rss_of(machine, true);
    GByteArray *payload = net_context_encode(1, &rss);
    const unsigned need = payload->len;

    g_byte_array_append(payload, (const uint8_t *)"\0\0\0\0", 4);
    for (unsigned command = 1; command <= 2; command++) {
        for (unsigned len = 0; len <= need + 4; len++) {
            const bool good = len >= need && len <= need + padding_of(machine);
            const int ack =
                net_control(machine->net, 9, (uint8_t)command, payload->data, len, NULL, 0);

            g_assert_cmpint(ack, ==, good ? VIRTIO_NET_OK : VIRTIO_NET_ERR);
            if (command == 1 && good) {
                g_assert_cmpint(net_control_context_delete(machine->net, 1), ==, VIRTIO_NET_OK);
            }
        }
        net_control_context_add(machine->net, 1, &rss); /* to be modified */
    }
    for (unsigned len = 0; len <= 4; len++) {
        g_assert_cmpint(net_control(machine->net, 9, 3, "\1\0\0\0", len, NULL, 0), ==,
                        len >= 2 ? VIRTIO_NET_OK : VIRTIO_NET_ERR);
        if (len >= 2) {
            g_assert_cmpint(net_control_context_add(machine->net, 1, &rss), ==, VIRTIO_NET_OK);
        }
    }
    g_byte_array_unref(payload);
    machine_finish(machine);
}

/* CAP_GET: two octets, then the answer, if there is room for all of it. */
static void test_context_cap_room(void)
{
    struct machine *machine = boot_all("ratified");

    for (uint32_t room = 1; room <= 8; room++) {
        const bool fits = room >= 3;
        uint8_t answer[8];
        const int64_t used = net_control_octets(machine->net, NULL, (const uint8_t[]){9, 0}, 2, 2,
                                                answer, room, fits ? 2 : 1);

        g_assert_cmpint(used, ==, fits ? 3 : 1);
        g_assert_cmpmem(answer, (size_t)used, fits ? "\20\0\0" : "\1", (size_t)used);
        for (uint32_t i = (uint32_t)used; i < room; i++) {
            g_assert_cmphex(answer[i], ==, 0xff);
        }
    }
    machine_finish(machine);
}

/* No frame goes another way for a context that comes, changes or goes. */
static void test_contexts_steer_nothing(void)
{
    struct machine *machine = boot_all("ratified");
    const struct net_rss on = rss_of(machine, true), off = rss_of(machine, false);
    GBytes *state;

    baseline(machine);
    g_assert_cmpint(net_control_rss(machine->net, &off), ==, VIRTIO_NET_OK);
    state = fingerprint(machine);
    g_assert_cmpint(net_control_context_add(machine->net, 1, &on), ==, VIRTIO_NET_OK);
    g_assert_true(unchanged(machine, state));
    g_assert_cmpint(net_control_context_modify(machine->net, 1, &off), ==, VIRTIO_NET_OK);
    g_assert_true(unchanged(machine, state));
    g_assert_cmpint(net_control_context_delete(machine->net, 1), ==, VIRTIO_NET_OK);
    g_assert_true(unchanged(machine, state));
    g_bytes_unref(state);
    machine_finish(machine);
}

/* The driver may not set queue pairs while there is one; RSS_CONFIG and HASH_CONFIG it may. */
static void test_contexts_and_pairs(void)
{
    struct machine *machine = boot_all("ratified");
    const struct net_rss rss = rss_of(machine, true);
    GBytes *state;

    g_assert_cmpint(context_pairs(machine), ==, VIRTIO_NET_OK);
    g_assert_cmpint(net_control_context_add(machine->net, 1, &rss), ==, VIRTIO_NET_OK);
    g_assert_cmpint(net_control_context_add(machine->net, 2, &rss), ==, VIRTIO_NET_OK);
    g_assert_cmpint(net_control_rss(machine->net, &rss), ==, VIRTIO_NET_OK);
    state = fingerprint(machine);
    g_assert_cmpint(context_pairs(machine), ==, VIRTIO_NET_ERR);
    g_assert_true(unchanged(machine, state));
    g_assert_cmpint(net_control_hash(machine->net, &rss), ==, VIRTIO_NET_OK);
    g_assert_cmpint(net_control_context_delete(machine->net, 2), ==, VIRTIO_NET_OK);
    g_assert_cmpint(context_pairs(machine), ==, VIRTIO_NET_ERR);
    g_assert_cmpint(net_control_context_delete(machine->net, 1), ==, VIRTIO_NET_OK);
    g_assert_cmpint(context_pairs(machine), ==, VIRTIO_NET_OK);
    g_bytes_unref(state);
    machine_finish(machine);
}

/* A reset removes them, by register and by the machine; that of a queue does not. */
static void test_contexts_over_resets(void)
{
    struct machine *machine = boot_all("ratified");
    const struct net_rss rss = rss_of(machine, true);

    for (unsigned round = 0; round < 2; round++) {
        for (uint16_t id = 1; id <= 16; id++) {
            g_assert_cmpint(net_control_context_add(machine->net, id, &rss), ==, VIRTIO_NET_OK);
        }
        g_assert_true(net_reset_queue(machine->net, 0, 0));
        g_assert_cmpint(net_control_context_modify(machine->net, 16, &rss), ==, VIRTIO_NET_OK);
        if (round) {
            vionet_pci_reset(machine->pci);
            machine->driver->probed = false;
        }
        g_assert_true(machine_boot(machine, features_known()));
        g_assert_cmpint(context_pairs(machine), ==, VIRTIO_NET_OK);
        for (uint16_t id = 1; id <= 16; id++) {
            g_assert_cmpint(net_control_context_delete(machine->net, id), ==, VIRTIO_NET_ERR);
        }
    }
    g_assert_cmpint(net_control_context_add(machine->net, 3, &rss), ==, VIRTIO_NET_OK);
    machine_finish(machine); /* with one there */
}

static void test_contexts_not_negotiated(void)
{
    struct guest_features wanted = features_known();
    struct machine_setup setup;
    struct machine *machine;
    struct net_rss rss;
    uint16_t max;

    setup_all(&setup, "ratified");
    features_remove(&wanted, VIRTIO_NET_F_RSS_CONTEXT);
    machine = machine_booted(&setup, wanted);
    rss = rss_of(machine, true);
    g_assert_cmpint(net_control_context_max(machine->net, &max), ==, VIRTIO_NET_ERR);
    g_assert_cmpint(net_control_context_add(machine->net, 1, &rss), ==, VIRTIO_NET_ERR);
    g_assert_cmpint(context_pairs(machine), ==, VIRTIO_NET_OK);
    machine_finish(machine);
}

/* The largest command that there can be is taken; one longer than the longest is answered. */
static void test_longest_commands(void)
{
    struct machine_setup setup;
    struct machine *machine;
    struct net_rss rss;
    GByteArray *payload;

    setup_all(&setup, "draft-v10");
    setup.device.rss_max_table = 32768;
    setup.device.rss_max_key_size = 255;
    machine = machine_booted(&setup, features_known());
    baseline(machine);
    rss = rss_of(machine, true);
    rss.table = NULL;
    rss.table_len = 32768;
    rss.key = g_malloc0(255);
    rss.key_len = 255;
    g_assert_cmpint(net_control_rss(machine->net, &rss), ==, VIRTIO_NET_OK);
    g_assert_cmpint(net_control_context_add(machine->net, 1, &rss), ==, VIRTIO_NET_OK);
    rss.table_len = 65536;
    g_assert_cmpint(net_control_rss(machine->net, &rss), ==, VIRTIO_NET_ERR);
    payload = g_byte_array_new();
    g_byte_array_set_size(payload, 159 * 1024);
    memset(payload->data, 0, payload->len);
    for (unsigned len = 65000; len < payload->len; len += 4001) {
        g_assert_cmpint(net_control(machine->net, 4, 1, payload->data, len, NULL, 0), ==,
                        VIRTIO_NET_ERR);
        /* What is too much for a fixed form is passed over, while it fits at all. */
        g_assert_cmpint(net_control(machine->net, 77, 1, payload->data, len, NULL, 0), ==,
                        VIRTIO_NET_ERR);
    }
    g_byte_array_unref(payload);
    g_free((void *)rss.key);
    machine_finish(machine);
}

/* ---- limits of the others (P-22) ---- */

static void test_pairs_limit(void)
{
    struct machine *machine = boot_all("ratified");

    for (unsigned pairs = 0; pairs < 0x10000; pairs++) {
        const int ack = net_control_pairs(machine->net, (uint16_t)pairs);

        if (ack != (pairs >= 1 && pairs <= PAIRS ? VIRTIO_NET_OK : VIRTIO_NET_ERR)) {
            g_test_message("%u pairs: %d", pairs, ack);
            g_test_fail();
        }
    }
    machine_finish(machine);
}

static void test_tunnel_command_limit(void)
{
    struct machine_setup setup;
    struct machine *machine;
    GBytes *state;

    setup_all(&setup, "ratified");
    setup.device.tunnel_types = 0x112;
    machine = machine_booted(&setup, features_known());
    baseline(machine);
    g_assert_cmpint(apply(machine, &changes[10], true), ==, VIRTIO_NET_OK);
    g_assert_cmpint(net_control_hash_tunnel(machine->net, 0x10), ==, VIRTIO_NET_OK);
    state = fingerprint(machine);
    for (unsigned bit = 0; bit < 32; bit++) {
        const bool supported = 0x112 >> bit & 1;

        g_assert_cmpint(net_control_hash_tunnel(machine->net, 1u << bit), ==,
                        supported ? VIRTIO_NET_OK : VIRTIO_NET_ERR);
        g_assert_cmpint(net_control_hash_tunnel(machine->net, 0x10), ==, VIRTIO_NET_OK);
        g_assert_cmpint(net_control_hash_tunnel(machine->net, 0x10 | 1u << bit), ==,
                        supported ? VIRTIO_NET_OK : VIRTIO_NET_ERR);
        g_assert_true(unchanged(machine, state));
    }
    g_assert_cmpint(net_control_hash_tunnel(machine->net, 0), ==, VIRTIO_NET_OK);
    g_bytes_unref(state);
    machine_finish(machine);
}

/* H-14: three octets are too few, a fifth is passed over; the mask is as it was, or gone by reset. */
static void test_tunnel_command_length(void)
{
    struct machine *machine = boot_all("ratified");
    GBytes *outer, *inner;

    baseline(machine);
    g_assert_cmpint(apply(machine, &changes[10], true), ==, VIRTIO_NET_OK);
    outer = fingerprint(machine);
    g_assert_cmpint(net_control(machine->net, 7, 0, "\x10\0\0", 3, NULL, 0), ==, VIRTIO_NET_ERR);
    g_assert_true(unchanged(machine, outer));
    g_assert_cmpint(net_control(machine->net, 7, 0, "\x10\0\0\0\7", 5, NULL, 0), ==, VIRTIO_NET_OK);
    g_assert_false(unchanged(machine, outer));
    inner = fingerprint(machine);
    g_assert_cmpint(net_control(machine->net, 7, 0, "\0\0\0", 3, NULL, 0), ==, VIRTIO_NET_ERR);
    g_assert_true(unchanged(machine, inner));
    g_assert_true(machine_boot(machine, features_known()));
    baseline(machine);
    g_assert_cmpint(apply(machine, &changes[10], true), ==, VIRTIO_NET_OK);
    g_assert_true(unchanged(machine, outer));
    g_bytes_unref(outer);
    g_bytes_unref(inner);
    machine_finish(machine);
}

/* P-18: counts that lie about the body, or whose product with 6 is small in 32 bits. */
static void test_mac_table_counts(void)
{
    static const uint32_t counts[] = {0,          1,          2,          64,         65,
                                      1000,       10922,      0x2aaaaaab, 0x55555556, 0x80000000,
                                      0xaaaaaaab, 0xfffffffe, 0xffffffff};
    static const uint32_t bodies[] = {0, 1, 5, 6, 7, 12, 64 * 6, 65 * 6, 65 * 6 - 1, 1000 * 6};
    struct machine *machine = boot_all("ratified");
    uint8_t *payload = g_malloc0(16384);

    for (unsigned i = 0; i < G_N_ELEMENTS(counts); i++) {
        for (unsigned j = 0; j < G_N_ELEMENTS(bodies); j++) {
            const bool exact = (uint64_t)counts[i] * 6 == bodies[j];
            GBytes *state;

            baseline(machine);
            state = fingerprint(machine);
            /* The count in the first table, then (which is not where it begins) in the second. */
            memset(payload, 0, 16384);
            bytes_put32(payload, counts[i]);
            g_assert_cmpint(net_control(machine->net, 1, 0, payload, bodies[j] + 8, NULL, 0), ==,
                            exact ? VIRTIO_NET_OK : VIRTIO_NET_ERR);
            g_assert_true(exact || unchanged(machine, state));
            baseline(machine);
            bytes_put32(payload, 0);
            bytes_put32(payload + 4, counts[i]);
            g_assert_cmpint(net_control(machine->net, 1, 0, payload, bodies[j] + 8, NULL, 0), ==,
                            exact ? VIRTIO_NET_OK : VIRTIO_NET_ERR);
            g_assert_true(exact || unchanged(machine, state));
            g_bytes_unref(state);
        }
    }
    g_free(payload);
    machine_finish(machine);
}

static void test_mac_table_body_short(void)
{
    struct machine *machine = boot_all("ratified");
    GByteArray *payload = g_byte_array_new();
    GBytes *state;

    baseline(machine);
    state = fingerprint(machine);
    append_mac_table(payload, true);
    for (unsigned len = 0; len < payload->len; len++) {
        g_assert_cmpint(net_control(machine->net, 1, 0, payload->data, len, NULL, 0), ==,
                        VIRTIO_NET_ERR);
        g_assert_true(unchanged(machine, state));
    }
    g_byte_array_append(payload, own_mac, 1);
    g_assert_cmpint(net_control(machine->net, 1, 0, payload->data, payload->len, NULL, 0), ==,
                    VIRTIO_NET_ERR);
    g_assert_true(unchanged(machine, state));
    g_bytes_unref(state);
    g_byte_array_unref(payload);
    machine_finish(machine);
}

static void test_addresses_refused(void)
{
    static const uint8_t macs[][6] = {
        {0}, {1, 0, 0, 0, 0, 0}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    struct machine *machine = boot_all("ratified");
    GBytes *state = fingerprint(machine);

    for (unsigned i = 0; i < G_N_ELEMENTS(macs); i++) {
        g_assert_cmpint(net_control_mac(machine->net, macs[i]), ==, VIRTIO_NET_ERR);
    }
    g_assert_true(unchanged(machine, state));
    g_bytes_unref(state);
    machine_finish(machine);
}

/* ADDR_SET is open with either of the bits that the text names for it. */
static void test_address_command_features(void)
{
    static const uint8_t bits[] = {18, 23};
    struct machine_setup setup;
    struct machine *machine;

    setup_all(&setup, "ratified");
    machine = machine_new(&setup, NULL);
    for (unsigned i = 0; machine && i < G_N_ELEMENTS(bits); i++) {
        g_assert_true(machine_boot(
            machine, features_of(VIRTIO_F_VERSION_1, VIRTIO_NET_F_CTRL_VQ, bits[i], FEATURES_END)));
        g_assert_cmpint(net_control_mac(machine->net, other_mac), ==, VIRTIO_NET_OK);
    }
    machine_free(machine);
}

/* ---- endurance ---- */

static void check_many(uint16_t queue_size)
{
    struct machine_setup setup;
    struct machine *machine;

    setup_all(&setup, "ratified");
    setup.device.control_queue_size = queue_size;
    machine = machine_booted(&setup, features_known());
    for (unsigned i = 0; i < 70000; i++) {
        const bool good = i % 3;
        const int ack = net_control_vlan_add(machine->net, good ? i % 4096 : 4096);

        if (ack != (good ? VIRTIO_NET_OK : VIRTIO_NET_ERR)) {
            g_test_message("command %u: %d", i, ack);
            g_test_fail();
            break;
        }
    }
    machine_finish(machine);
}

static void test_seventy_thousand(void)
{
    check_many(2);
    check_many(64);
}

static size_t heap_octets(void)
{
    return mallinfo2().uordblks;
}

/* tables and keys come and go; a frame is hashed by one whole configuration or the other. */
static void test_control_flood(void)
{
    struct machine *machine = boot_all("ratified");
    struct reference_result expected[2];
    uint8_t p[60];
    size_t before = 0;

    put_flow(p, own_mac, 3);
    for (unsigned on = 0; on < 2; on++) {
        const struct net_rss rss = rss_of(machine, on);

        reference_hash(p, sizeof(p), REFERENCE_RATIFIED, rss.hash_types, 0, rss.key, rss.key_len,
                       &expected[on]);
    }
    for (unsigned i = 0; i < 20000; i++) {
        const unsigned on = i % 2;
        const uint16_t *table = on ? table_on : table_off;
        struct guest_packet packet;

        g_assert_cmpint(apply(machine, &changes[10], on), ==, VIRTIO_NET_OK);
        g_assert_cmpint(apply(machine, &changes[6], on), ==, VIRTIO_NET_OK);
        g_assert_cmpint(machine_deliver(machine, p, sizeof(p)), ==, VIONET_DELIVERED);
        if (!net_receive(machine->net, &packet)) {
            g_error("no frame");
        }
        g_assert_cmphex(packet.header.hash_value, ==, expected[on].hash);
        g_assert_cmpuint(packet.header.hash_report, ==, expected[on].report);
        g_assert_cmpuint(packet.pair, ==, table[expected[on].hash & (on ? 3 : 1)]);
        if (i == 1000) {
            before = heap_octets();
        }
    }
    g_assert_cmpuint(heap_octets(), <, before + 256 * 1024);
    machine_finish(machine);
}

/* ---- from within host operations ---- */

/* Publishes the next command as soon as the host hears of one; the driver is asked to notify. */
struct feeder {
    unsigned left;
    unsigned answered;
    uint64_t gpa;
};

static void publish(struct machine *machine, struct feeder *feeder)
{
    struct virtq *vq = guest_queue_ring(machine->driver, machine->driver->control);
    const struct virtq_segment segments[2] = {{feeder->gpa, 3, false}, {feeder->gpa + 32, 1, true}};

    feeder->left--;
    virtq_add(vq, segments, 2, feeder);
    virtq_publish(vq);
}

static void feed(struct machine *machine, const VionetEvent *event)
{
    struct virtq *vq = guest_queue_ring(machine->driver, machine->driver->control);
    struct feeder *feeder = machine->user;
    struct virtq_used used;

    if (event->kind != VIONET_EVENT_FILTER) {
        return;
    }
    while (virtq_poll(vq, &used)) {
        feeder->answered++;
    }
    if (feeder->left) {
        publish(machine, feeder);
        if (virtq_must_kick(vq)) {
            guest_queue_notify(machine->driver, machine->driver->control);
        }
    }
}

static void start_feeding(struct machine *machine, struct feeder *feeder)
{
    const uint8_t command[3] = {VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 1};

    feeder->gpa = guest_alloc(machine->memory, 64, 64);
    guest_write(machine->memory, feeder->gpa, command, sizeof(command));
    machine->user = feeder;
    machine->on_event = feed;
    publish(machine, feeder);
}

/*
 * a guest that never stops adding. One notification makes bounded work, and yet no command is
 * left lying when the guest has stopped: the host is told of the control queue as of any other.
 */
static void test_endless_commands(void)
{
    struct machine_setup setup;
    struct machine *machine;
    struct feeder feeder = {.left = 1000};

    setup_all(&setup, "ratified");
    setup.device.control_queue_size = 8;
    machine = machine_booted(&setup, features_known());
    start_feeding(machine, &feeder);
    machine->kicks = 0;
    vionet_device_kick(machine->device, machine->driver->control);
    g_assert_cmpuint(feeder.answered, <=, 8);
    g_assert_cmpuint(machine->kicks, ==, 1);
    g_assert_cmpuint(machine->last_kick, ==, machine->driver->control);
    for (unsigned i = 0; i < 1000 && feeder.answered < 1000; i++) {
        vionet_device_kick(machine->device, machine->driver->control);
    }
    g_assert_cmpuint(feeder.answered, ==, 1000);
    machine->on_event = NULL;
    machine_finish(machine);
}

struct remapper {
    void *host;
    uint64_t gpa;
    unsigned times;
};

static void remap(struct machine *machine, const VionetEvent *event)
{
    struct remapper *remapper = machine->user;

    if (event->kind != VIONET_EVENT_FILTER) {
        return;
    }
    if (remapper->times++ % 2 == 0) {
        vionet_device_map(machine->device, remapper->gpa, remapper->host, 4096, 0, NULL);
    } else {
        vionet_device_unmap(machine->device, remapper->gpa, 4096, NULL);
    }
}

/*
 * vionet/device.h: any function but free may be called from a host operation. Memory that comes or
 * goes between two commands of one notification changes the map that the ring walks by.
 */
static void test_map_changes_between_commands(void)
{
    struct machine *machine = boot_all("ratified");
    struct virtq *vq = guest_queue_ring(machine->driver, machine->driver->control);
    struct remapper remapper = {.host = g_aligned_alloc0(1, 4096, 4096), .gpa = UINT64_C(1) << 40};
    const uint8_t command[3] = {VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 1};
    const uint64_t gpa = guest_alloc(machine->memory, 64, 64);
    struct virtq_used used;
    unsigned answered = 0;

    guest_write(machine->memory, gpa, command, sizeof(command));
    machine->user = &remapper;
    machine->on_event = remap;
    for (unsigned i = 0; i < 16; i++) {
        const struct virtq_segment segments[2] = {{gpa, 3, false}, {gpa + 32 + i, 1, true}};

        g_assert_true(virtq_add(vq, segments, 2, machine));
    }
    virtq_publish(vq);
    guest_queue_notify(machine->driver, machine->driver->control);
    while (virtq_poll(vq, &used)) {
        answered++;
    }
    g_assert_cmpuint(answered, ==, 16);
    g_assert_cmpuint(remapper.times, ==, 16);
    machine->on_event = NULL;
    machine_finish(machine);
    g_aligned_free(remapper.host);
}

static void reset_device(struct machine *machine, const VionetEvent *event)
{
    if (event->kind == VIONET_EVENT_FILTER) {
        vionet_device_write_status(machine->device, 0);
    }
}

static void reset_control_queue(struct machine *machine, const VionetEvent *event)
{
    if (event->kind == VIONET_EVENT_FILTER) {
        vionet_device_reset_queue(machine->device, 2 * PAIRS);
    }
}

static void test_reset_between_commands(void)
{
    static void (*const operations[])(struct machine *,
                                      const VionetEvent *) = {reset_device, reset_control_queue};

    for (unsigned n = 0; n < G_N_ELEMENTS(operations); n++) {
        struct machine *machine = boot_all("ratified");
        struct virtq *vq = guest_queue_ring(machine->driver, machine->driver->control);
        const uint8_t command[3] = {VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 1};
        const uint64_t gpa = guest_alloc(machine->memory, 64, 64);

        guest_write(machine->memory, gpa, command, sizeof(command));
        machine->on_event = operations[n];
        for (unsigned i = 0; i < 16; i++) {
            const struct virtq_segment segments[2] = {{gpa, 3, false}, {gpa + 32 + i, 1, true}};

            g_assert_true(virtq_add(vq, segments, 2, machine));
        }
        virtq_publish(vq);
        guest_queue_notify(machine->driver, machine->driver->control);
        g_assert_cmpuint(virtq_used_total(vq), <=, 1);
        machine->on_event = NULL;
        g_assert_true(machine_works(machine));
        machine_finish(machine);
    }
}

/* ---- the queue itself ---- */

static void test_control_queue_reset(void)
{
    struct machine *machine = boot_all("ratified");
    GBytes *state;

    baseline(machine);
    g_assert_cmpint(apply(machine, &changes[10], true), ==, VIRTIO_NET_OK);
    state = fingerprint(machine);
    g_assert_true(net_reset_queue(machine->net, machine->driver->control, 4));
    g_assert_true(unchanged(machine, state));
    g_assert_cmpint(net_control_rx(machine->net, 0, true), ==, VIRTIO_NET_OK);
    g_assert_false(unchanged(machine, state));
    g_assert_cmpint(net_control_rx(machine->net, 0, false), ==, VIRTIO_NET_OK);
    g_assert_true(unchanged(machine, state));
    g_bytes_unref(state);
    machine_finish(machine);
}

static void add_for_dialects(const char *path, GTestDataFunc function)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(dialects); i++) {
        char *name = g_strdup_printf("%s/%s", path, dialects[i]);

        g_test_add_data_func(name, dialects[i], function);
        g_free(name);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_set_nonfatal_assertions();
    add_for_dialects("/control/each-command-can-be-seen-to-work", test_changes_are_seen);
    add_for_dialects("/control/P-19/each-class-command-and-length", test_all_lengths);
    add_for_dialects("/control/P-19/each-cut", test_cuts);
    g_test_add_func("/control/P-19/short-commands-in-each-cut-change-nothing",
                    test_cuts_of_short_commands);
    g_test_add_func("/control/P-19/one-octet-of-answer-in-any-room", test_answer_room);
    g_test_add_func("/control/vq-get/reply-then-answer-if-there-is-room", test_reply_room);
    g_test_add_func("/control/vq-get/reply-in-each-cut", test_reply_cuts);
    g_test_add_func("/control/vq-get/D-08/failure-is-answered-behind-the-reply",
                    test_reply_of_failure);
    g_test_add_func("/control/what-cannot-be-answered-stops-the-queue", test_unanswerable);
    g_test_add_func("/control/answers-are-counted-and-told", test_counters_and_events);
    add_for_dialects("/control/H-06/H-08/P-22/rss-config-at-each-limit", test_rss_config);
    add_for_dialects("/control/H-06/H-08/P-22/hash-config-at-each-limit", test_hash_config);
    g_test_add_data_func("/control/H-06/draft-v7-not-negotiated-is-absent", "draft-v7",
                         test_draft_not_negotiated);
    g_test_add_data_func("/control/H-06/draft-v10-not-negotiated-is-absent", "draft-v10",
                         test_draft_not_negotiated);
    g_test_add_func("/control/contexts/each-id", test_context_ids);
    g_test_add_func("/control/contexts/each-length", test_context_lengths);
    g_test_add_func("/control/contexts/maximum-then-answer-if-there-is-room",
                    test_context_cap_room);
    g_test_add_func("/control/contexts/steer-nothing", test_contexts_steer_nothing);
    g_test_add_func("/control/contexts/no-queue-pairs-meanwhile", test_contexts_and_pairs);
    g_test_add_func("/control/contexts/H-05/reset-removes-them", test_contexts_over_resets);
    g_test_add_func("/control/contexts/not-negotiated", test_contexts_not_negotiated);
    g_test_add_func("/control/H-08/longest-commands", test_longest_commands);
    g_test_add_func("/control/P-22/vq-pairs-set-each-number", test_pairs_limit);
    g_test_add_func("/control/H-14/hash-tunnel-set-each-bit", test_tunnel_command_limit);
    g_test_add_func("/control/H-14/hash-tunnel-set-length-and-reset", test_tunnel_command_length);
    g_test_add_func("/control/mac-table/P-18/counts-that-lie", test_mac_table_counts);
    g_test_add_func("/control/mac-table/H-06/body-too-short-changes-nothing",
                    test_mac_table_body_short);
    g_test_add_func("/control/mac-addr/no-multicast-and-no-zero", test_addresses_refused);
    g_test_add_func("/control/mac-addr/open-with-either-feature", test_address_command_features);
    g_test_add_func("/control/R-16/seventy-thousand-commands", test_seventy_thousand);
    g_test_add_func("/control/X-04/flood-of-configurations", test_control_flood);
    g_test_add_func("/control/R-21/work-per-notification-is-bounded", test_endless_commands);
    g_test_add_func("/control/host/memory-map-changes-between-commands",
                    test_map_changes_between_commands);
    g_test_add_func("/control/host/reset-between-commands", test_reset_between_commands);
    g_test_add_func("/control/reset-of-the-queue-keeps-what-was-set", test_control_queue_reset);
    return g_test_run();
}
