/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Failover; see vionet/standby.h. Called by the embedder, beside the device, which does not know of it.
 *
 * An input changes what is known (inputs[]), then the first row for it, the state and what is known says the
 * rest (rows[]). An input that comes from within an operation waits its turn in a queue.
 */
#include "net/standby.h"

#include <string.h>

#define VIONET_SPEC_NO_STRUCTS
#include <vionet/spec.h>
#include <vionet/transport.h>

/* ---- The tables ---- */

/* Short names, so that a row is a line. */
#define ABSENT     VIONET_PRIMARY_ABSENT
#define HIDDEN     VIONET_PRIMARY_HIDDEN
#define VISIBLE    VIONET_PRIMARY_VISIBLE
#define UNPLUGGING VIONET_PRIMARY_UNPLUGGING

#define ACCEPTED  STANDBY_ACCEPTED
#define RUNS      STANDBY_RUNS
#define HELD      STANDBY_HELD
#define MIGRATING STANDBY_MIGRATING
#define REMOVING  STANDBY_REMOVING
#define ASKED     STANDBY_ASKED

#define IN(state) (1u << VIONET_PRIMARY_##state)
#define THERE     (IN(HIDDEN) | IN(VISIBLE) | IN(UNPLUGGING))
#define ALWAYS    (IN(ABSENT) | THERE)

static const struct {
    const char *name;
    unsigned in;   /* states in which it means something, if only that something is known then */
    unsigned sets; /* known from then on */
    unsigned clears;
    unsigned sets_once_done;
    bool announce;
} inputs[VIONET_N_STANDBY_INPUTS] = {
    [VIONET_STANDBY_ACCEPTED] = {"accepted", ALWAYS, .sets = ACCEPTED, .clears = RUNS},
    [VIONET_STANDBY_DECLINED] = {"declined", ALWAYS, .clears = ACCEPTED | RUNS},
    [VIONET_STANDBY_RUNNING] = {"running", ALWAYS, .sets = RUNS},
    [VIONET_STANDBY_DRIVER_RESET] = {"driver-reset", ALWAYS, .clears = ACCEPTED | RUNS},
    [VIONET_STANDBY_MACHINE_RESET] = {"machine-reset", ALWAYS, .clears = ACCEPTED | RUNS},
    [VIONET_STANDBY_RELEASED] = {"released", .in = IN(VISIBLE) | IN(UNPLUGGING)},
    [VIONET_STANDBY_REFUSED] = {"refused", IN(UNPLUGGING), .clears = REMOVING},
    [VIONET_STANDBY_SHOW_FAILED] = {"show-failed", .in = IN(VISIBLE) | IN(UNPLUGGING)},
    [VIONET_STANDBY_CONFIGURED] = {"configured", .in = IN(ABSENT)},
    [VIONET_STANDBY_REMOVE] = {"remove", THERE, .sets_once_done = REMOVING},
    [VIONET_STANDBY_HIDE] = {"hide", THERE, .sets = HELD},
    [VIONET_STANDBY_SHOW] = {"show", THERE, .clears = HELD},
    [VIONET_STANDBY_MIGRATION_STARTS] = {"migration-starts", ALWAYS, .sets = MIGRATING},
    [VIONET_STANDBY_MIGRATION_FAILED] = {"migration-failed", ALWAYS, .clears = MIGRATING},
    [VIONET_STANDBY_MIGRATION_LEFT] = {"migration-left", ALWAYS,
                                       .clears = MIGRATING | ACCEPTED | RUNS},
    [VIONET_STANDBY_MIGRATION_ARRIVED] = {"migration-arrived", ALWAYS, .clears = MIGRATING,
                                          .announce = true},
};

/* What a row asks of what is known. */
enum condition {
    ANYWAY,
    WANTED,           /* the guest can have the primary, and nothing is against it */
    WANTED_AFTER_ALL, /* the same, and it lets go of it because we had asked */
};

static const struct {
    unsigned has;
    unsigned has_not;
} conditions[] = {
    [ANYWAY] = {0, 0},
    [WANTED] = {ACCEPTED | RUNS, HELD | MIGRATING | REMOVING},
    [WANTED_AFTER_ALL] = {ACCEPTED | RUNS | ASKED, HELD | MIGRATING | REMOVING},
};

#define ON(input)  VIONET_STANDBY_##input
#define DO(action) VIONET_STANDBY_DO_##action
/* The model from which on the object acts. */
#define ALL      VIONET_STANDBY_SEPARATE
#define COUPLED  VIONET_STANDBY_COUPLED
#define COMBINED VIONET_STANDBY_COMBINED

/*
 * All that changes the state or is to be done; the first row that fits holds. HIDDEN, for a primary that is to be
 * removed, is ABSENT.
 */
static const struct row {
    VionetStandbyInput input;
    VionetPrimaryState from;
    enum condition when;
    VionetStandbyAction action;
    VionetPrimaryState to;        /* once that is done, or begun */
    VionetPrimaryState otherwise; /* it failed, or is management's */
    VionetStandbyModel by;
} rows[] = {
    /* clang-format off */
    {ON(CONFIGURED), ABSENT, WANTED, DO(SHOW), VISIBLE, HIDDEN, COUPLED},
    {ON(CONFIGURED), ABSENT, ANYWAY, DO(NOTHING), HIDDEN, HIDDEN, ALL},
    {ON(REMOVE), VISIBLE, ANYWAY, DO(UNPLUG), UNPLUGGING, VISIBLE, ALL},

    {ON(DECLINED), VISIBLE, ANYWAY, DO(UNPLUG), UNPLUGGING, VISIBLE, COUPLED},
    {ON(RUNNING), HIDDEN, WANTED, DO(SHOW), VISIBLE, HIDDEN, COUPLED},
    {ON(RUNNING), UNPLUGGING, WANTED, DO(CANCEL), VISIBLE, UNPLUGGING, COUPLED},
    {ON(DRIVER_RESET), VISIBLE, ANYWAY, DO(UNPLUG), UNPLUGGING, VISIBLE, COUPLED},
    {ON(MACHINE_RESET), VISIBLE, ANYWAY, DO(HIDE), HIDDEN, VISIBLE, COUPLED},
    {ON(MACHINE_RESET), UNPLUGGING, ANYWAY, DO(HIDE), HIDDEN, UNPLUGGING, COUPLED},

    {ON(RELEASED), UNPLUGGING, WANTED, DO(SHOW), VISIBLE, HIDDEN, COUPLED},
    {ON(RELEASED), UNPLUGGING, ANYWAY, DO(NOTHING), HIDDEN, HIDDEN, ALL},
    {ON(RELEASED), VISIBLE, WANTED_AFTER_ALL, DO(SHOW), VISIBLE, HIDDEN, COUPLED},
    {ON(RELEASED), VISIBLE, ANYWAY, DO(NOTHING), HIDDEN, HIDDEN, ALL},
    {ON(REFUSED), UNPLUGGING, ANYWAY, DO(NOTHING), VISIBLE, VISIBLE, ALL},
    {ON(SHOW_FAILED), VISIBLE, ANYWAY, DO(NOTHING), HIDDEN, HIDDEN, ALL},
    {ON(SHOW_FAILED), UNPLUGGING, ANYWAY, DO(NOTHING), HIDDEN, HIDDEN, ALL},

    {ON(HIDE), VISIBLE, ANYWAY, DO(UNPLUG), UNPLUGGING, VISIBLE, ALL},
    {ON(SHOW), HIDDEN, WANTED, DO(SHOW), VISIBLE, HIDDEN, ALL},
    {ON(SHOW), UNPLUGGING, WANTED, DO(CANCEL), VISIBLE, UNPLUGGING, ALL},

    {ON(MIGRATION_STARTS), VISIBLE, ANYWAY, DO(UNPLUG), UNPLUGGING, VISIBLE, COMBINED},
    {ON(MIGRATION_FAILED), HIDDEN, WANTED, DO(SHOW), VISIBLE, HIDDEN, COMBINED},
    {ON(MIGRATION_FAILED), UNPLUGGING, WANTED, DO(CANCEL), VISIBLE, UNPLUGGING, COMBINED},
    {ON(MIGRATION_LEFT), VISIBLE, ANYWAY, DO(HIDE), HIDDEN, VISIBLE, COMBINED},
    {ON(MIGRATION_LEFT), UNPLUGGING, ANYWAY, DO(HIDE), HIDDEN, UNPLUGGING, COMBINED},
    {ON(MIGRATION_ARRIVED), HIDDEN, WANTED, DO(SHOW), VISIBLE, HIDDEN, COMBINED},
    /* clang-format on */
};

/* ---- Names ---- */

static const char *const states[VIONET_N_PRIMARY_STATES] = {
    [VIONET_PRIMARY_ABSENT] = "absent",
    [VIONET_PRIMARY_HIDDEN] = "hidden",
    [VIONET_PRIMARY_VISIBLE] = "visible",
    [VIONET_PRIMARY_UNPLUGGING] = "unplugging",
};

static const char *const models[VIONET_N_STANDBY_MODELS] = {
    [VIONET_STANDBY_SEPARATE] = "separate",
    [VIONET_STANDBY_COUPLED] = "coupled",
    [VIONET_STANDBY_COMBINED] = "combined",
};

static const char *const actions[VIONET_N_STANDBY_ACTIONS] = {
    [VIONET_STANDBY_DO_NOTHING] = "nothing", [VIONET_STANDBY_DO_SHOW] = "show",
    [VIONET_STANDBY_DO_HIDE] = "hide",       [VIONET_STANDBY_DO_UNPLUG] = "unplug",
    [VIONET_STANDBY_DO_CANCEL] = "cancel",
};

static const char *const outcomes[VIONET_N_STANDBY_OUTCOMES] = {
    [VIONET_STANDBY_DONE] = "done",
    [VIONET_STANDBY_ADVISED] = "advised",
    [VIONET_STANDBY_FAILED] = "failed",
};

const char *vionet_primary_state_name(VionetPrimaryState state)
{
    return (unsigned)state < VIONET_N_PRIMARY_STATES ? states[state] : "unknown";
}

const char *vionet_standby_model_name(VionetStandbyModel model)
{
    return (unsigned)model < VIONET_N_STANDBY_MODELS ? models[model] : "unknown";
}

const char *vionet_standby_input_name(VionetStandbyInput input)
{
    return (unsigned)input < VIONET_N_STANDBY_INPUTS ? inputs[input].name : "unknown";
}

const char *vionet_standby_action_name(VionetStandbyAction action)
{
    return (unsigned)action < VIONET_N_STANDBY_ACTIONS ? actions[action] : "unknown";
}

const char *vionet_standby_outcome_name(VionetStandbyOutcome outcome)
{
    return (unsigned)outcome < VIONET_N_STANDBY_OUTCOMES ? outcomes[outcome] : "unknown";
}

/* ---- One input ---- */

static bool holds(enum condition when, unsigned known)
{
    return (known & conditions[when].has) == conditions[when].has &&
           !(known & conditions[when].has_not);
}

/* What is to be done: a row, or nothing. */
static struct row find_row(const VionetStandby *standby, VionetStandbyInput input, unsigned known)
{
    struct row row = {.input = input, .to = standby->state, .otherwise = standby->state};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (rows[i].input == input && rows[i].from == standby->state &&
            holds(rows[i].when, known)) {
            row = rows[i];
            break;
        }
    }
    /* Where guests are not asked, what they would be asked for happens at once. */
    if (standby->config.surprise && row.action == VIONET_STANDBY_DO_UNPLUG) {
        row.action = VIONET_STANDBY_DO_HIDE;
        row.to = HIDDEN;
    }
    return row;
}

static VionetStandbyOutcome call(bool (*operation)(void *opaque), void *opaque)
{
    if (!operation) {
        return VIONET_STANDBY_ADVISED;
    }
    return operation(opaque) ? VIONET_STANDBY_DONE : VIONET_STANDBY_FAILED;
}

static VionetStandbyOutcome act(const VionetStandby *standby, const struct row *row)
{
    const VionetStandbyOps *ops = &standby->ops;

    if (row->action == VIONET_STANDBY_DO_NOTHING) {
        return VIONET_STANDBY_DONE;
    }
    if (standby->config.model < row->by) {
        return VIONET_STANDBY_ADVISED;
    }
    switch (row->action) {
    case VIONET_STANDBY_DO_SHOW:
        return call(ops->show, standby->opaque);
    case VIONET_STANDBY_DO_UNPLUG:
        return call(ops->unplug, standby->opaque);
    case VIONET_STANDBY_DO_CANCEL:
        return call(ops->cancel, standby->opaque);
    default:
        break;
    }
    if (!ops->hide) {
        return VIONET_STANDBY_ADVISED;
    }
    ops->hide(standby->opaque);
    return VIONET_STANDBY_DONE;
}

static void settle(VionetStandby *standby, const struct row *row, VionetStandbyOutcome outcome)
{
    const VionetPrimaryState from = standby->state;

    standby->state = row->otherwise;
    if (outcome == VIONET_STANDBY_DONE) {
        standby->state = row->to;
        standby->known |= inputs[row->input].sets_once_done;
        if (row->action == VIONET_STANDBY_DO_UNPLUG) {
            standby->known |= ASKED;
        } else if (row->action != VIONET_STANDBY_DO_NOTHING) {
            standby->known &= ~(unsigned)ASKED;
        }
    }
    if (standby->state == HIDDEN && standby->known & REMOVING) {
        standby->state = ABSENT;
        standby->known &= ~(unsigned)HELD;
    }
    if (standby->state != from && (standby->state == HIDDEN || standby->state == ABSENT)) {
        standby->known &= ~(unsigned)(ASKED | REMOVING);
    }
}

static bool take(VionetStandby *standby, VionetStandbyInput input)
{
    const VionetPrimaryState from = standby->state;
    VionetStandbyEvent event = {.input = input, .from = from};
    struct row row;

    if (!(inputs[input].in & 1u << from)) {
        return false;
    }
    standby->known = (standby->known & ~inputs[input].clears) | inputs[input].sets;
    if (inputs[input].announce && standby->ops.announce) {
        standby->ops.announce(standby->opaque);
    }
    row = find_row(standby, input, standby->known); /* what the operation came to is known now */
    event.action = row.action;
    event.outcome = act(standby, &row);
    settle(standby, &row, event.outcome);
    event.to = standby->state;
    if (standby->ops.event) {
        standby->ops.event(standby->opaque, &event);
    }
    return true;
}

static bool put(VionetStandby *standby, VionetStandbyInput input)
{
    bool meant;

    if (standby->busy) {
        g_array_append_val(standby->waiting, input);
        return true;
    }
    standby->busy = true;
    meant = take(standby, input);
    for (guint i = 0; i < standby->waiting->len; i++) {
        take(standby, g_array_index(standby->waiting, VionetStandbyInput, i));
    }
    g_array_set_size(standby->waiting, 0);
    standby->busy = false;
    return meant;
}

/* ---- What others call ---- */

VionetStandby *vionet_standby_new(const VionetStandbyConfig *config, const VionetStandbyOps *ops,
                                  void *opaque, GError **error)
{
    VionetStandby *standby;
    VionetStandbyConfig full = {0};

    memcpy(&full, config, MIN(config->size, sizeof(full)));
    if ((unsigned)full.model >= VIONET_N_STANDBY_MODELS) {
        g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG, "standby: no model has number %u",
                    (unsigned)full.model);
        return NULL;
    }
    standby = g_new0(VionetStandby, 1);
    standby->config = full;
    memcpy(&standby->ops, ops, MIN(ops->size, sizeof(standby->ops)));
    standby->opaque = opaque;
    standby->group = g_strdup(full.group);
    standby->waiting = g_array_new(FALSE, FALSE, sizeof(VionetStandbyInput));
    return standby;
}

void vionet_standby_free(VionetStandby *standby)
{
    if (standby) {
        vionet_standby_detach(standby);
        g_array_unref(standby->waiting);
        g_free(standby->group);
        g_free(standby);
    }
}

static bool refuse(GError **error, const char *why)
{
    g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG, "primary: %s", why);
    return false;
}

static bool is_pair(const VionetStandby *standby, const VionetPrimary *primary, GError **error)
{
    const bool tied = primary->group && standby->group;

    if (primary->has_mac && memcmp(primary->mac, standby->config.mac, 6) != 0) {
        return refuse(error, "its MAC address is not the standby's");
    }
    if (g_strcmp0(primary->group, standby->group) != 0) {
        return refuse(error, "its group is not the standby's");
    }
    if (standby->config.model == VIONET_STANDBY_COUPLED && !primary->has_mac && !tied) {
        return refuse(error, "neither MAC address nor group tie it to the standby");
    }
    return true;
}

bool vionet_standby_configure(VionetStandby *standby, const VionetPrimary *primary, GError **error)
{
    VionetPrimary full = {0};

    memcpy(&full, primary, MIN(primary->size, sizeof(full)));
    if (!is_pair(standby, &full, error)) {
        return false;
    }
    return put(standby, VIONET_STANDBY_CONFIGURED) || refuse(error, "there is one already");
}

void vionet_standby_follow(VionetStandby *standby, const VionetDevice *device,
                           const VionetEvent *event)
{
    switch (event->kind) {
    case VIONET_EVENT_FEATURES:
        put(standby, vionet_device_negotiated(device, VIRTIO_NET_F_STANDBY)
                         ? VIONET_STANDBY_ACCEPTED
                         : VIONET_STANDBY_DECLINED);
        break;
    case VIONET_EVENT_RUNNING:
        put(standby, VIONET_STANDBY_RUNNING);
        break;
    case VIONET_EVENT_RESET:
        put(standby, event->value ? VIONET_STANDBY_MACHINE_RESET : VIONET_STANDBY_DRIVER_RESET);
        break;
    default:
        break;
    }
}

void vionet_standby_adopt(VionetStandby *standby, const VionetDevice *device)
{
    standby->known &= ~(unsigned)(ACCEPTED | RUNS);
    if (vionet_device_negotiated(device, VIRTIO_NET_F_STANDBY)) {
        standby->known |= ACCEPTED;
    }
    if (vionet_device_status(device) & VIRTIO_STATUS_DRIVER_OK) {
        standby->known |= RUNS;
    }
}

bool vionet_standby_input(VionetStandby *standby, VionetStandbyInput input)
{
    if ((unsigned)input >= VIONET_N_STANDBY_INPUTS || input == VIONET_STANDBY_CONFIGURED) {
        return false;
    }
    return put(standby, input);
}

VionetPrimaryState vionet_standby_state(const VionetStandby *standby)
{
    return standby->state;
}

VionetStandbyModel vionet_standby_model(const VionetStandby *standby)
{
    return standby->config.model;
}

bool vionet_standby_negotiated(const VionetStandby *standby)
{
    return standby->known & ACCEPTED;
}

bool vionet_standby_blocks_migration(const VionetStandby *standby)
{
    return standby->state == VISIBLE || standby->state == UNPLUGGING;
}
