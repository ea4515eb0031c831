/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Framing of the vhost-user protocol on a stream socket; see messages.h. Called by server.c.
 *
 * No more is read than belongs to one message, so that the descriptors which come with its octets are
 * its own: there are few messages, and none while frames move.
 */
#include "messages.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib.h>

struct messages {
    int fd;
    const char *reason;
    struct message message; /* the one that was read last, or is being read */
    size_t have;            /* octets of it that are there, its header included */
    bool taken;             /* the caller has had it */
    GByteArray *kept;       /* octets of replies that the socket did not take yet */
    int kept_fd;            /* goes with the first of them, or -1 */
};

/* ---- Life ---- */

struct messages *messages_new(int fd)
{
    struct messages *messages = g_new0(struct messages, 1);

    messages->fd = fd;
    messages->kept_fd = -1;
    messages->kept = g_byte_array_new();
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    return messages;
}

static void close_fds(const int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
}

void messages_free(struct messages *messages)
{
    if (messages) {
        close_fds(messages->message.fds, messages->message.n_fds);
        close_fds(&messages->kept_fd, 1);
        close(messages->fd);
        g_byte_array_unref(messages->kept);
        g_free(messages);
    }
}

int messages_fd(const struct messages *messages)
{
    return messages->fd;
}

const char *messages_reason(const struct messages *messages)
{
    return messages->reason;
}

int message_take_fd(struct message *message, unsigned i)
{
    const int fd = message->fds[i];

    message->fds[i] = -1;
    return fd;
}

/* ---- In ---- */

static enum messages_result broken(struct messages *messages, const char *reason)
{
    messages->reason = reason;
    return MESSAGES_BROKEN;
}

/* False if there are more than a message may have; the rest is closed. */
static bool keep_fds(struct message *message, const int *fds, size_t n)
{
    const size_t fit = MIN(n, MESSAGES_MAX_FDS - message->n_fds);

    memcpy(message->fds + message->n_fds, fds, fit * sizeof(int));
    message->n_fds += (unsigned)fit;
    close_fds(fds + fit, n - fit);
    return fit == n;
}

/* Takes what descriptors came along; false if they are too many. */
static bool take_control(struct message *message, struct msghdr *received)
{
    bool fit = !(received->msg_flags & MSG_CTRUNC);

    for (struct cmsghdr *c = CMSG_FIRSTHDR(received); c; c = CMSG_NXTHDR(received, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            fit &= keep_fds(message, (const int *)CMSG_DATA(c),
                            (c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        }
    }
    return fit;
}

/* Reads up to len octets to that place; MESSAGES_WHOLE if some came. */
static enum messages_result receive(struct messages *messages, void *to, size_t len)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(MESSAGES_MAX_FDS * sizeof(int))];
    } control;
    struct iovec iov = {to, len};
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };
    ssize_t n;

    do {
        n = recvmsg(messages->fd, &msg, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        return MESSAGES_NOTHING;
    }
    if (n <= 0) {
        return MESSAGES_CLOSED;
    }
    messages->have += (size_t)n;
    if (!take_control(&messages->message, &msg)) {
        return broken(messages, "more descriptors than a message may have");
    }
    return MESSAGES_WHOLE;
}

static void forget_message(struct messages *messages)
{
    close_fds(messages->message.fds, messages->message.n_fds);
    messages->message.n_fds = 0;
    messages->have = 0;
    messages->taken = false;
}

enum messages_result messages_read(struct messages *messages, struct message **message)
{
    struct vhost_user_header *header = &messages->message.header;
    enum messages_result result = MESSAGES_WHOLE;

    if (messages->taken) {
        forget_message(messages);
    }
    while (messages->have < sizeof(*header) && result == MESSAGES_WHOLE) {
        result =
            receive(messages, (uint8_t *)header + messages->have, sizeof(*header) - messages->have);
    }
    if (result != MESSAGES_WHOLE) {
        return result;
    }
    if ((header->flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION ||
        header->flags & VHOST_USER_REPLY) {
        return broken(messages, "a message of another version, or a reply");
    }
    if (header->size > MESSAGES_MAX_PAYLOAD) {
        return broken(messages, "a message of impossible size");
    }
    while (messages->have < sizeof(*header) + header->size && result == MESSAGES_WHOLE) {
        result = receive(messages, messages->message.payload + (messages->have - sizeof(*header)),
                         sizeof(*header) + header->size - messages->have);
    }
    if (result != MESSAGES_WHOLE) {
        return result;
    }
    messages->taken = true;
    *message = &messages->message;
    return MESSAGES_WHOLE;
}

/* ---- Out ---- */

bool messages_reply(struct messages *messages, uint32_t request, const void *payload, size_t len)
{
    const struct vhost_user_header header = {
        .request = request,
        .flags = VHOST_USER_VERSION | VHOST_USER_REPLY,
        .size = (uint32_t)len,
    };

    g_byte_array_append(messages->kept, (const uint8_t *)&header, sizeof(header));
    g_byte_array_append(messages->kept, payload, (guint)len);
    return messages_flush(messages);
}

bool messages_reply_with(struct messages *messages, uint32_t request, const void *payload,
                         size_t len, int fd)
{
    messages->kept_fd = fd;
    return messages_reply(messages, request, payload, len);
}

/* Sends of what is kept as much as the socket takes, and the descriptor with it. */
static ssize_t send_kept(const struct messages *messages)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.room = {0}};
    struct iovec iov = {messages->kept->data, messages->kept->len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (messages->kept_fd >= 0) {
        msg.msg_control = &control;
        msg.msg_controllen = sizeof(control);
        control.header = (struct cmsghdr){
            .cmsg_level = SOL_SOCKET,
            .cmsg_type = SCM_RIGHTS,
            .cmsg_len = CMSG_LEN(sizeof(int)),
        };
        memcpy(CMSG_DATA(&control.header), &messages->kept_fd, sizeof(int));
    }
    return sendmsg(messages->fd, &msg, MSG_NOSIGNAL);
}

bool messages_flush(struct messages *messages)
{
    ssize_t n;

    if (messages->kept->len == 0) {
        return true;
    }
    do {
        n = send_kept(messages);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return errno == EAGAIN || errno == EWOULDBLOCK;
    }
    close_fds(&messages->kept_fd, 1);
    messages->kept_fd = -1;
    g_byte_array_remove_range(messages->kept, 0, (guint)n);
    return true;
}

bool messages_is_full(const struct messages *messages)
{
    return messages->kept->len > 0;
}
