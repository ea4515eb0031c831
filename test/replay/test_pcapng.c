/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The pcapng writer, against octets worked out by hand and against libpcap as a reader that shares
 * nothing with it; and the reader, against files as other tools write them (little-endian sections,
 * old and simple packet blocks) and against files that nobody should write.
 */
#include "pcapng_file.h"

#include <glib/gstdio.h>
#include <pcap/pcap.h>
#include <string.h>

#define LE32(x) (x) & 0xff, (x) >> 8 & 0xff, (x) >> 16 & 0xff, (x) >> 24 & 0xff
#define BE32(x) (x) >> 24 & 0xff, (x) >> 16 & 0xff, (x) >> 8 & 0xff, (x)&0xff

#define SECTION_LE                                                                                \
    0x0a, 0x0d, 0x0d, 0x0a, LE32(28), 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, \
        0xff, 0xff, 0xff, 0xff, LE32(28)
#define SECTION_BE                                                                                \
    0x0a, 0x0d, 0x0d, 0x0a, BE32(28), 0x1a, 0x2b, 0x3c, 0x4d, 0, 1, 0, 0, 0xff, 0xff, 0xff, 0xff, \
        0xff, 0xff, 0xff, 0xff, BE32(28)
#define INTERFACE_LE LE32(1), LE32(20), 1, 0, 0, 0, LE32(96), LE32(20)
#define INTERFACE_BE BE32(1), BE32(20), 0, 1, 0, 0, BE32(96), BE32(20)
/* An enhanced packet block of interface 0 up to its data; block and data lengths. */
#define PACKET_LE(block, data) LE32(6), LE32(block), LE32(0), LE32(0), LE32(7), LE32(data), LE32(60)

static const uint8_t frame[] = "a frame that is long enough to be one";

/* ---- Writing ---- */

/* A temporary file, open for writing and reading, without a name. */
static FILE *scratch(void)
{
    FILE *file = tmpfile();

    g_assert_nonnull(file);
    return file;
}

static void assert_file_holds(FILE *file, const uint8_t *octets, size_t len)
{
    uint8_t buffer[1024];
    size_t got;

    rewind(file);
    got = fread(buffer, 1, sizeof(buffer), file);
    g_assert_cmpmem(buffer, got, octets, len);
}

static void test_packet_has_the_octets_of_the_format(void)
{
    /* clang-format off */
    static const uint8_t expected[] = {
        0, 0, 0, 6, 0, 0, 0, 72,          /* enhanced packet block */
        0, 0, 0, 2,                       /* interface */
        0, 0, 0, 1, 0x23, 0x45, 0x67, 0x89, /* time, high word first */
        0, 0, 0, 5, 0, 0, 0, 9,           /* captured and original length */
        'h', 'e', 'l', 'l', 'o', 0, 0, 0, /* data, padded */
        0, 1, 0, 2, 'o', 'k', 0, 0,       /* comment */
        0, 3, 0, 5, 5, 0x51, 0xcc, 0xc1, 0x78, 0, 0, 0, /* hash: Toeplitz */
        0, 6, 0, 4, 0, 0, 0, 3,           /* queue */
        0, 0, 0, 0,                       /* end of options */
        0, 0, 0, 72,
    };
    /* clang-format on */
    const struct pcapng_packet packet = {
        .interface = 2,
        .time = 0x123456789,
        .octets = (const uint8_t *)"hello",
        .length = 5,
        .original_length = 9,
        .has_hash = true,
        .hash = 0x51ccc178,
        .has_queue = true,
        .queue = 3,
        .comment = "ok",
    };
    FILE *file = scratch();

    g_assert_true(pcapng_write_packet(file, &packet));
    assert_file_holds(file, expected, sizeof(expected));
    fclose(file);
}

static void test_section_and_interface_have_the_octets_of_the_format(void)
{
    /* clang-format off */
    static const uint8_t expected[] = {
        0x0a, 0x0d, 0x0d, 0x0a, 0, 0, 0, 48, 0x1a, 0x2b, 0x3c, 0x4d, 0, 1, 0, 0,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0, 1, 0, 1, 'c', 0, 0, 0, /* comment */
        0, 4, 0, 1, 'a', 0, 0, 0, /* application */
        0, 0, 0, 0, 0, 0, 0, 48,
        0, 0, 0, 1, 0, 0, 0, 40, 0, 1, 0, 0, 0, 0, 0, 96, /* Ethernet, snaplen 96 */
        0, 3, 0, 1, 'd', 0, 0, 0,                         /* description */
        0, 9, 0, 1, 6, 0, 0, 0,                           /* microseconds */
        0, 0, 0, 0, 0, 0, 0, 40,
    };
    /* clang-format on */
    FILE *file = scratch();

    g_assert_true(pcapng_write_section(file, "a", "c"));
    g_assert_true(pcapng_write_interface(file, 96, 6, "d"));
    assert_file_holds(file, expected, sizeof(expected));
    fclose(file);
}

static void write_sample(FILE *file, unsigned digits, uint64_t time)
{
    struct pcapng_packet packet = {
        .time = time, .octets = frame, .length = sizeof(frame), .original_length = 99};

    g_assert_true(pcapng_write_section(file, "test", NULL));
    g_assert_true(pcapng_write_interface(file, 65535, digits, "one"));
    g_assert_true(pcapng_write_packet(file, &packet));
    packet.has_queue = true;
    packet.queue = 7;
    g_assert_true(pcapng_write_packet(file, &packet));
    packet.has_hash = true;
    packet.hash = 0x80000001;
    packet.length = 0;
    g_assert_true(pcapng_write_packet(file, &packet));
    rewind(file);
}

static void test_reader_reads_what_was_written(void)
{
    FILE *file = scratch();
    struct pcapng_reader *reader = pcapng_reader_new(file);
    struct pcapng_packet packet;
    g_autoptr(GError) error = NULL;

    write_sample(file, 9, 1234567890123456789u);
    g_assert_cmpint(pcapng_reader_next(reader, &packet, &error), ==, PCAPNG_PACKET);
    g_assert_cmpmem(packet.octets, packet.length, frame, sizeof(frame));
    g_assert_cmpuint(packet.original_length, ==, 99);
    g_assert_cmpuint(packet.time, ==, 1234567890123456789u);
    g_assert_false(packet.has_hash);
    g_assert_false(packet.has_queue);
    g_assert_cmpint(pcapng_reader_next(reader, &packet, &error), ==, PCAPNG_PACKET);
    g_assert_false(packet.has_hash);
    g_assert_true(packet.has_queue);
    g_assert_cmpuint(packet.queue, ==, 7);
    g_assert_cmpint(pcapng_reader_next(reader, &packet, &error), ==, PCAPNG_PACKET);
    g_assert_cmpuint(packet.length, ==, 0);
    g_assert_true(packet.has_hash);
    g_assert_cmphex(packet.hash, ==, 0x80000001);
    g_assert_cmpint(pcapng_reader_next(reader, &packet, &error), ==, PCAPNG_END);
    g_assert_no_error(error);
    pcapng_reader_free(reader);
    fclose(file);
}

/* Reads a sample whose time has digits by libpcap and compares the first packet. */
static void check_by_libpcap(unsigned digits, uint64_t time, long seconds, long nanoseconds)
{
    char reason[PCAP_ERRBUF_SIZE];
    FILE *file = scratch();
    struct pcap_pkthdr *header;
    const u_char *octets;
    pcap_t *pcap;

    write_sample(file, digits, time);
    pcap = pcap_fopen_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, reason);
    g_assert_nonnull(pcap);
    g_assert_cmpint(pcap_datalink(pcap), ==, DLT_EN10MB);
    g_assert_cmpint(pcap_snapshot(pcap), ==, 65535);
    g_assert_cmpint(pcap_next_ex(pcap, &header, &octets), ==, 1);
    g_assert_cmpmem(octets, header->caplen, frame, sizeof(frame));
    g_assert_cmpuint(header->len, ==, 99);
    g_assert_cmpint(header->ts.tv_sec, ==, seconds);
    g_assert_cmpint(header->ts.tv_usec, ==, nanoseconds);
    g_assert_cmpint(pcap_next_ex(pcap, &header, &octets), ==, 1);
    g_assert_cmpint(pcap_next_ex(pcap, &header, &octets), ==, 1);
    g_assert_cmpuint(header->caplen, ==, 0);
    g_assert_cmpint(pcap_next_ex(pcap, &header, &octets), ==, PCAP_ERROR_BREAK);
    pcap_close(pcap);
}

static void test_libpcap_reads_what_was_written(void)
{
    check_by_libpcap(9, 1234567890123456789u, 1234567890, 123456789);
    check_by_libpcap(6, 1234567890123456u, 1234567890, 123456000);
    check_by_libpcap(0, 1234567890u, 1234567890, 0);
}

static void test_long_comment_is_cut_between_characters(void)
{
    g_autoptr(GString) comment = g_string_new("x");
    struct pcapng_packet packet = {.octets = frame, .length = 1, .original_length = 1};
    FILE *file = scratch();
    struct pcapng_reader *reader = pcapng_reader_new(file);
    char *text = g_malloc(65536);
    g_autoptr(GError) error = NULL;

    for (unsigned i = 0; i < 40000; i++) {
        g_string_append(comment, "\xc3\xa9");
    }
    packet.comment = comment->str;
    g_assert_true(pcapng_write_section(file, "test", NULL));
    g_assert_true(pcapng_write_interface(file, 65535, 6, NULL));
    g_assert_true(pcapng_write_packet(file, &packet));
    rewind(file);
    g_assert_cmpint(pcapng_reader_next(reader, &packet, &error), ==, PCAPNG_PACKET);
    g_assert_no_error(error);
    fseek(file, -(long)(4 + 4 + 1 + 65531), SEEK_END); /* length, end of options, padding, text */
    g_assert_cmpuint(fread(text, 1, 65531, file), ==, 65531);
    g_assert_true(g_utf8_validate(text, 65531, NULL));
    g_free(text);
    pcapng_reader_free(reader);
    fclose(file);
}

static void test_full_disk_is_told(void)
{
    FILE *file = fopen("/dev/full", "wb");

    if (!file) {
        g_test_skip("no /dev/full here");
        return;
    }
    setvbuf(file, NULL, _IONBF, 0);
    g_assert_false(pcapng_write_section(file, "test", NULL));
    fclose(file);
}

/* ---- Reading ---- */

/* How reading octets ends, after how many packets; the last of them stays in *last. */
static enum pcapng_outcome read_all(const uint8_t *octets, size_t len, unsigned *packets,
                                    struct pcapng_packet *last, GError **error)
{
    static const uint8_t none[1];
    FILE *file = fmemopen((void *)(len ? octets : none), len ? len : 1, "rb");
    struct pcapng_reader *reader = pcapng_reader_new(file);
    enum pcapng_outcome outcome;
    struct pcapng_packet packet;

    if (!len) {
        getc(file);
    }
    for (*packets = 0;; ++*packets) {
        outcome = pcapng_reader_next(reader, &packet, error);
        if (outcome != PCAPNG_PACKET) {
            break;
        }
        *last = packet;
        last->octets = NULL;
    }
    pcapng_reader_free(reader);
    fclose(file);
    return outcome;
}

static struct pcapng_packet read_one(const uint8_t *octets, size_t len)
{
    struct pcapng_packet packet = {0};
    g_autoptr(GError) error = NULL;
    unsigned packets;

    g_assert_cmpint(read_all(octets, len, &packets, &packet, &error), ==, PCAPNG_END);
    g_assert_no_error(error);
    g_assert_cmpuint(packets, ==, 1);
    return packet;
}

static void test_little_endian_hash_and_queue(void)
{
    /* clang-format off */
    static const uint8_t file[] = {
        SECTION_LE, INTERFACE_LE, PACKET_LE(56, 2), 'h', 'i', 0, 0,
        6, 0, 4, 0, 9, 0, 0, 0,                         /* queue */
        3, 0, 5, 0, 5, 0x78, 0xc1, 0xcc, 0x51, 0, 0, 0, /* hash, no end of options after it */
        LE32(56),
    };
    /* clang-format on */
    struct pcapng_packet packet = read_one(file, sizeof(file));

    g_assert_true(packet.has_hash && packet.has_queue);
    g_assert_cmphex(packet.hash, ==, 0x51ccc178);
    g_assert_cmpuint(packet.queue, ==, 9);
    g_assert_cmpuint(packet.length, ==, 2);
    g_assert_cmpuint(packet.time, ==, 7);
}

static void test_other_hashes_and_options_are_passed_over(void)
{
    /* clang-format off */
    static const uint8_t file[] = {
        SECTION_LE, INTERFACE_LE, PACKET_LE(72, 0),
        3, 0, 5, 0, 2, 1, 2, 3, 4, 0, 0, 0, /* CRC-32 */
        3, 0, 0, 0,                         /* no algorithm at all */
        3, 0, 5, 0, 5, 1, 0, 0, 0, 0, 0, 0, /* Toeplitz */
        2, 0, 4, 0, 1, 0, 0, 0,             /* flags */
        0, 0, 0, 0,                         /* the end; what follows is not looked at */
        LE32(72),
    };
    /* clang-format on */
    struct pcapng_packet packet = read_one(file, sizeof(file));

    g_assert_true(packet.has_hash);
    g_assert_cmphex(packet.hash, ==, 1);
    g_assert_false(packet.has_queue);
}

static void test_old_packet_block(void)
{
    /* clang-format off */
    static const uint8_t file[] = {
        SECTION_LE, INTERFACE_LE, INTERFACE_LE,
        LE32(2), LE32(48), 1, 0, 0xff, 0xff, LE32(0), LE32(7), LE32(1), LE32(60), 'x', 0, 0, 0,
        3, 0, 5, 0, 5, 2, 0, 0, 0, 0, 0, 0, LE32(48),
    };
    /* clang-format on */
    struct pcapng_packet packet = read_one(file, sizeof(file));

    g_assert_cmpuint(packet.interface, ==, 1);
    g_assert_true(packet.has_hash);
    g_assert_cmphex(packet.hash, ==, 2);
}

static void test_simple_packet_is_as_long_as_snaplen_allows(void)
{
    uint8_t file[sizeof((uint8_t[]){SECTION_LE, INTERFACE_LE}) + 16 + 96] = {SECTION_LE,
                                                                             INTERFACE_LE};
    const uint8_t head[] = {LE32(3), LE32(112), LE32(1500)};
    const uint8_t tail[] = {LE32(112)};

    memcpy(file + sizeof(file) - 112, head, sizeof(head));
    memcpy(file + sizeof(file) - 4, tail, sizeof(tail));
    g_assert_cmpuint(read_one(file, sizeof(file)).length, ==, 96);
}

static void test_sections_continue_the_numbering_of_interfaces(void)
{
    /* clang-format off */
    static const uint8_t file[] = {
        SECTION_LE, INTERFACE_LE, INTERFACE_LE, SECTION_BE, INTERFACE_BE,
        BE32(6), BE32(40), BE32(0), BE32(0), BE32(7), BE32(0), BE32(60),
        0, 6, 0, 4, 0, 0, 0, 9, BE32(40),
    };
    /* clang-format on */
    struct pcapng_packet packet = read_one(file, sizeof(file));

    g_assert_cmpuint(packet.interface, ==, 2);
    g_assert_cmpuint(packet.queue, ==, 9);
}

static void test_unknown_blocks_are_passed_over(void)
{
    /* clang-format off */
    static const uint8_t file[] = {
        SECTION_LE, LE32(0x80000bad), LE32(16), 1, 2, 3, 4, LE32(16), INTERFACE_LE,
        PACKET_LE(32, 0), LE32(32),
    };
    /* clang-format on */

    g_assert_cmpuint(read_one(file, sizeof(file)).original_length, ==, 60);
}

struct hostile {
    const char *name;
    const char *complaint;
    size_t len;
    uint8_t octets[128];
};

#define HOSTILE(name, complaint, ...)                            \
    {                                                            \
        name, complaint, sizeof((const uint8_t[]){__VA_ARGS__}), \
        {                                                        \
            __VA_ARGS__                                          \
        }                                                        \
    }

static const struct hostile hostile_files[] = {
    {"empty", "truncated", 0, {0}},
    HOSTILE("not-pcapng", "not a section header", 'h', 'e', 'l', 'l', 'o', ' ', 'y', 'o', 'u'),
    HOSTILE("packet-before-section", "not a section header", PACKET_LE(32, 0), LE32(32)),
    HOSTILE("bad-magic", "not a section header", 0x0a, 0x0d, 0x0d, 0x0a, LE32(28), 1, 2, 3, 4),
    HOSTILE("version-2", "version 1", 0x0a, 0x0d, 0x0d, 0x0a, LE32(28), 0x4d, 0x3c, 0x2b, 0x1a, 2,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, LE32(28)),
    HOSTILE("section-without-body", "impossible length", 0x0a, 0x0d, 0x0d, 0x0a, LE32(12), 0x4d,
            0x3c, 0x2b, 0x1a),
    HOSTILE("section-too-short", "version 1", 0x0a, 0x0d, 0x0d, 0x0a, LE32(16), 0x4d, 0x3c, 0x2b,
            0x1a, LE32(16)),
    HOSTILE("length-0", "impossible length", SECTION_LE, LE32(6), LE32(0)),
    HOSTILE("length-8", "impossible length", SECTION_LE, LE32(6), LE32(8)),
    HOSTILE("length-odd", "impossible length", SECTION_LE, LE32(6), LE32(33)),
    HOSTILE("length-huge", "impossible length", SECTION_LE, LE32(6), LE32(0xfffffffcu)),
    HOSTILE("length-16M-in-a-small-file", "truncated", SECTION_LE, LE32(6), LE32(1u << 24)),
    HOSTILE("lengths-differ", "two lengths", SECTION_LE, LE32(9), LE32(12), LE32(16)),
    HOSTILE("packet-without-interface", "not described", SECTION_LE, PACKET_LE(32, 0), LE32(32)),
    HOSTILE("interface-of-the-section-before", "not described", SECTION_LE, INTERFACE_LE,
            SECTION_LE, PACKET_LE(32, 0), LE32(32)),
    HOSTILE("simple-packet-without-interface", "not described", SECTION_LE, LE32(3), LE32(16),
            LE32(0), LE32(16)),
    HOSTILE("simple-packet-too-long", "longer than its block", SECTION_LE, INTERFACE_LE, LE32(3),
            LE32(16), LE32(1), LE32(16)),
    HOSTILE("simple-packet-too-short", "too short", SECTION_LE, INTERFACE_LE, LE32(3), LE32(12),
            LE32(12)),
    HOSTILE("packet-too-short", "too short", SECTION_LE, INTERFACE_LE, LE32(6), LE32(28), LE32(0),
            LE32(0), LE32(0), LE32(0), LE32(28)),
    HOSTILE("interface-too-short", "too short", SECTION_LE, LE32(1), LE32(16), LE32(1), LE32(16)),
    HOSTILE("data-longer-than-block", "longer than its block", SECTION_LE, INTERFACE_LE,
            PACKET_LE(36, 5), 1, 2, 3, 4, LE32(36)),
    HOSTILE("data-of-4G", "longer than its block", SECTION_LE, INTERFACE_LE,
            PACKET_LE(32, 0xffffffffu), LE32(32)),
    HOSTILE("option-longer-than-block", "option longer", SECTION_LE, INTERFACE_LE, PACKET_LE(40, 0),
            1, 0, 5, 0, 'h', 'e', 'l', 'l', LE32(40)),
    HOSTILE("option-of-64K", "option longer", SECTION_LE, INTERFACE_LE, PACKET_LE(36, 0), 1, 0,
            0xff, 0xff, LE32(36)),
    HOSTILE("option-of-an-interface-too-long", "option longer", SECTION_LE, LE32(1), LE32(24),
            LE32(1), LE32(0), 9, 0, 1, 0, LE32(24)),
    HOSTILE("hash-of-three-octets", "four octets", SECTION_LE, INTERFACE_LE, PACKET_LE(40, 0), 3, 0,
            4, 0, 5, 1, 2, 3, LE32(40)),
    HOSTILE("queue-of-two-octets", "four octets", SECTION_LE, INTERFACE_LE, PACKET_LE(40, 0), 6, 0,
            2, 0, 1, 0, 0, 0, LE32(40)),
};

static void test_hostile_file(gconstpointer data)
{
    const struct hostile *hostile = data;
    g_autoptr(GError) error = NULL;
    struct pcapng_packet packet;
    unsigned packets;

    g_assert_cmpint(read_all(hostile->octets, hostile->len, &packets, &packet, &error), ==,
                    PCAPNG_BROKEN);
    g_assert_nonnull(error);
    g_assert_nonnull(strstr(error->message, hostile->complaint));
    g_assert_null(strchr(error->message, '\n'));
    g_assert_cmpuint(packets, ==, 0);
}

/* clang-format off */
static const uint8_t sound_file[] = {
    SECTION_LE,
    LE32(1), LE32(28), 1, 0, 0, 0, LE32(96), 9, 0, 1, 0, 9, 0, 0, 0, LE32(28),
    PACKET_LE(56, 2), 'h', 'i', 0, 0,
    6, 0, 4, 0, 9, 0, 0, 0, 3, 0, 5, 0, 5, 0x78, 0xc1, 0xcc, 0x51, 0, 0, 0, LE32(56),
};
/* clang-format on */

static void test_truncation_anywhere_is_told(void)
{
    for (size_t len = 0; len < sizeof(sound_file); len++) {
        bool between = len == 28 || len == 56; /* blocks */
        g_autoptr(GError) error = NULL;
        struct pcapng_packet packet;
        unsigned packets;

        g_assert_cmpint(read_all(sound_file, len, &packets, &packet, &error), ==,
                        between ? PCAPNG_END : PCAPNG_BROKEN);
        g_assert_cmpuint(packets, ==, 0);
    }
}

/* Whatever the octets are, the reader ends, and says why; the sanitizers watch. */
static void test_any_octet_can_be_wrong(void)
{
    for (size_t at = 0; at < sizeof(sound_file); at++) {
        for (unsigned value = 0; value < 256; value++) {
            uint8_t file[sizeof(sound_file)];
            g_autoptr(GError) error = NULL;
            struct pcapng_packet packet;
            enum pcapng_outcome outcome;
            unsigned packets;

            memcpy(file, sound_file, sizeof(file));
            file[at] = (uint8_t)value;
            outcome = read_all(file, sizeof(file), &packets, &packet, &error);
            g_assert_true((outcome == PCAPNG_BROKEN) == (error != NULL));
            g_assert_cmpuint(packets, <=, 1);
        }
    }
}

/* ---- Digits ---- */

static unsigned digits_of(const uint8_t *octets, size_t len)
{
    FILE *file = fmemopen((void *)octets, len, "rb");
    unsigned digits = pcapng_file_digits(file);

    fclose(file);
    return digits;
}

static void test_digits_are_those_of_the_finest_interface(void)
{
    static const uint8_t plain[] = {SECTION_LE, INTERFACE_LE};
    static const uint8_t milli[] = {SECTION_LE, LE32(1), LE32(28), LE32(1), LE32(96), 9, 0,
                                    1,          0,       3,        0,       0,        0, LE32(28)};
    static const uint8_t both[] = {SECTION_LE, LE32(1), LE32(28), LE32(1),  LE32(96),
                                   9,          0,       1,        0,        3,
                                   0,          0,       0,        LE32(28), INTERFACE_LE};
    static const uint8_t binary[] = {SECTION_LE, LE32(1), LE32(28), LE32(1), LE32(96), 9, 0,
                                     1,          0,       0x83,     0,       0,        0, LE32(28)};

    g_assert_cmpuint(digits_of(plain, sizeof(plain)), ==, 6);
    g_assert_cmpuint(digits_of(milli, sizeof(milli)), ==, 3);
    g_assert_cmpuint(digits_of(both, sizeof(both)), ==, 6);
    g_assert_cmpuint(digits_of(binary, sizeof(binary)), ==, 9);
    g_assert_cmpuint(digits_of(sound_file, sizeof(sound_file)), ==, 9);
    g_assert_cmpuint(digits_of((const uint8_t *)"no pcapng", 9), ==, 9);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/replay/pcapng/write/packet-octets", test_packet_has_the_octets_of_the_format);
    g_test_add_func("/replay/pcapng/write/section-and-interface-octets",
                    test_section_and_interface_have_the_octets_of_the_format);
    g_test_add_func("/replay/pcapng/write/read-back", test_reader_reads_what_was_written);
    g_test_add_func("/replay/pcapng/write/libpcap-reads-it", test_libpcap_reads_what_was_written);
    g_test_add_func("/replay/pcapng/write/long-comment-is-cut",
                    test_long_comment_is_cut_between_characters);
    g_test_add_func("/replay/pcapng/write/full-disk", test_full_disk_is_told);
    g_test_add_func("/replay/pcapng/read/little-endian", test_little_endian_hash_and_queue);
    g_test_add_func("/replay/pcapng/read/other-options",
                    test_other_hashes_and_options_are_passed_over);
    g_test_add_func("/replay/pcapng/read/old-packet-block", test_old_packet_block);
    g_test_add_func("/replay/pcapng/read/simple-packet-block",
                    test_simple_packet_is_as_long_as_snaplen_allows);
    g_test_add_func("/replay/pcapng/read/several-sections",
                    test_sections_continue_the_numbering_of_interfaces);
    g_test_add_func("/replay/pcapng/read/unknown-block", test_unknown_blocks_are_passed_over);
    for (unsigned i = 0; i < G_N_ELEMENTS(hostile_files); i++) {
        g_autofree char *path = g_strconcat("/replay/pcapng/hostile/", hostile_files[i].name, NULL);

        g_test_add_data_func(path, &hostile_files[i], test_hostile_file);
    }
    g_test_add_func("/replay/pcapng/hostile/truncated-anywhere", test_truncation_anywhere_is_told);
    g_test_add_func("/replay/pcapng/hostile/any-octet", test_any_octet_can_be_wrong);
    g_test_add_func("/replay/pcapng/digits", test_digits_are_those_of_the_finest_interface);
    return g_test_run();
}
