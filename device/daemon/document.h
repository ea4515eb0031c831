/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Members of the JSON documents that the daemon prints: the status, and what it says of failover. For status.c and
 * failover.c, in the daemon's thread.
 */
#ifndef VIONET_DAEMON_DOCUMENT_H
#define VIONET_DAEMON_DOCUMENT_H

#include <stdbool.h>
#include <stdint.h>

#include <json-glib/json-glib.h>

void document_add_text(JsonBuilder *builder, const char *name, const char *text);
void document_add_switch(JsonBuilder *builder, const char *name, bool on);
void document_add_number(JsonBuilder *builder, const char *name, uint64_t number);

#endif
