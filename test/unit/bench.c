/* SPDX-License-Identifier: BSD-3-Clause */
/* See bench.h. */
#include "bench.h"

#include <glib.h>

static uint32_t bench_config_read(void *opaque, uint32_t offset, unsigned size)
{
    struct bench *bench = opaque;

    return vionet_pci_config_read(vionet_frontend_pci(bench->frontend), offset, size);
}

static void bench_config_write(void *opaque, uint32_t offset, unsigned size, uint32_t value)
{
    struct bench *bench = opaque;

    vionet_pci_config_write(vionet_frontend_pci(bench->frontend), offset, size, value);
}

static uint64_t bench_bar_read(void *opaque, unsigned bar, uint64_t offset, unsigned size)
{
    struct bench *bench = opaque;

    return vionet_pci_bar_read(vionet_frontend_pci(bench->frontend), bar, offset, size);
}

static void bench_bar_write(void *opaque, unsigned bar, uint64_t offset, unsigned size,
                            uint64_t value)
{
    struct bench *bench = opaque;

    vionet_pci_bar_write(vionet_frontend_pci(bench->frontend), bar, offset, size, value);
}

static void bench_msi(void *opaque, unsigned vector, uint64_t address, uint32_t data)
{
    struct bench *bench = opaque;

    (void)address;
    (void)data;
    guest_driver_msi(bench->driver, vector);
    bench->depth++;
    bench->deepest = MAX(bench->deepest, bench->depth);
    if (bench->on_interrupt) {
        bench->on_interrupt(bench);
    }
    bench->depth--;
}

static uint64_t bench_clock_ns(void *opaque)
{
    struct bench *bench = opaque;

    return bench->now_ns;
}

static void bench_timer(void *opaque, unsigned queue, uint64_t deadline_ns)
{
    struct bench *bench = opaque;

    if (queue == 0) {
        bench->deadline_ns = deadline_ns;
    }
}

static void bench_event(void *opaque, const VionetEvent *event)
{
    struct bench *bench = opaque;

    if (bench->on_event) {
        bench->on_event(bench, event);
    }
}

static void bench_wake(void *opaque)
{
    struct bench *bench = opaque;

    bench->wakes++;
}

static void bench_map(struct bench *bench)
{
    const struct guest_region *regions;
    const unsigned n = guest_memory_regions(bench->memory, &regions);

    for (unsigned i = 0; i < n; i++) {
        GError *error = NULL;

        vionet_device_map(vionet_frontend_device(bench->frontend), regions[i].gpa, regions[i].host,
                          regions[i].size, 0, &error);
        g_assert_no_error(error);
    }
}

void bench_realize(struct bench *bench)
{
    GError *error = NULL;

    vionet_frontend_realize(bench->frontend, &error);
    g_assert_no_error(error);
    bench_map(bench);
}

static struct bench *make_bench(const char *properties, const char *backend, bool defers)
{
    const VionetFrontendOps ops = {
        .size = sizeof(ops),
        .msi = bench_msi,
        .clock_ns = bench_clock_ns,
        .timer = bench_timer,
        .event = bench_event,
        .wake = bench_wake,
        .defers = defers,
    };
    struct bench *bench = g_new0(struct bench, 1);
    GError *error = NULL;

    bench->frontend = vionet_frontend_new(properties, backend, &ops, bench, &error);
    g_assert_no_error(error);
    bench->memory = guest_memory_flat(0x100000, 64 << 20);
    g_assert_nonnull(bench->memory);
    bench_realize(bench);
    bench->access = (struct guest_access){
        .opaque = bench,
        .config_read = bench_config_read,
        .config_write = bench_config_write,
        .bar_read = bench_bar_read,
        .bar_write = bench_bar_write,
    };
    return bench;
}

struct bench *bench_new(const char *properties, const char *backend)
{
    return make_bench(properties, backend, false);
}

struct bench *bench_new_deferred(const char *properties, const char *backend)
{
    return make_bench(properties, backend, true);
}

void bench_attach(struct bench *bench)
{
    bench->context = g_main_context_new();
    vionet_frontend_attach(bench->frontend, bench->context);
}

void bench_start(struct bench *bench, const struct net_options *options,
                 struct guest_features without)
{
    if (!bench->driver) {
        bench->driver = guest_driver_new(&bench->access, bench->memory, NULL);
        bench->net = net_new(bench->driver, options);
    }
    g_assert_true(guest_driver_start(bench->driver, features_without(features_known(), without)));
    g_assert_true(net_start(bench->net));
}

struct bench *bench_up(const char *properties, const char *backend,
                       const struct net_options *options)
{
    struct bench *bench = bench_new(properties, backend);

    bench_start(bench, options, features_of(FEATURES_END));
    return bench;
}

struct guest_packet bench_receive(struct bench *bench)
{
    struct guest_packet packet;

    for (unsigned i = 0; !net_receive(bench->net, &packet); i++) {
        g_assert_cmpuint(i, <, 2000);
        if (!g_main_context_iteration(bench->context, FALSE)) {
            g_usleep(1000);
        }
    }
    return packet;
}

void bench_free(struct bench *bench)
{
    if (bench->driver) {
        char *text = complaints_text(guest_driver_complaints(bench->driver));

        g_assert_cmpstr(text, ==, "");
        g_free(text);
    }
    vionet_frontend_free(bench->frontend);
    net_free(bench->net);
    guest_driver_free(bench->driver);
    guest_memory_free(bench->memory);
    if (bench->context) {
        g_assert_false(g_main_context_iteration(bench->context, FALSE));
        g_main_context_unref(bench->context);
    }
    g_free(bench);
}
