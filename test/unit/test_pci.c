/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The PCI function (VIRTIO 1.4, 4.1): identity, capability list, BARs, the common configuration
 * structure, the configuration access capability, bus mastering, and what it refuses to be made of.
 * Offsets and widths of registers are written here by hand. Interrupts are in test_msix.c,
 * notifications in test_notify.c.
 */
#include <string.h>

#include <vionet/spec.h>
#include <vionet/transport.h>

#include "driver/bytes.h"
#include "driver/queue.h"
#include "machine/machine.h"

/* Offsets in the common configuration structure (4.1.4.3). */
enum {
    DEVICE_FEATURE_SELECT = 0,
    DEVICE_FEATURE = 4,
    DRIVER_FEATURE_SELECT = 8,
    DRIVER_FEATURE = 12,
    CONFIG_VECTOR = 16,
    NUM_QUEUES = 18,
    STATUS = 20,
    GENERATION = 21,
    QUEUE_SELECT = 22,
    QUEUE_SIZE = 24,
    QUEUE_VECTOR = 26,
    QUEUE_ENABLE = 28,
    QUEUE_NOTIFY_OFF = 30,
    QUEUE_DESC = 32,
    QUEUE_DRIVER = 40,
    QUEUE_DEVICE = 48,
    NOTIF_CONFIG_DATA = 56,
    QUEUE_RESET = 58,
    ADMIN_INDEX = 60,
    ADMIN_NUM = 62,
    COMMON_SIZE = 64,
};

static const uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5};

/* ---- machines ---- */

static struct machine *new_pairs(uint16_t pairs)
{
    struct machine_setup setup;
    struct machine *machine;

    machine_setup_init(&setup);
    setup.device.max_pairs = pairs;
    setup.net.transmit_size = 2048;
    vionet_features_set(setup.device.features, VIRTIO_NET_F_MQ, pairs > 1);
    machine = machine_new(&setup, NULL);
    if (!machine || !guest_driver_probe(machine->driver)) {
        g_error("no machine");
    }
    return machine;
}

static struct machine *boot_pairs(uint16_t pairs)
{
    struct machine *machine = new_pairs(pairs);

    if (!machine_boot(machine, features_known())) {
        g_error("the machine does not boot");
    }
    return machine;
}

static uint64_t read_common(struct machine *machine, unsigned offset, unsigned size)
{
    const struct pci_window *common = &machine->driver->pci.common;

    return vionet_pci_bar_read(machine->pci, common->bar, common->offset + offset, size);
}

static void write_common(struct machine *machine, unsigned offset, unsigned size, uint64_t value)
{
    const struct pci_window *common = &machine->driver->pci.common;

    vionet_pci_bar_write(machine->pci, common->bar, common->offset + offset, size, value);
}

static uint32_t config(struct machine *machine, uint32_t offset, unsigned size)
{
    return vionet_pci_config_read(machine->pci, offset, size);
}

/* ---- identity and capabilities ---- */

static void test_identity(void)
{
    struct machine *machine = new_pairs(1);

    g_assert_cmphex(config(machine, 0, 2), ==, 0x1af4);
    g_assert_cmphex(config(machine, 2, 2), ==, 0x1041);
    g_assert_cmpuint(config(machine, 8, 1), >=, 1);
    g_assert_cmphex(config(machine, 8, 4) >> 8, ==, 0x020000);
    g_assert_cmphex(config(machine, 0x0e, 1), ==, 0);
    g_assert_cmphex(config(machine, 0x2c, 2), ==, 0x1af4);
    g_assert_cmphex(config(machine, 0x2e, 2), >=, 0x40);
    g_assert_cmphex(config(machine, 6, 2) & 0x10, ==, 0x10);
    g_assert_cmphex(config(machine, 0x3d, 1), ==, 1);
    g_assert_cmphex(config(machine, 0x30, 4), ==, 0); /* no expansion ROM */
    machine_finish(machine);
}

static void test_subsystem(void)
{
    struct machine_setup setup;
    struct machine *machine;

    machine_setup_init(&setup);
    setup.pci.subsystem_vendor = 0x1234;
    setup.pci.subsystem_device = 0x40;
    setup.no_intx = true;
    machine = machine_new(&setup, NULL);
    g_assert_cmphex(config(machine, 0x2c, 2), ==, 0x1234);
    g_assert_cmphex(config(machine, 0x2e, 2), ==, 0x40);
    g_assert_cmphex(config(machine, 0x3d, 1), ==, 0);
    machine_free(machine);
}

/* Octets [at, at + len) belong to one capability only. */
static void claim(uint8_t *owned, unsigned at, unsigned len)
{
    g_assert_cmpuint(at, >=, 0x40);
    g_assert_cmpuint(at + len, <=, 256);
    for (unsigned i = at; i < MIN(at + len, 256); i++) {
        g_assert_cmpuint(owned[i], ==, 0);
        owned[i] = 1;
    }
}

/* A structure: in a BAR that exists, apart from the others. */
struct region {
    unsigned bar;
    uint64_t offset;
    uint64_t len;
};

static void check_region(struct machine *machine, struct region *regions, unsigned n)
{
    const struct region *one = &regions[n];

    g_assert_cmpuint(one->bar, <, 6);
    g_assert_cmpuint(one->offset + one->len, <=, vionet_pci_bar_size(machine->pci, one->bar));
    for (unsigned i = 0; i < n; i++) {
        g_assert_true(regions[i].bar != one->bar || regions[i].offset >= one->offset + one->len ||
                      one->offset >= regions[i].offset + regions[i].len);
    }
}

/* One vendor capability; which type it is. */
static unsigned check_virtio_cap(struct machine *machine, unsigned at, uint8_t *owned,
                                 struct region *regions, unsigned *n)
{
    static const unsigned lens[] = {0, 16, 20, 16, 16, 20};
    static const unsigned aligns[] = {1, 4, 2, 1, 4, 1};
    const unsigned len = config(machine, at + 2, 1), type = config(machine, at + 3, 1);

    g_assert_cmpuint(type, >=, 1);
    g_assert_cmpuint(type, <=, 5);
    g_assert_cmpuint(len, >=, lens[type % 6]);
    claim(owned, at, len);
    g_assert_cmphex(config(machine, at + 4, 4) >> 8, ==, 0); /* id and padding */
    if (type == VIRTIO_PCI_CAP_PCI_CFG) {
        return type;
    }
    regions[*n] = (struct region){config(machine, at + 4, 1), config(machine, at + 8, 4),
                                  config(machine, at + 12, 4)};
    g_assert_cmpuint(regions[*n].offset % aligns[type % 6], ==, 0);
    check_region(machine, regions, (*n)++);
    return type;
}

static void check_msix_cap(struct machine *machine, unsigned at, uint8_t *owned,
                           struct region *regions, unsigned *n)
{
    const unsigned vectors = (config(machine, at + 2, 2) & 0x7ff) + 1;
    const uint32_t table = config(machine, at + 4, 4), pba = config(machine, at + 8, 4);

    claim(owned, at, 12);
    regions[*n] = (struct region){table & 7, table & ~7u, 16 * vectors};
    check_region(machine, regions, (*n)++);
    regions[*n] = (struct region){pba & 7, pba & ~7u, (vectors + 63) / 64 * 8};
    check_region(machine, regions, (*n)++);
}

/* As Linux, EDK2 and DPDK walk it, each as strict as the strictest. */
static void check_capabilities(struct machine *machine, bool msix)
{
    unsigned at = config(machine, 0x34, 1), seen[6] = {0}, n_msix = 0, n = 0;
    struct region regions[16];
    uint8_t owned[256] = {0};

    for (unsigned steps = 0; at; steps++) {
        g_assert_cmpuint(at % 4, ==, 0);
        g_assert_cmpuint(steps, <, 16);
        if (steps >= 16) {
            return;
        }
        if (config(machine, at, 1) == 0x11) {
            check_msix_cap(machine, at, owned, regions, &n);
            n_msix++;
        } else {
            g_assert_cmphex(config(machine, at, 1), ==, 0x09);
            seen[check_virtio_cap(machine, at, owned, regions, &n) % 6]++;
        }
        at = config(machine, at + 1, 1);
    }
    for (unsigned type = 1; type <= 5; type++) {
        g_assert_cmpuint(seen[type], ==, 1);
    }
    g_assert_cmpuint(n_msix, ==, msix);
}

static void test_capabilities(void)
{
    static const struct {
        uint16_t pairs, vectors;
        uint32_t multiplier;
        bool draft;
    } rows[] = {
        {1, VIONET_PCI_VECTORS_AUTO, 4, false},
        {1, 0, 0, false},
        {1, 1, 2, false},
        {4, 2, 65536, false},
        {256, VIONET_PCI_VECTORS_AUTO, 4096, false},
        {256, 2048, 4, true},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct machine_setup setup;
        struct machine *machine;
        GError *error = NULL;

        machine_setup_init(&setup);
        setup.device.max_pairs = rows[i].pairs;
        vionet_features_set(setup.device.features, VIRTIO_NET_F_MQ, true);
        vionet_features_set(setup.device.features, VIRTIO_F_NOTIFICATION_DATA, rows[i].draft);
        setup.pci.n_vectors = rows[i].vectors;
        setup.pci.notify_multiplier = rows[i].multiplier;
        setup.pci.notify_data_valid = rows[i].draft;
        machine = machine_new(&setup, &error);
        g_assert_no_error(error);
        check_capabilities(machine, rows[i].vectors != 0);
        machine_finish(machine);
    }
}

/* The device structure is as long as all of its fields, whichever of them the features give. */
static void test_device_structure(void)
{
    for (unsigned full = 0; full < 2; full++) {
        const uint64_t version_1 = UINT64_C(1) << 32;
        struct machine_setup setup;
        struct machine *machine;

        machine_setup_init(&setup);
        if (full) {
            vionet_features_set(setup.device.features, VIRTIO_NET_F_RSS, true);
            vionet_features_set(setup.device.features, VIRTIO_NET_F_HASH_TUNNEL, true);
        } else {
            setup.device.features[0] = version_1;
            setup.device.features[1] = 0;
        }
        machine = machine_new(&setup, NULL);
        g_assert_true(machine && guest_driver_probe(machine->driver));
        g_assert_cmpuint(machine->driver->pci.device.length, ==, 28);
        for (uint32_t offset = 6; offset < 28 && !full; offset++) {
            g_assert_cmphex(config_field(&machine->driver->pci, offset, 1), ==, 0);
        }
        g_assert_cmphex(config_field(&machine->driver->pci, 24, 4), ==, full ? 0x1ff : 0);
        machine_finish(machine);
    }
}

/* ---- BARs ---- */

static void test_bar_sizes(void)
{
    struct machine *machine = new_pairs(4);
    uint64_t sizes[6] = {0};

    for (unsigned bar = 0; bar < 6; bar++) {
        const uint32_t at = 0x10 + 4 * bar;
        const uint32_t before = config(machine, at, 4);
        uint64_t mask;

        vionet_pci_config_write(machine->pci, at, 4, 0xffffffff);
        mask = config(machine, at, 4);
        vionet_pci_config_write(machine->pci, at, 4, before);
        g_assert_cmphex(config(machine, at, 4), ==, before);
        if ((mask & 7) == 4) { /* 64 bits */
            vionet_pci_config_write(machine->pci, at + 4, 4, 0xffffffff);
            mask |= (uint64_t)config(machine, at + 4, 4) << 32;
            vionet_pci_config_write(machine->pci, at + 4, 4, 0);
            sizes[bar++] = -(mask & ~UINT64_C(15));
        } else if (mask) {
            g_assert_cmphex(mask & 7, ==, 0);
            sizes[bar] = -(mask & ~UINT64_C(15)) & 0xffffffff;
        }
    }
    for (unsigned bar = 0; bar < 8; bar++) {
        const uint64_t size = bar < 6 ? sizes[bar] : 0;

        g_assert_cmphex(vionet_pci_bar_size(machine->pci, bar), ==, size);
        g_assert_cmphex(size & (size - 1), ==, 0);
        g_assert_true(size == 0 || size >= 4096);
    }
    g_assert_cmphex(sizes[0], ==, 0);
    g_assert_cmphex(sizes[1], !=, 0);
    g_assert_cmphex(sizes[4], !=, 0);
    machine_finish(machine);
}

/* All that can be read without a side effect. */
static GBytes *everything(struct machine *machine)
{
    const unsigned n = vionet_device_num_queues(machine->device);
    const uint16_t select = (uint16_t)read_common(machine, QUEUE_SELECT, 2);
    /* All at once: an array that grows costs much under MALLOC_PERTURB_. */
    GByteArray *octets = g_byte_array_sized_new((n + 2) * COMMON_SIZE + 64 * 1024);

    for (unsigned queue = 0; queue <= n; queue++) {
        write_common(machine, QUEUE_SELECT, 2, queue);
        for (unsigned i = 0; i < COMMON_SIZE; i += 4) {
            const uint32_t word = i == 20 ? (uint32_t)read_common(machine, STATUS, 1)
                                          : (uint32_t)read_common(machine, i, 4);

            g_byte_array_append(octets, (const uint8_t *)&word, 4);
        }
    }
    write_common(machine, QUEUE_SELECT, 2, select);
    for (uint32_t i = 0; i < 28; i++) {
        uint8_t octet;

        vionet_device_config_read(machine->device, i, &octet, 1);
        g_byte_array_append(octets, &octet, 1);
    }
    for (uint32_t i = 0; i < 256; i += 4) {
        const uint32_t word = config(machine, i, 4);

        g_byte_array_append(octets, (const uint8_t *)&word, 4);
    }
    return g_byte_array_free_to_bytes(octets);
}

static bool same(struct machine *machine, GBytes *then)
{
    GBytes *now = everything(machine);
    const bool equal = g_bytes_equal(now, then);

    g_bytes_unref(now);
    return equal;
}

static void test_bar_reads(void)
{
    struct machine *machine = boot_pairs(2);
    GBytes *before = everything(machine);

    for (unsigned bar = 0; bar < 8; bar++) {
        const uint64_t size = vionet_pci_bar_size(machine->pci, bar);

        for (uint64_t offset = 0; offset < MAX(size, 4096) + 16; offset++) {
            for (unsigned width = 0; width <= 16; width++) {
                const uint64_t value = vionet_pci_bar_read(machine->pci, bar, offset, width);
                const bool valid = width == 1 || width == 2 || width == 4 || width == 8;

                if (!valid || offset + width > size) {
                    g_assert_cmphex(value, ==, 0);
                } else if (width < 8) {
                    g_assert_cmphex(value >> 8 * width, ==, 0);
                }
            }
        }
        vionet_pci_bar_read(machine->pci, bar, UINT64_MAX, 1);
        vionet_pci_bar_read(machine->pci, bar, UINT64_MAX - 3, 4);
        vionet_pci_bar_read(machine->pci, bar, size - 1, 8);
        vionet_pci_bar_read(machine->pci, bar, UINT64_C(1) << 32, 4);
    }
    g_assert_true(same(machine, before));
    g_bytes_unref(before);
    machine_finish(machine);
}

/* Whether an access of a BAR touches something that a driver may write. */
static bool is_writable(const struct machine *machine, unsigned bar, uint64_t offset,
                        unsigned width)
{
    const struct pci_function *pci = &machine->driver->pci;

    if (bar == pci->msix.table_bar) {
        return offset < pci->msix.table_offset + 16u * pci->msix.vectors;
    }
    if (bar != pci->common.bar) {
        return false;
    }
    return (offset < pci->common.offset + COMMON_SIZE && offset + width > pci->common.offset) ||
           (offset < pci->notify.offset + pci->notify.length &&
            offset + width > pci->notify.offset);
}

static void test_bar_writes(void)
{
    struct machine *machine = boot_pairs(2);
    GBytes *before = everything(machine);

    for (unsigned bar = 0; bar < 8; bar++) {
        const uint64_t size = vionet_pci_bar_size(machine->pci, bar);

        for (uint64_t offset = 0; offset < MAX(size, 4096) + 16; offset++) {
            for (unsigned width = 1; width <= 8; width *= 2) {
                if (!is_writable(machine, bar, offset, width)) {
                    vionet_pci_bar_write(machine->pci, bar, offset, width, UINT64_MAX);
                    vionet_pci_bar_write(machine->pci, bar, offset, width, 0);
                }
            }
            vionet_pci_bar_write(machine->pci, bar, offset, 0, UINT64_MAX);
            vionet_pci_bar_write(machine->pci, bar, offset, 3, UINT64_MAX);
            vionet_pci_bar_write(machine->pci, bar, offset, 16, UINT64_MAX);
        }
        vionet_pci_bar_write(machine->pci, bar, UINT64_MAX, 8, 0);
        vionet_pci_bar_write(machine->pci, bar, UINT64_MAX - 7, 8, 0);
        vionet_pci_bar_write(machine->pci, bar, UINT64_C(1) << 32, 4, 0);
    }
    g_assert_true(same(machine, before));
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
    g_bytes_unref(before);
    machine_finish(machine);
}

/* And everywhere else, in every state: nothing is promised but that it goes on after a reset. */
static void test_bar_writes_anywhere(void)
{
    static const uint64_t patterns[] = {
        0, 1, 0xb, 0xf, 0x5a5a5a5a5a5a5a5a, 0x8000800080008000, UINT64_MAX};
    struct machine *machine = boot_pairs(2);

    for (unsigned p = 0; p < G_N_ELEMENTS(patterns); p++) {
        for (unsigned bar = 0; bar < 6; bar++) {
            for (uint64_t offset = 0; offset < vionet_pci_bar_size(machine->pci, bar); offset++) {
                for (unsigned width = 1; width <= 8; width *= 2) {
                    vionet_pci_bar_write(machine->pci, bar, offset, width, patterns[p]);
                }
            }
        }
        vionet_pci_reset(machine->pci);
        machine->driver->probed = false;
        g_assert_true(machine_works(machine));
    }
    machine_finish(machine);
}

/* ---- configuration space ---- */

static void test_config_accesses(void)
{
    struct machine *machine = boot_pairs(1);
    GBytes *before = everything(machine);

    for (uint32_t offset = 0; offset < 4096 + 8; offset++) {
        for (unsigned width = 0; width <= 8; width++) {
            const bool valid = (width == 1 || width == 2 || width == 4) && offset % width == 0 &&
                               offset + width <= 256;
            uint32_t value = config(machine, offset, width);

            if (!valid) {
                g_assert_cmphex(value, ==, 0xffffffff);
                vionet_pci_config_write(machine->pci, offset, width, 0);
                continue;
            }
            for (unsigned i = 0; i < width; i++) {
                g_assert_cmphex(value >> 8 * i & 0xff, ==, config(machine, offset + i, 1));
            }
            g_assert_cmphex(width < 4 ? value >> 8 * width : 0, ==, 0);
        }
    }
    g_assert_cmphex(config(machine, UINT32_MAX, 1), ==, 0xffffffff);
    g_assert_cmphex(config(machine, UINT32_MAX - 3, 4), ==, 0xffffffff);
    vionet_pci_config_write(machine->pci, UINT32_MAX - 3, 4, 0);
    g_assert_true(same(machine, before));
    g_bytes_unref(before);
    machine_finish(machine);
}

/* Bits of configuration space that a driver may change, by octet. */
static uint8_t writable_bits(const struct machine *machine, uint32_t offset)
{
    const uint32_t access = machine->driver->pci.config_access_at;
    const uint32_t msix = machine->driver->pci.msix.at;

    if (offset == 4) {
        return 0x06; /* memory, bus master */
    }
    if (offset == 5) {
        return 0x04; /* INTx disable */
    }
    if (offset == 0x3c || (offset >= 0x10 && offset < 0x28) || offset == access + 4 ||
        (offset >= access + 8 && offset < access + 20)) {
        return 0xff;
    }
    return offset == msix + 3 ? 0xc0 : 0;
}

static void test_config_writes(void)
{
    struct machine *machine = boot_pairs(1);

    for (uint32_t offset = 0; offset < 256; offset++) {
        const uint8_t before = (uint8_t)config(machine, offset, 1);
        const uint8_t fixed = (uint8_t)~writable_bits(machine, offset);

        vionet_pci_config_write(machine->pci, offset, 1, 0xff);
        g_assert_cmphex(config(machine, offset, 1) & fixed, ==, before & fixed);
        vionet_pci_config_write(machine->pci, offset, 1, 0);
        g_assert_cmphex(config(machine, offset, 1) & fixed, ==, before & fixed);
        vionet_pci_config_write(machine->pci, offset, 1, before);
        if (fixed == 0xff) {
            g_assert_cmphex(config(machine, offset, 1), ==, before);
        }
    }
    machine->driver->probed = false;
    g_assert_true(machine_works(machine));
    machine_finish(machine);
}

/* ---- configuration access capability ---- */

/* Reads of each structure through it are reads of the BAR. */
static void test_access_reads(void)
{
    struct machine *machine = boot_pairs(2);
    struct pci_function *pci = &machine->driver->pci;

    for (uint32_t offset = 0; offset < 0x4000; offset++) {
        for (unsigned len = 1; len <= 4; len *= 2) {
            if (offset % len == 0 && offset != pci->isr.offset) {
                g_assert_cmphex(pci_config_access_read(pci, pci->common.bar, offset, len), ==,
                                vionet_pci_bar_read(machine->pci, pci->common.bar, offset, len));
            }
        }
    }
    vionet_device_set_link(machine->device, false);
    g_assert_cmphex(pci_config_access_read(pci, pci->isr.bar, pci->isr.offset, 1), ==, 2);
    g_assert_cmphex(pci_config_access_read(pci, pci->isr.bar, pci->isr.offset, 1), ==, 0);
    machine_finish(machine);
}

/* Writes reach the BAR with their first octets. */
static void test_access_writes(void)
{
    struct machine *machine = boot_pairs(2);
    struct pci_function *pci = &machine->driver->pci;
    const uint64_t kicks = vionet_device_counter(machine->device, 3, VIONET_COUNTER_KICKS);

    pci_config_access_write(pci, pci->common.bar, pci->common.offset + QUEUE_SELECT, 2, 0xabcd0003);
    g_assert_cmphex(read_common(machine, QUEUE_SELECT, 2), ==, 3);
    pci_config_access_write(pci, pci->common.bar, pci->common.offset + DEVICE_FEATURE_SELECT, 4,
                            0x89abcdef);
    g_assert_cmphex(read_common(machine, DEVICE_FEATURE_SELECT, 4), ==, 0x89abcdef);
    pci_config_access_write(pci, pci->common.bar, pci->common.offset + DEVICE_FEATURE_SELECT + 1, 1,
                            0x12);
    g_assert_cmphex(read_common(machine, DEVICE_FEATURE_SELECT, 4), ==, 0x89ab12ef);
    pci_config_access_write(pci, pci->notify.bar,
                            pci->notify.offset + 3 * pci->notify_off_multiplier, 2, 3);
    g_assert_cmpuint(vionet_device_counter(machine->device, 3, VIONET_COUNTER_KICKS), ==,
                     kicks + 1);
    pci_config_access_write(pci, pci->common.bar, pci->common.offset + STATUS, 1, 0);
    g_assert_cmphex(guest_driver_status(machine->driver), ==, 0);
    machine_finish(machine);
}

static bool access_is_good(const struct machine *machine, uint32_t bar, uint32_t offset,
                           uint32_t len)
{
    return bar == machine->driver->pci.common.bar && (len == 1 || len == 2 || len == 4) &&
           offset % len == 0 && (uint64_t)offset + len <= vionet_pci_bar_size(machine->pci, bar);
}

static void test_access_nonsense(void)
{
    static const uint32_t bars[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 0x7f, 0x80, 0xff};
    static const uint32_t lens[] = {0, 1, 2, 3, 4, 5, 8, 16, 0x80000000, 0xffffffff};
    static const uint32_t offsets[] = {0,          1,          2,         3,      4,
                                       0x14,       0x1000,     0x2000,    0x3000, 0x7ffffffe,
                                       0x80000000, 0xfffffffc, 0xffffffff};
    struct machine *machine = boot_pairs(1);
    struct pci_function *pci = &machine->driver->pci;

    for (unsigned b = 0; b < G_N_ELEMENTS(bars); b++) {
        for (unsigned l = 0; l < G_N_ELEMENTS(lens); l++) {
            for (unsigned o = 0; o < G_N_ELEMENTS(offsets); o++) {
                GBytes *before;

                if (access_is_good(machine, bars[b], offsets[o], lens[l])) {
                    continue;
                }
                pci_config_access_aim(pci, (uint8_t)bars[b], offsets[o], lens[l]);
                for (unsigned width = 1; width <= 4; width *= 2) {
                    g_assert_cmphex(config(machine, pci->config_access_at + 16u, width), ==, 0);
                }
                before = everything(machine);
                for (unsigned width = 1; width <= 4; width *= 2) {
                    vionet_pci_config_write(machine->pci, pci->config_access_at + 16u, width,
                                            0xffffffff);
                    vionet_pci_config_write(machine->pci, pci->config_access_at + 16u, width, 0);
                }
                g_assert_true(same(machine, before));
                g_bytes_unref(before);
            }
        }
    }
    g_assert_cmphex(guest_driver_status(machine->driver), ==, 0xf);
    machine_finish(machine);
}

/* The window in configuration space: aimed by hand, then read or written at any width. */
static void aim(struct machine *machine, unsigned bar, uint32_t offset, uint32_t len)
{
    const uint32_t cap = machine->driver->pci.config_access_at;

    vionet_pci_config_write(machine->pci, cap + 4, 1, bar);
    vionet_pci_config_write(machine->pci, cap + 8, 4, offset);
    vionet_pci_config_write(machine->pci, cap + 12, 4, len);
}

static uint32_t window_read(struct machine *machine, unsigned size)
{
    return config(machine, machine->driver->pci.config_access_at + 16u, size);
}

static void window_write(struct machine *machine, unsigned size, uint32_t value)
{
    vionet_pci_config_write(machine->pci, machine->driver->pci.config_access_at + 16u, size, value);
}

/* Octets that are known, at each length of the access and each width of the read. */
static void test_access_read_widths(void)
{
    static const uint8_t mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
    struct machine *machine = boot_pairs(2);
    const struct pci_window *device = &machine->driver->pci.device;
    const unsigned bar = device->bar;

    for (unsigned len = 1; len <= 4; len *= 2) {
        for (unsigned at = 0; at + len <= 6; at += len) {
            uint32_t expected = 0;

            for (unsigned i = 0; i < len; i++) {
                expected |= (uint32_t)mac[at + i] << 8 * i;
            }
            for (unsigned width = 1; width <= 4; width *= 2) {
                const uint32_t mask = width == 4 ? 0xffffffff : (1u << 8 * width) - 1;

                aim(machine, bar, device->offset + at, len);
                g_assert_cmphex(window_read(machine, width), ==, expected & mask);
            }
        }
    }
    /* A part of pci_cfg_data is a part of what was read, not a read of its own place. */
    aim(machine, bar, device->offset, 4);
    for (unsigned i = 0; i < 4; i++) {
        g_assert_cmphex(config(machine, machine->driver->pci.config_access_at + 16u + i, 1), ==,
                        mac[i]);
    }
    machine_finish(machine);
}

/* As many octets as the length says reach the register, and no more. */
static void test_access_write_widths(void)
{
    static const struct {
        uint32_t len, value, expected;
        unsigned at;
    } rows[] = {
        {1, 0xa1b2c3d4, 0x111111d4, 0}, {1, 0xa1b2c3d4, 0x1111d411, 1},
        {1, 0xa1b2c3d4, 0x11d41111, 2}, {1, 0xa1b2c3d4, 0xd4111111, 3},
        {2, 0xa1b2c3d4, 0x1111c3d4, 0}, {2, 0xa1b2c3d4, 0xc3d41111, 2},
        {4, 0xa1b2c3d4, 0xa1b2c3d4, 0},
    };
    struct machine *machine = boot_pairs(2);
    const struct pci_window *common = &machine->driver->pci.common;

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        for (unsigned width = rows[i].len; width <= 4; width *= 2) {
            write_common(machine, DRIVER_FEATURE_SELECT, 4, 0x22222222);
            write_common(machine, DEVICE_FEATURE_SELECT, 4, 0x11111111);
            aim(machine, common->bar, common->offset + DEVICE_FEATURE_SELECT + rows[i].at,
                rows[i].len);
            window_write(machine, width, rows[i].value);
            g_assert_cmphex(read_common(machine, DEVICE_FEATURE_SELECT, 4), ==, rows[i].expected);
            g_assert_cmphex(read_common(machine, DRIVER_FEATURE_SELECT, 4), ==, 0x22222222);
        }
    }
    machine_finish(machine);
}

/* One that does nothing: reads 0, and a write changes no register. */
static void check_no_access(struct machine *machine, unsigned bar, uint32_t offset, uint32_t len)
{
    const uint64_t kicks = vionet_device_counter(machine->device, 0, VIONET_COUNTER_KICKS);
    const uint64_t host_kicks = machine->kicks;
    GBytes *before;

    aim(machine, bar, offset, len);
    for (unsigned width = 1; width <= 4; width *= 2) {
        g_assert_cmphex(window_read(machine, width), ==, 0);
    }
    before = everything(machine);
    for (unsigned width = 1; width <= 4; width *= 2) {
        window_write(machine, width, 0xffffffff);
        window_write(machine, width, 0);
    }
    g_assert_true(same(machine, before));
    g_assert_cmpuint(vionet_device_counter(machine->device, 0, VIONET_COUNTER_KICKS), ==, kicks);
    g_assert_cmpuint(machine->kicks, ==, host_kicks);
    g_bytes_unref(before);
}

/* C-01: BARs that are none, halves of others, or hold nothing for drivers that come this way. */
static void test_access_bars(void)
{
    struct machine *machine = boot_pairs(2);
    const struct pci_function *pci = &machine->driver->pci;

    for (unsigned bar = 0; bar < 256; bar++) {
        if (bar != pci->common.bar) {
            check_no_access(machine, bar, pci->common.offset + DEVICE_FEATURE_SELECT, 4);
            check_no_access(machine, bar, pci->common.offset + STATUS, 1);
            check_no_access(machine, bar, pci->notify.offset, 2);
        }
    }
    g_assert_cmphex(guest_driver_status(machine->driver), ==, 0xf);
    machine_finish(machine);
}

/* C-01: accesses that begin in the BAR and end past it, begin at its end, or wrap around. */
static void test_access_ends(void)
{
    struct machine *machine = boot_pairs(2);
    const unsigned bar = machine->driver->pci.common.bar;
    const uint32_t size = (uint32_t)vionet_pci_bar_size(machine->pci, bar);

    g_assert_cmpuint(size, >=, 4096);
    for (uint32_t len = 1; len <= 4; len *= 2) {
        /* The last one that fits; nothing stands there, which is no error. */
        check_no_access(machine, bar, size - len, len);
        for (uint32_t past = 0; past < 16; past++) {
            check_no_access(machine, bar, size + past, len);
            check_no_access(machine, bar, UINT32_MAX - past, len);
            check_no_access(machine, bar, INT32_MAX - past, len);
        }
        /* As large a multiple of the BAR's size as there is: an offset must not be cut down. */
        check_no_access(machine, bar, UINT32_MAX / size * size + DEVICE_FEATURE_SELECT, len);
    }
    check_no_access(machine, bar, size - 2, 4);
    check_no_access(machine, bar, size - 1, 2);
    machine_finish(machine);
}

/* C-01: lengths that are no access, where an honest one would have an effect. */
static void test_access_lengths(void)
{
    static const uint32_t lens[] = {
        0,  3,          5,          6,          7,          8,          12,         16,
        32, 0x00000100, 0x00000104, 0x01000000, 0x04000000, 0x80000000, 0x80000004, 0xffffffff};
    struct machine *machine = boot_pairs(2);
    const struct pci_function *pci = &machine->driver->pci;

    for (unsigned i = 0; i < G_N_ELEMENTS(lens); i++) {
        check_no_access(machine, pci->common.bar, pci->common.offset + DEVICE_FEATURE_SELECT,
                        lens[i]);
        check_no_access(machine, pci->common.bar, pci->common.offset + QUEUE_DESC, lens[i]);
        check_no_access(machine, pci->notify.bar, pci->notify.offset, lens[i]);
        check_no_access(machine, pci->device.bar, pci->device.offset, lens[i]);
    }
    machine_finish(machine);
}

/* C-01: offsets that are no multiple of the length. */
static void test_access_unaligned(void)
{
    struct machine *machine = boot_pairs(2);
    const struct pci_function *pci = &machine->driver->pci;

    for (uint32_t at = 0; at < 32; at++) {
        for (uint32_t len = 2; len <= 4; len *= 2) {
            if (at % len) {
                check_no_access(machine, pci->common.bar, pci->common.offset + at, len);
                check_no_access(machine, pci->device.bar, pci->device.offset + at, len);
                check_no_access(machine, pci->notify.bar, pci->notify.offset + at, len);
            }
        }
    }
    machine_finish(machine);
}

/* A notification this way is a notification: frames are announced, a command is executed. */
static void test_access_notifies(void)
{
    struct machine *machine = boot_pairs(2);
    const struct pci_window *notify = &machine->driver->pci.notify;
    const uint32_t multiplier = machine->driver->pci.notify_off_multiplier;
    struct virtq *vq = guest_queue_ring(machine->driver, 4);
    const uint8_t command[3] = {0, 0, 1};
    const uint64_t gpa = guest_alloc(machine->memory, 64, 64);
    const struct virtq_segment segments[2] = {{gpa, 3, false}, {gpa + 32, 1, true}};

    for (unsigned queue = 0; queue < 4; queue++) {
        for (unsigned len = 2; len <= 4; len *= 2) {
            const uint64_t before = machine->kicks;

            aim(machine, notify->bar, notify->offset + queue * multiplier, len);
            g_assert_cmphex(window_read(machine, 4), ==, 0); /* a read is none */
            g_assert_cmpuint(machine->kicks, ==, before);
            window_write(machine, 4, queue);
            g_assert_cmpuint(machine->kicks, ==, before + 1);
            g_assert_cmpuint(machine->last_kick, ==, queue);
        }
    }
    guest_write(machine->memory, gpa, command, 3);
    guest_fill(machine->memory, gpa + 32, 1, 0xff);
    g_assert_true(virtq_add(vq, segments, 2, machine));
    virtq_publish(vq);
    g_assert_cmpuint(guest_differs(machine->memory, gpa + 32, 1, 0xff), ==, 1);
    aim(machine, notify->bar, notify->offset + 4 * multiplier, 2);
    window_write(machine, 2, 4);
    g_assert_cmpuint(guest_differs(machine->memory, gpa + 32, 1, VIRTIO_NET_OK), ==, 1);
    machine_finish(machine);
}

/* Reading ISR status this way clears it and lowers the pin; aiming, writing and looking about do not. */
static void test_access_reads_isr(void)
{
    struct machine_setup setup;
    struct machine *machine;
    const struct pci_window *isr;

    machine_setup_init(&setup);
    setup.driver.intx = true;
    machine = machine_new(&setup, NULL);
    g_assert_true(machine_boot(machine, features_known()));
    isr = &machine->driver->pci.isr;
    guest_driver_isr(machine->driver);
    for (unsigned width = 1; width <= 4; width *= 2) {
        g_assert_true(vionet_device_announce(machine->device));
        g_assert_true(guest_driver_intx_level(machine->driver));
        aim(machine, isr->bar, isr->offset, 1);
        window_write(machine, 4, 0);
        for (uint32_t at = 0; at < machine->driver->pci.config_access_at + 16u; at += 4) {
            config(machine, at, 4);
        }
        g_assert_true(guest_driver_intx_level(machine->driver));
        g_assert_cmphex(window_read(machine, width), ==, VIRTIO_PCI_ISR_CONFIG);
        g_assert_false(guest_driver_intx_level(machine->driver));
        g_assert_cmphex(window_read(machine, width), ==, 0);
        g_assert_cmphex(guest_driver_isr(machine->driver), ==, 0);
        g_assert_true(net_transmit(machine->net, 0, NULL, frame, sizeof(frame)));
        virtq_enable_interrupts(guest_queue_ring(machine->driver, 1), 1);
        g_assert_cmpuint(machine_drain(machine, 0), ==, 1);
        g_assert_true(guest_driver_intx_level(machine->driver));
        g_assert_cmphex(window_read(machine, width), ==, VIRTIO_PCI_ISR_QUEUE);
        g_assert_false(guest_driver_intx_level(machine->driver));
        g_assert_cmpuint(net_reclaim(machine->net, 0), ==, 1);
    }
    machine_finish(machine);
}

/* The window is for the virtio structures (4.1.4.9.2): table and pending bits are not to be had. */
static void test_access_msix(void)
{
    struct machine *machine = boot_pairs(1);
    const struct pci_function *pci = &machine->driver->pci;
    const unsigned bar = pci->msix.table_bar;
    uint8_t before[16 * 4];

    pci_msix_mask(&machine->driver->pci, 0, true);
    vionet_device_set_link(machine->device, false);
    g_assert_true(pci_msix_pending(&machine->driver->pci, 0));
    for (unsigned i = 0; i < sizeof(before); i++) {
        before[i] = (uint8_t)(vionet_pci_bar_read(machine->pci, bar, i & ~3u, 4) >> i % 4 * 8);
    }
    for (uint32_t at = 0; at < sizeof(before); at++) {
        for (uint32_t len = 1; len <= 4; len *= 2) {
            check_no_access(machine, bar, pci->msix.table_offset + at, len);
            check_no_access(machine, pci->msix.pba_bar, pci->msix.pba_offset + at, len);
        }
    }
    for (unsigned i = 0; i < sizeof(before); i++) {
        g_assert_cmphex((vionet_pci_bar_read(machine->pci, bar, i & ~3u, 4) >> i % 4 * 8) & 0xff,
                        ==, before[i]);
    }
    g_assert_cmpuint(guest_driver_interrupts(machine->driver, 0), ==, 0);
    g_assert_true(pci_msix_pending(&machine->driver->pci, 0));
    machine_finish(machine);
}

/* ---- the common configuration structure ---- */

/* Every access is made of the same octets. */
static void test_common_widths(void)
{
    struct machine *machine = boot_pairs(2);
    uint8_t octets[COMMON_SIZE + 8] = {0};

    for (unsigned queue = 0; queue < 6; queue++) {
        write_common(machine, QUEUE_SELECT, 2, queue);
        write_common(machine, DEVICE_FEATURE_SELECT, 4, queue % 3);
        for (unsigned i = 0; i < COMMON_SIZE; i++) {
            octets[i] = (uint8_t)read_common(machine, i, 1);
        }
        for (unsigned i = 0; i < COMMON_SIZE; i++) {
            g_assert_cmphex(read_common(machine, i, 2), ==, bytes_get16(octets + i));
            g_assert_cmphex(read_common(machine, i, 4), ==, bytes_get32(octets + i));
            g_assert_cmphex(read_common(machine, i, 8), ==, bytes_get64(octets + i));
        }
    }
    machine_finish(machine);
}

/* Writes by halves and octets in any order put the register together. */
static void test_common_parts(void)
{
    static const unsigned wide[] = {QUEUE_DESC, QUEUE_DRIVER, QUEUE_DEVICE};
    static const unsigned narrow[] = {DEVICE_FEATURE_SELECT, DRIVER_FEATURE_SELECT, DRIVER_FEATURE};
    const uint64_t value = UINT64_C(0x8877665544332211);
    struct machine *machine = new_pairs(2);

    for (unsigned i = 0; i < G_N_ELEMENTS(wide); i++) {
        for (unsigned width = 1; width <= 8; width *= 2) {
            for (unsigned reverse = 0; reverse < 2; reverse++) {
                write_common(machine, wide[i], 8, 0);
                for (unsigned at = 0; at < 8; at += width) {
                    const unsigned here = reverse ? 8 - width - at : at;

                    write_common(machine, wide[i] + here, width, value >> 8 * here);
                }
                g_assert_cmphex(read_common(machine, wide[i], 4), ==, 0x44332211);
                g_assert_cmphex(read_common(machine, wide[i] + 4, 4), ==, 0x88776655);
            }
        }
        /* One half alone leaves the other. */
        write_common(machine, wide[i], 4, 1);
        g_assert_cmphex(read_common(machine, wide[i], 8), ==, UINT64_C(0x8877665500000001));
        write_common(machine, wide[i] + 4, 4, 2);
        g_assert_cmphex(read_common(machine, wide[i], 8), ==, UINT64_C(0x0000000200000001));
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(narrow); i++) {
        write_common(machine, DRIVER_FEATURE_SELECT, 4, 0);
        for (unsigned at = 0; at < 4; at++) {
            write_common(machine, narrow[i] + at, 1, value >> 8 * at);
        }
        if (narrow[i] == DRIVER_FEATURE) {
            g_assert_cmphex(vionet_device_driver_features(machine->device, 0), ==, 0x44332211);
        } else {
            g_assert_cmphex(read_common(machine, narrow[i], 4), ==, 0x44332211);
        }
    }
    machine_finish(machine);
}

static void test_read_only_registers(void)
{
    static const struct {
        unsigned offset, size;
    } rows[] = {{DEVICE_FEATURE, 4},    {NUM_QUEUES, 2},  {GENERATION, 1}, {QUEUE_NOTIFY_OFF, 2},
                {NOTIF_CONFIG_DATA, 2}, {ADMIN_INDEX, 2}, {ADMIN_NUM, 2}};
    struct machine *machine = boot_pairs(2);

    for (unsigned queue = 0; queue < 6; queue++) {
        write_common(machine, QUEUE_SELECT, 2, queue);
        for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
            const uint64_t before = read_common(machine, rows[i].offset, rows[i].size);

            write_common(machine, rows[i].offset, rows[i].size, ~before);
            g_assert_cmphex(read_common(machine, rows[i].offset, rows[i].size), ==, before);
        }
        g_assert_cmphex(read_common(machine, NOTIF_CONFIG_DATA, 2), ==, 0);
        g_assert_cmphex(read_common(machine, QUEUE_RESET, 2), ==, 0);
        g_assert_cmphex(read_common(machine, ADMIN_INDEX, 4), ==, 0);
    }
    g_assert_cmphex(read_common(machine, NUM_QUEUES, 2), ==, 5);
    machine_finish(machine);
}

static void test_feature_windows(void)
{
    static const uint32_t selects[] = {0,  1,  2,          3,          4,         5,
                                       31, 32, 0x7fffffff, 0x80000000, 0xffffffff};
    struct machine *machine = new_pairs(2);

    for (unsigned i = 0; i < G_N_ELEMENTS(selects); i++) {
        const uint64_t *words = vionet_device_config(machine->device)->features;
        const uint32_t offered =
            selects[i] < 4 ? (uint32_t)(words[selects[i] / 2] >> 32 * (selects[i] % 2)) : 0;

        write_common(machine, DEVICE_FEATURE_SELECT, 4, selects[i]);
        g_assert_cmphex(read_common(machine, DEVICE_FEATURE_SELECT, 4), ==, selects[i]);
        g_assert_cmphex(read_common(machine, DEVICE_FEATURE, 4), ==, offered);
        write_common(machine, DRIVER_FEATURE_SELECT, 4, selects[i]);
        g_assert_cmphex(read_common(machine, DRIVER_FEATURE_SELECT, 4), ==, selects[i]);
        write_common(machine, DRIVER_FEATURE, 4, offered);
        g_assert_cmphex(read_common(machine, DRIVER_FEATURE, 4) & offered, ==, offered);
    }
    machine_finish(machine);
}

/* C-05: the maximum is the device's; what is not a size changes nothing. */
/*
 * What the driver wrote reads back, bits that were not offered too (our choice, 4.1.4.3.1): a driver
 * sees what it asked for, and is refused by FEATURES_OK.
 */
static void test_feature_echo(void)
{
    struct machine *machine = new_pairs(1);

    guest_driver_acknowledge(machine->driver);
    for (uint32_t window = 0; window < 4; window++) {
        write_common(machine, DRIVER_FEATURE_SELECT, 4, window);
        write_common(machine, DRIVER_FEATURE, 4, 0xffffffff - window);
    }
    for (uint32_t window = 0; window < 4; window++) {
        write_common(machine, DRIVER_FEATURE_SELECT, 4, window);
        g_assert_cmphex(read_common(machine, DRIVER_FEATURE, 4), ==, 0xffffffff - window);
    }
    write_common(machine, STATUS, 1, 0xb);
    g_assert_cmphex(read_common(machine, STATUS, 1), ==, 3);
    machine_finish(machine);
}

static void test_queue_sizes(void)
{
    struct machine *machine = new_pairs(2);
    bool packed;

    guest_driver_acknowledge(machine->driver);
    guest_driver_read_features(machine->driver);
    g_assert_true(guest_driver_negotiate(machine->driver, features_known()));
    packed = guest_driver_has(machine->driver, VIRTIO_F_RING_PACKED);
    for (unsigned queue = 0; queue < 5; queue++) {
        const unsigned max = queue == 4 ? 64 : 256;
        unsigned now = max;

        write_common(machine, QUEUE_SELECT, 2, queue);
        g_assert_cmpuint(read_common(machine, QUEUE_SIZE, 2), ==, max);
        for (unsigned size = 0; size < 0x10000; size++) {
            if (size && ((size & (size - 1)) == 0 || packed) && size <= max) {
                now = size;
            }
            write_common(machine, QUEUE_SIZE, 2, size);
            if (read_common(machine, QUEUE_SIZE, 2) != now) {
                g_test_message("queue %u, size %u", queue, size);
                g_test_fail();
            }
        }
    }
    g_assert_nonnull(machine_violation(machine, VIONET_VIOLATION_QUEUE_SIZE_WRITE));
    machine_finish(machine);
}

/* C-06: nothing is there past the end, in any register. */
static void check_no_queue(struct machine *machine, unsigned queue)
{
    static const unsigned offsets[] = {QUEUE_SIZE, QUEUE_ENABLE, QUEUE_NOTIFY_OFF,
                                       NOTIF_CONFIG_DATA, QUEUE_RESET};
    static const unsigned areas[] = {QUEUE_DESC, QUEUE_DRIVER, QUEUE_DEVICE};

    write_common(machine, QUEUE_SELECT, 2, queue);
    g_assert_cmphex(read_common(machine, QUEUE_SELECT, 2), ==, queue);
    for (unsigned value = 0; value < 3; value++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(offsets); i++) {
            write_common(machine, offsets[i], 2, value);
            g_assert_cmphex(read_common(machine, offsets[i], 2), ==, 0);
        }
        for (unsigned i = 0; i < G_N_ELEMENTS(areas); i++) {
            write_common(machine, areas[i], 8, 0x1000);
            g_assert_cmphex(read_common(machine, areas[i], 8), ==, 0);
        }
        write_common(machine, QUEUE_VECTOR, 2, value);
        g_assert_cmphex(read_common(machine, QUEUE_VECTOR, 2), ==, 0xffff);
    }
}

static void test_no_queue(void)
{
    static const uint16_t past[] = {5, 6, 7, 8, 0x7fff, 0x8000, 0xfffe, 0xffff};
    struct machine *machine = boot_pairs(2);
    GBytes *before = everything(machine);

    machine_forget_events(machine);
    for (unsigned i = 0; i < G_N_ELEMENTS(past); i++) {
        check_no_queue(machine, past[i]);
    }
    g_assert_nonnull(machine_violation(machine, VIONET_VIOLATION_QUEUE_SELECT));
    g_assert_true(same(machine, before));
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
    g_bytes_unref(before);
    machine_finish(machine);
}

/* NET-VQ-01: the control queue is behind the pairs that the driver has taken. */
static void check_place(struct machine *machine, struct guest_features wanted, unsigned n_pairs,
                        bool control)
{
    const unsigned last = 2 * n_pairs + control;

    g_assert_true(machine_boot(machine, wanted));
    for (unsigned queue = 0; queue < last; queue++) {
        write_common(machine, QUEUE_SELECT, 2, queue);
        g_assert_cmpuint(read_common(machine, QUEUE_SIZE, 2), ==, queue < 2 * n_pairs ? 256 : 64);
        g_assert_cmpuint(read_common(machine, QUEUE_NOTIFY_OFF, 2), ==, queue);
    }
    for (unsigned queue = last; queue < 12; queue++) {
        check_no_queue(machine, queue);
    }
    g_assert_cmpint(net_control_rx(machine->net, 0, true), ==,
                    control ? VIRTIO_NET_OK : NET_CONTROL_NONE);
}

static void test_queue_places(void)
{
    struct machine *machine = new_pairs(4);
    const struct guest_features mq = features_of(VIRTIO_NET_F_MQ, FEATURES_END);
    const struct guest_features few =
        features_of(VIRTIO_F_VERSION_1, VIRTIO_NET_F_MAC, FEATURES_END);

    g_assert_cmpuint(read_common(machine, NUM_QUEUES, 2), ==, 9);
    check_place(machine, features_known(), 4, true);
    check_place(machine, features_without(features_known(), mq), 1, true);
    check_place(machine, few, 1, false);
    check_place(machine, features_known(), 4, true);
    machine_finish(machine);
}

/* C-11: enable, disable and reset of each index, with and without MQ. */
static void test_each_index(void)
{
    struct machine *machine = new_pairs(3);

    for (unsigned mq = 0; mq < 2; mq++) {
        struct guest_features wanted = features_known();

        if (!mq) {
            features_remove(&wanted, VIRTIO_NET_F_MQ);
        }
        for (unsigned queue = 0; queue < 10; queue++) {
            const unsigned n = mq ? 7 : 3;

            g_assert_true(machine_boot(machine, wanted));
            write_common(machine, QUEUE_SELECT, 2, queue);
            g_assert_cmpuint(read_common(machine, QUEUE_ENABLE, 2), ==, queue < n);
            write_common(machine, QUEUE_ENABLE, 2, 0);
            g_assert_cmpuint(read_common(machine, QUEUE_ENABLE, 2), ==, queue < n);
            write_common(machine, QUEUE_RESET, 2, 0);
            write_common(machine, QUEUE_RESET, 2, 2);
            g_assert_cmpuint(read_common(machine, QUEUE_ENABLE, 2), ==, queue < n);
            write_common(machine, QUEUE_RESET, 2, 1);
            g_assert_cmpuint(read_common(machine, QUEUE_RESET, 2), ==, 0);
            g_assert_cmpuint(read_common(machine, QUEUE_ENABLE, 2), ==, 0);
            write_common(machine, QUEUE_ENABLE, 2, 2);
            g_assert_cmpuint(read_common(machine, QUEUE_ENABLE, 2), ==, 0);
            if (queue < n) {
                g_assert_true(guest_queue_setup(machine->driver, queue, 0));
                g_assert_cmpuint(read_common(machine, QUEUE_RESET, 2), ==, 0);
            }
            vionet_device_kick(machine->device, queue);
            g_assert_cmphex(guest_driver_status(machine->driver), ==, 0xf);
        }
    }
    g_assert_true(machine_works(machine));
    machine_finish(machine);
}

/* ---- writes at the wrong time (C-04) ---- */

static void write_all_setup(struct machine *machine, unsigned queue)
{
    write_common(machine, QUEUE_SELECT, 2, queue);
    write_common(machine, QUEUE_SIZE, 2, 2);
    write_common(machine, QUEUE_DESC, 4, 0xfffff000);
    write_common(machine, QUEUE_DESC + 4, 4, 0xfffff000);
    write_common(machine, QUEUE_DRIVER, 8, 0x1000);
    write_common(machine, QUEUE_DEVICE, 8, 0);
    write_common(machine, QUEUE_ENABLE, 2, 0);
    write_common(machine, QUEUE_ENABLE, 2, 0xffff);
    write_common(machine, QUEUE_ENABLE, 2, 1);
    write_common(machine, DRIVER_FEATURE_SELECT, 4, 0);
    write_common(machine, DRIVER_FEATURE, 4, 0);
}

static void test_writes_when_enabled(void)
{
    static const VionetViolation expected[] = {VIONET_VIOLATION_QUEUE_WRITE_ENABLED,
                                               VIONET_VIOLATION_QUEUE_DISABLE,
                                               VIONET_VIOLATION_FEATURES_LATE};
    struct machine *machine = boot_pairs(2);
    GBytes *before = everything(machine);

    for (unsigned round = 0; round < 20; round++) {
        struct guest_packet packet;

        for (unsigned queue = 0; queue < 5; queue++) {
            write_all_setup(machine, queue);
        }
        write_common(machine, QUEUE_SELECT, 2, 0);
        g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
        g_assert_true(net_receive(machine->net, &packet));
        g_assert_true(net_transmit(machine->net, 0, NULL, frame, sizeof(frame)));
        g_assert_cmpuint(machine_drain(machine, 0), ==, 1);
        g_assert_cmpint(net_control_rx(machine->net, 0, true), ==, VIRTIO_NET_OK);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(expected); i++) {
        g_assert_nonnull(machine_violation(machine, expected[i]));
    }
    write_common(machine, QUEUE_SELECT, 2, 4);
    write_common(machine, DRIVER_FEATURE_SELECT, 4, 3);
    g_assert_true(same(machine, before));
    g_bytes_unref(before);
    machine_finish(machine);
}

static void test_enable_before_features_ok(void)
{
    struct machine *machine = new_pairs(1);

    for (unsigned status = 0; status < 4; status++) {
        write_common(machine, STATUS, 1, status);
        write_common(machine, QUEUE_SELECT, 2, 0);
        write_common(machine, QUEUE_ENABLE, 2, 1);
        g_assert_cmpuint(read_common(machine, QUEUE_ENABLE, 2), ==, 0);
    }
    g_assert_nonnull(machine_violation(machine, VIONET_VIOLATION_QUEUE_ENABLE_EARLY));
    machine_finish(machine);
}

/* C-10: rings that are nowhere, misaligned, past the end of addresses, in a BAR. */
static void test_bad_areas(void)
{
    static const uint64_t places[] = {
        0, 1, 8, UINT64_MAX, UINT64_MAX - 15, UINT64_C(1) << 63, 0xe0000000, 0x8000000000};
    static const unsigned registers[] = {QUEUE_DESC, QUEUE_DRIVER, QUEUE_DEVICE};
    struct machine *machine = new_pairs(1);

    for (unsigned i = 0; i < G_N_ELEMENTS(places) * 9; i++) {
        const unsigned queue = i % 3;
        struct guest_driver *driver = machine->driver;

        g_assert_true(guest_driver_reset(driver));
        guest_driver_acknowledge(driver);
        guest_driver_read_features(driver);
        g_assert_true(guest_driver_negotiate(driver, features_known()));
        for (unsigned q = 0; q < 3; q++) {
            write_common(machine, QUEUE_SELECT, 2, q);
            for (unsigned area = 0; area < 3; area++) {
                write_common(machine, registers[area], 8, 0x200000 + 0x10000 * (3 * q + area));
            }
            if (q == queue) {
                write_common(machine, registers[i / 3 % 3], 8, places[i / 9]);
            }
            write_common(machine, QUEUE_ENABLE, 2, 1);
        }
        guest_driver_ok(driver);
        g_assert_cmphex(guest_driver_status(driver) & 0x40, ==, 0x40);
        g_assert_true(machine_violation(machine, VIONET_VIOLATION_RING_ADDRESS) ||
                      machine_violation(machine, VIONET_VIOLATION_RING_MISALIGNED));
        vionet_device_kick(machine->device, queue);
        machine_deliver(machine, frame, sizeof(frame));
        machine_drain(machine, 0);
        machine_forget_events(machine);
    }
    g_assert_true(machine_works(machine));
    machine_finish(machine);
}

/* ---- bus mastering ---- */

static void master(struct machine *machine, bool on)
{
    const uint32_t command = config(machine, 4, 2);

    vionet_pci_config_write(machine->pci, 4, 2, on ? command | 4 : command & ~4u);
}

static void test_no_bus_master(void)
{
    struct machine *machine = boot_pairs(1);
    struct guest_packet packet;

    g_assert_true(net_transmit(machine->net, 0, NULL, frame, sizeof(frame)));
    master(machine, false);
    guest_driver_take_interrupts(machine->driver, 1);
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DROP_NOT_RUNNING);
    g_assert_cmpuint(machine_drain(machine, 0), ==, 0);
    for (unsigned i = 0; i < 3; i++) {
        vionet_device_kick(machine->device, i);
    }
    g_assert_false(net_receive(machine->net, &packet));
    g_assert_cmpuint(net_reclaim(machine->net, 0), ==, 0);
    g_assert_cmpuint(guest_driver_take_interrupts(machine->driver, 1), ==, 0);
    master(machine, true);
    g_assert_cmpuint(machine_drain(machine, 0), ==, 1);
    g_assert_cmpuint(net_reclaim(machine->net, 0), ==, 1);
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
    g_assert_true(net_receive(machine->net, &packet));
    machine_finish(machine);
}

static void test_command_while_no_bus_master(void)
{
    struct machine *machine = boot_pairs(1);
    struct virtq *vq = guest_queue_ring(machine->driver, 2);
    const uint8_t command[3] = {0, 0, 1};
    const uint64_t gpa = guest_alloc(machine->memory, 64, 64);
    const struct virtq_segment segments[2] = {{gpa, 3, false}, {gpa + 32, 1, true}};

    guest_write(machine->memory, gpa, command, 3);
    guest_fill(machine->memory, gpa + 32, 1, 0xff);
    master(machine, false);
    g_assert_true(virtq_add(vq, segments, 2, machine));
    virtq_publish(vq);
    guest_queue_notify(machine->driver, 2);
    g_assert_cmpuint(guest_differs(machine->memory, gpa + 32, 1, 0xff), ==, 1);
    master(machine, true);
    g_assert_cmpuint(guest_differs(machine->memory, gpa + 32, 1, 0), ==, 1);
    machine_finish(machine);
}

/* A frame that was announced while the device could not reach it is not forgotten. */
static void test_notified_while_no_bus_master(void)
{
    struct machine *machine = boot_pairs(1);

    master(machine, false);
    g_assert_true(net_transmit(machine->net, 0, NULL, frame, sizeof(frame)));
    guest_queue_notify(machine->driver, 1);
    g_assert_cmpuint(machine_drain(machine, 0), ==, 0);
    machine->kicks = 0;
    master(machine, true);
    g_assert_cmpuint(machine->kicks, >, 0);
    g_assert_cmpuint(machine_drain(machine, 0), ==, 1);
    machine_finish(machine);
}

/* DRIVER_OK first, bus mastering later: the queues begin then. */
static void test_bus_master_after_driver_ok(void)
{
    struct machine *machine = new_pairs(1);
    struct guest_driver *driver = machine->driver;

    master(machine, false);
    guest_driver_acknowledge(driver);
    guest_driver_read_features(driver);
    g_assert_true(guest_driver_negotiate(driver, features_known()));
    g_assert_true(guest_queue_setup_all(driver));
    machine->net = net_new(driver, NULL);
    g_assert_true(net_start(machine->net));
    guest_driver_ok(driver);
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DROP_NOT_RUNNING);
    master(machine, true);
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
    machine_finish(machine);
}

/* A queue that is reset and set up again meanwhile begins with the others. */
static void test_queue_reset_while_no_bus_master(void)
{
    struct machine *machine = boot_pairs(2);
    struct guest_packet packet;

    for (unsigned again = 0; again < 2; again++) {
        master(machine, false);
        for (unsigned queue = 0; queue < 5; queue++) {
            g_assert_true(guest_queue_reset(machine->driver, queue));
            if (again) {
                g_assert_true(guest_queue_setup(machine->driver, queue, 0));
            }
        }
        g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==,
                        VIONET_DROP_NOT_RUNNING);
        master(machine, true);
        if (!again) {
            g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==,
                            VIONET_DROP_QUEUE_DISABLED);
            g_assert_true(machine_boot(machine, features_known()));
        }
    }
    g_assert_true(net_start(machine->net));
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
    g_assert_true(net_receive(machine->net, &packet));
    g_assert_true(net_transmit(machine->net, 1, NULL, frame, sizeof(frame)));
    g_assert_cmpuint(machine_drain(machine, 1), ==, 1);
    g_assert_cmpint(net_control_rx(machine->net, 0, true), ==, VIRTIO_NET_OK);
    machine_finish(machine);
}

/* Frames that the host has when bus mastering goes off, and gives back before it is on again. */
static void test_completion_while_no_bus_master(void)
{
    struct machine *machine = boot_pairs(1);
    VionetFrame out[2];

    for (unsigned i = 0; i < 2; i++) {
        g_assert_true(net_transmit(machine->net, 0, NULL, frame, sizeof(frame)));
    }
    g_assert_cmpuint(vionet_device_transmit(machine->device, 0, out, 2), ==, 2);
    guest_driver_take_interrupts(machine->driver, 2);
    virtq_enable_interrupts(guest_queue_ring(machine->driver, 1), 1);
    master(machine, false);
    vionet_device_complete(machine->device, 0, &out[1], 1);
    g_assert_cmpuint(net_reclaim(machine->net, 0), ==, 0);
    g_assert_cmpuint(guest_driver_take_interrupts(machine->driver, 2), ==, 0);
    master(machine, true);
    g_assert_cmpuint(guest_driver_take_interrupts(machine->driver, 2), ==, 1);
    g_assert_cmpuint(net_reclaim(machine->net, 0), ==, 1);
    vionet_device_complete(machine->device, 0, &out[0], 1);
    g_assert_cmpuint(net_reclaim(machine->net, 0), ==, 1);
    machine_finish(machine);
}

/* ---- queue reset and completions while bus mastering is off ---- */

/* An IPv4 frame of a flow that a pair owns, and the answer to it. */
static void put_flow(uint8_t p[60], unsigned pair, bool answer)
{
    memset(p, 0, 60);
    memset(p, 0xff, 6);
    p[6] = 2;
    p[12] = 8;
    p[14] = 0x45;
    p[17] = 46;
    p[22] = 64;
    p[23] = 253;
    p[26] = p[30] = 10;
    p[answer ? 33 : 29] = (uint8_t)(1 + pair);
    p[answer ? 29 : 33] = 0x99;
}

/* A frame each way on a pair; its flow stays on it (5.1.6.5.5.1). */
static void exchange(struct machine *machine, unsigned pair)
{
    struct guest_packet packet;
    uint8_t p[60];

    put_flow(p, pair, false);
    g_assert_true(net_transmit(machine->net, pair, NULL, p, sizeof(p)));
    g_assert_cmpuint(machine_drain(machine, pair), ==, 1);
    g_assert_cmpuint(net_reclaim(machine->net, pair), ==, 1);
    put_flow(p, pair, true);
    g_assert_cmpint(machine_deliver(machine, p, sizeof(p)), ==, VIONET_DELIVERED);
    g_assert_true(net_receive(machine->net, &packet));
    g_assert_cmpuint(packet.pair, ==, pair);
    g_assert_cmpmem(packet.data, packet.len, p, sizeof(p));
}

static void exchange_all(struct machine *machine)
{
    g_assert_cmpint(net_control_pairs(machine->net, 2), ==, VIRTIO_NET_OK);
    exchange(machine, 0);
    exchange(machine, 1);
}

/* What the device may write of a queue. */
static GBytes *used_ring(struct machine *machine, const struct guest_queue *queue)
{
    const size_t used = 6 + 8 * (size_t)queue->area_size;
    const size_t table = 16 * (size_t)queue->area_size;
    GByteArray *octets = g_byte_array_new();

    g_byte_array_append(octets, guest_ptr(machine->memory, queue->area.device_gpa, used),
                        (guint)used);
    g_byte_array_append(octets, guest_ptr(machine->memory, queue->area.desc_gpa, table),
                        (guint)table);
    return g_byte_array_free_to_bytes(octets);
}

static void assert_same_octets(GBytes *now, GBytes *then)
{
    g_assert_true(g_bytes_equal(now, then));
    g_bytes_unref(now);
}

/* The registers of a queue: one that was reset, or one that is as the driver set it up. */
static void check_queue(struct machine *machine, unsigned index, bool reset, uint16_t max_size)
{
    const struct guest_queue *queue = &machine->driver->queues[index];

    write_common(machine, QUEUE_SELECT, 2, index);
    g_assert_cmphex(read_common(machine, QUEUE_RESET, 2), ==, 0);
    g_assert_cmphex(read_common(machine, QUEUE_ENABLE, 2), ==, !reset);
    g_assert_cmphex(read_common(machine, QUEUE_VECTOR, 2) == 0xffff, ==,
                    reset || !machine->driver->vectors);
    g_assert_cmpuint(read_common(machine, QUEUE_SIZE, 2), ==, max_size);
    g_assert_cmphex(read_common(machine, QUEUE_DESC, 8), ==, reset ? 0 : queue->area.desc_gpa);
    g_assert_cmphex(read_common(machine, QUEUE_DRIVER, 8), ==, reset ? 0 : queue->area.driver_gpa);
    g_assert_cmphex(read_common(machine, QUEUE_DEVICE, 8), ==, reset ? 0 : queue->area.device_gpa);
}

/*
 * Resets a queue of a machine whose bus master is off. The old ring is left as it was, the other
 * queues keep what they have.
 */
static void reset_in_the_dark(struct machine *machine, unsigned index)
{
    const struct guest_queue old = machine->driver->queues[index];
    GBytes *before = used_ring(machine, &old);

    g_assert_true(guest_queue_reset(machine->driver, index));
    for (unsigned queue = 0; queue < 5; queue++) {
        check_queue(machine, queue, queue == index, queue == 4 ? 64 : 256);
    }
    for (unsigned queue = 0; queue < 5; queue++) {
        vionet_device_kick(machine->device, queue);
        vionet_device_timer(machine->device, queue);
    }
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DROP_NOT_RUNNING);
    g_assert_cmpuint(machine_drain(machine, index / 2 % 2), ==, 0);
    assert_same_octets(used_ring(machine, &old), before);
    g_bytes_unref(before);
}

/* Each queue in turn: away and back while the bus master is off, in other memory, of half the size. */
static void test_each_queue_reset_while_no_bus_master(void)
{
    struct machine *machine = boot_pairs(2);

    exchange_all(machine);
    for (unsigned index = 0; index < 5; index++) {
        struct guest_queue *queue = &machine->driver->queues[index];
        const uint16_t size = index == 4 ? 32 : 128;
        const uint64_t old_gpa = queue->area.device_gpa;

        master(machine, false);
        reset_in_the_dark(machine, index);
        queue->area_size = 0; /* a new place */
        g_assert_true(guest_queue_setup(machine->driver, index, size));
        g_assert_true(net_reset_queue(machine->net, index, size));
        g_assert_cmphex(queue->area.device_gpa, !=, old_gpa);
        check_queue(machine, index, false, size);
        g_assert_cmpuint(virtq_used_total(queue->vq), ==, 0);
        master(machine, true);
        exchange_all(machine);
        g_assert_cmpuint(virtq_used_total(queue->vq), ==, 1);
        g_assert_cmphex(guest_driver_status(machine->driver), ==, 0xf);
        /* As it was, for the next round. */
        g_assert_true(net_reset_queue(machine->net, index, 2 * size));
        exchange_all(machine);
    }
    machine_finish(machine);
}

/* Away while the bus master is off, and back only when it is on again: the others do not wait. */
static void test_queue_reset_outlasts_no_bus_master(void)
{
    struct machine *machine = boot_pairs(2);
    struct guest_packet packet;
    uint8_t p[60];

    exchange_all(machine);
    master(machine, false);
    reset_in_the_dark(machine, 2);
    master(machine, true);
    exchange(machine, 0);
    check_queue(machine, 2, true, 256);
    put_flow(p, 1, true);
    g_assert_cmpint(net_control_pairs(machine->net, 1), ==, VIRTIO_NET_OK);
    g_assert_cmpint(machine_deliver(machine, p, sizeof(p)), ==, VIONET_DELIVERED);
    g_assert_true(net_receive_pair(machine->net, 0, &packet));
    g_assert_true(guest_queue_setup(machine->driver, 2, 0));
    g_assert_true(net_reset_queue(machine->net, 2, 0));
    exchange_all(machine);
    g_assert_cmpuint(virtq_used_total(guest_queue_ring(machine->driver, 2)), ==, 1);
    g_assert_cmphex(guest_driver_status(machine->driver), ==, 0xf);
    machine_finish(machine);
}

static struct machine *boot_small(bool intx, bool in_order)
{
    struct machine_setup setup;
    struct machine *machine;

    machine_setup_init(&setup);
    setup.device.transmit_queue_size = 16;
    setup.driver.intx = intx;
    setup.net.transmit_size = 2048;
    vionet_features_set(setup.device.features, VIRTIO_F_IN_ORDER, in_order);
    machine = machine_new(&setup, NULL);
    g_assert_true(machine && machine_boot(machine, features_known()));
    g_assert_cmpint(guest_driver_has(machine->driver, VIRTIO_F_IN_ORDER), ==, in_order);
    return machine;
}

static void take_out(struct machine *machine, VionetFrame *out, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        g_assert_true(net_transmit(machine->net, 0, NULL, frame, sizeof(frame)));
    }
    g_assert_cmpuint(vionet_device_transmit(machine->device, 0, out, n), ==, n);
}

static uint64_t told(struct machine *machine)
{
    guest_driver_isr(machine->driver);
    return machine->driver->vectors ? guest_driver_take_interrupts(machine->driver, 2)
                                    : guest_driver_intx_count(machine->driver);
}

/* Sixteen frames come back in disorder, half of them unseen; all reach the driver, told of once. */
static void complete_in_the_dark(struct machine *machine)
{
    const struct guest_queue *queue = &machine->driver->queues[1];
    const uint64_t stale = vionet_device_counter(machine->device, 1, VIONET_COUNTER_STALE);
    const uint16_t used = virtq_used_total(queue->vq);
    VionetFrame out[16];
    GBytes *before;
    uint64_t then;

    take_out(machine, out, 16);
    virtq_enable_interrupts(queue->vq, 1);
    then = told(machine);
    before = used_ring(machine, queue);
    master(machine, false);
    for (unsigned i = 0; i < 8; i++) {
        vionet_device_complete(machine->device, 0, &out[(5 + 3 * i) % 8], 1);
    }
    vionet_device_complete(machine->device, 0, &out[5], 1); /* a second time */
    g_assert_cmpuint(vionet_device_counter(machine->device, 1, VIONET_COUNTER_STALE), ==,
                     stale + 1);
    assert_same_octets(used_ring(machine, queue), before);
    g_bytes_unref(before);
    g_assert_cmpuint(net_reclaim(machine->net, 0), ==, 0);
    g_assert_cmpuint(told(machine), ==, machine->driver->vectors ? 0 : then);
    master(machine, true);
    g_assert_cmpuint((uint16_t)(virtq_used_total(queue->vq) - used), ==, 8);
    g_assert_cmpuint(told(machine), ==, machine->driver->vectors ? 1 : then + 1);
    g_assert_cmpuint(net_reclaim(machine->net, 0), ==, 8);
    for (unsigned i = 16; i > 8; i--) {
        vionet_device_complete(machine->device, 0, &out[i - 1], 1);
    }
    g_assert_cmpuint(net_reclaim(machine->net, 0), ==, 8);
}

/* No place of a frame is lost and none is used twice, however often it happens. */
static void test_completions_while_no_bus_master(void)
{
    for (unsigned k = 0; k < 4; k++) {
        struct machine *machine = boot_small(k & 1, k & 2);

        for (unsigned round = 0; round < 20; round++) {
            complete_in_the_dark(machine);
        }
        exchange(machine, 0);
        machine_finish(machine);
    }
}

/*
 * Z-03: frames of before a queue reset, given back before and after it, after the queue is back, and
 * after bus mastering is: none reaches the driver, neither in the old ring nor in the new one.
 */
static void test_frames_out_over_a_queue_reset(void)
{
    for (unsigned k = 0; k < 2; k++) {
        struct machine *machine = boot_small(false, k);
        const struct guest_queue old = machine->driver->queues[1];
        VionetFrame out[16];
        GBytes *before;

        take_out(machine, out, 4);
        before = used_ring(machine, &old);
        master(machine, false);
        vionet_device_complete(machine->device, 0, &out[0], 1);
        g_assert_true(guest_queue_reset(machine->driver, 1));
        vionet_device_complete(machine->device, 0, &out[1], 1);
        machine->driver->queues[1].area_size = 0;
        g_assert_true(guest_queue_setup(machine->driver, 1, 16));
        g_assert_true(net_reset_queue(machine->net, 1, 16));
        vionet_device_complete(machine->device, 0, &out[2], 1);
        guest_driver_take_interrupts(machine->driver, 2);
        master(machine, true);
        vionet_device_complete(machine->device, 0, &out[3], 1);
        g_assert_cmpuint(virtq_used_total(machine->driver->queues[1].vq), ==, 0);
        g_assert_cmpuint(guest_driver_take_interrupts(machine->driver, 2), ==, 0);
        g_assert_cmpuint(vionet_device_counter(machine->device, 1, VIONET_COUNTER_STALE), ==, 3);
        assert_same_octets(used_ring(machine, &old), before);
        g_bytes_unref(before);
        take_out(machine, out, 16); /* every place is free again */
        vionet_device_complete(machine->device, 0, out, 16);
        g_assert_cmpuint(net_reclaim(machine->net, 0), ==, 16);
        machine_finish(machine);
    }
}

/* The same over a reset of the device. */
static void test_frames_out_over_a_reset(void)
{
    struct machine *machine = boot_small(false, false);
    VionetFrame out[16];

    take_out(machine, out, 3);
    master(machine, false);
    vionet_device_complete(machine->device, 0, &out[0], 1);
    g_assert_true(guest_driver_reset(machine->driver));
    vionet_device_complete(machine->device, 0, &out[1], 1);
    g_assert_true(machine_boot(machine, features_known()));
    master(machine, true);
    vionet_device_complete(machine->device, 0, &out[2], 1);
    g_assert_cmpuint(virtq_used_total(guest_queue_ring(machine->driver, 1)), ==, 0);
    take_out(machine, out, 16);
    vionet_device_complete(machine->device, 0, out, 16);
    g_assert_cmpuint(net_reclaim(machine->net, 0), ==, 16);
    exchange(machine, 0);
    machine_finish(machine);
}

/* ---- what a function is not made of ---- */

static void test_refusals(void)
{
    static const struct {
        VionetPciConfig config;
        bool no_msi;
        const char *words; /* NULL: it is fine */
    } rows[] = {
        {{.n_vectors = 1, .subsystem_device = 0x40}, false, NULL},
        {{.n_vectors = 2048, .subsystem_device = 0x40}, false, NULL},
        {{.n_vectors = 2049, .subsystem_device = 0x40}, false, "vectors"},
        {{.n_vectors = 0xfffe, .subsystem_device = 0x40}, false, "vectors"},
        {{.n_vectors = 0, .subsystem_device = 0x40}, true, NULL},
        {{.n_vectors = 1, .subsystem_device = 0x40}, true, "msi"},
        {{.n_vectors = VIONET_PCI_VECTORS_AUTO, .subsystem_device = 0x40}, true, NULL},
        {{.subsystem_device = 0x3f}, false, "subsystem"},
        {{.subsystem_device = 0}, false, "subsystem"},
        {{.subsystem_device = 0xffff}, false, NULL},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct machine_setup setup;
        struct machine *machine;
        GError *error = NULL;

        machine_setup_init(&setup);
        setup.pci = rows[i].config;
        setup.pci.size = sizeof(setup.pci);
        setup.no_msi = rows[i].no_msi;
        machine = machine_new(&setup, &error);
        g_assert_cmpint(machine != NULL, ==, rows[i].words == NULL);
        if (rows[i].words) {
            g_assert_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG);
            g_assert_nonnull(strstr(error->message, rows[i].words));
        }
        g_clear_error(&error);
        machine_free(machine);
    }
}

static void test_structure_sizes(void)
{
    static const struct {
        size_t size;
        bool fine;
    } rows[] = {{0, false},
                {sizeof(size_t) - 1, false},
                {sizeof(size_t), true},
                {offsetof(VionetPciConfig, subsystem_vendor), true},
                {sizeof(VionetPciConfig), true},
                {sizeof(VionetPciConfig) + 1, false},
                {SIZE_MAX, false}};

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct machine_setup setup;
        struct machine *machine;
        GError *error = NULL;

        machine_setup_init(&setup);
        setup.pci.subsystem_vendor = 0x5555;
        setup.pci.size = rows[i].size;
        machine = machine_new(&setup, &error);
        g_assert_cmpint(machine != NULL, ==, rows[i].fine);
        if (machine) {
            g_assert_cmphex(config(machine, 0x2c, 2), ==,
                            rows[i].size == sizeof(VionetPciConfig) ? 0x5555 : 0x1af4);
        } else {
            g_assert_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG);
            g_assert_nonnull(strstr(error->message, "size"));
        }
        g_clear_error(&error);
        machine_free(machine);
    }
}

/* Only the caller's octets are read; operations of an older caller are none. */
static void test_operation_sizes(void)
{
    const VionetHostOps host = {.size = sizeof(host)};
    size_t *size = g_new(size_t, 1);
    VionetPciConfig pci_config;
    VionetConfig device_config;
    VionetDevice *device;
    VionetPci *pci;

    vionet_config_init(&device_config);
    vionet_pci_config_init(&pci_config);
    device = vionet_device_new(&device_config, &host, NULL, NULL);
    *size = sizeof(*size);
    pci = vionet_pci_new(device, &pci_config, (const VionetPciOps *)size, NULL, NULL);
    g_free(size);
    g_assert_nonnull(pci);
    g_assert_cmphex(vionet_pci_config_read(pci, 0x3d, 1), ==, 0);
    vionet_pci_reset(pci);
    vionet_pci_free(pci);
    vionet_device_free(device);
}

/* One function after the other in front of the same device. */
static void test_again_and_again(void)
{
    const VionetHostOps host = {.size = sizeof(host)};
    const VionetPciOps bus = {.size = sizeof(bus)};
    VionetPciConfig pci_config;
    VionetConfig device_config;
    VionetDevice *device;

    vionet_config_init(&device_config);
    vionet_pci_config_init(&pci_config);
    device = vionet_device_new(&device_config, &host, NULL, NULL);
    for (unsigned i = 0; i < 5; i++) {
        VionetPci *pci = vionet_pci_new(device, &pci_config, &bus, NULL, NULL);

        g_assert_cmphex(vionet_pci_config_read(pci, 0, 4), ==, 0x10411af4);
        vionet_pci_free(pci);
    }
    vionet_device_free(device);
}

static void add_access_tests(void)
{
    g_test_add_func("/pci/access/each-width-of-reads", test_access_read_widths);
    g_test_add_func("/pci/access/each-width-of-writes", test_access_write_widths);
    g_test_add_func("/pci/access/C-01/no-other-bar", test_access_bars);
    g_test_add_func("/pci/access/C-01/ends-with-the-bar", test_access_ends);
    g_test_add_func("/pci/access/C-01/lengths-of-no-access", test_access_lengths);
    g_test_add_func("/pci/access/C-01/unaligned", test_access_unaligned);
    g_test_add_func("/pci/access/notifies", test_access_notifies);
    g_test_add_func("/pci/access/isr-is-cleared-by-reading", test_access_reads_isr);
    g_test_add_func("/pci/access/not-for-msix", test_access_msix);
}

static void add_master_tests(void)
{
    g_test_add_func("/pci/master/each-queue-reset-meanwhile",
                    test_each_queue_reset_while_no_bus_master);
    g_test_add_func("/pci/master/queue-reset-outlasts-it", test_queue_reset_outlasts_no_bus_master);
    g_test_add_func("/pci/master/completions-in-disorder-wait",
                    test_completions_while_no_bus_master);
    g_test_add_func("/pci/master/Z-03/frames-out-over-a-queue-reset",
                    test_frames_out_over_a_queue_reset);
    g_test_add_func("/pci/master/Z-03/frames-out-over-a-reset", test_frames_out_over_a_reset);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_set_nonfatal_assertions();
    g_test_add_func("/pci/identity", test_identity);
    g_test_add_func("/pci/identity-of-the-caller", test_subsystem);
    g_test_add_func("/pci/capabilities/C-15/list-as-strict-drivers-walk-it", test_capabilities);
    g_test_add_func("/pci/capabilities/device-structure-is-whole", test_device_structure);
    g_test_add_func("/pci/bar/sizes", test_bar_sizes);
    g_test_add_func("/pci/bar/C-01/reads-anywhere-change-nothing", test_bar_reads);
    g_test_add_func("/pci/bar/C-01/writes-where-nothing-is-change-nothing", test_bar_writes);
    g_test_add_func("/pci/bar/C-01/writes-anywhere-end-with-a-reset", test_bar_writes_anywhere);
    g_test_add_func("/pci/space/C-01/accesses-of-any-width", test_config_accesses);
    g_test_add_func("/pci/space/read-only-stays", test_config_writes);
    g_test_add_func("/pci/access/reads-the-bar", test_access_reads);
    g_test_add_func("/pci/access/writes-the-bar", test_access_writes);
    g_test_add_func("/pci/access/C-01/nonsense-does-nothing", test_access_nonsense);
    add_access_tests();
    g_test_add_func("/pci/common/accesses-of-any-width", test_common_widths);
    g_test_add_func("/pci/common/registers-written-in-parts", test_common_parts);
    g_test_add_func("/pci/common/read-only-stays", test_read_only_registers);
    g_test_add_func("/pci/common/feature-windows", test_feature_windows);
    g_test_add_func("/pci/common/driver-features-read-back", test_feature_echo);
    g_test_add_func("/pci/common/C-05/queue-sizes", test_queue_sizes);
    g_test_add_func("/pci/common/C-06/no-queue-past-the-end", test_no_queue);
    g_test_add_func("/pci/common/C-11/control-queue-behind-the-pairs", test_queue_places);
    g_test_add_func("/pci/common/C-11/enable-disable-reset-of-each-index", test_each_index);
    g_test_add_func("/pci/common/C-04/writes-when-enabled-have-no-effect",
                    test_writes_when_enabled);
    g_test_add_func("/pci/common/enable-before-features-ok-has-no-effect",
                    test_enable_before_features_ok);
    g_test_add_func("/pci/common/C-10/rings-that-are-nowhere", test_bad_areas);
    g_test_add_func("/pci/master/off-means-no-memory-and-no-message", test_no_bus_master);
    g_test_add_func("/pci/master/commands-wait", test_command_while_no_bus_master);
    g_test_add_func("/pci/master/notified-frames-wait", test_notified_while_no_bus_master);
    g_test_add_func("/pci/master/queue-reset-meanwhile", test_queue_reset_while_no_bus_master);
    g_test_add_func("/pci/master/completed-frames-wait", test_completion_while_no_bus_master);
    add_master_tests();
    g_test_add_func("/pci/master/on-after-driver-ok", test_bus_master_after_driver_ok);
    g_test_add_func("/pci/refused/each-with-its-reason", test_refusals);
    g_test_add_func("/pci/structures/of-other-callers", test_structure_sizes);
    g_test_add_func("/pci/structures/operations-of-older-callers", test_operation_sizes);
    g_test_add_func("/pci/one-function-after-the-other", test_again_and_again);
    return g_test_run();
}
