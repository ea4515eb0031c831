/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory that is reached by operations of the host. That everything else works there too is seen
 * by running other suites with VIONET_TEST_REMOTE; here is what is special: order, how much is written,
 * how often it is read, and operations that fail.
 */
#include <string.h>

#include <vionet/spec.h>
#include <vionet/transport.h>

#include "driver/queue.h"
#include "machine/machine.h"

static struct machine *new_machine(enum machine_memory kind, const struct net_options *net)
{
    GError *error = NULL;
    struct machine_setup setup;
    struct machine *machine;

    machine_setup_init(&setup);
    setup.kind = kind;
    if (net) {
        setup.net = *net;
    }
    machine = machine_new(&setup, &error);
    g_assert_no_error(error);
    return machine;
}

static void fill(uint8_t *frame, size_t len, unsigned number)
{
    for (size_t i = 0; i < len; i++) {
        frame[i] = (uint8_t)(i * 7 + number * 13);
    }
    memset(frame, 0xff, 6);
    memcpy(frame + 6, "\x02\0\0\0\0\1\x88\xb5", 8);
}

/* ---- Mapping ---- */

static void test_needs_operations(void)
{
    const VionetHostOps none = {.size = sizeof(none)};
    VionetConfig config;
    VionetDevice *device;
    GError *error = NULL;

    vionet_config_init(&config);
    vionet_features_set(config.features, VIRTIO_NET_F_NOTF_COAL, false);
    vionet_features_set(config.features, VIRTIO_NET_F_VQ_NOTF_COAL, false);
    device = vionet_device_new(&config, &none, NULL, &error);
    g_assert_no_error(error);
    g_assert_false(vionet_device_map_remote(device, 0, 4096, 0, &error));
    g_assert_error(error, VIONET_ERROR, VIONET_ERROR_MEMORY);
    g_clear_error(&error);
    vionet_device_free(device);
}

static void test_map(void)
{
    struct machine *machine = new_machine(MACHINE_REMOTE, NULL);
    static _Alignas(4096) uint8_t page[4096];
    GError *error = NULL;

    g_assert_false(vionet_device_map(machine->device, 1 << 20, page, 4096, 0, &error));
    g_assert_error(error, VIONET_ERROR, VIONET_ERROR_MEMORY);
    g_clear_error(&error);
    g_assert_false(vionet_device_map_remote(machine->device, 1 << 20, 4096, 0, NULL));
    g_assert_false(vionet_device_map_remote(machine->device, 1, 4096, 0, NULL));
    g_assert_false(vionet_device_map(machine->device, 0, NULL, 4096, 1u << 31, NULL));
    g_assert_true(vionet_device_map_remote(machine->device, 0, 4096, 0, NULL));
    g_assert_false(vionet_device_unmap(machine->device, 0, 8192, NULL));
    g_assert_true(vionet_device_unmap(machine->device, 0, 4096, NULL));
    machine_free(machine);
}

/* ---- Traffic ---- */

static void pass_frames(enum machine_memory kind, const struct net_options *net)
{
    static const size_t sizes[] = {14, 60, 1514, 4096, 9000, 65000};
    struct machine *machine = new_machine(kind, net);
    uint8_t *frame = g_malloc(65550);
    struct guest_packet packet;

    g_assert_true(machine_boot(machine, features_known()));
    for (unsigned i = 0; i < 60; i++) {
        const size_t len = sizes[i % G_N_ELEMENTS(sizes)];

        fill(frame, len, i);
        g_assert_cmpint(machine_deliver(machine, frame, len), ==, VIONET_DELIVERED);
        g_assert_true(net_receive(machine->net, &packet));
        g_assert_cmpmem(packet.data, packet.len, frame, len);
        net_recycle(machine->net);
        g_assert_true(net_transmit(machine->net, 0, NULL, frame, (uint32_t)len));
        g_assert_cmpuint(machine_drain(machine, 0), ==, 1);
        g_assert_cmpint(net_control_vlan_add(machine->net, (uint16_t)(i + 1)), ==, VIRTIO_NET_OK);
    }
    g_assert_cmpuint(machine->n_dma, >, 0);
    g_assert_cmphex(guest_driver_status(machine->driver) & VIRTIO_STATUS_DEVICE_NEEDS_RESET, ==, 0);
    machine_assert_no_complaints(machine);
    g_free(frame);
    machine_free(machine);
}

/* Small buffers, so that a frame takes many; what is not written stays as it was. */
static void test_traffic(void)
{
    static const struct net_options small = {.receive_size = 1536, .poison = true};

    pass_frames(MACHINE_REMOTE, NULL);
    pass_frames(MACHINE_MIXED, NULL);
    pass_frames(MACHINE_REMOTE, &small);
    pass_frames(MACHINE_MIXED, &small);
}

/* Frames that are out stay as they are while others are taken, and when the queue is reset. */
static void test_frames_that_are_out(void)
{
    struct machine *machine = new_machine(MACHINE_REMOTE, NULL);
    VionetFrame frames[20];
    uint8_t expected[700];
    uint8_t found[700];

    g_assert_true(machine_boot(machine, features_known()));
    for (unsigned i = 0; i < 20; i++) {
        fill(expected, sizeof(expected), i);
        g_assert_true(net_transmit(machine->net, 0, NULL, expected, sizeof(expected)));
        g_assert_cmpuint(vionet_device_transmit(machine->device, 0, &frames[i], 1), ==, 1);
    }
    g_assert_true(guest_driver_reset(machine->driver));
    for (unsigned i = 0; i < 20; i++) {
        fill(expected, sizeof(expected), i);
        g_assert_cmpuint(vionet_frame_linearize(&frames[i], found, sizeof(found)), ==,
                         sizeof(found));
        g_assert_cmpmem(found, sizeof(found), expected, sizeof(expected));
    }
    vionet_device_complete(machine->device, 0, frames, 10);
    g_assert_true(machine_works(machine));
    vionet_device_complete(machine->device, 0, frames + 10, 5);
    machine_free(machine); /* with five of them out */
}

/* ---- Order ---- */

#define MAX_LOG 4096

struct access {
    uint64_t gpa;
    size_t len;
    bool write;
    bool interrupted; /* the driver had been, when it came */
};

struct log {
    unsigned n;
    struct access accesses[MAX_LOG];
};

static void note(struct machine *machine, uint64_t gpa, size_t len, bool write)
{
    struct log *log = machine->user;
    uint16_t vector = machine->driver->queues[0].vector;

    g_assert_cmpuint(log->n, <, MAX_LOG);
    log->accesses[log->n++] =
        (struct access){gpa, len, write, guest_driver_interrupts(machine->driver, vector) > 0};
}

/* The last write that touches an address; -1 if there is none. */
static int last_write(const struct log *log, uint64_t gpa)
{
    for (int i = (int)log->n - 1; i >= 0; i--) {
        const struct access *access = &log->accesses[i];

        if (access->write && gpa >= access->gpa && gpa - access->gpa < access->len) {
            return i;
        }
    }
    return -1;
}

/* Where a format says that a buffer was used, for three of them that are shown at once. */
struct showing {
    uint64_t first;  /* written last: the used index, or the flags of the first used descriptor */
    uint64_t third;  /* what is said of the third buffer */
    uint64_t ring;   /* all that is written of a ring */
    uint64_t size;   /* octets of it */
    uint64_t asked;  /* words read more than once: whether there is another buffer, */
    uint64_t events; /* and how the driver wants to be told */
};

static struct showing showing_of(struct machine *machine)
{
    const VionetDevice *device = machine->device;
    const uint64_t desc = vionet_device_queue_area(device, 0, VIONET_AREA_DESC);
    const uint64_t driver = vionet_device_queue_area(device, 0, VIONET_AREA_DRIVER);
    const uint64_t used = vionet_device_queue_area(device, 0, VIONET_AREA_DEVICE);

    if (virtq_options(guest_queue_ring(machine->driver, 0))->packed) {
        return (struct showing){desc + 14,     desc + 32 + 14,
                                desc,          used + PVIRTQ_EVENT_SIZE - desc,
                                desc + 48 + 8, driver};
    }
    return (struct showing){used + 2,   used + 4 + 16,       used, VIRTQ_USED_SIZE(256),
                            driver + 2, driver + 4 + 2 * 256};
}

/* Payload, then two used buffers, then the first of them all, then the interrupt. */
static void test_order(void)
{
    static const struct net_options small = {.receive_size = 1536, .poison = true};
    struct machine *machine = new_machine(MACHINE_REMOTE, &small);
    struct log *log = g_new0(struct log, 1);
    struct showing showing;
    uint64_t written = 0;
    uint8_t frame[4000];
    int shown;

    g_assert_true(machine_boot(machine, features_known()));
    showing = showing_of(machine);
    guest_driver_take_interrupts(machine->driver, machine->driver->queues[0].vector);
    machine->user = log;
    machine->on_dma = note;
    fill(frame, sizeof(frame), 1);
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
    machine->on_dma = NULL;
    shown = last_write(log, showing.first);
    g_assert_cmpint(shown, >, last_write(log, showing.third));
    g_assert_cmpint(last_write(log, showing.third), >, 0);
    for (unsigned i = 0; i < log->n; i++) {
        const struct access *access = &log->accesses[i];
        const bool again = access->gpa == showing.asked || access->gpa == showing.events;

        g_assert_false(access->interrupted);
        if (access->write && access->gpa - showing.ring >= showing.size) {
            g_assert_cmpint((int)i, <, shown);
            written += access->len;
        }
        for (unsigned j = 0; j < i && !access->write && !again; j++) {
            g_assert_true(log->accesses[j].write || access->gpa != log->accesses[j].gpa);
        }
    }
    /* The frame, its header, and num_buffers once more. */
    g_assert_cmpuint(written, ==, sizeof(frame) + net_header_size(machine->net) + 2);
    g_assert_cmpuint(guest_driver_interrupts(machine->driver, machine->driver->queues[0].vector),
                     ==, 1);
    g_free(log);
    machine_free(machine);
}

/* ---- Operations that fail ---- */

static void receive_one(struct machine *machine)
{
    uint8_t frame[4000];

    fill(frame, sizeof(frame), 1);
    machine_deliver(machine, frame, sizeof(frame));
}

static void transmit_one(struct machine *machine)
{
    uint8_t frame[4000];

    fill(frame, sizeof(frame), 1);
    net_transmit(machine->net, 0, NULL, frame, sizeof(frame));
    machine_drain(machine, 0);
}

static void command_one(struct machine *machine)
{
    net_control_vlan_add(machine->net, 5);
}

/* How many packets or answers the driver has, all in order: none that was not wholly written. */
static void take_whole_packets(struct machine *machine)
{
    uint8_t expected[4000];
    struct guest_packet packet;

    fill(expected, sizeof(expected), 1);
    while (net_receive(machine->net, &packet)) {
        g_assert_cmpmem(packet.data, packet.len, expected, sizeof(expected));
    }
}

/* The n-th operation fails, and all behind it: a violation of an address, and a reset cures it. */
static void fail_at_each(enum machine_memory kind, void (*work)(struct machine *machine))
{
    static const struct net_options options = {
        .receive_size = 1536, .control_wait_us = 1, .poison = true};
    unsigned n_failed = 0;
    uint64_t n = 1;
    bool failed;

    do {
        struct machine *machine = new_machine(kind, &options);
        uint64_t before;

        g_assert_true(machine_boot(machine, features_known()));
        before = machine->n_dma;
        machine->dma_fail_at = before + n;
        work(machine);
        failed = machine->n_dma >= machine->dma_fail_at;
        n_failed += failed;
        g_assert_true(!failed ==
                      !(guest_driver_status(machine->driver) & VIRTIO_STATUS_DEVICE_NEEDS_RESET));
        g_assert_true(!failed || machine_violation(machine, VIONET_VIOLATION_ADDRESS) ||
                      machine_violation(machine, VIONET_VIOLATION_RING_ADDRESS));
        if (work == receive_one) {
            take_whole_packets(machine);
        }
        machine->dma_fail_at = 0;
        g_assert_true(guest_driver_reset(machine->driver));
        g_assert_true(machine_works(machine));
        machine_free(machine);
        n++;
    } while (failed);
    g_assert_cmpuint(n_failed, >, kind == MACHINE_REMOTE ? 5 : 0);
}

static void test_failing_receive(void)
{
    fail_at_each(MACHINE_REMOTE, receive_one);
    fail_at_each(MACHINE_MIXED, receive_one);
}

static void test_failing_transmit(void)
{
    fail_at_each(MACHINE_REMOTE, transmit_one);
    fail_at_each(MACHINE_MIXED, transmit_one);
}

static void test_failing_command(void)
{
    fail_at_each(MACHINE_REMOTE, command_one);
}

/* While the queues are started. */
static void test_failing_start(void)
{
    for (unsigned n = 1; n < 12; n++) {
        struct machine *machine = new_machine(MACHINE_REMOTE, NULL);

        machine->dma_fail_at = n;
        machine_boot(machine, features_known());
        machine->dma_fail_at = 0;
        g_assert_true(guest_driver_reset(machine->driver));
        g_assert_true(machine_works(machine));
        machine_free(machine);
    }
}

/* ---- Memory that is too much ---- */

/* A frame of which the device keeps the beginning only is too long for it anyway. */
static void test_oversize(void)
{
    static const struct net_options options = {.transmit_size = 600000, .transmit_buffers = 4};
    struct machine *machine = new_machine(MACHINE_REMOTE, &options);
    uint8_t *octets = g_malloc0(590000);

    g_assert_true(machine_boot(machine, features_known()));
    for (uint32_t len = 65000; len <= 590000; len += 75000) {
        g_assert_true(net_transmit_octets(machine->net, 0, NULL, octets, len));
        net_transmit_flush(machine->net, 0);
        g_assert_cmpuint(machine_drain(machine, 0), ==, len == 65000);
        g_assert_cmpuint(net_reclaim(machine->net, 0), ==, 1);
    }
    g_assert_cmpuint(vionet_device_verdicts(machine->device, VIONET_DROP_OVERSIZE), ==, 7);
    g_assert_true(machine_works(machine));
    machine_assert_no_complaints(machine);
    g_free(octets);
    machine_free(machine);
}

/* Of a receive buffer that is larger than what is kept of one, the beginning is. */
static void test_oversize_buffers(void)
{
    static const struct net_options options = {.receive_size = 600000, .receive_buffers = 4};
    struct machine *machine = new_machine(MACHINE_REMOTE, &options);
    uint8_t frame[1500];
    struct guest_packet packet;

    g_assert_true(machine_boot(machine, features_known()));
    for (unsigned i = 0; i < 8; i++) {
        fill(frame, sizeof(frame), i);
        g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
        g_assert_true(net_receive(machine->net, &packet));
        g_assert_cmpmem(packet.data, packet.len, frame, sizeof(frame));
        net_recycle(machine->net);
    }
    g_assert_true(machine_works(machine));
    machine_finish(machine);
}

/* Memory that is taken back is not asked for any more. */
static void test_unmap(void)
{
    struct machine *machine = new_machine(MACHINE_REMOTE, NULL);
    uint64_t before;
    uint8_t frame[60];

    g_assert_true(machine_boot(machine, features_known()));
    g_assert_true(vionet_device_unmap(machine->device, 1 << 20, 64 << 20, NULL));
    before = machine->n_dma;
    fill(frame, sizeof(frame), 1);
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DROP_NOT_RUNNING);
    g_assert_cmpuint(machine->n_dma, ==, before);
    g_assert_nonnull(machine_violation(machine, VIONET_VIOLATION_RING_ADDRESS));
    g_assert_true(vionet_device_map_remote(machine->device, 1 << 20, 64 << 20, 0, NULL));
    g_assert_true(guest_driver_reset(machine->driver));
    g_assert_true(machine_works(machine));
    machine_free(machine);
}

/* The device does not write where it may not. */
static void test_readonly(void)
{
    struct machine *machine = new_machine(MACHINE_REMOTE, NULL);
    uint8_t frame[60];

    g_assert_true(vionet_device_unmap(machine->device, 1 << 20, 64 << 20, NULL));
    g_assert_true(
        vionet_device_map_remote(machine->device, 1 << 20, 64 << 20, VIONET_MAP_READONLY, NULL));
    machine_boot(machine, features_known());
    fill(frame, sizeof(frame), 1);
    machine_deliver(machine, frame, sizeof(frame));
    g_assert_cmpuint(machine->dma_written, ==, 0);
    g_assert_nonnull(machine_violation(machine, VIONET_VIOLATION_RING_ADDRESS));
    machine_free(machine);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/remote/needs-operations", test_needs_operations);
    g_test_add_func("/remote/map", test_map);
    g_test_add_func("/remote/traffic", test_traffic);
    g_test_add_func("/remote/frames-that-are-out", test_frames_that_are_out);
    g_test_add_func("/remote/order", test_order);
    g_test_add_func("/remote/failing/receive", test_failing_receive);
    g_test_add_func("/remote/failing/transmit", test_failing_transmit);
    g_test_add_func("/remote/failing/command", test_failing_command);
    g_test_add_func("/remote/failing/start", test_failing_start);
    g_test_add_func("/remote/oversize", test_oversize);
    g_test_add_func("/remote/oversize-buffers", test_oversize_buffers);
    g_test_add_func("/remote/unmap", test_unmap);
    g_test_add_func("/remote/readonly", test_readonly);
    return g_test_run();
}
