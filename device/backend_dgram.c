/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The backend "dgram": each frame is a datagram, as with QEMU's -netdev dgram. Called through
 * backend.c, and from the event loop.
 *
 * Frames for the guest are lent as they were received: a burst has a buffer for each, and no other
 * is received before all of it were given back. Datagrams wait in the socket until then, where the
 * kernel bounds them.
 *
 * What the socket does not take from the guest at once is kept, and the guest's other frames wait
 * meanwhile in its queue: so a slow peer loses nothing. One that takes nothing for a second is treated
 * as a network would, and one that is not there is no error, it may come. A Unix socket says that it
 * can be written to when the peer's queue is full all the same: then a try is made at each turn of
 * the event loop, and soon at longer intervals.
 */
#include "backend.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include <vionet/spec.h>

#include "endpoint.h"
#include "fifo.h"
#include "reader.h"
#include "watch.h"

#define BURST         64
#define FRAME_MAX     (4096 + 65536) /* QEMU's NET_BUFSIZE */
#define SOCKET_OCTETS (1024 * 1024)  /* asked of the kernel, so that bursts fit */
#define MAX_ERRORS    4              /* of earlier datagrams, reported instead of one */
#define MAX_KEPT      1024           /* frames: a burst, of which each may have become segments */
#define MAX_YIELDS    8       /* times that the peer gets the processor before frames are kept */
#define HURRY_US      1000    /* after that time without progress, tries are that far apart */
#define PATIENCE_US   1000000 /* and after that, frames are dropped */

enum { OPTION_LOCAL, OPTION_REMOTE = OPTION_LOCAL + ENDPOINT_OPTIONS };

struct dgram {
    VionetBackend backend;
    struct endpoint local;
    struct endpoint remote; /* not given: the descriptor is connected */
    int fd;
    struct watch *watch;
    bool asked;    /* the guest asked in vain, and was not told of frames since */
    bool broken;   /* the socket is of no use any more */
    unsigned lent; /* buffers that the guest has not given back */
    /* What the socket did not take: in the queue, and taken out of it to be sent. */
    struct frame_fifo *kept;
    VionetFrame unsent[BURST];
    unsigned n_unsent;
    gint64 progress; /* when the socket last took any, in microseconds */
    gint64 tried;
    struct iovec iov[BURST];
    struct mmsghdr messages[BURST];
    uint8_t *buffers; /* FRAME_MAX octets each; pages that no frame reached cost nothing */
};

/* ---- To the guest ---- */

/* Receives up to n datagrams. An error that an earlier one met is taken off the socket. */
static unsigned receive_burst(struct dgram *dgram, unsigned n)
{
    for (unsigned i = 0; i < MAX_ERRORS; i++) {
        const int received = recvmmsg(dgram->fd, dgram->messages, n, MSG_DONTWAIT, NULL);

        if (received >= 0) {
            return (unsigned)received;
        }
        if (errno == EAGAIN) {
            break;
        }
    }
    return 0;
}

static size_t dgram_receive(VionetBackend *backend, VionetFrame *frames, size_t n)
{
    struct dgram *dgram = (struct dgram *)backend;
    const unsigned most = (unsigned)MIN(n, BURST);
    unsigned received = 0;
    size_t taken = 0;

    if (dgram->lent == 0) {
        for (unsigned i = 0; i < most; i++) {
            dgram->iov[i].iov_len = FRAME_MAX;
        }
        received = receive_burst(dgram, most);
    }
    for (unsigned i = 0; i < received; i++) {
        const unsigned len = dgram->messages[i].msg_len;

        if (len == 0 || dgram->messages[i].msg_hdr.msg_flags & MSG_TRUNC) {
            backend->counters.dropped++;
            continue;
        }
        dgram->iov[i].iov_len = len;
        frames[taken++] = (VionetFrame){.iov = &dgram->iov[i], .n_iov = 1, .len = len, .token = i};
    }
    dgram->lent += (unsigned)taken;
    dgram->asked = taken < n;
    return taken;
}

static void dgram_complete(VionetBackend *backend, const VionetFrame *frames, size_t n)
{
    struct dgram *dgram = (struct dgram *)backend;

    (void)frames;
    dgram->lent -= (unsigned)MIN(n, dgram->lent);
}

/* ---- From the guest ---- */

static int send_messages(struct dgram *dgram, const VionetFrame *frames, unsigned n)
{
    struct mmsghdr messages[BURST] = {0};

    for (unsigned i = 0; i < n; i++) {
        struct msghdr *header = &messages[i].msg_hdr;

        header->msg_iov = (struct iovec *)frames[i].iov;
        header->msg_iovlen = frames[i].n_iov;
        if (dgram->remote.given) {
            header->msg_name = &dgram->remote.address;
            header->msg_namelen = dgram->remote.len;
        }
    }
    return sendmmsg(dgram->fd, messages, n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Sends until the socket is full; how many frames are done with, those that cannot be sent included. */
static size_t send_some(struct dgram *dgram, const VionetFrame *frames, size_t n)
{
    unsigned yields = 0;
    size_t done = 0;

    while (done < n) {
        const int sent = send_messages(dgram, &frames[done], (unsigned)MIN(n - done, BURST));

        if (sent > 0) {
            done += (size_t)sent;
        } else if (errno == EAGAIN || errno == ENOBUFS) {
            if (yields++ == MAX_YIELDS) {
                break;
            }
            sched_yield();
        } else {
            dgram->backend.counters.dropped++;
            done++;
        }
    }
    return done;
}

static void keep(struct dgram *dgram, const VionetFrame *frames, size_t n)
{
    if (n > 0 && !dgram->backend.full) {
        dgram->backend.full = true;
        dgram->progress = dgram->tried = g_get_monotonic_time();
    }
    for (size_t i = 0; i < n; i++) {
        if (!frame_fifo_put(dgram->kept, &frames[i])) {
            dgram->backend.counters.dropped++;
        }
    }
}

static bool dgram_send(VionetBackend *backend, const VionetFrame *frames, size_t n)
{
    struct dgram *dgram = (struct dgram *)backend;
    const size_t done = backend->full ? 0 : send_some(dgram, frames, n);

    keep(dgram, &frames[done], n - done);
    return false;
}

/* Those at the front are done with. */
static void forget_unsent(struct dgram *dgram, size_t n)
{
    frame_fifo_give_back(dgram->kept, dgram->unsent, n);
    dgram->n_unsent -= (unsigned)n;
    memmove(dgram->unsent, dgram->unsent + n, dgram->n_unsent * sizeof(dgram->unsent[0]));
}

static unsigned next_unsent(struct dgram *dgram)
{
    if (dgram->n_unsent == 0) {
        dgram->n_unsent = frame_fifo_take(dgram->kept, dgram->unsent, BURST);
    }
    return dgram->n_unsent;
}

/* Sends what was kept, as far as it goes. */
static void send_kept(struct dgram *dgram)
{
    dgram->tried = g_get_monotonic_time();
    while (next_unsent(dgram) > 0) {
        size_t done = send_some(dgram, dgram->unsent, dgram->n_unsent);

        if (done > 0) {
            dgram->progress = dgram->tried;
        } else if (dgram->tried - dgram->progress > PATIENCE_US) {
            done = dgram->n_unsent;
            dgram->backend.counters.dropped += done;
        } else {
            return;
        }
        forget_unsent(dgram, done);
    }
    dgram->backend.full = false;
}

/* ---- The event loop ---- */

static struct watch_wish dgram_wish(void *opaque)
{
    const struct dgram *dgram = opaque;
    const bool reads = dgram->asked && dgram->lent == 0;
    struct watch_wish wish = {.fd = dgram->fd, .events = reads ? G_IO_IN : 0};

    if (dgram->broken) {
        wish.events = 0;
    } else if (dgram->backend.full) {
        wish.events |= dgram->tried - dgram->progress < HURRY_US ? G_IO_OUT : 0;
        wish.deadline = dgram->tried + HURRY_US;
    }
    return wish;
}

static void dgram_happened(void *opaque, GIOCondition events)
{
    struct dgram *dgram = opaque;
    bool ready = false;

    if (events & (G_IO_HUP | G_IO_NVAL)) {
        dgram->broken = true; /* it would be ready for ever */
        dgram->backend.full = false;
    }
    if (dgram->backend.full) {
        send_kept(dgram);
        ready = !dgram->backend.full;
    }
    if (events & ~G_IO_OUT) {
        dgram->asked = false;
        ready = true;
    }
    if (ready) {
        backend_ready(&dgram->backend);
    }
}

static void dgram_attach(VionetBackend *backend, GMainContext *context)
{
    struct dgram *dgram = (struct dgram *)backend;

    watch_attach(dgram->watch, context);
}

/* ---- Life ---- */

static void dgram_close(VionetBackend *backend)
{
    struct dgram *dgram = (struct dgram *)backend;

    watch_free(dgram->watch);
    frame_fifo_free(dgram->kept);
    endpoint_unbind(&dgram->local, dgram->fd);
    g_free(dgram->buffers);
    g_free(dgram);
}

static bool is_multicast(const struct endpoint *endpoint)
{
    switch (endpoint->address.any.sa_family) {
    case AF_INET:
        return IN_MULTICAST(ntohl(endpoint->address.inet.sin_addr.s_addr));
    case AF_INET6:
        return IN6_IS_ADDR_MULTICAST(&endpoint->address.inet6.sin6_addr);
    default:
        return false;
    }
}

static bool check_ends(const struct reader *reader, const struct endpoint *local,
                       const struct endpoint *remote)
{
    const unsigned remote_type = OPTION_REMOTE + ENDPOINT_TYPE;
    const char *type = reader_value(reader, remote_type);

    if (remote->fd >= 0) {
        return reader_refuse(reader, remote_type, type, "expected inet or unix");
    }
    if (local->fd >= 0) {
        return !remote->given ||
               reader_refuse(reader, remote_type, type, "expected none with local.type=fd");
    }
    if (!remote->given) {
        return reader_refuse_without(reader, remote_type, "is missing");
    }
    if (is_multicast(remote)) {
        return reader_refuse(reader, OPTION_REMOTE + ENDPOINT_HOST,
                             reader_value(reader, OPTION_REMOTE + ENDPOINT_HOST),
                             "expected the address of one host");
    }
    if (!local->given) {
        return remote->address.any.sa_family != AF_UNIX ||
               reader_refuse_without(reader, OPTION_LOCAL + ENDPOINT_TYPE, "is missing");
    }
    return local->address.any.sa_family == remote->address.any.sa_family ||
           reader_refuse(reader, remote_type, type, "expected addresses of one kind");
}

/* -1 with an error. */
static int open_socket(const struct reader *reader, const struct endpoint *local,
                       const struct endpoint *remote)
{
    int fd;

    if (local->fd >= 0) {
        return endpoint_take_fd(reader, local, SOCK_DGRAM) ? local->fd : -1;
    }
    fd = endpoint_socket(remote, SOCK_DGRAM);
    if (fd < 0 || (local->given && !endpoint_bind(local, fd))) {
        endpoint_refuse(reader, fd < 0 ? remote : local, g_strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    return fd;
}

static struct dgram *dgram_new(int fd)
{
    const int octets = SOCKET_OCTETS;
    struct dgram *dgram = g_new0(struct dgram, 1);

    dgram->backend.suits = BACKEND_SUITS_SENDING;
    dgram->fd = fd;
    dgram->watch = watch_new(dgram_wish, dgram_happened, dgram);
    dgram->kept = frame_fifo_new(MAX_KEPT);
    dgram->buffers = g_malloc(BURST * FRAME_MAX);
    for (unsigned i = 0; i < BURST; i++) {
        dgram->iov[i].iov_base = dgram->buffers + (size_t)i * FRAME_MAX;
        dgram->messages[i].msg_hdr.msg_iov = &dgram->iov[i];
        dgram->messages[i].msg_hdr.msg_iovlen = 1;
    }
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &octets, sizeof(octets));
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &octets, sizeof(octets));
    return dgram;
}

static VionetBackend *dgram_open(backend_values values, GError **error)
{
    const struct reader reader = {&backend_dgram, values, error};
    struct endpoint local;
    struct endpoint remote;
    struct dgram *dgram;
    int fd;

    if (!endpoint_read(&reader, OPTION_LOCAL, &local) ||
        !endpoint_read(&reader, OPTION_REMOTE, &remote) || !check_ends(&reader, &local, &remote)) {
        return NULL;
    }
    fd = open_socket(&reader, &local, &remote);
    if (fd < 0) {
        return NULL;
    }
    dgram = dgram_new(fd);
    dgram->local = local;
    dgram->remote = remote;
    return &dgram->backend;
}

const struct backend_ops backend_dgram = {
    .name = "dgram",
    .help = "dgram,local.type=unix,local.path=FILE,remote.type=unix,remote.path=FILE: a datagram "
            "for each frame (inet with host and port, fd with str, as QEMU's)",
    .options =
        {
            [OPTION_LOCAL + ENDPOINT_TYPE] = {"local.type", false},
            [OPTION_LOCAL + ENDPOINT_PATH] = {"local.path", false},
            [OPTION_LOCAL + ENDPOINT_HOST] = {"local.host", false},
            [OPTION_LOCAL + ENDPOINT_PORT] = {"local.port", false},
            [OPTION_LOCAL + ENDPOINT_STR] = {"local.str", false},
            [OPTION_REMOTE + ENDPOINT_TYPE] = {"remote.type", false},
            [OPTION_REMOTE + ENDPOINT_PATH] = {"remote.path", false},
            [OPTION_REMOTE + ENDPOINT_HOST] = {"remote.host", false},
            [OPTION_REMOTE + ENDPOINT_PORT] = {"remote.port", false},
            [OPTION_REMOTE + ENDPOINT_STR] = {"remote.str", false},
        },
    .open = dgram_open,
    .close = dgram_close,
    .attach = dgram_attach,
    .send = dgram_send,
    .receive = dgram_receive,
    .complete = dgram_complete,
};
