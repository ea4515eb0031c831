/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What proofs share: any value, hostile guest memory, any memory map. Included before everything else, by the
 * harness and by the sources of lib/ that it is about, which are taken as they stand.
 *
 * Guest memory has no content here. Each load from it is held against the object that it reads (inside,
 * aligned), and gives any value, another one each time: so the guest may change every word between any two
 * reads, and writes of ours may be overwritten at once. Each store is held against the object and forgotten.
 */
#ifndef VIONET_PROOFS_PROOF_H
#define VIONET_PROOFS_PROOF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Any value: the checker knows functions by this beginning of their name. */
bool nondet_bool(void);
uint8_t nondet_8(void);
uint16_t nondet_16(void);
uint32_t nondet_32(void);
uint64_t nondet_64(void);

#define any_bool() nondet_bool()
#define any_8()    nondet_8()
#define any_16()   nondet_16()
#define any_32()   nondet_32()
#define any_64()   nondet_64()

#define assume(condition)       __CPROVER_assume(condition)
#define claim(condition, words) __CPROVER_assert(condition, words)

/* Seen to be reached: a harness whose assumptions contradict each other proves everything, and reaches nothing. */
#ifdef PROOF_REACH
#define reached(words) __CPROVER_assert(0, "reached: " words)
#else
#define reached(words) ((void)0)
#endif

static inline uint32_t any_below(uint32_t end)
{
    const uint32_t value = any_32();

    assume(value < end);
    return value;
}

/* ---- hostile guest memory, in place of the accesses of bytes.h ---- */

extern unsigned proof_loads;  /* words loaded */
extern unsigned proof_stores; /* words stored */
extern uint64_t
    proof_word; /* with PROOF_WORD: what loads give, for claims on what follows from it */

static inline uint64_t proof_load(const void *p, size_t n)
{
    claim(__CPROVER_r_ok(p, n), "a load lies inside guest memory");
    claim((uintptr_t)p % n == 0, "a load is aligned");
    proof_loads++;
#ifdef PROOF_WORD
    return proof_word;
#else
    return any_64();
#endif
}

static inline void proof_store(void *p, size_t n)
{
    claim(__CPROVER_w_ok(p, n), "a store lies inside guest memory");
    claim((uintptr_t)p % n == 0, "a store is aligned");
    proof_stores++;
}

#define __atomic_load_n(p, order)         ((__typeof__(*(p)))proof_load(p, sizeof(*(p))))
#define __atomic_store_n(p, value, order) ((void)(value), proof_store(p, sizeof(*(p))))
#define __atomic_signal_fence(order)      ((void)0)
#define __builtin_prefetch(...)           ((void)0)

#endif
