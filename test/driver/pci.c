/* SPDX-License-Identifier: BSD-3-Clause */
/* A virtio function as PCI shows it; see pci.h. */
#include "pci.h"

#include <stddef.h>

#include <vionet/spec.h>

/* The PCI configuration header, as far as the driver uses it. */
#define PCI_VENDOR_ID           0x00
#define PCI_DEVICE_ID           0x02
#define PCI_COMMAND             0x04
#define PCI_COMMAND_IO          0x0001
#define PCI_COMMAND_MEMORY      0x0002
#define PCI_COMMAND_MASTER      0x0004
#define PCI_STATUS              0x06
#define PCI_STATUS_CAP_LIST     0x0010
#define PCI_REVISION_ID         0x08
#define PCI_HEADER_TYPE         0x0e
#define PCI_BAR(i)              (0x10 + 4 * (i))
#define PCI_BAR_IO              0x1
#define PCI_BAR_WIDE            0x4
#define PCI_SUBSYSTEM_VENDOR_ID 0x2c
#define PCI_SUBSYSTEM_ID        0x2e
#define PCI_CAP_POINTER         0x34
#define PCI_HEADER_END          0x40
#define PCI_CAP_ID_VENDOR       0x09
#define PCI_CAP_ID_MSIX         0x11
#define PCI_MSIX_ENABLE         0x8000
#define PCI_MSIX_MASK_ALL       0x4000

/* Where the BARs are put; each kind grows from its own base. */
#define ASSIGN_IO     UINT64_C(0xc000)
#define ASSIGN_MEMORY UINT64_C(0xe0000000)
#define ASSIGN_WIDE   UINT64_C(0x8000000000)

#define MSI_ADDRESS UINT64_C(0xfee00000)

/* The least octets of each structure that a driver can do with. */
#define COMMON_LEAST offsetof(struct virtio_pci_common_cfg, queue_notif_config_data)
#define NOTIFY_LEAST 2
#define ISR_LEAST    1
#define DEVICE_LEAST 1

/* The octets asked for, whatever the other side of the access table returns above them. */
static uint64_t only(uint64_t value, unsigned size)
{
    return size < 8 ? value & ((UINT64_C(1) << 8 * size) - 1) : value;
}

static uint32_t config_read(struct pci_function *pci, uint32_t offset, unsigned size)
{
    return (uint32_t)only(pci->access->config_read(pci->access->opaque, offset, size), size);
}

static uint64_t bar_read(struct pci_function *pci, unsigned bar, uint64_t offset, unsigned size)
{
    return only(pci->access->bar_read(pci->access->opaque, bar, offset, size), size);
}

static void config_write(struct pci_function *pci, uint32_t offset, unsigned size, uint32_t value)
{
    pci->access->config_write(pci->access->opaque, offset, size, value);
}

static uint32_t bar_probe(struct pci_function *pci, unsigned i)
{
    uint32_t offset = (uint32_t)PCI_BAR(i);
    uint32_t before = config_read(pci, offset, 4);
    uint32_t mask;

    config_write(pci, offset, 4, UINT32_MAX);
    mask = config_read(pci, offset, 4);
    config_write(pci, offset, 4, before);
    return mask;
}

/* Size of what the writable bits of a BAR leave: the lowest of them, if all above are there too. */
static uint64_t size_of_mask(uint64_t mask)
{
    uint64_t size = mask & -mask;

    return mask && mask == -size ? size : 0;
}

static void size_bar(struct pci_function *pci, unsigned i)
{
    struct pci_bar *bar = &pci->bars[i];
    uint32_t low = bar_probe(pci, i);

    bar->io = low & PCI_BAR_IO;
    bar->wide = !bar->io && (low & 6) == PCI_BAR_WIDE && i + 1 < PCI_BARS;
    if (bar->io) {
        /* The upper half of an I/O BAR may be hard-wired to 0. */
        uint64_t mask = low & ~UINT64_C(3);

        bar->size =
            mask ? size_of_mask(mask | (mask >> 16 ? 0 : 0xffff0000) | (UINT64_MAX << 32)) : 0;
    } else if (bar->wide) {
        bar->size = size_of_mask((uint64_t)bar_probe(pci, i + 1) << 32 | (low & ~UINT64_C(15)));
    } else {
        bar->size = (low & ~15u) ? size_of_mask((low & ~UINT64_C(15)) | (UINT64_MAX << 32)) : 0;
    }
    if (low && bar->size == 0) {
        complaints_add(pci->complaints, "BAR %u sizes as 0x%08x, which is no power of two", i, low);
    }
}

static void assign_bar(struct pci_function *pci, unsigned i, uint64_t *next)
{
    struct pci_bar *bar = &pci->bars[i];
    uint64_t low_mask = bar->io ? 3 : 15;
    uint64_t now;

    bar->address = (*next + bar->size - 1) & -bar->size;
    *next = bar->address + bar->size;
    config_write(pci, (uint32_t)PCI_BAR(i), 4, (uint32_t)bar->address);
    now = config_read(pci, (uint32_t)PCI_BAR(i), 4) & ~low_mask;
    if (bar->wide) {
        config_write(pci, (uint32_t)PCI_BAR(i + 1), 4, (uint32_t)(bar->address >> 32));
        now |= (uint64_t)config_read(pci, (uint32_t)PCI_BAR(i + 1), 4) << 32;
    }
    if (now != bar->address) {
        complaints_add(pci->complaints, "BAR %u was given 0x%llx and reads 0x%llx", i,
                       (unsigned long long)bar->address, (unsigned long long)now);
    }
}

static void set_up_bars(struct pci_function *pci)
{
    uint64_t io = ASSIGN_IO;
    uint64_t memory = ASSIGN_MEMORY;
    uint64_t wide = ASSIGN_WIDE;

    for (unsigned i = 0; i < PCI_BARS; i += pci->bars[i].wide ? 2 : 1) {
        size_bar(pci, i);
        if (pci->bars[i].size) {
            assign_bar(pci, i, pci->bars[i].io ? &io : pci->bars[i].wide ? &wide : &memory);
        }
    }
}

static void read_cap(struct pci_function *pci, uint8_t at, struct pci_cap *cap)
{
    cap->at = at;
    cap->id = (uint8_t)config_read(pci, at, 1);
    if (cap->id != PCI_CAP_ID_VENDOR || at > 256 - sizeof(struct virtio_pci_cap)) {
        return;
    }
    cap->cap_len = (uint8_t)config_read(pci, at + 2u, 1);
    cap->cfg_type = (uint8_t)config_read(pci, at + 3u, 1);
    cap->bar = (uint8_t)config_read(pci, at + 4u, 1);
    cap->offset = config_read(pci, at + 8u, 4);
    cap->length = config_read(pci, at + 12u, 4);
}

static void walk_caps(struct pci_function *pci)
{
    uint8_t at;

    if (!(config_read(pci, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST)) {
        complaints_add(pci->complaints, "there is no capability list");
        return;
    }
    at = (uint8_t)config_read(pci, PCI_CAP_POINTER, 1) & 0xfc;
    while (at >= PCI_HEADER_END) {
        if (pci->n_caps == PCI_MAX_CAPS) {
            complaints_add(pci->complaints, "the capability list does not end");
            return;
        }
        if (config_read(pci, at, 1) == 0xff) {
            return;
        }
        read_cap(pci, at, &pci->caps[pci->n_caps++]);
        at = (uint8_t)config_read(pci, at + 1u, 1) & 0xfc;
    }
}

static bool inside_bar(const struct pci_function *pci, uint8_t bar, uint64_t offset,
                       uint64_t length)
{
    return bar < PCI_BARS && offset <= pci->bars[bar].size &&
           length <= pci->bars[bar].size - offset;
}

/* The first structure of a type in a BAR that exists, as the list puts the best one first. */
static bool find_window(struct pci_function *pci, uint8_t type, uint32_t least, uint32_t align,
                        struct pci_window *window)
{
    for (unsigned i = 0; i < pci->n_caps; i++) {
        const struct pci_cap *cap = &pci->caps[i];

        if (cap->id != PCI_CAP_ID_VENDOR || cap->cfg_type != type || cap->bar >= PCI_BARS ||
            cap->cap_len < sizeof(struct virtio_pci_cap) || pci->bars[cap->bar].size == 0) {
            continue;
        }
        if (cap->length < least || cap->offset % align ||
            !inside_bar(pci, cap->bar, cap->offset, cap->length)) {
            complaints_add(pci->complaints,
                           "capability 0x%02x: a structure of type %u cannot be at 0x%x+0x%x",
                           cap->at, type, cap->offset, cap->length);
            continue;
        }
        *window = (struct pci_window){
            .present = true,
            .at = cap->at,
            .cap_len = cap->cap_len,
            .bar = cap->bar,
            .offset = cap->offset,
            .length = cap->length,
        };
        return true;
    }
    complaints_add(pci->complaints, "no usable structure of type %u", type);
    return false;
}

static void read_notify(struct pci_function *pci)
{
    const struct pci_window *notify = &pci->notify;

    if (notify->cap_len < 20 || notify->at > 256 - 20) {
        complaints_add(pci->complaints, "the notify capability is %u octets long", notify->cap_len);
        return;
    }
    pci->notify_off_multiplier = config_read(pci, notify->at + 16u, 4);
    if (notify->cap_len >= 24 && notify->at <= 256 - 24) {
        pci->notify_data = (uint16_t)config_read(pci, notify->at + 20u, 2);
        pci->notify_data_valid = (uint8_t)config_read(pci, notify->at + 22u, 1);
    }
}

static void find_config_access(struct pci_function *pci)
{
    for (unsigned i = 0; i < pci->n_caps && !pci->config_access_at; i++) {
        const struct pci_cap *cap = &pci->caps[i];

        if (cap->id == PCI_CAP_ID_VENDOR && cap->cfg_type == VIRTIO_PCI_CAP_PCI_CFG &&
            cap->cap_len >= 20 && cap->at <= 256 - 20) {
            pci->config_access_at = cap->at;
        }
    }
    if (!pci->config_access_at) {
        complaints_add(pci->complaints, "no usable configuration access capability");
    }
}

static void find_msix(struct pci_function *pci)
{
    struct pci_msix *msix = &pci->msix;
    uint32_t table;
    uint32_t pba;

    for (unsigned i = 0; i < pci->n_caps && !msix->at; i++) {
        if (pci->caps[i].id == PCI_CAP_ID_MSIX && pci->caps[i].at <= 256 - 12) {
            msix->at = pci->caps[i].at;
        }
    }
    if (!msix->at) {
        return;
    }
    msix->vectors = (config_read(pci, msix->at + 2u, 2) & 0x7ff) + 1;
    table = config_read(pci, msix->at + 4u, 4);
    pba = config_read(pci, msix->at + 8u, 4);
    msix->table_bar = table & 7;
    msix->table_offset = table & ~7u;
    msix->pba_bar = pba & 7;
    msix->pba_offset = pba & ~7u;
    msix->present =
        inside_bar(pci, msix->table_bar, msix->table_offset, 16u * msix->vectors) &&
        inside_bar(pci, msix->pba_bar, msix->pba_offset, (msix->vectors + 63u) / 64 * 8);
    if (!msix->present) {
        complaints_add(pci->complaints, "the MSI-X table of %u vectors is in no BAR",
                       msix->vectors);
    }
}

static bool identify(struct pci_function *pci)
{
    pci->vendor_id = (uint16_t)config_read(pci, PCI_VENDOR_ID, 2);
    pci->device_id = (uint16_t)config_read(pci, PCI_DEVICE_ID, 2);
    pci->revision = (uint8_t)config_read(pci, PCI_REVISION_ID, 1);
    pci->class_code = config_read(pci, PCI_REVISION_ID, 4) >> 8;
    pci->subsystem_vendor_id = (uint16_t)config_read(pci, PCI_SUBSYSTEM_VENDOR_ID, 2);
    pci->subsystem_id = (uint16_t)config_read(pci, PCI_SUBSYSTEM_ID, 2);
    if (pci->vendor_id != VIRTIO_PCI_VENDOR_ID ||
        (pci->device_id != VIRTIO_PCI_DEVICE_ID_NET &&
         pci->device_id != VIRTIO_PCI_DEVICE_ID_NET_TRANSITIONAL)) {
        complaints_add(pci->complaints, "%04x:%04x is no virtio network device", pci->vendor_id,
                       pci->device_id);
        return false;
    }
    if ((config_read(pci, PCI_HEADER_TYPE, 1) & 0x7f) != 0) {
        complaints_add(pci->complaints, "the header type is not 0");
    }
    return true;
}

bool pci_probe(struct pci_function *pci, const struct guest_access *access,
               struct complaints *complaints)
{
    bool complete;

    *pci = (struct pci_function){.access = access, .complaints = complaints};
    if (!identify(pci)) {
        return false;
    }
    pci_enable(pci, false);
    set_up_bars(pci);
    walk_caps(pci);
    complete = find_window(pci, VIRTIO_PCI_CAP_COMMON_CFG, COMMON_LEAST, 4, &pci->common);
    complete &= find_window(pci, VIRTIO_PCI_CAP_NOTIFY_CFG, NOTIFY_LEAST, 2, &pci->notify);
    complete &= find_window(pci, VIRTIO_PCI_CAP_ISR_CFG, ISR_LEAST, 1, &pci->isr);
    complete &= find_window(pci, VIRTIO_PCI_CAP_DEVICE_CFG, DEVICE_LEAST, 4, &pci->device);
    if (!complete) {
        return false;
    }
    read_notify(pci);
    find_config_access(pci);
    find_msix(pci);
    pci_enable(pci, true);
    return true;
}

bool pci_probe_legacy(struct pci_function *pci, const struct guest_access *access,
                      struct complaints *complaints)
{
    *pci = (struct pci_function){.access = access, .complaints = complaints};
    if (!identify(pci)) {
        return false;
    }
    if (pci->device_id != VIRTIO_PCI_DEVICE_ID_NET_TRANSITIONAL || pci->revision != 0 ||
        pci->subsystem_id != VIRTIO_ID_NET) {
        complaints_add(complaints, "device %04x, revision %u, subsystem %04x is not transitional",
                       pci->device_id, pci->revision, pci->subsystem_id);
        return false;
    }
    pci_enable(pci, false);
    set_up_bars(pci);
    if (!pci->bars[0].io || pci->bars[0].size < VIRTIO_PCI_LEGACY_CONFIG(true)) {
        complaints_add(complaints, "BAR 0 is not the legacy interface's");
        return false;
    }
    pci->legacy = (struct pci_window){.present = true, .length = (uint32_t)pci->bars[0].size};
    if (config_read(pci, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST) {
        walk_caps(pci);
    }
    find_msix(pci);
    pci_enable(pci, true);
    return true;
}

void pci_enable(struct pci_function *pci, bool on)
{
    uint32_t bits = PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
    uint32_t command = config_read(pci, PCI_COMMAND, 2) & ~bits;

    config_write(pci, PCI_COMMAND, 2, on ? command | bits : command);
}

static bool allowed(struct pci_function *pci, const struct pci_window *window, uint64_t offset,
                    unsigned size)
{
    if (offset <= window->length && size <= window->length - offset) {
        return true;
    }
    complaints_add(pci->complaints, "%u octets at 0x%llx are outside of a structure of 0x%x", size,
                   (unsigned long long)offset, window->length);
    return false;
}

uint64_t pci_read(struct pci_function *pci, const struct pci_window *window, uint64_t offset,
                  unsigned size)
{
    if (!allowed(pci, window, offset, size)) {
        return 0;
    }
    return bar_read(pci, window->bar, window->offset + offset, size);
}

void pci_write(struct pci_function *pci, const struct pci_window *window, uint64_t offset,
               unsigned size, uint64_t value)
{
    if (allowed(pci, window, offset, size)) {
        pci->access->bar_write(pci->access->opaque, window->bar, window->offset + offset, size,
                               value);
    }
}

void pci_config_access_aim(struct pci_function *pci, uint8_t bar, uint32_t offset, uint32_t length)
{
    if (pci->config_access_at) {
        config_write(pci, pci->config_access_at + 4u, 1, bar);
        config_write(pci, pci->config_access_at + 8u, 4, offset);
        config_write(pci, pci->config_access_at + 12u, 4, length);
    }
}

uint32_t pci_config_access_read(struct pci_function *pci, uint8_t bar, uint32_t offset,
                                unsigned size)
{
    pci_config_access_aim(pci, bar, offset, size);
    return pci->config_access_at ? config_read(pci, pci->config_access_at + 16u, size) : 0;
}

void pci_config_access_write(struct pci_function *pci, uint8_t bar, uint32_t offset, unsigned size,
                             uint32_t value)
{
    pci_config_access_aim(pci, bar, offset, size);
    if (pci->config_access_at) {
        config_write(pci, pci->config_access_at + 16u, size, value);
    }
}

static uint64_t table_read(struct pci_function *pci, unsigned vector, unsigned field)
{
    return bar_read(pci, pci->msix.table_bar, pci->msix.table_offset + 16ull * vector + field, 4);
}

static void table_write(struct pci_function *pci, unsigned vector, unsigned field, uint32_t value)
{
    pci->access->bar_write(pci->access->opaque, pci->msix.table_bar,
                           pci->msix.table_offset + 16ull * vector + field, 4, value);
}

unsigned pci_msix_setup(struct pci_function *pci, unsigned n)
{
    if (!pci->msix.present) {
        return 0;
    }
    if (n > pci->msix.vectors) {
        n = pci->msix.vectors;
    }
    pci_msix_control(pci, true, true);
    for (unsigned i = 0; i < n; i++) {
        pci_msix_entry(pci, i, MSI_ADDRESS, i, false);
        if (table_read(pci, i, 0) != MSI_ADDRESS || table_read(pci, i, 8) != i) {
            complaints_add(pci->complaints, "entry %u of the MSI-X table does not keep its message",
                           i);
        }
    }
    pci_msix_control(pci, true, false);
    return n;
}

void pci_msix_control(struct pci_function *pci, bool enable, bool mask_all)
{
    uint32_t control;

    if (!pci->msix.present) {
        return;
    }
    control = config_read(pci, pci->msix.at + 2u, 2);
    control &= ~(uint32_t)(PCI_MSIX_ENABLE | PCI_MSIX_MASK_ALL);
    control |= (enable ? PCI_MSIX_ENABLE : 0) | (mask_all ? PCI_MSIX_MASK_ALL : 0);
    config_write(pci, pci->msix.at + 2u, 2, control);
}

bool pci_msix_entry(struct pci_function *pci, unsigned vector, uint64_t address, uint32_t data,
                    bool masked)
{
    if (!pci->msix.present || vector >= pci->msix.vectors) {
        return false;
    }
    table_write(pci, vector, 0, (uint32_t)address);
    table_write(pci, vector, 4, (uint32_t)(address >> 32));
    table_write(pci, vector, 8, data);
    table_write(pci, vector, 12, masked);
    return true;
}

void pci_msix_mask(struct pci_function *pci, unsigned vector, bool masked)
{
    if (pci->msix.present && vector < pci->msix.vectors) {
        table_write(pci, vector, 12, masked);
    }
}

bool pci_msix_pending(struct pci_function *pci, unsigned vector)
{
    uint64_t word;

    if (!pci->msix.present || vector >= pci->msix.vectors) {
        return false;
    }
    word = bar_read(pci, pci->msix.pba_bar, pci->msix.pba_offset + vector / 32 * 4ull, 4);
    return word >> vector % 32 & 1;
}
