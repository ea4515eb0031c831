/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads that move frames; see workers.h. Called by frontend.c.
 *
 * What other threads have to say to a worker is a bit each, which its event loop finds; a worker that
 * sleeps is woken up. What its own event loop brings (its queue's notification, if that is watched
 * there, and frames of its backend) goes to the pump at once.
 *
 * Turns. A worker counts when its pump begins to run and when it has run: while the count is odd it
 * may have frames of the guest that lead into the guest's memory. Who takes memory away from the
 * device, so that nobody finds it any more, and then sees each count even or changed, knows that it
 * is out of use.
 */
#include "workers.h"

#include <stdatomic.h>

#include "pump.h"
#include "thread_memory.h"

/* What a worker is told. */
enum {
    SEND = 1 << 0,  /* its transmit queue was notified */
    ROOM = 1 << 1,  /* some receive queue was */
    READY = 1 << 2, /* its backend may have frames */
    AGAIN = 1 << 3, /* it had not done all, or things have changed */
    QUIT = 1 << 4,
};

struct worker {
    _Atomic unsigned told;
    _Atomic unsigned turns;
    unsigned pair;
    struct pump *pump;
    GMainContext *context;
    GSource *source;
    GThread *thread; /* NULL while it does not run */
    atomic_bool begun;
};

struct workers {
    unsigned n;
    struct worker *workers[];
};

static _Thread_local const struct worker *current; /* the one whose thread this is */

/* ---- Within a worker ---- */

static void run(struct worker *worker)
{
    bool more;

    if (pump_is_busy(worker->pump)) {
        return; /* from within; it goes on */
    }
    atomic_fetch_add(&worker->turns, 1);
    more = pump_run(worker->pump);
    atomic_fetch_add(&worker->turns, 1);
    if (more) {
        atomic_fetch_or(&worker->told, AGAIN);
    }
}

static void obey(struct worker *worker, unsigned told)
{
    if (told & SEND) {
        pump_kicked(worker->pump, 2 * worker->pair + 1);
    }
    if (told & ROOM) {
        pump_kicked(worker->pump,
                    0); /* of all receive queues, the one that is never anything else */
    }
    if (told & READY) {
        pump_want(worker->pump, SIZE_MAX);
    }
    run(worker);
}

static void backend_is_ready(void *opaque)
{
    obey(opaque, READY);
}

struct told_source {
    GSource source;
    struct worker *worker;
};

static gboolean told_check(GSource *source)
{
    return atomic_load(&((struct told_source *)source)->worker->told) != 0;
}

static gboolean told_prepare(GSource *source, gint *timeout)
{
    *timeout = -1;
    return told_check(source);
}

static gboolean told_dispatch(GSource *source, GSourceFunc callback, gpointer data)
{
    struct worker *worker = ((struct told_source *)source)->worker;

    (void)callback;
    (void)data;
    obey(worker, atomic_fetch_and(&worker->told, QUIT));
    return G_SOURCE_CONTINUE;
}

static gpointer work(gpointer data)
{
    struct worker *worker = data;

    current = worker;
    atomic_store(&worker->begun, true);
    while (!(atomic_load(&worker->told) & QUIT)) {
        g_main_context_iteration(worker->context, TRUE);
    }
    return NULL;
}

/* ---- From outside ---- */

static void tell(struct worker *worker, unsigned what)
{
    if (worker == current) {
        obey(worker, what);
    } else if (atomic_fetch_or(&worker->told, what) == 0) {
        g_main_context_wakeup(worker->context);
    }
}

static void tell_all(struct workers *workers, unsigned what)
{
    for (unsigned i = 0; i < workers->n; i++) {
        tell(workers->workers[i], what);
    }
}

void workers_kicked(struct workers *workers, unsigned queue)
{
    if (queue % 2 == 0) {
        tell_all(workers, ROOM);
    } else if (queue / 2 < workers->n) {
        tell(workers->workers[queue / 2], SEND);
    }
}

void workers_wake(struct workers *workers)
{
    tell_all(workers, AGAIN);
}

void workers_settle(struct workers *workers)
{
    for (unsigned i = 0; i < workers->n; i++) {
        const struct worker *worker = workers->workers[i];
        const unsigned turns = atomic_load(&worker->turns);

        while (turns % 2 == 1 && atomic_load(&worker->turns) == turns) {
            g_thread_yield();
        }
    }
}

bool workers_is_one(void)
{
    return current;
}

GMainContext *workers_context(const struct workers *workers, unsigned pair)
{
    return workers->workers[pair]->context;
}

/* ---- Life ---- */

bool workers_start(struct workers *workers, VionetDevice *device, GError **error)
{
    for (unsigned i = 0; i < workers->n; i++) {
        struct worker *worker = workers->workers[i];
        char *name = g_strdup_printf("pair-%u", i);

        atomic_store(&worker->told, READY);
        atomic_store(&worker->begun, false);
        pump_connect(worker->pump, device);
        worker->thread = g_thread_try_new(name, work, worker, error);
        g_free(name);
        if (!worker->thread) {
            workers_stop(workers);
            return false;
        }
    }
    /* What a thread does to begin may be more than a sandbox allows that comes next. */
    for (unsigned i = 0; i < workers->n; i++) {
        while (!atomic_load(&workers->workers[i]->begun)) {
            g_thread_yield();
        }
    }
    return true;
}

void workers_stop(struct workers *workers)
{
    tell_all(workers, QUIT);
    for (unsigned i = 0; i < workers->n; i++) {
        struct worker *worker = workers->workers[i];

        g_clear_pointer(&worker->thread, g_thread_join);
        pump_disconnect(worker->pump);
    }
}

void workers_set_poll(struct workers *workers, uint64_t poll_ns, uint64_t (*clock_ns)(void *opaque),
                      void *clock)
{
    for (unsigned i = 0; i < workers->n; i++) {
        pump_set_poll(workers->workers[i]->pump, poll_ns, clock_ns, clock);
    }
}

static struct worker *worker_new(VionetBackend *backend, unsigned pair)
{
    static GSourceFuncs functions = {
        .prepare = told_prepare,
        .check = told_check,
        .dispatch = told_dispatch,
    };
    struct worker *worker = thread_memory_new0(sizeof(*worker));

    worker->pair = pair;
    worker->pump = pump_new(backend, pair);
    worker->context = g_main_context_new();
    worker->source = g_source_new(&functions, sizeof(struct told_source));
    ((struct told_source *)worker->source)->worker = worker;
    g_source_set_can_recurse(worker->source, TRUE); /* no wake-up of the loop by itself */
    g_source_attach(worker->source, worker->context);
    backend_attach(backend, worker->context, backend_is_ready, worker);
    return worker;
}

struct workers *workers_new(VionetBackend *backend)
{
    const unsigned n = backend_n_queues(backend);
    struct workers *workers = g_malloc0(sizeof(*workers) + n * sizeof(workers->workers[0]));

    workers->n = n;
    for (unsigned i = 0; i < n; i++) {
        workers->workers[i] = worker_new(backend_queue(backend, i), i);
    }
    return workers;
}

void workers_free(struct workers *workers)
{
    for (unsigned i = 0; workers && i < workers->n; i++) {
        struct worker *worker = workers->workers[i];

        g_source_destroy(worker->source);
        g_source_unref(worker->source);
        g_main_context_unref(worker->context);
        pump_free(worker->pump);
        g_aligned_free(worker);
    }
    g_free(workers);
}
