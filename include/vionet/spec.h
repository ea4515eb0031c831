/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The wire: constants and structures of the VIRTIO specification (1.4) that a network device and its
 * driver share, spelled as the specification spells them, and of the two drafts of inner-header
 * hashing and the draft of notify_data that vionet speaks as well.
 *
 * Everything here is little-endian on the wire (an leN member holds the octets as they stand in
 * memory; convert before use). Structures have no hidden padding; sizes and offsets are asserted
 * below. No other header of vionet includes this one, so that a program which already has Linux's
 * definitions of the same names need not meet these; one that wants the constants without the
 * structures defines VIONET_SPEC_NO_STRUCTS first.
 */
#ifndef VIONET_SPEC_H
#define VIONET_SPEC_H

#include <stddef.h>
#include <stdint.h>

/* ---- 2.1 Device Status Field ---- */
#define VIRTIO_STATUS_ACKNOWLEDGE        1
#define VIRTIO_STATUS_DRIVER             2
#define VIRTIO_STATUS_DRIVER_OK          4
#define VIRTIO_STATUS_FEATURES_OK        8
#define VIRTIO_STATUS_SUSPEND            16
#define VIRTIO_STATUS_DEVICE_NEEDS_RESET 64
#define VIRTIO_STATUS_FAILED             128

/* ---- 6 Reserved Feature Bits ---- */
#define VIRTIO_F_NOTIFY_ON_EMPTY   24
#define VIRTIO_F_ANY_LAYOUT        27
#define VIRTIO_F_INDIRECT_DESC     28
#define VIRTIO_F_EVENT_IDX         29
#define VIRTIO_F_VERSION_1         32
#define VIRTIO_F_ACCESS_PLATFORM   33
#define VIRTIO_F_RING_PACKED       34
#define VIRTIO_F_IN_ORDER          35
#define VIRTIO_F_ORDER_PLATFORM    36
#define VIRTIO_F_SR_IOV            37
#define VIRTIO_F_NOTIFICATION_DATA 38
#define VIRTIO_F_NOTIF_CONFIG_DATA 39
#define VIRTIO_F_RING_RESET        40
#define VIRTIO_F_ADMIN_VQ          41
#define VIRTIO_F_SUSPEND           43

/* ---- 2.7 Split Virtqueues ---- */
#define VIRTQ_DESC_F_NEXT          1
#define VIRTQ_DESC_F_WRITE         2
#define VIRTQ_DESC_F_INDIRECT      4
#define VIRTQ_AVAIL_F_NO_INTERRUPT 1
#define VIRTQ_USED_F_NO_NOTIFY     1
#define VIRTQ_MAX_SIZE             32768

/* Octets of the three parts for a queue of n descriptors; the event word is always counted. */
#define VIRTQ_DESC_TABLE_SIZE(n) (16u * (uint32_t)(n))
#define VIRTQ_AVAIL_SIZE(n)      (6u + 2u * (uint32_t)(n))
#define VIRTQ_USED_SIZE(n)       (6u + 8u * (uint32_t)(n))

/* ---- 2.8 Packed Virtqueues: descriptor flags beside those of 2.7, event suppression ---- */
#define VIRTQ_DESC_F_AVAIL       0x0080
#define VIRTQ_DESC_F_USED        0x8000
#define RING_EVENT_FLAGS_ENABLE  0
#define RING_EVENT_FLAGS_DISABLE 1
#define RING_EVENT_FLAGS_DESC    2
#define RING_EVENT_OFF_MASK      0x7fff
#define RING_EVENT_WRAP          0x8000
#define PVIRTQ_EVENT_SIZE        4u
#define PVIRTQ_DESC_RING_SIZE(n) (16u * (uint32_t)(n))

/* ---- 4.1 Virtio Over PCI Bus ---- */
#define VIRTIO_PCI_VENDOR_ID                  0x1af4
#define VIRTIO_PCI_DEVICE_ID_NET              0x1041
#define VIRTIO_PCI_DEVICE_ID_NET_TRANSITIONAL 0x1000
#define VIRTIO_ID_NET                         1
#define VIRTIO_PCI_CAP_COMMON_CFG             1
#define VIRTIO_PCI_CAP_NOTIFY_CFG             2
#define VIRTIO_PCI_CAP_ISR_CFG                3
#define VIRTIO_PCI_CAP_DEVICE_CFG             4
#define VIRTIO_PCI_CAP_PCI_CFG                5
#define VIRTIO_PCI_CAP_SHARED_MEMORY_CFG      8
#define VIRTIO_PCI_CAP_VENDOR_CFG             9
#define VIRTIO_MSI_NO_VECTOR                  0xffff
#define VIRTIO_PCI_ISR_QUEUE                  1
#define VIRTIO_PCI_ISR_CONFIG                 2

/* 4.1.4.10 Legacy Interfaces: a header in BAR 0; with MSI-X enabled it has both vectors */
#define VIRTIO_PCI_LEGACY_DEVICE_FEATURES 0
#define VIRTIO_PCI_LEGACY_DRIVER_FEATURES 4
#define VIRTIO_PCI_LEGACY_QUEUE_ADDRESS   8
#define VIRTIO_PCI_LEGACY_QUEUE_SIZE      12
#define VIRTIO_PCI_LEGACY_QUEUE_SELECT    14
#define VIRTIO_PCI_LEGACY_QUEUE_NOTIFY    16
#define VIRTIO_PCI_LEGACY_STATUS          18
#define VIRTIO_PCI_LEGACY_ISR             19
#define VIRTIO_PCI_LEGACY_CONFIG_VECTOR   20
#define VIRTIO_PCI_LEGACY_QUEUE_VECTOR    22
#define VIRTIO_PCI_LEGACY_CONFIG(msix)    ((msix) ? 24u : 20u)

/* ---- 4.2 Virtio Over MMIO: registers; those in the second list are the legacy interface's ---- */
#define VIRTIO_MMIO_MAGIC_VALUE         0x000
#define VIRTIO_MMIO_VERSION             0x004
#define VIRTIO_MMIO_DEVICE_ID           0x008
#define VIRTIO_MMIO_VENDOR_ID           0x00c
#define VIRTIO_MMIO_DEVICE_FEATURES     0x010
#define VIRTIO_MMIO_DEVICE_FEATURES_SEL 0x014
#define VIRTIO_MMIO_DRIVER_FEATURES     0x020
#define VIRTIO_MMIO_DRIVER_FEATURES_SEL 0x024
#define VIRTIO_MMIO_QUEUE_SEL           0x030
#define VIRTIO_MMIO_QUEUE_SIZE_MAX      0x034
#define VIRTIO_MMIO_QUEUE_SIZE          0x038
#define VIRTIO_MMIO_QUEUE_READY         0x044
#define VIRTIO_MMIO_QUEUE_NOTIFY        0x050
#define VIRTIO_MMIO_INTERRUPT_STATUS    0x060
#define VIRTIO_MMIO_INTERRUPT_ACK       0x064
#define VIRTIO_MMIO_STATUS              0x070
#define VIRTIO_MMIO_QUEUE_DESC_LOW      0x080
#define VIRTIO_MMIO_QUEUE_DESC_HIGH     0x084
#define VIRTIO_MMIO_QUEUE_DRIVER_LOW    0x090
#define VIRTIO_MMIO_QUEUE_DRIVER_HIGH   0x094
#define VIRTIO_MMIO_QUEUE_DEVICE_LOW    0x0a0
#define VIRTIO_MMIO_QUEUE_DEVICE_HIGH   0x0a4
#define VIRTIO_MMIO_SHM_SEL             0x0ac
#define VIRTIO_MMIO_SHM_LEN_LOW         0x0b0
#define VIRTIO_MMIO_SHM_LEN_HIGH        0x0b4
#define VIRTIO_MMIO_SHM_BASE_LOW        0x0b8
#define VIRTIO_MMIO_SHM_BASE_HIGH       0x0bc
#define VIRTIO_MMIO_QUEUE_RESET         0x0c0
#define VIRTIO_MMIO_CONFIG_GENERATION   0x0fc
#define VIRTIO_MMIO_CONFIG              0x100
#define VIRTIO_MMIO_GUEST_PAGE_SIZE     0x028
#define VIRTIO_MMIO_QUEUE_ALIGN         0x03c
#define VIRTIO_MMIO_QUEUE_PFN           0x040

#define VIRTIO_MMIO_MAGIC      0x74726976
#define VIRTIO_MMIO_INT_QUEUE  1
#define VIRTIO_MMIO_INT_CONFIG 2

/* ---- 5.1 Network Device: feature bits ---- */
#define VIRTIO_NET_F_CSUM                      0
#define VIRTIO_NET_F_GUEST_CSUM                1
#define VIRTIO_NET_F_CTRL_GUEST_OFFLOADS       2
#define VIRTIO_NET_F_MTU                       3
#define VIRTIO_NET_F_MAC                       5
#define VIRTIO_NET_F_GUEST_TSO4                7
#define VIRTIO_NET_F_GUEST_TSO6                8
#define VIRTIO_NET_F_GUEST_ECN                 9
#define VIRTIO_NET_F_GUEST_UFO                 10
#define VIRTIO_NET_F_HOST_TSO4                 11
#define VIRTIO_NET_F_HOST_TSO6                 12
#define VIRTIO_NET_F_HOST_ECN                  13
#define VIRTIO_NET_F_HOST_UFO                  14
#define VIRTIO_NET_F_MRG_RXBUF                 15
#define VIRTIO_NET_F_STATUS                    16
#define VIRTIO_NET_F_CTRL_VQ                   17
#define VIRTIO_NET_F_CTRL_RX                   18
#define VIRTIO_NET_F_CTRL_VLAN                 19
#define VIRTIO_NET_F_CTRL_RX_EXTRA             20
#define VIRTIO_NET_F_GUEST_ANNOUNCE            21
#define VIRTIO_NET_F_MQ                        22
#define VIRTIO_NET_F_CTRL_MAC_ADDR             23
#define VIRTIO_NET_F_DEVICE_STATS              50
#define VIRTIO_NET_F_HASH_TUNNEL               51
#define VIRTIO_NET_F_HASH_TUNNEL_DRAFT         52 /* both drafts of HASH_TUNNEL; not VQ_NOTF_COAL */
#define VIRTIO_NET_F_VQ_NOTF_COAL              52
#define VIRTIO_NET_F_NOTF_COAL                 53
#define VIRTIO_NET_F_GUEST_USO4                54
#define VIRTIO_NET_F_GUEST_USO6                55
#define VIRTIO_NET_F_HOST_USO                  56
#define VIRTIO_NET_F_HASH_REPORT               57
#define VIRTIO_NET_F_GUEST_HDRLEN              59
#define VIRTIO_NET_F_RSS                       60
#define VIRTIO_NET_F_RSC_EXT                   61
#define VIRTIO_NET_F_STANDBY                   62
#define VIRTIO_NET_F_SPEED_DUPLEX              63
#define VIRTIO_NET_F_RSS_CONTEXT               64
#define VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO      65
#define VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO_CSUM 66
#define VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO       67
#define VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO_CSUM  68
#define VIRTIO_NET_F_OUT_NET_HEADER            69
#define VIRTIO_NET_F_IPSEC                     70

/* 5.1.4 Device configuration layout */
#define VIRTIO_NET_S_LINK_UP      1
#define VIRTIO_NET_S_ANNOUNCE     2
#define VIRTIO_NET_DUPLEX_HALF    0x00
#define VIRTIO_NET_DUPLEX_FULL    0x01
#define VIRTIO_NET_DUPLEX_UNKNOWN 0xff
#define VIRTIO_NET_SPEED_UNKNOWN  0xffffffffu

/* 5.1.6 Device Operation: struct virtio_net_hdr */
#define VIRTIO_NET_HDR_F_NEEDS_CSUM        1
#define VIRTIO_NET_HDR_F_DATA_VALID        2
#define VIRTIO_NET_HDR_F_RSC_INFO          4
#define VIRTIO_NET_HDR_F_UDP_TUNNEL_CSUM   8
#define VIRTIO_NET_HDR_GSO_NONE            0
#define VIRTIO_NET_HDR_GSO_TCPV4           1
#define VIRTIO_NET_HDR_GSO_UDP             3
#define VIRTIO_NET_HDR_GSO_TCPV6           4
#define VIRTIO_NET_HDR_GSO_UDP_L4          5
#define VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV4 0x20
#define VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV6 0x40
#define VIRTIO_NET_HDR_GSO_ECN             0x80

/* Hash types (virtio_net_config.supported_hash_types and friends) and the report of each. */
#define VIRTIO_NET_HASH_TYPE_IPv4   (1u << 0)
#define VIRTIO_NET_HASH_TYPE_TCPv4  (1u << 1)
#define VIRTIO_NET_HASH_TYPE_UDPv4  (1u << 2)
#define VIRTIO_NET_HASH_TYPE_IPv6   (1u << 3)
#define VIRTIO_NET_HASH_TYPE_TCPv6  (1u << 4)
#define VIRTIO_NET_HASH_TYPE_UDPv6  (1u << 5)
#define VIRTIO_NET_HASH_TYPE_IP_EX  (1u << 6)
#define VIRTIO_NET_HASH_TYPE_TCP_EX (1u << 7)
#define VIRTIO_NET_HASH_TYPE_UDP_EX (1u << 8)

#define VIRTIO_NET_HASH_REPORT_NONE     0
#define VIRTIO_NET_HASH_REPORT_IPv4     1
#define VIRTIO_NET_HASH_REPORT_TCPv4    2
#define VIRTIO_NET_HASH_REPORT_UDPv4    3
#define VIRTIO_NET_HASH_REPORT_IPv6     4
#define VIRTIO_NET_HASH_REPORT_TCPv6    5
#define VIRTIO_NET_HASH_REPORT_UDPv6    6
#define VIRTIO_NET_HASH_REPORT_IPv6_EX  7
#define VIRTIO_NET_HASH_REPORT_TCPv6_EX 8
#define VIRTIO_NET_HASH_REPORT_UDPv6_EX 9

/* Inner-header hashing, ratified: supported_tunnel_types, enabled_tunnel_types. */
#define VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_2784  (1u << 0)
#define VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_2890  (1u << 1)
#define VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_7676  (1u << 2)
#define VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_UDP   (1u << 3)
#define VIRTIO_NET_HASH_TUNNEL_TYPE_VXLAN     (1u << 4)
#define VIRTIO_NET_HASH_TUNNEL_TYPE_VXLAN_GPE (1u << 5)
#define VIRTIO_NET_HASH_TUNNEL_TYPE_GENEVE    (1u << 6)
#define VIRTIO_NET_HASH_TUNNEL_TYPE_IPIP      (1u << 7)
#define VIRTIO_NET_HASH_TUNNEL_TYPE_NVGRE     (1u << 8)

/* Draft v7 (January 2023): in hash_types, with a report of the tunnel in the packet header. */
#define VIRTIO_NET_HASH_TYPE_GRE_INNER     (1u << 9)
#define VIRTIO_NET_HASH_TYPE_VXLAN_INNER   (1u << 10)
#define VIRTIO_NET_HASH_TYPE_GENEVE_INNER  (1u << 11)
#define VIRTIO_NET_HASH_REPORT_TUNNEL_NONE 0
#define VIRTIO_NET_HASH_REPORT_GRE         1
#define VIRTIO_NET_HASH_REPORT_VXLAN       2
#define VIRTIO_NET_HASH_REPORT_GENEVE      3

/* Draft v10 (March 2023): supported_tunnel_hash_types, hash_tunnel_types. */
#define VIRTIO_NET_HASH_TUNNEL_V10_NONE   (1u << 0)
#define VIRTIO_NET_HASH_TUNNEL_V10_GRE    (1u << 1)
#define VIRTIO_NET_HASH_TUNNEL_V10_VXLAN  (1u << 2)
#define VIRTIO_NET_HASH_TUNNEL_V10_GENEVE (1u << 3)
#define VIRTIO_NET_HASH_TUNNEL_V10_IPIP   (1u << 4)
#define VIRTIO_NET_HASH_TUNNEL_V10_NVGRE  (1u << 5)

/* 5.1.6.5 Control Virtqueue: classes, commands, answers */
#define VIRTIO_NET_OK  0
#define VIRTIO_NET_ERR 1

#define VIRTIO_NET_CTRL_RX          0
#define VIRTIO_NET_CTRL_RX_PROMISC  0
#define VIRTIO_NET_CTRL_RX_ALLMULTI 1
#define VIRTIO_NET_CTRL_RX_ALLUNI   2
#define VIRTIO_NET_CTRL_RX_NOMULTI  3
#define VIRTIO_NET_CTRL_RX_NOUNI    4
#define VIRTIO_NET_CTRL_RX_NOBCAST  5

#define VIRTIO_NET_CTRL_MAC           1
#define VIRTIO_NET_CTRL_MAC_TABLE_SET 0
#define VIRTIO_NET_CTRL_MAC_ADDR_SET  1

#define VIRTIO_NET_CTRL_VLAN     2
#define VIRTIO_NET_CTRL_VLAN_ADD 0
#define VIRTIO_NET_CTRL_VLAN_DEL 1

#define VIRTIO_NET_CTRL_ANNOUNCE     3
#define VIRTIO_NET_CTRL_ANNOUNCE_ACK 0

#define VIRTIO_NET_CTRL_MQ              4
#define VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET 0
#define VIRTIO_NET_CTRL_MQ_RSS_CONFIG   1
#define VIRTIO_NET_CTRL_MQ_HASH_CONFIG  2
#define VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN 1
#define VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MAX 0x8000

#define VIRTIO_NET_CTRL_GUEST_OFFLOADS     5
#define VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET 0
/* Offload mask bits that differ from the feature bit of the same name (65, 66). */
#define VIRTIO_NET_OFFLOAD_GUEST_UDP_TUNNEL_GSO      46
#define VIRTIO_NET_OFFLOAD_GUEST_UDP_TUNNEL_GSO_CSUM 47

#define VIRTIO_NET_CTRL_NOTF_COAL        6
#define VIRTIO_NET_CTRL_NOTF_COAL_TX_SET 0
#define VIRTIO_NET_CTRL_NOTF_COAL_RX_SET 1
#define VIRTIO_NET_CTRL_NOTF_COAL_VQ_SET 2
#define VIRTIO_NET_CTRL_NOTF_COAL_VQ_GET 3

#define VIRTIO_NET_CTRL_HASH_TUNNEL     7
#define VIRTIO_NET_CTRL_HASH_TUNNEL_SET 0

#define VIRTIO_NET_CTRL_STATS       8
#define VIRTIO_NET_CTRL_STATS_QUERY 0
#define VIRTIO_NET_CTRL_STATS_GET   1
/* The type in a reply's header; 1 << type in the masks of QUERY and GET. */
#define VIRTIO_NET_STATS_TYPE_REPLY_RX_BASIC 0
#define VIRTIO_NET_STATS_TYPE_REPLY_RX_CSUM  1
#define VIRTIO_NET_STATS_TYPE_REPLY_RX_GSO   2
#define VIRTIO_NET_STATS_TYPE_REPLY_RX_SPEED 3
#define VIRTIO_NET_STATS_TYPE_REPLY_TX_BASIC 16
#define VIRTIO_NET_STATS_TYPE_REPLY_TX_CSUM  17
#define VIRTIO_NET_STATS_TYPE_REPLY_TX_GSO   18
#define VIRTIO_NET_STATS_TYPE_REPLY_TX_SPEED 19
#define VIRTIO_NET_STATS_TYPE_REPLY_CVQ      32

#define VIRTNET_RSS_CTX_CTRL         9
#define VIRTNET_RSS_CTX_CTRL_CAP_GET 0
#define VIRTNET_RSS_CTX_CTRL_ADD     1
#define VIRTNET_RSS_CTX_CTRL_MOD     2
#define VIRTNET_RSS_CTX_CTRL_DEL     3

#ifndef VIONET_SPEC_NO_STRUCTS

typedef uint16_t le16;
typedef uint32_t le32;
typedef uint64_t le64;

struct virtq_desc {
    le64 addr;
    le32 len;
    le16 flags;
    le16 next;
};

struct virtq_used_elem {
    le32 id;
    le32 len;
};

struct virtio_pci_cap {
    uint8_t cap_vndr;
    uint8_t cap_next;
    uint8_t cap_len;
    uint8_t cfg_type;
    uint8_t bar;
    uint8_t id;
    uint8_t padding[2];
    le32 offset;
    le32 length;
};

/* cap_len is 20 as ratified, 24 with the draft's notify_data (January 2020). */
struct virtio_pci_notify_cap {
    struct virtio_pci_cap cap;
    le32 notify_off_multiplier;
    le16 notify_data;
    uint8_t notify_data_valid;
    uint8_t padding;
};

struct virtio_pci_cfg_cap {
    struct virtio_pci_cap cap;
    uint8_t pci_cfg_data[4];
};

struct virtio_pci_common_cfg {
    le32 device_feature_select;
    le32 device_feature;
    le32 driver_feature_select;
    le32 driver_feature;
    le16 config_msix_vector;
    le16 num_queues;
    uint8_t device_status;
    uint8_t config_generation;
    le16 queue_select;
    le16 queue_size;
    le16 queue_msix_vector;
    le16 queue_enable;
    le16 queue_notify_off;
    le64 queue_desc;
    le64 queue_driver;
    le64 queue_device;
    le16 queue_notif_config_data;
    le16 queue_reset;
    le16 admin_queue_index;
    le16 admin_queue_num;
};

struct virtio_net_config {
    uint8_t mac[6];
    le16 status;
    le16 max_virtqueue_pairs;
    le16 mtu;
    le32 speed;
    uint8_t duplex;
    uint8_t rss_max_key_size;
    le16 rss_max_indirection_table_length;
    le32 supported_hash_types;
    le32 supported_tunnel_types; /* draft v10: supported_tunnel_hash_types */
};

/*
 * The packet header up to what the UDP tunnel offloads add; how much of it stands in front of a
 * packet depends on the features: 12 octets, 20 with HASH_REPORT, 24 with a UDP_TUNNEL_GSO bit.
 */
struct virtio_net_hdr {
    uint8_t flags;
    uint8_t gso_type;
    le16 hdr_len;
    le16 gso_size;
    le16 csum_start;
    le16 csum_offset;
    le16 num_buffers;
    le32 hash_value;
    le16 hash_report;
    uint8_t hash_report_tunnel; /* draft v7 only, else padding */
    uint8_t padding_reserved;
    le16 outer_th_offset;
    le16 inner_nh_offset;
};

/* 5.1.6.5.11 Device Statistics */
struct virtio_net_stats_capabilities {
    le64 supported_stats_types[1];
};

/* One of the entries of struct virtio_net_ctrl_queue_stats. */
struct virtio_net_ctrl_queue_stats_entry {
    le16 vq_index;
    le16 reserved[3];
    le64 types_bitmap[1];
};

struct virtio_net_stats_reply_hdr {
    uint8_t type;
    uint8_t reserved;
    le16 vq_index;
    le16 reserved1;
    le16 size;
};

struct virtio_net_stats_cvq {
    struct virtio_net_stats_reply_hdr hdr;
    le64 command_num;
    le64 ok_num;
};

struct virtio_net_stats_rx_basic {
    struct virtio_net_stats_reply_hdr hdr;
    le64 rx_notifications;
    le64 rx_packets;
    le64 rx_bytes;
    le64 rx_interrupts;
    le64 rx_drops;
    le64 rx_drop_overruns;
};

struct virtio_net_stats_tx_basic {
    struct virtio_net_stats_reply_hdr hdr;
    le64 tx_notifications;
    le64 tx_packets;
    le64 tx_bytes;
    le64 tx_interrupts;
    le64 tx_drops;
    le64 tx_drop_malformed;
};

struct virtio_net_stats_rx_csum {
    struct virtio_net_stats_reply_hdr hdr;
    le64 rx_csum_valid;
    le64 rx_needs_csum;
    le64 rx_csum_none;
    le64 rx_csum_bad;
};

struct virtio_net_stats_tx_csum {
    struct virtio_net_stats_reply_hdr hdr;
    le64 tx_csum_none;
    le64 tx_needs_csum;
};

struct virtio_net_stats_rx_gso {
    struct virtio_net_stats_reply_hdr hdr;
    le64 rx_gso_packets;
    le64 rx_gso_bytes;
    le64 rx_gso_packets_coalesced;
    le64 rx_gso_bytes_coalesced;
};

struct virtio_net_stats_tx_gso {
    struct virtio_net_stats_reply_hdr hdr;
    le64 tx_gso_packets;
    le64 tx_gso_bytes;
    le64 tx_gso_segments;
    le64 tx_gso_segments_bytes;
    le64 tx_gso_packets_noseg;
    le64 tx_gso_bytes_noseg;
};

struct virtio_net_stats_rx_speed {
    struct virtio_net_stats_reply_hdr hdr;
    le64 rx_packets_allowance_exceeded;
    le64 rx_bytes_allowance_exceeded;
};

struct virtio_net_stats_tx_speed {
    struct virtio_net_stats_reply_hdr hdr;
    le64 tx_packets_allowance_exceeded;
    le64 tx_bytes_allowance_exceeded;
};

/* 5.1.6.5.8 RSS Context */
struct virtnet_rss_ctx_cap {
    le16 max_rss_contexts;
};

/* The configuration that follows is laid out as RSS_CONFIG's. */
struct virtnet_rss_ctx_add_modify {
    le16 rss_ctx_id;
    uint8_t reserved[6];
};

struct virtnet_rss_ctx_del {
    le16 rss_ctx_id;
};

#ifdef __cplusplus
#define VIONET_SPEC_ASSERT static_assert
#else
#define VIONET_SPEC_ASSERT _Static_assert
#endif
#define VIONET_SPEC_AT(type, member, offset) \
    VIONET_SPEC_ASSERT(offsetof(struct type, member) == (offset), #type "." #member)
#define VIONET_SPEC_SIZE(type, octets) VIONET_SPEC_ASSERT(sizeof(struct type) == (octets), #type)

VIONET_SPEC_SIZE(virtq_desc, 16);
VIONET_SPEC_AT(virtq_desc, len, 8);
VIONET_SPEC_AT(virtq_desc, flags, 12);
VIONET_SPEC_AT(virtq_desc, next, 14);
VIONET_SPEC_SIZE(virtq_used_elem, 8);
VIONET_SPEC_SIZE(virtio_pci_cap, 16);
VIONET_SPEC_AT(virtio_pci_cap, bar, 4);
VIONET_SPEC_AT(virtio_pci_cap, offset, 8);
VIONET_SPEC_SIZE(virtio_pci_notify_cap, 24);
VIONET_SPEC_AT(virtio_pci_notify_cap, notify_data, 20);
VIONET_SPEC_AT(virtio_pci_notify_cap, notify_data_valid, 22);
VIONET_SPEC_SIZE(virtio_pci_cfg_cap, 20);
VIONET_SPEC_SIZE(virtio_pci_common_cfg, 64);
VIONET_SPEC_AT(virtio_pci_common_cfg, config_msix_vector, 16);
VIONET_SPEC_AT(virtio_pci_common_cfg, device_status, 20);
VIONET_SPEC_AT(virtio_pci_common_cfg, queue_select, 22);
VIONET_SPEC_AT(virtio_pci_common_cfg, queue_notify_off, 30);
VIONET_SPEC_AT(virtio_pci_common_cfg, queue_desc, 32);
VIONET_SPEC_AT(virtio_pci_common_cfg, queue_notif_config_data, 56);
VIONET_SPEC_AT(virtio_pci_common_cfg, admin_queue_num, 62);
VIONET_SPEC_SIZE(virtio_net_config, 28);
VIONET_SPEC_AT(virtio_net_config, status, 6);
VIONET_SPEC_AT(virtio_net_config, mtu, 10);
VIONET_SPEC_AT(virtio_net_config, speed, 12);
VIONET_SPEC_AT(virtio_net_config, duplex, 16);
VIONET_SPEC_AT(virtio_net_config, rss_max_key_size, 17);
VIONET_SPEC_AT(virtio_net_config, rss_max_indirection_table_length, 18);
VIONET_SPEC_AT(virtio_net_config, supported_hash_types, 20);
VIONET_SPEC_AT(virtio_net_config, supported_tunnel_types, 24);
VIONET_SPEC_SIZE(virtio_net_hdr, 24);
VIONET_SPEC_AT(virtio_net_hdr, csum_start, 6);
VIONET_SPEC_AT(virtio_net_hdr, num_buffers, 10);
VIONET_SPEC_AT(virtio_net_hdr, hash_value, 12);
VIONET_SPEC_AT(virtio_net_hdr, hash_report, 16);
VIONET_SPEC_AT(virtio_net_hdr, hash_report_tunnel, 18);
VIONET_SPEC_AT(virtio_net_hdr, outer_th_offset, 20);
VIONET_SPEC_SIZE(virtio_net_stats_capabilities, 8);
VIONET_SPEC_SIZE(virtio_net_ctrl_queue_stats_entry, 16);
VIONET_SPEC_AT(virtio_net_ctrl_queue_stats_entry, types_bitmap, 8);
VIONET_SPEC_SIZE(virtio_net_stats_reply_hdr, 8);
VIONET_SPEC_AT(virtio_net_stats_reply_hdr, vq_index, 2);
VIONET_SPEC_AT(virtio_net_stats_reply_hdr, size, 6);
VIONET_SPEC_SIZE(virtio_net_stats_cvq, 24);
VIONET_SPEC_AT(virtio_net_stats_cvq, ok_num, 16);
VIONET_SPEC_SIZE(virtio_net_stats_rx_basic, 56);
VIONET_SPEC_AT(virtio_net_stats_rx_basic, rx_bytes, 24);
VIONET_SPEC_AT(virtio_net_stats_rx_basic, rx_drop_overruns, 48);
VIONET_SPEC_SIZE(virtio_net_stats_tx_basic, 56);
VIONET_SPEC_AT(virtio_net_stats_tx_basic, tx_bytes, 24);
VIONET_SPEC_AT(virtio_net_stats_tx_basic, tx_drop_malformed, 48);
VIONET_SPEC_SIZE(virtio_net_stats_rx_csum, 40);
VIONET_SPEC_AT(virtio_net_stats_rx_csum, rx_csum_none, 24);
VIONET_SPEC_SIZE(virtio_net_stats_tx_csum, 24);
VIONET_SPEC_AT(virtio_net_stats_tx_csum, tx_needs_csum, 16);
VIONET_SPEC_SIZE(virtio_net_stats_rx_gso, 40);
VIONET_SPEC_AT(virtio_net_stats_rx_gso, rx_gso_bytes_coalesced, 32);
VIONET_SPEC_SIZE(virtio_net_stats_tx_gso, 56);
VIONET_SPEC_AT(virtio_net_stats_tx_gso, tx_gso_bytes_noseg, 48);
VIONET_SPEC_SIZE(virtio_net_stats_rx_speed, 24);
VIONET_SPEC_SIZE(virtio_net_stats_tx_speed, 24);
VIONET_SPEC_SIZE(virtnet_rss_ctx_cap, 2);
VIONET_SPEC_SIZE(virtnet_rss_ctx_add_modify, 8);
VIONET_SPEC_SIZE(virtnet_rss_ctx_del, 2);

#endif /* VIONET_SPEC_NO_STRUCTS */
#endif /* VIONET_SPEC_H */
