/* SPDX-License-Identifier: BSD-3-Clause */
/* See vhost_front.h. */
#include "vhost_front.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_ROUNDS 100000

/* ---- The server ---- */

static void host_connected(void *opaque, bool connected)
{
    struct front *front = opaque;

    if (connected) {
        front->connected++;
    } else {
        front->gone++;
    }
}

static void drop_message(const char *domain, GLogLevelFlags level, const char *text, gpointer data)
{
    if (level & (G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_ERROR)) {
        g_log_default_handler(domain, level, text, data);
    }
}

void front_quiet(void)
{
    g_log_set_always_fatal(G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_ERROR);
    g_log_set_default_handler(drop_message, NULL);
}

void front_init(struct front *front, const char *properties, const char *backend)
{
    static const VionetVhostUserOps ops = {.size = sizeof(ops), .connected = host_connected};
    GError *error = NULL;

    memset(front, 0, sizeof(*front));
    front->fd = -1;
    front->reply_fd = -1;
    front->protocol = P_ALL;
    front->context = g_main_context_new();
    front->server = vionet_vhost_user_new(properties, backend, front->context, &ops, front, &error);
    g_assert_no_error(error);
    g_assert_nonnull(front->server);
    front->memory = guest_memory_flat(GUEST_BASE, GUEST_SIZE);
    g_assert_cmpuint(guest_memory_regions(front->memory, &front->region), ==, 1);
    front->complaints = complaints_new();
}

static void forget_rings(struct front *front)
{
    for (unsigned i = 0; i < MAX_RINGS; i++) {
        struct ring_state *ring = &front->rings[i];

        if (ring->vq) {
            virtq_free(ring->vq);
            close(ring->kick);
            close(ring->call);
            close(ring->err);
        }
        *ring = (struct ring_state){0};
    }
}

void front_end(struct front *front)
{
    char *text = complaints_text(front->complaints);

    g_assert_cmpstr(text, ==, "");
    g_free(text);
    if (front->fd >= 0) {
        front_close(front);
    }
    if (front->reply_fd >= 0) {
        close(front->reply_fd);
    }
    vionet_vhost_user_free(front->server);
    forget_rings(front);
    complaints_free(front->complaints);
    guest_memory_free(front->memory);
    g_main_context_unref(front->context);
}

void front_settle(struct front *front)
{
    unsigned rounds = 0;

    while (g_main_context_iteration(front->context, FALSE)) {
        g_assert_cmpuint(rounds++, <, MAX_ROUNDS);
    }
}

/* ---- Octets ---- */

void front_connect(struct front *front)
{
    int ends[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), ==,
                    0);
    front->fd = ends[0];
    g_assert_true(vionet_vhost_user_serve(front->server, ends[1]));
    front_settle(front);
}

void front_close(struct front *front)
{
    close(front->fd);
    front->fd = -1;
    front_settle(front);
    g_assert_false(vionet_vhost_user_is_connected(front->server));
}

bool front_is_lost(struct front *front)
{
    front_settle(front);
    return !vionet_vhost_user_is_connected(front->server);
}

bool front_send(struct front *front, const void *octets, size_t len, const int *fds, unsigned n)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(64 * sizeof(int))];
    } control = {.room = {0}};
    struct iovec iov = {(void *)octets, len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (n > 0) {
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
        control.header = (struct cmsghdr){
            .cmsg_level = SOL_SOCKET,
            .cmsg_type = SCM_RIGHTS,
            .cmsg_len = CMSG_LEN(n * sizeof(int)),
        };
        memcpy(CMSG_DATA(&control.header), fds, n * sizeof(int));
    }
    return sendmsg(front->fd, &msg, MSG_NOSIGNAL) == (ssize_t)len;
}

bool front_post(struct front *front, uint32_t request, uint32_t flags, const void *payload,
                uint32_t len, const int *fds, unsigned n)
{
    const uint32_t header[3] = {request, 1 | flags, len};
    uint8_t octets[sizeof(header) + 1024];

    g_assert_cmpuint(len, <=, 1024);
    memcpy(octets, header, sizeof(header));
    if (len) {
        memcpy(octets + sizeof(header), payload, len);
    }
    return front_send(front, octets, sizeof(header) + len, fds, n);
}

/* A descriptor that comes along is kept. */
static bool receive_header(struct front *front, uint32_t header[3])
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {header, 12};
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };

    if (recvmsg(front->fd, &msg, MSG_CMSG_CLOEXEC) != 12) {
        return false;
    }
    if (front->reply_fd >= 0) {
        close(front->reply_fd);
    }
    front->reply_fd = -1;
    if (CMSG_FIRSTHDR(&msg)) {
        memcpy(&front->reply_fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
    }
    return true;
}

bool front_reply(struct front *front, uint32_t request)
{
    uint32_t header[3];

    if (!receive_header(front, header)) {
        return false;
    }
    g_assert_cmpuint(header[0], ==, request);
    g_assert_cmphex(header[1], ==, 5);
    g_assert_cmpuint(header[2], <=, sizeof(front->data));
    front->len = header[2];
    if (front->len) {
        g_assert_cmpint(recv(front->fd, front->data, front->len, 0), ==, front->len);
    }
    return true;
}

static uint64_t take_number(struct front *front, uint32_t request)
{
    uint64_t number = 0;

    front_settle(front);
    if (!front_reply(front, request)) {
        g_assert_true(front_is_lost(front));
        return LOST;
    }
    memcpy(&number, front->data, MIN(front->len, sizeof(number)));
    return number;
}

uint64_t front_ask(struct front *front, uint32_t request, const void *payload, uint32_t len)
{
    front_post(front, request, 0, payload, len, NULL, 0);
    return take_number(front, request);
}

uint64_t front_ack(struct front *front, uint32_t request, const void *payload, uint32_t len,
                   const int *fds, unsigned n)
{
    front_post(front, request, 8, payload, len, fds, n);
    return take_number(front, request);
}

uint64_t front_number(struct front *front, uint32_t request, uint64_t number)
{
    return front_ack(front, request, &number, sizeof(number), NULL, 0);
}

uint64_t front_state(struct front *front, uint32_t request, uint32_t index, uint32_t number)
{
    const uint32_t state[2] = {index, number};

    return front_ack(front, request, state, sizeof(state), NULL, 0);
}

uint64_t front_ring_fd(struct front *front, uint32_t request, uint64_t number, int fd)
{
    return front_ack(front, request, &number, sizeof(number), &fd, fd >= 0);
}

/* ---- A session ---- */

/* REPLY_ACK comes first, as all that follows is to be answered. */
void front_negotiate(struct front *front, uint64_t features)
{
    const uint64_t protocol = front->protocol;

    g_assert_true(front_post(front, SET_OWNER, 0, NULL, 0, NULL, 0));
    g_assert_cmphex(front_ask(front, GET_FEATURES, NULL, 0) & (features | F_PROTOCOL), ==,
                    features | F_PROTOCOL);
    g_assert_cmphex(front_ask(front, GET_PROTOCOL_FEATURES, NULL, 0), ==, protocol);
    g_assert_true(front_post(front, SET_PROTOCOL_FEATURES, 0, &protocol, 8, NULL, 0));
    front->features = features | F_PROTOCOL;
    g_assert_cmpuint(front_number(front, SET_FEATURES, front->features), ==, 0);
}

uint64_t front_set_memory(struct front *front)
{
    const uint64_t table[5] = {WORDS(1, 0), GUEST_BASE, GUEST_SIZE, USER_BASE,
                               front->region->fd_offset};

    return front_ack(front, SET_MEM_TABLE, table, sizeof(table), &front->region->fd, 1);
}

static uint64_t user(uint64_t gpa)
{
    return gpa - GUEST_BASE + USER_BASE;
}

uint64_t front_set_addr(struct front *front, unsigned ring, uint32_t flags)
{
    const struct virtq_area *area = &front->rings[ring].area;
    const struct {
        uint32_t index, flags;
        uint64_t desc, used, avail, log;
    } addr = {
        ring,
        flags,
        user(area->desc_gpa),
        user(area->device_gpa),
        user(area->driver_gpa),
        area->device_gpa,
    };

    return front_ack(front, SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
}

static void make_ring(struct front *front, unsigned index)
{
    struct ring_state *ring = &front->rings[index];
    const struct virtq_options options = {
        .size = RING_SIZE,
        .packed = front->features >> 34 & 1,
        .event_idx = front->features >> 29 & 1,
        .indirect = front->features >> 28 & 1,
    };
    struct virtq_options all = options;

    g_assert_true(virtq_area_alloc(front->memory, RING_SIZE, &ring->area));
    all.area = ring->area;
    ring->vq = virtq_new(front->memory, front->complaints, "ring", &all);
    ring->buffers = guest_alloc(front->memory, RING_SIZE * BUFFER, 4096);
    g_assert_cmphex(ring->buffers, !=, GUEST_NONE);
    ring->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ring->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ring->err = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

void front_set_ring(struct front *front, unsigned index, uint32_t base)
{
    struct ring_state *ring = &front->rings[index];

    if (!ring->vq) {
        make_ring(front, index);
    }
    g_assert_cmpuint(front_state(front, SET_VRING_NUM, index, RING_SIZE), ==, 0);
    g_assert_cmpuint(front_state(front, SET_VRING_BASE, index, base), ==, 0);
    g_assert_cmpuint(front_set_addr(front, index, 0), ==, 0);
    g_assert_cmpuint(front_ring_fd(front, SET_VRING_ERR, index, ring->err), ==, 0);
    g_assert_cmpuint(front_ring_fd(front, SET_VRING_CALL, index, ring->call), ==, 0);
    g_assert_cmpuint(front_ring_fd(front, SET_VRING_KICK, index, ring->kick), ==, 0);
}

uint32_t front_get_base(struct front *front, unsigned ring)
{
    uint32_t state[2] = {ring, 0};

    g_assert_cmphex(front_ask(front, GET_VRING_BASE, state, sizeof(state)), !=, LOST);
    g_assert_cmpuint(front->len, ==, sizeof(state));
    memcpy(state, front->data, sizeof(state));
    g_assert_cmpuint(state[0], ==, ring);
    return state[1];
}

void front_start(struct front *front, uint64_t features)
{
    front_negotiate(front, features);
    g_assert_cmpuint(front_set_memory(front), ==, 0);
    for (unsigned i = 0; i < 2; i++) {
        g_assert_cmpuint(front_state(front, SET_VRING_ENABLE, i, 1), ==, 0);
        front_set_ring(front, i, 0);
    }
    front_fill(front);
}

/* ---- Frames ---- */

static uint8_t *octets_at(const struct front *front, uint64_t gpa)
{
    return guest_ptr(front->memory, gpa, BUFFER);
}

static void post(struct front *front, uint64_t gpa)
{
    const struct virtq_segment segment = {gpa, BUFFER, true};

    g_assert_true(virtq_add(front->rings[0].vq, &segment, 1, GSIZE_TO_POINTER(gpa)));
}

void front_fill(struct front *front)
{
    for (unsigned i = 0; i < RING_SIZE; i++) {
        post(front, front->rings[0].buffers + i * (uint64_t)BUFFER);
    }
    virtq_publish(front->rings[0].vq);
    front_kick(front, 0);
}

void front_kick(struct front *front, unsigned ring)
{
    const uint64_t one = 1;

    g_assert_cmpint(write(front->rings[ring].kick, &one, sizeof(one)), ==, sizeof(one));
    front_settle(front);
}

void front_transmit(struct front *front, unsigned number)
{
    struct ring_state *ring = &front->rings[1];
    const uint64_t gpa = ring->buffers + (ring->next++ % RING_SIZE) * (uint64_t)BUFFER;
    const struct virtq_segment segment = {gpa, HEADER + 60, false};
    uint8_t *at = octets_at(front, gpa);

    memset(at, 0, HEADER + 60);
    memcpy(at + HEADER, "\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\1\x88\xb5", 14);
    memcpy(at + HEADER + 14, &number, sizeof(number));
    g_assert_true(virtq_add(ring->vq, &segment, 1, NULL));
    virtq_publish(ring->vq);
}

unsigned front_reclaim(struct front *front)
{
    struct virtq_used used;
    unsigned n = 0;

    while (virtq_poll(front->rings[1].vq, &used)) {
        n++;
    }
    return n;
}

int front_receive(struct front *front)
{
    struct virtq_used used;
    unsigned number;
    uint64_t gpa;

    if (!virtq_poll(front->rings[0].vq, &used)) {
        return -1;
    }
    gpa = GPOINTER_TO_SIZE(used.cookie);
    g_assert_cmpuint(used.len, ==, HEADER + 60);
    memcpy(&number, octets_at(front, gpa) + HEADER + 14, sizeof(number));
    post(front, gpa);
    virtq_publish(front->rings[0].vq);
    return (int)number;
}

void front_echo(struct front *front, unsigned number)
{
    for (unsigned i = 0; i < 2; i++) {
        front_take_event(front->rings[i].call);
        virtq_enable_interrupts(front->rings[i].vq, 1);
    }
    front_transmit(front, number);
    front_kick(front, 1);
    g_assert_cmpuint(front_reclaim(front), ==, 1);
    g_assert_cmpint(front_receive(front), ==, number);
    for (unsigned i = 0; i < 2; i++) {
        g_assert_cmpuint(front_take_event(front->rings[i].call), >, 0);
    }
    front_kick(front, 0);
}

/* The guest begins anew. */
void front_works(struct front *front)
{
    struct guest_memory *before = front->memory;

    forget_rings(front);
    front->memory = guest_memory_flat(GUEST_BASE, GUEST_SIZE);
    guest_memory_regions(front->memory, &front->region);
    front_connect(front);
    front_start(front, F_DRIVER);
    while (front_receive(front) >= 0) { /* what another front-end had sent */
        front_kick(front, 0);
    }
    for (unsigned i = 0; i < 3; i++) {
        front_echo(front, i);
    }
    front_close(front);
    forget_rings(front);
    guest_memory_free(before);
}

/* ---- This process ---- */

unsigned front_count_fds(void)
{
    DIR *folder = opendir("/proc/self/fd");
    unsigned n = 0;

    while (readdir(folder)) {
        n++;
    }
    closedir(folder);
    return n;
}

unsigned front_count_maps(void)
{
    FILE *file = fopen("/proc/self/maps", "re");
    char line[512];
    unsigned n = 0;

    while (fgets(line, sizeof(line), file)) {
        n += strstr(line, "memfd:") != NULL;
    }
    fclose(file);
    return n;
}

uint64_t front_take_event(int fd)
{
    uint64_t count = 0;

    (void)!read(fd, &count, sizeof(count));
    return count;
}

int front_memfd(uint64_t size)
{
    const int fd = memfd_create("vhost", MFD_CLOEXEC);

    g_assert_cmpint(ftruncate(fd, (off_t)size), ==, 0);
    return fd;
}
