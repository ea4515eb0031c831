/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls by eventfd; see calls.h. Called by server.c and vrings.c, and by the device's threads. */
#include "calls.h"

#include <pthread.h>
#include <unistd.h>

#include <glib.h>

#include "eventfds.h"
#include "thread_memory.h"

/* A lock for each: a descriptor is not closed, and its number another's, while it is written to. */
struct call {
    _Alignas(LINE_PAIR) pthread_mutex_t lock; /* which sanitizers see */
    int fd;                                   /* -1: none */
};

struct calls {
    unsigned n;
    struct call calls[];
};

struct calls *calls_new(unsigned n)
{
    struct calls *calls = thread_memory_new0(sizeof(*calls) + n * sizeof(calls->calls[0]));

    calls->n = n;
    for (unsigned i = 0; i < n; i++) {
        pthread_mutex_init(&calls->calls[i].lock, NULL);
        calls->calls[i].fd = -1;
    }
    return calls;
}

void calls_free(struct calls *calls)
{
    if (calls) {
        calls_clear(calls);
        for (unsigned i = 0; i < calls->n; i++) {
            pthread_mutex_destroy(&calls->calls[i].lock);
        }
        g_aligned_free(calls);
    }
}

void calls_set(struct calls *calls, unsigned i, int fd)
{
    struct call *call = &calls->calls[i];

    pthread_mutex_lock(&call->lock);
    if (call->fd >= 0) {
        close(call->fd);
    }
    call->fd = fd;
    pthread_mutex_unlock(&call->lock);
}

void calls_clear(struct calls *calls)
{
    for (unsigned i = 0; i < calls->n; i++) {
        calls_set(calls, i, -1);
    }
}

void calls_signal(struct calls *calls, unsigned i)
{
    if (i >= calls->n) {
        return;
    }
    pthread_mutex_lock(&calls->calls[i].lock);
    if (calls->calls[i].fd >= 0) {
        eventfds_signal(calls->calls[i].fd);
    }
    pthread_mutex_unlock(&calls->calls[i].lock);
}
