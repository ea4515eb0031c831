/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * As much of pcapng as libpcap lacks: writing it (the blocks are device/pcapng.h's), and reading the
 * options of packets that tell a hash and a queue. Both speak files, not names of files.
 */
#ifndef REPLAY_PCAPNG_FILE_H
#define REPLAY_PCAPNG_FILE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "pcapng.h"

/* ---- Writing. Each is false, with errno set, if the file cannot be written. ---- */

/* The section header; application and comment are UTF-8. First of all, once. */
bool pcapng_write_section(FILE *file, const char *application, const char *comment);

/*
 * An Ethernet interface; the first is number 0. digits of a second are the unit of its packets'
 * time; description is UTF-8.
 */
bool pcapng_write_interface(FILE *file, uint32_t snaplen, unsigned digits, const char *description);

/* A packet, as an enhanced packet block. Its interface must have been written. */
bool pcapng_write_packet(FILE *file, const struct pcapng_packet *packet);

/* ---- Reading a file that nobody vouches for ---- */

struct pcapng_reader;

enum pcapng_outcome {
    PCAPNG_PACKET,
    PCAPNG_END,
    PCAPNG_BROKEN,
};

/* A reader of file from where it stands; the file stays the caller's. */
struct pcapng_reader *pcapng_reader_new(FILE *file);

/*
 * The next packet; its octets live until the next call. PCAPNG_BROKEN sets error, and nothing can
 * be read after it. Memory is bounded by what the file holds and by 16 MiB.
 */
enum pcapng_outcome pcapng_reader_next(struct pcapng_reader *reader, struct pcapng_packet *packet,
                                       GError **error);

/* NULL is ignored. */
void pcapng_reader_free(struct pcapng_reader *reader);

/*
 * Decimal digits of a second that hold the time stamps of every interface in file: 0 to 9; finer
 * ones, those that are not decimal, and a file that is not pcapng or broken count as 9.
 */
unsigned pcapng_file_digits(FILE *file);

/* Whether the octets a file begins with are those of a pcapng file. */
bool pcapng_is_magic(const uint8_t octets[4]);

#endif
