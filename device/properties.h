/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device's configuration as QEMU users write it:
 * "mac=52:54:00:00:00:01,queues=4,rss=on,hash=on". Feature properties are the library's own table
 * (vionet_feature_at()); the others stand in one table in properties.c. Used by frontend.c, and by
 * programs that print help.
 *
 * Errors are of domain VIONET_ERROR, code VIONET_ERROR_CONFIG: one line that names the property,
 * what was found and what is valid. Threads: all functions are pure.
 */
#ifndef DEVICE_PROPERTIES_H
#define DEVICE_PROPERTIES_H

#include <vionet/device.h>
#include <vionet/pci.h>

typedef struct VionetProperties {
    VionetConfig config;
    VionetPciConfig pci;
    uint32_t poll_us; /* how long a transmit queue is polled after its last frame */
    bool threads;     /* one for each queue pair */
    uint64_t asked[VIONET_FEATURE_WORDS]; /* features that the text turns on or off, or makes on */
} VionetProperties;

/*
 * Sets properties to the defaults, changed by text; the order of text does not matter. What a
 * property needs is turned on with it (queues=4: mq; host_mtu: the MTU feature) unless text turns
 * it off, which is a contradiction. The rules between features are vionet_device_new()'s to check.
 * On false, properties is undefined.
 */
bool properties_parse(const char *text, VionetProperties *properties, GError **error);

/*
 * Turns on features, of bits 0 to 63, that the text says nothing of, as far as what they need is
 * there.
 */
void properties_suit(VionetProperties *properties, uint64_t features);

/* All properties: values, default, what they do; a line each. To be freed with g_free(). */
char *properties_help(void);

/* One property, as an emulator shows it that has properties of its own. */
typedef struct VionetPropertyInfo {
    const char *name;
    const char *help;
    bool is_switch;   /* on or off; any other takes text */
    char *by_default; /* as text, to be freed with g_free() */
} VionetPropertyInfo;

/*
 * The i-th of all properties, features of every dialect included, each name once. False past the last.
 */
bool properties_at(unsigned i, VionetPropertyInfo *info);

/* The row of a feature bit in that dialect, NULL if it has none. */
const VionetFeature *properties_feature(const VionetDialect *dialect, unsigned bit);

/* Reads six octets, two digits each, with colons or hyphens between them. False, and nothing written, if text is not that. */
bool properties_read_mac(const char *text, uint8_t mac[6]);

#endif
