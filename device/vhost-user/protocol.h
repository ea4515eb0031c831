/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vhost-user protocol as it stands on the wire (QEMU, docs/interop/vhost-user.rst): a front-end (a
 * VMM, or a driver in another process) has a virtio device worked by us, the back-end. It sends requests,
 * some of which are answered; and we one. All numbers are in the machine's byte order.
 *
 * Addresses are of two kinds: buffers lie at guest addresses, rings at the front-end's own (user
 * addresses). A memory region has one of each.
 */
#ifndef DEVICE_VHOST_USER_PROTOCOL_H
#define DEVICE_VHOST_USER_PROTOCOL_H

#include <stdint.h>

struct vhost_user_header {
    uint32_t request;
    uint32_t flags;
    uint32_t size; /* of what stands behind it */
};

#define VHOST_USER_VERSION      1u
#define VHOST_USER_VERSION_MASK 3u
#define VHOST_USER_REPLY        4u
#define VHOST_USER_NEED_REPLY   8u

enum {
    VHOST_USER_GET_FEATURES = 1,
    VHOST_USER_SET_FEATURES = 2,
    VHOST_USER_SET_OWNER = 3,
    VHOST_USER_RESET_OWNER = 4,
    VHOST_USER_SET_MEM_TABLE = 5,
    VHOST_USER_SET_LOG_BASE = 6,
    VHOST_USER_SET_LOG_FD = 7,
    VHOST_USER_SET_VRING_NUM = 8,
    VHOST_USER_SET_VRING_ADDR = 9,
    VHOST_USER_SET_VRING_BASE = 10,
    VHOST_USER_GET_VRING_BASE = 11,
    VHOST_USER_SET_VRING_KICK = 12,
    VHOST_USER_SET_VRING_CALL = 13,
    VHOST_USER_SET_VRING_ERR = 14,
    VHOST_USER_GET_PROTOCOL_FEATURES = 15,
    VHOST_USER_SET_PROTOCOL_FEATURES = 16,
    VHOST_USER_GET_QUEUE_NUM = 17,
    VHOST_USER_SET_VRING_ENABLE = 18,
    VHOST_USER_SEND_RARP = 19,
    VHOST_USER_NET_SET_MTU = 20,
    VHOST_USER_SET_BACKEND_REQ_FD = 21,
    VHOST_USER_GET_CONFIG = 24,
    VHOST_USER_SET_CONFIG = 25,
    VHOST_USER_GET_INFLIGHT_FD = 31,
    VHOST_USER_SET_INFLIGHT_FD = 32,
    VHOST_USER_RESET_DEVICE = 34,
    VHOST_USER_GET_MAX_MEM_SLOTS = 36,
    VHOST_USER_ADD_MEM_REG = 37,
    VHOST_USER_REM_MEM_REG = 38,
    VHOST_USER_SET_STATUS = 39,
    VHOST_USER_GET_STATUS = 40,
    VHOST_USER_N_REQUESTS
};

/* What we ask the front-end, by the socket of SET_BACKEND_REQ_FD. */
enum {
    VHOST_USER_BACKEND_CONFIG_CHANGE = 2,
};

/* Bits of GET_FEATURES that are no features of the device. */
#define VHOST_USER_F_LOG_ALL           26
#define VHOST_USER_F_PROTOCOL_FEATURES 30

/* Bits of GET_PROTOCOL_FEATURES. */
enum {
    VHOST_USER_PROTOCOL_F_MQ = 0,
    VHOST_USER_PROTOCOL_F_LOG_SHMFD = 1,
    VHOST_USER_PROTOCOL_F_RARP = 2,
    VHOST_USER_PROTOCOL_F_REPLY_ACK = 3,
    VHOST_USER_PROTOCOL_F_MTU = 4,
    VHOST_USER_PROTOCOL_F_BACKEND_REQ = 5,
    VHOST_USER_PROTOCOL_F_CONFIG = 9,
    VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD = 12,
    VHOST_USER_PROTOCOL_F_RESET_DEVICE = 13,
    VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS = 15,
    VHOST_USER_PROTOCOL_F_STATUS = 16,
};

struct vhost_user_state {
    uint32_t index;
    uint32_t num;
};

struct vhost_user_addr {
    uint32_t index;
    uint32_t flags;
    uint64_t desc; /* user addresses */
    uint64_t used;
    uint64_t avail;
    uint64_t log; /* a guest address, of the used ring */
};

#define VHOST_USER_VRING_LOG 1u /* of flags */

/* Of the number that comes with a ring's descriptor. */
#define VHOST_USER_VRING_INDEX 0xffu
#define VHOST_USER_VRING_NO_FD 0x100u

struct vhost_user_region {
    uint64_t guest;
    uint64_t size;
    uint64_t user;
    uint64_t offset; /* in the file */
};

struct vhost_user_table {
    uint32_t n_regions;
    uint32_t padding;
};

#define VHOST_USER_TABLE_REGIONS 8

struct vhost_user_single_region {
    uint64_t padding;
    struct vhost_user_region region;
};

struct vhost_user_log {
    uint64_t size;
    uint64_t offset;
};

struct vhost_user_inflight {
    uint64_t size;
    uint64_t offset;
    uint16_t n_rings;
    uint16_t ring_size;
    uint32_t padding; /* not sent by all */
};

#define VHOST_USER_INFLIGHT_SIZE 20 /* octets without padding */

struct vhost_user_config {
    uint32_t offset;
    uint32_t size;
    uint32_t flags;
};

#define VHOST_USER_CONFIG_MAX 256

#endif
