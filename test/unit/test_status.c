/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The status machine (VIRTIO 1.4, 2.1, 2.4, 3.1): every order of writes against a model written from
 * the text, what runs in which state, what a broken rule leads to, and what a reset ends. Expected
 * values are the text's; where it is silent, what the public headers promise.
 */
#include <string.h>

#include <vionet/spec.h>
#include <vionet/transport.h>

#include "driver/queue.h"
#include "machine/machine.h"

#define ACKNOWLEDGE VIRTIO_STATUS_ACKNOWLEDGE
#define DRIVER      VIRTIO_STATUS_DRIVER
#define DRIVER_OK   VIRTIO_STATUS_DRIVER_OK
#define FEATURES_OK VIRTIO_STATUS_FEATURES_OK
#define NEEDS_RESET VIRTIO_STATUS_DEVICE_NEEDS_RESET
#define FAILED      VIRTIO_STATUS_FAILED

static const uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 6};

/* ---- a device without a transport ---- */

static VionetDevice *bare_device(void)
{
    const VionetHostOps ops = {.size = sizeof(ops)};
    VionetDevice *device;
    VionetConfig config;

    vionet_config_init(&config);
    device = vionet_device_new(&config, &ops, NULL, NULL);
    if (!device) {
        g_error("no device");
    }
    return device;
}

/* Accepts what makes FEATURES_OK succeed, or (nothing at all) what makes it fail. */
static void accept_features(VionetDevice *device, bool good)
{
    vionet_device_write_driver_features(device, VIRTIO_F_VERSION_1 / 32, good);
}

/*
 * 2.1 and 3.1: a bit stays once it is set, the device alone sets NEEDS_RESET, FEATURES_OK shows only
 * if the features hold together, DRIVER_OK without FEATURES_OK is an error that a reset cures.
 */
static uint8_t model_write(uint8_t status, uint8_t value, bool good)
{
    if (value == 0) {
        return 0;
    }
    status |= value & (ACKNOWLEDGE | DRIVER | FAILED);
    if (good) {
        status |= value & FEATURES_OK;
    }
    if (value & ~status & DRIVER_OK) {
        status |= status & FEATURES_OK ? DRIVER_OK : NEEDS_RESET;
    }
    return status;
}

/* DRIVER_OK from a driver that has given up is nothing that the text knows. */
static uint8_t known_bits(uint8_t status)
{
    return status & FAILED ? (uint8_t) ~(DRIVER_OK | NEEDS_RESET) : 0xff;
}

/* Writes the values one after the other; false if the status differs from the model's anywhere. */
static bool follows_model(VionetDevice *device, const uint8_t *values, unsigned n, bool good)
{
    uint8_t model = 0;

    vionet_device_write_status(device, 0);
    accept_features(device, good);
    for (unsigned i = 0; i < n; i++) {
        uint8_t status, known;

        model = model_write(model, values[i], good);
        vionet_device_write_status(device, values[i]);
        status = vionet_device_status(device);
        known = known_bits(model);
        if ((status & known) != (model & known)) {
            g_test_message("write %u, of 0x%02x: status 0x%02x, should be 0x%02x", i, values[i],
                           status, model);
            return false;
        }
        if (values[i] == 0) {
            accept_features(device, good);
        }
        model = (uint8_t)((model & known) | (status & ~known));
    }
    return true;
}

static void test_two_writes(void)
{
    VionetDevice *device = bare_device();
    bool right = true;

    for (unsigned pair = 0; pair < 0x10000 && right; pair++) {
        const uint8_t values[2] = {(uint8_t)(pair >> 8), (uint8_t)pair};

        right = follows_model(device, values, 2, true) && follows_model(device, values, 2, false);
    }
    g_assert_true(right);
    vionet_device_free(device);
}

static void test_four_writes(void)
{
    static const uint8_t steps[] = {0, 1, 2, 3, 4, 7, 8, 0xb, 0xc, 0xf, 0x4f, 0x8b};
    const unsigned n = G_N_ELEMENTS(steps);
    VionetDevice *device = bare_device();
    bool right = true;

    for (unsigned i = 0; i < n * n * n * n && right; i++) {
        const uint8_t values[4] = {steps[i / (n * n * n)], steps[i / (n * n) % n], steps[i / n % n],
                                   steps[i % n]};

        right = follows_model(device, values, 4, true) && follows_model(device, values, 4, false);
    }
    g_assert_true(right);
    vionet_device_free(device);
}

static void test_zero_at_birth(void)
{
    VionetDevice *device = bare_device();

    g_assert_cmphex(vionet_device_status(device), ==, 0);
    for (unsigned value = 0; value < 256; value++) {
        accept_features(device, true);
        vionet_device_write_status(device, (uint8_t)value);
        vionet_device_write_status(device, 0);
        g_assert_cmphex(vionet_device_status(device), ==, 0);
    }
    vionet_device_free(device);
}

static void test_device_bit(void)
{
    VionetDevice *device = bare_device();

    vionet_device_write_status(device, NEEDS_RESET);
    g_assert_cmphex(vionet_device_status(device), ==, 0);
    vionet_device_write_status(device, 0xff & ~(DRIVER_OK | FAILED));
    g_assert_cmphex(vionet_device_status(device) & NEEDS_RESET, ==, 0);
    vionet_device_free(device);
}

static void test_suspend_not_offered(void)
{
    VionetDevice *device = bare_device();

    accept_features(device, true);
    vionet_device_write_status(device, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    vionet_device_write_status(device, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK |
                                           VIRTIO_STATUS_SUSPEND);
    g_assert_cmphex(vionet_device_status(device), ==,
                    ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    vionet_device_free(device);
}

static void test_cleared_bit(void)
{
    VionetDevice *device = bare_device();

    accept_features(device, true);
    vionet_device_write_status(device, ACKNOWLEDGE | DRIVER | FEATURES_OK);
    g_assert_cmpuint(vionet_device_violations(device, VIONET_VIOLATION_STATUS_BIT_CLEARED), ==, 0);
    vionet_device_write_status(device, DRIVER);
    g_assert_cmpuint(vionet_device_violations(device, VIONET_VIOLATION_STATUS_BIT_CLEARED), ==, 1);
    g_assert_cmphex(vionet_device_status(device), ==, ACKNOWLEDGE | DRIVER | FEATURES_OK);
    vionet_device_free(device);
}

/* ---- a machine that stands before DRIVER_OK ---- */

static struct machine *new_machine(void)
{
    struct machine_setup setup;
    struct machine *machine;

    machine_setup_init(&setup);
    vionet_features_set(setup.device.features, VIRTIO_NET_F_NOTF_COAL, true);
    machine = machine_new(&setup, NULL);
    if (!machine) {
        g_error("no machine");
    }
    return machine;
}

/* Everything but DRIVER_OK: queues are enabled, receive buffers published. */
static struct machine *almost_ready(void)
{
    struct machine *machine = new_machine();
    struct guest_driver *driver = machine->driver;

    g_assert_true(guest_driver_probe(driver));
    g_assert_true(guest_driver_reset(driver));
    guest_driver_acknowledge(driver);
    guest_driver_read_features(driver);
    g_assert_true(guest_driver_negotiate(driver, features_known()));
    g_assert_true(guest_queue_setup_all(driver));
    machine->net = net_new(driver, NULL);
    if (!net_start(machine->net)) {
        g_error("no network");
    }
    return machine;
}

static struct machine *running(void)
{
    struct machine *machine = new_machine();

    if (!machine_boot(machine, features_known())) {
        g_error("the machine does not boot");
    }
    return machine;
}

static uint64_t all_interrupts(const struct machine *machine)
{
    uint64_t n = guest_driver_intx_count(machine->driver);

    for (unsigned i = 0; i < 4; i++) {
        n += guest_driver_interrupts(machine->driver, i);
    }
    return n;
}

static void notify_all(struct machine *machine)
{
    for (unsigned i = 0; i < 3; i++) {
        guest_queue_notify(machine->driver, i);
    }
}

static unsigned used_buffers(struct machine *machine)
{
    unsigned n = 0;

    for (unsigned i = 0; i < 3; i++) {
        n += virtq_used_total(guest_queue_ring(machine->driver, i));
    }
    return n;
}

/* A promiscuous mode command, written by hand: whether its answer has come is for the test to see. */
static void publish_command(struct machine *machine, uint64_t *ack_gpa)
{
    struct virtq *vq = guest_queue_ring(machine->driver, machine->driver->control);
    const uint8_t command[3] = {VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 1};
    const uint64_t gpa = guest_alloc(machine->memory, 64, 64);
    const struct virtq_segment segments[2] = {{gpa, 3, false}, {gpa + 32, 1, true}};

    guest_write(machine->memory, gpa, command, sizeof(command));
    guest_fill(machine->memory, gpa + 32, 1, 0xff);
    g_assert_true(virtq_add(vq, segments, 2, machine));
    virtq_publish(vq);
    *ack_gpa = gpa + 32;
}

static void test_nothing_before_driver_ok(void)
{
    struct machine *machine = almost_ready();
    uint64_t ack_gpa;

    publish_command(machine, &ack_gpa);
    g_assert_true(net_transmit_add(machine->net, 0, NULL, NULL, frame, sizeof(frame)));
    virtq_publish(guest_queue_ring(machine->driver, 1));
    notify_all(machine);
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DROP_NOT_RUNNING);
    g_assert_cmpuint(machine_drain(machine, 0), ==, 0);
    vionet_device_timer(machine->device, 0);
    vionet_device_set_link(machine->device, false);
    vionet_device_set_link(machine->device, true);
    g_assert_cmpuint(used_buffers(machine), ==, 0);
    g_assert_cmpuint(all_interrupts(machine), ==, 0);
    g_assert_cmpuint(guest_differs(machine->memory, ack_gpa, 1, 0xff), ==, 1);
    machine_finish(machine);
}

static void test_early_notifications_kept(void)
{
    struct machine *machine = almost_ready();
    uint64_t ack_gpa;

    publish_command(machine, &ack_gpa);
    g_assert_true(net_transmit_add(machine->net, 0, NULL, NULL, frame, sizeof(frame)));
    virtq_publish(guest_queue_ring(machine->driver, 1));
    notify_all(machine);
    machine->kicks = 0;
    guest_driver_ok(machine->driver);
    /* The host hears of the frame although the driver does not notify again; the command is done. */
    g_assert_cmpuint(machine->kicks, >, 0);
    g_assert_cmpuint(machine_drain(machine, 0), ==, 1);
    g_assert_cmpuint(guest_differs(machine->memory, ack_gpa, 1, VIRTIO_NET_OK), ==, 1);
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
    machine_finish(machine);
}

static void test_live_from_driver_ok(void)
{
    struct machine *machine = almost_ready();

    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DROP_NOT_RUNNING);
    guest_driver_ok(machine->driver);
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
    guest_common_write(machine->driver, offsetof(struct virtio_pci_common_cfg, device_status), 1,
                       0);
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DROP_NOT_RUNNING);
    g_assert_true(net_transmit_add(machine->net, 0, NULL, NULL, frame, sizeof(frame)));
    virtq_publish(guest_queue_ring(machine->driver, 1));
    notify_all(machine);
    g_assert_cmpuint(machine_drain(machine, 0), ==, 0);
    machine_finish(machine);
}

/* ---- errors ---- */

/* Makes transmit queue 1's next buffer lie outside of memory. */
static void break_transmit(struct machine *machine)
{
    struct virtq *vq = guest_queue_ring(machine->driver, 1);
    const struct virtq_segment nowhere = {UINT64_C(0x7fff00000000), 80, false};

    g_assert_true(virtq_add(vq, &nowhere, 1, machine));
    virtq_publish(vq);
    vionet_device_kick(machine->device, 1);
    machine_drain(machine, 0);
}

static void test_needs_reset(void)
{
    struct machine *machine = running();
    const uint64_t before = guest_driver_interrupts(machine->driver, 0);

    break_transmit(machine);
    g_assert_cmphex(guest_driver_status(machine->driver), ==,
                    ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK | NEEDS_RESET);
    g_assert_cmpuint(guest_driver_interrupts(machine->driver, 0), ==, before + 1);
    g_assert_nonnull(machine_violation(machine, VIONET_VIOLATION_ADDRESS));
    /* Once is enough. */
    machine_drain(machine, 0);
    g_assert_cmpuint(guest_driver_interrupts(machine->driver, 0), ==, before + 1);
    g_assert_true(machine_works(machine));
    g_assert_cmphex(guest_driver_status(machine->driver) & NEEDS_RESET, ==, 0);
    machine_finish(machine);
}

static void test_needs_reset_before_driver_ok(void)
{
    struct machine *machine = new_machine();

    g_assert_true(guest_driver_probe(machine->driver));
    guest_driver_add_status(machine->driver, ACKNOWLEDGE | DRIVER | DRIVER_OK);
    g_assert_cmphex(guest_driver_status(machine->driver), ==, ACKNOWLEDGE | DRIVER | NEEDS_RESET);
    g_assert_nonnull(machine_violation(machine, VIONET_VIOLATION_DRIVER_OK_EARLY));
    g_assert_cmpuint(all_interrupts(machine), ==, 0);
    g_assert_true(machine_works(machine));
    machine_finish(machine);
}

/* vionet/device.h: after a fatal violation the queue or device stops until the driver resets it. */
static void test_early_driver_runs_only_after_reset(void)
{
    struct machine *machine = new_machine();
    struct guest_driver *driver = machine->driver;

    g_assert_true(guest_driver_probe(driver));
    guest_driver_add_status(driver, ACKNOWLEDGE | DRIVER | DRIVER_OK);
    guest_driver_read_features(driver);
    guest_driver_write_features(driver, features_and(features_known(), driver->offered));
    guest_driver_add_status(driver, FEATURES_OK);
    if (guest_driver_status(driver) & FEATURES_OK) {
        g_assert_true(guest_driver_read_config(driver));
        g_assert_true(guest_queue_setup_all(driver));
        machine->net = net_new(driver, NULL);
        g_assert_true(net_start(machine->net));
        guest_driver_add_status(driver, DRIVER_OK);
    }
    g_assert_cmphex(guest_driver_status(driver) & NEEDS_RESET, ==, NEEDS_RESET);
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DROP_NOT_RUNNING);
    g_assert_true(machine_works(machine));
    machine_finish(machine);
}

static void test_failed_stops(void)
{
    struct machine *machine = running();

    guest_driver_add_status(machine->driver, FAILED);
    g_assert_cmphex(guest_driver_status(machine->driver) & FAILED, ==, FAILED);
    g_assert_true(net_transmit_add(machine->net, 0, NULL, NULL, frame, sizeof(frame)));
    virtq_publish(guest_queue_ring(machine->driver, 1));
    notify_all(machine);
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DROP_NOT_RUNNING);
    g_assert_cmpuint(machine_drain(machine, 0), ==, 0);
    guest_driver_add_status(machine->driver, DRIVER_OK | FEATURES_OK);
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DROP_NOT_RUNNING);
    g_assert_true(machine_works(machine));
    machine_finish(machine);
}

static void test_refused_features_run_nothing(void)
{
    struct machine *machine = new_machine();
    struct guest_driver *driver = machine->driver;
    struct guest_features wrong;

    g_assert_true(guest_driver_probe(driver));
    guest_driver_acknowledge(driver);
    guest_driver_read_features(driver);
    wrong = features_or(driver->offered, features_of(VIRTIO_NET_F_GUEST_TSO4, FEATURES_END));
    guest_driver_write_features(driver, wrong);
    g_assert_false(guest_driver_features_ok(driver));
    guest_driver_add_status(driver, DRIVER_OK);
    g_assert_cmphex(guest_driver_status(driver), ==, ACKNOWLEDGE | DRIVER | NEEDS_RESET);
    for (unsigned i = 0; i < 3; i++) {
        vionet_device_kick(machine->device, i);
    }
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DROP_NOT_RUNNING);
    g_assert_false(vionet_device_negotiated(machine->device, VIRTIO_F_VERSION_1));
    g_assert_true(machine_works(machine));
    machine_finish(machine);
}

/* ---- events ---- */

/* vionet/device.h: a violation is an event once for each queue and reset. */
static void test_event_for_each_queue(void)
{
    struct machine *machine = running();

    machine_forget_events(machine);
    for (unsigned i = 0; i < 2; i++) {
        vionet_device_write_queue_size(machine->device, 0, 2);
        vionet_device_write_queue_size(machine->device, 1, 2);
    }
    g_assert_cmpuint(
        vionet_device_violations(machine->device, VIONET_VIOLATION_QUEUE_WRITE_ENABLED), ==, 4);
    g_assert_cmpuint(machine->n_events, ==, 2);
    g_assert_cmpuint(machine->events[0].queue, ==, 0);
    g_assert_cmpuint(machine->events[1].queue, ==, 1);
    machine_finish(machine);
}

static void test_event_again_after_reset(void)
{
    struct machine *machine = running();

    machine_forget_events(machine);
    for (unsigned i = 0; i < 100; i++) {
        vionet_device_config_write(machine->device, 6, "\xff\xff\xff\xff", 1);
    }
    g_assert_cmpuint(machine->n_events, ==, 1);
    g_assert_true(machine_boot(machine, features_known()));
    machine_forget_events(machine);
    vionet_device_config_write(machine->device, 6, "\xff\xff\xff\xff", 1);
    g_assert_nonnull(machine_violation(machine, VIONET_VIOLATION_CONFIG_WRITE));
    g_assert_cmpuint(vionet_device_violations(machine->device, VIONET_VIOLATION_CONFIG_WRITE), ==,
                     101);
    machine_finish(machine);
}

static void test_life_events(void)
{
    static const VionetEventKind kinds[] = {VIONET_EVENT_RESET, VIONET_EVENT_FEATURES,
                                            VIONET_EVENT_RUNNING, VIONET_EVENT_RESET};
    struct machine *machine = running();

    g_assert_true(guest_driver_reset(machine->driver));
    g_assert_cmpuint(machine->n_events, ==, G_N_ELEMENTS(kinds));
    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_assert_cmpint(machine->events[i].kind, ==, kinds[i]);
        g_assert_cmphex(machine->events[i].queue, ==, VIONET_NONE);
        g_assert_cmphex(machine->events[i].descriptor, ==, VIONET_NONE);
    }
    machine_finish(machine);
}

/* ---- reset ---- */

static void test_same_features_again(void)
{
    struct machine *machine = new_machine();
    struct guest_features accepted;

    g_assert_true(machine_boot(machine, features_known()));
    accepted = machine->driver->accepted;
    for (unsigned i = 0; i < 5; i++) {
        if (i % 2) {
            vionet_pci_reset(machine->pci);
            machine->driver->probed = false;
        }
        g_assert_true(machine_boot(machine, accepted));
        g_assert_true(features_equal(accepted, machine->driver->accepted));
    }
    machine_finish(machine);
}

/* The memory that the rings of a queue lie in, before and after. */
static GBytes *ring_octets(struct machine *machine, unsigned index)
{
    const struct virtq_area *area = &machine->driver->queues[index].area;
    const unsigned size = machine->driver->queues[index].area_size;
    GByteArray *octets = g_byte_array_new();

    g_byte_array_append(octets, guest_ptr(machine->memory, area->desc_gpa, 16 * size), 16 * size);
    g_byte_array_append(octets, guest_ptr(machine->memory, area->driver_gpa, 6 + 2 * size),
                        6 + 2 * size);
    g_byte_array_append(octets, guest_ptr(machine->memory, area->device_gpa, 6 + 8 * size),
                        6 + 8 * size);
    return g_byte_array_free_to_bytes(octets);
}

/* Three kinds of work left over when the driver resets: a coalesced notification, a timer, a frame. */
static void leave_work(struct machine *machine, VionetFrame *held)
{
    g_assert_cmpint(net_control_coalesce_rx(machine->net, 100, 1000), ==, VIRTIO_NET_OK);
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
    g_assert_cmpuint(machine->deadline_ns[0], !=, 0);
    g_assert_true(net_transmit(machine->net, 0, NULL, frame, sizeof(frame)));
    g_assert_cmpuint(vionet_device_transmit(machine->device, 0, held, 1), ==, 1);
}

static void test_silence_after_reset(void)
{
    struct machine *machine = running();
    GBytes *before[3];
    VionetFrame held;
    uint64_t interrupts;

    leave_work(machine, &held);
    vionet_device_write_status(machine->device, 0);
    interrupts = all_interrupts(machine);
    for (unsigned i = 0; i < 3; i++) {
        before[i] = ring_octets(machine, i);
    }
    machine_advance(machine, 2000000);
    vionet_device_complete(machine->device, 0, &held, 1);
    vionet_device_set_poll(machine->device, 0, true);
    vionet_device_set_link(machine->device, false);
    g_assert_false(vionet_device_announce(machine->device));
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DROP_NOT_RUNNING);
    notify_all(machine);
    g_assert_cmpuint(machine_drain(machine, 0), ==, 0);
    g_assert_cmpuint(all_interrupts(machine), ==, interrupts);
    for (unsigned i = 0; i < 3; i++) {
        GBytes *after = ring_octets(machine, i);

        g_assert_true(g_bytes_equal(before[i], after));
        g_bytes_unref(before[i]);
        g_bytes_unref(after);
    }
    vionet_device_set_link(machine->device, true);
    g_assert_true(machine_works(machine));
    machine_finish(machine);
}

static void test_reset_from_every_state(void)
{
    static const uint8_t states[] = {0, 1, 3, 0xb, 0xf, FAILED | 1, 0x8b, 0x8f, 7};
    struct machine *machine = new_machine();

    g_assert_true(guest_driver_probe(machine->driver));
    for (unsigned i = 0; i < G_N_ELEMENTS(states); i++) {
        accept_features(machine->device, true);
        guest_driver_add_status(machine->driver, states[i]);
        g_assert_true(guest_driver_reset(machine->driver));
        g_assert_cmphex(guest_driver_status(machine->driver), ==, 0);
        g_assert_true(machine_works(machine));
        g_assert_true(guest_driver_reset(machine->driver));
    }
    machine_finish(machine);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_set_nonfatal_assertions();
    g_test_add_func("/status/any-two-writes-follow-the-model", test_two_writes);
    g_test_add_func("/status/any-four-writes-follow-the-model", test_four_writes);
    g_test_add_func("/status/zero-at-birth-and-after-a-reset", test_zero_at_birth);
    g_test_add_func("/status/needs-reset-is-the-devices-to-set", test_device_bit);
    g_test_add_func("/status/suspend-has-no-effect-unless-offered", test_suspend_not_offered);
    g_test_add_func("/status/a-bit-once-set-stays", test_cleared_bit);
    g_test_add_func("/status/R-23/nothing-happens-before-driver-ok", test_nothing_before_driver_ok);
    g_test_add_func("/status/early-notifications-are-not-lost", test_early_notifications_kept);
    g_test_add_func("/status/queues-live-from-driver-ok-to-reset", test_live_from_driver_ok);
    g_test_add_func("/status/an-error-shows-and-notifies", test_needs_reset);
    g_test_add_func("/status/an-error-before-driver-ok-does-not-notify",
                    test_needs_reset_before_driver_ok);
    g_test_add_func("/status/an-early-driver-runs-only-after-a-reset",
                    test_early_driver_runs_only_after_reset);
    g_test_add_func("/status/failed-stops-all-until-a-reset", test_failed_stops);
    g_test_add_func("/status/C-09/refused-features-run-nothing", test_refused_features_run_nothing);
    g_test_add_func("/status/a-violation-is-an-event-once-each-queue", test_event_for_each_queue);
    g_test_add_func("/status/a-violation-is-an-event-again-after-a-reset",
                    test_event_again_after_reset);
    g_test_add_func("/status/life-makes-events", test_life_events);
    g_test_add_func("/status/features-accepted-once-are-accepted-again", test_same_features_again);
    g_test_add_func("/status/nothing-is-touched-after-a-reset", test_silence_after_reset);
    g_test_add_func("/status/a-reset-works-in-every-state", test_reset_from_every_state);
    return g_test_run();
}
