/* SPDX-License-Identifier: BSD-3-Clause */
/* Fields of the common configuration structure by name; for the driver's own files. */
#ifndef TEST_DRIVER_COMMON_H
#define TEST_DRIVER_COMMON_H

#include <stddef.h>

#include <vionet/spec.h>

#include "driver.h"

#define COMMON_AT(field)   offsetof(struct virtio_pci_common_cfg, field)
#define COMMON_SIZE(field) sizeof(((struct virtio_pci_common_cfg *)NULL)->field)

#define common_get(driver, field) guest_common_read(driver, COMMON_AT(field), COMMON_SIZE(field))
#define common_put(driver, field, value) \
    guest_common_write(driver, COMMON_AT(field), COMMON_SIZE(field), value)

/* How often a driver reads a register that is to become 0 before it gives up. */
#define COMMON_TRIES 10000

#endif
