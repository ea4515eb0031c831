/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory that is refused. A program that links this has a malloc() and its kin in front of the C library's, which
 * fail once, at the allocation that was asked for, and count. Only what is allocated between enter and leave
 * counts: the test allocates too. GNU C library, no sanitizer. One thread.
 */
#ifndef TEST_FAULTS_FAILING_MALLOC_H
#define TEST_FAULTS_FAILING_MALLOC_H

#include <stdbool.h>
#include <stddef.h>

/* The nth allocation of at_least octets or more is to fail, 0: none. Begins to count. */
void failing_malloc_set(unsigned nth, size_t at_least);

/* They nest. */
void failing_malloc_enter(void);
void failing_malloc_leave(void);

/* Nothing counts or fails any more. */
void failing_malloc_end(void);

/* Allocations that counted so far; octets of the one that failed, 0 if none did. */
unsigned failing_malloc_seen(void);
size_t failing_malloc_failed(void);

#endif
