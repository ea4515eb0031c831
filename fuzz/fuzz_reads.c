/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How often the device reads: a ring of any format as input, mapped or remote, with a program of driver and
 * device, where each load from the ring and its tables is watched (loads.h). In one call of the ring no octet is
 * read twice: what was checked is what is used. Only a chain that runs into itself is read on, and refused. Or, as
 * the input says, what is read again is another by then, and the device only has to stay inside of its memory.
 *
 * Mapped memory is watched in builds for libFuzzer alone, remote memory in all.
 *
 * Setup: 1 octet format and kind of memory, 1 size, 1 features; then actions, an octet each with its operands.
 */
#include <string.h>

#include <glib.h>

#include <vionet/spec.h>

#include "bytes.h"
#include "input.h"
#include "loads.h"
#include "reach.h"
#include "ring/bounce.h"
#include "ring/ring.h"

#define MAX_SIZE  16
#define MAX_STEPS 200
#define RANGES    64

/* One mapping of the ring and of tables, which is watched, and one of buffers. */
#define DESC     UINT64_C(0x10000)
#define DRIVER   UINT64_C(0x11000)
#define DEVICE   UINT64_C(0x12000)
#define TABLES   UINT64_C(0x13000)
#define BUFFERS  UINT64_C(0x14000)
#define END      UINT64_C(0x18000)
#define SPACE    (END - DESC)
#define WATCHED  (BUFFERS - DESC)
#define N_TABLES 16u /* of 16 entries each */

enum { POSTED, TABLED, TAKEN, TAKEN_REMOTE, PLAIN, REFUSED, BACK, SHOWN, READ, CHANGED };

struct reach fuzz_reach[] = {
    [POSTED] = {"buffers posted", 400, 0},
    [TABLED] = {"of them by a table", 80, 0},
    [TAKEN] = {"buffers taken singly", 200, 0},
    [TAKEN_REMOTE] = {"of them of remote memory", 80, 0},
    [PLAIN] = {"and in bursts", 20, 0},
    [REFUSED] = {"buffers refused", 10, 0},
    [BACK] = {"buffers put back", 20, 0},
    [SHOWN] = {"buffers shown as used", 80, 0},
    [READ] = {"octets read", 4000, 0},
    [CHANGED] = {"of them changed and read again", 10, 0},
    {NULL, 0, 0},
};

struct run {
    struct input input;
    struct ring ring;
    struct ring_setup setup;
    struct chain chain;
    struct memory_map *map;
    struct memory_remote remote;
    uint8_t *host;
    bool is_remote;
    bool changes; /* what is read again is another by then */
    uint8_t seen[WATCHED];
    bool twice; /* an octet was read again in this call */
    uint16_t avail;
    unsigned driver_at;  /* descriptors posted so far */
    unsigned n_posted;   /* of them not given back */
    bool busy[MAX_SIZE]; /* split: which descriptors those are */
    unsigned n_table;
    struct chain_ref outs[MAX_SIZE]; /* taken, in that order */
    unsigned n_outs;
    unsigned n_staged;
};

static struct iovec ranges[2 * RANGES];

/* ---- what is read ---- */

static uint8_t *octets(const struct run *run, uint64_t gpa)
{
    return run->host + (gpa - DESC);
}

static void on_load(void *opaque, uint64_t gpa, size_t size)
{
    struct run *run = opaque;

    for (uint64_t at = gpa; at < gpa + size && at < BUFFERS; at++) {
        fuzz_reach[READ].count++;
        if (run->seen[at - DESC]++) {
            run->twice = true;
            if (run->changes) {
                *octets(run, at) ^= (uint8_t)(1 + input_8(&run->input));
                fuzz_reach[CHANGED].count++;
            }
        }
    }
}

static void begin_call(struct run *run)
{
    const struct loads_range range = {run->host, WATCHED, DESC};

    memset(run->seen, 0, sizeof(run->seen));
    run->twice = false;
    loads_watch(&range, 1, on_load, run);
}

static void end_call(struct run *run, bool good, const char *what)
{
    loads_stop();
    FUZZ_REQUIRE(!run->twice || !good || run->changes, "%s reads an octet twice", what);
}

static bool remote_read(void *opaque, uint64_t gpa, void *buf, size_t len)
{
    loads_note(gpa, len);
    memcpy(buf, octets(opaque, gpa), len);
    return true;
}

static bool remote_write(void *opaque, uint64_t gpa, const void *buf, size_t len)
{
    memcpy(octets(opaque, gpa), buf, len);
    return true;
}

/* ---- the driver ---- */

static void store16(const struct run *run, uint64_t gpa, uint16_t value)
{
    put_le16(octets(run, gpa), run->setup.big_endian ? GUINT16_SWAP_LE_BE(value) : value);
}

static void store_desc(const struct run *run, uint64_t gpa, uint64_t addr, uint32_t len,
                       const uint16_t words[2])
{
    const bool big = run->setup.big_endian;

    put_le64(octets(run, gpa), big ? GUINT64_SWAP_LE_BE(addr) : addr);
    put_le32(octets(run, gpa + 8), big ? GUINT32_SWAP_LE_BE(len) : len);
    store16(run, gpa + 12, words[0]);
    store16(run, gpa + 14, words[1]);
}

/* The i-th descriptor from now on, or an entry of a table, the next of which is next. */
static void write_desc(const struct run *run, uint64_t gpa, unsigned i, uint64_t addr, uint32_t len,
                       uint16_t flags, uint16_t next)
{
    const unsigned at = run->driver_at + i;
    const bool wrap = at / run->setup.size % 2 == 0;
    const uint16_t available = wrap ? VIRTQ_DESC_F_AVAIL : VIRTQ_DESC_F_USED;

    store_desc(run, gpa, addr, len,
               run->setup.packed ? (const uint16_t[]){(uint16_t)(run->driver_at % run->setup.size),
                                                      (uint16_t)(flags | available)}
                                 : (const uint16_t[]){flags, next});
}

static uint64_t slot_gpa(const struct run *run, unsigned i)
{
    return DESC + 16 * ((run->driver_at + i) % run->setup.size);
}

static bool is_room(const struct run *run, unsigned n)
{
    bool busy = n + run->n_posted > run->setup.size;

    for (unsigned i = 0; i < n && !run->setup.packed; i++) {
        busy |= run->busy[(run->driver_at + i) % run->setup.size];
    }
    return !busy;
}

/* n descriptors from now on are the device's, as one buffer. */
static void show(struct run *run, unsigned n)
{
    const uint16_t size = run->setup.size;

    for (unsigned i = 0; i < n; i++) {
        run->busy[(run->driver_at + i) % size] = true;
    }
    if (!run->setup.packed) {
        store16(run, DRIVER + 4 + 2 * (run->avail % size), (uint16_t)(run->driver_at % size));
        store16(run, DRIVER + 2, ++run->avail);
    }
    run->driver_at += n;
    run->n_posted += n;
    fuzz_reach[POSTED].count++;
}

/* how: 0x03 how many, 0x04 by a table, 0x18 how many are writable */
static bool act_post(struct run *run)
{
    const uint8_t how = input_8(&run->input);
    const unsigned n = 1 + (how & 3), readable = n - MIN(how >> 3 & 3, n);
    const bool table = (how & 4) && run->setup.indirect;
    const uint64_t gpa = TABLES + 256 * (run->n_table % N_TABLES);

    if (!is_room(run, table ? 1 : n)) {
        return true;
    }
    for (unsigned i = n; i-- > 0;) { /* the first one last: it makes a packed buffer available */
        const uint64_t addr = BUFFERS + 32 * input_8(&run->input);
        const uint16_t flags =
            (i >= readable ? VIRTQ_DESC_F_WRITE : 0) | (i + 1 < n ? VIRTQ_DESC_F_NEXT : 0);

        if (table) {
            write_desc(run, gpa + 16 * i, 0, addr, 32 + i, flags, (uint16_t)(i + 1));
        } else {
            write_desc(run, slot_gpa(run, i), i, addr, 32 + i, flags,
                       (uint16_t)((run->driver_at + i + 1) % run->setup.size));
        }
    }
    if (table) {
        write_desc(run, slot_gpa(run, 0), 0, gpa, 16 * n, VIRTQ_DESC_F_INDIRECT, 0);
        run->n_table++;
        fuzz_reach[TABLED].count++;
    }
    show(run, table ? 1 : n);
    return true;
}

/*
 * Anything but an address, over a word of the ring or of a table: buffers and tables stay where they are, so that
 * no octet is in two of them.
 */
static bool act_spoil(struct run *run)
{
    const uint8_t which = input_8(&run->input);
    const uint8_t at = input_8(&run->input);
    const uint16_t value = (uint16_t)input_edgy(&run->input, run->setup.size);
    const uint64_t word = 8 + 2 * (at & 3);

    if (which & 1) {
        store16(run, DRIVER + 2 * (at % (run->setup.size + 2u)), value);
    } else if (which & 2) {
        store16(run, TABLES + 16 * (at >> 2) + word, value);
    } else {
        store16(run, DESC + 16 * ((at >> 2) % run->setup.size) + word, value);
    }
    return true;
}

/* A buffer of one descriptor that leads out of memory, or to its end. */
static bool act_astray(struct run *run)
{
    static const uint64_t places[4] = {0, END - 8, END, UINT64_MAX - 7};
    const uint8_t how = input_8(&run->input);

    if (is_room(run, 1)) {
        write_desc(run, slot_gpa(run, 0), 0, places[how & 3], how >> 2,
                   how & 0x80 ? VIRTQ_DESC_F_WRITE : 0, 0);
        show(run, 1);
    }
    return true;
}

/* ---- the device ---- */

static void note_taken(struct run *run, const struct chain_ref *ref)
{
    FUZZ_REQUIRE(run->n_outs < run->setup.size, "more buffers are out than the ring has");
    run->outs[run->n_outs++] = *ref;
}

static void require_inside(const struct run *run, const void *p, size_t len)
{
    const size_t offset = (size_t)((const uint8_t *)p - run->host);

    FUZZ_REQUIRE(len > 0 && offset < SPACE && len <= SPACE - offset, "a range is not guest memory");
}

/* Whether the run goes on. */
static bool act_pop(struct run *run)
{
    int result;

    begin_call(run);
    result = ring_pop(&run->ring, &run->chain);
    end_call(run, result >= 0, "a pop");
    fuzz_reach[REFUSED].count += result < 0;
    if (result <= 0) {
        return result == 0;
    }
    fuzz_reach[TAKEN].count++;
    fuzz_reach[TAKEN_REMOTE].count += run->is_remote;
    for (unsigned i = 0; i < run->chain.n_out && !run->chain.n_remote; i++) {
        require_inside(run, run->chain.out[i].iov_base, run->chain.out[i].iov_len);
    }
    for (unsigned i = 0; i < run->chain.n_in && !run->chain.n_remote; i++) {
        require_inside(run, run->chain.in[i].iov_base, run->chain.in[i].iov_len);
    }
    note_taken(run, &run->chain.ref);
    return true;
}

static bool act_pop_plain(struct run *run)
{
    const uint8_t how = input_8(&run->input);
    struct ring_plain plain[MAX_SIZE];
    unsigned n;

    begin_call(run);
    n = ring_pop_plain(&run->ring, how & 1, plain, (how >> 1) % (MAX_SIZE + 1));
    end_call(run, true, "a burst");
    for (unsigned i = 0; i < n; i++) {
        const struct chain_ref ref = ring_plain_ref(&plain[i]);

        require_inside(run, plain[i].host, plain[i].len);
        note_taken(run, &ref);
    }
    fuzz_reach[PLAIN].count += n;
    return true;
}

static bool act_unpop(struct run *run)
{
    if (run->n_outs) {
        begin_call(run);
        ring_unpop(&run->ring, &run->outs[--run->n_outs]);
        end_call(run, true, "a step back");
        fuzz_reach[BACK].count++;
    }
    return true;
}

static bool act_push(struct run *run)
{
    const unsigned which = input_8(&run->input) % MAX(run->n_outs, 1);

    if (run->n_outs) {
        const struct chain_ref ref = run->outs[run->setup.in_order ? 0 : which];

        run->n_outs--;
        for (unsigned i = run->setup.in_order ? 0 : which; i < run->n_outs; i++) {
            run->outs[i] = run->outs[i + 1];
        }
        begin_call(run);
        ring_push(&run->ring, &ref, 0);
        end_call(run, true, "a push");
        run->n_posted -= MIN(ref.n_desc, run->n_posted);
        for (unsigned i = 0; i < ref.n_desc; i++) {
            run->busy[(ref.id + i) % run->setup.size] = false;
        }
        run->n_staged++;
    }
    return true;
}

static bool act_flush(struct run *run)
{
    begin_call(run);
    ring_flush(&run->ring);
    end_call(run, true, "a flush");
    fuzz_reach[SHOWN].count += run->n_staged;
    run->n_staged = 0;
    return true;
}

static bool act_notify(struct run *run)
{
    begin_call(run);
    ring_must_notify(&run->ring);
    end_call(run, true, "a decision");
    return true;
}

static bool act_kicks(struct run *run)
{
    begin_call(run);
    if (input_8(&run->input) & 1) {
        ring_enable_kicks(&run->ring);
    } else {
        ring_disable_kicks(&run->ring);
    }
    end_call(run, true, "asking for kicks");
    return true;
}

/* ---- a run ---- */

static void map_in(struct run *run, uint64_t gpa, uint64_t end, bool is_remote)
{
    const struct memory_region region = {gpa, end - gpa, is_remote ? NULL : octets(run, gpa),
                                         is_remote ? MEMORY_REMOTE : 0};
    struct memory_map *next = memory_map_with(run->map, &region, NULL);

    FUZZ_REQUIRE(next, "memory is refused");
    g_free(run->map);
    run->map = next;
}

/* Formats: split, split of a big-endian driver, packed, packed. */
static void begin(struct run *run, const uint8_t *data, size_t size)
{
    uint8_t how;

    memset(run, 0, sizeof(*run));
    run->input = input_of(data, size);
    how = input_8(&run->input);
    run->host = g_aligned_alloc0(1, SPACE, 4096);
    run->map = memory_map_empty();
    run->remote = (struct memory_remote){remote_read, remote_write, run};
    run->map->remote = &run->remote;
    run->is_remote = how & 0x10;
    run->changes = how & 0x20;
    map_in(run, DESC, BUFFERS, run->is_remote);
    map_in(run, BUFFERS, END, false);
    run->setup.packed = how & 2;
    run->setup.big_endian = (how & 3) == 1;
    how = input_8(&run->input);
    run->setup.size = (uint16_t)(run->setup.packed ? 1 + how % MAX_SIZE : 1 << how % 5);
    how = input_8(&run->input);
    run->setup.indirect = how & 1;
    run->setup.event_idx = how & 2;
    run->setup.in_order = how & 4;
    run->setup.area_gpa[VIONET_AREA_DESC] = DESC;
    run->setup.area_gpa[VIONET_AREA_DRIVER] = DRIVER;
    run->setup.area_gpa[VIONET_AREA_DEVICE] = DEVICE;
    chain_init(&run->chain, ranges, RANGES);
    ring_init(&run->ring, MAX_SIZE);
    FUZZ_REQUIRE(ring_start(&run->ring, &run->setup, run->map), "the ring does not start");
}

static void finish(struct run *run)
{
    chain_free(&run->chain);
    ring_free(&run->ring);
    g_free(run->map);
    g_aligned_free(run->host);
}

static bool (*const actions[])(struct run *run) = {
    act_post,  act_post,   act_post,      act_post,      act_pop,   act_pop,   act_pop,
    act_pop,   act_pop,    act_pop_plain, act_pop_plain, act_unpop, act_push,  act_push,
    act_flush, act_notify, act_push,      act_kicks,     act_spoil, act_spoil, act_astray,
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
    }
    finish(&run);
    return 0;
}
