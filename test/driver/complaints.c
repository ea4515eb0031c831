/* SPDX-License-Identifier: BSD-3-Clause */
/* The list of what the device did wrong; see complaints.h. */
#include "complaints.h"

#include <string.h>

struct complaints {
    GMutex lock;
    GPtrArray *kept;
    unsigned count;
};

struct complaints *complaints_new(void)
{
    struct complaints *complaints = g_new0(struct complaints, 1);

    g_mutex_init(&complaints->lock);
    complaints->kept = g_ptr_array_new_with_free_func(g_free);
    return complaints;
}

void complaints_free(struct complaints *complaints)
{
    if (!complaints) {
        return;
    }
    g_ptr_array_free(complaints->kept, TRUE);
    g_mutex_clear(&complaints->lock);
    g_free(complaints);
}

void complaints_add(struct complaints *complaints, const char *format, ...)
{
    va_list arguments;

    g_mutex_lock(&complaints->lock);
    complaints->count++;
    if (complaints->kept->len < COMPLAINTS_KEPT) {
        va_start(arguments, format);
        g_ptr_array_add(complaints->kept, g_strdup_vprintf(format, arguments));
        va_end(arguments);
    }
    g_mutex_unlock(&complaints->lock);
}

unsigned complaints_count(struct complaints *complaints)
{
    unsigned count;

    g_mutex_lock(&complaints->lock);
    count = complaints->count;
    g_mutex_unlock(&complaints->lock);
    return count;
}

char *complaints_text(struct complaints *complaints)
{
    GString *text = g_string_new(NULL);

    g_mutex_lock(&complaints->lock);
    for (unsigned i = 0; i < complaints->kept->len; i++) {
        g_string_append_printf(text, "%s\n", (char *)g_ptr_array_index(complaints->kept, i));
    }
    g_mutex_unlock(&complaints->lock);
    return g_string_free(text, FALSE);
}

bool complaints_mention(struct complaints *complaints, const char *words)
{
    bool found = false;

    g_mutex_lock(&complaints->lock);
    for (unsigned i = 0; i < complaints->kept->len && !found; i++) {
        found = strstr(g_ptr_array_index(complaints->kept, i), words) != NULL;
    }
    g_mutex_unlock(&complaints->lock);
    return found;
}

void complaints_clear(struct complaints *complaints)
{
    g_mutex_lock(&complaints->lock);
    g_ptr_array_set_size(complaints->kept, 0);
    complaints->count = 0;
    g_mutex_unlock(&complaints->lock);
}
