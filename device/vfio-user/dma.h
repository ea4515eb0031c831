/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client's memory: what DMA_MAP made known and DMA_UNMAP takes back, mapped into this process
 * and into the device. Used by server.c.
 *
 * A region without a descriptor is remote memory to the device (remote.h), unless that runs in several
 * threads. One that may not be read is remembered but not reachable, as remote memory is then: the
 * device finds no memory there.
 *
 * While the device waits for remote memory it is in a queue's turn, and its map cannot be changed. What
 * the client asks for then is done by half: a new region is not the device's yet, one taken back is
 * still the device's, but leads to nothing of the client's any more. dma_settle() does the rest.
 *
 * A client that makes a file shorter than it said is found out (sharing.h, dma_lost()).
 *
 * Threads: that of the event loop; the memory itself is for any that runs the device.
 */
#ifndef DEVICE_VFIO_USER_DMA_H
#define DEVICE_VFIO_USER_DMA_H

#include "frontend.h"
#include "stream.h"

#define DMA_MAX_REGIONS 2048

struct dma;

/* Makes an empty table for the device of a frontend, which must outlive it. */
struct dma *dma_new(VionetFrontend *frontend);

/* Takes everything back and frees it; NULL is ignored. */
void dma_free(struct dma *dma);

/*
 * Do what the message asks. Return 0 or an errno
 * value, and then nothing was changed.
 */
int dma_map(struct dma *dma, struct stream_message *message);
int dma_unmap(struct dma *dma, const struct stream_message *message);

/* From now on, by half; and what is left to be done. */
void dma_hold(struct dma *dma);
void dma_settle(struct dma *dma);
bool dma_is_held(const struct dma *dma);

/* Whether len octets at an address are in one region of the client's that is remote. */
bool dma_is_remote(const struct dma *dma, uint64_t address, uint64_t len);

/* Whether there are such regions. */
bool dma_has_remote(const struct dma *dma);

/* Whether memory has gone missing under the device; a descriptor that can be read then, or -1. */
bool dma_lost(const struct dma *dma);
int dma_loss_fd(const struct dma *dma);

#endif
