/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Wires device, PCI function, guest memory and guest driver together (see machine.h).
 */
#include "machine/machine.h"

#include <string.h>

#include <vionet/spec.h>

#define DEFAULT_MEMORY_BASE (UINT64_C(1) << 20)
#define DEFAULT_MEMORY_SIZE (UINT64_C(64) << 20)
#define DRAIN_BURST         64
#define MIXED_PART          (3u * 4096)
#define MIXED_PARTS         128

/* ---- the guest's accesses ---- */

static uint32_t config_read(void *opaque, uint32_t offset, unsigned size)
{
    return vionet_pci_config_read(*(VionetPci *const *)opaque, offset, size);
}

static void config_write(void *opaque, uint32_t offset, unsigned size, uint32_t value)
{
    vionet_pci_config_write(*(VionetPci *const *)opaque, offset, size, value);
}

static uint64_t bar_read(void *opaque, unsigned bar, uint64_t offset, unsigned size)
{
    return vionet_pci_bar_read(*(VionetPci *const *)opaque, bar, offset, size);
}

static void bar_write(void *opaque, unsigned bar, uint64_t offset, unsigned size, uint64_t value)
{
    vionet_pci_bar_write(*(VionetPci *const *)opaque, bar, offset, size, value);
}

struct guest_access machine_access(VionetPci *const *pci)
{
    return (struct guest_access){
        .opaque = (void *)pci,
        .config_read = config_read,
        .config_write = config_write,
        .bar_read = bar_read,
        .bar_write = bar_write,
    };
}

static uint64_t window_read(void *opaque, unsigned bar, uint64_t offset, unsigned size)
{
    (void)bar;
    return vionet_mmio_read(*(VionetMmio *const *)opaque, offset, size);
}

static void window_write(void *opaque, unsigned bar, uint64_t offset, unsigned size, uint64_t value)
{
    (void)bar;
    vionet_mmio_write(*(VionetMmio *const *)opaque, offset, size, value);
}

static struct guest_access mmio_access(VionetMmio *const *mmio)
{
    return (struct guest_access){
        .opaque = (void *)mmio,
        .bar_read = window_read,
        .bar_write = window_write,
    };
}

/* ---- the device's host ---- */

static void host_kick(void *opaque, unsigned queue)
{
    struct machine *machine = opaque;

    machine->kicks++;
    machine->last_kick = queue;
    if (machine->on_kick) {
        machine->on_kick(machine, queue);
    }
}

static void host_event(void *opaque, const VionetEvent *event)
{
    struct machine *machine = opaque;

    if (machine->n_events < MACHINE_MAX_EVENTS) {
        machine->events[machine->n_events] = *event;
    }
    machine->n_events++;
    if (machine->on_event) {
        machine->on_event(machine, event);
    }
}

static uint64_t host_clock(void *opaque)
{
    return ((struct machine *)opaque)->now_ns;
}

static void host_timer(void *opaque, unsigned queue, uint64_t deadline_ns)
{
    ((struct machine *)opaque)->deadline_ns[queue] = deadline_ns;
}

static void host_trace(void *opaque, const VionetTrace *trace)
{
    struct machine *machine = opaque;

    machine->on_trace(machine, trace);
}

/* Remote memory. */
static bool host_dma(struct machine *machine, uint64_t gpa, size_t len, bool write)
{
    machine->n_dma++;
    g_assert_cmpuint(len, >, 0);
    g_assert_nonnull(guest_ptr(machine->memory, gpa, len));
    if (machine->on_dma) {
        machine->on_dma(machine, gpa, len, write);
    }
    return !machine->dma_fail_at || machine->n_dma < machine->dma_fail_at;
}

static bool host_dma_read(void *opaque, uint64_t gpa, void *buf, size_t len)
{
    struct machine *machine = opaque;

    return host_dma(machine, gpa, len, false) && guest_read(machine->memory, gpa, buf, len);
}

static bool host_dma_write(void *opaque, uint64_t gpa, const void *buf, size_t len)
{
    struct machine *machine = opaque;

    machine->dma_written += len;
    return host_dma(machine, gpa, len, true) && guest_write(machine->memory, gpa, buf, len);
}

static void host_msi(void *opaque, unsigned vector, uint64_t address, uint32_t data)
{
    struct machine *machine = opaque;

    (void)address;
    (void)data;
    if (machine->driver) {
        guest_driver_msi(machine->driver, vector);
    }
}

static void host_intx(void *opaque, bool level)
{
    struct machine *machine = opaque;

    if (machine->driver) {
        guest_driver_intx(machine->driver, level);
    }
}

/* ---- building ---- */

void machine_setup_init(struct machine_setup *setup)
{
    memset(setup, 0, sizeof(*setup));
    vionet_config_init(&setup->device);
    vionet_pci_config_init(&setup->pci);
}

void machine_setup_offer_all(struct machine_setup *setup)
{
    const VionetFeature *feature;

    for (unsigned i = 0; (feature = vionet_feature_at(setup->device.dialect, i)) != NULL; i++) {
        vionet_features_set(setup->device.features, feature->bit, true);
    }
}

/* Features of the rings that are on or off whatever a test wants. */
static void choose_ring(struct machine *machine, enum machine_ring ring)
{
    static const struct {
        const char *word;
        unsigned feature;
        bool on;
    } words[] = {
        {"split", VIRTIO_F_RING_PACKED, false},         {"packed", VIRTIO_F_RING_PACKED, true},
        {"in-order", VIRTIO_F_IN_ORDER, true},          {"no-event-idx", VIRTIO_F_EVENT_IDX, false},
        {"no-indirect", VIRTIO_F_INDIRECT_DESC, false},
    };
    const char *asked = g_getenv("VIONET_TEST_RING");
    char **list = g_strsplit(asked ? asked : "", ",", 0);

    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        if (g_strv_contains((const char *const *)list, words[i].word)) {
            features_add(words[i].on ? &machine->ring_on : &machine->ring_off, words[i].feature);
        }
    }
    g_strfreev(list);
    if (ring != MACHINE_NEGOTIATED) {
        features_remove(&machine->ring_on, VIRTIO_F_RING_PACKED);
        features_remove(&machine->ring_off, VIRTIO_F_RING_PACKED);
        features_add(ring == MACHINE_PACKED ? &machine->ring_on : &machine->ring_off,
                     VIRTIO_F_RING_PACKED);
    }
}

/* By enum machine_transport. */
static const struct {
    const char *word;
    const struct guest_transport *driver;
    bool mmio;
    bool big_endian;
} transports[] = {
    [MACHINE_PCI] = {"pci", &transport_pci, false, false},
    [MACHINE_PCI_LEGACY] = {"pci-legacy", &transport_pci_legacy, false, false},
    [MACHINE_PCI_LEGACY_BIG] = {"pci-legacy-big", &transport_pci_legacy, false, true},
    [MACHINE_MMIO] = {"mmio", &transport_mmio, true, false},
    [MACHINE_MMIO_LEGACY] = {"mmio-legacy", &transport_mmio_legacy, true, false},
    [MACHINE_MMIO_LEGACY_BIG] = {"mmio-legacy-big", &transport_mmio_legacy, true, true},
};

static enum machine_transport default_transport(void)
{
    const char *asked = g_getenv("VIONET_TEST_TRANSPORT");

    for (unsigned i = MACHINE_PCI; asked && i < G_N_ELEMENTS(transports); i++) {
        if (strcmp(asked, transports[i].word) == 0) {
            return i;
        }
    }
    g_assert_null(asked);
    return MACHINE_PCI;
}

/* Some pages of a region, remote or not. */
static bool map_part(VionetDevice *device, const struct guest_region *region, uint64_t at,
                     uint64_t size, bool remote, GError **error)
{
    return remote ? vionet_device_map_remote(device, region->gpa + at, size, 0, error)
                  : vionet_device_map(device, region->gpa + at, (uint8_t *)region->host + at, size,
                                      0, error);
}

static bool map_mixed(VionetDevice *device, const struct guest_region *region, GError **error)
{
    uint64_t at = 0;

    for (unsigned i = 0; i < MIXED_PARTS && region->size - at > MIXED_PART; i++, at += MIXED_PART) {
        if (!map_part(device, region, at, MIXED_PART, i % 2 == 0, error)) {
            return false;
        }
    }
    return map_part(device, region, at, region->size - at, false, error);
}

static bool map_memory(struct machine *machine, VionetDevice *device, GError **error)
{
    enum machine_memory kind = machine->setup.kind;
    const struct guest_region *regions;
    unsigned n = guest_memory_regions(machine->memory, &regions);
    const char *asked = g_getenv("VIONET_TEST_REMOTE");

    if (kind == MACHINE_DEFAULT && asked) {
        kind = strcmp(asked, "mixed") == 0 ? MACHINE_MIXED : MACHINE_REMOTE;
    }
    for (unsigned i = 0; i < n; i++) {
        if (!(kind == MACHINE_MIXED ? map_mixed(device, &regions[i], error)
                                    : map_part(device, &regions[i], 0, regions[i].size,
                                               kind == MACHINE_REMOTE, error))) {
            return false;
        }
    }
    return true;
}

static VionetPci *make_pci(struct machine *machine, VionetDevice *device, GError **error)
{
    const VionetPciOps bus = {
        .size = sizeof(bus),
        .msi = machine->setup.no_msi ? NULL : host_msi,
        .intx = machine->setup.no_intx ? NULL : host_intx,
    };
    VionetPciConfig config = machine->setup.pci;

    config.legacy |= transports[machine->transport].driver->legacy;
    config.legacy_big_endian = transports[machine->transport].big_endian;
    return vionet_pci_new(device, &config, &bus, machine, error);
}

static VionetMmio *make_mmio(struct machine *machine, VionetDevice *device, GError **error)
{
    const VionetMmioOps board = {.size = sizeof(board), .interrupt = host_intx};
    VionetMmioConfig config;

    vionet_mmio_config_init(&config);
    config.version = transports[machine->transport].driver->legacy ? 1 : 2;
    config.legacy_big_endian = transports[machine->transport].big_endian;
    return vionet_mmio_new(device, &config, &board, machine, error);
}

/* A device with its transport, of the machine's setup. What was made is left to be freed. */
static bool make_device(struct machine *machine, struct machine_device *made, GError **error)
{
    const struct machine_setup *setup = &machine->setup;
    const VionetHostOps host = {
        .size = sizeof(host),
        .kick = host_kick,
        .event = host_event,
        .clock_ns = host_clock,
        .timer = host_timer,
        .trace = setup->on_trace ? host_trace : NULL,
        .dma_read = host_dma_read,
        .dma_write = host_dma_write,
    };

    made->device = vionet_device_new(&setup->device, &host, machine, error);
    if (!made->device) {
        return false;
    }
    if (transports[machine->transport].mmio) {
        made->mmio = make_mmio(machine, made->device, error);
    } else {
        made->pci = make_pci(machine, made->device, error);
    }
    return made->mmio || made->pci;
}

static bool build(struct machine *machine, const struct machine_setup *setup, GError **error)
{
    struct machine_device made = {0};
    bool good;

    machine->setup = *setup;
    choose_ring(machine, setup->ring);
    for (unsigned bit = 0; bit < 32 * FEATURES_WINDOWS; bit++) {
        if (features_has(&machine->ring_on, bit)) {
            vionet_features_set(machine->setup.device.features, bit, true);
        }
    }
    if (transports[machine->transport].mmio) {
        vionet_features_set(machine->setup.device.features, VIRTIO_F_NOTIF_CONFIG_DATA, false);
    }
    machine->on_trace = setup->on_trace;
    good = make_device(machine, &made, error);
    machine->device = made.device;
    machine->pci = made.pci;
    machine->mmio = made.mmio;
    if (!good) {
        return false;
    }
    machine->memory = setup->memory ? guest_memory_new(setup->memory)
                                    : guest_memory_flat(DEFAULT_MEMORY_BASE,
                                                        setup->memory_size ? setup->memory_size
                                                                           : DEFAULT_MEMORY_SIZE);
    return map_memory(machine, machine->device, error);
}

struct machine *machine_new(const struct machine_setup *setup, GError **error)
{
    struct machine *machine = g_new0(struct machine, 1);
    struct guest_driver_options options = setup->driver;

    machine->now_ns = 1;
    machine->net_options = setup->net;
    machine->transport = setup->transport ? setup->transport : default_transport();
    machine->access = transports[machine->transport].mmio ? mmio_access(&machine->mmio)
                                                          : machine_access(&machine->pci);
    if (!build(machine, setup, error)) {
        machine_free(machine);
        return NULL;
    }
    options.transport = transports[machine->transport].driver;
    options.big_endian = transports[machine->transport].big_endian;
    machine->driver = guest_driver_new(&machine->access, machine->memory, &options);
    return machine;
}

void machine_free(struct machine *machine)
{
    struct guest_driver *driver;

    if (!machine) {
        return;
    }
    driver = machine->driver;
    machine->driver = NULL; /* interrupts from here on go nowhere */
    if (machine->net) {
        net_free(machine->net);
    }
    if (driver) {
        guest_driver_free(driver);
    }
    vionet_pci_free(machine->pci);
    vionet_mmio_free(machine->mmio);
    vionet_device_free(machine->device);
    if (machine->memory) {
        guest_memory_free(machine->memory);
    }
    g_free(machine);
}

void machine_assert_no_complaints(struct machine *machine)
{
    char *text = complaints_text(guest_driver_complaints(machine->driver));

    g_assert_cmpstr(text, ==, "");
    g_free(text);
}

void machine_finish(struct machine *machine)
{
    machine_assert_no_complaints(machine);
    machine_free(machine);
}

bool machine_violated(struct machine *machine, VionetViolation violation)
{
    const uint64_t before = machine->violations[violation];

    for (unsigned i = 0; i < VIONET_N_VIOLATIONS; i++) {
        machine->violations[i] = vionet_device_violations(machine->device, (VionetViolation)i);
    }
    return machine->violations[violation] > before;
}

bool machine_boot(struct machine *machine, struct guest_features wanted)
{
    wanted = features_without(features_or(wanted, machine->ring_on), machine->ring_off);
    if (!guest_driver_start(machine->driver, wanted)) {
        return false;
    }
    if (!machine->net) {
        machine->net = net_new(machine->driver, &machine->net_options);
    }
    return machine->net && net_start(machine->net);
}

struct machine *machine_booted(const struct machine_setup *setup, struct guest_features wanted)
{
    GError *error = NULL;
    struct machine *machine = machine_new(setup, &error);

    if (!machine) {
        g_error("no machine: %s", error->message);
    }
    if (!machine_boot(machine, wanted)) {
        g_error("the machine does not boot: %s",
                complaints_text(guest_driver_complaints(machine->driver)));
    }
    return machine;
}

/* ---- another device ---- */

struct machine_device machine_make_device(struct machine *machine)
{
    struct machine_device made = {0};

    if (!make_device(machine, &made, NULL) || !map_memory(machine, made.device, NULL)) {
        g_error("the machine's device cannot be made again");
    }
    vionet_device_set_paused(made.device, true);
    return made;
}

void machine_free_device(struct machine_device *made)
{
    vionet_pci_free(made->pci);
    vionet_mmio_free(made->mmio);
    vionet_device_free(made->device);
    *made = (struct machine_device){0};
}

void machine_replace(struct machine *machine, struct machine_device *made)
{
    struct machine_device old = {machine->device, machine->pci, machine->mmio};

    machine->device = made->device;
    machine->pci = made->pci;
    machine->mmio = made->mmio;
    *made = (struct machine_device){0};
    machine_free_device(&old);
    vionet_device_set_paused(machine->device, false);
}

void machine_migrate(struct machine *machine)
{
    struct machine_device made = machine_make_device(machine);
    GError *error = NULL;
    gconstpointer octets;
    GBytes *state;
    gsize len;

    vionet_device_set_paused(machine->device, true);
    state = vionet_device_save(machine->device, &error);
    g_assert_no_error(error);
    octets = g_bytes_get_data(state, &len);
    vionet_device_load(made.device, octets, len, &error);
    g_assert_no_error(error);
    g_bytes_unref(state);
    machine_replace(machine, &made);
}

/* ---- traffic ---- */

VionetVerdict machine_deliver(struct machine *machine, const void *frame, size_t len)
{
    const struct iovec piece = {(void *)frame, len};
    const VionetFrame one = {.iov = &piece, .n_iov = 1};
    VionetVerdict verdict;

    vionet_device_receive(machine->device, 0, &one, 1, &verdict, 0);
    return verdict;
}

size_t machine_drain(struct machine *machine, unsigned pair)
{
    VionetFrame frames[DRAIN_BURST];
    size_t total = 0;
    size_t n;

    do {
        n = vionet_device_transmit(machine->device, pair, frames, DRAIN_BURST);
        vionet_device_complete(machine->device, pair, frames, n);
        total += n;
    } while (n == DRAIN_BURST);
    return total;
}

const VionetEvent *machine_violation(const struct machine *machine, VionetViolation violation)
{
    for (unsigned i = 0; i < MIN(machine->n_events, MACHINE_MAX_EVENTS); i++) {
        if (machine->events[i].kind == VIONET_EVENT_VIOLATION &&
            machine->events[i].violation == violation) {
            return &machine->events[i];
        }
    }
    return NULL;
}

void machine_forget_events(struct machine *machine)
{
    machine->n_events = 0;
}

void machine_advance(struct machine *machine, uint64_t ns)
{
    machine->now_ns += ns;
    for (unsigned i = 0; i < G_N_ELEMENTS(machine->deadline_ns); i++) {
        if (machine->deadline_ns[i] && machine->deadline_ns[i] <= machine->now_ns) {
            machine->deadline_ns[i] = 0;
            vionet_device_timer(machine->device, i);
        }
    }
}

bool machine_works(struct machine *machine)
{
    uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,   0,   0,
                         0,    0,    1,    8,    6,    'p',  'i', 'n', 'g'};
    struct guest_packet packet;

    if (!machine_boot(machine, features_known())) {
        return false;
    }
    if (machine_deliver(machine, frame, sizeof(frame)) != VIONET_DELIVERED ||
        !net_receive(machine->net, &packet) || packet.len != sizeof(frame) ||
        memcmp(packet.data, frame, sizeof(frame)) != 0) {
        return false;
    }
    return net_transmit(machine->net, 0, NULL, frame, sizeof(frame)) &&
           machine_drain(machine, 0) == 1 && net_reclaim(machine->net, 0) == 1;
}
