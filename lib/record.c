/* SPDX-License-Identifier: BSD-3-Clause */
/* Records by their tables (see record.h). Called where state is saved and loaded. */
#include "record.h"

#include <string.h>

#include <vionet/state.h>

#include "bytes.h"

static size_t item_size(const struct record_field *field)
{
    return (size_t)field->width * field->words;
}

static uint64_t load_word(const uint8_t *p, unsigned width)
{
    uint16_t word16;
    uint32_t word32;
    uint64_t word64;

    switch (width) {
    case 1:
        return *p;
    case 2:
        memcpy(&word16, p, sizeof(word16));
        return word16;
    case 4:
        memcpy(&word32, p, sizeof(word32));
        return word32;
    default:
        memcpy(&word64, p, sizeof(word64));
        return word64;
    }
}

static void store_word(uint8_t *p, unsigned width, uint64_t value)
{
    const uint16_t word16 = (uint16_t)value;
    const uint32_t word32 = (uint32_t)value;

    switch (width) {
    case 1:
        *p = (uint8_t)value;
        break;
    case 2:
        memcpy(p, &word16, sizeof(word16));
        break;
    case 4:
        memcpy(p, &word32, sizeof(word32));
        break;
    default:
        memcpy(p, &value, sizeof(value));
        break;
    }
}

static void put_word(GByteArray *octets, uint64_t value, unsigned width)
{
    uint8_t wire[8];

    put_le64(wire, value);
    g_byte_array_append(octets, wire, width);
}

static uint64_t get_word(const uint8_t *p, unsigned width)
{
    uint8_t wire[8] = {0};

    memcpy(wire, p, width);
    return get_le64(wire);
}

/* ---- writing ---- */

void record_write(const struct record *record, const void *structure, GByteArray *octets)
{
    for (unsigned f = 0; f < record->n_fields; f++) {
        const struct record_field *field = &record->fields[f];
        const uint8_t *p = (const uint8_t *)structure + field->offset;
        size_t n = field->words;

        if (field->list) {
            const struct record_list *list = (const struct record_list *)(const void *)p;

            put_word(octets, list->n, sizeof(list->n));
            n *= list->n;
            p = list->items;
        }
        for (size_t i = 0; i < n; i++) {
            put_word(octets, load_word(p + i * field->width, field->width), field->width);
        }
    }
}

/* ---- reading ---- */

static bool refuse(const struct record *record, const char *what, GError **error)
{
    g_set_error(error, VIONET_STATE_ERROR, VIONET_STATE_ERROR_FORMAT, "section %s %s", record->name,
                what);
    return false;
}

static bool read_words(const struct record *record, const struct record_field *field,
                       const uint8_t *wire, size_t n, uint8_t *to, GError **error)
{
    for (size_t i = 0; i < n; i++) {
        const uint64_t value = get_word(wire + i * field->width, field->width);

        if (field->max && value > field->max) {
            g_set_error(error, VIONET_STATE_ERROR, VIONET_STATE_ERROR_VALUE,
                        "section %s: %s is %" G_GUINT64_FORMAT ", at most %" G_GUINT64_FORMAT,
                        record->name, field->name, value, field->max);
            return false;
        }
        store_word(to + i * field->width, field->width, value);
    }
    return true;
}

bool record_read(const struct record *record, unsigned version, const uint8_t *octets, size_t len,
                 void *structure, GError **error)
{
    for (unsigned f = 0; f < record->n_fields; f++) {
        const struct record_field *field = &record->fields[f];
        uint8_t *to = (uint8_t *)structure + field->offset;
        uint64_t items = 1;

        if (field->since > version) {
            continue;
        }
        if (field->list) {
            if (len < sizeof(uint32_t)) {
                return refuse(record, "is too short", error);
            }
            items = get_le32(octets);
            octets += sizeof(uint32_t);
            len -= sizeof(uint32_t);
        }
        if (items * item_size(field) > len) { /* both have 32 bits at most */
            return refuse(record, "is too short", error);
        }
        if (field->list) {
            struct record_list *list = (struct record_list *)(void *)to;

            *list = (struct record_list){0};
            if (items == 0) {
                continue;
            }
            list->items = g_try_malloc(items * item_size(field));
            if (!list->items) {
                g_set_error(error, VIONET_STATE_ERROR, VIONET_STATE_ERROR_MEMORY,
                            "section %s: there is no memory for it", record->name);
                return false;
            }
            list->n = (uint32_t)items;
            to = list->items;
        }
        if (!read_words(record, field, octets, items * field->words, to, error)) {
            return false;
        }
        octets += items * item_size(field);
        len -= items * item_size(field);
    }
    return len == 0 || refuse(record, "is too long", error);
}

/* ---- the rest ---- */

const char *record_differs(const struct record *record, const void *one, const void *other)
{
    for (unsigned f = 0; f < record->n_fields; f++) {
        const struct record_field *field = &record->fields[f];
        const uint8_t *a = (const uint8_t *)one + field->offset;
        const uint8_t *b = (const uint8_t *)other + field->offset;
        size_t n = item_size(field);

        if (field->list) {
            const struct record_list *list_a = (const struct record_list *)(const void *)a;
            const struct record_list *list_b = (const struct record_list *)(const void *)b;

            if (list_a->n != list_b->n) {
                return field->name;
            }
            n *= list_a->n;
            a = list_a->items;
            b = list_b->items;
        }
        if (n && memcmp(a, b, n) != 0) {
            return field->name;
        }
    }
    return NULL;
}

void record_clear(const struct record *record, void *structure)
{
    for (unsigned f = 0; f < record->n_fields; f++) {
        if (record->fields[f].list) {
            struct record_list *list =
                (struct record_list *)(void *)((uint8_t *)structure + record->fields[f].offset);

            g_free(list->items);
            *list = (struct record_list){0};
        }
    }
}

void record_list_set(struct record_list *list, const void *items, uint32_t n, size_t octets)
{
    list->n = n;
    list->items = g_memdup2(items, n * octets);
}
