/* SPDX-License-Identifier: BSD-3-Clause */
/* DMA_READ and DMA_WRITE; see remote.h. Called by waiting.c. */
#include "remote.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include <glib.h>

/* Requests given up whose replies have not come: a client that lets them grow is stuck. */
#define MAX_GIVEN_UP 64

struct remote {
    struct stream *stream;
    remote_command command; /* NULL: a twin socket */
    void *opaque;
    size_t max_data;
    bool waiting;
    bool stopped;
    bool lost;
    struct vfio_user_header asked; /* the last request */
    struct vfio_user_dma_access access;
    unsigned n_given_up;
    struct vfio_user_header given_up[MAX_GIVEN_UP];
    uint8_t payload[sizeof(struct vfio_user_dma_access) + STREAM_MAX_DATA];
};

struct remote *remote_new(struct stream *stream, uint64_t max_data, remote_command command,
                          void *opaque)
{
    struct remote *remote = g_new0(struct remote, 1);

    remote->stream = stream;
    remote->max_data = (size_t)MIN(max_data, STREAM_MAX_DATA);
    remote->command = command;
    remote->opaque = opaque;
    return remote;
}

void remote_free(struct remote *remote)
{
    g_free(remote);
}

void remote_stop(struct remote *remote)
{
    remote->stopped = true;
}

void remote_resume(struct remote *remote)
{
    remote->stopped = false;
}

bool remote_is_lost(const struct remote *remote)
{
    return remote->lost;
}

static bool lose(struct remote *remote, const char *why)
{
    if (!remote->lost) {
        g_warning("vfio-user: client's memory: %s", why);
    }
    remote->lost = true;
    return false;
}

/* ---- Replies ---- */

static bool answers(const struct vfio_user_header *reply, const struct vfio_user_header *asked)
{
    return reply->id == asked->id && reply->command == asked->command;
}

bool remote_was_given_up(struct remote *remote, const struct stream_message *message)
{
    if ((message->header.flags & VFIO_USER_TYPE_MASK) != VFIO_USER_TYPE_REPLY) {
        return false;
    }
    for (unsigned i = 0; i < remote->n_given_up; i++) {
        if (answers(&message->header, &remote->given_up[i])) {
            remote->given_up[i] = remote->given_up[--remote->n_given_up];
            return true;
        }
    }
    return false;
}

static bool give_up(struct remote *remote)
{
    if (remote->n_given_up == MAX_GIVEN_UP) {
        return lose(remote, "no replies");
    }
    remote->given_up[remote->n_given_up++] = remote->asked;
    remote->stopped = true;
    return false;
}

/* A reply to DMA_WRITE has the address, and the count in 4 octets or in 8, or (QEMU's) nothing. */
static bool is_written(const struct remote *remote, const struct stream_message *message)
{
    const size_t len = message->len;

    return len == 0 || ((len == 12 || len == sizeof(remote->access)) &&
                        memcmp(message->payload, &remote->access, len) == 0);
}

static bool is_read(const struct remote *remote, const struct stream_message *message)
{
    return message->len == sizeof(remote->access) + remote->access.count &&
           memcmp(message->payload, &remote->access, sizeof(remote->access)) == 0;
}

/* What the reply that came is worth; data of a read go to buf. */
static bool take_reply(struct remote *remote, const struct stream_message *message, void *buf)
{
    const uint32_t flags = message->header.flags;

    if (!answers(&message->header, &remote->asked)) {
        return lose(remote, "a reply to something else");
    }
    if (flags == (VFIO_USER_TYPE_REPLY | VFIO_USER_ERROR) && message->len == 0) {
        g_info("vfio-user: client's memory at 0x%" G_GINT64_MODIFIER "x: %s",
               remote->access.address, g_strerror((int)message->header.error));
        return false;
    }
    if (flags != VFIO_USER_TYPE_REPLY || message->n_fds > 0 ||
        !(buf ? is_read(remote, message) : is_written(remote, message))) {
        return lose(remote, "a reply that does not fit");
    }
    if (buf) {
        memcpy(buf, message->payload + sizeof(remote->access), (size_t)remote->access.count);
    }
    return true;
}

/* ---- Requests ---- */

/* Sleeps until the socket is ready for what comes next, and flushes; false if the time is over. */
static bool await(struct remote *remote, gint64 deadline)
{
    struct pollfd ready = {.fd = stream_fd(remote->stream)};
    const gint64 left = deadline - g_get_monotonic_time();
    int n;

    ready.events = stream_is_full(remote->stream) ? POLLOUT : POLLIN;
    n = left > 0 ? poll(&ready, 1, (int)(left / 1000 + 1)) : 0;
    if (n < 0 && errno == EINTR) {
        return true;
    }
    if (n <= 0) {
        return lose(remote, "no reply in time");
    }
    return stream_flush(remote->stream) || lose(remote, "connection lost");
}

/* A message that came while a reply is awaited. True if that is not over; else *good is its end. */
static bool handle(struct remote *remote, struct stream_message *message, void *buf, bool *good)
{
    *good = false;
    if ((message->header.flags & VFIO_USER_TYPE_MASK) != VFIO_USER_TYPE_COMMAND) {
        if (remote_was_given_up(remote, message)) {
            return true;
        }
        *good = take_reply(remote, message, buf);
        return false;
    }
    if (!remote->command) {
        return lose(remote, "a command on the twin socket");
    }
    switch (remote->command(remote->opaque, message)) {
    case REMOTE_GO_ON:
        return true;
    case REMOTE_STOP:
        return give_up(remote);
    default:
        return lose(remote, "a command that ends the connection");
    }
}

static bool wait_for_reply(struct remote *remote, void *buf)
{
    const gint64 deadline = g_get_monotonic_time() + REMOTE_TIMEOUT_MS * INT64_C(1000);
    struct stream_message *message;
    bool good = false;

    for (;;) {
        enum stream_result result = STREAM_NOTHING;

        if (!stream_is_full(remote->stream)) {
            result = stream_read(remote->stream, &message);
        }
        switch (result) {
        case STREAM_MESSAGE:
            if (!handle(remote, message, buf, &good)) {
                return good;
            }
            break;
        case STREAM_NOTHING:
            if (!await(remote, deadline)) {
                return false;
            }
            break;
        case STREAM_BROKEN:
            return lose(remote, stream_reason(remote->stream));
        case STREAM_CLOSED:
            return lose(remote, "connection lost");
        }
        if (g_get_monotonic_time() > deadline) {
            return lose(remote, "no reply in time");
        }
    }
}

/* What was sent before has to have gone. */
static bool make_way(struct remote *remote)
{
    const gint64 deadline = g_get_monotonic_time() + REMOTE_TIMEOUT_MS * INT64_C(1000);

    while (stream_is_full(remote->stream)) {
        if (!await(remote, deadline)) {
            return false;
        }
    }
    return true;
}

/* One request; buf is where what was read goes, or NULL. */
static bool request(struct remote *remote, uint16_t command, uint64_t address, const void *data,
                    void *buf, size_t count)
{
    const size_t len = sizeof(remote->access) + (data ? count : 0);
    bool good;

    if (remote->lost || remote->stopped || remote->waiting || !make_way(remote)) {
        return false;
    }
    remote->asked.id++;
    remote->asked.command = command;
    remote->access = (struct vfio_user_dma_access){address, count};
    memcpy(remote->payload, &remote->access, sizeof(remote->access));
    if (data) {
        memcpy(remote->payload + sizeof(remote->access), data, count);
    }
    if (!stream_send(remote->stream, remote->asked, remote->payload, len, NULL, 0)) {
        return lose(remote, "connection lost");
    }
    remote->waiting = true;
    good = wait_for_reply(remote, buf);
    remote->waiting = false;
    return good;
}

bool remote_read(struct remote *remote, uint64_t address, void *buf, size_t len)
{
    uint8_t *to = buf;

    if (remote->max_data == 0) {
        return false;
    }
    for (size_t n; len > 0; len -= n, to += n, address += n) {
        n = MIN(len, remote->max_data);
        if (!request(remote, VFIO_USER_DMA_READ, address, NULL, to, n)) {
            return false;
        }
    }
    return true;
}

bool remote_write(struct remote *remote, uint64_t address, const void *buf, size_t len)
{
    const uint8_t *from = buf;

    if (remote->max_data == 0) {
        return false;
    }
    for (size_t n; len > 0; len -= n, from += n, address += n) {
        n = MIN(len, remote->max_data);
        if (!request(remote, VFIO_USER_DMA_WRITE, address, from, NULL, n)) {
            return false;
        }
    }
    return true;
}
