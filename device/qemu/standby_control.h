/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A character device at which management commands a standby, and hears what happens: words one way, JSON the other, a
 * line each, as at vionet-device's --control. Whoever connects gets a line that says how things stand, then one for
 * each event and one for each of its commands (show, hide, remove). Who does not read, or writes what is no line, loses
 * the connection. Used by standby.c.
 *
 * Threads: those that hold QEMU's big lock.
 */
#ifndef DEVICE_QEMU_STANDBY_CONTROL_H
#define DEVICE_QEMU_STANDBY_CONTROL_H

#include "chardev/char-fe.h"

#include <vionet/standby.h>

struct standby_control;

/* Serves back_end, which outlives it; NULL if that leads nowhere. */
struct standby_control *standby_control_new(CharBackend *back_end, VionetStandby *standby);

/* Tells of an event. NULL is ignored. */
void standby_control_tell(struct standby_control *control, const VionetStandbyEvent *event);

/* Ends it; NULL is ignored. */
void standby_control_free(struct standby_control *control);

#endif
