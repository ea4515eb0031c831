/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The properties that are not features, one row each: name, kind of value, where it is kept, what
 * it turns on, help. properties.c walks the rows; a new property is a new row and a test.
 */
#ifndef DEVICE_PROPERTY_H
#define DEVICE_PROPERTY_H

#include "properties.h"

/* What a property turns on: a feature bit, or one of these. */
#define PROPERTY_MAKES_NOTHING (-1)
#define PROPERTY_MAKES_DIALECT (-2) /* the feature of the dialect */

struct property;

/* How values of one kind are read (false if text is not one), shown, and described in errors. */
struct property_kind {
    bool (*read)(const struct property *property, const char *text, VionetProperties *to);
    char *(*show)(const struct property *property, const VionetProperties *from);
    char *(*expect)(const struct property *property, const VionetProperties *to);
};

/* A word that stands for a number. */
struct property_word {
    const char *name; /* NULL after the last */
    uint64_t value;
};

/* The i-th name of a mask, and its bit; NULL past the last. */
typedef const char *property_mask_name(const VionetDialect *dialect, unsigned i, uint32_t *bit);

struct property {
    const char *name;
    const char *help;
    const struct property_kind *kind;
    int makes_on;
    size_t offset; /* of the member in VionetProperties */
    size_t width;  /* its octets */
    bool negated;  /* a switch: on is 0 */
    /* Numbers: digits from min to max, none if max is 0; or words. */
    uint64_t min;
    uint64_t max;
    bool power_of_two;
    bool hexadecimal; /* shown so */
    const struct property_word *words;
    /* Masks. */
    property_mask_name *mask_name;
};

/* The i-th row, NULL past the last. */
const struct property *property_at(unsigned i);
const struct property *property_find(const char *name);

/* Whether its values are on and off. */
bool property_is_switch(const struct property *property);

/* on, off, yes, no, true, false, y, n; false if text is none of them. */
bool property_read_switch(const char *text, bool *on);

#endif
