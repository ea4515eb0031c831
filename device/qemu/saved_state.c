/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Saved state in a migration stream; see saved_state.h. Called by QEMU's migration.
 */
#include "qemu/osdep.h"

#include "saved_state.h"

#include "migration/qemu-file-types.h"
#include "qemu/error-report.h"
#include "qemu/units.h"

#include <vionet/state.h>

#define MOST_OCTETS (64 * MiB) /* far above what a device with all queues has */

static int complain(GError *error)
{
    error_report("vionet: %s", error->message);
    g_error_free(error);
    return -EINVAL;
}

static int put_state(QEMUFile *file, void *field, size_t size, const VMStateField *description,
                     JSONWriter *writer)
{
    VionetDevice *device = *(VionetDevice **)field;
    GError *error = NULL;
    g_autoptr(GBytes) state = vionet_device_save(device, &error);
    const uint8_t *octets;
    size_t len;

    if (!state) {
        return complain(error);
    }
    octets = g_bytes_get_data(state, &len);
    qemu_put_be32(file, (uint32_t)len);
    qemu_put_buffer(file, octets, len);
    return 0;
}

static int get_state(QEMUFile *file, void *field, size_t size, const VMStateField *description)
{
    VionetDevice *device = *(VionetDevice **)field;
    const uint32_t len = qemu_get_be32(file);
    g_autofree uint8_t *octets = NULL;
    GError *error = NULL;

    if (len > MOST_OCTETS) {
        error_report("vionet: a state of %" PRIu32 " octets", len);
        return -EINVAL;
    }
    octets = g_malloc(len);
    if (qemu_get_buffer(file, octets, len) != len) {
        error_report("vionet: the state was cut off");
        return -EINVAL;
    }
    return vionet_device_load(device, octets, len, &error) ? 0 : complain(error);
}

const VMStateInfo saved_state_info = {
    .name = "vionet state",
    .get = get_state,
    .put = put_state,
};
