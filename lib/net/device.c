/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device: life, status machine, negotiation, queues' registers, events (VIRTIO 1.4, 2.1, 2.2,
 * 2.4, 2.6, 3.1). The one file that knows all others; device.h has the theory of operation. Called by
 * the embedder and by transports.
 */
#include "net/device.h"

#include "net/filter.h"

#include <string.h>

#include <vionet/spec.h>
#include <vionet/state.h>

#define MAP_FLAGS VIONET_MAP_READONLY

GQuark vionet_error_quark(void)
{
    return g_quark_from_static_string("vionet-error");
}

/* ---- snapshots ---- */

/* Whoever is in a gate now has left when this returns. */
static void pass_gates(VionetDevice *device)
{
    for (unsigned i = 0; i < device->config.max_pairs; i++) {
        gate_enter(&device->lanes[i].gate);
        gate_leave(&device->lanes[i].gate);
    }
    for (unsigned i = 0; i < device->n_queues; i++) {
        gate_enter(&device->queues[i].gate);
        gate_leave(&device->queues[i].gate);
    }
}

static enum receive_way way_of(const VionetDevice *device, const struct view *view)
{
    if (!view->running || !view->link_up || device->ops.trace) {
        return WAY_STATIONS;
    }
    if (steer_by_hash(view)) {
        return WAY_HASHED;
    }
    return steer_chooses(view) ? WAY_STATIONS : WAY_STRAIGHT;
}

void device_publish(VionetDevice *device, struct view *view)
{
    struct view *old;

    view->way = (uint8_t)way_of(device, view);
    old = atomic_exchange_explicit(&device->view, view, memory_order_acq_rel);
    atomic_store_explicit(&device->straight, view->way == WAY_STRAIGHT, memory_order_relaxed);
    atomic_store_explicit(&device->offloads, view->offloads, memory_order_relaxed);
    pass_gates(device);
    view_free(old);
}

static void device_publish_map(VionetDevice *device, struct memory_map *map)
{
    struct memory_map *old = atomic_exchange_explicit(&device->map, map, memory_order_acq_rel);

    pass_gates(device);
    g_free(old);
}

static bool add_region(VionetDevice *device, const struct memory_region *region, GError **error)
{
    struct memory_map *map = memory_map_with(device_map(device), region, error);

    if (!map) {
        return false;
    }
    device_publish_map(device, map);
    return true;
}

bool vionet_device_map(VionetDevice *device, uint64_t gpa, void *host, uint64_t size,
                       unsigned flags, GError **error)
{
    return add_region(device, &(struct memory_region){gpa, size, host, flags & MAP_FLAGS}, error);
}

bool vionet_device_map_remote(VionetDevice *device, uint64_t gpa, uint64_t size, unsigned flags,
                              GError **error)
{
    const unsigned all = (flags & MAP_FLAGS) | MEMORY_REMOTE;

    if (!device->remote.read || !device->remote.write) {
        g_set_error_literal(error, VIONET_ERROR, VIONET_ERROR_MEMORY,
                            "remote memory needs the operations dma_read and dma_write");
        return false;
    }
    return add_region(device, &(struct memory_region){gpa, size, NULL, all}, error);
}

bool vionet_device_unmap(VionetDevice *device, uint64_t gpa, uint64_t size, GError **error)
{
    struct memory_map *map = memory_map_without(device_map(device), gpa, size, error);

    if (!map) {
        return false;
    }
    device_publish_map(device, map);
    return true;
}

void vionet_device_set_dirty_log(VionetDevice *device, void *bits, uint64_t size)
{
    const struct memory_log log = {bits, bits ? size : 0};

    device_publish_map(device, memory_map_logged(device_map(device), &log));
}

/* ---- events and notifications ---- */

static void emit(VionetDevice *device, const VionetEvent *event)
{
    if (device->ops.event) {
        device->ops.event(device->opaque, event);
    }
}

void device_event(VionetDevice *device, VionetEventKind kind)
{
    emit(device, &(VionetEvent){.kind = kind, .queue = VIONET_NONE, .descriptor = VIONET_NONE});
}

static bool has_status(const VionetDevice *device, uint8_t bit)
{
    return vionet_device_status(device) & bit;
}

/* The driver may be notified, and its notifications lead to something: a legacy one's perhaps early. */
static bool is_ready(const VionetDevice *device)
{
    return has_status(device, VIRTIO_STATUS_DRIVER_OK) || vionet_device_running(device);
}

/* A driver that is not ready, or not any more, is not notified of anything (2.1.2, 2.4.1). */
static void interrupt(VionetDevice *device, unsigned queue)
{
    if (device->interrupt && is_ready(device)) {
        device->interrupt(device->interrupt_opaque, queue);
    }
}

void device_config_changed(VionetDevice *device)
{
    device->config_dirty = true;
    interrupt(device, VIONET_CONFIG_CHANGE);
}

/*
 * 2.1.2: an error that only a reset cures; first if it is what set DEVICE_NEEDS_RESET. The host hears
 * of it before the driver does, and may reset the device itself.
 */
static void report_fatal(VionetDevice *device, const VionetEvent *event, bool first)
{
    atomic_fetch_add_explicit(&device->violations[event->violation], 1, memory_order_relaxed);
    emit(device, event);
    if (first && has_status(device, VIRTIO_STATUS_DEVICE_NEEDS_RESET)) {
        interrupt(device, VIONET_CONFIG_CHANGE);
    }
}

void vionet_device_violation(VionetDevice *device, VionetViolation violation, unsigned queue,
                             unsigned descriptor, uint64_t value)
{
    const VionetViolationInfo *info = vionet_violation_info(violation);
    const VionetEvent event = {VIONET_EVENT_VIOLATION, violation, queue, descriptor, value};
    _Atomic uint64_t *reported;
    uint64_t bit;

    if (!info) {
        return;
    }
    if (info->fatal) {
        uint8_t old = atomic_fetch_or(&device->status, VIRTIO_STATUS_DEVICE_NEEDS_RESET);

        report_fatal(device, &event, !(old & VIRTIO_STATUS_DEVICE_NEEDS_RESET));
        return;
    }
    bit = UINT64_C(1) << violation;
    atomic_fetch_add_explicit(&device->violations[violation], 1, memory_order_relaxed);
    reported = queue < device->n_queues ? &device->queues[queue].reported : &device->reported;
    if (!(atomic_fetch_or_explicit(reported, bit, memory_order_relaxed) & bit)) {
        emit(device, &event);
    }
}

void device_settle(VionetDevice *device, struct queue *queue, const struct outcome *outcome)
{
    if (G_UNLIKELY(outcome->faulted)) {
        const struct ring_fault *fault = &outcome->fault;
        const VionetEvent event = {VIONET_EVENT_VIOLATION, fault->violation, queue->index,
                                   fault->descriptor, fault->value};

        report_fatal(device, &event, outcome->needs_reset);
    }
    if (G_UNLIKELY(outcome->deadline_ns && vionet_device_running(device))) {
        device->ops.timer(device->opaque, queue->index, outcome->deadline_ns);
    }
    if (outcome->interrupt) {
        interrupt(device, queue->index);
    }
    if (G_UNLIKELY(outcome->kick && device->ops.kick && vionet_device_running(device))) {
        device->ops.kick(device->opaque, queue->index);
    }
}

void vionet_device_set_interrupt(VionetDevice *device,
                                 void (*operation)(void *opaque, unsigned queue), void *opaque)
{
    device->interrupt = operation ? operation : device->ops.interrupt;
    device->interrupt_opaque = operation ? opaque : device->opaque;
}

/* ---- queues ---- */

/* Where the queues are: 5.1.2, by the negotiated features, or before that by the offered ones. */
static void place_queues(VionetDevice *device, const uint64_t *features)
{
    const bool several =
        feature_test(features, VIRTIO_NET_F_MQ) || feature_test(features, VIRTIO_NET_F_RSS);
    const unsigned n_data = several ? 2u * device->config.max_pairs : 2;
    const bool control = feature_test(features, VIRTIO_NET_F_CTRL_VQ);

    atomic_store_explicit(&device->n_data_queues, n_data, memory_order_relaxed);
    atomic_store_explicit(&device->control_queue, control ? n_data : device->n_queues,
                          memory_order_relaxed);
}

enum queue_kind device_queue_kind(const VionetDevice *device, unsigned index)
{
    VionetDevice *d = (VionetDevice *)device;

    if (index < atomic_load_explicit(&d->n_data_queues, memory_order_relaxed)) {
        return index % 2 ? QUEUE_TRANSMIT : QUEUE_RECEIVE;
    }
    if (index < device->n_queues &&
        index == atomic_load_explicit(&d->control_queue, memory_order_relaxed)) {
        return QUEUE_CONTROL;
    }
    return QUEUE_NONE;
}

static uint16_t max_queue_size(const VionetDevice *device, unsigned index)
{
    switch (device_queue_kind(device, index)) {
    case QUEUE_RECEIVE:
        return device->config.receive_queue_size;
    case QUEUE_TRANSMIT:
        return device->config.transmit_queue_size;
    case QUEUE_CONTROL:
        return device->config.control_queue_size;
    default:
        return 0;
    }
}

static struct queue *queue_at(const VionetDevice *device, unsigned index)
{
    return device_queue_kind(device, index) == QUEUE_NONE ? NULL : &device->queues[index];
}

/* The queue for a write, which must exist. */
static struct queue *queue_for_write(VionetDevice *device, unsigned index)
{
    struct queue *queue = queue_at(device, index);

    if (!queue) {
        vionet_device_violation(device, VIONET_VIOLATION_QUEUE_SELECT, index, VIONET_NONE, 0);
    }
    return queue;
}

/* The same for a register that may not be written while the queue is enabled. */
static struct queue *queue_for_setup(VionetDevice *device, unsigned index, uint64_t value)
{
    struct queue *queue = queue_for_write(device, index);

    if (queue && queue->enabled) {
        vionet_device_violation(device, VIONET_VIOLATION_QUEUE_WRITE_ENABLED, index, VIONET_NONE,
                                value);
        return NULL;
    }
    return queue;
}

void device_place_queues(VionetDevice *device, const uint64_t *features)
{
    place_queues(device, features);
    for (unsigned i = 0; i < device->n_queues; i++) {
        queue_reset_registers(&device->queues[i], max_queue_size(device, i));
    }
}

static void start_queue(VionetDevice *device, struct queue *queue)
{
    struct outcome outcome = {0};

    if (device->dirty_queues) {
        queue_set_log(queue, true, queue->area_gpa[VIONET_AREA_DEVICE]);
    }
    queue_start(queue, device_view(device)->features, device_map(device), &outcome);
    device_settle(device, queue, &outcome);
}

unsigned vionet_device_control_queue(const VionetDevice *device)
{
    VionetDevice *d = (VionetDevice *)device;
    const unsigned index = atomic_load_explicit(&d->control_queue, memory_order_relaxed);

    return index < device->n_queues ? index : VIONET_NONE;
}

unsigned vionet_device_num_queues(const VionetDevice *device)
{
    return device->n_queues;
}

uint16_t vionet_device_queue_size(const VionetDevice *device, unsigned index)
{
    const struct queue *queue = queue_at(device, index);

    return queue ? queue->size : 0;
}

void vionet_device_write_queue_size(VionetDevice *device, unsigned index, uint16_t size)
{
    struct queue *queue = queue_for_setup(device, index, size);

    if (!queue) {
        return;
    }
    if (size == 0 || size > queue->max_size ||
        ((size & (size - 1)) && !vionet_device_negotiated(device, VIRTIO_F_RING_PACKED))) {
        vionet_device_violation(device, VIONET_VIOLATION_QUEUE_SIZE_WRITE, index, VIONET_NONE,
                                size);
        return;
    }
    queue->size = size;
}

uint16_t vionet_device_queue_max_size(const VionetDevice *device, unsigned index)
{
    return max_queue_size(device, index);
}

uint64_t vionet_device_queue_area(const VionetDevice *device, unsigned index, VionetQueueArea area)
{
    const struct queue *queue = queue_at(device, index);

    return queue && (unsigned)area < 3 ? queue->area_gpa[area] : 0;
}

void vionet_device_write_queue_area(VionetDevice *device, unsigned index, VionetQueueArea area,
                                    uint64_t gpa)
{
    struct queue *queue = queue_for_setup(device, index, gpa);

    if (queue && (unsigned)area < 3) {
        queue->area_gpa[area] = gpa;
    }
}

bool vionet_device_queue_enabled(const VionetDevice *device, unsigned index)
{
    const struct queue *queue = queue_at(device, index);

    return queue && queue->enabled;
}

/* A queue that is enabled takes what was last set for all of its kind (5.1.6.5.9.2). */
static void default_coalescing(VionetDevice *device, struct queue *queue)
{
    const struct coalesce_defaults *defaults = &device->coalesce[queue->index % 2];
    bool data = device_queue_kind(device, queue->index) != QUEUE_CONTROL;

    queue->coalesce.max_packets = data ? defaults->max_packets : 0;
    queue->coalesce.max_usecs = data ? defaults->max_usecs : 0;
}

static void enable_queue(VionetDevice *device, struct queue *queue)
{
    queue->enabled = true;
    default_coalescing(device, queue);
    if (device_view(device)->running) {
        start_queue(device, queue);
    }
}

void vionet_device_write_queue_enable(VionetDevice *device, unsigned index, uint16_t value)
{
    struct queue *queue = queue_for_write(device, index);

    if (!queue) {
        return;
    }
    if (value != 1) {
        vionet_device_violation(device, VIONET_VIOLATION_QUEUE_DISABLE, index, VIONET_NONE, value);
        return;
    }
    if (!has_status(device, VIRTIO_STATUS_FEATURES_OK)) {
        vionet_device_violation(device, VIONET_VIOLATION_QUEUE_ENABLE_EARLY, index, VIONET_NONE,
                                vionet_device_status(device));
        return;
    }
    if (!queue->enabled) {
        enable_queue(device, queue);
    }
}

/* The state of a new device's queue. */
static void disable_queue(struct queue *queue)
{
    queue_stop(queue);
    queue_reset_registers(queue, queue->max_size);
}

void vionet_device_disable_queue(VionetDevice *device, unsigned index)
{
    struct queue *queue = queue_for_write(device, index);

    if (queue && queue->enabled) {
        disable_queue(queue);
    }
}

void vionet_device_write_legacy_queue(VionetDevice *device, unsigned index, uint64_t gpa,
                                      uint32_t align)
{
    const struct view *view = device_view(device);
    struct queue *queue;

    if (gpa == 0) {
        vionet_device_disable_queue(device, index);
        return;
    }
    queue = queue_for_setup(device, index, gpa);
    if (!queue || !view->legacy) {
        return;
    }
    if (align == 0 || (align & (align - 1))) {
        vionet_device_violation(device, VIONET_VIOLATION_QUEUE_ALIGN, index, VIONET_NONE, align);
        return;
    }
    ring_legacy_areas(queue->size, gpa, align, queue->area_gpa);
    queue->big_endian = view->big_endian;
    enable_queue(device, queue);
}

bool vionet_device_reset_queue(VionetDevice *device, unsigned index)
{
    struct queue *queue = queue_for_write(device, index);

    if (!queue) {
        return false;
    }
    if (!vionet_device_negotiated(device, VIRTIO_F_RING_RESET) || !queue->enabled) {
        vionet_device_violation(device, VIONET_VIOLATION_QUEUE_RESET, index, VIONET_NONE, 1);
        return false;
    }
    disable_queue(queue);
    return true;
}

void vionet_device_write_queue_base(VionetDevice *device, unsigned index, uint32_t base)
{
    struct queue *queue = queue_for_setup(device, index, base);

    if (queue) {
        queue->resumes = true;
        queue->base = base;
    }
}

void vionet_device_write_queue_journal(VionetDevice *device, unsigned index, void *journal)
{
    struct queue *queue = queue_for_setup(device, index, 0);

    if (queue) {
        queue->journal = journal;
    }
}

void vionet_device_write_queue_log(VionetDevice *device, unsigned index, bool logs, uint64_t gpa)
{
    struct queue *queue = queue_for_write(device, index);

    if (queue) {
        queue_set_log(queue, logs, gpa);
    }
}

void vionet_device_write_queue_discard(VionetDevice *device, unsigned index, bool discards)
{
    struct queue *queue = queue_for_write(device, index);

    if (queue) {
        queue_set_discard(queue, discards);
    }
}

bool vionet_device_stop_queue(VionetDevice *device, unsigned index, uint32_t *base)
{
    struct queue *queue = queue_for_write(device, index);
    struct outcome outcome = {0};
    bool stopped;

    if (!queue) {
        return false;
    }
    /* What was to be notified of later is notified of now: who goes on with the queue does not know. */
    vionet_device_timer(device, index);
    stopped = queue_stop_at(queue, device_view(device)->features, &device->map, base, &outcome);
    device_settle(device, queue, &outcome);
    if (!stopped) {
        return false;
    }
    queue->enabled = false;
    queue->resumes = true;
    queue->base = *base;
    return true;
}

void vionet_device_kick(VionetDevice *device, unsigned index)
{
    enum queue_kind kind = device_queue_kind(device, index);

    if (kind == QUEUE_NONE) {
        vionet_device_violation(device, VIONET_VIOLATION_NOTIFY_QUEUE, VIONET_NONE, VIONET_NONE,
                                index);
        return;
    }
    /* Any thread of the guest may be here: the one counter without a gate. */
    atomic_fetch_add_explicit(&device->queues[index].kicks, 1, memory_order_relaxed);
    if (!is_ready(device)) {
        return; /* not lost: all queues are looked at when the driver is ready */
    }
    if (kind == QUEUE_CONTROL) {
        control_run(device);
    } else if (device->ops.kick) {
        device->ops.kick(device->opaque, index);
    }
}

void vionet_device_set_dirty_queues(VionetDevice *device, bool on)
{
    device->dirty_queues = on;
    for (unsigned i = 0; i < device->n_queues; i++) {
        struct queue *queue = &device->queues[i];

        queue_set_log(queue, on, queue->area_gpa[VIONET_AREA_DEVICE]);
    }
}

/* ---- running ---- */

/* What the driver added, and the host gave back, while the queue was paused is announced now. */
static void resume_queue(VionetDevice *device, struct queue *queue)
{
    struct outcome outcome = {0};

    queue_resume(queue, &device->map, &outcome);
    device_settle(device, queue, &outcome);
}

/* Starts or resumes, or pauses, the queues as status, bus and host allow. */
void device_update_running(VionetDevice *device)
{
    const struct view *current = device_view(device);
    const uint8_t status = vionet_device_status(device);
    const bool running = ((status & VIRTIO_STATUS_DRIVER_OK) || device->early) &&
                         !(status & VIRTIO_STATUS_FAILED) && device->dma && !device->paused &&
                         !device->stuck;
    struct view *view;

    if (running == current->running) {
        return;
    }
    view = view_copy(current);
    view->running = running;
    device_publish(device, view);
    atomic_store_explicit(&device->running, running, memory_order_relaxed);
    for (unsigned i = 0; i < device->n_queues; i++) {
        struct queue *queue = &device->queues[i];

        if (!running) {
            queue_pause(queue);
        } else if (queue->started) {
            resume_queue(device, queue);
        } else if (queue->enabled) {
            start_queue(device, queue);
        }
    }
    if (running) {
        control_run(device);
    }
}

bool vionet_device_running(const VionetDevice *device)
{
    return atomic_load_explicit(&((VionetDevice *)device)->running, memory_order_relaxed);
}

void vionet_device_set_dma(VionetDevice *device, bool enabled)
{
    device->dma = enabled;
    device_update_running(device);
}

void vionet_device_set_paused(VionetDevice *device, bool paused)
{
    device->paused = paused;
    device_update_running(device);
    if (!paused && device->config_due) {
        device->config_due = false;
        interrupt(device, VIONET_CONFIG_CHANGE);
    }
}

void vionet_device_set_poll(VionetDevice *device, unsigned index, bool poll)
{
    const enum queue_kind kind = device_queue_kind(device, index);
    struct outcome outcome = {0};
    struct queue *queue;

    if (kind != QUEUE_RECEIVE && kind != QUEUE_TRANSMIT) {
        return;
    }
    queue = &device->queues[index];
    if (!queue_enter(queue, &device->map, &outcome)) {
        device_settle(device, queue, &outcome);
        return;
    }
    queue->poll = poll;
    if (poll) {
        ring_disable_kicks(&queue->ring);
    } else {
        outcome.kick = ring_enable_kicks(&queue->ring);
    }
    queue_check(queue, &outcome);
    gate_leave(&queue->gate);
    device_settle(device, queue, &outcome);
}

void vionet_device_timer(VionetDevice *device, unsigned index)
{
    struct outcome outcome = {0};
    struct queue *queue;

    if (index >= device->n_queues) {
        return;
    }
    queue = &device->queues[index];
    if (queue_enter(queue, &device->map, &outcome)) {
        queue_coalesce_expire(queue, &outcome);
        gate_leave(&queue->gate);
    }
    device_settle(device, queue, &outcome);
}

/* ---- status and features ---- */

uint32_t vionet_device_offered(const VionetDevice *device, uint32_t window)
{
    if (window >= 2 * VIONET_FEATURE_WORDS) {
        return 0;
    }
    return (uint32_t)(device->config.features[window / 2] >> (32 * (window % 2)));
}

uint32_t vionet_device_driver_features(const VionetDevice *device, uint32_t window)
{
    if (window >= 2 * VIONET_FEATURE_WORDS) {
        return 0;
    }
    return (uint32_t)(device->driver_features[window / 2] >> (32 * (window % 2)));
}

/*
 * Features that were found to be acceptable take effect. A queue is enabled by then only if a legacy
 * driver sets up its queues first, as iPXE does, which notifies them too: it stays, unless there is none
 * of that index any more.
 */
static void take_features(VionetDevice *device)
{
    struct view *view = view_copy(device_view(device));

    view_negotiate(view, &device->config, device->driver_features);
    device_publish(device, view);
    place_queues(device, device->driver_features);
    for (unsigned i = 0; i < device->n_queues; i++) {
        struct queue *queue = &device->queues[i];

        queue->max_size = max_queue_size(device, i);
        if (!queue->enabled || queue->max_size == 0) {
            disable_queue(queue);
        }
    }
}

/* A legacy driver's features take effect without FEATURES_OK, which could have refused them. */
static void write_legacy_features(VionetDevice *device, uint32_t window, uint32_t value)
{
    /* What a ring that runs already cannot be told any more. */
    const uint32_t ring_features = 1u << VIRTIO_F_INDIRECT_DESC | 1u << VIRTIO_F_EVENT_IDX;
    VionetViolation violation;
    unsigned bit;

    if (window > 0) {
        return; /* no such bits in that interface: they count as not accepted (4.1.4.10) */
    }
    if (has_status(device, VIRTIO_STATUS_DRIVER_OK) ||
        (device->early && ((value ^ device->driver_features[0]) & ring_features))) {
        vionet_device_violation(device, VIONET_VIOLATION_FEATURES_LATE, VIONET_NONE, VIONET_NONE,
                                value);
        return;
    }
    device->driver_features[0] = value;
    while (feature_find_unfit(&device->config, device->driver_features, &violation, &bit)) {
        vionet_features_set(device->driver_features, bit, false);
        vionet_device_violation(device, violation, VIONET_NONE, VIONET_NONE, bit);
    }
    device->placed = true;
    take_features(device);
    device_event(device, VIONET_EVENT_FEATURES);
}

void vionet_device_write_driver_features(VionetDevice *device, uint32_t window, uint32_t value)
{
    const unsigned shift = 32 * (window % 2);
    uint64_t *word;

    if (device_view(device)->legacy) {
        write_legacy_features(device, window, value);
        return;
    }
    if (has_status(device, VIRTIO_STATUS_FEATURES_OK)) {
        vionet_device_violation(device, VIONET_VIOLATION_FEATURES_LATE, VIONET_NONE, VIONET_NONE,
                                value);
        return;
    }
    if (window >= 2 * VIONET_FEATURE_WORDS) {
        if (value && device->driver_beyond == 0) {
            device->driver_beyond = 32 * (uint64_t)window + g_bit_nth_lsf(value, -1);
        }
        return;
    }
    word = &device->driver_features[window / 2];
    *word = (*word & ~(UINT64_C(0xffffffff) << shift)) | (uint64_t)value << shift;
}

bool vionet_device_negotiated(const VionetDevice *device, unsigned bit)
{
    return vionet_features_test(device_view(device)->features, bit);
}

uint64_t vionet_device_offloads(const VionetDevice *device)
{
    return atomic_load_explicit(&((VionetDevice *)device)->offloads, memory_order_relaxed);
}

void vionet_device_filter(const VionetDevice *device, VionetFilter *filter)
{
    filter_describe(&device_view(device)->filter, filter);
}

uint8_t vionet_device_status(const VionetDevice *device)
{
    return atomic_load_explicit(&((VionetDevice *)device)->status, memory_order_acquire);
}

static void set_status(VionetDevice *device, uint8_t bits)
{
    atomic_fetch_or_explicit(&device->status, bits, memory_order_acq_rel);
}

void device_set_status(VionetDevice *device, uint8_t status)
{
    atomic_store_explicit(&device->status, status, memory_order_release);
}

static void accept_features(VionetDevice *device)
{
    VionetViolation violation;
    unsigned bit;

    if (device_view(device)->legacy) {
        vionet_device_violation(device, VIONET_VIOLATION_FEATURES_DEPENDENCY, VIONET_NONE,
                                VIONET_NONE, VIRTIO_F_VERSION_1);
        return;
    }
    if (device->driver_beyond) {
        vionet_device_violation(device, VIONET_VIOLATION_FEATURES_NOT_OFFERED, VIONET_NONE,
                                VIONET_NONE, device->driver_beyond);
        return;
    }
    if (!feature_check_driver(&device->config, device->driver_features, &violation, &bit)) {
        vionet_device_violation(device, violation, VIONET_NONE, VIONET_NONE, bit);
        return;
    }
    take_features(device);
    set_status(device, VIRTIO_STATUS_FEATURES_OK);
    device->config_dirty |= config_depends_on_driver(device);
    device_event(device, VIONET_EVENT_FEATURES);
}

static void driver_ok(VionetDevice *device)
{
    if (!has_status(device, VIRTIO_STATUS_FEATURES_OK) && !device_view(device)->legacy) {
        vionet_device_violation(device, VIONET_VIOLATION_DRIVER_OK_EARLY, VIONET_NONE, VIONET_NONE,
                                vionet_device_status(device));
        device->stuck = true;
        return;
    }
    set_status(device, VIRTIO_STATUS_DRIVER_OK);
    device_update_running(device);
    if (has_status(device, VIRTIO_STATUS_DRIVER_OK)) { /* a host operation may have reset it */
        device_event(device, VIONET_EVENT_RUNNING);
    }
}

static void device_reset(VionetDevice *device, bool by_machine)
{
    const bool link_up = device_view(device)->link_up;
    struct view *view = view_new(&device->config);

    view->link_up = link_up;
    device_publish(device, view);
    atomic_store_explicit(&device->running, false, memory_order_relaxed);
    for (unsigned i = 0; i < device->n_queues; i++) {
        queue_stop(&device->queues[i]);
    }
    device_place_queues(device, device->config.features);
    for (unsigned i = 0; i < device->n_queues; i++) {
        queue_reset_counters(&device->queues[i]);
        atomic_store_explicit(&device->queues[i].reported, 0, memory_order_relaxed);
    }
    for (unsigned i = 0; i < device->config.max_pairs * (unsigned)VIONET_N_VERDICTS; i++) {
        atomic_store_explicit(&device->lanes[i / VIONET_N_VERDICTS].verdicts[i % VIONET_N_VERDICTS],
                              0, memory_order_relaxed);
    }
    steer_forget(device->flows);
    memset(device->driver_features, 0, sizeof(device->driver_features));
    device->driver_beyond = 0;
    memset(device->coalesce, 0, sizeof(device->coalesce));
    control_clear_contexts(device);
    memcpy(device->mac, device->config.mac, 6);
    device->announce = false;
    device->config_due = false;
    device->stuck = false;
    device->early = false;
    device->placed = false;
    device->config_dirty = true;
    atomic_store_explicit(&device->reported, 0, memory_order_relaxed);
    atomic_store_explicit(&device->status, 0, memory_order_release);
    emit(device, &(VionetEvent){.kind = VIONET_EVENT_RESET,
                                .queue = VIONET_NONE,
                                .descriptor = VIONET_NONE,
                                .value = by_machine});
}

void vionet_device_reset(VionetDevice *device)
{
    device_reset(device, true);
}

void vionet_device_write_status(VionetDevice *device, uint8_t value)
{
    const uint8_t driver_bits = (uint8_t)~VIRTIO_STATUS_DEVICE_NEEDS_RESET;
    const uint8_t status = vionet_device_status(device);

    if (value == 0) {
        device_reset(device, false);
        return;
    }
    if (status & driver_bits & ~value) {
        vionet_device_violation(device, VIONET_VIOLATION_STATUS_BIT_CLEARED, VIONET_NONE,
                                VIONET_NONE, value);
    }
    set_status(device, value & (VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER));
    if (value & ~status & VIRTIO_STATUS_FEATURES_OK) {
        accept_features(device);
    }
    if (value & VIRTIO_STATUS_FAILED) {
        set_status(device, VIRTIO_STATUS_FAILED);
        device_update_running(device);
    } else if (value & ~status & VIRTIO_STATUS_DRIVER_OK) {
        driver_ok(device);
    }
}

/* ---- the legacy interface ---- */

bool vionet_device_begin_legacy(VionetDevice *device, bool big_endian)
{
    const struct view *current = device_view(device);
    struct view *view;

    if (current->legacy) {
        return true;
    }
    if (has_status(device, VIRTIO_STATUS_FEATURES_OK)) {
        vionet_device_violation(device, VIONET_VIOLATION_LEGACY_LATE, VIONET_NONE, VIONET_NONE,
                                vionet_device_status(device));
        return false;
    }
    view = view_copy(current);
    view_begin_legacy(view, &device->config, big_endian);
    device_publish(device, view);
    memset(device->driver_features, 0, sizeof(device->driver_features));
    device->driver_beyond = 0;
    return true;
}

void vionet_device_start_legacy(VionetDevice *device)
{
    if (device_view(device)->legacy && !has_status(device, VIRTIO_STATUS_DRIVER_OK)) {
        device->early = true;
        device_update_running(device);
    }
}

/* ---- commands that are executed elsewhere ---- */

void vionet_device_delegate_control(VionetDevice *device, unsigned pairs)
{
    struct view *view = view_copy(device_view(device));

    view->filter.modes = RX_MODE_PROMISC;
    view->filter.vlan_filter = false;
    view->steering.n_pairs = (uint16_t)CLAMP(pairs, 1, device->config.max_pairs);
    device_publish(device, view);
}

/* ---- link and announcement ---- */

void vionet_device_set_link(VionetDevice *device, bool up)
{
    const struct view *current = device_view(device);
    struct view *view;

    if (current->link_up == up) {
        return;
    }
    view = view_copy(current);
    view->link_up = up;
    device_publish(device, view);
    if (vionet_features_test(device->config.features, VIRTIO_NET_F_STATUS)) {
        device_config_changed(device);
    }
}

bool vionet_device_announce(VionetDevice *device)
{
    if (!has_status(device, VIRTIO_STATUS_DRIVER_OK) ||
        !vionet_device_negotiated(device, VIRTIO_NET_F_GUEST_ANNOUNCE)) {
        return false;
    }
    device->announce = true;
    device_config_changed(device);
    return true;
}

/* ---- counters ---- */

static uint64_t read_counter(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit((_Atomic uint64_t *)counter, memory_order_relaxed);
}

uint64_t vionet_device_counter(const VionetDevice *device, unsigned index, VionetCounter counter)
{
    if (index >= device->n_queues || (unsigned)counter >= VIONET_N_COUNTERS) {
        return 0;
    }
    return read_counter(queue_counter(&device->queues[index], counter));
}

uint64_t vionet_device_verdicts(const VionetDevice *device, VionetVerdict verdict)
{
    uint64_t sum = 0;

    if ((unsigned)verdict >= VIONET_N_VERDICTS) {
        return 0;
    }
    for (unsigned i = 0; i < device->config.max_pairs; i++) {
        sum += read_counter(&device->lanes[i].verdicts[verdict]);
    }
    for (unsigned i = 0; i < device->n_queues; i++) {
        sum += read_counter(&device->queues[i].verdicts[verdict]);
    }
    return sum;
}

uint64_t vionet_device_violations(const VionetDevice *device, VionetViolation violation)
{
    return (unsigned)violation < VIONET_N_VIOLATIONS ? read_counter(&device->violations[violation])
                                                     : 0;
}

/* ---- life ---- */

const VionetConfig *vionet_device_config(const VionetDevice *device)
{
    return &device->config;
}

static void make_queues(VionetDevice *device)
{
    const VionetConfig *config = &device->config;

    device->queues = lines_new0(device->n_queues, sizeof(struct queue));
    for (unsigned i = 0; i < device->n_queues; i++) {
        const bool transmit = i % 2 == 1;
        uint16_t size = transmit ? config->transmit_queue_size : config->receive_queue_size;

        /* The control queue stands at the end, or at 2 with a driver that takes one pair. */
        if (i == 2 || i == device->n_queues - 1) {
            size = MAX(size, config->control_queue_size);
        }
        queue_init(&device->queues[i], (uint16_t)i, size, transmit, &device->ops, device->opaque,
                   &device->status);
    }
    device->lanes = lines_new0(config->max_pairs, sizeof(struct lane));
    for (unsigned i = 0; i < config->max_pairs; i++) {
        device->lanes[i].scratch = lines_new0(1, VIONET_MAX_FRAME);
    }
}

VionetDevice *vionet_device_new(const VionetConfig *config, const VionetHostOps *ops, void *opaque,
                                GError **error)
{
    VionetDevice *device;
    VionetHostOps all = {0};
    VionetConfig full;

    if (!config_complete(config, &full, error) || !vionet_config_check(config, ops, error)) {
        return NULL;
    }
    memcpy(&all, ops, MIN(ops->size, sizeof(all)));
    device = lines_new0(1, sizeof(*device));
    device->config = full;
    device->ops = all;
    device->opaque = opaque;
    device->dma = true;
    device->n_queues = 2u * full.max_pairs + 1;
    device->control_buffer = g_malloc(CONTROL_MAX);
    device->outcomes = g_new0(struct outcome, device->n_queues);
    device->rss_contexts = g_new0(struct steering *, full.max_rss_contexts);
    device->flows = lines_new0(1, sizeof(*device->flows));
    atomic_init(&device->view, view_new(&full));
    device->remote = (struct memory_remote){all.dma_read, all.dma_write, opaque};
    atomic_init(&device->map, memory_map_empty());
    device_map(device)->remote = &device->remote;
    memcpy(device->mac, full.mac, 6);
    vionet_device_set_interrupt(device, NULL, NULL);
    make_queues(device);
    device_place_queues(device, full.features);
    return device;
}

void vionet_device_free(VionetDevice *device)
{
    if (!device) {
        return;
    }
    for (unsigned i = 0; i < device->n_queues; i++) {
        queue_free(&device->queues[i]);
    }
    for (unsigned i = 0; i < device->config.max_pairs; i++) {
        g_aligned_free(device->lanes[i].scratch);
    }
    g_aligned_free(device->queues);
    g_aligned_free(device->lanes);
    view_free(device_view(device));
    g_free(device_map(device));
    g_aligned_free(device->flows);
    g_free(device->control_buffer);
    g_free(device->outcomes);
    control_clear_contexts(device);
    state_forget_sections(device);
    g_free(device->rss_contexts);
    g_aligned_free(device);
}
