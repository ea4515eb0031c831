/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Accesses to the PCI function as input: configuration space and BARs at any offset, width and value,
 * the configuration access capability, notifications in all their forms, mixed with a driver that
 * does as it should and with frames. What must hold all along: read-only octets stay, reads change
 * nothing but the ISR, an access of any width is made of its octets, the pin and the messages follow
 * the registers, nothing is written without bus mastering. In the end a reset of the bus leaves the
 * function as it was when it was made, and working.
 *
 * Setup: 1 octet vectors, 1 multiplier and form of notification, 1 pairs and interrupts; then
 * actions, an octet each with its operands (see actions[]).
 */
#include <string.h>

#include <vionet/pci.h>

#include "input.h"
#include "reach.h"
#include "rig.h"

#define MAX_ACTIONS  96
#define MAX_OUT      64
#define BAR_MSIX     1
#define BAR_VIRTIO   4
#define COMMAND      0x04
#define STATUS       0x06
#define MASTER       0x0004u
#define INTX_DISABLE 0x0400u
#define QUEUE_SIZE   16

enum {
    BOOTED,
    CONFIG_ACCESSES,
    BAR_ACCESSES,
    CAPABILITY_ACCESSES,
    NOTIFICATIONS,
    KICKS,
    DELIVERED,
    TAKEN,
    COMMANDS_OK,
    MESSAGES,
    PIN_RAISED,
    PIN_LOWERED,
    RESETS,
    WIDTHS,
    WORKS,
};

struct reach fuzz_reach[] = {
    [BOOTED] = {"times DRIVER_OK by registers", 50, 0},
    [CONFIG_ACCESSES] = {"accesses to configuration space", 100, 0},
    [BAR_ACCESSES] = {"accesses to BARs", 100, 0},
    [CAPABILITY_ACCESSES] = {"accesses by the capability", 25, 0},
    [NOTIFICATIONS] = {"notifications", 100, 0},
    [KICKS] = {"of them heard by the host", 50, 0},
    [DELIVERED] = {"frames delivered", 50, 0},
    [TAKEN] = {"frames taken from the driver", 50, 0},
    [COMMANDS_OK] = {"commands answered with OK", 10, 0},
    [MESSAGES] = {"messages", 50, 0},
    [PIN_RAISED] = {"times the pin rose", 10, 0},
    [PIN_LOWERED] = {"times the pin fell", 10, 0},
    [RESETS] = {"resets of the bus", 50, 0},
    [WIDTHS] = {"reads put together from octets", 50, 0},
    [WORKS] = {"functions that worked in the end", 50, 0},
    {NULL, 0, 0},
};

#define REACHED(what) (fuzz_reach[what].count++)

struct run {
    struct rig rig;
    VionetPci *pci;
    VionetPciConfig config;
    struct input input;
    bool pin;
    bool notify_data; /* the draft's form is offered */
    uint64_t messages;
    /* found in the capabilities */
    uint32_t common;
    uint32_t notify;
    uint32_t isr;
    uint32_t device;
    uint32_t multiplier;
    unsigned cfg_cap;
    unsigned msix_cap; /* 0: none */
    unsigned n_vectors;
    uint8_t fixed[VIONET_PCI_CONFIG_SIZE]; /* as it was at first */
    uint8_t may_change[VIONET_PCI_CONFIG_SIZE];
    GByteArray *registers; /* all that can be read, as it was at first */
};

/* ---- plain accesses ---- */

static uint32_t config_read(struct run *run, uint32_t offset, unsigned size)
{
    return vionet_pci_config_read(run->pci, offset, size);
}

static uint64_t common_read(struct run *run, uint32_t offset, unsigned size)
{
    return vionet_pci_bar_read(run->pci, BAR_VIRTIO, run->common + offset, size);
}

static void common_write(struct run *run, uint32_t offset, unsigned size, uint64_t value)
{
    vionet_pci_bar_write(run->pci, BAR_VIRTIO, run->common + offset, size, value);
}

#define AT(field)              offsetof(struct virtio_pci_common_cfg, field)
#define SIZE(field)            sizeof(((struct virtio_pci_common_cfg *)NULL)->field)
#define GET(run, field)        common_read(run, AT(field), SIZE(field))
#define PUT(run, field, value) common_write(run, AT(field), SIZE(field), value)

static bool is_master(struct run *run)
{
    return config_read(run, COMMAND, 2) & MASTER;
}

static uint32_t msix_control(struct run *run)
{
    return run->msix_cap ? config_read(run, run->msix_cap + 2, 2) : 0;
}

/* ---- the bus ---- */

/* From within this any function may be called: the registers must say that the message may go. */
static void bus_msi(void *opaque, unsigned vector, uint64_t address, uint32_t data)
{
    struct run *run = opaque;

    REACHED(MESSAGES);
    run->messages++;
    FUZZ_REQUIRE(vector < run->n_vectors, "message of vector %u of %u", vector, run->n_vectors);
    FUZZ_REQUIRE((msix_control(run) & 0xc000) == 0x8000, "message with control 0x%x",
                 msix_control(run));
    FUZZ_REQUIRE(is_master(run), "message without bus mastering");
    FUZZ_REQUIRE(!(vionet_pci_bar_read(run->pci, BAR_MSIX, 16u * vector + 12, 4) & 1),
                 "message of vector %u, which is masked", vector);
    FUZZ_REQUIRE(vionet_pci_bar_read(run->pci, BAR_MSIX, 16u * vector, 8) == address &&
                     vionet_pci_bar_read(run->pci, BAR_MSIX, 16u * vector + 8, 4) == data,
                 "vector %u: another message", vector);
}

static void bus_intx(void *opaque, bool level)
{
    struct run *run = opaque;

    fuzz_reach[PIN_RAISED].count += level && !run->pin;
    fuzz_reach[PIN_LOWERED].count += !level && run->pin;
    run->pin = level;
}

/* ---- what holds all along ---- */

static void check_memory(struct run *run, const char *after)
{
    if (is_master(run)) {
        rig_allow_all(&run->rig);
    }
    rig_require_unchanged(&run->rig, after);
}

static void check(struct run *run, const char *after)
{
    const uint32_t status = config_read(run, STATUS, 2);
    const uint32_t command = config_read(run, COMMAND, 2);

    FUZZ_REQUIRE(
        !config_read(run, 0x3d, 1) || run->pin == ((status & 8) && !(command & INTX_DISABLE)),
        "after %s: the pin is %d, status 0x%x, command 0x%x", after, run->pin, status, command);
    check_memory(run, after);
}

static void check_fixed(struct run *run)
{
    for (unsigned i = 0; i < VIONET_PCI_CONFIG_SIZE; i++) {
        uint8_t value;

        if (i / 4 == (run->cfg_cap + 16) / 4) {
            continue; /* reading it reads a BAR */
        }
        value = (uint8_t)config_read(run, i, 1);
        FUZZ_REQUIRE(((value ^ run->fixed[i]) & ~run->may_change[i]) == 0,
                     "octet 0x%x of configuration space changed from 0x%x to 0x%x", i,
                     run->fixed[i], value);
    }
}

static void add_register(GByteArray *to, uint64_t value)
{
    g_byte_array_append(to, (const guint8 *)&value, sizeof(value));
}

/* All that can be read without effect; the generation is left out, it only ever moves on. */
static GByteArray *read_registers(struct run *run)
{
    GByteArray *all = g_byte_array_new();

    for (unsigned i = 0; i < VIONET_PCI_CONFIG_SIZE; i += 4) {
        if (i / 4 != (run->cfg_cap + 16) / 4) {
            add_register(all, config_read(run, i, 4));
        }
    }
    for (uint64_t i = 0; i < 16u * run->n_vectors + 64; i += 8) {
        add_register(all, vionet_pci_bar_read(run->pci, BAR_MSIX, i, 8));
    }
    add_register(all, GET(run, device_feature_select));
    add_register(all, GET(run, driver_feature_select));
    add_register(all, GET(run, queue_select));
    for (unsigned window = 0; window < 5; window++) {
        PUT(run, device_feature_select, window);
        PUT(run, driver_feature_select, window);
        add_register(all, GET(run, device_feature));
        add_register(all, GET(run, driver_feature));
    }
    for (unsigned queue = 0; queue <= run->rig.n_queues; queue++) {
        PUT(run, queue_select, queue);
        for (uint32_t i = AT(config_msix_vector); i < 64; i += 8) {
            const unsigned generation = 8 * (AT(config_generation) - AT(config_msix_vector));

            add_register(all,
                         common_read(run, i, 8) &
                             ~(i == AT(config_msix_vector) ? UINT64_C(0xff) << generation : 0));
        }
    }
    for (uint32_t i = 0; i < 32; i += 8) {
        add_register(all, vionet_pci_bar_read(run->pci, BAR_VIRTIO, run->device + i, 8));
    }
    PUT(run, device_feature_select, 0);
    PUT(run, driver_feature_select, 0);
    PUT(run, queue_select, 0);
    return all;
}

static void require_as_new(struct run *run)
{
    GByteArray *now = read_registers(run);

    FUZZ_REQUIRE(now->len == run->registers->len, "other registers than at first");
    for (guint i = 0; i < now->len; i++) {
        FUZZ_REQUIRE(now->data[i] == run->registers->data[i],
                     "register %u reads 0x%x after a reset, 0x%x at first", i / 8, now->data[i],
                     run->registers->data[i]);
    }
    FUZZ_REQUIRE(vionet_pci_bar_read(run->pci, BAR_VIRTIO, run->isr, 1) == 0, "ISR after a reset");
    g_byte_array_unref(now);
}

/* ---- frames ---- */

static void act_deliver(struct run *run)
{
    fuzz_reach[DELIVERED].count += rig_deliver(&run->rig, input_8(&run->input));
}

static void act_transmit(struct run *run)
{
    fuzz_reach[TAKEN].count += rig_transmit(&run->rig, input_8(&run->input), MAX_OUT);
}

/* ---- accesses ---- */

static unsigned choose_size(struct run *run)
{
    const uint8_t how = input_8(&run->input);

    return how < 240 ? 1u << (how & 3) : how & 15;
}

static void act_config_read(struct run *run)
{
    const uint32_t offset = input_edgy(&run->input, 256);
    const unsigned size = choose_size(run);
    const uint32_t value = config_read(run, offset, size);
    const bool valid = (size == 1 || size == 2 || size == 4) && offset % size == 0 && offset < 256;

    REACHED(CONFIG_ACCESSES);
    FUZZ_REQUIRE(valid || value == UINT32_MAX, "a read of %u octets at 0x%x gives 0x%x", size,
                 offset, value);
}

static void act_config_write(struct run *run)
{
    const uint8_t how = input_8(&run->input);
    const unsigned size = choose_size(run);
    const uint32_t offset = how < 0xf0 ? how & ~(size - 1u) : input_edgy(&run->input, 256);
    const uint32_t value = input_edgy(&run->input, 0x406);

    vionet_pci_config_write(run->pci, offset, size, value);
    REACHED(CONFIG_ACCESSES);
    check_fixed(run);
}

/* Somewhere in a BAR, mostly where something stands. */
static uint64_t choose_offset(struct run *run, unsigned bar)
{
    const uint8_t how = input_8(&run->input);
    const uint8_t low = input_8(&run->input);

    if (bar == BAR_MSIX) {
        return how < 0xe0 ? low
                          : input_edgy(&run->input, (uint32_t)vionet_pci_bar_size(run->pci, bar));
    }
    switch (how >> 5) {
    case 0:
    case 1:
    case 2:
        return run->common + low % 72;
    case 3:
        return run->device + low % 40;
    case 4:
        return run->isr + low % 8;
    case 5:
        return run->notify + (uint64_t)low * (how & 16 ? run->multiplier : 1);
    case 6:
        return input_edgy(&run->input, (uint32_t)vionet_pci_bar_size(run->pci, bar));
    default:
        return input_64(&run->input);
    }
}

static void act_bar_read(struct run *run)
{
    const uint8_t how = input_8(&run->input);
    const unsigned bar = how < 0xc0 ? BAR_VIRTIO : how < 0xe0 ? BAR_MSIX : how & 31;
    const unsigned size = choose_size(run);
    const uint64_t offset = choose_offset(run, bar);
    const uint64_t value = vionet_pci_bar_read(run->pci, bar, offset, size);

    REACHED(BAR_ACCESSES);
    FUZZ_REQUIRE(size >= 8 || !(value >> 8 * size) || !(size & (size - 1)),
                 "a read of %u octets gives 0x%llx", size, (unsigned long long)value);
}

static void act_bar_write(struct run *run)
{
    const uint8_t how = input_8(&run->input);
    const unsigned bar = how < 0xc0 ? BAR_VIRTIO : how < 0xe0 ? BAR_MSIX : how & 31;
    const unsigned size = choose_size(run);
    const uint64_t offset = choose_offset(run, bar);
    const uint64_t value = how & 1 ? input_64(&run->input) : input_edgy(&run->input, 16);

    vionet_pci_bar_write(run->pci, bar, offset, size, value);
    REACHED(BAR_ACCESSES);
}

/* A read without effects gives the same as its octets one by one. */
static void act_widths(struct run *run)
{
    const uint8_t where = input_8(&run->input);
    const unsigned size = 1u << (where & 3);
    const uint64_t base = where & 0x80 ? run->device : run->common;
    const uint64_t offset = base + (where >> 2 & 31) * 2u + (where & 1);
    uint64_t together = 0;
    uint64_t value;

    vionet_pci_bar_read(run->pci, BAR_VIRTIO, run->device, 1); /* the generation settles */
    value = vionet_pci_bar_read(run->pci, BAR_VIRTIO, offset, size);
    for (unsigned i = size; i-- > 0;) {
        together = together << 8 | vionet_pci_bar_read(run->pci, BAR_VIRTIO, offset + i, 1);
    }
    FUZZ_REQUIRE(value == together, "0x%llx is read at 0x%llx, 0x%llx octet by octet",
                 (unsigned long long)value, (unsigned long long)offset,
                 (unsigned long long)together);
    REACHED(WIDTHS);
}

/* By the capability: where it leads to plain registers, the same as by the BAR. */
static void act_capability(struct run *run)
{
    const uint8_t how = input_8(&run->input);
    const unsigned len = how & 0x40 ? input_8(&run->input) : 1u << (how & 3) % 3;
    const uint8_t bar = how & 0x20 ? input_8(&run->input) : BAR_VIRTIO;
    const uint32_t offset = (uint32_t)choose_offset(run, BAR_VIRTIO);
    const uint32_t data = run->cfg_cap + 16;
    const bool valid = bar == BAR_VIRTIO && (len == 1 || len == 2 || len == 4) && offset % len == 0;

    vionet_pci_config_write(run->pci, run->cfg_cap + 4, 1, bar);
    vionet_pci_config_write(run->pci, run->cfg_cap + 8, 4, offset);
    vionet_pci_config_write(run->pci, run->cfg_cap + 12, 4, len);
    REACHED(CAPABILITY_ACCESSES);
    if (how & 0x80) {
        vionet_pci_config_write(run->pci, data, 4, input_edgy(&run->input, 16));
    } else {
        const uint32_t value = config_read(run, data, 4);
        const uint64_t direct = valid && offset / 4096 != run->isr / 4096
                                    ? vionet_pci_bar_read(run->pci, BAR_VIRTIO, offset, len)
                                    : value;

        FUZZ_REQUIRE(value == direct, "0x%x by the capability, 0x%llx by the BAR", value,
                     (unsigned long long)direct);
        FUZZ_REQUIRE(valid || value == 0, "0x%x is read where there is nothing", value);
    }
    check_fixed(run);
}

/* A write narrower than a register leaves its other octets. */
static void act_narrow_write(struct run *run)
{
    static const struct {
        uint8_t at;
        uint8_t size;
    } plain[] = {
        {AT(device_feature_select), 4}, {AT(driver_feature_select), 4}, {AT(queue_select), 2}};
    const uint8_t how = input_8(&run->input);
    const unsigned which = how % 3;
    const unsigned size = 1u << (how >> 2 & 3);
    const unsigned skip = (how >> 4 & 3) % plain[which].size;
    const unsigned n = size < plain[which].size - skip ? size : plain[which].size - skip;
    const uint64_t mask = ((UINT64_C(1) << 8 * n) - 1) << 8 * skip;
    const uint32_t before = input_32(&run->input);
    const uint32_t value = input_32(&run->input);
    uint64_t expected, found;

    if (skip + size > 4) {
        return; /* the next register is another matter */
    }
    common_write(run, plain[which].at, plain[which].size, before);
    common_write(run, plain[which].at + skip, size, value);
    expected = (before & ~mask) | ((uint64_t)value << 8 * skip & mask);
    expected &= (UINT64_C(1) << 8 * plain[which].size) - 1;
    found = common_read(run, plain[which].at, plain[which].size);
    FUZZ_REQUIRE(found == expected, "0x%llx, not 0x%llx after a write of %u octets",
                 (unsigned long long)found, (unsigned long long)expected, size);
    REACHED(WIDTHS);
}

static void act_isr(struct run *run)
{
    vionet_pci_bar_read(run->pci, BAR_VIRTIO, run->isr, 1);
    FUZZ_REQUIRE(!(config_read(run, STATUS, 2) & 8),
                 "an interrupt is pending after the ISR's read");
    FUZZ_REQUIRE(!run->pin, "the pin is up after the ISR's read");
}

/* Registers of a queue that does not exist read as 0. */
static void act_no_queue(struct run *run)
{
    const uint16_t before = (uint16_t)GET(run, queue_select);
    const uint16_t queue =
        (uint16_t)(run->rig.n_queues + input_16(&run->input) % (0x10000 - run->rig.n_queues));

    PUT(run, queue_select, queue);
    FUZZ_REQUIRE(GET(run, queue_size) == 0 && GET(run, queue_enable) == 0 &&
                     GET(run, queue_desc) == 0 && GET(run, queue_driver) == 0 &&
                     GET(run, queue_device) == 0 && GET(run, queue_reset) == 0,
                 "there is a queue %u", queue);
    PUT(run, queue_size, 16);
    PUT(run, queue_msix_vector, 0);
    PUT(run, queue_enable, 1);
    PUT(run, queue_reset, 1);
    PUT(run, queue_select, before);
}

static void act_register(struct run *run)
{
    static const struct {
        uint8_t at;
        uint8_t size;
    } registers[] = {
        {AT(device_feature_select), 4},
        {AT(driver_feature_select), 4},
        {AT(driver_feature), 4},
        {AT(config_msix_vector), 2},
        {AT(device_status), 1},
        {AT(queue_select), 2},
        {AT(queue_size), 2},
        {AT(queue_msix_vector), 2},
        {AT(queue_enable), 2},
        {AT(queue_desc), 4},
        {AT(queue_desc) + 4, 4},
        {AT(queue_driver), 4},
        {AT(queue_driver) + 4, 4},
        {AT(queue_device), 4},
        {AT(queue_device) + 4, 4},
        {AT(queue_reset), 2},
    };
    const unsigned which = input_below(&run->input, sizeof(registers) / sizeof(registers[0]));

    PUT(run, queue_select, input_below(&run->input, run->rig.n_queues + 1));
    common_write(run, registers[which].at, registers[which].size,
                 input_edgy(&run->input, (uint32_t)RIG_BASE));
    REACHED(BAR_ACCESSES);
}

/* ---- MSI-X ---- */

static void act_vector(struct run *run)
{
    const uint8_t how = input_8(&run->input);
    const uint32_t entry = 16u * (how % (run->n_vectors + 1));

    vionet_pci_bar_write(run->pci, BAR_MSIX, entry, 8, UINT64_C(0xfee00000) + 4u * how);
    vionet_pci_bar_write(run->pci, BAR_MSIX, entry + 8, 4, how);
    vionet_pci_bar_write(run->pci, BAR_MSIX, entry + 12, 4, how & 0x80 ? UINT32_MAX : 0xfffffffe);
    FUZZ_REQUIRE(!(vionet_pci_bar_read(run->pci, BAR_MSIX, entry + 12, 4) >> 1),
                 "a reserved bit of a vector is set");
    REACHED(BAR_ACCESSES);
}

static void act_msix_control(struct run *run)
{
    const uint8_t how = input_8(&run->input);

    if (run->msix_cap) {
        vionet_pci_config_write(run->pci, run->msix_cap + 2, 2, (uint32_t)how << 8);
    }
    vionet_pci_config_write(run->pci, COMMAND, 2, how & 1 ? 0x402 : how & 2 ? 0x2 : 0x6);
    REACHED(CONFIG_ACCESSES);
}

/* ---- a driver of manners ---- */

static void set_up_queue(struct run *run, unsigned queue)
{
    const struct rig_queue *q = &run->rig.queues[queue];

    PUT(run, queue_select, queue);
    if (!GET(run, queue_size)) {
        return;
    }
    rig_place(&run->rig, queue, QUEUE_SIZE);
    PUT(run, queue_size, QUEUE_SIZE);
    PUT(run, queue_msix_vector, run->n_vectors ? run->n_vectors > 1 : VIRTIO_MSI_NO_VECTOR);
    PUT(run, queue_desc, q->area[0]);
    PUT(run, queue_driver, q->area[1]);
    PUT(run, queue_device, q->area[2]);
    PUT(run, queue_enable, 1);
}

/* From reset to DRIVER_OK, with the features of a word. */
static bool boot(struct run *run, uint32_t bits)
{
    static const uint8_t features[] = {VIRTIO_NET_F_CTRL_VQ,        VIRTIO_NET_F_MQ,
                                       VIRTIO_NET_F_MRG_RXBUF,      VIRTIO_F_EVENT_IDX,
                                       VIRTIO_F_INDIRECT_DESC,      VIRTIO_F_RING_RESET,
                                       VIRTIO_NET_F_STATUS,         VIRTIO_NET_F_HASH_REPORT,
                                       VIRTIO_F_NOTIFICATION_DATA,  VIRTIO_F_NOTIF_CONFIG_DATA,
                                       VIRTIO_NET_F_GUEST_ANNOUNCE, VIRTIO_NET_F_CTRL_RX};
    static const uint8_t zero[RIG_MAX_QUEUES * RIG_RING_SPACE];
    uint64_t accepted[VIONET_FEATURE_WORDS] = {0};

    rig_give_back(&run->rig);
    check_memory(run, "the last completions"); /* without bus mastering there is nothing to see */
    vionet_pci_config_write(run->pci, COMMAND, 2, MASTER | 2);
    PUT(run, device_status, 0);
    rig_allow_all(&run->rig);
    rig_store(&run->rig, RIG_BASE, zero, sizeof(zero));
    memset(run->rig.queues, 0, sizeof(run->rig.queues));
    memset(run->rig.faulted, 0, sizeof(run->rig.faulted));
    PUT(run, device_status, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
    vionet_features_set(accepted, VIRTIO_F_VERSION_1, true);
    for (unsigned i = 0; i < sizeof(features); i++) {
        const VionetConfig *config = vionet_device_config(run->rig.device);

        vionet_features_set(accepted, features[i],
                            (bits >> i & 1) && vionet_features_test(config->features, features[i]));
    }
    rig_sound_features(accepted);
    for (unsigned window = 0; window < 4; window++) {
        PUT(run, driver_feature_select, window);
        PUT(run, driver_feature, (uint32_t)(accepted[window / 2] >> 32 * (window % 2)));
    }
    PUT(run, device_status,
        VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_FEATURES_OK);
    if (!(GET(run, device_status) & VIRTIO_STATUS_FEATURES_OK)) {
        return false;
    }
    memcpy(run->rig.accepted, accepted, sizeof(accepted));
    PUT(run, config_msix_vector, run->n_vectors ? 0 : VIRTIO_MSI_NO_VECTOR);
    for (unsigned queue = 0; queue < run->rig.n_queues; queue++) {
        set_up_queue(run, queue);
    }
    PUT(run, device_status, GET(run, device_status) | VIRTIO_STATUS_DRIVER_OK);
    REACHED(BOOTED);
    return true;
}

static void act_boot(struct run *run)
{
    boot(run, input_16(&run->input));
}

/* The queue whose notifications the device keeps to itself, whoever negotiated that. */
static bool is_control(const struct run *run, unsigned queue)
{
    const VionetDevice *device = run->rig.device;
    const bool several = vionet_device_negotiated(device, VIRTIO_NET_F_MQ) ||
                         vionet_device_negotiated(device, VIRTIO_NET_F_RSS);

    return vionet_device_negotiated(device, VIRTIO_NET_F_CTRL_VQ) &&
           queue == (several ? run->rig.n_queues - 1 : 2);
}

/* What a driver that has read the specification writes, and where. */
static void notify(struct run *run, unsigned queue)
{
    const struct rig_queue *q = &run->rig.queues[queue];
    const bool with_data = vionet_device_negotiated(run->rig.device, VIRTIO_F_NOTIFICATION_DATA);
    const uint64_t kicks = run->rig.kicks[queue];
    uint32_t id = queue;
    uint64_t at;

    PUT(run, queue_select, queue);
    if (vionet_device_negotiated(run->rig.device, VIRTIO_F_NOTIF_CONFIG_DATA)) {
        id = (uint32_t)GET(run, queue_notif_config_data);
    } else if (with_data && run->notify_data) {
        id = run->config.notify_data;
    }
    at = run->notify + GET(run, queue_notify_off) * run->multiplier;
    if (with_data) {
        vionet_pci_bar_write(run->pci, BAR_VIRTIO, at, 4, id | (uint32_t)q->posted << 16);
    } else {
        vionet_pci_bar_write(run->pci, BAR_VIRTIO, at, 2, id);
    }
    REACHED(NOTIFICATIONS);
    FUZZ_REQUIRE(run->rig.kicks[queue] > kicks || !GET(run, queue_size) ||
                     !(GET(run, device_status) & VIRTIO_STATUS_DRIVER_OK) || is_control(run, queue),
                 "a notification of queue %u is not heard", queue);
}

/* With EVENT_IDX: of the next buffer that is used. */
static void want_interrupt(struct run *run, unsigned queue)
{
    const struct rig_queue *q = &run->rig.queues[queue];

    rig_store16(&run->rig, q->area[VIONET_AREA_DRIVER] + 4 + 2u * q->size,
                rig_load16(&run->rig, q->area[VIONET_AREA_DEVICE] + 2));
}

/* A buffer into a queue, or a command that makes the device promiscuous; and the notification. */
static void post(struct run *run, unsigned queue)
{
    const uint8_t command[3] = {VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 1};
    const bool control = queue == rig_control(&run->rig);
    struct rig_piece pieces[2] = {{rig_buffer(&run->rig, 128), 128, queue % 2 == 0}, {0, 1, true}};
    unsigned n = 1;

    if (!run->rig.queues[queue].size) {
        return;
    }
    if (control) {
        pieces[0].len = 3;
        pieces[0].writable = false;
        pieces[1].gpa = rig_buffer(&run->rig, 1);
        rig_store(&run->rig, pieces[0].gpa, command, 3);
        n = 2;
    } else if (queue % 2) {
        const uint8_t zero[128] = {0};

        rig_store(&run->rig, pieces[0].gpa, zero, sizeof(zero));
    }
    rig_post(&run->rig, queue, pieces, n, false);
    rig_publish(&run->rig, queue);
    want_interrupt(run, queue);
    notify(run, queue);
}

static void act_post(struct run *run)
{
    const uint8_t how = input_8(&run->input);

    for (unsigned i = 0; i <= how >> 5; i++) {
        post(run, how % run->rig.n_queues);
    }
}

static void act_notify(struct run *run)
{
    const unsigned queue = input_8(&run->input);
    const unsigned size = choose_size(run);
    const uint32_t value = input_edgy(&run->input, queue);

    vionet_pci_bar_write(run->pci, BAR_VIRTIO,
                         run->notify + (uint64_t)queue * (run->multiplier ? run->multiplier : 1),
                         size, value);
    REACHED(NOTIFICATIONS);
}

/* ---- the machine ---- */

static void act_machine(struct run *run)
{
    const uint8_t how = input_8(&run->input);

    switch (how & 3) {
    case 0:
        vionet_device_set_link(run->rig.device, how & 0x80);
        break;
    case 1:
        vionet_device_announce(run->rig.device);
        break;
    default:
        vionet_device_set_poll(run->rig.device, how >> 4 & 7, how & 8);
        break;
    }
}

static void bus_reset(struct run *run)
{
    rig_give_back(&run->rig);
    vionet_device_set_link(run->rig.device, true);
    check_memory(run, "the last completions"); /* while the command register tells */
    vionet_pci_reset(run->pci);
    FUZZ_REQUIRE(!run->pin, "the pin is up after a reset");
    memset(run->rig.accepted, 0, sizeof(run->rig.accepted));
    memset(run->rig.queues, 0, sizeof(run->rig.queues));
    memset(run->rig.faulted, 0, sizeof(run->rig.faulted));
    require_as_new(run);
    REACHED(RESETS);
}

static void act_bus_reset(struct run *run)
{
    bus_reset(run);
}

static void (*const actions[])(struct run *run) = {
    act_boot,         act_post,         act_post,         act_post,       act_deliver,
    act_deliver,      act_transmit,     act_transmit,     act_isr,        act_notify,
    act_register,     act_register,     act_bar_write,    act_bar_write,  act_bar_read,
    act_widths,       act_vector,       act_msix_control, act_capability, act_capability,
    act_config_read,  act_config_write, act_no_queue,     act_machine,    act_bus_reset,
    act_narrow_write,
};

#define N_ACTIONS (sizeof(actions) / sizeof(actions[0]))

/* ---- a run ---- */

static uint32_t le32_at(const uint8_t *at)
{
    return at[0] | at[1] << 8 | at[2] << 16 | (uint32_t)at[3] << 24;
}

static void learn_virtio(struct run *run, unsigned cap)
{
    const uint8_t *p = run->fixed + cap;
    const uint32_t offset = le32_at(p + 8);

    switch (p[3]) {
    case VIRTIO_PCI_CAP_COMMON_CFG:
        run->common = offset;
        break;
    case VIRTIO_PCI_CAP_NOTIFY_CFG:
        run->notify = offset;
        run->multiplier = le32_at(p + 16);
        break;
    case VIRTIO_PCI_CAP_ISR_CFG:
        run->isr = offset;
        break;
    case VIRTIO_PCI_CAP_DEVICE_CFG:
        run->device = offset;
        break;
    default:
        run->cfg_cap = cap;
        memset(run->may_change + cap + 4, 0xff, 1);
        memset(run->may_change + cap + 8, 0xff, 12);
        break;
    }
}

/* Walks the capabilities; notes which octets of configuration space may ever change. */
static void learn_config_space(struct run *run)
{
    unsigned cap;

    for (unsigned i = 0; i < VIONET_PCI_CONFIG_SIZE; i++) {
        run->fixed[i] = (uint8_t)config_read(run, i, 1);
    }
    run->may_change[COMMAND] = 0x06;
    run->may_change[COMMAND + 1] = 0x04;
    run->may_change[STATUS] = 0x08;
    run->may_change[0x3c] = 0xff;
    for (unsigned bar = 0; bar < 6; bar++) {
        if (vionet_pci_bar_size(run->pci, bar) || bar == BAR_VIRTIO + 1) {
            memset(run->may_change + 0x10 + 4 * bar, 0xff, 4);
        }
    }
    for (cap = run->fixed[0x34]; cap; cap = run->fixed[cap + 1]) {
        FUZZ_REQUIRE(cap >= 0x40 && cap < 0xfc, "a capability at 0x%x", cap);
        if (run->fixed[cap] == 0x09) {
            learn_virtio(run, cap);
        } else if (run->fixed[cap] == 0x11) {
            run->msix_cap = cap;
            run->n_vectors = 1u + (run->fixed[cap + 2] | (run->fixed[cap + 3] & 7) << 8);
            run->may_change[cap + 3] = 0xc0;
        }
    }
}

static void choose_config(struct run *run, VionetConfig *config)
{
    static const uint16_t vectors[] = {VIONET_PCI_VECTORS_AUTO, 0, 1, 2, 3, 64, 65, 33};
    static const uint32_t multipliers[] = {4, 0, 2, 8, 4096, 4, 4, 65536};
    const uint8_t how = input_8(&run->input);

    vionet_pci_config_init(&run->config);
    run->config.n_vectors = vectors[how & 7];
    run->config.notify_multiplier = multipliers[how >> 3 & 7];
    vionet_features_set(config->features, VIRTIO_F_NOTIF_CONFIG_DATA, how >> 6 == 1);
    vionet_features_set(config->features, VIRTIO_F_NOTIFICATION_DATA,
                        how >> 6 && run->config.notify_multiplier % 4 == 0);
    if (how >> 6 == 3 && run->config.notify_multiplier % 4 == 0 && run->config.notify_multiplier) {
        run->notify_data = run->config.notify_data_valid = true;
        run->config.notify_data = 0xbeef;
        run->config.notify_data_lenient = how & 1;
    }
    config->notif_config_base = 0x100;
}

static void begin(struct run *run, const uint8_t *data, size_t size)
{
    VionetPciOps ops = {.size = sizeof(ops), .msi = bus_msi, .intx = bus_intx};
    VionetConfig config;
    GError *error = NULL;
    uint8_t how;

    memset(run, 0, sizeof(*run));
    run->input = input_of(data, size);
    how = input_8(&run->input);
    rig_config(&config, vionet_dialect_at(how >> 4 & 3), 1 + (how & 3) % RIG_MAX_PAIRS);
    choose_config(run, &config);
    if (how & 4) {
        ops.intx = NULL;
    }
    if (how & 8) {
        ops.msi = NULL;
        run->config.n_vectors = 0;
    }
    rig_init(&run->rig, &config);
    run->pci = vionet_pci_new(run->rig.device, &run->config, &ops, run, &error);
    FUZZ_REQUIRE(run->pci, "no function: %s", error->message);
    learn_config_space(run);
    run->registers = read_registers(run);
}

static void require_works(struct run *run)
{
    const uint64_t delivered = fuzz_reach[DELIVERED].count;
    const uint64_t taken = fuzz_reach[TAKEN].count;

    bus_reset(run);
    FUZZ_REQUIRE(boot(run, 0), "VERSION_1 is refused");
    post(run, 0);
    post(run, 1);
    run->input = input_of(NULL, 0);
    act_deliver(run);
    act_transmit(run);
    rig_give_back(&run->rig);
    FUZZ_REQUIRE(fuzz_reach[DELIVERED].count == delivered + 1, "no frame is delivered");
    FUZZ_REQUIRE(fuzz_reach[TAKEN].count == taken + 1, "no frame is taken");
    REACHED(WORKS);
}

static void count_commands(const struct run *run)
{
    for (unsigned i = 0; i < run->rig.n_queues; i++) {
        fuzz_reach[COMMANDS_OK].count +=
            vionet_device_counter(run->rig.device, i, VIONET_COUNTER_COMMANDS_OK);
        fuzz_reach[KICKS].count += run->rig.kicks[i];
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run run;

    begin(&run, data, size);
    for (unsigned i = 0; i < MAX_ACTIONS && !input_ended(&run.input); i++) {
        actions[input_below(&run.input, N_ACTIONS)](&run);
        check(&run, "an action");
    }
    count_commands(&run);
    require_works(&run);
    g_byte_array_unref(run.registers);
    vionet_pci_free(run.pci);
    rig_end(&run.rig);
    return 0;
}
