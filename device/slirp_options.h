/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The options of the backend "user", named as QEMU's -netdev user has them, read into what libslirp
 * asks for. Called by backend_slirp.c.
 */
#ifndef DEVICE_SLIRP_OPTIONS_H
#define DEVICE_SLIRP_OPTIONS_H

#include <sys/un.h>

#include <libslirp.h>

#include "reader.h"

enum slirp_option {
    SLIRP_NET,
    SLIRP_HOST,
    SLIRP_DHCPSTART,
    SLIRP_DNS,
    SLIRP_RESTRICT,
    SLIRP_IPV4,
    SLIRP_IPV6,
    SLIRP_IPV6_PREFIX,
    SLIRP_IPV6_PREFIXLEN,
    SLIRP_IPV6_HOST,
    SLIRP_IPV6_DNS,
    SLIRP_HOSTNAME,
    SLIRP_DOMAINNAME,
    SLIRP_DNSSEARCH,
    SLIRP_TFTP,
    SLIRP_BOOTFILE,
    SLIRP_TFTP_SERVER_NAME,
    SLIRP_HOSTFWD,
    SLIRP_MTU,
};

/* A connection to host is one to guest. */
struct slirp_forward {
    bool udp;
    union {
        struct sockaddr any;
        struct sockaddr_in inet;
        struct sockaddr_un local;
    } host;
    socklen_t host_len;
    struct sockaddr_in guest; /* without an address: the first that DHCP gives */
};

/* Reads all options but hostfwd. Texts in config are those of the values. False on error. */
bool slirp_options_read(const struct reader *reader, SlirpConfig *config);

/* Reads one value of hostfwd. False on error. */
bool slirp_options_forward(const struct reader *reader, const char *value,
                           struct slirp_forward *forward);

#endif
