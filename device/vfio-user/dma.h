/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client's memory: what DMA_MAP made known and DMA_UNMAP takes back, mapped into this process
 * and into the device. Used by server.c.
 *
 * A region without a descriptor, or one that may not be read, is remembered but not reachable: the
 * device finds no memory there. A client that makes a file shorter than it said, so that its octets
 * are gone, would kill a process that reads them: here it meets zeroes instead (dma_lost()).
 *
 * Threads: that of the event loop; the memory itself is for any that runs the device.
 */
#ifndef DEVICE_VFIO_USER_DMA_H
#define DEVICE_VFIO_USER_DMA_H

#include <vionet/device.h>

#include "stream.h"

#define DMA_MAX_REGIONS 2048

struct dma;

/* Makes an empty table for a device, which must outlive it. */
struct dma *dma_new(VionetDevice *device);

/* Takes everything back and frees it; NULL is ignored. */
void dma_free(struct dma *dma);

/*
 * Do what the message asks. Return 0 or an errno
 * value, and then nothing was changed.
 */
int dma_map(struct dma *dma, struct stream_message *message);
int dma_unmap(struct dma *dma, const struct stream_message *message);

/* Whether memory has gone missing under the device. */
bool dma_lost(const struct dma *dma);

#endif
