/* SPDX-License-Identifier: BSD-3-Clause */
/* P5: decisions on notifying are the specification's. Each entry point is a claim; see README.md. */
#include "memory.h"
#include "ring/formats.h"

#include <vionet/spec.h>

unsigned proof_loads, proof_stores;

static struct ring the_ring;
/* What the driver wrote, as proof_load() gives it (WORD). */
static uint8_t the_driver_area[64];
uint64_t proof_word;

const uint8_t *ring_load(struct ring *ring, unsigned area, uint32_t offset, uint32_t len)
{
    claim(false, "parts are in one piece here");
    return NULL;
}

void ring_store(struct ring *ring, unsigned area, uint32_t offset, uint32_t value, uint32_t len)
{
}
void ring_log(const struct ring *ring, uint32_t offset, uint32_t len)
{
}

/* 2.7.10: as vring_need_event() has it. */
void split_event(void)
{
    const uint16_t event = any_16(), next = any_16(), old = any_16();

    the_ring.area[VIONET_AREA_DRIVER] = the_driver_area;
    the_ring.setup.size = 8;
    the_ring.setup.event_idx = true;
    the_ring.next_used = next;
    the_ring.told_used = old;
    the_ring.told_valid = true;
    proof_word = event;
    claim(ring_format_split.must_notify(&the_ring) ==
              ((uint16_t)(next - event - 1) < (uint16_t)(next - old)),
          "as the specification's formula has it, for all 2^48 triples");
    claim(the_ring.told_used == next, "and the next decision counts from here");
    reached("decided");
}

/* The same in words: the event's index is among those shown since the last decision. */
void split_event_in_words(void)
{
    const uint16_t event = any_16(), old = any_16(), shown = (uint16_t)any_below(9),
                   i = (uint16_t)any_below(8);
    bool notify;

    the_ring.area[VIONET_AREA_DRIVER] = the_driver_area;
    the_ring.setup.size = 8;
    the_ring.setup.event_idx = true;
    the_ring.next_used = (uint16_t)(old + shown);
    the_ring.told_used = old;
    the_ring.told_valid = true;
    proof_word = event;
    notify = ring_format_split.must_notify(&the_ring);
    claim(!(i < shown && (uint16_t)(old + i) == event) || notify,
          "notified of the buffer that it waits for");
    claim(!notify || (uint16_t)(event - old) < shown, "and of no other");
}

/*
 * 2.8.10: the place of the event is among the places shown since the last decision. `behind` counts back from
 * the next used place; every place of the ring and both wrap counters.
 */
void packed_event(void)
{
    const uint16_t size = any_16(), behind = any_16();
    const uint32_t shown = any_32();
    const unsigned mode = any_below(4);
    uint16_t slot;
    bool wrap, notify;

    assume(size >= 1 && size <= 0x8000 && shown <= size);
    the_ring.next_used = any_16();
    the_ring.used_wrap = any_bool();
    assume(the_ring.next_used < size && behind >= 1 && behind <= size);
    slot = (uint16_t)(behind <= the_ring.next_used ? the_ring.next_used - behind
                                                   : the_ring.next_used + size - behind);
    wrap = behind <= the_ring.next_used ? the_ring.used_wrap : !the_ring.used_wrap;
    the_ring.area[VIONET_AREA_DRIVER] = the_driver_area;
    the_ring.setup.size = size;
    the_ring.setup.event_idx = true;
    the_ring.untold = shown;
    proof_word = (uint32_t)mode << 16 | (wrap ? RING_EVENT_WRAP : 0u) | slot;
    notify = ring_format_packed.must_notify(&the_ring);
    claim(mode != RING_EVENT_FLAGS_DISABLE || !notify, "not when it is disabled");
    claim(mode != RING_EVENT_FLAGS_ENABLE || notify, "always when it is enabled");
    claim(mode != RING_EVENT_FLAGS_DESC || notify == (behind <= shown),
          "else if the place was shown since");
    claim(the_ring.untold == 0, "and the next decision counts from here");
    reached("decided");
}
