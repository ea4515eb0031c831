/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A PCI function's configuration space and BARs as regions, which may be read and written in any
 * pieces. Used by server.c.
 */
#ifndef DEVICE_VFIO_USER_REGIONS_H
#define DEVICE_VFIO_USER_REGIONS_H

#include <vionet/pci.h>

/* Octets of a region; 0 if there is none. */
uint64_t regions_size(const VionetPci *pci, uint32_t region);

/* Whether the region has all of count octets at offset. */
bool regions_contain(const VionetPci *pci, uint32_t region, uint64_t offset, uint64_t count);

/* Reads and writes what the region has, in naturally aligned accesses as wide as they can be. */
void regions_read(VionetPci *pci, uint32_t region, uint64_t offset, uint8_t *buf, size_t count);
void regions_write(VionetPci *pci, uint32_t region, uint64_t offset, const uint8_t *buf,
                   size_t count);

#endif
