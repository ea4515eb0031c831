/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A capture as a sequence of Ethernet frames, read by libpcap from pcap or pcapng. What is not a
 * capture of Ethernet, or ends in the middle of a packet, is told as one line that says why.
 */
#ifndef REPLAY_CAPTURE_H
#define REPLAY_CAPTURE_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct capture;

/* A frame; the octets live until the next call for the same capture. */
struct capture_packet {
    const uint8_t *octets;
    size_t length; /* captured octets */
    uint32_t original_length;
    uint64_t seconds; /* since 1970 */
    uint32_t nanoseconds;
};

enum capture_outcome {
    CAPTURE_PACKET,
    CAPTURE_END,
    CAPTURE_BROKEN,
};

/* Opens the capture of that file name, "-" being standard input; NULL with error set on failure. */
struct capture *capture_open(const char *name, GError **error);

/* The next packet. CAPTURE_BROKEN sets error; what was returned before it holds. */
enum capture_outcome capture_next(struct capture *capture, struct capture_packet *packet,
                                  GError **error);

/* Most octets that were captured of a packet, as the file says. */
uint32_t capture_snaplen(const struct capture *capture);

/* Decimal digits of a second that its time stamps have: 0 to 9. Reads a pcapng file through. */
unsigned capture_digits(const struct capture *capture);

/* Octets of the file consumed so far; 0 where that cannot be known. */
uint64_t capture_position(const struct capture *capture);

/* Octets of the file of that name; 0 if it is not a regular file. */
uint64_t capture_size(const char *name);

/* NULL is ignored. */
void capture_close(struct capture *capture);

#endif
