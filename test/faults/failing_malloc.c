/* SPDX-License-Identifier: BSD-3-Clause */
/* See failing_malloc.h. */
#include "failing_malloc.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *before, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static unsigned fail_at;
static size_t at_least;
static unsigned seen;
static size_t failed;
static unsigned depth;
static bool ended;

void failing_malloc_set(unsigned nth, size_t octets)
{
    fail_at = nth;
    at_least = octets;
    seen = 0;
    failed = 0;
    ended = false;
}

void failing_malloc_enter(void)
{
    depth++;
}

void failing_malloc_leave(void)
{
    depth--;
}

void failing_malloc_end(void)
{
    ended = true;
}

unsigned failing_malloc_seen(void)
{
    return seen;
}

size_t failing_malloc_failed(void)
{
    return failed;
}

static bool fails(size_t size)
{
    if (depth == 0 || ended || size < at_least || ++seen != fail_at) {
        return false;
    }
    failed = size > 0 ? size : 1; /* 0 stands for none */
    errno = ENOMEM;
    return true;
}

/* ---- in front of the C library's ---- */

void *malloc(size_t size)
{
    return fails(size) ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return fails(n * size) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *before, size_t size)
{
    return size > 0 && fails(size) ? NULL : __libc_realloc(before, size);
}

void *memalign(size_t alignment, size_t size)
{
    return fails(size) ? NULL : __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

int posix_memalign(void **to, size_t alignment, size_t size)
{
    void *made = memalign(alignment, size);

    if (!made) {
        return ENOMEM;
    }
    *to = made;
    return 0;
}
