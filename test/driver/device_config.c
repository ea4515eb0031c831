/* SPDX-License-Identifier: BSD-3-Clause */
/* The configuration of a network device; see device_config.h. */
#include "device_config.h"

#include <stddef.h>

#include <vionet/spec.h>

/* How often a driver tries again before it gives up on a device that keeps changing. */
#define TRIES 100

static uint8_t generation(struct pci_function *pci)
{
    return (uint8_t)pci_read(pci, &pci->common,
                             offsetof(struct virtio_pci_common_cfg, config_generation), 1);
}

uint32_t config_field(struct pci_function *pci, uint32_t offset, unsigned size)
{
    if (offset > pci->device.length || size > pci->device.length - offset) {
        return 0;
    }
    return (uint32_t)pci_read(pci, &pci->device, offset, size);
}

#define FIELD(pci, member)                                        \
    config_field(pci, offsetof(struct virtio_net_config, member), \
                 sizeof(((struct virtio_net_config *)NULL)->member))

static void load_once(struct pci_function *pci, struct net_config *config)
{
    for (unsigned i = 0; i < sizeof(config->mac); i++) {
        config->mac[i] = (uint8_t)config_field(pci, i, 1);
    }
    config->status = (uint16_t)FIELD(pci, status);
    config->max_virtqueue_pairs = (uint16_t)FIELD(pci, max_virtqueue_pairs);
    config->mtu = (uint16_t)FIELD(pci, mtu);
    config->speed = FIELD(pci, speed);
    config->duplex = (uint8_t)FIELD(pci, duplex);
    config->rss_max_key_size = (uint8_t)FIELD(pci, rss_max_key_size);
    config->rss_max_indirection_table_length =
        (uint16_t)FIELD(pci, rss_max_indirection_table_length);
    config->supported_hash_types = FIELD(pci, supported_hash_types);
    config->supported_tunnel_types = FIELD(pci, supported_tunnel_types);
}

bool config_load(struct pci_function *pci, struct net_config *config)
{
    for (unsigned i = 0; i < TRIES; i++) {
        config->generation = generation(pci);
        load_once(pci, config);
        if (generation(pci) == config->generation) {
            return true;
        }
    }
    complaints_add(pci->complaints, "the configuration changed during each of %u reads", TRIES);
    return false;
}
