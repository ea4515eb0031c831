/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pcapng files, written and read; see pcapng_file.h.
 *
 * The reader has every block whole in memory before it looks into it, and looks into it through a
 * span that only shrinks: each step takes octets that it has proved to be there.
 */
#include "pcapng_file.h"

#include "replay_error.h"

#include <string.h>

#define BLOCK_OLD_PACKET    2u
#define BLOCK_SIMPLE_PACKET 3u

#define BLOCK_OVERHEAD 12u         /* type and both lengths */
#define BLOCK_MAX      (16u << 20) /* as libpcap and Wireshark have it */
#define READ_STEP      65536u      /* how far memory runs ahead of what the file really holds */

#define DEFAULT_DIGITS 6
#define MAX_DIGITS     9

/* ---- Writing ---- */

static bool write_blocks(FILE *file, GByteArray *blocks)
{
    const bool done = fwrite(blocks->data, blocks->len, 1, file) == 1;

    g_byte_array_unref(blocks);
    return done;
}

bool pcapng_write_section(FILE *file, const char *application, const char *comment)
{
    const struct pcapng_section section = {.application = application, .comment = comment};
    GByteArray *blocks = g_byte_array_new();

    pcapng_put_section(blocks, &section);
    return write_blocks(file, blocks);
}

bool pcapng_write_interface(FILE *file, uint32_t snaplen, unsigned digits, const char *description)
{
    const struct pcapng_interface interface = {
        .description = description, .snaplen = snaplen, .digits = digits};
    GByteArray *blocks = g_byte_array_new();

    pcapng_put_interface(blocks, &interface);
    return write_blocks(file, blocks);
}

bool pcapng_write_packet(FILE *file, const struct pcapng_packet *packet)
{
    GByteArray *blocks = g_byte_array_new();

    pcapng_put_packet(blocks, packet);
    return write_blocks(file, blocks);
}

/* ---- Reading ---- */

struct pcapng_reader {
    FILE *file;
    GByteArray *body;         /* of the block at hand */
    uint64_t offset;          /* where that block begins */
    uint64_t next_offset;     /* and where it ends */
    bool in_section;          /* a section header has been read */
    bool big_endian;          /* of the section */
    uint32_t first_interface; /* number of the section's first interface */
    uint32_t interfaces;      /* so far, over all sections */
    uint32_t first_snaplen;   /* of the section's first interface, which simple packets belong to */
    unsigned digits;          /* of the finest interface so far */
};

struct span {
    const uint8_t *at;
    size_t left;
};

static uint16_t load16(const struct pcapng_reader *reader, const uint8_t *p)
{
    return (uint16_t)(reader->big_endian ? p[0] << 8 | p[1] : p[1] << 8 | p[0]);
}

static uint32_t load32(const struct pcapng_reader *reader, const uint8_t *p)
{
    uint32_t first = load16(reader, p);
    uint32_t second = load16(reader, p + 2);

    return reader->big_endian ? first << 16 | second : second << 16 | first;
}

/* The next len octets of the span, NULL if it has fewer. */
static const uint8_t *take(struct span *span, size_t len)
{
    const uint8_t *octets = span->at;

    if (len > span->left) {
        return NULL;
    }
    span->at += len;
    span->left -= len;
    return octets;
}

/* The same with padding to four octets behind them. */
static const uint8_t *take_padded(struct span *span, size_t len)
{
    return len > span->left ? NULL : take(span, (len + 3) & ~(size_t)3);
}

static bool broken(const struct pcapng_reader *reader, GError **error, const char *why)
{
    return complain(error, "pcapng block at offset %" G_GUINT64_FORMAT ": %s", reader->offset, why);
}

/* Appends len octets of the file to the body, in steps that keep memory close to its size. */
static bool read_body(struct pcapng_reader *reader, uint32_t len)
{
    while (len) {
        uint32_t step = MIN(len, READ_STEP);
        guint have = reader->body->len;

        g_byte_array_set_size(reader->body, have + step);
        if (fread(reader->body->data + have, 1, step, reader->file) != step) {
            return false;
        }
        len -= step;
    }
    return true;
}

/* The magic of a section header, which tells how to read even the block's length. */
static bool read_magic(struct pcapng_reader *reader)
{
    if (!read_body(reader, 4)) {
        return false;
    }
    reader->big_endian = true;
    if (load32(reader, reader->body->data) == PCAPNG_BYTE_ORDER_MAGIC) {
        return true;
    }
    reader->big_endian = false;
    return load32(reader, reader->body->data) == PCAPNG_BYTE_ORDER_MAGIC;
}

/* Reads type and length, then the body, which loses its trailing length. */
static enum pcapng_outcome read_block(struct pcapng_reader *reader, uint32_t *type, GError **error)
{
    uint8_t header[8];
    size_t got = fread(header, 1, sizeof(header), reader->file);
    uint32_t len;
    bool section;

    reader->offset = reader->next_offset;
    g_byte_array_set_size(reader->body, 0);
    if (got == 0 && !ferror(reader->file) && reader->in_section) {
        return PCAPNG_END;
    }
    if (got < sizeof(header)) {
        broken(reader, error, "truncated");
        return PCAPNG_BROKEN;
    }
    section = pcapng_is_magic(header);
    if ((section && !read_magic(reader)) || (!section && !reader->in_section)) {
        broken(reader, error, "not a section header");
        return PCAPNG_BROKEN;
    }
    *type = section ? PCAPNG_BLOCK_SECTION : load32(reader, header);
    len = load32(reader, header + 4);
    if (len % 4 != 0 || len < BLOCK_OVERHEAD + reader->body->len || len > BLOCK_MAX) {
        broken(reader, error, "impossible length");
        return PCAPNG_BROKEN;
    }
    if (!read_body(reader, len - (uint32_t)sizeof(header) - reader->body->len)) {
        broken(reader, error, "truncated");
        return PCAPNG_BROKEN;
    }
    g_byte_array_set_size(reader->body, reader->body->len - 4);
    if (load32(reader, reader->body->data + reader->body->len) != len) {
        broken(reader, error, "its two lengths differ");
        return PCAPNG_BROKEN;
    }
    reader->next_offset = reader->offset + len;
    return PCAPNG_PACKET;
}

/* The next option; false at the end of the options, with error set if they are malformed. */
static bool next_option(const struct pcapng_reader *reader, struct span *options, uint16_t *code,
                        struct span *value, GError **error)
{
    const uint8_t *head = take(options, 4);

    if (!head) {
        return options->left == 0 ? false : broken(reader, error, "truncated option");
    }
    *code = load16(reader, head);
    value->left = load16(reader, head + 2);
    value->at = take_padded(options, value->left);
    if (!value->at) {
        return broken(reader, error, "option longer than its block");
    }
    return *code != PCAPNG_OPTION_END;
}

static bool read_packet_option(const struct pcapng_reader *reader, uint16_t code,
                               const struct span *value, struct pcapng_packet *packet,
                               GError **error)
{
    if (code == PCAPNG_EPB_HASH && value->left >= 1 && value->at[0] == PCAPNG_HASH_TOEPLITZ) {
        if (value->left != PCAPNG_HASH_TOEPLITZ_LEN) {
            return broken(reader, error, "a Toeplitz hash that is not four octets long");
        }
        packet->has_hash = true;
        packet->hash = load32(reader, value->at + 1);
    } else if (code == PCAPNG_EPB_QUEUE) {
        if (value->left != 4) {
            return broken(reader, error, "a queue that is not four octets long");
        }
        packet->has_queue = true;
        packet->queue = load32(reader, value->at);
    }
    return true;
}

static bool read_packet_options(const struct pcapng_reader *reader, struct span options,
                                struct pcapng_packet *packet, GError **error)
{
    GError *malformed = NULL;
    struct span value;
    uint16_t code;

    while (next_option(reader, &options, &code, &value, &malformed) &&
           read_packet_option(reader, code, &value, packet, &malformed)) {
    }
    if (malformed) {
        g_propagate_error(error, malformed);
        return false;
    }
    return true;
}

static bool read_section(struct pcapng_reader *reader, struct span body, GError **error)
{
    const uint8_t *fixed = take(&body, 16);

    if (!fixed || load16(reader, fixed + 4) != 1) {
        return broken(reader, error, "not a section header of version 1");
    }
    reader->in_section = true;
    reader->first_interface = reader->interfaces;
    return true;
}

static unsigned digits_of(uint8_t resolution)
{
    return resolution <= MAX_DIGITS ? resolution : MAX_DIGITS; /* bit 7: not decimal */
}

static bool read_interface(struct pcapng_reader *reader, struct span body, GError **error)
{
    const uint8_t *fixed = take(&body, 8);
    unsigned digits = DEFAULT_DIGITS;
    GError *malformed = NULL;
    struct span value;
    uint16_t code;

    if (!fixed) {
        return broken(reader, error, "interface description too short");
    }
    while (next_option(reader, &body, &code, &value, &malformed)) {
        if (code == PCAPNG_IF_TSRESOL && value.left == 1) {
            digits = digits_of(value.at[0]);
        }
    }
    if (malformed) {
        g_propagate_error(error, malformed);
        return false;
    }
    if (reader->interfaces == reader->first_interface) {
        reader->first_snaplen = load32(reader, fixed + 4);
    }
    reader->interfaces++;
    reader->digits = MAX(reader->digits, digits);
    return true;
}

/* Gives packet the interface of that number in its section. */
static bool set_interface(const struct pcapng_reader *reader, uint32_t number,
                          struct pcapng_packet *packet, GError **error)
{
    if (number >= reader->interfaces - reader->first_interface) {
        return broken(reader, error, "packet of an interface that is not described");
    }
    packet->interface = reader->first_interface + number;
    return true;
}

/* Enhanced packet block and the old packet block, whose fixed parts differ in their first word. */
static bool read_enhanced(const struct pcapng_reader *reader, bool old, struct span body,
                          struct pcapng_packet *packet, GError **error)
{
    const uint8_t *fixed = take(&body, 20);

    if (!fixed) {
        return broken(reader, error, "packet block too short");
    }
    packet->time = (uint64_t)load32(reader, fixed + 4) << 32 | load32(reader, fixed + 8);
    packet->length = load32(reader, fixed + 12);
    packet->original_length = load32(reader, fixed + 16);
    packet->octets = take_padded(&body, packet->length);
    if (!packet->octets) {
        return broken(reader, error, "packet longer than its block");
    }
    return set_interface(reader, old ? load16(reader, fixed) : load32(reader, fixed), packet,
                         error) &&
           read_packet_options(reader, body, packet, error);
}

static bool read_simple(const struct pcapng_reader *reader, struct span body,
                        struct pcapng_packet *packet, GError **error)
{
    const uint8_t *fixed = take(&body, 4);

    if (!fixed) {
        return broken(reader, error, "packet block too short");
    }
    if (!set_interface(reader, 0, packet, error)) {
        return false;
    }
    packet->original_length = load32(reader, fixed);
    packet->length = packet->original_length;
    if (reader->first_snaplen) {
        packet->length = MIN(packet->length, reader->first_snaplen);
    }
    packet->octets = take_padded(&body, packet->length);
    return packet->octets ? true : broken(reader, error, "packet longer than its block");
}

struct pcapng_reader *pcapng_reader_new(FILE *file)
{
    struct pcapng_reader *reader = g_new0(struct pcapng_reader, 1);

    reader->file = file;
    reader->body = g_byte_array_new();
    return reader;
}

/* What a block means; *is_packet tells whether packet was filled in. */
static bool read_content(struct pcapng_reader *reader, uint32_t type, struct pcapng_packet *packet,
                         bool *is_packet, GError **error)
{
    struct span body = {reader->body->data, reader->body->len};

    *is_packet = false;
    memset(packet, 0, sizeof(*packet));
    switch (type) {
    case PCAPNG_BLOCK_SECTION:
        return read_section(reader, body, error);
    case PCAPNG_BLOCK_INTERFACE:
        return read_interface(reader, body, error);
    case BLOCK_OLD_PACKET:
    case PCAPNG_BLOCK_ENHANCED_PACKET:
        *is_packet = true;
        return read_enhanced(reader, type == BLOCK_OLD_PACKET, body, packet, error);
    case BLOCK_SIMPLE_PACKET:
        *is_packet = true;
        return read_simple(reader, body, packet, error);
    default:
        return true;
    }
}

enum pcapng_outcome pcapng_reader_next(struct pcapng_reader *reader, struct pcapng_packet *packet,
                                       GError **error)
{
    for (;;) {
        uint32_t type;
        bool is_packet;
        enum pcapng_outcome outcome = read_block(reader, &type, error);

        if (outcome != PCAPNG_PACKET) {
            return outcome;
        }
        if (!read_content(reader, type, packet, &is_packet, error)) {
            return PCAPNG_BROKEN;
        }
        if (is_packet) {
            return PCAPNG_PACKET;
        }
    }
}

void pcapng_reader_free(struct pcapng_reader *reader)
{
    if (reader) {
        g_byte_array_unref(reader->body);
        g_free(reader);
    }
}

unsigned pcapng_file_digits(FILE *file)
{
    struct pcapng_reader *reader = pcapng_reader_new(file);
    struct pcapng_packet packet;
    enum pcapng_outcome outcome;
    unsigned digits;

    do {
        outcome = pcapng_reader_next(reader, &packet, NULL);
    } while (outcome == PCAPNG_PACKET);
    digits = outcome == PCAPNG_END ? reader->digits : MAX_DIGITS;
    pcapng_reader_free(reader);
    return digits;
}

bool pcapng_is_magic(const uint8_t octets[4])
{
    static const uint8_t magic[4] = {0x0a, 0x0d, 0x0d, 0x0a};

    return memcmp(octets, magic, sizeof(magic)) == 0;
}
