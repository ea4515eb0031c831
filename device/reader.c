/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads the values of a backend's options; see reader.h.
 */
#include "reader.h"

#include <string.h>

#include "options.h"

const char *reader_value(const struct reader *reader, unsigned option)
{
    return backend_value(reader->values, option);
}

bool reader_refuse(const struct reader *reader, unsigned option, const char *value, const char *why,
                   ...)
{
    va_list arguments;
    char *text;

    va_start(arguments, why);
    text = g_strdup_vprintf(why, arguments);
    va_end(arguments);
    g_set_error(reader->error, VIONET_ERROR, VIONET_ERROR_CONFIG, "backend %s: %s=%s: %s",
                reader->ops->name, reader->ops->options[option].name, value, text);
    g_free(text);
    return false;
}

bool reader_refuse_without(const struct reader *reader, unsigned option, const char *why)
{
    g_set_error(reader->error, VIONET_ERROR, VIONET_ERROR_CONFIG, "backend %s: option %s %s",
                reader->ops->name, reader->ops->options[option].name, why);
    return false;
}

bool reader_switch(const struct reader *reader, unsigned option, bool *on)
{
    const char *value = reader_value(reader, option);

    if (!value) {
        return true;
    }
    if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0) {
        return reader_refuse(reader, option, value, "expected on or off");
    }
    *on = strcmp(value, "on") == 0;
    return true;
}

bool reader_number(const struct reader *reader, unsigned option, uint64_t min, uint64_t max,
                   uint64_t *number)
{
    const char *value = reader_value(reader, option);

    return !value || options_number(value, min, max, number) ||
           reader_refuse(reader, option, value,
                         "expected a number from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT, min,
                         max);
}
