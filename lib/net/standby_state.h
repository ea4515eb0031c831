/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of the failover object's section of saved state (standby_state.c). */
#ifndef VIONET_NET_STANDBY_STATE_H
#define VIONET_NET_STANDBY_STATE_H

#include "record.h"

extern const struct record standby_state_record;

#endif
