/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A pcapng file of what crosses the device, both ways: each frame with its direction (inbound is
 * towards the guest), its queue pair, the hash that the driver was told, and in a comment the type of
 * that hash, or why the frame was dropped. A file that cannot be written any more, on a full disk for
 * example, is cut behind its last whole block and left, with one warning.
 *
 * Threads: that of the event loop; trace_add() is for any.
 */
#ifndef DEVICE_DAEMON_TRACE_H
#define DEVICE_DAEMON_TRACE_H

#include <stdint.h>

#include <vionet/device.h>

#define TRACE_SNAPLEN 262144 /* octets kept of a frame, unless less is asked for: all */

struct trace;

/* Makes the file, or empties it; it is written from context now and then. NULL on error. */
struct trace *trace_open(const char *path, uint32_t snaplen, GMainContext *context, GError **error);

/* Adds a frame. */
void trace_add(struct trace *trace, const VionetTrace *frame);

/* Writes what is left; NULL is ignored. */
void trace_close(struct trace *trace);

#endif
