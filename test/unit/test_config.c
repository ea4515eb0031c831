/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Device configuration space (VIRTIO 1.4, 2.5, 5.1.4): each field by offset and condition, accesses of
 * every width, the generation count, link state, announcement and the address that the driver sets.
 * The layout is written here by hand.
 */
#include <string.h>

#include <vionet/spec.h>
#include <vionet/transport.h>

#include "driver/bytes.h"
#include "machine/machine.h"

#define SPACE 28

static const uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 6};
static const uint8_t other_mac[6] = {0x06, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5};
static const char *const dialects[] = {"ratified", "draft-v10", "draft-v7", "off"};

/* ---- every combination of fields ---- */

/* Features that fields depend on, as bits of a number that counts through all of their sets. */
static const uint8_t field_features[] = {
    VIRTIO_NET_F_STATUS,       VIRTIO_NET_F_MQ,  VIRTIO_NET_F_MTU,
    VIRTIO_NET_F_SPEED_DUPLEX, VIRTIO_NET_F_RSS, VIRTIO_NET_F_HASH_REPORT,
};
#define TUNNEL_BIT (1u << G_N_ELEMENTS(field_features))
#define N_SETS     (2 * TUNNEL_BIT)

#define HAS(set, feature) ((set) & (1u << (feature)))
enum { STATUS, MQ, MTU, SPEED, RSS, REPORT };

/* 5.1.4, with values that no other field has. */
static void expected_space(unsigned set, const char *dialect, uint8_t space[SPACE])
{
    static const uint8_t mac[6] = {0x02, 0x11, 0x22, 0x33, 0x44, 0x55};
    const bool v7 = HAS(set, 6) && strcmp(dialect, "draft-v7") == 0;
    const bool v10 = HAS(set, 6) && strcmp(dialect, "draft-v10") == 0;
    const bool ratified = HAS(set, 6) && strcmp(dialect, "ratified") == 0;

    memset(space, 0, SPACE);
    memcpy(space, mac, 6);
    if (HAS(set, STATUS)) {
        memcpy(space + 6, "\x01\x00", 2);
    }
    if (HAS(set, MQ) || HAS(set, RSS)) {
        memcpy(space + 8, "\x05\x00", 2);
    }
    if (HAS(set, MTU)) {
        memcpy(space + 10, "\x34\x12", 2);
    }
    if (HAS(set, SPEED)) {
        memcpy(space + 12, "\x78\x56\x34\x12\x01", 5);
    }
    if (HAS(set, RSS) || HAS(set, REPORT) || v10) {
        space[17] = 0x33;
        memcpy(space + 20, v7 ? "\x55\x0d\x00\x00" : "\x55\x01\x00\x00", 4);
    }
    if (HAS(set, RSS)) {
        memcpy(space + 18, "\x00\x02", 2);
    }
    if (v10) {
        memcpy(space + 24, "\x15\x00\x00\x00", 4); /* NONE is always there */
    } else if (ratified) {
        memcpy(space + 24, "\x14\x01\x00\x00", 4);
    }
}

static VionetDevice *device_with(unsigned set, const char *dialect)
{
    const VionetHostOps ops = {.size = sizeof(ops)};
    VionetDevice *device;
    VionetConfig config;
    GError *error = NULL;

    vionet_config_init(&config);
    config.dialect = vionet_dialect_find(dialect);
    vionet_features_set(config.features, VIRTIO_NET_F_STATUS, false);
    vionet_features_set(config.features, VIRTIO_NET_F_GUEST_ANNOUNCE, false);
    for (unsigned i = 0; i < G_N_ELEMENTS(field_features); i++) {
        vionet_features_set(config.features, field_features[i], HAS(set, i));
    }
    memcpy(config.mac, "\x02\x11\x22\x33\x44\x55", 6);
    config.max_pairs = HAS(set, MQ) || HAS(set, RSS) ? 5 : 1;
    config.mtu = 0x1234;
    config.speed = 0x12345678;
    config.duplex = 1;
    config.rss_max_key_size = 0x33;
    config.rss_max_table = 0x200;
    config.hash_types = 0x155;
    config.tunnel_types = config.dialect->all_types & (strcmp(dialect, "draft-v7") ? 0x114 : 0xc00);
    if (HAS(set, 6)) {
        vionet_features_set(config.features, (unsigned)config.dialect->feature, true);
    }
    device = vionet_device_new(&config, &ops, NULL, &error);
    if (!device) {
        g_error("%s", error->message);
    }
    return device;
}

/* Draft v10 alone has a use for its bit without RSS and HASH_REPORT. */
static bool can_be_offered(unsigned set, const char *dialect)
{
    return !HAS(set, 6) || strcmp(dialect, "draft-v10") == 0 ||
           (strcmp(dialect, "off") != 0 && (HAS(set, RSS) || HAS(set, REPORT)));
}

static void test_fields(void)
{
    for (unsigned d = 0; d < G_N_ELEMENTS(dialects); d++) {
        for (unsigned set = 0; set < N_SETS; set++) {
            uint8_t expected[SPACE], space[SPACE + 4];
            VionetDevice *device;

            if (!can_be_offered(set, dialects[d])) {
                continue;
            }
            expected_space(set, dialects[d], expected);
            device = device_with(set, dialects[d]);
            /* Before the driver has said a word. */
            memset(space, 0xa5, sizeof(space));
            vionet_device_config_read(device, 0, space, sizeof(space));
            if (memcmp(space, expected, SPACE) != 0) {
                g_test_message("%s, features 0x%x", dialects[d], set);
            }
            g_assert_cmpmem(space, SPACE, expected, SPACE);
            g_assert_cmphex(bytes_get32(space + SPACE), ==, 0);
            vionet_device_free(device);
        }
    }
}

static void test_accesses(void)
{
    static const unsigned sizes[] = {1, 2, 3, 4, 5, 8, 16, 28, 29, 64};
    VionetDevice *device = device_with(N_SETS - 1, "ratified");
    uint8_t whole[SPACE + 64] = {0};

    expected_space(N_SETS - 1, "ratified", whole);
    for (uint32_t offset = 0; offset < 4096; offset++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
            const uint32_t from = MIN(offset, SPACE);
            uint8_t got[65];

            memset(got, 0xa5, sizeof(got));
            vionet_device_config_read(device, offset, got, sizes[i]);
            g_assert_cmpmem(got, sizes[i], whole + from, sizes[i]);
            g_assert_cmphex(got[sizes[i]], ==, 0xa5);
        }
    }
    vionet_device_config_read(device, UINT32_MAX, whole, 8);
    g_assert_cmphex(bytes_get64(whole), ==, 0);
    vionet_device_free(device);
}

/* ---- a machine ---- */

static struct machine *boot_usual(void)
{
    struct machine_setup setup;

    machine_setup_init(&setup);
    return machine_booted(&setup, features_known());
}

static uint8_t generation(struct machine *machine)
{
    return (uint8_t)guest_common_read(machine->driver,
                                      offsetof(struct virtio_pci_common_cfg, config_generation), 1);
}

static uint16_t link_status(struct machine *machine)
{
    return (uint16_t)config_field(&machine->driver->pci, 6, 2);
}

static void read_mac(struct machine *machine, uint8_t mac[6])
{
    for (unsigned i = 0; i < 6; i++) {
        mac[i] = (uint8_t)config_field(&machine->driver->pci, i, 1);
    }
}

static void test_writes(void)
{
    struct machine *machine = boot_usual();
    const struct pci_window *window = &machine->driver->pci.device;
    uint8_t before[SPACE], after[SPACE];

    vionet_device_config_read(machine->device, 0, before, SPACE);
    for (uint64_t offset = 0; offset < 4096; offset++) {
        for (unsigned size = 1; size <= 8; size *= 2) {
            vionet_pci_bar_write(machine->pci, window->bar, window->offset + offset, size,
                                 UINT64_MAX);
        }
    }
    vionet_device_config_read(machine->device, 0, after, SPACE);
    g_assert_cmpmem(before, SPACE, after, SPACE);
    g_assert_nonnull(machine_violation(machine, VIONET_VIOLATION_CONFIG_WRITE));
    g_assert_cmphex(guest_driver_status(machine->driver), ==, 0xf);
    machine_finish(machine);
}

/* ---- the generation count ---- */

static void change_mac(struct machine *machine, unsigned n)
{
    uint8_t mac[6];

    memset(mac, 2 * (int)(n + 1), sizeof(mac));
    g_assert_cmpint(net_control_mac(machine->net, mac), ==, VIRTIO_NET_OK);
}

/* A driver's reading, octet by octet, with changes in between at one step and a second one at another. */
static bool torn_read_goes_unseen(struct machine *machine, unsigned first, unsigned second)
{
    uint8_t before, after = 0;
    uint8_t mac[6] = {0};
    unsigned n = 0;

    change_mac(machine, n++);
    before = generation(machine);
    for (unsigned step = 0; step < 6; step++) {
        for (unsigned i = 0; i < (step == first) + (unsigned)(step == second); i++) {
            change_mac(machine, n++);
        }
        mac[step] = (uint8_t)config_field(&machine->driver->pci, step, 1);
    }
    after = generation(machine);
    for (unsigned i = 1; i < 6; i++) {
        if (mac[i] != mac[0]) {
            return before == after;
        }
    }
    return false;
}

static void test_torn_reads(void)
{
    struct machine *machine = boot_usual();

    for (unsigned first = 0; first < 6; first++) {
        for (unsigned second = 0; second < 6; second++) {
            g_assert_false(torn_read_goes_unseen(machine, first, second));
        }
    }
    machine_finish(machine);
}

static void test_generation_moves_with_what_is_read(void)
{
    struct machine *machine = boot_usual();

    for (unsigned changes = 1; changes <= 514; changes++) {
        uint8_t before, after;

        link_status(machine);
        before = generation(machine);
        for (unsigned i = 0; i < changes; i++) {
            vionet_device_set_link(machine->device, i % 2);
        }
        /* However often it changed: a different number once the change has been read. */
        link_status(machine);
        after = generation(machine);
        g_assert_cmpuint(before, !=, after);
        vionet_device_set_link(machine->device, true);
    }
    machine_finish(machine);
}

static void test_generation_rests(void)
{
    struct machine *machine = boot_usual();
    uint8_t before;

    guest_driver_read_config(machine->driver);
    before = generation(machine);
    for (unsigned i = 0; i < 10; i++) {
        guest_driver_read_config(machine->driver);
        g_assert_cmpuint(generation(machine), ==, before);
    }
    machine_finish(machine);
}

static void test_generation_over_reset(void)
{
    struct machine *machine = boot_usual();
    uint8_t before;

    change_mac(machine, 1);
    guest_driver_read_config(machine->driver);
    before = generation(machine);
    g_assert_true(guest_driver_reset(machine->driver));
    guest_driver_read_config(machine->driver);
    g_assert_cmpmem(machine->driver->config.mac, 6, vionet_device_config(machine->device)->mac, 6);
    g_assert_cmpuint(generation(machine), !=, before);
    machine_finish(machine);
}

/* ---- link ---- */

static uint64_t config_interrupts(struct machine *machine)
{
    return guest_driver_take_interrupts(machine->driver, 0);
}

static void test_link(void)
{
    struct machine *machine = boot_usual();

    config_interrupts(machine);
    g_assert_cmphex(link_status(machine), ==, 1);
    vionet_device_set_link(machine->device, true);
    g_assert_cmpuint(config_interrupts(machine), ==, 0);
    vionet_device_set_link(machine->device, false);
    g_assert_cmpuint(config_interrupts(machine), ==, 1);
    g_assert_cmphex(link_status(machine), ==, 0);
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DROP_LINK_DOWN);
    g_assert_true(net_transmit(machine->net, 0, NULL, frame, sizeof(frame)));
    g_assert_cmpuint(machine_drain(machine, 0), ==, 0);
    g_assert_cmpuint(net_reclaim(machine->net, 0), ==, 1);
    vionet_device_set_link(machine->device, true);
    g_assert_cmpuint(config_interrupts(machine), ==, 1);
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
    g_assert_cmpuint(vionet_device_verdicts(machine->device, VIONET_DROP_LINK_DOWN), ==, 2);
    machine_finish(machine);
}

static void test_link_over_reset(void)
{
    struct machine *machine = boot_usual();

    vionet_device_set_link(machine->device, false);
    g_assert_true(machine_boot(machine, features_known()));
    g_assert_cmphex(link_status(machine), ==, 0);
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DROP_LINK_DOWN);
    machine_finish(machine);
}

static void test_link_down_at_birth(void)
{
    struct machine_setup setup;
    struct machine *machine;

    machine_setup_init(&setup);
    setup.device.link_up = false;
    machine = machine_booted(&setup, features_known());
    g_assert_cmphex(link_status(machine), ==, 0);
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DROP_LINK_DOWN);
    vionet_device_set_link(machine->device, true);
    g_assert_cmphex(link_status(machine), ==, 1);
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
    machine_finish(machine);
}

static void test_link_without_status(void)
{
    struct machine_setup setup;
    struct machine *machine;

    machine_setup_init(&setup);
    vionet_features_set(setup.device.features, VIRTIO_NET_F_STATUS, false);
    vionet_features_set(setup.device.features, VIRTIO_NET_F_GUEST_ANNOUNCE, false);
    machine = machine_booted(&setup, features_known());
    config_interrupts(machine);
    vionet_device_set_link(machine->device, false);
    g_assert_cmpuint(config_interrupts(machine), ==, 0);
    g_assert_cmphex(link_status(machine), ==, 0);
    vionet_device_set_link(machine->device, true);
    g_assert_cmphex(link_status(machine), ==, 0);
    machine_finish(machine);
}

/* ---- announcement ---- */

static void test_announce(void)
{
    struct machine *machine = boot_usual();

    config_interrupts(machine);
    machine_forget_events(machine);
    g_assert_true(vionet_device_announce(machine->device));
    g_assert_cmphex(link_status(machine), ==, 3);
    g_assert_cmpuint(config_interrupts(machine), ==, 1);
    g_assert_cmpuint(machine->n_events, ==, 0);
    g_assert_cmpint(net_control_announce_ack(machine->net), ==, VIRTIO_NET_OK);
    g_assert_cmphex(link_status(machine), ==, 1);
    g_assert_cmpuint(config_interrupts(machine), ==, 0);
    g_assert_cmpuint(machine->n_events, ==, 1);
    g_assert_cmpint(machine->events[0].kind, ==, VIONET_EVENT_ANNOUNCED);
    /* There is nothing to acknowledge: that is no mistake. */
    g_assert_cmpint(net_control_announce_ack(machine->net), ==, VIRTIO_NET_OK);
    machine_finish(machine);
}

static void test_announce_over_reset(void)
{
    struct machine *machine = boot_usual();

    g_assert_true(vionet_device_announce(machine->device));
    g_assert_true(guest_driver_reset(machine->driver));
    g_assert_cmphex(link_status(machine), ==, 1);
    g_assert_false(vionet_device_announce(machine->device));
    g_assert_cmphex(link_status(machine), ==, 1);
    machine_finish(machine);
}

static void test_announce_not_negotiated(void)
{
    struct guest_features wanted = features_known();
    struct machine_setup setup;
    struct machine *machine;

    machine_setup_init(&setup);
    features_remove(&wanted, VIRTIO_NET_F_GUEST_ANNOUNCE);
    machine = machine_booted(&setup, wanted);
    config_interrupts(machine);
    g_assert_false(vionet_device_announce(machine->device));
    g_assert_cmphex(link_status(machine), ==, 1);
    g_assert_cmpuint(config_interrupts(machine), ==, 0);
    g_assert_cmpint(net_control_announce_ack(machine->net), ==, VIRTIO_NET_ERR);
    machine_finish(machine);
}

/* The bit has gone, and the new address stands there, when the host hears of the command. */
static void look_at_config(struct machine *machine, const VionetEvent *event)
{
    uint8_t space[SPACE];

    (void)event;
    vionet_device_config_read(machine->device, 0, space, SPACE);
    memcpy(machine->user, space, SPACE);
}

static void test_effects_at_event(void)
{
    struct machine *machine = boot_usual();
    uint8_t seen[SPACE] = {0};

    g_assert_true(vionet_device_announce(machine->device));
    machine->user = seen;
    machine->on_event = look_at_config;
    g_assert_cmpint(net_control_announce_ack(machine->net), ==, VIRTIO_NET_OK);
    g_assert_cmphex(bytes_get16(seen + 6), ==, 1);
    g_assert_cmpint(net_control_mac(machine->net, other_mac), ==, VIRTIO_NET_OK);
    g_assert_cmpmem(seen, 6, other_mac, 6);
    machine->on_event = NULL;
    machine_finish(machine);
}

/* ---- the address ---- */

static void test_mac_command(void)
{
    struct machine *machine = boot_usual();
    uint8_t mac[6];

    config_interrupts(machine);
    read_mac(machine, mac);
    g_assert_cmpmem(mac, 6, "\x52\x54\x00\x12\x34\x56", 6);
    g_assert_cmpint(net_control_mac(machine->net, other_mac), ==, VIRTIO_NET_OK);
    read_mac(machine, mac);
    g_assert_cmpmem(mac, 6, other_mac, 6);
    g_assert_cmpuint(config_interrupts(machine), ==, 0);
    g_assert_true(guest_driver_reset(machine->driver));
    read_mac(machine, mac);
    g_assert_cmpmem(mac, 6, "\x52\x54\x00\x12\x34\x56", 6);
    machine_finish(machine);
}

static void test_mac_command_without_mac(void)
{
    struct guest_features wanted = features_known();
    struct machine_setup setup;
    struct machine *machine;
    uint8_t mac[6];

    machine_setup_init(&setup);
    features_remove(&wanted, VIRTIO_NET_F_MAC);
    machine = machine_booted(&setup, wanted);
    g_assert_cmpint(net_control_mac(machine->net, other_mac), ==, VIRTIO_NET_OK);
    read_mac(machine, mac);
    g_assert_cmpmem(mac, 6, "\x52\x54\x00\x12\x34\x56", 6);
    machine_finish(machine);
}

/* ---- limits ---- */

static void test_constant_fields(void)
{
    struct machine_setup setup;
    struct machine *machine;
    struct net_config before;

    machine_setup_init(&setup);
    vionet_features_set(setup.device.features, VIRTIO_NET_F_MTU, true);
    vionet_features_set(setup.device.features, VIRTIO_NET_F_SPEED_DUPLEX, true);
    vionet_features_set(setup.device.features, VIRTIO_NET_F_RSS, true);
    setup.device.mtu = 1280;
    setup.device.speed = 0x7fffffff;
    setup.device.duplex = 0;
    machine = machine_booted(&setup, features_known());
    before = machine->driver->config;
    g_assert_cmpuint(before.mtu, ==, 1280);
    g_assert_cmpuint(before.speed, ==, 0x7fffffff);
    g_assert_cmpuint(before.duplex, ==, 0);
    vionet_device_set_link(machine->device, false);
    vionet_device_set_link(machine->device, true);
    change_mac(machine, 3);
    g_assert_true(machine_boot(machine, features_known()));
    before.generation = machine->driver->config.generation;
    g_assert_cmpmem(&machine->driver->config, sizeof(before), &before, sizeof(before));
    g_assert_cmpuint(before.rss_max_key_size, >=, 40);
    g_assert_cmpuint(before.rss_max_indirection_table_length, >=, 128);
    machine_finish(machine);
}

/* Linux refuses a device that takes more (CVE-2024-53082). */
static void test_default_key_size(void)
{
    VionetConfig config;

    vionet_config_init(&config);
    g_assert_cmpuint(config.rss_max_key_size, ==, 40);
    g_assert_cmpuint(config.rss_max_table, ==, 128);
}

/* A device that offers an MTU offers one that IPv6 can live with, unless it is told otherwise. */
static void test_default_mtu(void)
{
    struct machine_setup setup;
    struct machine *machine;
    uint8_t space[SPACE];

    machine_setup_init(&setup);
    vionet_features_set(setup.device.features, VIRTIO_NET_F_MTU, true);
    machine = machine_new(&setup, NULL);
    g_assert_nonnull(machine);
    vionet_device_config_read(machine->device, 0, space, sizeof(space));
    g_assert_cmpuint(bytes_get16(space + 10), >=, 1280);
    machine_free(machine);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_set_nonfatal_assertions();
    g_test_add_func("/config/each-field-exists-with-its-features-in-every-dialect", test_fields);
    g_test_add_func("/config/C-01/any-access-reads-octets-of-the-whole", test_accesses);
    g_test_add_func("/config/C-01/writes-change-nothing", test_writes);
    g_test_add_func("/config/C-15/a-torn-read-shows-in-the-generation", test_torn_reads);
    g_test_add_func("/config/generation-differs-once-a-change-was-read",
                    test_generation_moves_with_what_is_read);
    g_test_add_func("/config/generation-rests-while-nothing-changes", test_generation_rests);
    g_test_add_func("/config/generation-differs-over-a-reset", test_generation_over_reset);
    g_test_add_func("/config/link-changes-are-told", test_link);
    g_test_add_func("/config/link-stays-over-a-reset", test_link_over_reset);
    g_test_add_func("/config/link-down-at-birth", test_link_down_at_birth);
    g_test_add_func("/config/link-is-not-told-without-status", test_link_without_status);
    g_test_add_func("/config/announcement-is-asked-for-and-acknowledged", test_announce);
    g_test_add_func("/config/announcement-is-forgotten-by-a-reset", test_announce_over_reset);
    g_test_add_func("/config/announcement-needs-its-feature", test_announce_not_negotiated);
    g_test_add_func("/config/changes-by-command-show-when-the-host-hears-of-them",
                    test_effects_at_event);
    g_test_add_func("/config/mac-follows-the-command-until-reset", test_mac_command);
    g_test_add_func("/config/mac-stays-if-not-negotiated", test_mac_command_without_mac);
    g_test_add_func("/config/constant-fields-stay", test_constant_fields);
    g_test_add_func("/config/H-10/default-limits-are-what-drivers-take", test_default_key_size);
    g_test_add_func("/config/default-mtu-suits-ipv6", test_default_mtu);
    return g_test_run();
}
