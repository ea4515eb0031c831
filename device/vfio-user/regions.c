/* SPDX-License-Identifier: BSD-3-Clause */
/* Regions of a PCI function; see regions.h. Called by server.c. */
#include "regions.h"

#include "protocol.h"

uint64_t regions_size(const VionetPci *pci, uint32_t region)
{
    if (region == VFIO_USER_REGION_CONFIG) {
        return VIONET_PCI_CONFIG_SIZE;
    }
    return region < VIONET_PCI_N_BARS ? vionet_pci_bar_size(pci, region) : 0;
}

bool regions_contain(const VionetPci *pci, uint32_t region, uint64_t offset, uint64_t count)
{
    const uint64_t size = regions_size(pci, region);

    return offset <= size && count <= size - offset;
}

/* Octets of the next access: a power of two that offset is a multiple of. */
static unsigned width(uint64_t offset, size_t count, unsigned most)
{
    unsigned n = most;

    while (n > count || offset % n) {
        n /= 2;
    }
    return n;
}

static unsigned widest(uint32_t region)
{
    return region == VFIO_USER_REGION_CONFIG ? 4 : 8;
}

void regions_read(VionetPci *pci, uint32_t region, uint64_t offset, uint8_t *buf, size_t count)
{
    while (count > 0) {
        const unsigned n = width(offset, count, widest(region));
        const uint64_t value = region == VFIO_USER_REGION_CONFIG
                                   ? vionet_pci_config_read(pci, (uint32_t)offset, n)
                                   : vionet_pci_bar_read(pci, region, offset, n);

        for (unsigned i = 0; i < n; i++) {
            buf[i] = (uint8_t)(value >> (8 * i));
        }
        buf += n;
        offset += n;
        count -= n;
    }
}

void regions_write(VionetPci *pci, uint32_t region, uint64_t offset, const uint8_t *buf,
                   size_t count)
{
    while (count > 0) {
        const unsigned n = width(offset, count, widest(region));
        uint64_t value = 0;

        for (unsigned i = 0; i < n; i++) {
            value |= (uint64_t)buf[i] << (8 * i);
        }
        if (region == VFIO_USER_REGION_CONFIG) {
            vionet_pci_config_write(pci, (uint32_t)offset, n, (uint32_t)value);
        } else {
            vionet_pci_bar_write(pci, region, offset, n, value);
        }
        buf += n;
        offset += n;
        count -= n;
    }
}
