/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Moves frames between a device and a backend; see pump.h. Called by frontend.c.
 *
 *     guest --kick--> pairs that have frames --transmit, send, complete--> backend
 *     guest <--receive-- held frames <--receive, when none are held-- backend
 *     guest --commands left over by a notification--> device
 *
 * A backend that answers at once (loopback) is asked after each burst sent, never from within.
 * Frames that the guest has no room for are held, at most one burst of them, and nothing is taken
 * from the backend until they have gone: so frames keep their order, and the backend feels the
 * pressure. One queue without room holds up the others, which harms only the guest whose queue it
 * is.
 *
 * Frames of the guest stay in its queue while the backend is full.
 *
 * Polling. A notification costs a guest much, in some frontends more than all else that it does for
 * a frame. A pair that notified is therefore looked at again and again for a while, with its
 * notifications off; each frame found makes the while begin anew. If runs are deferred, the least of it
 * is done always: notifications are off from the first one to the first run that finds nothing.
 *
 * A frame to be segmented, which the other side does not take, becomes segments on the way: for the
 * backend within its burst; for the guest when it is the first of those held, a burst of segments
 * at a time.
 */
#include "pump.h"

#include <string.h>

#define VIONET_SPEC_NO_STRUCTS
#include <vionet/spec.h>
#include <vionet/transport.h>

#include "segment.h"
#include "thread_memory.h"

#define BURST  64   /* frames handed over at a time */
#define BUDGET 1024 /* frames moved in a run: more than a queue of the usual size holds */

/* Frames that must lie in one range, and segments, are collected here, of any sizes that fit. */
#define PLAIN_OCTETS (256 * 1024)

#define GSO_TUNNEL (VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV4 | VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV6)

#define TAKES_ALL (BACKEND_CSUM | BACKEND_GSO | BACKEND_UFO | BACKEND_USO | BACKEND_TUNNEL)

/* Plain frames made here, on their way one way. */
struct plain {
    uint8_t *octets; /* PLAIN_OCTETS, if there may be some */
    size_t used;     /* of them */
    size_t n;
    struct iovec iov[BURST];
    VionetFrame frames[BURST];
};

/* Who takes frames to be segmented, by type: what of a backend, which offloads of the guest. */
static const struct gso_takers {
    uint8_t type;
    unsigned takes;
    unsigned offloads[2]; /* any of these */
} gso_takers[] = {
    {VIRTIO_NET_HDR_GSO_TCPV4, BACKEND_GSO, {VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_TSO4}},
    {VIRTIO_NET_HDR_GSO_TCPV6, BACKEND_GSO, {VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_GUEST_TSO6}},
    {VIRTIO_NET_HDR_GSO_UDP, BACKEND_UFO, {VIRTIO_NET_F_GUEST_UFO, VIRTIO_NET_F_GUEST_UFO}},
    {VIRTIO_NET_HDR_GSO_UDP_L4, BACKEND_USO, {VIRTIO_NET_F_GUEST_USO4, VIRTIO_NET_F_GUEST_USO6}},
};

struct pump {
    VionetBackend *backend;
    unsigned lane;
    VionetDevice *device; /* NULL while not connected */
    bool busy;            /* pump_run() */
    bool room;            /* the guest has made room since frames were held */
    bool commands;        /* more of them wait than one notification executes */
    size_t wanted;        /* frames to ask the backend for */
    unsigned n_held;
    VionetFrame held[BURST];
    /* Pairs with frames to send, in the order of their notifications; a pair stands there once. */
    unsigned first_pair;
    unsigned n_pairs;
    uint16_t pairs[VIONET_MAX_PAIRS];
    bool queued[VIONET_MAX_PAIRS];
    /* Pairs that are polled, in no order, and since when each of them had nothing. */
    uint64_t (*clock_ns)(void *opaque);
    void *clock;
    bool polls;       /* pairs that notified */
    uint64_t poll_ns; /* how long, 0: until a run finds nothing */
    unsigned n_polled;
    struct polled {
        uint16_t pair;
        bool notified; /* since it was looked at */
        uint64_t idle_ns;
    } polled[VIONET_MAX_PAIRS];
    bool makes_plain;        /* the backend does not take all that a guest may send */
    struct plain sending;    /* empty between bursts */
    struct plain segments;   /* of the first held frame */
    struct segmenter cutter; /* which makes them */
    bool cutting;
};

static bool is_running(const struct pump *pump)
{
    return pump->device && vionet_device_running(pump->device);
}

/* ---- Pairs that have frames to send ---- */

static void queue_pair(struct pump *pump, unsigned pair)
{
    if (pair < VIONET_MAX_PAIRS && !pump->queued[pair]) {
        pump->pairs[(pump->first_pair + pump->n_pairs++) % VIONET_MAX_PAIRS] = (uint16_t)pair;
        pump->queued[pair] = true;
    }
}

static unsigned next_pair(struct pump *pump)
{
    const unsigned pair = pump->pairs[pump->first_pair];

    pump->first_pair = (pump->first_pair + 1) % VIONET_MAX_PAIRS;
    pump->n_pairs--;
    pump->queued[pair] = false;
    return pair;
}

/* ---- From the guest ---- */

/* Sends what was collected; true if the backend may have answered. */
static bool flush(struct pump *pump)
{
    struct plain *plain = &pump->sending;
    const bool answers = plain->n > 0 && backend_send(pump->backend, plain->frames, plain->n);

    plain->n = plain->used = 0;
    return answers;
}

/* Adds a frame of len octets that were written behind those in use. */
static void add_plain(struct plain *plain, size_t len)
{
    plain->iov[plain->n] = (struct iovec){plain->octets + plain->used, len};
    plain->frames[plain->n] =
        (VionetFrame){.iov = &plain->iov[plain->n], .n_iov = 1, .len = (uint32_t)len};
    plain->n++;
    plain->used += len;
}

static bool has_place(const struct plain *plain, size_t len)
{
    return plain->n < BURST && len <= PLAIN_OCTETS - plain->used;
}

static bool is_long_tcp(const VionetFrame *frame)
{
    const uint8_t type = frame->gso_type & ~VIRTIO_NET_HDR_GSO_ECN;

    return type == VIRTIO_NET_HDR_GSO_TCPV4 || type == VIRTIO_NET_HDR_GSO_TCPV6;
}

static const struct gso_takers *find_takers(const VionetFrame *frame)
{
    const uint8_t type = frame->gso_type & ~(GSO_TUNNEL | VIRTIO_NET_HDR_GSO_ECN);

    for (size_t i = 0; i < G_N_ELEMENTS(gso_takers); i++) {
        if (gso_takers[i].type == type) {
            return &gso_takers[i];
        }
    }
    return NULL;
}

static bool backend_segments(const struct pump *pump, const VionetFrame *frame)
{
    const unsigned takes = backend_takes(pump->backend);
    const struct gso_takers *takers = find_takers(frame);

    return takers && (takes & takers->takes) &&
           (!(frame->gso_type & GSO_TUNNEL) || (takes & BACKEND_TUNNEL));
}

/* All segments of a frame; how many there were, none if it cannot be segmented. */
static size_t send_segments(struct pump *pump, const VionetFrame *frame, bool *answers)
{
    struct plain *plain = &pump->sending;
    struct segmenter segmenter;
    size_t n = 0;
    size_t len;

    if (!segment_begin(&segmenter, frame, g_random_int())) {
        return 0;
    }
    for (; (len = segment_len(&segmenter)) > 0; n++) {
        if (!has_place(plain, len)) {
            *answers |= flush(pump);
        }
        segment_next(&segmenter, plain->octets + plain->used, len);
        add_plain(plain, len);
    }
    return n;
}

/* A frame in one range, with its checksum finished; 1, or 0 if it cannot be had so. */
static size_t send_linear(struct pump *pump, const VionetFrame *frame, bool *answers)
{
    struct plain *plain = &pump->sending;
    size_t len;

    if (!has_place(plain, frame->len)) {
        *answers |= flush(pump);
    }
    len = vionet_frame_linearize(frame, plain->octets + plain->used, PLAIN_OCTETS - plain->used);
    if (len > 0) {
        add_plain(plain, len);
    }
    return len > 0;
}

/* As it is. */
static size_t send_as_is(struct pump *pump, const VionetFrame *frame, bool *answers)
{
    if (pump->sending.n == BURST) {
        *answers |= flush(pump);
    }
    pump->sending.frames[pump->sending.n++] = *frame;
    return 1;
}

/* Sends a frame in the form that the backend takes; how many it became. */
static size_t send_fitting(struct pump *pump, const VionetFrame *frame, bool *answers)
{
    const unsigned takes = backend_takes(pump->backend);

    if (frame->gso_type != VIRTIO_NET_HDR_GSO_NONE && !backend_segments(pump, frame)) {
        return (takes & BACKEND_LONG_TCP) && is_long_tcp(frame)
                   ? send_linear(pump, frame, answers)
                   : send_segments(pump, frame, answers);
    }
    return takes & BACKEND_CSUM ? send_as_is(pump, frame, answers)
                                : send_linear(pump, frame, answers);
}

/* Sends n frames to a backend that may not take all of them as they are; what they became. */
static size_t send_fitting_burst(struct pump *pump, const VionetFrame *frames, size_t n,
                                 bool *answers)
{
    size_t sent = 0;

    for (size_t i = 0; i < n; i++) {
        const size_t made = send_fitting(pump, &frames[i], answers);

        if (made == 0) {
            backend_refuse(pump->backend);
        }
        sent += MAX(made, 1);
    }
    *answers |= flush(pump);
    return sent;
}

/* Sends one burst of a pair, which stands in line again if there may be more. Frames moved. */
static size_t send_burst(struct pump *pump, unsigned pair, size_t budget)
{
    VionetFrame frames[BURST];
    const size_t most = MIN(budget, pump->backend->burst ? pump->backend->burst : BURST);
    const size_t n = vionet_device_transmit(pump->device, pair, frames, most);
    bool answers = false;
    size_t moved = n;

    if (n == 0) {
        return 0;
    }
    if (n == most) {
        queue_pair(pump, pair);
    }
    if (pump->makes_plain) {
        moved = send_fitting_burst(pump, frames, n, &answers);
    } else {
        answers = backend_send(pump->backend, frames, n);
    }
    if (answers) {
        pump->wanted = SIZE_MAX;
    }
    vionet_device_complete(pump->device, pair, frames, n);
    return moved;
}

/* ---- Polling ---- */

static uint64_t poll_clock(const struct pump *pump)
{
    return pump->poll_ns ? pump->clock_ns(pump->clock) : 0;
}

static void poll_pair(struct pump *pump, unsigned pair)
{
    const uint64_t now = poll_clock(pump);

    for (unsigned i = 0; i < pump->n_polled; i++) {
        if (pump->polled[i].pair == pair) {
            pump->polled[i].notified = true;
            return;
        }
    }
    vionet_device_set_poll(pump->device, 2 * pair + 1, true);
    pump->polled[pump->n_polled++] = (struct polled){(uint16_t)pair, true, now};
}

/* The guest is to notify again. What it added at the last moment is announced as a notification. */
static void stop_polling(struct pump *pump, unsigned i)
{
    const unsigned pair = pump->polled[i].pair;

    pump->polled[i] = pump->polled[--pump->n_polled];
    vionet_device_set_poll(pump->device, 2 * pair + 1, false);
}

static void poll_all(struct pump *pump)
{
    const uint64_t now = pump->n_polled ? poll_clock(pump) : 0;

    for (unsigned i = 0; i < pump->n_polled; i++) {
        struct polled *polled = &pump->polled[i];
        const bool notified = polled->notified;

        polled->notified = false;
        if (!is_running(pump)) {
            pump->n_polled = 0; /* a queue that starts anew is not polled */
        } else if (notified || backend_is_full(pump->backend) ||
                   send_burst(pump, polled->pair, BURST) > 0) {
            polled->idle_ns = now;
        } else if (pump->poll_ns == 0 || now - polled->idle_ns > pump->poll_ns) {
            stop_polling(pump, i--);
        }
    }
}

/* ---- To the guest ---- */

/*
 * Gives the first n held frames back to the backend, but for those of which verdicts says that they
 * stay. How many of them stay.
 */
static unsigned release_first(struct pump *pump, unsigned n, const VionetVerdict *verdicts)
{
    VionetFrame done[BURST];
    unsigned n_done = 0;
    unsigned n_kept = 0;

    for (unsigned i = 0; i < n; i++) {
        if (verdicts && verdicts[i] == VIONET_HELD) {
            pump->held[n_kept++] = pump->held[i];
        } else {
            done[n_done++] = pump->held[i];
        }
    }
    pump->n_held -= n_done;
    memmove(&pump->held[n_kept], &pump->held[n], (pump->n_held - n_kept) * sizeof(pump->held[0]));
    backend_complete(pump->backend, done, n_done);
    return n_kept;
}

static void release_held(struct pump *pump)
{
    pump->cutting = false;
    release_first(pump, pump->n_held, NULL);
}

static bool has_offload(uint64_t offloads, unsigned bit)
{
    return offloads >> bit & 1;
}

/* Whether the guest takes a frame as it is, or nothing can be done about it. */
static bool guest_takes(uint64_t offloads, const VionetFrame *frame)
{
    const struct gso_takers *takers = find_takers(frame);

    if (!takers) {
        return true;
    }
    if (!has_offload(offloads, VIRTIO_NET_F_GUEST_CSUM) ||
        (!has_offload(offloads, takers->offloads[0]) &&
         !has_offload(offloads, takers->offloads[1])) ||
        ((frame->gso_type & VIRTIO_NET_HDR_GSO_ECN) &&
         !has_offload(offloads, VIRTIO_NET_F_GUEST_ECN))) {
        return false;
    }
    return (!(frame->gso_type & GSO_TUNNEL) ||
            has_offload(offloads, VIRTIO_NET_OFFLOAD_GUEST_UDP_TUNNEL_GSO)) &&
           (!(frame->flags & VIRTIO_NET_HDR_F_UDP_TUNNEL_CSUM) ||
            has_offload(offloads, VIRTIO_NET_OFFLOAD_GUEST_UDP_TUNNEL_GSO_CSUM));
}

/*
 * Held frames, of which there are some, in front of the first that has to be segmented; if it is
 * that one's turn, it is begun.
 */
static unsigned count_fitting(struct pump *pump)
{
    const uint64_t offloads = vionet_device_offloads(pump->device);
    unsigned n = 0;

    while (n < pump->n_held && guest_takes(offloads, &pump->held[n])) {
        n++;
    }
    if (n > 0) {
        return n;
    }
    pump->segments.n = 0;
    if (!pump->segments.octets) {
        pump->segments.octets = g_try_malloc(PLAIN_OCTETS);
    }
    pump->cutting =
        pump->segments.octets && segment_begin(&pump->cutter, &pump->held[0], g_random_int());
    return pump->cutting ? 0 : 1; /* for the device to refuse and count */
}

/* Makes segments of the first held frame until there is a burst of them, or no more. */
static void cut(struct pump *pump)
{
    struct plain *plain = &pump->segments;
    size_t len;

    plain->used = 0;
    while ((len = segment_len(&pump->cutter)) > 0 && has_place(plain, len)) {
        segment_next(&pump->cutter, plain->octets + plain->used, len);
        add_plain(plain, len);
    }
}

/*
 * Offers segments of the first held frame, those that had no room again. How many were offered;
 * false in *on if the guest has no room for all of them.
 */
static size_t offer_segments(struct pump *pump, bool *on)
{
    struct plain *plain = &pump->segments;
    VionetVerdict verdicts[BURST];
    size_t n_kept = 0;
    size_t n;

    if (plain->n == 0) {
        cut(pump);
    }
    n = plain->n;
    vionet_device_receive(pump->device, pump->lane, plain->frames, n, verdicts,
                          VIONET_RECEIVE_HOLD);
    for (size_t i = 0; i < n; i++) {
        if (verdicts[i] == VIONET_HELD) {
            plain->frames[n_kept++] = plain->frames[i];
        }
    }
    plain->n = n_kept;
    if (n_kept == 0 && segment_len(&pump->cutter) == 0) {
        pump->cutting = false;
        release_first(pump, 1, NULL);
    }
    *on = n_kept == 0;
    return n;
}

/* The same for the first n held frames, as they are. */
static size_t offer_first(struct pump *pump, unsigned n, bool *on)
{
    VionetVerdict verdicts[BURST];

    vionet_device_receive(pump->device, pump->lane, pump->held, n, verdicts, VIONET_RECEIVE_HOLD);
    *on = release_first(pump, n, verdicts) == 0;
    return n;
}

/* Offers what is held until there is no more of it, or no room, or it was a lot. Frames moved. */
static size_t offer_held(struct pump *pump)
{
    size_t moved = 0;
    bool on = true;

    pump->room = false;
    while (on && pump->n_held > 0 && moved < BUDGET && is_running(pump)) {
        const unsigned n = pump->cutting ? 0 : count_fitting(pump);

        moved += pump->cutting ? offer_segments(pump, &on) : offer_first(pump, n, &on);
    }
    pump->room |= on; /* what is left has not been offered yet */
    return moved;
}

/* Takes a burst from the backend and offers it to the guest. Frames moved. */
static size_t receive_burst(struct pump *pump, size_t most)
{
    const size_t asked = MIN(most, pump->wanted);
    const size_t taken = backend_receive(pump->backend, pump->held, asked);

    if (taken < asked) {
        pump->wanted = 0;
    } else if (pump->wanted != SIZE_MAX) {
        pump->wanted -= asked;
    }
    pump->n_held = (unsigned)taken;
    return taken > 0 ? offer_held(pump) : 0;
}

/* ---- Running ---- */

static bool can_offer(const struct pump *pump)
{
    return is_running(pump) && pump->n_held > 0 && pump->room;
}

static bool can_ask(const struct pump *pump)
{
    return is_running(pump) && pump->n_held == 0 && pump->wanted > 0;
}

static bool can_send(const struct pump *pump)
{
    return pump->n_pairs > 0 && !backend_is_full(pump->backend);
}

static bool can_move(const struct pump *pump)
{
    return can_send(pump) || can_offer(pump) || can_ask(pump);
}

/*
 * One burst each way. What it moves comes off the budget, and a little for nothing too: a guest
 * that notifies again and again without having anything to send must not keep us here either.
 */
static size_t step(struct pump *pump, size_t budget)
{
    const size_t most = MIN(budget, BURST);
    size_t moved = 1;

    if (can_send(pump)) {
        moved += send_burst(pump, next_pair(pump), most);
    }
    if (!is_running(pump)) {
        release_held(pump);
    }
    if (can_offer(pump)) {
        moved += offer_held(pump);
    } else if (can_ask(pump)) {
        moved += receive_burst(pump, most);
    }
    return MIN(moved, budget);
}

/* What one more notification would execute; the device says if still more wait. */
static void execute_commands(struct pump *pump)
{
    const bool wanted = pump->commands;

    pump->commands = false;
    if (wanted && is_running(pump)) {
        vionet_device_kick(pump->device, vionet_device_control_queue(pump->device));
    }
}

bool pump_run(struct pump *pump)
{
    size_t budget = BUDGET;

    if (pump->busy || !pump->device) {
        return false;
    }
    pump->busy = true;
    execute_commands(pump);
    while (budget > 0 && can_move(pump)) {
        budget -= step(pump, budget);
    }
    poll_all(pump);
    if (!is_running(pump)) {
        release_held(pump);
    }
    pump->busy = false;
    return pump->commands || can_move(pump) ||
           (pump->n_polled > 0 && !backend_is_full(pump->backend));
}

bool pump_is_busy(const struct pump *pump)
{
    return pump->busy;
}

void pump_kicked(struct pump *pump, unsigned queue)
{
    if (pump->device && queue == vionet_device_control_queue(pump->device)) {
        pump->commands = true;
    } else if (queue % 2 == 1) {
        queue_pair(pump, queue / 2);
        if (pump->polls && is_running(pump) && queue / 2 < VIONET_MAX_PAIRS) {
            poll_pair(pump, queue / 2);
        }
    } else {
        pump->room = true;
    }
}

void pump_want(struct pump *pump, size_t n)
{
    pump->wanted = MAX(pump->wanted, n);
}

bool pump_can_receive(const struct pump *pump)
{
    return is_running(pump) && pump->n_held == 0;
}

unsigned pump_held(const struct pump *pump)
{
    return pump->n_held;
}

/* ---- Life ---- */

struct pump *pump_new(VionetBackend *backend, unsigned lane)
{
    struct pump *pump = thread_memory_new0(sizeof(*pump));

    pump->backend = backend;
    pump->lane = lane;
    pump->makes_plain = (backend_takes(backend) & TAKES_ALL) != TAKES_ALL;
    if (pump->makes_plain) {
        pump->sending.octets = g_malloc(PLAIN_OCTETS);
    }
    return pump;
}

void pump_free(struct pump *pump)
{
    if (pump) {
        g_free(pump->sending.octets);
        g_free(pump->segments.octets);
        g_aligned_free(pump);
    }
}

void pump_set_poll(struct pump *pump, uint64_t poll_ns, uint64_t (*clock_ns)(void *opaque),
                   void *clock)
{
    pump->poll_ns = clock_ns ? poll_ns : 0;
    pump->polls |= pump->poll_ns > 0;
    pump->clock_ns = clock_ns;
    pump->clock = clock;
}

void pump_defer(struct pump *pump)
{
    pump->polls = true;
}

void pump_connect(struct pump *pump, VionetDevice *device)
{
    pump->device = device;
}

void pump_disconnect(struct pump *pump)
{
    release_held(pump);
    while (pump->n_pairs > 0) {
        next_pair(pump);
    }
    pump->wanted = 0;
    pump->commands = false;
    pump->n_polled = 0;
    pump->device = NULL;
}
