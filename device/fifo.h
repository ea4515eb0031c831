/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A bounded queue of copied frames, for backends, which keep in it what the guest has not taken
 * yet. Frames are taken in order and given back in any; a place is free again when it and
 * all before it were given back.
 *
 * Threads: one at a time.
 */
#ifndef DEVICE_FIFO_H
#define DEVICE_FIFO_H

#include <vionet/device.h>

struct frame_fifo;

/* Makes a queue for n frames. Never NULL. */
struct frame_fifo *frame_fifo_new(unsigned n);

/* Frees the queue and all frames in it, taken ones too; NULL is ignored. */
void frame_fifo_free(struct frame_fifo *fifo);

/*
 * Copies frame, of frame->len octets in its ranges, to the end, offload members included. False if
 * the queue is full, the frame is empty, or there is no memory for it.
 */
bool frame_fifo_put(struct frame_fifo *fifo, const VionetFrame *frame);

/* Whether the next frame_fifo_put() would find a place; how many would. */
bool frame_fifo_has_room(const struct frame_fifo *fifo);
unsigned frame_fifo_room(const struct frame_fifo *fifo);

/* Frames that wait to be taken. */
unsigned frame_fifo_waiting(const struct frame_fifo *fifo);

/* Takes up to n frames; returns how many. They hold until they are given back. */
unsigned frame_fifo_take(struct frame_fifo *fifo, VionetFrame *frames, size_t n);

/* Gives back n frames that were taken, by their tokens; others are ignored. */
void frame_fifo_give_back(struct frame_fifo *fifo, const VionetFrame *frames, size_t n);

#endif
