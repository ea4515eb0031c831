/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The virtio network device (VIRTIO 1.4, 5.1), without a transport: an embedder makes one, maps the
 * guest's memory into it, puts a transport in front (vionet/pci.h, or its own over
 * vionet/transport.h) and moves frames in bursts with vionet_device_receive() and
 * vionet_device_transmit().
 *
 * What holds everywhere
 *
 * Names. "Receive" is towards the guest, "transmit" from it, as the driver sees it. Queues are
 * numbered as on the wire: receive queue of pair p is 2p, transmit queue 2p + 1.
 *
 * Threads. Functions come in two kinds. *Data functions* (receive, transmit, complete, timer,
 * counters, and kick for receive and transmit queues) may be called from any thread at any time
 * between new and free. Calls for different pairs and lanes do not touch each other's cache lines;
 * calls for the same one wait for each other. *Control functions* (everything else, register access
 * by a transport included) are for one thread at a time; the embedder serialises them. They may run
 * while data functions run. Those that take something away (unmap, reset) return when no data
 * function can still be using it, which is at most one burst later.
 *
 * Host operations (but for clock_ns, trace, dma_read and dma_write) are called with nothing held: from within one, any
 * function of the device may be called but vionet_device_free(). How deep that nests is the caller's
 * business.
 *
 * Errors. What the embedder does wrong comes back as false or NULL with a GError of domain
 * VIONET_ERROR; GLib's allocation rules hold. What the guest does wrong never does: a rule of the
 * specification that the driver breaks is a *violation* (a named event and a counter, and for the
 * grave ones the queue stops and the status gets DEVICE_NEEDS_RESET until the driver resets), a
 * frame that cannot be passed on is *dropped* with a reason (a counter), a command that cannot be
 * obeyed is answered with VIRTIO_NET_ERR.
 *
 * Structures that the caller fills begin with their size, which the _init functions and the
 * VIONET_*_INIT macros set; members are only ever added at the end.
 */
#ifndef VIONET_DEVICE_H
#define VIONET_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <glib.h>

#include <vionet/export.h>
#include <vionet/hash.h>

VIONET_BEGIN_DECLS

typedef struct VionetDevice VionetDevice;

#define VIONET_ERROR (vionet_error_quark())
VIONET_EXPORT GQuark vionet_error_quark(void);

typedef enum VionetError {
    VIONET_ERROR_CONFIG, /* the configuration contradicts itself or the specification */
    VIONET_ERROR_MEMORY, /* a mapping overlaps another, is misaligned, or does not exist */
} VionetError;

/* ---- Features ---- */

/* Feature words kept: bits 0 to 127. */
#define VIONET_FEATURE_WORDS 2

/*
 * One feature bit that this library knows, as a row. The table feeds negotiation, properties and
 * documentation alike.
 */
typedef struct VionetFeature {
    unsigned bit;
    const char *name;     /* as in the specification: "VIRTIO_NET_F_MRG_RXBUF" */
    const char *property; /* as QEMU users write it: "mrg_rxbuf" */
    const char *help;     /* one line */
    bool by_default;      /* set by vionet_config_init() */
} VionetFeature;

/*
 * The i-th feature that a device of that dialect can offer; NULL past the last. The bit that two
 * dialects use for different things appears with the meaning it has in this one.
 */
VIONET_EXPORT const VionetFeature *vionet_feature_at(const VionetDialect *dialect, unsigned i);

/*
 * Takes from features what cannot be offered without something that is missing, but leaves what is in
 * keep (which may be NULL), so that turning off a feature can turn off what depends on it.
 */
VIONET_EXPORT void vionet_features_settle(const VionetDialect *dialect, uint64_t *features,
                                          const uint64_t *keep);

/* Sets or clears bit in a set of feature words; bits past 127 are ignored. */
VIONET_EXPORT void vionet_features_set(uint64_t *features, unsigned bit, bool on);
VIONET_EXPORT bool vionet_features_test(const uint64_t *features, unsigned bit);

/* ---- Configuration ---- */

#define VIONET_MAX_PAIRS      256   /* most queue pairs of one device */
#define VIONET_MAX_QUEUE_SIZE 32768 /* 2.7: most descriptors of one queue */
#define VIONET_MAX_FRAME      65550 /* octets of the largest frame, unless configured less */
#define VIONET_MAX_MAC_TABLE  64    /* addresses kept of each kind; past that all of it passes */

#define VIONET_MAX_RSS_CONTEXTS 1024 /* most RSS contexts beside the default configuration */

/* All tunnel types that the dialect has, whichever it is. */
#define VIONET_ALL_TUNNELS 0xffffffffu

/*
 * What the device is. Fill with vionet_config_init(), then change what differs. A feature that is
 * set in features is offered to the driver, and honoured.
 *
 * The offload features bind the embedder too. With VIRTIO_NET_F_CSUM or a HOST_ feature it takes
 * transmitted frames whose checksum is to be completed or that are to be segmented, as the frame's
 * members say (vionet_frame_linearize() completes a checksum). The GUEST_ features let it deliver
 * such frames; a checksum that the guest did not agree to complete is completed by the device.
 */
typedef struct VionetConfig {
    size_t size;                             /* of this structure */
    uint64_t features[VIONET_FEATURE_WORDS]; /* to offer */
    const VionetDialect *dialect;            /* of inner-header hashing */
    uint8_t mac[6];
    uint16_t max_pairs;          /* 1 to VIONET_MAX_PAIRS; more than 1 needs MQ or RSS */
    uint16_t receive_queue_size; /* powers of two, 2 to VIONET_MAX_QUEUE_SIZE */
    uint16_t transmit_queue_size;
    uint16_t control_queue_size;
    uint16_t mtu;   /* 68 to 65535, with VIRTIO_NET_F_MTU */
    uint32_t speed; /* Mbit/s, 0xffffffff unknown; with SPEED_DUPLEX */
    uint8_t duplex; /* 0 half, 1 full, 0xff unknown */
    bool link_up;
    uint8_t rss_max_key_size;   /* octets, 40 to 255 */
    uint16_t rss_max_table;     /* entries, a power of two, 128 to 32768 */
    uint32_t hash_types;        /* VIRTIO_NET_HASH_TYPE_* supported, without tunnels */
    uint32_t tunnel_types;      /* supported, own bits of dialect; VIONET_ALL_TUNNELS */
    uint32_t max_frame;         /* octets, 1514 to VIONET_MAX_FRAME */
    uint16_t notif_config_base; /* queue q's queue_notif_config_data is base + q */
    uint16_t max_rss_contexts;  /* beside the default one, 1 to VIONET_MAX_RSS_CONTEXTS */
} VionetConfig;

/*
 * Sets every member to its default: all features marked by_default, the ratified dialect with all
 * its types, one pair, queues of 256 (64 for control), MAC 52:54:00:12:34:56, link up.
 */
VIONET_EXPORT void vionet_config_init(VionetConfig *config);

/* ---- Events ---- */

/*
 * The ways in which a driver can break the rules. vionet_violation_info() has the name, the section
 * and the sentence of each.
 */
typedef enum VionetViolation {
    /* rings and chains: the queue stops, DEVICE_NEEDS_RESET */
    VIONET_VIOLATION_QUEUE_SIZE,
    VIONET_VIOLATION_RING_MISALIGNED,
    VIONET_VIOLATION_RING_ADDRESS,
    VIONET_VIOLATION_AVAIL_JUMP,
    VIONET_VIOLATION_HEAD_RANGE,
    VIONET_VIOLATION_HEAD_IN_FLIGHT,
    VIONET_VIOLATION_NEXT_RANGE,
    VIONET_VIOLATION_CHAIN_LENGTH,
    VIONET_VIOLATION_CHAIN_OCTETS,
    VIONET_VIOLATION_ADDRESS,
    VIONET_VIOLATION_READABLE_AFTER_WRITABLE,
    VIONET_VIOLATION_INDIRECT_NOT_NEGOTIATED,
    VIONET_VIOLATION_INDIRECT_NESTED,
    VIONET_VIOLATION_INDIRECT_WITH_NEXT,
    VIONET_VIOLATION_INDIRECT_LENGTH,
    VIONET_VIOLATION_INDIRECT_MIXED,
    VIONET_VIOLATION_CHAIN_UNAVAILABLE,
    VIONET_VIOLATION_RECEIVE_BUFFER,
    VIONET_VIOLATION_CONTROL_UNANSWERABLE,
    /* life cycle: DEVICE_NEEDS_RESET */
    VIONET_VIOLATION_DRIVER_OK_EARLY,
    /* registers: the access has no effect */
    VIONET_VIOLATION_FEATURES_NOT_OFFERED,
    VIONET_VIOLATION_FEATURES_DEPENDENCY,
    VIONET_VIOLATION_FEATURES_LATE,
    VIONET_VIOLATION_STATUS_BIT_CLEARED,
    VIONET_VIOLATION_QUEUE_SELECT,
    VIONET_VIOLATION_QUEUE_SIZE_WRITE,
    VIONET_VIOLATION_QUEUE_WRITE_ENABLED,
    VIONET_VIOLATION_QUEUE_DISABLE,
    VIONET_VIOLATION_QUEUE_ENABLE_EARLY,
    VIONET_VIOLATION_QUEUE_RESET,
    VIONET_VIOLATION_VECTOR_RANGE,
    VIONET_VIOLATION_CONFIG_WRITE,
    VIONET_VIOLATION_NOTIFY_QUEUE,
    VIONET_VIOLATION_NOTIFY_DATA,
    VIONET_VIOLATION_QUEUE_ALIGN,
    VIONET_VIOLATION_LEGACY_LATE,
    /* commands: answered with VIRTIO_NET_ERR */
    VIONET_VIOLATION_COMMAND_UNKNOWN,
    VIONET_VIOLATION_COMMAND_NOT_NEGOTIATED,
    VIONET_VIOLATION_COMMAND_LENGTH,
    VIONET_VIOLATION_COMMAND_VALUE,
    VIONET_N_VIOLATIONS
} VionetViolation;

typedef struct VionetViolationInfo {
    const char *name;    /* "address-outside-memory" */
    const char *section; /* of the specification: "2.7.5" */
    bool fatal;          /* the queue or device stops until the driver resets it */
    const char *text;    /* what happened, with %q queue, %d descriptor, %v value */
} VionetViolationInfo;

/* The row of a violation; NULL for values that do not exist. */
VIONET_EXPORT const VionetViolationInfo *vionet_violation_info(VionetViolation violation);

typedef enum VionetEventKind {
    VIONET_EVENT_VIOLATION, /* violation, queue, descriptor, value: once each per queue and reset */
    VIONET_EVENT_FEATURES,  /* the driver's features were accepted: FEATURES_OK */
    VIONET_EVENT_RUNNING,   /* DRIVER_OK */
    VIONET_EVENT_RESET,    /* the driver reset the device (value 0), or the machine did (value 1) */
    VIONET_EVENT_FILTER,   /* the receive filter, MAC or VLAN table changed */
    VIONET_EVENT_STEERING, /* queue pairs, RSS, hash or tunnel configuration changed */
    VIONET_EVENT_ANNOUNCED, /* the driver acknowledged an announcement request */
    VIONET_EVENT_OFFLOADS,  /* the driver switched receive offloads: vionet_device_offloads() */
} VionetEventKind;

/* Stands where an event has no queue or descriptor. */
#define VIONET_NONE 0xffffffffu

typedef struct VionetEvent {
    VionetEventKind kind;
    VionetViolation violation;
    unsigned queue;
    unsigned descriptor;
    uint64_t value; /* what was found: an address, a length, an index, class << 8 | command, ... */
} VionetEvent;

/*
 * Writes the event as a sentence for a driver author, such as "descriptor 17 of queue 2: address
 * 0x7fff0000 outside guest memory (2.7.5)", NUL-terminated, into buf of size octets. Never writes
 * host addresses or guest data other than the one value.
 */
VIONET_EXPORT void vionet_event_describe(const VionetEvent *event, char *buf, size_t size);

/* ---- Host operations ---- */

/* The queue argument that stands for a configuration change in the interrupt operation. */
#define VIONET_CONFIG_CHANGE 0xffffffffu

struct VionetTrace;

/*
 * What the device asks of its embedder. Every operation but interrupt may be NULL, and interrupt may
 * be too when a transport object (VionetPci) is put in front. NOTF_COAL and VQ_NOTF_COAL can only be
 * offered with clock_ns and timer.
 */
typedef struct VionetHostOps {
    size_t size; /* of this structure */
    /* Used buffer notification of queue, or VIONET_CONFIG_CHANGE. From data and control functions. */
    void (*interrupt)(void *opaque, unsigned queue);
    /*
     * The driver notified a queue: for a transmit queue, vionet_device_transmit() may find frames;
     * for a receive queue, held frames may go now; for the control queue, more commands wait than one
     * notification executes: call vionet_device_kick() when convenient. From the thread that notified,
     * or from within a data function that left something to do.
     */
    void (*kick)(void *opaque, unsigned queue);
    /* Something happened; the event lives until the operation returns. */
    void (*event)(void *opaque, const VionetEvent *event);
    /* Monotonic time in nanoseconds. May not call the device. */
    uint64_t (*clock_ns)(void *opaque);
    /*
     * Call vionet_device_timer(queue) at deadline_ns of that clock. One per queue, a new deadline
     * replaces the old one; a call that comes early, late or for nothing does no harm.
     */
    void (*timer)(void *opaque, unsigned queue, uint64_t deadline_ns);
    /*
     * What became of a frame, once it was delivered, taken or dropped: for looking on, such as
     * writing a capture. From within data functions, any number of them at a time: like clock_ns it
     * may not call the device. What it is given is to be read during the call.
     */
    void (*trace)(void *opaque, const struct VionetTrace *trace);
    /*
     * Reads len octets of remote memory (vionet_device_map_remote()) at gpa into buf, or writes them
     * there, and is done on return; in one mapping. False if that cannot be done: then the device
     * does as if the memory were not there. From within data and control functions, in the queue's
     * turn: like clock_ns they may not call the device, but for the functions that only look, and a
     * transport's registers but for those that start, stop, reset or notify a queue or the device.
     */
    bool (*dma_read)(void *opaque, uint64_t gpa, void *buf, size_t len);
    bool (*dma_write)(void *opaque, uint64_t gpa, const void *buf, size_t len);
} VionetHostOps;

/* ---- Life ---- */

/*
 * Whether vionet_device_new() would make a device of these; false with the error that it would give.
 */
VIONET_EXPORT bool vionet_config_check(const VionetConfig *config, const VionetHostOps *ops,
                                       GError **error);

/*
 * Makes a device. config and ops are copied; opaque is handed to each operation. NULL with
 * VIONET_ERROR_CONFIG if config cannot be honoured; the message names the member or feature.
 */
VIONET_EXPORT VionetDevice *vionet_device_new(const VionetConfig *config, const VionetHostOps *ops,
                                              void *opaque, GError **error);

/*
 * Frees the device; NULL is ignored. No other call may be under way, no transport object may still
 * be in front of it, frames taken by transmit may not be completed any more.
 */
VIONET_EXPORT void vionet_device_free(VionetDevice *device);

/* The configuration that the device was made with; lives as long as it. */
VIONET_EXPORT const VionetConfig *vionet_device_config(const VionetDevice *device);

/*
 * Control: maps size octets of host memory at guest physical address gpa. gpa and size are multiples
 * of 4096, host is aligned to 16; the range may not overlap another. With VIONET_MAP_READONLY the
 * device refuses to write there (as it would to memory that is not there). The memory must stay valid
 * until it is unmapped.
 */
#define VIONET_MAP_READONLY 1u
VIONET_EXPORT bool vionet_device_map(VionetDevice *device, uint64_t gpa, void *host, uint64_t size,
                                     unsigned flags, GError **error);

/*
 * Control: the same for memory that cannot be mapped here: the device reads and writes it by the
 * operations dma_read and dma_write, without which this is an error. Queues and buffers may lie in
 * memory of either kind, or in both. That is for memory that is not to be had otherwise: each word of
 * a queue takes an operation, and frames are copied once more. What the driver wrote is read once;
 * what the device writes is there before the queue says so, and is no more than it says. When an
 * operation fails the queue stops with a violation.
 */
VIONET_EXPORT bool vionet_device_map_remote(VionetDevice *device, uint64_t gpa, uint64_t size,
                                            unsigned flags, GError **error);

/*
 * Control: takes back a mapping made with exactly these gpa and size. On return nothing of it is in
 * use, but for frames that were taken by transmit and not completed, whose iovecs lead into it. A
 * queue whose rings or buffers lay there finds them missing, which is the driver's violation.
 */
VIONET_EXPORT bool vionet_device_unmap(VionetDevice *device, uint64_t gpa, uint64_t size,
                                       GError **error);

/*
 * Control: from now on the device notes which pages of 4096 octets it has written: for each octet of a
 * buffer written, once it stands there and before the driver is shown the buffer, bit page % 8 of octet
 * page / 8 is set in bits, atomically; pages past its size octets are not noted. Writes to the queues
 * themselves are noted for those queues that vionet_device_write_queue_log() says it of. The memory must
 * stay valid until another call; NULL ends it, and on return nothing of it is in use. A reset leaves it.
 * Buffers in remote memory are not noted: the operation dma_write knows of them.
 */
VIONET_EXPORT void vionet_device_set_dirty_log(VionetDevice *device, void *bits, uint64_t size);

/* Control: whether the device may reach guest memory and interrupt (PCI's bus master bit). On at first. */
VIONET_EXPORT void vionet_device_set_dma(VionetDevice *device, bool enabled);

/*
 * Data: whether a driver runs and nothing stands in the way of frames: DRIVER_OK, not FAILED, memory
 * reachable. Single queues may be disabled or broken nevertheless.
 */
VIONET_EXPORT bool vionet_device_running(const VionetDevice *device);

/*
 * Data: which frames with work left the driver takes now, as bits numbered like those of
 * VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET (5.1.6.5.6.1): from FEATURES_OK on what was negotiated, then what
 * the driver switched. 0 without a driver.
 */
VIONET_EXPORT uint64_t vionet_device_offloads(const VionetDevice *device);

/* Control: raises or lowers the link; the driver is told if it can be (5.1.4, status). */
VIONET_EXPORT void vionet_device_set_link(VionetDevice *device, bool up);

/*
 * Control: asks the driver to announce itself, after a migration for example (5.1.6.5.4). False if
 * the driver did not negotiate VIRTIO_NET_F_GUEST_ANNOUNCE or does not run.
 */
VIONET_EXPORT bool vionet_device_announce(VionetDevice *device);

/* Which frames the driver wants, as it set that (5.1.6.5.1 to 5.1.6.5.3). */
typedef struct VionetFilter {
    size_t size;    /* of this structure */
    uint8_t mac[6]; /* its address now */
    bool promiscuous;
    bool all_multicast;
    bool all_unicast;
    bool no_multicast;
    bool no_unicast;
    bool no_broadcast;
    bool unicast_overflow; /* it listed more than are kept: all of that kind pass */
    bool multicast_overflow;
    bool vlan_filter; /* only the VLANs of the table pass */
    unsigned n_unicast;
    unsigned n_multicast;
    uint8_t unicast[VIONET_MAX_MAC_TABLE][6];
    uint8_t multicast[VIONET_MAX_MAC_TABLE][6];
    uint32_t vlans[4096 / 32]; /* bit VLAN % 32 of word VLAN / 32 */
} VionetFilter;

/* Control: fills filter, whose size the caller has set. Without a driver: that of a driver that asks for nothing. */
VIONET_EXPORT void vionet_device_filter(const VionetDevice *device, VionetFilter *filter);

/* ---- Frames ---- */

/* Why a frame was not passed on, or that it was. vionet_verdict_name() names each. */
typedef enum VionetVerdict {
    VIONET_DELIVERED,
    VIONET_HELD,             /* not enough receive buffers now; offer it again after a kick */
    VIONET_DROP_RUNT,        /* under 14 octets */
    VIONET_DROP_OVERSIZE,    /* over the device's maximum */
    VIONET_DROP_NOT_RUNNING, /* no driver, or it broke the queue */
    VIONET_DROP_LINK_DOWN,
    VIONET_DROP_FILTER,         /* destination address or mode */
    VIONET_DROP_VLAN,           /* VLAN not in the driver's table */
    VIONET_DROP_MTU,            /* over the negotiated MTU */
    VIONET_DROP_OFFLOAD,        /* needs an offload that was not negotiated, or malformed header */
    VIONET_DROP_QUEUE_DISABLED, /* the queue it belongs to is not enabled */
    VIONET_DROP_NO_BUFFER,      /* no receive buffer */
    VIONET_DROP_BUFFER_TOO_SMALL, /* larger than the one buffer it may use */
    VIONET_DROP_MALFORMED,        /* transmit: no complete packet header */
    VIONET_N_VERDICTS
} VionetVerdict;

/* "delivered", "held", "runt", "oversize", ... */
VIONET_EXPORT const char *vionet_verdict_name(VionetVerdict verdict);

/*
 * A frame: its octets from the Ethernet header on, without packet header, and what the packet header
 * says of offloads, in host byte order (5.1.6; flags and gso_type are VIRTIO_NET_HDR_*). All zero for
 * a plain frame.
 */
typedef struct VionetFrame {
    const struct iovec *iov;
    unsigned n_iov;
    uint8_t flags;
    uint8_t gso_type;
    uint16_t hdr_len;
    uint16_t gso_size;
    uint16_t csum_start;
    uint16_t csum_offset;
    uint16_t outer_th_offset;
    uint16_t inner_nh_offset;
    uint32_t len;   /* transmit: octets in iov; receive does not look at it */
    uint64_t token; /* transmit: for vionet_device_complete() */
} VionetFrame;

/*
 * What the trace operation is told of a frame. Where a transmitted frame was dropped for its packet
 * header, its members of offloads are 0.
 */
typedef struct VionetTrace {
    const VionetFrame *frame; /* iov may have fewer octets than the frame */
    size_t len;               /* octets of the frame */
    bool transmit;            /* from the guest */
    unsigned queue;           /* VIONET_NONE: it was dropped before it had one */
    VionetVerdict verdict;
    /* What the driver was told, if it negotiated that and the frame was delivered: else all 0. */
    uint16_t report; /* VIRTIO_NET_HASH_REPORT_* */
    uint32_t hash;
} VionetTrace;

/*
 * Frames without a receive buffer are held for the caller instead of dropped; needs verdicts. Whoever holds frames
 * offers them again when the driver notifies (VionetHostOps.kick), and the driver will, whoever's frames find room
 * meanwhile.
 */
#define VIONET_RECEIVE_HOLD 1u

/*
 * Data: passes n frames to the guest: filter, hash, steer, copy, and a notification decision per queue
 * touched, for up to 32 frames at a time. A lane is a caller of this function: calls with different lanes (0 to max_pairs - 1)
 * run in parallel, calls with the same one wait for each other; which queue a frame goes to does not
 * depend on it. Frames of one flow keep their order: when one is held, so are those behind it. (A frame
 * for a queue that is gone goes to another one, behind what this call had for that already.)
 *
 * Returns the number delivered; verdicts, unless NULL, gets n entries. The frames' memory is the
 * caller's and is only read, during the call.
 */
VIONET_EXPORT size_t vionet_device_receive(VionetDevice *device, unsigned lane,
                                           const VionetFrame *frames, size_t n,
                                           VionetVerdict *verdicts, unsigned flags);

/*
 * Data: takes up to n frames that the guest sent on a pair. Returns how many; fewer than n when the
 * queue is empty for now (the next one is announced by kick) or when too many are out. Each call does
 * work bounded by the queue's size, whatever the driver adds meanwhile.
 *
 * The frames' iovecs lead into guest memory, which the guest may change at any time: read once, then
 * decide. They belong to the device and hold until vionet_device_complete(), which every frame needs
 * exactly once, a reset or not: its place in the device is free only then. Frames whose packet header
 * breaks the rules are dropped here.
 */
VIONET_EXPORT size_t vionet_device_transmit(VionetDevice *device, unsigned pair,
                                            VionetFrame *frames, size_t n);

/*
 * Data: gives back n frames of that pair, in any order. For a frame of before a reset nothing reaches
 * the driver; that, and a frame that is not out, is counted as stale.
 */
VIONET_EXPORT void vionet_device_complete(VionetDevice *device, unsigned pair,
                                          const VionetFrame *frames, size_t n);

/*
 * Data: with poll on, the driver is asked not to notify that transmit or receive queue: the embedder
 * calls transmit or receive without being kicked. Off at first and after each start of the queue.
 */
VIONET_EXPORT void vionet_device_set_poll(VionetDevice *device, unsigned queue, bool poll);

/* Data: the time asked for by the timer operation has come for that queue. */
VIONET_EXPORT void vionet_device_timer(VionetDevice *device, unsigned queue);

/*
 * Copies a frame into buf of size octets and completes its checksum if it needs that
 * (VIRTIO_NET_HDR_F_NEEDS_CSUM). Each octet of frame is read once, so it may lie in guest memory.
 * Returns the frame's length, 0 if it does not fit or its checksum lies outside it.
 */
VIONET_EXPORT size_t vionet_frame_linearize(const VionetFrame *frame, void *buf, size_t size);

/* ---- Counters ---- */

/* What is counted for each queue, since the last reset of the device. */
typedef enum VionetCounter {
    VIONET_COUNTER_PACKETS,      /* delivered to, or taken from, the driver */
    VIONET_COUNTER_OCTETS,       /* of those frames */
    VIONET_COUNTER_KICKS,        /* notifications by the driver */
    VIONET_COUNTER_INTERRUPTS,   /* notifications of the driver */
    VIONET_COUNTER_DROPS,        /* frames of this queue dropped, for any reason */
    VIONET_COUNTER_STALE,        /* completions of frames that were not out */
    VIONET_COUNTER_COMMANDS_OK,  /* control queue: commands answered with VIRTIO_NET_OK */
    VIONET_COUNTER_COMMANDS_ERR, /* and with VIRTIO_NET_ERR */
    /* of the frames in PACKETS, by the packet header as the driver wrote or got it */
    VIONET_COUNTER_CSUM_VALID,  /* receive: with VIRTIO_NET_HDR_F_DATA_VALID */
    VIONET_COUNTER_CSUM_NEEDS,  /* with VIRTIO_NET_HDR_F_NEEDS_CSUM */
    VIONET_COUNTER_CSUM_NONE,   /* with neither */
    VIONET_COUNTER_GSO_PACKETS, /* with a gso_type */
    VIONET_COUNTER_GSO_OCTETS,
    VIONET_N_COUNTERS
} VionetCounter;

/* "packets", "octets", ... */
VIONET_EXPORT const char *vionet_counter_name(VionetCounter counter);

/* Data: the present value; 0 for queues that do not exist. */
VIONET_EXPORT uint64_t vionet_device_counter(const VionetDevice *device, unsigned queue,
                                             VionetCounter counter);

/* Data: frames with that verdict on all queues, since the last reset. */
VIONET_EXPORT uint64_t vionet_device_verdicts(const VionetDevice *device, VionetVerdict verdict);

/* Data: how often a violation was seen since the device was made (a reset does not clear it). */
VIONET_EXPORT uint64_t vionet_device_violations(const VionetDevice *device,
                                                VionetViolation violation);

VIONET_END_DECLS

#endif
