/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dissector's two passes: what the straight one (lib/hash/straight.h) takes for itself is the flow
 * that the general one finds. Over every frame of test/captures, whole, cut at every octet and mutated,
 * for every mask of tunnels that a dialect can ask for; each in a block of exactly its length.
 */
#include <stdlib.h>
#include <string.h>

#include <glib.h>

#include <vionet/hash.h>

#include "hash/dissect.h"
#include "hash/straight.h"

#define MUTATIONS 60 /* of a frame */

struct counts {
    unsigned straight;
    unsigned straight_inner;
    unsigned general;
};

static void require_same(const VionetFlow *straight, const VionetFlow *general)
{
    g_assert_true(straight->src == general->src && straight->dst == general->dst);
    g_assert_true(straight->ports == general->ports);
    g_assert_true(straight->ex_src == general->ex_src && straight->ex_dst == general->ex_dst);
    g_assert_cmpuint(straight->addr_len, ==, general->addr_len);
    g_assert_cmpuint(straight->protocol, ==, general->protocol);
    g_assert_cmphex(straight->tunnels, ==, general->tunnels);
    g_assert_cmpint(straight->short_of_octets, ==, general->short_of_octets);
}

static void compare(const uint8_t *octets, size_t len, unsigned tunnels, struct counts *counts)
{
    uint8_t *frame = malloc(len ? len : 1);
    struct straight straight;
    VionetFlow flow, general;

    memcpy(frame, octets, len);
    memset(&flow, 0xff, sizeof(flow));
    memset(&general, 0xff, sizeof(general));
    dissect_general(frame, len, tunnels, &general);
    if (dissect_straight(frame, len, tunnels, &straight)) {
        straight_flow(&straight, &flow);
        require_same(&flow, &general);
        counts->straight++;
        counts->straight_inner += flow.tunnels != 0;
    } else {
        counts->general++;
    }
    free(frame);
}

/* All, none, and each alone. */
static void compare_masks(const uint8_t *octets, size_t len, struct counts *counts)
{
    compare(octets, len, 0, counts);
    compare(octets, len, VIONET_TUNNEL_ALL, counts);
    for (unsigned bit = 1; bit < VIONET_TUNNEL_ALL; bit <<= 1) {
        compare(octets, len, bit, counts);
    }
}

/* Where the numbers stand that decide; a few of them, or one more or less than there was. */
static void mutate(uint8_t *octets, size_t len)
{
    static const uint8_t telling[] = {0x00, 0x01, 0x04, 0x06, 0x08, 0x11, 0x20, 0x2f, 0x40,
                                      0x45, 0x46, 0x60, 0x80, 0x86, 0xdd, 0x81, 0xff};
    const size_t reach = MIN(len, 120);

    for (unsigned times = 1 + (unsigned)g_test_rand_int_range(0, 3); times && reach; times--) {
        uint8_t *at = &octets[g_test_rand_int_range(0, (gint32)reach)];

        switch (g_test_rand_int_range(0, 4)) {
        case 0:
            *at = (uint8_t)g_test_rand_int();
            break;
        case 1:
            *at ^= (uint8_t)(1 << g_test_rand_int_range(0, 8));
            break;
        case 2:
            *at = telling[g_test_rand_int_range(0, G_N_ELEMENTS(telling))];
            break;
        default:
            *at = (uint8_t)(*at + g_test_rand_int_range(-1, 2));
            break;
        }
    }
}

static void compare_frame(const uint8_t *octets, size_t len, struct counts *counts)
{
    const size_t cut_most = MIN(len, 160);
    uint8_t *mutated = g_malloc(len + 1); /* not NULL, even of nothing */

    compare_masks(octets, len, counts);
    for (size_t cut = 0; cut < cut_most; cut++) {
        compare(octets, cut, VIONET_TUNNEL_ALL, counts);
    }
    for (unsigned i = 0; i < MUTATIONS; i++) {
        const size_t mutated_len =
            i % 4 == 0 && len ? (size_t)g_test_rand_int_range(0, (gint32)len) : len;

        memcpy(mutated, octets, len);
        mutate(mutated, mutated_len);
        compare(mutated, mutated_len,
                i % 2 ? VIONET_TUNNEL_ALL : (unsigned)g_test_rand_int() & VIONET_TUNNEL_ALL,
                counts);
    }
    g_free(mutated);
}

/* A capture file of libpcap's, little-endian, as all of ours are. */
static void compare_capture(const char *path, struct counts *counts)
{
    GError *error = NULL;
    gchar *text;
    gsize size;

    g_file_get_contents(path, &text, &size, &error);
    g_assert_no_error(error);
    g_assert_cmphex(get_le32(text), ==, 0xa1b2c3d4);
    for (size_t at = 24; at < size;) {
        size_t len;

        g_assert_cmpuint(size - at, >=, 16);
        len = get_le32(text + at + 8);
        at += 16;
        g_assert_cmpuint(size - at, >=, len);
        compare_frame((const uint8_t *)text + at, len, counts);
        at += len;
    }
    g_free(text);
}

static void test_captures(void)
{
    char *folder = g_build_filename(g_getenv("VIONET_SOURCE_ROOT"), "test", "captures", NULL);
    struct counts counts = {0};
    GError *error = NULL;
    GDir *dir = g_dir_open(folder, 0, &error);
    unsigned captures = 0;
    const char *name;

    g_assert_no_error(error);
    while ((name = g_dir_read_name(dir))) {
        if (g_str_has_suffix(name, ".pcap")) {
            char *path = g_build_filename(folder, name, NULL);

            compare_capture(path, &counts);
            captures++;
            g_free(path);
        }
    }
    g_dir_close(dir);
    g_free(folder);
    g_test_message("%u captures: %u straight, %u of them inner; %u general", captures,
                   counts.straight, counts.straight_inner, counts.general);
    g_assert_cmpuint(captures, >, 20);
    /* Both passes, and tunnels, came up often enough for the comparison to mean something. */
    g_assert_cmpuint(counts.straight, >, 20000);
    g_assert_cmpuint(counts.straight_inner, >, 10000);
    g_assert_cmpuint(counts.general, >, 50000);
}

/* ---- what the straight pass is for ---- */

static size_t put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
    return 2;
}

static size_t put_ip(uint8_t *p, bool ipv6, uint8_t protocol, size_t payload)
{
    memset(p, 0, 40);
    p[0] = ipv6 ? 0x60 : 0x45;
    put16(p + (ipv6 ? 4 : 2), (unsigned)(payload + (ipv6 ? 0 : 20)));
    p[ipv6 ? 6 : 9] = protocol;
    return ipv6 ? 40 : 20;
}

static size_t put_ethernet(uint8_t *p, bool ipv6)
{
    memset(p, 2, 12);
    put16(p + 12, ipv6 ? 0x86dd : 0x0800);
    return 14;
}

enum outer { PLAIN, VXLAN, GENEVE, GENEVE_IP, GRE, NVGRE, OUTERS };

static size_t tunnel_header(uint8_t *p, enum outer outer, bool inner_ipv6)
{
    const unsigned ip = inner_ipv6 ? 0x86dd : 0x0800;

    memset(p, 0, 16);
    switch (outer) {
    case VXLAN:
        put16(p + 2, 4789);
        p[8] = 0x08;
        return 16;
    case GENEVE:
    case GENEVE_IP:
        put16(p + 2, 6081);
        put16(p + 10, outer == GENEVE ? 0x6558 : ip);
        return 16;
    case GRE:
        put16(p + 2, ip);
        return 4;
    case NVGRE:
        p[0] = 0x20;
        put16(p + 2, 0x6558);
        return 8;
    default:
        return 0;
    }
}

static size_t build(uint8_t *p, enum outer outer, bool outer_ipv6, bool inner_ipv6,
                    uint8_t protocol)
{
    const size_t transport = protocol == 6 ? 20 : 8;
    const bool ethernet = outer != GENEVE_IP && outer != GRE;
    uint8_t header[16], inner[100];
    const size_t header_len = tunnel_header(header, outer, inner_ipv6);
    size_t n = 0, inner_len = ethernet ? put_ethernet(inner, inner_ipv6) : 0;

    inner_len += put_ip(inner + inner_len, inner_ipv6, protocol, transport);
    memset(inner + inner_len, 0x77, transport);
    inner_len += transport;
    if (outer != PLAIN) {
        n = put_ethernet(p, outer_ipv6);
        n += put_ip(p + n, outer_ipv6, outer >= GRE ? 47 : 17, header_len + inner_len);
        memcpy(p + n, header, header_len);
        n += header_len;
    }
    memcpy(p + n, inner, inner_len);
    return n + inner_len;
}

static void test_common_shapes(void)
{
    for (unsigned i = 0; i < OUTERS * 8; i++) {
        const enum outer outer = i / 8;
        struct counts counts = {0};
        uint8_t frame[200];
        size_t len = build(frame, outer, i & 1, i & 2, i & 4 ? 6 : 17);

        compare(frame, len, VIONET_TUNNEL_ALL, &counts);
        g_assert_cmpuint(counts.straight, ==, 1);
        g_assert_cmpuint(counts.straight_inner, ==, outer != PLAIN);
        for (size_t cut = 0; cut < len; cut++) { /* the IP length says more than there is */
            compare(frame, cut, VIONET_TUNNEL_ALL, &counts);
        }
        g_assert_cmpuint(counts.general, ==, len);
        memset(frame + len, 0x55, 20); /* padding is not payload */
        compare(frame, len + 20, VIONET_TUNNEL_ALL, &counts);
        g_assert_cmpuint(counts.straight, ==, 2);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/straight/common-shapes-are-taken", test_common_shapes);
    g_test_add_func("/straight/captures-cut-and-mutated-like-general", test_captures);
    return g_test_run();
}
