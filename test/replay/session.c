/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device and its guest driver for one replay (see session.h): PCI probing, negotiation, rings in
 * guest memory, promiscuous mode and RSS through the control queue. What is reported is what the
 * driver finds in its receive buffers; only the reason of a drop comes from the host's side.
 */
#include "session.h"

#include <string.h>

#include <vionet/spec.h>

#include "machine/machine.h"

#define RECEIVE_SIZE     4096
#define RECEIVE_BUFFERS  32 /* hold the largest frame */
#define TRANSMIT_SIZE    2048
#define FIXED_MEMORY     (UINT64_C(8) << 20)
#define MEMORY_OF_A_PAIR (UINT64_C(256) << 10)

struct replay_session {
    struct machine *machine;
};

/* The names that the library gives to what the tool calls REPLAY_*. */
static const char *const dialect_names[] = {
    [REPLAY_OFF] = "off",
    [REPLAY_DRAFT_V7] = "draft-v7",
    [REPLAY_DRAFT_V10] = "draft-v10",
    [REPLAY_RATIFIED] = "ratified",
};

const struct session_limits *session_limits(void)
{
    static const struct session_limits limits = {
        .max_queues = VIONET_MAX_PAIRS,
        .max_indirection = 32768,
        .max_key = 255,
    };

    return &limits;
}

static bool fail(GError **error, const char *what)
{
    g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG, "%s", what);
    return false;
}

/* ---- the device ---- */

static void set_up(const struct replay_settings *settings, struct machine_setup *setup)
{
    VionetConfig *device = &setup->device;

    machine_setup_init(setup);
    device->dialect = vionet_dialect_find(dialect_names[settings->dialect]);
    device->tunnel_types = device->dialect->all_types;
    device->max_pairs = (uint16_t)settings->queues;
    device->rss_max_table = (uint16_t)MAX(settings->indirection, 128);
    device->rss_max_key_size = (uint8_t)MAX(settings->key_len, 40);
    vionet_features_set(device->features, VIRTIO_NET_F_MQ, true);
    vionet_features_set(device->features, VIRTIO_NET_F_RSS, true);
    vionet_features_set(device->features, VIRTIO_NET_F_HASH_REPORT, true);
    if (device->dialect->feature >= 0) {
        vionet_features_set(device->features, (unsigned)device->dialect->feature, true);
    }
    setup->ring = settings->packed ? MACHINE_PACKED : MACHINE_SPLIT;
    setup->memory_size = FIXED_MEMORY + settings->queues * MEMORY_OF_A_PAIR;
    setup->net.receive_size = RECEIVE_SIZE;
    setup->net.receive_buffers = RECEIVE_BUFFERS;
    setup->net.receive_batch = 1;
    setup->net.transmit_size = TRANSMIT_SIZE;
    setup->net.transmit_buffers = 1;
}

/* ---- the driver's configuration of it ---- */

static bool configure_rss(struct guest_net *net, const struct replay_settings *settings,
                          GError **error)
{
    uint16_t *table = g_new(uint16_t, settings->indirection);
    struct net_rss rss = {
        .hash_types = settings->hash_types,
        .table = table,
        .table_len = settings->indirection,
        .max_tx_vq = (uint16_t)settings->queues,
        .key = settings->key,
        .key_len = (uint8_t)settings->key_len,
    };
    int ack;

    for (unsigned i = 0; i < settings->indirection; i++) {
        table[i] = (uint16_t)(i % settings->queues);
    }
    if (settings->dialect == REPLAY_DRAFT_V7) {
        rss.hash_types |= settings->tunnel_types;
    }
    if (settings->dialect == REPLAY_DRAFT_V10) {
        rss.has_tunnel_types = true;
        rss.tunnel_types = settings->tunnel_types;
    }
    ack = net_control_rss(net, &rss);
    g_free(table);
    if (ack != VIRTIO_NET_OK) {
        return fail(error, "the device refused RSS_CONFIG");
    }
    if (settings->dialect == REPLAY_RATIFIED &&
        net_control_hash_tunnel(net, settings->tunnel_types) != VIRTIO_NET_OK) {
        return fail(error, "the device refused HASH_TUNNEL_SET");
    }
    return true;
}

static bool start_driver(struct machine *machine, const struct replay_settings *settings,
                         GError **error)
{
    if (!machine_boot(machine, features_known())) {
        return fail(error, "the driver could not start the device");
    }
    if (net_control_rx(machine->net, VIRTIO_NET_CTRL_RX_PROMISC, true) != VIRTIO_NET_OK) {
        return fail(error, "the device refused promiscuous mode");
    }
    return configure_rss(machine->net, settings, error);
}

struct replay_session *session_new(const struct replay_settings *settings, GError **error)
{
    struct replay_session *session = g_new0(struct replay_session, 1);
    struct machine_setup setup;

    set_up(settings, &setup);
    session->machine = machine_new(&setup, error);
    if (!session->machine || !start_driver(session->machine, settings, error)) {
        session_free(session);
        return NULL;
    }
    return session;
}

void session_free(struct replay_session *session)
{
    if (session) {
        machine_free(session->machine);
        g_free(session);
    }
}

/* ---- frames ---- */

static void take_result(const struct guest_packet *packet, struct replay_result *result)
{
    result->queue = packet->pair;
    result->report = packet->header.hash_report;
    result->hashed = packet->header.hash_report != VIRTIO_NET_HASH_REPORT_NONE;
    result->hash = packet->header.hash_value;
    result->tunnel = packet->header.hash_report_tunnel;
}

bool session_feed(struct replay_session *session, const uint8_t *frame, size_t len,
                  struct replay_result *result, GError **error)
{
    struct machine *machine = session->machine;
    struct guest_packet packet;
    VionetVerdict verdict = machine_deliver(machine, frame, len);
    bool received = net_receive(machine->net, &packet);

    memset(result, 0, sizeof(*result));
    if (verdict != VIONET_DELIVERED && !received) {
        result->dropped = true;
        result->reason = vionet_verdict_name(verdict);
        return true;
    }
    if (!received || packet.len != len || memcmp(packet.data, frame, len) != 0) {
        return fail(error, "what the driver received is not the frame that was fed");
    }
    take_result(&packet, result);
    return true;
}
