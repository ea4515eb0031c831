/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the pump (device/pump.c) makes of the guest's frames for backends that take more or less,
 * with a backend of the test's own behind a device: whether they come as they are, in one range, or
 * as segments, and in order. And how often a guest that sends has to notify.
 */
#include <string.h>

#include <glib.h>

#include <vionet/spec.h>

#include "backend.h"
#include "machine/machine.h"
#include "pump.h"

#define TAKES_ALL (BACKEND_CSUM | BACKEND_GSO | BACKEND_UFO | BACKEND_USO | BACKEND_TUNNEL)

#define PAYLOAD  5000
#define SIZE     1000
#define MAX_SEEN 64

/* ---- A backend that notes what it gets ---- */

struct seen {
    uint32_t len;
    unsigned n_iov;
    uint8_t flags;
    uint8_t gso_type;
    unsigned returned; /* frames that the guest had back by then */
    uint8_t octets[128];
};

struct witness {
    VionetBackend backend;
    struct machine *machine; /* whose driver looks for what came back, or NULL */
    unsigned returned;
    unsigned n;
    struct seen seen[MAX_SEEN];
};

static bool witness_send(VionetBackend *backend, const VionetFrame *frames, size_t n)
{
    struct witness *witness = (struct witness *)backend;

    if (witness->machine) {
        witness->returned += net_reclaim(witness->machine->net, 0);
    }
    for (size_t i = 0; i < n; i++) {
        struct seen *seen = &witness->seen[witness->n++];
        const VionetFrame *frame = &frames[i];
        VionetFrame plain = {.iov = frame->iov, .n_iov = frame->n_iov, .len = frame->len};
        uint8_t *octets = g_malloc(frame->len);

        g_assert_cmpuint(witness->n, <=, MAX_SEEN);
        g_assert_cmpuint(vionet_frame_linearize(&plain, octets, frame->len), ==, frame->len);
        memcpy(seen->octets, octets, MIN(frame->len, sizeof(seen->octets)));
        seen->len = frame->len;
        seen->n_iov = frame->n_iov;
        seen->flags = frame->flags;
        seen->gso_type = frame->gso_type;
        seen->returned = witness->returned;
        g_free(octets);
    }
    return false;
}

static size_t witness_receive(VionetBackend *backend, VionetFrame *frames, size_t n)
{
    (void)backend;
    (void)frames;
    (void)n;
    return 0;
}

static void witness_complete(VionetBackend *backend, const VionetFrame *frames, size_t n)
{
    (void)backend;
    (void)frames;
    (void)n;
}

static const struct backend_ops witness_ops = {
    .name = "witness",
    .send = witness_send,
    .receive = witness_receive,
    .complete = witness_complete,
};

/* ---- What the guest sends ---- */

struct sort {
    const char *name;
    uint8_t protocol;
    uint8_t gso_type;
    unsigned takes;    /* what of a backend is needed to get it as it is */
    unsigned segments; /* else there are so many */
};

static const struct sort sorts[] = {
    {"plain", 17, VIRTIO_NET_HDR_GSO_NONE, BACKEND_CSUM, 1},
    {"tcp", 6, VIRTIO_NET_HDR_GSO_TCPV4, BACKEND_GSO, 5},
    {"ecn", 6, VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN, BACKEND_GSO, 5},
    {"fragments", 17, VIRTIO_NET_HDR_GSO_UDP, BACKEND_UFO, 6},
    {"datagrams", 17, VIRTIO_NET_HDR_GSO_UDP_L4, BACKEND_USO, 5},
};

static unsigned headers_len(const struct sort *sort)
{
    return 34 + (sort->protocol == 6 ? 20 : 8);
}

static void send_sort(struct machine *machine, const struct sort *sort, unsigned number)
{
    static const uint8_t start[] = {0, 0, 0,    0, 0, 0, 2, 0, 0, 0, 0, 0,
                                    8, 0, 0x45, 0, 0, 0, 0, 0, 0, 0, 64};
    const bool plain = sort->gso_type == VIRTIO_NET_HDR_GSO_NONE;
    const struct net_header header = {
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .gso_type = sort->gso_type,
        .gso_size = plain ? 0 : SIZE,
        .csum_start = 34,
        .csum_offset = sort->protocol == 6 ? 16 : 6,
    };
    const unsigned len = headers_len(sort) + (plain ? 10 : PAYLOAD);
    uint8_t *frame = g_malloc0(len);

    memcpy(frame, start, sizeof(start));
    frame[17] = 40;
    frame[23] = sort->protocol;
    frame[29] = (uint8_t)number; /* an address */
    frame[46] = sort->protocol == 6 ? 0x50 : 0;
    frame[50] = frame[40] = 0x12; /* unfinished, whatever it is */
    g_assert_true(net_transmit(machine->net, 0, &header, frame, len));
    g_free(frame);
}

/* ---- Both together ---- */

static void machine_kicked(struct machine *machine, unsigned queue)
{
    pump_kicked(machine->user, queue);
}

static struct machine *boot(void)
{
    static const unsigned bits[] = {
        VIRTIO_NET_F_CSUM,     VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_HOST_TSO6,
        VIRTIO_NET_F_HOST_ECN, VIRTIO_NET_F_HOST_UFO,  VIRTIO_NET_F_HOST_USO,
    };
    struct machine_setup setup;
    struct machine *machine;

    machine_setup_init(&setup);
    for (size_t i = 0; i < G_N_ELEMENTS(bits); i++) {
        vionet_features_set(setup.device.features, bits[i], true);
    }
    setup.net.transmit_size = 8192;
    machine = machine_new(&setup, NULL);
    g_assert_nonnull(machine);
    g_assert_true(machine_boot(machine, features_known()));
    return machine;
}

/* One frame came as it was sent. */
static void assert_as_it_is(const struct seen *seen, const struct sort *sort)
{
    g_assert_cmphex(seen->flags, ==, VIRTIO_NET_HDR_F_NEEDS_CSUM);
    g_assert_cmphex(seen->gso_type, ==, sort->gso_type);
}

/* One that is finished, in one range. */
static void assert_finished(const struct seen *seen)
{
    g_assert_cmphex(seen->flags, ==, 0);
    g_assert_cmphex(seen->gso_type, ==, 0);
    g_assert_cmpuint(seen->n_iov, ==, 1);
}

/* Whichever form one frame takes; returns how many the backend has of it. */
static unsigned check_sort(const struct seen *seen, const struct sort *sort, unsigned takes,
                           unsigned number)
{
    const bool long_tcp = sort->protocol == 6 && (takes & BACKEND_LONG_TCP);
    const unsigned n = (takes & sort->takes) || long_tcp ? 1 : sort->segments;

    g_test_message("%s, takes 0x%x", sort->name, takes);
    if (takes & sort->takes) {
        assert_as_it_is(seen, sort);
    } else {
        for (unsigned i = 0; i < n; i++) {
            assert_finished(&seen[i]);
            g_assert_cmpuint(seen[i].len, <=, headers_len(sort) + (long_tcp ? PAYLOAD : SIZE));
        }
    }
    for (unsigned i = 0; i < n; i++) {
        g_assert_cmpuint(seen[i].octets[29], ==, number);
    }
    if (n == 1 && sort->segments > 1) {
        g_assert_cmpuint(seen->len, ==, headers_len(sort) + PAYLOAD);
    }
    return n;
}

static void check_takes(struct machine *machine, unsigned takes)
{
    struct witness *witness = g_new0(struct witness, 1);
    struct pump *pump;
    unsigned at = 0;

    witness->backend.ops = &witness_ops;
    witness->backend.takes = takes;
    pump = pump_new(&witness->backend, 0);
    pump_connect(pump, machine->device);
    machine->user = pump;
    machine->on_kick = machine_kicked;
    for (unsigned i = 0; i < 2 * G_N_ELEMENTS(sorts); i++) {
        send_sort(machine, &sorts[i % G_N_ELEMENTS(sorts)], i);
    }
    g_assert_false(pump_run(pump));
    for (unsigned i = 0; i < 2 * G_N_ELEMENTS(sorts); i++) {
        at += check_sort(&witness->seen[at], &sorts[i % G_N_ELEMENTS(sorts)], takes, i);
    }
    g_assert_cmpuint(at, ==, witness->n);
    g_assert_cmpuint(backend_counters(&witness->backend).sent, ==, at);
    g_assert_cmpuint(backend_counters(&witness->backend).dropped, ==, 0);
    machine->on_kick = NULL;
    pump_disconnect(pump);
    pump_free(pump);
    g_free(witness);
}

static void test_what_backends_take(void)
{
    struct machine *machine = boot();

    check_takes(machine, 0);
    check_takes(machine, BACKEND_LONG_TCP);
    for (unsigned takes = 0; takes <= (TAKES_ALL | BACKEND_LONG_TCP); takes++) {
        if (takes & BACKEND_CSUM) {
            check_takes(machine, takes);
        }
    }
    machine_free(machine);
}

/* Sends n plain frames, one at a time; how often the guest notified for them. */
static unsigned send_singly(struct machine *machine, unsigned n)
{
    const uint64_t before = machine->kicks;

    for (unsigned i = 0; i < n; i++) {
        send_sort(machine, &sorts[0], i);
    }
    return (unsigned)(machine->kicks - before);
}

/* A machine, and a pump that a notification only puts on the list: a test runs it. */
struct deferred {
    struct witness *witness;
    struct machine *machine;
    struct pump *pump;
};

static struct deferred begin_deferred(void)
{
    struct deferred deferred = {.witness = g_new0(struct witness, 1), .machine = boot()};

    deferred.witness->backend.ops = &witness_ops;
    deferred.witness->backend.takes = TAKES_ALL;
    deferred.pump = pump_new(&deferred.witness->backend, 0);
    pump_defer(deferred.pump);
    pump_connect(deferred.pump, deferred.machine->device);
    deferred.machine->user = deferred.pump;
    deferred.machine->on_kick = machine_kicked;
    return deferred;
}

static void end_deferred(struct deferred *deferred)
{
    deferred->machine->on_kick = NULL;
    pump_disconnect(deferred->pump);
    pump_free(deferred->pump);
    machine_free(deferred->machine);
    g_free(deferred->witness);
}

static void test_one_notification_for_a_burst(void)
{
    struct deferred deferred = begin_deferred();
    struct machine *const machine = deferred.machine;
    struct witness *const witness = deferred.witness;
    struct pump *const pump = deferred.pump;

    for (unsigned round = 0; round < 3; round++) {
        witness->n = 0;
        g_assert_cmpuint(send_singly(machine, 10), ==, 1);
        g_assert_true(pump_run(pump)); /* it looks again */
        g_assert_cmpuint(witness->n, ==, 10);
        for (unsigned i = 0; i < 5; i++) {
            g_assert_cmpuint(send_singly(machine, 3), ==, 0);
            g_assert_true(pump_run(pump));
            g_assert_cmpuint(witness->n, ==, 10 + 3 * (i + 1));
        }
        g_assert_cmpuint(send_singly(machine, 1), ==, 0);
        witness->backend.full = true;
        g_assert_false(pump_run(pump)); /* until it is called again */
        g_assert_cmpuint(send_singly(machine, 1), ==, 0);
        witness->backend.full = false;
        g_assert_true(pump_run(pump));
        g_assert_cmpuint(witness->n, ==, 27);
        g_assert_false(pump_run(pump)); /* nothing came: the guest is to notify */
    }
    end_deferred(&deferred);
}

/* What a backend is given at a time comes back to the guest before it is given more. */
static void test_a_few_at_a_time(void)
{
    struct deferred deferred = begin_deferred();
    struct witness *const witness = deferred.witness;

    witness->backend.burst = 8;
    witness->machine = deferred.machine;
    for (unsigned round = 0; round < 3; round++) {
        witness->n = 0;
        send_singly(deferred.machine, 30);
        pump_run(deferred.pump);
        g_assert_cmpuint(witness->n, ==, 30);
        for (unsigned i = 0; i < 30; i++) {
            g_assert_cmpuint(witness->seen[i].returned, ==, i / 8 * 8);
        }
        g_assert_cmpuint(net_reclaim(deferred.machine->net, 0), ==, 6);
        witness->returned = 0;
        g_assert_false(pump_run(deferred.pump));
    }
    end_deferred(&deferred);
}

/* A run finds the queue paused, as the guest has taken bus mastering away; then it gives it back. */
static void test_pause_before_run(void)
{
    struct deferred deferred = begin_deferred();
    struct machine *const machine = deferred.machine;
    struct witness *const witness = deferred.witness;
    struct pump *const pump = deferred.pump;

    for (unsigned round = 0; round < 3; round++) {
        witness->n = 0;
        g_assert_cmpuint(send_singly(machine, 1), ==, 1);
        vionet_device_set_dma(machine->device, false);
        pump_run(pump);
        g_assert_cmpuint(witness->n, ==, 0);
        vionet_device_set_dma(machine->device, true);
        while (pump_run(pump)) {
        }
        g_assert_cmpuint(witness->n, ==, 1);
    }
    end_deferred(&deferred);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pump/one-notification-for-a-burst", test_one_notification_for_a_burst);
    g_test_add_func("/pump/a-few-at-a-time", test_a_few_at_a_time);
    g_test_add_func("/pump/pause-before-run", test_pause_before_run);
    g_test_add_func("/pump/what-backends-take", test_what_backends_take);
    return g_test_run();
}
