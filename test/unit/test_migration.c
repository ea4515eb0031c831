/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver cannot tell (vionet/state.h). Two machines get the same random configuration, frames, commands
 * and resets. In one the device is saved again and again, in the midst of bursts, and another one goes on
 * from there; in the other it stays. All that the drivers see is held against each other: answers, frames,
 * interrupts, and every octet of guest memory; and at each change what both devices save. So over each transport,
 * and for legacy drivers of guests of either order of octets.
 */
#include <string.h>

#include <vionet/spec.h>
#include <vionet/state.h>
#include <vionet/transport.h>

#include "driver/bytes.h"
#include "driver/queue.h"
#include "machine/machine.h"

#define MEMORY_BASE UINT64_C(0x100000)
#define MEMORY_SIZE UINT64_C(0x1000000)
#define MAX_OUT     256
#define MAX_PAIRS   4

/* One of the two, and what is to be compared. */
struct world {
    struct machine *machine;
    struct guest_features wanted;
    VionetFrame out[MAX_PAIRS][MAX_OUT]; /* taken and not given back, in order */
    unsigned n_out[MAX_PAIRS];
    unsigned n_passed; /* frames, either way */
    GByteArray *log;
};

static unsigned below(GRand *rand, unsigned n)
{
    return (unsigned)g_rand_int_range(rand, 0, (gint32)n);
}

static bool once_in(GRand *rand, unsigned n)
{
    return below(rand, n) == 0;
}

static void note(struct world *world, const void *octets, size_t len)
{
    g_byte_array_append(world->log, octets, (guint)len);
}

static void note_number(struct world *world, int64_t number)
{
    note(world, &number, sizeof(number));
}

/* ---- what happens ---- */

static size_t make_frame(struct world *world, GRand *rand, uint8_t *octets)
{
    const size_t len = 60 + below(rand, once_in(rand, 4) ? 1400 : 100);
    size_t at = 12;

    for (size_t i = 0; i < len; i++) {
        octets[i] = (uint8_t)g_rand_int(rand);
    }
    if (!once_in(rand, 4)) {
        memcpy(octets, world->machine->setup.device.mac, 6);
    }
    if (once_in(rand, 3)) {
        const uint8_t tag[] = {0x81, 0x00, 0, (uint8_t)below(rand, 8)};

        memcpy(octets + at, tag, sizeof(tag));
        at += sizeof(tag);
    }
    if (!once_in(rand, 8)) {
        const uint8_t ip[] = {0x08, 0x00, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17};

        memcpy(octets + at, ip, sizeof(ip));
        memset(octets + at + 14, 10, 7);
        octets[at + 21] = (uint8_t)below(rand, 16);
    }
    return len;
}

static void receive_all(struct world *world)
{
    struct guest_packet packet;

    while (net_receive(world->machine->net, &packet)) {
        note_number(world, packet.pair);
        note(world, packet.raw_header, net_header_size(world->machine->net));
        note(world, packet.data, packet.len);
    }
    net_recycle(world->machine->net);
}

static void deliver(struct world *world, GRand *rand)
{
    uint8_t octets[2048];

    for (unsigned n = 1 + below(rand, 8); n > 0; n--) {
        const size_t len = make_frame(world, rand, octets);
        const VionetVerdict verdict = machine_deliver(world->machine, octets, len);

        world->n_passed += verdict == VIONET_DELIVERED;
        note_number(world, verdict);
    }
    if (!once_in(rand, 4)) {
        receive_all(world);
    }
}

static void send(struct world *world, GRand *rand)
{
    const unsigned pair = below(rand, world->machine->driver->pairs);
    uint8_t octets[2048];

    for (unsigned n = 1 + below(rand, 8); n > 0; n--) {
        const size_t len = make_frame(world, rand, octets);

        note_number(world, net_transmit(world->machine->net, pair, NULL, octets, (uint32_t)len));
    }
}

/* The host takes frames, and keeps them. */
static void take(struct world *world, GRand *rand)
{
    const unsigned pair = below(rand, world->machine->setup.device.max_pairs);
    VionetFrame *out = &world->out[pair][world->n_out[pair]];
    const size_t room = MAX_OUT - world->n_out[pair];
    size_t n = 1 + below(rand, 16);

    n = vionet_device_transmit(world->machine->device, pair, out, MIN(n, room));
    note_number(world, (int64_t)n);
    for (size_t i = 0; i < n; i++) {
        for (unsigned r = 0; r < out[i].n_iov; r++) {
            note(world, out[i].iov[r].iov_base, out[i].iov[r].iov_len);
        }
    }
    world->n_out[pair] += (unsigned)n;
    world->n_passed += (unsigned)n;
}

/* It gives some of them back, in no order. */
static void give_back(struct world *world, GRand *rand)
{
    const unsigned pair = below(rand, world->machine->setup.device.max_pairs);
    VionetFrame *out = world->out[pair];
    unsigned kept = 0;

    for (unsigned i = 0; i < world->n_out[pair]; i++) {
        if (once_in(rand, 2)) {
            vionet_device_complete(world->machine->device, pair, &out[i], 1);
        } else {
            out[kept++] = out[i];
        }
    }
    world->n_out[pair] = kept;
    net_reclaim(world->machine->net, pair % world->machine->driver->pairs);
}

static void give_all_back(struct world *world)
{
    for (unsigned pair = 0; pair < MAX_PAIRS; pair++) {
        vionet_device_complete(world->machine->device, pair, world->out[pair], world->n_out[pair]);
        world->n_out[pair] = 0;
    }
}

static void configure_rss(struct world *world, GRand *rand)
{
    static uint16_t table[128];
    const unsigned pairs = world->machine->setup.device.max_pairs;
    uint8_t key[40];
    struct net_rss rss = {
        .hash_types = g_rand_int(rand) & 0x1ff,
        .table = table,
        .table_len = 1u << below(rand, 8),
        .max_tx_vq = (uint16_t)pairs,
        .key = key,
        .key_len = sizeof(key),
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
        table[i] = (uint16_t)below(rand, pairs);
    }
    for (unsigned i = 0; i < sizeof(key); i++) {
        key[i] = (uint8_t)g_rand_int(rand);
    }
    switch (below(rand, 4)) {
    case 0:
        note_number(world, net_control_hash(world->machine->net, &rss));
        break;
    case 1:
        note_number(world, net_control_context_add(world->machine->net,
                                                   (uint16_t)(1 + below(rand, 4)), &rss));
        break;
    default:
        note_number(world, net_control_rss(world->machine->net, &rss));
        break;
    }
}

static void ask_statistics(struct world *world)
{
    const unsigned n_queues = world->machine->driver->n_queues;
    uint8_t replies[1024];

    for (uint16_t queue = 0; queue < n_queues; queue++) {
        const struct net_stats_entry entry = {
            queue, UINT64_C(1) << (queue % 2 ? VIRTIO_NET_STATS_TYPE_REPLY_TX_BASIC
                                             : VIRTIO_NET_STATS_TYPE_REPLY_RX_BASIC)};

        memset(replies, 0, sizeof(replies));
        note_number(
            world, net_control_stats_get(world->machine->net, &entry, 1, replies, sizeof(replies)));
        note(world, replies, sizeof(replies));
    }
}

static void command(struct world *world, GRand *rand)
{
    struct guest_net *net = world->machine->net;
    uint8_t macs[12] = {2, 0, 0, 0, 0, 1, 3, 0, 0, 0, 0, 2};
    uint32_t max_packets = 0, max_usecs = 0;

    if (!world->machine->driver->has_control) {
        return;
    }
    switch (below(rand, 12)) {
    case 0:
        note_number(world, net_control_rx(net, (uint8_t)below(rand, 6), once_in(rand, 2)));
        break;
    case 1:
        macs[5] = (uint8_t)below(rand, 4);
        note_number(world, net_control_mac_table(net, macs, below(rand, 2), macs + 6, 1));
        break;
    case 2:
        macs[5] = (uint8_t)below(rand, 4);
        note_number(world, net_control_mac(net, macs));
        break;
    case 3:
        note_number(world, net_control_vlan_add(net, (uint16_t)below(rand, 8)));
        break;
    case 4:
        note_number(world, net_control_vlan_del(net, (uint16_t)below(rand, 8)));
        break;
    case 5:
        note_number(world, net_control_pairs(net, (uint16_t)(1 + below(rand, MAX_PAIRS))));
        break;
    case 6:
        note_number(world, net_control_offloads(net, 1u << below(rand, 12)));
        break;
    case 7:
        note_number(world, net_control_coalesce_rx(net, below(rand, 8), below(rand, 100)));
        note_number(world, net_control_coalesce_tx(net, below(rand, 8), below(rand, 100)));
        break;
    case 8:
        note_number(world, net_control_coalesce_queue(net, (uint16_t)below(rand, 2 * MAX_PAIRS),
                                                      below(rand, 8), below(rand, 100)));
        note_number(world, net_control_coalesce_get(net, (uint16_t)below(rand, 2 * MAX_PAIRS),
                                                    &max_packets, &max_usecs));
        note_number(world, (int64_t)max_packets << 32 | max_usecs);
        break;
    case 9:
        note_number(world, net_control_hash_tunnel(net, g_rand_int(rand) & 0x1ff));
        break;
    case 10:
        ask_statistics(world);
        break;
    default:
        configure_rss(world, rand);
        break;
    }
}

static void look_at_function(struct world *world)
{
    struct guest_driver *driver = world->machine->driver;

    if (driver->transport->legacy) {
        for (uint32_t at = 0; at < driver->pci.legacy.length; at++) {
            note_number(world, (int64_t)pci_read(&driver->pci, &driver->pci.legacy, at, 1));
        }
    } else {
        for (uint32_t at = 0; at < sizeof(struct virtio_net_config); at++) {
            note_number(world, (int64_t)pci_read(&driver->pci, &driver->pci.device, at, 1));
        }
        for (uint32_t at = 0; at < sizeof(struct virtio_pci_common_cfg); at++) {
            note_number(world, guest_common_read(driver, at, 1));
        }
    }
    for (uint32_t at = 0; at < VIONET_PCI_CONFIG_SIZE; at += 4) {
        note_number(world, vionet_pci_config_read(world->machine->pci, at, 4));
    }
    for (unsigned vector = 0; vector < driver->vectors; vector++) {
        note_number(world, pci_msix_pending(&driver->pci, vector));
        note_number(world, (int64_t)guest_driver_interrupts(driver, vector));
    }
}

/* Registers, then configuration, of which each octet may be read by itself. */
static void look_at_window(struct world *world)
{
    VionetMmio *mmio = world->machine->mmio;

    for (uint64_t at = 0; at < VIONET_MMIO_SIZE; at += 4) {
        note_number(world, (int64_t)vionet_mmio_read(mmio, at, 4));
    }
    for (uint64_t at = VIRTIO_MMIO_CONFIG; at < VIONET_MMIO_SIZE; at++) {
        note_number(world, (int64_t)vionet_mmio_read(mmio, at, 1));
    }
}

static void look(struct world *world)
{
    if (world->machine->mmio) {
        look_at_window(world);
    } else {
        look_at_function(world);
    }
    note_number(world, (int64_t)guest_driver_intx_count(world->machine->driver));
}

/* Where the configuration space is in a legacy driver's bar. */
static uint64_t legacy_config(const struct machine *machine)
{
    return machine->mmio ? VIRTIO_MMIO_CONFIG
                         : VIRTIO_PCI_LEGACY_CONFIG(machine->driver->vectors > 0);
}

/* An octet of the MAC address, which a legacy driver may write there; and the registers that drivers leave at any value. */
static void write_registers(struct world *world, GRand *rand)
{
    struct machine *machine = world->machine;
    const struct guest_access *access = machine->driver->access;
    const uint32_t value = below(rand, 12);

    if (machine->driver->transport->legacy) {
        access->bar_write(access->opaque, 0, legacy_config(machine) + value % 6, 1,
                          below(rand, 256) & 0xfe);
    }
    if (!machine->mmio) {
        guest_common_write(machine->driver, offsetof(struct virtio_pci_common_cfg, queue_select), 2,
                           value);
        return;
    }
    vionet_mmio_write(machine->mmio, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 4, value);
    vionet_mmio_write(machine->mmio, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 4, value + 1);
    vionet_mmio_write(machine->mmio, VIRTIO_MMIO_QUEUE_SEL, 4, value);
    vionet_mmio_write(machine->mmio, VIRTIO_MMIO_QUEUE_ALIGN, 4, value);
}

static void poke(struct world *world, GRand *rand)
{
    struct machine *machine = world->machine;

    switch (below(rand, 6)) {
    case 0:
        vionet_device_set_link(machine->device, once_in(rand, 4));
        vionet_device_set_link(machine->device, true);
        break;
    case 1:
        note_number(world, vionet_device_announce(machine->device));
        if (once_in(rand, 2) && machine->driver->has_control) {
            note_number(world, net_control_announce_ack(machine->net));
        }
        break;
    case 2:
        write_registers(world, rand);
        break;
    case 3:
        if (machine->pci) {
            pci_msix_mask(&machine->driver->pci, below(rand, 4), once_in(rand, 2));
        }
        break;
    case 4:
        machine_advance(machine, below(rand, 200) * UINT64_C(1000));
        break;
    default:
        if (machine->pci) {
            pci_enable(&machine->driver->pci, once_in(rand, 3));
            pci_enable(&machine->driver->pci, true);
        }
        break;
    }
}

/* The driver begins anew, or one of its queues does. */
static void reset(struct world *world, GRand *rand)
{
    struct machine *machine = world->machine;

    if (once_in(rand, 3)) {
        guest_driver_reset(machine->driver);
        give_all_back(world);
        machine_boot(machine, world->wanted);
    } else if (guest_driver_has(machine->driver, VIRTIO_F_RING_RESET)) {
        const unsigned queue = below(rand, 2 * machine->driver->pairs);

        give_all_back(world);
        net_reclaim(machine->net, queue / 2);
        note_number(world, net_reset_queue(machine->net, queue, (uint16_t)(16u << below(rand, 3))));
    }
}

static void step(struct world *world, uint32_t seed)
{
    GRand *rand = g_rand_new_with_seed(seed);
    const unsigned what = below(rand, 100);

    if (what < 30) {
        deliver(world, rand);
    } else if (what < 50) {
        send(world, rand);
    } else if (what < 65) {
        take(world, rand);
    } else if (what < 75) {
        give_back(world, rand);
    } else if (what < 89) {
        command(world, rand);
    } else if (what < 94) {
        look(world);
    } else if (what < 99) {
        poke(world, rand);
    } else {
        reset(world, rand);
    }
    g_rand_free(rand);
}

/* ---- the two ---- */

static void compare_logs(struct world worlds[2])
{
    g_assert_cmpmem(worlds[0].log->data, worlds[0].log->len, worlds[1].log->data,
                    worlds[1].log->len);
    for (unsigned i = 0; i < 2; i++) {
        g_byte_array_set_size(worlds[i].log, 0);
    }
}

/*
 * Guest memory. In order, transmitted buffers may go back with one entry for several, and several they are as
 * they are given back: what is passed over is not the device's to write. What entries there are the drivers
 * have seen, and all else of the rings is theirs.
 */
static void compare_memory(struct world worlds[2])
{
    const struct guest_driver *driver = worlds[0].machine->driver;
    const bool batches = guest_driver_has(driver, VIRTIO_F_IN_ORDER);
    const bool packed = guest_driver_has(driver, VIRTIO_F_RING_PACKED);
    uint8_t *memory[2];

    for (unsigned i = 0; i < 2; i++) {
        memory[i] = guest_ptr(worlds[i].machine->memory, MEMORY_BASE, MEMORY_SIZE);
    }
    for (unsigned q = 1; batches && q < driver->n_queues; q += 2) {
        const struct guest_queue *queue = &driver->queues[q];
        const uint64_t gpa = packed ? queue->area.desc_gpa : queue->area.device_gpa + 4;
        const size_t len = (packed ? 16u : 8u) * (size_t)queue->area_size;

        if (queue
                ->vq) { /* where these differ no word matters any more: the second takes the first's */
            memcpy(memory[1] + (gpa - MEMORY_BASE), memory[0] + (gpa - MEMORY_BASE), len);
        }
    }
    g_assert_cmpmem(memory[0], MEMORY_SIZE, memory[1], MEMORY_SIZE);
}

static GBytes *pause_and_save(struct world *world)
{
    GBytes *state;

    vionet_device_set_paused(world->machine->device, true);
    state = vionet_device_save(world->machine->device, NULL);
    g_assert_nonnull(state);
    vionet_device_set_paused(world->machine->device, false);
    return state;
}

/*
 * One device is replaced; frames that its host had are given back by the new one. The other is paused,
 * with the frames given back before. Timers run out on both sides of it, as they begin anew.
 */
static void change(struct world worlds[2])
{
    GBytes *states[2];

    for (unsigned i = 0; i < 2; i++) {
        machine_advance(worlds[i].machine, UINT64_C(10000000000));
    }
    give_all_back(&worlds[0]);
    vionet_device_set_paused(worlds[0].machine->device, true);
    vionet_device_set_paused(worlds[0].machine->device, false);
    machine_migrate(worlds[1].machine);
    memset(worlds[1].n_out, 0, sizeof(worlds[1].n_out));
    for (unsigned i = 0; i < 2; i++) {
        machine_advance(worlds[i].machine, UINT64_C(10000000000));
        look(&worlds[i]);
        states[i] = pause_and_save(&worlds[i]);
    }
    compare_logs(worlds);
    compare_memory(worlds);
    g_assert_true(g_bytes_equal(states[0], states[1]));
    g_bytes_unref(states[0]);
    g_bytes_unref(states[1]);
}

/* All features, or all but some of those that change how rings and frames look. */
static struct guest_features choose_features(GRand *rand, const struct machine_setup *setup)
{
    static const uint8_t droppable[] = {
        VIRTIO_F_EVENT_IDX,       VIRTIO_F_INDIRECT_DESC,    VIRTIO_F_IN_ORDER,
        VIRTIO_F_RING_PACKED,     VIRTIO_F_RING_PACKED,      VIRTIO_NET_F_RSS,
        VIRTIO_NET_F_HASH_REPORT, VIRTIO_NET_F_MRG_RXBUF,    VIRTIO_NET_F_MQ,
        VIRTIO_NET_F_NOTF_COAL,   VIRTIO_NET_F_VQ_NOTF_COAL, VIRTIO_NET_F_CTRL_VLAN,
    };
    struct guest_features wanted = features_known();
    uint64_t words[VIONET_FEATURE_WORDS];

    for (unsigned i = 0; i < G_N_ELEMENTS(droppable); i++) {
        if (once_in(rand, 3)) {
            features_remove(&wanted, droppable[i]);
        }
    }
    for (unsigned i = 0; i < VIONET_FEATURE_WORDS; i++) {
        words[i] = setup->device.features[i] &
                   (wanted.window[2 * i] | (uint64_t)wanted.window[2 * i + 1] << 32);
    }
    vionet_features_settle(setup->device.dialect, words, NULL);
    for (unsigned i = 0; i < FEATURES_WINDOWS; i++) {
        wanted.window[i] = (uint32_t)(words[i / 2] >> 32 * (i % 2));
    }
    return wanted;
}

static void choose_setup(GRand *rand, struct machine_setup *setup)
{
    unsigned n_dialects = 0;

    machine_setup_init(setup);
    while (vionet_dialect_at(n_dialects)) {
        n_dialects++;
    }
    setup->device.dialect = vionet_dialect_at(below(rand, n_dialects));
    machine_setup_offer_all(setup);
    vionet_features_settle(setup->device.dialect, setup->device.features, NULL);
    setup->device.max_pairs = (uint16_t)(1 + below(rand, MAX_PAIRS));
    setup->device.receive_queue_size = (uint16_t)(32u << below(rand, 3));
    setup->device.transmit_queue_size = (uint16_t)(32u << below(rand, 3));
    setup->device.max_rss_contexts = 4;
    setup->driver.intx = once_in(rand, 4);
    setup->memory_size = MEMORY_SIZE;
    setup->net.receive_buffers = 24;
    setup->net.transmit_buffers = 24;
    setup->net.transmit_size = 2048;
}

/* How many frames passed. */
static unsigned run(enum machine_transport transport, uint32_t seed, unsigned n_steps)
{
    GRand *rand = g_rand_new_with_seed(seed);
    struct world *worlds = g_new0(struct world, 2);
    struct machine_setup setup;
    struct guest_features wanted;
    unsigned n_passed;

    choose_setup(rand, &setup);
    setup.transport = transport;
    wanted = choose_features(rand, &setup);
    for (unsigned i = 0; i < 2; i++) {
        worlds[i].machine = machine_booted(&setup, wanted);
        worlds[i].wanted = wanted;
        worlds[i].log = g_byte_array_new();
    }
    for (unsigned n = 0; n < n_steps; n++) {
        const uint32_t step_seed = g_rand_int(rand);

        step(&worlds[0], step_seed);
        step(&worlds[1], step_seed);
        compare_logs(worlds);
        if (once_in(rand, 8)) {
            change(worlds);
        }
    }
    for (unsigned i = 0; i < 2; i++) {
        machine_finish(worlds[i].machine);
        g_byte_array_unref(worlds[i].log);
    }
    n_passed = worlds[1].n_passed;
    g_free(worlds);
    g_rand_free(rand);
    return n_passed;
}

static const struct row {
    const char *name;
    enum machine_transport transport;
    unsigned n_seeds;
} rows[] = {
    {"/migration/the-driver-cannot-tell", MACHINE_PCI, 40},
    {"/migration/the-driver-cannot-tell/mmio", MACHINE_MMIO, 4},
    {"/migration/the-driver-cannot-tell/pci-legacy", MACHINE_PCI_LEGACY, 4},
    {"/migration/the-driver-cannot-tell/pci-legacy-big", MACHINE_PCI_LEGACY_BIG, 4},
    {"/migration/the-driver-cannot-tell/mmio-legacy", MACHINE_MMIO_LEGACY, 4},
    {"/migration/the-driver-cannot-tell/mmio-legacy-big", MACHINE_MMIO_LEGACY_BIG, 4},
};

static void test_cannot_tell(gconstpointer data)
{
    const struct row *row = data;

    unsigned n_passed = 0;

    for (uint32_t seed = 1; seed <= row->n_seeds; seed++) {
        g_test_message("seed %u", seed);
        n_passed += run(row->transport, seed, 400);
    }
    g_test_message("%u frames", n_passed);
    g_assert_cmpuint(n_passed, >, 100 * row->n_seeds);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_add_data_func(rows[i].name, &rows[i], test_cannot_tell);
    }
    return g_test_run();
}
