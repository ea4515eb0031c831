/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames from the device (VIRTIO 1.4, 5.1.6.3 and 5.1.6.4): post buffers, take them back, put
 * packets of several buffers together, and see whether the header can be true.
 */
#include <string.h>

#include <glib.h>
#include <vionet/spec.h>

#include "net_private.h"

#define GSO_BITS                                                   \
    (VIRTIO_NET_HDR_GSO_ECN | VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV4 | \
     VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV6)
#define USUAL_BUFFERS 256

static struct virtq *ring_of(struct guest_net *net, const struct net_receive_queue *queue)
{
    return guest_queue_ring(net->driver, queue->index);
}

static void kick(struct guest_net *net, struct net_receive_queue *queue)
{
    queue->added = 0;
    guest_queue_kick(net->driver, queue->index);
}

/* Put a buffer into the ring; false if there is no room. */
static bool post(struct guest_net *net, struct net_receive_queue *queue, struct net_buffer *buffer)
{
    struct virtq *vq = ring_of(net, queue);

    if (!vq) {
        return false;
    }
    if (net->options.poison) {
        memset(buffer->host, NET_POISON, net->receive_size);
    }
    for (unsigned i = 0; i < queue->n_segments; i++) {
        queue->segments[i] = queue->pieces[i];
        queue->segments[i].gpa += buffer->gpa;
    }
    if (!layout_add(&net->options.receive_layout, vq, queue->segments, queue->n_segments,
                    buffer->table_gpa, buffer)) {
        return false;
    }
    queue->added++;
    return true;
}

/* Post up to n of the idle buffers; how many it were. */
static unsigned post_idle(struct guest_net *net, struct net_receive_queue *queue, unsigned n)
{
    unsigned posted = 0;

    while (posted < n && queue->n_idle && post(net, queue, queue->idle[queue->n_idle - 1])) {
        queue->n_idle--;
        posted++;
    }
    return posted;
}

/* The packet at hand is done with. */
static void recycle(struct guest_net *net, struct net_receive_queue *queue)
{
    unsigned n = queue->n_current;

    while (queue->n_current) {
        queue->idle[queue->n_idle++] = queue->current[--queue->n_current];
    }
    if (n && !net->options.hold) {
        post_idle(net, queue, n);
    }
}

static void cut(struct guest_net *net, struct net_receive_queue *queue)
{
    const struct net_layout *layout = &net->options.receive_layout;

    queue->n_segments = layout_count(layout, net->receive_size, net->header_size);
    queue->pieces = g_renew(struct virtq_segment, queue->pieces, queue->n_segments);
    queue->segments = g_renew(struct virtq_segment, queue->segments, queue->n_segments);
    layout_cut(layout, 0, net->receive_size, net->header_size, true, queue->pieces);
}

static bool make_buffers(struct guest_net *net, struct net_receive_queue *queue, unsigned size)
{
    const struct net_options *options = &net->options;
    unsigned most = size / layout_entries(&options->receive_layout, queue->n_segments);
    unsigned n = options->receive_buffers ? options->receive_buffers : USUAL_BUFFERS;

    queue->n_buffers = n < most ? n : most;
    if (queue->n_buffers == 0) {
        complaints_add(net->driver->complaints,
                       "a receive buffer of %u descriptors does not fit a ring of %u",
                       queue->n_segments, size);
        return false;
    }
    queue->batch = options->receive_batch ? options->receive_batch : (queue->n_buffers + 7) / 8;
    queue->current = g_renew(struct net_buffer *, queue->current, queue->n_buffers);
    queue->idle = g_renew(struct net_buffer *, queue->idle, queue->n_buffers);
    if (net->allowed.multiple && !queue->assembly) {
        queue->assembly = g_malloc(NET_ASSEMBLY_SIZE);
    }
    return net_buffers_make(net, &queue->buffers, queue->n_buffers, net->receive_size);
}

static bool make_tables(struct guest_net *net, struct net_receive_queue *queue)
{
    for (unsigned i = 0; net->options.receive_layout.indirect && i < queue->n_buffers; i++) {
        if (!net_buffer_table(net, &queue->buffers.at[i], queue->n_segments)) {
            return false;
        }
    }
    return true;
}

bool net_receive_start(struct guest_net *net, unsigned pair)
{
    struct net_receive_queue *queue = &net->receive[pair];
    struct virtq *vq = ring_of(net, queue);

    if (!vq) {
        return false;
    }
    cut(net, queue);
    if (!make_buffers(net, queue, virtq_options(vq)->size) || !make_tables(net, queue)) {
        return false;
    }
    queue->n_current = 0;
    queue->added = 0;
    for (queue->n_idle = 0; queue->n_idle < queue->n_buffers; queue->n_idle++) {
        queue->idle[queue->n_idle] = &queue->buffers.at[queue->n_buffers - 1 - queue->n_idle];
    }
    if (!net->options.hold) {
        post_idle(net, queue, queue->n_buffers);
    }
    kick(net, queue);
    return true;
}

unsigned net_post(struct guest_net *net, unsigned pair, unsigned n)
{
    struct net_receive_queue *queue;
    unsigned posted;

    if (pair >= net->pairs) {
        return 0;
    }
    queue = &net->receive[pair];
    posted = post_idle(net, queue, n);
    kick(net, queue);
    return posted;
}

unsigned net_post_silently(struct guest_net *net, unsigned pair, unsigned n)
{
    struct net_receive_queue *queue;
    unsigned posted;

    if (pair >= net->pairs || !ring_of(net, &net->receive[pair])) {
        return 0;
    }
    queue = &net->receive[pair];
    posted = post_idle(net, queue, n);
    virtq_publish(ring_of(net, queue));
    return posted;
}

void net_receive_free(struct net_receive_queue *queue)
{
    g_free(queue->buffers.at);
    g_free(queue->pieces);
    g_free(queue->segments);
    g_free(queue->current);
    g_free(queue->idle);
    g_free(queue->assembly);
}

/* See that the device wrote nothing beyond what it says it wrote. */
static void check_rest(struct guest_net *net, const struct net_receive_queue *queue,
                       const struct net_buffer *buffer, uint32_t len)
{
    for (uint32_t i = len; i < net->receive_size; i++) {
        if (buffer->host[i] != NET_POISON) {
            complaints_add(net->driver->complaints,
                           "receiveq%u: octet %u of a buffer was written, its used length is %u",
                           queue->index / 2 + 1, i, len);
            return;
        }
    }
}

/* The next used buffer of ours; it belongs to the packet at hand. */
static struct net_buffer *next_buffer(struct guest_net *net, struct net_receive_queue *queue,
                                      struct virtq *vq, uint32_t *len)
{
    struct virtq_used used;

    while (queue->n_current < queue->n_buffers && virtq_poll(vq, &used)) {
        struct net_buffer *buffer =
            net_buffers_find(&queue->buffers, queue->n_buffers, used.cookie);

        if (!buffer) {
            continue; /* a test's own */
        }
        queue->current[queue->n_current++] = buffer;
        *len = used.len;
        if (net->options.poison) {
            check_rest(net, queue, buffer, used.len);
        }
        return buffer;
    }
    return NULL;
}

static const char *gso_fault(const struct net_allowed *allowed, const struct net_header *header)
{
    uint8_t type = header->gso_type & (uint8_t)~GSO_BITS;
    uint8_t tunnel = header->gso_type &
                     (VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV4 | VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV6);

    if (type >= 8 || !(allowed->gso_types >> type & 1)) {
        return "gso_type is not negotiated";
    }
    if (header->gso_type & GSO_BITS & ~allowed->gso_bits) {
        return "a bit of gso_type is not negotiated";
    }
    if (tunnel && (tunnel & (tunnel - 1) || type == VIRTIO_NET_HDR_GSO_NONE)) {
        return "tunnel bits of gso_type contradict";
    }
    if (tunnel && header->flags & VIRTIO_NET_HDR_F_DATA_VALID) {
        return "DATA_VALID with a tunnel";
    }
    if (type == VIRTIO_NET_HDR_GSO_NONE) {
        return NULL;
    }
    if (!(header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)) {
        return "gso_type without NEEDS_CSUM";
    }
    return header->gso_size == 0 ? "gso_size is 0" : NULL;
}

/* What is wrong with a header in front of so many octets of frame (5.1.6.4). */
static const char *header_fault(const struct net_allowed *allowed, const struct net_header *header,
                                uint32_t len)
{
    if (header->flags & ~allowed->flags) {
        return "a flag is not negotiated";
    }
    /* With RSC_INFO the checksum fields hold counts. */
    if ((header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) &&
        !(header->flags & VIRTIO_NET_HDR_F_RSC_INFO) &&
        header->csum_start + header->csum_offset + 2u > len) {
        return "the checksum is outside of the frame";
    }
    if (header->hash_report > VIRTIO_NET_HASH_REPORT_UDPv6_EX) {
        return "hash_report is unknown";
    }
    return header->gso_type ? gso_fault(allowed, header) : NULL;
}

/* Copy a packet of several buffers together; all of them have to be there. */
static const char *assemble(struct guest_net *net, struct net_receive_queue *queue,
                            struct virtq *vq, struct guest_packet *packet)
{
    const uint8_t *from = packet->data;
    uint32_t len = packet->len;

    packet->len = 0;
    packet->data = queue->assembly;
    for (unsigned i = 1;; i++) {
        const struct net_buffer *buffer;

        if (len > NET_ASSEMBLY_SIZE - packet->len) {
            return "a packet is longer than any may be";
        }
        memcpy(queue->assembly + packet->len, from, len);
        packet->len += len;
        if (i == packet->n_buffers) {
            return NULL;
        }
        if (len + (i == 1 ? net->header_size : 0) != net->receive_size) {
            return "a buffer is not filled, yet it is not the packet's last";
        }
        buffer = next_buffer(net, queue, vq, &len);
        if (!buffer) {
            return "num_buffers is more than what became used together";
        }
        from = buffer->host;
    }
}

/* Make a packet of the buffer just taken, and of those that belong to it. */
static const char *make_packet(struct guest_net *net, struct net_receive_queue *queue,
                               struct virtq *vq, uint32_t len, struct guest_packet *packet)
{
    const struct net_buffer *first = queue->current[0];
    const char *fault = NULL;

    if (len < net->header_size) {
        return "a used buffer is shorter than the header";
    }
    packet->pair = queue->index / 2;
    packet->raw_header = first->host;
    packet->data = first->host + net->header_size;
    packet->len = len - net->header_size;
    header_load(first->host, net->header_size, net->driver->options.big_endian, &packet->header);
    packet->n_buffers = packet->header.num_buffers;
    if (packet->n_buffers == 0 || (packet->n_buffers > 1 && !net->allowed.multiple)) {
        return "num_buffers is impossible";
    }
    if (packet->n_buffers > 1) {
        fault = assemble(net, queue, vq, packet);
    }
    return fault;
}

static void complain(struct guest_net *net, const struct net_receive_queue *queue,
                     const char *fault, const struct net_header *header, uint32_t len)
{
    complaints_add(net->driver->complaints,
                   "receiveq%u: %s (flags 0x%x, gso_type 0x%x, gso_size %u, csum %u+%u, "
                   "num_buffers %u, hash_report %u, %u octets)",
                   queue->index / 2 + 1, fault, header->flags, header->gso_type, header->gso_size,
                   header->csum_start, header->csum_offset, header->num_buffers,
                   header->hash_report, len);
}

/* The next packet that can be handed out; what cannot is complained of and given back. */
static bool take_packet(struct guest_net *net, struct net_receive_queue *queue, struct virtq *vq,
                        struct guest_packet *packet)
{
    uint32_t len;

    for (unsigned tries = 0; tries <= virtq_options(vq)->size; tries++) {
        const char *fault;

        if (!next_buffer(net, queue, vq, &len)) {
            return false;
        }
        *packet = (struct guest_packet){0};
        fault = make_packet(net, queue, vq, len, packet);
        if (!fault) {
            fault = header_fault(&net->allowed, &packet->header, packet->len);
            if (fault) {
                complain(net, queue, fault, &packet->header, packet->len);
            }
            return true;
        }
        complain(net, queue, fault, &packet->header, len);
        recycle(net, queue);
    }
    return false;
}

bool net_receive_pair(struct guest_net *net, unsigned pair, struct guest_packet *packet)
{
    struct net_receive_queue *queue;
    struct virtq *vq;

    if (pair >= net->pairs) {
        return false;
    }
    queue = &net->receive[pair];
    vq = ring_of(net, queue);
    if (!vq) {
        return false;
    }
    recycle(net, queue);
    if (queue->added >= queue->batch) {
        kick(net, queue);
    }
    if (take_packet(net, queue, vq, packet)) {
        return true;
    }
    if (queue->added == 0) {
        return false;
    }
    /* The device may have waited for buffers, and delivers when told of them. */
    kick(net, queue);
    return take_packet(net, queue, vq, packet);
}

bool net_receive(struct guest_net *net, struct guest_packet *packet)
{
    for (unsigned i = 0; i < net->pairs; i++) {
        unsigned pair = net->next_pair + i;

        if (net_receive_pair(net, pair < net->pairs ? pair : pair - net->pairs, packet)) {
            net->next_pair = packet->pair;
            return true;
        }
    }
    return false;
}

void net_recycle(struct guest_net *net)
{
    for (unsigned i = 0; i < net->pairs; i++) {
        struct net_receive_queue *queue = &net->receive[i];

        recycle(net, queue);
        if (queue->added) {
            kick(net, queue);
        }
    }
}
