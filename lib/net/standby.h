/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The failover object as its own files see it: standby.c is its life and tables, standby_state.c its section of saved
 * state. Control side only.
 */
#ifndef VIONET_NET_STANDBY_H
#define VIONET_NET_STANDBY_H

#include <vionet/standby.h>

/* What is known beside the primary's state. */
enum {
    STANDBY_ACCEPTED = 1 << 0,  /* the driver took STANDBY */
    STANDBY_RUNS = 1 << 1,      /* and is ready */
    STANDBY_HELD = 1 << 2,      /* management wants it hidden */
    STANDBY_MIGRATING = 1 << 3, /* until it has failed or succeeded */
    STANDBY_REMOVING = 1 << 4,  /* once it is released there is none */
    STANDBY_ASKED = 1 << 5,     /* the guest was asked to let go, however long ago */
};

struct VionetStandby {
    VionetStandbyConfig config;
    VionetStandbyOps ops;
    void *opaque;
    char *group;
    VionetPrimaryState state;
    unsigned known;
    bool busy;            /* an input is under way */
    GArray *waiting;      /* VionetStandbyInput, behind it */
    VionetDevice *device; /* whose saved state has its section, NULL: none */
};

#endif
