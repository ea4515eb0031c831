/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Framing of the vfio-user protocol on a stream socket; see stream.h. Called by server.c.
 *
 * A message is read in two steps, its header and the rest, each of exactly as many octets as it has:
 * so descriptors, which travel with the first octet of a message, cannot be taken for another's.
 */
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib.h>

struct stream {
    int fd;
    const char *reason;
    size_t n_read; /* octets of the message so far, header included */
    struct stream_message message;
    uint8_t *payload; /* STREAM_MAX_MESSAGE */
    GByteArray *kept; /* octets of a reply that the socket did not take yet */
};

/* ---- Life ---- */

struct stream *stream_new(int fd)
{
    struct stream *stream = g_new0(struct stream, 1);

    stream->fd = fd;
    stream->payload = g_malloc(STREAM_MAX_MESSAGE);
    stream->kept = g_byte_array_new();
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    return stream;
}

static void close_fds(struct stream_message *message)
{
    for (unsigned i = 0; i < message->n_fds; i++) {
        if (message->fds[i] >= 0) {
            close(message->fds[i]);
        }
    }
    message->n_fds = 0;
}

void stream_free(struct stream *stream)
{
    if (stream) {
        close_fds(&stream->message);
        close(stream->fd);
        g_byte_array_unref(stream->kept);
        g_free(stream->payload);
        g_free(stream);
    }
}

int stream_fd(const struct stream *stream)
{
    return stream->fd;
}

const char *stream_reason(const struct stream *stream)
{
    return stream->reason;
}

/* ---- In ---- */

static enum stream_result broken(struct stream *stream, const char *reason)
{
    stream->reason = reason;
    return STREAM_BROKEN;
}

/* Keeps the descriptors of what was received; false if there are more than a message may have. */
static bool keep_fds(struct stream_message *message, struct msghdr *received)
{
    bool fit = !(received->msg_flags & MSG_CTRUNC);

    for (struct cmsghdr *c = CMSG_FIRSTHDR(received); c; c = CMSG_NXTHDR(received, c)) {
        const int *fds = (const int *)CMSG_DATA(c);
        const size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        for (size_t i = 0; i < n; i++) {
            if (message->n_fds < STREAM_MAX_FDS) {
                message->fds[message->n_fds++] = fds[i];
            } else {
                close(fds[i]);
                fit = false;
            }
        }
    }
    return fit;
}

/* Receives up to len octets to buf, and descriptors. STREAM_MESSAGE if all came. */
static enum stream_result receive(struct stream *stream, void *buf, size_t len)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(STREAM_MAX_FDS * sizeof(int))];
    } control;
    struct iovec iov = {buf, len};
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };
    ssize_t n;

    do {
        n = recvmsg(stream->fd, &msg, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        return STREAM_NOTHING;
    }
    if (n <= 0) {
        return STREAM_CLOSED;
    }
    stream->n_read += (size_t)n;
    if (!keep_fds(&stream->message, &msg)) {
        return broken(stream, "more descriptors than a message may have");
    }
    return (size_t)n == len ? STREAM_MESSAGE : STREAM_NOTHING;
}

static enum stream_result read_header(struct stream *stream)
{
    struct vfio_user_header *header = &stream->message.header;
    const enum stream_result result =
        receive(stream, (uint8_t *)header + stream->n_read, sizeof(*header) - stream->n_read);

    if (result != STREAM_MESSAGE) {
        return result;
    }
    if (header->size < sizeof(*header) || header->size > STREAM_MAX_MESSAGE) {
        return broken(stream, "a message of impossible size");
    }
    return STREAM_MESSAGE;
}

enum stream_result stream_read(struct stream *stream, struct stream_message **message)
{
    const size_t header_size = sizeof(struct vfio_user_header);
    enum stream_result result = STREAM_MESSAGE;

    if (stream->n_read == 0) {
        close_fds(&stream->message);
    }
    if (stream->n_read < header_size) {
        result = read_header(stream);
    }
    if (result == STREAM_MESSAGE && stream->n_read < stream->message.header.size) {
        result = receive(stream, stream->payload + (stream->n_read - header_size),
                         stream->message.header.size - stream->n_read);
    }
    if (result == STREAM_MESSAGE) {
        stream->n_read = 0;
        stream->message.payload = stream->payload;
        stream->message.len = stream->message.header.size - header_size;
        *message = &stream->message;
    }
    return result;
}

/* ---- Out ---- */

static void attach_fds(struct msghdr *msg, struct cmsghdr *control, const int *fds, unsigned n_fds)
{
    msg->msg_control = control;
    msg->msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
    *control = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET,
        .cmsg_type = SCM_RIGHTS,
        .cmsg_len = CMSG_LEN(n_fds * sizeof(int)),
    };
    memcpy(CMSG_DATA(control), fds, n_fds * sizeof(int));
}

/* Octets that went, 0 if none can now, negative if none ever will. */
static ssize_t transmit(struct stream *stream, struct msghdr *msg)
{
    ssize_t n;

    do {
        n = sendmsg(stream->fd, msg, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? 0 : n;
}

/* Of a range whose first octets were sent, or all of it; returns how many octets of it were. */
static size_t keep_rest(struct stream *stream, const struct iovec *iov, size_t sent)
{
    const size_t here = MIN(sent, iov->iov_len);

    if (here < iov->iov_len) {
        g_byte_array_append(stream->kept, (const uint8_t *)iov->iov_base + here,
                            (guint)(iov->iov_len - here));
    }
    return here;
}

bool stream_send(struct stream *stream, struct vfio_user_header header, const void *payload,
                 size_t len, const int *fds, unsigned n_fds)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(STREAM_MAX_FDS * sizeof(int))];
    } control = {.room = {0}};
    struct iovec iov[2] = {{&header, sizeof(header)}, {(void *)payload, len}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
    ssize_t n;

    g_assert(n_fds <= STREAM_MAX_FDS && !stream_is_full(stream));
    header.size = (uint32_t)(sizeof(header) + len);
    if (n_fds > 0) {
        attach_fds(&msg, &control.header, fds, n_fds);
    }
    n = transmit(stream, &msg);
    if (n < 0 || (n == 0 && n_fds > 0)) {
        return false; /* a peer that does not even take its descriptors is not worth keeping them */
    }
    for (size_t i = 0, sent = (size_t)n; i < G_N_ELEMENTS(iov); i++) {
        sent -= keep_rest(stream, &iov[i], sent);
    }
    return true;
}

bool stream_flush(struct stream *stream)
{
    struct iovec iov = {stream->kept->data, stream->kept->len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n;

    if (stream->kept->len == 0) {
        return true;
    }
    n = transmit(stream, &msg);
    if (n > 0) {
        g_byte_array_remove_range(stream->kept, 0, (guint)n);
    }
    return n >= 0;
}

bool stream_is_full(const struct stream *stream)
{
    return stream->kept->len > 0;
}
