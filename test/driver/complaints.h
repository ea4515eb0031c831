/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the driver model holds against the device: one sentence a fault. A test asserts at its end
 * that there are none, or that exactly the expected one is there. The list is bounded, so that a
 * hostile device cannot fill memory with it; any thread may add to it.
 */
#ifndef TEST_DRIVER_COMPLAINTS_H
#define TEST_DRIVER_COMPLAINTS_H

#include <stdbool.h>

#include <glib.h>

/* Sentences kept; later ones are only counted. */
#define COMPLAINTS_KEPT 64

struct complaints;

struct complaints *complaints_new(void);
void complaints_free(struct complaints *complaints);

/* Add a sentence, printf fashion. */
void complaints_add(struct complaints *complaints, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Number of complaints so far, those not kept included. */
unsigned complaints_count(struct complaints *complaints);

/* The kept sentences, a line each; "" if there are none. Free with g_free. */
char *complaints_text(struct complaints *complaints);

/* True if a kept sentence contains the words. */
bool complaints_mention(struct complaints *complaints, const char *words);

/* Forget all of them. */
void complaints_clear(struct complaints *complaints);

#endif
