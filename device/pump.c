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
 * Polling. A notification costs a guest much, in some frontends more than all else that it does for
 * a frame. A pair that notified is therefore looked at again and again for a while, with its
 * notifications off; each frame found makes the while begin anew.
 */
#include "pump.h"

#include <vionet/transport.h>

#define BURST  64   /* frames handed over at a time */
#define BUDGET 1024 /* frames moved in a run: more than a queue of the usual size holds */

/* Frames that must lie in one range are collected here, of any sizes that fit. */
#define PLAIN_OCTETS (256 * 1024)

struct pump {
    VionetBackend *backend;
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
    uint64_t poll_ns; /* how long, 0: not at all */
    unsigned n_polled;
    struct polled {
        uint16_t pair;
        uint64_t idle_ns;
    } polled[VIONET_MAX_PAIRS];
    uint8_t *plain; /* PLAIN_OCTETS, if the backend needs it */
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

/* For a backend that wants frames in one range with finished checksums. */
static bool send_plain(struct pump *pump, const VionetFrame *frames, size_t n)
{
    VionetFrame plain[BURST];
    struct iovec iov[BURST];
    size_t n_plain = 0;
    size_t used = 0;
    bool answers = false;

    for (size_t i = 0; i < n; i++) {
        size_t len;

        if (frames[i].len > PLAIN_OCTETS - used) {
            answers |= backend_send(pump->backend, plain, n_plain);
            n_plain = 0;
            used = 0;
        }
        len = vionet_frame_linearize(&frames[i], pump->plain + used, PLAIN_OCTETS - used);
        if (len == 0) {
            pump->backend->counters.dropped++;
            continue;
        }
        iov[n_plain] = (struct iovec){pump->plain + used, len};
        plain[n_plain] = (VionetFrame){.iov = &iov[n_plain], .n_iov = 1, .len = (uint32_t)len};
        n_plain++;
        used += len;
    }
    return backend_send(pump->backend, plain, n_plain) || answers;
}

/* Sends one burst of a pair, which stands in line again if there may be more. Frames moved. */
static size_t send_burst(struct pump *pump, unsigned pair, size_t most)
{
    VionetFrame frames[BURST];
    const size_t n = vionet_device_transmit(pump->device, pair, frames, most);
    bool answers;

    if (n == 0) {
        return 0;
    }
    if (n == most) {
        queue_pair(pump, pair);
    }
    answers = pump->plain ? send_plain(pump, frames, n) : backend_send(pump->backend, frames, n);
    if (answers) {
        pump->wanted = SIZE_MAX;
    }
    vionet_device_complete(pump->device, pair, frames, n);
    return n;
}

/* ---- Polling ---- */

static void poll_pair(struct pump *pump, unsigned pair)
{
    const uint64_t now = pump->clock_ns(pump->clock);

    for (unsigned i = 0; i < pump->n_polled; i++) {
        if (pump->polled[i].pair == pair) {
            pump->polled[i].idle_ns = now;
            return;
        }
    }
    vionet_device_set_poll(pump->device, 2 * pair + 1, true);
    pump->polled[pump->n_polled++] = (struct polled){(uint16_t)pair, now};
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
    const uint64_t now = pump->n_polled ? pump->clock_ns(pump->clock) : 0;

    for (unsigned i = 0; i < pump->n_polled; i++) {
        struct polled *polled = &pump->polled[i];

        if (!is_running(pump)) {
            pump->n_polled = 0; /* a queue that starts anew is not polled */
        } else if (send_burst(pump, polled->pair, BURST) > 0) {
            polled->idle_ns = now;
        } else if (now - polled->idle_ns > pump->poll_ns) {
            stop_polling(pump, i--);
        }
    }
}

/* ---- To the guest ---- */

/* Gives held frames back to the backend, but for those of which verdicts says that they stay. */
static void release_held(struct pump *pump, const VionetVerdict *verdicts)
{
    VionetFrame done[BURST];
    const unsigned n = pump->n_held;
    unsigned n_done = 0;

    pump->n_held = 0;
    for (unsigned i = 0; i < n; i++) {
        if (verdicts && verdicts[i] == VIONET_HELD) {
            pump->held[pump->n_held++] = pump->held[i];
        } else {
            done[n_done++] = pump->held[i];
        }
    }
    backend_complete(pump->backend, done, n_done);
}

static void offer_held(struct pump *pump)
{
    VionetVerdict verdicts[BURST];

    pump->room = false;
    vionet_device_receive(pump->device, 0, pump->held, pump->n_held, verdicts, VIONET_RECEIVE_HOLD);
    release_held(pump, verdicts);
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
    if (taken > 0) {
        offer_held(pump);
    }
    return taken;
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

static bool can_move(const struct pump *pump)
{
    return pump->n_pairs > 0 || can_offer(pump) || can_ask(pump);
}

/*
 * One burst each way. What it moves comes off the budget, and a little for nothing too: a guest
 * that notifies again and again without having anything to send must not keep us here either.
 */
static size_t step(struct pump *pump, size_t budget)
{
    const size_t most = MIN(budget, BURST);
    size_t moved = 1;

    if (pump->n_pairs > 0) {
        moved += send_burst(pump, next_pair(pump), most);
    }
    if (!is_running(pump)) {
        release_held(pump, NULL);
    }
    if (can_offer(pump)) {
        moved += pump->n_held;
        offer_held(pump);
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
        release_held(pump, NULL);
    }
    pump->busy = false;
    return pump->commands || pump->n_polled > 0 || can_move(pump);
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
        if (pump->poll_ns && is_running(pump) && queue / 2 < VIONET_MAX_PAIRS) {
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

struct pump *pump_new(VionetBackend *backend)
{
    struct pump *pump = g_new0(struct pump, 1);

    pump->backend = backend;
    if (!(backend_takes(backend) & BACKEND_CSUM)) {
        pump->plain = g_malloc(PLAIN_OCTETS);
    }
    return pump;
}

void pump_free(struct pump *pump)
{
    if (pump) {
        g_free(pump->plain);
        g_free(pump);
    }
}

void pump_set_poll(struct pump *pump, uint64_t poll_ns, uint64_t (*clock_ns)(void *opaque),
                   void *clock)
{
    pump->poll_ns = clock_ns ? poll_ns : 0;
    pump->clock_ns = clock_ns;
    pump->clock = clock;
}

void pump_connect(struct pump *pump, VionetDevice *device)
{
    pump->device = device;
}

void pump_disconnect(struct pump *pump)
{
    release_held(pump, NULL);
    while (pump->n_pairs > 0) {
        next_pair(pump);
    }
    pump->wanted = 0;
    pump->commands = false;
    pump->n_polled = 0;
    pump->device = NULL;
}
