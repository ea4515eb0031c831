/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The machine that the reference files of saved state are of (docs/state.md): a driver that has configured
 * whatever can be, and frames that are out. test/tools/state.c saves it, once for each version;
 * test_state.c loads what was saved, for ever, into a device of the same configuration.
 */
#ifndef TEST_STATE_REFERENCE_H
#define TEST_STATE_REFERENCE_H

#include "machine/machine.h"

#define REFERENCE_KEY_SIZE 40
#define REFERENCE_TABLE    8

/* Where the driver puts its rings. */
#define REFERENCE_RINGS      UINT64_C(0x100000)
#define REFERENCE_RINGS_SIZE UINT64_C(4096)

extern const uint8_t reference_key[REFERENCE_KEY_SIZE];
extern const uint16_t reference_table[REFERENCE_TABLE];
extern const uint8_t reference_mac[6];

/* What it is made of, with rings of a kind. */
void reference_setup(struct machine_setup *setup, enum machine_ring ring);

/* The machine, all done and paused. */
struct machine *reference_machine(enum machine_ring ring);

#endif
