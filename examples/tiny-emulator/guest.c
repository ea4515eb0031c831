/* SPDX-License-Identifier: BSD-3-Clause */
/* See guest.h. One connection, segments in order, no options: what a page from next door takes. */
#include "guest.h"

#include <stdio.h>
#include <string.h>

#include <glib.h>

#define ETHERNET  14
#define IP        (ETHERNET + 20) /* octets up to the end of the IP header, and so on */
#define TCP       (IP + 20)
#define MAX_FRAME 1514
#define WINDOW    16384
#define OUR_PORT  40000
#define FIN       1
#define SYN       2
#define RST       4
#define PSH       8
#define ACK       16

static const uint8_t our_ip[4] = {10, 0, 2, 15};
static const uint8_t host_ip[4] = {10, 0, 2, 2};

struct guest {
    struct guest_driver *driver;
    struct guest_net *net;
    uint8_t host_mac[6];
    uint16_t port;
    char *request;
    GString *page;
    uint32_t next_out; /* sequence numbers */
    uint32_t next_in;
    enum { IDLE, ASKING, CONNECTING, READING, DONE, FAILED } state;
};

/* ---- Octets ---- */

static uint32_t get(const uint8_t *p, unsigned n)
{
    uint32_t value = 0;

    while (n-- > 0) {
        value = value << 8 | *p++;
    }
    return value;
}

static void put(uint8_t *p, unsigned n, uint32_t value)
{
    while (n-- > 0) {
        p[n] = (uint8_t)value;
        value >>= 8;
    }
}

/* RFC 1071, over what stands before it as well. */
static uint16_t checksum(uint32_t sum, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        sum += (uint32_t)p[i] << (i % 2 ? 0 : 8);
    }
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t) ~((sum & 0xffff) + (sum >> 16));
}

/* ---- Out ---- */

static void send_frame(struct guest *guest, uint8_t *frame, uint16_t type, uint32_t len)
{
    memcpy(frame, guest->host_mac, 6);
    memcpy(frame + 6, guest->driver->config.mac, 6);
    put(frame + 12, 2, type);
    net_transmit(guest->net, 0, NULL, frame, len);
}

static void ask_for_mac(struct guest *guest)
{
    uint8_t frame[60] = {0};
    uint8_t *arp = frame + ETHERNET;

    put(arp, 4, 0x00010800);     /* Ethernet, IPv4 */
    put(arp + 4, 4, 0x06040001); /* lengths of both addresses, request */
    memcpy(arp + 8, guest->driver->config.mac, 6);
    memcpy(arp + 14, our_ip, 4);
    memcpy(arp + 24, host_ip, 4);
    memset(guest->host_mac, 0xff, 6);
    send_frame(guest, frame, 0x0806, sizeof(frame));
}

static void send_segment(struct guest *guest, uint8_t flags, const char *data)
{
    uint8_t frame[MAX_FRAME] = {0};
    uint8_t *ip = frame + ETHERNET;
    uint8_t *tcp = frame + IP;
    const uint32_t len = (uint32_t)MIN(strlen(data), MAX_FRAME - TCP);

    put(ip, 4, 0x45000000 | (20 + 20 + len));
    put(ip + 8, 2, 64 << 8 | 6); /* time to live, TCP */
    memcpy(ip + 12, our_ip, 4);
    memcpy(ip + 16, host_ip, 4);
    put(ip + 10, 2, checksum(0, ip, 20));
    put(tcp, 2, OUR_PORT);
    put(tcp + 2, 2, guest->port);
    put(tcp + 4, 4, guest->next_out);
    put(tcp + 8, 4, flags & ACK ? guest->next_in : 0);
    put(tcp + 12, 2, 0x5000u | flags);
    put(tcp + 14, 2, WINDOW);
    memcpy(tcp + 20, data, len);
    put(tcp + 16, 2, checksum(6 + 20 + len, ip + 12, 8 + 20 + len)); /* with the pseudo-header */
    send_frame(guest, frame, 0x0800, TCP + len);
    guest->next_out += len + !!(flags & (SYN | FIN));
}

/* ---- In ---- */

static void take_arp(struct guest *guest, const uint8_t *arp)
{
    if (guest->state == ASKING && get(arp + 6, 2) == 2 && memcmp(arp + 14, host_ip, 4) == 0) {
        memcpy(guest->host_mac, arp + 8, 6);
        guest->state = CONNECTING;
        send_segment(guest, SYN, "");
    }
}

static void take_data(struct guest *guest, uint8_t flags, const uint8_t *data, uint32_t len)
{
    g_string_append_len(guest->page, (const char *)data, (gssize)len);
    guest->next_in += len + !!(flags & FIN);
    if (flags & FIN) {
        guest->state = DONE;
        send_segment(guest, FIN | ACK, "");
    } else if (len > 0) {
        send_segment(guest, ACK, "");
    }
}

static void take_segment(struct guest *guest, const uint8_t *tcp, uint32_t len)
{
    const uint32_t header = tcp[12] / 16 * 4u;
    const uint8_t flags = tcp[13];

    if (len < header || header < 20 || get(tcp, 2) != guest->port || get(tcp + 2, 2) != OUR_PORT) {
        return;
    }
    if (flags & RST) {
        guest->state = FAILED;
    } else if (guest->state == CONNECTING && (flags & SYN)) {
        guest->next_in = get(tcp + 4, 4) + 1;
        guest->state = READING;
        send_segment(guest, PSH | ACK, guest->request);
    } else if (guest->state == READING && get(tcp + 4, 4) == guest->next_in) {
        take_data(guest, flags, tcp + header, len - header);
    }
}

static void take_frame(struct guest *guest, const uint8_t *frame, uint32_t len)
{
    const uint32_t type = len >= IP ? get(frame + 12, 2) : 0;
    const uint32_t ip_len = len >= IP ? get(frame + ETHERNET + 2, 2) : 0;

    if (type == 0x0806 && len >= ETHERNET + 28) {
        take_arp(guest, frame + ETHERNET);
    } else if (type == 0x0800 && frame[ETHERNET] == 0x45 && frame[ETHERNET + 9] == 6 &&
               ip_len >= 40 && ETHERNET + ip_len <= len) {
        take_segment(guest, frame + IP, ip_len - 20);
    }
}

/* ---- Life ---- */

struct guest *guest_boot(const struct guest_access *access, struct guest_memory *memory)
{
    struct guest *guest = g_new0(struct guest, 1);

    guest->page = g_string_new(NULL);
    guest->driver = guest_driver_new(access, memory, NULL);
    guest->net = net_new(guest->driver, NULL);
    if (!guest_driver_start(guest->driver, features_known()) || !net_start(guest->net)) {
        char *text = complaints_text(guest_driver_complaints(guest->driver));

        fprintf(stderr, "%s", text);
        g_free(text);
        g_clear_pointer(&guest, guest_shut_down);
    }
    return guest;
}

void guest_shut_down(struct guest *guest)
{
    net_free(guest->net);
    guest_driver_free(guest->driver);
    g_string_free(guest->page, TRUE);
    g_free(guest->request);
    g_free(guest);
}

void guest_interrupt(struct guest *guest, unsigned vector)
{
    guest_driver_msi(guest->driver, vector);
}

void guest_fetch(struct guest *guest, uint16_t port, const char *path)
{
    guest->port = port;
    guest->request = g_strdup_printf("GET %s HTTP/1.0\r\nHost: 10.0.2.2\r\n\r\n", path);
    guest->state = ASKING;
    ask_for_mac(guest);
}

bool guest_run(struct guest *guest)
{
    struct guest_packet packet;

    while (net_receive(guest->net, &packet)) {
        take_frame(guest, packet.data, packet.len);
    }
    net_recycle(guest->net);
    net_reclaim(guest->net, 0);
    return guest->state != DONE && guest->state != FAILED;
}

const char *guest_page(const struct guest *guest, size_t *len)
{
    *len = guest->page->len;
    return guest->page->str;
}

bool guest_succeeded(const struct guest *guest)
{
    return guest->state == DONE;
}
