/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest of tiny-emulator: a program that drives the network device (by the driver model of
 * test/driver) and fetches a page by HTTP, with as much of ARP, IP and TCP as that takes. It reaches
 * the machine through struct guest_access and its memory only, as any guest does.
 */
#ifndef TINY_EMULATOR_GUEST_H
#define TINY_EMULATOR_GUEST_H

#include "driver/net.h"

struct guest;

/* Starts the driver; NULL, with a line on standard error, if the device is no good. */
struct guest *guest_boot(const struct guest_access *access, struct guest_memory *memory);
void guest_shut_down(struct guest *guest);

/* An MSI-X message for this vector. */
void guest_interrupt(struct guest *guest, unsigned vector);

/* Asks the host (10.0.2.2) at that port for a path. */
void guest_fetch(struct guest *guest, uint16_t port, const char *path);

/* Works on what has arrived. False once all has come, or nothing will. */
bool guest_run(struct guest *guest);

/* What came, headers and all; whether it is whole. */
const char *guest_page(const struct guest *guest, size_t *len);
bool guest_succeeded(const struct guest *guest);

#endif
