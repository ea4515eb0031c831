/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Saved state as input (vionet/state.h), from anywhere. A state that is refused leaves the device as it was,
 * which saving it again shows; of one that is taken the device saves what another takes, and both save the
 * same then. It runs on guest memory that the input brings: frames, completions, commands, notifications;
 * what it saves after that is taken too.
 *
 * Input: 1 octet (bit 0: the lengths in the state's header are made right; bit 1: another configuration; bits 2 to 4: the
 * transport, by enum transport; bit 5: a failover object is attached), 2 octets how many of guest memory follow, these,
 * then the state.
 */
#include <string.h>

#include <vionet/mmio.h>
#include <vionet/pci.h>
#include <vionet/spec.h>
#include <vionet/standby.h>
#include <vionet/state.h>
#include <vionet/transport.h>

#include "input.h"
#include "reach.h"

#define MEMORY_BASE UINT64_C(0x100000)
#define MEMORY_SIZE (1u << 20)
#define HEADER      24u
#define N_CODES     (VIONET_STATE_ERROR_VALUE + 1)

enum {
    REFUSED, /* by VionetStateError */
    TAKEN = REFUSED + N_CODES,
    NEGOTIATED,
    LEGACY,
    OVER_MMIO,
    FAILING_OVER,
    RUNNING,
    DELIVERED,
    SENT,
    INTERRUPTS,
};

struct reach fuzz_reach[] = {
    [REFUSED + VIONET_STATE_ERROR_NOT_PAUSED] = {"refused: not paused", 0, 0},
    [REFUSED + VIONET_STATE_ERROR_NOT_FRESH] = {"refused: not fresh", 0, 0},
    [REFUSED + VIONET_STATE_ERROR_FORMAT] = {"refused: format", 10, 0},
    [REFUSED + VIONET_STATE_ERROR_VERSION] = {"refused: version", 1, 0},
    [REFUSED + VIONET_STATE_ERROR_SECTION] = {"refused: section", 4, 0},
    [REFUSED + VIONET_STATE_ERROR_CONFIG] = {"refused: configuration", 1, 0},
    [REFUSED + VIONET_STATE_ERROR_FEATURES] = {"refused: features", 1, 0},
    [REFUSED + VIONET_STATE_ERROR_VALUE] = {"refused: value", 10, 0},
    [TAKEN] = {"taken", 10, 0},
    [NEGOTIATED] = {"of them with FEATURES_OK", 8, 0},
    [LEGACY] = {"of them of legacy drivers", 8, 0},
    [OVER_MMIO] = {"of them over MMIO", 8, 0},
    [FAILING_OVER] = {"of them with failover", 8, 0},
    [RUNNING] = {"that ran", 5, 0},
    [DELIVERED] = {"frames delivered", 4, 0},
    [SENT] = {"frames taken from the driver", 2, 0},
    [INTERRUPTS] = {"messages", 4, 0},
    {NULL, 0, 0},
};

#define REACHED(what) (fuzz_reach[what].count++)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The values above are PCI again. */
enum transport { PCI, PCI_LEGACY, PCI_LEGACY_BIG, MMIO, MMIO_LEGACY, MMIO_LEGACY_BIG };

/* How a device is made. */
struct kind {
    bool other;
    bool fails_over;
    enum transport transport;
};

struct function {
    VionetDevice *device;
    VionetPci *pci;   /* or */
    VionetMmio *mmio; /* the other */
    VionetStandby *standby;
};

static uint8_t *memory; /* of the guest; made once */

static void host_timer(void *opaque, unsigned queue, uint64_t deadline_ns)
{
    (void)opaque;
    (void)queue;
    (void)deadline_ns;
}

static uint64_t host_clock(void *opaque)
{
    (void)opaque;
    return 1;
}

static void host_msi(void *opaque, unsigned vector, uint64_t address, uint32_t data)
{
    (void)opaque;
    (void)vector;
    (void)address;
    (void)data;
    REACHED(INTERRUPTS);
}

static void host_intx(void *opaque, bool level)
{
    (void)opaque;
    (void)level;
    REACHED(INTERRUPTS);
}

static void make_transport(struct function *function, enum transport transport)
{
    const VionetPciOps bus = {.size = sizeof(bus), .msi = host_msi, .intx = host_intx};
    const VionetMmioOps board = {.size = sizeof(board), .interrupt = host_intx};
    VionetMmioConfig mmio;
    VionetPciConfig pci;

    if (transport < MMIO || transport > MMIO_LEGACY_BIG) {
        vionet_pci_config_init(&pci);
        pci.legacy = transport == PCI_LEGACY || transport == PCI_LEGACY_BIG;
        pci.legacy_big_endian = transport == PCI_LEGACY_BIG;
        function->pci = vionet_pci_new(function->device, &pci, &bus, NULL, NULL);
    } else {
        vionet_mmio_config_init(&mmio);
        mmio.version = transport == MMIO ? 2 : 1;
        mmio.legacy_big_endian = transport == MMIO_LEGACY_BIG;
        function->mmio = vionet_mmio_new(function->device, &mmio, &board, NULL, NULL);
    }
}

/* One whose primary is there, and hidden. */
static VionetStandby *make_standby(VionetDevice *device)
{
    const VionetStandbyConfig config = {.size = sizeof(config), .model = VIONET_STANDBY_COMBINED};
    const VionetStandbyOps ops = {.size = sizeof(ops)};
    const VionetPrimary primary = {.size = sizeof(primary)};
    VionetStandby *standby = vionet_standby_new(&config, &ops, NULL, NULL);

    vionet_standby_configure(standby, &primary, NULL);
    vionet_standby_attach(standby, device);
    return standby;
}

/* As test/state/reference.c has it, if not other. */
static struct function make_function(struct kind kind)
{
    const VionetHostOps ops = {.size = sizeof(ops), .clock_ns = host_clock, .timer = host_timer};
    struct function function = {0};
    const VionetFeature *feature;
    VionetConfig config;

    vionet_config_init(&config);
    config.dialect = vionet_dialect_find(kind.other ? "draft-v10" : "ratified");
    for (unsigned i = 0; (feature = vionet_feature_at(config.dialect, i)) != NULL; i++) {
        vionet_features_set(config.features, feature->bit, true);
    }
    if (kind.transport >= MMIO) {
        vionet_features_set(config.features, VIRTIO_F_NOTIF_CONFIG_DATA, false);
    }
    vionet_features_settle(config.dialect, config.features, NULL);
    config.max_pairs = 2;
    config.receive_queue_size = 32;
    config.transmit_queue_size = 16;
    config.control_queue_size = 16;
    config.mtu = 1500;
    config.speed = 10000;
    config.duplex = 1;
    config.max_rss_contexts = 2;
    function.device = vionet_device_new(&config, &ops, NULL, NULL);
    make_transport(&function, kind.transport);
    if (kind.fails_over) {
        function.standby = make_standby(function.device);
    }
    vionet_device_map(function.device, MEMORY_BASE, memory, MEMORY_SIZE, 0, NULL);
    vionet_device_set_paused(function.device, true);
    return function;
}

static void free_function(struct function *function)
{
    reach_violations(function->device);
    vionet_standby_free(function->standby);
    vionet_pci_free(function->pci);
    vionet_mmio_free(function->mmio);
    vionet_device_free(function->device);
}

static GBytes *save(const struct function *function)
{
    GError *error = NULL;
    GBytes *state = vionet_device_save(function->device, &error);

    FUZZ_REQUIRE(state, "a paused device is not saved: %s", error->message);
    return state;
}

/* What a device saved is taken by another, which saves the same. */
static struct function move(const struct function *from, struct kind kind)
{
    struct function to = make_function(kind);
    GBytes *state = save(from);
    GError *error = NULL;
    gconstpointer octets;
    GBytes *again;
    gsize len;

    octets = g_bytes_get_data(state, &len);
    FUZZ_REQUIRE(vionet_device_load(to.device, octets, len, &error),
                 "what a device saved is refused: %s", error->message);
    again = save(&to);
    FUZZ_REQUIRE(g_bytes_equal(state, again), "another device saves something else");
    g_bytes_unref(state);
    g_bytes_unref(again);
    return to;
}

static void run(const struct function *function)
{
    static const uint8_t octets[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8};
    const struct iovec piece = {(void *)octets, sizeof(octets)};
    const VionetFrame in = {.iov = &piece, .n_iov = 1};
    VionetDevice *device = function->device;

    vionet_device_set_paused(device, false);
    if (vionet_device_running(device)) {
        REACHED(RUNNING);
    }
    for (unsigned queue = 0; queue < vionet_device_num_queues(device); queue++) {
        vionet_device_kick(device, queue);
        vionet_device_timer(device, queue);
    }
    for (unsigned i = 0; i < 8; i++) {
        fuzz_reach[DELIVERED].count += vionet_device_receive(device, 0, &in, 1, NULL, 0);
    }
    for (unsigned pair = 0; pair < 2; pair++) {
        VionetFrame out[4];
        const size_t n = vionet_device_transmit(device, pair, out, 4);

        fuzz_reach[SENT].count += n;
        vionet_device_complete(device, pair, out, n / 2); /* the others stay out */
    }
    vionet_device_set_paused(device, true);
}

static void count_taken(const struct function *function)
{
    const uint8_t status = vionet_device_status(function->device);

    REACHED(TAKEN);
    if (status & VIRTIO_STATUS_FEATURES_OK) {
        REACHED(NEGOTIATED);
    } else if (status & VIRTIO_STATUS_DRIVER_OK) {
        REACHED(LEGACY);
    }
    if (function->mmio) {
        REACHED(OVER_MMIO);
    }
    if (function->standby) {
        REACHED(FAILING_OVER);
    }
}

static void try_state(struct function *function, struct kind kind, const uint8_t *octets,
                      size_t len)
{
    GBytes *before = save(function);
    GError *error = NULL;
    struct function next;
    GBytes *after;

    if (!vionet_device_load(function->device, octets, len, &error)) {
        FUZZ_REQUIRE(error && error->domain == VIONET_STATE_ERROR, "refused without a reason");
        fuzz_reach[REFUSED + error->code].count++;
        g_error_free(error);
        after = save(function);
        FUZZ_REQUIRE(g_bytes_equal(before, after), "refused, and the device is another one");
        g_bytes_unref(after);
        g_bytes_unref(before);
        return;
    }
    g_bytes_unref(before);
    count_taken(function);
    next = move(function, kind);
    free_function(function);
    *function = next;
    run(function);
    next = move(function, kind);
    free_function(function);
    *function = next;
    run(function);
    if (function->pci) {
        vionet_pci_reset(function->pci);
    } else {
        vionet_mmio_reset(function->mmio);
    }
    FUZZ_REQUIRE(vionet_device_status(function->device) == 0, "a reset leaves a status");
}

static void put_le(uint8_t *p, uint64_t value, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        p[i] = (uint8_t)(value >> 8 * i);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = input_of(data, size);
    const uint8_t how = input_8(&input);
    const struct kind kind = {
        .other = how & 2, .transport = how >> 2 & 7, .fails_over = how & 0x20};
    size_t n_memory = input_16(&input);
    const uint8_t *from = input_take(&input, &n_memory);
    size_t len = input.left;
    const uint8_t *state = input_take(&input, &len);
    uint8_t *octets = g_memdup2(state, len);
    struct function function;

    if (!memory) {
        memory = g_aligned_alloc(1, MEMORY_SIZE, 4096);
    }
    memset(memory, 0, MEMORY_SIZE);
    if (n_memory) {
        memcpy(memory, from, n_memory);
    }
    if ((how & 1) && len >= HEADER) {
        put_le(octets + HEADER - 8, len, 8);
    }
    function = make_function(kind);
    try_state(&function, kind, octets, len);
    free_function(&function);
    g_free(octets);
    return 0;
}
