/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The window of memory-mapped registers (VIRTIO 1.4, 4.2), version 2 and the legacy version 1, as one
 * table; see vionet/mmio.h. Called by the emulator whose machine has it.
 */
#include "transport/mmio.h"

#include <string.h>

#include "bytes.h"
#include "transport/mmio_state.h"

#include <vionet/spec.h>

#define ANY_LAYOUT (UINT32_C(1) << VIRTIO_F_ANY_LAYOUT)

void vionet_mmio_config_init(VionetMmioConfig *config)
{
    memset(config, 0, sizeof(*config));
    *config = (VionetMmioConfig){
        .size = sizeof(*config),
        .version = MMIO_VERSION_MODERN,
        .vendor = VIRTIO_PCI_VENDOR_ID,
    };
}

/* ---- the interrupt ---- */

/*
 * Tells the host the line's level, again if it changed while it was told: threads that raise and the one
 * that acknowledges need no lock, the last to come says the truth.
 */
void mmio_update_line(VionetMmio *mmio)
{
    bool level;

    if (!mmio->ops.interrupt) {
        return;
    }
    do {
        level = atomic_load(&mmio->interrupts) != 0;
        mmio->ops.interrupt(mmio->opaque, level);
    } while (level != (atomic_load(&mmio->interrupts) != 0));
}

/* The device's interrupt operation. */
static void mmio_interrupt(void *opaque, unsigned queue)
{
    VionetMmio *mmio = opaque;

    atomic_fetch_or(&mmio->interrupts,
                    queue == VIONET_CONFIG_CHANGE ? VIRTIO_MMIO_INT_CONFIG : VIRTIO_MMIO_INT_QUEUE);
    mmio_update_line(mmio);
}

static uint32_t read_interrupt_status(VionetMmio *mmio)
{
    return atomic_load(&mmio->interrupts);
}

static void write_interrupt_ack(VionetMmio *mmio, uint32_t value)
{
    if (atomic_fetch_and(&mmio->interrupts, ~value) & value) {
        mmio_update_line(mmio);
    }
}

/* ---- the device ---- */

static bool is_legacy(const VionetMmio *mmio)
{
    return mmio->config.version == MMIO_VERSION_LEGACY;
}

/* Whether the driver may write: one of version 1 is a legacy driver by doing so. */
static bool begin(VionetMmio *mmio)
{
    return !is_legacy(mmio) ||
           vionet_device_begin_legacy(mmio->device, mmio->config.legacy_big_endian);
}

static uint32_t read_magic(VionetMmio *mmio)
{
    (void)mmio;
    return VIRTIO_MMIO_MAGIC;
}

static uint32_t read_version(VionetMmio *mmio)
{
    return mmio->config.version;
}

static uint32_t read_device_id(VionetMmio *mmio)
{
    (void)mmio;
    return VIRTIO_ID_NET;
}

static uint32_t read_vendor_id(VionetMmio *mmio)
{
    return mmio->config.vendor;
}

static uint32_t read_device_features(VionetMmio *mmio)
{
    const uint32_t window = mmio->device_features_sel;

    if (!is_legacy(mmio)) {
        return vionet_device_offered(mmio->device, window);
    }
    return window == 0 ? vionet_device_offered(mmio->device, 0) | ANY_LAYOUT : 0;
}

static void write_device_features_sel(VionetMmio *mmio, uint32_t value)
{
    mmio->device_features_sel = value;
}

static void write_driver_features(VionetMmio *mmio, uint32_t value)
{
    const uint32_t window = mmio->driver_features_sel;

    if (begin(mmio)) {
        vionet_device_write_driver_features(
            mmio->device, window, is_legacy(mmio) && window == 0 ? value & ~ANY_LAYOUT : value);
    }
}

static void write_driver_features_sel(VionetMmio *mmio, uint32_t value)
{
    mmio->driver_features_sel = value;
}

void mmio_update_notifications(VionetMmio *mmio)
{
    atomic_store(&mmio->notifications_long,
                 vionet_device_negotiated(mmio->device, VIRTIO_F_NOTIFICATION_DATA));
}

static uint32_t read_status(VionetMmio *mmio)
{
    return vionet_device_status(mmio->device);
}

static void reset_registers(VionetMmio *mmio)
{
    mmio->device_features_sel = 0;
    mmio->driver_features_sel = 0;
    mmio->queue_sel = 0;
    atomic_store(&mmio->notifications_long, false);
    if (atomic_exchange(&mmio->interrupts, 0)) {
        mmio_update_line(mmio);
    }
}

static void write_status(VionetMmio *mmio, uint32_t value)
{
    if (value != 0 && !begin(mmio)) {
        return;
    }
    vionet_device_write_status(mmio->device, (uint8_t)value);
    if (vionet_device_status(mmio->device) == 0) {
        reset_registers(mmio);
        return;
    }
    mmio_update_notifications(mmio);
}

static uint32_t read_config_generation(VionetMmio *mmio)
{
    return vionet_device_config_generation(mmio->device);
}

static uint32_t read_all_ones(VionetMmio *mmio)
{
    (void)mmio;
    return UINT32_MAX; /* no shared memory of any id */
}

/* ---- queues ---- */

static void write_queue_sel(VionetMmio *mmio, uint32_t value)
{
    mmio->queue_sel = value;
}

static uint32_t read_queue_size_max(VionetMmio *mmio)
{
    return vionet_device_queue_max_size(mmio->device, mmio->queue_sel);
}

static void write_queue_size(VionetMmio *mmio, uint32_t value)
{
    vionet_device_write_queue_size(mmio->device, mmio->queue_sel, (uint16_t)MIN(value, UINT16_MAX));
}

static uint32_t read_queue_ready(VionetMmio *mmio)
{
    return vionet_device_queue_enabled(mmio->device, mmio->queue_sel);
}

static void write_queue_ready(VionetMmio *mmio, uint32_t value)
{
    if (value == 0) {
        vionet_device_disable_queue(mmio->device, mmio->queue_sel);
    } else {
        vionet_device_write_queue_enable(mmio->device, mmio->queue_sel,
                                         (uint16_t)MIN(value, UINT16_MAX));
    }
}

/* With the position of the ring in its upper half it is a hint that the device does not need. */
static void write_queue_notify(VionetMmio *mmio, uint32_t value)
{
    if (is_legacy(mmio)) {
        if (!begin(mmio)) {
            return;
        }
        vionet_device_start_legacy(mmio->device);
    }
    vionet_device_kick(mmio->device,
                       atomic_load(&mmio->notifications_long) ? value & 0xffff : value);
}

static void write_area(VionetMmio *mmio, VionetQueueArea area, unsigned half, uint32_t value)
{
    uint64_t gpa = vionet_device_queue_area(mmio->device, mmio->queue_sel, area);
    const uint64_t mask = UINT64_C(0xffffffff) << 32 * half;

    gpa = (gpa & ~mask) | (uint64_t)value << 32 * half;
    vionet_device_write_queue_area(mmio->device, mmio->queue_sel, area, gpa);
}

#define AREA_REGISTERS(name, area)                                    \
    static void write_##name##_low(VionetMmio *mmio, uint32_t value)  \
    {                                                                 \
        write_area(mmio, area, 0, value);                             \
    }                                                                 \
    static void write_##name##_high(VionetMmio *mmio, uint32_t value) \
    {                                                                 \
        write_area(mmio, area, 1, value);                             \
    }

AREA_REGISTERS(queue_desc, VIONET_AREA_DESC)
AREA_REGISTERS(queue_driver, VIONET_AREA_DRIVER)
AREA_REGISTERS(queue_device, VIONET_AREA_DEVICE)

static uint32_t read_queue_reset(VionetMmio *mmio)
{
    (void)mmio;
    return 0; /* complete when the write returns */
}

static void write_queue_reset(VionetMmio *mmio, uint32_t value)
{
    if (value == 1) {
        vionet_device_reset_queue(mmio->device, mmio->queue_sel);
    }
}

static void write_guest_page_size(VionetMmio *mmio, uint32_t value)
{
    mmio->guest_page_size = value;
}

static void write_queue_align(VionetMmio *mmio, uint32_t value)
{
    mmio->queue_align = value;
}

static uint32_t read_queue_pfn(VionetMmio *mmio)
{
    const uint64_t gpa = vionet_device_queue_area(mmio->device, mmio->queue_sel, VIONET_AREA_DESC);

    return mmio->guest_page_size ? (uint32_t)(gpa / mmio->guest_page_size) : 0;
}

static void write_queue_pfn(VionetMmio *mmio, uint32_t value)
{
    if (begin(mmio)) {
        vionet_device_write_legacy_queue(mmio->device, mmio->queue_sel,
                                         (uint64_t)value * mmio->guest_page_size,
                                         mmio->queue_align);
    }
}

/* ---- the table ---- */

/* Bits for the versions that have a register. */
#define BOTH   (1 << MMIO_VERSION_LEGACY | 1 << MMIO_VERSION_MODERN)
#define LEGACY (1 << MMIO_VERSION_LEGACY)
#define MODERN (1 << MMIO_VERSION_MODERN)

struct mmio_register {
    uint16_t offset;
    uint8_t versions;
    uint32_t (*read)(VionetMmio *mmio);              /* NULL: write-only, reads as 0 */
    void (*write)(VionetMmio *mmio, uint32_t value); /* NULL: read-only */
};

/* clang-format off */
static const struct mmio_register registers[] = {
    {VIRTIO_MMIO_MAGIC_VALUE, BOTH, read_magic, NULL},
    {VIRTIO_MMIO_VERSION, BOTH, read_version, NULL},
    {VIRTIO_MMIO_DEVICE_ID, BOTH, read_device_id, NULL},
    {VIRTIO_MMIO_VENDOR_ID, BOTH, read_vendor_id, NULL},
    {VIRTIO_MMIO_DEVICE_FEATURES, BOTH, read_device_features, NULL},
    {VIRTIO_MMIO_DEVICE_FEATURES_SEL, BOTH, NULL, write_device_features_sel},
    {VIRTIO_MMIO_DRIVER_FEATURES, BOTH, NULL, write_driver_features},
    {VIRTIO_MMIO_DRIVER_FEATURES_SEL, BOTH, NULL, write_driver_features_sel},
    {VIRTIO_MMIO_GUEST_PAGE_SIZE, LEGACY, NULL, write_guest_page_size},
    {VIRTIO_MMIO_QUEUE_SEL, BOTH, NULL, write_queue_sel},
    {VIRTIO_MMIO_QUEUE_SIZE_MAX, BOTH, read_queue_size_max, NULL},
    {VIRTIO_MMIO_QUEUE_SIZE, BOTH, NULL, write_queue_size},
    {VIRTIO_MMIO_QUEUE_ALIGN, LEGACY, NULL, write_queue_align},
    {VIRTIO_MMIO_QUEUE_PFN, LEGACY, read_queue_pfn, write_queue_pfn},
    {VIRTIO_MMIO_QUEUE_READY, MODERN, read_queue_ready, write_queue_ready},
    {VIRTIO_MMIO_QUEUE_NOTIFY, BOTH, NULL, write_queue_notify},
    {VIRTIO_MMIO_INTERRUPT_STATUS, BOTH, read_interrupt_status, NULL},
    {VIRTIO_MMIO_INTERRUPT_ACK, BOTH, NULL, write_interrupt_ack},
    {VIRTIO_MMIO_STATUS, BOTH, read_status, write_status},
    {VIRTIO_MMIO_QUEUE_DESC_LOW, MODERN, NULL, write_queue_desc_low},
    {VIRTIO_MMIO_QUEUE_DESC_HIGH, MODERN, NULL, write_queue_desc_high},
    {VIRTIO_MMIO_QUEUE_DRIVER_LOW, MODERN, NULL, write_queue_driver_low},
    {VIRTIO_MMIO_QUEUE_DRIVER_HIGH, MODERN, NULL, write_queue_driver_high},
    {VIRTIO_MMIO_QUEUE_DEVICE_LOW, MODERN, NULL, write_queue_device_low},
    {VIRTIO_MMIO_QUEUE_DEVICE_HIGH, MODERN, NULL, write_queue_device_high},
    {VIRTIO_MMIO_SHM_LEN_LOW, MODERN, read_all_ones, NULL},
    {VIRTIO_MMIO_SHM_LEN_HIGH, MODERN, read_all_ones, NULL},
    {VIRTIO_MMIO_SHM_BASE_LOW, MODERN, read_all_ones, NULL},
    {VIRTIO_MMIO_SHM_BASE_HIGH, MODERN, read_all_ones, NULL},
    {VIRTIO_MMIO_QUEUE_RESET, MODERN, read_queue_reset, write_queue_reset},
    {VIRTIO_MMIO_CONFIG_GENERATION, MODERN, read_config_generation, NULL},
};
/* clang-format on */

/* The register that an access is of, NULL if none. */
static const struct mmio_register *find_register(const VionetMmio *mmio, uint64_t offset,
                                                 unsigned size)
{
    for (size_t i = 0; size == 4 && i < G_N_ELEMENTS(registers); i++) {
        if (registers[i].offset == offset && (registers[i].versions >> mmio->config.version & 1)) {
            return &registers[i];
        }
    }
    return NULL;
}

static bool access_valid(uint64_t offset, unsigned size)
{
    return (size == 1 || size == 2 || size == 4 || size == 8) && offset <= VIONET_MMIO_SIZE - size;
}

uint64_t vionet_mmio_read(VionetMmio *mmio, uint64_t offset, unsigned size)
{
    const struct mmio_register *reg;
    uint8_t octets[8] = {0};

    if (!access_valid(offset, size)) {
        return 0;
    }
    if (offset < VIRTIO_MMIO_CONFIG) {
        reg = find_register(mmio, offset, size);
        return reg && reg->read ? reg->read(mmio) : 0;
    }
    if (!begin(mmio)) {
        return 0;
    }
    vionet_device_config_read(mmio->device, (uint32_t)offset - VIRTIO_MMIO_CONFIG, octets, size);
    return get_le64(octets);
}

void vionet_mmio_write(VionetMmio *mmio, uint64_t offset, unsigned size, uint64_t value)
{
    const struct mmio_register *reg;
    uint8_t octets[8];

    if (!access_valid(offset, size)) {
        return;
    }
    if (offset < VIRTIO_MMIO_CONFIG) {
        reg = find_register(mmio, offset, size);
        if (reg && reg->write) {
            reg->write(mmio, (uint32_t)value);
        }
        return;
    }
    if (begin(mmio)) {
        put_le64(octets, value);
        vionet_device_config_write(mmio->device, (uint32_t)offset - VIRTIO_MMIO_CONFIG, octets,
                                   size);
    }
}

/* ---- life ---- */

static bool refuse(GError **error, const char *message)
{
    g_set_error_literal(error, VIONET_ERROR, VIONET_ERROR_CONFIG, message);
    return false;
}

static bool complete_config(const VionetDevice *device, const VionetMmioConfig *config,
                            VionetMmioConfig *full, GError **error)
{
    if (config->size < sizeof(config->size) || config->size > sizeof(*full)) {
        return refuse(error, "size of the MMIO configuration is not one that this version knows");
    }
    vionet_mmio_config_init(full);
    memcpy(full, config, config->size);
    if (full->version != MMIO_VERSION_LEGACY && full->version != MMIO_VERSION_MODERN) {
        return refuse(error, "version of the MMIO interface must be 1 or 2");
    }
    if (full->legacy_big_endian && full->version != MMIO_VERSION_LEGACY) {
        return refuse(error, "only the legacy MMIO interface, version 1, can be big-endian");
    }
    if (vionet_features_test(vionet_device_config(device)->features, VIRTIO_F_NOTIF_CONFIG_DATA)) {
        return refuse(error, "VIRTIO_F_NOTIF_CONFIG_DATA (notif_config_data) does not exist over "
                             "MMIO");
    }
    return true;
}

VionetMmio *vionet_mmio_new(VionetDevice *device, const VionetMmioConfig *config,
                            const VionetMmioOps *ops, void *opaque, GError **error)
{
    VionetMmioConfig full;
    VionetMmio *mmio;

    if (!complete_config(device, config, &full, error)) {
        return NULL;
    }
    mmio = g_new0(VionetMmio, 1);
    mmio->device = device;
    mmio->config = full;
    memcpy(&mmio->ops, ops, MIN(ops->size, sizeof(mmio->ops)));
    mmio->opaque = opaque;
    vionet_device_set_interrupt(device, mmio_interrupt, mmio);
    vionet_device_set_dma(device, true);
    mmio_state_attach(mmio);
    return mmio;
}

void vionet_mmio_free(VionetMmio *mmio)
{
    if (!mmio) {
        return;
    }
    vionet_device_set_dma(mmio->device, false);
    vionet_device_set_interrupt(mmio->device, NULL, NULL);
    mmio_state_detach(mmio);
    g_free(mmio);
}

void vionet_mmio_reset(VionetMmio *mmio)
{
    mmio->guest_page_size = 0;
    mmio->queue_align = 0;
    vionet_device_write_status(mmio->device, 0);
    reset_registers(mmio);
}
