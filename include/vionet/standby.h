/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Failover (VIRTIO_NET_F_STANDBY): whether a guest sees the fast device, the *primary*, for which our device
 * stands by with the same MAC address. A primary cannot migrate, and a guest that did not accept STANDBY would
 * be confused by two devices with one address; so somebody shows and hides it, in step with what the driver of
 * the standby does and with migration. That is this object: the state of one primary, and a table of what is to
 * happen on which occasion.
 *
 *     ABSENT --configured--> HIDDEN --show--> VISIBLE --unplug--> UNPLUGGING --released--> HIDDEN
 *
 * A hidden primary has all its resources; the guest just cannot see it. It knows neither bus nor VMM: those who
 * do are the host operations. Who is to act is the model:
 *
 *     separate   management: the object publishes what happened and what it would do, and obeys
 *     coupled    shows and hides along negotiation and resets; migration is management's
 *     combined   and along migration too
 *
 * In no model is a primary shown to a guest that did not accept STANDBY, whoever asks. The standby's own link is
 * never touched.
 *
 * Threads: control functions, as in vionet/device.h. From within an operation everything may be called but
 * vionet_standby_free(); what comes in then is dealt with when the input under way is done.
 */
#ifndef VIONET_STANDBY_H
#define VIONET_STANDBY_H

#include <vionet/device.h>

VIONET_BEGIN_DECLS

typedef struct VionetStandby VionetStandby;

typedef enum VionetPrimaryState {
    VIONET_PRIMARY_ABSENT,     /* there is none */
    VIONET_PRIMARY_HIDDEN,     /* there is one, with its resources; the guest does not see it */
    VIONET_PRIMARY_VISIBLE,    /* the guest sees it */
    VIONET_PRIMARY_UNPLUGGING, /* the guest was asked to let go, and has not yet */
    VIONET_N_PRIMARY_STATES
} VionetPrimaryState;

typedef enum VionetStandbyModel {
    VIONET_STANDBY_SEPARATE,
    VIONET_STANDBY_COUPLED,
    VIONET_STANDBY_COMBINED,
    VIONET_N_STANDBY_MODELS
} VionetStandbyModel;

/* What can happen. */
typedef enum VionetStandbyInput {
    /* what the driver of the standby does: vionet_standby_follow() makes these of the device's events */
    VIONET_STANDBY_ACCEPTED,      /* FEATURES_OK with STANDBY */
    VIONET_STANDBY_DECLINED,      /* FEATURES_OK without it */
    VIONET_STANDBY_RUNNING,       /* DRIVER_OK, after either */
    VIONET_STANDBY_DRIVER_RESET,  /* the driver reset the device: it goes, or begins again */
    VIONET_STANDBY_MACHINE_RESET, /* the machine or the bus did: whatever ran is gone */
    /* what the host says of the primary */
    VIONET_STANDBY_RELEASED,    /* the guest has let go of it: asked to or not, in time or not */
    VIONET_STANDBY_REFUSED,     /* the guest will not, or took too long */
    VIONET_STANDBY_SHOW_FAILED, /* what the operation show began did not come about */
    /* what management says */
    VIONET_STANDBY_CONFIGURED, /* there is a primary: vionet_standby_configure() */
    VIONET_STANDBY_REMOVE,     /* there is to be none */
    VIONET_STANDBY_HIDE,       /* hide it, and keep it hidden until SHOW */
    VIONET_STANDBY_SHOW,       /* show it, if the guest can have it */
    VIONET_STANDBY_MIGRATION_STARTS,
    VIONET_STANDBY_MIGRATION_FAILED,  /* or was cancelled: the guest stays here */
    VIONET_STANDBY_MIGRATION_LEFT,    /* it succeeded, and the guest runs elsewhere */
    VIONET_STANDBY_MIGRATION_ARRIVED, /* it succeeded, and the guest runs here */
    VIONET_N_STANDBY_INPUTS
} VionetStandbyInput;

/* What is to be done: the host operations of these names. */
typedef enum VionetStandbyAction {
    VIONET_STANDBY_DO_NOTHING,
    VIONET_STANDBY_DO_SHOW,
    VIONET_STANDBY_DO_HIDE,
    VIONET_STANDBY_DO_UNPLUG,
    VIONET_STANDBY_DO_CANCEL,
    VIONET_N_STANDBY_ACTIONS
} VionetStandbyAction;

typedef enum VionetStandbyOutcome {
    VIONET_STANDBY_DONE, /* the action was carried out, or at least begun */
    VIONET_STANDBY_ADVISED, /* it is management's: the model, or the want of an operation, leaves it to it */
    VIONET_STANDBY_FAILED, /* the operation could not do it */
    VIONET_N_STANDBY_OUTCOMES
} VionetStandbyOutcome;

/* One for each input that meant something. */
typedef struct VionetStandbyEvent {
    VionetStandbyInput input;
    VionetPrimaryState from;
    VionetPrimaryState to;
    VionetStandbyAction action;
    VionetStandbyOutcome outcome;
} VionetStandbyEvent;

/* Names as commands and logs have them: "hidden", "coupled", "migration-starts", "unplug", "advised". */
VIONET_EXPORT const char *vionet_primary_state_name(VionetPrimaryState state);
VIONET_EXPORT const char *vionet_standby_model_name(VionetStandbyModel model);
VIONET_EXPORT const char *vionet_standby_input_name(VionetStandbyInput input);
VIONET_EXPORT const char *vionet_standby_action_name(VionetStandbyAction action);
VIONET_EXPORT const char *vionet_standby_outcome_name(VionetStandbyOutcome outcome);

/*
 * What the object asks of its host. Each may be NULL: then that action is management's in every model. Those that
 * return bool say false if it cannot be done, and nothing has been done then.
 */
typedef struct VionetStandbyOps {
    size_t size; /* of this structure */
    /* The guest is to see the primary: begins a hot-add. Should that fail later, SHOW_FAILED says it. */
    bool (*show)(void *opaque);
    /* The guest sees it no more, without being asked: it is not there any more, or cannot be asked. */
    void (*hide)(void *opaque);
    /* Asks the guest to let go; RELEASED or REFUSED is the answer. */
    bool (*unplug)(void *opaque);
    /* Takes back that request, before RELEASED. */
    bool (*cancel)(void *opaque);
    /* The guest has arrived by migration and is to announce itself: vionet_device_announce(). */
    void (*announce)(void *opaque);
    /* Something happened; the event lives until the operation returns. */
    void (*event)(void *opaque, const VionetStandbyEvent *event);
} VionetStandbyOps;

/* Zero is a standby of the model separate on a platform that asks the guest. */
typedef struct VionetStandbyConfig {
    size_t size; /* of this structure */
    VionetStandbyModel model;
    /* No handshake on this platform: where the guest would be asked to let go, the primary is hidden at once. */
    bool surprise;
    uint8_t mac[6];    /* the standby's */
    const char *group; /* what ties it to its primary beside the address; NULL: nothing */
} VionetStandbyConfig;

/* A primary as management describes it. */
typedef struct VionetPrimary {
    size_t size;       /* of this structure */
    bool has_mac;      /* mac is known */
    uint8_t mac[6];    /* has to be the standby's */
    const char *group; /* NULL: none */
} VionetPrimary;

/* Makes an object without a primary and a driver. All is copied. NULL with VIONET_ERROR_CONFIG for a model that is none. */
VIONET_EXPORT VionetStandby *vionet_standby_new(const VionetStandbyConfig *config,
                                                const VionetStandbyOps *ops, void *opaque,
                                                GError **error);

/* Frees it; no operation is called. NULL is ignored. */
VIONET_EXPORT void vionet_standby_free(VionetStandby *standby);

/*
 * The input CONFIGURED: there is a primary from now on, hidden. It has to be the standby's: of the same MAC address
 * as far as that is known, and of the same group if either has one; coupled wants one of the two. False with
 * VIONET_ERROR_CONFIG if it is not, or there is one already.
 */
VIONET_EXPORT bool vionet_standby_configure(VionetStandby *standby, const VionetPrimary *primary,
                                            GError **error);

/* The device told event (the operation event of vionet/device.h): makes of it the input that it is, if it is one. */
VIONET_EXPORT void vionet_standby_follow(VionetStandby *standby, const VionetDevice *device,
                                         const VionetEvent *event);

/* Takes over how far the driver of the device is, without acting: it was there before the object, or was restored. */
VIONET_EXPORT void vionet_standby_adopt(VionetStandby *standby, const VionetDevice *device);

/*
 * Attaches the object to a device: what is against showing the primary becomes a section of the device's saved state
 * (vionet/state.h), and comes along where another object is attached to the device that is loaded. A state is refused
 * there whose guest still had its primary (VIONET_STATE_ERROR_VALUE), for that cannot come along, and by an object
 * whose own primary a guest has (_NOT_FRESH): a target begins with its primary absent or hidden. If a migration is
 * under way, as it is for a source that was told so, nothing is shown before MIGRATION_ARRIVED; otherwise, as when a
 * snapshot is loaded, what the driver has negotiated is taken for an input, as vionet_standby_follow() makes one of
 * the events. Not from within an operation; the device outlives it, or is detached from first, as
 * vionet_standby_free() does. A device has one such object.
 */
VIONET_EXPORT void vionet_standby_attach(VionetStandby *standby, VionetDevice *device);
VIONET_EXPORT void vionet_standby_detach(VionetStandby *standby);

/*
 * Any other input. False, and nothing changes, if it means nothing in this state (or is CONFIGURED). True from within
 * an operation, whatever will become of it.
 */
VIONET_EXPORT bool vionet_standby_input(VionetStandby *standby, VionetStandbyInput input);

/* What management may look at at any time. */
VIONET_EXPORT VionetPrimaryState vionet_standby_state(const VionetStandby *standby);
VIONET_EXPORT VionetStandbyModel vionet_standby_model(const VionetStandby *standby);

/* The driver has accepted STANDBY. */
VIONET_EXPORT bool vionet_standby_negotiated(const VionetStandby *standby);

/* The guest still has a primary, which cannot migrate. */
VIONET_EXPORT bool vionet_standby_blocks_migration(const VionetStandby *standby);

VIONET_END_DECLS

#endif
