/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vionet-device: a vionet device in a process of its own, which a VMM reaches over vfio-user. Reads
 * the command line, makes the server (vfio-user/server.h), runs the event loop until a signal ends
 * it.
 *
 *     vionet-device --socket /run/net0 --device mac=52:54:00:00:00:01,queues=4 --netdev user
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <glib-unix.h>

#include <vionet/version.h>

#include "properties.h"
#include "server.h"

struct daemon {
    char *socket;
    char *device;
    char *netdev;
    gboolean once;
    gboolean version;
    GMainLoop *loop;
};

/* ---- Command line ---- */

static bool parse_options(struct daemon *daemon, int *argc, char ***argv, GError **error)
{
    const GOptionEntry entries[] = {
        {"socket", 0, 0, G_OPTION_ARG_FILENAME, &daemon->socket, "where VMMs connect", "PATH"},
        {"device", 0, 0, G_OPTION_ARG_STRING, &daemon->device, "the device's properties",
         "NAME=VALUE,..."},
        {"netdev", 0, 0, G_OPTION_ARG_STRING, &daemon->netdev, "what is behind the device",
         "BACKEND,..."},
        {"once", 0, 0, G_OPTION_ARG_NONE, &daemon->once, "end when the first VMM has gone", NULL},
        {"version", 0, 0, G_OPTION_ARG_NONE, &daemon->version, "print the version", NULL},
        G_OPTION_ENTRY_NULL,
    };
    GOptionContext *context = g_option_context_new("- a virtio network device for a VMM");
    char *properties = properties_help();
    char *backends = backend_help();
    char *description = g_strconcat(properties, "\n", backends, NULL);
    bool good;

    g_option_context_add_main_entries(context, entries, NULL);
    g_option_context_set_description(context, description);
    good = g_option_context_parse(context, argc, argv, error);
    g_option_context_free(context);
    g_free(description);
    g_free(backends);
    g_free(properties);
    return good;
}

/* ---- Life ---- */

static void connected(void *opaque, bool connected)
{
    struct daemon *daemon = opaque;

    if (!connected && daemon->once) {
        g_main_loop_quit(daemon->loop);
    }
}

static void event(void *opaque, const VionetEvent *event)
{
    char text[256];

    (void)opaque;
    vionet_event_describe(event, text, sizeof(text));
    if (event->kind == VIONET_EVENT_VIOLATION) {
        g_warning("device: %s", text);
    } else {
        g_info("device: %s", text);
    }
}

static gboolean end(gpointer data)
{
    struct daemon *daemon = data;

    g_main_loop_quit(daemon->loop);
    return G_SOURCE_CONTINUE;
}

static bool run(struct daemon *daemon, GError **error)
{
    static const VionetVfioUserOps ops = {
        .size = sizeof(ops),
        .connected = connected,
        .event = event,
    };
    VionetVfioUser *server = vionet_vfio_user_new(daemon->device ? daemon->device : "",
                                                  daemon->netdev ? daemon->netdev : "null",
                                                  g_main_context_default(), &ops, daemon, error);

    if (!server || !vionet_vfio_user_listen(server, daemon->socket, error)) {
        vionet_vfio_user_free(server);
        return false;
    }
    daemon->loop = g_main_loop_new(NULL, FALSE);
    g_unix_signal_add(SIGINT, end, daemon);
    g_unix_signal_add(SIGTERM, end, daemon);
    printf("vionet-device: ready at %s\n", daemon->socket);
    fflush(stdout);
    g_main_loop_run(daemon->loop);
    vionet_vfio_user_free(server);
    g_main_loop_unref(daemon->loop);
    return true;
}

int main(int argc, char **argv)
{
    struct daemon daemon = {0};
    GError *error = NULL;
    bool good = parse_options(&daemon, &argc, &argv, &error);

    if (good && daemon.version) {
        printf("vionet-device %s\n", VIONET_VERSION);
        return EXIT_SUCCESS;
    }
    if (good && (argc > 1 || !daemon.socket)) {
        g_set_error(&error, VIONET_ERROR, VIONET_ERROR_CONFIG, "%s",
                    argc > 1 ? "too many arguments" : "--socket=PATH is missing");
        good = false;
    }
    if (good) {
        good = run(&daemon, &error);
    }
    if (!good) {
        fprintf(stderr, "vionet-device: %s\n", error->message);
        g_error_free(error);
    }
    g_free(daemon.socket);
    g_free(daemon.device);
    g_free(daemon.netdev);
    return good ? EXIT_SUCCESS : 2;
}
