/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The rings; see vrings.h. Called by server.c.
 *
 * The device has registers for each queue, as a driver of PCI would write them. Here a ring's state is
 * kept, and written there each time that it starts: a reset of the device in between loses nothing.
 */
#include "vrings.h"

#include <stdatomic.h>
#include <unistd.h>

#include <glib-unix.h>

#define VIONET_SPEC_NO_STRUCTS
#include <vionet/spec.h>
#include <vionet/transport.h>

#include "eventfds.h"
#include "thread_memory.h"

/* The index of a ring has 8 bits where a descriptor comes along. */
#define MAX_VRINGS 256

/* A descriptor for kicks, which its source owns: a thread may be about to read it when we let go of it. */
struct kick {
    VionetDevice *device;
    unsigned queue;
    int fd;
    /* That it is freed after the last call of kicked() is GLib's order. A sanitizer sees this one. */
    atomic_uint calls;
};

struct vring {
    struct vrings *vrings;
    unsigned index;
    uint32_t size;
    uint32_t base;
    struct vhost_user_addr addr;
    bool has_addr;
    bool enabled;
    bool emptied; /* transmit: runs while it is disabled, and its frames are not sent */
    bool polled;  /* there is no descriptor for kicks */
    bool running;
    GSource *kick; /* watches the descriptor, NULL: there is none */
};

struct vrings {
    VionetFrontend *frontend;
    VionetDevice *device; /* its */
    const struct memory *memory;
    const struct inflight *inflight;
    struct calls *calls;
    struct calls *errors;
    GMainContext *context;
    struct vrings_ops ops;
    void *opaque;
    bool held;  /* all rings are being stopped */
    bool still; /* the device is kept from moving frames */
    bool allowed;
    bool by_default;  /* rings are enabled without being told */
    bool has_control; /* one of them is the control queue */
    unsigned n_pairs; /* that the device was told of */
    unsigned n_running;
    unsigned n;
    struct vring rings[];
};

/* ---- Life ---- */

struct vrings *vrings_new(VionetFrontend *frontend, const struct memory *memory,
                          const struct inflight *inflight, struct calls *calls,
                          struct calls *errors, GMainContext *context, const struct vrings_ops *ops,
                          void *opaque)
{
    VionetDevice *device = vionet_frontend_device(frontend);
    const unsigned n = MIN(vionet_device_num_queues(device), MAX_VRINGS);
    struct vrings *vrings = g_malloc0(sizeof(*vrings) + n * sizeof(vrings->rings[0]));

    vrings->frontend = frontend;
    vrings->device = device;
    vrings->memory = memory;
    vrings->inflight = inflight;
    vrings->calls = calls;
    vrings->errors = errors;
    vrings->context = context;
    vrings->ops = *ops;
    vrings->opaque = opaque;
    vrings->n = n;
    for (unsigned i = 0; i < n; i++) {
        vrings->rings[i] = (struct vring){.vrings = vrings, .index = i};
    }
    vrings->still = true;
    vionet_device_set_dma(device, false);
    return vrings;
}

static void drop_kick(struct vring *ring)
{
    if (ring->kick) {
        g_source_destroy(ring->kick);
        g_clear_pointer(&ring->kick, g_source_unref);
    }
    ring->polled = false;
}

void vrings_free(struct vrings *vrings)
{
    if (!vrings) {
        return;
    }
    vrings_forbid(vrings);
    for (unsigned i = 0; i < vrings->n; i++) {
        drop_kick(&vrings->rings[i]);
    }
    g_free(vrings);
}

static struct vring *ring_at(struct vrings *vrings, uint64_t index)
{
    return index < vrings->n ? &vrings->rings[index] : NULL;
}

/* ---- Running ---- */

/* A front-end that keeps the control queue says by enabling rings how many pairs are in use. */
static void count_pairs(struct vrings *vrings)
{
    unsigned n = 0;

    while (2 * n < vrings->n && vrings->rings[2 * n].running) {
        n++;
    }
    if (!vrings->has_control && n > 0 && n != vrings->n_pairs) {
        vionet_device_delegate_control(vrings->device, n);
        vrings->n_pairs = n;
    }
}

static bool is_set_up(const struct vring *ring)
{
    return ring->vrings->allowed && ring->has_addr && (ring->kick || ring->polled);
}

/*
 * While the front-end takes its rings back, and as long as none runs, the device stands still: what the
 * network has for the guest waits, instead of being dropped for want of a queue.
 */
static void keep_still(struct vrings *vrings)
{
    bool still = true;

    for (unsigned i = 0; i < vrings->n && vrings->n_running > 0 && !vrings->held && still; i += 2) {
        still = !is_set_up(&vrings->rings[i]);
    }
    if (still != vrings->still) {
        vrings->still = still;
        vionet_device_set_dma(vrings->device, !still);
    }
}

static void stop(struct vring *ring)
{
    struct vrings *vrings = ring->vrings;

    if (!ring->running) {
        return;
    }
    ring->running = false;
    vrings->n_running--;
    keep_still(vrings);
    /* A thread may have frames of it; they are given back first, and there are no more. */
    while (!vionet_device_stop_queue(vrings->device, ring->index, &ring->base)) {
        vionet_frontend_settle(vrings->frontend);
    }
}

static bool write_registers(struct vring *ring)
{
    VionetDevice *device = ring->vrings->device;
    const uint64_t user[] = {
        [VIONET_AREA_DESC] = ring->addr.desc,
        [VIONET_AREA_DRIVER] = ring->addr.avail,
        [VIONET_AREA_DEVICE] = ring->addr.used,
    };

    for (unsigned area = 0; area < G_N_ELEMENTS(user); area++) {
        uint64_t guest;

        if (!memory_user_to_guest(ring->vrings->memory, user[area], &guest)) {
            return false;
        }
        vionet_device_write_queue_area(device, ring->index, area, guest);
    }
    if (ring->size) {
        vionet_device_write_queue_size(device, ring->index, (uint16_t)ring->size);
    }
    vionet_device_write_queue_base(device, ring->index, ring->base);
    vionet_device_write_queue_log(device, ring->index, ring->addr.flags & VHOST_USER_VRING_LOG,
                                  ring->addr.log);
    if (ring->size == 0) {
        return vionet_device_queue_size(device, ring->index) > 0; /* there is such a queue */
    }
    return vionet_device_queue_size(device, ring->index) == ring->size;
}

static bool is_enabled(const struct vring *ring)
{
    return ring->enabled || ring->vrings->by_default;
}

/*
 * A transmit ring that is disabled is emptied all the same; so says the protocol, and a driver may wait
 * for its buffers. The front-end may leave one behind where the guest has something else by now: as soon
 * as it is set up anew, or memory is, nothing is touched until the next kick or word of enabling.
 */
static bool should_empty(const struct vring *ring)
{
    return ring->emptied && ring->index % 2 == 1 &&
           vionet_device_queue_size(ring->vrings->device, ring->index) > 0;
}

static bool should_run(const struct vring *ring)
{
    return is_set_up(ring) && (is_enabled(ring) || should_empty(ring));
}

/* Where the ring's place is noted, NULL: nowhere. */
static void *find_journal(const struct vring *ring)
{
    const uint32_t size =
        ring->size ? ring->size : vionet_device_queue_size(ring->vrings->device, ring->index);

    return inflight_journal(ring->vrings->inflight, ring->index, size);
}

static bool start(struct vring *ring)
{
    struct vrings *vrings = ring->vrings;
    VionetDevice *device = vrings->device;
    const uint8_t status = vionet_device_status(device);
    void *const journal = find_journal(ring);

    if (vrings->n_running == 0 && (status & VIRTIO_STATUS_DEVICE_NEEDS_RESET)) {
        vrings->ops.renew(vrings->opaque);
    }
    if (!write_registers(ring)) {
        if (!is_enabled(ring)) {
            return true; /* there is nothing to empty */
        }
        g_warning("vhost-user: ring %u cannot be where it is said to be, or of that size",
                  ring->index);
        calls_signal(vrings->errors, ring->index);
        return false;
    }
    ring->running = true;
    vionet_device_write_queue_journal(device, ring->index, journal);
    vionet_device_write_queue_discard(device, ring->index, !is_enabled(ring));
    vionet_device_write_queue_enable(device, ring->index, 1);
    if (vrings->n_running++ == 0) {
        vionet_device_write_status(device, vionet_device_status(device) | VIRTIO_STATUS_DRIVER_OK);
    }
    keep_still(vrings);
    if (ring->base || journal) {
        calls_signal(vrings->calls, ring->index); /* who had it before may have owed that */
    }
    return true;
}

/* Starts or stops a ring as it should be; false if it should run and cannot. */
static bool settle(struct vring *ring)
{
    struct vrings *vrings = ring->vrings;
    bool good = true;

    if (should_run(ring) == ring->running) {
        if (ring->running) {
            vionet_device_write_queue_discard(vrings->device, ring->index, !is_enabled(ring));
        }
        return true;
    }
    if (ring->running) {
        stop(ring);
    } else {
        good = start(ring);
    }
    count_pairs(vrings);
    vrings->ops.wake(vrings->opaque);
    return good;
}

void vrings_hold(struct vrings *vrings)
{
    vrings->held = true;
    keep_still(vrings);
    for (unsigned i = 0; i < vrings->n; i++) {
        stop(&vrings->rings[i]);
        vrings->rings[i].emptied = false;
    }
    vrings->held = false;
}

bool vrings_go_on(struct vrings *vrings)
{
    bool good = true;

    for (unsigned i = 0; i < vrings->n; i++) {
        good &= settle(&vrings->rings[i]);
    }
    return good;
}

void vrings_allow(struct vrings *vrings, bool by_default, bool has_control)
{
    vrings->allowed = true;
    vrings->by_default = by_default;
    vrings->has_control = has_control;
    vrings->n_pairs = 0; /* a device that was reset has forgotten */
}

void vrings_forbid(struct vrings *vrings)
{
    vrings_hold(vrings);
    vrings->allowed = false;
}

void vrings_disable(struct vrings *vrings)
{
    vrings_hold(vrings);
    for (unsigned i = 0; i < vrings->n; i++) {
        vrings->rings[i].enabled = false;
        drop_kick(&vrings->rings[i]);
    }
}

/* Of a ring that has stopped, and of which the front-end knows where. */
static void clear_journal(const struct vring *ring)
{
    void *const journal = find_journal(ring);

    if (journal) {
        vionet_queue_journal_clear(journal);
    }
}

void vrings_clear_journals(struct vrings *vrings)
{
    for (unsigned i = 0; i < vrings->n; i++) {
        clear_journal(&vrings->rings[i]);
    }
}

/* ---- What the front-end says ---- */

/* A ring is to be set up anew: false if it is in use. */
static bool leave_alone(struct vring *ring)
{
    if (ring->running && is_enabled(ring)) {
        return false;
    }
    ring->emptied = false;
    stop(ring);
    return true;
}

/* The device judges when the ring starts: which queue this is depends on features. */
bool vrings_set_num(struct vrings *vrings, const struct vhost_user_state *state)
{
    struct vring *ring = ring_at(vrings, state->index);
    const bool any_size = vionet_device_negotiated(vrings->device, VIRTIO_F_RING_PACKED);

    if (!ring || state->num == 0 || state->num > VIONET_MAX_QUEUE_SIZE ||
        (!any_size && (state->num & (state->num - 1))) || !leave_alone(ring)) {
        return false;
    }
    ring->size = state->num;
    return true;
}

/* Logging is switched on and off while a ring runs. Otherwise it is taken up where it then is. */
bool vrings_set_addr(struct vrings *vrings, const struct vhost_user_addr *addr)
{
    struct vring *ring = ring_at(vrings, addr->index);

    if (!ring) {
        return false;
    }
    if (ring->running && ring->addr.desc == addr->desc && ring->addr.used == addr->used &&
        ring->addr.avail == addr->avail) {
        ring->addr = *addr;
        vionet_device_write_queue_log(vrings->device, ring->index,
                                      addr->flags & VHOST_USER_VRING_LOG, addr->log);
        return true;
    }
    stop(ring);
    ring->emptied = false;
    ring->addr = *addr;
    ring->has_addr = true;
    return settle(ring);
}

bool vrings_set_base(struct vrings *vrings, const struct vhost_user_state *state)
{
    struct vring *ring = ring_at(vrings, state->index);

    if (!ring || !leave_alone(ring)) {
        return false;
    }
    ring->base = state->num;
    return true;
}

/* Its addresses are forgotten: the next driver's memory may be elsewhere. */
bool vrings_get_base(struct vrings *vrings, struct vhost_user_state *state)
{
    struct vring *ring = ring_at(vrings, state->index);

    if (!ring) {
        return false;
    }
    ring->has_addr = false;
    settle(ring);
    clear_journal(ring);
    drop_kick(ring);
    state->num = ring->base;
    return true;
}

bool vrings_set_enable(struct vrings *vrings, const struct vhost_user_state *state)
{
    struct vring *ring = ring_at(vrings, state->index);

    if (!ring || state->num > 1) {
        return false;
    }
    ring->enabled = state->num;
    ring->emptied = true;
    return settle(ring);
}

static gboolean kicked(gint fd, GIOCondition condition, gpointer data)
{
    struct kick *kick = data;

    (void)condition;
    if (eventfds_take(fd)) {
        vionet_device_kick(kick->device, kick->queue);
    }
    atomic_fetch_add_explicit(&kick->calls, 1, memory_order_release);
    return G_SOURCE_CONTINUE;
}

static void kick_free(gpointer data)
{
    struct kick *kick = data;

    (void)atomic_load_explicit(&kick->calls, memory_order_acquire);
    close(kick->fd);
    g_aligned_free(kick);
}

static GSource *kick_source(const struct vring *ring, int fd)
{
    GMainContext *context = vionet_frontend_queue_context(ring->vrings->frontend, ring->index);
    struct kick *kick = thread_memory_new0(sizeof(*kick));
    GSource *source = g_unix_fd_source_new(fd, G_IO_IN);

    kick->device = ring->vrings->device;
    kick->queue = ring->index;
    kick->fd = fd;
    g_source_set_can_recurse(source, TRUE);
    g_source_set_callback(source, G_SOURCE_FUNC(kicked), kick, kick_free);
    g_source_attach(source, context ? context : ring->vrings->context);
    return source;
}

/* The ring that a number names, if a descriptor is there as the number says and is an eventfd; or closed. */
static struct vring *ring_for_fd(struct vrings *vrings, uint64_t number, int fd)
{
    struct vring *ring = ring_at(vrings, number & VHOST_USER_VRING_INDEX);
    const uint64_t known = VHOST_USER_VRING_INDEX | VHOST_USER_VRING_NO_FD;

    if (!ring || number & ~known || (fd < 0) != ((number & VHOST_USER_VRING_NO_FD) != 0) ||
        (fd >= 0 && !eventfds_accept(fd))) {
        if (fd >= 0) {
            close(fd);
        }
        return NULL;
    }
    return ring;
}

bool vrings_set_kick(struct vrings *vrings, uint64_t number, int fd)
{
    struct vring *ring = ring_for_fd(vrings, number, fd);

    if (!ring) {
        return false;
    }
    drop_kick(ring);
    ring->kick = fd >= 0 ? kick_source(ring, fd) : NULL;
    ring->polled = fd < 0;
    ring->emptied = true;
    vrings->ops.wake(vrings->opaque); /* vrings_poll() may be wanted */
    return settle(ring);
}

/* A notification that went to the one before may not have got through. */
bool vrings_set_call(struct vrings *vrings, uint64_t number, int fd)
{
    struct vring *ring = ring_for_fd(vrings, number, fd);

    if (!ring) {
        return false;
    }
    calls_set(vrings->calls, ring->index, fd);
    if (ring->running) {
        calls_signal(vrings->calls, ring->index);
    }
    return true;
}

bool vrings_set_err(struct vrings *vrings, uint64_t number, int fd)
{
    struct vring *ring = ring_for_fd(vrings, number, fd);

    if (!ring) {
        return false;
    }
    calls_set(vrings->errors, ring->index, fd);
    return true;
}

bool vrings_run(const struct vrings *vrings)
{
    return vrings->n_running > 0;
}

/* ---- Polling ---- */

bool vrings_poll(struct vrings *vrings)
{
    bool any = false;

    for (unsigned i = 0; i < vrings->n && vrings->n_running > 0; i++) {
        if (vrings->rings[i].polled && vrings->rings[i].running) {
            vionet_device_kick(vrings->device, i);
            any = true;
        }
    }
    return any;
}
