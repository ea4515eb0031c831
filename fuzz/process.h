/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a target that serves sockets has of its process: descriptors and mappings, which must be as many
 * after a peer as before it, and the event loop, which must come to rest. For fuzz_vfio_user and
 * fuzz_vhost_user.
 */
#ifndef FUZZ_PROCESS_H
#define FUZZ_PROCESS_H

#include <glib.h>

/* Descriptors that are open; libFuzzer opens some between inputs, to name functions. */
unsigned process_count_fds(void);

/* Mappings of files in memory whose name contains this. */
unsigned process_count_maps(const char *name);

/* Runs the event loop until nothing is left to do. */
void process_settle(GMainContext *context);

/* Drops what the library logs, but for what it should never have to. */
void process_drop_log(void);

#endif
