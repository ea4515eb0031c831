/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands of fuzz_whole, each answered as the model of them says (see whole_run.h, control_model.h). */
#include <string.h>

#include "whole_run.h"

struct command {
    uint8_t class;
    uint8_t number;
    GByteArray *payload;
    uint32_t reply; /* octets of room beside the acknowledgement */
};

static void append(struct command *command, uint64_t value, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const uint8_t octet = (uint8_t)(value >> 8 * i);

        g_byte_array_append(command->payload, &octet, 1);
    }
}

static void append_macs(struct whole *whole, struct command *command)
{
    const uint8_t how = input_8(&whole->input);
    const unsigned n = how == 0xff ? 65 : how & 3;

    append(command, n, 4);
    for (unsigned i = 0; i < n; i++) {
        g_byte_array_append(command->payload, traffic_mac(how / 4 + i), 6);
    }
}

/* Types, key and tunnels: mostly what the device supports. */
static struct net_rss choose_hash(struct whole *whole, uint8_t *key)
{
    const VionetConfig *config = whole->model.config;
    const uint16_t types = input_16(&whole->input);
    const uint8_t key_how = input_8(&whole->input);
    struct net_rss rss = {
        .hash_types = types & 0x8000 ? types : types & config->hash_types,
        .key = key,
        .key_len = key_how < 200 ? 40 : key_how,
    };

    memset(key, key_how, 256);
    for (unsigned i = 0; i < 40; i++) {
        key[i] = (uint8_t)(key[i] * (2 * i + 3) + i * i);
    }
    if (control_tunnels(&whole->model)) {
        const uint16_t tunnels = input_16(&whole->input);

        rss.has_tunnel_types = config->dialect->types_after_key;
        rss.tunnel_types = tunnels & 0x8000 ? tunnels : tunnels & config->tunnel_types;
        rss.hash_types |= config->dialect->types_in_hash_types ? tunnels & 0xe00u : 0;
    }
    return rss;
}

static void put_rss(struct whole *whole, struct command *command, bool table)
{
    uint8_t key[256];
    uint16_t entries[128];
    struct net_rss rss = choose_hash(whole, key);
    GByteArray *octets;

    if (table) {
        const uint8_t how = input_8(&whole->input);

        rss.table_len = 1u << how % 8;
        rss.table = entries;
        for (unsigned i = 0; i < rss.table_len; i++) {
            entries[i] = (uint16_t)((i + how) % WHOLE_MAX_PAIRS % whole->model.config->max_pairs);
        }
        if (how & 0x80) {
            entries[0] = how & 0x40 ? WHOLE_MAX_PAIRS : 0xffff;
        }
        rss.unclassified_queue = (how >> 3 & 3) % WHOLE_MAX_PAIRS;
        rss.max_tx_vq = (uint16_t)(1 + (how >> 5) % WHOLE_MAX_PAIRS);
        octets = net_rss_encode(&rss);
    } else {
        octets = net_hash_encode(&rss);
    }
    g_byte_array_append(command->payload, octets->data, octets->len);
    g_byte_array_unref(octets);
}

static void put_queue(struct whole *whole, struct command *command)
{
    append(command, input_8(&whole->input) & 15, 2);
    append(command, 0, 2);
}

static void put_coalescing(struct whole *whole, struct command *command)
{
    append(command, input_edgy(&whole->input, 16), 4);
    append(command, input_edgy(&whole->input, 100), 4);
}

static void put_stats(struct whole *whole, struct command *command)
{
    const unsigned n = 1 + (input_8(&whole->input) & 3);

    for (unsigned i = 0; i < n; i++) {
        const unsigned queue = input_8(&whole->input) & 7;
        const uint8_t how = input_8(&whole->input);

        append(command, queue, 8);
        append(command, (uint64_t)(how & 15) << 16 * (how >> 4 & 3), 8);
    }
    command->reply = 8u * input_8(&whole->input);
}

static void put_class(struct whole *whole, struct command *command)
{
    switch (command->class) {
    case VIRTIO_NET_CTRL_RX:
        append(command, input_8(&whole->input) & 1, 1);
        break;
    case VIRTIO_NET_CTRL_MAC:
        if (command->number == VIRTIO_NET_CTRL_MAC_TABLE_SET) {
            append_macs(whole, command);
            append_macs(whole, command);
        } else {
            g_byte_array_append(command->payload, traffic_mac(input_8(&whole->input)), 6);
        }
        break;
    case VIRTIO_NET_CTRL_VLAN:
        append(command, input_8(&whole->input) & 7, 2);
        break;
    case VIRTIO_NET_CTRL_MQ:
        if (command->number == VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET) {
            append(command, input_8(&whole->input) & 3, 2);
        } else {
            put_rss(whole, command, command->number == VIRTIO_NET_CTRL_MQ_RSS_CONFIG);
        }
        break;
    case VIRTIO_NET_CTRL_GUEST_OFFLOADS: {
        const uint16_t bits = input_16(&whole->input);
        static const uint8_t of[9] = {1, 7, 8, 9, 10, 46, 47, 54, 55};
        uint64_t mask = 0;

        for (unsigned i = 0; i < 9; i++) {
            mask |= (uint64_t)(bits >> i & 1) << of[i];
        }
        append(command, mask, 8);
        break;
    }
    case VIRTIO_NET_CTRL_NOTF_COAL:
        if (command->number >= VIRTIO_NET_CTRL_NOTF_COAL_VQ_SET) {
            put_queue(whole, command);
        }
        if (command->number != VIRTIO_NET_CTRL_NOTF_COAL_VQ_GET) {
            put_coalescing(whole, command);
        } else {
            command->reply = 8;
        }
        break;
    case VIRTIO_NET_CTRL_HASH_TUNNEL:
        append(command, input_16(&whole->input) & 0x3ff, 4);
        break;
    case VIRTIO_NET_CTRL_STATS:
        if (command->number == VIRTIO_NET_CTRL_STATS_GET) {
            put_stats(whole, command);
        } else {
            command->reply = 8;
        }
        break;
    case VIRTNET_RSS_CTX_CTRL:
        if (command->number == VIRTNET_RSS_CTX_CTRL_CAP_GET) {
            command->reply = 2;
            break;
        }
        append(command, input_8(&whole->input) & 3,
               command->number == VIRTNET_RSS_CTX_CTRL_DEL ? 2 : 8);
        if (command->number != VIRTNET_RSS_CTX_CTRL_DEL) {
            put_rss(whole, command, true);
        }
        break;
    default: { /* acknowledgement of an announcement, and classes that there are not */
        size_t n = input_8(&whole->input) & 7;
        const uint8_t *octets = input_take(&whole->input, &n);

        if (n) {
            g_byte_array_append(command->payload, octets, (guint)n);
        }
    }
    }
}

/* The statistics that a reply holds are told of in fuzz_control; here they only have to be possible. */
static void execute(struct whole *whole, struct command *command)
{
    const uint8_t how = input_8(&whole->input);
    struct guest_net *net = whole->machine->net;
    const struct net_control_layout layout = {
        .command = {.shape = how & 1 ? NET_HEADER_APART : NET_WHOLE,
                    .indirect =
                        (how & 2) && guest_driver_has(net_driver(net), VIRTIO_F_INDIRECT_DESC)},
        .reply = {.shape = how & 4 ? NET_HEADER_APART : NET_WHOLE},
    };
    const unsigned size =
        virtq_options(guest_queue_ring(net_driver(net), net_driver(net)->control))->size;
    uint8_t *octets = g_malloc(2 + command->payload->len);
    uint8_t reply[2048];
    struct control_answer answer;
    int ack;

    octets[0] = command->class;
    octets[1] = command->number;
    if (command->payload->len) {
        memcpy(octets + 2, command->payload->data, command->payload->len);
    }
    ack =
        net_control_laid_out(net, size < 4 ? NULL : &layout, command->class, command->number,
                             command->payload->data, command->payload->len, reply, command->reply);
    REACHED(COMMANDS);
    whole_look(whole, "a command");
    if (whole_exact(whole)) {
        FUZZ_REQUIRE(ack != NET_CONTROL_NONE, "command %u/%u is not answered", command->class,
                     command->number);
    }
    if (ack == NET_CONTROL_NONE) {
        whole->modelled = false; /* it is executed when the device goes on, if it does */
    } else if (whole->modelled) {
        fuzz_reach[COMMANDS_OK].count += ack == VIRTIO_NET_OK;
        answer =
            control_execute(&whole->model, octets, 2 + command->payload->len, command->reply + 1);
        FUZZ_REQUIRE(whole->tainted || ack == answer.ack, "command %u/%u: answer %d, not %u",
                     command->class, command->number, ack, answer.ack);
    }
    g_free(octets);
}

void whole_act_command(struct whole *whole)
{
    static const uint8_t rows[][2] = {
        {0, 0}, {0, 1}, {0, 2}, {0, 3}, {0, 4}, {0, 5}, {1, 0}, {1, 1}, {2, 0}, {2, 1}, {3, 0},
        {4, 0}, {4, 1}, {4, 2}, {5, 0}, {6, 0}, {6, 1}, {6, 2}, {6, 3}, {7, 0}, {4, 1}, {8, 0},
        {8, 1}, {9, 0}, {9, 1}, {9, 2}, {9, 3}, {4, 2}, {4, 1}, {0, 0}, {10, 0}};
    const unsigned row = input_below(&whole->input, G_N_ELEMENTS(rows));
    struct command command = {.class = rows[row][0], .number = rows[row][1]};
    const struct guest_driver *driver = whole->machine->driver;

    if (!driver->has_control || !guest_queue_ring(whole->machine->driver, driver->control)) {
        return;
    }
    command.payload = g_byte_array_new();
    put_class(whole, &command);
    execute(whole, &command);
    g_byte_array_unref(command.payload);
}
