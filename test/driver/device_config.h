/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device-specific configuration of a network device (VIRTIO 1.4, 5.1.4), read at the width of
 * each field and again if config_generation moved meanwhile.
 */
#ifndef TEST_DRIVER_DEVICE_CONFIG_H
#define TEST_DRIVER_DEVICE_CONFIG_H

#include "pci.h"

struct guest_driver;

/* Octets of all the fields. */
#define CONFIG_SIZE 28

/* In the driver's byte order. A field that the structure is too short for is 0. */
struct net_config {
    uint8_t generation; /* under which all of this was read */
    uint8_t mac[6];
    uint16_t status;
    uint16_t max_virtqueue_pairs;
    uint16_t mtu;
    uint32_t speed;
    uint8_t duplex;
    uint8_t rss_max_key_size;
    uint16_t rss_max_indirection_table_length;
    uint32_t supported_hash_types;
    uint32_t supported_tunnel_types;
};

/* All fields of one generation. False, with a complaint, if the generation never stands still. */
bool config_load(struct guest_driver *driver, struct net_config *config);

/* One access of 1, 2 or 4 octets over PCI, without a look at the generation; 0 beyond the structure. */
uint32_t config_field(struct pci_function *pci, uint32_t offset, unsigned size);

#endif
