/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A structure in a BAR as a table of registers, and the registers that the common configuration structure
 * and the legacy one both have. For pci_common.c and pci_legacy.c.
 */
#ifndef VIONET_TRANSPORT_PCI_REGISTERS_H
#define VIONET_TRANSPORT_PCI_REGISTERS_H

#include "transport/pci.h"

struct pci_register {
    const char *name;
    uint8_t offset;
    uint8_t size;
    uint32_t (*read)(VionetPci *pci);
    void (*write)(VionetPci *pci, uint32_t value); /* NULL: read-only */
};

/*
 * An access of any width and alignment, put together from, or merged into, the registers that it
 * touches, in the table's order. What is partly written is read first, which may have no side effect.
 */
uint64_t pci_registers_read(VionetPci *pci, const struct pci_register *registers,
                            size_t n_registers, uint32_t offset, unsigned size);
void pci_registers_write(VionetPci *pci, const struct pci_register *registers, size_t n_registers,
                         uint32_t offset, unsigned size, uint64_t value);

uint32_t pci_read_config_vector(VionetPci *pci);
void pci_write_config_vector(VionetPci *pci, uint32_t value);
uint32_t pci_read_status(VionetPci *pci);
void pci_write_status(VionetPci *pci, uint32_t value);

/* Which queue the registers below are of, and whether there is that one. */
uint32_t pci_read_queue_select(VionetPci *pci);
void pci_write_queue_select(VionetPci *pci, uint32_t value);
bool pci_queue_exists(VionetPci *pci);

uint32_t pci_read_queue_size(VionetPci *pci);
uint32_t pci_read_queue_vector(VionetPci *pci);
void pci_write_queue_vector(VionetPci *pci, uint32_t value);

#endif
