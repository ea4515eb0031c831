/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All that a guest driver can do to a PCI function: configuration space and BARs. A suite fills
 * this table from whatever it tests (the library, a vfio-user socket, another emulator); the driver
 * model knows nothing else of the device. Sizes are in octets; values are numbers, least
 * significant octet first on the bus. The members are looked up at each access, so a suite may put
 * another device behind a running driver (one restored from a saved state). Guest memory is the
 * other half: guest.h.
 *
 * Of a device over MMIO (driver options) the window is BAR 0, and there is no configuration space.
 */
#ifndef TEST_DRIVER_ACCESS_H
#define TEST_DRIVER_ACCESS_H

#include <stdint.h>

struct guest_access {
    void *opaque;
    uint32_t (*config_read)(void *opaque, uint32_t offset, unsigned size);
    void (*config_write)(void *opaque, uint32_t offset, unsigned size, uint32_t value);
    uint64_t (*bar_read)(void *opaque, unsigned bar, uint64_t offset, unsigned size);
    void (*bar_write)(void *opaque, unsigned bar, uint64_t offset, unsigned size, uint64_t value);
};

#endif
