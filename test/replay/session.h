/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The seam between vionet-replay and the device: one device with the guest driver in front of it,
 * configured through the control queue, fed with frames, and what the driver then found in guest
 * memory. Implemented by session.c; the rest of the tool knows of the device only what stands here.
 */
#ifndef REPLAY_SESSION_H
#define REPLAY_SESSION_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum replay_dialect {
    REPLAY_OFF,
    REPLAY_DRAFT_V7,
    REPLAY_DRAFT_V10,
    REPLAY_RATIFIED,
};

/* What the driver is to configure. Every value is within session_limits(). */
struct replay_settings {
    enum replay_dialect dialect;
    uint32_t tunnel_types; /* in the dialect's own bits */
    uint32_t hash_types;   /* VIRTIO_NET_HASH_TYPE_*, without draft v7's tunnel bits */
    uint8_t key[255];
    size_t key_len;
    unsigned queues;
    unsigned indirection; /* table length; entry i is queue i mod queues */
    bool packed;
};

/* What became of one frame. */
struct replay_result {
    bool dropped;
    const char *reason; /* of a drop: "runt", "oversize"; lives as long as the session */
    unsigned queue;     /* receive queue pair, from 0 */
    bool hashed;
    uint32_t hash;
    uint16_t report; /* hash_report: VIRTIO_NET_HASH_REPORT_* */
    uint8_t tunnel;  /* draft v7: hash_report_tunnel */
};

struct session_limits {
    unsigned max_queues;
    unsigned max_indirection;
    size_t max_key;
};

struct replay_session;

/* What the device can be configured to; constant. */
const struct session_limits *session_limits(void);

/* A device and its driver, ready for frames; NULL with error set if they cannot be had. */
struct replay_session *session_new(const struct replay_settings *settings, GError **error);

/*
 * Feeds one frame of any length and reports what the driver found of it. False, with error set, if
 * device or driver broke off, which is never the frame's fault; the session is then only good for
 * session_free().
 */
bool session_feed(struct replay_session *session, const uint8_t *frame, size_t len,
                  struct replay_result *result, GError **error);

/* Ends a session; NULL is ignored. */
void session_free(struct replay_session *session);

#endif
