/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Saved state (vionet/state.h): what is saved is what goes on, whoever goes on; and what is wrong with a
 * state is named and changes nothing.
 */
#include <malloc.h>
#include <string.h>

#include <vionet/spec.h>
#include <vionet/state.h>
#include <vionet/transport.h>

#include "driver/queue.h"
#include "machine/machine.h"
#include "net/state.h"
#include "state/reference.h"

static const uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5};

static struct machine *boot(unsigned pairs)
{
    struct machine_setup setup;

    machine_setup_init(&setup);
    machine_setup_offer_all(&setup);
    setup.device.max_pairs = (uint16_t)pairs;
    return machine_booted(&setup, features_known());
}

static GBytes *save(VionetDevice *device)
{
    GError *error = NULL;
    GBytes *state = vionet_device_save(device, &error);

    g_assert_no_error(error);
    g_assert_nonnull(state);
    return state;
}

/* Loads what was saved; the code of the error, -1 if there is none. */
static int load(VionetDevice *device, GBytes *state)
{
    GError *error = NULL;
    gsize len;
    const void *octets = g_bytes_get_data(state, &len);
    const bool good = vionet_device_load(device, octets, len, &error);
    const int code = error ? error->code : -1;

    g_assert_cmpint(good, ==, error == NULL);
    if (error) {
        g_assert_cmpuint(error->domain, ==, VIONET_STATE_ERROR);
        g_error_free(error);
    }
    return code;
}

static void deliver(struct machine *machine)
{
    struct guest_packet packet;

    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
    g_assert_true(net_receive(machine->net, &packet));
    g_assert_cmpmem(packet.data, packet.len, frame, sizeof(frame));
    net_recycle(machine->net);
}

static void send(struct machine *machine)
{
    g_assert_true(net_transmit(machine->net, 0, NULL, frame, sizeof(frame)));
    g_assert_cmpuint(machine_drain(machine, 0), ==, 1);
    g_assert_cmpuint(net_reclaim(machine->net, 0), ==, 1);
}

/* ---- Being saved and going on ---- */

/* A device that nobody touched, and what it saves is what was loaded. */
static void test_fresh(void)
{
    struct machine *machine = boot(1);
    struct machine_device one = machine_make_device(machine);
    struct machine_device other = machine_make_device(machine);
    GBytes *state = save(one.device);
    GBytes *again;

    g_assert_cmpint(load(other.device, state), ==, -1);
    again = save(other.device);
    g_assert_true(g_bytes_equal(state, again));
    g_bytes_unref(state);
    g_bytes_unref(again);
    machine_free_device(&one);
    machine_free_device(&other);
    machine_free(machine);
}

/* The same in the midst of traffic, and the driver goes on. */
static void test_goes_on(void)
{
    struct machine *machine = boot(1);

    for (unsigned i = 0; i < 300; i++) {
        struct machine_device made = machine_make_device(machine);
        GBytes *state, *again;

        deliver(machine);
        send(machine);
        vionet_device_set_paused(machine->device, true);
        state = save(machine->device);
        g_assert_cmpint(load(made.device, state), ==, -1);
        again = save(made.device);
        g_assert_true(g_bytes_equal(state, again));
        g_bytes_unref(state);
        g_bytes_unref(again);
        machine_replace(machine, &made);
    }
    deliver(machine);
    send(machine);
    g_assert_cmpint(net_control_rx(machine->net, VIRTIO_NET_CTRL_RX_PROMISC, true), ==,
                    VIRTIO_NET_OK);
    machine_assert_no_complaints(machine);
    machine_free(machine);
}

/* ---- What is out ---- */

/* Nothing is sent again, and every buffer comes back, however far its frame had got. */
static void test_frames_out(void)
{
    struct machine *machine = boot(1);
    struct machine_device made = machine_make_device(machine);
    VionetFrame out[6];
    GBytes *state;

    for (unsigned i = 0; i < 8; i++) {
        g_assert_true(net_transmit(machine->net, 0, NULL, frame, sizeof(frame)));
    }
    g_assert_cmpuint(vionet_device_transmit(machine->device, 0, out, 6), ==, 6);
    vionet_device_complete(machine->device, 0, &out[4], 1);
    vionet_device_complete(machine->device, 0, &out[1], 1);
    vionet_device_set_paused(machine->device, true);
    vionet_device_complete(machine->device, 0, &out[2], 1);
    state = save(machine->device);
    g_assert_cmpint(load(made.device, state), ==, -1);
    g_bytes_unref(state);
    machine_replace(machine, &made);
    net_reclaim(machine->net, 0);
    g_assert_cmpuint(net_transmit_pending(machine->net, 0), ==, 2);
    g_assert_cmpuint(machine_drain(machine, 0), ==, 2);
    net_reclaim(machine->net, 0);
    g_assert_cmpuint(net_transmit_pending(machine->net, 0), ==, 0);
    send(machine);
    machine_assert_no_complaints(machine);
    machine_free(machine);
}

/* The migration failed: the source goes on, with its own frames. */
static void test_source_goes_on(void)
{
    struct machine *machine = boot(1);
    VionetFrame out[3];

    for (unsigned i = 0; i < 3; i++) {
        g_assert_true(net_transmit(machine->net, 0, NULL, frame, sizeof(frame)));
    }
    g_assert_cmpuint(vionet_device_transmit(machine->device, 0, out, 3), ==, 3);
    vionet_device_set_paused(machine->device, true);
    g_bytes_unref(save(machine->device));
    vionet_device_complete(machine->device, 0, &out[1], 1);
    vionet_device_set_paused(machine->device, false);
    vionet_device_complete(machine->device, 0, &out[2], 1);
    vionet_device_complete(machine->device, 0, &out[0], 1);
    net_reclaim(machine->net, 0);
    g_assert_cmpuint(net_transmit_pending(machine->net, 0), ==, 0);
    deliver(machine);
    send(machine);
    machine_assert_no_complaints(machine);
    machine_free(machine);
}

/* It is saved once more before it ran, bus mastering being off: what is out stays so. */
static void test_twice(void)
{
    struct machine *machine = boot(1);
    VionetFrame out[3];

    for (unsigned i = 0; i < 3; i++) {
        g_assert_true(net_transmit(machine->net, 0, NULL, frame, sizeof(frame)));
    }
    g_assert_cmpuint(vionet_device_transmit(machine->device, 0, out, 3), ==, 3);
    pci_enable(&machine->driver->pci, false);
    machine_migrate(machine);
    g_assert_false(vionet_device_running(machine->device));
    machine_migrate(machine);
    net_reclaim(machine->net, 0);
    g_assert_cmpuint(net_transmit_pending(machine->net, 0), ==, 3);
    pci_enable(&machine->driver->pci, true);
    net_reclaim(machine->net, 0);
    g_assert_cmpuint(net_transmit_pending(machine->net, 0), ==, 0);
    deliver(machine);
    send(machine);
    machine_assert_no_complaints(machine);
    machine_free(machine);
}

/* ---- Being handed on before it ran ---- */

/* The made device stops its queue where it should, and goes on there in the place of the machine's. */
static void hand_over(struct machine *machine, struct machine_device *made, unsigned queue,
                      uint32_t expected)
{
    uint32_t base = 0;

    g_assert_true(vionet_device_stop_queue(made->device, queue, &base));
    g_assert_cmphex(base, ==, expected);
    g_assert_false(vionet_device_queue_enabled(made->device, queue));
    vionet_device_write_queue_enable(made->device, queue, 1);
    machine_replace(machine, made);
}

static struct machine *boot_ring(enum machine_ring ring)
{
    struct machine_setup setup;

    machine_setup_init(&setup);
    machine_setup_offer_all(&setup);
    setup.ring = ring;
    return machine_booted(&setup, features_known());
}

static uint32_t base_of(struct machine *machine, uint16_t index)
{
    const uint32_t place = index | UINT32_C(1) << 15; /* with its wrap counter */

    return guest_driver_has(machine->driver, VIRTIO_F_RING_PACKED) ? place | place << 16 : index;
}

/* A queue that was loaded is stopped before it ran: it is where it was when it was saved. */
static void stop_before_it_ran(enum machine_ring ring)
{
    struct machine *machine = boot_ring(ring);
    struct machine_device made = machine_make_device(machine);
    GBytes *state;

    for (unsigned i = 0; i < 5; i++) {
        send(machine);
    }
    vionet_device_set_paused(machine->device, true);
    state = save(machine->device);
    g_assert_cmpint(load(made.device, state), ==, -1);
    g_bytes_unref(state);
    hand_over(machine, &made, 1, base_of(machine, 5));
    send(machine);
    deliver(machine);
    machine_finish(machine);
}

static void test_stopped_before_it_ran(void)
{
    stop_before_it_ran(MACHINE_SPLIT);
    stop_before_it_ran(MACHINE_PACKED);
}

/* The same with frames out, which the driver gets back; and without memory, in which it cannot. */
static void stop_with_frames_out(enum machine_ring ring)
{
    struct machine *machine = boot_ring(ring);
    struct machine_device made = machine_make_device(machine);
    struct machine_device bare = machine_make_device(machine);
    const struct guest_region *region;
    VionetFrame out[3];
    uint32_t base = 0;
    GBytes *state;

    for (unsigned i = 0; i < 3; i++) {
        g_assert_true(net_transmit(machine->net, 0, NULL, frame, sizeof(frame)));
    }
    g_assert_cmpuint(vionet_device_transmit(machine->device, 0, out, 3), ==, 3);
    vionet_device_complete(machine->device, 0, &out[1], 1);
    vionet_device_set_paused(machine->device, true);
    state = save(machine->device);
    g_assert_cmpint(load(made.device, state), ==, -1);
    g_assert_cmpint(load(bare.device, state), ==, -1);
    g_bytes_unref(state);

    for (unsigned i = 0; i < guest_memory_regions(machine->memory, &region); i++) {
        g_assert_true(vionet_device_unmap(bare.device, region[i].gpa, region[i].size, NULL));
    }
    g_assert_true(vionet_device_stop_queue(bare.device, 1, &base));
    g_assert_cmphex(base & 0x7fff, ==, 3);
    g_assert_false(vionet_device_status(bare.device) & VIRTIO_STATUS_DEVICE_NEEDS_RESET);
    machine_free_device(&bare);

    hand_over(machine, &made, 1, base_of(machine, 3));
    net_reclaim(machine->net, 0);
    g_assert_cmpuint(net_transmit_pending(machine->net, 0), ==, 0);
    send(machine);
    machine_finish(machine);
}

static void test_stopped_with_frames_out(void)
{
    stop_with_frames_out(MACHINE_SPLIT);
    stop_with_frames_out(MACHINE_PACKED);
}

/* ---- What is paused ---- */

static void test_paused(void)
{
    struct machine *machine = boot(1);
    struct guest_packet packet;

    vionet_device_set_paused(machine->device, true);
    g_assert_false(vionet_device_running(machine->device));
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DROP_NOT_RUNNING);
    g_assert_false(net_receive(machine->net, &packet));
    g_assert_true(net_transmit(machine->net, 0, NULL, frame, sizeof(frame)));
    g_assert_cmpuint(machine_drain(machine, 0), ==, 0);
    machine->kicks = 0;
    vionet_device_set_paused(machine->device, false);
    g_assert_true(vionet_device_running(machine->device));
    g_assert_cmpuint(machine->kicks, ==, 2); /* of both queues: there are buffers in both */
    g_assert_cmpuint(machine->last_kick, ==, 1);
    g_assert_cmpuint(machine_drain(machine, 0), ==, 1);
    deliver(machine);
    machine_free(machine);
}

/* A frame that the driver sent to a device that was being moved is found by the one that goes on. */
static void test_missed_notification(void)
{
    struct machine *machine = boot(1);
    struct machine_device made = machine_make_device(machine);
    GBytes *state;

    vionet_device_set_paused(machine->device, true);
    state = save(machine->device);
    g_assert_true(net_transmit(machine->net, 0, NULL, frame, sizeof(frame)));
    g_assert_cmpint(load(made.device, state), ==, -1);
    g_bytes_unref(state);
    machine->kicks = 0;
    machine_replace(machine, &made);
    g_assert_cmpuint(machine->kicks, ==, 2);
    g_assert_cmpuint(machine->last_kick, ==, 1);
    g_assert_cmpuint(machine_drain(machine, 0), ==, 1);
    machine_free(machine);
}

/* Coalescing holds a notification back; its timer does not come along. */
static void test_pending_notification(void)
{
    struct machine *machine = boot(1);
    const unsigned vector = machine->driver->queues[0].vector;
    struct guest_packet packet;

    g_assert_cmpint(net_control_coalesce_rx(machine->net, 8, 100), ==, VIRTIO_NET_OK);
    guest_driver_take_interrupts(machine->driver, vector);
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
    g_assert_cmpuint(guest_driver_interrupts(machine->driver, vector), ==, 0);
    machine_migrate(machine);
    g_assert_cmpuint(guest_driver_interrupts(machine->driver, vector), ==, 1);
    g_assert_true(net_receive(machine->net, &packet));
    machine_migrate(machine);
    g_assert_cmpuint(guest_driver_interrupts(machine->driver, vector), ==, 1);
    machine_free(machine);
}

/* The link is the host's: if it is another one, the driver is told, once it runs. */
static void test_link(void)
{
    struct machine *machine = boot(1);
    struct machine_device made = machine_make_device(machine);
    const uint8_t generation = vionet_device_config_generation(machine->device);
    GBytes *state;

    guest_driver_take_interrupts(machine->driver, 0);
    vionet_device_set_link(made.device, false);
    vionet_device_set_paused(machine->device, true);
    state = save(machine->device);
    g_assert_cmpint(load(made.device, state), ==, -1);
    g_bytes_unref(state);
    g_assert_cmpuint(guest_driver_interrupts(machine->driver, 0), ==, 0);
    machine_replace(machine, &made);
    g_assert_cmpuint(guest_driver_interrupts(machine->driver, 0), ==, 1);
    g_assert_true(guest_driver_read_config(machine->driver));
    g_assert_false(machine->driver->config.status & VIRTIO_NET_S_LINK_UP);
    g_assert_cmpuint(vionet_device_config_generation(machine->device), !=, generation);
    machine_migrate(machine);
    g_assert_cmpuint(guest_driver_interrupts(machine->driver, 0), ==, 2); /* it is up again */
    machine_free(machine);
}

/* A queue that the driver broke stays broken, and the others run, until it resets. */
static void test_broken(void)
{
    struct machine *machine = boot(1);

    virtq_spoil(machine->driver->queues[1].vq);
    g_assert_cmpuint(machine_drain(machine, 0), ==, 0);
    g_assert_true(guest_driver_status(machine->driver) & VIRTIO_STATUS_DEVICE_NEEDS_RESET);
    machine_migrate(machine);
    g_assert_true(guest_driver_status(machine->driver) & VIRTIO_STATUS_DEVICE_NEEDS_RESET);
    g_assert_cmpuint(machine_drain(machine, 0), ==, 0);
    deliver(machine);
    g_assert_true(machine_works(machine));
    machine_free(machine);
}

/* Nothing of its ring came along, not even its format. */
static void test_broken_is_stopped(void)
{
    struct machine *machine = boot(1);
    uint32_t base = 1;

    virtq_spoil(machine->driver->queues[1].vq);
    g_assert_cmpuint(machine_drain(machine, 0), ==, 0);
    machine_migrate(machine);
    g_assert_true(vionet_device_stop_queue(machine->device, 1, &base));
    g_assert_cmpuint(base, ==, 0);
    g_assert_true(machine_works(machine));
    machine_free(machine);
}

/* The host of the one that goes on is told what it would have been told. */
static void test_events(void)
{
    static const VionetEventKind expected[] = {VIONET_EVENT_FEATURES, VIONET_EVENT_OFFLOADS,
                                               VIONET_EVENT_FILTER, VIONET_EVENT_STEERING,
                                               VIONET_EVENT_RUNNING};
    struct machine *machine = boot(1);

    machine_forget_events(machine);
    machine_migrate(machine);
    g_assert_cmpuint(machine->n_events, ==, G_N_ELEMENTS(expected));
    for (unsigned i = 0; i < G_N_ELEMENTS(expected); i++) {
        g_assert_cmpint(machine->events[i].kind, ==, expected[i]);
    }
    machine_free(machine);
}

/* ---- What a migration copies meanwhile ---- */

/* Guest memory as it was, and which pages the device says that it wrote. */
struct shadow {
    uint8_t *memory;
    uint8_t *before;
    uint64_t gpa;
    uint64_t size;
    uint8_t *bits;
    uint64_t n_bits;
};

static struct shadow shadow_of(struct machine *machine)
{
    const struct guest_region *region;
    struct shadow shadow;

    g_assert_cmpuint(guest_memory_regions(machine->memory, &region), ==, 1);
    shadow.memory = region->host;
    shadow.gpa = region->gpa;
    shadow.size = region->size;
    shadow.before = g_malloc(region->size);
    shadow.n_bits = (region->gpa + region->size) / 4096 / 8;
    shadow.bits = g_malloc0(shadow.n_bits);
    return shadow;
}

static void shadow_take(struct shadow *shadow)
{
    memcpy(shadow->before, shadow->memory, shadow->size);
    memset(shadow->bits, 0, shadow->n_bits);
}

/* Only the device has written since: all that it wrote is noted. How many pages. */
static unsigned shadow_compare(const struct shadow *shadow)
{
    unsigned n = 0;

    for (uint64_t at = 0; at < shadow->size; at += 4096) {
        const uint64_t page = (shadow->gpa + at) / 4096;

        if (memcmp(shadow->memory + at, shadow->before + at, 4096) != 0) {
            g_assert_true(shadow->bits[page / 8] >> page % 8 & 1);
            n++;
        }
    }
    return n;
}

/* Nobody but the device writes between the two looks: commands and queues wait while it is paused. */
static void test_dirty(void)
{
    struct machine_setup setup;
    struct machine *machine;
    struct machine_device made;
    struct shadow shadow;
    VionetFrame out[2];
    GBytes *state;

    machine_setup_init(&setup);
    machine_setup_offer_all(&setup);
    setup.kind = MACHINE_MAPPED;
    setup.memory_size = 4 << 20;
    setup.net.receive_buffers = 16;
    setup.net.transmit_buffers = 8;
    setup.net.transmit_size = 2048;
    machine = machine_new(&setup, NULL);
    shadow = shadow_of(machine);
    vionet_device_set_dirty_log(machine->device, shadow.bits, shadow.n_bits);
    vionet_device_set_dirty_queues(machine->device, true);
    for (unsigned boots = 0; boots < 2; boots++) {
        vionet_device_set_paused(machine->device, true);
        g_assert_true(machine_boot(machine, features_known()));
        shadow_take(&shadow);
        vionet_device_set_paused(machine->device, false); /* it asks for notifications */
        shadow_compare(&shadow);
        for (unsigned i = 0; i < 40; i++) {
            struct guest_packet packet;

            shadow_take(&shadow);
            g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
            g_assert_cmpuint(shadow_compare(&shadow), >=, 1);
            g_assert_true(net_receive(machine->net, &packet));
            net_recycle(machine->net);
            g_assert_true(net_transmit(machine->net, 0, NULL, frame, sizeof(frame)));
            shadow_take(&shadow);
            g_assert_cmpuint(machine_drain(machine, 0), ==, 1);
            g_assert_cmpuint(shadow_compare(&shadow), >=, 1);
            net_reclaim(machine->net, 0);
        }
    }

    /* What another device gives back when it goes on. */
    made = machine_make_device(machine);
    vionet_device_set_dirty_log(made.device, shadow.bits, shadow.n_bits);
    vionet_device_set_dirty_queues(made.device, true);
    for (unsigned i = 0; i < 2; i++) {
        g_assert_true(net_transmit(machine->net, 0, NULL, frame, sizeof(frame)));
    }
    g_assert_cmpuint(vionet_device_transmit(machine->device, 0, out, 2), ==, 2);
    vionet_device_set_paused(machine->device, true);
    state = save(machine->device);
    g_assert_cmpint(load(made.device, state), ==, -1);
    g_bytes_unref(state);
    shadow_take(&shadow);
    machine_replace(machine, &made);
    g_assert_cmpuint(shadow_compare(&shadow), >=, 1);
    net_reclaim(machine->net, 0);
    g_assert_cmpuint(net_transmit_pending(machine->net, 0), ==, 0);

    /* The answer to a command. */
    vionet_device_set_paused(machine->device, true);
    g_assert_cmpint(net_control_vlan_add(machine->net, 1), ==, NET_CONTROL_NONE);
    shadow_take(&shadow);
    vionet_device_set_paused(machine->device, false);
    g_assert_cmpuint(shadow_compare(&shadow), >=, 2);
    vionet_device_set_dirty_log(machine->device, NULL, 0);
    g_free(shadow.before);
    g_free(shadow.bits);
    machine_free(machine);
}

/* Z-06: whatever comes while it is paused, guest memory stays as it is. */
static void test_paused_writes_nothing(void)
{
    struct machine_setup setup;
    struct machine *machine;
    struct shadow shadow;
    VionetFrame out[2];

    machine_setup_init(&setup);
    machine_setup_offer_all(&setup);
    setup.kind = MACHINE_MAPPED;
    setup.memory_size = 4 << 20;
    setup.net.receive_buffers = 16;
    setup.net.transmit_buffers = 8;
    setup.net.transmit_size = 2048;
    machine = machine_booted(&setup, features_known());
    shadow = shadow_of(machine);
    g_assert_cmpint(net_control_coalesce_rx(machine->net, 8, 100), ==, VIRTIO_NET_OK);
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
    for (unsigned i = 0; i < 2; i++) {
        g_assert_true(net_transmit(machine->net, 0, NULL, frame, sizeof(frame)));
    }
    g_assert_cmpuint(vionet_device_transmit(machine->device, 0, out, 2), ==, 2);
    g_assert_true(net_transmit(machine->net, 0, NULL, frame, sizeof(frame)));
    vionet_device_set_paused(machine->device, true);
    g_assert_cmpint(net_control_vlan_add(machine->net, 1), ==, NET_CONTROL_NONE);

    shadow_take(&shadow);
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DROP_NOT_RUNNING);
    g_assert_cmpuint(machine_drain(machine, 0), ==, 0);
    vionet_device_complete(machine->device, 0, out, 2);
    vionet_device_set_link(machine->device, false);
    vionet_device_set_link(machine->device, true);
    vionet_device_announce(machine->device);
    machine_advance(machine, 1000000000);
    for (unsigned queue = 0; queue < 3; queue++) {
        vionet_device_timer(machine->device, queue);
        guest_queue_notify(machine->driver, queue);
    }
    g_assert_cmpmem(shadow.memory, shadow.size, shadow.before, shadow.size);

    vionet_device_set_paused(machine->device, false);
    g_assert_true(memcmp(shadow.memory, shadow.before, shadow.size) != 0);
    g_assert_cmpuint(machine_drain(machine, 0), ==, 1);
    g_assert_cmpuint(net_reclaim(machine->net, 0), ==, 3);
    g_free(shadow.before);
    g_free(shadow.bits);
    g_assert_true(machine_works(machine));
    machine_free(machine);
}

/* ---- What it is made of ---- */

/* What a device saves that was made of memory full of such octets. */
static GBytes *save_over(uint8_t octet)
{
    struct machine *machine;
    uint16_t table[4] = {0, 1, 1, 0};
    uint8_t key[40] = {1, 2, 3};
    const struct net_rss rss = {.hash_types = 0x3f,
                                .table = table,
                                .table_len = 4,
                                .max_tx_vq = 2,
                                .key = key,
                                .key_len = sizeof(key)};
    GBytes *state;

    mallopt(M_PERTURB, octet);
    machine = boot(2);
    g_assert_cmpint(net_control_vlan_add(machine->net, 7), ==, VIRTIO_NET_OK);
    g_assert_cmpint(net_control_rss(machine->net, &rss), ==, VIRTIO_NET_OK);
    for (unsigned i = 0; i < 5; i++) {
        machine_deliver(machine, frame, sizeof(frame));
        send(machine);
    }
    vionet_device_set_paused(machine->device, true);
    state = save(machine->device);
    machine_free(machine);
    mallopt(M_PERTURB, 0);
    return state;
}

/* D-08: nothing of the heap goes along, padding or what was not written. */
static void test_nothing_of_the_heap(void)
{
    GBytes *one = save_over(0x01);
    GBytes *other = save_over(0xff);

    g_assert_true(g_bytes_equal(one, other));
    g_bytes_unref(one);
    g_bytes_unref(other);
}

/* M-04: seven of eight pairs were never set up, and at 0 there is no memory. */
static void test_queues_never_set_up(void)
{
    struct machine_setup setup;
    struct machine *machine;

    machine_setup_init(&setup);
    machine_setup_offer_all(&setup);
    setup.device.max_pairs = 8;
    setup.driver.pairs = 1;
    machine = machine_booted(&setup, features_known());
    for (unsigned i = 0; i < 3; i++) {
        deliver(machine);
        send(machine);
        machine_migrate(machine);
        for (unsigned queue = 2; queue < 16; queue++) {
            g_assert_false(vionet_device_queue_enabled(machine->device, queue));
        }
    }
    g_assert_cmphex(guest_driver_status(machine->driver) & VIRTIO_STATUS_DEVICE_NEEDS_RESET, ==, 0);
    g_assert_true(machine_works(machine));
    machine_finish(machine);
}

/* ---- The reference files ---- */

static GBytes *reference_file(const char *name)
{
    char *path = g_build_filename(g_getenv("VIONET_SOURCE_ROOT"), "test", "state", name, NULL);
    GError *error = NULL;
    gchar *octets;
    gsize len;

    g_file_get_contents(path, &octets, &len, &error);
    g_assert_no_error(error);
    g_free(path);
    return g_bytes_new_take(octets, len);
}

/* The state of the reference file, to be changed. */
static struct state *read_reference(GBytes *file)
{
    gsize len;
    const uint8_t *octets = g_bytes_get_data(file, &len);
    GError *error = NULL;
    struct state *state = state_read(octets, len, 3, 5, &error);

    g_assert_no_error(error);
    return state;
}

/* Two states say the same of the device, whichever versions their sections have. */
static void assert_same_state(GBytes *one, GBytes *other)
{
    struct state *a = read_reference(one);
    struct state *b = read_reference(other);

    memcpy(b->config.features, a->config.features,
           sizeof(b->config.features)); /* it may offer more */
#define ASSERT_SAME(kind, member) \
    g_assert_cmpstr(record_differs(&state_records[kind], &a->member, &b->member), ==, NULL)
    ASSERT_SAME(STATE_CONFIG, config);
    ASSERT_SAME(STATE_DEVICE, device);
    ASSERT_SAME(STATE_FILTER, filter);
    ASSERT_SAME(STATE_VERDICTS, verdicts);
    ASSERT_SAME(STATE_FLOWS, flows);
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmpint(a->has_steering[i], ==, b->has_steering[i]);
        ASSERT_SAME(STATE_STEERING, steering[i]);
    }
    for (unsigned i = 0; i < 5; i++) {
        g_assert_cmpint(a->has_queue[i], ==, b->has_queue[i]);
        ASSERT_SAME(STATE_QUEUE, queues[i]);
        ASSERT_SAME(STATE_COUNTERS, counters[i]);
    }
    state_free(a);
    state_free(b);
}

static void check_reference_negotiated(VionetDevice *device)
{
    g_assert_cmpuint(vionet_device_status(device), ==,
                     VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_FEATURES_OK |
                         VIRTIO_STATUS_DRIVER_OK);
    g_assert_true(vionet_device_negotiated(device, VIRTIO_NET_F_RSS));
    g_assert_true(vionet_device_negotiated(device, VIRTIO_NET_F_HASH_TUNNEL));
    g_assert_cmpuint(vionet_device_config_generation(device), ==, 1);
    g_assert_cmpuint(vionet_device_control_queue(device), ==, 4);
    g_assert_cmpuint(vionet_device_offloads(device), ==, UINT64_C(1) << VIRTIO_NET_F_GUEST_CSUM);
}

static void check_reference_device(VionetDevice *device)
{
    uint8_t space[sizeof(struct virtio_net_config)];

    check_reference_negotiated(device);
    for (unsigned queue = 0; queue < 5; queue++) {
        g_assert_true(vionet_device_queue_enabled(device, queue));
        g_assert_cmpuint(vionet_device_queue_size(device, queue), ==,
                         queue % 2 || queue == 4 ? 16 : 32);
    }
    g_assert_cmphex(vionet_device_queue_area(device, 0, VIONET_AREA_DESC), ==, 0x100000);
    g_assert_cmphex(vionet_device_queue_area(device, 3, VIONET_AREA_DESC), ==, 0x100850);
    g_assert_cmphex(vionet_device_queue_area(device, 3, VIONET_AREA_DRIVER), ==, 0x100950);
    g_assert_cmphex(vionet_device_queue_area(device, 3, VIONET_AREA_DEVICE), ==, 0x100978);
    g_assert_cmpuint(vionet_device_counter(device, 2, VIONET_COUNTER_PACKETS), ==, 5);
    g_assert_cmpuint(vionet_device_counter(device, 3, VIONET_COUNTER_PACKETS), ==, 23);
    g_assert_cmpuint(vionet_device_counter(device, 4, VIONET_COUNTER_COMMANDS_OK), ==, 14);
    g_assert_cmpuint(vionet_device_verdicts(device, VIONET_DELIVERED), ==, 28);
    vionet_device_config_read(device, 0, space, sizeof(space));
    g_assert_cmpmem(space, 6, reference_mac, 6);
    g_assert_cmpuint(space[offsetof(struct virtio_net_config, status)], ==,
                     VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE);
}

static void check_reference_function(VionetPci *pci)
{
    g_assert_cmphex(vionet_pci_config_read(pci, 0x04, 2), ==, 0x0006); /* memory, bus master */
    g_assert_cmphex(vionet_pci_config_read(pci, 0x14, 4), ==, 0xe0000000);
    g_assert_cmpuint(vionet_pci_bar_read(pci, 4, 22, 2), ==, 3); /* queue_select */
    g_assert_cmpuint(vionet_pci_bar_read(pci, 4, 26, 2), ==, 4); /* queue_msix_vector */
    for (unsigned vector = 0; vector < 6; vector++) {
        g_assert_cmphex(vionet_pci_bar_read(pci, 1, 16 * vector, 4), ==, 0xfee00000);
        g_assert_cmpuint(vionet_pci_bar_read(pci, 1, 16 * vector + 8, 4), ==, vector);
        g_assert_cmpuint(vionet_pci_bar_read(pci, 1, 16 * vector + 12, 4), ==, vector == 0);
    }
    g_assert_cmphex(vionet_pci_bar_read(pci, 1, 4096, 4), ==, 1); /* pending, as it is masked */
    g_assert_cmpuint(vionet_pci_bar_read(pci, 4, 4096, 1), ==, VIRTIO_PCI_ISR_CONFIG);
}

/* That the rest is as it was says the other direction; state-0.1-* hold the text against the file. */
static void check_reference(const char *name, const char *rings_name, enum machine_ring ring)
{
    GBytes *file = reference_file(name);
    GBytes *rings = reference_file(rings_name);
    struct machine_setup setup;
    struct machine *machine;
    GBytes *again;

    reference_setup(&setup, ring);
    machine = machine_new(&setup, NULL);
    vionet_device_set_link(machine->device, false);
    vionet_device_set_paused(machine->device, true);
    g_assert_cmpint(load(machine->device, file), ==, -1);
    again = save(machine->device);
    assert_same_state(file, again);
    vionet_device_set_link(machine->device, true);
    check_reference_device(machine->device);
    check_reference_function(machine->pci);
    g_assert_true(guest_write(machine->memory, REFERENCE_RINGS, g_bytes_get_data(rings, NULL),
                              g_bytes_get_size(rings)));
    vionet_device_set_paused(machine->device, false);
    g_assert_cmpuint(machine_drain(machine, 1), ==, 1); /* the last that the driver sent */
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
    g_assert_cmpuint(machine->n_events, ==, 5);
    g_bytes_unref(again);
    g_bytes_unref(rings);
    g_bytes_unref(file);
    machine_free(machine);
}

static void test_reference_split(void)
{
    check_reference("0.1-split.state", "0.1-split.rings", MACHINE_SPLIT);
}

static void test_reference_packed(void)
{
    check_reference("0.1-packed.state", "0.1-packed.rings", MACHINE_PACKED);
}

/* A reference file over another transport, in a device that begins with its primary hidden. */
static struct machine *reference_over(const char *name, enum machine_transport transport,
                                      VionetStandby **standby)
{
    GBytes *file = reference_file(name);
    struct machine_setup setup;
    struct machine *machine;
    GBytes *again;

    reference_setup_over(&setup, transport);
    machine = machine_new(&setup, NULL);
    *standby = reference_standby(machine);
    vionet_device_set_link(machine->device, false);
    vionet_device_set_paused(machine->device, true);
    g_assert_cmpint(load(machine->device, file), ==, -1);
    again = save(machine->device);
    assert_same_state(file, again);
    g_bytes_unref(again);
    g_bytes_unref(file);
    g_assert_false(vionet_standby_input(*standby, VIONET_STANDBY_RELEASED));
    g_assert_cmpint(vionet_standby_state(*standby), ==, VIONET_PRIMARY_HIDDEN);
    return machine;
}

/* What a legacy driver has done, of which the octets are in the order given. */
static void check_legacy_reference(struct machine *machine, const uint8_t *space)
{
    VionetDevice *device = machine->device;

    g_assert_cmphex(vionet_device_status(device), ==, 7);
    g_assert_cmphex(vionet_device_driver_features(device, 0), ==, 0x30ffffaf);
    g_assert_true(vionet_device_negotiated(device, VIRTIO_NET_F_MQ));
    g_assert_false(vionet_device_negotiated(device, VIRTIO_F_VERSION_1));
    g_assert_cmpuint(vionet_device_control_queue(device), ==, 4);
    g_assert_cmphex(vionet_device_queue_area(device, 3, VIONET_AREA_DESC), ==, 0x106000);
    g_assert_cmphex(vionet_device_queue_area(device, 3, VIONET_AREA_DEVICE), ==, 0x107000);
    g_assert_cmpuint(vionet_device_counter(device, 3, VIONET_COUNTER_PACKETS), ==, 23);
    g_assert_cmpuint(vionet_device_counter(device, 4, VIONET_COUNTER_COMMANDS_OK), ==, 9);
    for (unsigned i = 0; i < 12; i++) {
        const uint64_t at = machine->mmio ? 0x100 : 24;

        g_assert_cmphex(machine->access.bar_read(machine->access.opaque, 0, at + i, 1), ==,
                        space[i]);
    }
}

static void test_reference_pci_legacy(void)
{
    static const uint8_t space[12] = {2, 0, 0, 0, 0, 0x17, 2, 0, 2, 0, 0xdc, 0x05};
    VionetStandby *standby;
    struct machine *machine = reference_over("0.1-pci-legacy.state", MACHINE_PCI_LEGACY, &standby);

    check_legacy_reference(machine, space);
    g_assert_cmpuint(vionet_pci_bar_read(machine->pci, 0, VIRTIO_PCI_LEGACY_QUEUE_SELECT, 2), ==,
                     3);
    g_assert_cmphex(vionet_pci_bar_read(machine->pci, 0, VIRTIO_PCI_LEGACY_QUEUE_ADDRESS, 4), ==,
                    0x106);
    vionet_standby_free(standby);
    machine_free(machine);
}

static void test_reference_mmio_legacy(void)
{
    static const uint8_t space[12] = {2, 0, 0, 0, 0, 0x17, 0, 2, 0, 2, 0x05, 0xdc};
    VionetStandby *standby;
    struct machine *machine =
        reference_over("0.1-mmio-legacy-big.state", MACHINE_MMIO_LEGACY_BIG, &standby);

    check_legacy_reference(machine, space);
    g_assert_cmphex(vionet_mmio_read(machine->mmio, VIRTIO_MMIO_QUEUE_PFN, 4), ==, 0x106);
    vionet_standby_free(standby);
    machine_free(machine);
}

static void test_reference_mmio(void)
{
    VionetStandby *standby;
    struct machine *machine = reference_over("0.1-mmio.state", MACHINE_MMIO, &standby);

    check_reference_negotiated(machine->device);
    g_assert_cmpuint(vionet_mmio_read(machine->mmio, VIRTIO_MMIO_QUEUE_SIZE_MAX, 4), ==, 16);
    g_assert_cmphex(vionet_mmio_read(machine->mmio, VIRTIO_MMIO_INTERRUPT_STATUS, 4), ==, 3);
    g_assert_true(vionet_standby_negotiated(standby));
    vionet_standby_free(standby);
    machine_free(machine);
}

/* ---- What is refused ---- */

static struct machine *reference_target(void)
{
    struct machine_setup setup;
    struct machine *machine;

    reference_setup(&setup, MACHINE_SPLIT);
    machine = machine_new(&setup, NULL);
    g_assert_nonnull(machine);
    vionet_device_set_paused(machine->device, true);
    return machine;
}

static GBytes *write_state(const struct state *state)
{
    GByteArray *octets = state_write(state);

    for (unsigned i = 0; i < state->foreign->len; i++) {
        const struct state_foreign *foreign =
            &g_array_index(state->foreign, struct state_foreign, i);

        state_write_section(octets, foreign->name, foreign->version, foreign->required, 0,
                            foreign->octets, foreign->len);
    }
    state_finish(octets);
    return g_byte_array_free_to_bytes(octets);
}

static void set_list(struct record_list *list, const void *items, uint32_t n, size_t size)
{
    g_free(list->items);
    record_list_set(list, items, n, size);
}

/* Each changes one thing, to what no driver could have brought about. */

static void spoil_status_unknown(struct state *s)
{
    s->device.status |= 0x20;
}

static void spoil_driver_ok_early(struct state *s)
{
    s->device.status = 7;
}

static void spoil_stuck_without_needs_reset(struct state *s)
{
    s->device.stuck = 1;
}

static void spoil_not_a_truth(struct state *s)
{
    s->device.announce = 2;
}

static void spoil_driver_beyond(struct state *s)
{
    s->device.driver_beyond = 130;
}

static void spoil_feature_not_offered(struct state *s)
{
    s->device.driver_features[1] |= UINT64_C(1) << 60;
}

static void spoil_offered_more(struct state *s)
{
    s->config.features[1] |= UINT64_C(1) << 60;
}

static void spoil_feature_without_its_other(struct state *s)
{
    s->device.driver_features[0] &= ~(UINT64_C(1) << VIRTIO_NET_F_CTRL_VQ);
}

static void spoil_other_pairs(struct state *s)
{
    s->config.max_pairs = 3;
}

static void spoil_pairs_and_no_mq(struct state *s)
{
    vionet_features_set(s->config.features, VIRTIO_NET_F_MQ, false);
    vionet_features_set(s->config.features, VIRTIO_NET_F_RSS, false);
}

static void spoil_other_dialect(struct state *s)
{
    s->config.dialect[0]++;
}

static void spoil_other_mac(struct state *s)
{
    s->config.mac[5]++;
}

static void spoil_multicast_mac(struct state *s)
{
    s->device.mac[0] |= 1;
}

static void spoil_multicast_filter_mac(struct state *s)
{
    s->filter.mac[0] |= 1;
}

static void spoil_offloads(struct state *s)
{
    s->device.offloads |= UINT64_C(1) << 63;
}

static void spoil_modes(struct state *s)
{
    s->filter.modes = 0x40;
}

static void spoil_mac_table_and_all(struct state *s)
{
    s->filter.all_unicast = 1;
}

static void spoil_mac_table_too_long(struct state *s)
{
    uint8_t macs[65 * 6] = {0};
    set_list(&s->filter.unicast, macs, 65, 6);
}

static void spoil_no_pairs(struct state *s)
{
    s->steering[0].pairs = 0;
}

static void spoil_too_many_pairs(struct state *s)
{
    s->steering[0].pairs = 3;
}

static void spoil_unclassified(struct state *s)
{
    s->steering[0].unclassified = 2;
}

static void spoil_max_tx_vq(struct state *s)
{
    s->steering[0].max_tx_vq = 3;
}

static void spoil_hash_types(struct state *s)
{
    s->steering[0].hash_types = 1u << 30;
}

static void spoil_tunnel_types(struct state *s)
{
    s->steering[0].tunnel_types = 1u << 30;
}

static void spoil_key_missing(struct state *s)
{
    set_list(&s->steering[0].key, NULL, 0, 1);
}

static void spoil_key_too_long(struct state *s)
{
    uint8_t key[41] = {0};
    set_list(&s->steering[0].key, key, 41, 1);
}

static void spoil_table_missing(struct state *s)
{
    set_list(&s->steering[0].table, NULL, 0, 2);
}

static void spoil_table_of_three(struct state *s)
{
    uint16_t table[3] = {0};
    set_list(&s->steering[0].table, table, 3, 2);
}

static void spoil_table_too_long(struct state *s)
{
    uint16_t table[256] = {0};
    set_list(&s->steering[0].table, table, 256, 2);
}

static void spoil_table_pair(struct state *s)
{
    ((uint16_t *)s->steering[0].table.items)[3] = 2;
}

static void spoil_context_automatic(struct state *s)
{
    s->steering[2].mode = 0;
}

static void spoil_context_pairs(struct state *s)
{
    s->steering[2].pairs = 1;
}

static void spoil_queue_size_zero(struct state *s)
{
    s->queues[0].size = 0;
}

static void spoil_queue_size_over(struct state *s)
{
    s->queues[0].size = 64;
}

static void spoil_queue_size_odd(struct state *s)
{
    s->queues[0].size = 24;
}

static void spoil_index_beyond(struct state *s)
{
    s->queues[0].next_avail = (uint16_t)(s->queues[0].next_used + 33);
}

static void spoil_index_behind(struct state *s)
{
    s->queues[0].next_avail = (uint16_t)(s->queues[0].next_used - 1);
}

static void spoil_stands_disabled(struct state *s)
{
    s->queues[0].enabled = 0;
}

static void spoil_stands_and_never_ran(struct state *s)
{
    s->queues[0].started = 0;
    s->queues[0].next_avail = 1;
}

static void spoil_broken_alone(struct state *s)
{
    s->queues[0].broken = 1;
}

static void spoil_broken_and_stands(struct state *s)
{
    s->queues[0].broken = 1;
    s->device.status |= VIRTIO_STATUS_DEVICE_NEEDS_RESET;
}

static void spoil_out_twice(struct state *s)
{
    ((uint16_t *)s->queues[3].out.items)[2] = ((uint16_t *)s->queues[3].out.items)[0];
}

static void spoil_out_beyond(struct state *s)
{
    ((uint16_t *)s->queues[3].out.items)[0] = 16;
}

static void spoil_out_too_many(struct state *s)
{
    uint16_t out[6] = {0, 1, 1, 1, 2, 1};
    set_list(&s->queues[3].out, out, 3, 4);
}

static void spoil_out_of_receive(struct state *s)
{
    uint16_t out[2] = {0, 1};
    set_list(&s->queues[2].out, out, 1, 4);
    s->queues[2].next_avail++;
}

static void spoil_coalescing_of_control(struct state *s)
{
    s->queues[4].max_usecs = 1;
}

static void spoil_untold(struct state *s)
{
    s->queues[3].untold = 0x10000;
}

static void spoil_queue_missing(struct state *s)
{
    s->has_queue[3] = false;
}

static void spoil_control_missing(struct state *s)
{
    s->has_queue[4] = false;
}

static void spoil_flow_entry(struct state *s)
{
    uint16_t flows[2] = {4096, 0};
    set_list(&s->flows.flows, flows, 1, 4);
}

static void spoil_flow_pair(struct state *s)
{
    uint16_t flows[2] = {1, 2};
    set_list(&s->flows.flows, flows, 1, 4);
}

static void spoil_transport_missing(struct state *s)
{
    g_array_set_size(s->foreign, 0);
}

static void spoil_legacy_of_today(struct state *s)
{
    s->device.legacy = 1;
}

static void spoil_big_endian_of_today(struct state *s)
{
    s->device.big_endian = 1;
}

static void spoil_placed_of_today(struct state *s)
{
    s->device.placed = 1;
}

static void spoil_early_of_today(struct state *s)
{
    s->device.early = 1;
}

static void spoil_legacy_taken_away(struct state *s)
{
    s->device.legacy = 0;
}

static void spoil_features_ok(struct state *s)
{
    s->device.status |= VIRTIO_STATUS_FEATURES_OK;
}

static void spoil_features_and_not_placed(struct state *s)
{
    s->device.placed = 0;
}

static void spoil_feature_above_31(struct state *s)
{
    s->device.driver_features[0] |= UINT64_C(1) << VIRTIO_F_VERSION_1;
}

static void spoil_available_ring_elsewhere(struct state *s)
{
    s->queues[0].driver += 16;
}

static void spoil_used_ring_elsewhere(struct state *s)
{
    s->queues[0].device += 16;
}

static void spoil_queue_at_0(struct state *s)
{
    s->queues[0].device -= s->queues[0].desc;
    s->queues[0].driver -= s->queues[0].desc;
    s->queues[0].desc = 0;
}

/* An octet of a section that is not the device's. */
static void spoil_foreign(struct state *s, const char *name, unsigned at, uint8_t value)
{
    static uint8_t copy[64];

    for (unsigned i = 0; i < s->foreign->len; i++) {
        struct state_foreign *foreign = &g_array_index(s->foreign, struct state_foreign, i);

        if (strcmp(foreign->name, name) == 0) {
            g_assert_cmpuint(foreign->len, <=, sizeof(copy));
            memcpy(copy, foreign->octets, foreign->len);
            copy[at] = value;
            foreign->octets = copy;
            return;
        }
    }
    g_assert_not_reached();
}

static void spoil_window_of_today(struct state *s)
{
    spoil_foreign(s, "mmio", 0, 2);
}

/* Its rings would be little-endian in a window that says otherwise. */
static void spoil_order(struct state *s)
{
    s->device.big_endian = 0;
}

static void spoil_standby_model(struct state *s)
{
    spoil_foreign(s, "standby", 0, VIONET_N_STANDBY_MODELS);
}

static void spoil_standby_visible(struct state *s)
{
    spoil_foreign(s, "standby", 1, VIONET_PRIMARY_VISIBLE);
}

static void spoil_standby_held_of_none(struct state *s)
{
    spoil_foreign(s, "standby", 1, VIONET_PRIMARY_ABSENT);
}

static void spoil_standby_removing(struct state *s)
{
    spoil_foreign(s, "standby", 4, 1);
}

static void spoil_standby_asked(struct state *s)
{
    spoil_foreign(s, "standby", 5, 1);
}

static void spoil_standby_cut(struct state *s)
{
    g_array_index(s->foreign, struct state_foreign, 1).len--;
}

#define ROW(code, name)                                \
    {                                                  \
#name, VIONET_STATE_ERROR_##code, spoil_##name \
    }

struct refusal {
    const char *name;
    int code;
    void (*spoil)(struct state *state);
};

static const struct refusal refusals[] = {
    ROW(VALUE, status_unknown),
    ROW(VALUE, driver_ok_early),
    ROW(VALUE, stuck_without_needs_reset),
    ROW(VALUE, not_a_truth),
    ROW(FEATURES, driver_beyond),
    ROW(FEATURES, feature_not_offered),
    ROW(FEATURES, offered_more),
    ROW(FEATURES, feature_without_its_other),
    ROW(CONFIG, other_pairs),
    ROW(CONFIG, pairs_and_no_mq),
    ROW(CONFIG, other_dialect),
    ROW(CONFIG, other_mac),
    ROW(VALUE, multicast_mac),
    ROW(VALUE, multicast_filter_mac),
    ROW(VALUE, offloads),
    ROW(VALUE, modes),
    ROW(VALUE, mac_table_and_all),
    ROW(VALUE, mac_table_too_long),
    ROW(VALUE, no_pairs),
    ROW(VALUE, too_many_pairs),
    ROW(VALUE, unclassified),
    ROW(VALUE, max_tx_vq),
    ROW(VALUE, hash_types),
    ROW(VALUE, tunnel_types),
    ROW(VALUE, key_missing),
    ROW(VALUE, key_too_long),
    ROW(VALUE, table_missing),
    ROW(VALUE, table_of_three),
    ROW(VALUE, table_too_long),
    ROW(VALUE, table_pair),
    ROW(VALUE, context_automatic),
    ROW(VALUE, context_pairs),
    ROW(VALUE, queue_size_zero),
    ROW(VALUE, queue_size_over),
    ROW(VALUE, queue_size_odd),
    ROW(VALUE, index_beyond),
    ROW(VALUE, index_behind),
    ROW(VALUE, stands_disabled),
    ROW(VALUE, stands_and_never_ran),
    ROW(VALUE, broken_alone),
    ROW(VALUE, broken_and_stands),
    ROW(VALUE, out_twice),
    ROW(VALUE, out_beyond),
    ROW(VALUE, out_too_many),
    ROW(VALUE, out_of_receive),
    ROW(VALUE, coalescing_of_control),
    ROW(VALUE, untold),
    ROW(SECTION, queue_missing),
    ROW(SECTION, control_missing),
    ROW(VALUE, flow_entry),
    ROW(VALUE, flow_pair),
    ROW(SECTION, transport_missing),
    ROW(FEATURES, legacy_of_today),
    ROW(VALUE, big_endian_of_today),
    ROW(VALUE, placed_of_today),
    ROW(VALUE, early_of_today),
};

/* Of a legacy driver's device with a failover object. */
static const struct refusal legacy_refusals[] = {
    ROW(FEATURES, legacy_taken_away),
    ROW(VALUE, features_ok),
    ROW(FEATURES, features_and_not_placed),
    ROW(FEATURES, feature_above_31),
    ROW(FEATURES, driver_beyond),
    ROW(VALUE, not_a_truth),
    ROW(VALUE, available_ring_elsewhere),
    ROW(VALUE, used_ring_elsewhere),
    ROW(VALUE, queue_at_0),
    ROW(VALUE, queue_size_over),
    ROW(CONFIG, window_of_today),
    ROW(VALUE, order),
    ROW(VALUE, standby_model),
    ROW(VALUE, standby_visible),
    ROW(VALUE, standby_held_of_none),
    ROW(VALUE, standby_removing),
    ROW(VALUE, standby_asked),
    ROW(FORMAT, standby_cut),
};

/* Each refused, with the device as it was, which takes the file itself in the end. */
static void assert_refused(VionetDevice *device, const char *name, const struct refusal *rows,
                           size_t n_rows)
{
    GBytes *file = reference_file(name);
    GBytes *before = save(device);

    for (size_t i = 0; i < n_rows; i++) {
        struct state *state = read_reference(file);
        GBytes *octets, *after;

        rows[i].spoil(state);
        octets = write_state(state);
        g_test_message("%s", rows[i].name);
        g_assert_cmpint(load(device, octets), ==, rows[i].code);
        after = save(device);
        g_assert_true(g_bytes_equal(before, after));
        g_bytes_unref(after);
        g_bytes_unref(octets);
        state_free(state);
    }
    g_assert_cmpint(load(device, file), ==, -1);
    g_bytes_unref(before);
    g_bytes_unref(file);
}

static void test_refused(void)
{
    struct machine *machine = reference_target();

    assert_refused(machine->device, "0.1-split.state", refusals, G_N_ELEMENTS(refusals));
    machine_free(machine);
}

static void test_refused_of_legacy(void)
{
    struct machine_setup setup;
    struct machine *machine;
    VionetStandby *standby;

    reference_setup_over(&setup, MACHINE_MMIO_LEGACY_BIG);
    machine = machine_new(&setup, NULL);
    standby = reference_standby(machine);
    vionet_device_set_paused(machine->device, true);
    assert_refused(machine->device, "0.1-mmio-legacy-big.state", legacy_refusals,
                   G_N_ELEMENTS(legacy_refusals));
    vionet_standby_free(standby);
    machine_free(machine);
}

/* A legacy driver, by the state of a device that no driver has touched, in a function that knows only others. */
static void test_legacy_without_interface(void)
{
    struct machine *machine = reference_target();
    GBytes *fresh = save(machine->device);
    struct state *state = read_reference(fresh);
    GBytes *octets;

    state->device.legacy = 1;
    octets = write_state(state);
    g_assert_cmpint(load(machine->device, octets), ==, VIONET_STATE_ERROR_VALUE);
    g_assert_cmpint(load(machine->device, fresh), ==, -1);
    g_bytes_unref(octets);
    g_bytes_unref(fresh);
    state_free(state);
    machine_free(machine);
}

/* What the plain structures are made of is taken, too, in case the rows refuse what is right. */
static void test_accepted(void)
{
    struct machine *machine = reference_target();
    GBytes *file = reference_file("0.1-split.state");
    struct state *state = read_reference(file);
    GBytes *octets = write_state(state);

    assert_same_state(file, octets);
    g_assert_cmpint(load(machine->device, octets), ==, -1);
    vionet_pci_reset(machine->pci);
    state->queues[0].desc = UINT64_MAX; /* addresses are not judged */
    state->queues[0].next_avail = 0xfff0;
    state->queues[0].next_used = 0xfff0;
    g_bytes_unref(octets);
    octets = write_state(state);
    g_assert_cmpint(load(machine->device, octets), ==, -1);
    machine_forget_events(machine);
    vionet_device_set_paused(machine->device, false);
    g_assert_nonnull(machine_violation(machine, VIONET_VIOLATION_RING_MISALIGNED));
    g_bytes_unref(octets);
    g_bytes_unref(file);
    state_free(state);
    machine_free(machine);
}

static void test_not_now(void)
{
    struct machine *machine = boot(1);
    struct machine_device made = machine_make_device(machine);
    GError *error = NULL;
    GBytes *state;

    g_assert_null(vionet_device_save(machine->device, &error));
    g_assert_error(error, VIONET_STATE_ERROR, VIONET_STATE_ERROR_NOT_PAUSED);
    g_clear_error(&error);
    g_assert_null(vionet_device_save(machine->device, NULL));
    vionet_device_set_paused(machine->device, true);
    state = save(machine->device);
    g_assert_cmpint(load(machine->device, state), ==, VIONET_STATE_ERROR_NOT_FRESH);
    vionet_device_set_paused(made.device, false);
    g_assert_cmpint(load(made.device, state), ==, VIONET_STATE_ERROR_NOT_PAUSED);
    vionet_device_set_paused(made.device, true);
    g_assert_cmpint(load(made.device, state), ==, -1);
    g_bytes_unref(state);
    machine_free_device(&made);
    machine_free(machine);
}

/* A device with fewer features, or one made otherwise. */
static void test_other_device(void)
{
    GBytes *file = reference_file("0.1-split.state");
    struct machine_setup setup;
    struct machine *machine;

    for (unsigned i = 0; i < 5; i++) {
        static const int codes[] = {VIONET_STATE_ERROR_FEATURES, VIONET_STATE_ERROR_CONFIG,
                                    VIONET_STATE_ERROR_CONFIG, VIONET_STATE_ERROR_CONFIG,
                                    VIONET_STATE_ERROR_CONFIG};

        reference_setup(&setup, MACHINE_SPLIT);
        vionet_features_set(setup.device.features, VIRTIO_NET_F_SPEED_DUPLEX, i != 0);
        setup.device.mtu = i == 1 ? 1400 : 1500;
        setup.device.transmit_queue_size = i == 2 ? 64 : 16;
        setup.pci.n_vectors = i == 3 ? 3 : VIONET_PCI_VECTORS_AUTO;
        setup.pci.notify_multiplier = i == 4 ? 8 : 4;
        machine = machine_new(&setup, NULL);
        vionet_device_set_paused(machine->device, true);
        g_assert_cmpint(load(machine->device, file), ==, codes[i]);
        g_assert_cmpuint(vionet_device_status(machine->device), ==, 0);
        machine_free(machine);
    }
    g_bytes_unref(file);
}

/* Of a state that was cut nothing is left to be taken for one. */
static void test_cut(void)
{
    struct machine *machine = reference_target();
    GBytes *file = reference_file("0.1-split.state");

    for (gsize len = 0; len < g_bytes_get_size(file); len++) {
        GBytes *part = g_bytes_new_from_bytes(file, 0, len);

        g_assert_cmpint(load(machine->device, part), ==, VIONET_STATE_ERROR_FORMAT);
        g_bytes_unref(part);
    }
    g_bytes_unref(file);
    machine_free(machine);
}

/* ---- Sections ---- */

static GBytes *with_section(GBytes *file, const char *name, unsigned version, bool required)
{
    gsize len;
    const uint8_t *octets = g_bytes_get_data(file, &len);
    GByteArray *more = g_byte_array_append(g_byte_array_new(), octets, (guint)len);

    state_write_section(more, name, version, required, 0, (const uint8_t *)"abc", 3);
    state_finish(more);
    return g_byte_array_free_to_bytes(more);
}

static void test_sections(void)
{
    static const struct {
        const char *name;
        unsigned version;
        bool required;
        int code;
    } rows[] = {
        {"later", 1, false, -1},
        {"later", 1, true, VIONET_STATE_ERROR_SECTION},
        {"flows", 1, false, VIONET_STATE_ERROR_SECTION}, /* it is there twice */
        {"later", 0, false, VIONET_STATE_ERROR_FORMAT},
        {"Later", 1, false, VIONET_STATE_ERROR_FORMAT},
        {"", 1, false, VIONET_STATE_ERROR_FORMAT},
        {"pci", 2, true, VIONET_STATE_ERROR_SECTION},
    };
    GBytes *file = reference_file("0.1-split.state");

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct machine *machine = reference_target();
        GBytes *more = with_section(file, rows[i].name, rows[i].version, rows[i].required);

        g_assert_cmpint(load(machine->device, more), ==, rows[i].code);
        g_bytes_unref(more);
        machine_free(machine);
    }
    g_bytes_unref(file);
}

/* Octets of a state with something at an offset from the head of a section. */
static GBytes *poke(GBytes *file, const char *section, unsigned offset, uint8_t octet)
{
    gsize len;
    const uint8_t *octets = g_bytes_get_data(file, &len);
    uint8_t *copy = g_memdup2(octets, len);
    const uint8_t *head = section ? memmem(copy, len, section, strlen(section) + 1) : copy;

    g_assert_nonnull(head);
    copy[(size_t)(head - copy) + offset] = octet;
    return g_bytes_new_take(copy, len);
}

/* Over each version that there is; and of flags, one that there is not. */
#define NEWER 4

/* What is newer is refused, or skipped if it may be. */
static void test_newer(void)
{
    static const struct {
        const char *section;
        unsigned offset;
        int code;
    } rows[] = {
        {NULL, 8, VIONET_STATE_ERROR_VERSION},
        {"device", 16, VIONET_STATE_ERROR_VERSION},
        {"filter", 16, VIONET_STATE_ERROR_VERSION},
        {"steering", 16, VIONET_STATE_ERROR_VERSION},
        {"queue", 16, VIONET_STATE_ERROR_VERSION},
        {"pci", 16, VIONET_STATE_ERROR_VERSION},
        {"flows", 16, -1},
        {"counters", 16, -1},
        {"device", 18, VIONET_STATE_ERROR_FORMAT}, /* a flag that nobody knows */
    };
    GBytes *file = reference_file("0.1-split.state");

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct machine *machine = reference_target();
        GBytes *newer = poke(file, rows[i].section, rows[i].offset, NEWER);

        g_assert_cmpint(load(machine->device, newer), ==, rows[i].code);
        g_bytes_unref(newer);
        machine_free(machine);
    }
    g_bytes_unref(file);
}

/* A transport of somebody else's. */
struct transport {
    uint8_t value;
    unsigned n_parsed;
    unsigned n_missed;
    unsigned n_taken;
    unsigned n_dropped;
};

static void transport_save(void *opaque, GByteArray *octets)
{
    g_byte_array_append(octets, &((struct transport *)opaque)->value, 1);
}

static void *transport_parse(void *opaque, unsigned version, const uint8_t *octets, size_t len,
                             GError **error)
{
    g_assert_cmpuint(version, ==, 3);
    ((struct transport *)opaque)->n_parsed++;
    if (len != 1 || *octets > 100) {
        g_set_error_literal(error, VIONET_STATE_ERROR, VIONET_STATE_ERROR_VALUE, "not mine");
        return NULL;
    }
    return g_memdup2(octets, 1);
}

static void transport_take(void *opaque, void *parsed)
{
    struct transport *transport = opaque;

    transport->n_taken++;
    if (!parsed) {
        transport->value = 0;
        return;
    }
    transport->value = *(uint8_t *)parsed;
    g_free(parsed);
}

static void transport_drop(void *opaque, void *parsed)
{
    ((struct transport *)opaque)->n_dropped++;
    g_free(parsed);
}

static const VionetStateSection transport_section = {
    .size = sizeof(VionetStateSection),
    .name = "other",
    .version = 3,
    .save = transport_save,
    .parse = transport_parse,
    .take = transport_take,
    .drop = transport_drop,
};

static bool transport_missing(void *opaque, GError **error)
{
    struct transport *transport = opaque;

    transport->n_missed++;
    if (transport->value == 99) {
        return true;
    }
    g_set_error_literal(error, VIONET_STATE_ERROR, VIONET_STATE_ERROR_NOT_FRESH, "not without");
    return false;
}

/* Saves a machine's device with such a section or none, and loads that into another with such or none. */
static int pass_section(struct machine *machine, const VionetStateSection *saved,
                        const VionetStateSection *known, struct transport *to)
{
    struct machine_device made = machine_make_device(machine);
    struct transport from = {.value = 17};
    GBytes *state;
    int code;

    if (saved) {
        vionet_device_add_state_section(machine->device, saved, &from);
    }
    if (known) {
        vionet_device_add_state_section(made.device, known, to);
    }
    state = save(machine->device);
    vionet_device_remove_state_section(machine->device, "other");
    code = load(made.device, state);
    g_bytes_unref(state);
    machine_free_device(&made);
    return code;
}

/* Who does not know a section, or only older ones, may do without if it says so itself. */
static void test_skipped(void)
{
    for (unsigned skippable = 0; skippable < 2; skippable++) {
        struct machine *machine = boot(1);
        VionetStateSection section = transport_section;
        VionetStateSection newer = transport_section;
        struct transport to = {.value = 99};

        vionet_device_set_paused(machine->device, true);
        section.skippable = newer.skippable = skippable;
        section.missing = transport_missing;
        newer.version = 4;
        g_assert_cmpint(pass_section(machine, &section, NULL, &to), ==,
                        skippable ? -1 : VIONET_STATE_ERROR_SECTION);
        g_assert_cmpint(pass_section(machine, &newer, &section, &to), ==,
                        skippable ? -1 : VIONET_STATE_ERROR_VERSION);
        g_assert_cmpuint(to.n_missed, ==, skippable);
        g_assert_cmpuint(to.n_taken, ==, skippable);
        g_assert_cmpuint(to.n_parsed + to.n_dropped, ==, 0);
        section.missing = NULL;
        g_assert_cmpint(pass_section(machine, &newer, &section, &to), ==,
                        VIONET_STATE_ERROR_VERSION);
        machine_free(machine);
    }
}

/* Whether a state may be without a section is its owner's to say, who begins anew then; one that is there is judged. */
static void test_missing(void)
{
    struct machine *machine = boot(1);
    VionetStateSection section = transport_section;
    struct transport to = {.value = 99};

    vionet_device_set_paused(machine->device, true);
    g_assert_cmpint(pass_section(machine, NULL, &section, &to), ==, VIONET_STATE_ERROR_SECTION);
    g_assert_cmpuint(to.n_taken, ==, 0);
    section.missing = transport_missing;
    g_assert_cmpint(pass_section(machine, NULL, &section, &to), ==, -1);
    g_assert_cmpuint(to.n_missed, ==, 1);
    g_assert_cmpuint(to.n_taken, ==, 1);
    g_assert_cmpuint(to.value, ==, 0);
    g_assert_cmpint(pass_section(machine, NULL, &section, &to), ==, VIONET_STATE_ERROR_NOT_FRESH);
    g_assert_cmpuint(to.n_taken + to.n_dropped, ==, 1);
    g_assert_cmpint(pass_section(machine, &section, &section, &to), ==, -1);
    g_assert_cmpuint(to.n_missed, ==, 2);
    g_assert_cmpuint(to.value, ==, 17);
    machine_free(machine);
}

static void test_transport(void)
{
    const VionetStateSection section = transport_section;
    struct transport from = {.value = 17};
    struct transport to = {0};
    struct transport last = {.value = 200};
    struct machine *machine = boot(1);
    struct machine_device made = machine_make_device(machine);
    GBytes *state;

    vionet_device_set_paused(machine->device, true);
    vionet_device_add_state_section(machine->device, &section, &from);
    state = save(machine->device);
    g_assert_cmpint(load(made.device, state), ==, VIONET_STATE_ERROR_SECTION);
    vionet_device_add_state_section(made.device, &section, &to);
    g_assert_cmpint(load(made.device, state), ==, -1);
    g_assert_cmpuint(to.value, ==, 17);
    g_assert_cmpuint(to.n_taken, ==, 1);
    g_bytes_unref(state);
    machine_free_device(&made);

    /* What the device refuses, and another transport, no transport takes. */
    made = machine_make_device(machine);
    vionet_device_add_state_section(made.device, &section, &to);
    from.value = 101;
    state = save(machine->device);
    g_assert_cmpint(load(made.device, state), ==, VIONET_STATE_ERROR_VALUE);
    g_assert_cmpuint(to.value, ==, 17);
    g_assert_cmpuint(vionet_device_status(made.device), ==, 0);
    g_bytes_unref(state);
    from.value = 1;
    vionet_device_remove_state_section(machine->device, "other");
    state = save(machine->device);
    g_assert_cmpint(load(made.device, state), ==, VIONET_STATE_ERROR_SECTION);
    vionet_device_remove_state_section(made.device, "other");
    g_assert_cmpint(load(made.device, state), ==, -1);
    g_bytes_unref(state);
    machine_free_device(&made);

    /* One that was parsed before another failed is dropped. */
    made = machine_make_device(machine);
    vionet_device_remove_state_section(made.device, "pci");
    vionet_device_add_state_section(made.device, &section, &to);
    vionet_device_remove_state_section(machine->device, "pci");
    vionet_device_add_state_section(machine->device, &section, &from);
    {
        VionetStateSection second = section;

        second.name = "second";
        vionet_device_add_state_section(made.device, &second, &to);
        vionet_device_add_state_section(machine->device, &second, &last);
    }
    state = save(machine->device);
    g_assert_cmpint(load(made.device, state), ==, VIONET_STATE_ERROR_VALUE);
    g_assert_cmpuint(to.n_taken, ==, 1);
    g_assert_cmpuint(to.n_dropped, ==, 1);
    g_assert_cmpuint(to.n_parsed, ==, 4);
    g_bytes_unref(state);
    machine_free_device(&made);
    machine_free(machine);
}

/* ---- The MMIO window ---- */

static struct machine *boot_mmio(void)
{
    struct machine_setup setup;

    machine_setup_init(&setup);
    machine_setup_offer_all(&setup);
    setup.transport = MACHINE_MMIO;
    setup.device.max_rss_contexts = 2;
    setup.device.max_pairs = 2;
    return machine_booted(&setup, features_known());
}

/* The state with a changed MMIO section: n octets at an offset, or so many more at its end; NULL: without it. */
static GBytes *with_window(GBytes *saved, unsigned version, unsigned at, const void *octets,
                           size_t n)
{
    struct state *state = read_reference(saved);
    struct state_foreign *foreign = &g_array_index(state->foreign, struct state_foreign, 0);
    uint8_t payload[64] = {0};
    GBytes *changed;

    g_assert_cmpuint(state->foreign->len, ==, 1);
    g_assert_cmpstr(foreign->name, ==, "mmio");
    if (octets) {
        memcpy(payload, foreign->octets, foreign->len);
        memcpy(payload + at, octets, n);
        foreign->octets = payload;
        foreign->len = MAX(foreign->len, at + n);
        foreign->version = (uint16_t)version;
    } else {
        g_array_set_size(state->foreign, 0);
    }
    changed = write_state(state);
    state_free(state);
    return changed;
}

static void test_window(void)
{
    struct machine *machine = boot_mmio();
    struct machine_device made = machine_make_device(machine);

    guest_common_write(machine->driver, offsetof(struct virtio_pci_common_cfg, queue_select), 2, 1);
    vionet_device_set_link(machine->device, false);
    vionet_device_set_link(machine->device, true);
    g_assert_cmpuint(guest_driver_intx_count(machine->driver), ==, 1);
    vionet_device_set_paused(machine->device, true);
    {
        GBytes *state = save(machine->device);

        guest_driver_intx(machine->driver, false); /* another machine's line */
        g_assert_cmpint(load(made.device, state), ==, -1);
        g_bytes_unref(state);
    }
    g_assert_cmpuint(guest_driver_intx_count(machine->driver), ==, 2);
    machine_replace(machine, &made);
    g_assert_cmpuint(vionet_mmio_read(machine->mmio, VIRTIO_MMIO_INTERRUPT_STATUS, 4), ==,
                     VIRTIO_MMIO_INT_CONFIG);
    vionet_mmio_write(machine->mmio, VIRTIO_MMIO_QUEUE_SIZE, 4,
                      7); /* of queue 1, which is enabled */
    g_assert_nonnull(machine_violation(machine, VIONET_VIOLATION_QUEUE_WRITE_ENABLED));
    g_assert_cmpuint(machine_violation(machine, VIONET_VIOLATION_QUEUE_WRITE_ENABLED)->queue, ==,
                     1);
    deliver(machine);
    machine_finish(machine);
}

static void test_window_refused(void)
{
    static const struct {
        unsigned version;
        unsigned at;
        const char *octets;
        unsigned n;
        int code;
    } rows[] = {
        {1, 0, "\1", 1, VIONET_STATE_ERROR_CONFIG},                         /* version */
        {1, 1, "\1", 1, VIONET_STATE_ERROR_CONFIG},                         /* legacy_big_endian */
        {1, 1, "\2", 1, VIONET_STATE_ERROR_VALUE},                          /* which is 0 or 1 */
        {1, 2, "\0", 1, VIONET_STATE_ERROR_CONFIG},                         /* vendor */
        {1, 18, "\4", 1, VIONET_STATE_ERROR_VALUE},                         /* interrupt_status */
        {1, 20, "\x10", 1, VIONET_STATE_ERROR_VALUE},                       /* guest_page_size */
        {1, 24, "\x10", 1, VIONET_STATE_ERROR_VALUE},                       /* queue_align */
        {1, 27, "", 1, VIONET_STATE_ERROR_FORMAT},                          /* one octet more */
        {1, 6, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12, -1}, /* selectors */
        {2, 0, "", 1, VIONET_STATE_ERROR_VERSION},
        {1, 0, NULL, 0, VIONET_STATE_ERROR_SECTION},
    };
    struct machine *machine = boot_mmio();
    GBytes *state;

    vionet_device_set_paused(machine->device, true);
    state = save(machine->device);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct machine_device made = machine_make_device(machine);
        GBytes *before = save(made.device);
        GBytes *changed =
            with_window(state, rows[i].version, rows[i].at, rows[i].octets, rows[i].n);
        GBytes *after;

        g_assert_cmpint(load(made.device, changed), ==, rows[i].code);
        after = save(made.device);
        g_assert_cmpint(g_bytes_equal(before, after), ==, rows[i].code != -1);
        g_bytes_unref(before);
        g_bytes_unref(after);
        g_bytes_unref(changed);
        machine_free_device(&made);
    }
    g_bytes_unref(state);
    machine_free(machine);
}

/* What it knows of the registers, a device without a window would lose: it refuses them. */
static void test_window_without(void)
{
    struct machine *machine = boot_mmio();
    struct machine_device made = machine_make_device(machine);
    GBytes *state;

    vionet_device_set_paused(machine->device, true);
    state = save(machine->device);
    vionet_device_remove_state_section(made.device, "mmio");
    g_assert_cmpint(load(made.device, state), ==, VIONET_STATE_ERROR_SECTION);
    g_bytes_unref(state);
    machine_free_device(&made);
    machine_free(machine);
}

/* Version 1 has no FEATURES_OK. */
static void test_window_of_legacy(void)
{
    struct machine *machine = boot_mmio();
    struct machine_setup setup = machine->setup;
    struct machine *legacy;
    GBytes *state, *changed;

    vionet_device_set_paused(machine->device, true);
    state = save(machine->device);
    changed = with_window(state, 1, 0, "\1", 1);
    setup.transport = MACHINE_MMIO_LEGACY;
    legacy = machine_new(&setup, NULL);
    vionet_device_set_paused(legacy->device, true);
    g_assert_cmpint(load(legacy->device, changed), ==, VIONET_STATE_ERROR_VALUE);
    g_bytes_unref(changed);
    g_bytes_unref(state);
    machine_free(legacy);
    machine_free(machine);
}

/* ---- Before negotiation ---- */

/* A device with one pair that offers all, or what needs no control queue. */
static struct machine *one_pair(bool control)
{
    struct machine_setup setup;
    struct machine *machine;

    reference_setup_over(&setup, MACHINE_PCI);
    setup.device.max_pairs = 1;
    vionet_features_set(setup.device.features, VIRTIO_NET_F_CTRL_VQ, control);
    vionet_features_settle(setup.device.dialect, setup.device.features, NULL);
    machine = machine_new(&setup, NULL);
    g_assert_nonnull(machine);
    vionet_device_set_paused(machine->device, true);
    return machine;
}

/* A driver that has begun is offered more from here on: what it has not negotiated is as that says. */
static void test_more_is_offered(void)
{
    const uint8_t status = VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER;
    struct machine *from = one_pair(false);
    struct machine *to = one_pair(true);
    GBytes *state;

    vionet_device_write_status(from->device, status);
    vionet_device_write_queue_size(from->device, 1, 8);
    g_assert_cmpuint(vionet_device_control_queue(from->device), ==, VIONET_NONE);
    for (unsigned i = 0; i < 2; i++) {
        state = save(i ? to->device : from->device);
        vionet_device_reset(to->device);
        g_assert_cmpint(load(to->device, state), ==, -1);
        g_assert_cmphex(vionet_device_status(to->device), ==, status);
        g_assert_cmpuint(vionet_device_queue_size(to->device, 1), ==, 8);
        g_assert_cmpuint(vionet_device_control_queue(to->device), ==, 2);
        g_assert_cmpuint(vionet_device_queue_size(to->device, 2), ==, 16);
        g_bytes_unref(state);
    }
    vionet_device_set_paused(to->device, false);
    g_assert_true(machine_works(to));
    machine_free(from);
    machine_free(to);
}

/* One that has negotiated has what it took, and no control queue. */
static void test_more_is_offered_late(void)
{
    struct machine *from = one_pair(false);
    struct machine *to = one_pair(true);
    GBytes *state;

    vionet_device_set_paused(from->device, false);
    g_assert_true(machine_boot(from, features_known()));
    vionet_device_set_paused(from->device, true);
    state = save(from->device);
    g_assert_cmpint(load(to->device, state), ==, -1);
    g_assert_cmpuint(vionet_device_control_queue(to->device), ==, VIONET_NONE);
    g_bytes_unref(state);
    machine_free(from);
    machine_free(to);
}

/* ---- Mutants ---- */

#define MUTANTS 100000

static void mutate(GRand *rand, GByteArray *octets)
{
    static const uint8_t values[] = {0, 1, 2, 0x7f, 0x80, 0xff};

    for (unsigned n = 1 + (unsigned)g_rand_int_range(rand, 0, 3); n > 0 && octets->len > 0; n--) {
        const unsigned at = (unsigned)g_rand_int_range(rand, 0, (gint32)octets->len);

        switch (g_rand_int_range(rand, 0, 8)) {
        case 0:
            octets->data[at] ^= (uint8_t)(1u << g_rand_int_range(rand, 0, 8));
            break;
        case 1:
            octets->data[at] = (uint8_t)g_rand_int(rand);
            break;
        case 2:
            octets->data[at]++;
            break;
        case 3:
            g_byte_array_remove_range(octets, at, MIN(octets->len - at, 1u + at % 40));
            break;
        case 4:
            g_byte_array_append(octets, octets->data + at, MIN(octets->len - at, 64u));
            break;
        default:
            octets->data[at] = values[g_rand_int_range(rand, 0, (gint32)G_N_ELEMENTS(values))];
            break;
        }
    }
    if (octets->len >= 24 && g_rand_boolean(rand)) {
        state_finish(octets);
    }
}

/* A fresh device, over the transport that a reference file is of, and with a failover object where that has one. */
struct target {
    const char *name;
    enum machine_transport transport;
    bool fails_over;
    struct machine *machine;
    VionetStandby *standby;
    GBytes *file;
    GBytes *before; /* what it saves */
};

static void target_make(struct target *target)
{
    struct machine_setup setup;

    reference_setup_over(&setup, target->transport);
    target->machine = machine_new(&setup, NULL);
    g_assert_nonnull(target->machine);
    target->standby = target->fails_over ? reference_standby(target->machine) : NULL;
    vionet_device_set_paused(target->machine->device, true);
    target->file = reference_file(target->name);
    target->before = save(target->machine->device);
}

static void target_free(struct target *target)
{
    vionet_standby_free(target->standby);
    machine_free(target->machine);
    g_bytes_unref(target->file);
    g_bytes_unref(target->before);
}

/* What was taken runs, and can be reset. */
static void target_run(struct target *target)
{
    struct machine *machine = target->machine;

    g_bytes_unref(save(machine->device));
    vionet_device_set_paused(machine->device, false);
    machine_deliver(machine, frame, sizeof(frame));
    machine_drain(machine, 1);
    vionet_device_set_paused(machine->device, true);
    if (machine->pci) {
        vionet_pci_reset(machine->pci);
    } else {
        vionet_mmio_reset(machine->mmio);
    }
    g_assert_cmphex(vionet_device_status(machine->device), ==, 0);
    g_bytes_unref(target->before);
    target->before = save(machine->device);
}

/* However wrong: no crash, and no device that is half loaded. */
static bool try_mutant(struct target *target, GRand *rand)
{
    gsize len;
    const uint8_t *octets = g_bytes_get_data(target->file, &len);
    GByteArray *mutant = g_byte_array_append(g_byte_array_new(), octets, (guint)len);
    VionetDevice *device = target->machine->device;
    bool taken;

    mutate(rand, mutant);
    taken = vionet_device_load(device, mutant->data, mutant->len, NULL);
    if (taken) {
        target_run(target);
    } else {
        GBytes *after = save(device);

        g_assert_true(g_bytes_equal(target->before, after));
        g_bytes_unref(after);
    }
    g_byte_array_unref(mutant);
    return taken;
}

static void test_mutants(void)
{
    struct target targets[] = {
        {.name = "0.1-split.state", .transport = MACHINE_PCI},
        {.name = "0.1-packed.state", .transport = MACHINE_PCI},
        {.name = "0.1-pci-legacy.state", .transport = MACHINE_PCI_LEGACY, .fails_over = true},
        {.name = "0.1-mmio.state", .transport = MACHINE_MMIO, .fails_over = true},
        {.name = "0.1-mmio-legacy-big.state",
         .transport = MACHINE_MMIO_LEGACY_BIG,
         .fails_over = true},
    };
    GRand *rand = g_rand_new_with_seed(5);

    for (unsigned t = 0; t < G_N_ELEMENTS(targets); t++) {
        const unsigned n = MUTANTS / G_N_ELEMENTS(targets);
        unsigned n_taken = 0;

        target_make(&targets[t]);
        for (unsigned i = 0; i < n; i++) {
            n_taken += try_mutant(&targets[t], rand);
        }
        g_test_message("%s: %u of %u taken", targets[t].name, n_taken, n);
        g_assert_cmpuint(n_taken, >, n / 100);
        g_assert_cmpuint(n_taken, <, n / 2);
        target_free(&targets[t]);
    }
    g_rand_free(rand);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/state/fresh", test_fresh);
    g_test_add_func("/state/goes-on", test_goes_on);
    g_test_add_func("/state/frames-out", test_frames_out);
    g_test_add_func("/state/source-goes-on", test_source_goes_on);
    g_test_add_func("/state/twice", test_twice);
    g_test_add_func("/state/stopped-before-it-ran", test_stopped_before_it_ran);
    g_test_add_func("/state/stopped-with-frames-out", test_stopped_with_frames_out);
    g_test_add_func("/state/paused", test_paused);
    g_test_add_func("/state/Z-06/paused-writes-nothing", test_paused_writes_nothing);
    g_test_add_func("/state/D-08/nothing-of-the-heap", test_nothing_of_the_heap);
    g_test_add_func("/state/M-04/queues-never-set-up", test_queues_never_set_up);
    g_test_add_func("/state/missed-notification", test_missed_notification);
    g_test_add_func("/state/pending-notification", test_pending_notification);
    g_test_add_func("/state/link", test_link);
    g_test_add_func("/state/broken", test_broken);
    g_test_add_func("/state/broken-queue-is-stopped", test_broken_is_stopped);
    g_test_add_func("/state/events", test_events);
    g_test_add_func("/state/dirty", test_dirty);
    g_test_add_func("/state/reference-split", test_reference_split);
    g_test_add_func("/state/reference-packed", test_reference_packed);
    g_test_add_func("/state/reference-pci-legacy", test_reference_pci_legacy);
    g_test_add_func("/state/reference-mmio", test_reference_mmio);
    g_test_add_func("/state/reference-mmio-legacy", test_reference_mmio_legacy);
    g_test_add_func("/state/refused", test_refused);
    g_test_add_func("/state/refused-of-legacy", test_refused_of_legacy);
    g_test_add_func("/state/legacy-without-interface", test_legacy_without_interface);
    g_test_add_func("/state/accepted", test_accepted);
    g_test_add_func("/state/not-now", test_not_now);
    g_test_add_func("/state/other-device", test_other_device);
    g_test_add_func("/state/cut", test_cut);
    g_test_add_func("/state/sections", test_sections);
    g_test_add_func("/state/newer", test_newer);
    g_test_add_func("/state/transport", test_transport);
    g_test_add_func("/state/skipped", test_skipped);
    g_test_add_func("/state/missing", test_missing);
    g_test_add_func("/state/window", test_window);
    g_test_add_func("/state/window-refused", test_window_refused);
    g_test_add_func("/state/window-without", test_window_without);
    g_test_add_func("/state/window-of-legacy", test_window_of_legacy);
    g_test_add_func("/state/more-is-offered", test_more_is_offered);
    g_test_add_func("/state/more-is-offered-late", test_more_is_offered_late);
    g_test_add_func("/state/mutants", test_mutants);
    return g_test_run();
}
