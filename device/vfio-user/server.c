/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vfio-user server; see server.h and protocol.h. stream.c has the messages, this file what they
 * ask for: a table of commands, each with what its payload must have at least, and a function. The
 * state between messages is that of the connection (has it agreed on a version?), of dma.c (memory),
 * of irqs.c (interrupts), and of the PCI function.
 *
 * A command that cannot be done is answered with an errno value and changes nothing. What is no
 * command at all ends the connection.
 *
 * Writes to registers that may lead to memory which the client has not shared are answered before they
 * are done; waiting.h says why, and has what comes while the device waits for such memory.
 */
#include "server.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib-unix.h>

#include <vionet/transport.h>

#include "capabilities.h"
#include "dma.h"
#include "ioeventfds.h"
#include "irqs.h"
#include "listener.h"
#include "regions.h"
#include "services.h"
#include "sharing.h"
#include "waiting.h"

/* Messages handled before others have their turn in the event loop. */
#define BUDGET 64

struct VionetVfioUser {
    VionetVfioUserOps ops;
    void *opaque;
    GMainContext *context;
    struct services *services;
    VionetFrontend *frontend;
    struct irqs *irqs;
    uint32_t notify_bar; /* where notifications are written, from there on */
    uint32_t notify_offset;
    /* where clients come */
    struct listener *listener; /* NULL: nowhere */
    /* the client, if there is one */
    struct stream *stream;
    GSource *stream_source;
    GIOCondition watched; /* by it */
    struct dma *dma;
    GSource *loss_source; /* ready when the client has taken away memory that it had shared */
    bool agreed;          /* on a version */
    struct capabilities capabilities;
    struct waiting *waiting; /* for memory that is not shared; NULL until they have agreed */
    bool posting;            /* writes are to be answered before they are done, all of them */
    struct ioeventfds *ioeventfds;
};

/* What goes back, and what is to be done once it has gone. */
struct answer {
    uint8_t data[sizeof(struct vfio_user_region_access) + STREAM_MAX_DATA];
    size_t len;
    int fds[STREAM_MAX_FDS];
    unsigned n_fds;
    int given;   /* a descriptor that is closed once it has gone, -1 */
    bool posted; /* a write to a region, which is only done now */
};

static VionetPci *server_pci(const VionetVfioUser *server)
{
    return vionet_frontend_pci(server->frontend);
}

static VionetDevice *server_device(const VionetVfioUser *server)
{
    return vionet_frontend_device(server->frontend);
}

/* Its data stay as they are: they are many, and read no further than they were put. */
static void answer_init(struct answer *answer)
{
    answer->len = 0;
    answer->n_fds = 0;
    answer->given = -1;
    answer->posted = false;
}

static void put(struct answer *answer, const void *octets, size_t len)
{
    memcpy(answer->data + answer->len, octets, len);
    answer->len += len;
}

/* ---- Version ---- */

/* A second socket for our requests, if the client wants one; else NULL. */
static struct stream *open_twin(VionetVfioUser *server, struct answer *answer)
{
    int ends[2];

    if (!server->capabilities.twin_socket || server->capabilities.max_msg_fds == 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        return NULL;
    }
    answer->fds[0] = answer->given = ends[1];
    answer->n_fds = 1;
    return stream_new(ends[0]);
}

static void open_waiting(VionetVfioUser *server, struct stream *twin);

static int do_version(VionetVfioUser *server, struct stream_message *message, struct answer *answer)
{
    struct vfio_user_version version;
    struct stream *twin;
    char *text;

    memcpy(&version, message->payload, sizeof(version));
    if (server->agreed || version.major != VFIO_USER_MAJOR ||
        !capabilities_read((const char *)message->payload + sizeof(version),
                           message->len - sizeof(version), &server->capabilities)) {
        return EINVAL;
    }
    version.minor = MIN(version.minor, VFIO_USER_MINOR);
    put(answer, &version, sizeof(version));
    twin = open_twin(server, answer);
    open_waiting(server, twin);
    text = capabilities_answer(&server->capabilities, twin);
    put(answer, text, strlen(text) + 1);
    g_free(text);
    server->agreed = true;
    g_info("vfio-user: client agreed on version %u.%u", version.major, version.minor);
    if (server->ops.connected) {
        server->ops.connected(server->opaque, true);
    }
    return 0;
}

/* ---- Memory ---- */

static int do_dma_map(VionetVfioUser *server, struct stream_message *message, struct answer *answer)
{
    (void)answer;
    return dma_map(server->dma, message);
}

static int do_dma_unmap(VionetVfioUser *server, struct stream_message *message,
                        struct answer *answer)
{
    const int error = dma_unmap(server->dma, message);

    if (error == 0) {
        put(answer, message->payload, sizeof(struct vfio_user_dma_unmap));
    }
    return error;
}

/* ---- What the device is ---- */

static int do_device_info(VionetVfioUser *server, struct stream_message *message,
                          struct answer *answer)
{
    struct vfio_user_device_info info;

    (void)server;
    memcpy(&info, message->payload, sizeof(info));
    if (info.argsz < sizeof(info)) {
        return EINVAL;
    }
    info = (struct vfio_user_device_info){
        .argsz = sizeof(info),
        .flags = VFIO_USER_DEVICE_RESETS | VFIO_USER_DEVICE_PCI,
        .num_regions = VFIO_USER_N_REGIONS,
        .num_irqs = VFIO_USER_IRQ_MSIX + 1,
    };
    put(answer, &info, sizeof(info));
    return 0;
}

static int do_region_info(VionetVfioUser *server, struct stream_message *message,
                          struct answer *answer)
{
    struct vfio_user_region_info info;
    uint64_t size;

    memcpy(&info, message->payload, sizeof(info));
    if (info.argsz < sizeof(info) || info.index >= VFIO_USER_N_REGIONS) {
        return EINVAL;
    }
    size = regions_size(server_pci(server), info.index);
    info = (struct vfio_user_region_info){
        .argsz = sizeof(info),
        .flags = size ? VFIO_USER_REGION_READABLE | VFIO_USER_REGION_WRITEABLE : 0,
        .index = info.index,
        .size = size,
    };
    put(answer, &info, sizeof(info));
    return 0;
}

static int do_irq_info(VionetVfioUser *server, struct stream_message *message,
                       struct answer *answer)
{
    struct vfio_user_irq_info info;

    memcpy(&info, message->payload, sizeof(info));
    if (info.argsz < sizeof(info) || info.index > VFIO_USER_IRQ_MSIX) {
        return EINVAL;
    }
    info = (struct vfio_user_irq_info){
        .argsz = sizeof(info),
        .flags = irqs_flags(server->irqs, info.index),
        .index = info.index,
        .count = irqs_count(server->irqs, info.index),
    };
    put(answer, &info, sizeof(info));
    return 0;
}

/* ---- Notifications by eventfd ---- */

static void put_io_fds(VionetVfioUser *server, unsigned n_queues, struct answer *answer)
{
    for (unsigned queue = 0; queue < n_queues; queue++) {
        struct vfio_user_io_fd io = {
            .fd_index = ioeventfds_index(server->ioeventfds, queue),
            .type = VFIO_USER_IO_FD_IOEVENTFD,
        };
        unsigned bar;

        vionet_pci_notify_address(server_pci(server), queue, &bar, &io.offset);
        put(answer, &io, sizeof(io));
    }
    answer->n_fds = ioeventfds_count(server->ioeventfds);
    memcpy(answer->fds, ioeventfds_fds(server->ioeventfds), answer->n_fds * sizeof(int));
}

/* Queues whose notifications are told by where they are written, to that region. */
static unsigned notify_addresses(VionetVfioUser *server, uint32_t region)
{
    unsigned bar;
    uint64_t offset;

    return vionet_pci_notify_address(server_pci(server), 0, &bar, &offset) && bar == region
               ? vionet_device_num_queues(server_device(server))
               : 0;
}

static int do_io_fds(VionetVfioUser *server, struct stream_message *message, struct answer *answer)
{
    struct vfio_user_region_io_fds info;
    unsigned n_queues;
    uint32_t room;

    memcpy(&info, message->payload, sizeof(info));
    if (info.argsz < sizeof(info) || info.flags || info.index >= VFIO_USER_N_REGIONS) {
        return EINVAL;
    }
    room = info.argsz;
    n_queues = server->capabilities.max_msg_fds > 0 ? notify_addresses(server, info.index) : 0;
    info.count = n_queues;
    info.argsz = (uint32_t)(sizeof(info) + n_queues * sizeof(struct vfio_user_io_fd));
    put(answer, &info, sizeof(info));
    if (n_queues == 0 || room < info.argsz) {
        return 0;
    }
    if (!ioeventfds_open(server->ioeventfds, (unsigned)MIN(MIN(n_queues, STREAM_MAX_FDS),
                                                           server->capabilities.max_msg_fds))) {
        return EMFILE;
    }
    put_io_fds(server, n_queues, answer);
    return 0;
}

/* ---- Interrupts ---- */

static int do_set_irqs(VionetVfioUser *server, struct stream_message *message,
                       struct answer *answer)
{
    const int error = irqs_set(server->irqs, message);

    (void)answer;
    if (error == 0) {
        irqs_apply(server->irqs, server_pci(server));
    }
    return error;
}

/* ---- Regions ---- */

static int do_region_read(VionetVfioUser *server, struct stream_message *message,
                          struct answer *answer)
{
    struct vfio_user_region_access access;

    memcpy(&access, message->payload, sizeof(access));
    if (access.count > STREAM_MAX_DATA ||
        !regions_contain(server_pci(server), access.region, access.offset, access.count)) {
        return EINVAL;
    }
    put(answer, &access, sizeof(access));
    regions_read(server_pci(server), access.region, access.offset, answer->data + answer->len,
                 access.count);
    answer->len += access.count;
    return 0;
}

static enum weight weigh(VionetVfioUser *server, uint32_t region, uint64_t offset)
{
    if (region == IRQS_BAR) {
        return WRITE_LIGHT;
    }
    return region == server->notify_bar && offset >= server->notify_offset ? WRITE_NOTIFICATION
                                                                           : WRITE_HEAVY;
}

/* Whether a write of that weight is answered before it is done. */
static bool is_posted(const VionetVfioUser *server, enum weight weight)
{
    return server->posting || weight == WRITE_NOTIFICATION ||
           (weight == WRITE_HEAVY && dma_has_remote(server->dma));
}

static void write_region(VionetVfioUser *server, const uint8_t *payload)
{
    struct vfio_user_region_access access;

    memcpy(&access, payload, sizeof(access));
    regions_write(server_pci(server), access.region, access.offset, payload + sizeof(access),
                  access.count);
}

static int do_region_write(VionetVfioUser *server, struct stream_message *message,
                           struct answer *answer)
{
    struct vfio_user_region_access access;

    memcpy(&access, message->payload, sizeof(access));
    if (message->len - sizeof(access) < access.count ||
        !regions_contain(server_pci(server), access.region, access.offset, access.count)) {
        return EINVAL;
    }
    put(answer, &access, sizeof(access));
    answer->posted = is_posted(server, weigh(server, access.region, access.offset));
    if (!answer->posted) {
        write_region(server, message->payload);
    }
    return 0;
}

/* All are checked before the first is done. */
static bool check_writes(VionetVfioUser *server, const uint8_t *at, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++, at += sizeof(struct vfio_user_write_multi)) {
        struct vfio_user_write_multi one;

        memcpy(&one, at, sizeof(one));
        if (one.count > sizeof(one.data) ||
            !regions_contain(server_pci(server), one.region, one.offset, one.count)) {
            return false;
        }
    }
    return true;
}

/* The heaviest of them. */
static enum weight weigh_multi(VionetVfioUser *server, const uint8_t *payload, size_t len)
{
    enum weight heaviest = WRITE_LIGHT;

    for (size_t at = sizeof(uint64_t); len - at >= sizeof(struct vfio_user_write_multi);
         at += sizeof(struct vfio_user_write_multi)) {
        struct vfio_user_write_multi one;

        memcpy(&one, payload + at, sizeof(one));
        heaviest = MAX(heaviest, weigh(server, one.region, one.offset));
    }
    return heaviest;
}

static void write_all(VionetVfioUser *server, const uint8_t *payload)
{
    const uint8_t *at = payload + sizeof(uint64_t);
    uint64_t n;

    memcpy(&n, payload, sizeof(n));
    for (uint64_t i = 0; i < n; i++, at += sizeof(struct vfio_user_write_multi)) {
        struct vfio_user_write_multi one;

        memcpy(&one, at, sizeof(one));
        regions_write(server_pci(server), one.region, one.offset, one.data, one.count);
    }
}

static int do_write_multi(VionetVfioUser *server, struct stream_message *message,
                          struct answer *answer)
{
    uint64_t n;

    memcpy(&n, message->payload, sizeof(n));
    if (!server->capabilities.write_multiple ||
        n > (message->len - sizeof(n)) / sizeof(struct vfio_user_write_multi) ||
        !check_writes(server, message->payload + sizeof(n), n)) {
        return EINVAL;
    }
    put(answer, &n, sizeof(n));
    answer->posted = is_posted(server, weigh_multi(server, message->payload, message->len));
    if (!answer->posted) {
        write_all(server, message->payload);
    }
    return 0;
}

/* Does what was answered already. */
static void write_posted(VionetVfioUser *server, uint16_t command, const uint8_t *payload)
{
    if (command == VFIO_USER_REGION_WRITE) {
        write_region(server, payload);
    } else {
        write_all(server, payload);
    }
}

/* ---- Reset and optional things ---- */

static int do_reset(VionetVfioUser *server, struct stream_message *message, struct answer *answer)
{
    (void)message;
    (void)answer;
    vionet_frontend_reset(server->frontend);
    irqs_apply(server->irqs, server_pci(server));
    return 0;
}

/* Migration and the logging of writes, which are all the features there are, are not here. */
static int do_feature(VionetVfioUser *server, struct stream_message *message, struct answer *answer)
{
    const uint32_t both = VFIO_USER_FEATURE_GET | VFIO_USER_FEATURE_SET;
    const uint32_t all = VFIO_USER_FEATURE_MASK | both | VFIO_USER_FEATURE_PROBE;
    struct vfio_user_device_feature feature;

    (void)server;
    (void)answer;
    memcpy(&feature, message->payload, sizeof(feature));
    if (feature.argsz < sizeof(feature) || feature.flags & ~all ||
        !(feature.flags & (both | VFIO_USER_FEATURE_PROBE)) ||
        (!(feature.flags & VFIO_USER_FEATURE_PROBE) && (feature.flags & both) == both)) {
        return EINVAL;
    }
    return ENOTTY;
}

static int do_nothing(VionetVfioUser *server, struct stream_message *message, struct answer *answer)
{
    (void)server;
    (void)message;
    (void)answer;
    return ENOTSUP;
}

/* ---- Messages ---- */

static const struct command {
    const char *name;
    size_t min_len; /* of the payload */
    int (*run)(VionetVfioUser *server, struct stream_message *message, struct answer *answer);
} commands[VFIO_USER_N_COMMANDS] = {
    [VFIO_USER_VERSION] = {"VERSION", sizeof(struct vfio_user_version), do_version},
    [VFIO_USER_DMA_MAP] = {"DMA_MAP", sizeof(struct vfio_user_dma_map), do_dma_map},
    [VFIO_USER_DMA_UNMAP] = {"DMA_UNMAP", sizeof(struct vfio_user_dma_unmap), do_dma_unmap},
    [VFIO_USER_DEVICE_GET_INFO] = {"DEVICE_GET_INFO", sizeof(struct vfio_user_device_info),
                                   do_device_info},
    [VFIO_USER_DEVICE_GET_REGION_INFO] = {"DEVICE_GET_REGION_INFO",
                                          sizeof(struct vfio_user_region_info), do_region_info},
    [VFIO_USER_DEVICE_GET_REGION_IO_FDS] = {"DEVICE_GET_REGION_IO_FDS",
                                            sizeof(struct vfio_user_region_io_fds), do_io_fds},
    [VFIO_USER_DEVICE_GET_IRQ_INFO] = {"DEVICE_GET_IRQ_INFO", sizeof(struct vfio_user_irq_info),
                                       do_irq_info},
    [VFIO_USER_DEVICE_SET_IRQS] = {"DEVICE_SET_IRQS", sizeof(struct vfio_user_irq_set),
                                   do_set_irqs},
    [VFIO_USER_REGION_READ] = {"REGION_READ", sizeof(struct vfio_user_region_access),
                               do_region_read},
    [VFIO_USER_REGION_WRITE] = {"REGION_WRITE", sizeof(struct vfio_user_region_access),
                                do_region_write},
    [VFIO_USER_DEVICE_RESET] = {"DEVICE_RESET", 0, do_reset},
    [VFIO_USER_REGION_WRITE_MULTI] = {"REGION_WRITE_MULTI", sizeof(uint64_t), do_write_multi},
    [VFIO_USER_DEVICE_FEATURE] = {"DEVICE_FEATURE", sizeof(struct vfio_user_device_feature),
                                  do_feature},
    [VFIO_USER_MIG_DATA_READ] = {"MIG_DATA_READ", 0, do_nothing},
    [VFIO_USER_MIG_DATA_WRITE] = {"MIG_DATA_WRITE", 0, do_nothing},
};

static int run_command(VionetVfioUser *server, struct stream_message *message,
                       struct answer *answer)
{
    const unsigned number = message->header.command;
    const struct command *command = number < G_N_ELEMENTS(commands) ? &commands[number] : NULL;
    int error;

    if (!command || !command->run || message->len < command->min_len) {
        error = EINVAL;
    } else {
        error = command->run(server, message, answer);
    }
    if (error) {
        g_info("vfio-user: command %u (%s) refused: %s", number,
               command && command->name ? command->name : "unknown", g_strerror(error));
    }
    return error;
}

static bool send_answer(VionetVfioUser *server, const struct stream_message *message,
                        struct answer *answer, int error)
{
    const struct vfio_user_header header = {
        .id = message->header.id,
        .command = message->header.command,
        .flags = VFIO_USER_TYPE_REPLY | (error ? VFIO_USER_ERROR : 0),
        .error = (uint32_t)error,
    };

    if (message->header.flags & VFIO_USER_NO_REPLY) {
        return true;
    }
    return error ? stream_send(server->stream, header, NULL, 0, NULL, 0)
                 : stream_send(server->stream, header, answer->data, answer->len, answer->fds,
                               answer->n_fds);
}

/*
 * Does what stands behind an answer that has gone. The payload is copied: the device may wait for
 * remote memory meanwhile, and the next messages take its place.
 */
static void do_posted(VionetVfioUser *server, const struct stream_message *message,
                      struct answer *answer)
{
    memcpy(answer->data, message->payload, MIN(message->len, sizeof(answer->data)));
    write_posted(server, message->header.command, answer->data);
}

static bool goes_on(const VionetVfioUser *server)
{
    if (dma_lost(server->dma)) {
        g_warning("vfio-user: client took away memory that it had shared");
        return false;
    }
    return server->agreed && !(server->waiting && waiting_is_lost(server->waiting));
}

/* False if the connection is not to go on. */
static bool handle(VionetVfioUser *server, struct stream_message *message)
{
    struct answer answer;
    bool sent;
    int error;

    answer_init(&answer);
    if ((message->header.flags & VFIO_USER_TYPE_MASK) != VFIO_USER_TYPE_COMMAND) {
        if (server->waiting && waiting_was_given_up(server->waiting, message)) {
            return true;
        }
        g_warning("vfio-user: client sent a reply to nothing, or no command");
        return false;
    }
    if (!server->agreed && message->header.command != VFIO_USER_VERSION) {
        g_warning("vfio-user: client did not begin with its version");
        return false;
    }
    error = run_command(server, message, &answer);
    sent = send_answer(server, message, &answer, error);
    if (answer.given >= 0) {
        close(answer.given);
    }
    if (!sent) {
        return false;
    }
    if (answer.posted) {
        do_posted(server, message, &answer);
    }
    return goes_on(server);
}

/* ---- Commands while the device waits for the client's memory ---- */

static enum weight weigh_message(void *opaque, const struct stream_message *message)
{
    VionetVfioUser *server = opaque;
    struct vfio_user_region_access access;

    if (message->len < commands[message->header.command].min_len) {
        return WRITE_LIGHT; /* it will be refused */
    }
    if (message->header.command == VFIO_USER_REGION_WRITE_MULTI) {
        return weigh_multi(server, message->payload, message->len);
    }
    memcpy(&access, message->payload, sizeof(access));
    return weigh(server, access.region, access.offset);
}

static bool answer_only(void *opaque, struct stream_message *message, bool *refused)
{
    VionetVfioUser *server = opaque;
    struct answer answer;
    int error;

    answer_init(&answer);
    server->posting = true;
    error = run_command(server, message, &answer);
    server->posting = false;
    *refused = error != 0;
    return send_answer(server, message, &answer, error);
}

static bool write_held(void *opaque, const struct stream_message *message)
{
    VionetVfioUser *server = opaque;

    write_posted(server, message->header.command, message->payload);
    return goes_on(server);
}

static bool handle_now(void *opaque, struct stream_message *message)
{
    return handle(opaque, message);
}

static void open_waiting(VionetVfioUser *server, struct stream *twin)
{
    static const struct waiting_ops ops = {
        .weigh = weigh_message,
        .answer = answer_only,
        .write = write_held,
        .handle = handle_now,
    };

    server->waiting = waiting_new(server->stream, twin, server->capabilities.max_data_xfer_size,
                                  server->dma, &ops, server);
}

/* What was held is done when nothing of the device is under way. False as goes_on(). */
static bool settle(VionetVfioUser *server)
{
    return !server->waiting || waiting_settle(server->waiting);
}

/* What is left over is for then. */
static void come_again(VionetVfioUser *server)
{
    if (waiting_is_due(server->waiting) || stream_is_full(server->stream) ||
        stream_has_message(server->stream)) {
        g_source_set_ready_time(server->stream_source, 0);
        g_source_set_priority(server->stream_source, G_PRIORITY_HIGH);
    }
}

static bool host_dma_read(void *opaque, uint64_t gpa, void *buf, size_t len)
{
    VionetVfioUser *server = opaque;
    const bool good = server->waiting && waiting_read(server->waiting, gpa, buf, len);

    if (server->waiting) {
        come_again(server);
    }
    return good;
}

static bool host_dma_write(void *opaque, uint64_t gpa, const void *buf, size_t len)
{
    VionetVfioUser *server = opaque;
    const bool good = server->waiting && waiting_write(server->waiting, gpa, buf, len);

    if (server->waiting) {
        come_again(server);
    }
    return good;
}

/* ---- The client ---- */

static void drop_client(VionetVfioUser *server);

static bool memory_is_lost(void *opaque)
{
    const VionetVfioUser *server = opaque;

    return dma_lost(server->dma) || (server->waiting && waiting_is_lost(server->waiting));
}

static void lost_memory(void *opaque)
{
    goes_on(opaque); /* says why */
    drop_client(opaque);
}

static gboolean stream_ready(gint fd, GIOCondition condition, gpointer data);

static void watch(VionetVfioUser *server, GIOCondition condition)
{
    if (server->stream_source) {
        g_source_destroy(server->stream_source);
        g_clear_pointer(&server->stream_source, g_source_unref);
    }
    server->watched = condition;
    server->stream_source = g_unix_fd_source_new(stream_fd(server->stream), condition);
    g_source_set_can_recurse(server->stream_source, TRUE); /* or the loop wakes itself each time */
    g_source_set_callback(server->stream_source, G_SOURCE_FUNC(stream_ready), server, NULL);
    g_source_attach(server->stream_source, server->context);
}

static void drop_client(VionetVfioUser *server)
{
    const bool agreed = server->agreed;

    if (!server->stream) {
        return;
    }
    if (server->waiting) {
        waiting_stop(server->waiting);
    }
    vionet_frontend_forget_guest(server->frontend);
    ioeventfds_close(server->ioeventfds);
    irqs_clear(server->irqs);
    g_source_destroy(server->loss_source);
    g_clear_pointer(&server->loss_source, g_source_unref);
    g_clear_pointer(&server->waiting, waiting_free);
    g_clear_pointer(&server->dma, dma_free);
    g_source_destroy(server->stream_source);
    g_clear_pointer(&server->stream_source, g_source_unref);
    g_clear_pointer(&server->stream, stream_free);
    server->agreed = false;
    g_message("vfio-user: client has gone");
    if (agreed && server->ops.connected) {
        server->ops.connected(server->opaque, false);
    }
}

/* False if the connection is not to go on. */
static bool read_messages(VionetVfioUser *server)
{
    for (unsigned i = 0; i < BUDGET && !stream_is_full(server->stream); i++) {
        struct stream_message *message;

        if (!settle(server)) {
            return false;
        }
        if (stream_is_full(server->stream)) {
            break;
        }
        switch (stream_read(server->stream, &message)) {
        case STREAM_MESSAGE:
            if (!handle(server, message)) {
                return false;
            }
            break;
        case STREAM_NOTHING:
            return true;
        case STREAM_BROKEN:
            g_warning("vfio-user: client sent %s", stream_reason(server->stream));
            return false;
        case STREAM_CLOSED:
            return false;
        }
    }
    return true;
}

static gboolean stream_ready(gint fd, GIOCondition condition, gpointer data)
{
    VionetVfioUser *server = data;
    GIOCondition wanted;
    bool full;

    (void)fd;
    (void)condition;
    if (!stream_flush(server->stream) ||
        (!stream_is_full(server->stream) && !(read_messages(server) && settle(server)))) {
        drop_client(server);
        return G_SOURCE_REMOVE;
    }
    g_source_set_priority(server->stream_source, G_PRIORITY_DEFAULT);
    full = stream_is_full(server->stream);
    wanted = full ? G_IO_OUT : G_IO_IN;
    if (wanted != server->watched) {
        watch(server, wanted);
    }
    /* Others have their turn before what is here already. */
    g_source_set_ready_time(server->stream_source,
                            !full && stream_has_message(server->stream) ? 0 : -1);
    return G_SOURCE_CONTINUE;
}

bool vionet_vfio_user_serve(VionetVfioUser *server, int fd)
{
    if (server->stream && listener_has_lost(stream_fd(server->stream))) {
        drop_client(server);
    }
    if (server->stream) {
        g_message("vfio-user: a second client was turned away");
        close(fd);
        return false;
    }
    server->stream = stream_new(fd);
    server->dma = dma_new(server->frontend);
    irqs_apply(server->irqs, server_pci(server));
    watch(server, G_IO_IN);
    server->loss_source = sharing_watch(server->context, dma_loss_fd(server->dma), memory_is_lost,
                                        lost_memory, server);
    return true;
}

bool vionet_vfio_user_is_connected(const VionetVfioUser *server)
{
    return server->stream;
}

/* ---- Where clients come ---- */

static void client_came(void *opaque, int fd)
{
    vionet_vfio_user_serve(opaque, fd);
}

bool vionet_vfio_user_listen(VionetVfioUser *server, const char *path, GError **error)
{
    if (server->listener) {
        g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG,
                    "socket %s: there is a socket already", path);
        return false;
    }
    server->listener = listener_open(path, server->context, client_came, server, error);
    return server->listener;
}

bool vionet_vfio_user_listen_fd(VionetVfioUser *server, int fd, GError **error)
{
    if (server->listener) {
        g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG, "there is a socket already");
        return false;
    }
    server->listener = listener_adopt(fd, server->context, client_came, server, error);
    return server->listener;
}

/* ---- What the frontend asks ---- */

static void host_msi(void *opaque, unsigned vector, uint64_t address, uint32_t data)
{
    const VionetVfioUser *server = opaque;

    (void)address;
    (void)data;
    irqs_msi(server->irqs, vector);
}

static void host_intx(void *opaque, bool level)
{
    const VionetVfioUser *server = opaque;

    if (server->irqs) {
        irqs_intx(server->irqs, level);
    }
}

static uint64_t host_clock_ns(void *opaque)
{
    (void)opaque;
    return services_clock_ns();
}

static void host_timer(void *opaque, unsigned queue, uint64_t deadline_ns)
{
    const VionetVfioUser *server = opaque;

    services_timer(server->services, queue, deadline_ns);
}

static void host_event(void *opaque, const VionetEvent *event)
{
    const VionetVfioUser *server = opaque;

    if (server->ops.event) {
        server->ops.event(server->opaque, event);
    }
}

static void host_wake(void *opaque)
{
    const VionetVfioUser *server = opaque;

    services_wake(server->services);
}

static void host_trace(void *opaque, const VionetTrace *trace)
{
    const VionetVfioUser *server = opaque;

    server->ops.trace(server->opaque, trace);
}

static void timer_expired(void *opaque, unsigned queue)
{
    const VionetVfioUser *server = opaque;

    vionet_device_timer(server_device(server), queue);
}

static bool run_again(void *opaque)
{
    const VionetVfioUser *server = opaque;

    return vionet_frontend_poll(server->frontend, 0);
}

/* ---- Life ---- */

/* A capability in configuration space, of the virtio kind if type is not 0; 0 if there is none. */
static uint8_t find_capability(VionetPci *pci, uint8_t id, uint8_t type)
{
    uint8_t at = (uint8_t)vionet_pci_config_read(pci, 0x34, 1);

    while (at && (vionet_pci_config_read(pci, at, 1) != id ||
                  (type && vionet_pci_config_read(pci, at + 3u, 1) != type))) {
        at = (uint8_t)vionet_pci_config_read(pci, at + 1u, 1);
    }
    return at;
}

/* Where notifications are written; returns how many MSI-X vectors there are. */
static unsigned read_layout(VionetVfioUser *server)
{
    VionetPci *pci = server_pci(server);
    const uint8_t notify = find_capability(pci, 0x09, 2 /* VIRTIO_PCI_CAP_NOTIFY_CFG */);
    const uint8_t msix = find_capability(pci, 0x11, 0);

    server->notify_bar = VIONET_PCI_N_BARS;
    if (notify) { /* a function that is legacy alone has none */
        server->notify_bar = vionet_pci_config_read(pci, notify + 4u, 1);
        server->notify_offset = vionet_pci_config_read(pci, notify + 8u, 4);
    }
    return msix ? (vionet_pci_config_read(pci, msix + 2u, 2) & 0x7ff) + 1 : 0;
}

static bool make_device(VionetVfioUser *server, const char *properties, const char *backend,
                        GError **error)
{
    static const struct services_ops services_ops = {.expired = timer_expired, .again = run_again};
    const VionetFrontendOps ops = {
        .size = sizeof(ops),
        .msi = host_msi,
        .intx = host_intx,
        .clock_ns = host_clock_ns,
        .timer = host_timer,
        .event = host_event,
        .wake = host_wake,
        .trace = server->ops.trace ? host_trace : NULL,
        .dma_read = host_dma_read,
        .dma_write = host_dma_write,
    };

    server->services =
        services_new(server->context, 2 * VIONET_MAX_PAIRS + 1, &services_ops, server, error);
    if (!server->services) {
        return false;
    }
    server->frontend = vionet_frontend_new(properties, backend, &ops, server, error);
    if (!server->frontend || !vionet_frontend_realize(server->frontend, error)) {
        return false;
    }
    server->irqs = irqs_new(read_layout(server), true, server->context);
    server->ioeventfds = ioeventfds_new(server->frontend, server->context);
    vionet_frontend_attach(server->frontend, server->context);
    return true;
}

VionetVfioUser *vionet_vfio_user_new(const char *properties, const char *backend,
                                     GMainContext *context, const VionetVfioUserOps *ops,
                                     void *opaque, GError **error)
{
    VionetVfioUser *server = g_new0(VionetVfioUser, 1);

    if (ops) {
        memcpy(&server->ops, ops, MIN(ops->size, sizeof(server->ops)));
    }
    server->opaque = opaque;
    server->context = context;
    if (!make_device(server, properties, backend, error)) {
        vionet_vfio_user_free(server);
        return NULL;
    }
    return server;
}

void vionet_vfio_user_free(VionetVfioUser *server)
{
    if (!server) {
        return;
    }
    drop_client(server);
    listener_close(server->listener);
    ioeventfds_free(server->ioeventfds);
    vionet_frontend_free(server->frontend);
    irqs_free(server->irqs);
    services_free(server->services);
    g_free(server);
}

VionetFrontend *vionet_vfio_user_frontend(const VionetVfioUser *server)
{
    return server->frontend;
}
