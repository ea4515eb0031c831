/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver model against a toy device: that it finds its way, says what it means to say, survives
 * a device that lies, and loses no frame whatever way it cuts its buffers.
 */
#include <string.h>

#include <glib.h>
#include <vionet/spec.h>

#include "bytes.h"
#include "control.h"
#include "queue.h"
#include "toy.h"

#define MEMORY (64u << 20)

struct bench {
    struct guest_memory *memory;
    struct toy *toy;
    struct guest_driver *driver;
    struct guest_net *net;
};

/* The format of the rings, by VIONET_TEST_RING. */
static bool packed;

static struct guest_features usual_features(void)
{
    struct guest_features usual =
        features_of(VIRTIO_F_VERSION_1, VIRTIO_F_RING_RESET, VIRTIO_NET_F_MAC, VIRTIO_NET_F_STATUS,
                    VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_MQ, VIRTIO_NET_F_MRG_RXBUF, FEATURES_END);

    if (packed) {
        features_add(&usual, VIRTIO_F_RING_PACKED);
    }
    return usual;
}

static void set_up(struct bench *bench, struct guest_features offered, unsigned pairs,
                   const struct guest_driver_options *options)
{
    bench->memory = guest_memory_flat(0x100000000, MEMORY);
    bench->toy = toy_new(bench->memory, offered, pairs, 64);
    bench->driver = guest_driver_new(&bench->toy->access, bench->memory, options);
    bench->toy->driver = bench->driver;
    bench->net = NULL;
}

static void set_up_started(struct bench *bench, struct guest_features offered, unsigned pairs,
                           const struct net_options *options)
{
    set_up(bench, offered, pairs, NULL);
    g_assert_true(guest_driver_start(bench->driver, features_known()));
    bench->net = net_new(bench->driver, options);
    g_assert_true(net_start(bench->net));
}

static void tear_down(struct bench *bench)
{
    net_free(bench->net);
    guest_driver_free(bench->driver);
    toy_free(bench->toy);
    guest_memory_free(bench->memory);
}

static void assert_no_complaints(struct bench *bench)
{
    char *text = complaints_text(guest_driver_complaints(bench->driver));

    g_assert_cmpstr(text, ==, "");
    g_free(text);
}

static void assert_complaint(struct bench *bench, const char *words)
{
    if (!complaints_mention(guest_driver_complaints(bench->driver), words)) {
        char *text = complaints_text(guest_driver_complaints(bench->driver));

        g_error("no complaint says \"%s\":\n%s", words, text);
    }
}

static void test_probe(void)
{
    struct bench bench;
    const struct pci_function *pci;

    set_up(&bench, usual_features(), 2, NULL);
    g_assert_true(guest_driver_probe(bench.driver));
    pci = &bench.driver->pci;
    g_assert_cmphex(pci->device_id, ==, 0x1041);
    g_assert_cmphex(pci->class_code, ==, 0x020000);
    g_assert_cmphex(pci->bars[0].size, ==, 0);
    g_assert_cmphex(pci->bars[1].size, ==, 0x1000);
    g_assert_cmphex(pci->bars[1].address, ==, 0xe0000000);
    g_assert_cmphex(pci->bars[2].size, ==, 0x4000);
    g_assert_cmphex(pci->bars[2].address, ==, 0x8000000000);
    g_assert_true(pci->bars[2].wide);
    g_assert_cmpuint(pci->n_caps, ==, 6);
    g_assert_cmphex(pci->common.offset, ==, TOY_AT_COMMON);
    g_assert_cmphex(pci->notify.offset, ==, TOY_AT_NOTIFY);
    g_assert_cmphex(pci->isr.offset, ==, TOY_AT_ISR);
    g_assert_cmphex(pci->device.offset, ==, TOY_AT_DEVICE);
    g_assert_cmpuint(pci->notify_off_multiplier, ==, TOY_MULTIPLIER);
    g_assert_cmpuint(pci->notify_data_valid, ==, 0);
    g_assert_cmpuint(pci->msix.vectors, ==, TOY_VECTORS);
    g_assert_cmpuint(bench.driver->vectors, ==, 6);
    g_assert_cmphex(bytes_get16(bench.toy->config + 4), ==, 0x7);
    g_assert_cmphex(bytes_get16(bench.toy->config + TOY_CAP_MSIX + 2), ==, 0x8007);
    g_assert_cmphex(bytes_get32(bench.toy->bar1 + 5 * 16), ==, 0xfee00000);
    g_assert_cmphex(bytes_get32(bench.toy->bar1 + 5 * 16 + 8), ==, 5);
    assert_no_complaints(&bench);
    tear_down(&bench);
}

static void test_start(void)
{
    struct bench bench;
    const struct virtq_options *ring;

    set_up(&bench, usual_features(), 2, NULL);
    g_assert_true(guest_driver_start(bench.driver, features_known()));
    g_assert_cmphex(bench.toy->status, ==, 0xf);
    g_assert_true(features_equal(bench.toy->accepted, usual_features()));
    g_assert_cmpuint(bench.driver->pairs, ==, 2);
    g_assert_cmpuint(bench.driver->control, ==, 4);
    g_assert_cmpint(memcmp(bench.driver->config.mac, "\x52\x54\x00\x12\x34\x56", 6), ==, 0);
    g_assert_cmpuint(bench.driver->config.status, ==, 1);
    for (unsigned i = 0; i < 5; i++) {
        ring = virtq_options(guest_queue_ring(bench.driver, i));
        g_assert_cmpuint(bench.toy->queues[i].enable, ==, 1);
        g_assert_cmpuint(bench.toy->queues[i].size, ==, 64);
        g_assert_cmpuint(bench.toy->queues[i].vector, ==, 1 + i);
        g_assert_cmphex(bench.toy->queues[i].area[0], ==, ring->area.desc_gpa);
        g_assert_cmphex(bench.toy->queues[i].area[1], ==, ring->area.driver_gpa);
        g_assert_cmphex(bench.toy->queues[i].area[2], ==, ring->area.device_gpa);
    }
    g_assert_cmpuint(bench.toy->config_vector, ==, 0);
    /* And once more: same memory, no complaints. */
    g_assert_true(guest_driver_start(bench.driver, features_known()));
    assert_no_complaints(&bench);
    tear_down(&bench);
}

static void test_control_queue_without_multiqueue(void)
{
    struct guest_features wanted = usual_features();
    struct bench bench;

    features_remove(&wanted, VIRTIO_NET_F_MQ);
    set_up(&bench, usual_features(), 4, NULL);
    g_assert_true(guest_driver_start(bench.driver, wanted));
    g_assert_cmpuint(bench.driver->pairs, ==, 1);
    g_assert_cmpuint(bench.driver->control, ==, 2);
    g_assert_cmpuint(bench.toy->queues[2].enable, ==, 1);
    g_assert_cmpuint(bench.toy->queues[3].enable, ==, 0);
    assert_no_complaints(&bench);
    tear_down(&bench);
}

static void test_features_refused(void)
{
    struct guest_features excess = usual_features();
    struct bench bench;

    set_up(&bench, usual_features(), 1, NULL);
    g_assert_true(guest_driver_probe(bench.driver));
    g_assert_true(guest_driver_reset(bench.driver));
    guest_driver_acknowledge(bench.driver);
    g_assert_true(features_equal(guest_driver_read_features(bench.driver), usual_features()));
    features_add(&excess, VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO);
    guest_driver_write_features(bench.driver, excess);
    g_assert_cmphex(bench.toy->accepted.window[2], ==, 1u << (65 - 64));
    g_assert_false(guest_driver_features_ok(bench.driver));
    assert_no_complaints(&bench);
    tear_down(&bench);
}

static void test_device_that_does_not_reset(void)
{
    struct bench bench;

    set_up(&bench, usual_features(), 1, NULL);
    bench.toy->sticky = true;
    bench.toy->status = 0xf;
    g_assert_false(guest_driver_start(bench.driver, features_known()));
    assert_complaint(&bench, "status does not become 0");
    tear_down(&bench);
}

static void test_configuration_that_never_rests(void)
{
    struct bench bench;

    set_up(&bench, usual_features(), 1, NULL);
    bench.toy->restless = true;
    g_assert_false(guest_driver_start(bench.driver, features_known()));
    assert_complaint(&bench, "the configuration changed");
    tear_down(&bench);
}

static void test_capability_list_that_does_not_end(void)
{
    struct bench bench;

    set_up(&bench, usual_features(), 1, NULL);
    bench.toy->config[TOY_CAP_CONFIG + 1] = TOY_CAP_MSIX;
    g_assert_true(guest_driver_start(bench.driver, features_known()));
    g_assert_cmpuint(bench.driver->pci.n_caps, ==, PCI_MAX_CAPS);
    assert_complaint(&bench, "does not end");
    tear_down(&bench);
}

static void test_structures_out_of_bounds(void)
{
    static const struct {
        unsigned at;
        uint32_t value;
        const char *words;
    } rows[] = {
        {TOY_CAP_COMMON + 8, 0x3fff, "type 1 cannot be at 0x3fff"},
        {TOY_CAP_COMMON + 8, 0x4000, "type 1 cannot be at 0x4000"},
        {TOY_CAP_COMMON + 12, 55, "no usable structure of type 1"},
        {TOY_CAP_ISR + 8, 0xffffffff, "type 3 cannot be"},
        {TOY_CAP_ISR + 12, 0, "type 3 cannot be"},
        {TOY_CAP_DEVICE + 12, 0xffffffff, "type 4 cannot be"},
        {TOY_CAP_NOTIFY + 8, 0x3001, "type 2 cannot be"},
        {TOY_CAP_NOTIFY + 4, 6, "no usable structure of type 2"},
        {TOY_CAP_NOTIFY + 4, 0, "no usable structure of type 2"},
        {0x34, 0, "no usable structure of type 1"},
        {0x34, 0xff, "no usable structure of type 1"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct bench bench;

        set_up(&bench, usual_features(), 1, NULL);
        bytes_put32(bench.toy->config + rows[i].at, rows[i].value);
        g_assert_false(guest_driver_start(bench.driver, features_known()));
        assert_complaint(&bench, rows[i].words);
        tear_down(&bench);
    }
}

static void test_table_out_of_bounds_means_intx(void)
{
    struct bench bench;

    set_up(&bench, usual_features(), 1, NULL);
    bytes_put32(bench.toy->config + TOY_CAP_MSIX + 4, 0xff8 | 1);
    g_assert_true(guest_driver_start(bench.driver, features_known()));
    g_assert_cmpuint(bench.driver->vectors, ==, 0);
    assert_complaint(&bench, "MSI-X table of 8 vectors is in no BAR");
    tear_down(&bench);
}

static void test_notification_forms(void)
{
    static const struct {
        bool data;
        bool config_data;
        uint8_t draft_valid;
        unsigned size;
        uint32_t value;
    } rows[] = {
        {false, false, 0, 2, 1},         {false, true, 0, 2, 0x101},
        {true, false, 0, 4, 0x00020001}, {true, true, 0, 4, 0x00020101},
        {true, false, 1, 4, 0x0002cafe}, {true, false, 0x80, 4, 0x0002cafe},
        {false, false, 1, 2, 1},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct guest_features offered = usual_features();
        struct bench bench;

        if (rows[i].data) {
            features_add(&offered, VIRTIO_F_NOTIFICATION_DATA);
        }
        if (rows[i].config_data) {
            features_add(&offered, VIRTIO_F_NOTIF_CONFIG_DATA);
        }
        set_up(&bench, offered, 1, NULL);
        bytes_put16(bench.toy->config + TOY_CAP_NOTIFY + 20, 0xcafe);
        bench.toy->config[TOY_CAP_NOTIFY + 22] = rows[i].draft_valid;
        g_assert_true(guest_driver_start(bench.driver, features_known()));
        bench.net = net_new(bench.driver, NULL);
        g_assert_true(net_start(bench.net));
        g_assert_true(net_transmit_add(bench.net, 0, NULL, NULL, "frame", 5));
        g_assert_true(net_transmit_add(bench.net, 0, NULL, NULL, "frame", 5));
        net_transmit_flush(bench.net, 0);
        g_assert_cmpuint(bench.toy->notified_at, ==, TOY_MULTIPLIER);
        g_assert_cmpuint(bench.toy->notified_size, ==, rows[i].size);
        /* Two buffers on, in the round of wrap counter 1. */
        g_assert_cmphex(bench.toy->notified_value, ==,
                        rows[i].value | (packed && rows[i].data ? 0x80000000 : 0));
        assert_no_complaints(&bench);
        tear_down(&bench);
    }
}

static void test_notification_outside_of_its_structure(void)
{
    struct bench bench;

    set_up(&bench, usual_features(), 1, NULL);
    bytes_put32(bench.toy->config + TOY_CAP_NOTIFY + 16, 0x10000000);
    g_assert_true(guest_driver_start(bench.driver, features_known()));
    guest_queue_notify(bench.driver, 1);
    g_assert_cmpuint(bench.toy->notifications, ==, 0);
    assert_complaint(&bench, "outside of a structure");
    tear_down(&bench);
}

static void test_config_access_capability(void)
{
    struct pci_function *pci;
    struct bench bench;

    set_up(&bench, usual_features(), 1, NULL);
    g_assert_true(guest_driver_start(bench.driver, features_known()));
    pci = &bench.driver->pci;
    g_assert_cmphex(pci_config_access_read(pci, 2, TOY_AT_COMMON + 20, 1), ==, 0xf);
    g_assert_cmphex(pci_config_access_read(pci, 2, TOY_AT_DEVICE, 4), ==, 0x12005452);
    pci_config_access_write(pci, 2, TOY_AT_NOTIFY + 4, 2, 0x1234);
    g_assert_cmphex(bench.toy->notified_value, ==, 0x1234);
    g_assert_cmpuint(bench.toy->notified_size, ==, 2);
    assert_no_complaints(&bench);
    tear_down(&bench);
}

static void test_interrupts(void)
{
    struct guest_driver_options intx = {.intx = true};
    struct guest_driver_options shared = {.max_vectors = 2};
    struct guest_packet packet;
    struct bench bench;

    set_up_started(&bench, usual_features(), 1, NULL);
    g_assert_true(toy_deliver(bench.toy, 0, "frame", 5));
    g_assert_cmpuint(guest_driver_interrupts(bench.driver, 1), ==, 1);
    g_assert_cmpuint(guest_driver_take_interrupts(bench.driver, 1), ==, 1);
    g_assert_cmpuint(guest_driver_interrupts(bench.driver, 1), ==, 0);
    g_assert_cmpuint(guest_driver_interrupts(bench.driver, 0), ==, 0);
    virtq_disable_interrupts(guest_queue_ring(bench.driver, 0));
    g_assert_true(toy_deliver(bench.toy, 0, "frame", 5));
    g_assert_cmpuint(guest_driver_interrupts(bench.driver, 1), ==, 0);
    g_assert_true(net_receive(bench.net, &packet));
    tear_down(&bench);

    set_up(&bench, usual_features(), 2, &shared);
    g_assert_true(guest_driver_start(bench.driver, features_known()));
    g_assert_cmpuint(bench.toy->queues[3].vector, ==, 1);
    g_assert_cmpuint(bench.toy->queues[4].vector, ==, 1);
    tear_down(&bench);

    set_up(&bench, usual_features(), 1, &intx);
    g_assert_true(guest_driver_start(bench.driver, features_known()));
    g_assert_cmpuint(bench.toy->queues[0].vector, ==, VIRTIO_MSI_NO_VECTOR);
    bench.net = net_new(bench.driver, NULL);
    g_assert_true(net_start(bench.net));
    g_assert_true(toy_deliver(bench.toy, 0, "frame", 5));
    g_assert_true(toy_deliver(bench.toy, 0, "frame", 5));
    g_assert_true(guest_driver_intx_level(bench.driver));
    g_assert_cmpuint(guest_driver_intx_count(bench.driver), ==, 1);
    g_assert_cmphex(guest_driver_isr(bench.driver), ==, VIRTIO_PCI_ISR_QUEUE);
    g_assert_false(guest_driver_intx_level(bench.driver));
    assert_no_complaints(&bench);
    tear_down(&bench);
}

static void fill_frame(uint8_t *frame, uint32_t len, unsigned seed)
{
    for (uint32_t i = 0; i < len; i++) {
        frame[i] = (uint8_t)(i * 7 + seed);
    }
}

/* Frames of many lengths out and back in, each exactly once and unharmed. */
static void loop_frames(struct bench *bench, uint32_t longest, unsigned rounds)
{
    uint8_t *frame = g_malloc(longest);
    struct guest_packet packet;
    uint64_t octets = 0;

    for (unsigned i = 0; i < rounds; i++) {
        uint32_t len = 1 + (i * 131) % longest;
        unsigned pair = i % bench->driver->pairs;

        fill_frame(frame, len, i);
        g_assert_true(net_transmit(bench->net, pair, NULL, frame, len));
        g_assert_true(net_receive(bench->net, &packet));
        g_assert_cmpuint(packet.pair, ==, pair);
        g_assert_cmpmem(packet.data, packet.len, frame, len);
        octets += packet.len;
        g_assert_false(net_receive(bench->net, &packet));
    }
    g_assert_cmpuint(octets, >, 0);
    for (unsigned i = 0; i < bench->driver->pairs; i++) {
        net_reclaim(bench->net, i);
        g_assert_cmpuint(net_transmit_pending(bench->net, i), ==, 0);
    }
    for (unsigned i = 0; i < 2 * bench->driver->pairs; i++) {
        g_assert_true(virtq_verify(guest_queue_ring(bench->driver, i)));
    }
    g_free(frame);
}

static void test_layouts(void)
{
    static const uint32_t cuts[] = {0, 3, 3, 11, 12, 13, 40};
    static const struct net_layout layouts[] = {
        {.shape = NET_WHOLE},
        {.shape = NET_HEADER_APART},
        {.shape = NET_HEADER_OCTETS},
        {.shape = NET_CUTS, .cuts = cuts, .n_cuts = G_N_ELEMENTS(cuts)},
        {.shape = NET_WHOLE, .indirect = true},
        {.shape = NET_HEADER_APART, .indirect = true},
        {.shape = NET_HEADER_APART, .indirect = true, .n_direct = 1},
        {.shape = NET_OCTETS, .indirect = true},
        {.shape = NET_OCTETS, .indirect = true, .n_direct = 20},
        {.shape = NET_CUTS, .cuts = cuts, .n_cuts = G_N_ELEMENTS(cuts), .indirect = true},
    };
    static const int rings[] = {-1, VIRTIO_F_EVENT_IDX, VIRTIO_F_IN_ORDER};

    for (gsize ring = 0; ring < G_N_ELEMENTS(rings); ring++) {
        for (gsize i = 0; i < G_N_ELEMENTS(layouts); i++) {
            struct guest_features offered = usual_features();
            struct net_options options = {
                .receive_size = 100,
                .receive_layout = layouts[i],
                .transmit_size = 4096,
                .transmit_layout = layouts[(i + 3) % G_N_ELEMENTS(layouts)],
                .poison = true,
            };
            struct bench bench;

            features_add(&offered, VIRTIO_F_INDIRECT_DESC);
            if (rings[ring] >= 0) {
                features_add(&offered, (unsigned)rings[ring]);
            }
            set_up_started(&bench, offered, 2, &options);
            /* A ring of 64 holds three buffers of 21 descriptors: 288 octets of frame. */
            loop_frames(&bench, 280, 1000);
            assert_no_complaints(&bench);
            tear_down(&bench);
        }
    }
}

static void test_every_octet_its_own_descriptor(void)
{
    struct net_options options = {
        .receive_size = 20,
        .receive_layout = {.shape = NET_OCTETS},
        .transmit_layout = {.shape = NET_OCTETS},
        .poison = true,
    };
    struct bench bench;

    set_up_started(&bench, usual_features(), 1, &options);
    loop_frames(&bench, 48, 500);
    assert_no_complaints(&bench);
    tear_down(&bench);
}

static void test_large_frames(void)
{
    struct guest_features offered = usual_features();
    struct bench bench;

    /* 65550 octets over buffers of 1534. */
    set_up_started(&bench, offered, 1, NULL);
    loop_frames(&bench, 65550, 1000);
    assert_no_complaints(&bench);
    tear_down(&bench);

    /* In one buffer. */
    features_remove(&offered, VIRTIO_NET_F_MRG_RXBUF);
    features_add(&offered, VIRTIO_NET_F_GUEST_CSUM);
    features_add(&offered, VIRTIO_NET_F_GUEST_TSO4);
    set_up_started(&bench, offered, 1, NULL);
    loop_frames(&bench, 65550, 300);
    assert_no_complaints(&bench);
    tear_down(&bench);
}

static void test_bursts(void)
{
    struct net_options options = {.transmit_buffers = 64, .transmit_size = 256};
    struct guest_packet packet;
    struct bench bench;
    uint8_t frame[64];

    set_up_started(&bench, usual_features(), 1, &options);
    for (unsigned round = 0; round < 100; round++) {
        for (unsigned i = 0; i < 64; i++) {
            fill_frame(frame, sizeof(frame), i);
            g_assert_true(net_transmit_add(bench.net, 0, NULL, NULL, frame, sizeof(frame)));
        }
        g_assert_false(net_transmit_add(bench.net, 0, NULL, NULL, frame, sizeof(frame)));
        net_transmit_flush(bench.net, 0);
        for (unsigned i = 0; i < 64; i++) {
            g_assert_true(net_receive(bench.net, &packet));
            g_assert_cmpuint(packet.data[0], ==, i);
        }
        g_assert_false(net_receive(bench.net, &packet));
    }
    g_assert_cmpuint(bench.toy->transmitted, ==, 6400);
    assert_no_complaints(&bench);
    tear_down(&bench);
}

static void test_received_header(void)
{
    struct guest_features offered = usual_features();
    struct guest_packet packet;
    struct bench bench;

    features_add(&offered, VIRTIO_NET_F_HASH_REPORT);
    set_up_started(&bench, offered, 2, NULL);
    bench.toy->hash_value = 0x51ccc178;
    bench.toy->hash_report = VIRTIO_NET_HASH_REPORT_TCPv4;
    g_assert_cmpuint(net_header_size(bench.net), ==, 20);
    g_assert_true(toy_deliver(bench.toy, 1, "frame", 5));
    g_assert_true(net_receive(bench.net, &packet));
    g_assert_cmpuint(packet.pair, ==, 1);
    g_assert_cmpuint(packet.n_buffers, ==, 1);
    g_assert_cmphex(packet.header.hash_value, ==, 0x51ccc178);
    g_assert_cmpuint(packet.header.hash_report, ==, VIRTIO_NET_HASH_REPORT_TCPv4);
    g_assert_cmpmem(packet.data, packet.len, "frame", 5);
    g_assert_cmpmem(packet.raw_header, 20, "\0\0\0\0\0\0\0\0\0\0\1\0\x78\xc1\xcc\x51\2\0\0\0", 20);
    assert_no_complaints(&bench);
    bench.toy->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    g_assert_true(toy_deliver(bench.toy, 1, "frame", 5));
    g_assert_true(net_receive(bench.net, &packet));
    assert_complaint(&bench, "receiveq2: a flag is not negotiated");
    tear_down(&bench);
}

static void test_header_layout(void)
{
    static const struct net_header header = {
        .flags = 0x01,
        .gso_type = 0x02,
        .hdr_len = 0x0304,
        .gso_size = 0x0506,
        .csum_start = 0x0708,
        .csum_offset = 0x090a,
        .num_buffers = 0x0b0c,
        .hash_value = 0x0d0e0f10,
        .hash_report = 0x1112,
        .hash_report_tunnel = 0x13,
        .padding = 0x14,
        .outer_th_offset = 0x1516,
        .inner_nh_offset = 0x1718,
        .outer_nh_offset = 0x191a,
    };
    static const uint8_t octets[33] =
        "\x01\x02\x04\x03\x06\x05\x08\x07\x0a\x09\x0c\x0b\x10\x0f\x0e\x0d"
        "\x12\x11\x13\x14\x16\x15\x18\x17\x1a\x19\0\0\0\0\0\0";
    static const unsigned sizes[] = {12, 20, 24, 32};
    struct guest_features features = {{0}};
    struct net_header loaded;
    uint8_t stored[33];

    for (gsize i = 0; i < G_N_ELEMENTS(sizes); i++) {
        memset(stored, 0xee, sizeof(stored));
        header_store(stored, sizes[i], false, &header);
        g_assert_cmpmem(stored, sizes[i], octets, sizes[i]);
        g_assert_cmphex(stored[sizes[i]], ==, 0xee);
    }
    header_load(octets, 20, false, &loaded);
    g_assert_cmphex(loaded.hash_value, ==, 0x0d0e0f10);
    g_assert_cmphex(loaded.hash_report_tunnel, ==, 0x13);
    g_assert_cmphex(loaded.outer_th_offset, ==, 0);
    header_load(octets, 32, false, &loaded);
    header_store(stored, 32, false, &loaded);
    g_assert_cmpmem(stored, 32, octets, 32);

    header_load(octets, 10, true, &loaded);
    g_assert_cmphex(loaded.hdr_len, ==, 0x0403);
    g_assert_cmphex(loaded.gso_size, ==, 0x0605);
    g_assert_cmphex(loaded.csum_start, ==, 0x0807);
    g_assert_cmphex(loaded.csum_offset, ==, 0x0a09);
    g_assert_cmpuint(loaded.num_buffers, ==, 1);
    memset(stored, 0xee, sizeof(stored));
    header_store(stored, 10, true, &loaded);
    g_assert_cmpmem(stored, 10, octets, 10);
    g_assert_cmphex(stored[10], ==, 0xee);

    g_assert_cmpuint(header_size(&features), ==, 10);
    features_add(&features, VIRTIO_NET_F_MRG_RXBUF);
    g_assert_cmpuint(header_size(&features), ==, 12);
    features_remove(&features, VIRTIO_NET_F_MRG_RXBUF);
    features_add(&features, VIRTIO_F_VERSION_1);
    g_assert_cmpuint(header_size(&features), ==, 12);
    features_add(&features, VIRTIO_NET_F_HASH_REPORT);
    g_assert_cmpuint(header_size(&features), ==, 20);
    features_add(&features, VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO);
    g_assert_cmpuint(header_size(&features), ==, 24);
    features_add(&features, VIRTIO_NET_F_OUT_NET_HEADER);
    g_assert_cmpuint(header_size(&features), ==, 32);
}

static void test_lies_about_buffers(void)
{
    struct guest_features one_buffer = usual_features();
    struct net_options options = {.poison = true};
    struct guest_packet packet;
    struct bench bench;

    set_up_started(&bench, usual_features(), 1, &options);
    bench.toy->buffers_off = 1;
    g_assert_true(toy_deliver(bench.toy, 0, "frame", 5));
    g_assert_false(net_receive(bench.net, &packet));
    assert_complaint(&bench, "a buffer is not filled");
    bench.toy->buffers_off = 0xffff;
    g_assert_true(toy_deliver(bench.toy, 0, "frame", 5));
    g_assert_false(net_receive(bench.net, &packet));
    assert_complaint(&bench, "num_buffers is impossible");
    complaints_clear(guest_driver_complaints(bench.driver));
    bench.toy->buffers_off = 0;
    bench.toy->overrun = true;
    g_assert_true(toy_deliver(bench.toy, 0, "frame", 5));
    g_assert_true(net_receive(bench.net, &packet));
    g_assert_cmpuint(packet.len, ==, 5);
    assert_complaint(&bench, "octet 17 of a buffer was written, its used length is 17");
    bench.toy->overrun = false;
    complaints_clear(guest_driver_complaints(bench.driver));
    /* All the buffers are still there. */
    loop_frames(&bench, 1400, 200);
    assert_no_complaints(&bench);
    tear_down(&bench);

    features_remove(&one_buffer, VIRTIO_NET_F_MRG_RXBUF);
    set_up_started(&bench, one_buffer, 1, NULL);
    bench.toy->buffers_off = 1;
    g_assert_true(toy_deliver(bench.toy, 0, "frame", 5));
    g_assert_false(net_receive(bench.net, &packet));
    assert_complaint(&bench, "num_buffers is impossible");
    tear_down(&bench);
}

static void test_buffers_held_back(void)
{
    struct net_options options = {.receive_size = 100, .receive_buffers = 4, .hold = true};
    struct guest_packet packet;
    struct bench bench;
    uint8_t frame[250] = {1};

    set_up_started(&bench, usual_features(), 1, &options);
    g_assert_cmpuint(net_post(bench.net, 0, 2), ==, 2);
    g_assert_false(toy_deliver(bench.toy, 0, frame, sizeof(frame)));
    g_assert_cmpuint(net_post(bench.net, 0, 1), ==, 1);
    g_assert_true(toy_deliver(bench.toy, 0, frame, sizeof(frame)));
    g_assert_true(net_receive(bench.net, &packet));
    g_assert_cmpuint(packet.n_buffers, ==, 3);
    g_assert_cmpmem(packet.data, packet.len, frame, sizeof(frame));
    g_assert_cmpuint(net_post(bench.net, 0, 9), ==, 1);
    net_recycle(bench.net);
    g_assert_false(toy_deliver(bench.toy, 0, frame, sizeof(frame)));
    g_assert_cmpuint(net_post(bench.net, 0, 9), ==, 3);
    g_assert_true(toy_deliver(bench.toy, 0, frame, sizeof(frame)));
    assert_no_complaints(&bench);
    tear_down(&bench);
}

static void test_queue_reset_and_resize(void)
{
    struct guest_features offered = usual_features();
    struct bench bench;

    features_add(&offered, VIRTIO_F_EVENT_IDX);
    set_up_started(&bench, offered, 2, NULL);
    loop_frames(&bench, 1000, 100);
    g_assert_true(net_reset_queue(bench.net, 0, 16));
    g_assert_cmpuint(bench.toy->queues[0].size, ==, 16);
    g_assert_true(net_reset_queue(bench.net, 3, 8));
    g_assert_true(net_reset_queue(bench.net, 4, 2));
    loop_frames(&bench, 1000, 100);
    g_assert_cmpint(net_control_pairs(bench.net, 2), ==, VIRTIO_NET_OK);
    g_assert_true(net_reset_queue(bench.net, 0, 0));
    g_assert_cmpuint(bench.toy->queues[0].size, ==, 64);
    loop_frames(&bench, 1000, 100);
    g_assert_true(guest_driver_start(bench.driver, features_known()));
    g_assert_true(net_start(bench.net));
    loop_frames(&bench, 1000, 100);
    assert_no_complaints(&bench);
    tear_down(&bench);
}

/* Compare the last command with octets in hexadecimal. */
static void assert_command(struct bench *bench, const char *hex)
{
    GString *found = g_string_new(NULL);
    GString *wanted = g_string_new(NULL);

    for (; *hex; hex++) {
        if (*hex != ' ') {
            g_string_append_c(wanted, *hex);
        }
    }
    for (guint i = 0; i < bench->toy->command->len; i++) {
        g_string_append_printf(found, "%02x", bench->toy->command->data[i]);
    }
    g_assert_cmpstr(found->str, ==, wanted->str);
    g_string_free(found, TRUE);
    g_string_free(wanted, TRUE);
}

static void test_commands(void)
{
    static const uint8_t macs[] = "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02";
    static const uint16_t table[] = {3, 0x0102};
    static const uint8_t key[] = {0xaa, 0xbb, 0xcc};
    struct net_rss rss = {
        .hash_types = 0x01020304,
        .table = table,
        .table_len = 2,
        .unclassified_queue = 5,
        .max_tx_vq = 4,
        .key = key,
        .key_len = 3,
    };
    struct guest_net *net;
    struct bench bench;

    set_up_started(&bench, usual_features(), 1, NULL);
    net = bench.net;
    g_assert_cmpint(net_control_rx(net, VIRTIO_NET_CTRL_RX_NOMULTI, true), ==, VIRTIO_NET_OK);
    assert_command(&bench, "00 03 01");
    g_assert_cmpuint(net_control_used_len(net), ==, 1);
    g_assert_cmpint(net_control_mac_table(net, macs, 2, NULL, 0), ==, VIRTIO_NET_OK);
    assert_command(&bench, "01 00 02000000 020000000001 020000000002 00000000");
    g_assert_cmpint(net_control_mac_table(net, macs, 0, macs, 1), ==, VIRTIO_NET_OK);
    assert_command(&bench, "01 00 00000000 01000000 020000000001");
    g_assert_cmpint(net_control_mac(net, macs), ==, VIRTIO_NET_OK);
    assert_command(&bench, "01 01 020000000001");
    bench.toy->ack = VIRTIO_NET_ERR;
    g_assert_cmpint(net_control_vlan_add(net, 0xabc), ==, VIRTIO_NET_ERR);
    assert_command(&bench, "02 00 bc0a");
    bench.toy->ack = 0x42;
    g_assert_cmpint(net_control_vlan_del(net, 0xabc), ==, 0x42);
    assert_command(&bench, "02 01 bc0a");
    bench.toy->ack = VIRTIO_NET_OK;
    g_assert_cmpint(net_control_announce_ack(net), ==, VIRTIO_NET_OK);
    assert_command(&bench, "03 00");
    g_assert_cmpint(net_control_pairs(net, 0x102), ==, VIRTIO_NET_OK);
    assert_command(&bench, "04 00 0201");
    g_assert_cmpint(net_control_rss(net, &rss), ==, VIRTIO_NET_OK);
    assert_command(&bench, "04 01 04030201 0100 0500 0300 0201 0400 03 aabbcc");
    g_assert_cmpint(net_control_hash(net, &rss), ==, VIRTIO_NET_OK);
    assert_command(&bench, "04 02 04030201 0000000000000000 03 aabbcc");
    rss.has_tunnel_types = true;
    rss.tunnel_types = 0x0a0b0c0d;
    rss.table = NULL;
    rss.table_len = 4;
    rss.max_tx_vq = 3;
    g_assert_cmpint(net_control_rss(net, &rss), ==, VIRTIO_NET_OK);
    assert_command(&bench, "04 01 04030201 0300 0500 0000 0100 0200 0000 0300 03 aabbcc 0d0c0b0a");
    g_assert_cmpint(net_control_hash(net, &rss), ==, VIRTIO_NET_OK);
    assert_command(&bench, "04 02 04030201 0000000000000000 03 aabbcc 0d0c0b0a");
    g_assert_cmpint(net_control_offloads(net, 0x0102030405060708), ==, VIRTIO_NET_OK);
    assert_command(&bench, "05 00 0807060504030201");
    g_assert_cmpint(net_control_coalesce_tx(net, 1, 2), ==, VIRTIO_NET_OK);
    assert_command(&bench, "06 00 01000000 02000000");
    g_assert_cmpint(net_control_coalesce_rx(net, 1, 2), ==, VIRTIO_NET_OK);
    assert_command(&bench, "06 01 01000000 02000000");
    g_assert_cmpint(net_control_coalesce_queue(net, 3, 1, 2), ==, VIRTIO_NET_OK);
    assert_command(&bench, "06 02 0300 0000 01000000 02000000");
    g_assert_cmpint(net_control_hash_tunnel(net, 0x1ff), ==, VIRTIO_NET_OK);
    assert_command(&bench, "07 00 ff010000");
    assert_no_complaints(&bench);
    tear_down(&bench);
}

static void test_command_replies(void)
{
    uint32_t packets = 0;
    uint32_t usecs = 0;
    uint8_t reply[4];
    struct bench bench;

    set_up_started(&bench, usual_features(), 1, NULL);
    g_byte_array_append(bench.toy->reply, (const guint8 *)"\1\2\3\4\5\6\7\10", 8);
    bench.toy->reply_first = true;
    g_assert_cmpint(net_control_coalesce_get(bench.net, 2, &packets, &usecs), ==, VIRTIO_NET_OK);
    assert_command(&bench, "06 03 0200 0000");
    g_assert_cmphex(packets, ==, 0x04030201);
    g_assert_cmphex(usecs, ==, 0x08070605);
    g_assert_cmpuint(net_control_used_len(bench.net), ==, 9);
    bench.toy->reply_first = false;
    g_assert_cmpint(net_control(bench.net, 8, 1, "x", 1, reply, sizeof(reply)), ==, VIRTIO_NET_OK);
    g_assert_cmpmem(reply, 4, "\1\2\3\4", 4);
    assert_no_complaints(&bench);

    /* An ack that never was in what the device says it wrote. */
    bench.toy->ack = 1;
    g_byte_array_set_size(bench.toy->reply, 0);
    g_assert_cmpint(net_control_coalesce_get(bench.net, 2, &packets, &usecs), ==, 0xff);
    tear_down(&bench);
}

static void test_command_layouts(void)
{
    static const uint32_t cuts[] = {1, 5};
    struct net_control_layout layout = {
        .command = {.shape = NET_CUTS, .cuts = cuts, .n_cuts = 2},
        .reply = {.shape = NET_OCTETS},
        .more_ack = 2,
    };
    struct guest_packet packet;
    uint8_t writable[4];
    struct bench bench;

    set_up_started(&bench, usual_features(), 1, NULL);
    for (unsigned indirect = 0; indirect < 2; indirect++) {
        layout.command.indirect = indirect;
        g_assert_cmpint(net_control_laid_out(bench.net, &layout, 4, 9, "payload", 7, NULL, 0), ==,
                        VIRTIO_NET_OK);
        assert_command(&bench, "04 09 7061796c6f6164");
    }
    /* One readable octet; no writable one. */
    g_assert_cmpint(net_control_octets(bench.net, NULL, "\7", 1, 1, writable, 1, 1), ==, 1);
    assert_command(&bench, "07");
    g_assert_cmpint(net_control_octets(bench.net, NULL, "\7\1", 2, 2, NULL, 0, 0), ==, 0);
    assert_command(&bench, "0701");
    g_assert_cmpint(net_control_octets(bench.net, NULL, NULL, 0, 0, writable, 4, 1), ==, 1);
    g_assert_cmpmem(writable, 4, "\0\xff\xff\xff", 4);
    g_assert_false(net_receive(bench.net, &packet));
    assert_no_complaints(&bench);
    tear_down(&bench);
}

static void test_command_without_answer(void)
{
    struct net_options options = {.control_wait_us = 1000};
    struct bench bench;

    set_up_started(&bench, usual_features(), 1, &options);
    bench.toy->mute = true;
    g_assert_cmpint(net_control_announce_ack(bench.net), ==, NET_CONTROL_NONE);
    g_assert_cmpint(net_control_announce_ack(bench.net), ==, NET_CONTROL_NONE);
    bench.toy->mute = false;
    /* The answer to the first one comes late; from then on commands go again. */
    guest_queue_notify(bench.driver, bench.driver->control);
    assert_command(&bench, "03 00");
    g_assert_cmpint(net_control_vlan_add(bench.net, 1), ==, VIRTIO_NET_OK);
    assert_command(&bench, "02 00 0100");
    assert_no_complaints(&bench);
    tear_down(&bench);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    packed = g_strcmp0(g_getenv("VIONET_TEST_RING"), "packed") == 0;
    g_test_add_func("/driver/probe", test_probe);
    g_test_add_func("/driver/start", test_start);
    g_test_add_func("/driver/control-queue-without-multiqueue",
                    test_control_queue_without_multiqueue);
    g_test_add_func("/driver/features-refused", test_features_refused);
    g_test_add_func("/driver/device-that-does-not-reset", test_device_that_does_not_reset);
    g_test_add_func("/driver/configuration-that-never-rests", test_configuration_that_never_rests);
    g_test_add_func("/driver/capability-list-that-does-not-end",
                    test_capability_list_that_does_not_end);
    g_test_add_func("/driver/structures-out-of-bounds", test_structures_out_of_bounds);
    g_test_add_func("/driver/table-out-of-bounds-means-intx", test_table_out_of_bounds_means_intx);
    g_test_add_func("/driver/notification-forms", test_notification_forms);
    g_test_add_func("/driver/notification-outside-of-its-structure",
                    test_notification_outside_of_its_structure);
    g_test_add_func("/driver/config-access-capability", test_config_access_capability);
    g_test_add_func("/driver/interrupts", test_interrupts);
    g_test_add_func("/net/layouts", test_layouts);
    g_test_add_func("/net/every-octet-its-own-descriptor", test_every_octet_its_own_descriptor);
    g_test_add_func("/net/large-frames", test_large_frames);
    g_test_add_func("/net/bursts", test_bursts);
    g_test_add_func("/net/received-header", test_received_header);
    g_test_add_func("/net/header-layout", test_header_layout);
    g_test_add_func("/net/lies-about-buffers", test_lies_about_buffers);
    g_test_add_func("/net/buffers-held-back", test_buffers_held_back);
    g_test_add_func("/net/queue-reset-and-resize", test_queue_reset_and_resize);
    g_test_add_func("/control/commands", test_commands);
    g_test_add_func("/control/command-replies", test_command_replies);
    g_test_add_func("/control/command-layouts", test_command_layouts);
    g_test_add_func("/control/command-without-answer", test_command_without_answer);
    return g_test_run();
}
