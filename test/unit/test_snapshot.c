/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What changes under the device's feet: host operations that call back into it, memory that is
 * moved or taken away, resets with frames out, the bus switched off and on, commands in floods. The
 * data path stands on snapshots of all this (lib/net/device.h); here is that none is used too long,
 * and none is lost.
 */
#include <malloc.h>
#include <string.h>
#include <sys/mman.h>

#include <glib.h>

#include <vionet/spec.h>
#include <vionet/transport.h>

#include "driver/bytes.h"
#include "driver/net_private.h"
#include "driver/queue.h"
#include "machine/machine.h"

#define PAGE   UINT64_C(4096)
#define MEMORY (UINT64_C(16) << 20)
#define BASE   (UINT64_C(1) << 20)

static const uint8_t broadcast[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,    0,
                                      0,    0,    0,    1,    0x88, 0xb5, 0x11, 0x22};

/* ---- Machines ---- */

static void offer_all(struct machine_setup *setup)
{
    static const uint8_t bits[] = {
        VIRTIO_NET_F_MQ,        VIRTIO_NET_F_RSS,          VIRTIO_NET_F_HASH_REPORT,
        VIRTIO_NET_F_NOTF_COAL, VIRTIO_NET_F_VQ_NOTF_COAL, VIRTIO_F_IN_ORDER,
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bits); i++) {
        vionet_features_set(setup->device.features, bits[i], true);
    }
}

static struct guest_features wanted(bool event_idx, bool in_order)
{
    struct guest_features features = features_known();

    if (!event_idx) {
        features_remove(&features, VIRTIO_F_EVENT_IDX);
    }
    if (!in_order) {
        features_remove(&features, VIRTIO_F_IN_ORDER);
    }
    return features;
}

/* Two pairs, both in use; guest memory that the device sees in a mapping of its own. */
static struct machine *start_with(struct machine_setup *setup, struct guest_features features)
{
    static const struct guest_extent extent = {BASE, MEMORY};
    static const struct guest_memory_options memory = {
        .extents = &extent, .n_extents = 1, .guard_pages = true};
    struct machine *machine;
    GError *error = NULL;

    offer_all(setup);
    setup->device.max_pairs = 2;
    setup->memory = &memory;
    setup->net.transmit_size = 2048;
    setup->net.control_size = 8192;
    setup->net.control_wait_us = 1;
    machine = machine_new(setup, &error);
    g_assert_no_error(error);
    g_assert_true(machine_boot(machine, features));
    g_assert_cmpint(net_control_pairs(machine->net, 2), ==, VIRTIO_NET_OK);
    machine_forget_events(machine);
    return machine;
}

static struct machine *start(bool event_idx, bool in_order)
{
    struct machine_setup setup;

    machine_setup_init(&setup);
    return start_with(&setup, wanted(event_idx, in_order));
}

static struct virtq *ring_of(struct machine *machine, unsigned index)
{
    return guest_queue_ring(machine->driver, index);
}

static uint64_t counter(const struct machine *machine, unsigned queue, VionetCounter which)
{
    return vionet_device_counter(machine->device, queue, which);
}

static const struct guest_region *region_of(const struct machine *machine)
{
    const struct guest_region *region;

    guest_memory_regions(machine->memory, &region);
    return region;
}

static void unmap_memory(struct machine *machine)
{
    GError *error = NULL;

    vionet_device_unmap(machine->device, BASE, MEMORY, &error);
    g_assert_no_error(error);
}

static void map_memory(struct machine *machine)
{
    GError *error = NULL;

    vionet_device_map(machine->device, BASE, region_of(machine)->host, MEMORY, 0, &error);
    g_assert_no_error(error);
}

/* What the device sees of guest memory faults from here on: nobody is to touch it. */
static void fence(const struct machine *machine, bool on)
{
    g_assert_cmpint(
        mprotect(region_of(machine)->host, MEMORY, on ? PROT_NONE : PROT_READ | PROT_WRITE), ==, 0);
}

static void send(struct machine *machine, unsigned pair)
{
    net_reclaim(machine->net, pair);
    g_assert_true(net_transmit(machine->net, pair, NULL, broadcast, sizeof(broadcast)));
}

static void assert_receives(struct machine *machine)
{
    struct guest_packet packet;

    g_assert_true(net_receive(machine->net, &packet));
    g_assert_cmpmem(packet.data, packet.len, broadcast, sizeof(broadcast));
}

/* A frame each way on each pair. */
static void assert_traffic(struct machine *machine)
{
    for (unsigned pair = 0; pair < 2; pair++) {
        send(machine, pair);
        g_assert_cmpuint(machine_drain(machine, pair), ==, 1);
        g_assert_cmpuint(net_reclaim(machine->net, pair), ==, 1);
        g_assert_cmpint(machine_deliver(machine, broadcast, sizeof(broadcast)), ==,
                        VIONET_DELIVERED);
        assert_receives(machine);
    }
}

/* ---- Host operations that call back ---- */

enum operation { ON_KICK, ON_EVENT, ON_INTERRUPT, N_OPERATIONS };

static const char *const operation_names[] = {"kick", "event", "interrupt"};

struct hook {
    enum operation when;
    void (*act)(struct machine *machine);
    unsigned depth, max_depth;
    unsigned acted;
    unsigned late; /* interrupts of a device that was reset */
};

static void hook_run(struct machine *machine, enum operation operation)
{
    struct hook *hook = machine->user;

    if (hook->when != operation || hook->depth >= hook->max_depth) {
        return;
    }
    hook->depth++;
    hook->acted++;
    hook->act(machine);
    hook->depth--;
}

static void hook_kick(struct machine *machine, unsigned queue)
{
    (void)queue;
    hook_run(machine, ON_KICK);
}

static void hook_event(struct machine *machine, const VionetEvent *event)
{
    if (event->kind != VIONET_EVENT_RESET) {
        hook_run(machine, ON_EVENT);
    }
}

static void hook_interrupt(void *opaque, unsigned queue)
{
    struct machine *machine = opaque;
    struct hook *hook = machine->user;

    (void)queue;
    hook->late += vionet_device_status(machine->device) == 0;
    hook_run(machine, ON_INTERRUPT);
}

static void hook_set(struct machine *machine, struct hook *hook)
{
    machine->user = hook;
    machine->on_kick = hook ? hook_kick : NULL;
    machine->on_event = hook ? hook_event : NULL;
    /* Without a hook nobody is told; the guest of these tests polls. */
    vionet_device_set_interrupt(machine->device, hook ? hook_interrupt : NULL, machine);
}

static void act_receive(struct machine *machine)
{
    machine_deliver(machine, broadcast, sizeof(broadcast));
}

static void act_transmit(struct machine *machine)
{
    machine_drain(machine, 0);
    machine_drain(machine, 1);
}

static void act_kick(struct machine *machine)
{
    for (unsigned i = 0; i < 6; i++) {
        vionet_device_kick(machine->device, i);
    }
}

static void act_reset(struct machine *machine)
{
    vionet_device_write_status(machine->device, 0);
}

static void act_bus_reset(struct machine *machine)
{
    vionet_pci_reset(machine->pci);
    vionet_device_set_dma(machine->device, true);
}

static void act_failed(struct machine *machine)
{
    vionet_device_write_status(machine->device, VIRTIO_STATUS_FAILED | 0xf);
}

static void act_queue_reset(struct machine *machine)
{
    for (unsigned i = 0; i < 5; i++) {
        vionet_device_reset_queue(machine->device, i);
    }
}

static void act_map_more(struct machine *machine)
{
    static uint8_t page[4096] __attribute__((aligned(4096)));

    if (!vionet_device_map(machine->device, 0x90000000, page, PAGE, 0, NULL)) {
        vionet_device_unmap(machine->device, 0x90000000, PAGE, NULL);
    }
}

static void act_map_again(struct machine *machine)
{
    unmap_memory(machine);
    map_memory(machine);
}

static void act_unmap(struct machine *machine)
{
    if (vionet_device_unmap(machine->device, BASE, MEMORY, NULL)) {
        fence(machine, true);
    }
}

static void act_link(struct machine *machine)
{
    vionet_device_set_link(machine->device, false);
    vionet_device_set_link(machine->device, true);
}

static void act_bus(struct machine *machine)
{
    vionet_device_set_dma(machine->device, false);
    vionet_device_set_dma(machine->device, true);
}

static void act_bus_off(struct machine *machine)
{
    vionet_device_set_dma(machine->device, false);
}

static void act_poll(struct machine *machine)
{
    for (unsigned i = 0; i < 5; i++) {
        vionet_device_set_poll(machine->device, i, true);
        vionet_device_set_poll(machine->device, i, false);
    }
}

static void act_announce(struct machine *machine)
{
    vionet_device_announce(machine->device);
}

static void act_timers(struct machine *machine)
{
    for (unsigned i = 0; i < 6; i++) {
        vionet_device_timer(machine->device, i);
    }
}

static void act_counters(struct machine *machine)
{
    for (unsigned i = 0; i < 5; i++) {
        g_assert_cmpuint(counter(machine, i, VIONET_COUNTER_STALE), <, 1000);
    }
}

static const struct action {
    const char *name;
    void (*act)(struct machine *machine);
} actions[] = {
    {"receive", act_receive},
    {"transmit", act_transmit},
    {"kick", act_kick},
    {"reset", act_reset},
    {"bus-reset", act_bus_reset},
    {"failed", act_failed},
    {"queue-reset", act_queue_reset},
    {"map-more", act_map_more},
    {"map-again", act_map_again},
    {"unmap", act_unmap},
    {"link", act_link},
    {"bus-off-and-on", act_bus},
    {"bus-off", act_bus_off},
    {"poll", act_poll},
    {"announce", act_announce},
    {"timers", act_timers},
    {"counters", act_counters},
};

static void break_queue(struct machine *machine, unsigned index)
{
    struct virtq *vq = ring_of(machine, index);

    if (vq) {
        virtq_spoil(vq);
    }
}

static void deliver_burst(struct machine *machine)
{
    const struct iovec piece = {(void *)broadcast, sizeof(broadcast)};
    VionetVerdict verdicts[40];
    VionetFrame frames[40];

    for (unsigned i = 0; i < G_N_ELEMENTS(frames); i++) {
        frames[i] = (VionetFrame){.iov = &piece, .n_iov = 1};
    }
    vionet_device_receive(machine->device, 1, frames, 40, verdicts, VIONET_RECEIVE_HOLD);
}

/* Several commands for one notification, each of which is an event. */
static void send_commands(struct machine *machine)
{
    static const uint8_t commands[4][4] = {{0, 0, 1}, {0, 1, 1}, {9, 9, 9}, {2, 0, 5, 0}};
    struct virtq *vq = ring_of(machine, 4);

    for (unsigned i = 0; vq && i < G_N_ELEMENTS(commands); i++) {
        const uint64_t gpa = machine->net->control.command.gpa + 16 * i;
        const struct virtq_segment segments[2] = {{gpa, i == 3 ? 4 : 3, false},
                                                  {machine->net->control.reply.gpa + i, 1, true}};

        guest_write(machine->memory, gpa, commands[i], 4);
        virtq_add(vq, segments, 2, machine);
    }
    guest_queue_kick(machine->driver, 4);
}

/* A little of everything, whatever has become of the device meanwhile. */
static void a_little_of_everything(struct machine *machine)
{
    for (unsigned pair = 0; pair < 2; pair++) {
        net_transmit(machine->net, pair, NULL, broadcast, sizeof(broadcast));
        machine_drain(machine, pair);
    }
    deliver_burst(machine);
    send_commands(machine);
    net_control_coalesce_rx(machine->net, 10, 1000);
    deliver_burst(machine);
    net_control_coalesce_rx(machine->net, 1, 1);
    net_control_pairs(machine->net, 3);
    break_queue(machine, 3);
    machine_drain(machine, 1);
    break_queue(machine, 0);
    deliver_burst(machine);
    break_queue(machine, 4);
    vionet_device_kick(machine->device, 4);
}

static void bring_back(struct machine *machine)
{
    if (!vionet_device_unmap(machine->device, BASE, MEMORY, NULL)) {
        fence(machine, false);
    }
    map_memory(machine);
    vionet_device_set_dma(machine->device, true);
    vionet_device_set_link(machine->device, true);
    complaints_clear(guest_driver_complaints(machine->driver));
}

struct reentry {
    enum operation when;
    const struct action *action;
};

static struct reentry reentries[N_OPERATIONS * G_N_ELEMENTS(actions)];

static void reenter(const struct reentry *reentry, bool event_idx, unsigned max_depth)
{
    struct hook hook = {.when = reentry->when, .act = reentry->action->act, .max_depth = max_depth};
    struct machine *machine = start(event_idx, event_idx);

    hook_set(machine, &hook);
    a_little_of_everything(machine);
    g_assert_cmpuint(hook.acted, >, 0);
    if (reentry->action->act == act_reset || reentry->action->act == act_bus_reset) {
        g_assert_cmphex(vionet_device_status(machine->device), ==, 0);
        g_assert_cmpuint(hook.late, ==, 0);
    }
    hook_set(machine, NULL);
    bring_back(machine);
    g_assert_true(machine_works(machine));
    machine_finish(machine);
}

/* D-01 to D-06: from within any operation any function may be called, and all is well after. */
static void test_reentry(gconstpointer data)
{
    g_test_summary("D-01 to D-06: a host operation calls back into the device");
    if (!g_test_subprocess()) {
        g_test_trap_subprocess(NULL, 0, 0);
        g_test_trap_assert_passed();
        return;
    }
    for (unsigned k = 0; k < 4; k++) {
        reenter(data, k & 1, k & 2 ? 3 : 1);
    }
}

/* A host that resets a device that its driver broke: then it has been reset. */
static void test_reset_in_a_violation(void)
{
    for (unsigned queue = 0; queue < 5; queue++) {
        struct hook hook = {.when = ON_EVENT, .act = act_reset, .max_depth = 1};
        struct machine *machine = start(true, false);

        hook_set(machine, &hook);
        break_queue(machine, queue);
        if (queue == 0 || queue == 2) {
            /* Non-IP frames go to the first pair, or the next one if that is not there. */
            vionet_device_reset_queue(machine->device, queue ^ 2);
            machine_deliver(machine, broadcast, sizeof(broadcast));
        }
        machine_drain(machine, queue / 2);
        vionet_device_kick(machine->device, queue);
        g_assert_cmpuint(hook.acted, ==, 1);
        g_assert_cmphex(vionet_device_status(machine->device), ==, 0);
        hook_set(machine, NULL);
        complaints_clear(guest_driver_complaints(machine->driver));
        g_assert_true(machine_works(machine));
        machine_finish(machine);
    }
}

/* Frames for both pairs by RSS: each octet of the table's is a pair. */
static void spread_by_hash(struct machine *machine)
{
    static const uint8_t key[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
                                    0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
                                    0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
                                    0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};
    const struct net_rss rss = {
        .hash_types = 0x1ff, .table_len = 128, .max_tx_vq = 2, .key = key, .key_len = 40};

    g_assert_cmpint(net_control_rss(machine->net, &rss), ==, VIRTIO_NET_OK);
}

/* An IPv4 frame of one of many flows, for this guest. */
static void fill_flow(uint8_t *frame, unsigned flow)
{
    static const uint8_t head[34] = {0x52, 0x54, 0,    0x12, 0x34, 0x56, 2,  0, 0, 0, 0,  1,
                                     8,    0,    0x45, 0,    0,    46,   0,  0, 0, 0, 64, 253,
                                     0,    0,    10,   0,    0,    1,    10, 0, 0, 2};

    memset(frame, 0, 60);
    memcpy(frame, head, sizeof(head));
    frame[28] = (uint8_t)(flow >> 8);
    frame[29] = (uint8_t)flow;
}

/*
 * Of one burst one queue has got frames, and the other turns out broken. Told of the first the host
 * resets: what there was to say of the second is void.
 */
static void test_reset_with_a_fault_to_report(void)
{
    uint8_t octets[32][60];
    struct iovec pieces[32];
    VionetFrame frames[32];

    for (unsigned victim = 0; victim < 4; victim += 2) {
        struct hook hook = {.when = ON_INTERRUPT, .act = act_reset, .max_depth = 1};
        struct machine_setup setup;
        struct machine *machine;

        machine_setup_init(&setup);
        setup.net.hold = true;
        machine = start_with(&setup, wanted(false, false));
        spread_by_hash(machine);
        for (unsigned i = 0; i < 32; i++) {
            fill_flow(octets[i], i);
            pieces[i] = (struct iovec){octets[i], 60};
            frames[i] = (VionetFrame){.iov = &pieces[i], .n_iov = 1};
        }
        net_post(machine->net, victim == 0, 100);
        break_queue(machine, victim);
        hook_set(machine, &hook);
        g_assert_cmpuint(vionet_device_receive(machine->device, 0, frames, 32, NULL, 0), >, 0);
        g_assert_cmphex(vionet_device_status(machine->device), ==, 0);
        g_assert_cmpuint(hook.acted, ==, 1);
        g_assert_cmpuint(hook.late, ==, 0);
        hook_set(machine, NULL);
        complaints_clear(guest_driver_complaints(machine->driver));
        machine->net->options.hold = false;
        g_assert_true(machine_works(machine));
        machine_finish(machine);
    }
}

/* Told of a command, the host resets: what the command had to say to the driver is void. */
static void test_reset_after_a_command(void)
{
    struct hook hook = {.when = ON_EVENT, .act = act_reset, .max_depth = 1};
    struct machine *machine = start(false, false);

    hook_set(machine, &hook);
    send_commands(machine);
    g_assert_cmpuint(hook.acted, ==, 1);
    g_assert_cmphex(vionet_device_status(machine->device), ==, 0);
    g_assert_cmpuint(hook.late, ==, 0);
    hook_set(machine, NULL);
    g_assert_true(machine_works(machine));
    machine_finish(machine);
}

/* A driver that breaks a queue while it starts, and a host that resets it at once. */
static void note_last_event(struct machine *machine, const VionetEvent *event)
{
    *(VionetEventKind *)machine->user = event->kind;
    if (event->kind == VIONET_EVENT_VIOLATION) {
        vionet_device_write_status(machine->device, 0);
    }
}

static void test_reset_while_starting(void)
{
    struct machine *machine = start(true, false);
    VionetEventKind last = VIONET_EVENT_FILTER;

    g_assert_true(guest_driver_reset(machine->driver));
    guest_driver_acknowledge(machine->driver);
    g_assert_true(guest_driver_negotiate(machine->driver, features_known()));
    vionet_device_write_queue_area(machine->device, 1, VIONET_AREA_DESC, 8);
    vionet_device_write_queue_enable(machine->device, 1, 1);
    machine->user = &last;
    machine->on_event = note_last_event;
    vionet_device_write_status(machine->device, 0xf);
    g_assert_cmphex(vionet_device_status(machine->device), ==, 0);
    g_assert_cmpint(last, ==, VIONET_EVENT_RESET); /* and not that the driver runs */
    machine->on_event = NULL;
    g_assert_true(machine_works(machine));
    machine_finish(machine);
}

/* Between two commands of one notification the host maps more, or less. */
static void test_map_between_commands(void)
{
    static void (*const acts[])(struct machine * machine) = {act_map_more, act_map_again};

    for (size_t i = 0; i < G_N_ELEMENTS(acts); i++) {
        struct hook hook = {.when = ON_EVENT, .act = acts[i], .max_depth = 1};
        struct machine *machine = start(true, false);
        const uint64_t before = counter(machine, 4, VIONET_COUNTER_COMMANDS_OK);

        hook_set(machine, &hook);
        send_commands(machine);
        g_assert_cmpuint(counter(machine, 4, VIONET_COUNTER_COMMANDS_OK), ==, before + 3);
        g_assert_cmpuint(counter(machine, 4, VIONET_COUNTER_COMMANDS_ERR), ==, 1);
        hook_set(machine, NULL);
        machine_finish(machine);
    }
}

static void test_unmap_between_commands(void)
{
    struct hook hook = {.when = ON_EVENT, .act = act_unmap, .max_depth = 1};
    struct machine *machine;

    if (!g_test_subprocess()) {
        g_test_trap_subprocess(NULL, 0, 0);
        g_test_trap_assert_passed();
        return;
    }
    machine = start(true, false);
    hook_set(machine, &hook);
    send_commands(machine);
    g_assert_nonnull(machine_violation(machine, VIONET_VIOLATION_RING_ADDRESS));
    g_assert_cmpuint(machine_violation(machine, VIONET_VIOLATION_RING_ADDRESS)->queue, ==, 4);
    hook_set(machine, NULL);
    bring_back(machine);
    g_assert_true(machine_works(machine));
    machine_finish(machine);
}

/*
 * A coalescing command has a receive queue notify at once, whose rings have been unmapped since it
 * was used last.
 */
static void test_coalescing_of_an_unmapped_queue(void)
{
    static const struct guest_extent extents[2] = {{BASE, MEMORY}, {BASE + MEMORY, 64 * PAGE}};
    static const struct guest_memory_options memory = {
        .extents = extents, .n_extents = 2, .guard_pages = true};
    const struct guest_region *regions;
    struct machine_setup setup;
    struct machine *machine;
    struct virtq *vq;
    GError *error = NULL;

    if (!g_test_subprocess()) {
        g_test_trap_subprocess(NULL, 0, 0);
        g_test_trap_assert_passed();
        return;
    }
    machine_setup_init(&setup);
    offer_all(&setup);
    setup.memory = &memory;
    setup.net.transmit_size = 2048;
    machine = machine_new(&setup, &error);
    g_assert_no_error(error);
    g_assert_true(machine_boot(machine, wanted(false, false)));
    g_assert_true(guest_queue_reset(machine->driver, 0));
    /* The first queue goes to the second region, which then goes away. */
    machine->driver->queues[0].area =
        (struct virtq_area){BASE + MEMORY, BASE + MEMORY + 8 * PAGE, BASE + MEMORY + 16 * PAGE};
    g_assert_true(guest_queue_setup(machine->driver, 0, 0));
    g_assert_true(net_receive_start(machine->net, 0));
    vq = ring_of(machine, 0);
    g_assert_cmphex(virtq_options(vq)->area.desc_gpa, ==, BASE + MEMORY);
    g_assert_cmpint(net_control_coalesce_rx(machine->net, 100, 1000000), ==, VIRTIO_NET_OK);
    g_assert_cmpint(machine_deliver(machine, broadcast, sizeof(broadcast)), ==, VIONET_DELIVERED);
    guest_memory_regions(machine->memory, &regions);
    g_assert_true(vionet_device_unmap(machine->device, regions[1].gpa, regions[1].size, NULL));
    g_assert_cmpint(mprotect(regions[1].host, regions[1].size, PROT_NONE), ==, 0);
    g_assert_cmpint(net_control_coalesce_rx(machine->net, 0, 0), ==, VIRTIO_NET_OK);
    machine_free(machine);
}

/* What the host sets while a command is under way stays set. */
static void act_link_down(struct machine *machine)
{
    vionet_device_set_link(machine->device, false);
}

static void test_link_in_a_command(void)
{
    for (unsigned when = 0; when < N_OPERATIONS; when++) {
        struct hook hook = {.when = (enum operation)when, .act = act_link_down, .max_depth = 1};
        struct machine *machine = start(false, false);

        g_assert_cmpint(net_control_coalesce_rx(machine->net, 10, 1000000), ==, VIRTIO_NET_OK);
        machine_deliver(machine, broadcast, sizeof(broadcast));
        hook_set(machine, &hook);
        if (when == ON_KICK) {
            net_transmit(machine->net, 0, NULL, broadcast, sizeof(broadcast));
        } else if (when == ON_EVENT) {
            send_commands(machine);
        } else {
            net_control_coalesce_rx(machine->net, 1, 1); /* what waited is due */
        }
        g_assert_cmpuint(hook.acted, >, 0);
        g_assert_cmpint(machine_deliver(machine, broadcast, sizeof(broadcast)), ==,
                        VIONET_DROP_LINK_DOWN);
        hook_set(machine, NULL);
        machine_finish(machine);
    }
}

/* D-01: what is sent comes back at once, and the guest answers from its interrupt, so often. */
struct echo {
    unsigned left, depth, deepest;
};

static void echo_kick(struct machine *machine, unsigned queue)
{
    static uint8_t copy[64][60];
    struct echo *echo = machine->user;
    VionetFrame frames[4];
    size_t n;

    if (queue != 1 || echo->left == 0) {
        return;
    }
    echo->left--;
    echo->depth++;
    echo->deepest = MAX(echo->deepest, echo->depth);
    while ((n = vionet_device_transmit(machine->device, 0, frames, 4)) > 0) {
        for (size_t i = 0; i < n; i++) {
            uint8_t *octets = copy[echo->left % 64];

            g_assert_cmpuint(vionet_frame_linearize(&frames[i], octets, 60), ==, 60);
            machine_deliver(machine, octets, 60);
        }
        vionet_device_complete(machine->device, 0, frames, n);
    }
    echo->depth--;
}

static void echo_interrupt(void *opaque, unsigned queue)
{
    struct machine *machine = opaque;
    struct guest_packet packet;

    if (queue == 0 && net_receive_pair(machine->net, 0, &packet)) {
        net_transmit(machine->net, 0, NULL, packet.data, packet.len);
    }
}

static void test_loop_back(void)
{
    for (unsigned k = 0; k < 4; k++) {
        struct machine *machine = start(k & 1, k & 2);
        struct echo echo = {.left = 50};

        machine->user = &echo;
        machine->on_kick = echo_kick;
        vionet_device_set_interrupt(machine->device, echo_interrupt, machine);
        send(machine, 0);
        g_assert_cmpuint(echo.left, <, 50);
        machine->on_kick = NULL;
        machine_drain(machine, 0);
        g_assert_cmpuint(counter(machine, 0, VIONET_COUNTER_PACKETS), >, 0);
        g_assert_cmpuint(counter(machine, 1, VIONET_COUNTER_STALE), ==, 0);
        machine_finish(machine);
    }
}

/* ---- Memory that moves ---- */

/* G-05: the same guest memory at another place of the host: nobody notices. */
static void test_moved_memory(void)
{
    const struct guest_region *region;
    void *place[2];
    struct machine *machine;

    if (!g_test_subprocess()) {
        g_test_trap_subprocess(NULL, 0, 0);
        g_test_trap_assert_passed();
        return;
    }
    for (unsigned k = 0; k < 4; k++) {
        machine = start(k & 1, k & 2);
        region = region_of(machine);
        place[0] = region->host;
        place[1] = mmap(NULL, MEMORY, PROT_NONE, MAP_SHARED, region->fd, (off_t)region->fd_offset);
        g_assert_true(place[1] != MAP_FAILED);
        for (unsigned i = 0; i < 100; i++) {
            const unsigned from = i % 2;

            assert_traffic(machine);
            unmap_memory(machine);
            g_assert_cmpint(mprotect(place[from], MEMORY, PROT_NONE), ==, 0);
            g_assert_cmpint(mprotect(place[!from], MEMORY, PROT_READ | PROT_WRITE), ==, 0);
            g_assert_true(vionet_device_map(machine->device, BASE, place[!from], MEMORY, 0, NULL));
            g_assert_cmpint(net_control_rx(machine->net, VIRTIO_NET_CTRL_RX_PROMISC, i % 2), ==,
                            VIRTIO_NET_OK);
        }
        g_assert_cmpuint(vionet_device_violations(machine->device, VIONET_VIOLATION_RING_ADDRESS),
                         ==, 0);
        munmap(place[1], MEMORY);
        machine_finish(machine);
    }
}

/* Mappings that no queue uses come and go at no cost to those that do. */
static void test_other_mappings(void)
{
    static uint8_t pages[8 * 4096] __attribute__((aligned(4096)));
    struct machine *machine = start(true, true);

    for (unsigned i = 0; i < 2000; i++) {
        const uint64_t gpa = 0x90000000 + (uint64_t)(i * 7 % 8) * PAGE;

        if (!vionet_device_map(machine->device, gpa, pages + i % 8 * PAGE, PAGE, i % 2, NULL)) {
            g_assert_true(vionet_device_unmap(machine->device, gpa, PAGE, NULL));
        }
        if (i % 16 == 0) {
            assert_traffic(machine);
        }
    }
    machine_finish(machine);
}

/* Without its memory a queue breaks when it is next used, and touches nothing. */
static void test_missing_memory(void)
{
    if (!g_test_subprocess()) {
        g_test_trap_subprocess(NULL, 0, 0);
        g_test_trap_assert_passed();
        return;
    }
    for (unsigned k = 0; k < 2; k++) {
        struct machine *machine = start(k, false);
        VionetFrame frames[2];

        send(machine, 0);
        g_assert_cmpuint(vionet_device_transmit(machine->device, 0, frames, 2), ==, 1);
        unmap_memory(machine);
        fence(machine, true);
        deliver_burst(machine);
        machine_drain(machine, 1);
        vionet_device_complete(machine->device, 0, frames, 1);
        vionet_device_kick(machine->device, 4);
        fence(machine, false);
        g_assert_cmpuint(vionet_device_violations(machine->device, VIONET_VIOLATION_RING_ADDRESS),
                         >=, 4);
        g_assert_cmpuint(counter(machine, 1, VIONET_COUNTER_STALE), ==, 1);
        g_assert_true(vionet_device_status(machine->device) & VIRTIO_STATUS_DEVICE_NEEDS_RESET);
        map_memory(machine);
        g_assert_cmpuint(machine_drain(machine, 0), ==, 0); /* broken is broken */
        complaints_clear(guest_driver_complaints(machine->driver));
        g_assert_true(machine_works(machine));
        machine_finish(machine);
    }
}

/* Z-01: of a frame over three buffers the memory of the third is gone: nothing of it is seen. */
static void test_missing_buffer(void)
{
    static uint8_t page[4096] __attribute__((aligned(4096)));
    struct machine_setup setup;
    struct machine *machine;
    struct virtq_segment segment;

    machine_setup_init(&setup);
    setup.net.hold = true;
    machine = start_with(&setup, wanted(false, false));
    g_assert_true(vionet_device_map(machine->device, 0x90000000, page, PAGE, 0, NULL));
    for (unsigned i = 0; i < 3; i++) {
        segment = (struct virtq_segment){i == 2 ? 0x90000000 : guest_alloc(machine->memory, 32, 32),
                                         32, true};
        g_assert_true(virtq_add(ring_of(machine, 0), &segment, 1, machine));
    }
    guest_queue_kick(machine->driver, 0);
    g_assert_true(vionet_device_unmap(machine->device, 0x90000000, PAGE, NULL));
    memset(page, 0x77, sizeof(page));
    g_assert_cmpint(machine_deliver(machine, broadcast, sizeof(broadcast)), ==,
                    VIONET_DROP_NOT_RUNNING);
    g_assert_nonnull(machine_violation(machine, VIONET_VIOLATION_ADDRESS));
    g_assert_cmphex(machine_violation(machine, VIONET_VIOLATION_ADDRESS)->value, ==, 0x90000000);
    g_assert_cmpuint(virtq_used_total(ring_of(machine, 0)), ==, 0);
    for (size_t i = 0; i < sizeof(page); i++) {
        g_assert_cmpuint(page[i], ==, 0x77);
    }
    machine_free(machine);
}

/* ---- Frames that outlive their queue ---- */

enum ending { DEVICE_RESET, QUEUE_RESET, BROKEN, RESTARTED, QUEUE_RESTARTED, N_ENDINGS };

static const char *const ending_names[] = {"reset", "queue-reset", "broken", "restarted",
                                           "queue-restarted"};

static void end(struct machine *machine, enum ending ending)
{
    switch (ending) {
    case DEVICE_RESET:
        vionet_device_write_status(machine->device, 0);
        break;
    case QUEUE_RESET:
        g_assert_true(vionet_device_reset_queue(machine->device, 1));
        break;
    case BROKEN:
        break_queue(machine, 1);
        g_assert_cmpuint(machine_drain(machine, 0), ==, 0);
        break;
    case RESTARTED:
        g_assert_true(machine_boot(machine, features_known()));
        break;
    default:
        g_assert_true(net_reset_queue(machine->net, 1, 0));
        break;
    }
}

/* Every frame that the queue can have is out, then it ends, then they come back: too late. */
static void test_late_completion(gconstpointer data)
{
    const enum ending ending = (enum ending)GPOINTER_TO_UINT(data);

    g_test_summary("Z-02, Z-03: what comes back too late is counted, and its place is free again");
    for (unsigned k = 0; k < 4; k++) {
        enum { OUT = 63 }; /* one place is left, to break the rules in */
        static VionetFrame frames[OUT];
        struct machine_setup setup;
        struct machine *machine;
        uint8_t *copy;
        void *memory;
        uint64_t interrupts;

        machine_setup_init(&setup);
        setup.driver.queue_size = 64;
        setup.device.transmit_queue_size = 64;
        setup.net.transmit_buffers = 64;
        machine = start_with(&setup, wanted(k & 1, k & 2));
        for (unsigned i = 0; i < OUT; i++) {
            g_assert_true(net_transmit(machine->net, 0, NULL, broadcast, sizeof(broadcast)));
        }
        g_assert_cmpuint(vionet_device_transmit(machine->device, 0, frames, OUT), ==, OUT);
        end(machine, ending);
        memory = guest_ptr(machine->memory, BASE, MEMORY);
        copy = g_memdup2(memory, MEMORY);
        interrupts = counter(machine, 1, VIONET_COUNTER_INTERRUPTS);
        for (unsigned i = 0; i < OUT; i++) {
            vionet_device_complete(machine->device, 0, &frames[i * 37 % OUT], 1);
        }
        g_assert_cmpuint(counter(machine, 1, VIONET_COUNTER_STALE), ==, OUT);
        g_assert_cmpuint(counter(machine, 1, VIONET_COUNTER_INTERRUPTS), ==, interrupts);
        g_assert_true(memcmp(copy, memory, MEMORY) == 0);
        vionet_device_complete(machine->device, 0, frames, OUT); /* and again */
        g_assert_cmpuint(counter(machine, 1, VIONET_COUNTER_STALE), ==, 2 * OUT);
        g_free(copy);
        complaints_clear(guest_driver_complaints(machine->driver));
        /* All places are free again. */
        g_assert_true(machine_boot(machine, wanted(k & 1, k & 2)));
        for (unsigned i = 0; i < OUT; i++) {
            g_assert_true(net_transmit(machine->net, 0, NULL, broadcast, sizeof(broadcast)));
        }
        g_assert_cmpuint(machine_drain(machine, 0), ==, OUT);
        g_assert_cmpuint(net_reclaim(machine->net, 0), ==, OUT);
        machine_finish(machine);
    }
}

/* A frame that is out stays what it is, whatever the driver's next life brings. */
static void test_frame_outlives_a_reset(void)
{
    struct machine_setup setup;
    struct machine *machine;
    VionetFrame old[4];
    VionetFrame new[64];
    struct iovec ranges[4];

    machine_setup_init(&setup);
    setup.driver.queue_size = 16;
    setup.device.transmit_queue_size = 16;
    setup.net.transmit_buffers = 16;
    machine = start_with(&setup, features_known());
    for (unsigned i = 0; i < 4; i++) {
        g_assert_true(net_transmit(machine->net, 0, NULL, broadcast, 20 + i));
    }
    g_assert_cmpuint(vionet_device_transmit(machine->device, 0, old, 4), ==, 4);
    for (unsigned i = 0; i < 4; i++) {
        ranges[i] = old[i].iov[0];
    }
    for (unsigned round = 0; round < 20; round++) {
        size_t n;

        g_assert_true(machine_boot(machine, features_known()));
        for (unsigned i = 0; i < 12; i++) {
            g_assert_true(net_transmit(machine->net, 0, NULL, broadcast, 30 + i));
        }
        n = vionet_device_transmit(machine->device, 0, new, 64);
        g_assert_cmpuint(n, ==, 12);
        for (unsigned i = 0; i < 4; i++) {
            g_assert_cmpmem(&ranges[i], sizeof(ranges[i]), &old[i].iov[0], sizeof(ranges[i]));
        }
        vionet_device_complete(machine->device, 0, new, n);
        g_assert_cmpuint(net_reclaim(machine->net, 0), ==, 12);
    }
    vionet_device_complete(machine->device, 0, old, 4);
    machine_finish(machine);
}

/* The driver's next life finds every place taken: its frames wait for those of the last. */
static void test_every_place_taken(void)
{
    struct machine_setup setup;
    struct machine *machine;
    VionetFrame old[16];
    VionetFrame new[16];
    uint64_t kicks;

    machine_setup_init(&setup);
    setup.device.transmit_queue_size = 16;
    setup.net.transmit_buffers = 16;
    machine = start_with(&setup, features_known());
    for (unsigned i = 0; i < 16; i++) {
        g_assert_true(net_transmit(machine->net, 0, NULL, broadcast, sizeof(broadcast)));
    }
    g_assert_cmpuint(vionet_device_transmit(machine->device, 0, old, 16), ==, 16);
    g_assert_true(machine_boot(machine, features_known()));
    for (unsigned i = 0; i < 16; i++) {
        g_assert_true(net_transmit(machine->net, 0, NULL, broadcast, sizeof(broadcast)));
    }
    for (unsigned i = 0; i < 16; i++) {
        g_assert_cmpuint(vionet_device_transmit(machine->device, 0, new, 16), ==, 0);
        kicks = machine->kicks;
        vionet_device_complete(machine->device, 0, &old[i], 1);
        g_assert_cmpuint(machine->kicks, ==, kicks + 1);
        g_assert_cmpuint(vionet_device_transmit(machine->device, 0, &new[i], 1), ==, 1);
    }
    vionet_device_complete(machine->device, 0, new, 16);
    g_assert_cmpuint(net_reclaim(machine->net, 0), ==, 16);
    machine_finish(machine);
}

/* ---- The bus off and on ---- */

/* What the driver asked for while memory could not be reached is done when it can be. */
static void test_kick_while_off(void)
{
    for (unsigned k = 0; k < 4; k++) {
        struct machine *machine = start(k & 1, k & 2);
        uint64_t kicks;

        assert_traffic(machine);
        vionet_device_set_dma(machine->device, false);
        send(machine, 0);
        g_assert_cmpuint(machine_drain(machine, 0), ==, 0); /* as kicked */
        kicks = machine->kicks;
        vionet_device_set_dma(machine->device, true);
        g_assert_cmpuint(machine->kicks, >, kicks);
        g_assert_cmpuint(machine_drain(machine, 0), ==, 1);
        machine_finish(machine);
    }
}

/* Frames that come back meanwhile are the driver's again when the bus is on. */
static void test_completion_while_off(void)
{
    for (unsigned k = 0; k < 4; k++) {
        struct machine *machine = start(k & 1, k & 2);
        VionetFrame frames[8];

        for (unsigned i = 0; i < 8; i++) {
            g_assert_true(net_transmit(machine->net, 0, NULL, broadcast, sizeof(broadcast)));
        }
        g_assert_cmpuint(vionet_device_transmit(machine->device, 0, frames, 8), ==, 8);
        vionet_device_complete(machine->device, 0, frames, 2);
        vionet_device_set_dma(machine->device, false);
        vionet_device_complete(machine->device, 0, frames + 2, 4);
        g_assert_cmpuint(virtq_used_total(ring_of(machine, 1)), ==, 2);
        vionet_device_set_dma(machine->device, true);
        vionet_device_complete(machine->device, 0, frames + 6, 2);
        send(machine, 0);
        machine_drain(machine, 0);
        g_assert_cmpuint(virtq_used_total(ring_of(machine, 1)), ==, 9);
        machine_finish(machine);
    }
}

/* what waits for a timer that came while the bus was off is announced afterwards. */
static void test_timer_while_off(void)
{
    struct machine *machine = start(false, false);

    g_assert_cmpint(net_control_coalesce_rx(machine->net, 100, 1000), ==, VIRTIO_NET_OK);
    machine_deliver(machine, broadcast, sizeof(broadcast));
    vionet_device_set_dma(machine->device, false);
    machine_advance(machine, UINT64_C(2000000));
    vionet_device_set_dma(machine->device, true);
    machine_advance(machine, UINT64_C(2000000));
    g_assert_cmpuint(counter(machine, 0, VIONET_COUNTER_INTERRUPTS), ==, 1);
    machine_finish(machine);
}

/* Z-13: a timer that comes after its queue or device is gone is for nothing. */
static void test_timer_after_the_end(void)
{
    for (unsigned k = 0; k < 3; k++) {
        struct machine *machine = start(false, false);
        struct hook hook = {.when = N_OPERATIONS};
        uint64_t interrupts;

        g_assert_cmpint(net_control_coalesce_rx(machine->net, 100, 1000), ==, VIRTIO_NET_OK);
        machine_deliver(machine, broadcast, sizeof(broadcast));
        hook_set(machine, &hook);
        if (k == 0) {
            vionet_device_write_status(machine->device, 0);
        } else if (k == 1) {
            g_assert_true(vionet_device_reset_queue(machine->device, 0));
        } else {
            break_queue(machine, 0);
            for (unsigned i = 0; i < 300; i++) {
                machine_deliver(machine, broadcast, sizeof(broadcast));
            }
        }
        interrupts = counter(machine, 0, VIONET_COUNTER_INTERRUPTS);
        for (unsigned i = 0; i < 10; i++) {
            machine_advance(machine, UINT64_C(1000000));
            fence(machine, k < 2);
            vionet_device_timer(machine->device, 0);
            fence(machine, false);
        }
        g_assert_cmpuint(counter(machine, 0, VIONET_COUNTER_INTERRUPTS), ==, interrupts);
        g_assert_cmpuint(hook.late, ==, 0);
        hook_set(machine, NULL);
        complaints_clear(guest_driver_complaints(machine->driver));
        machine_finish(machine);
    }
}

/* ---- More used buffers between two decisions than an index counts ---- */

/*
 * With coalescing the driver may poll away 65,536 buffers before a decision is made; it sleeps
 * before the last frame, which has to wake it.
 */
static void test_decision_after_65536(void)
{
    const uint32_t len = 256 * 21 - 20;
    uint8_t *frame = g_malloc0(len);
    struct machine_setup setup;
    struct machine *machine;
    struct guest_packet packet;

    memcpy(frame, broadcast, sizeof(broadcast));
    machine_setup_init(&setup);
    setup.net.receive_size = 21;
    machine = start_with(&setup, wanted(true, false));
    g_assert_cmpint(machine_deliver(machine, broadcast, sizeof(broadcast)), ==, VIONET_DELIVERED);
    assert_receives(machine);
    g_assert_false(net_receive(machine->net, &packet));
    net_recycle(machine->net);
    g_assert_cmpint(net_control_coalesce_rx(machine->net, 0xffffffff, 0xffffffff), ==,
                    VIRTIO_NET_OK);
    virtq_disable_interrupts(ring_of(machine, 0));
    for (unsigned i = 1; i <= 256; i++) {
        if (i == 256) {
            g_assert_true(virtq_enable_interrupts(ring_of(machine, 0), 1));
            guest_driver_take_interrupts(machine->driver, machine->driver->queues[0].vector);
        }
        g_assert_cmpint(machine_deliver(machine, frame, len), ==, VIONET_DELIVERED);
        if (i < 256) {
            g_assert_true(net_receive(machine->net, &packet));
            g_assert_cmpuint(packet.n_buffers, ==, 256);
            net_recycle(machine->net);
            net_recycle(machine->net);
        }
    }
    machine_advance(machine, UINT64_C(5000) * 1000000000);
    g_assert_cmpuint(
        guest_driver_take_interrupts(machine->driver, machine->driver->queues[0].vector), ==, 1);
    g_assert_true(net_receive(machine->net, &packet));
    machine_finish(machine);
    g_free(frame);
}

/* ---- Floods of commands ---- */

/* each command leaves nothing behind; frames in between see one configuration or the next. */
static void test_command_flood(void)
{
    static const uint8_t keys[2][40] = {{0x6d, 0x5a, 0x56, 0xda}, {0xaa, 0xbb, 0xcc, 0xdd}};
    const unsigned n = g_test_slow() ? 100000 : 3000;
    struct machine *machine = start(true, false);
    static uint8_t addresses[64 * 6];
    uint8_t frame[60];
    uint32_t hashes[2] = {0, 0};
    size_t used = 0;

    fill_flow(frame, 77);
    for (unsigned i = 0; i < n; i++) {
        /* All frames of the first configuration go to pair 0, of the second to pair 1. */
        static const uint16_t tables[2][4] = {{0, 0, 0, 0}, {1, 1, 1, 1}};
        const struct net_rss rss = {.hash_types = 0x1ff,
                                    .table = tables[i % 2],
                                    .table_len = 4,
                                    .max_tx_vq = 2,
                                    .key = keys[i % 2],
                                    .key_len = 40};
        struct guest_packet packet;

        g_assert_cmpint(net_control_rss(machine->net, &rss), ==, VIRTIO_NET_OK);
        g_assert_cmpint(net_control_mac_table(machine->net, addresses, i % 64, addresses, 64), ==,
                        VIRTIO_NET_OK);
        g_assert_cmpint(net_control_vlan_add(machine->net, (uint16_t)(i % 4096)), ==,
                        VIRTIO_NET_OK);
        g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
        g_assert_true(net_receive(machine->net, &packet));
        g_assert_cmpuint(packet.pair, ==, i % 2);
        if (i < 2) {
            hashes[i] = packet.header.hash_value;
        }
        g_assert_cmphex(packet.header.hash_value, ==, hashes[i % 2]);
        if (i == 1000) {
            used = mallinfo2().uordblks;
        }
    }
    g_assert_cmphex(hashes[0], !=, hashes[1]);
    g_assert_cmpuint(mallinfo2().uordblks, <, used + 65536);
    machine_finish(machine);
}

/* ---- Single queues again and again ---- */

/* CORE-VQRST: whatever size it comes back with, a queue begins at 0, and the others do not care. */
static void test_queue_restarts(void)
{
    static const uint16_t sizes[] = {2, 256, 4, 128, 8};

    for (unsigned k = 0; k < 4; k++) {
        struct machine *machine = start(k & 1, k & 2);

        for (unsigned i = 0; i < 200; i++) {
            const unsigned index = i % 5;
            const uint16_t size = index == 4 ? 64 : sizes[i % G_N_ELEMENTS(sizes)];

            assert_traffic(machine);
            g_assert_true(net_reset_queue(machine->net, index, size));
            g_assert_cmpuint(virtq_used_total(ring_of(machine, index)), ==, 0);
            assert_traffic(machine);
            g_assert_cmpint(net_control_rx(machine->net, VIRTIO_NET_CTRL_RX_PROMISC, i % 2), ==,
                            VIRTIO_NET_OK);
        }
        g_assert_cmpuint(counter(machine, 1, VIONET_COUNTER_STALE), ==, 0);
        machine_finish(machine);
    }
}

/* What was made available before DRIVER_OK, or before a queue came back, is told to the host. */
static void test_available_before_the_start(void)
{
    for (unsigned k = 0; k < 4; k++) {
        struct machine *machine = start(k & 1, k & 2);
        struct guest_driver *driver = machine->driver;

        g_assert_true(guest_driver_reset(driver));
        guest_driver_acknowledge(driver);
        g_assert_true(guest_driver_negotiate(driver, wanted(k & 1, k & 2)));
        g_assert_true(guest_queue_setup_all(driver));
        g_assert_true(net_start(machine->net));
        g_assert_true(net_transmit(machine->net, 0, NULL, broadcast, sizeof(broadcast)));
        machine->kicks = 0;
        guest_driver_ok(driver);
        g_assert_cmpuint(machine->kicks, ==, 3); /* buffers in two queues, a frame in one */
        g_assert_cmpuint(machine_drain(machine, 0), ==, 1);
        machine_finish(machine);
    }
}

static void add_reentries(void)
{
    unsigned n = 0;

    for (unsigned when = 0; when < N_OPERATIONS; when++) {
        for (size_t i = 0; i < G_N_ELEMENTS(actions); i++) {
            char *path =
                g_strdup_printf("/reentry/D-03/%s/%s", operation_names[when], actions[i].name);

            reentries[n] = (struct reentry){(enum operation)when, &actions[i]};
            g_test_add_data_func(path, &reentries[n++], test_reentry);
            g_free(path);
        }
    }
    g_test_add_func("/reentry/D-06/reset-in-a-violation", test_reset_in_a_violation);
    g_test_add_func("/reentry/D-06/reset-with-a-fault-to-report",
                    test_reset_with_a_fault_to_report);
    g_test_add_func("/reentry/D-06/reset-after-a-command", test_reset_after_a_command);
    g_test_add_func("/reentry/D-06/reset-while-starting", test_reset_while_starting);
    g_test_add_func("/reentry/G-05/map-between-commands", test_map_between_commands);
    g_test_add_func("/reentry/G-05/unmap-between-commands", test_unmap_between_commands);
    g_test_add_func("/reentry/G-05/coalescing-of-an-unmapped-queue",
                    test_coalescing_of_an_unmapped_queue);
    g_test_add_func("/reentry/D-05/link-in-a-command", test_link_in_a_command);
    g_test_add_func("/reentry/D-01/loop-back", test_loop_back);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_reentries();
    g_test_add_func("/map/G-05/moved-memory-is-followed", test_moved_memory);
    g_test_add_func("/map/other-mappings-come-and-go", test_other_mappings);
    g_test_add_func("/map/missing-memory-is-not-touched", test_missing_memory);
    g_test_add_func("/map/Z-01/missing-third-buffer", test_missing_buffer);
    for (unsigned i = 0; i < N_ENDINGS; i++) {
        char *path = g_strdup_printf("/late-completion/Z-03/%s", ending_names[i]);

        g_test_add_data_func(path, GUINT_TO_POINTER(i), test_late_completion);
        g_free(path);
    }
    g_test_add_func("/late-completion/Z-03/frame-outlives-a-reset", test_frame_outlives_a_reset);
    g_test_add_func("/late-completion/every-place-taken", test_every_place_taken);
    g_test_add_func("/bus/kick-while-off", test_kick_while_off);
    g_test_add_func("/bus/completion-while-off", test_completion_while_off);
    g_test_add_func("/bus/X-03/timer-while-off", test_timer_while_off);
    g_test_add_func("/timer/Z-13/after-the-end", test_timer_after_the_end);
    g_test_add_func("/notify/X-03/decision-after-65536-buffers", test_decision_after_65536);
    g_test_add_func("/flood/X-04/commands-leave-nothing-behind", test_command_flood);
    g_test_add_func("/queue/restarts", test_queue_restarts);
    g_test_add_func("/queue/available-before-the-start", test_available_before_the_start);
    return g_test_run();
}
