/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A receive filter in QAPI's types; see rx_filter.h. Called by nic.c.
 */
#include "qemu/osdep.h"

#include "rx_filter.h"

#include "qapi/util.h"

static RxState state_of(bool none, bool all)
{
    return none ? RX_STATE_NONE : all ? RX_STATE_ALL : RX_STATE_NORMAL;
}

static strList *mac_table(const uint8_t (*macs)[6], unsigned n)
{
    strList *list = NULL;

    while (n-- > 0) {
        QAPI_LIST_PREPEND(list, qemu_mac_strdup_printf(macs[n]));
    }
    return list;
}

static intList *vlan_table(const VionetFilter *filter)
{
    intList *list = NULL;

    for (int vlan = 4095; vlan >= 0; vlan--) {
        if (filter->vlans[vlan / 32] >> vlan % 32 & 1) {
            QAPI_LIST_PREPEND(list, vlan);
        }
    }
    return list;
}

void rx_filter_describe(const VionetFilter *filter, RxFilterInfo *info)
{
    info->promiscuous = filter->promiscuous;
    info->multicast = state_of(filter->no_multicast, filter->all_multicast);
    info->unicast = state_of(filter->no_unicast, filter->all_unicast);
    info->broadcast_allowed = !filter->no_broadcast;
    info->multicast_overflow = filter->multicast_overflow;
    info->unicast_overflow = filter->unicast_overflow;
    info->main_mac = qemu_mac_strdup_printf(filter->mac);
    info->multicast_table = mac_table(filter->multicast, filter->n_multicast);
    info->unicast_table = mac_table(filter->unicast, filter->n_unicast);
    info->vlan_table = vlan_table(filter);
    info->vlan = state_of(filter->vlan_filter && !info->vlan_table, !filter->vlan_filter);
}
