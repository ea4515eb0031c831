/* SPDX-License-Identifier: BSD-3-Clause */
/* The MMIO window's section of saved state, while the window stands in front of its device. */
#ifndef VIONET_TRANSPORT_MMIO_STATE_H
#define VIONET_TRANSPORT_MMIO_STATE_H

#include <vionet/mmio.h>
#include <vionet/state.h>

#include "record.h"

/* Its table. */
extern const struct record mmio_state_record;

/* Adds the section to the device's state, and takes it away. */
void mmio_state_attach(VionetMmio *mmio);
void mmio_state_detach(VionetMmio *mmio);

#endif
