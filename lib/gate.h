/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A gate lets one thread at a time into a queue or a lane. It serves two purposes: it serialises
 * callers of the same queue, and it is how the control side knows that nobody can still see
 * something that it has replaced: it goes through every gate once (see net/device.c). Each gate has a
 * cache line to itself; an uncontended pass is one exchange and one store, once a burst.
 */
#ifndef VIONET_GATE_H
#define VIONET_GATE_H

#include <stdatomic.h>

#include "lines.h"

struct gate {
    _Alignas(CACHE_LINE) atomic_uint taken;
};

static inline void gate_enter(struct gate *gate)
{
    for (unsigned tries = 0; atomic_exchange_explicit(&gate->taken, 1, memory_order_acquire);) {
        if (++tries % 64 == 0) {
            g_thread_yield(); /* the holder may be off its processor */
        }
    }
}

static inline void gate_leave(struct gate *gate)
{
    atomic_store_explicit(&gate->taken, 0, memory_order_release);
}

#endif
