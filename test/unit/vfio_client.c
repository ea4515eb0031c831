/* SPDX-License-Identifier: BSD-3-Clause */
/* See vfio_client.h. */
#include "vfio_client.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_ROUNDS 100000 /* of the event loop until it has nothing to do */
#define HEADER     16

/* ---- The server ---- */

static void host_connected(void *opaque, bool connected)
{
    struct host *host = opaque;

    if (connected) {
        host->connected++;
    } else {
        host->gone++;
    }
}

static void host_event(void *opaque, const VionetEvent *event)
{
    struct host *host = opaque;

    pthread_mutex_lock(&host->lock);
    host->events++;
    host->last_event = *event;
    pthread_mutex_unlock(&host->lock);
    if (host->on_event) {
        host->on_event(host->opaque, event);
    }
}

static GLogWriterOutput drop_log(GLogLevelFlags level, const GLogField *fields, gsize n,
                                 gpointer data)
{
    if (level & (G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_ERROR)) {
        return g_log_writer_standard_streams(level, fields, n, data);
    }
    return G_LOG_WRITER_HANDLED;
}

static void drop_message(const char *domain, GLogLevelFlags level, const char *text, gpointer data)
{
    if (level & (G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_ERROR)) {
        g_log_default_handler(domain, level, text, data);
    }
}

void host_quiet(void)
{
    g_log_set_always_fatal(G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_ERROR);
    g_log_set_default_handler(drop_message, NULL);
    g_log_set_writer_func(drop_log, NULL, NULL);
}

void host_init(struct host *host, const char *properties, const char *backend)
{
    static const VionetVfioUserOps ops = {
        .size = sizeof(ops),
        .connected = host_connected,
        .event = host_event,
    };
    GError *error = NULL;

    memset(host, 0, sizeof(*host));
    pthread_mutex_init(&host->lock, NULL);
    host->context = g_main_context_new();
    host->server = vionet_vfio_user_new(properties, backend, host->context, &ops, host, &error);
    g_assert_no_error(error);
    g_assert_nonnull(host->server);
}

void host_end(struct host *host)
{
    vionet_vfio_user_free(host->server);
    g_main_context_unref(host->context);
    pthread_mutex_destroy(&host->lock);
}

void host_settle(struct host *host)
{
    unsigned rounds = 0;

    while (g_main_context_iteration(host->context, FALSE)) {
        g_assert_cmpuint(rounds++, <, MAX_ROUNDS);
    }
}

bool host_wait(struct host *host, int fd)
{
    const gint64 end = g_get_monotonic_time() + 2 * G_USEC_PER_SEC;
    struct pollfd wanted = {.fd = fd, .events = POLLIN};

    while (poll(&wanted, 1, 0) == 0) {
        if (g_get_monotonic_time() > end) {
            return false;
        }
        g_main_context_iteration(host->context, FALSE);
    }
    return true;
}

/* ---- Octets in and out ---- */

static void forget_reply(struct client *client)
{
    for (unsigned i = 0; i < client->n_fds; i++) {
        close(client->fds[i]);
    }
    client->n_fds = 0;
    client->len = 0;
}

void client_connect(struct client *client, struct host *host)
{
    int ends[2];

    memset(client, 0, sizeof(*client));
    client->host = host;
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), ==,
                    0);
    client->fd = client->out = ends[0];
    g_assert_true(vionet_vfio_user_serve(host->server, ends[1]));
    g_assert_true(vionet_vfio_user_is_connected(host->server));
}

void client_open(struct client *client, struct host *host)
{
    client_connect(client, host);
    g_assert_cmpuint(client_version(client, "{\"capabilities\":{\"max_msg_fds\":16,"
                                            "\"write_multiple\":true}}"),
                     ==, 0);
}

void client_close(struct client *client)
{
    forget_reply(client);
    if (client->fd >= 0) {
        close(client->fd);
        client->fd = -1;
    }
    host_settle(client->host);
    g_assert_false(vionet_vfio_user_is_connected(client->host->server));
}

bool client_send(struct client *client, const void *octets, size_t len, const int *fds,
                 unsigned n_fds)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(MAX_FDS * sizeof(int))];
    } control = {.room = {0}};
    struct iovec iov = {(void *)octets, len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (n_fds > 0) {
        g_assert_cmpuint(n_fds, <=, MAX_FDS);
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(&control.header), fds, n_fds * sizeof(int));
    }
    return sendmsg(client->out, &msg, MSG_NOSIGNAL) == (ssize_t)len;
}

static void put_16(GByteArray *to, uint16_t value)
{
    g_byte_array_append(to, (const guint8 *)&value, sizeof(value));
}

static void put_32(GByteArray *to, uint32_t value)
{
    g_byte_array_append(to, (const guint8 *)&value, sizeof(value));
}

GByteArray *message_new(uint16_t id, uint16_t command, uint32_t flags, const void *payload,
                        size_t len)
{
    GByteArray *message = g_byte_array_new();

    put_16(message, id);
    put_16(message, command);
    put_32(message, (uint32_t)(HEADER + len));
    put_32(message, flags);
    put_32(message, 0);
    g_byte_array_append(message, payload, (guint)len);
    return message;
}

void client_post(struct client *client, uint16_t command, uint32_t flags, const void *payload,
                 size_t len, const int *fds, unsigned n_fds)
{
    GByteArray *message = message_new(++client->id, command, flags, payload, len);

    g_assert_true(client_send(client, message->data, message->len, fds, n_fds));
    g_byte_array_unref(message);
}

/* Receives exactly so many octets, which must be there if the first is. */
static bool take(struct client *client, void *to, size_t len)
{
    struct pollfd wanted = {.fd = client->fd, .events = POLLIN};
    size_t n_read = 0;

    if (client->out != client->fd) {
        poll(&wanted, 1, 2000); /* another thread passes it on */
    }

    while (n_read < len) {
        union {
            struct cmsghdr header;
            char room[CMSG_SPACE(MAX_FDS * sizeof(int))];
        } control;
        struct iovec iov = {(uint8_t *)to + n_read, len - n_read};
        struct msghdr msg = {
            .msg_iov = &iov,
            .msg_iovlen = 1,
            .msg_control = &control,
            .msg_controllen = sizeof(control),
        };
        const ssize_t n = recvmsg(client->fd, &msg, MSG_CMSG_CLOEXEC);
        struct cmsghdr *c;

        if (n <= 0 && n_read == 0) {
            return false;
        }
        if (n < 0) { /* the rest waits in the server */
            host_settle(client->host);
            g_assert_cmpint(errno, ==, EAGAIN);
            continue;
        }
        g_assert_cmpint(n, >, 0);
        g_assert_cmphex(msg.msg_flags & MSG_CTRUNC, ==, 0);
        for (c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
            const size_t octets = c->cmsg_len - CMSG_LEN(0);

            memcpy(client->fds + client->n_fds, CMSG_DATA(c), octets);
            client->n_fds += (unsigned)(octets / sizeof(int));
        }
        n_read += (size_t)n;
    }
    return true;
}

bool client_reply(struct client *client, uint16_t command)
{
    struct {
        uint16_t id, command;
        uint32_t size, flags, error;
    } header;

    forget_reply(client);
    if (!take(client, &header, sizeof(header))) {
        return false;
    }
    g_assert_cmpuint(header.command, ==, command);
    g_assert_cmpuint(header.size, >=, HEADER);
    g_assert_cmpuint(header.size, <=, MAX_REPLY);
    g_assert_true(header.flags == 1 || header.flags == 0x21);
    g_assert_true((header.flags == 0x21) == (header.error != 0));
    client->error = header.error;
    client->len = header.size - HEADER;
    g_assert_true(client->len == 0 || take(client, client->data, client->len));
    if (header.error) {
        g_assert_cmpuint(client->len, ==, 0);
        g_assert_cmpuint(client->n_fds, ==, 0);
        g_assert_cmpuint(header.error, <, 4096);
    }
    g_assert_cmpuint(header.id, ==, client->id);
    return true;
}

uint32_t client_call_fds(struct client *client, uint16_t command, const void *payload, size_t len,
                         const int *fds, unsigned n_fds)
{
    client_post(client, command, 0, payload, len, fds, n_fds);
    host_settle(client->host);
    g_assert_true(client_reply(client, command));
    return client->error;
}

uint32_t client_call(struct client *client, uint16_t command, const void *payload, size_t len)
{
    return client_call_fds(client, command, payload, len, NULL, 0);
}

bool client_is_lost(struct client *client)
{
    uint8_t octets[4096];
    ssize_t n;

    struct pollfd wanted = {.fd = client->fd, .events = POLLIN};

    host_settle(client->host);
    if (client->out != client->fd) {
        poll(&wanted, 1, 2000);
    }
    do {
        n = recv(client->fd, octets, sizeof(octets), 0);
    } while (n > 0);
    return n == 0 || errno == ECONNRESET;
}

uint16_t reply_16(const struct client *client, size_t at)
{
    uint16_t value;

    g_assert_cmpuint(at + sizeof(value), <=, client->len);
    memcpy(&value, client->data + at, sizeof(value));
    return value;
}

uint32_t reply_32(const struct client *client, size_t at)
{
    uint32_t value;

    g_assert_cmpuint(at + sizeof(value), <=, client->len);
    memcpy(&value, client->data + at, sizeof(value));
    return value;
}

uint64_t reply_64(const struct client *client, size_t at)
{
    uint64_t value;

    g_assert_cmpuint(at + sizeof(value), <=, client->len);
    memcpy(&value, client->data + at, sizeof(value));
    return value;
}

/* ---- Commands ---- */

uint32_t client_version(struct client *client, const char *json)
{
    GByteArray *payload = g_byte_array_new();
    uint32_t error;

    put_16(payload, 0);
    put_16(payload, 1);
    if (json) {
        g_byte_array_append(payload, (const guint8 *)json, (guint)strlen(json) + 1);
    }
    error = client_call(client, VERSION, payload->data, payload->len);
    g_byte_array_unref(payload);
    return error;
}

uint32_t client_map(struct client *client, uint64_t address, uint64_t size, uint32_t flags, int fd,
                    uint64_t offset)
{
    const struct dma_map map = {sizeof(map), flags, offset, address, size};
    const uint32_t error =
        client_call_fds(client, DMA_MAP, &map, sizeof(map), &fd, fd >= 0 ? 1 : 0);

    g_assert_cmpuint(client->len, ==, 0);
    return error;
}

uint32_t client_unmap(struct client *client, uint64_t address, uint64_t size)
{
    const struct dma_unmap unmap = {sizeof(unmap), 0, address, size};
    const uint32_t error = client_call(client, DMA_UNMAP, &unmap, sizeof(unmap));

    g_assert_true(error || (client->len == sizeof(unmap) &&
                            memcmp(client->data, &unmap, sizeof(unmap)) == 0));
    return error;
}

uint32_t client_unmap_all(struct client *client)
{
    const struct dma_unmap unmap = {sizeof(unmap), 2, 0, 0};

    return client_call(client, DMA_UNMAP, &unmap, sizeof(unmap));
}

uint32_t client_set_irqs(struct client *client, uint32_t flags, uint32_t index, uint32_t start,
                         uint32_t count, const int *fds, unsigned n_fds)
{
    const struct set_irqs set = {sizeof(set), flags, index, start, count};
    const uint32_t error = client_call_fds(client, SET_IRQS, &set, sizeof(set), fds, n_fds);

    g_assert_cmpuint(client->len, ==, 0);
    return error;
}

uint32_t client_read(struct client *client, uint32_t region, uint64_t offset, void *to,
                     uint32_t count)
{
    const struct region_access access = {offset, region, count};
    const uint32_t error = client_call(client, REGION_READ, &access, sizeof(access));

    if (error == 0) {
        g_assert_cmpuint(client->len, ==, sizeof(access) + count);
        g_assert_cmpmem(client->data, sizeof(access), &access, sizeof(access));
        memcpy(to, client->data + sizeof(access), count);
    }
    return error;
}

uint32_t client_write(struct client *client, uint32_t region, uint64_t offset, const void *from,
                      uint32_t count)
{
    const struct region_access access = {offset, region, count};
    GByteArray *payload = g_byte_array_new();
    uint32_t error;

    g_byte_array_append(payload, (const guint8 *)&access, sizeof(access));
    g_byte_array_append(payload, from, count);
    error = client_call(client, REGION_WRITE, payload->data, payload->len);
    if (error == 0) {
        g_assert_cmpmem(client->data, client->len, &access, sizeof(access));
    }
    g_byte_array_unref(payload);
    return error;
}

/* ---- This process ---- */

unsigned count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    g_assert_nonnull(dir);
    while (readdir(dir)) {
        n++;
    }
    closedir(dir);
    return n;
}

void await_fds(unsigned n)
{
    for (unsigned i = 0; i < 1000 && count_fds() > n; i++) {
        g_usleep(1000);
    }
    g_assert_cmpuint(count_fds(), ==, n);
}

unsigned count_maps(void)
{
    FILE *file = fopen("/proc/self/maps", "r");
    unsigned n = 0;
    char line[512];

    g_assert_nonnull(file);
    while (fgets(line, sizeof(line), file)) {
        n += strstr(line, "memfd:") != NULL;
    }
    fclose(file);
    return n;
}

int new_eventfd(void)
{
    const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    g_assert_cmpint(fd, >=, 0);
    return fd;
}

int new_memfd(uint64_t size)
{
    const int fd = memfd_create("vfio-test", MFD_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, (off_t)size), ==, 0);
    return fd;
}

uint64_t eventfd_count(int fd)
{
    uint64_t n = 0;

    return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

/* ---- A guest behind the client ---- */

static uint64_t access_read(struct guest *guest, uint32_t region, uint64_t offset, unsigned size)
{
    uint64_t value = 0;

    if (guest->dead) {
        return UINT64_MAX;
    }
    g_assert_cmpuint(client_read(&guest->client, region, offset, &value, size), ==, 0);
    return GUINT64_FROM_LE(value);
}

static void access_write(struct guest *guest, uint32_t region, uint64_t offset, unsigned size,
                         uint64_t value)
{
    const uint64_t octets = GUINT64_TO_LE(value);

    if (!guest->dead) {
        g_assert_cmpuint(client_write(&guest->client, region, offset, &octets, size), ==, 0);
    }
}

static uint32_t guest_config_read(void *opaque, uint32_t offset, unsigned size)
{
    return (uint32_t)access_read(opaque, CONFIG_REGION, offset, size);
}

static void guest_config_write(void *opaque, uint32_t offset, unsigned size, uint32_t value)
{
    access_write(opaque, CONFIG_REGION, offset, size, value);
}

static uint64_t guest_bar_read(void *opaque, unsigned bar, uint64_t offset, unsigned size)
{
    return access_read(opaque, bar, offset, size);
}

static void guest_bar_write(void *opaque, unsigned bar, uint64_t offset, unsigned size,
                            uint64_t value)
{
    access_write(opaque, bar, offset, size, value);
}

static void map_guest_memory(struct guest *guest, unsigned parts)
{
    const struct guest_region *regions;
    const unsigned n = guest_memory_regions(guest->memory, &regions);

    for (unsigned i = 0; i < n; i++) {
        const uint64_t size = parts ? regions[i].size / parts : regions[i].size;

        for (uint64_t at = 0; at < regions[i].size; at += size) {
            const bool shared = parts == 0 || (parts > 1 && at / size % 2 == 0);

            g_assert_cmpuint(client_map(&guest->client, regions[i].gpa + at, size, 3,
                                        shared ? regions[i].fd : -1,
                                        shared ? regions[i].fd_offset + at : 0),
                             ==, 0);
        }
    }
}

static void open_vectors(struct guest *guest)
{
    const uint32_t ask[4] = {16, 0, MSIX, 0};

    g_assert_cmpuint(client_call(&guest->client, GET_IRQ_INFO, ask, sizeof(ask)), ==, 0);
    guest->n_vectors = MIN(reply_32(&guest->client, 12), GUEST_VECTORS);
    for (unsigned i = 0; i < guest->n_vectors; i++) {
        guest->vectors[i] = new_eventfd();
    }
    g_assert_cmpuint(client_set_irqs(&guest->client, DATA_FDS | TRIGGER, MSIX, 0, guest->n_vectors,
                                     guest->vectors, guest->n_vectors),
                     ==, 0);
}

void guest_open(struct guest *guest, struct host *host, bool intx)
{
    memset(guest, 0, sizeof(*guest));
    client_open(&guest->client, host);
    guest_begin(guest);
    guest_connect(guest, intx, 0);
}

void guest_begin(struct guest *guest)
{
    guest->memory = guest_memory_flat(1 << 20, 32 << 20);
    g_assert_nonnull(guest->memory);
}

void guest_connect(struct guest *guest, bool intx, unsigned parts)
{
    const struct guest_driver_options options = {.intx = intx, .max_vectors = GUEST_VECTORS};

    map_guest_memory(guest, parts);
    guest->intx = -1;
    if (intx) {
        guest->intx = new_eventfd();
        g_assert_cmpuint(
            client_set_irqs(&guest->client, DATA_FDS | TRIGGER, INTX, 0, 1, &guest->intx, 1), ==,
            0);
    } else {
        open_vectors(guest);
    }
    guest->access = (struct guest_access){guest, guest_config_read, guest_config_write,
                                          guest_bar_read, guest_bar_write};
    guest->driver = guest_driver_new(&guest->access, guest->memory, &options);
}

void guest_boot(struct guest *guest)
{
    g_assert_true(guest_driver_start(guest->driver, features_known()));
    if (!guest->net) {
        guest->net = net_new(guest->driver, NULL);
    }
    g_assert_true(net_start(guest->net));
}

unsigned guest_interrupts(struct guest *guest)
{
    unsigned n = 0;

    host_settle(guest->client.host);
    for (unsigned i = 0; i < guest->n_vectors; i++) {
        if (eventfd_count(guest->vectors[i])) {
            guest_driver_msi(guest->driver, i);
            n++;
        }
    }
    if (guest->intx >= 0 && eventfd_count(guest->intx)) {
        guest_driver_intx(guest->driver, true);
        n++;
    }
    return n;
}

static void fill_frame(uint8_t *frame, size_t len, unsigned number)
{
    static const uint8_t addresses[14] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,
                                          0,    0,    0,    0,    1,    0x88, 0xb5};

    for (size_t i = 0; i < len; i++) {
        frame[i] = (uint8_t)(i * 5 + number * 11);
    }
    memcpy(frame, addresses, sizeof(addresses));
}

bool guest_wait(struct guest *guest, struct guest_packet *packet)
{
    const gint64 end = g_get_monotonic_time() + 2 * G_USEC_PER_SEC;
    unsigned interrupts = 0;

    for (;;) {
        interrupts += guest_interrupts(guest);
        if (interrupts > 0 && net_receive(guest->net, packet)) {
            return true;
        }
        if (g_get_monotonic_time() > end) {
            return false;
        }
        g_usleep(100); /* for the device's threads, if it has some */
    }
}

void guest_echo(struct guest *guest, unsigned number)
{
    struct guest_packet packet;
    uint8_t frame[1000];
    const uint32_t len = 60 + number * 37 % 900;

    fill_frame(frame, len, number);
    g_assert_true(net_transmit(guest->net, 0, NULL, frame, len));
    g_assert_true(guest_wait(guest, &packet));
    g_assert_cmpmem(packet.data, packet.len, frame, len);
    g_assert_false(net_receive(guest->net, &packet));
}

void guest_close(struct guest *guest)
{
    char *complaints = complaints_text(guest_driver_complaints(guest->driver));

    g_assert_cmpstr(complaints, ==, "");
    g_free(complaints);
    if (guest->net) {
        net_free(guest->net);
    }
    guest_driver_free(guest->driver);
    guest_memory_free(guest->memory);
    for (unsigned i = 0; i < guest->n_vectors; i++) {
        close(guest->vectors[i]);
    }
    if (guest->intx >= 0) {
        close(guest->intx);
    }
    client_close(&guest->client);
}

void host_works(struct host *host)
{
    struct guest *guest = g_new(struct guest, 1);

    guest_open(guest, host, false);
    guest_boot(guest);
    for (unsigned i = 0; i < 3; i++) {
        guest_echo(guest, i);
    }
    guest_close(guest);
    g_free(guest);
}
