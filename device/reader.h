/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads the values of a backend's options. For backends with more than file names: slirp, stream
 * and dgram. What is refused is refused in one way, the option, its value and what is expected.
 */
#ifndef DEVICE_READER_H
#define DEVICE_READER_H

#include "backend.h"

struct reader {
    const struct backend_ops *ops;
    backend_values values;
    GError **error;
};

/* The value of an option that does not repeat, NULL if it was not given. */
const char *reader_value(const struct reader *reader, unsigned option);

/* False, with the error "backend NAME: OPTION=VALUE: why". */
bool reader_refuse(const struct reader *reader, unsigned option, const char *value, const char *why,
                   ...) G_GNUC_PRINTF(4, 5);

/* False, with the error "backend NAME: option OPTION why", for options that are not there. */
bool reader_refuse_without(const struct reader *reader, unsigned option, const char *why);

/*
 * These leave the result as it is if the option was not given, and return false with an error if
 * its value is not what they read.
 */
bool reader_switch(const struct reader *reader, unsigned option, bool *on);
bool reader_number(const struct reader *reader, unsigned option, uint64_t min, uint64_t max,
                   uint64_t *number);

#endif
