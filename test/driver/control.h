/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands over the control queue (VIRTIO 1.4, 5.1.6.5): any command in any layout, and a function
 * for each of the usual ones. A function answers with the ack octet (VIRTIO_NET_OK, VIRTIO_NET_ERR
 * or whatever the device wrote there), or NET_CONTROL_NONE if no answer came or none could.
 */
#ifndef TEST_DRIVER_CONTROL_H
#define TEST_DRIVER_CONTROL_H

#include "net.h"

#include <glib.h>

#define NET_CONTROL_NONE (-1)
/* Writable octets a command may have. */
#define NET_REPLY_MAX 16384

enum net_ack_place {
    NET_ACK_USUAL, /* last for VQ_GET and the RSS contexts' CAP_GET, else first */
    NET_ACK_FIRST,
    NET_ACK_LAST,
};

/* NULL stands for NET_HEADER_APART in both parts, or NET_WHOLE if the ring is shorter than 4. */
struct net_control_layout {
    struct net_layout
        command;             /* class and command are its header; indirect means the whole chain */
    struct net_layout reply; /* what comes first of ack and reply is its header */
    enum net_ack_place ack_place;
    uint32_t more_ack; /* octets of ack beyond the one */
};

/*
 * Send readable octets with room for writable_len and wait for the answer: the used length, or
 * NET_CONTROL_NONE. All writable octets are 0xff before and are copied to writable behind.
 */
int64_t net_control_octets(struct guest_net *net, const struct net_control_layout *layout,
                           const void *readable, uint32_t readable_len, uint32_t readable_header,
                           void *writable, uint32_t writable_len, uint32_t writable_header);

/* A command with its payload, and a reply beside the ack if reply_len is not 0. */
int net_control(struct guest_net *net, uint8_t class, uint8_t command, const void *payload,
                uint32_t len, void *reply, uint32_t reply_len);
int net_control_laid_out(struct guest_net *net, const struct net_control_layout *layout,
                         uint8_t class, uint8_t command, const void *payload, uint32_t len,
                         void *reply, uint32_t reply_len);
/* Used length of the last command that was answered. */
uint32_t net_control_used_len(const struct guest_net *net);

/* Class 0: one of VIRTIO_NET_CTRL_RX_PROMISC to _NOBCAST on or off. */
int net_control_rx(struct guest_net *net, uint8_t command, bool on);
/* Class 1: the filter table, addresses of 6 octets each back to back; the address itself. */
int net_control_mac_table(struct guest_net *net, const void *unicast, uint32_t n_unicast,
                          const void *multicast, uint32_t n_multicast);
int net_control_mac(struct guest_net *net, const uint8_t mac[6]);
/* Class 2. */
int net_control_vlan_add(struct guest_net *net, uint16_t id);
int net_control_vlan_del(struct guest_net *net, uint16_t id);
/* Class 3. */
int net_control_announce_ack(struct guest_net *net);

/* What RSS_CONFIG and HASH_CONFIG carry; the latter has no table. */
struct net_rss {
    uint32_t hash_types;
    const uint16_t *table; /* NULL: entries 0 to table_len - 1 spread over pairs 0 to max_tx - 1 */
    uint32_t table_len;    /* 1 to 65536; the mask is one less */
    uint16_t unclassified_queue;
    uint16_t max_tx_vq;
    const uint8_t *key;
    uint8_t key_len;
    bool has_tunnel_types; /* the draft of March 2023 */
    uint32_t tunnel_types;
};

/* The octets of the payload, to send or to spoil first. Free with g_byte_array_unref. */
GByteArray *net_rss_encode(const struct net_rss *rss);
GByteArray *net_hash_encode(const struct net_rss *hash);
/* Class 4. */
int net_control_pairs(struct guest_net *net, uint16_t pairs);
int net_control_rss(struct guest_net *net, const struct net_rss *rss);
int net_control_hash(struct guest_net *net, const struct net_rss *hash);

/* Class 5: the mask of offloads to be on. */
int net_control_offloads(struct guest_net *net, uint64_t offloads);

/* Class 6: all transmit queues, all receive queues, one queue. */
int net_control_coalesce_tx(struct guest_net *net, uint32_t max_packets, uint32_t max_usecs);
int net_control_coalesce_rx(struct guest_net *net, uint32_t max_packets, uint32_t max_usecs);
int net_control_coalesce_queue(struct guest_net *net, uint16_t index, uint32_t max_packets,
                               uint32_t max_usecs);
int net_control_coalesce_get(struct guest_net *net, uint16_t index, uint32_t *max_packets,
                             uint32_t *max_usecs);

/* Class 7: the ratified way to choose tunnels. */
int net_control_hash_tunnel(struct guest_net *net, uint32_t types);

/* Class 8: statistics types by bit; one entry of what is asked for. */
struct net_stats_entry {
    uint16_t queue;
    uint64_t types;
};

GByteArray *net_stats_encode(const struct net_stats_entry *entries, unsigned n);
/* Octets of the reply of a type, 0 if there is no such type. */
uint32_t net_stats_size(unsigned type);
int net_control_stats_query(struct guest_net *net, uint64_t *types);
/* The replies as they come, room octets of 0xff before. */
int net_control_stats_get(struct guest_net *net, const struct net_stats_entry *entries, unsigned n,
                          void *replies, uint32_t room);

/* Class 9: RSS contexts, ids from 1 to the maximum. */
GByteArray *net_context_encode(uint16_t id, const struct net_rss *rss);
int net_control_context_max(struct guest_net *net, uint16_t *max);
int net_control_context_add(struct guest_net *net, uint16_t id, const struct net_rss *rss);
int net_control_context_modify(struct guest_net *net, uint16_t id, const struct net_rss *rss);
int net_control_context_delete(struct guest_net *net, uint16_t id);

#endif
