/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Saved state (vionet/state.h): what is saved is what goes on, whoever goes on; and what is wrong with a
 * state is named and changes nothing.
 */
#include <string.h>

#include <vionet/spec.h>
#include <vionet/state.h>
#include <vionet/transport.h>

#include "machine/machine.h"

static const uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5};

static void assert_no_complaints(struct machine *machine)
{
    char *text = complaints_text(guest_driver_complaints(machine->driver));

    g_assert_cmpstr(text, ==, "");
    g_free(text);
}

static struct machine *boot(unsigned pairs)
{
    struct machine_setup setup;

    machine_setup_init(&setup);
    machine_setup_offer_all(&setup);
    setup.device.max_pairs = (uint16_t)pairs;
    return machine_booted(&setup, features_known());
}

static GBytes *save(VionetDevice *device)
{
    GError *error = NULL;
    GBytes *state = vionet_device_save(device, &error);

    g_assert_no_error(error);
    g_assert_nonnull(state);
    return state;
}

/* Loads what was saved; the code of the error, -1 if there is none. */
static int load(VionetDevice *device, GBytes *state)
{
    GError *error = NULL;
    gsize len;
    const void *octets = g_bytes_get_data(state, &len);
    const bool good = vionet_device_load(device, octets, len, &error);
    const int code = error ? error->code : -1;

    g_assert_cmpint(good, ==, error == NULL);
    if (error) {
        g_assert_cmpuint(error->domain, ==, VIONET_STATE_ERROR);
        g_error_free(error);
    }
    return code;
}

static void deliver(struct machine *machine)
{
    struct guest_packet packet;

    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
    g_assert_true(net_receive(machine->net, &packet));
    g_assert_cmpmem(packet.data, packet.len, frame, sizeof(frame));
    net_recycle(machine->net);
}

static void send(struct machine *machine)
{
    g_assert_true(net_transmit(machine->net, 0, NULL, frame, sizeof(frame)));
    g_assert_cmpuint(machine_drain(machine, 0), ==, 1);
    g_assert_cmpuint(net_reclaim(machine->net, 0), ==, 1);
}

/* ---- Being saved and going on ---- */

/* A device that nobody touched, and what it saves is what was loaded. */
static void test_fresh(void)
{
    struct machine *machine = boot(1);
    struct machine_device one = machine_make_device(machine);
    struct machine_device other = machine_make_device(machine);
    GBytes *state = save(one.device);
    GBytes *again;

    g_assert_cmpint(load(other.device, state), ==, -1);
    again = save(other.device);
    g_assert_true(g_bytes_equal(state, again));
    g_bytes_unref(state);
    g_bytes_unref(again);
    machine_free_device(&one);
    machine_free_device(&other);
    machine_free(machine);
}

/* The same in the midst of traffic, and the driver goes on. */
static void test_goes_on(void)
{
    struct machine *machine = boot(1);

    for (unsigned i = 0; i < 300; i++) {
        struct machine_device made = machine_make_device(machine);
        GBytes *state, *again;

        deliver(machine);
        send(machine);
        vionet_device_set_paused(machine->device, true);
        state = save(machine->device);
        g_assert_cmpint(load(made.device, state), ==, -1);
        again = save(made.device);
        g_assert_true(g_bytes_equal(state, again));
        g_bytes_unref(state);
        g_bytes_unref(again);
        machine_replace(machine, &made);
    }
    deliver(machine);
    send(machine);
    g_assert_cmpint(net_control_rx(machine->net, VIRTIO_NET_CTRL_RX_PROMISC, true), ==,
                    VIRTIO_NET_OK);
    assert_no_complaints(machine);
    machine_free(machine);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/state/fresh", test_fresh);
    g_test_add_func("/state/goes-on", test_goes_on);
    return g_test_run();
}
