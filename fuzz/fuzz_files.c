/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files that vionet-replay reads and nobody vouches for: pcapng with hashes and queues, and expectations in either
 * format. What is read of a pcapng file is written again and read the same; an expectation file is refused with
 * a line that says why, or compared with packets that it says nothing of.
 *
 * Input: 1 octet (bit 0: expectations), then the file.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "input.h"
#include "reach.h"
#include "replay/expect.h"
#include "replay/pcapng_file.h"

enum { FILES, PACKETS, HASHES, QUEUES, WHOLE, BROKEN, LOADED, REFUSED, MISMATCHES };

struct reach fuzz_reach[] = {
    [FILES] = {"pcapng files", 30, 0},
    [PACKETS] = {"packets read", 10, 0},
    [HASHES] = {"of them with a hash", 7, 0},
    [QUEUES] = {"of them with a queue", 1, 0},
    [WHOLE] = {"files read to their end", 10, 0},
    [BROKEN] = {"files that are broken", 10, 0},
    [LOADED] = {"expectations loaded", 5, 0},
    [REFUSED] = {"expectations refused", 20, 0},
    [MISMATCHES] = {"mismatches told", 60, 0},
    {NULL, 0, 0},
};

#define REACHED(what) (fuzz_reach[what].count++)

/* What stands in session.c, which drives a whole device. */
const struct session_limits *session_limits(void)
{
    static const struct session_limits limits = {1, 1, 1};

    return &limits;
}

/* A file of these octets, to be read from its beginning. */
static FILE *file_of(const void *octets, size_t n)
{
    FILE *file = fdopen(memfd_create("input", MFD_CLOEXEC), "w+b");

    FUZZ_REQUIRE(file && (n == 0 || fwrite(octets, 1, n, file) == n), "no file");
    rewind(file);
    return file;
}

static void require_one_line(const GError *error)
{
    FUZZ_REQUIRE(error && error->message[0] && !strchr(error->message, '\n'),
                 "refused without a line that says why");
}

/* Appends what was read to the written file, whose interfaces are those that packets name. */
static void write_again(FILE *file, const struct pcapng_packet *packet, unsigned *interfaces)
{
    while (*interfaces <= packet->interface && *interfaces < 64) {
        FUZZ_REQUIRE(pcapng_write_interface(file, 0, 9, NULL), "an interface is not written");
        ++*interfaces;
    }
    FUZZ_REQUIRE(pcapng_write_packet(file, packet), "a packet is not written");
}

static void require_same(const struct pcapng_packet *a, const struct pcapng_packet *b)
{
    FUZZ_REQUIRE(a->interface == b->interface && a->time == b->time && a->length == b->length &&
                     a->original_length == b->original_length && a->has_hash == b->has_hash &&
                     a->hash == b->hash && a->has_queue == b->has_queue && a->queue == b->queue,
                 "a packet is written as another");
    FUZZ_REQUIRE(a->length == 0 || memcmp(a->octets, b->octets, a->length) == 0,
                 "a packet is written with other octets");
}

/* Reads both files to the end, packet by packet. */
static void compare(FILE *first, FILE *second, unsigned n)
{
    struct pcapng_reader *one = pcapng_reader_new(first);
    struct pcapng_reader *other = pcapng_reader_new(second);
    struct pcapng_packet a, b;

    while (n--) {
        FUZZ_REQUIRE(pcapng_reader_next(one, &a, NULL) == PCAPNG_PACKET &&
                         pcapng_reader_next(other, &b, NULL) == PCAPNG_PACKET,
                     "a packet is not read again");
        require_same(&a, &b);
    }
    FUZZ_REQUIRE(pcapng_reader_next(other, &b, NULL) == PCAPNG_END,
                 "more is read than was written");
    pcapng_reader_free(one);
    pcapng_reader_free(other);
}

static void read_pcapng(const uint8_t *octets, size_t n)
{
    FILE *file = file_of(octets, n);
    FILE *written = file_of(NULL, 0);
    struct pcapng_reader *reader;
    struct pcapng_packet packet;
    enum pcapng_outcome outcome;
    unsigned packets = 0;
    unsigned interfaces = 0;
    GError *error = NULL;

    REACHED(FILES);
    FUZZ_REQUIRE(pcapng_file_digits(file) <= 9, "digits");
    rewind(file);
    FUZZ_REQUIRE(pcapng_write_section(written, "fuzz", NULL), "a section is not written");
    reader = pcapng_reader_new(file);
    while ((outcome = pcapng_reader_next(reader, &packet, &error)) == PCAPNG_PACKET &&
           packet.interface < 64) {
        FUZZ_REQUIRE(packet.length <= n, "a packet is longer than its file");
        write_again(written, &packet, &interfaces);
        packets++;
        fuzz_reach[HASHES].count += packet.has_hash;
        fuzz_reach[QUEUES].count += packet.has_queue;
    }
    if (outcome == PCAPNG_BROKEN) {
        REACHED(BROKEN);
        require_one_line(error);
        g_error_free(error);
    }
    fuzz_reach[WHOLE].count += outcome == PCAPNG_END;
    fuzz_reach[PACKETS].count += packets;
    pcapng_reader_free(reader);
    rewind(file);
    rewind(written);
    compare(file, written, packets);
    fclose(written);
    fclose(file);
}

static void told(const char *line, void *opaque)
{
    (void)opaque;
    REACHED(MISMATCHES);
    FUZZ_REQUIRE(!strchr(line, '\n'), "a mismatch of several lines");
}

static void load_expectations(const uint8_t *octets, size_t n)
{
    static const char *const captures[] = {"a.pcap", "b.pcap"};
    const struct replay_result result = {.queue = 1};
    FILE *file = file_of(octets, n);
    char name[64];
    struct expectations *expectations;
    GError *error = NULL;

    fflush(file);
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fileno(file));
    expectations = expect_load(name, captures, 1 + n % 2, told, NULL, &error);
    fclose(file);
    if (!expectations) {
        REACHED(REFUSED);
        require_one_line(error);
        g_error_free(error);
        return;
    }
    REACHED(LOADED);
    for (unsigned capture = 0; capture < 1 + n % 2; capture++) {
        for (uint64_t packet = 1; packet <= 8; packet++) {
            expect_check(expectations, capture, packet, 60, &result, packet % 2);
        }
    }
    expect_finish(expectations);
    expect_free(expectations);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = input_of(data, size);
    const uint8_t how = input_8(&input);
    size_t n = input.left;
    const uint8_t *octets = input_take(&input, &n);

    if (how & 1) {
        load_expectations(octets, n);
    } else {
        read_pcapng(octets, n);
    }
    return 0;
}
