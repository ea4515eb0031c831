/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interrupts of the PCI function (VIRTIO 1.4, 4.1.4.5, 4.1.5.1.2, 4.1.5.3, 4.1.5.4; PCI Local Bus 3.0,
 * 6.2 and 6.8): MSI-X vectors, masks and pending bits, INTx, ISR status and the status register. The
 * bus here is the test's own, which keeps every message and every level.
 */
#include <string.h>

#include <vionet/device.h>
#include <vionet/pci.h>
#include <vionet/spec.h>
#include <vionet/transport.h>

#include "driver/control.h"
#include "driver/driver.h"
#include "driver/net.h"
#include "driver/queue.h"

#define MAX_MESSAGES 256
#define NO_VECTOR    0xffff

static const uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5};

struct message {
    unsigned vector;
    uint64_t address;
    uint32_t data;
};

struct bench {
    VionetDevice *device;
    VionetPci *pci;
    struct guest_memory *memory;
    struct guest_access access;
    struct guest_driver *driver;
    struct guest_net *net;
    unsigned n_messages;
    struct message messages[MAX_MESSAGES];
    bool level;
    unsigned rises;
    uint32_t status_at_rise; /* of configuration space */
    uint8_t isr_at_message;
    bool look_at_isr;
    unsigned violations;
};

/* ---- the bus ---- */

static uint64_t bar_read(void *opaque, unsigned bar, uint64_t offset, unsigned size)
{
    return vionet_pci_bar_read(((struct bench *)opaque)->pci, bar, offset, size);
}

static void bar_write(void *opaque, unsigned bar, uint64_t offset, unsigned size, uint64_t value)
{
    vionet_pci_bar_write(((struct bench *)opaque)->pci, bar, offset, size, value);
}

static uint32_t config_read(void *opaque, uint32_t offset, unsigned size)
{
    return vionet_pci_config_read(((struct bench *)opaque)->pci, offset, size);
}

static void config_write(void *opaque, uint32_t offset, unsigned size, uint32_t value)
{
    vionet_pci_config_write(((struct bench *)opaque)->pci, offset, size, value);
}

static void send_message(void *opaque, unsigned vector, uint64_t address, uint32_t data)
{
    struct bench *bench = opaque;

    if (bench->n_messages < MAX_MESSAGES) {
        bench->messages[bench->n_messages] = (struct message){vector, address, data};
    }
    bench->n_messages++;
    if (bench->look_at_isr) {
        bench->isr_at_message = guest_driver_isr(bench->driver);
    }
}

static void set_level(void *opaque, bool level)
{
    struct bench *bench = opaque;

    if (level && !bench->level) {
        bench->rises++;
        bench->status_at_rise = vionet_pci_config_read(bench->pci, 6, 2);
    }
    bench->level = level;
}

static void note_event(void *opaque, const VionetEvent *event)
{
    ((struct bench *)opaque)->violations +=
        event->kind == VIONET_EVENT_VIOLATION && event->violation == VIONET_VIOLATION_VECTOR_RANGE;
}

/* A device of two pairs with so many vectors. */
static void build(struct bench *bench, uint16_t n_vectors, bool msi, bool intx)
{
    const VionetHostOps host = {.size = sizeof(host), .event = note_event};
    const VionetPciOps bus = {
        .size = sizeof(bus), .msi = msi ? send_message : NULL, .intx = intx ? set_level : NULL};
    const struct guest_driver_options options = {.intx = !msi || n_vectors == 0};
    const struct guest_region *regions;
    VionetPciConfig pci_config;
    VionetConfig config;

    memset(bench, 0, sizeof(*bench));
    vionet_config_init(&config);
    config.max_pairs = 2;
    vionet_features_set(config.features, VIRTIO_NET_F_MQ, true);
    vionet_features_set(config.features, VIRTIO_F_EVENT_IDX, false);
    vionet_pci_config_init(&pci_config);
    pci_config.n_vectors = n_vectors;
    bench->device = vionet_device_new(&config, &host, bench, NULL);
    bench->pci = vionet_pci_new(bench->device, &pci_config, &bus, bench, NULL);
    if (!bench->pci) {
        g_error("no function");
    }
    bench->memory = guest_memory_flat(UINT64_C(1) << 20, UINT64_C(32) << 20);
    guest_memory_regions(bench->memory, &regions);
    g_assert_true(vionet_device_map(bench->device, regions[0].gpa, regions[0].host, regions[0].size,
                                    0, NULL));
    bench->access = (struct guest_access){bench, config_read, config_write, bar_read, bar_write};
    bench->driver = guest_driver_new(&bench->access, bench->memory, &options);
}

static void start(struct bench *bench)
{
    if (!guest_driver_start(bench->driver, features_known())) {
        g_error("the driver does not start");
    }
    if (!bench->net) {
        bench->net = net_new(bench->driver, &(struct net_options){.transmit_size = 2048});
    }
    g_assert_true(net_start(bench->net));
    bench->n_messages = 0;
}

static void set_up(struct bench *bench, uint16_t n_vectors)
{
    build(bench, n_vectors, true, true);
    start(bench);
}

static void tear_down(struct bench *bench)
{
    char *text = complaints_text(guest_driver_complaints(bench->driver));

    g_assert_cmpstr(text, ==, "");
    g_free(text);
    net_free(bench->net);
    guest_driver_free(bench->driver);
    vionet_pci_free(bench->pci);
    vionet_device_free(bench->device);
    guest_memory_free(bench->memory);
}

/* ---- causes ---- */

static void receive_frame(struct bench *bench)
{
    const struct iovec piece = {(void *)frame, sizeof(frame)};
    const VionetFrame one = {.iov = &piece, .n_iov = 1};
    struct guest_packet packet;

    g_assert_cmpuint(vionet_device_receive(bench->device, 0, &one, 1, NULL, 0), ==, 1);
    g_assert_true(net_receive(bench->net, &packet));
}

static void transmit_frame(struct bench *bench, unsigned pair)
{
    VionetFrame one;

    g_assert_true(net_transmit(bench->net, pair, NULL, frame, sizeof(frame)));
    g_assert_cmpuint(vionet_device_transmit(bench->device, pair, &one, 1), ==, 1);
    vionet_device_complete(bench->device, pair, &one, 1);
    g_assert_cmpuint(net_reclaim(bench->net, pair), ==, 1);
}

/* Two changes: the link goes down and up. */
static void change_config(struct bench *bench)
{
    vionet_device_set_link(bench->device, false);
    vionet_device_set_link(bench->device, true);
}

/* One notification of a queue: receive 0, transmit 1 or 3, control 4. */
static void notify(struct bench *bench, unsigned queue)
{
    if (queue == 4) {
        g_assert_cmpint(net_control_rx(bench->net, 0, false), ==, VIRTIO_NET_OK);
    } else if (queue % 2) {
        transmit_frame(bench, queue / 2);
    } else {
        receive_frame(bench);
    }
}

static const unsigned queues[] = {0, 1, 3, 4};

static uint16_t set_queue_vector(struct bench *bench, unsigned queue, uint16_t vector)
{
    return guest_queue_vector(bench->driver, queue, vector);
}

static uint16_t set_config_vector(struct bench *bench, uint16_t vector)
{
    guest_common_write(bench->driver, 16, 2, vector);
    return (uint16_t)guest_common_read(bench->driver, 16, 2);
}

static void expect_messages(struct bench *bench, unsigned n, unsigned vector)
{
    g_assert_cmpuint(bench->n_messages, ==, n);
    for (unsigned i = 0; i < MIN(n, bench->n_messages); i++) {
        g_assert_cmpuint(bench->messages[i].vector, ==, vector);
    }
    bench->n_messages = 0;
}

/* ---- vectors ---- */

static void test_capability(void)
{
    static const uint16_t counts[] = {1, 2, 3, 6, 64, 65, 255, 256, 257, 2048};

    for (unsigned i = 0; i < G_N_ELEMENTS(counts); i++) {
        struct bench bench;

        set_up(&bench, counts[i]);
        g_assert_true(bench.driver->pci.msix.present);
        g_assert_cmpuint(bench.driver->pci.msix.vectors, ==, counts[i]);
        notify(&bench, 0);
        g_assert_cmpuint(bench.n_messages, ==, 1);
        tear_down(&bench);
    }
}

/* Address and data go out as the driver wrote them. */
static void test_message(void)
{
    struct bench bench;

    set_up(&bench, 6);
    for (unsigned vector = 0; vector < 6; vector++) {
        const uint64_t address = UINT64_C(0x1122334400000000) * vector + 0xfee00000 + 4 * vector;

        pci_msix_entry(&bench.driver->pci, vector, address, 0xdeadbe00 + vector, false);
        g_assert_cmpuint(set_queue_vector(&bench, 0, (uint16_t)vector), ==, vector);
        notify(&bench, 0);
        g_assert_cmpuint(bench.n_messages, ==, 1);
        g_assert_cmpuint(bench.messages[0].vector, ==, vector);
        g_assert_cmphex(bench.messages[0].address, ==, address);
        g_assert_cmphex(bench.messages[0].data, ==, 0xdeadbe00 + vector);
        bench.n_messages = 0;
    }
    tear_down(&bench);
}

/* Any event to any vector, several to one. */
static void test_any_vector(void)
{
    struct bench bench;

    set_up(&bench, 7);
    g_assert_cmpuint(pci_msix_setup(&bench.driver->pci, 7), ==, 7);
    for (uint16_t vector = 0; vector < 7; vector++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(queues); i++) {
            g_assert_cmpuint(set_queue_vector(&bench, queues[i], vector), ==, vector);
        }
        g_assert_cmpuint(set_config_vector(&bench, vector), ==, vector);
        for (unsigned i = 0; i < G_N_ELEMENTS(queues); i++) {
            notify(&bench, queues[i]);
            expect_messages(&bench, 1, vector);
        }
        change_config(&bench);
        expect_messages(&bench, 2, vector);
    }
    tear_down(&bench);
}

static void test_no_vector(void)
{
    struct bench bench;

    set_up(&bench, 6);
    for (unsigned i = 0; i < G_N_ELEMENTS(queues); i++) {
        g_assert_cmpuint(set_queue_vector(&bench, queues[i], NO_VECTOR), ==, NO_VECTOR);
        notify(&bench, queues[i]);
    }
    g_assert_cmpuint(set_config_vector(&bench, NO_VECTOR), ==, NO_VECTOR);
    change_config(&bench);
    g_assert_cmpuint(bench.n_messages, ==, 0);
    g_assert_false(bench.level);
    g_assert_cmpuint(bench.rises, ==, 0);
    g_assert_cmpuint(bench.violations, ==, 0);
    tear_down(&bench);
}

/* C-07: a vector that does not exist reads back as none, and is not used at interrupt time. */
static void test_vector_range(void)
{
    static const uint16_t bad[] = {6, 7, 0x7ff, 0x800, 0x7fff, 0x8000, 0xfffe};
    struct bench bench;

    set_up(&bench, 6);
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        for (unsigned q = 0; q < G_N_ELEMENTS(queues); q++) {
            g_assert_cmpuint(set_queue_vector(&bench, queues[q], 0), ==, 0);
            g_assert_cmpuint(set_queue_vector(&bench, queues[q], bad[i]), ==, NO_VECTOR);
            notify(&bench, queues[q]);
        }
        g_assert_cmpuint(set_config_vector(&bench, 5), ==, 5);
        g_assert_cmpuint(set_config_vector(&bench, bad[i]), ==, NO_VECTOR);
        change_config(&bench);
        g_assert_cmpuint(bench.n_messages, ==, 0);
    }
    g_assert_cmpuint(bench.violations, >, 0);
    g_assert_cmpuint(vionet_device_violations(bench.device, VIONET_VIOLATION_VECTOR_RANGE), ==,
                     G_N_ELEMENTS(bad) * (G_N_ELEMENTS(queues) + 1));
    g_assert_cmpuint(set_queue_vector(&bench, 0, 5), ==, 5);
    notify(&bench, 0);
    expect_messages(&bench, 1, 5);
    tear_down(&bench);
}

static void test_vectors_after_reset(void)
{
    struct bench bench;

    set_up(&bench, 6);
    g_assert_true(guest_driver_reset(bench.driver));
    g_assert_cmpuint(guest_common_read(bench.driver, 16, 2), ==, NO_VECTOR);
    for (unsigned queue = 0; queue < 5; queue++) {
        guest_common_write(bench.driver, 22, 2, queue);
        g_assert_cmpuint(guest_common_read(bench.driver, 26, 2), ==, NO_VECTOR);
    }
    tear_down(&bench);
}

/* ---- masks ---- */

static void test_masked_vector(void)
{
    struct bench bench;

    set_up(&bench, 6);
    set_queue_vector(&bench, 0, 3);
    set_queue_vector(&bench, 1, 4);
    pci_msix_mask(&bench.driver->pci, 3, true);
    for (unsigned i = 0; i < 3; i++) {
        notify(&bench, 0);
    }
    g_assert_cmpuint(bench.n_messages, ==, 0);
    for (unsigned vector = 0; vector < 6; vector++) {
        g_assert_cmpint(pci_msix_pending(&bench.driver->pci, vector), ==, vector == 3);
    }
    notify(&bench, 1);
    expect_messages(&bench, 1, 4);
    pci_msix_mask(&bench.driver->pci, 3, false);
    expect_messages(&bench, 1, 3); /* one for all */
    g_assert_false(pci_msix_pending(&bench.driver->pci, 3));
    pci_msix_mask(&bench.driver->pci, 3, true);
    pci_msix_mask(&bench.driver->pci, 3, false);
    g_assert_cmpuint(bench.n_messages, ==, 0);
    tear_down(&bench);
}

/* What was written to the entry while it was masked is what is sent. */
static void test_entry_changed_while_pending(void)
{
    struct bench bench;

    set_up(&bench, 6);
    set_queue_vector(&bench, 0, 3);
    pci_msix_mask(&bench.driver->pci, 3, true);
    notify(&bench, 0);
    pci_msix_entry(&bench.driver->pci, 3, 0xabcd0000, 0x77, true);
    g_assert_cmpuint(bench.n_messages, ==, 0);
    pci_msix_mask(&bench.driver->pci, 3, false);
    g_assert_cmpuint(bench.n_messages, ==, 1);
    g_assert_cmphex(bench.messages[0].address, ==, 0xabcd0000);
    g_assert_cmphex(bench.messages[0].data, ==, 0x77);
    tear_down(&bench);
}

static void test_function_mask(void)
{
    struct bench bench;

    set_up(&bench, 6);
    set_queue_vector(&bench, 0, 2);
    set_queue_vector(&bench, 1, 5);
    pci_msix_mask(&bench.driver->pci, 5, true);
    pci_msix_control(&bench.driver->pci, true, true);
    notify(&bench, 0);
    notify(&bench, 0);
    notify(&bench, 1);
    change_config(&bench);
    g_assert_cmpuint(bench.n_messages, ==, 0);
    g_assert_true(pci_msix_pending(&bench.driver->pci, 2));
    g_assert_true(pci_msix_pending(&bench.driver->pci, 5));
    g_assert_true(pci_msix_pending(&bench.driver->pci, 0));
    pci_msix_control(&bench.driver->pci, true, false);
    g_assert_cmpuint(bench.n_messages, ==, 2);
    g_assert_cmpuint(bench.messages[0].vector + bench.messages[1].vector, ==, 2);
    bench.n_messages = 0;
    g_assert_true(pci_msix_pending(&bench.driver->pci, 5));
    pci_msix_mask(&bench.driver->pci, 5, false);
    expect_messages(&bench, 1, 5);
    tear_down(&bench);
}

/* C-07: the queue's vector changes while its interrupt is pending. */
static void test_vector_changed_while_pending(void)
{
    struct bench bench;

    set_up(&bench, 6);
    set_queue_vector(&bench, 0, 2);
    pci_msix_mask(&bench.driver->pci, 2, true);
    notify(&bench, 0);
    set_queue_vector(&bench, 0, 4);
    notify(&bench, 0);
    expect_messages(&bench, 1, 4);
    set_queue_vector(&bench, 0, NO_VECTOR);
    notify(&bench, 0);
    g_assert_cmpuint(bench.n_messages, ==, 0);
    pci_msix_mask(&bench.driver->pci, 2, false);
    expect_messages(&bench, 1, 2);
    tear_down(&bench);
}

/* After reset entries are masked and empty, and MSI-X is off (PCI 6.8.2). */
static void test_table_after_bus_reset(void)
{
    struct bench bench;

    set_up(&bench, 6);
    set_queue_vector(&bench, 0, 2);
    pci_msix_mask(&bench.driver->pci, 2, true);
    notify(&bench, 0);
    vionet_pci_reset(bench.pci);
    for (unsigned vector = 0; vector < 6; vector++) {
        for (unsigned word = 0; word < 4; word++) {
            g_assert_cmphex(vionet_pci_bar_read(
                                bench.pci, bench.driver->pci.msix.table_bar,
                                bench.driver->pci.msix.table_offset + 16 * vector + 4 * word, 4),
                            ==, word == 3);
        }
        g_assert_false(pci_msix_pending(&bench.driver->pci, vector));
    }
    g_assert_cmphex(vionet_pci_config_read(bench.pci, bench.driver->pci.msix.at + 2u, 2), ==, 5);
    g_assert_cmpuint(bench.n_messages, ==, 0);
    bench.driver->probed = false;
    start(&bench);
    notify(&bench, 0);
    g_assert_cmpuint(bench.n_messages, ==, 1);
    tear_down(&bench);
}

/* C-07: table and pending bits know accesses of 4 and 8 octets, aligned; others do no harm. */
static void test_table_accesses(void)
{
    struct bench bench;
    uint64_t table;

    set_up(&bench, 6);
    table = bench.driver->pci.msix.table_offset + 16;
    pci_msix_entry(&bench.driver->pci, 1, 0x1122334455667788, 0x99aabbcc, true);
    g_assert_cmphex(vionet_pci_bar_read(bench.pci, 1, table, 4), ==, 0x55667788);
    g_assert_cmphex(vionet_pci_bar_read(bench.pci, 1, table, 8), ==, 0x1122334455667788);
    g_assert_cmphex(vionet_pci_bar_read(bench.pci, 1, table + 8, 8), ==, 0x0000000199aabbcc);
    for (unsigned offset = 0; offset < 16; offset++) {
        static const unsigned widths[] = {1, 2, 3, 4, 8};

        for (unsigned i = 0; i < G_N_ELEMENTS(widths); i++) {
            if (widths[i] < 4 || offset % widths[i]) {
                vionet_pci_bar_write(bench.pci, 1, table + offset, widths[i], 0);
                vionet_pci_bar_write(bench.pci, 1, table + offset, widths[i], UINT64_MAX);
            }
        }
    }
    g_assert_cmphex(vionet_pci_bar_read(bench.pci, 1, table, 8), ==, 0x1122334455667788);
    g_assert_cmphex(vionet_pci_bar_read(bench.pci, 1, table + 8, 8), ==, 0x0000000199aabbcc);
    /* Reserved bits stay 0; messages go to dwords. */
    vionet_pci_bar_write(bench.pci, 1, table, 8, UINT64_MAX);
    vionet_pci_bar_write(bench.pci, 1, table + 8, 8, UINT64_MAX);
    g_assert_cmphex(vionet_pci_bar_read(bench.pci, 1, table, 8), ==, UINT64_MAX & ~UINT64_C(3));
    g_assert_cmphex(vionet_pci_bar_read(bench.pci, 1, table + 8, 8), ==, 0x00000001ffffffff);
    tear_down(&bench);
}

static void test_pending_bits_read_only(void)
{
    struct bench bench;

    set_up(&bench, 100);
    set_queue_vector(&bench, 0, 70);
    pci_msix_mask(&bench.driver->pci, 70, true);
    notify(&bench, 0);
    for (unsigned width = 1; width <= 8; width *= 2) {
        for (unsigned offset = 0; offset < 16; offset++) {
            vionet_pci_bar_write(bench.pci, 1, bench.driver->pci.msix.pba_offset + offset, width,
                                 0);
            vionet_pci_bar_write(bench.pci, 1, bench.driver->pci.msix.pba_offset + offset, width,
                                 UINT64_MAX);
        }
    }
    for (unsigned vector = 0; vector < 100; vector++) {
        g_assert_cmpint(pci_msix_pending(&bench.driver->pci, vector), ==, vector == 70);
    }
    g_assert_cmphex(vionet_pci_bar_read(bench.pci, 1, bench.driver->pci.msix.pba_offset + 8, 8), ==,
                    UINT64_C(1) << 6);
    tear_down(&bench);
}

static void test_no_message_without_master(void)
{
    struct bench bench;

    set_up(&bench, 6);
    pci_enable(&bench.driver->pci, false);
    change_config(&bench);
    g_assert_cmpuint(bench.n_messages, ==, 0);
    pci_enable(&bench.driver->pci, true);
    expect_messages(&bench, 1, 0);
    tear_down(&bench);
}

/* ---- INTx and ISR status ---- */

static uint32_t status_register(struct bench *bench)
{
    return vionet_pci_config_read(bench->pci, 6, 2) & 8;
}

static void set_up_intx(struct bench *bench)
{
    build(bench, 0, false, true);
    start(bench);
    guest_driver_isr(bench->driver);
    bench->rises = 0;
}

static void test_intx(void)
{
    struct bench bench;

    set_up_intx(&bench);
    g_assert_false(bench.level);
    for (unsigned i = 0; i < G_N_ELEMENTS(queues); i++) {
        notify(&bench, queues[i]);
        g_assert_true(bench.level);
        g_assert_cmphex(status_register(&bench), ==, 8);
        notify(&bench, queues[i]); /* again: the level is there already */
        g_assert_cmpuint(bench.rises, ==, i + 1);
        g_assert_cmphex(guest_driver_isr(bench.driver), ==, VIRTIO_PCI_ISR_QUEUE);
        g_assert_false(bench.level);
        g_assert_cmphex(status_register(&bench), ==, 0);
        g_assert_cmphex(guest_driver_isr(bench.driver), ==, 0);
    }
    change_config(&bench);
    g_assert_true(bench.level);
    g_assert_cmphex(guest_driver_isr(bench.driver), ==, VIRTIO_PCI_ISR_CONFIG);
    change_config(&bench);
    notify(&bench, 0);
    g_assert_cmphex(guest_driver_isr(bench.driver), ==,
                    VIRTIO_PCI_ISR_CONFIG | VIRTIO_PCI_ISR_QUEUE);
    g_assert_cmphex(guest_driver_isr(bench.driver), ==, 0);
    g_assert_false(bench.level);
    tear_down(&bench);
}

/* ISR status is there before the pin rises. */
static void test_isr_before_pin(void)
{
    struct bench bench;

    set_up_intx(&bench);
    notify(&bench, 0);
    g_assert_cmphex(bench.status_at_rise & 8, ==, 8);
    tear_down(&bench);
}

/* Reads of every width that begin at ISR status clear it; no other read does. */
static void test_isr_accesses(void)
{
    struct bench bench;

    set_up_intx(&bench);
    for (unsigned width = 1; width <= 8; width *= 2) {
        const struct pci_window *isr = &bench.driver->pci.isr;

        notify(&bench, 0);
        vionet_pci_bar_read(bench.pci, isr->bar, isr->offset + 1, width);
        vionet_pci_bar_read(bench.pci, isr->bar, isr->offset - 8, 8);
        vionet_pci_bar_write(bench.pci, isr->bar, isr->offset, width, 0);
        vionet_pci_bar_write(bench.pci, isr->bar, isr->offset, width, 2);
        g_assert_true(bench.level);
        g_assert_cmphex(vionet_pci_bar_read(bench.pci, isr->bar, isr->offset, width), ==, 1);
        g_assert_false(bench.level);
    }
    tear_down(&bench);
}

static void test_intx_disable(void)
{
    struct bench bench;
    uint32_t command;

    set_up_intx(&bench);
    command = vionet_pci_config_read(bench.pci, 4, 2);
    notify(&bench, 0);
    g_assert_true(bench.level);
    vionet_pci_config_write(bench.pci, 4, 2, command | 0x400);
    g_assert_false(bench.level);
    g_assert_cmphex(status_register(&bench), ==, 8); /* whatever the pin says */
    notify(&bench, 0);
    change_config(&bench);
    g_assert_false(bench.level);
    vionet_pci_config_write(bench.pci, 4, 2, command);
    g_assert_true(bench.level);
    g_assert_cmphex(guest_driver_isr(bench.driver), ==, 3);
    vionet_pci_config_write(bench.pci, 4, 2, command | 0x400);
    vionet_pci_config_write(bench.pci, 4, 2, command);
    g_assert_false(bench.level);
    tear_down(&bench);
}

/* With MSI-X: bit 0 stays, bit 1 is set before the message; the pin and the register are silent. */
static void test_isr_with_msix(void)
{
    struct bench bench;

    set_up(&bench, 6);
    guest_driver_isr(bench.driver);
    for (unsigned i = 0; i < G_N_ELEMENTS(queues); i++) {
        notify(&bench, queues[i]);
    }
    g_assert_cmphex(guest_driver_isr(bench.driver), ==, 0);
    change_config(&bench);
    g_assert_cmphex(status_register(&bench), ==, 0);
    g_assert_cmphex(guest_driver_isr(bench.driver), ==, VIRTIO_PCI_ISR_CONFIG);
    bench.look_at_isr = true;
    vionet_device_announce(bench.device);
    g_assert_cmphex(bench.isr_at_message, ==, VIRTIO_PCI_ISR_CONFIG);
    g_assert_cmpuint(bench.rises, ==, 0);
    tear_down(&bench);
}

/* MSI-X on and off again: INTx as long as it is off. */
static void test_switching(void)
{
    struct bench bench;

    set_up(&bench, 6);
    for (unsigned round = 0; round < 3; round++) {
        pci_msix_control(&bench.driver->pci, false, false);
        guest_driver_isr(bench.driver);
        notify(&bench, 0);
        g_assert_true(bench.level);
        g_assert_cmpuint(bench.n_messages, ==, 0);
        pci_msix_control(&bench.driver->pci, true, false);
        g_assert_false(bench.level);
        guest_driver_isr(bench.driver);
        notify(&bench, 0);
        g_assert_false(bench.level);
        g_assert_cmpuint(bench.n_messages, ==, 1);
        bench.n_messages = 0;
    }
    tear_down(&bench);
}

static void test_reset_lowers(void)
{
    struct bench bench;

    for (unsigned bus = 0; bus < 2; bus++) {
        set_up_intx(&bench);
        notify(&bench, 0);
        change_config(&bench);
        g_assert_true(bench.level);
        if (bus) {
            vionet_pci_reset(bench.pci);
        } else {
            g_assert_true(guest_driver_reset(bench.driver));
        }
        g_assert_false(bench.level);
        g_assert_cmphex(guest_driver_isr(bench.driver), ==, 0);
        g_assert_cmphex(status_register(&bench), ==, 0);
        bench.driver->probed = false;
        start(&bench);
        notify(&bench, 0);
        g_assert_true(bench.level);
        tear_down(&bench);
    }
}

/* A host without either: no capability, no BAR for it, no pin, and frames all the same. */
static void test_no_interrupts_at_all(void)
{
    struct bench bench;

    build(&bench, VIONET_PCI_VECTORS_AUTO, false, false);
    start(&bench);
    g_assert_false(bench.driver->pci.msix.present);
    g_assert_cmphex(vionet_pci_bar_size(bench.pci, 1), ==, 0);
    g_assert_cmphex(vionet_pci_config_read(bench.pci, 0x3d, 1), ==, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(queues); i++) {
        g_assert_cmpuint(set_queue_vector(&bench, queues[i], 0), ==, NO_VECTOR);
        notify(&bench, queues[i]);
    }
    change_config(&bench);
    g_assert_cmphex(guest_driver_isr(bench.driver), ==, 3);
    tear_down(&bench);
}

/* Automatic vectors: one for each queue and one for the configuration. */
static void test_automatic_vectors(void)
{
    struct bench bench;

    set_up(&bench, VIONET_PCI_VECTORS_AUTO);
    g_assert_cmpuint(bench.driver->pci.msix.vectors, ==, 6);
    tear_down(&bench);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_set_nonfatal_assertions();
    g_test_add_func("/msix/vector/tables-of-each-size", test_capability);
    g_test_add_func("/msix/vector/message-as-the-driver-wrote-it", test_message);
    g_test_add_func("/msix/vector/any-event-to-any", test_any_vector);
    g_test_add_func("/msix/vector/none-means-no-interrupt-at-all", test_no_vector);
    g_test_add_func("/msix/vector/C-07/out-of-range-is-none", test_vector_range);
    g_test_add_func("/msix/vector/none-after-reset", test_vectors_after_reset);
    g_test_add_func("/msix/vector/one-for-each-source", test_automatic_vectors);
    g_test_add_func("/msix/mask/of-a-vector-holds-one-message", test_masked_vector);
    g_test_add_func("/msix/mask/of-the-function-holds-all", test_function_mask);
    g_test_add_func("/msix/mask/entry-changed-while-pending", test_entry_changed_while_pending);
    g_test_add_func("/msix/mask/C-07/vector-changed-while-pending",
                    test_vector_changed_while_pending);
    g_test_add_func("/msix/mask/no-message-without-bus-master", test_no_message_without_master);
    g_test_add_func("/msix/table/masked-and-empty-after-bus-reset", test_table_after_bus_reset);
    g_test_add_func("/msix/table/C-07/accesses-of-odd-width", test_table_accesses);
    g_test_add_func("/msix/table/pending-bits-are-read-only", test_pending_bits_read_only);
    g_test_add_func("/msix/intx/raised-until-isr-is-read", test_intx);
    g_test_add_func("/msix/intx/isr-before-the-pin", test_isr_before_pin);
    g_test_add_func("/msix/intx/isr-accesses", test_isr_accesses);
    g_test_add_func("/msix/intx/disable-holds-the-pin-alone", test_intx_disable);
    g_test_add_func("/msix/intx/isr-with-messages", test_isr_with_msix);
    g_test_add_func("/msix/intx/switched-with-messages", test_switching);
    g_test_add_func("/msix/intx/a-reset-lowers-it", test_reset_lowers);
    g_test_add_func("/msix/C-14/no-interrupts-at-all", test_no_interrupts_at_all);
    return g_test_run();
}
