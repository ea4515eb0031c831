/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The backends "stream" and "dgram" (device/backend_stream.c, backend_dgram.c) against real peers:
 * sockets of this test, whose octets are written and read by hand. No test leaves a descriptor.
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

#include "backend.h"

#define PATIENT 10000 /* milliseconds that anything may take */
#define LARGEST 69632 /* octets of the largest frame */

/* ---- A backend, its loop and a place for sockets ---- */

struct bench {
    char *dir;
    unsigned fds; /* open before */
    VionetBackend *backend;
    GMainContext *context;
    unsigned n_ready;
};

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

static void bench_init(struct bench *bench)
{
    memset(bench, 0, sizeof(*bench));
    bench->fds = count_fds();
    bench->dir = g_dir_make_tmp("vionet-sockets-XXXXXX", NULL);
    bench->context = g_main_context_new();
}

static void count_ready(void *opaque)
{
    ((struct bench *)opaque)->n_ready++;
}

/* Opens a backend; %s in format is the directory, each time. */
static void bench_open(struct bench *bench, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void bench_open(struct bench *bench, const char *format, ...)
{
    GError *error = NULL;
    va_list arguments;
    char *text;

    va_start(arguments, format);
    text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    bench->backend = backend_open(text, &error);
    g_assert_no_error(error);
    backend_attach(bench->backend, bench->context, count_ready, bench);
    g_free(text);
}

/* Everything but files of the test's own must be gone then. */
static void bench_close(struct bench *bench)
{
    backend_close(bench->backend);
    g_main_context_unref(bench->context);
    g_assert_cmpint(g_rmdir(bench->dir), ==, 0);
    g_free(bench->dir);
    g_assert_cmpuint(count_fds(), ==, bench->fds);
}

static void bench_unlink(struct bench *bench, const char *name)
{
    char *path = g_build_filename(bench->dir, name, NULL);

    g_assert_cmpint(g_unlink(path), ==, 0);
    g_free(path);
}

static gboolean tick(gpointer nothing)
{
    return G_SOURCE_CONTINUE;
}

static void run_for(struct bench *bench, unsigned ms)
{
    const gint64 end = g_get_monotonic_time() + ms * 1000;
    GSource *ticks = g_timeout_source_new(2);

    g_source_set_callback(ticks, tick, NULL, NULL);
    g_source_attach(ticks, bench->context);
    do {
        g_main_context_iteration(bench->context, TRUE);
    } while (g_get_monotonic_time() < end);
    g_source_destroy(ticks);
    g_source_unref(ticks);
}

/* ---- Frames ---- */

static void send_frame(struct bench *bench, const void *octets, size_t len)
{
    const struct iovec iov = {(void *)octets, len};
    const VionetFrame frame = {.iov = &iov, .n_iov = 1, .len = (uint32_t)len};

    g_assert_false(backend_send(bench->backend, &frame, 1));
}

static uint64_t dropped(const struct bench *bench)
{
    return backend_counters(bench->backend).dropped;
}

/* Waits for a frame, copies it into octets of LARGEST, gives it back. */
static size_t take(struct bench *bench, uint8_t *octets)
{
    const gint64 end = g_get_monotonic_time() + PATIENT * 1000;
    VionetFrame frame;
    size_t len;

    while (backend_receive(bench->backend, &frame, 1) == 0) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        run_for(bench, 0);
    }
    g_assert_cmpuint(frame.n_iov, ==, 1);
    g_assert_cmpuint(frame.iov[0].iov_len, ==, frame.len);
    len = frame.len;
    memcpy(octets, frame.iov[0].iov_base, len);
    backend_complete(bench->backend, &frame, 1);
    return len;
}

static void assert_take(struct bench *bench, const void *expected, size_t len)
{
    uint8_t *octets = g_malloc(LARGEST);

    g_assert_cmpmem(octets, take(bench, octets), expected, len);
    g_free(octets);
}

static bool nothing_comes(struct bench *bench)
{
    VionetFrame frame;

    return backend_receive(bench->backend, &frame, 1) == 0;
}

/* ---- Peers ---- */

static struct sockaddr_un unix_address(const struct bench *bench, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    g_snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", bench->dir, name);
    return address;
}

static int unix_bind(const struct bench *bench, const char *name, int type)
{
    const struct sockaddr_un address = unix_address(bench, name);
    const int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    g_assert_cmpint(bind(fd, (const struct sockaddr *)&address, sizeof(address)), ==, 0);
    if (type == SOCK_STREAM) {
        g_assert_cmpint(listen(fd, 4), ==, 0);
    }
    return fd;
}

static int unix_connect(const struct bench *bench, const char *name)
{
    const struct sockaddr_un address = unix_address(bench, name);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(connect(fd, (const struct sockaddr *)&address, sizeof(address)), ==, 0);
    g_assert_cmpint(fcntl(fd, F_SETFL, O_NONBLOCK), ==, 0);
    return fd;
}

static int inet_socket(int type, unsigned *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    const int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, len), ==, 0);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&address, &len), ==, 0);
    *port = ntohs(address.sin_port);
    return fd;
}

static int wait_for_peer(struct bench *bench, int listener)
{
    const gint64 end = g_get_monotonic_time() + PATIENT * 1000;
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) < 0) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        run_for(bench, 0);
    }
    return fd;
}

/* Reads exactly len octets at the peer's end. */
static void peer_read(struct bench *bench, int fd, void *octets, size_t len)
{
    const gint64 end = g_get_monotonic_time() + PATIENT * 1000;
    size_t n = 0;

    while (n < len) {
        const ssize_t now = read(fd, (uint8_t *)octets + n, len - n);

        g_assert_true(now > 0 || (now < 0 && errno == EAGAIN));
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        n += now > 0 ? (size_t)now : 0;
        run_for(bench, 0);
    }
}

static void peer_write(int fd, const void *octets, size_t len)
{
    g_assert_cmpint(write(fd, octets, len), ==, (ssize_t)len);
}

/* Whether the backend closes the connection. */
static void wait_for_end(struct bench *bench, int fd)
{
    const gint64 end = g_get_monotonic_time() + PATIENT * 1000;
    uint8_t octet;

    while (read(fd, &octet, 1) != 0) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_assert_true(nothing_comes(bench));
        run_for(bench, 0);
    }
}

/* A server at the socket "s", and a peer that it has let in. */
static int bench_up(struct bench *bench)
{
    int peer;

    bench_init(bench);
    bench_open(bench, "stream,server=on,addr.type=unix,addr.path=%s/s", bench->dir);
    peer = unix_connect(bench, "s");
    run_for(bench, 1);
    return peer;
}

/* ---- Options ---- */

static void assert_refused(const char *text, const char *sentence)
{
    const unsigned before = count_fds();
    GError *error = NULL;

    g_assert_null(backend_open(text, &error));
    g_assert_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG);
    g_assert_cmpstr(error->message, ==, sentence);
    g_error_free(error);
    g_assert_cmpuint(count_fds(), ==, before);
}

static void test_refused_options(void)
{
    static const char *const cases[][2] = {
        {"stream", "option addr.type is missing"},
        {"stream,addr.path=/x", "option addr.type is missing"},
        {"stream,addr.type=tcp", "addr.type=tcp: expected inet, unix or fd"},
        {"stream,addr.type=unix", "option addr.path is missing"},
        {"stream,addr.type=unix,addr.path=/x,addr.port=1",
         "addr.port=1: expected with another type only"},
        {"stream,addr.type=inet,addr.port=1", "option addr.host is missing"},
        {"stream,addr.type=inet,addr.host=::1", "option addr.port is missing"},
        {"stream,addr.type=inet,addr.host=::1,addr.port=0",
         "addr.port=0: expected a number from 1 to 65535"},
        {"stream,addr.type=inet,addr.host=example.org,addr.port=1",
         "addr.host=example.org: expected an IPv4 or IPv6 address, or localhost"},
        {"stream,addr.type=fd", "option addr.str is missing"},
        {"stream,addr.type=fd,addr.str=x", "addr.str=x: expected the number of a descriptor"},
        {"stream,addr.type=fd,addr.str=1000000", "addr.str=1000000: Bad file descriptor"},
        {"stream,addr.type=unix,addr.path=/x,server=1", "server=1: expected on or off"},
        {"stream,addr.type=unix,addr.path=/x,reconnect=3601",
         "reconnect=3601: expected a number from 0 to 3600"},
        {"stream,addr.type=unix,addr.path=/x,reconnect-ms=x",
         "reconnect-ms=x: expected a number from 0 to 3600000"},
        {"stream,addr.type=unix,addr.path=/x,reconnect=1,reconnect-ms=1",
         "reconnect-ms=1: expected one of reconnect and reconnect-ms"},
        {"stream,addr.type=unix,addr.path=/x,server=on,reconnect=1",
         "reconnect=1: expected an address to connect to, not server=on or a descriptor"},
        {"stream,addr.type=unix,addr.path=/nowhere/x",
         "addr.path=/nowhere/x: No such file or directory"},
        {"stream,addr.type=unix,addr.path=/nowhere/x,server=on",
         "addr.path=/nowhere/x: No such file or directory"},
        {"dgram", "option remote.type is missing"},
        {"dgram,local.type=unix,local.path=/x", "option remote.type is missing"},
        {"dgram,remote.type=unix,remote.path=/x", "option local.type is missing"},
        {"dgram,remote.type=fd,remote.str=0", "remote.type=fd: expected inet or unix"},
        {"dgram,local.type=fd,local.str=0,remote.type=unix,remote.path=/x",
         "remote.type=unix: expected none with local.type=fd"},
        {"dgram,local.type=unix,local.path=/x,remote.type=inet,remote.host=::1,remote.port=1",
         "remote.type=inet: expected addresses of one kind"},
        {"dgram,remote.type=inet,remote.host=224.0.0.1,remote.port=1",
         "remote.host=224.0.0.1: expected the address of one host"},
        {"dgram,remote.type=inet,remote.host=ff02::1,remote.port=1",
         "remote.host=ff02::1: expected the address of one host"},
        {"dgram,local.type=unix,local.path=/nowhere/x,remote.type=unix,remote.path=/y",
         "local.path=/nowhere/x: No such file or directory"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        char *sentence = g_strdup_printf(
            "backend %s: %s", g_str_has_prefix(cases[i][0], "dgram") ? "dgram" : "stream",
            cases[i][1]);

        assert_refused(cases[i][0], sentence);
        g_free(sentence);
    }
}

static void assert_fd_refused(const char *format, int fd, const char *why)
{
    char *text = g_strdup_printf(format, fd);
    char *sentence = g_strdup_printf(why, fd);

    assert_refused(text, sentence);
    g_assert_cmpint(fcntl(fd, F_GETFD), >=, 0); /* still the caller's */
    g_free(sentence);
    g_free(text);
}

static void test_refused_descriptors(void)
{
    int streams[2];
    int dgrams[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, streams), ==, 0);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, dgrams), ==, 0);
    assert_fd_refused("stream,addr.type=fd,addr.str=%d", dgrams[0],
                      "backend stream: addr.str=%d: expected a stream socket");
    assert_fd_refused("stream,server=on,addr.type=fd,addr.str=%d", streams[0],
                      "backend stream: addr.str=%d: expected a listening socket");
    assert_fd_refused("dgram,local.type=fd,local.str=%d", streams[0],
                      "backend dgram: local.str=%d: expected a datagram socket");
    for (unsigned i = 0; i < 2; i++) {
        close(streams[i]);
        close(dgrams[i]);
    }
}

static void test_refused_addresses(void)
{
    unsigned port;
    int fd = inet_socket(SOCK_STREAM, &port);
    char *text;
    char *sentence;

    g_assert_cmpint(listen(fd, 1), ==, 0);
    text =
        g_strdup_printf("stream,server=on,addr.type=inet,addr.host=127.0.0.1,addr.port=%u", port);
    sentence = g_strdup_printf("backend stream: addr.port=%u: Address already in use", port);
    assert_refused(text, sentence);
    g_free(sentence);
    g_free(text);
    close(fd); /* nobody listens now */
    text = g_strdup_printf("stream,addr.type=inet,addr.host=localhost,addr.port=%u", port);
    sentence = g_strdup_printf("backend stream: addr.port=%u: Connection refused", port);
    assert_refused(text, sentence);
    g_free(sentence);
    g_free(text);
}

/* The socket of a process that is gone is replaced, any other file is not. */
static void test_files_in_the_way(void)
{
    struct bench bench;
    char *path;
    char *text;
    char *sentence;

    bench_init(&bench);
    close(unix_bind(&bench, "s", SOCK_STREAM));
    bench_open(&bench, "stream,server=on,addr.type=unix,addr.path=%s/s", bench.dir);
    path = g_build_filename(bench.dir, "file", NULL);
    g_assert_true(g_file_set_contents(path, "x", 1, NULL));
    text = g_strdup_printf("stream,server=on,addr.type=unix,addr.path=%s", path);
    sentence = g_strdup_printf("backend stream: addr.path=%s: Address already in use", path);
    assert_refused(text, sentence);
    g_free(sentence);
    g_free(text);
    g_free(path);
    bench_unlink(&bench, "file");
    bench_close(&bench);
}

/* ---- stream: framing ---- */

static void test_stream_writes(void)
{
    struct bench bench;
    const int peer = bench_up(&bench);
    uint8_t octets[300];
    uint8_t found[700];

    g_assert_cmpstr(backend_name(bench.backend), ==, "stream");
    g_assert_cmphex(backend_takes(bench.backend), ==, 0);
    for (unsigned i = 0; i < sizeof(octets); i++) {
        octets[i] = (uint8_t)i;
    }
    send_frame(&bench, "abc", 3);
    send_frame(&bench, octets, 300);
    peer_read(&bench, peer, found, 311);
    g_assert_cmpmem(found, 11, "\0\0\0\3abc\0\0\1\54", 11);
    g_assert_cmpmem(found + 11, 300, octets, 300);
    g_assert_cmpuint(dropped(&bench), ==, 0);
    close(peer);
    bench_close(&bench);
}

static void test_stream_bursts(void)
{
    struct bench bench;
    const int peer = bench_up(&bench);
    VionetFrame frames[150];
    struct iovec iov[150];
    uint8_t octets[150];
    uint8_t found[150 * 5];

    for (unsigned i = 0; i < 150; i++) {
        octets[i] = (uint8_t)i;
        iov[i] = (struct iovec){&octets[i], 1};
        frames[i] = (VionetFrame){.iov = &iov[i], .n_iov = 1, .len = 1};
    }
    iov[70].iov_len = frames[70].len = 0; /* no frame at all */
    backend_send(bench.backend, frames, 150);
    g_assert_cmpuint(dropped(&bench), ==, 1);
    peer_read(&bench, peer, found, 149 * 5);
    for (unsigned i = 0; i < 149; i++) {
        g_assert_cmpmem(found + 5 * i, 4, "\0\0\0\1", 4);
        g_assert_cmpuint(found[5 * i + 4], ==, i < 70 ? i : i + 1);
    }
    close(peer);
    bench_close(&bench);
}

static void test_stream_reads_octet_by_octet(void)
{
    static const uint8_t octets[] = "\0\0\0\5hello\0\0\0\1!";
    struct bench bench;
    const int peer = bench_up(&bench);

    g_assert_true(nothing_comes(&bench));
    for (unsigned i = 0; i < sizeof(octets) - 1; i++) {
        const unsigned told = bench.n_ready;

        peer_write(peer, octets + i, 1);
        run_for(&bench, 2);
        g_assert_cmpuint(bench.n_ready, ==, told + 1);
        if (i == 8) {
            assert_take(&bench, "hello", 5);
        }
        if (i == 13) {
            assert_take(&bench, "!", 1);
        }
        g_assert_true(nothing_comes(&bench));
    }
    close(peer);
    bench_close(&bench);
}

/* More frames in one read than are taken at a time, or can be lent at all. */
static void test_stream_reads_many(void)
{
    struct bench bench;
    const int peer = bench_up(&bench);
    uint8_t octets[5 * 600];
    VionetFrame frames[300];
    const unsigned told = bench.n_ready;
    unsigned number = 0;

    for (unsigned i = 0; i < 600; i++) {
        memcpy(&octets[5 * i], "\0\0\0\1", 4);
        octets[5 * i + 4] = (uint8_t)i;
    }
    g_assert_true(nothing_comes(&bench));
    peer_write(peer, octets, sizeof(octets));
    run_for(&bench, 5);
    g_assert_cmpuint(bench.n_ready, ==, told + 1);
    for (unsigned round = 0; number < 600; round++) {
        const size_t n = backend_receive(bench.backend, frames, round % 2 ? 300 : 20);

        g_assert_cmpuint(n, >, 0);
        g_assert_cmpuint(n, <=, 256);
        for (unsigned i = 0; i < n; i++) {
            g_assert_cmpmem(frames[i].iov[0].iov_base, frames[i].len, &octets[5 * number++ + 4], 1);
        }
        backend_complete(bench.backend, frames, n);
    }
    g_assert_true(nothing_comes(&bench));
    close(peer);
    bench_close(&bench);
}

/* Frames hold until they are given back, whatever comes meanwhile, and whoever goes. */
static void test_stream_lends(void)
{
    struct bench bench;
    const int peer = bench_up(&bench);
    VionetFrame frames[2];
    unsigned told;
    int next;

    peer_write(peer, "\0\0\0\3one\0\0\0\3two\0\0", 16);
    g_assert_cmpuint(backend_receive(bench.backend, frames, 2), ==, 2);
    peer_write(peer, "\0\5three", 7);
    run_for(&bench, 5);
    told = bench.n_ready;
    close(peer);
    next = unix_connect(&bench, "s");
    peer_write(next, "\0\0\0\4next", 8);
    run_for(&bench, 5);
    g_assert_cmpuint(bench.n_ready, ==, told);
    g_assert_cmpmem(frames[0].iov[0].iov_base, frames[0].len, "one", 3);
    g_assert_cmpmem(frames[1].iov[0].iov_base, frames[1].len, "two", 3);
    backend_complete(bench.backend, &frames[1], 1);
    g_assert_true(nothing_comes(&bench));
    backend_complete(bench.backend, &frames[0], 1);
    assert_take(&bench, "three", 5);
    assert_take(&bench, "next", 4);
    close(next);
    bench_close(&bench);
}

static void write_all(struct bench *bench, int fd, const uint8_t *octets, size_t len)
{
    while (len > 0) {
        const ssize_t now = write(fd, octets, len);

        g_assert_true(now > 0 || errno == EAGAIN);
        octets += now > 0 ? now : 0;
        len -= now > 0 ? (size_t)now : 0;
        g_assert_true(len == 0 || nothing_comes(bench));
    }
}

static void test_stream_largest_frame(void)
{
    struct bench bench;
    const int peer = bench_up(&bench);
    uint8_t *octets = g_malloc(4 + LARGEST + 1);
    uint8_t *found = g_malloc(4 + LARGEST);

    for (unsigned i = 0; i < LARGEST; i++) {
        octets[4 + i] = (uint8_t)(i * 7 + (i >> 8));
    }
    memcpy(octets, "\0\1\20\0", 4); /* 0x11000 */
    write_all(&bench, peer, octets, 4 + LARGEST);
    assert_take(&bench, octets + 4, LARGEST);
    send_frame(&bench, octets + 4, LARGEST);
    peer_read(&bench, peer, found, 4 + LARGEST);
    g_assert_cmpmem(found, 4 + LARGEST, octets, 4 + LARGEST);
    send_frame(&bench, octets + 4, LARGEST + 1);
    g_assert_cmpuint(dropped(&bench), ==, 1);
    g_free(found);
    g_free(octets);
    close(peer);
    bench_close(&bench);
}

/* What cannot be a length ends the connection, after what came before it; one line says so. */
static void test_stream_bad_lengths(void)
{
    static const char *const bad[] = {"\0\0\0\1x\0\1\20\1", "\0\0\0\1x\0\0\0\0",
                                      "\0\0\0\1x\377\377\377\377"};
    struct bench bench;
    int peer = bench_up(&bench);

    g_test_expect_message("vionet", G_LOG_LEVEL_WARNING,
                          "backend stream: the peer announced a frame of 69633 octets, which ends "
                          "the connection (said once only)");
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        peer_write(peer, bad[i], 9);
        peer_write(peer, "more of it", 10);
        assert_take(&bench, "x", 1);
        wait_for_end(&bench, peer);
        close(peer);
        peer = unix_connect(&bench, "s");
    }
    g_test_assert_expected_messages();
    peer_write(peer, "\0\0\0\4good", 8);
    assert_take(&bench, "good", 4);
    close(peer);
    bench_close(&bench);
}

/* ---- stream: peers that come and go ---- */

static void test_stream_one_peer_at_a_time(void)
{
    struct bench bench;
    int first = bench_up(&bench);
    int second = unix_connect(&bench, "s");

    peer_write(second, "\0\0\0\6second", 10);
    peer_write(first, "\0\0\0\5first\0\0", 11); /* and a beginning that goes with it */
    assert_take(&bench, "first", 5);
    run_for(&bench, 5);
    g_assert_true(nothing_comes(&bench));
    close(first);
    assert_take(&bench, "second", 6);
    send_frame(&bench, "x", 1);
    close(second);
    bench_close(&bench);
}

static void test_stream_reconnects(void)
{
    struct bench bench;
    int listener;

    bench_init(&bench);
    bench_open(&bench, "stream,addr.type=unix,addr.path=%s/s,reconnect-ms=10", bench.dir);
    send_frame(&bench, "nobody", 6);
    run_for(&bench, 30); /* in vain */
    g_assert_cmpuint(dropped(&bench), ==, 1);
    listener = unix_bind(&bench, "s", SOCK_STREAM);
    for (unsigned i = 0; i < 3; i++) {
        const int peer = wait_for_peer(&bench, listener);

        peer_write(peer, "\0\0\0\5hello", 9);
        assert_take(&bench, "hello", 5);
        close(peer);
        g_assert_true(nothing_comes(&bench));
    }
    close(listener);
    bench_unlink(&bench, "s");
    bench_close(&bench);
}

/* The link is up while there is a peer; who asks for nothing is told all the same. */
static void test_stream_link(void)
{
    struct bench bench;
    unsigned told;
    int peer;

    bench_init(&bench);
    bench_open(&bench, "stream,server=on,addr.type=unix,addr.path=%s/s", bench.dir);
    g_assert_false(backend_has_link(bench.backend));
    for (unsigned i = 0; i < 3; i++) {
        told = bench.n_ready;
        peer = unix_connect(&bench, "s");
        run_for(&bench, 5);
        g_assert_true(backend_has_link(bench.backend));
        g_assert_cmpuint(bench.n_ready, ==, told + 1);
        close(peer);
        g_assert_true(nothing_comes(&bench));
        g_assert_false(backend_has_link(bench.backend));
    }
    bench_close(&bench);
}

static void test_stream_gives_up(void)
{
    struct bench bench;
    int listener;
    int peer;

    bench_init(&bench);
    listener = unix_bind(&bench, "s", SOCK_STREAM);
    bench_open(&bench, "stream,addr.type=unix,addr.path=%s/s,reconnect=0", bench.dir);
    peer = wait_for_peer(&bench, listener);
    close(peer);
    g_assert_true(nothing_comes(&bench));
    run_for(&bench, 20);
    g_assert_cmpint(accept(listener, NULL, NULL), ==, -1);
    send_frame(&bench, "nobody", 6);
    g_assert_cmpuint(dropped(&bench), ==, 1);
    close(listener);
    bench_unlink(&bench, "s"); /* the peer's, not ours */
    bench_close(&bench);
}

/* Frames for one that has gone are dropped; no signal, no error. */
static void test_stream_peer_vanishes(void)
{
    struct bench bench;
    const int peer = bench_up(&bench);

    close(peer);
    for (unsigned i = 0; i < 5; i++) {
        send_frame(&bench, "nobody", 6);
    }
    g_assert_cmpuint(dropped(&bench), ==, 5);
    bench_close(&bench);
}

static void test_stream_inet(void)
{
    struct bench bench;
    unsigned port;
    int listener = inet_socket(SOCK_STREAM, &port);
    int peer;
    uint8_t found[7];

    bench_init(&bench);
    bench.fds--; /* the listener's */
    g_assert_cmpint(listen(listener, 1), ==, 0);
    bench_open(&bench, "stream,addr.type=inet,addr.host=127.0.0.1,addr.port=%u", port);
    peer = wait_for_peer(&bench, listener);
    peer_write(peer, "\0\0\0\5hello", 9);
    assert_take(&bench, "hello", 5);
    send_frame(&bench, "abc", 3);
    peer_read(&bench, peer, found, 7);
    g_assert_cmpmem(found, 7, "\0\0\0\3abc", 7);
    close(peer);
    close(listener);
    bench_close(&bench);
}

static void test_stream_inet6_server(void)
{
    struct bench bench;
    unsigned port;
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    const int peer = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (bind(peer, (struct sockaddr *)&address, sizeof(address)) != 0) {
        close(peer);
        g_test_skip("no IPv6 here");
        return;
    }
    close(inet_socket(SOCK_STREAM, &port)); /* most likely free for IPv6 too */
    bench_init(&bench);
    bench.fds--; /* the peer's */
    bench_open(&bench, "stream,server=on,addr.type=inet,addr.host=::1,addr.port=%u", port);
    address.sin6_port = htons((uint16_t)port);
    g_assert_cmpint(connect(peer, (struct sockaddr *)&address, sizeof(address)), ==, 0);
    peer_write(peer, "\0\0\0\5hello", 9);
    assert_take(&bench, "hello", 5);
    close(peer);
    bench_close(&bench);
}

static void test_stream_descriptors(void)
{
    struct bench bench;
    int pair[2];
    int listener;
    int peer;

    bench_init(&bench);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
    bench_open(&bench, "stream,addr.type=fd,addr.str=%d", pair[0]);
    g_assert_cmpint(fcntl(pair[0], F_GETFD), ==, FD_CLOEXEC);
    peer_write(pair[1], "\0\0\0\5hello", 9);
    assert_take(&bench, "hello", 5);
    close(pair[1]);
    bench_close(&bench);

    bench_init(&bench);
    listener = unix_bind(&bench, "s", SOCK_STREAM);
    bench_open(&bench, "stream,server=on,addr.type=fd,addr.str=%d", listener);
    peer = unix_connect(&bench, "s");
    peer_write(peer, "\0\0\0\5hello", 9);
    assert_take(&bench, "hello", 5);
    close(peer);
    bench_unlink(&bench, "s");
    bench_close(&bench);
}

/* ---- stream: pressure ---- */

/* A peer that does not read gets what was kept, whole frames in order, when it does. */
static void test_stream_slow_peer(void)
{
    struct bench bench;
    const int peer = bench_up(&bench);
    uint8_t octets[1000] = {0};
    uint8_t found[1004];
    uint64_t lost;
    unsigned last = 0;

    for (unsigned i = 1; i <= 5000; i++) {
        octets[0] = (uint8_t)(i >> 8);
        octets[1] = (uint8_t)i;
        send_frame(&bench, octets, sizeof(octets));
    }
    lost = dropped(&bench);
    g_assert_cmpuint(lost, >, 0);
    for (unsigned i = 0; i < 5000 - lost; i++) {
        unsigned number;

        peer_read(&bench, peer, found, sizeof(found));
        number = (unsigned)found[4] << 8 | found[5];
        g_assert_cmpmem(found, 4, "\0\0\3\350", 4);
        g_assert_cmpuint(number, >, last);
        last = number;
    }
    send_frame(&bench, "end", 3);
    peer_read(&bench, peer, found, 7);
    g_assert_cmpmem(found, 7, "\0\0\0\3end", 7);
    g_assert_cmpuint(dropped(&bench), ==, lost);
    close(peer);
    bench_close(&bench);
}

/* It goes with a frame half sent: the next peer begins with a frame. */
static void test_stream_slow_peer_goes(void)
{
    struct bench bench;
    int peer = bench_up(&bench);
    uint8_t *octets = g_malloc0(60000);
    uint8_t found[7];

    for (unsigned i = 0; i < 100; i++) {
        send_frame(&bench, octets, 60000);
    }
    close(peer);
    g_assert_true(nothing_comes(&bench));
    peer = unix_connect(&bench, "s");
    run_for(&bench, 5);
    send_frame(&bench, "new", 3);
    peer_read(&bench, peer, found, 7);
    g_assert_cmpmem(found, 7, "\0\0\0\3new", 7);
    close(peer);
    g_free(octets);
    bench_close(&bench);
}

/* A guest that takes nothing holds up the peer; nothing is lost. */
static void test_stream_slow_guest(void)
{
    struct bench bench;
    const int peer = bench_up(&bench);
    uint8_t octets[1004] = {0, 0, 3, 232};
    uint8_t found[LARGEST];
    unsigned sent = 0;

    for (;;) {
        octets[4] = (uint8_t)(sent >> 8);
        octets[5] = (uint8_t)sent;
        if (write(peer, octets, sizeof(octets)) != sizeof(octets)) {
            break; /* full: a part of a frame at the end may have gone */
        }
        sent++;
    }
    run_for(&bench, 20);
    g_assert_cmpuint(bench.n_ready, ==, 1); /* it did not ask: there is a peer, that was all */
    for (unsigned i = 0; i < sent; i++) {
        g_assert_cmpuint(take(&bench, found), ==, 1000);
        g_assert_cmpuint((unsigned)found[0] << 8 | found[1], ==, i);
    }
    g_assert_cmpuint(dropped(&bench), ==, 0);
    close(peer);
    bench_close(&bench);
}

/* ---- dgram ---- */

static void test_dgram_unix(void)
{
    struct bench bench;
    struct sockaddr_un to;
    uint8_t found[100];
    int peer;

    bench_init(&bench);
    bench_open(&bench, "dgram,local.type=unix,local.path=%s/l,remote.type=unix,remote.path=%s/r",
               bench.dir, bench.dir);
    g_assert_cmpstr(backend_name(bench.backend), ==, "dgram");
    g_assert_cmphex(backend_takes(bench.backend), ==, 0);
    send_frame(&bench, "nobody", 6);
    g_assert_cmpuint(dropped(&bench), ==, 1);
    peer = unix_bind(&bench, "r", SOCK_DGRAM);
    send_frame(&bench, "hello", 5);
    g_assert_cmpint(read(peer, found, sizeof(found)), ==, 5);
    g_assert_cmpmem(found, 5, "hello", 5);
    g_assert_true(nothing_comes(&bench));
    to = unix_address(&bench, "l");
    g_assert_cmpint(sendto(peer, "world", 5, 0, (struct sockaddr *)&to, sizeof(to)), ==, 5);
    run_for(&bench, 5);
    g_assert_cmpuint(bench.n_ready, ==, 1);
    assert_take(&bench, "world", 5);
    close(peer);
    send_frame(&bench, "nobody", 6);
    g_assert_cmpuint(dropped(&bench), ==, 2);
    bench_unlink(&bench, "r");
    bench_close(&bench);
}

static void test_dgram_inet(void)
{
    struct bench bench;
    unsigned port;
    const int peer = inet_socket(SOCK_DGRAM, &port);
    struct sockaddr_in from;
    socklen_t len = sizeof(from);
    uint8_t found[100];

    bench_init(&bench);
    bench.fds--; /* the peer's */
    bench_open(&bench, "dgram,remote.type=inet,remote.host=127.0.0.1,remote.port=%u", port);
    send_frame(&bench, "hello", 5);
    g_assert_cmpint(recvfrom(peer, found, sizeof(found), 0, (struct sockaddr *)&from, &len), ==, 5);
    g_assert_cmpint(sendto(peer, "world", 5, 0, (struct sockaddr *)&from, len), ==, 5);
    assert_take(&bench, "world", 5);
    close(peer);
    for (unsigned i = 0; i < 5; i++) {
        send_frame(&bench, "nobody", 6); /* refused by ICMP: not this backend's business */
        g_assert_true(nothing_comes(&bench));
    }
    bench_close(&bench);
}

/* A connected descriptor hears of a peer that is gone, and goes on. */
static void test_dgram_refused(void)
{
    struct bench bench;
    unsigned ports[2];
    const int ours = inet_socket(SOCK_DGRAM, &ports[0]);
    int peer = inet_socket(SOCK_DGRAM, &ports[1]);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)ports[1])};

    g_assert_cmpint(connect(ours, (struct sockaddr *)&address, sizeof(address)), ==, 0);
    close(peer);
    bench_init(&bench);
    bench.fds--; /* ours */
    bench_open(&bench, "dgram,local.type=fd,local.str=%d", ours);
    for (unsigned i = 0; i < 6; i++) {
        send_frame(&bench, "nobody", 6);
        g_assert_true(nothing_comes(&bench));
        run_for(&bench, 2);
    }
    peer = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(peer, (struct sockaddr *)&address, sizeof(address)), ==, 0);
    address.sin_port = htons((uint16_t)ports[0]);
    g_assert_cmpint(sendto(peer, "back", 4, 0, (struct sockaddr *)&address, sizeof(address)), ==,
                    4);
    assert_take(&bench, "back", 4);
    close(peer);
    bench_close(&bench);
}

static void bench_pair(struct bench *bench, int pair[2])
{
    const int octets = 1024 * 1024;

    bench_init(bench);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair), ==, 0);
    setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &octets, sizeof(octets));
    bench_open(bench, "dgram,local.type=fd,local.str=%d", pair[0]);
}

/* Frames of an octet each, which counts. */
static void number_frames(VionetFrame *frames, struct iovec *iov, uint8_t *octets, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        octets[i] = (uint8_t)i;
        iov[i] = (struct iovec){&octets[i], 1};
        frames[i] = (VionetFrame){.iov = &iov[i], .n_iov = 1, .len = 1};
    }
}

/* A slow peer loses nothing of a guest that waits while the backend is full. */
static void test_dgram_slow_peer(void)
{
    struct bench bench;
    VionetFrame frames[64];
    struct iovec iov[64];
    uint8_t octets[64];
    uint8_t found[8];
    unsigned sent = 0;
    unsigned n = 0;
    int pair[2];

    bench_pair(&bench, pair);
    number_frames(frames, iov, octets, 64);
    while (n < 200 * 64) {
        while (sent < 200 * 64 && !backend_is_full(bench.backend)) {
            backend_send(bench.backend, frames, 64);
            sent += 64;
        }
        /* A frame at a time, and the loop in between. */
        if (read(pair[1], found, sizeof(found)) == 1) {
            g_assert_cmpuint(found[0], ==, n++ % 64);
        }
        g_main_context_iteration(bench.context, FALSE);
    }
    run_for(&bench, 1);
    g_assert_false(backend_is_full(bench.backend));
    g_assert_cmpuint(bench.n_ready, >, 0);
    g_assert_cmpuint(dropped(&bench), ==, 0);
    close(pair[1]);
    bench_close(&bench);
}

/* What a full backend is sent nevertheless is bounded: the rest is dropped and counted. */
static void test_dgram_full(void)
{
    struct bench bench;
    VionetFrame frames[200];
    struct iovec iov[200];
    uint8_t octets[200];
    uint8_t found[8];
    unsigned n = 0;
    int pair[2];

    bench_pair(&bench, pair);
    number_frames(frames, iov, octets, 200);
    for (unsigned i = 0; i < 100; i++) {
        backend_send(bench.backend, frames, 200);
    }
    g_assert_true(backend_is_full(bench.backend));
    g_assert_cmpuint(dropped(&bench), >, 10000);
    while (backend_is_full(bench.backend)) {
        while (read(pair[1], found, sizeof(found)) == 1) {
            g_assert_cmpuint(found[0], ==, n++ % 200);
        }
        run_for(&bench, 1);
    }
    while (read(pair[1], found, sizeof(found)) == 1) {
        n++;
    }
    g_assert_cmpuint(n + dropped(&bench), ==, 100 * 200);
    close(pair[1]);
    bench_close(&bench);
}

/* A peer that takes nothing any more does not stop the guest for ever. */
static void test_dgram_stopped_peer(void)
{
    struct bench bench;
    VionetFrame frames[64];
    struct iovec iov[64];
    uint8_t octets[64];
    int pair[2];

    bench_pair(&bench, pair);
    number_frames(frames, iov, octets, 64);
    while (!backend_is_full(bench.backend)) {
        backend_send(bench.backend, frames, 64);
    }
    run_for(&bench, 300);
    g_assert_true(backend_is_full(bench.backend));
    g_assert_cmpuint(dropped(&bench), ==, 0);
    run_for(&bench, 900);
    g_assert_false(backend_is_full(bench.backend));
    g_assert_cmpuint(dropped(&bench), >, 0);
    g_assert_cmpuint(bench.n_ready, >, 0);
    close(pair[1]);
    bench_close(&bench);
}

/* Datagrams of every kind, many at a time, lent until they are given back. */
static void test_dgram_lends(void)
{
    struct bench bench;
    VionetFrame frames[100];
    unsigned sent = 0;
    unsigned n = 0;
    int pair[2];

    bench_pair(&bench, pair);
    g_assert_true(nothing_comes(&bench));
    while (sent < 150 && write(pair[1], &(uint8_t){(uint8_t)sent}, 1) == 1) {
        sent++;
    }
    while (n < sent) {
        const size_t taken = backend_receive(bench.backend, frames, 100);

        g_assert_cmpuint(taken, >, 0);
        g_assert_cmpuint(taken, <=, 64);
        g_assert_true(nothing_comes(&bench)); /* until they are back */
        for (unsigned i = 0; i < taken; i++) {
            g_assert_cmpuint(*(uint8_t *)frames[i].iov[0].iov_base, ==, n++);
        }
        backend_complete(bench.backend, frames, taken);
    }
    g_assert_true(nothing_comes(&bench));
    g_assert_cmpuint(dropped(&bench), ==, 0);
    close(pair[1]);
    bench_close(&bench);
}

static void test_dgram_sizes(void)
{
    struct bench bench;
    uint8_t *octets = g_malloc0(LARGEST + 1);
    int pair[2];

    bench_pair(&bench, pair);
    g_assert_cmpint(write(pair[1], octets, LARGEST + 1), ==, LARGEST + 1);
    g_assert_cmpint(send(pair[1], octets, 0, 0), ==, 0);
    g_assert_cmpint(write(pair[1], octets, LARGEST), ==, LARGEST);
    assert_take(&bench, octets, LARGEST);
    g_assert_cmpuint(dropped(&bench), ==, 2);
    g_assert_true(nothing_comes(&bench));
    close(pair[1]);
    run_for(&bench, 5);
    g_assert_true(nothing_comes(&bench));
    send_frame(&bench, "nobody", 6);
    g_assert_cmpuint(dropped(&bench), ==, 3);
    g_free(octets);
    bench_close(&bench);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sockets/refused/options", test_refused_options);
    g_test_add_func("/sockets/refused/descriptors", test_refused_descriptors);
    g_test_add_func("/sockets/refused/addresses", test_refused_addresses);
    g_test_add_func("/sockets/files-in-the-way", test_files_in_the_way);
    g_test_add_func("/stream/writes", test_stream_writes);
    g_test_add_func("/stream/bursts", test_stream_bursts);
    g_test_add_func("/stream/octet-by-octet", test_stream_reads_octet_by_octet);
    g_test_add_func("/stream/many", test_stream_reads_many);
    g_test_add_func("/stream/lends", test_stream_lends);
    g_test_add_func("/stream/largest-frame", test_stream_largest_frame);
    g_test_add_func("/stream/bad-lengths", test_stream_bad_lengths);
    g_test_add_func("/stream/one-peer-at-a-time", test_stream_one_peer_at_a_time);
    g_test_add_func("/stream/reconnects", test_stream_reconnects);
    g_test_add_func("/stream/link", test_stream_link);
    g_test_add_func("/stream/gives-up", test_stream_gives_up);
    g_test_add_func("/stream/peer-vanishes", test_stream_peer_vanishes);
    g_test_add_func("/stream/inet", test_stream_inet);
    g_test_add_func("/stream/inet6", test_stream_inet6_server);
    g_test_add_func("/stream/descriptors", test_stream_descriptors);
    g_test_add_func("/stream/slow-peer", test_stream_slow_peer);
    g_test_add_func("/stream/slow-peer-goes", test_stream_slow_peer_goes);
    g_test_add_func("/stream/slow-guest", test_stream_slow_guest);
    g_test_add_func("/dgram/unix", test_dgram_unix);
    g_test_add_func("/dgram/inet", test_dgram_inet);
    g_test_add_func("/dgram/refused", test_dgram_refused);
    g_test_add_func("/dgram/slow-peer", test_dgram_slow_peer);
    g_test_add_func("/dgram/full", test_dgram_full);
    g_test_add_func("/dgram/stopped-peer", test_dgram_stopped_peer);
    g_test_add_func("/dgram/lends", test_dgram_lends);
    g_test_add_func("/dgram/sizes", test_dgram_sizes);
    return g_test_run();
}
