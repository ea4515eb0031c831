/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hashing of received frames, by the library's functions alone and through the whole device:
 * Microsoft's verification suite as it stands and inside every encapsulation, the cascades of hash
 * types, keys, VLAN stacks, steering, and the shapes that broke other dissectors (H-13). What is
 * expected is published, worked out here from the rules, or comes from the reference; never from
 * the code under test. Frames are built back to front: payload first, Ethernet header last.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include <glib.h>

#include <vionet/spec.h>

#include "driver/queue.h"
#include "machine/machine.h"
#include "reference/reference.h"
#include "reference/suite.h"

#define PAIRS          4
#define ALL_HASH_TYPES 0x1ffu

/* ---- dialects ---- */

/* The dialects that know tunnels, and how the reference calls them. */
static const struct spoken {
    const char *name;
    enum reference_dialect reference;
} spoken[] = {
    {"draft-v7", REFERENCE_DRAFT_V7},
    {"draft-v10", REFERENCE_DRAFT_V10},
    {"ratified", REFERENCE_RATIFIED},
};
static const struct spoken off = {"off", REFERENCE_OFF};

static const VionetDialect *row_of(const struct spoken *dialect)
{
    return vionet_dialect_find(dialect->name);
}

/* ---- building frames ---- */

#define ROOM 70000

struct frame {
    size_t at; /* of the first octet; the last is the last of room */
    uint8_t room[ROOM];
};

static uint8_t *octets_of(struct frame *f)
{
    return f->room + f->at;
}

static size_t length_of(const struct frame *f)
{
    return ROOM - f->at;
}

static void begin(struct frame *f)
{
    f->at = ROOM;
}

static uint8_t *prepend(struct frame *f, size_t n)
{
    g_assert_cmpuint(n, <=, f->at);
    f->at -= n;
    memset(octets_of(f), 0, n);
    return octets_of(f);
}

static void store16(uint8_t *at, size_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put_payload(struct frame *f, size_t n)
{
    memset(prepend(f, n), 0xda, n);
}

static void put_tcp(struct frame *f, uint16_t sport, uint16_t dport)
{
    uint8_t *tcp = prepend(f, 20);

    store16(tcp, sport);
    store16(tcp + 2, dport);
    tcp[12] = 0x50;
}

static void put_udp(struct frame *f, uint16_t sport, uint16_t dport)
{
    uint8_t *udp = prepend(f, 8);

    store16(udp, sport);
    store16(udp + 2, dport);
    store16(udp + 4, length_of(f));
}

static void put_ipv4(struct frame *f, const uint8_t *src, const uint8_t *dst, uint8_t protocol)
{
    uint8_t *ip = prepend(f, 20);

    ip[0] = 0x45;
    store16(ip + 2, length_of(f));
    ip[8] = 64;
    ip[9] = protocol;
    memcpy(ip + 12, src, 4);
    memcpy(ip + 16, dst, 4);
}

static void put_ipv6(struct frame *f, const uint8_t *src, const uint8_t *dst, uint8_t next)
{
    const size_t payload = length_of(f);
    uint8_t *ip = prepend(f, 40);

    ip[0] = 0x60;
    store16(ip + 4, payload <= UINT16_MAX ? payload : 0);
    ip[6] = next;
    ip[7] = 64;
    memcpy(ip + 8, src, 16);
    memcpy(ip + 24, dst, 16);
}

/* An IPv6 extension header of 8 octets with padding in it. */
static void put_extension(struct frame *f, uint8_t next)
{
    uint8_t *extension = prepend(f, 8);

    extension[0] = next;
    extension[2] = 1; /* PadN of 4 */
    extension[3] = 4;
}

/* The EtherType in front of a packet, a tag in front of that, the addresses in front of all. */
static void put_type(struct frame *f, uint16_t type)
{
    store16(prepend(f, 2), type);
}

static void put_tag(struct frame *f, uint16_t tpid)
{
    uint8_t *tag = prepend(f, 4);

    store16(tag, tpid);
    store16(tag + 2, 0x0123);
}

static void put_macs(struct frame *f)
{
    static const uint8_t macs[12] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};

    memcpy(prepend(f, sizeof(macs)), macs, sizeof(macs));
}

/* The tag's TPID stands where the type was: the tag goes between addresses and type. */
static void put_ethernet(struct frame *f, uint16_t type)
{
    put_type(f, type);
    put_macs(f);
}

/* A copy in a block of exactly its length, so that a sanitizer sees what is read past it. */
static uint8_t *exact_copy(const uint8_t *octets, size_t len)
{
    uint8_t *copy = malloc(len);

    g_assert_true(copy || !len);
    if (len) {
        memcpy(copy, octets, len);
    }
    return copy;
}

/* ---- connections ---- */

enum upper { TCP = 6, UDP = 17, NEITHER = 132 };
static const enum upper uppers[] = {TCP, UDP, NEITHER};

static bool is_ipv6(const struct connection *connection)
{
    return strchr(connection->src, ':') != NULL;
}

static uint16_t ethertype_of(bool ipv6)
{
    return ipv6 ? 0x86dd : 0x0800;
}

static void put_upper(struct frame *f, const struct connection *connection, enum upper upper)
{
    put_payload(f, 24);
    if (upper == TCP) {
        put_tcp(f, connection->sport, connection->dport);
    } else if (upper == UDP) {
        put_udp(f, connection->sport, connection->dport);
    }
}

static void put_network(struct frame *f, const struct connection *connection, uint8_t next)
{
    const int family = is_ipv6(connection) ? AF_INET6 : AF_INET;
    uint8_t src[16], dst[16];

    g_assert_cmpint(inet_pton(family, connection->src, src), ==, 1);
    g_assert_cmpint(inet_pton(family, connection->dst, dst), ==, 1);
    if (is_ipv6(connection)) {
        put_ipv6(f, src, dst, next);
    } else {
        put_ipv4(f, src, dst, next);
    }
}

/* The IP packet of a connection. */
static void put_packet(struct frame *f, const struct connection *connection, enum upper upper)
{
    put_upper(f, connection, upper);
    put_network(f, connection, (uint8_t)upper);
}

static void build_plain(struct frame *f, const struct connection *connection, enum upper upper)
{
    begin(f);
    put_packet(f, connection, upper);
    put_ethernet(f, ethertype_of(is_ipv6(connection)));
}

/* ---- encapsulations ---- */

enum wrapping { GRE, GRE_IN_UDP, VXLAN, VXLAN_GPE, GENEVE, IPIP };

#define GRE_C 0x8000
#define GRE_K 0x2000
#define GRE_S 0x1000
#define GPE_P 0x04

/*
 * Every way to wrap a packet. The types are what the packet is then, by dialect (in the order of
 * spoken); also_ipv6 is what it is besides in the ratified dialect if the inner packet is IPv6.
 */
static const struct encapsulation {
    const char *name;
    enum wrapping wrapping;
    bool outer_ipv6;
    uint16_t flags;
    unsigned words; /* of GENEVE options */
    bool ethernet;  /* inside, where there is a choice */
    unsigned tags;  /* of the inner Ethernet frame */
    const char *types[3];
    const char *also_ipv6;
} encapsulations[] = {
    {"gre", GRE, .types = {"gre", "gre", "gre-2784"}, .also_ipv6 = "gre-7676"},
    {"gre-checksum", GRE, .flags = GRE_C, .types = {"gre", "gre", "gre-2784"},
     .also_ipv6 = "gre-7676"},
    {"gre-key", GRE, .flags = GRE_K, .types = {"gre", "gre", "gre-2890"}, .also_ipv6 = "gre-7676"},
    {"gre-sequence", GRE, .flags = GRE_S, .types = {"gre", "gre", "gre-2890"},
     .also_ipv6 = "gre-7676"},
    {"gre-all-words", GRE, .flags = GRE_C | GRE_K | GRE_S, .types = {"gre", "gre", "gre-2890"},
     .also_ipv6 = "gre-7676"},
    {"gre-over-ipv6", GRE, .outer_ipv6 = true, .types = {"gre", "gre", "gre-7676"}},
    {"gre-key-over-ipv6", GRE, .outer_ipv6 = true, .flags = GRE_K,
     .types = {"gre", "gre", "gre-2890 gre-7676"}},
    {"gre-of-ethernet", GRE, .ethernet = true, .types = {"gre", "gre", "gre-2784"}},
    {"gre-key-and-sequence-of-ethernet", GRE, .flags = GRE_K | GRE_S, .ethernet = true,
     .types = {"gre", "gre", "gre-2890"}},
    {"nvgre", GRE, .flags = GRE_K, .ethernet = true,
     .types = {"gre", "gre nvgre", "gre-2890 nvgre"}},
    {"nvgre-over-ipv6", GRE, .outer_ipv6 = true, .flags = GRE_K, .ethernet = true,
     .types = {"gre", "gre nvgre", "gre-2890 gre-7676 nvgre"}},
    {"gre-in-udp", GRE_IN_UDP, .types = {"", "", "gre-udp"}},
    {"gre-in-udp-checksum-and-key", GRE_IN_UDP, .flags = GRE_C | GRE_K, .ethernet = true,
     .types = {"", "", "gre-udp"}},
    {"gre-in-udp-over-ipv6", GRE_IN_UDP, .outer_ipv6 = true, .types = {"", "", "gre-udp"}},
    {"vxlan", VXLAN, .types = {"vxlan", "vxlan", "vxlan"}},
    {"vxlan-over-ipv6", VXLAN, .outer_ipv6 = true, .types = {"vxlan", "vxlan", "vxlan"}},
    {"vxlan-of-tagged", VXLAN, .tags = 2, .types = {"vxlan", "vxlan", "vxlan"}},
    {"vxlan-gpe", VXLAN_GPE, .types = {"", "", "vxlan-gpe"}},
    {"vxlan-gpe-of-ip", VXLAN_GPE, .flags = GPE_P, .types = {"", "", "vxlan-gpe"}},
    {"vxlan-gpe-of-ethernet-over-ipv6", VXLAN_GPE, .outer_ipv6 = true, .flags = GPE_P,
     .ethernet = true, .types = {"", "", "vxlan-gpe"}},
    {"geneve", GENEVE, .ethernet = true, .types = {"geneve", "geneve", "geneve"}},
    {"geneve-of-ip", GENEVE, .words = 5, .types = {"geneve", "geneve", "geneve"}},
    {"geneve-over-ipv6", GENEVE, .outer_ipv6 = true, .words = 63, .ethernet = true, .tags = 1,
     .types = {"geneve", "geneve", "geneve"}},
    {"ipip", IPIP, .types = {"", "ipip", "ipip"}},
};

/* Ends of the tunnel: connections 1 and 6 of the suite. */
static const struct connection *tunnel_ends(const struct encapsulation *e)
{
    return &suite[e->outer_ipv6 ? 6 : 1];
}

static void put_gre(struct frame *f, uint16_t flags, uint16_t protocol)
{
    unsigned words = !!(flags & GRE_C) + !!(flags & GRE_K) + !!(flags & GRE_S);
    uint8_t *gre;

    memset(prepend(f, 4 * words), 0x4d, 4 * words);
    gre = prepend(f, 4);
    store16(gre, flags);
    store16(gre + 2, protocol);
}

static void put_geneve(struct frame *f, unsigned words, uint16_t protocol)
{
    uint8_t *geneve;

    memset(prepend(f, 4 * words), 0x4d, 4 * words);
    geneve = prepend(f, 8);
    geneve[0] = (uint8_t)words;
    store16(geneve + 2, protocol);
}

/* VXLAN and, with a next protocol, VXLAN-GPE. */
static void put_vxlan(struct frame *f, uint8_t flags, uint8_t next)
{
    uint8_t *vxlan = prepend(f, 8);

    vxlan[0] = 0x08 | flags;
    vxlan[3] = next;
    vxlan[6] = 42;
}

static void put_inner_ethernet(struct frame *f, bool ipv6, unsigned tags)
{
    put_type(f, ethertype_of(ipv6));
    for (; tags; tags--) {
        put_tag(f, tags == 1 ? 0x88a8 : 0x8100);
    }
    put_macs(f);
}

/* The header that is the tunnel's own, with an inner Ethernet header where one belongs. */
static void put_tunnel(struct frame *f, const struct encapsulation *e, bool ipv6)
{
    const bool ethernet =
        e->ethernet || e->wrapping == VXLAN || (e->wrapping == VXLAN_GPE && !(e->flags & GPE_P));
    const uint16_t type = ethernet ? 0x6558 : ethertype_of(ipv6);
    const uint8_t next = ethernet ? 3 : ipv6 ? 2 : 1;

    if (ethernet) {
        put_inner_ethernet(f, ipv6, e->tags);
    }
    switch (e->wrapping) {
    case GRE:
    case GRE_IN_UDP:
        put_gre(f, e->flags, type);
        break;
    case VXLAN:
        put_vxlan(f, 0, 0);
        break;
    case VXLAN_GPE:
        put_vxlan(f, (uint8_t)e->flags, e->flags & GPE_P ? next : 0);
        break;
    case GENEVE:
        put_geneve(f, e->words, type);
        break;
    case IPIP:
        break;
    }
}

/* Wraps the IP packet that is there into an outer IP packet. */
static void put_outer(struct frame *f, const struct encapsulation *e, bool ipv6)
{
    static const uint16_t ports[] = {
        [GRE_IN_UDP] = 4754, [VXLAN] = 4789, [VXLAN_GPE] = 4790, [GENEVE] = 6081};
    uint8_t protocol = 17;

    put_tunnel(f, e, ipv6);
    if (e->wrapping == GRE || e->wrapping == IPIP) {
        protocol = e->wrapping == GRE ? 47 : 4;
    } else {
        put_udp(f, 0xc001, ports[e->wrapping]);
    }
    put_network(f, tunnel_ends(e), protocol);
}

static void build_wrapped(struct frame *f, const struct encapsulation *e,
                          const struct connection *connection, enum upper upper)
{
    begin(f);
    put_packet(f, connection, upper);
    put_outer(f, e, is_ipv6(connection));
    put_ethernet(f, ethertype_of(e->outer_ipv6));
}

/* IPIP is IPv4 in IPv4. */
static bool can_carry(const struct encapsulation *e, const struct connection *connection)
{
    return e->wrapping != IPIP || !is_ipv6(connection);
}

static bool names(const char *list, const char *word)
{
    char **words = g_strsplit(list ? list : "", " ", -1);
    const bool found = g_strv_contains((const char *const *)words, word);

    g_strfreev(words);
    return found;
}

/* Whether a wrapped packet of that IP version is of a type. */
static bool is_of_type(const struct encapsulation *e, size_t dialect, const char *type, bool ipv6)
{
    return names(e->types[dialect], type) || (dialect == 2 && ipv6 && names(e->also_ipv6, type));
}

static uint32_t types_of(const struct encapsulation *e, size_t dialect, bool ipv6)
{
    uint32_t types = 0;

    for (const VionetTunnelType *t = row_of(&spoken[dialect])->types; t->name; t++) {
        types |= is_of_type(e, dialect, t->name, ipv6) ? t->bit : 0;
    }
    return types;
}

/* ---- results ---- */

struct result {
    unsigned report;
    uint32_t hash;
    unsigned tunnel;
};

static const struct result nothing = {0, 0, 0};

static void assert_result(const struct result *found, const struct result *expected)
{
    g_assert_cmpuint(found->report, ==, expected->report);
    g_assert_cmphex(found->hash, ==, expected->hash);
    g_assert_cmpuint(found->tunnel, ==, expected->tunnel);
}

/* What the suite says of a connection, in whatever it is wrapped. */
static struct result published(const struct connection *connection, enum upper upper)
{
    const unsigned base =
        is_ipv6(connection) ? VIRTIO_NET_HASH_REPORT_IPv6 : VIRTIO_NET_HASH_REPORT_IPv4;

    if (upper == NEITHER) {
        return (struct result){base, connection->by_addresses, 0};
    }
    return (struct result){base + (upper == TCP ? 1 : 2), connection->with_ports, 0};
}

static struct result by_library(const struct spoken *dialect, uint32_t hash_types,
                                uint32_t tunnel_types, const VionetHashKey *key,
                                const uint8_t *octets, size_t len)
{
    const VionetDialect *row = row_of(dialect);
    struct result result;
    VionetFlow flow;

    vionet_dissect(octets, len, vionet_dialect_tunnels(row, tunnel_types), &flow);
    result.report = vionet_flow_report(&flow, hash_types);
    result.hash = vionet_hash_flow(key, &flow, result.report);
    result.tunnel = result.report ? vionet_dialect_report(row, flow.tunnels) : 0;
    return result;
}

static struct result by_reference(const struct spoken *dialect, uint32_t hash_types,
                                  uint32_t tunnel_types, const uint8_t *octets, size_t len)
{
    struct reference_result result;

    /* Draft 7 has the tunnel types among the hash types; the others do not look there. */
    reference_hash(octets, len, dialect->reference, hash_types | (tunnel_types & 0xe00),
                   tunnel_types, suite_key, sizeof(suite_key), &result);
    return (struct result){result.report, result.hash, result.tunnel};
}

static VionetHashKey *new_suite_key(void)
{
    return vionet_hash_key_new(suite_key, sizeof(suite_key));
}

/* Library and reference say the same of octets, which are given to the library in an exact block. */
static void assert_like_reference(const struct spoken *dialect, uint32_t hash_types,
                                  uint32_t tunnel_types, const VionetHashKey *key,
                                  const uint8_t *octets, size_t len)
{
    uint8_t *exact = exact_copy(octets, len);
    struct result found = by_library(dialect, hash_types, tunnel_types, key, exact, len);
    struct result expected = by_reference(dialect, hash_types, tunnel_types, exact, len);

    assert_result(&found, &expected);
    free(exact);
}

static void assert_all_like_reference(struct frame *f, const VionetHashKey *key)
{
    for (size_t d = 0; d < G_N_ELEMENTS(spoken); d++) {
        assert_like_reference(&spoken[d], ALL_HASH_TYPES, row_of(&spoken[d])->all_types, key,
                              octets_of(f), length_of(f));
    }
    assert_like_reference(&off, ALL_HASH_TYPES, 0, key, octets_of(f), length_of(f));
}

/* ---- the suite, by the library ---- */

/* Every dialect with all of its types finds the same. */
static void assert_in_all(struct frame *f, const VionetHashKey *key, const struct result *expected)
{
    for (size_t d = 0; d < G_N_ELEMENTS(spoken); d++) {
        const struct result found =
            by_library(&spoken[d], ALL_HASH_TYPES, row_of(&spoken[d])->all_types, key, octets_of(f),
                       length_of(f));

        assert_result(&found, expected);
    }
}

static void test_suite_toeplitz(void)
{
    VionetHashKey *key = new_suite_key();

    for (size_t i = 0; i < G_N_ELEMENTS(suite); i++) {
        const struct connection *c = &suite[i];
        const size_t n = is_ipv6(c) ? 16 : 4;
        uint8_t input[36];

        inet_pton(n == 4 ? AF_INET : AF_INET6, c->src, input);
        inet_pton(n == 4 ? AF_INET : AF_INET6, c->dst, input + n);
        store16(input + 2 * n, c->sport);
        store16(input + 2 * n + 2, c->dport);
        g_assert_cmphex(vionet_toeplitz(key, input, 2 * n), ==, c->by_addresses);
        g_assert_cmphex(vionet_toeplitz(key, input, 2 * n + 4), ==, c->with_ports);
    }
    vionet_hash_key_free(key);
}

static void test_suite_plain(void)
{
    VionetHashKey *key = new_suite_key();
    struct frame *f = g_new(struct frame, 1);

    for (size_t i = 0; i < G_N_ELEMENTS(suite); i++) {
        for (size_t u = 0; u < G_N_ELEMENTS(uppers); u++) {
            struct result expected = published(&suite[i], uppers[u]);

            build_plain(f, &suite[i], uppers[u]);
            assert_in_all(f, key, &expected);
        }
    }
    g_free(f);
    vionet_hash_key_free(key);
}

/* The number that draft 7 reports for a packet of these types (0 in the other dialects). */
static unsigned reported_tunnel(size_t dialect, uint32_t types)
{
    if (dialect != 0) {
        return 0;
    }
    return types & VIRTIO_NET_HASH_TYPE_GRE_INNER      ? VIRTIO_NET_HASH_REPORT_GRE
           : types & VIRTIO_NET_HASH_TYPE_VXLAN_INNER  ? VIRTIO_NET_HASH_REPORT_VXLAN
           : types & VIRTIO_NET_HASH_TYPE_GENEVE_INNER ? VIRTIO_NET_HASH_REPORT_GENEVE
                                                       : 0;
}

/* One wrapped connection with each type enabled alone, with all of them, and with none. */
static void check_wrapped(struct frame *f, const VionetHashKey *key, size_t d,
                          const struct encapsulation *e, const struct connection *c,
                          enum upper upper)
{
    const struct spoken *dialect = &spoken[d];
    const uint32_t types = types_of(e, d, is_ipv6(c));
    struct result inner = published(c, upper);
    struct result outer, found;

    build_wrapped(f, e, c, upper);
    outer = by_reference(&off, ALL_HASH_TYPES, 0, octets_of(f), length_of(f));
    inner.tunnel = reported_tunnel(d, types);
    found = by_library(dialect, ALL_HASH_TYPES, 0, key, octets_of(f), length_of(f));
    assert_result(&found, &outer);
    found = by_library(dialect, ALL_HASH_TYPES, row_of(dialect)->all_types, key, octets_of(f),
                       length_of(f));
    assert_result(&found, types ? &inner : &outer);
    for (const VionetTunnelType *t = row_of(dialect)->types; t->name; t++) {
        found = by_library(dialect, ALL_HASH_TYPES, t->bit, key, octets_of(f), length_of(f));
        assert_result(&found, t->bit & types ? &inner : &outer);
    }
}

static void test_suite_wrapped(const void *data)
{
    const struct encapsulation *e = data;
    VionetHashKey *key = new_suite_key();
    struct frame *f = g_new(struct frame, 1);

    for (size_t d = 0; d < G_N_ELEMENTS(spoken); d++) {
        for (size_t i = 0; i < G_N_ELEMENTS(suite); i++) {
            for (size_t u = 0; can_carry(e, &suite[i]) && u < G_N_ELEMENTS(uppers); u++) {
                check_wrapped(f, key, d, e, &suite[i], uppers[u]);
            }
        }
    }
    g_free(f);
    vionet_hash_key_free(key);
}

/* IPv4 in IPv6, IPv6 in IPv4 and IPv6 in IPv6 are no type of any dialect. */
static void test_other_ip_in_ip(void)
{
    VionetHashKey *key = new_suite_key();
    struct frame *f = g_new(struct frame, 1);

    for (unsigned i = 1; i < 4; i++) {
        const struct connection *inner = &suite[i & 1 ? 5 : 0];
        const struct connection *outer = &suite[i & 2 ? 6 : 1];
        const struct result expected = {is_ipv6(outer) ? VIRTIO_NET_HASH_REPORT_IPv6
                                                       : VIRTIO_NET_HASH_REPORT_IPv4,
                                        outer->by_addresses, 0};

        begin(f);
        put_packet(f, inner, TCP);
        put_network(f, outer, is_ipv6(inner) ? 41 : 4);
        put_ethernet(f, ethertype_of(is_ipv6(outer)));
        assert_in_all(f, key, &expected);
    }
    g_free(f);
    vionet_hash_key_free(key);
}

/* ---- cascades ---- */

/* The kinds of packet that the specification's cascades tell apart. */
struct kind {
    unsigned base; /* report of the addresses alone */
    enum upper upper;
    bool extension; /* IPv6 with an extension header */
};

/* 5.1.6.4.3.1 to 5.1.6.4.3.4, as they read: the first that is enabled and has its header. */
static unsigned cascade(const struct kind *kind, uint32_t types)
{
    static const struct {
        unsigned report;
        bool extension;
        enum upper upper;
    } v4[] = {{VIRTIO_NET_HASH_REPORT_TCPv4, false, TCP},
              {VIRTIO_NET_HASH_REPORT_UDPv4, false, UDP},
              {VIRTIO_NET_HASH_REPORT_IPv4, false, NEITHER}},
      v6[] = {{VIRTIO_NET_HASH_REPORT_TCPv6_EX, true, TCP},
              {VIRTIO_NET_HASH_REPORT_UDPv6_EX, true, UDP},
              {VIRTIO_NET_HASH_REPORT_IPv6_EX, true, NEITHER},
              {VIRTIO_NET_HASH_REPORT_TCPv6, false, TCP},
              {VIRTIO_NET_HASH_REPORT_UDPv6, false, UDP},
              {VIRTIO_NET_HASH_REPORT_IPv6, false, NEITHER}};
    const bool ipv4 = kind->base == VIRTIO_NET_HASH_REPORT_IPv4;

    for (size_t i = 0; i < (ipv4 ? G_N_ELEMENTS(v4) : G_N_ELEMENTS(v6)); i++) {
        const unsigned report = ipv4 ? v4[i].report : v6[i].report;
        const bool extension = ipv4 ? v4[i].extension : v6[i].extension;
        const enum upper upper = ipv4 ? v4[i].upper : v6[i].upper;

        if ((types & 1u << (report - 1)) && (!extension || kind->extension) &&
            (upper == NEITHER || upper == kind->upper)) {
            return report;
        }
    }
    return VIRTIO_NET_HASH_REPORT_NONE;
}

/* The packet of a kind with the addresses of the suite, wrapped or not. */
static void build_kind(struct frame *f, const struct kind *kind, const struct encapsulation *e)
{
    const bool ipv6 = kind->base != VIRTIO_NET_HASH_REPORT_IPv4;
    const struct connection *c = &suite[ipv6 ? 7 : 2];

    begin(f);
    put_upper(f, c, kind->upper);
    if (kind->extension) {
        put_extension(f, (uint8_t)kind->upper);
        put_network(f, c, 60);
    } else {
        put_network(f, c, (uint8_t)kind->upper);
    }
    if (e) {
        put_outer(f, e, ipv6);
    }
    put_ethernet(f, ethertype_of(e ? e->outer_ipv6 : ipv6));
}

/* All 512 sets of hash types. The addresses of the *_EX types are those of the fixed header here. */
static void check_cascade(struct frame *f, const struct kind *kind, const struct encapsulation *e,
                          const struct spoken *dialect, const VionetHashKey *key)
{
    const struct connection *c = &suite[kind->base == VIRTIO_NET_HASH_REPORT_IPv4 ? 2 : 7];
    const uint32_t all_tunnels = row_of(dialect)->all_types;

    build_kind(f, kind, e);
    for (uint32_t types = 0; types <= ALL_HASH_TYPES; types++) {
        const unsigned report = cascade(kind, types);
        struct result found =
            by_library(dialect, types, all_tunnels, key, octets_of(f), length_of(f));
        const bool ports = report && (report - 1) % 3 != 0;

        g_assert_cmpuint(found.report, ==, report);
        g_assert_cmphex(found.hash, ==, !report ? 0 : ports ? c->with_ports : c->by_addresses);
        if (!report) {
            g_assert_cmpuint(found.tunnel, ==, 0);
        }
    }
}

struct cascade_test {
    unsigned base;
    bool extension;
    const struct spoken *dialect;
    const char *inside; /* encapsulation; NULL: none */
};

static const struct encapsulation *encapsulation_named(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(encapsulations); i++) {
        if (strcmp(encapsulations[i].name, name) == 0) {
            return &encapsulations[i];
        }
    }
    g_assert_not_reached();
}

static void test_cascade(const void *data)
{
    const struct cascade_test *test = data;
    const struct encapsulation *e = test->inside ? encapsulation_named(test->inside) : NULL;
    VionetHashKey *key = new_suite_key();
    struct frame *f = g_new(struct frame, 1);

    for (size_t u = 0; u < G_N_ELEMENTS(uppers); u++) {
        const struct kind kind = {test->base, uppers[u], test->extension};

        check_cascade(f, &kind, e, test->dialect, key);
    }
    g_free(f);
    vionet_hash_key_free(key);
}

static void add_cascades(void)
{
    static const struct {
        const char *name;
        unsigned base;
        bool extension;
    } packets[] = {
        {"ipv4", VIRTIO_NET_HASH_REPORT_IPv4, false},
        {"ipv6", VIRTIO_NET_HASH_REPORT_IPv6, false},
        {"ipv6-with-extension-header", VIRTIO_NET_HASH_REPORT_IPv6, true},
    };
    static const char *const inside[] = {"gre", "vxlan", "geneve-of-ip"};

    for (size_t p = 0; p < G_N_ELEMENTS(packets); p++) {
        const struct cascade_test plain = {packets[p].base, packets[p].extension, &off, NULL};
        char *path = g_strdup_printf("/hash/cascade/plain/%s", packets[p].name);

        g_test_add_data_func_full(path, g_memdup2(&plain, sizeof(plain)), test_cascade, g_free);
        g_free(path);
        for (size_t d = 0; d < G_N_ELEMENTS(spoken); d++) {
            for (size_t i = 0; i < G_N_ELEMENTS(inside); i++) {
                const struct cascade_test test = {packets[p].base, packets[p].extension, &spoken[d],
                                                  inside[i]};

                path = g_strdup_printf("/hash/cascade/%s/inside-%s/%s", spoken[d].name, inside[i],
                                       packets[p].name);
                g_test_add_data_func_full(path, g_memdup2(&test, sizeof(test)), test_cascade,
                                          g_free);
                g_free(path);
            }
        }
    }
}

/* A home address option and a type 2 routing header, which only the *_EX types look at. */
static void put_mobile(struct frame *f, const uint8_t home[16], const uint8_t routed[16])
{
    const struct connection *c = &suite[5];
    uint8_t *header;

    put_upper(f, c, UDP);
    header = prepend(f, 24); /* routing, type 2, one segment left */
    header[0] = UDP;
    header[1] = 2;
    header[2] = 2;
    header[3] = 1;
    memcpy(header + 8, routed, 16);
    header = prepend(f, 24); /* destination options: PadN, then the home address */
    header[0] = 43;
    header[1] = 2;
    header[2] = 1;
    header[3] = 2;
    header[6] = 0xc9;
    header[7] = 16;
    memcpy(header + 8, home, 16);
    put_network(f, c, 60);
}

/* The addresses of another connection of the suite, as home and routing address. */
static void check_mobile(const struct spoken *dialect, const struct encapsulation *e)
{
    const struct connection *other = &suite[6];
    VionetHashKey *key = new_suite_key();
    struct frame *f = g_new(struct frame, 1);
    uint8_t home[16], routed[16];
    struct result found;

    inet_pton(AF_INET6, other->src, home);
    inet_pton(AF_INET6, other->dst, routed);
    begin(f);
    put_mobile(f, home, routed);
    if (e) {
        put_outer(f, e, true);
    }
    put_ethernet(f, ethertype_of(!e || e->outer_ipv6));
    found = by_library(dialect, VIRTIO_NET_HASH_TYPE_IP_EX, row_of(dialect)->all_types, key,
                       octets_of(f), length_of(f));
    g_assert_cmpuint(found.report, ==, VIRTIO_NET_HASH_REPORT_IPv6_EX);
    g_assert_cmphex(found.hash, ==, other->by_addresses);
    found = by_library(dialect, VIRTIO_NET_HASH_TYPE_IPv6 | VIRTIO_NET_HASH_TYPE_UDPv6,
                       row_of(dialect)->all_types, key, octets_of(f), length_of(f));
    g_assert_cmpuint(found.report, ==, VIRTIO_NET_HASH_REPORT_UDPv6);
    g_assert_cmphex(found.hash, ==, suite[5].with_ports);
    assert_all_like_reference(f, key);
    g_free(f);
    vionet_hash_key_free(key);
}

static void test_mobile_addresses(void)
{
    check_mobile(&off, NULL);
    for (size_t d = 0; d < G_N_ELEMENTS(spoken); d++) {
        check_mobile(&spoken[d], encapsulation_named("vxlan"));
        check_mobile(&spoken[d], encapsulation_named("gre-over-ipv6"));
    }
}

/* Types enabled one by one, on every kind of packet in every wrapping. */
static void test_types_one_by_one(void)
{
    VionetHashKey *key = new_suite_key();
    struct frame *f = g_new(struct frame, 1);

    for (size_t i = 0; i < G_N_ELEMENTS(encapsulations); i++) {
        for (size_t c = 0; c < G_N_ELEMENTS(suite); c += 5) {
            build_wrapped(f, &encapsulations[i], &suite[c], TCP);
            for (unsigned bit = 0; bit < 9; bit++) {
                for (size_t d = 0; d < G_N_ELEMENTS(spoken); d++) {
                    assert_like_reference(&spoken[d], 1u << bit, row_of(&spoken[d])->all_types, key,
                                          octets_of(f), length_of(f));
                    assert_like_reference(&spoken[d], 1u << bit, 0, key, octets_of(f),
                                          length_of(f));
                }
            }
        }
    }
    g_free(f);
    vionet_hash_key_free(key);
}

/* "Any len": a frame of none needs no memory either. */
static void test_no_octets_at_all(void)
{
    VionetFlow flow;

    vionet_dissect(NULL, 0, VIONET_TUNNEL_ALL, &flow);
    g_assert_cmpuint(flow.addr_len, ==, 0);
    g_assert_true(flow.short_of_octets);
    g_assert_cmpuint(vionet_flow_report(&flow, ALL_HASH_TYPES), ==, VIRTIO_NET_HASH_REPORT_NONE);
}

static void test_report_names(void)
{
    static const char *const names[] = {"NONE",  "IPv4",  "TCPv4",   "UDPv4",    "IPv6",
                                        "TCPv6", "UDPv6", "IPv6_EX", "TCPv6_EX", "UDPv6_EX"};

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        g_assert_cmpstr(vionet_report_name(i), ==, names[i]);
    }
    g_assert_cmpstr(vionet_report_name(10), ==, "NONE");
    g_assert_cmpstr(vionet_report_name(UINT_MAX), ==, "NONE");
}

/* ---- keys ---- */

static void fill_random(GRand *random, uint8_t *octets, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        octets[i] = (uint8_t)g_rand_int(random);
    }
}

/* The same numbers in each run, but for a slow one. */
static GRand *new_random(void)
{
    const guint32 seed = g_test_slow() ? g_test_rand_int_range(0, G_MAXINT32) : 1;

    g_test_message("seed %u", seed);
    return g_rand_new_with_seed(seed);
}

/* Every key length in an exact block, on inputs of every length in exact blocks. */
static void test_every_key_length(void)
{
    GRand *random = new_random();
    uint8_t input[VIONET_HASH_INPUT_MAX];
    uint8_t whole[255];

    fill_random(random, whole, sizeof(whole));
    for (size_t key_len = 0; key_len <= sizeof(whole); key_len++) {
        uint8_t *exact = exact_copy(whole, key_len);
        VionetHashKey *key = vionet_hash_key_new(exact, key_len);

        free(exact);
        for (size_t n = key_len % 4; n <= sizeof(input); n += key_len < 48 ? 1 : 12) {
            uint8_t *block;

            fill_random(random, input, n);
            block = exact_copy(input, n);
            g_assert_cmphex(vionet_toeplitz(key, block, n), ==,
                            reference_toeplitz(whole, key_len, input, n));
            free(block);
        }
        vionet_hash_key_free(key);
    }
    g_rand_free(random);
}

static void test_short_keys_count_as_zero_extended(void)
{
    GRand *random = new_random();
    uint8_t input[VIONET_HASH_INPUT_MAX];
    uint8_t padded[VIONET_HASH_KEY_USED] = {0};

    for (size_t key_len = 0; key_len < sizeof(padded); key_len++) {
        uint8_t *exact = exact_copy(padded, key_len);
        VionetHashKey *shortened = vionet_hash_key_new(exact, key_len);
        VionetHashKey *extended = vionet_hash_key_new(padded, sizeof(padded));

        fill_random(random, input, sizeof(input));
        g_assert_cmphex(vionet_toeplitz(shortened, input, sizeof(input)), ==,
                        vionet_toeplitz(extended, input, sizeof(input)));
        vionet_hash_key_free(shortened);
        vionet_hash_key_free(extended);
        free(exact);
        padded[key_len] = (uint8_t)(g_rand_int(random) | 1);
    }
    g_rand_free(random);
}

/* Octets past the 40th have no influence, and octets of input past the 36th are not looked at. */
static void test_what_has_no_influence(void)
{
    GRand *random = new_random();
    uint8_t long_key[255];
    uint8_t *input = g_malloc(VIONET_HASH_INPUT_MAX);
    VionetHashKey *key, *other;

    fill_random(random, long_key, sizeof(long_key));
    fill_random(random, input, VIONET_HASH_INPUT_MAX);
    key = vionet_hash_key_new(long_key, sizeof(long_key));
    other = vionet_hash_key_new(long_key, VIONET_HASH_KEY_USED);
    g_assert_cmphex(vionet_toeplitz(key, input, VIONET_HASH_INPUT_MAX), ==,
                    vionet_toeplitz(other, input, VIONET_HASH_INPUT_MAX));
    g_assert_cmphex(vionet_toeplitz(key, input, 1000), ==,
                    vionet_toeplitz(key, input, VIONET_HASH_INPUT_MAX));
    g_assert_cmphex(vionet_toeplitz(key, input, 0), ==, 0);
    vionet_hash_key_free(key);
    vionet_hash_key_free(other);
    vionet_hash_key_free(NULL);
    g_free(input);
    g_rand_free(random);
}

/* A frame whose input is 36 octets, in exact blocks, with keys that do and do not reach its end. */
static void test_window_past_the_key(void)
{
    struct frame *f = g_new(struct frame, 1);
    uint8_t *exact;
    size_t len;

    build_plain(f, &suite[5], UDP);
    len = length_of(f);
    exact = exact_copy(octets_of(f), len);
    for (size_t key_len = 1; key_len <= 44; key_len++) {
        uint8_t *octets = g_malloc(key_len);
        VionetHashKey *key;
        struct result found;
        struct reference_result expected;

        memset(octets, 0xff, key_len);
        key = vionet_hash_key_new(octets, key_len);
        found = by_library(&off, ALL_HASH_TYPES, 0, key, exact, len);
        reference_hash(exact, len, REFERENCE_OFF, ALL_HASH_TYPES, 0, octets, key_len, &expected);
        g_assert_cmpuint(expected.input_len, ==, VIONET_HASH_INPUT_MAX);
        g_assert_cmphex(found.hash, ==, expected.hash);
        vionet_hash_key_free(key);
        g_free(octets);
    }
    free(exact);
    g_free(f);
}

/* ---- VLAN stacks ---- */

static void build_tagged(struct frame *f, unsigned n_tags, unsigned tpids)
{
    begin(f);
    put_packet(f, &suite[0], TCP);
    put_type(f, 0x0800);
    for (unsigned i = n_tags; i > 0; i--) {
        put_tag(f, tpids >> (i - 1) & 1 ? 0x88a8 : 0x8100);
    }
    put_macs(f);
}

static void test_vlan_stacks(void)
{
    VionetHashKey *key = new_suite_key();
    struct frame *f = g_new(struct frame, 1);
    const struct result expected = published(&suite[0], TCP);

    for (unsigned n_tags = 0; n_tags <= 8; n_tags++) {
        for (unsigned tpids = 0; tpids < 1u << n_tags; tpids++) {
            struct result found;

            build_tagged(f, n_tags, tpids);
            found = by_library(&off, ALL_HASH_TYPES, 0, key, octets_of(f), length_of(f));
            assert_result(&found, n_tags <= 2 ? &expected : &nothing);
        }
    }
    g_free(f);
    vionet_hash_key_free(key);
}

/* A frame that ends in one of its tags, or right behind it, is no IP packet. */
static void test_vlan_stacks_cut(void)
{
    VionetHashKey *key = new_suite_key();
    struct frame *f = g_new(struct frame, 1);

    for (unsigned n_tags = 1; n_tags <= 8; n_tags++) {
        build_tagged(f, n_tags, 0xaa);
        for (size_t len = 0; len < 14 + 4 * n_tags + 20; len++) {
            uint8_t *exact = exact_copy(octets_of(f), len);
            struct result found = by_library(&off, ALL_HASH_TYPES, 0, key, exact, len);

            assert_result(&found, &nothing);
            free(exact);
        }
    }
    g_free(f);
    vionet_hash_key_free(key);
}

/* ---- hostile shapes ---- */

/* Cut at every octet up to a limit, in an exact block, in every dialect. */
static void cut_everywhere(struct frame *f, const VionetHashKey *key, size_t limit)
{
    for (size_t len = 0; len <= MIN(limit, length_of(f)); len++) {
        const struct spoken *dialect = &spoken[len % G_N_ELEMENTS(spoken)];

        assert_like_reference(dialect, ALL_HASH_TYPES, row_of(dialect)->all_types, key,
                              octets_of(f), len);
    }
}

static void test_geneve_lengths(void)
{
    const struct encapsulation e = {"", GENEVE, .ethernet = true};
    VionetHashKey *key = new_suite_key();
    struct frame *f = g_new(struct frame, 1);

    for (unsigned words = 0; words < 64; words++) {
        struct encapsulation with = e;

        with.words = words;
        build_wrapped(f, &with, &suite[0], TCP);
        assert_all_like_reference(f, key);
        if (words % 8 == 0 || g_test_slow()) {
            cut_everywhere(f, key, 400);
        }
        /* The same octets, but the length field says something else. */
        for (unsigned lie = 0; lie < 256; lie += 7) {
            octets_of(f)[14 + 20 + 8] = (uint8_t)lie;
            assert_all_like_reference(f, key);
        }
    }
    g_free(f);
    vionet_hash_key_free(key);
}

/* Every first octet and version of a GRE header; no routing list is walked, whatever its length. */
static void test_gre_flags(void)
{
    VionetHashKey *key = new_suite_key();
    struct frame *f = g_new(struct frame, 1);

    for (unsigned flags = 0; flags < 0x10000; flags += (flags & 7) == 7 ? 0x79 : 1) {
        begin(f);
        put_packet(f, &suite[0], TCP);
        put_payload(f, 12);
        octets_of(f)[3] = flags & 1 ? 255 : 0; /* where a source route entry has its length */
        put_gre(f, 0, 0x0800);
        store16(octets_of(f), flags);
        put_network(f, &suite[1], 47);
        put_ethernet(f, 0x0800);
        assert_all_like_reference(f, key);
    }
    g_free(f);
    vionet_hash_key_free(key);
}

static void test_gpe_next_protocols(void)
{
    VionetHashKey *key = new_suite_key();
    struct frame *f = g_new(struct frame, 1);

    for (unsigned next = 0; next < 256; next++) {
        for (unsigned flags = 0; flags < 256; flags += next < 6 ? 1 : 51) {
            begin(f);
            put_packet(f, &suite[0], UDP);
            put_vxlan(f, 0, (uint8_t)next);
            octets_of(f)[0] = (uint8_t)flags;
            put_udp(f, 1, 4790);
            put_network(f, &suite[1], 17);
            put_ethernet(f, 0x0800);
            assert_all_like_reference(f, key);
        }
    }
    g_free(f);
    vionet_hash_key_free(key);
}

/* Forty IPv4 headers: the second one counts, as the plain packet that it is. */
static void test_deep_nesting(void)
{
    const struct spoken *ratified = &spoken[2];
    VionetHashKey *key = new_suite_key();
    struct frame *f = g_new(struct frame, 1);
    struct result found;
    const struct result second = {VIRTIO_NET_HASH_REPORT_IPv4, suite[3].by_addresses, 0};

    begin(f);
    put_packet(f, &suite[0], TCP);
    for (unsigned i = 0; i < 38; i++) {
        put_network(f, &suite[2], 4);
    }
    put_network(f, &suite[3], 4);
    put_network(f, &suite[4], 4);
    put_ethernet(f, 0x0800);
    found = by_library(ratified, ALL_HASH_TYPES, 0x1ff, key, octets_of(f), length_of(f));
    assert_result(&found, &second);
    assert_all_like_reference(f, key);
    g_free(f);
    vionet_hash_key_free(key);
}

/* VXLAN in VXLAN: one level is opened, and what is in it is a UDP packet. */
static void test_tunnel_in_tunnel(void)
{
    VionetHashKey *key = new_suite_key();
    struct frame *f = g_new(struct frame, 1);

    for (size_t i = 0; i < G_N_ELEMENTS(encapsulations); i++) {
        for (size_t j = 0; j < G_N_ELEMENTS(encapsulations); j++) {
            const struct encapsulation *in = &encapsulations[i];
            const struct encapsulation *out = &encapsulations[j];

            begin(f);
            put_packet(f, &suite[0], UDP);
            put_outer(f, in, false);
            if (out->wrapping == IPIP && in->outer_ipv6) {
                continue;
            }
            put_outer(f, out, in->outer_ipv6);
            put_ethernet(f, ethertype_of(out->outer_ipv6));
            assert_all_like_reference(f, key);
        }
    }
    g_free(f);
    vionet_hash_key_free(key);
}

/* 200 extension headers inside IPv4 (GRE), and as many as fit into the largest frame there is. */
static void test_extension_chains(void)
{
    static const unsigned counts[] = {1, 200, 8000};
    VionetHashKey *key = new_suite_key();
    struct frame *f = g_new(struct frame, 1);

    for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
        begin(f);
        put_upper(f, &suite[5], TCP);
        for (unsigned n = 0; n < counts[i]; n++) {
            put_extension(f, n == 0 ? TCP : 60);
        }
        put_network(f, &suite[5], 60);
        put_gre(f, 0, 0x86dd);
        put_network(f, &suite[1], 47);
        put_ethernet(f, 0x0800);
        assert_all_like_reference(f, key);
        if (counts[i] == 200) {
            cut_everywhere(f, key, 400);
        }
    }
    g_free(f);
    vionet_hash_key_free(key);
}

/* A fragment inside and outside: first, middle, last, atomic; by hash of the addresses. */
static void test_fragments(void)
{
    static const uint16_t offsets[] = {0x2000, 0x2001, 0x0001, 0x1fff, 0x4000, 0x8000};
    VionetHashKey *key = new_suite_key();
    struct frame *f = g_new(struct frame, 1);

    for (size_t i = 0; i < G_N_ELEMENTS(offsets); i++) {
        begin(f);
        put_packet(f, &suite[0], TCP);
        store16(octets_of(f) + 6, offsets[i]);
        put_outer(f, encapsulation_named("vxlan"), false);
        put_ethernet(f, 0x0800);
        assert_all_like_reference(f, key);
        build_wrapped(f, encapsulation_named("vxlan"), &suite[0], TCP);
        store16(octets_of(f) + 14 + 6, offsets[i]);
        assert_all_like_reference(f, key);
    }
    for (unsigned bits = 0; bits < 16; bits++) { /* of the IPv6 fragment header */
        begin(f);
        put_upper(f, &suite[5], UDP);
        put_extension(f, UDP);
        store16(octets_of(f) + 2, bits);
        put_network(f, &suite[5], 44);
        put_outer(f, encapsulation_named("geneve-over-ipv6"), true);
        put_ethernet(f, 0x86dd);
        assert_all_like_reference(f, key);
    }
    g_free(f);
    vionet_hash_key_free(key);
}

/* IP lengths that say less, more, or nothing (0, as jumbograms and segments have it). */
static void test_lying_ip_lengths(void)
{
    VionetHashKey *key = new_suite_key();
    struct frame *f = g_new(struct frame, 1);

    for (unsigned len = 0; len < 200; len++) {
        build_wrapped(f, encapsulation_named("vxlan"), &suite[0], TCP);
        store16(octets_of(f) + 14 + 2, len < 190 ? len : 65535 - len);
        assert_all_like_reference(f, key);
        build_wrapped(f, encapsulation_named("gre-over-ipv6"), &suite[5], UDP);
        store16(octets_of(f) + 14 + 4, len < 190 ? len : 65535 - len);
        assert_all_like_reference(f, key);
        build_wrapped(f, encapsulation_named("gre"), &suite[5], UDP);
        store16(octets_of(f) + 14 + 20 + 4 + 4, len < 190 ? len : 65535 - len);
        assert_all_like_reference(f, key);
    }
    g_free(f);
    vionet_hash_key_free(key);
}

/* Every wrapping, cut at every octet. */
static void test_wrapped_and_cut(void)
{
    VionetHashKey *key = new_suite_key();
    struct frame *f = g_new(struct frame, 1);

    for (size_t i = 0; i < G_N_ELEMENTS(encapsulations); i++) {
        build_wrapped(f, &encapsulations[i], &suite[0], TCP);
        cut_everywhere(f, key, SIZE_MAX);
    }
    g_free(f);
    vionet_hash_key_free(key);
}

/* ---- differential: random layers, then random octets in them ---- */

static void put_random_packet(GRand *random, struct frame *f)
{
    const struct connection *c = &suite[g_rand_int_range(random, 0, G_N_ELEMENTS(suite))];
    const bool ipv6 = is_ipv6(c);
    bool now_ipv6 = ipv6;

    put_upper(f, c, uppers[g_rand_int_range(random, 0, 3)]);
    if (ipv6 && g_rand_boolean(random)) {
        static const uint8_t kinds[] = {0, 43, 44, 51, 60, 135, 139, 140, 50, 59};

        put_extension(f, TCP);
        put_network(f, c, kinds[g_rand_int_range(random, 0, G_N_ELEMENTS(kinds))]);
    } else {
        put_network(f, c, (uint8_t)uppers[g_rand_int_range(random, 0, 3)]);
    }
    for (int n = g_rand_int_range(random, 0, 3); n > 0; n--) {
        const struct encapsulation *e =
            &encapsulations[g_rand_int_range(random, 0, G_N_ELEMENTS(encapsulations))];

        put_outer(f, e, now_ipv6);
        now_ipv6 = e->outer_ipv6;
    }
    put_type(f, ethertype_of(now_ipv6));
    for (int n = g_rand_int_range(random, 0, 8) - 4; n > 0; n--) {
        put_tag(f, g_rand_boolean(random) ? 0x8100 : 0x88a8);
    }
    put_macs(f);
}

static void test_random_frames(void)
{
    const unsigned rounds = g_test_slow() ? 200000 : 8000;
    VionetHashKey *key = new_suite_key();
    struct frame *f = g_new(struct frame, 1);
    GRand *random = new_random();

    for (unsigned i = 0; i < rounds; i++) {
        const struct spoken *dialect = &spoken[i % G_N_ELEMENTS(spoken)];
        const uint32_t all = row_of(dialect)->all_types;

        begin(f);
        put_random_packet(random, f);
        for (int n = g_rand_int_range(random, 0, 6) - 2; n > 0; n--) {
            octets_of(f)[g_rand_int_range(random, 12, (gint32)length_of(f))] =
                (uint8_t)g_rand_int(random);
        }
        assert_like_reference(dialect, g_rand_int(random) & ALL_HASH_TYPES,
                              g_rand_int(random) & all, key, octets_of(f),
                              g_rand_boolean(random)
                                  ? length_of(f)
                                  : (size_t)g_rand_int_range(random, 0, (gint32)length_of(f)));
    }
    g_rand_free(random);
    g_free(f);
    vionet_hash_key_free(key);
}

/* ---- through the whole device ---- */

struct rig {
    const struct spoken *dialect;
    struct machine *machine;
};

static void rig_setup(struct machine_setup *setup, const struct spoken *dialect)
{
    const VionetDialect *row = row_of(dialect);

    machine_setup_init(setup);
    setup->device.dialect = row;
    setup->device.tunnel_types = row->all_types;
    setup->device.max_pairs = PAIRS;
    setup->net.poison = true;
    vionet_features_set(setup->device.features, VIRTIO_NET_F_MQ, true);
    vionet_features_set(setup->device.features, VIRTIO_NET_F_RSS, true);
    vionet_features_set(setup->device.features, VIRTIO_NET_F_HASH_REPORT, true);
    if (row->feature >= 0) {
        vionet_features_set(setup->device.features, (unsigned)row->feature, true);
    }
}

static struct rig rig_start(const struct machine_setup *setup, const struct spoken *dialect)
{
    struct rig rig = {dialect, NULL};
    GError *error = NULL;

    rig.machine = machine_new(setup, &error);
    g_assert_no_error(error);
    g_assert_true(machine_boot(rig.machine, features_known()));
    g_assert_cmpint(net_control_rx(rig.machine->net, VIRTIO_NET_CTRL_RX_PROMISC, true), ==,
                    VIRTIO_NET_OK);
    return rig;
}

static struct rig rig_new(const struct spoken *dialect)
{
    struct machine_setup setup;

    rig_setup(&setup, dialect);
    return rig_start(&setup, dialect);
}

static void rig_free(struct rig *rig)
{
    machine_finish(rig->machine);
}

/* An RSS_CONFIG with the tunnel types in it where the dialect has them there. */
static int rig_rss(struct rig *rig, const struct net_rss *rss, uint32_t tunnel_types)
{
    const VionetDialect *row = row_of(rig->dialect);
    struct net_rss whole = *rss;

    whole.hash_types |= row->types_in_hash_types ? tunnel_types : 0;
    whole.has_tunnel_types = row->types_after_key;
    whole.tunnel_types = tunnel_types;
    return net_control_rss(rig->machine->net, &whole);
}

/* The usual configuration: all types, the suite's key, 128 entries in turn. */
static void rig_configure(struct rig *rig)
{
    const VionetDialect *row = row_of(rig->dialect);
    const struct net_rss rss = {
        .hash_types = ALL_HASH_TYPES,
        .table_len = 128,
        .max_tx_vq = PAIRS,
        .key = suite_key,
        .key_len = sizeof(suite_key),
    };

    g_assert_cmpint(rig_rss(rig, &rss, row->all_types), ==, VIRTIO_NET_OK);
    if (row->types_by_command) {
        g_assert_cmpint(net_control_hash_tunnel(rig->machine->net, row->all_types), ==,
                        VIRTIO_NET_OK);
    }
}

/* Delivers the frame; what its packet header says, and where it arrived. */
static struct result through(struct rig *rig, struct frame *f, unsigned *pair)
{
    struct guest_packet packet;

    g_assert_cmpuint(machine_deliver(rig->machine, octets_of(f), length_of(f)), ==,
                     VIONET_DELIVERED);
    g_assert_true(net_receive(rig->machine->net, &packet));
    g_assert_cmpmem(packet.data, packet.len, octets_of(f), length_of(f));
    g_assert_cmpuint(packet.header.padding, ==, 0);
    g_assert_cmpuint(packet.header.flags, ==, 0);
    g_assert_cmpuint(packet.header.gso_type, ==, 0);
    g_assert_cmpuint(packet.header.hdr_len, ==, 0);
    g_assert_cmpuint(packet.header.gso_size, ==, 0);
    g_assert_cmpuint(packet.header.csum_start, ==, 0);
    g_assert_cmpuint(packet.header.csum_offset, ==, 0);
    *pair = packet.pair;
    return (struct result){packet.header.hash_report, packet.header.hash_value,
                           packet.header.hash_report_tunnel};
}

/* Queue of a result with the usual configuration: entries in turn, the first one without hash. */
static unsigned usual_pair(const struct result *result)
{
    return result->report ? result->hash % 128 % PAIRS : 0;
}

static void assert_through(struct rig *rig, struct frame *f, const struct result *expected)
{
    unsigned pair;
    struct result found = through(rig, f, &pair);

    assert_result(&found, expected);
    g_assert_cmpuint(pair, ==, usual_pair(expected));
}

static void test_device_suite_plain(const void *data)
{
    const struct spoken *dialect = data;
    struct rig rig = rig_new(dialect);
    struct frame *f = g_new(struct frame, 1);

    rig_configure(&rig);
    for (size_t i = 0; i < G_N_ELEMENTS(suite); i++) {
        for (size_t u = 0; u < G_N_ELEMENTS(uppers); u++) {
            const struct result expected = published(&suite[i], uppers[u]);

            build_plain(f, &suite[i], uppers[u]);
            assert_through(&rig, f, &expected);
        }
    }
    g_free(f);
    rig_free(&rig);
}

static void test_device_suite_wrapped(const void *data)
{
    const struct spoken *dialect = data;
    const size_t d = (size_t)(dialect - spoken);
    struct rig rig = rig_new(dialect);
    struct frame *f = g_new(struct frame, 1);

    rig_configure(&rig);
    for (size_t e = 0; e < G_N_ELEMENTS(encapsulations); e++) {
        for (size_t i = 0; i < G_N_ELEMENTS(suite); i++) {
            for (size_t u = 0; can_carry(&encapsulations[e], &suite[i]) && u < 3; u++) {
                const uint32_t types = types_of(&encapsulations[e], d, is_ipv6(&suite[i]));
                struct result expected = published(&suite[i], uppers[u]);

                build_wrapped(f, &encapsulations[e], &suite[i], uppers[u]);
                expected.tunnel = reported_tunnel(d, types);
                if (!types) {
                    expected = by_reference(&off, ALL_HASH_TYPES, 0, octets_of(f), length_of(f));
                }
                assert_through(&rig, f, &expected);
            }
        }
    }
    g_free(f);
    rig_free(&rig);
}

static void test_device_vlan_stacks(void)
{
    struct rig rig = rig_new(&off);
    struct frame *f = g_new(struct frame, 1);
    const struct result expected = published(&suite[0], TCP);

    rig_configure(&rig);
    for (unsigned n_tags = 0; n_tags <= 8; n_tags++) {
        build_tagged(f, n_tags, 0x35);
        assert_through(&rig, f, n_tags <= 2 ? &expected : &nothing);
        for (size_t len = 14; len < 14 + 4 * n_tags; len++) { /* ends in each tag */
            uint8_t *exact = exact_copy(octets_of(f), len);
            struct guest_packet packet;

            g_assert_cmpuint(machine_deliver(rig.machine, exact, len), ==, VIONET_DELIVERED);
            free(exact);
            g_assert_true(net_receive(rig.machine->net, &packet));
            g_assert_cmpuint(packet.header.hash_report, ==, VIRTIO_NET_HASH_REPORT_NONE);
            g_assert_cmphex(packet.header.hash_value, ==, 0);
            g_assert_cmpuint(packet.pair, ==, 0);
        }
    }
    g_free(f);
    rig_free(&rig);
}

/* Every entry of the table counts, for tables of every length. */
static void test_device_table(void)
{
    struct rig rig = rig_new(&off);
    struct frame *f = g_new(struct frame, 1);
    GRand *random = new_random();

    for (unsigned n = 1; n <= 128; n *= 2) {
        uint16_t table[128];
        const struct net_rss rss = {
            .hash_types = ALL_HASH_TYPES,
            .table = table,
            .table_len = n,
            .unclassified_queue = 3,
            .max_tx_vq = PAIRS,
            .key = suite_key,
            .key_len = sizeof(suite_key),
        };

        for (unsigned i = 0; i < n; i++) {
            table[i] = (uint16_t)g_rand_int_range(random, 0, PAIRS);
        }
        g_assert_cmpint(rig_rss(&rig, &rss, 0), ==, VIRTIO_NET_OK);
        for (size_t i = 0; i < G_N_ELEMENTS(suite); i++) {
            for (size_t u = 0; u < G_N_ELEMENTS(uppers); u++) {
                const struct result expected = published(&suite[i], uppers[u]);
                struct result found;
                unsigned pair;

                build_plain(f, &suite[i], uppers[u]);
                found = through(&rig, f, &pair);
                assert_result(&found, &expected);
                g_assert_cmpuint(pair, ==, table[expected.hash & (n - 1)]);
            }
        }
    }
    g_rand_free(random);
    g_free(f);
    rig_free(&rig);
}

static void test_device_unclassified(void)
{
    struct rig rig = rig_new(&off);
    struct frame *f = g_new(struct frame, 1);

    for (uint16_t queue = 0; queue < PAIRS; queue++) {
        const struct net_rss rss = {
            .hash_types = VIRTIO_NET_HASH_TYPE_TCPv6,
            .table_len = 4,
            .unclassified_queue = queue,
            .max_tx_vq = PAIRS,
            .key = suite_key,
            .key_len = sizeof(suite_key),
        };
        struct result found;
        unsigned pair;

        g_assert_cmpint(rig_rss(&rig, &rss, 0), ==, VIRTIO_NET_OK);
        build_plain(f, &suite[0], TCP); /* IP, but no type of it is enabled */
        found = through(&rig, f, &pair);
        assert_result(&found, &nothing);
        g_assert_cmpuint(pair, ==, queue);
        begin(f);
        put_payload(f, 46);
        put_ethernet(f, 0x0806);
        found = through(&rig, f, &pair);
        assert_result(&found, &nothing);
        g_assert_cmpuint(pair, ==, queue);
    }
    g_free(f);
    rig_free(&rig);
}

/* RSS chooses once: a frame for a queue in reset is dropped, the others go on. */
static void test_device_queue_in_reset(void)
{
    struct rig rig = rig_new(&off);
    struct frame *f = g_new(struct frame, 1);
    const unsigned gone = published(&suite[0], TCP).hash % PAIRS;

    rig_configure(&rig);
    g_assert_true(guest_queue_reset(rig.machine->driver, 2 * gone));
    for (size_t i = 0; i < G_N_ELEMENTS(suite); i++) {
        const struct result expected = published(&suite[i], TCP);

        build_plain(f, &suite[i], TCP);
        if (usual_pair(&expected) != gone) {
            assert_through(&rig, f, &expected);
            continue;
        }
        g_assert_cmpuint(machine_deliver(rig.machine, octets_of(f), length_of(f)), ==,
                         VIONET_DROP_QUEUE_DISABLED);
    }
    g_free(f);
    rig_free(&rig);
}

/* With no buffer in the frame's queue it waits, however many the others have. */
static void test_device_empty_ring(void)
{
    struct machine_setup setup;
    struct frame *f = g_new(struct frame, 1);
    struct rig rig;

    rig_setup(&setup, &off);
    setup.net.hold = true;
    rig = rig_start(&setup, &off);
    rig_configure(&rig);
    for (size_t i = 0; i < G_N_ELEMENTS(suite); i++) {
        const struct result expected = published(&suite[i], TCP);
        struct iovec piece;
        const VionetFrame frame = {.iov = &piece, .n_iov = 1};
        VionetVerdict verdict;

        build_plain(f, &suite[i], TCP);
        piece = (struct iovec){octets_of(f), length_of(f)};
        for (unsigned pair = 0; i == 0 && pair < PAIRS; pair++) {
            g_assert_cmpuint(net_post(rig.machine->net, pair, 2), ==, 2);
        }
        while (vionet_device_receive(rig.machine->device, 0, &frame, 1, &verdict,
                                     VIONET_RECEIVE_HOLD)) {
            struct guest_packet packet;

            g_assert_true(net_receive(rig.machine->net, &packet));
            g_assert_cmpuint(packet.pair, ==, usual_pair(&expected));
        }
        g_assert_cmpuint(verdict, ==, VIONET_HELD);
        g_assert_cmpuint(net_post(rig.machine->net, usual_pair(&expected), 1), ==, 1);
        assert_through(&rig, f, &expected);
        g_assert_cmpuint(net_post(rig.machine->net, usual_pair(&expected), 1), ==, 1);
    }
    g_free(f);
    rig_free(&rig);
}

/* Everything off until the first configuration, and again after a reset. */
static void test_device_before_configuration(void)
{
    struct rig rig = rig_new(&spoken[2]);
    struct frame *f = g_new(struct frame, 1);

    for (unsigned round = 0; round < 2; round++) {
        for (size_t i = 0; i < G_N_ELEMENTS(suite); i++) {
            struct result found;
            unsigned pair;

            build_plain(f, &suite[i], TCP);
            found = through(&rig, f, &pair);
            assert_result(&found, &nothing);
            g_assert_cmpuint(pair, ==, 0);
        }
        rig_configure(&rig);
        build_plain(f, &suite[0], TCP);
        assert_through(&rig, f, &(struct result){2, suite[0].with_ports, 0});
        g_assert_true(machine_boot(rig.machine, features_known()));
        g_assert_cmpint(net_control_rx(rig.machine->net, VIRTIO_NET_CTRL_RX_PROMISC, true), ==,
                        VIRTIO_NET_OK);
    }
    g_free(f);
    rig_free(&rig);
}

/* The last configuration decides, key and types alike. */
static void test_device_reconfigured(void)
{
    struct rig rig = rig_new(&off);
    struct frame *f = g_new(struct frame, 1);
    struct net_rss rss = {.table_len = 1, .max_tx_vq = 1, .hash_types = ALL_HASH_TYPES};

    build_plain(f, &suite[6], UDP);
    for (unsigned key_len = 40; key_len > 0; key_len -= key_len == 40 ? 32 : 1) {
        struct reference_result expected;
        struct result found;
        unsigned pair;

        rss.key = suite_key;
        rss.key_len = (uint8_t)key_len;
        g_assert_cmpint(rig_rss(&rig, &rss, 0), ==, VIRTIO_NET_OK);
        reference_hash(octets_of(f), length_of(f), REFERENCE_OFF, ALL_HASH_TYPES, 0, suite_key,
                       key_len, &expected);
        found = through(&rig, f, &pair);
        g_assert_cmphex(found.hash, ==, expected.hash);
    }
    /* Refused: types that are not supported, a key that is too long, none at all. */
    for (unsigned i = 0; i < 3; i++) {
        struct net_rss wrong = rss;
        const uint8_t long_key[41] = {1};
        struct result before, after;
        unsigned pair;

        wrong.hash_types = i == 0 ? 0xffffffff : ALL_HASH_TYPES;
        wrong.key = i == 1 ? long_key : suite_key;
        wrong.key_len = i == 0 ? 40 : i == 1 ? 41 : 0;
        before = through(&rig, f, &pair);
        g_assert_cmpint(rig_rss(&rig, &wrong, 0), ==, VIRTIO_NET_ERR);
        after = through(&rig, f, &pair);
        assert_result(&after, &before);
    }
    g_free(f);
    rig_free(&rig);
}

/* A device that reports hashes without RSS takes HASH_CONFIG, and steers as before. */
static void test_device_hash_config(void)
{
    struct machine_setup setup;
    struct frame *f = g_new(struct frame, 1);
    struct net_rss hash = {.hash_types = VIRTIO_NET_HASH_TYPE_TCPv4 | VIRTIO_NET_HASH_TYPE_IPv6,
                           .key = suite_key,
                           .key_len = sizeof(suite_key)};
    struct rig rig;

    rig_setup(&setup, &off);
    vionet_features_set(setup.device.features, VIRTIO_NET_F_RSS, false);
    rig = rig_start(&setup, &off);
    g_assert_cmpint(rig_rss(&rig, &hash, 0), ==, VIRTIO_NET_ERR);
    for (unsigned automatic = 0; automatic < 2; automatic++) {
        if (automatic) {
            g_assert_cmpint(net_control_pairs(rig.machine->net, PAIRS), ==, VIRTIO_NET_OK);
        }
        g_assert_cmpint(net_control_hash(rig.machine->net, &hash), ==, VIRTIO_NET_OK);
        for (size_t i = 0; i < G_N_ELEMENTS(suite); i++) {
            const struct result expected = {
                is_ipv6(&suite[i]) ? VIRTIO_NET_HASH_REPORT_IPv6 : VIRTIO_NET_HASH_REPORT_TCPv4,
                is_ipv6(&suite[i]) ? suite[i].by_addresses : suite[i].with_ports, 0};
            struct result found;
            unsigned pair;

            build_plain(f, &suite[i], TCP);
            found = through(&rig, f, &pair);
            assert_result(&found, &expected);
            g_assert_cmpuint(pair, <, automatic ? PAIRS : 1);
            build_plain(f, &suite[i], UDP);
            found = through(&rig, f, &pair);
            g_assert_cmpuint(found.report, ==, is_ipv6(&suite[i]) ? 4 : 0);
        }
    }
    g_free(f);
    rig_free(&rig);
}

static void test_device_hash_config_reserved(void)
{
    struct rig rig = rig_new(&off);
    const struct net_rss hash = {.hash_types = 1, .key = suite_key, .key_len = sizeof(suite_key)};

    for (unsigned at = 4; at < 10; at++) {
        GByteArray *octets = net_hash_encode(&hash);

        octets->data[at] = 0x80;
        g_assert_cmpint(net_control(rig.machine->net, VIRTIO_NET_CTRL_MQ,
                                    VIRTIO_NET_CTRL_MQ_HASH_CONFIG, octets->data, octets->len, NULL,
                                    0),
                        ==, VIRTIO_NET_ERR);
        g_byte_array_unref(octets);
    }
    g_assert_cmpint(net_control_hash(rig.machine->net, &hash), ==, VIRTIO_NET_OK);
    rig_free(&rig);
}

/* With one queue pair there are hashes to report as well. */
static void test_device_one_pair(void)
{
    struct machine_setup setup;
    struct frame *f = g_new(struct frame, 1);
    const struct result expected = published(&suite[3], UDP);
    struct rig rig;
    const struct net_rss rss = {.hash_types = ALL_HASH_TYPES,
                                .table_len = 1,
                                .max_tx_vq = 1,
                                .key = suite_key,
                                .key_len = sizeof(suite_key)};
    struct result found;
    unsigned pair;

    rig_setup(&setup, &off);
    setup.device.max_pairs = 1;
    rig = rig_start(&setup, &off);
    g_assert_cmpint(rig_rss(&rig, &rss, 0), ==, VIRTIO_NET_OK);
    build_plain(f, &suite[3], UDP);
    found = through(&rig, f, &pair);
    assert_result(&found, &expected);
    g_assert_cmpuint(pair, ==, 0);
    g_free(f);
    rig_free(&rig);
}

static void add_library_tests(void)
{
    g_test_add_func("/hash/rss-suite/toeplitz", test_suite_toeplitz);
    g_test_add_func("/hash/rss-suite/plain", test_suite_plain);
    for (size_t i = 0; i < G_N_ELEMENTS(encapsulations); i++) {
        char *path = g_strdup_printf("/hash/rss-suite/in-%s", encapsulations[i].name);

        g_test_add_data_func(path, &encapsulations[i], test_suite_wrapped);
        g_free(path);
    }
    g_test_add_func("/hash/rss-suite/in-other-ip-in-ip-by-outer-header", test_other_ip_in_ip);
    add_cascades();
    g_test_add_func("/hash/cascade/home-and-routing-address-in-ex-types-only",
                    test_mobile_addresses);
    g_test_add_func("/hash/cascade/types-one-by-one-like-reference", test_types_one_by_one);
    g_test_add_func("/hash/report-names", test_report_names);
    g_test_add_func("/hash/dissect/no-octets-at-all", test_no_octets_at_all);
    g_test_add_func("/hash/key/H-09-every-length-in-exact-blocks", test_every_key_length);
    g_test_add_func("/hash/key/H-07-short-keys-are-zero-extended",
                    test_short_keys_count_as_zero_extended);
    g_test_add_func("/hash/key/octets-past-the-end-have-no-influence", test_what_has_no_influence);
    g_test_add_func("/hash/key/H-09-window-past-the-key", test_window_past_the_key);
    g_test_add_func("/hash/vlan/P-13-up-to-two-tags-are-skipped", test_vlan_stacks);
    g_test_add_func("/hash/vlan/P-13-frame-ends-in-a-tag", test_vlan_stacks_cut);
}

static void add_shape_tests(void)
{
    g_test_add_func("/hash/shapes/H-13-geneve-lengths", test_geneve_lengths);
    g_test_add_func("/hash/shapes/H-13-gre-flags-and-routing", test_gre_flags);
    g_test_add_func("/hash/shapes/H-13-vxlan-gpe-next-protocols", test_gpe_next_protocols);
    g_test_add_func("/hash/shapes/H-13-forty-ip-headers-one-level", test_deep_nesting);
    g_test_add_func("/hash/shapes/H-13-tunnel-in-tunnel-one-level", test_tunnel_in_tunnel);
    g_test_add_func("/hash/shapes/H-13-extension-header-chains", test_extension_chains);
    g_test_add_func("/hash/shapes/H-13-fragments-outside-and-inside", test_fragments);
    g_test_add_func("/hash/shapes/H-13-lying-ip-lengths", test_lying_ip_lengths);
    g_test_add_func("/hash/shapes/H-13-P-11-tunnels-cut-at-every-octet", test_wrapped_and_cut);
    g_test_add_func("/hash/shapes/random-frames-like-reference", test_random_frames);
}

static void add_device_tests(void)
{
    for (size_t d = 0; d < G_N_ELEMENTS(spoken); d++) {
        char *path = g_strdup_printf("/hash/device/H-04-rss-suite/%s/plain", spoken[d].name);

        g_test_add_data_func(path, &spoken[d], test_device_suite_plain);
        g_free(path);
        path = g_strdup_printf("/hash/device/H-04-rss-suite/%s/in-every-tunnel", spoken[d].name);
        g_test_add_data_func(path, &spoken[d], test_device_suite_wrapped);
        g_free(path);
    }
    g_test_add_data_func("/hash/device/H-04-rss-suite/off/plain", &off, test_device_suite_plain);
    g_test_add_func("/hash/device/P-13-vlan-stacks", test_device_vlan_stacks);
    g_test_add_func("/hash/device/H-04-queue-is-the-table-entry-of-the-hash", test_device_table);
    g_test_add_func("/hash/device/no-hash-goes-to-unclassified-queue", test_device_unclassified);
    g_test_add_func("/hash/device/rss-queue-in-reset-drops", test_device_queue_in_reset);
    g_test_add_func("/hash/device/H-04-empty-ring-of-the-right-queue-holds",
                    test_device_empty_ring);
    g_test_add_func("/hash/device/H-05-nothing-before-configuration-nor-after-reset",
                    test_device_before_configuration);
    g_test_add_func("/hash/device/H-07-last-key-and-types-decide", test_device_reconfigured);
    g_test_add_func("/hash/device/hash-config-without-rss", test_device_hash_config);
    g_test_add_func("/hash/device/hash-config-reserved-must-be-zero",
                    test_device_hash_config_reserved);
    g_test_add_func("/hash/device/one-pair-reports", test_device_one_pair);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_library_tests();
    add_shape_tests();
    add_device_tests();
    return g_test_run();
}
