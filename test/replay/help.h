/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The text of --help.
 */
#ifndef REPLAY_HELP_H
#define REPLAY_HELP_H

#define USAGE "vionet-replay [OPTION]... CAPTURE..."

/* Prints it on standard output. Names of types and limits come from their tables. */
void help_print(void);

#endif
