/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a ring stands, noted in memory that outlives the process, so that another can go on with it. What
 * was taken and not given back is taken again, from the driver's ring: buffers go back in the order in
 * which they were taken, so that they lie there still. Of a split ring the driver's memory says how many
 * went back. Of a packed one it does not, and there a used descriptor overwrites an available one: those to
 * be shown are written down first, and a burst that was shown by half is shown once more.
 *
 * The layout is that of a packed queue's region in vhost-user ("inflight I/O tracking"), of which few
 * members are needed:
 *
 *     version, desc_num       1 and the ring's size once a ring has run on it
 *     used_idx, used_wrap     the place of the next used buffer, as soon as those in front of it are shown
 *     old_used_*              the same, before that
 *     padding[0]              the ring's format
 *     desc[i]                 id, len, num: those in between
 *
 * Whoever else can write there may confuse the driver, and nobody else: what is read is bounded.
 * Called by the formats and ring_start().
 */
#ifndef VIONET_RING_JOURNAL_H
#define VIONET_RING_JOURNAL_H

#include "ring/ring.h"

/* A place in the ring, with its wrap counter in bit 15 where it has one. */
struct journal_places {
    uint16_t old;
    uint16_t next; /* the same, but while buffers are being shown */
};

/* Whether a ring of that format and size ran on it and did not come to an end that was told of. */
bool journal_is_live(const uint8_t *journal, uint16_t size, bool packed);

/* Begins, or goes on, with nothing in between. */
void journal_open(uint8_t *journal, uint16_t size, bool packed, uint16_t place);

/* Notes n used buffers, which are going to be shown; and that they were. */
void journal_intend(uint8_t *journal, const struct ring_used *used, unsigned n,
                    const struct journal_places *places);
void journal_settle(uint8_t *journal, uint16_t place);

struct journal_places journal_places(const uint8_t *journal);

/*
 * The used buffers noted last, which take up so many places of the ring, at least 1 and at most its size:
 * how many, 0 if they do not.
 */
unsigned journal_read(const uint8_t *journal, struct ring_used *used, unsigned places);

#endif
