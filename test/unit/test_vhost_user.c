/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vhost-user back-end with front-ends that keep to the protocol, each in its own order: QEMU's, DPDK's,
 * one without protocol features, one that passes the control queue on. What is asked of it beside frames:
 * indices, reconnection, the dirty log, memory that changes, status, configuration.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <vionet/spec.h>
#include <vionet/transport.h>

#include "vhost_front.h"

#define PAGE 4096u

static struct front *begin_with(const char *properties, uint64_t protocol)
{
    struct front *front = g_new0(struct front, 1);

    front_init(front, properties, "loopback");
    front->protocol = protocol;
    front_connect(front);
    return front;
}

static struct front *begin(const char *properties)
{
    return begin_with(properties, P_ALL);
}

static void end(struct front *front)
{
    front_end(front);
    g_free(front);
}

static VionetDevice *device_of(const struct front *front)
{
    return vionet_frontend_device(vionet_vhost_user_frontend(front->server));
}

/* ---- Orders ---- */

/* QEMU: enabled before there are addresses. */
static void test_qemu_order(void)
{
    struct front *front = begin("");

    front_start(front, F_DRIVER);
    g_assert_true(vionet_device_running(device_of(front)));
    for (unsigned i = 0; i < 200; i++) {
        front_echo(front, i);
    }
    end(front);
}

/* DPDK: calls before features, status, enabled at the end. */
static void test_dpdk_order(void)
{
    struct front *front = begin("");

    front_negotiate(front, F_DRIVER);
    g_assert_cmpuint(front_number(front, SET_STATUS, 0x0b), ==, 0);
    g_assert_cmphex(front_ask(front, GET_STATUS, NULL, 0), ==, 0x0b);
    g_assert_cmpuint(front_set_memory(front), ==, 0);
    front_set_ring(front, 0, 0);
    front_set_ring(front, 1, 0);
    front_fill(front);
    g_assert_cmpuint(front_state(front, SET_VRING_ENABLE, 0, 1), ==, 0);
    g_assert_cmpuint(front_state(front, SET_VRING_ENABLE, 1, 1), ==, 0);
    g_assert_cmpuint(front_number(front, SET_STATUS, 0x0f), ==, 0);
    front_echo(front, 7);
    front_echo(front, 8);
    g_assert_cmpuint(front_state(front, SET_VRING_ENABLE, 0, 0), ==, 0);
    g_assert_cmpuint(front_state(front, SET_VRING_ENABLE, 1, 0), ==, 0);
    g_assert_cmpuint(front_get_base(front, 0), ==, 2);
    g_assert_cmpuint(front_get_base(front, 1), ==, 2);
    end(front);
}

/* Sends a frame by a ring that is disabled: it is given back, and does not come in again. */
static void expect_discarded(struct front *front, unsigned number)
{
    const uint64_t before = vionet_device_verdicts(device_of(front), VIONET_DROP_QUEUE_DISABLED);

    front_transmit(front, number);
    front_kick(front, 1);
    g_assert_cmpuint(front_reclaim(front), ==, 1);
    g_assert_cmpint(front_receive(front), ==, -1);
    g_assert_cmpuint(vionet_device_verdicts(device_of(front), VIONET_DROP_QUEUE_DISABLED), ==,
                     before + 1);
}

/* "Must process and discard any TX packets": also before it is enabled first, and of a ring that ran. */
static void test_disabled(void)
{
    struct front *front = begin("");

    front_negotiate(front, F_DRIVER);
    g_assert_cmpuint(front_set_memory(front), ==, 0);
    front_set_ring(front, 0, 0);
    front_set_ring(front, 1, 0);
    front_fill(front);
    expect_discarded(front, 1);
    g_assert_cmpuint(front_state(front, SET_VRING_ENABLE, 0, 1), ==, 0);
    expect_discarded(front, 2);
    g_assert_cmpuint(front_state(front, SET_VRING_ENABLE, 1, 1), ==, 0);
    front_echo(front, 3);
    g_assert_cmpuint(front_state(front, SET_VRING_ENABLE, 1, 0), ==, 0);
    for (unsigned i = 0; i < 3 * RING_SIZE; i++) {
        expect_discarded(front, i);
    }
    g_assert_cmpuint(front_state(front, SET_VRING_ENABLE, 1, 1), ==, 0);
    front_echo(front, 4);
    g_assert_cmpuint(front_state(front, SET_VRING_ENABLE, 1, 0), ==, 0);
    g_assert_cmpuint(front_get_base(front, 1), ==, 4 + 3 * RING_SIZE);
    end(front);
}

/*
 * A front-end that resets a guest may disable its rings and say no more until there are others: of the
 * disabled one nothing is read, nor written, once something is set up anew.
 */
static void test_disabled_and_left(void)
{
    struct front *front = begin("");
    uint8_t *at, before[PAGE];

    front_start(front, F_DRIVER);
    front_echo(front, 1);
    g_assert_cmpuint(front_state(front, SET_VRING_ENABLE, 0, 0), ==, 0);
    g_assert_cmpuint(front_state(front, SET_VRING_ENABLE, 1, 0), ==, 0);
    at = guest_ptr(front->memory, front->rings[1].area.device_gpa, 2);
    memset(at, 0x5a, 4 + 8 * RING_SIZE); /* another thing now */
    memcpy(before, at, 4 + 8 * RING_SIZE);
    g_assert_cmpuint(front_number(front, SET_FEATURES, front->features), ==, 0);
    g_assert_cmpuint(front_set_memory(front), ==, 0);
    g_assert_cmpuint(front_state(front, SET_VRING_NUM, 1, RING_SIZE / 2), ==, 0);
    g_assert_cmpuint(front_state(front, SET_VRING_BASE, 1, 0), ==, 0);
    g_assert_cmpuint(front_set_addr(front, 1, 0), ==, 0);
    front_kick(front, 1);
    g_assert_cmpmem(at, 4 + 8 * RING_SIZE, before, 4 + 8 * RING_SIZE);
    g_assert_cmphex(front_ask(front, GET_STATUS, NULL, 0) & 0x40, ==, 0);
    end(front);
}

/* Without the protocol's own feature there is no enabling, and rings run as soon as they can. */
static void test_plain(void)
{
    const uint64_t features = F_DRIVER;
    struct front *front = begin("");

    front_negotiate(front, F_DRIVER);
    g_assert_true(front_post(front, SET_FEATURES, 0, &features, 8, NULL, 0));
    g_assert_cmpuint(front_set_memory(front), ==, 0);
    front_set_ring(front, 0, 0);
    front_set_ring(front, 1, 0);
    front_fill(front);
    front_echo(front, 1);
    end(front);
}

/* No descriptor for kicks: the rings are looked into all the time. */
static void test_polled(void)
{
    struct front *front = begin("");

    front_start(front, F_DRIVER);
    g_assert_cmpuint(front_ring_fd(front, SET_VRING_KICK, 0, front->rings[0].kick), ==, 0);
    g_assert_cmpuint(front_number(front, SET_VRING_CALL, 1 | NO_FD), ==, 0);
    front_post(front, SET_VRING_KICK, 0, &(uint64_t){1 | NO_FD}, 8, NULL, 0);
    for (unsigned i = 0; i < 10; i++) {
        g_main_context_iteration(front->context, FALSE);
    }
    front_transmit(front, 3);
    for (unsigned i = 0; i < 10; i++) {
        g_main_context_iteration(front->context, FALSE);
    }
    g_assert_cmpuint(front_reclaim(front), ==, 1);
    g_assert_cmpint(front_receive(front), ==, 3);
    g_assert_true(g_main_context_pending(front->context));
    front_post(front, GET_VRING_BASE, 0, &(uint64_t){1}, 8, NULL, 0);
    front_settle(front); /* it ends with the ring */
    end(front);
}

/* ---- Indices ---- */

static void test_index(void)
{
    struct front *front = begin("");

    front_start(front, F_DRIVER);
    for (unsigned i = 0; i < 150; i++) {
        front_echo(front, i);
    }
    g_assert_cmpuint(front_get_base(front, 1), ==, 150);
    g_assert_cmpuint(front_get_base(front, 0), ==, 150);
    g_assert_false(vionet_device_running(device_of(front)));
    g_assert_cmpuint(front_get_base(front, 0), ==, 150);
    front_transmit(front, 1); /* nobody looks */
    front_kick(front, 1);
    g_assert_cmpuint(front_reclaim(front), ==, 0);
    front_set_ring(front, 0, 150);
    front_set_ring(front, 1, 150);
    front_settle(front);
    g_assert_cmpuint(front_reclaim(front), ==, 1);
    g_assert_cmpint(front_receive(front), ==, 1);
    for (unsigned i = 0; i < 150; i++) {
        front_echo(front, i);
    }
    end(front);
}

/* While the front-end takes its rings back the network's frames wait: nothing is dropped. */
static void test_frames_wait(void)
{
    struct front *front = begin("");

    front_start(front, F_DRIVER);
    front_echo(front, 1);
    g_assert_cmpuint(front_get_base(front, 0), ==, 1);
    front_transmit(front, 2); /* its echo would have no queue */
    front_kick(front, 1);
    g_assert_cmpuint(front_get_base(front, 1), ==, 1);
    front_set_ring(front, 0, 1);
    front_set_ring(front, 1, 1);
    front_settle(front);
    g_assert_cmpuint(front_reclaim(front), ==, 1);
    g_assert_cmpint(front_receive(front), ==, 2);
    end(front);
}

/* ---- Threads ---- */

/* Takes back what was used until that much was, and what came, in order, until this did or a while is over. */
static void collect(struct front *front, unsigned *sent, unsigned *next, unsigned wanted,
                    unsigned ms)
{
    const gint64 begun = g_get_monotonic_time();

    while (*sent < wanted || (*next < wanted && g_get_monotonic_time() < begun + ms * 1000)) {
        int number;

        g_assert_cmpint(g_get_monotonic_time(), <, begun + 10 * G_USEC_PER_SEC);
        *sent += front_reclaim(front);
        while ((number = front_receive(front)) >= 0) {
            g_assert_cmpint(number, >=, *next);
            *next = (unsigned)number + 1;
        }
        front_kick(front, 0);
    }
}

/*
 * A thread moves the frames, and the front-end stops, moves and starts its rings meanwhile: each index is
 * that of the used ring, each frame is taken once, and none comes twice or out of order. What the thread
 * had for the guest when the device was stopped is lost, as on any wire.
 */
static void test_threads(void)
{
    struct front *front = begin_with("threads=on", P_ALL & ~P_RARP);
    unsigned sent = 0, next = 0, total = 0;

    front_start(front, F_DRIVER);
    for (unsigned cycle = 0; cycle < 300; cycle++) {
        for (unsigned i = 0; i < 1 + cycle % 16; i++) {
            front_transmit(front, total++);
        }
        front_kick(front, 1);
        if (cycle % 3 == 0) {
            for (unsigned ring = 0; ring < 2; ring++) {
                const uint32_t base = front_get_base(front, ring);
                const uint16_t *used =
                    guest_ptr(front->memory, front->rings[ring].area.device_gpa + 2, 2);

                g_assert_cmpuint(base, ==, GUINT16_FROM_LE(*used));
                front_set_ring(front, ring, base);
            }
        } else if (cycle % 3 == 1) {
            g_assert_cmpuint(front_set_memory(front), ==, 0);
        }
        collect(front, &sent, &next, total, 5);
        g_assert_cmpuint(sent, ==, total);
    }
    front_transmit(front, total++); /* with nothing in between all of it comes */
    front_kick(front, 1);
    collect(front, &sent, &next, total, 5000);
    g_assert_cmpuint(next, ==, total);
    for (unsigned i = 0; i < 10; i++) { /* gone with frames on their way */
        front_transmit(front, total + i);
    }
    front_kick(front, 1);
    end(front);
}

/* ---- Coming again ---- */

static void start_again(struct front *front, uint32_t base)
{
    front_connect(front);
    front_negotiate(front, F_DRIVER);
    g_assert_cmpuint(front_set_memory(front), ==, 0);
    for (unsigned i = 0; i < 2; i++) {
        front_take_event(front->rings[i].call);
        g_assert_cmpuint(front_state(front, SET_VRING_ENABLE, i, 1), ==, 0);
        front_set_ring(front, i, base);
        /* The back-end before may have owed a call. */
        g_assert_cmpuint(front_take_event(front->rings[i].call), >, 0);
    }
}

static void test_reconnect(void)
{
    struct front *front = begin("");
    unsigned sent = 0;

    front_start(front, F_DRIVER);
    for (unsigned i = 0; i < 5; i++) {
        for (unsigned j = 0; j < 37; j++) {
            front_echo(front, sent++);
        }
        front_close(front);
        front_transmit(front, 1000 + i); /* while nobody is there */
        start_again(front, sent++);
        front_settle(front);
        g_assert_cmpuint(front_reclaim(front), ==, 1);
        g_assert_cmpint(front_receive(front), ==, 1000 + i);
    }
    g_assert_cmpuint(front->connected, ==, 6);
    g_assert_cmpuint(front->gone, ==, 5);
    end(front);
}

/* A back-end that died had frames sent, and not given back: they are sent again. */
static void test_reconnect_from_used(void)
{
    struct front *front = begin("");

    front_start(front, F_DRIVER);
    front_echo(front, 0);
    front_close(front);
    front_transmit(front, 1);
    front_transmit(front, 2);
    start_again(front, 1);
    front_settle(front);
    g_assert_cmpuint(front_reclaim(front), ==, 2);
    g_assert_cmpint(front_receive(front), ==, 1);
    g_assert_cmpint(front_receive(front), ==, 2);
    end(front);
}

static void wait_connected(struct front *front)
{
    const gint64 until = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;

    while (!vionet_vhost_user_is_connected(front->server)) {
        g_assert_cmpint(g_get_monotonic_time(), <, until);
        g_main_context_iteration(front->context, FALSE);
        g_usleep(1000);
    }
}

/* It goes to a front-end that waits, also to one that comes later, and again. */
static void test_client(void)
{
    char *folder = g_dir_make_tmp("vhost-XXXXXX", NULL);
    char *path = g_build_filename(folder, "socket", NULL);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct front *front = g_new0(struct front, 1);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    front_init(front, "", "loopback");
    g_assert_true(vionet_vhost_user_connect(front->server, path, NULL));
    g_assert_false(vionet_vhost_user_connect(front->server, path, NULL));
    g_assert_false(vionet_vhost_user_listen(front->server, path, NULL));
    front_settle(front);
    g_assert_false(vionet_vhost_user_is_connected(front->server));
    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    g_assert_cmpint(bind(listener, (struct sockaddr *)&address, sizeof(address)), ==, 0);
    g_assert_cmpint(listen(listener, 1), ==, 0);
    for (unsigned i = 0; i < 2; i++) {
        wait_connected(front);
        front->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (i == 0) {
            front_start(front, F_DRIVER);
            front_echo(front, 1);
            front_close(front);
        }
    }
    end(front);
    close(listener);
    unlink(path);
    rmdir(folder);
    g_free(path);
    g_free(folder);
}

static void test_client_path(void)
{
    struct front *front = g_new0(struct front, 1);
    char *path = g_strnfill(200, 'x');
    GError *error = NULL;

    front_init(front, "", "null");
    g_assert_false(vionet_vhost_user_connect(front->server, path, &error));
    g_assert_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG);
    g_clear_error(&error);
    g_assert_false(vionet_vhost_user_connect(front->server, "", &error));
    g_clear_error(&error);
    g_free(path);
    end(front);
}

static void test_second_front_end(void)
{
    struct front *front = begin("");
    int ends[2];

    front_start(front, F_DRIVER);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
    g_assert_false(vionet_vhost_user_serve(front->server, ends[1]));
    close(ends[0]);
    front_echo(front, 1);
    end(front);
}

/* ---- Memory ---- */

static uint64_t change(struct front *front, uint32_t request, uint64_t guest, uint64_t size,
                       uint64_t user, uint64_t offset, int fd)
{
    const uint64_t single[5] = {0, guest, size, user, offset};

    return front_ack(front, request, single, sizeof(single), &fd, fd >= 0);
}

/* Regions come and go beside the rings', which go on; a removed one is not there any more. */
static void test_slots(void)
{
    const uint64_t far = GUEST_BASE + 16 * GUEST_SIZE;
    const int fd = front_memfd(16 * PAGE);
    struct front *front = begin("");

    front_start(front, F_DRIVER);
    g_assert_cmpuint(front_ask(front, GET_MAX_MEM_SLOTS, NULL, 0), >=, 32);
    for (unsigned i = 0; i < 8; i++) {
        g_assert_cmpuint(change(front, ADD_MEM_REG, far + i * 2 * PAGE, PAGE, 0x1000 + i * 2 * PAGE,
                                i * 2 * PAGE, fd),
                         ==, 0);
        front_echo(front, i);
    }
    /* overlaps of either address, nonsense, unknown */
    g_assert_cmpuint(change(front, ADD_MEM_REG, far, PAGE, 0x800000, 0, fd), ==, 1);
    g_assert_cmpuint(change(front, ADD_MEM_REG, far + PAGE, PAGE, 0x1000, 0, fd), ==, 1);
    g_assert_cmpuint(change(front, ADD_MEM_REG, far + PAGE, PAGE, USER_BASE + PAGE, 0, fd), ==, 1);
    g_assert_cmpuint(change(front, ADD_MEM_REG, far + PAGE, 0, 0x800000, 0, fd), ==, 1);
    g_assert_cmpuint(change(front, ADD_MEM_REG, far + PAGE, 100, 0x800000, 0, fd), ==, 1);
    g_assert_cmpuint(change(front, ADD_MEM_REG, far + PAGE, PAGE, 0x800000, 16 * PAGE, fd), ==, 1);
    g_assert_cmpuint(change(front, ADD_MEM_REG, far + PAGE, PAGE, UINT64_MAX - 100, 0, fd), ==, 1);
    g_assert_cmpuint(change(front, ADD_MEM_REG, UINT64_MAX - 4095, 2 * PAGE, 0x800000, 0, fd), ==,
                     1);
    g_assert_cmpuint(change(front, REM_MEM_REG, far, 2 * PAGE, 0x1000, 0, -1), ==, 1);
    g_assert_cmpuint(change(front, REM_MEM_REG, far, PAGE, 0x2000, 0, -1), ==, 1);
    /* first, last, middle; one with a descriptor that belongs nowhere */
    g_assert_cmpuint(change(front, REM_MEM_REG, far, PAGE, 0x1000, 99, -1), ==, 0);
    g_assert_cmpuint(change(front, REM_MEM_REG, far + 14 * PAGE, PAGE, 0x1000 + 14 * PAGE, 0, fd),
                     ==, 0);
    g_assert_cmpuint(change(front, REM_MEM_REG, far + 6 * PAGE, PAGE, 0x1000 + 6 * PAGE, 0, -1), ==,
                     0);
    g_assert_cmpuint(change(front, REM_MEM_REG, far, PAGE, 0x1000, 0, -1), ==, 1);
    front_echo(front, 99);
    close(fd);
    end(front);
}

/* The whole table anew, with the rings running: the same memory elsewhere for the front-end. */
static void test_table_while_running(void)
{
    struct front *front = begin("");

    front_start(front, F_DRIVER);
    for (unsigned i = 0; i < 20; i++) {
        front_echo(front, i);
        g_assert_cmpuint(front_set_memory(front), ==, 0);
    }
    g_assert_cmpuint(front_get_base(front, 0), ==, 20);
    end(front);
}

/* Rings whose memory went are told of by an error, and stand. */
static void test_memory_goes(void)
{
    const uint64_t table = 0;
    struct front *front = begin("");

    front_start(front, F_DRIVER);
    front_echo(front, 1);
    front_take_event(front->rings[1].err);
    g_assert_cmpuint(front_ack(front, SET_MEM_TABLE, &table, sizeof(table), NULL, 0), ==, 1);
    g_assert_cmpuint(front_take_event(front->rings[1].err), >, 0);
    front_transmit(front, 2);
    front_kick(front, 1);
    g_assert_cmpuint(front_reclaim(front), ==, 0);
    g_assert_cmpuint(front_set_memory(front), ==, 0);
    front_settle(front);
    g_assert_cmpuint(front_reclaim(front), ==, 1);
    g_assert_cmpint(front_receive(front), ==, 2);
    end(front);
}

/* A file's region that begins in the middle of it. */
static void test_offset(void)
{
    struct front *front = begin("");
    const uint64_t half = GUEST_SIZE / 2;
    const uint64_t table[9] = {WORDS(2, 0), GUEST_BASE,       half, USER_BASE, 0, GUEST_BASE + half,
                               half,        USER_BASE + half, half};
    const int fds[2] = {front->region->fd, front->region->fd};

    front_negotiate(front, F_DRIVER);
    g_assert_cmpuint(front_ack(front, SET_MEM_TABLE, table, sizeof(table), fds, 2), ==, 0);
    guest_alloc(front->memory, half - 3 * PAGE, PAGE); /* so that rings and buffers are in both */
    for (unsigned i = 0; i < 2; i++) {
        front_set_ring(front, i, 0);
        g_assert_cmpuint(front_state(front, SET_VRING_ENABLE, i, 1), ==, 0);
    }
    front_fill(front);
    for (unsigned i = 0; i < 2 * RING_SIZE; i++) {
        front_echo(front, i);
    }
    end(front);
}

/* ---- The dirty log ---- */

static uint64_t set_log(struct front *front, int fd, uint64_t size, uint64_t offset)
{
    const uint64_t log[2] = {size, offset};

    front_post(front, SET_LOG_BASE, 0, log, sizeof(log), &fd, 1);
    front_settle(front);
    return front_reply(front, SET_LOG_BASE) ? front->data[0] : LOST;
}

/* Each page that changed is in the log, and no other. */
static void compare_log(const struct front *front, const uint8_t *before, const uint8_t *log)
{
    const uint8_t *now = front->region->host;

    for (uint64_t at = 0; at < GUEST_SIZE; at += PAGE) {
        const uint64_t page = (GUEST_BASE + at) / PAGE;
        const bool changed = memcmp(now + at, before + at, PAGE) != 0;

        g_assert_cmpint(log[page / 8] >> page % 8 & 1, ==, changed);
    }
}

static void test_log(void)
{
    const uint64_t size = (GUEST_BASE + GUEST_SIZE) / PAGE / 8;
    const int fd = front_memfd(size + PAGE);
    uint8_t *log = mmap(NULL, size + PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    uint8_t *before = g_malloc(GUEST_SIZE);
    struct front *front = begin("");

    front_start(front, F_DRIVER);
    g_assert_cmpuint(set_log(front, fd, size, 0), ==, 0);
    front_echo(front, 1);
    g_assert_cmpuint(front_number(front, SET_FEATURES, front->features | F_LOG_ALL), ==, 0);
    for (unsigned ring = 0; ring < 2; ring++) {
        g_assert_cmpuint(front_set_addr(front, ring, 1), ==, 0); /* of a ring that runs */
    }
    for (unsigned i = 0; i < size; i++) {
        g_assert_cmphex(log[i], ==, 0);
    }
    for (unsigned i = 0; i < 3 * RING_SIZE; i++) {
        front_transmit(front, i);
        memset(log, 0, size);
        memcpy(before, front->region->host, GUEST_SIZE);
        front_kick(front, 1);
        compare_log(front, before, log);
        g_assert_cmpuint(front_reclaim(front), ==, 1);
        g_assert_cmpint(front_receive(front), ==, i);
        front_kick(front, 0);
    }
    /* at an offset of another file, from now on */
    memset(log, 0, size);
    g_assert_cmpuint(set_log(front, fd, size, PAGE), ==, 0);
    front_echo(front, 2);
    for (unsigned i = 0; i < size; i++) {
        g_assert_true(log[i] == 0 || i >= PAGE);
    }
    g_assert_cmpint(memcmp(log + PAGE, before, 16), !=, 1);
    /* and not any more */
    g_assert_cmpuint(front_number(front, SET_FEATURES, front->features), ==, 0);
    memset(log, 0, size + PAGE);
    front_echo(front, 3);
    for (unsigned i = 0; i < size + PAGE; i++) {
        g_assert_cmphex(log[i], ==, 0);
    }
    munmap(log, size + PAGE);
    close(fd);
    g_free(before);
    end(front);
}

static void test_log_refused(void)
{
    const int fd = front_memfd(2 * PAGE);
    static const uint64_t wrong[][2] = {
        {0, 0},
        {2 * PAGE + 1, 0},
        {1, 2 * PAGE},
        {PAGE, PAGE + 1},
        {8192, UINT64_MAX - 4095},
        {UINT64_MAX, 1},
        {UINT64_MAX, UINT64_MAX},
    };
    struct front *front = g_new0(struct front, 1);

    front_init(front, "", "loopback");
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        front_connect(front);
        front_negotiate(front, F_DRIVER);
        g_assert_cmphex(set_log(front, fd, wrong[i][0], wrong[i][1]), ==, LOST);
        close(front->fd);
    }
    front->fd = -1;
    front_connect(front);
    front_negotiate(front, F_DRIVER);
    g_assert_cmpuint(set_log(front, fd, 100, 33), ==, 0);
    close(fd);
    end(front);
}

/* ---- Features, status, configuration ---- */

static void test_features_refused(void)
{
    struct front *front = begin("");

    front_negotiate(front, F_DRIVER);
    g_assert_cmpuint(front_number(front, SET_FEATURES, UINT64_C(1) << 63), ==, 1);
    g_assert_cmpuint(front_number(front, SET_FEATURES, F_PROTOCOL), ==, 1); /* no VERSION_1 */
    g_assert_cmpuint(front_number(front, SET_STATUS, 0x0b), ==, 0);
    g_assert_cmphex(front_ask(front, GET_STATUS, NULL, 0), ==, 0x03);
    g_assert_cmpuint(front_number(front, SET_FEATURES, front->features), ==, 0);
    g_assert_cmphex(front_ask(front, GET_STATUS, NULL, 0), ==, 0x0b);
    g_assert_cmpuint(front_number(front, SET_STATUS, 0x100), ==, 1);
    g_assert_cmpuint(front_number(front, SET_PROTOCOL_FEATURES, 1u << 8 | P_ACK), ==, 1);
    end(front);
}

/* Features that change while rings run: the device is another one, the rings stand where they stood. */
static void test_features_change(void)
{
    struct front *front = begin("");

    front_start(front, F_DRIVER);
    front_echo(front, 1);
    g_assert_cmpuint(front_number(front, SET_FEATURES,
                                  front->features & ~(UINT64_C(1) << VIRTIO_NET_F_MRG_RXBUF)),
                     ==, 0);
    g_assert_false(vionet_device_negotiated(device_of(front), VIRTIO_NET_F_MRG_RXBUF));
    front_echo(front, 2);
    g_assert_cmpuint(front_number(front, SET_STATUS, 0), ==, 0);
    g_assert_false(vionet_device_running(device_of(front)));
    front_transmit(front, 3);
    front_kick(front, 1);
    g_assert_cmpuint(front_reclaim(front), ==, 0);
    g_assert_cmpuint(front_number(front, SET_FEATURES, front->features), ==, 0);
    front_settle(front);
    g_assert_cmpuint(front_reclaim(front), ==, 1);
    g_assert_cmpint(front_receive(front), ==, 3);
    end(front);
}

static void test_reset_device(void)
{
    struct front *front = begin("");

    front_start(front, F_DRIVER);
    front_echo(front, 1);
    g_assert_cmpuint(front_ack(front, RESET_DEVICE, NULL, 0, NULL, 0), ==, 0);
    g_assert_cmphex(vionet_device_status(device_of(front)), ==, 0);
    g_assert_cmpuint(front_get_base(front, 0), ==, 1);
    g_assert_cmpuint(front_number(front, SET_FEATURES, front->features), ==, 0);
    g_assert_false(vionet_device_running(device_of(front)));
    for (unsigned i = 0; i < 2; i++) {
        front_set_ring(front, i, 1);
        g_assert_cmpuint(front_state(front, SET_VRING_ENABLE, i, 1), ==, 0);
    }
    front_echo(front, 2);
    g_assert_cmpuint(front_ack(front, RESET_OWNER, NULL, 0, NULL, 0), ==, 0);
    g_assert_false(vionet_device_running(device_of(front)));
    g_assert_cmpuint(front_get_base(front, 1), ==, 2);
    end(front);
}

/* A ring that its driver broke: the front-end hears of it, and the next start repairs it. */
static void test_broken_ring(void)
{
    struct front *front = begin("");
    uint16_t *idx;

    front_start(front, F_DRIVER);
    front_echo(front, 1);
    idx = guest_ptr(front->memory, front->rings[1].area.driver_gpa + 2, 2);
    *idx = 0x4000;
    front_kick(front, 1);
    g_assert_cmpuint(front_take_event(front->rings[1].err), ==, 1);
    g_assert_cmphex(front_ask(front, GET_STATUS, NULL, 0) & 0x40, ==, 0x40);
    *idx = 1;
    g_assert_cmpuint(front_get_base(front, 0), ==, 1);
    g_assert_cmpuint(front_get_base(front, 1), ==, 1);
    front_set_ring(front, 0, 1);
    front_set_ring(front, 1, 1);
    g_assert_cmphex(front_ask(front, GET_STATUS, NULL, 0) & 0x40, ==, 0);
    front_echo(front, 2);
    end(front);
}

static void test_config(void)
{
    struct {
        uint32_t offset, size, flags;
        uint8_t octets[300];
    } config = {0, 6, 0, {0}};
    static const uint8_t mac[6] = {0x52, 0x54, 0, 1, 2, 3};
    struct front *front = begin("mac=52:54:00:01:02:03");

    front_negotiate(front, F_DRIVER);
    front_ask(front, GET_CONFIG, &config, 12 + 6);
    g_assert_cmpmem(front->data + 12, front->len - 12, mac, 6);
    config.offset = 2;
    config.size = 4;
    front_ask(front, GET_CONFIG, &config, 12 + 4);
    g_assert_cmpmem(front->data + 12, front->len - 12, mac + 2, 4);
    config = (typeof(config)){0, 256, 0, {0}};
    front_ask(front, GET_CONFIG, &config, 12 + 256);
    g_assert_cmpuint(front->len, ==, 12 + 256);
    config.offset = 1;
    front_ask(front, GET_CONFIG, &config, 12 + 256);
    g_assert_cmpuint(front->len, ==, 0);
    config = (typeof(config)){UINT32_MAX, 8, 0, {0}};
    front_ask(front, GET_CONFIG, &config, 12 + 8);
    g_assert_cmpuint(front->len, ==, 0);
    config = (typeof(config)){0, 8, 0, {0}};
    front_ask(front, GET_CONFIG, &config, 12 + 7);
    g_assert_cmpuint(front->len, ==, 0);
    g_assert_cmpuint(front_ack(front, SET_CONFIG, &config, 12 + 8, NULL, 0), ==, 1);
    end(front);
}

/* ---- Requests of the back-end ---- */

static uint16_t ask_status(struct front *front)
{
    const uint32_t config[4] = {6, 2, 0};
    uint16_t status;

    front_ask(front, GET_CONFIG, config, 12 + 2);
    g_assert_cmpuint(front->len, ==, 12 + 2);
    memcpy(&status, front->data + 12, sizeof(status));
    return GUINT16_FROM_LE(status);
}

static uint64_t set_channel(struct front *front, int fd)
{
    return front_ack(front, SET_BACKEND_REQ_FD, NULL, 0, &fd, 1);
}

/* How often the front-end was told that the configuration space has changed. */
static unsigned times_told(int fd)
{
    static const uint32_t expected[3] = {2, 1, 0};
    uint32_t header[3];
    unsigned n = 0;

    while (recv(fd, header, sizeof(header), MSG_DONTWAIT) == sizeof(header)) {
        g_assert_cmpmem(header, sizeof(header), expected, sizeof(expected));
        n++;
    }
    return n;
}

/* The backend's peer goes: the front-end is told, and finds the link down. */
static void test_link(void)
{
    int peers[2], ends[2];
    struct front *front = g_new0(struct front, 1);
    char *backend;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, peers), ==, 0);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
    backend = g_strdup_printf("stream,addr.type=fd,addr.str=%d", peers[1]);
    front_init(front, "", backend);
    front_connect(front);
    front_start(front, F_DRIVER | UINT64_C(1) << VIRTIO_NET_F_STATUS);
    g_assert_cmpuint(set_channel(front, ends[1]), ==, 0);
    g_assert_cmpuint(times_told(ends[0]), ==, 0);
    g_assert_cmpuint(ask_status(front), ==, 1);
    close(peers[0]);
    front_settle(front);
    g_assert_cmpuint(times_told(ends[0]), ==, 1);
    g_assert_cmpuint(ask_status(front), ==, 0);
    front_transmit(front, 1);
    front_kick(front, 1);
    g_assert_cmpuint(front_reclaim(front), ==, 1);
    front_close(front);
    close(ends[1]);
    g_assert_cmpint(recv(ends[0], peers, 1, MSG_DONTWAIT), ==, 0); /* ours is closed */
    close(ends[0]);
    g_free(backend);
    end(front);
}

static void toggle_link(struct front *front)
{
    vionet_device_set_link(device_of(front), false);
    vionet_device_set_link(device_of(front), true);
}

/* One who does not read, one who has gone, what is no socket, one in place of another. */
static void test_channel(void)
{
    struct front *front = begin("");
    const int file = front_memfd(PAGE);
    int first[2], second[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, first), ==, 0);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, second), ==, 0);
    front_start(front, F_DRIVER | UINT64_C(1) << VIRTIO_NET_F_STATUS);
    toggle_link(front); /* to nobody */
    g_assert_cmpuint(set_channel(front, file), ==, 1);
    g_assert_cmpuint(set_channel(front, first[1]), ==, 0);
    for (unsigned i = 0; i < 20000; i++) {
        toggle_link(front);
    }
    g_assert_cmpuint(times_told(first[0]), <, 2 * 20000);
    toggle_link(front);
    g_assert_cmpuint(times_told(first[0]), ==, 2);
    g_assert_cmpuint(set_channel(front, second[1]), ==, 0);
    toggle_link(front);
    g_assert_cmpuint(times_told(first[0]), ==, 0);
    g_assert_cmpuint(times_told(second[0]), ==, 2);
    close(second[0]);
    toggle_link(front);
    g_assert_cmpuint(set_channel(front, first[1]), ==, 0);
    g_assert_cmpuint(front_number(front, SET_PROTOCOL_FEATURES, P_ALL & ~(1u << 9)), ==, 0);
    toggle_link(front); /* who has no configuration space is told nothing of it */
    g_assert_cmpuint(set_channel(front, first[1]), ==, 0);
    toggle_link(front);
    g_assert_cmpuint(times_told(first[0]), ==, 0);
    g_assert_cmpuint(front_number(front, SET_PROTOCOL_FEATURES, P_ACK), ==, 0);
    g_assert_cmpuint(set_channel(front, first[1]), ==, 1);
    front_echo(front, 1);
    close(first[0]);
    close(first[1]);
    close(second[1]);
    close(file);
    end(front);
}

static void test_mtu(void)
{
    struct front *front = begin("host_mtu=1400");

    front_negotiate(front, F_DRIVER);
    g_assert_cmpuint(front_number(front, NET_SET_MTU, 1400), ==, 0);
    g_assert_cmpuint(front_number(front, NET_SET_MTU, 1500), ==, 1);
    g_assert_cmpuint(front_number(front, NET_SET_MTU, 1400 + (UINT64_C(1) << 32)), ==, 1);
    end(front);
    front = begin("");
    front_negotiate(front, F_DRIVER);
    g_assert_cmpuint(front_number(front, NET_SET_MTU, 1500), ==, 1);
    end(front);
}

/* The announcement goes to the network, from where loopback sends it back. */
static void test_rarp(void)
{
    static const uint8_t expected[42] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0,    1,    2, 3, 0x80, 0x35,
        0,    1,    8,    0,    6,    4,    0,    3,    0x52, 0x54, 0, 1, 2,    3,
        0,    0,    0,    0,    0x52, 0x54, 0,    1,    2,    3,    0, 0, 0,    0,
    };
    struct front *front = begin("");
    struct virtq_used used;

    front_start(front, F_DRIVER);
    g_assert_cmpuint(front_number(front, SEND_RARP, UINT64_C(0x030201005452)), ==, 0);
    front_transmit(front, 1); /* brings the network's frames along */
    front_kick(front, 1);
    front_reclaim(front);
    g_assert_true(virtq_poll(front->rings[0].vq, &used));
    g_assert_cmpuint(used.len, ==, HEADER + 60);
    g_assert_cmpmem((uint8_t *)guest_ptr(front->memory, GPOINTER_TO_SIZE(used.cookie), BUFFER) +
                        HEADER,
                    42, expected, 42);
    end(front);
}

/* ---- Control queue here or there ---- */

/* The front-end's own affair: nothing is filtered, and pairs are in use as rings are. */
static void test_control_there(void)
{
    struct front *front = begin("queues=2");

    g_assert_cmpuint(front_ask(front, GET_QUEUE_NUM, NULL, 0), ==, 2);
    front_start(front, F_DRIVER | UINT64_C(1) << VIRTIO_NET_F_MQ);
    front_echo(front, 1);
    g_assert_cmpuint(front_state(front, SET_VRING_ENABLE, 5, 1), ==, 1); /* four and control */
    end(front);
}

static uint8_t command(struct front *front, uint8_t class, uint8_t number, const void *data,
                       uint32_t len)
{
    struct ring_state *ring = &front->rings[2];
    const struct virtq_segment segments[2] = {{ring->buffers, 2 + len, false},
                                              {ring->buffers + 1024, 1, true}};
    uint8_t *at = guest_ptr(front->memory, ring->buffers, BUFFER);
    struct virtq_used used;

    at[0] = class;
    at[1] = number;
    memcpy(at + 2, data, len);
    at[1024] = 0xee;
    g_assert_true(virtq_add(ring->vq, segments, 2, NULL));
    virtq_publish(ring->vq);
    front_kick(front, 2);
    g_assert_true(virtq_poll(ring->vq, &used));
    g_assert_cmpuint(used.len, ==, 1);
    return at[1024];
}

/* Passed on to us: filters are ours, and obey. */
static void test_control_here(void)
{
    static const uint64_t control =
        UINT64_C(1) << VIRTIO_NET_F_CTRL_VQ | UINT64_C(1) << VIRTIO_NET_F_CTRL_RX;
    struct front *front = begin("");
    const uint8_t nobroadcast = 1;

    front_start(front, F_DRIVER | control);
    g_assert_cmpuint(front_state(front, SET_VRING_ENABLE, 2, 1), ==, 0);
    front_set_ring(front, 2, 0);
    front_echo(front, 1);
    g_assert_cmpuint(command(front, 0, 5 /* NOBCAST */, &nobroadcast, 1), ==,
                     1); /* not negotiated */
    front_echo(front, 2);
    g_assert_cmpuint(command(front, 0, 0 /* PROMISC */, &nobroadcast, 1), ==, 0);
    front_echo(front, 3);
    g_assert_cmpuint(front_get_base(front, 2), ==, 2);
    end(front);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    front_quiet();
    g_test_add_func("/vhost-user/order/qemu", test_qemu_order);
    g_test_add_func("/vhost-user/order/dpdk", test_dpdk_order);
    g_test_add_func("/vhost-user/order/without-protocol-features", test_plain);
    g_test_add_func("/vhost-user/order/polled", test_polled);
    g_test_add_func("/vhost-user/disabled/frames-are-discarded", test_disabled);
    g_test_add_func("/vhost-user/disabled/and-left-behind", test_disabled_and_left);
    g_test_add_func("/vhost-user/index/is-exact", test_index);
    g_test_add_func("/vhost-user/index/frames-wait-meanwhile", test_frames_wait);
    g_test_add_func("/vhost-user/threads", test_threads);
    g_test_add_func("/vhost-user/again/reconnect", test_reconnect);
    g_test_add_func("/vhost-user/again/what-was-not-given-back", test_reconnect_from_used);
    g_test_add_func("/vhost-user/again/client", test_client);
    g_test_add_func("/vhost-user/again/client-path", test_client_path);
    g_test_add_func("/vhost-user/again/one-at-a-time", test_second_front_end);
    g_test_add_func("/vhost-user/memory/U-09/slots", test_slots);
    g_test_add_func("/vhost-user/memory/table-while-running", test_table_while_running);
    g_test_add_func("/vhost-user/memory/goes", test_memory_goes);
    g_test_add_func("/vhost-user/memory/offset", test_offset);
    g_test_add_func("/vhost-user/log/exactly-what-changed", test_log);
    g_test_add_func("/vhost-user/log/U-04/ranges", test_log_refused);
    g_test_add_func("/vhost-user/features/refused", test_features_refused);
    g_test_add_func("/vhost-user/features/change", test_features_change);
    g_test_add_func("/vhost-user/reset", test_reset_device);
    g_test_add_func("/vhost-user/broken-ring", test_broken_ring);
    g_test_add_func("/vhost-user/config", test_config);
    g_test_add_func("/vhost-user/channel/link", test_link);
    g_test_add_func("/vhost-user/channel/peers", test_channel);
    g_test_add_func("/vhost-user/mtu", test_mtu);
    g_test_add_func("/vhost-user/rarp", test_rarp);
    g_test_add_func("/vhost-user/control/there", test_control_there);
    g_test_add_func("/vhost-user/control/here", test_control_here);
    return g_test_run();
}
