/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a driver's transport has to do for it. The driver speaks of registers as the common configuration
 * structure has them (VIRTIO 1.4, 4.1.4.3); a transport that has others puts each field where it belongs, and
 * remembers what cannot be read back. For driver.c, queue.c and device_config.c.
 */
#ifndef TEST_DRIVER_TRANSPORT_H
#define TEST_DRIVER_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

struct guest_driver;

struct guest_transport {
    bool legacy;      /* no VERSION_1, no FEATURES_OK, queues in one piece */
    bool fixed_sizes; /* of queues: the device's */
    /* Find the device and say how many queues there are; false, with a complaint, if it is none. */
    bool (*probe)(struct guest_driver *driver);
    unsigned (*count_queues)(struct guest_driver *driver);
    /* A field of the common configuration structure. */
    uint32_t (*read)(struct guest_driver *driver, uint32_t offset, unsigned size);
    void (*write)(struct guest_driver *driver, uint32_t offset, unsigned size, uint32_t value);
    /* A field of the device's configuration, 0 beyond it. */
    uint32_t (*config)(struct guest_driver *driver, uint32_t offset, unsigned size);
    /* A notification of a queue, as it is written. */
    void (*notify)(struct guest_driver *driver, unsigned index, unsigned size, uint32_t value);
    /* ISR status, which reading clears. */
    uint8_t (*isr)(struct guest_driver *driver);
};

/* Alignment of a legacy queue and of its used ring. */
#define GUEST_LEGACY_ALIGN 4096u

/* Queues as the queue_size of each index tells, for a transport that has no register for it. */
unsigned transport_count_queues(struct guest_driver *driver);

extern const struct guest_transport transport_pci;
extern const struct guest_transport transport_pci_legacy;
extern const struct guest_transport transport_mmio;
extern const struct guest_transport transport_mmio_legacy;

#endif
