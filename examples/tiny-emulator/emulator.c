/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tiny-emulator: the smallest machine with a network. It has memory, one PCI function (vionet), a
 * way out (libslirp), and a guest that fetches a page. README.md goes through it call by call.
 *
 *     tiny-emulator PORT [PATH]      prints what http://10.0.2.2:PORT/PATH, that is this host, says
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <glib.h>
#include <libslirp.h>

#include <vionet/device.h>
#include <vionet/pci.h>

#include "guest.h"

#define GUEST_MEMORY (UINT64_C(16) << 20)
#define PATIENCE_MS  5000

struct emulator {
    VionetDevice *device;
    VionetPci *pci;
    Slirp *slirp;
    struct guest_memory *memory;
    struct guest *guest;
    GArray *polls; /* of struct pollfd */
};

/* ---- 1. The guest's accesses go to the function ---- */

static uint32_t config_read(void *opaque, uint32_t offset, unsigned size)
{
    struct emulator *emulator = opaque;

    return vionet_pci_config_read(emulator->pci, offset, size);
}

static void config_write(void *opaque, uint32_t offset, unsigned size, uint32_t value)
{
    struct emulator *emulator = opaque;

    vionet_pci_config_write(emulator->pci, offset, size, value);
}

static uint64_t bar_read(void *opaque, unsigned bar, uint64_t offset, unsigned size)
{
    struct emulator *emulator = opaque;

    return vionet_pci_bar_read(emulator->pci, bar, offset, size);
}

static void bar_write(void *opaque, unsigned bar, uint64_t offset, unsigned size, uint64_t value)
{
    struct emulator *emulator = opaque;

    vionet_pci_bar_write(emulator->pci, bar, offset, size, value);
}

/* ---- 2. What the function asks of the machine ---- */

static void send_msi(void *opaque, unsigned vector, uint64_t address, uint32_t data)
{
    struct emulator *emulator = opaque;

    (void)address; /* a real machine writes data there */
    (void)data;
    if (emulator->guest) {
        guest_interrupt(emulator->guest, vector);
    }
}

/* The guest has sent: its frames go out, and back to it as done. */
static void on_kick(void *opaque, unsigned queue)
{
    struct emulator *emulator = opaque;
    VionetFrame frames[16];
    uint8_t octets[VIONET_MAX_FRAME];
    size_t n;

    while (queue % 2 == 1 &&
           (n = vionet_device_transmit(emulator->device, queue / 2, frames, 16)) > 0) {
        for (size_t i = 0; i < n; i++) {
            const size_t len = vionet_frame_linearize(&frames[i], octets, sizeof(octets));

            slirp_input(emulator->slirp, octets, (int)len);
        }
        vionet_device_complete(emulator->device, queue / 2, frames, n);
    }
}

/* A driver that breaks a rule is told which one. */
static void on_event(void *opaque, const VionetEvent *event)
{
    char text[256];

    (void)opaque;
    vionet_event_describe(event, text, sizeof(text));
    fprintf(stderr, "tiny-emulator: %s\n", text);
}

/* ---- 3. The way out ---- */

/* slirp has a frame for the guest. One that finds no buffer is lost; TCP sends it again. */
static ssize_t on_packet(const void *buf, size_t len, void *opaque)
{
    struct emulator *emulator = opaque;
    const struct iovec piece = {(void *)buf, len};
    const VionetFrame frame = {.iov = &piece, .n_iov = 1};

    vionet_device_receive(emulator->device, 0, &frame, 1, NULL, 0);
    return (ssize_t)len;
}

static void on_guest_error(const char *message, void *opaque)
{
    (void)opaque;
    fprintf(stderr, "tiny-emulator: %s\n", message);
}

static int64_t clock_ns(void *opaque)
{
    (void)opaque;
    return g_get_monotonic_time() * 1000;
}

/* Timers are for router advertisements, which this guest does not miss. */
static void *timer_new(SlirpTimerCb callback, void *callback_opaque, void *opaque)
{
    (void)callback;
    (void)callback_opaque;
    return opaque;
}

static void timer_free(void *timer, void *opaque)
{
    (void)timer;
    (void)opaque;
}

static void timer_mod(void *timer, int64_t expire, void *opaque)
{
    (void)timer;
    (void)expire;
    (void)opaque;
}

static void ignore_fd(int fd, void *opaque)
{
    (void)fd;
    (void)opaque;
}

static void ignore_notify(void *opaque)
{
    (void)opaque;
}

static int add_poll(int fd, int events, void *opaque)
{
    struct emulator *emulator = opaque;
    const struct pollfd poll = {
        .fd = fd,
        .events = (short)((events & SLIRP_POLL_IN ? POLLIN : 0) |
                          (events & SLIRP_POLL_OUT ? POLLOUT : 0) |
                          (events & SLIRP_POLL_PRI ? POLLPRI : 0)),
    };

    g_array_append_val(emulator->polls, poll);
    return (int)emulator->polls->len - 1;
}

static int get_revents(int index, void *opaque)
{
    const struct emulator *emulator = opaque;
    const short events = g_array_index(emulator->polls, struct pollfd, index).revents;

    return (events & POLLIN ? SLIRP_POLL_IN : 0) | (events & POLLOUT ? SLIRP_POLL_OUT : 0) |
           (events & POLLPRI ? SLIRP_POLL_PRI : 0) | (events & POLLERR ? SLIRP_POLL_ERR : 0) |
           (events & POLLHUP ? SLIRP_POLL_HUP : 0);
}

static void wait_for_sockets(struct emulator *emulator)
{
    uint32_t timeout = 100;
    int ready;

    g_array_set_size(emulator->polls, 0);
    slirp_pollfds_fill(emulator->slirp, &timeout, add_poll, emulator);
    ready =
        poll((struct pollfd *)(void *)emulator->polls->data, emulator->polls->len, (int)timeout);
    slirp_pollfds_poll(emulator->slirp, ready < 0, get_revents, emulator);
}

static Slirp *make_slirp(struct emulator *emulator)
{
    static const SlirpCb callbacks = {
        .send_packet = on_packet,
        .guest_error = on_guest_error,
        .clock_get_ns = clock_ns,
        .timer_new = timer_new,
        .timer_free = timer_free,
        .timer_mod = timer_mod,
        .register_poll_fd = ignore_fd,
        .unregister_poll_fd = ignore_fd,
        .notify = ignore_notify,
    };
    SlirpConfig config = {.version = 1, .in_enabled = true};

    config.vnetwork.s_addr = g_htonl(0x0a000200);
    config.vnetmask.s_addr = g_htonl(0xffffff00);
    config.vhost.s_addr = g_htonl(0x0a000202);
    config.vdhcp_start.s_addr = g_htonl(0x0a00020f);
    config.vnameserver.s_addr = g_htonl(0x0a000203);
    return slirp_new(&config, &callbacks, emulator);
}

/* ---- 4. Putting the machine together ---- */

static bool map_memory(struct emulator *emulator, GError **error)
{
    const struct guest_region *regions;
    const unsigned n = guest_memory_regions(emulator->memory, &regions);

    for (unsigned i = 0; i < n; i++) {
        if (!vionet_device_map(emulator->device, regions[i].gpa, regions[i].host, regions[i].size,
                               0, error)) {
            return false;
        }
    }
    return true;
}

static bool build(struct emulator *emulator, GError **error)
{
    static const VionetHostOps host = {.size = sizeof(host), .kick = on_kick, .event = on_event};
    static const VionetPciOps bus = {.size = sizeof(bus), .msi = send_msi};
    VionetPciConfig pci_config;
    VionetConfig config;

    emulator->polls = g_array_new(FALSE, FALSE, sizeof(struct pollfd));
    emulator->memory = guest_memory_flat(0, GUEST_MEMORY);
    emulator->slirp = make_slirp(emulator);
    vionet_config_init(&config);
    vionet_pci_config_init(&pci_config);
    emulator->device = vionet_device_new(&config, &host, emulator, error);
    if (!emulator->device || !map_memory(emulator, error)) {
        return false;
    }
    emulator->pci = vionet_pci_new(emulator->device, &pci_config, &bus, emulator, error);
    return emulator->pci;
}

static void take_apart(struct emulator *emulator)
{
    g_clear_pointer(&emulator->guest, guest_shut_down);
    vionet_pci_free(emulator->pci);
    vionet_device_free(emulator->device);
    g_clear_pointer(&emulator->slirp, slirp_cleanup);
    guest_memory_free(emulator->memory);
    g_array_unref(emulator->polls);
}

/* ---- 5. Running it ---- */

static bool run(struct emulator *emulator, uint16_t port, const char *path)
{
    const gint64 end = g_get_monotonic_time() + PATIENCE_MS * 1000;

    guest_fetch(emulator->guest, port, path);
    while (guest_run(emulator->guest) && g_get_monotonic_time() < end) {
        wait_for_sockets(emulator);
    }
    return guest_succeeded(emulator->guest);
}

int main(int argc, char **argv)
{
    struct emulator emulator = {0};
    const struct guest_access access = {
        .opaque = &emulator,
        .config_read = config_read,
        .config_write = config_write,
        .bar_read = bar_read,
        .bar_write = bar_write,
    };
    GError *error = NULL;
    bool good = false;

    if (argc < 2) {
        fprintf(stderr, "usage: tiny-emulator PORT [PATH]\n");
        return 2;
    }
    if (!build(&emulator, &error)) {
        fprintf(stderr, "tiny-emulator: %s\n", error->message);
        g_error_free(error);
    } else if ((emulator.guest = guest_boot(&access, emulator.memory)) != NULL) {
        size_t len;
        const char *page;

        good = run(&emulator, (uint16_t)atoi(argv[1]), argc > 2 ? argv[2] : "/");
        page = guest_page(emulator.guest, &len);
        fwrite(page, 1, len, stdout);
    }
    take_apart(&emulator);
    return good ? 0 : 1;
}
