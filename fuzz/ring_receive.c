/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames to the driver: a burst is delivered, and the used buffers must be these frames, in order, or
 * the lack of buffers explain why not. See ring_run.h.
 */
#include <string.h>

#include "ring_run.h"

#define MAX_BURST 8
#define MAX_LEN   9000 /* octets of a frame, but for the largest */

struct offered {
    uint8_t octets[VIONET_MAX_FRAME + 1];
    struct iovec pieces[3];
    VionetFrame frame;
    size_t len;
    bool matched;
};

static struct offered burst[MAX_BURST];
static uint8_t gathered[2 * VIONET_MAX_FRAME];

static size_t choose_length(struct input *input)
{
    const uint8_t how = input_8(input);

    switch (how >> 5) {
    case 0:
        return how; /* runts too */
    case 1:
        return 14 + (how & 31) * 48u;
    case 6:
        return 1000 + (how & 31) * 250u;
    case 7:
        return how == 0xff ? VIONET_MAX_FRAME + 1 : how >= 0xf8 ? VIONET_MAX_FRAME : MAX_LEN;
    default:
        return 60 + (how & 63);
    }
}

/* A broadcast frame that differs from all others. */
static void make_frame(struct run *run, struct offered *offered)
{
    const size_t len = choose_length(&run->input);
    const size_t first = input_below(&run->input, 64);
    uint8_t *octets = offered->octets;

    run->serial++;
    memset(octets, 0xff, 6);
    for (size_t i = 6; i < 10; i++) {
        octets[i] = (uint8_t)(run->serial >> 8 * (i - 6));
    }
    for (size_t i = 10; i < (len < 64 ? 64 : len); i++) {
        octets[i] = (uint8_t)(run->serial + i);
    }
    if (len >= 34) { /* IPv4 with addresses of its own, for steering by flow */
        octets[12] = 8;
        octets[13] = 0;
        octets[14] = 0x45;
        octets[26] = (uint8_t)(run->serial * 37);
    }
    offered->len = len;
    offered->matched = false;
    offered->pieces[0] = (struct iovec){octets, first < len ? first : len};
    offered->pieces[1] = (struct iovec){octets, 0};
    offered->pieces[2] =
        (struct iovec){octets + offered->pieces[0].iov_len, len - offered->pieces[0].iov_len};
    offered->frame = (VionetFrame){.iov = offered->pieces, .n_iov = 3};
}

/* The octets that a used buffer holds, appended to what is gathered. */
static size_t gather(const struct run *run, const struct model_chain *chain, uint32_t len,
                     size_t at)
{
    for (unsigned i = 0; i < chain->n && len; i++) {
        const struct rig_piece *piece = &chain->pieces[i];
        const uint32_t part = piece->len < len ? piece->len : len;

        if (piece->writable) {
            FUZZ_REQUIRE(at + part <= sizeof(gathered), "a packet without end");
            rig_load(&run->rig, piece->gpa, gathered + at, part);
            at += part;
            len -= part;
        }
    }
    return at;
}

/* The next used buffer of a receive queue; its octets are gathered from at on. */
static size_t next_buffer(struct run *run, struct model *model, size_t at, bool *full)
{
    static struct model_chain chain;
    uint32_t id, len;

    FUZZ_REQUIRE(model_unseen(model, &run->rig, &id, &len),
                 "queue %u: a packet's buffers are not all used", model->queue);
    FUZZ_REQUIRE(model_look(model, &run->rig, 0, &chain) == MODEL_CHAIN && chain.head == id,
                 "queue %u: buffer %u is used, which is not next", model->queue, id);
    FUZZ_REQUIRE(len <= chain.in_len, "queue %u: %u octets are used of %llu", model->queue, len,
                 (unsigned long long)chain.in_len);
    *full = len == chain.in_len;
    model_use(model, &chain, len);
    return gather(run, &chain, len, at);
}

/* The next packet of a receive queue: its header is as it must be; the octets of all of it. */
static size_t next_packet(struct run *run, struct model *model)
{
    const bool hashes = vionet_device_counter(run->rig.device, rig_control(&run->rig),
                                              VIONET_COUNTER_COMMANDS_OK) > 0;
    bool full;
    size_t len = next_buffer(run, model, 0, &full);
    unsigned n_buffers;

    FUZZ_REQUIRE(len >= run->hdr_len, "queue %u: %zu octets of packet header", model->queue, len);
    n_buffers = gathered[10] | gathered[11] << 8;
    FUZZ_REQUIRE(n_buffers >= 1 && (n_buffers == 1 || run->mergeable), "num_buffers is %u",
                 n_buffers);
    for (unsigned i = 0; i < run->hdr_len; i++) {
        FUZZ_REQUIRE(gathered[i] == 0 || i == 10 || i == 11 || (hashes && i >= 12 && i < 18),
                     "octet %u of a packet header is %u", i, gathered[i]);
    }
    fuzz_reach[MERGED].count += n_buffers > 1;
    for (unsigned i = 1; i < n_buffers; i++) {
        FUZZ_REQUIRE(full, "buffer %u of a packet is not full, and not the last", i - 1);
        len = next_buffer(run, model, len, &full);
    }
    return len;
}

static bool is_packet(const struct run *run, const struct offered *offered, size_t len)
{
    return len == run->hdr_len + offered->len &&
           memcmp(gathered + run->hdr_len, offered->octets, offered->len) == 0;
}

/*
 * Buffers that lie over each other cannot be looked at afterwards; nor if they lie over one that a
 * frame began to fill that did not fit in the end.
 */
static bool buffers_overlap(const struct run *run)
{
    static struct rig_piece pieces[RIG_MAX_PAIRS * RIG_MAX_SIZE * 8];
    static struct model_chain chain;
    unsigned n = 0;

    for (unsigned queue = 0; queue < 2 * run->pairs; queue += 2) {
        const struct model *model = &run->models[queue];

        for (unsigned ahead = 0; known(run, queue) && ahead < RIG_MAX_SIZE; ahead++) {
            if (model_look(model, &run->rig, ahead, &chain) != MODEL_CHAIN) {
                break;
            }
            for (unsigned i = 0; i < chain.n; i++) {
                if (n == sizeof(pieces) / sizeof(pieces[0])) {
                    return true;
                }
                if (chain.pieces[i].writable && chain.pieces[i].len) {
                    pieces[n++] = chain.pieces[i];
                }
            }
        }
    }
    for (unsigned i = 0; i < n; i++) {
        for (unsigned j = i + 1; j < n; j++) {
            if (pieces[i].gpa <= pieces[j].gpa ? pieces[j].gpa - pieces[i].gpa < pieces[i].len
                                               : pieces[i].gpa - pieces[j].gpa < pieces[j].len) {
                return true;
            }
        }
    }
    return false;
}

/* Takes the used buffers for what they are, in the order of the ring. */
static void account_blindly(struct run *run, struct model *model)
{
    uint32_t id, len;
    bool full;

    while (model_unseen(model, &run->rig, &id, &len)) {
        next_buffer(run, model, 0, &full);
    }
}

/* The buffers that are there. */
struct room {
    unsigned buffers;
    unsigned entries; /* of the ring */
    uint64_t octets;
};

static struct room room_left(const struct run *run, const struct model *model)
{
    static struct model_chain chain;
    struct room room = {0};

    for (; room.buffers < RIG_MAX_SIZE; room.buffers++) {
        const enum model_found found = model_look(model, &run->rig, room.buffers, &chain);

        FUZZ_REQUIRE(found != MODEL_WRONG, "queue %u: a wrong buffer is taken for none",
                     model->queue);
        if (found == MODEL_NONE) {
            break;
        }
        room.octets += chain.in_len;
        room.entries += chain.entries;
    }
    return room;
}

/* A frame was refused for want of buffers: there were none that would have done, yet. */
static void require_no_room(struct run *run, const struct model *model, size_t len)
{
    const struct room room = room_left(run, model);

    REACHED(NO_ROOM);
    FUZZ_REQUIRE(room.buffers == 0 || (run->mergeable && room.octets < run->hdr_len + len &&
                                       room.entries < run->rig.queues[model->queue].size),
                 "queue %u: a frame of %zu octets has no room in %llu, %u entries", model->queue,
                 len, (unsigned long long)room.octets, room.entries);
}

/* It was refused for ever: the next buffer, or with MRG_RXBUF all of the ring, is too small. */
static void require_too_small(struct run *run, const struct model *model, size_t len)
{
    static struct model_chain chain;

    REACHED(TOO_SMALL);
    FUZZ_REQUIRE(model_look(model, &run->rig, 0, &chain) == MODEL_CHAIN &&
                     chain.in_len >= run->hdr_len && chain.in_len < run->hdr_len + len,
                 "queue %u: a buffer is called too small", model->queue);
    if (run->mergeable) {
        const struct room room = room_left(run, model);

        FUZZ_REQUIRE(room.octets < run->hdr_len + len &&
                         room.entries >= run->rig.queues[model->queue].size,
                     "queue %u: a frame of %zu octets is called too large for %llu, %u entries",
                     model->queue, len, (unsigned long long)room.octets, room.entries);
    }
}

/* One queue takes all: what became of each frame follows from the buffers that were there. */
static void account_in_order(struct run *run, unsigned n, const VionetVerdict *verdicts, bool hold)
{
    struct model *model = model_of(run, 0);
    bool held = false;

    for (unsigned i = 0; i < n; i++) {
        const struct offered *offered = &burst[i];

        switch (verdicts[i]) {
        case VIONET_DELIVERED:
            FUZZ_REQUIRE(!held, "a frame has overtaken one that is held");
            FUZZ_REQUIRE(is_packet(run, offered, next_packet(run, model)),
                         "frame %u is not what arrived", i);
            break;
        case VIONET_HELD:
        case VIONET_DROP_NO_BUFFER:
            FUZZ_REQUIRE((verdicts[i] == VIONET_HELD) == hold, "held or not: verdict %u",
                         verdicts[i]);
            if (!held) {
                require_no_room(run, model, offered->len);
            }
            held = hold;
            break;
        case VIONET_DROP_BUFFER_TOO_SMALL:
            require_too_small(run, model, offered->len);
            break;
        default:
            break;
        }
    }
    if (held) {
        require_kicks_wanted(run, 0);
    }
}

/* Whether no frame had to go to another queue than its own, behind frames that came after it. */
static bool all_there(const struct run *run)
{
    for (unsigned queue = 0; queue < 2 * run->pairs; queue += 2) {
        if (!live(run, queue) || run->rig.faulted[queue] ||
            !model_parts_good(&run->models[queue], &run->rig)) {
            return false;
        }
    }
    return true;
}

/* Several queues: each packet is one of the frames delivered, and in the order of the burst. */
static void account_spread(struct run *run, unsigned n, const VionetVerdict *verdicts)
{
    const bool ordered = all_there(run);
    unsigned used_pairs = 0;

    for (unsigned queue = 0; queue < 2 * run->pairs; queue += 2) {
        struct model *model = model_of(run, queue);
        uint32_t id, used_len;
        unsigned last = 0;

        if (!known(run, queue)) {
            continue;
        }
        used_pairs += model_unseen(model, &run->rig, &id, &used_len);
        while (model_unseen(model, &run->rig, &id, &used_len)) {
            const size_t len = next_packet(run, model);
            unsigned i = last;

            while (i < n && !(verdicts[i] == VIONET_DELIVERED && !burst[i].matched &&
                              is_packet(run, &burst[i], len))) {
                i++;
            }
            FUZZ_REQUIRE(i < n, "queue %u: a packet that was not sent, or out of order", queue);
            burst[i].matched = true;
            last = ordered ? i : 0;
        }
    }
    fuzz_reach[SEVERAL_PAIRS].count += used_pairs > 1;
}

static bool all_known(const struct run *run)
{
    for (unsigned queue = 0; queue < 2 * run->pairs; queue += 2) {
        const struct model *model = &run->models[queue];

        if (run->wild || (model->started && model->rude)) {
            return false;
        }
    }
    return true;
}

static void account_receive(struct run *run, unsigned n, const VionetVerdict *verdicts, bool hold)
{
    const bool single = vionet_device_counter(run->rig.device, rig_control(&run->rig),
                                              VIONET_COUNTER_COMMANDS_OK) == 0;
    const bool in_order = single && known(run, 0);
    const bool blindly = buffers_overlap(run) || !(in_order || all_known(run));
    unsigned delivered = 0, matched = 0;

    for (unsigned i = 0; i < n; i++) {
        delivered += verdicts[i] == VIONET_DELIVERED;
    }
    fuzz_reach[DELIVERED].count += delivered;
    if (single && delivered) {
        require_jump_noticed(run, 0);
    }
    if (!blindly && in_order) {
        account_in_order(run, n, verdicts, hold);
    } else if (!blindly) {
        account_spread(run, n, verdicts);
        for (unsigned i = 0; i < n; i++) {
            matched += burst[i].matched;
        }
        FUZZ_REQUIRE(matched == delivered, "%u frames were delivered, %u arrived", delivered,
                     matched);
    }
    for (unsigned queue = 0; queue < 2 * run->pairs; queue += 2) {
        if (known(run, queue)) {
            if (blindly) {
                account_blindly(run, model_of(run, queue));
            }
            model_require_used(model_of(run, queue), &run->rig);
        }
    }
}

void act_receive(struct run *run)
{
    const uint8_t how = input_8(&run->input);
    const unsigned n = 1 + how % MAX_BURST;
    const bool hold = how & 0x40;
    VionetVerdict verdicts[MAX_BURST];
    VionetFrame frames[MAX_BURST];
    size_t delivered;

    for (unsigned i = 0; i < n; i++) {
        make_frame(run, &burst[i]);
        frames[i] = burst[i].frame;
    }
    before(run);
    delivered = vionet_device_receive(run->rig.device, how >> 3 & 3, frames, n, verdicts,
                                      hold ? VIONET_RECEIVE_HOLD : 0);
    check_memory(run, "receive");
    FUZZ_REQUIRE(delivered == 0 || (run->running && run->dma && run->link && !run->failed),
                 "frames are delivered to a device that does not run");
    account_receive(run, n, verdicts, hold);
    after(run, "receive");
}
