/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The whole device as input: any features over any transport (PCI, its legacy interface, MMIO of both
 * versions, a guest of either order of octets), rings of either kind in memory that is mapped or remote, and a
 * program of frames, commands, resets, moves to another device, changes of the memory map, timers and stores
 * between two reads. It is the machine of test/machine and the driver of test/driver that run; whole_run.h has
 * what is held against them: nothing is lost, doubled or made up, and an honest driver has no complaint.
 *
 * Setup: 1 octet transport, 1 memory and dialect, 1 pairs and receive buffers, 2 sizes, then features (see
 * choose_features()); then actions, an octet each with its operands (see actions[]).
 */
#include <string.h>

#include <vionet/state.h>

#include "loads.h"
#include "whole_run.h"

#define MAX_ACTIONS 64
#define GUARD       0xc3 /* what stands in memory that the driver never offers */
#define GUARD_SIZE  4096u
#define N_REGIONS   3
#define LOADS_KEPT  16

struct reach fuzz_reach[] = {
    [BOOTED] = {"times DRIVER_OK", 550, 0},
    [BOOTED_LEGACY] = {"of them of a legacy driver", 100, 0},
    [BOOTED_MMIO] = {"of them over MMIO", 70, 0},
    [BOOTED_PACKED] = {"of them with packed rings", 100, 0},
    [BOOTED_REMOTE] = {"of them in remote memory", 300, 0},
    [OFFERED] = {"frames towards the guest", 1900, 0},
    [DELIVERED] = {"of them delivered", 1300, 0},
    [RECEIVED] = {"of them received", 1100, 0},
    [MERGED] = {"of them in several buffers", 3, 0},
    [HELD] = {"frames held", 3, 0},
    [FILTERED] = {"frames filtered", 300, 0},
    [REFUSED] = {"frames refused for an offload", 50, 0},
    [HASHED] = {"hashes reported", 150, 0},
    [HASHED_INNER] = {"of them perhaps by an inner header", 70, 0},
    [BY_TABLE] = {"frames steered by a table", 100, 0},
    [COMPLETED] = {"checksums completed", 50, 0},
    [SEGMENTS_IN] = {"frames with segments towards the guest", 150, 0},
    [SENT] = {"frames of the guest", 600, 0},
    [TAKEN] = {"of them taken", 550, 0},
    [DROPPED] = {"of them dropped", 60, 0},
    [SEGMENTS_OUT] = {"of them with segments", 100, 0},
    [STALE] = {"frames completed after a reset", 100, 0},
    [COMMANDS] = {"commands", 250, 0},
    [COMMANDS_OK] = {"of them acknowledged", 150, 0},
    [QUEUE_RESETS] = {"queue resets", 10, 0},
    [DEVICE_RESETS] = {"device resets", 90, 0},
    [UNBOUND] = {"drivers unbound in the middle", 90, 0},
    [BUS_RESETS] = {"resets of the bus", 10, 0},
    [MIGRATED] = {"moves to another device", 20, 0},
    [MIGRATED_OUT] = {"of them with frames out", 3, 0},
    [REMAPPED] = {"mappings changed", 10, 0},
    [TIMERS] = {"timers that fell due", 2, 0},
    [AWOKEN] = {"sleeping drivers awoken", 10, 0},
    [RACES] = {"stores between two reads", 20, 0},
    [TAINTED] = {"drivers past prediction", 50, 0},
    [SETTLED] = {"accounts closed", 300, 0},
    [STOPPED] = {"queues stopped", 40, 0},
    [RECOVERED] = {"of them lost, and recovered from a journal", 100, 0},
    [LOGGED] = {"frames in the dirty log", 10, 0},
    {NULL, 0, 0},
};

/* ---- what every call may have come to ---- */

static void taint(struct whole *whole)
{
    if (!whole->tainted) {
        REACHED(TAINTED);
    }
    whole->tainted = true;
}

/*
 * A frame for which there were not enough buffers may have begun to be written into those that there were, and
 * a shorter one came to lie there (2.7.8.2: what is behind the used length means nothing).
 */
static void require_pardoned(const struct whole *whole, struct complaints *complaints,
                             const char *after)
{
    char *text = complaints_text(complaints);
    char **lines = g_strsplit(text, "\n", 0);

    for (unsigned i = 0; lines[i]; i++) {
        FUZZ_REQUIRE(!lines[i][0] || (whole->undone && strstr(lines[i], "its used length is")),
                     "after %s: %s", after, lines[i]);
    }
    g_strfreev(lines);
    g_free(text);
}

void whole_look(struct whole *whole, const char *after)
{
    struct guest_driver *driver = whole->machine->driver;
    struct complaints *complaints = guest_driver_complaints(driver);
    const bool broken =
        vionet_device_status(whole->machine->device) & VIRTIO_STATUS_DEVICE_NEEDS_RESET;

    if (broken && !whole->tainted && !whole->no_memory) {
        FUZZ_REQUIRE(false, "after %s: an honest driver's device needs a reset: %s", after,
                     whole->violation);
    }
    if (broken) {
        taint(whole);
    }
    if (complaints_count(complaints) && !whole->tainted) {
        require_pardoned(whole, complaints, after);
    }
    complaints_clear(complaints);
}

static void on_event(struct machine *machine, const VionetEvent *event)
{
    struct whole *whole = machine->user;

    if (event->kind == VIONET_EVENT_VIOLATION) {
        vionet_event_describe(event, whole->violation, sizeof(whole->violation));
    }
}

/* ---- the machine ---- */

/* Two regions that touch for the guest but not for the host, and one far away. */
static const struct guest_extent extents[N_REGIONS] = {
    {UINT64_C(0x100000), 0x40000},
    {UINT64_C(0x140000), 0x200000},
    {UINT64_C(0x20000000), 0x100000},
};
static uint64_t guards[N_REGIONS];

static void make_guards(struct whole *whole)
{
    for (unsigned i = 0; i < N_REGIONS; i++) {
        guards[i] = guest_alloc(whole->machine->memory, GUARD_SIZE, 4096);
        guest_fill(whole->machine->memory, guards[i], GUARD_SIZE, GUARD);
    }
}

static void require_guards(const struct whole *whole)
{
    for (unsigned i = 0; i < N_REGIONS && !whole->tainted; i++) {
        FUZZ_REQUIRE(guest_differs(whole->machine->memory, guards[i], GUARD_SIZE, GUARD) ==
                         GUARD_SIZE,
                     "the device writes where nothing was offered");
    }
}

static bool legacy(const struct whole *whole)
{
    return whole->machine->driver->transport->legacy;
}

static bool over_mmio(const struct whole *whole)
{
    return whole->machine->mmio != NULL;
}

/* ---- what the host looks on at ---- */

#define LOG_SIZE (0x20100000u / 4096 / 8)

static uint8_t dirty[LOG_SIZE];

bool whole_is_logged(const struct whole *whole, const uint8_t *at)
{
    for (unsigned i = 0; i < N_REGIONS; i++) {
        const uint8_t *host = guest_ptr(whole->machine->memory, extents[i].gpa, extents[i].size);
        const uint64_t gpa = extents[i].gpa + (uint64_t)(at - host);

        if (at >= host && at < host + extents[i].size) {
            return dirty[gpa / 4096 / 8] >> gpa / 4096 % 8 & 1;
        }
    }
    return false;
}

/* From here on what the device writes is logged; of mapped memory alone. */
static void start_log(struct whole *whole, bool on)
{
    whole->logged = on && whole->machine->setup.kind == MACHINE_MAPPED;
    memset(dirty, 0, whole->logged ? sizeof(dirty) : 0);
    for (unsigned i = 0; i < whole->n_in; i++) {
        whole->in[i].logged = false;
    }
    vionet_device_set_dirty_log(whole->machine->device, whole->logged ? dirty : NULL,
                                sizeof(dirty));
    vionet_device_set_dirty_queues(whole->machine->device, whole->logged);
}

static void on_trace(struct machine *machine, const VionetTrace *trace)
{
    struct whole *whole = machine->user;
    size_t len = 0;

    for (unsigned i = 0; i < trace->frame->n_iov; i++) {
        len += trace->frame->iov[i].iov_len;
    }
    FUZZ_REQUIRE(len <= trace->len && vionet_verdict_name(trace->verdict), "a trace of %zu of %zu",
                 len, trace->len);
    if (trace->verdict != VIONET_HELD) {
        whole->traced++;
    }
}

/* ---- features ---- */

/*
 * What the driver wants: one of a few usual sets, with bits turned by the input; what lacks a requirement is
 * left out, so that the device has to accept the rest.
 */
static struct guest_features choose_features(struct whole *whole)
{
    const uint8_t how = input_8(&whole->input);
    const uint32_t turned[FEATURES_WINDOWS] = {how & 0x80 ? input_32(&whole->input) : 0,
                                               how & 0x40 ? input_32(&whole->input) : 0,
                                               how & 0x20 ? input_8(&whole->input) : 0};
    struct guest_features wanted;
    uint64_t words[VIONET_FEATURE_WORDS];

    switch (how & 3) {
    case 0:
        wanted = features_of(VIRTIO_F_VERSION_1, FEATURES_END);
        break;
    case 1:
        wanted = features_known();
        break;
    case 2:
        wanted = features_known();
        features_remove(&wanted, VIRTIO_F_RING_PACKED);
        break;
    default:
        wanted =
            features_of(VIRTIO_F_VERSION_1, VIRTIO_NET_F_MAC, VIRTIO_NET_F_STATUS,
                        VIRTIO_NET_F_MRG_RXBUF, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_CTRL_RX,
                        VIRTIO_NET_F_MQ, VIRTIO_F_INDIRECT_DESC, VIRTIO_F_EVENT_IDX, FEATURES_END);
        break;
    }
    for (unsigned i = 0; i < FEATURES_WINDOWS; i++) {
        wanted.window[i] ^= turned[i];
    }
    features_add(&wanted, VIRTIO_F_VERSION_1);
    wanted = features_and(wanted, whole->machine->driver->offered);
    for (unsigned i = 0; i < VIONET_FEATURE_WORDS; i++) {
        words[i] = wanted.window[2 * i] | (uint64_t)wanted.window[2 * i + 1] << 32;
    }
    rig_sound_features(words);
    for (unsigned i = 0; i < FEATURES_WINDOWS; i++) {
        wanted.window[i] = (uint32_t)(words[i / 2] >> 32 * (i % 2));
    }
    return wanted;
}

static void start_model(struct whole *whole)
{
    const struct guest_driver *driver = whole->machine->driver;
    uint64_t accepted[VIONET_FEATURE_WORDS];

    for (unsigned i = 0; i < VIONET_FEATURE_WORDS; i++) {
        accepted[i] = driver->accepted.window[2 * i] | (uint64_t)driver->accepted.window[2 * i + 1]
                                                           << 32;
    }
    control_start(&whole->model, &whole->machine->setup.device, accepted);
    for (unsigned i = 0; i < 2 * driver->pairs; i++) {
        control_queue(&whole->model, i, true);
    }
    if (driver->has_control) {
        control_queue(&whole->model, driver->control, true);
    }
    whole->modelled = !driver->options.big_endian;
}

static void count_boot(const struct whole *whole)
{
    REACHED(BOOTED);
    fuzz_reach[BOOTED_LEGACY].count += legacy(whole);
    fuzz_reach[BOOTED_MMIO].count += over_mmio(whole);
    fuzz_reach[BOOTED_PACKED].count +=
        guest_driver_has(whole->machine->driver, VIRTIO_F_RING_PACKED);
    fuzz_reach[BOOTED_REMOTE].count += whole->machine->setup.kind != MACHINE_MAPPED;
}

/* All is as it should be again; the driver starts, with the features that the input says. */
static void boot(struct whole *whole)
{
    struct machine *machine = whole->machine;

    loads_stop();
    machine->dma_fail_at = 0;
    if (machine->net) {
        guest_driver_reset(machine->driver);
    } else if (!guest_driver_probe(machine->driver)) {
        FUZZ_REQUIRE(false, "there is no device");
    }
    guest_driver_read_features(machine->driver);
    complaints_clear(guest_driver_complaints(machine->driver));
    whole->tainted = whole->queues_reset = whole->undone = false;
    whole_forget_frames(whole);
    memset(whole->journals, 0, sizeof(whole->journals));
    start_log(whole, false);
    FUZZ_REQUIRE(machine_boot(machine, choose_features(whole)), "the driver does not start: %s",
                 complaints_text(guest_driver_complaints(machine->driver)));
    start_model(whole);
    whole_look(whole, "a start");
    count_boot(whole);
}

/* ---- actions: the driver ---- */

/* Frames that the host has are completed once the driver is another one. */
static void complete_stale(struct whole *whole)
{
    fuzz_reach[STALE].count += whole->n_taken;
    whole_complete_all(whole);
}

static void act_reset(struct whole *whole)
{
    const uint8_t how = input_8(&whole->input);

    if (!whole->no_memory && !whole->dma_off && (how & 1)) {
        whole_settle(whole);
    }
    REACHED(DEVICE_RESETS);
    fuzz_reach[UNBOUND].count += !(how & 1);
    if (how & 2) {
        guest_driver_reset(whole->machine->driver);
        whole_forget_frames(whole);
        complete_stale(whole);
        whole_deliver_one(whole, traffic_mac(1), 14);
    }
    boot(whole);
    complete_stale(whole);
}

static void act_reset_queue(struct whole *whole)
{
    const uint8_t how = input_8(&whole->input);
    struct guest_driver *driver = whole->machine->driver;
    const unsigned queue = how % (2 * driver->pairs + driver->has_control);
    const unsigned index = queue == 2 * driver->pairs ? driver->control : queue;

    if (!guest_driver_has(driver, VIRTIO_F_RING_RESET) || whole->tainted) {
        return;
    }
    whole_forget_queue(whole, index);
    net_reset_queue(whole->machine->net, index, 0);
    if (how & 0x80) {
        whole_complete_all(whole);
    }
    control_queue(&whole->model, index, true);
    whole_look(whole, "a queue reset");
    REACHED(QUEUE_RESETS);
}

/* What a queue had before it was taken away, which the driver does not know of. */
static void enable_again(struct whole *whole, unsigned index)
{
    VionetDevice *device = whole->machine->device;
    const struct guest_queue *queue = &whole->machine->driver->queues[index];

    vionet_device_write_queue_size(device, index, virtq_options(queue->vq)->size);
    vionet_device_write_queue_area(device, index, VIONET_AREA_DESC, queue->area.desc_gpa);
    vionet_device_write_queue_area(device, index, VIONET_AREA_DRIVER, queue->area.driver_gpa);
    vionet_device_write_queue_area(device, index, VIONET_AREA_DEVICE, queue->area.device_gpa);
    vionet_device_write_queue_journal(device, index, whole->journals[index]);
    vionet_device_write_queue_enable(device, index, 1);
}

/*
 * A queue stops and goes on where it stood, with a journal from then on; or it is lost, as with its process, and
 * goes on from the journal: frames that the host had are taken again.
 */
static void act_stop(struct whole *whole)
{
    static uint64_t memory[2 * WHOLE_MAX_PAIRS][256];
    const uint8_t how = input_8(&whole->input);
    struct machine *machine = whole->machine;
    const unsigned index = how % (2 * machine->driver->pairs);
    uint32_t base;

    if (legacy(whole) || !whole_exact(whole)) {
        return;
    }
    if (whole->journals[index] && (how & 0x80)) {
        vionet_device_disable_queue(machine->device, index);
        if (index % 2) {
            whole_take_again(whole, index / 2);
        }
        enable_again(whole, index);
        REACHED(RECOVERED);
    } else {
        whole_complete_all(whole);
        FUZZ_REQUIRE(vionet_device_stop_queue(machine->device, index, &base),
                     "a queue does not stop");
        FUZZ_REQUIRE(
            vionet_queue_journal_size(virtq_options(machine->driver->queues[index].vq)->size) <=
                sizeof(memory[0]),
            "a journal is larger than it can be");
        vionet_device_write_queue_base(machine->device, index, base);
        if ((how & 0x40) && !whole->journals[index]) {
            whole->journals[index] = (uint8_t *)memory[index];
        }
        if (whole->journals[index]) {
            vionet_queue_journal_clear(whole->journals[index]);
        }
        enable_again(whole, index);
        REACHED(STOPPED);
    }
    control_queue(&whole->model, index, true);
    whole_look(whole, "a stop of a queue");
}

/* A buffer that breaks a rule. */
static void act_spoil(struct whole *whole)
{
    const unsigned queue = input_8(&whole->input) % (2 * whole_pairs(whole));
    struct virtq *vq = guest_queue_ring(whole->machine->driver, queue);

    taint(whole);
    virtq_spoil(vq);
    guest_queue_kick(whole->machine->driver, queue);
    whole_look(whole, "a buffer that breaks a rule");
}

static void act_kick(struct whole *whole)
{
    const struct guest_driver *driver = whole->machine->driver;
    const unsigned queue = input_8(&whole->input) % (2 * driver->pairs);

    guest_queue_notify(whole->machine->driver, queue);
    whole_look(whole, "a notification");
}

/* ---- actions: the host and the machine ---- */

static void act_migrate(struct whole *whole)
{
    struct machine *machine = whole->machine;

    if (whole->no_memory) {
        return;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(whole->journals); i++) {
        if (whole->journals[i]) {
            return; /* is a process's, and not for moves */
        }
    }
    fuzz_reach[MIGRATED_OUT].count += whole->n_taken != 0;
    whole->n_taken = 0; /* the other device gives their buffers back */
    machine_migrate(machine);
    whole->paused = whole->link_off = false;
    start_log(whole, whole->logged);
    vionet_device_set_dma(machine->device, !whole->dma_off);
    whole_look(whole, "a move");
    REACHED(MIGRATED);
}

static void set_mapped(struct whole *whole, bool mapped)
{
    const struct guest_region *regions;
    const unsigned n = guest_memory_regions(whole->machine->memory, &regions);

    for (unsigned i = 0; i < n; i++) {
        const bool good = mapped ? vionet_device_map(whole->machine->device, regions[i].gpa,
                                                     regions[i].host, regions[i].size, 0, NULL)
                                 : vionet_device_unmap(whole->machine->device, regions[i].gpa,
                                                       regions[i].size, NULL);

        FUZZ_REQUIRE(good, "the map does not change");
    }
    whole->no_memory = !mapped;
}

/* Memory goes away, perhaps until later. What touches it meanwhile breaks; nothing else does. */
static void act_map(struct whole *whole)
{
    const uint8_t how = input_8(&whole->input);

    if (whole->machine->setup.kind != MACHINE_MAPPED) {
        return;
    }
    set_mapped(whole, whole->no_memory);
    if (whole->no_memory && !(how & 1)) {
        set_mapped(whole, true);
    }
    whole_look(whole, "a change of the map");
    REACHED(REMAPPED);
}

/* What the host may look at at any time. */
static void look_on(struct whole *whole)
{
    VionetDevice *device = whole->machine->device;
    VionetFilter filter = {.size = sizeof(filter)};

    vionet_device_filter(device, &filter);
    FUZZ_REQUIRE(!whole->modelled || whole->tainted ||
                     memcmp(filter.mac, whole->model.mac, sizeof(filter.mac)) == 0,
                 "the filter has another address");
    for (unsigned i = 0; i < VIONET_N_COUNTERS; i++) {
        FUZZ_REQUIRE(vionet_counter_name(i)[0] && vionet_device_counter(device, 1000, i) == 0,
                     "a queue that there is not counts");
    }
}

static void act_machine(struct whole *whole)
{
    const uint8_t how = input_8(&whole->input);
    VionetDevice *device = whole->machine->device;

    switch (how & 7) {
    case 0:
        whole->link_off = !whole->link_off;
        vionet_device_set_link(device, !whole->link_off);
        break;
    case 1:
        whole->dma_off = !whole->dma_off;
        vionet_device_set_dma(device, !whole->dma_off);
        break;
    case 2:
        whole->paused = !whole->paused;
        vionet_device_set_paused(device, whole->paused);
        break;
    case 3:
        whole->model.announce |= vionet_device_announce(device);
        break;
    case 4:
        vionet_device_set_poll(device, how >> 4, how & 8);
        break;
    case 5:
        start_log(whole, how & 8);
        break;
    case 6:
        look_on(whole);
        break;
    default:
        guest_driver_read_config(whole->machine->driver);
        guest_driver_isr(whole->machine->driver);
        break;
    }
    whole_look(whole, "a switch of the machine");
}

static void act_time(struct whole *whole)
{
    const uint64_t ns = 1 + input_edgy(&whole->input, 100) * UINT64_C(1000);

    for (unsigned i = 0; i < RIG_MAX_QUEUES; i++) {
        const uint64_t deadline = whole->machine->deadline_ns[i];

        fuzz_reach[TIMERS].count += deadline && deadline <= whole->machine->now_ns + ns;
    }
    machine_advance(whole->machine, ns);
    whole_look(whole, "a timer");
}

static void all_on(struct whole *whole)
{
    if (whole->no_memory) {
        set_mapped(whole, true);
    }
    whole->dma_off = whole->link_off = whole->paused = false;
    vionet_device_set_dma(whole->machine->device, true);
    vionet_device_set_link(whole->machine->device, true);
    vionet_device_set_paused(whole->machine->device, false);
}

static void act_bus_reset(struct whole *whole)
{
    struct machine *machine = whole->machine;

    if (over_mmio(whole)) {
        vionet_mmio_reset(machine->mmio);
    } else {
        vionet_pci_reset(machine->pci);
    }
    whole_forget_frames(whole);
    if (input_8(&whole->input) & 1) {
        complete_stale(whole);
    }
    all_on(whole);
    FUZZ_REQUIRE(guest_driver_probe(machine->driver),
                 "there is no device after a reset of the bus");
    boot(whole);
    complete_stale(whole);
    REACHED(BUS_RESETS);
}

/* ---- a driver that sleeps ---- */

/* Interrupts of all kinds so far; INTx is acknowledged first, so that it can rise. */
static uint64_t interrupts(struct whole *whole)
{
    struct guest_driver *driver = whole->machine->driver;
    uint64_t sum = guest_driver_intx_count(driver);

    for (unsigned i = 0; i < driver->vectors; i++) {
        sum += guest_driver_interrupts(driver, i);
    }
    if (guest_driver_intx_level(driver)) {
        guest_driver_isr(driver);
    }
    return sum;
}

/*
 * The driver has seen all there is and waits to be told of more: of a frame that arrives, or of one that was
 * sent. However notifications are coalesced it is told before time ends.
 */
static void act_sleep(struct whole *whole)
{
    struct guest_driver *driver = whole->machine->driver;
    struct guest_net *net = whole->machine->net;
    const uint8_t how = input_8(&whole->input);
    uint16_t before[2 * WHOLE_MAX_PAIRS];
    bool asleep[2 * WHOLE_MAX_PAIRS];
    uint8_t frame[60] = {0};
    uint64_t told;

    if (!whole_exact(whole)) {
        return;
    }
    whole_settle(whole);
    for (unsigned i = 0; i < 2 * driver->pairs; i++) {
        struct virtq *vq = guest_queue_ring(driver, i);

        asleep[i] = virtq_enable_interrupts(vq, 1);
        before[i] = virtq_used_total(vq);
    }
    told = interrupts(whole);
    memcpy(frame, traffic_mac(1), 6);
    memcpy(frame + 6, (const uint8_t[]){2, 0xf0, 0, 0, 0, 0, 8, 6}, 8);
    if (how & 1) {
        whole_deliver_one(whole, frame, sizeof(frame));
    } else if (whole->n_out < WHOLE_MAX_SENT) {
        struct whole_out out = {.traffic = g_new0(struct traffic_frame, 1)};

        memcpy(out.traffic->octets, frame, sizeof(frame));
        out.traffic->len = sizeof(frame);
        if (net_transmit(net, 0, NULL, frame, sizeof(frame))) {
            whole->out[whole->n_out++] = out;
            whole->offered++;
        } else {
            g_free(out.traffic);
        }
        whole_act_take(whole);
        whole_complete_all(whole);
    }
    for (unsigned i = 0; i < 3; i++) {
        machine_advance(whole->machine, UINT64_C(1) << 43);
    }
    for (unsigned i = 0; i < 2 * driver->pairs; i++) {
        if (asleep[i] && virtq_used_total(guest_queue_ring(driver, i)) != before[i]) {
            FUZZ_REQUIRE(interrupts(whole) != told, "queue %u: its driver is not told", i);
            REACHED(AWOKEN);
        }
    }
    whole_look(whole, "a sleep");
}

/* ---- stores between two reads ---- */

static struct {
    struct whole *whole;
    unsigned left;  /* loads until then */
    unsigned back;  /* which of the last loads is written over */
    uint64_t value; /* with what, if not just turned */
    bool turn;
    uint64_t at[LOADS_KEPT];
    size_t size[LOADS_KEPT];
    unsigned n;
} race;

static void race_on_load(void *opaque, uint64_t gpa, size_t size)
{
    struct whole *whole = opaque;
    uint8_t octets[8] = {0};
    unsigned which;

    race.at[race.n % LOADS_KEPT] = gpa;
    race.size[race.n % LOADS_KEPT] = size < 8 ? size : 8;
    race.n++;
    if (race.left--) {
        return;
    }
    which = (race.n - 1 - race.back % MIN(race.n, LOADS_KEPT)) % LOADS_KEPT;
    guest_read(whole->machine->memory, race.at[which], octets, race.size[which]);
    for (unsigned i = 0; i < 8; i++) {
        octets[i] = (uint8_t)((race.turn ? octets[i] : 0) ^ race.value >> 8 * i);
    }
    guest_write(whole->machine->memory, race.at[which], octets, race.size[which]);
    taint(whole);
    REACHED(RACES);
    loads_stop();
}

static void race_on_dma(struct machine *machine, uint64_t gpa, size_t len, bool write)
{
    if (!write) {
        loads_note(gpa, len);
    }
}

/* how: 0x0f which of the last loads, 0x10 its value is turned, not set */
static void act_race(struct whole *whole)
{
    const uint8_t how = input_8(&whole->input);
    const struct guest_region *regions;
    const unsigned n = guest_memory_regions(whole->machine->memory, &regions);
    struct loads_range ranges[N_REGIONS];

    for (unsigned i = 0; i < n; i++) {
        ranges[i] = (struct loads_range){regions[i].host, regions[i].size, regions[i].gpa};
    }
    memset(&race, 0, sizeof(race));
    race.left = input_8(&whole->input);
    race.back = how & 15;
    race.turn = how & 0x10;
    race.value = input_edgy(&whole->input, RIG_MAX_SIZE);
    loads_watch(ranges, n, race_on_load, whole);
}

/* An operation on remote memory fails, and all behind it. */
static void act_dma_fails(struct whole *whole)
{
    const unsigned after = input_8(&whole->input);

    if (whole->machine->setup.kind != MACHINE_MAPPED) {
        taint(whole);
        whole->machine->dma_fail_at = whole->machine->n_dma + 1 + after;
    }
}

/* ---- a run ---- */

static void (*const actions[])(struct whole *whole) = {
    whole_act_deliver, whole_act_deliver, whole_act_deliver,  whole_act_deliver, whole_act_receive,
    whole_act_receive, whole_act_send,    whole_act_send,     whole_act_send,    whole_act_take,
    whole_act_take,    whole_act_take,    whole_act_complete, whole_act_reclaim, whole_act_command,
    whole_act_command, whole_act_command, whole_act_command,  act_reset,         act_reset_queue,
    act_migrate,       act_map,           act_machine,        act_time,          act_bus_reset,
    act_sleep,         act_race,          act_dma_fails,      act_spoil,         act_kick,
    whole_settle,      act_stop,
};

#define N_ACTIONS (sizeof(actions) / sizeof(actions[0]))

static void choose_sizes(struct whole *whole, struct machine_setup *setup)
{
    const uint8_t sizes = input_8(&whole->input);
    const uint8_t receive = input_8(&whole->input);
    static const uint32_t buffer_sizes[4] = {0, 1600, 300, 4200};

    setup->device.receive_queue_size = (uint16_t)(4u << (sizes & 3));
    setup->device.transmit_queue_size = (uint16_t)(4u << (sizes >> 2 & 3));
    setup->device.control_queue_size = (uint16_t)(4u << (sizes >> 4 & 1));
    setup->driver.intx = sizes & 0x20;
    setup->driver.max_vectors = sizes & 0x40 ? 2 : 0;
    setup->net.receive_size = buffer_sizes[receive & 3];
    setup->net.receive_layout.shape = receive & 4 ? NET_HEADER_APART : NET_WHOLE;
    setup->net.receive_buffers = receive & 8 ? 3 : 16;
    setup->net.receive_batch = receive & 16 ? 1 : 0;
    if (setup->net.receive_size == 0) {
        setup->net.receive_buffers = 4;
    }
}

static void make_machine(struct whole *whole)
{
    static const struct guest_memory_options memory = {
        .extents = extents, .n_extents = N_REGIONS, .guard_pages = true};
    const uint8_t transport = input_8(&whole->input);
    const uint8_t kind = input_8(&whole->input);
    const uint8_t pairs = input_8(&whole->input);
    struct machine_setup setup;
    GError *error = NULL;

    machine_setup_init(&setup);
    setup.transport = MACHINE_PCI + (transport % 8 < 6 ? transport % 8 : 0);
    setup.kind = kind % 4 == 2 ? MACHINE_REMOTE : kind % 4 == 3 ? MACHINE_MIXED : MACHINE_MAPPED;
    setup.ring = MACHINE_NEGOTIATED;
    setup.memory = &memory;
    setup.on_trace = on_trace;
    rig_config(&setup.device, vionet_dialect_at(kind >> 2 & 3), 1 + pairs % WHOLE_MAX_PAIRS);
    setup.device.mtu = pairs & 0x80 ? 600 : 1500;
    setup.device.rss_max_key_size = 255;
    setup.net.poison = true;
    setup.net.transmit_size = TRAFFIC_MAX + 32;
    setup.net.transmit_buffers = 16;
    setup.net.control_size = 2048;
    setup.net.control_wait_us = 1;
    choose_sizes(whole, &setup);
    whole->machine = machine_new(&setup, &error);
    FUZZ_REQUIRE(whole->machine, "no machine: %s", error->message);
    whole->machine->on_dma = race_on_dma;
    whole->machine->on_event = on_event;
    whole->machine->user = whole;
    make_guards(whole);
}

static void finish(struct whole *whole)
{
    struct machine *machine = whole->machine;

    loads_stop();
    all_on(whole);
    if (!whole->tainted) {
        whole_settle(whole);
    }
    require_guards(whole);
    whole->input = input_of(NULL, 0);
    boot(whole);
    whole_complete_all(whole);
    FUZZ_REQUIRE(machine_works(machine), "the device does not work after all: %s",
                 complaints_text(guest_driver_complaints(machine->driver)));
    reach_violations(machine->device);
    machine_free(machine);
    whole_free_frames(whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct whole whole;

    memset(&whole, 0, sizeof(whole));
    whole.input = input_of(data, size);
    make_machine(&whole);
    boot(&whole);
    for (unsigned i = 0; i < MAX_ACTIONS && !input_ended(&whole.input); i++) {
        actions[input_below(&whole.input, N_ACTIONS)](&whole);
        require_guards(&whole);
    }
    finish(&whole);
    return 0;
}
