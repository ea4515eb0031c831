/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vfio-user server against clients that do not keep to the protocol. Whatever they send, the
 * server lives, holds no descriptor or mapping of theirs longer than their connection, and serves
 * the next one. Tests named F-nn are the rows of a list of what went wrong in other servers.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vionet/spec.h>

#include "driver/queue.h"
#include "vfio_client.h"

#define MIB (UINT64_C(1) << 20)

/* The first two numbers of a message, of 16 bits each, as one of 32. */
#if G_BYTE_ORDER == G_LITTLE_ENDIAN
#define FIRST(id, command) ((uint32_t)(command) << 16 | (id))
#else
#define FIRST(id, command) ((uint32_t)(id) << 16 | (command))
#endif

/* What a test begins and ends with: the same number of descriptors and mappings. */
struct scene {
    struct host host;
    struct client client;
    unsigned fds;
    unsigned maps;
};

static struct scene *scene_new(const char *properties)
{
    struct scene *scene = g_new0(struct scene, 1);

    host_init(&scene->host, properties, "loopback");
    scene->fds = count_fds();
    scene->maps = count_maps();
    client_open(&scene->client, &scene->host);
    return scene;
}

static void scene_reopen(struct scene *scene)
{
    client_close(&scene->client);
    g_assert_cmpuint(count_fds(), ==, scene->fds);
    g_assert_cmpuint(count_maps(), ==, scene->maps);
    client_open(&scene->client, &scene->host);
}

static void scene_end(struct scene *scene)
{
    client_close(&scene->client);
    await_fds(scene->fds);
    g_assert_cmpuint(count_maps(), ==, scene->maps);
    host_works(&scene->host);
    host_end(&scene->host);
    g_free(scene);
}

static void assert_lives(struct scene *scene)
{
    const uint32_t ask[4] = {16, 0, 0, 0};

    g_assert_cmpuint(client_call(&scene->client, GET_INFO, ask, sizeof(ask)), ==, 0);
}

/* ---- F-01: regions ---- */

static uint64_t region_size(struct client *client, uint32_t region)
{
    const uint32_t ask[8] = {32, 0, region};

    return client_call(client, GET_REGION_INFO, ask, sizeof(ask)) ? 0 : reply_64(client, 16);
}

/* A write that claims count octets and has so many. */
static uint32_t short_write(struct client *client, uint32_t region, uint64_t offset, uint32_t count,
                            uint32_t octets)
{
    uint8_t payload[16 + 64] = {0};
    const struct region_access access = {offset, region, count};

    memcpy(payload, &access, sizeof(access));
    return client_call(client, REGION_WRITE, payload, 16 + octets);
}

static void test_region_bounds(void)
{
    static const uint32_t counts[] = {0, 1, 8, 9, 65536, 65537, 0x7fffffff, 0xffffffff};
    struct scene *scene = scene_new("");
    struct client *client = &scene->client;
    uint8_t *room = g_malloc(65536);

    for (uint32_t region = 0; region < 256; region++) {
        const uint64_t size = region_size(client, region);
        const uint64_t offsets[] = {0,        size - 8,       size - 1,       size,
                                    size + 1, UINT64_MAX - 7, UINT64_MAX - 1, UINT64_MAX};

        for (size_t i = 0; i < G_N_ELEMENTS(offsets); i++) {
            for (size_t j = 0; j < G_N_ELEMENTS(counts); j++) {
                const bool inside = offsets[i] <= size && counts[j] <= size - offsets[i];
                const bool read = inside && counts[j] <= 65536;
                const bool written = inside && counts[j] <= 16;

                g_assert_cmpuint(
                    client_read(client, region, offsets[i], room, read ? counts[j] : 0), ==,
                    inside || (offsets[i] <= size) ? 0 : EINVAL);
                g_assert_cmpuint(client_call(client, REGION_READ,
                                             &(struct region_access){offsets[i], region, counts[j]},
                                             16),
                                 ==, read ? 0 : EINVAL);
                g_assert_cmpuint(short_write(client, region, offsets[i], counts[j], 16), ==,
                                 written ? 0 : EINVAL);
            }
        }
    }
    g_free(room);
    scene_end(scene);
}

static void test_write_shorter_than_count(void)
{
    struct scene *scene = scene_new("vectors=4");
    uint32_t found = 0;

    for (uint32_t count = 0; count <= 32; count++) {
        for (uint32_t octets = 0; octets <= 32; octets++) {
            g_assert_cmpuint(short_write(&scene->client, BAR_MSIX, 0, count, octets), ==,
                             count <= octets ? 0 : EINVAL);
        }
    }
    g_assert_cmpuint(client_read(&scene->client, BAR_MSIX, 0, &found, 4), ==, 0);
    g_assert_cmphex(found, ==, 0);
    scene_end(scene);
}

static void test_region_index(void)
{
    struct scene *scene = scene_new("");
    const uint32_t indices[] = {9, 10, 255, 256, 0x100, 0x7fffffff, 0x80000000, 0xffffffff};

    for (size_t i = 0; i < G_N_ELEMENTS(indices); i++) {
        const uint32_t region[8] = {32, 0, indices[i]};
        const uint32_t fds[4] = {4096, 0, indices[i], 0};

        g_assert_cmpuint(client_call(&scene->client, GET_REGION_INFO, region, 32), ==, EINVAL);
        g_assert_cmpuint(client_call(&scene->client, GET_REGION_IO_FDS, fds, 16), ==, EINVAL);
        g_assert_cmpuint(client_call(&scene->client, GET_IRQ_INFO, fds, 16), ==, EINVAL);
    }
    scene_end(scene);
}

/* ---- F-02: sizes that the client says ---- */

static void test_unmap_sizes(void)
{
    static const uint32_t argszs[] = {0, 23, 24, 0x7fffffff, 0xffffffff};
    struct scene *scene = scene_new("");
    struct client *client = &scene->client;
    uint64_t payload[8] = {0}; /* a bitmap's page size and size behind it */

    for (size_t i = 0; i < G_N_ELEMENTS(argszs); i++) {
        for (uint32_t flags = 0; flags < 8; flags++) {
            static const uint64_t sizes[] = {0, 3, 4096, UINT64_C(1) << 63, UINT64_MAX};

            for (size_t j = 0; j < G_N_ELEMENTS(sizes); j++) {
                const struct dma_unmap unmap = {argszs[i], flags, 0, 0};

                memcpy(payload, &unmap, sizeof(unmap));
                payload[3] = sizes[j];
                payload[4] = sizes[4 - j];
                g_assert_cmpuint(client_call(client, DMA_UNMAP, payload, sizeof(payload)), ==,
                                 argszs[i] < 24 || flags & ~2u ? EINVAL
                                 : flags == 2                  ? 0
                                                               : ENOENT);
                g_assert_cmpuint(client->len, <=, 24);
            }
        }
    }
    scene_end(scene);
}

static void test_small_argsz(void)
{
    static const struct {
        uint16_t command;
        uint32_t size;
    } rows[] = {{DMA_MAP, 32},           {DMA_UNMAP, 24},    {GET_INFO, 16}, {GET_REGION_INFO, 32},
                {GET_REGION_IO_FDS, 16}, {GET_IRQ_INFO, 16}, {SET_IRQS, 20}, {FEATURE, 8}};
    struct scene *scene = scene_new("");

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        for (uint32_t argsz = 0; argsz < rows[i].size; argsz++) {
            const uint32_t payload[8] = {argsz};

            g_assert_cmpuint(client_call(&scene->client, rows[i].command, payload, rows[i].size),
                             ==, EINVAL);
        }
    }
    scene_end(scene);
}

/* ---- F-03: SET_IRQS ---- */

/* What the text of the protocol lets through for two of the three vectors. */
static bool irqs_in_order(uint32_t flags, uint32_t index, unsigned n_fds)
{
    const uint32_t data = flags & 7;
    const uint32_t action = flags & 56;
    const bool one_each = data && !(data & (data - 1)) && action && !(action & (action - 1));

    if (!one_each || flags >= 64) {
        return false;
    }
    if (data != DATA_FDS) {
        return n_fds == 0;
    }
    return (action == TRIGGER || (action == UNMASK && index == INTX)) && (n_fds == 0 || n_fds == 1);
}

static void test_irq_flags(void)
{
    struct scene *scene = scene_new("vectors=3");
    const int fds[2] = {new_eventfd(), new_eventfd()};

    for (uint32_t flags = 0; flags < 256; flags++) {
        for (unsigned n_fds = 0; n_fds < 3; n_fds++) {
            for (uint32_t index = 0; index < 3; index += 2) {
                struct set_irqs set = {21, flags, index, 0, 1};
                uint8_t payload[21] = {0};

                memcpy(payload, &set, sizeof(set));
                payload[20] = 1;
                g_assert_cmpuint(
                    client_call_fds(&scene->client, SET_IRQS, payload, sizeof(payload), fds, n_fds),
                    ==, irqs_in_order(flags, index, n_fds) ? 0 : EINVAL);
            }
        }
    }
    close(fds[0]);
    close(fds[1]);
    g_assert_cmpuint(client_set_irqs(&scene->client, DATA_NONE | TRIGGER, INTX, 0, 0, NULL, 0), ==,
                     0);
    g_assert_cmpuint(client_set_irqs(&scene->client, DATA_NONE | TRIGGER, MSIX, 0, 0, NULL, 0), ==,
                     0);
    scene_end(scene);
}

static void test_irq_ranges(void)
{
    static const uint32_t numbers[] = {0,          1,          2,          3,         4,
                                       0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};
    struct scene *scene = scene_new("vectors=3");

    for (uint32_t index = 0; index < 5; index++) {
        const uint32_t count = index == MSIX ? 3 : index == INTX ? 1 : 0;

        for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
            for (size_t j = 0; j < G_N_ELEMENTS(numbers); j++) {
                const bool good = index < 3 && (uint64_t)numbers[i] + numbers[j] <= count;

                g_assert_cmpuint(client_set_irqs(&scene->client, DATA_NONE | MASK, index,
                                                 numbers[i], numbers[j], NULL, 0),
                                 ==, good ? 0 : EINVAL);
                g_assert_cmpuint(client_set_irqs(&scene->client, DATA_FDS | TRIGGER, index,
                                                 numbers[i], numbers[j], NULL, 0),
                                 ==, good ? 0 : EINVAL);
            }
        }
    }
    scene_end(scene);
}

/* An interrupt type that GET_IRQ_INFO refuses is none to be set either. */
static void test_irq_index(void)
{
    static const uint32_t indices[] = {3, 4, 5, 255, 0x80000000, 0xffffffff};
    struct scene *scene = scene_new("");

    for (size_t i = 0; i < G_N_ELEMENTS(indices); i++) {
        for (uint32_t action = MASK; action <= TRIGGER; action *= 2) {
            g_assert_cmpuint(
                client_set_irqs(&scene->client, DATA_NONE | action, indices[i], 0, 0, NULL, 0), ==,
                EINVAL);
        }
    }
    scene_end(scene);
}

static void test_irq_payload_shorter_than_count(void)
{
    struct scene *scene = scene_new("vectors=10");

    for (uint32_t count = 0; count <= 11; count++) {
        for (uint32_t octets = 0; octets <= 12; octets++) {
            const struct set_irqs set = {20 + octets, DATA_BOOL | TRIGGER, MSIX, 0, count};
            uint8_t payload[32] = {0};

            memcpy(payload, &set, sizeof(set));
            g_assert_cmpuint(client_call(&scene->client, SET_IRQS, payload, 20 + octets), ==,
                             count <= octets && count <= 10 ? 0 : EINVAL);
        }
    }
    scene_end(scene);
}

/* ---- F-04: what is no command ---- */

static void test_replies_nobody_asked_for(void)
{
    struct scene *scene = scene_new("");

    for (uint32_t flags = 1; flags < 16; flags++) {
        const uint32_t header[4] = {FIRST(7, GET_INFO), 16, flags | 0x20, 0x80000000};

        g_assert_true(client_send(&scene->client, header, sizeof(header), NULL, 0));
        g_assert_true(client_is_lost(&scene->client));
        scene_reopen(scene);
    }
    scene_end(scene);
}

static void test_error_in_a_command(void)
{
    struct scene *scene = scene_new("");
    const uint32_t message[8] = {FIRST(1, GET_INFO), 32, 0xffffffe0, 0x80000000, 16};

    scene->client.id = 1;
    g_assert_true(client_send(&scene->client, message, sizeof(message), NULL, 0));
    host_settle(&scene->host);
    g_assert_true(client_reply(&scene->client, GET_INFO));
    g_assert_cmpuint(scene->client.error, ==, 0);
    scene_end(scene);
}

/* ---- F-05: descriptors ---- */

static void make_fds(int *fds)
{
    int ends[2];

    g_assert_cmpint(pipe(ends), ==, 0);
    fds[0] = new_memfd(4096);
    fds[1] = new_eventfd();
    fds[2] = open("/", O_RDONLY | O_DIRECTORY);
    fds[3] = ends[0];
    fds[4] = ends[1];
    fds[5] = open("/dev/null", O_RDWR);
    fds[6] = socket(AF_UNIX, SOCK_STREAM, 0);
    fds[7] = open("/proc/self/status", O_RDONLY);
}

static void test_descriptors_with_each_command(void)
{
    static const unsigned counts[] = {1, 2, 8, 16, 17, 32};
    struct scene *scene = scene_new("");
    int kinds[8];
    int fds[32];
    unsigned before;

    make_fds(kinds);
    for (unsigned i = 0; i < 32; i++) {
        fds[i] = kinds[i % 8];
    }
    before = count_fds();
    for (uint16_t command = 0; command <= LAST_COMMAND + 2; command++) {
        for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
            for (size_t len = 0; len <= 32; len += 8) {
                uint32_t payload[8] = {32, 3};

                client_post(&scene->client, command, 0, payload, len, fds, counts[i]);
                host_settle(&scene->host);
                if (counts[i] > 16) {
                    g_assert_true(client_is_lost(&scene->client));
                    client_close(&scene->client);
                    client_open(&scene->client, &scene->host);
                } else {
                    g_assert_true(client_reply(&scene->client, command));
                    client_read(&scene->client, 0, 0, payload, 0); /* lets them go */
                }
                g_assert_cmpuint(count_fds(), ==, before);
            }
        }
    }
    for (unsigned i = 0; i < 8; i++) {
        close(kinds[i]);
    }
    scene_end(scene);
}

/* Of a message that never comes to its end, or comes with more of them in every octet. */
static void test_descriptors_of_half_a_message(void)
{
    struct scene *scene = scene_new("");
    const struct dma_map map = {32, 3, 0, 0, 4096};
    GByteArray *message = message_new(1, DMA_MAP, 0, &map, sizeof(map));
    const int fd = new_memfd(4096);

    for (guint len = 1; len < message->len; len++) {
        g_assert_true(client_send(&scene->client, message->data, len, &fd, 1));
        host_settle(&scene->host);
        client_close(&scene->client);
        g_assert_cmpuint(count_fds(), ==, scene->fds + 1);
        client_open(&scene->client, &scene->host);
    }
    for (guint at = 0; at < message->len && at < 17; at++) {
        g_assert_true(client_send(&scene->client, message->data + at, 1, &fd, 1));
        host_settle(&scene->host);
    }
    g_assert_true(client_is_lost(&scene->client));
    close(fd);
    g_byte_array_unref(message);
    scene_end(scene);
}

static void test_irqs_by_what_is_no_eventfd(void)
{
    struct scene *scene = scene_new("");
    const int good = new_eventfd();
    int fds[8];

    make_fds(fds);
    for (unsigned i = 0; i < 8; i++) {
        const int pair[2] = {good, fds[i]};

        g_assert_cmpuint(client_set_irqs(&scene->client, DATA_FDS | TRIGGER, MSIX, 0, 2, pair, 2),
                         ==, i == 1 ? 0 : EINVAL);
        g_assert_cmpuint(client_set_irqs(&scene->client, DATA_FDS | UNMASK, INTX, 0, 1, &fds[i], 1),
                         ==, i == 1 ? 0 : EINVAL);
    }
    for (unsigned i = 0; i < 8; i++) {
        close(fds[i]);
    }
    close(good);
    scene_end(scene);
}

/* An eventfd that is full, and was made to block after the server had looked at it. */
static void test_full_and_blocking_eventfd(void)
{
    const uint64_t most = UINT64_MAX - 1;
    struct scene *scene = scene_new("");
    const int fd = new_eventfd();

    g_assert_cmpuint(client_set_irqs(&scene->client, DATA_FDS | TRIGGER, MSIX, 0, 1, &fd, 1), ==,
                     0);
    g_assert_cmpuint(client_set_irqs(&scene->client, DATA_FDS | TRIGGER, INTX, 0, 1, &fd, 1), ==,
                     0);
    g_assert_cmpint(write(fd, &most, sizeof(most)), ==, sizeof(most));
    g_assert_cmpint(fcntl(fd, F_SETFL, O_RDWR), ==, 0);
    alarm(20);
    for (uint32_t index = 0; index < 3; index += 2) {
        g_assert_cmpuint(client_set_irqs(&scene->client, DATA_NONE | TRIGGER, index, 0, 1, NULL, 0),
                         ==, 0);
    }
    alarm(0);
    close(fd);
    scene_end(scene);
}

/* ---- F-06: again and again ---- */

/* Octets allocated; under sanitizers and valgrind, which have allocators of their own, always 0. */
static size_t allocated(void)
{
    const struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

static void map_and_unmap(struct client *client, int fd, unsigned times)
{
    const struct dma_map map = {32, 3, 0, MIB, 65536};
    const struct dma_unmap unmap = {24, 0, MIB, 65536};

    for (unsigned i = 0; i < times; i++) {
        client_post(client, DMA_MAP, NO_REPLY, &map, sizeof(map), &fd, 1);
        client_post(client, DMA_UNMAP, NO_REPLY, &unmap, sizeof(unmap), NULL, 0);
        if (i % 16 == 15) {
            host_settle(client->host);
        }
    }
    host_settle(client->host);
}

static void test_map_and_unmap_again_and_again(void)
{
    struct scene *scene = scene_new("");
    const int fd = new_memfd(65536);
    const unsigned fds = count_fds();
    const unsigned maps = count_maps();
    size_t octets;

    map_and_unmap(&scene->client, fd, 1000);
    octets = allocated();
    map_and_unmap(&scene->client, fd, 100000);
    g_assert_cmpuint(allocated(), <=, octets + 65536);
    g_assert_cmpuint(count_fds(), ==, fds);
    g_assert_cmpuint(count_maps(), ==, maps);
    assert_lives(scene);
    close(fd);
    scene_end(scene);
}

static void test_irqs_again_and_again(void)
{
    struct scene *scene = scene_new("");
    const int fd = new_eventfd();
    unsigned fds = 0;

    for (unsigned i = 0; i < 1000; i++) {
        g_assert_cmpuint(client_set_irqs(&scene->client, DATA_FDS | TRIGGER, MSIX, 0, 1, &fd, 1),
                         ==, 0);
        g_assert_cmpuint(client_set_irqs(&scene->client, DATA_FDS | TRIGGER, INTX, 0, 1, &fd, 1),
                         ==, 0);
        g_assert_cmpuint(client_set_irqs(&scene->client, DATA_FDS | UNMASK, INTX, 0, 1, &fd, 1), ==,
                         0);
        g_assert_true(i == 0 || count_fds() == fds);
        fds = count_fds();
    }
    close(fd);
    scene_end(scene);
}

/* Octets of a reply that nobody set would differ between two processes: none are more than said. */
static void test_replies_are_the_same_twice(void)
{
    static const uint16_t commands[] = {GET_INFO, GET_REGION_INFO, GET_IRQ_INFO, GET_REGION_IO_FDS};
    struct scene *scene = scene_new("mq=on,queues=5");

    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        const uint32_t ask[8] = {4096, 0, 4 - (commands[i] == GET_IRQ_INFO) * 2};
        uint8_t first[4096];
        uint8_t noise[4096];
        size_t len;

        g_assert_cmpuint(client_call(&scene->client, commands[i], ask, sizeof(ask)), ==, 0);
        len = scene->client.len;
        g_assert_cmpuint(len, ==, reply_32(&scene->client, 0));
        memcpy(first, scene->client.data, len);
        memset(noise, 0xa5, sizeof(noise));
        client_read(&scene->client, CONFIG_REGION, 0, noise, 256);
        g_assert_cmpuint(client_call(&scene->client, commands[i], ask, sizeof(ask)), ==, 0);
        g_assert_cmpmem(scene->client.data, scene->client.len, first, len);
    }
    scene_end(scene);
}

/* ---- F-08: memory ---- */

static void test_map_bounds(void)
{
    struct scene *scene = scene_new("");
    const int fd = new_memfd(16 * 4096);
    const struct {
        uint64_t address, size, offset;
        uint32_t flags;
        uint32_t error;
    } rows[] = {
        {0, 4096, 0, 3, 0},
        {0, 4096, 0, 3, EEXIST},
        {4096, 0, 0, 3, EINVAL},
        {4096, 4095, 0, 3, EINVAL},
        {4095, 4096, 0, 3, EINVAL},
        {4096, 4096, 1, 3, EINVAL},
        {4096, 4096, 0, 0, EINVAL},
        {4096, 4096, 0, 4, EINVAL},
        {4096, 4096, 0, 0xffffffff, EINVAL},
        {4096, 4096, 15 * 4096, 3, 0},
        {8192, 4096, 16 * 4096, 3, EINVAL},
        {8192, 8192, 15 * 4096, 3, EINVAL},
        {8192, 4096, UINT64_MAX - 4095, 3, EINVAL},
        {8192, 8192, UINT64_MAX - 4095, 3, EINVAL},
        {8192, 4096, UINT64_C(1) << 63, 3, EINVAL},
        {UINT64_MAX - 4095, 4096, 0, 3, 0},
        {UINT64_MAX - 4095, 8192, 0, 3, EINVAL},
        {UINT64_MAX - 8191, 8192, 0, 3, EEXIST},
        {8192, UINT64_C(1) << 63, 0, 3, EINVAL},
        {8192, UINT64_MAX - 4095, 0, 3, EINVAL},
        {8192, 4 * 4096, 4096, 3, 0},
        {8192 + 4096, 4096, 0, 3, EEXIST},
        {4096, 2 * 4096, 0, 3, EEXIST},
        {5 * 4096, 2 * 4096, 0, 3, EEXIST},
        {6 * 4096, 4096, 0, 1, 0},
        {7 * 4096, 4096, 0, 2, 0},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_assert_cmpuint(client_map(&scene->client, rows[i].address, rows[i].size, rows[i].flags,
                                    fd, rows[i].offset),
                         ==, rows[i].error);
    }
    /* Unmapping is of what was mapped, no part of it and not two of them. */
    g_assert_cmpuint(client_unmap(&scene->client, 8192, 4096), ==, ENOENT);
    g_assert_cmpuint(client_unmap(&scene->client, 8192 + 4096, 3 * 4096), ==, ENOENT);
    g_assert_cmpuint(client_unmap(&scene->client, 0, 2 * 4096), ==, ENOENT);
    g_assert_cmpuint(client_unmap(&scene->client, 8192, 4 * 4096), ==, 0);
    g_assert_cmpuint(client_unmap(&scene->client, 8192, 4 * 4096), ==, ENOENT);
    g_assert_cmpuint(client_unmap_all(&scene->client), ==, 0);
    g_assert_cmpuint(client_map(&scene->client, 0, 4096, 3, fd, 0), ==, 0);
    close(fd);
    scene_end(scene);
}

static void test_map_what_is_no_file(void)
{
    struct scene *scene = scene_new("");
    const int readable = open("/proc/self/exe", O_RDONLY);
    const int sealed = memfd_create("vfio-test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int fds[8];

    make_fds(fds);
    for (unsigned i = 1; i < 8; i++) {
        g_assert_cmpuint(client_map(&scene->client, MIB, 4096, 3, fds[i], 0), ==, EINVAL);
    }
    g_assert_cmpuint(client_map(&scene->client, MIB, 4096, 3, readable, 0), ==, EACCES);
    g_assert_cmpuint(client_map(&scene->client, MIB, 4096, 1, readable, 0), ==, 0);
    g_assert_cmpint(ftruncate(sealed, 4096), ==, 0);
    g_assert_cmpint(fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE), ==, 0);
    g_assert_cmpuint(client_map(&scene->client, 2 * MIB, 4096, 3, sealed, 0), ==, EPERM);
    for (unsigned i = 0; i < 8; i++) {
        close(fds[i]);
    }
    close(readable);
    close(sealed);
    scene_end(scene);
}

static void test_too_many_maps(void)
{
    struct scene *scene = scene_new("");
    const int fd = new_memfd(4096);

    for (uint64_t i = 0; i < 2048; i++) {
        g_assert_cmpuint(client_map(&scene->client, i * 8192, 4096, 3, i % 2 ? fd : -1, 0), ==, 0);
    }
    g_assert_cmpuint(client_map(&scene->client, 2048 * 8192, 4096, 3, fd, 0), ==, ENOSPC);
    g_assert_cmpuint(client_unmap(&scene->client, 8192, 4096), ==, 0);
    g_assert_cmpuint(client_map(&scene->client, 2048 * 8192, 4096, 3, fd, 0), ==, 0);
    close(fd);
    scene_end(scene);
}

/* Against a list kept here. */
static void test_maps_against_a_model(void)
{
    struct scene *scene = scene_new("");
    const int fd = new_memfd(32 * 4096);
    GRand *random = g_rand_new_with_seed(3);
    uint64_t sizes[32] = {0}; /* of what begins at that page */

    for (unsigned i = 0; i < 10000; i++) {
        const unsigned page = (unsigned)g_rand_int_range(random, 0, 32);
        const uint64_t n = (uint64_t)g_rand_int_range(random, 1, 5);
        bool taken = page + n > 32;

        if (g_rand_int_range(random, 0, 2)) {
            g_assert_cmpuint(client_unmap(&scene->client, page * 4096, n * 4096), ==,
                             sizes[page] == n ? 0 : ENOENT);
            sizes[page] = sizes[page] == n ? 0 : sizes[page];
            continue;
        }
        for (unsigned other = 0; other < 32; other++) {
            taken |= sizes[other] && other < page + n && page < other + sizes[other];
        }
        if (page + n <= 32) {
            g_assert_cmpuint(client_map(&scene->client, page * 4096, n * 4096, 3, fd, page * 4096),
                             ==, taken ? EEXIST : 0);
            sizes[page] = taken ? sizes[page] : n;
        }
    }
    g_rand_free(random);
    close(fd);
    scene_end(scene);
}

static struct guest *new_guest(struct scene *scene)
{
    struct guest *guest = g_new(struct guest, 1);

    client_close(&scene->client);
    guest_open(guest, &scene->host, false);
    guest_boot(guest);
    guest_echo(guest, 0);
    return guest;
}

/* What a driver complains of is no matter when its memory was taken from under the device. */
static void end_guest(struct scene *scene, struct guest *guest)
{
    complaints_clear(guest_driver_complaints(guest->driver));
    guest_close(guest);
    g_free(guest);
    client_open(&scene->client, &scene->host);
    scene_end(scene);
}

static const uint8_t ping[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2};

static void test_map_while_queues_run(void)
{
    struct scene *scene = scene_new("");
    const int fd = new_memfd(4096);
    struct guest *guest = new_guest(scene);

    for (unsigned i = 0; i < 300; i++) {
        g_assert_cmpuint(client_map(&guest->client, i % 2 ? 0 : UINT64_C(1) << 40, 4096, 3, fd, 0),
                         ==, 0);
        guest_echo(guest, i);
        if (i % 2) {
            g_assert_cmpuint(client_unmap(&guest->client, 0, 4096), ==, 0);
            guest_echo(guest, i);
            g_assert_cmpuint(client_unmap(&guest->client, UINT64_C(1) << 40, 4096), ==, 0);
        }
    }
    close(fd);
    end_guest(scene, guest);
}

static void test_unmap_all_while_queues_run(void)
{
    struct scene *scene = scene_new("");
    struct guest *guest = new_guest(scene);

    g_assert_true(net_transmit_add(guest->net, 0, NULL, NULL, ping, sizeof(ping)));
    virtq_publish(guest_queue_ring(guest->driver, 1));
    g_assert_cmpuint(client_unmap_all(&guest->client), ==, 0);
    guest_queue_notify(guest->driver, 1);
    guest_queue_notify(guest->driver, 0);
    g_assert_cmphex(guest_driver_status(guest->driver) & VIRTIO_STATUS_DEVICE_NEEDS_RESET, !=, 0);
    end_guest(scene, guest);
}

/* Memory with such flags or without a descriptor at the device's receive buffers: it gets no frame. */
static void receive_to(uint32_t flags, bool with_fd)
{
    struct scene *scene = scene_new("");
    struct guest *guest = new_guest(scene);
    const struct guest_region *region;
    struct guest_packet packet;

    guest_memory_regions(guest->memory, &region);
    g_assert_cmpuint(client_unmap_all(&guest->client), ==, 0);
    g_assert_cmpuint(client_map(&guest->client, region->gpa, region->size, flags,
                                with_fd ? region->fd : -1, with_fd ? region->fd_offset : 0),
                     ==, 0);
    net_transmit(guest->net, 0, NULL, ping, sizeof(ping));
    host_settle(&scene->host);
    g_assert_false(net_receive(guest->net, &packet));
    g_assert_cmphex(guest_driver_status(guest->driver) & VIRTIO_STATUS_DEVICE_NEEDS_RESET, !=, 0);
    end_guest(scene, guest);
}

static void test_receive_to_readonly_memory(void)
{
    receive_to(1, true);
}

static void test_receive_to_unreachable_memory(void)
{
    receive_to(2, false);
    receive_to(2, true);
}

/* The file becomes shorter while the device uses it: it meets zeroes, the client is sent away. */
static void shorten(const char *properties, off_t size, bool by_message)
{
    struct scene *scene = scene_new(properties);
    struct guest *guest = new_guest(scene);
    const struct guest_region *region;
    int fds[16];

    guest_memory_regions(guest->memory, &region);
    if (!by_message) {
        const uint32_t ask[4] = {4096, 0, BAR_VIRTIO, 0};

        g_assert_cmpuint(client_call(&guest->client, GET_REGION_IO_FDS, ask, 16), ==, 0);
        g_assert_cmpuint(guest->client.n_fds, >, 1);
        memcpy(fds, guest->client.fds, guest->client.n_fds * sizeof(fds[0]));
    }
    g_assert_true(net_transmit_add(guest->net, 0, NULL, NULL, ping, sizeof(ping)));
    virtq_publish(guest_queue_ring(guest->driver, 1));
    g_assert_cmpint(ftruncate(region->fd, size), ==, 0);
    if (by_message) {
        const struct region_access at = {
            guest->driver->pci.notify.offset + guest->driver->queues[1].notify_at, BAR_VIRTIO, 2};
        uint8_t payload[18] = {0};

        memcpy(payload, &at, sizeof(at));
        payload[16] = 1;
        client_post(&guest->client, REGION_WRITE, 0, payload, sizeof(payload), NULL, 0);
    } else {
        const uint64_t one = 1;

        g_assert_cmpint(write(fds[1], &one, sizeof(one)), ==, sizeof(one));
    }
    while (vionet_vfio_user_is_connected(scene->host.server)) {
        g_main_context_iteration(scene->host.context, TRUE); /* which sleeps until it is told */
    }
    guest->dead = true;
    g_assert_true(client_is_lost(&guest->client));
    /* the driver model would fault itself */
    g_assert_cmpint(ftruncate(region->fd, (off_t)(region->fd_offset + region->size)), ==, 0);
    end_guest(scene, guest);
}

static void test_file_becomes_shorter(void)
{
    shorten("", 0, true);
    shorten("", 4096, true);
}

static void test_file_becomes_shorter_unasked(void)
{
    shorten("", 0, false);
}

/* It is a thread that meets it, and the event loop that ends the connection. */
static void test_file_becomes_shorter_under_threads(void)
{
    shorten("queues=2,threads=on", 0, true);
    shorten("queues=2,threads=on", 4096, false);
}

/* Huge pages of which there are none: every access to them faults. */
static void test_huge_pages(void)
{
    const int fd = memfd_create("vfio-test", MFD_CLOEXEC | MFD_HUGETLB);
    const uint64_t huge = 2 * MIB;
    struct scene *scene;
    struct guest *guest;

    if (fd < 0 || ftruncate(fd, (off_t)(32 * MIB)) != 0) {
        g_test_skip("the kernel has no huge pages");
        return;
    }
    scene = scene_new("");
    /* A part of such a page could never be unmapped. */
    g_assert_cmpuint(client_map(&scene->client, 0, 4096, 3, fd, 0), ==, EINVAL);
    g_assert_cmpuint(client_map(&scene->client, 0, huge, 3, fd, 4096), ==, EINVAL);
    g_assert_cmpuint(client_map(&scene->client, 0, huge, 3, fd, huge), ==, 0);
    g_assert_cmpuint(client_unmap(&scene->client, 0, huge), ==, 0);
    g_assert_cmpuint(count_maps(), ==, scene->maps);
    guest = new_guest(scene);
    g_assert_cmpuint(client_unmap_all(&guest->client), ==, 0);
    g_assert_cmpuint(client_map(&guest->client, MIB, 32 * MIB, 3, fd, 0), ==, 0);
    net_transmit(guest->net, 0, NULL, ping, sizeof(ping));
    guest->dead = true;
    host_settle(&scene->host);
    end_guest(scene, guest);
    close(fd);
}

/* ---- F-09: migration ---- */

static void test_features_and_migration(void)
{
    struct scene *scene = scene_new("");
    uint32_t payload[16] = {64};

    for (uint32_t bits = 0; bits < 16; bits++) {
        for (uint32_t feature = 0; feature < 16; feature++) {
            const bool probe = bits & 4;
            const bool good = !(bits & 8) && bits && (probe || (bits & 3) != 3);

            payload[1] = bits << 16 | feature;
            g_assert_cmpuint(client_call(&scene->client, FEATURE, payload, sizeof(payload)), ==,
                             good ? ENOTTY : EINVAL);
            g_assert_cmpuint(client_call(&scene->client, FEATURE, payload, 8), ==,
                             good ? ENOTTY : EINVAL);
        }
    }
    for (size_t len = 0; len <= sizeof(payload); len++) {
        g_assert_cmpuint(client_call(&scene->client, MIG_WRITE, payload, len), ==, ENOTSUP);
        g_assert_cmpuint(client_call(&scene->client, MIG_READ, payload, len), ==, ENOTSUP);
    }
    payload[0] = 0xffffffff;
    g_assert_cmpuint(client_call(&scene->client, MIG_READ, payload, 8), ==, ENOTSUP);
    scene_end(scene);
}

/* ---- F-10: the first message ---- */

/* Whether a server agrees on such a text, of len octets. */
static bool agrees(struct scene *scene, const char *text, size_t len)
{
    uint8_t *payload = g_malloc0(4 + len);
    bool agreed;

    payload[2] = 1;
    memcpy(payload + 4, text, len);
    client_close(&scene->client);
    client_connect(&scene->client, &scene->host);
    agreed = client_call(&scene->client, VERSION, payload, 4 + len) == 0;
    g_assert_true(agreed || client_is_lost(&scene->client));
    g_free(payload);
    return agreed;
}

static void test_version_text(void)
{
    static const char *const good[] = {
        "{}",
        "{\"capabilities\":{}}",
        "{\"capabilities\":{\"max_msg_fds\":0}}",
        "{\"capabilities\":{\"max_msg_fds\":9223372036854775807}}",
        "{\"capabilities\":{\"x\":{\"y\":[1,null,true,\"\\u20ac\"]}}}",
        "{\"other\":{\"max_msg_fds\":\"x\"}}",
    };
    static const char *const bad[] = {
        " ",
        "null",
        "[]",
        "1",
        "\"\"",
        "{",
        "}",
        "{\"capabilities\":}",
        "{\"capabilities\":[]}",
        "{\"capabilities\":null}",
        "{\"capabilities\":7}",
        "{\"capabilities\":\"x\"}",
        "{\"capabilities\":{\"max_msg_fds\":-1}}",
        "{\"capabilities\":{\"max_msg_fds\":\"8\"}}",
        "{\"capabilities\":{\"max_msg_fds\":null}}",
        "{\"capabilities\":{\"max_msg_fds\":[]}}",
        "{\"capabilities\":{\"max_msg_fds\":{}}}",
        "{\"capabilities\":{\"max_msg_fds\":true}}",
        "{\"capabilities\":{\"max_msg_fds\":1.5}}",
        "{\"capabilities\":{\"max_msg_fds\":1e999}}",
        "{\"capabilities\":{\"max_msg_fds\":18446744073709551615}}",
        "{\"capabilities\":{\"max_msg_fds\":99999999999999999999}}",
        "{\"capabilities\":{\"max_data_xfer_size\":-9223372036854775808}}",
        "{\"capabilities\":{\"write_multiple\":1}}",
        "{\"capabilities\":{\"write_multiple\":null}}",
        "{\"x\":\"\\ud800\"}",
        "{\"x\":\"\\udc00\\udc00\"}",
        "{\"x\":\"\xff\"}",
        "\xff",
        "{}x{}",
    };
    struct scene *scene = scene_new("");

    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        g_assert_true(agrees(scene, good[i], strlen(good[i]) + 1));
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_false(agrees(scene, bad[i], strlen(bad[i]) + 1));
    }
    g_assert_true(agrees(scene, "", 0));
    g_assert_false(agrees(scene, "{}", 1));
    g_assert_false(agrees(scene, "{}", 2)); /* no NUL */
    g_assert_false(agrees(scene, "{}\0\0", 4));
    g_assert_false(agrees(scene, "{\0}", 4));
    scene_end(scene);
}

static void test_deep_version_text(void)
{
    static const unsigned depths[] = {100, 1000, 2000, 4000, 4090, 10000, 60000};
    struct scene *scene = scene_new("");
    char *text = g_malloc(65536);

    for (size_t i = 0; i < G_N_ELEMENTS(depths); i++) {
        const unsigned n = depths[i];

        memset(text, '[', n);
        text[n] = 0;
        g_assert_false(agrees(scene, text, n + 1));
        if (n <= 30000) {
            memset(text + n, ']', n);
            text[2 * n] = 0;
            g_assert_false(agrees(scene, text, 2 * n + 1)); /* no object */
        }
    }
    memcpy(text, "{\"x\":", 5);
    memset(text + 5, '[', 2000);
    memset(text + 2005, ']', 2000);
    memcpy(text + 4005, "}", 2);
    g_assert_true(agrees(scene, text, 4007));
    g_free(text);
    scene_end(scene);
}

/* A parser that gives up in the middle of a string may forget it. */
static void test_refused_text_again_and_again(void)
{
    static const char *const texts[] = {"{\"x\":\"\\ud800\\u0041\"}",
                                        "{\"x\":\"\\udc00\\udc00\"}",
                                        "{\"x\":\"\\ud800\\ud800\"}",
                                        "{\"x\":\"\\udfff\"}",
                                        "{\"x\":\"\\u12",
                                        "{\"x\":{\"y\":[\"z\",\"abcdef"};
    static const char fits[] = "{\"x\":\"\\ud83d\\udc27 \\\\udc00\"}";
    struct scene *scene = scene_new("");
    size_t octets = 0;

    g_assert_true(agrees(scene, fits, strlen(fits) + 1));
    for (unsigned i = 0; i < 3000; i++) {
        const char *text = texts[i % G_N_ELEMENTS(texts)];

        octets = i == 1000 ? allocated() : octets;
        g_assert_false(agrees(scene, text, strlen(text) + 1));
    }
    g_assert_cmpuint(allocated(), <=, octets + 16384);
    scene_end(scene);
}

/* The payload of VERSION cut at every octet. */
static void test_short_version(void)
{
    uint8_t payload[7] = {0, 0, 0, 0, '{', '}', 0};
    const uint16_t minor = 1;
    struct scene *scene = scene_new("");

    memcpy(payload + 2, &minor, sizeof(minor));
    for (size_t len = 0; len <= sizeof(payload); len++) {
        client_close(&scene->client);
        client_connect(&scene->client, &scene->host);
        g_assert_cmpuint(client_call(&scene->client, VERSION, payload, len), ==,
                         len == 4 || len == 7 ? 0 : EINVAL);
    }
    scene_end(scene);
}

static void test_other_major_version(void)
{
    struct scene *scene = scene_new("");
    const uint16_t version[2] = {1, 0};

    client_close(&scene->client);
    client_connect(&scene->client, &scene->host);
    g_assert_cmpuint(client_call(&scene->client, VERSION, version, sizeof(version)), ==, EINVAL);
    g_assert_true(client_is_lost(&scene->client));
    scene_end(scene);
}

static void test_version_twice(void)
{
    struct scene *scene = scene_new("");

    g_assert_cmpuint(client_version(&scene->client, "{}"), ==, EINVAL);
    assert_lives(scene);
    g_assert_cmpuint(scene->host.connected, ==, 1);
    scene_end(scene);
}

static void test_commands_before_version(void)
{
    struct scene *scene = scene_new("");

    for (uint16_t command = 0; command <= LAST_COMMAND + 1; command++) {
        const uint32_t payload[8] = {32};
        const int fd = new_memfd(4096);

        if (command == VERSION) {
            close(fd);
            continue;
        }
        client_close(&scene->client);
        client_connect(&scene->client, &scene->host);
        client_post(&scene->client, command, 0, payload, sizeof(payload), &fd, 1);
        close(fd);
        host_settle(&scene->host);
        g_assert_false(client_reply(&scene->client, command));
        g_assert_true(client_is_lost(&scene->client));
    }
    g_assert_cmpuint(scene->host.connected, ==, 1);
    scene_end(scene);
}

/* ---- Messages ---- */

static void test_every_length(void)
{
    struct scene *scene = scene_new("");

    for (uint16_t command = 0; command <= 33; command++) {
        for (size_t len = 0; len <= 64; len++) {
            for (unsigned fill = 0; fill < 3; fill++) {
                uint8_t payload[64];

                memset(payload, fill == 0 ? 0 : fill == 1 ? 0xff : 32, sizeof(payload));
                client_call(&scene->client, command, payload, len);
            }
        }
    }
    for (uint32_t command = 34; command < 0x10000; command += 251) {
        g_assert_cmpuint(client_call(&scene->client, (uint16_t)command, NULL, 0), ==, EINVAL);
    }
    scene_end(scene);
}

static void test_impossible_size(void)
{
    static const uint32_t sizes[] = {0,       1,          15,         65536 + 33,
                                     1 << 20, 0x7fffffff, 0x80000000, 0xffffffff};
    struct scene *scene = scene_new("");
    const int fd = new_eventfd();

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        const uint32_t header[4] = {FIRST(0, GET_INFO), sizes[i]};

        g_assert_true(client_send(&scene->client, header, sizeof(header), &fd, 1));
        g_assert_true(client_is_lost(&scene->client));
        client_close(&scene->client);
        g_assert_cmpuint(count_fds(), ==, scene->fds + 1);
        client_open(&scene->client, &scene->host);
    }
    close(fd);
    scene_end(scene);
}

static void test_single_octets(void)
{
    struct scene *scene = scene_new("");
    const struct dma_map map = {32, 3, 0, MIB, 4096};
    GByteArray *message = message_new(9, DMA_MAP, 0, &map, sizeof(map));
    const int fd = new_memfd(4096);

    for (guint i = 0; i < message->len; i++) {
        g_assert_false(client_reply(&scene->client, DMA_MAP));
        g_assert_true(client_send(&scene->client, message->data + i, 1, &fd, i == 0));
        host_settle(&scene->host);
    }
    scene->client.id = 9;
    g_assert_true(client_reply(&scene->client, DMA_MAP));
    g_assert_cmpuint(scene->client.error, ==, 0);
    g_assert_cmpuint(client_unmap(&scene->client, MIB, 4096), ==, 0);
    close(fd);
    g_byte_array_unref(message);
    scene_end(scene);
}

/* Cut at every octet into two writes, the second with the beginning of the next message. */
static void test_messages_in_one_write(void)
{
    struct scene *scene = scene_new("");
    const uint32_t ask[4] = {16, 0, 0, 0};
    GByteArray *message = message_new(5, GET_INFO, 0, ask, sizeof(ask));
    GByteArray *many = g_byte_array_new();

    scene->client.id = 5;
    for (unsigned i = 0; i < 300; i++) {
        g_byte_array_append(many, message->data, message->len);
    }
    for (guint cut = 0; cut <= 96; cut++) {
        g_assert_true(cut == 0 || client_send(&scene->client, many->data, cut, NULL, 0));
        host_settle(&scene->host);
        g_assert_true(client_send(&scene->client, many->data + cut, 96 - cut, NULL, 0) ||
                      cut == 96);
        host_settle(&scene->host);
        for (unsigned i = 0; i < 3; i++) {
            g_assert_true(client_reply(&scene->client, GET_INFO));
        }
    }
    g_assert_true(client_send(&scene->client, many->data, many->len, NULL, 0));
    host_settle(&scene->host);
    for (unsigned i = 0; i < 300; i++) {
        g_assert_true(client_reply(&scene->client, GET_INFO));
        host_settle(&scene->host); /* a reply may wait for room in the socket */
    }
    g_assert_false(client_reply(&scene->client, GET_INFO));
    g_byte_array_unref(message);
    g_byte_array_unref(many);
    scene_end(scene);
}

static void test_no_reply(void)
{
    struct scene *scene = scene_new("");
    const struct dma_map map = {32, 3, 0, MIB, 4096};
    const int fd = new_memfd(4096);

    client_post(&scene->client, DMA_MAP, NO_REPLY, &map, sizeof(map), &fd, 1);
    client_post(&scene->client, DMA_MAP, NO_REPLY, &map, sizeof(map), &fd, 1); /* an error */
    client_post(&scene->client, 99, NO_REPLY, NULL, 0, NULL, 0);
    host_settle(&scene->host);
    g_assert_false(client_reply(&scene->client, DMA_MAP));
    g_assert_cmpuint(client_unmap(&scene->client, MIB, 4096), ==, 0);
    close(fd);
    scene_end(scene);
}

/* Asks and asks, and takes no answer; then takes them all. */
static void test_answers_are_not_taken(void)
{
    struct scene *scene = scene_new("");
    const struct region_access ask = {0, BAR_VIRTIO, 8192};
    GByteArray *message = message_new(1, REGION_READ, 0, &ask, sizeof(ask));
    const unsigned fds = count_fds();
    size_t octets = 0;
    unsigned n = 0;
    unsigned answers = 0;

    while (client_send(&scene->client, message->data, message->len, NULL, 0)) {
        host_settle(&scene->host);
        octets = n++ ? octets : allocated();
        g_assert_cmpuint(n, <, 100000);
    }
    g_assert_cmpuint(n, >, 20);
    host_settle(&scene->host);
    g_assert_cmpuint(allocated(), <=, octets + 131072);
    g_assert_cmpuint(count_fds(), ==, fds);
    g_assert_true(vionet_vfio_user_is_connected(scene->host.server));
    scene->client.id = 1;
    while (client_reply(&scene->client, REGION_READ)) {
        answers++;
        g_assert_cmpuint(scene->client.len, ==, 16 + 8192);
        host_settle(&scene->host);
    }
    g_assert_cmpuint(answers, ==, n);
    /* The same again, but it goes away with the answers untaken. */
    while (client_send(&scene->client, message->data, message->len, NULL, 0)) {
        host_settle(&scene->host);
    }
    g_byte_array_unref(message);
    scene_end(scene);
}

/* Not even descriptors: nobody keeps those for it. */
static void test_descriptors_are_not_taken(void)
{
    struct scene *scene = scene_new("");
    const uint32_t ask[4] = {4096, 0, BAR_VIRTIO, 0};
    GByteArray *message = message_new(1, GET_REGION_IO_FDS, 0, ask, sizeof(ask));
    unsigned n = 0;

    while (client_send(&scene->client, message->data, message->len, NULL, 0)) {
        host_settle(&scene->host);
        g_assert_cmpuint(n++, <, 100000);
    }
    host_settle(&scene->host);
    g_byte_array_unref(message);
    scene_end(scene);
}

static void test_silence(void)
{
    struct scene *scene = scene_new("");
    const uint32_t header[4] = {FIRST(0, GET_INFO), 32, 0, 0};

    for (size_t len = 1; len <= 16; len++) {
        g_assert_true(client_send(&scene->client, header, len, NULL, 0));
        host_settle(&scene->host);
        g_assert_false(g_main_context_pending(scene->host.context)); /* it does not spin */
        g_assert_true(vionet_vfio_user_is_connected(scene->host.server));
        scene_reopen(scene);
    }
    scene_end(scene);
}

/* Shut for writing only: the client is gone as far as the server goes. */
static void test_half_closed(void)
{
    struct scene *scene = scene_new("");

    g_assert_cmpint(shutdown(scene->client.fd, SHUT_WR), ==, 0);
    g_assert_true(client_is_lost(&scene->client));
    scene_end(scene);
}

/* ---- All of them ---- */

#define TEST(name, function) g_test_add_func("/vfio-user/" name, function)

static void add_rows(void)
{
    TEST("F-01/region-bounds", test_region_bounds);
    TEST("F-01/write-shorter-than-count", test_write_shorter_than_count);
    TEST("F-01/region-index", test_region_index);
    TEST("F-02/unmap-sizes", test_unmap_sizes);
    TEST("F-02/small-argsz", test_small_argsz);
    TEST("F-03/irq-flags", test_irq_flags);
    TEST("F-03/irq-ranges", test_irq_ranges);
    TEST("F-03/irq-index", test_irq_index);
    TEST("F-03/irq-payload-shorter-than-count", test_irq_payload_shorter_than_count);
    TEST("F-04/replies-nobody-asked-for", test_replies_nobody_asked_for);
    TEST("F-04/error-in-a-command", test_error_in_a_command);
    TEST("F-05/descriptors-with-each-command", test_descriptors_with_each_command);
    TEST("F-05/descriptors-of-half-a-message", test_descriptors_of_half_a_message);
    TEST("F-05/irqs-by-what-is-no-eventfd", test_irqs_by_what_is_no_eventfd);
    TEST("F-05/full-and-blocking-eventfd", test_full_and_blocking_eventfd);
    TEST("F-06/map-and-unmap-again-and-again", test_map_and_unmap_again_and_again);
    TEST("F-06/irqs-again-and-again", test_irqs_again_and_again);
    TEST("F-07/replies-are-the-same-twice", test_replies_are_the_same_twice);
    TEST("F-08/map-bounds", test_map_bounds);
    TEST("F-08/map-what-is-no-file", test_map_what_is_no_file);
    TEST("F-08/too-many-maps", test_too_many_maps);
    TEST("F-08/maps-against-a-model", test_maps_against_a_model);
    TEST("F-08/map-while-queues-run", test_map_while_queues_run);
    TEST("F-08/unmap-all-while-queues-run", test_unmap_all_while_queues_run);
    TEST("F-08/receive-to-readonly-memory", test_receive_to_readonly_memory);
    TEST("F-08/receive-to-unreachable-memory", test_receive_to_unreachable_memory);
    TEST("F-08/file-becomes-shorter", test_file_becomes_shorter);
    TEST("F-08/file-becomes-shorter-unasked", test_file_becomes_shorter_unasked);
    TEST("F-08/file-becomes-shorter-under-threads", test_file_becomes_shorter_under_threads);
    TEST("F-08/huge-pages", test_huge_pages);
    TEST("F-09/features-and-migration", test_features_and_migration);
    TEST("F-10/version-text", test_version_text);
    TEST("F-10/deep-version-text", test_deep_version_text);
    TEST("F-10/refused-text-again-and-again", test_refused_text_again_and_again);
    TEST("F-10/short-version", test_short_version);
    TEST("F-10/other-major-version", test_other_major_version);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    host_quiet();
    add_rows();
    TEST("version-twice", test_version_twice);
    TEST("commands-before-version", test_commands_before_version);
    TEST("messages/every-length", test_every_length);
    TEST("messages/impossible-size", test_impossible_size);
    TEST("messages/single-octets", test_single_octets);
    TEST("messages/many-in-one-write", test_messages_in_one_write);
    TEST("messages/no-reply", test_no_reply);
    TEST("messages/answers-are-not-taken", test_answers_are_not_taken);
    TEST("messages/descriptors-are-not-taken", test_descriptors_are_not_taken);
    TEST("messages/silence", test_silence);
    TEST("messages/half-closed", test_half_closed);
    return g_test_run();
}
