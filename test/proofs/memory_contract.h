/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What lib/memory.c promises (memory.h; claims memory-*), in its place for proofs about those who use it. Whether
 * an address is memory, and in how many pieces, is any answer, another one each time. A host pointer is one to an
 * object of exactly the octets that it is good for, so that one octet more is an error of the proof. Ranges of
 * buffers, which rings hand on and never look into, are numbers instead: see is_range().
 */
#ifndef VIONET_PROOFS_MEMORY_CONTRACT_H
#define VIONET_PROOFS_MEMORY_CONTRACT_H

#include "memory.h"

/* Pieces that one descriptor may lie in. */
#ifndef PIECES
#define PIECES 2
#endif

unsigned proof_loads, proof_stores;
static unsigned proof_copies; /* by memory_read() */

static bool contract_write; /* what the last window was asked for */

static uint8_t *new_octets(uint64_t len)
{
    uint8_t *p = malloc(len);

    assume(p != NULL);
    return p;
}

/* A range's address tells its length, and whether it may be written. */
static inline bool is_range(const struct iovec *range, bool write)
{
    return (uintptr_t)range->iov_base == (range->iov_len << 1 | write) && range->iov_len > 0;
}

bool memory_translate(const struct memory_map *map, unsigned *hint, uint64_t gpa, uint64_t len,
                      bool write, struct iovec *iov, unsigned *n, unsigned max)
{
    *hint = any_32();
    for (unsigned i = 0; i < PIECES && len > 0; i++) {
        const uint64_t here = any_64();

        assume(here > 0 && here <= len && (i < PIECES - 1 || here == len));
        if (*n < max) {
            iov[*n].iov_base = (uint8_t *)(uintptr_t)(here << 1 | write);
            iov[*n].iov_len = here;
            (*n)++;
        }
        len -= here;
        if (any_bool()) {
            return false;
        }
    }
    return true;
}

uint8_t *memory_pointer(const struct memory_map *map, unsigned *hint, uint64_t gpa, uint64_t len,
                        bool write)
{
    *hint = any_32();
    return any_bool() ? new_octets(len) : NULL;
}

/* One octet of the window is asked for at gpa; how far it reaches beyond is any answer. */
struct memory_window memory_window_at(const struct memory_map *map, unsigned *hint, uint64_t gpa,
                                      bool write)
{
    struct memory_window window = {0};

    *hint = any_32();
    contract_write = write;
    if (any_bool()) {
        window.gpa = gpa; /* what lies before it in the region is another window */
        window.size = 1 + (uint64_t)any_32();
        window.host = new_octets(window.size);
    }
    return window;
}

bool memory_exists(const struct memory_map *map, unsigned *hint, uint64_t gpa, uint64_t len,
                   bool write)
{
    *hint = any_32();
    return any_bool();
}

bool memory_read(const struct memory_map *map, unsigned *hint, uint64_t gpa, void *buf, size_t len)
{
    claim(__CPROVER_w_ok(buf, len), "a copy fits where it goes");
    __CPROVER_havoc_slice(buf, len);
    proof_copies++;
    *hint = any_32();
    return any_bool();
}

bool memory_write(const struct memory_map *map, unsigned *hint, uint64_t gpa, const void *buf,
                  size_t len)
{
    claim(__CPROVER_r_ok(buf, len), "what is written is there");
    *hint = any_32();
    return any_bool();
}

void memory_log_pages(const struct memory_log *log, uint64_t gpa, uint64_t len)
{
}
void memory_log_host(const struct memory_map *map, const void *host, uint64_t len)
{
}

#endif
