/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Failover in the daemon; see failover.h. Called by main.c, and from the event loop.
 *
 * Two sides: whether the guest is to have the primary (wanted), and what the VMM has (found), as it said at the
 * beginning of the connection and since. One step at a time leads from the one to the other.
 */
#include "failover.h"

#include <string.h>

#include "document.h"
#include "options.h"
#include "properties.h"
#include "qmp.h"

/* The group of a primary on our own command line, which ties it to us beside its address. */
#define GROUP "command line"

enum found { UNKNOWN, GONE, PRESENT };

struct failover {
    VionetStandby *standby;
    VionetStandbyModel model;
    unsigned release_s;
    GMainContext *context;
    failover_told told;
    void *opaque;
    /* the VMM */
    struct qmp *qmp;        /* NULL: none */
    JsonObject *primary;    /* device_add's arguments; NULL: none */
    VionetPrimary identity; /* without its group */
    const char *id;         /* of the primary, in its arguments */
    bool connected;
    enum found found;
    bool wanted;
    bool adding;      /* device_add is not answered yet */
    bool deleting;    /* device_del was sent, and DEVICE_DELETED has not come */
    bool again;       /* once that has come, it is to be added again */
    bool migrating;   /* as the VMM says */
    GSource *release; /* until when the guest has to let go; NULL: it was not asked */
};

static void step(struct failover *failover);

/* ---- Time ---- */

static void stop_waiting(struct failover *failover)
{
    if (failover->release) {
        g_source_destroy(failover->release);
        g_source_unref(failover->release);
        failover->release = NULL;
    }
}

static void refused(struct failover *failover)
{
    stop_waiting(failover);
    failover->wanted = vionet_standby_blocks_migration(failover->standby);
    vionet_standby_input(failover->standby, VIONET_STANDBY_REFUSED);
}

static gboolean took_too_long(gpointer data)
{
    refused(data);
    return G_SOURCE_REMOVE;
}

static void wait_for_release(struct failover *failover)
{
    stop_waiting(failover);
    failover->release = g_timeout_source_new_seconds(failover->release_s);
    g_source_set_callback(failover->release, took_too_long, failover, NULL);
    g_source_attach(failover->release, failover->context);
}

/* ---- What the VMM says ---- */

/* It has no primary any more. */
static void gone(struct failover *failover)
{
    const bool again = failover->again;

    stop_waiting(failover);
    failover->found = GONE;
    failover->deleting = failover->again = false;
    if (!again) {
        failover->wanted = false;
        vionet_standby_input(failover->standby, VIONET_STANDBY_RELEASED);
    }
    step(failover);
}

static void added(void *opaque, JsonNode *result, const char *kind, const char *error)
{
    struct failover *failover = opaque;

    (void)kind;
    failover->adding = false;
    failover->found = result ? PRESENT : GONE;
    if (result) {
        step(failover);
        return;
    }
    g_warning("standby: the primary cannot be added: %s", error);
    stop_waiting(failover);
    failover->wanted = failover->again = false;
    vionet_standby_input(failover->standby, VIONET_STANDBY_SHOW_FAILED);
}

static void deleted(void *opaque, JsonNode *result, const char *kind, const char *error)
{
    struct failover *failover = opaque;

    if (result || !failover->deleting) {
        return; /* DEVICE_DELETED follows, or came first */
    }
    if (strcmp(kind, "DeviceNotFound") == 0) {
        gone(failover);
        return;
    }
    g_warning("standby: the primary cannot be removed: %s", error);
    failover->deleting = failover->again = false;
    refused(failover);
}

static void found(struct failover *failover, bool present)
{
    failover->found = present ? PRESENT : GONE;
    if (!present && failover->release) {
        gone(failover); /* while nobody was connected */
        return;
    }
    step(failover);
}

/* Whether one of the machine's devices has our name. */
static void listed(void *opaque, JsonNode *result, const char *kind, const char *error)
{
    struct failover *failover = opaque;
    JsonArray *devices;
    bool present = false;

    (void)kind;
    if (!result || !JSON_NODE_HOLDS_ARRAY(result)) {
        g_warning("standby: the machine's devices are not to be had: %s", error);
        return;
    }
    devices = json_node_get_array(result);
    for (guint i = 0; i < json_array_get_length(devices); i++) {
        JsonNode *device = json_array_get_element(devices, i);

        if (JSON_NODE_HOLDS_OBJECT(device)) {
            present |= strcmp(qmp_text(json_node_get_object(device), "name"), failover->id) == 0;
        }
    }
    found(failover, present);
}

static void cannot(void *opaque, JsonNode *result, const char *kind, const char *error)
{
    (void)opaque;
    (void)kind;
    if (!result) {
        g_info("standby: the VMM does not tell of migrations: %s", error);
    }
}

static void ask_for_migrations(struct failover *failover)
{
    JsonObject *capability = json_object_new();
    JsonArray *capabilities = json_array_new();
    JsonObject *arguments = json_object_new();

    json_object_set_string_member(capability, "capability", "events");
    json_object_set_boolean_member(capability, "state", TRUE);
    json_array_add_object_element(capabilities, capability);
    json_object_set_array_member(arguments, "capabilities", capabilities);
    qmp_execute(failover->qmp, "migrate-set-capabilities", arguments, cannot);
}

static void monitor_ready(void *opaque, bool ready)
{
    struct failover *failover = opaque;
    JsonObject *arguments;

    g_info("standby: %s", ready ? "connected to the VMM's monitor" : "the VMM's monitor is gone");
    failover->connected = ready;
    failover->found = UNKNOWN;
    failover->adding = failover->deleting = failover->again = failover->migrating = false;
    if (!ready) {
        return;
    }
    ask_for_migrations(failover);
    if (failover->primary) {
        arguments = json_object_new();
        json_object_set_string_member(arguments, "path", "/machine/peripheral");
        qmp_execute(failover->qmp, "qom-list", arguments, listed);
    }
}

/* A migration that begins with the primary still there is given up: it would not end well. */
static void check_migration(struct failover *failover)
{
    if (failover->migrating && failover->model == VIONET_STANDBY_COMBINED &&
        vionet_standby_state(failover->standby) == VIONET_PRIMARY_VISIBLE) {
        g_warning("standby: migration cancelled: the guest still has the primary");
        failover->migrating = false;
        qmp_execute(failover->qmp, "migrate_cancel", NULL, NULL);
    }
}

static void migration(struct failover *failover, const char *status)
{
    const bool over = strcmp(status, "completed") == 0;

    if (over || strcmp(status, "failed") == 0 || strcmp(status, "cancelled") == 0) {
        failover->migrating = false;
        vionet_standby_input(failover->standby, over ? VIONET_STANDBY_MIGRATION_LEFT
                                                     : VIONET_STANDBY_MIGRATION_FAILED);
    } else if (strcmp(status, "setup") == 0) {
        failover->migrating = true;
        vionet_standby_input(failover->standby, VIONET_STANDBY_MIGRATION_STARTS);
    }
}

static void monitor_event(void *opaque, const char *name, JsonObject *data)
{
    struct failover *failover = opaque;
    const bool ours = failover->id && strcmp(qmp_text(data, "device"), failover->id) == 0;

    if (strcmp(name, "DEVICE_DELETED") == 0 && ours) {
        gone(failover);
    } else if (strcmp(name, "DEVICE_UNPLUG_GUEST_ERROR") == 0 && ours && failover->deleting) {
        failover->deleting = failover->again = false;
        refused(failover);
    } else if (strcmp(name, "MIGRATION") == 0) {
        migration(failover, qmp_text(data, "status"));
    }
}

/* ---- What is asked of the VMM ---- */

static void step(struct failover *failover)
{
    if (!failover->connected || failover->found == UNKNOWN || failover->adding ||
        failover->deleting) {
        return;
    }
    if (failover->wanted && failover->found == GONE &&
        !vionet_standby_negotiated(failover->standby)) {
        failover->wanted = false; /* the guest that was to have it has gone meanwhile */
        vionet_standby_input(failover->standby, VIONET_STANDBY_RELEASED);
    } else if (failover->wanted && failover->found == GONE) {
        failover->adding =
            qmp_execute(failover->qmp, "device_add", json_object_ref(failover->primary), added);
    } else if (!failover->wanted && failover->found == PRESENT) {
        JsonObject *arguments = json_object_new();

        json_object_set_string_member(arguments, "id", failover->id);
        failover->deleting = qmp_execute(failover->qmp, "device_del", arguments, deleted);
    }
}

static bool show(void *opaque)
{
    struct failover *failover = opaque;

    failover->wanted = true;
    failover->again = failover->deleting;
    step(failover);
    return true;
}

/* The guest is gone: nobody is waited for. */
static void hide(void *opaque)
{
    struct failover *failover = opaque;

    stop_waiting(failover);
    failover->wanted = failover->again = false;
    step(failover);
}

static bool unplug(void *opaque)
{
    struct failover *failover = opaque;

    failover->wanted = failover->again = false;
    if (failover->found == GONE && !failover->adding) {
        vionet_standby_input(failover->standby, VIONET_STANDBY_RELEASED);
        return true;
    }
    wait_for_release(failover);
    step(failover);
    return true;
}

/* QEMU has no way to take device_del back. */
static bool cancel(void *opaque)
{
    struct failover *failover = opaque;

    if (failover->deleting) {
        return false;
    }
    stop_waiting(failover);
    failover->wanted = true;
    step(failover);
    return true;
}

/* ---- What the object says ---- */

static void happened(void *opaque, const VionetStandbyEvent *event)
{
    struct failover *failover = opaque;
    const bool bad =
        event->input == VIONET_STANDBY_REFUSED || event->input == VIONET_STANDBY_SHOW_FAILED;

    g_log(G_LOG_DOMAIN, bad ? G_LOG_LEVEL_WARNING : G_LOG_LEVEL_INFO,
          "standby: %s: the primary was %s, is %s; %s: %s", vionet_standby_input_name(event->input),
          vionet_primary_state_name(event->from), vionet_primary_state_name(event->to),
          vionet_standby_action_name(event->action), vionet_standby_outcome_name(event->outcome));
    failover->told(failover->opaque, event);
    check_migration(failover);
}

/* ---- Arguments ---- */

static bool refuse(GError **error, const char *why)
{
    g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG, "--primary: %s", why);
    return false;
}

/* As QEMU's -device reads it: switches and numbers are what they look like. */
static void set_argument(JsonObject *object, const char *name, const char *value)
{
    uint64_t number;

    if (!value || strcmp(value, "on") == 0 || strcmp(value, "off") == 0) {
        json_object_set_boolean_member(object, name, !value || value[1] == 'n');
    } else if (options_number(value, 0, G_MAXINT64, &number)) {
        json_object_set_int_member(object, name, (gint64)number);
    } else {
        json_object_set_string_member(object, name, value);
    }
}

static JsonObject *parse_list(const char *text, GError **error)
{
    GPtrArray *options = options_parse(text, error);
    JsonObject *object;

    if (!options) {
        return NULL;
    }
    object = json_object_new();
    for (guint i = 0; i < options->len; i++) {
        const struct option *option = g_ptr_array_index(options, i);

        if (i == 0 && !option->value) {
            json_object_set_string_member(object, "driver", option->name);
        } else if (strcmp(option->name, "id") == 0 && option->value) {
            json_object_set_string_member(object, "id", option->value);
        } else {
            set_argument(object, option->name, option->value);
        }
    }
    g_ptr_array_unref(options);
    return object;
}

static JsonObject *parse_json(const char *text, GError **error)
{
    JsonNode *root = json_from_string(text, error);
    JsonObject *object = NULL;

    if (root && JSON_NODE_HOLDS_OBJECT(root)) {
        object = json_object_ref(json_node_get_object(root));
    }
    g_clear_pointer(&root, json_node_unref);
    return object;
}

static bool read_primary(struct failover *failover, const char *text, GError **error)
{
    JsonObject *object = *text == '{' ? parse_json(text, NULL) : parse_list(text, error);

    if (!object) {
        return (error && *error) || refuse(error, "not a JSON object");
    }
    failover->primary = object;
    failover->id = qmp_text(object, "id");
    if (!*qmp_text(object, "driver") || !*failover->id) {
        return refuse(error, "driver and id are needed");
    }
    failover->identity = (VionetPrimary){.size = sizeof(VionetPrimary), .group = GROUP};
    failover->identity.has_mac = json_object_has_member(object, "mac");
    return !failover->identity.has_mac ||
           properties_read_mac(qmp_text(object, "mac"), failover->identity.mac) ||
           refuse(error, "mac is not a MAC address");
}

/* ---- Commands ---- */

static const struct {
    const char *name;
    VionetStandbyInput input;
} commands[] = {
    {"show", VIONET_STANDBY_SHOW},
    {"hide", VIONET_STANDBY_HIDE},
    {"add", VIONET_STANDBY_CONFIGURED},
    {"remove", VIONET_STANDBY_REMOVE},
    {"migration-starts", VIONET_STANDBY_MIGRATION_STARTS},
    {"migration-failed", VIONET_STANDBY_MIGRATION_FAILED},
    {"migration-left", VIONET_STANDBY_MIGRATION_LEFT},
    {"migration-arrived", VIONET_STANDBY_MIGRATION_ARRIVED},
};

static bool give(struct failover *failover, VionetStandbyInput input, GError **error)
{
    if (input == VIONET_STANDBY_CONFIGURED) {
        return failover->primary
                   ? vionet_standby_configure(failover->standby, &failover->identity, error)
                   : refuse(error, "there is none on the command line");
    }
    if (!vionet_standby_input(failover->standby, input)) {
        g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG, "the primary is %s",
                    vionet_primary_state_name(vionet_standby_state(failover->standby)));
        return false;
    }
    return true;
}

bool failover_command(struct failover *failover, const char *name, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return give(failover, commands[i].input, error);
        }
    }
    g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG, "no such command");
    return false;
}

/* ---- Life ---- */

static const struct qmp_ops monitor_ops = {monitor_ready, monitor_event};

static bool make_standby(struct failover *failover, const VionetConfig *device, GError **error)
{
    VionetStandbyConfig config = {.size = sizeof(config),
                                  .model = failover->model,
                                  .group = failover->primary ? GROUP : NULL};
    VionetStandbyOps ops = {.size = sizeof(ops), .event = happened};

    memcpy(config.mac, device->mac, 6);
    if (failover->qmp) {
        ops.show = show;
        ops.hide = hide;
        ops.unplug = unplug;
        ops.cancel = cancel;
    }
    failover->standby = vionet_standby_new(&config, &ops, failover, error);
    return failover->standby &&
           (!failover->primary ||
            vionet_standby_configure(failover->standby, &failover->identity, error));
}

struct failover *failover_new(const struct failover_options *options, const VionetConfig *device,
                              GMainContext *context, failover_told told, void *opaque,
                              GError **error)
{
    struct failover *failover = g_new0(struct failover, 1);
    bool good;

    failover->model = options->model;
    failover->release_s = options->release_s;
    failover->context = context;
    failover->told = told;
    failover->opaque = opaque;
    good = !options->primary || read_primary(failover, options->primary, error);
    if (good && options->qmp) {
        failover->qmp = qmp_new(options->qmp, context, &monitor_ops, failover, error);
        good = failover->qmp;
    }
    if (!good || !make_standby(failover, device, error)) {
        failover_free(failover);
        return NULL;
    }
    return failover;
}

void failover_free(struct failover *failover)
{
    if (failover) {
        stop_waiting(failover);
        qmp_free(failover->qmp);
        vionet_standby_free(failover->standby);
        g_clear_pointer(&failover->primary, json_object_unref);
        g_free(failover);
    }
}

void failover_follow(struct failover *failover, const VionetDevice *device,
                     const VionetEvent *event)
{
    vionet_standby_follow(failover->standby, device, event);
}

static char *end_line(JsonBuilder *builder)
{
    JsonNode *root;
    char *text;

    json_builder_end_object(builder);
    root = json_builder_get_root(builder);
    text = json_to_string(root, FALSE);
    json_node_unref(root);
    g_object_unref(builder);
    return text;
}

void failover_describe(const struct failover *failover, JsonBuilder *builder)
{
    const VionetStandby *standby = failover->standby;

    document_add_text(builder, "model", vionet_standby_model_name(failover->model));
    document_add_text(builder, "primary", vionet_primary_state_name(vionet_standby_state(standby)));
    document_add_switch(builder, "negotiated", vionet_standby_negotiated(standby));
    document_add_switch(builder, "blocks-migration", vionet_standby_blocks_migration(standby));
    if (failover->qmp) {
        document_add_switch(builder, "monitor", failover->connected);
    }
}

char *failover_describe_line(const struct failover *failover)
{
    JsonBuilder *builder = json_builder_new();

    json_builder_begin_object(builder);
    failover_describe(failover, builder);
    return end_line(builder);
}

char *failover_describe_event(const VionetStandbyEvent *event)
{
    JsonBuilder *builder = json_builder_new();

    json_builder_begin_object(builder);
    document_add_text(builder, "event", vionet_standby_input_name(event->input));
    document_add_text(builder, "from", vionet_primary_state_name(event->from));
    document_add_text(builder, "to", vionet_primary_state_name(event->to));
    document_add_text(builder, "action", vionet_standby_action_name(event->action));
    document_add_text(builder, "outcome", vionet_standby_outcome_name(event->outcome));
    return end_line(builder);
}
