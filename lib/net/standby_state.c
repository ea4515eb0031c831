/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The failover object's section of saved state (docs/state.md), for those who attach it to a device; see
 * vionet/standby.h. Called by the device while it is saved or loaded.
 *
 * A primary does not come along. So a guest that still has one cannot go on elsewhere, and the object there keeps the
 * state that its own management gave it, absent or hidden; what comes along is what is against showing it.
 */
#include "net/standby.h"

#include <vionet/state.h>

#include "net/standby_state.h"

struct standby_state {
    uint8_t model;
    uint8_t primary;
    uint8_t held;
    uint8_t migrating;
    uint8_t removing;
    uint8_t asked;
};

/* clang-format off */
static const struct record_field fields[] = {
    RECORD_WORD(struct standby_state, model, VIONET_N_STANDBY_MODELS - 1,
                "VionetStandbyModel there; the own one holds"),
    RECORD_WORD(struct standby_state, primary, VIONET_N_PRIMARY_STATES - 1,
                "VionetPrimaryState there: absent or hidden, or the guest cannot go on without"),
    RECORD_WORD(struct standby_state, held, 1, "management wants it hidden; not if there is none"),
    RECORD_WORD(struct standby_state, migrating, 1, "a migration has not failed or succeeded yet"),
    RECORD_WORD(struct standby_state, removing, 1, "once it is released there is none; only while unplugging"),
    RECORD_WORD(struct standby_state, asked, 1, "the guest was asked to let go; only while it has it"),
};

const struct record standby_state_record = {
    "standby", 1, false, sizeof(struct standby_state), fields, G_N_ELEMENTS(fields), "Failover",
};
/* clang-format on */

static void save(void *opaque, GByteArray *octets)
{
    const VionetStandby *standby = opaque;
    const struct standby_state state = {
        .model = (uint8_t)standby->config.model,
        .primary = (uint8_t)standby->state,
        .held = (standby->known & STANDBY_HELD) != 0,
        .migrating = (standby->known & STANDBY_MIGRATING) != 0,
        .removing = (standby->known & STANDBY_REMOVING) != 0,
        .asked = (standby->known & STANDBY_ASKED) != 0,
    };

    record_write(&standby_state_record, &state, octets);
}

static bool refuse(GError **error, VionetStateError code, const char *why)
{
    g_set_error(error, VIONET_STATE_ERROR, (gint)code, "section standby: %s", why);
    return false;
}

/* Whether no guest has the primary here. That is asked of a state without the section, too. */
static bool is_fresh(void *opaque, GError **error)
{
    const VionetStandby *standby = opaque;

    return !vionet_standby_blocks_migration(standby) ||
           refuse(error, VIONET_STATE_ERROR_NOT_FRESH, "a guest has the primary here");
}

static bool check(const struct standby_state *state, GError **error)
{
    const bool absent = state->primary == VIONET_PRIMARY_ABSENT;

    if (!absent && state->primary != VIONET_PRIMARY_HIDDEN) {
        return refuse(error, VIONET_STATE_ERROR_VALUE,
                      "the guest has its primary, which does not come along");
    }
    if (state->removing || state->asked || (state->held && absent)) {
        return refuse(error, VIONET_STATE_ERROR_VALUE,
                      "removing, asked or held of a primary that the guest does not have");
    }
    return true;
}

static void drop(void *opaque, void *parsed)
{
    (void)opaque;
    g_free(parsed);
}

static void *parse(void *opaque, unsigned version, const uint8_t *octets, size_t len,
                   GError **error)
{
    struct standby_state *state = g_new0(struct standby_state, 1);

    if (!is_fresh(opaque, error) ||
        !record_read(&standby_state_record, version, octets, len, state, error) ||
        !check(state, error)) {
        drop(opaque, state);
        return NULL;
    }
    return state;
}

/* How far the driver is the device's events say, which follow. */
static void take(void *opaque, void *parsed)
{
    const struct standby_state *state = parsed;
    VionetStandby *standby = opaque;

    if (state && state->held && standby->state != VIONET_PRIMARY_ABSENT) {
        standby->known |= STANDBY_HELD;
    }
    if (state && state->migrating) {
        standby->known |= STANDBY_MIGRATING;
    }
    vionet_standby_adopt(standby, standby->device);
    drop(opaque, parsed);
}

void vionet_standby_attach(VionetStandby *standby, VionetDevice *device)
{
    const VionetStateSection section = {
        .size = sizeof(section),
        .name = standby_state_record.name,
        .version = standby_state_record.version,
        .save = save,
        .parse = parse,
        .take = take,
        .drop = drop,
        .skippable = !standby_state_record.required,
        .missing = is_fresh,
    };

    vionet_standby_detach(standby);
    standby->device = device;
    vionet_device_add_state_section(device, &section, standby);
}

void vionet_standby_detach(VionetStandby *standby)
{
    if (standby->device) {
        vionet_device_remove_state_section(standby->device, standby_state_record.name);
        standby->device = NULL;
    }
}
