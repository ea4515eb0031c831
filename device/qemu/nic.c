/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A frontend as a NIC of QEMU; see nic.h. Called by the QOM types and QEMU's main loop.
 */
#include "qemu/osdep.h"

#include "nic.h"

#include "hw/qdev-core.h"
#include "qapi/error.h"
#include "qemu/log.h"
#include "qemu/main-loop.h"

#include <vionet/state.h>
#include <vionet/transport.h>

#include "compat.h"
#include "netdev.h"
#include "rx_filter.h"

struct nic_timer {
    struct nic *nic;
    unsigned queue;
    QEMUTimer *timer;
};

/* ---- What the device asks of its emulator ---- */

/* The guest's time: it stands still with the guest. */
static uint64_t host_clock_ns(void *opaque)
{
    return (uint64_t)qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
}

static void queue_timer_expired(void *opaque)
{
    struct nic_timer *timer = opaque;

    vionet_device_timer(timer->nic->device, timer->queue);
    nic_settle(timer->nic);
}

static void host_timer(void *opaque, unsigned queue, uint64_t deadline_ns)
{
    struct nic *nic = opaque;

    timer_mod_ns(nic->timers[queue].timer, (int64_t)MIN(deadline_ns, (uint64_t)INT64_MAX));
}

static void host_wake(void *opaque)
{
    struct nic *nic = opaque;

    qemu_bh_schedule(nic->wake);
}

static void log_violation(const struct nic *nic, const VionetEvent *event)
{
    char text[160];

    vionet_event_describe(event, text, sizeof(text));
    qemu_log_mask(LOG_GUEST_ERROR, "%s %s: %s\n", object_get_typename(OBJECT(nic->owner)),
                  nic->owner->id ? nic->owner->id : "without an id", text);
}

static void host_event(void *opaque, const VionetEvent *event)
{
    struct nic *nic = opaque;
    VionetFilter filter = {.size = sizeof(filter)};

    switch (event->kind) {
    case VIONET_EVENT_VIOLATION:
        log_violation(nic, event);
        break;
    case VIONET_EVENT_RESET:
        netdev_drop(vionet_frontend_backend(nic->frontend));
        break;
    case VIONET_EVENT_FILTER:
        vionet_device_filter(vionet_frontend_device(nic->frontend), &filter);
        netdev_filter_changed(vionet_frontend_backend(nic->frontend), filter.mac);
        break;
    default:
        break;
    }
    if (nic->transport->event) {
        nic->transport->event(nic, event);
    }
}

/* ---- Moving frames ---- */

static void woken(void *opaque)
{
    struct nic *nic = opaque;

    if (runstate_is_running() && vionet_frontend_poll(nic->frontend, 0)) {
        qemu_bh_schedule(nic->wake);
    }
    nic_settle(nic);
}

void nic_kick(struct nic *nic, unsigned queue)
{
    vionet_device_kick(nic->device, queue);
    woken(nic);
}

void nic_settle(struct nic *nic)
{
    guest_memory_settle(nic->memory);
}

/*
 * The machine stops, after what is here has gone in, as its memory is looked at next; or it goes on, and
 * each queue is looked at.
 */
static void run_state_changed(void *opaque, bool running, RunState state)
{
    struct nic *nic = opaque;

    if (!running) {
        netdev_hurry(vionet_frontend_backend(nic->frontend));
    }
    vionet_device_set_paused(nic->device, !running);
    if (running) {
        netdev_hurry(vionet_frontend_backend(nic->frontend));
        host_wake(nic);
    }
    nic_settle(nic);
}

/* ---- What the netdev asks of its device ---- */

static bool netdev_is_wanted(void *opaque)
{
    const struct nic *nic = opaque;

    return nic->device && vionet_device_running(nic->device);
}

static void netdev_link_switched(void *opaque, bool up)
{
    struct nic *nic = opaque;

    vionet_device_set_link(nic->device, up);
}

static void netdev_describe_filter(void *opaque, RxFilterInfo *info)
{
    struct nic *nic = opaque;
    VionetFilter filter = {.size = sizeof(filter)};

    vionet_device_filter(nic->device, &filter);
    rx_filter_describe(&filter, info);
}

static void netdev_announce(void *opaque)
{
    struct nic *nic = opaque;

    vionet_device_announce(nic->device);
}

static void netdev_delivered(void *opaque)
{
    nic_settle(opaque);
}

static const struct netdev_ops netdev_ops = {
    .is_wanted = netdev_is_wanted,
    .link_switched = netdev_link_switched,
    .describe_filter = netdev_describe_filter,
    .announce = netdev_announce,
    .delivered = netdev_delivered,
};

/* ---- Life ---- */

void nic_init(struct nic *nic, Object *owner)
{
    nic->owner = DEVICE(owner);
    qom_properties_init(&nic->properties);
    device_add_bootindex_property(owner, &nic->conf.bootindex, "bootindex", "/ethernet-phy@0",
                                  nic->owner);
}

void nic_finalize(struct nic *nic)
{
    qom_properties_finalize(&nic->properties);
}

static VionetBackend *open_netdev(void *from, GError **error)
{
    struct nic *nic = from;

    return netdev_new(&nic->conf, nic->owner, &netdev_ops, nic);
}

static void new_timers(struct nic *nic)
{
    nic->n_timers = vionet_device_num_queues(nic->device);
    nic->timers = g_new0(struct nic_timer, nic->n_timers);
    for (unsigned i = 0; i < nic->n_timers; i++) {
        nic->timers[i] = (struct nic_timer){nic, i, NULL};
        nic->timers[i].timer =
            timer_new_ns(QEMU_CLOCK_VIRTUAL, queue_timer_expired, &nic->timers[i]);
    }
}

static void free_timers(struct nic *nic)
{
    for (unsigned i = 0; i < nic->n_timers; i++) {
        timer_free(nic->timers[i].timer);
    }
    g_clear_pointer(&nic->timers, g_free);
    nic->n_timers = 0;
}

static bool make_frontend(struct nic *nic, const VionetFrontendOps *transport, GError **error)
{
    g_autofree char *text = qom_properties_text(&nic->properties, nic->conf.macaddr.a);
    const VionetFrontendOps ops = {
        .size = sizeof(ops),
        .msi = transport->msi,
        .intx = transport->intx,
        .interrupt = transport->interrupt,
        .clock_ns = host_clock_ns,
        .timer = host_timer,
        .event = host_event,
        .wake = host_wake,
        .defers = true,
    };

    nic->transport = transport;
    nic->frontend = vionet_frontend_new_over(text, open_netdev, nic, &ops, nic, error);
    if (!nic->frontend || !vionet_frontend_realize(nic->frontend, error)) {
        return false;
    }
    nic->device = vionet_frontend_device(nic->frontend);
    return true;
}

bool nic_realize(struct nic *nic, const VionetFrontendOps *transport, Error **errp)
{
    g_autoptr(GError) error = NULL;

    qemu_macaddr_default_if_unset(&nic->conf.macaddr);
    if (!make_frontend(nic, transport, &error)) {
        error_setg(errp, "%s", error->message);
        nic_unrealize(nic);
        return false;
    }
    new_timers(nic);
    nic->memory = guest_memory_new(nic->device);
    vionet_device_set_paused(nic->device, !runstate_is_running());
    nic->wake = qemu_bh_new_guarded(woken, nic, &nic->owner->mem_reentrancy_guard);
    nic->run_state = qdev_add_vm_change_state_handler(nic->owner, run_state_changed, nic);
    return true;
}

void nic_start(struct nic *nic)
{
    vionet_frontend_attach(nic->frontend, NULL);
}

/* Backwards from where it got to. */
void nic_unrealize(struct nic *nic)
{
    if (nic->run_state) {
        qemu_del_vm_change_state_handler(nic->run_state);
        qemu_bh_delete(nic->wake);
    }
    guest_memory_free(nic->memory);
    free_timers(nic);
    vionet_frontend_free(nic->frontend);
    nic->run_state = NULL;
    nic->memory = NULL;
    nic->frontend = NULL;
    nic->device = NULL;
}
