/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The receive filter (VIRTIO 1.4, 5.1.6.5.1 to 5.1.6.5.3) and the MTU limit (5.1.4.1): every product of
 * modes, tables and kinds of address against the rules, written here a second time; the tables at
 * their limits; frames that are short, and in pieces.
 */
#include <string.h>

#include <vionet/spec.h>

#include "driver/bytes.h"
#include "machine/machine.h"

enum mode { PROMISC = 1, ALLMULTI = 2, ALLUNI = 4, NOMULTI = 8, NOUNI = 16, NOBCAST = 32 };

/* Destinations; those in a table are in the one that they belong to. */
enum kind {
    OWN,
    OTHER_UNICAST,
    LISTED_UNICAST,
    BROADCAST,
    OTHER_MULTICAST,
    LISTED_MULTICAST,
    N_KINDS
};

static const uint8_t macs[N_KINDS][6] = {
    [OWN] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56},
    [OTHER_UNICAST] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x57},
    [LISTED_UNICAST] = {0x02, 0, 0, 0, 0, 0xaa},
    [BROADCAST] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
    [OTHER_MULTICAST] = {0x33, 0x33, 0, 0, 0, 1},
    [LISTED_MULTICAST] = {0x01, 0, 0x5e, 0, 0, 1},
};

enum tag { UNTAGGED, LISTED_VLAN, OTHER_VLAN, PRIORITY_TAG, N_TAGS };

#define VLAN_LISTED 100
#define VLAN_OTHER  101

/* ---- machines ---- */

static struct machine *boot_without(int first, int second)
{
    struct guest_features wanted =
        features_without(features_known(), features_of(first, second, FEATURES_END));
    struct machine_setup setup;

    machine_setup_init(&setup);
    return machine_booted(&setup, wanted);
}

/* No bit 127 to leave out. */
static struct machine *boot(void)
{
    return boot_without(127, 127);
}

/* ---- frames ---- */

static size_t put_frame(uint8_t *p, const uint8_t *destination, int vlan, uint16_t type)
{
    size_t at = 12;

    memset(p, 0, 64);
    memcpy(p, destination, 6);
    p[6] = 2;
    if (vlan >= 0) {
        p[at] = (uint8_t)(type >> 8);
        p[at + 1] = (uint8_t)type;
        p[at + 2] = (uint8_t)(vlan >> 8 | 0xa0); /* priority 5 */
        p[at + 3] = (uint8_t)vlan;
        at += 4;
    }
    p[at] = 0x88;
    p[at + 1] = 0xb5;
    return 60;
}

static size_t put_kind(uint8_t *p, enum kind kind, enum tag tag)
{
    static const int vlans[] = {-1, VLAN_LISTED, VLAN_OTHER, 0};

    return put_frame(p, macs[kind], vlans[tag], 0x8100);
}

static VionetVerdict deliver(struct machine *machine, const void *frame, size_t len)
{
    const VionetVerdict verdict = machine_deliver(machine, frame, len);
    struct guest_packet packet;

    if (verdict == VIONET_DELIVERED) {
        g_assert_true(net_receive(machine->net, &packet));
        g_assert_cmpmem(packet.data, packet.len, frame, len);
    } else {
        g_assert_false(net_receive(machine->net, &packet));
    }
    return verdict;
}

/* ---- the truth table ---- */

/* The rules in their order; the features are those that the driver took. */
static VionetVerdict judge(unsigned modes, enum kind kind, enum tag tag, bool ctrl_rx,
                           bool ctrl_vlan)
{
    const bool multicast = kind == OTHER_MULTICAST || kind == LISTED_MULTICAST;
    bool pass;

    if (modes & PROMISC) {
        return VIONET_DELIVERED;
    }
    if (ctrl_vlan && (tag == OTHER_VLAN || tag == PRIORITY_TAG)) {
        return VIONET_DROP_VLAN;
    }
    if (kind == BROADCAST) {
        pass = !(modes & NOBCAST);
    } else if (multicast) {
        /* A driver that could not ask for groups gets them all. */
        pass = !(modes & NOMULTI) && ((modes & ALLMULTI) || kind == LISTED_MULTICAST || !ctrl_rx);
    } else {
        pass = !(modes & NOUNI) &&
               ((modes & ALLUNI) || kind == OWN || (kind == LISTED_UNICAST && ctrl_rx));
    }
    return pass ? VIONET_DELIVERED : VIONET_DROP_FILTER;
}

static void set_modes(struct machine *machine, unsigned modes)
{
    for (uint8_t mode = 0; mode < 6; mode++) {
        const bool exists = guest_driver_has(
            machine->driver, mode < 2 ? VIRTIO_NET_F_CTRL_RX : VIRTIO_NET_F_CTRL_RX_EXTRA);
        const int ack = net_control_rx(machine->net, mode, modes >> mode & 1);

        g_assert_cmpint(ack, ==, exists ? VIRTIO_NET_OK : VIRTIO_NET_ERR);
    }
}

static void set_tables(struct machine *machine)
{
    if (guest_driver_has(machine->driver, VIRTIO_NET_F_CTRL_RX)) {
        g_assert_cmpint(
            net_control_mac_table(machine->net, macs[LISTED_UNICAST], 1, macs[LISTED_MULTICAST], 1),
            ==, VIRTIO_NET_OK);
    }
    if (guest_driver_has(machine->driver, VIRTIO_NET_F_CTRL_VLAN)) {
        g_assert_cmpint(net_control_vlan_add(machine->net, VLAN_LISTED), ==, VIRTIO_NET_OK);
    }
}

static void check_product(struct machine *machine)
{
    const bool rx = guest_driver_has(machine->driver, VIRTIO_NET_F_CTRL_RX);
    const bool extra = guest_driver_has(machine->driver, VIRTIO_NET_F_CTRL_RX_EXTRA);
    const bool vlan = guest_driver_has(machine->driver, VIRTIO_NET_F_CTRL_VLAN);
    const unsigned possible = (rx ? 0x03 : 0) | (extra ? 0x3c : 0);

    set_tables(machine);
    for (unsigned modes = 0; modes < 64; modes++) {
        set_modes(machine, modes);
        for (unsigned i = 0; i < N_KINDS * N_TAGS; i++) {
            const enum kind kind = i / N_TAGS;
            const enum tag tag = i % N_TAGS;
            uint8_t p[64];
            const size_t len = put_kind(p, kind, tag);
            const VionetVerdict expected = judge(modes & possible, kind, tag, rx, vlan);
            const VionetVerdict verdict = deliver(machine, p, len);

            if (verdict != expected) {
                g_test_message("modes 0x%02x, kind %u, tag %u: %s, should be %s", modes, kind, tag,
                               vionet_verdict_name(verdict), vionet_verdict_name(expected));
                g_test_fail();
            }
        }
    }
}

static void test_truth_table(void)
{
    static const int missing[][2] = {
        {127, 127},
        {VIRTIO_NET_F_CTRL_RX, 127},
        {VIRTIO_NET_F_CTRL_RX_EXTRA, 127},
        {VIRTIO_NET_F_CTRL_VLAN, 127},
        {VIRTIO_NET_F_CTRL_VLAN, VIRTIO_NET_F_CTRL_RX},
        {VIRTIO_NET_F_CTRL_RX, VIRTIO_NET_F_CTRL_RX_EXTRA},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(missing); i++) {
        struct machine *machine = boot_without(missing[i][0], missing[i][1]);

        check_product(machine);
        machine_finish(machine);
    }
}

/* Without a control queue nothing can be asked for: own address, groups, broadcast, every VLAN. */
static void test_no_control_queue(void)
{
    struct machine_setup setup;
    struct machine *machine;

    machine_setup_init(&setup);
    machine =
        machine_booted(&setup, features_of(VIRTIO_F_VERSION_1, VIRTIO_NET_F_MAC, FEATURES_END));
    for (unsigned i = 0; i < N_KINDS * N_TAGS; i++) {
        uint8_t p[64];
        const size_t len = put_kind(p, i / N_TAGS, i % N_TAGS);

        g_assert_cmpint(deliver(machine, p, len), ==,
                        judge(0, i / N_TAGS, i % N_TAGS, false, false));
    }
    machine_finish(machine);
}

static void test_reset_clears(void)
{
    struct machine *machine = boot();

    for (unsigned round = 0; round < 3; round++) {
        set_tables(machine);
        set_modes(machine, 1u << round);
        g_assert_cmpint(net_control_mac(machine->net, macs[OTHER_UNICAST]), ==, VIRTIO_NET_OK);
        if (round == 2) {
            vionet_pci_reset(machine->pci);
            machine->driver->probed = false;
        }
        g_assert_true(machine_boot(machine, features_known()));
        for (unsigned i = 0; i < N_KINDS * N_TAGS; i++) {
            const enum tag tag = i % N_TAGS;
            const enum kind kind = i / N_TAGS;
            VionetVerdict expected = judge(0, kind, tag, true, true);
            uint8_t p[64];
            const size_t len = put_kind(p, kind, tag);

            if (tag != UNTAGGED) {
                expected = VIONET_DROP_VLAN;
            } else if (kind == LISTED_UNICAST || kind == LISTED_MULTICAST) {
                expected = VIONET_DROP_FILTER;
            }
            g_assert_cmpint(deliver(machine, p, len), ==, expected);
        }
    }
    machine_finish(machine);
}

/* ---- addresses ---- */

static void test_address_command(void)
{
    struct machine *machine = boot();
    uint8_t p[64];
    size_t len;

    g_assert_cmpint(net_control_mac(machine->net, macs[OTHER_UNICAST]), ==, VIRTIO_NET_OK);
    len = put_kind(p, OTHER_UNICAST, UNTAGGED);
    g_assert_cmpint(deliver(machine, p, len), ==, VIONET_DELIVERED);
    len = put_kind(p, OWN, UNTAGGED);
    g_assert_cmpint(deliver(machine, p, len), ==, VIONET_DROP_FILTER);
    machine_finish(machine);
}

/* Every octet of an address counts. */
static void test_address_octets(void)
{
    struct machine *machine = boot();

    set_tables(machine);
    for (unsigned kind = 0; kind < N_KINDS; kind++) {
        for (unsigned bit = 0; bit < 48; bit++) {
            uint8_t p[64];
            const size_t len = put_kind(p, kind, UNTAGGED);
            VionetVerdict expected = VIONET_DROP_FILTER;

            p[bit / 8] ^= (uint8_t)(1u << bit % 8);
            for (unsigned other = 0; other < N_KINDS; other++) {
                if (memcmp(p, macs[other], 6) == 0) {
                    expected = judge(0, other, UNTAGGED, true, true);
                }
            }
            g_assert_cmpint(deliver(machine, p, len), ==, expected);
        }
    }
    machine_finish(machine);
}

static void numbered_mac(uint8_t mac[6], bool group, unsigned n)
{
    memset(mac, 0, 6);
    mac[0] = group ? 0x03 : 0x02;
    mac[4] = (uint8_t)(n >> 8);
    mac[5] = (uint8_t)n;
}

/* The limit that vionet/device.h names, one less and one more, of both kinds. */
static void check_table_of(struct machine *machine, bool group, unsigned n)
{
    uint8_t *list = g_malloc0(6 * (size_t)n + 6);
    const bool overflow = n > VIONET_MAX_MAC_TABLE;

    for (unsigned i = 0; i < n; i++) {
        numbered_mac(list + 6 * i, group, i);
    }
    g_assert_cmpint(group ? net_control_mac_table(machine->net, list, 0, list, n)
                          : net_control_mac_table(machine->net, list, n, list, 0),
                    ==, VIRTIO_NET_OK);
    for (unsigned i = 0; i < n + 2; i++) {
        uint8_t p[64], mac[6];
        size_t len;

        numbered_mac(mac, group, i);
        len = put_frame(p, mac, -1, 0);
        g_assert_cmpint(deliver(machine, p, len), ==,
                        i < n || overflow ? VIONET_DELIVERED : VIONET_DROP_FILTER);
        /* The other kind's table is its own. */
        numbered_mac(mac, !group, i);
        len = put_frame(p, mac, -1, 0);
        g_assert_cmpint(deliver(machine, p, len), ==, VIONET_DROP_FILTER);
    }
    g_free(list);
}

static void test_table_sizes(void)
{
    static const unsigned sizes[] = {0, 1, 2, 63, 64, 65, 200, 1, 0};
    struct machine *machine = boot();

    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
        check_table_of(machine, false, sizes[i]);
        check_table_of(machine, true, sizes[i]);
    }
    machine_finish(machine);
}

/* An address of the wrong kind in a table does not pass by it. */
static void test_table_kinds(void)
{
    struct machine *machine = boot();
    uint8_t p[64];
    size_t len;

    g_assert_cmpint(
        net_control_mac_table(machine->net, macs[LISTED_MULTICAST], 1, macs[LISTED_UNICAST], 1), ==,
        VIRTIO_NET_OK);
    len = put_kind(p, LISTED_MULTICAST, UNTAGGED);
    g_assert_cmpint(deliver(machine, p, len), ==, VIONET_DROP_FILTER);
    len = put_kind(p, LISTED_UNICAST, UNTAGGED);
    g_assert_cmpint(deliver(machine, p, len), ==, VIONET_DROP_FILTER);
    machine_finish(machine);
}

/* ---- VLANs ---- */

static VionetVerdict deliver_vlan(struct machine *machine, unsigned id)
{
    uint8_t p[64];
    const size_t len = put_frame(p, macs[OWN], (int)id, 0x8100);

    return machine_deliver(machine, p, len);
}

static void receive_all(struct machine *machine)
{
    struct guest_packet packet;

    while (net_receive(machine->net, &packet)) {
    }
}

static void test_each_vlan(void)
{
    struct machine *machine = boot();

    for (unsigned id = 0; id < 0x10000; id++) {
        const int add = net_control_vlan_add(machine->net, (uint16_t)id);
        const int again = net_control_vlan_add(machine->net, (uint16_t)id);
        const unsigned next = (id + 1) % 4096;

        if (id >= 4096) {
            g_assert_cmpint(add, ==, VIRTIO_NET_ERR);
            g_assert_cmpint(net_control_vlan_del(machine->net, (uint16_t)id), ==, VIRTIO_NET_ERR);
            continue;
        }
        g_assert_cmpint(add, ==, VIRTIO_NET_OK);
        g_assert_cmpint(again, ==, VIRTIO_NET_OK);
        g_assert_cmpint(deliver_vlan(machine, id), ==, VIONET_DELIVERED);
        g_assert_cmpint(deliver_vlan(machine, next), ==, VIONET_DROP_VLAN);
        g_assert_cmpint(net_control_vlan_del(machine->net, (uint16_t)id), ==, VIRTIO_NET_OK);
        g_assert_cmpint(deliver_vlan(machine, id), ==, VIONET_DROP_VLAN);
        /* Not there: nothing to complain of. */
        g_assert_cmpint(net_control_vlan_del(machine->net, (uint16_t)id), ==, VIRTIO_NET_OK);
        receive_all(machine);
    }
    machine_finish(machine);
}

/* What stands beside the identifier in a tag does not matter. */
static void test_tag_control_bits(void)
{
    struct machine *machine = boot();
    uint8_t p[64];
    const size_t len = put_frame(p, macs[OWN], VLAN_LISTED, 0x8100);

    g_assert_cmpint(net_control_vlan_add(machine->net, VLAN_LISTED), ==, VIRTIO_NET_OK);
    for (unsigned bits = 0; bits < 16; bits++) {
        p[14] = (uint8_t)(bits << 4 | VLAN_LISTED >> 8);
        g_assert_cmpint(deliver(machine, p, len), ==, VIONET_DELIVERED);
    }
    machine_finish(machine);
}

/* Tags of both kinds that hashing skips are tags here too. */
static void test_tag_kinds(void)
{
    static const uint16_t types[] = {0x8100, 0x88a8, 0x9100, 0x8101, 0x0081};
    struct machine *machine = boot();

    g_assert_cmpint(net_control_vlan_add(machine->net, VLAN_LISTED), ==, VIRTIO_NET_OK);
    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
        uint8_t p[64];
        size_t len = put_frame(p, macs[OWN], VLAN_LISTED, types[i]);

        g_assert_cmpint(deliver(machine, p, len), ==, VIONET_DELIVERED);
        len = put_frame(p, macs[OWN], VLAN_OTHER, types[i]);
        g_assert_cmpint(deliver(machine, p, len), ==, i < 2 ? VIONET_DROP_VLAN : VIONET_DELIVERED);
    }
    machine_finish(machine);
}

/* The outermost tag decides. */
static void test_two_tags(void)
{
    struct machine *machine = boot();
    uint8_t p[64];
    const size_t len = put_frame(p, macs[OWN], VLAN_LISTED, 0x8100);

    g_assert_cmpint(net_control_vlan_add(machine->net, VLAN_LISTED), ==, VIRTIO_NET_OK);
    memcpy(p + 16, "\x81\x00\x00\x65\x88\xb5", 6);
    g_assert_cmpint(deliver(machine, p, len), ==, VIONET_DELIVERED);
    p[15] = VLAN_OTHER;
    p[19] = VLAN_LISTED;
    g_assert_cmpint(deliver(machine, p, len), ==, VIONET_DROP_VLAN);
    machine_finish(machine);
}

/* ---- short frames, frames in pieces (P-14) ---- */

static void test_short_frames(void)
{
    struct machine *machine = boot();

    g_assert_cmpint(net_control_vlan_add(machine->net, 0), ==, VIRTIO_NET_OK);
    for (unsigned promisc = 0; promisc < 2; promisc++) {
        g_assert_cmpint(net_control_rx(machine->net, 0, promisc), ==, VIRTIO_NET_OK);
        for (size_t len = 0; len <= 22; len++) {
            uint8_t whole[64];
            uint8_t *exact = g_malloc(len ? len : 1);
            VionetVerdict expected = VIONET_DELIVERED;

            put_frame(whole, macs[OWN], 0, 0x8100);
            memcpy(exact, whole, len);
            if (len < 14) {
                expected = VIONET_DROP_RUNT;
            } else if (len < 16 && !promisc) {
                expected = VIONET_DROP_VLAN; /* a tag without identifier is in no table */
            }
            g_assert_cmpint(deliver(machine, exact, len), ==, expected);
            g_free(exact);
        }
    }
    machine_finish(machine);
}

/* The frame cut in two or three at any octet is the same frame. */
static void check_pieces(struct machine *machine, const uint8_t *p, size_t len, size_t a, size_t b,
                         VionetVerdict expected)
{
    uint8_t *parts[3] = {g_memdup2(p, a), g_memdup2(p + a, b - a), g_memdup2(p + b, len - b)};
    const struct iovec pieces[3] = {{parts[0], a}, {parts[1], b - a}, {parts[2], len - b}};
    const VionetFrame frame = {.iov = pieces, .n_iov = 3};
    struct guest_packet packet;
    VionetVerdict verdict;

    vionet_device_receive(machine->device, 0, &frame, 1, &verdict, 0);
    g_assert_cmpint(verdict, ==, expected);
    if (verdict == VIONET_DELIVERED) {
        g_assert_true(net_receive(machine->net, &packet));
        g_assert_cmpmem(packet.data, packet.len, p, len);
    }
    for (unsigned i = 0; i < 3; i++) {
        g_free(parts[i]);
    }
}

static void test_pieces(void)
{
    struct machine *machine = boot();

    set_tables(machine);
    for (unsigned i = 0; i < N_KINDS * N_TAGS; i++) {
        const VionetVerdict expected = judge(0, i / N_TAGS, i % N_TAGS, true, true);
        uint8_t p[64];
        const size_t len = put_kind(p, i / N_TAGS, i % N_TAGS);

        for (size_t a = 0; a < 24; a++) {
            for (size_t b = a; b < 24; b++) {
                check_pieces(machine, p, len, a, b, expected);
            }
        }
    }
    machine_finish(machine);
}

/* ---- the MTU ---- */

static struct machine *boot_mtu(uint16_t mtu, bool negotiate)
{
    struct guest_features wanted = features_known();
    struct machine_setup setup;

    machine_setup_init(&setup);
    vionet_features_set(setup.device.features, VIRTIO_NET_F_MTU, true);
    for (unsigned bit = 0; bit <= VIRTIO_NET_F_GUEST_TSO4; bit++) {
        if (bit == VIRTIO_NET_F_CSUM || bit == VIRTIO_NET_F_GUEST_CSUM ||
            bit == VIRTIO_NET_F_GUEST_TSO4) {
            vionet_features_set(setup.device.features, bit, true);
        }
    }
    setup.device.mtu = mtu;
    setup.net.receive_size = 4096;
    if (!negotiate) {
        features_remove(&wanted, VIRTIO_NET_F_MTU);
    }
    features_remove(&wanted, VIRTIO_NET_F_CTRL_VLAN);
    return machine_booted(&setup, wanted);
}

/* Frames with so many tags in front, around the limit of 14 octets and 4 for each of two tags. */
static void check_limit(struct machine *machine, size_t mtu, const uint16_t *tags, unsigned n_tags,
                        bool limited)
{
    const size_t limit = mtu + 14 + 4 * (size_t)MIN(n_tags, 2);
    uint8_t *p = g_malloc0(limit + 16);

    put_frame(p, macs[OWN], -1, 0);
    for (unsigned i = 0; i < n_tags; i++) {
        p[12 + 4 * i] = (uint8_t)(tags[i] >> 8);
        p[13 + 4 * i] = (uint8_t)tags[i];
        p[15 + 4 * i] = 7;
    }
    for (size_t len = limit - 9; len <= limit + 9; len++) {
        g_assert_cmpint(deliver(machine, p, len), ==,
                        limited && len > limit ? VIONET_DROP_MTU : VIONET_DELIVERED);
    }
    g_free(p);
}

static void check_mtu(uint16_t mtu, bool negotiate)
{
    static const uint16_t tags[][3] = {
        {0x8100, 0x8100, 0x8100}, {0x88a8, 0x8100, 0x8100}, {0x8100, 0x88a8, 0x88a8}};
    struct machine *machine = boot_mtu(mtu, negotiate);

    for (unsigned n = 0; n <= 3; n++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(tags); i++) {
            check_limit(machine, mtu, tags[i], n, negotiate);
        }
    }
    machine_finish(machine);
}

static void test_mtu_limit(void)
{
    check_mtu(68, true);
    check_mtu(1500, true);
    check_mtu(9000, true);
    check_mtu(1500, false);
}

/* Frames to be segmented may be as long as they like; frames that bear ECN alone may not. */
static void test_mtu_and_segmentation(void)
{
    struct machine *machine = boot_mtu(1500, true);
    const struct iovec piece = {g_malloc0(9000), 9000};
    const VionetFrame tso = {.iov = &piece,
                             .n_iov = 1,
                             .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                             .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
                             .hdr_len = 54,
                             .gso_size = 1460,
                             .csum_start = 34,
                             .csum_offset = 16};
    const VionetFrame partial = {.iov = &piece,
                                 .n_iov = 1,
                                 .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                 .csum_start = 34,
                                 .csum_offset = 16};
    VionetVerdict verdict;

    put_frame(piece.iov_base, macs[OWN], -1, 0);
    vionet_device_receive(machine->device, 0, &tso, 1, &verdict, 0);
    g_assert_cmpint(verdict, ==, VIONET_DELIVERED);
    vionet_device_receive(machine->device, 0, &partial, 1, &verdict, 0);
    g_assert_cmpint(verdict, ==, VIONET_DROP_MTU);
    receive_all(machine);
    g_free(piece.iov_base);
    machine_finish(machine);
}

/* NET-CFG-06: what the guest sends of up to the MTU goes out in one piece. */
static void test_mtu_transmit(void)
{
    struct machine *machine = boot_mtu(9000, true);
    uint8_t *p = g_malloc0(9014);

    put_frame(p, macs[OTHER_UNICAST], -1, 0);
    for (uint32_t len = 14; len <= 9014; len += 100) {
        VionetFrame frame;

        g_assert_true(net_transmit(machine->net, 0, NULL, p, len));
        g_assert_cmpuint(vionet_device_transmit(machine->device, 0, &frame, 1), ==, 1);
        g_assert_cmpuint(frame.len, ==, len);
        g_assert_cmpuint(frame.gso_type, ==, 0);
        vionet_device_complete(machine->device, 0, &frame, 1);
        g_assert_cmpuint(net_reclaim(machine->net, 0), ==, 1);
    }
    g_free(p);
    machine_finish(machine);
}

/* ---- counting ---- */

static void test_counted(void)
{
    struct machine *machine = boot();
    uint8_t p[64];
    size_t len;

    len = put_kind(p, OTHER_UNICAST, UNTAGGED);
    for (unsigned i = 0; i < 3; i++) {
        deliver(machine, p, len);
    }
    len = put_kind(p, OWN, OTHER_VLAN);
    deliver(machine, p, len);
    deliver(machine, p, 13);
    g_assert_cmpuint(vionet_device_verdicts(machine->device, VIONET_DROP_FILTER), ==, 3);
    g_assert_cmpuint(vionet_device_verdicts(machine->device, VIONET_DROP_VLAN), ==, 1);
    g_assert_cmpuint(vionet_device_verdicts(machine->device, VIONET_DROP_RUNT), ==, 1);
    g_assert_cmpuint(vionet_device_verdicts(machine->device, VIONET_DELIVERED), ==, 0);
    g_assert_true(machine_boot(machine, features_known()));
    g_assert_cmpuint(vionet_device_verdicts(machine->device, VIONET_DROP_FILTER), ==, 0);
    machine_finish(machine);
}

/* ---- as others see it ---- */

static void test_described(void)
{
    struct machine *machine = boot();
    VionetFilter filter = {.size = sizeof(filter)};
    VionetFilter part;

    set_tables(machine);
    g_assert_cmpint(net_control_mac(machine->net, macs[OTHER_UNICAST]), ==, VIRTIO_NET_OK);
    for (unsigned mode = 0; mode < 6; mode++) {
        set_modes(machine, 1u << mode);
        vionet_device_filter(machine->device, &filter);
        g_assert_cmpuint(filter.promiscuous, ==, mode == 0);
        g_assert_cmpuint(filter.all_multicast, ==, mode == 1);
        g_assert_cmpuint(filter.all_unicast, ==, mode == 2);
        g_assert_cmpuint(filter.no_multicast, ==, mode == 3);
        g_assert_cmpuint(filter.no_unicast, ==, mode == 4);
        g_assert_cmpuint(filter.no_broadcast, ==, mode == 5);
    }
    g_assert_cmpmem(filter.mac, 6, macs[OTHER_UNICAST], 6);
    g_assert_cmpuint(filter.n_unicast, ==, 1);
    g_assert_cmpmem(filter.unicast[0], 6, macs[LISTED_UNICAST], 6);
    g_assert_cmpuint(filter.n_multicast, ==, 1);
    g_assert_cmpmem(filter.multicast[0], 6, macs[LISTED_MULTICAST], 6);
    g_assert_false(filter.unicast_overflow || filter.multicast_overflow);
    g_assert_true(filter.vlan_filter);
    for (unsigned vlan = 0; vlan < 4096; vlan++) {
        g_assert_cmpuint(filter.vlans[vlan / 32] >> vlan % 32 & 1, ==, vlan == VLAN_LISTED);
    }

    /* Who was built with a shorter structure gets no more than it has. */
    memset(&part, 0x5a, sizeof(part));
    part.size = offsetof(VionetFilter, promiscuous);
    vionet_device_filter(machine->device, &part);
    g_assert_cmpmem(part.mac, 6, macs[OTHER_UNICAST], 6);
    g_assert_cmpuint(*((const uint8_t *)&part + part.size), ==, 0x5a);
    machine_finish(machine);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_set_nonfatal_assertions();
    g_test_add_func("/filter/modes-times-addresses-times-tags-follow-the-rules", test_truth_table);
    g_test_add_func("/filter/without-control-queue-groups-and-vlans-pass", test_no_control_queue);
    g_test_add_func("/filter/H-05/a-reset-empties-tables-and-modes", test_reset_clears);
    g_test_add_func("/filter/mac/address-set-replaces-the-own-one", test_address_command);
    g_test_add_func("/filter/mac/each-bit-of-an-address-counts", test_address_octets);
    g_test_add_func("/filter/mac/P-22/tables-at-their-limit", test_table_sizes);
    g_test_add_func("/filter/mac/tables-are-for-their-kind", test_table_kinds);
    g_test_add_func("/filter/vlan/P-22/each-identifier", test_each_vlan);
    g_test_add_func("/filter/vlan/priority-does-not-matter", test_tag_control_bits);
    g_test_add_func("/filter/vlan/tags-of-both-kinds", test_tag_kinds);
    g_test_add_func("/filter/vlan/the-outer-tag-decides", test_two_tags);
    g_test_add_func("/filter/P-14/short-frames", test_short_frames);
    g_test_add_func("/filter/P-14/frames-in-pieces", test_pieces);
    g_test_add_func("/filter/mtu/limit-with-and-without-tags", test_mtu_limit);
    g_test_add_func("/filter/mtu/segmentation-is-not-limited", test_mtu_and_segmentation);
    g_test_add_func("/filter/mtu/transmitted-frames-stay-whole", test_mtu_transmit);
    g_test_add_func("/filter/drops-are-counted-by-reason", test_counted);
    g_test_add_func("/filter/described", test_described);
    return g_test_run();
}
