/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A driver's receive filter as query-rx-filter shows it. Used by nic.c. Threads: any.
 */
#ifndef DEVICE_QEMU_RX_FILTER_H
#define DEVICE_QEMU_RX_FILTER_H

#include "net/net.h"

#include <vionet/device.h>

/* Fills all of info but its name. */
void rx_filter_describe(const VionetFilter *filter, RxFilterInfo *info);

#endif
