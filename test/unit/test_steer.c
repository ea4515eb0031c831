/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which queue a frame goes to and what hash goes with it (VIRTIO 1.4, 5.1.6.4.3, 5.1.6.5.5 to
 * 5.1.6.5.8, and both drafts of inner-header hashing), as the guest sees it. Hashes come from the
 * published vectors and from the second implementation in test/reference.
 */
#include <arpa/inet.h>
#include <string.h>
#include <sys/mman.h>

#include <vionet/spec.h>

#include "driver/bytes.h"
#include "driver/queue.h"
#include "machine/machine.h"
#include "reference/reference.h"
#include "reference/suite.h"

#define PAIRS 8

/* ---- frames, from the inside out ---- */

typedef GByteArray Frame;

/* TCP (6) or UDP (17) over so many octets. */
static Frame *new_transport(uint8_t protocol, uint16_t sport, uint16_t dport)
{
    Frame *frame = g_byte_array_new();
    uint8_t header[20] = {(uint8_t)(sport >> 8), (uint8_t)sport, (uint8_t)(dport >> 8),
                          (uint8_t)dport};

    if (protocol == 6) {
        header[12] = 0x50;
    } else {
        header[5] = 8;
    }
    g_byte_array_append(frame, header, protocol == 6 ? 20 : 8);
    return frame;
}

static Frame *in_ipv4(Frame *frame, uint8_t protocol, const char *src, const char *dst)
{
    uint8_t header[20] = {0x45};

    header[2] = (uint8_t)((frame->len + 20) >> 8);
    header[3] = (uint8_t)(frame->len + 20);
    header[8] = 64;
    header[9] = protocol;
    inet_pton(AF_INET, src, header + 12);
    inet_pton(AF_INET, dst, header + 16);
    return g_byte_array_prepend(frame, header, sizeof(header));
}

static Frame *in_ipv6(Frame *frame, uint8_t protocol, const char *src, const char *dst)
{
    uint8_t header[40] = {0x60};

    header[4] = (uint8_t)(frame->len >> 8);
    header[5] = (uint8_t)frame->len;
    header[6] = protocol;
    header[7] = 64;
    inet_pton(AF_INET6, src, header + 8);
    inet_pton(AF_INET6, dst, header + 24);
    return g_byte_array_prepend(frame, header, sizeof(header));
}

static Frame *in_ethernet(Frame *frame, uint16_t type)
{
    uint8_t header[14] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 2, 0, 0, 0, 0, 1};

    header[12] = (uint8_t)(type >> 8);
    header[13] = (uint8_t)type;
    return g_byte_array_prepend(frame, header, sizeof(header));
}

static Frame *in_udp(Frame *frame, uint16_t dport)
{
    uint8_t header[8] = {0x30, 0x39, (uint8_t)(dport >> 8), (uint8_t)dport};

    header[4] = (uint8_t)((frame->len + 8) >> 8);
    header[5] = (uint8_t)(frame->len + 8);
    return g_byte_array_prepend(frame, header, sizeof(header));
}

static Frame *in_octets(Frame *frame, const char *octets, unsigned n)
{
    return g_byte_array_prepend(frame, (const uint8_t *)octets, n);
}

static Frame *plain_ipv4(unsigned n, uint8_t protocol)
{
    char src[INET_ADDRSTRLEN];

    g_snprintf(src, sizeof(src), "66.9.%u.%u", n / 256 % 256, n % 256);
    return in_ipv4(new_transport(protocol, (uint16_t)(2794 + n), 1766), protocol, src,
                   "161.142.100.80");
}

static Frame *flow(unsigned n)
{
    return in_ethernet(plain_ipv4(n, n % 2 ? 6 : 17), 0x0800);
}

/* The other direction of flow(n). */
static Frame *answer(unsigned n)
{
    const uint8_t protocol = n % 2 ? 6 : 17;
    char dst[INET_ADDRSTRLEN];

    g_snprintf(dst, sizeof(dst), "66.9.%u.%u", n / 256 % 256, n % 256);
    return in_ethernet(in_ipv4(new_transport(protocol, 1766, (uint16_t)(2794 + n)), protocol,
                               "161.142.100.80", dst),
                       0x0800);
}

static Frame *outer_ipv4(Frame *frame, uint8_t protocol)
{
    return in_ethernet(in_ipv4(frame, protocol, "10.0.0.1", "10.0.0.2"), 0x0800);
}

/* ---- encapsulations ---- */

enum encapsulation {
    NOT_ENCAPSULATED,
    GRE,
    GRE_KEY,
    GRE_OVER_IPV6,
    GRE_WITH_IPV6,
    GRE_IN_UDP,
    VXLAN,
    VXLAN_GPE,
    GENEVE,
    IPIP,
    NVGRE,
    VXLAN_WITH_ARP,
    GRE_WITH_MPLS,
    VXLAN_WITH_IPV6_UDP,
    N_ENCAPSULATIONS
};

static Frame *inner_ethernet(void)
{
    return in_ethernet(plain_ipv4(7, 6), 0x0800);
}

static Frame *inner_ipv6(uint8_t protocol)
{
    return in_ipv6(new_transport(protocol, 2794, 1766), protocol, "3ffe:2501:200:1fff::7",
                   "3ffe:2501:200:3::1");
}

static Frame *encapsulate(enum encapsulation kind)
{
    Frame *frame;

    switch (kind) {
    case GRE:
        return outer_ipv4(in_octets(plain_ipv4(7, 6), "\0\0\x08\0", 4), 47);
    case GRE_KEY:
        return outer_ipv4(in_octets(plain_ipv4(7, 6), "\x20\0\x08\0\1\2\3\4", 8), 47);
    case GRE_OVER_IPV6:
        return in_ethernet(
            in_ipv6(in_octets(plain_ipv4(7, 6), "\0\0\x08\0", 4), 47, "fd00::1", "fd00::2"),
            0x86dd);
    case GRE_WITH_IPV6:
        return outer_ipv4(in_octets(inner_ipv6(6), "\0\0\x86\xdd", 4), 47);
    case GRE_IN_UDP:
        return outer_ipv4(in_udp(in_octets(plain_ipv4(7, 6), "\0\0\x08\0", 4), 4754), 17);
    case VXLAN:
        return outer_ipv4(in_udp(in_octets(inner_ethernet(), "\x08\0\0\0\0\0\1\0", 8), 4789), 17);
    case VXLAN_GPE:
        return outer_ipv4(in_udp(in_octets(plain_ipv4(7, 6), "\x0c\0\0\1\0\0\1\0", 8), 4790), 17);
    case GENEVE:
        return outer_ipv4(in_udp(in_octets(inner_ethernet(), "\0\0\x65\x58\0\0\1\0", 8), 6081), 17);
    case IPIP:
        return outer_ipv4(plain_ipv4(7, 6), 4);
    case NVGRE:
        return outer_ipv4(in_octets(inner_ethernet(), "\x20\0\x65\x58\0\0\1\0", 8), 47);
    case VXLAN_WITH_ARP:
        frame = in_ethernet(g_byte_array_new(), 0x0806);
        g_byte_array_set_size(frame, 42);
        memset(frame->data + 14, 0, 28);
        return outer_ipv4(in_udp(in_octets(frame, "\x08\0\0\0\0\0\1\0", 8), 4789), 17);
    case GRE_WITH_MPLS:
        return outer_ipv4(in_octets(plain_ipv4(7, 6), "\0\0\x88\x47", 4), 47);
    case VXLAN_WITH_IPV6_UDP:
        return outer_ipv4(
            in_udp(in_octets(in_ethernet(inner_ipv6(17), 0x86dd), "\x08\0\0\0\0\0\1\0", 8), 4789),
            17);
    default:
        return in_ethernet(plain_ipv4(7, 6), 0x0800);
    }
}

/* ---- machines ---- */

static void setup_all(struct machine_setup *setup, const char *dialect)
{
    machine_setup_init(setup);
    setup->device.dialect = vionet_dialect_find(dialect);
    setup->device.tunnel_types = setup->device.dialect->all_types;
    setup->device.max_pairs = PAIRS;
    setup->net.transmit_size = 4096;
    machine_setup_offer_all(setup);
}

static struct machine *boot_without(const char *dialect, int first, int second)
{
    struct guest_features without = features_of(first, second, FEATURES_END);
    struct machine_setup setup;

    if (features_has(&without, VIRTIO_NET_F_RSS)) {
        features_add(&without, VIRTIO_NET_F_RSS_CONTEXT);
    }
    setup_all(&setup, dialect);
    return machine_booted(&setup, features_without(features_known(), without));
}

/* Receive buffers are full of octets that are none of a packet's. */
static struct machine *boot_poisoned(struct guest_features wanted, enum net_shape shape)
{
    struct machine_setup setup;

    setup_all(&setup, "ratified");
    setup.net.poison = true;
    setup.net.receive_layout.shape = shape;
    setup.net.receive_buffers = 8;
    return machine_booted(&setup, wanted);
}

/* No bit 127 to leave out. */
static struct machine *boot(const char *dialect)
{
    return boot_without(dialect, 127, 127);
}

static enum reference_dialect reference_of(const char *dialect)
{
    if (strcmp(dialect, "ratified") == 0) {
        return REFERENCE_RATIFIED;
    }
    if (strcmp(dialect, "draft-v10") == 0) {
        return REFERENCE_DRAFT_V10;
    }
    return strcmp(dialect, "draft-v7") == 0 ? REFERENCE_DRAFT_V7 : REFERENCE_OFF;
}

/* ---- configurations ---- */

static const uint16_t spread[PAIRS] = {3, 1, 4, 7, 5, 2, 6, 0};

static struct net_rss usual_rss(uint32_t hash_types)
{
    return (struct net_rss){
        .hash_types = hash_types,
        .table = spread,
        .table_len = PAIRS,
        .unclassified_queue = 6,
        .max_tx_vq = PAIRS,
        .key = suite_key,
        .key_len = 40,
    };
}

static bool has_draft_mask(const struct machine *machine)
{
    return guest_driver_has(machine->driver, 52) &&
           vionet_device_config(machine->device)->dialect->types_after_key;
}

static void set_rss(struct machine *machine, struct net_rss rss)
{
    rss.has_tunnel_types = has_draft_mask(machine);
    g_assert_cmpint(net_control_rss(machine->net, &rss), ==, VIRTIO_NET_OK);
}

static void set_hash(struct machine *machine, struct net_rss hash)
{
    hash.has_tunnel_types = has_draft_mask(machine);
    g_assert_cmpint(net_control_hash(machine->net, &hash), ==, VIRTIO_NET_OK);
}

/* ---- deliveries ---- */

/* Delivers a frame, which is freed; false if it was not delivered. */
static bool take(struct machine *machine, Frame *frame, struct guest_packet *packet)
{
    const VionetVerdict verdict = machine_deliver(machine, frame->data, frame->len);
    bool came = verdict == VIONET_DELIVERED;

    memset(packet, 0, sizeof(*packet));
    if (came) {
        came = net_receive(machine->net, packet);
        g_assert_true(came);
        g_assert_cmpmem(packet->data, packet->len, frame->data, frame->len);
    }
    g_byte_array_unref(frame);
    return came;
}

static unsigned pair_of(struct machine *machine, Frame *frame)
{
    struct guest_packet packet;

    g_assert_true(take(machine, frame, &packet));
    return packet.pair;
}

/* The guest must see exactly what the reference says, and at the queue that the table names. */
static void check_hash(struct machine *machine, Frame *frame, const struct net_rss *rss,
                       uint32_t tunnel_types)
{
    const char *dialect = vionet_device_config(machine->device)->dialect->name;
    struct reference_result expected;
    struct guest_packet packet;

    reference_hash(frame->data, frame->len, reference_of(dialect), rss->hash_types, tunnel_types,
                   rss->key, rss->key_len, &expected);
    g_assert_true(take(machine, frame, &packet));
    if (guest_driver_has(machine->driver, VIRTIO_NET_F_HASH_REPORT)) {
        g_assert_cmphex(packet.header.hash_value, ==, expected.hash);
        g_assert_cmpuint(packet.header.hash_report, ==, expected.report);
        g_assert_cmpuint(packet.header.hash_report_tunnel, ==, expected.tunnel);
        g_assert_cmpuint(packet.header.padding, ==, 0);
    }
    if (rss->table) {
        g_assert_cmpuint(packet.pair, ==,
                         expected.report ? rss->table[expected.hash & (rss->table_len - 1)]
                                         : rss->unclassified_queue);
    }
}

/* ---- RSS ---- */

static Frame *suite_frame(const struct connection *connection, uint8_t protocol)
{
    Frame *transport = new_transport(protocol, connection->sport, connection->dport);

    if (strchr(connection->src, ':')) {
        return in_ethernet(in_ipv6(transport, protocol, connection->src, connection->dst), 0x86dd);
    }
    return in_ethernet(in_ipv4(transport, protocol, connection->src, connection->dst), 0x0800);
}

static void check_suite(struct machine *machine, Frame *frame, uint32_t hash, unsigned report)
{
    struct guest_packet packet;

    g_assert_true(take(machine, frame, &packet));
    g_assert_cmphex(packet.header.hash_value, ==, hash);
    g_assert_cmpuint(packet.header.hash_report, ==, report);
    g_assert_cmpuint(packet.pair, ==, spread[hash % PAIRS]);
}

static void test_published_vectors(void)
{
    struct machine *machine = boot("ratified");

    for (unsigned i = 0; i < SUITE_CONNECTIONS; i++) {
        const struct connection *connection = &suite[i];
        const unsigned v6 = strchr(connection->src, ':') ? 3 : 0;

        set_rss(machine, usual_rss(0x3f));
        check_suite(machine, suite_frame(connection, 6), connection->with_ports, 2 + v6);
        check_suite(machine, suite_frame(connection, 17), connection->with_ports, 3 + v6);
        set_rss(machine, usual_rss(1u << 0 | 1u << 3));
        check_suite(machine, suite_frame(connection, 6), connection->by_addresses, 1 + v6);
        check_suite(machine, suite_frame(connection, 17), connection->by_addresses, 1 + v6);
    }
    machine_finish(machine);
}

static void test_types_cascade(void)
{
    struct machine *machine = boot("ratified");

    for (uint32_t types = 0; types < 0x200; types += 3) {
        const struct net_rss rss = usual_rss(types);

        set_rss(machine, rss);
        for (unsigned i = 0; i < SUITE_CONNECTIONS; i += 2) {
            check_hash(machine, suite_frame(&suite[i], 6), &rss, 0);
            check_hash(machine, suite_frame(&suite[i], 17), &rss, 0);
            check_hash(machine, suite_frame(&suite[i], 132), &rss, 0);
        }
    }
    machine_finish(machine);
}

static void test_table_sizes(void)
{
    GRand *random = g_rand_new_with_seed(5);
    struct machine *machine = boot("ratified");
    uint16_t table[128];

    for (unsigned size = 1; size <= 128; size *= 2) {
        struct net_rss rss = usual_rss(0x3f);

        for (unsigned i = 0; i < size; i++) {
            table[i] = (uint16_t)g_rand_int_range(random, 0, PAIRS);
        }
        rss.table = table;
        rss.table_len = size;
        rss.unclassified_queue = (uint16_t)g_rand_int_range(random, 0, PAIRS);
        set_rss(machine, rss);
        for (unsigned i = 0; i < 200; i++) {
            check_hash(machine, flow(i), &rss, 0);
        }
        check_hash(machine, in_ethernet(g_byte_array_new(), 0x0806), &rss, 0);
    }
    g_rand_free(random);
    machine_finish(machine);
}

static void test_unclassified(void)
{
    struct machine *machine = boot("ratified");
    struct net_rss rss = usual_rss(1u << 1); /* TCPv4 alone */

    for (uint16_t queue = 0; queue < PAIRS; queue++) {
        rss.unclassified_queue = queue;
        set_rss(machine, rss);
        g_assert_cmpuint(pair_of(machine, in_ethernet(g_byte_array_new(), 0x0806)), ==, queue);
        g_assert_cmpuint(pair_of(machine, flow(2)), ==, queue); /* UDP */
        g_assert_cmpuint(pair_of(machine, suite_frame(&suite[5], 6)), ==, queue);
        check_hash(machine, flow(1), &rss, 0);
    }
    machine_finish(machine);
}

/* H-07: the bits past a short key are zero, whatever key was there before. */
static void test_short_keys(void)
{
    struct machine *machine = boot("ratified");

    for (uint8_t len = 40; len >= 1; len--) {
        struct net_rss rss = usual_rss(0x3f);

        set_rss(machine, rss);
        rss.key_len = len;
        set_rss(machine, rss);
        for (unsigned i = 0; i < SUITE_CONNECTIONS; i++) {
            check_hash(machine, suite_frame(&suite[i], 6), &rss, 0);
        }
    }
    machine_finish(machine);
}

/* A key longer than can matter is taken if the device says so. */
static void test_long_key(void)
{
    struct machine_setup setup;
    struct machine *machine;
    struct net_rss rss = usual_rss(0x3f);
    uint8_t long_key[255];

    setup_all(&setup, "ratified");
    setup.device.rss_max_key_size = 255;
    machine = machine_booted(&setup, features_known());
    memset(long_key, 0xff, sizeof(long_key));
    memcpy(long_key, suite_key, 40);
    rss.key = long_key;
    rss.key_len = 255;
    set_rss(machine, rss);
    for (unsigned i = 0; i < SUITE_CONNECTIONS; i++) {
        check_suite(machine, suite_frame(&suite[i], 6), suite[i].with_ports,
                    strchr(suite[i].src, ':') ? 5 : 2);
    }
    machine_finish(machine);
}

/* H-04: only the queue that the table names has buffers; the frame finds them and keeps its hash. */
static void test_only_the_right_queue(void)
{
    struct machine_setup setup;
    struct machine *machine;
    const struct net_rss rss = usual_rss(0x3f);

    setup_all(&setup, "ratified");
    setup.net.hold = true;
    machine = machine_booted(&setup, features_known());
    set_rss(machine, rss);
    for (unsigned i = 0; i < 64; i++) {
        Frame *frame = flow(i);
        struct reference_result expected;
        unsigned pair;

        reference_hash(frame->data, frame->len, REFERENCE_RATIFIED, 0x3f, 0, suite_key, 40,
                       &expected);
        pair = spread[expected.hash % PAIRS];
        g_assert_cmpint(machine_deliver(machine, frame->data, frame->len), ==,
                        VIONET_DROP_NO_BUFFER);
        g_assert_cmpuint(net_post(machine->net, pair, 1), ==, 1);
        check_hash(machine, frame, &rss, 0);
    }
    machine_finish(machine);
}

/* ---- queues that are not there ---- */

static void test_rss_queue_in_reset(void)
{
    struct machine *machine = boot("ratified");
    const struct net_rss rss = usual_rss(0x3f);

    set_rss(machine, rss);
    for (unsigned gone = 0; gone < PAIRS; gone++) {
        unsigned dropped = 0;

        g_assert_true(guest_queue_reset(machine->driver, 2 * gone));
        for (unsigned i = 0; i < 512; i++) {
            Frame *frame = flow(i);
            struct reference_result expected;
            struct guest_packet packet;
            unsigned pair;

            reference_hash(frame->data, frame->len, REFERENCE_RATIFIED, 0x3f, 0, suite_key, 40,
                           &expected);
            pair = spread[expected.hash % PAIRS];
            dropped += pair == gone;
            g_assert_cmpint(take(machine, frame, &packet), ==, pair != gone);
            g_assert_true(pair == gone || packet.pair == pair);
        }
        g_assert_cmpuint(dropped, >, 0);
        g_assert_true(guest_queue_setup(machine->driver, 2 * gone, 0));
        g_assert_true(net_reset_queue(machine->net, 2 * gone, 0));
        for (unsigned i = 0; i < 512; i++) {
            check_hash(machine, flow(i), &rss, 0);
        }
    }
    g_assert_cmpuint(vionet_device_verdicts(machine->device, VIONET_DROP_QUEUE_DISABLED), >=,
                     PAIRS);
    machine_finish(machine);
}

/* The pair that the table names for a flow, by the second implementation of the hash. */
static unsigned pair_by_table(const Frame *frame, const uint16_t *table, unsigned table_len)
{
    struct reference_result expected;

    reference_hash(frame->data, frame->len, REFERENCE_RATIFIED, 0x3f, 0, suite_key, 40, &expected);
    return table[expected.hash % table_len];
}

/* The flow's verdict, and that it came to the pair that the table names if it came. */
static VionetVerdict verdict_of(struct machine *machine, unsigned n, unsigned *pair)
{
    Frame *frame = flow(n);
    const VionetVerdict verdict = machine_deliver(machine, frame->data, frame->len);
    struct guest_packet packet;

    *pair = pair_by_table(frame, spread, PAIRS);
    g_assert_cmpint(net_receive(machine->net, &packet), ==, verdict == VIONET_DELIVERED);
    if (verdict == VIONET_DELIVERED) {
        g_assert_cmpuint(packet.pair, ==, *pair);
        g_assert_cmpmem(packet.data, packet.len, frame->data, frame->len);
    }
    g_byte_array_unref(frame);
    return verdict;
}

/* Of so many flows exactly those of the pairs in gone are dropped; how many. */
static unsigned check_verdicts(struct machine *machine, unsigned flows, unsigned gone)
{
    unsigned dropped = 0;

    for (unsigned i = 0; i < flows; i++) {
        unsigned pair;
        const VionetVerdict verdict = verdict_of(machine, i, &pair);
        const bool lost = gone >> pair & 1;

        g_assert_cmpint(verdict, ==, lost ? VIONET_DROP_QUEUE_DISABLED : VIONET_DELIVERED);
        dropped += lost;
    }
    return dropped;
}

static uint64_t disabled_drops(struct machine *machine)
{
    return vionet_device_verdicts(machine->device, VIONET_DROP_QUEUE_DISABLED);
}

/* Any two queues at once, back in either order and in any size: the table is the driver's all along. */
static void test_rss_two_queues_in_reset(void)
{
    struct machine *machine = boot("ratified");

    set_rss(machine, usual_rss(0x3f));
    for (unsigned one = 0; one < PAIRS; one++) {
        const unsigned other = (one + 3) % PAIRS;
        const uint64_t before = disabled_drops(machine);
        unsigned dropped;

        g_assert_true(guest_queue_reset(machine->driver, 2 * one));
        dropped = check_verdicts(machine, 128, 1u << one);
        g_assert_true(guest_queue_reset(machine->driver, 2 * other));
        dropped += check_verdicts(machine, 128, 1u << one | 1u << other);
        g_assert_true(guest_queue_setup(machine->driver, 2 * one, 64));
        g_assert_true(net_reset_queue(machine->net, 2 * one, 64));
        dropped += check_verdicts(machine, 128, 1u << other);
        g_assert_true(guest_queue_setup(machine->driver, 2 * other, 0));
        g_assert_true(net_reset_queue(machine->net, 2 * other, 0));
        g_assert_cmpuint(dropped, >, 4);
        g_assert_cmpuint(disabled_drops(machine) - before, ==, dropped);
        g_assert_cmpuint(check_verdicts(machine, 128, 0), ==, 0);
    }
    machine_finish(machine);
}

/* What a queue was told and what it counted. */
struct tally {
    uint64_t interrupts, packets, drops;
    uint16_t used;
};

static struct tally tally_of(struct machine *machine, unsigned pair)
{
    const unsigned queue = 2 * pair;
    const struct virtq *vq = machine->driver->queues[queue].vq;

    return (struct tally){
        .interrupts =
            guest_driver_interrupts(machine->driver, machine->driver->queues[queue].vector),
        .packets = vionet_device_counter(machine->device, queue, VIONET_COUNTER_PACKETS),
        .drops = vionet_device_counter(machine->device, queue, VIONET_COUNTER_DROPS),
        .used = vq ? virtq_used_total(vq) : 0, /* none in reset */
    };
}

/* The queue that is away is neither written to nor heard of; the others do as if nothing were. */
static void test_rss_others_unaffected(void)
{
    struct machine *machine = boot("ratified");
    const unsigned gone = 5;
    unsigned expected[PAIRS] = {0};
    struct tally before[PAIRS];

    set_rss(machine, usual_rss(0x3f));
    check_verdicts(machine, 64, 0);
    g_assert_true(guest_queue_reset(machine->driver, 2 * gone));
    for (unsigned pair = 0; pair < PAIRS; pair++) {
        before[pair] = tally_of(machine, pair);
    }
    for (unsigned i = 0; i < 256; i++) {
        Frame *frame = flow(i);

        expected[pair_by_table(frame, spread, PAIRS)]++;
        g_byte_array_unref(frame);
    }
    g_assert_cmpuint(check_verdicts(machine, 256, 1u << gone), ==, expected[gone]);
    for (unsigned pair = 0; pair < PAIRS; pair++) {
        const struct tally now = tally_of(machine, pair);
        const unsigned come = pair == gone ? 0 : expected[pair];

        g_assert_cmpuint(now.packets - before[pair].packets, ==, come);
        g_assert_cmpuint((uint16_t)(now.used - before[pair].used), ==, come);
        g_assert_cmpuint(now.drops, ==, before[pair].drops);
        g_assert_cmpint(now.interrupts > before[pair].interrupts, ==, come > 0);
    }
    g_assert_cmphex(guest_driver_status(machine->driver), ==, 0xf);
    machine_finish(machine);
}

/*
 * A burst for all queues while one is away. Its frames are dropped, not held: nothing would ever
 * announce that they can go.
 */
static void test_rss_burst_with_queue_in_reset(void)
{
    enum { N = 200 };
    struct machine *machine = boot("ratified");
    const unsigned gone = 2;
    struct iovec pieces[N];
    VionetFrame burst[N];
    VionetVerdict verdicts[N];
    Frame *frames[N];

    /* What automatic steering may do, and did before, is not done by a table. */
    g_assert_cmpint(net_control_pairs(machine->net, PAIRS), ==, VIRTIO_NET_OK);
    set_rss(machine, usual_rss(0x3f));
    g_assert_true(guest_queue_reset(machine->driver, 2 * gone));
    for (unsigned hold = 0; hold < 2; hold++) {
        unsigned left = 0, came = 0;
        struct guest_packet packet;

        for (unsigned i = 0; i < N; i++) {
            frames[i] = flow(i);
            pieces[i] = (struct iovec){frames[i]->data, frames[i]->len};
            burst[i] = (VionetFrame){.iov = &pieces[i], .n_iov = 1};
            left += pair_by_table(frames[i], spread, PAIRS) != gone;
        }
        g_assert_cmpuint(vionet_device_receive(machine->device, 0, burst, N, verdicts,
                                               hold ? VIONET_RECEIVE_HOLD : 0),
                         ==, left);
        for (unsigned i = 0; i < N; i++) {
            const bool lost = pair_by_table(frames[i], spread, PAIRS) == gone;

            g_assert_cmpint(verdicts[i], ==, lost ? VIONET_DROP_QUEUE_DISABLED : VIONET_DELIVERED);
            g_byte_array_unref(frames[i]);
        }
        while (net_receive(machine->net, &packet)) {
            came++;
        }
        g_assert_cmpuint(came, ==, left);
        g_assert_cmpuint(left, <, N);
    }
    machine_finish(machine);
}

/* The queue for frames without a hash goes as the others do. */
static void test_rss_unclassified_in_reset(void)
{
    struct machine *machine = boot("ratified");
    const struct net_rss rss = usual_rss(0x3f); /* without a hash: to pair 6 */
    struct guest_packet packet;

    set_rss(machine, rss);
    for (unsigned round = 0; round < 3; round++) {
        Frame *arp = in_ethernet(g_byte_array_new(), 0x0806);

        g_assert_true(guest_queue_reset(machine->driver, 12));
        g_assert_cmpint(machine_deliver(machine, arp->data, arp->len), ==,
                        VIONET_DROP_QUEUE_DISABLED);
        g_assert_false(net_receive(machine->net, &packet));
        g_assert_cmpuint(check_verdicts(machine, 128, 1u << 6), >, 0);
        g_assert_true(guest_queue_setup(machine->driver, 12, 0));
        g_assert_true(net_reset_queue(machine->net, 12, 0));
        g_assert_cmpuint(pair_of(machine, arp), ==, 6);
        check_verdicts(machine, 128, 0);
    }
    machine_finish(machine);
}

/* Key, types and table live in the device: resets of every queue leave them, the control queue's too. */
static void test_rss_survives_queue_resets(void)
{
    struct machine *machine = boot("ratified");
    const struct net_rss rss = usual_rss(0x3f);

    set_rss(machine, rss);
    for (unsigned queue = 0; queue <= 2 * PAIRS; queue++) {
        g_assert_true(net_reset_queue(machine->net, queue, 0));
    }
    for (unsigned i = 0; i < 128; i++) {
        check_hash(machine, flow(i), &rss, 0);
    }
    /* A transmit queue is nothing to receive by. */
    for (unsigned pair = 0; pair < PAIRS; pair++) {
        g_assert_true(guest_queue_reset(machine->driver, 2 * pair + 1));
    }
    g_assert_cmpuint(check_verdicts(machine, 128, 0), ==, 0);
    g_assert_cmpuint(disabled_drops(machine), ==, 0);
    machine_finish(machine);
}

/* A table that is set while a queue is away may spare it, and holds when the queue is back. */
static void test_rss_set_while_queue_in_reset(void)
{
    static const uint16_t around[4] = {0, 1, 2, 7};
    struct machine *machine = boot("ratified");
    struct net_rss rss = usual_rss(0x3f);

    set_rss(machine, rss);
    g_assert_true(guest_queue_reset(machine->driver, 6));
    rss.table = around;
    rss.table_len = 4;
    set_rss(machine, rss);
    for (unsigned i = 0; i < 128; i++) {
        check_hash(machine, flow(i), &rss, 0);
    }
    g_assert_cmpuint(disabled_drops(machine), ==, 0);
    g_assert_true(guest_queue_setup(machine->driver, 6, 0));
    g_assert_true(net_reset_queue(machine->net, 6, 0));
    for (unsigned i = 0; i < 128; i++) {
        check_hash(machine, flow(i), &rss, 0);
    }
    machine_finish(machine);
}

/* The bus master goes off and comes back, and a queue with it: the table stands. */
static void test_rss_without_bus_master(void)
{
    struct machine *machine = boot("ratified");
    const struct net_rss rss = usual_rss(0x3f);

    set_rss(machine, rss);
    for (unsigned gone = 0; gone < PAIRS; gone++) {
        Frame *frame = flow(gone);

        pci_enable(&machine->driver->pci, false);
        g_assert_true(guest_queue_reset(machine->driver, 2 * gone));
        g_assert_cmpint(machine_deliver(machine, frame->data, frame->len), ==,
                        VIONET_DROP_NOT_RUNNING);
        g_byte_array_unref(frame);
        pci_enable(&machine->driver->pci, true);
        g_assert_cmpuint(check_verdicts(machine, 256, 1u << gone), >, 0);
        pci_enable(&machine->driver->pci, false);
        g_assert_true(guest_queue_setup(machine->driver, 2 * gone, 0));
        g_assert_true(net_reset_queue(machine->net, 2 * gone, 0));
        pci_enable(&machine->driver->pci, true);
        for (unsigned i = 0; i < 64; i++) {
            check_hash(machine, flow(i), &rss, 0);
        }
    }
    machine_finish(machine);
}

/* A driver that set up two of eight pairs: entries may name the others, whose frames are lost. */
static void test_rss_queue_never_enabled(void)
{
    struct machine_setup setup;
    struct machine *machine;
    unsigned came = 0;

    setup_all(&setup, "ratified");
    setup.driver.pairs = 2;
    machine = machine_booted(&setup, features_known());
    set_rss(machine, usual_rss(0x3f));
    for (unsigned i = 0; i < 64; i++) {
        struct guest_packet packet;

        if (take(machine, flow(i), &packet)) {
            g_assert_cmpuint(packet.pair, <, 2);
            came++;
        }
    }
    g_assert_cmpuint(came, >, 0);
    g_assert_cmpuint(vionet_device_verdicts(machine->device, VIONET_DROP_QUEUE_DISABLED), ==,
                     64 - came);
    machine_finish(machine);
}

/* H-02, to its end: entries for eight pairs, then two pairs, then one of the two goes. */
static void test_table_then_fewer_pairs(void)
{
    struct machine *machine = boot("ratified");

    set_rss(machine, usual_rss(0x3f));
    g_assert_cmpint(net_control_pairs(machine->net, 2), ==, VIRTIO_NET_OK);
    for (unsigned i = 0; i < 64; i++) {
        g_assert_cmpuint(pair_of(machine, flow(i)), <, 2);
    }
    g_assert_true(guest_queue_reset(machine->driver, 2));
    for (unsigned i = 0; i < 64; i++) {
        g_assert_cmpuint(pair_of(machine, flow(i)), ==, 0);
    }
    machine_finish(machine);
}

/* ---- automatic steering ---- */

static void test_one_queue_after_reset(void)
{
    struct machine *machine = boot("ratified");

    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 64; i++) {
            g_assert_cmpuint(pair_of(machine, flow(i)), ==, 0);
        }
        if (round == 0) {
            set_rss(machine, usual_rss(0x3f));
        } else {
            g_assert_cmpint(net_control_pairs(machine->net, PAIRS), ==, VIRTIO_NET_OK);
        }
        g_assert_true(machine_boot(machine, features_known()));
    }
    machine_finish(machine);
}

static void test_pairs_bound(void)
{
    struct machine *machine = boot("ratified");

    for (uint16_t pairs = PAIRS; pairs >= 1; pairs--) {
        unsigned seen = 0;

        g_assert_cmpint(net_control_pairs(machine->net, pairs), ==, VIRTIO_NET_OK);
        for (unsigned i = 0; i < 256; i++) {
            const unsigned pair = pair_of(machine, flow(i));

            g_assert_cmpuint(pair, <, pairs);
            g_assert_cmpuint(pair_of(machine, flow(i)), ==, pair); /* a flow stays */
            seen |= 1u << pair;
        }
        g_assert_cmphex(seen, ==, (1u << pairs) - 1);
        g_assert_cmpuint(pair_of(machine, in_ethernet(g_byte_array_new(), 0x0806)), <, pairs);
    }
    machine_finish(machine);
}

static void transmit(struct machine *machine, unsigned pair, Frame *frame)
{
    g_assert_true(net_transmit(machine->net, pair, NULL, frame->data, frame->len));
    g_assert_cmpuint(machine_drain(machine, pair), ==, 1);
    net_reclaim(machine->net, pair);
    g_byte_array_unref(frame);
}

static void test_follows_transmit(void)
{
    struct machine *machine = boot("ratified");

    g_assert_cmpint(net_control_pairs(machine->net, PAIRS), ==, VIRTIO_NET_OK);
    for (unsigned i = 0; i < 200; i++) {
        const unsigned pair = i * 5 % PAIRS;

        transmit(machine, pair, flow(i));
        g_assert_cmpuint(pair_of(machine, answer(i)), ==, pair);
        /* It moves with the driver. */
        transmit(machine, (pair + 1) % PAIRS, flow(i));
        g_assert_cmpuint(pair_of(machine, answer(i)), ==, (pair + 1) % PAIRS);
    }
    for (unsigned i = 0; i < SUITE_CONNECTIONS; i++) {
        struct connection back = suite[i];

        back.src = suite[i].dst;
        back.dst = suite[i].src;
        back.sport = suite[i].dport;
        back.dport = suite[i].sport;
        transmit(machine, i % PAIRS, suite_frame(&suite[i], 6));
        g_assert_cmpuint(pair_of(machine, suite_frame(&back, 6)), ==, i % PAIRS);
    }
    machine_finish(machine);
}

static void test_learnt_beyond_pairs(void)
{
    struct machine *machine = boot("ratified");

    g_assert_cmpint(net_control_pairs(machine->net, PAIRS), ==, VIRTIO_NET_OK);
    for (unsigned i = 0; i < 64; i++) {
        transmit(machine, PAIRS - 1, flow(i));
    }
    g_assert_cmpint(net_control_pairs(machine->net, 3), ==, VIRTIO_NET_OK);
    for (unsigned i = 0; i < 64; i++) {
        g_assert_cmpuint(pair_of(machine, answer(i)), <, 3);
    }
    machine_finish(machine);
}

static void test_learnt_forgotten_by_reset(void)
{
    struct machine *machine = boot("ratified");
    unsigned usual[32], learnt = 0;

    g_assert_cmpint(net_control_pairs(machine->net, PAIRS), ==, VIRTIO_NET_OK);
    for (unsigned i = 0; i < 32; i++) {
        usual[i] = pair_of(machine, answer(i));
        transmit(machine, (usual[i] + 3) % PAIRS, flow(i));
        learnt += pair_of(machine, answer(i)) != usual[i];
    }
    g_assert_cmpuint(learnt, ==, 32);
    g_assert_true(machine_boot(machine, features_known()));
    g_assert_cmpint(net_control_pairs(machine->net, PAIRS), ==, VIRTIO_NET_OK);
    for (unsigned i = 0; i < 32; i++) {
        g_assert_cmpuint(pair_of(machine, answer(i)), ==, usual[i]);
    }
    machine_finish(machine);
}

static void test_automatic_queue_in_reset(void)
{
    struct machine *machine = boot("ratified");

    g_assert_cmpint(net_control_pairs(machine->net, 4), ==, VIRTIO_NET_OK);
    for (unsigned gone = 0; gone < 4; gone++) {
        struct guest_packet packet;

        g_assert_true(guest_queue_reset(machine->driver, 2 * gone));
        for (unsigned i = 0; i < 64; i++) {
            if (gone == 3) {
                g_assert_false(take(machine, flow(i), &packet));
            } else {
                const unsigned pair = pair_of(machine, flow(i));

                g_assert_cmpuint(pair, >, gone);
                g_assert_cmpuint(pair, <, 4);
            }
        }
    }
    g_assert_cmpuint(vionet_device_verdicts(machine->device, VIONET_DROP_QUEUE_DISABLED), ==, 64);
    machine_finish(machine);
}

/* The driver asks for more pairs than it has set up: what would go to the others goes round. */
static void test_automatic_queue_never_enabled(void)
{
    struct machine_setup setup;
    struct machine *machine;
    unsigned seen = 0;

    setup_all(&setup, "ratified");
    setup.driver.pairs = 3;
    machine = machine_booted(&setup, features_known());
    g_assert_cmpint(net_control_pairs(machine->net, PAIRS), ==, VIRTIO_NET_OK);
    for (unsigned i = 0; i < 256; i++) {
        const unsigned pair = pair_of(machine, flow(i));

        g_assert_cmpuint(pair, <, 3);
        seen |= 1u << pair;
    }
    g_assert_cmphex(seen, ==, 7);
    machine_finish(machine);
}

static void test_transmitting_in_reset_queue(void)
{
    struct machine *machine = boot("ratified");

    g_assert_cmpint(net_control_pairs(machine->net, 4), ==, VIRTIO_NET_OK);
    transmit(machine, 2, flow(9));
    g_assert_true(guest_queue_reset(machine->driver, 4));
    g_assert_cmpuint(pair_of(machine, answer(9)), !=, 2);
    g_assert_true(guest_queue_setup(machine->driver, 4, 0));
    g_assert_true(net_reset_queue(machine->net, 4, 0));
    g_assert_cmpuint(pair_of(machine, answer(9)), ==, 2);
    machine_finish(machine);
}

/* ---- modes ---- */

static void test_last_mode_wins(void)
{
    struct machine *machine = boot("ratified");
    const struct net_rss rss = usual_rss(0x3f);
    struct guest_packet packet;

    for (unsigned round = 0; round < 3; round++) {
        set_rss(machine, rss);
        for (unsigned i = 0; i < 32; i++) {
            check_hash(machine, flow(i), &rss, 0);
        }
        g_assert_cmpint(net_control_pairs(machine->net, 2), ==, VIRTIO_NET_OK);
        for (unsigned i = 0; i < 32; i++) {
            g_assert_cmpuint(pair_of(machine, flow(i)), <, 2);
        }
        set_rss(machine, rss);
        set_hash(machine, rss);
        for (unsigned i = 0; i < 32; i++) {
            g_assert_true(take(machine, flow(i), &packet));
            g_assert_cmpuint(packet.pair, <, 2);
            g_assert_cmpuint(packet.header.hash_report, ==, i % 2 ? 2 : 3);
        }
    }
    machine_finish(machine);
}

static void test_hash_config_leaves_steering(void)
{
    struct machine *machine = boot_without("ratified", VIRTIO_NET_F_RSS, 127);
    unsigned before[64];
    struct net_rss hash = usual_rss(0x3f);

    hash.table = NULL;
    g_assert_cmpint(net_control_pairs(machine->net, PAIRS), ==, VIRTIO_NET_OK);
    for (unsigned i = 0; i < 64; i++) {
        before[i] = pair_of(machine, flow(i));
    }
    set_hash(machine, hash);
    for (unsigned i = 0; i < 64; i++) {
        g_assert_cmpuint(pair_of(machine, flow(i)), ==, before[i]);
        check_hash(machine, flow(i), &hash, 0);
    }
    g_assert_cmpint(net_control_rss(machine->net, &hash), ==, VIRTIO_NET_ERR);
    machine_finish(machine);
}

static void test_nothing_reported_at_first(void)
{
    struct machine *machine = boot("ratified");
    struct guest_packet packet;

    for (unsigned i = 0; i < SUITE_CONNECTIONS; i++) {
        g_assert_true(take(machine, suite_frame(&suite[i], 6), &packet));
        g_assert_cmphex(packet.header.hash_value, ==, 0);
        g_assert_cmpuint(packet.header.hash_report, ==, VIRTIO_NET_HASH_REPORT_NONE);
    }
    set_rss(machine, usual_rss(0x3f));
    g_assert_true(machine_boot(machine, features_known()));
    g_assert_true(take(machine, suite_frame(&suite[0], 6), &packet));
    g_assert_cmphex(packet.header.hash_value, ==, 0);
    g_assert_cmpuint(packet.header.hash_report, ==, VIRTIO_NET_HASH_REPORT_NONE);
    machine_finish(machine);
}

static void test_one_pair_reports(void)
{
    struct machine_setup setup;
    struct machine *machine;
    struct net_rss hash = usual_rss(0x3f);

    setup_all(&setup, "ratified");
    setup.device.max_pairs = 1;
    vionet_features_set(setup.device.features, VIRTIO_NET_F_MQ, false);
    vionet_features_set(setup.device.features, VIRTIO_NET_F_RSS, false);
    vionet_features_set(setup.device.features, VIRTIO_NET_F_RSS_CONTEXT, false);
    machine = machine_booted(&setup, features_known());
    hash.table = NULL;
    set_hash(machine, hash);
    check_hash(machine, flow(1), &hash, 0);
    machine_finish(machine);
}

/* RSS works for drivers that do not want to read the hash. */
static void test_rss_without_report(void)
{
    struct machine *machine = boot_without("ratified", VIRTIO_NET_F_HASH_REPORT, 127);
    const struct net_rss rss = usual_rss(0x3f);

    set_rss(machine, rss);
    for (unsigned i = 0; i < 64; i++) {
        check_hash(machine, flow(i), &rss, 0);
    }
    machine_finish(machine);
}

/* ---- tunnels, in each dialect ---- */

/* Sets tunnel types in the dialect's way; RSS on top. What the reference is to be told comes back. */
static struct net_rss set_tunnels(struct machine *machine, uint32_t types)
{
    const VionetDialect *dialect = vionet_device_config(machine->device)->dialect;
    struct net_rss rss = usual_rss(0x1ff);

    if (dialect->types_in_hash_types && guest_driver_has(machine->driver, 52)) {
        rss.hash_types |= types;
    }
    rss.tunnel_types = types;
    set_rss(machine, rss);
    if (strcmp(dialect->name, "ratified") == 0 && guest_driver_has(machine->driver, 51)) {
        g_assert_cmpint(net_control_hash_tunnel(machine->net, types), ==, VIRTIO_NET_OK);
    }
    return rss;
}

static void check_encapsulations(struct machine *machine, uint32_t types)
{
    const struct net_rss rss = set_tunnels(machine, types);

    for (unsigned kind = 0; kind < N_ENCAPSULATIONS; kind++) {
        check_hash(machine, encapsulate(kind), &rss, types);
    }
}

static void test_tunnels(gconstpointer data)
{
    struct machine *machine = boot(data);
    const uint32_t all = vionet_dialect_find(data)->all_types;

    check_encapsulations(machine, 0);
    for (unsigned bit = 0; bit < 12; bit++) {
        if (all >> bit & 1) {
            check_encapsulations(machine, 1u << bit);
            check_encapsulations(machine, all & ~(1u << bit));
        }
    }
    check_encapsulations(machine, all);
    check_encapsulations(machine, 0);
    machine_finish(machine);
}

static Frame *cut(Frame *frame, unsigned len)
{
    /* In memory of exactly that size. */
    uint8_t *exact = g_memdup2(frame->data, len);

    g_byte_array_unref(frame);
    return g_byte_array_new_take(exact, len);
}

/* P-11, H-13: cut at every octet, by the whole of the types. */
static void test_tunnels_cut(gconstpointer data)
{
    struct machine *machine = boot(data);
    const uint32_t all = vionet_dialect_find(data)->all_types;
    const struct net_rss rss = set_tunnels(machine, all);

    for (unsigned kind = 0; kind < N_ENCAPSULATIONS; kind++) {
        Frame *whole = encapsulate(kind);
        const unsigned n = whole->len;

        for (unsigned len = 14; len <= n; len++) {
            Frame *frame = g_byte_array_append(g_byte_array_new(), whole->data, n);

            check_hash(machine, cut(frame, len), &rss, all);
        }
        g_byte_array_unref(whole);
    }
    machine_finish(machine);
}

static uint32_t hash_of(struct machine *machine, enum encapsulation kind, unsigned *report)
{
    struct guest_packet packet;

    g_assert_true(take(machine, encapsulate(kind), &packet));
    *report = packet.header.hash_report;
    return packet.header.hash_value;
}

/* H-14 and F.3, 25: off at first, on by command, kept over the other commands, off by 0 and by reset. */
static void test_tunnel_command(void)
{
    struct machine *machine = boot("ratified");
    uint32_t outer, inner;
    unsigned report;

    set_rss(machine, usual_rss(0x1ff));
    outer = hash_of(machine, VXLAN, &report);
    g_assert_cmpuint(report, ==, 3); /* UDPv4, not none */
    g_assert_cmpint(net_control_hash_tunnel(machine->net, 0x10), ==, VIRTIO_NET_OK);
    inner = hash_of(machine, VXLAN, &report);
    g_assert_cmpuint(report, ==, 2);
    g_assert_cmphex(inner, !=, outer);
    g_assert_cmpint(net_control_hash_tunnel(machine->net, 0x210), ==, VIRTIO_NET_ERR);
    g_assert_cmphex(hash_of(machine, VXLAN, &report), ==, inner);
    set_rss(machine, usual_rss(0x1ff));
    g_assert_cmphex(hash_of(machine, VXLAN, &report), ==, inner);
    g_assert_cmpint(net_control_pairs(machine->net, 3), ==, VIRTIO_NET_OK);
    g_assert_cmphex(hash_of(machine, VXLAN, &report), ==, inner);
    g_assert_cmpint(net_control_hash_tunnel(machine->net, 0), ==, VIRTIO_NET_OK);
    g_assert_cmphex(hash_of(machine, VXLAN, &report), ==, outer);
    g_assert_cmpint(net_control_hash_tunnel(machine->net, 0x10), ==, VIRTIO_NET_OK);
    g_assert_true(machine_boot(machine, features_known()));
    set_rss(machine, usual_rss(0x1ff));
    g_assert_cmphex(hash_of(machine, VXLAN, &report), ==, outer);
    machine_finish(machine);
}

/* Draft v10: NONE alone and an empty mask mean the outer header; beside others it means nothing. */
static void test_v10_none(void)
{
    static const struct {
        uint32_t types;
        bool inner;
    } rows[] = {{0, false}, {1, false}, {4, true}, {5, true}, {0x3f, true}, {3, false}};
    struct machine *machine = boot("draft-v10");

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct net_rss rss = usual_rss(0x1ff);
        unsigned report;

        rss.tunnel_types = rows[i].types;
        set_rss(machine, rss);
        hash_of(machine, VXLAN, &report);
        g_assert_cmpuint(report, ==, rows[i].inner ? 2 : 3);
    }
    machine_finish(machine);
}

/* Draft v10: one mask, set by whichever command came last. */
static void test_v10_last_command(void)
{
    struct machine *machine = boot("draft-v10");
    struct net_rss rss = usual_rss(0x1ff);
    unsigned report;

    rss.tunnel_types = 4;
    set_rss(machine, rss);
    hash_of(machine, VXLAN, &report);
    g_assert_cmpuint(report, ==, 2);
    rss.tunnel_types = 2;
    set_hash(machine, rss);
    hash_of(machine, VXLAN, &report);
    g_assert_cmpuint(report, ==, 3);
    rss.tunnel_types = 4;
    set_hash(machine, rss);
    hash_of(machine, VXLAN, &report);
    g_assert_cmpuint(report, ==, 2);
    rss.tunnel_types = 0;
    set_rss(machine, rss);
    hash_of(machine, VXLAN, &report);
    g_assert_cmpuint(report, ==, 3);
    g_assert_true(machine_boot(machine, features_known()));
    hash_of(machine, VXLAN, &report);
    g_assert_cmpuint(report, ==, 0);
    machine_finish(machine);
}

/* Draft v10 (F.3, 11): bit 52 alone lets the driver configure the hash; nothing shows it. */
static void test_v10_bit_alone(void)
{
    struct machine *machine = boot_without("draft-v10", VIRTIO_NET_F_RSS, VIRTIO_NET_F_HASH_REPORT);
    struct net_rss hash = usual_rss(0x1ff);

    hash.table = NULL;
    hash.tunnel_types = 4;
    set_hash(machine, hash);
    g_assert_cmpint(net_control_pairs(machine->net, PAIRS), ==, VIRTIO_NET_OK);
    g_assert_cmpuint(pair_of(machine, encapsulate(VXLAN)), <, PAIRS);
    machine_finish(machine);
}

/* Draft v7: the report tells that the inner header was hashed, and of which tunnel. */
static void test_v7_reports(void)
{
    static const struct {
        enum encapsulation kind;
        uint32_t types;
        unsigned hash_report, tunnel_report;
    } rows[] = {
        {GRE, 0x200, 2, 1},
        {VXLAN, 0x400, 2, 2},
        {GENEVE, 0x800, 2, 3},
        {NVGRE, 0x200, 2, 1},
        {GRE, 0xc00, 1, 0},
        {VXLAN, 0xa00, 3, 0},
        {GENEVE, 0x600, 3, 0},
        {NOT_ENCAPSULATED, 0xe00, 2, 0},
        {IPIP, 0xe00, 1, 0},
        {VXLAN_WITH_ARP, 0xe00, 0, 0},
        {VXLAN_WITH_IPV6_UDP, 0xe00, 6, 2},
    };
    struct machine *machine = boot("draft-v7");

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct guest_packet packet;

        set_rss(machine, usual_rss(0x1ff | rows[i].types));
        g_assert_true(take(machine, encapsulate(rows[i].kind), &packet));
        g_assert_cmpuint(packet.header.hash_report, ==, rows[i].hash_report);
        g_assert_cmpuint(packet.header.hash_report_tunnel, ==, rows[i].tunnel_report);
    }
    machine_finish(machine);
}

/* Draft v7 (F.3, 13): inner hashing steers without being reported. */
static void test_v7_without_report(void)
{
    struct machine *machine = boot_without("draft-v7", VIRTIO_NET_F_HASH_REPORT, 127);
    const struct net_rss rss = usual_rss(0x1ff | 0xe00);

    set_rss(machine, rss);
    for (unsigned kind = 0; kind < N_ENCAPSULATIONS; kind++) {
        check_hash(machine, encapsulate(kind), &rss, 0);
    }
    machine_finish(machine);
}

/* Not negotiated: the outer header, and no report of a tunnel. */
static void test_tunnels_declined(gconstpointer data)
{
    struct machine *machine = boot_without(data, 51, 52);
    const struct net_rss rss = usual_rss(0x1ff);

    set_rss(machine, rss);
    for (unsigned kind = 0; kind < N_ENCAPSULATIONS; kind++) {
        check_hash(machine, encapsulate(kind), &rss, 0);
    }
    g_assert_cmpint(net_control_hash_tunnel(machine->net, 0x10), ==, VIRTIO_NET_ERR);
    machine_finish(machine);
}

/* An enabled tunnel whose inner packet has no enabled type: no hash, not the outer one's. */
static void test_no_fall_back(gconstpointer data)
{
    const VionetDialect *dialect = vionet_dialect_find(data);
    struct machine *machine = boot(data);
    struct net_rss rss = set_tunnels(machine, dialect->all_types);
    struct guest_packet packet;

    rss.hash_types &= ~0x3fu;
    rss.hash_types |= 1u << 2; /* UDPv4, which the outer header is */
    set_rss(machine, rss);
    g_assert_true(take(machine, encapsulate(VXLAN), &packet));
    g_assert_cmpuint(packet.header.hash_report, ==, 0);
    g_assert_cmphex(packet.header.hash_value, ==, 0);
    g_assert_cmpuint(packet.header.hash_report_tunnel, ==, 0);
    g_assert_cmpuint(packet.pair, ==, 6);
    machine_finish(machine);
}

/* ---- the header (H-15) ---- */

/* Header octets for each size, by hand: hashed and not. */
static void check_header(struct machine *machine, unsigned size, bool report)
{
    static const uint8_t hashed[24] = {0, 0, 0, 0,    0,    0,    0,    0, 0,
                                       0, 1, 0, 0x78, 0xc1, 0xcc, 0x51, 2};
    static const uint8_t plain[24] = {[10] = 1};
    struct guest_packet packet;

    g_assert_cmpuint(net_header_size(machine->net), ==, size);
    g_assert_true(take(machine, suite_frame(&suite[0], 6), &packet));
    g_assert_cmpmem(packet.raw_header, size, report ? hashed : plain, size);
    g_assert_true(take(machine, in_ethernet(g_byte_array_new(), 0x0806), &packet));
    g_assert_cmpmem(packet.raw_header, size, plain, size);
}

static void test_header_octets(void)
{
    static const enum net_shape shapes[] = {NET_WHOLE, NET_HEADER_APART, NET_HEADER_OCTETS};

    for (unsigned i = 0; i < 3 * G_N_ELEMENTS(shapes); i++) {
        const unsigned variant = i % 3;
        struct guest_features wanted = features_known();
        struct machine *machine;

        features_remove(&wanted, variant == 0 ? VIRTIO_NET_F_HASH_REPORT : 127);
        if (variant < 2) {
            wanted = features_without(wanted, features_of(65, 66, 67, 68, FEATURES_END));
        }
        machine = boot_poisoned(wanted, shapes[i / 3]);
        check_header(machine, variant == 0 ? 12 : variant == 1 ? 20 : 24, false);
        set_rss(machine, usual_rss(0x3f));
        check_header(machine, variant == 0 ? 12 : variant == 1 ? 20 : 24, variant > 0);
        machine_finish(machine);
    }
}

/* D-11: a short frame is as long as it is; what lies behind it in the buffer is not touched. */
static void test_short_frames(void)
{
    struct machine *machine = boot_poisoned(features_known(), NET_WHOLE);

    for (unsigned len = 14; len <= 64; len++) {
        struct guest_packet packet;

        g_assert_true(take(machine, cut(flow(1), MIN(len, 54)), &packet));
        g_assert_cmpuint(packet.len, ==, MIN(len, 54));
    }
    machine_finish(machine);
}

/* 24 octets without HASH_REPORT: the fields in between are zero. */
static void test_header_without_report(void)
{
    struct guest_features wanted = features_known();
    struct machine *machine;

    features_remove(&wanted, VIRTIO_NET_F_HASH_REPORT);
    machine = boot_poisoned(wanted, NET_WHOLE);
    set_rss(machine, usual_rss(0x3f));
    check_header(machine, 24, false);
    machine_finish(machine);
}

/* H-03: the sender's memory is read and never written, on each way to the guest. */
static void check_read_only(const struct net_layout *layout, uint32_t receive_size)
{
    struct machine_setup setup;
    struct machine *machine;
    const long page = 4096;
    uint8_t *memory =
        mmap(NULL, (size_t)page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    Frame *frame = suite_frame(&suite[0], 6);
    struct guest_packet packet;

    setup_all(&setup, "ratified");
    setup.net.receive_layout = *layout;
    setup.net.receive_size = receive_size;
    setup.net.receive_buffers = 8;
    machine = machine_booted(&setup, features_known());
    set_rss(machine, usual_rss(0x3f));
    memcpy(memory, frame->data, frame->len);
    mprotect(memory, (size_t)page, PROT_READ);
    g_assert_cmpint(machine_deliver(machine, memory, frame->len), ==, VIONET_DELIVERED);
    g_assert_true(net_receive(machine->net, &packet));
    g_assert_cmphex(packet.header.hash_value, ==, 0x51ccc178);
    g_assert_cmpmem(packet.data, packet.len, frame->data, frame->len);
    g_assert_cmpmem(memory, frame->len, frame->data, frame->len);
    munmap(memory, (size_t)page);
    g_byte_array_unref(frame);
    machine_finish(machine);
}

static void test_read_only_frames(void)
{
    static const uint32_t inside_header[] = {5, 11, 13};
    static const struct net_layout cut_header = {
        .shape = NET_CUTS, .cuts = inside_header, .n_cuts = 3};

    check_read_only(&(struct net_layout){.shape = NET_WHOLE}, 0);
    check_read_only(&cut_header, 0);
    check_read_only(&(struct net_layout){.shape = NET_WHOLE}, 30); /* mergeable: several buffers */
    check_read_only(&cut_header, 30);
}

/* H-01: chains around the header's size, which is 20 and then 24. */
static void test_short_chains(void)
{
    for (unsigned i = 0; i < 2; i++) {
        const uint32_t header = i ? 24 : 20;
        struct guest_features wanted = features_known();
        struct machine_setup setup;
        struct machine *machine;
        uint8_t octets[64] = {0};

        setup_all(&setup, "ratified");
        if (i == 0) {
            wanted = features_without(wanted, features_of(65, 66, 67, 68, FEATURES_END));
        }
        machine = machine_booted(&setup, wanted);
        for (uint32_t len = 1; len <= header + 20; len++) {
            g_assert_true(net_transmit_octets(machine->net, 0, NULL, octets, len));
            net_transmit_flush(machine->net, 0);
            g_assert_cmpuint(machine_drain(machine, 0), ==, len >= header + 14);
            g_assert_cmpuint(net_reclaim(machine->net, 0), ==, 1);
        }
        g_assert_cmpuint(vionet_device_verdicts(machine->device, VIONET_DROP_MALFORMED), ==,
                         header - 1);
        g_assert_cmpuint(vionet_device_verdicts(machine->device, VIONET_DROP_RUNT), ==, 14);
        machine_finish(machine);
    }
}

/* ---- bursts ---- */

/* A burst for all queues: each frame to its own, in order. */
static void test_burst(void)
{
    struct machine *machine = boot("ratified");
    unsigned next[PAIRS] = {0};
    struct iovec pieces[100];
    VionetFrame frames[100];
    Frame *octets[100];
    VionetVerdict verdicts[100];
    struct guest_packet packet;
    unsigned came = 0;

    set_rss(machine, usual_rss(0x3f));
    for (unsigned i = 0; i < 100; i++) {
        octets[i] = flow(i / 4);
        octets[i] = g_byte_array_append(octets[i], &(uint8_t){i}, 1);
        pieces[i] = (struct iovec){octets[i]->data, octets[i]->len};
        frames[i] = (VionetFrame){.iov = &pieces[i], .n_iov = 1};
    }
    g_assert_cmpuint(vionet_device_receive(machine->device, 5, frames, 100, verdicts, 0), ==, 100);
    while (net_receive(machine->net, &packet)) {
        const unsigned number = packet.data[packet.len - 1];

        g_assert_cmpuint(number, >=, next[packet.pair]);
        next[packet.pair] = number + 1;
        came++;
    }
    g_assert_cmpuint(came, ==, 100);
    for (unsigned i = 0; i < 100; i++) {
        g_byte_array_unref(octets[i]);
    }
    machine_finish(machine);
}

static void add_for_dialects(const char *path, GTestDataFunc function)
{
    static const char *const dialects[] = {"ratified", "draft-v10", "draft-v7"};

    for (unsigned i = 0; i < G_N_ELEMENTS(dialects); i++) {
        char *name = g_strdup_printf("%s/%s", path, dialects[i]);

        g_test_add_data_func(name, dialects[i], function);
        g_free(name);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_set_nonfatal_assertions();
    g_test_add_func("/steer/rss/published-vectors-reach-the-guest", test_published_vectors);
    g_test_add_func("/steer/rss/types-in-their-order", test_types_cascade);
    g_test_add_func("/steer/rss/tables-of-each-size", test_table_sizes);
    g_test_add_func("/steer/rss/no-hash-goes-to-the-unclassified-queue", test_unclassified);
    g_test_add_func("/steer/rss/H-07/short-keys-end-in-zeroes", test_short_keys);
    g_test_add_func("/steer/rss/H-09/long-key", test_long_key);
    g_test_add_func("/steer/rss/H-04/only-the-right-queue-has-buffers", test_only_the_right_queue);
    g_test_add_func("/steer/rss/queue-in-reset-drops", test_rss_queue_in_reset);
    g_test_add_func("/steer/rss/any-two-queues-in-reset", test_rss_two_queues_in_reset);
    g_test_add_func("/steer/rss/others-unaffected-by-a-reset", test_rss_others_unaffected);
    g_test_add_func("/steer/rss/burst-while-a-queue-is-in-reset",
                    test_rss_burst_with_queue_in_reset);
    g_test_add_func("/steer/rss/unclassified-queue-in-reset", test_rss_unclassified_in_reset);
    g_test_add_func("/steer/rss/survives-queue-resets", test_rss_survives_queue_resets);
    g_test_add_func("/steer/rss/set-while-a-queue-is-in-reset", test_rss_set_while_queue_in_reset);
    g_test_add_func("/steer/rss/queue-in-reset-without-bus-master", test_rss_without_bus_master);
    g_test_add_func("/steer/rss/H-02/queue-never-enabled-drops", test_rss_queue_never_enabled);
    g_test_add_func("/steer/rss/H-02/table-then-fewer-pairs", test_table_then_fewer_pairs);
    g_test_add_func("/steer/rss/without-report", test_rss_without_report);
    g_test_add_func("/steer/automatic/first-queue-only-after-a-reset", test_one_queue_after_reset);
    g_test_add_func("/steer/automatic/as-many-queues-as-the-driver-said", test_pairs_bound);
    g_test_add_func("/steer/automatic/follows-the-transmit-queue", test_follows_transmit);
    g_test_add_func("/steer/automatic/learnt-queue-no-longer-used", test_learnt_beyond_pairs);
    g_test_add_func("/steer/automatic/H-05/a-reset-forgets", test_learnt_forgotten_by_reset);
    g_test_add_func("/steer/automatic/queue-in-reset-is-gone-round", test_automatic_queue_in_reset);
    g_test_add_func("/steer/automatic/queue-never-enabled-is-gone-round",
                    test_automatic_queue_never_enabled);
    g_test_add_func("/steer/automatic/queue-back-from-reset-gets-its-flow",
                    test_transmitting_in_reset_queue);
    g_test_add_func("/steer/modes/the-last-command-wins", test_last_mode_wins);
    g_test_add_func("/steer/modes/hash-config-leaves-steering-alone",
                    test_hash_config_leaves_steering);
    g_test_add_func("/steer/modes/nothing-is-reported-at-first", test_nothing_reported_at_first);
    g_test_add_func("/steer/modes/one-pair-reports", test_one_pair_reports);
    add_for_dialects("/steer/tunnel/each-type-and-encapsulation", test_tunnels);
    add_for_dialects("/steer/tunnel/H-13/cut-at-each-octet", test_tunnels_cut);
    add_for_dialects("/steer/tunnel/declined-means-outer", test_tunnels_declined);
    add_for_dialects("/steer/tunnel/no-fall-back-to-outer", test_no_fall_back);
    g_test_add_func("/steer/tunnel/H-14/command-switches-on-and-off", test_tunnel_command);
    g_test_add_func("/steer/tunnel/draft-v10/none-alone-means-outer", test_v10_none);
    g_test_add_func("/steer/tunnel/draft-v10/the-last-command-sets-the-mask",
                    test_v10_last_command);
    g_test_add_func("/steer/tunnel/draft-v10/bit-52-alone-configures", test_v10_bit_alone);
    g_test_add_func("/steer/tunnel/draft-v7/reports-the-tunnel", test_v7_reports);
    g_test_add_func("/steer/tunnel/draft-v7/steers-without-report", test_v7_without_report);
    g_test_add_func("/steer/header/H-15/each-octet-is-written", test_header_octets);
    g_test_add_func("/steer/header/H-15/no-hash-fields-without-report", test_header_without_report);
    g_test_add_func("/steer/header/D-11/short-frames-are-not-padded", test_short_frames);
    g_test_add_func("/steer/header/H-03/senders-memory-is-not-written", test_read_only_frames);
    g_test_add_func("/steer/header/H-01/transmitted-chains-around-its-size", test_short_chains);
    g_test_add_func("/steer/burst/each-frame-to-its-queue-in-order", test_burst);
    return g_test_run();
}
