/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames through a ring, with DPDK's net_virtio_user as the driver: once with DPDK's own vhost library as
 * the device, once with vionet. And, as what both are to be measured by, frames through no ring at all: slots
 * of memory, an index each way, and the copies. Built and run by rings.py, against DPDK, which is why it is
 * no part of the Meson build.
 *
 *     ring_yardstick EAL-ARGUMENTS -- dpdk|vionet|none one|two SOCKET DRIVER FEATURES LENGTH [ROUNDS]
 *
 * one: both ends on one core, with bursts in turn, so that no line travels between cores; prints what a
 * frame costs, in ns: "receive" (to the driver), "transmit" (from it), and what it costs the driver. two:
 * each end on a core of its own, the device on CPU 0; prints how many frames came through, in millions a
 * second. DRIVER are net_virtio_user's arguments, FEATURES the device's properties, LENGTH 0 is an IMIX; frames
 * longer than 9700 octets are TCP to be segmented. ROUNDS are bursts in one sample on one core. Figures are medians.
 */
#include <inttypes.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_bus_vdev.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_vhost.h>

#include "ring_device.h"

#define BURST     RING_DEVICE_BURST
#define RING_SIZE 256
#define SOURCES   RING_DEVICE_FRAMES
#define ROOM      2176 /* no power of two: buffers must not meet in one cache set */
#define SAMPLES   15
#define ROUNDS    5000 /* bursts in one sample on one core */
#define SAMPLE_NS 100000000
#define MTU_ROOM  9728
#define TSO_ROOM  65408

/* How a device is driven, and its driver; what moves frames is measured. */
struct device {
    int (*open)(const char *path, const char *features);
    int (*start_driver)(const char *path, const char *arguments, unsigned length);
    int (*is_running)(void);
    unsigned (*receive)(unsigned first);
    unsigned (*transmit)(void);
    unsigned (*driver_receive)(void);
    void (*driver_transmit)(unsigned length, unsigned *next);
};

/* Of the device, and of the driver: buffers to receive in, frames to transmit. */
static struct rte_mempool *pool, *buffers, *frames_out;
static struct rte_mbuf *sources[SOURCES];
static unsigned room = ROOM;
static unsigned n_rounds = ROUNDS;

static int is_segmented(unsigned length)
{
    return length > MTU_ROOM;
}

/* 7 of 64, 4 of 594, 1 of 1518 octets, mixed. */
static unsigned length_at(unsigned length, unsigned i)
{
    static const unsigned imix[12] = {64, 594, 64, 64, 594, 64, 1518, 64, 594, 64, 594, 64};

    return length ? length : imix[i % 12];
}

/* ---- DPDK's vhost library ---- */

static volatile int vid = -1;

static int device_came(int id)
{
    vid = id;
    return 0;
}

static void device_went(int id)
{
    (void)id;
    vid = -1;
}

static int dpdk_open(const char *path, const char *features)
{
    static const struct rte_vhost_device_ops ops = {
        .new_device = device_came,
        .destroy_device = device_went,
    };

    (void)features;
    return rte_vhost_driver_register(path, 0) || rte_vhost_driver_callback_register(path, &ops) ||
           rte_vhost_driver_start(path);
}

static int dpdk_is_running(void)
{
    if (vid < 0) {
        return 0;
    }
    rte_vhost_enable_guest_notification(vid, 0, 0);
    rte_vhost_enable_guest_notification(vid, 1, 0);
    return 1;
}

static unsigned dpdk_receive(unsigned first)
{
    return rte_vhost_enqueue_burst(vid, 0, sources + first, BURST);
}

static unsigned dpdk_transmit(void)
{
    struct rte_mbuf *frames[BURST];
    const unsigned n = rte_vhost_dequeue_burst(vid, 1, pool, frames, BURST);

    rte_pktmbuf_free_bulk(frames, n);
    return n;
}

/* ---- vionet ---- */

/* As many as a burst: DPDK's device has its buffers back after each, too. */
static struct ring_frame places[BURST];

static int make_places(void)
{
    uint8_t *memory = rte_malloc(NULL, (size_t)BURST * room, 64);

    for (unsigned i = 0; memory && i < BURST; i++) {
        places[i].data = memory + (size_t)i * room;
    }
    return !memory;
}

static int vionet_open(const char *path, const char *features)
{
    return make_places() || !ring_device_open(path, features);
}

static int vionet_is_running(void)
{
    return ring_device_running();
}

static unsigned vionet_receive(unsigned first)
{
    return ring_device_receive(first);
}

static unsigned vionet_transmit(void)
{
    return ring_device_transmit(places, BURST);
}

/* ---- The driver ---- */

/* Ethernet, IPv4 and the beginning of UDP or TCP; 0x50 is TCP's own length. */
static void fill(uint8_t *data, unsigned length)
{
    static const uint8_t head[54] = {2,  0,    0, 0, 0,  1, 2, 0, 0,    0,    0,    2,   8,
                                     0,  0x45, 0, 0, 0,  0, 0, 0, 0,    64,   17,   0,   0,
                                     10, 0,    0, 1, 10, 0, 0, 2, 0x12, 0x34, 0x56, 0x78};

    memcpy(data, head, length < sizeof(head) ? length : sizeof(head));
    if (is_segmented(length)) {
        data[23] = IPPROTO_TCP;
        data[46] = 0x50;
    }
}

/* Length and, of a long one, how it is to be segmented. */
static void describe(struct rte_mbuf *frame, unsigned length)
{
    frame->data_len = (uint16_t)length;
    frame->pkt_len = length;
    if (is_segmented(length)) {
        frame->ol_flags = RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_IPV4;
        frame->l2_len = 14;
        frame->l3_len = 20;
        frame->l4_len = 20;
        frame->tso_segsz = 1448;
    }
}

static void make_sources(unsigned length)
{
    struct ring_frame frames[SOURCES];

    for (unsigned i = 0; i < SOURCES; i++) {
        const unsigned len = length_at(length, i);
        uint8_t *data;

        sources[i] = rte_pktmbuf_alloc(pool);
        data = rte_pktmbuf_mtod(sources[i], uint8_t *);
        memset(data, 0x5a, len);
        fill(data, len);
        describe(sources[i], len);
        frames[i] = (struct ring_frame){data, len, is_segmented(len)};
    }
    ring_device_prepare(frames, SOURCES); /* both devices have the same */
}

static void fill_frame(struct rte_mempool *from, void *length, void *frame, unsigned i)
{
    (void)from;
    (void)i;
    fill(rte_pktmbuf_mtod((struct rte_mbuf *)frame, uint8_t *), *(unsigned *)length);
}

static int start_driver(const char *path, const char *arguments, unsigned length)
{
    struct rte_eth_conf configuration;
    char all[512];

    snprintf(all, sizeof(all), "path=%s,queues=1,queue_size=%u,%s", path, RING_SIZE, arguments);
    memset(&configuration, 0, sizeof(configuration));
    if (is_segmented(length)) {
        configuration.rxmode.offloads = RTE_ETH_RX_OFFLOAD_TCP_LRO | RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
        configuration.txmode.offloads = RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
        rte_mempool_obj_iter(frames_out, fill_frame, &length);
    }
    return rte_vdev_init("net_virtio_user0", all) ||
           rte_eth_dev_configure(0, 1, 1, &configuration) ||
           rte_eth_rx_queue_setup(0, 0, RING_SIZE, 0, NULL, buffers) ||
           rte_eth_tx_queue_setup(0, 0, RING_SIZE, 0, NULL) || rte_eth_dev_start(0);
}

static unsigned driver_receive(void)
{
    struct rte_mbuf *frames[BURST];
    const unsigned n = rte_eth_rx_burst(0, 0, frames, BURST);

    rte_pktmbuf_free_bulk(frames, n);
    return n;
}

static void driver_transmit(unsigned length, unsigned *next)
{
    struct rte_mbuf *frames[BURST];
    unsigned n;

    if (rte_pktmbuf_alloc_bulk(frames_out, frames, BURST)) {
        rte_exit(EXIT_FAILURE, "no buffers left\n");
    }
    for (unsigned i = 0; i < BURST; i++) {
        describe(frames[i], length_at(length, (*next)++));
    }
    n = rte_eth_tx_burst(0, 0, frames, BURST);
    rte_pktmbuf_free_bulk(frames + n, BURST - n);
}

/* ---- No ring ---- */

#define NONE_HEADER 12
#define NONE_DATA   52 /* so that a frame begins where it does in a driver's buffer */

/* One way: who writes is behind "given", who reads behind "taken"; each looks at the other's when it must. */
static struct wire {
    uint8_t *slots;
    _Alignas(64) atomic_uint given;
    unsigned seen_taken;
    _Alignas(64) atomic_uint taken;
    unsigned seen_given;
} wires[2];

static int none_open(const char *path, const char *features)
{
    (void)path;
    (void)features;
    for (unsigned i = 0; i < 2; i++) {
        wires[i].slots = rte_zmalloc(NULL, (size_t)RING_SIZE * (room + 64), 64);
        if (!wires[i].slots) {
            return 1;
        }
    }
    return make_places();
}

static int none_start_driver(const char *path, const char *arguments, unsigned length)
{
    (void)path;
    (void)arguments;
    (void)length;
    return 0;
}

static int none_is_running(void)
{
    return 1;
}

static uint8_t *slot_at(const struct wire *wire, unsigned i)
{
    return wire->slots + (size_t)(i % RING_SIZE) * (room + 64) + NONE_DATA;
}

static int has_room(struct wire *wire)
{
    const unsigned given = atomic_load_explicit(&wire->given, memory_order_relaxed);

    if (given - wire->seen_taken + BURST > RING_SIZE) {
        wire->seen_taken = atomic_load_explicit(&wire->taken, memory_order_acquire);
    }
    return given - wire->seen_taken + BURST <= RING_SIZE;
}

static int has_frames(struct wire *wire)
{
    const unsigned taken = atomic_load_explicit(&wire->taken, memory_order_relaxed);

    if (wire->seen_given == taken) {
        wire->seen_given = atomic_load_explicit(&wire->given, memory_order_acquire);
    }
    return wire->seen_given != taken;
}

/* Of a frame: its length, then what a device leaves empty. */
static void write_header(uint8_t *slot, uint32_t len)
{
    memset(slot, 0, NONE_HEADER);
    memcpy(slot, &len, sizeof(len));
}

static uint32_t read_header(const uint8_t *slot)
{
    uint32_t len;

    memcpy(&len, slot, sizeof(len));
    return len;
}

static unsigned none_receive(unsigned first)
{
    struct wire *wire = &wires[0];
    const unsigned given = atomic_load_explicit(&wire->given, memory_order_relaxed);

    if (!has_room(wire)) {
        return 0;
    }
    for (unsigned i = 0; i < BURST; i++) {
        const struct rte_mbuf *frame = sources[first + i];
        uint8_t *slot = slot_at(wire, given + i);

        write_header(slot, frame->data_len);
        memcpy(slot + NONE_HEADER, rte_pktmbuf_mtod(frame, const uint8_t *), frame->data_len);
    }
    atomic_store_explicit(&wire->given, given + BURST, memory_order_release);
    return BURST;
}

static unsigned none_transmit(void)
{
    struct wire *wire = &wires[1];
    const unsigned taken = atomic_load_explicit(&wire->taken, memory_order_relaxed);

    if (!has_frames(wire)) {
        return 0;
    }
    for (unsigned i = 0; i < BURST; i++) {
        const uint8_t *slot = slot_at(wire, taken + i);

        memcpy(places[i].data, slot + NONE_HEADER, read_header(slot));
    }
    atomic_store_explicit(&wire->taken, taken + BURST, memory_order_release);
    return BURST;
}

static unsigned none_driver_receive(void)
{
    struct wire *wire = &wires[0];
    const unsigned taken = atomic_load_explicit(&wire->taken, memory_order_relaxed);
    static volatile uint32_t sum; /* so that it is read */

    if (!has_frames(wire)) {
        return 0;
    }
    for (unsigned i = 0; i < BURST; i++) {
        sum += read_header(slot_at(wire, taken + i));
    }
    atomic_store_explicit(&wire->taken, taken + BURST, memory_order_release);
    return BURST;
}

static void none_driver_transmit(unsigned length, unsigned *next)
{
    struct wire *wire = &wires[1];
    const unsigned given = atomic_load_explicit(&wire->given, memory_order_relaxed);

    if (!has_room(wire)) {
        return;
    }
    for (unsigned i = 0; i < BURST; i++) {
        write_header(slot_at(wire, given + i), length_at(length, (*next)++));
    }
    atomic_store_explicit(&wire->given, given + BURST, memory_order_release);
}

static const struct device devices[] = {
    {dpdk_open, start_driver, dpdk_is_running, dpdk_receive, dpdk_transmit, driver_receive,
     driver_transmit},
    {vionet_open, start_driver, vionet_is_running, vionet_receive, vionet_transmit, driver_receive,
     driver_transmit},
    {none_open, none_start_driver, none_is_running, none_receive, none_transmit,
     none_driver_receive, none_driver_transmit},
};

static const struct device *find_device(const char *name)
{
    return &devices[strcmp(name, "none") == 0 ? 2 : strcmp(name, "vionet") == 0];
}

/* ---- Measuring ---- */

struct sum {
    uint64_t ticks;
    uint64_t frames;
    double ns[SAMPLES];
};

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void close_sample(struct sum *sum, int sample)
{
    if (sample >= 0) {
        sum->ns[sample] =
            sum->frames ? (double)sum->ticks / (double)sum->frames * 1e9 / (double)rte_get_tsc_hz()
                        : 0;
    }
    sum->ticks = sum->frames = 0;
}

static double median(struct sum *sum)
{
    qsort(sum->ns, SAMPLES, sizeof(sum->ns[0]), compare);
    return sum->ns[SAMPLES / 2];
}

static void measure_on_one_core(const struct device *device, unsigned length)
{
    static struct sum receive, transmit, driver_in, driver_out;
    uint64_t received = 0;
    uint64_t transmitted = 0;
    unsigned next = 0;
    unsigned first = 0;

    for (int sample = -1; sample < SAMPLES; sample++) {
        for (unsigned i = 0; i < n_rounds; i++, first = (first + BURST) % SOURCES) {
            const uint64_t start = rte_rdtsc();
            uint64_t middle;

            receive.frames += device->receive(first);
            middle = rte_rdtsc();
            device->driver_receive();
            driver_in.ticks += rte_rdtsc() - middle;
            driver_in.frames += BURST;
            receive.ticks += middle - start;
        }
        for (unsigned i = 0; i < n_rounds; i++) {
            const uint64_t start = rte_rdtsc();
            uint64_t middle;

            device->driver_transmit(length, &next);
            middle = rte_rdtsc();
            driver_out.ticks += middle - start;
            driver_out.frames += BURST;
            transmit.frames += device->transmit();
            transmit.ticks += rte_rdtsc() - middle;
        }
        received += receive.frames;
        transmitted += transmit.frames;
        close_sample(&receive, sample);
        close_sample(&transmit, sample);
        close_sample(&driver_in, sample);
        close_sample(&driver_out, sample);
    }
    printf("receive %.2f transmit %.2f driver-receive %.2f driver-transmit %.2f received %" PRIu64
           " transmitted %" PRIu64 "\n",
           median(&receive), median(&transmit), median(&driver_in), median(&driver_out), received,
           transmitted);
    fflush(stdout);
}

/* ---- Two cores ---- */

struct side {
    const struct device *device;
    atomic_int receives; /* the device's side, while it runs: to the driver, or from it */
    atomic_int ends;
    _Alignas(64) atomic_ulong transmitted;
};

static void *run_device(void *opaque)
{
    struct side *side = opaque;
    unsigned first = 0;
    cpu_set_t cpus;

    CPU_ZERO(&cpus);
    CPU_SET(0, &cpus);
    pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
    while (!atomic_load_explicit(&side->ends, memory_order_relaxed)) {
        unsigned n;

        if (atomic_load_explicit(&side->receives, memory_order_relaxed)) {
            n = side->device->receive(first);
            first = (first + BURST) % SOURCES;
        } else {
            n = side->device->transmit();
            atomic_store_explicit(&side->transmitted, side->transmitted + n, memory_order_relaxed);
        }
        if (n == 0) {
            rte_pause();
        }
    }
    return NULL;
}

/* Millions a second. */
static double sample_two_cores(struct side *side, unsigned length)
{
    const uint64_t ticks = (uint64_t)((double)rte_get_tsc_hz() * SAMPLE_NS / 1e9);
    const uint64_t before = atomic_load(&side->transmitted);
    const uint64_t start = rte_rdtsc();
    uint64_t received = 0;
    unsigned next = 0;
    uint64_t now;

    do {
        if (atomic_load_explicit(&side->receives, memory_order_relaxed)) {
            received += side->device->driver_receive();
        } else {
            side->device->driver_transmit(length, &next);
        }
        now = rte_rdtsc();
    } while (now - start < ticks);
    return (double)(received + atomic_load(&side->transmitted) - before) * 1e3 /
           ((double)(now - start) / (double)rte_get_tsc_hz() * 1e9);
}

static void measure_on_two_cores(const struct device *device, unsigned length)
{
    static struct side side;
    double rates[2][SAMPLES];
    pthread_t thread;

    side.device = device;
    atomic_store(&side.receives, 1);
    pthread_create(&thread, NULL, run_device, &side);
    for (int receives = 1; receives >= 0; receives--) {
        atomic_store(&side.receives, receives);
        sample_two_cores(&side, length);
        for (unsigned i = 0; i < SAMPLES; i++) {
            rates[receives][i] = sample_two_cores(&side, length);
        }
        qsort(rates[receives], SAMPLES, sizeof(double), compare);
    }
    atomic_store(&side.ends, 1);
    pthread_join(thread, NULL);
    printf("receive %.2f transmit %.2f\n", rates[1][SAMPLES / 2], rates[0][SAMPLES / 2]);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    const int used = rte_eal_init(argc, argv);
    const struct device *device;
    unsigned n_frames;
    unsigned length;

    if (used < 0 || (argc - used != 7 && argc - used != 8)) {
        fprintf(stderr,
                "usage: ring_yardstick EAL -- dpdk|vionet|none one|two SOCKET DRIVER FEATURES "
                "LENGTH [ROUNDS]\n");
        return 2;
    }
    n_rounds = argc - used == 8 ? (unsigned)atoi(argv[used + 7]) : ROUNDS;
    argv += used;
    device = find_device(argv[1]);
    length = (unsigned)atoi(argv[6]);
    room = is_segmented(length) ? TSO_ROOM : length > 2000 ? MTU_ROOM : ROOM;
    n_frames = is_segmented(length) ? 1024 : 8192;
    pool = rte_pktmbuf_pool_create("device", n_frames, 256, 0, (uint16_t)room, 0);
    buffers = rte_pktmbuf_pool_create("driver", 8192, 256, 0,
                                      is_segmented(length) ? ROOM : (uint16_t)room, 0);
    frames_out = is_segmented(length)
                     ? rte_pktmbuf_pool_create("frames", n_frames, 256, 0, (uint16_t)room, 0)
                     : buffers;
    unlink(argv[3]);
    if (!pool || !buffers || !frames_out || device->open(argv[3], argv[5]) ||
        device->start_driver(argv[3], argv[4], length)) {
        rte_exit(EXIT_FAILURE, "cannot be set up\n");
    }
    make_sources(length);
    while (!device->is_running()) {
        usleep(1000);
    }
    usleep(200000); /* the last messages of starting */
    device->is_running();
    if (strcmp(argv[2], "two") == 0) {
        measure_on_two_cores(device, length);
    } else {
        measure_on_one_core(device, length);
    }
    unlink(argv[3]);
    _exit(0); /* without the long way down of either side */
}
