/* SPDX-License-Identifier: BSD-3-Clause */
/* The machine of the reference files (see reference.h). Nothing here may change: it is what they say. */
#include "state/reference.h"

#include <vionet/spec.h>
#include <vionet/transport.h>

#define PAIRS 2

const uint8_t reference_key[REFERENCE_KEY_SIZE] = {
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
    0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
    0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};
const uint16_t reference_table[REFERENCE_TABLE] = {0, 1, 1, 0, 1, 0, 0, 1};
const uint8_t reference_mac[6] = {2, 0, 0, 0, 0, 0x17};

static const uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5};

void reference_setup(struct machine_setup *setup, enum machine_ring ring)
{
    machine_setup_init(setup);
    setup->device.dialect = vionet_dialect_find("ratified");
    machine_setup_offer_all(setup);
    vionet_features_set(setup->device.features, VIRTIO_F_IN_ORDER, false);
    setup->device.max_pairs = PAIRS;
    setup->device.receive_queue_size = 32;
    setup->device.transmit_queue_size = 16;
    setup->device.control_queue_size = 16;
    setup->device.mtu = 1500;
    setup->device.speed = 10000;
    setup->device.duplex = 1;
    setup->device.max_rss_contexts = 2;
    setup->memory_size = 8 << 20;
    setup->kind = MACHINE_MAPPED;
    setup->ring = ring;
    setup->net.receive_buffers = 16;
    setup->net.transmit_buffers = 8;
    setup->net.transmit_size = 2048;
}

static void must(bool good)
{
    if (!good) {
        g_error("the reference machine does not do what it did");
    }
}

static void command(int answer)
{
    must(answer == VIRTIO_NET_OK);
}

static void configure_filter(struct guest_net *net)
{
    static const uint8_t unicast[] = {2, 0, 0, 0, 0, 0x21, 2, 0, 0, 0, 0, 0x22};
    static const uint8_t multicast[] = {1, 0, 0x5e, 0, 0, 1};

    command(net_control_rx(net, VIRTIO_NET_CTRL_RX_ALLMULTI, true));
    command(net_control_mac_table(net, unicast, 2, multicast, 1));
    command(net_control_mac(net, reference_mac));
    for (uint16_t id = 0; id < 4000; id += 1000) {
        command(net_control_vlan_add(net, id));
    }
}

static void configure_steering(struct guest_net *net)
{
    struct net_rss rss = {
        .hash_types = VIRTIO_NET_HASH_TYPE_IPv4 | VIRTIO_NET_HASH_TYPE_UDPv4,
        .table = reference_table,
        .table_len = REFERENCE_TABLE,
        .unclassified_queue = 1,
        .max_tx_vq = PAIRS,
        .key = reference_key,
        .key_len = REFERENCE_KEY_SIZE,
    };

    command(net_control_rss(net, &rss));
    command(net_control_hash_tunnel(net, VIRTIO_NET_HASH_TUNNEL_TYPE_VXLAN));
    rss.hash_types = VIRTIO_NET_HASH_TYPE_IPv6;
    rss.table_len = 2;
    command(net_control_context_add(net, 2, &rss));
}

/* Two frames stay with the host, of which the second was taken after one that came back. */
static void pass_frames(struct machine *machine)
{
    VionetFrame out[3];
    struct guest_packet packet;

    for (unsigned i = 0; i < 5; i++) {
        must(machine_deliver(machine, frame, sizeof(frame)) == VIONET_DELIVERED);
        must(net_receive(machine->net, &packet));
    }
    net_recycle(machine->net);
    for (unsigned i = 0; i < 20; i++) {
        must(net_transmit(machine->net, 1, NULL, frame, sizeof(frame)));
        must(machine_drain(machine, 1) == 1);
        must(net_reclaim(machine->net, 1) == 1);
    }
    for (unsigned i = 0; i < 4; i++) {
        must(net_transmit(machine->net, 1, NULL, frame, sizeof(frame)));
    }
    must(vionet_device_transmit(machine->device, 1, out, 3) == 3);
    vionet_device_complete(machine->device, 1, &out[1], 1);
}

static void configure_coalescing(struct guest_net *net)
{
    command(net_control_coalesce_rx(net, 8, 50));
    command(net_control_coalesce_tx(net, 16, 100));
    command(net_control_coalesce_queue(net, 2, 4, 25));
}

struct machine *reference_machine(enum machine_ring ring)
{
    struct machine_setup setup;
    struct machine *machine;
    struct guest_net *net;

    reference_setup(&setup, ring);
    machine = machine_booted(&setup, features_known());
    net = machine->net;
    configure_filter(net);
    configure_steering(net);
    command(net_control_offloads(net, UINT64_C(1) << VIRTIO_NET_F_GUEST_CSUM));
    configure_coalescing(net);
    pass_frames(machine);
    must(vionet_device_announce(machine->device));
    pci_msix_mask(&machine->driver->pci, 0, true);
    vionet_device_set_link(machine->device, false);
    guest_common_write(machine->driver, offsetof(struct virtio_pci_common_cfg, queue_select), 2, 3);
    vionet_device_set_paused(machine->device, true);
    return machine;
}

void reference_setup_over(struct machine_setup *setup, enum machine_transport transport)
{
    reference_setup(setup, MACHINE_SPLIT);
    setup->transport = transport;
}

VionetStandby *reference_standby(struct machine *machine)
{
    const VionetStandbyConfig config = {.size = sizeof(config), .model = VIONET_STANDBY_COMBINED};
    const VionetStandbyOps ops = {.size = sizeof(ops)};
    const VionetPrimary primary = {.size = sizeof(primary)};
    VionetStandby *standby = vionet_standby_new(&config, &ops, NULL, NULL);

    must(standby && vionet_standby_configure(standby, &primary, NULL));
    vionet_standby_attach(standby, machine->device);
    return standby;
}

struct machine *reference_machine_over(enum machine_transport transport, VionetStandby **standby)
{
    struct machine_setup setup;
    struct machine *machine;
    struct guest_net *net;

    reference_setup_over(&setup, transport);
    machine = machine_booted(&setup, features_known());
    net = machine->net;
    configure_filter(net);
    command(net_control_offloads(net, UINT64_C(1) << VIRTIO_NET_F_GUEST_CSUM));
    if (machine->driver->transport->legacy) {
        command(net_control_pairs(net, PAIRS));
    } else {
        configure_steering(net);
        configure_coalescing(net);
    }
    pass_frames(machine);
    must(vionet_device_announce(machine->device));
    vionet_device_set_link(machine->device, false);
    guest_common_write(machine->driver, offsetof(struct virtio_pci_common_cfg, queue_select), 2, 3);
    *standby = reference_standby(machine);
    must(vionet_standby_input(*standby, VIONET_STANDBY_HIDE));
    must(vionet_standby_input(*standby, VIONET_STANDBY_MIGRATION_STARTS));
    vionet_device_set_paused(machine->device, true);
    return machine;
}
