/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See pairs.h. A thread is driver and host of its pair: it makes a burst available, has the device take
 * it and deliver it again, looks what came, and begins anew. The driver is as thin as can be, so that the
 * device is what is measured: rings in which descriptor i always is buffer i, split, polled, without
 * interrupts. Frames find their pair by flow, as the device has learnt from those that were sent.
 */
#include "pairs.h"

#include <stdlib.h>
#include <string.h>

#include <glib.h>
#include <pthread.h>
#include <unistd.h>

#include <vionet/device.h>
#include <vionet/spec.h>
#include <vionet/transport.h>

#include "driver/bytes.h"

#define BASE     UINT64_C(0x100000)
#define SIZE     256u /* of a ring */
#define BURST    32u
#define HEADER   12u
#define BUFFER   2112u /* no power of two: buffers must not meet in one cache set */
#define ROUND_NS 20000000

/* Each queue has its parts on pages of its own, then buffers. */
#define AVAIL  4096u
#define USED   8192u
#define DATA   12288u
#define SPACE  (DATA + (SIZE * BUFFER + 4095) / 4096 * 4096)
#define QUEUES (2 * PAIRS_MAX + 1)

struct pairs {
    VionetDevice *device;
    uint8_t *memory;
    unsigned n;
};

/* One pair's thread; in lines that no other one writes. */
struct mover {
    _Alignas(128) pthread_t thread;
    struct pairs *pairs;
    unsigned pair;
    uint16_t sent, received; /* available indices */
    pthread_barrier_t *barrier;
    unsigned long frames;
    double ns;
};

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static uint8_t *queue_memory(const struct pairs *pairs, unsigned queue)
{
    return pairs->memory + (size_t)queue * SPACE;
}

/* ---- The driver ---- */

static void put_desc(uint8_t *queue, uint64_t gpa, unsigned i, uint32_t at, uint32_t len,
                     uint16_t flags, uint16_t next)
{
    bytes_put64(queue + 16 * i, gpa + at);
    bytes_put32(queue + 16 * i + 8, len);
    bytes_put16(queue + 16 * i + 12, flags);
    bytes_put16(queue + 16 * i + 14, next);
}

/* Makes buffers available up to that index. */
static void show(uint8_t *queue, uint16_t idx)
{
    __atomic_store_n((uint16_t *)(void *)(queue + AVAIL + 2), GUINT16_TO_LE(idx), __ATOMIC_RELEASE);
}

static uint16_t used_index(const uint8_t *queue)
{
    return GUINT16_FROM_LE(
        __atomic_load_n((const uint16_t *)(const void *)(queue + USED + 2), __ATOMIC_ACQUIRE));
}

static void set_up(const struct pairs *pairs, unsigned index)
{
    const uint64_t gpa = BASE + (uint64_t)index * SPACE;

    vionet_device_write_queue_size(pairs->device, index, SIZE);
    vionet_device_write_queue_area(pairs->device, index, VIONET_AREA_DESC, gpa);
    vionet_device_write_queue_area(pairs->device, index, VIONET_AREA_DRIVER, gpa + AVAIL);
    vionet_device_write_queue_area(pairs->device, index, VIONET_AREA_DEVICE, gpa + USED);
    vionet_device_write_queue_enable(pairs->device, index, 1);
}

/* UDP over IPv4; a pair has one flow, so that no two share a place in the device's memory of flows. */
static void put_frame(uint8_t *frame, unsigned pair)
{
    memset(frame, 0xff, 6);
    frame[12] = 8;
    frame[14] = 0x45;
    frame[23] = 17;
    frame[27] = (uint8_t)(1 + pair);
}

static void fill_queue(const struct pairs *pairs, unsigned index, unsigned len)
{
    const bool sends = index % 2 == 1;
    uint8_t *queue = queue_memory(pairs, index);

    for (unsigned i = 0; i < SIZE; i++) {
        put_desc(queue, BASE + (uint64_t)index * SPACE, i, DATA + i * BUFFER,
                 sends ? HEADER + len : BUFFER, sends ? 0 : VIRTQ_DESC_F_WRITE, 0);
        bytes_put16(queue + AVAIL + 4 + 2 * i, (uint16_t)i);
        if (sends) {
            put_frame(queue + DATA + i * BUFFER + HEADER, index / 2);
        }
    }
    bytes_put16(queue + AVAIL, VIRTQ_AVAIL_F_NO_INTERRUPT);
}

/* The one command that there is: how many pairs are in use. */
static void command_pairs(const struct pairs *pairs)
{
    const unsigned index = 2 * pairs->n;
    const uint64_t gpa = BASE + (uint64_t)index * SPACE;
    uint8_t *queue = queue_memory(pairs, index);

    queue[DATA] = VIRTIO_NET_CTRL_MQ;
    queue[DATA + 1] = VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET;
    bytes_put16(queue + DATA + 2, (uint16_t)pairs->n);
    queue[DATA + 4] = 0xff;
    put_desc(queue, gpa, 0, DATA, 4, VIRTQ_DESC_F_NEXT, 1);
    put_desc(queue, gpa, 1, DATA + 4, 1, VIRTQ_DESC_F_WRITE, 0);
    show(queue, 1);
    vionet_device_kick(pairs->device, index);
    g_assert(queue[DATA + 4] == VIRTIO_NET_OK);
}

static void pairs_init(struct pairs *pairs, unsigned n, unsigned len)
{
    const VionetHostOps ops = {.size = sizeof(ops)};
    uint64_t features[VIONET_FEATURE_WORDS] = {0};
    VionetConfig config;

    vionet_config_init(&config);
    vionet_features_set(features, VIRTIO_F_VERSION_1, true);
    vionet_features_set(features, VIRTIO_NET_F_CTRL_VQ, true);
    vionet_features_set(features, VIRTIO_NET_F_MQ, true);
    memcpy(config.features, features, sizeof(features));
    config.max_pairs = (uint16_t)n;
    config.receive_queue_size = config.transmit_queue_size = config.control_queue_size = SIZE;
    pairs->n = n;
    pairs->device = vionet_device_new(&config, &ops, NULL, NULL);
    pairs->memory = g_aligned_alloc0(QUEUES, SPACE, 4096);
    g_assert(pairs->device &&
             vionet_device_map(pairs->device, BASE, pairs->memory, QUEUES * SPACE, 0, NULL));
    vionet_device_write_status(pairs->device, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
    for (uint32_t window = 0; window < 2 * VIONET_FEATURE_WORDS; window++) {
        vionet_device_write_driver_features(pairs->device, window,
                                            (uint32_t)(features[window / 2] >> 32 * (window % 2)));
    }
    vionet_device_write_status(pairs->device,
                               vionet_device_status(pairs->device) | VIRTIO_STATUS_FEATURES_OK);
    for (unsigned i = 0; i < 2 * n + 1; i++) {
        if (i < 2 * n) {
            fill_queue(pairs, i, len);
        }
        set_up(pairs, i);
    }
    vionet_device_write_status(pairs->device,
                               vionet_device_status(pairs->device) | VIRTIO_STATUS_DRIVER_OK);
    command_pairs(pairs);
    for (unsigned i = 0; i < 2 * n; i++) {
        vionet_device_set_poll(pairs->device, i, true);
    }
}

static void pairs_free(struct pairs *pairs)
{
    vionet_device_free(pairs->device);
    g_aligned_free(pairs->memory);
}

/* ---- A pair's thread ---- */

static void move_burst(struct mover *mover)
{
    VionetDevice *device = mover->pairs->device;
    uint8_t *receive = queue_memory(mover->pairs, 2 * mover->pair);
    uint8_t *transmit = queue_memory(mover->pairs, 2 * mover->pair + 1);
    VionetFrame frames[BURST];
    size_t n;

    mover->sent = (uint16_t)(mover->sent + BURST);
    mover->received = (uint16_t)(mover->received + BURST);
    show(receive, mover->received);
    show(transmit, mover->sent);
    n = vionet_device_transmit(device, mover->pair, frames, BURST);
    g_assert(n == BURST);
    vionet_device_receive(device, mover->pair, frames, n, NULL, 0);
    vionet_device_complete(device, mover->pair, frames, n);
    g_assert(used_index(receive) == mover->received && used_index(transmit) == mover->sent);
}

static void *move(void *data)
{
    struct mover *mover = data;
    double start;

    pthread_barrier_wait(mover->barrier);
    start = now_ns();
    mover->frames = 0;
    do {
        for (unsigned i = 0; i < 32; i++) {
            move_burst(mover);
        }
        mover->frames += 32 * BURST;
        mover->ns = now_ns() - start;
    } while (mover->ns < ROUND_NS);
    return NULL;
}

static void stay(struct mover *mover, unsigned processor)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    pthread_setaffinity_np(mover->thread, sizeof(set), &set);
}

/* What the first n movers do together, in millions of frames a second. */
static double run(struct mover *movers, unsigned n)
{
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    pthread_barrier_t barrier;
    double rate = 0;

    pthread_barrier_init(&barrier, NULL, n);
    for (unsigned i = 0; i < n; i++) {
        movers[i].barrier = &barrier;
        pthread_create(&movers[i].thread, NULL, move, &movers[i]);
        if (processors >= (long)n) {
            stay(&movers[i], i);
        }
    }
    for (unsigned i = 0; i < n; i++) {
        pthread_join(movers[i].thread, NULL);
        rate += (double)movers[i].frames / movers[i].ns * 1e3;
    }
    pthread_barrier_destroy(&barrier);
    return rate;
}

/* ---- The measurement ---- */

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

struct pairs_rate pairs_measure(unsigned n, unsigned len, unsigned rounds)
{
    double *ones = g_new(double, rounds), *alls = g_new(double, rounds);
    struct mover movers[PAIRS_MAX] = {0};
    struct pairs_rate rate;
    struct pairs pairs;

    g_assert(n <= PAIRS_MAX && len <= BUFFER - HEADER);
    pairs_init(&pairs, n, len);
    for (unsigned i = 0; i < n; i++) {
        movers[i].pairs = &pairs;
        movers[i].pair = i;
    }
    run(movers, n); /* the device learns where the flows are */
    for (unsigned round = 0; round < rounds; round++) {
        ones[round] = run(movers, 1);
        alls[round] = run(movers, n);
    }
    qsort(ones, rounds, sizeof(ones[0]), compare);
    qsort(alls, rounds, sizeof(alls[0]), compare);
    rate = (struct pairs_rate){ones[rounds / 2], alls[rounds / 2]};
    pairs_free(&pairs);
    g_free(ones);
    g_free(alls);
    return rate;
}
