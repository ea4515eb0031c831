/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device as its own files see it. Theory of operation, in three rules:
 *
 * 1. The control side (one thread at a time) owns everything here but what lies inside a gate.
 * 2. What the data side reads of it is two immutable snapshots, the view and the memory map. A data
 *    function loads them inside a gate (its lane's, or its queue's) and uses them until it leaves.
 * 3. device_publish() and device_publish_map() put a new snapshot in place and then go through every
 *    gate once: whoever was inside has left, whoever enters later sees the new one, the old is freed.
 *
 * Host operations are called with no gate held.
 */
#ifndef VIONET_NET_DEVICE_H
#define VIONET_NET_DEVICE_H

#include <vionet/transport.h>

#include "memory.h"
#include "net/queue.h"
#include "net/steer.h"
#include "net/view.h"

/* A caller of vionet_device_receive(). */
struct lane {
    _Alignas(LINE_PAIR) struct gate gate;
    uint8_t *scratch; /* one frame: put together when it comes in pieces or needs its checksum */
    _Atomic uint64_t verdicts[VIONET_N_VERDICTS];
};

/* Longest control command taken; the longest that means anything is an RSS configuration. */
#define CONTROL_MAX (64u * 1024 + 512)

struct coalesce_defaults {
    uint32_t max_packets;
    uint32_t max_usecs;
};

struct VionetDevice {
    /* read by the data side */
    VionetConfig config;
    VionetHostOps ops;
    void *opaque;
    void (*interrupt)(void *opaque, unsigned queue);
    void *interrupt_opaque;
    _Atomic(struct view *) view;
    _Atomic(struct memory_map *) map;
    struct memory_remote remote; /* the host's operations, which may be NULL */
    unsigned n_queues;
    struct queue *queues;
    struct lane *lanes;
    struct flow_table *flows;
    _Atomic uint8_t status;
    atomic_bool running;  /* as the view has it, for who has no gate */
    atomic_bool straight; /* and these */
    _Atomic uint64_t offloads;
    _Atomic unsigned n_data_queues; /* receive and transmit queues, by the features as they stand */
    _Atomic unsigned control_queue; /* index of the control queue, n_queues if there is none */

    /* written by either side, rarely, and not by who keeps to the rules */
    _Alignas(LINE_PAIR) _Atomic uint64_t violations[VIONET_N_VIOLATIONS];
    _Atomic uint64_t
        reported; /* violations of no queue that had their event since the last reset */

    /* the control side's */
    uint64_t driver_features[VIONET_FEATURE_WORDS];
    uint64_t
        driver_beyond; /* a feature past those words that the driver wrote before FEATURES_OK */
    uint8_t mac[6];    /* as the configuration space shows it */
    bool dma;
    bool paused;       /* by the host */
    bool dirty_queues; /* they note what they write to their rings */
    bool config_due;   /* the driver is to be told of config space when the device goes on */
    bool announce;     /* VIRTIO_NET_S_ANNOUNCE */
    bool config_dirty; /* config space changed since the driver last read it */
    uint8_t config_generation;
    struct coalesce_defaults coalesce[2]; /* of receive and transmit queues */
    /* By id - 1, NULL if there is none. No frame is steered by one: the text gives it no way there. */
    struct steering **rss_contexts;
    unsigned n_rss_contexts;  /* that there are */
    struct outcome *outcomes; /* for each queue: what a command left to be said */
    uint8_t *control_buffer;  /* CONTROL_MAX octets: the command being executed */
    bool in_control;
    GArray *state_sections; /* of transports, NULL if there never was one: state.c */
    bool early;  /* a legacy driver uses its queues, and had not set DRIVER_OK when it began to */
    bool placed; /* a legacy driver has written its features: queues are where these say */
    bool stuck;  /* the driver broke the life cycle: nothing runs until reset */
};

static inline struct view *device_view(const VionetDevice *device)
{
    return atomic_load_explicit(&((VionetDevice *)device)->view, memory_order_acquire);
}

static inline struct memory_map *device_map(const VionetDevice *device)
{
    return atomic_load_explicit(&((VionetDevice *)device)->map, memory_order_acquire);
}

enum queue_kind { QUEUE_NONE, QUEUE_RECEIVE, QUEUE_TRANSMIT, QUEUE_CONTROL };

/* What a queue index means with the features as they stand now. */
enum queue_kind device_queue_kind(const VionetDevice *device, unsigned index);

/* Puts a new view in place of the current one and frees that. */
void device_publish(VionetDevice *device, struct view *view);

/* Tells the host what a visit to a queue came to. */
void device_settle(VionetDevice *device, struct queue *queue, const struct outcome *outcome);

/* Tells the driver that the configuration space has changed. */
void device_config_changed(VionetDevice *device);

/* Puts the queues where the features as they stand say, and each as after a reset. */
void device_place_queues(VionetDevice *device, const uint64_t *features);

/* The status is this from now on; and what runs is looked at anew. */
void device_set_status(VionetDevice *device, uint8_t status);
void device_update_running(VionetDevice *device);

/* Calls the event operation. */
void device_event(VionetDevice *device, VionetEventKind kind);

/* The caller's configuration with defaults for what it is too old to have; false if it is newer. */
bool config_complete(const VionetConfig *config, VionetConfig *full, GError **error);

/* Whether config space is another one now that these features were accepted. */
bool config_depends_on_driver(const VionetDevice *device);

/* Whether the driver may configure coalescing at all. */
bool control_coalesces(const struct view *view);

/* Whether tunnel types can be enabled, and all of these are among those that can be. */
bool control_has_tunnels(const struct view *view);
bool control_tunnel_types_supported(const VionetConfig *config, uint32_t types);

/* Frees what state.c keeps. */
void state_forget_sections(VionetDevice *device);

/* Executes the commands in the control queue. */
void control_run(VionetDevice *device);

/* Removes all RSS contexts. */
void control_clear_contexts(VionetDevice *device);

#endif
