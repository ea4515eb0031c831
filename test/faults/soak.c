/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two devices in one process, each with four queue pairs, a vfio-user server, a client and a guest. One guest behaves,
 * and never stops sending. The other is, in turns, another one like it, and a hostile one: random octets in its rings,
 * storms of notifications, garbage for registers and messages, mappings, resets, hang-ups. The good one loses nothing, its
 * frames cost it as much time of the processor beside the one as beside the other, and the process does not grow.
 *
 *     soak [--seconds N]        for each of threads=off and threads=on
 */
#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vionet/spec.h>

#include "driver/control.h"
#include "driver/queue.h"
#include "unit/vfio_client.h"

#define PAIRS       4
#define BURST       16
#define FRAME       200
#define PHASE_US    (100 * 1000)
#define MAX_PHASES  20000
#define MAX_THREADS 16
#define GROWTH      (4 * 1024) /* KiB that the process may grow by */
#define TRIES       5 /* on a machine that has others to serve; what is the device's fault stays */

enum neighbour { NORMAL, HOSTILE, GONE };

static unsigned seconds = 3;
static int kind_now; /* enum neighbour: what the other guest is to be */
static unsigned n_misdeeds;
static unsigned n_lost_connections;

/* ---- a guest that behaves ---- */

struct good {
    struct host host;
    struct guest guest;
    uint64_t sent; /* frames, all of which came back */
};

static void good_begin(struct good *good, const char *properties)
{
    memset(good, 0, sizeof(*good));
    host_init(&good->host, properties, "loopback");
    guest_open(&good->guest, &good->host, false);
    guest_boot(&good->guest);
    g_assert_cmpint(net_control_pairs(good->guest.net, PAIRS), ==, VIRTIO_NET_OK);
}

static void make_frame(uint8_t frame[FRAME], unsigned pair, uint64_t number)
{
    memset(frame, (int)number, FRAME);
    memcpy(frame, "\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\1\x88\xb5", 14);
    frame[14] = (uint8_t)pair;
    memcpy(frame + 16, &number, sizeof(number));
}

/* Each frame that comes back is one that was sent and has not come back yet, octet for octet. */
static unsigned take_back(struct good *good, unsigned pair, unsigned due[PAIRS])
{
    struct guest_packet packet;
    uint8_t frame[FRAME];
    uint64_t number;
    unsigned n = 0;

    while (net_receive_pair(good->guest.net, pair, &packet)) {
        g_assert_cmpuint(packet.len, ==, FRAME);
        memcpy(&number, packet.data + 16, sizeof(number));
        g_assert_cmpuint(packet.data[14], <, PAIRS);
        make_frame(frame, packet.data[14], number);
        g_assert_cmpmem(packet.data, packet.len, frame, FRAME);
        g_assert_cmpuint(number, >=, good->sent);
        g_assert_true(due[packet.data[14]] & 1u << (number - good->sent));
        due[packet.data[14]] &= ~(1u << (number - good->sent));
        n++;
    }
    return n;
}

/* Sleeps until there is an interrupt, or for a moment: what a guest spends looking is not the device's. */
static void await_interrupt(const struct guest *guest)
{
    struct pollfd wanted[GUEST_VECTORS];

    for (unsigned i = 0; i < guest->n_vectors; i++) {
        wanted[i] = (struct pollfd){.fd = guest->vectors[i], .events = POLLIN};
    }
    poll(wanted, guest->n_vectors, 1);
}

static bool all_back(const unsigned due[PAIRS])
{
    unsigned left = 0;

    for (unsigned pair = 0; pair < PAIRS; pair++) {
        left |= due[pair];
    }
    return left == 0;
}

/* A burst on each pair, out and in again. */
static void good_turn(struct good *good)
{
    const gint64 end = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;
    unsigned due[PAIRS];
    uint8_t frame[FRAME];

    for (unsigned pair = 0; pair < PAIRS; pair++) {
        for (unsigned i = 0; i < BURST; i++) {
            make_frame(frame, pair, good->sent + i);
            g_assert_true(net_transmit_add(good->guest.net, pair, NULL, NULL, frame, FRAME));
        }
        due[pair] = (1u << BURST) - 1;
        net_transmit_flush(good->guest.net, pair);
    }
    while (!all_back(due)) {
        unsigned n = 0;

        guest_interrupts(&good->guest);
        for (unsigned pair = 0; pair < PAIRS; pair++) {
            n += take_back(good, pair, due);
        }
        net_recycle(good->guest.net);
        if (n == 0) {
            await_interrupt(&good->guest);
        }
        g_assert_cmpint(g_get_monotonic_time(), <, end);
    }
    good->sent += BURST;
}

static void good_end(struct good *good)
{
    guest_close(&good->guest);
    host_end(&good->host);
}

/* ---- one that does not ---- */

struct hostile {
    struct host host;
    struct guest guest;
    GRand *rand;
    bool there;
};

static unsigned below(struct hostile *hostile, unsigned n)
{
    return (unsigned)g_rand_int_range(hostile->rand, 0, (gint32)n);
}

/* guest_close() without asking whether the device did right by such a driver. */
static void hostile_leave(struct hostile *hostile)
{
    struct guest *guest = &hostile->guest;

    net_free(guest->net);
    guest_driver_free(guest->driver);
    guest_memory_free(guest->memory);
    for (unsigned i = 0; i < guest->n_vectors; i++) {
        close(guest->vectors[i]);
    }
    client_close(&guest->client);
    hostile->there = false;
}

static void hostile_come(struct hostile *hostile)
{
    guest_open(&hostile->guest, &hostile->host, false);
    guest_boot(&hostile->guest);
    hostile->there = true;
}

/* Octets of rings, tables and frames change. */
static void spoil_memory(struct hostile *hostile)
{
    const struct guest_region *region;
    uint8_t *host;

    guest_memory_regions(hostile->guest.memory, &region);
    host = region->host;
    for (unsigned i = 0; i < 2000; i++) {
        const size_t at = below(hostile, 4) ? below(hostile, 1 << 16) : below(hostile, 32 << 20);

        host[at] = (uint8_t)below(hostile, 256);
    }
}

static void storm(struct hostile *hostile)
{
    for (unsigned i = 0; i < 200; i++) {
        const uint64_t offset = 0x3000 + 4 * (uint64_t)below(hostile, 16);
        const uint16_t value = (uint16_t)below(hostile, 16);

        client_write(&hostile->guest.client, BAR_VIRTIO, offset, &value, sizeof(value));
    }
}

static void spoil_registers(struct hostile *hostile)
{
    for (unsigned i = 0; i < 100; i++) {
        const uint32_t value = g_rand_int(hostile->rand);
        const uint32_t size = 1u << below(hostile, 3);

        client_write(&hostile->guest.client, BAR_VIRTIO, below(hostile, 64) / size * size, &value,
                     size);
    }
}

/* Messages that are none: the server ends the connection, sooner or later. */
static void spoil_messages(struct hostile *hostile)
{
    uint8_t octets[512];

    for (size_t i = 0; i < sizeof(octets); i++) {
        octets[i] = (uint8_t)below(hostile, 256);
    }
    if (client_send(&hostile->guest.client, octets, sizeof(octets), NULL, 0)) {
        n_lost_connections += client_is_lost(&hostile->guest.client);
    }
    hostile_leave(hostile);
}

static void remap(struct hostile *hostile)
{
    struct client *client = &hostile->guest.client;

    for (unsigned i = 0; i < 20; i++) {
        const uint64_t address = UINT64_C(1) << 40 | (uint64_t)below(hostile, 16) << 12;

        client_map(client, address, 4096, 3, -1, 0);
        client_unmap(client, address, 4096);
    }
    client_unmap_all(client);
}

static void hostile_turn(struct hostile *hostile)
{
    static void (*const misdeeds[])(struct hostile * hostile) = {spoil_memory, storm,
                                                                 spoil_registers, remap};

    if (!hostile->there) {
        hostile_come(hostile);
    }
    if (below(hostile, 4) == 0) {
        spoil_messages(hostile);
    } else if (below(hostile, 4) == 0) {
        client_call(&hostile->guest.client, DEVICE_RESET, NULL, 0);
        hostile_leave(hostile);
    } else {
        misdeeds[below(hostile, G_N_ELEMENTS(misdeeds))](hostile);
        storm(hostile);
    }
    n_misdeeds++;
}

/* ---- the other guest ---- */

static gpointer neighbour_run(gpointer properties)
{
    struct hostile *hostile = g_new0(struct hostile, 1);
    struct good *good = g_new(struct good, 1);
    int kind;

    good_begin(good, properties);
    host_init(&hostile->host, properties, "loopback");
    hostile->rand = g_rand_new_with_seed(1);
    while ((kind = g_atomic_int_get(&kind_now)) != GONE) {
        if (kind == NORMAL) {
            good_turn(good);
        } else {
            hostile_turn(hostile);
        }
    }
    if (hostile->there) {
        hostile_leave(hostile);
    }
    host_works(&hostile->host);
    host_end(&hostile->host);
    good_end(good);
    g_rand_free(hostile->rand);
    g_free(hostile);
    g_free(good);
    return NULL;
}

/* ---- what is measured ---- */

static uint64_t read_number(const char *path)
{
    FILE *file = fopen(path, "re");
    unsigned long long number = 0;

    g_assert_nonnull(file);
    g_assert_cmpint(fscanf(file, "%llu", &number), ==, 1);
    fclose(file);
    return number;
}

/* Threads of this process: the caller's and the device's, if the other guest has not begun yet. */
static unsigned list_threads(unsigned ids[MAX_THREADS])
{
    DIR *dir = opendir("/proc/self/task");
    const struct dirent *entry;
    unsigned n = 0;

    g_assert_nonnull(dir);
    while ((entry = readdir(dir)) != NULL) {
        if (g_ascii_isdigit(entry->d_name[0])) {
            g_assert_cmpuint(n, <, MAX_THREADS);
            ids[n++] = (unsigned)strtoul(entry->d_name, NULL, 10);
        }
    }
    closedir(dir);
    return n;
}

/* Nanoseconds of processor that these have had. */
static uint64_t time_of(const unsigned *ids, unsigned n)
{
    uint64_t sum = 0;
    char path[64];

    for (unsigned i = 0; i < n; i++) {
        g_snprintf(path, sizeof(path), "/proc/self/task/%u/schedstat", ids[i]);
        sum += read_number(path);
    }
    return sum;
}

/* What the process has for itself: the guests' memory is in it too, and shared. */
static uint64_t own_kib(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long pages = 0, shared = 0;

    g_assert_nonnull(file);
    g_assert_cmpint(fscanf(file, "%*u %lu %lu", &pages, &shared), ==, 2);
    fclose(file);
    return (uint64_t)(pages - shared) * (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
}

struct rates {
    double per_cpu[MAX_PHASES]; /* frames in a second of processor */
    double per_time[MAX_PHASES];
    unsigned n;
};

static int by_size(const void *one, const void *other)
{
    const double a = *(const double *)one;
    const double b = *(const double *)other;

    return (a > b) - (a < b);
}

static double median(double *values, unsigned n)
{
    qsort(values, n, sizeof(values[0]), by_size);
    return values[n / 2];
}

/* A phase of the good guest's traffic. */
static void phase(struct good *good, struct rates *rates, const unsigned *ids, unsigned n)
{
    const gint64 began = g_get_monotonic_time();
    const uint64_t cpu = time_of(ids, n);
    const uint64_t sent = good->sent;
    double frames;
    gint64 now;

    do {
        good_turn(good);
        now = g_get_monotonic_time();
    } while (now - began < PHASE_US);
    frames = (double)((good->sent - sent) * PAIRS);
    g_assert_cmpuint(rates->n, <, MAX_PHASES);
    rates->per_cpu[rates->n] = frames * 1e9 / (double)(time_of(ids, n) - cpu);
    rates->per_time[rates->n++] = frames * 1e6 / (double)(now - began);
}

/* So many seconds of phases, beside the two in turns. */
static void measure(struct good *good, struct rates rates[2], const unsigned *ids, unsigned n)
{
    const gint64 end = g_get_monotonic_time() + (gint64)seconds * G_USEC_PER_SEC;

    rates[NORMAL].n = rates[HOSTILE].n = 0;
    while (g_get_monotonic_time() < end) {
        for (int kind = NORMAL; kind <= HOSTILE; kind++) {
            g_atomic_int_set(&kind_now, kind);
            phase(good, &rates[kind], ids, n);
        }
    }
}

static void soak(gconstpointer properties)
{
    struct rates *rates = g_new0(struct rates, 2);
    struct good *good = g_new(struct good, 1);
    unsigned ids[MAX_THREADS];
    uint64_t before, after;
    double cpu, time;
    GThread *thread;
    unsigned tries = 0;
    unsigned n_ids;

    n_misdeeds = n_lost_connections = 0;
    kind_now = NORMAL;
    good_begin(good, properties);
    n_ids = list_threads(ids);
    thread = g_thread_new("neighbour", neighbour_run, (gpointer)properties);
    for (unsigned i = 0; i < 10; i++) { /* all has been allocated once */
        g_atomic_int_set(&kind_now, i % 2 ? HOSTILE : NORMAL);
        phase(good, &rates[0], ids, n_ids);
    }
    before = own_kib();
    do {
        measure(good, rates, ids, n_ids);
        cpu = median(rates[HOSTILE].per_cpu, rates[HOSTILE].n) /
              median(rates[NORMAL].per_cpu, rates[NORMAL].n);
        time = median(rates[HOSTILE].per_time, rates[HOSTILE].n) /
               median(rates[NORMAL].per_time, rates[NORMAL].n);
    } while ((cpu <= 0.9 || time <= 0.7) && ++tries < TRIES);
    after = own_kib();
    g_atomic_int_set(&kind_now, GONE);
    g_thread_join(thread);

    g_test_message("%s: %" G_GUINT64_FORMAT " frames, none lost; beside %u misdeeds and %u lost "
                   "connections frames in a second of processor are %.1f %%, in a second %.1f %%, "
                   "of those beside a good guest; the process grew by %d KiB",
                   (const char *)properties, good->sent * PAIRS, n_misdeeds, n_lost_connections,
                   100 * cpu, 100 * time, (int)(after - before));
    g_assert_cmpuint(n_misdeeds, >, 10);
    g_assert_cmpuint(n_lost_connections, >, 1);
    g_assert_cmpfloat(cpu, >, 0.9);
    g_assert_cmpfloat(time, >, 0.7); /* the machine has others to serve */
    g_assert_true(after < before + GROWTH);
    good_end(good);
    g_free(good);
    g_free(rates);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (argc == 3 && strcmp(argv[1], "--seconds") == 0) {
        seconds = (unsigned)strtoul(argv[2], NULL, 10);
    }
    host_quiet();
    g_test_add_data_func("/faults/soak/one-thread", "queues=4,mq=on", soak);
    g_test_add_data_func("/faults/soak/threads", "queues=4,mq=on,threads=on", soak);
    return g_test_run();
}
