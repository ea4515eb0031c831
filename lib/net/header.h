/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The packet header in front of every frame (VIRTIO 1.4, 5.1.6, struct virtio_net_hdr), and the
 * rules on what may stand in it, in both directions.
 */
#ifndef VIONET_NET_HEADER_H
#define VIONET_NET_HEADER_H

#include "bytes.h"
#include "net/view.h"

/* Octets of the longest header; no buffer for one is smaller. */
#define HEADER_MAX         24
#define HEADER_NUM_BUFFERS 10

/* What hashing found out for the header. */
struct hash_result {
    uint32_t value;
    uint16_t report;
    uint8_t tunnel;
};

/* Octets of the header for the negotiated features. */
uint8_t header_length(const struct view *view);

/* What view->plain is: num_buffers, and csum_offset before it, as one little-endian word. */
uint32_t header_plain_word(const struct view *view);

/* The receive offloads that the negotiated features allow, all on (5.1.6.5.6). */
uint64_t header_offloads(const struct view *view);

/* Turns a GUEST_OFFLOADS_SET mask into offloads; false if a bit is not negotiated. */
bool header_set_offloads(struct view *view, uint64_t mask);

/* Whether a frame for the guest may be passed on as it is; its checksum may have to be completed. */
enum header_fit {
    HEADER_FITS,
    HEADER_NEEDS_CHECKSUM, /* the device has to complete the checksum first */
    HEADER_REFUSED,
};
enum header_fit header_check_receive(const struct view *view, const VionetFrame *frame, size_t len);

/* The flags that the header of a received frame gets. */
uint8_t header_flags(const struct view *view, const VionetFrame *frame);

/* Writes view->hdr_len octets: the header of a received frame with one buffer. */
void header_write(const struct view *view, const VionetFrame *frame, const struct hash_result *hash,
                  uint8_t hdr[HEADER_MAX]);

/*
 * The same for a frame without offloads, to any memory: 12 octets at least. Of a header of 10 the last two
 * are the frame's, which is written after it.
 */
static inline void header_write_plain(const struct view *view, const struct hash_result *hash,
                                      uint8_t *hdr)
{
    put_le64(hdr, 0);
    put_le32(hdr + 8, view->plain);
    if (view->hdr_len > 12) {
        const bool told = view->reports_hash;

        put_le32(hdr + 12, told ? hash->value : 0);
        put_le32(hdr + 16, told ? hash->report | (uint32_t)hash->tunnel << 16 : 0);
    }
    if (view->hdr_len > 20) {
        put_le32(hdr + 20, 0);
    }
}

/*
 * Reads the header of a frame of len octets from the guest into frame; false if it breaks a rule for
 * which the frame is not to be accepted (5.1.6.2.2).
 */
bool header_read(const struct view *view, const uint8_t hdr[HEADER_MAX], size_t len,
                 VionetFrame *frame);

#endif
