/* SPDX-License-Identifier: BSD-3-Clause */
/* Where a ring stands, for another process; see journal.h. Called by the ring formats and ring.c. */
#include "ring/journal.h"

#include <stdatomic.h>

#include "bytes.h"

#include <vionet/spec.h>

#define VERSION     8u
#define DESC_NUM    10u
#define PLACES      16u /* used_idx, old_used_idx, used_wrap, old_used_wrap, format: one word */
#define DESC        32u
#define DESC_SIZE   32u
#define DESC_NUM_OF 6u /* in a descriptor */
#define DESC_ID     16u
#define DESC_LEN    20u

#define WRAP 0x8000u

enum { SPLIT = 1, PACKED = 2 };

size_t vionet_queue_journal_size(uint16_t size)
{
    return DESC + (size_t)DESC_SIZE * size;
}

void vionet_queue_journal_clear(void *journal)
{
    guest_store16_release((uint8_t *)journal + VERSION, 0);
}

static uint64_t format_of(uint64_t word)
{
    return word >> 48 & 0xff;
}

bool journal_is_live(const uint8_t *journal, uint16_t size, bool packed)
{
    return guest_load16_acquire(journal + VERSION) == 1 &&
           guest_load16(journal + DESC_NUM) == size &&
           format_of(guest_load64(journal + PLACES)) == (packed ? PACKED : SPLIT);
}

/* In one store: there is no moment at which they do not belong together. */
static void store_places(uint8_t *journal, uint64_t format, uint16_t old, uint16_t next)
{
    const uint64_t word = (next & (WRAP - 1u)) | (uint64_t)(old & (WRAP - 1u)) << 16 |
                          (uint64_t)(next >> 15) << 32 | (uint64_t)(old >> 15) << 40 | format << 48;

    guest_store64_release(journal + PLACES, word);
}

void journal_open(uint8_t *journal, uint16_t size, bool packed, uint16_t place)
{
    store_places(journal, packed ? PACKED : SPLIT, place, place);
    guest_store16(journal + DESC_NUM, size);
    guest_store16_release(journal + VERSION, 1);
}

void journal_intend(uint8_t *journal, const struct ring_used *used, unsigned n,
                    const struct journal_places *places)
{
    for (unsigned i = 0; i < n; i++) {
        uint8_t *desc = journal + DESC + DESC_SIZE * i;

        guest_store16(desc + DESC_NUM_OF, used[i].ref.n_desc);
        guest_store16(desc + DESC_ID, used[i].ref.id);
        guest_store32(desc + DESC_LEN, used[i].written);
    }
    store_places(journal, PACKED, places->old, places->next);
    atomic_thread_fence(memory_order_release); /* the ring is written to after that */
}

void journal_settle(uint8_t *journal, uint16_t place)
{
    store_places(journal, PACKED, place, place);
}

struct journal_places journal_places(const uint8_t *journal)
{
    const uint64_t word = guest_load64_acquire(journal + PLACES);

    return (struct journal_places){
        .old = (uint16_t)((word >> 16 & (WRAP - 1u)) | (word >> 40 & 1) << 15),
        .next = (uint16_t)((word & (WRAP - 1u)) | (word >> 32 & 1) << 15),
    };
}

unsigned journal_read(const uint8_t *journal, struct ring_used *used, unsigned places)
{
    unsigned n = 0;

    while (places > 0) {
        const uint8_t *desc = journal + DESC + DESC_SIZE * n;
        const uint16_t n_desc = guest_load16(desc + DESC_NUM_OF);

        if (n_desc == 0 || n_desc > places) {
            return 0;
        }
        used[n++] = (struct ring_used){
            .ref = {.id = guest_load16(desc + DESC_ID), .n_desc = n_desc},
            .written = guest_load32(desc + DESC_LEN),
        };
        places -= n_desc;
    }
    return n;
}
