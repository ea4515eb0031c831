/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames through rings, both ways (VIRTIO 1.4, 5.1.6.2 to 5.1.6.4): how they lie in buffers, which
 * are taken and which are dropped and what is counted, completions in any order, notifications.
 * The guest driver model watches over used lengths, headers and its own half of the rings.
 */
#include <string.h>

#include <glib.h>

#include <vionet/spec.h>
#include <vionet/transport.h>

#include "driver/bytes.h"
#include "driver/packed.h"
#include "driver/queue.h"
#include "driver/split.h"
#include "machine/machine.h"

#define LONGEST 65550u

static const uint8_t our_mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

/* ---- Machines ---- */

static void offer(struct machine_setup *setup, unsigned bit)
{
    vionet_features_set(setup->device.features, bit, true);
}

static void offer_segmentation(struct machine_setup *setup)
{
    static const uint8_t bits[] = {
        VIRTIO_NET_F_CSUM,       VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_HOST_TSO4,
        VIRTIO_NET_F_HOST_TSO6,  VIRTIO_NET_F_HOST_ECN,   VIRTIO_NET_F_HOST_UFO,
        VIRTIO_NET_F_HOST_USO,   VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_TSO6,
        VIRTIO_NET_F_GUEST_USO4, VIRTIO_NET_F_GUEST_USO6,
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bits); i++) {
        offer(setup, bits[i]);
    }
}

static struct machine *start(const struct machine_setup *setup, struct guest_features wanted)
{
    GError *error = NULL;
    struct machine *machine = machine_new(setup, &error);

    g_assert_no_error(error);
    g_assert_true(machine_boot(machine, wanted));
    return machine;
}

/* All that the driver model holds against the device, and what it had to keep its hands off. */
static void assert_content(struct machine *machine)
{
    struct guest_driver *driver = machine->driver;
    char *text;

    for (unsigned i = 0; i < driver->n_queues; i++) {
        struct virtq *vq = guest_queue_ring(driver, i);

        g_assert_true(vq == NULL || virtq_verify(vq));
    }
    text = complaints_text(guest_driver_complaints(driver));
    g_assert_cmpstr(text, ==, "");
    g_free(text);
}

static void finish(struct machine *machine)
{
    assert_content(machine);
    for (unsigned i = 0; i < MIN(machine->n_events, MACHINE_MAX_EVENTS); i++) {
        g_assert_cmpint(machine->events[i].kind, !=, VIONET_EVENT_VIOLATION);
    }
    machine_free(machine);
}

/* Headers of each size that there is, by the features that make it. */
static const struct header_case {
    const char *name;
    unsigned size;
    uint8_t features[8]; /* 0 ends */
} header_cases[] = {
    {"12", 12, {0}},
    {"20", 20, {VIRTIO_NET_F_HASH_REPORT}},
    {"24", 24, {VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO}},
    {"24-receive", 24, {VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO}},
    {"24-both", 24, {VIRTIO_NET_F_HASH_REPORT, VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO}},
};

static void offer_header(struct machine_setup *setup, const struct header_case *header)
{
    if (header->features[0]) {
        offer_segmentation(setup);
    }
    for (unsigned i = 0; header->features[i]; i++) {
        offer(setup, header->features[i]);
    }
}

/* Rings in all their forms. */
static const struct ring_case {
    bool event_idx, in_order, indirect;
} ring_cases[] = {
    {false, false, false}, {true, false, false}, {false, true, false}, {true, true, false},
    {false, false, true},  {true, false, true},  {false, true, true},  {true, true, true},
};

static struct guest_features wanted_for(const struct ring_case *ring)
{
    struct guest_features wanted = features_known();

    if (!ring->event_idx) {
        features_remove(&wanted, VIRTIO_F_EVENT_IDX);
    }
    if (!ring->in_order) {
        features_remove(&wanted, VIRTIO_F_IN_ORDER);
    }
    return wanted;
}

static uint64_t counter(const struct machine *machine, unsigned queue, VionetCounter which)
{
    return vionet_device_counter(machine->device, queue, which);
}

static struct virtq *ring_of(struct machine *machine, unsigned index)
{
    return guest_queue_ring(machine->driver, index);
}

static uint64_t take_interrupts(struct machine *machine, unsigned queue)
{
    return guest_driver_take_interrupts(machine->driver, machine->driver->queues[queue].vector);
}

/* ---- Frames ---- */

/* Octets that tell one frame from another, for this guest, of a type for experiments. */
static void fill_frame(uint8_t *frame, uint32_t len, unsigned number)
{
    for (uint32_t i = 0; i < len; i++) {
        frame[i] = (uint8_t)(i * 7 + number * 13 + (number >> 8) + (i >> 8));
    }
    memcpy(frame, our_mac, MIN(len, 6));
    if (len >= 14) {
        frame[6] = 2;
        frame[12] = 0x88;
        frame[13] = 0xb5;
    }
}

static void assert_received(struct machine *machine, const uint8_t *frame, uint32_t len,
                            unsigned n_buffers)
{
    struct guest_packet packet;

    g_assert_true(net_receive(machine->net, &packet));
    g_assert_cmpmem(packet.data, packet.len, frame, len);
    g_assert_cmpuint(packet.n_buffers, ==, n_buffers);
}

static void assert_nothing_received(struct machine *machine)
{
    struct guest_packet packet;

    g_assert_false(net_receive(machine->net, &packet));
}

static VionetVerdict deliver(struct machine *machine, const VionetFrame *frame, unsigned flags)
{
    VionetVerdict verdict = VIONET_N_VERDICTS;
    const size_t n = vionet_device_receive(machine->device, 0, frame, 1, &verdict, flags);

    g_assert_cmpuint(n, ==, verdict == VIONET_DELIVERED);
    return verdict;
}

static VionetVerdict deliver_plain(struct machine *machine, const uint8_t *octets, size_t len,
                                   unsigned flags)
{
    const struct iovec piece = {(void *)octets, len};

    return deliver(machine, &(VionetFrame){.iov = &piece, .n_iov = 1}, flags);
}

/* ---- Receive: one buffer ---- */

/* P-21: the last octets of a buffer are good for octets of the frame. */
static void test_one_buffer_to_the_brim(void)
{
    uint8_t frame[1600];

    fill_frame(frame, sizeof(frame), 1);
    for (size_t h = 0; h < G_N_ELEMENTS(header_cases); h++) {
        struct guest_features wanted = features_known();
        struct machine_setup setup;
        struct machine *machine;

        machine_setup_init(&setup);
        offer_header(&setup, &header_cases[h]);
        features_remove(&wanted, VIRTIO_NET_F_MRG_RXBUF);
        setup.net.receive_size = header_cases[h].size + 1514;
        setup.net.poison = true;
        machine = start(&setup, wanted);
        g_assert_cmpuint(net_header_size(machine->net), ==, header_cases[h].size);
        for (uint32_t len = 1510; len < 1520; len++) {
            const VionetVerdict verdict = machine_deliver(machine, frame, len);

            g_assert_cmpint(verdict, ==,
                            len <= 1514 ? VIONET_DELIVERED : VIONET_DROP_BUFFER_TOO_SMALL);
            if (len <= 1514) {
                assert_received(machine, frame, len, 1);
            } else {
                assert_nothing_received(machine);
            }
        }
        finish(machine);
    }
}

/* what is too large for its buffer costs no buffer, however often. */
static void test_too_large_costs_no_buffer(void)
{
    static const uint16_t sizes[] = {2, 4, 256};
    uint8_t frame[1600];

    fill_frame(frame, sizeof(frame), 1);
    for (size_t s = 0; s < G_N_ELEMENTS(sizes); s++) {
        for (size_t r = 0; r < G_N_ELEMENTS(ring_cases); r++) {
            struct guest_features wanted = wanted_for(&ring_cases[r]);
            struct machine_setup setup;
            struct machine *machine;

            machine_setup_init(&setup);
            offer(&setup, VIRTIO_F_IN_ORDER);
            features_remove(&wanted, VIRTIO_NET_F_MRG_RXBUF);
            setup.driver.queue_size = sizes[s];
            setup.net.receive_layout.indirect = ring_cases[r].indirect;
            setup.net.receive_size = 12 + 1514;
            machine = start(&setup, wanted);
            take_interrupts(machine, 0);
            for (unsigned i = 0; i < 100u * sizes[s]; i++) {
                g_assert_cmpint(machine_deliver(machine, frame, 1515), ==,
                                VIONET_DROP_BUFFER_TOO_SMALL);
            }
            g_assert_cmpuint(virtq_used_total(ring_of(machine, 0)), ==, 0);
            g_assert_cmpuint(take_interrupts(machine, 0), ==, 0);
            g_assert_cmpuint(counter(machine, 0, VIONET_COUNTER_DROPS), ==, 100u * sizes[s]);
            for (unsigned i = 0; i < 3u * sizes[s]; i++) {
                g_assert_cmpint(machine_deliver(machine, frame, 60 + i), ==, VIONET_DELIVERED);
                assert_received(machine, frame, 60 + i, 1);
            }
            finish(machine);
        }
    }
}

/* ---- Receive: several buffers ---- */

static void merge_boundaries(const struct header_case *header, const struct ring_case *ring,
                             uint32_t size, enum net_shape shape)
{
    static const uint32_t cuts[] = {5, 11};
    struct machine_setup setup;
    struct machine *machine;
    uint8_t frame[1600];

    machine_setup_init(&setup);
    offer_header(&setup, header);
    offer(&setup, VIRTIO_F_IN_ORDER);
    setup.device.receive_queue_size = 2048;
    setup.net.receive_size = size;
    setup.net.receive_buffers = 128;
    setup.net.receive_layout =
        (struct net_layout){.shape = shape, .indirect = ring->indirect, .cuts = cuts, .n_cuts = 2};
    setup.net.poison = true;
    machine = start(&setup, wanted_for(ring));
    take_interrupts(machine, 0);
    for (unsigned n = 1; n <= 40 && n * size <= sizeof(frame); n += n < 5 ? 1 : 7) {
        for (int more = -1; more <= 1; more++) {
            const uint32_t total = (uint32_t)((int)(n * size) + more);
            const unsigned n_buffers = more > 0 ? n + 1 : n;
            const uint16_t used = virtq_used_total(ring_of(machine, 0));
            uint32_t len = total - header->size;

            if (total < header->size + 14) {
                continue;
            }
            fill_frame(frame, len, n * 3 + (unsigned)(more + 1));
            g_assert_cmpint(machine_deliver(machine, frame, len), ==, VIONET_DELIVERED);
            g_assert_cmpuint((uint16_t)(virtq_used_total(ring_of(machine, 0)) - used), ==,
                             n_buffers);
            assert_received(machine, frame, len, n_buffers);
            g_assert_cmpuint(take_interrupts(machine, 0), ==, 1);
            assert_nothing_received(machine); /* and it sleeps again */
        }
    }
    finish(machine);
}

/* 5.1.6.4.1: the number of buffers, all but the last of them full, at each boundary. */
static void test_merge_at_every_boundary(void)
{
    static const enum net_shape shapes[] = {NET_WHOLE, NET_HEADER_APART, NET_CUTS};

    for (size_t h = 0; h < G_N_ELEMENTS(header_cases); h++) {
        const uint32_t size = header_cases[h].size;
        const uint32_t sizes[] = {size, size + 1, size + 2, size + 13, 64, 256, 1526};

        for (size_t s = 0; s < G_N_ELEMENTS(sizes); s++) {
            for (size_t i = 0; i < G_N_ELEMENTS(shapes); i++) {
                const size_t r = (h + s + i) % G_N_ELEMENTS(ring_cases);

                merge_boundaries(&header_cases[h], &ring_cases[r], sizes[s], shapes[i]);
            }
        }
    }
    for (size_t r = 0; r < G_N_ELEMENTS(ring_cases); r++) {
        merge_boundaries(&header_cases[0], &ring_cases[r], 64, NET_HEADER_OCTETS);
    }
}

/* Posts a buffer for the header, then one-octet buffers, each its own. */
static uint64_t post_octets(struct machine *machine, unsigned n)
{
    const uint64_t gpa = guest_alloc(machine->memory, 12 + n, 64);
    struct virtq *vq = ring_of(machine, 0);
    struct virtq_segment segment = {gpa, 12, true};

    g_assert_cmphex(gpa, !=, GUEST_NONE);
    g_assert_true(virtq_add(vq, &segment, 1, machine));
    for (unsigned i = 0; i < n; i++) {
        segment = (struct virtq_segment){gpa + 12 + i, 1, true};
        g_assert_true(virtq_add(vq, &segment, 1, machine));
    }
    guest_queue_kick(machine->driver, 0);
    return gpa;
}

static void octet_buffers(uint16_t size, const struct ring_case *ring)
{
    const uint32_t len = size - 1u;
    uint8_t *frame = g_malloc(len + 1);
    struct machine_setup setup;
    struct machine *machine;
    struct virtq_used used;
    struct virtq *vq;
    uint64_t gpa;

    fill_frame(frame, len + 1, size);
    machine_setup_init(&setup);
    offer(&setup, VIRTIO_F_IN_ORDER);
    setup.device.receive_queue_size = size;
    setup.net.hold = true;
    machine = start(&setup, wanted_for(ring));
    vq = ring_of(machine, 0);
    gpa = post_octets(machine, len);
    take_interrupts(machine, 0);
    /* One octet more than all that there can be: nothing happens. */
    g_assert_cmpint(machine_deliver(machine, frame, len + 1), ==, VIONET_DROP_BUFFER_TOO_SMALL);
    g_assert_cmpuint(virtq_used_total(vq), ==, 0);
    g_assert_cmpuint(take_interrupts(machine, 0), ==, 0);
    g_assert_cmpint(machine_deliver(machine, frame, len), ==, VIONET_DELIVERED);
    g_assert_cmpuint(virtq_used_total(vq), ==, size);
    g_assert_cmpuint(take_interrupts(machine, 0), ==, 1);
    for (unsigned i = 0; i < size; i++) {
        g_assert_true(virtq_poll(vq, &used));
        g_assert_cmpuint(used.len, ==, i ? 1 : 12);
    }
    g_assert_cmpmem(guest_ptr(machine->memory, gpa + 12, len), len, frame, len);
    g_assert_cmpuint(bytes_get16(guest_ptr(machine->memory, gpa + 10, 2)), ==, size);
    finish(machine);
    g_free(frame);
}

/* P-17: a frame over as many buffers as there can be. */
static void test_octet_buffers(void)
{
    static const uint16_t sizes[] = {16, 256, 4096, 32768};

    for (size_t s = 0; s < G_N_ELEMENTS(sizes); s++) {
        for (size_t r = 0; r < 4; r++) {
            octet_buffers(sizes[s], &ring_cases[r]);
        }
    }
}

/* P-17: bursts in which each frame takes as many buffers as the ring has. */
static void test_bursts_of_largest_merges(void)
{
    static uint8_t octets[256][16 * 64 - 12];
    struct iovec pieces[256];
    VionetFrame frames[256];
    VionetVerdict verdicts[256];
    struct machine_setup setup;
    struct machine *machine;

    machine_setup_init(&setup);
    setup.driver.queue_size = 16;
    setup.net.receive_size = 64;
    machine = start(&setup, features_known());
    for (unsigned i = 0; i < 256; i++) {
        fill_frame(octets[i], sizeof(octets[i]), i);
        pieces[i] = (struct iovec){octets[i], sizeof(octets[i])};
        frames[i] = (VionetFrame){.iov = &pieces[i], .n_iov = 1};
    }
    for (unsigned round = 0; round < 20; round++) {
        g_assert_cmpuint(vionet_device_receive(machine->device, 0, frames, 256, verdicts, 0), ==,
                         1);
        for (unsigned i = 0; i < 256; i++) {
            g_assert_cmpint(verdicts[i], ==, i ? VIONET_DROP_NO_BUFFER : VIONET_DELIVERED);
        }
        assert_received(machine, octets[0], sizeof(octets[0]), 16);
        net_recycle(machine->net);
        assert_nothing_received(machine);
    }
    finish(machine);
}

/* More buffers than an octet counts, with num_buffers cut in two by the driver. */
static void test_num_buffers_in_two_pieces(void)
{
    static const uint32_t cuts[] = {11};
    static const enum net_shape shapes[] = {NET_CUTS, NET_HEADER_OCTETS};
    uint8_t frame[300 * 20 - 12];

    fill_frame(frame, sizeof(frame), 300);
    for (size_t i = 0; i < 2 * G_N_ELEMENTS(shapes); i++) {
        struct machine_setup setup;
        struct machine *machine;

        machine_setup_init(&setup);
        setup.device.receive_queue_size = 8192;
        setup.net.receive_size = 20;
        setup.net.receive_buffers = 400;
        setup.net.receive_layout = (struct net_layout){
            .shape = shapes[i / 2], .indirect = i % 2, .cuts = cuts, .n_cuts = 1};
        machine = start(&setup, features_known());
        g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
        assert_received(machine, frame, sizeof(frame), 300);
        finish(machine);
    }
}

/* P-03: what does not fit leaves no trace, and goes as soon as it fits. */
static void test_short_of_buffers(void)
{
    uint8_t frame[3 * 64 - 12];

    fill_frame(frame, sizeof(frame), 3);
    for (size_t r = 0; r < G_N_ELEMENTS(ring_cases); r++) {
        struct machine_setup setup;
        struct machine *machine;
        uint64_t kicks;

        machine_setup_init(&setup);
        offer(&setup, VIRTIO_F_IN_ORDER);
        setup.driver.queue_size = 4;
        setup.net.receive_size = 64;
        setup.net.receive_layout.indirect = ring_cases[r].indirect;
        setup.net.hold = true;
        machine = start(&setup, wanted_for(&ring_cases[r]));
        for (unsigned round = 0; round < 50; round++) {
            const uint16_t used = virtq_used_total(ring_of(machine, 0));

            g_assert_cmpuint(net_post(machine->net, 0, 2), ==, 2);
            take_interrupts(machine, 0);
            g_assert_cmpint(deliver_plain(machine, frame, sizeof(frame), 0), ==,
                            VIONET_DROP_NO_BUFFER);
            g_assert_cmpint(deliver_plain(machine, frame, sizeof(frame), VIONET_RECEIVE_HOLD), ==,
                            VIONET_HELD);
            g_assert_cmpuint(virtq_used_total(ring_of(machine, 0)), ==, used);
            g_assert_cmpuint(take_interrupts(machine, 0), ==, 0);
            assert_nothing_received(machine);
            kicks = machine->kicks;
            g_assert_cmpuint(net_post(machine->net, 0, 1), ==, 1);
            g_assert_cmpuint(machine->kicks, ==, kicks + 1); /* it asked to be told */
            g_assert_cmpint(deliver_plain(machine, frame, sizeof(frame), VIONET_RECEIVE_HOLD), ==,
                            VIONET_DELIVERED);
            g_assert_cmpuint(take_interrupts(machine, 0), ==, 1);
            assert_received(machine, frame, sizeof(frame), 3);
            net_recycle(machine->net);
        }
        finish(machine);
    }
}

/* putting buffers back costs nothing, however often; then the ring is as full as ever. */
static void test_rollback_forever(void)
{
    uint8_t frame[17 * 64];

    fill_frame(frame, sizeof(frame), 3);
    for (size_t r = 0; r < 4; r++) {
        struct machine_setup setup;
        struct machine *machine;

        machine_setup_init(&setup);
        offer(&setup, VIRTIO_F_IN_ORDER);
        setup.driver.queue_size = 32;
        setup.net.receive_size = 64;
        setup.net.receive_buffers = 16;
        machine = start(&setup, wanted_for(&ring_cases[r]));
        for (unsigned round = 0; round < 2; round++) {
            for (unsigned i = 0; i < 70000; i++) {
                g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==,
                                VIONET_DROP_NO_BUFFER);
            }
            for (unsigned i = 0; i < 16; i++) {
                g_assert_cmpint(machine_deliver(machine, frame, 14 + i), ==, VIONET_DELIVERED);
            }
            g_assert_cmpint(machine_deliver(machine, frame, 14), ==, VIONET_DROP_NO_BUFFER);
            for (unsigned i = 0; i < 16; i++) {
                assert_received(machine, frame, 14 + i, 1);
            }
            g_assert_true(machine_boot(machine, wanted_for(&ring_cases[r])));
        }
        finish(machine);
    }
}

/* ---- Receive: any cut ---- */

static void receive_layout(const struct header_case *header, const struct net_layout *layout,
                           bool mergeable, uint16_t size)
{
    struct guest_features wanted = features_known();
    struct machine_setup setup;
    struct machine *machine;
    uint8_t frame[300];

    if (!mergeable) {
        features_remove(&wanted, VIRTIO_NET_F_MRG_RXBUF);
    }
    machine_setup_init(&setup);
    offer_header(&setup, header);
    setup.device.receive_queue_size = size;
    setup.net.receive_size = mergeable ? 40 : header->size + 300;
    setup.net.receive_layout = *layout;
    setup.net.poison = true;
    machine = start(&setup, wanted);
    for (uint32_t len = 14; len <= 300; len += len < 60 ? 1 : 37) {
        const unsigned n = mergeable ? (header->size + len + 39) / 40 : 1;

        fill_frame(frame, len, len);
        g_assert_cmpint(machine_deliver(machine, frame, len), ==, VIONET_DELIVERED);
        assert_received(machine, frame, len, n);
    }
    finish(machine);
}

/* 2.7.4.1, P-04: it does not matter where descriptors begin and end; R-01: nor empty ones. */
static void test_receive_buffers_in_any_cut(void)
{
    static const enum net_shape shapes[] = {NET_HEADER_APART, NET_HEADER_OCTETS, NET_OCTETS};

    for (size_t h = 0; h < G_N_ELEMENTS(header_cases); h++) {
        for (unsigned k = 0; k < 4 * G_N_ELEMENTS(shapes); k++) {
            const struct net_layout layout = {
                .shape = shapes[k / 4], .indirect = k % 2, .n_direct = k % 3};

            receive_layout(&header_cases[h], &layout, k / 2 % 2, 8192);
        }
        for (uint32_t at = 0; at <= header_cases[h].size + 2; at++) {
            const uint32_t cuts[] = {at, at, at + 1};
            const struct net_layout layout = {
                .shape = NET_CUTS, .cuts = cuts, .n_cuts = 3, .indirect = at % 2};

            receive_layout(&header_cases[h], &layout, at / 2 % 2, 256);
        }
    }
}

/* Readable descriptors in front of a receive buffer's writable ones are no room, and no harm. */
static void test_readable_in_a_receive_buffer(void)
{
    uint8_t frame[100];
    struct machine_setup setup;
    struct machine *machine;
    struct virtq_used used;
    struct virtq_segment segments[2];
    uint64_t gpa;

    fill_frame(frame, sizeof(frame), 1);
    machine_setup_init(&setup);
    setup.net.hold = true;
    machine = start(&setup, features_known());
    gpa = guest_alloc(machine->memory, 4096, 4096);
    guest_fill(machine->memory, gpa, 4096, 0x77);
    segments[0] = (struct virtq_segment){gpa, 50, false};
    segments[1] = (struct virtq_segment){gpa + 1000, 112, true};
    g_assert_true(virtq_add(ring_of(machine, 0), segments, 2, machine));
    guest_queue_kick(machine->driver, 0);
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
    g_assert_true(virtq_poll(ring_of(machine, 0), &used));
    g_assert_cmpuint(used.len, ==, 112);
    g_assert_cmpmem(guest_ptr(machine->memory, gpa + 1012, 100), 100, frame, 100);
    g_assert_cmpuint(guest_differs(machine->memory, gpa, 1000, 0x77), ==, 1000);
    finish(machine);
}

/* H-15: every octet of a header is the device's; nothing is left of what lay there. */
static void test_header_octets(void)
{
    static const uint8_t plain[24] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    uint8_t frame[60];

    fill_frame(frame, sizeof(frame), 1);
    for (size_t h = 0; h < G_N_ELEMENTS(header_cases); h++) {
        struct machine_setup setup;
        struct machine *machine;
        struct guest_packet packet;

        machine_setup_init(&setup);
        offer_header(&setup, &header_cases[h]);
        setup.net.poison = true;
        machine = start(&setup, features_known());
        machine_deliver(machine, frame, sizeof(frame));
        g_assert_true(net_receive(machine->net, &packet));
        g_assert_cmpmem(packet.raw_header, header_cases[h].size, plain, header_cases[h].size);
        finish(machine);
    }
}

/* ---- Receive: holding ---- */

struct burst {
    uint8_t octets[80][60];
    struct iovec pieces[80];
    VionetFrame frames[80];
    VionetVerdict verdicts[80];
};

static struct burst *burst_new(void)
{
    struct burst *burst = g_new0(struct burst, 1);

    for (unsigned i = 0; i < 80; i++) {
        fill_frame(burst->octets[i], 60, i);
        burst->pieces[i] = (struct iovec){burst->octets[i], 60};
        burst->frames[i] = (VionetFrame){.iov = &burst->pieces[i], .n_iov = 1};
    }
    return burst;
}

/* One frame in one piece, as another caller than deliver_plain() has it. */
static VionetVerdict deliver_on(struct machine *machine, unsigned lane, const uint8_t *octets,
                                size_t len)
{
    const struct iovec piece = {(void *)octets, len};
    VionetVerdict verdict;

    vionet_device_receive(machine->device, lane, &(VionetFrame){.iov = &piece, .n_iov = 1}, 1,
                          &verdict, VIONET_RECEIVE_HOLD);
    return verdict;
}

static void no_trace(struct machine *machine, const VionetTrace *trace)
{
    (void)machine;
    (void)trace;
}

/* How often a driver that posts so many buffers notifies. */
static uint64_t kicks_of_post(struct machine *machine, unsigned n)
{
    const uint64_t before = machine->kicks;

    g_assert_cmpuint(net_post(machine->net, 0, n), ==, n);
    return machine->kicks - before;
}

/* A frame waits for six buffers while others, that need one each, go past it on another lane. */
static void hold_while_others_go(struct machine *machine)
{
    uint8_t frame[6 * 64 - 12];

    fill_frame(frame, sizeof(frame), 4);
    for (unsigned round = 0; round < 20; round++) {
        kicks_of_post(machine, 2);
        for (unsigned i = 0; i < 3; i++) {
            g_assert_cmpint(deliver_on(machine, 0, frame, sizeof(frame)), ==, VIONET_HELD);
            g_assert_cmpint(deliver_on(machine, 1, frame, 40), ==, VIONET_DELIVERED);
            assert_received(machine, frame, 40, 1);
            g_assert_cmpuint(kicks_of_post(machine, 2), ==, 1);
        }
        g_assert_cmpint(deliver_on(machine, 0, frame, sizeof(frame)), ==, VIONET_HELD);
        g_assert_cmpuint(kicks_of_post(machine, 1), ==, 1);
        /* It has been told, and nobody waits until it has come again. */
        g_assert_cmpint(deliver_on(machine, 1, frame, 40), ==, VIONET_DELIVERED);
        assert_received(machine, frame, 40, 1);
        g_assert_cmpuint(kicks_of_post(machine, 1), ==, 0);
        g_assert_cmpint(deliver_on(machine, 0, frame, sizeof(frame)), ==, VIONET_DELIVERED);
        assert_received(machine, frame, sizeof(frame), 6);
        net_recycle(machine->net);
    }
}

/* The queue is reset while a frame waits, and another's finds room while the driver fills it again. */
static void hold_over_a_reset(struct machine *machine)
{
    struct guest_driver *const driver = net_driver(machine->net);
    uint8_t frame[6 * 64 - 12];

    fill_frame(frame, sizeof(frame), 4);
    for (unsigned round = 0; round < 5; round++) {
        uint64_t before;

        kicks_of_post(machine, 2);
        g_assert_cmpint(deliver_on(machine, 0, frame, sizeof(frame)), ==, VIONET_HELD);
        g_assert_true(net_reset_queue(machine->net, 0, 0));
        before = machine->kicks;
        g_assert_cmpuint(net_post_silently(machine->net, 0, 1), ==, 1);
        g_assert_cmpint(deliver_on(machine, 1, frame, 40), ==, VIONET_DELIVERED);
        assert_received(machine, frame, 40, 1);
        g_assert_cmpuint(net_post_silently(machine->net, 0, 6), ==, 6);
        guest_queue_kick(driver, 0);
        g_assert_cmpuint(machine->kicks - before, ==, 1);
        g_assert_cmpint(deliver_on(machine, 0, frame, sizeof(frame)), ==, VIONET_DELIVERED);
        assert_received(machine, frame, sizeof(frame), 6);
        net_recycle(machine->net);
    }
}

/* P-03: one that waits for buffers hears of them, whoever takes some of them in between. */
static void test_held_frame_is_told_of_buffers(void)
{
    for (unsigned i = 0; i < 16; i++) {
        struct guest_features wanted = features_known();
        struct machine_setup setup;
        struct machine *machine;

        machine_setup_init(&setup);
        offer(&setup, VIRTIO_F_IN_ORDER);
        offer(&setup, VIRTIO_NET_F_MQ);
        setup.device.max_pairs = 2; /* lanes; the driver has one */
        setup.ring = i & 1 ? MACHINE_PACKED : MACHINE_SPLIT;
        setup.on_trace = i & 8 ? no_trace : NULL; /* from station to station */
        setup.driver.queue_size = 16;
        setup.net.receive_size = 64;
        setup.net.receive_layout.indirect = i & 4;
        setup.net.hold = true;
        features_remove(&wanted, VIRTIO_NET_F_MQ);
        if (i & 2) {
            features_remove(&wanted, VIRTIO_F_EVENT_IDX);
        }
        machine = start(&setup, wanted);
        hold_while_others_go(machine);
        if (guest_driver_has(net_driver(machine->net), VIRTIO_F_RING_RESET)) {
            hold_over_a_reset(machine);
        }
        finish(machine);
    }
}

/* What was held goes later, in its place: offered again in order, it arrives in order. */
static void test_held_frames_keep_their_order(void)
{
    struct burst *burst = burst_new();
    struct machine_setup setup;
    struct machine *machine;
    unsigned next = 0;

    machine_setup_init(&setup);
    setup.driver.queue_size = 16;
    setup.net.hold = true;
    machine = start(&setup, features_known());
    for (unsigned round = 0; next < 80 && round < 100; round++) {
        const unsigned n = MIN(80 - next, 30);
        const unsigned room = net_post(machine->net, 0, 1 + round % 7);
        const size_t done = vionet_device_receive(machine->device, 0, burst->frames + next, n,
                                                  burst->verdicts, VIONET_RECEIVE_HOLD);

        g_assert_cmpuint(done, ==, MIN(room, n));
        for (unsigned i = 0; i < n; i++) {
            g_assert_cmpint(burst->verdicts[i], ==, i < done ? VIONET_DELIVERED : VIONET_HELD);
        }
        for (unsigned i = 0; i < done; i++) {
            assert_received(machine, burst->octets[next++], 60, 1);
        }
        net_recycle(machine->net);
    }
    g_assert_cmpuint(next, ==, 80);
    g_assert_cmpuint(vionet_device_verdicts(machine->device, VIONET_HELD), ==, 0);
    g_assert_cmpuint(counter(machine, 0, VIONET_COUNTER_DROPS), ==, 0);
    finish(machine);
    g_free(burst);
}

/* The guest refills from its interrupt handler. */
static void refill_on_interrupt(void *opaque, unsigned queue)
{
    struct machine *machine = opaque;

    if (queue == 0) {
        net_post(machine->net, 0, 4);
    }
}

/* A burst longer than the device takes at a time, refilled while it is under way. */
static void test_held_frames_keep_their_order_while_refilled(void)
{
    struct burst *burst = burst_new();
    struct machine_setup setup;
    struct machine *machine;
    bool held = false;

    machine_setup_init(&setup);
    setup.net.hold = true;
    machine = start(&setup, features_known());
    vionet_device_set_interrupt(machine->device, refill_on_interrupt, machine);
    net_post(machine->net, 0, 10);
    vionet_device_receive(machine->device, 0, burst->frames, 80, burst->verdicts,
                          VIONET_RECEIVE_HOLD);
    g_assert_cmpint(burst->verdicts[9], ==, VIONET_DELIVERED);
    for (unsigned i = 0; i < 80; i++) {
        held |= burst->verdicts[i] == VIONET_HELD;
        g_assert_cmpint(burst->verdicts[i], ==, held ? VIONET_HELD : VIONET_DELIVERED);
    }
    finish(machine);
    g_free(burst);
}

/*
 * a frame that all of the ring's buffers together do not take would be held for ever: the
 * driver has nothing to add, so that no kick comes, and nothing behind it is received any more.
 */
static void test_what_never_fits_is_not_held(void)
{
    uint8_t frame[400];
    struct machine_setup setup;
    struct machine *machine;

    fill_frame(frame, sizeof(frame), 9);
    machine_setup_init(&setup);
    setup.driver.queue_size = 4;
    setup.net.receive_size = 64;
    machine = start(&setup, features_known());
    g_assert_cmpuint(virtq_room(ring_of(machine, 0)), ==, 0);
    g_assert_cmpint(deliver_plain(machine, frame, 4 * 64 - 12 + 1, VIONET_RECEIVE_HOLD), !=,
                    VIONET_HELD);
    g_assert_cmpint(deliver_plain(machine, frame, 4 * 64 - 12, VIONET_RECEIVE_HOLD), ==,
                    VIONET_DELIVERED);
    assert_received(machine, frame, 4 * 64 - 12, 4);
    finish(machine);
}

/* Without verdicts nobody could offer it again: then it is a drop. */
static void test_holding_needs_verdicts(void)
{
    struct burst *burst = burst_new();
    struct machine_setup setup;
    struct machine *machine;

    machine_setup_init(&setup);
    setup.net.hold = true;
    machine = start(&setup, features_known());
    g_assert_cmpuint(
        vionet_device_receive(machine->device, 0, burst->frames, 3, NULL, VIONET_RECEIVE_HOLD), ==,
        0);
    g_assert_cmpuint(vionet_device_verdicts(machine->device, VIONET_DROP_NO_BUFFER), ==, 3);
    finish(machine);
    g_free(burst);
}

/* a flood without buffers costs named drops; one kick, and traffic goes on. */
static void test_flood_without_buffers(void)
{
    const unsigned n = g_test_slow() ? 10000000 : 200000;

    for (size_t r = 0; r < 4; r++) {
        struct machine_setup setup;
        struct machine *machine;
        uint8_t frame[60];
        uint64_t kicks;

        fill_frame(frame, sizeof(frame), 1);
        machine_setup_init(&setup);
        offer(&setup, VIRTIO_F_IN_ORDER);
        setup.net.hold = true;
        machine = start(&setup, wanted_for(&ring_cases[r]));
        for (unsigned i = 0; i < n; i++) {
            machine_deliver(machine, frame, sizeof(frame));
        }
        g_assert_cmpuint(vionet_device_verdicts(machine->device, VIONET_DROP_NO_BUFFER), ==, n);
        g_assert_cmpuint(counter(machine, 0, VIONET_COUNTER_DROPS), ==, n);
        kicks = machine->kicks;
        g_assert_cmpuint(net_post(machine->net, 0, 100), ==, 100);
        g_assert_cmpuint(machine->kicks, ==, kicks + 1);
        for (unsigned i = 0; i < 100; i++) {
            g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
        }
        g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DROP_NO_BUFFER);
        for (unsigned i = 0; i < 100; i++) {
            assert_received(machine, frame, sizeof(frame), 1);
        }
        finish(machine);
    }
}

/* ---- Drops ---- */

struct drop_case {
    const char *name;
    VionetVerdict verdict;
    void (*make)(struct machine *machine);
    uint32_t len;
    uint8_t flags, gso_type;
    uint8_t octets[18];
    bool of_queue; /* counted as a drop of its queue */
};

static void make_link_down(struct machine *machine)
{
    vionet_device_set_link(machine->device, false);
}

static void make_reset(struct machine *machine)
{
    g_assert_true(guest_driver_reset(machine->driver));
}

static void make_queue_reset(struct machine *machine)
{
    g_assert_true(guest_queue_reset(machine->driver, 0));
}

#define US    0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 2, 0, 0, 0, 0, 1
#define THEM  0x52, 0x54, 0x00, 0x12, 0x34, 0x57, 2, 0, 0, 0, 0, 1
#define GROUP 0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1

static const struct drop_case drop_cases[] = {
    {.name = "delivered", .verdict = VIONET_DELIVERED, .len = 60, .octets = {US, 8, 0}},
    {.name = "runt", .verdict = VIONET_DROP_RUNT, .len = 13, .octets = {US, 8, 0}},
    {.name = "runt/nothing", .verdict = VIONET_DROP_RUNT, .len = 0},
    {.name = "oversize", .verdict = VIONET_DROP_OVERSIZE, .len = 2001, .octets = {US, 8, 0}},
    {.name = "not-running", .verdict = VIONET_DROP_NOT_RUNNING, .make = make_reset, .len = 60},
    {.name = "link-down", .verdict = VIONET_DROP_LINK_DOWN, .make = make_link_down, .len = 60},
    {.name = "filter", .verdict = VIONET_DROP_FILTER, .len = 60, .octets = {THEM, 8, 0}},
    {.name = "filter/group", .verdict = VIONET_DROP_FILTER, .len = 60, .octets = {GROUP, 8, 0}},
    {.name = "vlan", .verdict = VIONET_DROP_VLAN, .len = 60, .octets = {US, 0x81, 0, 0, 5}},
    {.name = "mtu", .verdict = VIONET_DROP_MTU, .len = 1515, .octets = {US, 8, 0}},
    {.name = "mtu/exactly", .verdict = VIONET_DELIVERED, .len = 1514, .octets = {US, 8, 0}},
    {.name = "offload",
     .verdict = VIONET_DROP_OFFLOAD,
     .len = 60,
     .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
     .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
     .octets = {US, 8, 0}},
    {.name = "queue-disabled",
     .verdict = VIONET_DROP_QUEUE_DISABLED,
     .make = make_queue_reset,
     .len = 60,
     .octets = {US, 8, 0}},
    {.name = "no-buffer",
     .verdict = VIONET_DROP_NO_BUFFER,
     .len = 60,
     .octets = {US, 8, 0},
     .of_queue = true},
    {.name = "buffer-too-small",
     .verdict = VIONET_DROP_BUFFER_TOO_SMALL,
     .len = 1000,
     .octets = {US, 8, 0},
     .of_queue = true},
};

/* Each reason has its counter, and that frame counts there and nowhere else. */
static void test_drop(gconstpointer data)
{
    const struct drop_case *drop = data;
    struct guest_features wanted = features_known();
    struct machine_setup setup;
    struct machine *machine;
    uint8_t frame[2048] = {0};
    struct iovec piece = {frame, drop->len};

    machine_setup_init(&setup);
    offer(&setup, VIRTIO_NET_F_MTU);
    setup.device.max_frame = 2000;
    features_remove(&wanted, VIRTIO_NET_F_MRG_RXBUF);
    setup.net.receive_size = drop->verdict == VIONET_DROP_BUFFER_TOO_SMALL ? 1000 : 2000;
    setup.net.hold = drop->verdict == VIONET_DROP_NO_BUFFER;
    machine = start(&setup, wanted);
    memcpy(frame, drop->octets, sizeof(drop->octets));
    if (drop->make) {
        drop->make(machine);
    }
    g_assert_cmpint(deliver(machine,
                            &(VionetFrame){.iov = &piece,
                                           .n_iov = 1,
                                           .flags = drop->flags,
                                           .gso_type = drop->gso_type,
                                           .gso_size = 1000},
                            0),
                    ==, drop->verdict);
    for (unsigned v = 0; v < VIONET_N_VERDICTS; v++) {
        g_assert_cmpuint(vionet_device_verdicts(machine->device, (VionetVerdict)v), ==,
                         v == (unsigned)drop->verdict);
    }
    g_assert_cmpuint(counter(machine, 0, VIONET_COUNTER_DROPS), ==, drop->of_queue);
    g_assert_cmpuint(counter(machine, 0, VIONET_COUNTER_PACKETS), ==,
                     drop->verdict == VIONET_DELIVERED);
    g_assert_cmpuint(counter(machine, 0, VIONET_COUNTER_OCTETS), ==,
                     drop->verdict == VIONET_DELIVERED ? drop->len : 0);
    finish(machine);
}

/* A queue that the driver broke: the frame finds no driver that it could be for. */
static void test_drop_at_a_broken_queue(void)
{
    struct machine_setup setup;
    struct machine *machine;
    uint8_t frame[60];

    fill_frame(frame, sizeof(frame), 1);
    machine_setup_init(&setup);
    machine = start(&setup, features_known());
    virtq_spoil(ring_of(machine, 0));
    for (unsigned i = 0; i < 256; i++) { /* what was seen before is still good */
        g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), !=, VIONET_HELD);
    }
    g_assert_nonnull(machine_violation(machine, virtq_options(ring_of(machine, 0))->packed
                                                    ? VIONET_VIOLATION_INDIRECT_LENGTH
                                                    : VIONET_VIOLATION_AVAIL_JUMP));
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DROP_NOT_RUNNING);
    machine_free(machine);
}

/* Every frame offered is counted exactly once, whatever it is. */
static void test_frames_are_conserved(void)
{
    GRand *random = g_rand_new_with_seed(4711);
    struct machine_setup setup;
    struct machine *machine;
    uint64_t sum = 0;
    uint64_t octets = 0;
    uint64_t packets = 0;
    uint8_t frame[2100];

    machine_setup_init(&setup);
    setup.device.max_frame = 2000;
    setup.driver.queue_size = 16;
    setup.net.receive_size = 512;
    machine = start(&setup, features_known());
    for (unsigned i = 0; i < 20000; i++) {
        const uint32_t len = (uint32_t)g_rand_int_range(random, 0, sizeof(frame));
        struct guest_packet packet;

        fill_frame(frame, len, i);
        if (len > 14) {
            frame[5] = (uint8_t)(0x56 + (i % 9 == 0));
            frame[12] = i % 11 ? 0x88 : 0x81;
            frame[13] = i % 11 ? 0xb5 : 0x00;
        }
        vionet_device_set_link(machine->device, i % 100 > 3);
        if (machine_deliver(machine, frame, len) == VIONET_DELIVERED) {
            packets++;
            octets += len;
        }
        if (g_rand_int_range(random, 0, 3)) {
            while (net_receive(machine->net, &packet)) {
            }
        }
    }
    for (unsigned v = 0; v < VIONET_N_VERDICTS; v++) {
        sum += vionet_device_verdicts(machine->device, (VionetVerdict)v);
    }
    g_assert_cmpuint(sum, ==, 20000);
    g_assert_cmpuint(packets, >, 1000);
    g_assert_cmpuint(counter(machine, 0, VIONET_COUNTER_PACKETS), ==, packets);
    g_assert_cmpuint(counter(machine, 0, VIONET_COUNTER_OCTETS), ==, octets);
    finish(machine);
    g_rand_free(random);
}

/* What a frame of that length, whose tag if any names VLAN 5, is to the filter. */
static VionetVerdict short_frame_verdict(uint32_t len, bool tagged)
{
    if (len < 14) {
        return VIONET_DROP_RUNT;
    }
    return tagged && len < 16 ? VIONET_DROP_VLAN : VIONET_DELIVERED;
}

/* P-14, P-06: frames that end inside of what filters look at, in memory that ends there too. */
static void test_short_frames(void)
{
    static const uint16_t tpids[] = {0x8100, 0x88a8, 0x0800};
    struct machine_setup setup;
    struct machine *machine;

    machine_setup_init(&setup);
    machine = start(&setup, features_known());
    g_assert_cmpint(net_control_vlan_add(machine->net, 5), ==, VIRTIO_NET_OK);
    for (size_t t = 0; t < G_N_ELEMENTS(tpids); t++) {
        const uint8_t whole[18] = {US, (uint8_t)(tpids[t] >> 8), (uint8_t)tpids[t], 0, 5, 8, 0};

        for (uint32_t len = 0; len <= 18; len++) {
            for (uint32_t cut = 0; cut <= len; cut++) {
                uint8_t *head = g_memdup2(whole, cut);
                uint8_t *tail = g_memdup2(whole + cut, len - cut);
                const struct iovec pieces[2] = {{head, cut}, {tail, len - cut}};
                const VionetVerdict expected = short_frame_verdict(len, t < 2);

                g_assert_cmpint(deliver(machine, &(VionetFrame){.iov = pieces, .n_iov = 2}, 0), ==,
                                expected);
                if (expected == VIONET_DELIVERED) {
                    assert_received(machine, whole, len, 1);
                }
                g_free(head);
                g_free(tail);
            }
        }
    }
    g_assert_cmpint(deliver(machine, &(VionetFrame){.iov = NULL, .n_iov = 0}, 0), ==,
                    VIONET_DROP_RUNT);
    finish(machine);
}

/* P-06: what the host offers in pieces is what it offers in one; longer than all is too long. */
static void test_host_frames_in_pieces(void)
{
    static uint8_t frame[LONGEST + 1];
    static struct iovec pieces[LONGEST + 1];
    struct machine_setup setup;
    struct machine *machine;

    fill_frame(frame, sizeof(frame), 6);
    machine_setup_init(&setup);
    machine = start(&setup, features_known());
    for (uint32_t len = LONGEST - 1; len <= LONGEST + 1; len++) {
        for (uint32_t i = 0; i < len; i++) {
            pieces[i] = (struct iovec){frame + i, 1};
        }
        g_assert_cmpint(deliver(machine, &(VionetFrame){.iov = pieces, .n_iov = len}, 0), ==,
                        len <= LONGEST ? VIONET_DELIVERED : VIONET_DROP_OVERSIZE);
        if (len <= LONGEST) {
            assert_received(machine, frame, len, (12 + len + 1533) / 1534);
        }
    }
    finish(machine);
}

/* ---- Transmit: what is taken ---- */

static VionetFrame taken[512];

static size_t take(struct machine *machine, unsigned pair)
{
    return vionet_device_transmit(machine->device, pair, taken, G_N_ELEMENTS(taken));
}

static void give_back(struct machine *machine, unsigned pair, const VionetFrame *frames, size_t n)
{
    vionet_device_complete(machine->device, pair, frames, n);
}

static void assert_octets(const VionetFrame *frame, const uint8_t *octets, size_t len)
{
    static uint8_t copy[LONGEST];
    VionetFrame plain = *frame;

    plain.flags = 0;
    g_assert_cmpuint(frame->len, ==, len);
    g_assert_cmpmem(copy, vionet_frame_linearize(&plain, copy, sizeof(copy)), octets, len);
}

/* Sends raw octets and asserts what became of them: taken, or dropped for a reason. */
static void send_octets(struct machine *machine, const struct net_layout *layout,
                        const uint8_t *octets, uint32_t len, VionetVerdict expected)
{
    const unsigned header = net_header_size(machine->net);
    const uint64_t before = vionet_device_verdicts(machine->device, expected);
    const uint64_t drops = counter(machine, 1, VIONET_COUNTER_DROPS);

    g_assert_true(net_transmit_octets(machine->net, 0, layout, octets, len));
    net_transmit_flush(machine->net, 0);
    g_assert_cmpuint(take(machine, 0), ==, expected == VIONET_DELIVERED);
    g_assert_cmpuint(vionet_device_verdicts(machine->device, expected), ==, before + 1);
    g_assert_cmpuint(counter(machine, 1, VIONET_COUNTER_DROPS), ==,
                     drops + (expected != VIONET_DELIVERED));
    if (expected == VIONET_DELIVERED) {
        assert_octets(&taken[0], octets + header, len - header);
        g_assert_cmpuint(net_reclaim(machine->net, 0), ==, 0);
        give_back(machine, 0, taken, 1);
    }
    g_assert_cmpuint(net_reclaim(machine->net, 0), ==, 1); /* never lost */
}

static VionetVerdict by_length(uint32_t len, unsigned header)
{
    if (len < header) {
        return VIONET_DROP_MALFORMED;
    }
    return len < header + 14 ? VIONET_DROP_RUNT : VIONET_DELIVERED;
}

/* P-04, P-05: totals around the header, in all ways to make two descriptors of them. */
static void test_transmit_lengths(void)
{
    uint8_t octets[24 + 20];

    for (size_t h = 0; h < G_N_ELEMENTS(header_cases); h++) {
        const unsigned header = header_cases[h].size;
        struct machine_setup setup;
        struct machine *machine;

        machine_setup_init(&setup);
        offer_header(&setup, &header_cases[h]);
        machine = start(&setup, features_known());
        memset(octets, 0, sizeof(octets));
        fill_frame(octets + header, 20, 5);
        for (uint32_t len = 0; len <= header + 15; len++) {
            for (uint32_t cut = 0; cut <= len; cut++) {
                const struct net_layout layout = {
                    .shape = NET_CUTS, .cuts = &cut, .n_cuts = 1, .indirect = cut % 2};

                send_octets(machine, &layout, octets, len, by_length(len, header));
            }
        }
        finish(machine);
    }
}

/* 2.7.4.1: header and frame in descriptors of one octet, and with empty ones in between. */
static void test_transmit_in_any_cut(void)
{
    static const enum net_shape shapes[] = {NET_WHOLE, NET_HEADER_APART, NET_HEADER_OCTETS,
                                            NET_OCTETS};
    uint8_t octets[24 + 100];

    for (size_t h = 0; h < G_N_ELEMENTS(header_cases); h++) {
        const unsigned header = header_cases[h].size;
        struct machine_setup setup;
        struct machine *machine;

        machine_setup_init(&setup);
        offer_header(&setup, &header_cases[h]);
        machine = start(&setup, features_known());
        memset(octets, 0, sizeof(octets));
        fill_frame(octets + header, 100, 7);
        for (unsigned k = 0; k < 2 * G_N_ELEMENTS(shapes); k++) {
            const struct net_layout layout = {
                .shape = shapes[k / 2], .indirect = k % 2, .n_direct = k % 3};

            send_octets(machine, &layout, octets, header + 100, VIONET_DELIVERED);
        }
        for (uint32_t at = 0; at <= header + 2; at++) {
            const uint32_t cuts[] = {0, at, at, at + 1, at + 1};
            const struct net_layout layout = {
                .shape = NET_CUTS, .cuts = cuts, .n_cuts = 5, .indirect = at % 2};

            send_octets(machine, &layout, octets, header + 100, VIONET_DELIVERED);
        }
        finish(machine);
    }
}

/* The longest frame is taken, one octet more is not; the limit is the device's own. */
static void test_transmit_oversize(void)
{
    static uint8_t octets[12 + LONGEST + 1];
    static const uint32_t limits[] = {1514, 9000, LONGEST};

    fill_frame(octets + 12, LONGEST + 1, 1);
    for (size_t i = 0; i < G_N_ELEMENTS(limits); i++) {
        struct machine_setup setup;
        struct machine *machine;

        machine_setup_init(&setup);
        setup.device.max_frame = limits[i];
        setup.net.transmit_size = sizeof(octets);
        machine = start(&setup, features_known());
        send_octets(machine, NULL, octets, 12 + limits[i], VIONET_DELIVERED);
        send_octets(machine, NULL, octets, 12 + limits[i] + 1, VIONET_DROP_OVERSIZE);
        finish(machine);
    }
}

/* P-01: a chain of more octets than an int counts, all of them the same memory. */
static void test_transmit_gigantic(void)
{
    static const struct {
        uint16_t queue;
        uint32_t entries, each;
    } cases[] = {{256, 1024, 2u << 20}, {32768, 32768, 64u << 10}, {256, 1024, (2u << 20) + 1}};

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct virtq_segment *segments = g_new(struct virtq_segment, cases[i].entries);
        struct machine_setup setup;
        struct machine *machine;
        struct virtq_used used;
        uint64_t gpa, table;

        machine_setup_init(&setup);
        setup.device.transmit_queue_size = cases[i].queue;
        machine = start(&setup, features_known());
        gpa = guest_alloc(machine->memory, cases[i].each, 4096);
        table = guest_alloc(machine->memory, 16 * (uint64_t)cases[i].entries, 16);
        for (uint32_t k = 0; k < cases[i].entries; k++) {
            segments[k] = (struct virtq_segment){gpa, cases[i].each, false};
        }
        g_assert_true(
            virtq_add_indirect(ring_of(machine, 1), segments, cases[i].entries, 0, table, machine));
        guest_queue_kick(machine->driver, 1);
        g_assert_cmpuint(take(machine, 0), ==, 0);
        g_assert_cmpuint(vionet_device_verdicts(machine->device, VIONET_DROP_OVERSIZE), ==, 1);
        g_assert_true(virtq_poll(ring_of(machine, 1), &used));
        g_assert_cmpuint(used.len, ==, 0);
        finish(machine);
        g_free(segments);
    }
}

/* Writable descriptors behind a frame are no part of it and are not written to. */
static void test_writable_in_a_transmit_buffer(void)
{
    struct virtq_segment segments[3];
    struct machine_setup setup;
    struct machine *machine;
    struct virtq_used used;
    uint8_t frame[60];
    uint64_t gpa;

    fill_frame(frame, sizeof(frame), 8);
    machine_setup_init(&setup);
    machine = start(&setup, features_known());
    gpa = guest_alloc(machine->memory, 8192, 4096);
    guest_write(machine->memory, gpa + 12, frame, sizeof(frame));
    guest_fill(machine->memory, gpa + 4096, 4096, 0x77);
    segments[0] = (struct virtq_segment){gpa, 12, false};
    segments[1] = (struct virtq_segment){gpa + 12, 60, false};
    segments[2] = (struct virtq_segment){gpa + 4096, 100, true};
    g_assert_true(virtq_add(ring_of(machine, 1), segments, 3, machine));
    guest_queue_kick(machine->driver, 1);
    g_assert_cmpuint(take(machine, 0), ==, 1);
    assert_octets(&taken[0], frame, sizeof(frame));
    give_back(machine, 0, taken, 1);
    g_assert_true(virtq_poll(ring_of(machine, 1), &used));
    g_assert_cmpuint(used.len, ==, 0);
    g_assert_cmpuint(guest_differs(machine->memory, gpa + 4096, 4096, 0x77), ==, 4096);
    finish(machine);
}

static void test_transmit_with_the_link_down(void)
{
    uint8_t octets[12 + 60] = {0};
    struct machine_setup setup;
    struct machine *machine;

    machine_setup_init(&setup);
    machine = start(&setup, features_known());
    vionet_device_set_link(machine->device, false);
    send_octets(machine, NULL, octets, sizeof(octets), VIONET_DROP_LINK_DOWN);
    vionet_device_set_link(machine->device, true);
    send_octets(machine, NULL, octets, sizeof(octets), VIONET_DELIVERED);
    finish(machine);
}

/* ---- Transmit: headers ---- */

static struct machine *start_segmenting(bool tunnels)
{
    struct machine_setup setup;

    machine_setup_init(&setup);
    offer_segmentation(&setup);
    if (tunnels) {
        offer(&setup, VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO);
        offer(&setup, VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO_CSUM);
    }
    return start(&setup, features_known());
}

/*
 * Sends a frame of 100 octets with a header; whether it is taken, and then as what: without its octets,
 * which are gone.
 */
static bool send_header(struct machine *machine, const struct net_header *header, VionetFrame *as)
{
    uint8_t frame[100];
    uint8_t copy[100];
    size_t n;

    fill_frame(frame, sizeof(frame), 9);
    g_assert_true(net_transmit(machine->net, 0, header, frame, sizeof(frame)));
    n = take(machine, 0);
    if (n) {
        *as = taken[0];
        as->iov = NULL;
        assert_octets(&taken[0], frame, sizeof(frame));
        g_assert_cmpuint(vionet_frame_linearize(&taken[0], copy, sizeof(copy)), ==, sizeof(copy));
        give_back(machine, 0, taken, 1);
    }
    g_assert_cmpuint(net_reclaim(machine->net, 0), ==, 1);
    return n;
}

/* P-07: where a checksum goes is inside of the frame, in arithmetic that does not wrap. */
static void test_checksum_positions(void)
{
    static const uint16_t starts[] = {0,  1,   34,  83,     84,     96,     97,    98,
                                      99, 100, 101, 0x7fff, 0x8000, 0xfffe, 0xffff};
    static const uint16_t offsets[] = {0, 1, 2, 6, 16, 98, 99, 0x7fff, 0x8001, 0xfffe, 0xffff};
    struct machine *machine = start_segmenting(false);

    for (size_t s = 0; s < G_N_ELEMENTS(starts); s++) {
        for (size_t o = 0; o < G_N_ELEMENTS(offsets); o++) {
            const struct net_header header = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                              .csum_start = starts[s],
                                              .csum_offset = offsets[o]};
            const bool inside = (uint64_t)starts[s] + offsets[o] + 2 <= 100;
            VionetFrame as = {0};

            g_assert_true(send_header(machine, &header, &as) == inside);
            if (inside) {
                g_assert_cmpuint(as.flags, ==, VIRTIO_NET_HDR_F_NEEDS_CSUM);
                g_assert_cmpuint(as.csum_start, ==, starts[s]);
                g_assert_cmpuint(as.csum_offset, ==, offsets[o]);
            }
        }
    }
    finish(machine);
}

/* 5.1.6.2.2: without NEEDS_CSUM its fields are nothing; so are the tunnel's without a tunnel. */
static void test_fields_without_their_flag(void)
{
    const struct net_header header = {
        .hdr_len = 0xffff,
        .gso_size = 0xffff,
        .csum_start = 0xffff,
        .csum_offset = 0xffff,
        .num_buffers = 0xffff,
        .outer_th_offset = 0xffff,
        .inner_nh_offset = 0xffff,
    };

    for (unsigned tunnels = 0; tunnels < 2; tunnels++) {
        struct machine *machine = start_segmenting(tunnels);
        VionetFrame as = {0};

        g_assert_true(send_header(machine, &header, &as));
        g_assert_cmpuint(as.flags, ==, 0);
        g_assert_cmpuint(as.gso_type, ==, 0);
        g_assert_cmpuint(as.csum_start, ==, 0);
        g_assert_cmpuint(as.csum_offset, ==, 0);
        g_assert_cmpuint(as.outer_th_offset, ==, 0);
        g_assert_cmpuint(as.inner_nh_offset, ==, 0);
        finish(machine);
    }
}

/* 5.1.6.2.2: unknown flags are ignored, and flags whose feature was not taken. */
static void test_unknown_flags(void)
{
    struct machine *machine = start_segmenting(false);

    for (unsigned flags = 0; flags < 256; flags++) {
        const struct net_header header = {
            .flags = (uint8_t)flags, .csum_start = 34, .csum_offset = 6};
        VionetFrame as = {0};

        g_assert_true(send_header(machine, &header, &as));
        g_assert_cmpuint(as.flags, ==, flags & VIRTIO_NET_HDR_F_NEEDS_CSUM);
    }
    finish(machine);
}

/* A checksum to complete, or segments to make, that were not agreed on. */
static void test_offloads_not_negotiated(void)
{
    static const uint8_t types[] = {VIRTIO_NET_HDR_GSO_NONE, VIRTIO_NET_HDR_GSO_TCPV4,
                                    VIRTIO_NET_HDR_GSO_UDP, VIRTIO_NET_HDR_GSO_TCPV6,
                                    VIRTIO_NET_HDR_GSO_UDP_L4};
    struct machine_setup setup;
    struct machine *machine;

    machine_setup_init(&setup);
    offer_segmentation(&setup);
    machine = start(&setup, features_of(VIRTIO_F_VERSION_1, FEATURES_END));
    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        const struct net_header header = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                          .gso_type = types[i],
                                          .gso_size = 50,
                                          .csum_start = 34,
                                          .csum_offset = 16};
        VionetFrame as;

        g_assert_false(send_header(machine, &header, &as));
    }
    g_assert_cmpuint(vionet_device_verdicts(machine->device, VIONET_DROP_OFFLOAD), ==, 5);
    finish(machine);
}

/* P-08, P-12: every gso_type, with and without what it requires; hdr_len is a hint only. */
static void test_segmentation_types(void)
{
    static const uint16_t sizes[] = {0, 1, 8, 0xffff};
    static const uint16_t hints[] = {0, 53, 54, 100, 101, 0xffff};
    static const unsigned known = 1u << 1 | 1u << 3 | 1u << 4 | 1u << 5; /* 5.1.6 */
    struct machine *machine = start_segmenting(false);

    for (unsigned type = 0; type < 256; type++) {
        /* Tunnels were not agreed on; 0x80 is ECN. */
        const unsigned base = type & 0x7f;
        const bool exists = base < 8 && (known >> base & 1);

        for (size_t s = 0; s < G_N_ELEMENTS(sizes) * G_N_ELEMENTS(hints) * 2; s++) {
            const struct net_header header = {
                .flags = s % 2 ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0,
                .gso_type = (uint8_t)type,
                .gso_size = sizes[s / 2 % 4],
                .hdr_len = hints[s / 8],
                .csum_start = 34,
                .csum_offset = 16,
            };
            const bool good = base == 0 || (exists && header.flags && header.gso_size);
            VionetFrame as = {0};

            g_assert_true(send_header(machine, &header, &as) == good);
            if (good) {
                /* ECN alone is no segmentation (NET-CFG-06 names it beside NONE). */
                g_assert_cmpuint(as.gso_type, ==, base ? type : 0);
                g_assert_cmpuint(as.gso_size, ==, base ? header.gso_size : 0);
            }
        }
    }
    finish(machine);
}

/* P-12: headers and nothing behind them that could be segmented; that is the host's business. */
static void test_segmentation_of_nothing(void)
{
    static const uint16_t sizes[] = {1, 1460, 0xffff};
    struct machine *machine = start_segmenting(false);
    uint8_t frame[54];

    fill_frame(frame, sizeof(frame), 3);
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        const struct net_header header = {
            .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
            .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
            .hdr_len = 54,
            .gso_size = sizes[i],
            .csum_start = 34,
            .csum_offset = 16,
        };

        g_assert_true(net_transmit(machine->net, 0, &header, frame, sizeof(frame)));
        g_assert_cmpuint(take(machine, 0), ==, 1);
        assert_octets(&taken[0], frame, sizeof(frame));
        g_assert_cmpuint(taken[0].gso_size, ==, sizes[i]);
        give_back(machine, 0, taken, 1);
    }
    finish(machine);
}

/* ECN needs HOST_ECN, each type its own feature. */
static void test_segmentation_by_feature(void)
{
    static const struct {
        uint8_t type, feature;
    } rows[] = {
        {VIRTIO_NET_HDR_GSO_TCPV4, VIRTIO_NET_F_HOST_TSO4},
        {VIRTIO_NET_HDR_GSO_TCPV6, VIRTIO_NET_F_HOST_TSO6},
        {VIRTIO_NET_HDR_GSO_UDP, VIRTIO_NET_F_HOST_UFO},
        {VIRTIO_NET_HDR_GSO_UDP_L4, VIRTIO_NET_F_HOST_USO},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct guest_features wanted =
            features_of(VIRTIO_F_VERSION_1, VIRTIO_NET_F_CSUM, rows[i].feature, FEATURES_END);
        struct machine_setup setup;
        struct machine *machine;

        machine_setup_init(&setup);
        offer_segmentation(&setup);
        machine = start(&setup, wanted);
        for (size_t k = 0; k < 2 * G_N_ELEMENTS(rows); k++) {
            const struct net_header header = {
                .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                .gso_type = rows[k / 2].type | (k % 2 ? VIRTIO_NET_HDR_GSO_ECN : 0),
                .gso_size = 10,
                .csum_start = 34,
                .csum_offset = 16,
            };
            VionetFrame as = {0};

            g_assert_true(send_header(machine, &header, &as) == (k == 2 * i));
        }
        finish(machine);
    }
}

/* 5.1.6.2.2: what a UDP tunnel bit, or its lack, forbids. */
static void test_tunnel_headers(void)
{
    enum { V4 = VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV4, V6 = VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV6 };
    enum {
        SUM = VIRTIO_NET_HDR_F_NEEDS_CSUM,
        VALID = VIRTIO_NET_HDR_F_DATA_VALID,
        OUTER = VIRTIO_NET_HDR_F_UDP_TUNNEL_CSUM
    };
    static const struct {
        uint8_t flags, gso_type;
        bool good;
    } rows[] = {
        {SUM, 1 | V4, true},
        {SUM, 1 | V6, true},
        {SUM, 4 | V4, true},
        {SUM, 4 | V6, true},
        {SUM, 5 | V4, true},
        {SUM | OUTER, 1 | V4, true},
        {SUM | OUTER, 5 | V6, true},
        {SUM, 1 | V4 | V6, false},
        {SUM, 5 | V4 | V6, false},
        {SUM, V4 | V6, false},
        {0, 1 | V4, false},
        {OUTER, 1 | V4, false},
        {VALID, 1 | V4, false},
        {SUM | VALID, 1 | V4, false},
        {SUM | VALID, 4 | V6, false},
        {SUM, V4, false},
        {SUM, V6, false},
        {SUM | OUTER, V6, false},
        {SUM | OUTER, 1, false},
        {SUM | OUTER, 0, false},
        {OUTER, 0, false},
        {SUM, 3 | V4, false},
        {SUM, 1, true},
        {SUM, 0, true},
    };
    struct machine *machine = start_segmenting(true);

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const struct net_header header = {
            .flags = rows[i].flags,
            .gso_type = rows[i].gso_type,
            .gso_size = 20,
            .csum_start = 84,
            .csum_offset = 14,
            .outer_th_offset = 34,
            .inner_nh_offset = 64,
        };
        VionetFrame as = {0};

        g_test_message("flags 0x%x, gso_type 0x%x", rows[i].flags, rows[i].gso_type);
        g_assert_true(send_header(machine, &header, &as) == rows[i].good);
        if (rows[i].good && (rows[i].gso_type & (V4 | V6))) {
            g_assert_cmpuint(as.outer_th_offset, ==, 34);
            g_assert_cmpuint(as.inner_nh_offset, ==, 64);
            g_assert_cmpuint(as.flags, ==, rows[i].flags);
        }
    }
    finish(machine);
}

/* ---- Completing a checksum ---- */

/* Octets, where the sum begins and goes, and what it comes to, from the literature or by hand. */
static const struct {
    const char *from;
    uint16_t start, offset, sum;
    uint32_t len;
    uint8_t octets[32];
} sums[] = {
    {"an IPv4 header that is in every textbook", 0, 10, 0xb861, 20, {0x45, 0,    0,    0x73, 0,
                                                                     0,    0x40, 0,    0x40, 0x11,
                                                                     0,    0,    0xc0, 0xa8, 0,
                                                                     1,    0xc0, 0xa8, 0,    0xc7}},
    {"RFC 1071, 3: ddf2 before the complement",
     2,
     8,
     0x220d,
     12,
     {0x99, 0x99, 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7, 0, 0}},
    {"an odd octet counts as the high one: 0102 + 0300 = 0402",
     0,
     2,
     0xfbfd,
     5,
     {0x01, 0x02, 0, 0, 0x03}},
    {"zero becomes ffff: 00ff + ff00 = ffff", 1, 4, 0xffff, 7, {0x55, 0, 0xff, 0xff, 0, 0, 0}},
    {"carries twice: ffff + ffff + 0001 = 0001",
     0,
     6,
     0xfffe,
     8,
     {0xff, 0xff, 0xff, 0xff, 0, 1, 0, 0}},
    {"the field's own content counts: 1234 + 0001", 0, 2, 0xedca, 4, {0, 1, 0x12, 0x34}},
};

static void test_sums(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(sums); i++) {
        for (uint32_t cut = 0; cut <= sums[i].len; cut++) {
            const struct iovec pieces[2] = {{(void *)sums[i].octets, cut},
                                            {(void *)(sums[i].octets + cut), sums[i].len - cut}};
            const VionetFrame frame = {.iov = pieces,
                                       .n_iov = 2,
                                       .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                       .csum_start = sums[i].start,
                                       .csum_offset = sums[i].offset,
                                       .len = sums[i].len};
            uint8_t expected[32];
            uint8_t copy[32];
            const unsigned at = sums[i].start + sums[i].offset;

            memcpy(expected, sums[i].octets, 32);
            expected[at] = (uint8_t)(sums[i].sum >> 8);
            expected[at + 1] = (uint8_t)sums[i].sum;
            g_test_message("%s", sums[i].from);
            g_assert_cmpmem(copy, vionet_frame_linearize(&frame, copy, sums[i].len), expected,
                            sums[i].len);
            g_assert_cmpuint(vionet_frame_linearize(&frame, copy, sums[i].len - 1), ==, 0);
        }
    }
}

/* P-07, P-10: a sum that does not fit the frame is refused, and nothing outside is touched. */
static void test_sums_outside(void)
{
    for (uint32_t len = 0; len <= 20; len++) {
        uint8_t *octets = g_malloc0(len);
        uint8_t *copy = g_malloc(len);
        const struct iovec piece = {octets, len};

        for (unsigned start_at = 0; start_at <= 24; start_at++) {
            for (unsigned offset = 0; offset <= 24; offset++) {
                const VionetFrame frame = {.iov = &piece,
                                           .n_iov = 1,
                                           .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                           .csum_start = (uint16_t)start_at,
                                           .csum_offset = (uint16_t)offset};

                g_assert_cmpuint(vionet_frame_linearize(&frame, copy, len), ==,
                                 start_at + offset + 2 <= len ? len : 0);
            }
        }
        g_free(octets);
        g_free(copy);
    }
}

/* ---- Completion ---- */

static void send_numbered(struct machine *machine, unsigned first, unsigned n)
{
    uint8_t frame[64];

    for (unsigned i = 0; i < n; i++) {
        fill_frame(frame, sizeof(frame), first + i);
        g_assert_true(net_transmit_add(machine->net, 0, NULL, NULL, frame, sizeof(frame)));
    }
    net_transmit_flush(machine->net, 0);
}

static void assert_numbered(const VionetFrame *frame, unsigned number)
{
    uint8_t octets[64];

    fill_frame(octets, sizeof(octets), number);
    assert_octets(frame, octets, sizeof(octets));
}

/* Any order of completion, at length; every frame stays what it is until it is given back. */
static void complete_at_random(uint16_t size, const struct ring_case *ring)
{
    GRand *random = g_rand_new_with_seed(size);
    struct machine_setup setup;
    struct machine *machine;
    VionetFrame out[256];
    unsigned number[256];
    unsigned n_out = 0;
    unsigned sent = 0;
    unsigned got = 0;

    machine_setup_init(&setup);
    offer(&setup, VIRTIO_F_IN_ORDER);
    setup.driver.queue_size = size;
    setup.net.transmit_buffers = size;
    setup.net.transmit_size = 100;
    setup.net.transmit_layout.indirect = ring->indirect;
    machine = start(&setup, wanted_for(ring));
    while (got < 5000) {
        net_reclaim(machine->net, 0);
        while (net_transmit_pending(machine->net, 0) < size) {
            send_numbered(machine, sent++, 1);
        }
        for (size_t n = take(machine, 0), i = 0; i < n; i++) {
            assert_numbered(&taken[i], got);
            out[n_out] = taken[i];
            number[n_out++] = got++;
        }
        g_assert_cmpuint(n_out, <=, size);
        for (unsigned k = 1 + (unsigned)g_rand_int_range(random, 0, (int)n_out); k > 0; k--) {
            const unsigned pick = (unsigned)g_rand_int_range(random, 0, (int)n_out);

            assert_numbered(&out[pick], number[pick]);
            give_back(machine, 0, &out[pick], 1);
            out[pick] = out[--n_out];
            number[pick] = number[n_out];
        }
    }
    give_back(machine, 0, out, n_out);
    take(machine, 0);
    net_reclaim(machine->net, 0);
    g_assert_cmpuint(counter(machine, 1, VIONET_COUNTER_STALE), ==, 0);
    g_assert_cmpuint(net_transmit_pending(machine->net, 0), ==, sent - got);
    finish(machine);
    g_rand_free(random);
}

/* and with IN_ORDER the driver model sees to it that they come back in their order. */
static void test_completion_in_any_order(void)
{
    static const uint16_t sizes[] = {2, 4, 256};

    for (size_t s = 0; s < G_N_ELEMENTS(sizes); s++) {
        for (size_t r = 0; r < G_N_ELEMENTS(ring_cases); r++) {
            complete_at_random(sizes[s], &ring_cases[r]);
        }
    }
}

/* One frame stays out while the ring goes round and round beside it. */
static void test_a_straggler(void)
{
    static const uint16_t sizes[] = {2, 4, 256};

    for (size_t s = 0; s < G_N_ELEMENTS(sizes); s++) {
        struct machine_setup setup;
        struct machine *machine;
        VionetFrame straggler;

        machine_setup_init(&setup);
        setup.driver.queue_size = sizes[s];
        setup.net.transmit_buffers = sizes[s];
        setup.net.transmit_size = 100;
        machine = start(&setup, features_known());
        send_numbered(machine, 0, 1);
        g_assert_cmpuint(take(machine, 0), ==, 1);
        straggler = taken[0];
        for (unsigned i = 1; i < 3u * sizes[s]; i++) {
            send_numbered(machine, i, 1);
            g_assert_cmpuint(take(machine, 0), ==, 1);
            assert_numbered(&taken[0], i);
            assert_numbered(&straggler, 0);
            give_back(machine, 0, taken, 1);
            g_assert_cmpuint(net_reclaim(machine->net, 0), ==, 1);
        }
        give_back(machine, 0, &straggler, 1);
        g_assert_cmpuint(counter(machine, 1, VIONET_COUNTER_STALE), ==, 0);
        g_assert_cmpuint(net_reclaim(machine->net, 0), ==, 1);
        finish(machine);
    }
}

/* Z-03: what was given back before, or never taken, is counted and nothing else. */
static void test_stale_completions(void)
{
    struct machine_setup setup;
    struct machine *machine;
    VionetFrame forged = {.token = UINT64_MAX};

    machine_setup_init(&setup);
    machine = start(&setup, features_known());
    send_numbered(machine, 0, 8);
    g_assert_cmpuint(take(machine, 0), ==, 8);
    give_back(machine, 0, taken, 3);
    give_back(machine, 0, taken, 3);
    g_assert_cmpuint(counter(machine, 1, VIONET_COUNTER_STALE), ==, 3);
    give_back(machine, 0, &forged, 1);
    for (unsigned i = 0; i < 64; i++) {
        forged.token = taken[7].token ^ UINT64_C(1) << i;
        if (forged.token != taken[3].token && forged.token != taken[4].token &&
            forged.token != taken[5].token && forged.token != taken[6].token) {
            give_back(machine, 0, &forged, 1);
        }
    }
    g_assert_cmpuint(counter(machine, 1, VIONET_COUNTER_STALE), >=, 3 + 1 + 60);
    g_assert_cmpuint(net_reclaim(machine->net, 0), ==, 3);
    give_back(machine, 0, taken + 3, 5);
    g_assert_cmpuint(net_reclaim(machine->net, 0), ==, 5);
    finish(machine);
}

/* Frames in many pieces: so many at once, then a kick when one is given back. */
static void test_frames_in_many_pieces(void)
{
    struct machine_setup setup;
    struct machine *machine;
    unsigned out = 0;
    unsigned got = 0;
    uint8_t frame[60];
    VionetFrame held[32];

    machine_setup_init(&setup);
    setup.net.transmit_layout = (struct net_layout){.shape = NET_OCTETS, .indirect = true};
    machine = start(&setup, features_known());
    for (unsigned i = 0; i < 20; i++) {
        fill_frame(frame, sizeof(frame), i);
        g_assert_true(net_transmit_add(machine->net, 0, NULL, NULL, frame, sizeof(frame)));
    }
    net_transmit_flush(machine->net, 0);
    for (unsigned round = 0; got < 20 && round < 100; round++) {
        const uint64_t kicks = machine->kicks;

        for (size_t n = take(machine, 0), i = 0; i < n; i++) {
            fill_frame(frame, sizeof(frame), got++);
            assert_octets(&taken[i], frame, sizeof(frame));
            held[out++] = taken[i];
        }
        g_assert_cmpuint(out, >, 0);
        give_back(machine, 0, &held[--out], 1);
        if (got < 20) {
            g_assert_cmpuint(machine->kicks, ==, kicks + 1);
            g_assert_cmpuint(machine->last_kick, ==, 1);
        }
    }
    g_assert_cmpuint(got, ==, 20);
    give_back(machine, 0, held, out);
    g_assert_cmpuint(net_reclaim(machine->net, 0), ==, 20);
    g_assert_cmpuint(counter(machine, 1, VIONET_COUNTER_STALE), ==, 0);
    finish(machine);
}

/* what is dropped comes back at once, with those taken in between still out. */
static void test_drops_come_back(void)
{
    static const uint16_t sizes[] = {2, 4, 256};

    for (size_t s = 0; s < G_N_ELEMENTS(sizes); s++) {
        for (size_t r = 0; r < G_N_ELEMENTS(ring_cases); r++) {
            uint8_t octets[12 + 14] = {0};
            struct machine_setup setup;
            struct machine *machine;

            machine_setup_init(&setup);
            offer(&setup, VIRTIO_F_IN_ORDER);
            setup.driver.queue_size = sizes[s];
            setup.net.transmit_buffers = sizes[s];
            setup.net.transmit_size = 100;
            setup.net.transmit_layout.indirect = ring_cases[r].indirect;
            machine = start(&setup, wanted_for(&ring_cases[r]));
            for (unsigned round = 0; round < 200; round++) {
                for (unsigned i = 0; i < sizes[s]; i++) {
                    g_assert_true(net_transmit_octets(machine->net, 0, NULL, octets,
                                                      i % 2 ? 11 + i % 3 : 26));
                }
                net_transmit_flush(machine->net, 0);
                g_assert_cmpuint(take(machine, 0), ==, sizes[s] / 2);
                g_assert_cmpuint(net_reclaim(machine->net, 0), ==,
                                 ring_cases[r].in_order ? 0 : sizes[s] / 2);
                give_back(machine, 0, taken, sizes[s] / 2);
                net_reclaim(machine->net, 0);
                g_assert_cmpuint(net_transmit_pending(machine->net, 0), ==, 0);
            }
            g_assert_cmpuint(counter(machine, 1, VIONET_COUNTER_DROPS), ==, 100u * sizes[s]);
            finish(machine);
        }
    }
}

/* ---- Notifications ---- */

/* One interrupt a burst; none if the driver asked for none (2.7.7). */
static void test_interrupts(void)
{
    for (size_t r = 0; r < 4; r++) {
        struct burst *burst = burst_new();
        struct machine_setup setup;
        struct machine *machine;

        machine_setup_init(&setup);
        offer(&setup, VIRTIO_F_IN_ORDER);
        machine = start(&setup, wanted_for(&ring_cases[r]));
        take_interrupts(machine, 0);
        vionet_device_receive(machine->device, 0, burst->frames, 32, NULL, 0);
        g_assert_cmpuint(take_interrupts(machine, 0), ==, 1);
        for (unsigned i = 0; i < 32; i++) {
            assert_received(machine, burst->octets[i], 60, 1);
        }
        virtq_disable_interrupts(ring_of(machine, 0));
        for (unsigned i = 0; i < 50; i++) {
            machine_deliver(machine, burst->octets[i], 60);
        }
        g_assert_cmpuint(take_interrupts(machine, 0), ==, 0);
        for (unsigned i = 0; i < 50; i++) {
            assert_received(machine, burst->octets[i], 60, 1);
        }
        assert_nothing_received(machine);
        g_assert_true(virtq_enable_interrupts(ring_of(machine, 0), 1));
        machine_deliver(machine, burst->octets[0], 60);
        g_assert_cmpuint(take_interrupts(machine, 0), ==, 1);
        g_assert_cmpuint(counter(machine, 0, VIONET_COUNTER_INTERRUPTS), ==, 2);
        finish(machine);
        g_free(burst);
    }
}

/* With EVENT_IDX a driver may sleep until the n-th, which is announced, and no other. */
static void test_interrupt_at_the_nth(void)
{
    struct machine_setup setup;
    struct machine *machine;
    struct guest_packet packet;
    uint8_t frame[60];
    unsigned in_all = 0;

    fill_frame(frame, sizeof(frame), 1);
    machine_setup_init(&setup);
    machine = start(&setup, features_known());
    machine_deliver(machine, frame, sizeof(frame)); /* the first decision is free */
    g_assert_true(net_receive(machine->net, &packet));
    g_assert_false(net_receive(machine->net, &packet));
    for (unsigned round = 0; in_all < 70000; round++) {
        const uint16_t n = (uint16_t)(1 + round % 100);

        take_interrupts(machine, 0);
        g_assert_true(virtq_enable_interrupts(ring_of(machine, 0), n));
        for (unsigned i = 1; i <= n; i++) {
            g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
            g_assert_cmpuint(take_interrupts(machine, 0), ==, i == n);
        }
        for (unsigned i = 0; i < n; i++) {
            g_assert_true(net_receive(machine->net, &packet));
        }
        in_all += n;
        net_recycle(machine->net);
    }
    finish(machine);
}

/* The driver is told not to notify while frames are taken, and told to when there are none. */
static void test_kicks(void)
{
    for (size_t r = 0; r < 4; r++) {
        struct machine_setup setup;
        struct machine *machine;

        machine_setup_init(&setup);
        offer(&setup, VIRTIO_F_IN_ORDER);
        machine = start(&setup, wanted_for(&ring_cases[r]));
        for (unsigned round = 0; round < 100; round++) {
            const uint64_t kicks = machine->kicks;

            send_numbered(machine, 3 * round, 1);
            g_assert_cmpuint(machine->kicks, ==, kicks + 1);
            /* As many as asked for: there may be more, and no kick is wanted for it. */
            g_assert_cmpuint(vionet_device_transmit(machine->device, 0, taken, 1), ==, 1);
            send_numbered(machine, 3 * round + 1, 1);
            send_numbered(machine, 3 * round + 2, 1);
            g_assert_cmpuint(machine->kicks, ==, kicks + 1);
            g_assert_cmpuint(vionet_device_transmit(machine->device, 0, taken + 1, 9), ==, 2);
            give_back(machine, 0, taken, 3);
            net_reclaim(machine->net, 0);
        }
        g_assert_cmpuint(counter(machine, 1, VIONET_COUNTER_KICKS), ==, 100);
        finish(machine);
    }
}

/* With poll on nobody is to kick; with poll off again nothing added meanwhile is forgotten. */
static void test_poll(void)
{
    for (size_t r = 0; r < 4; r++) {
        struct machine_setup setup;
        struct machine *machine;
        uint64_t kicks;

        machine_setup_init(&setup);
        offer(&setup, VIRTIO_F_IN_ORDER);
        setup.net.hold = true;
        machine = start(&setup, wanted_for(&ring_cases[r]));
        send_numbered(machine, 0, 1);
        machine_drain(machine, 0);
        vionet_device_set_poll(machine->device, 1, true);
        vionet_device_set_poll(machine->device, 0, true);
        send_numbered(machine, 0, 1); /* one may still come */
        net_post(machine->net, 0, 1);
        kicks = machine->kicks;
        for (unsigned i = 0; i < 100; i++) {
            g_assert_cmpuint(machine_drain(machine, 0), ==, 1);
            g_assert_cmpuint(machine_drain(machine, 0), ==, 0);
            send_numbered(machine, i, 1);
            net_post(machine->net, 0, 1);
        }
        g_assert_cmpuint(machine->kicks, ==, kicks);
        vionet_device_set_poll(machine->device, 1, false);
        g_assert_cmpuint(machine->kicks, ==, kicks + 1); /* for the one that is there */
        g_assert_cmpuint(machine->last_kick, ==, 1);
        g_assert_cmpuint(machine_drain(machine, 0), ==, 1);
        send_numbered(machine, 0, 1);
        g_assert_cmpuint(machine->kicks, ==, kicks + 2);
        vionet_device_set_poll(machine->device, 0, false);
        g_assert_cmpuint(machine->last_kick, ==, 0);
        finish(machine);
    }
}

/* Queues that cannot be polled are left alone: no command is to be missed. */
static void test_poll_is_for_data_queues(void)
{
    for (size_t r = 0; r < 2; r++) {
        struct guest_features wanted = wanted_for(&ring_cases[r]);
        struct machine_setup setup;
        struct machine *machine;

        machine_setup_init(&setup);
        offer(&setup, VIRTIO_NET_F_MQ);
        setup.device.max_pairs = 4;
        features_remove(&wanted, VIRTIO_NET_F_MQ); /* then queue 2 is the control queue */
        machine = start(&setup, wanted);
        g_assert_cmpuint(machine->driver->control, ==, 2);
        for (unsigned i = 0; i < 20; i++) {
            vionet_device_set_poll(machine->device, i, true);
        }
        for (unsigned i = 0; i < 5; i++) {
            g_assert_cmpint(net_control_rx(machine->net, VIRTIO_NET_CTRL_RX_PROMISC, true), ==,
                            VIRTIO_NET_OK);
        }
        finish(machine);
    }
}

/* 2.7.10.2: a notification for nothing is nothing; X-02: nor are a million of them. */
static void test_kicks_for_nothing(void)
{
    const unsigned n = g_test_slow() ? 1000000 : 100000;
    struct machine_setup setup;
    struct machine *machine;
    struct mark {
        uint64_t packets, octets, drops, interrupts;
    } before, after;

    machine_setup_init(&setup);
    machine = start(&setup, features_known());
    send_numbered(machine, 0, 1);
    machine_drain(machine, 0);
    for (unsigned queue = 0; queue < 3; queue++) {
        before = (struct mark){counter(machine, queue, VIONET_COUNTER_PACKETS),
                               counter(machine, queue, VIONET_COUNTER_OCTETS),
                               counter(machine, queue, VIONET_COUNTER_DROPS),
                               counter(machine, queue, VIONET_COUNTER_INTERRUPTS)};
        for (unsigned i = 0; i < n; i++) {
            guest_queue_notify(machine->driver, queue);
            if (queue == 1) {
                g_assert_cmpuint(take(machine, 0), ==, 0);
            }
        }
        after = (struct mark){counter(machine, queue, VIONET_COUNTER_PACKETS),
                              counter(machine, queue, VIONET_COUNTER_OCTETS),
                              counter(machine, queue, VIONET_COUNTER_DROPS),
                              counter(machine, queue, VIONET_COUNTER_INTERRUPTS)};
        g_assert_cmpmem(&before, sizeof(before), &after, sizeof(after));
        g_assert_cmpuint(counter(machine, queue, VIONET_COUNTER_KICKS), >=, n);
    }
    g_assert_cmpint(net_control_rx(machine->net, VIRTIO_NET_CTRL_RX_PROMISC, true), ==,
                    VIRTIO_NET_OK);
    finish(machine);
}

/* ---- Used lengths ---- */

/* Of the i-th buffer that came back; those of frames have one descriptor, commands may have more. */
static void assert_used(struct machine *machine, unsigned queue, unsigned i, uint32_t expected)
{
    struct virtq *vq = ring_of(machine, queue);
    const unsigned slot = i % virtq_options(vq)->size;
    struct packed_desc desc;
    uint32_t id, len;

    g_assert_cmpuint(virtq_used_total(vq), ==, (uint16_t)(i + 1));
    if (virtq_options(vq)->packed && queue == 2) {
        len = net_control_used_len(machine->net);
    } else if (virtq_options(vq)->packed) {
        g_assert_true(packed_read_desc(vq, slot, &desc));
        g_assert_true(!(desc.flags & VIRTQ_DESC_F_WRITE) == (expected == 0));
        len = desc.len;
    } else {
        g_assert_true(split_read_used(vq, slot, &id, &len));
    }
    g_assert_cmpuint(len, ==, expected);
}

/* what was written, neither more nor less: nothing of a frame sent, all of one received. */
static void test_used_lengths(void)
{
    uint8_t frame[1500];

    fill_frame(frame, sizeof(frame), 24);
    for (size_t k = 0; k < G_N_ELEMENTS(header_cases) * G_N_ELEMENTS(ring_cases); k++) {
        const struct header_case *header = &header_cases[k / G_N_ELEMENTS(ring_cases)];
        const struct ring_case *ring = &ring_cases[k % G_N_ELEMENTS(ring_cases)];
        uint32_t packets, usecs;
        struct machine_setup setup;
        struct machine *machine;

        machine_setup_init(&setup);
        offer_header(&setup, header);
        offer(&setup, VIRTIO_F_IN_ORDER);
        offer(&setup, VIRTIO_NET_F_VQ_NOTF_COAL);
        setup.net.transmit_layout.indirect = ring->indirect;
        setup.net.receive_layout.indirect = ring->indirect;
        setup.net.poison = true; /* the model sees to it that no more is written */
        machine = start(&setup, wanted_for(ring));
        for (unsigned i = 0; i < 300; i++) {
            const uint32_t len = 14 + i * 5 % 1487;

            g_assert_cmpint(machine_deliver(machine, frame, len), ==, VIONET_DELIVERED);
            assert_used(machine, 0, i, header->size + len);
            assert_received(machine, frame, len, 1);
            g_assert_true(net_transmit(machine->net, 0, NULL, frame, i % 20));
            machine_drain(machine, 0);
            assert_used(machine, 1, i, 0);
        }
        for (unsigned i = 0; i < 100; i += 2) {
            net_control_rx(machine->net, VIRTIO_NET_CTRL_RX_PROMISC, i % 4);
            assert_used(machine, 2, i, 1);
            g_assert_cmpint(net_control_coalesce_get(machine->net, 0, &packets, &usecs), ==,
                            VIRTIO_NET_OK);
            assert_used(machine, 2, i + 1, 9);
        }
        finish(machine);
    }
}

static void add_receive(void)
{
    g_test_add_func("/receive/one-buffer/P-21/to-the-brim", test_one_buffer_to_the_brim);
    g_test_add_func("/receive/one-buffer/R-26/too-large-costs-no-buffer",
                    test_too_large_costs_no_buffer);
    g_test_add_func("/receive/merge/at-every-boundary", test_merge_at_every_boundary);
    g_test_add_func("/receive/merge/P-17/buffers-of-one-octet", test_octet_buffers);
    g_test_add_func("/receive/merge/P-17/bursts-of-largest-merges", test_bursts_of_largest_merges);
    g_test_add_func("/receive/merge/num-buffers-in-two-pieces", test_num_buffers_in_two_pieces);
    g_test_add_func("/receive/merge/P-03/short-of-buffers-leaves-no-trace", test_short_of_buffers);
    g_test_add_func("/receive/merge/R-03/rollback-forever", test_rollback_forever);
    g_test_add_func("/receive/hold/P-03/a-held-frame-is-told-of-buffers",
                    test_held_frame_is_told_of_buffers);
    g_test_add_func("/receive/cut/P-04/any-descriptors", test_receive_buffers_in_any_cut);
    g_test_add_func("/receive/cut/R-20/readable-descriptors-are-no-room",
                    test_readable_in_a_receive_buffer);
    g_test_add_func("/receive/header/H-15/every-octet-is-written", test_header_octets);
    g_test_add_func("/receive/hold/frames-keep-their-order", test_held_frames_keep_their_order);
    g_test_add_func("/receive/hold/frames-keep-their-order-while-refilled",
                    test_held_frames_keep_their_order_while_refilled);
    g_test_add_func("/receive/hold/X-01/what-never-fits-is-not-held",
                    test_what_never_fits_is_not_held);
    g_test_add_func("/receive/hold/needs-verdicts", test_holding_needs_verdicts);
    g_test_add_func("/receive/flood/X-05/one-kick-and-traffic-resumes", test_flood_without_buffers);
    g_test_add_func("/receive/short/P-14/frames-that-end-in-their-tags", test_short_frames);
    g_test_add_func("/receive/pieces/P-06/host-frames-in-any-cut", test_host_frames_in_pieces);
    for (size_t i = 0; i < G_N_ELEMENTS(drop_cases); i++) {
        char *path = g_strdup_printf("/receive/verdict/%s", drop_cases[i].name);

        g_test_add_data_func(path, &drop_cases[i], test_drop);
        g_free(path);
    }
    g_test_add_func("/receive/verdict/broken-queue-is-not-running", test_drop_at_a_broken_queue);
    g_test_add_func("/receive/verdict/every-frame-counts-once", test_frames_are_conserved);
}

static void add_transmit(void)
{
    g_test_add_func("/transmit/length/P-05/in-two-descriptors", test_transmit_lengths);
    g_test_add_func("/transmit/cut/P-04/any-descriptors", test_transmit_in_any_cut);
    g_test_add_func("/transmit/length/oversize", test_transmit_oversize);
    g_test_add_func("/transmit/length/P-01/gigantic", test_transmit_gigantic);
    g_test_add_func("/transmit/cut/R-20/writable-descriptors-are-left-alone",
                    test_writable_in_a_transmit_buffer);
    g_test_add_func("/transmit/verdict/link-down", test_transmit_with_the_link_down);
    g_test_add_func("/transmit/header/P-07/checksum-positions", test_checksum_positions);
    g_test_add_func("/transmit/header/fields-without-their-flag", test_fields_without_their_flag);
    g_test_add_func("/transmit/header/unknown-flags", test_unknown_flags);
    g_test_add_func("/transmit/header/offloads-not-negotiated", test_offloads_not_negotiated);
    g_test_add_func("/transmit/header/P-08/segmentation-types", test_segmentation_types);
    g_test_add_func("/transmit/header/P-12/segmentation-of-nothing", test_segmentation_of_nothing);
    g_test_add_func("/transmit/header/P-08/segmentation-by-feature", test_segmentation_by_feature);
    g_test_add_func("/transmit/header/tunnels", test_tunnel_headers);
    g_test_add_func("/transmit/checksum/hand-worked", test_sums);
    g_test_add_func("/transmit/checksum/P-10/outside-is-refused", test_sums_outside);
    g_test_add_func("/transmit/completion/R-27/in-any-order", test_completion_in_any_order);
    g_test_add_func("/transmit/completion/a-straggler", test_a_straggler);
    g_test_add_func("/transmit/completion/Z-03/stale-ones-are-counted", test_stale_completions);
    g_test_add_func("/transmit/completion/frames-in-many-pieces", test_frames_in_many_pieces);
    g_test_add_func("/transmit/completion/R-25/drops-come-back", test_drops_come_back);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_receive();
    add_transmit();
    g_test_add_func("/used-length/R-24/is-what-was-written", test_used_lengths);
    g_test_add_func("/notify/one-interrupt-a-burst", test_interrupts);
    g_test_add_func("/notify/event-index/interrupt-at-the-nth", test_interrupt_at_the_nth);
    g_test_add_func("/notify/kicks-are-asked-for-when-empty", test_kicks);
    g_test_add_func("/notify/poll/nobody-kicks", test_poll);
    g_test_add_func("/notify/poll/is-for-data-queues", test_poll_is_for_data_queues);
    g_test_add_func("/notify/X-02/kicks-for-nothing", test_kicks_for_nothing);
    return g_test_run();
}
