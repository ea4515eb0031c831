/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The functions that lead to a backend's operations, and what all backends have in common; see
 * backend.h. Called by frontend.c, pump.c and workers.c.
 */
#include "backend.h"

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
