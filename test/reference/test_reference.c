/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Holds the reference itself against what is known without it: the RSS verification suite that
 * Microsoft publishes, and frames written out octet by octet whose report and hash input were
 * worked out by hand. Outer and inner headers have the suite's addresses and ports wherever they
 * can, so that the hash of the result is a published one as well.
 */
#include <string.h>

#include <glib.h>

#define VIONET_SPEC_NO_STRUCTS
#include <vionet/spec.h>

#include "reference.h"

#define ALL_HASH_TYPES       0x1ffu
#define ALL_V7_TUNNELS       0xe00u
#define ALL_V10_TUNNELS      0x3fu
#define ALL_RATIFIED_TUNNELS 0x1ffu

/* clang-format off */

/* The key of the suite. */
static const uint8_t key[40] = {
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0,
    0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c,
    0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

/* ---- The verification suite ---- */

struct suite_row {
    size_t addresses; /* octets of the input that are addresses; four of ports follow */
    uint8_t input[36];
    uint32_t by_addresses;
    uint32_t with_ports;
};

static const struct suite_row suite[] = {
    /* 66.9.149.187:2794 to 161.142.100.80:1766 */
    {8, {0x42, 0x09, 0x95, 0xbb, 0xa1, 0x8e, 0x64, 0x50, 0x0a, 0xea, 0x06, 0xe6},
     0x323e8fc2, 0x51ccc178},
    /* 199.92.111.2:14230 to 65.69.140.83:4739 */
    {8, {0xc7, 0x5c, 0x6f, 0x02, 0x41, 0x45, 0x8c, 0x53, 0x37, 0x96, 0x12, 0x83},
     0xd718262a, 0xc626b0ea},
    /* 24.19.198.95:12898 to 12.22.207.184:38024 */
    {8, {0x18, 0x13, 0xc6, 0x5f, 0x0c, 0x16, 0xcf, 0xb8, 0x32, 0x62, 0x94, 0x88},
     0xd2d0a5de, 0x5c2b394a},
    /* 38.27.205.30:48228 to 209.142.163.6:2217 */
    {8, {0x26, 0x1b, 0xcd, 0x1e, 0xd1, 0x8e, 0xa3, 0x06, 0xbc, 0x64, 0x08, 0xa9},
     0x82989176, 0xafc7327f},
    /* 153.39.163.191:44251 to 202.188.127.2:1303 */
    {8, {0x99, 0x27, 0xa3, 0xbf, 0xca, 0xbc, 0x7f, 0x02, 0xac, 0xdb, 0x05, 0x17},
     0x5d1809c5, 0x10e828a2},
    /* 3ffe:2501:200:1fff::7, port 2794, to 3ffe:2501:200:3::1, port 1766 */
    {32, {0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x1f, 0xff, 0, 0, 0, 0, 0, 0, 0, 0x07,
          0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x00, 0x03, 0, 0, 0, 0, 0, 0, 0, 0x01,
          0x0a, 0xea, 0x06, 0xe6},
     0x2cc18cd5, 0x40207d3d},
    /* 3ffe:501:8::260:97ff:fe40:efab, port 14230, to ff02::1, port 4739 */
    {32, {0x3f, 0xfe, 0x05, 0x01, 0x00, 0x08, 0, 0, 0x02, 0x60, 0x97, 0xff, 0xfe, 0x40, 0xef, 0xab,
          0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01,
          0x37, 0x96, 0x12, 0x83},
     0x0f0c461c, 0xdde51bbf},
    /* 3ffe:1900:4545:3:200:f8ff:fe21:67cf, port 44251, to fe80::200:f8ff:fe21:67cf, port 38024 */
    {32, {0x3f, 0xfe, 0x19, 0x00, 0x45, 0x45, 0x00, 0x03, 0x02, 0x00, 0xf8, 0xff, 0xfe, 0x21, 0x67,
          0xcf, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0x02, 0x00, 0xf8, 0xff, 0xfe, 0x21, 0x67, 0xcf,
          0xac, 0xdb, 0x94, 0x88},
     0x4b61e985, 0x02d1feef},
};

/* ---- What a packet may be reported as ---- */

struct expected {
    uint16_t report;
    size_t len;
    uint8_t input[36];
    uint32_t published; /* the suite's hash of that input, 0 if the suite does not have it */
};

static const struct expected none = {.report = VIRTIO_NET_HASH_REPORT_NONE};

#define A4 0x42, 0x09, 0x95, 0xbb, 0xa1, 0x8e, 0x64, 0x50
#define B4 0xc7, 0x5c, 0x6f, 0x02, 0x41, 0x45, 0x8c, 0x53
#define A6 0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x1f, 0xff, 0, 0, 0, 0, 0, 0, 0, 0x07, \
           0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x00, 0x03, 0, 0, 0, 0, 0, 0, 0, 0x01
#define B6 0x3f, 0xfe, 0x05, 0x01, 0x00, 0x08, 0, 0, 0x02, 0x60, 0x97, 0xff, 0xfe, 0x40, 0xef, \
           0xab, 0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01
#define C6 0x3f, 0xfe, 0x19, 0x00, 0x45, 0x45, 0x00, 0x03, 0x02, 0x00, 0xf8, 0xff, 0xfe, 0x21, \
           0x67, 0xcf, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0x02, 0x00, 0xf8, 0xff, 0xfe, 0x21, 0x67, 0xcf

static const struct expected a4 = {VIRTIO_NET_HASH_REPORT_IPv4, 8, {A4}, 0x323e8fc2};
static const struct expected a4_tcp = {
    VIRTIO_NET_HASH_REPORT_TCPv4, 12, {A4, 0x0a, 0xea, 0x06, 0xe6}, 0x51ccc178};
static const struct expected a4_udp = {
    VIRTIO_NET_HASH_REPORT_UDPv4, 12, {A4, 0x0a, 0xea, 0x06, 0xe6}, 0x51ccc178};
static const struct expected a6 = {VIRTIO_NET_HASH_REPORT_IPv6, 32, {A6}, 0x2cc18cd5};
static const struct expected a6_ex = {VIRTIO_NET_HASH_REPORT_IPv6_EX, 32, {A6}, 0x2cc18cd5};
static const struct expected a6_tcp = {
    VIRTIO_NET_HASH_REPORT_TCPv6, 36, {A6, 0x0a, 0xea, 0x06, 0xe6}, 0x40207d3d};
static const struct expected a6_udp = {
    VIRTIO_NET_HASH_REPORT_UDPv6, 36, {A6, 0x0a, 0xea, 0x06, 0xe6}, 0x40207d3d};
static const struct expected a6_tcp_ex = {
    VIRTIO_NET_HASH_REPORT_TCPv6_EX, 36, {A6, 0x0a, 0xea, 0x06, 0xe6}, 0x40207d3d};
static const struct expected a6_udp_ex = {
    VIRTIO_NET_HASH_REPORT_UDPv6_EX, 36, {A6, 0x0a, 0xea, 0x06, 0xe6}, 0x40207d3d};
static const struct expected c6 = {VIRTIO_NET_HASH_REPORT_IPv6, 32, {C6}, 0x4b61e985};
static const struct expected c6_ports = {
    VIRTIO_NET_HASH_REPORT_TCPv6, 36, {C6, 0x0a, 0xea, 0x06, 0xe6}, 0};

/* The first pair and the third, crossed. */
static const struct expected a6_to_c6 = {
    VIRTIO_NET_HASH_REPORT_IPv6_EX, 32,
    {0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x1f, 0xff, 0, 0, 0, 0, 0, 0, 0, 0x07,
     0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0x02, 0x00, 0xf8, 0xff, 0xfe, 0x21, 0x67, 0xcf}, 0};
static const struct expected c6_to_a6 = {
    VIRTIO_NET_HASH_REPORT_IPv6_EX, 32,
    {0x3f, 0xfe, 0x19, 0x00, 0x45, 0x45, 0x00, 0x03, 0x02, 0x00, 0xf8, 0xff, 0xfe, 0x21, 0x67, 0xcf,
     0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x00, 0x03, 0, 0, 0, 0, 0, 0, 0, 0x01}, 0};

/* The outer headers: 199.92.111.2 to 65.69.140.83, or the second IPv6 pair of the suite. */
static const struct expected b4 = {VIRTIO_NET_HASH_REPORT_IPv4, 8, {B4}, 0xd718262a};
static const struct expected b4_4789 = {
    VIRTIO_NET_HASH_REPORT_UDPv4, 12, {B4, 0xc0, 0x01, 0x12, 0xb5}, 0};
static const struct expected b4_4790 = {
    VIRTIO_NET_HASH_REPORT_UDPv4, 12, {B4, 0xc0, 0x01, 0x12, 0xb6}, 0};
static const struct expected b4_6081 = {
    VIRTIO_NET_HASH_REPORT_UDPv4, 12, {B4, 0xc0, 0x01, 0x17, 0xc1}, 0};
static const struct expected b4_4754 = {
    VIRTIO_NET_HASH_REPORT_UDPv4, 12, {B4, 0xc0, 0x01, 0x12, 0x92}, 0};
static const struct expected b4_4755 = {
    VIRTIO_NET_HASH_REPORT_UDPv4, 12, {B4, 0xc0, 0x01, 0x12, 0x93}, 0};
static const struct expected b6_ex = {VIRTIO_NET_HASH_REPORT_IPv6_EX, 32, {B6}, 0x0f0c461c};
static const struct expected b6_4789 = {
    VIRTIO_NET_HASH_REPORT_UDPv6, 36, {B6, 0xc0, 0x01, 0x12, 0xb5}, 0};

/* ---- Frames ---- */

/* Ethernet, two tags, IPv4 and TCP between the first pair, six octets of padding. */
static const uint8_t plain4[] = {
    0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x88, 0xa8,
    0x00, 0x0a, 0x81, 0x00,
    0x00, 0x14, 0x08, 0x00,
    /* 22: IPv4, 40 octets, protocol 6 */
    0x45, 0x00, 0x00, 0x28, 0x00, 0x01, 0x00, 0x00, 0x40, 0x06, 0x00, 0x00,
    0x42, 0x09, 0x95, 0xbb, 0xa1, 0x8e, 0x64, 0x50,
    /* 42: TCP */
    0x0a, 0xea, 0x06, 0xe6, 0, 0, 0, 0x01, 0, 0, 0, 0x02, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0,
    /* 62: padding */
    0xee, 0xee, 0xee, 0xee, 0xee, 0xee,
};

/* The same with a third tag. */
static const uint8_t three_tags[] = {
    0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x88, 0xa8,
    0x00, 0x0a, 0x81, 0x00,
    0x00, 0x14, 0x81, 0x00,
    0x00, 0x1e, 0x08, 0x00,
    0x45, 0x00, 0x00, 0x28, 0x00, 0x01, 0x00, 0x00, 0x40, 0x06, 0x00, 0x00,
    0x42, 0x09, 0x95, 0xbb, 0xa1, 0x8e, 0x64, 0x50,
    0x0a, 0xea, 0x06, 0xe6, 0, 0, 0, 0x01, 0, 0, 0, 0x02, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0,
};

/* IPv6, an atomic fragment header, UDP with four octets of data. */
static const uint8_t atomic6[] = {
    0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x86, 0xdd,
    /* 14: IPv6, 20 octets of payload, next header 44 */
    0x60, 0x00, 0x00, 0x00, 0x00, 0x14, 0x2c, 0x40,
    0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x1f, 0xff, 0, 0, 0, 0, 0, 0, 0, 0x07,
    0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x00, 0x03, 0, 0, 0, 0, 0, 0, 0, 0x01,
    /* 54: fragment header, next header 17, offset 0, M clear */
    0x11, 0x00, 0x00, 0x00, 0x12, 0x34, 0x56, 0x78,
    /* 62: UDP */
    0x0a, 0xea, 0x06, 0xe6, 0x00, 0x0c, 0x00, 0x00,
    0xda, 0xda, 0xda, 0xda,
};

/* VXLAN over IPv4: IPv4 and TCP. */
static const uint8_t vxlan4[] = {
    0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00,
    /* 14: IPv4, 90 octets, protocol 17 */
    0x45, 0x00, 0x00, 0x5a, 0x00, 0x01, 0x00, 0x00, 0x40, 0x11, 0x00, 0x00,
    0xc7, 0x5c, 0x6f, 0x02, 0x41, 0x45, 0x8c, 0x53,
    /* 34: UDP to 4789 */
    0xc0, 0x01, 0x12, 0xb5, 0x00, 0x46, 0x00, 0x00,
    /* 42: VXLAN, I set, VNI 0x123456 */
    0x08, 0x00, 0x00, 0x00, 0x12, 0x34, 0x56, 0x00,
    /* 50: inner Ethernet */
    0x02, 0, 0, 0, 0, 0x0b, 0x02, 0, 0, 0, 0, 0x0a, 0x08, 0x00,
    /* 64: IPv4, 40 octets, protocol 6 */
    0x45, 0x00, 0x00, 0x28, 0x00, 0x01, 0x00, 0x00, 0x40, 0x06, 0x00, 0x00,
    0x42, 0x09, 0x95, 0xbb, 0xa1, 0x8e, 0x64, 0x50,
    /* 84: TCP */
    0x0a, 0xea, 0x06, 0xe6, 0, 0, 0, 0x01, 0, 0, 0, 0x02, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0,
};

/* VXLAN over IPv6, two tags outside and one inside: IPv6 and UDP. */
static const uint8_t vxlan6[] = {
    0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x88, 0xa8,
    0x00, 0x0a, 0x81, 0x00,
    0x00, 0x14, 0x86, 0xdd,
    /* 22: IPv6, 82 octets of payload, next header 17 */
    0x60, 0x00, 0x00, 0x00, 0x00, 0x52, 0x11, 0x40,
    0x3f, 0xfe, 0x05, 0x01, 0x00, 0x08, 0, 0, 0x02, 0x60, 0x97, 0xff, 0xfe, 0x40, 0xef, 0xab,
    0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01,
    /* 62: UDP to 4789 */
    0xc0, 0x01, 0x12, 0xb5, 0x00, 0x52, 0x00, 0x00,
    /* 70: VXLAN, every reserved bit of the flags set beside I */
    0xff, 0x00, 0x00, 0x00, 0x12, 0x34, 0x56, 0x00,
    /* 78: inner Ethernet, one tag */
    0x02, 0, 0, 0, 0, 0x0b, 0x02, 0, 0, 0, 0, 0x0a, 0x81, 0x00,
    0x00, 0x1e, 0x86, 0xdd,
    /* 96: IPv6, 8 octets of payload, next header 17 */
    0x60, 0x00, 0x00, 0x00, 0x00, 0x08, 0x11, 0x40,
    0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x1f, 0xff, 0, 0, 0, 0, 0, 0, 0, 0x07,
    0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x00, 0x03, 0, 0, 0, 0, 0, 0, 0, 0x01,
    /* 136: UDP */
    0x0a, 0xea, 0x06, 0xe6, 0x00, 0x08, 0x00, 0x00,
};

/* VXLAN over IPv4 with an ARP request inside. */
static const uint8_t vxlan_arp[] = {
    0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00,
    /* 14: IPv4, 78 octets, protocol 17 */
    0x45, 0x00, 0x00, 0x4e, 0x00, 0x01, 0x00, 0x00, 0x40, 0x11, 0x00, 0x00,
    0xc7, 0x5c, 0x6f, 0x02, 0x41, 0x45, 0x8c, 0x53,
    0xc0, 0x01, 0x12, 0xb5, 0x00, 0x3a, 0x00, 0x00,
    0x08, 0x00, 0x00, 0x00, 0x12, 0x34, 0x56, 0x00,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0, 0, 0, 0x0a, 0x08, 0x06,
    /* 64: ARP */
    0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01, 0x02, 0, 0, 0, 0, 0x0a, 0x42, 0x09, 0x95, 0xbb,
    0, 0, 0, 0, 0, 0, 0xa1, 0x8e, 0x64, 0x50,
};

/* Plain GRE over IPv4: IPv4 and UDP. */
static const uint8_t gre4[] = {
    0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00,
    /* 14: IPv4, 52 octets, protocol 47 */
    0x45, 0x00, 0x00, 0x34, 0x00, 0x01, 0x00, 0x00, 0x40, 0x2f, 0x00, 0x00,
    0xc7, 0x5c, 0x6f, 0x02, 0x41, 0x45, 0x8c, 0x53,
    /* 34: GRE */
    0x00, 0x00, 0x08, 0x00,
    /* 38: IPv4, 28 octets, protocol 17 */
    0x45, 0x00, 0x00, 0x1c, 0x00, 0x01, 0x00, 0x00, 0x40, 0x11, 0x00, 0x00,
    0x42, 0x09, 0x95, 0xbb, 0xa1, 0x8e, 0x64, 0x50,
    /* 58: UDP */
    0x0a, 0xea, 0x06, 0xe6, 0x00, 0x08, 0x00, 0x00,
};

/* GRE over IPv4 with a checksum only: IPv6 and TCP. */
static const uint8_t gre4_checksum[] = {
    0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00,
    /* 14: IPv4, 88 octets, protocol 47 */
    0x45, 0x00, 0x00, 0x58, 0x00, 0x01, 0x00, 0x00, 0x40, 0x2f, 0x00, 0x00,
    0xc7, 0x5c, 0x6f, 0x02, 0x41, 0x45, 0x8c, 0x53,
    /* 34: GRE, C: checksum and reserved */
    0x80, 0x00, 0x86, 0xdd, 0xbe, 0xef, 0x00, 0x00,
    /* 42: IPv6, 20 octets of payload, next header 6 */
    0x60, 0x00, 0x00, 0x00, 0x00, 0x14, 0x06, 0x40,
    0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x1f, 0xff, 0, 0, 0, 0, 0, 0, 0, 0x07,
    0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x00, 0x03, 0, 0, 0, 0, 0, 0, 0, 0x01,
    /* 82: TCP */
    0x0a, 0xea, 0x06, 0xe6, 0, 0, 0, 0x01, 0, 0, 0, 0x02, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0,
};

/* GRE over IPv4 with checksum, key and sequence number: IPv6 and TCP. */
static const uint8_t gre4_all[] = {
    0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00,
    /* 14: IPv4, 96 octets, protocol 47 */
    0x45, 0x00, 0x00, 0x60, 0x00, 0x01, 0x00, 0x00, 0x40, 0x2f, 0x00, 0x00,
    0xc7, 0x5c, 0x6f, 0x02, 0x41, 0x45, 0x8c, 0x53,
    /* 34: GRE, C, K and S: checksum and reserved, key, sequence number */
    0xb0, 0x00, 0x86, 0xdd, 0xbe, 0xef, 0x00, 0x00, 0x00, 0x00, 0x00, 0x2a, 0x00, 0x00, 0x00, 0x01,
    /* 50: IPv6, 20 octets of payload, next header 6 */
    0x60, 0x00, 0x00, 0x00, 0x00, 0x14, 0x06, 0x40,
    0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x1f, 0xff, 0, 0, 0, 0, 0, 0, 0, 0x07,
    0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x00, 0x03, 0, 0, 0, 0, 0, 0, 0, 0x01,
    /* 90: TCP */
    0x0a, 0xea, 0x06, 0xe6, 0, 0, 0, 0x01, 0, 0, 0, 0x02, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0,
};

/* NVGRE over IPv4: Ethernet, IPv4 and TCP. */
static const uint8_t nvgre4[] = {
    0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00,
    /* 14: IPv4, 82 octets, protocol 47 */
    0x45, 0x00, 0x00, 0x52, 0x00, 0x01, 0x00, 0x00, 0x40, 0x2f, 0x00, 0x00,
    0xc7, 0x5c, 0x6f, 0x02, 0x41, 0x45, 0x8c, 0x53,
    /* 34: GRE, K: VSID 0x123456, FlowID 0x78 */
    0x20, 0x00, 0x65, 0x58, 0x12, 0x34, 0x56, 0x78,
    /* 42: inner Ethernet */
    0x02, 0, 0, 0, 0, 0x0b, 0x02, 0, 0, 0, 0, 0x0a, 0x08, 0x00,
    /* 56: IPv4, 40 octets, protocol 6 */
    0x45, 0x00, 0x00, 0x28, 0x00, 0x01, 0x00, 0x00, 0x40, 0x06, 0x00, 0x00,
    0x42, 0x09, 0x95, 0xbb, 0xa1, 0x8e, 0x64, 0x50,
    /* 76: TCP */
    0x0a, 0xea, 0x06, 0xe6, 0, 0, 0, 0x01, 0, 0, 0, 0x02, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0,
};

/* Plain GRE over IPv6 as Linux sends it, behind a tunnel encapsulation limit: IPv4 and ICMP. */
static const uint8_t gre6[] = {
    0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x86, 0xdd,
    /* 14: IPv6, 40 octets of payload, next header 60 */
    0x60, 0x00, 0x00, 0x00, 0x00, 0x28, 0x3c, 0x40,
    0x3f, 0xfe, 0x05, 0x01, 0x00, 0x08, 0, 0, 0x02, 0x60, 0x97, 0xff, 0xfe, 0x40, 0xef, 0xab,
    0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01,
    /* 54: destination options, next header 47: option 4 of one octet, PadN */
    0x2f, 0x00, 0x04, 0x01, 0x04, 0x01, 0x01, 0x00,
    /* 62: GRE */
    0x00, 0x00, 0x08, 0x00,
    /* 66: IPv4, 28 octets, protocol 1 */
    0x45, 0x00, 0x00, 0x1c, 0x00, 0x01, 0x00, 0x00, 0x40, 0x01, 0x00, 0x00,
    0x42, 0x09, 0x95, 0xbb, 0xa1, 0x8e, 0x64, 0x50,
    /* 86: ICMP echo */
    0x08, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x01,
};

/* GRE over IPv4 around IPIP: only the first is opened. */
static const uint8_t gre4_nested[] = {
    0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00,
    /* 14: IPv4, 64 octets, protocol 47 */
    0x45, 0x00, 0x00, 0x40, 0x00, 0x01, 0x00, 0x00, 0x40, 0x2f, 0x00, 0x00,
    0xc7, 0x5c, 0x6f, 0x02, 0x41, 0x45, 0x8c, 0x53,
    /* 34: GRE */
    0x00, 0x00, 0x08, 0x00,
    /* 38: IPv4, 40 octets, protocol 4 */
    0x45, 0x00, 0x00, 0x28, 0x00, 0x01, 0x00, 0x00, 0x40, 0x04, 0x00, 0x00,
    0x42, 0x09, 0x95, 0xbb, 0xa1, 0x8e, 0x64, 0x50,
    /* 58: IPv4, 20 octets, protocol 59 */
    0x45, 0x00, 0x00, 0x14, 0x00, 0x01, 0x00, 0x00, 0x40, 0x3b, 0x00, 0x00,
    0x18, 0x13, 0xc6, 0x5f, 0x0c, 0x16, 0xcf, 0xb8,
};

/*
 * GRE over IPv4: IPv6 between the third pair with the first pair as routing and home address, TCP
 * with the ports of the first pair.
 */
static const uint8_t gre4_mobile[] = {
    0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00,
    /* 14: IPv4, 132 octets, protocol 47 */
    0x45, 0x00, 0x00, 0x84, 0x00, 0x01, 0x00, 0x00, 0x40, 0x2f, 0x00, 0x00,
    0xc7, 0x5c, 0x6f, 0x02, 0x41, 0x45, 0x8c, 0x53,
    /* 34: GRE */
    0x00, 0x00, 0x86, 0xdd,
    /* 38: IPv6, 68 octets of payload, next header 43 */
    0x60, 0x00, 0x00, 0x00, 0x00, 0x44, 0x2b, 0x40,
    0x3f, 0xfe, 0x19, 0x00, 0x45, 0x45, 0x00, 0x03, 0x02, 0x00, 0xf8, 0xff, 0xfe, 0x21, 0x67, 0xcf,
    0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0x02, 0x00, 0xf8, 0xff, 0xfe, 0x21, 0x67, 0xcf,
    /* 78: routing header, next header 60, type 2, one segment left */
    0x3c, 0x02, 0x02, 0x01, 0x00, 0x00, 0x00, 0x00,
    0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x00, 0x03, 0, 0, 0, 0, 0, 0, 0, 0x01,
    /* 102: destination options, next header 6: PadN of one octet, Pad1, home address */
    0x06, 0x02, 0x01, 0x01, 0x00, 0x00, 0xc9, 0x10,
    0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x1f, 0xff, 0, 0, 0, 0, 0, 0, 0, 0x07,
    /* 126: TCP */
    0x0a, 0xea, 0x06, 0xe6, 0, 0, 0, 0x01, 0, 0, 0, 0x02, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0,
};

/* IPv4 in IPv4: IPv4 and TCP. */
static const uint8_t ipip[] = {
    0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00,
    /* 14: IPv4, 60 octets, protocol 4 */
    0x45, 0x00, 0x00, 0x3c, 0x00, 0x01, 0x00, 0x00, 0x40, 0x04, 0x00, 0x00,
    0xc7, 0x5c, 0x6f, 0x02, 0x41, 0x45, 0x8c, 0x53,
    /* 34: IPv4, 40 octets, protocol 6 */
    0x45, 0x00, 0x00, 0x28, 0x00, 0x01, 0x00, 0x00, 0x40, 0x06, 0x00, 0x00,
    0x42, 0x09, 0x95, 0xbb, 0xa1, 0x8e, 0x64, 0x50,
    /* 54: TCP */
    0x0a, 0xea, 0x06, 0xe6, 0, 0, 0, 0x01, 0, 0, 0, 0x02, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0,
};

/* IPv6 in IPv4, which is not IPIP: IPv6 and TCP. */
static const uint8_t six_in_four[] = {
    0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00,
    /* 14: IPv4, 80 octets, protocol 41 */
    0x45, 0x00, 0x00, 0x50, 0x00, 0x01, 0x00, 0x00, 0x40, 0x29, 0x00, 0x00,
    0xc7, 0x5c, 0x6f, 0x02, 0x41, 0x45, 0x8c, 0x53,
    /* 34: IPv6, 20 octets of payload, next header 6 */
    0x60, 0x00, 0x00, 0x00, 0x00, 0x14, 0x06, 0x40,
    0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x1f, 0xff, 0, 0, 0, 0, 0, 0, 0, 0x07,
    0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x00, 0x03, 0, 0, 0, 0, 0, 0, 0, 0x01,
    /* 74: TCP */
    0x0a, 0xea, 0x06, 0xe6, 0, 0, 0, 0x01, 0, 0, 0, 0x02, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0,
};

/* VXLAN-GPE over IPv4, next protocol 2: IPv6 and TCP. */
static const uint8_t gpe4[] = {
    0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00,
    /* 14: IPv4, 96 octets, protocol 17 */
    0x45, 0x00, 0x00, 0x60, 0x00, 0x01, 0x00, 0x00, 0x40, 0x11, 0x00, 0x00,
    0xc7, 0x5c, 0x6f, 0x02, 0x41, 0x45, 0x8c, 0x53,
    /* 34: UDP to 4790 */
    0xc0, 0x01, 0x12, 0xb6, 0x00, 0x4c, 0x00, 0x00,
    /* 42: VXLAN-GPE, I and P set, next protocol 2 */
    0x0c, 0x00, 0x00, 0x02, 0x12, 0x34, 0x56, 0x00,
    /* 50: IPv6, 20 octets of payload, next header 6 */
    0x60, 0x00, 0x00, 0x00, 0x00, 0x14, 0x06, 0x40,
    0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x1f, 0xff, 0, 0, 0, 0, 0, 0, 0, 0x07,
    0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x00, 0x03, 0, 0, 0, 0, 0, 0, 0, 0x01,
    /* 90: TCP */
    0x0a, 0xea, 0x06, 0xe6, 0, 0, 0, 0x01, 0, 0, 0, 0x02, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0,
};

/* GENEVE over IPv4, two words of options, protocol type IPv4: IPv4 and UDP. */
static const uint8_t geneve4[] = {
    0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00,
    /* 14: IPv4, 72 octets, protocol 17 */
    0x45, 0x00, 0x00, 0x48, 0x00, 0x01, 0x00, 0x00, 0x40, 0x11, 0x00, 0x00,
    0xc7, 0x5c, 0x6f, 0x02, 0x41, 0x45, 0x8c, 0x53,
    /* 34: UDP to 6081 */
    0xc0, 0x01, 0x17, 0xc1, 0x00, 0x34, 0x00, 0x00,
    /* 42: GENEVE, one option of four octets */
    0x02, 0x00, 0x08, 0x00, 0x12, 0x34, 0x56, 0x00, 0x01, 0x02, 0x80, 0x01, 0xaa, 0xbb, 0xcc, 0xdd,
    /* 58: IPv4, 28 octets, protocol 17 */
    0x45, 0x00, 0x00, 0x1c, 0x00, 0x01, 0x00, 0x00, 0x40, 0x11, 0x00, 0x00,
    0x42, 0x09, 0x95, 0xbb, 0xa1, 0x8e, 0x64, 0x50,
    /* 78: UDP */
    0x0a, 0xea, 0x06, 0xe6, 0x00, 0x08, 0x00, 0x00,
};

/* GRE in UDP over IPv4: IPv4 and UDP. */
static const uint8_t gre_udp4[] = {
    0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00,
    /* 14: IPv4, 60 octets, protocol 17 */
    0x45, 0x00, 0x00, 0x3c, 0x00, 0x01, 0x00, 0x00, 0x40, 0x11, 0x00, 0x00,
    0xc7, 0x5c, 0x6f, 0x02, 0x41, 0x45, 0x8c, 0x53,
    /* 34: UDP to 4754 */
    0xc0, 0x01, 0x12, 0x92, 0x00, 0x28, 0x00, 0x00,
    /* 42: GRE */
    0x00, 0x00, 0x08, 0x00,
    /* 46: IPv4, 28 octets, protocol 17 */
    0x45, 0x00, 0x00, 0x1c, 0x00, 0x01, 0x00, 0x00, 0x40, 0x11, 0x00, 0x00,
    0x42, 0x09, 0x95, 0xbb, 0xa1, 0x8e, 0x64, 0x50,
    /* 66: UDP */
    0x0a, 0xea, 0x06, 0xe6, 0x00, 0x08, 0x00, 0x00,
};

/* clang-format on */

#define FRAME(array)      .frame = (array), .len = sizeof(array)
#define PATCH(offset, to) .patch_at = (offset), .patch_to = (to)

static const struct {
    const uint8_t *octets;
    size_t len;
} frames[] = {
    {plain4, sizeof(plain4)},
    {three_tags, sizeof(three_tags)},
    {atomic6, sizeof(atomic6)},
    {vxlan4, sizeof(vxlan4)},
    {vxlan6, sizeof(vxlan6)},
    {vxlan_arp, sizeof(vxlan_arp)},
    {gre4, sizeof(gre4)},
    {gre4_checksum, sizeof(gre4_checksum)},
    {gre4_all, sizeof(gre4_all)},
    {nvgre4, sizeof(nvgre4)},
    {gre6, sizeof(gre6)},
    {gre4_nested, sizeof(gre4_nested)},
    {gre4_mobile, sizeof(gre4_mobile)},
    {ipip, sizeof(ipip)},
    {six_in_four, sizeof(six_in_four)},
    {gpe4, sizeof(gpe4)},
    {geneve4, sizeof(geneve4)},
    {gre_udp4, sizeof(gre_udp4)},
};

/* ---- Tunnels: which types of each dialect send a frame to its inner header ---- */

struct tunnel_case {
    const char *name;
    const uint8_t *frame;
    size_t len;
    size_t patch_at; /* this octet is changed first, if not 0 */
    uint8_t patch_to;
    uint32_t v7; /* the types that the frame is of */
    uint32_t v10;
    uint32_t ratified;
    uint8_t v7_report;
    const struct expected *outer;
    const struct expected *inner;
};

static const struct tunnel_case tunnel_cases[] = {
    {.name = "vxlan/ipv4",
     FRAME(vxlan4),
     .v7 = VIRTIO_NET_HASH_TYPE_VXLAN_INNER,
     .v10 = VIRTIO_NET_HASH_TUNNEL_V10_VXLAN,
     .ratified = VIRTIO_NET_HASH_TUNNEL_TYPE_VXLAN,
     .v7_report = VIRTIO_NET_HASH_REPORT_VXLAN,
     .outer = &b4_4789,
     .inner = &a4_tcp},
    {.name = "vxlan/ipv6-tagged",
     FRAME(vxlan6),
     .v7 = VIRTIO_NET_HASH_TYPE_VXLAN_INNER,
     .v10 = VIRTIO_NET_HASH_TUNNEL_V10_VXLAN,
     .ratified = VIRTIO_NET_HASH_TUNNEL_TYPE_VXLAN,
     .v7_report = VIRTIO_NET_HASH_REPORT_VXLAN,
     .outer = &b6_4789,
     .inner = &a6_udp},
    {.name = "vxlan/i-clear", FRAME(vxlan4), PATCH(42, 0xf7), .outer = &b4_4789},
    {.name = "vxlan/arp",
     FRAME(vxlan_arp),
     .v7 = VIRTIO_NET_HASH_TYPE_VXLAN_INNER,
     .v10 = VIRTIO_NET_HASH_TUNNEL_V10_VXLAN,
     .ratified = VIRTIO_NET_HASH_TUNNEL_TYPE_VXLAN,
     .outer = &b4_4789,
     .inner = &none},
    /* The outer total length ends the packet inside the inner IPv4 header. */
    {.name = "vxlan/inner-cut",
     FRAME(vxlan4),
     PATCH(17, 20 + 8 + 8 + 14 + 19),
     .v7 = VIRTIO_NET_HASH_TYPE_VXLAN_INNER,
     .v10 = VIRTIO_NET_HASH_TUNNEL_V10_VXLAN,
     .ratified = VIRTIO_NET_HASH_TUNNEL_TYPE_VXLAN,
     .outer = &b4_4789,
     .inner = &none},
    /* The same inside the VXLAN header, which leaves no tunnel to recognise. */
    {.name = "vxlan/cut", FRAME(vxlan4), PATCH(17, 20 + 8 + 7), .outer = &b4_4789},
    {.name = "gre/ipv4",
     FRAME(gre4),
     .v7 = VIRTIO_NET_HASH_TYPE_GRE_INNER,
     .v10 = VIRTIO_NET_HASH_TUNNEL_V10_GRE,
     .ratified = VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_2784,
     .v7_report = VIRTIO_NET_HASH_REPORT_GRE,
     .outer = &b4,
     .inner = &a4_udp},
    {.name = "gre/checksum",
     FRAME(gre4_checksum),
     .v7 = VIRTIO_NET_HASH_TYPE_GRE_INNER,
     .v10 = VIRTIO_NET_HASH_TUNNEL_V10_GRE,
     .ratified = VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_2784 | VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_7676,
     .v7_report = VIRTIO_NET_HASH_REPORT_GRE,
     .outer = &b4,
     .inner = &a6_tcp},
    {.name = "gre/checksum-key-sequence",
     FRAME(gre4_all),
     .v7 = VIRTIO_NET_HASH_TYPE_GRE_INNER,
     .v10 = VIRTIO_NET_HASH_TUNNEL_V10_GRE,
     .ratified = VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_2890 | VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_7676,
     .v7_report = VIRTIO_NET_HASH_REPORT_GRE,
     .outer = &b4,
     .inner = &a6_tcp},
    {.name = "gre/nvgre",
     FRAME(nvgre4),
     .v7 = VIRTIO_NET_HASH_TYPE_GRE_INNER,
     .v10 = VIRTIO_NET_HASH_TUNNEL_V10_GRE | VIRTIO_NET_HASH_TUNNEL_V10_NVGRE,
     .ratified = VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_2890 | VIRTIO_NET_HASH_TUNNEL_TYPE_NVGRE,
     .v7_report = VIRTIO_NET_HASH_REPORT_GRE,
     .outer = &b4,
     .inner = &a4_tcp},
    /* With a checksum as well it is not NVGRE, and the inner Ethernet starts four octets later. */
    {.name = "gre/nvgre-checksum",
     FRAME(nvgre4),
     PATCH(34, 0xa0),
     .v7 = VIRTIO_NET_HASH_TYPE_GRE_INNER,
     .v10 = VIRTIO_NET_HASH_TUNNEL_V10_GRE,
     .ratified = VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_2890,
     .outer = &b4,
     .inner = &none},
    {.name = "gre/ipv6-encapsulation-limit",
     FRAME(gre6),
     .v7 = VIRTIO_NET_HASH_TYPE_GRE_INNER,
     .v10 = VIRTIO_NET_HASH_TUNNEL_V10_GRE,
     .ratified = VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_7676,
     .v7_report = VIRTIO_NET_HASH_REPORT_GRE,
     .outer = &b6_ex,
     .inner = &a4},
    {.name = "gre/nested",
     FRAME(gre4_nested),
     .v7 = VIRTIO_NET_HASH_TYPE_GRE_INNER,
     .v10 = VIRTIO_NET_HASH_TUNNEL_V10_GRE,
     .ratified = VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_2784,
     .v7_report = VIRTIO_NET_HASH_REPORT_GRE,
     .outer = &b4,
     .inner = &a4},
    {.name = "gre/mobile-inner",
     FRAME(gre4_mobile),
     .v7 = VIRTIO_NET_HASH_TYPE_GRE_INNER,
     .v10 = VIRTIO_NET_HASH_TUNNEL_V10_GRE,
     .ratified = VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_2784 | VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_7676,
     .v7_report = VIRTIO_NET_HASH_REPORT_GRE,
     .outer = &b4,
     .inner = &a6_tcp_ex},
    {.name = "gre/do-not-fragment",
     FRAME(gre4),
     PATCH(20, 0x40),
     .v7 = VIRTIO_NET_HASH_TYPE_GRE_INNER,
     .v10 = VIRTIO_NET_HASH_TUNNEL_V10_GRE,
     .ratified = VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_2784,
     .v7_report = VIRTIO_NET_HASH_REPORT_GRE,
     .outer = &b4,
     .inner = &a4_udp},
    {.name = "gre/reserved-bit-6",
     FRAME(gre4),
     PATCH(34, 0x02),
     .v7 = VIRTIO_NET_HASH_TYPE_GRE_INNER,
     .v10 = VIRTIO_NET_HASH_TUNNEL_V10_GRE,
     .ratified = VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_2784,
     .v7_report = VIRTIO_NET_HASH_REPORT_GRE,
     .outer = &b4,
     .inner = &a4_udp},
    /* The version nibble of the payload does not agree with the protocol type. */
    {.name = "gre/other-version-inside",
     FRAME(gre4),
     PATCH(38, 0x65),
     .v7 = VIRTIO_NET_HASH_TYPE_GRE_INNER,
     .v10 = VIRTIO_NET_HASH_TUNNEL_V10_GRE,
     .ratified = VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_2784,
     .outer = &b4,
     .inner = &none},
    {.name = "gre/first-fragment", FRAME(gre4), PATCH(20, 0x20), .outer = &b4},
    {.name = "gre/last-fragment", FRAME(gre4), PATCH(21, 0x01), .outer = &b4},
    {.name = "gre/routing-bit", FRAME(gre4), PATCH(34, 0x40), .outer = &b4},
    {.name = "gre/bit-4", FRAME(gre4), PATCH(34, 0x08), .outer = &b4},
    {.name = "gre/bit-5", FRAME(gre4), PATCH(34, 0x04), .outer = &b4},
    {.name = "gre/version-1", FRAME(gre4), PATCH(35, 0x01), .outer = &b4},
    /* The last of the four words that are announced is one octet short. */
    {.name = "gre/word-missing", FRAME(gre4_all), PATCH(17, 20 + 15), .outer = &b4},
    {.name = "ipip/ipv4",
     FRAME(ipip),
     .v10 = VIRTIO_NET_HASH_TUNNEL_V10_IPIP,
     .ratified = VIRTIO_NET_HASH_TUNNEL_TYPE_IPIP,
     .outer = &b4,
     .inner = &a4_tcp},
    /* Recognised always, so with nothing inside there is no hash. */
    {.name = "ipip/empty",
     FRAME(ipip),
     PATCH(17, 20),
     .v10 = VIRTIO_NET_HASH_TUNNEL_V10_IPIP,
     .ratified = VIRTIO_NET_HASH_TUNNEL_TYPE_IPIP,
     .outer = &b4,
     .inner = &none},
    {.name = "ipip/six-in-four", FRAME(six_in_four), .outer = &b4},
    {.name = "vxlan-gpe/ipv6",
     FRAME(gpe4),
     .ratified = VIRTIO_NET_HASH_TUNNEL_TYPE_VXLAN_GPE,
     .outer = &b4_4790,
     .inner = &a6_tcp},
    {.name = "vxlan-gpe/nsh",
     FRAME(gpe4),
     PATCH(45, 0x04),
     .ratified = VIRTIO_NET_HASH_TUNNEL_TYPE_VXLAN_GPE,
     .outer = &b4_4790,
     .inner = &none},
    /* Without P the payload is Ethernet, and the octets there are no Ethernet with IP inside. */
    {.name = "vxlan-gpe/p-clear",
     FRAME(gpe4),
     PATCH(42, 0x08),
     .ratified = VIRTIO_NET_HASH_TUNNEL_TYPE_VXLAN_GPE,
     .outer = &b4_4790,
     .inner = &none},
    {.name = "vxlan-gpe/version-1", FRAME(gpe4), PATCH(42, 0x1c), .outer = &b4_4790},
    {.name = "geneve/options",
     FRAME(geneve4),
     .v7 = VIRTIO_NET_HASH_TYPE_GENEVE_INNER,
     .v10 = VIRTIO_NET_HASH_TUNNEL_V10_GENEVE,
     .ratified = VIRTIO_NET_HASH_TUNNEL_TYPE_GENEVE,
     .v7_report = VIRTIO_NET_HASH_REPORT_GENEVE,
     .outer = &b4_6081,
     .inner = &a4_udp},
    {.name = "geneve/options-beyond", FRAME(geneve4), PATCH(42, 0x3f), .outer = &b4_6081},
    {.name = "geneve/version-1", FRAME(geneve4), PATCH(42, 0x42), .outer = &b4_6081},
    {.name = "gre-udp/ipv4",
     FRAME(gre_udp4),
     .ratified = VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_UDP,
     .outer = &b4_4754,
     .inner = &a4_udp},
    {.name = "gre-udp/dtls", FRAME(gre_udp4), PATCH(37, 0x93), .outer = &b4_4755},
};

/* ---- Single packets: which hash type is used ---- */

struct packet_case {
    const char *name;
    const uint8_t *frame;
    size_t len;
    size_t patch_at;
    uint8_t patch_to;
    enum reference_dialect dialect;
    uint32_t hash_types;
    uint32_t tunnel_types;
    uint8_t tunnel;
    const struct expected *expected;
};

#define TYPE(name) VIRTIO_NET_HASH_TYPE_##name

static const struct packet_case packet_cases[] = {
    {"ipv4/tcp", FRAME(plain4), .hash_types = ALL_HASH_TYPES, .expected = &a4_tcp},
    {"ipv4/tcp-not-enabled", FRAME(plain4), .hash_types = TYPE(IPv4) | TYPE(UDPv4),
     .expected = &a4},
    {"ipv4/nothing-enabled", FRAME(plain4),
     .hash_types = ALL_HASH_TYPES & ~(TYPE(IPv4) | TYPE(TCPv4)), .expected = &none},
    {"ipv4/three-tags", FRAME(three_tags), .hash_types = ALL_HASH_TYPES, .expected = &none},
    {"ipv4/one-tag-unknown", FRAME(plain4), PATCH(13, 0xa9), .hash_types = ALL_HASH_TYPES,
     .expected = &none},
    /* The padding is not TCP's. */
    {"ipv4/tcp-short", FRAME(plain4), PATCH(25, 39), .hash_types = ALL_HASH_TYPES, .expected = &a4},
    {"ipv4/length-0", FRAME(plain4), PATCH(25, 0), .hash_types = ALL_HASH_TYPES,
     .expected = &a4_tcp},
    {"ipv4/length-19", FRAME(plain4), PATCH(25, 19), .hash_types = ALL_HASH_TYPES, .expected = &a4},
    {"ipv4/length-beyond", FRAME(plain4), PATCH(24, 0xff), .hash_types = ALL_HASH_TYPES,
     .expected = &a4_tcp},
    {"ipv4/ihl-4", FRAME(plain4), PATCH(22, 0x44), .hash_types = ALL_HASH_TYPES, .expected = &none},
    {"ipv4/ihl-15", FRAME(plain4), PATCH(22, 0x4f), .hash_types = ALL_HASH_TYPES,
     .expected = &none},
    {"ipv4/version-6", FRAME(plain4), PATCH(22, 0x65), .hash_types = ALL_HASH_TYPES,
     .expected = &none},
    {"ipv4/fragment", FRAME(plain4), PATCH(28, 0x20), .hash_types = ALL_HASH_TYPES,
     .expected = &a4},
    {"ipv6/atomic", FRAME(atomic6), .hash_types = ALL_HASH_TYPES, .expected = &a6_udp_ex},
    {"ipv6/atomic-plain", FRAME(atomic6), .hash_types = TYPE(IPv6) | TYPE(UDPv6) | TYPE(TCP_EX),
     .expected = &a6_udp},
    /* IP_EX comes before UDPv6 for a packet with an extension header. */
    {"ipv6/ip-ex-before-udp", FRAME(atomic6), .hash_types = TYPE(IPv6) | TYPE(UDPv6) | TYPE(IP_EX),
     .expected = &a6_ex},
    {"ipv6/first-fragment", FRAME(atomic6), PATCH(57, 0x01), .hash_types = ALL_HASH_TYPES,
     .expected = &a6_ex},
    {"ipv6/last-fragment-plain", FRAME(atomic6), PATCH(57, 0x08),
     .hash_types = ALL_HASH_TYPES & ~TYPE(IP_EX), .expected = &a6},
    {"ipv6/fragment-reserved-bits", FRAME(atomic6), PATCH(57, 0x06), .hash_types = ALL_HASH_TYPES,
     .expected = &a6_udp_ex},
    /* The UDP header read as hop-by-hop options has a length of 235 units. */
    {"ipv6/extension-truncated", FRAME(atomic6), PATCH(54, 0x00), .hash_types = ALL_HASH_TYPES,
     .expected = &a6_ex},
    {"ipv6/esp", FRAME(atomic6), PATCH(20, 50), .hash_types = ALL_HASH_TYPES, .expected = &a6},
    /* The fragment header read as AH: length 0 is 8 octets. */
    {"ipv6/ah", FRAME(atomic6), PATCH(20, 51), .hash_types = ALL_HASH_TYPES,
     .expected = &a6_udp_ex},
    {"ipv6/length-0", FRAME(atomic6), PATCH(19, 0), .hash_types = ALL_HASH_TYPES,
     .expected = &a6_udp_ex},
    {"ipv6/udp-short", FRAME(atomic6), PATCH(19, 15), .hash_types = ALL_HASH_TYPES,
     .expected = &a6_ex},
    {"mobile/addresses", FRAME(gre4_mobile), .dialect = REFERENCE_RATIFIED,
     .hash_types = TYPE(IP_EX) | TYPE(TCPv6), .tunnel_types = VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_7676,
     .expected = &a6_ex},
    {"mobile/no-segment-left", FRAME(gre4_mobile), PATCH(81, 0), .dialect = REFERENCE_RATIFIED,
     .hash_types = TYPE(IP_EX), .tunnel_types = VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_7676,
     .expected = &a6_to_c6},
    {"mobile/routing-type-0", FRAME(gre4_mobile), PATCH(80, 0), .dialect = REFERENCE_RATIFIED,
     .hash_types = TYPE(IP_EX), .tunnel_types = VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_7676,
     .expected = &a6_to_c6},
    {"mobile/home-address-length-15", FRAME(gre4_mobile), PATCH(109, 15),
     .dialect = REFERENCE_RATIFIED, .hash_types = TYPE(IP_EX),
     .tunnel_types = VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_7676, .expected = &c6_to_a6},
    /* The destination options reach past the payload: their home address does not count. */
    {"mobile/options-truncated", FRAME(gre4_mobile), PATCH(103, 6), .dialect = REFERENCE_RATIFIED,
     .hash_types = ALL_HASH_TYPES, .tunnel_types = VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_7676,
     .expected = &c6_to_a6},
    /* The plain types are over the addresses of the fixed header. */
    {"mobile/plain-ports", FRAME(gre4_mobile), .dialect = REFERENCE_RATIFIED,
     .hash_types = TYPE(IPv6) | TYPE(TCPv6), .tunnel_types = VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_7676,
     .expected = &c6_ports},
    {"mobile/plain-addresses", FRAME(gre4_mobile), .dialect = REFERENCE_RATIFIED,
     .hash_types = TYPE(IPv6), .tunnel_types = VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_7676,
     .expected = &c6},
    {"tunnel/inner-addresses", FRAME(vxlan4), .dialect = REFERENCE_DRAFT_V7,
     .hash_types = TYPE(IPv4) | TYPE(VXLAN_INNER), .tunnel = VIRTIO_NET_HASH_REPORT_VXLAN,
     .expected = &a4},
    /* The inner header is used, and no type fits it; the outer one would have had UDPv4. */
    {"tunnel/inner-not-enabled", FRAME(vxlan4), .dialect = REFERENCE_DRAFT_V7,
     .hash_types = TYPE(UDPv4) | TYPE(VXLAN_INNER), .expected = &none},
    {"tunnel/outer-addresses", FRAME(vxlan4), .dialect = REFERENCE_DRAFT_V7,
     .hash_types = TYPE(IPv4) | TYPE(GRE_INNER), .expected = &b4},
    {"tunnel/v10-none-beside-others", FRAME(vxlan4), .dialect = REFERENCE_DRAFT_V10,
     .hash_types = ALL_HASH_TYPES,
     .tunnel_types = VIRTIO_NET_HASH_TUNNEL_V10_NONE | VIRTIO_NET_HASH_TUNNEL_V10_VXLAN,
     .expected = &a4_tcp},
    {"tunnel/v10-zero", FRAME(vxlan4), .dialect = REFERENCE_DRAFT_V10, .hash_types = ALL_HASH_TYPES,
     .expected = &b4_4789},
};

/* ---- Checks ---- */

/* In memory of exactly its size, for a sanitizer to see what is read beyond it. */
static uint8_t *exact_copy(const uint8_t *octets, size_t len)
{
    uint8_t *copy = g_malloc(len);

    if (len > 0) {
        memcpy(copy, octets, len);
    }
    return copy;
}

static uint8_t *patched_copy(const uint8_t *octets, size_t len, size_t at, uint8_t to)
{
    uint8_t *copy = exact_copy(octets, len);

    if (at != 0) {
        g_assert_cmpuint(at, <, len);
        g_assert_cmphex(copy[at], !=, to);
        copy[at] = to;
    }
    return copy;
}

static void assert_result(const struct reference_result *result, const struct expected *expected,
                          uint8_t tunnel)
{
    uint32_t hash = reference_toeplitz(key, sizeof(key), expected->input, expected->len);

    g_assert_cmpuint(result->report, ==, expected->report);
    g_assert_cmpuint(result->input_len, ==, expected->len);
    for (size_t i = 0; i < expected->len; i++) {
        g_assert_cmphex(result->input[i], ==, expected->input[i]);
    }
    g_assert_cmphex(result->hash, ==, hash);
    if (expected->published != 0) {
        g_assert_cmphex(result->hash, ==, expected->published);
    }
    g_assert_cmpuint(result->tunnel, ==, tunnel);
}

static void test_suite(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(suite); i++) {
        const struct suite_row *row = &suite[i];
        size_t both = row->addresses + 4;

        g_assert_cmphex(reference_toeplitz(key, sizeof(key), row->input, row->addresses), ==,
                        row->by_addresses);
        g_assert_cmphex(reference_toeplitz(key, sizeof(key), row->input, both), ==,
                        row->with_ports);
        g_assert_cmphex(reference_toeplitz_shift(key, sizeof(key), row->input, row->addresses), ==,
                        row->by_addresses);
        g_assert_cmphex(reference_toeplitz_shift(key, sizeof(key), row->input, both), ==,
                        row->with_ports);
    }
}

static void test_short_key(void)
{
    static const uint8_t first_bit[] = {0x80};
    static const uint8_t bits_0_and_31[] = {0x80, 0x00, 0x00, 0x01};
    static const uint8_t one[] = {0xa5};

    /* Bit i of the input selects key bits i to i + 31. */
    g_assert_cmphex(reference_toeplitz(key, sizeof(key), first_bit, 1), ==, 0x6d5a56da);
    g_assert_cmphex(reference_toeplitz(one, 1, first_bit, 1), ==, 0xa5000000);
    g_assert_cmphex(reference_toeplitz(one, 1, bits_0_and_31, 4), ==, 0xa5000000);
    g_assert_cmphex(reference_toeplitz(one, 0, bits_0_and_31, 4), ==, 0);
    g_assert_cmphex(reference_toeplitz(key, sizeof(key), first_bit, 0), ==, 0);
    /* Input bit 5 takes the key from bit 5 on: what is left of 10100101 is 101, then zeros. */
    g_assert_cmphex(reference_toeplitz(one, 1, (const uint8_t[]){0x04}, 1), ==, 0xa0000000);
}

static void test_toeplitz_agree(void)
{
    uint8_t any_key[60], input[48];

    for (int round = 0; round < 2000; round++) {
        size_t key_len = (size_t)g_test_rand_int_range(0, (gint32)sizeof(any_key) + 1);
        size_t input_len = (size_t)g_test_rand_int_range(0, (gint32)sizeof(input) + 1);

        for (size_t i = 0; i < sizeof(any_key); i++) {
            any_key[i] = (uint8_t)g_test_rand_int_range(0, 256);
        }
        for (size_t i = 0; i < sizeof(input); i++) {
            input[i] = (uint8_t)g_test_rand_int_range(0, 256);
        }
        g_assert_cmphex(reference_toeplitz(any_key, key_len, input, input_len), ==,
                        reference_toeplitz_shift(any_key, key_len, input, input_len));
    }
}

static void check_tunnel(const uint8_t *frame, const struct tunnel_case *test,
                         enum reference_dialect dialect, uint32_t tunnel_types, uint32_t matching)
{
    gboolean inner = (tunnel_types & matching) != 0;
    gboolean v7 = dialect == REFERENCE_DRAFT_V7;
    struct reference_result result;

    g_test_message("dialect %d, tunnel types 0x%x", (int)dialect, (unsigned)tunnel_types);
    /* Where draft v7 does not look, everything is set. */
    reference_hash(frame, test->len, dialect, ALL_HASH_TYPES | (v7 ? tunnel_types : 0),
                   v7 ? UINT32_MAX : tunnel_types, key, sizeof(key), &result);
    assert_result(&result, inner ? test->inner : test->outer, inner && v7 ? test->v7_report : 0);
}

/* Every type of the dialect alone, all of them, none, and all that the frame is not of. */
static void check_dialect(const uint8_t *frame, const struct tunnel_case *test,
                          enum reference_dialect dialect, uint32_t all, uint32_t matching)
{
    for (uint32_t type = 1; type <= all; type <<= 1) {
        if (type & all) {
            check_tunnel(frame, test, dialect, type, matching);
        }
    }
    check_tunnel(frame, test, dialect, all, matching);
    check_tunnel(frame, test, dialect, 0, matching);
    check_tunnel(frame, test, dialect, all & ~matching, matching);
}

static void test_tunnel(gconstpointer data)
{
    const struct tunnel_case *test = data;
    uint8_t *frame = patched_copy(test->frame, test->len, test->patch_at, test->patch_to);

    check_tunnel(frame, test, REFERENCE_OFF, UINT32_MAX, 0);
    check_dialect(frame, test, REFERENCE_DRAFT_V7, ALL_V7_TUNNELS, test->v7);
    check_dialect(frame, test, REFERENCE_DRAFT_V10, ALL_V10_TUNNELS, test->v10);
    check_dialect(frame, test, REFERENCE_RATIFIED, ALL_RATIFIED_TUNNELS, test->ratified);
    g_free(frame);
}

static void test_packet(gconstpointer data)
{
    const struct packet_case *test = data;
    uint8_t *frame = patched_copy(test->frame, test->len, test->patch_at, test->patch_to);
    struct reference_result result;

    reference_hash(frame, test->len, test->dialect, test->hash_types, test->tunnel_types, key,
                   sizeof(key), &result);
    assert_result(&result, test->expected, test->tunnel);
    g_free(frame);
}

static void check_sane(const uint8_t *frame, size_t len, enum reference_dialect dialect)
{
    struct reference_result result;

    reference_hash(frame, len, dialect, ALL_HASH_TYPES | ALL_V7_TUNNELS, ALL_RATIFIED_TUNNELS, key,
                   sizeof(key), &result);
    g_assert_cmpuint(result.report, <=, VIRTIO_NET_HASH_REPORT_UDPv6_EX);
    g_assert_cmpuint(result.input_len, <=, REFERENCE_INPUT_MAX);
    if (result.report == VIRTIO_NET_HASH_REPORT_NONE) {
        g_assert_cmpuint(result.input_len, ==, 0);
        g_assert_cmpuint(result.hash, ==, 0);
        g_assert_cmpuint(result.tunnel, ==, 0);
    }
    if (len < 34) {
        g_assert_cmpuint(result.report, ==, VIRTIO_NET_HASH_REPORT_NONE);
    }
    if (dialect != REFERENCE_DRAFT_V7) {
        g_assert_cmpuint(result.tunnel, ==, 0);
    }
}

static void check_sane_in_all(const uint8_t *frame, size_t len)
{
    check_sane(frame, len, REFERENCE_OFF);
    check_sane(frame, len, REFERENCE_DRAFT_V7);
    check_sane(frame, len, REFERENCE_DRAFT_V10);
    check_sane(frame, len, REFERENCE_RATIFIED);
}

static void test_truncated(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(frames); i++) {
        for (size_t len = 0; len <= frames[i].len; len++) {
            uint8_t *frame = exact_copy(frames[i].octets, len);

            check_sane_in_all(frame, len);
            g_free(frame);
        }
    }
}

/* A few octets changed at random reach further into the layers than random frames do. */
static void test_disturbed(void)
{
    for (int round = 0; round < 20000; round++) {
        size_t i = (size_t)g_test_rand_int_range(0, (gint32)G_N_ELEMENTS(frames));
        uint8_t *frame = exact_copy(frames[i].octets, frames[i].len);

        for (int change = g_test_rand_int_range(1, 5); change > 0; change--) {
            frame[g_test_rand_int_range(12, (gint32)frames[i].len)] =
                (uint8_t)g_test_rand_int_range(0, 256);
        }
        check_sane_in_all(frame, frames[i].len);
        g_free(frame);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/reference/toeplitz/suite", test_suite);
    g_test_add_func("/reference/toeplitz/short-key", test_short_key);
    g_test_add_func("/reference/toeplitz/agree", test_toeplitz_agree);
    for (size_t i = 0; i < G_N_ELEMENTS(packet_cases); i++) {
        gchar *path = g_strconcat("/reference/packet/", packet_cases[i].name, NULL);

        g_test_add_data_func(path, &packet_cases[i], test_packet);
        g_free(path);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(tunnel_cases); i++) {
        gchar *path = g_strconcat("/reference/tunnel/", tunnel_cases[i].name, NULL);

        g_test_add_data_func(path, &tunnel_cases[i], test_tunnel);
        g_free(path);
    }
    g_test_add_func("/reference/truncated", test_truncated);
    g_test_add_func("/reference/disturbed", test_disturbed);
    return g_test_run();
}
