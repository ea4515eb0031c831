/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every access of lib/ring to guest memory, and every fence, is a step of interleave.c: included before all else,
 * by it and by the sources of lib/, which are taken as they stand. One thread; nothing is atomic but a step.
 */
#ifndef VIONET_INTERLEAVE_ACCESS_H
#define VIONET_INTERLEAVE_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

uint64_t step_load(const void *p, size_t n);
void step_store(void *p, size_t n, uint64_t value, bool release);
void step_fence(void);

#define __atomic_load_n(p, order) ((__typeof__(*(p)))step_load(p, sizeof(*(p))))
#define __atomic_store_n(p, value, order) \
    step_store(p, sizeof(*(p)), value, (order) == __ATOMIC_RELEASE)
#define __atomic_thread_fence(order) ((order) == __ATOMIC_SEQ_CST ? step_fence() : (void)0)

#endif
