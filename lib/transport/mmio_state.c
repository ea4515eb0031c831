/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The window's section of saved state: the registers that are its own (docs/state.md). Called by the device while it is
 * saved or loaded.
 */
#include "transport/mmio.h"

#include <vionet/spec.h>

#include "record.h"
#include "transport/mmio_state.h"

struct mmio_state {
    uint8_t version;
    uint8_t legacy_big_endian;
    uint32_t vendor;
    uint32_t device_features_sel;
    uint32_t driver_features_sel;
    uint32_t queue_sel;
    uint8_t interrupt_status;
    uint32_t guest_page_size;
    uint32_t queue_align;
};

/* clang-format off */
static const struct record_field fields[] = {
    RECORD_WORD(struct mmio_state, version, 0, "as the window is made: Version"),
    RECORD_WORD(struct mmio_state, legacy_big_endian, 1, "likewise: order of octets of a legacy driver's guest"),
    RECORD_WORD(struct mmio_state, vendor, 0, "likewise: VendorID"),
    RECORD_WORD(struct mmio_state, device_features_sel, 0, "DeviceFeaturesSel"),
    RECORD_WORD(struct mmio_state, driver_features_sel, 0, "DriverFeaturesSel"),
    RECORD_WORD(struct mmio_state, queue_sel, 0, "QueueSel"),
    RECORD_WORD(struct mmio_state, interrupt_status, VIRTIO_MMIO_INT_QUEUE | VIRTIO_MMIO_INT_CONFIG,
                "InterruptStatus"),
    RECORD_WORD(struct mmio_state, guest_page_size, 0, "GuestPageSize; 0 but in version 1"),
    RECORD_WORD(struct mmio_state, queue_align, 0, "QueueAlign as last written; 0 but in version 1"),
};

const struct record mmio_state_record = {
    "mmio", 1, true, sizeof(struct mmio_state), fields, G_N_ELEMENTS(fields), "The MMIO window",
};
/* clang-format on */

static void save(void *opaque, GByteArray *octets)
{
    VionetMmio *mmio = opaque;
    const struct mmio_state state = {
        .version = (uint8_t)mmio->config.version,
        .legacy_big_endian = mmio->config.legacy_big_endian,
        .vendor = mmio->config.vendor,
        .device_features_sel = mmio->device_features_sel,
        .driver_features_sel = mmio->driver_features_sel,
        .queue_sel = mmio->queue_sel,
        .interrupt_status = (uint8_t)atomic_load(&mmio->interrupts),
        .guest_page_size = mmio->guest_page_size,
        .queue_align = mmio->queue_align,
    };

    record_write(&mmio_state_record, &state, octets);
}

static bool check(const VionetMmio *mmio, const struct mmio_state *state, GError **error)
{
    if (state->version != mmio->config.version ||
        state->legacy_big_endian != mmio->config.legacy_big_endian ||
        state->vendor != mmio->config.vendor) {
        g_set_error(error, VIONET_STATE_ERROR, VIONET_STATE_ERROR_CONFIG,
                    "section mmio: this window was made differently");
        return false;
    }
    if (state->version != MMIO_VERSION_LEGACY && (state->guest_page_size || state->queue_align)) {
        g_set_error(error, VIONET_STATE_ERROR, VIONET_STATE_ERROR_VALUE,
                    "section mmio: guest_page_size or queue_align, of which version 2 has none");
        return false;
    }
    return true;
}

static void drop(void *opaque, void *parsed)
{
    (void)opaque;
    g_free(parsed);
}

static void *parse(void *opaque, unsigned version, const uint8_t *octets, size_t len,
                   GError **error)
{
    struct mmio_state *state = g_new0(struct mmio_state, 1);

    if (!record_read(&mmio_state_record, version, octets, len, state, error) ||
        !check(opaque, state, error)) {
        drop(opaque, state);
        return NULL;
    }
    return state;
}

static void take(void *opaque, void *parsed)
{
    const struct mmio_state *state = parsed;
    VionetMmio *mmio = opaque;

    mmio->device_features_sel = state->device_features_sel;
    mmio->driver_features_sel = state->driver_features_sel;
    mmio->queue_sel = state->queue_sel;
    mmio->guest_page_size = state->guest_page_size;
    mmio->queue_align = state->queue_align;
    atomic_store(&mmio->interrupts, state->interrupt_status);
    mmio_update_line(mmio);
    mmio_update_notifications(mmio);
    drop(opaque, parsed);
}

static unsigned drivers_of(const VionetMmioConfig *config)
{
    if (config->version != MMIO_VERSION_LEGACY) {
        return VIONET_STATE_DRIVER_MODERN;
    }
    return config->legacy_big_endian ? VIONET_STATE_DRIVER_LEGACY_BIG : VIONET_STATE_DRIVER_LEGACY;
}

void mmio_state_attach(VionetMmio *mmio)
{
    const VionetStateSection section = {
        .size = sizeof(section),
        .name = mmio_state_record.name,
        .version = mmio_state_record.version,
        .save = save,
        .parse = parse,
        .take = take,
        .drop = drop,
        .skippable = !mmio_state_record.required,
        .drivers = drivers_of(&mmio->config),
    };

    vionet_device_add_state_section(mmio->device, &section, mmio);
}

void mmio_state_detach(VionetMmio *mmio)
{
    vionet_device_remove_state_section(mmio->device, mmio_state_record.name);
}
