/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * QMP; see qmp.h. Called by failover.c and from the event loop.
 *
 *     away --time--> greeting --its greeting--> capabilities --its answer--> ready --gone, or nonsense--> away
 *
 * Answers come in the order of the commands, and carry their numbers.
 */
#include "qmp.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <glib-unix.h>

#include <vionet/device.h>

#include "listener.h"

#ifndef AGAIN_MS
#define AGAIN_MS 500
#endif
#define ANSWER_MS  30000 /* that the peer may take: QEMU's main loop may be busy */
#define MAX_LINE   (64 * 1024)
#define READ_MAX   (16 * 1024) /* at a time, so that others have their turn */
#define DEPTH_MAX  32          /* of arrays and objects; json-glib calls itself for each */
#define OWED_MAX   32
#define UNSENT_MAX (64 * 1024)

enum state { AWAY, GREETING, CAPABILITIES, READY };

struct owed {
    gint64 id;
    qmp_answered answered;
};

struct qmp {
    struct sockaddr_un address;
    GMainContext *context;
    struct qmp_ops ops;
    void *opaque;
    enum state state;
    int fd; /* -1 while away */
    GSource *source;
    GSource
        *timer; /* away: when to try; else until when the peer has to say something, if it has to */
    GByteArray *in;
    GByteArray *out;
    GQueue owed; /* of struct owed */
    gint64 last_id;
};

static void lose(struct qmp *qmp, const char *why);

/* ---- Time ---- */

static gboolean try_again(gpointer data);

static gboolean too_late(gpointer data)
{
    lose(data, "no answer");
    return G_SOURCE_REMOVE;
}

static void drop_source(GSource **source)
{
    if (*source) {
        g_source_destroy(*source);
        g_source_unref(*source);
        *source = NULL;
    }
}

static void set_timer(struct qmp *qmp, unsigned ms, GSourceFunc expired)
{
    drop_source(&qmp->timer);
    if (expired) {
        qmp->timer = g_timeout_source_new(ms);
        g_source_set_callback(qmp->timer, expired, qmp, NULL);
        g_source_attach(qmp->timer, qmp->context);
    }
}

static void await_answer(struct qmp *qmp)
{
    const bool owes = qmp->state != READY || !g_queue_is_empty(&qmp->owed);

    set_timer(qmp, ANSWER_MS, owes ? too_late : NULL);
}

/* ---- Out ---- */

static gboolean socket_ready(gint fd, GIOCondition condition, gpointer data);

static void watch(struct qmp *qmp)
{
    drop_source(&qmp->source);
    qmp->source = g_unix_fd_source_new(qmp->fd, G_IO_IN | (qmp->out->len ? G_IO_OUT : 0));
    g_source_set_callback(qmp->source, G_SOURCE_FUNC(socket_ready), qmp, NULL);
    g_source_attach(qmp->source, qmp->context);
}

/* False if the connection is gone, which the event loop finds too. */
static bool flush(struct qmp *qmp)
{
    const bool waited = qmp->out->len > 0;
    ssize_t n = 0;
    bool good;

    while (qmp->out->len > 0 && n >= 0) {
        n = send(qmp->fd, qmp->out->data, qmp->out->len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            g_byte_array_remove_range(qmp->out, 0, (guint)n);
        }
    }
    good = n >= 0 || errno == EAGAIN || errno == EINTR;
    if (waited) {
        watch(qmp);
    }
    return good;
}

static bool put_command(struct qmp *qmp, const char *command, JsonObject *arguments,
                        qmp_answered answered)
{
    struct owed *owed;
    JsonObject *object;
    JsonNode *node;
    char *text;

    if (qmp->owed.length >= OWED_MAX || qmp->out->len >= UNSENT_MAX) {
        g_clear_pointer(&arguments, json_object_unref);
        return false;
    }
    object = json_object_new();
    json_object_set_string_member(object, "execute", command);
    json_object_set_int_member(object, "id", ++qmp->last_id);
    if (arguments) {
        json_object_set_object_member(object, "arguments", arguments);
    }
    node = json_node_init_object(json_node_alloc(), object);
    text = json_to_string(node, FALSE);
    g_byte_array_append(qmp->out, (const guint8 *)text, (guint)strlen(text));
    g_byte_array_append(qmp->out, (const guint8 *)"\n", 1);
    g_free(text);
    json_node_unref(node);
    json_object_unref(object);
    owed = g_new(struct owed, 1);
    *owed = (struct owed){qmp->last_id, answered};
    g_queue_push_tail(&qmp->owed, owed);
    if (qmp->owed.length == 1) {
        await_answer(qmp);
    }
    flush(qmp);
    return true;
}

bool qmp_execute(struct qmp *qmp, const char *command, JsonObject *arguments, qmp_answered answered)
{
    if (qmp->state != READY) {
        g_clear_pointer(&arguments, json_object_unref);
        return false;
    }
    return put_command(qmp, command, arguments, answered);
}

/* ---- In ---- */

/*
 * Whether json-glib can be given a line: not deep, and without halves of surrogate pairs, of which it (1.6) leaks
 * those that do not fit. QEMU writes nothing of the kind that concerns us.
 */
static bool is_sane(const char *line)
{
    unsigned depth = 0;
    bool text = false;

    for (const char *at = line; *at; at++) {
        if (text && *at == '\\' && at[1]) {
            at++;
            if (*at == 'u' && g_ascii_tolower(at[1]) == 'd' && at[2] >= '8') {
                return false;
            }
        } else if (*at == '"') {
            text = !text;
        } else if (!text && (*at == '{' || *at == '[') && ++depth > DEPTH_MAX) {
            return false;
        } else if (!text && (*at == '}' || *at == ']') && depth > 0) {
            depth--;
        }
    }
    return true;
}

static JsonObject *object_member(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);

    return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

const char *qmp_text(JsonObject *object, const char *name)
{
    JsonNode *node = object ? json_object_get_member(object, name) : NULL;

    return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING
               ? json_node_get_string(node)
               : "";
}

static bool take_answer(struct qmp *qmp, JsonObject *object)
{
    JsonNode *result = json_object_get_member(object, "return");
    JsonObject *error = object_member(object, "error");
    JsonNode *id = json_object_get_member(object, "id");
    struct owed *owed = g_queue_peek_head(&qmp->owed);
    qmp_answered answered;

    if (!owed || !id || !JSON_NODE_HOLDS_VALUE(id) ||
        json_node_get_value_type(id) != G_TYPE_INT64 || json_node_get_int(id) != owed->id ||
        (!result && !error)) {
        return false;
    }
    answered = owed->answered;
    g_free(g_queue_pop_head(&qmp->owed));
    if (qmp->state == CAPABILITIES) {
        if (!result) {
            return false;
        }
        qmp->state = READY;
        await_answer(qmp);
        qmp->ops.ready(qmp->opaque, true);
        return true;
    }
    await_answer(qmp);
    if (answered) {
        answered(qmp->opaque, result, qmp_text(error, "class"), qmp_text(error, "desc"));
    }
    return true;
}

static bool take_object(struct qmp *qmp, JsonObject *object)
{
    if (qmp->state == GREETING) {
        if (!object_member(object, "QMP")) {
            return false;
        }
        qmp->state = CAPABILITIES;
        return put_command(qmp, "qmp_capabilities", NULL, NULL);
    }
    if (json_object_has_member(object, "event")) {
        if (qmp->state == READY) {
            qmp->ops.event(qmp->opaque, qmp_text(object, "event"), object_member(object, "data"));
        }
        return true;
    }
    return take_answer(qmp, object);
}

/* False if the peer is to be lost. Lines that are not for us to read are left out. */
static bool take_line(struct qmp *qmp, const char *line, size_t len)
{
    JsonParser *parser;
    bool good = true;

    if (strlen(line) < len || !is_sane(line)) {
        return true;
    }
    parser = json_parser_new();
    if (json_parser_load_from_data(parser, line, (gssize)len, NULL)) {
        JsonNode *root = json_parser_get_root(parser);

        good =
            !root || (JSON_NODE_HOLDS_OBJECT(root) && take_object(qmp, json_node_get_object(root)));
    } else {
        good = false;
    }
    g_object_unref(parser);
    return good;
}

static bool take_lines(struct qmp *qmp)
{
    guint8 *end;

    while ((end = memchr(qmp->in->data, '\n', qmp->in->len)) != NULL) {
        const size_t len = (size_t)(end - qmp->in->data);
        char *line = g_strndup((const char *)qmp->in->data, len);
        bool good;

        g_byte_array_remove_range(qmp->in, 0, (guint)len + 1);
        good = take_line(qmp, line, len);
        g_free(line);
        if (!good) {
            return false;
        }
    }
    return qmp->in->len <= MAX_LINE;
}

static gboolean socket_ready(gint fd, GIOCondition condition, gpointer data)
{
    struct qmp *qmp = data;
    guint8 piece[READ_MAX];
    ssize_t n;

    if (!flush(qmp)) {
        lose(qmp, "it takes nothing any more");
        return G_SOURCE_REMOVE;
    }
    if (!(condition & (G_IO_IN | G_IO_HUP | G_IO_ERR))) {
        return G_SOURCE_CONTINUE;
    }
    n = recv(fd, piece, sizeof(piece), MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        lose(qmp, "closed");
        return G_SOURCE_REMOVE;
    }
    if (n > 0) {
        g_byte_array_append(qmp->in, piece, (guint)n);
        if (!take_lines(qmp)) {
            lose(qmp, "nonsense");
            return G_SOURCE_REMOVE;
        }
    }
    return G_SOURCE_CONTINUE;
}

/* ---- Coming and going ---- */

static void close_connection(struct qmp *qmp)
{
    drop_source(&qmp->source);
    drop_source(&qmp->timer);
    if (qmp->fd >= 0) {
        close(qmp->fd);
    }
    qmp->fd = -1;
    qmp->state = AWAY;
    g_byte_array_set_size(qmp->in, 0);
    g_byte_array_set_size(qmp->out, 0);
    g_queue_clear_full(&qmp->owed, g_free);
}

static void lose(struct qmp *qmp, const char *why)
{
    const bool was_ready = qmp->state == READY;

    g_info("qmp: the connection ends: %s", why);
    close_connection(qmp);
    set_timer(qmp, AGAIN_MS, try_again);
    if (was_ready) {
        qmp->ops.ready(qmp->opaque, false);
    }
}

static gboolean try_again(gpointer data)
{
    struct qmp *qmp = data;

    qmp->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (qmp->fd < 0 ||
        connect(qmp->fd, (struct sockaddr *)&qmp->address, sizeof(qmp->address)) < 0) {
        close_connection(qmp);
        set_timer(qmp, AGAIN_MS, try_again);
        return G_SOURCE_REMOVE;
    }
    qmp->state = GREETING;
    watch(qmp);
    await_answer(qmp);
    return G_SOURCE_REMOVE;
}

struct qmp *qmp_new(const char *path, GMainContext *context, const struct qmp_ops *ops,
                    void *opaque, GError **error)
{
    struct qmp *qmp;

    if (!listener_check_path(path, error)) {
        return NULL;
    }
    qmp = g_new0(struct qmp, 1);
    qmp->address.sun_family = AF_UNIX;
    g_strlcpy(qmp->address.sun_path, path, sizeof(qmp->address.sun_path));
    qmp->context = context;
    qmp->ops = *ops;
    qmp->opaque = opaque;
    qmp->fd = -1;
    qmp->in = g_byte_array_new();
    qmp->out = g_byte_array_new();
    g_queue_init(&qmp->owed);
    set_timer(qmp, 0, try_again);
    return qmp;
}

void qmp_free(struct qmp *qmp)
{
    if (qmp) {
        close_connection(qmp);
        g_byte_array_unref(qmp->in);
        g_byte_array_unref(qmp->out);
        g_free(qmp);
    }
}
