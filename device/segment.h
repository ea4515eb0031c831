/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Segmentation in software: makes plain frames, with all lengths and checksums finished, of a frame
 * that is to be segmented (VIRTIO 1.4, 5.1.6.2: TCP, UDP by datagrams or by IP fragments, and the
 * first two inside a UDP tunnel). Used where a backend, or the guest, does not take such frames.
 *
 *     if (segment_begin(&segmenter, &frame, ident)) {
 *         while ((len = segment_len(&segmenter)) > 0) {
 *             ... segment_next(&segmenter, buf, size) ...
 *
 * The frame may lie in guest memory and say anything. Its headers are copied once, and everything
 * is decided on the copy; hdr_len and csum_start are not looked at. Each octet is read once, but
 * for those of a datagram to be fragmented: its checksum stands in the first fragment and covers
 * all of them. Whoever changes it meanwhile gets a wrong checksum, nothing else.
 *
 * Nothing is allocated. Threads: functions for one segmenter, one at a time.
 */
#ifndef DEVICE_SEGMENT_H
#define DEVICE_SEGMENT_H

#include <vionet/device.h>

/* Octets of the longest headers, tunnel included. */
#define SEGMENT_MAX_HEADERS 1024

/*
 * Segments of one frame at most. The longest frame makes fewer at the smallest segment size that
 * Linux goes down to (48 octets), and only a guest that wants to keep us busy asks for more.
 */
#define SEGMENT_MOST 1400

/* An IP header among the headers: offsets from the beginning of the frame. */
struct segment_ip {
    uint16_t at;
    uint16_t transport;     /* the TCP or UDP header */
    uint16_t fragment;      /* where fragments begin: behind what each of them has to bear */
    uint16_t fragment_next; /* IPv6: the octet that says what stands there */
    uint8_t protocol;
    bool v6;
};

/* A frame on its way to become segments. All members are segment.c's. */
struct segmenter {
    struct iovec rest;       /* of the range that is being read */
    const struct iovec *iov; /* ranges behind that one */
    unsigned n_iov;
    uint32_t payload; /* octets in all */
    uint32_t done;    /* octets of it that are in segments */
    uint32_t size;    /* octets of it in each segment but the last */
    unsigned n;       /* segments in all */
    unsigned index;   /* of the next one */
    uint32_t ident;
    uint16_t n_headers; /* octets in front of the payload */
    uint16_t n_copied;  /* octets in headers: payload is read from there first */
    bool tunnel;
    bool fragments;
    bool outer_checksum;
    struct segment_ip outer; /* with tunnel */
    struct segment_ip ip;    /* the innermost */
    uint8_t headers[SEGMENT_MAX_HEADERS];
};

/*
 * Begins with a frame, whose ranges have to stay until the last segment is made. ident identifies
 * the fragments of an IPv6 datagram, and should not be easy to guess. False if the frame cannot be
 * segmented: it is malformed or not of the type it says, its size is 0 or absurd, or it is no frame
 * to be segmented at all.
 */
bool segment_begin(struct segmenter *segmenter, const VionetFrame *frame, uint32_t ident);

/* Octets of the next segment; 0 if there is none. */
size_t segment_len(const struct segmenter *segmenter);

/* Makes the next segment in buf, returns its octets; 0 if there is none, or if it does not fit. */
size_t segment_next(struct segmenter *segmenter, void *buf, size_t size);

#endif
