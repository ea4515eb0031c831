/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Eventfds that this process shares with a peer that may be hostile. Whether a read or a write of
 * one waits is a flag that both ends can change at any time, and what it counts too: so it is not
 * relied on. Used by irqs.c and ioeventfds.c.
 */
#ifndef DEVICE_VFIO_USER_EVENTFDS_H
#define DEVICE_VFIO_USER_EVENTFDS_H

#include <stdbool.h>

/* Whether the descriptor is an eventfd; then it does not wait from now on. */
bool eventfds_accept(int fd);

/* Adds 1; one that is full is signalled already. */
void eventfds_signal(int fd);

/* Takes what it counts; false if that is nothing. */
bool eventfds_take(int fd);

#endif
