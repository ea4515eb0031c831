/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * False sharing: where a device's memory lies. What the thread of one queue writes for every frame must
 * be in no cache line, nor in the other half of a pair of lines, with what another thread writes, or
 * reads for every frame. The addresses are those of a device in use, so that the heap is looked at too.
 */
#include <glib.h>

#include <vionet/spec.h>

#include "net/device.h"

#define PAIRS 3

/* Who writes a range; of those that nobody writes while frames move, all are READ. */
enum owner { READ, CONTROL, NOTIFIERS = 100, QUEUES = 200, LANES = 300 };

struct range {
    const char *name;
    uintptr_t begin, end;
    unsigned owner;
};

struct ranges {
    unsigned n;
    struct range at[256];
};

static void add(struct ranges *ranges, unsigned owner, const char *name, const void *begin,
                size_t len)
{
    if (begin && len) {
        g_assert_cmpuint(ranges->n, <, G_N_ELEMENTS(ranges->at));
        ranges->at[ranges->n++] =
            (struct range){name, (uintptr_t)begin, (uintptr_t)begin + len, owner};
    }
}

static void add_queue(struct ranges *ranges, struct queue *queue)
{
    const unsigned owner = QUEUES + queue->index;
    const size_t n = queue->max_size;

    add(ranges, owner, "queue", queue, offsetof(struct queue, kicks));
    add(ranges, NOTIFIERS + queue->index, "kicks", &queue->kicks, sizeof(queue->kicks));
    add(ranges, owner, "turns", queue->ring.turns, (n + 1) * sizeof(struct ring_turn));
    add(ranges, owner, "unseen", queue->ring.unseen, n * sizeof(struct ring_used));
    add(ranges, owner, "taken", queue->ring.taken, n * sizeof(bool));
    add(ranges, owner, "ranges", queue->ranges,
        2 * (size_t)queue->chain.max * sizeof(struct iovec));
    add(ranges, owner, "several", queue->several,
        queue->several ? n * sizeof(struct ring_used) : 0);
    add(ranges, owner, "slot ranges", queue->slot_ranges,
        queue->n_slots * SLOT_RANGES * sizeof(struct iovec));
    add(ranges, owner, "slots", queue->slots, queue->n_slots * sizeof(struct slot));
    add(ranges, owner, "free slots", queue->free_slots, queue->n_slots * sizeof(uint16_t));
    add(ranges, owner, "large ranges", queue->large_ranges,
        queue->n_slots ? N_LARGE_SLOTS * (size_t)queue->chain.max * sizeof(struct iovec) : 0);
}

static void add_device(struct ranges *ranges, VionetDevice *device)
{
    g_assert(device != NULL);
    add(ranges, READ, "device", device, offsetof(VionetDevice, violations));
    add(ranges, READ, "view", device_view(device), sizeof(struct view));
    add(ranges, READ, "flows", device->flows, sizeof(*device->flows));
    add(ranges, CONTROL, "the control side's", device->violations,
        sizeof(*device) - offsetof(VionetDevice, violations));
    for (unsigned i = 0; i < device->n_queues; i++) {
        add_queue(ranges, &device->queues[i]);
    }
    for (unsigned i = 0; i < PAIRS; i++) {
        add(ranges, LANES + i, "lane", &device->lanes[i], sizeof(struct lane));
        add(ranges, LANES + i, "scratch", device->lanes[i].scratch, VIONET_MAX_FRAME);
    }
}

/* Whether two ranges touch one pair of lines. */
static bool meet(const struct range *a, const struct range *b)
{
    return a->begin / LINE_PAIR <= (b->end - 1) / LINE_PAIR &&
           b->begin / LINE_PAIR <= (a->end - 1) / LINE_PAIR;
}

static void require_apart(const struct ranges *ranges)
{
    for (unsigned i = 0; i < ranges->n; i++) {
        for (unsigned j = i + 1; j < ranges->n; j++) {
            const struct range *a = &ranges->at[i], *b = &ranges->at[j];

            if (a->owner != b->owner && meet(a, b)) {
                g_test_message("%s of %u and %s of %u share lines", a->name, a->owner, b->name,
                               b->owner);
                g_test_fail();
            }
        }
    }
}

/* Sizes that are no multiple of a line's, so that luck does not do it. */
static VionetDevice *device_new(uint16_t size)
{
    const VionetHostOps ops = {.size = sizeof(ops)};
    VionetDevice *device;
    VionetConfig config;

    vionet_config_init(&config);
    vionet_features_set(config.features, VIRTIO_NET_F_MQ, true);
    vionet_features_set(config.features, VIRTIO_F_RING_PACKED, true);
    config.max_pairs = PAIRS;
    config.receive_queue_size = config.transmit_queue_size = config.control_queue_size = size;
    device = vionet_device_new(&config, &ops, NULL, NULL);
    g_assert_nonnull(device);
    return device;
}

static void test_apart(gconstpointer data)
{
    VionetDevice *devices[2] = {device_new((uint16_t)GPOINTER_TO_UINT(data)), device_new(2)};

    for (unsigned i = 0; i < 2; i++) {
        struct ranges ranges = {0};

        vionet_device_set_link(devices[i], false); /* publishes a view that is a copy */
        add_device(&ranges, devices[i]);
        require_apart(&ranges);
    }
    for (unsigned i = 0; i < 2; i++) {
        vionet_device_free(devices[i]);
    }
}

/* The gate's word is alone in its line: others pass it while its holder works. */
static void test_gates(void)
{
    g_assert_cmpuint(sizeof(struct gate), ==, CACHE_LINE);
    g_assert_cmpuint(offsetof(struct queue, live), >=, CACHE_LINE);
    g_assert_cmpuint(offsetof(struct lane, scratch), >=, CACHE_LINE);
}

int main(int argc, char **argv)
{
    static const unsigned sizes[] = {2, 8, 64, 256, 1024};

    g_test_init(&argc, &argv, NULL);
    g_test_set_nonfatal_assertions();
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        char *path = g_strdup_printf("/lines/apart/%u", sizes[i]);

        g_test_add_data_func(path, GUINT_TO_POINTER(sizes[i]), test_apart);
        g_free(path);
    }
    g_test_add_func("/lines/gates", test_gates);
    return g_test_run();
}
