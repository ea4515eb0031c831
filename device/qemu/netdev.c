/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A QEMU NIC as a backend; see netdev.h. Called through backend.c, and by QEMU.
 *
 *     guest --send--> peer                              which may ask to wait (full)
 *     guest <--receive-- queue <--nic_receive-- peer    which is told to wait while there is no room
 *
 * A peer with several queues is sent to on its first, and heard on all.
 *
 * Sending takes a system call for each frame. The guest has a few frames back before the next few go: it
 * frees them when it sends, and is interrupted for them the later.
 */
#include "qemu/osdep.h"

#include "netdev.h"

#include "qemu/iov.h"
#include "qemu/main-loop.h"

#include <vionet/spec.h>

#include "compat.h"
#include "fifo.h"
#include "merge.h"

#define QUEUE_FRAMES 512
#define BURST        64 /* frames taken from it at a time */
#define SEND_BURST   8  /* frames sent to it at a time */
#define HEADER       12 /* octets of a packet header, if the peer has such */
#define MAX_RANGES   (IOV_MAX - 1)

#define FEATURE(name) (UINT64_C(1) << VIRTIO_NET_F_##name)

/* With a peer that has packet headers: what it gives and takes. Without: what can be made of its frames. */
#define SUITS_HEADERS                                                                     \
    (FEATURE(CSUM) | FEATURE(GUEST_CSUM) | FEATURE(HOST_TSO4) | FEATURE(HOST_TSO6) |      \
     FEATURE(HOST_ECN) | FEATURE(GUEST_TSO4) | FEATURE(GUEST_TSO6) | FEATURE(GUEST_ECN) | \
     FEATURE(CTRL_GUEST_OFFLOADS))
#define SUITS_UFO (FEATURE(HOST_UFO) | FEATURE(GUEST_UFO))
#define SUITS_USO (FEATURE(HOST_USO) | FEATURE(GUEST_USO4) | FEATURE(GUEST_USO6))
#define SUITS_USER                                                                             \
    (BACKEND_SUITS_SENDING | FEATURE(GUEST_CSUM) | FEATURE(GUEST_TSO4) | FEATURE(GUEST_TSO6) | \
     FEATURE(CTRL_GUEST_OFFLOADS))

struct netdev {
    VionetBackend backend;
    struct netdev_ops ops;
    void *opaque;
    DeviceState *owner;
    NICState *nic;
    bool has_headers; /* packets of the peer begin with a packet header */
    bool is_user;     /* libslirp: its checksums are right */
    bool peer_waits;  /* it has packets for which there was no room */
    unsigned n_late;  /* frames that it takes later, of which QEMU has copies */
    uint64_t offloads;
    struct frame_fifo *fifo;
    struct merger *merger;
    QEMUBH *bh;      /* the guest is to be told of frames */
    uint8_t *linear; /* of a frame in too many ranges */
};

static struct netdev *netdev_of(const VionetBackend *backend)
{
    return (struct netdev *)backend;
}

/* ---- From the guest ---- */

static void sent_at_last(NetClientState *nc, ssize_t len);

static void write_header(struct virtio_net_hdr *header, const VionetFrame *frame)
{
    *header = (struct virtio_net_hdr){
        .flags = frame->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .gso_type = frame->gso_type,
        .hdr_len = GUINT16_TO_LE((uint16_t)MIN(frame->hdr_len, frame->len)),
        .gso_size = GUINT16_TO_LE(frame->gso_size),
        .csum_start = GUINT16_TO_LE(frame->csum_start),
        .csum_offset = GUINT16_TO_LE(frame->csum_offset),
    };
}

/* A frame in more ranges than a call takes becomes one. */
static unsigned collect(struct netdev *netdev, const VionetFrame *frame, struct iovec *iov)
{
    const VionetFrame plain = {.iov = frame->iov, .n_iov = frame->n_iov, .len = frame->len};

    if (!netdev->linear) {
        netdev->linear = g_malloc(VIONET_MAX_FRAME);
    }
    *iov = (struct iovec){netdev->linear,
                          vionet_frame_linearize(&plain, netdev->linear, VIONET_MAX_FRAME)};
    return 1;
}

static void send_frame(struct netdev *netdev, const VionetFrame *frame)
{
    NetClientState *nc = qemu_get_queue(netdev->nic);
    struct virtio_net_hdr header;
    struct iovec iov[1 + MAX_RANGES];
    unsigned n = 0;

    if (netdev->has_headers) {
        write_header(&header, frame);
        iov[n++] = (struct iovec){&header, HEADER};
    }
    if (frame->n_iov > MAX_RANGES) {
        n += collect(netdev, frame, &iov[n]);
    } else {
        memcpy(&iov[n], frame->iov, frame->n_iov * sizeof(iov[0]));
        n += frame->n_iov;
    }
    /* 0: QEMU has copied it, and calls when the peer took it. */
    if (qemu_sendv_packet_async(nc, iov, (int)n, sent_at_last) == 0) {
        netdev->n_late++;
        netdev->backend.full = true;
    }
}

static bool backend_op_send(VionetBackend *backend, const VionetFrame *frames, size_t n)
{
    struct netdev *netdev = netdev_of(backend);

    for (size_t i = 0; i < n; i++) {
        send_frame(netdev, &frames[i]);
    }
    return frame_fifo_waiting(netdev->fifo) > 0;
}

/* ---- To the guest ---- */

static void read_header(const struct virtio_net_hdr *header, VionetFrame *frame)
{
    frame->flags = header->flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID);
    frame->gso_type = header->gso_type;
    frame->hdr_len = GUINT16_FROM_LE(header->hdr_len);
    frame->gso_size = GUINT16_FROM_LE(header->gso_size);
    frame->csum_start = GUINT16_FROM_LE(header->csum_start);
    frame->csum_offset = GUINT16_FROM_LE(header->csum_offset);
}

static ssize_t nic_receive(NetClientState *nc, const struct iovec *iov, int n)
{
    struct netdev *netdev = qemu_get_nic_opaque(nc);
    const size_t size = iov_size(iov, (unsigned)n);
    const size_t header_len = netdev->has_headers ? HEADER : 0;
    struct iovec ranges[IOV_MAX];
    VionetFrame frame = {.iov = ranges, .len = (uint32_t)(size - header_len)};
    struct virtio_net_hdr header;

    if (size <= header_len || size - header_len > VIONET_MAX_FRAME ||
        !netdev->ops.is_wanted(netdev->opaque)) {
        netdev->backend.counters.dropped++;
        return (ssize_t)size;
    }
    if (!frame_fifo_has_room(netdev->fifo)) {
        netdev->peer_waits = true;
        return 0;
    }
    if (header_len > 0) {
        memset(&header, 0, sizeof(header));
        iov_to_buf(iov, (unsigned)n, 0, &header, header_len);
        read_header(&header, &frame);
    }
    frame.n_iov = iov_copy(ranges, G_N_ELEMENTS(ranges), iov, (unsigned)n, header_len, frame.len);
    if (!frame_fifo_put(netdev->fifo, &frame)) {
        netdev->backend.counters.dropped++;
    }
    qemu_bh_schedule(netdev->bh);
    return (ssize_t)size;
}

/* libslirp computes its checksums itself: a guest that could do so takes them as right. */
static unsigned take_burst(struct netdev *netdev, VionetFrame *frames, size_t n)
{
    const bool right = netdev->is_user && (netdev->offloads & FEATURE(GUEST_CSUM));
    const unsigned taken = frame_fifo_take(netdev->fifo, frames, n);

    for (unsigned i = 0; i < taken && right; i++) {
        frames[i].flags = VIRTIO_NET_HDR_F_DATA_VALID;
    }
    return taken;
}

static size_t take_merged(struct netdev *netdev, VionetFrame *frames, size_t n)
{
    VionetFrame burst[BURST];
    size_t made = 0;
    unsigned taken;

    merge_begin(netdev->merger, frames, n, netdev->offloads);
    do {
        taken = take_burst(netdev, burst, MIN(n - made, BURST));
        for (unsigned i = 0; i < taken; i++) {
            made = merge_add(netdev->merger, &burst[i]);
        }
    } while (taken > 0);
    return merge_end(netdev->merger);
}

static size_t backend_op_receive(VionetBackend *backend, VionetFrame *frames, size_t n)
{
    struct netdev *netdev = netdev_of(backend);

    return netdev->has_headers ? take_burst(netdev, frames, n) : take_merged(netdev, frames, n);
}

/* There is room again: who waits sends on, from the main loop. */
static void tell_peer(struct netdev *netdev)
{
    if (netdev->peer_waits && frame_fifo_has_room(netdev->fifo)) {
        qemu_bh_schedule(netdev->bh);
    }
}

static void backend_op_complete(VionetBackend *backend, const VionetFrame *frames, size_t n)
{
    struct netdev *netdev = netdev_of(backend);

    if (netdev->has_headers) {
        frame_fifo_give_back(netdev->fifo, frames, n);
    }
    for (size_t i = 0; i < n && !netdev->has_headers; i++) {
        const VionetFrame *parts;
        const unsigned n_parts = merge_give_back(netdev->merger, &frames[i], &parts);

        frame_fifo_give_back(netdev->fifo, parts, n_parts);
    }
    tell_peer(netdev);
}

void netdev_drop(VionetBackend *backend)
{
    struct netdev *netdev = netdev_of(backend);
    VionetFrame frames[BURST];
    unsigned n;

    while ((n = frame_fifo_take(netdev->fifo, frames, BURST)) > 0) {
        backend->counters.dropped += n;
        frame_fifo_give_back(netdev->fifo, frames, n);
    }
    tell_peer(netdev);
}

/* ---- The main loop ---- */

static void let_peer_send(struct netdev *netdev)
{
    netdev->peer_waits = false;
    for (int i = 0; i < MAX(netdev->nic->conf->peers.queues, 1); i++) {
        qemu_flush_queued_packets(qemu_get_subqueue(netdev->nic, i));
    }
}

static void main_loop_came_round(void *opaque)
{
    struct netdev *netdev = opaque;

    if (netdev->peer_waits && frame_fifo_has_room(netdev->fifo)) {
        let_peer_send(netdev);
    }
    if (runstate_is_running()) {
        backend_ready(&netdev->backend);
        netdev->ops.delivered(netdev->opaque);
    }
}

void netdev_hurry(VionetBackend *backend)
{
    backend_ready(backend);
}

static void sent_at_last(NetClientState *nc, ssize_t len)
{
    struct netdev *netdev = qemu_get_nic_opaque(nc);

    if (--netdev->n_late == 0) {
        netdev->backend.full = false;
        qemu_bh_schedule(netdev->bh);
    }
}

/* ---- Life ---- */

static void backend_op_set_offloads(VionetBackend *backend, uint64_t offloads)
{
    struct netdev *netdev = netdev_of(backend);

    netdev->offloads = offloads;
    for (int i = 0; netdev->has_headers && i < netdev->nic->conf->peers.queues; i++) {
        compat_set_offload(qemu_get_subqueue(netdev->nic, i)->peer, offloads);
    }
}

static void nic_link_switched(NetClientState *nc)
{
    struct netdev *netdev = qemu_get_nic_opaque(nc);

    netdev->ops.link_switched(netdev->opaque, !nc->link_down);
}

static void nic_announce(NetClientState *nc)
{
    struct netdev *netdev = qemu_get_nic_opaque(nc);

    netdev->ops.announce(netdev->opaque);
}

static RxFilterInfo *nic_filter(NetClientState *nc)
{
    struct netdev *netdev = qemu_get_nic_opaque(nc);
    RxFilterInfo *info = g_new0(RxFilterInfo, 1);

    info->name = g_strdup(nc->name);
    netdev->ops.describe_filter(netdev->opaque, info);
    nc->rxfilter_notify_enabled = 1;
    return info;
}

static NetClientInfo nic_info = {
    .type = NET_CLIENT_DRIVER_NIC,
    .size = sizeof(NICState),
    .receive_iov = nic_receive,
    .link_status_changed = nic_link_switched,
    .query_rx_filter = nic_filter,
    .announce = nic_announce,
};

void netdev_filter_changed(VionetBackend *backend, const uint8_t *mac)
{
    NetClientState *nc = qemu_get_queue(netdev_of(backend)->nic);
    g_autofree char *path = NULL;

    qemu_format_nic_info_str(nc, (uint8_t *)mac);
    if (nc->rxfilter_notify_enabled) {
        path = object_get_canonical_path(OBJECT(netdev_of(backend)->owner));
        compat_send_filter_changed(netdev_of(backend)->owner->id, path);
        nc->rxfilter_notify_enabled = 0;
    }
}

static void backend_op_close(VionetBackend *backend)
{
    struct netdev *netdev = netdev_of(backend);

    /* What its peers have not taken would be told to it later. */
    for (int i = 0; i < MAX(netdev->nic->conf->peers.queues, 1); i++) {
        qemu_purge_queued_packets(qemu_get_subqueue(netdev->nic, i));
    }
    qemu_del_nic(netdev->nic);
    qemu_bh_delete(netdev->bh);
    merger_free(netdev->merger);
    frame_fifo_free(netdev->fifo);
    g_free(netdev->linear);
    g_free(netdev);
}

static const struct backend_ops ops = {
    .name = "netdev",
    .close = backend_op_close,
    .set_offloads = backend_op_set_offloads,
    .send = backend_op_send,
    .receive = backend_op_receive,
    .complete = backend_op_complete,
};

/* All of a netdev's queues are of one kind. */
static void ask_peer(struct netdev *netdev)
{
    const int n = netdev->nic->conf->peers.queues;
    NetClientState *first = qemu_get_queue(netdev->nic)->peer;

    if (!first) {
        return;
    }
    if (qemu_has_vnet_hdr(first) && qemu_has_vnet_hdr_len(first, HEADER)) {
        netdev->has_headers = true;
        netdev->backend.takes = BACKEND_CSUM | BACKEND_GSO;
        netdev->backend.suits = SUITS_HEADERS;
        if (qemu_has_ufo(first)) {
            netdev->backend.takes |= BACKEND_UFO;
            netdev->backend.suits |= SUITS_UFO;
        }
        if (compat_has_uso(first)) {
            netdev->backend.takes |= BACKEND_USO;
            netdev->backend.suits |= SUITS_USO;
        }
        for (int i = 0; i < n; i++) {
            compat_use_headers(qemu_get_subqueue(netdev->nic, i)->peer, HEADER);
        }
    } else if (first->info->type == NET_CLIENT_DRIVER_USER) {
        netdev->is_user = true;
        netdev->backend.takes = BACKEND_LONG_TCP;
        netdev->backend.suits = SUITS_USER;
    }
}

VionetBackend *netdev_new(NICConf *conf, DeviceState *owner, const struct netdev_ops *netdev_ops,
                          void *opaque)
{
    struct netdev *netdev = g_new0(struct netdev, 1);

    netdev->backend.ops = &ops;
    netdev->backend.burst = SEND_BURST;
    netdev->ops = *netdev_ops;
    netdev->opaque = opaque;
    netdev->owner = owner;
    netdev->fifo = frame_fifo_new(QUEUE_FRAMES);
    netdev->merger = merger_new();
    netdev->bh = qemu_bh_new_guarded(main_loop_came_round, netdev, &owner->mem_reentrancy_guard);
    netdev->nic = qemu_new_nic(&nic_info, conf, object_get_typename(OBJECT(owner)), owner->id,
                               &owner->mem_reentrancy_guard, netdev);
    qemu_format_nic_info_str(qemu_get_queue(netdev->nic), conf->macaddr.a);
    ask_peer(netdev);
    return &netdev->backend;
}
