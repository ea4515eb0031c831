/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packet header codec and rules (VIRTIO 1.4, 5.1.6.2 transmission, 5.1.6.4 reception). Called by the
 * stations of both directions with a private copy of the header, never with guest memory.
 */
#include "net/header.h"

#include <string.h>

#include "bytes.h"

#include <vionet/spec.h>

#define GSO_TUNNEL    (VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV4 | VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV6)
#define GSO_MODIFIERS (GSO_TUNNEL | VIRTIO_NET_HDR_GSO_ECN)

#define MASK_BIT(bit) (UINT64_C(1) << (bit))

/*
 * Receive offloads: feature bit, bit in the mask of GUEST_OFFLOADS_SET, and what has to be on with it:
 * all of the one mask and, if there is any, one of the other (5.1.3.1).
 */
static const struct offload_row {
    uint8_t feature;
    uint8_t mask_bit;
    uint64_t all_of;
    uint64_t any_of;
} offload_rows[] = {
    {VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_GUEST_CSUM, 0, 0},
    {VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_TSO4, MASK_BIT(VIRTIO_NET_F_GUEST_CSUM), 0},
    {VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_GUEST_TSO6, MASK_BIT(VIRTIO_NET_F_GUEST_CSUM), 0},
    {VIRTIO_NET_F_GUEST_ECN, VIRTIO_NET_F_GUEST_ECN, 0,
     MASK_BIT(VIRTIO_NET_F_GUEST_TSO4) | MASK_BIT(VIRTIO_NET_F_GUEST_TSO6)},
    {VIRTIO_NET_F_GUEST_UFO, VIRTIO_NET_F_GUEST_UFO, MASK_BIT(VIRTIO_NET_F_GUEST_CSUM), 0},
    {VIRTIO_NET_F_GUEST_USO4, VIRTIO_NET_F_GUEST_USO4, MASK_BIT(VIRTIO_NET_F_GUEST_CSUM), 0},
    {VIRTIO_NET_F_GUEST_USO6, VIRTIO_NET_F_GUEST_USO6, MASK_BIT(VIRTIO_NET_F_GUEST_CSUM), 0},
    {VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO, VIRTIO_NET_OFFLOAD_GUEST_UDP_TUNNEL_GSO,
     MASK_BIT(VIRTIO_NET_F_GUEST_TSO4) | MASK_BIT(VIRTIO_NET_F_GUEST_TSO6) |
         MASK_BIT(VIRTIO_NET_F_GUEST_USO4) | MASK_BIT(VIRTIO_NET_F_GUEST_USO6),
     0},
    {VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO_CSUM, VIRTIO_NET_OFFLOAD_GUEST_UDP_TUNNEL_GSO_CSUM,
     MASK_BIT(VIRTIO_NET_OFFLOAD_GUEST_UDP_TUNNEL_GSO), 0},
};

/* Segmentation types: value, the feature to send it, and those that each suffice to receive it. */
static const struct gso_row {
    uint8_t type;
    uint8_t transmit_feature;
    uint64_t receive_offloads;
} gso_rows[] = {
    {VIRTIO_NET_HDR_GSO_TCPV4, VIRTIO_NET_F_HOST_TSO4, MASK_BIT(VIRTIO_NET_F_GUEST_TSO4)},
    {VIRTIO_NET_HDR_GSO_TCPV6, VIRTIO_NET_F_HOST_TSO6, MASK_BIT(VIRTIO_NET_F_GUEST_TSO6)},
    {VIRTIO_NET_HDR_GSO_UDP, VIRTIO_NET_F_HOST_UFO, MASK_BIT(VIRTIO_NET_F_GUEST_UFO)},
    {VIRTIO_NET_HDR_GSO_UDP_L4, VIRTIO_NET_F_HOST_USO,
     MASK_BIT(VIRTIO_NET_F_GUEST_USO4) | MASK_BIT(VIRTIO_NET_F_GUEST_USO6)},
};

static const struct gso_row *gso_row(uint8_t gso_type)
{
    for (size_t i = 0; i < G_N_ELEMENTS(gso_rows); i++) {
        if (gso_rows[i].type == (gso_type & ~GSO_MODIFIERS)) {
            return &gso_rows[i];
        }
    }
    return NULL;
}

uint8_t header_length(const struct view *view)
{
    if (view_has(view, VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO) ||
        view_has(view, VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO)) {
        return 24;
    }
    if (view_has(view, VIRTIO_NET_F_HASH_REPORT)) {
        return 20;
    }
    return view->legacy && !view->mergeable ? 10 : 12;
}

uint32_t header_plain_word(const struct view *view)
{
    return view->big_endian ? UINT32_C(1) << 24 : UINT32_C(1) << 16;
}

uint64_t header_offloads(const struct view *view)
{
    uint64_t offloads = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(offload_rows); i++) {
        if (view_has(view, offload_rows[i].feature)) {
            offloads |= MASK_BIT(offload_rows[i].mask_bit);
        }
    }
    return offloads;
}

/* Rows stand behind those that they need: one pass takes off all that lost what it needs. */
bool header_set_offloads(struct view *view, uint64_t mask)
{
    if (mask & ~header_offloads(view)) {
        return false;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(offload_rows); i++) {
        const struct offload_row *row = &offload_rows[i];

        if ((mask & row->all_of) != row->all_of || (row->any_of && !(mask & row->any_of))) {
            mask &= ~MASK_BIT(row->mask_bit);
        }
    }
    view->offloads = mask;
    return true;
}

static bool checksum_inside(const VionetFrame *frame, size_t len)
{
    return (size_t)frame->csum_start + frame->csum_offset + 2 <= len;
}

static bool offload_on(const struct view *view, unsigned mask_bit)
{
    return view->offloads & MASK_BIT(mask_bit);
}

/* Nothing to be segmented: NONE, or ECN alone from who may use it (5.1.4.1 speaks of both). */
static bool has_no_gso(uint8_t gso_type, bool ecn)
{
    return gso_type == VIRTIO_NET_HDR_GSO_NONE || (ecn && gso_type == VIRTIO_NET_HDR_GSO_ECN);
}

static bool receive_tunnel_allowed(const struct view *view, const VionetFrame *frame)
{
    const uint8_t tunnel = frame->gso_type & GSO_TUNNEL;

    if ((frame->flags & VIRTIO_NET_HDR_F_UDP_TUNNEL_CSUM) &&
        !offload_on(view, VIRTIO_NET_OFFLOAD_GUEST_UDP_TUNNEL_GSO_CSUM)) {
        return false;
    }
    if (!tunnel) { /* without one, the flag says that both levels were found valid (5.1.6.4.2) */
        return !(frame->flags & VIRTIO_NET_HDR_F_UDP_TUNNEL_CSUM) ||
               (frame->flags & VIRTIO_NET_HDR_F_DATA_VALID);
    }
    return tunnel != GSO_TUNNEL && !(frame->flags & VIRTIO_NET_HDR_F_DATA_VALID) &&
           offload_on(view, VIRTIO_NET_OFFLOAD_GUEST_UDP_TUNNEL_GSO);
}

static bool receive_gso_allowed(const struct view *view, const VionetFrame *frame)
{
    const struct gso_row *row = gso_row(frame->gso_type);

    if (!row || frame->gso_size == 0 || !(frame->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) ||
        !offload_on(view, VIRTIO_NET_F_GUEST_CSUM) || !(view->offloads & row->receive_offloads)) {
        return false;
    }
    return !(frame->gso_type & VIRTIO_NET_HDR_GSO_ECN) || offload_on(view, VIRTIO_NET_F_GUEST_ECN);
}

enum header_fit header_check_receive(const struct view *view, const VionetFrame *frame, size_t len)
{
    if (G_LIKELY(frame->flags == 0 && frame->gso_type == VIRTIO_NET_HDR_GSO_NONE)) {
        return HEADER_FITS;
    }
    if (!receive_tunnel_allowed(view, frame) ||
        (!has_no_gso(frame->gso_type, offload_on(view, VIRTIO_NET_F_GUEST_ECN)) &&
         !receive_gso_allowed(view, frame))) {
        return HEADER_REFUSED;
    }
    if (!(frame->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)) {
        return HEADER_FITS;
    }
    if (!checksum_inside(frame, len)) {
        return HEADER_REFUSED;
    }
    return offload_on(view, VIRTIO_NET_F_GUEST_CSUM) ? HEADER_FITS : HEADER_NEEDS_CHECKSUM;
}

uint8_t header_flags(const struct view *view, const VionetFrame *frame)
{
    if (!offload_on(view, VIRTIO_NET_F_GUEST_CSUM)) {
        return 0;
    }
    return frame->flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID |
                           VIRTIO_NET_HDR_F_UDP_TUNNEL_CSUM);
}

static void write_offloads(const struct view *view, const VionetFrame *frame,
                           uint8_t hdr[HEADER_MAX])
{
    hdr[0] = header_flags(view, frame);
    if (hdr[0] & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
        view_put16(view, hdr + 6, frame->csum_start);
        view_put16(view, hdr + 8, frame->csum_offset);
    }
    if (!has_no_gso(frame->gso_type, true)) {
        hdr[1] = frame->gso_type;
        view_put16(view, hdr + 2, frame->hdr_len);
        view_put16(view, hdr + 4, frame->gso_size);
    }
    if (frame->gso_type & GSO_TUNNEL) {
        put_le16(hdr + 20, frame->outer_th_offset);
        put_le16(hdr + 22, frame->inner_nh_offset);
    }
}

void header_write(const struct view *view, const VionetFrame *frame, const struct hash_result *hash,
                  uint8_t hdr[HEADER_MAX])
{
    memset(hdr, 0, HEADER_MAX);
    put_le32(hdr + HEADER_NUM_BUFFERS - 2, view->plain);
    if (view->reports_hash) {
        put_le32(hdr + 12, hash->value);
        put_le16(hdr + 16, hash->report);
        hdr[18] = hash->tunnel;
    }
    if (G_UNLIKELY(frame->flags || frame->gso_type)) {
        write_offloads(view, frame, hdr);
    }
}

/* 5.1.6.2.2: what a UDP tunnel bit, or its lack, forbids. */
static bool transmit_tunnel_allowed(const struct view *view, const VionetFrame *frame)
{
    const uint8_t tunnel = frame->gso_type & GSO_TUNNEL;
    const uint8_t base = frame->gso_type & ~GSO_MODIFIERS;

    if (!tunnel) {
        return !(frame->flags & VIRTIO_NET_HDR_F_UDP_TUNNEL_CSUM);
    }
    if (tunnel == GSO_TUNNEL || base == VIRTIO_NET_HDR_GSO_NONE || base == VIRTIO_NET_HDR_GSO_UDP ||
        !(frame->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) ||
        (frame->flags & VIRTIO_NET_HDR_F_DATA_VALID)) {
        return false;
    }
    return view_has(view, VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO) &&
           (!(frame->flags & VIRTIO_NET_HDR_F_UDP_TUNNEL_CSUM) ||
            view_has(view, VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO_CSUM));
}

static bool transmit_gso_allowed(const struct view *view, const VionetFrame *frame)
{
    const struct gso_row *row = gso_row(frame->gso_type);

    if (!row || !view_has(view, row->transmit_feature) || frame->gso_size == 0 ||
        !(frame->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)) {
        return false;
    }
    return !(frame->gso_type & VIRTIO_NET_HDR_GSO_ECN) || view_has(view, VIRTIO_NET_F_HOST_ECN);
}

bool header_read(const struct view *view, const uint8_t hdr[HEADER_MAX], size_t len,
                 VionetFrame *frame)
{
    frame->flags = 0;
    frame->gso_type = hdr[1];
    frame->hdr_len = frame->gso_size = frame->csum_start = frame->csum_offset = 0;
    frame->outer_th_offset = frame->inner_nh_offset = 0;
    if (G_LIKELY(hdr[0] == 0 && hdr[1] == VIRTIO_NET_HDR_GSO_NONE)) {
        return true;
    }
    /* Unknown flags are ignored; a flag without its feature is not acted on (5.1.6.2.2). */
    frame->flags = hdr[0] & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID);
    if (view_has(view, VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO_CSUM)) {
        frame->flags |= hdr[0] & VIRTIO_NET_HDR_F_UDP_TUNNEL_CSUM;
    }
    if (frame->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
        frame->csum_start = view_get16(view, hdr + 6);
        frame->csum_offset = view_get16(view, hdr + 8);
        if (!view_has(view, VIRTIO_NET_F_CSUM) || !checksum_inside(frame, len)) {
            return false;
        }
    }
    if (!transmit_tunnel_allowed(view, frame)) {
        return false;
    }
    frame->flags &= (uint8_t)~VIRTIO_NET_HDR_F_DATA_VALID; /* says nothing on transmit */
    if (has_no_gso(frame->gso_type, view_has(view, VIRTIO_NET_F_HOST_ECN))) {
        frame->gso_type = VIRTIO_NET_HDR_GSO_NONE;
        return true;
    }
    frame->hdr_len = view_get16(view, hdr + 2); /* a hint (5.1.6.2.2) */
    frame->gso_size = view_get16(view, hdr + 4);
    if (frame->gso_type & GSO_TUNNEL) {
        frame->outer_th_offset = get_le16(hdr + 20);
        frame->inner_nh_offset = get_le16(hdr + 22);
    }
    return transmit_gso_allowed(view, frame);
}
