/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads that move frames (device/workers.c): each pair's in a thread of its own, while the guest's
 * threads send and receive and its driver changes, resets and loses what it has. With a backend of the
 * test's own behind the device where a moment is to be held still, and loopback where there is to be
 * traffic. Made for a thread sanitizer, as test_threads.c is.
 */
#include <string.h>
#include <sys/mman.h>

#include <glib.h>

#include <vionet/pci.h>
#include <vionet/spec.h>
#include <vionet/transport.h>

#include "backend.h"
#include "driver/control.h"
#include "driver/net.h"
#include "driver/queue.h"
#include "machine/machine.h"
#include "workers.h"

#define MEMORY (UINT64_C(32) << 20)
#define BASE   (UINT64_C(1) << 20)
#define PAIRS  4

static const uint8_t broadcast[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,
                                      0,    0,    0,    0,    1,    0x88, 0xb5};

static bool is_set(const bool *flag)
{
    return __atomic_load_n(flag, __ATOMIC_ACQUIRE);
}

static void set(bool *flag, bool value)
{
    __atomic_store_n(flag, value, __ATOMIC_RELEASE);
}

static unsigned get(const unsigned *number)
{
    return __atomic_load_n(number, __ATOMIC_ACQUIRE);
}

static void add(unsigned *number, unsigned n)
{
    __atomic_add_fetch(number, n, __ATOMIC_ACQ_REL);
}

/* Waits for a number to be reached; fails after a while. */
static void await(const unsigned *number, unsigned value)
{
    const gint64 deadline = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;

    while (get(number) < value) {
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        g_usleep(100);
    }
}

/* ---- A backend that is watched ---- */

struct witness {
    VionetBackend backend;
    unsigned sent;   /* frames */
    GThread *thread; /* that sent the last one */
    bool wait;       /* in send, while that is set */
    unsigned inside; /* calls of send that have begun */
    unsigned supply; /* frames for the guest that are there */
    unsigned taken;
    unsigned completed;
    struct iovec iov;
};

static bool witness_send(VionetBackend *backend, const VionetFrame *frames, size_t n)
{
    struct witness *witness = (struct witness *)backend;

    (void)frames;
    witness->thread = g_thread_self();
    add(&witness->inside, 1);
    while (is_set(&witness->wait)) {
        g_usleep(100);
    }
    add(&witness->sent, (unsigned)n);
    return false;
}

static size_t witness_receive(VionetBackend *backend, VionetFrame *frames, size_t n)
{
    struct witness *witness = (struct witness *)backend;
    size_t taken = 0;

    while (taken < n && get(&witness->supply) > get(&witness->taken)) {
        frames[taken++] = (VionetFrame){.iov = &witness->iov, .n_iov = 1, .len = 60};
        add(&witness->taken, 1);
    }
    return taken;
}

static void witness_complete(VionetBackend *backend, const VionetFrame *frames, size_t n)
{
    (void)frames;
    add(&((struct witness *)backend)->completed, (unsigned)n);
}

static void witness_close(VionetBackend *backend)
{
    g_free(backend);
}

static struct witness *witness_alloc(void)
{
    struct witness *witness = g_new0(struct witness, 1);

    witness->iov = (struct iovec){(void *)broadcast, sizeof(broadcast)};
    return witness;
}

static VionetBackend *witness_queue(VionetBackend *backend, unsigned i, unsigned n, GError **error)
{
    (void)backend;
    (void)i;
    (void)n;
    (void)error;
    return &witness_alloc()->backend;
}

static const struct backend_ops witness_ops = {
    .name = "witness",
    .close = witness_close,
    .queue = witness_queue,
    .send = witness_send,
    .receive = witness_receive,
    .complete = witness_complete,
};

/* ---- The machine ---- */

struct rig {
    VionetBackend *backend;
    struct workers *workers;
    VionetDevice *device;
    VionetPci *pci;
    struct guest_access access;
    struct guest_memory *memory;
    struct guest_driver *driver;
    struct guest_net *net;
};

static void host_kick(void *opaque, unsigned queue)
{
    workers_kicked(((struct rig *)opaque)->workers, queue);
}

static void host_event(void *opaque, const VionetEvent *event)
{
    if (event->kind == VIONET_EVENT_RUNNING || event->kind == VIONET_EVENT_RESET) {
        workers_wake(((struct rig *)opaque)->workers);
    }
}

static void host_msi(void *opaque, unsigned vector, uint64_t address, uint32_t data)
{
    (void)address;
    (void)data;
    guest_driver_msi(((struct rig *)opaque)->driver, vector);
}

static void make_device(struct rig *rig)
{
    const VionetHostOps ops = {.size = sizeof(ops), .kick = host_kick, .event = host_event};
    const VionetPciOps bus = {.size = sizeof(bus), .msi = host_msi};
    VionetPciConfig pci;
    VionetConfig config;

    vionet_config_init(&config);
    vionet_pci_config_init(&pci);
    vionet_features_set(config.features, VIRTIO_NET_F_MQ, true);
    vionet_features_set(config.features, VIRTIO_NET_F_RSS, true);
    config.max_pairs = PAIRS;
    rig->device = vionet_device_new(&config, &ops, rig, NULL);
    g_assert_nonnull(rig->device);
    rig->pci = vionet_pci_new(rig->device, &pci, &bus, rig, NULL);
    g_assert_nonnull(rig->pci);
}

static const struct guest_region *region_of(const struct rig *rig)
{
    const struct guest_region *region;

    g_assert_cmpuint(guest_memory_regions(rig->memory, &region), ==, 1);
    return region;
}

static void map(struct rig *rig)
{
    g_assert_true(vionet_device_map(rig->device, BASE, region_of(rig)->host, MEMORY, 0, NULL));
}

static void boot(struct rig *rig)
{
    g_assert_true(guest_driver_start(rig->driver, features_known()));
    g_assert_true(net_start(rig->net));
    g_assert_cmpint(net_control_pairs(rig->net, PAIRS), ==, VIRTIO_NET_OK);
}

static struct rig *start(VionetBackend *backend, const struct net_options *options)
{
    const struct guest_extent extent = {BASE, MEMORY};
    const struct guest_memory_options memory = {.extents = &extent, .n_extents = 1};
    struct rig *rig = g_new0(struct rig, 1);

    rig->backend = backend;
    g_assert_true(backend_split(backend, PAIRS, NULL));
    rig->workers = workers_new(backend);
    make_device(rig);
    rig->memory = guest_memory_new(&memory);
    g_assert_nonnull(rig->memory);
    map(rig);
    rig->access = machine_access(&rig->pci);
    rig->driver = guest_driver_new(&rig->access, rig->memory, NULL);
    rig->net = net_new(rig->driver, options);
    g_assert_true(workers_start(rig->workers, rig->device, NULL));
    boot(rig);
    return rig;
}

static struct rig *start_witness(const struct net_options *options)
{
    VionetBackend *backend = &witness_alloc()->backend;

    backend->ops = &witness_ops;
    backend->takes = BACKEND_CSUM | BACKEND_GSO | BACKEND_UFO | BACKEND_USO | BACKEND_TUNNEL;
    return start(backend, options);
}

static struct witness *witness_at(const struct rig *rig, unsigned i)
{
    return (struct witness *)backend_queue(rig->backend, i);
}

static void finish(struct rig *rig)
{
    char *text = complaints_text(guest_driver_complaints(rig->driver));

    g_assert_cmpstr(text, ==, "");
    g_free(text);
    workers_stop(rig->workers);
    net_free(rig->net);
    vionet_pci_free(rig->pci);
    vionet_device_free(rig->device);
    workers_free(rig->workers);
    backend_close(rig->backend);
    guest_driver_free(rig->driver);
    guest_memory_free(rig->memory);
    g_free(rig);
}

static void guest_send(struct rig *rig, unsigned pair)
{
    g_assert_true(net_transmit(rig->net, pair, NULL, broadcast, sizeof(broadcast)));
}

static gboolean witness_ready(gpointer data)
{
    backend_ready(data);
    return G_SOURCE_REMOVE;
}

/* Frames for the guest come, of which the backend's source tells where it is attached. */
static void supply(struct rig *rig, unsigned i, unsigned n)
{
    struct witness *witness = witness_at(rig, i);
    GSource *source = g_idle_source_new();

    add(&witness->supply, n);
    g_source_set_callback(source, witness_ready, witness, NULL);
    g_source_attach(source, workers_context(rig->workers, i));
    g_source_unref(source);
}

/* ---- Moments ---- */

/* What a pair's queue has is sent by that pair's thread, and none waits for another. */
static void test_a_thread_each(void)
{
    struct rig *rig = start_witness(NULL);

    for (unsigned i = 0; i < PAIRS; i++) {
        set(&witness_at(rig, i)->wait, true);
        guest_send(rig, i);
    }
    for (unsigned i = 0; i < PAIRS; i++) {
        await(&witness_at(rig, i)->inside, 1);
        g_assert_true(witness_at(rig, i)->thread != g_thread_self());
        for (unsigned k = 0; k < i; k++) {
            g_assert_true(witness_at(rig, i)->thread != witness_at(rig, k)->thread);
        }
    }
    for (unsigned i = 0; i < PAIRS; i++) {
        set(&witness_at(rig, i)->wait, false);
        await(&witness_at(rig, i)->sent, 1);
    }
    g_assert_cmpuint(backend_counters(rig->backend).sent, ==, PAIRS);
    finish(rig);
}

struct settling {
    struct rig *rig;
    unsigned done;
};

static gpointer settle(gpointer data)
{
    struct settling *settling = data;

    workers_settle(settling->rig->workers);
    add(&settling->done, 1);
    return NULL;
}

/* Memory is not let go of while a frame in it is on its way; those that sleep keep up nobody. */
static void test_settles_when_frames_are_back(void)
{
    struct rig *rig = start_witness(NULL);
    struct settling settling = {.rig = rig};
    GThread *thread;

    workers_settle(rig->workers);
    set(&witness_at(rig, 2)->wait, true);
    guest_send(rig, 2);
    await(&witness_at(rig, 2)->inside, 1);
    thread = g_thread_new("settles", settle, &settling);
    g_usleep(20000);
    g_assert_cmpuint(get(&settling.done), ==, 0);
    set(&witness_at(rig, 2)->wait, false);
    g_thread_join(thread);
    g_assert_cmpuint(get(&settling.done), ==, 1);
    finish(rig);
}

/*
 * Frames that one thread holds are for another one's queue: room there is told to whoever waits for
 * it. They come on queue 3, and go to the first pair, as all frames of no flow do.
 */
static void test_room_is_told_to_all(void)
{
    static const struct net_options options = {.hold = true};
    struct rig *rig = start_witness(&options);
    struct witness *witness = witness_at(rig, 3);
    struct guest_packet packet;

    supply(rig, 3, 5);
    await(&witness->taken, 5);
    g_usleep(10000);
    g_assert_cmpuint(get(&witness->completed), ==, 0);
    g_assert_cmpuint(net_post(rig->net, 0, 3), ==, 3);
    await(&witness->completed, 3);
    g_assert_cmpuint(net_post(rig->net, 0, 3), ==, 3);
    await(&witness->completed, 5);
    for (unsigned i = 0; i < 5; i++) {
        g_assert_true(net_receive_pair(rig->net, 0, &packet));
        g_assert_cmpmem(packet.data, packet.len, broadcast, sizeof(broadcast));
    }
    finish(rig);
}

/* Frames held at a reset, or at the end, are given back. */
static void test_held_frames_are_given_back(void)
{
    static const struct net_options options = {.hold = true};
    struct rig *rig = start_witness(&options);
    struct witness *witness = witness_at(rig, 1);

    supply(rig, 1, 5);
    await(&witness->taken, 5);
    vionet_device_write_status(rig->device, 0);
    await(&witness->completed, 5);
    boot(rig);
    supply(rig, 1, 5);
    await(&witness->taken, 10);
    workers_stop(rig->workers);
    g_assert_cmpuint(get(&witness->completed), ==, 10);
    g_assert_true(workers_start(rig->workers, rig->device, NULL));
    guest_send(rig, 1);
    await(&witness->sent, 1);
    finish(rig);
}

/* ---- Traffic ---- */

struct guest {
    struct rig *rig;
    unsigned pair;
    bool *stop;
    GThread *thread;
    uint64_t sent;
    uint64_t received;
};

/* Broadcasts to no flow would all go to one pair: these are of flows of IPv4. */
static void fill_flow(uint8_t frame[60], unsigned flow)
{
    static const uint8_t head[28] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,  0,  0, 0,
                                     0,    1,    8,    0,    0x45, 0,    0,  46, 0, 0,
                                     0,    0,    64,   253,  0,    0,    10, 0};

    memset(frame, 0, 60);
    memcpy(frame, head, sizeof(head));
    frame[28] = (uint8_t)(flow >> 8);
    frame[29] = (uint8_t)flow;
}

static void take_all(struct guest *guest)
{
    struct guest_packet packet;

    while (net_receive_pair(guest->rig->net, guest->pair, &packet)) {
        g_assert_cmpuint(packet.len, ==, 60);
        guest->received++;
    }
}

static gpointer run_guest(gpointer data)
{
    struct guest *guest = data;
    uint8_t frame[60];

    for (unsigned i = 0; !is_set(guest->stop); i++) {
        fill_flow(frame, guest->pair * 100 + i % 16);
        take_all(guest);
        net_reclaim(guest->rig->net, guest->pair);
        guest->sent += net_transmit(guest->rig->net, guest->pair, NULL, frame, sizeof(frame));
        g_thread_yield();
    }
    return NULL;
}

static void start_guests(struct guest *guests, struct rig *rig, bool *stop)
{
    set(stop, false);
    for (unsigned i = 0; i < PAIRS; i++) {
        guests[i].rig = rig;
        guests[i].pair = i;
        guests[i].stop = stop;
        guests[i].thread = g_thread_new("guest", run_guest, &guests[i]);
    }
}

static void stop_guests(struct guest *guests, bool *stop)
{
    set(stop, true);
    for (unsigned i = 0; i < PAIRS; i++) {
        g_thread_join(guests[i].thread);
    }
}

static struct rig *start_loopback(void)
{
    static const struct net_options options = {.transmit_size = 2048, .control_size = 8192};

    return start(backend_open("loopback", NULL), &options);
}

static void change_steering(struct rig *rig, unsigned i)
{
    static const uint8_t key[40] = {0x6d, 0x5a, 0x56, 0xda};
    const struct net_rss rss = {.hash_types = 0x1ff,
                                .table_len = 1u << i % 8,
                                .max_tx_vq = PAIRS,
                                .key = key,
                                .key_len = 40};

    if (i % 2) {
        g_assert_cmpint(net_control_rss(rig->net, &rss), ==, VIRTIO_NET_OK);
    } else {
        g_assert_cmpint(net_control_pairs(rig->net, PAIRS), ==, VIRTIO_NET_OK);
    }
}

/* All that is sent comes back, to some pair, while the driver steers it this way and that. */
static void test_traffic(void)
{
    struct rig *rig = start_loopback();
    const gint64 deadline = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;
    struct guest guests[PAIRS] = {{0}};
    uint64_t sent = 0;
    uint64_t received = 0;
    bool stop;

    start_guests(guests, rig, &stop);
    for (unsigned i = 0; i < 100; i++) {
        change_steering(rig, i);
        g_usleep(500);
    }
    stop_guests(guests, &stop);
    for (unsigned i = 0; i < PAIRS; i++) {
        g_assert_cmpuint(guests[i].sent, >, 0);
        sent += guests[i].sent;
    }
    while (received + backend_counters(rig->backend).dropped < sent) {
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        received = 0;
        for (unsigned i = 0; i < PAIRS; i++) {
            take_all(&guests[i]);
            received += guests[i].received;
        }
    }
    for (unsigned i = 0; i < PAIRS; i++) {
        g_assert_cmpuint(backend_counters(backend_queue(rig->backend, i)).sent, ==, guests[i].sent);
    }
    g_assert_cmpuint(received + backend_counters(rig->backend).dropped, ==, sent);
    finish(rig);
}

/* The driver resets and begins anew while the threads have its frames. */
static void test_resets_under_traffic(void)
{
    struct rig *rig = start_loopback();
    struct guest guests[PAIRS] = {{0}};

    for (unsigned i = 0; i < 40; i++) {
        bool stop;

        start_guests(guests, rig, &stop);
        g_usleep(1000);
        stop_guests(guests, &stop);
        boot(rig);
    }
    finish(rig);
}

/* Memory is taken away from a running device, and touched by nobody once the threads have settled. */
static void test_unmap_under_traffic(void)
{
    struct rig *rig;

    if (!g_test_subprocess()) {
        g_test_trap_subprocess(NULL, 0, 0);
        g_test_trap_assert_passed();
        return;
    }
    rig = start_loopback();
    for (unsigned i = 0; i < 100; i++) {
        void *host = region_of(rig)->host;

        for (unsigned k = 0; k < 8 * PAIRS; k++) {
            net_transmit(rig->net, k % PAIRS, NULL, broadcast, sizeof(broadcast));
        }
        g_assert_true(vionet_device_unmap(rig->device, BASE, MEMORY, NULL));
        workers_settle(rig->workers);
        g_assert_cmpint(mprotect(host, MEMORY, PROT_NONE), ==, 0);
        g_usleep(100);
        g_assert_cmpint(mprotect(host, MEMORY, PROT_READ | PROT_WRITE), ==, 0);
        map(rig);
        boot(rig);
    }
    finish(rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/workers/a-thread-each", test_a_thread_each);
    g_test_add_func("/workers/settles-when-frames-are-back", test_settles_when_frames_are_back);
    g_test_add_func("/workers/room-is-told-to-all", test_room_is_told_to_all);
    g_test_add_func("/workers/held-frames-are-given-back", test_held_frames_are_given_back);
    g_test_add_func("/workers/traffic", test_traffic);
    g_test_add_func("/workers/resets-under-traffic", test_resets_under_traffic);
    g_test_add_func("/workers/unmap-under-traffic", test_unmap_under_traffic);
    return g_test_run();
}
