# SPDX-License-Identifier: BSD-3-Clause
"""The claims that proofs.py runs: of each, what it is about, its bounds, and the mutants that it catches.

Bounds in capitals are macros of the harness; unwind and unwindset are CBMC's, and shown to be enough. A mutant is
what is done to lib/ in words, the file, the text, and what stands there instead.
"""

import dataclasses

RINGS = ('lib/ring/ring.c', 'lib/ring/split.c', 'lib/ring/split_big.c', 'lib/ring/packed.c', 'lib/ring/walk.c',
         'lib/ring/journal.c')
SPLIT, PACKED, WALK, RING = 'lib/ring/split.c', 'lib/ring/packed.c', 'lib/ring/walk.c', 'lib/ring/ring.c'
MEMORY, DISSECT = 'lib/memory.c', 'lib/hash/dissect.c'
HEADER, CONTROL, RECORD = 'lib/net/header.c', 'lib/net/control.c', 'lib/record.c'
FORMAT, TUNNEL, TABLE = 'lib/net/state_format.c', 'lib/hash/tunnel.c', 'lib/hash/engine_table.c'
# Loops that have nothing to do with the queue's size.
AREAS = 'start_ring.0:4,ring_start.0:4,ring_remap.0:4,memory_translate.0:3'


@dataclasses.dataclass
class Claim:
    name: str
    plan: str     # which of P1 to P10
    source: str
    entry: str
    lib: tuple
    quick: dict   # bounds in ./check, {} if not there
    large: dict   # and in ./check --long
    mutants: tuple = ()
    marks: tuple = ()  # places marked by reached()
    defines: tuple = ()
    adapt: tuple = ()
    options: tuple = ()


def ring(name, plan, source, entry, small, large, mutants, marks, more=None):
    def bounds(queue):
        return {'QUEUE': queue, 'unwind': queue + 1, 'unwindset': AREAS, **(more or {})} if queue else {}

    return Claim(name, plan, source, entry, RINGS, bounds(small), bounds(large), mutants, marks)


def frame(octets):
    return {'FRAME': octets, 'unwind': 4,
            'unwindset': f'ipv6_extensions.0:{(octets - 54) // 8 + 2 if octets >= 62 else 2},'
                         f'find_home_address.0:{max(octets - 54, 2)}'}


def state(kind, octets):
    return {'KIND': kind, 'STATE': octets, 'unwind': 26}


def map_of(entry, regions, quick, mutants, marks):
    def bounds(n):
        return {'MAP_REGIONS': n, 'unwind': n + 2,
                'unwindset': f'memory_find.0:{n // 2 + 2},memory_translate.0:{n + 1},translate.0:{n + 1}'}

    return Claim(f'memory-{entry}', 'P4', 'memory_translate.c', entry, (MEMORY,), bounds(quick) if quick else {},
                 bounds(regions), mutants, marks,
                 adapt=(('lib/memory.h', 'struct memory_region regions[];',
                         'struct memory_region regions[MAP_REGIONS + 1];'),))


CLAIMS = [
    ring('split-start', 'P1', 'ring_split.c', 'split_start', 4, 8, (), ('started',)),
    ring('split-pop', 'P1', 'ring_split.c', 'split_pop_any', 2, 4, (
        ('a head is not held against the size', SPLIT, 'if (G_UNLIKELY(head >= ring->setup.size)) {', 'if (0) {'),
        ('a head may be out already', SPLIT, 'if (G_UNLIKELY(ring->taken[head])) {', 'if (0) {'),
        ('next is not held against the size', SPLIT, 'if (G_UNLIKELY(index >= ring->setup.size)) {', 'if (0) {'),
        ('a loop of descriptors is followed', SPLIT, 'if (G_UNLIKELY(walk->n >= ring->setup.size)) {', 'if (0) {'),
        ('idx may jump', SPLIT,
         'if ((uint16_t)(idx - ring->next_avail) > ring->setup.size - ring->in_flight - ring->staged) {', 'if (0) {'),
        ('a head is read twice', SPLIT, 'if (G_UNLIKELY(head >= ring->setup.size)) {',
         'head = WORD16(guest_load16(ring_at(ring, VIONET_AREA_DRIVER, AVAIL_RING + 2u * slot, 2)));\n'
         '    if (G_UNLIKELY(head >= ring->setup.size)) {'),
        ('unpop leaves the buffer out', SPLIT, '    release(ring, ref->id);\n    ring->next_avail--;',
         '    ring->next_avail--;'),
        ('a part is not checked to be writable', WALK, 'desc->addr, desc->len, write,\n',
         'desc->addr, desc->len, false,\n'),
        ('octets of a chain are not bounded', WALK, 'if (G_UNLIKELY(chain->out_len + chain->in_len >',
         'if (0 && (chain->out_len + chain->in_len >'),
    ), ('taken', 'none', 'broken')),
    ring('split-give', 'P1', 'ring_split.c', 'split_give', 4, 8, (
        ('a slot is not taken modulo the size', SPLIT, '8u * (index & (ring->setup.size - 1u))', '8u * index'),
        ('what is pushed stays out', SPLIT,
         '        put_elem(ring, first + i, used[i].ref.id, used[i].written);\n        release(ring, used[i].ref.id);',
         '        put_elem(ring, first + i, used[i].ref.id, used[i].written);'),
    ), ('shown',)),
    ring('split-plain', 'P1', 'ring_split.c', 'split_plain', 2, 4, (
        ('a head is not checked', SPLIT, 'if (G_UNLIKELY(head > last || taken[head])) {', 'if (0) {'),
        ('a buffer of no octets is plain', SPLIT, 'desc.common.flags != wanted || desc.common.len == 0',
         'desc.common.flags != wanted'),
        ('more are taken than there are', SPLIT, 'n = MIN(n, (uint16_t)(ring->seen_avail - next));', ''),
    ), ('taken',)),
    ring('packed-start', 'P2', 'ring_packed.c', 'packed_start', 3, 7, (), ('started',)),
    ring('packed-pop', 'P2', 'ring_packed.c', 'packed_pop_any', 3, 4, (
        ('the wrap counter does not flip', PACKED, '(slot - ring->setup.size), !place.wrap}',
         '(slot - ring->setup.size), place.wrap}'),
        ('the wrap counter does not flip back', PACKED, 'ring->setup.size - n), !place.wrap}',
         'ring->setup.size - n), place.wrap}'),
        ('a list goes on over places that are out', PACKED, 'if (G_UNLIKELY(ref->n_desc == room)) {', 'if (0) {'),
        ('a full ring is popped from', PACKED, 'if (G_UNLIKELY(ring->in_flight == ring->setup.size)) {', 'if (0) {'),
        ('unpop forgets how many descriptors', PACKED, 'ring->in_flight = (uint16_t)(ring->in_flight - ref->n_desc);',
         'ring->in_flight--;'),
    ), ('taken', 'none', 'broken')),
    ring('packed-give', 'P2', 'ring_packed.c', 'packed_give', 3, 7, (
        ('the flush counts places without the wrap', PACKED, 'if (ring->put_wrap != ring->used_wrap) {', 'if (0) {'),
        ('the first used descriptor does not wait', PACKED, '} else if (index == 0) {', '} else if (0) {'),
    ), ('shown',)),
    ring('packed-plain', 'P2', 'ring_packed.c', 'packed_plain', 3, 7, (
        ('the ring does not come round', PACKED, 'if (++slot == size) {', 'if (++slot > size) {'),
        ('more are taken than the ring has', PACKED, 'n = MIN(n, size - ring->in_flight);', ''),
    ), ('taken',)),
    map_of('regions', 2, 2, (
        ('overlap is not looked for', MEMORY, 'if (regions_overlap(&map->regions[i], region)) {', 'if (0) {'),
        ('a mapping may end past the address space', MEMORY,
         'if (region->size - 1 > UINT64_MAX - region->gpa || region->size > SIZE_MAX / 2) {', 'if (0) {'),
    ), ('added',)),
    map_of('pointer', 2, 0, (
        ('the length is not held against the region', MEMORY,
         'return len <= region->size - offset ? region->host + offset : NULL;', 'return region->host + offset;'),
    ), ('found',)),
    map_of('translate', 1, 0, (
        ('a range goes on where its region ends', MEMORY, 'here = MIN(len, region->size - offset);', 'here = len;'),
    ), ('accepted', 'refused')),
    Claim('split-event', 'P5', 'event_index.c', 'split_event', (SPLIT, PACKED), {'unwind': 2}, {'unwind': 2}, (
        ('the event counts from one too many', SPLIT, '(ring->next_used - event - 1)', '(ring->next_used - event)'),
    ), ('decided',), defines=('PROOF_WORD',)),
    Claim('split-event-in-words', 'P5', 'event_index.c', 'split_event_in_words', (SPLIT, PACKED), {'unwind': 2},
          {'unwind': 2}, (
              ('old and new are the same', SPLIT, '< (uint16_t)(ring->next_used - old)', '<= (uint16_t)(ring->next_used - old)'),
          ), defines=('PROOF_WORD',)),
    Claim('packed-event', 'P5', 'event_index.c', 'packed_event', (SPLIT, PACKED), {'unwind': 2}, {'unwind': 2}, (
        ('the wrap counter is not looked at', PACKED, 'if (!!(event & RING_EVENT_WRAP) != ring->used_wrap) {', 'if (0) {'),
        ('one place too many counts', PACKED, 'return distance - 1 < shown;', 'return distance - 1 <= shown;'),
    ), ('decided',), defines=('PROOF_WORD',)),
    ring('indirect-packed', 'P3', 'ring_indirect.c', 'indirect_packed', 0, 3, (
        # Not the bound of a table's length, nor the count of elements: each holds where the other is gone.
        ('a part is not checked to be writable', WALK, 'desc->addr, desc->len, write,\n',
         'desc->addr, desc->len, false,\n'),
        ('octets of a chain are not bounded', WALK, 'if (G_UNLIKELY(chain->out_len + chain->in_len >',
         'if (0 && (chain->out_len + chain->in_len >'),
    ), ('taken', 'by a table'), more={'LIMIT': 3}),
    ring('indirect-split', 'P3', 'ring_indirect.c', 'indirect_split', 0, 2, (
        ('a part is not checked to be writable', WALK, 'desc->addr, desc->len, write,\n',
         'desc->addr, desc->len, false,\n'),
        ('elements are not counted', WALK, 'if (G_UNLIKELY(++walk->n > ring->chain_limit)) {', 'if (0) {'),
    ), ('taken', 'by a table'), more={'LIMIT': 2}),
    Claim('header-read', 'P6', 'header_codec.c', 'header_read_any', (HEADER,), {'unwind': 10}, {'unwind': 10}, (
        ('the checksum may lie past the frame', HEADER,
         'if (!view_has(view, VIRTIO_NET_F_CSUM) || !checksum_inside(frame, len)) {',
         'if (!view_has(view, VIRTIO_NET_F_CSUM)) {'),
        ('the tunnel is read without its feature', HEADER, 'return view_has(view, VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO) &&',
         'return'),
        ('segments may have no size', HEADER,
         'if (!row || !view_has(view, row->transmit_feature) || frame->gso_size == 0 ||',
         'if (!row || !view_has(view, row->transmit_feature) ||'),
    ), ('accepted',)),
    Claim('header-write', 'P6', 'header_codec.c', 'header_write_any', (HEADER,), {'unwind': 10}, {'unwind': 10}, (
        ('a plain header is as long as any', 'lib/net/header.h', 'if (view->hdr_len > 20) {', 'if (view->hdr_len >= 20) {'),
        ('a hash is told unasked', HEADER, 'if (view->reports_hash) {', 'if (1) {'),
    ), ('plain', 'written')),
    Claim('toeplitz-window', 'P7', 'toeplitz_table.c', 'key_window_any', (), {'unwind': 9}, {'unwind': 9}, (
        ('a window is of the octet behind', TABLE, 'hash_key_window(key + bit / 8, 0)', 'hash_key_window(key + bit / 8 + 1, 0)'),
        ('a window begins at the octet', TABLE, '>> (32 - bit % 8)', '>> 32'),
    ), ('looked',)),
    Claim('dissect', 'P8', 'dissect.c', 'dissect_any', (DISSECT, TUNNEL), frame(42), frame(62), (
        ('an IPv4 header is not held against the frame', DISSECT, 'if (left(p, end) < IPV4_HEADER) {', 'if (0) {'),
        ('options of the IPv4 header are not', DISSECT, 'if (left(p, end) < header) {', 'if (0) {'),
        ('ports are not', DISSECT, 'if (left(payload->start, payload->end) < need) {', 'if (0) {'),
        ('a tag is not', DISSECT, 'if (left(type_at, end) < 6) {', 'if (0) {'),
        ('GRE is not', TUNNEL, 'return fits(p, end, len, short_of_octets) ? len : 0;', 'return len;'),
    ), ()),
    Claim('dissect-straight', 'P8', 'dissect.c', 'dissect_straight_any', (DISSECT, TUNNEL), {}, frame(62), (
        ('the length of a packet is not held against the frame', 'lib/hash/straight.h', 'if (unlikely(total > span.n) ||',
         'if ('),
    ), ()),
] + [
    Claim(f'control-{name}', 'P9', 'control_payload.c', 'command_any', (), {'ROW': row, 'unwind': 7}, {'ROW': row, 'unwind': 7},
          mutants, ('done', 'refused') if both else ())
    for row, name, both, mutants in (
        (0, 'rx-mode', False, ()),
        (7, 'mac', True, (
            ('the address may be shorter', CONTROL, '{VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_F_CTRL_RX}, 6, true, 0, set_mac}',
             '{VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_F_CTRL_RX}, 5, false, 0, set_mac}'),)),
        (8, 'vlan', True, (('any VLAN is one', CONTROL, 'if (id >= N_VLANS) {', 'if (0) {'),)),
        (11, 'pairs', True, ()),
        (12, 'rss', True, (
            ('the table is not held against the payload', CONTROL, 'if (len < 8 + 2u * entries + 3) {', 'if (0) {'),
            ('the table may be of any length', CONTROL,
             'if ((entries & (entries - 1)) || entries > config->rss_max_table) {', 'if ((entries & (entries - 1))) {'),
            ('a key may be too long', CONTROL, 'key_len > config->rss_max_key_size ||', ''),
            ('pairs are not looked at', CONTROL, 'answer = pairs[i] >= config->max_pairs ? ANSWER_VALUE : answer;', ''))),
        (13, 'hash', True, (
            ('the key is not held against the payload', CONTROL,
             'if (end - p < 1 || (size_t)(end - p) < 1u + p[0] + tail) {', 'if (0) {'),)),
        (14, 'offloads', True, ()),
        (15, 'coalescing', False, ()),
        (17, 'queue-coalescing', True, ()),
        (18, 'get-coalescing', True, ()),
        (19, 'tunnels', True, ()),
        (21, 'stats', True, (
            ('a part of an entry counts', CONTROL,
             'const size_t n = request->len / sizeof(struct virtio_net_ctrl_queue_stats_entry);',
             'const size_t n = request->len / sizeof(struct virtio_net_ctrl_queue_stats_entry) + 1;'),)),
        (23, 'context-add', True, (
            ('any context is one', CONTROL, 'return id == 0 || id > device->config.max_rss_contexts ? NULL :',
             'return id == 0 ? NULL :'),)),
        (25, 'context-delete', True, ()),
    )
] + [
    Claim('state-sections', 'P10', 'state_decoder.c', 'sections_any', (RECORD,), state(0, 64), state(0, 96), (
        ('a section may be longer than the state', FORMAT, 'get_le32(p + SECTION_LENGTH) > *len - SECTION_SIZE', '0'),
        ('a name need not end', FORMAT, 'return n > 0 && n < NAME_LEN;', 'return n > 0;'),
        ('a header may be cut', FORMAT, 'if (len < HEADER_SIZE || memcmp(', 'if (memcmp('),
    ), ('a section',)),
    Claim('state-device', 'P10', 'state_decoder.c', 'record_any', (RECORD,), state('STATE_DEVICE', 64), state('STATE_DEVICE', 64), (
        ('words are not held against the section', RECORD, 'if (items * item_size(field) > len) {', 'if (0) {'),
    ), ('read',), options=('--object-bits', '12')),
    Claim('state-flows', 'P10', 'state_decoder.c', 'record_any', (RECORD,), state('STATE_FLOWS', 12), state('STATE_FLOWS', 12), (
        ('a list is not held against the section', RECORD, 'if (items * item_size(field) > len) {', 'if (0) {'),
        ('the number of items is not', RECORD, 'if (len < sizeof(uint32_t)) {', 'if (0) {'),
    ), ('read',), options=('--object-bits', '12')),
]
