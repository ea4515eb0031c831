/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtio function as PCI shows it (VIRTIO 1.4, 4.1): identity, BARs, the structures found through
 * vendor capabilities, MSI-X. Walks and checks the capability list the way Linux does (a bound on
 * its steps, the first usable structure of each type, ranges held against the BAR), so a hostile
 * list costs no more than complaints.
 */
#ifndef TEST_DRIVER_PCI_H
#define TEST_DRIVER_PCI_H

#include <stdbool.h>
#include <stdint.h>

#include "access.h"
#include "complaints.h"

#define PCI_BARS     6
#define PCI_MAX_CAPS 48 /* Linux's bound: (256 - 64) / 4 */

struct pci_bar {
    uint64_t address; /* as assigned */
    uint64_t size;    /* 0: no such BAR, or the upper half of the one before */
    bool io;
    bool wide; /* 64 bits, takes the next BAR's register too */
};

/* Every capability met, in list order; the virtio fields are 0 where the id is not 0x09. */
struct pci_cap {
    uint8_t at; /* offset in configuration space */
    uint8_t id;
    uint8_t cap_len;
    uint8_t cfg_type;
    uint8_t bar;
    uint32_t offset;
    uint32_t length;
};

/* A virtio structure inside a BAR. */
struct pci_window {
    bool present;
    uint8_t at;
    uint8_t cap_len;
    uint8_t bar;
    uint32_t offset;
    uint32_t length;
};

struct pci_msix {
    bool present;
    uint8_t at;
    uint16_t vectors;
    uint8_t table_bar;
    uint8_t pba_bar;
    uint32_t table_offset;
    uint32_t pba_offset;
};

/* To be read by anyone after pci_probe. */
struct pci_function {
    const struct guest_access *access;
    struct complaints *complaints;
    uint16_t vendor_id;
    uint16_t device_id;
    uint8_t revision;
    uint32_t class_code;
    uint16_t subsystem_vendor_id;
    uint16_t subsystem_id;
    struct pci_bar bars[PCI_BARS];
    unsigned n_caps;
    struct pci_cap caps[PCI_MAX_CAPS];
    struct pci_window common;
    struct pci_window notify;
    struct pci_window isr;
    struct pci_window device;
    struct pci_window legacy; /* pci_probe_legacy: all of BAR 0 */
    uint8_t config_access_at; /* of the PCI configuration access capability; 0: none */
    uint32_t notify_off_multiplier;
    uint16_t notify_data;      /* of the draft of January 2020: if cap_len is at least 24 */
    uint8_t notify_data_valid; /* likewise, else 0 */
    struct pci_msix msix;
};

/*
 * Learn all of the above: identity, BAR sizes (and assign addresses), capabilities; then enable
 * memory and bus mastering. False, with complaints, if it is no virtio network device or if one
 * of the four structures that the driver needs is missing.
 */
bool pci_probe(struct pci_function *pci, const struct guest_access *access,
               struct complaints *complaints);

/* The same for a driver of the legacy interface: it goes by identity, an I/O BAR 0 and MSI-X. */
bool pci_probe_legacy(struct pci_function *pci, const struct guest_access *access,
                      struct complaints *complaints);

/* Memory and I/O decoding and bus mastering on or off. */
void pci_enable(struct pci_function *pci, bool on);

/* Access to a structure; one beyond its length is not made (reads give 0) and complained of. */
uint64_t pci_read(struct pci_function *pci, const struct pci_window *window, uint64_t offset,
                  unsigned size);
void pci_write(struct pci_function *pci, const struct pci_window *window, uint64_t offset,
               unsigned size, uint64_t value);

/* Aim the configuration access capability; nothing is checked. */
void pci_config_access_aim(struct pci_function *pci, uint8_t bar, uint32_t offset, uint32_t length);
/* Aim and access a BAR through pci_cfg_data, 1, 2 or 4 octets. */
uint32_t pci_config_access_read(struct pci_function *pci, uint8_t bar, uint32_t offset,
                                unsigned size);
void pci_config_access_write(struct pci_function *pci, uint8_t bar, uint32_t offset, unsigned size,
                             uint32_t value);

/* Write vectors 0 to n-1 of the table, unmasked, and switch MSI-X on; how many could be set up. */
unsigned pci_msix_setup(struct pci_function *pci, unsigned n);
/* Enable and function mask bits of the message control word. */
void pci_msix_control(struct pci_function *pci, bool enable, bool mask_all);
/* One entry of the table: the message and whether it is masked. False outside of the table. */
bool pci_msix_entry(struct pci_function *pci, unsigned vector, uint64_t address, uint32_t data,
                    bool masked);
/* Mask or unmask a vector; ask for its pending bit. */
void pci_msix_mask(struct pci_function *pci, unsigned vector, bool masked);
bool pci_msix_pending(struct pci_function *pci, unsigned vector);

#endif
