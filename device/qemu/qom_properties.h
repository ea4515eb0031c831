/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The device's properties (device/properties.h) as properties of a QOM class: switches are of type bool,
 * all others of type str. What is set is kept as text, and read by the frontend when the device is
 * realized. Used by nic.c and the QOM types.
 *
 * Threads: those that hold QEMU's big lock.
 */
#ifndef DEVICE_QEMU_QOM_PROPERTIES_H
#define DEVICE_QEMU_QOM_PROPERTIES_H

#include "qom/object.h"

/* What was set, of one object: names and texts. */
typedef struct QomProperties {
    GHashTable *set;
} QomProperties;

/* Where in an object of the class they are kept. */
typedef QomProperties *QomPropertiesOf(Object *object);

/* Adds all of them to a class but those that QEMU has itself. */
void qom_properties_add(ObjectClass *class, QomPropertiesOf *of);

void qom_properties_init(QomProperties *properties);
void qom_properties_finalize(QomProperties *properties);

/* What was set, as vionet_frontend_new() takes it, with mac in front. To be freed with g_free(). */
char *qom_properties_text(const QomProperties *properties, const uint8_t *mac);

#endif
