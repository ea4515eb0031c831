/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Management's character device; see standby_control.h. Called by standby.c, and by QEMU's main loop.
 */
#include "qemu/osdep.h"

#include "standby_control.h"

#include "compat.h"

#define MAX_LINE 128

struct standby_control {
    CharBackend *back_end;
    VionetStandby *standby;
    char in[MAX_LINE];
    size_t n_in;
};

static const struct {
    const char *name;
    VionetStandbyInput input;
} commands[] = {
    {"show", VIONET_STANDBY_SHOW},
    {"hide", VIONET_STANDBY_HIDE},
    {"remove", VIONET_STANDBY_REMOVE},
};

/* The whole line or no connection: QEMU does not wait for who does not read. */
static void write_line(struct standby_control *control, JSONWriter *writer)
{
    GString *line;

    json_writer_end_object(writer);
    line = json_writer_get_and_free(writer);
    g_string_append_c(line, '\n');
    if (qemu_chr_fe_write(control->back_end, (const uint8_t *)line->str, (int)line->len) !=
        (int)line->len) {
        qemu_chr_fe_disconnect(control->back_end);
    }
    g_string_free(line, TRUE);
}

static JSONWriter *begin_line(void)
{
    JSONWriter *writer = json_writer_new(false);

    json_writer_start_object(writer, NULL);
    return writer;
}

static void describe(struct standby_control *control)
{
    const VionetStandby *standby = control->standby;
    JSONWriter *writer = begin_line();

    json_writer_str(writer, "model", vionet_standby_model_name(vionet_standby_model(standby)));
    json_writer_str(writer, "primary", vionet_primary_state_name(vionet_standby_state(standby)));
    json_writer_bool(writer, "negotiated", vionet_standby_negotiated(standby));
    json_writer_bool(writer, "blocks-migration", vionet_standby_blocks_migration(standby));
    write_line(control, writer);
}

void standby_control_tell(struct standby_control *control, const VionetStandbyEvent *event)
{
    JSONWriter *writer;

    if (!control) {
        return;
    }
    writer = begin_line();
    json_writer_str(writer, "event", vionet_standby_input_name(event->input));
    json_writer_str(writer, "from", vionet_primary_state_name(event->from));
    json_writer_str(writer, "to", vionet_primary_state_name(event->to));
    json_writer_str(writer, "action", vionet_standby_action_name(event->action));
    json_writer_str(writer, "outcome", vionet_standby_outcome_name(event->outcome));
    write_line(control, writer);
}

/* NULL if it was done, or why not. */
static char *obey(struct standby_control *control, const char *command)
{
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (strcmp(commands[i].name, command) != 0) {
            continue;
        }
        return vionet_standby_input(control->standby, commands[i].input)
                   ? NULL
                   : g_strdup_printf(
                         "the primary is %s",
                         vionet_primary_state_name(vionet_standby_state(control->standby)));
    }
    return g_strdup("no such command");
}

static void answer(struct standby_control *control, const char *command)
{
    g_autofree char *why = obey(control, command);
    g_autofree char *shown = g_utf8_make_valid(command, -1);
    JSONWriter *writer = begin_line();

    json_writer_str(writer, "command", shown);
    json_writer_bool(writer, "done", !why);
    if (why) {
        json_writer_str(writer, "why", why);
    }
    write_line(control, writer);
}

static int can_read(void *opaque)
{
    const struct standby_control *control = opaque;

    return (int)(MAX_LINE - control->n_in);
}

static void read_octets(void *opaque, const uint8_t *octets, int n)
{
    struct standby_control *control = opaque;
    char *end;

    memcpy(control->in + control->n_in, octets, (size_t)n);
    control->n_in += (size_t)n;
    while ((end = memchr(control->in, '\n', control->n_in)) != NULL) {
        *end = '\0';
        answer(control, control->in);
        control->n_in -= (size_t)(end + 1 - control->in);
        memmove(control->in, end + 1, control->n_in);
    }
    if (control->n_in == MAX_LINE) {
        control->n_in = 0;
        qemu_chr_fe_disconnect(control->back_end);
    }
}

static void changed(void *opaque, QEMUChrEvent event)
{
    struct standby_control *control = opaque;

    if (event == CHR_EVENT_OPENED) {
        control->n_in = 0;
        describe(control);
    }
}

struct standby_control *standby_control_new(CharBackend *back_end, VionetStandby *standby)
{
    struct standby_control *control;

    if (!qemu_chr_fe_backend_connected(back_end)) {
        return NULL;
    }
    control = g_new0(struct standby_control, 1);
    control->back_end = back_end;
    control->standby = standby;
    qemu_chr_fe_set_handlers(back_end, can_read, read_octets, changed, NULL, control, NULL, true);
    return control;
}

void standby_control_free(struct standby_control *control)
{
    if (control) {
        qemu_chr_fe_set_handlers(control->back_end, NULL, NULL, NULL, NULL, NULL, NULL, false);
        g_free(control);
    }
}
