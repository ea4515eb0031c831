/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The door for who only wants hashes: one frame, written out by hand, dissected and hashed by its
 * outer and by its inner header. Build with: cc hash.c $(pkg-config --cflags --libs vionet)
 */
#include <stdio.h>

#include <vionet/hash.h>

/* clang-format off */
/* VXLAN: 10.0.0.1 to 10.0.0.2 outside, a TCP segment from 66.9.149.187:2794 inside. */
static const uint8_t frame[] = {
    /* Ethernet, IPv4, UDP to 4789, VXLAN with VNI 42 */
    0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1, 0x08, 0x00,
    0x45, 0, 0, 90, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
    0xc0, 0x00, 0x12, 0xb5, 0, 70, 0, 0,
    0x08, 0, 0, 0, 0, 0, 42, 0,
    /* Ethernet, IPv4, TCP */
    0x02, 0, 0, 0, 0, 4, 0x02, 0, 0, 0, 0, 3, 0x08, 0x00,
    0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 66, 9, 149, 187, 161, 142, 100, 80,
    0x0a, 0xea, 0x06, 0xe6, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0,
};
/* clang-format on */

/* The key of Microsoft's RSS verification suite. */
static const uint8_t key_octets[] = {
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
    0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
    0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

static void print_hash(const char *what, const VionetHashKey *key, unsigned tunnels)
{
    const uint32_t all_hash_types = 0x1ff;
    VionetFlow flow;
    unsigned report;

    vionet_dissect(frame, sizeof(frame), tunnels, &flow);
    report = vionet_flow_report(&flow, all_hash_types);
    printf("%s header: %s 0x%08x\n", what, vionet_report_name(report),
           (unsigned)vionet_hash_flow(key, &flow, report));
}

int main(void)
{
    VionetHashKey *key = vionet_hash_key_new(key_octets, sizeof(key_octets));

    print_hash("outer", key, 0);
    print_hash("inner", key, VIONET_TUNNEL_VXLAN);
    vionet_hash_key_free(key);
    return 0;
}
