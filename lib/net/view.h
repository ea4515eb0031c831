/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A view: everything that the driver has negotiated and configured and that the data path reads, as
 * one immutable snapshot. The control side copies the current one, changes the copy and publishes
 * it (device_publish()); the old one is freed when no data function can still see it.
 */
#ifndef VIONET_NET_VIEW_H
#define VIONET_NET_VIEW_H

#include <vionet/device.h>

#include "bytes.h"
#include "net/feature.h"

/* Receive modes, by bit: VIRTIO_NET_CTRL_RX commands in their order (5.1.6.5.1). */
enum {
    RX_MODE_PROMISC = 1 << 0,
    RX_MODE_ALLMULTI = 1 << 1,
    RX_MODE_ALLUNI = 1 << 2,
    RX_MODE_NOMULTI = 1 << 3,
    RX_MODE_NOUNI = 1 << 4,
    RX_MODE_NOBCAST = 1 << 5,
};

#define N_VLANS 4096

struct mac_list {
    unsigned n;
    bool overflow; /* more were given than are kept: all of the kind pass */
    uint8_t mac[VIONET_MAX_MAC_TABLE][6];
};

struct filter {
    uint8_t mac[6];
    uint8_t modes; /* RX_MODE_* */
    bool vlan_filter;
    struct mac_list unicast;
    struct mac_list multicast;
    uint32_t vlans[N_VLANS / 32];
};

/* A key and a table are shared by the views that have them in common. */
struct shared_key {
    gatomicrefcount refs;
    VionetHashKey *key;
    uint8_t len; /* as the driver gave it */
    uint8_t octets[];
};

struct shared_table {
    gatomicrefcount refs;
    uint16_t mask;
    uint16_t pairs[];
};

enum steer_mode {
    STEER_AUTOMATIC, /* by flow, among n_pairs */
    STEER_TABLE,     /* RSS */
};

struct steering {
    enum steer_mode mode;
    uint16_t n_pairs;       /* for STEER_AUTOMATIC */
    uint16_t unclassified;  /* for STEER_TABLE: pair of packets without a hash */
    uint16_t max_tx_vq;     /* for STEER_TABLE: the highest transmit queue that the driver uses */
    uint32_t hash_types;    /* enabled, without those that name tunnels */
    uint32_t tunnel_types;  /* enabled, in the dialect's own bits */
    unsigned tunnels;       /* the same as VIONET_TUNNEL_* */
    struct shared_key *key; /* NULL: no hash is calculated */
    struct shared_table *table; /* for STEER_TABLE */
};

/* What received frames need in general: see straight.c. */
enum receive_way {
    WAY_STATIONS, /* anything */
    WAY_STRAIGHT, /* nothing but the first queue */
    WAY_HASHED,   /* a hash, and the queue that it says */
};

struct view {
    uint64_t features[VIONET_FEATURE_WORDS]; /* negotiated */
    bool running;                            /* DRIVER_OK and nothing in the way */
    bool link_up;
    uint8_t way; /* enum receive_way */
    bool mergeable;
    bool reports_hash;
    bool legacy;     /* the driver uses the legacy interface */
    bool big_endian; /* its numbers, which only those of a legacy driver can be */
    uint8_t hdr_len; /* octets of the packet header */
    uint32_t plain;  /* octets 8 to 11 of a header that says nothing: num_buffers 1 */
    uint32_t mtu;    /* 0: no limit negotiated */
    uint32_t max_frame;
    uint64_t offloads; /* receive offloads in force, as bits of GUEST_OFFLOADS_SET */
    const VionetDialect *dialect;
    struct filter filter;
    struct steering steering;
};

static inline bool view_has(const struct view *view, unsigned bit)
{
    return feature_test(view->features, bit);
}

/* A number as the driver writes it, and writing one as the driver reads it. */
static inline uint16_t view_get16(const struct view *view, const uint8_t *p)
{
    return view->big_endian ? get_be16(p) : get_le16(p);
}

static inline uint32_t view_get32(const struct view *view, const uint8_t *p)
{
    return view->big_endian ? get_be32(p) : get_le32(p);
}

static inline uint64_t view_get64(const struct view *view, const uint8_t *p)
{
    return view->big_endian ? get_be64(p) : get_le64(p);
}

static inline void view_put16(const struct view *view, uint8_t *p, uint16_t value)
{
    if (view->big_endian) {
        put_be16(p, value);
    } else {
        put_le16(p, value);
    }
}

/* The view of a device that has no driver. */
struct view *view_new(const VionetConfig *config);

/* Turns it into that of a legacy driver, which has negotiated nothing. */
void view_begin_legacy(struct view *view, const VionetConfig *config, bool big_endian);

/* The view as FEATURES_OK makes it, or a legacy driver's features. */
void view_negotiate(struct view *view, const VionetConfig *config, const uint64_t *features);

struct view *view_copy(const struct view *view);
/* For commands, of which a driver may give as many as it likes: NULL if there is no memory. */
struct view *view_try_copy(const struct view *view);
void view_free(struct view *view);

/* Replaces the key (len 0: none) or the table (of n pairs, a power of two); false if there is no memory. */
bool steering_try_set_key(struct steering *steering, const uint8_t *key, size_t len);
bool steering_try_set_table(struct steering *steering, const uint16_t *pairs, unsigned n);

/* Lets go of both. */
void steering_clear(struct steering *steering);

#endif
