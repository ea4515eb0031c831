/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Failover inside QEMU: the object of vionet/standby.h, with QEMU's own machinery as its host. Used by vionet_pci.c.
 *
 * A device with failover_pair_id=ID is the primary of the standby whose id that is. It is hidden before it is made
 * (DeviceListener): its options wait here. When it is shown for the first time it is made of them; from then on it is
 * unplugged with the guest's consent and plugged again without being unrealized, so that it keeps what it has. QEMU
 * calls a device in that state partially_hotplugged, and its hot-plug controllers and configuration accesses know it.
 * The notifiers of migration say when the guest is to let go and when it may have the primary again; a migration waits
 * for that (wait-unplug).
 *
 * A primary is never in a migration stream. While the guest has one, a migration in the models that do not see to it is
 * refused at once.
 *
 * Threads: those that hold QEMU's big lock, but for standby_is_waited_for().
 */
#ifndef DEVICE_QEMU_STANDBY_H
#define DEVICE_QEMU_STANDBY_H

#include "chardev/char-fe.h"
#include "hw/qdev-core.h"
#include "hw/qdev-properties-system.h"

#include <vionet/standby.h>

struct standby;

/* Of the device, as QEMU's users write them. */
struct standby_options {
    char *model; /* NULL: combined */
    uint32_t release_s;
    CharBackend control;
};

#define DEFINE_STANDBY_PROPERTIES(state, field)                            \
    DEFINE_PROP_STRING("standby-model", state, field.model),               \
        DEFINE_PROP_UINT32("standby-release", state, field.release_s, 10), \
        DEFINE_PROP_CHR("standby-control", state, field.control)

/* Where in an object of a class it is; NULL while that is not realized. */
typedef struct standby *StandbyOf(Object *object);

/*
 * Adds what management may look at, and set, at any time: primary ("absent", "hidden", "visible", "unplugging"; set to
 * one of the first three it is the command), standby-negotiated, standby-blocks-migration.
 */
void standby_add_properties(ObjectClass *class, StandbyOf *of);

/*
 * Makes it for owner, whose device it follows, and in whose saved state it is; a device that does not offer STANDBY
 * takes no primary. NULL on error: an option that is none, a primary that came before its standby. options must
 * outlive it.
 */
struct standby *standby_new(struct standby_options *options, DeviceState *owner,
                            VionetDevice *device, GError **error);

/* Ends it; a hidden primary is removed, one that the guest has stays. NULL is ignored. */
void standby_free(struct standby *standby);

/* The device told of an event. NULL is ignored. */
void standby_follow(struct standby *standby, const VionetEvent *event);

/* The device's state begins to be loaded, and was. */
void standby_loads(struct standby *standby);
void standby_loaded(struct standby *standby);

/* The machine runs: a guest that was loaded has arrived, one that had left is back. */
void standby_runs(struct standby *standby);

/* Whether the state may be saved: the guest has no primary. Says why not. */
bool standby_may_save(const struct standby *standby);

/* Whether the guest was asked to let go and has not: a migration waits. From any thread. */
bool standby_is_waited_for(const struct standby *standby);

#endif
