/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ring memory as input: features, sizes and places of the rings, then a program of actions by a
 * driver that is honest or not, by the host, and by whoever owns the machine. After each the used
 * rings and all of guest memory are held against the model of ring_model.h: every buffer is used at
 * most once each time it is made available, with no more octets than it holds, and nothing is
 * written but used rings and writable buffers. In the end a reset makes a working device of it.
 *
 * Setup: 1 octet pairs, 1 sizes, 2 features (see features[]), 1 places; then actions, an octet each
 * with its operands (see actions[]). Features say, anew after each reset, which format the rings have.
 */
#include <string.h>

#include "ring_run.h"

#define MAX_ACTIONS 96
#define MAX_LARGE   6

struct reach fuzz_reach[] = {
    [DRIVER_OK] = {"times DRIVER_OK", 100, 0},
    [POSTED] = {"buffers posted", 1000, 0},
    [POSTED_INDIRECT] = {"of them by an indirect table", 100, 0},
    [POSTED_PACKED] = {"and in packed rings", 400, 0},
    [USED_PACKED] = {"calls that used buffers of packed rings", 200, 0},
    [DELIVERED] = {"frames delivered", 150, 0},
    [MERGED] = {"of them over several buffers", 20, 0},
    [NO_ROOM] = {"frames without room", 20, 0},
    [TOO_SMALL] = {"frames larger than their buffer", 5, 0},
    [TAKEN] = {"frames taken from the driver", 100, 0},
    [DROPPED] = {"frames of the driver dropped", 20, 0},
    [STARVED] = {"stops for want of slots", 3, 0},
    [COMPLETED] = {"frames completed", 80, 0},
    [COMMANDS] = {"commands answered", 30, 0},
    [COMMANDS_OK] = {"of them with OK", 10, 0},
    [WANTED_INTERRUPTS] = {"notifications that the driver wanted", 100, 0},
    [KICKS_CHECKED] = {"times the device had to want notifications", 30, 0},
    [QUEUE_RESETS] = {"queue resets", 10, 0},
    [DEVICE_RESETS] = {"device resets", 5, 0},
    [REMAPPED] = {"mappings changed", 10, 0},
    [BROKEN] = {"queues broken", 30, 0},
    [RUDE] = {"queues past prediction", 5, 0},
    [JUMPS] = {"indices ahead of what the ring holds", 5, 0},
    [WILD] = {"runs in which the device may write over a ring", 2, 0},
    [SEVERAL_PAIRS] = {"bursts spread over several pairs", 5, 0},
    [WORKS] = {"devices that worked in the end", 100, 0},
    {NULL, 0, 0},
};

/* ---- the driver ---- */

static const unsigned features[] = {
    VIRTIO_NET_F_CTRL_VQ,  VIRTIO_F_INDIRECT_DESC, VIRTIO_F_EVENT_IDX,
    VIRTIO_F_IN_ORDER,     VIRTIO_NET_F_MRG_RXBUF, VIRTIO_NET_F_HASH_REPORT,
    VIRTIO_F_RING_RESET,   VIRTIO_NET_F_MQ,        VIRTIO_NET_F_RSS,
    VIRTIO_NET_F_CSUM,     VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_HOST_TSO6,
    VIRTIO_NET_F_HOST_USO, VIRTIO_NET_F_HOST_UFO,  VIRTIO_NET_F_HOST_ECN,
    VIRTIO_F_RING_PACKED,
};

/* Features by the bits of a word; what lacks a requirement is left out. */
static void choose_features(uint16_t bits, uint64_t accepted[VIONET_FEATURE_WORDS])
{
    memset(accepted, 0, VIONET_FEATURE_WORDS * sizeof(accepted[0]));
    vionet_features_set(accepted, VIRTIO_F_VERSION_1, true);
    vionet_features_set(accepted, VIRTIO_NET_F_CTRL_RX, true);
    for (unsigned i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
        vionet_features_set(accepted, features[i], bits >> i & 1);
    }
    rig_sound_features(accepted);
}

static bool packed(const struct run *run)
{
    return rig_has(&run->rig, VIRTIO_F_RING_PACKED);
}

static uint16_t size_of_queue(const struct run *run, unsigned queue)
{
    const uint16_t size = run->sizes[queue == rig_control(&run->rig) ? 2 : queue % 2];

    return packed(run) && run->uneven ? size - 1 : size;
}

/* Some place where a part of a ring had better not be, or may be against all appearances. */
static void place_oddly(struct run *run, unsigned queue, unsigned how)
{
    static const uint8_t zero[VIRTQ_DESC_TABLE_SIZE(RIG_MAX_SIZE)];
    struct rig_queue *q = &run->rig.queues[queue];
    const unsigned area = how % 3;
    const bool spoiled = run->rig.spoiled;

    switch (how / 3 % 6) {
    case 0:
        q->area[area] += 1 + how % 16; /* misaligned, most of the time */
        break;
    case 1:
        q->area[area] = RIG_BASE + 0x8000 - 16; /* across two mappings */
        break;
    case 2:
        q->area[area] = RIG_READONLY;
        break;
    case 3:
        q->area[area] = RIG_TOP + 0x2000 - 64; /* past the end of the address space */
        break;
    case 4:
        q->area[area] = how & 0x80 ? 0 : RIG_READONLY + 0x1000;
        break;
    default:
        q->area[area] = RIG_TOP;
        break;
    }
    if (packed(run)) {
        rig_store(&run->rig, q->area[VIONET_AREA_DEVICE], zero, PVIRTQ_EVENT_SIZE);
        rig_store(&run->rig, q->area[VIONET_AREA_DESC], zero, PVIRTQ_DESC_RING_SIZE(q->size));
    } else {
        rig_store(&run->rig, q->area[VIONET_AREA_DEVICE], zero, VIRTQ_USED_SIZE(q->size));
    }
    run->rig.odd = true;
    run->rig.spoiled = spoiled; /* by this it is not */
    run->raw = true;
}

static void set_up(struct run *run, unsigned queue, uint8_t place)
{
    const bool enabled = vionet_device_queue_enabled(run->rig.device, queue);

    if (enabled || !vionet_device_queue_size(run->rig.device, queue)) {
        return;
    }
    rig_place(&run->rig, queue, size_of_queue(run, queue));
    if (place >= 0xe0) {
        place_oddly(run, queue, place & 31);
    }
    run->poll[queue] = false;
    run->rig.faulted[queue] = false;
    model_start(model_of(run, queue), queue, packed(run));
    before(run);
    rig_enable(&run->rig, queue);
    model_of(run, queue)->started = run->running;
    after(run, "enabling a queue");
}

/* From reset to DRIVER_OK. Queues are looked at from then on. */
static void start(struct run *run, uint16_t bits)
{
    uint64_t accepted[VIONET_FEATURE_WORDS];
    const uint8_t place = input_8(&run->input);

    choose_features(bits, accepted);
    FUZZ_REQUIRE(rig_negotiate(&run->rig, accepted), "features are refused");
    run->hdr_len = rig_has(&run->rig, VIRTIO_NET_F_HASH_REPORT) ? 20 : 12;
    run->mergeable = rig_has(&run->rig, VIRTIO_NET_F_MRG_RXBUF);
    for (unsigned i = 0; i < run->n_models; i++) {
        set_up(run, i, place >> 5 == 7 && i == place % run->n_models ? input_8(&run->input) : 0);
    }
    for (unsigned i = 0; i < run->n_models; i++) {
        model_of(run, i)->started = vionet_device_queue_enabled(run->rig.device, i);
    }
    before(run);
    run->running = true;
    vionet_device_write_status(run->rig.device,
                               vionet_device_status(run->rig.device) | VIRTIO_STATUS_DRIVER_OK);
    REACHED(DRIVER_OK);
    after(run, "DRIVER_OK");
}

static void reset(struct run *run)
{
    for (unsigned i = 0; i < run->n_models; i++) {
        model_of(run, i)->started = false;
        run->poll[i] = false;
    }
    run->running = run->failed = run->raw = run->wild = false;
    memset(run->starved, 0, sizeof(run->starved));
    memset(run->n_pending, 0, sizeof(run->n_pending));
    run->commands_ok = 0;
    before(run);
    rig_reset(&run->rig);
    after(run, "reset");
    for (unsigned i = 1; i < run->n_models; i += 2) {
        forget_outs(run, i);
    }
}

static void act_reset(struct run *run)
{
    reset(run);
    REACHED(DEVICE_RESETS);
    start(run, input_16(&run->input));
}

static void act_reset_queue(struct run *run)
{
    const unsigned queue = input_below(&run->input, run->n_models);
    const uint8_t place = input_8(&run->input);
    bool done;

    before(run);
    done = vionet_device_reset_queue(run->rig.device, queue);
    if (done) {
        model_of(run, queue)->started = false;
        model_of(run, queue)->broken = false;
        run->rig.faulted[queue] = false;
        run->poll[queue] = false;
        if (queue % 2) {
            run->starved[queue / 2] = false;
            run->n_pending[queue / 2] = 0;
        }
        REACHED(QUEUE_RESETS);
    }
    after(run, "queue reset");
    if (done) {
        forget_outs(run, queue);
        if (place & 1) {
            rig_store(&run->rig, RIG_BASE + (uint64_t)queue * RIG_RING_SPACE,
                      (uint8_t[RIG_RING_SPACE]){0}, RIG_RING_SPACE);
            set_up(run, queue, place);
        }
    }
}

/* Pieces of a buffer: lengths from the input, memory from the pool or, seldom, from elsewhere. */
static unsigned choose_pieces(struct run *run, unsigned queue, struct rig_piece *pieces,
                              uint8_t how)
{
    const bool control = queue == rig_control(&run->rig);
    const bool transmit = queue % 2 == 1;
    const unsigned n = 1 + how % 5;

    for (unsigned i = 0; i < n; i++) {
        const uint8_t size = input_8(&run->input);
        uint32_t len = size < 32 ? size : size < 192 ? (size - 31) * 10u : size - 192u;

        if (size == 0xff) {
            len = input_edgy(&run->input, 65550);
            run->raw = true;
        }
        pieces[i] =
            (struct rig_piece){rig_buffer(&run->rig, len), len, control ? i + 1 == n : !transmit};
        if (size == 0xfe) { /* in the last mapping, where the device may not write, nowhere */
            const unsigned where = input_below(&run->input, 4);

            pieces[i].gpa = where == 0   ? RIG_TOP
                            : where == 1 ? RIG_READONLY
                            : where == 2 ? RIG_BASE + 0x8000 - len / 2
                                         : 0x900000;
            pieces[i].len = len % 512;
            run->raw = true;
        }
    }
    return n;
}

/* A packet header, mostly of zeroes, in front of what is transmitted. */
static void store_header(struct run *run, const struct rig_piece *piece)
{
    uint8_t hdr[HEADER_MAX] = {0};
    const uint8_t how = input_8(&run->input);

    if (how & 0x80) {
        input_octets(&run->input, hdr, 10);
    }
    rig_store(&run->rig, piece->gpa, hdr, piece->len < run->hdr_len ? piece->len : run->hdr_len);
}

static void store_command(struct run *run, const struct rig_piece *pieces, unsigned n)
{
    uint8_t command[8] = {0};
    const uint8_t how = input_8(&run->input);

    command[0] = how & 0x80 ? input_8(&run->input) : VIRTIO_NET_CTRL_MQ;
    command[1] = how & 0x80 ? input_8(&run->input) : VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET;
    command[2] = how & 7;
    for (unsigned i = 0, at = 0; i < n && at < sizeof(command); i++) {
        const uint32_t part = (uint32_t)sizeof(command) - at;

        rig_store(&run->rig, pieces[i].gpa, command + at,
                  pieces[i].len < part ? pieces[i].len : part);
        at += pieces[i].len < part ? pieces[i].len : part;
    }
}

static void kick(struct run *run, unsigned queue)
{
    before(run);
    vionet_device_kick(run->rig.device, queue);
    after(run, "kick");
}

/* A packed ring has no place for so many descriptors more; whoever posts all the same spoils others. */
static bool full(const struct run *run, unsigned queue, unsigned n)
{
    const struct rig_queue *q = &run->rig.queues[queue];

    return packed(run) && (uint16_t)(q->next - run->models[queue].used) + n > q->size;
}

/*
 * how: 0x07 pieces, 0x08 indirect, 0x10 not published yet (split), 0x20 notified whatever the device
 * says, 0xc0 posted wherever there is no room (packed; split it always is)
 */
static void act_post(struct run *run)
{
    const unsigned queue = input_below(&run->input, run->n_models);
    const uint8_t how = input_8(&run->input);
    struct rig_piece pieces[5];
    struct model *model = model_of(run, queue);
    bool would_kick;
    unsigned n;

    if (!run->rig.queues[queue].size) {
        return;
    }
    n = choose_pieces(run, queue, pieces, how & 7);
    if (queue == rig_control(&run->rig)) {
        store_command(run, pieces, n);
    } else if (queue % 2) {
        store_header(run, &pieces[0]);
    }
    if (full(run, queue, how & 8 ? 1 : n) && how < 0xc0) {
        return;
    }
    would_kick = model->started && model_would_kick(model, &run->rig);
    rig_post(&run->rig, queue, pieces, n, how & 8);
    REACHED(POSTED);
    fuzz_reach[POSTED_INDIRECT].count += how >> 3 & 1;
    fuzz_reach[POSTED_PACKED].count += packed(run);
    if (!(how & 0x10)) {
        rig_publish(&run->rig, queue);
    }
    if (would_kick || (how & 0x20)) {
        kick(run, queue);
    }
}

/* A table of hundreds of entries, all of them the same few octets, or one that is a loop. */
static void act_post_large(struct run *run)
{
    const unsigned queue = input_below(&run->input, run->n_models);
    const unsigned n = 1 + input_16(&run->input) % (MODEL_MAX_CHAIN + 2);
    const uint8_t how = input_8(&run->input);
    const uint16_t flags = queue % 2 == 0 ? VIRTQ_DESC_F_WRITE : 0;
    struct rig_queue *q = &run->rig.queues[queue];
    const uint64_t table = RIG_BASE + 0x8000 - 64;
    uint16_t head;

    if (!q->size || run->n_large == MAX_LARGE) {
        return;
    }
    run->n_large++;
    for (unsigned i = 0; i < n; i++) {
        const uint16_t more = i + 1 < n || (how & 0x80) ? VIRTQ_DESC_F_NEXT : 0;
        const uint16_t next = (uint16_t)(i + 1 < n ? i + 1 : 0);

        rig_store_desc(&run->rig, table + 16u * i, RIG_TOP + i % 64, how & 63,
                       packed(run) ? next : flags | more, packed(run) ? flags | more : next);
    }
    run->raw = true;
    if (packed(run)) {
        rig_store_packed(&run->rig, queue, table, 16 * n, q->next % q->size, VIRTQ_DESC_F_INDIRECT);
    } else {
        head = q->next++ & (q->size - 1);
        rig_store_desc(&run->rig, q->area[VIONET_AREA_DESC] + 16u * head, table, 16 * n,
                       VIRTQ_DESC_F_INDIRECT, 0);
        rig_offer(&run->rig, queue, head);
        rig_publish(&run->rig, queue);
    }
    if (how & 0x40) {
        kick(run, queue);
    }
}

static void act_kick(struct run *run)
{
    const unsigned queue = input_8(&run->input);

    if (queue < run->n_models && run->rig.queues[queue].size) {
        rig_publish(&run->rig, queue);
    }
    kick(run, queue);
}

/* A number into some word of a queue's rings. */
static void act_store_word(struct run *run)
{
    const unsigned queue = input_below(&run->input, run->n_models);
    const struct rig_queue *q = &run->rig.queues[queue];
    const unsigned area = input_below(&run->input, 3);
    const unsigned at = input_16(&run->input);
    const uint16_t value = (uint16_t)input_edgy(&run->input, q->posted);

    if (!q->size) {
        return;
    }
    /* Everything there is to a ring, but the parts that are the device's own. */
    if (area != VIONET_AREA_DESC && packed(run)) {
        rig_store16(&run->rig, q->area[VIONET_AREA_DRIVER] + 2 * (at & 1), value);
    } else if (area == VIONET_AREA_DEVICE) {
        rig_store16(&run->rig, q->area[VIONET_AREA_DRIVER] + 4 + 2u * q->size, value);
    } else {
        rig_store16(&run->rig,
                    q->area[area] +
                        2u * (at % (area == VIONET_AREA_DESC ? 8u * q->size : q->size + 3u)),
                    value);
    }
    run->raw = true;
}

/* Any descriptor, in any place, or as the next one of a packed ring; 0x40 of flags: not available. */
static void act_store_desc(struct run *run)
{
    const unsigned queue = input_below(&run->input, run->n_models);
    const struct rig_queue *q = &run->rig.queues[queue];
    const uint8_t where = input_8(&run->input);
    const uint8_t flags = input_8(&run->input);
    const uint32_t len = input_edgy(&run->input, 16u * q->size);
    const uint16_t next = (uint16_t)input_edgy(&run->input, q->size);
    uint64_t gpa = where & 0x80 ? RIG_BUFFERS + 64u * (where & 0x7f) : RIG_TABLES + 16u * where;

    if (!q->size) {
        return;
    }
    if (where >= 0xf8) {
        const uint64_t far[8] = {0,        UINT64_MAX,       RIG_TOP,  RIG_READONLY,
                                 RIG_BASE, RIG_TOP + 0x1ff0, 0x900000, RIG_BASE + 0x8000 - 8};

        gpa = far[where & 7];
    }
    if (packed(run) && !(flags & 0x80)) {
        rig_store_packed(&run->rig, queue, gpa, len, next,
                         (flags & 7) | (flags & 0x40 ? VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED : 0));
    } else {
        rig_store_desc(&run->rig, q->area[VIONET_AREA_DESC] + 16u * ((flags >> 3) % q->size), gpa,
                       len, flags & 7, next);
    }
    run->raw = true;
}

/* What a driver of a packed ring wishes to be notified of: always, never, or a place. */
static void suppress_packed(struct run *run, const struct rig_queue *q, uint16_t used,
                            uint8_t value)
{
    const unsigned place = used + (value >> 3);
    const uint16_t wrap = place / q->size % 2 == 0 ? RING_EVENT_WRAP : 0;

    rig_store16(&run->rig, q->area[VIONET_AREA_DRIVER], (uint16_t)(place % q->size | wrap));
    rig_store16(&run->rig, q->area[VIONET_AREA_DRIVER] + 2, value & 3);
}

/* The available flags, or the used event word. */
static void act_suppress(struct run *run)
{
    const unsigned queue = input_below(&run->input, run->n_models);
    const struct rig_queue *q = &run->rig.queues[queue];
    const uint8_t value = input_8(&run->input);

    if (!q->size) {
        return;
    }
    if (packed(run)) {
        suppress_packed(run, q, run->models[queue].used, value);
        return;
    }
    rig_store16(&run->rig, q->area[VIONET_AREA_DRIVER], value & 1);
    rig_store16(&run->rig, q->area[VIONET_AREA_DRIVER] + 4 + 2u * q->size,
                (uint16_t)(run->models[queue].used + (value >> 1) - 4));
}

/* Registers that are not to be written now. */
static void act_registers(struct run *run)
{
    const uint8_t how = input_8(&run->input);
    const unsigned queue = how & 15;
    const uint32_t value = input_edgy(&run->input, 16);

    before(run);
    if (queue < run->n_models && !vionet_device_queue_enabled(run->rig.device, queue)) {
        return;
    }
    switch (how >> 4 & 7) {
    case 0:
        vionet_device_write_queue_size(run->rig.device, queue, (uint16_t)value);
        break;
    case 1:
        vionet_device_write_queue_area(run->rig.device, queue, (VionetQueueArea)(value & 3), value);
        break;
    case 2:
        vionet_device_write_queue_enable(run->rig.device, queue, (uint16_t)value);
        break;
    case 3:
        vionet_device_write_driver_features(run->rig.device, value & 7, value);
        break;
    case 4:
        vionet_device_config_write(run->rig.device, value, "abcd", 4);
        break;
    case 5:
        vionet_device_timer(run->rig.device, value);
        break;
    case 6:
        vionet_device_announce(run->rig.device);
        break;
    default:
        vionet_device_write_status(run->rig.device, (uint8_t)(value | 1));
        run->failed = run->failed || (value & VIRTIO_STATUS_FAILED);
        break;
    }
    after(run, "a register");
}

/* ---- the machine ---- */

static void act_map(struct run *run)
{
    struct rig_region *region = &run->rig.regions[input_below(&run->input, RIG_REGIONS)];

    before(run);
    if (region->mapped) {
        region->mapped = !vionet_device_unmap(run->rig.device, region->gpa, region->size, NULL);
    } else {
        region->mapped = vionet_device_map(run->rig.device, region->gpa, region->host, region->size,
                                           region->flags, NULL);
    }
    REACHED(REMAPPED);
    after(run, "a change of the map");
}

/* The host polls a receive or transmit queue, or no longer: then it is told of what is there. */
static void act_poll(struct run *run)
{
    const uint8_t how = input_8(&run->input);
    const unsigned queue = how % run->n_models;
    const bool poll = how & 0x80;
    const bool good = queue != rig_control(&run->rig) && live(run, queue) &&
                      model_parts_good(model_of(run, queue), &run->rig);
    static struct model_chain chain;

    before(run);
    vionet_device_set_poll(run->rig.device, queue, poll);
    run->poll[queue] = good ? poll : run->poll[queue];
    after(run, "a change of polling");
    if (good && !poll && known(run, queue) &&
        model_look(model_of(run, queue), &run->rig, 0, &chain) != MODEL_NONE) {
        FUZZ_REQUIRE(run->rig.kicks[queue] != run->old_kicks[queue],
                     "queue %u: polling ends, and what is there is forgotten", queue);
    }
}

static void act_machine(struct run *run)
{
    const uint8_t how = input_8(&run->input);

    before(run);
    if (how & 1) {
        run->dma = !run->dma;
        vionet_device_set_dma(run->rig.device, run->dma);
        check_memory(run, "a change of bus mastering");
        account_resumed(run);
    } else {
        run->link = !run->link;
        vionet_device_set_link(run->rig.device, run->link);
    }
    after(run, "a switch of the machine");
}

/* Those that make up most of a program stand several times. */
static void (*const actions[])(struct run *run) = {
    act_post,       act_post,       act_post,       act_post,        act_post,     act_post,
    act_receive,    act_receive,    act_receive,    act_receive,     act_transmit, act_transmit,
    act_transmit,   act_complete,   act_complete,   act_kick,        act_kick,     act_suppress,
    act_store_word, act_store_desc, act_post_large, act_reset_queue, act_reset,    act_map,
    act_poll,       act_machine,    act_registers,
};

#define N_ACTIONS (sizeof(actions) / sizeof(actions[0]))

/* ---- a run ---- */

static void begin(struct run *run, const uint8_t *data, size_t size)
{
    VionetConfig config;
    uint8_t sizes;

    memset(run, 0, sizeof(*run));
    run->input = input_of(data, size);
    run->pairs = 1 + input_below(&run->input, RIG_MAX_PAIRS);
    run->n_models = 2 * run->pairs + 1;
    run->dma = run->link = true;
    rig_config(&config, vionet_dialect_at(0), run->pairs);
    rig_init(&run->rig, &config);
    sizes = input_8(&run->input);
    run->uneven = sizes & 0x40;
    for (unsigned i = 0; i < 3; i++) {
        run->sizes[i] = (uint16_t)(2u << (sizes >> 2 * i & 3) << (sizes >> 6 & 2));
    }
}

static void finish(struct run *run)
{
    while (run->n_outs) {
        complete(run, 0);
    }
    rig_require_works(&run->rig);
    REACHED(WORKS);
    rig_end(&run->rig);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run run;

    begin(&run, data, size);
    start(&run, input_16(&run.input));
    for (unsigned i = 0; i < MAX_ACTIONS && !input_ended(&run.input); i++) {
        actions[input_below(&run.input, N_ACTIONS)](&run);
    }
    finish(&run);
    return 0;
}
