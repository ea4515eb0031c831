/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hashing and dissection beside DPDK's, in one process on one core: vionet's library on one side,
 * rte_thash, rte_softrss and rte_net_get_ptype on the other, in turn, ROUNDS times. A round's figure is
 * the best of a few runs of well under a millisecond, so that other work on the machine hits few of them;
 * what is printed are medians of rounds, in ns, and the ratio of two. Before anything is timed all ways must give the
 * same hashes. Built and run by hashing.sh; docs/performance.md says how to read it.
 *
 *   peer_hashing [EAL ARGUMENT...]
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_eal.h>
#include <rte_mbuf.h>
#include <rte_net.h>
#include <rte_thash.h>
#include <rte_thash_gfni.h>

#include <vionet/hash.h>

#ifndef RTE_THASH_GFNI_DEFINED
#error \
    "rte_thash_gfni is a stub that returns 0 unless compiled for a processor with GFNI and AVX-512"
#endif

#define ROUNDS   101
#define REPEATS  3     /* a round */
#define INPUTS   16384 /* more than L1 holds */
#define FRAMES   4096
#define BURST    32
#define PITCH    2176
#define MAX_WAYS 12

static const uint8_t key_octets[40] = {
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
    0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
    0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

static VionetHashKey *key, *table_key;
static uint32_t softrss_key[10];
static uint64_t matrices[RTE_THASH_TUPLE_LEN_MAX];

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static uint64_t next_random(void)
{
    static uint64_t state = 1;
    uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* ---- ways to do the same, and what they took ---- */

struct way {
    const char *name;
    void (*run)(void); /* everything once, into hashes */
    int against;       /* the way that it is compared with, -1 if it is a yardstick itself */
};

static uint32_t hashes[INPUTS];

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Once for the caches and the predictors, then a few times; the best of these. */
static double time_way(const struct way *way, unsigned items)
{
    double best = 1e9;

    way->run();
    for (unsigned r = 0; r < REPEATS; r++) {
        double ns = now_ns();

        way->run();
        ns = (now_ns() - ns) / items;
        best = ns < best ? ns : best;
    }
    return best;
}

static void check_way(const struct way *way, const uint32_t *right, unsigned items)
{
    memset(hashes, 0xff, sizeof(hashes));
    way->run();
    for (unsigned i = 0; i < items; i++) {
        if (hashes[i] != right[i]) {
            fprintf(stderr, "%s: hash %u is 0x%08x, not 0x%08x\n", way->name, i, hashes[i],
                    right[i]);
            exit(1);
        }
    }
}

static void measure(const char *what, const struct way *ways, unsigned n, const uint32_t *right,
                    unsigned items)
{
    static double ns[MAX_WAYS][ROUNDS];

    for (unsigned w = 0; w < n && right; w++) {
        check_way(&ways[w], right, items);
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned w = 0; w < n; w++) {
            ns[w][round] = time_way(&ways[w], items);
        }
    }
    for (unsigned w = 0; w < n; w++) {
        qsort(ns[w], ROUNDS, sizeof(double), compare_doubles);
    }
    printf("\n%s\n", what);
    for (unsigned w = 0; w < n; w++) {
        const double *at = ns[w];

        printf("  %-36s %7.2f [%.2f to %.2f]", ways[w].name, at[ROUNDS / 2], at[ROUNDS / 4],
               at[ROUNDS * 3 / 4]);
        if (ways[w].against >= 0) {
            printf(" = %.3f of %s", at[ROUNDS / 2] / ns[ways[w].against][ROUNDS / 2],
                   ways[ways[w].against].name);
        }
        printf("\n");
    }
    fflush(stdout);
}

/* ---- Toeplitz ---- */

static unsigned input_len;
static uint8_t inputs[INPUTS * VIONET_HASH_INPUT_MAX];
static uint32_t input_words[INPUTS * VIONET_HASH_INPUT_MAX / 4]; /* as softrss takes them */
static uint8_t *input_at[INPUTS];

/* A window of 32 key bits that moves along with the input, bit by bit. */
static __attribute__((noinline)) uint32_t bitwise(const uint8_t *input, size_t len)
{
    uint32_t window = (uint32_t)key_octets[0] << 24 | (uint32_t)key_octets[1] << 16 |
                      (uint32_t)key_octets[2] << 8 | key_octets[3];
    const uint8_t *next = key_octets + 4; /* as far as the longest input reaches */
    uint32_t hash = 0;

    for (size_t i = 0; i < len; i++) {
        const uint8_t octet = input[i], key_octet = *next++;

        for (unsigned bit = 0; bit < 8; bit++) {
            if (octet & 0x80 >> bit) {
                hash ^= window;
            }
            window = window << 1 | (uint32_t)(key_octet >> (7 - bit) & 1);
        }
    }
    return hash;
}

static void run_bitwise(void)
{
    for (unsigned i = 0; i < INPUTS; i++) {
        hashes[i] = bitwise(input_at[i], input_len);
    }
}

static void run_softrss(void)
{
    for (unsigned i = 0; i < INPUTS; i++) {
        hashes[i] = rte_softrss_be(input_words + i * input_len / 4, input_len / 4,
                                   (const uint8_t *)softrss_key);
    }
}

/* The length is known where it is used, as it is to its callers in DPDK. */
static void run_gfni(void)
{
    if (input_len == 12) {
        for (unsigned i = 0; i < INPUTS; i++) {
            hashes[i] = rte_thash_gfni(matrices, inputs + i * 12, 12);
        }
    } else {
        for (unsigned i = 0; i < INPUTS; i++) {
            hashes[i] = rte_thash_gfni(matrices, inputs + i * 36, 36);
        }
    }
}

static void run_gfni_bulk(void)
{
    if (input_len == 12) {
        for (unsigned i = 0; i < INPUTS; i += BURST) {
            rte_thash_gfni_bulk(matrices, 12, input_at + i, hashes + i, BURST);
        }
    } else {
        for (unsigned i = 0; i < INPUTS; i += BURST) {
            rte_thash_gfni_bulk(matrices, 36, input_at + i, hashes + i, BURST);
        }
    }
}

static void run_vionet(void)
{
    for (unsigned i = 0; i < INPUTS; i++) {
        hashes[i] = vionet_toeplitz(key, inputs + i * input_len, input_len);
    }
}

static void run_vionet_table(void)
{
    for (unsigned i = 0; i < INPUTS; i++) {
        hashes[i] = vionet_toeplitz(table_key, inputs + i * input_len, input_len);
    }
}

static void run_vionet_burst(void)
{
    for (unsigned i = 0; i < INPUTS; i += BURST) {
        vionet_toeplitz_burst(key, (const uint8_t *const *)input_at + i, input_len, BURST,
                              hashes + i);
    }
}

static void run_vionet_table_burst(void)
{
    for (unsigned i = 0; i < INPUTS; i += BURST) {
        vionet_toeplitz_burst(table_key, (const uint8_t *const *)input_at + i, input_len, BURST,
                              hashes + i);
    }
}

static void measure_toeplitz(unsigned len)
{
    static const struct way ways[] = {
        {"bit by bit", run_bitwise, -1},
        {"rte_softrss_be", run_softrss, -1},
        {"rte_thash_gfni", run_gfni, -1},
        {"rte_thash_gfni_bulk, 32", run_gfni_bulk, -1},
        {"vionet_toeplitz", run_vionet, 2},
        {"vionet_toeplitz_burst, 32", run_vionet_burst, 3},
        {"vionet_toeplitz, no SIMD", run_vionet_table, 0},
        {"vionet_toeplitz_burst, 32, no SIMD", run_vionet_table_burst, 0},
    };
    static uint32_t right[INPUTS];
    char what[80];

    input_len = len;
    for (size_t i = 0; i < sizeof(inputs); i++) {
        inputs[i] = (uint8_t)next_random();
    }
    for (unsigned i = 0; i < INPUTS; i++) {
        input_at[i] = inputs + i * len;
        right[i] = bitwise(input_at[i], len);
    }
    for (unsigned i = 0; i < INPUTS * len / 4; i++) {
        uint32_t word;

        memcpy(&word, inputs + 4 * i, 4);
        input_words[i] = rte_be_to_cpu_32(word);
    }
    snprintf(what, sizeof(what), "Toeplitz hash of %u octets, ns", len);
    measure(what, ways, RTE_DIM(ways), right, INPUTS);
}

/* ---- frames ---- */

static struct rte_mbuf *frames[FRAMES];

static unsigned put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
    return 2;
}

static unsigned put_ethernet(uint8_t *p, bool ipv6)
{
    memset(p, 2, 12);
    put16(p + 12, ipv6 ? 0x86dd : 0x0800);
    return 14;
}

static unsigned put_ip(uint8_t *p, bool ipv6, unsigned protocol, unsigned payload)
{
    const unsigned addrs = ipv6 ? 8 : 12;

    memset(p, 0, addrs);
    p[0] = ipv6 ? 0x60 : 0x45;
    put16(p + (ipv6 ? 4 : 2), payload + (ipv6 ? 0 : 20));
    p[ipv6 ? 6 : 9] = (uint8_t)protocol;
    p[ipv6 ? 7 : 8] = 64;
    for (unsigned i = 0; i < (ipv6 ? 32 : 8); i++) {
        p[addrs + i] = (uint8_t)next_random();
    }
    return addrs + (ipv6 ? 32 : 8);
}

static unsigned put_transport(uint8_t *p, unsigned protocol, unsigned port)
{
    const unsigned header = protocol == 6 ? 20 : 8;

    memset(p, 0, header + 10);
    put16(p, (unsigned)next_random());
    put16(p + 2, port);
    if (protocol == 6) {
        p[12] = 0x50;
    } else {
        put16(p + 4, header + 10);
    }
    return header + 10;
}

static unsigned put_packet(uint8_t *p, bool ipv6, unsigned protocol)
{
    unsigned n = put_ip(p, ipv6, protocol, (protocol == 6 ? 20 : 8) + 10);

    return n + put_transport(p + n, protocol, 0x8000 | (unsigned)next_random());
}

static unsigned put_vxlan(uint8_t *p, bool ipv6, unsigned protocol)
{
    unsigned inner, n = 14 + 20 + 8 + 8;

    inner = put_ethernet(p + n, ipv6);
    inner += put_packet(p + n + inner, ipv6, protocol);
    put_ethernet(p, false);
    put_ip(p + 14, false, 17, 8 + 8 + inner);
    put16(p + 34, (unsigned)next_random());
    put16(p + 36, 4789);
    put16(p + 38, 8 + 8 + inner);
    memset(p + 40, 0, 10);
    p[42] = 8;
    return n + inner;
}

static unsigned put_gre(uint8_t *p, bool ipv6, unsigned protocol)
{
    unsigned inner, n = 14 + 20 + 4;

    inner = put_packet(p + n, ipv6, protocol);
    put_ethernet(p, false);
    put_ip(p + 14, false, 47, 4 + inner);
    put16(p + 34, 0);
    put16(p + 36, ipv6 ? 0x86dd : 0x0800);
    return n + inner;
}

enum { PLAIN, VXLAN, GRE, MIX };

static unsigned put_frame(uint8_t *p, unsigned kind, bool ipv6)
{
    const unsigned protocol = next_random() & 1 ? 6 : 17;

    switch (kind == MIX ? (unsigned)(next_random() % 3) : kind) {
    case VXLAN:
        return put_vxlan(p, ipv6, protocol);
    case GRE:
        return put_gre(p, ipv6, protocol);
    default: {
        unsigned n = put_ethernet(p, ipv6);

        return n + put_packet(p + n, ipv6, protocol);
    }
    }
}

static void make_frames(struct rte_mempool *pool, unsigned kind, bool both_versions)
{
    for (unsigned i = 0; i < FRAMES; i++) {
        if (!frames[i] && !(frames[i] = rte_pktmbuf_alloc(pool))) {
            fprintf(stderr, "no memory for frames\n");
            exit(1);
        }
        frames[i]->data_len = (uint16_t)put_frame(rte_pktmbuf_mtod(frames[i], uint8_t *), kind,
                                                  both_versions && (next_random() & 1));
        frames[i]->pkt_len = frames[i]->data_len;
    }
}

/* The innermost packet by what rte_net_get_ptype found; the input put together, and hashed. */
static inline __attribute__((always_inline)) uint32_t ptype_hash(struct rte_mbuf *m, bool gfni)
{
    struct rte_net_hdr_lens lens;
    const uint32_t type = rte_net_get_ptype(m, &lens, RTE_PTYPE_ALL_MASK);
    const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *) + lens.l2_len;
    const uint8_t *ports = ip + lens.l3_len;
    uint8_t input[36];
    uint32_t words[9];
    unsigned addrs = 8, n;
    bool ipv6 = RTE_ETH_IS_IPV6_HDR(type);

    if (type & RTE_PTYPE_INNER_L4_MASK) {
        ip = ports + lens.inner_l2_len;
        ports = ip + lens.inner_l3_len;
        ipv6 = (type & RTE_PTYPE_INNER_L3_MASK) == RTE_PTYPE_INNER_L3_IPV6;
    } else if (!(type & RTE_PTYPE_L4_MASK)) {
        return 0;
    }
    if (ipv6) {
        addrs = 32;
        memcpy(input, ip + 8, 32);
        memcpy(input + 32, ports, 4);
    } else {
        memcpy(input, ip + 12, 8);
        memcpy(input + 8, ports, 4);
    }
    if (gfni) {
        return addrs == 8 ? rte_thash_gfni(matrices, input, 12)
                          : rte_thash_gfni(matrices, input, 36);
    }
    n = addrs / 4 + 1;
    memcpy(words, input, 4 * n);
    for (unsigned i = 0; i < n; i++) {
        words[i] = rte_be_to_cpu_32(words[i]);
    }
    return rte_softrss_be(words, n, (const uint8_t *)softrss_key);
}

static void run_ptype(void)
{
    for (unsigned i = 0; i < FRAMES; i++) {
        struct rte_net_hdr_lens lens;

        hashes[i] = rte_net_get_ptype(frames[i], &lens, RTE_PTYPE_ALL_MASK) + lens.l4_len;
    }
}

static void run_ptype_softrss(void)
{
    for (unsigned i = 0; i < FRAMES; i++) {
        hashes[i] = ptype_hash(frames[i], false);
    }
}

static void run_ptype_gfni(void)
{
    for (unsigned i = 0; i < FRAMES; i++) {
        hashes[i] = ptype_hash(frames[i], true);
    }
}

#define ALL_TYPES 0x1ff

static void run_dissect(void)
{
    for (unsigned i = 0; i < FRAMES; i++) {
        VionetFlow flow;

        vionet_dissect(rte_pktmbuf_mtod(frames[i], const uint8_t *), frames[i]->data_len,
                       VIONET_TUNNEL_ALL, &flow);
        hashes[i] = flow.protocol;
    }
}

static void run_dissect_hash(void)
{
    for (unsigned i = 0; i < FRAMES; i++) {
        VionetFlow flow;

        vionet_dissect(rte_pktmbuf_mtod(frames[i], const uint8_t *), frames[i]->data_len,
                       VIONET_TUNNEL_ALL, &flow);
        hashes[i] = vionet_hash_flow(key, &flow, vionet_flow_report(&flow, ALL_TYPES));
    }
}

static void run_hash_frames(void)
{
    for (unsigned i = 0; i < FRAMES; i += BURST) {
        VionetFrameHash results[BURST];
        const uint8_t *octets[BURST];
        size_t lens[BURST];

        for (unsigned j = 0; j < BURST; j++) {
            octets[j] = rte_pktmbuf_mtod(frames[i + j], const uint8_t *);
            lens[j] = frames[i + j]->data_len;
        }
        vionet_hash_frames(key, octets, lens, BURST, VIONET_TUNNEL_ALL, ALL_TYPES, results);
        for (unsigned j = 0; j < BURST; j++) {
            hashes[i + j] = results[j].hash;
        }
    }
}

static void measure_frames(struct rte_mempool *pool, const char *what, unsigned kind,
                           bool both_versions)
{
    static const struct way parts[] = {
        {"rte_net_get_ptype", run_ptype, -1},
        {"vionet_dissect", run_dissect, 0},
    };
    static const struct way ways[] = {
        {"rte_net_get_ptype + rte_softrss_be", run_ptype_softrss, -1},
        {"rte_net_get_ptype + rte_thash_gfni", run_ptype_gfni, -1},
        {"vionet_dissect + _hash_flow", run_dissect_hash, 1},
        {"vionet_hash_frames, 32", run_hash_frames, 1},
    };
    static uint32_t right[FRAMES];
    char line[120];

    make_frames(pool, kind, both_versions);
    run_ptype_softrss();
    memcpy(right, hashes, sizeof(right));
    for (unsigned i = 0; i < FRAMES; i++) {
        if (!right[i]) {
            fprintf(stderr, "DPDK does not hash frame %u of %s\n", i, what);
            exit(1);
        }
    }
    snprintf(line, sizeof(line), "Headers of frames, %s, ns a frame", what);
    measure(line, parts, RTE_DIM(parts), NULL, FRAMES);
    snprintf(line, sizeof(line), "Innermost hash of frames, %s, ns a frame", what);
    measure(line, ways, RTE_DIM(ways), right, FRAMES);
}

int main(int argc, char **argv)
{
    struct rte_mempool *pool;

    if (rte_eal_init(argc, argv) < 0) {
        return 1;
    }
    pool = rte_pktmbuf_pool_create("frames", 2 * FRAMES, 0, 0, PITCH, SOCKET_ID_ANY);
    if (!pool) {
        fprintf(stderr, "no memory for frames\n");
        return 1;
    }
    if (!__builtin_cpu_supports("gfni") || !__builtin_cpu_supports("avx512bw")) {
        fprintf(stderr, "no GFNI with AVX-512 on this processor, no rte_thash_gfni\n");
        return 77;
    }
    key = vionet_hash_key_new(key_octets, sizeof(key_octets));
    table_key = vionet_hash_key_new_for("table", key_octets, sizeof(key_octets));
    rte_convert_rss_key((const uint32_t *)key_octets, softrss_key, sizeof(key_octets));
    rte_thash_complete_matrix(matrices, key_octets, sizeof(key_octets));
    printf("vionet hashes by %s; medians of %u interleaved rounds [quarter to three quarters]\n",
           vionet_hash_engine_at(0), ROUNDS);
    measure_toeplitz(12);
    measure_toeplitz(36);
    measure_frames(pool, "plain, IPv4", PLAIN, false);
    measure_frames(pool, "plain, IPv4 and IPv6", PLAIN, true);
    measure_frames(pool, "VXLAN, IPv4 inside", VXLAN, false);
    measure_frames(pool, "GRE, IPv4 inside", GRE, false);
    measure_frames(pool, "1/3 plain, VXLAN, GRE, IPv4", MIX, false);
    measure_frames(pool, "1/3 plain, VXLAN, GRE, IPv4 and IPv6", MIX, true);
    vionet_hash_key_free(key);
    vionet_hash_key_free(table_key);
    return 0;
}
