/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Statistics for the driver (see stats.h): a table of types, each a list of values, and the walk
 * over what was asked for. Nothing is counted here; queue.h says how that is done.
 */
#include "net/stats.h"

#include "bytes.h"

#include <vionet/spec.h>

#define ENTRY_SIZE sizeof(struct virtio_net_ctrl_queue_stats_entry)
#define HDR_SIZE   sizeof(struct virtio_net_stats_reply_hdr)
#define MAX_VALUES 6

/* What a queue can tell beside its counters. */
enum value {
    VALUE_OVERRUNS = VIONET_N_COUNTERS, /* frames dropped for want of a buffer */
    VALUE_MALFORMED,                    /* and those whose buffer has a length that no frame has */
    VALUE_COMMANDS,                     /* with the one at hand */
    VALUE_COMMANDS_OK,
    VALUE_NEVER, /* how often the device did what it never does */
    N_VALUES
};

/* clang-format off */
static const struct type_row {
    uint8_t type;
    uint8_t kind;        /* enum queue_kind */
    uint8_t n_features;  /* 0: open to all */
    uint8_t features[3]; /* any of them opens the type */
    uint8_t n_values;
    uint8_t values[MAX_VALUES]; /* VIONET_COUNTER_* or enum value, in the order of the wire */
} type_rows[] = {
    {VIRTIO_NET_STATS_TYPE_REPLY_RX_BASIC, QUEUE_RECEIVE, 0, {0}, 6,
     {VIONET_COUNTER_KICKS, VIONET_COUNTER_PACKETS, VIONET_COUNTER_OCTETS,
      VIONET_COUNTER_INTERRUPTS, VIONET_COUNTER_DROPS, VALUE_OVERRUNS}},
    /* The device verifies no checksum, so that it finds none bad. */
    {VIRTIO_NET_STATS_TYPE_REPLY_RX_CSUM, QUEUE_RECEIVE, 1, {VIRTIO_NET_F_GUEST_CSUM}, 4,
     {VIONET_COUNTER_CSUM_VALID, VIONET_COUNTER_CSUM_NEEDS, VIONET_COUNTER_CSUM_NONE,
      VALUE_NEVER}},
    /* It passes large frames on as the host made them: nothing is put together here. */
    {VIRTIO_NET_STATS_TYPE_REPLY_RX_GSO, QUEUE_RECEIVE, 2,
     {VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_TSO6}, 4,
     {VIONET_COUNTER_GSO_PACKETS, VIONET_COUNTER_GSO_OCTETS, VALUE_NEVER, VALUE_NEVER}},
    /* It has no limit of speed. */
    {VIRTIO_NET_STATS_TYPE_REPLY_RX_SPEED, QUEUE_RECEIVE, 0, {0}, 2, {VALUE_NEVER, VALUE_NEVER}},
    {VIRTIO_NET_STATS_TYPE_REPLY_TX_BASIC, QUEUE_TRANSMIT, 0, {0}, 6,
     {VIONET_COUNTER_KICKS, VIONET_COUNTER_PACKETS, VIONET_COUNTER_OCTETS,
      VIONET_COUNTER_INTERRUPTS, VIONET_COUNTER_DROPS, VALUE_MALFORMED}},
    {VIRTIO_NET_STATS_TYPE_REPLY_TX_CSUM, QUEUE_TRANSMIT, 1, {VIRTIO_NET_F_CSUM}, 2,
     {VIONET_COUNTER_CSUM_NONE, VIONET_COUNTER_CSUM_NEEDS}},
    /* Nor is anything cut: all of them leave without segmentation. */
    {VIRTIO_NET_STATS_TYPE_REPLY_TX_GSO, QUEUE_TRANSMIT, 3,
     {VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_HOST_USO}, 6,
     {VIONET_COUNTER_GSO_PACKETS, VIONET_COUNTER_GSO_OCTETS, VALUE_NEVER, VALUE_NEVER,
      VIONET_COUNTER_GSO_PACKETS, VIONET_COUNTER_GSO_OCTETS}},
    {VIRTIO_NET_STATS_TYPE_REPLY_TX_SPEED, QUEUE_TRANSMIT, 0, {0}, 2, {VALUE_NEVER, VALUE_NEVER}},
    {VIRTIO_NET_STATS_TYPE_REPLY_CVQ, QUEUE_CONTROL, 0, {0}, 2,
     {VALUE_COMMANDS, VALUE_COMMANDS_OK}},
};
/* clang-format on */

static bool is_open(const struct view *view, const struct type_row *row)
{
    for (unsigned i = 0; i < row->n_features; i++) {
        if (view_has(view, row->features[i])) {
            return true;
        }
    }
    return row->n_features == 0;
}

/* The open types of queues of a kind, or of all if it is QUEUE_NONE. */
static uint64_t types_of(const struct view *view, enum queue_kind kind)
{
    uint64_t types = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(type_rows); i++) {
        const struct type_row *row = &type_rows[i];

        if ((kind == QUEUE_NONE || row->kind == kind) && is_open(view, row)) {
            types |= UINT64_C(1) << row->type;
        }
    }
    return types;
}

uint64_t stats_types(const struct view *view)
{
    return types_of(view, QUEUE_NONE);
}

static unsigned entry_queue(const uint8_t *entry)
{
    return get_le16(entry);
}

static uint64_t entry_types(const uint8_t *entry)
{
    return get_le64(entry + offsetof(struct virtio_net_ctrl_queue_stats_entry, types_bitmap));
}

bool stats_check(const VionetDevice *device, const uint8_t *entries, size_t n)
{
    const struct view *view = device_view(device);

    for (size_t i = 0; i < n; i++) {
        const uint8_t *entry = entries + i * ENTRY_SIZE;
        const enum queue_kind kind = device_queue_kind(device, entry_queue(entry));

        if (kind == QUEUE_NONE || (entry_types(entry) & ~types_of(view, kind))) {
            return false;
        }
    }
    return true;
}

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* All that a queue can tell, at one moment. */
static void take_values(struct queue *queue, uint64_t values[N_VALUES])
{
    gate_enter(&queue->gate);
    for (unsigned i = 0; i < VIONET_N_COUNTERS; i++) {
        values[i] = load(queue_counter(queue, (VionetCounter)i));
    }
    values[VALUE_OVERRUNS] = load(&queue->verdicts[VIONET_DROP_NO_BUFFER]);
    values[VALUE_MALFORMED] = load(&queue->verdicts[VIONET_DROP_MALFORMED]) +
                              load(&queue->verdicts[VIONET_DROP_RUNT]) +
                              load(&queue->verdicts[VIONET_DROP_OVERSIZE]);
    gate_leave(&queue->gate);
    values[VALUE_COMMANDS_OK] = values[VIONET_COUNTER_COMMANDS_OK] + 1;
    values[VALUE_COMMANDS] = values[VALUE_COMMANDS_OK] + values[VIONET_COUNTER_COMMANDS_ERR];
    values[VALUE_NEVER] = 0;
}

/* One reply; its octets, 0 if there is no room for it. */
static size_t write_reply(const struct type_row *row, unsigned queue, const uint64_t *values,
                          struct iov_cursor *to, uint64_t room)
{
    uint8_t reply[HDR_SIZE + MAX_VALUES * sizeof(le64)] = {row->type};
    const size_t size = HDR_SIZE + row->n_values * sizeof(le64);

    if (room < size) {
        return 0;
    }
    put_le16(reply + offsetof(struct virtio_net_stats_reply_hdr, vq_index), (uint16_t)queue);
    put_le16(reply + offsetof(struct virtio_net_stats_reply_hdr, size), (uint16_t)size);
    for (unsigned i = 0; i < row->n_values; i++) {
        put_le64(reply + HDR_SIZE + i * sizeof(le64), values[row->values[i]]);
    }
    return iov_write(to, reply, size);
}

size_t stats_reply(VionetDevice *device, const uint8_t *entries, size_t n, struct iov_cursor *to,
                   uint64_t room)
{
    size_t written = 0;

    for (size_t i = 0; i < n; i++) {
        const uint8_t *entry = entries + i * ENTRY_SIZE;
        const unsigned queue = entry_queue(entry);
        uint64_t values[N_VALUES];

        take_values(&device->queues[queue], values);
        for (unsigned r = 0; r < G_N_ELEMENTS(type_rows); r++) {
            size_t len;

            if (!(entry_types(entry) >> type_rows[r].type & 1)) {
                continue;
            }
            len = write_reply(&type_rows[r], queue, values, to, room - written);
            if (len == 0) {
                return written;
            }
            written += len;
        }
    }
    return written;
}
