/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The thin frontend; see frontend.h. It puts together what others do: properties.c reads the
 * configuration, the library is the device, a backend is the host's side, pump.c moves frames. An
 * emulator's glue calls it.
 */
#include "frontend.h"

#include <string.h>

#define VIONET_SPEC_NO_STRUCTS
#include <vionet/spec.h>
#include <vionet/transport.h>

#include "properties.h"
#include "pump.h"
#include "workers.h"

/* Descriptors that a queue may have at least, where the driver's side chooses. */
#define CHOSEN_QUEUE_SIZE 1024

struct VionetFrontend {
    VionetProperties properties;
    VionetFrontendOps ops;
    void *opaque;
    VionetBackend *backend;
    struct pump *pump;       /* with workers it has but the control queue's commands to care for */
    struct workers *workers; /* threads=on, else NULL */
    VionetDevice *device;    /* NULL while not realized, like pci */
    VionetPci *pci;
};

/* ---- Features and who serves them ---- */

/* With these the device needs a clock and a timer. */
static const unsigned timer_features[] = {
    VIRTIO_NET_F_NOTF_COAL,
    VIRTIO_NET_F_VQ_NOTF_COAL,
};

/* False, with an error, if a feature is to be offered that cannot be served. */
static bool refuse_feature(const VionetConfig *config, unsigned bit, const char *why,
                           GError **error)
{
    const bool other_meaning = (int)bit == config->dialect->feature;

    if (other_meaning || !vionet_features_test(config->features, bit)) {
        return true;
    }
    g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG, "property %s=on: %s",
                properties_feature(config->dialect, bit)->property, why);
    return false;
}

/* What the emulator cannot serve may not be offered. */
static bool check_timers(const VionetFrontend *frontend, GError **error)
{
    const bool has_timer = frontend->ops.clock_ns && frontend->ops.timer;

    for (size_t i = 0; i < G_N_ELEMENTS(timer_features) && !has_timer; i++) {
        if (!refuse_feature(&frontend->properties.config, timer_features[i],
                            "this emulator has no timer for it", error)) {
            return false;
        }
    }
    return true;
}

/* ---- What the device asks of its host ---- */

/* The guest's link is the backend's. */
static void follow_link(VionetFrontend *frontend)
{
    if (frontend->device) {
        vionet_device_set_link(frontend->device, backend_has_link(frontend->backend));
    }
}

/* Lets frames move: those of a peer that has just come find the link up, those of one that has gone too. */
static bool move_frames(VionetFrontend *frontend)
{
    bool more;

    if (backend_has_link(frontend->backend)) {
        follow_link(frontend);
    }
    more = pump_run(frontend->pump);
    follow_link(frontend);
    return more;
}

/* The same, and asks to be called again if that takes longer. */
static bool run(VionetFrontend *frontend)
{
    const bool more = move_frames(frontend);

    if (more && frontend->ops.wake) {
        frontend->ops.wake(frontend->opaque);
    }
    return more;
}

static void host_kick(void *opaque, unsigned queue)
{
    VionetFrontend *frontend = opaque;

    if (frontend->workers &&
        (workers_is_one() || queue != vionet_device_control_queue(frontend->device))) {
        workers_kicked(frontend->workers, queue);
        return;
    }
    pump_kicked(frontend->pump, queue);
    if (frontend->ops.defers) {
        frontend->ops.wake(frontend->opaque);
    } else {
        run(frontend);
    }
}

static void host_event(void *opaque, const VionetEvent *event)
{
    VionetFrontend *frontend = opaque;

    switch (event->kind) {
    case VIONET_EVENT_RUNNING:
    case VIONET_EVENT_RESET:
        backend_set_offloads(frontend->backend, vionet_device_offloads(frontend->device));
        run(frontend);
        if (frontend->workers) {
            workers_wake(frontend->workers);
        }
        break;
    case VIONET_EVENT_OFFLOADS:
        backend_set_offloads(frontend->backend, vionet_device_offloads(frontend->device));
        break;
    default:
        break;
    }
    if (frontend->ops.event) {
        frontend->ops.event(frontend->opaque, event);
    }
}

static uint64_t host_clock_ns(void *opaque)
{
    VionetFrontend *frontend = opaque;

    return frontend->ops.clock_ns(frontend->opaque);
}

static void host_timer(void *opaque, unsigned queue, uint64_t deadline_ns)
{
    VionetFrontend *frontend = opaque;

    frontend->ops.timer(frontend->opaque, queue, deadline_ns);
}

static void host_trace(void *opaque, const VionetTrace *trace)
{
    VionetFrontend *frontend = opaque;

    frontend->ops.trace(frontend->opaque, trace);
}

static bool host_dma_read(void *opaque, uint64_t gpa, void *buf, size_t len)
{
    VionetFrontend *frontend = opaque;

    return frontend->ops.dma_read(frontend->opaque, gpa, buf, len);
}

static bool host_dma_write(void *opaque, uint64_t gpa, const void *buf, size_t len)
{
    VionetFrontend *frontend = opaque;

    return frontend->ops.dma_write(frontend->opaque, gpa, buf, len);
}

static void host_interrupt(void *opaque, unsigned queue)
{
    VionetFrontend *frontend = opaque;

    frontend->ops.interrupt(frontend->opaque, queue);
}

static VionetHostOps host_ops(const VionetFrontend *frontend)
{
    const bool has_timer = frontend->ops.clock_ns && frontend->ops.timer;
    const bool has_dma = !frontend->properties.threads;

    return (VionetHostOps){
        .size = sizeof(VionetHostOps),
        .kick = host_kick,
        .event = host_event,
        .clock_ns = has_timer ? host_clock_ns : NULL,
        .timer = has_timer ? host_timer : NULL,
        .trace = frontend->ops.trace ? host_trace : NULL,
        .dma_read = has_dma && frontend->ops.dma_read ? host_dma_read : NULL,
        .dma_write = has_dma && frontend->ops.dma_write ? host_dma_write : NULL,
        .interrupt = frontend->ops.interrupt ? host_interrupt : NULL,
    };
}

/* ---- Life ---- */

/* Sizes that the driver's side chooses, as far as the device goes along. */
static void widen_queues(VionetConfig *config)
{
    config->receive_queue_size = MAX(config->receive_queue_size, CHOSEN_QUEUE_SIZE);
    config->transmit_queue_size = MAX(config->transmit_queue_size, CHOSEN_QUEUE_SIZE);
    config->control_queue_size = MAX(config->control_queue_size, CHOSEN_QUEUE_SIZE);
}

static bool make_workers(VionetFrontend *frontend, GError **error)
{
    if (!backend_split(frontend->backend, frontend->properties.config.max_pairs, error)) {
        g_prefix_error(error, "property threads=on: ");
        return false;
    }
    frontend->workers = workers_new(frontend->backend);
    return true;
}

static bool configure(VionetFrontend *frontend, const char *properties, VionetBackendOpen *open,
                      void *from, GError **error)
{
    VionetHostOps ops;
    uint64_t poll_ns;

    if (!properties_parse(properties, &frontend->properties, error) ||
        !check_timers(frontend, error)) {
        return false;
    }
    if (frontend->ops.interrupt) {
        widen_queues(&frontend->properties.config);
    }
    ops = host_ops(frontend);
    if (!vionet_config_check(&frontend->properties.config, &ops, error)) {
        return false;
    }
    poll_ns = frontend->properties.poll_us * UINT64_C(1000);
    frontend->backend = open(from, error);
    if (!frontend->backend) {
        return false;
    }
    properties_suit(&frontend->properties, backend_suits(frontend->backend));
    frontend->pump = pump_new(frontend->backend, 0);
    if (frontend->properties.threads) {
        if (!make_workers(frontend, error)) {
            return false;
        }
        workers_set_poll(frontend->workers, poll_ns, frontend->ops.clock_ns, frontend->opaque);
    } else {
        pump_set_poll(frontend->pump, poll_ns, frontend->ops.clock_ns, frontend->opaque);
        if (frontend->ops.defers) {
            pump_defer(frontend->pump);
        }
    }
    return true;
}

VionetFrontend *vionet_frontend_new_over(const char *properties, VionetBackendOpen *open,
                                         void *from, const VionetFrontendOps *ops, void *opaque,
                                         GError **error)
{
    VionetFrontend *frontend = g_new0(VionetFrontend, 1);

    if (ops) {
        memcpy(&frontend->ops, ops, MIN(ops->size, sizeof(frontend->ops)));
    }
    frontend->opaque = opaque;
    if (!configure(frontend, properties, open, from, error)) {
        vionet_frontend_free(frontend);
        return NULL;
    }
    return frontend;
}

void vionet_frontend_free(VionetFrontend *frontend)
{
    if (!frontend) {
        return;
    }
    vionet_frontend_unrealize(frontend);
    workers_free(frontend->workers);
    pump_free(frontend->pump);
    backend_close(frontend->backend);
    g_free(frontend);
}

static VionetPci *make_pci(VionetFrontend *frontend, GError **error)
{
    const VionetPciOps ops = {
        .size = sizeof(ops),
        .msi = frontend->ops.msi,
        .intx = frontend->ops.intx,
    };

    return vionet_pci_new(frontend->device, &frontend->properties.pci, &ops, frontend->opaque,
                          error);
}

bool vionet_frontend_realize(VionetFrontend *frontend, GError **error)
{
    const VionetHostOps ops = host_ops(frontend);

    if (frontend->device) {
        g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG, "the device is realized already");
        return false;
    }
    frontend->device = vionet_device_new(&frontend->properties.config, &ops, frontend, error);
    if (!frontend->device) {
        return false;
    }
    pump_connect(frontend->pump, frontend->device);
    follow_link(frontend);
    frontend->pci = frontend->ops.interrupt ? NULL : make_pci(frontend, error);
    if ((!frontend->pci && !frontend->ops.interrupt) ||
        (frontend->workers && !workers_start(frontend->workers, frontend->device, error))) {
        vionet_frontend_unrealize(frontend);
        return false;
    }
    return true;
}

void vionet_frontend_unrealize(VionetFrontend *frontend)
{
    if (!frontend->device) {
        return;
    }
    g_assert(!pump_is_busy(frontend->pump));
    if (frontend->workers) {
        workers_stop(frontend->workers);
    }
    vionet_pci_free(frontend->pci);
    pump_disconnect(frontend->pump);
    vionet_device_free(frontend->device);
    frontend->pci = NULL;
    frontend->device = NULL;
}

void vionet_frontend_reset(VionetFrontend *frontend)
{
    if (frontend->pci) {
        vionet_pci_reset(frontend->pci);
    } else if (frontend->device) {
        vionet_device_reset(frontend->device);
    }
}

void vionet_frontend_forget_guest(VionetFrontend *frontend)
{
    vionet_frontend_reset(frontend);
    backend_forget_guest(frontend->backend);
}

VionetDevice *vionet_frontend_device(const VionetFrontend *frontend)
{
    return frontend->device;
}

VionetPci *vionet_frontend_pci(const VionetFrontend *frontend)
{
    return frontend->pci;
}

VionetBackend *vionet_frontend_backend(const VionetFrontend *frontend)
{
    return frontend->backend;
}

bool vionet_frontend_poll(VionetFrontend *frontend, size_t n)
{
    if (!frontend->device) {
        return false;
    }
    if (frontend->workers) {
        workers_wake(frontend->workers);
    }
    pump_want(frontend->pump, n);
    return move_frames(frontend);
}

static void backend_is_ready(void *opaque)
{
    VionetFrontend *frontend = opaque;

    pump_want(frontend->pump, SIZE_MAX);
    run(frontend);
}

void vionet_frontend_attach(VionetFrontend *frontend, GMainContext *context)
{
    if (!frontend->workers) {
        backend_attach(frontend->backend, context, backend_is_ready, frontend);
        backend_is_ready(frontend);
    }
}

bool vionet_frontend_can_receive(const VionetFrontend *frontend)
{
    return pump_can_receive(frontend->pump);
}

unsigned vionet_frontend_held(const VionetFrontend *frontend)
{
    return pump_held(frontend->pump);
}

/* Queue 2 is the control queue of a driver without MQ. */
GMainContext *vionet_frontend_queue_context(const VionetFrontend *frontend, unsigned queue)
{
    if (!frontend->workers || queue == 2 || queue / 2 >= frontend->properties.config.max_pairs) {
        return NULL;
    }
    return workers_context(frontend->workers, queue / 2);
}

void vionet_frontend_settle(VionetFrontend *frontend)
{
    if (frontend->workers) {
        workers_settle(frontend->workers);
    }
}
