/* SPDX-License-Identifier: BSD-3-Clause */
/* The configuration of a network device; see device_config.h. */
#include "device_config.h"

#include <stddef.h>

#include "common.h"
#include "transport.h"

/* How often a driver tries again before it gives up on a device that keeps changing. */
#define TRIES 100

static uint8_t generation(struct guest_driver *driver)
{
    return (uint8_t)common_get(driver, config_generation);
}

uint32_t config_field(struct pci_function *pci, uint32_t offset, unsigned size)
{
    if (offset > pci->device.length || size > pci->device.length - offset) {
        return 0;
    }
    return (uint32_t)pci_read(pci, &pci->device, offset, size);
}

#define FIELD(driver, member)                                                       \
    (driver)->transport->config(driver, offsetof(struct virtio_net_config, member), \
                                sizeof(((struct virtio_net_config *)NULL)->member))

static void load_once(struct guest_driver *driver, struct net_config *config)
{
    for (unsigned i = 0; i < sizeof(config->mac); i++) {
        config->mac[i] = (uint8_t)driver->transport->config(driver, i, 1);
    }
    config->status = (uint16_t)FIELD(driver, status);
    config->max_virtqueue_pairs = (uint16_t)FIELD(driver, max_virtqueue_pairs);
    config->mtu = (uint16_t)FIELD(driver, mtu);
    config->speed = FIELD(driver, speed);
    config->duplex = (uint8_t)FIELD(driver, duplex);
    config->rss_max_key_size = (uint8_t)FIELD(driver, rss_max_key_size);
    config->rss_max_indirection_table_length =
        (uint16_t)FIELD(driver, rss_max_indirection_table_length);
    config->supported_hash_types = FIELD(driver, supported_hash_types);
    config->supported_tunnel_types = FIELD(driver, supported_tunnel_types);
}

bool config_load(struct guest_driver *driver, struct net_config *config)
{
    for (unsigned i = 0; i < TRIES; i++) {
        config->generation = generation(driver);
        load_once(driver, config);
        if (generation(driver) == config->generation) {
            return true;
        }
    }
    complaints_add(driver->complaints, "the configuration changed during each of %u reads", TRIES);
    return false;
}
