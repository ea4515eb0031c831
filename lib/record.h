/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A record: a C structure, and a table of its fields by which it is written as little-endian octets,
 * read back, compared and described. So no two functions have to agree on what stands where. Used for
 * the sections of saved state (net/state_format.c and the transports); docs/state.md is held against
 * the same tables. Control side only; knows no device.
 *
 * On the wire a field is its elements one after the other, without padding; in front of those of a list
 * stands their number (32 bits).
 */
#ifndef VIONET_RECORD_H
#define VIONET_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

/* A list in a record: n times as many words as its field says an item has. */
struct record_list {
    uint32_t n;
    void *items; /* g_malloc()ed, NULL if n is 0 */
};

struct record_field {
    const char *name;
    size_t offset;
    uint8_t width;  /* octets of a word: 1, 2, 4 or 8 */
    uint16_t words; /* of the field, or of an item of the list */
    bool list;
    uint16_t since; /* version of the record that has it first */
    uint64_t max;   /* of each word; 0: any value */
    const char *help;
};

struct record {
    const char *name;
    uint16_t version; /* that is written; those before are read too */
    bool required;    /* who does not know it cannot go on without */
    size_t size;      /* of the structure */
    const struct record_field *fields;
    unsigned n_fields;
    const char *help;
};

/* Rows of a table. WORD: one, of the first version or a later one; WORDS: an array; LIST: of items of n words. */
#define RECORD_ROW(type, member, version, bits, n, is_list, top, text)                        \
    {                                                                                         \
        .name = #member, .offset = offsetof(type, member), .width = (bits) / 8, .words = (n), \
        .list = (is_list), .since = (version), .max = (top), .help = (text)                   \
    }
#define RECORD_WORD_SINCE(type, member, version, top, text) \
    RECORD_ROW(type, member, version, 8 * sizeof(((type *)0)->member), 1, false, top, text)
#define RECORD_WORD(type, member, top, text) RECORD_WORD_SINCE(type, member, 1, top, text)
#define RECORD_WORDS(type, member, text)                            \
    RECORD_ROW(type, member, 1, 8 * sizeof(((type *)0)->member[0]), \
               sizeof(((type *)0)->member) / sizeof(((type *)0)->member[0]), false, 0, text)
#define RECORD_LIST(type, member, bits, n, top, text) \
    RECORD_ROW(type, member, 1, bits, n, true, top, text)

/* Appends the octets of a structure. */
void record_write(const struct record *record, const void *structure, GByteArray *octets);

/*
 * Fills in a structure, all zero before, from octets that a record of that version, at most its own, had; fields
 * that came later stay as they are.
 * False with VIONET_STATE_ERROR_FORMAT or _VALUE and where in the message; what was filled in is to be
 * cleared in either case.
 */
bool record_read(const struct record *record, unsigned version, const uint8_t *octets, size_t len,
                 void *structure, GError **error);

/* The first field in which two structures differ, NULL if there is none. */
const char *record_differs(const struct record *record, const void *one, const void *other);

/* Frees the lists of a structure. */
void record_clear(const struct record *record, void *structure);

/* Makes a list of n items that have so many octets each. */
void record_list_set(struct record_list *list, const void *items, uint32_t n, size_t octets);

#endif
