/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The PCI function (VIRTIO 1.4, 4.1): configuration space with its capabilities, BARs, interrupts.
 * Called by the emulator that the function is plugged into.
 *
 *     BAR 0   I/O: the legacy header and configuration, if the function is transitional
 *     BAR 1   MSI-X table, then pending bits at the next page
 *     BAR 4   common configuration, ISR status, device configuration, notifications: a page each
 */
#include "transport/pci.h"

#include <string.h>

#include "bytes.h"
#include "transport/pci_state.h"

#define PAGE 4096u

#define DEFAULT_SUBSYSTEM 0x1100

#define BAR_LEGACY 0
#define BAR_MSIX   1
#define BAR_VIRTIO 4

#define OFFSET_COMMON 0u
#define OFFSET_ISR    PAGE
#define OFFSET_DEVICE (2 * PAGE)
#define OFFSET_NOTIFY (3 * PAGE)

/* Type 0 configuration header (PCI Local Bus 3.0, 6.1). */
#define PCI_VENDOR           0x00
#define PCI_DEVICE           0x02
#define PCI_COMMAND          0x04
#define PCI_STATUS           0x06
#define PCI_REVISION         0x08
#define PCI_CLASS            0x0a
#define PCI_BAR(n)           (0x10 + 4 * (n))
#define PCI_SUBSYSTEM_VENDOR 0x2c
#define PCI_SUBSYSTEM        0x2e
#define PCI_CAPABILITIES     0x34
#define PCI_INTERRUPT_LINE   0x3c
#define PCI_INTERRUPT_PIN    0x3d
#define PCI_FIRST_CAP        0x40

#define COMMAND_IO           0x0001u
#define COMMAND_MEMORY       0x0002u
#define COMMAND_MASTER       0x0004u
#define COMMAND_INTX_DISABLE 0x0400u
#define STATUS_INTERRUPT     0x08u
#define STATUS_CAPABILITIES  0x10u
#define BAR_IO               0x01u
#define BAR_64_PREFETCHABLE  0x0cu

#define CAP_ID_VENDOR        0x09
#define CAP_ID_MSIX          0x11
#define MSIX_CONTROL_MASKED  0x4000u
#define MSIX_CONTROL_ENABLED 0x8000u

/* A power of two in which the legacy header and the configuration fit. */
#define LEGACY_SIZE 64u

/* The largest notification area: 513 queues at 64 KiB fit. */
#define MAX_MULTIPLIER 65536u

void vionet_pci_config_init(VionetPciConfig *config)
{
    memset(config, 0, sizeof(*config));
    *config = (VionetPciConfig){
        .size = sizeof(*config),
        .n_vectors = VIONET_PCI_VECTORS_AUTO,
        .notify_multiplier = 4, /* suits every form of notification and reading of 4.1.4.4.1 */
        .subsystem_vendor = VIRTIO_PCI_VENDOR_ID,
        .subsystem_device = DEFAULT_SUBSYSTEM,
    };
}

/* ---- interrupts ---- */

bool pci_msix_on(VionetPci *pci)
{
    return atomic_load(&pci->msix.enabled); /* never without the capability */
}

static bool intx_level(VionetPci *pci)
{
    return atomic_load(&pci->isr) && !pci_msix_on(pci) && !atomic_load(&pci->intx_disabled);
}

/*
 * Tells the host the pin's level, again if it changed while it was told: threads that raise and the
 * one that reads the ISR need no lock, the last to come says the truth.
 */
static void update_intx(VionetPci *pci)
{
    bool level;

    if (!pci->ops.intx) {
        return;
    }
    do {
        level = intx_level(pci);
        pci->ops.intx(pci->opaque, level);
    } while (level != intx_level(pci));
}

/* The device's interrupt operation (4.1.5.3, 4.1.5.4). */
static void pci_interrupt(void *opaque, unsigned queue)
{
    VionetPci *pci = opaque;
    const bool config_change = queue == VIONET_CONFIG_CHANGE;

    if (config_change) {
        atomic_fetch_or(&pci->isr, VIRTIO_PCI_ISR_CONFIG);
    }
    if (pci_msix_on(pci)) {
        msix_raise(&pci->msix, config_change ? atomic_load(&pci->config_vector)
                                             : atomic_load(&pci->queue_vectors[queue]));
        return;
    }
    if (!config_change) {
        atomic_fetch_or(&pci->isr, VIRTIO_PCI_ISR_QUEUE);
    }
    update_intx(pci);
}

uint8_t pci_take_isr(VionetPci *pci)
{
    uint8_t isr = atomic_exchange(&pci->isr, 0);

    if (isr) {
        update_intx(pci);
    }
    return isr;
}

/* ---- BARs ---- */

static uint64_t device_read(VionetPci *pci, uint32_t offset, unsigned size)
{
    uint8_t octets[8] = {0};

    vionet_device_config_read(pci->device, offset, octets, size);
    return get_le64(octets);
}

static void device_write(VionetPci *pci, uint32_t offset, unsigned size, uint64_t value)
{
    uint8_t octets[8];

    put_le64(octets, value);
    vionet_device_config_write(pci->device, offset, octets, size);
}

static uint64_t virtio_read(VionetPci *pci, uint32_t offset, unsigned size)
{
    switch (offset / PAGE) {
    case OFFSET_COMMON / PAGE:
        return pci_common_read(pci, offset, size);
    case OFFSET_ISR / PAGE:
        return offset == OFFSET_ISR ? pci_take_isr(pci) : 0;
    case OFFSET_DEVICE / PAGE:
        return device_read(pci, offset - OFFSET_DEVICE, size);
    default:
        return 0; /* nothing is read from the notification area */
    }
}

static void virtio_write(VionetPci *pci, uint32_t offset, unsigned size, uint64_t value)
{
    switch (offset / PAGE) {
    case OFFSET_COMMON / PAGE:
        pci_common_write(pci, offset, size, value);
        break;
    case OFFSET_ISR / PAGE:
        break; /* read-only */
    case OFFSET_DEVICE / PAGE:
        device_write(pci, offset - OFFSET_DEVICE, size, value);
        break;
    default:
        if (offset - OFFSET_NOTIFY < pci->notify_len) {
            pci_notify_write(pci, offset - OFFSET_NOTIFY, size, value);
        }
        break;
    }
}

static uint32_t pba_offset(const VionetPci *pci)
{
    return (msix_table_size(&pci->msix) + PAGE - 1) / PAGE * PAGE;
}

static uint32_t msix_read32(VionetPci *pci, uint32_t offset)
{
    return offset >= pba_offset(pci) ? msix_pba_read(&pci->msix, offset - pba_offset(pci))
                                     : msix_table_read(&pci->msix, offset);
}

/* Accesses to MSI-X structures are of 4 or 8 octets, aligned (PCI Local Bus 3.0, 6.8.2). */
static uint64_t msix_read(VionetPci *pci, uint32_t offset, unsigned size)
{
    uint64_t value;

    if (size < 4 || offset % size) {
        return 0;
    }
    value = msix_read32(pci, offset);
    return size == 8 ? value | (uint64_t)msix_read32(pci, offset + 4) << 32 : value;
}

static void msix_write(VionetPci *pci, uint32_t offset, unsigned size, uint64_t value)
{
    if (size < 4 || offset % size || offset >= pba_offset(pci)) {
        return;
    }
    msix_table_write(&pci->msix, offset, (uint32_t)value);
    if (size == 8) {
        msix_table_write(&pci->msix, offset + 4, (uint32_t)(value >> 32));
    }
}

/* An access lies inside the BAR and has a width that a bus knows. */
static bool access_valid(const VionetPci *pci, unsigned bar, uint64_t offset, unsigned size)
{
    return bar < VIONET_PCI_N_BARS && (size == 1 || size == 2 || size == 4 || size == 8) &&
           size <= pci->bar_size[bar] && offset <= pci->bar_size[bar] - size;
}

uint64_t vionet_pci_bar_read(VionetPci *pci, unsigned bar, uint64_t offset, unsigned size)
{
    if (!access_valid(pci, bar, offset, size)) {
        return 0;
    }
    switch (bar) {
    case BAR_LEGACY:
        return pci_legacy_read(pci, (uint32_t)offset, size);
    case BAR_MSIX:
        return msix_read(pci, (uint32_t)offset, size);
    default:
        return virtio_read(pci, (uint32_t)offset, size);
    }
}

void vionet_pci_bar_write(VionetPci *pci, unsigned bar, uint64_t offset, unsigned size,
                          uint64_t value)
{
    if (!access_valid(pci, bar, offset, size)) {
        return;
    }
    switch (bar) {
    case BAR_LEGACY:
        pci_legacy_write(pci, (uint32_t)offset, size, value);
        break;
    case BAR_MSIX:
        msix_write(pci, (uint32_t)offset, size, value);
        break;
    default:
        virtio_write(pci, (uint32_t)offset, size, value);
        break;
    }
}

uint64_t vionet_pci_bar_size(const VionetPci *pci, unsigned bar)
{
    return bar < VIONET_PCI_N_BARS ? pci->bar_size[bar] : 0;
}

bool vionet_pci_notify_address(const VionetPci *pci, unsigned queue, unsigned *bar,
                               uint64_t *offset)
{
    if (queue >= vionet_device_num_queues(pci->device) || pci->config.notify_multiplier == 0 ||
        pci->config.no_modern) {
        return false;
    }
    *bar = BAR_VIRTIO;
    *offset = OFFSET_NOTIFY + (uint64_t)queue * pci->config.notify_multiplier;
    return true;
}

/* ---- configuration space ---- */

/* The BAR access that the PCI configuration access capability describes (4.1.4.9); false if none. */
static bool cfg_access(const VionetPci *pci, uint32_t *offset, uint32_t *len)
{
    const uint8_t *cap = pci->space + pci->cfg_cap;

    *offset = get_le32(cap + offsetof(struct virtio_pci_cap, offset));
    *len = get_le32(cap + offsetof(struct virtio_pci_cap, length));
    return cap[offsetof(struct virtio_pci_cap, bar)] == BAR_VIRTIO &&
           (*len == 1 || *len == 2 || *len == 4) && *offset % *len == 0;
}

static uint8_t *cfg_data(VionetPci *pci)
{
    return pci->space + pci->cfg_cap + offsetof(struct virtio_pci_cfg_cap, pci_cfg_data);
}

/* Whether an access touches pci_cfg_data. */
static bool touches_cfg_data(const VionetPci *pci, uint32_t offset, unsigned size)
{
    const uint32_t data = pci->cfg_cap + offsetof(struct virtio_pci_cfg_cap, pci_cfg_data);

    return pci->cfg_cap && offset < data + 4 && data < offset + size;
}

static void cfg_data_read(VionetPci *pci)
{
    uint32_t offset, len;

    memset(cfg_data(pci), 0, 4);
    if (cfg_access(pci, &offset, &len)) {
        put_le32(cfg_data(pci),
                 (uint32_t)vionet_pci_bar_read(pci, BAR_VIRTIO, offset, (unsigned)len));
    }
}

static void cfg_data_written(VionetPci *pci)
{
    uint32_t offset, len;

    if (cfg_access(pci, &offset, &len)) {
        const uint32_t value = get_le32(cfg_data(pci));

        vionet_pci_bar_write(pci, BAR_VIRTIO, offset, (unsigned)len,
                             len == 4 ? value : value & ((1u << 8 * len) - 1));
    }
}

static bool config_access_valid(uint32_t offset, unsigned size)
{
    return (size == 1 || size == 2 || size == 4) && offset % size == 0 &&
           offset < VIONET_PCI_CONFIG_SIZE;
}

uint32_t vionet_pci_config_read(VionetPci *pci, uint32_t offset, unsigned size)
{
    uint32_t value = 0;

    if (!config_access_valid(offset, size)) {
        return 0xffffffff;
    }
    if (touches_cfg_data(pci, offset, size)) {
        cfg_data_read(pci);
    }
    pci->space[PCI_STATUS] = pci->space[PCI_CAPABILITIES] ? STATUS_CAPABILITIES : 0;
    if (atomic_load(&pci->isr) && !pci_msix_on(pci)) {
        pci->space[PCI_STATUS] |= STATUS_INTERRUPT;
    }
    for (unsigned i = 0; i < size; i++) {
        value |= (uint32_t)pci->space[offset + i] << 8 * i;
    }
    return value;
}

/* Bus mastering is what lets a function reach memory, for messages as well as for rings. */
static void command_written(VionetPci *pci)
{
    const uint16_t command = get_le16(pci->space + PCI_COMMAND);
    uint16_t control = 0;

    if (pci->msix_cap) {
        control = get_le16(pci->space + pci->msix_cap + 2);
        msix_set_control(&pci->msix, control & MSIX_CONTROL_ENABLED,
                         (control & MSIX_CONTROL_MASKED) || !(command & COMMAND_MASTER));
    }
    atomic_store(&pci->intx_disabled, (command & COMMAND_INTX_DISABLE) != 0);
    update_intx(pci);
    vionet_device_set_dma(pci->device, command & COMMAND_MASTER);
}

void vionet_pci_config_write(VionetPci *pci, uint32_t offset, unsigned size, uint32_t value)
{
    if (!config_access_valid(offset, size)) {
        return;
    }
    for (unsigned i = 0; i < size; i++) {
        uint8_t *octet = &pci->space[offset + i];
        const uint8_t mask = pci->writable[offset + i];

        *octet = (uint8_t)((*octet & ~mask) | (value >> 8 * i & mask));
    }
    if (touches_cfg_data(pci, offset, size)) {
        cfg_data_written(pci);
    } else if (offset / 4 == PCI_COMMAND / 4 ||
               (pci->msix_cap && offset / 4 == pci->msix_cap / 4)) {
        command_written(pci);
    }
}

/* Which form notifications have follows from what was negotiated. */
static void update_notify_form(VionetPci *pci)
{
    enum notify_form form = NOTIFY_BY_INDEX;

    if (vionet_device_negotiated(pci->device, VIRTIO_F_NOTIF_CONFIG_DATA)) {
        form = NOTIFY_BY_CONFIG;
    } else if (pci->config.notify_data_valid &&
               vionet_device_negotiated(pci->device, VIRTIO_F_NOTIFICATION_DATA)) {
        form = NOTIFY_BY_DATA;
    }
    atomic_store(&pci->notify_form, form);
}

/* ---- saving and loading ---- */

/* The status register is made when it is read. */
void pci_copy_space(const VionetPci *pci, uint8_t space[VIONET_PCI_CONFIG_SIZE])
{
    memcpy(space, pci->space, VIONET_PCI_CONFIG_SIZE);
    space[PCI_STATUS] = STATUS_CAPABILITIES;
}

bool pci_space_fits(const VionetPci *pci, const uint8_t space[VIONET_PCI_CONFIG_SIZE])
{
    uint8_t own[VIONET_PCI_CONFIG_SIZE];
    bool fits = true;

    pci_copy_space(pci, own);
    for (unsigned i = 0; i < VIONET_PCI_CONFIG_SIZE; i++) {
        fits &= !((own[i] ^ space[i]) & ~pci->writable[i]);
    }
    return fits;
}

void pci_take_space(VionetPci *pci, const uint8_t space[VIONET_PCI_CONFIG_SIZE])
{
    memcpy(pci->space, space, VIONET_PCI_CONFIG_SIZE);
    update_notify_form(pci);
    command_written(pci);
}

/* ---- building ---- */

static void set_bar(VionetPci *pci, unsigned bar, uint64_t size, uint8_t type)
{
    uint64_t mask = ~(size - 1);

    pci->bar_size[bar] = size;
    pci->space[PCI_BAR(bar)] = type;
    put_le32(pci->writable + PCI_BAR(bar), (uint32_t)mask);
    if (type & 4) {
        put_le32(pci->writable + PCI_BAR(bar + 1), (uint32_t)(mask >> 32));
    }
}

static uint64_t round_up_to_power(uint64_t size)
{
    uint64_t power = PAGE;

    while (power < size) {
        power *= 2;
    }
    return power;
}

/* Appends a capability of len octets to the list; its offset. */
static unsigned add_cap(VionetPci *pci, unsigned *at, uint8_t *link, uint8_t id, unsigned len)
{
    const unsigned offset = *at;

    pci->space[*link] = (uint8_t)offset;
    pci->space[offset] = id;
    *link = (uint8_t)(offset + 1);
    *at += (len + 3) & ~3u;
    return offset;
}

static unsigned add_virtio_cap(VionetPci *pci, unsigned *at, uint8_t *link, uint8_t type,
                               unsigned cap_len, uint32_t offset, uint32_t len)
{
    const unsigned cap = add_cap(pci, at, link, CAP_ID_VENDOR, cap_len);
    uint8_t *p = pci->space + cap;

    p[offsetof(struct virtio_pci_cap, cap_len)] = (uint8_t)cap_len;
    p[offsetof(struct virtio_pci_cap, cfg_type)] = type;
    p[offsetof(struct virtio_pci_cap, bar)] = type == VIRTIO_PCI_CAP_PCI_CFG ? 0 : BAR_VIRTIO;
    put_le32(p + offsetof(struct virtio_pci_cap, offset), offset);
    put_le32(p + offsetof(struct virtio_pci_cap, length), len);
    return cap;
}

static void add_msix_cap(VionetPci *pci, unsigned *at, uint8_t *link)
{
    const unsigned cap = add_cap(pci, at, link, CAP_ID_MSIX, 12);
    uint8_t *p = pci->space + cap;

    pci->msix_cap = cap;
    put_le16(p + 2, (uint16_t)(pci->msix.n_vectors - 1));
    put_le16(pci->writable + cap + 2, MSIX_CONTROL_ENABLED | MSIX_CONTROL_MASKED);
    put_le32(p + 4, BAR_MSIX);
    put_le32(p + 8, pba_offset(pci) | BAR_MSIX);
}

static void add_notify_cap(VionetPci *pci, unsigned *at, uint8_t *link)
{
    const bool draft = pci->config.notify_data_valid;
    const unsigned cap_len = draft ? sizeof(struct virtio_pci_notify_cap)
                                   : offsetof(struct virtio_pci_notify_cap, notify_data);
    uint8_t *p = pci->space + add_virtio_cap(pci, at, link, VIRTIO_PCI_CAP_NOTIFY_CFG, cap_len,
                                             OFFSET_NOTIFY, pci->notify_len);

    put_le32(p + offsetof(struct virtio_pci_notify_cap, notify_off_multiplier),
             pci->config.notify_multiplier);
    if (draft) {
        put_le16(p + offsetof(struct virtio_pci_notify_cap, notify_data), pci->config.notify_data);
        p[offsetof(struct virtio_pci_notify_cap, notify_data_valid)] = 1;
    }
}

static void add_cfg_cap(VionetPci *pci, unsigned *at, uint8_t *link)
{
    const unsigned cap = add_virtio_cap(pci, at, link, VIRTIO_PCI_CAP_PCI_CFG,
                                        sizeof(struct virtio_pci_cfg_cap), 0, 0);
    uint8_t *writable = pci->writable + cap;

    pci->cfg_cap = cap;
    writable[offsetof(struct virtio_pci_cap, bar)] = 0xff;
    memset(writable + offsetof(struct virtio_pci_cap, offset), 0xff, 12); /* length and data too */
}

static void build_header(VionetPci *pci)
{
    const bool legacy = pci->config.legacy;
    uint8_t *space = pci->space;

    put_le16(space + PCI_VENDOR, VIRTIO_PCI_VENDOR_ID);
    put_le16(space + PCI_DEVICE,
             legacy ? VIRTIO_PCI_DEVICE_ID_NET_TRANSITIONAL : VIRTIO_PCI_DEVICE_ID_NET);
    put_le16(pci->writable + PCI_COMMAND,
             (legacy ? COMMAND_IO : 0) | COMMAND_MEMORY | COMMAND_MASTER | COMMAND_INTX_DISABLE);
    space[PCI_REVISION] = legacy ? 0 : 1;
    put_le16(space + PCI_CLASS, 0x0200); /* Ethernet controller */
    put_le16(space + PCI_SUBSYSTEM_VENDOR, pci->config.subsystem_vendor);
    put_le16(space + PCI_SUBSYSTEM, pci->config.subsystem_device);
    space[PCI_INTERRUPT_PIN] = pci->ops.intx ? 1 : 0;
    pci->writable[PCI_INTERRUPT_LINE] = 0xff;
}

static void build_space(VionetPci *pci)
{
    unsigned at = PCI_FIRST_CAP;
    uint8_t link = PCI_CAPABILITIES;

    memset(pci->space, 0, sizeof(pci->space));
    memset(pci->writable, 0, sizeof(pci->writable));
    build_header(pci);
    if (pci->msix.n_vectors) {
        add_msix_cap(pci, &at, &link);
        set_bar(pci, BAR_MSIX, round_up_to_power(pba_offset(pci) + msix_pba_size(&pci->msix)), 0);
    }
    if (pci->config.legacy) {
        set_bar(pci, BAR_LEGACY, LEGACY_SIZE, BAR_IO);
    }
    if (pci->config.no_modern) {
        return;
    }
    add_virtio_cap(pci, &at, &link, VIRTIO_PCI_CAP_COMMON_CFG, sizeof(struct virtio_pci_cap),
                   OFFSET_COMMON, sizeof(struct virtio_pci_common_cfg));
    add_notify_cap(pci, &at, &link);
    add_virtio_cap(pci, &at, &link, VIRTIO_PCI_CAP_ISR_CFG, sizeof(struct virtio_pci_cap),
                   OFFSET_ISR, 1);
    add_virtio_cap(pci, &at, &link, VIRTIO_PCI_CAP_DEVICE_CFG, sizeof(struct virtio_pci_cap),
                   OFFSET_DEVICE, sizeof(struct virtio_net_config));
    add_cfg_cap(pci, &at, &link);
    set_bar(pci, BAR_VIRTIO, round_up_to_power(OFFSET_NOTIFY + (uint64_t)pci->notify_len),
            BAR_64_PREFETCHABLE);
}

/* ---- life ---- */

static bool refuse(GError **error, const char *message)
{
    g_set_error_literal(error, VIONET_ERROR, VIONET_ERROR_CONFIG, message);
    return false;
}

static bool offers(const VionetDevice *device, unsigned bit)
{
    return vionet_features_test(vionet_device_config(device)->features, bit);
}

static bool check_notify(const VionetDevice *device, const VionetPciConfig *config, GError **error)
{
    const uint32_t multiplier = config->notify_multiplier;
    const bool data = offers(device, VIRTIO_F_NOTIFICATION_DATA);

    if ((multiplier & (multiplier - 1)) || multiplier == 1 || multiplier > MAX_MULTIPLIER) {
        return refuse(error, "notify multiplier must be 0 or a power of two from 2 to 65536");
    }
    if (data && multiplier % 4) {
        return refuse(error, "notify multiplier must be a multiple of 4 with NOTIFICATION_DATA");
    }
    if (offers(device, VIRTIO_F_NOTIF_CONFIG_DATA) &&
        vionet_device_config(device)->notif_config_base + vionet_device_num_queues(device) >
            0x10000) {
        return refuse(error, "identifiers from notif_config_base on do not fit 16 bits");
    }
    if (!config->notify_data_valid) {
        return true;
    }
    if (!data) {
        return refuse(error, "notify_data needs VIRTIO_F_NOTIFICATION_DATA (notification_data)");
    }
    if (multiplier == 0) {
        return refuse(error, "notify_data needs a notify multiplier other than 0: it takes the "
                             "place of the queue's index, so that the address must tell the queue");
    }
    if (offers(device, VIRTIO_F_NOTIF_CONFIG_DATA)) {
        return refuse(error, "notify_data and VIRTIO_F_NOTIF_CONFIG_DATA (notif_config_data) fill "
                             "the same 16 bits: offer one of them");
    }
    return true;
}

static bool complete_config(const VionetDevice *device, const VionetPciConfig *config,
                            const VionetPciOps *ops, VionetPciConfig *full, GError **error)
{
    if (config->size < sizeof(config->size) || config->size > sizeof(*full)) {
        return refuse(error, "size of the PCI configuration is not one that this version knows");
    }
    vionet_pci_config_init(full);
    memcpy(full, config, config->size);
    if (full->n_vectors == VIONET_PCI_VECTORS_AUTO) {
        full->n_vectors = ops->msi ? (uint16_t)(vionet_device_num_queues(device) + 1) : 0;
    }
    if (full->n_vectors > VIONET_PCI_MAX_VECTORS || (full->n_vectors && !ops->msi)) {
        return refuse(error, "MSI-X vectors are 0 to 2048, and need the msi operation");
    }
    if (full->no_modern && !full->legacy) {
        return refuse(error, "a function without the modern interface must have the legacy one");
    }
    if (full->legacy && full->subsystem_device == DEFAULT_SUBSYSTEM) {
        full->subsystem_device = VIRTIO_ID_NET;
    }
    if (full->legacy ? full->subsystem_device != VIRTIO_ID_NET : full->subsystem_device < 0x40) {
        return refuse(error, "subsystem device must be 0x40 or more, but 1 with the legacy "
                             "interface");
    }
    return check_notify(device, full, error);
}

static void reset_registers(VionetPci *pci)
{
    pci->device_feature_select = 0;
    pci->driver_feature_select = 0;
    pci->queue_select = 0;
    pci->any_layout = false;
    atomic_store(&pci->notify_form, NOTIFY_BY_INDEX);
    atomic_store(&pci->config_vector, VIRTIO_MSI_NO_VECTOR);
    for (unsigned i = 0; i < vionet_device_num_queues(pci->device); i++) {
        atomic_store(&pci->queue_vectors[i], VIRTIO_MSI_NO_VECTOR);
    }
    if (atomic_exchange(&pci->isr, 0)) {
        update_intx(pci);
    }
}

void pci_status_written(VionetPci *pci)
{
    if (vionet_device_status(pci->device) == 0) {
        reset_registers(pci);
    } else {
        update_notify_form(pci);
    }
}

VionetPci *vionet_pci_new(VionetDevice *device, const VionetPciConfig *config,
                          const VionetPciOps *ops, void *opaque, GError **error)
{
    VionetPciOps all = {0};
    VionetPciConfig full;
    VionetPci *pci;
    unsigned n_queues = vionet_device_num_queues(device);

    memcpy(&all, ops, MIN(ops->size, sizeof(all)));
    if (!complete_config(device, config, &all, &full, error)) {
        return NULL;
    }
    pci = g_new0(VionetPci, 1);
    pci->device = device;
    pci->config = full;
    pci->ops = all;
    pci->opaque = opaque;
    pci->notify_len = full.notify_multiplier ? n_queues * full.notify_multiplier : 4;
    pci->queue_vectors = g_malloc0(n_queues * sizeof(*pci->queue_vectors));
    msix_init(&pci->msix, full.n_vectors, all.msi, opaque);
    reset_registers(pci);
    build_space(pci);
    vionet_device_set_dma(device, false);
    vionet_device_set_interrupt(device, pci_interrupt, pci);
    pci_state_attach(pci);
    return pci;
}

void vionet_pci_free(VionetPci *pci)
{
    if (!pci) {
        return;
    }
    vionet_device_set_dma(pci->device, false);
    vionet_device_set_interrupt(pci->device, NULL, NULL);
    pci_state_detach(pci);
    msix_free(&pci->msix);
    g_free(pci->queue_vectors);
    g_free(pci);
}

void vionet_pci_reset(VionetPci *pci)
{
    vionet_device_reset(pci->device);
    msix_reset(&pci->msix);
    build_space(pci);
    reset_registers(pci);
    atomic_store(&pci->intx_disabled, false);
    vionet_device_set_dma(pci->device, false);
}
