/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The backend "tap": frames go to and come from a Linux TAP interface, with one descriptor for each
 * of its queues. Called through backend.c. The interface is made if it is not there, its link and
 * addresses are somebody else's; or its descriptors are given, and are the backend's from then on.
 *
 * With vnet_hdr a packet header travels along, so that unfinished checksums and frames to be
 * segmented pass both ways: from the guest, what the kernel takes; to the guest, what the guest
 * takes now (TUNSETOFFLOAD). The header has 12 octets, or 24 if the kernel knows UDP tunnels.
 *
 * Split into queues, each is a tap of one queue, whose descriptor stays the whole one's; the kernel
 * spreads flows over them, and answers a flow on the queue that it came on.
 *
 * Nothing is fatal once it is open: what the kernel does not take or cannot give is counted as
 * dropped, and an interface that is deleted is silent.
 */
#include "backend.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <glib-unix.h>
#include <linux/if_tun.h>
#include <net/if.h>

#include <vionet/hash.h>
#include <vionet/spec.h>

#include "options.h"
#include "thread_memory.h"

/* Newer than some of the headers that we are built with. */
#define F_USO4            0x20u
#define F_USO6            0x40u
#define F_UDP_TUNNEL      0x80u
#define F_UDP_TUNNEL_CSUM 0x100u

#define SHORT_HEADER 12
#define LONG_HEADER  24

#define FEATURE(name) (UINT64_C(1) << VIRTIO_NET_F_##name)

/* What is of use with a packet header, as QEMU offers it then; what the kernel may lack, apart. */
#define SUITS                                                                             \
    (FEATURE(CSUM) | FEATURE(GUEST_CSUM) | FEATURE(HOST_TSO4) | FEATURE(HOST_TSO6) |      \
     FEATURE(HOST_ECN) | FEATURE(GUEST_TSO4) | FEATURE(GUEST_TSO6) | FEATURE(GUEST_ECN) | \
     FEATURE(CTRL_GUEST_OFFLOADS))
#define SUITS_UFO (FEATURE(HOST_UFO) | FEATURE(GUEST_UFO))
#define SUITS_USO (FEATURE(HOST_USO) | FEATURE(GUEST_USO4) | FEATURE(GUEST_USO6))

/* The longest packet that the kernel makes, in front of it its header and two VLAN tags. */
#define PLACE_OCTETS (LONG_HEADER + 65536 + 14 + 8)
#define N_PLACES     64 /* frames on their way to the guest */
#define MAX_RANGES   256

enum {
    OPTION_IFNAME,
    OPTION_FD,
    OPTION_FDS,
    OPTION_QUEUES,
    OPTION_VNET_HDR,
    OPTION_SCRIPT,
    OPTION_DOWNSCRIPT,
    OPTION_SNDBUF,
};

/* A frame that was read; memory is had when it is used first. */
struct tap_place {
    uint8_t *octets;
    struct iovec iov;
    bool out; /* taken and not given back */
};

struct tap_queue {
    int fd;
    GSource *source; /* NULL while it is not watched */
};

struct tap {
    VionetBackend backend;
    GMainContext *context; /* NULL until attached */
    bool given;            /* the descriptors were, and none is ours until all is well, or ever */
    bool gone;             /* the interface was deleted */
    unsigned header_len;   /* octets, 0 without vnet_hdr */
    unsigned offloads;     /* TUN_F_* that the kernel knows */
    unsigned n_queues;
    unsigned next_queue; /* to be read first */
    struct tap_queue queues[VIONET_MAX_PAIRS];
    uint64_t taken; /* places taken and freed so far, as in fifo.c */
    uint64_t freed;
    struct tap_place places[N_PLACES];
    uint8_t *linear; /* of a frame in too many ranges */
};

static void unwatch(struct tap *tap)
{
    for (unsigned i = 0; i < tap->n_queues; i++) {
        struct tap_queue *queue = &tap->queues[i];

        if (queue->source) {
            g_source_destroy(queue->source);
            g_source_unref(queue->source);
            queue->source = NULL;
        }
    }
}

static void tap_close(VionetBackend *backend)
{
    struct tap *tap = (struct tap *)backend;

    unwatch(tap);
    for (unsigned i = 0; i < tap->n_queues && !tap->given; i++) {
        close(tap->queues[i].fd);
    }
    for (unsigned i = 0; i < N_PLACES; i++) {
        g_free(tap->places[i].octets);
    }
    if (tap->context) {
        g_main_context_unref(tap->context);
    }
    g_free(tap->linear);
    g_aligned_free(tap);
}

/* ---- Opening ---- */

G_GNUC_PRINTF(2, 3)
static bool refuse(GError **error, const char *format, ...)
{
    va_list args;
    char *why;

    va_start(args, format);
    why = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG, "backend tap: %s", why);
    g_free(why);
    return false;
}

static bool check_scripts(backend_values values, GError **error)
{
    static const struct {
        unsigned option;
        const char *name;
    } scripts[] = {{OPTION_SCRIPT, "script"}, {OPTION_DOWNSCRIPT, "downscript"}};

    for (size_t i = 0; i < G_N_ELEMENTS(scripts); i++) {
        const char *value = backend_value(values, scripts[i].option);

        if (value && strcmp(value, "no") != 0) {
            return refuse(error, "%s=%s: no scripts are run, only \"no\" is possible",
                          scripts[i].name, value);
        }
    }
    return true;
}

/* The value of vnet_hdr: 1, 0, or -1 if the kernel is to decide. */
static bool read_vnet_hdr(const char *value, int *vnet_hdr, GError **error)
{
    *vnet_hdr = value ? strcmp(value, "on") == 0 : -1;
    return !value || *vnet_hdr == 1 || strcmp(value, "off") == 0 ||
           refuse(error, "vnet_hdr=%s: expected on or off", value);
}

/* One more queue of the interface that request names, or leaves to the kernel to name. */
static bool open_queue(struct tap *tap, struct ifreq *request, GError **error)
{
    const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0) {
        return refuse(error, "/dev/net/tun: %s", g_strerror(errno));
    }
    tap->queues[tap->n_queues++].fd = fd;
    if (ioctl(fd, TUNSETIFF, request) != 0) {
        return refuse(error, "interface %s: %s", request->ifr_name, g_strerror(errno));
    }
    return true;
}

static bool kernel_has(unsigned flag)
{
    const int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    unsigned features = 0;
    bool has;

    if (fd < 0) {
        return false;
    }
    has = ioctl(fd, TUNGETFEATURES, &features) == 0 && (features & flag);
    close(fd);
    return has;
}

static bool open_interface(struct tap *tap, backend_values values, GError **error)
{
    const char *name = backend_value(values, OPTION_IFNAME);
    const char *n = backend_value(values, OPTION_QUEUES);
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    uint64_t n_queues = 1;
    int vnet_hdr;

    if (name && strlen(name) >= sizeof(request.ifr_name)) {
        return refuse(error, "ifname=%s: longer than %zu octets", name,
                      sizeof(request.ifr_name) - 1);
    }
    if (n && !options_number(n, 1, VIONET_MAX_PAIRS, &n_queues)) {
        return refuse(error, "queues=%s: expected a number from 1 to %d", n, VIONET_MAX_PAIRS);
    }
    if (!read_vnet_hdr(backend_value(values, OPTION_VNET_HDR), &vnet_hdr, error)) {
        return false;
    }
    if (vnet_hdr != 0 && (vnet_hdr == 1 || kernel_has(IFF_VNET_HDR))) {
        request.ifr_flags |= IFF_VNET_HDR;
        tap->header_len = SHORT_HEADER;
    }
    request.ifr_flags |= n_queues > 1 ? IFF_MULTI_QUEUE : 0;
    g_strlcpy(request.ifr_name, name ? name : "tap%d", sizeof(request.ifr_name));
    while (tap->n_queues < n_queues) {
        if (!open_queue(tap, &request, error)) {
            return false;
        }
    }
    return true;
}

/* A descriptor that somebody else has opened. */
static bool add_descriptor(struct tap *tap, const char *text, GError **error)
{
    struct ifreq request = {.ifr_flags = 0};
    const unsigned header_len = tap->header_len;
    uint64_t fd;

    if (!options_number(text, 0, INT_MAX, &fd)) {
        return refuse(error, "descriptor %s: not a number", text);
    }
    for (unsigned i = 0; i < tap->n_queues; i++) {
        if (tap->queues[i].fd == (int)fd) {
            return refuse(error, "descriptor %s: given twice", text);
        }
    }
    if (ioctl((int)fd, TUNGETIFF, &request) != 0) {
        return refuse(error, "descriptor %s: no queue of a TAP interface", text);
    }
    if (!(request.ifr_flags & IFF_TAP) || !(request.ifr_flags & IFF_NO_PI)) {
        return refuse(error, "descriptor %s: interface %s is not of flags IFF_TAP and IFF_NO_PI",
                      text, request.ifr_name);
    }
    tap->header_len = request.ifr_flags & IFF_VNET_HDR ? SHORT_HEADER : 0;
    if (tap->n_queues > 0 && tap->header_len != header_len) {
        return refuse(error, "descriptor %s: differs from the others in IFF_VNET_HDR", text);
    }
    if (fcntl((int)fd, F_SETFL, fcntl((int)fd, F_GETFL) | O_NONBLOCK) != 0) {
        return refuse(error, "descriptor %s: %s", text, g_strerror(errno));
    }
    tap->queues[tap->n_queues++].fd = (int)fd;
    return true;
}

static bool add_descriptors(struct tap *tap, const char *list, GError **error)
{
    char **texts = g_strsplit(list, ":", -1);
    bool good = true;

    tap->given = true;
    for (unsigned i = 0; texts[i] && good; i++) {
        good = i < VIONET_MAX_PAIRS ? add_descriptor(tap, texts[i], error)
                                    : refuse(error, "more than %d descriptors", VIONET_MAX_PAIRS);
    }
    g_strfreev(texts);
    return good;
}

static bool open_queues(struct tap *tap, backend_values values, GError **error)
{
    const char *fd = backend_value(values, OPTION_FD);
    const char *fds = backend_value(values, OPTION_FDS);

    if (!fd && !fds) {
        return open_interface(tap, values, error);
    }
    if (fd && fds) {
        return refuse(error, "fd and fds exclude each other");
    }
    if (values[OPTION_IFNAME] || values[OPTION_QUEUES] || values[OPTION_VNET_HDR]) {
        return refuse(error, "ifname, queues and vnet_hdr are settled where %s is given",
                      fd ? "fd" : "fds");
    }
    if (fd && strchr(fd, ':')) {
        return refuse(error, "fd=%s: several are given with fds", fd);
    }
    return add_descriptors(tap, fd ? fd : fds, error);
}

static bool set_on_all(const struct tap *tap, unsigned long request, const void *value)
{
    for (unsigned i = 0; i < tap->n_queues; i++) {
        if (ioctl(tap->queues[i].fd, request, value) != 0) {
            return false;
        }
    }
    return true;
}

/* TUNSETOFFLOAD takes its set where others have an address. */
static bool set_kernel_offloads(const struct tap *tap, unsigned offloads)
{
    for (unsigned i = 0; i < tap->n_queues; i++) {
        if (ioctl(tap->queues[i].fd, TUNSETOFFLOAD, (unsigned long)offloads) != 0) {
            return false;
        }
    }
    return true;
}

static bool set_header(struct tap *tap, unsigned len)
{
    const int size = (int)len;

    tap->header_len = len;
    return set_on_all(tap, TUNSETVNETHDRSZ, &size);
}

/* Adds offloads to those that the kernel knows, if it knows them. */
static bool probe(struct tap *tap, unsigned offloads)
{
    if (!set_kernel_offloads(tap, tap->offloads | offloads)) {
        return false;
    }
    tap->offloads |= offloads;
    return true;
}

/* Finds out what the kernel passes on, and begins with nothing. */
static bool negotiate(struct tap *tap, GError **error)
{
    const int little_endian = 1;

    if (tap->header_len == 0) {
        return true;
    }
    if (!set_header(tap, SHORT_HEADER)) {
        return refuse(error, "packet header of %d octets: %s", SHORT_HEADER, g_strerror(errno));
    }
    if (!set_on_all(tap, TUNSETVNETLE, &little_endian) && G_BYTE_ORDER != G_LITTLE_ENDIAN) {
        return refuse(error, "packet header in little-endian: %s", g_strerror(errno));
    }
    tap->backend.takes = BACKEND_CSUM | BACKEND_GSO;
    probe(tap, TUN_F_CSUM);
    probe(tap, TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN);
    tap->backend.suits = SUITS;
    if (probe(tap, TUN_F_UFO)) {
        tap->backend.takes |= BACKEND_UFO;
        tap->backend.suits |= SUITS_UFO;
    }
    if (probe(tap, F_USO4 | F_USO6)) {
        tap->backend.takes |= BACKEND_USO;
        tap->backend.suits |= SUITS_USO;
    }
    if (set_header(tap, LONG_HEADER) && probe(tap, F_UDP_TUNNEL | F_UDP_TUNNEL_CSUM)) {
        tap->backend.takes |= BACKEND_TUNNEL;
    } else if (!set_header(tap, SHORT_HEADER)) {
        return refuse(error, "packet header of %d octets: %s", SHORT_HEADER, g_strerror(errno));
    }
    return set_kernel_offloads(tap, 0) ||
           refuse(error, "switching offloads off: %s", g_strerror(errno));
}

static bool set_send_buffer(struct tap *tap, const char *value, GError **error)
{
    uint64_t octets = 0;
    int size;

    if (!value) {
        return true;
    }
    if (!options_number(value, 0, INT_MAX, &octets)) {
        return refuse(error, "sndbuf=%s: expected a number of octets, 0 for no limit", value);
    }
    size = octets == 0 ? INT_MAX : (int)octets;
    return set_on_all(tap, TUNSETSNDBUF, &size) ||
           refuse(error, "sndbuf=%s: %s", value, g_strerror(errno));
}

static VionetBackend *tap_open(backend_values values, GError **error)
{
    struct tap *tap = thread_memory_new0(sizeof(*tap));

    if (!check_scripts(values, error) || !open_queues(tap, values, error) ||
        !negotiate(tap, error) ||
        !set_send_buffer(tap, backend_value(values, OPTION_SNDBUF), error)) {
        tap_close(&tap->backend);
        return NULL;
    }
    for (unsigned i = 0; i < tap->n_queues && tap->given; i++) {
        fcntl(tap->queues[i].fd, F_SETFD, FD_CLOEXEC);
    }
    tap->given = false;
    return &tap->backend;
}

static VionetBackend *tap_queue(VionetBackend *backend, unsigned i, unsigned n, GError **error)
{
    const struct tap *whole = (const struct tap *)backend;
    struct tap *tap;

    if (n != whole->n_queues) {
        refuse(error, "%u queues are wanted, it has %u (queues=%u)", n, whole->n_queues, n);
        return NULL;
    }
    tap = thread_memory_new0(sizeof(*tap));
    tap->given = true;
    tap->header_len = whole->header_len;
    tap->queues[tap->n_queues++].fd = whole->queues[i].fd;
    return &tap->backend;
}

static void set_gone(struct tap *tap)
{
    if (!tap->gone) {
        g_warning("backend tap: the interface is gone, nothing more is sent or received");
    }
    tap->gone = true;
    unwatch(tap);
}

/* ---- From the guest ---- */

static void write_header(struct virtio_net_hdr *header, const VionetFrame *frame)
{
    *header = (struct virtio_net_hdr){
        .flags = frame->flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_UDP_TUNNEL_CSUM),
        .gso_type = frame->gso_type,
        .hdr_len = GUINT16_TO_LE((uint16_t)MIN(frame->hdr_len, frame->len)),
        .gso_size = GUINT16_TO_LE(frame->gso_size),
        .csum_start = GUINT16_TO_LE(frame->csum_start),
        .csum_offset = GUINT16_TO_LE(frame->csum_offset),
        .outer_th_offset = GUINT16_TO_LE(frame->outer_th_offset),
        .inner_nh_offset = GUINT16_TO_LE(frame->inner_nh_offset),
    };
}

/* The first octets of a frame, of which there are at most size. */
static size_t peek(const VionetFrame *frame, uint8_t *buf, size_t size)
{
    size_t len = 0;

    for (unsigned i = 0; i < frame->n_iov && len < size; i++) {
        const size_t n = MIN(frame->iov[i].iov_len, size - len);

        memcpy(buf + len, frame->iov[i].iov_base, n);
        len += n;
    }
    return len;
}

static uint32_t mix(uint32_t hash, const uint8_t *octets, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        hash = (hash ^ octets[i]) * 16777619u; /* FNV-1a */
    }
    return hash;
}

/* A flow keeps to one queue: the kernel answers there, and frames keep their order. */
static unsigned queue_of(const struct tap *tap, const VionetFrame *frame)
{
    uint8_t headers[128];
    const size_t len = tap->n_queues > 1 ? peek(frame, headers, sizeof(headers)) : 0;
    VionetFlow flow;
    uint32_t hash = 2166136261u;

    if (len == 0) {
        return 0;
    }
    vionet_dissect(headers, len, 0, &flow);
    if (flow.addr_len > 0) {
        hash = mix(hash, flow.src, flow.addr_len);
        hash = mix(hash, flow.dst, flow.addr_len);
    }
    if (flow.protocol) {
        hash = mix(hash, flow.ports, 4);
    }
    return (hash ^ hash >> 16) % tap->n_queues;
}

static bool write_ranges(struct tap *tap, const VionetFrame *frame, const struct iovec *iov,
                         unsigned n)
{
    const int fd = tap->queues[queue_of(tap, frame)].fd;
    ssize_t written;

    do {
        written = writev(fd, iov, (int)n);
    } while (written < 0 && errno == EINTR);
    if (written < 0 && errno == EBADFD) {
        set_gone(tap);
    }
    return written == (ssize_t)(tap->header_len + frame->len);
}

/* A frame in more ranges than one call takes. */
static unsigned collect(struct tap *tap, const VionetFrame *frame, struct iovec *iov)
{
    const VionetFrame plain = {.iov = frame->iov, .n_iov = frame->n_iov, .len = frame->len};
    size_t len;

    if (!tap->linear) {
        tap->linear = g_malloc(VIONET_MAX_FRAME);
    }
    len = vionet_frame_linearize(&plain, tap->linear, VIONET_MAX_FRAME);
    *iov = (struct iovec){tap->linear, len};
    return 1;
}

static bool write_frame(struct tap *tap, const VionetFrame *frame)
{
    struct virtio_net_hdr header;
    struct iovec iov[1 + MAX_RANGES];
    unsigned n = 0;

    if (tap->gone) {
        return false;
    }
    if (tap->header_len > 0) {
        write_header(&header, frame);
        iov[n++] = (struct iovec){&header, tap->header_len};
    }
    if (frame->n_iov > MAX_RANGES) {
        n += collect(tap, frame, &iov[n]);
    } else {
        memcpy(&iov[n], frame->iov, frame->n_iov * sizeof(iov[0]));
        n += frame->n_iov;
    }
    return write_ranges(tap, frame, iov, n);
}

static bool tap_send(VionetBackend *backend, const VionetFrame *frames, size_t n)
{
    struct tap *tap = (struct tap *)backend;

    for (size_t i = 0; i < n; i++) {
        if (!write_frame(tap, &frames[i])) {
            backend->counters.dropped++;
        }
    }
    return false;
}

/* ---- To the guest ---- */

static void read_header(const uint8_t *octets, unsigned header_len, VionetFrame *frame)
{
    struct virtio_net_hdr header = {0};

    memcpy(&header, octets, header_len);
    frame->flags = header.flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID |
                                   VIRTIO_NET_HDR_F_UDP_TUNNEL_CSUM);
    frame->gso_type = header.gso_type;
    frame->hdr_len = GUINT16_FROM_LE(header.hdr_len);
    frame->gso_size = GUINT16_FROM_LE(header.gso_size);
    frame->csum_start = GUINT16_FROM_LE(header.csum_start);
    frame->csum_offset = GUINT16_FROM_LE(header.csum_offset);
    frame->outer_th_offset = GUINT16_FROM_LE(header.outer_th_offset);
    frame->inner_nh_offset = GUINT16_FROM_LE(header.inner_nh_offset);
}

/* What was read into the next place becomes a frame; false if it is none. */
static bool take_place(struct tap *tap, size_t len, VionetFrame *frame)
{
    struct tap_place *place = &tap->places[tap->taken % N_PLACES];

    if (len <= tap->header_len || len >= PLACE_OCTETS) { /* or it was cut off */
        tap->backend.counters.dropped++;
        return false;
    }
    place->iov = (struct iovec){place->octets + tap->header_len, len - tap->header_len};
    place->out = true;
    *frame = (VionetFrame){
        .iov = &place->iov,
        .n_iov = 1,
        .len = (uint32_t)place->iov.iov_len,
        .token = tap->taken++,
    };
    read_header(place->octets, tap->header_len, frame);
    return true;
}

/* Reads one packet into the next place; its length, 0 if there is none now. */
static size_t read_packet(struct tap *tap, int fd)
{
    struct tap_place *place = &tap->places[tap->taken % N_PLACES];
    ssize_t len;

    if (!place->octets) {
        place->octets = g_malloc(PLACE_OCTETS);
    }
    do {
        len = read(fd, place->octets, PLACE_OCTETS);
    } while (len < 0 && errno == EINTR);
    if (len < 0 && errno != EAGAIN && errno != EIO && errno != ENOMEM && errno != ENOBUFS) {
        set_gone(tap);
    }
    return len > 0 ? (size_t)len : 0;
}

/* Takes up to n frames of one queue. */
static size_t read_queue(struct tap *tap, int fd, VionetFrame *frames, size_t n)
{
    size_t taken = 0;

    for (size_t i = 0; i < n && taken < n && tap->taken - tap->freed < N_PLACES; i++) {
        const size_t len = read_packet(tap, fd);

        if (len == 0) {
            break;
        }
        taken += take_place(tap, len, &frames[taken]);
    }
    return taken;
}

static gboolean queue_ready(gint fd, GIOCondition condition, gpointer opaque)
{
    struct tap *tap = opaque;

    (void)fd;
    (void)condition;
    unwatch(tap);
    backend_ready(&tap->backend);
    return G_SOURCE_REMOVE;
}

/* From having been asked in vain until there is something. */
static void watch(struct tap *tap)
{
    for (unsigned i = 0; i < tap->n_queues && tap->context && !tap->gone; i++) {
        struct tap_queue *queue = &tap->queues[i];

        if (!queue->source) {
            queue->source = g_unix_fd_source_new(queue->fd, G_IO_IN);
            g_source_set_callback(queue->source, G_SOURCE_FUNC(queue_ready), tap, NULL);
            g_source_attach(queue->source, tap->context);
        }
    }
}

static size_t tap_receive(VionetBackend *backend, VionetFrame *frames, size_t n)
{
    struct tap *tap = (struct tap *)backend;
    size_t taken = 0;

    for (unsigned i = 0; i < tap->n_queues && taken < n && !tap->gone; i++) {
        const unsigned queue = (tap->next_queue + i) % tap->n_queues;

        taken += read_queue(tap, tap->queues[queue].fd, &frames[taken], n - taken);
    }
    tap->next_queue = (tap->next_queue + 1) % tap->n_queues;
    if (taken < n) {
        watch(tap);
    }
    return taken;
}

static void tap_complete(VionetBackend *backend, const VionetFrame *frames, size_t n)
{
    struct tap *tap = (struct tap *)backend;

    for (size_t i = 0; i < n; i++) {
        if (frames[i].token >= tap->freed && frames[i].token < tap->taken) {
            tap->places[frames[i].token % N_PLACES].out = false;
        }
    }
    while (tap->freed != tap->taken && !tap->places[tap->freed % N_PLACES].out) {
        tap->freed++;
    }
}

/* ---- Living with the frontend ---- */

static void tap_attach(VionetBackend *backend, GMainContext *context)
{
    struct tap *tap = (struct tap *)backend;

    tap->context =
        context ? g_main_context_ref(context) : g_main_context_ref(g_main_context_default());
}

static void tap_set_offloads(VionetBackend *backend, uint64_t offloads)
{
    static const struct {
        unsigned bit;
        unsigned flag;
    } rows[] = {
        {VIRTIO_NET_F_GUEST_CSUM, TUN_F_CSUM},
        {VIRTIO_NET_F_GUEST_TSO4, TUN_F_TSO4},
        {VIRTIO_NET_F_GUEST_TSO6, TUN_F_TSO6},
        {VIRTIO_NET_F_GUEST_ECN, TUN_F_TSO_ECN},
        {VIRTIO_NET_F_GUEST_UFO, TUN_F_UFO},
        {VIRTIO_NET_F_GUEST_USO4, F_USO4},
        {VIRTIO_NET_F_GUEST_USO6, F_USO6},
        {VIRTIO_NET_OFFLOAD_GUEST_UDP_TUNNEL_GSO, F_UDP_TUNNEL},
        {VIRTIO_NET_OFFLOAD_GUEST_UDP_TUNNEL_GSO_CSUM, F_UDP_TUNNEL_CSUM},
    };
    struct tap *tap = (struct tap *)backend;
    unsigned flags = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        flags |= offloads >> rows[i].bit & 1 ? rows[i].flag : 0;
    }
    flags &= tap->offloads;
    if ((flags & (F_USO4 | F_USO6)) != (F_USO4 | F_USO6)) {
        flags &= ~(F_USO4 | F_USO6); /* the kernel knows them together only */
    }
    if (tap->header_len > 0 && !set_kernel_offloads(tap, flags)) {
        set_kernel_offloads(tap, 0); /* more work for it, but never more than the guest takes */
    }
}

const struct backend_ops backend_tap = {
    .name = "tap",
    .help = "tap,ifname=NAME,queues=N,vnet_hdr=on|off,sndbuf=OCTETS or tap,fd=N or tap,fds=N:N...: "
            "a TAP interface",
    .options =
        {
            [OPTION_IFNAME] = {"ifname", false},
            [OPTION_FD] = {"fd", false},
            [OPTION_FDS] = {"fds", false},
            [OPTION_QUEUES] = {"queues", false},
            [OPTION_VNET_HDR] = {"vnet_hdr", false},
            [OPTION_SCRIPT] = {"script", false},
            [OPTION_DOWNSCRIPT] = {"downscript", false},
            [OPTION_SNDBUF] = {"sndbuf", false},
        },
    .open = tap_open,
    .close = tap_close,
    .queue = tap_queue,
    .attach = tap_attach,
    .set_offloads = tap_set_offloads,
    .send = tap_send,
    .receive = tap_receive,
    .complete = tap_complete,
};
