/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Queues that one device hands over to another: stopping a queue where it stands, going on there, and the
 * dirty log that a migration needs meanwhile (vionet/transport.h, vionet/device.h). What was written is
 * known here by comparing all of guest memory before and after.
 */
#include <string.h>

#include <vionet/spec.h>
#include <vionet/transport.h>

#include "driver/queue.h"
#include "driver/split.h"
#include "machine/machine.h"

#define PAGE 4096u

static const uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5};

static struct machine *boot(const struct net_options *net)
{
    struct machine_setup setup;

    machine_setup_init(&setup);
    setup.kind = MACHINE_MAPPED;
    if (net) {
        setup.net = *net;
    }
    return machine_booted(&setup, features_known());
}

static void deliver(struct machine *machine, const void *data, size_t len)
{
    struct guest_packet packet;

    g_assert_cmpint(machine_deliver(machine, data, len), ==, VIONET_DELIVERED);
    g_assert_true(net_receive(machine->net, &packet));
    g_assert_cmpmem(packet.data, packet.len, data, len);
    net_recycle(machine->net);
}

static void send(struct machine *machine, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        g_assert_true(net_transmit(machine->net, 0, NULL, frame, sizeof(frame)));
        g_assert_cmpuint(machine_drain(machine, 0), ==, 1);
    }
    net_reclaim(machine->net, 0);
}

static uint32_t stop(struct machine *machine, unsigned queue)
{
    uint32_t base = ~0u;

    g_assert_true(vionet_device_stop_queue(machine->device, queue, &base));
    g_assert_false(vionet_device_queue_enabled(machine->device, queue));
    return base;
}

/* ---- Stopping and going on ---- */

static void test_index(void)
{
    struct machine *machine = boot(NULL);
    struct virtq *receive = machine->driver->queues[0].vq;
    struct virtq *transmit = machine->driver->queues[1].vq;

    for (unsigned i = 0; i < 5; i++) {
        deliver(machine, frame, sizeof(frame));
    }
    send(machine, 7);
    g_assert_cmpuint(stop(machine, 0), ==, 5);
    g_assert_cmpuint(stop(machine, 1), ==, 7);
    g_assert_cmpuint(split_read_used_idx(receive), ==, 5);
    g_assert_cmpuint(split_read_used_idx(transmit), ==, 7);
    machine_free(machine);
}

/* Each stop in the middle of traffic, past the end of the ring and of the index. */
static void test_goes_on(void)
{
    struct machine *machine = boot(NULL);
    uint32_t frames = 0;

    while (frames < 66000) {
        for (unsigned i = 0; i < 997; i++) {
            deliver(machine, frame, sizeof(frame));
        }
        send(machine, 997);
        frames += 997;
        for (unsigned queue = 0; queue < 2; queue++) {
            g_assert_cmpuint(stop(machine, queue), ==, frames & 0xffff);
            vionet_device_write_queue_enable(machine->device, queue, 1);
        }
    }
    machine_assert_no_complaints(machine);
    machine_free(machine);
}

/* What the driver added while the queue was stopped is found without a notification. */
static void test_finds_what_came(void)
{
    struct machine *machine = boot(NULL);

    send(machine, 3);
    stop(machine, 1);
    g_assert_true(net_transmit(machine->net, 0, NULL, frame, sizeof(frame)));
    g_assert_cmpuint(machine_drain(machine, 0), ==, 0);
    machine->kicks = 0;
    vionet_device_write_queue_enable(machine->device, 1, 1);
    g_assert_cmpuint(machine->kicks, ==, 1);
    g_assert_cmpuint(machine->last_kick, ==, 1);
    g_assert_cmpuint(machine_drain(machine, 0), ==, 1);
    machine_free(machine);
}

static void test_not_with_frames_out(void)
{
    struct machine *machine = boot(NULL);
    uint32_t base = 77;
    VionetFrame out;

    g_assert_true(net_transmit(machine->net, 0, NULL, frame, sizeof(frame)));
    g_assert_cmpuint(vionet_device_transmit(machine->device, 0, &out, 1), ==, 1);
    g_assert_false(vionet_device_stop_queue(machine->device, 1, &base));
    g_assert_cmpuint(base, ==, 77);
    g_assert_true(vionet_device_queue_enabled(machine->device, 1));
    g_assert_true(net_transmit(machine->net, 0, NULL, frame, sizeof(frame)));
    g_assert_cmpuint(machine_drain(machine, 0), ==, 0); /* no more of them */
    vionet_device_complete(machine->device, 0, &out, 1);
    g_assert_cmpuint(net_reclaim(machine->net, 0), ==, 1);
    g_assert_cmpuint(stop(machine, 1), ==, 1);
    vionet_device_write_queue_enable(machine->device, 1, 1);
    g_assert_cmpuint(machine_drain(machine, 0), ==, 1);
    g_assert_false(vionet_device_stop_queue(machine->device, 1000, &base));
    machine_free(machine);
}

/* What was completed during a pause is shown with the stop. */
static void test_paused(void)
{
    struct machine *machine = boot(NULL);
    uint32_t base;
    VionetFrame out;

    g_assert_true(net_transmit(machine->net, 0, NULL, frame, sizeof(frame)));
    g_assert_cmpuint(vionet_device_transmit(machine->device, 0, &out, 1), ==, 1);
    vionet_device_set_dma(machine->device, false);
    g_assert_false(vionet_device_stop_queue(machine->device, 1, &base));
    vionet_device_complete(machine->device, 0, &out, 1);
    g_assert_cmpuint(net_reclaim(machine->net, 0), ==, 0);
    g_assert_cmpuint(stop(machine, 1), ==, 1);
    g_assert_cmpuint(net_reclaim(machine->net, 0), ==, 1);
    vionet_device_set_dma(machine->device, true);
    vionet_device_write_queue_enable(machine->device, 1, 1);
    send(machine, 3);
    g_assert_cmpuint(stop(machine, 1), ==, 4);
    machine_free(machine);
}

/* A second device on the same memory goes on where the first one stopped. */
static VionetDevice *second_device(struct machine *machine)
{
    const VionetHostOps ops = {.size = sizeof(ops)};
    const struct guest_region *regions;
    const unsigned n = guest_memory_regions(machine->memory, &regions);
    VionetConfig config;
    VionetDevice *device;

    vionet_config_init(&config);
    vionet_features_set(config.features, VIRTIO_NET_F_NOTF_COAL, false);
    vionet_features_set(config.features, VIRTIO_NET_F_VQ_NOTF_COAL, false);
    device = vionet_device_new(&config, &ops, NULL, NULL);
    g_assert_nonnull(device);
    for (unsigned i = 0; i < n; i++) {
        g_assert_true(
            vionet_device_map(device, regions[i].gpa, regions[i].host, regions[i].size, 0, NULL));
    }
    return device;
}

static void take_over(VionetDevice *to, VionetDevice *from, unsigned queue)
{
    const uint16_t size = vionet_device_queue_size(from, queue);
    uint32_t base;

    g_assert_true(vionet_device_stop_queue(from, queue, &base));
    vionet_device_write_queue_size(to, queue, size);
    for (unsigned area = 0; area < 3; area++) {
        vionet_device_write_queue_area(to, queue, area,
                                       vionet_device_queue_area(from, queue, area));
    }
    vionet_device_write_queue_base(to, queue, base);
    vionet_device_write_queue_enable(to, queue, 1);
}

static void test_other_device(void)
{
    struct machine *machine = boot(NULL);
    VionetDevice *other = second_device(machine);
    const struct iovec iov = {(void *)frame, sizeof(frame)};
    const VionetFrame in = {.iov = &iov, .n_iov = 1};
    struct guest_packet packet;
    VionetFrame out;

    for (unsigned i = 0; i < 300; i++) {
        deliver(machine, frame, sizeof(frame));
    }
    send(machine, 300);
    for (unsigned window = 0; window < 4; window++) {
        vionet_device_write_driver_features(other, window,
                                            vionet_device_driver_features(machine->device, window));
    }
    vionet_device_write_status(other, 0x0b);
    vionet_device_write_status(other, 0x0f);
    g_assert_cmphex(vionet_device_status(other), ==, 0x0f);
    take_over(other, machine->device, 0);
    take_over(other, machine->device, 1);
    for (unsigned i = 0; i < 300; i++) {
        g_assert_cmpuint(vionet_device_receive(other, 0, &in, 1, NULL, 0), ==, 1);
        g_assert_true(net_receive(machine->net, &packet));
        g_assert_cmpmem(packet.data, packet.len, frame, sizeof(frame));
        net_recycle(machine->net);
        g_assert_true(net_transmit(machine->net, 0, NULL, frame, sizeof(frame)));
        g_assert_cmpuint(vionet_device_transmit(other, 0, &out, 1), ==, 1);
        vionet_device_complete(other, 0, &out, 1);
        g_assert_cmpuint(net_reclaim(machine->net, 0), ==, 1);
    }
    machine_assert_no_complaints(machine);
    vionet_device_free(other);
    machine_free(machine);
}

/* Whoever broke its ring has it stopped all the same, and repairs it. */
static void test_broken_queue(void)
{
    struct machine *machine = boot(NULL);
    struct virtq *transmit = machine->driver->queues[1].vq;

    send(machine, 2);
    split_write_avail_idx(transmit, 0x7000);
    g_assert_cmpuint(machine_drain(machine, 0), ==, 0);
    g_assert_nonnull(machine_violation(machine, VIONET_VIOLATION_AVAIL_JUMP));
    g_assert_cmpuint(stop(machine, 1), ==, 2);
    split_write_avail_idx(transmit, 2);
    vionet_device_write_queue_enable(machine->device, 1, 1);
    send(machine, 2);
    machine_free(machine);
}

/* The base is a register like the others: not of a running queue, gone with a reset. */
static void test_base_register(void)
{
    struct machine *machine = boot(NULL);

    vionet_device_write_queue_base(machine->device, 0, 99);
    g_assert_nonnull(machine_violation(machine, VIONET_VIOLATION_QUEUE_WRITE_ENABLED));
    g_assert_cmpuint(stop(machine, 0), ==, 0);
    vionet_device_write_queue_base(machine->device, 0, 99);
    g_assert_cmpuint(vionet_device_queue_size(machine->device, 0), >, 0);
    g_assert_true(machine_works(machine));
    machine_free(machine);
}

/* ---- Commands executed elsewhere ---- */

static void test_delegated(void)
{
    static const uint8_t other[60] = {2, 0, 0, 0,    0, 9, 2, 0,    0,
                                      0, 0, 1, 0x81, 0, 0, 5, 0x88, 0xb5};
    struct machine *machine = boot(NULL);

    g_assert_cmpint(machine_deliver(machine, other, sizeof(other)), !=, VIONET_DELIVERED);
    vionet_device_delegate_control(machine->device, 1);
    g_assert_cmpint(machine_deliver(machine, other, sizeof(other)), ==, VIONET_DELIVERED);
    vionet_device_delegate_control(machine->device, 0);
    vionet_device_delegate_control(machine->device, 70000);
    g_assert_cmpint(machine_deliver(machine, other, sizeof(other)), ==, VIONET_DELIVERED);
    machine_free(machine);
}

static void test_delegated_pairs(void)
{
    uint8_t udp[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 46};
    struct machine_setup setup;
    struct machine *machine;
    bool used[4] = {false};

    machine_setup_init(&setup);
    setup.kind = MACHINE_MAPPED;
    setup.device.max_pairs = 4;
    vionet_features_set(setup.device.features, VIRTIO_NET_F_MQ, true);
    machine = machine_booted(&setup, features_known());
    vionet_device_delegate_control(machine->device, 3);
    udp[14 + 8] = 64;
    udp[14 + 9] = 17;
    for (unsigned i = 0; i < 64; i++) {
        struct guest_packet packet;

        udp[14 + 21] = (uint8_t)i;
        g_assert_cmpint(machine_deliver(machine, udp, sizeof(udp)), ==, VIONET_DELIVERED);
        g_assert_true(net_receive(machine->net, &packet));
        used[packet.pair] = true;
        net_recycle(machine->net);
    }
    g_assert_true(used[0] && used[1] && used[2]);
    g_assert_false(used[3]);
    machine_free(machine);
}

/* ---- The dirty log ---- */

/* All of guest memory as it was, and the log. */
struct shadow {
    struct machine *machine;
    const struct guest_region *region;
    uint8_t *before;
    uint8_t *bits;
    size_t n_bits;
};

static void shadow_begin(struct shadow *shadow, struct machine *machine)
{
    g_assert_cmpuint(guest_memory_regions(machine->memory, &shadow->region), ==, 1);
    shadow->machine = machine;
    shadow->n_bits = (shadow->region->gpa + shadow->region->size) / PAGE / 8;
    shadow->bits = g_malloc0(shadow->n_bits);
    shadow->before = g_malloc(shadow->region->size);
}

static void shadow_end(struct shadow *shadow)
{
    vionet_device_set_dirty_log(shadow->machine->device, NULL, 0);
    g_free(shadow->bits);
    g_free(shadow->before);
    machine_free(shadow->machine);
}

static void shadow_take(struct shadow *shadow)
{
    memset(shadow->bits, 0, shadow->n_bits);
    memcpy(shadow->before, shadow->region->host, shadow->region->size);
}

static bool is_logged(const struct shadow *shadow, uint64_t page)
{
    return shadow->bits[page / 8] >> page % 8 & 1;
}

/* Each page is noted exactly if an octet of it has changed since. Returns how many have. */
static unsigned shadow_compare(const struct shadow *shadow)
{
    const uint8_t *now = shadow->region->host;
    unsigned n = 0;

    for (uint64_t at = 0; at < shadow->region->size; at += PAGE) {
        const bool changed = memcmp(now + at, shadow->before + at, PAGE) != 0;
        const uint64_t page = (shadow->region->gpa + at) / PAGE;

        if (is_logged(shadow, page) != changed) {
            g_error("page 0x%" G_GINT64_MODIFIER "x: %s", page,
                    changed ? "changed, and is not noted" : "noted, and has not changed");
        }
        n += changed;
    }
    for (uint64_t page = 0; page < shadow->region->gpa / PAGE; page++) {
        g_assert_false(is_logged(shadow, page));
    }
    return n;
}

static void log_rings(struct machine *machine, bool on)
{
    for (unsigned i = 0; i < vionet_device_num_queues(machine->device); i++) {
        vionet_device_write_queue_log(
            machine->device, i, on,
            vionet_device_queue_area(machine->device, i, VIONET_AREA_DEVICE));
    }
}

/* Frames of every length into buffers of several sizes: exactly what changed is noted. */
static void log_traffic(const struct net_options *net, size_t step)
{
    struct machine *machine = boot(net);
    uint8_t *data = g_malloc(65550);
    struct guest_packet packet;
    struct shadow shadow;

    shadow_begin(&shadow, machine);
    vionet_device_set_dirty_log(machine->device, shadow.bits, shadow.n_bits);
    log_rings(machine, true);
    memset(data, 0x33, 65550);
    memset(data, 0xff, 6);
    for (size_t len = 60; len < 65000; len += step) {
        memset(data + 14, (int)(1 + len % 250), len - 14);
        shadow_take(&shadow);
        g_assert_cmpint(machine_deliver(machine, data, len), ==, VIONET_DELIVERED);
        g_assert_cmpuint(shadow_compare(&shadow), >=, len / PAGE + 2);
        g_assert_true(net_receive(machine->net, &packet));
        net_recycle(machine->net);
    }
    g_free(data);
    shadow_end(&shadow);
}

static void test_log_receive(void)
{
    log_traffic(NULL, 7919);
}

static void test_log_mergeable(void)
{
    static const struct net_options small = {.receive_size = 1536, .poison = true};

    log_traffic(&small, 4001);
}

/* A frame behind many buffers of no octets, over the end of a page: what was written, and no more. */
static void test_log_empty_buffers(void)
{
    static const struct net_options hold = {.hold = true};
    struct machine *machine = boot(&hold);
    const uint64_t area = guest_alloc(machine->memory, 3 * PAGE, PAGE);
    struct virtq_segment segments[64];
    uint8_t data[1000];
    struct shadow shadow;

    shadow_begin(&shadow, machine);
    vionet_device_set_dirty_log(machine->device, shadow.bits, shadow.n_bits);
    log_rings(machine, true);
    memset(data, 0xff, sizeof(data));
    for (unsigned place = 0; place < 2; place++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(segments); i++) {
            segments[i] = (struct virtq_segment){area, 0, true};
        }
        segments[place ? 0 : G_N_ELEMENTS(segments) - 1] =
            (struct virtq_segment){area + PAGE - 20, PAGE + 40, true};
        g_assert_true(virtq_add(guest_queue_ring(machine->driver, 0), segments,
                                G_N_ELEMENTS(segments), NULL));
        guest_queue_kick(machine->driver, 0);
        guest_fill(machine->memory, area, 3 * PAGE, 0);
        shadow_take(&shadow);
        g_assert_cmpint(machine_deliver(machine, data, sizeof(data)), ==, VIONET_DELIVERED);
        g_assert_cmpuint(shadow_compare(&shadow), >=, 3); /* the used ring, and both pages */
        g_assert_cmpuint(guest_differs(machine->memory, area + PAGE + 1000, PAGE, 0), ==, PAGE);
    }
    shadow_end(&shadow);
}

/* The used ring alone: transmitted frames are not written to. */
static void test_log_transmit(void)
{
    struct machine *machine = boot(NULL);
    const uint64_t used = vionet_device_queue_area(machine->device, 1, VIONET_AREA_DEVICE);
    struct shadow shadow;

    shadow_begin(&shadow, machine);
    vionet_device_set_dirty_log(machine->device, shadow.bits, shadow.n_bits);
    log_rings(machine, true);
    for (unsigned i = 0; i < 600; i++) {
        g_assert_true(net_transmit(machine->net, 0, NULL, frame, sizeof(frame)));
        shadow_take(&shadow);
        g_assert_cmpuint(machine_drain(machine, 0), ==, 1);
        g_assert_cmpuint(shadow_compare(&shadow), >=, 1);
        g_assert_true(is_logged(&shadow, used / PAGE));
        net_reclaim(machine->net, 0);
    }
    shadow_end(&shadow);
}

/* A command's answer, in the control queue. */
static void test_log_command(void)
{
    struct machine *machine = boot(NULL);
    struct shadow shadow;
    unsigned n = 0;

    shadow_begin(&shadow, machine);
    vionet_device_set_dirty_log(machine->device, shadow.bits, shadow.n_bits);
    log_rings(machine, true);
    shadow_take(&shadow);
    g_assert_cmpint(net_control_vlan_add(machine->net, 7), ==, VIRTIO_NET_OK);
    for (size_t i = 0; i < shadow.n_bits; i++) {
        n += (unsigned)__builtin_popcount(shadow.bits[i]);
    }
    g_assert_cmpuint(n, >=, 2); /* the answer's page, and the ring's; the driver changed others */
    g_assert_cmpuint(n, <=, 3);
    shadow_end(&shadow);
}

/* The address that stands for the ring is its own; buffers are noted without it too. */
static void test_log_ring_elsewhere(void)
{
    struct machine *machine = boot(NULL);
    const uint64_t used = vionet_device_queue_area(machine->device, 0, VIONET_AREA_DEVICE);
    struct guest_packet packet;
    struct shadow shadow;

    shadow_begin(&shadow, machine);
    vionet_device_set_dirty_log(machine->device, shadow.bits, shadow.n_bits);
    shadow_take(&shadow);
    deliver(machine, frame, sizeof(frame));
    g_assert_false(is_logged(&shadow, used / PAGE));
    vionet_device_write_queue_log(machine->device, 0, true, 5 * PAGE);
    shadow_take(&shadow);
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
    g_assert_true(is_logged(&shadow, 5));
    g_assert_false(is_logged(&shadow, used / PAGE));
    g_assert_true(net_receive(machine->net, &packet));
    g_assert_true(is_logged(
        &shadow,
        (shadow.region->gpa + (uint64_t)(packet.data - (uint8_t *)shadow.region->host)) / PAGE));
    net_recycle(machine->net);
    shadow_end(&shadow);
}

/* A log too short for all of memory, and one that is taken away. */
static void test_log_ends(void)
{
    struct machine *machine = boot(NULL);
    struct shadow shadow;
    uint8_t *tight;

    shadow_begin(&shadow, machine);
    tight = g_malloc0(1); /* a sanitizer sees what is written behind it */
    vionet_device_set_dirty_log(machine->device, tight, 1);
    vionet_device_write_queue_log(machine->device, 0, true, UINT64_MAX - 3);
    deliver(machine, frame, sizeof(frame));
    g_assert_cmphex(tight[0], ==, 0);
    vionet_device_write_queue_log(machine->device, 0, true, 2 * PAGE);
    deliver(machine, frame, sizeof(frame));
    g_assert_cmphex(tight[0], ==, 4);
    vionet_device_set_dirty_log(machine->device, NULL, 0);
    g_free(tight);
    deliver(machine, frame, sizeof(frame));
    shadow_take(&shadow);
    vionet_device_set_dirty_log(machine->device, shadow.bits, shadow.n_bits);
    g_assert_true(machine_works(machine)); /* a reset ends the ring's part alone */
    vionet_device_write_queue_log(machine->device, 1000, true, 0);
    g_assert_nonnull(machine_violation(machine, VIONET_VIOLATION_QUEUE_SELECT));
    shadow_end(&shadow);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/handover/index-is-what-was-taken", test_index);
    g_test_add_func("/handover/goes-on-past-the-end-of-the-index", test_goes_on);
    g_test_add_func("/handover/finds-what-came-meanwhile", test_finds_what_came);
    g_test_add_func("/handover/not-with-frames-out", test_not_with_frames_out);
    g_test_add_func("/handover/paused", test_paused);
    g_test_add_func("/handover/to-another-device", test_other_device);
    g_test_add_func("/handover/of-a-broken-queue", test_broken_queue);
    g_test_add_func("/handover/base-is-a-register", test_base_register);
    g_test_add_func("/handover/commands-elsewhere/nothing-is-filtered", test_delegated);
    g_test_add_func("/handover/commands-elsewhere/number-of-pairs", test_delegated_pairs);
    g_test_add_func("/handover/M-07/log/receive", test_log_receive);
    g_test_add_func("/handover/M-07/log/mergeable", test_log_mergeable);
    g_test_add_func("/handover/M-07/log/empty-buffers", test_log_empty_buffers);
    g_test_add_func("/handover/M-07/log/transmit", test_log_transmit);
    g_test_add_func("/handover/M-07/log/command", test_log_command);
    g_test_add_func("/handover/M-07/log/ring-stands-elsewhere", test_log_ring_elsewhere);
    g_test_add_func("/handover/M-07/log/short-and-taken-away", test_log_ends);
    return g_test_run();
}
