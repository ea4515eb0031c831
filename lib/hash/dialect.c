/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dialects of inner-header hashing, one row each: the drafts of January and March 2023 and the
 * text ratified with VIRTIO 1.3 (5.1.6.4.4). A new draft is a new row here and a test.
 */
#include <vionet/hash.h>
#include <vionet/spec.h>

#include <string.h>

#define ANY_GRE \
    (VIONET_TUNNEL_GRE_2784 | VIONET_TUNNEL_GRE_2890 | VIONET_TUNNEL_GRE_7676 | VIONET_TUNNEL_NVGRE)

static const VionetTunnelType no_types[] = {{NULL, 0, 0, 0}};

static const VionetTunnelType draft_v7_types[] = {
    {"gre", VIRTIO_NET_HASH_TYPE_GRE_INNER, ANY_GRE, VIRTIO_NET_HASH_REPORT_GRE},
    {"vxlan", VIRTIO_NET_HASH_TYPE_VXLAN_INNER, VIONET_TUNNEL_VXLAN, VIRTIO_NET_HASH_REPORT_VXLAN},
    {"geneve", VIRTIO_NET_HASH_TYPE_GENEVE_INNER, VIONET_TUNNEL_GENEVE,
     VIRTIO_NET_HASH_REPORT_GENEVE},
    {NULL, 0, 0, 0},
};

static const VionetTunnelType draft_v10_types[] = {
    {"gre", VIRTIO_NET_HASH_TUNNEL_V10_GRE, ANY_GRE, 0},
    {"vxlan", VIRTIO_NET_HASH_TUNNEL_V10_VXLAN, VIONET_TUNNEL_VXLAN, 0},
    {"geneve", VIRTIO_NET_HASH_TUNNEL_V10_GENEVE, VIONET_TUNNEL_GENEVE, 0},
    {"ipip", VIRTIO_NET_HASH_TUNNEL_V10_IPIP, VIONET_TUNNEL_IPIP, 0},
    {"nvgre", VIRTIO_NET_HASH_TUNNEL_V10_NVGRE, VIONET_TUNNEL_NVGRE, 0},
    {NULL, 0, 0, 0},
};

static const VionetTunnelType ratified_types[] = {
    {"gre-2784", VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_2784, VIONET_TUNNEL_GRE_2784, 0},
    {"gre-2890", VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_2890, VIONET_TUNNEL_GRE_2890, 0},
    {"gre-7676", VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_7676, VIONET_TUNNEL_GRE_7676, 0},
    {"gre-udp", VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_UDP, VIONET_TUNNEL_GRE_UDP, 0},
    {"vxlan", VIRTIO_NET_HASH_TUNNEL_TYPE_VXLAN, VIONET_TUNNEL_VXLAN, 0},
    {"vxlan-gpe", VIRTIO_NET_HASH_TUNNEL_TYPE_VXLAN_GPE, VIONET_TUNNEL_VXLAN_GPE, 0},
    {"geneve", VIRTIO_NET_HASH_TUNNEL_TYPE_GENEVE, VIONET_TUNNEL_GENEVE, 0},
    {"ipip", VIRTIO_NET_HASH_TUNNEL_TYPE_IPIP, VIONET_TUNNEL_IPIP, 0},
    {"nvgre", VIRTIO_NET_HASH_TUNNEL_TYPE_NVGRE, VIONET_TUNNEL_NVGRE, 0},
    {NULL, 0, 0, 0},
};

/* The first row is the default. */
static const VionetDialect dialects[] = {
    {
        .name = "ratified",
        .feature = VIRTIO_NET_F_HASH_TUNNEL,
        .all_types = 0x1ff,
        .types_by_command = true,
        .config_field = true,
        .types = ratified_types,
    },
    {
        .name = "draft-v10",
        .feature = VIRTIO_NET_F_HASH_TUNNEL_DRAFT,
        .all_types = 0x3f,
        .always_types = VIRTIO_NET_HASH_TUNNEL_V10_NONE,
        .types_after_key = true,
        .config_field = true,
        .is_hash_feature = true,
        .types = draft_v10_types,
    },
    {
        .name = "draft-v7",
        .feature = VIRTIO_NET_F_HASH_TUNNEL_DRAFT,
        .all_types = 0xe00,
        .types_in_hash_types = true,
        .reports_tunnel = true,
        .types = draft_v7_types,
    },
    {
        .name = "off",
        .feature = -1,
        .types = no_types,
    },
};

const VionetDialect *vionet_dialect_at(unsigned i)
{
    return i < sizeof(dialects) / sizeof(dialects[0]) ? &dialects[i] : NULL;
}

const VionetDialect *vionet_dialect_find(const char *name)
{
    const VionetDialect *dialect;

    for (unsigned i = 0; (dialect = vionet_dialect_at(i)) != NULL; i++) {
        if (strcmp(dialect->name, name) == 0) {
            return dialect;
        }
    }
    return NULL;
}

unsigned vionet_dialect_tunnels(const VionetDialect *dialect, uint32_t types)
{
    unsigned tunnels = 0;

    for (const VionetTunnelType *type = dialect->types; type->name; type++) {
        if (types & type->bit) {
            tunnels |= type->tunnels;
        }
    }
    return tunnels;
}

unsigned vionet_dialect_report(const VionetDialect *dialect, unsigned tunnels)
{
    if (!dialect->reports_tunnel || !tunnels) {
        return 0;
    }
    for (const VionetTunnelType *type = dialect->types; type->name; type++) {
        if (tunnels & type->tunnels) {
            return type->report;
        }
    }
    return 0;
}
