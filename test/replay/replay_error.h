/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What vionet-replay refuses with: the error domain of the tool, and names from outside (arguments,
 * file names) made fit for a line on a terminal. A complaint is always one line.
 */
#ifndef REPLAY_ERROR_H
#define REPLAY_ERROR_H

#include <glib.h>
#include <stdbool.h>

#define REPLAY_ERROR replay_error_quark()

GQuark replay_error_quark(void);

/* Sets error to a formatted line. Always false, so that a function can end with it. */
bool complain(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

/*
 * name with everything that is not printable in the locale's charset, and every octet that is not
 * UTF-8, as \xNN. Free with g_free().
 */
char *display_name(const char *name);

#endif
