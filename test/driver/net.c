/* SPDX-License-Identifier: BSD-3-Clause */
/* Setting up the network side of a driver, and its buffers in guest memory; see net.h. */
#include "net_private.h"

#include <glib.h>
#include <vionet/spec.h>

#define ETHERNET_HEADER 14
#define VLAN_TAGS       8
/* The longest IP packet of a segmentation offload, with its Ethernet header. */
#define LONGEST_FRAME 65550

struct guest_net *net_new(struct guest_driver *driver, const struct net_options *options)
{
    struct guest_net *net = g_new0(struct guest_net, 1);

    net->driver = driver;
    if (options) {
        net->options = *options;
    }
    return net;
}

void net_free(struct guest_net *net)
{
    if (!net) {
        return;
    }
    for (unsigned i = 0; i < net->n_pairs; i++) {
        net_receive_free(&net->receive[i]);
        net_transmit_free(&net->transmit[i]);
    }
    net_control_free(&net->control);
    g_free(net->receive);
    g_free(net->transmit);
    g_free(net);
}

unsigned net_header_size(const struct guest_net *net)
{
    return net->header_size;
}

struct guest_driver *net_driver(const struct guest_net *net)
{
    return net->driver;
}

static bool may_get_large_frames(const struct guest_driver *driver)
{
    return guest_driver_has(driver, VIRTIO_NET_F_GUEST_TSO4) ||
           guest_driver_has(driver, VIRTIO_NET_F_GUEST_TSO6) ||
           guest_driver_has(driver, VIRTIO_NET_F_GUEST_UFO) ||
           guest_driver_has(driver, VIRTIO_NET_F_GUEST_USO4) ||
           guest_driver_has(driver, VIRTIO_NET_F_GUEST_USO6);
}

/* The least that the driver must offer (5.1.6.3.1), and a little for VLAN tags. */
static uint32_t usual_receive_size(const struct guest_net *net)
{
    const struct guest_driver *driver = net->driver;
    uint32_t mtu = guest_driver_has(driver, VIRTIO_NET_F_MTU) ? driver->config.mtu : 1500;

    if (guest_driver_has(driver, VIRTIO_NET_F_MRG_RXBUF)) {
        mtu = 1500;
    } else if (may_get_large_frames(driver)) {
        return net->header_size + LONGEST_FRAME;
    }
    return net->header_size + ETHERNET_HEADER + VLAN_TAGS + mtu;
}

static void learn_allowed(struct guest_net *net)
{
    const struct guest_driver *driver = net->driver;
    struct net_allowed *allowed = &net->allowed;
    bool uso = guest_driver_has(driver, VIRTIO_NET_F_GUEST_USO4) ||
               guest_driver_has(driver, VIRTIO_NET_F_GUEST_USO6);

    *allowed = (struct net_allowed){.gso_types = 1 << VIRTIO_NET_HDR_GSO_NONE};
    if (guest_driver_has(driver, VIRTIO_NET_F_GUEST_CSUM)) {
        allowed->flags |= VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID;
    }
    if (guest_driver_has(driver, VIRTIO_NET_F_RSC_EXT)) {
        allowed->flags |= VIRTIO_NET_HDR_F_RSC_INFO;
    }
    if (guest_driver_has(driver, VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO_CSUM)) {
        allowed->flags |= VIRTIO_NET_HDR_F_UDP_TUNNEL_CSUM;
    }
    if (guest_driver_has(driver, VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO)) {
        allowed->gso_bits |=
            VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV4 | VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV6;
    }
    if (guest_driver_has(driver, VIRTIO_NET_F_GUEST_ECN)) {
        allowed->gso_bits |= VIRTIO_NET_HDR_GSO_ECN;
    }
    allowed->gso_types |= guest_driver_has(driver, VIRTIO_NET_F_GUEST_TSO4)
                          << VIRTIO_NET_HDR_GSO_TCPV4;
    allowed->gso_types |= guest_driver_has(driver, VIRTIO_NET_F_GUEST_UFO)
                          << VIRTIO_NET_HDR_GSO_UDP;
    allowed->gso_types |= guest_driver_has(driver, VIRTIO_NET_F_GUEST_TSO6)
                          << VIRTIO_NET_HDR_GSO_TCPV6;
    allowed->gso_types |= uso << VIRTIO_NET_HDR_GSO_UDP_L4;
    allowed->multiple = guest_driver_has(driver, VIRTIO_NET_F_MRG_RXBUF);
}

static void have_pairs(struct guest_net *net, unsigned pairs)
{
    net->pairs = pairs;
    if (pairs <= net->n_pairs) {
        return;
    }
    net->receive = g_renew(struct net_receive_queue, net->receive, pairs);
    net->transmit = g_renew(struct net_transmit_queue, net->transmit, pairs);
    for (; net->n_pairs < pairs; net->n_pairs++) {
        net->receive[net->n_pairs] = (struct net_receive_queue){.index = 2 * net->n_pairs};
        net->transmit[net->n_pairs] = (struct net_transmit_queue){.index = 2 * net->n_pairs + 1};
    }
}

bool net_start(struct guest_net *net)
{
    struct guest_driver *driver = net->driver;
    const struct net_options *options = &net->options;

    net->header_size = header_size(&driver->accepted);
    net->receive_size = options->receive_size ? options->receive_size : usual_receive_size(net);
    net->transmit_size =
        options->transmit_size ? options->transmit_size : net->header_size + LONGEST_FRAME;
    net->control_size = options->control_size ? options->control_size : 160 * 1024;
    net->next_pair = 0;
    learn_allowed(net);
    have_pairs(net, driver->pairs);
    if (driver->has_control && !net_control_start(net)) {
        return false;
    }
    for (unsigned i = 0; i < net->pairs; i++) {
        if (!net_transmit_start(net, i) || !net_receive_start(net, i)) {
            return false;
        }
    }
    return true;
}

bool net_reset_queue(struct guest_net *net, unsigned index, uint16_t size)
{
    struct guest_driver *driver = net->driver;

    if (!guest_queue_reset(driver, index) || !guest_queue_setup(driver, index, size)) {
        return false;
    }
    if (driver->has_control && index == driver->control) {
        return net_control_start(net);
    }
    if (index / 2 >= net->pairs) {
        return true;
    }
    return index % 2 ? net_transmit_start(net, index / 2) : net_receive_start(net, index / 2);
}

/* Octets from one buffer to the next; a power of two makes them fight for the same cache sets. */
static uint32_t pitch(uint32_t size)
{
    uint32_t rounded = (size + 63) & ~63u;

    return rounded % 1024 ? rounded : rounded + 128;
}

bool net_buffers_make(struct guest_net *net, struct net_buffers *buffers, unsigned n, uint32_t size)
{
    if (n <= buffers->n && size <= buffers->size) {
        return true;
    }
    g_free(buffers->at);
    *buffers = (struct net_buffers){.at = g_new0(struct net_buffer, n)};
    for (unsigned i = 0; i < n; i++) {
        struct net_buffer *buffer = &buffers->at[i];

        buffer->gpa = guest_alloc(net->driver->memory, pitch(size), 64);
        buffer->host = guest_ptr(net->driver->memory, buffer->gpa, size);
        if (!buffer->host) {
            complaints_add(net->driver->complaints, "no guest memory for %u buffers of %u octets",
                           n, size);
            return false;
        }
    }
    buffers->n = n;
    buffers->size = size;
    return true;
}

bool net_buffer_table(struct guest_net *net, struct net_buffer *buffer, unsigned n)
{
    uint64_t gpa;

    if (n <= buffer->table_entries) {
        return true;
    }
    gpa = guest_alloc(net->driver->memory, 16 * (uint64_t)n, 16);
    if (gpa == GUEST_NONE) {
        complaints_add(net->driver->complaints, "no guest memory for a table of %u entries", n);
        return false;
    }
    buffer->table_gpa = gpa;
    buffer->table_entries = n;
    return true;
}

struct net_buffer *net_buffers_find(const struct net_buffers *buffers, unsigned n, void *cookie)
{
    uintptr_t offset = (uintptr_t)cookie - (uintptr_t)buffers->at;

    if (offset >= n * sizeof(*buffers->at) || offset % sizeof(*buffers->at)) {
        return NULL;
    }
    return cookie;
}

void net_segments(struct virtq_segment **segments, unsigned *max, unsigned n)
{
    if (n > *max) {
        *segments = g_renew(struct virtq_segment, *segments, n);
        *max = n;
    }
}
