/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vionet-device: a vionet device in a process of its own, which a VMM reaches over vfio-user or
 * vhost-user. Puts together what the other files here do: the command line (arguments.c), the log
 * (log.c), the server (door.c); locks itself up (sandbox.c), and runs the event loop until a signal ends
 * it.
 *
 *     vionet-device --socket /run/net0 --device mac=52:54:00:00:00:01,queues=4 --netdev user
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <glib-unix.h>

#include <vionet/version.h>

#include "arguments.h"
#include "control.h"
#include "door.h"
#include "failover.h"
#include "ready.h"
#include "sandbox.h"
#include "status.h"
#include "trace.h"

struct daemon {
    struct arguments arguments;
    struct ready ready;
    struct status *status;
    struct trace *trace;
    struct door *door;
    struct failover *failover; /* NULL without its options */
    struct control *control;   /* NULL: nobody listens */
    GMainLoop *loop;
};

/* ---- What the server tells ---- */

static void connected(void *opaque, bool connected)
{
    struct daemon *daemon = opaque;

    if (!connected && daemon->arguments.once && daemon->loop) {
        g_main_loop_quit(daemon->loop);
    }
}

static void event(void *opaque, const VionetEvent *event)
{
    struct daemon *daemon = opaque;
    char text[256];

    vionet_event_describe(event, text, sizeof(text));
    if (event->kind == VIONET_EVENT_VIOLATION) {
        g_log_structured(G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, LOG_KIND,
                         vionet_violation_info(event->violation)->name, "MESSAGE", "device: %s",
                         text);
    } else {
        g_info("device: %s", text);
        if (daemon->failover) {
            failover_follow(daemon->failover, vionet_frontend_device(door_frontend(daemon->door)),
                            event);
        }
    }
}

static void crossed(void *opaque, const VionetTrace *frame)
{
    const struct daemon *daemon = opaque;

    trace_add(daemon->trace, frame);
}

/* ---- What the daemon tells ---- */

static char *describe(const struct daemon *daemon, bool one_line)
{
    return status_describe(door_frontend(daemon->door), daemon->arguments.device,
                           door_is_connected(daemon->door), daemon->failover, one_line);
}

static char *describe_to_client(void *opaque)
{
    return describe(opaque, false);
}

static gboolean describe_to_log(gpointer data)
{
    char *text = describe(data, true);

    log_document("status", text);
    g_free(text);
    return G_SOURCE_CONTINUE;
}

static bool open_status(struct daemon *daemon, GError **error)
{
    if (daemon->arguments.status) {
        daemon->status = status_listen(daemon->arguments.status, g_main_context_default(),
                                       describe_to_client, daemon, error);
    }
    return daemon->status || !daemon->arguments.status;
}

static bool open_trace(struct daemon *daemon, GError **error)
{
    const struct arguments *arguments = &daemon->arguments;

    if (arguments->trace) {
        daemon->trace =
            trace_open(arguments->trace, arguments->trace_snaplen, g_main_context_default(), error);
    }
    return daemon->trace || !arguments->trace;
}

/* ---- Failover ---- */

static void failover_told_us(void *opaque, const VionetStandbyEvent *event)
{
    struct daemon *daemon = opaque;
    char *line;

    if (daemon->control) {
        line = failover_describe_event(event);
        control_tell(daemon->control, line);
        g_free(line);
    }
}

static char *describe_failover(void *opaque)
{
    const struct daemon *daemon = opaque;

    return failover_describe_line(daemon->failover);
}

static bool command_failover(void *opaque, const char *name, GError **error)
{
    struct daemon *daemon = opaque;

    return failover_command(daemon->failover, name, error);
}

static bool open_failover(struct daemon *daemon, GError **error)
{
    const struct arguments *arguments = &daemon->arguments;
    const struct failover_options options = {arguments->standby_model, arguments->release_s,
                                             arguments->qmp, arguments->primary};
    const struct control_ops ops = {describe_failover, command_failover};
    const VionetDevice *device = vionet_frontend_device(door_frontend(daemon->door));

    if (!arguments->standby) {
        return true;
    }
    daemon->failover = failover_new(&options, vionet_device_config(device),
                                    g_main_context_default(), failover_told_us, daemon, error);
    if (daemon->failover && arguments->control) {
        daemon->control =
            control_listen(arguments->control, g_main_context_default(), &ops, daemon, error);
    }
    return daemon->failover && (daemon->control || !arguments->control);
}

/* ---- Life ---- */

static gboolean end(gpointer data)
{
    struct daemon *daemon = data;

    g_main_loop_quit(daemon->loop);
    return G_SOURCE_CONTINUE;
}

/* All that needs the rights that the daemon started with. */
static bool set_up(struct daemon *daemon, GError **error)
{
    const struct arguments *arguments = &daemon->arguments;
    const struct door_ops ops = {
        .connected = connected,
        .event = event,
        .trace = arguments->trace ? crossed : NULL,
    };

    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    daemon->loop = g_main_loop_new(NULL, FALSE);
    g_unix_signal_add(SIGINT, end, daemon);
    g_unix_signal_add(SIGTERM, end, daemon);
    g_unix_signal_add(SIGUSR1, describe_to_log, daemon);
    daemon->door = door_new(arguments, g_main_context_default(), &ops, daemon, error);
    return daemon->door && open_failover(daemon, error) &&
           ready_open(&daemon->ready, arguments->ready_fd, error) &&
           door_open(daemon->door, arguments, error) && open_status(daemon, error) &&
           open_trace(daemon, error);
}

/* From here on the daemon can do no more than it needs. */
static bool lock_up(struct daemon *daemon, GError **error)
{
    const VionetFrontend *frontend = door_frontend(daemon->door);

    return !daemon->arguments.sandbox ||
           sandbox_enter(backend_name(vionet_frontend_backend(frontend)),
                         daemon->arguments.client || daemon->arguments.qmp, error);
}

static void tell_ready(struct daemon *daemon)
{
    if (daemon->arguments.socket) {
        printf("vionet-device: ready at %s\n", daemon->arguments.socket);
        fflush(stdout);
    }
    ready_tell(&daemon->ready);
}

static bool run(struct daemon *daemon, GError **error)
{
    const bool good = set_up(daemon, error) && lock_up(daemon, error);

    if (good) {
        tell_ready(daemon);
        g_main_loop_run(daemon->loop);
    }
    status_free(daemon->status);
    control_free(daemon->control);
    g_clear_pointer(&daemon->failover, failover_free);
    door_free(daemon->door);
    trace_close(daemon->trace);
    g_main_loop_unref(daemon->loop);
    return good;
}

static void complain(const GError *error)
{
    char *shown = log_printable(error->message);

    fprintf(stderr, "vionet-device: %s\n", shown);
    g_free(shown);
}

int main(int argc, char **argv)
{
    struct daemon daemon = {0};
    GError *error = NULL;
    bool good = arguments_parse(&daemon.arguments, argc, argv, &error);

    if (good && daemon.arguments.version) {
        printf("vionet-device %s\n", VIONET_VERSION);
    } else if (good) {
        log_open(daemon.arguments.log_level, daemon.arguments.log_format);
        good = run(&daemon, &error);
    }
    if (!good) {
        complain(error);
        g_error_free(error);
    }
    arguments_clear(&daemon.arguments);
    return good ? EXIT_SUCCESS : 2;
}
