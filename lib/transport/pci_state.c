/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The function's section of saved state: what the driver wrote to configuration space, MSI-X, selectors,
 * vectors, ISR (docs/state.md). Called by the device while it is saved or loaded.
 */
#include "transport/pci.h"

#include <string.h>

#include "record.h"
#include "transport/pci_state.h"

/* An item of struct pci_state.msix: the words of a table entry, as they stand there. */
#define MSIX_WORDS 4u

struct pci_state {
    uint8_t space[VIONET_PCI_CONFIG_SIZE];
    uint32_t device_feature_select;
    uint32_t driver_feature_select;
    uint16_t queue_select;
    uint8_t isr;
    uint16_t config_vector;
    struct record_list queue_vectors;
    struct record_list msix;
    struct record_list pending;
    uint8_t legacy_big_endian;
    uint8_t any_layout;
};

/* clang-format off */
static const struct record_field fields[] = {
    RECORD_WORDS(struct pci_state, space,
                 "configuration space: what the driver cannot write is as in this device"),
    RECORD_WORD(struct pci_state, device_feature_select, 0, "device_feature_select"),
    RECORD_WORD(struct pci_state, driver_feature_select, 0, "driver_feature_select"),
    RECORD_WORD(struct pci_state, queue_select, 0, "queue_select"),
    RECORD_WORD(struct pci_state, isr, VIRTIO_PCI_ISR_QUEUE | VIRTIO_PCI_ISR_CONFIG, "ISR status"),
    RECORD_WORD(struct pci_state, config_vector, 0, "config_msix_vector"),
    RECORD_LIST(struct pci_state, queue_vectors, 16, 1, 0, "queue_msix_vector of each queue"),
    RECORD_LIST(struct pci_state, msix, 32, MSIX_WORDS, 0, "MSI-X table: address, data, control"),
    RECORD_LIST(struct pci_state, pending, 8, 1, 1, "pending bit of each vector"),
    RECORD_WORD_SINCE(struct pci_state, legacy_big_endian, 2, 1,
                      "as the function is made: order of octets of a legacy driver's guest"),
    RECORD_WORD_SINCE(struct pci_state, any_layout, 2, 1, "a legacy driver accepted VIRTIO_F_ANY_LAYOUT"),
};

const struct record pci_state_record = {
    "pci", 2, true, sizeof(struct pci_state), fields, G_N_ELEMENTS(fields), "The PCI function",
};
/* clang-format on */

static void save(void *opaque, GByteArray *octets)
{
    VionetPci *pci = opaque;
    const unsigned n_vectors = pci->msix.n_vectors;
    const unsigned n_queues = vionet_device_num_queues(pci->device);
    uint16_t *queue_vectors = g_new(uint16_t, n_queues);
    uint32_t *msix = g_new(uint32_t, MSIX_WORDS * (size_t)n_vectors);
    uint8_t *pending = g_new(uint8_t, n_vectors);
    struct pci_state state = {
        .device_feature_select = pci->device_feature_select,
        .driver_feature_select = pci->driver_feature_select,
        .queue_select = pci->queue_select,
        .isr = atomic_load(&pci->isr),
        .config_vector = atomic_load(&pci->config_vector),
        .queue_vectors = {n_queues, queue_vectors},
        .msix = {n_vectors, msix},
        .pending = {n_vectors, pending},
        .legacy_big_endian = pci->config.legacy_big_endian,
        .any_layout = pci->any_layout,
    };

    pci_copy_space(pci, state.space);
    for (unsigned i = 0; i < n_queues; i++) {
        queue_vectors[i] = atomic_load(&pci->queue_vectors[i]);
    }
    for (unsigned i = 0; i < n_vectors; i++) {
        for (unsigned word = 0; word < MSIX_WORDS; word++) {
            msix[MSIX_WORDS * i + word] = atomic_load(&pci->msix.vectors[i].words[word]);
        }
        pending[i] = atomic_load(&pci->msix.vectors[i].pending);
    }
    record_write(&pci_state_record, &state, octets);
    record_clear(&pci_state_record, &state);
}

static bool is_vector(const VionetPci *pci, uint16_t vector)
{
    return vector < pci->msix.n_vectors || vector == VIRTIO_MSI_NO_VECTOR;
}

/* What contradicts the function or itself, NULL if nothing does. */
static const char *value_wrong(const VionetPci *pci, const struct pci_state *state)
{
    const uint16_t *queue_vectors = state->queue_vectors.items;
    const uint32_t *msix = state->msix.items;

    if (state->any_layout && !pci->config.legacy) {
        return "any_layout without the legacy interface";
    }
    if (!is_vector(pci, state->config_vector)) {
        return "config_vector names a vector that there is not";
    }
    for (uint32_t i = 0; i < state->queue_vectors.n; i++) {
        if (!is_vector(pci, queue_vectors[i])) {
            return "queue_vectors names a vector that there is not";
        }
    }
    for (uint32_t i = 0; i < state->msix.n; i++) {
        if (!msix_entry_valid(msix + MSIX_WORDS * (size_t)i)) {
            return "msix has bits set that no driver can set";
        }
    }
    return NULL;
}

static bool check(VionetPci *pci, const struct pci_state *state, GError **error)
{
    const char *wrong;

    if (state->queue_vectors.n != vionet_device_num_queues(pci->device) ||
        state->msix.n != pci->msix.n_vectors || state->pending.n != pci->msix.n_vectors ||
        state->legacy_big_endian != pci->config.legacy_big_endian ||
        !pci_space_fits(pci, state->space)) {
        g_set_error(error, VIONET_STATE_ERROR, VIONET_STATE_ERROR_CONFIG,
                    "section pci: this function was made differently");
        return false;
    }
    wrong = value_wrong(pci, state);
    if (wrong) {
        g_set_error(error, VIONET_STATE_ERROR, VIONET_STATE_ERROR_VALUE, "section pci: %s", wrong);
    }
    return !wrong;
}

static void drop(void *opaque, void *parsed)
{
    (void)opaque;
    record_clear(&pci_state_record, parsed);
    g_free(parsed);
}

static void *parse(void *opaque, unsigned version, const uint8_t *octets, size_t len,
                   GError **error)
{
    struct pci_state *state = g_new0(struct pci_state, 1);

    /* Version 1 was never of a legacy driver, and does not say. */
    state->legacy_big_endian = ((const VionetPci *)opaque)->config.legacy_big_endian;
    if (!record_read(&pci_state_record, version, octets, len, state, error) ||
        !check(opaque, state, error)) {
        drop(opaque, state);
        return NULL;
    }
    return state;
}

static void take(void *opaque, void *parsed)
{
    VionetPci *pci = opaque;
    const struct pci_state *state = parsed;
    const uint16_t *queue_vectors = state->queue_vectors.items;
    const uint32_t *msix = state->msix.items;
    const uint8_t *pending = state->pending.items;

    pci->device_feature_select = state->device_feature_select;
    pci->driver_feature_select = state->driver_feature_select;
    pci->queue_select = state->queue_select;
    pci->any_layout = state->any_layout;
    atomic_store(&pci->config_vector, state->config_vector);
    for (uint32_t i = 0; i < state->queue_vectors.n; i++) {
        atomic_store(&pci->queue_vectors[i], queue_vectors[i]);
    }
    for (uint32_t i = 0; i < state->msix.n; i++) {
        msix_set_entry(&pci->msix, i, msix + MSIX_WORDS * (size_t)i, pending[i]);
    }
    atomic_store(&pci->isr, state->isr);
    pci_take_space(pci, state->space);
    drop(opaque, parsed);
}

static unsigned drivers_of(const VionetPciConfig *config)
{
    const unsigned legacy =
        config->legacy_big_endian ? VIONET_STATE_DRIVER_LEGACY_BIG : VIONET_STATE_DRIVER_LEGACY;

    return (config->no_modern ? 0 : VIONET_STATE_DRIVER_MODERN) | (config->legacy ? legacy : 0);
}

void pci_state_attach(VionetPci *pci)
{
    const VionetStateSection section = {
        .size = sizeof(section),
        .name = pci_state_record.name,
        .version = pci_state_record.version,
        .save = save,
        .parse = parse,
        .take = take,
        .drop = drop,
        .skippable = !pci_state_record.required,
        .drivers = drivers_of(&pci->config),
    };

    vionet_device_add_state_section(pci->device, &section, pci);
}

void pci_state_detach(VionetPci *pci)
{
    vionet_device_remove_state_section(pci->device, pci_state_record.name);
}
