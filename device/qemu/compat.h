/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What differs between the versions of QEMU that the plugin is built against (7.2 to 10.0), and nothing
 * else: no other file asks for a version. Comes behind qemu/osdep.h.
 */
#ifndef DEVICE_QEMU_COMPAT_H
#define DEVICE_QEMU_COMPAT_H

#include "migration/blocker.h"
#include "migration/misc.h"
#include "net/net.h"
#include "qapi/error.h"
#include "qapi/qapi-events-net.h"

#include <vionet/spec.h>

#if VIONET_QEMU_MAJOR >= 10
#include "exec/address-spaces.h"
#include "hw/pci/pci_device.h"
#include "qobject/json-writer.h"
#include "qobject/qdict.h"
#include "system/kvm.h"
#include "system/runstate.h"
#include "system/system.h"
#include "system/tcg.h"
#else
#include "exec/address-spaces.h"
#include "hw/pci/pci.h"
#include "qapi/qmp/json-writer.h"
#include "qapi/qmp/qdict.h"
#include "sysemu/kvm.h"
#include "sysemu/runstate.h"
#include "sysemu/sysemu.h"
#include "sysemu/tcg.h"
#endif

/* Fields of a VMState are constant since 8.2. */
#if VIONET_QEMU_MAJOR >= 9
#define COMPAT_CONST_FIELD const
#else
#define COMPAT_CONST_FIELD
#endif

/* Lists of properties are constant and end by their size, or end with an entry of their own. */
#if VIONET_QEMU_MAJOR >= 10
#define COMPAT_CONST_PROPERTY const
#define COMPAT_END_OF_PROPERTIES
#else
#define COMPAT_CONST_PROPERTY
#define COMPAT_END_OF_PROPERTIES DEFINE_PROP_END_OF_LIST(),
#endif

static inline void compat_set_reset(DeviceClass *class, void (*reset)(DeviceState *device))
{
#if VIONET_QEMU_MAJOR >= 10
    device_class_set_legacy_reset(class, reset);
#else
    class->reset = reset;
#endif
}

/* A MemoryListener's log_global_start, which may fail in newer versions; ours does not. */
#if VIONET_QEMU_MAJOR >= 9
#define COMPAT_LOG_GLOBAL_START(name) static bool name(MemoryListener *listener, Error **errp)
#define COMPAT_LOG_GLOBAL_STARTED     return true
#else
#define COMPAT_LOG_GLOBAL_START(name) static void name(MemoryListener *listener)
#define COMPAT_LOG_GLOBAL_STARTED     return
#endif

/* A MemoryListener's log_sync_global, which is told in newer versions whether it is the last time. */
#if VIONET_QEMU_MAJOR >= 9
#define COMPAT_LOG_SYNC_GLOBAL(name) static void name(MemoryListener *listener, bool last_stage)
#else
#define COMPAT_LOG_SYNC_GLOBAL(name) static void name(MemoryListener *listener)
#endif

/* Whether an ioeventfd can be for writes of any size: newer versions need a kernel that can. */
static inline bool compat_has_any_size(void)
{
#if VIONET_QEMU_MAJOR >= 9
    return true;
#else
    return !kvm_enabled() || kvm_ioeventfd_any_length_enabled();
#endif
}

/* An event for a device that may have no id. */
static inline void compat_send_filter_changed(const char *id, const char *path)
{
#if VIONET_QEMU_MAJOR >= 8
    qapi_event_send_nic_rx_filter_changed(id, path);
#else
    qapi_event_send_nic_rx_filter_changed(id != NULL, id, path);
#endif
}

/* Packets of a peer begin with a header of so many octets. */
static inline void compat_use_headers(NetClientState *peer, int len)
{
    qemu_set_vnet_hdr_len(peer, len);
#if VIONET_QEMU_MAJOR < 9
    qemu_using_vnet_hdr(peer, true);
#endif
}

/* Whether a peer takes frames of UDP to be segmented, and gives such. */
static inline bool compat_has_uso(NetClientState *peer)
{
#if VIONET_QEMU_MAJOR >= 9
    return qemu_has_uso(peer);
#else
    return false;
#endif
}

/* Tells a peer what the guest takes, in bits of VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET. */
static inline void compat_set_offload(NetClientState *peer, uint64_t offloads)
{
#define HAS(name) ((int)(offloads >> VIRTIO_NET_F_GUEST_##name & 1))
#if VIONET_QEMU_MAJOR >= 9
    qemu_set_offload(peer, HAS(CSUM), HAS(TSO4), HAS(TSO6), HAS(ECN), HAS(UFO), HAS(USO4),
                     HAS(USO6));
#else
    qemu_set_offload(peer, HAS(CSUM), HAS(TSO4), HAS(TSO6), HAS(ECN), HAS(UFO));
#endif
#undef HAS
}

/* While there is a reason, which is the caller's, no migration begins. False if there cannot be one; it is gone then. */
static inline bool compat_block_migration(Error **reason, Error **errp)
{
#if VIONET_QEMU_MAJOR >= 9
    return migrate_add_blocker_internal(reason, errp) == 0;
#else
    if (migrate_add_blocker_internal(*reason, errp) != 0) {
        error_free(*reason);
        *reason = NULL;
    }
    return *reason != NULL;
#endif
}

/* The reason is gone; nothing to do for one that is NULL. */
static inline void compat_unblock_migration(Error **reason)
{
#if VIONET_QEMU_MAJOR >= 9
    migrate_del_blocker(reason);
#else
    if (*reason) {
        migrate_del_blocker(*reason);
        error_free(*reason);
        *reason = NULL;
    }
#endif
}

/* What becomes of a migration to elsewhere. */
typedef enum CompatMigration {
    COMPAT_MIGRATION_STARTS,
    COMPAT_MIGRATION_FAILED, /* or was cancelled */
    COMPAT_MIGRATION_DONE,
} CompatMigration;

typedef struct CompatMigrationNotifier {
#if VIONET_QEMU_MAJOR >= 9
    NotifierWithReturn notifier;
#else
    Notifier notifier;
#endif
    void (*told)(void *opaque, CompatMigration what);
    void *opaque;
} CompatMigrationNotifier;

#if VIONET_QEMU_MAJOR >= 9
static inline int compat_migration_told(NotifierWithReturn *notifier, MigrationEvent *event,
                                        Error **errp)
{
    static const CompatMigration what[] = {
        [MIG_EVENT_PRECOPY_SETUP] = COMPAT_MIGRATION_STARTS,
        [MIG_EVENT_PRECOPY_DONE] = COMPAT_MIGRATION_DONE,
        [MIG_EVENT_PRECOPY_FAILED] = COMPAT_MIGRATION_FAILED,
    };
    CompatMigrationNotifier *self = container_of(notifier, CompatMigrationNotifier, notifier);

    self->told(self->opaque, what[event->type]);
    return 0;
}
#else
static inline void compat_migration_told(Notifier *notifier, void *state)
{
    CompatMigrationNotifier *self = container_of(notifier, CompatMigrationNotifier, notifier);

    if (migration_in_setup(state)) {
        self->told(self->opaque, COMPAT_MIGRATION_STARTS);
    } else if (migration_has_failed(state)) {
        self->told(self->opaque, COMPAT_MIGRATION_FAILED);
    } else if (migration_has_finished(state)) {
        self->told(self->opaque, COMPAT_MIGRATION_DONE);
    }
}
#endif

static inline void compat_follow_migration(CompatMigrationNotifier *self,
                                           void (*told)(void *opaque, CompatMigration what),
                                           void *opaque)
{
    self->told = told;
    self->opaque = opaque;
#if VIONET_QEMU_MAJOR >= 9
    migration_add_notifier(&self->notifier, compat_migration_told);
#else
    self->notifier.notify = compat_migration_told;
    add_migration_state_change_notifier(&self->notifier);
#endif
}

static inline void compat_leave_migration(CompatMigrationNotifier *self)
{
#if VIONET_QEMU_MAJOR >= 9
    migration_remove_notifier(&self->notifier);
#else
    remove_migration_state_change_notifier(&self->notifier);
#endif
}

#endif
