/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The queues of a device through its registers: set up, notify, reset (VIRTIO 1.4, 4.1.5.1). Index
 * 2k is receiveq(k+1), 2k+1 transmitq(k+1); the control queue comes behind the last pair that the
 * negotiated features give the device.
 */
#ifndef TEST_DRIVER_QUEUE_H
#define TEST_DRIVER_QUEUE_H

#include "driver.h"

/* The ring of a queue; NULL if the index is out of range or the queue is not set up. */
struct virtq *guest_queue_ring(struct guest_driver *driver, unsigned index);

/* Where the queues are, by the negotiated features; part of guest_queue_setup_all. */
void guest_queue_locate(struct guest_driver *driver);
/* Set up one queue, with so many entries (0: as the options say). Its ring is empty. */
bool guest_queue_setup(struct guest_driver *driver, unsigned index, uint16_t size);
/* Set up the pairs that the options ask for, and the control queue. */
bool guest_queue_setup_all(struct guest_driver *driver);

/* Write a queue's vector; what it reads as then. */
uint16_t guest_queue_vector(struct guest_driver *driver, unsigned index, uint16_t vector);

/* Publish what was added and notify the device if it wants to know. */
void guest_queue_kick(struct guest_driver *driver, unsigned index);
/* Notify the device, in the form that the negotiated features ask for. */
void guest_queue_notify(struct guest_driver *driver, unsigned index);
/* Write anything at the notification address of a queue. */
void guest_queue_notify_raw(struct guest_driver *driver, unsigned index, unsigned size,
                            uint32_t value);

/* Reset one queue (RING_RESET). Its ring is gone; set it up again to go on. */
bool guest_queue_reset(struct guest_driver *driver, unsigned index);

#endif
