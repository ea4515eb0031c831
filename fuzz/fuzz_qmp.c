/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a VMM says at its monitor as input, to the daemon's client of QMP and what it does there for failover
 * (device/daemon/qmp.c, failover.c): greetings, answers and events in order or spoiled, raw octets, in pieces, lines
 * that are too long; between them a VMM that goes and comes again, management's commands, and what the driver of the
 * standby does.
 *
 * What must hold all along: the client sends whole lines, each a command with a number above the last, no more of them
 * than it may be owed answers for; where the daemon decides alone, nothing is added for a guest that has not accepted
 * STANDBY; the event loop comes to rest, and no descriptor is left. In the end the next VMM is asked for the primary.
 *
 * Input: 1 octet (the model), then actions, an octet each with its operands (see act()).
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include <vionet/spec.h>
#include <vionet/transport.h>

#include "failover.h"
#include "input.h"
#include "process.h"
#include "reach.h"

#define MAX_ACTIONS 64
#define MAX_TEXT    300
#define LONG_LINE   (64 * 1024 + 64)
#define MAX_OWED    32 /* as qmp.c has it */
#define MAX_TRIES   64 /* actions until a sound VMM has its primary */

enum {
    COMMANDS,
    READY,
    ADDED,
    DELETED,
    EVENTS,
    TOLD,
    VISIBLE,
    LOST,
    TOO_LONG,
    WORKS,
};

struct reach fuzz_reach[] = {
    [COMMANDS] = {"commands of the client", 1000, 0},
    [READY] = {"connections that were agreed on", 300, 0},
    [ADDED] = {"device_add", 200, 0},
    [DELETED] = {"device_del", 10, 0},
    [EVENTS] = {"events of the VMM", 60, 0},
    [TOLD] = {"events of failover", 1000, 0},
    [VISIBLE] = {"times that the primary was visible", 1000, 0},
    [LOST] = {"connections that the client ended", 80, 0},
    [TOO_LONG] = {"lines that were too long", 5, 0},
    [WORKS] = {"primaries in the end", 150, 0},
    {NULL, 0, 0},
};

#define REACHED(what) (fuzz_reach[what].count++)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A command that was not answered. */
struct asked {
    gint64 id;
    char name[32];
};

struct run {
    struct input input;
    VionetStandbyModel model;
    struct failover *failover;
    VionetDevice *device;
    int fd; /* the VMM's end, -1: none */
    GString *in;
    gint64 last_id;
    struct asked asked[MAX_OWED];
    unsigned n_asked;
    bool greeted;    /* the client, by this connection */
    bool negotiated; /* before the action under way, or behind it */
};

static GMainContext *context;
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static int listening;

static void clean_up(void)
{
    char *folder = g_path_get_dirname(address.sun_path);

    g_unlink(address.sun_path);
    g_rmdir(folder);
    g_free(folder);
}

static void set_up(void)
{
    char *folder = g_dir_make_tmp("fuzz-qmp-XXXXXX", NULL);

    FUZZ_REQUIRE(folder, "no temporary folder");
    g_snprintf(address.sun_path, sizeof(address.sun_path), "%s/qmp", folder);
    g_free(folder);
    listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    FUZZ_REQUIRE(bind(listening, (struct sockaddr *)&address, sizeof(address)) == 0 &&
                     listen(listening, 8) == 0,
                 "no socket");
    atexit(clean_up);
    context = g_main_context_new();
    process_drop_log();
}

/* ---- What the client sends ---- */

static bool says(const struct run *run, const char *what)
{
    char *line = failover_describe_line(run->failover);
    const bool does = strstr(line, what) != NULL;

    g_free(line);
    return does;
}

static void take_command(struct run *run, const char *line)
{
    JsonParser *parser = json_parser_new();
    JsonObject *object;
    struct asked *asked;

    FUZZ_REQUIRE(json_parser_load_from_data(parser, line, -1, NULL) &&
                     JSON_NODE_HOLDS_OBJECT(json_parser_get_root(parser)),
                 "no object: %s", line);
    object = json_node_get_object(json_parser_get_root(parser));
    FUZZ_REQUIRE(run->n_asked < MAX_OWED, "it is owed too much");
    asked = &run->asked[run->n_asked++];
    asked->id = json_object_get_int_member(object, "id");
    g_strlcpy(asked->name, json_object_get_string_member(object, "execute"), sizeof(asked->name));
    FUZZ_REQUIRE(asked->id > run->last_id, "not a number above the last: %s", line);
    run->last_id = asked->id;
    REACHED(COMMANDS);
    if (strcmp(asked->name, "device_add") == 0) {
        FUZZ_REQUIRE(run->negotiated, "added for a guest that has not accepted STANDBY");
        REACHED(ADDED);
    } else if (strcmp(asked->name, "device_del") == 0) {
        REACHED(DELETED);
    } else if (strcmp(asked->name, "migrate-set-capabilities") == 0) {
        REACHED(READY);
    }
    g_object_unref(parser);
}

static void take_commands(struct run *run)
{
    char *end;

    while ((end = memchr(run->in->str, '\n', run->in->len)) != NULL) {
        *end = '\0';
        take_command(run, run->in->str);
        g_string_erase(run->in, 0, end + 1 - run->in->str);
    }
}

static void hang_up(struct run *run)
{
    if (run->fd >= 0) {
        close(run->fd);
    }
    run->fd = -1;
    run->n_asked = 0;
    run->greeted = false;
    g_string_truncate(run->in, 0);
}

/* Lets the client work, and reads what it has to say; it comes again when it was lost. */
static void look(struct run *run)
{
    char octets[4096];
    ssize_t n;

    run->negotiated |= says(run, "\"negotiated\":true");
    process_settle(context);
    run->negotiated |= says(run, "\"negotiated\":true");
    while (run->fd >= 0) {
        n = recv(run->fd, octets, sizeof(octets), MSG_DONTWAIT);
        if (n < 0 && errno != ECONNRESET) {
            break;
        }
        if (n <= 0) { /* reset: it left some of what we said unread */
            FUZZ_REQUIRE(n < 0 || run->in->len == 0, "half a line: %s", run->in->str);
            REACHED(LOST);
            hang_up(run);
            break;
        }
        g_string_append_len(run->in, octets, n);
        take_commands(run);
    }
    if (run->fd < 0) {
        run->fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    }
    if (says(run, "\"primary\":\"visible\"")) {
        REACHED(VISIBLE);
    }
    run->negotiated = says(run, "\"negotiated\":true");
}

/* ---- What the VMM says ---- */

static void say(struct run *run, const char *octets, size_t len)
{
    while (run->fd >= 0 && len > 0) {
        const ssize_t n = send(run->fd, octets, len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n > 0) {
            octets += n;
            len -= (size_t)n;
        } else if (errno != EAGAIN) {
            break; /* which look() finds too */
        }
        if (len > 0) {
            look(run);
        }
    }
}

static const char *const events[] = {
    "{\"event\":\"DEVICE_DELETED\",\"data\":{\"device\":\"nic\",\"path\":\"/machine/peripheral/nic\"}}",
    "{\"event\":\"DEVICE_DELETED\",\"data\":{\"path\":\"/machine/peripheral/nic/bus\"}}",
    "{\"event\":\"DEVICE_DELETED\",\"data\":{\"device\":\"other\",\"path\":\"/\"}}",
    "{\"event\":\"DEVICE_UNPLUG_GUEST_ERROR\",\"data\":{\"device\":\"nic\",\"path\":\"/\"}}",
    "{\"event\":\"MIGRATION\",\"data\":{\"status\":\"setup\"}}",
    "{\"event\":\"MIGRATION\",\"data\":{\"status\":\"active\"}}",
    "{\"event\":\"MIGRATION\",\"data\":{\"status\":\"completed\"}}",
    "{\"event\":\"MIGRATION\",\"data\":{\"status\":\"failed\"}}",
    "{\"event\":\"MIGRATION\",\"data\":{\"status\":\"cancelled\"}}",
    "{\"event\":\"MIGRATION\",\"data\":{\"status\":\"wait-unplug\"}}",
    "{\"event\":\"RESET\",\"data\":{\"guest\":true}}",
    "{\"event\":\"STOP\"}",
};

static const char *const errors[] = {"GenericError", "DeviceNotFound", "CommandNotFound"};

/* A line of the VMM's, sound: 0 a greeting, then events, then answers to the oldest command. */
static char *sound_line(const struct run *run, unsigned which)
{
    const gint64 id = run->n_asked ? run->asked[0].id : 0;
    const bool lists = run->n_asked && strcmp(run->asked[0].name, "qom-list") == 0;

    if (which == 0) {
        return g_strdup("{\"QMP\":{\"version\":{\"qemu\":{\"major\":11}},\"capabilities\":[]}}");
    }
    which--;
    if (which < G_N_ELEMENTS(events)) {
        return g_strdup(events[which]);
    }
    which -= (unsigned)G_N_ELEMENTS(events);
    if (which < G_N_ELEMENTS(errors)) {
        return g_strdup_printf("{\"id\":%" G_GINT64_FORMAT
                               ",\"error\":{\"class\":\"%s\",\"desc\":\"no\"}}",
                               id, errors[which]);
    }
    if (lists) {
        return g_strdup_printf("{\"return\":[{\"name\":\"%s\",\"type\":\"child<pc>\"}],"
                               "\"id\":%" G_GINT64_FORMAT "}",
                               which == G_N_ELEMENTS(errors) ? "type" : "nic", id);
    }
    return g_strdup_printf("{\"return\":{},\"id\":%" G_GINT64_FORMAT "}", id);
}

#define FIRST_ERROR   (1 + (unsigned)G_N_ELEMENTS(events))
#define ANSWER        (FIRST_ERROR + (unsigned)G_N_ELEMENTS(errors))
#define N_LINES       (ANSWER + 2) /* that of qom-list has our primary, or not */
#define ANSWERS(line) ((line) >= FIRST_ERROR)

static void say_line(struct run *run, unsigned which)
{
    char *line = sound_line(run, which);

    say(run, line, strlen(line));
    say(run, "\n", 1);
    run->greeted |= which == 0;
    if (which > 0 && which < FIRST_ERROR && run->fd >= 0) {
        REACHED(EVENTS);
    }
    if (ANSWERS(which) && run->n_asked) {
        memmove(run->asked, run->asked + 1, --run->n_asked * sizeof(run->asked[0]));
    }
    g_free(line);
    look(run);
}

/* What a sound VMM says next, if it has anything to say. */
static void say_next(struct run *run, unsigned answer)
{
    if (run->n_asked) {
        say_line(run, answer);
    } else if (!run->greeted) {
        say_line(run, 0);
    } else {
        look(run);
    }
}

/* One of them with an octet changed, a part left out, or another put in. */
static void say_spoiled(struct run *run)
{
    char *line = sound_line(run, input_below(&run->input, N_LINES));
    GString *text = g_string_new(line);
    const size_t at = input_below(&run->input, (unsigned)text->len);
    const uint8_t how = input_8(&run->input);
    size_t n = input_below(&run->input, 32);

    if (how % 3 == 0) {
        text->str[at] = (char)how;
    } else if (how % 3 == 1) {
        g_string_erase(text, (gssize)at, (gssize)MIN(n, text->len - at));
    } else {
        const uint8_t *octets = input_take(&run->input, &n);

        g_string_insert_len(text, (gssize)at, (const char *)octets, (gssize)n);
    }
    g_string_append_c(text, '\n');
    say(run, text->str, text->len);
    g_string_free(text, TRUE);
    g_free(line);
    look(run);
}

static void say_raw(struct run *run)
{
    size_t n = input_below(&run->input, MAX_TEXT);
    const uint8_t *octets = input_take(&run->input, &n);

    say(run, (const char *)octets, n);
    look(run);
}

static void say_too_much(struct run *run)
{
    char *octets = g_strnfill(LONG_LINE, ' ');
    const int before = run->fd;
    const uint64_t lost = fuzz_reach[LOST].count;

    say(run, octets, LONG_LINE);
    g_free(octets);
    look(run);
    FUZZ_REQUIRE(before < 0 || fuzz_reach[LOST].count > lost, "any line is taken");
    REACHED(TOO_LONG);
}

/* ---- What others do ---- */

static void told(void *opaque, const VionetStandbyEvent *event)
{
    (void)opaque;
    (void)event;
    REACHED(TOLD);
}

static void device_event(void *opaque, const VionetEvent *event)
{
    struct run *run = opaque;

    failover_follow(run->failover, run->device, event);
}

static void command(struct run *run, unsigned which)
{
    static const char *const names[] = {"show",
                                        "hide",
                                        "add",
                                        "remove",
                                        "migration-starts",
                                        "migration-failed",
                                        "migration-left",
                                        "migration-arrived",
                                        "nonsense"};

    failover_command(run->failover, names[which % G_N_ELEMENTS(names)], NULL);
    look(run);
}

static void drive(struct run *run, unsigned what)
{
    VionetDevice *device = run->device;

    switch (what % 4) {
    case 0:
        vionet_device_write_status(device, 0);
        break;
    case 1:
        vionet_device_reset(device);
        break;
    default:
        vionet_device_write_status(device, 3);
        vionet_device_write_driver_features(device, 1, what % 4 == 2 ? 1u << 30 | 1 : 1);
        vionet_device_write_status(device, 15);
        break;
    }
    look(run);
}

static void act(struct run *run)
{
    const unsigned what = input_below(&run->input, 9);

    switch (what) {
    case 0:
        hang_up(run);
        look(run);
        break;
    case 1:
    case 2:
        say_line(run, input_below(&run->input, N_LINES));
        break;
    case 3:
        say_next(run, ANSWER + input_below(&run->input, 2));
        break;
    case 4:
        say_spoiled(run);
        break;
    case 5:
        say_raw(run);
        break;
    case 6:
        command(run, input_8(&run->input));
        break;
    case 7:
        drive(run, input_8(&run->input));
        break;
    default:
        if (input_8(&run->input) == 0) {
            say_too_much(run);
        } else {
            say(run, "\n", 1);
            look(run);
        }
        break;
    }
}

/* The next VMM, a sound one, has no primary, and a driver comes that can have it. */
static void require_works(struct run *run)
{
    hang_up(run);
    drive(run, 1);
    command(run, 5); /* no migration is under way */
    command(run, 0);
    for (unsigned i = 0; i < MAX_TRIES; i++) {
        const bool deletes = run->n_asked && strcmp(run->asked[0].name, "device_del") == 0;

        if (i == MAX_TRIES / 4) {
            command(run, 2); /* there is one, if there was none */
            drive(run, 2);
            command(run, 0);
        }
        say_next(run, ANSWER);
        if (deletes) {
            say_line(run, 1);
        }
        if (run->n_asked == 0 && i > MAX_TRIES / 4 && says(run, "\"primary\":\"visible\"")) {
            REACHED(WORKS);
            return;
        }
    }
    FUZZ_REQUIRE(false, "the primary is not added");
}

static VionetDevice *make_device(struct run *run, VionetConfig *config)
{
    const VionetHostOps ops = {.size = sizeof(ops), .event = device_event};

    vionet_config_init(config);
    vionet_features_set(config->features, VIRTIO_NET_F_STANDBY, true);
    return vionet_device_new(config, &ops, run, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run run = {.input = input_of(data, size), .fd = -1, .in = g_string_new(NULL)};
    struct failover_options options = {.release_s = FAILOVER_RELEASE_S,
                                       .primary = "e1000,id=nic,mac=52:54:00:12:34:56"};
    VionetConfig config;
    unsigned n_fds;

    if (!context) {
        set_up();
    }
    n_fds = process_count_fds(); /* libFuzzer opens some between inputs, to name functions */
    run.model = options.model =
        (VionetStandbyModel)input_below(&run.input, VIONET_N_STANDBY_MODELS);
    options.qmp = address.sun_path;
    run.device = make_device(&run, &config);
    run.failover = failover_new(&options, &config, context, told, &run, NULL);
    FUZZ_REQUIRE(run.device && run.failover, "neither device nor failover");
    look(&run);
    for (unsigned i = 0; i < MAX_ACTIONS && !input_ended(&run.input); i++) {
        act(&run);
    }
    require_works(&run);
    hang_up(&run);
    failover_free(run.failover);
    vionet_device_free(run.device);
    g_string_free(run.in, TRUE);
    while ((run.fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        close(run.fd);
    }
    FUZZ_REQUIRE(process_count_fds() == n_fds, "a descriptor is left");
    return 0;
}
