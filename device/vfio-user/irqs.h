/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interrupts of a PCI function over vfio-user: which descriptor each one signals, and the masks that
 * the client sets. Used by server.c.
 *
 * INTx is a level here and an event there: it is signalled when the level rises, is masked by that
 * (AUTOMASKED), and when the client unmasks it while the level is still high it is signalled again.
 * An MSI-X vector with a descriptor is one that the guest has enabled: the client keeps the guest's
 * table itself and sends none of it here, so that the function's own entry is unmasked as long as
 * there is a descriptor and the client has not masked it by command.
 *
 * Threads: that of the event loop; irqs_msi() and irqs_intx() are for any.
 */
#ifndef DEVICE_VFIO_USER_IRQS_H
#define DEVICE_VFIO_USER_IRQS_H

#include <vionet/pci.h>

#include "stream.h"

/* The BAR that has the MSI-X table, and nothing but what belongs to it. */
#define IRQS_BAR 1

struct irqs;

/* Makes them for a function with so many vectors, and INTx if it has a pin. */
struct irqs *irqs_new(unsigned n_vectors, bool has_pin, GMainContext *context);

/* Frees them, their descriptors closed; NULL is ignored. */
void irqs_free(struct irqs *irqs);

/* As after irqs_new(): descriptors closed, nothing masked. */
void irqs_clear(struct irqs *irqs);

/* Interrupts of an index, and what they can do (VFIO_USER_IRQ_*). */
uint32_t irqs_count(const struct irqs *irqs, uint32_t index);
uint32_t irqs_flags(const struct irqs *irqs, uint32_t index);

/*
 * Does what the message asks. Descriptors that are kept are taken out of it. Returns 0 or an errno
 * value, and then nothing was changed.
 */
int irqs_set(struct irqs *irqs, struct stream_message *message);

/* Shows the function, which may just have been reset, which of its vectors are masked. */
void irqs_apply(const struct irqs *irqs, VionetPci *pci);

/* The function's interrupts: a vector, the level of INTx. */
void irqs_msi(struct irqs *irqs, unsigned vector);
void irqs_intx(struct irqs *irqs, bool level);

#endif
