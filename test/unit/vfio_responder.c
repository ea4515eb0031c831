/* SPDX-License-Identifier: BSD-3-Clause */
/* See vfio_responder.h. */
#include "vfio_responder.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_MESSAGE (128 * 1024)
#define CALL_ID     0xcafe

struct header {
    uint16_t id, command;
    uint32_t size, flags, error;
};

struct packet {
    struct header header;
    uint8_t payload[MAX_MESSAGE];
    int fds[16];
    unsigned n_fds;
};

struct dma_access {
    uint64_t address, count;
};

/* ---- Octets ---- */

static bool take(int fd, void *to, size_t len, struct packet *packet)
{
    for (size_t n_read = 0; n_read < len;) {
        union {
            struct cmsghdr header;
            char room[CMSG_SPACE(16 * sizeof(int))];
        } control;
        struct iovec iov = {(uint8_t *)to + n_read, len - n_read};
        struct msghdr msg = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
        struct pollfd wanted = {.fd = fd, .events = POLLIN};
        ssize_t n;

        poll(&wanted, 1, -1);
        n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
            const size_t octets = c->cmsg_len - CMSG_LEN(0);

            memcpy(packet->fds + packet->n_fds, CMSG_DATA(c), octets);
            packet->n_fds += (unsigned)(octets / sizeof(int));
        }
        n_read += (size_t)n;
    }
    return true;
}

static bool take_packet(int fd, struct packet *packet)
{
    packet->n_fds = 0;
    if (!take(fd, &packet->header, sizeof(packet->header), packet)) {
        return false;
    }
    g_assert_cmpuint(packet->header.size, >=, sizeof(packet->header));
    g_assert_cmpuint(packet->header.size, <=, MAX_MESSAGE);
    return take(fd, packet->payload, packet->header.size - sizeof(packet->header), packet);
}

/* Sends all of it, with descriptors; who does not take it has gone. */
static void give(int fd, const void *octets, size_t len, const int *fds, unsigned n_fds)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(16 * sizeof(int))];
    } control = {.room = {0}};
    struct iovec iov = {(void *)octets, len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (n_fds > 0) {
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(&control.header), fds, n_fds * sizeof(int));
    }
    while (iov.iov_len > 0) {
        struct pollfd wanted = {.fd = fd, .events = POLLOUT};
        ssize_t n;

        poll(&wanted, 1, -1);
        n = sendmsg(fd, &msg, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            return;
        }
        if (n > 0) {
            iov.iov_base = (uint8_t *)iov.iov_base + n;
            iov.iov_len -= (size_t)n;
            msg.msg_control = NULL;
            msg.msg_controllen = 0;
        }
    }
}

static void give_packet(int fd, struct packet *packet)
{
    give(fd, packet, packet->header.size, packet->fds, packet->n_fds);
    for (unsigned i = 0; i < packet->n_fds; i++) {
        close(packet->fds[i]);
    }
}

/* ---- Answers ---- */

/* Makes a request the answer to it. */
static void answer(const struct responder *responder, struct packet *packet)
{
    struct dma_access access;
    uint8_t *data = packet->payload + sizeof(access);

    g_assert_cmphex(packet->header.flags, ==, 0);
    g_assert_cmpuint(packet->n_fds, ==, 0);
    g_assert_cmpuint(packet->header.size, >=, sizeof(struct header) + sizeof(access));
    memcpy(&access, packet->payload, sizeof(access));
    g_assert_cmpuint(access.count, >, 0);
    g_assert_cmpuint(access.count, <=, responder->max_data);
    packet->header.flags = 1;
    if (packet->header.command == DMA_READ) {
        g_assert_cmpuint(packet->header.size, ==, sizeof(struct header) + sizeof(access));
        g_assert_true(guest_read(responder->memory, access.address, data, access.count));
        packet->header.size += (uint32_t)access.count;
    } else {
        g_assert_cmpuint(packet->header.command, ==, DMA_WRITE);
        g_assert_cmpuint(packet->header.size, ==,
                         sizeof(struct header) + sizeof(access) + access.count);
        g_assert_true(guest_write(responder->memory, access.address, data, access.count));
        packet->header.size = sizeof(struct header) + (responder->bare ? 0 : sizeof(access));
    }
}

/* True if the answer is to go out as it is now. */
static bool do_misdeed(const struct responder *responder, struct packet *packet)
{
    switch (responder->misdeed) {
    case NO_ANSWER:
        return false;
    case ERROR_ANSWER:
    case ERROR_WITH_PAYLOAD:
        packet->header.flags = 0x21;
        packet->header.error = EFAULT;
        if (responder->misdeed == ERROR_ANSWER) {
            packet->header.size = sizeof(struct header);
        }
        break;
    case OTHER_ID:
        packet->header.id++;
        break;
    case OTHER_COMMAND:
        packet->header.command = DMA_READ + DMA_WRITE - packet->header.command;
        break;
    case OTHER_ADDRESS:
        packet->payload[0] ^= 8;
        break;
    case OTHER_COUNT:
        packet->payload[8] ^= 1;
        break;
    case TOO_SHORT:
        packet->header.size--;
        break;
    case TOO_LONG:
        packet->header.size++;
        break;
    case NO_HEADER_ROOM:
        packet->header.size = 15;
        give(responder->fd, packet, 16, NULL, 0);
        return false;
    case A_COMMAND:
        packet->header.flags = 0;
        break;
    case TWO_ANSWERS:
        give(responder->fd, packet, packet->header.size, NULL, 0);
        break;
    case GO_AWAY:
        shutdown(responder->fd, SHUT_RDWR);
        return false;
    default:
        break;
    }
    return true;
}

static void respond(struct responder *responder, struct packet *packet)
{
    const unsigned number = ++responder->n_requests;
    const bool acts = number == responder->act_at;

    answer(responder, packet);
    if (acts && responder->on_request) {
        responder->on_request(responder);
    }
    if (!acts || do_misdeed(responder, packet)) {
        give(responder->fd, packet, packet->header.size, NULL, 0);
    }
}

static gpointer run(gpointer data)
{
    struct responder *responder = data;
    struct packet *packet = g_new0(struct packet, 1);

    while (take_packet(responder->fd, packet)) {
        if ((packet->header.flags & 0xf) == 0) {
            respond(responder, packet);
        } else {
            g_assert_cmpint(responder->inner, >=, 0);
            give_packet(responder->inner, packet);
        }
    }
    if (responder->inner >= 0) {
        shutdown(responder->inner, SHUT_RDWR);
    }
    g_free(packet);
    return NULL;
}

void responder_start(struct responder *responder, struct client *client,
                     struct guest_memory *memory, int twin)
{
    int ends[2];

    responder->memory = memory;
    responder->fd = twin;
    responder->inner = -1;
    if (twin < 0) {
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends),
                        ==, 0);
        responder->fd = client->fd;
        responder->inner = ends[1];
        client->fd = ends[0];
    }
    responder->thread = g_thread_new("responder", run, responder);
}

void responder_end(struct responder *responder, struct client *client)
{
    shutdown(responder->fd, SHUT_RDWR);
    g_thread_join(responder->thread);
    close(responder->fd);
    if (responder->inner >= 0) {
        close(responder->inner);
        client->out = client->fd;
    }
}

void responder_post(struct responder *responder, uint16_t command, uint32_t flags,
                    const void *payload, size_t len)
{
    GByteArray *message = message_new(CALL_ID, command, flags, payload, len);

    give(responder->fd, message->data, message->len, NULL, 0);
    g_byte_array_unref(message);
}

int responder_call(struct responder *responder, uint16_t command, const void *payload, size_t len,
                   void *answer_to, size_t size)
{
    struct packet *packet = g_new0(struct packet, 1);
    int n = -1;

    responder_post(responder, command, 0, payload, len);
    /* What was asked for before, by others, is theirs. */
    while (take_packet(responder->fd, packet)) {
        if (packet->header.id == CALL_ID && packet->header.command == command) {
            n = packet->header.error ? -(int)packet->header.error
                                     : (int)(packet->header.size - sizeof(struct header));
            memcpy(answer_to, packet->payload, n > 0 ? MIN((size_t)n, size) : 0);
            break;
        }
        if ((packet->header.flags & 0xf) == 0) { /* the next request, if the last was given up */
            respond(responder, packet);
        } else {
            give_packet(responder->inner, packet);
        }
    }
    g_free(packet);
    return n;
}
