/* SPDX-License-Identifier: BSD-3-Clause */
/* Buffers cut into descriptors; see layout.h. */
#include "layout.h"

unsigned layout_count(const struct net_layout *layout, uint32_t len, uint32_t header_len)
{
    uint32_t head = header_len < len ? header_len : len;

    switch (layout->shape) {
    case NET_HEADER_APART:
        return (head > 0) + (len > head);
    case NET_HEADER_OCTETS:
        return head + (len > head);
    case NET_OCTETS:
        return len;
    case NET_CUTS:
        return layout->n_cuts + 1;
    case NET_WHOLE:
        break;
    }
    return 1;
}

/* Where piece i ends; the last one ends at len. */
static uint32_t piece_end(const struct net_layout *layout, unsigned i, uint32_t header_len)
{
    switch (layout->shape) {
    case NET_HEADER_APART:
        return header_len;
    case NET_HEADER_OCTETS:
    case NET_OCTETS:
        return i + 1;
    case NET_CUTS:
        return layout->cuts[i];
    case NET_WHOLE:
        break;
    }
    return UINT32_MAX;
}

void layout_cut(const struct net_layout *layout, uint64_t gpa, uint32_t len, uint32_t header_len,
                bool writable, struct virtq_segment *segments)
{
    unsigned n = layout_count(layout, len, header_len);
    uint32_t at = 0;

    for (unsigned i = 0; i < n; i++) {
        uint32_t end = i + 1 < n ? piece_end(layout, i, header_len) : len;

        if (end > len) {
            end = len;
        } else if (end < at) {
            end = at;
        }
        segments[i] = (struct virtq_segment){gpa + at, end - at, writable};
        at = end;
    }
}

/* Segments in front of the indirect descriptor; one at least is left for the table. */
static unsigned direct_of(const struct net_layout *layout, unsigned n)
{
    return layout->n_direct < n ? layout->n_direct : n - 1;
}

unsigned layout_entries(const struct net_layout *layout, unsigned n)
{
    return layout->indirect && n ? direct_of(layout, n) + 1 : n;
}

bool layout_add(const struct net_layout *layout, struct virtq *vq,
                const struct virtq_segment *segments, unsigned n, uint64_t table_gpa, void *cookie)
{
    if (n == 0) {
        return false;
    }
    if (layout->indirect) {
        /* A packed ring has no descriptors in front of an indirect one (2.8.7). */
        return virtq_add_indirect(vq, segments, n,
                                  virtq_options(vq)->packed ? 0 : direct_of(layout, n), table_gpa,
                                  cookie);
    }
    return virtq_add(vq, segments, n, cookie);
}
