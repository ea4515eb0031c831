/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command line; see arguments.h. Called by main.c. Values are read as they were typed (file names
 * are no text), in two steps: GLib's parser sorts them, then each is looked at.
 */
#include "arguments.h"

#include <fcntl.h>
#include <string.h>

#include "backend.h"
#include "failover.h"
#include "options.h"
#include "properties.h"
#include "trace.h"

/* As typed, NULL where nothing was. */
struct typed {
    char *protocol;
    char *socket;
    char *socket_fd;
    char *device;
    char *netdev;
    char *log_level;
    char *log_format;
    char *status;
    char *trace;
    char *ready_fd;
    char *standby;
    char *qmp;
    char *primary;
    char *control;
    gboolean client;
    gboolean once;
    gboolean no_sandbox;
    gboolean version;
    char **rest;
};

static bool refuse(const char *option, const char *value, const char *expected, GError **error)
{
    g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG, "--%s=%s: expected %s", option, value,
                expected);
    return false;
}

/* ---- GLib's part ---- */

#define TYPED(name, member, help, value)                               \
    {                                                                  \
        name, 0, 0, G_OPTION_ARG_FILENAME, &typed->member, help, value \
    }
#define SWITCH(name, member, help)                                \
    {                                                             \
        name, 0, 0, G_OPTION_ARG_NONE, &typed->member, help, NULL \
    }

static char *describe_values(void)
{
    char *properties = properties_help();
    char *backends = backend_help();
    char *text = g_strconcat(properties, "\n", backends, NULL);

    g_free(properties);
    g_free(backends);
    return text;
}

static bool sort(struct typed *typed, char ***argv, GError **error)
{
    const GOptionEntry entries[] = {
        TYPED("socket", socket, "where VMMs connect", "PATH"),
        TYPED("socket-fd", socket_fd, "the same, a socket that listens already", "N"),
        TYPED("protocol", protocol, "vfio-user or vhost-user (vfio-user)", "PROTOCOL"),
        SWITCH("client", client, "vhost-user: connect to --socket, and again when that is lost"),
        TYPED("device", device, "the device's properties", "NAME=VALUE,..."),
        TYPED("netdev", netdev, "what is behind the device (null)", "BACKEND,..."),
        TYPED("log-level", log_level, "error, warning, message, info or debug (message)", "LEVEL"),
        TYPED("log-format", log_format, "text or json, a line each (text)", "FORMAT"),
        TYPED("status", status, "who connects here gets the state as JSON", "PATH"),
        TYPED("trace", trace, "writes what crosses the device as pcapng", "FILE[,snaplen=N]"),
        TYPED("standby", standby, "who shows and hides the primary: separate, coupled or combined",
              "MODEL[,release=SECONDS]"),
        TYPED("qmp", qmp, "the VMM's monitor, to add and remove the primary", "PATH"),
        TYPED("primary", primary, "the device that ours stands by for, as for device_add",
              "DRIVER,id=ID,..."),
        TYPED("control", control, "management's commands about the primary, and events", "PATH"),
        TYPED("ready-fd", ready_fd, "gets a line when VMMs can connect", "N"),
        SWITCH("once", once, "end when the first VMM has gone"),
        SWITCH("no-sandbox", no_sandbox, "do without the system call filter"),
        SWITCH("version", version, "print the version"),
        {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &typed->rest, NULL, NULL},
        G_OPTION_ENTRY_NULL,
    };
    GOptionContext *context = g_option_context_new("- a virtio network device for a VMM");
    char *description = describe_values();
    bool good;

    g_option_context_add_main_entries(context, entries, NULL);
    g_option_context_set_description(context, description);
    good = g_option_context_parse_strv(context, argv, error);
    g_option_context_free(context);
    g_free(description);
    return good;
}

/* ---- Ours ---- */

static bool read_fd(const char *option, const char *value, int *fd, GError **error)
{
    uint64_t number;

    *fd = -1;
    if (!value) {
        return true;
    }
    if (!options_number(value, 0, G_MAXINT, &number) || fcntl((int)number, F_GETFD) < 0) {
        return refuse(option, value, "the number of an open descriptor", error);
    }
    *fd = (int)number;
    return true;
}

static bool read_log(const struct typed *typed, struct arguments *to, GError **error)
{
    if (typed->log_level && !log_find_level(typed->log_level, &to->log_level)) {
        return refuse("log-level", typed->log_level, "error, warning, message, info or debug",
                      error);
    }
    if (typed->log_format && strcmp(typed->log_format, "json") == 0) {
        to->log_format = LOG_JSON;
    } else if (typed->log_format && strcmp(typed->log_format, "text") != 0) {
        return refuse("log-format", typed->log_format, "text or json", error);
    }
    return true;
}

/* FILE,snaplen=N, a comma in the file's name doubled; FILE may have an equals sign. */
static bool read_trace(const struct typed *typed, struct arguments *to, GError **error)
{
    GPtrArray *options = typed->trace ? options_parse(typed->trace, error) : NULL;
    const struct option *option;
    uint64_t snaplen = TRACE_SNAPLEN;
    bool good = true;

    if (!options) {
        return !typed->trace;
    }
    for (guint i = 0; i < options->len && good; i++) {
        option = g_ptr_array_index(options, i);
        if (i == 0) {
            to->trace = option->value ? g_strdup_printf("%s=%s", option->name, option->value)
                                      : g_strdup(option->name);
        } else {
            good = strcmp(option->name, "snaplen") == 0 && option->value &&
                   options_number(option->value, 1, TRACE_SNAPLEN, &snaplen);
        }
    }
    g_ptr_array_unref(options);
    to->trace_snaplen = (uint32_t)snaplen;
    return (good && to->trace) ||
           refuse("trace", typed->trace, "FILE or FILE,snaplen=N, N from 1 to 262144", error);
}

static bool read_protocol(const struct typed *typed, struct arguments *to, GError **error)
{
    if (typed->protocol && strcmp(typed->protocol, "vhost-user") == 0) {
        to->protocol = PROTOCOL_VHOST_USER;
    } else if (typed->protocol && strcmp(typed->protocol, "vfio-user") != 0) {
        return refuse("protocol", typed->protocol, "vfio-user or vhost-user", error);
    }
    if (typed->client && (to->protocol != PROTOCOL_VHOST_USER || !typed->socket)) {
        g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG,
                    "--client goes with --protocol=vhost-user and --socket");
        return false;
    }
    to->client = typed->client;
    return true;
}

static bool find_model(const char *name, VionetStandbyModel *model)
{
    for (*model = 0; *model < VIONET_N_STANDBY_MODELS; (*model)++) {
        if (strcmp(vionet_standby_model_name(*model), name) == 0) {
            return true;
        }
    }
    return false;
}

static bool read_model(const struct typed *typed, struct arguments *to, GError **error)
{
    GPtrArray *options = typed->standby ? options_parse(typed->standby, error) : NULL;
    uint64_t release = FAILOVER_RELEASE_S;
    bool good = options && options->len > 0;

    if (!options) {
        return !typed->standby;
    }
    for (guint i = 0; i < options->len && good; i++) {
        const struct option *option = g_ptr_array_index(options, i);

        good = i == 0 ? !option->value && find_model(option->name, &to->standby_model)
                      : strcmp(option->name, "release") == 0 && option->value &&
                            options_number(option->value, 1, 3600, &release);
    }
    g_ptr_array_unref(options);
    to->release_s = (unsigned)release;
    return good || refuse("standby", typed->standby,
                          "separate, coupled or combined, and release= from 1 to 3600", error);
}

static bool read_standby(const struct typed *typed, struct arguments *to, GError **error)
{
    to->standby_model = VIONET_STANDBY_SEPARATE;
    to->release_s = FAILOVER_RELEASE_S;
    to->standby = typed->standby || typed->qmp || typed->primary || typed->control;
    if (to->standby && to->protocol != PROTOCOL_VFIO_USER) {
        g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG,
                    "--standby, --qmp, --primary and --control go with --protocol=vfio-user");
        return false;
    }
    if (!typed->qmp != !typed->primary) {
        g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG, "--qmp and --primary go together");
        return false;
    }
    return read_model(typed, to, error);
}

static bool check_socket(const struct typed *typed, GError **error)
{
    if (!typed->socket && !typed->socket_fd) {
        g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG,
                    "--socket=PATH or --socket-fd=N is missing");
        return false;
    }
    if (typed->socket && typed->socket_fd) {
        g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG,
                    "--socket and --socket-fd do not go together");
        return false;
    }
    return true;
}

static bool check(const struct typed *typed, struct arguments *to, GError **error)
{
    if (typed->rest) {
        g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG, "unexpected argument %s",
                    typed->rest[0]);
        return false;
    }
    return check_socket(typed, error) && read_protocol(typed, to, error) &&
           read_fd("socket-fd", typed->socket_fd, &to->socket_fd, error) &&
           read_fd("ready-fd", typed->ready_fd, &to->ready_fd, error) &&
           read_log(typed, to, error) && read_trace(typed, to, error) &&
           read_standby(typed, to, error);
}

static char *take(char **typed, const char *by_default)
{
    char *value = *typed ? *typed : g_strdup(by_default);

    *typed = NULL;
    return value;
}

bool arguments_parse(struct arguments *arguments, int argc, char **argv, GError **error)
{
    char **copy = g_new0(char *, argc + 1);
    struct typed typed = {0};
    bool good;

    for (int i = 0; i < argc; i++) {
        copy[i] = g_strdup(argv[i]);
    }
    *arguments = (struct arguments){.log_level = G_LOG_LEVEL_MESSAGE};
    good = sort(&typed, &copy, error) && (typed.version || check(&typed, arguments, error));
    arguments->version = typed.version;
    arguments->once = typed.once;
    arguments->sandbox = !typed.no_sandbox;
    arguments->socket = take(&typed.socket, NULL);
    arguments->device = take(&typed.device, "");
    arguments->netdev = take(&typed.netdev, "null");
    arguments->status = take(&typed.status, NULL);
    arguments->qmp = take(&typed.qmp, NULL);
    arguments->primary = take(&typed.primary, NULL);
    arguments->control = take(&typed.control, NULL);
    g_free(typed.protocol);
    g_free(typed.socket_fd);
    g_free(typed.log_level);
    g_free(typed.log_format);
    g_free(typed.trace);
    g_free(typed.ready_fd);
    g_free(typed.standby);
    g_strfreev(typed.rest);
    g_strfreev(copy);
    return good;
}

void arguments_clear(struct arguments *arguments)
{
    g_free(arguments->socket);
    g_free(arguments->device);
    g_free(arguments->netdev);
    g_free(arguments->status);
    g_free(arguments->trace);
    g_free(arguments->qmp);
    g_free(arguments->primary);
    g_free(arguments->control);
}
