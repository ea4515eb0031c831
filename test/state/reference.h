/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The machine that the reference files of saved state are of (docs/state.md): a driver that has configured
 * whatever can be, and frames that are out. test/tools/state.c saves it, once for each version;
 * test_state.c loads what was saved, for ever, into a device of the same configuration.
 */
#ifndef TEST_STATE_REFERENCE_H
#define TEST_STATE_REFERENCE_H

#include <vionet/standby.h>

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

/*
 * The same over another transport, with split rings; and the machine, whose legacy driver has configured what such a
 * one can, and with it the failover object that is attached to its device, to be freed first.
 */
void reference_setup_over(struct machine_setup *setup, enum machine_transport transport);
struct machine *reference_machine_over(enum machine_transport transport, VionetStandby **standby);

/* A failover object with a hidden primary, attached to the machine's device. */
VionetStandby *reference_standby(struct machine *machine);

#endif
