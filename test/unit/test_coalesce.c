/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interrupt coalescing (VIRTIO 1.4, 5.1.6.5.9): when a used buffer notification falls due by packets
 * and by time, for which queues the parameters are, what becomes of them by a change under way, by
 * a queue reset and by a device reset, and that the driver's own suppression decides in the end.
 */
#include <string.h>

#include <vionet/spec.h>

#include "driver/bytes.h"
#include "driver/queue.h"
#include "machine/machine.h"

#define PAIRS 3
#define USEC  UINT64_C(1000)

static const uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5};

/* ---- machines ---- */

static struct machine *boot_with(bool event_idx, bool all_features, uint16_t receive_size)
{
    struct guest_features wanted = features_known();
    struct machine_setup setup;
    struct machine *machine;

    machine_setup_init(&setup);
    setup.device.max_pairs = PAIRS;
    if (receive_size) {
        setup.device.receive_queue_size = receive_size;
    }
    setup.net.transmit_size = 4096;
    vionet_features_set(setup.device.features, VIRTIO_NET_F_MQ, true);
    vionet_features_set(setup.device.features, VIRTIO_NET_F_NOTF_COAL, true);
    vionet_features_set(setup.device.features, VIRTIO_NET_F_VQ_NOTF_COAL, true);
    if (!event_idx) {
        features_remove(&wanted, VIRTIO_F_EVENT_IDX);
    }
    if (!all_features) {
        features_remove(&wanted, VIRTIO_NET_F_VQ_NOTF_COAL);
    }
    machine = machine_booted(&setup, wanted);
    return machine;
}

static struct machine *boot(void)
{
    return boot_with(false, true, 0);
}

/* Used buffer notifications of a queue since the last question. */
static uint64_t interrupts(struct machine *machine, unsigned queue)
{
    return guest_driver_take_interrupts(machine->driver, machine->driver->queues[queue].vector);
}

static void receive_one(struct machine *machine)
{
    struct guest_packet packet;

    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
    g_assert_true(net_receive(machine->net, &packet));
}

static void transmit_one(struct machine *machine, unsigned pair)
{
    g_assert_true(net_transmit(machine->net, pair, NULL, frame, sizeof(frame)));
    g_assert_cmpuint(machine_drain(machine, pair), ==, 1);
    net_reclaim(machine->net, pair);
}

static void set_rx(struct machine *machine, uint32_t packets, uint32_t usecs)
{
    g_assert_cmpint(net_control_coalesce_rx(machine->net, packets, usecs), ==, VIRTIO_NET_OK);
}

static void set_tx(struct machine *machine, uint32_t packets, uint32_t usecs)
{
    g_assert_cmpint(net_control_coalesce_tx(machine->net, packets, usecs), ==, VIRTIO_NET_OK);
}

static void set_queue(struct machine *machine, uint16_t queue, uint32_t packets, uint32_t usecs)
{
    g_assert_cmpint(net_control_coalesce_queue(machine->net, queue, packets, usecs), ==,
                    VIRTIO_NET_OK);
}

static void assert_queue(struct machine *machine, uint16_t queue, uint32_t packets, uint32_t usecs)
{
    uint32_t told_packets = 0xdead, told_usecs = 0xdead;

    g_assert_cmpint(net_control_coalesce_get(machine->net, queue, &told_packets, &told_usecs), ==,
                    VIRTIO_NET_OK);
    g_assert_cmpuint(told_packets, ==, packets);
    g_assert_cmpuint(told_usecs, ==, usecs);
}

/* ---- when ---- */

static void test_off(void)
{
    static const uint32_t values[][2] = {{0, 0}, {5, 0}, {0, 5}, {UINT32_MAX, 0}, {0, UINT32_MAX}};
    struct machine *machine = boot();

    for (unsigned i = 0; i < G_N_ELEMENTS(values); i++) {
        if (i) {
            set_rx(machine, values[i][0], values[i][1]);
            set_tx(machine, values[i][0], values[i][1]);
        }
        for (unsigned n = 0; n < 10; n++) {
            receive_one(machine);
            g_assert_cmpuint(interrupts(machine, 0), ==, 1);
            transmit_one(machine, 0);
            g_assert_cmpuint(interrupts(machine, 1), ==, 1);
        }
    }
    machine_finish(machine);
}

static void test_by_packets(void)
{
    struct machine *machine = boot();

    for (uint32_t limit = 1; limit <= 20; limit++) {
        set_rx(machine, limit, 1000000);
        set_tx(machine, limit, 1000000);
        for (unsigned n = 1; n <= 3 * limit; n++) {
            receive_one(machine);
            g_assert_cmpuint(interrupts(machine, 0), ==, n % limit == 0);
            transmit_one(machine, 0);
            g_assert_cmpuint(interrupts(machine, 1), ==, n % limit == 0);
        }
    }
    machine_finish(machine);
}

static void test_by_time(void)
{
    struct machine *machine = boot();

    set_rx(machine, 100, 50);
    for (unsigned round = 0; round < 5; round++) {
        receive_one(machine);
        g_assert_cmpuint(machine->deadline_ns[0], ==, machine->now_ns + 50 * USEC);
        machine_advance(machine, 20 * USEC);
        receive_one(machine); /* the clock runs from the first */
        machine_advance(machine, 29 * USEC + 999);
        receive_one(machine);
        g_assert_cmpuint(interrupts(machine, 0), ==, 0);
        machine_advance(machine, 1);
        g_assert_cmpuint(interrupts(machine, 0), ==, 1);
        /* Without packets, without notification. */
        machine_advance(machine, 1000 * USEC);
        g_assert_cmpuint(interrupts(machine, 0), ==, 0);
    }
    machine_finish(machine);
}

static void test_transmit_by_time(void)
{
    struct machine *machine = boot();

    set_tx(machine, 100, 50);
    transmit_one(machine, 1);
    transmit_one(machine, 1);
    machine_advance(machine, 49 * USEC);
    g_assert_cmpuint(interrupts(machine, 3), ==, 0);
    machine_advance(machine, USEC);
    g_assert_cmpuint(interrupts(machine, 3), ==, 1);
    machine_finish(machine);
}

/*
 * With IN_ORDER completions wait for those before them. Whichever shows them to the driver, each
 * packet shown counts: of four, none is shown three times, then all are, and the fourth is due.
 */
static void test_completed_in_disorder(void)
{
    struct machine_setup setup;
    struct machine *machine;
    VionetFrame out[4];

    machine_setup_init(&setup);
    setup.net.transmit_size = 4096;
    vionet_features_set(setup.device.features, VIRTIO_NET_F_NOTF_COAL, true);
    vionet_features_set(setup.device.features, VIRTIO_F_IN_ORDER, true);
    machine = machine_new(&setup, NULL);
    g_assert_true(machine_boot(
        machine, features_without(features_known(), features_of(VIRTIO_F_EVENT_IDX, -1))));
    g_assert_true(guest_driver_has(machine->driver, VIRTIO_F_IN_ORDER));
    set_tx(machine, 4, 1000);
    virtq_enable_interrupts(guest_queue_ring(machine->driver, 1), 1);
    for (unsigned round = 0; round < 3; round++) {
        interrupts(machine, 1);
        for (unsigned i = 0; i < 4; i++) {
            g_assert_true(net_transmit(machine->net, 0, NULL, frame, sizeof(frame)));
        }
        g_assert_cmpuint(vionet_device_transmit(machine->device, 0, out, 4), ==, 4);
        if (round == 2) { /* out of sight of the driver, and given back when it can be */
            vionet_device_set_dma(machine->device, false);
            vionet_device_complete(machine->device, 0, &out[1], 3);
            vionet_device_set_dma(machine->device, true);
        } else {
            for (unsigned i = 3; i >= 1; i--) {
                vionet_device_complete(machine->device, 0, &out[i], 1);
            }
        }
        g_assert_cmpuint(interrupts(machine, 1), ==, 0);
        vionet_device_complete(machine->device, 0, &out[0], 1);
        g_assert_cmpuint(interrupts(machine, 1), ==, 1);
        g_assert_cmpuint(net_reclaim(machine->net, 0), ==, 4);
    }
    machine_advance(machine, 1000 * USEC);
    g_assert_cmpuint(interrupts(machine, 1), ==, 0);
    machine_finish(machine);
}

static void test_whichever_first(void)
{
    struct machine *machine = boot();

    set_rx(machine, 3, 50);
    receive_one(machine);
    receive_one(machine);
    receive_one(machine);
    g_assert_cmpuint(interrupts(machine, 0), ==, 1);
    machine_advance(machine, 10 * USEC);
    receive_one(machine);
    /* The time of the packets that were told already is over, not that of the new one. */
    machine_advance(machine, 45 * USEC);
    g_assert_cmpuint(interrupts(machine, 0), ==, 0);
    machine_advance(machine, 5 * USEC);
    g_assert_cmpuint(interrupts(machine, 0), ==, 1);
    machine_finish(machine);
}

static void test_timer_for_nothing(void)
{
    struct machine *machine = boot();

    set_rx(machine, 3, 50);
    for (unsigned i = 0; i < 2 * PAIRS + 5; i++) {
        vionet_device_timer(machine->device, i);
    }
    vionet_device_timer(machine->device, UINT32_MAX);
    for (unsigned i = 0; i < 2 * PAIRS; i++) {
        g_assert_cmpuint(interrupts(machine, i), ==, 0);
    }
    machine_finish(machine);
}

/* Packets are counted, not buffers. */
static void test_packets_not_buffers(void)
{
    struct machine_setup setup;
    struct machine *machine;
    uint8_t *large = g_malloc0(1000);
    struct guest_packet packet;

    machine_setup_init(&setup);
    vionet_features_set(setup.device.features, VIRTIO_NET_F_NOTF_COAL, true);
    setup.net.receive_size = 100;
    machine = machine_new(&setup, NULL);
    g_assert_true(
        machine_boot(machine, features_without(features_known(),
                                               features_of(VIRTIO_F_EVENT_IDX, FEATURES_END))));
    set_rx(machine, 3, 1000);
    memcpy(large, frame, sizeof(frame));
    for (unsigned n = 1; n <= 6; n++) {
        g_assert_cmpint(machine_deliver(machine, large, 1000), ==, VIONET_DELIVERED);
        g_assert_true(net_receive(machine->net, &packet));
        g_assert_cmpuint(packet.n_buffers, >, 5);
        g_assert_cmpuint(interrupts(machine, 0), ==, n % 3 == 0);
    }
    g_free(large);
    machine_finish(machine);
}

/* One burst, one decision. */
static void test_bursts(void)
{
    struct machine *machine = boot();
    const struct iovec piece = {(void *)frame, sizeof(frame)};
    VionetFrame frames[20];

    for (unsigned i = 0; i < G_N_ELEMENTS(frames); i++) {
        frames[i] = (VionetFrame){.iov = &piece, .n_iov = 1};
    }
    set_rx(machine, 25, 1000);
    g_assert_cmpuint(vionet_device_receive(machine->device, 0, frames, 20, NULL, 0), ==, 20);
    g_assert_cmpuint(interrupts(machine, 0), ==, 0);
    g_assert_cmpuint(vionet_device_receive(machine->device, 0, frames, 20, NULL, 0), ==, 20);
    g_assert_cmpuint(interrupts(machine, 0), ==, 1);
    g_assert_cmpuint(vionet_device_receive(machine->device, 0, frames, 20, NULL, 0), ==, 20);
    g_assert_cmpuint(interrupts(machine, 0), ==, 0);
    machine_finish(machine);
}

/* the last packet is always announced in the end, and a driver is not starved of buffers. */
static void test_extreme_values(void)
{
    struct machine *machine = boot_with(false, true, 16);
    struct guest_packet packet;

    set_rx(machine, UINT32_MAX, UINT32_MAX);
    assert_queue(machine, 0, UINT32_MAX, UINT32_MAX);
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
    g_assert_cmpuint(interrupts(machine, 0), ==, 0);
    g_assert_cmpuint(machine->deadline_ns[0], ==, machine->now_ns + UINT32_MAX * USEC);
    machine_advance(machine, UINT32_MAX * USEC);
    g_assert_cmpuint(interrupts(machine, 0), ==, 1);
    for (unsigned i = 0; i < 15; i++) {
        g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
    }
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DROP_NO_BUFFER);
    machine_advance(machine, UINT32_MAX * USEC);
    g_assert_cmpuint(interrupts(machine, 0), ==, 1);
    /* All buffers used and none given back: that is told without waiting. */
    while (net_receive(machine->net, &packet)) {
    }
    for (unsigned i = 0; i < 16; i++) {
        g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
    }
    g_assert_cmpuint(interrupts(machine, 0), ==, 1);
    machine_finish(machine);
}

/* ---- which queues ---- */

static void test_class_wide(void)
{
    struct machine *machine = boot();

    for (uint16_t i = 0; i < 2 * PAIRS; i++) {
        assert_queue(machine, i, 0, 0);
    }
    set_tx(machine, 11, 12);
    for (uint16_t i = 0; i < 2 * PAIRS; i++) {
        assert_queue(machine, i, i % 2 ? 11 : 0, i % 2 ? 12 : 0);
    }
    set_rx(machine, 21, 22);
    for (uint16_t i = 0; i < 2 * PAIRS; i++) {
        assert_queue(machine, i, i % 2 ? 11 : 21, i % 2 ? 12 : 22);
    }
    machine_finish(machine);
}

static void test_last_set_wins(void)
{
    struct machine *machine = boot();

    set_rx(machine, 1, 2);
    set_tx(machine, 3, 4);
    for (uint16_t queue = 0; queue < 2 * PAIRS; queue++) {
        set_queue(machine, queue, 100u + queue, 200u + queue);
        for (uint16_t i = 0; i < 2 * PAIRS; i++) {
            const bool own = i <= queue;

            assert_queue(machine, i,
                         own     ? 100u + i
                         : i % 2 ? 3
                                 : 1,
                         own     ? 200u + i
                         : i % 2 ? 4
                                 : 2);
        }
    }
    set_rx(machine, 5, 6);
    for (uint16_t i = 0; i < 2 * PAIRS; i++) {
        assert_queue(machine, i, i % 2 ? 100u + i : 5, i % 2 ? 200u + i : 6);
    }
    set_tx(machine, 7, 8);
    for (uint16_t i = 0; i < 2 * PAIRS; i++) {
        assert_queue(machine, i, i % 2 ? 7 : 5, i % 2 ? 8 : 6);
    }
    machine_finish(machine);
}

/* What VQ_SET sets is in force, and for that queue only. */
static void test_one_queue(void)
{
    struct machine *machine = boot();

    set_queue(machine, 3, 4, 1000);
    for (unsigned n = 1; n <= 8; n++) {
        transmit_one(machine, 1);
        g_assert_cmpuint(interrupts(machine, 3), ==, n % 4 == 0);
        transmit_one(machine, 0);
        g_assert_cmpuint(interrupts(machine, 1), ==, 1);
        receive_one(machine);
        g_assert_cmpuint(interrupts(machine, 0), ==, 1);
    }
    machine_finish(machine);
}

static void test_not_a_queue(void)
{
    static const uint16_t numbers[] = {2 * PAIRS, 2 * PAIRS + 1, 2 * PAIRS + 2, 2 * PAIRS + 3,
                                       0x7fff,    0x8000,        0xfffe,        0xffff};
    struct machine *machine = boot();
    uint32_t packets, usecs;

    for (unsigned i = 0; i < G_N_ELEMENTS(numbers); i++) {
        g_assert_cmpint(net_control_coalesce_queue(machine->net, numbers[i], 1, 1), ==,
                        VIRTIO_NET_ERR);
        g_assert_cmpint(net_control_coalesce_get(machine->net, numbers[i], &packets, &usecs), ==,
                        VIRTIO_NET_ERR);
    }
    /* In reset: not an enabled queue. */
    for (uint16_t queue = 0; queue < 2 * PAIRS; queue++) {
        g_assert_true(guest_queue_reset(machine->driver, queue));
        g_assert_cmpint(net_control_coalesce_queue(machine->net, queue, 1, 1), ==, VIRTIO_NET_ERR);
        g_assert_cmpint(net_control_coalesce_get(machine->net, queue, &packets, &usecs), ==,
                        VIRTIO_NET_ERR);
        g_assert_true(guest_queue_setup(machine->driver, queue, 0));
        assert_queue(machine, queue, 0, 0);
    }
    machine_finish(machine);
}

static void test_never_enabled(void)
{
    struct machine_setup setup;
    struct machine *machine;
    uint32_t packets, usecs;

    machine_setup_init(&setup);
    setup.device.max_pairs = PAIRS;
    setup.driver.pairs = 1;
    vionet_features_set(setup.device.features, VIRTIO_NET_F_MQ, true);
    vionet_features_set(setup.device.features, VIRTIO_NET_F_NOTF_COAL, true);
    vionet_features_set(setup.device.features, VIRTIO_NET_F_VQ_NOTF_COAL, true);
    machine = machine_new(&setup, NULL);
    g_assert_true(machine_boot(machine, features_known()));
    set_rx(machine, 5, 6);
    for (uint16_t queue = 2; queue < 2 * PAIRS; queue++) {
        g_assert_cmpint(net_control_coalesce_queue(machine->net, queue, 1, 1), ==, VIRTIO_NET_ERR);
        g_assert_cmpint(net_control_coalesce_get(machine->net, queue, &packets, &usecs), ==,
                        VIRTIO_NET_ERR);
    }
    /* Enabled later, it has what was set for all of its kind. */
    g_assert_true(guest_queue_setup(machine->driver, 2, 0));
    g_assert_true(guest_queue_setup(machine->driver, 3, 0));
    assert_queue(machine, 2, 5, 6);
    assert_queue(machine, 3, 0, 0);
    machine_finish(machine);
}

/* A set that is too short to say what to set is answered with an error, and sets nothing. */
static void test_refused(void)
{
    struct machine *machine = boot();
    const uint8_t payload[8] = {9, 0, 0, 0, 9, 0, 0, 0};

    set_rx(machine, 3, 30);
    set_tx(machine, 4, 40);
    for (uint8_t command = 0; command < 2; command++) {
        for (uint32_t len = 0; len < 8; len++) {
            g_assert_cmpint(net_control(machine->net, 6, command, payload, len, NULL, 0), ==,
                            VIRTIO_NET_ERR);
        }
    }
    for (uint16_t queue = 0; queue < 2 * PAIRS; queue++) {
        assert_queue(machine, queue, queue % 2 ? 4 : 3, queue % 2 ? 40 : 30);
    }
    machine_finish(machine);
}

static void test_reserved(void)
{
    struct machine *machine = boot();

    for (unsigned reserved = 0; reserved <= 0xffff; reserved += 0x3333) {
        uint8_t payload[12] = {2, 0};
        uint8_t asked[4] = {2, 0};
        uint8_t told[8];

        bytes_put16(payload + 2, (uint16_t)reserved);
        bytes_put32(payload + 4, reserved + 1);
        bytes_put32(payload + 8, reserved + 2);
        g_assert_cmpint(net_control(machine->net, 6, 2, payload, 12, NULL, 0), ==, VIRTIO_NET_OK);
        bytes_put16(asked + 2, (uint16_t)reserved);
        g_assert_cmpint(net_control(machine->net, 6, 3, asked, 4, told, 8), ==, VIRTIO_NET_OK);
        g_assert_cmpmem(told, 8, payload + 4, 8);
    }
    machine_finish(machine);
}

static void test_control_queue(void)
{
    struct machine *machine = boot();
    const unsigned control = machine->driver->control;

    set_rx(machine, 50, 1000);
    set_tx(machine, 50, 1000);
    interrupts(machine, control);
    for (unsigned n = 0; n < 5; n++) {
        g_assert_cmpint(net_control_vlan_add(machine->net, 1), ==, VIRTIO_NET_OK);
        g_assert_cmpuint(interrupts(machine, control), ==, 1);
    }
    machine_finish(machine);
}

/* ---- a change under way ---- */

static void begin_change(struct machine *machine, unsigned packets)
{
    set_rx(machine, 10, 1000);
    for (unsigned i = 0; i < packets; i++) {
        receive_one(machine);
    }
    g_assert_cmpuint(interrupts(machine, 0), ==, 0);
}

static void test_change_makes_due(void)
{
    static const uint32_t now_due[][2] = {{3, 1000}, {2, 1000}, {1, 1}, {0, 0}, {0, 50}, {50, 0}};
    static const uint32_t not_due[][2] = {{4, 1000}, {10, 1000}, {11, 2000}};
    struct machine *machine = boot();

    for (unsigned i = 0; i < G_N_ELEMENTS(now_due); i++) {
        begin_change(machine, 3);
        set_rx(machine, now_due[i][0], now_due[i][1]);
        g_assert_cmpuint(interrupts(machine, 0), ==, 1);
        begin_change(machine, 3);
        set_queue(machine, 0, now_due[i][0], now_due[i][1]);
        g_assert_cmpuint(interrupts(machine, 0), ==, 1);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(not_due); i++) {
        begin_change(machine, 3);
        set_rx(machine, not_due[i][0], not_due[i][1]);
        g_assert_cmpuint(interrupts(machine, 0), ==, 0);
        machine_advance(machine, 2000 * USEC);
        g_assert_cmpuint(interrupts(machine, 0), ==, 1);
    }
    machine_finish(machine);
}

/* The count goes on under the new number. */
static void test_change_keeps_count(void)
{
    struct machine *machine = boot();

    begin_change(machine, 3);
    set_rx(machine, 5, 1000);
    receive_one(machine);
    g_assert_cmpuint(interrupts(machine, 0), ==, 0);
    receive_one(machine);
    g_assert_cmpuint(interrupts(machine, 0), ==, 1);
    machine_finish(machine);
}

/* So does the time: what the new number says counts from the first packet, which may be over. */
static void test_change_of_time(void)
{
    struct machine *machine = boot();

    begin_change(machine, 3);
    machine_advance(machine, 500 * USEC);
    set_rx(machine, 10, 600);
    machine_advance(machine, 99 * USEC);
    g_assert_cmpuint(interrupts(machine, 0), ==, 0);
    machine_advance(machine, USEC);
    g_assert_cmpuint(interrupts(machine, 0), ==, 1);
    begin_change(machine, 3);
    machine_advance(machine, 500 * USEC);
    set_rx(machine, 10, 400);
    g_assert_cmpuint(interrupts(machine, 0), ==, 1);
    machine_finish(machine);
}

/* Commands that come more often than the time they set must not put the notification off for ever. */
static void test_repeated_commands(void)
{
    struct machine *machine = boot();
    uint64_t seen = 0;

    begin_change(machine, 1);
    for (unsigned i = 0; i < 100; i++) {
        machine_advance(machine, 90 * USEC);
        set_rx(machine, 10, 100);
        seen += interrupts(machine, 0);
    }
    g_assert_cmpuint(seen, ==, 1);
    machine_finish(machine);
}

static void test_change_of_others(void)
{
    struct machine *machine = boot();

    begin_change(machine, 3);
    set_tx(machine, 1, 1);
    set_queue(machine, 2, 1, 1);
    g_assert_cmpuint(interrupts(machine, 0), ==, 0);
    machine_advance(machine, 1000 * USEC);
    g_assert_cmpuint(interrupts(machine, 0), ==, 1);
    machine_finish(machine);
}

/* ---- resets ---- */

/* Linux's ethtool -G: what was set for the kind is back, what was set for the queue is not. */
static void test_queue_reset(void)
{
    struct machine *machine = boot();

    for (uint16_t queue = 0; queue < 2 * PAIRS; queue++) {
        set_queue(machine, queue, 70, 80);
        g_assert_true(net_reset_queue(machine->net, queue, 0));
        assert_queue(machine, queue, 0, 0);
    }
    set_rx(machine, 5, 1000);
    set_tx(machine, 6, 2000);
    for (uint16_t queue = 0; queue < 2 * PAIRS; queue++) {
        set_queue(machine, queue, 70, 80);
        g_assert_true(net_reset_queue(machine->net, queue, 64));
        assert_queue(machine, queue, queue % 2 ? 6 : 5, queue % 2 ? 2000 : 1000);
    }
    for (unsigned n = 1; n <= 10; n++) {
        receive_one(machine);
        g_assert_cmpuint(interrupts(machine, 0), ==, n % 5 == 0);
    }
    machine_finish(machine);
}

/* Set while the queue is away: it has it when it comes back. */
static void test_set_during_queue_reset(void)
{
    struct machine *machine = boot();

    g_assert_true(guest_queue_reset(machine->driver, 0));
    set_rx(machine, 9, 10);
    g_assert_true(guest_queue_setup(machine->driver, 0, 0));
    assert_queue(machine, 0, 9, 10);
    machine_finish(machine);
}

/* What waited for its time has gone with the queue. */
static void test_queue_reset_forgets_pending(void)
{
    struct machine *machine = boot();

    begin_change(machine, 3);
    g_assert_true(guest_queue_reset(machine->driver, 0));
    machine_advance(machine, 2000 * USEC);
    g_assert_cmpuint(interrupts(machine, 0), ==, 0);
    g_assert_true(guest_queue_setup(machine->driver, 0, 0));
    g_assert_true(net_reset_queue(machine->net, 0, 0));
    for (unsigned n = 1; n <= 10; n++) {
        g_assert_cmpuint(interrupts(machine, 0), ==, 0);
        receive_one(machine);
    }
    g_assert_cmpuint(interrupts(machine, 0), ==, 1);
    machine_finish(machine);
}

/* Time counts from the first packet of the queue's new life. */
static void test_queue_reset_and_time(void)
{
    struct machine *machine = boot();

    begin_change(machine, 3);
    g_assert_true(net_reset_queue(machine->net, 0, 0));
    machine_advance(machine, 900 * USEC);
    receive_one(machine);
    interrupts(machine, 0);
    machine_advance(machine, 999 * USEC); /* past what was the old one's time */
    g_assert_cmpuint(interrupts(machine, 0), ==, 0);
    machine_advance(machine, USEC);
    g_assert_cmpuint(interrupts(machine, 0), ==, 1);
    machine_finish(machine);
}

/*
 * `ethtool -C` for all, `ethtool -Q` for one queue, then `ethtool -G`, as Linux 6.6 and later go about
 * it: pair by pair, each queue is reset, set up with its new size and given by VQ_SET what is set for
 * its kind.
 */
static void test_as_linux_resizes(void)
{
    struct machine *machine = boot();
    const struct {
        uint32_t packets, usecs;
    } rx = {5, 1000}, tx = {6, 2000};

    set_tx(machine, tx.packets, tx.usecs);
    set_rx(machine, rx.packets, rx.usecs);
    set_queue(machine, 2, 70, 80);
    set_queue(machine, 3, 90, 100);
    for (uint16_t size = 64; size >= 2; size /= 2) {
        for (uint16_t pair = 0; pair < PAIRS; pair++) {
            const uint16_t r = 2 * pair, t = 2 * pair + 1;

            g_assert_true(net_reset_queue(machine->net, t, size));
            assert_queue(machine, t, tx.packets, tx.usecs);
            set_queue(machine, t, tx.packets, tx.usecs);
            g_assert_true(net_reset_queue(machine->net, r, size));
            assert_queue(machine, r, rx.packets, rx.usecs);
            set_queue(machine, r, rx.packets, rx.usecs);
        }
        for (uint16_t queue = 0; queue < 2 * PAIRS; queue++) {
            assert_queue(machine, queue, queue % 2 ? tx.packets : rx.packets,
                         queue % 2 ? tx.usecs : rx.usecs);
        }
        interrupts(machine, 0);
        for (unsigned n = 1; n <= 20; n++) { /* with fewer buffers than packets, all of them do */
            receive_one(machine);
            net_recycle(machine->net);
            g_assert_cmpuint(interrupts(machine, 0), ==, n % MIN(rx.packets, size) == 0);
        }
        machine_advance(machine, 3000 * USEC);
    }
    machine_finish(machine);
}

/* With VQ_NOTF_COAL alone nothing is set for a kind: a queue comes back with 0. */
static void test_queue_reset_without_class_wide(void)
{
    struct guest_features wanted = features_known();
    struct machine_setup setup;
    struct machine *machine;

    features_remove(&wanted, VIRTIO_NET_F_NOTF_COAL);
    machine_setup_init(&setup);
    setup.device.max_pairs = PAIRS;
    vionet_features_set(setup.device.features, VIRTIO_NET_F_MQ, true);
    vionet_features_set(setup.device.features, VIRTIO_NET_F_NOTF_COAL, true);
    vionet_features_set(setup.device.features, VIRTIO_NET_F_VQ_NOTF_COAL, true);
    machine = machine_new(&setup, NULL);
    g_assert_true(machine_boot(machine, wanted));
    g_assert_cmpint(net_control_coalesce_rx(machine->net, 5, 6), ==, VIRTIO_NET_ERR);
    g_assert_cmpint(net_control_coalesce_tx(machine->net, 5, 6), ==, VIRTIO_NET_ERR);
    for (uint16_t queue = 0; queue < 2 * PAIRS; queue++) {
        set_queue(machine, queue, 7, 8);
        g_assert_true(net_reset_queue(machine->net, queue, 64));
        assert_queue(machine, queue, 0, 0);
    }
    machine_finish(machine);
}

/* The parameters are the queue's: another that is reset, or pairs that come and go, leave them. */
static void test_other_resets(void)
{
    struct machine *machine = boot();

    set_rx(machine, 5, 1000);
    set_queue(machine, 2, 70, 80);
    g_assert_true(net_reset_queue(machine->net, 0, 64));
    g_assert_true(net_reset_queue(machine->net, 3, 64));
    g_assert_cmpint(net_control_pairs(machine->net, PAIRS), ==, VIRTIO_NET_OK);
    g_assert_cmpint(net_control_pairs(machine->net, 1), ==, VIRTIO_NET_OK);
    assert_queue(machine, 0, 5, 1000);
    assert_queue(machine, 2, 70, 80);
    assert_queue(machine, 4, 5, 1000);
    machine_finish(machine);
}

static void test_device_reset(void)
{
    struct machine *machine = boot();
    struct guest_features accepted = machine->driver->accepted;

    for (unsigned round = 0; round < 2; round++) {
        set_rx(machine, 5, 6);
        set_tx(machine, 7, 8);
        set_queue(machine, 2, 9, 10);
        if (round) {
            vionet_pci_reset(machine->pci);
            machine->driver->probed = false;
        }
        g_assert_true(machine_boot(machine, accepted));
        for (uint16_t i = 0; i < 2 * PAIRS; i++) {
            assert_queue(machine, i, 0, 0);
        }
        g_assert_true(net_reset_queue(machine->net, 0, 0));
        assert_queue(machine, 0, 0, 0);
        interrupts(machine, 0);
        receive_one(machine);
        g_assert_cmpuint(interrupts(machine, 0), ==, 1);
    }
    machine_finish(machine);
}

/* ---- the driver's suppression ---- */

static void test_flags_decide(void)
{
    struct machine *machine = boot();
    struct virtq *vq = guest_queue_ring(machine->driver, 0);

    set_rx(machine, 3, 50);
    virtq_disable_interrupts(vq);
    for (unsigned n = 0; n < 10; n++) {
        g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
        machine_advance(machine, 40 * USEC);
    }
    g_assert_cmpuint(interrupts(machine, 0), ==, 0);
    machine_advance(machine, 100 * USEC);
    g_assert_cmpuint(interrupts(machine, 0), ==, 0);
    virtq_enable_interrupts(vq, 1);
    for (unsigned n = 1; n <= 6; n++) {
        g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
        g_assert_cmpuint(interrupts(machine, 0), ==, n % 3 == 0);
    }
    machine_finish(machine);
}

/*
 * With EVENT_IDX: the driver asks for the notification of the buffer after used_event; those due by
 * count before that one do not come, the first one due after it does, the index crossed in between.
 */
static void test_event_index_decides(void)
{
    struct machine *machine = boot_with(true, true, 0);
    struct virtq *vq = guest_queue_ring(machine->driver, 0);

    set_rx(machine, 5, 1000);
    virtq_enable_interrupts(vq, 13);
    for (unsigned n = 1; n <= 40; n++) {
        g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
        /* used_event 12: buffer 13 is asked for; 15 is the first count of five past it. The very
         * first decision of a queue has nothing to compare with and may notify. */
        if (n == 5) {
            interrupts(machine, 0);
        } else {
            g_assert_cmpuint(interrupts(machine, 0), ==, n == 15);
        }
    }
    machine_finish(machine);
}

static void test_event_index_by_time(void)
{
    struct machine *machine = boot_with(true, true, 0);
    struct virtq *vq = guest_queue_ring(machine->driver, 0);

    set_rx(machine, 100, 50);
    virtq_enable_interrupts(vq, 1);
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
    machine_advance(machine, 50 * USEC);
    g_assert_cmpuint(interrupts(machine, 0), ==, 1);
    virtq_enable_interrupts(vq, 10);
    for (unsigned n = 0; n < 5; n++) {
        g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
    }
    machine_advance(machine, 50 * USEC);
    g_assert_cmpuint(interrupts(machine, 0), ==, 0);
    for (unsigned n = 0; n < 5; n++) {
        g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
    }
    machine_advance(machine, 50 * USEC);
    g_assert_cmpuint(interrupts(machine, 0), ==, 1);
    machine_finish(machine);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_set_nonfatal_assertions();
    g_test_add_func("/coalesce/when/off-unless-both-are-set", test_off);
    g_test_add_func("/coalesce/when/so-many-packets", test_by_packets);
    g_test_add_func("/coalesce/when/so-long-after-the-first", test_by_time);
    g_test_add_func("/coalesce/when/transmit-queues-too", test_transmit_by_time);
    g_test_add_func("/coalesce/when/completions-in-disorder-count", test_completed_in_disorder);
    g_test_add_func("/coalesce/when/whichever-comes-first", test_whichever_first);
    g_test_add_func("/coalesce/when/a-timer-for-nothing-does-no-harm", test_timer_for_nothing);
    g_test_add_func("/coalesce/when/packets-count-and-not-buffers", test_packets_not_buffers);
    g_test_add_func("/coalesce/when/one-decision-a-burst", test_bursts);
    g_test_add_func("/coalesce/when/X-03/extreme-values-starve-nobody", test_extreme_values);
    g_test_add_func("/coalesce/queues/all-of-a-kind", test_class_wide);
    g_test_add_func("/coalesce/queues/the-last-set-wins", test_last_set_wins);
    g_test_add_func("/coalesce/queues/one-alone", test_one_queue);
    g_test_add_func("/coalesce/queues/no-other-than-enabled-data-queues", test_not_a_queue);
    g_test_add_func("/coalesce/queues/never-enabled", test_never_enabled);
    g_test_add_func("/coalesce/queues/refused-set-sets-nothing", test_refused);
    g_test_add_func("/coalesce/queues/reserved-is-ignored", test_reserved);
    g_test_add_func("/coalesce/queues/control-queue-is-not-coalesced", test_control_queue);
    g_test_add_func("/coalesce/change/notifies-what-it-makes-due", test_change_makes_due);
    g_test_add_func("/coalesce/change/keeps-the-count", test_change_keeps_count);
    g_test_add_func("/coalesce/change/keeps-the-time", test_change_of_time);
    g_test_add_func("/coalesce/change/X-03/cannot-put-off-for-ever", test_repeated_commands);
    g_test_add_func("/coalesce/change/of-others-is-no-concern", test_change_of_others);
    g_test_add_func("/coalesce/reset/queue-takes-what-is-set-for-its-kind", test_queue_reset);
    g_test_add_func("/coalesce/reset/set-while-the-queue-is-away", test_set_during_queue_reset);
    g_test_add_func("/coalesce/reset/queue-forgets-what-waited", test_queue_reset_forgets_pending);
    g_test_add_func("/coalesce/reset/time-begins-anew", test_queue_reset_and_time);
    g_test_add_func("/coalesce/reset/as-linux-resizes", test_as_linux_resizes);
    g_test_add_func("/coalesce/reset/zero-without-the-class-wide-feature",
                    test_queue_reset_without_class_wide);
    g_test_add_func("/coalesce/reset/of-others-is-no-concern", test_other_resets);
    g_test_add_func("/coalesce/reset/H-05/device-forgets-all", test_device_reset);
    g_test_add_func("/coalesce/suppression/flags-decide", test_flags_decide);
    g_test_add_func("/coalesce/suppression/event-index-decides", test_event_index_decides);
    g_test_add_func("/coalesce/suppression/event-index-decides-by-time", test_event_index_by_time);
    return g_test_run();
}
