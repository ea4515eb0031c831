/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The packed ring alone as input: its size and features, then a program of a driver that is honest or
 * not and of a device that takes, gives back, goes back, shows and decides. All is held against the
 * specification read literally (VIRTIO 1.4, 2.8): a place is counted from the beginning of time, so
 * that slot and wrap counter are a division. After each step guest memory is what the model says,
 * octet by octet.
 *
 * Setup: 1 octet size, 1 features and place; then actions, an octet each with its operands.
 */
#include <string.h>

#include <glib.h>

#include <vionet/spec.h>

#include "bytes.h"
#include "input.h"
#include "reach.h"
#include "ring/ring.h"

#define MAX_SIZE  33
#define MAX_STEPS 400
#define MAX_CHAIN 1024 /* descriptors, for rings that are no larger */
#define RANGES    4096

/* Two mappings that touch, one that is read-only behind them. */
#define FIRST    UINT64_C(0x10000)
#define SECOND   UINT64_C(0x14000)
#define READONLY UINT64_C(0x18000)
#define END      UINT64_C(0x19000)
#define SPACE    (END - FIRST)

#define TABLES  (FIRST + 0x2000)
#define BUFFERS (FIRST + 0x3000)

enum { POSTED, TABLED, TAKEN, PLAIN, WRONG, BURST, SHOWN, REWOUND, NOTIFIED, ENABLED };

struct reach fuzz_reach[] = {
    [POSTED] = {"buffers posted", 200, 0},
    [TABLED] = {"of them by a table", 40, 0},
    [TAKEN] = {"buffers taken singly", 200, 0},
    [PLAIN] = {"and in bursts", 40, 0},
    [WRONG] = {"buffers refused", 12, 0},
    [BURST] = {"bursts given back", 5, 0},
    [SHOWN] = {"buffers shown as used", 100, 0},
    [REWOUND] = {"times the device went back", 100, 0},
    [NOTIFIED] = {"notifications", 50, 0},
    [ENABLED] = {"times kicks were asked for", 25, 0},
    {NULL, 0, 0},
};

/* A buffer that was taken, and perhaps given back, but is not shown. */
struct out {
    struct chain_ref ref;
    uint32_t room; /* writable octets */
    uint32_t written;
    bool done;
};

struct run {
    struct input input;
    struct ring ring;
    struct chain chain;
    struct ring_setup setup;
    struct memory_map *map;
    uint8_t *host;   /* guest memory */
    uint8_t *shadow; /* and what it has to be */
    uint64_t driver_at;
    uint64_t avail_at;
    uint64_t used_at;
    uint64_t told_at; /* used_at at the last decision */
    unsigned n_table;
    struct out outs[MAX_SIZE]; /* in the order of taking */
    unsigned n_outs;
    uint64_t put_at;  /* place of the next used descriptor */
    struct out first; /* of the staged ones, not yet written */
    unsigned n_staged;
};

static struct iovec ranges[2 * RANGES];

/* ---- memory and places ---- */

static uint8_t *octets(const struct run *run, uint64_t gpa)
{
    return run->host + (gpa - FIRST);
}

static void store(struct run *run, uint64_t gpa, const void *from, size_t n)
{
    memcpy(octets(run, gpa), from, n);
    memcpy(run->shadow + (gpa - FIRST), from, n);
}

static uint64_t slot_gpa(const struct run *run, uint64_t at)
{
    return run->setup.area_gpa[VIONET_AREA_DESC] + 16 * (at % run->setup.size);
}

static bool wrap_of(const struct run *run, uint64_t at)
{
    return at / run->setup.size % 2 == 0;
}

static uint16_t available(const struct run *run, uint64_t at)
{
    return wrap_of(run, at) ? VIRTQ_DESC_F_AVAIL : VIRTQ_DESC_F_USED;
}

static bool is_available(const struct run *run, uint64_t at)
{
    const uint16_t flags = get_le16(octets(run, slot_gpa(run, at) + 14));

    return (flags & (VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED)) == available(run, at);
}

static void store_desc(struct run *run, uint64_t gpa, uint64_t addr, uint32_t len, uint16_t id,
                       uint16_t flags)
{
    uint8_t desc[16];

    put_le64(desc, addr);
    put_le32(desc + 8, len);
    put_le16(desc + 12, id);
    put_le16(desc + 14, flags);
    store(run, gpa, desc, sizeof(desc));
}

static void require_memory(const struct run *run)
{
    for (size_t i = 0; memcmp(run->host, run->shadow, SPACE) != 0 && i < SPACE; i++) {
        FUZZ_REQUIRE(run->host[i] == run->shadow[i], "octet 0x%zx is 0x%02x, not 0x%02x",
                     (size_t)FIRST + i, run->host[i], run->shadow[i]);
    }
}

/* ---- what is next, by the specification ---- */

struct piece {
    uint64_t gpa;
    uint32_t len;
    bool writable;
};

struct found {
    enum { NONE, CHAIN, BAD } what;
    uint16_t id;
    uint16_t flags; /* of the last descriptor */
    unsigned n_desc;
    bool table;
    unsigned n;
    struct piece pieces[MAX_CHAIN];
    uint64_t in_len;
    uint64_t out_len;
};

static bool reachable(uint64_t gpa, uint64_t len, bool write)
{
    return len == 0 ||
           (gpa >= FIRST && gpa < END && len <= END - gpa && !(write && gpa + len > READONLY));
}

static unsigned in_flight(const struct run *run)
{
    unsigned n = (unsigned)(run->put_at - run->used_at);

    for (unsigned i = 0; i < run->n_outs; i++) {
        n += run->outs[i].ref.n_desc;
    }
    return n;
}

static bool add(struct found *found, const uint8_t *desc)
{
    const struct piece piece = {get_le64(desc), get_le32(desc + 8),
                                get_le16(desc + 14) & VIRTQ_DESC_F_WRITE};

    if (found->n == MAX_CHAIN || !reachable(piece.gpa, piece.len, piece.writable) ||
        (!piece.writable && found->in_len)) {
        return false;
    }
    found->pieces[found->n++] = piece;
    *(piece.writable ? &found->in_len : &found->out_len) += piece.len;
    return true;
}

static bool add_table(const struct run *run, struct found *found, const uint8_t *desc)
{
    const uint64_t gpa = get_le64(desc);
    const uint32_t len = get_le32(desc + 8);

    found->table = true;
    if (!run->setup.indirect || found->n_desc > 1 || (get_le16(desc + 14) & VIRTQ_DESC_F_NEXT) ||
        len == 0 || len % 16 || len / 16 > MAX_CHAIN) {
        return false;
    }
    for (uint32_t i = 0; i < len / 16; i++) {
        if (!reachable(gpa + 16 * i, 16, false) || gpa + 16 * i < FIRST ||
            !add(found, octets(run, gpa + 16 * i))) {
            return false;
        }
    }
    return true;
}

static bool add_list(const struct run *run, struct found *found)
{
    const unsigned room = run->setup.size - in_flight(run);

    for (uint64_t at = run->avail_at; at < run->avail_at + room; at++) {
        const uint8_t *desc = octets(run, slot_gpa(run, at));
        const uint16_t flags = get_le16(desc + 14);

        if (!is_available(run, at)) {
            return false;
        }
        found->n_desc++;
        found->flags = flags;
        found->id = get_le16(desc + 12);
        if (flags & VIRTQ_DESC_F_INDIRECT) {
            return add_table(run, found, desc);
        }
        if (!add(found, desc)) {
            return false;
        }
        if (!(flags & VIRTQ_DESC_F_NEXT)) {
            return true;
        }
    }
    return false;
}

static const struct found *look(const struct run *run)
{
    static struct found found;

    found.what = NONE;
    found.n = found.n_desc = 0;
    found.in_len = found.out_len = 0;
    found.table = false;
    if (is_available(run, run->avail_at)) {
        found.what = add_list(run, &found) ? CHAIN : BAD;
    }
    return &found;
}

/* ---- what the device takes ---- */

static void require_ranges(const struct run *run, const struct found *found, bool writable)
{
    const struct iovec *range = writable ? run->chain.in : run->chain.out;
    const struct iovec *end = range + (writable ? run->chain.n_in : run->chain.n_out);

    for (unsigned i = 0; i < found->n; i++) {
        uint64_t gpa = found->pieces[i].gpa;
        uint32_t left = found->pieces[i].writable == writable ? found->pieces[i].len : 0;

        while (left) {
            const uint64_t seam = gpa < SECOND ? SECOND : gpa < READONLY ? READONLY : END;
            const uint32_t part = MIN(left, (uint32_t)(seam - gpa));

            FUZZ_REQUIRE(range < end && range->iov_base == octets(run, gpa) &&
                             range->iov_len == part,
                         "a range is another than 0x%" G_GINT64_MODIFIER "x", gpa);
            range++;
            gpa += part;
            left -= part;
        }
    }
    FUZZ_REQUIRE(range == end, "there are ranges that nobody wrote");
}

static void note_taken(struct run *run, const struct chain_ref *ref, uint64_t room)
{
    run->outs[run->n_outs++] = (struct out){.ref = *ref, .room = (uint32_t)room};
    run->avail_at += ref->n_desc;
}

/* Whether the run goes on. */
static bool act_pop(struct run *run)
{
    const struct found *found = look(run);
    const int result = ring_pop(&run->ring, &run->chain);

    FUZZ_REQUIRE(result == (found->what == NONE    ? 0
                            : found->what == CHAIN ? 1
                                                   : -1),
                 "pop says %d, the model %d", result, found->what);
    fuzz_reach[WRONG].count += result < 0;
    if (result <= 0) {
        return result == 0;
    }
    fuzz_reach[TAKEN].count++;
    FUZZ_REQUIRE(run->chain.ref.id == found->id && run->chain.ref.n_desc == found->n_desc,
                 "buffer %u of %u descriptors, not %u of %u", run->chain.ref.id,
                 run->chain.ref.n_desc, found->id, found->n_desc);
    FUZZ_REQUIRE(run->chain.in_len == found->in_len && run->chain.out_len == found->out_len,
                 "buffer %u has other lengths", found->id);
    require_ranges(run, found, false);
    require_ranges(run, found, true);
    note_taken(run, &run->chain.ref, found->in_len);
    return true;
}

/* Unknown flags are no harm, but who has them is not of the usual kind. */
static bool is_plain(const struct found *found, bool write)
{
    const uint16_t usual = VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED | VIRTQ_DESC_F_WRITE;
    const struct piece *piece = &found->pieces[0];
    const uint64_t seam = piece->gpa < SECOND ? SECOND : piece->gpa < READONLY ? READONLY : END;

    return found->what == CHAIN && !(found->flags & ~usual) && found->n_desc == 1 &&
           piece->writable == write && piece->len && piece->gpa + piece->len <= seam;
}

static bool act_pop_plain(struct run *run)
{
    const uint8_t how = input_8(&run->input);
    const bool write = how & 1;
    const unsigned asked = how >> 1 & 15;
    struct ring_plain plain[16];
    const unsigned n = ring_pop_plain(&run->ring, write, plain, asked);

    FUZZ_REQUIRE(n <= asked, "%u buffers, %u were asked for", n, asked);
    for (unsigned i = 0; i < n; i++) {
        const struct found *found = look(run);

        const struct chain_ref ref = ring_plain_ref(&plain[i]);

        FUZZ_REQUIRE(is_plain(found, write) && plain[i].id == found->id &&
                         plain[i].len == found->pieces[0].len &&
                         plain[i].host == octets(run, found->pieces[0].gpa),
                     "buffer %u of a burst is another", i);
        note_taken(run, &ref, write ? plain[i].len : 0);
    }
    fuzz_reach[PLAIN].count += n;
    /* In a ring of two pieces all are taken singly. */
    FUZZ_REQUIRE(n == asked || !run->ring.area[VIONET_AREA_DESC] || !is_plain(look(run), write),
                 "a plain buffer is left");
    return true;
}

static bool act_unpop(struct run *run)
{
    if (run->n_outs && !run->outs[run->n_outs - 1].done) {
        const struct out *out = &run->outs[--run->n_outs];

        ring_unpop(&run->ring, &out->ref);
        run->avail_at -= out->ref.n_desc;
        fuzz_reach[REWOUND].count++;
    }
    return true;
}

/* ---- what it gives back ---- */

static void drop(struct out *outs, unsigned *n, unsigned i)
{
    (*n)--;
    memmove(&outs[i], &outs[i + 1], (*n - i) * sizeof(outs[0]));
}

static void write_used(struct run *run, uint64_t at, const struct out *out)
{
    uint8_t *desc = run->shadow + (slot_gpa(run, at) - FIRST);

    put_le32(desc + 8, out->written);
    put_le16(desc + 12, out->ref.id);
    put_le16(desc + 14, (uint16_t)((wrap_of(run, at) ? VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED : 0) |
                                   (out->written ? VIRTQ_DESC_F_WRITE : 0)));
}

/* The first of those staged is not written before the flush. */
static void stage(struct run *run, const struct out *out)
{
    if (run->n_staged++ == 0) {
        run->first = *out;
    } else {
        write_used(run, run->put_at, out);
    }
    run->put_at += out->ref.n_desc;
}

static void stage_done(struct run *run)
{
    while (run->setup.in_order && run->n_outs && run->outs[0].done) {
        stage(run, &run->outs[0]);
        drop(run->outs, &run->n_outs, 0);
    }
}

static void give(struct run *run, unsigned i, uint32_t written)
{
    run->outs[i].done = true;
    run->outs[i].written = written;
    ring_push(&run->ring, &run->outs[i].ref, written);
    if (!run->setup.in_order) {
        stage(run, &run->outs[i]);
        drop(run->outs, &run->n_outs, i);
    }
    stage_done(run);
}

static bool act_push(struct run *run)
{
    const uint8_t which = input_8(&run->input);
    const uint8_t share = input_8(&run->input);

    if (run->n_outs && !run->outs[which % run->n_outs].done) {
        const unsigned i = which % run->n_outs;

        give(run, i, (uint32_t)((uint64_t)run->outs[i].room * share / 255));
    }
    return true;
}

/*
 * Some that were taken one after the other and have one descriptor each, all with room or all without. In order
 * those without go back with one entry, as far as nobody before them is missing.
 */
static bool act_push_plain(struct run *run)
{
    const uint8_t which = input_8(&run->input);
    const uint8_t share = input_8(&run->input);
    const unsigned first = run->n_outs ? which % run->n_outs : 0;
    const bool write = first < run->n_outs && run->outs[first].room > 0;
    struct ring_plain plain[8];
    struct out batch;
    unsigned n = 0;

    for (; n < 1u + which / 32 && first + n < run->n_outs; n++) {
        struct out *out = &run->outs[first + n];

        if (out->done || out->ref.n_desc != 1 || (out->room > 0) != write) {
            break;
        }
        out->written = write ? 1 + (uint32_t)((uint64_t)(out->room - 1) * share / 255) : 0;
        plain[n] = (struct ring_plain){
            .len = write ? out->written : out->room, .id = out->ref.id, .turn = out->ref.turn};
    }
    if (n == 0) {
        return true;
    }
    ring_push_plain(&run->ring, write, plain, n);
    fuzz_reach[BURST].count += n > 1;
    if (run->setup.in_order && (first > 0 || write)) {
        for (unsigned i = 0; i < n; i++) {
            run->outs[first + i].done = true;
        }
        stage_done(run);
        return true;
    }
    batch = run->outs[first + n - 1];
    batch.ref.n_desc = (uint16_t)n;
    for (unsigned i = 0; i < n; i++) {
        if (!run->setup.in_order) {
            stage(run, &run->outs[first]);
        }
        drop(run->outs, &run->n_outs, first);
    }
    if (run->setup.in_order) {
        stage(run, &batch);
        stage_done(run);
    }
    return true;
}

/* A few are taken, and put back. */
static bool act_go_back(struct run *run)
{
    const uint8_t how = input_8(&run->input);
    const unsigned before = run->n_outs;
    bool good = true;

    for (unsigned i = 0; i <= how % 4 && good && look(run)->what == CHAIN; i++) {
        good = act_pop(run);
    }
    while (good && run->n_outs > before) {
        good = act_unpop(run);
    }
    return good;
}

static bool act_flush(struct run *run)
{
    FUZZ_REQUIRE(ring_flush(&run->ring) == (run->n_staged > 0), "a flush is mistaken");
    if (run->n_staged > 0) {
        write_used(run, run->used_at, &run->first);
    }
    fuzz_reach[SHOWN].count += run->n_staged;
    run->used_at = run->put_at;
    run->n_staged = 0;
    return true;
}

/* ---- notifications ---- */

/*
 * Was the place among those shown since the last decision? One that is still ahead in this round is
 * taken for one to come, however long the last decision is ago.
 */
static bool among(const struct run *run, uint16_t off, bool wrap)
{
    const uint64_t oldest = run->used_at < run->setup.size
                                ? 0
                                : run->used_at - run->used_at % run->setup.size - run->setup.size;

    for (uint64_t at = MAX(run->told_at, oldest); at < run->used_at; at++) {
        if (at % run->setup.size == off && wrap_of(run, at) == wrap) {
            return true;
        }
    }
    return false;
}

static bool act_notify(struct run *run)
{
    const uint8_t how = input_8(&run->input);
    const uint16_t off = how % (run->setup.size + 1);
    const uint16_t flags = input_8(&run->input);
    uint8_t event[4];
    bool expected = true;

    put_le16(event, (uint16_t)(off | (how & 0x80 ? RING_EVENT_WRAP : 0)));
    put_le16(event + 2, flags);
    store(run, run->setup.area_gpa[VIONET_AREA_DRIVER], event, sizeof(event));
    if ((flags & 3) == RING_EVENT_FLAGS_DISABLE) {
        expected = false;
    } else if ((flags & 3) == RING_EVENT_FLAGS_DESC && run->setup.event_idx &&
               off < run->setup.size) {
        expected = among(run, off, how & 0x80);
    }
    FUZZ_REQUIRE(ring_must_notify(&run->ring) == expected, "event 0x%x, 0x%x: not %d", off, flags,
                 expected);
    fuzz_reach[NOTIFIED].count += expected;
    run->told_at = run->used_at;
    return true;
}

static bool act_kicks(struct run *run)
{
    uint8_t *word = run->shadow + (run->setup.area_gpa[VIONET_AREA_DEVICE] - FIRST);
    const bool wanted = input_8(&run->input) & 1;
    const bool told = run->ring.kicks_wanted || wanted; /* what is unwanted is said once */

    if (wanted) {
        FUZZ_REQUIRE(ring_enable_kicks(&run->ring) == is_available(run, run->avail_at),
                     "what has come meanwhile is not seen");
        fuzz_reach[ENABLED].count++;
    } else {
        ring_disable_kicks(&run->ring);
    }
    if (told) {
        put_le16(word, (uint16_t)(run->avail_at % run->setup.size |
                                  (wrap_of(run, run->avail_at) ? RING_EVENT_WRAP : 0)));
        put_le16(word + 2, !wanted                ? RING_EVENT_FLAGS_DISABLE
                           : run->setup.event_idx ? RING_EVENT_FLAGS_DESC
                                                  : RING_EVENT_FLAGS_ENABLE);
    }
    return true;
}

/* ---- the driver ---- */

/* A buffer as an honest driver posts it, as far as its pieces are. */
static bool act_post(struct run *run)
{
    const uint8_t how = input_8(&run->input);
    const unsigned n = 1 + how % 4;
    const bool table = (how & 0x08) && run->setup.indirect;
    const uint16_t id = input_8(&run->input);
    const uint64_t first = run->driver_at;
    const uint64_t gpa = TABLES + 256 * (run->n_table++ % 16);
    const unsigned room = run->setup.size - (unsigned)(run->driver_at - run->used_at);

    if ((table ? 1 : n) > room) {
        return true;
    }
    for (unsigned i = n; i-- > 0;) {
        const uint8_t where = input_8(&run->input);
        const uint64_t addr = where >= 0xf8 ? SECOND - (where & 7) : BUFFERS + 64 * where;
        const uint32_t len = where == 0xf0 ? 0 : input_8(&run->input);
        const uint16_t flags = how & 0x10 && i + 1 >= n - (how >> 5) % 2 ? VIRTQ_DESC_F_WRITE : 0;

        if (table) {
            store_desc(run, gpa + 16 * i, addr, len, where, flags | (where & 5));
        } else {
            store_desc(run, slot_gpa(run, first + i), addr, len, id,
                       flags | (i + 1 < n ? VIRTQ_DESC_F_NEXT : 0) | available(run, first + i));
        }
    }
    if (table) {
        store_desc(run, slot_gpa(run, first), gpa, 16 * n, id,
                   VIRTQ_DESC_F_INDIRECT | (how >> 6 & VIRTQ_DESC_F_WRITE) | available(run, first));
    }
    run->driver_at += table ? 1 : n;
    fuzz_reach[POSTED].count++;
    fuzz_reach[TABLED].count += table;
    return true;
}

/* Anything, in the place of some descriptor or of half of one. */
static bool act_store(struct run *run)
{
    static const uint64_t places[8] = {0,           UINT64_MAX, READONLY, END - 8,
                                       SECOND - 16, FIRST - 1,  TABLES,   BUFFERS};
    const uint8_t how = input_8(&run->input);
    const uint64_t at = run->avail_at + (how & 7);
    const uint16_t flags = input_16(&run->input);
    const uint32_t len = input_edgy(&run->input, 16 * run->setup.size);

    store_desc(run, slot_gpa(run, at), places[how >> 4 & 7], len, how,
               how & 0x08 ? flags : (uint16_t)((flags & 7) | available(run, at)));
    return true;
}

/* ---- a run ---- */

static void map_in(struct run *run, uint64_t gpa, uint64_t end, unsigned flags)
{
    const struct memory_region region = {gpa, end - gpa, octets(run, gpa), flags};
    struct memory_map *next = memory_map_with(run->map, &region, NULL);

    FUZZ_REQUIRE(next, "memory is refused");
    g_free(run->map);
    run->map = next;
}

static void begin(struct run *run, const uint8_t *data, size_t size)
{
    static const uint64_t places[4] = {FIRST, FIRST + 16, SECOND - 32, SECOND - 256};
    uint8_t how;

    memset(run, 0, sizeof(*run));
    run->input = input_of(data, size);
    run->host = g_aligned_alloc0(1, SPACE, 4096);
    run->shadow = g_malloc0(SPACE);
    run->map = memory_map_empty();
    map_in(run, FIRST, SECOND, 0);
    map_in(run, SECOND, READONLY, 0);
    map_in(run, READONLY, END, VIONET_MAP_READONLY);
    chain_init(&run->chain, ranges, RANGES);
    ring_init(&run->ring, MAX_SIZE);
    run->setup.packed = true;
    run->setup.size = (uint16_t)(1 + input_below(&run->input, MAX_SIZE));
    how = input_8(&run->input);
    run->setup.indirect = how & 1;
    run->setup.event_idx = how & 2;
    run->setup.in_order = run->setup.batches = how & 4;
    run->setup.area_gpa[VIONET_AREA_DESC] = places[how >> 3 & 3];
    run->setup.area_gpa[VIONET_AREA_DRIVER] = FIRST + 0x1000;
    run->setup.area_gpa[VIONET_AREA_DEVICE] = FIRST + 0x1004;
    FUZZ_REQUIRE(ring_start(&run->ring, &run->setup, run->map), "the ring does not start");
}

static void finish(struct run *run)
{
    ring_free(&run->ring);
    g_free(run->map);
    g_free(run->shadow);
    g_aligned_free(run->host);
}

static bool (*const actions[])(struct run *run) = {
    act_post,   act_post,  act_post,      act_post,  act_post,       act_post,  act_pop,
    act_pop,    act_pop,   act_pop_plain, act_push,  act_push_plain, act_push,  act_push,
    act_push,   act_pop,   act_flush,     act_flush, act_go_back,    act_unpop, act_notify,
    act_notify, act_kicks, act_pop_plain, act_store,
};

#define N_ACTIONS (sizeof(actions) / sizeof(actions[0]))

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run run;
    bool good = true;

    begin(&run, data, size);
    for (unsigned i = 0; i < MAX_STEPS && good && !input_ended(&run.input); i++) {
        good = actions[input_below(&run.input, N_ACTIONS)](&run);
        require_memory(&run);
    }
    finish(&run);
    return 0;
}
