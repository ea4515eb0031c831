/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control queue as the specification has it (VIRTIO 1.4, 5.1.6.5), with what docs/choices.md
 * decides: which answer a command gets, what it changes, and what follows from that for a received
 * frame. Shares nothing with the library; hashes are the reference's.
 */
#ifndef FUZZ_CONTROL_MODEL_H
#define FUZZ_CONTROL_MODEL_H

#include "rig.h"

#define CONTROL_REPLY_MAX 8
#define CONTROL_STATS_MAX 2048 /* octets of statistics */
#define CONTROL_TABLE_MAX 128

struct control_list {
    unsigned n;
    bool overflow;
    uint8_t mac[VIONET_MAX_MAC_TABLE][6];
};

struct control_model {
    const VionetConfig *config;
    uint64_t features[VIONET_FEATURE_WORDS];
    bool enabled[RIG_MAX_QUEUES];
    bool announce;
    uint8_t config_mac[6];

    uint8_t modes; /* a bit for each command of class 0 */
    uint8_t mac[6];
    struct control_list unicast;
    struct control_list multicast;
    uint8_t vlans[4096 / 8];

    bool by_table; /* RSS */
    unsigned pairs;
    uint16_t table[CONTROL_TABLE_MAX];
    uint16_t mask;
    uint16_t unclassified;
    uint32_t hash_types;
    uint32_t tunnel_types;
    uint8_t key[255];
    size_t key_len;       /* 0: nothing is hashed */
    unsigned hash_serial; /* differs whenever hashes may */

    bool contexts[VIONET_MAX_RSS_CONTEXTS + 1]; /* by their id, which is never 0 */
    unsigned n_contexts;

    uint64_t counters[RIG_MAX_QUEUES][VIONET_N_COUNTERS]; /* as the target has them */

    uint64_t offloads;
    uint32_t coalesce[RIG_MAX_QUEUES][2];
    uint32_t defaults[2][2]; /* of receive and transmit queues */
};

/* The state of a device whose driver has just negotiated these features. */
void control_start(struct control_model *model, const VionetConfig *config,
                   const uint64_t *features);

/* A queue is enabled, or is no more. */
void control_queue(struct control_model *model, unsigned queue, bool enabled);

struct control_answer {
    bool answered; /* false: the queue breaks */
    uint8_t ack;
    unsigned ack_at; /* octets of reply in front of it */
    uint8_t reply[CONTROL_REPLY_MAX];
    size_t n_stats; /* octets behind it */
    uint8_t stats[CONTROL_STATS_MAX];
};

/* What a command of len octets gets that has room for in_len octets; the model changes with it. */
struct control_answer control_execute(struct control_model *model, const uint8_t *command,
                                      size_t len, uint64_t in_len);

/* What becomes of a frame that is neither too short nor too long, but for the queue. */
VionetVerdict control_verdict(const struct control_model *model, const uint8_t *octets,
                              const VionetFrame *frame);

/* Whether the device has to complete the frame's checksum before the driver gets it. */
bool control_completes(const struct control_model *model, const VionetFrame *frame);

/* Whether the dialect's feature was accepted. */
bool control_tunnels(const struct control_model *model);

#endif
