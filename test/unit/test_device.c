/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device's life and its edges: what it refuses to be made of and how it says so, structures of
 * older callers, host operations that are missing, names, the largest device, reset of single queues
 * and of everything (VIRTIO 1.4, 2.4, 2.6.1; the promises of vionet/device.h).
 */
#include <string.h>

#include <vionet/spec.h>
#include <vionet/transport.h>

#include "driver/bytes.h"
#include "driver/queue.h"
#include "machine/machine.h"

static const uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5};

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

/* ---- what a device is not made of ---- */

#define MEMBER(member) \
    offsetof(VionetConfig, member), sizeof(((VionetConfig *)NULL)->member), #member

/* A member, a value, and whether a device can have it. Features 3 and 63 make mtu and speed matter. */
static const struct {
    size_t offset;
    size_t size;
    const char *name;
    uint64_t value;
    bool fine;
} values[] = {
    {MEMBER(max_pairs), 0, false},
    {MEMBER(max_pairs), 1, true},
    {MEMBER(max_pairs), 3, true},
    {MEMBER(max_pairs), VIONET_MAX_PAIRS, true},
    {MEMBER(max_pairs), VIONET_MAX_PAIRS + 1, false},
    {MEMBER(max_pairs), 0xffff, false},
    {MEMBER(receive_queue_size), 0, false},
    {MEMBER(receive_queue_size), 1, false},
    {MEMBER(receive_queue_size), 2, true},
    {MEMBER(receive_queue_size), 3, false},
    {MEMBER(receive_queue_size), 257, false},
    {MEMBER(receive_queue_size), 0x8000, true},
    {MEMBER(receive_queue_size), 0x8001, false},
    {MEMBER(receive_queue_size), 0xffff, false},
    {MEMBER(transmit_queue_size), 0, false},
    {MEMBER(transmit_queue_size), 1, false},
    {MEMBER(transmit_queue_size), 2, true},
    {MEMBER(transmit_queue_size), 24, false},
    {MEMBER(transmit_queue_size), 0x8000, true},
    {MEMBER(transmit_queue_size), 0xc000, false},
    {MEMBER(control_queue_size), 0, false},
    {MEMBER(control_queue_size), 1, false},
    {MEMBER(control_queue_size), 2, true},
    {MEMBER(control_queue_size), 63, false},
    {MEMBER(control_queue_size), 0x8000, true},
    {MEMBER(control_queue_size), 0xfffe, false},
    {MEMBER(mtu), 0, false},
    {MEMBER(mtu), 67, false},
    {MEMBER(mtu), 68, true},
    {MEMBER(mtu), 0xffff, true},
    {MEMBER(speed), 0, true},
    {MEMBER(speed), 0x7fffffff, true},
    {MEMBER(speed), 0x80000000, false},
    {MEMBER(speed), 0xfffffffe, false},
    {MEMBER(speed), 0xffffffff, true},
    {MEMBER(duplex), 0, true},
    {MEMBER(duplex), 1, true},
    {MEMBER(duplex), 2, false},
    {MEMBER(duplex), 0xfe, false},
    {MEMBER(duplex), 0xff, true},
    {MEMBER(rss_max_key_size), 0, false},
    {MEMBER(rss_max_key_size), 39, false},
    {MEMBER(rss_max_key_size), 40, true},
    {MEMBER(rss_max_key_size), 255, true},
    {MEMBER(rss_max_table), 0, false},
    {MEMBER(rss_max_table), 64, false},
    {MEMBER(rss_max_table), 127, false},
    {MEMBER(rss_max_table), 128, true},
    {MEMBER(rss_max_table), 192, false},
    {MEMBER(rss_max_table), 0x8000, true},
    {MEMBER(rss_max_table), 0xffff, false},
    {MEMBER(max_rss_contexts), 0, false},
    {MEMBER(max_rss_contexts), 1, true},
    {MEMBER(max_rss_contexts), VIONET_MAX_RSS_CONTEXTS, true},
    {MEMBER(max_rss_contexts), VIONET_MAX_RSS_CONTEXTS + 1, false},
    {MEMBER(max_rss_contexts), 0xffff, false},
    {MEMBER(hash_types), 0, true},
    {MEMBER(hash_types), 0x1ff, true},
    {MEMBER(hash_types), 0x200, false},
    {MEMBER(hash_types), 0xffffffff, false},
    {MEMBER(tunnel_types), 0, true},
    {MEMBER(tunnel_types), 0x1ff, true},
    {MEMBER(tunnel_types), 0x200, false},
    {MEMBER(tunnel_types), VIONET_ALL_TUNNELS, true},
    {MEMBER(max_frame), 0, false},
    {MEMBER(max_frame), 1513, false},
    {MEMBER(max_frame), VIONET_MAX_FRAME, true},
    {MEMBER(max_frame), VIONET_MAX_FRAME + 1, false},
    {MEMBER(max_frame), 0xffffffff, false},
    {MEMBER(mac), 0x563412005452, true},
    {MEMBER(mac), 0x563412005453, false},
    {MEMBER(mac), 0xffffffffffff, false},
    {MEMBER(dialect), 0, false},
};

static void usual_config(VionetConfig *config)
{
    vionet_config_init(config);
    config->mtu = 1400;
    vionet_features_set(config->features, VIRTIO_NET_F_MQ, true);
    vionet_features_set(config->features, VIRTIO_NET_F_RSS, true);
    vionet_features_set(config->features, VIRTIO_NET_F_MTU, true);
    vionet_features_set(config->features, VIRTIO_NET_F_SPEED_DUPLEX, true);
}

/* Makes a device of it, or is told why not; words are part of the message. */
static void check_config(const VionetConfig *config, const VionetHostOps *ops, bool fine,
                         const char *words)
{
    GError *error = NULL, *same = NULL;
    VionetDevice *device = vionet_device_new(config, ops, NULL, &error);

    g_assert_cmpint(vionet_config_check(config, ops, &same), ==, fine);
    g_assert_cmpint(device != NULL, ==, fine);
    if (!fine && error && same) {
        g_assert_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG);
        g_assert_nonnull(strstr(error->message, words));
        g_assert_cmpstr(error->message, ==, same->message);
        /* The error may be of no interest. */
        g_assert_null(vionet_device_new(config, ops, NULL, NULL));
        g_assert_false(vionet_config_check(config, ops, NULL));
    } else {
        g_assert_no_error(error);
    }
    g_clear_error(&error);
    g_clear_error(&same);
    vionet_device_free(device);
}

/* What of the value has no room in the member is left out. */
static void set_member(uint8_t *to, size_t size, uint64_t value)
{
    const size_t last = sizeof(value) - size;

    memcpy(to, (uint8_t *)&value + (G_BYTE_ORDER == G_BIG_ENDIAN ? last : 0), size);
}

static void test_members(void)
{
    const VionetHostOps ops = {.size = sizeof(ops)};

    for (unsigned i = 0; i < G_N_ELEMENTS(values); i++) {
        VionetConfig config;

        usual_config(&config);
        set_member((uint8_t *)&config + values[i].offset, values[i].size, values[i].value);
        check_config(&config, &ops, values[i].fine, values[i].name);
    }
}

static void test_members_without_feature(void)
{
    const VionetHostOps ops = {.size = sizeof(ops)};
    VionetConfig config;

    vionet_config_init(&config);
    config.mtu = 0;
    check_config(&config, &ops, true, "");
    config.max_pairs = 2;
    check_config(&config, &ops, false, "max_pairs");
    check_config(&config, &ops, false, "VIRTIO_NET_F_MQ");
    check_config(&config, &ops, false, "VIRTIO_NET_F_RSS");
    vionet_features_set(config.features, VIRTIO_NET_F_RSS, true);
    check_config(&config, &ops, true, "");
}

static void test_timers(void)
{
    const VionetHostOps ops[] = {
        {.size = sizeof(ops[0])},
        {.size = sizeof(ops[0]), .clock_ns = no_clock},
        {.size = sizeof(ops[0]), .timer = no_timer},
        {.size = offsetof(VionetHostOps, timer), .clock_ns = no_clock, .timer = no_timer},
        {.size = sizeof(ops[0]), .clock_ns = no_clock, .timer = no_timer},
    };
    static const unsigned bits[] = {VIRTIO_NET_F_NOTF_COAL, VIRTIO_NET_F_VQ_NOTF_COAL};

    for (unsigned i = 0; i < G_N_ELEMENTS(ops); i++) {
        for (unsigned b = 0; b < G_N_ELEMENTS(bits); b++) {
            VionetConfig config;

            vionet_config_init(&config);
            vionet_features_set(config.features, bits[b], true);
            check_config(&config, &ops[i], i == 4, "timer");
            check_config(&config, &ops[i], i == 4, "clock_ns");
        }
    }
}

static void test_dialects_types(void)
{
    static const struct {
        const char *dialect;
        uint32_t types;
        bool fine;
    } rows[] = {
        {"draft-v10", 0x3f, true},  {"draft-v10", 0x40, false},        {"draft-v7", 0xe00, true},
        {"draft-v7", 0x100, false}, {"draft-v7", 0x1000, false},       {"off", 0, true},
        {"off", 1, false},          {"off", VIONET_ALL_TUNNELS, true},
    };
    const VionetHostOps ops = {.size = sizeof(ops)};

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        VionetConfig config;

        vionet_config_init(&config);
        config.dialect = vionet_dialect_find(rows[i].dialect);
        config.tunnel_types = rows[i].types;
        check_config(&config, &ops, rows[i].fine, "tunnel_types");
    }
}

/* NET-CFG-06 could not be kept: what is not longer than the MTU has to be forwarded. */
static void test_mtu_over_largest_frame(void)
{
    const VionetHostOps ops = {.size = sizeof(ops)};
    VionetConfig config;

    usual_config(&config);
    config.mtu = 1500;
    config.max_frame = 1514;
    check_config(&config, &ops, true, "");
    config.mtu = 9000;
    check_config(&config, &ops, false, "mtu");
}

/* ---- structures of older callers ---- */

/* Only so many octets of the caller's structure are there. */
static VionetDevice *make_with_size(size_t size, GError **error)
{
    const VionetHostOps ops = {.size = sizeof(ops)};
    VionetConfig *config = g_malloc(size);
    VionetConfig whole;
    VionetDevice *device;

    vionet_config_init(&whole);
    vionet_features_set(whole.features, VIRTIO_NET_F_MTU, true);
    whole.size = size;
    whole.mtu = 1280;
    whole.max_frame = 2000;
    whole.notif_config_base = 77;
    memcpy(config, &whole, size);
    device = vionet_device_new(config, &ops, NULL, error);
    g_free(config);
    return device;
}

static void test_config_sizes(void)
{
    static const size_t sizes[] = {sizeof(VionetConfig), offsetof(VionetConfig, notif_config_base),
                                   offsetof(VionetConfig, max_frame),
                                   offsetof(VionetConfig, hash_types)};

    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
        VionetDevice *device = make_with_size(sizes[i], NULL);
        const VionetConfig *config = vionet_device_config(device);

        g_assert_cmpuint(config->mtu, ==, 1280);
        g_assert_cmpuint(config->notif_config_base, ==, i < 1 ? 77 : 0);
        g_assert_cmpuint(config->max_frame, ==, i < 2 ? 2000 : VIONET_MAX_FRAME);
        g_assert_cmphex(config->hash_types, ==, 0x1ff);
        vionet_device_free(device);
    }
}

static void test_config_size_unknown(void)
{
    const VionetHostOps ops = {.size = sizeof(ops)};
    static const size_t sizes[] = {0,    1,       sizeof(size_t) - 1, sizeof(VionetConfig) + 1,
                                   4096, SIZE_MAX};

    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
        VionetConfig config;

        usual_config(&config);
        config.size = sizes[i];
        check_config(&config, &ops, false, "size");
    }
}

/* The smallest is a size alone: all defaults. */
static void test_config_size_alone(void)
{
    const VionetHostOps ops = {.size = sizeof(ops)};
    size_t *size = g_new(size_t, 1);
    VionetDevice *device;
    VionetConfig config;

    *size = sizeof(*size);
    vionet_config_init(&config);
    device = vionet_device_new((const VionetConfig *)size, &ops, NULL, NULL);
    g_assert_nonnull(device);
    g_assert_cmpmem(vionet_device_config(device)->features, sizeof(config.features),
                    config.features, sizeof(config.features));
    vionet_device_free(device);
    g_free(size);
}

/* Operations past the caller's structure are not there; those of a newer caller are not called. */
static void test_ops_sizes(void)
{
    struct {
        VionetHostOps ops;
        void *more[4];
    } newer = {.ops = {.size = sizeof(newer)}};
    const size_t sizes[] = {sizeof(size_t), offsetof(VionetHostOps, kick),
                            offsetof(VionetHostOps, event), sizeof(VionetHostOps), sizeof(newer)};
    VionetConfig config;

    vionet_config_init(&config);
    memset(newer.more, 0x5a, sizeof(newer.more));
    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
        VionetHostOps *ops = g_malloc0(sizes[i]);
        VionetDevice *device;

        ops->size = sizes[i];
        device = vionet_device_new(&config, ops, NULL, NULL);
        g_free(ops); /* copied */
        g_assert_nonnull(device);
        vionet_device_write_status(device, 0);
        vionet_device_kick(device, 1);
        vionet_device_set_link(device, false);
        vionet_device_config_write(device, 0, "", 1);
        vionet_device_free(device);
    }
}

static void test_free_nothing(void)
{
    vionet_device_free(NULL);
    vionet_pci_free(NULL);
}

/* ---- names ---- */

static void test_violation_names(void)
{
    GHashTable *names = g_hash_table_new(g_str_hash, g_str_equal);

    for (int i = 0; i < VIONET_N_VIOLATIONS; i++) {
        const VionetViolationInfo *info = vionet_violation_info(i);

        g_assert_nonnull(info);
        g_assert_cmpuint(strlen(info->name), >, 3);
        g_assert_cmpuint(strspn(info->name, "abcdefghijklmnopqrstuvwxyz0123456789-"), ==,
                         strlen(info->name));
        g_assert_true(g_hash_table_add(names, (gpointer)info->name));
        g_assert_cmpuint(strspn(info->section, "0123456789."), ==, strlen(info->section));
        g_assert_cmpuint(strlen(info->text), >, 10);
    }
    g_assert_null(vionet_violation_info(VIONET_N_VIOLATIONS));
    g_assert_null(vionet_violation_info((VionetViolation)-1));
    g_hash_table_unref(names);
}

static void test_other_names(void)
{
    static const char *const verdicts[] = {
        "delivered",        "held",     "runt", "oversize", "not-running",    "link-down",
        "filter",           "vlan",     "mtu",  "offload",  "queue-disabled", "no-buffer",
        "buffer-too-small", "malformed"};
    GHashTable *names = g_hash_table_new(g_str_hash, g_str_equal);

    g_assert_cmpuint(G_N_ELEMENTS(verdicts), ==, VIONET_N_VERDICTS);
    for (int i = 0; i < VIONET_N_VERDICTS; i++) {
        g_assert_cmpstr(vionet_verdict_name(i), ==, verdicts[i]);
    }
    for (int i = 0; i < VIONET_N_COUNTERS; i++) {
        g_assert_true(g_hash_table_add(names, (gpointer)vionet_counter_name(i)));
    }
    g_assert_cmpstr(vionet_counter_name(VIONET_COUNTER_PACKETS), ==, "packets");
    g_assert_nonnull(vionet_verdict_name(VIONET_N_VERDICTS));
    g_assert_nonnull(vionet_verdict_name((VionetVerdict)-1));
    g_assert_nonnull(vionet_counter_name(VIONET_N_COUNTERS));
    g_assert_nonnull(vionet_counter_name((VionetCounter)-1));
    g_hash_table_unref(names);
}

/* A sentence with the numbers and the section, cut to the room there is. */
static void test_descriptions(void)
{
    for (int i = 0; i < VIONET_N_VIOLATIONS; i++) {
        const VionetViolationInfo *info = vionet_violation_info(i);
        const VionetEvent event = {VIONET_EVENT_VIOLATION, i, 1234567, 7654321, 0x7fff0000};
        char text[512], section[32];

        vionet_event_describe(&event, text, sizeof(text));
        g_snprintf(section, sizeof(section), "(%s)", info->section);
        g_assert_true(g_str_has_suffix(text, section));
        g_assert_null(strchr(text, '%'));
        g_assert_cmpint(strstr(text, "1234567") != NULL, ==, strstr(info->text, "%q") != NULL);
        g_assert_cmpint(strstr(text, "7654321") != NULL, ==, strstr(info->text, "%d") != NULL);
        for (size_t size = 0; size <= strlen(text) + 1; size++) {
            char *cut = g_malloc(size + 1);

            cut[size] = 0x5a;
            vionet_event_describe(&event, cut, size);
            g_assert_cmpint(cut[size], ==, 0x5a);
            g_assert_true(size == 0 || strncmp(cut, text, strlen(cut)) == 0);
            g_free(cut);
        }
    }
    for (int kind = VIONET_EVENT_FEATURES; kind <= VIONET_EVENT_OFFLOADS + 1; kind++) {
        const VionetEvent event = {.kind = kind, .queue = VIONET_NONE, .descriptor = VIONET_NONE};
        char text[64] = "x";

        vionet_event_describe(&event, text, sizeof(text));
        g_assert_cmpint(text[0] != 0, ==, kind <= VIONET_EVENT_OFFLOADS);
    }
}

/* ---- a driver on a machine ---- */

static struct machine *boot_pairs(uint16_t pairs, uint16_t queue_size)
{
    struct machine_setup setup;
    struct machine *machine;

    machine_setup_init(&setup);
    setup.device.max_pairs = pairs;
    setup.device.receive_queue_size = queue_size;
    setup.device.transmit_queue_size = queue_size;
    setup.net.transmit_size = 2048;
    vionet_features_set(setup.device.features, VIRTIO_NET_F_MQ, true);
    vionet_features_set(setup.device.features, VIRTIO_NET_F_RSS, true);
    vionet_features_set(setup.device.features, VIRTIO_NET_F_NOTF_COAL, true);
    machine = machine_booted(&setup, features_known());
    return machine;
}

/* An event about no queue at all does not name one. */
static void test_description_without_queue(void)
{
    struct machine *machine = boot_pairs(1, 16);
    const VionetEvent *event;
    char text[256] = "";

    machine_forget_events(machine);
    guest_common_write(machine->driver, offsetof(struct virtio_pci_common_cfg, config_msix_vector),
                       2, 1000);
    event = machine_violation(machine, VIONET_VIOLATION_VECTOR_RANGE);
    g_assert_nonnull(event);
    if (event) {
        vionet_event_describe(event, text, sizeof(text));
    }
    g_assert_nonnull(strstr(text, "1000"));
    g_assert_null(strstr(text, "4294967295"));
    machine_finish(machine);
}

static void test_running(void)
{
    struct machine *machine = boot_pairs(1, 16);

    g_assert_true(vionet_device_running(machine->device));
    vionet_device_set_dma(machine->device, false);
    g_assert_false(vionet_device_running(machine->device));
    vionet_device_set_dma(machine->device, true);
    g_assert_true(vionet_device_running(machine->device));
    vionet_device_set_link(machine->device, false);
    g_assert_true(vionet_device_running(machine->device));
    guest_driver_add_status(machine->driver, VIRTIO_STATUS_FAILED);
    g_assert_false(vionet_device_running(machine->device));
    g_assert_true(guest_driver_reset(machine->driver));
    g_assert_false(vionet_device_running(machine->device));
    guest_driver_acknowledge(machine->driver);
    g_assert_true(guest_driver_negotiate(machine->driver, features_known()));
    g_assert_false(vionet_device_running(machine->device));
    guest_driver_ok(machine->driver);
    g_assert_true(vionet_device_running(machine->device));
    machine_finish(machine);
}

/* 256 pairs, the control queue behind them, and one further. */
static void test_largest(void)
{
    struct machine *machine = boot_pairs(VIONET_MAX_PAIRS, 2);
    struct guest_driver *driver = machine->driver;
    const unsigned control = 2 * VIONET_MAX_PAIRS;
    struct guest_packet packet;

    g_assert_cmpuint(vionet_device_num_queues(machine->device), ==, control + 1);
    g_assert_cmpuint(driver->control, ==, control);
    g_assert_cmpint(net_control_pairs(machine->net, VIONET_MAX_PAIRS), ==, VIRTIO_NET_OK);
    g_assert_true(net_reset_queue(machine->net, control, 0));
    g_assert_cmpint(net_control_vlan_add(machine->net, 1), ==, VIRTIO_NET_OK);
    g_assert_true(net_transmit(machine->net, VIONET_MAX_PAIRS - 1, NULL, frame, sizeof(frame)));
    g_assert_cmpuint(machine_drain(machine, VIONET_MAX_PAIRS - 1), ==, 1);
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
    g_assert_true(net_receive(machine->net, &packet));
    machine_forget_events(machine);
    vionet_device_kick(machine->device, control + 1);
    g_assert_nonnull(machine_violation(machine, VIONET_VIOLATION_NOTIFY_QUEUE));
    g_assert_false(vionet_device_reset_queue(machine->device, control + 1));
    g_assert_cmpuint(vionet_device_queue_size(machine->device, control + 1), ==, 0);
    g_assert_cmpuint(vionet_device_counter(machine->device, control + 1, VIONET_COUNTER_KICKS), ==,
                     0);
    g_assert_cmpuint(vionet_device_transmit(machine->device, VIONET_MAX_PAIRS, NULL, 1), ==, 0);
    vionet_device_complete(machine->device, VIONET_MAX_PAIRS, NULL, 1);
    vionet_device_set_poll(machine->device, control + 1, true);
    vionet_device_timer(machine->device, control + 1);
    machine_finish(machine);
}

static void test_queue_numbers(void)
{
    struct machine *machine = boot_pairs(4, 16);

    for (unsigned queue = 0; queue < 70000; queue += queue < 40 ? 1 : 4093) {
        const bool exists = queue <= 8;

        g_assert_cmpint(vionet_device_queue_size(machine->device, queue) != 0, ==, exists);
        g_assert_cmpint(vionet_device_queue_enabled(machine->device, queue), ==, exists);
        for (unsigned area = 0; area < 5; area++) {
            g_assert_cmpint(vionet_device_queue_area(machine->device, queue, area) != 0, ==,
                            exists && area < 3);
        }
        for (unsigned counter = 0; counter < VIONET_N_COUNTERS + 2; counter++) {
            if (!exists || counter >= VIONET_N_COUNTERS) {
                g_assert_cmpuint(vionet_device_counter(machine->device, queue, counter), ==, 0);
            }
        }
    }
    g_assert_cmpuint(vionet_device_verdicts(machine->device, VIONET_N_VERDICTS), ==, 0);
    g_assert_cmpuint(vionet_device_verdicts(machine->device, (VionetVerdict)-1), ==, 0);
    machine_finish(machine);
}

/* ---- host operations that are missing (C-14) ---- */

struct bench {
    VionetDevice *device;
    VionetPci *pci;
    struct guest_memory *memory;
    struct guest_access access;
    struct guest_driver *driver;
    struct guest_net *net;
    /* what a host operation does on its way (D-02 to D-06) */
    void (*intrude)(struct bench *bench);
    bool intruding;
    uint64_t intrusions;
    uint64_t now_ns;
    void *spare; /* a page of host memory */
};

static uint32_t config_read(void *opaque, uint32_t offset, unsigned size)
{
    return vionet_pci_config_read(((struct bench *)opaque)->pci, offset, size);
}

static void config_write(void *opaque, uint32_t offset, unsigned size, uint32_t value)
{
    vionet_pci_config_write(((struct bench *)opaque)->pci, offset, size, value);
}

static uint64_t bar_read(void *opaque, unsigned bar, uint64_t offset, unsigned size)
{
    return vionet_pci_bar_read(((struct bench *)opaque)->pci, bar, offset, size);
}

static void bar_write(void *opaque, unsigned bar, uint64_t offset, unsigned size, uint64_t value)
{
    vionet_pci_bar_write(((struct bench *)opaque)->pci, bar, offset, size, value);
}

static void set_up_bench(struct bench *bench, const VionetConfig *config, const VionetHostOps *host,
                         const VionetPciOps *bus)
{
    const struct guest_driver_options options = {.intx = !bus->msi};
    const struct guest_region *regions;
    VionetPciConfig pci_config;

    memset(bench, 0, sizeof(*bench));
    vionet_pci_config_init(&pci_config);
    bench->device = vionet_device_new(config, host, bench, NULL);
    bench->pci = vionet_pci_new(bench->device, &pci_config, bus, bench, NULL);
    bench->memory = guest_memory_flat(UINT64_C(1) << 20, UINT64_C(16) << 20);
    guest_memory_regions(bench->memory, &regions);
    g_assert_true(vionet_device_map(bench->device, regions[0].gpa, regions[0].host, regions[0].size,
                                    0, NULL));
    bench->access = (struct guest_access){bench, config_read, config_write, bar_read, bar_write};
    bench->driver = guest_driver_new(&bench->access, bench->memory, &options);
    if (!guest_driver_start(bench->driver, features_known())) {
        g_error("the driver does not start");
    }
    bench->net =
        net_new(bench->driver, &(struct net_options){.transmit_size = 2048, .control_wait_us = 1});
    g_assert_true(net_start(bench->net));
}

/* A machine whose host has no operation at all. */
static void set_up_mute(struct bench *bench)
{
    const VionetHostOps host = {.size = sizeof(host)};
    const VionetPciOps bus = {.size = sizeof(bus)};
    VionetConfig config;

    vionet_config_init(&config);
    set_up_bench(bench, &config, &host, &bus);
}

static void tear_down_bench(struct bench *bench)
{
    net_free(bench->net);
    guest_driver_free(bench->driver);
    vionet_pci_free(bench->pci);
    vionet_device_free(bench->device);
    guest_memory_free(bench->memory);
}

static void test_no_operations(void)
{
    const struct iovec piece = {(void *)frame, sizeof(frame)};
    const VionetFrame one = {.iov = &piece, .n_iov = 1};
    struct guest_packet packet;
    struct bench bench;
    VionetFrame sent;

    set_up_mute(&bench);
    g_assert_cmpuint(vionet_device_receive(bench.device, 0, &one, 1, NULL, 0), ==, 1);
    g_assert_true(net_receive(bench.net, &packet));
    g_assert_true(net_transmit(bench.net, 0, NULL, frame, sizeof(frame)));
    g_assert_cmpuint(vionet_device_transmit(bench.device, 0, &sent, 1), ==, 1);
    vionet_device_complete(bench.device, 0, &sent, 1);
    g_assert_cmpint(net_control_rx(bench.net, 0, true), ==, VIRTIO_NET_OK);
    g_assert_cmpint(net_control(bench.net, 99, 0, NULL, 0, NULL, 0), ==, VIRTIO_NET_ERR);
    vionet_device_set_link(bench.device, false);
    g_assert_true(vionet_device_announce(bench.device));
    for (unsigned i = 0; i < 5; i++) {
        vionet_device_kick(bench.device, i); /* empty rings, and queues that are not there */
        vionet_device_timer(bench.device, i);
        vionet_device_set_poll(bench.device, i, true);
        vionet_device_set_poll(bench.device, i, false);
    }
    /* Broken: the same again. */
    g_assert_true(virtq_add(guest_queue_ring(bench.driver, 1),
                            &(struct virtq_segment){UINT64_C(1) << 60, 1, false}, 1, &bench));
    virtq_publish(guest_queue_ring(bench.driver, 1));
    g_assert_cmpuint(vionet_device_transmit(bench.device, 0, &sent, 1), ==, 0);
    for (unsigned i = 0; i < 5; i++) {
        vionet_device_kick(bench.device, i);
        vionet_device_timer(bench.device, i);
    }
    vionet_pci_reset(bench.pci);
    tear_down_bench(&bench);
}

/* ---- any function from within any host operation but the clock (D-02 to D-06) ---- */

static void intrude(struct bench *bench)
{
    if (bench->intrude && !bench->intruding) {
        bench->intruding = true;
        bench->intrusions++;
        bench->intrude(bench);
        bench->intruding = false;
    }
}

static void on_kick(void *opaque, unsigned queue)
{
    (void)queue;
    intrude(opaque);
}

static void on_event(void *opaque, const VionetEvent *event)
{
    (void)event;
    intrude(opaque);
}

/* The one operation that may not call the device. */
static uint64_t on_clock(void *opaque)
{
    return ((struct bench *)opaque)->now_ns;
}

static void on_timer(void *opaque, unsigned queue, uint64_t deadline_ns)
{
    (void)queue;
    (void)deadline_ns;
    intrude(opaque);
}

static void on_msi(void *opaque, unsigned vector, uint64_t address, uint32_t data)
{
    (void)vector;
    (void)address;
    (void)data;
    intrude(opaque);
}

static void on_intx(void *opaque, bool level)
{
    (void)level;
    intrude(opaque);
}

static void intrude_receive(struct bench *bench)
{
    const struct iovec piece = {(void *)frame, sizeof(frame)};
    const VionetFrame one = {.iov = &piece, .n_iov = 1};

    vionet_device_receive(bench->device, 0, &one, 1, NULL, 0);
}

static void intrude_transmit(struct bench *bench)
{
    VionetFrame frames[8];

    for (unsigned pair = 0; pair < 2; pair++) {
        const size_t n = vionet_device_transmit(bench->device, pair, frames, G_N_ELEMENTS(frames));

        vionet_device_complete(bench->device, pair, frames, n);
    }
}

static void intrude_kick(struct bench *bench)
{
    for (unsigned queue = 0; queue < 6; queue++) {
        vionet_device_kick(bench->device, queue);
        vionet_device_timer(bench->device, queue);
        vionet_device_set_poll(bench->device, queue, true);
        vionet_device_set_poll(bench->device, queue, false);
    }
}

static void intrude_reset(struct bench *bench)
{
    vionet_device_write_status(bench->device, 0);
}

static void intrude_bus_reset(struct bench *bench)
{
    vionet_pci_reset(bench->pci);
}

static void intrude_queue_reset(struct bench *bench)
{
    for (unsigned queue = 0; queue < 6; queue++) {
        vionet_device_reset_queue(bench->device, queue);
    }
}

static void intrude_dma(struct bench *bench)
{
    vionet_device_set_dma(bench->device, false);
    vionet_device_set_dma(bench->device, true);
}

static void intrude_failed(struct bench *bench)
{
    vionet_device_write_status(bench->device, 0xff);
}

static void intrude_map_other(struct bench *bench)
{
    vionet_device_map(bench->device, UINT64_C(1) << 40, bench->spare, 4096, 0, NULL);
    vionet_device_unmap(bench->device, UINT64_C(1) << 40, 4096, NULL);
}

/* All of guest memory goes, to another host address as far as the device can tell, and comes back. */
static void intrude_map_all(struct bench *bench)
{
    const struct guest_region *regions;

    guest_memory_regions(bench->memory, &regions);
    vionet_device_unmap(bench->device, regions[0].gpa, regions[0].size, NULL);
    vionet_device_map(bench->device, regions[0].gpa, regions[0].host, regions[0].size, 0, NULL);
}

static void intrude_config(struct bench *bench)
{
    uint8_t space[32];

    vionet_device_set_link(bench->device, false);
    vionet_device_announce(bench->device);
    vionet_device_config_read(bench->device, 0, space, sizeof(space));
    vionet_device_config_write(bench->device, 0, "", 1);
    vionet_device_set_link(bench->device, true);
    for (uint32_t offset = 0; offset < 256; offset += 4) {
        vionet_pci_config_read(bench->pci, offset, 4);
    }
    vionet_pci_bar_read(bench->pci, 4, 4096, 1);
}

static void intrude_master(struct bench *bench)
{
    vionet_pci_config_write(bench->pci, 4, 2, 0);
    vionet_pci_config_write(bench->pci, 4, 2, 6);
}

static void (*const intrusions[])(struct bench *) = {
    intrude_receive,   intrude_transmit,    intrude_kick,   intrude_reset,
    intrude_bus_reset, intrude_queue_reset, intrude_dma,    intrude_failed,
    intrude_map_other, intrude_map_all,     intrude_config, intrude_master,
};

/* Everything that makes host operations be called. What comes of it does not matter. */
static void work(struct bench *bench)
{
    const struct iovec piece = {(void *)frame, sizeof(frame)};
    VionetFrame burst[40], sent[8];
    struct guest_packet packet;

    for (unsigned i = 0; i < G_N_ELEMENTS(burst); i++) {
        burst[i] = (VionetFrame){.iov = &piece, .n_iov = 1};
    }
    for (unsigned round = 0; round < 4; round++) {
        vionet_device_receive(bench->device, 0, burst, G_N_ELEMENTS(burst), NULL, 0);
        net_control_coalesce_rx(bench->net, 100 - 40 * round, 50);
        net_control_coalesce_tx(bench->net, 100, 50);
        for (unsigned i = 0; i < 4; i++) {
            size_t n;

            net_transmit(bench->net, i % 2, NULL, frame, sizeof(frame));
            n = vionet_device_transmit(bench->device, i % 2, sent, G_N_ELEMENTS(sent));
            vionet_device_complete(bench->device, i % 2, sent, n);
        }
        net_control_coalesce_tx(bench->net, 1, 1);
        net_control_rx(bench->net, 0, true);
        net_control_pairs(bench->net, 1 + round % 2);
        net_control(bench->net, 99, 0, NULL, 0, NULL, 0);
        vionet_device_set_link(bench->device, round % 2);
        vionet_device_announce(bench->device);
        bench->now_ns += 1000000;
        for (unsigned queue = 0; queue < 5; queue++) {
            vionet_device_timer(bench->device, queue);
        }
        while (net_receive(bench->net, &packet)) {
        }
        guest_queue_reset(bench->driver, round);
    }
}

static void check_intrusion(unsigned which, bool msi)
{
    const VionetHostOps host = {.size = sizeof(host),
                                .kick = on_kick,
                                .event = on_event,
                                .clock_ns = on_clock,
                                .timer = on_timer};
    const VionetPciOps bus = {.size = sizeof(bus), .msi = msi ? on_msi : NULL, .intx = on_intx};
    struct guest_packet packet;
    struct bench bench;
    VionetConfig config;

    vionet_config_init(&config);
    config.max_pairs = 2;
    vionet_features_set(config.features, VIRTIO_NET_F_MQ, true);
    vionet_features_set(config.features, VIRTIO_NET_F_NOTF_COAL, true);
    set_up_bench(&bench, &config, &host, &bus);
    bench.spare = g_aligned_alloc0(1, 4096, 4096);
    for (unsigned round = 0; round < 2; round++) {
        bench.intrude = intrusions[which];
        work(&bench);
        guest_driver_start(bench.driver, features_known()); /* host operations in the life cycle */
        bench.intrude = NULL;
        bench.driver->probed = false;
        vionet_device_set_link(bench.device, true);
        g_assert_true(guest_driver_start(bench.driver, features_known()));
        g_assert_true(net_start(bench.net));
        intrude_receive(&bench);
        g_assert_true(net_receive(bench.net, &packet));
        g_assert_cmpint(net_control_rx(bench.net, 0, true), ==, VIRTIO_NET_OK);
    }
    g_assert_cmpuint(bench.intrusions, >, 0);
    g_aligned_free(bench.spare);
    tear_down_bench(&bench);
}

static void test_intrusion(gconstpointer data)
{
    check_intrusion(GPOINTER_TO_UINT(data), true);
    check_intrusion(GPOINTER_TO_UINT(data), false);
}

static void add_intrusions(void)
{
    static const char *const names[] = {"receive",   "transmit",    "notify",    "reset",
                                        "bus-reset", "queue-reset", "dma",       "failed",
                                        "map-other", "map-all",     "registers", "bus-master"};

    for (unsigned i = 0; i < G_N_ELEMENTS(intrusions); i++) {
        char *path = g_strdup_printf("/device/host/D-02/%s-from-any-operation", names[i]);

        g_test_add_data_func(path, GUINT_TO_POINTER(i), test_intrusion);
        g_free(path);
    }
}

/* The interrupt operation goes back to the embedder when the function is taken away. */
static void count_interrupt(void *opaque, unsigned queue)
{
    (void)queue;
    ++*(unsigned *)opaque;
}

static void test_interrupt_given_back(void)
{
    const VionetHostOps host = {.size = sizeof(host), .interrupt = count_interrupt};
    const VionetPciOps bus = {.size = sizeof(bus)};
    unsigned interrupts = 0;
    VionetPciConfig pci_config;
    VionetDevice *device;
    VionetConfig config;
    VionetPci *pci;

    vionet_config_init(&config);
    vionet_pci_config_init(&pci_config);
    device = vionet_device_new(&config, &host, &interrupts, NULL);
    vionet_device_write_driver_features(device, 1, 1);
    vionet_device_write_status(device, 0xf);
    vionet_device_set_link(device, false);
    g_assert_cmpuint(interrupts, ==, 1);
    pci = vionet_pci_new(device, &pci_config, &bus, NULL, NULL);
    vionet_device_set_link(device, true);
    g_assert_cmpuint(interrupts, ==, 1);
    vionet_pci_free(pci);
    vionet_device_set_link(device, false);
    g_assert_cmpuint(interrupts, ==, 2);
    vionet_device_free(device);
}

static void test_devices_do_not_meet(void)
{
    struct machine *one = boot_pairs(1, 16);
    struct machine *other = boot_pairs(1, 16);
    struct guest_packet packet;

    g_assert_cmpint(net_control_rx(one->net, VIRTIO_NET_CTRL_RX_NOBCAST, true), ==, VIRTIO_NET_OK);
    g_assert_cmpint(machine_deliver(one, frame, sizeof(frame)), ==, VIONET_DROP_FILTER);
    g_assert_cmpint(machine_deliver(other, frame, sizeof(frame)), ==, VIONET_DELIVERED);
    g_assert_true(net_receive(other->net, &packet));
    g_assert_true(guest_driver_reset(one->driver));
    g_assert_cmpint(machine_deliver(other, frame, sizeof(frame)), ==, VIONET_DELIVERED);
    g_assert_cmpuint(vionet_device_verdicts(other->device, VIONET_DROP_FILTER), ==, 0);
    machine_finish(one);
    machine_finish(other);
}

/* ---- reset of single queues ---- */

static void send_from(struct machine *machine, unsigned pair)
{
    g_assert_true(net_transmit(machine->net, pair, NULL, frame, sizeof(frame)));
    g_assert_cmpuint(machine_drain(machine, pair), ==, 1);
    g_assert_cmpuint(net_reclaim(machine->net, pair), ==, 1);
}

static uint64_t interrupts_of(struct machine *machine, unsigned queue)
{
    return guest_driver_interrupts(machine->driver, machine->driver->queues[queue].vector);
}

static void test_reset_keeps_others(void)
{
    struct machine *machine = boot_pairs(3, 16);
    VionetFrame out[3];

    for (unsigned gone = 0; gone < 3; gone++) {
        for (unsigned pair = 0; pair < 3; pair++) {
            g_assert_true(net_transmit(machine->net, pair, NULL, frame, sizeof(frame)));
            g_assert_cmpuint(vionet_device_transmit(machine->device, pair, &out[pair], 1), ==, 1);
        }
        g_assert_true(guest_queue_reset(machine->driver, 2 * gone + 1));
        for (unsigned pair = 0; pair < 3; pair++) {
            const struct virtq *vq = guest_queue_ring(machine->driver, 2 * pair + 1);
            const uint64_t before = interrupts_of(machine, 2 * pair + 1);

            vionet_device_complete(machine->device, pair, &out[pair], 1);
            g_assert_cmpint(vq == NULL, ==, pair == gone);
            if (pair == gone) {
                g_assert_cmpuint(interrupts_of(machine, 2 * pair + 1), ==, before);
            } else {
                g_assert_cmpuint(net_reclaim(machine->net, pair), ==, 1);
                send_from(machine, pair);
            }
        }
        g_assert_true(guest_queue_setup(machine->driver, 2 * gone + 1, 0));
        g_assert_true(net_reset_queue(machine->net, 2 * gone + 1, 8));
        send_from(machine, gone);
    }
    g_assert_cmpuint(guest_driver_status(machine->driver), ==, 0xf);
    machine_finish(machine);
}

/* Nothing of the queue is executed or touched while it is away, whatever is notified. */
static void test_reset_queue_is_dead(void)
{
    struct machine *machine = boot_pairs(2, 16);
    const struct guest_queue *queue = &machine->driver->queues[1];
    const uint64_t gpas[] = {queue->area.device_gpa, queue->area.desc_gpa};
    uint8_t before[2][6 + 8 * 16];
    VionetFrame out;

    g_assert_true(net_transmit(machine->net, 0, NULL, frame, sizeof(frame)));
    g_assert_true(net_transmit(machine->net, 0, NULL, frame, sizeof(frame)));
    g_assert_cmpuint(vionet_device_transmit(machine->device, 0, &out, 1), ==, 1);
    for (unsigned i = 0; i < 2; i++) {
        g_assert_true(guest_read(machine->memory, gpas[i], before[i], sizeof(before[i])));
    }
    g_assert_true(vionet_device_reset_queue(machine->device, 1));
    vionet_device_complete(machine->device, 0, &out, 1);
    vionet_device_kick(machine->device, 1);
    vionet_device_timer(machine->device, 1);
    vionet_device_set_poll(machine->device, 1, false);
    g_assert_cmpuint(vionet_device_transmit(machine->device, 0, &out, 1), ==, 0);
    for (unsigned i = 0; i < 2; i++) {
        g_assert_cmpmem(guest_ptr(machine->memory, gpas[i], sizeof(before[i])), sizeof(before[i]),
                        before[i], sizeof(before[i]));
    }
    g_assert_cmpuint(vionet_device_counter(machine->device, 1, VIONET_COUNTER_STALE), ==, 1);
    machine_free(machine);
}

/* As a first enable: other size, other place, other vector; indices begin at 0. */
static void test_enable_again(void)
{
    struct machine *machine = boot_pairs(1, 64);
    struct guest_driver *driver = machine->driver;
    struct guest_packet packet;

    for (uint16_t size = 64; size >= 2; size /= 2) {
        const uint64_t old_gpa = driver->queues[0].area.desc_gpa;

        for (unsigned i = 0; i < 5; i++) {
            g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
            g_assert_true(net_receive(machine->net, &packet));
        }
        g_assert_true(guest_queue_reset(driver, 0));
        g_assert_cmpuint(vionet_device_queue_size(machine->device, 0), ==, 64);
        for (unsigned area = 0; area < 3; area++) {
            g_assert_cmphex(vionet_device_queue_area(machine->device, 0, area), ==, 0);
        }
        driver->queues[0].area_size = 0; /* a new place */
        g_assert_true(guest_queue_setup(driver, 0, size));
        g_assert_cmphex(driver->queues[0].area.desc_gpa, !=, old_gpa);
        g_assert_cmpuint(guest_queue_vector(driver, 0, 2), ==, 2);
        g_assert_true(net_reset_queue(machine->net, 0, size));
        g_assert_cmpuint(guest_queue_vector(driver, 0, 2), ==, 2);
        guest_driver_take_interrupts(driver, 2);
        g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
        g_assert_cmpuint(guest_driver_take_interrupts(driver, 2), ==, 1);
        g_assert_true(net_receive(machine->net, &packet));
        g_assert_cmpuint(virtq_used_total(guest_queue_ring(driver, 0)), ==, 1);
    }
    machine_finish(machine);
}

static void test_reset_without_feature(void)
{
    struct machine *machine = boot_pairs(1, 16);
    struct guest_features wanted =
        features_without(features_known(), features_of(VIRTIO_F_RING_RESET, FEATURES_END));

    g_assert_true(machine_boot(machine, wanted));
    for (unsigned i = 0; i < 3; i++) {
        g_assert_false(vionet_device_reset_queue(machine->device, i));
        g_assert_true(vionet_device_queue_enabled(machine->device, i));
    }
    g_assert_nonnull(machine_violation(machine, VIONET_VIOLATION_QUEUE_RESET));
    send_from(machine, 0);
    machine_finish(machine);
}

/* ---- reset of everything (H-05) ---- */

#define COMMON 64

/* The common configuration as each queue shows it, and the device's; but for the generation. */
static GBytes *all_registers(struct machine *machine)
{
    const unsigned n = vionet_device_num_queues(machine->device);
    const uint64_t base = 0; /* of the structure in its BAR */
    GByteArray *octets = g_byte_array_new();
    uint8_t space[28];

    for (unsigned queue = 0; queue < n + 2; queue++) {
        vionet_pci_bar_write(machine->pci, 4, base + 22, 2, queue);
        for (unsigned i = 0; i < COMMON; i++) {
            uint8_t octet = (uint8_t)vionet_pci_bar_read(machine->pci, 4, base + i, 1);

            octet = i == 21 ? 0 : octet;
            g_byte_array_append(octets, &octet, 1);
        }
    }
    vionet_pci_bar_write(machine->pci, 4, base + 22, 2, 0);
    vionet_device_config_read(machine->device, 0, space, sizeof(space));
    g_byte_array_append(octets, space, sizeof(space));
    return g_byte_array_free_to_bytes(octets);
}

static void configure_everything(struct machine *machine)
{
    static const uint8_t mac[6] = {6, 1, 2, 3, 4, 5};
    static const uint8_t key[40] = {1, 2, 3};
    const struct net_rss rss = {
        .hash_types = 0x3f, .table_len = 4, .max_tx_vq = 2, .key = key, .key_len = 40};

    g_assert_cmpint(net_control_mac(machine->net, mac), ==, VIRTIO_NET_OK);
    g_assert_cmpint(net_control_mac_table(machine->net, mac, 1, mac, 0), ==, VIRTIO_NET_OK);
    g_assert_cmpint(net_control_rx(machine->net, 0, true), ==, VIRTIO_NET_OK);
    g_assert_cmpint(net_control_vlan_add(machine->net, 5), ==, VIRTIO_NET_OK);
    g_assert_cmpint(net_control_rss(machine->net, &rss), ==, VIRTIO_NET_OK);
    g_assert_cmpint(net_control_coalesce_rx(machine->net, 5, 5), ==, VIRTIO_NET_OK);
    g_assert_true(vionet_device_announce(machine->device));
    guest_common_write(machine->driver, 0, 4, 3);
    guest_common_write(machine->driver, 8, 4, 2);
}

static void test_registers_after_reset(void)
{
    struct machine_setup setup;
    struct machine *machine;
    GBytes *birth;

    machine_setup_init(&setup);
    setup.device.max_pairs = 2;
    vionet_features_set(setup.device.features, VIRTIO_NET_F_MQ, true);
    vionet_features_set(setup.device.features, VIRTIO_NET_F_RSS, true);
    vionet_features_set(setup.device.features, VIRTIO_NET_F_NOTF_COAL, true);
    machine = machine_new(&setup, NULL);
    birth = all_registers(machine);
    for (unsigned round = 0; round < 4; round++) {
        GBytes *after;

        g_assert_true(machine_boot(machine, features_known()));
        configure_everything(machine);
        if (round % 2) {
            vionet_pci_reset(machine->pci);
            machine->driver->probed = false;
        } else {
            g_assert_true(guest_driver_reset(machine->driver));
        }
        after = all_registers(machine);
        g_assert_true(g_bytes_equal(birth, after));
        g_bytes_unref(after);
    }
    g_bytes_unref(birth);
    machine_finish(machine);
}

/* A register of the common configuration structure (4.1.4.3), as after a reset. */
struct initial {
    const char *name;
    unsigned at, size;
    uint64_t value;
    bool left; /* a driver leaves another value behind, see dirty_registers() */
};

/* For each queue. Receive and transmit queues have 256 entries, the control queue 64. */
static const struct initial queue_initials[] = {
    {"queue_msix_vector", 26, 2, 0xffff, true},
    {"queue_enable", 28, 2, 0, true},
    {"queue_desc", 32, 8, 0, true},
    {"queue_driver", 40, 8, 0, true},
    {"queue_device", 48, 8, 0, true},
    {"queue_notif_config_data", 56, 2, 0, true},
    {"queue_reset", 58, 2, 0, false},
};

static const struct initial device_initials[] = {
    {"device_feature_select", 0, 4, 0, true},    {"driver_feature_select", 8, 4, 0, true},
    {"config_msix_vector", 16, 2, 0xffff, true}, {"num_queues", 18, 2, 5, false},
    {"device_status", 20, 1, 0, true},           {"queue_select", 22, 2, 0, true},
    {"admin_queue_index", 60, 2, 0, false},      {"admin_queue_num", 62, 2, 0, false},
};

static uint64_t common_register(struct machine *machine, unsigned at, unsigned size)
{
    return vionet_pci_bar_read(machine->pci, 4, at, size);
}

static void check_initial(struct machine *machine, const struct initial *reg, bool initial)
{
    const uint64_t value = common_register(machine, reg->at, reg->size);

    if (initial ? value != reg->value : reg->left && value == reg->value) {
        g_test_message("%s is 0x%" G_GINT64_MODIFIER "x, %s 0x%" G_GINT64_MODIFIER "x", reg->name,
                       value, initial ? "not" : "still", reg->value);
        g_test_fail();
    }
}

/* The registers of the device first: to look at the queues' their selector is written. */
static void check_registers(struct machine *machine, bool initial)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(device_initials); i++) {
        check_initial(machine, &device_initials[i], initial);
    }
    for (unsigned queue = 0; queue < 5; queue++) {
        const unsigned size = queue == 4 ? 64 : 256;

        vionet_pci_bar_write(machine->pci, 4, 22, 2, queue);
        for (unsigned i = 0; i < G_N_ELEMENTS(queue_initials); i++) {
            check_initial(machine, &queue_initials[i], initial);
        }
        g_assert_cmpuint(common_register(machine, 24, 2), ==, initial ? size : 32);
        g_assert_cmpuint(common_register(machine, 30, 2), ==, queue);
    }
    vionet_pci_bar_write(machine->pci, 4, 22, 2, 0);
}

/* The windows of features: the offer as configured, and nothing of the driver's. */
static void check_windows(struct machine *machine, bool initial)
{
    const uint64_t *words = vionet_device_config(machine->device)->features;
    uint32_t any = 0;

    for (unsigned window = 0; window < 4; window++) {
        vionet_pci_bar_write(machine->pci, 4, 0, 4, window);
        vionet_pci_bar_write(machine->pci, 4, 8, 4, window);
        g_assert_cmphex(common_register(machine, 4, 4), ==,
                        (uint32_t)(words[window / 2] >> 32 * (window % 2)));
        any |= common_register(machine, 12, 4);
    }
    g_assert_cmpint(any == 0, ==, initial);
    vionet_pci_bar_write(machine->pci, 4, 0, 4, 0);
    vionet_pci_bar_write(machine->pci, 4, 8, 4, 0);
}

/* Leaves something in every register that a driver may write. */
static void dirty_registers(struct machine *machine)
{
    g_assert_true(machine_boot(machine, features_known()));
    configure_everything(machine);
    check_windows(machine, false);
    guest_common_write(machine->driver, 0, 4, 3);
    guest_common_write(machine->driver, 8, 4, 2);
    guest_common_write(machine->driver, 22, 2, 1);
    check_registers(machine, false);
    guest_common_write(machine->driver, 22, 2, 3);
}

/* How a device is brought back: by the driver, by the bus, by the host with a driver that has failed. */
static void reset_somehow(struct machine *machine, unsigned how)
{
    switch (how) {
    case 0:
        vionet_pci_bar_write(machine->pci, 4, 20, 1, 0);
        break;
    case 1:
        vionet_pci_reset(machine->pci);
        machine->driver->probed = false;
        break;
    case 2:
        vionet_pci_bar_write(machine->pci, 4, 20, 1, 0x8f);
        vionet_pci_bar_write(machine->pci, 4, 20, 1, 0);
        break;
    default:
        vionet_pci_config_write(machine->pci, 4, 2, 0);
        vionet_pci_bar_write(machine->pci, 4, 20, 1, 0);
        machine->driver->probed = false;
        break;
    }
}

static void test_each_register_after_reset(void)
{
    struct machine_setup setup;
    struct machine *machine;

    machine_setup_init(&setup);
    setup.device.max_pairs = 2;
    setup.device.notif_config_base = 0x500;
    setup.driver.queue_size = 32;
    vionet_features_set(setup.device.features, VIRTIO_NET_F_MQ, true);
    vionet_features_set(setup.device.features, VIRTIO_NET_F_RSS, true);
    vionet_features_set(setup.device.features, VIRTIO_NET_F_NOTF_COAL, true);
    vionet_features_set(setup.device.features, VIRTIO_F_NOTIF_CONFIG_DATA, true);
    machine = machine_new(&setup, NULL);
    check_registers(machine, true);
    check_windows(machine, true);
    for (unsigned how = 0; how < 4; how++) {
        dirty_registers(machine);
        reset_somehow(machine, how);
        g_test_message("reset %u", how);
        check_registers(machine, true);
        check_windows(machine, true);
    }
    machine->driver->probed = false;
    g_assert_true(machine_works(machine));
    machine_finish(machine);
}

static void test_bus_reset(void)
{
    struct machine_setup setup;
    struct machine *machine;
    uint32_t birth[64];

    machine_setup_init(&setup);
    machine = machine_new(&setup, NULL);
    for (unsigned i = 0; i < 64; i++) {
        birth[i] = vionet_pci_config_read(machine->pci, 4 * i, 4);
    }
    g_assert_true(machine_boot(machine, features_known()));
    for (unsigned i = 0; i < 64; i++) {
        vionet_pci_config_write(machine->pci, 4 * i, 4, 0xffffffff);
    }
    vionet_pci_reset(machine->pci);
    for (unsigned i = 0; i < 64; i++) {
        g_assert_cmphex(vionet_pci_config_read(machine->pci, 4 * i, 4), ==, birth[i]);
    }
    machine->driver->probed = false;
    g_assert_true(machine_works(machine));
    machine_finish(machine);
}

static void test_counters_after_reset(void)
{
    struct machine *machine = boot_pairs(2, 16);

    send_from(machine, 0);
    machine_deliver(machine, frame, 5);
    g_assert_cmpint(net_control(machine->net, 99, 0, NULL, 0, NULL, 0), ==, VIRTIO_NET_ERR);
    g_assert_cmpuint(vionet_device_counter(machine->device, 1, VIONET_COUNTER_PACKETS), ==, 1);
    g_assert_cmpuint(vionet_device_counter(machine->device, 1, VIONET_COUNTER_OCTETS), ==, 60);
    g_assert_true(guest_driver_reset(machine->driver));
    for (unsigned queue = 0; queue < 5; queue++) {
        for (unsigned counter = 0; counter < VIONET_N_COUNTERS; counter++) {
            g_assert_cmpuint(vionet_device_counter(machine->device, queue, counter), ==, 0);
        }
    }
    for (unsigned verdict = 0; verdict < VIONET_N_VERDICTS; verdict++) {
        g_assert_cmpuint(vionet_device_verdicts(machine->device, verdict), ==, 0);
    }
    /* Violations are counted over a device's whole life. */
    g_assert_cmpuint(vionet_device_violations(machine->device, VIONET_VIOLATION_COMMAND_UNKNOWN),
                     ==, 1);
    machine_finish(machine);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_set_nonfatal_assertions();
    g_test_add_func("/device/refused/each-member-at-its-limits", test_members);
    g_test_add_func("/device/refused/members-of-features-not-offered",
                    test_members_without_feature);
    g_test_add_func("/device/refused/coalescing-without-timers", test_timers);
    g_test_add_func("/device/refused/tunnel-types-of-another-dialect", test_dialects_types);
    g_test_add_func("/device/refused/mtu-that-no-frame-may-have", test_mtu_over_largest_frame);
    g_test_add_func("/device/structures/of-older-callers", test_config_sizes);
    g_test_add_func("/device/structures/of-unknown-size", test_config_size_unknown);
    g_test_add_func("/device/structures/size-alone", test_config_size_alone);
    g_test_add_func("/device/structures/operations-of-other-sizes", test_ops_sizes);
    g_test_add_func("/device/free-of-nothing", test_free_nothing);
    g_test_add_func("/device/names/violations", test_violation_names);
    g_test_add_func("/device/names/verdicts-and-counters", test_other_names);
    g_test_add_func("/device/names/sentences-fit-their-room", test_descriptions);
    g_test_add_func("/device/names/no-queue-is-not-a-number", test_description_without_queue);
    g_test_add_func("/device/running-while-nothing-is-in-the-way", test_running);
    g_test_add_func("/device/R-17/largest", test_largest);
    g_test_add_func("/device/C-06/queue-numbers-past-the-end", test_queue_numbers);
    g_test_add_func("/device/C-14/no-host-operations", test_no_operations);
    add_intrusions();
    g_test_add_func("/device/interrupt-goes-back-to-the-embedder", test_interrupt_given_back);
    g_test_add_func("/device/two-do-not-meet", test_devices_do_not_meet);
    g_test_add_func("/device/queue-reset/others-go-on", test_reset_keeps_others);
    g_test_add_func("/device/queue-reset/Z-03/nothing-moves-meanwhile", test_reset_queue_is_dead);
    g_test_add_func("/device/queue-reset/enabled-again-as-at-first", test_enable_again);
    g_test_add_func("/device/queue-reset/needs-its-feature", test_reset_without_feature);
    g_test_add_func("/device/reset/H-05/registers-are-as-at-birth", test_registers_after_reset);
    g_test_add_func("/device/reset/H-05/each-register", test_each_register_after_reset);
    g_test_add_func("/device/reset/H-05/bus-reset-restores-configuration-space", test_bus_reset);
    g_test_add_func("/device/reset/counters-begin-anew", test_counters_after_reset);
    return g_test_run();
}
