/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Saved state (docs/state.md), from outside of a device:
 *
 *     state tables                 its sections and fields, as they stand in docs/state.md
 *     state tables FILE            whether they stand in FILE so (a test)
 *     state show FILE              what a state says
 *     state show FILE TEXT         whether that is what TEXT says (a test)
 *     state make split|packed NAME the reference files of this version (test/state): NAME.state, and
 *                                  NAME.rings, which are the first page of guest memory
 *     state make TRANSPORT NAME    NAME.state over pci-legacy, mmio or mmio-legacy-big
 */
#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "net/standby_state.h"
#include "net/state.h"
#include "state/reference.h"
#include "transport/mmio_state.h"
#include "transport/pci_state.h"

/* Of the format, written out once more. */
#define HEADER  24u
#define SECTION 28u

static const struct record *record_at(unsigned i)
{
    static const struct record *const others[] = {&pci_state_record, &mmio_state_record,
                                                  &standby_state_record};

    if (i < STATE_KINDS) {
        return &state_records[i];
    }
    return i - STATE_KINDS < G_N_ELEMENTS(others) ? others[i - STATE_KINDS] : NULL;
}

static const struct record *record_named(const char *name)
{
    const struct record *record;

    for (unsigned i = 0; (record = record_at(i)) != NULL; i++) {
        if (strcmp(record->name, name) == 0) {
            return record;
        }
    }
    return NULL;
}

/* ---- tables ---- */

static void put_width(GString *out, const struct record_field *field)
{
    g_string_append_printf(out, "%u", 8u * field->width);
    if (field->words > 1) {
        g_string_append_printf(out, " x %u", field->words);
    }
    if (field->list) {
        g_string_append(out, ", list");
    }
}

static void put_rule(GString *out, const struct record_field *field)
{
    if (field->max == 1) {
        g_string_append(out, "0 or 1");
    } else if (field->max) {
        g_string_append_printf(out, "at most %" G_GUINT64_FORMAT, field->max);
    }
}

static void put_tables(GString *out)
{
    const struct record *record;

    for (unsigned i = 0; (record = record_at(i)) != NULL; i++) {
        g_string_append_printf(out, "%s### %s, version %u%s\n\n%s.\n\n", i ? "\n" : "",
                               record->name, record->version,
                               record->required ? "" : ", may be skipped", record->help);
        g_string_append(out, "| field | bits | rule | what it is |\n|---|---|---|---|\n");
        for (unsigned f = 0; f < record->n_fields; f++) {
            const struct record_field *field = &record->fields[f];

            g_string_append_printf(out, "| %s | ", field->name);
            put_width(out, field);
            g_string_append(out, " | ");
            put_rule(out, field);
            g_string_append_printf(out, " | %s", field->help);
            if (field->since > 1) {
                g_string_append_printf(out, " (from version %u)", field->since);
            }
            g_string_append(out, " |\n");
        }
    }
}

/* ---- what a state says ---- */

static void put_words(GString *out, const uint8_t *p, const struct record_field *field, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t value = 0;

        switch (field->width) {
        case 1:
            value = p[i];
            break;
        case 2:
            value = ((const uint16_t *)(const void *)p)[i];
            break;
        case 4:
            value = ((const uint32_t *)(const void *)p)[i];
            break;
        default:
            value = ((const uint64_t *)(const void *)p)[i];
            break;
        }
        g_string_append_printf(out, " 0x%" G_GINT64_MODIFIER "x", value);
    }
    g_string_append_c(out, '\n');
}

static void put_record(GString *out, const struct record *record, unsigned version,
                       const void *structure)
{
    for (unsigned f = 0; f < record->n_fields; f++) {
        const struct record_field *field = &record->fields[f];
        const uint8_t *p = (const uint8_t *)structure + field->offset;
        size_t n = field->words;

        if (field->since > version) {
            continue;
        }
        if (field->list) {
            const struct record_list *list = (const struct record_list *)(const void *)p;

            n *= list->n;
            p = list->items;
        }
        g_string_append_printf(out, "    %s", field->name);
        put_words(out, p, field, n);
    }
}

static bool put_state(GString *out, const uint8_t *octets, size_t len, GError **error)
{
    size_t at = HEADER;

    g_string_append_printf(out, "version %u, %u sections\n", get_le32(octets + 8),
                           get_le32(octets + 12));
    while (at + SECTION <= len) {
        const uint8_t *head = octets + at;
        const char *name = (const char *)head;
        const struct record *record = record_named(name);
        const size_t size = get_le32(head + 24);
        void *structure;
        bool good;

        g_string_append_printf(out, "%s %u, version %u%s\n", name, get_le32(head + 20),
                               get_le16(head + 16), get_le16(head + 18) ? ", required" : "");
        at += SECTION + size;
        if (!record || at > len) {
            continue;
        }
        structure = g_malloc0(record->size);
        good = record_read(record, get_le16(head + 16), head + SECTION, size, structure, error);
        if (good) {
            put_record(out, record, get_le16(head + 16), structure);
        }
        record_clear(record, structure);
        g_free(structure);
        if (!good) {
            return false;
        }
    }
    return true;
}

/* ---- commands ---- */

/* Prints, or looks for what there is to print in a file. */
static int conclude(const GString *out, const char *path, bool whole)
{
    char *there = NULL;
    int status = 0;

    if (!path) {
        fputs(out->str, stdout);
    } else if (!g_file_get_contents(path, &there, NULL, NULL) ||
               !(whole ? strcmp(there, out->str) == 0 : strstr(there, out->str) != NULL)) {
        fprintf(stderr, "%s is not what this command prints without it\n", path);
        status = 1;
    }
    g_free(there);
    return status;
}

static int show(GString *out, const char *path, const char *text, GError **error)
{
    char *octets;
    gsize len;
    bool good;

    if (!g_file_get_contents(path, &octets, &len, error)) {
        return 1;
    }
    good = len >= HEADER && put_state(out, (const uint8_t *)octets, len, error);
    g_free(octets);
    return good ? conclude(out, text, true) : 1;
}

static bool write_file(const char *name, const char *suffix, gconstpointer octets, gsize len,
                       GError **error)
{
    char *path = g_strconcat(name, suffix, NULL);
    const bool good = g_file_set_contents(path, octets, (gssize)len, error);

    g_free(path);
    return good;
}

static int make_over(enum machine_transport transport, const char *name, GError **error)
{
    VionetStandby *standby;
    struct machine *machine = reference_machine_over(transport, &standby);
    GBytes *state = vionet_device_save(machine->device, error);
    bool good = false;

    if (state) {
        good = write_file(name, ".state", g_bytes_get_data(state, NULL), g_bytes_get_size(state),
                          error);
        g_bytes_unref(state);
    }
    vionet_standby_free(standby);
    machine_free(machine);
    return !good;
}

static int make(const char *kind, const char *name, GError **error)
{
    static const struct {
        const char *kind;
        enum machine_transport transport;
    } others[] = {
        {"pci-legacy", MACHINE_PCI_LEGACY},
        {"mmio", MACHINE_MMIO},
        {"mmio-legacy-big", MACHINE_MMIO_LEGACY_BIG},
    };

    struct machine *machine;
    GBytes *state;
    bool good = false;
    gconstpointer octets;
    gsize len;

    for (unsigned i = 0; i < G_N_ELEMENTS(others); i++) {
        if (strcmp(kind, others[i].kind) == 0) {
            return make_over(others[i].transport, name, error);
        }
    }
    machine = reference_machine(strcmp(kind, "packed") == 0 ? MACHINE_PACKED : MACHINE_SPLIT);
    state = vionet_device_save(machine->device, error);
    if (state) {
        octets = g_bytes_get_data(state, &len);
        good = write_file(name, ".state", octets, len, error) &&
               write_file(name, ".rings",
                          guest_ptr(machine->memory, REFERENCE_RINGS, REFERENCE_RINGS_SIZE),
                          REFERENCE_RINGS_SIZE, error);
        g_bytes_unref(state);
    }
    machine_free(machine);
    return !good;
}

int main(int argc, char **argv)
{
    const char *const command = argc > 1 ? argv[1] : "";
    GString *out = g_string_new(NULL);
    GError *error = NULL;
    int status = 2;

    if (strcmp(command, "tables") == 0) {
        put_tables(out);
        status = conclude(out, argv[2], false);
    } else if (strcmp(command, "show") == 0 && argc > 2) {
        status = show(out, argv[2], argv[3], &error);
    } else if (strcmp(command, "make") == 0 && argc > 3) {
        status = make(argv[2], argv[3], &error);
    } else {
        fprintf(stderr, "usage: %s tables [FILE] | show FILE [TEXT] | make KIND NAME\n", argv[0]);
    }
    if (error) {
        fprintf(stderr, "%s: %s\n", argv[0], error->message);
        g_error_free(error);
    }
    g_string_free(out, TRUE);
    return status;
}
