/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a target got to: counters by name, printed when it ends, with floors that a replay of the
 * committed corpus must reach. A target whose interesting states are no longer reached is broken,
 * however quietly it runs.
 */
#ifndef FUZZ_REACH_H
#define FUZZ_REACH_H

#include <stdbool.h>
#include <stdint.h>

#include <vionet/device.h>

struct reach {
    const char *name;
    uint64_t floor; /* for one pass over the corpus */
    uint64_t count;
};

/* Each target defines its table, closed by a NULL name. */
extern struct reach fuzz_reach[];

/* Adds what a device that is about to be freed saw of each violation. */
void reach_violations(const VionetDevice *device);

/* Prints all counters that are not 0 or have a floor, on standard error. */
void reach_print(void);

/* Whether every counter is at its floor; says which are not. */
bool reach_at_floors(void);

/*
 * What the program does when it ends: prints the counters and, if one of the arguments is --floors,
 * ends with status 1 if one is below its floor.
 */
void reach_at_exit(int argc, char **argv);

/* Ends the program with a sentence: the library, or the target, is wrong. */
#define FUZZ_REQUIRE(condition, ...)                                \
    do {                                                            \
        if (!(condition)) {                                         \
            fuzz_fail(__FILE__, __LINE__, #condition, __VA_ARGS__); \
        }                                                           \
    } while (0)

_Noreturn void fuzz_fail(const char *file, int line, const char *condition, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
