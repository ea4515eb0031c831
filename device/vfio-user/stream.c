/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Framing of the vfio-user protocol on a stream socket; see stream.h. Called by server.c.
 *
 * As much is read at a time as there is: a notification takes one call and not three. Descriptors
 * come with the octets that they were sent with, behind which the kernel ends the read. So they are
 * the last message's of which an octet was read then, if it was sent in one piece; a peer that sends
 * them otherwise gets them attached to another of its own messages.
 */
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib.h>

/* Octets that are read at once, of however many messages; the largest one fits. */
#define BUFFER_OCTETS (2 * STREAM_MAX_MESSAGE)

/* Descriptors that came with a message, which begins there in the buffer. */
struct arrival {
    size_t at;
    unsigned n;
    int fds[STREAM_MAX_FDS];
};

struct stream {
    int fd;
    const char *reason;
    struct stream_message message; /* the one that was read last */
    uint8_t *buffer;
    size_t begin; /* of what is behind that message; octets in front of it are done with */
    size_t end;
    bool drained; /* the last read took all that there was */
    /* For the message at begin; and, brought by the last read, for one behind it. */
    struct arrival arrivals[2];
    unsigned n_arrivals;
    uint8_t *kept; /* octets of a reply that the socket did not take yet, NULL: none */
    size_t n_kept;
};

/* ---- Life ---- */

struct stream *stream_new(int fd)
{
    struct stream *stream = g_new0(struct stream, 1);

    stream->fd = fd;
    stream->buffer = g_malloc(BUFFER_OCTETS);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    return stream;
}

static void close_fds(const int *fds, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
}

void stream_free(struct stream *stream)
{
    if (stream) {
        close_fds(stream->message.fds, stream->message.n_fds);
        for (unsigned i = 0; i < stream->n_arrivals; i++) {
            close_fds(stream->arrivals[i].fds, stream->arrivals[i].n);
        }
        close(stream->fd);
        g_free(stream->kept);
        g_free(stream->buffer);
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

static bool has_header(const struct stream *stream, size_t at)
{
    return stream->end - at >= sizeof(struct vfio_user_header);
}

/* What the header at that place in the buffer says of its message's size. */
static uint32_t size_at(const struct stream *stream, size_t at)
{
    struct vfio_user_header header;

    memcpy(&header, stream->buffer + at, sizeof(header));
    return header.size;
}

static bool is_possible(uint32_t size)
{
    return size >= sizeof(struct vfio_user_header) && size <= STREAM_MAX_MESSAGE;
}

/* Where the last message begins of which the buffer has an octet. */
static size_t last_message(const struct stream *stream)
{
    size_t at = stream->begin;

    while (has_header(stream, at) && is_possible(size_at(stream, at)) &&
           size_at(stream, at) < stream->end - at) {
        at += size_at(stream, at);
    }
    return at;
}

/* The place for descriptors of the message that begins there. */
static struct arrival *arrival_at(struct stream *stream, size_t at)
{
    struct arrival *arrival = &stream->arrivals[stream->n_arrivals];

    if (stream->n_arrivals > 0 && arrival[-1].at == at) {
        return &arrival[-1];
    }
    g_assert(stream->n_arrivals < G_N_ELEMENTS(stream->arrivals));
    stream->n_arrivals++;
    arrival->at = at;
    arrival->n = 0;
    return arrival;
}

/* False if there are more than a message may have; the rest is closed. */
static bool keep_fds(struct stream *stream, const int *fds, size_t n)
{
    struct arrival *arrival = arrival_at(stream, last_message(stream));
    const size_t fit = MIN(n, STREAM_MAX_FDS - arrival->n);

    memcpy(arrival->fds + arrival->n, fds, fit * sizeof(int));
    arrival->n += (unsigned)fit;
    close_fds(fds + fit, (unsigned)(n - fit));
    return fit == n;
}

/* Takes what descriptors came along; false if they are too many. */
static bool take_control(struct stream *stream, struct msghdr *received)
{
    bool fit = !(received->msg_flags & MSG_CTRUNC);

    for (struct cmsghdr *c = CMSG_FIRSTHDR(received); c; c = CMSG_NXTHDR(received, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            stream->drained = false;
            fit &= keep_fds(stream, (const int *)CMSG_DATA(c),
                            (c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        }
    }
    return fit;
}

/* What is not done with goes to the front of the buffer. */
static void make_room(struct stream *stream)
{
    memmove(stream->buffer, stream->buffer + stream->begin, stream->end - stream->begin);
    for (unsigned i = 0; i < stream->n_arrivals; i++) {
        stream->arrivals[i].at -= stream->begin;
    }
    stream->end -= stream->begin;
    stream->begin = 0;
}

/* Reads more behind what is there; STREAM_MESSAGE if something came. */
static enum stream_result receive(struct stream *stream)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(STREAM_MAX_FDS * sizeof(int))];
    } control;
    struct iovec iov;
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };
    ssize_t n;

    make_room(stream);
    iov = (struct iovec){stream->buffer + stream->end, BUFFER_OCTETS - stream->end};
    do {
        n = recvmsg(stream->fd, &msg, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        return STREAM_NOTHING;
    }
    if (n <= 0) {
        return STREAM_CLOSED;
    }
    stream->drained = (size_t)n < iov.iov_len;
    stream->end += (size_t)n;
    if (!take_control(stream, &msg)) {
        return broken(stream, "more descriptors than a message may have");
    }
    return STREAM_MESSAGE;
}

/* The message at begin, which is whole. */
static void take_message(struct stream *stream, uint32_t size)
{
    struct stream_message *message = &stream->message;
    const uint8_t *at = stream->buffer + stream->begin;

    memcpy(&message->header, at, sizeof(message->header));
    message->payload = at + sizeof(message->header);
    message->len = size - sizeof(message->header);
    if (stream->n_arrivals > 0 && stream->arrivals[0].at == stream->begin) {
        message->n_fds = stream->arrivals[0].n;
        memcpy(message->fds, stream->arrivals[0].fds, message->n_fds * sizeof(int));
        stream->arrivals[0] = stream->arrivals[1];
        stream->n_arrivals--;
    }
    stream->begin += size;
}

bool stream_has_message(const struct stream *stream)
{
    return has_header(stream, stream->begin) &&
           size_at(stream, stream->begin) <= stream->end - stream->begin;
}

enum stream_result stream_read(struct stream *stream, struct stream_message **message)
{
    close_fds(stream->message.fds, stream->message.n_fds);
    stream->message.n_fds = 0;
    for (;;) {
        enum stream_result result;

        if (has_header(stream, stream->begin) && !is_possible(size_at(stream, stream->begin))) {
            return broken(stream, "a message of impossible size");
        }
        if (stream_has_message(stream)) {
            take_message(stream, size_at(stream, stream->begin));
            *message = &stream->message;
            return STREAM_MESSAGE;
        }
        if (stream->drained) {
            stream->drained = false;
            return STREAM_NOTHING;
        }
        result = receive(stream);
        if (result != STREAM_MESSAGE) {
            return result;
        }
    }
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

/* Keeps what is behind the first octets of a header and a payload; false if there is no memory for it. */
static bool keep_rest(struct stream *stream, const struct iovec iov[2], size_t sent)
{
    const size_t whole = iov[0].iov_len + iov[1].iov_len;
    const size_t of_header = MIN(sent, iov[0].iov_len);
    const size_t header_left = iov[0].iov_len - of_header;

    if (sent == whole) {
        return true;
    }
    stream->kept = g_try_malloc(whole - sent);
    if (!stream->kept) {
        return false;
    }
    stream->n_kept = whole - sent;
    memcpy(stream->kept, (const uint8_t *)iov[0].iov_base + of_header, header_left);
    if (stream->n_kept > header_left) {
        memcpy(stream->kept + header_left, (const uint8_t *)iov[1].iov_base + (sent - of_header),
               stream->n_kept - header_left);
    }
    return true;
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
    return keep_rest(stream, iov, (size_t)n);
}

bool stream_flush(struct stream *stream)
{
    struct iovec iov = {stream->kept, stream->n_kept};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n;

    if (!stream->kept) {
        return true;
    }
    n = transmit(stream, &msg);
    if (n < 0) {
        return false;
    }
    stream->n_kept -= (size_t)n;
    memmove(stream->kept, stream->kept + n, stream->n_kept);
    if (stream->n_kept == 0) {
        g_clear_pointer(&stream->kept, g_free);
    }
    return true;
}

bool stream_is_full(const struct stream *stream)
{
    return stream->kept;
}
