/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Status; see status.h. Called by main.c and from the event loop.
 */
#include "status.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib-unix.h>
#include <json-glib/json-glib.h>

#define VIONET_SPEC_NO_STRUCTS
#include <vionet/spec.h>
#include <vionet/transport.h>
#include <vionet/version.h>

#include "document.h"
#include "listener.h"
#include "property.h"

#define MAX_CLIENTS 8

/* ---- The document ---- */

static void add_count(JsonBuilder *builder, const char *name, uint64_t number)
{
    if (number > 0) {
        document_add_number(builder, name, number);
    }
}

static void begin_object(JsonBuilder *builder, const char *name)
{
    json_builder_set_member_name(builder, name);
    json_builder_begin_object(builder);
}

/* All of them, as they are written on the command line. */
static void add_properties(JsonBuilder *builder, const char *text)
{
    const struct property *property;
    VionetProperties properties;

    begin_object(builder, "properties");
    if (properties_parse(text, &properties, NULL)) {
        for (unsigned i = 0; (property = property_at(i)) != NULL; i++) {
            char *shown = property->kind->show(property, &properties);

            document_add_text(builder, property->name, shown);
            g_free(shown);
        }
    }
    json_builder_end_object(builder);
}

static void add_backend_counters(JsonBuilder *builder, const VionetBackend *backend)
{
    const VionetBackendCounters counters = backend_counters(backend);

    document_add_number(builder, "sent", counters.sent);
    document_add_number(builder, "received", counters.received);
    document_add_number(builder, "dropped", counters.dropped);
}

/* With threads, its queues too: what each thread has moved. */
static void add_backend(JsonBuilder *builder, const VionetBackend *backend)
{
    begin_object(builder, "backend");
    document_add_text(builder, "name", backend_name(backend));
    add_backend_counters(builder, backend);
    if (backend_n_queues(backend) > 0) {
        json_builder_set_member_name(builder, "queues");
        json_builder_begin_array(builder);
        for (unsigned i = 0; i < backend_n_queues(backend); i++) {
            json_builder_begin_object(builder);
            add_backend_counters(builder, backend_queue(backend, i));
            json_builder_end_object(builder);
        }
        json_builder_end_array(builder);
    }
    json_builder_end_object(builder);
}

static const struct {
    uint8_t bit;
    const char *name;
} status_bits[] = {
    {VIRTIO_STATUS_ACKNOWLEDGE, "ACKNOWLEDGE"},
    {VIRTIO_STATUS_DRIVER, "DRIVER"},
    {VIRTIO_STATUS_FEATURES_OK, "FEATURES_OK"},
    {VIRTIO_STATUS_DRIVER_OK, "DRIVER_OK"},
    {VIRTIO_STATUS_DEVICE_NEEDS_RESET, "DEVICE_NEEDS_RESET"},
    {VIRTIO_STATUS_FAILED, "FAILED"},
};

static void add_status(JsonBuilder *builder, const VionetDevice *device)
{
    const uint8_t status = vionet_device_status(device);

    json_builder_set_member_name(builder, "status");
    json_builder_begin_array(builder);
    for (size_t i = 0; i < G_N_ELEMENTS(status_bits); i++) {
        if (status & status_bits[i].bit) {
            json_builder_add_string_value(builder, status_bits[i].name);
        }
    }
    json_builder_end_array(builder);
    document_add_switch(builder, "running", vionet_device_running(device));
}

static void add_features(JsonBuilder *builder, const VionetDevice *device, const char *name,
                         bool negotiated)
{
    const VionetConfig *config = vionet_device_config(device);
    const VionetFeature *feature;

    json_builder_set_member_name(builder, name);
    json_builder_begin_array(builder);
    for (unsigned i = 0; (feature = vionet_feature_at(config->dialect, i)) != NULL; i++) {
        if (negotiated ? vionet_device_negotiated(device, feature->bit)
                       : vionet_features_test(config->features, feature->bit)) {
            json_builder_add_string_value(builder, feature->name);
        }
    }
    json_builder_end_array(builder);
}

/* Bits of receive offloads have the names of the features that allow them. */
static void add_offloads(JsonBuilder *builder, const VionetDevice *device)
{
    const VionetDialect *dialect = vionet_device_config(device)->dialect;
    const uint64_t offloads = vionet_device_offloads(device);

    json_builder_set_member_name(builder, "offloads");
    json_builder_begin_array(builder);
    for (unsigned bit = 0; bit < 64; bit++) {
        const VionetFeature *feature = properties_feature(dialect, bit);

        if (feature && offloads >> bit & 1) {
            json_builder_add_string_value(builder, feature->name);
        }
    }
    json_builder_end_array(builder);
}

static const char *queue_kind(const VionetDevice *device, unsigned queue)
{
    if (queue == vionet_device_control_queue(device)) {
        return "control";
    }
    return queue % 2 == 0 ? "receive" : "transmit";
}

static bool is_used(const VionetDevice *device, unsigned queue)
{
    for (unsigned i = 0; i < VIONET_N_COUNTERS; i++) {
        if (vionet_device_counter(device, queue, i) > 0) {
            return true;
        }
    }
    return vionet_device_queue_enabled(device, queue);
}

static void add_queues(JsonBuilder *builder, const VionetDevice *device)
{
    json_builder_set_member_name(builder, "queues");
    json_builder_begin_array(builder);
    for (unsigned queue = 0; queue < vionet_device_num_queues(device); queue++) {
        if (!is_used(device, queue)) {
            continue;
        }
        json_builder_begin_object(builder);
        document_add_number(builder, "queue", queue);
        document_add_text(builder, "kind", queue_kind(device, queue));
        document_add_switch(builder, "enabled", vionet_device_queue_enabled(device, queue));
        for (unsigned i = 0; i < VIONET_N_COUNTERS; i++) {
            add_count(builder, vionet_counter_name(i), vionet_device_counter(device, queue, i));
        }
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
}

static void add_verdicts(JsonBuilder *builder, const VionetDevice *device)
{
    begin_object(builder, "verdicts");
    for (unsigned i = 0; i < VIONET_N_VERDICTS; i++) {
        add_count(builder, vionet_verdict_name(i), vionet_device_verdicts(device, i));
    }
    json_builder_end_object(builder);
}

static void add_violations(JsonBuilder *builder, const VionetDevice *device)
{
    begin_object(builder, "violations");
    for (unsigned i = 0; i < VIONET_N_VIOLATIONS; i++) {
        add_count(builder, vionet_violation_info(i)->name, vionet_device_violations(device, i));
    }
    json_builder_end_object(builder);
}

static void add_device(JsonBuilder *builder, const VionetDevice *device)
{
    begin_object(builder, "device");
    add_status(builder, device);
    add_features(builder, device, "offered", false);
    add_features(builder, device, "negotiated", true);
    add_offloads(builder, device);
    add_queues(builder, device);
    add_verdicts(builder, device);
    add_violations(builder, device);
    json_builder_end_object(builder);
}

static char *print(JsonBuilder *builder, bool one_line)
{
    JsonGenerator *generator = json_generator_new();
    JsonNode *root = json_builder_get_root(builder);
    char *text;

    json_generator_set_root(generator, root);
    json_generator_set_pretty(generator, !one_line);
    text = json_generator_to_data(generator, NULL);
    json_node_unref(root);
    g_object_unref(generator);
    return text;
}

char *status_describe(VionetFrontend *frontend, const char *properties, bool connected,
                      const struct failover *failover, bool one_line)
{
    JsonBuilder *builder = json_builder_new();
    char *text;

    json_builder_begin_object(builder);
    document_add_text(builder, "version", VIONET_VERSION);
    document_add_switch(builder, "connected", connected);
    add_properties(builder, properties);
    add_backend(builder, vionet_frontend_backend(frontend));
    add_device(builder, vionet_frontend_device(frontend));
    if (failover) {
        begin_object(builder, "standby");
        failover_describe(failover, builder);
        json_builder_end_object(builder);
    }
    json_builder_end_object(builder);
    text = print(builder, one_line);
    g_object_unref(builder);
    return text;
}

/* ---- The socket ---- */

struct client {
    struct status *status;
    int fd;
    char *text;
    size_t left; /* octets of it, at its end, that have not gone */
    GSource *source;
};

struct status {
    GMainContext *context;
    char *(*describe)(void *opaque);
    void *opaque;
    struct listener *listener;
    GPtrArray *clients; /* in the order in which they came */
};

static void client_free(gpointer data)
{
    struct client *client = data;

    if (client->source) {
        g_source_destroy(client->source);
        g_source_unref(client->source);
    }
    close(client->fd);
    g_free(client->text);
    g_free(client);
}

/* False if there is nothing more to be sent, or nobody to send it to. */
static bool client_send(struct client *client)
{
    const char *at = client->text + strlen(client->text) - client->left;
    const ssize_t n = send(client->fd, at, client->left, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (n < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    client->left -= (size_t)n;
    return client->left > 0;
}

static gboolean client_ready(gint fd, GIOCondition condition, gpointer data)
{
    struct client *client = data;

    (void)fd;
    (void)condition;
    if (!client_send(client)) {
        g_ptr_array_remove(client->status->clients, client);
        return G_SOURCE_REMOVE;
    }
    return G_SOURCE_CONTINUE;
}

static void client_new(struct status *status, int fd)
{
    struct client *client = g_new0(struct client, 1);
    char *document = status->describe(status->opaque);

    client->status = status;
    client->fd = fd;
    client->text = g_strconcat(document, "\n", NULL);
    client->left = strlen(client->text);
    g_free(document);
    if (!client_send(client)) {
        client_free(client);
        return;
    }
    if (status->clients->len == MAX_CLIENTS) {
        g_ptr_array_remove_index(status->clients, 0);
    }
    client->source = g_unix_fd_source_new(fd, G_IO_OUT);
    g_source_set_callback(client->source, G_SOURCE_FUNC(client_ready), client, NULL);
    g_source_attach(client->source, status->context);
    g_ptr_array_add(status->clients, client);
}

static void client_came(void *opaque, int fd)
{
    client_new(opaque, fd);
}

struct status *status_listen(const char *path, GMainContext *context,
                             char *(*describe)(void *opaque), void *opaque, GError **error)
{
    struct status *status = g_new0(struct status, 1);

    status->context = context;
    status->describe = describe;
    status->opaque = opaque;
    status->clients = g_ptr_array_new_with_free_func(client_free);
    status->listener = listener_open(path, context, client_came, status, error);
    if (!status->listener) {
        status_free(status);
        return NULL;
    }
    return status;
}

void status_free(struct status *status)
{
    if (!status) {
        return;
    }
    listener_close(status->listener);
    g_ptr_array_unref(status->clients);
    g_free(status);
}
