/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The list of backends, and the functions that lead to one's operations; see backend.h. Called by
 * frontend.c.
 */
#include "backend.h"

#include <string.h>

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

void backend_close(VionetBackend *backend)
{
    if (backend) {
        if (backend->queues) {
            g_ptr_array_unref(backend->queues);
        }
        backend->ops->close(backend);
    }
}

static void close_queue(gpointer queue)
{
    backend_close(queue);
}

bool backend_split(VionetBackend *backend, unsigned n, GError **error)
{
    GPtrArray *queues;

    if (!backend->ops->queue) {
        g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG,
                    "backend %s: is for one thread, it has no queues", backend_name(backend));
        return false;
    }
    queues = g_ptr_array_new_with_free_func(close_queue);
    for (unsigned i = 0; i < n; i++) {
        VionetBackend *queue = backend->ops->queue(backend, i, n, error);

        if (!queue) {
            g_ptr_array_unref(queues);
            return false;
        }
        queue->ops = backend->ops;
        queue->takes = backend->takes;
        g_ptr_array_add(queues, queue);
    }
    backend->queues = queues;
    return true;
}

unsigned backend_n_queues(const VionetBackend *backend)
{
    return backend->queues ? backend->queues->len : 0;
}

VionetBackend *backend_queue(const VionetBackend *backend, unsigned i)
{
    return g_ptr_array_index(backend->queues, i);
}

const char *backend_name(const VionetBackend *backend)
{
    return backend->ops->name;
}

unsigned backend_takes(const VionetBackend *backend)
{
    return backend->takes;
}

uint64_t backend_suits(const VionetBackend *backend)
{
    return backend->suits;
}

static uint64_t read_counter(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit((_Atomic uint64_t *)counter, memory_order_relaxed);
}

/* Of the backend's thread, which is the only one to write it. */
static void add_to_counter(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, read_counter(counter) + n, memory_order_relaxed);
}

VionetBackendCounters backend_counters(const VionetBackend *backend)
{
    VionetBackendCounters sum = {
        .sent = read_counter(&backend->counters.sent),
        .received = read_counter(&backend->counters.received),
        .dropped = read_counter(&backend->counters.dropped),
    };

    for (unsigned i = 0; i < backend_n_queues(backend); i++) {
        const VionetBackendCounters one = backend_counters(backend_queue(backend, i));

        sum.sent += one.sent;
        sum.received += one.received;
        sum.dropped += one.dropped;
    }
    return sum;
}

bool backend_send(VionetBackend *backend, const VionetFrame *frames, size_t n)
{
    add_to_counter(&backend->counters.sent, n);
    return backend->ops->send(backend, frames, n);
}

void backend_refuse(VionetBackend *backend)
{
    add_to_counter(&backend->counters.sent, 1);
    add_to_counter(&backend->counters.dropped, 1);
}

bool backend_is_full(const VionetBackend *backend)
{
    return backend->full;
}

bool backend_has_link(const VionetBackend *backend)
{
    return !backend->cut;
}

size_t backend_receive(VionetBackend *backend, VionetFrame *frames, size_t n)
{
    n = backend->ops->receive(backend, frames, n);
    add_to_counter(&backend->counters.received, n);
    return n;
}

void backend_complete(VionetBackend *backend, const VionetFrame *frames, size_t n)
{
    backend->ops->complete(backend, frames, n);
}

void backend_attach(VionetBackend *backend, GMainContext *context, void (*ready)(void *opaque),
                    void *opaque)
{
    backend->ready = ready;
    backend->opaque = opaque;
    if (backend->ops->attach) {
        backend->ops->attach(backend, context);
    }
}

void backend_set_offloads(VionetBackend *backend, uint64_t offloads)
{
    if (backend->ops->set_offloads) {
        backend->ops->set_offloads(backend, offloads);
    }
}

void backend_forget_guest(VionetBackend *backend)
{
    if (backend->ops->forget_guest) {
        backend->ops->forget_guest(backend);
    }
}

void backend_ready(VionetBackend *backend)
{
    if (backend->ready) {
        backend->ready(backend->opaque);
    }
}

char *backend_help(void)
{
    GString *help = g_string_new("Backends:\n");

    for (size_t i = 0; i < G_N_ELEMENTS(backends); i++) {
        g_string_append_printf(help, "  %s\n", backends[i]->help);
    }
    return g_string_free(help, FALSE);
}
