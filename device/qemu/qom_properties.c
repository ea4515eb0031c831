/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Properties of the device as QEMU's; see qom_properties.h. Called by nic.c and the QOM types and QEMU.
 */
#include "qemu/osdep.h"

#include "qom_properties.h"

#include "hw/qdev-core.h"
#include "hw/qdev-properties.h"
#include "qapi/error.h"
#include "qapi/visitor.h"

#include "properties.h"

/* One property of the class. */
struct row {
    QomPropertiesOf *of;
    bool is_switch;
    char *by_default;
};

static const char *text_of(Object *object, const char *name, const struct row *row)
{
    const char *text = g_hash_table_lookup(row->of(object)->set, name);

    return text ? text : row->by_default;
}

static void get(Object *object, Visitor *visitor, const char *name, void *opaque, Error **errp)
{
    const struct row *row = opaque;
    char *text = g_strdup(text_of(object, name, row));
    bool on = strcmp(text, "on") == 0;

    if (row->is_switch) {
        visit_type_bool(visitor, name, &on, errp);
    } else {
        visit_type_str(visitor, name, &text, errp);
    }
    g_free(text);
}

static bool read_text(Visitor *visitor, const char *name, const struct row *row, char **text,
                      Error **errp)
{
    bool on;

    if (!row->is_switch) {
        return visit_type_str(visitor, name, text, errp);
    }
    if (!visit_type_bool(visitor, name, &on, errp)) {
        return false;
    }
    *text = g_strdup(on ? "on" : "off");
    return true;
}

static void set(Object *object, Visitor *visitor, const char *name, void *opaque, Error **errp)
{
    const struct row *row = opaque;
    char *text;

    if (DEVICE(object)->realized) {
        qdev_prop_set_after_realize(DEVICE(object), name, errp);
    } else if (read_text(visitor, name, row, &text, errp)) {
        g_hash_table_insert(row->of(object)->set, g_strdup(name), text);
    }
}

void qom_properties_add(ObjectClass *class, QomPropertiesOf *of)
{
    VionetPropertyInfo info;

    for (unsigned i = 0; properties_at(i, &info); i++) {
        struct row *row;

        if (object_class_property_find(class, info.name)) {
            g_free(info.by_default); /* mac */
            continue;
        }
        row = g_new(struct row, 1); /* of a class, which is for ever */
        *row = (struct row){of, info.is_switch, info.by_default};
        object_class_property_add(class, info.name, info.is_switch ? "bool" : "str", get, set, NULL,
                                  row);
        object_class_property_set_description(class, info.name, info.help);
    }
}

void qom_properties_init(QomProperties *properties)
{
    properties->set = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

void qom_properties_finalize(QomProperties *properties)
{
    g_hash_table_unref(properties->set);
}

char *qom_properties_text(const QomProperties *properties, const uint8_t *mac)
{
    GString *text = g_string_new(NULL);
    GHashTableIter all;
    gpointer name, value;

    g_string_printf(text, "mac=%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
                    mac[4], mac[5]);
    g_hash_table_iter_init(&all, properties->set);
    while (g_hash_table_iter_next(&all, &name, &value)) {
        char **parts = g_strsplit(value, ",", -1);
        char *doubled = g_strjoinv(",,", parts);

        g_string_append_printf(text, ",%s=%s", (const char *)name, doubled);
        g_free(doubled);
        g_strfreev(parts);
    }
    return g_string_free(text, FALSE);
}
