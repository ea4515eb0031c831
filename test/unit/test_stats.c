/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Device statistics (VIRTIO 1.4, 5.1.6.5.11): which types there are with which features, what is
 * refused, how replies are laid out and cut off, and that each number is what the driver and the host
 * have counted themselves. One test looks inside: no driver lives to see a counter wrap.
 */
#include <string.h>

#include <vionet/spec.h>

#include "driver/bytes.h"
#include "driver/queue.h"
#include "machine/machine.h"
#include "net/device.h"

#define PAIRS   4
#define CONTROL (2 * PAIRS)
#define BIT(n)  (UINT64_C(1) << (n))
#define NONE    0xff

/* The types as the text has them: number, queues (0 receive, 1 transmit, 2 control), features. */
static const struct type {
    uint8_t number;
    uint8_t kind;
    uint8_t any_of[3];
    uint16_t size;
} types[] = {
    {0, 0, {NONE, NONE, NONE}, 56},  {1, 0, {1, NONE, NONE}, 40},
    {2, 0, {7, 8, NONE}, 40},        {3, 0, {NONE, NONE, NONE}, 24},
    {16, 1, {NONE, NONE, NONE}, 56}, {17, 1, {0, NONE, NONE}, 24},
    {18, 1, {11, 12, 56}, 56},       {19, 1, {NONE, NONE, NONE}, 24},
    {32, 2, {NONE, NONE, NONE}, 24},
};

#define RX_TYPES UINT64_C(0xf)
#define TX_TYPES UINT64_C(0xf0000)
#define CVQ_TYPE BIT(32)

static const uint8_t frame[200] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,
                                   0,    0,    0,    0,    1,    0x88, 0xb5};

/* ---- machines ---- */

static void setup_all(struct machine_setup *setup)
{
    machine_setup_init(setup);
    setup->device.max_pairs = PAIRS;
    setup->net.transmit_size = 4096;
    machine_setup_offer_all(setup);
}

static struct machine *boot(void)
{
    struct machine_setup setup;

    setup_all(&setup);
    return machine_booted(&setup, features_known());
}

static bool open_to(const struct type *type, const struct guest_features *features)
{
    bool any = type->any_of[0] == NONE;

    for (unsigned i = 0; i < 3; i++) {
        any |= type->any_of[i] != NONE && features_has(features, type->any_of[i]);
    }
    return any;
}

/* The counters of one type of one queue: index i is the i-th behind the header. */
struct reading {
    uint64_t at[6];
};

static struct reading read_type(struct machine *machine, unsigned queue, unsigned number)
{
    const struct net_stats_entry entry = {(uint16_t)queue, BIT(number)};
    struct reading reading = {{0}};
    uint8_t reply[56];
    uint32_t size = net_stats_size(number);

    g_assert_cmpint(net_control_stats_get(machine->net, &entry, 1, reply, size), ==, VIRTIO_NET_OK);
    g_assert_cmpuint(net_control_used_len(machine->net), ==, 1 + size);
    for (uint32_t i = 0; 8 + 8 * i < size; i++) {
        reading.at[i] = bytes_get64(reply + 8 + 8 * i);
    }
    return reading;
}

static void assert_reading(struct reading now, struct reading expected)
{
    for (unsigned i = 0; i < 6; i++) {
        g_assert_cmpuint(now.at[i], ==, expected.at[i]);
    }
}

#define READING(...) ((struct reading){{__VA_ARGS__}})

/* ---- which types ---- */

static void test_types_of_features(void)
{
    static const uint8_t bits[] = {0, 1, 7, 8, 11, 12, 56};
    struct machine_setup setup;
    struct machine *machine;

    setup_all(&setup);
    setup.net.receive_size = 1600;
    setup.net.receive_buffers = 4;
    machine = machine_new(&setup, NULL);
    for (unsigned set = 0; set < 1u << G_N_ELEMENTS(bits); set++) {
        struct guest_features wanted = features_of(17, 22, 32, 50, FEATURES_END);
        uint64_t expected = 0, told = 0;

        for (unsigned i = 0; i < G_N_ELEMENTS(bits); i++) {
            if (set >> i & 1) {
                features_add(&wanted, bits[i]);
            }
        }
        if ((!(set & 1) && (set & 0x70)) || (!(set & 2) && (set & 0xc))) {
            continue; /* segmentation without checksums is refused */
        }
        g_assert_true(machine_boot(machine, wanted));
        for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
            expected |= open_to(&types[i], &wanted) ? BIT(types[i].number) : 0;
        }
        g_assert_cmpint(net_control_stats_query(machine->net, &told), ==, VIRTIO_NET_OK);
        g_assert_cmphex(told, ==, expected);
        for (unsigned number = 0; number < 64; number++) {
            const struct net_stats_entry of[3] = {
                {0, BIT(number)}, {1, BIT(number)}, {CONTROL, BIT(number)}};
            uint8_t reply[64];
            unsigned answers = 0;

            for (unsigned i = 0; i < 3; i++) {
                answers += net_control_stats_get(machine->net, &of[i], 1, reply, sizeof(reply)) ==
                           VIRTIO_NET_OK;
            }
            g_assert_cmpuint(answers, ==, expected >> number & 1);
        }
    }
    machine_finish(machine);
}

static void test_not_negotiated(void)
{
    struct guest_features wanted = features_known();
    const struct net_stats_entry entry = {0, 1};
    struct machine_setup setup;
    struct machine *machine;
    uint8_t reply[64];
    uint64_t told;

    setup_all(&setup);
    features_remove(&wanted, VIRTIO_NET_F_DEVICE_STATS);
    machine = machine_booted(&setup, wanted);
    g_assert_cmpint(net_control_stats_query(machine->net, &told), ==, VIRTIO_NET_ERR);
    g_assert_cmpint(net_control_stats_get(machine->net, &entry, 1, reply, sizeof(reply)), ==,
                    VIRTIO_NET_ERR);
    g_assert_nonnull(machine_violation(machine, VIONET_VIOLATION_COMMAND_NOT_NEGOTIATED));
    machine_finish(machine);
}

/* ---- what is refused ---- */

/* Eight octets behind the answer, or an error; what is read does not matter. */
static void test_query_room(void)
{
    struct machine *machine = boot();
    const uint8_t command[20] = {8, 0, 0xff, 0xff};

    for (uint32_t len = 2; len <= sizeof(command); len++) {
        for (uint32_t room = 1; room <= 20; room++) {
            uint8_t answer[20];
            const bool fits = room >= 9;
            const int64_t used =
                net_control_octets(machine->net, NULL, command, len, 2, answer, room, 1);

            g_assert_cmpint(used, ==, fits ? 9 : 1);
            g_assert_cmphex(answer[0], ==, fits ? VIRTIO_NET_OK : VIRTIO_NET_ERR);
            if (fits) {
                g_assert_cmphex(bytes_get64(answer + 1), ==, RX_TYPES | TX_TYPES | CVQ_TYPE);
            }
            for (uint32_t i = (uint32_t)used; i < room; i++) {
                g_assert_cmphex(answer[i], ==, 0xff);
            }
        }
    }
    machine_finish(machine);
}

/* Entries of 16 octets, one at least, and nothing between them. */
static void test_get_lengths(void)
{
    struct machine *machine = boot();
    uint8_t command[2 + 100] = {8, 1};

    for (unsigned i = 0; i < 6; i++) {
        command[2 + 16 * i] = (uint8_t)i; /* the queue; its reserved words are anything */
        memset(command + 4 + 16 * i, 0xa5, 6);
        command[2 + 16 * i + 8 + 2 * (i % 2)] = 8;
    }
    for (uint32_t len = 0; len <= 96; len++) {
        const uint32_t n = len / 16;
        const bool good = len % 16 == 0 && n > 0;
        uint8_t answer[200];
        const int64_t used =
            net_control_octets(machine->net, NULL, command, 2 + len, 2, answer, sizeof(answer), 1);

        g_assert_cmpint(used, ==, good ? 1 + 24 * n : 1);
        g_assert_cmphex(answer[0], ==, good ? VIRTIO_NET_OK : VIRTIO_NET_ERR);
        for (uint32_t i = (uint32_t)used; i < sizeof(answer); i++) {
            g_assert_cmphex(answer[i], ==, 0xff);
        }
    }
    machine_finish(machine);
}

static void check_refused(struct machine *machine, struct net_stats_entry bad)
{
    for (unsigned at = 0; at < 3; at++) {
        struct net_stats_entry entries[3] = {{0, 1}, {1, BIT(16)}, {CONTROL, CVQ_TYPE}};
        uint8_t replies[300];

        entries[at] = bad;
        g_assert_cmpint(net_control_stats_get(machine->net, entries, 3, replies, sizeof(replies)),
                        ==, VIRTIO_NET_ERR);
        g_assert_cmpuint(net_control_used_len(machine->net), ==, 1);
        for (unsigned i = 0; i < sizeof(replies); i++) {
            g_assert_cmphex(replies[i], ==, 0xff);
        }
    }
}

/* Whichever of the entries is bad, nothing is told. */
static void test_one_bad_entry(void)
{
    static const uint16_t queues[] = {CONTROL + 1, CONTROL + 2, 0x7fff, 0x8000, 0xffff};
    struct machine *machine = boot();

    for (unsigned i = 0; i < G_N_ELEMENTS(queues); i++) {
        check_refused(machine, (struct net_stats_entry){queues[i], 0});
        check_refused(machine, (struct net_stats_entry){queues[i], 1});
    }
    for (unsigned number = 0; number < 64; number++) {
        for (uint16_t queue = 0; queue <= CONTROL; queue++) {
            const uint64_t own = queue == CONTROL ? CVQ_TYPE : queue % 2 ? TX_TYPES : RX_TYPES;

            if (!(own >> number & 1)) {
                check_refused(machine, (struct net_stats_entry){queue, own | BIT(number)});
            }
        }
    }
    machine_forget_events(machine);
    check_refused(machine, (struct net_stats_entry){0, UINT64_MAX});
    assert_reading(read_type(machine, 0, 1), READING(0, 0, 0, 0));
    machine_finish(machine);
}

/* With one pair there are three queues, however many the device could have. */
static void test_queues_of_one_pair(void)
{
    struct guest_features wanted = features_known();
    struct machine_setup setup;
    struct machine *machine;

    setup_all(&setup);
    features_remove(&wanted, VIRTIO_NET_F_MQ);
    wanted = features_without(wanted, features_of(51, 60, 64, FEATURES_END));
    machine = machine_booted(&setup, wanted);
    for (uint16_t queue = 0; queue <= CONTROL; queue++) {
        const struct net_stats_entry entry = {queue, queue == 2 ? CVQ_TYPE : 0};
        uint8_t reply[24];

        g_assert_cmpint(net_control_stats_get(machine->net, &entry, 1, reply, sizeof(reply)), ==,
                        queue <= 2 ? VIRTIO_NET_OK : VIRTIO_NET_ERR);
    }
    machine_finish(machine);
}

/* ---- how replies lie ---- */

static void assert_header(const uint8_t *reply, unsigned number, unsigned queue)
{
    uint8_t expected[8] = {(uint8_t)number, 0, (uint8_t)queue, 0, 0, 0, 0, 0};

    bytes_put16(expected + 6, (uint16_t)net_stats_size(number));
    g_assert_cmpmem(reply, 8, expected, 8);
}

/* By entry, then by type: all of them, an entry twice, and none of an empty mask. */
static const struct net_stats_entry many[] = {
    {3, TX_TYPES}, {0, RX_TYPES}, {CONTROL, CVQ_TYPE}, {0, 0}, {0, BIT(3) | BIT(1)}, {6, 1},
};

static unsigned expected_order(struct net_stats_entry order[32])
{
    unsigned n = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(many); i++) {
        for (unsigned number = 0; number < 64; number++) {
            if (many[i].types >> number & 1) {
                order[n++] = (struct net_stats_entry){many[i].queue, number};
            }
        }
    }
    return n;
}

/* Whole replies as far as they go, in any room; nothing behind them is touched. */
static void test_room(void)
{
    struct machine *machine = boot();
    struct net_stats_entry order[32];
    const unsigned n = expected_order(order);
    uint8_t replies[600];

    for (uint32_t room = 0; room <= sizeof(replies); room++) {
        uint32_t at = 0;

        g_assert_cmpint(
            net_control_stats_get(machine->net, many, G_N_ELEMENTS(many), replies, room), ==,
            VIRTIO_NET_OK);
        for (unsigned i = 0; i < n; i++) {
            const uint32_t size = net_stats_size((unsigned)order[i].types);

            if (at + size > room) {
                break;
            }
            assert_header(replies + at, (unsigned)order[i].types, order[i].queue);
            at += size;
        }
        g_assert_cmpuint(net_control_used_len(machine->net), ==, 1 + at);
        for (uint32_t i = at; i < room; i++) {
            g_assert_cmphex(replies[i], ==, 0xff);
        }
    }
    machine_finish(machine);
}

static void test_sizes(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
        g_assert_cmpuint(net_stats_size(types[i].number), ==, types[i].size);
    }
}

/* However the reply's buffer is cut. */
static void test_cuts(void)
{
    struct machine *machine = boot();
    const uint8_t command[18] = {8, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3};

    for (uint32_t cut = 0; cut <= 81; cut++) {
        const struct net_control_layout layout = {
            .command = {.shape = NET_OCTETS},
            .reply = {.shape = NET_CUTS, .cuts = &cut, .n_cuts = 1},
        };
        uint8_t answer[81];

        g_assert_cmpint(
            net_control_octets(machine->net, &layout, command, 18, 2, answer, sizeof(answer), 1),
            ==, 81);
        g_assert_cmphex(answer[0], ==, VIRTIO_NET_OK);
        assert_header(answer + 1, 16, 1);
        assert_header(answer + 57, 17, 1);
    }
    machine_finish(machine);
}

/*
 * As Linux 6.10 and later asks for `ethtool -S`: all types that QUERY names, of the queues in use and
 * of the control queue, with just the room that the replies take. It walks them by their sizes to the
 * end of the room, and never ends if they do not fill it.
 */
static void test_as_linux_asks(void)
{
    struct machine *machine = boot();
    uint64_t supported = 0;

    g_assert_cmpint(net_control_stats_query(machine->net, &supported), ==, VIRTIO_NET_OK);
    for (uint16_t pairs = 1; pairs <= PAIRS; pairs++) {
        struct net_stats_entry entries[CONTROL + 1];
        uint8_t *replies;
        uint32_t room = 0;
        unsigned n = 0;

        g_assert_cmpint(net_control_pairs(machine->net, pairs), ==, VIRTIO_NET_OK);
        for (uint16_t queue = 0; queue < 2 * pairs; queue++) {
            entries[n++] =
                (struct net_stats_entry){queue, supported & (queue % 2 ? TX_TYPES : RX_TYPES)};
        }
        entries[n++] = (struct net_stats_entry){CONTROL, supported & CVQ_TYPE};
        for (unsigned i = 0; i < n; i++) {
            for (unsigned number = 0; number < 64; number++) {
                room += entries[i].types >> number & 1 ? net_stats_size(number) : 0;
            }
        }
        replies = g_malloc(room);
        g_assert_cmpint(net_control_stats_get(machine->net, entries, n, replies, room), ==,
                        VIRTIO_NET_OK);
        g_assert_cmpuint(net_control_used_len(machine->net), ==, 1 + room);
        for (uint32_t at = 0; at < room; at += bytes_get16(replies + at + 6)) {
            g_assert_cmpuint(bytes_get16(replies + at + 6), ==, net_stats_size(replies[at]));
            g_assert_cmpuint(bytes_get16(replies + at + 2), <=, CONTROL);
        }
        g_free(replies);
    }
    machine_finish(machine);
}

/* ---- what is counted ---- */

static VionetVerdict deliver(struct machine *machine, uint8_t flags, uint8_t gso_type, uint32_t len)
{
    const struct iovec piece = {(void *)frame, len};
    const VionetFrame one = {
        .iov = &piece,
        .n_iov = 1,
        .flags = flags,
        .gso_type = gso_type,
        .hdr_len = 54,
        .gso_size = gso_type ? 100 : 0,
        .csum_start = 34,
        .csum_offset = 16,
    };
    VionetVerdict verdict;

    vionet_device_receive(machine->device, 0, &one, 1, &verdict, 0);
    return verdict;
}

static uint64_t interrupts(struct machine *machine, unsigned queue)
{
    return guest_driver_interrupts(machine->driver, machine->driver->queues[queue].vector);
}

static void test_receive_basic(void)
{
    struct machine_setup setup;
    struct machine *machine;
    struct guest_packet packet;

    setup_all(&setup);
    setup.net.receive_size = 128;
    setup.net.hold = true;
    machine =
        machine_booted(&setup, features_without(features_known(), features_of(15, FEATURES_END)));
    assert_reading(read_type(machine, 0, 0), READING(machine->driver->queues[0].notifications));
    g_assert_cmpint(deliver(machine, 0, 0, 60), ==, VIONET_DROP_NO_BUFFER);
    g_assert_cmpuint(net_post(machine->net, 0, 4), ==, 4);
    for (uint32_t len = 60; len < 63; len++) {
        g_assert_cmpint(deliver(machine, 0, 0, len), ==, VIONET_DELIVERED);
        g_assert_true(net_receive(machine->net, &packet));
    }
    g_assert_cmpint(deliver(machine, 0, 0, 199), ==, VIONET_DROP_BUFFER_TOO_SMALL);
    g_assert_cmpint(deliver(machine, 0, 0, 70), ==, VIONET_DELIVERED);
    g_assert_cmpint(deliver(machine, 0, 0, 60), ==, VIONET_DROP_NO_BUFFER);
    g_assert_cmpint(deliver(machine, 0, 0, 60), ==, VIONET_DROP_NO_BUFFER);
    g_assert_cmpint(deliver(machine, 0, 0, 13), ==, VIONET_DROP_RUNT); /* before any queue */
    assert_reading(read_type(machine, 0, 0),
                   READING(machine->driver->queues[0].notifications, 4, 60 + 61 + 62 + 70,
                           interrupts(machine, 0), 4, 3));
    g_assert_cmpuint(interrupts(machine, 0), >, 0);
    g_assert_cmpuint(machine->driver->queues[0].notifications, >, 0);
    assert_reading(read_type(machine, 2, 0), READING(machine->driver->queues[2].notifications));
    assert_reading(read_type(machine, 0, 3), READING(0));
    machine_finish(machine);
}

static void send(struct machine *machine, const struct net_header *header, uint32_t len)
{
    g_assert_true(net_transmit(machine->net, 0, header, frame, len));
    machine_drain(machine, 0);
    net_reclaim(machine->net, 0);
}

static void test_transmit_basic(void)
{
    const struct net_header bad = {.gso_type = VIRTIO_NET_HDR_GSO_TCPV4}; /* no gso_size */
    static const uint8_t jumbo[3000];
    struct machine_setup setup;
    struct machine *machine;

    setup_all(&setup);
    setup.device.max_frame = 1514;
    machine = machine_booted(&setup, features_known());
    send(machine, NULL, 60);
    send(machine, NULL, 14);
    send(machine, NULL, 199);
    send(machine, NULL, 13); /* this and the next two are malformed */
    g_assert_true(net_transmit_octets(machine->net, 0, NULL, frame, 3));
    g_assert_true(net_transmit_octets(machine->net, 0, NULL, jumbo, sizeof(jumbo)));
    machine_drain(machine, 0);
    send(machine, &bad, 100);
    vionet_device_set_link(machine->device, false);
    send(machine, NULL, 60);
    assert_reading(read_type(machine, 1, 16), READING(machine->driver->queues[1].notifications, 3,
                                                      60 + 14 + 199, interrupts(machine, 1), 5, 3));
    g_assert_cmpuint(interrupts(machine, 1), >, 0);
    g_assert_cmpuint(machine->driver->queues[1].notifications, >, 0);
    assert_reading(read_type(machine, 3, 16), READING(machine->driver->queues[3].notifications));
    assert_reading(read_type(machine, 1, 19), READING(0));
    machine_finish(machine);
}

/* By what the header says that the guest sees, not by what the host said. */
static void test_receive_offloads(void)
{
    enum { NEEDS = VIRTIO_NET_HDR_F_NEEDS_CSUM, VALID = VIRTIO_NET_HDR_F_DATA_VALID };
    struct machine *machine = boot();

    g_assert_cmpint(deliver(machine, 0, 0, 60), ==, VIONET_DELIVERED);
    g_assert_cmpint(deliver(machine, 0, 0, 60), ==, VIONET_DELIVERED);
    g_assert_cmpint(deliver(machine, VALID, 0, 60), ==, VIONET_DELIVERED);
    g_assert_cmpint(deliver(machine, NEEDS, 0, 60), ==, VIONET_DELIVERED);
    g_assert_cmpint(deliver(machine, NEEDS, 1, 150), ==, VIONET_DELIVERED);
    g_assert_cmpint(deliver(machine, NEEDS, 4 | 0x80, 200), ==, VIONET_DELIVERED);
    g_assert_cmpint(deliver(machine, 0, 1, 200), ==, VIONET_DROP_OFFLOAD);
    g_assert_cmpint(deliver(machine, 0, 0x80, 61), ==, VIONET_DELIVERED); /* ECN of nothing */
    assert_reading(read_type(machine, 0, 1), READING(1, 3, 3, 0));
    assert_reading(read_type(machine, 0, 2), READING(2, 350, 0, 0));

    g_assert_cmpint(net_control_offloads(machine->net, 0), ==, VIRTIO_NET_OK);
    g_assert_cmpint(deliver(machine, VALID, 0, 60), ==, VIONET_DELIVERED);
    g_assert_cmpint(deliver(machine, NEEDS, 0, 60), ==, VIONET_DELIVERED); /* completed */
    g_assert_cmpint(deliver(machine, NEEDS, 1, 60), ==, VIONET_DROP_OFFLOAD);
    assert_reading(read_type(machine, 0, 1), READING(1, 3, 5, 0));
    assert_reading(read_type(machine, 0, 2), READING(2, 350, 0, 0));
    g_assert_cmpuint(read_type(machine, 0, 0).at[1], ==, 9);
    machine_finish(machine);
}

/* Both flags in one header count for both. */
static void test_receive_both_flags(void)
{
    struct machine *machine = boot();

    g_assert_cmpint(
        deliver(machine, VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID, 0, 60), ==,
        VIONET_DELIVERED);
    assert_reading(read_type(machine, 0, 1), READING(1, 1, 0, 0));
    machine_free(machine);
}

static void test_transmit_offloads(void)
{
    const struct net_header partial = {.flags = 1, .csum_start = 34, .csum_offset = 16};
    const struct net_header valid = {.flags = 2};
    struct net_header large = {
        .flags = 1, .gso_type = 1, .gso_size = 50, .csum_start = 34, .csum_offset = 16};
    struct machine *machine = boot();

    send(machine, NULL, 60);
    send(machine, &valid, 60); /* says nothing here */
    send(machine, &partial, 60);
    send(machine, &large, 190);
    large.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
    send(machine, &large, 191);
    large.gso_type = VIRTIO_NET_HDR_GSO_TCPV6 | VIRTIO_NET_HDR_GSO_ECN;
    send(machine, &large, 192);
    large.gso_size = 0;
    send(machine, &large, 193); /* dropped */
    assert_reading(read_type(machine, 1, 17), READING(2, 4));
    assert_reading(read_type(machine, 1, 18), READING(3, 573, 0, 0, 3, 573));
    machine_finish(machine);
}

/* A burst of everything is counted like single frames. */
static void test_receive_bursts(void)
{
    struct machine *machine = boot();
    const struct iovec piece = {(void *)frame, 100};
    VionetFrame burst[100];
    VionetVerdict verdicts[100];

    for (unsigned i = 0; i < G_N_ELEMENTS(burst); i++) {
        burst[i] = (VionetFrame){.iov = &piece,
                                 .n_iov = 1,
                                 .flags = (uint8_t)(i % 4 == 3 ? 0 : i % 4),
                                 .csum_start = 34,
                                 .csum_offset = 16};
    }
    g_assert_cmpuint(vionet_device_receive(machine->device, 0, burst, 100, verdicts, 0), ==, 100);
    assert_reading(read_type(machine, 0, 1), READING(25, 25, 50, 0));
    g_assert_cmpuint(read_type(machine, 0, 0).at[1], ==, 100);
    machine_finish(machine);
}

/* With the command that asks. */
static void test_control(void)
{
    struct machine *machine = boot();

    assert_reading(read_type(machine, CONTROL, 32), READING(1, 1));
    g_assert_cmpint(net_control_rx(machine->net, 0, true), ==, VIRTIO_NET_OK);
    g_assert_cmpint(net_control(machine->net, 77, 0, NULL, 0, NULL, 0), ==, VIRTIO_NET_ERR);
    g_assert_cmpint(net_control(machine->net, 8, 1, NULL, 0, NULL, 0), ==, VIRTIO_NET_ERR);
    assert_reading(read_type(machine, CONTROL, 32), READING(5, 3));
    assert_reading(read_type(machine, CONTROL, 32), READING(6, 4));
    machine_finish(machine);
}

/* ---- how long it lasts ---- */

/* Counters are of the device's queue, whichever ring the driver gives it; a reset ends them. */
static void test_resets(void)
{
    struct machine *machine = boot();
    uint64_t notifications[2];
    struct reading before;

    g_assert_cmpint(deliver(machine, VIRTIO_NET_HDR_F_DATA_VALID, 0, 60), ==, VIONET_DELIVERED);
    send(machine, NULL, 60);
    before = read_type(machine, 1, 16);
    g_assert_true(guest_queue_reset(machine->driver, 0));
    g_assert_true(guest_queue_reset(machine->driver, 1));
    g_assert_cmpuint(read_type(machine, 0, 0).at[1], ==, 1);
    g_assert_cmpuint(read_type(machine, 0, 1).at[0], ==, 1);
    assert_reading(read_type(machine, 1, 16), before);
    g_assert_true(net_reset_queue(machine->net, 2, 64)); /* one of another pair */
    g_assert_true(guest_queue_setup(machine->driver, 0, 0));
    g_assert_true(net_reset_queue(machine->net, 0, 64));
    g_assert_cmpuint(read_type(machine, 0, 0).at[1], ==, 1);
    g_assert_cmpint(deliver(machine, VIRTIO_NET_HDR_F_DATA_VALID, 0, 60), ==, VIONET_DELIVERED);
    g_assert_cmpuint(read_type(machine, 0, 1).at[0], ==, 2);

    notifications[0] = machine->driver->queues[0].notifications;
    notifications[1] = machine->driver->queues[1].notifications;
    g_assert_true(machine_boot(machine, features_known()));
    assert_reading(read_type(machine, CONTROL, 32), READING(1, 1));
    assert_reading(read_type(machine, 0, 0),
                   READING(machine->driver->queues[0].notifications - notifications[0]));
    assert_reading(read_type(machine, 0, 1), READING(0));
    assert_reading(read_type(machine, 1, 16),
                   READING(machine->driver->queues[1].notifications - notifications[1]));
    machine_finish(machine);
}

static void test_wrap(void)
{
    struct machine *machine = boot();
    struct queue *queue = &machine->device->queues[0];

    for (unsigned i = 0; i < VIONET_N_COUNTERS; i++) {
        queue->counters[i] = UINT64_MAX;
        machine->device->queues[CONTROL].counters[i] =
            i == VIONET_COUNTER_COMMANDS_ERR ? 0 : UINT64_MAX;
    }
    g_assert_cmpint(deliver(machine, VIRTIO_NET_HDR_F_DATA_VALID, 0, 60), ==, VIONET_DELIVERED);
    g_assert_cmpuint(read_type(machine, 0, 0).at[1], ==, 0);
    g_assert_cmpuint(read_type(machine, 0, 0).at[2], ==, 59);
    g_assert_cmpuint(read_type(machine, 0, 1).at[0], ==, 0);
    machine->device->queues[CONTROL].counters[VIONET_COUNTER_COMMANDS_OK] = UINT64_MAX;
    assert_reading(read_type(machine, CONTROL, 32), READING(0, 0));
    assert_reading(read_type(machine, CONTROL, 32), READING(1, 1));
    machine_finish(machine);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_set_nonfatal_assertions();
    g_test_add_func("/stats/types/by-features", test_types_of_features);
    g_test_add_func("/stats/types/not-negotiated", test_not_negotiated);
    g_test_add_func("/stats/types/sizes", test_sizes);
    g_test_add_func("/stats/query/any-length-and-room", test_query_room);
    g_test_add_func("/stats/get/each-length", test_get_lengths);
    g_test_add_func("/stats/get/one-bad-entry-fails-all", test_one_bad_entry);
    g_test_add_func("/stats/get/queues-of-one-pair", test_queues_of_one_pair);
    g_test_add_func("/stats/get/whole-replies-in-any-room", test_room);
    g_test_add_func("/stats/get/in-each-cut", test_cuts);
    g_test_add_func("/stats/get/as-linux-asks", test_as_linux_asks);
    g_test_add_func("/stats/counts/receive-basic", test_receive_basic);
    g_test_add_func("/stats/counts/transmit-basic", test_transmit_basic);
    g_test_add_func("/stats/counts/receive-offloads", test_receive_offloads);
    g_test_add_func("/stats/counts/receive-both-flags", test_receive_both_flags);
    g_test_add_func("/stats/counts/receive-bursts", test_receive_bursts);
    g_test_add_func("/stats/counts/transmit-offloads", test_transmit_offloads);
    g_test_add_func("/stats/counts/control-with-this-command", test_control);
    g_test_add_func("/stats/life/queue-reset-keeps-device-reset-clears", test_resets);
    g_test_add_func("/stats/life/counters-wrap", test_wrap);
    return g_test_run();
}
