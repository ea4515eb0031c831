/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The backend "null": what the guest sends is gone, and nothing ever comes. Called through
 * backend.c.
 */
#include "backend.h"
#include "thread_memory.h"

static VionetBackend *null_open(backend_values values, GError **error)
{
    VionetBackend *backend = thread_memory_new0(sizeof(*backend));

    (void)values;
    (void)error;
    backend->takes = BACKEND_CSUM | BACKEND_GSO | BACKEND_UFO | BACKEND_USO | BACKEND_TUNNEL;
    return backend;
}

/* As many as one likes, each as if it were alone. */
static VionetBackend *null_queue(VionetBackend *backend, unsigned i, unsigned n, GError **error)
{
    (void)backend;
    (void)i;
    (void)n;
    return null_open(NULL, error);
}

static void null_close(VionetBackend *backend)
{
    g_aligned_free(backend);
}

static bool null_send(VionetBackend *backend, const VionetFrame *frames, size_t n)
{
    (void)backend;
    (void)frames;
    (void)n;
    return false;
}

static size_t null_receive(VionetBackend *backend, VionetFrame *frames, size_t n)
{
    (void)backend;
    (void)frames;
    (void)n;
    return 0;
}

static void null_complete(VionetBackend *backend, const VionetFrame *frames, size_t n)
{
    (void)backend;
    (void)frames;
    (void)n;
}

const struct backend_ops backend_null = {
    .name = "null",
    .help = "null: swallows what the guest sends",
    .open = null_open,
    .close = null_close,
    .queue = null_queue,
    .send = null_send,
    .receive = null_receive,
    .complete = null_complete,
};
