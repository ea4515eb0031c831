/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Expectations: what a file says of each packet, read whole before the first packet is fed, and
 * the naming of each mismatch. The file is ndjson of the tool's own format or pcapng whose packets
 * carry hashes and queues; its content tells which.
 *
 * What an expectation does not say is not compared: a key that a line lacks, a queue that a packet
 * of a pcapng file lacks. A pcapng packet with a queue but no hash is expected to have none.
 */
#ifndef REPLAY_EXPECT_H
#define REPLAY_EXPECT_H

#include "settings.h"

struct expectations;

/* Told of each mismatch, as a line without its newline. */
typedef void (*expect_mismatch)(const char *line, void *opaque);

/*
 * Reads the file of that name for a replay of n captures with these names. Several captures are
 * told apart by the lines' "capture", or are the interfaces of a pcapng file, in order. Mismatches
 * will go to tell. NULL with error set if the file is unusable.
 */
struct expectations *expect_load(const char *name, const char *const *captures, unsigned n,
                                 expect_mismatch tell, void *opaque, GError **error);

/*
 * Compares the packet of that number of the capture of that index, and tells of the expectations
 * before it that have no packet. Packets come in order.
 */
void expect_check(struct expectations *expectations, unsigned capture, uint64_t packet,
                  uint64_t length, const struct replay_result *result, bool reports_tunnel);

/* Tells of every expectation that is left, after the last capture. */
void expect_finish(struct expectations *expectations);

/* Mismatches told so far. */
uint64_t expect_mismatches(const struct expectations *expectations);

/* NULL is ignored. */
void expect_free(struct expectations *expectations);

#endif
