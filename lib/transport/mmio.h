/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The MMIO window as its own files see it: mmio.c is the window, mmio_state.c its section of saved state. They
 * reach the device through vionet/transport.h like any transport.
 */
#ifndef VIONET_TRANSPORT_MMIO_H
#define VIONET_TRANSPORT_MMIO_H

#include <stdatomic.h>

#include <vionet/mmio.h>
#include <vionet/transport.h>

#define MMIO_VERSION_LEGACY 1
#define MMIO_VERSION_MODERN 2

struct VionetMmio {
    VionetDevice *device;
    VionetMmioConfig config;
    VionetMmioOps ops;
    void *opaque;

    _Atomic uint32_t interrupts;    /* InterruptStatus */
    atomic_bool notifications_long; /* NOTIFICATION_DATA is negotiated */

    /* registers that are the window's own */
    uint32_t device_features_sel;
    uint32_t driver_features_sel;
    uint32_t queue_sel;
    uint32_t guest_page_size; /* legacy; drivers write it before they reset the device */
    uint32_t queue_align;     /* legacy; as last written, for whichever queue */
};

/* The interrupt line follows interrupts, and how notifications are read what was negotiated. */
void mmio_update_line(VionetMmio *mmio);
void mmio_update_notifications(VionetMmio *mmio);

#endif
