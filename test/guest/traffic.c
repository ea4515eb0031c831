// SPDX-License-Identifier: BSD-3-Clause
// TCP and UDP traffic for guest and host.
//
//   traffic tcp-listen PORT          takes one connection, reads to its end
//   traffic tcp-listen-send PORT S   takes one connection, sends for S seconds
//   traffic tcp-send HOST PORT S     connects, sends for S seconds
//   traffic tcp-receive HOST PORT    connects, reads to the end
//   traffic udp-send HOST PORT N LENGTH [FLOWS]  sends N datagrams in turn from FLOWS source ports
//   traffic udp-listen PORT S        reads until none comes for S seconds
//   traffic unix-listen PATH S       reads frames of QEMU's -netdev dgram until none comes for S seconds
//
// An empty datagram ends the last two at once.
// All print "BYTES SECONDS" (udp: "PACKETS SECONDS") at the end; the tcp senders count until the other side
// has read everything. What TCP carries is a pattern that the reader checks; udp-send numbers its datagrams.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { period = 65521, chunk = 65536 };
static uint8_t pattern[period + chunk], buffer[chunk];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void die(const char *what)
{
    fprintf(stderr, "traffic: %s: %s\n", what, errno ? strerror(errno) : "wrong data");
    exit(1);
}

static struct sockaddr_in address(const char *host, const char *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    if (inet_pton(AF_INET, host, &a.sin_addr) != 1)
        die(host);
    return a;
}

static int listening(const char *port, int type)
{
    struct sockaddr_in a = address("0.0.0.0", port);
    int fd = socket(AF_INET, type, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
        die("bind");
    return fd;
}

static int accepted(const char *port)
{
    int fd = listening(port, SOCK_STREAM);
    if (listen(fd, 1) < 0)
        die("listen");
    fprintf(stderr, "listening\n");
    int connection = accept(fd, NULL, NULL);
    if (connection < 0)
        die("accept");
    close(fd);
    return connection;
}

static int connected(const char *host, const char *port)
{
    struct sockaddr_in a = address(host, port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
        die("connect");
    return fd;
}

static void report(uint64_t amount, double seconds)
{
    printf("%llu %.3f\n", (unsigned long long)amount, seconds);
}

static void receive(int fd)
{
    uint64_t total = 0;
    double start = now();
    for (ssize_t got; (got = read(fd, buffer, sizeof(buffer))) != 0; total += (uint64_t)got) {
        if (got < 0)
            die("read");
        errno = 0;
        if (memcmp(buffer, pattern + total % period, (size_t)got) != 0)
            die("read");
    }
    report(total, now() - start);
}

static void transmit(int fd, double seconds)
{
    uint64_t total = 0;
    double start = now();
    while (now() - start < seconds) {
        ssize_t sent = write(fd, pattern + total % period, chunk);
        if (sent < 0)
            die("write");
        total += (uint64_t)sent;
    }
    shutdown(fd, SHUT_WR);
    // The end, when the reader has read all and closes.
    if (read(fd, buffer, 1) < 0)
        die("read");
    report(total, now() - start);
}

static void udp_send(const char *host, const char *port, long packets, size_t length, int flows)
{
    struct sockaddr_in a = address(host, port);
    int *fds = calloc((size_t)flows, sizeof(*fds));
    for (int i = 0; i < flows; i++) {
        fds[i] = socket(AF_INET, SOCK_DGRAM, 0);
        if (fds[i] < 0 || connect(fds[i], (struct sockaddr *)&a, sizeof(a)) < 0)
            die("connect");
    }
    double start = now();
    for (long n = 0; n < packets; n++) {
        snprintf((char *)buffer, sizeof(buffer), "%08ld", n);
        // Nobody listening yet is told at the next send.
        if (send(fds[n % flows], buffer, length, 0) < 0 && errno != ECONNREFUSED)
            die("send");
    }
    report((uint64_t)packets, now() - start);
}

static int unix_listening(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (strlen(path) >= sizeof(a.sun_path))
        die("a path too long");
    strcpy(a.sun_path, path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
        die("bind");
    return fd;
}

static void count(int fd, double seconds)
{
    int bytes = 1 << 23;
    struct timeval patience = {.tv_sec = (time_t)seconds,
                               .tv_usec = (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6)};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    fprintf(stderr, "listening\n");
    uint64_t packets = 0;
    double first = 0, last = 0;
    while (recv(fd, buffer, sizeof(buffer), 0) > 0) {
        last = now();
        if (packets++ == 0)
            first = last;
    }
    report(packets, last - first);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = (uint8_t)((i % period) * 2654435761U >> 24);
    if (strcmp(what, "tcp-listen") == 0 && argc == 3)
        receive(accepted(argv[2]));
    else if (strcmp(what, "tcp-listen-send") == 0 && argc == 4)
        transmit(accepted(argv[2]), atof(argv[3]));
    else if (strcmp(what, "tcp-send") == 0 && argc == 5)
        transmit(connected(argv[2], argv[3]), atof(argv[4]));
    else if (strcmp(what, "tcp-receive") == 0 && argc == 4)
        receive(connected(argv[2], argv[3]));
    else if (strcmp(what, "udp-send") == 0 && (argc == 6 || argc == 7))
        udp_send(argv[2], argv[3], atol(argv[4]), (size_t)atol(argv[5]) % chunk,
                 argc == 7 ? atoi(argv[6]) : 1);
    else if (strcmp(what, "udp-listen") == 0 && argc == 4)
        count(listening(argv[2], SOCK_DGRAM), atof(argv[3]));
    else if (strcmp(what, "unix-listen") == 0 && argc == 4)
        count(unix_listening(argv[2]), atof(argv[3]));
    else {
        fprintf(stderr, "usage: see traffic.c\n");
        return 2;
    }
    return 0;
}
