/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads (vionet/device.h, "Threads"): data functions from many, while one does what control
 * functions there are. Made for a thread sanitizer; without it, what is lost, torn, stuck or used
 * after it was taken away shows just as well. Guest memory that is unmapped is fenced at once, so
 * that a touch of it ends the program.
 */
#include <string.h>
#include <sys/mman.h>

#include <glib.h>

#include <vionet/pci.h>
#include <vionet/spec.h>
#include <vionet/transport.h>

#include "bytes.h"
#include "driver/control.h"
#include "driver/net.h"
#include "driver/queue.h"
#include "machine/machine.h"
#include "net/device.h"

#define PAGE   UINT64_C(4096)
#define MEMORY (UINT64_C(32) << 20)
#define BASE   (UINT64_C(1) << 20)
#define PAIRS  4
#define BURST  16
#define MANY   200 /* frames of one queue that are out */

static const uint8_t broadcast[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,
                                      0,    0,    0,    0,    1,    0x88, 0xb5};

/* How much is done: enough to meet, little enough for a sanitizer and two processors. */
static unsigned rounds(unsigned n)
{
    return g_test_slow() ? n * 50 : n;
}

static bool stopped(bool *stop)
{
    return __atomic_load_n(stop, __ATOMIC_ACQUIRE);
}

static void stop_now(bool *stop)
{
    __atomic_store_n(stop, true, __ATOMIC_RELEASE);
}

/*
 * A machine for threads: like the one that other suites use, but for host operations that may be
 * called from any of them at once.
 */
struct rig {
    VionetDevice *device;
    VionetPci *pci;
    struct guest_access access;
    struct guest_memory *memory;
    struct guest_driver *driver;
    struct guest_net *net;
    uint64_t kicks, events, timers, now_ns;
    void (*on_kick)(struct rig *rig, unsigned queue); /* set while nothing else runs */
    void (*on_clock)(struct rig *rig);                /* likewise; in a queue's gate */
    void *user;
};

static void host_kick(void *opaque, unsigned queue)
{
    struct rig *rig = opaque;

    __atomic_add_fetch(&rig->kicks, 1, __ATOMIC_RELAXED);
    if (rig->on_kick) {
        rig->on_kick(rig, queue);
    }
}

static void host_event(void *opaque, const VionetEvent *event)
{
    (void)event;
    __atomic_add_fetch(&((struct rig *)opaque)->events, 1, __ATOMIC_RELAXED);
}

static uint64_t host_clock(void *opaque)
{
    struct rig *rig = opaque;

    if (rig->on_clock) {
        rig->on_clock(rig);
    }
    return __atomic_add_fetch(&rig->now_ns, 1000, __ATOMIC_RELAXED);
}

static void host_timer(void *opaque, unsigned queue, uint64_t deadline_ns)
{
    (void)queue;
    (void)deadline_ns;
    __atomic_add_fetch(&((struct rig *)opaque)->timers, 1, __ATOMIC_RELAXED);
}

static void host_msi(void *opaque, unsigned vector, uint64_t address, uint32_t data)
{
    (void)address;
    (void)data;
    guest_driver_msi(((struct rig *)opaque)->driver, vector);
}

static void offer_all(VionetConfig *config)
{
    static const uint8_t bits[] = {VIRTIO_NET_F_MQ,          VIRTIO_NET_F_RSS,
                                   VIRTIO_NET_F_HASH_REPORT, VIRTIO_NET_F_NOTF_COAL,
                                   VIRTIO_F_IN_ORDER,        VIRTIO_NET_F_GUEST_CSUM,
                                   VIRTIO_NET_F_DEVICE_STATS};

    for (size_t i = 0; i < G_N_ELEMENTS(bits); i++) {
        vionet_features_set(config->features, bits[i], true);
    }
    config->max_pairs = PAIRS;
}

/* As in test/machine. */
static bool in_packed(void)
{
    return g_strcmp0(g_getenv("VIONET_TEST_RING"), "packed") == 0;
}

static bool boot(struct rig *rig, struct guest_features features)
{
    if (in_packed()) {
        features_add(&features, VIRTIO_F_RING_PACKED);
    }
    return guest_driver_start(rig->driver, features) && net_start(rig->net);
}

static struct rig *start_with(struct guest_features features, bool guard_pages,
                              uint32_t receive_size)
{
    const struct guest_extent extent = {BASE, MEMORY};
    const struct guest_memory_options memory = {
        .extents = &extent, .n_extents = 1, .guard_pages = guard_pages};
    const struct net_options net = {.transmit_size = 2048,
                                    .transmit_buffers = MANY,
                                    .control_size = 8192,
                                    .receive_size = receive_size};
    const VionetHostOps ops = {
        .size = sizeof(ops),
        .kick = host_kick,
        .event = host_event,
        .clock_ns = host_clock,
        .timer = host_timer,
    };
    const VionetPciOps bus = {.size = sizeof(bus), .msi = host_msi};
    struct rig *rig = g_new0(struct rig, 1);
    const struct guest_region *region;
    VionetPciConfig pci;
    VionetConfig config;

    vionet_config_init(&config);
    vionet_pci_config_init(&pci);
    offer_all(&config);
    if (in_packed()) {
        vionet_features_set(config.features, VIRTIO_F_RING_PACKED, true);
    }
    rig->device = vionet_device_new(&config, &ops, rig, NULL);
    g_assert_nonnull(rig->device);
    rig->pci = vionet_pci_new(rig->device, &pci, &bus, rig, NULL);
    g_assert_nonnull(rig->pci);
    rig->memory = guest_memory_new(&memory);
    g_assert_nonnull(rig->memory);
    guest_memory_regions(rig->memory, &region);
    g_assert_true(vionet_device_map(rig->device, BASE, region->host, MEMORY, 0, NULL));
    rig->access = machine_access(&rig->pci);
    rig->driver = guest_driver_new(&rig->access, rig->memory, NULL);
    rig->net = net_new(rig->driver, &net);
    g_assert_true(boot(rig, features));
    g_assert_cmpint(net_control_pairs(rig->net, PAIRS), ==, VIRTIO_NET_OK);
    return rig;
}

static struct rig *start(struct guest_features features)
{
    return start_with(features, false, 0);
}

static VionetVerdict deliver(struct rig *rig, const void *frame, size_t len)
{
    const struct iovec piece = {(void *)frame, len};
    const VionetFrame one = {.iov = &piece, .n_iov = 1};
    VionetVerdict verdict;

    vionet_device_receive(rig->device, 0, &one, 1, &verdict, 0);
    return verdict;
}

static size_t drain(struct rig *rig, unsigned pair)
{
    VionetFrame frames[64];
    size_t total = 0;
    size_t n;

    do {
        n = vionet_device_transmit(rig->device, pair, frames, G_N_ELEMENTS(frames));
        vionet_device_complete(rig->device, pair, frames, n);
        total += n;
    } while (n > 0);
    return total;
}

/* A device that a driver can start again, and that passes a frame each way. */
static void assert_works(struct rig *rig)
{
    struct guest_packet packet;

    complaints_clear(guest_driver_complaints(rig->driver));
    g_assert_true(boot(rig, features_known()));
    g_assert_cmpint(deliver(rig, broadcast, sizeof(broadcast)), ==, VIONET_DELIVERED);
    g_assert_true(net_receive(rig->net, &packet));
    g_assert_cmpmem(packet.data, packet.len, broadcast, sizeof(broadcast));
    g_assert_true(net_transmit(rig->net, 0, NULL, broadcast, sizeof(broadcast)));
    g_assert_cmpuint(drain(rig, 0), ==, 1);
    g_assert_cmpuint(net_reclaim(rig->net, 0), ==, 1);
}

static void finish(struct rig *rig)
{
    char *text = complaints_text(guest_driver_complaints(rig->driver));

    g_assert_cmpstr(text, ==, "");
    g_free(text);
    net_free(rig->net);
    vionet_pci_free(rig->pci);
    vionet_device_free(rig->device);
    guest_driver_free(rig->driver);
    guest_memory_free(rig->memory);
    g_free(rig);
}

/* An IPv4 frame of one of many flows: these octets around the flow's number. */
static const uint8_t flow_head[28] = {0x52, 0x54, 0, 0x12, 0x34, 0x56, 2, 0, 0,  0,   0, 1, 8,  0,
                                      0x45, 0,    0, 46,   0,    0,    0, 0, 64, 253, 0, 0, 10, 0};
static const uint8_t flow_tail[30] = {10, 0, 0, 2};

static void fill_flow(uint8_t *frame, unsigned flow)
{
    memcpy(frame, flow_head, sizeof(flow_head));
    frame[28] = (uint8_t)(flow >> 8);
    frame[29] = (uint8_t)flow;
    memcpy(frame + 30, flow_tail, sizeof(flow_tail));
}

/* ---- Workers ---- */

struct worker {
    struct rig *rig;
    unsigned pair;
    bool *stop;
    GThread *thread;
    uint64_t delivered, received, sent, taken;
};

/* The host's side of a pair: its lane and its transmit queue. */
static gpointer work_host(gpointer data)
{
    struct worker *worker = data;
    VionetDevice *device = worker->rig->device;
    uint8_t octets[BURST][60];
    struct iovec pieces[BURST];
    VionetFrame frames[BURST];
    VionetFrame taken[BURST];

    for (unsigned i = 0; i < BURST; i++) {
        fill_flow(octets[i], worker->pair * 1000 + i);
        pieces[i] = (struct iovec){octets[i], 60};
        frames[i] = (VionetFrame){.iov = &pieces[i], .n_iov = 1};
    }
    while (!stopped(worker->stop)) {
        size_t n = vionet_device_transmit(device, worker->pair, taken, BURST);

        worker->taken += n;
        vionet_device_complete(device, worker->pair, taken, n);
        worker->delivered += vionet_device_receive(device, worker->pair, frames, BURST, NULL, 0);
        vionet_device_timer(device, 2 * worker->pair);
        vionet_device_counter(device, 2 * worker->pair, VIONET_COUNTER_PACKETS);
        vionet_device_offloads(device);
        g_thread_yield();
    }
    return NULL;
}

/* The guest's side of a pair: takes what comes, sends when there is room. */
static gpointer work_guest(gpointer data)
{
    struct worker *worker = data;
    struct guest_net *net = worker->rig->net;
    struct guest_packet packet;

    while (!stopped(worker->stop)) {
        while (net_receive_pair(net, worker->pair, &packet)) {
            /* What is shown has been written: all but the flow's number is known. */
            g_assert_cmpmem(packet.data, 28, flow_head, 28);
            g_assert_cmpmem(packet.data + 30, 30, flow_tail, 30);
            worker->received++;
        }
        net_reclaim(net, worker->pair);
        worker->sent += net_transmit(net, worker->pair, NULL, broadcast, sizeof(broadcast));
        g_thread_yield();
    }
    return NULL;
}

static void start_workers(struct worker *workers, GThreadFunc work, struct rig *rig, bool *stop)
{
    for (unsigned i = 0; i < PAIRS; i++) {
        workers[i] = (struct worker){.rig = rig, .pair = i, .stop = stop};
        workers[i].thread = g_thread_new("worker", work, &workers[i]);
    }
}

static void join_workers(struct worker *workers)
{
    for (unsigned i = 0; i < PAIRS; i++) {
        g_thread_join(workers[i].thread);
    }
}

/* ---- What control does meanwhile ---- */

static void control_nothing(struct rig *rig, unsigned i)
{
    (void)rig;
    (void)i;
    g_usleep(100);
}

/* The guest's commands: RSS to and fro, filters, pairs, coalescing. */
static void control_commands(struct rig *rig, unsigned i)
{
    static const uint8_t keys[2][40] = {{0x6d, 0x5a, 0x56, 0xda}, {1, 2, 3, 4}};
    const struct net_rss rss = {.hash_types = 0x1ff,
                                .table_len = 1u << i % 8,
                                .max_tx_vq = (uint16_t)(1 + i % PAIRS),
                                .key = keys[i % 2],
                                .key_len = 40};

    switch (i % 4) {
    case 0:
        g_assert_cmpint(net_control_rss(rig->net, &rss), ==, VIRTIO_NET_OK);
        break;
    case 1:
        g_assert_cmpint(net_control_rx(rig->net, VIRTIO_NET_CTRL_RX_PROMISC, i & 4), ==,
                        VIRTIO_NET_OK);
        break;
    case 2:
        g_assert_cmpint(net_control_coalesce_rx(rig->net, i % 3, i % 5), ==, VIRTIO_NET_OK);
        break;
    default:
        g_assert_cmpint(net_control_pairs(rig->net, (uint16_t)(1 + i % PAIRS)), ==, VIRTIO_NET_OK);
        break;
    }
}

/* The host's: mappings beside the one in use, the link, polling. */
static void control_host(struct rig *rig, unsigned i)
{
    static uint8_t pages[4 * 4096] __attribute__((aligned(4096)));
    const uint64_t gpa = 0x90000000 + i % 4 * PAGE;

    if (!vionet_device_map(rig->device, gpa, pages + i % 4 * PAGE, PAGE, 0, NULL)) {
        vionet_device_unmap(rig->device, gpa, PAGE, NULL);
    }
    vionet_device_set_link(rig->device, i % 8 != 0);
    vionet_device_set_poll(rig->device, i % (2 * PAIRS), i % 3 == 0);
    vionet_device_set_dma(rig->device, i % 5 != 0);
    for (unsigned v = 0; v < VIONET_N_VERDICTS; v++) {
        vionet_device_verdicts(rig->device, (VionetVerdict)v);
    }
}

/* Mappings beside the one in use and the guest's RSS, in turns: nothing is lost by either. */
static void control_mappings_and_rss(struct rig *rig, unsigned i)
{
    static uint8_t page[4096] __attribute__((aligned(4096)));

    control_commands(rig, 4 * i);
    if (!vionet_device_map(rig->device, 0x90000000, page, PAGE, 0, NULL)) {
        vionet_device_unmap(rig->device, 0x90000000, PAGE, NULL);
    }
}

static void control_link_only(struct rig *rig, unsigned i)
{
    vionet_device_set_link(rig->device, i % 2);
}

static void control_bus_only(struct rig *rig, unsigned i)
{
    vionet_device_set_dma(rig->device, i % 2);
}

static const struct scene {
    const char *name;
    void (*control)(struct rig *rig, unsigned i);
    unsigned rounds;
    bool lossless; /* what the one side counts the other has got */
} scenes[] = {
    {"alone", control_nothing, 300, true},
    {"X-04/with-commands", control_commands, 400, true},
    {"G-05/with-mappings-and-the-bus", control_host, 400, false},
    {"with-mappings-and-rss", control_mappings_and_rss, 400, true},
    {"with-the-link", control_link_only, 400, false},
    {"Z-03/with-the-bus", control_bus_only, 2000, false},
};

/* N pairs on N threads of the host and N of the guest, and one that controls. */
static void test_scene(gconstpointer data)
{
    const struct scene *scene = data;
    struct rig *rig = start(features_known());
    struct worker hosts[PAIRS], guests[PAIRS];
    struct guest_packet packet;
    uint64_t delivered = 0;
    uint64_t received = 0;
    bool stop = false;

    start_workers(hosts, work_host, rig, &stop);
    start_workers(guests, work_guest, rig, &stop);
    for (unsigned i = 0; i < rounds(scene->rounds); i++) {
        scene->control(rig, i);
    }
    stop_now(&stop);
    join_workers(guests);
    join_workers(hosts);
    vionet_device_set_dma(rig->device, true);
    vionet_device_set_link(rig->device, true);
    for (unsigned i = 0; i < PAIRS; i++) {
        vionet_device_set_poll(rig->device, 2 * i, false);
        vionet_device_set_poll(rig->device, 2 * i + 1, false);
        hosts[i].taken += drain(rig, i);
        while (net_receive_pair(rig->net, i, &packet)) {
            guests[i].received++;
        }
        delivered += hosts[i].delivered;
        received += guests[i].received;
        g_assert_cmpuint(hosts[i].taken, ==,
                         vionet_device_counter(rig->device, 2 * i + 1, VIONET_COUNTER_PACKETS));
        if (scene->lossless) {
            g_assert_cmpuint(hosts[i].taken, ==, guests[i].sent);
        }
        /* Every buffer has come back. */
        net_reclaim(rig->net, i);
        g_assert_cmpuint(net_transmit_pending(rig->net, i), ==, 0);
        g_assert_cmpuint(vionet_device_counter(rig->device, 2 * i + 1, VIONET_COUNTER_STALE), ==,
                         0);
    }
    g_assert_cmpuint(delivered, ==, received);
    g_assert_cmpuint(delivered, ==,
                     vionet_device_verdicts(rig->device, VIONET_DELIVERED) - hosts[0].taken -
                         hosts[1].taken - hosts[2].taken - hosts[3].taken);
    for (unsigned v = 0; v < VIONET_N_VIOLATIONS; v++) {
        g_assert_cmpuint(vionet_device_violations(rig->device, (VionetViolation)v), ==, 0);
    }
    finish(rig);
}

/* Fills what a device may write of a queue, in either format; and whether it still is like that. */
static void fill_ring(struct rig *rig, const struct guest_queue *queue)
{
    guest_fill(rig->memory, queue->area.device_gpa, 6 + 8 * (uint64_t)queue->area_size, 0x5a);
    guest_fill(rig->memory, queue->area.desc_gpa, 16 * (uint64_t)queue->area_size, 0x5a);
}

static bool ring_is_filled(struct rig *rig, const struct guest_queue *queue)
{
    const uint64_t used = 6 + 8 * (uint64_t)queue->area_size;
    const uint64_t table = 16 * (uint64_t)queue->area_size;

    return guest_differs(rig->memory, queue->area.device_gpa, used, 0x5a) == used &&
           guest_differs(rig->memory, queue->area.desc_gpa, table, 0x5a) == table;
}

/*
 * queue_reset reads 0 once the reset is over: whoever was at work on the queue has left it then, and
 * the driver may do with its memory what it likes.
 */
static void test_quiet_after_queue_reset(void)
{
    struct rig *rig = start(features_known());
    struct worker hosts[PAIRS];
    bool stop = false;

    start_workers(hosts, work_host, rig, &stop);
    for (unsigned i = 0; i < rounds(800); i++) {
        const unsigned index = i % 2; /* of the pair that all frames go to */
        const struct guest_queue *queue = &rig->driver->queues[index];
        struct guest_packet packet;

        /* Something to do for the host, which is at it then. */
        for (unsigned k = 0; k < 256 && net_receive_pair(rig->net, 0, &packet); k++) {
        }
        for (unsigned k = 0; k < 256 && index == 1; k++) {
            net_transmit(rig->net, 0, NULL, broadcast, sizeof(broadcast));
        }
        net_recycle(rig->net);
        for (unsigned k = 0; k < i % 8; k++) {
            g_thread_yield();
        }
        g_assert_true(guest_queue_reset(rig->driver, index));
        fill_ring(rig, queue);
        for (unsigned k = 0; k < 10; k++) {
            g_thread_yield();
        }
        g_assert_true(ring_is_filled(rig, queue));
        g_assert_true(guest_queue_setup(rig->driver, index, 0));
        g_assert_true(net_reset_queue(rig->net, index, 0));
    }
    stop_now(&stop);
    join_workers(hosts);
    assert_works(rig);
    finish(rig);
}

/* Z-09: resets of queues and device while the host's threads go on; each life begins whole. */
static void test_resets(gconstpointer data)
{
    const bool whole = GPOINTER_TO_UINT(data);
    struct rig *rig = start(features_known());
    struct worker hosts[PAIRS];
    bool stop = false;

    start_workers(hosts, work_host, rig, &stop);
    for (unsigned i = 0; i < rounds(60); i++) {
        const unsigned pair = i % PAIRS;
        struct guest_packet packet;

        if (whole) {
            g_assert_true(boot(rig, features_known()));
        } else {
            g_assert_true(net_reset_queue(rig->net, 2 * pair, 0));
            g_assert_true(net_reset_queue(rig->net, 2 * pair + 1, 0));
        }
        for (unsigned k = 0; k < 20; k++) {
            net_reclaim(rig->net, pair);
            net_transmit(rig->net, pair, NULL, broadcast, sizeof(broadcast));
            net_receive_pair(rig->net, pair, &packet);
            g_thread_yield();
        }
    }
    stop_now(&stop);
    join_workers(hosts);
    assert_works(rig);
    finish(rig);
}

/* ---- Memory taken away ---- */

/*
 * Z-01, G-05: when unmapping returns nobody uses the memory. It is fenced at once, in the middle of
 * whatever the threads do; queues find it missing, the driver resets, and so on.
 */
static void test_unmap_and_fence(void)
{
    const struct guest_region *region;
    struct worker hosts[PAIRS];
    struct rig *rig;
    bool stop = false;

    if (!g_test_subprocess()) {
        g_test_trap_subprocess(NULL, 0, 0);
        g_test_trap_assert_passed();
        return;
    }
    rig = start_with(features_known(), true, 40); /* each frame takes two buffers */
    guest_memory_regions(rig->memory, &region);
    start_workers(hosts, work_host, rig, &stop);
    for (unsigned i = 0; i < rounds(50); i++) {
        g_usleep(200);
        g_assert_true(vionet_device_unmap(rig->device, BASE, MEMORY, NULL));
        g_assert_cmpint(mprotect(region->host, MEMORY, PROT_NONE), ==, 0);
        g_usleep(200);
        g_assert_cmpint(mprotect(region->host, MEMORY, PROT_READ | PROT_WRITE), ==, 0);
        g_assert_true(vionet_device_map(rig->device, BASE, region->host, MEMORY, 0, NULL));
        g_assert_true(boot(rig, features_known()));
    }
    stop_now(&stop);
    join_workers(hosts);
    assert_works(rig);
    finish(rig);
}

/* ---- One configuration or the other ---- */

/* a frame's hash and its queue are of the same configuration, while these alternate. */
struct mixture {
    struct rig *rig;
    bool *stop;
    uint8_t frame[60];
};

static gpointer deliver_always(gpointer data)
{
    struct mixture *mixture = data;

    while (!stopped(mixture->stop)) {
        deliver(mixture->rig, mixture->frame, 60);
        g_thread_yield();
    }
    return NULL;
}

static void configure(struct rig *rig, unsigned which)
{
    static const uint8_t keys[2][40] = {{0x6d, 0x5a, 0x56, 0xda}, {0xaa, 0xbb, 0xcc, 0xdd}};
    static const uint16_t tables[2][2] = {{0, 0}, {1, 1}};
    const struct net_rss rss = {.hash_types = 0x1ff,
                                .table = tables[which],
                                .table_len = 2,
                                .max_tx_vq = PAIRS,
                                .key = keys[which],
                                .key_len = 40};

    g_assert_cmpint(net_control_rss(rig->net, &rss), ==, VIRTIO_NET_OK);
}

static void test_no_mixture(void)
{
    struct rig *rig = start(features_known());
    bool stop = false;
    struct mixture mixture = {.rig = rig, .stop = &stop};
    struct guest_packet packet;
    uint32_t hashes[2];
    unsigned seen[2] = {0, 0};
    GThread *thread;

    fill_flow(mixture.frame, 77);
    for (unsigned i = 0; i < 2; i++) {
        configure(rig, i);
        deliver(rig, mixture.frame, 60);
        g_assert_true(net_receive_pair(rig->net, i, &packet));
        hashes[i] = packet.header.hash_value;
    }
    thread = g_thread_new("host", deliver_always, &mixture);
    /* And for as long as the thread has not had its turn. */
    for (unsigned i = 0; i < rounds(2000) || seen[0] == 0 || seen[1] == 0; i++) {
        configure(rig, i % 2);
        for (unsigned pair = 0; pair < 2; pair++) {
            while (net_receive_pair(rig->net, pair, &packet)) {
                g_assert_cmphex(packet.header.hash_value, ==, hashes[pair]);
                seen[pair]++;
            }
        }
    }
    stop_now(&stop);
    g_thread_join(thread);
    g_assert_cmphex(hashes[0], !=, hashes[1]);
    finish(rig);
}

/* ---- Steps held still ---- */

/* A device reset, stopped halfway by a queue whose gate the test holds. */
static gpointer reset_device(gpointer data)
{
    vionet_device_write_status(data, 0);
    return NULL;
}

/*
 * A frame whose header has 20 octets is read with 20, or not at all, though a reset has begun that
 * will leave a device whose headers have 12.
 */
static void test_transmit_during_a_reset(void)
{
    struct rig *rig = start(features_known());
    VionetDevice *device = rig->device;
    struct view *view = device_view(device);
    uint8_t octets[60];
    VionetFrame frames[2];
    GThread *thread;
    size_t n;

    g_assert_cmpuint(net_header_size(rig->net), ==, 20);
    fill_flow(octets, 1);
    g_assert_true(net_transmit(rig->net, 0, NULL, octets, sizeof(octets)));
    gate_enter(&device->queues[2 * PAIRS].gate); /* the last one that a reset comes to */
    thread = g_thread_new("reset", reset_device, device);
    while (device_view(device) == view) {
        g_thread_yield(); /* until the new view is there */
    }
    n = vionet_device_transmit(device, 0, frames, 2);
    if (n) {
        uint8_t copy[100];

        g_assert_cmpmem(copy, vionet_frame_linearize(&frames[0], copy, sizeof(copy)), octets,
                        sizeof(octets));
    }
    gate_leave(&device->queues[2 * PAIRS].gate);
    g_thread_join(thread);
    vionet_device_complete(device, 0, frames, n);
    assert_works(rig);
    finish(rig);
}

/* A queue that was broken when the device is reset is broken for the old life, not for the new. */
struct late {
    struct rig *rig;
    bool inside, go;
};

static void wait_in_interrupt(void *opaque, unsigned queue)
{
    struct late *late = opaque;

    if (queue != 0) {
        return;
    }
    __atomic_store_n(&late->inside, true, __ATOMIC_RELEASE);
    while (!stopped(&late->go)) {
        g_thread_yield();
    }
}

static gpointer deliver_burst(gpointer data)
{
    struct late *late = data;
    uint8_t octets[32][60];
    struct iovec pieces[32];
    VionetFrame frames[32];

    for (unsigned i = 0; i < 32; i++) {
        fill_flow(octets[i], i);
        pieces[i] = (struct iovec){octets[i], 60};
        frames[i] = (VionetFrame){.iov = &pieces[i], .n_iov = 1};
    }
    vionet_device_receive(late->rig->device, 0, frames, 32, NULL, 0);
    return NULL;
}

/* Moves the rings of all receive queues but the first to memory that then goes away. */
static void lose_queues(struct rig *rig)
{
    static uint8_t pages[3 * 4096] __attribute__((aligned(4096)));

    g_assert_true(vionet_device_map(rig->device, 0x90000000, pages, sizeof(pages), 0, NULL));
    for (unsigned index = 2; index < 2 * PAIRS; index += 2) {
        g_assert_true(guest_queue_reset(rig->driver, index));
        vionet_device_write_queue_area(rig->device, index, VIONET_AREA_DESC, 0x90000000);
        vionet_device_write_queue_area(rig->device, index, VIONET_AREA_DRIVER, 0x90001000);
        vionet_device_write_queue_area(rig->device, index, VIONET_AREA_DEVICE, 0x90002000);
        vionet_device_write_queue_enable(rig->device, index, 1);
    }
    g_assert_true(vionet_device_unmap(rig->device, 0x90000000, sizeof(pages), NULL));
}

static void test_fault_of_an_old_life(void)
{
    struct guest_features features = features_known();
    struct rig *rig;
    struct late late = {0};
    GThread *thread;

    features_remove(&features, VIRTIO_F_EVENT_IDX);
    rig = start(features);
    late.rig = rig;
    lose_queues(rig); /* they break; the host is told of the first queue, and takes its time */
    vionet_device_set_interrupt(rig->device, wait_in_interrupt, &late);
    thread = g_thread_new("host", deliver_burst, &late);
    while (!stopped(&late.inside)) {
        g_thread_yield();
    }
    vionet_device_write_status(rig->device, 0);
    g_assert_cmphex(vionet_device_status(rig->device), ==, 0);
    stop_now(&late.go);
    g_thread_join(thread);
    g_assert_cmphex(vionet_device_status(rig->device), ==, 0);
    vionet_device_set_interrupt(rig->device, NULL, NULL);
    assert_works(rig);
    finish(rig);
}

/*
 * The driver asks for hashes when a part of a burst has gone straight: the device has decided on notifying of it, for
 * which it looked at the clock, and is still in the queue. The rest goes by the new configuration, and only the rest.
 */
#define STRAIGHT_PART 8 /* frames that go straight: the next one lies in two pieces */

struct asking {
    struct rig *rig;
    GThread *thread;
    int ack;
};

static gpointer ask_for_hashes(gpointer data)
{
    static const uint8_t key[40] = {1, 2, 3};
    const struct net_rss rss = {
        .hash_types = VIRTIO_NET_HASH_TYPE_IPv4, .key = key, .key_len = sizeof(key)};
    struct asking *asking = data;

    asking->ack = net_control_hash(asking->rig->net, &rss);
    return NULL;
}

/* It is in force from now on, and its thread waits for this one to leave the queue. */
static void ask_in_clock(struct rig *rig)
{
    struct asking *asking = rig->user;
    const struct view *before = device_view(rig->device);

    rig->on_clock = NULL;
    asking->thread = g_thread_new("driver", ask_for_hashes, asking);
    while (device_view(rig->device) == before) {
        g_thread_yield();
    }
}

static void require_each_once(struct rig *rig, uint8_t octets[BURST][60])
{
    struct guest_packet packet;

    for (unsigned i = 0; i < BURST; i++) {
        g_assert_true(net_receive(rig->net, &packet));
        g_assert_cmpmem(packet.data, packet.len, octets[i], sizeof(octets[i]));
        g_assert_cmpuint(packet.header.hash_report, ==,
                         i < STRAIGHT_PART ? VIRTIO_NET_HASH_REPORT_NONE
                                           : VIRTIO_NET_HASH_REPORT_IPv4);
    }
    g_assert_false(net_receive(rig->net, &packet));
}

static void test_asked_for_hashes_meanwhile(void)
{
    struct guest_features features = features_known();
    struct asking asking = {.ack = VIRTIO_NET_ERR};
    struct rig *rig;
    uint8_t octets[BURST][60];
    const struct iovec two[2] = {{octets[STRAIGHT_PART], 30}, {octets[STRAIGHT_PART] + 30, 30}};
    struct iovec pieces[BURST];
    VionetFrame frames[BURST];

    features_remove(&features, VIRTIO_NET_F_RSS);
    rig = start(features);
    asking.rig = rig;
    g_assert_cmpint(net_control_pairs(rig->net, 1), ==, VIRTIO_NET_OK);
    g_assert_cmpint(net_control_coalesce_rx(rig->net, 100, 1000), ==, VIRTIO_NET_OK);
    for (unsigned i = 0; i < BURST; i++) {
        fill_flow(octets[i], i);
        pieces[i] = (struct iovec){octets[i], sizeof(octets[i])};
        frames[i] = (VionetFrame){.iov = &pieces[i], .n_iov = 1};
    }
    frames[STRAIGHT_PART] = (VionetFrame){.iov = two, .n_iov = 2};
    rig->user = &asking;
    rig->on_clock = ask_in_clock;
    g_assert_cmpuint(vionet_device_receive(rig->device, 0, frames, BURST, NULL, 0), ==, BURST);
    g_assert_nonnull(asking.thread);
    g_thread_join(asking.thread);
    g_assert_cmpint(asking.ack, ==, VIRTIO_NET_OK);
    require_each_once(rig, octets);
    finish(rig);
}

/*
 * The bus is switched on while frames come back, one by one, that were out when it was switched
 * off: the driver gets all of its buffers.
 */
struct meeting {
    struct rig *rig;
    VionetFrame frames[MANY];
    size_t n;
    bool completing;
};

/* Between the first queue, which has buffers, and the second. */
static void wait_for_completions(struct rig *rig, unsigned queue)
{
    struct meeting *meeting = rig->user;

    while (queue == 0 && !stopped(&meeting->completing)) {
        __atomic_signal_fence(__ATOMIC_SEQ_CST); /* no yield: the moment is short */
    }
}

static gpointer complete_one_by_one(gpointer data)
{
    struct meeting *meeting = data;

    for (size_t i = 0; i < meeting->n; i++) {
        vionet_device_complete(meeting->rig->device, 0, &meeting->frames[i], 1);
        if (i == 8) {
            stop_now(&meeting->completing);
        }
    }
    return NULL;
}

static void test_completion_meets_the_bus(void)
{
    struct meeting *meeting = g_new0(struct meeting, 1);
    struct rig *rig = start(features_known());

    meeting->rig = rig;
    rig->user = meeting;
    for (unsigned i = 0; i < rounds(100); i++) {
        GThread *thread;

        for (unsigned k = 0; k < MANY; k++) {
            g_assert_true(net_transmit(rig->net, 0, NULL, broadcast, sizeof(broadcast)));
        }
        meeting->n = vionet_device_transmit(rig->device, 0, meeting->frames, MANY);
        g_assert_cmpuint(meeting->n, ==, MANY);
        meeting->completing = false;
        vionet_device_set_dma(rig->device, false);
        rig->on_kick = wait_for_completions;
        thread = g_thread_new("host", complete_one_by_one, meeting);
        vionet_device_set_dma(rig->device, true);
        g_thread_join(thread);
        rig->on_kick = NULL;
        g_assert_cmpuint(vionet_device_counter(rig->device, 1, VIONET_COUNTER_STALE), ==, 0);
        g_assert_cmpuint(net_reclaim(rig->net, 0), ==, MANY);
    }
    finish(rig);
    g_free(meeting);
}

/* ---- Words of guest memory ---- */

/* G-03: an index is read as it was written, never half of one value and half of another. */
struct torn {
    uint16_t word;
    bool stop;
};

static gpointer write_word(gpointer data)
{
    struct torn *torn = data;

    for (unsigned i = 0; !stopped(&torn->stop); i++) {
        guest_store16_release(&torn->word, i % 2 ? 0x00ff : 0xff00);
    }
    return NULL;
}

static void test_index_is_not_torn(void)
{
    struct torn torn = {.word = 0x00ff};
    GThread *thread = g_thread_new("driver", write_word, &torn);

    for (unsigned i = 0; i < rounds(200000); i++) {
        const uint16_t word = guest_load16_acquire(&torn.word);

        g_assert_true(word == 0x00ff || word == 0xff00);
    }
    stop_now(&torn.stop);
    g_thread_join(thread);
}

/* ---- Kicks from everywhere ---- */

static gpointer kick_always(gpointer data)
{
    struct worker *worker = data;

    for (unsigned i = 0; i < 5000; i++) {
        vionet_device_kick(worker->rig->device, worker->pair);
    }
    return NULL;
}

/* Any number of threads may notify one queue; each time counts. */
static void test_kicks_from_everywhere(void)
{
    struct rig *rig = start(features_known());
    const uint64_t before = vionet_device_counter(rig->device, 1, VIONET_COUNTER_KICKS);
    struct worker workers[PAIRS];

    for (unsigned i = 0; i < PAIRS; i++) {
        workers[i] = (struct worker){.rig = rig, .pair = 1};
        workers[i].thread = g_thread_new("guest", kick_always, &workers[i]);
    }
    join_workers(workers);
    g_assert_cmpuint(vionet_device_counter(rig->device, 1, VIONET_COUNTER_KICKS), ==,
                     before + PAIRS * 5000);
    finish(rig);
}

/* ---- Statistics while frames come ---- */

struct stream {
    struct rig *rig;
    bool stop;
};

static gpointer deliver_checked(gpointer data)
{
    const struct iovec piece = {(void *)broadcast, sizeof(broadcast)};
    struct stream *stream = data;
    VionetFrame frames[BURST];

    for (unsigned i = 0; i < BURST; i++) {
        frames[i] = (VionetFrame){
            .iov = &piece, .n_iov = 1, .flags = i % 3 ? 0 : VIRTIO_NET_HDR_F_DATA_VALID};
    }
    while (!stopped(&stream->stop)) {
        vionet_device_receive(stream->rig->device, 0, frames, BURST, NULL, 0);
    }
    return NULL;
}

/* What one entry tells is of one moment: the parts are as much as the whole, in each answer. */
static void test_statistics_of_one_moment(void)
{
    const struct net_stats_entry entry = {0, 3};
    struct stream stream = {.rig = start(features_known())};
    GThread *thread = g_thread_new("host", deliver_checked, &stream);
    struct guest_packet packet;
    uint64_t packets = 0;

    for (unsigned i = 0; i < rounds(5000) || packets == 0; i++) {
        uint8_t replies[96];
        uint64_t now;

        g_assert_cmpint(net_control_stats_get(stream.rig->net, &entry, 1, replies, sizeof(replies)),
                        ==, VIRTIO_NET_OK);
        now = get_le64(replies + 16);
        g_assert_cmpuint(now, >=, packets);
        g_assert_cmpuint(get_le64(replies + 24), ==, now * sizeof(broadcast));
        g_assert_cmpuint(get_le64(replies + 64) + get_le64(replies + 80), ==, now);
        g_assert_cmpuint(get_le64(replies + 40), ==, get_le64(replies + 48)); /* drops */
        packets = now;
        for (unsigned k = 0; k < 4 * BURST && net_receive(stream.rig->net, &packet); k++) {
        }
    }
    stop_now(&stream.stop);
    g_thread_join(thread);
    finish(stream.rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(scenes); i++) {
        char *path = g_strdup_printf("/threads/pairs/%s", scenes[i].name);

        g_test_add_data_func(path, &scenes[i], test_scene);
        g_free(path);
    }
    g_test_add_func("/threads/resets/queue-is-quiet-afterwards", test_quiet_after_queue_reset);
    g_test_add_data_func("/threads/resets/of-queues", GUINT_TO_POINTER(0), test_resets);
    g_test_add_data_func("/threads/resets/Z-09/of-the-device", GUINT_TO_POINTER(1), test_resets);
    g_test_add_func("/threads/unmap/Z-01/nobody-uses-it-any-more", test_unmap_and_fence);
    g_test_add_func("/threads/snapshot/X-04/no-mixture", test_no_mixture);
    g_test_add_func("/threads/snapshot/transmit-during-a-reset", test_transmit_during_a_reset);
    g_test_add_func("/threads/snapshot/D-06/fault-of-an-old-life", test_fault_of_an_old_life);
    g_test_add_func("/threads/snapshot/asked-for-hashes-meanwhile",
                    test_asked_for_hashes_meanwhile);
    g_test_add_func("/threads/bus/completion-meets-the-bus", test_completion_meets_the_bus);
    g_test_add_func("/threads/memory/G-03/index-is-not-torn", test_index_is_not_torn);
    g_test_add_func("/threads/kicks/from-everywhere", test_kicks_from_everywhere);
    g_test_add_func("/threads/statistics/of-one-moment", test_statistics_of_one_moment);
    return g_test_run();
}
