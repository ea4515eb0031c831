/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The list of backends, and opening one by its name; see backend.h and frontend.h. Called by programs
 * that leave the choice to their users: an emulator with a network of its own links nothing of this.
 */
#include "backend.h"

#include <string.h>

#include "frontend.h"
#include "options.h"

static const struct backend_ops *const backends[] = {
    &backend_null,  &backend_loopback, &backend_pcap, &backend_stream, &backend_dgram, &backend_tap,
#ifdef WITH_SLIRP
    &backend_slirp,
#endif
};

static const struct backend_ops *find_backend(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(backends); i++) {
        if (strcmp(backends[i]->name, name) == 0 || g_strcmp0(backends[i]->alias, name) == 0) {
            return backends[i];
        }
    }
    return NULL;
}

static void refuse_unknown(const char *name, GError **error)
{
    const char *names[G_N_ELEMENTS(backends) + 1] = {NULL};
    char *list;

    for (size_t i = 0; i < G_N_ELEMENTS(backends); i++) {
        names[i] = backends[i]->name;
    }
    list = g_strjoinv(", ", (char **)names);
    g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG,
                "unknown backend \"%s\": expected one of %s", name, list);
    g_free(list);
}

/* The place of an option among those that the backend has, -1 if it is none of them. */
static int option_index(const struct backend_ops *ops, const char *name)
{
    for (int i = 0; ops->options[i].name; i++) {
        if (strcmp(ops->options[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

static bool refuse_option(const struct backend_ops *ops, const char *name, const char *why,
                          GError **error)
{
    g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG, "backend %s: option %s %s (%s)",
                ops->name, name, why, ops->help);
    return false;
}

/* Sorts the options behind the backend's name into values, an array for each. */
static bool read_options(const struct backend_ops *ops, GPtrArray *options, GStrvBuilder **values,
                         GError **error)
{
    for (guint i = 1; i < options->len; i++) {
        const struct option *option = g_ptr_array_index(options, i);
        const int at = option_index(ops, option->name);

        if (at < 0) {
            return refuse_option(ops, option->name, "does not exist", error);
        }
        if (!option->value || *option->value == '\0') {
            return refuse_option(ops, option->name, "has no value", error);
        }
        if (values[at] && !ops->options[at].repeats) {
            return refuse_option(ops, option->name, "is given twice", error);
        }
        if (!values[at]) {
            values[at] = g_strv_builder_new();
        }
        g_strv_builder_add(values[at], option->value);
    }
    return true;
}

static VionetBackend *open_with(const struct backend_ops *ops, GPtrArray *options, GError **error)
{
    GStrvBuilder *given[BACKEND_MAX_OPTIONS] = {NULL};
    char **values[BACKEND_MAX_OPTIONS] = {NULL};
    VionetBackend *backend = NULL;
    const bool good = read_options(ops, options, given, error);

    for (unsigned i = 0; i < BACKEND_MAX_OPTIONS; i++) {
        if (given[i]) {
            values[i] = g_strv_builder_end(given[i]);
            g_strv_builder_unref(given[i]);
        }
    }
    if (good) {
        backend = ops->open((backend_values)values, error);
    }
    for (unsigned i = 0; i < BACKEND_MAX_OPTIONS; i++) {
        g_strfreev(values[i]);
    }
    if (backend) {
        backend->ops = ops;
    }
    return backend;
}

static VionetBackend *open_options(GPtrArray *options, GError **error)
{
    const struct option *first = options->len > 0 ? g_ptr_array_index(options, 0) : NULL;
    const struct backend_ops *ops = first && !first->value ? find_backend(first->name) : NULL;

    if (!ops) {
        refuse_unknown(first ? first->name : "", error);
        return NULL;
    }
    return open_with(ops, options, error);
}

VionetBackend *backend_open(const char *text, GError **error)
{
    GPtrArray *options = options_parse(text, error);
    VionetBackend *backend;

    if (!options) {
        return NULL;
    }
    backend = open_options(options, error);
    g_ptr_array_unref(options);
    return backend;
}

char *backend_help(void)
{
    GString *help = g_string_new("Backends:\n");

    for (size_t i = 0; i < G_N_ELEMENTS(backends); i++) {
        g_string_append_printf(help, "  %s\n", backends[i]->help);
    }
    return g_string_free(help, FALSE);
}

static VionetBackend *open_text(void *text, GError **error)
{
    return backend_open(text, error);
}

VionetFrontend *vionet_frontend_new(const char *properties, const char *backend,
                                    const VionetFrontendOps *ops, void *opaque, GError **error)
{
    return vionet_frontend_new_over(properties, open_text, (void *)backend, ops, opaque, error);
}
