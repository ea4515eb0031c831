/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A chain: what a ring gives for one buffer of the driver, copied out of guest memory, checked and
 * turned into host ranges. Nothing in it is read from the guest again.
 */
#ifndef VIONET_RING_CHAIN_H
#define VIONET_RING_CHAIN_H

#include <stdint.h>
#include <sys/uio.h>

#include <vionet/transport.h>

/*
 * Most descriptors of one chain, if the queue itself is no larger: drivers build indirect tables
 * longer than their ring (2.7.5.3 lets a device set its limit, 2.7.4.1).
 */
#define CHAIN_MAX_INDIRECT 1024u

/*
 * Ranges kept for each direction, for a limit of n descriptors. A descriptor may lie across mappings,
 * which begin at page boundaries, so that the first VIONET_MAX_FRAME octets with their header take at
 * most two ranges for each descriptor and one for each page. What lies beyond is checked, not kept.
 */
#define CHAIN_RANGES(n) (2u * (n) + VIONET_MAX_FRAME / 4096u + 16u)

/*
 * Octets of a chain in remote memory that are kept, in each direction: more than any frame or command
 * that the device takes has. What lies beyond is checked, not kept.
 */
#define CHAIN_REMOTE_MAX (256u * 1024)

/* Which of the driver's buffers this is, for giving it back. */
struct chain_ref {
    uint16_t id;     /* as the driver knows it */
    uint16_t turn;   /* as the ring knows it: position in the order of taking */
    uint16_t n_desc; /* descriptors of the ring itself that it takes up */
};

struct chain {
    struct chain_ref ref;
    unsigned n_out;   /* ranges that the device may read, in order */
    unsigned n_in;    /* ranges that it may write, in order */
    uint64_t out_len; /* octets of all of them, kept or not */
    uint64_t in_len;
    struct iovec *out; /* storage, of max ranges each: chain_init() */
    struct iovec *in;
    unsigned max;
    unsigned keep_out; /* ranges kept of this one: max, or where remote octets became too many */
    unsigned keep_in;
    unsigned n_remote;     /* ranges in remote memory; 0: there is no bounce memory in it */
    struct bounce *bounce; /* NULL until there are some */
};

/* Gives a chain its storage: 2 * max ranges at iov, which stays the caller's. */
static inline void chain_init(struct chain *chain, struct iovec *iov, unsigned max)
{
    chain->out = iov;
    chain->in = iov + max;
    chain->max = max;
    chain->keep_out = chain->keep_in = max;
    chain->n_remote = 0;
    chain->bounce = NULL;
}

/* Before a chain is filled in. */
static inline void chain_clear(struct chain *chain)
{
    chain->ref.n_desc = 0;
    chain->n_out = chain->n_in = 0;
    chain->out_len = chain->in_len = 0;
    if (__builtin_expect(chain->n_remote > 0, 0)) {
        chain->keep_out = chain->keep_in = chain->max;
        chain->n_remote = 0;
    }
}

#endif
