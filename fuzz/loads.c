/* SPDX-License-Identifier: BSD-3-Clause */
/* See loads.h. */
#include "loads.h"

#include <string.h>

static struct loads_range watched[LOADS_MAX_RANGES];
static unsigned n_watched; /* 0: nobody does */
static loads_hook *on_load;
static void *on_load_opaque;

void loads_watch(const struct loads_range *ranges, unsigned n, loads_hook *hook, void *opaque)
{
    memcpy(watched, ranges, n * sizeof(ranges[0]));
    on_load = hook;
    on_load_opaque = opaque;
    n_watched = n;
}

void loads_stop(void)
{
    n_watched = 0;
    on_load = NULL;
}

void loads_note(uint64_t gpa, size_t size)
{
    const unsigned n = n_watched;

    if (n) {
        n_watched = 0;
        on_load(on_load_opaque, gpa, size);
        n_watched = on_load ? n : 0; /* the hook may have ended it */
    }
}

#ifdef FUZZ_TRACE_LOADS

static inline void note(const void *at, size_t size)
{
    for (unsigned i = 0; i < n_watched; i++) {
        const size_t offset = (size_t)((const uint8_t *)at - watched[i].host);

        if (offset < watched[i].size) {
            loads_note(watched[i].gpa + offset, size);
            return;
        }
    }
}

/* What the compiler calls in front of each load. */
#define TRACE(n)                                 \
    void __sanitizer_cov_load##n(const void *);  \
    void __sanitizer_cov_load##n(const void *at) \
    {                                            \
        note(at, n);                             \
    }

TRACE(1)
TRACE(2)
TRACE(4)
TRACE(8)
TRACE(16)

#endif
