/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Failover in the daemon: the object of vionet/standby.h, and the VMM as its host, to which this speaks QMP to add
 * and remove the primary. Used by main.c; control.c brings management's commands, status.c shows what is.
 *
 * What the object says is a wish here, carried out as soon as the monitor lets us: the VMM may not be up yet, or come
 * again. A primary is hidden by device_del, so it is not realised while it is hidden; what it needs besides (its
 * netdev, for example) stays in the VMM.
 *
 * Threads: that of the event loop. Errors are of domain VIONET_ERROR, one line each.
 */
#ifndef DEVICE_DAEMON_FAILOVER_H
#define DEVICE_DAEMON_FAILOVER_H

#include <json-glib/json-glib.h>

#include <vionet/standby.h>

#define FAILOVER_RELEASE_S 10 /* that a guest may take to let go, unless said otherwise */

struct failover;

struct failover_options {
    VionetStandbyModel model;
    unsigned release_s;  /* then it has refused */
    const char *qmp;     /* the monitor's socket; NULL: none, and all is management's */
    const char *primary; /* device_add's arguments; NULL: there is no primary */
};

/* Something happened; from the event loop. */
typedef void (*failover_told)(void *opaque, const VionetStandbyEvent *event);

/* Makes it for a device with that configuration. NULL on error: arguments that are none, a primary of another's. */
struct failover *failover_new(const struct failover_options *options, const VionetConfig *device,
                              GMainContext *context, failover_told told, void *opaque,
                              GError **error);

/* Leaves the primary as it is; NULL is ignored. */
void failover_free(struct failover *failover);

/* Events of the device: which is passed, for they may come before its maker has returned. */
void failover_follow(struct failover *failover, const VionetDevice *device,
                     const VionetEvent *event);

/*
 * What management says, by its name: show, hide, remove, add, migration-starts, migration-failed, migration-left,
 * migration-arrived. False, with an error, if there is no such command or it means nothing now.
 */
bool failover_command(struct failover *failover, const char *name, GError **error);

/* Members that say how it stands, for an object that is being built. */
void failover_describe(const struct failover *failover, JsonBuilder *builder);

/* The same as an object on one line, and an event as one. To be freed with g_free(). */
char *failover_describe_line(const struct failover *failover);
char *failover_describe_event(const VionetStandbyEvent *event);

#endif
