/* SPDX-License-Identifier: BSD-3-Clause */
/* See reach.h; and the two hooks that libFuzzer and AddressSanitizer look for. */
#include "reach.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t violations[VIONET_N_VIOLATIONS];
static bool floors;

void reach_violations(const VionetDevice *device)
{
    for (unsigned i = 0; i < VIONET_N_VIOLATIONS; i++) {
        violations[i] += vionet_device_violations(device, (VionetViolation)i);
    }
}

void reach_print(void)
{
    for (const struct reach *reach = fuzz_reach; reach->name; reach++) {
        if (reach->count || reach->floor) {
            fprintf(stderr, "reach: %12llu %s\n", (unsigned long long)reach->count, reach->name);
        }
    }
    for (unsigned i = 0; i < VIONET_N_VIOLATIONS; i++) {
        if (violations[i]) {
            fprintf(stderr, "reach: %12llu violation %s\n", (unsigned long long)violations[i],
                    vionet_violation_info((VionetViolation)i)->name);
        }
    }
}

bool reach_at_floors(void)
{
    bool good = true;

    for (const struct reach *reach = fuzz_reach; reach->name; reach++) {
        if (reach->count < reach->floor) {
            fprintf(stderr, "reach: only %llu %s, which should be at least %llu\n",
                    (unsigned long long)reach->count, reach->name,
                    (unsigned long long)reach->floor);
            good = false;
        }
    }
    return good;
}

static void at_exit(void)
{
    reach_print();
    if (floors && !reach_at_floors()) {
        fflush(stderr);
        _exit(1);
    }
}

void reach_at_exit(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        floors = floors || strcmp(argv[i], "--floors") == 0;
    }
    atexit(at_exit);
}

void fuzz_fail(const char *file, int line, const char *condition, const char *format, ...)
{
    va_list arguments;

    fprintf(stderr, "%s:%d: required: %s\n", file, line, condition);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    abort();
}

/* libFuzzer calls this first; it passes over arguments that begin with two dashes. */
int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    reach_at_exit(*argc, *argv);
    return 0;
}

/* Every input makes and frees its own objects; a large quarantine of them only costs time. */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
    return "quarantine_size_mb=8";
}
