/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which packets hash to what: dissection of an Ethernet frame into a flow, the choice of a hash type
 * for the flow, and the Toeplitz hash of it (VIRTIO 1.4, 5.1.6.4.3 Hash calculation for incoming
 * packets; 5.1.6.4.4 and two drafts of it for inner headers). Usable alone: nothing here knows a
 * device. docs/hashing.md holds the rulings on what the texts leave open.
 *
 * Use, for one packet:
 *
 *     VionetHashKey *key = vionet_hash_key_new(octets, 40);
 *     VionetFlow flow;
 *     vionet_dissect(frame, length, VIONET_TUNNEL_VXLAN | VIONET_TUNNEL_GENEVE, &flow);
 *     unsigned report = vionet_flow_report(&flow, hash_types);
 *     uint32_t hash = vionet_hash_flow(key, &flow, report);
 *
 * For many packets at once: vionet_hash_frames(), or vionet_hash_flows().
 *
 * Threads: every function is pure but for new and free; a key may be used by any number of threads.
 */
#ifndef VIONET_HASH_H
#define VIONET_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vionet/export.h>

VIONET_BEGIN_DECLS

/* Octets of the longest hash input: two IPv6 addresses and two ports. */
#define VIONET_HASH_INPUT_MAX 36
/* Octets of a key that can have an influence: one bit for each of the input's and 31 more. */
#define VIONET_HASH_KEY_USED 40

/*
 * Encapsulations, as finely as any dialect tells them apart. One packet can be several at once (a
 * keyed GRE header over Ethernet is GRE_2890 and NVGRE). The values are vionet's own; what a driver
 * writes goes through a dialect's row first.
 */
enum {
    VIONET_TUNNEL_GRE_2784 = 1 << 0,
    VIONET_TUNNEL_GRE_2890 = 1 << 1,
    VIONET_TUNNEL_GRE_7676 = 1 << 2,
    VIONET_TUNNEL_GRE_UDP = 1 << 3,
    VIONET_TUNNEL_VXLAN = 1 << 4,
    VIONET_TUNNEL_VXLAN_GPE = 1 << 5,
    VIONET_TUNNEL_GENEVE = 1 << 6,
    VIONET_TUNNEL_IPIP = 1 << 7,
    VIONET_TUNNEL_NVGRE = 1 << 8,
    VIONET_TUNNEL_ALL = (1 << 9) - 1,
};

/*
 * What a frame is for hashing. The pointers lead into the dissected frame and live as long as it
 * does. All values are in network order, as they stand in the packet.
 */
typedef struct VionetFlow {
    const uint8_t *src; /* address octets; NULL if the packet to be hashed is not IP */
    const uint8_t *dst;
    const uint8_t *ports;  /* source and destination port, 4 octets; NULL without TCP/UDP header */
    const uint8_t *ex_src; /* IPv6 with extension headers: home address or src, else NULL */
    const uint8_t *ex_dst; /* the same: type 2 routing header's address or dst */
    uint8_t addr_len;      /* 4, 16, or 0 if the packet to be hashed is not IP */
    uint8_t protocol;      /* 6 or 17 with ports, else 0 */
    bool short_of_octets;  /* a header would have needed octets past the end of the frame */
    uint16_t tunnels;      /* not 0: this is the inner packet of one of these encapsulations */
} VionetFlow;

/*
 * Dissects the Ethernet frame of len octets (any len; nothing past it is read). If the outer packet
 * is an encapsulation of which a bit is set in tunnels (VIONET_TUNNEL_*), the flow is the inner
 * packet's, and not IP if there is no inner IP header; otherwise it is the outer packet's. Only one
 * level of encapsulation is looked at. Runs in one pass over the headers: time is bounded by len.
 */
VIONET_EXPORT void vionet_dissect(const uint8_t *frame, size_t len, unsigned tunnels,
                                  VionetFlow *flow);

/*
 * The hash type to use for flow when hash_types (VIRTIO_NET_HASH_TYPE_*) are enabled, as the value
 * that hash_report takes (VIRTIO_NET_HASH_REPORT_*): 0 if no hash is to be calculated, else type bit
 * 1 << (report - 1).
 */
VIONET_EXPORT unsigned vionet_flow_report(const VionetFlow *flow, uint32_t hash_types);

/* The name of a report value, such as "TCPv4"; "NONE" for 0 and for values that do not exist. */
VIONET_EXPORT const char *vionet_report_name(unsigned report);

/*
 * A key made ready for hashing. How hashes are computed is chosen with it, the fastest way that the
 * processor has; all ways give the same hashes. A key takes half a KiB, or 36 KiB of tables where the
 * processor has no carry-less product.
 */
typedef struct VionetHashKey VionetHashKey;

/*
 * Prepares a key of len octets (0 to 255). Bits past its end count as zero, octets past the 40th
 * have no influence. Never NULL; ends the process if memory runs out, as GLib does. Free with
 * vionet_hash_key_free().
 */
VIONET_EXPORT VionetHashKey *vionet_hash_key_new(const uint8_t *key, size_t len);

/*
 * The name of the i-th way of hashing, i from 0, that this processor has, best first: "avx512" (with
 * GFNI and VPCLMULQDQ), "pclmul", "pmull", "table". NULL past the last.
 */
VIONET_EXPORT const char *vionet_hash_engine_at(unsigned i);

/*
 * As vionet_hash_key_new(), for the way of hashing of that name, to test or to compare; NULL if this
 * processor does not have it.
 */
VIONET_EXPORT VionetHashKey *vionet_hash_key_new_for(const char *engine, const uint8_t *key,
                                                     size_t len);

/* Frees a key; NULL is ignored. */
VIONET_EXPORT void vionet_hash_key_free(VionetHashKey *key);

/* Toeplitz hash of len octets of input; octets past VIONET_HASH_INPUT_MAX are not looked at. */
VIONET_EXPORT uint32_t vionet_toeplitz(const VionetHashKey *key, const uint8_t *input, size_t len);

/*
 * Toeplitz hashes of n inputs, all of len octets: hashes[i] becomes that of inputs[i]. Inputs may
 * overlap, and no octet past the end of one is read. Fastest for 12 and 36 octets, a dozen or more
 * inputs at a time.
 */
VIONET_EXPORT void vionet_toeplitz_burst(const VionetHashKey *key, const uint8_t *const inputs[],
                                         size_t len, size_t n, uint32_t hashes[]);

/*
 * Toeplitz hash of flow for a report that vionet_flow_report() gave for it; 0 for report 0.
 */
VIONET_EXPORT uint32_t vionet_hash_flow(const VionetHashKey *key, const VionetFlow *flow,
                                        unsigned report);

/*
 * What vionet_flow_report() and vionet_hash_flow() say of each of n flows, together: reports[i] and
 * hashes[i] are flows[i]'s, and hashes[i] is 0 where there is no hash.
 */
VIONET_EXPORT void vionet_hash_flows(const VionetHashKey *key, const VionetFlow flows[], size_t n,
                                     uint32_t hash_types, uint8_t reports[], uint32_t hashes[]);

/* What is to be known of a frame's hash. */
typedef struct VionetFrameHash {
    uint32_t hash;        /* 0 where there is none */
    uint16_t tunnels;     /* VionetFlow's */
    uint8_t report;       /* VIRTIO_NET_HASH_REPORT_* */
    bool short_of_octets; /* VionetFlow's */
} VionetFrameHash;

/*
 * vionet_dissect(), vionet_flow_report() and vionet_hash_flow() for each of n frames, frames[i] of
 * lens[i] octets, together: the fastest way for a burst, a dozen frames or more at a time. results[i]
 * becomes frames[i]'s.
 */
VIONET_EXPORT void vionet_hash_frames(const VionetHashKey *key, const uint8_t *const frames[],
                                      const size_t lens[], size_t n, unsigned tunnels,
                                      uint32_t hash_types, VionetFrameHash results[]);

/* One tunnel type of a dialect. */
typedef struct VionetTunnelType {
    const char *name; /* as on command lines: "vxlan" */
    uint32_t bit;     /* in the dialect's own mask */
    uint16_t tunnels; /* the VIONET_TUNNEL_* that it enables */
    uint8_t report;   /* hash_report_tunnel value, where the dialect reports */
} VionetTunnelType;

/*
 * A dialect of inner-header hashing, as a row: everything in which the drafts and the ratified text
 * differ. Rows are constant and live for ever.
 */
typedef struct VionetDialect {
    const char *name;              /* "off", "draft-v7", "draft-v10", "ratified" */
    int feature;                   /* the feature bit, -1 if none */
    uint32_t all_types;            /* every bit that the dialect knows */
    uint32_t always_types;         /* bits that are supported whatever the configuration */
    bool types_in_hash_types;      /* the mask is part of hash_types and supported_hash_types */
    bool types_after_key;          /* the mask follows hash_key_data in the MQ commands */
    bool types_by_command;         /* the mask has a command of its own (class 7) */
    bool config_field;             /* the configuration space has a mask of supported types */
    bool is_hash_feature;          /* the feature alone makes hash fields and HASH_CONFIG exist */
    bool reports_tunnel;           /* the packet header tells the tunnel */
    const VionetTunnelType *types; /* ends with a NULL name */
} VionetDialect;

/* The i-th dialect, i from 0; NULL past the last. */
VIONET_EXPORT const VionetDialect *vionet_dialect_at(unsigned i);

/* The dialect of that name, NULL if there is none. */
VIONET_EXPORT const VionetDialect *vionet_dialect_find(const char *name);

/* What a mask of the dialect's own types enables, as VIONET_TUNNEL_*. */
VIONET_EXPORT unsigned vionet_dialect_tunnels(const VionetDialect *dialect, uint32_t types);

/* hash_report_tunnel for a flow's tunnels; 0 where the dialect does not report. */
VIONET_EXPORT unsigned vionet_dialect_report(const VionetDialect *dialect, unsigned tunnels);

VIONET_END_DECLS

#endif
