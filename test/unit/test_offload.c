/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The packet header's offload fields in both directions (VIRTIO 1.4, 5.1.6.2, 5.1.6.4): each product
 * of features, flags and segmentation types against the rules, which are written here a second
 * time; switching offloads at run time; completing checksums.
 */
#include <string.h>

#include <vionet/spec.h>

#include "driver/bytes.h"
#include "machine/machine.h"

#define NEEDS_CSUM  1u
#define DATA_VALID  2u
#define RSC_INFO    4u
#define TUNNEL_CSUM 8u

#define TUNNEL_IPV4 0x20u
#define TUNNEL_IPV6 0x40u
#define TUNNEL_BITS 0x60u
#define ECN         0x80u

#define LEN 200

/* ---- machines ---- */

static const uint8_t receive_bits[] = {1, 7, 8, 9, 10, 54, 55, 65, 66};
static const uint8_t transmit_bits[] = {0, 11, 12, 13, 14, 56, 67, 68};

/* 5.1.3.1, for the bits above. */
static bool consistent(const struct guest_features *set)
{
    const bool csum = features_has(set, 0), guest_csum = features_has(set, 1);

    for (unsigned i = 1; i < G_N_ELEMENTS(receive_bits); i++) {
        if (features_has(set, receive_bits[i]) && !guest_csum) {
            return false;
        }
    }
    for (unsigned i = 1; i < G_N_ELEMENTS(transmit_bits); i++) {
        if (features_has(set, transmit_bits[i]) && !csum) {
            return false;
        }
    }
    return (!features_has(set, 9) || features_has(set, 7) || features_has(set, 8)) &&
           (!features_has(set, 13) || features_has(set, 11) || features_has(set, 12)) &&
           (!features_has(set, 65) || (features_has(set, 7) && features_has(set, 8) &&
                                       features_has(set, 54) && features_has(set, 55))) &&
           (!features_has(set, 66) || features_has(set, 65)) &&
           (!features_has(set, 67) ||
            (features_has(set, 11) && features_has(set, 12) && features_has(set, 56))) &&
           (!features_has(set, 68) || features_has(set, 67));
}

static struct machine *new_machine(bool mtu)
{
    struct machine_setup setup;
    struct machine *machine;

    machine_setup_init(&setup);
    for (unsigned i = 0; i < G_N_ELEMENTS(receive_bits); i++) {
        vionet_features_set(setup.device.features, receive_bits[i], true);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(transmit_bits); i++) {
        vionet_features_set(setup.device.features, transmit_bits[i], true);
    }
    vionet_features_set(setup.device.features, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, true);
    vionet_features_set(setup.device.features, VIRTIO_NET_F_MTU, mtu);
    setup.net.transmit_size = 4096;
    setup.net.receive_buffers = 16;
    setup.net.transmit_buffers = 4;
    machine = machine_new(&setup, NULL);
    if (!machine) {
        g_error("no machine");
    }
    return machine;
}

static void boot(struct machine *machine, struct guest_features wanted)
{
    if (!machine_boot(machine, wanted)) {
        g_error("the machine does not boot");
    }
}

static struct machine *boot_all(void)
{
    struct machine *machine = new_machine(false);

    boot(machine, features_known());
    return machine;
}

/* The usual features and, of those above, the ones in a set that is counted through. */
static struct guest_features choose(const uint8_t *bits, unsigned n, unsigned set)
{
    struct guest_features wanted = features_known();

    for (unsigned i = 0; i < G_N_ELEMENTS(receive_bits); i++) {
        features_remove(&wanted, receive_bits[i]);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(transmit_bits); i++) {
        features_remove(&wanted, transmit_bits[i]);
    }
    for (unsigned i = 0; i < n; i++) {
        if (set >> i & 1) {
            features_add(&wanted, bits[i]);
        }
    }
    return wanted;
}

/* ---- frames ---- */

static void put_frame(uint8_t p[LEN])
{
    memset(p, 0, LEN);
    memset(p, 0xff, 6);
    p[6] = 2;
    p[12] = 8;
    p[14] = 0x45;
    p[17] = LEN - 14;
    p[23] = 6;
    p[46] = 0x50;
    for (unsigned i = 54; i < LEN; i++) {
        p[i] = (uint8_t)(i * 7);
    }
}

/* RFC 1071, an octet at a time, carries added as they come. */
static uint16_t sum_of(const uint8_t *p, size_t len)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < len; i++) {
        sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
        if (sum > 0xffff) {
            sum -= 0xffff;
        }
    }
    return (uint16_t)(~sum & 0xffff);
}

/* What is to stand at the checksum's place; 0 means "none" to UDP and is sent in its other form. */
static uint16_t checksum_of(const uint8_t *p, size_t len, size_t start)
{
    const uint16_t sum = sum_of(p + start, len - start);

    return sum ? sum : 0xffff;
}

/* A header with something in every field. */
static struct net_header header_with(uint8_t flags, uint8_t gso_type, uint16_t gso_size)
{
    return (struct net_header){.flags = flags,
                               .gso_type = gso_type,
                               .hdr_len = 54,
                               .gso_size = gso_size,
                               .csum_start = 34,
                               .csum_offset = 16,
                               .num_buffers = 0x5a5a,
                               .hash_value = 0xdeadbeef,
                               .hash_report = 0x77,
                               .outer_th_offset = 34,
                               .inner_nh_offset = 64};
}

/* ---- receive: the rules ---- */

enum fate { PASSES, COMPLETED, DROPPED };

static bool receive_type_on(const struct guest_features *on, uint8_t base)
{
    switch (base) {
    case VIRTIO_NET_HDR_GSO_TCPV4:
        return features_has(on, 7);
    case VIRTIO_NET_HDR_GSO_TCPV6:
        return features_has(on, 8);
    case VIRTIO_NET_HDR_GSO_UDP:
        return features_has(on, 10);
    case VIRTIO_NET_HDR_GSO_UDP_L4:
        return features_has(on, 54) || features_has(on, 55);
    default:
        return false;
    }
}

/* 5.1.6.4.2, with the offloads that are on. */
static enum fate judge_receive(const struct guest_features *on, const struct net_header *header)
{
    const uint8_t base = header->gso_type & 0x1f;
    const uint8_t tunnel = header->gso_type & TUNNEL_BITS;

    if (header->gso_type) {
        if (!features_has(on, 1) || !receive_type_on(on, base) || !(header->flags & NEEDS_CSUM) ||
            header->gso_size == 0 || ((header->gso_type & ECN) && !features_has(on, 9))) {
            return DROPPED;
        }
    }
    if (tunnel &&
        (tunnel == TUNNEL_BITS || !features_has(on, 65) || (header->flags & DATA_VALID))) {
        return DROPPED;
    }
    if ((header->flags & TUNNEL_CSUM) && !(tunnel && features_has(on, 66))) {
        return DROPPED;
    }
    return (header->flags & NEEDS_CSUM) && !features_has(on, 1) ? COMPLETED : PASSES;
}

/*
 * Whether the text says anything of such a header from the host. Not of ECN alone, of datagrams to be
 * fragmented inside a tunnel, and not here of two levels of valid checksums (see below).
 */
static bool receive_is_known(const struct net_header *header)
{
    return header->gso_type != ECN &&
           !((header->gso_type & TUNNEL_BITS) && (header->gso_type & 0x1f) == 3) &&
           ((header->gso_type & TUNNEL_BITS) || !(header->flags & TUNNEL_CSUM) ||
            !(header->flags & DATA_VALID));
}

static VionetVerdict deliver(struct machine *machine, const uint8_t *p, size_t len,
                             const struct net_header *header)
{
    const struct iovec piece = {(void *)p, len};
    const VionetFrame frame = {.iov = &piece,
                               .n_iov = 1,
                               .flags = header->flags,
                               .gso_type = header->gso_type,
                               .hdr_len = header->hdr_len,
                               .gso_size = header->gso_size,
                               .csum_start = header->csum_start,
                               .csum_offset = header->csum_offset,
                               .outer_th_offset = header->outer_th_offset,
                               .inner_nh_offset = header->inner_nh_offset};
    VionetVerdict verdict;

    vionet_device_receive(machine->device, 0, &frame, 1, &verdict, 0);
    return verdict;
}

/* The header that the guest must see. */
static struct net_header shown(const struct guest_features *on, const struct net_header *given)
{
    struct net_header header = {.num_buffers = 1};

    if (features_has(on, 1)) {
        header.flags = given->flags & (NEEDS_CSUM | DATA_VALID | TUNNEL_CSUM);
    }
    if (header.flags & NEEDS_CSUM) {
        header.csum_start = given->csum_start;
        header.csum_offset = given->csum_offset;
    }
    if (given->gso_type) {
        header.gso_type = given->gso_type;
        header.hdr_len = given->hdr_len;
        header.gso_size = given->gso_size;
    }
    if (given->gso_type & TUNNEL_BITS) {
        header.outer_th_offset = given->outer_th_offset;
        header.inner_nh_offset = given->inner_nh_offset;
    }
    return header;
}

static void check_receive(struct machine *machine, const struct guest_features *on,
                          const uint8_t *p, const struct net_header *header)
{
    const enum fate fate = judge_receive(on, header);
    const VionetVerdict expected = fate == DROPPED ? VIONET_DROP_OFFLOAD : VIONET_DELIVERED;
    const VionetVerdict verdict = deliver(machine, p, LEN, header);
    const struct net_header expected_header = shown(on, header);
    uint8_t whole[LEN], octets[24];
    struct guest_packet packet;

    if (verdict != expected) {
        g_test_message("flags 0x%x, gso_type 0x%x, gso_size %u: %s", header->flags,
                       header->gso_type, header->gso_size, vionet_verdict_name(verdict));
        g_test_fail();
    }
    if (verdict != VIONET_DELIVERED || !net_receive(machine->net, &packet)) {
        return;
    }
    memcpy(whole, p, LEN);
    if (fate == COMPLETED) {
        const uint16_t sum = checksum_of(p, LEN, header->csum_start);

        whole[header->csum_start + header->csum_offset] = (uint8_t)(sum >> 8);
        whole[header->csum_start + header->csum_offset + 1] = (uint8_t)sum;
    }
    g_assert_cmpmem(packet.data, packet.len, whole, LEN);
    header_store(octets, net_header_size(machine->net), machine->driver->options.big_endian,
                 &expected_header);
    g_assert_cmpmem(packet.raw_header, net_header_size(machine->net), octets,
                    net_header_size(machine->net));
}

/* Every flag and type with these offloads on. */
static void check_all_receive(struct machine *machine, const struct guest_features *on)
{
    uint8_t p[LEN];

    put_frame(p);
    for (unsigned flags = 0; flags < 32; flags++) {
        for (unsigned type = 0; type < 256; type++) {
            for (unsigned size = 0; size < 2; size++) {
                const struct net_header header =
                    header_with((uint8_t)flags, (uint8_t)type, size ? 1400 : 0);

                if (receive_is_known(&header) && !g_test_failed()) {
                    check_receive(machine, on, p, &header);
                }
            }
        }
    }
}

static void test_receive_product(void)
{
    struct machine *machine = new_machine(false);
    unsigned sets = 0;

    for (unsigned set = 0; set < 1u << G_N_ELEMENTS(receive_bits); set++) {
        const struct guest_features wanted = choose(receive_bits, G_N_ELEMENTS(receive_bits), set);

        if (consistent(&wanted)) {
            boot(machine, wanted);
            check_all_receive(machine, &wanted);
            sets++;
        }
    }
    g_assert_cmpuint(sets, >, 50);
    machine_finish(machine);
}

/* ---- receive: offloads switched at run time ---- */

static uint64_t mask_bit(uint8_t feature)
{
    return UINT64_C(1) << (feature == 65 ? 46 : feature == 66 ? 47 : feature);
}

static void test_switching(void)
{
    struct machine *machine = boot_all();

    for (unsigned set = 0; set < 1u << G_N_ELEMENTS(receive_bits); set++) {
        const struct guest_features on = choose(receive_bits, G_N_ELEMENTS(receive_bits), set);
        uint64_t mask = 0;

        for (unsigned i = 0; i < G_N_ELEMENTS(receive_bits); i++) {
            mask |= features_has(&on, receive_bits[i]) ? mask_bit(receive_bits[i]) : 0;
        }
        g_assert_cmpint(net_control_offloads(machine->net, mask), ==, VIRTIO_NET_OK);
        if (consistent(&on)) {
            g_assert_cmphex(vionet_device_offloads(machine->device), ==, mask);
            check_all_receive(machine, &on);
        }
    }
    machine_finish(machine);
}

/* An offload is off with any that it needs (facts: accept, and treat the dependent one as off). */
static void test_dependent_offloads(void)
{
    static const struct {
        uint8_t off;
        uint8_t flags;
        uint8_t gso_type;
    } rows[] = {
        {1, NEEDS_CSUM, 1},
        {1, NEEDS_CSUM, 4},
        {1, NEEDS_CSUM, 3},
        {1, NEEDS_CSUM, 5},
        {1, NEEDS_CSUM, TUNNEL_IPV4 | 1},
        {7, NEEDS_CSUM, TUNNEL_IPV4 | 4},
        {8, NEEDS_CSUM, TUNNEL_IPV4 | 1},
        {54, NEEDS_CSUM, TUNNEL_IPV4 | 1},
        {55, NEEDS_CSUM, TUNNEL_IPV4 | 1},
        {65, NEEDS_CSUM | TUNNEL_CSUM, TUNNEL_IPV4 | 1},
    };
    struct machine *machine = boot_all();
    uint64_t all = 0;
    uint8_t p[LEN];

    put_frame(p);
    for (unsigned i = 0; i < G_N_ELEMENTS(receive_bits); i++) {
        all |= mask_bit(receive_bits[i]);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        const struct net_header header = header_with(rows[i].flags, rows[i].gso_type, 1400);

        g_assert_cmpint(net_control_offloads(machine->net, all & ~mask_bit(rows[i].off)), ==,
                        VIRTIO_NET_OK);
        if (deliver(machine, p, LEN, &header) != VIONET_DROP_OFFLOAD) {
            g_test_message("gso_type 0x%x without offload %u passes", rows[i].gso_type,
                           rows[i].off);
            g_test_fail();
        }
    }
    machine_free(machine);
}

/* All that is negotiated is on at first; no bit but these is taken, and not the feature's number. */
static void test_offload_bits(void)
{
    for (unsigned missing = 0; missing <= G_N_ELEMENTS(receive_bits); missing++) {
        struct machine *machine = new_machine(false);
        unsigned set = (1u << G_N_ELEMENTS(receive_bits)) - 1;
        struct guest_features wanted;
        uint64_t mask = 0;

        if (missing < G_N_ELEMENTS(receive_bits)) {
            set &= ~(1u << missing);
        }
        wanted = choose(receive_bits, G_N_ELEMENTS(receive_bits), set);
        if (missing == 0) {
            wanted = choose(receive_bits, G_N_ELEMENTS(receive_bits), 0);
        } else if (missing < 7 && missing != 3 && missing != 4) {
            features_remove(&wanted, 65);
            features_remove(&wanted, 66);
        } else if (missing == 7) {
            features_remove(&wanted, 66);
        }
        boot(machine, wanted);
        for (unsigned i = 0; i < G_N_ELEMENTS(receive_bits); i++) {
            mask |= features_has(&wanted, receive_bits[i]) ? mask_bit(receive_bits[i]) : 0;
        }
        check_all_receive(machine, &wanted);
        for (unsigned bit = 0; bit < 64; bit++) {
            const uint64_t one = UINT64_C(1) << bit;

            g_assert_cmpint(net_control_offloads(machine->net, one), ==,
                            mask & one ? VIRTIO_NET_OK : VIRTIO_NET_ERR);
            g_assert_cmpint(net_control_offloads(machine->net, mask), ==, VIRTIO_NET_OK);
            g_assert_cmpint(net_control_offloads(machine->net, mask | one), ==,
                            mask & one ? VIRTIO_NET_OK : VIRTIO_NET_ERR);
        }
        check_all_receive(machine, &wanted);
        machine_finish(machine);
    }
}

static void test_switched_back_by_reset(void)
{
    struct machine *machine = boot_all();
    const struct net_header header = header_with(NEEDS_CSUM, 1, 1400);
    uint8_t p[LEN];

    put_frame(p);
    g_assert_cmphex(vionet_device_offloads(machine->device), !=, 0);
    g_assert_cmpint(net_control_offloads(machine->net, 0), ==, VIRTIO_NET_OK);
    g_assert_cmphex(vionet_device_offloads(machine->device), ==, 0);
    g_assert_cmpint(deliver(machine, p, LEN, &header), ==, VIONET_DROP_OFFLOAD);
    boot(machine, features_known());
    g_assert_cmpint(deliver(machine, p, LEN, &header), ==, VIONET_DELIVERED);
    machine_finish(machine);
}

/*
 * 5.1.6.4.2: DATA_VALID stands for the outermost checksum, and together with UDP_TUNNEL_CSUM for the
 * inner one too. There is nothing to be segmented, so no tunnel bit.
 */
static void test_two_levels_valid(void)
{
    struct machine *machine = boot_all();
    const struct net_header header = header_with(DATA_VALID | TUNNEL_CSUM, 0, 0);
    struct guest_packet packet = {0};
    uint8_t p[LEN];

    put_frame(p);
    g_assert_cmpint(deliver(machine, p, LEN, &header), ==, VIONET_DELIVERED);
    g_assert_true(net_receive(machine->net, &packet));
    g_assert_cmphex(packet.header.flags, ==, DATA_VALID | TUNNEL_CSUM);
    machine_finish(machine);
}

/* ---- transmit: the rules ---- */

static bool transmit_type_on(const struct guest_features *on, uint8_t base)
{
    switch (base) {
    case VIRTIO_NET_HDR_GSO_TCPV4:
        return features_has(on, 11);
    case VIRTIO_NET_HDR_GSO_TCPV6:
        return features_has(on, 12);
    case VIRTIO_NET_HDR_GSO_UDP:
        return features_has(on, 14);
    case VIRTIO_NET_HDR_GSO_UDP_L4:
        return features_has(on, 56);
    default:
        return false;
    }
}

/* 5.1.6.2.2, and what a driver may not send. */
static enum fate judge_transmit(const struct guest_features *on, const struct net_header *header)
{
    const uint8_t base = header->gso_type & 0x1f;
    const uint8_t tunnel = header->gso_type & TUNNEL_BITS;

    if ((header->flags & NEEDS_CSUM) && !features_has(on, 0)) {
        return DROPPED;
    }
    if (header->gso_type &&
        (!transmit_type_on(on, base) || !(header->flags & NEEDS_CSUM) || header->gso_size == 0 ||
         ((header->gso_type & ECN) && !features_has(on, 13)))) {
        return DROPPED;
    }
    if (tunnel && (tunnel == TUNNEL_BITS || !features_has(on, 67) || base == 3 ||
                   (header->flags & DATA_VALID))) {
        return DROPPED;
    }
    return (header->flags & TUNNEL_CSUM) && features_has(on, 68) && !tunnel ? DROPPED : PASSES;
}

static void check_frame(const struct guest_features *on, const struct net_header *header,
                        const VionetFrame *frame)
{
    const bool csum = header->flags & NEEDS_CSUM;
    const bool gso = header->gso_type != 0;
    const bool tunnel = header->gso_type & TUNNEL_BITS;
    const bool outer = tunnel && (header->flags & TUNNEL_CSUM) && features_has(on, 68);

    g_assert_cmpuint(frame->len, ==, LEN);
    g_assert_cmphex(frame->flags, ==, (csum ? NEEDS_CSUM : 0) | (outer ? TUNNEL_CSUM : 0));
    g_assert_cmphex(frame->gso_type, ==, header->gso_type);
    g_assert_cmpuint(frame->csum_start, ==, csum ? header->csum_start : 0);
    g_assert_cmpuint(frame->csum_offset, ==, csum ? header->csum_offset : 0);
    g_assert_cmpuint(frame->hdr_len, ==, gso ? header->hdr_len : 0);
    g_assert_cmpuint(frame->gso_size, ==, gso ? header->gso_size : 0);
    g_assert_cmpuint(frame->outer_th_offset, ==, tunnel ? header->outer_th_offset : 0);
    g_assert_cmpuint(frame->inner_nh_offset, ==, tunnel ? header->inner_nh_offset : 0);
}

/* Sends a frame; whether the host gets it. It is given back at once. */
static bool transmit(struct machine *machine, const struct net_header *header, const uint8_t *p,
                     uint32_t len, VionetFrame *frame)
{
    size_t n;

    g_assert_true(net_transmit(machine->net, 0, header, p, len));
    n = vionet_device_transmit(machine->device, 0, frame, 1);
    vionet_device_complete(machine->device, 0, frame, n);
    g_assert_cmpuint(net_reclaim(machine->net, 0), ==, 1);
    return n == 1;
}

static void check_all_transmit(struct machine *machine, const struct guest_features *on)
{
    uint8_t p[LEN];

    put_frame(p);
    for (unsigned flags = 0; flags < 32; flags++) {
        for (unsigned type = 0; type < 256; type++) {
            for (unsigned size = 0; size < 2 && !g_test_failed(); size++) {
                const struct net_header header = header_with(
                    (uint8_t)(flags | (flags & 16 ? 0xe0 : 0)), (uint8_t)type, size ? 1400 : 0);
                const bool passes = judge_transmit(on, &header) == PASSES;
                VionetFrame frame;
                bool came;

                if (header.gso_type == ECN) {
                    continue; /* see below */
                }
                came = transmit(machine, &header, p, LEN, &frame);
                if (came != passes) {
                    g_test_message("flags 0x%x, gso_type 0x%x, gso_size %u", header.flags,
                                   header.gso_type, header.gso_size);
                    g_test_fail();
                } else if (came) {
                    check_frame(on, &header, &frame);
                }
            }
        }
    }
}

static void test_transmit_product(void)
{
    struct machine *machine = new_machine(false);
    unsigned sets = 0;

    for (unsigned set = 0; set < 1u << G_N_ELEMENTS(transmit_bits); set++) {
        const struct guest_features wanted =
            choose(transmit_bits, G_N_ELEMENTS(transmit_bits), set);

        if (consistent(&wanted)) {
            boot(machine, wanted);
            check_all_transmit(machine, &wanted);
            sets++;
        }
    }
    g_assert_cmpuint(sets, >, 20);
    machine_finish(machine);
}

/*
 * NET-CFG-06: with MTU negotiated, what is not longer is forwarded "with gso_type NONE or ECN", so that
 * ECN alone is a type that a driver may send.
 */
static void test_ecn_alone(void)
{
    struct machine *machine = new_machine(true);
    const struct net_header header = header_with(0, ECN, 0);
    uint8_t p[LEN];
    VionetFrame frame;

    put_frame(p);
    boot(machine, features_known());
    g_assert_true(guest_driver_has(machine->driver, VIRTIO_NET_F_MTU));
    g_assert_true(guest_driver_has(machine->driver, VIRTIO_NET_F_HOST_ECN));
    g_assert_true(transmit(machine, &header, p, LEN, &frame));
    machine_finish(machine);
}

/* P-08: the honest ones, with hdr_len right, a hint, or nonsense that nothing may depend on. */
static void test_honest_headers(void)
{
    static const uint16_t hdr_lens[] = {0, 34, 53, 54, 66, 74, LEN, LEN + 1, 0xffff};
    static const uint16_t sizes[] = {1, 8, 536, 1448, 1460, 9000, 0xffff};
    static const uint8_t types[] = {1,
                                    3,
                                    4,
                                    5,
                                    ECN | 1,
                                    ECN | 4,
                                    TUNNEL_IPV4 | 1,
                                    TUNNEL_IPV6 | 4,
                                    TUNNEL_IPV4 | 5,
                                    TUNNEL_IPV6 | ECN | 1};
    struct machine *machine = boot_all();
    uint8_t p[LEN];

    put_frame(p);
    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
        for (unsigned j = 0; j < G_N_ELEMENTS(sizes); j++) {
            for (unsigned k = 0; k < G_N_ELEMENTS(hdr_lens); k++) {
                struct net_header header = header_with(NEEDS_CSUM, types[i], sizes[j]);
                VionetFrame frame;

                header.hdr_len = hdr_lens[k];
                g_assert_true(transmit(machine, &header, p, LEN, &frame));
                g_assert_cmpuint(frame.hdr_len, ==, hdr_lens[k]);
            }
        }
    }
    machine_finish(machine);
}

/* ---- where the checksum is (P-07, P-10) ---- */

static void check_place(struct machine *machine, const uint8_t *p, uint32_t len, uint16_t start,
                        uint16_t offset)
{
    const bool inside = (uint32_t)start + offset + 2 <= len;
    struct net_header header = header_with(NEEDS_CSUM, 0, 0);
    struct iovec piece = {(void *)p, len};
    VionetFrame frame = {
        .iov = &piece, .n_iov = 1, .flags = NEEDS_CSUM, .csum_start = start, .csum_offset = offset};
    struct guest_packet packet;
    VionetFrame sent;
    uint8_t out[LEN];

    header.csum_start = start;
    header.csum_offset = offset;
    g_assert_cmpint(transmit(machine, &header, p, len, &sent), ==, inside);
    g_assert_cmpint(deliver(machine, p, len, &header), ==,
                    inside ? VIONET_DELIVERED : VIONET_DROP_OFFLOAD);
    g_assert_cmpint(net_receive(machine->net, &packet), ==, inside);
    g_assert_cmpuint(vionet_frame_linearize(&frame, out, sizeof(out)), ==, inside ? len : 0);
}

static void test_checksum_places(void)
{
    static const uint16_t offsets[] = {0, 1, 6, 16, 0x7fff, 0xfffe, 0xffff};
    struct machine *machines[2] = {new_machine(false), new_machine(false)};
    uint8_t p[LEN];

    put_frame(p);
    boot(machines[0], features_known());
    /* One whose guest completes no checksums: the device does. */
    boot(machines[1], choose(transmit_bits, G_N_ELEMENTS(transmit_bits), 1));
    for (unsigned i = 0; i < 2; i++) {
        for (uint32_t len = 14; len <= LEN; len += len < 60 ? 1 : 35) {
            const uint16_t starts[] = {0,
                                       14,
                                       34,
                                       (uint16_t)(len - 3),
                                       (uint16_t)(len - 2),
                                       (uint16_t)(len - 1),
                                       (uint16_t)len,
                                       0x7fff,
                                       0xfffe,
                                       0xffff};

            for (unsigned s = 0; s < G_N_ELEMENTS(starts); s++) {
                for (unsigned o = 0; o < G_N_ELEMENTS(offsets); o++) {
                    check_place(machines[i], p, len, starts[s], offsets[o]);
                }
            }
        }
        machine_finish(machines[i]);
    }
}

/* ---- completing ---- */

/* RFC 1071's own example: the sum of its octets is ddf2. */
static void test_published_checksum(void)
{
    uint8_t p[24] = {[14] = 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7, 0, 0};
    const struct iovec piece = {p, sizeof(p)};
    const VionetFrame frame = {
        .iov = &piece, .n_iov = 1, .flags = NEEDS_CSUM, .csum_start = 14, .csum_offset = 8};
    uint8_t out[24];

    g_assert_cmpuint(vionet_frame_linearize(&frame, out, sizeof(out)), ==, 24);
    g_assert_cmpmem(out, 22, p, 22);
    g_assert_cmphex(out[22], ==, 0x22);
    g_assert_cmphex(out[23], ==, 0x0d);
}

/*
 * A UDP datagram worked by hand: 192.0.2.1:1000 to 192.0.2.2:2000, payload "hi!". Pseudo header
 * c000 + 0201 + c000 + 0202 + 0011 + 000b = 1 841f, folded 8420; header 03e8 + 07d0 + 000b = 0bc3;
 * payload 6869 + 2100 = 8969; all together 1 194c, folded 194d, inverted e6b2.
 */
static void test_udp_by_hand(void)
{
    static const uint8_t datagram[] = {0x03, 0xe8, 0x07, 0xd0, 0, 11, 0x84, 0x20, 'h', 'i', '!'};
    uint8_t p[34 + sizeof(datagram)] = {[12] = 8, [14] = 0x45};
    const struct iovec piece = {p, sizeof(p)};
    const VionetFrame frame = {
        .iov = &piece, .n_iov = 1, .flags = NEEDS_CSUM, .csum_start = 34, .csum_offset = 6};
    uint8_t out[sizeof(p)];

    memcpy(p + 34, datagram, sizeof(datagram));
    g_assert_cmpuint(vionet_frame_linearize(&frame, out, sizeof(out)), ==, sizeof(p));
    g_assert_cmphex(out[40], ==, 0xe6);
    g_assert_cmphex(out[41], ==, 0xb2);
}

/* A sum of all ones is sent as all ones: zero would mean that there is none (RFC 768). */
static void test_zero_checksum(void)
{
    uint8_t p[40] = {[34] = 0xff, 0xff};
    const struct iovec piece = {p, sizeof(p)};
    const VionetFrame frame = {
        .iov = &piece, .n_iov = 1, .flags = NEEDS_CSUM, .csum_start = 34, .csum_offset = 4};
    uint8_t out[40];

    g_assert_cmpuint(vionet_frame_linearize(&frame, out, sizeof(out)), ==, 40);
    g_assert_cmphex(out[38], ==, 0xff);
    g_assert_cmphex(out[39], ==, 0xff);
}

static void test_linearize(void)
{
    GRand *random = g_rand_new_with_seed(77);

    for (unsigned round = 0; round < 2000; round++) {
        const size_t len = (size_t)g_rand_int_range(random, 40, round % 10 ? 300 : 65550);
        const size_t start = (size_t)g_rand_int_range(random, 0, (int)MIN(len - 2, 0xffff));
        const size_t offset =
            (size_t)g_rand_int_range(random, 0, (int)MIN(len - start - 1, 0xffff));
        const size_t cut = (size_t)g_rand_int_range(random, 0, (int)len);
        uint8_t *p = g_malloc(len), *out = g_malloc(len);
        const struct iovec pieces[3] = {{p, cut}, {p + cut, 0}, {p + cut, len - cut}};
        VionetFrame frame = {.iov = pieces,
                             .n_iov = 3,
                             .csum_start = (uint16_t)start,
                             .csum_offset = (uint16_t)offset};
        uint16_t sum;

        for (size_t i = 0; i < len; i++) {
            p[i] = (uint8_t)(round % 7 ? g_rand_int(random) : 0xff);
        }
        g_assert_cmpuint(vionet_frame_linearize(&frame, out, len), ==, len);
        g_assert_cmpmem(out, len, p, len);
        g_assert_cmpuint(vionet_frame_linearize(&frame, out, len - 1), ==, 0);
        frame.flags = NEEDS_CSUM;
        g_assert_cmpuint(vionet_frame_linearize(&frame, out, len), ==, len);
        sum = checksum_of(p, len, start);
        p[start + offset] = (uint8_t)(sum >> 8);
        p[start + offset + 1] = (uint8_t)sum;
        g_assert_cmpmem(out, len, p, len);
        g_free(p);
        g_free(out);
    }
    g_rand_free(random);
}

/* A frame that the guest will not complete comes whole, also in pieces and over several buffers. */
static void test_completed_for_guest(void)
{
    for (uint32_t receive_size = 50; receive_size <= 2000; receive_size *= 6) {
        struct machine_setup setup;
        struct machine *machine;
        uint8_t p[LEN];
        const struct iovec pieces[3] = {{p, 13}, {p + 13, 24}, {p + 37, LEN - 37}};
        const VionetFrame frame = {
            .iov = pieces, .n_iov = 3, .flags = NEEDS_CSUM, .csum_start = 34, .csum_offset = 16};
        struct guest_packet packet = {0};
        VionetVerdict verdict;

        put_frame(p);
        machine_setup_init(&setup);
        setup.net.receive_size = receive_size;
        machine = machine_new(&setup, NULL);
        boot(machine, features_known());
        vionet_device_receive(machine->device, 0, &frame, 1, &verdict, 0);
        g_assert_cmpint(verdict, ==, VIONET_DELIVERED);
        g_assert_true(net_receive(machine->net, &packet));
        g_assert_cmphex(packet.header.flags, ==, 0);
        g_assert_cmpuint(packet.len, ==, LEN);
        g_assert_cmpuint(packet.data[50] << 8 | packet.data[51], ==, checksum_of(p, LEN, 34));
        machine_finish(machine);
    }
}

/* ---- through: from a guest that keeps the rules to one that relies on them ---- */

/* A TCP or UDP packet to be segmented, alone or in Geneve, with headers of one IP version. */
struct shape {
    unsigned version;
    bool udp, tunnel, outer_sum;
};

#define PAYLOAD 300

/* The pseudo header's sum of an IP packet without extension headers (RFC 793, RFC 8200 8.1). */
static uint16_t pseudo_sum(const uint8_t *ip, uint16_t len)
{
    const bool v4 = ip[0] >> 4 == 4;
    uint8_t octets[40] = {0};

    memcpy(octets, ip + (v4 ? 12 : 8), v4 ? 8 : 32);
    octets[v4 ? 9 : 35] = ip[v4 ? 9 : 6];
    octets[v4 ? 10 : 36] = (uint8_t)(len >> 8);
    octets[v4 ? 11 : 37] = (uint8_t)len;
    return (uint16_t)~sum_of(octets, sizeof(octets));
}

static void put16(uint8_t *p, unsigned value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static unsigned get16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

/* Ethernet and IP with len octets behind; where these begin. */
static uint8_t *put_ip(uint8_t *p, unsigned version, uint8_t protocol, uint16_t len)
{
    memset(p, 0, 14 + 40);
    memset(p, 0xff, 6);
    p[6] = 2;
    put16(p + 12, version == 4 ? 0x0800 : 0x86dd);
    p += 14;
    p[0] = version == 4 ? 0x45 : 0x60;
    put16(p + (version == 4 ? 2 : 4), version == 4 ? len + 20u : len);
    p[version == 4 ? 8 : 7] = 64;
    p[version == 4 ? 9 : 6] = protocol;
    p[version == 4 ? 15 : 23] = 1;
    p[version == 4 ? 19 : 39] = 2;
    if (version == 4) {
        put16(p + 10, sum_of(p, 20));
    }
    return p + (version == 4 ? 20 : 40);
}

/* The packet with its transport's checksum field preset, and the header that goes with it. */
static uint32_t put_segments(uint8_t *p, const struct shape *shape, struct net_header *header)
{
    const unsigned ip_len = shape->version == 4 ? 20 : 40;
    const unsigned transport = shape->udp ? 8 : 20;
    const uint16_t inner_len = (uint16_t)(transport + PAYLOAD);
    uint8_t *const start = p;
    uint8_t *at;

    *header = (struct net_header){.flags = NEEDS_CSUM, .gso_size = 100};
    header->gso_type = shape->udp ? 5 : shape->version == 4 ? 1 : 4;
    if (shape->tunnel) {
        const uint16_t len = (uint16_t)(8 + 8 + 14 + ip_len + inner_len);

        at = put_ip(p, shape->version, 17, len);
        memcpy(at, "\x30\x39\x17\xc1\0\0\0\0\0\0\x65\x58\0\0\1\0", 16); /* port 6081, Geneve */
        put16(at + 4, len);
        put16(at + 6, shape->outer_sum ? pseudo_sum(at - ip_len, len) : 0);
        header->flags |= shape->outer_sum ? TUNNEL_CSUM : 0;
        header->gso_type |= shape->version == 4 ? TUNNEL_IPV4 : TUNNEL_IPV6;
        header->outer_th_offset = (uint16_t)(at - start);
        header->inner_nh_offset = (uint16_t)(at - start + 16 + 14);
        p = at + 16;
    }
    at = put_ip(p, shape->version, shape->udp ? 17 : 6, inner_len);
    memset(at, 0, transport);
    put16(at, 1000);
    put16(at + 2, 2000);
    put16(at + (shape->udp ? 4 : 12), shape->udp ? inner_len : 0x5010);
    put16(at + (shape->udp ? 6 : 16), pseudo_sum(at - ip_len, inner_len));
    for (unsigned i = 0; i < PAYLOAD; i++) {
        at[transport + i] = (uint8_t)(i * 11);
    }
    header->csum_start = (uint16_t)(at - start);
    header->csum_offset = shape->udp ? 6 : 16;
    header->hdr_len = (uint16_t)(at - start + transport);
    return (uint32_t)(at - start + inner_len);
}

/* From the host's hands to the guest again, as a switch would do. */
static bool loop_back(struct machine *machine, const struct net_header *header, const uint8_t *p,
                      uint32_t len, struct guest_packet *packet)
{
    VionetFrame frame;

    g_assert_true(net_transmit(machine->net, 0, header, p, len));
    g_assert_cmpuint(vionet_device_transmit(machine->device, 0, &frame, 1), ==, 1);
    g_assert_cmpuint(vionet_device_receive(machine->device, 0, &frame, 1, NULL, 0), ==, 1);
    vionet_device_complete(machine->device, 0, &frame, 1);
    g_assert_cmpuint(net_reclaim(machine->net, 0), ==, 1);
    return net_receive(machine->net, packet);
}

/* Where IP's payload begins, by the packet itself; its protocol. */
static unsigned parse_ip(const uint8_t *p, unsigned at, uint8_t *protocol)
{
    const bool v4 = p[at] >> 4 == 4;

    *protocol = p[at + (v4 ? 9 : 6)];
    return at + (v4 ? 4u * (p[at] & 15) : 40);
}

/* 5.1.6.4.2, of a tunnelled packet: what the octets say is what the header says. */
static unsigned check_outer(const struct guest_packet *packet)
{
    const uint8_t *p = packet->data;
    const struct net_header *header = &packet->header;
    uint8_t protocol;
    const unsigned udp = parse_ip(p, 14, &protocol);
    const unsigned inner = udp + 8 + 8 + 4u * (p[udp + 8] & 0x3f) + 14;
    const unsigned sum = get16(p + udp + 6);

    g_assert_cmpuint(protocol, ==, 17);
    g_assert_cmpuint(get16(p + udp + 2), ==, 6081);
    g_assert_cmpuint(header->outer_th_offset, ==, udp);
    g_assert_cmpuint(header->inner_nh_offset, ==, inner);
    g_assert_cmphex(header->gso_type & TUNNEL_BITS, ==,
                    p[inner] >> 4 == 4 ? TUNNEL_IPV4 : TUNNEL_IPV6);
    g_assert_cmphex(header->flags & DATA_VALID, ==, 0);
    g_assert_cmphex(sum, ==,
                    header->flags & TUNNEL_CSUM ? pseudo_sum(p + 14, (uint16_t)(packet->len - udp))
                                                : 0);
    return inner;
}

/* And of what is to be segmented: the driver can complete the checksum, and finds the headers' end. */
static void check_segments(const struct guest_packet *packet, const struct shape *shape)
{
    const struct net_header *header = &packet->header;
    const unsigned ip = shape->tunnel ? check_outer(packet) : 14;
    uint8_t *p = g_memdup2(packet->data, packet->len);
    uint8_t protocol;
    const unsigned at = parse_ip(p, ip, &protocol);
    const uint16_t pseudo = pseudo_sum(p + ip, (uint16_t)(packet->len - at));
    const unsigned field = header->csum_start + header->csum_offset;
    uint8_t sums[4];

    g_assert_cmpuint(protocol, ==, shape->udp ? 17 : 6);
    g_assert_cmphex(header->flags & NEEDS_CSUM, ==, NEEDS_CSUM);
    g_assert_cmpuint(header->gso_size, ==, 100);
    g_assert_cmpuint(header->csum_start, ==, at);
    g_assert_cmpuint(field, ==, at + (shape->udp ? 6 : 16));
    g_assert_cmpuint(header->hdr_len, >=, at + (shape->udp ? 8u : 4u * (p[at + 12] >> 4)));
    g_assert_cmphex(get16(p + field), ==, pseudo);
    put16(p + field, sum_of(p + header->csum_start, packet->len - header->csum_start));
    /* As a receiver checks it: segment and pseudo header sum up to ones. */
    put16(sums, pseudo);
    put16(sums + 2, (uint16_t)~sum_of(p + at, packet->len - at));
    g_assert_cmphex(sum_of(sums, 4), ==, 0);
    g_free(p);
}

static void test_through(void)
{
    struct machine *machine = boot_all();

    for (unsigned k = 0; k < 16; k++) {
        const struct shape shape = {k & 1 ? 6 : 4, k & 2, k & 4, k & 8};
        struct guest_packet packet;
        struct net_header header;
        uint8_t p[600];
        uint32_t len;

        if (shape.outer_sum && !shape.tunnel) {
            continue;
        }
        len = put_segments(p, &shape, &header);
        g_assert_true(loop_back(machine, &header, p, len, &packet));
        g_assert_cmpmem(packet.data, packet.len, p, len);
        check_segments(&packet, &shape);
    }
    machine_finish(machine);
}

/* A checksum that the driver did not ask to complete is neither looked at nor vouched for. */
static void test_wrong_checksums(void)
{
    static const uint8_t flags[] = {0, DATA_VALID};
    struct machine *machine = boot_all();

    for (unsigned wrong = 0; wrong < 0x10000; wrong += 0x1111) {
        for (unsigned i = 0; i < G_N_ELEMENTS(flags); i++) {
            const struct shape shape = {.version = 4, .udp = wrong & 0x1111};
            struct net_header header;
            struct guest_packet packet;
            uint8_t p[600];
            const uint32_t len = put_segments(p, &shape, &header);

            put16(p + 24, wrong); /* IP's too */
            put16(p + header.csum_start + header.csum_offset, wrong);
            header = (struct net_header){.flags = flags[i]};
            g_assert_true(loop_back(machine, &header, p, len, &packet));
            g_assert_cmpmem(packet.data, packet.len, p, len);
            g_assert_cmphex(packet.header.flags, ==, 0);
            g_assert_cmphex(packet.header.gso_type, ==, 0);
        }
    }
    machine_finish(machine);
}

/* Flags of features that the device does not have (RSC_EXT, IPSEC) never reach a guest. */
static void test_foreign_flags(void)
{
    struct machine *machine = boot_all();
    uint8_t p[LEN];

    put_frame(p);
    for (unsigned flags = 0; flags < 256; flags++) {
        const struct net_header header = {
            .flags = (uint8_t)(flags & ~TUNNEL_CSUM), .csum_start = 34, .csum_offset = 16};
        struct guest_packet packet;

        g_assert_cmpint(deliver(machine, p, LEN, &header), ==, VIONET_DELIVERED);
        g_assert_true(net_receive(machine->net, &packet));
        g_assert_cmphex(packet.raw_header[0], ==, flags & (NEEDS_CSUM | DATA_VALID));
    }
    machine_finish(machine);
}

/*
 * Where OUT_NET_HEADER would have a header of 32 octets (at 24: outer_nh_offset), the device has the
 * frame, each way and whatever stands there; a driver cannot have the feature.
 */
static void test_no_outer_header(void)
{
    static const uint16_t offsets[] = {0, 1, 14, 34, 0x7fff, 0xffff};
    struct machine *machine = new_machine(false);

    boot(machine, features_or(features_known(), features_of(69, FEATURES_END)));
    g_assert_false(guest_driver_has(machine->driver, 69));
    g_assert_cmpuint(net_header_size(machine->net), ==, 24);
    for (unsigned i = 0; i < G_N_ELEMENTS(offsets); i++) {
        struct guest_packet packet;
        uint8_t p[LEN];

        put_frame(p);
        bytes_put16(p, offsets[i]); /* the destination's first octets */
        g_assert_cmpint(net_control_rx(machine->net, 0, true), ==, VIRTIO_NET_OK);
        g_assert_true(loop_back(machine, NULL, p, LEN, &packet));
        g_assert_cmpmem(packet.raw_header + 24, LEN, p, LEN);
        g_assert_cmpmem(packet.data, packet.len, p, LEN);
    }
    machine_finish(machine);
}

/* ---- P-02 ---- */

static void test_guest_that_took_nothing(void)
{
    struct machine *machine = new_machine(false);
    unsigned dropped = 0;
    uint8_t p[LEN];

    put_frame(p);
    boot(machine, features_of(VIRTIO_F_VERSION_1, VIRTIO_NET_F_MRG_RXBUF, FEATURES_END));
    for (unsigned type = 1; type < 256; type++) {
        const struct net_header header = header_with(NEEDS_CSUM, (uint8_t)type, 1400);
        struct guest_packet packet;

        dropped += deliver(machine, p, LEN, &header) == VIONET_DROP_OFFLOAD;
        g_assert_false(net_receive(machine->net, &packet));
    }
    g_assert_cmpuint(dropped, ==, 255);
    g_assert_cmpuint(vionet_device_verdicts(machine->device, VIONET_DROP_OFFLOAD), ==, 255);
    g_assert_cmpstr(vionet_verdict_name(VIONET_DROP_OFFLOAD), ==, "offload");
    machine_finish(machine);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_set_nonfatal_assertions();
    g_test_add_func("/offload/receive/features-times-flags-times-types", test_receive_product);
    g_test_add_func("/offload/receive/P-02/guest-that-took-nothing", test_guest_that_took_nothing);
    g_test_add_func("/offload/receive/two-levels-of-valid-checksums", test_two_levels_valid);
    g_test_add_func("/offload/switch/off-is-as-if-not-negotiated", test_switching);
    g_test_add_func("/offload/switch/off-with-what-it-needs", test_dependent_offloads);
    g_test_add_func("/offload/switch/P-22/each-bit-of-the-mask", test_offload_bits);
    g_test_add_func("/offload/switch/H-05/all-on-again-after-a-reset", test_switched_back_by_reset);
    g_test_add_func("/offload/transmit/P-08/features-times-flags-times-types",
                    test_transmit_product);
    g_test_add_func("/offload/transmit/P-08/honest-headers-pass", test_honest_headers);
    g_test_add_func("/offload/transmit/ecn-alone-is-forwarded", test_ecn_alone);
    g_test_add_func("/offload/checksum/P-07/P-10/outside-of-the-frame", test_checksum_places);
    g_test_add_func("/offload/checksum/published-example", test_published_checksum);
    g_test_add_func("/offload/checksum/datagram-worked-by-hand", test_udp_by_hand);
    g_test_add_func("/offload/checksum/zero-is-sent-as-ones", test_zero_checksum);
    g_test_add_func("/offload/checksum/any-frame-in-pieces", test_linearize);
    g_test_add_func("/offload/checksum/completed-for-the-guest", test_completed_for_guest);
    g_test_add_func("/offload/through/honest-packets-stay-honest", test_through);
    g_test_add_func("/offload/through/wrong-checksums-are-not-vouched-for", test_wrong_checksums);
    g_test_add_func("/offload/through/no-header-past-its-end", test_no_outer_header);
    g_test_add_func("/offload/receive/flags-of-absent-features-do-not-pass", test_foreign_flags);
    return g_test_run();
}
