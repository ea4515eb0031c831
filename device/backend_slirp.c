/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The backend "user": user-mode networking by libslirp, which translates the guest's connections
 * into sockets of this process. Called through backend.c, and from the event loop.
 *
 *     guest --send--> slirp_input          sockets
 *     guest <--receive-- fifo <--send_packet-- slirp <--poll--'
 *
 * Frames for the guest are copied once, into the queue. To a guest that takes packets of TCP to be
 * segmented, those that wait there go in as few of them as can be (merge.h). slirp's sockets are looked at only while
 * the guest asks in vain, and each only while the queue has room for what it may bring: so data
 * waits in the sockets, and their peers feel the pressure. What the guest's own frames call forth
 * beyond the queue is dropped and counted; TCP sends it again.
 *
 * When a guest has gone slirp is made anew, with the same options: what it had of that guest ends,
 * and forwarded ports are listened to again.
 *
 * libslirp's clock is ours, read in milliseconds, and moves only in slirp_pollfds_poll(): it is set
 * before frames from the guest go in, as the loop may have slept for long.
 */
#include "backend.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <glib-unix.h>
#include <glib/gstdio.h>
#include <vionet/spec.h>

#include "fifo.h"
#include "fragments.h"
#include "merge.h"
#include "reader.h"
#include "slirp_options.h"

#define QUEUE_FRAMES  512
#define BURST         64 /* frames taken from it at a time */
#define TICK_US       500000
#define SOCKET_FRAMES 64 /* a socket is looked at while there is room for so many: a TCP window */

/* slirp's own packets and the largest that IP has, with room for a VLAN tag. */
#define FRAME_MAX (65535 + 18)

#define SUITS                                                                          \
    (BACKEND_SUITS_SENDING | UINT64_C(1) << VIRTIO_NET_F_GUEST_CSUM |                  \
     UINT64_C(1) << VIRTIO_NET_F_GUEST_TSO4 | UINT64_C(1) << VIRTIO_NET_F_GUEST_TSO6 | \
     UINT64_C(1) << VIRTIO_NET_F_CTRL_GUEST_OFFLOADS)

struct user {
    VionetBackend backend;
    Slirp *slirp;
    GSource *source;       /* polls the sockets */
    GMainContext *context; /* NULL until attached */
    GHashTable *watches;   /* descriptor -> struct watch */
    GPtrArray *timers;     /* struct timer_source */
    char **values[BACKEND_MAX_OPTIONS];
    SlirpConfig config; /* of texts in values */
    GPtrArray *paths;   /* UNIX sockets, to be removed at the end */
    struct frame_fifo *fifo;
    struct merger *merger;
    struct fragments fragments; /* of the guest's */
    uint64_t offloads;          /* what the guest takes */
    gint64 deadline;            /* when slirp wants to be called at the latest, 0: not known */
    bool filled;                /* slirp_pollfds_fill() was called since its clock last went */
    gint64 ticked_us;           /* when that was */
    gint64 aged_us;             /* how far its fragments have aged at least, see poll_slirp() */
    bool asked;                 /* the guest has room, and was not told of frames since it asked */
};

struct watch {
    struct user *user;
    GPollFD poll;
    bool wanted; /* by the round of slirp_pollfds_fill() that is under way */
    bool is_unix;
};

/* One for slirp's sockets (id unused), one for each of its timers. */
struct user_source {
    GSource source;
    struct user *user;
    SlirpTimerId id;
    void *cb_opaque;
};

/* Tells the guest of frames, if it waits for any. */
static void announce(struct user *user)
{
    if (user->asked && frame_fifo_waiting(user->fifo) > 0) {
        user->asked = false;
        backend_ready(&user->backend);
    }
}

/* ---- What slirp asks of us ---- */

static ssize_t slirp_sends(const void *octets, size_t len, void *opaque)
{
    struct user *user = opaque;
    const struct iovec iov = {(void *)octets, len};
    const VionetFrame frame = {.iov = &iov, .n_iov = 1, .len = (uint32_t)len};

    if (!frame_fifo_put(user->fifo, &frame)) {
        user->backend.counters.dropped++;
    }
    return (ssize_t)len;
}

static void guest_error(const char *message, void *opaque)
{
    (void)opaque;
    g_debug("backend user: %s", message);
}

static int64_t clock_get_ns(void *opaque)
{
    (void)opaque;
    return g_get_monotonic_time() * 1000;
}

static gboolean timer_dispatch(GSource *source, GSourceFunc callback, gpointer data)
{
    struct user_source *timer = (struct user_source *)source;

    (void)callback;
    (void)data;
    g_source_set_ready_time(source, -1);
    slirp_handle_timer(timer->user->slirp, timer->id, timer->cb_opaque);
    announce(timer->user);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs timer_funcs = {.dispatch = timer_dispatch};

static void *timer_new(SlirpTimerId id, void *cb_opaque, void *opaque)
{
    struct user *user = opaque;
    GSource *source = g_source_new(&timer_funcs, sizeof(struct user_source));
    struct user_source *timer = (struct user_source *)source;

    timer->user = user;
    timer->id = id;
    timer->cb_opaque = cb_opaque;
    g_ptr_array_add(user->timers, source);
    if (user->context) {
        g_source_attach(source, user->context);
    }
    return source;
}

static void timer_free(void *timer, void *opaque)
{
    struct user *user = opaque;

    g_source_destroy(timer);
    g_ptr_array_remove(user->timers, timer);
}

static void timer_mod(void *timer, int64_t expire_ms, void *opaque)
{
    (void)opaque;
    g_source_set_ready_time(timer, expire_ms * 1000);
}

/* Descriptors are watched as slirp_pollfds_fill() says, which needs no register. */
static void register_fd(int fd, void *opaque)
{
    (void)fd;
    (void)opaque;
}

static void unregister_fd(int fd, void *opaque)
{
    struct user *user = opaque;

    g_hash_table_remove(user->watches, GINT_TO_POINTER(fd));
}

/* A socket can be read again; the loop asks slirp which before it sleeps. */
static void notify(void *opaque)
{
    struct user *user = opaque;

    if (user->context && !g_main_context_is_owner(user->context)) {
        g_main_context_wakeup(user->context);
    }
}

static const SlirpCb callbacks = {
    .send_packet = slirp_sends,
    .guest_error = guest_error,
    .clock_get_ns = clock_get_ns,
    .timer_free = timer_free,
    .timer_mod = timer_mod,
    .register_poll_fd = register_fd,
    .unregister_poll_fd = unregister_fd,
    .notify = notify,
    .timer_new_opaque = timer_new,
};

/* ---- Its sockets ---- */

static const struct event_name {
    int slirp;
    GIOCondition glib;
} event_names[] = {
    {SLIRP_POLL_IN, G_IO_IN},   {SLIRP_POLL_OUT, G_IO_OUT}, {SLIRP_POLL_PRI, G_IO_PRI},
    {SLIRP_POLL_ERR, G_IO_ERR}, {SLIRP_POLL_HUP, G_IO_HUP},
};

static void watch_free(gpointer data)
{
    struct watch *watch = data;

    g_source_remove_poll(watch->user->source, &watch->poll);
    g_free(watch);
}

static struct watch *watch_new(struct user *user, int fd)
{
    struct watch *watch = g_new0(struct watch, 1);
    int domain = AF_UNSPEC;
    socklen_t len = sizeof(domain);

    watch->user = user;
    watch->poll.fd = fd;
    if (user->paths->len > 0) {
        getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len);
    }
    watch->is_unix = domain == AF_UNIX;
    g_source_add_poll(user->source, &watch->poll);
    g_hash_table_insert(user->watches, GINT_TO_POINTER(fd), watch);
    return watch;
}

/* Called by slirp for each socket that it waits for; its number for it is the descriptor. */
static int add_watch(int fd, int events, void *opaque)
{
    struct user *user = opaque;
    struct watch *watch = g_hash_table_lookup(user->watches, GINT_TO_POINTER(fd));

    if (!watch) {
        watch = watch_new(user, fd);
    }
    watch->wanted = true;
    watch->poll.events = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(event_names); i++) {
        if (events & event_names[i].slirp) {
            watch->poll.events |= (gushort)event_names[i].glib;
        }
    }
    return fd;
}

/* Whether an accepted UNIX connection would find the descriptors without which libslirp aborts. */
static bool has_descriptors(void)
{
    int fds[2];

    if (!g_unix_open_pipe(fds, FD_CLOEXEC, NULL)) {
        return false;
    }
    close(fds[0]);
    close(fds[1]);
    return true;
}

/* Called by slirp for each socket in turn, just before it attends to it. */
static int get_revents(int fd, void *opaque)
{
    struct user *user = opaque;
    const struct watch *watch = g_hash_table_lookup(user->watches, GINT_TO_POINTER(fd));
    int events = 0;

    if (!watch || frame_fifo_room(user->fifo) < SOCKET_FRAMES ||
        (watch->is_unix && !has_descriptors())) {
        return 0;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(event_names); i++) {
        if (watch->poll.revents & event_names[i].glib) {
            events |= event_names[i].slirp;
        }
    }
    return events;
}

/* For a hash table's foreach: also begins the next round. */
static gboolean is_unwanted(gpointer fd, gpointer data, gpointer opaque)
{
    struct watch *watch = data;
    const bool wanted = watch->wanted;

    (void)fd;
    (void)opaque;
    watch->wanted = false;
    return !wanted;
}

/* ---- The event loop ---- */

/* Brings the watches up to date; returns how many milliseconds may be slept. */
static int fill_watches(struct user *user, gint64 now)
{
    uint32_t most_ms = UINT32_MAX;
    gint64 deadline;

    slirp_pollfds_fill(user->slirp, &most_ms, add_watch, user);
    user->filled = true;
    g_hash_table_foreach_remove(user->watches, is_unwanted, NULL);
    /* slirp counts from now at each call, and others wake the loop: the first deadline holds. */
    deadline = now + (gint64)most_ms * 1000;
    if (user->deadline == 0 || deadline < user->deadline) {
        user->deadline = deadline;
    }
    return (int)CLAMP((user->deadline - now + 999) / 1000, 0, G_MAXINT);
}

static gboolean sockets_prepare(GSource *source, gint *timeout)
{
    struct user *user = ((struct user_source *)source)->user;

    *timeout = -1;
    if (!user->asked) {
        g_hash_table_remove_all(user->watches);
        return FALSE;
    }
    *timeout = fill_watches(user, g_get_monotonic_time());
    return *timeout == 0 || frame_fifo_waiting(user->fifo) > 0;
}

static gboolean sockets_check(GSource *source)
{
    struct user *user = ((struct user_source *)source)->user;
    GHashTableIter all;
    gpointer watch;

    if (!user->asked) {
        return FALSE;
    }
    g_hash_table_iter_init(&all, user->watches);
    while (g_hash_table_iter_next(&all, NULL, &watch)) {
        if (((struct watch *)watch)->poll.revents) {
            return TRUE;
        }
    }
    return g_get_monotonic_time() >= user->deadline;
}

/*
 * Lets slirp look at its sockets and its clock. Its fragments age by one tick at most in such a call, if it had
 * some when it was last asked for its sockets, however long ago that is.
 */
static void poll_slirp(struct user *user, int select_error)
{
    slirp_pollfds_poll(user->slirp, select_error, get_revents, user);
    if (user->filled) {
        const gint64 now = g_get_monotonic_time();

        user->aged_us += MIN(now - user->ticked_us, TICK_US);
        user->ticked_us = now;
        user->filled = false;
    }
}

static gboolean sockets_dispatch(GSource *source, GSourceFunc callback, gpointer data)
{
    struct user *user = ((struct user_source *)source)->user;

    (void)callback;
    (void)data;
    user->deadline = 0;
    poll_slirp(user, 0);
    announce(user);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs sockets_funcs = {
    .prepare = sockets_prepare,
    .check = sockets_check,
    .dispatch = sockets_dispatch,
};

static void user_attach(VionetBackend *backend, GMainContext *context)
{
    struct user *user = (struct user *)backend;

    user->context = context ? context : g_main_context_default();
    g_source_attach(user->source, user->context);
    for (guint i = 0; i < user->timers->len; i++) {
        g_source_attach(g_ptr_array_index(user->timers, i), user->context);
    }
}

/* ---- Life ---- */

static void remove_path(gpointer path)
{
    g_unlink(path);
    g_free(path);
}

static void user_close(VionetBackend *backend)
{
    struct user *user = (struct user *)backend;

    g_hash_table_remove_all(user->watches);
    if (user->slirp) {
        slirp_cleanup(user->slirp);
    }
    g_source_destroy(user->source);
    g_source_unref(user->source);
    g_hash_table_unref(user->watches);
    g_ptr_array_unref(user->timers);
    g_ptr_array_unref(user->paths);
    merger_free(user->merger);
    frame_fifo_free(user->fifo);
    for (unsigned i = 0; i < BACKEND_MAX_OPTIONS; i++) {
        g_strfreev(user->values[i]);
    }
    g_free(user);
}

static struct user *user_new(void)
{
    struct user *user = g_new0(struct user, 1);

    user->backend.takes = BACKEND_LONG_TCP;
    user->backend.suits = SUITS;
    user->fifo = frame_fifo_new(QUEUE_FRAMES);
    user->merger = merger_new();
    user->watches = g_hash_table_new_full(NULL, NULL, NULL, watch_free);
    user->timers = g_ptr_array_new_with_free_func((GDestroyNotify)g_source_unref);
    user->paths = g_ptr_array_new_with_free_func(remove_path);
    user->source = g_source_new(&sockets_funcs, sizeof(struct user_source));
    g_source_set_can_recurse(user->source, TRUE);
    ((struct user_source *)user->source)->user = user;
    return user;
}

static bool add_forward(struct user *user, const struct reader *reader, const char *value)
{
    struct slirp_forward forward;

    if (!slirp_options_forward(reader, value, &forward)) {
        return false;
    }
    if (slirp_add_hostxfwd(user->slirp, &forward.host.any, forward.host_len,
                           (const struct sockaddr *)&forward.guest, sizeof(forward.guest),
                           forward.udp ? SLIRP_HOSTFWD_UDP : 0) != 0) {
        return reader_refuse(reader, SLIRP_HOSTFWD, value, "%s", g_strerror(errno));
    }
    if (forward.host.any.sa_family == AF_UNIX) {
        g_ptr_array_add(user->paths, g_strdup(forward.host.local.sun_path));
    }
    return true;
}

static bool add_forwards(struct user *user, const struct reader *reader)
{
    const char *const *values = reader->values[SLIRP_HOSTFWD];

    for (unsigned i = 0; values && values[i]; i++) {
        if (!user->config.in_enabled) {
            return reader_refuse(reader, SLIRP_HOSTFWD, values[i], "expected ipv4=on with it");
        }
        if (!add_forward(user, reader, values[i])) {
            return false;
        }
    }
    return true;
}

/* The options, whose texts slirp has no copies of, are kept for the next guest. */
static bool configure(struct user *user, backend_values values, GError **error)
{
    const struct reader reader = {&backend_slirp, (backend_values)user->values, error};

    for (unsigned i = 0; i < BACKEND_MAX_OPTIONS; i++) {
        user->values[i] = g_strdupv((char **)values[i]);
    }
    if (!slirp_options_read(&reader, &user->config)) {
        return false;
    }
    user->slirp = slirp_new(&user->config, &callbacks, user);
    g_assert(user->slirp); /* the options are such that it cannot fail */
    return add_forwards(user, &reader);
}

/*
 * Guests' frames reach libslirp as they are, so who reads the log is to know which it is. Up to 4.9.1 a guest may read
 * octets of the heap. What a distribution has mended does not show in the number.
 */
static void tell_version(void)
{
    const char *version = slirp_version_string();
    unsigned major = 0, minor = 0, micro = 0;

    sscanf(version, "%u.%u.%u", &major, &minor, &micro);
    if (major < 4 || (major == 4 && (minor < 9 || (minor == 9 && micro < 2)))) {
        g_message("backend user: libslirp %s may lack fixes of 4.9.2", version);
    } else {
        g_info("backend user: libslirp %s", version);
    }
}

static VionetBackend *user_open(backend_values values, GError **error)
{
    struct user *user = user_new();

    if (!configure(user, values, error)) {
        user_close(&user->backend);
        return NULL;
    }
    tell_version();
    return &user->backend;
}

/* ---- The next guest ---- */

static void drop_waiting(struct user *user)
{
    VionetFrame frames[BURST];
    unsigned n;

    while ((n = frame_fifo_take(user->fifo, frames, BURST)) > 0) {
        user->backend.counters.dropped += n;
        frame_fifo_give_back(user->fifo, frames, n);
    }
}

/* As add_forwards(), but a port that somebody else has taken meanwhile is not the end. */
static void renew_forwards(struct user *user)
{
    char *const *values = user->values[SLIRP_HOSTFWD];
    GError *error = NULL;
    const struct reader reader = {&backend_slirp, (backend_values)user->values, &error};

    for (unsigned i = 0; values && values[i]; i++) {
        if (!add_forward(user, &reader, values[i])) {
            g_warning("%s", error->message);
            g_clear_error(&error);
        }
    }
}

/*
 * slirp has no function that closes connections, and would keep those of a guest that does not
 * answer for as long as their peers do: so it is made anew.
 */
static void user_forget_guest(VionetBackend *backend)
{
    struct user *user = (struct user *)backend;

    drop_waiting(user);
    g_hash_table_remove_all(user->watches);
    slirp_cleanup(user->slirp);
    g_ptr_array_set_size(user->paths, 0);
    user->deadline = 0;
    user->fragments = (struct fragments){0};
    user->slirp = slirp_new(&user->config, &callbacks, user);
    g_assert(user->slirp); /* it was made of the same once */
    renew_forwards(user);
}

/* ---- Frames ---- */

/*
 * slirp knows no others, but for a management protocol that is no guest's business. The guest cannot change the frame
 * any more (backend.h).
 */
static bool is_for_slirp(struct user *user, const uint8_t *frame, size_t len)
{
    const unsigned type = len < 14 ? 0 : (unsigned)frame[12] << 8 | frame[13];

    return len <= FRAME_MAX && (type == 0x0800 || type == 0x0806 || type == 0x86dd) &&
           fragments_pass(&user->fragments, frame, len, g_get_monotonic_time(), user->aged_us);
}

static bool user_send(VionetBackend *backend, const VionetFrame *frames, size_t n)
{
    struct user *user = (struct user *)backend;

    poll_slirp(user, 1);
    for (size_t i = 0; i < n; i++) {
        const uint8_t *octets = frames[i].iov[0].iov_base;

        if (is_for_slirp(user, octets, frames[i].len)) {
            slirp_input(user->slirp, octets, (int)frames[i].len);
        } else {
            backend->counters.dropped++;
        }
    }
    return frame_fifo_waiting(user->fifo) > 0;
}

/*
 * slirp computes its checksums itself: a guest that can do so takes them as correct, and so does
 * the merger.
 */
static unsigned take_burst(struct user *user, VionetFrame *frames, size_t n)
{
    const bool guest_csum = user->offloads >> VIRTIO_NET_F_GUEST_CSUM & 1;
    const unsigned taken = frame_fifo_take(user->fifo, frames, n);

    for (unsigned i = 0; i < taken; i++) {
        frames[i].flags = guest_csum ? VIRTIO_NET_HDR_F_DATA_VALID : 0;
    }
    return taken;
}

/* Frames are taken from the queue until they make n packets, or there are no more. */
static size_t user_receive(VionetBackend *backend, VionetFrame *frames, size_t n)
{
    struct user *user = (struct user *)backend;
    VionetFrame burst[BURST];
    size_t made = 0;
    unsigned taken;

    merge_begin(user->merger, frames, n, user->offloads);
    do {
        taken = take_burst(user, burst, MIN(n - made, BURST));
        for (unsigned i = 0; i < taken; i++) {
            made = merge_add(user->merger, &burst[i]);
        }
    } while (taken > 0);
    user->asked = made < n;
    return merge_end(user->merger);
}

static void user_complete(VionetBackend *backend, const VionetFrame *frames, size_t n)
{
    struct user *user = (struct user *)backend;

    for (size_t i = 0; i < n; i++) {
        const VionetFrame *parts;
        const unsigned n_parts = merge_give_back(user->merger, &frames[i], &parts);

        frame_fifo_give_back(user->fifo, parts, n_parts);
    }
}

static void user_set_offloads(VionetBackend *backend, uint64_t offloads)
{
    struct user *user = (struct user *)backend;

    user->offloads = offloads;
}

const struct backend_ops backend_slirp = {
    .name = "user",
    .alias = "slirp",
    .help = "user,net=ADDR/BITS,restrict=on,hostfwd=tcp::PORT-:PORT,...: this host's network, by "
            "user-mode translation (options as QEMU's)",
    .options =
        {
            [SLIRP_NET] = {"net", false},
            [SLIRP_HOST] = {"host", false},
            [SLIRP_DHCPSTART] = {"dhcpstart", false},
            [SLIRP_DNS] = {"dns", false},
            [SLIRP_RESTRICT] = {"restrict", false},
            [SLIRP_IPV4] = {"ipv4", false},
            [SLIRP_IPV6] = {"ipv6", false},
            [SLIRP_IPV6_PREFIX] = {"ipv6-prefix", false},
            [SLIRP_IPV6_PREFIXLEN] = {"ipv6-prefixlen", false},
            [SLIRP_IPV6_HOST] = {"ipv6-host", false},
            [SLIRP_IPV6_DNS] = {"ipv6-dns", false},
            [SLIRP_HOSTNAME] = {"hostname", false},
            [SLIRP_DOMAINNAME] = {"domainname", false},
            [SLIRP_DNSSEARCH] = {"dnssearch", true},
            [SLIRP_TFTP] = {"tftp", false},
            [SLIRP_BOOTFILE] = {"bootfile", false},
            [SLIRP_TFTP_SERVER_NAME] = {"tftp-server-name", false},
            [SLIRP_HOSTFWD] = {"hostfwd", true},
            [SLIRP_MTU] = {"mtu", false},
        },
    .open = user_open,
    .close = user_close,
    .attach = user_attach,
    .set_offloads = user_set_offloads,
    .forget_guest = user_forget_guest,
    .send = user_send,
    .receive = user_receive,
    .complete = user_complete,
};
