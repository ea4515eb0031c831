/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Blocks of a pcapng file (draft-ietf-opsawg-pcapng), among them the options of packets that libpcap
 * cannot write: direction, hash (of algorithm 5, Toeplitz) and queue (4.3). Used by the daemon's trace
 * and by vionet-replay, which also reads such files.
 *
 * The text leaves the order of a Toeplitz hash's octets open; like DPDK we take the section's. What
 * is written is a big-endian section, so that a reader who takes network order finds the same.
 */
#ifndef DEVICE_PCAPNG_H
#define DEVICE_PCAPNG_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

/* ---- Numbers of the format ---- */

#define PCAPNG_BLOCK_SECTION         0x0a0d0d0au
#define PCAPNG_BLOCK_INTERFACE       1u
#define PCAPNG_BLOCK_ENHANCED_PACKET 6u

#define PCAPNG_BYTE_ORDER_MAGIC 0x1a2b3c4du

#define PCAPNG_OPTION_END     0
#define PCAPNG_OPTION_COMMENT 1
#define PCAPNG_IF_TSRESOL     9
#define PCAPNG_EPB_FLAGS      2
#define PCAPNG_EPB_HASH       3
#define PCAPNG_EPB_QUEUE      6

#define PCAPNG_HASH_TOEPLITZ     5
#define PCAPNG_HASH_TOEPLITZ_LEN 5 /* algorithm and hash */

/* Of epb_flags: seen from the interface. */
#define PCAPNG_INBOUND  1u
#define PCAPNG_OUTBOUND 2u

/* ---- Blocks, each appended to what there is; texts are UTF-8, NULL being none ---- */

/* The section header, first of all, once. */
struct pcapng_section {
    const char *hardware;
    const char *os;
    const char *application;
    const char *comment;
};
void pcapng_put_section(GByteArray *to, const struct pcapng_section *section);

/* An Ethernet interface; the first is number 0. */
struct pcapng_interface {
    const char *name;
    const char *description;
    uint32_t snaplen; /* 0: no limit */
    unsigned digits;  /* of a second, the unit of its packets' time */
};
void pcapng_put_interface(GByteArray *to, const struct pcapng_interface *interface);

/* A packet, of an interface that has been put. A reader leaves comment NULL and flags 0. */
struct pcapng_packet {
    uint32_t interface; /* from 0, over all sections of a file */
    uint64_t time;      /* since 1970, in the interface's unit */
    const uint8_t *octets;
    uint32_t length;
    uint32_t original_length;
    uint32_t flags; /* PCAPNG_INBOUND, PCAPNG_OUTBOUND, 0: not said */
    bool has_hash;
    uint32_t hash;
    bool has_queue;
    uint32_t queue;
    const char *comment;
};
void pcapng_put_packet(GByteArray *to, const struct pcapng_packet *packet);

#endif
