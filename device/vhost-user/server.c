/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vhost-user back-end; see server.h and protocol.h. messages.c has the messages, this file what they
 * ask for: a table of requests, each with the size of its payload, its descriptors, and a function. The
 * state between messages is that of memory.c (regions), of vrings.c (rings), of inflight.c, and here:
 * features, status, the dirty log.
 *
 * The life of a device over PCI, where a driver writes status, is made from what a front-end sends: it
 * has its features from SET_FEATURES on, and DRIVER_OK once a ring runs. SET_STATUS adds nothing to that
 * but the reset, for there are front-ends without it.
 *
 * A request that cannot be done changes nothing, and is answered so if the front-end asks for an answer.
 * Otherwise it would go on in the belief that it was done: its connection ends, as it does over what is
 * no request at all.
 */
#include "vhost-user/server.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <glib-unix.h>

#define VIONET_SPEC_NO_STRUCTS
#include <vionet/spec.h>
#include <vionet/transport.h>

#include "calls.h"
#include "channel.h"
#include "inflight.h"
#include "listener.h"
#include "memory.h"
#include "messages.h"
#include "services.h"
#include "sharing.h"
#include "vrings.h"

/* Messages handled before others have their turn in the event loop. */
#define BUDGET 64

/* How often a front-end that does not wait for us is tried. */
#define RETRY_MS 1000

#define BIT(n) (UINT64_C(1) << (n))

#define PROTOCOL_FEATURES                                                                       \
    (BIT(VHOST_USER_PROTOCOL_F_MQ) | BIT(VHOST_USER_PROTOCOL_F_LOG_SHMFD) |                     \
     BIT(VHOST_USER_PROTOCOL_F_RARP) | BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) |                   \
     BIT(VHOST_USER_PROTOCOL_F_MTU) | BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ) |                  \
     BIT(VHOST_USER_PROTOCOL_F_CONFIG) | BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD) |            \
     BIT(VHOST_USER_PROTOCOL_F_RESET_DEVICE) | BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS) | \
     BIT(VHOST_USER_PROTOCOL_F_STATUS))

/* The protocol's own bits among those of the device. */
#define OWN_FEATURES (BIT(VHOST_USER_F_LOG_ALL) | BIT(VHOST_USER_F_PROTOCOL_FEATURES))

/* Kicks carry no data here, and there is no way to queues by addresses of an IOMMU. */
#define NOT_OFFERED                                                      \
    (BIT(VIRTIO_F_NOTIFICATION_DATA) | BIT(VIRTIO_F_NOTIF_CONFIG_DATA) | \
     BIT(VIRTIO_F_ACCESS_PLATFORM))

struct VionetVhostUser {
    VionetVhostUserOps ops;
    void *opaque;
    GMainContext *context;
    struct services *services;
    VionetFrontend *frontend;
    struct calls *calls; /* of the front-end's rings */
    struct calls *errors;
    struct channel *channel;
    /* where front-ends come, or where ours is */
    struct listener *listener; /* NULL: nowhere */
    char *peer;                /* where we connect, NULL: nowhere */
    GSource *retry_source;
    /* the front-end, if there is one */
    struct messages *messages;
    GSource *messages_source;
    GIOCondition watched; /* by it */
    GSource *loss_source; /* ready when it has taken away memory that it had shared */
    struct memory *memory;
    struct vrings *vrings;
    uint64_t protocol_features;
    uint64_t features; /* as it sent them, 0: none */
    uint8_t status;    /* the same */
    struct sharing log;
    uint64_t log_size;
    struct inflight inflight;
};

struct reply {
    uint8_t data[sizeof(struct vhost_user_config) + VHOST_USER_CONFIG_MAX];
    size_t len;
    bool wanted; /* there is one, which may be empty */
    int fd;      /* that goes with it, or -1 */
};

static VionetDevice *server_device(const VionetVhostUser *server)
{
    return vionet_frontend_device(server->frontend);
}

static uint64_t read_number(const struct message *message)
{
    uint64_t number;

    memcpy(&number, message->payload, sizeof(number));
    return number;
}

static struct vhost_user_state read_state(const struct message *message)
{
    struct vhost_user_state state;

    memcpy(&state, message->payload, sizeof(state));
    return state;
}

static bool put(struct reply *reply, const void *octets, size_t len)
{
    memcpy(reply->data + reply->len, octets, len);
    reply->len += len;
    reply->wanted = true;
    return true;
}

static bool put_number(struct reply *reply, uint64_t number)
{
    return put(reply, &number, sizeof(number));
}

/* ---- Features ---- */

static uint64_t offered(const VionetVhostUser *server)
{
    const VionetDevice *device = server_device(server);

    return ((uint64_t)vionet_device_offered(device, 1) << 32 | vionet_device_offered(device, 0)) &
           ~NOT_OFFERED;
}

/* The front-end's features become the device's, which is reset. False if they do not hold together. */
static bool negotiate(VionetVhostUser *server)
{
    const bool has_control = server->features & BIT(VIRTIO_NET_F_CTRL_VQ);
    uint64_t features = server->features & ~OWN_FEATURES;
    VionetDevice *device = server_device(server);

    /* What needs the control queue goes with one that the front-end keeps. */
    features |= offered(server) & BIT(VIRTIO_NET_F_CTRL_VQ);
    vionet_device_write_status(device, 0);
    vionet_device_write_status(device, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
    vionet_device_write_driver_features(device, 0, (uint32_t)features);
    vionet_device_write_driver_features(device, 1, (uint32_t)(features >> 32));
    vionet_device_write_status(device, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER |
                                           VIRTIO_STATUS_FEATURES_OK);
    if (!(vionet_device_status(device) & VIRTIO_STATUS_FEATURES_OK)) {
        return false;
    }
    vrings_allow(server->vrings, !(server->features & BIT(VHOST_USER_F_PROTOCOL_FEATURES)),
                 has_control);
    return true;
}

/* The device as it was made, with nothing of a driver. */
static void forget_driver(VionetVhostUser *server)
{
    vrings_forbid(server->vrings);
    vionet_frontend_reset(server->frontend);
    server->features = 0;
    server->status = 0;
}

static void apply_log(VionetVhostUser *server)
{
    const bool on = (server->features & BIT(VHOST_USER_F_LOG_ALL)) && server->log.host;

    vionet_device_set_dirty_log(server_device(server), on ? server->log.host : NULL,
                                server->log_size);
}

static bool do_get_features(VionetVhostUser *server, struct message *message, struct reply *reply)
{
    (void)message;
    return put_number(reply, offered(server) | OWN_FEATURES);
}

/* Sent for each pair of queues, and again to switch logging: a device that has them goes on. */
static bool do_set_features(VionetVhostUser *server, struct message *message, struct reply *reply)
{
    const uint64_t features = read_number(message);
    const uint64_t changed = features ^ server->features;

    (void)reply;
    if (features & ~(offered(server) | OWN_FEATURES)) {
        return false;
    }
    if (server->features && !(changed & ~BIT(VHOST_USER_F_LOG_ALL))) {
        server->features = features;
        apply_log(server);
        return true;
    }
    vrings_forbid(server->vrings);
    server->features = features;
    if (!negotiate(server)) {
        forget_driver(server);
        return false;
    }
    apply_log(server);
    return vrings_go_on(server->vrings);
}

/* Where each thread has its queue of the backend, there is none to send an announcement by. */
static uint64_t protocol_features(const VionetVhostUser *server)
{
    return vionet_frontend_queue_context(server->frontend, 0)
               ? PROTOCOL_FEATURES & ~BIT(VHOST_USER_PROTOCOL_F_RARP)
               : PROTOCOL_FEATURES;
}

static bool do_get_protocol_features(VionetVhostUser *server, struct message *message,
                                     struct reply *reply)
{
    (void)message;
    return put_number(reply, protocol_features(server));
}

/* Whether a front-end wants to be told of changes of the configuration space. */
static bool tells_config(const VionetVhostUser *server)
{
    const uint64_t both =
        BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ) | BIT(VHOST_USER_PROTOCOL_F_CONFIG);

    return (server->protocol_features & both) == both;
}

static bool do_set_protocol_features(VionetVhostUser *server, struct message *message,
                                     struct reply *reply)
{
    const uint64_t features = read_number(message);

    (void)reply;
    if (features & ~protocol_features(server)) {
        return false;
    }
    server->protocol_features = features;
    if (!tells_config(server)) {
        channel_set(server->channel, -1);
    }
    return true;
}

/* One that wants to be told of nothing that we tell need not have a socket for it. */
static bool do_set_backend_req_fd(VionetVhostUser *server, struct message *message,
                                  struct reply *reply)
{
    (void)reply;
    if (!tells_config(server)) {
        return server->protocol_features & BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ);
    }
    return channel_set(server->channel, message_take_fd(message, 0));
}

/* Pairs, as front-ends for networks count them. */
static bool do_get_queue_num(VionetVhostUser *server, struct message *message, struct reply *reply)
{
    (void)message;
    return put_number(reply, MIN(vionet_device_config(server_device(server))->max_pairs, 128));
}

/* ---- Status and reset ---- */

static bool do_set_status(VionetVhostUser *server, struct message *message, struct reply *reply)
{
    const uint64_t status = read_number(message);

    (void)reply;
    if (status > UINT8_MAX) {
        return false;
    }
    if (status == 0) {
        forget_driver(server);
        vrings_clear_journals(server->vrings);
    }
    server->status = (uint8_t)status;
    return true;
}

/* What was written, as far as the device agrees. */
static bool do_get_status(VionetVhostUser *server, struct message *message, struct reply *reply)
{
    const uint8_t device = vionet_device_status(server_device(server));
    uint8_t status = server->status | (device & VIRTIO_STATUS_DEVICE_NEEDS_RESET);

    (void)message;
    if (!(device & VIRTIO_STATUS_FEATURES_OK)) {
        status &= (uint8_t)~VIRTIO_STATUS_FEATURES_OK;
    }
    return put_number(reply, status);
}

static bool do_reset_device(VionetVhostUser *server, struct message *message, struct reply *reply)
{
    (void)message;
    (void)reply;
    vrings_disable(server->vrings);
    forget_driver(server);
    vrings_clear_journals(server->vrings);
    return true;
}

static bool do_reset_owner(VionetVhostUser *server, struct message *message, struct reply *reply)
{
    (void)message;
    (void)reply;
    vrings_disable(server->vrings);
    return true;
}

static bool do_nothing(VionetVhostUser *server, struct message *message, struct reply *reply)
{
    (void)server;
    (void)message;
    (void)reply;
    return true;
}

/* ---- Memory ---- */

static bool do_set_mem_table(VionetVhostUser *server, struct message *message, struct reply *reply)
{
    bool good;

    (void)reply;
    vrings_hold(server->vrings);
    good = memory_set(server->memory, message);
    return vrings_go_on(server->vrings) && good;
}

static bool do_get_max_mem_slots(VionetVhostUser *server, struct message *message,
                                 struct reply *reply)
{
    (void)server;
    (void)message;
    return put_number(reply, MEMORY_MAX_REGIONS);
}

static bool do_add_mem_reg(VionetVhostUser *server, struct message *message, struct reply *reply)
{
    (void)reply;
    return memory_add(server->memory, message);
}

/* Rings may stand there. */
static bool do_rem_mem_reg(VionetVhostUser *server, struct message *message, struct reply *reply)
{
    bool good;

    (void)reply;
    vrings_hold(server->vrings);
    good = memory_remove(server->memory, message);
    return vrings_go_on(server->vrings) && good;
}

/* ---- Dirty log ---- */

static bool do_set_log_base(VionetVhostUser *server, struct message *message, struct reply *reply)
{
    struct sharing before = server->log;
    struct vhost_user_log log;
    struct sharing mapping;

    memcpy(&log, message->payload, sizeof(log));
    if (!(server->protocol_features & BIT(VHOST_USER_PROTOCOL_F_LOG_SHMFD)) ||
        sharing_map(&mapping, message->fds[0], log.offset, log.size, false,
                    memory_loss(server->memory)) != 0) {
        return false;
    }
    server->log = mapping;
    server->log_size = log.size;
    apply_log(server);
    sharing_unmap(&before);
    return put_number(reply, 0);
}

/* ---- What is in flight ---- */

static struct vhost_user_inflight read_inflight(const struct message *message)
{
    struct vhost_user_inflight about = {0};

    memcpy(&about, message->payload, VHOST_USER_INFLIGHT_SIZE);
    return about;
}

static bool has_inflight(const VionetVhostUser *server)
{
    return server->protocol_features & BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD);
}

static unsigned max_rings(const VionetVhostUser *server)
{
    return vionet_device_num_queues(server_device(server));
}

/* An answer that says of size 0 is a refusal. */
static bool do_get_inflight_fd(VionetVhostUser *server, struct message *message,
                               struct reply *reply)
{
    struct vhost_user_inflight about = read_inflight(message);

    reply->fd = has_inflight(server) ? inflight_make(&about, max_rings(server)) : -1;
    if (reply->fd < 0) {
        about.size = 0;
    }
    put(reply, &about, MIN(message->header.size, sizeof(about)));
    return reply->fd >= 0;
}

static bool do_set_inflight_fd(VionetVhostUser *server, struct message *message,
                               struct reply *reply)
{
    const struct vhost_user_inflight about = read_inflight(message);

    (void)reply;
    return has_inflight(server) && !vrings_run(server->vrings) &&
           inflight_take(&server->inflight, &about, message->fds[0], max_rings(server),
                         memory_loss(server->memory));
}

/* ---- Rings ---- */

static bool do_set_vring_num(VionetVhostUser *server, struct message *message, struct reply *reply)
{
    const struct vhost_user_state state = read_state(message);

    (void)reply;
    return vrings_set_num(server->vrings, &state);
}

static bool do_set_vring_addr(VionetVhostUser *server, struct message *message, struct reply *reply)
{
    struct vhost_user_addr addr;

    (void)reply;
    memcpy(&addr, message->payload, sizeof(addr));
    return vrings_set_addr(server->vrings, &addr);
}

static bool do_set_vring_base(VionetVhostUser *server, struct message *message, struct reply *reply)
{
    const struct vhost_user_state state = read_state(message);

    (void)reply;
    return vrings_set_base(server->vrings, &state);
}

static bool do_get_vring_base(VionetVhostUser *server, struct message *message, struct reply *reply)
{
    struct vhost_user_state state = read_state(message);

    return vrings_get_base(server->vrings, &state) && put(reply, &state, sizeof(state));
}

static int take_only_fd(struct message *message)
{
    return message->n_fds ? message_take_fd(message, 0) : -1;
}

static bool do_set_vring_kick(VionetVhostUser *server, struct message *message, struct reply *reply)
{
    (void)reply;
    return vrings_set_kick(server->vrings, read_number(message), take_only_fd(message));
}

static bool do_set_vring_call(VionetVhostUser *server, struct message *message, struct reply *reply)
{
    (void)reply;
    return vrings_set_call(server->vrings, read_number(message), take_only_fd(message));
}

static bool do_set_vring_err(VionetVhostUser *server, struct message *message, struct reply *reply)
{
    (void)reply;
    return vrings_set_err(server->vrings, read_number(message), take_only_fd(message));
}

static bool do_set_vring_enable(VionetVhostUser *server, struct message *message,
                                struct reply *reply)
{
    const struct vhost_user_state state = read_state(message);

    (void)reply;
    return vrings_set_enable(server->vrings, &state);
}

/* ---- Configuration space ---- */

/* An empty answer says that there is none. */
static bool do_get_config(VionetVhostUser *server, struct message *message, struct reply *reply)
{
    struct vhost_user_config config;
    uint8_t octets[VHOST_USER_CONFIG_MAX];

    memcpy(&config, message->payload, sizeof(config));
    reply->wanted = true;
    if (config.size > sizeof(octets) || config.offset > sizeof(octets) - config.size ||
        message->header.size - sizeof(config) != config.size) {
        return true;
    }
    vionet_device_config_read(server_device(server), config.offset, octets, config.size);
    put(reply, &config, sizeof(config));
    return put(reply, octets, config.size);
}

/* All of it is for reading only. */
static bool do_set_config(VionetVhostUser *server, struct message *message, struct reply *reply)
{
    struct vhost_user_config config;

    (void)reply;
    memcpy(&config, message->payload, sizeof(config));
    vionet_device_config_write(server_device(server), config.offset,
                               message->payload + sizeof(config), config.size);
    return false;
}

/* The device drops what is longer than its own MTU says: with another one it would not. */
static bool do_set_mtu(VionetVhostUser *server, struct message *message, struct reply *reply)
{
    const VionetConfig *config = vionet_device_config(server_device(server));

    (void)reply;
    return vionet_features_test(config->features, VIRTIO_NET_F_MTU) &&
           read_number(message) == config->mtu;
}

/* A guest that came by migration, and cannot announce itself, is announced: a reverse ARP request. */
static bool do_send_rarp(VionetVhostUser *server, struct message *message, struct reply *reply)
{
    static const uint8_t head[] = {0x80, 0x35, 0, 1, 8, 0, 6, 4, 0, 3};
    uint8_t octets[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    const struct iovec iov = {octets, sizeof(octets)};
    const VionetFrame frame = {.iov = &iov, .n_iov = 1, .len = sizeof(octets)};

    (void)reply;
    if (!(protocol_features(server) & BIT(VHOST_USER_PROTOCOL_F_RARP))) {
        return false;
    }
    memcpy(octets + 6, message->payload, 6);
    memcpy(octets + 12, head, sizeof(head));
    memcpy(octets + 22, message->payload, 6);
    memcpy(octets + 32, message->payload, 6);
    backend_send(vionet_frontend_backend(server->frontend), &frame, 1);
    return true;
}

/* ---- Messages ---- */

enum fds { NO_FDS, ONE_FD, UP_TO_ONE_FD, ANY_FDS };

static const struct request {
    const char *name;
    size_t size; /* of the payload */
    bool open;   /* or more */
    enum fds fds;
    bool (*run)(VionetVhostUser *server, struct message *message, struct reply *reply);
} requests[VHOST_USER_N_REQUESTS] = {
    [VHOST_USER_GET_FEATURES] = {"GET_FEATURES", 0, false, NO_FDS, do_get_features},
    [VHOST_USER_SET_FEATURES] = {"SET_FEATURES", 8, false, NO_FDS, do_set_features},
    [VHOST_USER_SET_OWNER] = {"SET_OWNER", 0, false, NO_FDS, do_nothing},
    [VHOST_USER_RESET_OWNER] = {"RESET_OWNER", 0, false, NO_FDS, do_reset_owner},
    [VHOST_USER_SET_MEM_TABLE] = {"SET_MEM_TABLE", sizeof(struct vhost_user_table), true, ANY_FDS,
                                  do_set_mem_table},
    [VHOST_USER_SET_LOG_BASE] = {"SET_LOG_BASE", sizeof(struct vhost_user_log), false, ONE_FD,
                                 do_set_log_base},
    /* It may be used to say that the log was written; who migrates looks at it anyway. */
    [VHOST_USER_SET_LOG_FD] = {"SET_LOG_FD", 0, true, UP_TO_ONE_FD, do_nothing},
    [VHOST_USER_SET_VRING_NUM] = {"SET_VRING_NUM", sizeof(struct vhost_user_state), false, NO_FDS,
                                  do_set_vring_num},
    [VHOST_USER_SET_VRING_ADDR] = {"SET_VRING_ADDR", sizeof(struct vhost_user_addr), false, NO_FDS,
                                   do_set_vring_addr},
    [VHOST_USER_SET_VRING_BASE] = {"SET_VRING_BASE", sizeof(struct vhost_user_state), false, NO_FDS,
                                   do_set_vring_base},
    [VHOST_USER_GET_VRING_BASE] = {"GET_VRING_BASE", sizeof(struct vhost_user_state), false, NO_FDS,
                                   do_get_vring_base},
    [VHOST_USER_SET_VRING_KICK] = {"SET_VRING_KICK", 8, false, UP_TO_ONE_FD, do_set_vring_kick},
    [VHOST_USER_SET_VRING_CALL] = {"SET_VRING_CALL", 8, false, UP_TO_ONE_FD, do_set_vring_call},
    [VHOST_USER_SET_VRING_ERR] = {"SET_VRING_ERR", 8, false, UP_TO_ONE_FD, do_set_vring_err},
    [VHOST_USER_GET_PROTOCOL_FEATURES] = {"GET_PROTOCOL_FEATURES", 0, false, NO_FDS,
                                          do_get_protocol_features},
    [VHOST_USER_SET_PROTOCOL_FEATURES] = {"SET_PROTOCOL_FEATURES", 8, false, NO_FDS,
                                          do_set_protocol_features},
    [VHOST_USER_GET_QUEUE_NUM] = {"GET_QUEUE_NUM", 0, false, NO_FDS, do_get_queue_num},
    [VHOST_USER_SET_VRING_ENABLE] = {"SET_VRING_ENABLE", sizeof(struct vhost_user_state), false,
                                     NO_FDS, do_set_vring_enable},
    [VHOST_USER_SEND_RARP] = {"SEND_RARP", 8, false, NO_FDS, do_send_rarp},
    [VHOST_USER_NET_SET_MTU] = {"NET_SET_MTU", 8, false, NO_FDS, do_set_mtu},
    [VHOST_USER_SET_BACKEND_REQ_FD] = {"SET_BACKEND_REQ_FD", 0, false, ONE_FD,
                                       do_set_backend_req_fd},
    [VHOST_USER_GET_CONFIG] = {"GET_CONFIG", sizeof(struct vhost_user_config), true, NO_FDS,
                               do_get_config},
    [VHOST_USER_SET_CONFIG] = {"SET_CONFIG", sizeof(struct vhost_user_config), true, NO_FDS,
                               do_set_config},
    [VHOST_USER_GET_INFLIGHT_FD] = {"GET_INFLIGHT_FD", VHOST_USER_INFLIGHT_SIZE, true, NO_FDS,
                                    do_get_inflight_fd},
    [VHOST_USER_SET_INFLIGHT_FD] = {"SET_INFLIGHT_FD", VHOST_USER_INFLIGHT_SIZE, true, ONE_FD,
                                    do_set_inflight_fd},
    [VHOST_USER_RESET_DEVICE] = {"RESET_DEVICE", 0, false, NO_FDS, do_reset_device},
    [VHOST_USER_GET_MAX_MEM_SLOTS] = {"GET_MAX_MEM_SLOTS", 0, false, NO_FDS, do_get_max_mem_slots},
    [VHOST_USER_ADD_MEM_REG] = {"ADD_MEM_REG", sizeof(struct vhost_user_single_region), false,
                                ONE_FD, do_add_mem_reg},
    /* There are front-ends that send a descriptor, which the protocol lets pass. */
    [VHOST_USER_REM_MEM_REG] = {"REM_MEM_REG", sizeof(struct vhost_user_single_region), false,
                                UP_TO_ONE_FD, do_rem_mem_reg},
    [VHOST_USER_SET_STATUS] = {"SET_STATUS", 8, false, NO_FDS, do_set_status},
    [VHOST_USER_GET_STATUS] = {"GET_STATUS", 0, false, NO_FDS, do_get_status},
};

static bool fds_fit(enum fds fds, unsigned n)
{
    switch (fds) {
    case NO_FDS:
        return n == 0;
    case ONE_FD:
        return n == 1;
    case UP_TO_ONE_FD:
        return n <= 1;
    default:
        return true;
    }
}

static bool run_request(VionetVhostUser *server, struct message *message, struct reply *reply)
{
    const uint32_t number = message->header.request;
    const struct request *request = number < G_N_ELEMENTS(requests) ? &requests[number] : NULL;
    const uint32_t size = message->header.size;
    bool good = false;

    if (request && request->run && fds_fit(request->fds, message->n_fds) &&
        (request->open ? size >= request->size : size == request->size)) {
        good = request->run(server, message, reply);
    }
    if (!good) {
        g_info("vhost-user: request %u (%s) refused", number,
               request && request->name ? request->name : "unknown");
    }
    return good;
}

/* False if the connection is not to go on. */
static bool handle(VionetVhostUser *server, struct message *message)
{
    const bool acks = server->protocol_features & BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK);
    const bool asked = acks && (message->header.flags & VHOST_USER_NEED_REPLY);
    struct reply reply;
    bool good;

    reply.len = 0;
    reply.wanted = false;
    reply.fd = -1;
    good = run_request(server, message, &reply);
    if (!reply.wanted && asked) {
        put_number(&reply, !good);
    }
    if (reply.wanted) {
        return messages_reply_with(server->messages, message->header.request, reply.data, reply.len,
                                   reply.fd);
    }
    if (!good) {
        g_warning("vhost-user: front-end asked for what cannot be done, and for no answer");
    }
    return good;
}

/* ---- The front-end ---- */

static void drop_client(VionetVhostUser *server);

static bool is_lost(void *opaque)
{
    const VionetVhostUser *server = opaque;

    return memory_is_lost(server->memory);
}

static void lost_memory(void *opaque)
{
    g_warning("vhost-user: front-end took away memory that it had shared");
    drop_client(opaque);
}

static gboolean messages_ready(gint fd, GIOCondition condition, gpointer data);

static void watch(VionetVhostUser *server, GIOCondition condition)
{
    if (server->messages_source) {
        g_source_destroy(server->messages_source);
        g_clear_pointer(&server->messages_source, g_source_unref);
    }
    server->watched = condition;
    server->messages_source = g_unix_fd_source_new(messages_fd(server->messages), condition);
    g_source_set_callback(server->messages_source, G_SOURCE_FUNC(messages_ready), server, NULL);
    g_source_attach(server->messages_source, server->context);
}

static void retry_soon(VionetVhostUser *server);

static void drop_client(VionetVhostUser *server)
{
    if (!server->messages) {
        return;
    }
    forget_driver(server);
    g_clear_pointer(&server->vrings, vrings_free);
    calls_clear(server->calls);
    calls_clear(server->errors);
    channel_set(server->channel, -1);
    vionet_device_set_dirty_log(server_device(server), NULL, 0);
    sharing_unmap(&server->log);
    inflight_drop(&server->inflight);
    g_source_destroy(server->loss_source);
    g_clear_pointer(&server->loss_source, g_source_unref);
    g_clear_pointer(&server->memory, memory_free);
    g_source_destroy(server->messages_source);
    g_clear_pointer(&server->messages_source, g_source_unref);
    g_clear_pointer(&server->messages, messages_free);
    server->protocol_features = 0;
    g_message("vhost-user: front-end has gone");
    if (server->ops.connected) {
        server->ops.connected(server->opaque, false);
    }
    if (server->peer) {
        retry_soon(server);
    }
}

/* False if the connection is not to go on. */
static bool read_messages(VionetVhostUser *server)
{
    for (unsigned i = 0; i < BUDGET && !messages_is_full(server->messages); i++) {
        struct message *message;

        switch (messages_read(server->messages, &message)) {
        case MESSAGES_WHOLE:
            if (!handle(server, message)) {
                return false;
            }
            break;
        case MESSAGES_NOTHING:
            return true;
        case MESSAGES_BROKEN:
            g_warning("vhost-user: front-end sent %s", messages_reason(server->messages));
            return false;
        case MESSAGES_CLOSED:
            return false;
        }
    }
    return true;
}

static gboolean messages_ready(gint fd, GIOCondition condition, gpointer data)
{
    VionetVhostUser *server = data;
    GIOCondition wanted;

    (void)fd;
    (void)condition;
    if (!messages_flush(server->messages) ||
        (!messages_is_full(server->messages) && !read_messages(server))) {
        drop_client(server);
        return G_SOURCE_REMOVE;
    }
    wanted = messages_is_full(server->messages) ? G_IO_OUT : G_IO_IN;
    if (wanted != server->watched) {
        watch(server, wanted);
        return G_SOURCE_REMOVE;
    }
    return G_SOURCE_CONTINUE;
}

/* ---- What vrings.c asks ---- */

static void renew(void *opaque)
{
    negotiate(opaque);
}

static void wake(void *opaque)
{
    const VionetVhostUser *server = opaque;

    services_wake(server->services);
}

bool vionet_vhost_user_serve(VionetVhostUser *server, int fd)
{
    static const struct vrings_ops vrings_ops = {.renew = renew, .wake = wake};

    if (server->messages && listener_has_lost(messages_fd(server->messages))) {
        drop_client(server);
    }
    if (server->messages) {
        g_message("vhost-user: a second front-end was turned away");
        close(fd);
        return false;
    }
    server->messages = messages_new(fd);
    server->memory = memory_new(server->frontend);
    server->vrings = vrings_new(server->frontend, server->memory, &server->inflight, server->calls,
                                server->errors, server->context, &vrings_ops, server);
    watch(server, G_IO_IN);
    server->loss_source = sharing_watch(server->context, memory_loss(server->memory)->fd, is_lost,
                                        lost_memory, server);
    g_info("vhost-user: front-end came");
    if (server->ops.connected) {
        server->ops.connected(server->opaque, true);
    }
    return true;
}

bool vionet_vhost_user_is_connected(const VionetVhostUser *server)
{
    return server->messages;
}

/* ---- Where front-ends come ---- */

static void client_came(void *opaque, int fd)
{
    vionet_vhost_user_serve(opaque, fd);
}

/* False, with an error, if there is a place to meet front-ends already. */
static bool is_free(const VionetVhostUser *server, GError **error)
{
    if (server->listener || server->peer) {
        g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG, "there is a socket already");
        return false;
    }
    return true;
}

bool vionet_vhost_user_listen(VionetVhostUser *server, const char *path, GError **error)
{
    if (is_free(server, error)) {
        server->listener = listener_open(path, server->context, client_came, server, error);
        return server->listener;
    }
    return false;
}

bool vionet_vhost_user_listen_fd(VionetVhostUser *server, int fd, GError **error)
{
    if (is_free(server, error)) {
        server->listener = listener_adopt(fd, server->context, client_came, server, error);
        return server->listener;
    }
    return false;
}

/* ---- Where ours is ---- */

/* A connected socket, or -1. */
static int try_peer(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    strcpy(address.sun_path, path);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static gboolean retry(gpointer data)
{
    VionetVhostUser *server = data;
    const int fd = try_peer(server->peer);

    if (fd < 0) {
        return G_SOURCE_CONTINUE;
    }
    g_clear_pointer(&server->retry_source, g_source_unref);
    vionet_vhost_user_serve(server, fd);
    return G_SOURCE_REMOVE;
}

static void retry_soon(VionetVhostUser *server)
{
    server->retry_source = g_timeout_source_new(RETRY_MS);
    g_source_set_callback(server->retry_source, retry, server, NULL);
    g_source_attach(server->retry_source, server->context);
}

bool vionet_vhost_user_connect(VionetVhostUser *server, const char *path, GError **error)
{
    int fd;

    if (!is_free(server, error) || !listener_check_path(path, error)) {
        return false;
    }
    server->peer = g_strdup(path);
    fd = try_peer(path);
    if (fd >= 0) {
        vionet_vhost_user_serve(server, fd);
    } else {
        retry_soon(server);
    }
    return true;
}

/* ---- What the frontend asks ---- */

/* From any thread. */
static void host_interrupt(void *opaque, unsigned queue)
{
    const VionetVhostUser *server = opaque;

    if (queue == VIONET_CONFIG_CHANGE) {
        channel_tell_config(server->channel);
    } else {
        calls_signal(server->calls, queue);
    }
}

static uint64_t host_clock_ns(void *opaque)
{
    (void)opaque;
    return services_clock_ns();
}

static void host_timer(void *opaque, unsigned queue, uint64_t deadline_ns)
{
    const VionetVhostUser *server = opaque;

    services_timer(server->services, queue, deadline_ns);
}

static void host_event(void *opaque, const VionetEvent *event)
{
    const VionetVhostUser *server = opaque;

    if (event->kind == VIONET_EVENT_VIOLATION && vionet_violation_info(event->violation)->fatal) {
        calls_signal(server->errors, event->queue);
    }
    if (server->ops.event) {
        server->ops.event(server->opaque, event);
    }
}

static void host_trace(void *opaque, const VionetTrace *trace)
{
    const VionetVhostUser *server = opaque;

    server->ops.trace(server->opaque, trace);
}

static void timer_expired(void *opaque, unsigned queue)
{
    const VionetVhostUser *server = opaque;

    vionet_device_timer(server_device(server), queue);
}

static bool run_again(void *opaque)
{
    const VionetVhostUser *server = opaque;
    const bool polls = server->vrings && vrings_poll(server->vrings);

    return vionet_frontend_poll(server->frontend, 0) || polls;
}

/* ---- Life ---- */

static bool make_device(VionetVhostUser *server, const char *properties, const char *backend,
                        GError **error)
{
    static const struct services_ops services_ops = {.expired = timer_expired, .again = run_again};
    const VionetFrontendOps ops = {
        .size = sizeof(ops),
        .interrupt = host_interrupt,
        .clock_ns = host_clock_ns,
        .timer = host_timer,
        .event = host_event,
        .wake = wake,
        .trace = server->ops.trace ? host_trace : NULL,
    };

    server->calls = calls_new(2 * VIONET_MAX_PAIRS + 1);
    server->errors = calls_new(2 * VIONET_MAX_PAIRS + 1);
    server->channel = channel_new();
    server->services =
        services_new(server->context, 2 * VIONET_MAX_PAIRS + 1, &services_ops, server, error);
    if (!server->services) {
        return false;
    }
    server->frontend = vionet_frontend_new(properties, backend, &ops, server, error);
    if (!server->frontend || !vionet_frontend_realize(server->frontend, error)) {
        return false;
    }
    vionet_frontend_attach(server->frontend, server->context);
    return true;
}

VionetVhostUser *vionet_vhost_user_new(const char *properties, const char *backend,
                                       GMainContext *context, const VionetVhostUserOps *ops,
                                       void *opaque, GError **error)
{
    VionetVhostUser *server = g_new0(VionetVhostUser, 1);

    if (ops) {
        memcpy(&server->ops, ops, MIN(ops->size, sizeof(server->ops)));
    }
    server->opaque = opaque;
    server->context = context;
    if (!make_device(server, properties, backend, error)) {
        vionet_vhost_user_free(server);
        return NULL;
    }
    return server;
}

void vionet_vhost_user_free(VionetVhostUser *server)
{
    if (!server) {
        return;
    }
    g_clear_pointer(&server->peer, g_free);
    drop_client(server);
    if (server->retry_source) {
        g_source_destroy(server->retry_source);
        g_source_unref(server->retry_source);
    }
    listener_close(server->listener);
    vionet_frontend_free(server->frontend);
    calls_free(server->calls);
    calls_free(server->errors);
    channel_free(server->channel);
    services_free(server->services);
    g_free(server);
}

VionetFrontend *vionet_vhost_user_frontend(const VionetVhostUser *server)
{
    return server->frontend;
}
