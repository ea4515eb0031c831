/* SPDX-License-Identifier: BSD-3-Clause */
/* The life cycle of a device, and its interrupts; see driver.h. */
#include "driver.h"

#include <sched.h>

#include <glib.h>
#include <vionet/spec.h>

#include "common.h"
#include "queue.h"

struct guest_driver *guest_driver_new(const struct guest_access *access,
                                      struct guest_memory *memory,
                                      const struct guest_driver_options *options)
{
    struct guest_driver *driver = g_new0(struct guest_driver, 1);

    driver->access = access;
    driver->memory = memory;
    driver->complaints = complaints_new();
    driver->interrupts = g_new0(uint64_t, GUEST_MAX_VECTORS);
    if (options) {
        driver->options = *options;
    }
    driver->transport = driver->options.transport ? driver->options.transport : &transport_pci;
    return driver;
}

static void forget_rings(struct guest_driver *driver)
{
    for (unsigned i = 0; i < driver->n_queues; i++) {
        virtq_free(driver->queues[i].vq);
        driver->queues[i].vq = NULL;
    }
    driver->running = false;
}

void guest_driver_free(struct guest_driver *driver)
{
    if (!driver) {
        return;
    }
    forget_rings(driver);
    g_free(driver->queues);
    g_free(driver->interrupts);
    complaints_free(driver->complaints);
    g_free(driver);
}

struct complaints *guest_driver_complaints(struct guest_driver *driver)
{
    return driver->complaints;
}

bool guest_driver_start(struct guest_driver *driver, struct guest_features wanted)
{
    if ((!driver->probed && !guest_driver_probe(driver)) || !guest_driver_reset(driver)) {
        return false;
    }
    guest_driver_acknowledge(driver);
    guest_driver_read_features(driver);
    if (!guest_driver_negotiate(driver, wanted) || !guest_queue_setup_all(driver)) {
        return false;
    }
    guest_driver_ok(driver);
    return true;
}

/* As many vectors as there can be sources, and no more than the driver may use. */
static void set_up_interrupts(struct guest_driver *driver)
{
    unsigned wanted = driver->n_queues + 1;

    if (driver->options.max_vectors && wanted > driver->options.max_vectors) {
        wanted = driver->options.max_vectors;
    }
    driver->vectors = 0;
    if (driver->options.intx) {
        pci_msix_control(&driver->pci, false, false);
    } else {
        driver->vectors = pci_msix_setup(&driver->pci, wanted);
    }
}

unsigned transport_count_queues(struct guest_driver *driver)
{
    unsigned n = 0;

    do {
        common_put(driver, queue_select, n);
    } while (common_get(driver, queue_size) != 0 && n++ < UINT16_MAX);
    return n;
}

bool guest_driver_probe(struct guest_driver *driver)
{
    forget_rings(driver);
    g_free(driver->queues);
    driver->queues = NULL;
    driver->n_queues = 0;
    driver->probed = driver->transport->probe(driver);
    if (!driver->probed) {
        return false;
    }
    driver->n_queues = driver->transport->count_queues(driver);
    driver->queues = g_new0(struct guest_queue, driver->n_queues);
    set_up_interrupts(driver);
    return true;
}

bool guest_driver_reset(struct guest_driver *driver)
{
    common_put(driver, device_status, 0);
    for (unsigned i = 0; i < COMMON_TRIES; i++) {
        if (guest_driver_status(driver) == 0) {
            forget_rings(driver);
            driver->accepted = (struct guest_features){{0}};
            driver->pairs = 0;
            driver->has_control = false;
            return true;
        }
        sched_yield();
    }
    complaints_add(driver->complaints, "status does not become 0 after a reset");
    return false;
}

void guest_driver_acknowledge(struct guest_driver *driver)
{
    guest_driver_add_status(driver, VIRTIO_STATUS_ACKNOWLEDGE);
    guest_driver_add_status(driver, VIRTIO_STATUS_DRIVER);
}

struct guest_features guest_driver_read_features(struct guest_driver *driver)
{
    for (unsigned i = 0; i < FEATURES_WINDOWS; i++) {
        common_put(driver, device_feature_select, i);
        driver->offered.window[i] = common_get(driver, device_feature);
    }
    return driver->offered;
}

void guest_driver_write_features(struct guest_driver *driver, struct guest_features features)
{
    for (unsigned i = 0; i < FEATURES_WINDOWS; i++) {
        uint32_t valid = features.window[i] & driver->offered.window[i];

        common_put(driver, driver_feature_select, i);
        common_put(driver, driver_feature, features.window[i]);
        if ((common_get(driver, driver_feature) & valid) != valid) {
            complaints_add(driver->complaints, "features 0x%08x of window %u read back as 0x%08x",
                           valid, i, common_get(driver, driver_feature));
        }
    }
    driver->accepted = features;
}

bool guest_driver_features_ok(struct guest_driver *driver)
{
    if (driver->transport->legacy) {
        return true; /* it cannot be refused */
    }
    guest_driver_add_status(driver, VIRTIO_STATUS_FEATURES_OK);
    return guest_driver_status(driver) & VIRTIO_STATUS_FEATURES_OK;
}

bool guest_driver_negotiate(struct guest_driver *driver, struct guest_features wanted)
{
    guest_driver_write_features(driver, features_and(wanted, driver->offered));
    if (!guest_driver_features_ok(driver)) {
        complaints_add(driver->complaints,
                       "the device refuses features %08x %08x %08x %08x (127 to 0)",
                       driver->accepted.window[3], driver->accepted.window[2],
                       driver->accepted.window[1], driver->accepted.window[0]);
        return false;
    }
    return guest_driver_read_config(driver);
}

void guest_driver_ok(struct guest_driver *driver)
{
    guest_driver_add_status(driver, VIRTIO_STATUS_DRIVER_OK);
    driver->running = true;
}

bool guest_driver_has(const struct guest_driver *driver, unsigned feature)
{
    return features_has(&driver->accepted, feature);
}

uint8_t guest_driver_status(struct guest_driver *driver)
{
    return (uint8_t)common_get(driver, device_status);
}

void guest_driver_add_status(struct guest_driver *driver, uint8_t bits)
{
    common_put(driver, device_status, guest_driver_status(driver) | bits);
}

uint8_t guest_driver_isr(struct guest_driver *driver)
{
    return driver->transport->isr(driver);
}

bool guest_driver_read_config(struct guest_driver *driver)
{
    return config_load(driver, &driver->config);
}

uint32_t guest_common_read(struct guest_driver *driver, uint32_t offset, unsigned size)
{
    return driver->transport->read(driver, offset, size);
}

void guest_common_write(struct guest_driver *driver, uint32_t offset, unsigned size, uint32_t value)
{
    driver->transport->write(driver, offset, size, value);
}

void guest_driver_msi(struct guest_driver *driver, unsigned vector)
{
    if (vector >= GUEST_MAX_VECTORS) {
        complaints_add(driver->complaints, "interrupt of vector %u", vector);
        return;
    }
    __atomic_add_fetch(&driver->interrupts[vector], 1, __ATOMIC_RELEASE);
}

void guest_driver_intx(struct guest_driver *driver, bool level)
{
    if (!__atomic_exchange_n(&driver->intx_level, level, __ATOMIC_ACQ_REL) && level) {
        __atomic_add_fetch(&driver->intx_edges, 1, __ATOMIC_RELEASE);
    }
}

uint64_t guest_driver_interrupts(const struct guest_driver *driver, unsigned vector)
{
    return vector < GUEST_MAX_VECTORS
               ? __atomic_load_n(&driver->interrupts[vector], __ATOMIC_ACQUIRE)
               : 0;
}

uint64_t guest_driver_take_interrupts(struct guest_driver *driver, unsigned vector)
{
    return vector < GUEST_MAX_VECTORS
               ? __atomic_exchange_n(&driver->interrupts[vector], 0, __ATOMIC_ACQ_REL)
               : 0;
}

uint64_t guest_driver_intx_count(const struct guest_driver *driver)
{
    return __atomic_load_n(&driver->intx_edges, __ATOMIC_ACQUIRE);
}

bool guest_driver_intx_level(const struct guest_driver *driver)
{
    return __atomic_load_n(&driver->intx_level, __ATOMIC_ACQUIRE) != 0;
}
