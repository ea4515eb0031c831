/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Windows of registers beside those of a modern PCI function: MMIO of both versions, and the legacy header
 * in BAR 0. Accesses at any offset, width and value, mixed with a driver that does as it should and with
 * frames. What must hold all along: the line follows the registers, nothing is written while no queue may
 * run. In the end a reset of the machine leaves the window as it was when it was made, and working.
 *
 * Setup: 1 octet window and pairs; then actions, an octet each with its operands (see actions[]).
 */
#include <string.h>

#include <vionet/mmio.h>
#include <vionet/pci.h>

#include "input.h"
#include "reach.h"
#include "rig.h"

#define MAX_ACTIONS 96
#define MAX_OUT     32
#define QUEUE_SIZE  16
#define PAGE        4096u
#define BAR_LEGACY  0
#define COMMAND     0x04
#define MASTER      0x0004u

enum {
    BOOTED_MODERN,
    BOOTED_LEGACY,
    BOOTED_HEADER,
    READS,
    WRITES,
    NOTIFICATIONS,
    KICKS,
    EARLY,
    DELIVERED,
    TAKEN,
    TAKEN_AWAY,
    LINE_RAISED,
    LINE_LOWERED,
    RESETS,
    WORKS,
};

struct reach fuzz_reach[] = {
    [BOOTED_MODERN] = {"times DRIVER_OK over MMIO", 20, 0},
    [BOOTED_LEGACY] = {"times DRIVER_OK over MMIO, version 1", 20, 0},
    [BOOTED_HEADER] = {"times DRIVER_OK by the legacy header", 20, 0},
    [READS] = {"reads", 100, 0},
    [WRITES] = {"writes", 100, 0},
    [NOTIFICATIONS] = {"notifications", 50, 0},
    [KICKS] = {"of them heard by the host", 20, 0},
    [EARLY] = {"times that queues ran before DRIVER_OK", 10, 0},
    [DELIVERED] = {"frames delivered", 50, 0},
    [TAKEN] = {"frames taken from the driver", 50, 0},
    [TAKEN_AWAY] = {"queues taken away", 10, 0},
    [LINE_RAISED] = {"times the line rose", 50, 0},
    [LINE_LOWERED] = {"times the line fell", 50, 0},
    [RESETS] = {"resets of the machine", 50, 0},
    [WORKS] = {"windows that worked in the end", 50, 0},
    {NULL, 0, 0},
};

#define REACHED(what) (fuzz_reach[what].count++)

/* Where each kind of window has what a driver needs; all but MMIO 2 are legacy. */
static const struct window {
    unsigned booted; /* counter */
    bool mmio;
    bool legacy;
    bool big_endian;
    uint16_t features, select, notify, status, queue;
    uint8_t widths[4]; /* of the last four */
} windows[] = {
    {BOOTED_MODERN, true, false, false, 0x020, 0x030, 0x050, 0x070, 0x044, {4, 4, 4, 4}},
    {BOOTED_LEGACY, true, true, false, 0x020, 0x030, 0x050, 0x070, 0x040, {4, 4, 4, 4}},
    {BOOTED_HEADER, false, true, false, 4, 14, 16, 18, 8, {2, 2, 1, 4}},
    {BOOTED_LEGACY, true, true, true, 0x020, 0x030, 0x050, 0x070, 0x040, {4, 4, 4, 4}},
    {BOOTED_HEADER, false, true, true, 4, 14, 16, 18, 8, {2, 2, 1, 4}},
};

enum { SELECT, NOTIFY, STATUS, QUEUE };

struct run {
    struct rig rig;
    const struct window *window;
    VionetMmio *mmio;
    VionetPci *pci;
    struct input input;
    bool line;
    uint64_t first[VIONET_MMIO_SIZE / 4]; /* registers as they were at first */
};

/* ---- accesses ---- */

static uint64_t window_read(struct run *run, uint64_t offset, unsigned size)
{
    return run->mmio ? vionet_mmio_read(run->mmio, offset, size)
                     : vionet_pci_bar_read(run->pci, BAR_LEGACY, offset, size);
}

static void window_write(struct run *run, uint64_t offset, unsigned size, uint64_t value)
{
    if (run->mmio) {
        vionet_mmio_write(run->mmio, offset, size, value);
    } else {
        vionet_pci_bar_write(run->pci, BAR_LEGACY, offset, size, value);
    }
    /* A queue that was taken away may break once more. */
    for (unsigned i = 0; i < run->rig.n_queues; i++) {
        run->rig.faulted[i] =
            run->rig.faulted[i] && vionet_device_queue_enabled(run->rig.device, i);
    }
}

static void put(struct run *run, unsigned which, uint32_t value)
{
    const uint16_t offsets[] = {run->window->select, run->window->notify, run->window->status,
                                run->window->queue};

    window_write(run, offsets[which], run->window->widths[which], value);
}

static uint64_t window_size(const struct run *run)
{
    return run->mmio ? VIONET_MMIO_SIZE : vionet_pci_bar_size(run->pci, BAR_LEGACY);
}

static void bus_line(void *opaque, bool level)
{
    struct run *run = opaque;

    fuzz_reach[LINE_RAISED].count += level && !run->line;
    fuzz_reach[LINE_LOWERED].count += !level && run->line;
    run->line = level;
}

/* ---- what holds all along ---- */

static void check(struct run *run, bool ran)
{
    const bool wanted =
        run->mmio ? window_read(run, 0x060, 4) != 0 : vionet_pci_config_read(run->pci, 0x06, 2) & 8;

    FUZZ_REQUIRE(run->line == wanted, "the line is %d", run->line);
    if (ran || vionet_device_running(run->rig.device)) {
        rig_allow_all(&run->rig);
    }
    rig_require_unchanged(&run->rig, "an action without a running queue");
}

/* All that can be read; of the legacy header, whose ISR reading clears, too. */
static uint64_t read_register(struct run *run, unsigned i)
{
    return 4u * i == 0x0fc && run->mmio ? 0 : window_read(run, 4u * i, 4);
}

static void require_as_new(struct run *run)
{
    for (unsigned i = 0; i < window_size(run) / 4; i++) {
        const uint64_t now = read_register(run, i);

        FUZZ_REQUIRE(now == run->first[i], "register 0x%x reads 0x%x after a reset, 0x%x at first",
                     4 * i, (unsigned)now, (unsigned)run->first[i]);
    }
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

/* ---- the driver ---- */

static uint64_t legacy_place(unsigned queue)
{
    return RIG_BASE + 2 * PAGE * queue;
}

/* The first pair's queues have room for a page between their parts. */
static void set_up_queue(struct run *run, unsigned queue)
{
    struct rig_queue *q = &run->rig.queues[queue];

    put(run, SELECT, queue);
    if (run->window->legacy) {
        window_write(run, 0x03c, 4, run->mmio ? PAGE : 0); /* of the header, config: ignored */
        *q = (struct rig_queue){
            .size = QUEUE_SIZE,
            .area = {legacy_place(queue), legacy_place(queue) + 16 * QUEUE_SIZE,
                     legacy_place(queue) + PAGE},
        };
        put(run, QUEUE, (uint32_t)(legacy_place(queue) / PAGE));
        return;
    }
    rig_place(&run->rig, queue, QUEUE_SIZE);
    for (unsigned area = 0; area < 3; area++) {
        window_write(run, 0x080 + 0x10 * area, 4, (uint32_t)q->area[area]);
        window_write(run, 0x084 + 0x10 * area, 4, q->area[area] >> 32);
    }
    put(run, QUEUE, 1);
}

/* From reset to DRIVER_OK, or if how says so to the step before it. */
static void boot(struct run *run, uint8_t how)
{
    static const uint8_t zero[RIG_MAX_QUEUES * RIG_RING_SPACE + 2 * PAGE];
    uint32_t features = 0;

    features |= how & 1 ? 1u << VIRTIO_NET_F_MRG_RXBUF : 0;
    features |= how & 2 ? 1u << VIRTIO_F_EVENT_IDX : 0;
    features |= how & 4 ? 1u << VIRTIO_NET_F_STATUS : 0;
    rig_give_back(&run->rig);
    if (run->pci) {
        vionet_pci_config_write(run->pci, COMMAND, 2, MASTER | 1);
    }
    put(run, STATUS, 0);
    rig_allow_all(&run->rig);
    rig_store(&run->rig, RIG_BASE, zero, sizeof(zero));
    memset(run->rig.queues, 0, sizeof(run->rig.queues));
    memset(run->rig.faulted, 0, sizeof(run->rig.faulted));
    memset(run->rig.accepted, 0, sizeof(run->rig.accepted));
    put(run, STATUS, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
    if (run->mmio) {
        window_write(run, 0x028, 4, PAGE);
        window_write(run, 0x024, 4, 1);
        window_write(run, 0x020, 4, run->window->legacy ? 0 : 1);
        window_write(run, 0x024, 4, 0);
    }
    window_write(run, run->window->features, 4, features);
    run->rig.accepted[0] = features | (run->window->legacy ? 0 : UINT64_C(1) << 32);
    if (!run->window->legacy) {
        put(run, STATUS, 11);
    }
    for (unsigned queue = 0; queue < 2; queue++) {
        set_up_queue(run, queue);
    }
    if (!(how & 0x80)) {
        put(run, STATUS, run->window->legacy ? 7 : 15);
        REACHED(run->window->booted);
    }
}

static void act_boot(struct run *run)
{
    boot(run, input_8(&run->input));
}

static void notify(struct run *run, uint32_t value)
{
    const bool ran = vionet_device_running(run->rig.device);

    put(run, NOTIFY, value);
    REACHED(NOTIFICATIONS);
    fuzz_reach[EARLY].count += !ran && vionet_device_running(run->rig.device);
}

/* A buffer into a queue of the first pair. Those of a big-endian guest make no sense to it. */
static void post(struct run *run, unsigned queue)
{
    const struct rig_piece piece = {rig_buffer(&run->rig, 128), 128, queue % 2 == 0};
    struct rig_queue *q = &run->rig.queues[queue];
    const uint8_t zero[128] = {0};

    if (!q->size) {
        return;
    }
    rig_store(&run->rig, piece.gpa, zero, sizeof(zero));
    rig_post(&run->rig, queue, &piece, 1, false);
    rig_publish(&run->rig, queue);
    rig_store16(&run->rig, q->area[VIONET_AREA_DRIVER] + 4 + 2u * q->size,
                rig_load16(&run->rig, q->area[VIONET_AREA_DEVICE] + 2));
    notify(run, queue);
}

static void act_post(struct run *run)
{
    const uint8_t how = input_8(&run->input);

    for (unsigned i = 0; i <= how >> 5; i++) {
        post(run, how % 2);
    }
}

static void act_notify(struct run *run)
{
    notify(run, input_edgy(&run->input, RIG_MAX_QUEUES));
}

/* A queue is taken away, or gets another place while it is there. */
static void act_queue(struct run *run)
{
    const uint8_t how = input_8(&run->input);
    const unsigned queue = how % 8;
    const bool enabled = vionet_device_queue_enabled(run->rig.device, queue);

    put(run, SELECT, queue);
    put(run, QUEUE, how & 0x80 ? input_edgy(&run->input, 0x10) : 0);
    fuzz_reach[TAKEN_AWAY].count += enabled && !vionet_device_queue_enabled(run->rig.device, queue);
}

/* ---- any access ---- */

static unsigned choose_size(struct run *run)
{
    const uint8_t how = input_8(&run->input);

    return how < 240 ? 1u << (how & 3) : how & 15;
}

static void act_read(struct run *run)
{
    const uint64_t offset = input_edgy(&run->input, (uint32_t)window_size(run));
    const unsigned size = choose_size(run);
    const uint64_t value = window_read(run, offset, size);

    REACHED(READS);
    FUZZ_REQUIRE(offset < window_size(run) || value == 0, "a read at 0x%x gives something",
                 (unsigned)offset);
}

static void act_write(struct run *run)
{
    const uint64_t offset = input_edgy(&run->input, (uint32_t)window_size(run));
    const unsigned size = choose_size(run);

    window_write(run, offset, size, input_edgy(&run->input, QUEUE_SIZE));
    REACHED(WRITES);
}

/* As a register is written: 4 octets, aligned, where there may be one. */
static void act_register(struct run *run)
{
    const uint32_t offset = 4u * input_8(&run->input) % (uint32_t)window_size(run);

    window_write(run, offset, 4, input_edgy(&run->input, QUEUE_SIZE));
    REACHED(WRITES);
}

/* An interrupt is acknowledged, or the ISR read. */
static void act_acknowledge(struct run *run)
{
    if (run->mmio) {
        window_write(run, 0x064, 4, input_8(&run->input));
    } else {
        window_read(run, 19, 1);
    }
}

/* ---- the machine ---- */

static void act_machine(struct run *run)
{
    const uint8_t how = input_8(&run->input);

    if (how & 1) {
        vionet_device_set_link(run->rig.device, how & 0x80);
    } else if (run->pci) {
        vionet_pci_config_write(run->pci, COMMAND, 2, how & 0x80 ? MASTER | 1 : 1);
    } else {
        vionet_device_announce(run->rig.device);
    }
}

static void machine_reset(struct run *run)
{
    rig_give_back(&run->rig);
    vionet_device_set_link(run->rig.device, true);
    if (vionet_device_running(run->rig.device)) {
        rig_allow_all(&run->rig);
    }
    if (run->mmio) {
        vionet_mmio_reset(run->mmio);
    } else {
        vionet_pci_reset(run->pci);
    }
    FUZZ_REQUIRE(!run->line, "the line is up after a reset");
    memset(run->rig.queues, 0, sizeof(run->rig.queues));
    memset(run->rig.faulted, 0, sizeof(run->rig.faulted));
    require_as_new(run);
    REACHED(RESETS);
}

static void act_machine_reset(struct run *run)
{
    machine_reset(run);
}

static void (*const actions[])(struct run *run) = {
    act_boot,    act_post,     act_post,     act_deliver,     act_deliver, act_transmit,
    act_notify,  act_queue,    act_register, act_register,    act_read,    act_write,
    act_machine, act_transmit, act_register, act_acknowledge, act_boot,    act_machine_reset,
};

#define N_ACTIONS (sizeof(actions) / sizeof(actions[0]))

/* ---- a run ---- */

static void make_mmio(struct run *run)
{
    const VionetMmioOps ops = {.size = sizeof(ops), .interrupt = bus_line};
    VionetMmioConfig config;

    vionet_mmio_config_init(&config);
    config.version = run->window->legacy ? 1 : 2;
    config.legacy_big_endian = run->window->big_endian;
    run->mmio = vionet_mmio_new(run->rig.device, &config, &ops, run, NULL);
    FUZZ_REQUIRE(run->mmio, "no window");
}

static void make_pci(struct run *run)
{
    const VionetPciOps ops = {.size = sizeof(ops), .intx = bus_line};
    VionetPciConfig config;

    vionet_pci_config_init(&config);
    config.legacy = true;
    config.legacy_big_endian = run->window->big_endian;
    run->pci = vionet_pci_new(run->rig.device, &config, &ops, run, NULL);
    FUZZ_REQUIRE(run->pci, "no function");
}

static void begin(struct run *run, const uint8_t *data, size_t size)
{
    VionetConfig config;
    uint8_t how;

    memset(run, 0, sizeof(*run));
    run->input = input_of(data, size);
    how = input_8(&run->input);
    run->window = &windows[(how >> 2) % (sizeof(windows) / sizeof(windows[0]))];
    rig_config(&config, vionet_dialect_at(0), 1 + (how & 3) % RIG_MAX_PAIRS);
    config.receive_queue_size = config.transmit_queue_size = QUEUE_SIZE;
    vionet_features_set(config.features, VIRTIO_F_NOTIF_CONFIG_DATA, false);
    rig_init(&run->rig, &config);
    if (run->window->mmio) {
        make_mmio(run);
    } else {
        make_pci(run);
    }
    for (unsigned i = 0; i < window_size(run) / 4; i++) {
        run->first[i] = read_register(run, i);
    }
}

static void require_works(struct run *run)
{
    const uint64_t delivered = fuzz_reach[DELIVERED].count;
    const uint64_t taken = fuzz_reach[TAKEN].count;

    machine_reset(run);
    boot(run, 0);
    FUZZ_REQUIRE(vionet_device_running(run->rig.device), "the driver does not run");
    if (run->window->big_endian) {
        return;
    }
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run run;

    begin(&run, data, size);
    for (unsigned i = 0; i < MAX_ACTIONS && !input_ended(&run.input); i++) {
        const bool ran = vionet_device_running(run.rig.device);

        actions[input_below(&run.input, N_ACTIONS)](&run);
        check(&run, ran);
    }
    require_works(&run);
    for (unsigned i = 0; i < run.rig.n_queues; i++) {
        fuzz_reach[KICKS].count += run.rig.kicks[i];
    }
    vionet_mmio_free(run.mmio);
    vionet_pci_free(run.pci);
    rig_end(&run.rig);
    return 0;
}
