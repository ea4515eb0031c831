/* SPDX-License-Identifier: BSD-3-Clause */
/* The PCI function's section of saved state, while the function stands in front of its device. */
#ifndef VIONET_TRANSPORT_PCI_STATE_H
#define VIONET_TRANSPORT_PCI_STATE_H

#include <vionet/pci.h>
#include <vionet/state.h>

#include "record.h"

/* Its table. */
extern const struct record pci_state_record;

/* Adds the section to the device's state, and takes it away. */
void pci_state_attach(VionetPci *pci);
void pci_state_detach(VionetPci *pci);

#endif
