/* SPDX-License-Identifier: BSD-3-Clause */
#include "fragments.h"

#include <string.h>

#include "checksum.h"

#define ETHERNET 14
#define HEADER   20
#define MOST     65535 /* octets of a packet */

#define DONT_FRAGMENT  0x4000
#define MORE_FRAGMENTS 0x2000
#define RESERVED       0x8000
#define OFFSET         0x1fff

struct piece {
    uint8_t name[11];
    uint8_t header;
    uint32_t begin;
    uint32_t end;
    bool last;
};

/* Reads a fragment that libslirp is sure to take: its header is whole and right. */
static bool read_piece(const uint8_t *ip, size_t room, struct piece *piece)
{
    const unsigned field = get_be16(ip + 6);
    const size_t header = (ip[0] & 0xfu) * 4;
    const size_t total = get_be16(ip + 2);

    if (ip[0] >> 4 != 4 || header < HEADER || total <= header || total > room || ip[8] == 0 ||
        (field & RESERVED) || fold(sum_octets(ip, header)) != 0xffff) {
        return false;
    }
    memcpy(piece->name, ip + 12, 8);
    memcpy(piece->name + 8, ip + 4, 2);
    piece->name[10] = ip[9];
    piece->header = (uint8_t)header;
    piece->begin = (field & OFFSET) * 8;
    piece->end = piece->begin + (uint32_t)(total - header);
    piece->last = !(field & MORE_FRAGMENTS);
    return piece->last || piece->end % 8 == 0;
}

/* The packet of a piece; else, if it is its first, a place for it; else NULL. */
static struct fragments_packet *find(struct fragments *fragments, const struct piece *piece,
                                     int64_t now_us, int64_t aged_us)
{
    struct fragments_packet *place = NULL;

    for (unsigned i = 0; i < FRAGMENTS_PACKETS; i++) {
        struct fragments_packet *packet = &fragments->packets[i];

        if (packet->until_us <= aged_us) {
            packet->until_us = 0;
            place = packet;
        } else if (memcmp(packet->name, piece->name, sizeof(packet->name)) == 0) {
            return packet;
        }
    }
    if (!place || piece->begin > 0) {
        return NULL;
    }
    *place = (struct fragments_packet){
        .header = piece->header, .since_us = now_us, .until_us = aged_us + FRAGMENTS_MEMORY_US};
    memcpy(place->name, piece->name, sizeof(place->name));
    return place;
}

bool fragments_pass(struct fragments *fragments, const uint8_t *frame, size_t len, int64_t now_us,
                    int64_t aged_us)
{
    struct fragments_packet *packet;
    struct piece piece;

    if (len < ETHERNET + HEADER || get_be16(frame + 12) != 0x0800 ||
        (get_be16(frame + ETHERNET + 6) & ~DONT_FRAGMENT) == 0) {
        return true;
    }
    if (!read_piece(frame + ETHERNET, len - ETHERNET, &piece)) {
        return false;
    }
    packet = find(fragments, &piece, now_us, aged_us);
    if (!packet) {
        return false;
    }
    if (packet->spoiled || piece.begin != packet->next || piece.end + packet->header > MOST ||
        now_us - packet->since_us > FRAGMENTS_PATIENCE_US) {
        packet->spoiled = true;
        return false;
    }
    packet->next = piece.end;
    if (piece.last) {
        packet->until_us = 0;
    }
    return true;
}
