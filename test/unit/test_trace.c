/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The trace operation: each frame once, when its fate is known, with its octets, its queue, and what
 * the driver was told of its hash.
 */
#include <string.h>

#include <vionet/spec.h>

#include "machine/machine.h"

#define MAX_TRACES 64

static const uint8_t own[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

/* What was traced, with its octets. */
struct seen {
    unsigned n;
    struct {
        VionetTrace trace;
        VionetFrame frame;
        uint8_t octets[2048];
        size_t n_octets;
    } of[MAX_TRACES];
};

static struct seen seen;

static void remember(struct machine *machine, const VionetTrace *trace)
{
    uint8_t *to = seen.of[seen.n].octets;

    (void)machine;
    g_assert_cmpuint(seen.n, <, MAX_TRACES);
    seen.of[seen.n].trace = *trace;
    seen.of[seen.n].frame = *trace->frame;
    seen.of[seen.n].n_octets = 0;
    for (unsigned i = 0; i < trace->frame->n_iov; i++) {
        const struct iovec *piece = &trace->frame->iov[i];

        memcpy(to + seen.of[seen.n].n_octets, piece->iov_base, piece->iov_len);
        seen.of[seen.n].n_octets += piece->iov_len;
    }
    seen.n++;
}

static struct machine *boot(struct machine_setup *setup, struct guest_features wanted)
{
    struct machine *machine;

    setup->on_trace = remember;
    machine = machine_new(setup, NULL);
    g_assert_nonnull(machine);
    g_assert_true(machine_boot(machine, wanted));
    memset(&seen, 0, sizeof(seen));
    return machine;
}

static struct machine *boot_plain(void)
{
    struct machine_setup setup;

    machine_setup_init(&setup);
    return boot(&setup, features_known());
}

/* UDP over IPv4, which differs with port. */
static void put_frame(uint8_t frame[60], uint8_t port)
{
    static const uint8_t head[] = {0x08, 0x00, 0x45, 0, 0,  46, 0, 1, 0, 0, 64, 17, 0, 0,
                                   10,   0,    0,    1, 10, 0,  0, 2, 4, 0, 0,  53, 0, 26};

    memset(frame, 0, 60);
    memcpy(frame, own, sizeof(own));
    frame[6] = 2;
    memcpy(frame + 12, head, sizeof(head));
    frame[35] = port;
}

static void assert_seen(unsigned i, VionetVerdict verdict, unsigned queue, const void *octets,
                        size_t len)
{
    g_assert_cmpuint(seen.n, >, i);
    g_assert_cmpstr(vionet_verdict_name(seen.of[i].trace.verdict), ==,
                    vionet_verdict_name(verdict));
    g_assert_cmpuint(seen.of[i].trace.queue, ==, queue);
    g_assert_cmpuint(seen.of[i].trace.len, ==, len);
    g_assert_cmpmem(seen.of[i].octets, seen.of[i].n_octets, octets, len);
}

static void test_receive(void)
{
    struct machine *machine = boot_plain();
    uint8_t frame[60];

    put_frame(frame, 1);
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
    g_assert_cmpuint(seen.n, ==, 1);
    assert_seen(0, VIONET_DELIVERED, 0, frame, sizeof(frame));
    g_assert_false(seen.of[0].trace.transmit);
    g_assert_cmpuint(seen.of[0].trace.report, ==, 0);
    machine_free(machine);
}

static void test_receive_drops(void)
{
    struct machine *machine = boot_plain();
    uint8_t frame[60];

    put_frame(frame, 1);
    frame[5]++;
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DROP_FILTER);
    g_assert_cmpint(machine_deliver(machine, frame, 13), ==, VIONET_DROP_RUNT);
    vionet_device_set_link(machine->device, false);
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DROP_LINK_DOWN);
    g_assert_true(guest_driver_reset(machine->driver));
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DROP_NOT_RUNNING);
    g_assert_cmpuint(seen.n, ==, 4);
    assert_seen(0, VIONET_DROP_FILTER, VIONET_NONE, frame, sizeof(frame));
    assert_seen(1, VIONET_DROP_RUNT, VIONET_NONE, frame, 13);
    assert_seen(2, VIONET_DROP_LINK_DOWN, VIONET_NONE, frame, sizeof(frame));
    assert_seen(3, VIONET_DROP_NOT_RUNNING, VIONET_NONE, frame, sizeof(frame));
    machine_free(machine);
}

/* A frame that has to wait is traced when it goes, and one that finds no buffer with its queue. */
static void test_held_frames(void)
{
    struct machine_setup setup;
    struct machine *machine;
    uint8_t octets[2][60];
    struct iovec iov[2] = {{octets[0], 60}, {octets[1], 60}};
    VionetFrame frames[2] = {{.iov = &iov[0], .n_iov = 1}, {.iov = &iov[1], .n_iov = 1}};
    VionetVerdict verdicts[2];

    machine_setup_init(&setup);
    setup.net.hold = true;
    machine = boot(&setup, features_known());
    g_assert_cmpuint(net_post(machine->net, 0, 1), ==, 1);
    put_frame(octets[0], 1);
    put_frame(octets[1], 2);
    vionet_device_receive(machine->device, 0, frames, 2, verdicts, VIONET_RECEIVE_HOLD);
    g_assert_cmpint(verdicts[1], ==, VIONET_HELD);
    g_assert_cmpuint(seen.n, ==, 1);
    vionet_device_receive(machine->device, 0, frames + 1, 1, verdicts, VIONET_RECEIVE_HOLD);
    g_assert_cmpuint(seen.n, ==, 1);
    g_assert_cmpuint(net_post(machine->net, 0, 1), ==, 1);
    vionet_device_receive(machine->device, 0, frames + 1, 1, verdicts, VIONET_RECEIVE_HOLD);
    g_assert_cmpint(machine_deliver(machine, octets[0], 60), ==, VIONET_DROP_NO_BUFFER);
    g_assert_cmpuint(seen.n, ==, 3);
    assert_seen(0, VIONET_DELIVERED, 0, octets[0], 60);
    assert_seen(1, VIONET_DELIVERED, 0, octets[1], 60);
    assert_seen(2, VIONET_DROP_NO_BUFFER, 0, octets[0], 60);
    machine_free(machine);
}

/* More frames in a call than a burst has. */
static void test_burst(void)
{
    struct machine *machine = boot_plain();
    uint8_t octets[40][60];
    struct iovec iov[40];
    VionetFrame frames[40];

    for (unsigned i = 0; i < 40; i++) {
        put_frame(octets[i], (uint8_t)i);
        iov[i] = (struct iovec){octets[i], 60};
        frames[i] = (VionetFrame){.iov = &iov[i], .n_iov = 1};
    }
    g_assert_cmpuint(vionet_device_receive(machine->device, 0, frames, 40, NULL, 0), ==, 40);
    g_assert_cmpuint(seen.n, ==, 40);
    for (unsigned i = 0; i < 40; i++) {
        assert_seen(i, VIONET_DELIVERED, 0, octets[i], 60);
    }
    machine_free(machine);
}

static struct machine *boot_with_hash(struct guest_features wanted)
{
    struct machine_setup setup;

    machine_setup_init(&setup);
    setup.device.max_pairs = 4;
    vionet_features_set(setup.device.features, VIRTIO_NET_F_MQ, true);
    vionet_features_set(setup.device.features, VIRTIO_NET_F_RSS, true);
    vionet_features_set(setup.device.features, VIRTIO_NET_F_HASH_REPORT, true);
    return boot(&setup, wanted);
}

static void choose_rss(struct machine *machine)
{
    static const uint8_t key[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67};
    const struct net_rss rss = {
        .hash_types = VIRTIO_NET_HASH_TYPE_UDPv4,
        .table_len = 128,
        .max_tx_vq = 4,
        .key = key,
        .key_len = sizeof(key),
    };

    g_assert_cmpint(net_control_rss(machine->net, &rss), ==, VIRTIO_NET_OK);
}

/* What stands in the packet header, and the queue that it came in. */
static void test_hash(void)
{
    struct machine *machine = boot_with_hash(features_known());
    bool several = false;

    choose_rss(machine);
    for (unsigned i = 0; i < 16; i++) {
        struct guest_packet packet;
        uint8_t frame[60];

        put_frame(frame, (uint8_t)i);
        g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
        g_assert_true(net_receive(machine->net, &packet));
        assert_seen(i, VIONET_DELIVERED, 2 * packet.pair, frame, sizeof(frame));
        g_assert_cmpuint(seen.of[i].trace.report, ==, VIRTIO_NET_HASH_REPORT_UDPv4);
        g_assert_cmpuint(seen.of[i].trace.report, ==, packet.header.hash_report);
        g_assert_cmpuint(seen.of[i].trace.hash, ==, packet.header.hash_value);
        several |= packet.pair != 0;
    }
    g_assert_true(several);
    machine_free(machine);
}

/* The device calculates a hash for RSS, but the driver never sees it. */
static void test_hash_that_is_not_reported(void)
{
    struct machine *machine = boot_with_hash(
        features_without(features_known(), features_of(VIRTIO_NET_F_HASH_REPORT, FEATURES_END)));
    uint8_t frame[60];

    choose_rss(machine);
    put_frame(frame, 1);
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
    g_assert_cmpuint(seen.of[0].trace.report, ==, 0);
    g_assert_cmpuint(seen.of[0].trace.hash, ==, 0);
    machine_free(machine);
}

static void test_transmit(void)
{
    struct machine *machine = boot_plain();
    VionetFrame taken;
    uint8_t frame[60];

    put_frame(frame, 1);
    g_assert_true(net_transmit(machine->net, 0, NULL, frame, sizeof(frame)));
    g_assert_cmpuint(vionet_device_transmit(machine->device, 0, &taken, 1), ==, 1);
    vionet_device_complete(machine->device, 0, &taken, 1);
    g_assert_cmpuint(seen.n, ==, 1);
    assert_seen(0, VIONET_DELIVERED, 1, frame, sizeof(frame));
    g_assert_true(seen.of[0].trace.transmit);
    machine_free(machine);
}

static void transmit_octets(struct machine *machine, const void *octets, uint32_t len)
{
    g_assert_true(net_transmit_octets(machine->net, 0, NULL, octets, len));
    net_transmit_flush(machine->net, 0);
    g_assert_cmpuint(machine_drain(machine, 0), ==, 0);
}

static void test_transmit_drops(void)
{
    struct machine *machine = boot_plain();
    const unsigned header = net_header_size(machine->net);
    uint8_t octets[128] = {0};

    put_frame(octets + header, 1);
    transmit_octets(machine, octets, header - 1);
    transmit_octets(machine, octets, header + 13);
    octets[1] = 0x7f; /* gso_type */
    transmit_octets(machine, octets, header + 60);
    octets[1] = 0;
    vionet_device_set_link(machine->device, false);
    transmit_octets(machine, octets, header + 60);
    g_assert_cmpuint(seen.n, ==, 4);
    assert_seen(0, VIONET_DROP_MALFORMED, 1, octets, 0);
    assert_seen(1, VIONET_DROP_RUNT, 1, octets + header, 13);
    assert_seen(2, VIONET_DROP_OFFLOAD, 1, octets + header, 60);
    g_assert_cmpuint(seen.of[2].frame.gso_type, ==, 0);
    assert_seen(3, VIONET_DROP_LINK_DOWN, 1, octets + header, 60);
    g_assert_true(seen.of[3].trace.transmit);
    machine_free(machine);
}

/* Ranges past those that are shown: the length is all of it. */
static void test_transmit_in_many_pieces(void)
{
    struct machine *machine = boot_plain();
    uint32_t cuts[40];
    const struct net_layout layout = {
        .shape = NET_CUTS, .cuts = cuts, .n_cuts = G_N_ELEMENTS(cuts)};
    VionetFrame taken;
    uint8_t frame[600] = {0};

    for (unsigned i = 0; i < G_N_ELEMENTS(cuts); i++) {
        cuts[i] = 10 * (i + 1);
    }
    put_frame(frame, 1);
    g_assert_true(net_transmit_add(machine->net, 0, &layout, NULL, frame, sizeof(frame)));
    net_transmit_flush(machine->net, 0);
    g_assert_cmpuint(vionet_device_transmit(machine->device, 0, &taken, 1), ==, 1);
    g_assert_cmpuint(taken.n_iov, >, 20);
    g_assert_cmpuint(seen.of[0].trace.len, ==, sizeof(frame));
    g_assert_cmpuint(seen.of[0].n_octets, <, sizeof(frame));
    g_assert_cmpmem(seen.of[0].octets, seen.of[0].n_octets, frame, seen.of[0].n_octets);
    vionet_device_complete(machine->device, 0, &taken, 1);
    machine_free(machine);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/trace/receive", test_receive);
    g_test_add_func("/trace/receive-drops", test_receive_drops);
    g_test_add_func("/trace/held-frames", test_held_frames);
    g_test_add_func("/trace/burst", test_burst);
    g_test_add_func("/trace/hash", test_hash);
    g_test_add_func("/trace/hash-that-is-not-reported", test_hash_that_is_not_reported);
    g_test_add_func("/trace/transmit", test_transmit);
    g_test_add_func("/trace/transmit-drops", test_transmit_drops);
    g_test_add_func("/trace/transmit-in-many-pieces", test_transmit_in_many_pieces);
    return g_test_run();
}
