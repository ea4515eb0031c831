/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The library's saved state (vionet/state.h) as a field of a VMState: a length, then its octets as they are.
 * Its format, versions and what is refused are the library's. Used by vionet_pci.c, vionet_mmio.c.
 *
 * Threads: those that hold QEMU's big lock, while the machine stands still.
 */
#ifndef DEVICE_QEMU_SAVED_STATE_H
#define DEVICE_QEMU_SAVED_STATE_H

#include "migration/vmstate.h"

/* Of a field that is a VionetDevice *, which is paused. */
extern const VMStateInfo saved_state_info;

#define VMSTATE_VIONET_DEVICE(_field, _state)                                                 \
    {                                                                                         \
        .name = stringify(_field), .info = &saved_state_info, .size = sizeof(VionetDevice *), \
        .flags = VMS_SINGLE, .offset = offsetof(_state, _field),                              \
    }

#endif
