/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Failover: each state and event by its number (SB-01 to SB-18) with a device whose driver does what is told, every
 * input in every situation against a table, and sequences of inputs with a host that keeps count.
 */
#include <string.h>

#define VIONET_SPEC_NO_STRUCTS
#include <vionet/spec.h>
#include <vionet/standby.h>
#include <vionet/state.h>
#include <vionet/transport.h>

#define ABSENT     VIONET_PRIMARY_ABSENT
#define HIDDEN     VIONET_PRIMARY_HIDDEN
#define VISIBLE    VIONET_PRIMARY_VISIBLE
#define UNPLUGGING VIONET_PRIMARY_UNPLUGGING

#define ON(input) VIONET_STANDBY_##input

static const uint8_t mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

/* A host that does what it is asked, unless it is to fail, and notes it. */
struct rig {
    VionetDevice *device; /* NULL if the test gives the inputs itself */
    VionetStandby *standby;
    bool fails;
    bool answers_at_once; /* the guest lets go before unplug has returned */
    bool seen;            /* the guest sees the primary */
    bool asked;
    bool wrong; /* an operation came that made no sense */
    unsigned n_shows, n_hides, n_unplugs, n_cancels, n_announces, n_events;
    VionetStandbyEvent event; /* the last */
};

static bool show(void *opaque)
{
    struct rig *rig = opaque;

    rig->n_shows++;
    rig->wrong |= rig->seen || !vionet_standby_negotiated(rig->standby);
    rig->seen = !rig->fails;
    rig->asked = false;
    return !rig->fails;
}

static void hide(void *opaque)
{
    struct rig *rig = opaque;

    rig->n_hides++;
    rig->wrong |= !rig->seen;
    rig->seen = false;
    rig->asked = false;
}

static bool unplug(void *opaque)
{
    struct rig *rig = opaque;

    rig->n_unplugs++;
    rig->wrong |= !rig->seen;
    if (rig->fails) {
        return false;
    }
    rig->asked = true;
    if (rig->answers_at_once) {
        rig->seen = rig->asked = false;
        g_assert_true(vionet_standby_input(rig->standby, ON(RELEASED)));
    }
    return true;
}

static bool cancel(void *opaque)
{
    struct rig *rig = opaque;

    rig->n_cancels++;
    rig->wrong |= !rig->asked;
    rig->asked = rig->asked && rig->fails;
    return !rig->fails;
}

static void announce(void *opaque)
{
    ((struct rig *)opaque)->n_announces++;
}

static void event(void *opaque, const VionetStandbyEvent *event)
{
    struct rig *rig = opaque;

    rig->n_events++;
    rig->event = *event;
}

static const VionetStandbyOps all_ops = {sizeof(all_ops), show,     hide, unplug,
                                         cancel,          announce, event};

static void device_event(void *opaque, const VionetEvent *event)
{
    struct rig *rig = opaque;

    vionet_standby_follow(rig->standby, rig->device, event);
}

static struct rig *rig_new(VionetStandbyModel model, bool surprise)
{
    const VionetHostOps host = {.size = sizeof(host), .event = device_event};
    VionetStandbyConfig config = {.size = sizeof(config), .model = model, .surprise = surprise};
    struct rig *rig = g_new0(struct rig, 1);
    VionetConfig device;

    memcpy(config.mac, mac, 6);
    rig->standby = vionet_standby_new(&config, &all_ops, rig, NULL);
    vionet_config_init(&device);
    vionet_features_set(device.features, VIRTIO_NET_F_STANDBY, true);
    rig->device = vionet_device_new(&device, &host, rig, NULL);
    g_assert_nonnull(rig->standby);
    g_assert_nonnull(rig->device);
    return rig;
}

static void rig_free(struct rig *rig)
{
    g_assert_false(rig->wrong);
    vionet_standby_free(rig->standby);
    vionet_device_free(rig->device);
    g_free(rig);
}

static void configure(struct rig *rig)
{
    VionetPrimary primary = {.size = sizeof(primary), .has_mac = true};
    GError *error = NULL;

    memcpy(primary.mac, mac, 6);
    vionet_standby_configure(rig->standby, &primary, &error);
    g_assert_no_error(error);
}

static void negotiate(struct rig *rig, bool standby)
{
    vionet_device_write_status(rig->device, 3);
    vionet_device_write_driver_features(rig->device, 1, 1u | (standby ? 1u << 30 : 0));
    vionet_device_write_status(rig->device, 11);
    g_assert_cmphex(vionet_device_status(rig->device), ==, 11);
}

static void start(struct rig *rig, bool standby)
{
    negotiate(rig, standby);
    vionet_device_write_status(rig->device, 15);
    g_assert_cmphex(vionet_device_status(rig->device), ==, 15);
}

static void input(struct rig *rig, VionetStandbyInput input)
{
    if (input == ON(RELEASED) || input == ON(SHOW_FAILED)) {
        rig->seen = rig->asked = false;
    }
    g_assert_true(vionet_standby_input(rig->standby, input));
}

static void assert_state(const struct rig *rig, VionetPrimaryState state)
{
    g_assert_cmpstr(vionet_primary_state_name(vionet_standby_state(rig->standby)), ==,
                    vionet_primary_state_name(state));
}

static void assert_event(const struct rig *rig, VionetPrimaryState from, VionetPrimaryState to,
                         VionetStandbyAction action, VionetStandbyOutcome outcome)
{
    g_assert_cmpint(rig->event.from, ==, from);
    g_assert_cmpint(rig->event.to, ==, to);
    g_assert_cmpint(rig->event.action, ==, action);
    g_assert_cmpint(rig->event.outcome, ==, outcome);
    assert_state(rig, to);
}

/* A guest that has its primary. */
static struct rig *rig_visible(VionetStandbyModel model)
{
    struct rig *rig = rig_new(model, false);

    configure(rig);
    start(rig, true);
    if (model == VIONET_STANDBY_SEPARATE) {
        input(rig, ON(SHOW));
    }
    assert_state(rig, VISIBLE);
    g_assert_true(rig->seen);
    return rig;
}

/* ---- By their numbers ---- */

static void test_sb_01(void)
{
    struct rig *rig = rig_new(VIONET_STANDBY_COUPLED, false);
    VionetPrimary other = {.size = sizeof(other), .has_mac = true, .mac = {2, 0, 0, 0, 0, 1}};
    GError *error = NULL;

    /* A standby that has no primary is legal, and offers its feature all the same. */
    g_assert_true(vionet_device_offered(rig->device, 1) >> 30 & 1);
    assert_state(rig, ABSENT);
    g_assert_false(vionet_standby_configure(rig->standby, &other, &error));
    g_assert_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG);
    g_assert_cmpstr(error->message, ==, "primary: its MAC address is not the standby's");
    g_clear_error(&error);
    assert_state(rig, ABSENT);
    configure(rig);
    assert_event(rig, ABSENT, HIDDEN, VIONET_STANDBY_DO_NOTHING, VIONET_STANDBY_DONE);
    memcpy(other.mac, mac, 6);
    g_assert_false(vionet_standby_configure(rig->standby, &other, &error));
    g_assert_cmpstr(error->message, ==, "primary: there is one already");
    g_clear_error(&error);
    g_assert_cmpuint(rig->n_shows, ==, 0);
    rig_free(rig);
}

static void test_sb_02(void)
{
    struct rig *rig = rig_new(VIONET_STANDBY_COUPLED, false);

    configure(rig);
    g_assert_false(vionet_standby_negotiated(rig->standby));
    negotiate(rig, true);
    g_assert_true(vionet_standby_negotiated(rig->standby));
    g_assert_cmpint(rig->event.input, ==, ON(ACCEPTED));
    assert_event(rig, HIDDEN, HIDDEN, VIONET_STANDBY_DO_NOTHING, VIONET_STANDBY_DONE);
    /* Nobody can have it shown yet. */
    input(rig, ON(SHOW));
    assert_state(rig, HIDDEN);
    g_assert_cmpuint(rig->n_shows, ==, 0);
    rig_free(rig);
}

static void test_sb_03(void)
{
    struct rig *rig = rig_new(VIONET_STANDBY_COUPLED, false);

    configure(rig);
    start(rig, true);
    g_assert_cmpint(rig->event.input, ==, ON(RUNNING));
    assert_event(rig, HIDDEN, VISIBLE, VIONET_STANDBY_DO_SHOW, VIONET_STANDBY_DONE);
    g_assert_true(rig->seen);
    g_assert_true(vionet_standby_blocks_migration(rig->standby));
    rig_free(rig);

    /* separate: it is said, and management does it. */
    rig = rig_new(VIONET_STANDBY_SEPARATE, false);
    configure(rig);
    start(rig, true);
    assert_event(rig, HIDDEN, HIDDEN, VIONET_STANDBY_DO_SHOW, VIONET_STANDBY_ADVISED);
    g_assert_cmpuint(rig->n_shows, ==, 0);
    input(rig, ON(SHOW));
    assert_event(rig, HIDDEN, VISIBLE, VIONET_STANDBY_DO_SHOW, VIONET_STANDBY_DONE);
    rig_free(rig);
}

/* A driver without the feature never gets the primary, in any model, whoever asks. */
static void never_exposed(void (*begin)(struct rig *rig))
{
    for (int model = 0; model < VIONET_N_STANDBY_MODELS; model++) {
        struct rig *rig = rig_new((VionetStandbyModel)model, false);

        configure(rig);
        begin(rig);
        assert_state(rig, HIDDEN);
        input(rig, ON(SHOW));
        input(rig, ON(MIGRATION_STARTS));
        input(rig, ON(MIGRATION_FAILED));
        input(rig, ON(MIGRATION_ARRIVED));
        input(rig, ON(REMOVE));
        configure(rig);
        assert_state(rig, HIDDEN);
        g_assert_cmpuint(rig->n_shows, ==, 0);
        g_assert_false(vionet_standby_blocks_migration(rig->standby));
        rig_free(rig);
    }
}

static void start_without(struct rig *rig)
{
    start(rig, false);
    g_assert_cmpint(rig->event.input, ==, ON(RUNNING));
}

static void test_sb_04(void)
{
    never_exposed(start_without);
}

/* Without VERSION_1 bit 62 cannot be written: such a driver is refused, or begins without FEATURES_OK. */
static void start_legacy(struct rig *rig)
{
    vionet_device_write_status(rig->device, 3);
    vionet_device_write_driver_features(rig->device, 0, 1u << 5);
    vionet_device_write_status(rig->device, 7);
}

static void test_sb_05(void)
{
    never_exposed(start_legacy);
}

static void test_sb_06(void)
{
    struct rig *rig = rig_new(VIONET_STANDBY_COUPLED, false);

    start(rig, true);
    assert_state(rig, ABSENT);
    configure(rig);
    assert_event(rig, ABSENT, VISIBLE, VIONET_STANDBY_DO_SHOW, VIONET_STANDBY_DONE);
    rig_free(rig);

    rig = rig_new(VIONET_STANDBY_SEPARATE, false);
    start(rig, true);
    configure(rig);
    assert_event(rig, ABSENT, HIDDEN, VIONET_STANDBY_DO_SHOW, VIONET_STANDBY_ADVISED);
    rig_free(rig);
}

static void test_sb_07(void)
{
    struct rig *rig = rig_visible(VIONET_STANDBY_COUPLED);

    vionet_device_write_status(rig->device, 0);
    g_assert_cmpint(rig->event.input, ==, ON(DRIVER_RESET));
    assert_event(rig, VISIBLE, UNPLUGGING, VIONET_STANDBY_DO_UNPLUG, VIONET_STANDBY_DONE);
    g_assert_true(vionet_standby_blocks_migration(rig->standby));
    /* The driver comes back before the guest has let go. */
    start(rig, true);
    assert_event(rig, UNPLUGGING, VISIBLE, VIONET_STANDBY_DO_CANCEL, VIONET_STANDBY_DONE);
    /* A request that cannot be taken back: the guest lets go, and gets it again. */
    vionet_device_write_status(rig->device, 0);
    rig->fails = true;
    start(rig, true);
    assert_event(rig, UNPLUGGING, UNPLUGGING, VIONET_STANDBY_DO_CANCEL, VIONET_STANDBY_FAILED);
    rig->fails = false;
    input(rig, ON(RELEASED));
    assert_event(rig, UNPLUGGING, VISIBLE, VIONET_STANDBY_DO_SHOW, VIONET_STANDBY_DONE);
    /* One that does not know the feature comes instead: it is not to keep the primary. */
    vionet_device_write_status(rig->device, 0);
    input(rig, ON(REFUSED));
    assert_state(rig, VISIBLE);
    start(rig, false);
    assert_state(rig, UNPLUGGING);
    rig_free(rig);

    rig = rig_visible(VIONET_STANDBY_SEPARATE);
    vionet_device_write_status(rig->device, 0);
    assert_event(rig, VISIBLE, VISIBLE, VIONET_STANDBY_DO_UNPLUG, VIONET_STANDBY_ADVISED);
    g_assert_cmpuint(rig->n_unplugs, ==, 0);
    rig_free(rig);
}

static void test_sb_08(void)
{
    struct rig *rig = rig_visible(VIONET_STANDBY_COUPLED);

    vionet_device_write_status(rig->device, 0);
    input(rig, ON(RELEASED));
    assert_event(rig, UNPLUGGING, HIDDEN, VIONET_STANDBY_DO_NOTHING, VIONET_STANDBY_DONE);
    g_assert_false(vionet_standby_blocks_migration(rig->standby));
    g_assert_false(vionet_standby_input(rig->standby, ON(RELEASED)));
    rig_free(rig);

    /* The host's answer comes before its operation has returned. */
    rig = rig_visible(VIONET_STANDBY_COUPLED);
    rig->answers_at_once = true;
    vionet_device_write_status(rig->device, 0);
    assert_event(rig, UNPLUGGING, HIDDEN, VIONET_STANDBY_DO_NOTHING, VIONET_STANDBY_DONE);
    start(rig, true);
    assert_state(rig, VISIBLE);
    rig_free(rig);

    /* A guest that lets go unasked does not get it again at once. */
    rig = rig_visible(VIONET_STANDBY_COMBINED);
    input(rig, ON(RELEASED));
    assert_state(rig, HIDDEN);
    vionet_device_write_status(rig->device, 0);
    start(rig, true);
    assert_state(rig, VISIBLE);
    rig_free(rig);
}

static void test_sb_09(void)
{
    struct rig *rig = rig_visible(VIONET_STANDBY_COUPLED);

    vionet_device_reset(rig->device);
    g_assert_cmpint(rig->event.input, ==, ON(MACHINE_RESET));
    assert_event(rig, VISIBLE, HIDDEN, VIONET_STANDBY_DO_HIDE, VIONET_STANDBY_DONE);
    g_assert_cmpuint(rig->n_unplugs, ==, 0);
    g_assert_false(rig->seen);
    start(rig, true);
    assert_state(rig, VISIBLE);
    vionet_device_write_status(rig->device, 0);
    assert_state(rig, UNPLUGGING);
    vionet_device_reset(rig->device);
    assert_event(rig, UNPLUGGING, HIDDEN, VIONET_STANDBY_DO_HIDE, VIONET_STANDBY_DONE);
    rig_free(rig);
}

static void test_sb_10(void)
{
    struct rig *rig = rig_visible(VIONET_STANDBY_COMBINED);
    const unsigned before = rig->n_events;

    vionet_device_violation(rig->device, VIONET_VIOLATION_AVAIL_JUMP, 0, 0, 0);
    vionet_device_write_status(rig->device, 0x8f);
    g_assert_true(vionet_device_status(rig->device) & VIRTIO_STATUS_FAILED);
    assert_state(rig, VISIBLE);
    g_assert_cmpuint(rig->n_events, ==, before);
    vionet_device_write_status(rig->device, 0);
    assert_state(rig, UNPLUGGING);
    rig_free(rig);
}

static void test_sb_11(void)
{
    struct rig *rig = rig_visible(VIONET_STANDBY_COMBINED);

    input(rig, ON(MIGRATION_STARTS));
    assert_event(rig, VISIBLE, UNPLUGGING, VIONET_STANDBY_DO_UNPLUG, VIONET_STANDBY_DONE);
    g_assert_true(vionet_standby_blocks_migration(rig->standby));
    /* A driver that begins again in the meantime does not get it back. */
    vionet_device_write_status(rig->device, 0);
    start(rig, true);
    input(rig, ON(RELEASED));
    assert_state(rig, HIDDEN);
    g_assert_false(vionet_standby_blocks_migration(rig->standby));
    vionet_device_write_status(rig->device, 0);
    start(rig, true);
    assert_state(rig, HIDDEN);
    rig_free(rig);

    /* The other models leave it to management, which hides it itself. */
    rig = rig_visible(VIONET_STANDBY_COUPLED);
    input(rig, ON(MIGRATION_STARTS));
    assert_event(rig, VISIBLE, VISIBLE, VIONET_STANDBY_DO_UNPLUG, VIONET_STANDBY_ADVISED);
    input(rig, ON(HIDE));
    assert_event(rig, VISIBLE, UNPLUGGING, VIONET_STANDBY_DO_UNPLUG, VIONET_STANDBY_DONE);
    rig_free(rig);
}

static void test_sb_12(void)
{
    struct rig *rig = rig_visible(VIONET_STANDBY_COMBINED);

    input(rig, ON(MIGRATION_STARTS));
    input(rig, ON(RELEASED));
    input(rig, ON(MIGRATION_FAILED));
    assert_event(rig, HIDDEN, VISIBLE, VIONET_STANDBY_DO_SHOW, VIONET_STANDBY_DONE);
    /* It fails before the guest has let go. */
    input(rig, ON(MIGRATION_STARTS));
    input(rig, ON(MIGRATION_FAILED));
    assert_event(rig, UNPLUGGING, VISIBLE, VIONET_STANDBY_DO_CANCEL, VIONET_STANDBY_DONE);
    /* It fails when the driver has gone. */
    input(rig, ON(MIGRATION_STARTS));
    input(rig, ON(RELEASED));
    vionet_device_write_status(rig->device, 0);
    input(rig, ON(MIGRATION_FAILED));
    assert_state(rig, HIDDEN);
    rig_free(rig);

    rig = rig_visible(VIONET_STANDBY_COUPLED);
    input(rig, ON(MIGRATION_STARTS));
    input(rig, ON(HIDE));
    input(rig, ON(RELEASED));
    input(rig, ON(SHOW)); /* not while it migrates */
    assert_state(rig, HIDDEN);
    input(rig, ON(MIGRATION_FAILED));
    assert_event(rig, HIDDEN, HIDDEN, VIONET_STANDBY_DO_SHOW, VIONET_STANDBY_ADVISED);
    input(rig, ON(SHOW));
    assert_event(rig, HIDDEN, VISIBLE, VIONET_STANDBY_DO_SHOW, VIONET_STANDBY_DONE);
    rig_free(rig);
}

/* The target: its device's state was loaded, which is no event. */
static struct rig *rig_target(bool primary)
{
    struct rig *rig = rig_new(VIONET_STANDBY_COMBINED, false);
    VionetStandby *there = rig->standby;
    struct rig *away = rig_new(VIONET_STANDBY_COMBINED, false);

    rig->standby = away->standby;
    start(rig, true);
    rig->standby = there;
    rig_free(away);
    if (primary) {
        configure(rig);
    }
    vionet_standby_adopt(rig->standby, rig->device);
    g_assert_true(vionet_standby_negotiated(rig->standby));
    g_assert_cmpuint(rig->n_shows, ==, 0);
    return rig;
}

static void test_sb_13(void)
{
    struct rig *rig = rig_target(true);

    input(rig, ON(MIGRATION_ARRIVED));
    assert_event(rig, HIDDEN, VISIBLE, VIONET_STANDBY_DO_SHOW, VIONET_STANDBY_DONE);
    g_assert_cmpuint(rig->n_announces, ==, 1);
    rig_free(rig);

    /* And the source, where the guest is no more. */
    rig = rig_visible(VIONET_STANDBY_COMBINED);
    input(rig, ON(MIGRATION_STARTS));
    input(rig, ON(RELEASED));
    input(rig, ON(MIGRATION_LEFT));
    assert_event(rig, HIDDEN, HIDDEN, VIONET_STANDBY_DO_NOTHING, VIONET_STANDBY_DONE);
    g_assert_false(vionet_standby_negotiated(rig->standby));
    input(rig, ON(SHOW));
    assert_state(rig, HIDDEN);
    rig_free(rig);
}

static void test_sb_14(void)
{
    struct rig *rig = rig_target(false);

    input(rig, ON(MIGRATION_ARRIVED));
    assert_event(rig, ABSENT, ABSENT, VIONET_STANDBY_DO_NOTHING, VIONET_STANDBY_DONE);
    g_assert_cmpuint(rig->n_announces, ==, 1);
    configure(rig);
    assert_state(rig, VISIBLE);
    rig_free(rig);
}

static void test_sb_15(void)
{
    struct rig *rig = rig_visible(VIONET_STANDBY_COUPLED);

    input(rig, ON(REMOVE));
    assert_event(rig, VISIBLE, UNPLUGGING, VIONET_STANDBY_DO_UNPLUG, VIONET_STANDBY_DONE);
    input(rig, ON(RELEASED));
    assert_event(rig, UNPLUGGING, ABSENT, VIONET_STANDBY_DO_NOTHING, VIONET_STANDBY_DONE);
    configure(rig);
    assert_state(rig, VISIBLE);
    /* Removed while it is let go of for another reason; a reset is quicker. */
    vionet_device_write_status(rig->device, 0);
    input(rig, ON(REMOVE));
    vionet_device_reset(rig->device);
    assert_event(rig, UNPLUGGING, ABSENT, VIONET_STANDBY_DO_HIDE, VIONET_STANDBY_DONE);
    rig_free(rig);
}

static void test_sb_16(void)
{
    struct rig *rig = rig_new(VIONET_STANDBY_COUPLED, false);

    g_assert_false(vionet_standby_input(rig->standby, ON(REMOVE)));
    configure(rig);
    input(rig, ON(REMOVE));
    assert_event(rig, HIDDEN, ABSENT, VIONET_STANDBY_DO_NOTHING, VIONET_STANDBY_DONE);
    g_assert_cmpuint(rig->n_unplugs + rig->n_hides, ==, 0);
    rig_free(rig);
}

static void test_sb_17(void)
{
    struct rig *rig = rig_visible(VIONET_STANDBY_COMBINED);
    uint8_t link[2];

    /* The guest goes on with its standby: nothing changes, and the link is up. */
    vionet_device_config_read(rig->device, 6, link, sizeof(link));
    g_assert_cmpuint(link[0] & VIRTIO_NET_S_LINK_UP, ==, VIRTIO_NET_S_LINK_UP);
    assert_state(rig, VISIBLE);
    rig_free(rig);
}

static void test_sb_18(void)
{
    struct rig *rig = rig_visible(VIONET_STANDBY_COMBINED);

    input(rig, ON(MIGRATION_STARTS));
    input(rig, ON(REFUSED));
    g_assert_cmpint(rig->event.input, ==, ON(REFUSED));
    assert_event(rig, UNPLUGGING, VISIBLE, VIONET_STANDBY_DO_NOTHING, VIONET_STANDBY_DONE);
    g_assert_true(vionet_standby_blocks_migration(rig->standby));
    /* Late, but nevertheless: it stays hidden until it is known what becomes of the migration. */
    input(rig, ON(RELEASED));
    assert_state(rig, HIDDEN);
    input(rig, ON(MIGRATION_FAILED));
    assert_state(rig, VISIBLE);
    /* Too late: the migration was given up, and the guest lets go because it had been asked. */
    input(rig, ON(MIGRATION_STARTS));
    input(rig, ON(REFUSED));
    input(rig, ON(MIGRATION_FAILED));
    input(rig, ON(RELEASED));
    assert_event(rig, VISIBLE, VISIBLE, VIONET_STANDBY_DO_SHOW, VIONET_STANDBY_DONE);
    /* The host could not even ask. */
    rig->fails = true;
    input(rig, ON(MIGRATION_STARTS));
    assert_event(rig, VISIBLE, VISIBLE, VIONET_STANDBY_DO_UNPLUG, VIONET_STANDBY_FAILED);
    rig_free(rig);
}

/* ---- Saved and loaded ---- */

static GBytes *save(struct rig *rig)
{
    GBytes *state;

    vionet_standby_attach(rig->standby, rig->device);
    vionet_device_set_paused(rig->device, true);
    state = vionet_device_save(rig->device, NULL);
    g_assert_nonnull(state);
    vionet_device_set_paused(rig->device, false);
    return state;
}

/* The code of the error by which it is refused, -1 if there is none. */
static int load(struct rig *rig, GBytes *state)
{
    gsize len;
    gconstpointer octets = g_bytes_get_data(state, &len);
    const VionetPrimaryState before = vionet_standby_state(rig->standby);
    GError *error = NULL;
    int code = -1;

    vionet_standby_attach(rig->standby, rig->device);
    vionet_device_set_paused(rig->device, true);
    if (!vionet_device_load(rig->device, octets, len, &error)) {
        g_assert_cmpuint(error->domain, ==, VIONET_STATE_ERROR);
        g_assert_nonnull(strstr(error->message, "section standby: "));
        code = error->code;
        g_error_free(error);
        assert_state(rig, before);
        g_assert_cmphex(vionet_device_status(rig->device), ==, 0);
    }
    vionet_device_set_paused(rig->device, false);
    return code;
}

/* A source that is saved at each stage of its migration, and targets with a primary and without. */
static void test_migration_is_saved(void)
{
    struct rig *source = rig_visible(VIONET_STANDBY_COMBINED);
    struct rig *target = rig_new(VIONET_STANDBY_COMBINED, false);
    struct rig *bare = rig_new(VIONET_STANDBY_COMBINED, false);
    GBytes *state = save(source);

    configure(target);
    g_assert_cmpint(load(target, state), ==, VIONET_STATE_ERROR_VALUE); /* SB-11: it is visible */
    g_bytes_unref(state);
    input(source, ON(MIGRATION_STARTS));
    state = save(source);
    g_assert_cmpint(load(target, state), ==, VIONET_STATE_ERROR_VALUE); /* unplugging */
    g_bytes_unref(state);
    input(source, ON(RELEASED));
    state = save(source);

    g_assert_cmpint(load(target, state), ==, -1);
    g_assert_true(vionet_standby_negotiated(target->standby));
    assert_state(target, HIDDEN); /* though a driver runs that can have it */
    g_assert_cmpuint(target->n_shows, ==, 0);
    input(target, ON(MIGRATION_ARRIVED)); /* SB-13 */
    assert_event(target, HIDDEN, VISIBLE, VIONET_STANDBY_DO_SHOW, VIONET_STANDBY_DONE);
    g_assert_cmpuint(target->n_announces, ==, 1);

    g_assert_cmpint(load(bare, state), ==, -1);
    input(bare, ON(MIGRATION_ARRIVED)); /* SB-14 */
    assert_state(bare, ABSENT);
    configure(bare);
    assert_state(bare, VISIBLE);

    input(source, ON(MIGRATION_FAILED)); /* SB-12: being saved has left it as it was */
    assert_event(source, HIDDEN, VISIBLE, VIONET_STANDBY_DO_SHOW, VIONET_STANDBY_DONE);
    g_bytes_unref(state);
    rig_free(source);
    rig_free(target);
    rig_free(bare);
}

/* Without a migration, what the driver has negotiated shows it at once, by the model of the one that loads. */
static void test_snapshot_is_loaded(void)
{
    for (unsigned model = 0; model < VIONET_N_STANDBY_MODELS; model++) {
        struct rig *source = rig_new(VIONET_STANDBY_SEPARATE, false);
        struct rig *target = rig_new((VionetStandbyModel)model, false);
        GBytes *state;

        configure(source);
        start(source, true);
        state = save(source);
        configure(target);
        g_assert_cmpint(load(target, state), ==, -1);
        assert_state(target, model == VIONET_STANDBY_SEPARATE ? HIDDEN : VISIBLE);
        g_bytes_unref(state);
        rig_free(source);
        rig_free(target);
    }
}

/* What management wants hidden stays so, if there is one to be hidden, until it says otherwise there. */
static void test_held_goes_along(void)
{
    struct rig *source = rig_visible(VIONET_STANDBY_COUPLED);
    struct rig *target = rig_new(VIONET_STANDBY_COUPLED, false);
    struct rig *bare = rig_new(VIONET_STANDBY_COUPLED, false);
    GBytes *state;

    input(source, ON(HIDE));
    input(source, ON(RELEASED));
    state = save(source);
    configure(target);
    g_assert_cmpint(load(target, state), ==, -1);
    assert_state(target, HIDDEN);
    input(target, ON(SHOW));
    assert_state(target, VISIBLE);
    g_assert_cmpint(load(bare, state), ==, -1);
    configure(bare);
    assert_state(bare, VISIBLE);
    vionet_device_write_status(target->device, 0);
    assert_state(target, UNPLUGGING);
    g_assert_cmpint(load(target, state), ==, VIONET_STATE_ERROR_NOT_FRESH);
    g_bytes_unref(state);
    vionet_standby_detach(source->standby);
    vionet_device_set_paused(source->device, true);
    state = vionet_device_save(source->device, NULL); /* that says nothing of a primary */
    g_assert_cmpint(load(target, state), ==, VIONET_STATE_ERROR_NOT_FRESH);
    g_bytes_unref(state);
    rig_free(source);
    rig_free(target);
    rig_free(bare);
}

/* One side may know of no such object. */
static void test_attached_on_one_side(void)
{
    struct rig *source = rig_new(VIONET_STANDBY_COUPLED, false);
    struct rig *target = rig_new(VIONET_STANDBY_COUPLED, false);
    GBytes *with, *without;
    gsize len;
    gconstpointer octets;

    configure(source);
    start(source, true);
    input(source, ON(HIDE));
    with = save(source);
    vionet_standby_detach(source->standby);
    vionet_device_set_paused(source->device, true);
    without = vionet_device_save(source->device, NULL);
    g_assert_cmpuint(g_bytes_get_size(without), <, g_bytes_get_size(with));
    configure(target);
    g_assert_cmpint(load(target, without), ==, -1);
    g_assert_true(vionet_standby_negotiated(target->standby));
    assert_state(target, VISIBLE);
    input(target, ON(HIDE));
    input(target, ON(RELEASED));
    vionet_device_reset(target->device);
    vionet_standby_detach(target->standby);
    vionet_device_set_paused(target->device, true);
    octets = g_bytes_get_data(with, &len);
    g_assert_true(vionet_device_load(target->device, octets, len, NULL));
    assert_state(target, HIDDEN);
    g_bytes_unref(with);
    g_bytes_unref(without);
    rig_free(source);
    rig_free(target);
}

/* ---- Every input in every situation ---- */

enum situation {
    A0, /* no primary, no driver */
    A1, /* no primary, a driver with the feature */
    H0, /* hidden: no driver */
    H1, /* a driver; nothing is against showing */
    HH, /* a driver; management keeps it hidden */
    HM, /* a driver, in a migration */
    V1, /* visible, with a driver */
    VA, /* the same; the guest was asked for it, and refused */
    V0, /* visible, without a driver */
    U1, /* unplugging; nothing is against showing any more */
    U0, /* no driver */
    UH, /* because management hides it */
    UM, /* because of a migration */
    UR, /* because it is removed */
    N_SITUATIONS
};

/*
 * A cell: what is to be done (s show, h hide, u unplug, c cancel), the state when that is done, the state when not,
 * and who does it without being told (* all, c coupled and combined, m combined). "=": nothing, stays. "-": means
 * nothing here. Nothing to be done and another state: that state.
 */
/* clang-format off */
static const char *const expected[VIONET_N_STANDBY_INPUTS][N_SITUATIONS] = {
    /*                     A0     A1      H0   H1      HH    HM    V1      VA      V0      U1      U0      UH      UM      UR */
    [ON(ACCEPTED)]      = {"=",   "=",    "=", "=",    "=",  "=",  "=",    "=",    "=",    "=",    "=",    "=",    "=",    "="},
    [ON(DECLINED)]      = {"=",   "=",    "=", "=",    "=",  "=",  "uUVc", "uUVc", "uUVc", "=",    "=",    "=",    "=",    "="},
    [ON(RUNNING)]       = {"=",   "=",    "=", "sVHc", "=",  "=",  "=",    "=",    "=",    "cVUc", "=",    "=",    "=",    "="},
    [ON(DRIVER_RESET)]  = {"=",   "=",    "=", "=",    "=",  "=",  "uUVc", "uUVc", "uUVc", "=",    "=",    "=",    "=",    "="},
    [ON(MACHINE_RESET)] = {"=",   "=",    "=", "=",    "=",  "=",  "hHVc", "hHVc", "hHVc", "hHUc", "hHUc", "hHUc", "hHUc", "hAUc"},
    [ON(RELEASED)]      = {"-",   "-",    "-", "-",    "-",  "-",  "H",    "sVHc", "H",    "sVHc", "H",    "H",    "H",    "A"},
    [ON(REFUSED)]       = {"-",   "-",    "-", "-",    "-",  "-",  "-",    "-",    "-",    "V",    "V",    "V",    "V",    "V"},
    [ON(SHOW_FAILED)]   = {"-",   "-",    "-", "-",    "-",  "-",  "H",    "H",    "H",    "H",    "H",    "H",    "H",    "A"},
    [ON(CONFIGURED)]    = {"H",   "sVHc", "-", "-",    "-",  "-",  "-",    "-",    "-",    "-",    "-",    "-",    "-",    "-"},
    [ON(REMOVE)]        = {"-",   "-",    "A", "A",    "A",  "A",  "uUV*", "uUV*", "uUV*", "=",    "=",    "=",    "=",    "="},
    [ON(HIDE)]          = {"-",   "-",    "=", "=",    "=",  "=",  "uUV*", "uUV*", "uUV*", "=",    "=",    "=",    "=",    "="},
    [ON(SHOW)]          = {"-",   "-",    "=", "sVH*", "sVH*", "=", "=",   "=",    "=",    "cVU*", "=",    "cVU*", "=",    "="},
    [ON(MIGRATION_STARTS)]  = {"=", "=",  "=", "=",    "=",  "=",  "uUVm", "uUVm", "uUVm", "=",    "=",    "=",    "=",    "="},
    [ON(MIGRATION_FAILED)]  = {"=", "=",  "=", "sVHm", "=", "sVHm", "=",   "=",    "=",    "cVUm", "=",    "=",    "cVUm", "="},
    [ON(MIGRATION_LEFT)]    = {"=", "=",  "=", "=",    "=",  "=",  "hHVm", "hHVm", "hHVm", "hHUm", "hHUm", "hHUm", "hHUm", "hAUm"},
    [ON(MIGRATION_ARRIVED)] = {"=", "=",  "=", "sVHm", "=", "sVHm", "=",   "=",    "=",    "=",    "=",    "=",    "=",    "="},
};
/* clang-format on */

static const VionetPrimaryState state_in[N_SITUATIONS] = {
    ABSENT,  ABSENT,  HIDDEN,     HIDDEN,     HIDDEN,     HIDDEN,     VISIBLE,
    VISIBLE, VISIBLE, UNPLUGGING, UNPLUGGING, UNPLUGGING, UNPLUGGING, UNPLUGGING,
};

static void driver_comes(struct rig *rig)
{
    input(rig, ON(ACCEPTED));
    input(rig, ON(RUNNING));
}

static void bring_to_hidden(struct rig *rig, enum situation situation)
{
    rig->fails = true;
    if (situation != H0) {
        driver_comes(rig);
    }
    configure(rig);
    rig->fails = false;
    if (situation == HH) {
        input(rig, ON(HIDE));
    } else if (situation == HM) {
        input(rig, ON(MIGRATION_STARTS));
    }
}

static void bring_to_visible(struct rig *rig)
{
    configure(rig);
    driver_comes(rig);
    input(rig, ON(SHOW));
    assert_state(rig, VISIBLE);
}

static void ask(struct rig *rig, enum situation situation)
{
    input(rig, situation == UR ? ON(REMOVE) : ON(HIDE));
    if (situation == V0 || situation == U0) {
        input(rig, ON(DRIVER_RESET));
    }
    if (situation == VA || situation == V0) {
        input(rig, ON(REFUSED));
    }
    if (situation == UM) {
        input(rig, ON(MIGRATION_STARTS));
    }
    if (situation != UH && situation != UR) {
        rig->fails = true; /* what management takes back stays asked */
        input(rig, ON(SHOW));
        rig->fails = false;
    }
}

static struct rig *bring_to(enum situation situation, VionetStandbyModel model, bool surprise)
{
    struct rig *rig = rig_new(model, surprise);

    if (situation == A1) {
        driver_comes(rig);
    } else if (situation >= V1) {
        bring_to_visible(rig);
        if (situation > V1) {
            ask(rig, situation);
        }
    } else if (situation >= H0) {
        bring_to_hidden(rig, situation);
    }
    assert_state(rig, state_in[situation]);
    return rig;
}

static VionetPrimaryState state_of(char letter)
{
    static const char letters[] = "AHVU";

    return (VionetPrimaryState)(strchr(letters, letter) - letters);
}

static VionetStandbyAction action_of(char letter)
{
    static const char letters[] = " shuc";

    return (VionetStandbyAction)(strchr(letters, letter) - letters);
}

static bool model_acts(char who, VionetStandbyModel model)
{
    return who == '*' || model == VIONET_STANDBY_COMBINED ||
           (who == 'c' && model == VIONET_STANDBY_COUPLED);
}

/* The event that a cell promises; the platform without a handshake hides where others unplug. */
static VionetStandbyEvent promised(const char *cell, VionetStandbyInput input,
                                   VionetPrimaryState from, VionetStandbyModel model, bool surprise,
                                   bool fails)
{
    VionetStandbyEvent event = {.input = input, .from = from, .to = from};

    if (strlen(cell) == 1) {
        event.to = strchr("=-", *cell) ? from : state_of(*cell);
        return event;
    }
    event.action = action_of(cell[0]);
    event.to = state_of(cell[1]);
    if (surprise && cell[0] == 'u') {
        event.action = VIONET_STANDBY_DO_HIDE;
        event.to = input == ON(REMOVE) ? ABSENT : HIDDEN;
    }
    if (!model_acts(cell[3], model)) {
        event.outcome = VIONET_STANDBY_ADVISED;
    } else if (fails && event.action != VIONET_STANDBY_DO_HIDE) {
        event.outcome = VIONET_STANDBY_FAILED;
    }
    if (event.outcome != VIONET_STANDBY_DONE) {
        event.to = state_of(cell[2]);
    }
    return event;
}

static void check_cell(enum situation situation, VionetStandbyInput input, VionetStandbyModel model,
                       bool surprise, bool fails)
{
    struct rig *rig = bring_to(situation, model, surprise);
    const char *cell = expected[input][situation];
    const unsigned n_events = rig->n_events;
    const VionetStandbyEvent should =
        promised(cell, input, state_in[situation], model, surprise, fails);
    VionetPrimary primary = {.size = sizeof(primary), .has_mac = true};
    bool meant;

    memcpy(primary.mac, mac, 6);
    rig->fails = fails;
    if (input == ON(RELEASED) || input == ON(SHOW_FAILED)) {
        rig->seen = rig->asked = false;
    }
    meant = input == ON(CONFIGURED) ? vionet_standby_configure(rig->standby, &primary, NULL)
                                    : vionet_standby_input(rig->standby, input);
    if (meant != (*cell != '-') || rig->n_events != n_events + meant ||
        (meant && memcmp(&rig->event, &should, sizeof(should)) != 0) ||
        vionet_standby_state(rig->standby) != should.to) {
        g_error("situation %d, %s, %s%s: %s, %s to %s", situation, vionet_standby_input_name(input),
                vionet_standby_model_name(model), surprise ? ", surprise" : "",
                vionet_standby_action_name(rig->event.action),
                vionet_standby_outcome_name(rig->event.outcome),
                vionet_primary_state_name(vionet_standby_state(rig->standby)));
    }
    rig_free(rig);
}

static void test_every_cell(void)
{
    for (unsigned model = 0; model < VIONET_N_STANDBY_MODELS; model++) {
        for (unsigned situation = 0; situation < N_SITUATIONS; situation++) {
            for (unsigned input = 0; input < VIONET_N_STANDBY_INPUTS; input++) {
                check_cell(situation, input, model, false, false);
                check_cell(situation, input, model, false, true);
                /* Nobody is asked there, so some situations do not come about. */
                if (situation <= V1) {
                    check_cell(situation, input, model, true, false);
                }
            }
        }
    }
}

/* ---- Sequences ---- */

/* What the host and its guest can do at this point. */
static bool is_possible(const struct rig *rig, VionetStandbyInput input)
{
    switch (input) {
    case ON(RELEASED):
    case ON(SHOW_FAILED):
        return rig->seen;
    case ON(REFUSED):
        return rig->asked;
    default:
        return true;
    }
}

static void step(struct rig *rig, VionetStandbyInput input)
{
    VionetPrimary primary = {.size = sizeof(primary), .has_mac = true};

    memcpy(primary.mac, mac, 6);
    if (!is_possible(rig, input)) {
        return;
    }
    if (input == ON(RELEASED) || input == ON(SHOW_FAILED)) {
        rig->seen = rig->asked = false;
    }
    if (input == ON(CONFIGURED)) {
        vionet_standby_configure(rig->standby, &primary, NULL);
    } else {
        vionet_standby_input(rig->standby, input);
    }
}

/* The object's word is the host's, and no operation came that the host could not understand. */
static void assert_coherent(const struct rig *rig)
{
    g_assert_false(rig->wrong);
    g_assert_true(rig->seen == vionet_standby_blocks_migration(rig->standby));
}

/* Z-12: hide, show, unplug, fail, reset in all orders. */
static void all_orders(VionetStandbyModel model, bool surprise, bool at_once)
{
    const unsigned n = VIONET_N_STANDBY_INPUTS;
    VionetDevice *device = NULL;

    for (unsigned order = 0; order < n * n * n * n; order++) {
        const VionetStandbyConfig config = {.size = sizeof(config),
                                            .model = model,
                                            .surprise = surprise,
                                            .mac = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56}};
        struct rig rig = {.device = device, .answers_at_once = at_once};

        rig.standby = vionet_standby_new(&config, &all_ops, &rig, NULL);
        bring_to_visible(&rig);
        for (unsigned left = order, i = 0; i < 4; i++, left /= n) {
            step(&rig, left % n);
            assert_coherent(&rig);
        }
        /* Wherever it is, a driver that begins anew leads out. */
        step(&rig, ON(MIGRATION_FAILED));
        step(&rig, ON(MACHINE_RESET));
        if (model == VIONET_STANDBY_SEPARATE) {
            step(&rig, ON(RELEASED));
        }
        step(&rig, ON(CONFIGURED));
        driver_comes(&rig);
        step(&rig, ON(SHOW));
        assert_state(&rig, VISIBLE);
        assert_coherent(&rig);
        vionet_standby_free(rig.standby);
    }
}

static void test_sequences(void)
{
    for (int model = 0; model < VIONET_N_STANDBY_MODELS; model++) {
        all_orders(model, false, false);
        all_orders(model, true, false);
        all_orders(model, false, true);
    }
}

/* ---- The rest ---- */

static void assert_pairs(VionetStandbyModel model, const char *group, VionetPrimary primary,
                         const char *why)
{
    VionetStandbyConfig config = {.size = sizeof(config), .model = model, .group = group};
    const VionetStandbyOps none = {.size = sizeof(none)};
    VionetStandby *standby;
    GError *error = NULL;

    memcpy(config.mac, mac, 6);
    standby = vionet_standby_new(&config, &none, NULL, NULL);
    primary.size = sizeof(primary);
    g_assert_true(vionet_standby_configure(standby, &primary, &error) == !why);
    g_assert_cmpstr(error ? error->message : NULL, ==, why);
    g_clear_error(&error);
    g_assert_cmpint(vionet_standby_state(standby), ==, why ? ABSENT : HIDDEN);
    vionet_standby_free(standby);
}

static void test_pairing(void)
{
    const VionetPrimary unknown = {0};
    VionetPrimary by_mac = {.has_mac = true};
    VionetPrimary by_group = {.group = "wan"};

    memcpy(by_mac.mac, mac, 6);
    for (int model = 0; model < VIONET_N_STANDBY_MODELS; model++) {
        assert_pairs(model, NULL, by_mac, NULL);
        assert_pairs(model, "wan", by_group, NULL);
        assert_pairs(model, "lan", by_group, "primary: its group is not the standby's");
        assert_pairs(model, NULL, by_group, "primary: its group is not the standby's");
        assert_pairs(model, "wan", by_mac, "primary: its group is not the standby's");
        assert_pairs(model, NULL, unknown,
                     model == VIONET_STANDBY_COUPLED
                         ? "primary: neither MAC address nor group tie it to the standby"
                         : NULL);
    }
}

static void test_without_operations(void)
{
    const VionetStandbyOps ops = {.size = sizeof(ops), .event = event};
    VionetStandbyConfig config = {.size = sizeof(config), .model = VIONET_STANDBY_COMBINED};
    struct rig rig = {0};

    memcpy(config.mac, mac, 6);
    rig.standby = vionet_standby_new(&config, &ops, &rig, NULL);
    configure(&rig);
    driver_comes(&rig);
    assert_event(&rig, HIDDEN, HIDDEN, VIONET_STANDBY_DO_SHOW, VIONET_STANDBY_ADVISED);
    input(&rig, ON(MIGRATION_ARRIVED));
    assert_state(&rig, HIDDEN);
    g_assert_false(vionet_standby_input(rig.standby, ON(CONFIGURED)));
    g_assert_false(vionet_standby_input(rig.standby, VIONET_N_STANDBY_INPUTS));
    vionet_standby_free(rig.standby);
    vionet_standby_free(NULL);
}

static void test_no_such_model(void)
{
    const VionetStandbyOps ops = {.size = sizeof(ops)};
    const VionetStandbyConfig config = {.size = sizeof(config), .model = VIONET_N_STANDBY_MODELS};
    GError *error = NULL;

    g_assert_null(vionet_standby_new(&config, &ops, NULL, &error));
    g_assert_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG);
    g_clear_error(&error);
}

static void test_names(void)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    for (unsigned i = 0; i < VIONET_N_STANDBY_INPUTS; i++) {
        g_assert_true(g_hash_table_add(seen, (gpointer)vionet_standby_input_name(i)));
    }
    g_assert_false(g_hash_table_contains(seen, "unknown"));
    g_assert_cmpstr(vionet_standby_input_name(VIONET_N_STANDBY_INPUTS), ==, "unknown");
    g_assert_cmpstr(vionet_primary_state_name(VIONET_N_PRIMARY_STATES), ==, "unknown");
    g_assert_cmpstr(vionet_standby_model_name(VIONET_STANDBY_COMBINED), ==, "combined");
    g_assert_cmpstr(vionet_standby_model_name(VIONET_N_STANDBY_MODELS), ==, "unknown");
    g_assert_cmpstr(vionet_standby_action_name(VIONET_N_STANDBY_ACTIONS), ==, "unknown");
    g_assert_cmpstr(vionet_standby_outcome_name(VIONET_N_STANDBY_OUTCOMES), ==, "unknown");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/standby/SB-01/configured", test_sb_01);
    g_test_add_func("/standby/SB-02/features-accepted", test_sb_02);
    g_test_add_func("/standby/SB-03/shown-at-driver-ok", test_sb_03);
    g_test_add_func("/standby/SB-04/never-without-the-feature", test_sb_04);
    g_test_add_func("/standby/SB-05/never-to-a-legacy-driver", test_sb_05);
    g_test_add_func("/standby/SB-06/configured-late", test_sb_06);
    g_test_add_func("/standby/SB-07/driver-goes", test_sb_07);
    g_test_add_func("/standby/SB-08/released", test_sb_08);
    g_test_add_func("/standby/SB-09/machine-is-reset", test_sb_09);
    g_test_add_func("/standby/SB-10/broken-device-changes-nothing", test_sb_10);
    g_test_add_func("/standby/SB-11/migration-starts", test_sb_11);
    g_test_add_func("/standby/SB-12/migration-fails", test_sb_12);
    g_test_add_func("/standby/SB-13/migration-to-a-primary", test_sb_13);
    g_test_add_func("/standby/SB-14/migration-to-none", test_sb_14);
    g_test_add_func("/standby/SB-15/removed-while-visible", test_sb_15);
    g_test_add_func("/standby/SB-16/removed-while-hidden", test_sb_16);
    g_test_add_func("/standby/SB-17/unused-primary", test_sb_17);
    g_test_add_func("/standby/SB-18/release-refused", test_sb_18);
    g_test_add_func("/standby/saved/SB-11/SB-14/migration", test_migration_is_saved);
    g_test_add_func("/standby/saved/snapshot", test_snapshot_is_loaded);
    g_test_add_func("/standby/saved/held", test_held_goes_along);
    g_test_add_func("/standby/saved/attached-on-one-side", test_attached_on_one_side);
    g_test_add_func("/standby/every-input-in-every-situation", test_every_cell);
    g_test_add_func("/standby/Z-12/all-orders", test_sequences);
    g_test_add_func("/standby/pairing", test_pairing);
    g_test_add_func("/standby/without-operations", test_without_operations);
    g_test_add_func("/standby/no-such-model", test_no_such_model);
    g_test_add_func("/standby/names", test_names);
    return g_test_run();
}
