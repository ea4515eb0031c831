/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The legacy interface of a transitional PCI function (VIRTIO 1.4, 4.1.4.10 and the other sections on it):
 * identity, each register at each width, where the parts of a queue are, order of octets, headers of 10
 * octets, drivers that are early, and drivers that use both interfaces. Offsets and places are written out
 * here.
 */
#include <string.h>

#include <vionet/spec.h>
#include <vionet/state.h>
#include <vionet/transport.h>

#include "driver/bytes.h"
#include "driver/queue.h"
#include "machine/machine.h"

#define PAIRS    2
#define N_QUEUES (2 * PAIRS + 1)

#define FEATURES     0
#define ACCEPTED     4
#define ADDRESS      8
#define SIZE         12
#define SELECT       14
#define NOTIFY       16
#define STATUS       18
#define ISR          19
#define CONFIG       20 /* without MSI-X */
#define ANY_LAYOUT   (1u << 27)
#define HEADER       10
#define BEYOND_QUEUE N_QUEUES

static const uint8_t our_mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
static const uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5};

static void setup_init(struct machine_setup *setup, bool big_endian)
{
    machine_setup_init(setup);
    setup->transport = big_endian ? MACHINE_PCI_LEGACY_BIG : MACHINE_PCI_LEGACY;
    setup->ring = MACHINE_SPLIT;
    setup->device.max_pairs = PAIRS;
    vionet_features_set(setup->device.features, VIRTIO_NET_F_MQ, true);
    vionet_features_set(setup->device.features, VIRTIO_NET_F_MTU, true);
    vionet_features_set(setup->device.features, VIRTIO_NET_F_CSUM, true);
    setup->device.mtu = 0x1234;
    setup->net.transmit_size = 2048;
}

static struct machine *make(bool big_endian)
{
    struct machine_setup setup;
    GError *error = NULL;
    struct machine *machine;

    setup_init(&setup, big_endian);
    machine = machine_new(&setup, &error);
    g_assert_no_error(error);
    return machine;
}

static uint32_t get(struct machine *machine, uint32_t offset, unsigned size)
{
    return (uint32_t)vionet_pci_bar_read(machine->pci, 0, offset, size);
}

static void put(struct machine *machine, uint32_t offset, unsigned size, uint32_t value)
{
    vionet_pci_bar_write(machine->pci, 0, offset, size, value);
}

/* ---- identity ---- */

static void test_identity(void)
{
    struct machine *machine = make(false);
    const struct pci_function *pci = &machine->driver->pci;

    g_assert_true(guest_driver_probe(machine->driver));
    g_assert_cmphex(pci->device_id, ==, 0x1000);
    g_assert_cmphex(pci->revision, ==, 0);
    g_assert_cmphex(pci->subsystem_id, ==, 1);
    g_assert_cmphex(pci->class_code, ==, 0x020000);
    g_assert_true(pci->bars[0].io);
    g_assert_cmpuint(pci->bars[0].size, ==, 64);
    g_assert_cmpuint(vionet_pci_bar_size(machine->pci, 0), ==, 64);
    g_assert_cmpuint(pci->bars[4].size, >=, 16384);
    g_assert_cmpuint(pci->n_caps, ==, 6); /* MSI-X, and the modern interface's */
    machine_finish(machine);
}

static void test_nothing_but_legacy(void)
{
    for (unsigned vectors = 0; vectors < 2; vectors++) {
        struct machine_setup setup;
        struct machine *machine;
        unsigned bar;
        uint64_t offset;

        setup_init(&setup, false);
        setup.pci.legacy = setup.pci.no_modern = true;
        setup.no_msi = vectors == 0;
        machine = machine_booted(&setup, features_known());
        g_assert_cmpuint(machine->driver->pci.n_caps, ==, vectors);
        g_assert_cmphex(vionet_pci_config_read(machine->pci, 6, 2) & 0x10, ==, vectors ? 0x10 : 0);
        g_assert_cmpuint(vionet_pci_bar_size(machine->pci, 4), ==, 0);
        g_assert_false(vionet_pci_notify_address(machine->pci, 0, &bar, &offset));
        for (unsigned at = 0; at < 256; at += 4) { /* BARs among them: none is a capability's */
            vionet_pci_config_write(machine->pci, at, 4,
                                    vionet_pci_config_read(machine->pci, at, 4));
        }
        g_assert_true(machine_works(machine));
        machine_finish(machine);
    }
}

static void test_refused(void)
{
    static const struct {
        bool legacy, no_modern;
        uint16_t subsystem;
        const char *message;
    } rows[] = {
        {false, true, 0x1100, "*must have the legacy one"},
        {true, false, 0x40, "subsystem device must be*"},
        {true, false, 0, "subsystem device must be*"},
        {false, false, 1, "subsystem device must be*"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct machine_setup setup;
        GError *error = NULL;

        setup_init(&setup, false);
        setup.transport = MACHINE_PCI;
        setup.pci.legacy = rows[i].legacy;
        setup.pci.no_modern = rows[i].no_modern;
        setup.pci.subsystem_device = rows[i].subsystem;
        g_assert_null(machine_new(&setup, &error));
        g_assert_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG);
        g_assert_true(g_pattern_match_simple(rows[i].message, error->message));
        g_error_free(error);
    }
}

/* ---- registers ---- */

static void test_features(void)
{
    struct machine *machine = make(false);
    const uint32_t offered = vionet_device_offered(machine->device, 0);

    g_assert_cmphex(get(machine, FEATURES, 4), ==, offered | ANY_LAYOUT);
    g_assert_cmphex(offered & ANY_LAYOUT, ==, 0);
    put(machine, FEATURES, 4, 0); /* read-only */
    g_assert_cmphex(get(machine, FEATURES, 4), ==, offered | ANY_LAYOUT);
    for (unsigned bit = 0; bit < 32; bit++) {
        const uint32_t value = 1u << bit | 1u << VIRTIO_NET_F_CTRL_VQ;

        machine_forget_events(machine);
        put(machine, ACCEPTED, 4, value);
        g_assert_cmphex(get(machine, ACCEPTED, 4), ==, value & (offered | ANY_LAYOUT));
        g_assert_cmpint(vionet_device_negotiated(machine->device, bit), ==, offered >> bit & 1);
    }
    g_assert_cmpuint(
        vionet_device_violations(machine->device, VIONET_VIOLATION_FEATURES_NOT_OFFERED), >, 0);
    g_assert_false(vionet_device_negotiated(machine->device, VIRTIO_F_VERSION_1));
    put(machine, STATUS, 1, 0);
    g_assert_cmphex(get(machine, ACCEPTED, 4), ==, 0);
    machine_finish(machine);
}

/* What lacks what it needs is left out; the rest holds. */
static void test_features_that_do_not_hold_together(void)
{
    struct machine *machine = make(false);

    put(machine, ACCEPTED, 4, 1u << VIRTIO_NET_F_CTRL_RX | 1u << VIRTIO_NET_F_STATUS);
    g_assert_cmphex(get(machine, ACCEPTED, 4), ==, 1u << VIRTIO_NET_F_STATUS);
    g_assert_true(machine_violated(machine, VIONET_VIOLATION_FEATURES_DEPENDENCY));
    machine_finish(machine);
}

/* C-13: queues do not vanish under a driver that has some. */
static void test_features_too_late(void)
{
    struct machine *machine = make(false);
    uint32_t accepted;

    g_assert_true(machine_boot(machine, features_known()));
    accepted = get(machine, ACCEPTED, 4);
    machine_forget_events(machine);
    put(machine, ACCEPTED, 4, 0);
    g_assert_true(machine_violated(machine, VIONET_VIOLATION_FEATURES_LATE));
    g_assert_cmphex(get(machine, ACCEPTED, 4), ==, accepted);
    for (unsigned queue = 0; queue < N_QUEUES; queue++) {
        put(machine, NOTIFY, 2, queue);
    }
    g_assert_true(machine_works(machine));
    machine_finish(machine);
}

/* As iPXE does: the queues stay that there still are. */
static void test_features_after_queues(void)
{
    struct machine *machine = make(false);
    struct guest_driver *driver = machine->driver;
    struct guest_packet packet;

    g_assert_true(guest_driver_probe(driver));
    g_assert_true(guest_driver_reset(driver));
    guest_driver_acknowledge(driver);
    for (unsigned queue = 0; queue < N_QUEUES; queue++) { /* by the features offered */
        g_assert_true(guest_queue_setup(driver, queue, 0));
    }
    put(machine, NOTIFY, 2, 0); /* and they run */
    put(machine, ACCEPTED, 4, 1u << VIRTIO_F_EVENT_IDX);
    g_assert_true(machine_violated(machine, VIONET_VIOLATION_FEATURES_LATE));
    guest_driver_read_features(driver);
    guest_driver_write_features(driver, features_of(VIRTIO_NET_F_MAC, VIRTIO_NET_F_CTRL_VQ,
                                                    VIRTIO_NET_F_MRG_RXBUF, FEATURES_END));
    for (unsigned queue = 0; queue < N_QUEUES; queue++) {
        g_assert_cmpint(vionet_device_queue_enabled(machine->device, queue), ==, queue < 3);
    }
    driver->pairs = 1;
    driver->has_control = true;
    driver->control = 2;
    guest_driver_ok(driver);
    machine->net = net_new(driver, &machine->net_options);
    g_assert_true(net_start(machine->net));
    g_assert_cmpuint(net_header_size(machine->net), ==, 12);
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
    g_assert_true(net_receive(machine->net, &packet));
    g_assert_cmpint(net_control_mac(machine->net, our_mac), ==, VIRTIO_NET_ERR);
    g_assert_false(machine_violated(machine, VIONET_VIOLATION_FEATURES_LATE));
    machine_finish(machine);
}

static void test_queue_registers(void)
{
    struct machine *machine = make(false);

    for (unsigned queue = 0; queue < 0x10000; queue += queue < 16 ? 1 : 0x7ff7) {
        const unsigned size = queue < 2 * PAIRS ? 256 : queue == 2 * PAIRS ? 64 : 0;

        machine_forget_events(machine);
        put(machine, SELECT, 2, queue);
        g_assert_cmpuint(get(machine, SELECT, 2), ==, queue);
        g_assert_cmpuint(get(machine, SIZE, 2), ==, size);
        put(machine, SIZE, 2, 16); /* read-only */
        g_assert_cmpuint(get(machine, SIZE, 2), ==, size);
        g_assert_cmphex(get(machine, ADDRESS, 4), ==, 0);
        put(machine, ADDRESS, 4, 0x12345);
        g_assert_cmphex(get(machine, ADDRESS, 4), ==, size ? 0x12345 : 0);
        g_assert_cmpint(machine_violated(machine, VIONET_VIOLATION_QUEUE_SELECT), ==, size == 0);
        put(machine, ADDRESS, 4, 0x54321); /* it is enabled */
        g_assert_cmphex(get(machine, ADDRESS, 4), ==, size ? 0x12345 : 0);
        g_assert_cmpint(machine_violated(machine, VIONET_VIOLATION_QUEUE_WRITE_ENABLED), ==,
                        size != 0);
        put(machine, ADDRESS, 4, 0);
        g_assert_cmphex(get(machine, ADDRESS, 4), ==, 0);
        g_assert_cmphex(get(machine, NOTIFY, 2), ==, 0);
    }
    machine_finish(machine);
}

/* Where the used ring is, by size: 2.7.2 worked by hand. */
static void test_queue_layout(void)
{
    static const struct {
        uint16_t size;
        uint32_t used;
    } rows[] = {{4, 4096},   {8, 4096},    {64, 4096},    {128, 4096},
                {256, 8192}, {512, 12288}, {1024, 20480}, {32768, 593920}};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct machine_setup setup;
        struct machine *machine;

        setup_init(&setup, false);
        setup.device.receive_queue_size = rows[i].size;
        machine = machine_new(&setup, NULL);
        put(machine, ADDRESS, 4, 0xfffff000);
        for (unsigned area = 0; area < 3; area++) {
            const uint64_t offsets[3] = {0, 16 * rows[i].size, rows[i].used};

            g_assert_cmphex(vionet_device_queue_area(machine->device, 0, (VionetQueueArea)area), ==,
                            UINT64_C(0xfffff000000) + offsets[area]);
        }
        machine_finish(machine);
    }
}

/* The configuration moves when MSI-X is enabled, and two registers appear. */
static void test_vectors(void)
{
    struct machine *machine = make(false);
    struct pci_function *pci = &machine->driver->pci;

    g_assert_true(guest_driver_probe(machine->driver));
    for (unsigned on = 0; on < 4; on++) {
        const uint32_t config = on % 2 ? 24 : 20;

        pci_msix_control(pci, on % 2, false);
        for (unsigned i = 0; i < 6; i++) {
            g_assert_cmphex(get(machine, config + i, 1), ==, our_mac[i]);
        }
        if (on % 2 == 0) {
            continue;
        }
        put(machine, 20, 2, 3);
        g_assert_cmphex(get(machine, 20, 2), ==, 3);
        put(machine, 20, 2, 0x7ff); /* there is none */
        g_assert_cmphex(get(machine, 20, 2), ==, 0xffff);
        put(machine, SELECT, 2, 1);
        put(machine, 22, 2, 2);
        g_assert_cmphex(get(machine, 22, 2), ==, 2);
        put(machine, SELECT, 2, BEYOND_QUEUE);
        g_assert_cmphex(get(machine, 22, 2), ==, 0xffff);
    }
    machine_free(machine);
}

static void test_isr(void)
{
    struct machine_setup setup;
    struct machine *machine;

    setup_init(&setup, false);
    setup.driver.intx = true;
    machine = machine_booted(&setup, features_known());
    machine_deliver(machine, frame, sizeof(frame));
    vionet_device_set_link(machine->device, false);
    g_assert_true(guest_driver_intx_level(machine->driver));
    put(machine, ISR, 1, 0); /* read-only */
    g_assert_cmphex(get(machine, ISR, 1), ==, VIRTIO_PCI_ISR_QUEUE | VIRTIO_PCI_ISR_CONFIG);
    g_assert_false(guest_driver_intx_level(machine->driver));
    g_assert_cmphex(get(machine, ISR, 1), ==, 0);
    machine_finish(machine);
}

/* C-01: any offset, any width, any value; a function that works in the end. */
static void test_each_access(void)
{
    static const uint32_t values[] = {0, 1, 0x7fff, 0xffff, 0x10000, 0xffffffff};

    for (unsigned big = 0; big < 2; big++) {
        struct machine *machine = make(big);

        for (unsigned msix = 0; msix < 2; msix++) {
            for (uint32_t offset = 0; offset < 80; offset++) {
                for (unsigned size = 0; size < 17; size++) {
                    for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
                        put(machine, offset, size, values[i]);
                        get(machine, offset, size);
                    }
                }
            }
            put(machine, STATUS, 1, 0);
            g_assert_true(machine_works(machine));
        }
        machine_finish(machine);
    }
}

/* A wide read has the octets of narrow ones, the ISR's being 0. */
static void test_widths(void)
{
    static const unsigned sizes[] = {1, 2, 4, 8};
    struct machine *machine = make(true);
    uint8_t octets[64];

    g_assert_true(machine_boot(machine, features_known()));
    put(machine, SELECT, 2, 2);
    get(machine, ISR, 1);
    for (uint32_t offset = 0; offset < 64; offset++) {
        octets[offset] = (uint8_t)get(machine, offset, 1);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        for (uint32_t offset = 0; offset + sizes[i] <= 64; offset++) {
            const uint64_t value = vionet_pci_bar_read(machine->pci, 0, offset, sizes[i]);

            for (unsigned k = 0; k < sizes[i]; k++) {
                g_assert_cmphex((uint8_t)(value >> 8 * k), ==, octets[offset + k]);
            }
        }
    }
    machine_finish(machine);
}

/* ---- configuration ---- */

static void test_config_order(void)
{
    for (unsigned big = 0; big < 2; big++) {
        struct machine *machine = make(big);
        static const uint8_t expected[2][6] = {{1, 0, PAIRS, 0, 0x34, 0x12},
                                               {0, 1, 0, PAIRS, 0x12, 0x34}};

        for (unsigned i = 0; i < 6; i++) {
            g_assert_cmphex(get(machine, CONFIG + 6 + i, 1), ==, expected[big][i]);
        }
        for (unsigned i = 12; i < 64 - CONFIG; i++) { /* of features above bit 31 */
            g_assert_cmphex(get(machine, CONFIG + i, 1), ==, 0);
        }
        machine_finish(machine);
    }
}

/* Octet by octet, before anything was negotiated, and each takes effect. */
static void test_mac_is_written(void)
{
    static const uint8_t other[6] = {0x52, 0x54, 0, 0xaa, 0xbb, 0xcc};
    struct guest_features wanted = features_known();
    struct machine *machine = make(false);
    uint8_t sent[60] = {0};

    features_remove(&wanted, VIRTIO_NET_F_CTRL_MAC_ADDR);
    g_assert_true(machine_boot(machine, wanted));
    for (unsigned i = 0; i < 6; i++) {
        put(machine, 24 + i, 1, other[i]);
        g_assert_cmphex(get(machine, 24 + i, 1), ==, other[i]);
    }
    memcpy(sent, other, 6);
    g_assert_cmpint(machine_deliver(machine, sent, sizeof(sent)), ==, VIONET_DELIVERED);
    memcpy(sent, our_mac, 6);
    g_assert_cmpint(machine_deliver(machine, sent, sizeof(sent)), ==, VIONET_DROP_FILTER);
    put(machine, STATUS, 1, 0);
    g_assert_cmphex(get(machine, 24 + 5, 1), ==, our_mac[5]);
    pci_msix_control(&machine->driver->pci, false, false);
    put(machine, CONFIG, 1, other[0] ^ 4); /* before negotiation */
    g_assert_cmphex(get(machine, CONFIG, 1), ==, other[0] ^ 4);
    machine_finish(machine);
}

static void test_config_is_not_written(void)
{
    struct machine *machine = make(false);

    g_assert_true(machine_boot(machine, features_known()));
    machine_forget_events(machine);
    put(machine, 24, 1, 0x66); /* there is a command for it */
    g_assert_true(machine_violated(machine, VIONET_VIOLATION_CONFIG_WRITE));
    g_assert_cmphex(get(machine, 24, 1), ==, our_mac[0]);
    put(machine, STATUS, 1, 0);
    for (unsigned offset = 5; offset < 30; offset++) {
        const uint32_t before = get(machine, 24 + offset, 2);

        put(machine, 24 + offset, 2, 0x5a5a);
        g_assert_cmphex(get(machine, 24 + offset, 2), ==, before);
    }
    machine_finish(machine);
}

/* ---- frames ---- */

/* A header of 10 octets, a frame to the brim, and one octet more. */
static void test_header_of_10(void)
{
    for (unsigned big = 0; big < 2; big++) {
        struct guest_features wanted = features_known();
        static const uint8_t zero[HEADER];
        uint8_t sent[1515];
        struct machine_setup setup;
        struct machine *machine;
        struct guest_packet packet;

        for (unsigned i = 0; i < sizeof(sent); i++) {
            sent[i] = i < 6 ? 0xff : (uint8_t)(i * 7);
        }
        setup_init(&setup, big);
        setup.net.receive_size = HEADER + 1514;
        setup.net.poison = true;
        features_remove(&wanted, VIRTIO_NET_F_MRG_RXBUF);
        machine = machine_booted(&setup, wanted);
        g_assert_cmpuint(net_header_size(machine->net), ==, HEADER);
        for (unsigned len = 14; len <= 1514; len += len < 80 ? 1 : 239) {
            g_assert_cmpint(machine_deliver(machine, sent, len), ==, VIONET_DELIVERED);
            g_assert_true(net_receive(machine->net, &packet));
            g_assert_cmpmem(packet.raw_header, HEADER, zero, HEADER);
            g_assert_cmpmem(packet.data, packet.len, sent, len);
        }
        g_assert_cmpint(machine_deliver(machine, sent, 1515), ==, VIONET_DROP_BUFFER_TOO_SMALL);
        g_assert_cmpint(machine_deliver(machine, sent, 1514), ==, VIONET_DELIVERED);
        machine_finish(machine);
    }
}

/* num_buffers, and the offsets of a checksum, in the guest's order. */
static void test_header_order(void)
{
    for (unsigned big = 0; big < 2; big++) {
        const struct net_header header = {
            .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 0x22, .csum_offset = 6};
        static const uint8_t counts[2][2] = {{3, 0}, {0, 3}};
        struct machine_setup setup;
        struct machine *machine;
        struct guest_packet packet;
        VionetFrame sent;

        setup_init(&setup, big);
        setup.net.receive_size = 64;
        machine = machine_booted(&setup, features_known());
        g_assert_cmpuint(net_header_size(machine->net), ==, 12);
        g_assert_cmpint(
            machine_deliver(machine, (uint8_t[180]){0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 180), ==,
            VIONET_DELIVERED);
        g_assert_true(net_receive(machine->net, &packet));
        g_assert_cmpmem(packet.raw_header + 10, 2, counts[big], 2);
        g_assert_cmpuint(packet.len, ==, 180);
        g_assert_true(net_transmit(machine->net, 0, &header, frame, sizeof(frame)));
        g_assert_cmpuint(vionet_device_transmit(machine->device, 0, &sent, 1), ==, 1);
        g_assert_cmpuint(sent.csum_start, ==, 0x22);
        g_assert_cmpuint(sent.csum_offset, ==, 6);
        vionet_device_complete(machine->device, 0, &sent, 1);
        machine_finish(machine);
    }
}

/* Numbers of commands in the guest's order: the model writes them so, the device acts on them. */
static void test_command_order(void)
{
    for (unsigned big = 0; big < 2; big++) {
        static const uint8_t neighbour[6] = {2, 0, 0, 0, 0, 9};
        uint8_t tagged[64] = {2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 0x81, 0, 0x01, 0x23};
        struct machine_setup setup;
        struct machine *machine;

        setup_init(&setup, big);
        vionet_features_set(setup.device.features, VIRTIO_NET_F_GUEST_CSUM, true);
        vionet_features_set(setup.device.features, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, true);
        machine = machine_booted(&setup, features_known());
        g_assert_cmphex(vionet_device_offloads(machine->device), ==, 1u << VIRTIO_NET_F_GUEST_CSUM);
        g_assert_cmpint(net_control_offloads(machine->net, 1u << VIRTIO_NET_F_GUEST_CSUM), ==,
                        VIRTIO_NET_OK);
        g_assert_cmphex(vionet_device_offloads(machine->device), ==, 1u << VIRTIO_NET_F_GUEST_CSUM);
        g_assert_cmpint(net_control_offloads(machine->net, 0), ==, VIRTIO_NET_OK);
        g_assert_cmphex(vionet_device_offloads(machine->device), ==, 0);
        g_assert_cmpint(machine_deliver(machine, tagged, sizeof(tagged)), ==, VIONET_DROP_VLAN);
        g_assert_cmpint(net_control_vlan_add(machine->net, 0x123), ==, VIRTIO_NET_OK);
        g_assert_cmpint(machine_deliver(machine, tagged, sizeof(tagged)), ==, VIONET_DROP_FILTER);
        g_assert_cmpint(net_control_mac_table(machine->net, neighbour, 1, NULL, 0), ==,
                        VIRTIO_NET_OK);
        g_assert_cmpint(machine_deliver(machine, tagged, sizeof(tagged)), ==, VIONET_DELIVERED);
        g_assert_cmpint(net_control_pairs(machine->net, PAIRS), ==, VIRTIO_NET_OK);
        g_assert_cmpint(net_control_pairs(machine->net, PAIRS + 1), ==, VIRTIO_NET_ERR);
        machine_finish(machine);
    }
}

/* ---- life ---- */

/* All of a driver's start but DRIVER_OK. */
static void start_early(struct machine *machine)
{
    struct guest_driver *driver = machine->driver;

    g_assert_true(guest_driver_probe(driver));
    g_assert_true(guest_driver_reset(driver));
    guest_driver_acknowledge(driver);
    guest_driver_read_features(driver);
    g_assert_true(guest_driver_negotiate(driver, features_known()));
    g_assert_true(guest_queue_setup_all(driver));
    machine->net = net_new(driver, &machine->net_options);
    g_assert_true(net_start(machine->net));
}

/* Queues are used before DRIVER_OK (3.1.2): each kind, by a notification of that kind. */
static void test_early_queues(void)
{
    for (unsigned big = 0; big < 2; big++) {
        struct machine *machine = make(big);
        struct guest_packet packet;

        start_early(machine);
        g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==,
                        VIONET_DROP_NOT_RUNNING);
        g_assert_true(net_transmit_add(machine->net, 0, NULL, NULL, frame, sizeof(frame)));
        net_transmit_flush(machine->net, 0);
        g_assert_cmpuint(machine_drain(machine, 0), ==, 0);
        machine->driver->running = true; /* as far as the model goes */
        guest_queue_notify(machine->driver, 1);
        g_assert_cmphex(get(machine, STATUS, 1) & VIRTIO_STATUS_DRIVER_OK, ==, 0);
        g_assert_cmpuint(machine->kicks, >, 0);
        g_assert_cmpuint(machine_drain(machine, 0), ==, 1);
        g_assert_cmpuint(
            guest_driver_take_interrupts(machine->driver, machine->driver->queues[1].vector), ==,
            1);
        g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
        g_assert_true(net_receive(machine->net, &packet));
        g_assert_cmpint(net_control_pairs(machine->net, 2), ==, VIRTIO_NET_OK);
        guest_driver_ok(machine->driver);
        g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
        g_assert_true(guest_driver_reset(machine->driver));
        g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==,
                        VIONET_DROP_NOT_RUNNING);
        machine_finish(machine);
    }
}

/* Address 0 takes a queue away, with what was in it; another makes it a new one. */
static void test_queue_is_taken_away(void)
{
    struct machine *machine = make(false);
    struct guest_driver *driver = machine->driver;
    VionetFrame out;

    g_assert_true(machine_boot(machine, features_known()));
    g_assert_true(net_transmit(machine->net, 0, NULL, frame, sizeof(frame)));
    g_assert_cmpuint(vionet_device_transmit(machine->device, 0, &out, 1), ==, 1);
    for (unsigned queue = 0; queue < 2; queue++) {
        put(machine, SELECT, 2, queue);
        put(machine, ADDRESS, 4, 0);
        g_assert_false(vionet_device_queue_enabled(machine->device, queue));
    }
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DROP_QUEUE_DISABLED);
    vionet_device_complete(machine->device, 0, &out, 1);
    g_assert_cmpuint(virtq_used_total(guest_queue_ring(driver, 1)), ==, 0);
    g_assert_true(machine_boot(machine, features_known()));
    g_assert_true(machine_works(machine));
    machine_finish(machine);
}

/* C-10: addresses that lead nowhere stop the queue when it starts, and nothing else. */
static void test_bad_addresses(void)
{
    static const uint32_t addresses[] = {1, 0x7fffffff, 0xffffffff};

    for (size_t i = 0; i < G_N_ELEMENTS(addresses); i++) {
        struct machine *machine = make(false);

        g_assert_true(guest_driver_probe(machine->driver)); /* it may reach memory */
        put(machine, SELECT, 2, 0);
        put(machine, ADDRESS, 4, addresses[i]);
        put(machine, STATUS, 1, 7);
        g_assert_true(machine_violated(machine, VIONET_VIOLATION_RING_ADDRESS));
        g_assert_cmphex(get(machine, STATUS, 1) & 0x40, ==, 0x40);
        put(machine, STATUS, 1, 0);
        g_assert_true(machine_works(machine));
        machine_finish(machine);
    }
}

/* C-02: notifications of all values, before and while the driver runs. */
static void test_each_notification(void)
{
    struct machine *machine = make(false);

    for (unsigned running = 0; running < 2; running++) {
        for (unsigned value = 0; value < 0x10000; value++) {
            put(machine, NOTIFY, 2, value);
        }
        g_assert_true(machine_violated(machine, VIONET_VIOLATION_NOTIFY_QUEUE));
        g_assert_true(machine_works(machine));
    }
    machine_finish(machine);
}

static void test_failed_driver_stands_still(void)
{
    struct machine *machine = make(false);

    g_assert_true(machine_boot(machine, features_known()));
    put(machine, STATUS, 1, 0x80 | 7);
    put(machine, NOTIFY, 2, 0);
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DROP_NOT_RUNNING);
    g_assert_true(machine_works(machine));
    machine_finish(machine);
}

/* ---- both interfaces ---- */

static void use(struct machine *machine, const struct guest_transport *transport)
{
    machine->driver->transport = transport;
    machine->driver->probed = false;
    for (unsigned i = 0; i < machine->driver->n_queues; i++) {
        machine->driver->queues[i].area_size = 0;
    }
}

/* A driver of either kind comes after one of the other, as after kexec or firmware. */
static void test_one_after_the_other(void)
{
    struct machine *machine = make(false);

    for (unsigned i = 0; i < 4; i++) {
        use(machine, i % 2 ? &transport_pci : &transport_pci_legacy);
        g_assert_true(machine_works(machine));
        g_assert_cmpint(vionet_device_negotiated(machine->device, VIRTIO_F_VERSION_1), ==, i % 2);
        g_assert_cmpuint(net_header_size(machine->net), ==, 12);
    }
    machine_finish(machine);
}

/* A driver that has negotiated VERSION_1 cannot become a legacy one but by a reset. */
static void test_legacy_after_features_ok(void)
{
    static const struct {
        uint32_t offset;
        unsigned size;
        uint32_t value;
    } writes[] = {{ACCEPTED, 4, 0}, {ADDRESS, 4, 0}, {ADDRESS, 4, 0x100},
                  {NOTIFY, 2, 0},   {STATUS, 1, 7},  {24, 1, 0x66}};
    struct machine *machine = make(false);

    use(machine, &transport_pci);
    g_assert_true(machine_boot(machine, features_known()));
    for (size_t i = 0; i < G_N_ELEMENTS(writes); i++) {
        put(machine, STATUS, 1, 0);
        g_assert_true(machine_boot(machine, features_known()));
        machine_forget_events(machine);
        put(machine, SELECT, 2, 0);
        put(machine, writes[i].offset, writes[i].size, writes[i].value);
        g_assert_true(machine_violated(machine, VIONET_VIOLATION_LEGACY_LATE));
        g_assert_true(vionet_device_queue_enabled(machine->device, 0));
        g_assert_true(vionet_device_negotiated(machine->device, VIRTIO_F_VERSION_1));
        for (unsigned k = 0; k < 6; k++) { /* looking does no harm */
            g_assert_cmphex(get(machine, 24 + k, 1), ==, our_mac[k]);
        }
        g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
    }
    machine_finish(machine);
}

/* Nor can a legacy driver set FEATURES_OK, or enable queues as others do. */
static void test_features_ok_of_legacy(void)
{
    struct machine *machine = make(false);

    put(machine, STATUS, 1, 3);
    put(machine, STATUS, 1, 11);
    g_assert_cmphex(get(machine, STATUS, 1), ==, 3);
    g_assert_true(machine_violated(machine, VIONET_VIOLATION_FEATURES_DEPENDENCY));
    vionet_device_write_driver_features(machine->device, 1, 1);
    vionet_device_write_status(machine->device, 11);
    g_assert_cmphex(get(machine, STATUS, 1), ==, 3);
    vionet_device_write_queue_enable(machine->device, 0, 1);
    g_assert_false(vionet_device_queue_enabled(machine->device, 0));
    g_assert_true(machine_violated(machine, VIONET_VIOLATION_QUEUE_ENABLE_EARLY));
    g_assert_true(machine_works(machine));
    machine_finish(machine);
}

/* Looking at the header makes nobody a legacy driver. */
static void test_looking_changes_nothing(void)
{
    struct machine *machine = make(true);

    use(machine, &transport_pci);
    machine->driver->options.big_endian = false;
    for (uint32_t offset = 0; offset < CONFIG; offset++) {
        get(machine, offset, 1);
    }
    put(machine, SELECT, 2, 1);
    vionet_device_write_driver_features(machine->device, 0, 1u << VIRTIO_NET_F_MAC);
    vionet_device_write_driver_features(machine->device, 1, 1);
    vionet_device_write_status(machine->device, 11);
    g_assert_cmphex(vionet_device_status(machine->device), ==, 11);
    machine_finish(machine);
}

/* ---- saved state ---- */

/* All that the driver can read of the header, but for ISR, which reading clears. */
static void read_header(struct machine *machine, uint8_t octets[48])
{
    for (uint32_t offset = 0; offset < 48; offset++) {
        octets[offset] = offset == ISR ? 0 : (uint8_t)get(machine, offset, 1);
    }
}

static void migrate(struct machine *machine)
{
    uint8_t before[48], after[48];

    read_header(machine, before);
    machine_migrate(machine);
    read_header(machine, after);
    g_assert_cmpmem(before, sizeof(before), after, sizeof(after));
}

/* A driver that does everything early, as test_features_after_queues() has it, with another device at each step. */
static void goes_on_at_every_stage(bool big_endian)
{
    struct machine *machine = make(big_endian);
    struct guest_driver *driver = machine->driver;
    struct guest_packet packet;
    VionetFrame out;

    g_assert_true(guest_driver_probe(driver));
    migrate(machine);
    g_assert_true(guest_driver_reset(driver));
    guest_driver_acknowledge(driver);
    migrate(machine);
    for (unsigned queue = 0; queue < N_QUEUES; queue++) {
        g_assert_true(guest_queue_setup(driver, queue, 0));
        migrate(machine);
    }
    put(machine, NOTIFY, 2, 0);
    g_assert_true(vionet_device_running(machine->device));
    migrate(machine);
    g_assert_true(vionet_device_running(machine->device));
    guest_driver_read_features(driver);
    guest_driver_write_features(driver, features_of(VIRTIO_NET_F_MAC, VIRTIO_NET_F_CTRL_VQ,
                                                    VIRTIO_NET_F_MRG_RXBUF, FEATURES_END));
    put(machine, ACCEPTED, 4, get(machine, ACCEPTED, 4) | ANY_LAYOUT);
    migrate(machine);
    g_assert_cmphex(get(machine, ACCEPTED, 4) & ANY_LAYOUT, ==, ANY_LAYOUT);
    driver->pairs = 1;
    driver->has_control = true;
    driver->control = 2;
    driver->running = true; /* as far as the model goes */
    machine->net = net_new(driver, &machine->net_options);
    g_assert_true(net_start(machine->net));
    for (unsigned i = 0; i < 3; i++) {
        g_assert_true(net_transmit(machine->net, 0, NULL, frame, sizeof(frame)));
        g_assert_cmpuint(vionet_device_transmit(machine->device, 0, &out, 1), ==, 1);
        migrate(machine);
        net_reclaim(machine->net, 0);
        g_assert_cmpuint(net_transmit_pending(machine->net, 0), ==, 0);
        g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
        g_assert_true(net_receive(machine->net, &packet));
        g_assert_cmpmem(packet.data, packet.len, frame, sizeof(frame));
        g_assert_cmpint(net_control_mac(machine->net, our_mac), ==, VIRTIO_NET_ERR);
        guest_driver_ok(driver);
    }
    put(machine, SELECT, 2, 2); /* which was a receive queue once, of another size */
    put(machine, ADDRESS, 4, 0);
    g_assert_cmpuint(get(machine, SIZE, 2), ==, 64);
    migrate(machine);
    machine_finish(machine);
}

static void test_goes_on_at_every_stage(void)
{
    goes_on_at_every_stage(false);
    goes_on_at_every_stage(true);
}

/* A legacy driver's address goes along, half written and a multicast one too. */
static void test_mac_goes_along(void)
{
    static const uint8_t other[6] = {0x53, 0x54, 0, 0xaa, 0xbb, 0xcc};
    struct guest_features wanted = features_known();
    struct machine *machine = make(true);
    uint8_t sent[60] = {0};

    features_remove(&wanted, VIRTIO_NET_F_CTRL_MAC_ADDR);
    g_assert_true(machine_boot(machine, wanted));
    for (unsigned i = 0; i < 6; i++) {
        put(machine, 24 + i, 1, other[i]);
        migrate(machine);
        g_assert_cmphex(get(machine, 24 + i, 1), ==, other[i]);
    }
    put(machine, 24, 1, 0x52);
    migrate(machine);
    memcpy(sent, other, 6);
    sent[0] = 0x52;
    g_assert_cmpint(machine_deliver(machine, sent, sizeof(sent)), ==, VIONET_DELIVERED);
    machine_finish(machine);
}

/* The code of the error by which a fresh device of a machine refuses a state, -1 if it takes it. */
static int load_into(struct machine *machine, GBytes *state)
{
    GError *error = NULL;
    int code = -1;
    gsize len;
    gconstpointer octets = g_bytes_get_data(state, &len);

    vionet_device_set_paused(machine->device, true);
    if (!vionet_device_load(machine->device, octets, len, &error)) {
        g_assert_cmpuint(error->domain, ==, VIONET_STATE_ERROR);
        code = error->code;
        g_error_free(error);
    }
    machine_free(machine);
    return code;
}

/* A function that is not as the driver's was: of the other order, or with today's interface alone. */
static void test_other_function(void)
{
    struct machine *machine = make(true);
    struct machine *touched = make(true);
    struct machine_setup setup;
    GBytes *state;

    g_assert_true(machine_boot(machine, features_known()));
    vionet_device_set_paused(machine->device, true);
    state = vionet_device_save(machine->device, NULL);
    g_assert_nonnull(state);
    setup_init(&setup, false);
    setup.transport = MACHINE_PCI;
    g_assert_cmpint(load_into(make(false), state), ==, VIONET_STATE_ERROR_CONFIG);
    g_assert_cmpint(load_into(machine_new(&setup, NULL), state), ==, VIONET_STATE_ERROR_CONFIG);
    g_assert_cmpint(load_into(make(true), state), ==, -1);
    put(touched, ADDRESS, 4, 0x100); /* a queue, with the status still 0 */
    g_assert_cmpint(load_into(touched, state), ==, VIONET_STATE_ERROR_NOT_FRESH);
    g_bytes_unref(state);
    machine_finish(machine);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/legacy/identity/transitional", test_identity);
    g_test_add_func("/legacy/identity/without-the-modern-interface", test_nothing_but_legacy);
    g_test_add_func("/legacy/identity/contradictions-are-refused", test_refused);
    g_test_add_func("/legacy/features/C-12/each-bit", test_features);
    g_test_add_func("/legacy/features/what-does-not-hold-together",
                    test_features_that_do_not_hold_together);
    g_test_add_func("/legacy/features/C-13/not-under-queues", test_features_too_late);
    g_test_add_func("/legacy/features/after-queues", test_features_after_queues);
    g_test_add_func("/legacy/registers/C-04/C-06/queues", test_queue_registers);
    g_test_add_func("/legacy/registers/layout-of-a-queue", test_queue_layout);
    g_test_add_func("/legacy/registers/vectors-move-the-configuration", test_vectors);
    g_test_add_func("/legacy/registers/isr", test_isr);
    g_test_add_func("/legacy/registers/C-01/each-access", test_each_access);
    g_test_add_func("/legacy/registers/any-width", test_widths);
    g_test_add_func("/legacy/config/order", test_config_order);
    g_test_add_func("/legacy/config/mac-is-written", test_mac_is_written);
    g_test_add_func("/legacy/config/nothing-else-is-written", test_config_is_not_written);
    g_test_add_func("/legacy/frames/header-of-10", test_header_of_10);
    g_test_add_func("/legacy/frames/H-01/header-order", test_header_order);
    g_test_add_func("/legacy/commands/order", test_command_order);
    g_test_add_func("/legacy/life/queues-before-driver-ok", test_early_queues);
    g_test_add_func("/legacy/life/queue-is-taken-away", test_queue_is_taken_away);
    g_test_add_func("/legacy/life/C-10/addresses-that-lead-nowhere", test_bad_addresses);
    g_test_add_func("/legacy/life/C-02/each-notification", test_each_notification);
    g_test_add_func("/legacy/life/failed-driver-stands-still", test_failed_driver_stands_still);
    g_test_add_func("/legacy/both/one-after-the-other", test_one_after_the_other);
    g_test_add_func("/legacy/both/after-features-ok", test_legacy_after_features_ok);
    g_test_add_func("/legacy/both/features-ok-is-not-for-legacy", test_features_ok_of_legacy);
    g_test_add_func("/legacy/both/looking-changes-nothing", test_looking_changes_nothing);
    g_test_add_func("/legacy/state/goes-on-at-every-stage", test_goes_on_at_every_stage);
    g_test_add_func("/legacy/state/mac-goes-along", test_mac_goes_along);
    g_test_add_func("/legacy/state/other-function", test_other_function);
    return g_test_run();
}
