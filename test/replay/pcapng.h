/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * As much of pcapng as libpcap lacks: writing it, and reading and writing the options of packets
 * that tell a hash and a queue (draft-ietf-opsawg-pcapng, 4.3: epb_hash of algorithm 5, Toeplitz,
 * and epb_queue). Both speak files, not names of files.
 *
 * The text leaves the order of a Toeplitz hash's octets open; like DPDK we take the section's. What
 * is written is a big-endian section, so that a reader who takes network order finds the same.
 */
#ifndef REPLAY_PCAPNG_H
#define REPLAY_PCAPNG_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* A packet of the file, or to be. A reader leaves comment NULL; a writer takes NULL as none. */
struct pcapng_packet {
    uint32_t interface; /* from 0, over all sections of a file */
    uint64_t time;      /* since 1970, in the interface's unit */
    const uint8_t *octets;
    uint32_t length;
    uint32_t original_length;
    bool has_hash;
    uint32_t hash;
    bool has_queue;
    uint32_t queue;
    const char *comment;
};

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
