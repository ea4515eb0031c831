/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames to the device (VIRTIO 1.4, 5.1.6.1 and 5.1.6.2); see net.h. */
#include <string.h>

#include <glib.h>
#include <vionet/spec.h>

#include "net_private.h"

#define USUAL_BUFFERS 32

bool net_transmit_start(struct guest_net *net, unsigned pair)
{
    struct net_transmit_queue *queue = &net->transmit[pair];
    struct virtq *vq = guest_queue_ring(net->driver, queue->index);
    unsigned n = net->options.transmit_buffers ? net->options.transmit_buffers : USUAL_BUFFERS;

    if (!vq) {
        return false;
    }
    queue->n_buffers = n < virtq_options(vq)->size ? n : virtq_options(vq)->size;
    if (!net_buffers_make(net, &queue->buffers, queue->n_buffers, net->transmit_size)) {
        return false;
    }
    queue->free = g_renew(struct net_buffer *, queue->free, queue->n_buffers);
    queue->n_free = 0;
    for (unsigned i = queue->n_buffers; i > 0; i--) {
        queue->free[queue->n_free++] = &queue->buffers.at[i - 1];
    }
    return true;
}

void net_transmit_free(struct net_transmit_queue *queue)
{
    g_free(queue->buffers.at);
    g_free(queue->free);
    g_free(queue->segments);
}

unsigned net_reclaim(struct guest_net *net, unsigned pair)
{
    struct net_transmit_queue *queue;
    struct virtq *vq;
    struct virtq_used used;
    unsigned n = 0;

    if (pair >= net->pairs) {
        return 0;
    }
    queue = &net->transmit[pair];
    vq = guest_queue_ring(net->driver, queue->index);
    while (vq && queue->n_free < queue->n_buffers && virtq_poll(vq, &used)) {
        struct net_buffer *buffer =
            net_buffers_find(&queue->buffers, queue->n_buffers, used.cookie);

        if (buffer) {
            queue->free[queue->n_free++] = buffer;
            n++;
        }
    }
    return n;
}

unsigned net_transmit_pending(const struct guest_net *net, unsigned pair)
{
    if (pair >= net->pairs) {
        return 0;
    }
    return net->transmit[pair].n_buffers - net->transmit[pair].n_free;
}

/*
 * The buffer for the next frame of so many octets; it stays on the stack until the frame is added.
 * Reclaims if buffers or ring entries have run out.
 */
static struct net_buffer *next_free(struct guest_net *net, unsigned pair,
                                    const struct net_layout *layout, uint64_t len)
{
    struct net_transmit_queue *queue;
    struct virtq *vq;
    unsigned n;

    if (pair >= net->pairs || len > net->transmit_size) {
        return NULL;
    }
    queue = &net->transmit[pair];
    vq = guest_queue_ring(net->driver, queue->index);
    n = layout_count(layout, (uint32_t)len, net->header_size);
    if (!vq || n == 0) {
        return NULL;
    }
    if (queue->n_free == 0 || virtq_room(vq) < layout_entries(layout, n)) {
        net_reclaim(net, pair);
    }
    return queue->n_free ? queue->free[queue->n_free - 1] : NULL;
}

static bool add(struct guest_net *net, unsigned pair, const struct net_layout *layout,
                struct net_buffer *buffer, uint32_t len)
{
    struct net_transmit_queue *queue = &net->transmit[pair];
    struct virtq *vq = guest_queue_ring(net->driver, queue->index);
    unsigned n = layout_count(layout, len, net->header_size);

    if (layout->indirect && !net_buffer_table(net, buffer, n)) {
        return false;
    }
    net_segments(&queue->segments, &queue->max_segments, n);
    layout_cut(layout, buffer->gpa, len, net->header_size, false, queue->segments);
    if (!layout_add(layout, vq, queue->segments, n, buffer->table_gpa, buffer)) {
        return false;
    }
    queue->n_free--;
    return true;
}

static const struct net_layout *or_usual(const struct guest_net *net,
                                         const struct net_layout *layout)
{
    return layout ? layout : &net->options.transmit_layout;
}

bool net_transmit_octets(struct guest_net *net, unsigned pair, const struct net_layout *layout,
                         const void *octets, uint32_t len)
{
    struct net_buffer *buffer = next_free(net, pair, or_usual(net, layout), len);

    if (!buffer) {
        return false;
    }
    if (len) {
        memcpy(buffer->host, octets, len);
    }
    return add(net, pair, or_usual(net, layout), buffer, len);
}

bool net_transmit_add(struct guest_net *net, unsigned pair, const struct net_layout *layout,
                      const struct net_header *header, const void *data, uint32_t len)
{
    static const struct net_header nothing;
    uint64_t whole = (uint64_t)net->header_size + len;
    struct net_buffer *buffer = next_free(net, pair, or_usual(net, layout), whole);

    if (!buffer) {
        return false;
    }
    header_store(buffer->host, net->header_size, net->driver->options.big_endian,
                 header ? header : &nothing);
    if (len) {
        memcpy(buffer->host + net->header_size, data, len);
    }
    return add(net, pair, or_usual(net, layout), buffer, (uint32_t)whole);
}

void net_transmit_flush(struct guest_net *net, unsigned pair)
{
    if (pair < net->pairs) {
        guest_queue_kick(net->driver, net->transmit[pair].index);
    }
}

bool net_transmit(struct guest_net *net, unsigned pair, const struct net_header *header,
                  const void *data, uint32_t len)
{
    if (!net_transmit_add(net, pair, NULL, header, data, len)) {
        return false;
    }
    net_transmit_flush(net, pair);
    return true;
}
