/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Clock, timers and wake-ups on GLib's main loop; see services.h. Called by the frontends that have
 * a main loop of their own. A poll's time-out is milliseconds, interrupt coalescing is microseconds:
 * hence a timerfd, one for all timers, which are few.
 */
#include "services.h"

#include <errno.h>
#include <pthread.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <glib-unix.h>

#include <vionet/device.h>

#define NS_PER_S UINT64_C(1000000000)
#define NEVER    UINT64_MAX

struct services {
    struct services_ops ops;
    void *opaque;
    GMainContext *context;
    GSource *timer_source;
    GSource *again_source; /* NULL while nobody is to be called again */
    int timer_fd;
    pthread_mutex_t lock; /* of what follows */
    uint64_t armed_ns;    /* when the timerfd goes off, NEVER if it is not set */
    unsigned n_timers;
    uint64_t deadlines_ns[];
};

uint64_t services_clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* ---- Timers ---- */

static void arm(struct services *services, uint64_t deadline_ns)
{
    const uint64_t at = deadline_ns == NEVER ? 0 : MAX(deadline_ns, 1);
    const struct itimerspec spec = {
        .it_value = {.tv_sec = (time_t)(at / NS_PER_S), .tv_nsec = (long)(at % NS_PER_S)},
    };

    if (deadline_ns != services->armed_ns) {
        timerfd_settime(services->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
        services->armed_ns = deadline_ns;
    }
}

/* Whether a timer has expired, which it does once. */
static bool has_expired(struct services *services, unsigned i, uint64_t now)
{
    bool expired;

    pthread_mutex_lock(&services->lock);
    expired = services->deadlines_ns[i] <= now;
    if (expired) {
        services->deadlines_ns[i] = NEVER;
    }
    pthread_mutex_unlock(&services->lock);
    return expired;
}

static void arm_next(struct services *services)
{
    uint64_t next = NEVER;

    pthread_mutex_lock(&services->lock);
    for (unsigned i = 0; i < services->n_timers; i++) {
        next = MIN(next, services->deadlines_ns[i]);
    }
    arm(services, next);
    pthread_mutex_unlock(&services->lock);
}

static gboolean timer_expired(gint fd, GIOCondition condition, gpointer data)
{
    struct services *services = data;
    const uint64_t now = services_clock_ns();
    uint64_t n;

    (void)condition;
    (void)!read(fd, &n, sizeof(n));
    pthread_mutex_lock(&services->lock);
    services->armed_ns = NEVER;
    pthread_mutex_unlock(&services->lock);
    for (unsigned i = 0; i < services->n_timers; i++) {
        if (has_expired(services, i, now)) {
            services->ops.expired(services->opaque, i);
        }
    }
    arm_next(services);
    return G_SOURCE_CONTINUE;
}

void services_timer(struct services *services, unsigned i, uint64_t deadline_ns)
{
    if (i < services->n_timers) {
        pthread_mutex_lock(&services->lock);
        services->deadlines_ns[i] = deadline_ns;
        arm(services, MIN(deadline_ns, services->armed_ns));
        pthread_mutex_unlock(&services->lock);
    }
}

/* ---- Being called again ---- */

static gboolean again(gpointer data)
{
    struct services *services = data;

    if (services->ops.again(services->opaque)) {
        return G_SOURCE_CONTINUE;
    }
    g_clear_pointer(&services->again_source, g_source_unref);
    return G_SOURCE_REMOVE;
}

void services_wake(struct services *services)
{
    if (services->again_source || !services->ops.again) {
        return;
    }
    services->again_source = g_idle_source_new();
    g_source_set_priority(services->again_source, G_PRIORITY_DEFAULT);
    g_source_set_callback(services->again_source, again, services, NULL);
    g_source_attach(services->again_source, services->context);
}

/* ---- Life ---- */

struct services *services_new(GMainContext *context, unsigned n_timers,
                              const struct services_ops *ops, void *opaque, GError **error)
{
    struct services *services =
        g_malloc0(sizeof(*services) + n_timers * sizeof(services->deadlines_ns[0]));

    services->ops = *ops;
    services->opaque = opaque;
    services->context = context;
    services->n_timers = n_timers;
    services->armed_ns = NEVER;
    for (unsigned i = 0; i < n_timers; i++) {
        services->deadlines_ns[i] = NEVER;
    }
    pthread_mutex_init(&services->lock, NULL);
    services->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (services->timer_fd < 0) {
        g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG, "timer: %s", g_strerror(errno));
        pthread_mutex_destroy(&services->lock);
        g_free(services);
        return NULL;
    }
    services->timer_source = g_unix_fd_source_new(services->timer_fd, G_IO_IN);
    g_source_set_can_recurse(services->timer_source, TRUE); /* no wake-up of the loop by itself */
    g_source_set_callback(services->timer_source, G_SOURCE_FUNC(timer_expired), services, NULL);
    g_source_attach(services->timer_source, context);
    return services;
}

void services_free(struct services *services)
{
    if (!services) {
        return;
    }
    g_source_destroy(services->timer_source);
    g_source_unref(services->timer_source);
    if (services->again_source) {
        g_source_destroy(services->again_source);
        g_source_unref(services->again_source);
    }
    close(services->timer_fd);
    pthread_mutex_destroy(&services->lock);
    g_free(services);
}
