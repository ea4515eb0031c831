/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The backend "stream": frames over a stream socket, each behind its length in 4 octets, most
 * significant first, as with QEMU's -netdev stream and passt. Called through backend.c, and from
 * the event loop.
 *
 *     idle --time, or a peer at our door--> connecting --> connected --gone, or nonsense--> idle
 *
 * Frames for the guest are lent where they were read; nothing more is read before all of them were
 * given back, and the peer feels the pressure. What the socket does not take from the guest at once
 * is kept up to a bound, whole frames only, and the rest is dropped and counted; as is everything
 * while there is no peer. The guest's link is down then.
 */
#include "backend.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include <vionet/spec.h>

#include "endpoint.h"
#include "reader.h"
#include "watch.h"

#define HEAD          4
#define FRAME_MAX     (4096 + 65536) /* QEMU's NET_BUFSIZE */
#define IN_OCTETS     (256 * 1024)
#define IN_FRAMES     256
#define OUT_OCTETS    (256 * 1024)
#define BURST         64
#define CONNECT_MS    5000    /* that opening may take, when there is no second try */
#define DOOR_US       1000000 /* pause after a peer could not be let in: no descriptors */
#define RECONNECT_MAX (3600 * 1000)

enum {
    OPTION_ADDR,
    OPTION_SERVER = OPTION_ADDR + ENDPOINT_OPTIONS,
    OPTION_RECONNECT,
    OPTION_RECONNECT_MS
};

/* Octets from at to end of a buffer wait. */
struct octets {
    uint8_t *octets;
    size_t at;
    size_t end;
};

struct stream {
    VionetBackend backend;
    struct endpoint address;
    struct watch *watch;
    bool server;
    uint64_t reconnect_ms; /* 0: never */
    int listener;          /* -1: not a server */
    int fd;                /* -1: no peer */
    bool connecting;
    gint64 again; /* when to connect or to look at the door, 0: at once, or not at all */
    bool asked;   /* the guest asked in vain, and was not told of frames since */
    bool warned;  /* of a peer's nonsense */
    struct octets in;
    struct octets out;
    unsigned lent;    /* frames in in that the guest has not given back */
    unsigned n_slots; /* of iov used since it had none */
    struct iovec iov[IN_FRAMES];
};

/* ---- Coming and going ---- */

/* The peer is gone; what it began to send is nothing any more, what is lent stays. */
static void lose_peer(struct stream *stream, const char *why)
{
    g_info("backend stream: the connection ends: %s", why);
    if (stream->fd >= 0) {
        close(stream->fd);
    }
    stream->fd = -1;
    stream->backend.cut = true;
    stream->connecting = false;
    stream->in.at = stream->in.end;
    stream->out.at = stream->out.end = 0;
    if (!stream->server && stream->reconnect_ms > 0) {
        stream->again = g_get_monotonic_time() + (gint64)stream->reconnect_ms * 1000;
    }
}

static void gain_peer(struct stream *stream, int fd)
{
    const int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* no harm if it is not TCP */
    stream->fd = fd;
    stream->backend.cut = false;
    stream->connecting = false;
}

/* Begins to connect; false with errno if that failed already. */
static bool begin_connecting(struct stream *stream)
{
    stream->again = 0;
    stream->fd = endpoint_socket(&stream->address, SOCK_STREAM);
    if (stream->fd < 0) {
        return false;
    }
    if (connect(stream->fd, &stream->address.address.any, stream->address.len) == 0) {
        gain_peer(stream, stream->fd);
        return true;
    }
    stream->connecting = errno == EINPROGRESS;
    return stream->connecting;
}

/* What became of it: false with errno if it failed. */
static bool end_connecting(struct stream *stream)
{
    int result = 0;
    socklen_t len = sizeof(result);

    getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &result, &len);
    if (result != 0) {
        errno = result;
        return false;
    }
    gain_peer(stream, stream->fd);
    return true;
}

static void connect_again(struct stream *stream)
{
    if (!begin_connecting(stream)) {
        lose_peer(stream, g_strerror(errno));
    }
}

static void open_door(struct stream *stream)
{
    const int fd = accept4(stream->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    stream->again = 0;
    if (fd >= 0) {
        gain_peer(stream, fd);
    } else if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) {
        stream->again = g_get_monotonic_time() + DOOR_US;
    }
}

/* ---- From the guest ---- */

static size_t waiting(const struct octets *octets)
{
    return octets->end - octets->at;
}

static void move_to_front(struct octets *octets)
{
    memmove(octets->octets, octets->octets + octets->at, waiting(octets));
    octets->end -= octets->at;
    octets->at = 0;
}

/* Sends what was kept, as far as the socket takes it. */
static void flush_out(struct stream *stream)
{
    while (stream->fd >= 0 && waiting(&stream->out) > 0) {
        const ssize_t sent = send(stream->fd, stream->out.octets + stream->out.at,
                                  waiting(&stream->out), MSG_DONTWAIT | MSG_NOSIGNAL);

        if (sent >= 0) {
            stream->out.at += (size_t)sent;
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR) {
            lose_peer(stream, g_strerror(errno));
        }
    }
    stream->out.at = stream->out.end = 0;
}

static void put_head(uint8_t *head, uint32_t len)
{
    head[0] = (uint8_t)(len >> 24);
    head[1] = (uint8_t)(len >> 16);
    head[2] = (uint8_t)(len >> 8);
    head[3] = (uint8_t)len;
}

/* Keeps a frame, but for octets of it that were sent already. One that has begun always fits. */
static bool keep_out(struct stream *stream, const VionetFrame *frame, size_t sent)
{
    struct octets *out = &stream->out;
    uint8_t head[HEAD];
    const size_t from_head = MIN(sent, HEAD);
    const size_t len = HEAD + frame->len - sent;

    if (len > OUT_OCTETS - waiting(out)) {
        return false;
    }
    if (len > OUT_OCTETS - out->end) {
        move_to_front(out);
    }
    put_head(head, frame->len);
    memcpy(out->octets + out->end, head + from_head, HEAD - from_head);
    out->end += HEAD - from_head;
    memcpy(out->octets + out->end, (const uint8_t *)frame->iov[0].iov_base + (sent - from_head),
           frame->len - (sent - from_head));
    out->end += frame->len - (sent - from_head);
    return true;
}

/* Sends a burst as far as the socket takes it, after all that was kept; octets sent. */
static size_t send_now(struct stream *stream, const VionetFrame *frames, size_t n)
{
    struct iovec iov[2 * BURST];
    uint8_t heads[BURST][HEAD];
    const struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2 * n};
    ssize_t sent;

    if (waiting(&stream->out) > 0) {
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        put_head(heads[i], frames[i].len);
        iov[2 * i] = (struct iovec){heads[i], HEAD};
        iov[2 * i + 1] = frames[i].iov[0];
    }
    do {
        sent = sendmsg(stream->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0 && errno != EAGAIN) {
        lose_peer(stream, g_strerror(errno));
    }
    return sent > 0 ? (size_t)sent : 0;
}

/* A burst of frames none of which is too long. */
static void send_burst(struct stream *stream, const VionetFrame *frames, size_t n)
{
    size_t sent = 0;

    if (stream->fd >= 0 && !stream->connecting) {
        flush_out(stream);
    }
    if (stream->fd >= 0 && !stream->connecting) {
        sent = send_now(stream, frames, n);
    }
    for (size_t i = 0; i < n; i++) {
        const size_t here = MIN(sent, HEAD + frames[i].len);

        sent -= here;
        if (here < HEAD + frames[i].len &&
            (stream->fd < 0 || stream->connecting || !keep_out(stream, &frames[i], here))) {
            stream->backend.counters.dropped++;
        }
    }
}

static bool stream_send(VionetBackend *backend, const VionetFrame *frames, size_t n)
{
    struct stream *stream = (struct stream *)backend;
    size_t begin = 0;

    for (size_t i = 0; i < n; i++) {
        const bool bad = frames[i].len == 0 || frames[i].len > FRAME_MAX;

        if (bad || i - begin == BURST) {
            send_burst(stream, &frames[begin], i - begin);
            begin = bad ? i + 1 : i;
        }
        backend->counters.dropped += bad;
    }
    send_burst(stream, &frames[begin], n - begin);
    return false;
}

/* ---- To the guest ---- */

static uint32_t length_at(const uint8_t *head)
{
    return (uint32_t)head[0] << 24 | (uint32_t)head[1] << 16 | (uint32_t)head[2] << 8 | head[3];
}

/* Whether a whole frame waits, or a length that cannot be. */
static bool has_frame(const struct octets *in)
{
    uint32_t len;

    if (waiting(in) < HEAD) {
        return false;
    }
    len = length_at(in->octets + in->at);
    return len == 0 || len > FRAME_MAX || waiting(in) - HEAD >= len;
}

static void refuse_length(struct stream *stream, uint32_t len)
{
    if (!stream->warned) {
        g_warning("backend stream: the peer announced a frame of %u octets, which ends the "
                  "connection (said once only)",
                  len);
        stream->warned = true;
    }
    lose_peer(stream, "a frame of bad length");
}

/* Lends the frame that waits. */
static bool lend_frame(struct stream *stream, VionetFrame *frame)
{
    const uint32_t len = length_at(stream->in.octets + stream->in.at);
    struct iovec *iov = &stream->iov[stream->n_slots];

    if (len == 0 || len > FRAME_MAX) {
        refuse_length(stream, len);
        return false;
    }
    *iov = (struct iovec){stream->in.octets + stream->in.at + HEAD, len};
    *frame = (VionetFrame){.iov = iov, .n_iov = 1, .len = len};
    stream->in.at += HEAD + len;
    stream->n_slots++;
    stream->lent++;
    return true;
}

/* Reads what is there, if nothing is lent; false if nothing was. */
static bool read_in(struct stream *stream)
{
    ssize_t n;

    if (stream->lent > 0 || stream->fd < 0 || stream->connecting) {
        return false;
    }
    move_to_front(&stream->in);
    stream->n_slots = 0;
    n = read(stream->fd, stream->in.octets + stream->in.end, IN_OCTETS - stream->in.end);
    if (n > 0) {
        stream->in.end += (size_t)n;
        return true;
    }
    if (n == 0) {
        lose_peer(stream, "closed by the peer");
    } else if (errno != EAGAIN && errno != EINTR) {
        lose_peer(stream, g_strerror(errno));
    }
    return false;
}

static size_t stream_receive(VionetBackend *backend, VionetFrame *frames, size_t n)
{
    struct stream *stream = (struct stream *)backend;
    size_t taken = 0;

    if (stream->lent == 0) {
        stream->n_slots = 0;
    }
    while (taken < n && stream->n_slots < IN_FRAMES &&
           (has_frame(&stream->in) || (read_in(stream) && has_frame(&stream->in)))) {
        taken += lend_frame(stream, &frames[taken]);
    }
    stream->asked = taken < n;
    return taken;
}

static void stream_complete(VionetBackend *backend, const VionetFrame *frames, size_t n)
{
    struct stream *stream = (struct stream *)backend;

    (void)frames;
    stream->lent -= (unsigned)MIN(n, stream->lent);
}

/* ---- The event loop ---- */

static struct watch_wish stream_wish(void *opaque)
{
    const struct stream *stream = opaque;
    const bool wanted = stream->asked && stream->lent == 0;
    struct watch_wish wish = {.fd = stream->fd, .at_once = wanted && has_frame(&stream->in)};

    if (stream->fd < 0) {
        wish.deadline = stream->again;
        wish.fd = stream->again == 0 ? stream->listener : -1;
        wish.events = G_IO_IN;
    } else if (stream->connecting) {
        wish.events = G_IO_OUT;
    } else {
        wish.events = (wanted ? G_IO_IN : 0) | (waiting(&stream->out) > 0 ? G_IO_OUT : 0);
    }
    return wish;
}

/* Without a peer: time to look for one. */
static void seek_peer(struct stream *stream)
{
    if (stream->server) {
        open_door(stream);
    } else if (stream->again != 0 && g_get_monotonic_time() >= stream->again) {
        connect_again(stream);
    }
}

static void stream_happened(void *opaque, GIOCondition events)
{
    struct stream *stream = opaque;
    const bool was_cut = stream->backend.cut;

    if (stream->fd < 0) {
        seek_peer(stream);
    } else if (stream->connecting) {
        if (!end_connecting(stream)) {
            lose_peer(stream, g_strerror(errno));
        }
    } else if (events & (G_IO_OUT | G_IO_ERR | G_IO_HUP)) {
        flush_out(stream);
    }
    if (stream->asked && stream->lent == 0 && (events & ~G_IO_OUT || has_frame(&stream->in))) {
        stream->asked = false;
        backend_ready(&stream->backend);
    } else if (stream->backend.cut != was_cut) {
        backend_ready(&stream->backend);
    }
}

static void stream_attach(VionetBackend *backend, GMainContext *context)
{
    struct stream *stream = (struct stream *)backend;

    watch_attach(stream->watch, context);
}

/* ---- Life ---- */

static void stream_close(VionetBackend *backend)
{
    struct stream *stream = (struct stream *)backend;

    watch_free(stream->watch);
    if (stream->fd >= 0) {
        close(stream->fd);
    }
    endpoint_unbind(&stream->address, stream->listener);
    g_free(stream->in.octets);
    g_free(stream->out.octets);
    g_free(stream);
}

static bool refuse_address(const struct reader *reader, const struct stream *stream)
{
    return endpoint_refuse(reader, &stream->address, g_strerror(errno));
}

static bool open_server(struct stream *stream, const struct reader *reader)
{
    if (stream->address.fd >= 0) {
        int listens = 0;
        socklen_t len = sizeof(listens);

        getsockopt(stream->address.fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len);
        if (!listens) {
            return endpoint_refuse(reader, &stream->address, "expected a listening socket");
        }
        stream->listener = stream->address.fd;
        return true;
    }
    stream->listener = endpoint_socket(&stream->address, SOCK_STREAM);
    if (stream->listener < 0) {
        return refuse_address(reader, stream);
    }
    if (!endpoint_bind(&stream->address, stream->listener) || listen(stream->listener, 1) != 0) {
        refuse_address(reader, stream);
        close(stream->listener);
        stream->listener = -1;
        return false;
    }
    return true;
}

/* Waits until a connection is there, or will not be; false if the time is over. */
static bool await_connection(int fd)
{
    const gint64 deadline = g_get_monotonic_time() + CONNECT_MS * G_TIME_SPAN_MILLISECOND;
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
    int n;

    do {
        const gint64 left = deadline - g_get_monotonic_time();

        n = poll(&poll_fd, 1, (int)(MAX(left, 0) / G_TIME_SPAN_MILLISECOND));
    } while (n < 0 && errno == EINTR);
    if (n == 0) {
        errno = ETIMEDOUT;
    }
    return n == 1;
}

/* Connects, once and for all: the only place that waits, and not for long. */
static bool open_client(struct stream *stream, const struct reader *reader)
{
    bool good = begin_connecting(stream);

    if (good && stream->connecting) {
        good = await_connection(stream->fd) && end_connecting(stream);
    }
    return good || refuse_address(reader, stream);
}

static bool open_end(struct stream *stream, const struct reader *reader)
{
    if (stream->address.fd >= 0 && !endpoint_take_fd(reader, &stream->address, SOCK_STREAM)) {
        return false;
    }
    if (stream->server) {
        return open_server(stream, reader);
    }
    if (stream->address.fd >= 0) {
        gain_peer(stream, stream->address.fd);
        return true;
    }
    if (stream->reconnect_ms > 0) {
        stream->again = 1; /* long ago */
        return true;
    }
    return open_client(stream, reader);
}

static bool read_reconnect(struct stream *stream, const struct reader *reader)
{
    const char *seconds = reader_value(reader, OPTION_RECONNECT);
    const char *ms = reader_value(reader, OPTION_RECONNECT_MS);
    const unsigned option = ms ? OPTION_RECONNECT_MS : OPTION_RECONNECT;

    if (!reader_number(reader, OPTION_RECONNECT, 0, RECONNECT_MAX / 1000, &stream->reconnect_ms)) {
        return false;
    }
    stream->reconnect_ms *= 1000;
    if (!reader_number(reader, OPTION_RECONNECT_MS, 0, RECONNECT_MAX, &stream->reconnect_ms)) {
        return false;
    }
    if (seconds && ms) {
        return reader_refuse(reader, option, ms, "expected one of reconnect and reconnect-ms");
    }
    if (stream->reconnect_ms > 0 && (stream->server || stream->address.fd >= 0)) {
        return reader_refuse(reader, option, ms ? ms : seconds,
                             "expected an address to connect to, not server=on or a descriptor");
    }
    return true;
}

static bool read_options(struct stream *stream, const struct reader *reader)
{
    if (!endpoint_read(reader, OPTION_ADDR, &stream->address) ||
        !reader_switch(reader, OPTION_SERVER, &stream->server)) {
        return false;
    }
    if (!stream->address.given) {
        return reader_refuse_without(reader, OPTION_ADDR + ENDPOINT_TYPE, "is missing");
    }
    return read_reconnect(stream, reader);
}

static VionetBackend *stream_open(backend_values values, GError **error)
{
    const struct reader reader = {&backend_stream, values, error};
    struct stream *stream = g_new0(struct stream, 1);

    stream->backend.suits = BACKEND_SUITS_SENDING;
    stream->fd = -1;
    stream->backend.cut = true;
    stream->listener = -1;
    if (!read_options(stream, &reader) || !open_end(stream, &reader)) {
        stream_close(&stream->backend);
        return NULL;
    }
    stream->watch = watch_new(stream_wish, stream_happened, stream);
    stream->in.octets = g_malloc(IN_OCTETS);
    stream->out.octets = g_malloc(OUT_OCTETS);
    return &stream->backend;
}

const struct backend_ops backend_stream = {
    .name = "stream",
    .help = "stream,server=on,addr.type=unix,addr.path=FILE: frames over a connection (inet with "
            "host and port, fd with str, reconnect-ms, as QEMU's)",
    .options =
        {
            [OPTION_ADDR + ENDPOINT_TYPE] = {"addr.type", false},
            [OPTION_ADDR + ENDPOINT_PATH] = {"addr.path", false},
            [OPTION_ADDR + ENDPOINT_HOST] = {"addr.host", false},
            [OPTION_ADDR + ENDPOINT_PORT] = {"addr.port", false},
            [OPTION_ADDR + ENDPOINT_STR] = {"addr.str", false},
            [OPTION_SERVER] = {"server", false},
            [OPTION_RECONNECT] = {"reconnect", false},
            [OPTION_RECONNECT_MS] = {"reconnect-ms", false},
        },
    .open = stream_open,
    .close = stream_close,
    .attach = stream_attach,
    .send = stream_send,
    .receive = stream_receive,
    .complete = stream_complete,
};
