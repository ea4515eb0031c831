/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device's state as plain structures, between device and octets (see vionet/state.h):
 *
 *     device  -- take, apply -->  struct state  -- write, read -->  octets
 *               (state.c)                        (state_format.c)
 *
 * The structures are records: their tables in state_format.c are the format. Nothing in them is shared
 * with a device, so that a state can be read and judged with no device changed. Control side only.
 */
#ifndef VIONET_NET_STATE_H
#define VIONET_NET_STATE_H

#include <vionet/state.h>

#include "net/view.h"
#include "record.h"

/* What the driver can read of the device and cannot change: the same in both devices. */
struct state_config {
    uint64_t features[VIONET_FEATURE_WORDS];
    uint8_t dialect[16];
    uint8_t mac[6];
    uint16_t max_pairs;
    uint16_t receive_queue_size;
    uint16_t transmit_queue_size;
    uint16_t control_queue_size;
    uint16_t mtu;
    uint32_t speed;
    uint8_t duplex;
    uint8_t rss_max_key_size;
    uint16_t rss_max_table;
    uint32_t hash_types;
    uint32_t tunnel_types;
    uint16_t notif_config_base;
    uint16_t max_rss_contexts;
};

struct state_device {
    uint8_t status;
    uint64_t driver_features[VIONET_FEATURE_WORDS];
    uint64_t driver_beyond;
    uint8_t stuck;
    uint8_t link_up;
    uint8_t announce;
    uint8_t config_dirty;
    uint8_t config_due;
    uint8_t config_generation;
    uint8_t mac[6];
    uint64_t offloads;
    uint32_t receive_max_packets;
    uint32_t receive_max_usecs;
    uint32_t transmit_max_packets;
    uint32_t transmit_max_usecs;
    uint8_t legacy;
    uint8_t big_endian;
    uint8_t placed;
    uint8_t early;
};

struct state_filter {
    uint8_t mac[6];
    uint8_t modes;
    uint8_t vlan_filter;
    uint8_t all_unicast;
    uint8_t all_multicast;
    struct record_list unicast;
    struct record_list multicast;
    uint32_t vlans[N_VLANS / 32];
};

struct state_steering {
    uint8_t mode;
    uint16_t pairs;
    uint16_t unclassified;
    uint16_t max_tx_vq;
    uint32_t hash_types;
    uint32_t tunnel_types;
    struct record_list key;
    struct record_list table;
};

/* An item of struct state_queue.out. */
enum { OUT_ID, OUT_DESCRIPTORS, OUT_WORDS };

struct state_queue {
    uint16_t size;
    uint8_t enabled;
    uint8_t broken;
    uint64_t desc;
    uint64_t driver;
    uint64_t device;
    uint8_t resumes;
    uint32_t base;
    uint8_t started;
    uint16_t next_avail;
    uint8_t avail_wrap;
    uint16_t next_used;
    uint8_t used_wrap;
    uint8_t told_valid;
    uint16_t told_used;
    uint32_t untold;
    uint32_t max_packets;
    uint32_t max_usecs;
    uint32_t pending;
    struct record_list out;
};

struct state_counters {
    struct record_list counters;
    struct record_list verdicts;
};

/* Of all frames that had no queue. */
struct state_verdicts {
    struct record_list verdicts;
};

/* An item of struct state_flows.flows. */
enum { FLOW_ENTRY, FLOW_PAIR, FLOW_WORDS };

struct state_flows {
    struct record_list flows;
};

/* A section as it was found: its octets lie in what was read. */
struct state_foreign {
    char name[16];
    uint16_t version;
    bool required;
    const uint8_t *octets;
    size_t len;
};

/* The sections that there can be one of for each queue, or context, stand in arrays of so many. */
struct state {
    struct state_config config;
    struct state_device device;
    struct state_filter filter;
    struct state_verdicts verdicts;
    struct state_flows flows;
    unsigned n_steering; /* the default configuration and all contexts */
    unsigned n_queues;
    struct state_steering *steering;
    struct state_queue *queues;
    struct state_counters *counters;
    bool *has_steering; /* which there are */
    bool *has_queue;
    GArray *foreign; /* struct state_foreign: those that others are to know, or may */
};

enum state_kind {
    STATE_CONFIG,
    STATE_DEVICE,
    STATE_FILTER,
    STATE_STEERING,
    STATE_QUEUE,
    STATE_COUNTERS,
    STATE_VERDICTS,
    STATE_FLOWS,
    STATE_KINDS
};

/* The tables, by enum state_kind. */
extern const struct record state_records[STATE_KINDS];

/* An empty state with room for that many. */
struct state *state_new(unsigned n_steering, unsigned n_queues);
void state_free(struct state *state);

/* One section, or what begins with one. */
void state_write_section(GByteArray *octets, const char *name, unsigned version, bool required,
                         uint32_t index, const uint8_t *payload, size_t len);

/* Octets of a state, to which sections may be appended before state_finish(). */
GByteArray *state_write(const struct state *state);
void state_finish(GByteArray *octets);

/*
 * A state with room for that many from octets, which are to stay while it is used; NULL with a
 * VIONET_STATE_ERROR. Sections that are not the device's are in foreign.
 */
struct state *state_read(const uint8_t *octets, size_t len, unsigned n_steering, unsigned n_queues,
                         GError **error);

/* Fails with a message in printf's way. Always false. */
bool state_refuse(GError **error, VionetStateError code, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

#endif
