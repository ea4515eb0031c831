/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device over MMIO (VIRTIO 1.4, 4.2), version 2 and the legacy version 1: each register, accesses that
 * none has, queues made ready and taken away, the interrupt, and what a driver may get wrong. Offsets are
 * written out here.
 */
#include <string.h>

#include <vionet/mmio.h>
#include <vionet/spec.h>
#include <vionet/transport.h>

#include "driver/queue.h"
#include "machine/machine.h"

#define PAIRS    2
#define N_QUEUES (2 * PAIRS + 1)

static const uint8_t our_mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
static const uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5};

static void setup_init(struct machine_setup *setup, bool legacy)
{
    machine_setup_init(setup);
    setup->transport = legacy ? MACHINE_MMIO_LEGACY : MACHINE_MMIO;
    setup->ring = MACHINE_SPLIT;
    setup->device.max_pairs = PAIRS;
    vionet_features_set(setup->device.features, VIRTIO_NET_F_MQ, true);
    setup->net.transmit_size = 2048;
}

static struct machine *make(bool legacy)
{
    struct machine_setup setup;
    GError *error = NULL;
    struct machine *machine;

    setup_init(&setup, legacy);
    machine = machine_new(&setup, &error);
    g_assert_no_error(error);
    return machine;
}

static struct machine *boot(bool legacy)
{
    struct machine *machine = make(legacy);

    g_assert_true(machine_boot(machine, features_known()));
    machine_forget_events(machine);
    return machine;
}

static uint32_t get(struct machine *machine, uint32_t offset)
{
    return (uint32_t)vionet_mmio_read(machine->mmio, offset, 4);
}

static void put(struct machine *machine, uint32_t offset, uint32_t value)
{
    vionet_mmio_write(machine->mmio, offset, 4, value);
}

/* ---- registers ---- */

/* What reads as something else than 0 in a window that nobody has touched, by version. */
static void test_first_sight(void)
{
    for (unsigned version = 1; version <= 2; version++) {
        struct machine *machine = make(version == 1);
        const uint32_t low = vionet_device_offered(machine->device, 0);

        for (uint32_t offset = 0; offset < 0x100; offset += 4) {
            uint32_t expected = 0;

            switch (offset) {
            case 0x000:
                expected = 0x74726976;
                break;
            case 0x004:
                expected = version;
                break;
            case 0x008:
                expected = 1;
                break;
            case 0x00c:
                expected = 0x1af4;
                break;
            case 0x010:
                expected = version == 1 ? low | 1u << 27 : low;
                break;
            case 0x034:
                expected = 256;
                break;
            case 0x0b0: /* there is no shared memory */
            case 0x0b4:
            case 0x0b8:
            case 0x0bc:
                expected = version == 1 ? 0 : 0xffffffff;
                break;
            default:
                break;
            }
            g_assert_cmphex(get(machine, offset), ==, expected);
        }
        for (unsigned i = 0; i < 6; i++) {
            g_assert_cmphex(vionet_mmio_read(machine->mmio, 0x100 + i, 1), ==, our_mac[i]);
        }
        g_assert_cmphex(vionet_mmio_read(machine->mmio, 0x1fc, 4), ==, 0);
        machine_finish(machine);
    }
}

static void test_feature_windows(void)
{
    for (unsigned version = 1; version <= 2; version++) {
        struct machine *machine = make(version == 1);

        for (uint32_t window = 0; window < 6; window++) {
            put(machine, 0x014, window);
            if (version == 2 || window > 0) {
                g_assert_cmphex(get(machine, 0x010), ==,
                                version == 1 ? 0 : vionet_device_offered(machine->device, window));
            }
        }
        put(machine, 0x014, 0xffffffff);
        g_assert_cmphex(get(machine, 0x010), ==, 0);
        put(machine, 0x024, 1); /* of no effect in version 1 */
        put(machine, 0x020, 1);
        put(machine, 0x024, 0);
        put(machine, 0x020, 1u << VIRTIO_NET_F_MAC);
        g_assert_cmphex(vionet_device_driver_features(machine->device, 0), ==,
                        1u << VIRTIO_NET_F_MAC);
        g_assert_cmphex(vionet_device_driver_features(machine->device, 1), ==, version == 2);
        g_assert_cmpint(vionet_device_negotiated(machine->device, VIRTIO_NET_F_MAC), ==,
                        version == 1);
        machine_finish(machine);
    }
}

/* Accesses of another width, or that are not aligned, and beyond the window. */
static void test_other_widths(void)
{
    static const unsigned sizes[] = {0, 1, 2, 3, 4, 5, 8, 16};
    struct machine *machine = boot(false);

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        for (uint64_t offset = 0; offset < 0x100; offset++) {
            if (sizes[i] != 4 || offset % 4) {
                vionet_mmio_write(machine->mmio, offset, sizes[i], 0);
                g_assert_cmphex(vionet_mmio_read(machine->mmio, offset, sizes[i]), ==, 0);
            }
        }
        for (uint64_t offset = 0x1f0; offset < 0x210; offset++) {
            vionet_mmio_write(machine->mmio, offset, sizes[i], 0);
            g_assert_cmphex(vionet_mmio_read(machine->mmio, offset, sizes[i]), ==, 0);
        }
        g_assert_cmphex(vionet_mmio_read(machine->mmio, UINT64_MAX, sizes[i]), ==, 0);
        g_assert_cmphex(vionet_mmio_read(machine->mmio, UINT64_MAX - 3, sizes[i]), ==, 0);
    }
    g_assert_cmphex(get(machine, 0x070), ==, 15); /* still running */
    g_assert_cmphex(vionet_mmio_read(machine->mmio, 0x100, 8), ==,
                    UINT64_C(0x1563412005452) | UINT64_C(1) << 48); /* MAC, and link up */
    g_assert_cmphex(vionet_mmio_read(machine->mmio, 0x106, 2), ==, 1);
    g_assert_true(machine_works(machine));
    machine_finish(machine);
}

/* Any value at any register, of queues that there are and are not; a device that works in the end. */
static void test_each_write(void)
{
    static const uint32_t values[] = {0, 1, 2, 3, 0x7fff, 0x10000, 0x80000000, 0xffffffff};
    static const uint32_t queues[] = {0, 1, N_QUEUES - 1, N_QUEUES, 0x10000, 0xffffffff};

    for (unsigned version = 1; version <= 2; version++) {
        struct machine *machine = make(version == 1);

        for (size_t q = 0; q < G_N_ELEMENTS(queues); q++) {
            for (uint32_t offset = 0; offset < 0x200; offset += 4) {
                for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
                    put(machine, 0x030, queues[q]);
                    put(machine, offset, values[i]);
                    get(machine, offset);
                }
            }
        }
        vionet_mmio_reset(machine->mmio);
        g_assert_cmphex(get(machine, 0x060), ==, 0);
        machine->driver->probed = false;
        g_assert_true(machine_works(machine));
        machine_finish(machine);
    }
}

static void test_queues_that_do_not_exist(void)
{
    struct machine *machine = boot(false);

    for (uint32_t queue = N_QUEUES; queue != 0; queue *= 7) {
        put(machine, 0x030, queue);
        g_assert_cmphex(get(machine, 0x034), ==, 0);
        put(machine, 0x038, 8);
        g_assert_true(machine_violated(machine, VIONET_VIOLATION_QUEUE_SELECT));
        put(machine, 0x080, 0x1000);
        put(machine, 0x044, 1);
        g_assert_cmphex(get(machine, 0x044), ==, 0);
        put(machine, 0x044, 0);
        put(machine, 0x0c0, 1);
        g_assert_cmphex(get(machine, 0x0c0), ==, 0);
        queue += 2;
        if (queue > 0x10000000) {
            break;
        }
    }
    machine_finish(machine);
}

/* ---- queues ---- */

static void test_queue_size(void)
{
    static const uint32_t bad[] = {0, 3, 512, 0x10000, 0x10004, 0xffffffff};
    struct machine *machine = make(false);

    put(machine, 0x030, 1);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        put(machine, 0x038, bad[i]);
        g_assert_true(machine_violated(machine, VIONET_VIOLATION_QUEUE_SIZE_WRITE));
        g_assert_cmpuint(vionet_device_queue_size(machine->device, 1), ==, 256);
    }
    put(machine, 0x038, 16);
    g_assert_cmpuint(vionet_device_queue_size(machine->device, 1), ==, 16);
    g_assert_cmpuint(get(machine, 0x034), ==, 256); /* the maximum, not the size */
    machine_finish(machine);
}

static void test_addresses(void)
{
    static const uint32_t offsets[3] = {0x080, 0x090, 0x0a0};
    struct machine *machine = make(false);

    put(machine, 0x030, 2);
    for (unsigned area = 0; area < 3; area++) {
        put(machine, offsets[area] + 4, 0x11111111 * (area + 1));
        put(machine, offsets[area], 0xaaaaaaa0 + area);
        g_assert_cmphex(vionet_device_queue_area(machine->device, 2, (VionetQueueArea)area), ==,
                        UINT64_C(0x1111111100000000) * (area + 1) | (0xaaaaaaa0 + area));
    }
    machine_finish(machine);
}

static void test_ready_too_early(void)
{
    struct machine *machine = make(false);

    put(machine, 0x044, 1);
    g_assert_cmphex(get(machine, 0x044), ==, 0);
    g_assert_true(machine_violated(machine, VIONET_VIOLATION_QUEUE_ENABLE_EARLY));
    put(machine, 0x070, 3 | 4);
    g_assert_true(machine_violated(machine, VIONET_VIOLATION_DRIVER_OK_EARLY));
    machine_finish(machine);
}

/* QueueReady 0 takes a queue away, of which nothing is touched then; 1 makes it a new one. */
static void test_queue_not_ready(void)
{
    struct machine *machine = boot(false);
    struct guest_driver *driver = machine->driver;
    struct virtq *vq = guest_queue_ring(driver, 0);
    struct guest_packet packet;

    put(machine, 0x030, 0);
    put(machine, 0x044, 2);
    g_assert_true(machine_violated(machine, VIONET_VIOLATION_QUEUE_DISABLE));
    put(machine, 0x080, 0); /* it is enabled */
    g_assert_true(machine_violated(machine, VIONET_VIOLATION_QUEUE_WRITE_ENABLED));
    put(machine, 0x044, 0);
    g_assert_cmphex(get(machine, 0x044), ==, 0);
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DROP_QUEUE_DISABLED);
    g_assert_cmpuint(virtq_used_total(vq), ==, 0);
    put(machine, 0x044, 0); /* once more: nothing */
    g_assert_true(net_transmit(machine->net, 0, NULL, frame, sizeof(frame)));
    g_assert_cmpuint(machine_drain(machine, 0), ==, 1); /* another goes on */
    g_assert_true(guest_queue_setup(driver, 0, 0));
    g_assert_cmphex(get(machine, 0x044), ==, 1);
    g_assert_true(machine_boot(machine, features_known()));
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
    g_assert_true(net_receive(machine->net, &packet));
    machine_finish(machine);
}

static void test_queue_reset(void)
{
    struct machine *machine = boot(false);
    struct guest_packet packet;

    put(machine, 0x030, 0);
    put(machine, 0x0c0, 0); /* nothing */
    g_assert_cmphex(get(machine, 0x044), ==, 1);
    g_assert_true(net_reset_queue(machine->net, 0, 32));
    g_assert_cmpuint(vionet_device_queue_size(machine->device, 0), ==, 32);
    g_assert_cmphex(get(machine, 0x0c0), ==, 0);
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
    g_assert_true(net_receive(machine->net, &packet));
    machine_finish(machine);
}

/* ---- interrupts and notifications ---- */

static void test_interrupt(void)
{
    struct machine *machine = boot(false);
    struct guest_driver *driver = machine->driver;

    put(machine, 0x064, 3);
    g_assert_false(guest_driver_intx_level(driver));
    machine_deliver(machine, frame, sizeof(frame));
    g_assert_cmphex(get(machine, 0x060), ==, 1);
    g_assert_true(guest_driver_intx_level(driver));
    vionet_device_set_link(machine->device, false);
    g_assert_cmphex(get(machine, 0x060), ==, 3);
    put(machine, 0x060, 0); /* read-only */
    put(machine, 0x064, 0xfffffffc);
    g_assert_cmphex(get(machine, 0x060), ==, 3);
    put(machine, 0x064, 1);
    g_assert_cmphex(get(machine, 0x060), ==, 2);
    g_assert_true(guest_driver_intx_level(driver));
    put(machine, 0x064, 2);
    g_assert_cmphex(get(machine, 0x060), ==, 0);
    g_assert_false(guest_driver_intx_level(driver));
    vionet_device_set_link(machine->device, true);
    g_assert_true(guest_driver_intx_level(driver));
    put(machine, 0x070, 0);
    g_assert_cmphex(get(machine, 0x060), ==, 0);
    g_assert_false(guest_driver_intx_level(driver));
    machine_finish(machine);
}

static void test_generation(void)
{
    struct machine *machine = boot(false);
    const uint32_t before = get(machine, 0x0fc);

    g_assert_cmphex(get(machine, 0x0fc), ==, before);
    vionet_device_set_link(machine->device, false);
    vionet_mmio_read(machine->mmio, 0x106, 2);
    g_assert_cmphex(get(machine, 0x0fc), !=, before);
    machine_finish(machine);
}

static void test_notifications(void)
{
    for (unsigned data = 0; data < 2; data++) {
        struct machine_setup setup;
        struct machine *machine;

        setup_init(&setup, false);
        vionet_features_set(setup.device.features, VIRTIO_F_NOTIFICATION_DATA, data);
        machine = machine_booted(&setup, features_known());
        for (unsigned queue = 0; queue < N_QUEUES + 2; queue++) {
            const uint64_t before =
                vionet_device_counter(machine->device, queue, VIONET_COUNTER_KICKS);

            machine_forget_events(machine);
            put(machine, 0x050, queue);
            put(machine, 0x050, queue | 0x30000); /* a position, or another queue */
            if (queue < N_QUEUES) {
                g_assert_cmpuint(
                    vionet_device_counter(machine->device, queue, VIONET_COUNTER_KICKS), ==,
                    before + 1 + data);
            }
        }
        g_assert_cmpuint(vionet_device_violations(machine->device, VIONET_VIOLATION_NOTIFY_QUEUE),
                         ==, data ? 4 : N_QUEUES + 4);
        machine_finish(machine);
    }
}

static void test_config_is_not_written(void)
{
    struct machine *machine = boot(false);

    for (uint32_t offset = 0x100; offset < 0x120; offset++) {
        const uint64_t before = vionet_mmio_read(machine->mmio, offset, 1);

        vionet_mmio_write(machine->mmio, offset, 1, 0x66);
        g_assert_cmphex(vionet_mmio_read(machine->mmio, offset, 1), ==, before);
    }
    g_assert_true(machine_violated(machine, VIONET_VIOLATION_CONFIG_WRITE));
    machine_finish(machine);
}

/* ---- version 1 ---- */

/* C-03: pages and alignments that no guest has. What comes of them is where a queue is, or nothing. */
static void test_legacy_layout(void)
{
    static const struct {
        uint32_t page, align, pfn, size;
        uint64_t used; /* 0: not enabled */
    } rows[] = {
        {4096, 4096, 0x100, 8, 0x101000},
        {4096, 64, 0x100, 8, 0x1000c0}, /* 128 + 22, rounded up */
        {4096, 1, 0x100, 8, 0x100096},
        {65536, 65536, 0x10, 256, 0x110000},
        {1, 4, 0x100000, 16, 0x100128},
        {4096, 0x80000000, 0x100, 8, 0x80100000},
        {4096, 0, 0x100, 8, 0},
        {4096, 3, 0x100, 8, 0},
        {4096, 0xffffffff, 0x100, 8, 0},
        {0, 4096, 0x100, 8, 0},
        {4096, 4096, 0, 8, 0},
        {0xffffffff, 4096, 0xffffffff, 8, UINT64_C(0xfffffffe00001001)},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct machine *machine = make(true);

        put(machine, 0x028, rows[i].page);
        put(machine, 0x070, 0); /* as Linux does: this one is written before the reset */
        put(machine, 0x030, 0);
        put(machine, 0x038, rows[i].size);
        put(machine, 0x03c, rows[i].align);
        put(machine, 0x040, rows[i].pfn);
        g_assert_cmpint(vionet_device_queue_enabled(machine->device, 0), ==, rows[i].used != 0);
        g_assert_cmphex(get(machine, 0x040), ==, rows[i].used ? rows[i].pfn : 0);
        if (rows[i].used) {
            g_assert_cmphex(vionet_device_queue_area(machine->device, 0, VIONET_AREA_DEVICE), ==,
                            rows[i].used);
        }
        put(machine, 0x070, 7); /* and it is started, if only to be found wanting */
        put(machine, 0x070, 0);
        g_assert_true(machine_works(machine));
        machine_finish(machine);
    }
}

/* C-08: the size is not to be raised once a queue has its address. */
static void test_legacy_size_afterwards(void)
{
    struct machine *machine = boot(true);

    put(machine, 0x030, 0);
    put(machine, 0x038, 128);
    g_assert_true(machine_violated(machine, VIONET_VIOLATION_QUEUE_WRITE_ENABLED));
    g_assert_cmpuint(vionet_device_queue_size(machine->device, 0), ==, 256);
    g_assert_true(machine_works(machine));
    machine_finish(machine);
}

/* Registers of the other version are not there. */
static void test_versions_apart(void)
{
    struct machine *machine = boot(true);

    put(machine, 0x030, 0);
    put(machine, 0x044, 0);
    put(machine, 0x0c0, 1);
    put(machine, 0x080, 0);
    g_assert_true(vionet_device_queue_enabled(machine->device, 0));
    g_assert_cmphex(get(machine, 0x044), ==, 0);
    g_assert_cmphex(get(machine, 0x0fc), ==, 0);
    g_assert_cmpuint(machine->n_events, ==, 0);
    machine_finish(machine);
    machine = boot(false);
    put(machine, 0x030, 0);
    put(machine, 0x028, 4096);
    put(machine, 0x03c, 4096);
    put(machine, 0x040, 0);
    g_assert_true(vionet_device_queue_enabled(machine->device, 0));
    g_assert_cmpuint(machine->n_events, ==, 0);
    machine_finish(machine);
}

/* ---- life ---- */

static void test_refused(void)
{
    static const struct {
        size_t size;
        unsigned version;
        bool big_endian;
        unsigned feature; /* offered */
        const char *message;
    } rows[] = {
        {0, 2, false, 0, "*not one that this version knows"},
        {sizeof(VionetMmioConfig) + 1, 2, false, 0, "*not one that this version knows"},
        {sizeof(VionetMmioConfig), 0, false, 0, "*must be 1 or 2"},
        {sizeof(VionetMmioConfig), 3, false, 0, "*must be 1 or 2"},
        {sizeof(VionetMmioConfig), 2, true, 0, "*can be big-endian"},
        {sizeof(VionetMmioConfig), 2, false, VIRTIO_F_NOTIF_CONFIG_DATA,
         "*does not exist over MMIO"},
        {sizeof(VionetMmioConfig), 1, true, 0, NULL},
        {sizeof(size_t), 0, false, 0, NULL}, /* of an older library: the rest is as by default */
    };
    const VionetHostOps host = {.size = sizeof(host)};
    const VionetMmioOps board = {.size = sizeof(board)}; /* a driver has to poll */

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const VionetMmioConfig config = {.size = rows[i].size,
                                         .version = rows[i].version,
                                         .legacy_big_endian = rows[i].big_endian};
        VionetConfig device_config;
        VionetDevice *device;
        VionetMmio *mmio;
        GError *error = NULL;

        vionet_config_init(&device_config);
        if (rows[i].feature) {
            vionet_features_set(device_config.features, rows[i].feature, true);
        }
        device = vionet_device_new(&device_config, &host, NULL, NULL);
        mmio = vionet_mmio_new(device, &config, &board, NULL, &error);
        g_assert_cmpint(mmio != NULL, ==, rows[i].message == NULL);
        if (mmio) {
            vionet_mmio_write(mmio, 0x070, 4, 7);
            vionet_device_set_link(device, false);
            vionet_mmio_write(mmio, 0x064, 4, 3);
        } else {
            g_assert_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG);
            g_assert_true(g_pattern_match_simple(rows[i].message, error->message));
            g_error_free(error);
        }
        vionet_mmio_free(mmio);
        vionet_device_free(device);
    }
    vionet_mmio_free(NULL);
}

static void test_machine_reset(void)
{
    for (unsigned version = 1; version <= 2; version++) {
        struct machine *machine = boot(version == 1);

        machine_deliver(machine, frame, sizeof(frame));
        machine_forget_events(machine);
        vionet_mmio_reset(machine->mmio);
        g_assert_cmpuint(machine->n_events, >=, 1);
        g_assert_cmpint(machine->events[0].kind, ==, VIONET_EVENT_RESET);
        g_assert_cmpuint(machine->events[0].value, ==, 1); /* the driver did nothing */
        g_assert_cmphex(get(machine, 0x070), ==, 0);
        g_assert_cmphex(get(machine, 0x060), ==, 0);
        g_assert_false(guest_driver_intx_level(machine->driver));
        g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==,
                        VIONET_DROP_NOT_RUNNING);
        machine->driver->probed = false;
        g_assert_true(machine_works(machine));
        machine_finish(machine);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mmio/registers/first-sight", test_first_sight);
    g_test_add_func("/mmio/registers/feature-windows", test_feature_windows);
    g_test_add_func("/mmio/registers/C-01/other-widths", test_other_widths);
    g_test_add_func("/mmio/registers/C-04/each-write", test_each_write);
    g_test_add_func("/mmio/registers/C-06/queues-that-do-not-exist", test_queues_that_do_not_exist);
    g_test_add_func("/mmio/registers/versions-apart", test_versions_apart);
    g_test_add_func("/mmio/queues/size", test_queue_size);
    g_test_add_func("/mmio/queues/addresses", test_addresses);
    g_test_add_func("/mmio/queues/ready-too-early", test_ready_too_early);
    g_test_add_func("/mmio/queues/not-ready", test_queue_not_ready);
    g_test_add_func("/mmio/queues/reset", test_queue_reset);
    g_test_add_func("/mmio/interrupt", test_interrupt);
    g_test_add_func("/mmio/generation", test_generation);
    g_test_add_func("/mmio/notifications", test_notifications);
    g_test_add_func("/mmio/config-is-not-written", test_config_is_not_written);
    g_test_add_func("/mmio/legacy/C-03/layout-of-a-queue", test_legacy_layout);
    g_test_add_func("/mmio/legacy/C-08/size-afterwards", test_legacy_size_afterwards);
    g_test_add_func("/mmio/life/contradictions-are-refused", test_refused);
    g_test_add_func("/mmio/life/machine-reset", test_machine_reset);
    return g_test_run();
}
