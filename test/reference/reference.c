/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A frame is seen as a chain of layers. recognise() says what stands at a place, following() what
 * comes after it, and neither knows what is enabled. The second half only asks questions of that
 * chain (which ports, which home address, which tunnel), each walking it anew from the IP header,
 * and decides. Nothing is remembered between two questions, and every read goes through octet(),
 * which aborts rather than look past the end of what encloses the layer.
 */
#include "reference.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define VIONET_SPEC_NO_STRUCTS
#include <vionet/spec.h>

/* ---- Toeplitz ---- */

/* Bit 0 is the most significant one of the first octet. */
static unsigned bit_of(const uint8_t *octets, size_t len, size_t bit)
{
    if (bit / 8 >= len) {
        return 0; /* decision 8: key bits past the end count as zero */
    }
    return ((unsigned)octets[bit / 8] >> (7 - bit % 8)) & 1u;
}

static uint32_t key_word(const uint8_t *key, size_t key_len, size_t first_bit)
{
    uint32_t word = 0;

    for (size_t i = 0; i < 32; i++) {
        word = (word << 1) | bit_of(key, key_len, first_bit + i);
    }
    return word;
}

uint32_t reference_toeplitz(const uint8_t *key, size_t key_len, const uint8_t *input,
                            size_t input_len)
{
    uint32_t hash = 0;

    for (size_t i = 0; i < input_len * 8; i++) {
        if (bit_of(input, input_len, i) == 1) {
            hash ^= key_word(key, key_len, i);
        }
    }
    return hash;
}

uint32_t reference_toeplitz_shift(const uint8_t *key, size_t key_len, const uint8_t *input,
                                  size_t input_len)
{
    uint32_t window = key_word(key, key_len, 0);
    uint32_t hash = 0;

    for (size_t i = 0; i < input_len; i++) {
        uint32_t data = input[i];
        uint32_t next = i + 4 < key_len ? key[i + 4] : 0;

        for (int bit = 0; bit < 8; bit++) {
            if (data & 0x80) {
                hash ^= window;
            }
            window = (window << 1) | ((next >> 7) & 1);
            data <<= 1;
            next <<= 1;
        }
    }
    return hash;
}

/* ---- Layers: octets with bounds ---- */

enum kind {
    OPAQUE, /* nothing that hashing has a use for: ends every chain */
    ETHERNET,
    IPV4,
    IPV6,
    EXTENSION, /* of IPv6; whether it is whole is a separate question */
    TCP,
    UDP,
    GRE,
    GRE_IN_UDP,
    VXLAN,
    VXLAN_GPE,
    GENEVE,
    IPIP /* has no octets of its own: says that an IPv4 packet is the payload of another */
};

#define TYPE_IPV4     0x0800u
#define TYPE_IPV6     0x86ddu
#define TYPE_VLAN     0x8100u
#define TYPE_QINQ     0x88a8u
#define TYPE_ETHERNET 0x6558u

#define NUMBER_HOP_BY_HOP  0u
#define NUMBER_IPIP        4u
#define NUMBER_TCP         6u
#define NUMBER_UDP         17u
#define NUMBER_ROUTING     43u
#define NUMBER_FRAGMENT    44u
#define NUMBER_GRE         47u
#define NUMBER_AH          51u
#define NUMBER_DESTINATION 60u
#define NUMBER_MOBILITY    135u
#define NUMBER_HIP         139u
#define NUMBER_SHIM6       140u

#define GRE_C           0x8000u
#define GRE_ROUTING     0x4000u
#define GRE_K           0x2000u
#define GRE_S           0x1000u
#define GRE_BITS_4_TO_5 0x0c00u
#define GRE_VERSION     0x0007u

struct layer {
    enum kind kind;
    unsigned number;       /* EXTENSION: the protocol number it was announced by */
    const uint8_t *octets; /* from the first octet of the header ... */
    size_t room;           /* ... to the end of what encloses it, not of the frame */
};

static struct layer layer_at(enum kind kind, const struct layer *place)
{
    return (struct layer){.kind = kind, .octets = place->octets, .room = place->room};
}

static struct layer opaque(const struct layer *place)
{
    return layer_at(OPAQUE, place);
}

static unsigned octet(const struct layer *layer, size_t offset)
{
    if (offset >= layer->room) {
        abort(); /* a mistake in this file, whatever the frame holds */
    }
    return layer->octets[offset];
}

static unsigned be16(const struct layer *layer, size_t offset)
{
    return octet(layer, offset) << 8 | octet(layer, offset + 1);
}

/* The place behind the first n octets, still to be recognised. */
static struct layer behind(const struct layer *layer, size_t n)
{
    struct layer place = opaque(layer);

    if (n > place.room) {
        abort();
    }
    place.octets += n;
    place.room -= n;
    return place;
}

/* The same place, ending after n octets if it does not end before. */
static struct layer at_most(struct layer place, size_t n)
{
    if (place.room > n) {
        place.room = n;
    }
    return place;
}

/* ---- Recognition: is the header of that kind here, complete and well-formed? ---- */

static size_t ipv4_header_length(const struct layer *ip)
{
    return (octet(ip, 0) & 0x0f) * 4u;
}

/* Decision 2: version 4, IHL at least 5 and inside the frame, else non-IP. */
static bool is_ipv4(const struct layer *place)
{
    return place->room >= 20 && octet(place, 0) >> 4 == 4 && ipv4_header_length(place) >= 20 &&
           ipv4_header_length(place) <= place->room;
}

/* Decision 3: version 6; a fixed header that is not all there is no IP header. */
static bool is_ipv6(const struct layer *place)
{
    return place->room >= 40 && octet(place, 0) >> 4 == 6;
}

/* Decision 3: the extension headers that are walked. */
static bool is_extension_number(unsigned number)
{
    switch (number) {
    case NUMBER_HOP_BY_HOP:
    case NUMBER_ROUTING:
    case NUMBER_FRAGMENT:
    case NUMBER_AH:
    case NUMBER_DESTINATION:
    case NUMBER_MOBILITY:
    case NUMBER_HIP:
    case NUMBER_SHIM6:
        return true;
    default:
        return false;
    }
}

static size_t gre_length(unsigned flags)
{
    return 4u + (flags & GRE_C ? 4u : 0) + (flags & GRE_K ? 4u : 0) + (flags & GRE_S ? 4u : 0);
}

/* Decision 10: version 0, routing bit and bits 4-5 clear, all announced optional words present. */
static bool is_gre(const struct layer *place)
{
    return place->room >= 4 && (be16(place, 0) & GRE_VERSION) == 0 &&
           (be16(place, 0) & (GRE_ROUTING | GRE_BITS_4_TO_5)) == 0 &&
           gre_length(be16(place, 0)) <= place->room;
}

/* Decision 10: 8 octets present, I flag set. */
static bool is_vxlan(const struct layer *place)
{
    return place->room >= 8 && (octet(place, 0) & 0x08) != 0;
}

/* Decision 10: 8 octets present, I flag set, version bits 0. */
static bool is_vxlan_gpe(const struct layer *place)
{
    return place->room >= 8 && (octet(place, 0) & 0x08) != 0 && (octet(place, 0) & 0x30) == 0;
}

static size_t geneve_length(const struct layer *geneve)
{
    return 8u + (octet(geneve, 0) & 0x3f) * 4u;
}

/* Decision 10: version 0, options inside the payload. */
static bool is_geneve(const struct layer *place)
{
    return place->room >= 8 && octet(place, 0) >> 6 == 0 && geneve_length(place) <= place->room;
}

static bool is_kind(enum kind kind, const struct layer *place)
{
    switch (kind) {
    case ETHERNET:
        return place->room >= 14;
    case IPV4:
        return is_ipv4(place);
    case IPV6:
        return is_ipv6(place);
    case EXTENSION:
        return true; /* decision 3: counts even when it is truncated, be it to nothing */
    case TCP:
        return place->room >= 20; /* decision 5 */
    case UDP:
        return place->room >= 8; /* decision 5 */
    case GRE:
    case GRE_IN_UDP:
        return is_gre(place);
    case VXLAN:
        return is_vxlan(place);
    case VXLAN_GPE:
        return is_vxlan_gpe(place);
    case GENEVE:
        return is_geneve(place);
    case IPIP:
        return true; /* decision 10: always, whatever the payload turns out to be */
    case OPAQUE:
        break;
    }
    return false;
}

static struct layer recognise(enum kind kind, const struct layer *place)
{
    return is_kind(kind, place) ? layer_at(kind, place) : opaque(place);
}

/* ---- Following: the layer that comes behind another ---- */

/* Decision 1 for a frame, decision 11 for GRE and GENEVE, which may hold Ethernet as well. */
static struct layer by_ethertype(unsigned type, const struct layer *place, bool ethernet_too)
{
    if (type == TYPE_IPV4) {
        return recognise(IPV4, place);
    }
    if (type == TYPE_IPV6) {
        return recognise(IPV6, place);
    }
    if (type == TYPE_ETHERNET && ethernet_too) {
        return recognise(ETHERNET, place);
    }
    return opaque(place);
}

/* Decision 1: up to two tags are skipped; a third stands where an IP EtherType would have to. */
static struct layer after_ethernet(const struct layer *ethernet)
{
    unsigned type = be16(ethernet, 12);
    struct layer place = behind(ethernet, 14);

    for (int tags = 0; tags < 2 && (type == TYPE_VLAN || type == TYPE_QINQ); tags++) {
        if (place.room < 4) {
            return opaque(&place);
        }
        type = be16(&place, 2);
        place = behind(&place, 4);
    }
    return by_ethertype(type, &place, false);
}

/* Decision 2: where the payload ends. */
static struct layer ipv4_payload(const struct layer *ip)
{
    size_t header = ipv4_header_length(ip);
    size_t total = be16(ip, 2);
    struct layer rest = behind(ip, header);

    if (total == 0) {
        return rest;
    }
    if (total < header) {
        return at_most(rest, 0);
    }
    return at_most(rest, total - header);
}

/* Decision 4: MF or a non-zero offset. */
static bool is_ipv4_fragment(const struct layer *ip)
{
    return (be16(ip, 6) & 0x2000) != 0 || (be16(ip, 6) & 0x1fff) != 0;
}

static struct layer after_ipv4(const struct layer *ip)
{
    struct layer payload = ipv4_payload(ip);

    if (is_ipv4_fragment(ip)) {
        return opaque(&payload); /* decisions 4 and 9: neither an L4 header nor a tunnel */
    }
    switch (octet(ip, 9)) {
    case NUMBER_TCP:
        return recognise(TCP, &payload);
    case NUMBER_UDP:
        return recognise(UDP, &payload);
    case NUMBER_GRE:
        return recognise(GRE, &payload);
    case NUMBER_IPIP:
        return recognise(IPIP, &payload);
    default:
        return opaque(&payload);
    }
}

/* Decision 10 has no IP in IPv6: protocols 4 and 41 are nothing here. */
static struct layer by_next_header(unsigned number, const struct layer *place)
{
    struct layer layer;

    if (is_extension_number(number)) {
        layer = recognise(EXTENSION, place);
        layer.number = number;
        return layer;
    }
    switch (number) {
    case NUMBER_TCP:
        return recognise(TCP, place);
    case NUMBER_UDP:
        return recognise(UDP, place);
    case NUMBER_GRE:
        return recognise(GRE, place);
    default:
        return opaque(place);
    }
}

/* Decision 3: where the payload ends. */
static struct layer after_ipv6(const struct layer *ip)
{
    size_t payload_length = be16(ip, 4);
    struct layer payload = behind(ip, 40);

    if (payload_length != 0) {
        payload = at_most(payload, payload_length);
    }
    return by_next_header(octet(ip, 6), &payload);
}

/* Decision 3: AH counts 4-octet units plus 2; a fragment header is 8; the others 8-octet units. */
static size_t extension_length(const struct layer *extension)
{
    switch (extension->number) {
    case NUMBER_FRAGMENT:
        return 8;
    case NUMBER_AH:
        return (octet(extension, 1) + 2u) * 4u;
    default:
        return (octet(extension, 1) + 1u) * 8u;
    }
}

/* None of them is shorter than 8 octets, so with fewer there is no need to know the length. */
static bool is_whole_extension(const struct layer *extension)
{
    return extension->room >= 8 && extension_length(extension) <= extension->room;
}

/* Decision 4: M or a non-zero offset; a header with neither (atomic) is walked through. */
static bool is_fragment_extension(const struct layer *extension)
{
    if (extension->number != NUMBER_FRAGMENT) {
        return false;
    }
    return (be16(extension, 2) & 0x0001) != 0 || be16(extension, 2) >> 3 != 0;
}

static struct layer after_extension(const struct layer *extension)
{
    struct layer place;

    if (!is_whole_extension(extension)) {
        return opaque(extension); /* decision 3: no L4 header behind a truncated one */
    }
    place = behind(extension, extension_length(extension));
    if (is_fragment_extension(extension)) {
        return opaque(&place); /* decisions 4 and 9 */
    }
    return by_next_header(octet(extension, 0), &place);
}

/* Decision 10: by the assigned destination port only. The UDP length is not looked at. */
static struct layer after_udp(const struct layer *udp)
{
    struct layer payload = behind(udp, 8);

    switch (be16(udp, 2)) {
    case 4789:
        return recognise(VXLAN, &payload);
    case 4790:
        return recognise(VXLAN_GPE, &payload);
    case 6081:
        return recognise(GENEVE, &payload);
    case 4754:
        return recognise(GRE_IN_UDP, &payload);
    default:
        return opaque(&payload);
    }
}

/* Decision 11. */
static struct layer after_gre(const struct layer *gre)
{
    struct layer payload = behind(gre, gre_length(be16(gre, 0)));

    return by_ethertype(be16(gre, 2), &payload, true);
}

/* Decision 11. */
static struct layer after_vxlan(const struct layer *vxlan)
{
    struct layer payload = behind(vxlan, 8);

    return recognise(ETHERNET, &payload);
}

/* Decision 11: by next protocol if the P flag is set, else Ethernet. */
static struct layer after_vxlan_gpe(const struct layer *gpe)
{
    struct layer payload = behind(gpe, 8);

    if ((octet(gpe, 0) & 0x04) == 0) {
        return recognise(ETHERNET, &payload);
    }
    switch (octet(gpe, 3)) {
    case 1:
        return recognise(IPV4, &payload);
    case 2:
        return recognise(IPV6, &payload);
    case 3:
        return recognise(ETHERNET, &payload);
    default:
        return opaque(&payload);
    }
}

/* Decision 11. */
static struct layer after_geneve(const struct layer *geneve)
{
    struct layer payload = behind(geneve, geneve_length(geneve));

    return by_ethertype(be16(geneve, 2), &payload, true);
}

static struct layer following(const struct layer *layer)
{
    switch (layer->kind) {
    case ETHERNET:
        return after_ethernet(layer);
    case IPV4:
        return after_ipv4(layer);
    case IPV6:
        return after_ipv6(layer);
    case EXTENSION:
        return after_extension(layer);
    case UDP:
        return after_udp(layer);
    case GRE:
    case GRE_IN_UDP:
        return after_gre(layer);
    case VXLAN:
        return after_vxlan(layer);
    case VXLAN_GPE:
        return after_vxlan_gpe(layer);
    case GENEVE:
        return after_geneve(layer);
    case IPIP:
        return recognise(IPV4, layer); /* decision 11 */
    case TCP:
    case OPAQUE:
        break;
    }
    return opaque(layer);
}

/* ---- Questions to the chain that starts at an IP header ---- */

static bool is_ip(const struct layer *layer)
{
    return layer->kind == IPV4 || layer->kind == IPV6;
}

static bool is_tunnel(const struct layer *layer)
{
    switch (layer->kind) {
    case GRE:
    case GRE_IN_UDP:
    case VXLAN:
    case VXLAN_GPE:
    case GENEVE:
    case IPIP:
        return true;
    default:
        return false;
    }
}

/* Decision 3. */
static bool has_extension_header(const struct layer *ip)
{
    return following(ip).kind == EXTENSION;
}

/* What the IP header, and for IPv6 its extension headers, carry. */
static struct layer upper_layer(const struct layer *ip)
{
    struct layer layer = following(ip);

    while (layer.kind == EXTENSION) {
        layer = following(&layer);
    }
    return layer;
}

static bool has_upper(const struct layer *ip, enum kind kind)
{
    return upper_layer(ip).kind == kind;
}

/*
 * Decision 6: option 0xC9 of length 16; the last one if there are several. Returns where the 16
 * octets are in the header, 0 if nowhere. An option that reaches past the header ends the search;
 * the header is still a whole one.
 */
static size_t home_address_offset(const struct layer *destination)
{
    size_t end = extension_length(destination);
    size_t found = 0;
    size_t option = 2;

    while (option < end) {
        if (octet(destination, option) == 0) {
            option += 1; /* Pad1, the one option without a length */
            continue;
        }
        if (end - option < 2 || end - option - 2 < octet(destination, option + 1)) {
            break;
        }
        if (octet(destination, option) == 0xc9 && octet(destination, option + 1) == 16) {
            found = option + 2;
        }
        option += 2 + octet(destination, option + 1);
    }
    return found;
}

/* Decision 6: type 2, length field 2, segments left 1. The address is at offset 8. */
static size_t routing_address_offset(const struct layer *routing)
{
    bool applies = octet(routing, 1) == 2 && octet(routing, 2) == 2 && octet(routing, 3) == 1;

    return applies ? 8 : 0;
}

static void copy_octets(uint8_t *to, const struct layer *from, size_t offset, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        to[i] = (uint8_t)octet(from, offset + i);
    }
}

/* The address that a header of that number replaces; if several do, the last one. */
static void replace_address(uint8_t *address, const struct layer *ip, unsigned number,
                            size_t (*offset_in)(const struct layer *))
{
    for (struct layer layer = following(ip); layer.kind == EXTENSION; layer = following(&layer)) {
        if (layer.number == number && is_whole_extension(&layer)) {
            size_t offset = offset_in(&layer);

            if (offset != 0) {
                copy_octets(address, &layer, offset, 16);
            }
        }
    }
}

/* ---- Decision: the hash of one packet ---- */

static bool is_enabled(uint32_t hash_types, unsigned report)
{
    return (hash_types & (UINT32_C(1) << (report - 1))) != 0;
}

static uint16_t report_ipv4(const struct layer *ip, uint32_t types)
{
    if (is_enabled(types, VIRTIO_NET_HASH_REPORT_TCPv4) && has_upper(ip, TCP)) {
        return VIRTIO_NET_HASH_REPORT_TCPv4;
    }
    if (is_enabled(types, VIRTIO_NET_HASH_REPORT_UDPv4) && has_upper(ip, UDP)) {
        return VIRTIO_NET_HASH_REPORT_UDPv4;
    }
    if (is_enabled(types, VIRTIO_NET_HASH_REPORT_IPv4)) {
        return VIRTIO_NET_HASH_REPORT_IPv4;
    }
    return VIRTIO_NET_HASH_REPORT_NONE;
}

static uint16_t report_ipv6_plain(const struct layer *ip, uint32_t types)
{
    if (is_enabled(types, VIRTIO_NET_HASH_REPORT_TCPv6) && has_upper(ip, TCP)) {
        return VIRTIO_NET_HASH_REPORT_TCPv6;
    }
    if (is_enabled(types, VIRTIO_NET_HASH_REPORT_UDPv6) && has_upper(ip, UDP)) {
        return VIRTIO_NET_HASH_REPORT_UDPv6;
    }
    if (is_enabled(types, VIRTIO_NET_HASH_REPORT_IPv6)) {
        return VIRTIO_NET_HASH_REPORT_IPv6;
    }
    return VIRTIO_NET_HASH_REPORT_NONE;
}

/* Decision 7: with extension headers the _EX types come first, IP_EX before any plain type. */
static uint16_t report_ipv6(const struct layer *ip, uint32_t types)
{
    if (!has_extension_header(ip)) {
        return report_ipv6_plain(ip, types);
    }
    if (is_enabled(types, VIRTIO_NET_HASH_REPORT_TCPv6_EX) && has_upper(ip, TCP)) {
        return VIRTIO_NET_HASH_REPORT_TCPv6_EX;
    }
    if (is_enabled(types, VIRTIO_NET_HASH_REPORT_UDPv6_EX) && has_upper(ip, UDP)) {
        return VIRTIO_NET_HASH_REPORT_UDPv6_EX;
    }
    if (is_enabled(types, VIRTIO_NET_HASH_REPORT_IPv6_EX)) {
        return VIRTIO_NET_HASH_REPORT_IPv6_EX;
    }
    return report_ipv6_plain(ip, types);
}

static uint16_t report_of(const struct layer *ip, uint32_t types)
{
    return ip->kind == IPV4 ? report_ipv4(ip, types) : report_ipv6(ip, types);
}

static bool has_ports(uint16_t report)
{
    switch (report) {
    case VIRTIO_NET_HASH_REPORT_TCPv4:
    case VIRTIO_NET_HASH_REPORT_UDPv4:
    case VIRTIO_NET_HASH_REPORT_TCPv6:
    case VIRTIO_NET_HASH_REPORT_UDPv6:
    case VIRTIO_NET_HASH_REPORT_TCPv6_EX:
    case VIRTIO_NET_HASH_REPORT_UDPv6_EX:
        return true;
    default:
        return false;
    }
}

static bool is_extended(uint16_t report)
{
    return report == VIRTIO_NET_HASH_REPORT_IPv6_EX || report == VIRTIO_NET_HASH_REPORT_TCPv6_EX ||
           report == VIRTIO_NET_HASH_REPORT_UDPv6_EX;
}

/* Source and destination address, decision 6; returns how many octets they are. */
static size_t put_addresses(uint8_t *input, const struct layer *ip, uint16_t report)
{
    if (ip->kind == IPV4) {
        copy_octets(input, ip, 12, 4);
        copy_octets(input + 4, ip, 16, 4);
        return 8;
    }
    copy_octets(input, ip, 8, 16);
    copy_octets(input + 16, ip, 24, 16);
    if (is_extended(report)) {
        replace_address(input, ip, NUMBER_DESTINATION, home_address_offset);
        replace_address(input + 16, ip, NUMBER_ROUTING, routing_address_offset);
    }
    return 32;
}

/* Source and destination port are the first four octets of TCP and of UDP. */
static size_t put_ports(uint8_t *input, const struct layer *ip)
{
    struct layer upper = upper_layer(ip);

    copy_octets(input, &upper, 0, 4);
    return 4;
}

/* Decision 8: source address, destination address, source port, destination port. */
static void hash_packet(const struct layer *ip, uint32_t hash_types, const uint8_t *key,
                        size_t key_len, struct reference_result *out)
{
    out->report = report_of(ip, hash_types);
    if (out->report == VIRTIO_NET_HASH_REPORT_NONE) {
        return;
    }
    out->input_len = put_addresses(out->input, ip, out->report);
    if (has_ports(out->report)) {
        out->input_len += put_ports(out->input + out->input_len, ip);
    }
    out->hash = reference_toeplitz(key, key_len, out->input, out->input_len);
}

/* ---- Decision: outer or inner ---- */

/* Decision 9: looks at the outer packet only, behind its extension headers. OPAQUE if none. */
static struct layer tunnel_of(const struct layer *outer)
{
    struct layer layer = upper_layer(outer);

    if (layer.kind == UDP) {
        layer = following(&layer);
    }
    return is_tunnel(&layer) ? layer : opaque(&layer);
}

/* Decision 11: the inner IP header, perhaps behind an inner Ethernet header; else OPAQUE. */
static struct layer inner_of(const struct layer *tunnel)
{
    struct layer layer = following(tunnel);

    if (layer.kind == ETHERNET) {
        layer = following(&layer);
    }
    return layer;
}

/* Decision 10, column draft-v7. The bits are those of decision 14. */
static uint32_t draft_v7_types(const struct layer *tunnel)
{
    switch (tunnel->kind) {
    case GRE:
        return VIRTIO_NET_HASH_TYPE_GRE_INNER;
    case VXLAN:
        return VIRTIO_NET_HASH_TYPE_VXLAN_INNER;
    case GENEVE:
        return VIRTIO_NET_HASH_TYPE_GENEVE_INNER;
    default:
        return 0;
    }
}

/* Decision 14. */
static uint8_t draft_v7_report(const struct layer *tunnel)
{
    switch (tunnel->kind) {
    case GRE:
        return VIRTIO_NET_HASH_REPORT_GRE;
    case VXLAN:
        return VIRTIO_NET_HASH_REPORT_VXLAN;
    case GENEVE:
        return VIRTIO_NET_HASH_REPORT_GENEVE;
    default:
        return VIRTIO_NET_HASH_REPORT_TUNNEL_NONE;
    }
}

/* Decision 10: K set, C and S clear, protocol 0x6558. */
static bool has_nvgre_shape(const struct layer *gre)
{
    return (be16(gre, 0) & (GRE_C | GRE_K | GRE_S)) == GRE_K && be16(gre, 2) == TYPE_ETHERNET;
}

/* Decision 10, column draft-v10. Decision 13: no packet is of type NONE: its bit has no effect. */
static uint32_t draft_v10_types(const struct layer *tunnel)
{
    switch (tunnel->kind) {
    case GRE:
        return VIRTIO_NET_HASH_TUNNEL_V10_GRE |
               (has_nvgre_shape(tunnel) ? VIRTIO_NET_HASH_TUNNEL_V10_NVGRE : 0);
    case VXLAN:
        return VIRTIO_NET_HASH_TUNNEL_V10_VXLAN;
    case GENEVE:
        return VIRTIO_NET_HASH_TUNNEL_V10_GENEVE;
    case IPIP:
        return VIRTIO_NET_HASH_TUNNEL_V10_IPIP;
    default:
        return 0;
    }
}

/* Decision 10, column ratified, the two rows of IP protocol 47. */
static uint32_t ratified_gre_types(const struct layer *outer, const struct layer *gre)
{
    uint32_t types = 0;

    if ((be16(gre, 0) & (GRE_K | GRE_S)) != 0) {
        types |= VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_2890;
    } else if (outer->kind == IPV4) {
        types |= VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_2784;
    }
    if (outer->kind == IPV6 || be16(gre, 2) == TYPE_IPV6) {
        types |= VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_7676;
    }
    if (has_nvgre_shape(gre)) {
        types |= VIRTIO_NET_HASH_TUNNEL_TYPE_NVGRE;
    }
    return types;
}

/* Decision 10, column ratified. */
static uint32_t ratified_types(const struct layer *outer, const struct layer *tunnel)
{
    switch (tunnel->kind) {
    case GRE:
        return ratified_gre_types(outer, tunnel);
    case GRE_IN_UDP:
        return VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_UDP;
    case VXLAN:
        return VIRTIO_NET_HASH_TUNNEL_TYPE_VXLAN;
    case VXLAN_GPE:
        return VIRTIO_NET_HASH_TUNNEL_TYPE_VXLAN_GPE;
    case GENEVE:
        return VIRTIO_NET_HASH_TUNNEL_TYPE_GENEVE;
    case IPIP:
        return VIRTIO_NET_HASH_TUNNEL_TYPE_IPIP;
    default:
        return 0;
    }
}

/* Decision 10: a packet can match more than one type; any enabled one will do. */
static bool goes_by_inner(enum reference_dialect dialect, uint32_t hash_types,
                          uint32_t tunnel_types, const struct layer *outer,
                          const struct layer *tunnel)
{
    switch (dialect) {
    case REFERENCE_DRAFT_V7:
        return (draft_v7_types(tunnel) & hash_types) != 0;
    case REFERENCE_DRAFT_V10:
        return (draft_v10_types(tunnel) & tunnel_types) != 0;
    case REFERENCE_RATIFIED:
        return (ratified_types(outer, tunnel) & tunnel_types) != 0;
    case REFERENCE_OFF:
        break;
    }
    return false;
}

void reference_hash(const uint8_t *frame, size_t len, enum reference_dialect dialect,
                    uint32_t hash_types, uint32_t tunnel_types, const uint8_t *key, size_t key_len,
                    struct reference_result *out)
{
    struct layer place = {.kind = OPAQUE, .octets = frame, .room = len};
    struct layer ethernet = recognise(ETHERNET, &place);
    struct layer outer = following(&ethernet);
    struct layer tunnel, inner;

    memset(out, 0, sizeof(*out));
    if (!is_ip(&outer)) {
        return; /* decision 1 */
    }
    tunnel = tunnel_of(&outer);
    if (!goes_by_inner(dialect, hash_types, tunnel_types, &outer, &tunnel)) {
        hash_packet(&outer, hash_types, key, key_len, out);
        return;
    }
    inner = inner_of(&tunnel);
    if (!is_ip(&inner)) {
        return; /* decision 12: no fall-back to the outer header */
    }
    hash_packet(&inner, hash_types, key, key_len, out);
    if (dialect == REFERENCE_DRAFT_V7 && out->report != VIRTIO_NET_HASH_REPORT_NONE) {
        out->tunnel = draft_v7_report(&tunnel); /* decision 14 */
    }
}
