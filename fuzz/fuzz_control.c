/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands as input: any class, command, payload and length, cut into any descriptors with room for
 * any reply, between frames. The answer of each must be the model's (control_model.h), and after it
 * a set of probe frames must be filtered, hashed, steered and described as the model says: so a
 * command that fails must have changed nothing, and one that succeeds all that it should.
 *
 * Setup: 1 octet dialect and pairs, 1 what is supported, 4 features (see features[]), with the last
 * bit of which 1 more (more_features[]); then actions, an octet each with its operands (see
 * actions[]).
 */
#include <string.h>

#include "control_model.h"
#include "input.h"
#include "reach.h"
#include "reference/reference.h"
#include "rig.h"

#define MAX_ACTIONS 64
#define MAX_COMMAND 2048
#define MAX_CUTS    8
#define RX_BUFFER   208 /* octets: a header and any probe */
#define N_PROBES    20

enum {
    DRIVER_OK,
    PACKED,
    COMMANDS,
    COMMANDS_OK,
    COMMANDS_ERR,
    UNANSWERABLE,
    INDIRECT,
    RESETS,
    QUEUE_RESETS,
    PROBES,
    PROBES_DELIVERED,
    PROBES_FILTERED,
    PROBES_REFUSED,
    PROBES_WITHOUT_QUEUE,
    PROBES_HASHED,
    PROBES_INNER,
    PROBES_BY_TABLE,
    CHECKSUMS,
    ANNOUNCED,
    WORKS,
    CLASS_0, /* commands answered with OK, by class */
    CLASS_1,
    CLASS_2,
    CLASS_3,
    CLASS_4,
    CLASS_5,
    CLASS_6,
    CLASS_7,
    CLASS_8,
    CLASS_9,
    STATS,
};

struct reach fuzz_reach[] = {
    [DRIVER_OK] = {"times DRIVER_OK", 50, 0},
    [PACKED] = {"of them with packed rings", 20, 0},
    [COMMANDS] = {"commands", 500, 0},
    [COMMANDS_OK] = {"of them answered with OK", 200, 0},
    [COMMANDS_ERR] = {"of them answered with ERR", 100, 0},
    [UNANSWERABLE] = {"that cannot be answered", 3, 0},
    [INDIRECT] = {"commands in an indirect table", 50, 0},
    [RESETS] = {"device resets", 5, 0},
    [QUEUE_RESETS] = {"queue resets", 5, 0},
    [PROBES] = {"probe frames", 5000, 0},
    [PROBES_DELIVERED] = {"of them delivered", 2000, 0},
    [PROBES_FILTERED] = {"of them filtered", 500, 0},
    [PROBES_REFUSED] = {"of them refused for an offload", 100, 0},
    [PROBES_WITHOUT_QUEUE] = {"of them without a queue", 5, 0},
    [PROBES_HASHED] = {"probe frames hashed", 500, 0},
    [PROBES_INNER] = {"of them by an inner header", 100, 0},
    [PROBES_BY_TABLE] = {"probe frames steered by a table", 300, 0},
    [CHECKSUMS] = {"checksums completed", 20, 0},
    [ANNOUNCED] = {"announcements", 2, 0},
    [WORKS] = {"devices that worked in the end", 50, 0},
    [CLASS_0] = {"receive modes set", 20, 0},
    [CLASS_1] = {"MAC addresses set", 20, 0},
    [CLASS_2] = {"VLANs set", 10, 0},
    [CLASS_3] = {"announcements acknowledged", 2, 0},
    [CLASS_4] = {"steering set", 50, 0},
    [CLASS_5] = {"offloads set", 10, 0},
    [CLASS_6] = {"coalescing set", 10, 0},
    [CLASS_7] = {"tunnels set", 10, 0},
    [CLASS_8] = {"statistics asked for", 10, 0},
    [CLASS_9] = {"RSS contexts set", 10, 0},
    [STATS] = {"octets of statistics", 1000, 0},
    {NULL, 0, 0},
};

#define REACHED(what) (fuzz_reach[what].count++)

/* ---- probes ---- */

/* Destinations; those that commands name are mostly these. */
static const uint8_t macs[8][6] = {
    {0x52, 0x54, 0x00, 0x12, 0x34, 0x56}, /* the device's at first */
    {0x02, 0, 0, 0, 0, 0x0b},
    {0x02, 0, 0, 0, 0, 0x0c},
    {0x01, 0x00, 0x5e, 0, 0, 0x01},
    {0x33, 0x33, 0, 0, 0, 0x01},
    {0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
    {0, 0, 0, 0, 0, 0},
    {0x02, 0, 0, 0, 0, 0x0d},
};
static const uint16_t vlan_ids[4] = {0, 1, 5, 4095};

#define SRC 0x02, 0, 0, 0, 0, 0x02
/* A header by its length, protocol and last octet of the addresses. */
#define IP4(len, protocol, ends) \
    0x45, 0, 0, (len), 0, 0, 0, 0, 64, (protocol), 0, 0, 10, 0, 0, (ends), 10, 0, 0, (ends) + 1
#define IP6(len, next, ends)                                                                  \
    0x60, 0, 0, 0, 0, (len), (next), 64, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
        (ends), 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, (ends) + 1
#define TCP(sport)          0, (sport), 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0, 0, 0, 0, 0, 0, 0
#define UDP(len, high, low) 0xc0, 1, (high), (low), 0, (len), 0, 0
#define INNER               IP4(40, 6, 50), TCP(77)
#define VXLAN               8, 0, 0, 0, 0, 0, 7, 0
#define INNER_ETHERNET      2, 0, 0, 0, 0, 1, SRC, 8, 0

/* What stands behind the destination address. */
struct probe {
    uint8_t mac; /* of macs[] */
    uint8_t len;
    uint8_t flags;
    uint8_t gso_type;
    uint8_t octets[160];
};

#define P(...) sizeof((uint8_t[]){__VA_ARGS__})
#define PLAIN(mac, ...)            \
    {                              \
        mac, P(__VA_ARGS__), 0, 0, \
        {                          \
            __VA_ARGS__            \
        }                          \
    }
#define OFFLOAD(flags, gso, ...)       \
    {                                  \
        5, P(__VA_ARGS__), flags, gso, \
        {                              \
            __VA_ARGS__                \
        }                              \
    }

static const struct probe probes[N_PROBES] = {
    PLAIN(0, SRC, 8, 0, IP4(40, 6, 1), TCP(1)),
    PLAIN(1, SRC, 8, 0, IP4(28, 17, 3), UDP(8, 0, 53)),
    PLAIN(2, SRC, 0x86, 0xdd, IP6(20, 6, 5), TCP(2)),
    PLAIN(3, SRC, 8, 0, IP4(40, 6, 7), TCP(3)),
    PLAIN(4, SRC, 0x86, 0xdd, IP6(28, 60, 9), 17, 0, 1, 4, 0, 0, 0, 0, UDP(8, 1, 2), 1, 2, 3, 4, 5,
          6, 7, 8, 9, 10, 11, 12),
    PLAIN(5, SRC, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1),
    PLAIN(5, SRC, 0x81, 0, 0, 0, 8, 0, IP4(40, 6, 11), TCP(4)),
    PLAIN(5, SRC, 0x81, 0, 0, 5, 8, 0, IP4(40, 6, 13), TCP(5)),
    PLAIN(5, SRC, 0x88, 0xa8, 0x6f, 0xff, 0x81, 0, 0, 1, 8, 0, IP4(40, 6, 15), TCP(6)),
    PLAIN(5, SRC, 8, 0, IP4(64, 47, 17), 0, 0, 8, 0, INNER),
    PLAIN(5, SRC, 8, 0, IP4(90, 17, 19), UDP(70, 0x12, 0xb5), VXLAN, INNER_ETHERNET, INNER),
    PLAIN(5, SRC, 8, 0, IP4(76, 17, 21), UDP(56, 0x17, 0xc1), 0, 0, 8, 0, 0, 0, 7, 0, INNER),
    PLAIN(5, SRC, 8, 0, IP4(60, 4, 23), INNER),
    PLAIN(7, SRC, 8, 0, IP4(82, 47, 25), 0x20, 0, 0x65, 0x58, 0, 0, 9, 0, INNER_ETHERNET, INNER),
    OFFLOAD(1, 0, SRC, 8, 0, IP4(40, 6, 27), TCP(7)),
    OFFLOAD(1, 1, SRC, 8, 0, IP4(60, 6, 29), TCP(8), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
    OFFLOAD(1, 0x84, SRC, 0x86, 0xdd, IP6(30, 6, 31), TCP(9), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
    OFFLOAD(1, 3, SRC, 8, 0, IP4(38, 17, 33), UDP(18, 0, 99), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
    OFFLOAD(1, 5, SRC, 8, 0, IP4(38, 17, 35), UDP(18, 0, 98), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
    OFFLOAD(0, 0x80, SRC, 8, 0, IP4(40, 6, 37), TCP(10)),
};

/* ---- a run ---- */

struct run {
    struct rig rig;
    struct control_model model;
    struct input input;
    VionetConfig config;
    unsigned pairs; /* that the driver can use */
    unsigned control;
    uint32_t hdr_len;
    uint64_t rx_at[RIG_MAX_QUEUES][RIG_MAX_SIZE]; /* where a receive buffer is, by its head */
    uint64_t rx_buffers[RIG_MAX_PAIRS];           /* one for each descriptor, behind each other */
    struct reference_result hashes[N_PROBES];
    unsigned hash_serial;        /* of the model when these were computed */
    uint8_t seen_pair[N_PROBES]; /* with automatic steering: pair + 1, 0 if it may be any */
    unsigned choice;             /* the pairs for which that holds, */
    uint32_t choice_tunnels;     /* and the tunnels, which make other flows */
    uint8_t frames[N_PROBES][6 + sizeof(probes[0].octets)];
};

static enum reference_dialect reference_dialect(const struct run *run)
{
    const VionetDialect *dialect = run->config.dialect;

    if (!control_tunnels(&run->model)) {
        return REFERENCE_OFF;
    }
    return dialect->types_in_hash_types ? REFERENCE_DRAFT_V7
           : dialect->types_after_key   ? REFERENCE_DRAFT_V10
                                        : REFERENCE_RATIFIED;
}

/* What the reference says of each probe, if that may have changed. */
static void compute_hashes(struct run *run)
{
    const struct control_model *model = &run->model;

    if (run->hash_serial == model->hash_serial) {
        return;
    }
    run->hash_serial = model->hash_serial;
    for (unsigned i = 0; i < N_PROBES; i++) {
        memset(&run->hashes[i], 0, sizeof(run->hashes[i]));
        if (model->key_len) {
            reference_hash(run->frames[i], 6u + probes[i].len, reference_dialect(run),
                           model->hash_types | (model->tunnel_types & 0xe00), model->tunnel_types,
                           model->key, model->key_len, &run->hashes[i]);
        }
    }
}

static bool queue_there(const struct run *run, unsigned queue)
{
    return run->model.enabled[queue];
}

/* Whether any receive queue that automatic steering may use is there. */
static bool any_queue(const struct run *run)
{
    for (unsigned pair = 0; pair < run->model.pairs; pair++) {
        if (queue_there(run, 2 * pair)) {
            return true;
        }
    }
    return false;
}

/* ---- receive buffers ---- */

static void post_receive(struct run *run, unsigned queue)
{
    const unsigned pair = queue / 2;

    for (unsigned i = 0; i < N_PROBES; i++) {
        const struct rig_piece piece = {run->rx_buffers[pair] + i * RX_BUFFER, RX_BUFFER, true};

        run->rx_at[queue][rig_post(&run->rig, queue, &piece, 1, false)] = piece.gpa;
    }
    rig_publish(&run->rig, queue);
}

/* ---- checking ---- */

struct arrival {
    unsigned pair;
    uint64_t gpa;
    uint32_t len;
    bool taken;
};

static struct arrival arrivals[N_PROBES];
static unsigned n_arrivals;

/* What arrived in a queue; its buffers are made available again. */
static void collect(struct run *run, unsigned queue)
{
    const struct rig_queue *q = &run->rig.queues[queue];
    const bool packed = rig_has(&run->rig, VIRTIO_F_RING_PACKED);
    uint32_t id, len;

    if (!queue_there(run, queue)) {
        return;
    }
    while (rig_next_used(&run->rig, queue, &id, &len)) {
        struct rig_piece piece = {.len = RX_BUFFER, .writable = true};

        FUZZ_REQUIRE(id < (packed ? q->size : N_PROBES) && len <= RX_BUFFER,
                     "queue %u: used element %u, %u", queue, id, len);
        piece.gpa = run->rx_at[queue][id];
        FUZZ_REQUIRE(n_arrivals < N_PROBES, "more frames arrive than were sent");
        rig_allow(&run->rig, piece.gpa, len);
        arrivals[n_arrivals++] = (struct arrival){queue / 2, piece.gpa, len, false};
        if (packed) {
            run->rx_at[queue][rig_post(&run->rig, queue, &piece, 1, false)] = piece.gpa;
        } else {
            rig_offer(&run->rig, queue, (uint16_t)id);
        }
    }
    rig_publish(&run->rig, queue);
}

/* The checksum that stands in a frame: that of all behind its start is then 0. */
static void require_checksum(const uint8_t *octets, size_t len, size_t start)
{
    uint32_t sum = 0;

    for (size_t i = start; i < len; i++) {
        sum += (i - start) % 2 ? octets[i] : (uint32_t)octets[i] << 8;
    }
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    FUZZ_REQUIRE(sum == 0xffff, "a completed checksum is wrong: the sum is 0x%x", sum);
    REACHED(CHECKSUMS);
}

/* Where a checksum stands in a probe: TCP or UDP behind IPv4 or IPv6. */
static VionetFrame frame_of(const struct probe *probe, const struct iovec *piece)
{
    const bool ipv6 = probe->octets[6] == 0x86;
    const bool udp = probe->octets[8 + (ipv6 ? 6 : 9)] == 17;

    return (VionetFrame){
        .iov = piece,
        .n_iov = 1,
        .flags = probe->flags,
        .gso_type = probe->gso_type,
        .hdr_len = 54,
        .gso_size = probe->gso_type & 0x7f ? 8 : 0,
        .csum_start = probe->flags ? (ipv6 ? 54 : 34) : 0,
        .csum_offset = probe->flags ? (udp ? 6 : 16) : 0,
    };
}

static unsigned at16(const uint8_t *octets)
{
    return octets[0] | octets[1] << 8;
}

/* The octets of packet header that tell of offloads. */
static void require_offloads(const struct run *run, const uint8_t *hdr, const VionetFrame *frame)
{
    const bool partial = frame->flags && !control_completes(&run->model, frame);
    const bool gso = frame->gso_type & 0x7f;

    FUZZ_REQUIRE(hdr[0] == (partial ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0), "flags 0x%x", hdr[0]);
    FUZZ_REQUIRE(hdr[1] == (gso ? frame->gso_type : 0), "gso_type 0x%x", hdr[1]);
    FUZZ_REQUIRE(at16(hdr + 2) == (gso ? frame->hdr_len : 0) &&
                     at16(hdr + 4) == (gso ? frame->gso_size : 0),
                 "hdr_len %u, gso_size %u", at16(hdr + 2), at16(hdr + 4));
    FUZZ_REQUIRE(at16(hdr + 6) == (partial ? frame->csum_start : 0) &&
                     at16(hdr + 8) == (partial ? frame->csum_offset : 0),
                 "checksum at %u, %u", at16(hdr + 6), at16(hdr + 8));
    FUZZ_REQUIRE(at16(hdr + 10) == 1, "num_buffers %u", at16(hdr + 10));
}

static void require_hash(const struct run *run, const uint8_t *hdr, unsigned i)
{
    const struct reference_result *expected = &run->hashes[i];
    const uint32_t hash = at16(hdr + 12) | (uint32_t)at16(hdr + 14) << 16;

    FUZZ_REQUIRE(hash == expected->hash && at16(hdr + 16) == expected->report &&
                     hdr[18] == expected->tunnel && hdr[19] == 0,
                 "probe %u: hash 0x%08x, report %u, tunnel %u; not 0x%08x, %u, %u", i, hash,
                 at16(hdr + 16), hdr[18], expected->hash, expected->report, expected->tunnel);
}

static bool is_probe(const struct run *run, const uint8_t *octets, size_t len, unsigned i,
                     const VionetFrame *frame)
{
    const size_t at = (size_t)frame->csum_start + frame->csum_offset;

    if (len != 6u + probes[i].len) {
        return false;
    }
    if (!control_completes(&run->model, frame)) {
        return memcmp(octets, run->frames[i], len) == 0;
    }
    return memcmp(octets, run->frames[i], at) == 0 &&
           memcmp(octets + at + 2, run->frames[i] + at + 2, len - at - 2) == 0;
}

/* The queue pair that a delivered probe went to is the one it belongs to. */
static void require_pair(struct run *run, unsigned i, unsigned pair)
{
    const struct control_model *model = &run->model;
    const struct reference_result *hash = &run->hashes[i];

    if (model->by_table) {
        const unsigned expected =
            hash->report ? model->table[hash->hash & model->mask] : model->unclassified;

        REACHED(PROBES_BY_TABLE);
        FUZZ_REQUIRE(pair == expected, "probe %u: queue pair %u, not %u", i, pair, expected);
        return;
    }
    FUZZ_REQUIRE(pair < model->pairs, "probe %u: queue pair %u of %u", i, pair, model->pairs);
    FUZZ_REQUIRE(!run->seen_pair[i] || run->seen_pair[i] == pair + 1,
                 "probe %u: queue pair %u, before %u", i, pair, run->seen_pair[i] - 1);
    run->seen_pair[i] = (uint8_t)(pair + 1);
}

static void count_frame(struct run *run, unsigned queue, uint64_t octets)
{
    run->model.counters[queue][VIONET_COUNTER_PACKETS]++;
    run->model.counters[queue][VIONET_COUNTER_OCTETS] += octets;
}

static void check_arrival(struct run *run, unsigned i, const VionetFrame *frame)
{
    uint8_t octets[RX_BUFFER];

    for (unsigned a = 0; a < n_arrivals; a++) {
        const struct arrival *arrival = &arrivals[a];

        rig_load(&run->rig, arrival->gpa, octets, arrival->len);
        if (arrival->taken || arrival->len < run->hdr_len ||
            !is_probe(run, octets + run->hdr_len, arrival->len - run->hdr_len, i, frame)) {
            continue;
        }
        arrivals[a].taken = true;
        count_frame(run, 2 * arrival->pair, arrival->len - run->hdr_len);
        require_offloads(run, octets, frame);
        if (rig_has(&run->rig, VIRTIO_NET_F_HASH_REPORT)) {
            require_hash(run, octets, i);
        }
        require_pair(run, i, arrival->pair);
        if (control_completes(&run->model, frame)) {
            require_checksum(octets + run->hdr_len, arrival->len - run->hdr_len, frame->csum_start);
        }
        return;
    }
    FUZZ_REQUIRE(false, "probe %u is delivered, and arrives nowhere", i);
}

/* The verdict that a probe must get. */
static VionetVerdict expected_verdict(const struct run *run, unsigned i, const VionetFrame *frame)
{
    const struct control_model *model = &run->model;
    const struct reference_result *hash = &run->hashes[i];
    const VionetVerdict verdict = control_verdict(model, run->frames[i], frame);
    unsigned pair;

    if (verdict != VIONET_DELIVERED) {
        return verdict;
    }
    if (!model->by_table) {
        return any_queue(run) ? VIONET_DELIVERED : VIONET_DROP_QUEUE_DISABLED;
    }
    pair = hash->report ? model->table[hash->hash & model->mask] : model->unclassified;
    return queue_there(run, 2 * pair) ? VIONET_DELIVERED : VIONET_DROP_QUEUE_DISABLED;
}

static void count_probe(const struct run *run, unsigned i, VionetVerdict verdict)
{
    REACHED(PROBES);
    fuzz_reach[PROBES_DELIVERED].count += verdict == VIONET_DELIVERED;
    fuzz_reach[PROBES_FILTERED].count +=
        verdict == VIONET_DROP_FILTER || verdict == VIONET_DROP_VLAN;
    fuzz_reach[PROBES_REFUSED].count += verdict == VIONET_DROP_OFFLOAD;
    fuzz_reach[PROBES_WITHOUT_QUEUE].count += verdict == VIONET_DROP_QUEUE_DISABLED;
    fuzz_reach[PROBES_HASHED].count += verdict == VIONET_DELIVERED && run->hashes[i].report;
    fuzz_reach[PROBES_INNER].count += verdict == VIONET_DELIVERED && run->hashes[i].report &&
                                      run->model.tunnel_types && i >= 9 && i <= 13;
}

/* Automatic steering may choose anew when it has other queues to choose from. */
static void note_steering(struct run *run)
{
    const unsigned n = run->model.by_table ? 0 : run->model.pairs;
    unsigned choice = n;

    for (unsigned pair = 0; pair < n; pair++) {
        choice |= queue_there(run, 2 * pair) ? 0x100u << pair : 0;
    }
    if (run->choice != choice || run->choice_tunnels != run->model.tunnel_types) {
        run->choice = choice;
        run->choice_tunnels = run->model.tunnel_types;
        memset(run->seen_pair, 0, sizeof(run->seen_pair));
    }
}

static void probe(struct run *run)
{
    struct iovec pieces[N_PROBES];
    VionetFrame frames[N_PROBES];
    VionetVerdict verdicts[N_PROBES];
    unsigned delivered = 0;

    note_steering(run);
    compute_hashes(run);
    for (unsigned i = 0; i < N_PROBES; i++) {
        pieces[i] = (struct iovec){run->frames[i], 6u + probes[i].len};
        frames[i] = frame_of(&probes[i], &pieces[i]);
    }
    vionet_device_receive(run->rig.device, 0, frames, N_PROBES, verdicts, 0);
    n_arrivals = 0;
    for (unsigned pair = 0; pair < run->pairs; pair++) {
        collect(run, 2 * pair);
    }
    rig_require_unchanged(&run->rig, "probing");
    for (unsigned i = 0; i < N_PROBES; i++) {
        const VionetVerdict expected = expected_verdict(run, i, &frames[i]);

        FUZZ_REQUIRE(verdicts[i] == expected, "probe %u: %s, not %s", i,
                     vionet_verdict_name(verdicts[i]), vionet_verdict_name(expected));
        count_probe(run, i, verdicts[i]);
        if (verdicts[i] == VIONET_DELIVERED) {
            delivered++;
            check_arrival(run, i, &frames[i]);
        }
    }
    FUZZ_REQUIRE(delivered == n_arrivals, "%u frames arrive, %u were delivered", n_arrivals,
                 delivered);
}

/* The configuration space is what the model has of it. */
static void check_config(struct run *run)
{
    struct virtio_net_config space;

    vionet_device_config_read(run->rig.device, 0, &space, sizeof(space));
    FUZZ_REQUIRE(memcmp(space.mac, run->model.config_mac, 6) == 0, "another MAC address");
    FUZZ_REQUIRE(!(space.status & VIRTIO_NET_S_ANNOUNCE) == !run->model.announce,
                 "announcement: status %u", space.status);
}

static void check_all(struct run *run)
{
    probe(run);
    check_config(run);
}

/* ---- commands ---- */

struct command {
    uint8_t octets[MAX_COMMAND];
    size_t len;
};

static void append(struct command *command, uint64_t value, unsigned n)
{
    for (unsigned i = 0; i < n && command->len < MAX_COMMAND; i++) {
        command->octets[command->len++] = (uint8_t)(value >> 8 * i);
    }
}

static void append_octets(struct command *command, const uint8_t *octets, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        append(command, octets[i], 1);
    }
}

/* The pieces of a command: lengths by the input, or all in one. */
static unsigned cut(struct run *run, uint32_t len, bool writable, struct rig_piece *pieces)
{
    const unsigned cuts = input_8(&run->input);
    unsigned n = 0;

    for (unsigned i = 0; len && i < (cuts & (MAX_CUTS - 1)); i++) {
        const uint32_t part = input_8(&run->input) % (len + 1);

        pieces[n++] = (struct rig_piece){rig_buffer(&run->rig, part), part, writable};
        len -= part;
    }
    pieces[n++] = (struct rig_piece){rig_buffer(&run->rig, len), len, writable};
    return n;
}

static void store_pieces(struct run *run, const struct rig_piece *pieces, unsigned n,
                         const uint8_t *octets)
{
    for (unsigned i = 0; i < n; i++) {
        rig_store(&run->rig, pieces[i].gpa, octets, pieces[i].len);
        octets += pieces[i].len;
    }
}

/* What stands in the writable pieces now. */
static void load_pieces(struct run *run, const struct rig_piece *pieces, unsigned n,
                        uint8_t *octets, size_t len)
{
    for (unsigned i = 0; i < n && len; i++) {
        const size_t part = pieces[i].len < len ? pieces[i].len : len;

        rig_load(&run->rig, pieces[i].gpa, octets, part);
        octets += part;
        len -= part;
    }
}

/* The used element of the command just sent: 0 octets if it was not answered. */
static uint32_t used_len(struct run *run, uint16_t head)
{
    uint32_t id, len;
    uint32_t more_id, more_len;

    if (!rig_next_used(&run->rig, run->control, &id, &len)) {
        return 0;
    }
    FUZZ_REQUIRE(id == head, "another command is answered");
    FUZZ_REQUIRE(!rig_next_used(&run->rig, run->control, &more_id, &more_len),
                 "a command is answered more than once");
    return len;
}

static void count_command(struct run *run, const struct command *command,
                          const struct control_answer *answer)
{
    uint64_t *counters = run->model.counters[run->control];

    REACHED(COMMANDS);
    if (!answer->answered) {
        REACHED(UNANSWERABLE);
    } else if (answer->ack == VIRTIO_NET_OK) {
        REACHED(COMMANDS_OK);
        counters[VIONET_COUNTER_COMMANDS_OK]++;
        fuzz_reach[CLASS_0 + command->octets[0]].count++;
        fuzz_reach[STATS].count += answer->n_stats;
    } else {
        REACHED(COMMANDS_ERR);
        counters[VIONET_COUNTER_COMMANDS_ERR]++;
    }
}

static void require_answer(struct run *run, const struct control_answer *answer, uint16_t head,
                           const struct rig_piece *pieces, unsigned n, uint32_t room)
{
    const uint32_t len = used_len(run, head);
    uint8_t octets[CONTROL_REPLY_MAX + 1 + CONTROL_STATS_MAX];

    FUZZ_REQUIRE(len == (answer->answered ? answer->ack_at + 1 + answer->n_stats : 0),
                 "an answer of %u octets with room for %u", len, room);
    FUZZ_REQUIRE(run->rig.faulted[run->control] == !answer->answered,
                 "the control queue is broken, or is not");
    for (unsigned i = 0; i < n && len; i++) {
        rig_allow(&run->rig, pieces[i].gpa, pieces[i].len);
    }
    load_pieces(run, pieces, n, octets, len);
    if (len) {
        FUZZ_REQUIRE(octets[answer->ack_at] == answer->ack, "answer %u, not %u",
                     octets[answer->ack_at], answer->ack);
        FUZZ_REQUIRE(answer->ack != VIRTIO_NET_OK ||
                         memcmp(octets, answer->reply, answer->ack_at) == 0,
                     "another reply");
        for (size_t i = 0; i < answer->n_stats; i++) {
            FUZZ_REQUIRE(octets[answer->ack_at + 1 + i] == answer->stats[i],
                         "statistics: octet %zu is 0x%02x, not 0x%02x", i,
                         octets[answer->ack_at + 1 + i], answer->stats[i]);
        }
    }
}

/* Octets that an answer may be written into, and no more: the rest keeps this. */
static void fill(struct run *run, const struct rig_piece *pieces, unsigned n)
{
    uint8_t octets[256];

    memset(octets, 0xa5, sizeof(octets));
    for (unsigned i = 0; i < n; i++) {
        rig_store(&run->rig, pieces[i].gpa, octets,
                  pieces[i].len < sizeof(octets) ? pieces[i].len : sizeof(octets));
    }
}

/* Octets of room for the answer to a command: mostly enough. */
static uint32_t choose_room(struct run *run, const struct command *command, uint8_t how)
{
    if (how & 0x40) {
        return how & 15;
    }
    switch (command->octets[0]) {
    case VIRTIO_NET_CTRL_NOTF_COAL:
        return 9;
    case VIRTIO_NET_CTRL_STATS:
        return 1 + 8 * (uint32_t)input_8(&run->input);
    case VIRTNET_RSS_CTX_CTRL:
        return 3;
    default:
        return 1;
    }
}

/* What the device counts and this target does not: what it does by itself. */
static void take_counters(struct run *run)
{
    static const VionetCounter taken[] = {
        VIONET_COUNTER_KICKS,       VIONET_COUNTER_INTERRUPTS, VIONET_COUNTER_DROPS,
        VIONET_COUNTER_CSUM_VALID,  VIONET_COUNTER_CSUM_NEEDS, VIONET_COUNTER_CSUM_NONE,
        VIONET_COUNTER_GSO_PACKETS, VIONET_COUNTER_GSO_OCTETS,
    };

    for (unsigned queue = 0; queue < run->rig.n_queues; queue++) {
        for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
            run->model.counters[queue][taken[i]] =
                vionet_device_counter(run->rig.device, queue, taken[i]);
        }
    }
}

static void send(struct run *run, const struct command *command)
{
    const uint8_t how = input_8(&run->input);
    const uint32_t room = choose_room(run, command, how);
    struct rig_piece pieces[2 * MAX_CUTS + 2];
    const unsigned n_out = cut(run, (uint32_t)command->len, false, pieces);
    const unsigned n = n_out + cut(run, room, true, pieces + n_out);
    const bool indirect = (how & 0x20) && n <= 16 && rig_has(&run->rig, VIRTIO_F_INDIRECT_DESC);
    struct control_answer answer;
    uint16_t head;

    if (run->control >= run->rig.n_queues || run->rig.faulted[run->control] ||
        !queue_there(run, run->control)) {
        return;
    }
    store_pieces(run, pieces, n_out, command->octets);
    fill(run, pieces + n_out, n - n_out);
    head = rig_post(&run->rig, run->control, pieces, n, indirect);
    rig_publish(&run->rig, run->control);
    fuzz_reach[INDIRECT].count += indirect;
    take_counters(run);
    answer = control_execute(&run->model, command->octets, command->len, room);
    vionet_device_kick(run->rig.device, run->control);
    count_command(run, command, &answer);
    require_answer(run, &answer, head, pieces + n_out, n - n_out, room);
    rig_require_unchanged(&run->rig, "a command");
}

/* ---- commands that make sense, more or less ---- */

static const uint8_t *choose_mac(struct run *run)
{
    return macs[input_8(&run->input) & 7];
}

static void put_mac_table(struct run *run, struct command *command)
{
    for (unsigned list = 0; list < 2; list++) {
        const uint8_t how = input_8(&run->input);
        unsigned n = how & 3;

        n = how == 0xff ? 65 : how == 0xfe ? 64 : n;
        append(command, how == 0xfd ? UINT64_C(0x2aaaaaab) : n, 4);
        for (unsigned i = 0; i < n; i++) {
            append_octets(command, i < 4 ? choose_mac(run) : macs[1], 6);
        }
    }
}

/* Hash types, tunnel types in the dialect's own bits: mostly supported ones. */
static uint32_t choose_hash_types(struct run *run)
{
    const uint16_t types = input_16(&run->input);

    return types & 0x8000 ? types : types & (0x1ff | (types & 0x4000 ? 0xe00 : 0));
}

static void put_key(struct run *run, struct command *command)
{
    const uint8_t how = input_8(&run->input);
    const unsigned len = how & 0x80 ? how & 0x3f : 40;

    append(command, how == 0xff ? 255 : len, 1);
    for (unsigned i = 0; i < len; i++) {
        append(command, (uint8_t)(how * 7 + i * 31), 1);
    }
    if (control_tunnels(&run->model) && run->config.dialect->types_after_key && !(how & 0x40)) {
        append(command, input_8(&run->input), 4);
    }
}

static void put_rss(struct run *run, struct command *command)
{
    const uint8_t how = input_8(&run->input);
    const unsigned n = how >= 0xf0 ? how - 0xeeu : 1u << (how & 7);

    append(command, choose_hash_types(run), 4);
    append(command, n - 1, 2);
    append(command, how >> 3 & 3, 2);
    for (unsigned i = 0; i < n; i++) {
        append(command, (i * (how | 1u) >> 1) % (how & 0x20 ? run->pairs + 1 : run->pairs), 2);
    }
    append(command, how & 0x40 ? how & 3 : run->pairs, 2);
    put_key(run, command);
}

static void put_hash_config(struct run *run, struct command *command)
{
    uint8_t reserved;

    append(command, choose_hash_types(run), 4);
    reserved = input_8(&run->input);
    append(command, reserved == 0xff ? 1 : reserved == 0xfe ? UINT64_C(1) << 48 : 0, 8);
    put_key(run, command);
}

static void put_offloads(struct run *run, struct command *command)
{
    const uint16_t bits = input_16(&run->input);
    static const uint8_t of[16] = {1, 7, 8, 9, 10, 46, 47, 54, 55, 1, 1, 7, 8, 54, 55, 0};
    uint64_t mask = 0;

    for (unsigned i = 0; i < 16; i++) {
        mask |= (uint64_t)(bits >> i & 1) << of[i];
    }
    append(command, mask, 8);
}

static void put_coalescing(struct run *run, struct command *command, bool queue, bool values)
{
    if (queue) {
        append(command, input_8(&run->input) & 15, 2);
        append(command, 0, 2);
    }
    if (values) {
        append(command, input_edgy(&run->input, 16), 4);
        append(command, input_edgy(&run->input, 100), 4);
    }
}

static void put_stats_get(struct run *run, struct command *command)
{
    const unsigned n = 1 + (input_8(&run->input) & 3);

    for (unsigned i = 0; i < n; i++) {
        const unsigned queue = input_8(&run->input);
        const uint8_t how = input_8(&run->input);
        const unsigned kind = how & 0x80 ? how >> 4 & 3 : queue == run->control ? 2 : queue % 2;

        append(command, queue, 8);
        append(command, (uint64_t)(how & 15) << 16 * kind, 8);
    }
}

static void put_context(struct run *run, struct command *command, uint8_t number)
{
    const uint8_t id = input_8(&run->input);

    append(command, id & 0x80 ? id : id & 3, number == VIRTNET_RSS_CTX_CTRL_DEL ? 2 : 8);
    if (number != VIRTNET_RSS_CTX_CTRL_DEL) {
        put_rss(run, command);
    }
}

static void act_command(struct run *run)
{
    static const uint8_t rows[][2] = {{0, 0}, {0, 1}, {0, 2}, {0, 3}, {0, 4}, {0, 5}, {1, 0},
                                      {1, 1}, {2, 0}, {2, 1}, {3, 0}, {4, 0}, {4, 1}, {4, 2},
                                      {5, 0}, {6, 0}, {6, 1}, {6, 2}, {6, 3}, {7, 0}, {4, 1},
                                      {8, 0}, {8, 1}, {8, 1}, {9, 0}, {9, 1}, {9, 2}, {9, 3}};
    const unsigned row = input_below(&run->input, sizeof(rows) / sizeof(rows[0]));
    struct command command = {.len = 0};
    const uint8_t class = rows[row][0], number = rows[row][1];
    uint8_t trailing;

    append(&command, class, 1);
    append(&command, number, 1);
    if (class == 0) {
        append(&command, input_8(&run->input) & 3, 1);
    } else if (class == 1 && number == 0) {
        put_mac_table(run, &command);
    } else if (class == 1) {
        append_octets(&command, choose_mac(run), 6);
    } else if (class == 2) {
        const uint8_t how = input_8(&run->input);

        append(&command, how & 0x80 ? 4090u + (how & 15) : vlan_ids[how & 3], 2);
    } else if (class == 4 && number == 0) {
        append(&command, input_8(&run->input) & 7, 2);
    } else if (class == 4) {
        if (number == 1) {
            put_rss(run, &command);
        } else {
            put_hash_config(run, &command);
        }
    } else if (class == 5) {
        put_offloads(run, &command);
    } else if (class == 6) {
        put_coalescing(run, &command, number >= 2, number != 3);
    } else if (class == 7) {
        append(&command, input_16(&run->input) & 0x3ff, 4);
    } else if (class == 8 && number == VIRTIO_NET_CTRL_STATS_GET) {
        put_stats_get(run, &command);
    } else if (class == 9 && number != VIRTNET_RSS_CTX_CTRL_CAP_GET) {
        put_context(run, &command, number);
    }
    trailing = input_8(&run->input); /* mostly as long as it should be */
    if (trailing >= 0xf0) {
        append(&command, 0, trailing & 7);
    } else if (trailing >= 0xe0 && command.len > (trailing & 7u)) {
        command.len -= trailing & 7u;
    }
    send(run, &command);
    check_all(run);
}

static void act_raw_command(struct run *run)
{
    struct command command = {.len = input_8(&run->input)};

    command.len += command.len >= 0xf0 ? 4u * input_8(&run->input) : 0;
    input_octets(&run->input, command.octets, command.len);
    send(run, &command);
    check_all(run);
}

/* Everything from class and command to any length of nothing. */
static void act_lengths(struct run *run)
{
    const uint8_t class = input_8(&run->input);
    const uint8_t number = input_8(&run->input);

    for (unsigned len = 0; len < 16; len += 1 + (number >> 5)) {
        struct command command = {.octets = {class & 15, number & 15}, .len = 2 + len};

        send(run, &command);
    }
    check_all(run);
}

/* ---- the rest of the world ---- */

static const uint8_t features[31] = {
    VIRTIO_NET_F_CTRL_VQ,
    VIRTIO_NET_F_CTRL_RX,
    VIRTIO_NET_F_CTRL_VLAN,
    VIRTIO_NET_F_CTRL_RX_EXTRA,
    VIRTIO_NET_F_GUEST_ANNOUNCE,
    VIRTIO_NET_F_CTRL_MAC_ADDR,
    VIRTIO_NET_F_MQ,
    VIRTIO_NET_F_RSS,
    VIRTIO_NET_F_HASH_REPORT,
    VIRTIO_NET_F_HASH_TUNNEL,
    VIRTIO_NET_F_HASH_TUNNEL_DRAFT,
    VIRTIO_NET_F_NOTF_COAL,
    VIRTIO_NET_F_MAC,
    VIRTIO_NET_F_STATUS,
    VIRTIO_F_INDIRECT_DESC,
    VIRTIO_F_EVENT_IDX,
    VIRTIO_F_IN_ORDER,
    VIRTIO_F_RING_RESET,
    VIRTIO_NET_F_MRG_RXBUF,
    VIRTIO_NET_F_MTU,
    VIRTIO_NET_F_CTRL_GUEST_OFFLOADS,
    VIRTIO_NET_F_GUEST_CSUM,
    VIRTIO_NET_F_GUEST_TSO4,
    VIRTIO_NET_F_GUEST_TSO6,
    VIRTIO_NET_F_GUEST_ECN,
    VIRTIO_NET_F_GUEST_UFO,
    VIRTIO_NET_F_GUEST_USO4,
    VIRTIO_NET_F_GUEST_USO6,
    VIRTIO_NET_F_SPEED_DUPLEX,
    VIRTIO_NET_F_CSUM,
    VIRTIO_NET_F_HOST_TSO4,
};
static const uint8_t more_features[5] = {
    VIRTIO_NET_F_DEVICE_STATS, VIRTIO_NET_F_RSS_CONTEXT, VIRTIO_NET_F_HOST_TSO6,
    VIRTIO_NET_F_HOST_USO,     VIRTIO_F_RING_PACKED,
};

static void accept_some(const struct run *run, const uint8_t *table, unsigned n, uint32_t bits,
                        uint64_t *accepted)
{
    for (unsigned i = 0; i < n; i++) {
        if ((bits >> i & 1) && vionet_features_test(run->config.features, table[i])) {
            vionet_features_set(accepted, table[i], true);
        }
    }
}

/* Features by the input, as far as they are offered and go together. */
static void choose_features(struct run *run, uint64_t accepted[VIONET_FEATURE_WORDS])
{
    const uint32_t bits = input_32(&run->input);
    const uint8_t more = bits >> 31 ? input_8(&run->input) : 0;

    memset(accepted, 0, VIONET_FEATURE_WORDS * sizeof(accepted[0]));
    vionet_features_set(accepted, VIRTIO_F_VERSION_1, true);
    accept_some(run, features, sizeof(features), bits, accepted);
    accept_some(run, more_features, sizeof(more_features), more, accepted);
    rig_sound_features(accepted);
}

static void enable(struct run *run, unsigned queue)
{
    rig_place(&run->rig, queue, 32);
    rig_enable(&run->rig, queue);
    control_queue(&run->model, queue, true);
    if (queue % 2 == 0 && queue != run->control) {
        post_receive(run, queue);
    }
}

static void start(struct run *run)
{
    uint64_t accepted[VIONET_FEATURE_WORDS];

    choose_features(run, accepted);
    FUZZ_REQUIRE(rig_negotiate(&run->rig, accepted), "features are refused");
    control_start(&run->model, &run->config, accepted);
    run->control = rig_control(&run->rig);
    run->hdr_len = rig_has(&run->rig, VIRTIO_NET_F_HASH_REPORT) ? 20 : 12;
    run->pairs = rig_has(&run->rig, VIRTIO_NET_F_MQ) || rig_has(&run->rig, VIRTIO_NET_F_RSS)
                     ? run->config.max_pairs
                     : 1;
    for (unsigned i = 0; i < run->rig.n_queues; i++) {
        if (vionet_device_queue_size(run->rig.device, i)) {
            enable(run, i);
        }
    }
    vionet_device_write_status(run->rig.device,
                               vionet_device_status(run->rig.device) | VIRTIO_STATUS_DRIVER_OK);
    for (unsigned i = 0; i < run->rig.n_queues; i++) {
        if (queue_there(run, i)) {
            rig_allow(&run->rig, run->rig.queues[i].area[VIONET_AREA_DEVICE], VIRTQ_USED_SIZE(32));
        }
    }
    rig_require_unchanged(&run->rig, "DRIVER_OK");
    REACHED(DRIVER_OK);
    fuzz_reach[PACKED].count += rig_has(&run->rig, VIRTIO_F_RING_PACKED);
    check_all(run);
}

static void act_reset(struct run *run)
{
    rig_reset(&run->rig);
    REACHED(RESETS);
    start(run);
}

/* A receive queue goes, or comes back. */
static void act_reset_queue(struct run *run)
{
    const unsigned queue = 2 * input_below(&run->input, run->pairs);

    if (!queue_there(run, queue)) {
        rig_store(&run->rig, RIG_BASE + (uint64_t)queue * RIG_RING_SPACE,
                  (uint8_t[RIG_RING_SPACE]){0}, RIG_RING_SPACE);
        enable(run, queue);
        rig_allow(&run->rig, run->rig.queues[queue].area[VIONET_AREA_DEVICE], VIRTQ_USED_SIZE(32));
    } else if (vionet_device_reset_queue(run->rig.device, queue)) {
        control_queue(&run->model, queue, false);
        REACHED(QUEUE_RESETS);
    }
    check_all(run);
}

static void act_announce(struct run *run)
{
    if (vionet_device_announce(run->rig.device)) {
        run->model.announce = true;
        REACHED(ANNOUNCED);
    }
    check_config(run);
}

static void act_time(struct run *run)
{
    run->rig.now_ns += 1 + input_edgy(&run->input, 1000) * UINT64_C(1000);
    for (unsigned i = 0; i < run->rig.n_queues; i++) {
        if (run->rig.deadline_ns[i] && run->rig.deadline_ns[i] <= run->rig.now_ns) {
            run->rig.deadline_ns[i] = 0;
            vionet_device_timer(run->rig.device, i);
        }
    }
    rig_require_unchanged(&run->rig, "a timer");
}

static void (*const actions[])(struct run *run) = {
    act_command, act_command, act_command, act_command,     act_command,     act_command,
    act_command, act_command, act_command, act_command,     act_raw_command, act_raw_command,
    act_lengths, act_reset,   act_time,    act_reset_queue, act_announce,
};

#define N_ACTIONS (sizeof(actions) / sizeof(actions[0]))

static void begin(struct run *run, const uint8_t *data, size_t size)
{
    uint8_t how, supported;

    memset(run, 0, sizeof(*run));
    run->input = input_of(data, size);
    how = input_8(&run->input);
    supported = input_8(&run->input);
    rig_config(&run->config, vionet_dialect_at(how & 3), 1 + (how >> 2) % RIG_MAX_PAIRS);
    if (supported & 1) {
        run->config.hash_types = 0x1ff & ~(1u << (supported >> 1) % 9);
        run->config.tunnel_types &= ~(1u << (supported >> 4));
    }
    run->config.rss_max_key_size = supported & 2 ? 255 : 40;
    for (unsigned i = 0; i < N_PROBES; i++) {
        memcpy(run->frames[i], macs[probes[i].mac], 6);
        memcpy(run->frames[i] + 6, probes[i].octets, probes[i].len);
    }
    rig_init(&run->rig, &run->config);
    run->rig.buffer = RIG_BUFFERS + RIG_MAX_PAIRS * N_PROBES * RX_BUFFER;
    for (unsigned i = 0; i < RIG_MAX_PAIRS; i++) {
        run->rx_buffers[i] = RIG_BUFFERS + i * N_PROBES * RX_BUFFER;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run run;

    begin(&run, data, size);
    start(&run);
    for (unsigned i = 0; i < MAX_ACTIONS && !input_ended(&run.input); i++) {
        actions[input_below(&run.input, N_ACTIONS)](&run);
        run.rig.buffer = RIG_BUFFERS + RIG_MAX_PAIRS * N_PROBES * RX_BUFFER;
    }
    rig_require_works(&run.rig);
    REACHED(WORKS);
    rig_end(&run.rig);
    return 0;
}
