/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A toy network device, for the driver model's own tests only: it trusts its driver, copies each
 * frame several times, and sends what is transmitted back on the same pair. Its registers are open
 * to the tests, which spoil them.
 */
#ifndef TEST_DRIVER_TOY_H
#define TEST_DRIVER_TOY_H

#include <glib.h>

#include "driver.h"

#define TOY_MAX_QUEUES 16
#define TOY_VECTORS    8

/* Capabilities in configuration space; the BARs are 1 (MSI-X) and 2 with 3 (everything else). */
#define TOY_CAP_MSIX   0x40
#define TOY_CAP_COMMON 0x50
#define TOY_CAP_ISR    0x60
#define TOY_CAP_DEVICE 0x70
#define TOY_CAP_NOTIFY 0x80
#define TOY_CAP_CONFIG 0x98
#define TOY_AT_COMMON  0x0000
#define TOY_AT_ISR     0x1000
#define TOY_AT_DEVICE  0x2000
#define TOY_AT_NOTIFY  0x3000
#define TOY_MULTIPLIER 4

struct toy_queue {
    uint16_t size;
    uint16_t vector;
    uint16_t enable;
    uint64_t area[3];
    uint16_t last_avail; /* split: the indices */
    uint16_t used_idx;
    uint32_t avail_place; /* packed: places since the queue was enabled */
    uint32_t used_place;
};

struct toy {
    struct guest_access access;
    struct guest_memory *memory;
    struct guest_driver *driver; /* gets the interrupts */
    struct guest_features offered;
    struct guest_features accepted;
    unsigned n_queues;
    uint16_t queue_max;
    unsigned control; /* index of the control queue */
    uint8_t config[256];
    uint8_t bar1[0x1000];
    uint8_t device_config[28];
    uint32_t select[3]; /* device features, driver features, queue */
    uint16_t config_vector;
    uint8_t status;
    uint8_t generation;
    uint8_t isr;
    struct toy_queue queues[TOY_MAX_QUEUES];
    /* What a test looks at. */
    uint64_t notified_at; /* of the last notification: offset in its structure, width, value */
    unsigned notified_size;
    uint32_t notified_value;
    unsigned notifications;
    GByteArray *command; /* readable octets of the last control command */
    unsigned transmitted;
    /* What a test sets. */
    uint8_t ack;
    GByteArray *reply; /* written behind or in front of the ack */
    bool reply_first;
    uint32_t hash_value; /* put into received headers */
    uint16_t hash_report;
    uint8_t flags;
    bool restless;        /* each read of the generation gives another */
    bool sticky;          /* status is not cleared by a reset */
    bool overrun;         /* one octet too many is written behind a received frame */
    bool mute;            /* commands are not answered */
    unsigned buffers_off; /* added to num_buffers */
};

/* A device with so many pairs and a control queue, all at their maximum size. */
struct toy *toy_new(struct guest_memory *memory, struct guest_features offered, unsigned pairs,
                    uint16_t queue_max);
void toy_free(struct toy *toy);
/* Deliver a frame to a pair; false if there are not enough buffers. */
bool toy_deliver(struct toy *toy, unsigned pair, const void *frame, uint32_t len);

#endif
