/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Received frames go one of three ways (lib/net/straight.c), and the driver cannot tell which: two machines get the
 * same frames, the same configuration and the same buffers, in memory that is mapped, or not, or in part. One has a
 * trace operation, for which every frame goes from station to station. Verdicts, packets of each queue and their order, and
 * counters are the same, though the driver configures something else while a burst is under way.
 */
#include <string.h>

#include <glib.h>

#include <vionet/spec.h>
#include <vionet/transport.h>

#include "driver/queue.h"
#include "machine/machine.h"

#define PAIRS   4
#define MOST    70 /* frames of a burst: more than two chunks */
#define ROOM    2100
#define LONGEST 2000

static const uint8_t our_mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

static unsigned upto(unsigned n)
{
    return (unsigned)g_random_int_range(0, (gint32)n + 1);
}

static bool one_in(unsigned n)
{
    return upto(n - 1) == 0;
}

/* ---- two machines ---- */

enum { STATIONS, STRAIGHT };

/* What a driver asks for. */
struct configuration {
    bool promiscuous;
    uint32_t tunnels;
    uint32_t hash_types;
    unsigned table_len;
    uint16_t unclassified;
    uint16_t table[16];
    uint8_t key[40];
};

struct twins {
    struct machine *machine[2];
    struct configuration next; /* is asked for at the first interrupt of a burst */
    bool asks[2];              /* and was not yet */
    unsigned n_asked;
    unsigned n_remote; /* packets in memory that is not mapped, or not all of it */
    unsigned n_any_order;
    unsigned n_hashed; /* that came with a hash */
    unsigned n_packets;
    uint64_t n_verdicts[VIONET_N_VERDICTS];
};

static void on_trace(struct machine *machine, const VionetTrace *trace)
{
    (void)machine;
    (void)trace;
}

static void random_setup(struct machine_setup *setup)
{
    static const uint32_t sizes[] = {0, 300, 1600, 2200};

    machine_setup_init(setup);
    machine_setup_offer_all(setup);
    setup->device.max_pairs = PAIRS;
    setup->device.receive_queue_size = 64;
    memcpy(setup->device.mac, our_mac, sizeof(our_mac));
    setup->kind = !one_in(6) ? MACHINE_MAPPED : one_in(2) ? MACHINE_REMOTE : MACHINE_MIXED;
    setup->net.receive_size = sizes[upto(3)];
    setup->net.receive_batch = 1;
    setup->net.hold = true;
    setup->net.receive_layout.shape = one_in(4) ? NET_HEADER_APART : NET_WHOLE;
}

/* Features that come and go together. */
static struct guest_features random_features(void)
{
    const struct guest_features receive_offloads =
        features_of(VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_TSO6,
                    VIRTIO_NET_F_GUEST_ECN, VIRTIO_NET_F_GUEST_UFO, VIRTIO_NET_F_GUEST_USO4,
                    VIRTIO_NET_F_GUEST_USO6, VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO,
                    VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO_CSUM, VIRTIO_NET_F_RSC_EXT, FEATURES_END);
    const struct guest_features hashes =
        features_of(VIRTIO_NET_F_HASH_REPORT, VIRTIO_NET_F_RSS, VIRTIO_NET_F_RSS_CONTEXT,
                    VIRTIO_NET_F_HASH_TUNNEL, FEATURES_END);
    struct guest_features wanted = features_known();

    if (one_in(3)) {
        wanted = features_without(wanted, receive_offloads);
    }
    if (one_in(4)) {
        wanted = features_without(wanted, hashes);
    } else if (one_in(3)) {
        wanted = features_without(
            wanted, one_in(2)
                        ? features_of(VIRTIO_NET_F_HASH_REPORT, FEATURES_END)
                        : features_of(VIRTIO_NET_F_RSS, VIRTIO_NET_F_RSS_CONTEXT, FEATURES_END));
    }
    if (one_in(3)) {
        features_remove(&wanted, VIRTIO_NET_F_MRG_RXBUF);
    }
    if (one_in(2)) {
        features_remove(&wanted, VIRTIO_F_IN_ORDER);
    }
    if (one_in(3)) {
        features_remove(&wanted, VIRTIO_F_EVENT_IDX);
    }
    return wanted;
}

static void random_configuration(struct configuration *to)
{
    const unsigned spread = one_in(3) ? 0 : PAIRS - 1;

    to->tunnels = upto(0x1ff);
    to->promiscuous = !one_in(3);
    to->hash_types = upto(3) ? 0x1ff : upto(0x1ff);
    to->table_len = 1u << upto(4);
    to->unclassified = (uint16_t)upto(spread);
    for (size_t i = 0; i < sizeof(to->key); i++) {
        to->key[i] = (uint8_t)upto(255);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(to->table); i++) {
        to->table[i] = (uint16_t)upto(spread);
    }
}

static void ask_for(struct machine *machine, const struct configuration *what)
{
    const struct net_rss rss = {.hash_types = what->hash_types,
                                .table = what->table,
                                .table_len = what->table_len,
                                .unclassified_queue = what->unclassified,
                                .max_tx_vq = PAIRS,
                                .key = what->key,
                                .key_len = sizeof(what->key)};
    const struct guest_driver *driver = machine->driver;
    struct guest_net *net = machine->net;

    g_assert_cmpint(net_control_rx(net, VIRTIO_NET_CTRL_RX_PROMISC, what->promiscuous), ==,
                    VIRTIO_NET_OK);
    if (guest_driver_has(driver, VIRTIO_NET_F_RSS)) {
        g_assert_cmpint(net_control_rss(net, &rss), ==, VIRTIO_NET_OK);
    } else if (guest_driver_has(driver, VIRTIO_NET_F_HASH_REPORT)) {
        g_assert_cmpint(net_control_hash(net, &rss), ==, VIRTIO_NET_OK);
    }
    if (guest_driver_has(driver, VIRTIO_NET_F_HASH_TUNNEL)) {
        g_assert_cmpint(net_control_hash_tunnel(net, what->tunnels), ==, VIRTIO_NET_OK);
    }
}

/* The same of both drivers. */
static void configure(struct twins *twins)
{
    random_configuration(&twins->next);
    for (unsigned m = 0; m < 2; m++) {
        ask_for(twins->machine[m], &twins->next);
    }
}

/* Of either machine: its driver is told of the first frames of a burst, and asks for something else at once. */
static void ask_on_interrupt(struct twins *twins, unsigned m)
{
    if (twins->asks[m]) {
        twins->asks[m] = false;
        ask_for(twins->machine[m], &twins->next);
    }
}

static void on_interrupt_stations(void *opaque, unsigned queue)
{
    (void)queue;
    ask_on_interrupt(opaque, STATIONS);
}

static void on_interrupt_straight(void *opaque, unsigned queue)
{
    (void)queue;
    ask_on_interrupt(opaque, STRAIGHT);
}

static void begin(struct twins *twins)
{
    const struct guest_features wanted = random_features();
    struct machine_setup setup;

    random_setup(&setup);
    for (unsigned m = 0; m < 2; m++) {
        setup.on_trace = m == STATIONS ? on_trace : NULL;
        twins->machine[m] = machine_booted(&setup, wanted);
        vionet_device_set_interrupt(twins->machine[m]->device,
                                    m == STATIONS ? on_interrupt_stations : on_interrupt_straight,
                                    twins);
    }
    configure(twins);
}

static void end(struct twins *twins)
{
    for (unsigned m = 0; m < 2; m++) {
        machine_finish(twins->machine[m]);
    }
}

/* ---- frames ---- */

struct source {
    uint8_t octets[MOST][ROOM];
    struct iovec pieces[MOST][2];
    VionetFrame frames[MOST];
    unsigned n;
};

static size_t put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
    return 2;
}

/* Ethernet, IPv4 or IPv6, TCP, UDP or something else, in a packet of len octets from the Ethernet header on. */
static void put_packet(uint8_t *p, size_t len, bool for_us)
{
    static const uint8_t protocols[] = {6, 17, 17, 50};
    const bool ipv6 = one_in(3);
    const uint8_t protocol = protocols[upto(3)];

    for (size_t i = 0; i < len; i++) {
        p[i] = (uint8_t)upto(3); /* few flows */
    }
    memcpy(p, for_us ? our_mac : (const uint8_t[]){2, 9, 9, 9, 9, 9}, 6);
    put16(p + 12, one_in(10) ? 0x0806 : ipv6 ? 0x86dd : 0x0800);
    p[14] = ipv6 ? 0x60 : 0x45;
    put16(p + (ipv6 ? 18 : 16), (unsigned)len - (ipv6 ? 54 : 14));
    p[ipv6 ? 20 : 23] = protocol;
    if (!ipv6) {
        memset(p + 20, 0, 2);
    }
    if (protocol == 17 && len > 150 && one_in(2)) { /* VXLAN */
        const size_t at = ipv6 ? 54 : 34;

        put16(p + at + 2, 4789);
        p[at + 8] = 0x08;
        put_packet(p + at + 16, len - at - 16, true);
    }
}

static void random_frame(struct source *source, unsigned i)
{
    static const unsigned lengths[] = {64, 64, 100, 280, 594, 1514};
    const size_t len = one_in(8) ? upto(LONGEST) : lengths[upto(5)];
    VionetFrame *frame = &source->frames[i];
    struct iovec *piece = source->pieces[i];
    uint8_t *octets = source->octets[i];

    put_packet(octets, MAX(len, 64), !one_in(12));
    *frame = (VionetFrame){.iov = piece, .n_iov = 1};
    piece[0] = (struct iovec){octets, len};
    if (one_in(12) && len > 1) {
        const size_t first = upto((unsigned)len);

        piece[0].iov_len = first;
        piece[1] = (struct iovec){octets + first, len - first};
        frame->n_iov = 2;
    }
    if (one_in(15)) {
        frame->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        frame->csum_start = 34;
        frame->csum_offset = 6;
    } else if (one_in(30)) {
        frame->gso_type = (uint8_t)upto(255);
    }
}

static void random_burst(struct source *source)
{
    const bool ordinary = one_in(2); /* nothing in it that stops the straight ways */

    source->n = 1 + upto(MOST - 1);
    for (unsigned i = 0; i < source->n; i++) {
        random_frame(source, i);
        if (ordinary) {
            source->frames[i].n_iov = 1;
            source->frames[i].flags = source->frames[i].gso_type = 0;
            source->pieces[i][0].iov_len = MAX(source->pieces[i][0].iov_len, 64u);
        }
    }
}

/* ---- what both come to ---- */

static void deliver(struct twins *twins, const struct source *source)
{
    const unsigned flags = one_in(2) ? VIONET_RECEIVE_HOLD : 0;
    const bool asks = one_in(4);
    VionetVerdict verdicts[2][MOST];
    size_t n[2];

    if (asks) {
        random_configuration(&twins->next);
    }
    for (unsigned m = 0; m < 2; m++) {
        for (unsigned pair = 0; asks && pair < PAIRS; pair++) {
            virtq_enable_interrupts(guest_queue_ring(twins->machine[m]->driver, 2 * pair), 1);
        }
        twins->asks[m] = asks;
        n[m] = vionet_device_receive(twins->machine[m]->device, 0, source->frames, source->n,
                                     verdicts[m], flags);
    }
    g_assert_cmpint(twins->asks[STATIONS], ==, twins->asks[STRAIGHT]);
    twins->n_asked += asks && !twins->asks[STRAIGHT];
    twins->asks[STATIONS] = twins->asks[STRAIGHT] = false;
    g_assert_cmpuint(n[STATIONS], ==, n[STRAIGHT]);
    for (unsigned i = 0; i < source->n; i++) {
        g_assert_cmpint(verdicts[STATIONS][i], ==, verdicts[STRAIGHT][i]);
        twins->n_verdicts[verdicts[STRAIGHT][i]]++;
    }
}

static void require_same(struct twins *twins, const struct guest_packet packets[2])
{
    const unsigned header = net_header_size(twins->machine[0]->net);

    g_assert_cmpuint(packets[0].n_buffers, ==, packets[1].n_buffers);
    g_assert_cmpmem(packets[0].raw_header, header, packets[1].raw_header, header);
    g_assert_cmpmem(packets[0].data, packets[0].len, packets[1].data, packets[1].len);
    twins->n_packets++;
    twins->n_hashed += packets[0].header.hash_report != 0;
    twins->n_remote += twins->machine[0]->setup.kind != MACHINE_MAPPED;
    twins->n_any_order += !guest_driver_has(twins->machine[0]->driver, VIRTIO_F_IN_ORDER);
}

/* Both drivers take up to n packets of a pair, and post as many buffers as they like. */
static void take(struct twins *twins, unsigned pair, unsigned n)
{
    const unsigned post = upto(40);

    for (; n > 0; n--) {
        struct guest_packet packets[2];
        bool got[2];

        for (unsigned m = 0; m < 2; m++) {
            got[m] = net_receive_pair(twins->machine[m]->net, pair, &packets[m]);
        }
        g_assert_cmpint(got[0], ==, got[1]);
        if (!got[0]) {
            break;
        }
        require_same(twins, packets);
    }
    for (unsigned m = 0; m < 2; m++) {
        net_recycle(twins->machine[m]->net);
        net_post(twins->machine[m]->net, pair, post);
    }
}

/* How often the driver was notified may differ: what went straight is shown before the rest. */
static void compare_counters(const struct twins *twins)
{
    for (unsigned queue = 0; queue <= 2 * PAIRS; queue++) {
        for (unsigned c = 0; c < VIONET_N_COUNTERS; c++) {
            if (c == VIONET_COUNTER_KICKS || c == VIONET_COUNTER_INTERRUPTS) {
                continue;
            }
            g_assert_cmpuint(
                vionet_device_counter(twins->machine[0]->device, queue, (VionetCounter)c), ==,
                vionet_device_counter(twins->machine[1]->device, queue, (VionetCounter)c));
        }
    }
    for (unsigned v = 0; v < VIONET_N_VERDICTS; v++) {
        g_assert_cmpuint(vionet_device_verdicts(twins->machine[0]->device, (VionetVerdict)v), ==,
                         vionet_device_verdicts(twins->machine[1]->device, (VionetVerdict)v));
    }
}

static void run_twins(struct twins *twins, unsigned bursts)
{
    struct source *source = g_new(struct source, 1);

    begin(twins);
    for (unsigned i = 0; i < bursts; i++) {
        random_burst(source);
        deliver(twins, source);
        for (unsigned pair = 0; pair < PAIRS; pair++) {
            take(twins, pair, one_in(3) ? upto(10) : 100);
        }
        if (one_in(20)) {
            configure(twins);
        }
    }
    compare_counters(twins);
    end(twins);
    g_free(source);
}

static void test_alike(void)
{
    struct twins twins = {0};

    for (unsigned i = 0; i < 60; i++) {
        g_random_set_seed(i);
        run_twins(&twins, 40);
    }
    g_test_message("%u packets, %u with a hash, %u in remote memory, %u without IN_ORDER; %u "
                   "bursts with a change; delivered %" G_GUINT64_FORMAT ", held %" G_GUINT64_FORMAT
                   ", no buffer %" G_GUINT64_FORMAT,
                   twins.n_packets, twins.n_hashed, twins.n_remote, twins.n_any_order,
                   twins.n_asked, twins.n_verdicts[VIONET_DELIVERED], twins.n_verdicts[VIONET_HELD],
                   twins.n_verdicts[VIONET_DROP_NO_BUFFER]);
    /* All of it came up often enough for the comparison to mean something. */
    g_assert_cmpuint(twins.n_packets, >, 20000);
    g_assert_cmpuint(twins.n_hashed, >, 5000);
    g_assert_cmpuint(twins.n_remote, >, 2000);
    g_assert_cmpuint(twins.n_any_order, >, 5000);
    g_assert_cmpuint(twins.n_asked, >, 200);
    g_assert_cmpuint(twins.n_verdicts[VIONET_HELD], >, 5000);
    g_assert_cmpuint(twins.n_verdicts[VIONET_DROP_NO_BUFFER], >, 5000);
    g_assert_cmpuint(twins.n_verdicts[VIONET_DROP_BUFFER_TOO_SMALL], >, 500);
    g_assert_cmpuint(twins.n_verdicts[VIONET_DROP_FILTER], >, 300);
    g_assert_cmpuint(twins.n_verdicts[VIONET_DROP_OFFLOAD], >, 300);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ways/the-driver-cannot-tell", test_alike);
    return g_test_run();
}
