/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtio-net driver's view of its device, over PCI unless the options say otherwise: the life cycle of VIRTIO 1.4, 3.1, a step a
 * function, and guest_driver_start for all of it. Queues are in queue.h, frames in net.h.
 *
 *     driver = guest_driver_new(&access, memory, NULL);
 *     guest_driver_start(driver, features_known());
 *
 * Steps that go wrong return false and leave a complaint; nothing aborts. The struct is for
 * reading. To misbehave, write registers: guest_common_write, the access table, split.h.
 *
 * Threads: guest_driver_msi and guest_driver_intx from any; the rest from one, but different queue
 * pairs may be worked by different threads once the driver has started.
 */
#ifndef TEST_DRIVER_DRIVER_H
#define TEST_DRIVER_DRIVER_H

#include "device_config.h"
#include "feature_set.h"
#include "guest.h"
#include "pci.h"
#include "transport.h"
#include "virtq.h"

#define GUEST_MAX_VECTORS 2048

struct guest_driver_options {
    uint16_t queue_size;  /* entries of each queue; 0 or too many: the device's maximum */
    uint16_t pairs;       /* queue pairs to set up; 0 or too many: all the device has */
    uint16_t max_vectors; /* MSI-X vectors to use; 0: as many as make sense */
    bool intx;            /* leave MSI-X off */
    const struct guest_transport *transport; /* NULL: transport_pci */
    bool big_endian;                         /* the guest, with a legacy transport */
};

/* What a transport remembers of registers that it does not have, or that cannot be read. */
struct guest_shadow {
    uint32_t device_window;
    uint32_t driver_window;
    uint32_t driver_features; /* as last written */
    uint32_t size;            /* of the queue selected, 0: not written */
    uint64_t desc_gpa;        /* as last written */
    uint64_t driver_gpa;
    uint64_t device_gpa;
};

/*
 * A virtqueue and how to notify the device of it. vq is NULL while it is not set up. To have a ring
 * at an address of one's own, set area and area_size between guest_driver_probe and the set-up.
 */
struct guest_queue {
    struct virtq *vq;
    struct virtq_area area; /* memory kept for it over resets, good for area_size entries */
    uint16_t area_size;
    uint16_t vector;
    uint16_t notify_off;
    uint16_t notif_config_data;
    uint16_t notify_id;     /* what goes into bits 0-15 of a notification */
    uint64_t notify_at;     /* where, in the notify structure */
    uint64_t notifications; /* sent so far */
};

struct guest_driver {
    const struct guest_access *access;
    struct guest_memory *memory;
    struct complaints *complaints;
    struct guest_driver_options options;
    const struct guest_transport *transport;
    struct guest_shadow shadow;
    bool probed;
    struct pci_function pci;
    struct guest_features offered;
    struct guest_features accepted;
    struct net_config config; /* as read after FEATURES_OK */
    bool running;             /* DRIVER_OK was written */
    unsigned vectors;         /* MSI-X vectors in use; 0: INTx */
    unsigned n_queues;        /* num_queues */
    struct guest_queue *queues;
    unsigned max_pairs; /* the device's, by negotiated features */
    unsigned pairs;     /* set up by the driver */
    bool has_control;
    unsigned control; /* index of the control queue, if there is one */
    uint64_t *interrupts;
    uint64_t intx_edges;
    int intx_level;
};

/* Make a driver; options may be NULL. The access table and the memory must outlive it. */
struct guest_driver *guest_driver_new(const struct guest_access *access,
                                      struct guest_memory *memory,
                                      const struct guest_driver_options *options);
/* Forget the driver; the device is not touched. */
void guest_driver_free(struct guest_driver *driver);
/* What the device did wrong, in any part of the model. */
struct complaints *guest_driver_complaints(struct guest_driver *driver);

/* ---- Life cycle ---- */

/* Every step from pci_probe (the first time) through reset to DRIVER_OK; queues are set up. */
bool guest_driver_start(struct guest_driver *driver, struct guest_features wanted);

/* Find everything in PCI and set up MSI-X. */
bool guest_driver_probe(struct guest_driver *driver);
/* Write status 0, wait until it reads 0; all queues are gone and their buffers the driver's. */
bool guest_driver_reset(struct guest_driver *driver);
/* Set ACKNOWLEDGE and DRIVER. */
void guest_driver_acknowledge(struct guest_driver *driver);
/* Read the offered features, all windows. */
struct guest_features guest_driver_read_features(struct guest_driver *driver);
/* Accept what is wanted and offered, set FEATURES_OK, see that it stays, read the configuration. */
bool guest_driver_negotiate(struct guest_driver *driver, struct guest_features wanted);
/* The two halves of it, with exactly these bits. */
void guest_driver_write_features(struct guest_driver *driver, struct guest_features features);
bool guest_driver_features_ok(struct guest_driver *driver);
/* Set DRIVER_OK. */
void guest_driver_ok(struct guest_driver *driver);

/* Whether a feature was accepted. */
bool guest_driver_has(const struct guest_driver *driver, unsigned feature);
/* The status field; and set bits of it beside those that are there. */
uint8_t guest_driver_status(struct guest_driver *driver);
void guest_driver_add_status(struct guest_driver *driver, uint8_t bits);
/* Read ISR status, which clears it. */
uint8_t guest_driver_isr(struct guest_driver *driver);
/* Read the configuration again. */
bool guest_driver_read_config(struct guest_driver *driver);

/* ---- The common configuration structure, raw (4.1.4.3) ---- */

uint32_t guest_common_read(struct guest_driver *driver, uint32_t offset, unsigned size);
void guest_common_write(struct guest_driver *driver, uint32_t offset, unsigned size,
                        uint32_t value);

/* ---- Interrupts: called by the suite, from the host operations of the device ---- */

/* MSI-X message of a vector; and the level of INTx. */
void guest_driver_msi(struct guest_driver *driver, unsigned vector);
void guest_driver_intx(struct guest_driver *driver, bool level);

/* How often a vector fired so far; the same, and start again from 0. */
uint64_t guest_driver_interrupts(const struct guest_driver *driver, unsigned vector);
uint64_t guest_driver_take_interrupts(struct guest_driver *driver, unsigned vector);
/* How often INTx rose so far, and its level now. */
uint64_t guest_driver_intx_count(const struct guest_driver *driver);
bool guest_driver_intx_level(const struct guest_driver *driver);

#endif
