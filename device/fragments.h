/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fragments of IPv4 on their way to libslirp. Putting them together is what most often went wrong there,
 * up to a process that ended for one frame (libslirp 4.7.0, a last fragment that comes first); so it gets
 * those alone that come as one sends them who cuts a packet: each begins where the one before it ended.
 * When one does not, what is left of its packet is dropped. Used by backend_slirp.c, one for each guest.
 *
 * Threads: the caller's. Owns nothing.
 */
#ifndef DEVICE_FRAGMENTS_H
#define DEVICE_FRAGMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Packets that may be under way, or be left incomplete, at a time; no others are begun meanwhile. */
#define FRAGMENTS_PACKETS 256

/*
 * How long the rest of a packet may take, and how long it is remembered. libslirp remembers it for 30 s of
 * a clock of its own, which is never ahead of ours and stands still while a guest takes nothing. It is not
 * to be given a piece of what it has forgotten (patience: by our clock), nor the beginning of what it has
 * not (memory: by its).
 */
#define FRAGMENTS_PATIENCE_US INT64_C(20000000)
#define FRAGMENTS_MEMORY_US   INT64_C(40000000)

struct fragments_packet {
    uint8_t name[11]; /* addresses, identification, protocol */
    bool spoiled;     /* the rest is dropped */
    uint8_t header;   /* octets of the first one's, which the whole packet will have */
    uint32_t next;    /* where the next fragment has to begin */
    int64_t since_us; /* the first one's time, by our clock */
    int64_t until_us; /* by libslirp's; 0: no packet */
};

/* All zero: none under way. */
struct fragments {
    struct fragments_packet packets[FRAGMENTS_PACKETS];
};

/*
 * Whether a frame may go on: whatever is no fragment, and fragments in order. Two times, of clocks that never
 * go back: ours, and what libslirp's has gone at least.
 */
bool fragments_pass(struct fragments *fragments, const uint8_t *frame, size_t len, int64_t now_us,
                    int64_t aged_us);

#endif
