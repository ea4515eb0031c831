/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Backends (device/backend_*.c), first each operation alone, then behind a frontend with the guest
 * driver of test/driver in front: frames both ways, back-pressure, unfinished checksums, and what a
 * guest can do to the frontend from within an interrupt.
 */
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <glib.h>
#include <glib/gstdio.h>

#include <vionet/spec.h>
#include <vionet/transport.h>

#include "bench.h"
#include "driver/control.h"
#include "driver/queue.h"

static const uint8_t our_mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

/* ---- Files ---- */

static char *test_dir(void)
{
    GError *error = NULL;
    char *dir = g_dir_make_tmp("vionet-backends-XXXXXX", &error);

    g_assert_no_error(error);
    return dir;
}

static void remove_file(const char *dir, const char *name)
{
    char *path = g_build_filename(dir, name, NULL);

    g_assert_cmpint(g_remove(path), ==, 0);
    g_free(path);
}

static void remove_dir(char *dir)
{
    g_assert_cmpint(g_rmdir(dir), ==, 0);
    g_free(dir);
}

/* A capture as the format says it, with the machine's order of octets. */
static void put32(GByteArray *capture, uint32_t value)
{
    g_byte_array_append(capture, (const uint8_t *)&value, sizeof(value));
}

static void put16(GByteArray *capture, uint16_t value)
{
    g_byte_array_append(capture, (const uint8_t *)&value, sizeof(value));
}

static GByteArray *capture_new(uint32_t link_type)
{
    GByteArray *capture = g_byte_array_new();

    put32(capture, 0xa1b2c3d4);
    put16(capture, 2); /* version 2.4 */
    put16(capture, 4);
    put32(capture, 0);
    put32(capture, 0);
    put32(capture, 262144);
    put32(capture, link_type);
    return capture;
}

static void capture_add(GByteArray *capture, const uint8_t *frame, uint32_t caplen, uint32_t len)
{
    put32(capture, 1700000000);
    put32(capture, 999999);
    put32(capture, caplen);
    put32(capture, len);
    g_byte_array_append(capture, frame, caplen);
}

static void capture_save(GByteArray *capture, const char *dir, const char *name)
{
    char *path = g_build_filename(dir, name, NULL);
    GError *error = NULL;

    g_file_set_contents(path, (const char *)capture->data, capture->len, &error);
    g_assert_no_error(error);
    g_byte_array_unref(capture);
    g_free(path);
}

static uint32_t get32(const char *octets)
{
    uint32_t value;

    memcpy(&value, octets, sizeof(value));
    return value;
}

static uint16_t get16(const char *octets)
{
    uint16_t value;

    memcpy(&value, octets, sizeof(value));
    return value;
}

/* ---- Frames ---- */

/* Octets that tell one frame from another, addressed to the device's guest. */
static void fill_frame(uint8_t *frame, uint32_t len, unsigned number)
{
    for (uint32_t i = 0; i < len; i++) {
        frame[i] = (uint8_t)(i * 7 + number * 13 + (number >> 8));
    }
    memcpy(frame, our_mac, MIN(len, 6));
    if (len >= 14) {
        frame[6] = 0x02; /* not a group address */
        frame[12] = 0x88;
        frame[13] = 0xb5; /* for experiments (IEEE 802) */
    }
}

/* A frame in a burst, in as many ranges as octets or in one. */
struct sample {
    uint8_t octets[64];
    struct iovec iov[64];
    VionetFrame frame;
};

static void sample_init(struct sample *sample, uint32_t len, bool in_pieces, unsigned number)
{
    memset(sample, 0, sizeof(*sample));
    fill_frame(sample->octets, len, number);
    for (uint32_t i = 0; i < len; i++) {
        sample->iov[i] = (struct iovec){&sample->octets[i], in_pieces ? 1 : len};
    }
    sample->frame = (VionetFrame){.iov = sample->iov, .n_iov = in_pieces ? len : 1, .len = len};
}

static void assert_frame(const VionetFrame *frame, const void *octets, size_t len)
{
    uint8_t found[4096];

    g_assert_cmpmem(found, vionet_frame_linearize(frame, found, sizeof(found)), octets, len);
}

/* ---- Backends alone ---- */

static VionetBackend *open_backend(const char *format, const char *dir)
{
    char *text = dir ? g_strdup_printf(format, dir, dir) : g_strdup(format);
    GError *error = NULL;
    VionetBackend *backend = backend_open(text, &error);

    g_assert_no_error(error);
    g_assert_nonnull(backend);
    g_free(text);
    return backend;
}

static void assert_counters(VionetBackend *backend, uint64_t sent, uint64_t received,
                            uint64_t dropped)
{
    const VionetBackendCounters counters = backend_counters(backend);

    g_assert_cmpuint(counters.sent, ==, sent);
    g_assert_cmpuint(counters.received, ==, received);
    g_assert_cmpuint(counters.dropped, ==, dropped);
}

static void assert_refused(const char *text, const char *sentence)
{
    GError *error = NULL;

    g_assert_null(backend_open(text, &error));
    g_assert_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG);
    g_assert_cmpstr(error->message, ==, sentence);
    g_error_free(error);
    g_assert_null(backend_open(text, NULL));
}

#ifdef WITH_SLIRP
#define SLIRP_NAME ", user"
#define SLIRP_HELP                                                                           \
    "  user,net=ADDR/BITS,restrict=on,hostfwd=tcp::PORT-:PORT,...: this host's network, by " \
    "user-mode translation (options as QEMU's)\n"
#else
#define SLIRP_NAME ""
#define SLIRP_HELP ""
#endif
#define BACKENDS "null, loopback, pcap, stream, dgram, tap" SLIRP_NAME

static void test_refused_backends(void)
{
    const char *pcap = "(pcap,in=FILE,out=FILE: replays a capture to the guest, records what it "
                       "sends)";
    char *sentence;

    assert_refused("", "unknown backend \"\": expected one of " BACKENDS);
    assert_refused("tun", "unknown backend \"tun\": expected one of " BACKENDS);
    assert_refused("null=1", "unknown backend \"null\": expected one of " BACKENDS);
    assert_refused("null,", "an option without a name in \"null,\"");
    assert_refused("null,in=x", "backend null: option in does not exist (null: swallows what the "
                                "guest sends)");
    assert_refused("loopback,queue", "backend loopback: option queue does not exist (loopback: "
                                     "what the guest sends comes back to it)");
    assert_refused("pcap", "backend pcap: expected in=FILE or out=FILE");
    sentence = g_strdup_printf("backend pcap: option in has no value %s", pcap);
    assert_refused("pcap,in", sentence);
    assert_refused("pcap,in=", sentence);
    g_free(sentence);
    sentence = g_strdup_printf("backend pcap: option out is given twice %s", pcap);
    assert_refused("pcap,out=/nowhere,out=/nowhere", sentence);
    g_free(sentence);
    sentence = g_strdup_printf("backend pcap: option file does not exist %s", pcap);
    assert_refused("pcap,file=/nowhere", sentence);
    g_free(sentence);
}

static void test_backend_help(void)
{
    char *help = backend_help();

    g_assert_cmpstr(help, ==,
                    "Backends:\n"
                    "  null: swallows what the guest sends\n"
                    "  loopback: what the guest sends comes back to it\n"
                    "  pcap,in=FILE,out=FILE: replays a capture to the guest, records what it "
                    "sends\n"
                    "  stream,server=on,addr.type=unix,addr.path=FILE: frames over a connection "
                    "(inet with host and port, fd with str, reconnect-ms, as QEMU's)\n"
                    "  dgram,local.type=unix,local.path=FILE,remote.type=unix,remote.path=FILE: a "
                    "datagram for each frame (inet with host and port, fd with str, as QEMU's)\n"
                    "  tap,ifname=NAME,queues=N,vnet_hdr=on|off,sndbuf=OCTETS or tap,fd=N or "
                    "tap,fds=N:N...: a TAP interface\n" SLIRP_HELP);
    g_free(help);
}

static void test_null_swallows(void)
{
    VionetBackend *backend = open_backend("null", NULL);
    struct sample sample;
    VionetFrame frames[4];

    sample_init(&sample, 60, false, 1);
    g_assert_cmpstr(backend_name(backend), ==, "null");
    g_assert_cmphex(backend_takes(backend), ==,
                    BACKEND_CSUM | BACKEND_GSO | BACKEND_UFO | BACKEND_USO | BACKEND_TUNNEL);
    g_assert_false(backend_send(backend, &sample.frame, 1));
    g_assert_false(backend_send(backend, NULL, 0));
    g_assert_cmpuint(backend_receive(backend, frames, 4), ==, 0);
    backend_complete(backend, frames, 0);
    assert_counters(backend, 1, 0, 0);
    backend_close(backend);
    backend_close(NULL);
}

static void test_loopback_copies(void)
{
    VionetBackend *backend = open_backend("loopback", NULL);
    struct sample samples[3];
    VionetFrame sent[3];
    VionetFrame frames[4];

    g_assert_cmpstr(backend_name(backend), ==, "loopback");
    g_assert_cmphex(backend_takes(backend), ==,
                    BACKEND_CSUM | BACKEND_GSO | BACKEND_UFO | BACKEND_USO | BACKEND_TUNNEL);
    for (unsigned i = 0; i < 3; i++) {
        sample_init(&samples[i], 20 + 20 * i, i == 1, i);
        sent[i] = samples[i].frame;
    }
    sent[1].flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    sent[1].csum_start = 14;
    sent[1].csum_offset = 6;
    sent[1].gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
    sent[1].gso_size = 1000;
    sent[1].hdr_len = 54;
    sent[1].outer_th_offset = 1;
    sent[1].inner_nh_offset = 2;
    g_assert_true(backend_send(backend, sent, 3));
    for (unsigned i = 0; i < 3; i++) {
        memset(samples[i].octets, 0xee, sizeof(samples[i].octets));
    }
    g_assert_cmpuint(backend_receive(backend, frames, 4), ==, 3);
    for (unsigned i = 0; i < 3; i++) {
        struct sample expected;

        sample_init(&expected, 20 + 20 * i, false, i);
        g_assert_cmpuint(frames[i].n_iov, ==, 1);
        g_assert_cmpuint(frames[i].len, ==, 20 + 20 * i);
        g_assert_cmpmem(frames[i].iov[0].iov_base, frames[i].iov[0].iov_len, expected.octets,
                        20 + 20 * i);
        g_assert_cmpuint(frames[i].flags, ==, i == 1 ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0);
    }
    g_assert_cmpuint(frames[1].csum_start, ==, 14);
    g_assert_cmpuint(frames[1].csum_offset, ==, 6);
    g_assert_cmpuint(frames[1].gso_type, ==, VIRTIO_NET_HDR_GSO_TCPV4);
    g_assert_cmpuint(frames[1].gso_size, ==, 1000);
    g_assert_cmpuint(frames[1].hdr_len, ==, 54);
    g_assert_cmpuint(frames[1].outer_th_offset, ==, 1);
    g_assert_cmpuint(frames[1].inner_nh_offset, ==, 2);
    g_assert_cmpuint(backend_receive(backend, &frames[3], 1), ==, 0);
    backend_complete(backend, frames, 3);
    assert_counters(backend, 3, 3, 0);
    backend_close(backend);
}

/* Sends n samples and returns how many of them were dropped. */
static uint64_t send_many(VionetBackend *backend, unsigned n, unsigned first)
{
    const uint64_t before = backend_counters(backend).dropped;

    for (unsigned i = 0; i < n; i++) {
        struct sample sample;

        sample_init(&sample, 60, false, first + i);
        backend_send(backend, &sample.frame, 1);
    }
    return backend_counters(backend).dropped - before;
}

/* Its queues have nothing to do with each other, and all of them count. */
static void test_loopback_is_split(void)
{
    VionetBackend *backend = open_backend("loopback", NULL);
    VionetFrame frames[4];

    g_assert_cmpuint(backend_n_queues(backend), ==, 0);
    g_assert_true(backend_split(backend, 3, NULL));
    g_assert_cmpuint(backend_n_queues(backend), ==, 3);
    g_assert_cmphex(backend_takes(backend_queue(backend, 1)), ==, backend_takes(backend));
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmpuint(send_many(backend_queue(backend, i), i, 0), ==, 0);
    }
    for (unsigned i = 0; i < 3; i++) {
        VionetBackend *queue = backend_queue(backend, i);

        g_assert_cmpuint(backend_receive(queue, frames, 4), ==, i);
        backend_complete(queue, frames, i);
        assert_counters(queue, i, i, 0);
    }
    backend_refuse(backend_queue(backend, 2));
    assert_counters(backend, 4, 3, 1);
    backend_close(backend);
}

static void test_cannot_be_split(void)
{
    VionetBackend *backend = open_backend("dgram,remote.type=inet,remote.host=127.0.0.1,"
                                          "remote.port=9",
                                          NULL);
    GError *error = NULL;

    g_assert_false(backend_split(backend, 1, &error));
    g_assert_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG);
    g_assert_cmpstr(error->message, ==, "backend dgram: is for one thread, it has no queues");
    g_assert_cmpuint(backend_n_queues(backend), ==, 0);
    g_error_free(error);
    backend_close(backend);
}

static void test_loopback_is_bounded(void)
{
    VionetBackend *backend = open_backend("loopback", NULL);
    VionetFrame frames[256];

    g_assert_cmpuint(send_many(backend, 256, 0), ==, 0);
    g_assert_cmpuint(send_many(backend, 3, 256), ==, 3);
    g_assert_cmpuint(backend_receive(backend, frames, 256), ==, 256);
    /* Taken is not given back, and the first holds the place of all behind it. */
    g_assert_cmpuint(send_many(backend, 1, 300), ==, 1);
    backend_complete(backend, &frames[1], 255);
    g_assert_cmpuint(send_many(backend, 1, 300), ==, 1);
    for (unsigned i = 0; i < 256; i++) {
        struct sample expected;

        sample_init(&expected, 60, false, i);
        assert_frame(&frames[i], expected.octets, 60);
    }
    backend_complete(backend, &frames[0], 1);
    g_assert_cmpuint(send_many(backend, 257, 300), ==, 1);
    g_assert_cmpuint(backend_receive(backend, frames, 1), ==, 1);
    /* Given back again, or never taken: no effect. */
    backend_complete(backend, frames, 1);
    backend_complete(backend, frames, 1);
    g_assert_cmpuint(send_many(backend, 2, 600), ==, 1);
    g_assert_cmpuint(backend_receive(backend, frames, 256), ==, 256);
    backend_close(backend); /* with all of them out */
}

static void test_loopback_refuses_nothing(void)
{
    VionetBackend *backend = open_backend("loopback", NULL);
    const VionetFrame nothing = {.n_iov = 0};

    g_assert_true(backend_send(backend, &nothing, 1));
    assert_counters(backend, 1, 0, 1);
    backend_close(backend);
}

/* The same places are used for frames of many sizes, in and out of order. */
static void test_loopback_reuses_places(void)
{
    VionetBackend *backend = open_backend("loopback", NULL);
    GRand *random = g_rand_new_with_seed(11);
    VionetFrame out[8];
    uint32_t next_in = 0;
    uint32_t next_out = 0;

    while (next_out < 5000) {
        const unsigned n = (unsigned)g_rand_int_range(random, 1, 9);
        size_t taken;

        for (unsigned i = 0; i < n; i++, next_in++) {
            struct sample sample;

            sample_init(&sample, 14 + next_in % 50, next_in % 3 == 0, next_in);
            backend_send(backend, &sample.frame, 1);
        }
        taken = backend_receive(backend, out, n);
        g_assert_cmpuint(taken, ==, n);
        for (unsigned i = 0; i < n; i++, next_out++) {
            struct sample expected;

            sample_init(&expected, 14 + next_out % 50, false, next_out);
            assert_frame(&out[i], expected.octets, 14 + next_out % 50);
        }
        backend_complete(backend, &out[n / 2], n - n / 2);
        backend_complete(backend, out, n / 2);
    }
    g_assert_cmpuint(backend_counters(backend).dropped, ==, 0);
    g_rand_free(random);
    backend_close(backend);
}

static void test_pcap_replays(void)
{
    char *dir = test_dir();
    GByteArray *capture = capture_new(1);
    VionetBackend *backend;
    VionetFrame frames[200];
    uint8_t frame[1514];

    for (unsigned i = 0; i < 150; i++) {
        fill_frame(frame, 14 + 10 * i, i);
        capture_add(capture, frame, 14 + 10 * i, 14 + 10 * i);
    }
    fill_frame(frame, 1500, 150);
    capture_add(capture, frame, 40, 1500); /* cut short: replayed as short */
    capture_save(capture, dir, "in.pcap");
    backend = open_backend("pcap,in=%s/in.pcap", dir);
    g_assert_cmphex(backend_takes(backend), ==, 0);
    g_assert_cmpuint(backend_receive(backend, frames, 0), ==, 0);
    g_assert_cmpuint(backend_receive(backend, frames, 1), ==, 1);
    /* It reads no further than it can keep. */
    g_assert_cmpuint(backend_receive(backend, &frames[1], 199), ==, 63);
    g_assert_cmpuint(backend_receive(backend, &frames[64], 1), ==, 0);
    backend_complete(backend, frames, 64);
    for (unsigned i = 0; i < 64; i++) {
        fill_frame(frame, 14 + 10 * i, i);
    }
    g_assert_cmpuint(backend_receive(backend, frames, 60), ==, 60);
    for (unsigned i = 0; i < 60; i++) {
        fill_frame(frame, 14 + 10 * (64 + i), 64 + i);
        assert_frame(&frames[i], frame, 14 + 10 * (64 + i));
    }
    backend_complete(backend, frames, 60);
    g_assert_cmpuint(backend_receive(backend, frames, 200), ==, 27);
    fill_frame(frame, 1500, 150);
    assert_frame(&frames[26], frame, 40);
    g_assert_cmpuint(backend_receive(backend, &frames[27], 1), ==, 0);
    backend_complete(backend, frames, 27);
    g_assert_cmpuint(backend_receive(backend, frames, 1), ==, 0);
    /* Without out, what is sent is swallowed. */
    g_assert_cmpuint(send_many(backend, 2, 0), ==, 0);
    assert_counters(backend, 2, 151, 0);
    backend_close(backend);
    remove_file(dir, "in.pcap");
    remove_dir(dir);
}

/* Checks a classic capture of numbered frames; returns how many are in it. */
static unsigned assert_capture(const char *dir, const char *name)
{
    char *path = g_build_filename(dir, name, NULL);
    GError *error = NULL;
    unsigned n = 0;
    char *octets;
    gsize len;
    gsize at = 24;

    g_file_get_contents(path, &octets, &len, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(len, >=, 24);
    g_assert_cmphex(get32(octets), ==, 0xa1b2c3d4);
    g_assert_cmpuint(get16(octets + 4), ==, 2);
    g_assert_cmpuint(get16(octets + 6), ==, 4);
    g_assert_cmpuint(get32(octets + 16), ==, 262144);
    g_assert_cmpuint(get32(octets + 20), ==, 1);
    for (; at < len; n++) {
        struct sample expected;

        sample_init(&expected, 14 + n % 40, false, n);
        g_assert_cmpuint(at + 16, <=, len);
        g_assert_cmpint(ABS((gint64)get32(octets + at) - g_get_real_time() / G_USEC_PER_SEC), <,
                        60);
        g_assert_cmpuint(get32(octets + at + 4), <, G_USEC_PER_SEC);
        g_assert_cmpuint(get32(octets + at + 8), ==, 14 + n % 40);
        g_assert_cmpuint(get32(octets + at + 12), ==, 14 + n % 40);
        g_assert_cmpuint(at + 16 + 14 + n % 40, <=, len);
        g_assert_cmpmem(octets + at + 16, 14 + n % 40, expected.octets, 14 + n % 40);
        at += 16 + 14 + n % 40;
    }
    g_free(octets);
    g_free(path);
    return n;
}

static void test_pcap_records(void)
{
    char *dir = test_dir();
    VionetBackend *backend = open_backend("pcap,out=%s/a,,b.pcap", dir);

    g_assert_cmpuint(assert_capture(dir, "a,b.pcap"), ==, 0);
    for (unsigned i = 0; i < 100; i += 2) {
        struct sample samples[2];
        VionetFrame burst[2];

        sample_init(&samples[0], 14 + i % 40, false, i);
        sample_init(&samples[1], 14 + (i + 1) % 40, false, i + 1);
        burst[0] = samples[0].frame;
        burst[1] = samples[1].frame;
        g_assert_false(backend_send(backend, burst, 2));
        /* The file is whole after each burst. */
        g_assert_cmpuint(assert_capture(dir, "a,b.pcap"), ==, i + 2);
    }
    g_assert_cmpuint(backend_receive(backend, NULL, 0), ==, 0);
    backend_complete(backend, NULL, 0);
    assert_counters(backend, 100, 0, 0);
    backend_close(backend);
    g_assert_cmpuint(assert_capture(dir, "a,b.pcap"), ==, 100);
    remove_file(dir, "a,b.pcap");
    remove_dir(dir);
}

/* Expects that text, in which %s is dir, is refused with a sentence that begins and ends so. */
static void assert_pcap_refused(const char *format, const char *dir, const char *end)
{
    char *text = g_strdup_printf(format, dir, dir);
    GError *error = NULL;

    g_assert_null(backend_open(text, &error));
    g_assert_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG);
    g_assert_true(g_str_has_prefix(error->message, "backend pcap: "));
    g_assert_nonnull(strstr(error->message, dir));
    g_assert_true(g_str_has_suffix(error->message, end));
    g_assert_null(strchr(error->message, '\n'));
    g_error_free(error);
    g_free(text);
}

static void test_pcap_refuses_files(void)
{
    char *dir = test_dir();

    capture_save(capture_new(113), dir, "cooked.pcap"); /* LINUX_SLL */
    capture_save(capture_new(1), dir, "empty.pcap");
    assert_pcap_refused("pcap,in=%s/absent", dir, "No such file or directory");
    assert_pcap_refused("pcap,in=%s/cooked.pcap", dir,
                        "cooked.pcap: not a capture of Ethernet frames");
    assert_pcap_refused("pcap,out=%s/absent/file", dir, "No such file or directory");
    assert_pcap_refused("pcap,in=%s/empty.pcap,out=%s/../no-such-directory/file", dir,
                        "No such file or directory");
    assert_pcap_refused("pcap,in=%s/empty.pcap,out=%s/./empty.pcap", dir,
                        "empty.pcap: is the file that is read");
    g_assert_cmpuint(assert_capture(dir, "empty.pcap"), ==, 0);
    backend_close(open_backend("pcap,in=%s/empty.pcap,out=%s/new.pcap", dir));
    remove_file(dir, "new.pcap");
    remove_file(dir, "cooked.pcap");
    remove_file(dir, "empty.pcap");
    remove_dir(dir);
}

static void test_pcap_reads_to_a_truncated_end(void)
{
    char *dir = test_dir();
    GByteArray *capture = capture_new(1);
    uint8_t frame[60];
    VionetBackend *backend;
    VionetFrame frames[4];

    fill_frame(frame, 60, 0);
    capture_add(capture, frame, 60, 60);
    capture_add(capture, frame, 0, 60); /* nothing of it was captured */
    capture_add(capture, frame, 60, 60);
    g_byte_array_set_size(capture, capture->len - 1);
    capture_save(capture, dir, "in.pcap");
    backend = open_backend("pcap,in=%s/in.pcap", dir);
    g_test_expect_message("vionet", G_LOG_LEVEL_WARNING, "backend pcap: reading ends early: *");
    g_assert_cmpuint(backend_receive(backend, frames, 4), ==, 1);
    g_test_assert_expected_messages();
    assert_frame(&frames[0], frame, 60);
    g_assert_cmpuint(backend_receive(backend, frames, 4), ==, 0);
    assert_counters(backend, 0, 1, 1);
    backend_close(backend);
    remove_file(dir, "in.pcap");
    remove_dir(dir);
}

static void test_pcap_needs_room_to_begin(void)
{
    if (!g_file_test("/dev/full", G_FILE_TEST_EXISTS)) {
        g_test_skip("no /dev/full");
        return;
    }
    assert_refused("pcap,out=/dev/full", "backend pcap: out=/dev/full: No space left on device");
}

/* Writing fails in the middle: said once, counted, and the guest goes on. */
static void test_pcap_survives_a_full_disk(void)
{
    struct rlimit tight;
    char *dir = test_dir();
    VionetBackend *backend = open_backend("pcap,out=%s/out.pcap", dir);
    struct rlimit usual;

    signal(SIGXFSZ, SIG_IGN);
    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &usual), ==, 0);
    tight = usual;
    tight.rlim_cur = 24 + 2 * (16 + 60);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &tight), ==, 0);
    g_assert_cmpuint(send_many(backend, 2, 0), ==, 0);
    g_test_expect_message("vionet", G_LOG_LEVEL_WARNING, "backend pcap: writing failed*");
    g_assert_cmpuint(send_many(backend, 3, 2), ==, 3);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &usual), ==, 0);
    signal(SIGXFSZ, SIG_DFL);
    g_test_assert_expected_messages();
    assert_counters(backend, 5, 0, 3);
    backend_close(backend);
    remove_file(dir, "out.pcap");
    remove_dir(dir);
}

/* ---- A guest in front of a frontend ---- */

static void guest_send(struct bench *bench, unsigned pair, uint32_t len, unsigned number)
{
    uint8_t *frame = g_malloc(len);

    fill_frame(frame, len, number);
    g_assert_true(net_transmit(bench->net, pair, NULL, frame, len));
    g_free(frame);
}

/* The guest finds this frame next; returns the pair that it came on. */
static unsigned guest_expect(struct bench *bench, uint32_t len, unsigned number)
{
    uint8_t *frame = g_malloc(len);
    struct guest_packet packet;

    fill_frame(frame, len, number);
    g_assert_true(net_receive(bench->net, &packet));
    g_assert_cmpmem(packet.data, packet.len, frame, len);
    g_free(frame);
    return packet.pair;
}

static void guest_expect_nothing(struct bench *bench)
{
    struct guest_packet packet;

    g_assert_false(net_receive(bench->net, &packet));
}

static VionetBackend *bench_backend(struct bench *bench)
{
    return vionet_frontend_backend(bench->frontend);
}

static void test_guest_sends_to_null(void)
{
    struct bench *bench = bench_up("", "null", NULL);

    for (unsigned i = 0; i < 1000; i++) {
        guest_send(bench, 0, 60 + i % 1000, i);
    }
    net_reclaim(bench->net, 0);
    g_assert_cmpuint(net_transmit_pending(bench->net, 0), ==, 0);
    guest_expect_nothing(bench);
    g_assert_false(vionet_frontend_poll(bench->frontend, 100));
    guest_expect_nothing(bench);
    g_assert_true(vionet_frontend_can_receive(bench->frontend));
    assert_counters(bench_backend(bench), 1000, 0, 0);
    bench_free(bench);
}

static void test_guest_hears_itself(void)
{
    struct bench *bench = bench_up("", "loopback", NULL);

    for (unsigned i = 0; i < 2000; i++) {
        const uint32_t len = i % 100 == 99 ? 65550 : 14 + i % 1500;

        guest_send(bench, 0, len, i);
        guest_expect(bench, len, i);
    }
    guest_expect_nothing(bench);
    net_reclaim(bench->net, 0);
    g_assert_cmpuint(net_transmit_pending(bench->net, 0), ==, 0);
    g_assert_cmpuint(vionet_frontend_held(bench->frontend), ==, 0);
    assert_counters(bench_backend(bench), 2000, 2000, 0);
    bench_free(bench);
}

static void test_guest_hears_all_its_pairs(void)
{
    struct bench *bench = bench_up("queues=4,mq=on", "loopback", NULL);

    for (unsigned i = 0; i < 400; i++) {
        guest_send(bench, i % 4, 100, i);
        guest_expect(bench, 100, i);
    }
    assert_counters(bench_backend(bench), 400, 400, 0);
    bench_free(bench);
}

/* More than a burst before the device is told. */
static void test_guest_sends_a_full_queue(void)
{
    const struct net_options options = {.transmit_buffers = 256, .transmit_size = 256};
    struct bench *bench = bench_up("", "loopback", &options);
    uint8_t frame[100];

    for (unsigned i = 0; i < 256; i++) {
        fill_frame(frame, sizeof(frame), i);
        g_assert_true(net_transmit_add(bench->net, 0, NULL, NULL, frame, sizeof(frame)));
    }
    net_transmit_flush(bench->net, 0);
    for (unsigned i = 0; i < 256; i++) {
        guest_expect(bench, sizeof(frame), i);
    }
    g_assert_cmpuint(bench->wakes, ==, 0);
    assert_counters(bench_backend(bench), 256, 256, 0);
    bench_free(bench);
}

/* ---- Backends with an event loop ---- */

/* More than the guest has room for waits in the socket, and comes in order as it makes room. */
static void test_guest_hears_a_peer(void)
{
    const size_t size = 104; /* with its length in front */
    const size_t all = 1000 * size;
    GMainContext *context = g_main_context_new();
    uint8_t *octets = g_malloc0(all);
    struct bench *bench;
    uint8_t found[104];
    char *text;
    int pair[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
    text = g_strdup_printf("stream,addr.type=fd,addr.str=%d", pair[0]);
    bench = bench_up("", text, NULL);
    vionet_frontend_attach(bench->frontend, context);
    for (unsigned i = 0; i < 1000; i++) {
        octets[i * size + 3] = 100;
        fill_frame(octets + i * size + 4, 100, i);
    }
    g_assert_cmpint(send(pair[1], octets, all, MSG_DONTWAIT), ==, (ssize_t)all);
    while (g_main_context_iteration(context, FALSE)) {
    }
    g_assert_cmpuint(vionet_frontend_held(bench->frontend), >, 0);
    for (unsigned i = 0; i < 1000; i++) {
        while (g_main_context_iteration(context, FALSE)) {
        }
        guest_expect(bench, 100, i);
    }
    guest_send(bench, 0, 100, 999);
    g_assert_cmpint(recv(pair[1], found, size, MSG_DONTWAIT), ==, (ssize_t)size);
    g_assert_cmpmem(found, size, octets + 999 * size, size);
    assert_counters(bench_backend(bench), 1, 1000, 0);
    bench_free(bench);
    close(pair[1]);
    g_main_context_unref(context);
    g_free(text);
    g_free(octets);
}

/* A peer that comes and sends in one breath finds the link up, by the time its frame is looked at. */
static void test_guest_hears_a_newcomer(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    GMainContext *context = g_main_context_new();
    char *dir = g_dir_make_tmp("backends-XXXXXX", NULL);
    char *text = g_strdup_printf("stream,server=on,addr.type=unix,addr.path=%s/s", dir);
    struct bench *bench = bench_up("", text, NULL);

    g_snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", dir);
    vionet_frontend_attach(bench->frontend, context);
    for (unsigned i = 0; i < 3; i++) {
        uint8_t octets[104] = {0, 0, 0, 100};
        const int peer = socket(AF_UNIX, SOCK_STREAM, 0);

        fill_frame(octets + 4, 100, i);
        g_assert_cmpint(connect(peer, (struct sockaddr *)&address, sizeof(address)), ==, 0);
        g_assert_cmpint(send(peer, octets, sizeof(octets), 0), ==, sizeof(octets));
        while (g_main_context_iteration(context, FALSE)) {
        }
        guest_expect(bench, 100, i);
        close(peer);
        while (g_main_context_iteration(context, FALSE)) {
        }
    }
    bench_free(bench);
    g_remove(address.sun_path);
    g_rmdir(dir);
    g_main_context_unref(context);
    g_free(text);
    g_free(dir);
}

#ifdef WITH_SLIRP
static void test_guest_finds_the_gateway(void)
{
    /* ARP (RFC 826): 10.0.2.15 asks for 10.0.2.2, which is at 52:55:0a:00:02:02. */
    static const uint8_t ask[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0x00, 0x12, 0x34,
                                  0x56, 0x08, 0x06, 0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01,
                                  0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 0x0a, 0x00, 0x02, 0x0f, 0x00,
                                  0x00, 0x00, 0x00, 0x00, 0x00, 0x0a, 0x00, 0x02, 0x02};
    static const uint8_t at[] = {0x00, 0x02, 0x52, 0x55, 0x0a, 0x00, 0x02, 0x02};
    GMainContext *context = g_main_context_new();
    struct bench *bench = bench_up("csum=on,guest_csum=on,host_tso4=on", "user", NULL);
    const struct net_header header = {0};
    struct guest_packet packet;

    vionet_frontend_attach(bench->frontend, context);
    g_assert_true(net_transmit(bench->net, 0, &header, ask, sizeof(ask)));
    g_assert_true(net_receive(bench->net, &packet));
    g_assert_cmpuint(packet.len, >=, 42);
    g_assert_cmpmem(packet.data + 20, sizeof(at), at, sizeof(at));
    g_assert_cmphex(packet.header.flags, ==, VIRTIO_NET_HDR_F_DATA_VALID);
    bench_free(bench);
    g_main_context_unref(context);
}
#endif

/* ---- Back-pressure ---- */

static void test_frames_wait_for_room(void)
{
    const struct net_options options = {.receive_buffers = 4, .receive_batch = 1};
    struct bench *bench = bench_up("mrg_rxbuf=off", "loopback", &options);

    for (unsigned i = 0; i < 200; i++) {
        guest_send(bench, 0, 100, i);
    }
    g_assert_cmpuint(vionet_frontend_held(bench->frontend), >, 0);
    g_assert_cmpuint(vionet_frontend_held(bench->frontend), <=, 64);
    g_assert_false(vionet_frontend_can_receive(bench->frontend));
    g_assert_false(vionet_frontend_poll(bench->frontend, 10)); /* no room, no work */
    assert_counters(bench_backend(bench), 200, 4 + vionet_frontend_held(bench->frontend), 0);
    /* Each buffer given back lets one more in, in order. */
    for (unsigned i = 0; i < 200; i++) {
        guest_expect(bench, 100, i);
        net_recycle(bench->net);
    }
    guest_expect_nothing(bench);
    g_assert_true(vionet_frontend_can_receive(bench->frontend));
    assert_counters(bench_backend(bench), 200, 200, 0);
    bench_free(bench);
}

static void test_what_does_not_fit_is_counted(void)
{
    const struct net_options options = {.receive_buffers = 1, .receive_batch = 1};
    struct bench *bench = bench_up("", "loopback", &options);

    for (unsigned i = 0; i < 300; i++) {
        guest_send(bench, 0, 60, i);
    }
    /* One went through, 256 are in the backend's queue, taken for the guest or not. */
    g_assert_cmpuint(backend_counters(bench_backend(bench)).dropped, ==, 300 - 257);
    for (unsigned i = 0; i < 257; i++) {
        guest_expect(bench, 60, i);
        net_recycle(bench->net);
    }
    guest_expect_nothing(bench);
    bench_free(bench);
}

static void test_held_frames_go_with_a_reset(void)
{
    const struct net_options options = {.receive_buffers = 2, .receive_batch = 1};
    struct bench *bench = bench_up("", "loopback", &options);

    for (unsigned i = 0; i < 10; i++) {
        guest_send(bench, 0, 60, i);
    }
    g_assert_cmpuint(vionet_frontend_held(bench->frontend), ==, 1);
    vionet_frontend_reset(bench->frontend);
    g_assert_cmpuint(vionet_frontend_held(bench->frontend), ==, 0);
    g_assert_false(vionet_frontend_can_receive(bench->frontend));
    g_assert_false(vionet_frontend_poll(bench->frontend, 10));
    /* What was still on its way reaches the next driver. Two were delivered, one was held. */
    bench->driver->probed = false; /* BARs and MSI-X are gone too */
    bench_start(bench, NULL, features_of(FEATURES_END));
    for (unsigned i = 3; i < 10; i++) {
        guest_expect(bench, 60, i);
        net_recycle(bench->net);
    }
    guest_expect_nothing(bench);
    g_assert_true(vionet_frontend_can_receive(bench->frontend));
    bench_free(bench);
}

static void test_a_backend_outlives_its_device(void)
{
    const struct net_options options = {.receive_buffers = 1, .receive_batch = 1};
    struct bench *bench = bench_up("", "loopback", &options);

    for (unsigned cycle = 0; cycle < 20; cycle++) {
        for (unsigned i = 0; i < 100; i++) {
            guest_send(bench, 0, 60, i);
        }
        vionet_frontend_unrealize(bench->frontend);
        g_assert_cmpuint(vionet_frontend_held(bench->frontend), ==, 0);
        g_assert_false(vionet_frontend_can_receive(bench->frontend));
        g_assert_false(vionet_frontend_poll(bench->frontend, 1));
        g_assert_null(vionet_frontend_device(bench->frontend));
        bench_realize(bench);
        bench->driver->probed = false;
        bench_start(bench, NULL, features_of(FEATURES_END));
        while (backend_counters(bench_backend(bench)).received <
               backend_counters(bench_backend(bench)).sent -
                   backend_counters(bench_backend(bench)).dropped) {
            struct guest_packet packet;

            vionet_frontend_poll(bench->frontend, 1);
            while (net_receive(bench->net, &packet)) {
                net_recycle(bench->net);
            }
        }
    }
    bench_free(bench);
}

/* ---- pcap behind a guest ---- */

static void save_numbered_capture(const char *dir, const char *name, unsigned n)
{
    GByteArray *capture = capture_new(1);
    uint8_t frame[64];

    for (unsigned i = 0; i < n; i++) {
        fill_frame(frame, 14 + i % 40, i);
        capture_add(capture, frame, 14 + i % 40, 14 + i % 40);
    }
    capture_save(capture, dir, name);
}

static struct bench *bench_with_capture(char *dir, const char *format,
                                        const struct net_options *options, bool start)
{
    char *backend = g_strdup_printf(format, dir, dir);
    struct bench *bench = bench_new("csum=on", backend);

    if (start) {
        bench_start(bench, options, features_of(FEATURES_END));
    }
    g_free(backend);
    return bench;
}

static void test_a_capture_is_replayed_on_demand(void)
{
    char *dir = test_dir();
    struct bench *bench;

    save_numbered_capture(dir, "in.pcap", 300);
    bench = bench_with_capture(dir, "pcap,in=%s/in.pcap", NULL, true);
    guest_expect_nothing(bench);
    guest_send(bench, 0, 60, 0);
    guest_expect_nothing(bench); /* sending does not pull */
    for (unsigned i = 0; i < 10; i++) {
        g_assert_false(vionet_frontend_poll(bench->frontend, 1));
        guest_expect(bench, 14 + i % 40, i);
        guest_expect_nothing(bench);
    }
    g_assert_false(vionet_frontend_poll(bench->frontend, 100));
    for (unsigned i = 10; i < 110; i++) {
        guest_expect(bench, 14 + i % 40, i);
    }
    guest_expect_nothing(bench);
    g_assert_false(vionet_frontend_poll(bench->frontend, 1000));
    for (unsigned i = 110; i < 300; i++) {
        guest_expect(bench, 14 + i % 40, i);
    }
    g_assert_false(vionet_frontend_poll(bench->frontend, 1));
    guest_expect_nothing(bench);
    bench_free(bench);
    remove_file(dir, "in.pcap");
    remove_dir(dir);
}

static void test_a_replay_waits_for_the_guest(void)
{
    const struct net_options options = {.receive_buffers = 4, .receive_batch = 1};
    char *dir = test_dir();
    struct bench *bench;

    save_numbered_capture(dir, "in.pcap", 200);
    bench = bench_with_capture(dir, "pcap,in=%s/in.pcap", NULL, false);
    /* No driver: nothing is taken, however often it is asked for. */
    g_assert_false(vionet_frontend_poll(bench->frontend, 150));
    g_assert_false(vionet_frontend_poll(bench->frontend, 150));
    assert_counters(bench_backend(bench), 0, 0, 0);
    /* Then 150 come as fast as there is room, and no more. */
    bench_start(bench, &options, features_of(FEATURES_END));
    for (unsigned i = 0; i < 150; i++) {
        guest_expect(bench, 14 + i % 40, i);
        net_recycle(bench->net);
    }
    guest_expect_nothing(bench);
    assert_counters(bench_backend(bench), 0, 150, 0);
    bench_free(bench);
    remove_file(dir, "in.pcap");
    remove_dir(dir);
}

static void test_what_the_guest_sends_is_recorded(void)
{
    char *dir = test_dir();
    struct bench *bench;

    save_numbered_capture(dir, "in.pcap", 100);
    bench = bench_with_capture(dir, "pcap,in=%s/in.pcap,out=%s/out.pcap", NULL, true);
    for (unsigned i = 0; i < 100; i++) {
        struct guest_packet packet;

        vionet_frontend_poll(bench->frontend, 1);
        g_assert_true(net_receive(bench->net, &packet));
        g_assert_true(net_transmit(bench->net, 0, NULL, packet.data, packet.len));
    }
    g_assert_cmpuint(assert_capture(dir, "out.pcap"), ==, 100);
    assert_counters(bench_backend(bench), 100, 100, 0);
    bench_free(bench);
    g_assert_cmpuint(assert_capture(dir, "out.pcap"), ==, 100);
    remove_file(dir, "in.pcap");
    remove_file(dir, "out.pcap");
    remove_dir(dir);
}

/* Frames so large that the frontend's place for plain ones does not take a burst of them. */
static void test_large_frames_are_recorded(void)
{
    const struct net_options options = {.transmit_buffers = 20};
    char *dir = test_dir();
    char *path = g_build_filename(dir, "out.pcap", NULL);
    struct bench *bench = bench_with_capture(dir, "pcap,out=%s/out.pcap", &options, true);
    uint8_t *frame = g_malloc(65550);
    char *octets;
    gsize len;

    for (unsigned i = 0; i < 20; i++) {
        fill_frame(frame, 65550 - i, i);
        g_assert_true(net_transmit_add(bench->net, 0, NULL, NULL, frame, 65550 - i));
    }
    net_transmit_flush(bench->net, 0);
    assert_counters(bench_backend(bench), 20, 0, 0);
    g_assert_true(g_file_get_contents(path, &octets, &len, NULL));
    for (gsize i = 0, at = 24; i < 20; at += 16 + 65550 - i, i++) {
        fill_frame(frame, (uint32_t)(65550 - i), (unsigned)i);
        g_assert_cmpuint(get32(octets + at + 8), ==, 65550 - i);
        g_assert_cmpmem(octets + at + 16, 65550 - i, frame, 65550 - i);
    }
    g_free(octets);
    g_free(frame);
    g_free(path);
    bench_free(bench);
    remove_file(dir, "out.pcap");
    remove_dir(dir);
}

/* ---- Unfinished checksums ---- */

/*
 * Ethernet, IPv4, UDP with 4 octets "ping" from 192.0.2.1 port 7 to 192.0.2.2 port 7. The UDP
 * checksum is left to the device: its field holds the pseudo header's sum, c000 + 0201 + c000 +
 * 0202 + 0011 + 000c = 18420, folded 8421. The finished one covers 8421 + 0007 + 0007 + 000c + 7069
 * + 6e67 = 1630b, folded 630c, complemented 9cf3.
 */
#define UDP_SUM_AT 40

static const uint8_t unfinished[46] = {
    0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x08, 0x00, 0x45, 0x00,
    0x00, 0x20, 0x00, 0x00, 0x00, 0x00, 0x40, 0x11, 0xf6, 0xc9, 0xc0, 0x00, 0x02, 0x01, 0xc0, 0x00,
    0x02, 0x02, 0x00, 0x07, 0x00, 0x07, 0x00, 0x0c, 0x84, 0x21, 0x70, 0x69, 0x6e, 0x67,
};

static const struct net_header needs_checksum = {
    .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
    .csum_start = 34,
    .csum_offset = 6,
};

static void finish(uint8_t *frame)
{
    memcpy(frame, unfinished, sizeof(unfinished));
    frame[UDP_SUM_AT] = 0x9c;
    frame[UDP_SUM_AT + 1] = 0xf3;
}

static void test_checksums_are_finished_for_a_capture(void)
{
    char *dir = test_dir();
    char *path = g_build_filename(dir, "out.pcap", NULL);
    struct bench *bench = bench_with_capture(dir, "pcap,out=%s/out.pcap", NULL, true);
    uint8_t finished[sizeof(unfinished)];
    char *octets;
    gsize len;

    finish(finished);
    g_assert_true(net_transmit(bench->net, 0, &needs_checksum, unfinished, sizeof(unfinished)));
    g_assert_true(g_file_get_contents(path, &octets, &len, NULL));
    g_assert_cmpuint(len, ==, 24 + 16 + sizeof(finished));
    g_assert_cmpmem(octets + 40, len - 40, finished, sizeof(finished));
    g_free(octets);
    g_free(path);
    bench_free(bench);
    remove_file(dir, "out.pcap");
    remove_dir(dir);
}

static void test_checksums_come_back_unfinished(void)
{
    struct bench *bench = bench_up("csum=on,guest_csum=on", "loopback", NULL);
    struct guest_packet packet;

    g_assert_true(net_transmit(bench->net, 0, &needs_checksum, unfinished, sizeof(unfinished)));
    g_assert_true(net_receive(bench->net, &packet));
    g_assert_cmpmem(packet.data, packet.len, unfinished, sizeof(unfinished));
    g_assert_cmpuint(packet.header.flags, ==, VIRTIO_NET_HDR_F_NEEDS_CSUM);
    g_assert_cmpuint(packet.header.csum_start, ==, 34);
    g_assert_cmpuint(packet.header.csum_offset, ==, 6);
    bench_free(bench);
}

static void test_checksums_come_back_finished(void)
{
    struct bench *bench = bench_new("csum=on,guest_csum=on", "loopback");
    uint8_t finished[sizeof(unfinished)];
    struct guest_packet packet;

    finish(finished);
    bench_start(bench, NULL, features_of(VIRTIO_NET_F_GUEST_CSUM, FEATURES_END));
    g_assert_true(net_transmit(bench->net, 0, &needs_checksum, unfinished, sizeof(unfinished)));
    g_assert_true(net_receive(bench->net, &packet));
    g_assert_cmpmem(packet.data, packet.len, finished, sizeof(finished));
    g_assert_cmpuint(packet.header.flags, ==, 0);
    bench_free(bench);
}

/* ---- Time ---- */

static void test_interrupts_wait_for_the_timer(void)
{
    struct bench *bench = bench_up("notf_coal=on", "loopback", NULL);
    const unsigned vector = bench->driver->queues[0].vector;

    bench->now_ns = 1000000;
    g_assert_cmpint(net_control_coalesce_rx(bench->net, 100, 50), ==, VIRTIO_NET_OK);
    g_assert_cmpuint(guest_driver_take_interrupts(bench->driver, vector), ==, 0);
    guest_send(bench, 0, 60, 0);
    g_assert_cmpuint(bench->deadline_ns, ==, 1000000 + 50000);
    g_assert_cmpuint(guest_driver_take_interrupts(bench->driver, vector), ==, 0);
    bench->now_ns = bench->deadline_ns;
    vionet_device_timer(vionet_frontend_device(bench->frontend), 0);
    g_assert_cmpuint(guest_driver_take_interrupts(bench->driver, vector), ==, 1);
    guest_expect(bench, 60, 0);
    bench_free(bench);
}

/* ---- From within an interrupt ---- */

/* Sends on whatever came, for ever. */
static void bounce(struct bench *bench)
{
    struct guest_packet packet;

    while (net_receive(bench->net, &packet)) {
        g_assert_true(net_transmit(bench->net, packet.pair, NULL, packet.data, packet.len));
    }
}

static void test_a_guest_that_bounces_does_not_keep_us(void)
{
    struct bench *bench = bench_up("", "loopback", NULL);

    bench->on_interrupt = bounce;
    guest_send(bench, 0, 60, 0);
    g_assert_cmpuint(bench->wakes, ==, 1);
    g_assert_cmpuint(bench->deepest, <=, 4);
    for (unsigned i = 0; i < 10; i++) {
        const uint64_t sent = backend_counters(bench_backend(bench)).sent;

        g_assert_true(vionet_frontend_poll(bench->frontend, 0));
        g_assert_cmpuint(backend_counters(bench_backend(bench)).sent, >, sent + 100);
        g_assert_cmpuint(backend_counters(bench_backend(bench)).sent, <, sent + 2000);
    }
    g_assert_cmpuint(bench->wakes, ==, 1);
    g_assert_cmpuint(bench->deepest, <=, 4);
    bench->on_interrupt = NULL;
    g_assert_false(vionet_frontend_poll(bench->frontend, 0));
    bench_free(bench);
}

static void test_unrealizing_with_work_left(void)
{
    struct bench *bench = bench_up("", "loopback", NULL);

    bench->on_interrupt = bounce;
    guest_send(bench, 0, 60, 0);
    g_assert_true(vionet_frontend_poll(bench->frontend, 0));
    vionet_frontend_unrealize(bench->frontend);
    g_assert_false(vionet_frontend_poll(bench->frontend, 1));
    bench->on_interrupt = NULL;
    bench_realize(bench);
    bench->driver->probed = false;
    bench_start(bench, NULL, features_of(FEATURES_END));
    bench_free(bench);
}

/* Polls from within, as an emulator may. */
static void poll_within(struct bench *bench)
{
    g_assert_false(vionet_frontend_poll(bench->frontend, 64));
}

static void test_polling_from_within(void)
{
    struct bench *bench = bench_up("", "loopback", NULL);

    bench->on_interrupt = poll_within;
    for (unsigned i = 0; i < 100; i++) {
        guest_send(bench, 0, 60, i);
        guest_expect(bench, 60, i);
    }
    bench_free(bench);
}

static void reset_within(struct bench *bench)
{
    if (--bench->countdown == 0) {
        g_assert_true(guest_driver_reset(bench->driver));
    }
}

static void test_resetting_from_within(void)
{
    for (unsigned when = 1; when <= 8; when++) {
        const struct net_options options = {.receive_buffers = 8, .receive_batch = 1};
        struct bench *bench = bench_up("", "loopback", &options);
        uint8_t frame[60];

        for (unsigned i = 0; i < 30; i++) {
            fill_frame(frame, sizeof(frame), i);
            g_assert_true(net_transmit_add(bench->net, 0, NULL, NULL, frame, sizeof(frame)));
        }
        bench->on_interrupt = reset_within;
        bench->countdown = when;
        net_transmit_flush(bench->net, 0);
        if (bench->countdown > 0 && bench->countdown <= when) {
            guest_driver_reset(bench->driver); /* there were fewer interrupts than that */
        }
        g_assert_cmpuint(vionet_frontend_held(bench->frontend), ==, 0);
        bench->on_interrupt = NULL;
        bench_start(bench, &options, features_of(FEATURES_END));
        bench_free(bench);
    }
}

/* ---- Polling ---- */

static uint64_t kicks(struct bench *bench)
{
    return vionet_device_counter(vionet_frontend_device(bench->frontend), 1, VIONET_COUNTER_KICKS);
}

static uint64_t sent(struct bench *bench)
{
    return backend_counters(bench_backend(bench)).sent;
}

/* After a notification the guest need not notify, until it had nothing to send for the time set. */
static void test_polling_after_a_kick(void)
{
    struct bench *bench = bench_up("poll-us=100", "null", NULL);
    uint64_t n = kicks(bench);

    for (unsigned round = 0; round < 3; round++) {
        guest_send(bench, 0, 60, 0);
        g_assert_cmpuint(kicks(bench), ==, ++n);
        g_assert_cmpuint(bench->wakes, ==, round + 1);
        for (unsigned i = 1; i <= 20; i++) {
            bench->now_ns += 90000;
            guest_send(bench, 0, 60, i);
            g_assert_cmpuint(sent(bench), ==, 21 * round + i);
            g_assert_true(vionet_frontend_poll(bench->frontend, 0));
            g_assert_cmpuint(sent(bench), ==, 21 * round + i + 1);
        }
        g_assert_cmpuint(kicks(bench), ==, n);
        bench->now_ns += 100000;
        g_assert_true(vionet_frontend_poll(bench->frontend, 0));
        bench->now_ns += 1;
        g_assert_false(vionet_frontend_poll(bench->frontend, 0));
    }
    net_reclaim(bench->net, 0);
    g_assert_cmpuint(net_transmit_pending(bench->net, 0), ==, 0);
    bench_free(bench);
}

/* A notification moves nothing, and no other comes until a run has found nothing. */
static void test_notifications_are_deferred(void)
{
    struct bench *bench = bench_new_deferred("", "null");
    uint64_t n;

    bench_start(bench, NULL, features_of(FEATURES_END));
    while (vionet_frontend_poll(bench->frontend, 0)) {
    }
    n = kicks(bench);
    for (unsigned round = 0; round < 3; round++) {
        const unsigned wakes = bench->wakes;

        guest_send(bench, 0, 60, 0);
        g_assert_cmpuint(kicks(bench), ==, ++n);
        g_assert_cmpuint(bench->wakes, ==, wakes + 1);
        for (unsigned i = 1; i <= 20; i++) {
            guest_send(bench, 0, 60, i);
            g_assert_cmpuint(sent(bench), ==, 21 * round + (i == 1 ? 0 : i));
            g_assert_true(vionet_frontend_poll(bench->frontend, 0));
            g_assert_cmpuint(sent(bench), ==, 21 * round + i + 1);
        }
        g_assert_cmpuint(kicks(bench), ==, n);
        g_assert_false(vionet_frontend_poll(bench->frontend, 0));
    }
    net_reclaim(bench->net, 0);
    g_assert_cmpuint(net_transmit_pending(bench->net, 0), ==, 0);
    bench_free(bench);
}

/* What the guest adds as polling ends, without a notification, is not forgotten. */
static void test_polling_ends_with_frames_there(void)
{
    struct bench *bench = bench_up("poll-us=100,queues=2", "null", NULL);
    const uint64_t n = kicks(bench);

    guest_send(bench, 0, 60, 0);
    guest_send(bench, 1, 60, 1);
    g_assert_cmpuint(sent(bench), ==, 2);
    bench->now_ns += 1000000;
    guest_send(bench, 0, 60, 2);
    g_assert_cmpuint(kicks(bench), ==, n + 1);
    g_assert_true(vionet_frontend_poll(bench->frontend, 0));
    g_assert_cmpuint(sent(bench), ==, 3);
    guest_send(bench, 1, 60, 3); /* this pair is not polled any more */
    g_assert_cmpuint(sent(bench), ==, 4);
    bench->now_ns += 1000000;
    g_assert_false(vionet_frontend_poll(bench->frontend, 0));
    bench_free(bench);
}

static void test_polling_and_a_reset(void)
{
    struct bench *bench = bench_up("poll-us=100", "null", NULL);

    guest_send(bench, 0, 60, 0);
    g_assert_true(guest_driver_reset(bench->driver));
    g_assert_false(vionet_frontend_poll(bench->frontend, 0));
    bench_start(bench, NULL, features_of(FEATURES_END));
    guest_send(bench, 0, 60, 1);
    g_assert_cmpuint(sent(bench), ==, 2);
    bench_free(bench);
}

/* Another processor of the guest: adds a command for each that is executed, and never notifies. */
static void add_command(struct bench *bench, const VionetEvent *event)
{
    static const uint8_t promiscuous[] = {VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 0};
    struct virtq *vq = guest_queue_ring(bench->driver, bench->driver->control);
    const uint64_t gpa = guest_alloc(bench->memory, 16, 16);
    const struct virtq_segment segments[] = {{gpa, 3, false}, {gpa + 8, 1, true}};
    uint8_t *octets = guest_ptr(bench->memory, gpa, 16);
    struct virtq_used used;

    if (event->kind != VIONET_EVENT_FILTER || bench->countdown == 0) {
        return;
    }
    memcpy(octets, promiscuous, 3);
    octets[2] = bench->countdown-- % 2;
    octets[8] = 0xff;
    g_assert_true(virtq_add(vq, segments, 2, octets));
    virtq_publish(vq);
    while (virtq_poll(vq, &used)) {
        g_assert_cmpuint(*((uint8_t *)used.cookie + 8), ==, VIRTIO_NET_OK);
    }
}

/* A notification pays for so many commands; those behind it are not forgotten. */
static void test_commands_that_never_end(void)
{
    const unsigned n = 1000;
    struct bench *bench = bench_up("", "null", NULL);
    VionetDevice *device = vionet_frontend_device(bench->frontend);
    const unsigned control = bench->driver->control;
    uint64_t before;

    g_assert_cmpuint(vionet_device_control_queue(device), ==, control);
    bench->on_event = add_command;
    bench->countdown = n;
    add_command(bench, &(VionetEvent){.kind = VIONET_EVENT_FILTER});
    guest_queue_notify(bench->driver, control);
    before = vionet_device_counter(device, control, VIONET_COUNTER_COMMANDS_OK);
    g_assert_cmpuint(before, <, n / 2);
    g_assert_cmpuint(bench->wakes, ==, 1);
    while (vionet_frontend_poll(bench->frontend, 0)) {
        const uint64_t now = vionet_device_counter(device, control, VIONET_COUNTER_COMMANDS_OK);

        g_assert_cmpuint(now, >, before);
        g_assert_cmpuint(now, <=, before + 64); /* entries of the queue */
        before = now;
    }
    g_assert_cmpuint(vionet_device_counter(device, control, VIONET_COUNTER_COMMANDS_OK), ==, n);
    bench->on_event = NULL;
    bench_free(bench);
}

/* What is left of a driver's commands when it resets the device is nobody's. */
static void test_commands_left_at_a_reset(void)
{
    struct bench *bench = bench_up("", "null", NULL);
    VionetDevice *device = vionet_frontend_device(bench->frontend);

    bench->on_event = add_command;
    bench->countdown = 1000;
    add_command(bench, &(VionetEvent){.kind = VIONET_EVENT_FILTER});
    guest_queue_notify(bench->driver, bench->driver->control);
    bench->on_event = NULL;
    g_assert_true(guest_driver_reset(bench->driver));
    g_assert_false(vionet_frontend_poll(bench->frontend, 0));
    g_assert_cmpuint(vionet_device_violations(device, VIONET_VIOLATION_NOTIFY_QUEUE), ==, 0);
    bench_start(bench, NULL, features_of(FEATURES_END));
    bench_free(bench);
}

/* ---- Frames to be segmented ---- */

/* Every one that there is, each behind every backend. */
static void test_all_backends_serve_all_offloads(void)
{
    static const char *const backends[] = {"null", "loopback", "pcap,out=/dev/null"};
    const char *all = "csum=on,host_tso4=on,host_tso6=on,host_ecn=on,host_ufo=on,host_uso=on,"
                      "host_tunnel=on,host_tunnel_csum=on";

    for (size_t i = 0; i < G_N_ELEMENTS(backends); i++) {
        bench_free(bench_up(all, backends[i], NULL));
    }
}

#define TCP_HEADERS 54

static const struct net_header to_be_segmented = {
    .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
    .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
    .gso_size = 1000,
    .hdr_len = TCP_HEADERS,
    .csum_start = 34,
    .csum_offset = 16,
};

static unsigned word_at(const uint8_t *octets, size_t at)
{
    return (unsigned)octets[at] << 8 | octets[at + 1];
}

static uint32_t add_words(const uint8_t *octets, size_t n, uint32_t sum)
{
    for (size_t i = 0; i < n; i++) {
        sum += i % 2 ? octets[i] : (uint32_t)octets[i] << 8;
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

/* Ethernet, IPv4 and TCP from 10.0.0.1 to 10.0.0.2, with n octets; the checksum is unfinished. */
static uint8_t *new_tcp(size_t n, unsigned number)
{
    static const uint8_t ip[] = {0x45, 0, 0,  0, 0, 0, 0x40, 0, 64, 6,
                                 0,    0, 10, 0, 0, 1, 10,   0, 0,  2};
    static const uint8_t tcp[] = {0x10, 0, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x18, 0x20, 0};
    uint8_t *frame = g_malloc(TCP_HEADERS + n);
    uint32_t sum;

    fill_frame(frame, (uint32_t)(TCP_HEADERS + n), number);
    frame[12] = 0x08;
    frame[13] = 0x00;
    memcpy(frame + 14, ip, sizeof(ip));
    memcpy(frame + 34, tcp, sizeof(tcp));
    frame[16] = (uint8_t)((40 + n) >> 8);
    frame[17] = (uint8_t)(40 + n);
    sum = add_words(frame + 26, 8, (uint32_t)(6 + 20 + n));
    frame[50] = (uint8_t)(sum >> 8);
    frame[51] = (uint8_t)sum;
    frame[52] = frame[53] = 0;
    return frame;
}

/* A segment of new_tcp() from octet at on: right lengths, sequence, checksums and octets. */
static void assert_segment(const uint8_t *found, size_t len, size_t at, size_t n, unsigned number)
{
    uint8_t *frame = new_tcp(at + n, number);

    g_assert_cmpuint(len, ==, TCP_HEADERS + n);
    g_assert_cmpuint(word_at(found, 16), ==, 40 + n);
    g_assert_cmphex(add_words(found + 14, 20, 0), ==, 0xffff);
    g_assert_cmpuint(word_at(found, 40), ==, at);
    g_assert_cmphex(add_words(found + 26, 28 + n, (uint32_t)(6 + 20 + n)), ==, 0xffff);
    g_assert_cmpmem(found + TCP_HEADERS, n, frame + TCP_HEADERS + at, n);
    g_free(frame);
}

static void guest_send_tcp(struct bench *bench, size_t n, unsigned number)
{
    uint8_t *frame = new_tcp(n, number);

    g_assert_true(net_transmit(bench->net, 0, &to_be_segmented, frame, TCP_HEADERS + n));
    g_free(frame);
}

/* The guest finds segments of new_tcp() with n octets, and gives their buffers back. */
static void guest_expect_segments(struct bench *bench, size_t n, unsigned number)
{
    for (size_t at = 0; at < n; at += 1000) {
        struct guest_packet packet;

        g_assert_true(net_receive(bench->net, &packet));
        g_assert_cmpuint(packet.header.gso_type, ==, VIRTIO_NET_HDR_GSO_NONE);
        assert_segment(packet.data, packet.len, at, MIN(1000, n - at), number);
        net_recycle(bench->net);
    }
}

/* The guest gets them as they are if it takes such. */
static void guest_expect_unsegmented(struct bench *bench, size_t n, unsigned number)
{
    uint8_t *frame = new_tcp(n, number);
    struct guest_packet packet;

    g_assert_true(net_receive(bench->net, &packet));
    g_assert_cmpmem(packet.data, packet.len, frame, TCP_HEADERS + n);
    g_assert_cmpuint(packet.header.gso_type, ==, VIRTIO_NET_HDR_GSO_TCPV4);
    g_assert_cmpuint(packet.header.gso_size, ==, 1000);
    net_recycle(bench->net);
    g_free(frame);
}

static void test_segments_are_recorded(void)
{
    char *dir = test_dir();
    char *path = g_build_filename(dir, "out.pcap", NULL);
    char *backend = g_strdup_printf("pcap,out=%s", path);
    struct bench *bench = bench_up("csum=on,host_tso4=on", backend, NULL);
    char *octets;
    gsize len;
    gsize at = 24;

    guest_send_tcp(bench, 60001, 1);
    guest_send(bench, 0, 60, 2);
    assert_counters(bench_backend(bench), 62, 0, 0);
    g_assert_true(g_file_get_contents(path, &octets, &len, NULL));
    for (unsigned i = 0; i <= 60; i++) {
        const uint32_t here = get32(octets + at + 8);

        assert_segment((uint8_t *)octets + at + 16, here, 1000 * i, i < 60 ? 1000 : 1, 1);
        at += 16 + here;
    }
    g_assert_cmpuint(at + 16 + 60, ==, len);
    g_free(octets);
    g_free(backend);
    g_free(path);
    bench_free(bench);
    remove_file(dir, "out.pcap");
    remove_dir(dir);
}

/* What says that it is TCP and is not. */
static void test_what_cannot_be_segmented_is_counted(void)
{
    struct bench *bench = bench_up("csum=on,host_tso4=on", "pcap,out=/dev/null", NULL);
    uint8_t frame[2000];

    fill_frame(frame, sizeof(frame), 0);
    g_assert_true(net_transmit(bench->net, 0, &to_be_segmented, frame, sizeof(frame)));
    guest_send(bench, 0, 60, 1);
    assert_counters(bench_backend(bench), 2, 0, 1);
    bench_free(bench);
    bench = bench_new("csum=on,guest_csum=on,host_tso4=on,guest_tso4=on", "loopback");
    bench_start(bench, NULL, features_of(VIRTIO_NET_F_GUEST_TSO4, FEATURES_END));
    g_assert_true(net_transmit(bench->net, 0, &to_be_segmented, frame, sizeof(frame)));
    guest_send(bench, 0, 60, 1);
    guest_expect(bench, 60, 1);
    g_assert_cmpuint(
        vionet_device_verdicts(vionet_frontend_device(bench->frontend), VIONET_DROP_OFFLOAD), ==,
        1);
    bench_free(bench);
}

/* As fast as there is room, in order with what is around them. */
static void test_segments_wait_for_room(void)
{
    const struct net_options options = {.receive_buffers = 3, .receive_batch = 1};
    struct bench *bench = bench_new("csum=on,guest_csum=on,host_tso4=on,guest_tso4=on", "loopback");

    bench_start(bench, &options, features_of(VIRTIO_NET_F_GUEST_TSO4, FEATURES_END));
    for (unsigned i = 0; i < 20; i++) {
        guest_send(bench, 0, 100, i);
        guest_send_tcp(bench, 100 + 3000 * i, i);
    }
    for (unsigned i = 0; i < 20; i++) {
        guest_expect(bench, 100, i);
        net_recycle(bench->net);
        guest_expect_segments(bench, 100 + 3000 * i, i);
    }
    guest_expect_nothing(bench);
    g_assert_true(vionet_frontend_can_receive(bench->frontend));
    assert_counters(bench_backend(bench), 40, 40, 0);
    bench_free(bench);
}

/* The driver switches: what is on its way is segmented, or is so no more. */
static void test_offloads_switched_on_the_way(void)
{
    struct bench *bench =
        bench_up("csum=on,guest_csum=on,host_tso4=on,guest_tso4=on,ctrl_guest_offloads=on",
                 "loopback", NULL);
    const uint64_t csum = UINT64_C(1) << VIRTIO_NET_F_GUEST_CSUM;
    const uint64_t tso = csum | UINT64_C(1) << VIRTIO_NET_F_GUEST_TSO4;

    for (unsigned i = 0; i < 10; i++) {
        guest_send_tcp(bench, 10000, 1);
        guest_expect_unsegmented(bench, 10000, 1);
        g_assert_cmpint(net_control_offloads(bench->net, i % 2 ? csum : 0), ==, VIRTIO_NET_OK);
        guest_send_tcp(bench, 10000, 2);
        guest_expect_segments(bench, 10000, 2);
        g_assert_cmpint(net_control_offloads(bench->net, tso), ==, VIRTIO_NET_OK);
    }
    guest_expect_nothing(bench);
    bench_free(bench);
}

static void test_a_reset_between_segments(void)
{
    const struct net_options options = {.receive_buffers = 3, .receive_batch = 1};
    const struct guest_features without = features_of(VIRTIO_NET_F_GUEST_TSO4, FEATURES_END);
    struct bench *bench = bench_new("csum=on,guest_csum=on,host_tso4=on,guest_tso4=on", "loopback");

    bench_start(bench, &options, without);
    for (unsigned i = 0; i < 10; i++) {
        guest_send_tcp(bench, 60000, 1);
        g_assert_cmpuint(vionet_frontend_held(bench->frontend), ==, 1);
        g_assert_true(guest_driver_reset(bench->driver));
        g_assert_cmpuint(vionet_frontend_held(bench->frontend), ==, 0);
        bench_start(bench, &options, without);
        guest_expect_nothing(bench);
    }
    guest_send_tcp(bench, 5000, 2);
    guest_expect_segments(bench, 5000, 2);
    bench_free(bench);
}

/* Frames of the smallest segments are paid for by the segment. */
static void test_many_segments_do_not_keep_us(void)
{
    const struct net_options options = {.transmit_buffers = 64};
    struct bench *bench = bench_up("csum=on,host_tso4=on", "pcap,out=/dev/null", &options);
    struct net_header header = to_be_segmented;
    uint8_t *frame = new_tcp(50000, 1);

    header.gso_size = 40;
    for (unsigned i = 0; i < 40; i++) {
        g_assert_true(net_transmit_add(bench->net, 0, NULL, &header, frame, TCP_HEADERS + 50000));
    }
    net_transmit_flush(bench->net, 0);
    assert_counters(bench_backend(bench), 40 * 1250, 0, 0);
    header.gso_size = 20; /* too many */
    g_assert_true(net_transmit(bench->net, 0, &header, frame, TCP_HEADERS + 50000));
    assert_counters(bench_backend(bench), 40 * 1250 + 1, 0, 1);
    g_free(frame);
    bench_free(bench);
}

/* A frame to be segmented comes back as one to a guest that takes such. */
static void test_segments_come_back(void)
{
    struct bench *bench =
        bench_up("csum=on,guest_csum=on,host_tso4=on,guest_tso4=on", "loopback", NULL);

    guest_send_tcp(bench, 10000, 3);
    guest_expect_unsegmented(bench, 10000, 3);
    bench_free(bench);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/backends/refused", test_refused_backends);
    g_test_add_func("/backends/help", test_backend_help);
    g_test_add_func("/backends/null", test_null_swallows);
    g_test_add_func("/backends/loopback/copies", test_loopback_copies);
    g_test_add_func("/backends/loopback/is-split", test_loopback_is_split);
    g_test_add_func("/backends/cannot-be-split", test_cannot_be_split);
    g_test_add_func("/backends/loopback/is-bounded", test_loopback_is_bounded);
    g_test_add_func("/backends/loopback/empty-frame", test_loopback_refuses_nothing);
    g_test_add_func("/backends/loopback/reuses-places", test_loopback_reuses_places);
    g_test_add_func("/backends/pcap/replays", test_pcap_replays);
    g_test_add_func("/backends/pcap/records", test_pcap_records);
    g_test_add_func("/backends/pcap/refuses-files", test_pcap_refuses_files);
    g_test_add_func("/backends/pcap/truncated-end", test_pcap_reads_to_a_truncated_end);
    g_test_add_func("/backends/pcap/no-room", test_pcap_needs_room_to_begin);
    g_test_add_func("/backends/pcap/full-disk", test_pcap_survives_a_full_disk);
    g_test_add_func("/guest/null", test_guest_sends_to_null);
    g_test_add_func("/guest/loopback", test_guest_hears_itself);
    g_test_add_func("/guest/loopback-pairs", test_guest_hears_all_its_pairs);
    g_test_add_func("/guest/stream", test_guest_hears_a_peer);
    g_test_add_func("/guest/stream-newcomer", test_guest_hears_a_newcomer);
#ifdef WITH_SLIRP
    g_test_add_func("/guest/user", test_guest_finds_the_gateway);
#endif
    g_test_add_func("/guest/full-queue", test_guest_sends_a_full_queue);
    g_test_add_func("/guest/room", test_frames_wait_for_room);
    g_test_add_func("/guest/overflow", test_what_does_not_fit_is_counted);
    g_test_add_func("/guest/reset-while-held", test_held_frames_go_with_a_reset);
    g_test_add_func("/guest/realize-again", test_a_backend_outlives_its_device);
    g_test_add_func("/guest/pcap/on-demand", test_a_capture_is_replayed_on_demand);
    g_test_add_func("/guest/pcap/waits", test_a_replay_waits_for_the_guest);
    g_test_add_func("/guest/pcap/records", test_what_the_guest_sends_is_recorded);
    g_test_add_func("/guest/pcap/large-frames", test_large_frames_are_recorded);
    g_test_add_func("/guest/checksum/recorded", test_checksums_are_finished_for_a_capture);
    g_test_add_func("/guest/checksum/unfinished", test_checksums_come_back_unfinished);
    g_test_add_func("/guest/checksum/finished", test_checksums_come_back_finished);
    g_test_add_func("/guest/coalescing", test_interrupts_wait_for_the_timer);
    g_test_add_func("/guest/within/bounce", test_a_guest_that_bounces_does_not_keep_us);
    g_test_add_func("/guest/within/unrealize", test_unrealizing_with_work_left);
    g_test_add_func("/guest/within/poll", test_polling_from_within);
    g_test_add_func("/guest/within/reset", test_resetting_from_within);
    g_test_add_func("/guest/poll/after-a-kick", test_polling_after_a_kick);
    g_test_add_func("/guest/poll/deferred", test_notifications_are_deferred);
    g_test_add_func("/guest/poll/ends-with-frames-there", test_polling_ends_with_frames_there);
    g_test_add_func("/guest/poll/reset", test_polling_and_a_reset);
    g_test_add_func("/guest/within/commands", test_commands_that_never_end);
    g_test_add_func("/guest/within/commands-and-reset", test_commands_left_at_a_reset);
    g_test_add_func("/guest/segments/all-backends", test_all_backends_serve_all_offloads);
    g_test_add_func("/guest/segments/recorded", test_segments_are_recorded);
    g_test_add_func("/guest/segments/malformed", test_what_cannot_be_segmented_is_counted);
    g_test_add_func("/guest/segments/room", test_segments_wait_for_room);
    g_test_add_func("/guest/segments/switched", test_offloads_switched_on_the_way);
    g_test_add_func("/guest/segments/reset", test_a_reset_between_segments);
    g_test_add_func("/guest/segments/many", test_many_segments_do_not_keep_us);
    g_test_add_func("/guest/segments/come-back", test_segments_come_back);
    return g_test_run();
}
