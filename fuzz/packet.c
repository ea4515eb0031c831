/* SPDX-License-Identifier: BSD-3-Clause */
/* See packet.h. */
#include "packet.h"

bool packet_find(const uint8_t *octets, size_t len, struct packet *packet)
{
    size_t type = 12;

    for (unsigned tags = 0; tags < 2 && type + 2 <= len; tags++) {
        const unsigned value = packet_16(octets + type);

        if (value != 0x8100 && value != 0x88a8) {
            break;
        }
        type += 4;
    }
    return type + 2 <= len && packet_read(octets, len, type + 2, packet) &&
           packet_16(octets + type) == (packet->v6 ? 0x86dd : 0x0800);
}

/* The options of a hop-by-hop or destination header: padding and others, well formed. */
static bool options_good(const uint8_t *options, size_t len)
{
    size_t at = 0;

    while (at < len) {
        if (options[at] == 0) {
            at++;
            continue;
        }
        if (options[at] == 0xc2 || options[at] == 0xc9 || at + 1 == len) {
            return false; /* jumbo payload, home address; no length */
        }
        at += 2u + options[at + 1];
    }
    return true;
}

static bool read_v6(const uint8_t *octets, size_t len, struct packet *packet)
{
    size_t next = packet->ip + 6;
    size_t at = packet->ip + 40;

    if (at > len) {
        return false;
    }
    packet->fragment = at;
    packet->fragment_next = next;
    while (octets[next] == 0 || octets[next] == 43 || octets[next] == 60) {
        const uint8_t type = octets[next];
        const size_t extension = at + 8 > len ? 0 : 8 + 8 * (size_t)octets[at + 1];

        if (extension == 0 || at + extension > len ||
            (type == 43 ? octets[at + 3] != 0 : !options_good(octets + at + 2, extension - 2))) {
            return false;
        }
        next = at;
        at += extension;
        if (type != 60) {
            packet->fragment = at;
            packet->fragment_next = next;
        }
    }
    packet->protocol = octets[next];
    packet->transport = at;
    return true;
}

static bool read_v4(const uint8_t *octets, size_t len, struct packet *packet)
{
    const uint8_t *header = octets + packet->ip;
    size_t words;

    if (packet->ip + 20 > len) {
        return false;
    }
    words = header[0] & 15;
    packet->protocol = header[9];
    packet->transport = packet->ip + 4 * words;
    packet->fragment = packet->transport;
    return words >= 5 && packet->transport <= len && (packet_16(header + 6) & 0x3fff) == 0;
}

bool packet_read(const uint8_t *octets, size_t len, size_t ip, struct packet *packet)
{
    if (ip >= len) {
        return false;
    }
    *packet = (struct packet){.ip = ip, .v6 = octets[ip] >> 4 == 6};
    return packet->v6 ? read_v6(octets, len, packet)
                      : octets[ip] >> 4 == 4 && read_v4(octets, len, packet);
}

size_t packet_transport_len(const uint8_t *octets, size_t len, const struct packet *packet)
{
    const size_t left = len - packet->transport;
    size_t header = 8;

    if (packet->protocol == PACKET_TCP) {
        header = left < 20 ? 0 : 4 * (size_t)(octets[packet->transport + 12] >> 4);
        header = header < 20 ? 0 : header;
    } else if (packet->protocol != PACKET_UDP) {
        header = 0;
    }
    return header > left ? 0 : header;
}

uint32_t packet_sum(const uint8_t *octets, size_t n, uint32_t sum)
{
    for (size_t i = 0; i < n; i++) {
        sum += i % 2 ? octets[i] : (uint32_t)octets[i] << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

uint32_t packet_pseudo_sum(const uint8_t *octets, const struct packet *packet, size_t n)
{
    uint8_t rest[8];

    packet_put_32(rest, (uint32_t)n);
    packet_put_32(rest + 4, packet->protocol);
    return packet_sum(octets + packet->ip + (packet->v6 ? 8 : 12), packet->v6 ? 32 : 8,
                      packet_sum(rest, 8, 0));
}

void packet_finish_ip(uint8_t *octets, const struct packet *packet)
{
    uint8_t *header = octets + packet->ip;

    if (!packet->v6) {
        packet_put_16(header + 10, 0);
        packet_put_16(header + 10, ~packet_sum(header, 4u * (header[0] & 15), 0));
    }
}

void packet_finish_transport(uint8_t *octets, size_t len, const struct packet *packet)
{
    const size_t n = len - packet->transport;
    uint8_t *header = octets + packet->transport;
    uint8_t *field = header + (packet->protocol == PACKET_TCP ? 16 : 6);
    unsigned checksum;

    packet_put_16(field, 0);
    checksum = ~packet_sum(header, n, packet_pseudo_sum(octets, packet, n)) & 0xffff;
    packet_put_16(field, checksum == 0 && packet->protocol == PACKET_UDP ? 0xffff : checksum);
}
