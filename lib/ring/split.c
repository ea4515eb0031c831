/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The split virtqueue (VIRTIO 1.4, 2.7): descriptor table, available ring, used ring.
 *
 *     Descriptor Area          Driver Area                Device Area
 *     desc[0..N)               flags, idx                 flags, idx
 *       addr len flags next    ring[0..N)  heads          ring[0..N)  id, len
 *                              used_event                 avail_event
 *
 * The driver writes the first two, the device the third. An index runs freely through 16 bits; its
 * slot is the index modulo N. Every word is read once, into a copy that is then checked: the driver
 * may be changing it while we look.
 */
#include "ring/formats.h"

#include "bytes.h"
#include "ring/bounce.h"

#include <stdatomic.h>

#include <vionet/spec.h>

#define USED_FLAGS  0u
#define USED_IDX    2u
#define USED_RING   4u
#define AVAIL_FLAGS 0u
#define AVAIL_IDX   2u
#define AVAIL_RING  4u

static uint32_t split_area_size(unsigned area, uint16_t size)
{
    switch (area) {
    case VIONET_AREA_DESC:
        return VIRTQ_DESC_TABLE_SIZE(size);
    case VIONET_AREA_DRIVER:
        return VIRTQ_AVAIL_SIZE(size);
    default:
        return VIRTQ_USED_SIZE(size);
    }
}

/*
 * Where to load len octets at offset of a part from, once. Parts were checked to be memory when the
 * map was taken up; mappings begin at page boundaries and the parts are aligned, so that no word (and
 * no descriptor, which is aligned to its size) lies across two of them.
 */
static inline const uint8_t *at(struct ring *ring, unsigned area, uint32_t offset, uint32_t len)
{
    if (G_LIKELY(ring->area[area] != NULL)) {
        return ring->area[area] + offset;
    }
    return ring_load(ring, area, offset, len);
}

/* The same for storing, in the part that the device writes. */
static inline void store16(struct ring *ring, uint32_t offset, uint16_t value)
{
    uint8_t *device = ring->area[VIONET_AREA_DEVICE];

    if (G_LIKELY(device != NULL)) {
        guest_store16(device + offset, value);
    } else {
        ring_store(ring, VIONET_AREA_DEVICE, offset, value, 2);
    }
}

static inline void store32(struct ring *ring, uint32_t offset, uint32_t value)
{
    uint8_t *device = ring->area[VIONET_AREA_DEVICE];

    if (G_LIKELY(device != NULL)) {
        guest_store32(device + offset, value);
    } else {
        ring_store(ring, VIONET_AREA_DEVICE, offset, value, 4);
    }
}

/* What was read of memory that failed is not the driver's doing: that fault stays. */
static int fault(struct ring *ring, VionetViolation violation, unsigned descriptor, uint64_t value)
{
    if (!ring->lost) {
        ring->fault = (struct ring_fault){violation, descriptor, value};
    }
    return -1;
}

/* A descriptor, copied: one read of each octet. */
struct desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags;
    uint16_t next;
};

static inline struct desc desc_load(const uint8_t *p)
{
    uint64_t rest = guest_load64(p + 8);

    return (struct desc){
        .addr = guest_load64(p),
        .len = (uint32_t)rest,
        .flags = (uint16_t)(rest >> 32),
        .next = (uint16_t)(rest >> 48),
    };
}

/* Where a walk stands: in the descriptor table, or in an indirect table copied range by range. */
struct walk {
    struct ring *ring;
    struct chain *chain;
    unsigned n;    /* elements so far */
    unsigned head; /* in the descriptor table, for naming faults */
    bool indirect; /* in an indirect table */
    uint64_t table_gpa;
    uint32_t table_len; /* entries */
};

/* Copies entry index of the indirect table; it may lie across mappings, or in remote memory. */
static bool indirect_load(struct walk *walk, uint32_t index, struct desc *desc)
{
    uint64_t gpa = walk->table_gpa + 16u * (uint64_t)index;
    struct ring *ring = walk->ring;
    const uint8_t *p = memory_pointer(ring->map, &ring->hint, gpa, 16, false);
    uint8_t copy[16];

    if (G_LIKELY(p != NULL && (uintptr_t)p % 8 == 0)) {
        *desc = desc_load(p);
        return true;
    }
    if (!memory_read(ring->map, &ring->hint, gpa, copy, sizeof(copy))) {
        return false;
    }
    *desc =
        (struct desc){get_le64(copy), get_le32(copy + 8), get_le16(copy + 12), get_le16(copy + 14)};
    return true;
}

/* Adds one element to the chain: 0, or -1 with the fault. */
static inline int add_element(struct walk *walk, unsigned index, const struct desc *desc)
{
    bool write = desc->flags & VIRTQ_DESC_F_WRITE;
    struct chain *chain = walk->chain;
    struct ring *ring = walk->ring;
    unsigned before;

    if (G_UNLIKELY(++walk->n > ring->chain_limit)) {
        return fault(ring, VIONET_VIOLATION_CHAIN_LENGTH, walk->head, ring->chain_limit);
    }
    if (write) {
        chain->in_len += desc->len;
        before = chain->n_in;
        if (G_UNLIKELY(!memory_translate(ring->map, &ring->hint, desc->addr, desc->len, true,
                                         chain->in, &chain->n_in, chain->keep_in)) &&
            !bounce_add(ring, chain, before, desc->addr, desc->len, true)) {
            return fault(ring, VIONET_VIOLATION_ADDRESS, index, desc->addr);
        }
    } else {
        if (G_UNLIKELY(chain->in_len > 0 || chain->n_in > 0)) {
            return fault(ring, VIONET_VIOLATION_READABLE_AFTER_WRITABLE, index, walk->head);
        }
        chain->out_len += desc->len;
        before = chain->n_out;
        if (G_UNLIKELY(!memory_translate(ring->map, &ring->hint, desc->addr, desc->len, false,
                                         chain->out, &chain->n_out, chain->keep_out)) &&
            !bounce_add(ring, chain, before, desc->addr, desc->len, false)) {
            return fault(ring, VIONET_VIOLATION_ADDRESS, index, desc->addr);
        }
    }
    if (G_UNLIKELY(chain->out_len + chain->in_len > UINT64_C(1) << 32)) {
        return fault(ring, VIONET_VIOLATION_CHAIN_OCTETS, walk->head,
                     chain->out_len + chain->in_len);
    }
    return 0;
}

static int enter_indirect(struct walk *walk, unsigned index, const struct desc *desc)
{
    struct ring *ring = walk->ring;

    if (!ring->setup.indirect) {
        return fault(ring, VIONET_VIOLATION_INDIRECT_NOT_NEGOTIATED, index, desc->flags);
    }
    if (desc->flags & VIRTQ_DESC_F_NEXT) {
        return fault(ring, VIONET_VIOLATION_INDIRECT_WITH_NEXT, index, desc->flags);
    }
    if (desc->len == 0 || desc->len % 16 || desc->len / 16 > ring->chain_limit) {
        return fault(ring, VIONET_VIOLATION_INDIRECT_LENGTH, index, desc->len);
    }
    if (desc->len - 1 > UINT64_MAX - desc->addr) {
        return fault(ring, VIONET_VIOLATION_ADDRESS, index, desc->addr);
    }
    walk->indirect = true;
    walk->table_gpa = desc->addr;
    walk->table_len = desc->len / 16;
    return 0;
}

/* The elements of the table that walk has entered; index is the descriptor that refers to it. */
static int walk_indirect(struct walk *walk, unsigned index)
{
    struct ring *ring = walk->ring;
    struct desc desc;
    uint32_t i = 0;

    for (;;) {
        if (!indirect_load(walk, i, &desc)) {
            return fault(ring, VIONET_VIOLATION_ADDRESS, index,
                         walk->table_gpa + 16u * (uint64_t)i);
        }
        if (desc.flags & VIRTQ_DESC_F_INDIRECT) {
            return fault(ring, VIONET_VIOLATION_INDIRECT_NESTED, index, i);
        }
        if (add_element(walk, index, &desc) < 0) {
            return -1;
        }
        if (!(desc.flags & VIRTQ_DESC_F_NEXT)) {
            return 0;
        }
        i = desc.next;
        if (i >= walk->table_len) {
            return fault(ring, VIONET_VIOLATION_NEXT_RANGE, index, i);
        }
    }
}

/* The chain that begins at head. An indirect table can only end it, so the loop never resumes. */
static int walk_chain(struct walk *walk, uint16_t head)
{
    struct ring *ring = walk->ring;
    uint16_t index = head;

    for (;;) {
        struct desc desc = desc_load(at(ring, VIONET_AREA_DESC, 16u * index, 16));

        walk->chain->n_desc++;
        if (G_UNLIKELY(desc.flags & VIRTQ_DESC_F_INDIRECT)) {
            return enter_indirect(walk, index, &desc) < 0 ? -1 : walk_indirect(walk, index);
        }
        if (add_element(walk, index, &desc) < 0) {
            return -1;
        }
        if (!(desc.flags & VIRTQ_DESC_F_NEXT)) {
            return 0;
        }
        index = desc.next;
        if (G_UNLIKELY(index >= ring->setup.size)) {
            return fault(ring, VIONET_VIOLATION_NEXT_RANGE, head, index);
        }
        /* Direct chains are bounded by the table even where indirect ones may be longer. */
        if (G_UNLIKELY(walk->n >= ring->setup.size)) {
            return fault(ring, VIONET_VIOLATION_CHAIN_LENGTH, head, ring->setup.size);
        }
    }
}

/* Reads the driver's index if all that was seen is taken. 1 if there is a buffer, 0, or -1. */
static int look(struct ring *ring)
{
    uint16_t idx;

    if (ring->next_avail != ring->seen_avail) {
        return 1;
    }
    /* Acquire: the ring entries and descriptors behind idx are read after it. */
    idx = guest_load16_acquire(at(ring, VIONET_AREA_DRIVER, AVAIL_IDX, 2));
    if (G_UNLIKELY(ring->lost)) {
        return -1;
    }
    if (idx == ring->next_avail) {
        return 0;
    }
    /* No more than the driver can have: the ring less what it has not got back. */
    if ((uint16_t)(idx - ring->next_avail) > ring->setup.size - ring->in_flight - ring->staged) {
        return fault(ring, VIONET_VIOLATION_AVAIL_JUMP, VIONET_NONE,
                     (uint16_t)(idx - ring->next_avail));
    }
    ring->seen_avail = idx;
    return 1;
}

static int split_pop(struct ring *ring, struct chain *chain)
{
    struct walk walk = {.ring = ring, .chain = chain};
    uint16_t slot, head;
    uint64_t gpa;
    int found = look(ring);

    if (found <= 0) {
        return found;
    }
    slot = ring->next_avail & (ring->setup.size - 1);
    head = guest_load16(at(ring, VIONET_AREA_DRIVER, AVAIL_RING + 2u * slot, 2));
    if (G_UNLIKELY(head >= ring->setup.size)) {
        return fault(ring, VIONET_VIOLATION_HEAD_RANGE, VIONET_NONE, head);
    }
    if (G_UNLIKELY(ring_is_taken(ring, head))) {
        return fault(ring, VIONET_VIOLATION_HEAD_IN_FLIGHT, head, ring->next_avail);
    }
    walk.head = head;
    chain_clear(chain);
    if (G_UNLIKELY(walk_chain(&walk, head) < 0)) {
        return -1;
    }
    if (G_UNLIKELY(chain->n_remote > 0) && !bounce_fetch(ring, chain, &gpa)) {
        return fault(ring, VIONET_VIOLATION_ADDRESS, head, gpa);
    }
    ring_take(ring, head, &chain->ref);
    ring->next_avail++;
    return 1;
}

static void split_unpop(struct ring *ring, const struct chain_ref *ref)
{
    (void)ref;
    ring->next_avail--;
}

static void split_put_used(struct ring *ring, uint16_t id, uint32_t written)
{
    uint16_t slot = (uint16_t)(ring->next_used + ring->staged) & (ring->setup.size - 1);
    const uint32_t elem = USED_RING + 8u * slot;

    /* Two words: the element is aligned to 4 only, and may lie across mappings. */
    store32(ring, elem, id);
    store32(ring, elem + 4, written);
}

static void split_publish(struct ring *ring)
{
    /* Release: data and used elements are there before the index that covers them. */
    if (G_LIKELY(ring->area[VIONET_AREA_DEVICE] != NULL)) {
        guest_store16_release(ring->area[VIONET_AREA_DEVICE] + USED_IDX, ring->next_used);
    } else {
        ring_store(ring, VIONET_AREA_DEVICE, USED_IDX, ring->next_used, 2);
    }
}

static bool split_must_notify(struct ring *ring)
{
    uint16_t size = ring->setup.size;
    uint16_t old = ring->told_used;
    bool valid = ring->told_valid;
    uint16_t event;

    /* Orders our store of used.idx with the driver's of its event word or flags, which we read. */
    atomic_thread_fence(memory_order_seq_cst);
    if (!ring->setup.event_idx) {
        event = guest_load16(at(ring, VIONET_AREA_DRIVER, AVAIL_FLAGS, 2));
        return !(event & VIRTQ_AVAIL_F_NO_INTERRUPT);
    }
    ring->told_used = ring->next_used;
    ring->told_valid = true;
    ring->untold = 0;
    event = guest_load16(at(ring, VIONET_AREA_DRIVER, AVAIL_RING + 2u * size, 2));
    return !valid || (uint16_t)(ring->next_used - event - 1) < (uint16_t)(ring->next_used - old);
}

static void split_set_kicks(struct ring *ring, bool wanted)
{
    uint16_t size = ring->setup.size;

    if (!ring->setup.event_idx) {
        store16(ring, USED_FLAGS, wanted ? 0 : VIRTQ_USED_F_NO_NOTIFY);
    } else if (wanted) {
        store16(ring, USED_RING + 8u * size, ring->next_avail);
    }
    if (G_UNLIKELY(ring->setup.logs)) {
        ring_log(ring, ring->setup.event_idx ? USED_RING + 8u * size : USED_FLAGS, 2);
    }
    /* Unwanted with event index: the event word is left behind, which is how it is said. */
}

static bool split_has_more(struct ring *ring)
{
    /* Orders our store of flags or event word with the driver's of avail.idx, which we read. */
    atomic_thread_fence(memory_order_seq_cst);
    return ring->next_avail != ring->seen_avail ||
           guest_load16(at(ring, VIONET_AREA_DRIVER, AVAIL_IDX, 2)) != ring->next_avail;
}

static void split_log_used(struct ring *ring, uint16_t n)
{
    const uint16_t size = ring->setup.size;
    const uint16_t first = (uint16_t)(ring->next_used - n) & (size - 1);
    const uint16_t straight = MIN(n, size - first);

    ring_log(ring, USED_RING + 8u * first, 8u * straight);
    if (n > straight) {
        ring_log(ring, USED_RING, 8u * (n - straight));
    }
    ring_log(ring, USED_IDX, 2);
}

/* The index of the next buffer to take: what vhost calls the base of a split queue. */
static uint32_t split_get_base(const struct ring *ring)
{
    return ring->next_avail;
}

/*
 * What the driver was given back, the used ring alone says. A driver that writes there has its buffers
 * mixed up, and nobody else's.
 */
static void split_set_base(struct ring *ring, uint32_t base)
{
    ring->next_avail = ring->seen_avail = (uint16_t)base;
    ring->next_used = guest_load16(at(ring, VIONET_AREA_DEVICE, USED_IDX, 2));
}

const struct ring_ops ring_format_split = {
    .area_size = split_area_size,
    .area_align = {16, 2, 4},
    .pop = split_pop,
    .unpop = split_unpop,
    .put_used = split_put_used,
    .publish = split_publish,
    .must_notify = split_must_notify,
    .set_kicks = split_set_kicks,
    .has_more = split_has_more,
    .get_base = split_get_base,
    .set_base = split_set_base,
    .log_used = split_log_used,
};
