/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The backend "tap" (device/backend_tap.c) on interfaces of the running kernel, in a network
 * namespace of the test's own. At the other end are packet sockets, which see the same header, and
 * the kernel's own UDP and TCP.
 *
 * Needs /dev/net/tun and the right to make interfaces; tests are skipped without.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <glib.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <netinet/udp.h>

#include <vionet/spec.h>

#include "bench.h"
#include "driver/control.h"
#include "driver/queue.h"

#define NAME   "vnt0"
#define OURS   0x0a000001u /* the kernel's end */
#define GUESTS 0x0a000002u

#define OFFLOAD(name) (UINT64_C(1) << VIRTIO_NET_F_GUEST_##name)

static const uint8_t guest_mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

/* ---- The namespace ---- */

static const char *missing; /* why tests are skipped */

static bool write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    bool written;

    if (!file) {
        return false;
    }
    written = fputs(text, file) >= 0;
    return fclose(file) == 0 && written;
}

/* As somebody else than root, through a user namespace. */
static bool enter_namespace(void)
{
    char *map = g_strdup_printf("0 %u 1", (unsigned)getuid());
    bool entered = unshare(CLONE_NEWNET) == 0;

    if (!entered && unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0) {
        entered =
            write_file("/proc/self/setgroups", "deny") && write_file("/proc/self/uid_map", map);
    }
    g_free(map);
    return entered;
}

static void find_out_what_is_missing(void)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    int fd;

    if (!enter_namespace()) {
        missing = "no network namespace of our own can be had";
        return;
    }
    fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        missing = "/dev/net/tun cannot be opened";
        return;
    }
    if (ioctl(fd, TUNSETIFF, &request) != 0) {
        missing = "no TAP interface can be made";
    }
    close(fd);
    /* The kernel does not speak up by itself. */
    write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
}

static void set_interface(const char *name, unsigned long request, struct ifreq *values)
{
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    g_strlcpy(values->ifr_name, name, sizeof(values->ifr_name));
    g_assert_cmpint(ioctl(fd, request, values), ==, 0);
    close(fd);
}

static void set_up(const char *name)
{
    struct ifreq values = {.ifr_flags = IFF_UP};

    set_interface(name, SIOCSIFFLAGS, &values);
}

static struct sockaddr_in address(uint32_t ip, uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(ip),
        .sin_port = htons(port),
    };
}

/* The kernel has an address there, and knows the MAC address of the guest's. */
static void set_addresses(const char *name, uint32_t ip, uint32_t guest_ip)
{
    const struct sockaddr_in ours = address(ip, 0);
    const struct sockaddr_in guests = address(guest_ip, 0);
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct arpreq arp = {.arp_flags = ATF_PERM | ATF_COM};
    struct ifreq values = {.ifr_flags = 0};

    memcpy(&values.ifr_addr, &ours, sizeof(ours));
    set_interface(name, SIOCSIFADDR, &values);
    g_strlcpy(arp.arp_dev, name, sizeof(arp.arp_dev));
    memcpy(&arp.arp_pa, &guests, sizeof(guests));
    memcpy(arp.arp_ha.sa_data, guest_mac, 6);
    g_assert_cmpint(ioctl(fd, SIOCSARP, &arp), ==, 0);
    close(fd);
}

static void get_mac(uint8_t mac[6])
{
    struct ifreq values = {.ifr_flags = 0};

    set_interface(NAME, SIOCGIFHWADDR, &values);
    memcpy(mac, values.ifr_hwaddr.sa_data, 6);
}

static void delete_interface(void)
{
    struct {
        struct nlmsghdr header;
        struct ifinfomsg info;
    } request = {
        .header = {.nlmsg_len = sizeof(request),
                   .nlmsg_type = RTM_DELLINK,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
        .info = {.ifi_index = (int)if_nametoindex(NAME)},
    };
    const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    char answer[1024];

    g_assert_cmpint(send(fd, &request, sizeof(request), 0), ==, sizeof(request));
    g_assert_cmpint(recv(fd, answer, sizeof(answer), 0), >, 0);
    close(fd);
    g_assert_cmpuint(if_nametoindex(NAME), ==, 0);
}

/* ---- Packet sockets ---- */

/* Sees what the guest sends and sends to it; with the packet header in front if vnet_hdr. */
static int packet_socket(bool vnet_hdr)
{
    const struct timeval second = {.tv_sec = 1};
    const int on = 1;
    const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
    const struct sockaddr_ll at = {
        .sll_family = AF_PACKET,
        .sll_protocol = htons(ETH_P_ALL),
        .sll_ifindex = (int)if_nametoindex(NAME),
    };

    g_assert_cmpint(fd, >=, 0);
    if (vnet_hdr) {
        g_assert_cmpint(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)), ==, 0);
    }
    g_assert_cmpint(setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on)), ==, 0);
    g_assert_cmpint(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)), ==, 0);
    g_assert_cmpint(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second)), ==, 0);
    g_assert_cmpint(bind(fd, (const struct sockaddr *)&at, sizeof(at)), ==, 0);
    return fd;
}

/* The next packet, with the VLAN tag that the kernel took out of it; tag is 0 if there was none. */
static size_t packet_receive(int fd, uint8_t *buf, size_t size, uint16_t *tag)
{
    union {
        struct cmsghdr header;
        char octets[256];
    } control;
    struct iovec iov = {buf, size};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    const ssize_t len = recvmsg(fd, &message, 0);

    *tag = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
        struct tpacket_auxdata data;

        memcpy(&data, CMSG_DATA(c), sizeof(data));
        if (c->cmsg_type == PACKET_AUXDATA && (data.tp_status & TP_STATUS_VLAN_VALID)) {
            *tag = data.tp_vlan_tci;
        }
    }
    return len < 0 ? 0 : (size_t)len;
}

/* ---- Frames ---- */

static void put16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
    put16(at, value >> 16);
    put16(at + 2, value & 0xffff);
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint32_t add_words(const uint8_t *octets, size_t n, uint32_t sum)
{
    for (size_t i = 0; i < n; i++) {
        sum += i % 2 ? octets[i] : (uint32_t)octets[i] << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

static void fill(uint8_t *octets, size_t n, unsigned number)
{
    for (size_t i = 0; i < n; i++) {
        octets[i] = (uint8_t)(i * 7 + (i >> 8) + number * 13);
    }
}

/* A frame of a protocol that nobody knows, to everybody. */
static void fill_frame(uint8_t *frame, size_t len, unsigned number)
{
    fill(frame, len, number);
    memset(frame, 0xff, 6);
    frame[6] = 0x02;
    put16(frame + 12, 0x88b5);
}

#define IP_AT        14
#define TRANSPORT_AT 34

/*
 * Ethernet and IPv4 around n octets of TCP or UDP, whose checksum field gets the sum of the pseudo
 * header. To the kernel, or from it.
 */
static void fill_ip(uint8_t *frame, unsigned protocol, size_t n, bool to_kernel)
{
    const unsigned field = TRANSPORT_AT + (protocol == 6 ? 16 : 6);
    uint8_t *ip = frame + IP_AT;
    uint8_t mac[6];

    get_mac(mac);
    memcpy(frame, to_kernel ? mac : guest_mac, 6);
    memcpy(frame + 6, to_kernel ? guest_mac : mac, 6);
    put16(frame + 12, 0x0800);
    memset(ip, 0, 20);
    ip[0] = 0x45;
    put16(ip + 2, (unsigned)(20 + n));
    ip[8] = 64;
    ip[9] = (uint8_t)protocol;
    put32(ip + 12, to_kernel ? GUESTS : OURS);
    put32(ip + 16, to_kernel ? OURS : GUESTS);
    put16(ip + 10, ~add_words(ip, 20, 0));
    put16(frame + field, add_words(ip + 12, 8, (uint32_t)(protocol + n)));
}

static bool has_finished_checksum(const uint8_t *frame, size_t len)
{
    const size_t n = len - TRANSPORT_AT;

    return add_words(frame + TRANSPORT_AT, n,
                     add_words(frame + IP_AT + 12, 8, (uint32_t)(frame[IP_AT + 9] + n))) == 0xffff;
}

static void fill_udp(uint8_t *frame, const char *text, uint16_t from, uint16_t to)
{
    const size_t n = 8 + strlen(text);

    put16(frame + TRANSPORT_AT, from);
    put16(frame + TRANSPORT_AT + 2, to);
    put16(frame + TRANSPORT_AT + 4, (unsigned)n);
    memcpy(frame + TRANSPORT_AT + 8, text, n - 8);
    fill_ip(frame, 17, n, true);
}

struct tcp {
    uint32_t seq;
    uint32_t ack;
    uint8_t flags;
};

#define TCP_HEADERS (TRANSPORT_AT + 20)

/* A TCP packet with n octets, its checksum unfinished. */
static uint8_t *new_tcp(struct tcp tcp, size_t n, bool to_kernel)
{
    uint8_t *frame = g_malloc0(TCP_HEADERS + n);
    uint8_t *header = frame + TRANSPORT_AT;

    put16(header, to_kernel ? 4000 : 80);
    put16(header + 2, to_kernel ? 80 : 4000);
    put32(header + 4, tcp.seq);
    put32(header + 8, tcp.ack);
    header[12] = 0x50;
    header[13] = tcp.flags;
    put16(header + 14, 0x7000);
    fill(frame + TCP_HEADERS, n, 5);
    fill_ip(frame, 6, 20 + n, to_kernel);
    return frame;
}

/* ---- Backends ---- */

static VionetBackend *open_tap(const char *options)
{
    char *text = g_strdup_printf("tap,%s", options);
    GError *error = NULL;
    VionetBackend *backend = backend_open(text, &error);

    g_assert_no_error(error);
    g_free(text);
    return backend;
}

static VionetBackend *open_up(const char *options)
{
    VionetBackend *backend = open_tap(options);

    set_up(NAME);
    return backend;
}

static void assert_refused(const char *text, const char *sentence)
{
    GError *error = NULL;

    g_assert_null(backend_open(text, &error));
    g_assert_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG);
    g_assert_cmpstr(error->message, ==, sentence);
    g_error_free(error);
}

static void send_frame(VionetBackend *backend, const void *octets, size_t len,
                       const VionetFrame *like)
{
    const struct iovec iov = {(void *)octets, len};
    VionetFrame frame = like ? *like : (VionetFrame){.n_iov = 0};

    frame.iov = &iov;
    frame.n_iov = 1;
    frame.len = (uint32_t)len;
    g_assert_false(backend_send(backend, &frame, 1));
}

/* The next frame for the guest, which stays with the caller; the kernel is not always quick. */
static VionetFrame receive_frame(VionetBackend *backend)
{
    VionetFrame frame;

    for (unsigned i = 0; backend_receive(backend, &frame, 1) == 0; i++) {
        g_assert_cmpuint(i, <, 2000);
        g_usleep(1000);
    }
    return frame;
}

static void expect_frame(VionetBackend *backend, const void *octets, size_t len)
{
    VionetFrame frame = receive_frame(backend);

    g_assert_cmpuint(frame.len, ==, len);
    g_assert_cmpmem(frame.iov[0].iov_base, frame.iov[0].iov_len, octets, len);
    g_assert_cmphex(frame.flags, ==, 0);
    g_assert_cmphex(frame.gso_type, ==, 0);
    backend_complete(backend, &frame, 1);
}

static void expect_nothing(VionetBackend *backend)
{
    VionetFrame frame;

    g_usleep(1000);
    g_assert_cmpuint(backend_receive(backend, &frame, 1), ==, 0);
}

static uint64_t dropped(const VionetBackend *backend)
{
    return backend_counters(backend).dropped;
}

/* ---- Options ---- */

static void test_refused_options(void)
{
    assert_refused("tap,script=/etc/up",
                   "backend tap: script=/etc/up: no scripts are run, only \"no\" is possible");
    assert_refused("tap,script=no,downscript=x",
                   "backend tap: downscript=x: no scripts are run, only \"no\" is possible");
    assert_refused("tap,ifname=a-name-of-17-byte",
                   "backend tap: ifname=a-name-of-17-byte: longer than 15 octets");
    assert_refused("tap,queues=0", "backend tap: queues=0: expected a number from 1 to 256");
    assert_refused("tap,queues=257", "backend tap: queues=257: expected a number from 1 to 256");
    assert_refused("tap,vnet_hdr=yes", "backend tap: vnet_hdr=yes: expected on or off");
    assert_refused("tap,fd=1,fds=1:2", "backend tap: fd and fds exclude each other");
    assert_refused("tap,fd=1,ifname=x",
                   "backend tap: ifname, queues and vnet_hdr are settled where fd is given");
    assert_refused("tap,fds=1:2,queues=2",
                   "backend tap: ifname, queues and vnet_hdr are settled where fds is given");
    assert_refused("tap,fd=1:2", "backend tap: fd=1:2: several are given with fds");
    assert_refused("tap,fd=x", "backend tap: descriptor x: not a number");
    assert_refused("tap,fds=", "backend tap: option fds has no value "
                               "(tap,ifname=NAME,queues=N,vnet_hdr=on|off,sndbuf=OCTETS or "
                               "tap,fd=N or tap,fds=N:N...: a TAP interface)");
    assert_refused("tap,fds=1::2", "backend tap: descriptor 1: no queue of a TAP interface");
    assert_refused("tap,fd=99999", "backend tap: descriptor 99999: no queue of a TAP interface");
}

static void test_refused_interfaces(void)
{
    VionetBackend *backend;

    assert_refused("tap,ifname=lo", "backend tap: interface lo: Invalid argument");
    assert_refused("tap,ifname=" NAME ",sndbuf=many",
                   "backend tap: sndbuf=many: expected a number of octets, 0 for no limit");
    backend = open_tap("ifname=" NAME);
    assert_refused("tap,ifname=" NAME, "backend tap: interface " NAME ": Device or resource busy");
    backend_close(backend);
    g_assert_cmpuint(if_nametoindex(NAME), ==, 0);
}

/* A queue that is opened here, as a helper would; -1 for any. */
static int open_descriptor(int flags)
{
    struct ifreq request = {.ifr_flags = (short)flags, .ifr_name = NAME};
    const int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

    g_assert_cmpint(ioctl(fd, TUNSETIFF, &request), ==, 0);
    return fd;
}

static void test_refused_descriptors(void)
{
    int fd;
    char *text;
    char *sentence;

    fd = open_descriptor(IFF_TUN | IFF_NO_PI);
    text = g_strdup_printf("tap,fd=%d", fd);
    sentence = g_strdup_printf(
        "backend tap: descriptor %d: interface " NAME " is not of flags IFF_TAP and IFF_NO_PI", fd);
    assert_refused(text, sentence);
    g_assert_cmpint(close(fd), ==, 0); /* still ours */
    g_free(text);
    g_free(sentence);
    fd = open_descriptor(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
    text = g_strdup_printf("tap,fds=%d:%d", fd, fd);
    sentence = g_strdup_printf("backend tap: descriptor %d: given twice", fd);
    assert_refused(text, sentence);
    g_assert_cmpint(close(fd), ==, 0);
    g_free(text);
    g_free(sentence);
}

static unsigned count_descriptors(void)
{
    GDir *dir = g_dir_open("/proc/self/fd", 0, NULL);
    unsigned n = 0;

    while (g_dir_read_name(dir)) {
        n++;
    }
    g_dir_close(dir);
    return n;
}

static void test_descriptors_are_closed(void)
{
    const unsigned before = count_descriptors();

    for (unsigned i = 0; i < 10; i++) {
        int fd;
        char *text;

        backend_close(open_tap("ifname=" NAME ",queues=4,script=no,downscript=no,sndbuf=100000"));
        backend_close(open_tap("vnet_hdr=off,sndbuf=0"));
        g_assert_null(backend_open("tap,ifname=lo", NULL));
        g_assert_null(backend_open("tap,queues=3,sndbuf=x", NULL));
        fd = open_descriptor(IFF_TAP | IFF_NO_PI);
        text = g_strdup_printf("fd=%d", fd);
        backend_close(open_tap(text));
        g_free(text);
        g_assert_cmpuint(count_descriptors(), ==, before);
        g_assert_cmpuint(if_nametoindex(NAME), ==, 0);
    }
}

/* ---- Plain frames ---- */

static void check_plain_frames(const char *options)
{
    VionetBackend *backend;
    uint8_t frame[1514];
    uint8_t found[2000];
    uint16_t tag;
    int peer;

    backend = open_up(options);
    peer = packet_socket(false);
    for (unsigned i = 0; i < 100; i++) {
        const size_t len = 14 + (i * 61) % 1501;

        fill_frame(frame, len, i);
        send_frame(backend, frame, len, NULL);
        g_assert_cmpmem(found, packet_receive(peer, found, sizeof(found), &tag), frame, len);
        g_assert_cmpint(send(peer, frame, len, 0), ==, len);
        expect_frame(backend, frame, len);
    }
    expect_nothing(backend);
    g_assert_cmpuint(dropped(backend), ==, 0);
    g_assert_cmpuint(backend_counters(backend).sent, ==, 100);
    g_assert_cmpuint(backend_counters(backend).received, ==, 100);
    close(peer);
    backend_close(backend);
}

static void test_plain_frames(void)
{
    check_plain_frames("ifname=" NAME);
}

static void test_frames_without_header(void)
{
    VionetBackend *backend;

    check_plain_frames("ifname=" NAME ",vnet_hdr=off");
    backend = open_tap("vnet_hdr=off");
    g_assert_cmphex(backend_takes(backend), ==, 0);
    backend_set_offloads(backend, UINT64_MAX); /* without effect */
    backend_close(backend);
}

/* As many ranges as octets, more than the kernel takes at once. */
static void test_frames_in_pieces(void)
{
    VionetBackend *backend;
    uint8_t frame[1400];
    uint8_t found[2000];
    struct iovec iov[1400];
    uint16_t tag;
    int peer;

    backend = open_up("ifname=" NAME);
    peer = packet_socket(false);
    for (unsigned n = 14; n <= 1400; n += n < 300 ? 1 : 100) {
        const VionetFrame pieces = {.iov = iov, .n_iov = n, .len = n};

        fill_frame(frame, n, n);
        for (unsigned i = 0; i < n; i++) {
            iov[i] = (struct iovec){&frame[i], 1};
        }
        backend_send(backend, &pieces, 1);
        g_assert_cmpmem(found, packet_receive(peer, found, sizeof(found), &tag), frame, n);
    }
    g_assert_cmpuint(dropped(backend), ==, 0);
    close(peer);
    backend_close(backend);
}

static void test_vlan_frames(void)
{
    VionetBackend *backend;
    uint8_t frame[100];
    uint8_t found[200];
    uint16_t tag;
    int peer;

    backend = open_up("ifname=" NAME);
    peer = packet_socket(false);
    fill_frame(frame, sizeof(frame), 1);
    put16(frame + 12, 0x8100);
    put16(frame + 14, 0x2123);
    put16(frame + 16, 0x88b5);
    send_frame(backend, frame, sizeof(frame), NULL);
    g_assert_cmpuint(packet_receive(peer, found, sizeof(found), &tag), ==, 96);
    g_assert_cmphex(tag, ==, 0x2123);
    g_assert_cmpmem(found, 12, frame, 12);
    g_assert_cmpmem(found + 12, 84, frame + 16, 84);
    g_assert_cmpint(send(peer, frame, sizeof(frame), 0), ==, sizeof(frame));
    expect_frame(backend, frame, sizeof(frame));
    close(peer);
    backend_close(backend);
}

/* ---- Checksums and segments ---- */

static int udp_socket(uint16_t port)
{
    const struct sockaddr_in at = address(OURS, port);
    const struct timeval second = {.tv_sec = 1};
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second)), ==, 0);
    g_assert_cmpint(bind(fd, (const struct sockaddr *)&at, sizeof(at)), ==, 0);
    return fd;
}

static void udp_send(int fd, const void *octets, size_t n, uint16_t port)
{
    const struct sockaddr_in to = address(GUESTS, port);

    g_assert_cmpint(sendto(fd, octets, n, 0, (const struct sockaddr *)&to, sizeof(to)), ==, n);
}

/* The kernel's UDP takes an unfinished checksum, and leaves one to a guest that finishes it. */
static void test_unfinished_checksums(void)
{
    const VionetFrame unfinished = {
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .csum_start = TRANSPORT_AT,
        .csum_offset = 6,
    };
    VionetBackend *backend;
    uint8_t frame[TRANSPORT_AT + 8 + 5];
    char text[10];
    VionetFrame found;
    int udp;

    backend = open_up("ifname=" NAME);
    set_addresses(NAME, OURS, GUESTS);
    udp = udp_socket(7);
    fill_udp(frame, "hello", 9, 7);
    send_frame(backend, frame, sizeof(frame), &unfinished);
    g_assert_cmpint(recv(udp, text, sizeof(text), 0), ==, 5);
    g_assert_cmpmem(text, 5, "hello", 5);
    for (unsigned i = 0; i < 6; i++) {
        const bool on = i % 2;

        backend_set_offloads(backend, on ? OFFLOAD(CSUM) : 0);
        udp_send(udp, "answer", 6, 9);
        found = receive_frame(backend);
        g_assert_cmpuint(found.len, ==, TRANSPORT_AT + 8 + 6);
        g_assert_cmphex(found.flags, ==, on ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0);
        g_assert_cmpuint(found.csum_start, ==, on ? TRANSPORT_AT : 0);
        g_assert_cmpuint(found.csum_offset, ==, on ? 6 : 0);
        g_assert_true(has_finished_checksum(found.iov[0].iov_base, found.len) == !on);
        backend_complete(backend, &found, 1);
    }
    g_assert_cmpuint(dropped(backend), ==, 0);
    close(udp);
    backend_close(backend);
}

#define LARGE 40000

static const VionetFrame large_tcp = {
    .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
    .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
    .gso_size = 1460,
    .hdr_len = TCP_HEADERS,
    .csum_start = TRANSPORT_AT,
    .csum_offset = 16,
};

static const struct virtio_net_hdr large_header = {
    .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
    .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
    .gso_size = GUINT16_TO_LE(1460),
    .hdr_len = GUINT16_TO_LE(TCP_HEADERS),
    .csum_start = GUINT16_TO_LE(TRANSPORT_AT),
    .csum_offset = GUINT16_TO_LE(16),
};

/* What the guest wants segmented reaches a packet socket with the same header. */
static void test_large_frames_out(void)
{
    VionetBackend *backend;
    uint8_t *frame;
    uint8_t *found;
    uint16_t tag;
    int peer;

    backend = open_up("ifname=" NAME);
    g_assert_cmphex(backend_takes(backend) & (BACKEND_CSUM | BACKEND_GSO), ==,
                    BACKEND_CSUM | BACKEND_GSO);
    peer = packet_socket(true);
    frame = new_tcp((struct tcp){.flags = 0x10}, LARGE, true);
    found = g_malloc(65536);
    send_frame(backend, frame, TCP_HEADERS + LARGE, &large_tcp);
    g_assert_cmpuint(packet_receive(peer, found, 65536, &tag), ==, 10 + TCP_HEADERS + LARGE);
    g_assert_cmpmem(found, 2, &large_header, 2); /* how long it takes headers to be is its own */
    g_assert_cmpmem(found + 4, 6, &large_header.gso_size, 6);
    g_assert_cmpmem(found + 10, TCP_HEADERS + LARGE, frame, TCP_HEADERS + LARGE);
    g_free(frame);
    g_free(found);
    close(peer);
    backend_close(backend);
}

static void tcp_send(VionetBackend *backend, struct tcp tcp, size_t n)
{
    uint8_t *frame = new_tcp(tcp, n, true);
    VionetFrame like = large_tcp;

    if (n == 0) {
        like.gso_type = like.gso_size = like.hdr_len = 0;
    }
    send_frame(backend, frame, TCP_HEADERS + n, &like);
    g_free(frame);
}

/* The kernel's TCP takes 40000 octets in one frame, on a connection that was made by hand. */
static void test_large_frames_for_tcp(void)
{
    const struct sockaddr_in at = address(OURS, 80);
    VionetBackend *backend;
    VionetFrame answer;
    uint8_t *found = g_malloc(LARGE);
    uint8_t *expected = g_malloc(LARGE);
    uint32_t seq;
    int listener;
    int connection;

    backend = open_up("ifname=" NAME);
    set_addresses(NAME, OURS, GUESTS);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(listener, (const struct sockaddr *)&at, sizeof(at)), ==, 0);
    g_assert_cmpint(listen(listener, 1), ==, 0);
    tcp_send(backend, (struct tcp){.seq = 1000, .flags = 0x02}, 0);
    answer = receive_frame(backend);
    g_assert_cmphex(((uint8_t *)answer.iov[0].iov_base)[TRANSPORT_AT + 13], ==, 0x12);
    seq = get32((uint8_t *)answer.iov[0].iov_base + TRANSPORT_AT + 4) + 1;
    backend_complete(backend, &answer, 1);
    tcp_send(backend, (struct tcp){.seq = 1001, .ack = seq, .flags = 0x10}, 0);
    connection = accept(listener, NULL, NULL);
    g_assert_cmpint(connection, >=, 0);
    tcp_send(backend, (struct tcp){.seq = 1001, .ack = seq, .flags = 0x18}, LARGE);
    fill(expected, LARGE, 5);
    g_assert_cmpint(recv(connection, found, LARGE, MSG_WAITALL), ==, LARGE);
    g_assert_cmpmem(found, LARGE, expected, LARGE);
    g_assert_cmpuint(dropped(backend), ==, 0);
    close(connection);
    close(listener);
    backend_close(backend);
    g_free(found);
    g_free(expected);
}

/* Segments of new_tcp() by the kernel: all of it, in order and finished. */
static void expect_segments(VionetBackend *backend, const uint8_t *frame)
{
    size_t at = 0;

    while (at < LARGE) {
        VionetFrame found = receive_frame(backend);
        const uint8_t *octets = found.iov[0].iov_base;
        const size_t n = found.len - TCP_HEADERS;

        g_assert_cmphex(found.flags, ==, 0);
        g_assert_cmphex(found.gso_type, ==, 0);
        g_assert_cmpuint(n, ==, MIN(1460, LARGE - at));
        g_assert_cmpuint(get32(octets + TRANSPORT_AT + 4), ==, at);
        g_assert_true(has_finished_checksum(octets, found.len));
        g_assert_cmpmem(octets + TCP_HEADERS, n, frame + TCP_HEADERS + at, n);
        at += n;
        backend_complete(backend, &found, 1);
    }
}

/* The kernel leaves segmentation to a guest for as long as it wants it. */
static void test_offloads_at_run_time(void)
{
    VionetBackend *backend;
    uint8_t *frame;
    int peer;

    backend = open_up("ifname=" NAME);
    peer = packet_socket(true);
    frame = new_tcp((struct tcp){.flags = 0x10}, LARGE, false);
    for (unsigned i = 0; i < 6; i++) {
        const struct iovec iov[2] = {{(void *)&large_header, 10}, {frame, TCP_HEADERS + LARGE}};

        backend_set_offloads(backend, i % 2 ? OFFLOAD(CSUM) | OFFLOAD(TSO4) | OFFLOAD(ECN) : 0);
        g_assert_cmpint(writev(peer, iov, 2), ==, 10 + TCP_HEADERS + LARGE);
        if (i % 2) {
            VionetFrame found = receive_frame(backend);

            g_assert_cmphex(found.flags, ==, VIRTIO_NET_HDR_F_NEEDS_CSUM);
            g_assert_cmphex(found.gso_type, ==, VIRTIO_NET_HDR_GSO_TCPV4);
            g_assert_cmpuint(found.gso_size, ==, 1460);
            g_assert_cmpuint(found.hdr_len, >=, TCP_HEADERS);
            g_assert_cmpmem(found.iov[0].iov_base, found.len, frame, TCP_HEADERS + LARGE);
            backend_complete(backend, &found, 1);
        } else {
            expect_segments(backend, frame);
        }
        expect_nothing(backend);
    }
    g_free(frame);
    close(peer);
    backend_close(backend);
}

/* The kernel's UDP hands out 5 datagrams at once, or one by one. */
static void test_datagrams_at_run_time(void)
{
    static const uint8_t octets[5000];
    const int size = 1000;
    VionetBackend *backend;
    int udp;

    backend = open_up("ifname=" NAME);
    set_addresses(NAME, OURS, GUESTS);
    udp = udp_socket(7);
    g_assert_cmpint(setsockopt(udp, IPPROTO_UDP, 103, &size, sizeof(size)), ==, 0);
    for (unsigned i = 0; i < 4; i++) {
        const bool on = i % 2 && (backend_takes(backend) & BACKEND_USO);

        backend_set_offloads(backend, i % 2 ? OFFLOAD(CSUM) | OFFLOAD(USO4) | OFFLOAD(USO6) : 0);
        udp_send(udp, octets, sizeof(octets), 9);
        for (unsigned k = 0; k < (on ? 1 : 5); k++) {
            VionetFrame found = receive_frame(backend);

            g_assert_cmphex(found.gso_type, ==, on ? VIRTIO_NET_HDR_GSO_UDP_L4 : 0);
            g_assert_cmpuint(found.gso_size, ==, on ? 1000 : 0);
            g_assert_cmpuint(found.len, ==, TRANSPORT_AT + 8 + (on ? 5000 : 1000));
            backend_complete(backend, &found, 1);
        }
        expect_nothing(backend);
    }
    close(udp);
    backend_close(backend);
}

/* ---- Tunnels ---- */

#define OTHER_NAME   "vnt1"
#define OTHER_OURS   0xc0a80901u
#define OTHER_GUESTS 0xc0a80902u

/* Outer Ethernet, IPv4, UDP, VXLAN and inner Ethernet in front of new_tcp() of 10000 octets. */
#define INNER_NH_AT   64
#define TUNNEL_LEN    (INNER_NH_AT - IP_AT)
#define TUNNEL_OCTETS 10000

static uint8_t *new_tunnelled(void)
{
    uint8_t *inner = new_tcp((struct tcp){.flags = 0x10}, TUNNEL_OCTETS, true);
    const size_t len = TUNNEL_LEN + TCP_HEADERS + TUNNEL_OCTETS;
    uint8_t *frame = g_malloc0(len);

    memcpy(frame + TUNNEL_LEN, inner, TCP_HEADERS + TUNNEL_OCTETS);
    put16(frame + TRANSPORT_AT, 1234);
    put16(frame + TRANSPORT_AT + 2, 4789);
    put16(frame + TRANSPORT_AT + 4, (unsigned)(len - TRANSPORT_AT));
    frame[TRANSPORT_AT + 8] = 0x08;
    fill_ip(frame, 17, len - TRANSPORT_AT, true);
    put32(frame + IP_AT + 16, OTHER_GUESTS);
    put16(frame + IP_AT + 10, 0);
    put16(frame + IP_AT + 10, ~add_words(frame + IP_AT, 20, 0));
    put16(frame + TRANSPORT_AT + 6, 0); /* no outer checksum */
    g_free(inner);
    return frame;
}

static const VionetFrame tunnelled = {
    .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
    .gso_type = VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV4,
    .gso_size = 1300,
    .hdr_len = TUNNEL_LEN + TCP_HEADERS,
    .csum_start = TUNNEL_LEN + TRANSPORT_AT,
    .csum_offset = 16,
    .outer_th_offset = TRANSPORT_AT,
    .inner_nh_offset = INNER_NH_AT,
};

/* As it was sent, but for a hop. */
static void expect_tunnelled(VionetBackend *backend, const uint8_t *frame)
{
    VionetFrame found = receive_frame(backend);
    const size_t len = TUNNEL_LEN + TCP_HEADERS + TUNNEL_OCTETS;

    g_assert_cmphex(found.flags, ==, tunnelled.flags);
    g_assert_cmphex(found.gso_type, ==, tunnelled.gso_type);
    g_assert_cmpuint(found.gso_size, ==, 1300);
    g_assert_cmpuint(found.csum_start, ==, tunnelled.csum_start);
    g_assert_cmpuint(found.outer_th_offset, ==, TRANSPORT_AT);
    g_assert_cmpuint(found.inner_nh_offset, ==, INNER_NH_AT);
    g_assert_cmpuint(found.len, ==, len);
    g_assert_cmpmem((uint8_t *)found.iov[0].iov_base + TRANSPORT_AT, len - TRANSPORT_AT,
                    frame + TRANSPORT_AT, len - TRANSPORT_AT);
    backend_complete(backend, &found, 1);
}

/* Made by the kernel; their inner checksums are left to a guest that finishes some. */
static void expect_tunnelled_segments(VionetBackend *backend, const uint8_t *frame, bool finished)
{
    for (size_t at = 0; at < TUNNEL_OCTETS; at += 1300) {
        const size_t n = MIN(1300, TUNNEL_OCTETS - at);
        const size_t headers = TUNNEL_LEN + TCP_HEADERS;
        VionetFrame found = receive_frame(backend);
        const uint8_t *octets = found.iov[0].iov_base;

        g_assert_cmphex(found.flags, ==, finished ? 0 : VIRTIO_NET_HDR_F_NEEDS_CSUM);
        g_assert_cmphex(found.gso_type, ==, 0);
        g_assert_cmpuint(found.len, ==, headers + n);
        g_assert_cmpuint(found.csum_start, ==, finished ? 0 : tunnelled.csum_start);
        g_assert_true(has_finished_checksum(octets + TUNNEL_LEN, found.len - TUNNEL_LEN) ==
                      finished);
        g_assert_cmpmem(octets + headers, n, frame + headers + at, n);
        backend_complete(backend, &found, 1);
    }
}

/* From one guest through the kernel to another, which takes it as it is or does not. */
static void test_tunnels(void)
{
    const uint64_t plain =
        OFFLOAD(CSUM) | OFFLOAD(TSO4) | OFFLOAD(TSO6) | OFFLOAD(USO4) | OFFLOAD(USO6);
    const uint64_t tunnel = UINT64_C(1) << VIRTIO_NET_OFFLOAD_GUEST_UDP_TUNNEL_GSO;
    VionetBackend *from;
    VionetBackend *to;
    uint8_t *frame;

    from = open_up("ifname=" NAME);
    if (!(backend_takes(from) & BACKEND_TUNNEL)) {
        g_test_skip("the kernel knows no segmentation inside UDP tunnels (Linux 6.17)");
        backend_close(from);
        return;
    }
    to = open_tap("ifname=" OTHER_NAME);
    set_up(OTHER_NAME);
    set_addresses(NAME, OURS, GUESTS);
    set_addresses(OTHER_NAME, OTHER_OURS, OTHER_GUESTS);
    g_assert_true(write_file("/proc/sys/net/ipv4/ip_forward", "1"));
    frame = new_tunnelled();
    for (unsigned i = 0; i < 4; i++) {
        backend_set_offloads(to, i % 2 ? plain | tunnel : i / 2 ? plain : 0);
        send_frame(from, frame, TUNNEL_LEN + TCP_HEADERS + TUNNEL_OCTETS, &tunnelled);
        if (i % 2) {
            expect_tunnelled(to, frame);
        } else {
            expect_tunnelled_segments(to, frame, i == 0);
        }
        expect_nothing(to);
    }
    g_assert_cmpuint(dropped(from), ==, 0);
    g_assert_cmpuint(dropped(to), ==, 0);
    g_free(frame);
    backend_close(from);
    backend_close(to);
}

/* ---- Queues ---- */

static void test_queues(void)
{
    const int flags = IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE | IFF_VNET_HDR;
    VionetBackend *backend;
    struct pollfd fds[2];
    char *text;
    int udp;

    for (unsigned i = 0; i < 2; i++) {
        fds[i] = (struct pollfd){.fd = open_descriptor(flags), .events = POLLIN};
    }
    text = g_strdup_printf("fds=%d:%d", fds[0].fd, fds[1].fd);
    backend = open_up(text);
    set_addresses(NAME, OURS, GUESTS);
    udp = udp_socket(7);
    /* The kernel answers each flow on the queue that it came on: we have spread them. */
    for (unsigned i = 0; i < 64; i++) {
        uint8_t frame[TRANSPORT_AT + 8 + 1];
        char octet;

        fill_udp(frame, "x", (uint16_t)(100 + i), 7);
        put16(frame + TRANSPORT_AT + 6, 0); /* none */
        send_frame(backend, frame, sizeof(frame), NULL);
        g_assert_cmpint(recv(udp, &octet, 1, 0), ==, 1);
        udp_send(udp, "answer", 6, (uint16_t)(100 + i));
    }
    g_assert_cmpint(poll(fds, 2, 1000), ==, 2);
    for (unsigned i = 0; i < 64; i++) {
        VionetFrame found = receive_frame(backend);

        backend_complete(backend, &found, 1);
    }
    expect_nothing(backend);
    g_assert_cmpuint(dropped(backend), ==, 0);
    g_free(text);
    close(udp);
    backend_close(backend);
}

/* ---- Back-pressure ---- */

static void send_many(int peer, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint8_t frame[60];

        fill_frame(frame, sizeof(frame), i);
        g_assert_cmpint(send(peer, frame, sizeof(frame), 0), ==, sizeof(frame));
    }
}

/* Frames that are not given back hold their places, and the rest waits in the kernel. */
static void test_places_are_bounded(void)
{
    VionetBackend *backend;
    VionetFrame frames[200];
    int peer;

    backend = open_up("ifname=" NAME);
    peer = packet_socket(false);
    send_many(peer, 100);
    g_usleep(1000);
    g_assert_cmpuint(backend_receive(backend, frames, 200), ==, 64);
    g_assert_cmpuint(backend_receive(backend, &frames[64], 136), ==, 0);
    backend_complete(backend, &frames[1], 63);
    g_assert_cmpuint(backend_receive(backend, &frames[64], 136), ==, 0);
    backend_complete(backend, &frames[0], 1);
    g_assert_cmpuint(backend_receive(backend, &frames[64], 136), ==, 36);
    for (unsigned i = 64; i < 100; i++) {
        uint8_t expected[60];

        fill_frame(expected, sizeof(expected), i);
        g_assert_cmpmem(frames[i].iov[0].iov_base, frames[i].len, expected, sizeof(expected));
    }
    close(peer);
    backend_close(backend); /* with some out */
}

static void count_ready(void *opaque)
{
    ++*(unsigned *)opaque;
}

static unsigned turns(GMainContext *context, unsigned n)
{
    unsigned busy = 0;

    for (unsigned i = 0; i < n; i++) {
        busy += g_main_context_iteration(context, FALSE);
    }
    return busy;
}

/* Its queues are the interface's: what comes, comes on one of them; what each sends, arrives. */
static void test_split(void)
{
    VionetBackend *backend;
    GError *error = NULL;
    uint8_t frame[64];
    uint8_t found[100];
    uint16_t tag;
    int peer;

    backend = open_up("ifname=" NAME ",queues=2");
    peer = packet_socket(false);
    g_assert_false(backend_split(backend, 3, &error));
    g_assert_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG);
    g_assert_cmpstr(error->message, ==, "backend tap: 3 queues are wanted, it has 2 (queues=3)");
    g_error_free(error);
    g_assert_cmpuint(backend_n_queues(backend), ==, 0);
    g_assert_true(backend_split(backend, 2, NULL));
    for (unsigned i = 0; i < 2; i++) {
        fill_frame(frame, sizeof(frame), i);
        send_frame(backend_queue(backend, i), frame, sizeof(frame), NULL);
        g_assert_cmpmem(found, packet_receive(peer, found, sizeof(found), &tag), frame,
                        sizeof(frame));
    }
    send_many(peer, 3);
    for (unsigned taken = 0; taken < 3;) {
        for (unsigned i = 0; i < 2; i++) {
            VionetFrame one;

            if (backend_receive(backend_queue(backend, i), &one, 1) == 1) {
                backend_complete(backend_queue(backend, i), &one, 1);
                taken++;
            }
        }
    }
    g_assert_cmpuint(backend_counters(backend).sent, ==, 2);
    g_assert_cmpuint(backend_counters(backend).received, ==, 3);
    close(peer);
    backend_close(backend);
    g_assert_cmpuint(if_nametoindex(NAME), ==, 0);
}

/* Ready is said once, after having been asked in vain, and never else. */
static void test_ready(void)
{
    GMainContext *context = g_main_context_new();
    VionetBackend *backend;
    VionetFrame frames[8];
    unsigned ready = 0;
    int peer;

    backend = open_up("ifname=" NAME ",queues=2");
    peer = packet_socket(false);
    backend_attach(backend, context, count_ready, &ready);
    send_many(peer, 3);
    g_assert_cmpuint(turns(context, 100), ==, 0); /* nobody asked */
    g_assert_cmpuint(backend_receive(backend, frames, 2), ==, 2);
    g_assert_cmpuint(turns(context, 100), ==, 0); /* not in vain */
    g_assert_cmpuint(backend_receive(backend, &frames[2], 6), ==, 1);
    g_assert_cmpuint(turns(context, 100), ==, 0); /* in vain, but nothing came */
    send_many(peer, 2);
    g_assert_cmpuint(turns(context, 100), ==, 1);
    g_assert_cmpuint(ready, ==, 1);
    g_assert_cmpuint(backend_receive(backend, &frames[3], 5), ==, 2);
    backend_close(backend); /* while it watches */
    g_assert_cmpuint(turns(context, 10), ==, 0);
    close(peer);
    g_main_context_unref(context);
}

/* ---- Trouble ---- */

static void test_link_down(void)
{
    VionetBackend *backend;
    uint8_t frame[60];
    uint8_t found[100];
    uint16_t tag;
    int peer;

    backend = open_tap("ifname=" NAME);
    fill_frame(frame, sizeof(frame), 1);
    for (unsigned i = 0; i < 10; i++) {
        send_frame(backend, frame, sizeof(frame), NULL);
    }
    g_assert_cmpuint(dropped(backend), ==, 10);
    expect_nothing(backend);
    set_up(NAME);
    peer = packet_socket(false);
    send_frame(backend, frame, sizeof(frame), NULL);
    g_assert_cmpmem(found, packet_receive(peer, found, sizeof(found), &tag), frame, sizeof(frame));
    g_assert_cmpuint(dropped(backend), ==, 10);
    close(peer);
    backend_close(backend);
}

/* What the kernel does not believe is dropped, whatever the header says. */
static void test_senseless_headers(void)
{
    VionetBackend *backend;
    uint8_t frame[100];

    backend = open_up("ifname=" NAME);
    fill_frame(frame, sizeof(frame), 1);
    for (unsigned type = 0; type < 256; type++) {
        VionetFrame like = {.gso_type = (uint8_t)type, .hdr_len = 65535, .gso_size = 1};

        like.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        like.csum_start = 65535;
        send_frame(backend, frame, sizeof(frame), &like);
        like.csum_start = (uint16_t)type;
        send_frame(backend, frame, sizeof(frame), &like);
    }
    send_frame(backend, frame, 0, NULL);
    send_frame(backend, frame, 13, NULL);
    g_assert_cmpuint(dropped(backend), >=, 256 + 2);
    backend_close(backend);
}

static void test_a_deleted_interface(void)
{
    GMainContext *context = g_main_context_new();
    VionetBackend *backend;
    VionetFrame frame;
    uint8_t octets[60];
    unsigned ready = 0;

    backend = open_up("ifname=" NAME ",queues=2");
    backend_attach(backend, context, count_ready, &ready);
    g_assert_cmpuint(backend_receive(backend, &frame, 1), ==, 0);
    delete_interface();
    g_assert_cmpuint(turns(context, 100), ==, 1);
    g_assert_cmpuint(ready, ==, 1);
    g_test_expect_message("vionet", G_LOG_LEVEL_WARNING, "backend tap: the interface is gone*");
    g_assert_cmpuint(backend_receive(backend, &frame, 1), ==, 0);
    g_test_assert_expected_messages();
    g_assert_cmpuint(backend_receive(backend, &frame, 1), ==, 0);
    g_assert_cmpuint(turns(context, 100), ==, 0);
    fill_frame(octets, sizeof(octets), 1);
    send_frame(backend, octets, sizeof(octets), NULL);
    g_assert_cmpuint(dropped(backend), ==, 1);
    backend_set_offloads(backend, OFFLOAD(CSUM));
    backend_close(backend);
    g_main_context_unref(context);
}

/* ---- A guest ---- */

/* A guest whose driver runs, on an interface that is up; its backend lives with the event loop. */
static struct bench *guest_up(const char *properties, const char *backend,
                              const struct net_options *options)
{
    struct bench *guest = bench_new(properties, backend);

    set_up(NAME);
    bench_attach(guest);
    bench_start(guest, options, features_of(FEATURES_END));
    return guest;
}

/* Many more than the guest has buffers for, each by way of the event loop. */
static void test_guest_frames(void)
{
    const struct net_options options = {.receive_buffers = 4, .receive_batch = 1};
    struct bench *guest;
    uint8_t frame[60];
    uint8_t found[100];
    uint16_t tag;
    int peer;

    guest = guest_up("", "tap,ifname=" NAME, &options);
    peer = packet_socket(false);
    for (unsigned round = 0; round < 5; round++) {
        send_many(peer, 200);
        for (unsigned i = 0; i < 200; i++) {
            const struct guest_packet packet = bench_receive(guest);

            fill_frame(frame, sizeof(frame), i);
            g_assert_cmpmem(packet.data, packet.len, frame, sizeof(frame));
            net_recycle(guest->net);
        }
        while (g_main_context_iteration(guest->context, FALSE)) {
        }
        fill_frame(frame, sizeof(frame), round);
        g_assert_true(net_transmit(guest->net, 0, NULL, frame, sizeof(frame)));
        g_assert_cmpmem(found, packet_receive(peer, found, sizeof(found), &tag), frame,
                        sizeof(frame));
    }
    close(peer);
    bench_free(guest);
}

/* What the driver negotiates and switches reaches the kernel. */
static void test_guest_offloads(void)
{
    const struct iovec header = {(void *)&large_header, 10};
    struct bench *guest;
    uint8_t *frame;
    int peer;

    guest = guest_up("csum=on,guest_csum=on,guest_tso4=on,ctrl_guest_offloads=on",
                     "tap,ifname=" NAME, NULL);
    peer = packet_socket(true);
    frame = new_tcp((struct tcp){.flags = 0x10}, LARGE, false);
    for (unsigned i = 0; i < 4; i++) {
        const struct iovec iov[2] = {header, {frame, TCP_HEADERS + LARGE}};
        const bool on = i % 2 == 0;

        g_assert_cmpint(writev(peer, iov, 2), ==, 10 + TCP_HEADERS + LARGE);
        for (size_t at = 0; at < LARGE; at += on ? LARGE : 1460) {
            const struct guest_packet packet = bench_receive(guest);

            g_assert_cmpuint(packet.len, ==, TCP_HEADERS + (on ? LARGE : MIN(1460, LARGE - at)));
            g_assert_cmphex(packet.header.gso_type, ==, on ? VIRTIO_NET_HDR_GSO_TCPV4 : 0);
            net_recycle(guest->net);
        }
        g_assert_cmpint(net_control_offloads(guest->net, on ? 0 : OFFLOAD(CSUM) | OFFLOAD(TSO4)),
                        ==, VIRTIO_NET_OK);
    }
    g_free(frame);
    close(peer);
    bench_free(guest);
}

/* Nobody has to ask for what suits an interface with a packet header. */
static void test_guest_suits(void)
{
    static const unsigned bits[] = {
        VIRTIO_NET_F_CSUM,      VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_HOST_TSO4,
        VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_TSO6,
        VIRTIO_NET_F_GUEST_ECN,
    };

    for (unsigned k = 0; k < 2; k++) {
        struct bench *guest = guest_up(
            "host_ecn=off", k ? "tap,vnet_hdr=off,ifname=" NAME : "tap,ifname=" NAME, NULL);
        const uint64_t *features =
            vionet_device_config(vionet_frontend_device(guest->frontend))->features;

        for (size_t i = 0; i < G_N_ELEMENTS(bits); i++) {
            g_assert_true(vionet_features_test(features, bits[i]) == (k == 0));
        }
        g_assert_false(vionet_features_test(features, VIRTIO_NET_F_HOST_ECN));
        bench_free(guest);
    }
}

/* Without a packet header the frontend segments for the kernel. */
static void test_guest_without_header(void)
{
    const struct net_header header = {
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
        .gso_size = 1460,
        .csum_start = TRANSPORT_AT,
        .csum_offset = 16,
    };
    struct bench *guest;
    uint8_t *frame;
    int peer;

    guest = guest_up("csum=on,host_tso4=on", "tap,vnet_hdr=off,ifname=" NAME, NULL);
    peer = packet_socket(false);
    frame = new_tcp((struct tcp){.flags = 0x10}, LARGE, true);
    g_assert_true(net_transmit(guest->net, 0, &header, frame, TCP_HEADERS + LARGE));
    for (size_t at = 0; at < LARGE; at += 1460) {
        const size_t n = MIN(1460, LARGE - at);
        uint8_t found[2000];
        uint16_t tag;

        g_assert_cmpuint(packet_receive(peer, found, sizeof(found), &tag), ==, TCP_HEADERS + n);
        g_assert_cmpuint(get32(found + TRANSPORT_AT + 4), ==, at);
        g_assert_true(has_finished_checksum(found, TCP_HEADERS + n));
        g_assert_cmpmem(found + TCP_HEADERS, n, frame + TCP_HEADERS + at, n);
    }
    g_free(frame);
    close(peer);
    bench_free(guest);
}

/* These need interfaces of their own. */
static const struct tap_test {
    const char *path;
    void (*run)(void);
} tests[] = {
    {"/tap/options/interfaces", test_refused_interfaces},
    {"/tap/options/descriptors", test_refused_descriptors},
    {"/tap/options/closed", test_descriptors_are_closed},
    {"/tap/frames/plain", test_plain_frames},
    {"/tap/frames/without-header", test_frames_without_header},
    {"/tap/frames/pieces", test_frames_in_pieces},
    {"/tap/frames/vlan", test_vlan_frames},
    {"/tap/offloads/checksum", test_unfinished_checksums},
    {"/tap/offloads/large-out", test_large_frames_out},
    {"/tap/offloads/large-tcp", test_large_frames_for_tcp},
    {"/tap/offloads/run-time", test_offloads_at_run_time},
    {"/tap/offloads/datagrams", test_datagrams_at_run_time},
    {"/tap/offloads/tunnels", test_tunnels},
    {"/tap/queues", test_queues},
    {"/tap/places", test_places_are_bounded},
    {"/tap/ready", test_ready},
    {"/tap/split", test_split},
    {"/tap/trouble/link-down", test_link_down},
    {"/tap/trouble/senseless", test_senseless_headers},
    {"/tap/trouble/deleted", test_a_deleted_interface},
    {"/tap/guest/frames", test_guest_frames},
    {"/tap/guest/offloads", test_guest_offloads},
    {"/tap/guest/suits", test_guest_suits},
    {"/tap/guest/without-header", test_guest_without_header},
};

static void run_or_skip(gconstpointer data)
{
    const struct tap_test *test = data;

    if (missing) {
        g_test_skip(missing);
    } else {
        test->run();
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    find_out_what_is_missing();
    g_test_add_func("/tap/options/refused", test_refused_options);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_test_add_data_func(tests[i].path, &tests[i], run_or_skip);
    }
    return g_test_run();
}
