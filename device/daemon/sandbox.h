/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon's sandbox: no privileges can be gained any more, and of system calls only those are left
 * that a running daemon makes. docs/security.md says which, and why.
 */
#ifndef DEVICE_DAEMON_SANDBOX_H
#define DEVICE_DAEMON_SANDBOX_H

#include <stdbool.h>

#include <glib.h>

/*
 * Locks up the process, all its threads, for good. backend is the name of the one that runs, which
 * decides on what else is left; client says whether connections to a VMM are still to be made. False, with an error, if it cannot be had or there are no rules for
 * that backend; the process is not fit to serve anybody then.
 */
bool sandbox_enter(const char *backend, bool client, GError **error);

#endif
