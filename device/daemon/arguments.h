/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command line of vionet-device. Errors are of domain VIONET_ERROR, one line each.
 */
#ifndef DEVICE_DAEMON_ARGUMENTS_H
#define DEVICE_DAEMON_ARGUMENTS_H

#include <stdbool.h>
#include <stdint.h>

#include <vionet/standby.h>

#include "log.h"

enum protocol { PROTOCOL_VFIO_USER, PROTOCOL_VHOST_USER };

struct arguments {
    enum protocol protocol;
    /* where VMMs connect, or with client where ours waits: one of these */
    char *socket;
    int socket_fd; /* -1: none */
    bool client;
    /* the device */
    char *device;
    char *netdev;
    /* what is told, and where */
    GLogLevelFlags log_level; /* the least urgent that is shown */
    enum log_format log_format;
    char *status; /* NULL: nowhere */
    char *trace;  /* NULL: nowhere */
    uint32_t trace_snaplen;
    int ready_fd; /* -1: none */
    /* failover */
    bool standby; /* any of these was given */
    VionetStandbyModel standby_model;
    unsigned release_s;
    char *qmp;     /* NULL: no monitor */
    char *primary; /* NULL: none */
    char *control; /* NULL: nowhere */
    bool once;
    bool sandbox;
    bool version; /* print it, and nothing else */
};

/* Reads the command line; prints help and ends the process if that is asked for. */
bool arguments_parse(struct arguments *arguments, int argc, char **argv, GError **error);

/* Frees what it has. */
void arguments_clear(struct arguments *arguments);

#endif
