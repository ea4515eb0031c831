/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A progress line on standard error, for a long replay that somebody watches: only where standard
 * error is a terminal and the captures are large. Everyone else who writes to a terminal clears the
 * line first; it comes back by itself.
 */
#ifndef REPLAY_PROGRESS_H
#define REPLAY_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress;

/* For input of size octets altogether, 0 being unknown; never shown unless wanted. */
struct progress *progress_new(uint64_t size, bool wanted);

/* How far the replay is; cheap enough for every packet. */
void progress_update(struct progress *progress, uint64_t position, uint64_t packets);

/* Whether the next update wants to know the position, which is dearer. */
bool progress_is_due(const struct progress *progress, uint64_t packets);

/* Takes the line off the terminal, if it is there. */
void progress_clear(struct progress *progress);

/* Clears as well; NULL is ignored. */
void progress_free(struct progress *progress);

#endif
