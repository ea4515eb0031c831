/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One replay: every packet of every capture through the session, and what it became to every output
 * that was asked for.
 */
#ifndef REPLAY_REPLAY_H
#define REPLAY_REPLAY_H

#include "options.h"

#ifndef REPLAY_VERSION
#define REPLAY_VERSION "unknown"
#endif

/*
 * Runs it. False with error set if an input or output was unusable; what came before has been
 * printed. mismatches counts expectations that did not hold; they have been named.
 */
bool replay_run(const struct options *options, uint64_t *mismatches, GError **error);

#endif
