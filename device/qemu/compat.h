/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What differs between the versions of QEMU that the plugin is built against (7.2 to 10.0), and nothing
 * else: no other file asks for a version. Comes behind qemu/osdep.h.
 */
#ifndef DEVICE_QEMU_COMPAT_H
#define DEVICE_QEMU_COMPAT_H

#include "net/net.h"
#include "qapi/qapi-events-net.h"

#include <vionet/spec.h>

#if VIONET_QEMU_MAJOR >= 10
#include "exec/address-spaces.h"
#include "hw/pci/pci_device.h"
#include "system/kvm.h"
#include "system/runstate.h"
#include "system/system.h"
#include "system/tcg.h"
#else
#include "exec/address-spaces.h"
#include "hw/pci/pci.h"
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

#endif
