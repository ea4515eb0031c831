/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Backends: what the frontend puts behind the device. A backend takes the frames that the guest
 * sends and has frames for it; each is one small table of operations and one file. backends.c has
 * the list of them, backend.c the functions that frontend.c calls.
 *
 * Frames travel in bursts, both ways as in vionet/device.h. The guest's are valid during the call.
 * The backend's are taken by backend_receive() and stay its memory until they are given back with
 * backend_complete(), in any order. Back-pressure is not asking: a frontend whose guest has no room
 * takes no more, and the backend keeps, or drops and counts, what comes in meanwhile.
 *
 * A backend that is more than a file lives with an event loop: backend_attach() gives it one, and
 * it calls ready when it may have frames again after it was asked in vain. Such a backend watches
 * its descriptors only between having been asked in vain and that call, so that a guest without
 * room costs nothing.
 *
 * Errors are of domain VIONET_ERROR, code VIONET_ERROR_CONFIG, one line each. Threads: one at a
 * time for each backend, its event loop included; no operation calls back, but ready. A backend that
 * can be split has queues which are backends of their own, for a thread each.
 */
#ifndef DEVICE_BACKEND_H
#define DEVICE_BACKEND_H

#include <stdatomic.h>

#include <vionet/device.h>

typedef struct VionetBackend VionetBackend;

/*
 * What a backend takes from the guest beside plain frames; for what it does not take, the frontend
 * does the work. Without BACKEND_CSUM it gets each frame in one range, which the guest cannot change any more,
 * with nothing left to be done to it; the others below it, but for BACKEND_LONG_TCP, need BACKEND_CSUM. What it gives may have
 * any offload member set: what the guest does not take, the frontend segments and the device
 * finishes. backend_set_offloads() lets it do so itself.
 */
#define BACKEND_CSUM     1u  /* frames in several ranges, whose checksum may be unfinished */
#define BACKEND_GSO      2u  /* and frames of TCP to be segmented, as their members say */
#define BACKEND_UFO      4u  /* and UDP datagrams to be fragmented */
#define BACKEND_TUNNEL   8u  /* and frames to be segmented inside UDP tunnels */
#define BACKEND_LONG_TCP 16u /* TCP packets of any length as they are: no need to segment them */
#define BACKEND_USO      32u /* and frames of UDP to be segmented into datagrams */

typedef struct VionetBackendCounters {
    uint64_t sent;     /* frames from the guest, dropped ones included */
    uint64_t received; /* frames taken for the guest */
    uint64_t dropped;  /* frames of either way that the backend could not keep, write or read */
} VionetBackendCounters;

/* ---- For the frontend ---- */

/*
 * Opens the backend that text names: "null", "loopback", "pcap,in=FILE,out=FILE" (a comma in a file
 * name doubled). NULL with an error if there is no such backend, or it cannot be had.
 */
VionetBackend *backend_open(const char *text, GError **error);

/* Closes a backend, and frees the frames that were taken from it; NULL is ignored. */
void backend_close(VionetBackend *backend);

/* "null", "loopback", ... */
const char *backend_name(const VionetBackend *backend);

/* BACKEND_* */
unsigned backend_takes(const VionetBackend *backend);

/* Features, as bits 0 to 63, that a device in front of it does well to offer. */
uint64_t backend_suits(const VionetBackend *backend);

/* Since the backend was opened. */
VionetBackendCounters backend_counters(const VionetBackend *backend);

/*
 * Hands over n frames from the guest; all of them are done with on return. True if frames for the
 * guest may have come of it, so that the frontend asks for them.
 */
bool backend_send(VionetBackend *backend, const VionetFrame *frames, size_t n);

/* Counts a frame from the guest that cannot be had in a form which the backend takes. */
void backend_refuse(VionetBackend *backend);

/*
 * Whether the backend has trouble passing on what it got. It calls ready when that is over; what it
 * is sent meanwhile may be dropped.
 */
bool backend_is_full(const VionetBackend *backend);

/* Whether there is somebody at the other end. It calls ready when that changes while nothing is asked of it. */
bool backend_has_link(const VionetBackend *backend);

/* Takes up to n frames for the guest that are there now; returns how many. Does not wait. */
size_t backend_receive(VionetBackend *backend, VionetFrame *frames, size_t n);

/* Gives back n frames that were taken, delivered or not. */
void backend_complete(VionetBackend *backend, const VionetFrame *frames, size_t n);

/*
 * Connects the backend with an event loop: its sources go to context, and ready(opaque) is called
 * from there when frames may have come. Once, before anything is received. A backend without
 * sources of its own has nothing to do.
 */
void backend_attach(VionetBackend *backend, GMainContext *context, void (*ready)(void *opaque),
                    void *opaque);

/*
 * What the guest takes now: a set of bits of its receive offloads, numbered as in
 * VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET. A backend that cannot give such frames ignores it.
 */
void backend_set_offloads(VionetBackend *backend, uint64_t offloads);

/*
 * Splits the backend into n queues, once and before it is attached. From then on frames are sent to
 * and received from those, each attached by itself and used by a thread of its own; what belongs to
 * all of it (name, offloads, the sum of the counters, close) stays with the backend. False, with an
 * error, if it has no such queues, or not n.
 */
bool backend_split(VionetBackend *backend, unsigned n, GError **error);

/* Its queues, 0 if it is not split; one of them, which stays the backend's. */
unsigned backend_n_queues(const VionetBackend *backend);
VionetBackend *backend_queue(const VionetBackend *backend, unsigned i);

/*
 * The guest has gone for good, not only its driver: what the backend keeps for it, connections and
 * frames that wait, ends. Frames that were taken stay good; what waits for any guest, such as a port
 * that is forwarded, stays.
 */
void backend_forget_guest(VionetBackend *backend);

/* One line for each backend. To be freed with g_free(). */
char *backend_help(void);

/* ---- For the backends ---- */

#define BACKEND_MAX_OPTIONS 32

struct backend_option {
    const char *name;
    bool repeats; /* may be given several times */
};

/* The values of each option, NULL-terminated; NULL where it was not given. */
typedef const char *const *const *backend_values;

struct backend_ops {
    const char *name;
    const char *alias; /* another name, or NULL */
    const char *help;
    struct backend_option options[BACKEND_MAX_OPTIONS + 1]; /* no name after the last */
    VionetBackend *(*open)(backend_values values, GError **error);
    void (*close)(VionetBackend *backend);
    /*
     * These four may be NULL. queue makes the i-th of n queues, which is closed before the backend;
     * NULL, with an error, if the backend does not have n.
     */
    VionetBackend *(*queue)(VionetBackend *backend, unsigned i, unsigned n, GError **error);
    void (*attach)(VionetBackend *backend, GMainContext *context);
    void (*set_offloads)(VionetBackend *backend, uint64_t offloads);
    void (*forget_guest)(VionetBackend *backend);
    bool (*send)(VionetBackend *backend, const VionetFrame *frames, size_t n);
    size_t (*receive)(VionetBackend *backend, VionetFrame *frames, size_t n);
    void (*complete)(VionetBackend *backend, const VionetFrame *frames, size_t n);
};

/* For suits: what the guest is better off leaving to us, whoever does it in the end. */
#define BACKEND_SUITS_SENDING                                                       \
    (UINT64_C(1) << VIRTIO_NET_F_CSUM | UINT64_C(1) << VIRTIO_NET_F_HOST_TSO4 |     \
     UINT64_C(1) << VIRTIO_NET_F_HOST_TSO6 | UINT64_C(1) << VIRTIO_NET_F_HOST_ECN | \
     UINT64_C(1) << VIRTIO_NET_F_HOST_USO)

/*
 * First member of every backend. open sets takes, the rest is set by backend_open(), or by who makes one
 * that is not in its list: then ops. Counters are written by the backend's thread and read by any.
 */
struct VionetBackend {
    const struct backend_ops *ops;
    unsigned takes;
    bool cut;       /* nobody is at the other end */
    bool full;      /* frames from the guest had better wait until ready is called */
    unsigned burst; /* frames that it is given at a time, 0: as many as there are */
    uint64_t suits; /* features, as bits, that are offered with it unless the user says otherwise */
    struct {
        _Atomic uint64_t sent;
        _Atomic uint64_t received;
        _Atomic uint64_t dropped; /* all that a backend itself counts */
    } counters;
    GPtrArray *queues; /* NULL: it is not split */
    void (*ready)(void *opaque);
    void *opaque;
};

/* The value of an option that does not repeat, NULL if it was not given. */
static inline const char *backend_value(backend_values values, unsigned option)
{
    return values[option] ? values[option][0] : NULL;
}

/* For the backend's sources: frames may have come. Without effect while nobody is attached. */
void backend_ready(VionetBackend *backend);

extern const struct backend_ops backend_null;
extern const struct backend_ops backend_loopback;
extern const struct backend_ops backend_pcap;
extern const struct backend_ops backend_stream;
extern const struct backend_ops backend_dgram;
extern const struct backend_ops backend_slirp; /* if built with libslirp: WITH_SLIRP */
extern const struct backend_ops backend_tap;

#endif
