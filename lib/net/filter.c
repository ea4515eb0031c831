/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Receive filter (VIRTIO 1.4, 5.1.6.5.1 to 5.1.6.5.3): the first station of a received frame.
 * Promiscuous mode passes everything; then the VLAN table, then the destination.
 */
#include "net/filter.h"

#include <string.h>

#include "bytes.h"

#include <vionet/spec.h>

#define ETHERTYPE_VLAN 0x8100
#define ETHERTYPE_QINQ 0x88a8

static bool list_has(const struct mac_list *list, const uint8_t *mac)
{
    for (unsigned i = 0; i < list->n; i++) {
        if (memcmp(list->mac[i], mac, 6) == 0) {
            return true;
        }
    }
    return list->overflow;
}

static bool vlan_passes(const struct filter *filter, const uint8_t *data, size_t linear)
{
    uint16_t type = get_be16(data + 12);
    unsigned id;

    if (type != ETHERTYPE_VLAN && type != ETHERTYPE_QINQ) {
        return true;
    }
    if (linear < 16) {
        return false; /* the tag itself is cut off */
    }
    id = get_be16(data + 14) & (N_VLANS - 1);
    return filter->vlans[id / 32] >> (id % 32) & 1;
}

static bool destination_passes(const struct filter *filter, const uint8_t *mac, bool can_widen)
{
    static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    const unsigned modes = filter->modes;

    if (!(mac[0] & 1)) {
        if (modes & RX_MODE_NOUNI) {
            return false;
        }
        return (modes & RX_MODE_ALLUNI) || memcmp(mac, filter->mac, 6) == 0 ||
               list_has(&filter->unicast, mac);
    }
    if (memcmp(mac, broadcast, 6) == 0) {
        return !(modes & RX_MODE_NOBCAST);
    }
    if (modes & RX_MODE_NOMULTI) {
        return false;
    }
    return (modes & RX_MODE_ALLMULTI) || !can_widen || list_has(&filter->multicast, mac);
}

VionetVerdict filter_frame(const struct view *view, const uint8_t *data, size_t linear)
{
    const struct filter *filter = &view->filter;
    /* A driver without CTRL_RX could never ask for a multicast group: it gets them all. */
    const bool can_widen = view_has(view, VIRTIO_NET_F_CTRL_RX);

    if (G_LIKELY(filter->modes & RX_MODE_PROMISC)) {
        return VIONET_DELIVERED;
    }
    if (filter->vlan_filter && !vlan_passes(filter, data, linear)) {
        return VIONET_DROP_VLAN;
    }
    return destination_passes(filter, data, can_widen) ? VIONET_DELIVERED : VIONET_DROP_FILTER;
}

/* One table of the payload; NULL if it does not fit, else what stands behind it. */
static const uint8_t *take_list(const struct view *view, struct mac_list *list, const uint8_t *p,
                                const uint8_t *end)
{
    uint32_t n;

    if (end - p < 4) {
        return NULL;
    }
    n = view_get32(view, p);
    p += 4;
    if ((uint64_t)n * 6 > (uint64_t)(end - p)) {
        return NULL;
    }
    list->overflow = n > VIONET_MAX_MAC_TABLE;
    list->n = list->overflow ? 0 : n;
    memcpy(list->mac, p, list->n * 6u);
    return p + (size_t)n * 6;
}

bool filter_set_table(struct view *view, const uint8_t *payload, size_t len)
{
    const uint8_t *end = payload + len;
    struct mac_list unicast = {0};
    struct mac_list multicast = {0};
    const uint8_t *p = take_list(view, &unicast, payload, end);

    if (!p || take_list(view, &multicast, p, end) != end) {
        return false;
    }
    view->filter.unicast = unicast;
    view->filter.multicast = multicast;
    return true;
}

void filter_describe(const struct filter *filter, VionetFilter *described)
{
    VionetFilter all = {
        .promiscuous = filter->modes & RX_MODE_PROMISC,
        .all_multicast = filter->modes & RX_MODE_ALLMULTI,
        .all_unicast = filter->modes & RX_MODE_ALLUNI,
        .no_multicast = filter->modes & RX_MODE_NOMULTI,
        .no_unicast = filter->modes & RX_MODE_NOUNI,
        .no_broadcast = filter->modes & RX_MODE_NOBCAST,
        .unicast_overflow = filter->unicast.overflow,
        .multicast_overflow = filter->multicast.overflow,
        .vlan_filter = filter->vlan_filter,
        .n_unicast = filter->unicast.n,
        .n_multicast = filter->multicast.n,
    };
    const size_t size = MIN(described->size, sizeof(all));

    all.size = described->size;
    memcpy(all.mac, filter->mac, sizeof(all.mac));
    memcpy(all.unicast, filter->unicast.mac, sizeof(all.unicast));
    memcpy(all.multicast, filter->multicast.mac, sizeof(all.multicast));
    memcpy(all.vlans, filter->vlans, sizeof(all.vlans));
    memcpy(described, &all, size);
}
