/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vfio-user server (device/vfio-user) as a client uses it that keeps to the protocol: each
 * command and its reply to the octet, interrupts by eventfd, notifications, the guest driver model
 * of test/driver behind it all. Clients that do not keep to it are test_vfio_user_hostile.c's.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include <vionet/pci.h>
#include <vionet/spec.h>

#include "driver/control.h"
#include "driver/queue.h"
#include "services.h"
#include "vfio_client.h"

/* ---- What the device is ---- */

static void test_version(void)
{
    static const char *const answer =
        "{\"capabilities\":{\"max_msg_fds\":16,\"max_data_xfer_size\":65536,"
        "\"max_dma_maps\":2048,\"pgsizes\":4096}}";
    struct client client;
    struct host host;

    host_init(&host, "", "null");
    client_connect(&client, &host);
    g_assert_cmpuint(client_version(&client, "{}"), ==, 0);
    g_assert_cmpuint(reply_16(&client, 0), ==, 0);
    g_assert_cmpuint(reply_16(&client, 2), ==, 1);
    g_assert_cmpmem(client.data + 4, client.len - 4, answer, strlen(answer) + 1);
    g_assert_cmpuint(host.connected, ==, 1);
    client_close(&client);
    g_assert_cmpuint(host.gone, ==, 1);
    /* Without any, and with more than there are. */
    client_connect(&client, &host);
    g_assert_cmpuint(client_version(&client, NULL), ==, 0);
    g_assert_cmpmem(client.data + 4, client.len - 4, answer, strlen(answer) + 1);
    client_close(&client);
    client_connect(&client, &host);
    g_assert_cmpuint(client_version(&client, "{\"capabilities\":{\"write_multiple\":true,"
                                             "\"twin_socket\":{\"supported\":true}},\"x\":[]}"),
                     ==, 0);
    g_assert_nonnull(strstr((char *)client.data + 4, ",\"write_multiple\":true,"
                                                     "\"twin_socket\":{\"supported\":true,"
                                                     "\"fd_index\":0}}}"));
    g_assert_cmpuint(client.n_fds, ==, 1);
    client_close(&client);
    /* Who does not take descriptors, or does not ask, has no second socket. */
    client_connect(&client, &host);
    g_assert_cmpuint(client_version(&client, "{\"capabilities\":{\"max_msg_fds\":0,"
                                             "\"twin_socket\":{\"supported\":true}}}"),
                     ==, 0);
    g_assert_null(strstr((char *)client.data + 4, "twin"));
    g_assert_cmpuint(client.n_fds, ==, 0);
    client_close(&client);
    host_end(&host);
}

/* A server may not answer with a minor version greater than the client's. */
static void test_minor_version(void)
{
    static const uint16_t minors[] = {0, 1, 2, 0xffff};
    struct client client;
    struct host host;

    host_init(&host, "", "null");
    for (size_t i = 0; i < G_N_ELEMENTS(minors); i++) {
        const uint16_t version[2] = {0, minors[i]};

        client_connect(&client, &host);
        g_assert_cmpuint(client_call(&client, VERSION, version, sizeof(version)), ==, 0);
        g_assert_cmpuint(reply_16(&client, 0), ==, 0);
        g_assert_cmpuint(reply_16(&client, 2), ==, MIN(minors[i], 1));
        client_close(&client);
    }
    host_end(&host);
}

static void test_device_info(void)
{
    static const uint32_t expected[4] = {16, 3, 9, 3};
    const uint32_t ask[5] = {1000, 0, 0, 0, 0};
    const uint32_t small[4] = {15, 0, 0, 0};
    struct client client;
    struct host host;

    host_init(&host, "", "null");
    client_open(&client, &host);
    g_assert_cmpuint(client_call(&client, GET_INFO, ask, 16), ==, 0);
    g_assert_cmpmem(client.data, client.len, expected, sizeof(expected));
    g_assert_cmpuint(client_call(&client, GET_INFO, ask, 20), ==, 0);
    g_assert_cmpuint(client_call(&client, GET_INFO, small, 16), ==, EINVAL);
    client_close(&client);
    host_end(&host);
}

static void test_region_info(void)
{
    struct client client;
    struct host host;
    VionetPci *pci;

    host_init(&host, "queues=4,mq=on", "null");
    pci = vionet_frontend_pci(vionet_vfio_user_frontend(host.server));
    client_open(&client, &host);
    for (uint32_t region = 0; region < 9; region++) {
        const uint32_t ask[8] = {32, 0, region};
        const uint64_t size = region < VIONET_PCI_N_BARS ? vionet_pci_bar_size(pci, region)
                              : region == CONFIG_REGION  ? 256
                                                         : 0;

        g_assert_cmpuint(client_call(&client, GET_REGION_INFO, ask, sizeof(ask)), ==, 0);
        g_assert_cmpuint(client.len, ==, 32);
        g_assert_cmpuint(client.n_fds, ==, 0);
        g_assert_cmpuint(reply_32(&client, 0), ==, 32);
        g_assert_cmpuint(reply_32(&client, 4), ==, size ? 3 : 0);
        g_assert_cmpuint(reply_32(&client, 8), ==, region);
        g_assert_cmpuint(reply_32(&client, 12), ==, 0);
        g_assert_cmpuint(reply_64(&client, 16), ==, size);
        g_assert_cmpuint(reply_64(&client, 24), ==, 0);
    }
    client_close(&client);
    host_end(&host);
}

static void assert_irq(struct client *client, uint32_t index, uint32_t flags, uint32_t count)
{
    const uint32_t ask[4] = {16, 0, index, 0};
    const uint32_t expected[4] = {16, flags, index, count};

    g_assert_cmpuint(client_call(client, GET_IRQ_INFO, ask, sizeof(ask)), ==, 0);
    g_assert_cmpmem(client->data, client->len, expected, sizeof(expected));
}

static void test_irq_info(void)
{
    const uint32_t ask[4] = {16, 0, 3, 0};
    struct client client;
    struct host host;

    host_init(&host, "vectors=7", "null");
    client_open(&client, &host);
    assert_irq(&client, INTX, 7, 1);
    assert_irq(&client, 1, 0, 0);
    assert_irq(&client, MSIX, 3, 7);
    g_assert_cmpuint(client_call(&client, GET_IRQ_INFO, ask, sizeof(ask)), ==, EINVAL);
    client_close(&client);
    host_end(&host);
    host_init(&host, "vectors=0", "null");
    client_open(&client, &host);
    assert_irq(&client, MSIX, 0, 0);
    client_close(&client);
    host_end(&host);
}

/* ---- Regions ---- */

static void test_config_space(void)
{
    struct client client;
    struct host host;
    uint8_t whole[256];
    uint8_t piece[256];
    uint32_t bars = 0xffffffff;

    host_init(&host, "", "null");
    client_open(&client, &host);
    g_assert_cmpuint(client_read(&client, CONFIG_REGION, 0, whole, 256), ==, 0);
    g_assert_cmphex(whole[0] | whole[1] << 8, ==, 0x1af4);
    g_assert_cmphex(whole[2] | whole[3] << 8, ==, 0x1041);
    for (uint32_t at = 0; at < 256; at++) {
        for (uint32_t count = 1; count <= 256 - at; count += count < 12 ? 1 : 61) {
            g_assert_cmpuint(client_read(&client, CONFIG_REGION, at, piece, count), ==, 0);
            g_assert_cmpmem(piece, count, whole + at, count);
        }
    }
    /* BAR 4, sized in odd pieces as it is in one. */
    g_assert_cmpuint(client_write(&client, CONFIG_REGION, 0x20, &bars, 1), ==, 0);
    g_assert_cmpuint(client_write(&client, CONFIG_REGION, 0x21, &bars, 3), ==, 0);
    g_assert_cmpuint(client_read(&client, CONFIG_REGION, 0x20, &bars, 4), ==, 0);
    g_assert_cmphex(GUINT32_FROM_LE(bars) & ~0xfu, ==,
                    (uint32_t)-vionet_pci_bar_size(
                        vionet_frontend_pci(vionet_vfio_user_frontend(host.server)), 4));
    client_close(&client);
    host_end(&host);
}

/* MSI-X table entries are memory that a test can write as it likes, a dword at a time. */
static void write_table(struct client *client, uint8_t *expected)
{
    for (uint32_t at = 0; at < 64; at += 4) {
        for (uint32_t count = 4; count <= MIN(28, 64 - at); count += 4) {
            uint8_t octets[28];

            for (uint32_t i = 0; i < count; i++) {
                const uint32_t in_entry = (at + i) % 16;
                const uint8_t octet = (uint8_t)(at * 31 + count * 7 + i);

                octets[i] = octet;
                /* messages go to multiples of 4; of control only bit 0 is there */
                expected[at + i] = in_entry == 0    ? octet & 0xfc
                                   : in_entry == 12 ? octet & 1
                                   : in_entry < 12  ? octet
                                                    : 0;
            }
            g_assert_cmpuint(client_write(client, BAR_MSIX, at, octets, count), ==, 0);
        }
    }
}

static void test_bar_access(void)
{
    uint8_t expected[64];
    uint8_t found[64];
    struct client client;
    struct host host;

    host_init(&host, "vectors=4", "null");
    client_open(&client, &host);
    g_assert_cmpuint(client_read(&client, BAR_MSIX, 0, expected, 64), ==, 0);
    write_table(&client, expected);
    for (uint32_t at = 0; at < 64; at += 4) {
        for (uint32_t count = 4; count <= 64 - at; count += 4) {
            g_assert_cmpuint(client_read(&client, BAR_MSIX, at, found, count), ==, 0);
            g_assert_cmpmem(found, count, expected + at, count);
        }
    }
    client_close(&client);
    host_end(&host);
}

/* The common configuration: what stands at an octet does not depend on how it is asked for. */
static void test_virtio_bar_access(void)
{
    const uint32_t select = 0x03020100;
    uint8_t octets[64];
    uint8_t found[64];
    struct client client;
    struct host host;

    host_init(&host, "", "null");
    client_open(&client, &host);
    g_assert_cmpuint(client_write(&client, BAR_VIRTIO, 8, &select, 4), ==, 0);
    for (uint32_t at = 0; at < 64; at++) {
        g_assert_cmpuint(client_read(&client, BAR_VIRTIO, at, octets + at, 1), ==, 0);
    }
    g_assert_cmpmem(octets + 8, 4, &select, 4);
    for (uint32_t at = 0; at < 64; at++) {
        for (uint32_t count = 2; count <= 64 - at; count++) {
            g_assert_cmpuint(client_read(&client, BAR_VIRTIO, at, found, count), ==, 0);
            g_assert_cmpmem(found, count, octets + at, count);
        }
    }
    client_close(&client);
    host_end(&host);
}

static void put_write(GByteArray *to, uint64_t offset, uint32_t region, uint32_t count,
                      uint64_t data)
{
    const struct region_access access = {offset, region, count};

    data = GUINT64_TO_LE(data);
    g_byte_array_append(to, (const guint8 *)&access, sizeof(access));
    g_byte_array_append(to, (const guint8 *)&data, sizeof(data));
}

/* Of the write of that number, in what put_write() has put behind the number of writes. */
static void set_count(GByteArray *payload, size_t number, uint32_t count)
{
    const size_t at = 8 + number * 24 + offsetof(struct region_access, count);

    memcpy(payload->data + at, &count, sizeof(count));
}

static void test_write_multi(void)
{
    GByteArray *payload = g_byte_array_new();
    uint64_t n = 3;
    struct client client;
    struct host host;
    uint64_t found[2] = {0};

    host_init(&host, "vectors=4", "null");
    client_open(&client, &host);
    g_byte_array_append(payload, (const guint8 *)&n, sizeof(n));
    put_write(payload, 0, BAR_MSIX, 8, UINT64_C(0x1122334455667788));
    put_write(payload, 8, BAR_MSIX, 4, 0x99aabbcc);
    put_write(payload, 0x3c, CONFIG_REGION, 1, 0x0b);
    g_assert_cmpuint(client_call(&client, WRITE_MULTI, payload->data, payload->len), ==, 0);
    g_assert_cmpmem(client.data, client.len, &n, sizeof(n));
    g_assert_cmpuint(client_read(&client, BAR_MSIX, 0, found, 16), ==, 0);
    g_assert_cmphex(GUINT64_FROM_LE(found[0]), ==, UINT64_C(0x1122334455667788));
    g_assert_cmphex((uint32_t)GUINT64_FROM_LE(found[1]), ==, 0x99aabbcc);
    g_assert_cmpuint(client_read(&client, CONFIG_REGION, 0x3c, found, 1), ==, 0);
    g_assert_cmphex(GUINT64_FROM_LE(found[0]) & 0xff, ==, 0x0b);
    /* One of them out of bounds: none is done. */
    payload->data[8 + 16] = 0x10;
    set_count(payload, 2, 9);
    g_assert_cmpuint(client_call(&client, WRITE_MULTI, payload->data, payload->len), ==, EINVAL);
    n = 4;
    memcpy(payload->data, &n, sizeof(n));
    set_count(payload, 2, 1);
    g_assert_cmpuint(client_call(&client, WRITE_MULTI, payload->data, payload->len), ==, EINVAL);
    memset(payload->data, 0xff, 8);
    g_assert_cmpuint(client_call(&client, WRITE_MULTI, payload->data, payload->len), ==, EINVAL);
    g_assert_cmpuint(client_read(&client, BAR_MSIX, 0, found, 8), ==, 0);
    g_assert_cmphex(GUINT64_FROM_LE(found[0]), ==, UINT64_C(0x1122334455667788));
    g_byte_array_unref(payload);
    client_close(&client);
    /* A client that did not say that it sends these may not. */
    client_connect(&client, &host);
    g_assert_cmpuint(client_version(&client, "{}"), ==, 0);
    n = 0;
    g_assert_cmpuint(client_call(&client, WRITE_MULTI, &n, sizeof(n)), ==, EINVAL);
    client_close(&client);
    host_end(&host);
}

/* ---- A guest behind it ---- */

static struct guest *new_guest(struct host *host, const char *properties, bool intx)
{
    struct guest *guest = g_new(struct guest, 1);

    host_init(host, properties, "loopback");
    guest_open(guest, host, intx);
    return guest;
}

static void end_guest(struct guest *guest)
{
    struct host *host = guest->client.host;

    guest_close(guest);
    g_free(guest);
    host_end(host);
}

static void test_msix_traffic(void)
{
    struct host host;
    struct guest *guest = new_guest(&host, "", false);

    guest_boot(guest);
    g_assert_cmpuint(guest->driver->vectors, ==, 4);
    for (unsigned i = 0; i < 600; i++) {
        guest_echo(guest, i);
    }
    g_assert_cmpuint(guest_driver_interrupts(guest->driver, guest->driver->queues[0].vector), >=,
                     600);
    end_guest(guest);
}

static void test_many_queues(void)
{
    struct host host;
    struct guest *guest = new_guest(&host, "mq=on,rss=on,queues=4,vectors=10", false);

    guest_boot(guest);
    g_assert_cmpint(net_control_pairs(guest->net, 4), ==, VIRTIO_NET_OK);
    for (unsigned i = 0; i < 20; i++) {
        guest_echo(guest, i);
    }
    end_guest(guest);
}

static const uint8_t ping[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2};

/* Sends a frame that comes back, and takes no interrupt; what arrived before is taken first. */
static void send_ping(struct guest *guest)
{
    struct guest_packet packet;

    while (net_receive(guest->net, &packet)) {
    }
    g_assert_true(net_transmit(guest->net, 0, NULL, ping, sizeof(ping)));
    host_settle(guest->client.host);
}

static void set_intx(struct guest *guest, uint32_t flags)
{
    g_assert_cmpuint(client_set_irqs(&guest->client, flags, INTX, 0, 1, NULL, 0), ==, 0);
}

/* Without a driver that takes the interrupt the level stays, and one event is all there is. */
static void test_intx(void)
{
    struct host host;
    struct guest *guest = new_guest(&host, "", true);

    guest_boot(guest);
    guest_echo(guest, 1);
    send_ping(guest);
    g_assert_cmpuint(eventfd_count(guest->intx), ==, 0); /* it masked itself */
    set_intx(guest, DATA_NONE | UNMASK);
    g_assert_cmpuint(eventfd_count(guest->intx), ==, 1); /* and the level is still high */
    g_assert_cmpuint(guest_driver_isr(guest->driver), ==, 1);
    set_intx(guest, DATA_NONE | UNMASK);
    g_assert_cmpuint(eventfd_count(guest->intx), ==, 0);
    /* Masked by the client: no event until it is unmasked. */
    set_intx(guest, DATA_NONE | MASK);
    send_ping(guest);
    g_assert_cmpuint(eventfd_count(guest->intx), ==, 0);
    set_intx(guest, DATA_NONE | UNMASK);
    g_assert_cmpuint(eventfd_count(guest->intx), ==, 1);
    /* Disabled as a whole. */
    g_assert_cmpuint(client_set_irqs(&guest->client, DATA_NONE | TRIGGER, INTX, 0, 0, NULL, 0), ==,
                     0);
    set_intx(guest, DATA_NONE | UNMASK);
    g_assert_cmpuint(eventfd_count(guest->intx), ==, 0);
    end_guest(guest);
}

static void test_intx_unmask_by_eventfd(void)
{
    struct host host;
    struct guest *guest = new_guest(&host, "", true);
    const int unmask = new_eventfd();
    const uint64_t one = 1;

    g_assert_cmpuint(client_set_irqs(&guest->client, DATA_FDS | UNMASK, INTX, 0, 1, &unmask, 1), ==,
                     0);
    guest_boot(guest);
    for (unsigned i = 0; i < 5; i++) {
        guest_echo(guest, i);
        g_assert_cmpint(write(unmask, &one, sizeof(one)), ==, sizeof(one));
        host_settle(&host);
        g_assert_cmpuint(eventfd_count(guest->intx), ==, 1); /* the level was high */
        g_assert_cmpuint(guest_driver_isr(guest->driver), ==, 1);
        g_assert_cmpint(write(unmask, &one, sizeof(one)), ==, sizeof(one));
        host_settle(&host);
        g_assert_cmpuint(eventfd_count(guest->intx), ==, 0);
    }
    /* Taken away, it does nothing any more. */
    g_assert_cmpuint(client_set_irqs(&guest->client, DATA_FDS | UNMASK, INTX, 0, 1, NULL, 0), ==,
                     0);
    guest_echo(guest, 7);
    g_assert_cmpint(write(unmask, &one, sizeof(one)), ==, sizeof(one));
    host_settle(&host);
    g_assert_cmpuint(eventfd_count(guest->intx), ==, 0);
    close(unmask);
    end_guest(guest);
}

/* MSI-X with a descriptor taken away, masked, triggered by command. */
static void test_vectors_by_command(void)
{
    static const uint8_t second[] = {0, 1, 0};
    struct {
        struct set_irqs set;
        uint8_t chosen[3];
    } some = {{23, DATA_BOOL | TRIGGER, MSIX, 0, 3}, {0}};
    struct host host;
    struct guest *guest = new_guest(&host, "", false);

    g_assert_cmpuint(client_set_irqs(&guest->client, DATA_NONE | TRIGGER, MSIX, 1, 2, NULL, 0), ==,
                     0);
    g_assert_cmpuint(eventfd_count(guest->vectors[0]), ==, 0);
    g_assert_cmpuint(eventfd_count(guest->vectors[1]), ==, 1);
    g_assert_cmpuint(eventfd_count(guest->vectors[2]), ==, 1);
    memcpy(some.chosen, second, 3);
    g_assert_cmpuint(client_call(&guest->client, SET_IRQS, &some, 23), ==, 0);
    g_assert_cmpuint(eventfd_count(guest->vectors[0]), ==, 0);
    g_assert_cmpuint(eventfd_count(guest->vectors[1]), ==, 1);
    g_assert_cmpuint(eventfd_count(guest->vectors[2]), ==, 0);
    g_assert_cmpuint(client_set_irqs(&guest->client, DATA_FDS | TRIGGER, MSIX, 1, 1, NULL, 0), ==,
                     0);
    g_assert_cmpuint(client_set_irqs(&guest->client, DATA_NONE | TRIGGER, MSIX, 0, 3, NULL, 0), ==,
                     0);
    g_assert_cmpuint(eventfd_count(guest->vectors[0]), ==, 1);
    g_assert_cmpuint(eventfd_count(guest->vectors[1]), ==, 0);
    g_assert_cmpuint(eventfd_count(guest->vectors[2]), ==, 1);
    g_assert_cmpuint(client_set_irqs(&guest->client, DATA_NONE | TRIGGER, MSIX, 0, 0, NULL, 0), ==,
                     0);
    g_assert_cmpuint(client_set_irqs(&guest->client, DATA_NONE | TRIGGER, MSIX, 0, 3, NULL, 0), ==,
                     0);
    g_assert_cmpuint(eventfd_count(guest->vectors[0]), ==, 0);
    end_guest(guest);
}

/* What is pending while the client masks a vector comes when it unmasks it. */
static void test_masked_vector_is_pending(void)
{
    struct host host;
    struct guest *guest = new_guest(&host, "", false);
    uint16_t vector;

    guest_boot(guest);
    vector = guest->driver->queues[0].vector;
    g_assert_cmpuint(client_set_irqs(&guest->client, DATA_NONE | MASK, MSIX, vector, 1, NULL, 0),
                     ==, 0);
    send_ping(guest);
    g_assert_cmpuint(eventfd_count(guest->vectors[vector]), ==, 0);
    g_assert_cmpuint(client_set_irqs(&guest->client, DATA_NONE | UNMASK, MSIX, vector, 1, NULL, 0),
                     ==, 0);
    g_assert_cmpuint(eventfd_count(guest->vectors[vector]), ==, 1);
    end_guest(guest);
}

static void test_reset_and_boot_again(gconstpointer properties)
{
    struct host host;
    struct guest *guest = new_guest(&host, properties, false);

    for (unsigned i = 0; i < 3; i++) {
        guest_boot(guest);
        guest_echo(guest, i);
        g_assert_cmpuint(client_call(&guest->client, DEVICE_RESET, NULL, 0), ==, 0);
        g_assert_cmpuint(guest->client.len, ==, 0);
        g_assert_cmphex(guest_driver_status(guest->driver), ==, 0);
        guest->driver->probed = false; /* BARs and MSI-X are gone with it */
    }
    guest_boot(guest);
    guest_echo(guest, 9);
    /* The driver's own reset needs no new start of the machine. */
    g_assert_true(guest_driver_reset(guest->driver));
    guest_boot(guest);
    guest_echo(guest, 10);
    end_guest(guest);
}

/* ---- Notifications ---- */

static unsigned ask_for_io_fds(struct client *client, uint32_t argsz)
{
    const uint32_t ask[4] = {argsz, 0, BAR_VIRTIO, 0};

    g_assert_cmpuint(client_call(client, GET_REGION_IO_FDS, ask, sizeof(ask)), ==, 0);
    g_assert_cmpuint(reply_32(client, 0), ==, 16 + 40 * reply_32(client, 12));
    g_assert_cmpuint(reply_32(client, 4), ==, 0);
    g_assert_cmpuint(reply_32(client, 8), ==, BAR_VIRTIO);
    return reply_32(client, 12);
}

static void test_io_fds(void)
{
    struct client client;
    struct host host;
    unsigned n;

    host_init(&host, "mq=on,queues=20", "null");
    client_open(&client, &host);
    n = ask_for_io_fds(&client, 16);
    g_assert_cmpuint(n, ==, 41);
    g_assert_cmpuint(client.len, ==, 16);
    g_assert_cmpuint(client.n_fds, ==, 0);
    n = ask_for_io_fds(&client, 16 + 40 * 41 - 1);
    g_assert_cmpuint(client.len, ==, 16);
    n = ask_for_io_fds(&client, 16 + 40 * 41);
    g_assert_cmpuint(client.len, ==, 16 + 40 * 41);
    g_assert_cmpuint(client.n_fds, ==, 16);
    for (unsigned i = 0; i < n; i++) {
        unsigned bar;
        uint64_t offset;

        g_assert_true(vionet_pci_notify_address(
            vionet_frontend_pci(vionet_vfio_user_frontend(host.server)), i, &bar, &offset));
        g_assert_cmpuint(reply_64(&client, 16 + 40 * i), ==, offset);
        g_assert_cmpuint(reply_64(&client, 16 + 40 * i + 8), ==, 0);
        g_assert_cmpuint(reply_32(&client, 16 + 40 * i + 16), ==, i % 16);
        g_assert_cmpuint(reply_64(&client, 16 + 40 * i + 20), ==, 0);
        g_assert_cmpuint(reply_32(&client, 16 + 40 * i + 28), ==, 0);
        g_assert_cmpuint(reply_64(&client, 16 + 40 * i + 32), ==, 0);
    }
    for (uint32_t region = 0; region < 9; region++) {
        const uint32_t ask[4] = {4096, 0, region, 0};

        if (region != BAR_VIRTIO) {
            g_assert_cmpuint(client_call(&client, GET_REGION_IO_FDS, ask, sizeof(ask)), ==, 0);
            g_assert_cmpuint(client.len, ==, 16);
            g_assert_cmpuint(reply_32(&client, 12), ==, 0);
        }
    }
    client_close(&client);
    host_end(&host);
}

/* A client that takes fewer descriptors gets fewer, and queues share them; or none. */
static void test_few_io_fds(void)
{
    static const char *const texts[] = {"{\"capabilities\":{\"max_msg_fds\":0}}", "{}",
                                        "{\"capabilities\":{\"max_msg_fds\":2}}"};
    struct host host;

    host_init(&host, "mq=on,queues=2", "null");
    for (unsigned most = 0; most < 3; most++) {
        struct client client;
        unsigned n;

        client_connect(&client, &host);
        g_assert_cmpuint(client_version(&client, texts[most]), ==, 0);
        n = ask_for_io_fds(&client, 4096);
        g_assert_cmpuint(n, ==, most ? 5 : 0);
        g_assert_cmpuint(client.n_fds, ==, most);
        for (unsigned i = 0; i < n; i++) {
            g_assert_cmpuint(reply_32(&client, 16 + 40 * i + 16), ==, i % most);
        }
        ask_for_io_fds(&client, 4096); /* again: the same */
        g_assert_cmpuint(client.n_fds, ==, most);
        client_close(&client);
    }
    host_end(&host);
}

/* Frames are sent by what KVM would do instead of a message. */
static void test_notification_by_eventfd(void)
{
    struct host host;
    struct guest *guest = new_guest(&host, "", false);
    const uint64_t one = 1;
    uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2};
    int fds[3];

    guest_boot(guest);
    g_assert_cmpuint(ask_for_io_fds(&guest->client, 4096), ==, 3);
    g_assert_cmpuint(guest->client.n_fds, ==, 3);
    memcpy(fds, guest->client.fds, sizeof(fds));
    guest->client.n_fds = 0; /* they are ours */
    for (uint8_t i = 0; i < 10; i++) {
        struct guest_packet packet;

        frame[20] = i;
        g_assert_true(net_transmit_add(guest->net, 0, NULL, NULL, frame, sizeof(frame)));
        virtq_publish(guest_queue_ring(guest->driver, 1));
        g_assert_cmpuint(guest_interrupts(guest), ==, 0);
        g_assert_cmpint(write(fds[1], &one, sizeof(one)), ==, sizeof(one));
        g_assert_cmpuint(guest_interrupts(guest), >, 0);
        g_assert_true(net_receive(guest->net, &packet));
        g_assert_cmpmem(packet.data, packet.len, frame, sizeof(frame));
        g_assert_false(net_receive(guest->net, &packet)); /* and asks for interrupts again */
    }
    for (unsigned i = 0; i < 3; i++) {
        close(fds[i]);
    }
    end_guest(guest);
}

/* ---- Threads ---- */

#define THREADS "queues=2,threads=on"

/* Of both pairs, of which each is told by a descriptor of its own; for one client after the other. */
static void test_eventfds_of_threads(void)
{
    uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2};
    const uint64_t one = 1;
    struct host host;
    unsigned fds;

    host_init(&host, THREADS, "loopback");
    host_works(&host);
    fds = count_fds();
    for (unsigned round = 0; round < 5; round++) {
        struct guest *guest = g_new(struct guest, 1);

        guest_open(guest, &host, false);
        guest_boot(guest);
        g_assert_cmpint(net_control_pairs(guest->net, 2), ==, VIRTIO_NET_OK);
        g_assert_cmpuint(ask_for_io_fds(&guest->client, 4096), ==, 5);
        g_assert_cmpuint(guest->client.n_fds, ==, 5);
        for (unsigned i = 0; i < 50; i++) {
            const unsigned pair = i % 2;
            struct guest_packet packet;

            frame[20] = (uint8_t)i;
            g_assert_true(net_transmit_add(guest->net, pair, NULL, NULL, frame, sizeof(frame)));
            virtq_publish(guest_queue_ring(guest->driver, 2 * pair + 1));
            g_assert_cmpint(write(guest->client.fds[2 * pair + 1], &one, sizeof(one)), ==,
                            sizeof(one));
            g_assert_true(guest_wait(guest, &packet));
            g_assert_cmpmem(packet.data, packet.len, frame, sizeof(frame));
            g_assert_false(net_receive(guest->net, &packet)); /* and asks for interrupts again */
        }
        for (unsigned i = 0; i < 5; i++) { /* and it goes with its threads about to read them */
            g_assert_cmpint(write(guest->client.fds[i], &one, sizeof(one)), ==, sizeof(one));
        }
        guest_close(guest);
        g_free(guest);
    }
    host_works(&host);
    await_fds(fds);
    host_end(&host);
}

/* Descriptors of vectors come and go while threads signal them. */
static void test_vectors_change_under_threads(void)
{
    uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2};
    struct host host;
    struct guest *guest = new_guest(&host, THREADS, false);
    struct guest_packet packet;
    unsigned sent = 0;
    unsigned received = 0;

    guest_boot(guest);
    for (unsigned i = 0; i < 200; i++) {
        for (unsigned k = 0; k < 8; k++) {
            sent += net_transmit(guest->net, 0, NULL, frame, sizeof(frame));
        }
        g_assert_cmpuint(client_set_irqs(&guest->client, DATA_FDS | TRIGGER, MSIX, 0,
                                         i % 2 ? guest->n_vectors : 1, guest->vectors,
                                         i % 2 ? guest->n_vectors : 1),
                         ==, 0);
        while (net_receive(guest->net, &packet)) {
            received++;
        }
        net_reclaim(guest->net, 0);
    }
    while (received < sent) {
        g_assert_true(guest_wait(guest, &packet) || net_receive(guest->net, &packet));
        received++;
        while (net_receive(guest->net, &packet)) {
            received++;
        }
    }
    g_assert_cmpuint(received, ==, sent);
    end_guest(guest);
}

/* A client may have memory that it does not share; the device does not find it then. */
static void test_memory_not_shared_with_threads(void)
{
    struct client client;
    struct host host;

    host_init(&host, THREADS, "loopback");
    client_open(&client, &host);
    g_assert_cmpuint(client_map(&client, 1 << 20, 1 << 20, 3, -1, 0), ==, 0);
    g_assert_cmpuint(client_map(&client, 1 << 20, 1 << 20, 3, -1, 0), ==, EEXIST);
    g_assert_cmpuint(client_unmap(&client, 1 << 20, 1 << 20), ==, 0);
    client_close(&client);
    host_works(&host);
    host_end(&host);
}

struct order {
    struct client *client;
    bool answered; /* when the device heard of it */
    unsigned heard;
};

static void hear(void *opaque, const VionetEvent *event)
{
    struct order *order = opaque;
    uint8_t octet;

    if (event->kind == VIONET_EVENT_VIOLATION &&
        event->violation == VIONET_VIOLATION_NOTIFY_QUEUE) {
        order->heard++;
        order->answered = recv(order->client->fd, &octet, 1, MSG_PEEK) == 1;
    }
}

/* Answered first, done then, and the next message finds it done. */
static void test_posted_notification(void)
{
    struct host host;
    struct guest *guest = new_guest(&host, "", false);
    const struct pci_window *notify = &guest->driver->pci.notify;
    struct order order = {.client = &guest->client};
    struct region_access write = {0, BAR_VIRTIO, 2};
    uint8_t payload[18] = {0};

    guest_boot(guest);
    host.on_event = hear;
    host.opaque = &order;
    write.offset = notify->offset + 2; /* no queue's address */
    memcpy(payload, &write, sizeof(write));
    g_assert_cmpuint(client_call(&guest->client, REGION_WRITE, payload, sizeof(payload)), ==, 0);
    g_assert_cmpuint(order.heard, ==, 1);
    g_assert_true(order.answered);
    end_guest(guest);
}

/* A frame, and in the same breath the question what became of it. */
static void test_next_message_sees_the_effect(void)
{
    struct host host;
    struct guest *guest = new_guest(&host, "", false);
    struct virtq *ring;
    struct region_access isr = {0, BAR_VIRTIO, 1};
    uint8_t write[18] = {0};
    struct region_access *at = (struct region_access *)write;
    GByteArray *both;
    GByteArray *second;

    guest_boot(guest);
    ring = guest_queue_ring(guest->driver, 1);
    isr.offset = guest->driver->pci.isr.offset;
    *at = (struct region_access){
        guest->driver->pci.notify.offset + guest->driver->queues[1].notify_at, BAR_VIRTIO, 2};
    write[16] = (uint8_t)guest->driver->queues[1].notify_id;
    g_assert_true(
        net_transmit_add(guest->net, 0, NULL, NULL, "\xff\xff\xff\xff\xff\xff 0123456789", 17));
    virtq_publish(ring);
    both = message_new(1, REGION_WRITE, 0, write, sizeof(write));
    second = message_new(1, REGION_READ, 0, &isr, sizeof(isr));
    g_byte_array_append(both, second->data, second->len);
    g_assert_true(client_send(&guest->client, both->data, both->len, NULL, 0));
    guest->client.id = 1;
    g_assert_true(g_main_context_iteration(host.context, FALSE));
    g_assert_true(client_reply(&guest->client, REGION_WRITE));
    g_assert_true(client_reply(&guest->client, REGION_READ));
    g_assert_cmpuint(net_reclaim(guest->net, 0), ==, 1);
    g_byte_array_unref(both);
    g_byte_array_unref(second);
    end_guest(guest);
}

/* ---- Interrupts that wait for a timer ---- */

static void test_coalescing_timer(void)
{
    struct host host;
    struct guest *guest = new_guest(&host, "notf_coal=on", false);
    struct guest_packet packet;
    unsigned vector;
    gint64 start;

    guest_boot(guest);
    g_assert_true(guest_driver_has(guest->driver, VIRTIO_NET_F_NOTF_COAL));
    g_assert_cmpint(net_control_coalesce_rx(guest->net, 100, 20000), ==, VIRTIO_NET_OK);
    vector = guest->driver->queues[0].vector;
    for (unsigned i = 0; i < 3; i++) {
        eventfd_count(guest->vectors[vector]);
        start = g_get_monotonic_time();
        send_ping(guest);
        g_assert_true(g_get_monotonic_time() - start > 15000 ||
                      eventfd_count(guest->vectors[vector]) == 0);
        g_assert_true(host_wait(&host, guest->vectors[vector]));
        g_assert_cmpint(g_get_monotonic_time() - start, >=, 20000);
        guest_interrupts(guest);
        g_assert_true(net_receive(guest->net, &packet));
        g_assert_cmpuint(packet.len, ==, sizeof(ping));
    }
    end_guest(guest);
}

/* What services.c calls, in order. */
struct calls {
    struct services *services;
    GString *text;
    uint64_t due_ns[4];
    unsigned more; /* times that it is to be called again */
};

static void timer_called(void *opaque, unsigned i)
{
    struct calls *calls = opaque;

    g_string_append_printf(calls->text, "%u", i);
    g_assert_cmpuint(services_clock_ns(), >=, calls->due_ns[i]);
    if (i == 3) { /* from within, long past */
        services_timer(calls->services, 0, 1);
    }
}

static bool again_called(void *opaque)
{
    struct calls *calls = opaque;

    g_string_append_c(calls->text, 'a');
    services_wake(calls->services); /* asked for within: counts for nothing */
    return calls->more-- > 0;
}

static void set_timer(struct calls *calls, unsigned i, uint64_t deadline_ns)
{
    calls->due_ns[i] = deadline_ns;
    services_timer(calls->services, i, deadline_ns);
}

static void run_until(GMainContext *context, uint64_t ns)
{
    do {
        g_main_context_iteration(context, FALSE);
    } while (services_clock_ns() < ns);
    while (g_main_context_iteration(context, FALSE)) {
    }
}

static void test_timers(void)
{
    static const struct services_ops ops = {.expired = timer_called, .again = again_called};
    const uint64_t ms = 1000000;
    GMainContext *context = g_main_context_new();
    struct calls calls = {.text = g_string_new(NULL), .more = 2};
    uint64_t now;

    calls.services = services_new(context, 4, &ops, &calls, NULL);
    now = services_clock_ns();
    set_timer(&calls, 0, now + 30 * ms);
    set_timer(&calls, 1, now + 2 * ms);
    set_timer(&calls, 2, now + 20 * ms);
    set_timer(&calls, 1, now + 15 * ms);    /* later than it was */
    set_timer(&calls, 0, now + 5 * ms);     /* earlier */
    services_timer(calls.services, 4, now); /* there is none */
    run_until(context, now + 40 * ms);
    g_assert_cmpstr(calls.text->str, ==, "012");
    set_timer(&calls, 3, 0); /* long past */
    run_until(context, 0);
    g_assert_cmpstr(calls.text->str, ==, "01230");
    services_timer(calls.services, 2, UINT64_MAX); /* never */
    services_wake(calls.services);
    services_wake(calls.services);
    run_until(context, 0);
    g_assert_cmpstr(calls.text->str, ==, "01230aaa");
    services_timer(calls.services, 1, services_clock_ns() + ms);
    services_wake(calls.services);
    services_free(calls.services); /* with both under way */
    run_until(context, services_clock_ns() + 3 * ms);
    g_assert_cmpstr(calls.text->str, ==, "01230aaa");
    services_free(NULL);
    g_string_free(calls.text, TRUE);
    g_main_context_unref(context);
}

/* ---- Clients come and go ---- */

static void test_client_vanishes(gconstpointer properties)
{
    struct host host;
    unsigned fds;
    unsigned maps;

    host_init(&host, properties, "loopback");
    host_works(&host);
    fds = count_fds();
    maps = count_maps();
    for (unsigned i = 0; i < 10; i++) {
        struct guest *guest = g_new(struct guest, 1);

        guest_open(guest, &host, i % 2);
        guest_boot(guest);
        guest_echo(guest, i);
        for (unsigned n = 0; n < i; n++) {
            g_assert_true(net_transmit_add(guest->net, 0, NULL, NULL, "0123456789abcdef", 16));
        }
        net_transmit_flush(guest->net, 0);
        guest_close(guest);
        g_free(guest);
        g_assert_cmpuint(count_fds(), ==, fds);
        g_assert_cmpuint(count_maps(), ==, maps);
    }
    host_works(&host);
    g_assert_cmpuint(host.connected, ==, 12);
    g_assert_cmpuint(host.gone, ==, 12);
    host_end(&host);
}

static void test_second_client(void)
{
    struct client first;
    struct host host;
    char octet;
    int ends[2];

    host_init(&host, "", "null");
    client_open(&first, &host);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), ==, 0);
    g_assert_false(vionet_vfio_user_serve(host.server, ends[1]));
    g_assert_cmpint(read(ends[0], &octet, 1), ==, 0);
    close(ends[0]);
    g_assert_cmpuint(client_unmap_all(&first), ==, 0);
    client_close(&first);
    host_end(&host);
}

/* ---- Listening ---- */

struct place {
    char *dir;
    char *path;
};

static void place_init(struct place *place)
{
    place->dir = g_dir_make_tmp("vionet-vfio-XXXXXX", NULL);
    g_assert_nonnull(place->dir);
    place->path = g_build_filename(place->dir, "socket", NULL);
}

static void place_end(struct place *place)
{
    g_assert_cmpint(g_rmdir(place->dir), ==, 0);
    g_free(place->dir);
    g_free(place->path);
}

static struct sockaddr_un address_of(const struct place *place)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    g_assert_cmpuint(g_strlcpy(address.sun_path, place->path, sizeof(address.sun_path)), <,
                     sizeof(address.sun_path));
    return address;
}

static int dial(const struct place *place)
{
    const struct sockaddr_un address = address_of(place);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    g_assert_cmpint(connect(fd, (const struct sockaddr *)&address, sizeof(address)), ==, 0);
    return fd;
}

static void assert_not_listening(struct host *host, const char *path, const char *why)
{
    const unsigned fds = count_fds();
    GError *error = NULL;

    g_assert_false(vionet_vfio_user_listen(host->server, path, &error));
    g_assert_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG);
    g_assert_nonnull(strstr(error->message, why));
    g_error_free(error);
    g_assert_cmpuint(count_fds(), ==, fds);
}

static void test_listen(void)
{
    struct client client = {.id = 0};
    struct place place;
    struct host host;
    GError *error = NULL;
    char octet;
    int second;

    place_init(&place);
    host_init(&host, "", "null");
    g_assert_true(vionet_vfio_user_listen(host.server, place.path, &error));
    g_assert_no_error(error);
    client.host = &host;
    client.fd = client.out = dial(&place);
    host_settle(&host);
    g_assert_cmpuint(client_version(&client, "{}"), ==, 0);
    second = dial(&place);
    host_settle(&host);
    g_assert_cmpint(recv(second, &octet, 1, 0), ==, 0);
    close(second);
    client_close(&client);
    client.fd = client.out = dial(&place);
    host_settle(&host);
    g_assert_cmpuint(client_version(&client, "{}"), ==, 0);
    client_close(&client);
    host_end(&host);
    g_assert_false(g_file_test(place.path, G_FILE_TEST_EXISTS));
    place_end(&place);
}

static void test_stale_socket_is_replaced(void)
{
    struct place place;
    struct host host;
    struct sockaddr_un address;
    int fd;

    place_init(&place);
    address = address_of(&place);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
    close(fd);
    host_init(&host, "", "null");
    g_assert_true(vionet_vfio_user_listen(host.server, place.path, NULL));
    fd = dial(&place);
    host_settle(&host);
    g_assert_true(vionet_vfio_user_is_connected(host.server));
    close(fd);
    host_end(&host);
    place_end(&place);
}

static void test_foreign_file_is_refused(void)
{
    struct place place;
    struct host host;

    place_init(&place);
    host_init(&host, "", "null");
    g_assert_true(g_file_set_contents(place.path, "mine", -1, NULL));
    assert_not_listening(&host, place.path, "is there, and no socket");
    g_assert_true(g_file_test(place.path, G_FILE_TEST_IS_REGULAR));
    g_assert_cmpint(g_remove(place.path), ==, 0);
    g_assert_cmpint(symlink("/nowhere", place.path), ==, 0);
    assert_not_listening(&host, place.path, "is there, and no socket");
    g_assert_cmpint(g_remove(place.path), ==, 0);
    assert_not_listening(&host, "/nowhere/at/all", "No such file");
    host_end(&host);
    place_end(&place);
}

static void test_served_path_is_refused(void)
{
    struct place place;
    struct host first;
    struct host second;

    place_init(&place);
    host_init(&first, "", "null");
    host_init(&second, "", "null");
    g_assert_true(vionet_vfio_user_listen(first.server, place.path, NULL));
    assert_not_listening(&second, place.path, "is served");
    host_end(&second);
    g_assert_true(g_file_test(place.path, G_FILE_TEST_EXISTS));
    host_settle(&first); /* the one who asked has gone */
    host_end(&first);
    place_end(&place);
}

/* A socket of another kind, which somebody serves, and one that has no room for another client. */
static void test_other_sockets_are_refused(void)
{
    static const int types[] = {SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM};
    struct place place;
    struct host host;
    struct sockaddr_un address;

    place_init(&place);
    address = address_of(&place);
    host_init(&host, "", "null");
    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        const int fd = socket(AF_UNIX, types[i], 0);
        int waiting = -1;

        g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
        if (types[i] == SOCK_STREAM) {
            g_assert_cmpint(listen(fd, 0), ==, 0);
            waiting = dial(&place);
        }
        alarm(20);
        assert_not_listening(&host, place.path, types[i] == SOCK_STREAM ? "is served" : "wrong");
        alarm(0);
        g_assert_true(g_file_test(place.path, G_FILE_TEST_EXISTS));
        g_assert_cmpint(g_remove(place.path), ==, 0);
        close(fd);
        if (waiting >= 0) {
            close(waiting);
        }
    }
    host_end(&host);
    place_end(&place);
}

static void test_listening_twice_is_refused(void)
{
    struct place place;
    struct host host;
    char *other;

    place_init(&place);
    other = g_strconcat(place.path, "2", NULL);
    host_init(&host, "", "null");
    assert_not_listening(&host, "", "empty");
    g_assert_true(vionet_vfio_user_listen(host.server, place.path, NULL));
    assert_not_listening(&host, other, "already");
    assert_not_listening(&host, place.path, "already");
    g_assert_false(g_file_test(other, G_FILE_TEST_EXISTS));
    host_end(&host);
    g_free(other);
    place_end(&place);
}

static void test_long_path_is_refused(void)
{
    const size_t most = sizeof(((struct sockaddr_un *)NULL)->sun_path);
    char *path = g_strnfill(most, 'x');
    struct host host;

    host_init(&host, "", "null");
    assert_not_listening(&host, path, "too long");
    host_end(&host);
    g_free(path);
}

static void test_no_server(void)
{
    static const char *const wrong[][2] = {{"nonsense=1", "null"}, {"", "nonsense"}};
    GMainContext *context = g_main_context_new();
    const unsigned fds = count_fds();

    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        GError *error = NULL;

        g_assert_null(vionet_vfio_user_new(wrong[i][0], wrong[i][1], context, NULL, NULL, &error));
        g_assert_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG);
        g_error_free(error);
    }
    vionet_vfio_user_free(NULL);
    g_assert_cmpuint(count_fds(), ==, fds);
    g_main_context_unref(context);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    host_quiet();
    g_test_add_func("/vfio-user/version", test_version);
    g_test_add_func("/vfio-user/minor-version", test_minor_version);
    g_test_add_func("/vfio-user/device-info", test_device_info);
    g_test_add_func("/vfio-user/region-info", test_region_info);
    g_test_add_func("/vfio-user/irq-info", test_irq_info);
    g_test_add_func("/vfio-user/config-space-in-any-pieces", test_config_space);
    g_test_add_func("/vfio-user/bar-in-any-pieces", test_bar_access);
    g_test_add_func("/vfio-user/virtio-bar-in-any-pieces", test_virtio_bar_access);
    g_test_add_func("/vfio-user/write-multi", test_write_multi);
    g_test_add_func("/vfio-user/msix-traffic", test_msix_traffic);
    g_test_add_func("/vfio-user/many-queues", test_many_queues);
    g_test_add_func("/vfio-user/intx", test_intx);
    g_test_add_func("/vfio-user/intx-unmasked-by-eventfd", test_intx_unmask_by_eventfd);
    g_test_add_func("/vfio-user/vectors-by-command", test_vectors_by_command);
    g_test_add_func("/vfio-user/masked-vector-is-pending", test_masked_vector_is_pending);
    g_test_add_data_func("/vfio-user/reset-and-boot-again", "", test_reset_and_boot_again);
    g_test_add_data_func("/vfio-user/threads/reset-and-boot-again", THREADS,
                         test_reset_and_boot_again);
    g_test_add_func("/vfio-user/io-fds", test_io_fds);
    g_test_add_func("/vfio-user/threads/eventfds", test_eventfds_of_threads);
    g_test_add_func("/vfio-user/threads/vectors-change", test_vectors_change_under_threads);
    g_test_add_func("/vfio-user/threads/memory-not-shared", test_memory_not_shared_with_threads);
    g_test_add_func("/vfio-user/few-io-fds", test_few_io_fds);
    g_test_add_func("/vfio-user/notification-by-eventfd", test_notification_by_eventfd);
    g_test_add_func("/vfio-user/posted-notification", test_posted_notification);
    g_test_add_func("/vfio-user/next-message-sees-the-effect", test_next_message_sees_the_effect);
    g_test_add_func("/vfio-user/coalescing-timer", test_coalescing_timer);
    g_test_add_func("/vfio-user/timers", test_timers);
    g_test_add_data_func("/vfio-user/client-vanishes", "", test_client_vanishes);
    g_test_add_data_func("/vfio-user/threads/client-vanishes", THREADS, test_client_vanishes);
    g_test_add_func("/vfio-user/second-client", test_second_client);
    g_test_add_func("/vfio-user/listen", test_listen);
    g_test_add_func("/vfio-user/stale-socket-is-replaced", test_stale_socket_is_replaced);
    g_test_add_func("/vfio-user/foreign-file-is-refused", test_foreign_file_is_refused);
    g_test_add_func("/vfio-user/served-path-is-refused", test_served_path_is_refused);
    g_test_add_func("/vfio-user/other-sockets-are-refused", test_other_sockets_are_refused);
    g_test_add_func("/vfio-user/listening-twice-is-refused", test_listening_twice_is_refused);
    g_test_add_func("/vfio-user/long-path-is-refused", test_long_path_is_refused);
    g_test_add_func("/vfio-user/no-server", test_no_server);
    return g_test_run();
}
