/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The backend "user" (device/backend_slirp.c) alone, in front of a guest made by hand: each packet
 * is put together and taken apart here, octet by octet, with a checksum of our own. The other ends
 * are real sockets of this process on the loopback interface.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <glib.h>
#include <glib/gstdio.h>
#include <slirp/libslirp.h>

#include <vionet/spec.h>

#include "backend.h"

#define GUEST   0x0a00020f /* 10.0.2.15 */
#define HOST    0x0a000202
#define PATIENT 10 /* seconds that anything may take */

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define PSH 0x08
#define ACK 0x10

#define MAX_FRAME 65600

static const uint8_t guest_mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

/* ---- The wire: a backend, its loop, and the last frame from it ---- */

struct wire {
    VionetBackend *backend;
    GMainContext *context;
    unsigned n_ready;
    uint8_t flags;     /* of the last frame */
    uint16_t gso_size; /* 0: it is not to be segmented */
    size_t len;
    uint8_t frame[MAX_FRAME];
};

static void count_ready(void *opaque)
{
    ((struct wire *)opaque)->n_ready++;
}

static struct wire *wire_new(const char *text)
{
    struct wire *wire = g_new0(struct wire, 1);
    GError *error = NULL;

    wire->backend = backend_open(text, &error);
    g_assert_no_error(error);
    wire->context = g_main_context_new();
    backend_attach(wire->backend, wire->context, count_ready, wire);
    return wire;
}

static void wire_free(struct wire *wire)
{
    backend_close(wire->backend);
    g_assert_false(g_main_context_pending(wire->context));
    g_main_context_unref(wire->context);
    g_free(wire);
}

static bool wire_send(struct wire *wire, const void *octets, size_t len)
{
    const struct iovec iov = {(void *)octets, len};
    const VionetFrame frame = {.iov = &iov, .n_iov = 1, .len = (uint32_t)len};

    return backend_send(wire->backend, &frame, 1);
}

/* Looks at a frame: its octets, with the checksum finished if it was not. */
static void wire_look(struct wire *wire, const VionetFrame *frame)
{
    wire->len = vionet_frame_linearize(frame, wire->frame, MAX_FRAME);
    g_assert_cmpuint(wire->len, ==, frame->len);
    wire->flags = frame->flags;
    wire->gso_size = frame->gso_type ? frame->gso_size : 0;
}

/* Takes a frame that is there now. */
static bool wire_take(struct wire *wire)
{
    VionetFrame frame;

    if (backend_receive(wire->backend, &frame, 1) == 0) {
        return false;
    }
    g_assert_cmpuint(frame.n_iov, ==, 1);
    wire_look(wire, &frame);
    backend_complete(wire->backend, &frame, 1);
    return true;
}

static gboolean give_up(gpointer what)
{
    g_error("nothing happens: %s", (const char *)what);
    return G_SOURCE_REMOVE;
}

static gboolean tick(gpointer nothing)
{
    return G_SOURCE_CONTINUE;
}

static GSource *add_timeout(struct wire *wire, unsigned ms, GSourceFunc function, gpointer data)
{
    GSource *source = g_timeout_source_new(ms);

    g_source_set_callback(source, function, data, NULL);
    g_source_attach(source, wire->context);
    return source;
}

static void remove_timeout(GSource *source)
{
    g_source_destroy(source);
    g_source_unref(source);
}

/* Takes the next frame, waiting for it; nothing but the backend wakes the loop. */
static void wire_wait(struct wire *wire, const char *what)
{
    GSource *guard = add_timeout(wire, PATIENT * 1000, give_up, (gpointer)what);

    while (!wire_take(wire)) {
        g_main_context_iteration(wire->context, TRUE);
    }
    remove_timeout(guard);
}

/* Lets the loop run for so long; the guest asks at first, and then takes nothing. */
static void wire_idle(struct wire *wire, unsigned ms)
{
    const gint64 end = g_get_monotonic_time() + ms * 1000;
    GSource *ticks = add_timeout(wire, 5, tick, NULL);

    while (g_get_monotonic_time() < end) {
        g_main_context_iteration(wire->context, TRUE);
    }
    remove_timeout(ticks);
}

/* ---- Packets ---- */

static uint8_t *put16(uint8_t *p, unsigned value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
    return p + 2;
}

static uint8_t *put32(uint8_t *p, uint32_t value)
{
    return put16(put16(p, value >> 16), value & 0xffff);
}

static unsigned get16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}

/* The ones' complement sum of RFC 1071, begun with sum, not yet inverted. */
static uint16_t sum16(const uint8_t *p, size_t len, uint32_t sum)
{
    for (size_t i = 0; i < len; i++) {
        sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/* Of the pseudo header and what is behind the IPv4 header at ip. */
static uint16_t transport_sum(const uint8_t *ip, size_t len)
{
    return sum16(ip + 20, len, sum16(ip + 12, 8, ip[9] + (uint32_t)len));
}

static const uint8_t gateway_mac[6] = {0x52, 0x55, 0x0a, 0x00, 0x02, 0x02};

/* Ethernet and IPv4 in front of len octets. */
static uint8_t *put_ip(uint8_t *frame, uint32_t from, uint32_t to, uint8_t protocol, size_t len)
{
    static const uint8_t begin[] = {0x45, 0x00};
    uint8_t *ip = frame + 14;

    memcpy(frame, gateway_mac, 6);
    memcpy(frame + 6, guest_mac, 6);
    put16(frame + 12, 0x0800);
    memset(ip, 0, 20);
    memcpy(ip, begin, sizeof(begin));
    put16(ip + 2, (unsigned)(20 + len));
    ip[8] = 64;
    ip[9] = protocol;
    put32(put32(ip + 12, from), to);
    put16(ip + 10, (uint16_t)~sum16(ip, 20, 0));
    return ip + 20;
}

static void send_udp(struct wire *wire, uint32_t from, uint32_t to, unsigned from_port,
                     unsigned to_port, const void *payload, size_t len)
{
    uint8_t *frame = g_malloc(42 + len);
    uint8_t *udp = put_ip(frame, from, to, 17, 8 + len);

    put16(put16(put16(put16(udp, from_port), to_port), (unsigned)(8 + len)), 0);
    memcpy(udp + 8, payload, len);
    put16(udp + 6, (uint16_t)~transport_sum(frame + 14, 8 + len));
    wire_send(wire, frame, 42 + len);
    g_free(frame);
}

/* The last frame's IPv4 packet, whose checksums must be right. */
static const uint8_t *ip_of(const struct wire *wire, uint8_t protocol)
{
    const uint8_t *ip = wire->frame + 14;

    g_assert_cmpuint(wire->len, >=, 34);
    g_assert_cmpmem(wire->frame, 6, guest_mac, 6);
    g_assert_cmphex(get16(wire->frame + 12), ==, 0x0800);
    g_assert_cmphex(ip[0], ==, 0x45);
    g_assert_cmpuint(ip[9], ==, protocol);
    g_assert_cmphex(sum16(ip, 20, 0), ==, 0xffff);
    g_assert_cmphex(transport_sum(ip, get16(ip + 2) - 20), ==, 0xffff);
    return ip;
}

static void put_arp(uint8_t *frame, unsigned operation, uint32_t target)
{
    static const uint8_t begin[] = {0x08, 0x06, 0x00, 0x01, 0x08, 0x00, 0x06, 0x04};

    memset(frame, 0xff, 6);
    memcpy(frame + 6, guest_mac, 6);
    memcpy(frame + 12, begin, sizeof(begin));
    put16(frame + 20, operation);
    memcpy(frame + 22, guest_mac, 6);
    put32(frame + 28, GUEST);
    memset(frame + 32, 0, 6);
    put32(frame + 38, target);
}

/* Asks for the gateway, by which slirp learns who the guest is. */
static void ask_gateway(struct wire *wire)
{
    uint8_t frame[42];

    put_arp(frame, 1, HOST);
    g_assert_true(wire_send(wire, frame, sizeof(frame)));
    g_assert_true(wire_take(wire));
    g_assert_cmphex(get16(wire->frame + 12), ==, 0x0806);
}

/* ---- Sockets of the host ---- */

static int loopback_socket(int type, unsigned *port, bool listens)
{
    const int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&address, &len), ==, 0);
    if (listens) {
        g_assert_cmpint(listen(fd, 8), ==, 0);
    }
    *port = ntohs(address.sin_port);
    return fd;
}

static unsigned free_port(int type)
{
    unsigned port;

    close(loopback_socket(type, &port, false));
    return port;
}

static int connect_to(unsigned port)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                        .sin_port = htons((uint16_t)port)};

    g_assert_cmpint(connect(fd, (const struct sockaddr *)&address, sizeof(address)), ==, 0);
    g_assert_cmpint(fcntl(fd, F_SETFL, O_NONBLOCK), ==, 0);
    return fd;
}

/* Accepts, or reads exactly len octets, while the guest asks and takes nothing that matters. */
static int host_accept(struct wire *wire, int listener)
{
    GSource *guard = add_timeout(wire, PATIENT * 1000, give_up, (gpointer) "accept");
    GSource *ticks = add_timeout(wire, 1, tick, NULL);
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) < 0) {
        g_assert_cmpint(errno, ==, EAGAIN);
        g_main_context_iteration(wire->context, TRUE);
    }
    remove_timeout(ticks);
    remove_timeout(guard);
    return fd;
}

static void host_read(struct wire *wire, int fd, void *octets, size_t len)
{
    GSource *guard = add_timeout(wire, PATIENT * 1000, give_up, (gpointer) "read");
    GSource *ticks = add_timeout(wire, 1, tick, NULL);
    size_t n = 0;

    while (n < len) {
        const ssize_t now = read(fd, (uint8_t *)octets + n, len - n);

        g_assert_true(now > 0 || errno == EAGAIN);
        n += now > 0 ? (size_t)now : 0;
        g_main_context_iteration(wire->context, now < 0);
    }
    remove_timeout(ticks);
    remove_timeout(guard);
}

static unsigned count_fds(void)
{
    GDir *dir = g_dir_open("/proc/self/fd", 0, NULL);
    unsigned n = 0;

    while (g_dir_read_name(dir)) {
        n++;
    }
    g_dir_close(dir);
    return n;
}

static uint8_t *pattern(size_t len, unsigned seed)
{
    uint8_t *octets = g_malloc(len);

    for (size_t i = 0; i < len; i++) {
        octets[i] = (uint8_t)(i * 7 + (i >> 8) * 3 + (i >> 16) + seed);
    }
    return octets;
}

/* ---- The guest's end of a TCP connection ---- */

struct tcp {
    struct wire *wire;
    unsigned port; /* the guest's */
    unsigned peer_port;
    uint32_t sent;     /* sequence number of what comes next from us */
    uint32_t received; /* and from slirp */
};

static void tcp_send(struct tcp *tcp, uint8_t flags, const void *payload, size_t len)
{
    const unsigned options = flags & SYN ? 4 : 0; /* most octets in a segment: 1460 */
    uint8_t *frame = g_malloc(58 + len);
    uint8_t *p = put_ip(frame, GUEST, HOST, 6, 20 + options + len);

    put32(put32(put16(put16(p, tcp->port), tcp->peer_port), tcp->sent), tcp->received);
    p[12] = (uint8_t)((20 + options) / 4 << 4);
    p[13] = flags;
    put16(put16(put16(p + 14, 65535), 0), 0);
    put32(p + 20, 0x020405b4);
    if (len > 0) {
        memcpy(p + 20 + options, payload, len);
    }
    put16(p + 16, (uint16_t)~transport_sum(frame + 14, 20 + options + len));
    wire_send(tcp->wire, frame, 54 + options + len);
    tcp->sent += (uint32_t)len + !!(flags & (SYN | FIN));
    g_free(frame);
}

/* Looks at the last frame, a segment of the connection: its payload, of *len octets. */
static const uint8_t *tcp_segment(struct tcp *tcp, uint8_t *flags, size_t *len)
{
    const uint8_t *ip = ip_of(tcp->wire, 6);
    const uint8_t *segment = ip + 20;
    const unsigned header = segment[12] >> 4 << 2;

    g_assert_cmphex(get32(ip + 12), ==, HOST);
    g_assert_cmphex(get32(ip + 16), ==, GUEST);
    g_assert_cmpuint(get16(segment), ==, tcp->peer_port);
    g_assert_cmpuint(get16(segment + 2), ==, tcp->port);
    *flags = segment[13];
    *len = get16(ip + 2) - 20 - header;
    return segment + header;
}

/* Connects to a port of the host. */
static struct tcp tcp_connect(struct wire *wire, unsigned port)
{
    struct tcp tcp = {.wire = wire, .port = 40000, .peer_port = port, .sent = 0xfffffff0};
    uint8_t flags;
    size_t len;

    tcp_send(&tcp, SYN, NULL, 0);
    wire_wait(wire, "SYN, ACK");
    tcp_segment(&tcp, &flags, &len);
    g_assert_cmphex(flags, ==, SYN | ACK);
    g_assert_cmpuint(len, ==, 0);
    g_assert_cmphex(get32(wire->frame + 42), ==, tcp.sent);
    tcp.received = get32(wire->frame + 38) + 1;
    tcp_send(&tcp, ACK, NULL, 0);
    return tcp;
}

/* Answers a connection that comes in for a port of the guest. */
static struct tcp tcp_accept(struct wire *wire, unsigned port)
{
    struct tcp tcp = {.wire = wire, .port = port, .sent = 1000};
    uint8_t flags;
    size_t len;

    do {
        wire_wait(wire, "SYN");
    } while (get16(wire->frame + 36) != port); /* what is left of another connection */
    tcp.peer_port = get16(wire->frame + 34);
    tcp_segment(&tcp, &flags, &len);
    g_assert_cmphex(flags, ==, SYN);
    tcp.received = get32(wire->frame + 38) + 1;
    tcp_send(&tcp, SYN | ACK, NULL, 0);
    return tcp;
}

/* Takes in a segment, of at most len octets, and acknowledges it; how many were new. */
static size_t tcp_read_some(struct tcp *tcp, uint8_t *octets, size_t len)
{
    const uint8_t *payload;
    size_t here;
    uint8_t flags;

    wire_wait(tcp->wire, "data");
    payload = tcp_segment(tcp, &flags, &here);
    g_assert_cmphex(flags & (SYN | FIN | RST), ==, 0);
    if (here == 0) {
        return 0;
    }
    if (get32(tcp->wire->frame + 38) != tcp->received) {
        g_assert_cmpint((int32_t)(get32(tcp->wire->frame + 38) - tcp->received), <, 0);
        return 0; /* again: the machine was slow */
    }
    g_assert_cmpuint(here, <=, MIN(1460, len));
    memcpy(octets, payload, here);
    tcp->received += (uint32_t)here;
    tcp_send(tcp, ACK, NULL, 0);
    return here;
}

static void tcp_read(struct tcp *tcp, uint8_t *octets, size_t len)
{
    size_t n = 0;

    while (n < len) {
        n += tcp_read_some(tcp, octets + n, len - n);
    }
}

/* ---- Options ---- */

static void test_refused_options(void)
{
    static const struct {
        const char *options;
        const char *sentence; /* behind "backend user: " */
    } cases[] = {
        {"net=10.0.2", "net=10.0.2: expected an IPv4 network with 4 to 29 bits, such as "
                       "10.0.2.0/24"},
        {"net=10.0.2.0/30", "net=10.0.2.0/30: expected an IPv4 network with 4 to 29 bits, such as "
                            "10.0.2.0/24"},
        {"net=10.0.2.0/255.0.255.0", "net=10.0.2.0/255.0.255.0: expected an IPv4 network with 4 "
                                     "to 29 bits, such as 10.0.2.0/24"},
        {"net=10.0.2.0/0.0.0.0", "net=10.0.2.0/0.0.0.0: expected an IPv4 network with 4 to 29 "
                                 "bits, such as 10.0.2.0/24"},
        {"net=10.0.2.0/29", "option dhcpstart has no default in so small a net"},
        {"host=x", "host=x: expected an IPv4 address"},
        {"host=10.0.3.2", "host=10.0.3.2: expected an address of a host in net"},
        {"host=10.0.2.255", "host=10.0.2.255: expected an address of a host in net"},
        {"dns=10.0.2.0", "dns=10.0.2.0: expected an address of a host in net"},
        {"dns=10.0.2.2", "option dns is the address of host: expected another"},
        {"dhcpstart=10.0.2.3", "option dhcpstart is the address of host or dns: expected another"},
        {"restrict=yes", "restrict=yes: expected on or off"},
        {"ipv4=1", "ipv4=1: expected on or off"},
        {"ipv6=1", "ipv6=1: expected on or off"},
        {"ipv4=off,ipv6=off", "ipv6=off: expected ipv4=on or ipv6=on"},
        {"ipv4=off,net=10.0.2.0/24", "net=10.0.2.0/24: expected ipv4=on with it"},
        {"ipv4=off,dns=10.0.2.3", "dns=10.0.2.3: expected ipv4=on with it"},
        {"ipv6=off,ipv6-host=fec0::2", "ipv6-host=fec0::2: expected ipv6=on with it"},
        {"ipv6-prefix=10.0.2.0", "ipv6-prefix=10.0.2.0: expected an IPv6 prefix, such as fec0::"},
        {"ipv6-prefixlen=127", "ipv6-prefixlen=127: expected a number from 1 to 126"},
        {"ipv6-host=fec1::2", "ipv6-host=fec1::2: expected an address in ipv6-prefix"},
        {"ipv6-dns=x", "ipv6-dns=x: expected an IPv6 address"},
        {"ipv6-dns=fec0::2", "option ipv6-dns is the address of ipv6-host: expected another"},
        {"hostname=123456789012345678901234567890123",
         "hostname=123456789012345678901234567890123: expected at most 32 octets"},
        {"dnssearch=example..org", "dnssearch=example..org: expected a domain name, such as "
                                   "example.org"},
        {"dnssearch=.org", "dnssearch=.org: expected a domain name, such as example.org"},
        {"tftp=/nowhere", "tftp=/nowhere: expected a directory"},
        {"mtu=1499", "mtu=1499: expected a number from 1500 to 65521"},
        {"mtu=65522", "mtu=65522: expected a number from 1500 to 65521"},
        {"ipv4=off,hostfwd=tcp::1-:2", "hostfwd=tcp::1-:2: expected ipv4=on with it"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        char *text = g_strdup_printf("user,%s", cases[i].options);
        char *sentence = g_strdup_printf("backend user: %s", cases[i].sentence);
        GError *error = NULL;

        g_assert_null(backend_open(text, &error));
        g_assert_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG);
        g_assert_cmpstr(error->message, ==, sentence);
        g_clear_error(&error);
        g_free(sentence);
        g_free(text);
    }
}

static void test_refused_forwards(void)
{
    static const char *const values[] = {
        "tcp",        "tcp::80",        "sctp::80-:80",    "tcp:80-:80",
        "tcp::0-:80", "tcp::80-:65536", "tcp:host:80-:80", "udp::80-guest:80",
        "unix:-:80",  "tcp::80-80",     "tcp::80:-:80"};

    for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
        char *text = g_strdup_printf("user,hostfwd=%s", values[i]);
        char *sentence =
            g_strdup_printf("backend user: hostfwd=%s: expected tcp:[hostaddr]:hostport-[guestaddr]"
                            ":guestport, the same with udp, or unix:path-[guestaddr]:guestport",
                            values[i]);
        GError *error = NULL;

        g_assert_null(backend_open(text, &error));
        g_assert_cmpstr(error->message, ==, sentence);
        g_clear_error(&error);
        g_free(sentence);
        g_free(text);
    }
}

static void test_taken_port(void)
{
    unsigned port;
    const int fd = loopback_socket(SOCK_STREAM, &port, true);
    char *text = g_strdup_printf("user,hostfwd=tcp:127.0.0.1:%u-:22", port);
    char *sentence =
        g_strdup_printf("backend user: hostfwd=tcp:127.0.0.1:%u-:22: Address already in use", port);
    GError *error = NULL;

    g_assert_null(backend_open(text, &error));
    g_assert_cmpstr(error->message, ==, sentence);
    g_error_free(error);
    g_free(sentence);
    g_free(text);
    close(fd);
}

static void test_accepted_options(void)
{
    static const char *const texts[] = {
        "user",
        "slirp",
        "user,net=192.168.7.9/255.255.255.0",
        "user,net=10.0.2.0/29,dhcpstart=10.0.2.4",
        "user,ipv6=off,restrict=off",
        "user,ipv4=off,ipv6-prefix=2001:db8::,ipv6-prefixlen=48,ipv6-host=2001:db8:0:1::2",
        "user,hostname=guest,domainname=example.org,dnssearch=a.example,dnssearch=b.example",
        "user,tftp=/,bootfile=x,mtu=65521", /* libslirp 4.7 leaks a tftp-server-name */
    };

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        const unsigned before = count_fds();
        struct wire *wire = wire_new(texts[i]);

        g_assert_cmpstr(backend_name(wire->backend), ==, "user");
        g_assert_cmphex(backend_takes(wire->backend), ==, BACKEND_LONG_TCP);
        wire_free(wire);
        backend_close(backend_open(texts[i], NULL)); /* never attached */
        g_assert_cmpuint(count_fds(), ==, before);
    }
}

/* ---- What slirp answers by itself ---- */

/* The value of a DHCP option in the last frame, NULL if it is not there. */
static const uint8_t *dhcp_option(const struct wire *wire, uint8_t code)
{
    const uint8_t *p = wire->frame + 42 + 240;

    while (*p != 0xff) {
        g_assert_cmpuint((size_t)(p - wire->frame), <, wire->len);
        if (*p == code) {
            return p + 1;
        }
        p += *p == 0 ? 1 : 2 + p[1];
    }
    return NULL;
}

static void test_dhcp(void)
{
    static const uint8_t options[] = {0x63, 0x82, 0x53, 0x63, 53, 1, 1, 0xff};
    struct wire *wire = wire_new("user,net=10.9.8.0/24,dhcpstart=10.9.8.77,host=10.9.8.1,"
                                 "dns=10.9.8.2,domainname=example.org,hostname=someone");
    uint8_t discover[300] = {1, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef};

    memcpy(discover + 28, guest_mac, 6);
    memcpy(discover + 236, options, sizeof(options));
    send_udp(wire, 0, 0xffffffff, 68, 67, discover, sizeof(discover));
    g_assert_true(wire_take(wire));
    /* The guest has no address yet, and slirp's packet is for everyone. */
    g_assert_cmphex(sum16(wire->frame + 14, 20, 0), ==, 0xffff);
    g_assert_cmpuint(get16(wire->frame + 36), ==, 68);
    g_assert_cmphex(get32(wire->frame + 42 + 4), ==, 0xdeadbeef);
    g_assert_cmphex(get32(wire->frame + 42 + 16), ==, 0x0a09084d);
    g_assert_cmpmem(dhcp_option(wire, 53), 2, "\1\2", 2); /* offer */
    g_assert_cmpmem(dhcp_option(wire, 1), 5, "\4\377\377\377\0", 5);
    g_assert_cmpmem(dhcp_option(wire, 3), 5, "\4\12\11\10\1", 5);
    g_assert_cmpmem(dhcp_option(wire, 6), 5, "\4\12\11\10\2", 5);
    g_assert_cmpmem(dhcp_option(wire, 12), 8, "\7someone", 8);
    g_assert_cmpmem(dhcp_option(wire, 15), 12, "\13example.org", 12);
    wire_free(wire);
}

static void test_arp(void)
{
    static const uint8_t answer[] = {0x08, 0x06, 0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x02,
                                     0x52, 0x55, 0x0a, 0x00, 0x02, 0x02, 0x0a, 0x00, 0x02, 0x02,
                                     0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 0x0a, 0x00, 0x02, 0x0f};
    struct wire *wire = wire_new("user");
    uint8_t frame[42];

    ask_gateway(wire);
    g_assert_cmpmem(wire->frame + 12, 30, answer, 30);
    put_arp(frame, 1, 0x0a000209); /* nobody */
    g_assert_false(wire_send(wire, frame, sizeof(frame)));
    g_assert_false(wire_take(wire));
    wire_free(wire);
}

static void test_router_advertisement(void)
{
    /* Router solicitation from fe80::1, its checksum worked out below. */
    uint8_t frame[62] = {0x33, 0x33, 0,    0,    0, 2, 0x52, 0x54, 0, 0x12, 0x34,
                         0x56, 0x86, 0xdd, 0x60, 0, 0, 0,    0,    8, 58,   255};
    struct wire *wire = wire_new("user,ipv6-prefix=2001:db8:1::");
    static const uint8_t prefix[] = {0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 0};
    bool found = false;

    put16(frame + 22, 0xfe80);
    frame[37] = 1;
    put16(frame + 38, 0xff02);
    frame[53] = 2;
    frame[54] = 133;
    put16(frame + 56, (uint16_t)~sum16(frame + 54, 8, sum16(frame + 22, 32, 8 + 58)));
    g_assert_true(wire_send(wire, frame, sizeof(frame)));
    g_assert_true(wire_take(wire));
    g_assert_cmphex(get16(wire->frame + 12), ==, 0x86dd);
    g_assert_cmpuint(wire->frame[54], ==, 134);
    g_assert_cmphex(sum16(wire->frame + 54, wire->len - 54,
                          sum16(wire->frame + 22, 32, (uint32_t)wire->len - 54 + 58)),
                    ==, 0xffff);
    for (size_t i = 54; i + 8 <= wire->len && !found; i++) {
        found = memcmp(wire->frame + i, prefix, 8) == 0;
    }
    g_assert_true(found);
    wire_free(wire);
}

/* What slirp does not know, or what is cut short, does no harm. */
static void test_strange_frames(void)
{
    struct wire *wire = wire_new("user");
    uint8_t frame[54 + 24] = {0};

    frame[12] = 0x88;
    frame[13] = 0xf8; /* NC-SI */
    g_assert_false(wire_send(wire, frame, sizeof(frame)));
    frame[12] = 0x81;
    frame[13] = 0x00;
    g_assert_false(wire_send(wire, frame, sizeof(frame)));
    g_assert_cmpuint(backend_counters(wire->backend).dropped, ==, 2);
    put_ip(frame, GUEST, HOST, 6, 44);
    for (size_t len = 0; len < sizeof(frame); len++) {
        uint8_t *cut = g_memdup2(frame, len + 1); /* so that reading past it is seen */

        wire_send(wire, cut, len);
        g_free(cut);
    }
    while (wire_take(wire)) {
    }
    ask_gateway(wire);
    wire_free(wire);
}

/* ---- Connections ---- */

/* A packet that no Ethernet carries goes in as it is: BACKEND_LONG_TCP. */
static void send_long(struct tcp *tcp, int peer, size_t len)
{
    uint8_t *sent = pattern(len, (unsigned)len);
    uint8_t *found = g_malloc(len);

    tcp_send(tcp, PSH | ACK, sent, len);
    host_read(tcp->wire, peer, found, len);
    g_assert_cmpmem(found, len, sent, len);
    g_free(found);
    g_free(sent);
}

/* Waits until all that was sent is acknowledged. */
static void wait_for_ack(struct tcp *tcp)
{
    uint8_t flags;
    size_t len;

    do {
        wire_wait(tcp->wire, "ACK");
        tcp_segment(tcp, &flags, &len);
        g_assert_cmpuint(len, ==, 0);
        g_assert_cmphex(flags & (SYN | FIN | RST), ==, 0);
    } while (get32(tcp->wire->frame + 42) != tcp->sent);
}

static void exchange_words(struct wire *wire, struct tcp *tcp, int peer)
{
    uint8_t found[5];

    g_assert_cmpint(write(peer, "hello", 5), ==, 5);
    tcp_read(tcp, found, 5);
    g_assert_cmpmem(found, 5, "hello", 5);
    tcp_send(tcp, PSH | ACK, "world", 5);
    host_read(wire, peer, found, 5);
    g_assert_cmpmem(found, 5, "world", 5);
}

/* Takes in a burst, begun with what the guest takes then; done with in reverse. How many new. */
static size_t read_burst(struct tcp *tcp, uint8_t *octets, size_t len, uint64_t next_offloads,
                         unsigned *n_merged)
{
    struct wire *wire = tcp->wire;
    VionetFrame frames[16];
    const size_t n = backend_receive(wire->backend, frames, G_N_ELEMENTS(frames));
    size_t taken = 0;

    backend_set_offloads(wire->backend, next_offloads);
    for (size_t i = 0; i < n; i++) {
        const uint8_t *payload;
        uint8_t flags;
        size_t here;

        wire_look(wire, &frames[i]);
        payload = tcp_segment(tcp, &flags, &here);
        g_assert_true(wire->gso_size ? here > wire->gso_size : here <= 1460);
        *n_merged += wire->gso_size != 0;
        if (here > 0 && get32(wire->frame + 38) == tcp->received) {
            g_assert_cmpuint(here, <=, len - taken);
            memcpy(octets + taken, payload, here);
            taken += here;
            tcp->received += (uint32_t)here;
        }
    }
    for (size_t i = n; i > 0; i--) {
        backend_complete(wire->backend, &frames[i - 1], 1);
    }
    if (taken > 0) {
        tcp_send(tcp, ACK, NULL, 0);
    }
    return taken;
}

/* Reads a lot while the guest switches its offloads again and again; bursts that were merged. */
static void read_switching(struct tcp *tcp, int peer, const uint64_t *offloads, unsigned n_merged[])
{
    const size_t size = 1000000;
    uint8_t *sent = pattern(size, 5);
    uint8_t *found = g_malloc(size);
    GSource *guard = add_timeout(tcp->wire, PATIENT * 1000, give_up, (gpointer) "merging");
    GSource *ticks = add_timeout(tcp->wire, 1, tick, NULL);
    size_t put = 0;
    size_t n = 0;

    for (unsigned i = 0; n < size;) {
        const ssize_t now = put < size ? write(peer, sent + put, size - put) : 0;
        const unsigned next = (unsigned)(n / 50000) % 5;

        put += now > 0 ? (size_t)now : 0;
        n += read_burst(tcp, found + n, size - n, offloads[next], &n_merged[i]);
        i = next;
        g_main_context_iteration(tcp->wire->context, FALSE);
    }
    g_assert_cmpmem(found, n, sent, size);
    remove_timeout(ticks);
    remove_timeout(guard);
    g_free(found);
    g_free(sent);
}

/* Packets to be segmented come if the guest takes them now, and only then; the data is the same. */
static void test_merging(void)
{
    const uint64_t csum = 1u << VIRTIO_NET_F_GUEST_CSUM;
    const uint64_t tso4 = 1u << VIRTIO_NET_F_GUEST_TSO4;
    const uint64_t tso6 = 1u << VIRTIO_NET_F_GUEST_TSO6;
    const uint64_t offloads[5] = {0, csum | tso4, csum, csum | tso4 | tso6, csum | tso6};
    struct wire *wire = wire_new("user");
    unsigned n_merged[5] = {0};
    unsigned port;
    const int listener = loopback_socket(SOCK_STREAM, &port, true);
    struct tcp tcp;
    int peer;

    ask_gateway(wire);
    tcp = tcp_connect(wire, port);
    peer = host_accept(wire, listener);
    read_switching(&tcp, peer, offloads, n_merged);
    for (unsigned i = 0; i < 5; i++) {
        g_assert_true((n_merged[i] > 0) == (i == 1 || i == 3));
    }
    g_assert_cmpuint(backend_counters(wire->backend).dropped, ==, 0);
    exchange_words(wire, &tcp, peer);
    close(peer);
    close(listener);
    wire_free(wire);
}

/* Nobody has to ask for these. */
static void test_suits(void)
{
    VionetBackend *backend = backend_open("user", NULL);
    const uint64_t suits = backend_suits(backend);

    g_assert_true(suits >> VIRTIO_NET_F_GUEST_CSUM & 1);
    g_assert_true(suits >> VIRTIO_NET_F_CTRL_GUEST_OFFLOADS & 1);
    g_assert_true(suits >> VIRTIO_NET_F_GUEST_TSO4 & 1);
    g_assert_true(suits >> VIRTIO_NET_F_GUEST_TSO6 & 1);
    backend_close(backend);
}

static void test_tcp_to_host(void)
{
    const unsigned before = count_fds();
    struct wire *wire = wire_new("user");
    unsigned port;
    const int listener = loopback_socket(SOCK_STREAM, &port, true);
    uint8_t *sent = pattern(100000, 1);
    uint8_t *found = g_malloc(100000);
    struct tcp tcp;
    int peer;

    ask_gateway(wire);
    tcp = tcp_connect(wire, port);
    peer = host_accept(wire, listener);
    send_long(&tcp, peer, 5);
    wait_for_ack(&tcp);
    send_long(&tcp, peer, 20000);
    wait_for_ack(&tcp);
    send_long(&tcp, peer, 65535 - 40);
    wait_for_ack(&tcp);
    g_assert_cmpint(write(peer, sent, 100000), ==, 100000);
    tcp_read(&tcp, found, 100000);
    g_assert_cmpmem(found, 100000, sent, 100000);
    g_assert_cmpuint(backend_counters(wire->backend).dropped, ==, 0);
    close(peer);
    close(listener);
    wire_free(wire); /* with the connection there */
    g_assert_cmpuint(count_fds(), ==, before);
    g_free(found);
    g_free(sent);
}

static void test_tcp_from_host(void)
{
    const unsigned before = count_fds();
    const unsigned ports[2] = {free_port(SOCK_STREAM), free_port(SOCK_STREAM)};
    char *text = g_strdup_printf("user,restrict=on,hostfwd=tcp:127.0.0.1:%u-:22,"
                                 "hostfwd=tcp::%u-10.0.2.15:80",
                                 ports[0], ports[1]);
    struct wire *wire = wire_new(text);

    g_free(text);
    ask_gateway(wire);
    for (unsigned i = 0; i < 2; i++) {
        const int peer = connect_to(ports[i]);
        struct tcp tcp = tcp_accept(wire, i == 0 ? 22 : 80);

        exchange_words(wire, &tcp, peer);
        close(peer);
    }
    wire_free(wire);
    g_assert_cmpuint(count_fds(), ==, before);
}

static void test_unix_from_host(void)
{
    const unsigned before = count_fds();
    char *dir = g_dir_make_tmp("vionet-slirp-XXXXXX", NULL);
    char *text = g_strdup_printf("user,hostfwd=unix:%s/a-socket-:22", dir);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const int peer = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct wire *wire = wire_new(text);
    struct tcp tcp;

    ask_gateway(wire);
    g_snprintf(address.sun_path, sizeof(address.sun_path), "%s/a-socket", dir);
    g_assert_cmpint(connect(peer, (struct sockaddr *)&address, sizeof(address)), ==, 0);
    g_assert_cmpint(fcntl(peer, F_SETFL, O_NONBLOCK), ==, 0);
    tcp = tcp_accept(wire, 22);
    exchange_words(wire, &tcp, peer);
    close(peer);
    wire_free(wire);
    g_assert_cmpuint(count_fds(), ==, before);
    g_assert_cmpint(g_rmdir(dir), ==, 0);
    g_free(text);
    g_free(dir);
}

static void test_udp_echo(void)
{
    const unsigned before = count_fds();
    struct wire *wire = wire_new("user");
    unsigned port;
    const int peer = loopback_socket(SOCK_DGRAM, &port, false);
    struct sockaddr_in from;
    socklen_t len = sizeof(from);
    uint8_t octets[1000];
    uint8_t *sent = pattern(sizeof(octets), 3);
    const uint8_t *ip;

    ask_gateway(wire);
    send_udp(wire, GUEST, HOST, 5000, port, sent, sizeof(octets));
    g_assert_cmpint(recvfrom(peer, octets, sizeof(octets), 0, (struct sockaddr *)&from, &len), ==,
                    sizeof(octets));
    g_assert_cmpmem(octets, sizeof(octets), sent, sizeof(octets));
    g_assert_cmpint(sendto(peer, octets, sizeof(octets), 0, (struct sockaddr *)&from, len), ==,
                    sizeof(octets));
    wire_wait(wire, "echo");
    ip = ip_of(wire, 17);
    g_assert_cmphex(get32(ip + 12), ==, HOST);
    g_assert_cmpuint(get16(ip + 20), ==, port);
    g_assert_cmpuint(get16(ip + 22), ==, 5000);
    g_assert_cmpmem(ip + 28, get16(ip + 2) - 28, sent, sizeof(octets));
    close(peer);
    wire_free(wire);
    g_assert_cmpuint(count_fds(), ==, before);
    g_free(sent);
}

static void test_udp_from_host(void)
{
    const unsigned port = free_port(SOCK_DGRAM);
    char *text = g_strdup_printf("user,hostfwd=udp:127.0.0.1:%u-:53", port);
    struct wire *wire = wire_new(text);
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                   .sin_port = htons((uint16_t)port)};
    const int peer = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const uint8_t *ip;

    g_free(text);
    ask_gateway(wire);
    g_assert_cmpint(sendto(peer, "ask", 3, 0, (const struct sockaddr *)&to, sizeof(to)), ==, 3);
    wire_wait(wire, "datagram");
    ip = ip_of(wire, 17);
    g_assert_cmpuint(get16(ip + 22), ==, 53);
    g_assert_cmpmem(ip + 28, get16(ip + 2) - 28, "ask", 3);
    close(peer);
    wire_free(wire);
}

static void test_restrict(void)
{
    struct wire *wire = wire_new("user,restrict=on");
    unsigned port;
    unsigned udp_port;
    const int listener = loopback_socket(SOCK_STREAM, &port, true);
    const int peer = loopback_socket(SOCK_DGRAM, &udp_port, false);
    struct tcp tcp = {.wire = wire, .port = 40000, .peer_port = port};
    uint8_t octet;

    ask_gateway(wire);
    tcp_send(&tcp, SYN, NULL, 0);
    send_udp(wire, GUEST, HOST, 5000, udp_port, "x", 1);
    while (wire_take(wire)) {
        g_assert_cmphex(wire->frame[14 + 20 + 13] & (SYN | RST), !=, SYN);
    }
    wire_idle(wire, 50);
    g_assert_cmpint(accept(listener, NULL, NULL), ==, -1);
    g_assert_cmpint(read(peer, &octet, 1), ==, -1);
    close(peer);
    close(listener);
    wire_free(wire);
}

/* ---- The loop ---- */

/* A guest that pauses again and again, with all of its window on the way. */
static void test_slow_guest(void)
{
    const size_t size = 1000000;
    struct wire *wire = wire_new("user");
    unsigned port;
    const int listener = loopback_socket(SOCK_STREAM, &port, true);
    uint8_t *sent = pattern(size, 9);
    uint8_t *found = g_malloc(size);
    size_t put = 0;
    size_t n = 0;
    struct tcp tcp;
    int peer;

    ask_gateway(wire);
    tcp = tcp_connect(wire, port);
    peer = host_accept(wire, listener);
    for (unsigned segments = 0; n < size; segments++) {
        const ssize_t now = put < size ? write(peer, sent + put, size - put) : 0;

        put += now > 0 ? (size_t)now : 0;
        if (segments % 40 == 39) {
            const unsigned told = wire->n_ready;

            wire_idle(wire, 10);
            g_assert_cmpuint(wire->n_ready, <=, told + 1);
        }
        n += tcp_read_some(&tcp, found + n, size - n);
    }
    g_assert_cmpmem(found, n, sent, size);
    g_assert_cmpuint(backend_counters(wire->backend).dropped, ==, 0);
    close(peer);
    close(listener);
    wire_free(wire);
    g_free(found);
    g_free(sent);
}

static void test_ready_only_when_asked(void)
{
    const unsigned port = free_port(SOCK_STREAM);
    char *text = g_strdup_printf("user,hostfwd=tcp:127.0.0.1:%u-:22", port);
    struct wire *wire = wire_new(text);
    int peer;

    g_free(text);
    ask_gateway(wire); /* got what it asked for */
    peer = connect_to(port);
    wire_idle(wire, 50);
    g_assert_cmpuint(wire->n_ready, ==, 0);
    g_assert_false(wire_take(wire));
    wire_idle(wire, 50);
    g_assert_cmpuint(wire->n_ready, ==, 1);
    g_assert_true(wire_take(wire));
    g_assert_cmphex(wire->frame[47], ==, SYN);
    wire_idle(wire, 50);
    g_assert_cmpuint(wire->n_ready, ==, 1);
    close(peer);
    wire_free(wire);
}

/* What is not acknowledged comes again, though others keep the loop awake. */
static void test_timers(void)
{
    struct wire *wire = wire_new("user");
    unsigned port;
    const int listener = loopback_socket(SOCK_STREAM, &port, true);
    GSource *ticks;
    struct tcp tcp;
    int peer;

    ask_gateway(wire);
    tcp = tcp_connect(wire, port);
    peer = host_accept(wire, listener);
    ticks = add_timeout(wire, 100, tick, NULL);
    g_assert_cmpint(write(peer, "again", 5), ==, 5);
    for (unsigned i = 0; i < 2; i++) {
        const uint8_t *payload;
        uint8_t flags;
        size_t len;

        wire_wait(wire, "data");
        payload = tcp_segment(&tcp, &flags, &len);
        g_assert_cmpmem(payload, len, "again", 5);
    }
    remove_timeout(ticks);
    close(peer);
    close(listener);
    wire_free(wire);
}

static void test_queue_is_bounded(void)
{
    struct wire *wire = wire_new("user");
    uint8_t frame[42];
    unsigned taken = 0;

    put_arp(frame, 1, HOST);
    for (unsigned i = 0; i < 600; i++) {
        wire_send(wire, frame, sizeof(frame));
    }
    g_assert_cmpuint(backend_counters(wire->backend).dropped, ==, 600 - 512);
    while (wire_take(wire)) {
        taken++;
    }
    g_assert_cmpuint(taken, ==, 512);
    ask_gateway(wire);
    wire_free(wire);
}

static void test_checksums_are_called_valid(void)
{
    struct wire *wire = wire_new("user");

    ask_gateway(wire);
    g_assert_cmphex(wire->flags, ==, 0);
    backend_set_offloads(wire->backend, 1 << VIRTIO_NET_F_GUEST_CSUM);
    ask_gateway(wire);
    g_assert_cmphex(wire->flags, ==, VIRTIO_NET_HDR_F_DATA_VALID);
    backend_set_offloads(wire->backend, 1 << VIRTIO_NET_F_GUEST_TSO4);
    ask_gateway(wire);
    g_assert_cmphex(wire->flags, ==, 0);
    wire_free(wire);
}

/* Many connections at once, all left open: nothing is lost, and all is closed in the end. */
/* A guest's connections both ways and its datagrams; its peers are left in peers, of which there are 4. */
static void make_busy(struct wire *wire, int listener, unsigned port, unsigned forwarded,
                      const char *path, int *peers)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct tcp tcp;

    ask_gateway(wire);
    tcp = tcp_connect(wire, port);
    peers[0] = host_accept(wire, listener);
    exchange_words(wire, &tcp, peers[0]);
    peers[1] = connect_to(forwarded);
    tcp = tcp_accept(wire, 22);
    exchange_words(wire, &tcp, peers[1]);
    peers[2] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    g_assert_cmpint(connect(peers[2], (struct sockaddr *)&address, sizeof(address)), ==, 0);
    g_assert_cmpint(fcntl(peers[2], F_SETFL, O_NONBLOCK), ==, 0);
    tcp = tcp_accept(wire, 23);
    exchange_words(wire, &tcp, peers[2]);
    peers[3] = connect_to(forwarded); /* which the guest does not answer any more */
    wire_wait(wire, "SYN");
    send_udp(wire, GUEST, HOST, 5000, port, "words", 5);
}

/* The other end has closed, one way or the other. */
static void require_end(struct wire *wire, int peer)
{
    GSource *guard = add_timeout(wire, PATIENT * 1000, give_up, (gpointer) "the end");
    GSource *ticks = add_timeout(wire, 1, tick, NULL);
    uint8_t octet;
    ssize_t n;

    while ((n = recv(peer, &octet, 1, 0)) < 0 && errno == EAGAIN) {
        g_main_context_iteration(wire->context, TRUE);
    }
    g_assert_true(n == 0 || errno == ECONNRESET);
    remove_timeout(ticks);
    remove_timeout(guard);
    close(peer);
}

static void test_guests_that_vanish_leave_no_connections(void)
{
    const unsigned before = count_fds();
    char *dir = g_dir_make_tmp("vionet-slirp-XXXXXX", NULL);
    char *path = g_build_filename(dir, "a-socket", NULL);
    const unsigned forwarded = free_port(SOCK_STREAM);
    char *text =
        g_strdup_printf("user,hostfwd=tcp:127.0.0.1:%u-:22,hostfwd=unix:%s-:23", forwarded, path);
    struct wire *wire = wire_new(text);
    const unsigned idle = count_fds();
    unsigned port;
    const int listener = loopback_socket(SOCK_STREAM, &port, true);
    int peers[4];

    for (unsigned guest = 0; guest < 20; guest++) {
        make_busy(wire, listener, port, forwarded, path, peers);
        g_assert_cmpuint(count_fds(), >, idle + 1 + G_N_ELEMENTS(peers));
        backend_forget_guest(wire->backend);
        g_assert_cmpuint(count_fds(), ==, idle + 1 + G_N_ELEMENTS(peers));
        for (unsigned i = 0; i < G_N_ELEMENTS(peers); i++) {
            require_end(wire, peers[i]);
        }
        g_assert_false(wire_take(wire));
    }
    close(listener);
    wire_free(wire);
    g_assert_cmpuint(count_fds(), ==, before);
    g_assert_cmpint(g_rmdir(dir), ==, 0);
    g_free(text);
    g_free(path);
    g_free(dir);
}

/* Frames that were taken hold; those that wait are not for the next guest. */
static void test_forgetting_with_frames_out(void)
{
    struct wire *wire = wire_new("user");
    uint64_t dropped;
    uint8_t request[42];
    VionetFrame frame;

    ask_gateway(wire);
    put_arp(request, 1, HOST);
    wire_send(wire, request, sizeof(request));
    wire_send(wire, request, sizeof(request));
    g_assert_cmpuint(backend_receive(wire->backend, &frame, 1), ==, 1);
    dropped = backend_counters(wire->backend).dropped;
    backend_forget_guest(wire->backend);
    g_assert_cmpuint(backend_counters(wire->backend).dropped, ==, dropped + 1);
    wire_look(wire, &frame);
    g_assert_cmpmem(wire->frame, 6, guest_mac, 6);
    backend_complete(wire->backend, &frame, 1);
    g_assert_false(wire_take(wire));
    ask_gateway(wire);
    wire_free(wire);
}

/* Somebody else takes what is forwarded, between two guests: the rest is forwarded as before. */
static void test_port_lost_between_guests(void)
{
    const unsigned port = free_port(SOCK_STREAM);
    char *dir = g_dir_make_tmp("vionet-slirp-XXXXXX", NULL);
    char *path = g_build_filename(dir, "a-socket", NULL);
    char *text =
        g_strdup_printf("user,hostfwd=unix:%s-:22,hostfwd=tcp:127.0.0.1:%u-:23", path, port);
    struct wire *wire = wire_new(text);
    struct tcp tcp;
    int peer;

    g_assert_cmpint(g_unlink(path), ==, 0);
    g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
    g_test_expect_message("vionet", G_LOG_LEVEL_WARNING, "backend user: hostfwd=unix:*");
    backend_forget_guest(wire->backend);
    g_test_assert_expected_messages();
    ask_gateway(wire);
    peer = connect_to(port);
    tcp = tcp_accept(wire, 23);
    exchange_words(wire, &tcp, peer);
    close(peer);
    wire_free(wire);
    g_assert_cmpint(g_rmdir(path), ==, 0);
    g_assert_cmpint(g_rmdir(dir), ==, 0);
    g_free(text);
    g_free(path);
    g_free(dir);
}

static void test_many_connections(void)
{
    const unsigned before = count_fds();
    struct wire *wire = wire_new("user");
    unsigned port;
    const int listener = loopback_socket(SOCK_STREAM, &port, true);
    int peers[40];

    ask_gateway(wire);
    for (unsigned i = 0; i < G_N_ELEMENTS(peers); i++) {
        struct tcp tcp = {.wire = wire, .port = 41000 + i, .peer_port = port};
        uint8_t flags;
        size_t len;

        tcp_send(&tcp, SYN, NULL, 0);
        wire_wait(wire, "SYN, ACK");
        tcp_segment(&tcp, &flags, &len);
        tcp.received = get32(wire->frame + 38) + 1;
        tcp_send(&tcp, ACK, NULL, 0);
        peers[i] = host_accept(wire, listener);
        exchange_words(wire, &tcp, peers[i]);
        while (wire_take(wire)) {
        }
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(peers); i++) {
        close(peers[i]);
    }
    close(listener);
    wire_free(wire);
    g_assert_cmpuint(count_fds(), ==, before);
}

/* ---- What broke libslirp ---- */

/*
 * Tests named B-nn are the rows of a list of what went wrong in libslirp, whose bugs are its user's too. Each frame
 * is sent from memory of exactly its length, and in the end everything works: an address, a connection.
 */
struct assault {
    struct wire *wire;
    unsigned port; /* where this process listens */
    int listener;
    char *folder; /* of TFTP */
};

static void assault_begin(struct assault *assault)
{
    char *text;

    assault->folder = g_dir_make_tmp("vionet-XXXXXX", NULL);
    g_assert_nonnull(assault->folder);
    text = g_strdup_printf("user,tftp=%s", assault->folder);
    assault->wire = wire_new(text);
    assault->listener = loopback_socket(SOCK_STREAM, &assault->port, true);
    ask_gateway(assault->wire);
    g_free(text);
}

static void forget_answers(struct wire *wire)
{
    for (unsigned i = 0; i < 3; i++) {
        while (wire_take(wire)) {
        }
        g_main_context_iteration(wire->context, FALSE);
    }
}

#define BOOTP_FIXED 236 /* octets in front of the options */

/* A DHCP request for everyone, with options behind its cookie, len octets in all. */
static void fill_discover(uint8_t *discover, size_t len, const void *options, size_t n_options)
{
    static const uint8_t begin[] = {1, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef};

    memset(discover, 0, len);
    memcpy(discover, begin, sizeof(begin));
    memcpy(discover + 28, guest_mac, 6);
    put32(discover + BOOTP_FIXED, 0x63825363);
    memcpy(discover + BOOTP_FIXED + 4, options, n_options);
}

/* Ends the assault: an address and words in both directions. */
static void assault_end(struct assault *assault)
{
    struct wire *wire = assault->wire;
    uint8_t discover[300];
    struct tcp tcp;
    int peer;

    forget_answers(wire);
    ask_gateway(wire);
    fill_discover(discover, sizeof(discover), "\65\1\1\377", 4);
    send_udp(wire, 0, 0xffffffff, 68, 67, discover, sizeof(discover));
    g_assert_true(wire_take(wire));
    g_assert_cmphex(get32(wire->frame + 42 + 16), ==, GUEST);
    forget_answers(wire);
    tcp = tcp_connect(wire, assault->port);
    peer = host_accept(wire, assault->listener);
    exchange_words(wire, &tcp, peer);
    close(peer);
    close(assault->listener);
    wire_free(wire);
    g_assert_cmpint(g_rmdir(assault->folder), ==, 0);
    g_free(assault->folder);
}

static void send_exactly(struct wire *wire, const uint8_t *frame, size_t len)
{
    uint8_t *octets = g_memdup2(frame, len);

    wire_send(wire, octets, len);
    g_free(octets);
}

/* Of a packet over IPv4 the first len octets, sent as they are; and as a whole packet of that length. */
static void send_cut(struct wire *wire, const uint8_t *frame, size_t len)
{
    uint8_t *octets = g_memdup2(frame, MAX(len, 1));

    wire_send(wire, octets, len);
    if (len >= 34) {
        put16(octets + 16, (unsigned)(len - 14));
        put16(octets + 24, 0);
        put16(octets + 24, (uint16_t)~sum16(octets + 14, 20, 0));
        wire_send(wire, octets, len);
    }
    if (len >= 42 && octets[23] == 17) {
        put16(octets + 38, (unsigned)(len - 34));
        put16(octets + 40, 0);
        wire_send(wire, octets, len);
    }
    g_free(octets);
}

/* B-10: the log says which libslirp it is, and whether it is one of before 4.9.2. */
static void test_version(void)
{
    const char *version = slirp_version_string();
    unsigned parts[3];
    char *expected;

    g_assert_cmpint(sscanf(version, "%u.%u.%u", &parts[0], &parts[1], &parts[2]), ==, 3);
    if (parts[0] * 10000 + parts[1] * 100 + parts[2] < 40902) {
        expected = g_strdup_printf("*libslirp %s may lack fixes of 4.9.2", version);
        g_test_expect_message("vionet", G_LOG_LEVEL_MESSAGE, expected);
    } else {
        expected = g_strdup_printf("*libslirp %s", version);
        g_test_expect_message("vionet", G_LOG_LEVEL_INFO, expected);
    }
    wire_free(wire_new("user"));
    g_test_assert_expected_messages();
    g_free(expected);
}

/* B-01. */
static void test_port_zero(void)
{
    static const uint32_t to[] = {HOST, HOST + 1, 0xffffffff, 0x0a0002ff, INADDR_LOOPBACK, 0};
    struct assault assault;

    assault_begin(&assault);
    for (size_t i = 0; i < G_N_ELEMENTS(to); i++) {
        for (unsigned ports = 0; ports < 3; ports++) {
            for (unsigned again = 0; again < 3; again++) {
                send_udp(assault.wire, GUEST, to[i], ports & 1 ? 1000 : 0, ports & 2 ? 1000 : 0,
                         "nothing", again * 3);
                send_udp(assault.wire, 0, to[i], ports & 1 ? 1000 : 0, ports & 2 ? 1000 : 0,
                         "nothing", again * 3);
            }
        }
        forget_answers(assault.wire);
    }
    assault_end(&assault);
}

/* B-02: options that go on behind the packet's end, or have no length. */
static void test_dhcp_options(void)
{
    static const uint8_t codes[] = {0, 1, 12, 50, 51, 53, 54, 55, 60, 61, 93, 254, 255};
    struct assault assault;

    assault_begin(&assault);
    for (size_t i = 0; i < G_N_ELEMENTS(codes); i++) {
        for (unsigned n = 0; n < 256; n += n < 8 ? 1 : 31) {
            const uint8_t options[] = {53, 1, 3, codes[i], (uint8_t)n};

            for (unsigned there = 3; there <= sizeof(options); there++) {
                uint8_t discover[BOOTP_FIXED + 4 + sizeof(options)];
                const size_t len = BOOTP_FIXED + 4 + there;

                fill_discover(discover, len, options, there);
                send_udp(assault.wire, 0, 0xffffffff, 68, 67, discover, len);
            }
            forget_answers(assault.wire);
        }
    }
    assault_end(&assault);
}

/* A listener where a service would be that libslirp knows; -1 if that cannot be had here. */
static int listen_at(unsigned port)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                        .sin_port = htons((uint16_t)port)};
    const int on = 1;

    g_assert_cmpint(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), ==, 0);
    if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 8) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Words that a service was looked into for arrive unchanged, in whatever pieces they are sent. */
static void pass_words(struct wire *wire, unsigned port, int listener, size_t piece)
{
    static const char words[] = "12, 3456\r\nPORT 10,0,2,15,4,1\r\n"
                                "PRIVMSG a :\001DCC SEND b 167772687 1 2\001\r\n"
                                "27 Entering Passive Mode (10,0,2,15,4,1)\r\n";
    const size_t len = 60 * (sizeof(words) - 1);
    uint8_t *sent = g_malloc(len);
    uint8_t *found = g_malloc(len);
    struct tcp tcp = tcp_connect(wire, port);
    const int peer = host_accept(wire, listener);

    for (size_t at = 0; at < len; at += sizeof(words) - 1) {
        memcpy(sent + at, words, sizeof(words) - 1);
    }
    for (size_t at = 0; at < len; at += piece) {
        tcp_send(&tcp, PSH | ACK, sent + at, MIN(piece, len - at));
        host_read(wire, peer, found + at, MIN(piece, len - at));
    }
    g_assert_cmpmem(sent, len, found, len);
    tcp_send(&tcp, RST, NULL, 0);
    close(peer);
    forget_answers(wire);
    g_free(sent);
    g_free(found);
}

/* B-03: ident, IRC and FTP are ports like others. */
static void test_emulated_services(void)
{
    static const unsigned ports[] = {113, 6667, 21};
    struct assault assault;
    unsigned tried = 0;

    assault_begin(&assault);
    for (size_t i = 0; i < G_N_ELEMENTS(ports); i++) {
        const int listener = listen_at(ports[i]);

        if (listener >= 0) {
            pass_words(assault.wire, ports[i], listener, 1460);
            pass_words(assault.wire, ports[i], listener, 7);
            pass_words(assault.wire, ports[i], listener, 1);
            close(listener);
            tried++;
        }
    }
    assault_end(&assault);
    if (tried == 0) {
        g_test_skip("a port among 21, 113 and 6667 to listen at");
    }
}

/* A piece of a datagram, of len octets at payload; offset in octets. */
static void send_fragment(struct wire *wire, unsigned id, unsigned offset, bool more,
                          const uint8_t *payload, size_t len)
{
    uint8_t *frame = g_malloc(34 + len);

    put_ip(frame, GUEST, HOST, 17, len);
    put16(frame + 18, id);
    put16(frame + 20, offset / 8 | (more ? 0x2000 : 0));
    put16(frame + 24, 0);
    put16(frame + 24, (uint16_t)~sum16(frame + 14, 20, 0));
    if (len > 0) {
        memcpy(frame + 34, payload, len);
    }
    wire_send(wire, frame, 34 + len);
    g_free(frame);
}

/* A datagram in pieces arrives whole. */
static void check_datagram_in_pieces(struct wire *wire, unsigned id, size_t len, size_t piece)
{
    unsigned port;
    const int peer = loopback_socket(SOCK_DGRAM, &port, false);
    uint8_t *datagram = pattern(8 + len, id);
    uint8_t *found = g_malloc(len);

    put16(put16(put16(put16(datagram, 1000), port), (unsigned)(8 + len)), 0);
    for (size_t at = 0; at < 8 + len; at += piece) {
        send_fragment(wire, id, (unsigned)at, at + piece < 8 + len, datagram + at,
                      MIN(piece, 8 + len - at));
    }
    host_read(wire, peer, found, len);
    g_assert_cmpmem(found, len, datagram + 8, len);
    close(peer);
    g_free(datagram);
    g_free(found);
}

/* B-04: pieces that overlap, come in any order, twice, empty, too long, or never all; honest ones among them. */
static void test_fragments(void)
{
    static const struct {
        unsigned offset;
        unsigned len;
        bool more;
    } pieces[] = {
        {0, 8, true},     {0, 1480, true},     {0, 4000, true},     {0, 65000, true},
        {8, 16, true},    {16, 8, true},       {8, 1480, true},     {1480, 1480, true},
        {1480, 0, true},  {1480, 0, false},    {1472, 16, false},   {2960, 100, false},
        {2960, 7, true},  {65528, 100, false}, {65528, 1480, true}, {65528, 0, false},
        {4000, 0, false}, {24, 1, false},      {0, 0, true},        {0, 28, false},
    };
    const unsigned n = G_N_ELEMENTS(pieces);
    uint8_t *zeroes = g_malloc0(65536);
    struct assault assault;

    assault_begin(&assault);
    check_datagram_in_pieces(assault.wire, 30000, 60000, 1480);
    for (unsigned order = 0; order < n * n * n; order++) {
        const unsigned which[] = {order % n, order / n % n, order / n / n, order % n};

        for (unsigned i = 0; i < G_N_ELEMENTS(which); i++) {
            send_fragment(assault.wire, order, pieces[which[i]].offset, pieces[which[i]].more,
                          zeroes, pieces[which[i]].len);
        }
        if (order % 64 == 63) { /* the one before is forgotten with its guest */
            forget_answers(assault.wire);
            backend_forget_guest(assault.wire->backend);
            ask_gateway(assault.wire);
            check_datagram_in_pieces(assault.wire, order, 4000, 1480);
        }
    }
    check_datagram_in_pieces(assault.wire, 30001, 4000, 8);
    for (unsigned i = 0; i < 1000; i++) { /* unfinished ones */
        send_fragment(assault.wire, 20000 + i, 0, true, zeroes, 1480);
    }
    g_free(zeroes);
    assault_end(&assault);
}

/* Ethernet and IPv6 in front of len octets, which are not all there. */
static uint8_t *put_ip6(uint8_t *frame, uint8_t next, size_t len)
{
    static const uint8_t from[16] = {0xfe, 0xc0, [15] = 15};
    static const uint8_t to[16] = {0xfe, 0xc0, [15] = 2};

    memcpy(frame, "\x33\x33\0\0\0\2", 6);
    memcpy(frame + 6, guest_mac, 6);
    put16(frame + 12, 0x86dd);
    put32(frame + 14, 0x60000000);
    put16(frame + 18, (unsigned)len);
    frame[20] = next;
    frame[21] = 255;
    memcpy(frame + 22, from, 16);
    memcpy(frame + 38, to, 16);
    return frame + 54;
}

/* The checksum at field of len octets at p behind an IPv6 header. */
static void finish_ip6(uint8_t *frame, uint8_t next, size_t len, unsigned field)
{
    uint8_t *p = frame + 54;

    put16(p + field, 0);
    put16(p + field, (uint16_t)~sum16(p, len, sum16(frame + 22, 32, next + (uint32_t)len)));
}

/* B-05: echo requests that say to be longer than they are. */
static void test_icmp6_lengths(void)
{
    static const unsigned claims[] = {0, 1, 7, 8, 9, 16, 100, 1400, 1500, 4096, 65535};
    struct assault assault;

    assault_begin(&assault);
    for (unsigned len = 0; len <= 16; len++) {
        for (size_t i = 0; i < G_N_ELEMENTS(claims); i++) {
            uint8_t frame[54 + 16] = {0};
            uint8_t *p = put_ip6(frame, 58, claims[i]);

            memset(p, 0, 16);
            p[0] = 128;
            finish_ip6(frame, 58, len, 2);
            send_exactly(assault.wire, frame, 54 + len);
        }
        forget_answers(assault.wire);
    }
    assault_end(&assault);
}

/* B-06: frames of NC-SI and of ARP that end before their headers do. */
static void test_short_arp_and_ncsi(void)
{
    uint8_t frame[64] = {0};
    struct assault assault;

    assault_begin(&assault);
    for (unsigned operation = 0; operation < 4; operation++) {
        put_arp(frame, operation, HOST);
        for (size_t len = 14; len < 42; len++) {
            send_exactly(assault.wire, frame, len);
            g_assert_false(wire_take(assault.wire));
        }
    }
    put16(frame + 12, 0x88f8);
    for (unsigned type = 0; type < 256; type++) {
        frame[14 + 4] = (uint8_t)type;
        for (size_t len = 14; len <= 42; len++) {
            send_exactly(assault.wire, frame, len);
            g_assert_false(wire_take(assault.wire));
        }
    }
    assault_end(&assault);
}

/* B-07: BOOTP, TFTP, and datagrams of either IP, cut after each octet. */
static void test_cut_datagrams(void)
{
    static const char request[] = "\0\1nothing\0octet\0tsize\0"
                                  "0";
    uint8_t frame[54 + 300];
    uint8_t discover[300];
    struct assault assault;

    assault_begin(&assault);
    fill_discover(discover, sizeof(discover), "\65\1\1\377", 4);
    for (size_t len = 0; len < 42 + sizeof(discover); len++) {
        uint8_t *udp = put_ip(frame, 0, 0xffffffff, 17, 8 + sizeof(discover));

        put16(put16(put16(put16(udp, 68), 67), 8 + sizeof(discover)), 0);
        memcpy(udp + 8, discover, sizeof(discover));
        send_cut(assault.wire, frame, len);
        if (len < 42 + BOOTP_FIXED) { /* nobody answers what is not there */
            g_assert_false(wire_take(assault.wire));
        }
        forget_answers(assault.wire);
    }
    for (unsigned port = 69; port < 71; port++) {
        for (size_t len = 0; len <= 42 + sizeof(request); len++) {
            uint8_t *udp = put_ip(frame, GUEST, HOST, 17, 8 + sizeof(request));

            put16(put16(put16(put16(udp, 1000), port), 8 + sizeof(request)), 0);
            memcpy(udp + 8, request, sizeof(request));
            send_cut(assault.wire, frame, len);
            forget_answers(assault.wire);
        }
        for (size_t len = 0; len <= 54 + 8 + sizeof(request); len++) {
            const size_t there = len > 62 ? len - 54 : 8;
            uint8_t *udp = put_ip6(frame, 17, there);

            put16(put16(put16(udp, 1000), port), (unsigned)there);
            memcpy(udp + 8, request, sizeof(request));
            finish_ip6(frame, 17, there, 6);
            send_exactly(assault.wire, frame, len);
            put16(udp + 4, 65535);
            send_exactly(assault.wire, frame, len);
            forget_answers(assault.wire);
        }
    }
    assault_end(&assault);
}

static void send_tftp(struct wire *wire, unsigned port, unsigned operation, const void *rest,
                      size_t len)
{
    uint8_t packet[64];

    put16(packet, operation);
    memcpy(packet + 2, rest, len);
    send_udp(wire, GUEST, HOST, port, 69, packet, 2 + len);
}

/* Asks for a file of so many octets, and takes its blocks, no more than n. */
static void fetch(struct wire *wire, unsigned port, const uint8_t *octets, size_t len, unsigned n)
{
    static const char name[] = "file\0octet";

    send_tftp(wire, port, 1, name, sizeof(name));
    for (unsigned block = 1; block <= n; block++) {
        const uint8_t acknowledged[2] = {0, (uint8_t)block};
        const size_t at = 512 * (block - 1);

        wire_wait(wire, "a block");
        g_assert_cmpmem(wire->frame + 42, 2, "\0\3", 2);
        g_assert_cmpuint(get16(wire->frame + 44), ==, block);
        g_assert_cmpmem(wire->frame + 46, wire->len - 46, octets + at, MIN(512, len - at));
        send_tftp(wire, port, 4, acknowledged, 2);
    }
    forget_answers(wire);
}

/* B-08: a transfer is asked for again while it goes on, when it was given up, and when it has ended. */
static void test_transfer_twice(void)
{
    const size_t len = 3 * 512 + 10;
    struct assault assault;
    uint8_t *octets = pattern(len, 1);
    char *path;

    assault_begin(&assault);
    path = g_build_filename(assault.folder, "file", NULL);
    g_assert_true(g_file_set_contents(path, (const char *)octets, (gssize)len, NULL));
    for (unsigned n = 0; n <= 4; n++) {
        fetch(assault.wire, 2000 + n, octets, len, n);
        fetch(assault.wire, 2000 + n, octets, len, n);
        send_tftp(assault.wire, 2000 + n, 5, "\0\0no", 5);
        fetch(assault.wire, 2000 + n, octets, len, 4);
    }
    for (unsigned i = 0; i < 100; i++) { /* more than are kept at a time */
        fetch(assault.wire, 3000 + i, octets, len, 0);
    }
    g_assert_cmpint(g_unlink(path), ==, 0);
    g_free(path);
    g_free(octets);
    assault_end(&assault);
}

/* B-09: urgent pointers in and behind the data of an open connection. */
static void test_urgent_pointers(void)
{
    static const unsigned pointers[] = {0, 1, 4, 5, 6, 1000, 0x7fff, 0x8000, 0xffff};
    struct assault assault;

    assault_begin(&assault);
    for (size_t i = 0; i < G_N_ELEMENTS(pointers); i++) {
        for (unsigned n = 0; n <= 5; n += 5) {
            struct tcp tcp = tcp_connect(assault.wire, assault.port);
            const int peer = host_accept(assault.wire, assault.listener);
            uint8_t *frame = g_malloc0(54 + n);
            uint8_t *p = put_ip(frame, GUEST, HOST, 6, 20 + n);

            put32(put32(put16(put16(p, tcp.port), tcp.peer_port), tcp.sent), tcp.received);
            p[12] = 0x50;
            p[13] = ACK | 0x20;
            put16(p + 14, 65535);
            put16(p + 18, pointers[i]);
            put16(p + 16, (uint16_t)~transport_sum(frame + 14, 20 + n));
            wire_send(assault.wire, frame, 54 + n);
            wire_idle(assault.wire, 2);
            tcp.sent += n;
            tcp_send(&tcp, PSH | ACK, "after", 5);
            tcp_send(&tcp, RST, NULL, 0);
            g_free(frame);
            close(peer);
            forget_answers(assault.wire);
        }
    }
    assault_end(&assault);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/slirp/options/refused", test_refused_options);
    g_test_add_func("/slirp/options/forwards", test_refused_forwards);
    g_test_add_func("/slirp/options/taken-port", test_taken_port);
    g_test_add_func("/slirp/options/accepted", test_accepted_options);
    g_test_add_func("/slirp/dhcp", test_dhcp);
    g_test_add_func("/slirp/arp", test_arp);
    g_test_add_func("/slirp/router-advertisement", test_router_advertisement);
    g_test_add_func("/slirp/strange-frames", test_strange_frames);
    g_test_add_func("/slirp/tcp/to-host", test_tcp_to_host);
    g_test_add_func("/slirp/tcp/from-host", test_tcp_from_host);
    g_test_add_func("/slirp/tcp/from-unix-socket", test_unix_from_host);
    g_test_add_func("/slirp/tcp/many", test_many_connections);
    g_test_add_func("/slirp/tcp/merging", test_merging);
    g_test_add_func("/slirp/suits", test_suits);
    g_test_add_func("/slirp/guests/vanish", test_guests_that_vanish_leave_no_connections);
    g_test_add_func("/slirp/guests/frames-out", test_forgetting_with_frames_out);
    g_test_add_func("/slirp/guests/lost-port", test_port_lost_between_guests);
    g_test_add_func("/slirp/udp/echo", test_udp_echo);
    g_test_add_func("/slirp/udp/from-host", test_udp_from_host);
    g_test_add_func("/slirp/restrict", test_restrict);
    g_test_add_func("/slirp/loop/slow-guest", test_slow_guest);
    g_test_add_func("/slirp/loop/ready-only-when-asked", test_ready_only_when_asked);
    g_test_add_func("/slirp/loop/timers", test_timers);
    g_test_add_func("/slirp/loop/bounded", test_queue_is_bounded);
    g_test_add_func("/slirp/checksums", test_checksums_are_called_valid);
    g_test_add_func("/slirp/hostile/B-01/port-zero", test_port_zero);
    g_test_add_func("/slirp/hostile/B-02/dhcp-options", test_dhcp_options);
    g_test_add_func("/slirp/hostile/B-03/emulated-services", test_emulated_services);
    g_test_add_func("/slirp/hostile/B-04/fragments", test_fragments);
    g_test_add_func("/slirp/hostile/B-05/icmp6-lengths", test_icmp6_lengths);
    g_test_add_func("/slirp/hostile/B-06/short-arp-and-ncsi", test_short_arp_and_ncsi);
    g_test_add_func("/slirp/hostile/B-07/cut-datagrams", test_cut_datagrams);
    g_test_add_func("/slirp/hostile/B-08/transfer-twice", test_transfer_twice);
    g_test_add_func("/slirp/hostile/B-10/version", test_version);
    g_test_add_func("/slirp/hostile/B-09/urgent-pointers", test_urgent_pointers);
    return g_test_run();
}
