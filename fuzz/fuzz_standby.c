/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Failover as input (vionet/standby.h): what drivers, hosts and management say, in any order, also from within
 * operations, which succeed or not. The guest sees a primary only while its driver has accepted STANDBY and
 * runs, an operation comes only in a state that it makes sense in, and each event goes on where the last ended.
 *
 * Setup: 1 octet model and platform, 1 which operations there are; then inputs, an octet each, 0xe0 and above what
 * a device's driver does.
 */
#include <string.h>

#include <vionet/standby.h>

#include "input.h"
#include "reach.h"
#include "rig.h"

#define MAX_INPUTS 128
#define MAX_DEPTH  8 /* of inputs from within operations */

enum {
    INPUTS,
    MEANT,
    SHOWN,
    HIDDEN,
    UNPLUGGED,
    CANCELLED,
    ADVISED,
    FAILED,
    NESTED,
    ANNOUNCED,
    FOLLOWED
};

struct reach fuzz_reach[] = {
    [INPUTS] = {"inputs", 1300, 0},
    [MEANT] = {"of them that meant something", 1100, 0},
    [SHOWN] = {"primaries shown", 30, 0},
    [HIDDEN] = {"primaries hidden at once", 5, 0},
    [UNPLUGGED] = {"guests asked to let go", 5, 0},
    [CANCELLED] = {"of them asked not to, after all", 1, 0},
    [ADVISED] = {"actions left to management", 80, 0},
    [FAILED] = {"operations that failed", 20, 0},
    [NESTED] = {"inputs from within operations", 40, 0},
    [ANNOUNCED] = {"guests that arrived and announced themselves", 70, 0},
    [FOLLOWED] = {"events of a device", 700, 0},
    {NULL, 0, 0},
};

#define REACHED(what) (fuzz_reach[what].count++)

struct run {
    struct input input;
    struct rig rig;
    VionetStandby *standby;
    VionetPrimaryState seen; /* as the events have it */
    unsigned depth;
};

static void tell(struct run *run);

/* From within an operation any input may come; whether the operation succeeds. */
static bool operate(struct run *run, unsigned what)
{
    const uint8_t how = input_8(&run->input);

    fuzz_reach[what].count++;
    if ((how & 1) && run->depth < MAX_DEPTH) {
        REACHED(NESTED);
        tell(run);
    }
    fuzz_reach[FAILED].count += (how & 6) == 6;
    return (how & 6) != 6;
}

static bool op_show(void *opaque)
{
    struct run *run = opaque;

    FUZZ_REQUIRE(vionet_standby_negotiated(run->standby), "a primary is shown without STANDBY");
    return operate(run, SHOWN);
}

static void op_hide(void *opaque)
{
    operate(opaque, HIDDEN);
}

static bool op_unplug(void *opaque)
{
    return operate(opaque, UNPLUGGED);
}

static bool op_cancel(void *opaque)
{
    return operate(opaque, CANCELLED);
}

static void op_announce(void *opaque)
{
    operate(opaque, ANNOUNCED);
}

static void require_action(const VionetStandbyEvent *event)
{
    const bool seen =
        event->from == VIONET_PRIMARY_VISIBLE || event->from == VIONET_PRIMARY_UNPLUGGING;

    switch (event->action) {
    case VIONET_STANDBY_DO_SHOW:
        /* Who lets go of it may want it again by then. */
        FUZZ_REQUIRE(!seen || event->input == VIONET_STANDBY_RELEASED, "shown in the state %s",
                     vionet_primary_state_name(event->from));
        break;
    case VIONET_STANDBY_DO_UNPLUG:
        FUZZ_REQUIRE(event->from == VIONET_PRIMARY_VISIBLE, "unplugged in the state %s",
                     vionet_primary_state_name(event->from));
        break;
    case VIONET_STANDBY_DO_CANCEL:
        FUZZ_REQUIRE(event->from == VIONET_PRIMARY_UNPLUGGING, "cancelled in the state %s",
                     vionet_primary_state_name(event->from));
        break;
    case VIONET_STANDBY_DO_HIDE:
        FUZZ_REQUIRE(seen, "hidden in the state %s", vionet_primary_state_name(event->from));
        break;
    default:
        FUZZ_REQUIRE(event->outcome == VIONET_STANDBY_DONE, "nothing is done, and %s",
                     vionet_standby_outcome_name(event->outcome));
    }
}

static void op_event(void *opaque, const VionetStandbyEvent *event)
{
    struct run *run = opaque;

    REACHED(MEANT);
    fuzz_reach[ADVISED].count += event->outcome == VIONET_STANDBY_ADVISED;
    FUZZ_REQUIRE(event->from == run->seen, "%s: from %s, and it was %s",
                 vionet_standby_input_name(event->input), vionet_primary_state_name(event->from),
                 vionet_primary_state_name(run->seen));
    FUZZ_REQUIRE(vionet_standby_action_name(event->action) && event->to < VIONET_N_PRIMARY_STATES,
                 "an event that has no name");
    require_action(event);
    run->seen = event->to;
}

static void configure(struct run *run)
{
    const uint8_t how = input_8(&run->input);
    const VionetPrimary primary = {
        .size = sizeof(primary),
        .has_mac = how & 1,
        .mac = {2, 0, 0, 0, 0, how >> 4 & 1},
        .group = how & 2 ? how & 0x20 ? "other" : "group" : NULL,
    };
    GError *error = NULL;

    if (!vionet_standby_configure(run->standby, &primary, &error)) {
        FUZZ_REQUIRE(error && error->message[0], "refused without a reason");
        g_error_free(error);
    }
}

/* What the driver of a real device does, and the object hears of. */
static void drive(struct run *run, uint8_t how)
{
    uint64_t features[VIONET_FEATURE_WORDS] = {0};

    rig_reset(&run->rig);
    vionet_features_set(features, VIRTIO_F_VERSION_1, true);
    vionet_features_set(features, VIRTIO_NET_F_STANDBY, how & 1);
    if ((how & 6) && rig_negotiate(&run->rig, features) && (how & 4)) {
        vionet_device_write_status(run->rig.device,
                                   vionet_device_status(run->rig.device) | VIRTIO_STATUS_DRIVER_OK);
    }
    for (VionetEventKind kind = VIONET_EVENT_VIOLATION; kind <= VIONET_EVENT_OFFLOADS; kind++) {
        const VionetEvent event = {.kind = kind, .value = how >> 3 & 1};

        if (how & 0x10) {
            vionet_standby_follow(run->standby, run->rig.device, &event);
            REACHED(FOLLOWED);
        }
    }
    if (!(how & 0x10)) {
        vionet_standby_adopt(run->standby, run->rig.device);
    }
}

static void tell(struct run *run)
{
    const uint8_t how = input_8(&run->input);

    run->depth++;
    REACHED(INPUTS);
    if (how >= 0xe0) {
        drive(run, how);
    } else if (how % VIONET_N_STANDBY_INPUTS == VIONET_STANDBY_CONFIGURED) {
        configure(run);
    } else {
        const VionetPrimaryState before = run->seen;
        const bool meant =
            vionet_standby_input(run->standby, (VionetStandbyInput)(how % VIONET_N_STANDBY_INPUTS));

        FUZZ_REQUIRE(meant || run->seen == before, "an input that means nothing has an effect");
    }
    run->depth--;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run run;
    VionetConfig device;
    uint8_t how, there;

    memset(&run, 0, sizeof(run));
    run.input = input_of(data, size);
    how = input_8(&run.input);
    there = input_8(&run.input);
    const VionetStandbyConfig config = {
        .size = sizeof(config),
        .model = (VionetStandbyModel)(how % (VIONET_N_STANDBY_MODELS + (how >= 0xf0))),
        .surprise = how & 0x10,
        .mac = {2, 0, 0, 0, 0, 0},
        .group = how & 0x20 ? "group" : NULL,
    };
    const VionetStandbyOps ops = {
        .size = sizeof(ops),
        .show = there & 1 ? NULL : op_show,
        .hide = there & 2 ? NULL : op_hide,
        .unplug = there & 4 ? NULL : op_unplug,
        .cancel = there & 8 ? NULL : op_cancel,
        .announce = there & 16 ? NULL : op_announce,
        .event = op_event,
    };

    run.standby = vionet_standby_new(&config, &ops, &run, NULL);
    if (!run.standby) {
        return 0;
    }
    rig_config(&device, vionet_dialect_at(0), 1);
    rig_init(&run.rig, &device);
    for (unsigned i = 0; i < MAX_INPUTS && !input_ended(&run.input); i++) {
        tell(&run);
        FUZZ_REQUIRE(vionet_standby_state(run.standby) == run.seen, "the state is %s, not %s",
                     vionet_primary_state_name(vionet_standby_state(run.standby)),
                     vionet_primary_state_name(run.seen));
        FUZZ_REQUIRE(
            vionet_standby_blocks_migration(run.standby) ==
                (run.seen == VIONET_PRIMARY_VISIBLE || run.seen == VIONET_PRIMARY_UNPLUGGING),
            "migration is blocked, or is not, in the state %s",
            vionet_primary_state_name(run.seen));
    }
    FUZZ_REQUIRE(vionet_standby_model(run.standby) == config.model, "another model");
    vionet_standby_free(run.standby);
    rig_end(&run.rig);
    return 0;
}
