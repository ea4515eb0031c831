/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The front-end's memory: regions that it shares, mapped into this process and into the device, found by
 * guest address there and by the front-end's own address here. Used by server.c.
 *
 * Threads: that of the event loop; the memory itself is for any that runs the device.
 */
#ifndef DEVICE_VHOST_USER_MEMORY_H
#define DEVICE_VHOST_USER_MEMORY_H

#include "frontend.h"
#include "messages.h"
#include "sharing.h"

/* Regions at a time. QEMU asks for no more than it may have slots of memory. */
#define MEMORY_MAX_REGIONS 512

struct memory;

/* Makes an empty table for a frontend's device, which must outlive it. */
struct memory *memory_new(VionetFrontend *frontend);

/* Takes everything back and frees it; NULL is ignored. */
void memory_free(struct memory *memory);

/*
 * Do what SET_MEM_TABLE (in place of what was there), ADD_MEM_REG and REM_MEM_REG ask. False if that
 * cannot be; a table that fails leaves no memory, the others what there was.
 */
bool memory_set(struct memory *memory, const struct message *message);
bool memory_add(struct memory *memory, const struct message *message);
bool memory_remove(struct memory *memory, const struct message *message);

/* The guest address of what lies at a user address; false if there is no memory. */
bool memory_user_to_guest(const struct memory *memory, uint64_t user, uint64_t *guest);

/* Whether memory has gone missing under the device; who is told, also of other files of the same peer. */
bool memory_is_lost(const struct memory *memory);
struct sharing_loss *memory_loss(struct memory *memory);

#endif
