/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a frame costs: dissecting and hashing it, receiving it through the ring, transmitting it.
 * Every figure is the median of interleaved rounds on one core and stands beside its yardstick from
 * the same rounds: bitwise Toeplitz for hashing, memcpy of the same octets between the same buffers
 * for the ring. Then how far queue pairs on threads of their own keep out of each other's way. Run by meson
 * test --benchmark; docs/performance.md says how to read it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <vionet/hash.h>
#include <vionet/spec.h>

#include "machine/machine.h"
#include "reference/reference.h"

#include "pairs.h"

#define ROUNDS      15
#define POOL        512  /* frames with different flows */
#define FRAME_PITCH 1600 /* no power of two: buffers must not meet in one cache set */
#define SOURCES     64   /* frames that the host sends, more than L1 holds */
#define RING_SIZE   256
#define BURST       32
#define MAX_RESULTS 64
#define N_PAIRS     2 /* on threads of their own */

static const uint8_t key_octets[40] = {
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
    0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
    0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

/* Keeps results from being optimised away. */
static volatile uint32_t sink;

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* ---- one measurement: the median burst, as other processes may take the core in between ---- */

#define MAX_BURSTS 16384

struct timing {
    unsigned n;
    double ns[MAX_BURSTS];
};

static void timing_add(struct timing *timing, double ns)
{
    if (timing->n < MAX_BURSTS) {
        timing->ns[timing->n++] = ns;
    }
}

static double timing_per_frame(struct timing *timing, unsigned burst)
{
    qsort(timing->ns, timing->n, sizeof(timing->ns[0]), compare_doubles);
    return timing->ns[timing->n / 2] / burst;
}

/* ---- measurements: named series of ns per frame ---- */

struct series {
    char name[64];
    unsigned n;
    double ns[ROUNDS];
};

static struct series results[MAX_RESULTS];
static unsigned n_results;

static struct series *series(const char *name)
{
    for (unsigned i = 0; i < n_results; i++) {
        if (strcmp(results[i].name, name) == 0) {
            return &results[i];
        }
    }
    g_assert(n_results < MAX_RESULTS);
    g_strlcpy(results[n_results].name, name, sizeof(results[0].name));
    return &results[n_results++];
}

static void record(const char *name, double ns)
{
    struct series *s = series(name);

    s->ns[s->n++] = ns;
}

static double median(const char *name)
{
    struct series *s = series(name);

    qsort(s->ns, s->n, sizeof(s->ns[0]), compare_doubles);
    return s->ns[s->n / 2];
}

static void print_ratio(const char *what, const char *yardstick)
{
    double a = median(what), b = median(yardstick);

    printf("%-44s %9.1f ns   %-34s %9.1f ns   ratio %6.2f\n", what, a, yardstick, b, a / b);
}

/* ---- frames ---- */

static unsigned put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
    return 2;
}

static unsigned put_ethernet(uint8_t *p, unsigned type)
{
    memset(p, 2, 12);
    put16(p + 12, type);
    return 14;
}

static unsigned put_ipv4(uint8_t *p, uint8_t protocol, unsigned payload)
{
    memset(p, 0, 20);
    p[0] = 0x45;
    put16(p + 2, 20 + payload);
    p[8] = 64;
    p[9] = protocol;
    for (unsigned i = 12; i < 20; i++) {
        p[i] = (uint8_t)rand();
    }
    return 20;
}

static unsigned put_ipv6(uint8_t *p, uint8_t protocol, unsigned payload)
{
    memset(p, 0, 8);
    p[0] = 0x60;
    put16(p + 4, payload);
    p[6] = protocol;
    p[7] = 64;
    for (unsigned i = 8; i < 40; i++) {
        p[i] = (uint8_t)rand();
    }
    return 40;
}

static unsigned put_tcp(uint8_t *p)
{
    memset(p, 0, 20);
    put16(p, (unsigned)rand());
    put16(p + 2, (unsigned)rand());
    p[12] = 0x50;
    return 20;
}

static unsigned put_udp(uint8_t *p, unsigned port, unsigned payload)
{
    put16(p, (unsigned)rand());
    put16(p + 2, port);
    put16(p + 4, 8 + payload);
    put16(p + 6, 0);
    return 8;
}

static unsigned build_tcp4(uint8_t *p)
{
    unsigned n = put_ethernet(p, 0x0800);

    n += put_ipv4(p + n, 6, 20);
    return n + put_tcp(p + n);
}

static unsigned build_tcp6(uint8_t *p)
{
    unsigned n = put_ethernet(p, 0x86dd);

    n += put_ipv6(p + n, 6, 20);
    return n + put_tcp(p + n);
}

static unsigned wrap_vxlan(uint8_t *p, unsigned (*inner)(uint8_t *))
{
    static const uint8_t vxlan[8] = {8, 0, 0, 0, 0, 0, 42, 0};
    unsigned len = inner(p + 50);
    unsigned n = put_ethernet(p, 0x0800);

    n += put_ipv4(p + n, 17, 8 + 8 + len);
    n += put_udp(p + n, 4789, 8 + len);
    memcpy(p + n, vxlan, 8);
    return n + 8 + len;
}

static unsigned build_vxlan4(uint8_t *p)
{
    return wrap_vxlan(p, build_tcp4);
}

static unsigned build_vxlan6(uint8_t *p)
{
    return wrap_vxlan(p, build_tcp6);
}

static unsigned build_gre4(uint8_t *p)
{
    unsigned n = put_ethernet(p, 0x0800);

    n += put_ipv4(p + n, 47, 4 + 40);
    put16(p + n, 0);
    n += 2 + put16(p + n + 2, 0x0800);
    n += put_ipv4(p + n, 6, 20);
    return n + put_tcp(p + n);
}

static const struct shape {
    const char *name;
    unsigned (*build)(uint8_t *p);
} shapes[] = {
    {"IPv4 TCP", build_tcp4},
    {"IPv6 TCP", build_tcp6},
    {"VXLAN, inner IPv4 TCP", build_vxlan4},
    {"VXLAN, inner IPv6 TCP", build_vxlan6},
    {"GRE, inner IPv4 TCP", build_gre4},
};

/* ---- hashing ---- */

#define FRAME_ROOM 256

struct pool {
    uint8_t (*frames)[FRAME_ROOM];
    unsigned len[POOL];
};

static void fill_pool(struct pool *pool, const struct shape *shape)
{
    for (unsigned i = 0; i < POOL; i++) {
        pool->len[i] = shape->build(pool->frames[i]);
    }
}

static unsigned flow_input(const VionetFlow *flow, uint8_t input[36])
{
    memcpy(input, flow->src, flow->addr_len);
    memcpy(input + flow->addr_len, flow->dst, flow->addr_len);
    memcpy(input + 2u * flow->addr_len, flow->ports, 4);
    return 2u * flow->addr_len + 4;
}

static double time_hash(const struct pool *pool, const VionetHashKey *key, unsigned repeats)
{
    double start = now_ns();
    uint32_t sum = 0;

    for (unsigned r = 0; r < repeats; r++) {
        for (unsigned i = 0; i < POOL; i++) {
            VionetFlow flow;

            vionet_dissect(pool->frames[i], pool->len[i], VIONET_TUNNEL_ALL, &flow);
            sum += vionet_hash_flow(key, &flow, vionet_flow_report(&flow, 0x1ff));
        }
    }
    sink = sum;
    return (now_ns() - start) / (repeats * POOL);
}

static double time_dissect(const struct pool *pool, unsigned repeats)
{
    double start = now_ns();
    uint32_t sum = 0;

    for (unsigned r = 0; r < repeats; r++) {
        for (unsigned i = 0; i < POOL; i++) {
            VionetFlow flow;

            vionet_dissect(pool->frames[i], pool->len[i], VIONET_TUNNEL_ALL, &flow);
            sum += vionet_flow_report(&flow, 0x1ff);
        }
    }
    sink = sum;
    return (now_ns() - start) / (repeats * POOL);
}

typedef uint32_t toeplitz_function(const uint8_t *key, size_t key_len, const uint8_t *input,
                                   size_t len);

static double time_bitwise(const struct pool *pool, toeplitz_function *toeplitz, unsigned repeats)
{
    double start = now_ns();
    uint32_t sum = 0;

    for (unsigned r = 0; r < repeats; r++) {
        for (unsigned i = 0; i < POOL; i++) {
            uint8_t input[36];
            VionetFlow flow;

            vionet_dissect(pool->frames[i], pool->len[i], VIONET_TUNNEL_ALL, &flow);
            sum += toeplitz(key_octets, sizeof(key_octets), input, flow_input(&flow, input));
        }
    }
    sink = sum;
    return (now_ns() - start) / (repeats * POOL);
}

static void hash_round(const struct pool *pool, const VionetHashKey *key, const char *shape)
{
    char name[64];

    g_snprintf(name, sizeof(name), "%s: dissect", shape);
    record(name, time_dissect(pool, 100));
    g_snprintf(name, sizeof(name), "%s: dissect + hash", shape);
    record(name, time_hash(pool, key, 100));
    g_snprintf(name, sizeof(name), "%s: + bitwise", shape);
    record(name, time_bitwise(pool, reference_toeplitz, 2));
    g_snprintf(name, sizeof(name), "%s: + shifting", shape);
    record(name, time_bitwise(pool, reference_toeplitz_shift, 10));
}

static void measure_hashing(void)
{
    VionetHashKey *key = vionet_hash_key_new(key_octets, sizeof(key_octets));
    struct pool pools[G_N_ELEMENTS(shapes)];

    for (unsigned s = 0; s < G_N_ELEMENTS(shapes); s++) {
        pools[s].frames = g_malloc(POOL * sizeof(pools[s].frames[0]));
        fill_pool(&pools[s], &shapes[s]);
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned s = 0; s < G_N_ELEMENTS(shapes); s++) {
            hash_round(&pools[s], key, shapes[s].name);
        }
    }
    for (unsigned s = 0; s < G_N_ELEMENTS(shapes); s++) {
        g_free(pools[s].frames);
    }
    vionet_hash_key_free(key);
}

/* ---- the ring ---- */

struct bench {
    struct machine *machine;
    uint8_t *sources;
    struct iovec iov[SOURCES];
    VionetFrame frames[SOURCES];
    unsigned next;            /* source */
    void *targets[RING_SIZE]; /* where the guest's receive buffers are */
    unsigned n_targets;
};

static struct machine *make_machine(bool hash)
{
    const uint16_t table[1] = {0};
    struct machine_setup setup;
    struct machine *machine;
    struct net_rss rss = {.hash_types = 0x1ff,
                          .table = table,
                          .table_len = 1,
                          .max_tx_vq = 1,
                          .key = key_octets,
                          .key_len = 40};

    machine_setup_init(&setup);
    setup.device.receive_queue_size = setup.device.transmit_queue_size = RING_SIZE;
    vionet_features_set(setup.device.features, VIRTIO_NET_F_RSS, hash);
    vionet_features_set(setup.device.features, VIRTIO_NET_F_HASH_REPORT, hash);
    vionet_features_set(setup.device.features, VIRTIO_NET_F_HASH_TUNNEL, hash);
    setup.net.receive_size = FRAME_PITCH;
    setup.net.transmit_size = FRAME_PITCH;
    setup.net.receive_batch = 1;
    setup.net.transmit_buffers = RING_SIZE / 2;
    machine = machine_new(&setup, NULL);
    g_assert(machine && machine_boot(machine, features_known()));
    net_control_rx(machine->net, VIRTIO_NET_CTRL_RX_PROMISC, true);
    if (hash) {
        g_assert(net_control_rss(machine->net, &rss) == VIRTIO_NET_OK);
        g_assert(net_control_hash_tunnel(machine->net, 0x1ff) == VIRTIO_NET_OK);
    }
    return machine;
}

static void bench_init(struct bench *bench, bool hash, unsigned len)
{
    memset(bench, 0, sizeof(*bench));
    bench->machine = make_machine(hash);
    bench->sources = g_malloc0(SOURCES * FRAME_PITCH);
    for (unsigned i = 0; i < SOURCES; i++) {
        bench->iov[i] = (struct iovec){bench->sources + i * FRAME_PITCH, len};
        bench->frames[i] = (VionetFrame){.iov = &bench->iov[i], .n_iov = 1};
        build_vxlan4(bench->iov[i].iov_base);
    }
}

static void bench_free(struct bench *bench)
{
    machine_free(bench->machine);
    g_free(bench->sources);
}

/* The driver's side of a burst, outside the measured time. */
static void guest_takes(struct bench *bench)
{
    struct guest_packet packet;

    while (net_receive(bench->machine->net, &packet)) {
        if (bench->n_targets < RING_SIZE) {
            bench->targets[bench->n_targets++] = (void *)packet.data;
        }
    }
    net_recycle(bench->machine->net);
}

static double receive_some(struct bench *bench, unsigned burst, unsigned frames)
{
    static struct timing timing;

    timing.n = 0;
    for (unsigned done = 0; done < frames; done += burst) {
        double start = now_ns();

        vionet_device_receive(bench->machine->device, 0, &bench->frames[bench->next], burst, NULL,
                              0);
        timing_add(&timing, now_ns() - start);
        bench->next = (bench->next + burst) % SOURCES;
        guest_takes(bench);
    }
    return timing_per_frame(&timing, burst);
}

/* memcpy of the same octets from the same sources to the same targets, in bursts like them. */
static double copy_some(struct bench *bench, unsigned burst, unsigned frames, size_t len)
{
    static struct timing timing;
    unsigned target = 0;

    timing.n = 0;
    for (unsigned done = 0; done < frames; done += burst) {
        double start = now_ns();

        for (unsigned i = 0; i < burst; i++) {
            memcpy(bench->targets[target], bench->iov[bench->next + i].iov_base, len);
            target = (target + 1) % bench->n_targets;
        }
        timing_add(&timing, now_ns() - start);
        bench->next = (bench->next + burst) % SOURCES;
    }
    return timing_per_frame(&timing, burst);
}

static double transmit_some(struct bench *bench, unsigned burst, unsigned frames, size_t len,
                            bool copy)
{
    static uint8_t out[BURST][FRAME_PITCH];
    static struct timing timing;
    VionetFrame taken[BURST];

    timing.n = 0;
    for (unsigned done = 0; done < frames; done += burst) {
        double start;
        size_t n;

        for (unsigned i = 0; i < burst; i++) {
            net_transmit_add(bench->machine->net, 0, NULL, NULL, bench->iov[i].iov_base,
                             (uint32_t)len);
        }
        net_transmit_flush(bench->machine->net, 0);
        start = now_ns();
        n = vionet_device_transmit(bench->machine->device, 0, taken, burst);
        for (size_t i = 0; copy && i < n; i++) {
            vionet_frame_linearize(&taken[i], out[i], FRAME_PITCH);
        }
        vionet_device_complete(bench->machine->device, 0, taken, n);
        timing_add(&timing, now_ns() - start);
        g_assert(n == burst);
        net_reclaim(bench->machine->net, 0);
    }
    sink = out[0][0];
    return timing_per_frame(&timing, burst);
}

/* What the device finds out about the same frames, without it: in bursts, or singly. */
static double hash_some(struct bench *bench, const VionetHashKey *key, bool singly, unsigned frames)
{
    static struct timing timing;
    const uint8_t *data[BURST];
    VionetFrameHash hashes[BURST];
    size_t lens[BURST];

    timing.n = 0;
    for (unsigned done = 0; done < frames; done += BURST) {
        double start = now_ns();

        for (unsigned i = 0; i < BURST; i++) {
            data[i] = bench->iov[bench->next + i].iov_base;
            lens[i] = bench->iov[bench->next + i].iov_len;
            if (singly) {
                VionetFlow flow;

                vionet_dissect(data[i], lens[i], VIONET_TUNNEL_ALL, &flow);
                hashes[i].hash = vionet_hash_flow(key, &flow, vionet_flow_report(&flow, 0x1ff));
            }
        }
        if (!singly) {
            vionet_hash_frames(key, data, lens, BURST, VIONET_TUNNEL_ALL, 0x1ff, hashes);
        }
        sink = hashes[BURST - 1].hash;
        timing_add(&timing, now_ns() - start);
        bench->next = (bench->next + BURST) % SOURCES;
    }
    return timing_per_frame(&timing, BURST);
}

/* Reading the clock twice, which every burst pays. */
static double clock_cost(void)
{
    static struct timing timing;

    timing.n = 0;
    for (unsigned i = 0; i < 1000; i++) {
        double start = now_ns();

        timing_add(&timing, now_ns() - start);
    }
    return timing_per_frame(&timing, 1);
}

static void ring_round(struct bench *plain, struct bench *hashing, const VionetHashKey *key,
                       unsigned len)
{
    static const unsigned bursts[] = {1, BURST};
    char name[64];

    for (unsigned b = 0; b < G_N_ELEMENTS(bursts); b++) {
        const unsigned burst = bursts[b];
        const double clock = clock_cost() / burst;

        g_snprintf(name, sizeof(name), "receive %u octets, burst %u", len, burst);
        record(name, receive_some(plain, burst, 16384) - clock);
        g_snprintf(name, sizeof(name), "receive+hash %u octets, burst %u", len, burst);
        record(name, receive_some(hashing, burst, 16384) - clock);
        if (burst == BURST) {
            g_snprintf(name, sizeof(name), "dissect+hash %u octets, burst %u", len, burst);
            record(name, hash_some(hashing, key, false, 16384) - clock);
            g_snprintf(name, sizeof(name), "dissect+hash %u octets, singly", len);
            record(name, hash_some(hashing, key, true, 16384) - clock);
            g_snprintf(name, sizeof(name), "memcpy %u octets, burst %u", len, burst);
            record(name, copy_some(plain, burst, 16384, len) - clock);
        }
        g_snprintf(name, sizeof(name), "transmit %u octets, burst %u", len, burst);
        record(name, transmit_some(plain, burst, 16384, len, false) - clock);
        g_snprintf(name, sizeof(name), "transmit+copy %u octets, burst %u", len, burst);
        record(name, transmit_some(plain, burst, 16384, len, true) - clock);
    }
}

static const unsigned lengths[] = {114, 1514};

static void measure_ring(void)
{
    VionetHashKey *key = vionet_hash_key_new(key_octets, sizeof(key_octets));

    for (unsigned l = 0; l < G_N_ELEMENTS(lengths); l++) {
        struct bench plain, hashing;

        bench_init(&plain, false, lengths[l]);
        bench_init(&hashing, true, lengths[l]);
        receive_some(&plain, BURST, 4096); /* also finds the targets */
        receive_some(&hashing, BURST, 4096);
        for (unsigned round = 0; round < ROUNDS; round++) {
            ring_round(&plain, &hashing, key, lengths[l]);
        }
        bench_free(&plain);
        bench_free(&hashing);
    }
    vionet_hash_key_free(key);
}

/* ---- the report ---- */

static void report_hashing(void)
{
    char what[64], bitwise[64], shifting[64], dissect[64];

    printf(
        "Dissecting and hashing, ns per frame. Yardsticks: the same dissection followed by a\n"
        "Toeplitz hash bit by bit as defined, and by one that shifts a window along the key.\n\n");
    for (unsigned s = 0; s < G_N_ELEMENTS(shapes); s++) {
        g_snprintf(what, sizeof(what), "%s: dissect + hash", shapes[s].name);
        g_snprintf(dissect, sizeof(dissect), "%s: dissect", shapes[s].name);
        g_snprintf(bitwise, sizeof(bitwise), "%s: + bitwise", shapes[s].name);
        g_snprintf(shifting, sizeof(shifting), "%s: + shifting", shapes[s].name);
        printf("%-24s %6.1f (dissection alone %5.1f)   bitwise %7.1f = %5.1f times   "
               "shifting %6.1f = %4.1f times\n",
               shapes[s].name, median(what), median(dissect), median(bitwise),
               median(bitwise) / median(what), median(shifting), median(shifting) / median(what));
    }
}

static void report_ring(void)
{
    static const char *const whats[] = {"receive", "receive+hash", "transmit", "transmit+copy"};
    static const unsigned bursts[] = {1, BURST};
    char what[64], copy[64];

    printf("\nThrough the ring, ns per frame on the device's side. Yardstick: memcpy of the same\n"
           "octets between the same buffers.\n\n");
    for (unsigned l = 0; l < G_N_ELEMENTS(lengths); l++) {
        for (unsigned b = 0; b < G_N_ELEMENTS(bursts); b++) {
            /* Of a burst: a single copy is shorter than the clock can tell. */
            g_snprintf(copy, sizeof(copy), "memcpy %u octets, burst %u", lengths[l], BURST);
            for (unsigned w = 0; w < G_N_ELEMENTS(whats); w++) {
                g_snprintf(what, sizeof(what), "%s %u octets, burst %u", whats[w], lengths[l],
                           bursts[b]);
                print_ratio(what, copy);
            }
        }
    }
}

/* What RSS and hash report add to receiving, beside the same found out alone. */
static void report_added(void)
{
    static const char *const hows[] = {"burst 32", "singly"};
    char what[64];

    printf("\nRSS and hash report, ns that they add to a received frame of a burst of %u.\n\n",
           BURST);
    for (unsigned l = 0; l < G_N_ELEMENTS(lengths); l++) {
        double added;

        g_snprintf(what, sizeof(what), "receive+hash %u octets, burst %u", lengths[l], BURST);
        added = median(what);
        g_snprintf(what, sizeof(what), "receive %u octets, burst %u", lengths[l], BURST);
        added -= median(what);
        for (unsigned h = 0; h < G_N_ELEMENTS(hows); h++) {
            g_snprintf(what, sizeof(what), "dissect+hash %u octets, %s", lengths[l], hows[h]);
            printf("%4u octets %36.1f ns   %-34s %9.1f ns   ratio %6.2f\n", lengths[l], added, what,
                   median(what), added / median(what));
        }
    }
}

static void report_pairs(void)
{
    printf(
        "\nEach pair on its own thread, sent and received again, millions of frames a second.\n\n");
    for (unsigned l = 0; l < G_N_ELEMENTS(lengths); l++) {
        const struct pairs_rate rate = pairs_measure(N_PAIRS, lengths[l], ROUNDS);

        printf("%4u octets: one of %u pairs %6.2f   all of them %6.2f = %4.2f times\n", lengths[l],
               N_PAIRS, rate.one, rate.all, rate.all / rate.one);
    }
}

int main(void)
{
    srand(1);
    measure_hashing();
    measure_ring();
    report_hashing();
    report_ring();
    report_added();
    report_pairs();
    return 0;
}
