/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Management's socket; see control.h. Called by main.c and from the event loop.
 *
 * A client that is to go is marked, and goes when its source is dispatched: lines for it may be written from
 * anywhere.
 */
#include "control.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib-unix.h>
#include <json-glib/json-glib.h>

#include "listener.h"

#define MAX_CLIENTS 8
#define MAX_LINE    128
#define UNSENT_MAX  (16 * 1024)

struct client {
    struct control *control;
    int fd;
    GSource *source;
    char in[MAX_LINE];
    size_t n_in;
    GString *out;
    bool lost;
};

struct control {
    GMainContext *context;
    struct control_ops ops;
    void *opaque;
    struct listener *listener;
    GPtrArray *clients; /* in the order in which they came */
};

static void client_free(gpointer data)
{
    struct client *client = data;

    g_source_destroy(client->source);
    g_source_unref(client->source);
    close(client->fd);
    g_string_free(client->out, TRUE);
    g_free(client);
}

static gboolean client_ready(gint fd, GIOCondition condition, gpointer data);

/* For what there is to come, and to go. */
static void client_watch(struct client *client)
{
    const GIOCondition out = client->out->len > 0 ? G_IO_OUT : 0;

    if (client->source) {
        g_source_destroy(client->source);
        g_source_unref(client->source);
    }
    client->source = g_unix_fd_source_new(client->fd, G_IO_IN | out);
    g_source_set_callback(client->source, G_SOURCE_FUNC(client_ready), client, NULL);
    g_source_attach(client->source, client->control->context);
}

static void client_send(struct client *client)
{
    const bool waited = client->out->len > 0;

    while (client->out->len > 0) {
        const ssize_t n =
            send(client->fd, client->out->str, client->out->len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0) {
            client->lost |= errno != EAGAIN && errno != EINTR;
            break;
        }
        g_string_erase(client->out, 0, n);
    }
    client->lost |= client->out->len > UNSENT_MAX;
    if (client->lost) {
        shutdown(client->fd, SHUT_RDWR); /* which its source sees */
    } else if (waited || client->out->len > 0) {
        client_watch(client);
    }
}

static void client_tell(struct client *client, const char *line)
{
    if (!client->lost) {
        g_string_append(client->out, line);
        g_string_append_c(client->out, '\n');
        client_send(client);
    }
}

static void client_answer(struct client *client, const char *command, const GError *error)
{
    JsonObject *object = json_object_new();
    JsonNode *node = json_node_init_object(json_node_alloc(), object);
    char *shown = g_utf8_make_valid(command, -1);
    char *text;

    json_object_set_string_member(object, "command", shown);
    json_object_set_boolean_member(object, "done", !error);
    if (error) {
        json_object_set_string_member(object, "why", error->message);
    }
    text = json_to_string(node, FALSE);
    client_tell(client, text);
    g_free(text);
    g_free(shown);
    json_node_unref(node);
    json_object_unref(object);
}

static void client_command(struct client *client, const char *command)
{
    struct control *control = client->control;
    GError *error = NULL;

    control->ops.command(control->opaque, command, &error);
    client_answer(client, command, error);
    g_clear_error(&error);
}

/* False if it has gone, or says what is no line. */
static bool client_read(struct client *client)
{
    const ssize_t n =
        recv(client->fd, client->in + client->n_in, MAX_LINE - client->n_in, MSG_DONTWAIT);
    char *end;

    if (n < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    client->n_in += (size_t)n;
    while ((end = memchr(client->in, '\n', client->n_in)) != NULL) {
        *end = '\0';
        client_command(client, client->in);
        client->n_in -= (size_t)(end + 1 - client->in);
        memmove(client->in, end + 1, client->n_in);
    }
    return n > 0 && client->n_in < MAX_LINE;
}

static gboolean client_ready(gint fd, GIOCondition condition, gpointer data)
{
    struct client *client = data;

    (void)fd;
    if (condition & G_IO_OUT) {
        client_send(client);
    }
    if (!client->lost && condition & (G_IO_IN | G_IO_HUP | G_IO_ERR)) {
        client->lost = !client_read(client) || client->lost;
    }
    if (client->lost) {
        g_ptr_array_remove(client->control->clients, client);
        return G_SOURCE_REMOVE;
    }
    return G_SOURCE_CONTINUE;
}

static void client_came(void *opaque, int fd)
{
    struct control *control = opaque;
    struct client *client = g_new0(struct client, 1);
    char *line = control->ops.describe(control->opaque);

    if (control->clients->len == MAX_CLIENTS) {
        g_ptr_array_remove_index(control->clients, 0);
    }
    client->control = control;
    client->fd = fd;
    client->out = g_string_new(NULL);
    client_watch(client);
    g_ptr_array_add(control->clients, client);
    client_tell(client, line);
    g_free(line);
}

struct control *control_listen(const char *path, GMainContext *context,
                               const struct control_ops *ops, void *opaque, GError **error)
{
    struct control *control = g_new0(struct control, 1);

    control->context = context;
    control->ops = *ops;
    control->opaque = opaque;
    control->clients = g_ptr_array_new_with_free_func(client_free);
    control->listener = listener_open(path, context, client_came, control, error);
    if (!control->listener) {
        control_free(control);
        return NULL;
    }
    return control;
}

void control_tell(struct control *control, const char *line)
{
    for (guint i = 0; i < control->clients->len; i++) {
        client_tell(g_ptr_array_index(control->clients, i), line);
    }
}

void control_free(struct control *control)
{
    if (control) {
        listener_close(control->listener);
        g_ptr_array_unref(control->clients);
        g_free(control);
    }
}
