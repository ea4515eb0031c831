/* SPDX-License-Identifier: BSD-3-Clause */
/* P6: the packet header, of every size and content (lib/net/header.c). Each entry point is a claim; see README.md. */
#include "net/header.h"

#include <vionet/spec.h>

unsigned proof_loads, proof_stores;

/* Any view that negotiation can make; features are any. */
static struct view *any_view(void)
{
    static struct view view;

    for (unsigned i = 0; i < VIONET_FEATURE_WORDS; i++) {
        view.features[i] = any_64();
    }
    view.legacy = any_bool();
    view.big_endian = view.legacy && any_bool();
    view.mergeable = view_has(&view, VIRTIO_NET_F_MRG_RXBUF);
    view.reports_hash = view_has(&view, VIRTIO_NET_F_HASH_REPORT);
    view.hdr_len = header_length(&view);
    view.plain = header_plain_word(&view);
    view.offloads = any_64();
    return &view;
}

void header_read_any(void)
{
    const struct view *view = any_view();
    const size_t len = any_64();
    uint8_t *hdr = malloc(view->hdr_len);
    VionetFrame frame;

    assume(hdr != NULL && len <= VIONET_MAX_FRAME);
    /* Octets that the negotiated header does not have are not there. */
    if (header_read(view, hdr, len, &frame)) {
        reached("accepted");
        claim(!(frame.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) ||
                  (size_t)frame.csum_start + frame.csum_offset + 2 <= len,
              "the checksum lies in the frame");
        claim(!(frame.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) || view_has(view, VIRTIO_NET_F_CSUM),
              "and its offload was negotiated");
        claim(frame.gso_type == VIRTIO_NET_HDR_GSO_NONE ||
                  (frame.gso_size > 0 && (frame.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)),
              "what is to be segmented has a size, and a checksum to be made");
        claim(!(frame.flags & ~(VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_UDP_TUNNEL_CSUM)),
              "no flag passes that means nothing to the device");
    }
}

void header_write_any(void)
{
    const struct view *view = any_view();
    struct hash_result hash = {any_32(), any_16(), any_8()};
    const bool bare = any_bool();
    uint8_t *hdr = malloc(bare ? MAX(view->hdr_len, 12) : HEADER_MAX);
    VionetFrame frame;

    assume(hdr != NULL);
    if (bare) {
        header_write_plain(view, &hash, hdr);
        claim(hdr[0] == 0 && hdr[1] == 0, "a plain header asks for nothing");
        claim(view->hdr_len < 12 ||
                  (view->big_endian ? get_be16(hdr + 10) : get_le16(hdr + 10)) == 1,
              "one buffer");
        reached("plain");
    } else {
        header_write(view, &frame, &hash, hdr);
        claim(view->reports_hash || (get_le32(hdr + 12) == 0 && get_le16(hdr + 16) == 0),
              "no hash is told without its feature");
        claim((view->offloads & (UINT64_C(1) << VIRTIO_NET_F_GUEST_CSUM)) || hdr[0] == 0,
              "nor anything of checksums");
        reached("written");
    }
}
