/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest that writes between two reads of the device: what another processor may do at any time, but at a
 * moment that the input says, so that it happens again. Before each load that the device makes from guest
 * memory a hook is called. Where memory is remote its operations say so (loads_note()); where it is mapped,
 * the compiler does, in builds for libFuzzer whose library has -fsanitize-coverage=trace-loads.
 */
#ifndef FUZZ_LOADS_H
#define FUZZ_LOADS_H

#include <stddef.h>
#include <stdint.h>

#define LOADS_MAX_RANGES 8

/* Memory that is watched. */
struct loads_range {
    const uint8_t *host;
    size_t size;
    uint64_t gpa;
};

typedef void loads_hook(void *opaque, uint64_t gpa, size_t size);

/* From here on hook is called, but not from within itself. */
void loads_watch(const struct loads_range *ranges, unsigned n, loads_hook *hook, void *opaque);
void loads_stop(void);

/* The device is about to read so many octets from there. */
void loads_note(uint64_t gpa, size_t size);

#endif
