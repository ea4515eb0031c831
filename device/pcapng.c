/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Blocks of pcapng; see pcapng.h. A block is type, length, body, length again; body and options are
 * padded to four octets (draft-ietf-opsawg-pcapng, 3.1 and 3.5). Called by daemon/trace.c and by
 * vionet-replay.
 */
#include "pcapng.h"

#include <string.h>

#define SHB_HARDWARE    2
#define SHB_OS          3
#define SHB_USERAPPL    4
#define IF_NAME         2
#define IF_DESCRIPTION  3
#define OPTION_TEXT_MAX 0xfffcu

#define LINKTYPE_ETHERNET 1

static void put16(GByteArray *block, uint16_t value)
{
    uint16_t be = GUINT16_TO_BE(value);

    g_byte_array_append(block, (const guint8 *)&be, sizeof(be));
}

static void put32(GByteArray *block, uint32_t value)
{
    uint32_t be = GUINT32_TO_BE(value);

    g_byte_array_append(block, (const guint8 *)&be, sizeof(be));
}

static void put_padded(GByteArray *block, const void *octets, uint32_t len)
{
    static const guint8 zeros[3];

    if (len) {
        g_byte_array_append(block, octets, len);
    }
    g_byte_array_append(block, zeros, -len & 3u);
}

static void put_option(GByteArray *block, uint16_t code, const void *octets, uint16_t len)
{
    put16(block, code);
    put16(block, len);
    put_padded(block, octets, len);
}

/* An option of text, NULL being none; cut, between two characters, to what an option can hold. */
static void put_text(GByteArray *block, uint16_t code, const char *text)
{
    size_t len = text ? strlen(text) : 0;

    if (len > OPTION_TEXT_MAX) {
        len = (size_t)(g_utf8_find_prev_char(text, text + OPTION_TEXT_MAX + 1) - text);
    }
    if (len) {
        put_option(block, code, text, (uint16_t)len);
    }
}

/* Begins a block; where it does. */
static guint begin(GByteArray *to, uint32_t type)
{
    const guint at = to->len;

    put32(to, type);
    put32(to, 0);
    return at;
}

/* Ends the block's options and fills in its length. */
static void end(GByteArray *to, guint at)
{
    uint32_t be;

    put_option(to, PCAPNG_OPTION_END, NULL, 0);
    be = GUINT32_TO_BE(to->len - at + 4);
    memcpy(to->data + at + 4, &be, sizeof(be));
    g_byte_array_append(to, (const guint8 *)&be, sizeof(be));
}

void pcapng_put_section(GByteArray *to, const struct pcapng_section *section)
{
    const guint at = begin(to, PCAPNG_BLOCK_SECTION);

    put32(to, PCAPNG_BYTE_ORDER_MAGIC);
    put16(to, 1);
    put16(to, 0);
    put32(to, UINT32_MAX); /* the section's length, 64 bits: not said */
    put32(to, UINT32_MAX);
    put_text(to, PCAPNG_OPTION_COMMENT, section->comment);
    put_text(to, SHB_HARDWARE, section->hardware);
    put_text(to, SHB_OS, section->os);
    put_text(to, SHB_USERAPPL, section->application);
    end(to, at);
}

void pcapng_put_interface(GByteArray *to, const struct pcapng_interface *interface)
{
    const guint at = begin(to, PCAPNG_BLOCK_INTERFACE);
    const uint8_t resolution = (uint8_t)interface->digits;

    put16(to, LINKTYPE_ETHERNET);
    put16(to, 0);
    put32(to, interface->snaplen);
    put_text(to, IF_NAME, interface->name);
    put_text(to, IF_DESCRIPTION, interface->description);
    put_option(to, PCAPNG_IF_TSRESOL, &resolution, 1);
    end(to, at);
}

static void put_number(GByteArray *to, uint16_t code, uint32_t value)
{
    const uint32_t be = GUINT32_TO_BE(value);

    put_option(to, code, &be, sizeof(be));
}

void pcapng_put_packet(GByteArray *to, const struct pcapng_packet *packet)
{
    const guint at = begin(to, PCAPNG_BLOCK_ENHANCED_PACKET);
    const uint32_t hash_be = GUINT32_TO_BE(packet->hash);
    uint8_t hash[PCAPNG_HASH_TOEPLITZ_LEN] = {PCAPNG_HASH_TOEPLITZ};

    put32(to, packet->interface);
    put32(to, (uint32_t)(packet->time >> 32));
    put32(to, (uint32_t)packet->time);
    put32(to, packet->length);
    put32(to, packet->original_length);
    put_padded(to, packet->octets, packet->length);
    put_text(to, PCAPNG_OPTION_COMMENT, packet->comment);
    if (packet->flags) {
        put_number(to, PCAPNG_EPB_FLAGS, packet->flags);
    }
    if (packet->has_hash) {
        memcpy(hash + 1, &hash_be, sizeof(hash_be));
        put_option(to, PCAPNG_EPB_HASH, hash, sizeof(hash));
    }
    if (packet->has_queue) {
        put_number(to, PCAPNG_EPB_QUEUE, packet->queue);
    }
    end(to, at);
}
