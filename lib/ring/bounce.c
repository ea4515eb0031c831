/* SPDX-License-Identifier: BSD-3-Clause */
/* Chains that lie in remote memory, or partly so; see bounce.h (VIRTIO 1.4, 2.7.5 and 2.7.8). */
#include "ring/bounce.h"

/* A range that leads to bounce memory. */
struct remote_range {
    uint64_t gpa;
    size_t at; /* in the bounce memory */
    unsigned range;
    bool write;
};

struct bounce {
    GArray *ranges;   /* of struct remote_range, in the chain's order */
    size_t octets[2]; /* that they have, of those to be read and those to be written */
    uint8_t *memory;
    size_t size; /* of it */
};

static struct remote_range *range_at(const struct bounce *bounce, guint i)
{
    return &g_array_index(bounce->ranges, struct remote_range, i);
}

void chain_free(struct chain *chain)
{
    if (chain->bounce) {
        g_array_unref(chain->bounce->ranges);
        g_free(chain->bounce->memory);
        g_free(chain->bounce);
        chain->bounce = NULL;
    }
}

static struct bounce *get_bounce(struct chain *chain)
{
    if (!chain->bounce) {
        chain->bounce = g_new0(struct bounce, 1);
        chain->bounce->ranges = g_array_new(FALSE, FALSE, sizeof(struct remote_range));
    }
    if (chain->n_remote == 0) {
        g_array_set_size(chain->bounce->ranges, 0);
        chain->bounce->octets[0] = chain->bounce->octets[1] = 0;
    }
    return chain->bounce;
}

/* Notes a remote piece as that range; how many of its octets are kept, the first ones. */
static uint64_t note(struct chain *chain, const struct memory_piece *piece, unsigned range,
                     bool write)
{
    struct bounce *bounce = get_bounce(chain);
    const uint64_t kept = MIN(piece->len, CHAIN_REMOTE_MAX - bounce->octets[write]);
    const struct remote_range remote = {
        .gpa = piece->gpa,
        .at = bounce->octets[0] + bounce->octets[1],
        .range = range,
        .write = write,
    };

    chain->n_remote++;
    if (kept > 0) {
        bounce->octets[write] += (size_t)kept;
        g_array_append_val(bounce->ranges, remote);
    }
    return kept;
}

bool bounce_add(struct ring *ring, struct chain *chain, unsigned n, uint64_t gpa, uint64_t len,
                bool write)
{
    struct iovec *iov = write ? chain->in : chain->out;
    unsigned *end = write ? &chain->n_in : &chain->n_out;
    unsigned *keep = write ? &chain->keep_in : &chain->keep_out;
    struct memory_piece piece;

    for (; len > 0; len -= piece.len, gpa += piece.len) {
        uint64_t kept;

        if (!memory_piece(ring->map, &ring->hint, gpa, len, write, &piece)) {
            return false;
        }
        if (n >= *keep) {
            continue;
        }
        kept = piece.host ? piece.len : note(chain, &piece, n, write);
        if (kept > 0) {
            iov[n].iov_base = piece.host;
            iov[n].iov_len = (size_t)kept;
            n++;
        }
        if (kept < piece.len) {
            *keep = n; /* nothing behind it either: what is kept is the chain's beginning */
        }
    }
    *end = n;
    return true;
}

bool bounce_fetch(struct ring *ring, struct chain *chain, uint64_t *gpa)
{
    const struct memory_remote *remote = ring->map->remote;
    struct bounce *bounce = chain->bounce;
    const size_t size = bounce->octets[0] + bounce->octets[1];

    if (bounce->size < size) {
        g_free(bounce->memory);
        bounce->memory = g_try_malloc0(size);
        bounce->size = bounce->memory ? size : 0;
    }
    if (bounce->size <
        size) { /* so much the driver asked for; it is as if the memory were not there */
        *gpa = range_at(bounce, 0)->gpa;
        return false;
    }
    for (guint i = 0; i < bounce->ranges->len; i++) {
        const struct remote_range *range = range_at(bounce, i);
        struct iovec *iov = (range->write ? chain->in : chain->out) + range->range;

        iov->iov_base = bounce->memory + range->at;
        if (!range->write &&
            !remote->read(remote->opaque, range->gpa, iov->iov_base, iov->iov_len)) {
            *gpa = range->gpa;
            return false;
        }
    }
    return true;
}

uint8_t *bounce_steal(struct chain *chain, size_t *len)
{
    struct bounce *bounce = chain->bounce;
    uint8_t *memory = bounce->memory;

    *len = bounce->size;
    bounce->memory = NULL;
    bounce->size = 0;
    return memory;
}

bool bounce_write_out(struct ring *ring, const struct chain *chain, uint64_t written)
{
    const struct memory_remote *remote = ring->map->remote;
    uint64_t begin = 0; /* of the present range, in octets of all */
    unsigned at = 0;

    for (guint i = 0; i < chain->bounce->ranges->len; i++) {
        const struct remote_range *range = range_at(chain->bounce, i);
        const struct iovec *iov = &chain->in[range->range];

        if (!range->write) {
            continue;
        }
        for (; at < range->range; at++) {
            begin += chain->in[at].iov_len;
        }
        if (begin >= written) {
            break;
        }
        if (!remote->write(remote->opaque, range->gpa, iov->iov_base,
                           (size_t)MIN(iov->iov_len, written - begin))) {
            ring_lose(ring, VIONET_VIOLATION_ADDRESS, chain->ref.id, range->gpa);
            return false;
        }
    }
    return true;
}

bool bounce_find(const struct chain *chain, size_t offset, uint64_t *gpa)
{
    unsigned at = 0;

    while (offset >= chain->in[at].iov_len) {
        offset -= chain->in[at++].iov_len;
    }
    for (guint i = 0; chain->n_remote && i < chain->bounce->ranges->len; i++) {
        const struct remote_range *range = range_at(chain->bounce, i);

        if (range->write && range->range == at) {
            *gpa = range->gpa + offset;
            return true;
        }
    }
    return false;
}

void chain_log(const struct ring *ring, const struct chain *chain, uint64_t written)
{
    for (unsigned i = 0; i < chain->n_in && written > 0; i++) {
        const uint64_t here = MIN(written, chain->in[i].iov_len);

        memory_log_host(ring->map, chain->in[i].iov_base, here);
        written -= here;
    }
}
