/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vhost-user back-end against front-ends that do not keep to the protocol. Whatever they send, the
 * server lives, holds no descriptor or mapping of theirs longer than their connection, and serves the
 * next one. Tests named U-nn are the rows of a list of what went wrong in other back-ends.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vhost_front.h"

/*
 * A bit of the log is set by an atomic access. That sanitizer holds a lock of its own meanwhile, for which
 * the handler of the signal would wait for ever.
 */
#if defined(__SANITIZE_THREAD__)
#define UNDER_THREAD_SANITIZER 1
#elif defined(__has_feature)
#define UNDER_THREAD_SANITIZER __has_feature(thread_sanitizer)
#else
#define UNDER_THREAD_SANITIZER 0
#endif

#define PAGE 4096u

/* What a test begins and ends with: the same number of descriptors and mappings. */
struct scene {
    struct front front;
    unsigned fds;
    unsigned maps;
};

static struct scene *scene_new(void)
{
    struct scene *scene = g_new0(struct scene, 1);

    front_init(&scene->front, "", "loopback");
    scene->fds = front_count_fds();
    scene->maps = front_count_maps();
    return scene;
}

/* The connection ends, if it has not yet, and nothing of it is left. */
static void scene_close(struct scene *scene)
{
    struct front *front = &scene->front;

    if (front->fd >= 0) {
        front_close(front);
    }
    g_assert_cmpuint(front_count_fds(), ==, scene->fds);
    g_assert_cmpuint(front_count_maps(), ==, scene->maps);
}

static void scene_end(struct scene *scene)
{
    scene_close(scene);
    front_works(&scene->front);
    front_end(&scene->front);
    g_free(scene);
}

/* Open and, if wanted, with rings that run; their descriptors stay until the scene's end. */
static void scene_open(struct scene *scene)
{
    front_connect(&scene->front);
    front_negotiate(&scene->front, F_DRIVER);
}

/* ---- Sizes and descriptors ---- */

/* The payload that a request has, and its descriptors; the others take what any has. */
static const struct {
    uint32_t request;
    uint32_t size;
    unsigned fds;
} shapes[] = {
    {SET_FEATURES, 8, 0},       {SET_MEM_TABLE, 40, 1},   {SET_LOG_BASE, 16, 1},
    {SET_LOG_FD, 0, 1},         {SET_VRING_NUM, 8, 0},    {SET_VRING_ADDR, 40, 0},
    {SET_VRING_BASE, 8, 0},     {GET_VRING_BASE, 8, 0},   {SET_VRING_KICK, 8, 1},
    {SET_VRING_CALL, 8, 1},     {SET_VRING_ERR, 8, 1},    {SET_PROTOCOL_FEATURES, 8, 0},
    {SET_VRING_ENABLE, 8, 0},   {SEND_RARP, 8, 0},        {NET_SET_MTU, 8, 0},
    {GET_CONFIG, 12, 0},        {SET_CONFIG, 12, 0},      {ADD_MEM_REG, 40, 1},
    {REM_MEM_REG, 40, 0},       {SET_STATUS, 8, 0},       {GET_FEATURES, 0, 0},
    {GET_QUEUE_NUM, 0, 0},      {GET_STATUS, 0, 0},       {GET_MAX_MEM_SLOTS, 0, 0},
    {RESET_DEVICE, 0, 0},       {RESET_OWNER, 0, 0},      {SET_OWNER, 0, 0},
    {SET_BACKEND_REQ_FD, 0, 1}, {GET_INFLIGHT_FD, 24, 0}, {SET_INFLIGHT_FD, 24, 1},
};

static void try_shape(struct scene *scene, uint32_t request, uint32_t size, unsigned n_fds,
                      uint8_t fill, int fd)
{
    struct front *front = &scene->front;
    uint8_t payload[1024];
    int fds[32];

    memset(payload, fill, sizeof(payload));
    for (unsigned i = 0; i < G_N_ELEMENTS(fds); i++) {
        fds[i] = fd;
    }
    scene_open(scene);
    front_post(front, request, 8, payload, size, fds, n_fds);
    front_settle(front);
    scene_close(scene);
}

static void test_shapes(void)
{
    struct scene *scene = scene_new();
    const int memory = front_memfd(PAGE);
    const int event = eventfd(0, EFD_CLOEXEC);

    scene->fds += 2;
    for (size_t i = 0; i < G_N_ELEMENTS(shapes); i++) {
        const uint32_t sizes[] = {0,
                                  shapes[i].size ? shapes[i].size - 1 : 1,
                                  shapes[i].size,
                                  shapes[i].size + 1,
                                  280,
                                  512,
                                  513};
        static const unsigned counts[] = {0, 1, 2, 8, 9, 32};
        static const uint8_t fills[] = {0, 1, 0xff};

        for (size_t j = 0; j < G_N_ELEMENTS(sizes); j++) {
            for (size_t k = 0; k < G_N_ELEMENTS(counts); k++) {
                for (size_t l = 0; l < G_N_ELEMENTS(fills); l++) {
                    try_shape(scene, shapes[i].request, sizes[j], counts[k], fills[l],
                              (j + k) % 2 ? memory : event);
                }
            }
        }
    }
    close(memory);
    close(event);
    scene->fds -= 2;
    scene_end(scene);
}

/* U-01: whatever is set, set a thousand times. */
static void test_each_again(void)
{
    static const uint32_t states[] = {SET_VRING_NUM, SET_VRING_BASE, SET_VRING_ENABLE};
    static const uint32_t fd_only[] = {SET_BACKEND_REQ_FD, SET_LOG_FD};
    struct scene *scene = scene_new();
    struct front *front = &scene->front;
    const uint64_t region[5] = {0, GUEST_BASE, PAGE, USER_BASE, 0};
    const uint32_t addr[10] = {0};
    unsigned maps = 0;
    unsigned fds = 0;
    int ends[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
    scene->fds += 2;
    scene_open(scene);
    for (unsigned i = 0; i < 1000; i++) {
        for (size_t j = 0; j < G_N_ELEMENTS(states); j++) {
            front_state(front, states[j], 0, j ? i % 2 : 64);
        }
        for (size_t j = 0; j < G_N_ELEMENTS(fd_only); j++) {
            front_ack(front, fd_only[j], NULL, 0, &ends[1], 1);
        }
        front_ack(front, SET_VRING_ADDR, addr, sizeof(addr), NULL, 0);
        front_ack(front, ADD_MEM_REG, region, sizeof(region), &front->region->fd, 1);
        front_number(front, SET_FEATURES, front->features);
        front_number(front, SET_STATUS, i % 16);
        g_assert_false(front_is_lost(front));
        if (i == 0) {
            maps = front_count_maps();
            fds = front_count_fds();
        }
    }
    g_assert_cmpuint(front_count_maps(), ==, maps);
    g_assert_cmpuint(front_count_fds(), ==, fds);
    close(ends[0]);
    close(ends[1]);
    scene->fds -= 2;
    scene_end(scene);
}

/* A request that is refused is answered so if that was asked, and else costs the connection. */
static void test_refusal(void)
{
    static const uint32_t none[2] = {99, 1};
    struct scene *scene = scene_new();
    struct front *front = &scene->front;

    scene_open(scene);
    g_assert_cmpuint(front_ack(front, SET_VRING_NUM, none, 8, NULL, 0), ==, 1);
    g_assert_cmpuint(front_ack(front, SET_VRING_NUM, none, 7, NULL, 0), ==, 1);
    g_assert_cmpuint(front_ack(front, 77, none, 7, NULL, 0), ==, 1);
    g_assert_false(front_is_lost(front));
    front_post(front, SET_VRING_NUM, 0, none, 8, NULL, 0);
    g_assert_true(front_is_lost(front));
    scene_close(scene);
    front_connect(front); /* who has not agreed on answers gets none */
    front_post(front, SET_VRING_NUM, 8, none, 8, NULL, 0);
    g_assert_true(front_is_lost(front));
    scene_end(scene);
}

/* U-11: numbers that name no request, and headers that are none. */
static void test_unknown(void)
{
    static const uint32_t numbers[] = {0,  27,         22,         23,         26,        33,
                                       41, 0x7fffffff, 0x80000000, 0xffffffff, 0x01000001};
    static const uint32_t flags[] = {1, 2, 4, 5, 6, 0xfffffffe};
    struct scene *scene = scene_new();
    struct front *front = &scene->front;

    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        scene_open(scene);
        g_assert_cmpuint(front_ack(front, numbers[i], NULL, 0, NULL, 0), ==, 1);
        front_post(front, numbers[i], 0, NULL, 0, NULL, 0);
        g_assert_true(front_is_lost(front));
        scene_close(scene);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(flags); i++) {
        const uint32_t header[3] = {GET_FEATURES, 1 ^ flags[i], 0};

        front_connect(front);
        front_send(front, header, sizeof(header), NULL, 0);
        if (!(flags[i] & 7)) {
            continue;
        }
        g_assert_true(front_is_lost(front));
        scene_close(scene);
    }
    scene_end(scene);
}

/* U-03: impossible sizes with descriptors, too many of them, ends in the middle. */
static void test_cut(void)
{
    static const uint32_t sizes[] = {513, 0x10000, 0x7fffffff, 0xffffffff};
    struct scene *scene = scene_new();
    struct front *front = &scene->front;
    int fds[40];

    for (unsigned i = 0; i < G_N_ELEMENTS(fds); i++) {
        fds[i] = front->region->fd;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        const uint32_t header[3] = {SET_MEM_TABLE, 1, sizes[i]};

        front_connect(front);
        front_send(front, header, sizeof(header), fds, 8);
        g_assert_true(front_is_lost(front));
        scene_close(scene);
    }
    for (unsigned n = 9; n <= 40; n += 31) {
        front_connect(front);
        front_post(front, SET_MEM_TABLE, 0, "\0\0\0\0\0\0\0", 8, fds, n);
        g_assert_true(front_is_lost(front));
        scene_close(scene);
    }
    for (unsigned len = 1; len < 12 + 8; len++) {
        const uint32_t octets[5] = {SET_FEATURES, 1, 8};

        front_connect(front);
        front_send(front, octets, len, fds, 1);
        g_assert_false(front_is_lost(front));
        scene_close(scene);
    }
    scene_end(scene);
}

/* U-15: octet by octet, each with a descriptor until they are too many. */
static void test_octet_by_octet(void)
{
    const uint32_t octets[3] = {GET_FEATURES, 1, 0};
    struct scene *scene = scene_new();
    struct front *front = &scene->front;

    front_connect(front);
    for (unsigned i = 0; i < sizeof(octets); i++) {
        g_assert_false(front_reply(front, GET_FEATURES));
        front_send(front, (const uint8_t *)octets + i, 1, NULL, 0);
        front_settle(front);
    }
    g_assert_true(front_reply(front, GET_FEATURES));
    for (unsigned i = 0; i < sizeof(octets); i++) {
        front_send(front, (const uint8_t *)octets + i, 1, &front->region->fd, 1);
        front_settle(front);
    }
    g_assert_true(front_is_lost(front));
    scene_end(scene);
}

/* Who does not take its answers is not read from, and costs no memory. */
static void test_takes_no_answers(void)
{
    struct scene *scene = scene_new();
    struct front *front = &scene->front;
    unsigned sent = 0;

    scene_open(scene);
    for (unsigned i = 0; i < 200000 && front_post(front, GET_FEATURES, 0, NULL, 0, NULL, 0); i++) {
        sent++;
        if (i % 64 == 0) {
            front_settle(front);
        }
    }
    g_assert_cmpuint(sent, <, 200000);
    for (unsigned i = 0; i < sent; i++) {
        front_settle(front);
        g_assert_true(front_reply(front, GET_FEATURES));
    }
    g_assert_false(front_is_lost(front));
    scene_end(scene);
}

/* ---- Rings ---- */

/* U-05: indices past the rings, in every request that has one. */
static void test_ring_index(void)
{
    static const uint32_t requests[] = {SET_VRING_NUM,  SET_VRING_BASE, SET_VRING_ENABLE,
                                        SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR};
    static const uint32_t indices[] = {3, 4, 255, 256, 0x100, 0x10001, 0x7fffffff, 0xffffffff};
    struct scene *scene = scene_new();
    struct front *front = &scene->front;

    scene_open(scene);
    for (size_t i = 0; i < G_N_ELEMENTS(indices); i++) {
        const uint32_t addr[10] = {indices[i]};

        for (size_t j = 0; j < G_N_ELEMENTS(requests); j++) {
            g_assert_cmpuint(front_state(front, requests[j], indices[i], 1), ==, 1);
        }
        g_assert_cmpuint(front_ack(front, SET_VRING_ADDR, addr, sizeof(addr), NULL, 0), ==, 1);
        g_assert_cmpuint(front_state(front, GET_VRING_BASE, indices[i], 0), ==, 1);
    }
    scene_end(scene);
}

/* U-10: what is about rings, in every order of length 4, before there is any memory. */
static void test_orders(void)
{
    struct scene *scene = scene_new();
    struct front *front = &scene->front;
    const int event = eventfd(0, EFD_CLOEXEC);
    const uint32_t addr[10] = {0};
    const uint32_t config[4] = {0, 1};

    scene->fds++;
    for (unsigned order = 0; order < 8 * 8 * 8 * 8; order++) {
        scene_open(scene);
        for (unsigned step = 0, rest = order; step < 4; step++, rest /= 8) {
            switch (rest % 8) {
            case 0:
                front_ring_fd(front, SET_VRING_KICK, 0, event);
                break;
            case 1:
                front_ring_fd(front, SET_VRING_CALL, 0, event);
                break;
            case 2:
                front_state(front, SET_VRING_ENABLE, 0, 1);
                break;
            case 3:
                front_state(front, GET_VRING_BASE, 0, 0);
                break;
            case 4:
                front_ack(front, GET_CONFIG, config, 13, NULL, 0);
                break;
            case 5:
                front_ack(front, SET_VRING_ADDR, addr, sizeof(addr), NULL, 0);
                break;
            case 6:
                front_number(front, SET_FEATURES, front->features);
                break;
            default:
                front_number(front, SET_STATUS, 0);
                break;
            }
        }
        g_assert_false(front_is_lost(front));
        scene_close(scene);
    }
    close(event);
    scene->fds--;
    scene_end(scene);
}

/* Descriptors that are no eventfds, and words that contradict them. */
static void test_ring_descriptors(void)
{
    static const uint32_t requests[] = {SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR};
    struct scene *scene = scene_new();
    struct front *front = &scene->front;
    const int event = eventfd(0, EFD_CLOEXEC);
    const int folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int ends[2];

    g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
    scene->fds += 4;
    scene_open(scene);
    for (size_t i = 0; i < G_N_ELEMENTS(requests); i++) {
        g_assert_cmpuint(front_ring_fd(front, requests[i], 0, front->region->fd), ==, 1);
        g_assert_cmpuint(front_ring_fd(front, requests[i], 0, folder), ==, 1);
        g_assert_cmpuint(front_ring_fd(front, requests[i], 0, ends[1]), ==, 1);
        g_assert_cmpuint(front_ring_fd(front, requests[i], NO_FD, event), ==, 1);
        g_assert_cmpuint(front_ring_fd(front, requests[i], 0x200, event), ==, 1);
        g_assert_cmpuint(front_number(front, requests[i], 0), ==, 1);
        for (unsigned j = 0; j < 1000; j++) { /* U-01: none is kept */
            g_assert_cmpuint(front_ring_fd(front, requests[i], 0, event), ==, 0);
        }
    }
    scene_close(scene);
    close(event);
    close(folder);
    close(ends[0]);
    close(ends[1]);
    scene->fds -= 4;
    scene_end(scene);
}

static void test_ring_sizes(void)
{
    static const uint32_t wrong[] = {0, 3, 65, 65535, 65536, 0x80000000, 0xffffffff};
    struct scene *scene = scene_new();
    struct front *front = &scene->front;

    scene_open(scene);
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_assert_cmpuint(front_state(front, SET_VRING_NUM, 0, wrong[i]), ==, 1);
    }
    g_assert_cmpuint(front_set_memory(front), ==, 0);
    front_set_ring(front, 0, 0);
    scene->fds += 3;
    g_assert_cmpuint(front_state(front, SET_VRING_NUM, 0, 32768), ==, 0);
    g_assert_cmpuint(front_state(front, SET_VRING_ENABLE, 0, 1), ==,
                     1); /* more than the device has */
    g_assert_cmpuint(front_take_event(front->rings[0].err), >, 0);
    g_assert_cmpuint(front_state(front, SET_VRING_NUM, 0, 1024), ==, 0);
    g_assert_cmpuint(front_state(front, SET_VRING_ENABLE, 0, 1), ==, 0);
    g_assert_cmpuint(front_state(front, SET_VRING_NUM, 0, 64), ==, 1); /* it runs */
    g_assert_cmpuint(front_state(front, SET_VRING_BASE, 0, 64), ==, 1);
    scene_close(scene);
    scene_end(scene);
}

/* Rings anywhere in the front-end's address space: found to be nowhere, or the device's to judge. */
static void test_ring_addresses(void)
{
    static const uint64_t user[] = {0,
                                    1,
                                    USER_BASE - 1,
                                    USER_BASE,
                                    USER_BASE + 1,
                                    USER_BASE + GUEST_SIZE - 1,
                                    USER_BASE + GUEST_SIZE - 16,
                                    USER_BASE + GUEST_SIZE,
                                    UINT64_MAX};
    struct scene *scene = scene_new();
    struct front *front = &scene->front;

    scene_open(scene);
    g_assert_cmpuint(front_set_memory(front), ==, 0);
    front_set_ring(front, 0, 0);
    scene->fds += 3;
    g_assert_cmpuint(front_state(front, SET_VRING_ENABLE, 0, 1), ==, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(user); i++) {
        for (size_t j = 0; j < G_N_ELEMENTS(user); j++) {
            const struct {
                uint32_t index, flags;
                uint64_t desc, used, avail, log;
            } addr = {0, 1, user[i], user[j], user[(i + j) % G_N_ELEMENTS(user)], user[j]};

            front_ack(front, SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
            front_kick(front, 0);
            g_assert_false(front_is_lost(front));
        }
    }
    scene_close(scene);
    scene_end(scene);
}

/* ---- Memory ---- */

/* U-13: one of several files cannot be mapped; what was there before is gone, as told. */
static void test_memory_in_part(void)
{
    struct scene *scene = scene_new();
    struct front *front = &scene->front;
    const int folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int empty = front_memfd(0);
    const int readonly = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    const int event = eventfd(0, EFD_CLOEXEC);
    const int bad[] = {folder, empty, readonly, event};

    scene->fds += 4;
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        for (unsigned at = 0; at < 5; at++) {
            uint64_t table[1 + 5 * 4] = {WORDS(5, 0)};
            int fds[5];

            for (unsigned j = 0; j < 5; j++) {
                const uint64_t region[4] = {GUEST_BASE + j * PAGE, PAGE, USER_BASE + j * PAGE,
                                            j * PAGE};

                memcpy(&table[1 + 4 * j], region, sizeof(region));
                fds[j] = j == at ? bad[i] : front->region->fd;
            }
            scene_open(scene);
            g_assert_cmpuint(front_set_memory(front), ==, 0);
            g_assert_cmpuint(front_ack(front, SET_MEM_TABLE, table, sizeof(table), fds, 5), ==, 1);
            g_assert_cmpuint(front_count_maps(), ==, scene->maps);
            g_assert_cmpuint(front_set_memory(front), ==, 0);
            scene_close(scene);
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        close(bad[i]);
    }
    scene->fds -= 4;
    scene_end(scene);
}

static void test_memory_tables(void)
{
    struct scene *scene = scene_new();
    struct front *front = &scene->front;
    static const uint64_t regions[][4] = {
        {GUEST_BASE, 0, USER_BASE, 0},
        {GUEST_BASE + 1, PAGE, USER_BASE, 0},
        {GUEST_BASE, PAGE + 1, USER_BASE, 0},
        {GUEST_BASE, PAGE, USER_BASE, 1},
        {GUEST_BASE, PAGE, USER_BASE, GUEST_SIZE},
        {GUEST_BASE, GUEST_SIZE + PAGE, USER_BASE, 0},
        {GUEST_BASE, UINT64_MAX - 4095, USER_BASE, 0},
        {GUEST_BASE, 2 * PAGE, USER_BASE, UINT64_MAX - 4095},
        {UINT64_MAX - 4095, 2 * PAGE, USER_BASE, 0},
        {GUEST_BASE, 2 * PAGE, UINT64_MAX - 4095, 0},
    };

    scene_open(scene);
    for (size_t i = 0; i < G_N_ELEMENTS(regions); i++) {
        uint64_t table[5] = {WORDS(1, 0)};

        memcpy(&table[1], regions[i], sizeof(regions[i]));
        g_assert_cmpuint(
            front_ack(front, SET_MEM_TABLE, table, sizeof(table), &front->region->fd, 1), ==, 1);
    }
    for (uint32_t n = 0; n < 20; n++) {
        uint64_t table[1 + 4 * 8] = {WORDS(n, 0)};

        g_assert_cmpuint(front_ack(front, SET_MEM_TABLE, table, 8 + 32, &front->region->fd, 1), ==,
                         1);
        g_assert_cmpuint(front_ack(front, SET_MEM_TABLE, table, 8 + 32, NULL, 0), ==, n > 0);
    }
    scene_end(scene);
}

/* U-09: as many slots as there are, and one more; set again and again. */
static void test_memory_slots(void)
{
    struct scene *scene = scene_new();
    struct front *front = &scene->front;
    uint64_t slots;

    scene_open(scene);
    slots = front_ask(front, GET_MAX_MEM_SLOTS, NULL, 0);
    for (uint64_t i = 0; i <= slots; i++) {
        const uint64_t single[5] = {0, GUEST_BASE + i * PAGE, PAGE, USER_BASE + i * PAGE,
                                    i % 16 * PAGE};

        g_assert_cmpuint(
            front_ack(front, ADD_MEM_REG, single, sizeof(single), &front->region->fd, 1), ==,
            i == slots);
    }
    for (unsigned i = 0; i < 100; i++) {
        g_assert_cmpuint(front_set_memory(front), ==, 0);
    }
    g_assert_cmpuint(front_count_maps(), ==, scene->maps + 1);
    scene_end(scene);
}

/* U-09: regions come and go at random, against a list kept here: one of each length at a page, or none. */
static void test_slots_against_a_model(void)
{
    struct scene *scene = scene_new();
    struct front *front = &scene->front;
    GRand *random = g_rand_new_with_seed(9);
    uint64_t lens[32] = {0}; /* of what begins at that page */
    unsigned n_taken = 0;

    scene_open(scene);
    for (unsigned i = 0; i < 10000; i++) {
        const unsigned page = (unsigned)g_rand_int_range(random, 0, 32);
        const uint64_t n = (uint64_t)g_rand_int_range(random, 1, 4);
        /* Other pages of the file each time, so that no two are one mapping to the kernel. */
        const uint64_t single[5] = {0, GUEST_BASE + page * PAGE, n * PAGE, USER_BASE + page * PAGE,
                                    (31 - page) * 4 * PAGE};
        bool overlaps = false;

        for (unsigned other = 0; other < 32; other++) {
            overlaps |= lens[other] && other < page + n && page < other + lens[other];
        }
        if (g_rand_int_range(random, 0, 2)) {
            g_assert_cmpuint(front_ack(front, REM_MEM_REG, single, sizeof(single), NULL, 0), ==,
                             lens[page] != n);
            n_taken -= lens[page] == n;
            lens[page] = lens[page] == n ? 0 : lens[page];
        } else {
            g_assert_cmpuint(
                front_ack(front, ADD_MEM_REG, single, sizeof(single), &front->region->fd, 1), ==,
                overlaps);
            n_taken += !overlaps;
            lens[page] = overlaps ? lens[page] : n;
        }
        if (i % 1000 == 999) { /* all at once, in place of what there is */
            g_assert_cmpuint(front_count_maps(), ==, scene->maps + n_taken);
            g_assert_cmpuint(front_set_memory(front), ==, 0);
            g_assert_cmpuint(front_count_maps(), ==, scene->maps + 1);
            scene_close(scene);
            scene_open(scene);
            memset(lens, 0, sizeof(lens));
            n_taken = 0;
        }
    }
    g_rand_free(random);
    scene_end(scene);
}

/* U-14: the file becomes shorter than it was, with frames on their way. */
static void test_file_shrinks(void)
{
    struct scene *scene = scene_new();
    struct front *front = &scene->front;

    front_connect(front);
    front_start(front, F_DRIVER);
    scene->fds += 6;
    front_echo(front, 1);
    front_transmit(front, 2);
    g_assert_cmpint(ftruncate(front->region->fd, 0), ==, 0);
    front_kick(front, 1);
    g_assert_true(front_is_lost(front));
    g_assert_cmpint(ftruncate(front->region->fd, (off_t)GUEST_SIZE), ==, 0);
    scene_close(scene);
    scene_end(scene);
}

/* The same for the dirty log. */
static void test_log_shrinks(void)
{
    struct scene *scene = scene_new();
    struct front *front = &scene->front;
    const int fd = front_memfd(4 * PAGE);
    const uint64_t log[2] = {4 * PAGE, 0};

    front_connect(front);
    front_start(front, F_DRIVER);
    scene->fds += 7;
    front_post(front, SET_LOG_BASE, 0, log, sizeof(log), &fd, 1);
    front_settle(front);
    g_assert_true(front_reply(front, SET_LOG_BASE));
    g_assert_cmpuint(front_number(front, SET_FEATURES, front->features | F_LOG_ALL), ==, 0);
    front_echo(front, 1);
    g_assert_cmpint(ftruncate(fd, 0), ==, 0);
    front_transmit(front, 2);
    front_kick(front, 1);
    g_assert_true(front_is_lost(front));
    close(fd);
    scene->fds--;
    scene_close(scene);
    scene_end(scene);
}

/* Z-10: the guest boots anew in other memory; rings of the one before are nothing to it until they are set. */
static void test_another_guest(void)
{
    struct scene *scene = scene_new();
    struct front *front = &scene->front;
    const int fd = front_memfd(GUEST_SIZE);
    uint8_t *memory = mmap(NULL, GUEST_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    const uint64_t table[5] = {1, GUEST_BASE, GUEST_SIZE, USER_BASE, 0};

    g_assert_true(memory != MAP_FAILED);
    scene->fds++;
    scene->maps++;
    front_connect(front);
    front_start(front, F_DRIVER);
    scene->fds += 6;
    front_echo(front, 1);
    for (unsigned i = 0; i < 2; i++) {
        front_transmit(front, 2 + i); /* on its way to the guest before */
        front_get_base(front, i);
    }
    g_assert_cmpuint(front_ack(front, SET_MEM_TABLE, table, sizeof(table), &fd, 1), ==, 0);
    g_assert_cmpuint(front_number(front, SET_FEATURES, front->features), ==, 0);
    for (unsigned i = 0; i < 2; i++) {
        g_assert_cmpuint(front_state(front, SET_VRING_ENABLE, i, 1), ==, 0);
        front_kick(front, i);
    }
    front_settle(front);
    for (size_t i = 0; i < GUEST_SIZE; i += PAGE) {
        static const uint8_t nothing[PAGE];

        g_assert_cmpmem(memory + i, PAGE, nothing, PAGE);
    }
    for (unsigned i = 0; i < 2; i++) {
        g_assert_cmpuint(front_get_base(front, i), ==, 1);
    }
    munmap(memory, GUEST_SIZE);
    close(fd);
    scene->fds--;
    scene->maps--;
    scene_close(scene);
    scene_end(scene);
}

/* The log replaced, memory and features changed, a thousand times: nothing is left. */
static void test_again_and_again(void)
{
    struct scene *scene = scene_new();
    struct front *front = &scene->front;
    const int fd = front_memfd(4 * PAGE);
    const uint64_t log[2] = {4 * PAGE, 0};

    front_connect(front);
    front_start(front, F_DRIVER);
    scene->fds += 7;
    for (unsigned i = 0; i < 1000; i++) {
        front_post(front, SET_LOG_BASE, 0, log, sizeof(log), &fd, 1);
        front_settle(front);
        g_assert_true(front_reply(front, SET_LOG_BASE));
        g_assert_cmpuint(front_set_memory(front), ==, 0);
        g_assert_cmpuint(
            front_number(front, SET_FEATURES, front->features | (i % 2 ? F_LOG_ALL : 0)), ==, 0);
    }
    front_echo(front, 1);
    close(fd);
    scene->fds--;
    scene_close(scene);
    scene_end(scene);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    front_quiet();
    g_test_add_func("/vhost-user/hostile/U-01/U-02/shapes", test_shapes);
    g_test_add_func("/vhost-user/hostile/U-01/each-again", test_each_again);
    g_test_add_func("/vhost-user/hostile/refusal", test_refusal);
    g_test_add_func("/vhost-user/hostile/U-11/unknown", test_unknown);
    g_test_add_func("/vhost-user/hostile/U-03/U-12/cut", test_cut);
    g_test_add_func("/vhost-user/hostile/U-15/octet-by-octet", test_octet_by_octet);
    g_test_add_func("/vhost-user/hostile/takes-no-answers", test_takes_no_answers);
    g_test_add_func("/vhost-user/hostile/U-05/ring-index", test_ring_index);
    g_test_add_func("/vhost-user/hostile/U-10/orders", test_orders);
    g_test_add_func("/vhost-user/hostile/ring-descriptors", test_ring_descriptors);
    g_test_add_func("/vhost-user/hostile/ring-sizes", test_ring_sizes);
    g_test_add_func("/vhost-user/hostile/ring-addresses", test_ring_addresses);
    g_test_add_func("/vhost-user/hostile/U-13/memory-in-part", test_memory_in_part);
    g_test_add_func("/vhost-user/hostile/U-09/memory-tables", test_memory_tables);
    g_test_add_func("/vhost-user/hostile/U-09/memory-slots", test_memory_slots);
    g_test_add_func("/vhost-user/hostile/U-09/slots-against-a-model", test_slots_against_a_model);
    g_test_add_func("/vhost-user/hostile/Z-10/another-guest", test_another_guest);
    g_test_add_func("/vhost-user/hostile/U-14/file-shrinks", test_file_shrinks);
    if (!UNDER_THREAD_SANITIZER) {
        g_test_add_func("/vhost-user/hostile/U-14/log-shrinks", test_log_shrinks);
    }
    g_test_add_func("/vhost-user/hostile/again-and-again", test_again_and_again);
    return g_test_run();
}
