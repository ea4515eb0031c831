/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Failover inside QEMU; see standby.h. Called by vionet_pci.c, by QEMU's listeners and notifiers, and as the host of
 * the object of vionet/standby.h.
 *
 *     options --make()--> primary, seen --unplug()--> asked --guest lets go--> ejected --plug()--> seen
 *                                       --hide()---------------------------------^
 *
 * Asked and ejected are partially_hotplugged, with and without pending_deleted_event. A controller that the guest told
 * that it has let go clears the latter, and tells nobody: so it is looked at, while we wait for it.
 */
#include "qemu/osdep.h"

#include "standby.h"

#include "hw/hotplug.h"
#include "hw/pci/pcie_port.h"
#include "hw/sysbus.h"
#include "migration/vmstate.h"
#include "monitor/qdev.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-migration.h"
#include "qapi/qapi-events-migration.h"
#include "qapi/visitor.h"
#include "qemu/config-file.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/option.h"
#include "qemu/timer.h"

#include <vionet/spec.h>

#include "compat.h"
#include "properties.h"
#include "standby_control.h"

#define LOOK_MS      20   /* between looks for a guest that was asked to let go */
#define LOOK_LATE_MS 1000 /* once it has refused */

struct standby {
    struct standby_options *options;
    DeviceState *owner;
    VionetDevice *device;
    VionetStandby *standby;
    struct standby_control *control; /* NULL: none */
    DeviceListener listener;
    CompatMigrationNotifier migration;
    QDict *primary_options; /* of the primary; NULL: there is none */
    bool options_are_json;
    bool on_command_line; /* QEMU keeps the options there, and with them the id, until we say */
    PCIDevice *primary;   /* NULL: not made yet, or not any more */
    bool making;
    Error **why;        /* it cannot be shown, for who asks; NULL: for the log */
    Error *del_blocker; /* of device_del, from unplug() to plug(); or NULL */
    QEMUTimer *look;
    int64_t refused_ms; /* when the guest will have refused */
    bool waited_for;    /* read by any thread */
    bool migrating;
    bool loading;
    bool loaded; /* and has not run since */
    bool left;   /* the same, as the guest is elsewhere */
    QEMUBH *later;
    Error *
        blocker; /* of migrations, while the guest has a primary that they would not wait for; or NULL */
};

static const char *primary_id(const struct standby *self)
{
    return qdict_get_str(self->primary_options, "id");
}

/* ---- The primary ---- */

/* It stays with us, whoever migrates: neither its state nor its ROM is in a stream. */
static void keep_from_streams(PCIDevice *primary)
{
    DeviceState *device = DEVICE(primary);

    if (qdev_get_vmsd(device)) {
        vmstate_unregister(VMSTATE_IF(device), qdev_get_vmsd(device), device);
    }
    if (primary->has_rom) {
        vmstate_unregister_ram(&primary->rom, device);
    }
}

/* The guest keeps it, and it is as any other. */
static void give_to_streams(PCIDevice *primary)
{
    DeviceState *device = DEVICE(primary);

    if (qdev_get_vmsd(device)) {
        vmstate_register_with_alias_id(VMSTATE_IF(device), VMSTATE_INSTANCE_ID_ANY,
                                       qdev_get_vmsd(device), device, device->instance_id_alias,
                                       device->alias_required_for_version, &error_abort);
    }
    if (primary->has_rom) {
        vmstate_register_ram(&primary->rom, device);
    }
}

/*
 * For one that is asked or ejected. QEMU would keep it, as it is partially_hotplugged, and pending_deleted_event would
 * have firmware see it.
 */
static void block_device_del(struct standby *self)
{
    if (!self->del_blocker) {
        error_setg(&self->del_blocker,
                   "the primary '%s' is hidden, or being unplugged: to remove it, set property "
                   "primary of '%s' to absent",
                   primary_id(self), self->owner->id);
        qdev_add_unplug_blocker(DEVICE(self->primary), self->del_blocker);
    }
}

static void unblock_device_del(struct standby *self)
{
    if (self->del_blocker) {
        qdev_del_unplug_blocker(DEVICE(self->primary), self->del_blocker);
        error_free(self->del_blocker);
        self->del_blocker = NULL;
    }
}

/* device_del has asked the guest for it before we did: then it goes for good. */
static bool is_deleted_by_others(PCIDevice *primary)
{
    return DEVICE(primary)->pending_deleted_event && !primary->partially_hotplugged;
}

/* The guest has let it go, and nobody was told yet. */
static bool is_let_go(PCIDevice *primary)
{
    return primary->partially_hotplugged && !DEVICE(primary)->pending_deleted_event;
}

static bool make(struct standby *self, Error **errp)
{
    DeviceState *device;

    self->making = true;
    device = qdev_device_add_from_qdict(self->primary_options, self->options_are_json, errp);
    self->making = false;
    if (!device) {
        return false;
    }
    self->primary = PCI_DEVICE(device);
    object_unref(OBJECT(device));
    keep_from_streams(self->primary);
    return true;
}

/* An ejected one comes back. What pre_plug would look at was so when it was made. */
static bool plug(struct standby *self, Error **errp)
{
    PCIDevice *primary = self->primary;
    HotplugHandler *slot = qdev_get_hotplug_handler(DEVICE(primary));
    Error *error = NULL;

    primary->partially_hotplugged = false;
    hotplug_handler_plug(slot, DEVICE(primary), &error);
    if (error) {
        primary->partially_hotplugged = true;
        error_propagate(errp, error);
        return false;
    }
    unblock_device_del(self);
    return true;
}

/* A slot with hot-plug registers of its own, as it is when the guest lets go. */
static void vacate(PCIDevice *slot)
{
    uint8_t *express = slot->config + slot->exp.exp_cap;

    pci_word_test_and_clear_mask(express + PCI_EXP_SLTSTA, PCI_EXP_SLTSTA_PDS);
    pci_word_test_and_clear_mask(express + PCI_EXP_LNKSTA, PCI_EXP_LNKSTA_DLLLA);
}

/* Neither configuration space nor BARs are there for the guest from now on. */
static void eject(struct standby *self)
{
    DeviceState *device = DEVICE(self->primary);
    Object *slot = OBJECT(qdev_get_hotplug_handler(device));

    timer_del(self->look);
    self->primary->partially_hotplugged = true;
    device->pending_deleted_event = false;
    if (object_dynamic_cast(slot, TYPE_PCIE_SLOT)) {
        vacate(PCI_DEVICE(slot));
    }
    device_cold_reset(device);
    block_device_del(self);
}

static void forget_options(struct standby *self)
{
    qobject_unref(self->primary_options);
    self->primary_options = NULL;
}

static void remove_primary(struct standby *self)
{
    PCIDevice *primary = self->primary;

    timer_del(self->look);
    unblock_device_del(self);
    self->primary = NULL;
    if (primary) {
        hotplug_handler_unplug(qdev_get_hotplug_handler(DEVICE(primary)), DEVICE(primary),
                               &error_abort);
        object_unparent(OBJECT(primary));
    }
    if (self->primary_options) {
        if (self->on_command_line) {
            qemu_opts_del(qemu_opts_find(qemu_find_opts("device"), primary_id(self)));
        }
        forget_options(self);
    }
}

/* ---- What the object asks for ---- */

/* A migration would not wait in models in which it is management's: so there can be none. */
static bool block_migration(struct standby *self, Error **errp)
{
    if (vionet_standby_model(self->standby) == VIONET_STANDBY_COMBINED || self->blocker) {
        return true;
    }
    error_setg(&self->blocker, "vionet-pci: the guest has the primary '%s'", primary_id(self));
    return compat_block_migration(&self->blocker, errp);
}

static bool show(void *opaque)
{
    struct standby *self = opaque;
    Error *error = NULL;

    if (block_migration(self, &error) &&
        (self->primary ? plug(self, &error) : make(self, &error))) {
        return true;
    }
    compat_unblock_migration(&self->blocker);
    if (self->why) {
        error_propagate(self->why, error);
    } else {
        warn_report_err(error);
    }
    return false;
}

static void hide(void *opaque)
{
    struct standby *self = opaque;

    if (!self->primary) {
        return;
    }
    if (is_deleted_by_others(self->primary)) {
        vionet_standby_input(self->standby, VIONET_STANDBY_REMOVE); /* comes behind this one */
    }
    eject(self);
}

static void look_again(struct standby *self)
{
    const bool asked = vionet_standby_state(self->standby) == VIONET_PRIMARY_UNPLUGGING;

    timer_mod(self->look,
              qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + (asked ? LOOK_MS : LOOK_LATE_MS));
}

static bool unplug(void *opaque)
{
    struct standby *self = opaque;
    HotplugHandler *slot;
    Error *error = NULL;
    bool asked_before, for_good;

    if (!self->primary) {
        return true; /* it was removed, and that will be said */
    }
    slot = qdev_get_hotplug_handler(DEVICE(self->primary));
    asked_before = self->primary->partially_hotplugged;
    for_good = is_deleted_by_others(self->primary); /* which QEMU does, and unrealized() hears of */
    self->primary->partially_hotplugged = !for_good;
    hotplug_handler_unplug_request(slot, DEVICE(self->primary), &error);
    if (error && !for_good) {
        self->primary->partially_hotplugged = asked_before;
        warn_report_err(error);
        return false;
    }
    error_free(error); /* the guest is at it already */
    if (!for_good) {
        block_device_del(self);
    }
    qapi_event_send_unplug_primary(primary_id(self));
    self->refused_ms =
        qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + 1000 * (int64_t)self->options->release_s;
    timer_mod(self->look, qemu_clock_get_ms(QEMU_CLOCK_REALTIME));
    return true;
}

/* QEMU has no way to take a request back. The guest gets the primary again once it has let go. */
static bool cancel(void *opaque)
{
    return false;
}

/* After the guest has refused; the migration is one that waits. */
static void give_up_migration(struct standby *self)
{
    warn_report("vionet-pci: the guest does not let go of the primary '%s': migration cancelled",
                primary_id(self));
    qmp_migrate_cancel(NULL);
}

static void happened(void *opaque, const VionetStandbyEvent *event)
{
    struct standby *self = opaque;

    if (event->input == VIONET_STANDBY_ACCEPTED && self->owner->id) {
        qapi_event_send_failover_negotiated(self->owner->id);
    }
    if (event->input == VIONET_STANDBY_REFUSED && self->migrating) {
        give_up_migration(self);
    }
    qatomic_set(&self->waited_for, event->to == VIONET_PRIMARY_UNPLUGGING);
    if (!vionet_standby_blocks_migration(self->standby)) {
        compat_unblock_migration(&self->blocker);
    }
    if (event->to == VIONET_PRIMARY_ABSENT && event->from != VIONET_PRIMARY_ABSENT) {
        qemu_bh_schedule(self->later);
    }
    standby_control_tell(self->control, event);
}

static const VionetStandbyOps ops = {
    .size = sizeof(ops),
    .show = show,
    .hide = hide,
    .unplug = unplug,
    .cancel = cancel,
    .event = happened,
};

/* ---- What QEMU tells ---- */

static void look(void *opaque)
{
    struct standby *self = opaque;

    if (!DEVICE(self->primary)->pending_deleted_event) {
        eject(self);
        vionet_standby_input(self->standby, VIONET_STANDBY_RELEASED);
        return;
    }
    if (qemu_clock_get_ms(QEMU_CLOCK_REALTIME) >= self->refused_ms) {
        vionet_standby_input(self->standby, VIONET_STANDBY_REFUSED);
    }
    look_again(self);
}

/* What is not for the middle of a reset, or of others' loops. */
static void come_later(void *opaque)
{
    struct standby *self = opaque;

    if (vionet_standby_state(self->standby) == VIONET_PRIMARY_ABSENT) {
        remove_primary(self);
    }
    if (self->loaded && runstate_is_running()) {
        self->loaded = false;
        vionet_standby_input(self->standby, VIONET_STANDBY_MIGRATION_ARRIVED);
    }
    if (self->left && runstate_is_running()) {
        self->left = false; /* it was lost there, and goes on here */
        vionet_standby_adopt(self->standby, self->device);
        vionet_standby_input(self->standby, VIONET_STANDBY_MIGRATION_FAILED);
    }
}

static void migrates(void *opaque, CompatMigration what)
{
    static const VionetStandbyInput inputs[] = {
        [COMPAT_MIGRATION_STARTS] = VIONET_STANDBY_MIGRATION_STARTS,
        [COMPAT_MIGRATION_FAILED] = VIONET_STANDBY_MIGRATION_FAILED,
        [COMPAT_MIGRATION_DONE] = VIONET_STANDBY_MIGRATION_LEFT,
    };
    struct standby *self = opaque;

    self->migrating = what == COMPAT_MIGRATION_STARTS;
    self->left = what == COMPAT_MIGRATION_DONE;
    vionet_standby_input(self->standby, inputs[what]);
}

static bool refuse(Error **errp, const char *id, const char *why)
{
    error_setg(errp, "primary '%s': %s", id, why);
    return false;
}

/* Whether a device of that driver has an address that QEMU gives it. */
static bool has_address(const char *driver)
{
    ObjectClass *class = driver ? module_object_class_by_name(driver) : NULL;

    return class && object_class_property_find(class, "mac");
}

static bool offers_standby(const VionetDevice *device)
{
    return vionet_features_test(vionet_device_config(device)->features, VIRTIO_NET_F_STANDBY);
}

static bool describe_primary(const struct standby *self, const QDict *options,
                             VionetPrimary *primary, Error **errp)
{
    const char *id = qdict_get_try_str(options, "id");
    const char *mac = qdict_get_try_str(options, "mac");

    if (!id) {
        error_setg(errp, "a primary has to have an id");
        return false;
    }
    if (!offers_standby(self->device)) {
        return refuse(errp, id, "its standby lacks standby=on");
    }
    if (self->primary_options) {
        return refuse(errp, id, "its standby has one already");
    }
    if (mac ? !properties_read_mac(mac, primary->mac)
            : has_address(qdict_get_try_str(options, "driver"))) {
        return refuse(errp, id, "mac has to be the standby's");
    }
    primary->has_mac = mac != NULL;
    return true;
}

/*
 * Whether it goes where it can be hot-plugged. QEMU looks at that too, but once it is hidden, and tells nobody of us.
 */
static bool bus_is_good(const QDict *options, Error **errp)
{
    const char *path = qdict_get_try_str(options, "bus");
    g_autofree char *name = path ? g_path_get_basename(path) : NULL;
    Object *bus = name ? object_resolve_path_type(name, TYPE_BUS, NULL) : NULL;

    return (bus && qbus_is_hotpluggable(BUS(bus))) ||
           refuse(errp, qdict_get_str(options, "id"), "bus has to be one that can be hot-plugged");
}

/*
 * A device is about to be made. True if not: it is our primary, and will be made when it is shown, which may have
 * happened when this returns.
 */
static bool hides(DeviceListener *listener, const QDict *options, bool from_json, Error **errp)
{
    struct standby *self = container_of(listener, struct standby, listener);
    const char *pair = options ? qdict_get_try_str(options, "failover_pair_id") : NULL;
    VionetPrimary primary = {.size = sizeof(primary), .group = pair};
    g_autoptr(GError) error = NULL;
    Error *failure = NULL;

    if (!pair || g_strcmp0(pair, self->owner->id) != 0 || self->making) {
        return false;
    }
    come_later(self);
    if (!describe_primary(self, options, &primary, errp) || !bus_is_good(options, errp)) {
        return false;
    }
    self->primary_options = qdict_clone_shallow(options);
    self->options_are_json = from_json;
    self->on_command_line = !phase_check(PHASE_MACHINE_READY);
    self->why = &failure;
    if (!vionet_standby_configure(self->standby, &primary, &error)) {
        error_setg(&failure, "%s", error->message);
    }
    self->why = NULL;
    if (failure) {
        vionet_standby_input(self->standby, VIONET_STANDBY_REMOVE);
        forget_options(self);
        error_propagate(errp, failure);
        return false;
    }
    return true;
}

/* device_del, or the guest's own doing, has removed it for good. */
static void unrealized(DeviceListener *listener, DeviceState *device)
{
    struct standby *self = container_of(listener, struct standby, listener);

    if (self->primary && device == DEVICE(self->primary)) {
        unblock_device_del(self);
        self->primary = NULL;
        timer_del(self->look);
        vionet_standby_input(self->standby, VIONET_STANDBY_REMOVE);
        vionet_standby_input(self->standby, VIONET_STANDBY_RELEASED);
    }
}

/* ---- What the device tells ---- */

void standby_follow(struct standby *self, const VionetEvent *event)
{
    if (self && !self->loading) {
        vionet_standby_follow(self->standby, self->device, event);
    }
}

void standby_loads(struct standby *self)
{
    self->loading = true;
}

void standby_loaded(struct standby *self)
{
    self->loading = false;
    self->loaded = true;
    vionet_standby_adopt(self->standby, self->device);
}

void standby_runs(struct standby *self)
{
    if (self->loading) { /* and it came to nothing */
        standby_loaded(self);
    }
    if (self->loaded || self->left) {
        qemu_bh_schedule(self->later);
    }
}

bool standby_may_save(const struct standby *self)
{
    if (vionet_standby_blocks_migration(self->standby)) {
        error_report("vionet-pci: the guest has the primary '%s'", primary_id(self));
        return false;
    }
    return true;
}

bool standby_is_waited_for(const struct standby *self)
{
    return qatomic_read(&self->waited_for);
}

/* ---- Properties ---- */

static struct standby *of_object(Object *object, void *opaque, Error **errp)
{
    StandbyOf *const *of = opaque;
    struct standby *self = (*of)(object);

    if (!self) {
        error_setg(errp, "the device is not realized");
    }
    return self;
}

static void get_primary(Object *object, Visitor *visitor, const char *name, void *opaque,
                        Error **errp)
{
    struct standby *self = of_object(object, opaque, errp);
    g_autofree char *state = NULL;

    if (self) {
        state = g_strdup(vionet_primary_state_name(vionet_standby_state(self->standby)));
        visit_type_str(visitor, name, &state, errp);
    }
}

static void set_primary(Object *object, Visitor *visitor, const char *name, void *opaque,
                        Error **errp)
{
    static const VionetStandbyInput commands[VIONET_N_PRIMARY_STATES] = {
        [VIONET_PRIMARY_ABSENT] = VIONET_STANDBY_REMOVE,
        [VIONET_PRIMARY_HIDDEN] = VIONET_STANDBY_HIDE,
        [VIONET_PRIMARY_VISIBLE] = VIONET_STANDBY_SHOW,
    };
    struct standby *self = of_object(object, opaque, errp);
    g_autofree char *wanted = NULL;
    unsigned state = 0;

    if (!self || !visit_type_str(visitor, name, &wanted, errp)) {
        return;
    }
    while (state < VIONET_PRIMARY_UNPLUGGING &&
           strcmp(wanted, vionet_primary_state_name(state)) != 0) {
        state++;
    }
    if (state == VIONET_PRIMARY_UNPLUGGING) {
        error_setg(errp, "primary can be set to absent, hidden or visible");
    } else if (!vionet_standby_input(self->standby, commands[state])) {
        error_setg(errp, "the primary is %s",
                   vionet_primary_state_name(vionet_standby_state(self->standby)));
    }
}

static void get_switch(Object *object, Visitor *visitor, const char *name, void *opaque,
                       Error **errp, bool (*read)(const VionetStandby *standby))
{
    struct standby *self = of_object(object, opaque, errp);
    bool on;

    if (self) {
        on = read(self->standby);
        visit_type_bool(visitor, name, &on, errp);
    }
}

static void get_negotiated(Object *object, Visitor *visitor, const char *name, void *opaque,
                           Error **errp)
{
    get_switch(object, visitor, name, opaque, errp, vionet_standby_negotiated);
}

static void get_blocks(Object *object, Visitor *visitor, const char *name, void *opaque,
                       Error **errp)
{
    get_switch(object, visitor, name, opaque, errp, vionet_standby_blocks_migration);
}

void standby_add_properties(ObjectClass *class, StandbyOf *of)
{
    StandbyOf **opaque = g_new(StandbyOf *, 1); /* of a class, which is for ever */

    *opaque = of;
    object_class_property_add(class, "primary", "str", get_primary, set_primary, NULL, opaque);
    object_class_property_add(class, "standby-negotiated", "bool", get_negotiated, NULL, NULL,
                              opaque);
    object_class_property_add(class, "standby-blocks-migration", "bool", get_blocks, NULL, NULL,
                              opaque);
}

/* ---- Life ---- */

static bool find_model(const char *name, VionetStandbyModel *model, GError **error)
{
    *model = VIONET_STANDBY_COMBINED;
    if (!name) {
        return true;
    }
    for (unsigned i = 0; i < VIONET_N_STANDBY_MODELS; i++) {
        if (strcmp(name, vionet_standby_model_name(i)) == 0) {
            *model = i;
            return true;
        }
    }
    g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG,
                "standby-model has to be separate, coupled or combined");
    return false;
}

/* Less than 0 ends the walk. */
static int is_primary_of(DeviceState *device, void *opaque)
{
    PCIDevice *pci_device = (PCIDevice *)object_dynamic_cast(OBJECT(device), TYPE_PCI_DEVICE);

    return pci_device && g_strcmp0(pci_device->failover_pair_id, opaque) == 0 ? -1 : 0;
}

/* A device that was made before us could not be hidden. */
static bool is_first(const char *id, GError **error)
{
    if (id && qbus_walk_children(sysbus_get_default(), is_primary_of, NULL, NULL, NULL,
                                 (void *)(uintptr_t)id)) {
        g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG,
                    "the primary has to come after its standby");
        return false;
    }
    return true;
}

struct standby *standby_new(struct standby_options *options, DeviceState *owner,
                            VionetDevice *device, GError **error)
{
    VionetStandbyConfig config = {.size = sizeof(config), .group = owner->id};
    struct standby *self;

    if (!find_model(options->model, &config.model, error) || !is_first(owner->id, error)) {
        return NULL;
    }
    self = g_new0(struct standby, 1);
    self->options = options;
    self->owner = owner;
    self->device = device;
    memcpy(config.mac, vionet_device_config(device)->mac, 6);
    self->standby = vionet_standby_new(&config, &ops, self, NULL);
    if (offers_standby(device)) {
        vionet_standby_attach(self->standby, device);
    }
    self->control = standby_control_new(&options->control, self->standby);
    self->look = timer_new_ms(QEMU_CLOCK_REALTIME, look, self);
    self->later = qemu_bh_new(come_later, self);
    self->listener = (DeviceListener){.unrealize = unrealized, .hide_device = hides};
    device_listener_register(&self->listener);
    compat_follow_migration(&self->migration, migrates, self);
    return self;
}

void standby_free(struct standby *self)
{
    if (!self) {
        return;
    }
    compat_leave_migration(&self->migration);
    device_listener_unregister(&self->listener);
    qemu_bh_delete(self->later);
    compat_unblock_migration(&self->blocker);
    if (self->primary && vionet_standby_blocks_migration(self->standby) &&
        !is_let_go(self->primary)) {
        self->primary->partially_hotplugged = false; /* QEMU's from now on */
        give_to_streams(self->primary);
        unblock_device_del(self);
        self->primary = NULL;
    }
    remove_primary(self);
    timer_free(self->look);
    standby_control_free(self->control);
    vionet_standby_free(self->standby);
    g_free(self);
}
