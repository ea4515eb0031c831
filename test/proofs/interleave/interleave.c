/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All interleavings of a driver and the device on one small ring: see ../README.md.
 *
 *   interleave split|packed SIZE BUFFERS event|flags
 *
 * The device is lib/ring itself, in the loop that the data path has; the driver is a model of a careful one,
 * written from the specification. Each runs on a stack of its own and stops at every load, fence and wait, so that
 * the explorer chooses who goes on. What a side stores waits in a buffer of its own until the explorer
 * lets it reach memory: later stores may do so before earlier ones, but for those of the same octets and those
 * with release, and loads may overtake them; a fence waits until all are there. Loads are done in order.
 *
 * Depth first, each schedule run from the beginning; a state that was seen before is left. A state is memory,
 * both buffers, both signals, and what each side has read since it was last at the head of its loop, with all
 * that it kept there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <glib.h>

#include <vionet/device.h>

#include "memory.h"
#include "ring/bounce.h"
#include "ring/ring.h"

#include <vionet/spec.h>

#define SIDES     2
#define STACK     (256u * 1024)
#define PENDING   24
#define MAX_DEPTH 4000
#define AREA      256u
#define DATA      (3 * AREA) /* 8 octets for each buffer */
#define PAGE      4096u

enum side_name { DRIVER, DEVICE };
enum wants { RUN, FENCE, WAIT, END };

struct store {
    uint8_t *p;
    size_t n;
    uint64_t value;
    bool release;
};

static struct side {
    ucontext_t context;
    char *stack;
    enum wants wants;
    bool signal; /* somebody wants it to wake */
    uint64_t history;
    struct store pending[PENDING];
    unsigned n_pending;
} sides[SIDES];

static ucontext_t explorer;
static struct side *running;
static _Alignas(4096) uint8_t guest[PAGE];
static bool packed, event_idx;
static unsigned size, n_buffers;
static const char *wrong; /* what went wrong in this run */

/* ---- steps ---- */

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static void stop(enum wants wants)
{
    struct side *side = running;

    side->wants = wants;
    swapcontext(&side->context, &explorer);
}

static void fail(const char *what)
{
    if (!wrong) {
        wrong = what;
    }
    for (;;) {
        stop(END);
    }
}

uint64_t step_load(const void *p, size_t n)
{
    uint64_t value = 0;

    stop(RUN);
    memcpy(&value, p, n);
    for (unsigned i = 0; i < running->n_pending; i++) { /* its own stores it sees at once */
        const struct store *store = &running->pending[i];
        const uint8_t *from = p;

        for (size_t at = 0; at < n; at++) {
            if (from + at >= store->p && from + at < store->p + store->n) {
                ((uint8_t *)&value)[at] = ((const uint8_t *)&store->value)[from + at - store->p];
            }
        }
    }
    running->history = mix(running->history, value);
    return value;
}

void step_store(void *p, size_t n, uint64_t value, bool release)
{
    g_assert_cmpuint(running->n_pending, <, PENDING);
    running->pending[running->n_pending++] = (struct store){p, n, value, release};
    running->history = mix(running->history, 1);
}

void step_fence(void)
{
    stop(FENCE);
    running->history = mix(running->history, 2);
}

static void wait_for_signal(void)
{
    stop(WAIT);
    running->signal = false;
    running->history = mix(running->history, 3);
}

static bool may_reach_memory(const struct side *side, unsigned i)
{
    const struct store *store = &side->pending[i];

    for (unsigned before = 0; before < i; before++) {
        const struct store *other = &side->pending[before];

        if (store->release || (store->p < other->p + other->n && other->p < store->p + store->n)) {
            return false;
        }
    }
    return true;
}

static void reach_memory(struct side *side, unsigned i)
{
    memcpy(side->pending[i].p, &side->pending[i].value, side->pending[i].n);
    side->n_pending--;
    memmove(&side->pending[i], &side->pending[i + 1],
            (side->n_pending - i) * sizeof(side->pending[0]));
}

/* At the head of a loop: all that the side keeps is this, and what it read before does not matter any more. */
static void at_head(const void *kept, size_t n)
{
    const uint8_t *p = kept;

    running->history = 0;
    for (size_t i = 0; i < n; i++) {
        running->history = mix(running->history, p[i]);
    }
}

/* ---- the ring's parts ---- */

static uint8_t *part(unsigned area)
{
    return guest + area * AREA;
}

static uint16_t load16(unsigned area, unsigned offset)
{
    return (uint16_t)step_load(part(area) + offset, 2);
}

/* ---- the driver ---- */

static struct {
    uint16_t added;
    uint16_t seen; /* used buffers */
    bool out[8];   /* by id */
    uint16_t slot, used_slot;
    bool wrap, used_wrap;
} driver;

static uint16_t free_id(void)
{
    uint16_t id = 0;

    while (driver.out[id]) {
        id++;
    }
    return id;
}

static void kick(bool wanted)
{
    if (wanted) {
        sides[DEVICE].signal = true;
    }
}

static void add_split(uint16_t id)
{
    const uint16_t old = driver.added, new = (uint16_t)(old + 1);

    step_store(part(0) + 16u * id, 8, DATA + 8u * id, false);
    step_store(part(0) + 16u * id + 8, 8, (uint64_t)VIRTQ_DESC_F_WRITE << 32 | 8, false);
    step_store(part(1) + 4 + 2u * (old % size), 2, id, false);
    step_store(part(1) + 2, 2, new, true);
    step_fence();
    if (event_idx) {
        kick((uint16_t)(new - load16(2, 4 + 8 * size) - 1) < (uint16_t)(new - old));
    } else {
        kick(!(load16(2, 0) & VIRTQ_USED_F_NO_NOTIFY));
    }
}

static void add_packed(uint16_t id)
{
    const uint64_t flags =
        VIRTQ_DESC_F_WRITE | (driver.wrap ? VIRTQ_DESC_F_AVAIL : VIRTQ_DESC_F_USED);
    const uint16_t old = driver.slot;
    uint32_t event;
    uint16_t new, at;

    step_store(part(0) + 16u * old, 8, DATA + 8u * id, false);
    step_store(part(0) + 16u * old + 8, 8, flags << 48 | (uint64_t)id << 32 | 8, true);
    if (++driver.slot == size) {
        driver.slot = 0;
        driver.wrap = !driver.wrap;
    }
    step_fence();
    event = (uint32_t)step_load(part(2), 4);
    if ((event >> 16 & 3) != RING_EVENT_FLAGS_DESC) {
        kick((event >> 16 & 3) == RING_EVENT_FLAGS_ENABLE);
        return;
    }
    new = (uint16_t)(old + 1);
    at = (uint16_t)(event & RING_EVENT_OFF_MASK);
    if (!!(event & RING_EVENT_WRAP) != (driver.slot == 0 ? !driver.wrap : driver.wrap)) {
        at = (uint16_t)(at - size);
    }
    kick((uint16_t)(new - at - 1) < (uint16_t)(new - old));
}

static void add(void)
{
    const uint16_t id = free_id();

    driver.out[id] = true;
    if (packed) {
        add_packed(id);
    } else {
        add_split(id);
    }
    driver.added++;
}

static void take_back(uint16_t id)
{
    if (id >= size || !driver.out[id]) {
        fail("a buffer comes back that is not out");
    }
    /* The device writes into each buffer how many it has taken. */
    if (step_load(guest + DATA + 8u * id, 8) != driver.seen + 1u) {
        fail("a buffer comes back before what was written to it");
    }
    driver.out[id] = false;
    driver.seen++;
}

/* Takes a used buffer, if there is one. */
static bool reap(void)
{
    uint64_t rest;

    if (!packed) {
        if (load16(2, 2) == driver.seen) {
            return false;
        }
        take_back((uint16_t)step_load(part(2) + 4 + 8u * (driver.seen % size), 4));
        return true;
    }
    rest = step_load(part(0) + 16u * driver.used_slot + 8, 8);
    if (!!(rest >> 48 & VIRTQ_DESC_F_AVAIL) != driver.used_wrap ||
        !!(rest >> 48 & VIRTQ_DESC_F_USED) != driver.used_wrap) {
        return false;
    }
    take_back((uint16_t)(rest >> 32));
    if (++driver.used_slot == size) {
        driver.used_slot = 0;
        driver.used_wrap = !driver.used_wrap;
    }
    return true;
}

static void want_interrupts(bool wanted)
{
    if (packed) {
        const uint32_t flags = !wanted     ? RING_EVENT_FLAGS_DISABLE
                               : event_idx ? RING_EVENT_FLAGS_DESC
                                           : RING_EVENT_FLAGS_ENABLE;

        step_store(part(1), 4,
                   flags << 16 | driver.used_slot | (driver.used_wrap ? RING_EVENT_WRAP : 0u),
                   false);
    } else if (!event_idx) {
        step_store(part(1), 2, wanted ? 0 : VIRTQ_AVAIL_F_NO_INTERRUPT, false);
    } else if (wanted) {
        step_store(part(1) + 4 + 2 * size, 2, driver.seen, false);
    }
}

static void run_driver(void)
{
    want_interrupts(false);
    while (driver.seen < n_buffers) {
        at_head(&driver, sizeof(driver));
        if (driver.added < n_buffers && (uint16_t)(driver.added - driver.seen) < size) {
            add();
            continue;
        }
        if (reap()) {
            continue;
        }
        want_interrupts(true);
        step_fence();
        if (!reap()) {
            wait_for_signal();
        }
        want_interrupts(false);
    }
    for (;;) {
        stop(END);
    }
}

/* ---- the device: the loop of the data path ---- */

GQuark vionet_error_quark(void)
{
    return g_quark_from_static_string("vionet");
}

static struct ring ring;
static struct memory_map *map;
static struct iovec ranges[64];
static struct chain chain;

bool bounce_add(struct ring *r, struct chain *c, unsigned n, uint64_t gpa, uint64_t len, bool write)
{
    return false;
}

bool bounce_fetch(struct ring *r, struct chain *c, uint64_t *gpa)
{
    return false;
}

static int pop(void)
{
    const int found = ring_pop(&ring, &chain);

    if (found < 0) {
        fail("the device finds a broken rule");
    }
    return found;
}

static void device_head(void)
{
    struct {
        uint16_t words[10];
        uint8_t bits[16];
        uint32_t untold;
    } kept;

    memset(&kept, 0, sizeof(kept));
    kept.words[0] = ring.next_avail;
    kept.words[1] = ring.seen_avail;
    kept.words[2] = ring.next_used;
    kept.words[3] = ring.staged;
    kept.words[4] = ring.told_used;
    kept.words[5] = ring.next_put;
    kept.words[6] = ring.in_flight;
    kept.words[7] = ring.next_turn;
    kept.bits[0] = ring.avail_wrap;
    kept.bits[1] = ring.used_wrap;
    kept.bits[2] = ring.put_wrap;
    kept.bits[3] = ring.kicks_wanted;
    kept.bits[4] = ring.told_valid;
    memcpy(&kept.bits[8], ring.taken, size);
    kept.untold = ring.untold;
    at_head(&kept, sizeof(kept));
}

static void run_device(void)
{
    for (;;) {
        bool shown = false;
        int found;

        device_head();
        found = pop();
        if (found == 0) {
            if (!ring_enable_kicks(&ring)) {
                wait_for_signal();
            }
            continue;
        }
        ring_disable_kicks(&ring);
        for (unsigned burst = 0; found == 1 && burst < 2; burst++) {
            step_store(chain.in[0].iov_base, 8, ring.next_turn, false);
            ring_push(&ring, &chain.ref, 8);
            found = burst == 0 ? pop() : 0;
        }
        shown = ring_flush(&ring);
        if (shown && ring_must_notify(&ring)) {
            sides[DRIVER].signal = true;
        }
    }
}

/* ---- exploring ---- */

static void begin(void)
{
    struct ring_setup setup = {.size = (uint16_t)size, .packed = packed, .event_idx = event_idx};

    memset(guest, 0, sizeof(guest));
    memset(&driver, 0, sizeof(driver));
    driver.wrap = driver.used_wrap = true;
    for (unsigned area = 0; area < 3; area++) {
        setup.area_gpa[area] = area * AREA;
    }
    wrong = NULL;
    for (unsigned i = 0; i < SIDES; i++) {
        struct side *side = &sides[i];
        char *stack = side->stack;

        memset(side, 0, sizeof(*side));
        side->stack = stack;
        getcontext(&side->context);
        side->context.uc_stack.ss_sp = side->stack;
        side->context.uc_stack.ss_size = STACK;
        side->context.uc_link = &explorer;
        makecontext(&side->context, i == DRIVER ? run_driver : run_device, 0);
    }
    running = &sides[DEVICE];
    g_assert_true(ring_start(&ring, &setup, map));
    chain_init(&chain, ranges, 32);
}

/* Choices: 0 and 1, a side goes on; 2 + PENDING * side + i, a store of it reaches memory. */
static unsigned choices(uint16_t *found)
{
    unsigned n = 0;

    for (unsigned s = 0; s < SIDES; s++) {
        const struct side *side = &sides[s];

        if (side->wants == RUN || (side->wants == FENCE && side->n_pending == 0) ||
            (side->wants == WAIT && side->signal)) {
            found[n++] = (uint16_t)s;
        }
        for (unsigned i = 0; i < side->n_pending; i++) {
            if (may_reach_memory(side, i)) {
                found[n++] = (uint16_t)(2 + PENDING * s + i);
            }
        }
    }
    return n;
}

static void make(uint16_t choice)
{
    if (choice >= 2) {
        reach_memory(&sides[(choice - 2) / PENDING], (choice - 2) % PENDING);
        return;
    }
    running = &sides[choice];
    swapcontext(&explorer, &running->context);
}

static uint64_t state_hash(void)
{
    uint64_t hash = 0;

    for (unsigned area = 0; area < 4; area++) {
        for (unsigned i = 0; i < 64; i += 8) {
            hash = mix(hash, *(uint64_t *)(void *)(part(area) + i));
        }
    }
    for (unsigned s = 0; s < SIDES; s++) {
        hash = mix(hash, sides[s].history);
        hash = mix(hash, (uint64_t)sides[s].wants << 8 | sides[s].signal);
        for (unsigned i = 0; i < sides[s].n_pending; i++) {
            hash = mix(hash, (uint64_t)(sides[s].pending[i].p - guest));
            hash = mix(hash, sides[s].pending[i].value);
        }
    }
    return hash;
}

static struct {
    uint16_t found[2 * PENDING + 2];
    unsigned n, at;
} depth[MAX_DEPTH];

static const char *end_wrong(void)
{
    if (wrong) {
        return wrong;
    }
    return driver.seen < n_buffers ? "both sides wait, and buffers are not back: a wake-up was lost"
                                   : NULL;
}

int main(int argc, char **argv)
{
    GHashTable *seen = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    const struct memory_region region = {.gpa = 0, .size = PAGE, .host = guest};
    struct memory_map *empty = memory_map_empty();
    unsigned long runs = 0, ends = 0;
    unsigned n_depth = 0;

    if (argc != 5) {
        fputs("usage: interleave split|packed SIZE BUFFERS event|flags\n", stderr);
        return 2;
    }
    packed = strcmp(argv[1], "packed") == 0;
    size = (unsigned)atoi(argv[2]);
    n_buffers = (unsigned)atoi(argv[3]);
    event_idx = strcmp(argv[4], "event") == 0;
    map = memory_map_with(empty, &region, NULL);
    ring_init(&ring, (uint16_t)size);
    for (unsigned i = 0; i < SIDES; i++) {
        sides[i].stack = g_malloc(STACK);
    }
    do {
        unsigned at = 0;

        begin();
        runs++;
        for (;;) {
            if (at == n_depth) { /* where nobody was before in this way */
                uint64_t hash = state_hash();

                if (at > 0 && !wrong && !g_hash_table_add(seen, g_memdup2(&hash, sizeof(hash)))) {
                    break;
                }
                depth[at].n = wrong ? 0 : choices(depth[at].found);
                depth[at].at = 0;
                if (depth[at].n == 0) {
                    ends++;
                    if (end_wrong()) {
                        printf("%s; after %u steps, run %lu\n", end_wrong(), at, runs);
                        return 1;
                    }
                    break;
                }
                if (++n_depth == MAX_DEPTH) {
                    puts("a run that does not end");
                    return 1;
                }
            }
            make(depth[at].found[depth[at].at]);
            at++;
        }
        while (n_depth > 0 && ++depth[n_depth - 1].at == depth[n_depth - 1].n) {
            n_depth--;
        }
    } while (n_depth > 0);
    printf("%u states, %lu runs, %lu ends\n", g_hash_table_size(seen), runs, ends);
    return ends > 0 ? 0 : 1;
}
