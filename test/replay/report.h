/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The page of --report: the comparison as one HTML file that needs nothing from elsewhere.
 */
#ifndef REPLAY_REPORT_H
#define REPLAY_REPORT_H

#include "compare.h"

/* Writes it to file; false with errno set if it cannot be written. */
bool report_write(const struct comparison *comparison, FILE *file);

#endif
