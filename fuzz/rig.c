/* SPDX-License-Identifier: BSD-3-Clause */
/* See rig.h. */
#include "rig.h"

#include <stdlib.h>
#include <string.h>

#include "reach.h"

/* ---- memory ---- */

static const struct rig_region layout[RIG_REGIONS] = {
    {.gpa = RIG_BASE, .size = 0x8000},
    {.gpa = RIG_BASE + 0x8000, .size = 0x4000},
    {.gpa = RIG_READONLY, .size = 0x1000, .flags = VIONET_MAP_READONLY},
    {.gpa = RIG_TOP, .size = 0x2000},
};

/* One block for each region, so that running past one is noticed; kept from input to input. */
static void take_memory(struct rig *rig)
{
    static uint8_t *blocks[RIG_REGIONS];
    static uint8_t *shadows[RIG_REGIONS];

    for (unsigned i = 0; i < RIG_REGIONS; i++) {
        struct rig_region *region = &rig->regions[i];

        if (!blocks[i]) {
            blocks[i] = malloc(layout[i].size);
            shadows[i] = malloc(layout[i].size);
        }
        *region = layout[i];
        region->host = blocks[i];
        region->shadow = shadows[i];
        memset(region->host, 0, region->size);
        memset(region->shadow, 0, region->size);
    }
}

static struct rig_region *region_of(const struct rig *rig, uint64_t gpa)
{
    struct rig_region *regions = (struct rig_region *)rig->regions;

    if (gpa - RIG_BASE < 0xc000) {
        return gpa - RIG_BASE < 0x8000 ? &regions[0] : &regions[1];
    }
    if (gpa >= RIG_TOP) {
        return &regions[3];
    }
    return gpa - RIG_READONLY < 0x1000 ? &regions[2] : NULL;
}

/* The octets of [gpa, gpa + n) in the region of gpa; 0 if there is none. */
static uint64_t here(const struct rig_region *region, uint64_t gpa, uint64_t n)
{
    const uint64_t left = region ? region->size - (gpa - region->gpa) : 0;

    return n < left ? n : left;
}

/* A packed ring that the guest stores over is another ring, and no more; what is the device's own is not. */
static void note_spoiled(struct rig *rig, uint64_t gpa, size_t n)
{
    const bool packed = rig_has(rig, VIRTIO_F_RING_PACKED);

    for (unsigned i = 0; i < rig->n_queues; i++) {
        const struct rig_queue *q = &rig->queues[i];
        const uint64_t used = q->area[VIONET_AREA_DEVICE];
        const uint32_t len = packed ? PVIRTQ_EVENT_SIZE : VIRTQ_USED_SIZE(q->size);

        if (q->size && (used <= gpa ? gpa - used < len : used - gpa < n)) {
            rig->spoiled = true;
        }
    }
}

void rig_store(struct rig *rig, uint64_t gpa, const void *from, size_t n)
{
    const uint8_t *octets = from;

    if (rig->odd) {
        note_spoiled(rig, gpa, n);
    }
    while (n) {
        struct rig_region *region = region_of(rig, gpa);
        const uint64_t part = here(region, gpa, n);

        if (!part) {
            return;
        }
        memcpy(region->host + (gpa - region->gpa), octets, part);
        memcpy(region->shadow + (gpa - region->gpa), octets, part);
        octets += part;
        gpa += part;
        n -= part;
    }
}

void rig_load(const struct rig *rig, uint64_t gpa, void *to, size_t n)
{
    uint8_t *octets = to;

    while (n) {
        const struct rig_region *region = region_of(rig, gpa);
        const uint64_t part = here(region, gpa, n);

        if (!part) {
            memset(octets, 0, n);
            return;
        }
        memcpy(octets, region->shadow + (gpa - region->gpa), part);
        octets += part;
        gpa += part;
        n -= part;
    }
}

void rig_store64(struct rig *rig, uint64_t gpa, uint64_t value)
{
    uint8_t octets[8];

    for (unsigned i = 0; i < 8; i++) {
        octets[i] = (uint8_t)(value >> 8 * i);
    }
    rig_store(rig, gpa, octets, 8);
}

void rig_store32(struct rig *rig, uint64_t gpa, uint32_t value)
{
    const uint8_t octets[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16),
                               (uint8_t)(value >> 24)};

    rig_store(rig, gpa, octets, 4);
}

void rig_store16(struct rig *rig, uint64_t gpa, uint16_t value)
{
    const uint8_t octets[2] = {(uint8_t)value, (uint8_t)(value >> 8)};

    rig_store(rig, gpa, octets, 2);
}

uint64_t rig_load64(const struct rig *rig, uint64_t gpa)
{
    uint8_t octets[8];
    uint64_t value = 0;

    rig_load(rig, gpa, octets, 8);
    for (unsigned i = 8; i-- > 0;) {
        value = value << 8 | octets[i];
    }
    return value;
}

uint32_t rig_load32(const struct rig *rig, uint64_t gpa)
{
    uint8_t octets[4];

    rig_load(rig, gpa, octets, 4);
    return octets[0] | octets[1] << 8 | octets[2] << 16 | (uint32_t)octets[3] << 24;
}

uint16_t rig_load16(const struct rig *rig, uint64_t gpa)
{
    uint8_t octets[2];

    rig_load(rig, gpa, octets, 2);
    return (uint16_t)(octets[0] | octets[1] << 8);
}

bool rig_reachable(const struct rig *rig, uint64_t gpa, uint64_t n, bool write)
{
    while (n) {
        const struct rig_region *region = region_of(rig, gpa);
        const uint64_t part = here(region, gpa, n);

        if (!part || !region->mapped || (write && (region->flags & VIONET_MAP_READONLY))) {
            return false;
        }
        n -= part;
        if (n && gpa > UINT64_MAX - part) {
            return false;
        }
        gpa += part;
    }
    return true;
}

const uint8_t *rig_host(const struct rig *rig, uint64_t gpa)
{
    const struct rig_region *region = region_of(rig, gpa);

    return region ? region->host + (gpa - region->gpa) : NULL;
}

uint64_t rig_run(const struct rig *rig, uint64_t gpa)
{
    return here(region_of(rig, gpa), gpa, UINT64_MAX);
}

void rig_allow(struct rig *rig, uint64_t gpa, uint64_t n)
{
    while (n) {
        struct rig_region *region = region_of(rig, gpa);
        const uint64_t part = here(region, gpa, n);

        if (!part) {
            return;
        }
        if (region->mapped && !(region->flags & VIONET_MAP_READONLY)) {
            memcpy(region->shadow + (gpa - region->gpa), region->host + (gpa - region->gpa), part);
        }
        n -= part;
        if (gpa > UINT64_MAX - part) {
            return;
        }
        gpa += part;
    }
}

void rig_allow_all(struct rig *rig)
{
    for (unsigned i = 0; i < RIG_REGIONS; i++) {
        rig_allow(rig, rig->regions[i].gpa, rig->regions[i].size);
    }
}

static uint64_t first_difference(const struct rig_region *region)
{
    uint64_t i = 0;

    while (region->host[i] == region->shadow[i]) {
        i++;
    }
    return i;
}

bool rig_changed(const struct rig *rig)
{
    for (unsigned i = 0; i < RIG_REGIONS; i++) {
        if (memcmp(rig->regions[i].host, rig->regions[i].shadow, rig->regions[i].size) != 0) {
            return true;
        }
    }
    return false;
}

void rig_require_unchanged(const struct rig *rig, const char *after)
{
    for (unsigned i = 0; i < RIG_REGIONS; i++) {
        const struct rig_region *region = &rig->regions[i];

        if (memcmp(region->host, region->shadow, region->size) != 0) {
            FUZZ_REQUIRE(false, "after %s: the device has written at 0x%llx", after,
                         (unsigned long long)(region->gpa + first_difference(region)));
        }
    }
}

/* ---- host operations ---- */

static void host_interrupt(void *opaque, unsigned queue)
{
    struct rig *rig = opaque;

    if (queue == VIONET_CONFIG_CHANGE) {
        rig->config_interrupts++;
        return;
    }
    FUZZ_REQUIRE(queue < rig->n_queues, "interrupt of queue %u", queue);
    rig->interrupts[queue]++;
}

static void host_kick(void *opaque, unsigned queue)
{
    struct rig *rig = opaque;

    FUZZ_REQUIRE(queue < rig->n_queues, "kick of queue %u", queue);
    rig->kicks[queue]++;
}

static void host_event(void *opaque, const VionetEvent *event)
{
    struct rig *rig = opaque;
    char sentence[256];

    vionet_event_describe(event, sentence, sizeof(sentence));
    FUZZ_REQUIRE(sentence[0], "event %d has no sentence", event->kind);
    if (event->kind != VIONET_EVENT_VIOLATION || event->queue >= rig->n_queues ||
        !vionet_violation_info(event->violation)->fatal) {
        return;
    }
    FUZZ_REQUIRE(!rig->faulted[event->queue], "queue %u broke twice: %s", event->queue, sentence);
    rig->faulted[event->queue] = true;
    rig->fault[event->queue] = event->violation;
}

static uint64_t host_clock(void *opaque)
{
    return ((struct rig *)opaque)->now_ns;
}

static void host_timer(void *opaque, unsigned queue, uint64_t deadline_ns)
{
    struct rig *rig = opaque;

    FUZZ_REQUIRE(queue < rig->n_queues, "timer of queue %u", queue);
    rig->deadline_ns[queue] = deadline_ns;
}

/* ---- life ---- */

static void offer_all(VionetConfig *config, const VionetDialect *dialect)
{
    const VionetFeature *feature;

    vionet_config_init(config);
    config->dialect = dialect;
    config->tunnel_types = dialect->all_types;
    config->receive_queue_size = RIG_MAX_SIZE;
    config->transmit_queue_size = RIG_MAX_SIZE;
    config->control_queue_size = RIG_MAX_SIZE;
    memset(config->features, 0, sizeof(config->features));
    for (unsigned i = 0; (feature = vionet_feature_at(dialect, i)) != NULL; i++) {
        vionet_features_set(config->features, feature->bit, true);
    }
}

void rig_config(VionetConfig *config, const VionetDialect *dialect, unsigned pairs)
{
    static VionetConfig last; /* making one takes as long as a short run */

    if (last.dialect != dialect) {
        offer_all(&last, dialect);
    }
    *config = last;
    config->max_pairs = (uint16_t)pairs;
}

static void map_region(struct rig *rig, struct rig_region *region)
{
    FUZZ_REQUIRE(vionet_device_map(rig->device, region->gpa, region->host, region->size,
                                   region->flags, NULL),
                 "region at 0x%llx is not mapped", (unsigned long long)region->gpa);
    region->mapped = true;
}

void rig_init(struct rig *rig, const VionetConfig *config)
{
    const VionetHostOps host = {
        .size = sizeof(host),
        .interrupt = host_interrupt,
        .kick = host_kick,
        .event = host_event,
        .clock_ns = host_clock,
        .timer = host_timer,
    };
    GError *error = NULL;

    memset(rig, 0, sizeof(*rig));
    rig->n_queues = 2u * config->max_pairs + 1;
    rig->buffer = RIG_BUFFERS;
    rig->now_ns = 1;
    take_memory(rig);
    rig->device = vionet_device_new(config, &host, rig, &error);
    FUZZ_REQUIRE(rig->device, "no device: %s", error->message);
    for (unsigned i = 0; i < RIG_REGIONS; i++) {
        map_region(rig, &rig->regions[i]);
    }
}

void rig_end(struct rig *rig)
{
    reach_violations(rig->device);
    vionet_device_free(rig->device);
    rig->device = NULL;
}

/* ---- the network ---- */

size_t rig_deliver(struct rig *rig, uint8_t how)
{
    uint8_t octets[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 0, 0x45};
    const struct iovec piece = {octets, sizeof(octets)};
    VionetFrame frames[4];

    for (unsigned i = 0; i < 4; i++) {
        frames[i] = (VionetFrame){.iov = &piece, .n_iov = 1};
    }
    return vionet_device_receive(rig->device, 0, frames, 1 + (how & 3), NULL, 0);
}

size_t rig_transmit(struct rig *rig, uint8_t how, unsigned most)
{
    struct rig_outs *outs = &rig->outs;
    const unsigned pair = how % RIG_MAX_PAIRS;
    size_t n;

    if (outs->n + 8 > most || (how & 0x80)) {
        rig_give_back(rig);
    }
    n = vionet_device_transmit(rig->device, pair, &outs->frames[outs->n], 8);
    for (size_t i = 0; i < n; i++) {
        outs->pairs[outs->n++] = pair;
    }
    if (how & 0x40) {
        rig_give_back(rig);
    }
    return n;
}

void rig_give_back(struct rig *rig)
{
    struct rig_outs *outs = &rig->outs;

    for (unsigned i = 0; i < outs->n; i++) {
        vionet_device_complete(rig->device, outs->pairs[i], &outs->frames[i], 1);
    }
    outs->n = 0;
}

/* ---- the driver's registers ---- */

/* Memory that a driver of manners would zero before it enables a queue. */
static void zero_rings(struct rig *rig)
{
    static const uint8_t zero[RIG_MAX_QUEUES * RIG_RING_SPACE];

    rig_store(rig, RIG_BASE, zero, sizeof(zero));
}

void rig_reset(struct rig *rig)
{
    vionet_device_write_status(rig->device, 0);
    FUZZ_REQUIRE(vionet_device_status(rig->device) == 0, "status after reset");
    memset(rig->queues, 0, sizeof(rig->queues));
    memset(rig->faulted, 0, sizeof(rig->faulted));
    memset(rig->accepted, 0, sizeof(rig->accepted));
    rig->odd = rig->spoiled = false;
    zero_rings(rig);
}

/* 5.1.3.1: what a feature requires, any of them; those that others require come first. */
static const struct {
    uint8_t bit;
    uint8_t any_of[2];
} requirements[] = {
    {VIRTIO_NET_F_CTRL_RX, {VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_CTRL_VQ}},
    {VIRTIO_NET_F_CTRL_VLAN, {VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_CTRL_VQ}},
    {VIRTIO_NET_F_GUEST_ANNOUNCE, {VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_CTRL_VQ}},
    {VIRTIO_NET_F_MQ, {VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_CTRL_VQ}},
    {VIRTIO_NET_F_CTRL_MAC_ADDR, {VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_CTRL_VQ}},
    {VIRTIO_NET_F_RSS, {VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_CTRL_VQ}},
    {VIRTIO_NET_F_NOTF_COAL, {VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_CTRL_VQ}},
    {VIRTIO_NET_F_VQ_NOTF_COAL, {VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_CTRL_VQ}},
    {VIRTIO_NET_F_HASH_TUNNEL, {VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_CTRL_VQ}},
    {VIRTIO_NET_F_HASH_TUNNEL, {VIRTIO_NET_F_RSS, VIRTIO_NET_F_HASH_REPORT}},
    {VIRTIO_NET_F_DEVICE_STATS, {VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_CTRL_VQ}},
    {VIRTIO_NET_F_RSS_CONTEXT, {VIRTIO_NET_F_RSS, VIRTIO_NET_F_RSS}},
    {VIRTIO_NET_F_GUEST_TSO4, {VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_GUEST_CSUM}},
    {VIRTIO_NET_F_GUEST_TSO6, {VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_GUEST_CSUM}},
    {VIRTIO_NET_F_GUEST_ECN, {VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_TSO6}},
    {VIRTIO_NET_F_GUEST_UFO, {VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_GUEST_CSUM}},
    {VIRTIO_NET_F_GUEST_USO4, {VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_GUEST_CSUM}},
    {VIRTIO_NET_F_GUEST_USO6, {VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_GUEST_CSUM}},
    {VIRTIO_NET_F_HOST_TSO4, {VIRTIO_NET_F_CSUM, VIRTIO_NET_F_CSUM}},
    {VIRTIO_NET_F_HOST_TSO6, {VIRTIO_NET_F_CSUM, VIRTIO_NET_F_CSUM}},
    {VIRTIO_NET_F_HOST_ECN, {VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_HOST_TSO6}},
    {VIRTIO_NET_F_HOST_UFO, {VIRTIO_NET_F_CSUM, VIRTIO_NET_F_CSUM}},
    {VIRTIO_NET_F_HOST_USO, {VIRTIO_NET_F_CSUM, VIRTIO_NET_F_CSUM}},
    {VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO, {VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_TSO4}},
    {VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO, {VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_GUEST_TSO6}},
    {VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO, {VIRTIO_NET_F_GUEST_USO4, VIRTIO_NET_F_GUEST_USO4}},
    {VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO, {VIRTIO_NET_F_GUEST_USO6, VIRTIO_NET_F_GUEST_USO6}},
    {VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO_CSUM,
     {VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO, VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO}},
    {VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO, {VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_HOST_TSO4}},
    {VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO, {VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_HOST_TSO6}},
    {VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO, {VIRTIO_NET_F_HOST_USO, VIRTIO_NET_F_HOST_USO}},
    {VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO_CSUM,
     {VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO, VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO}},
};

void rig_sound_features(uint64_t *features)
{
    for (size_t i = 0; i < sizeof(requirements) / sizeof(requirements[0]); i++) {
        if (!vionet_features_test(features, requirements[i].any_of[0]) &&
            !vionet_features_test(features, requirements[i].any_of[1])) {
            vionet_features_set(features, requirements[i].bit, false);
        }
    }
}

bool rig_negotiate(struct rig *rig, const uint64_t *features)
{
    vionet_device_write_status(rig->device, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
    for (uint32_t window = 0; window < 2 * VIONET_FEATURE_WORDS; window++) {
        vionet_device_write_driver_features(rig->device, window,
                                            (uint32_t)(features[window / 2] >> 32 * (window % 2)));
    }
    vionet_device_write_status(rig->device, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER |
                                                VIRTIO_STATUS_FEATURES_OK);
    if (!(vionet_device_status(rig->device) & VIRTIO_STATUS_FEATURES_OK)) {
        return false;
    }
    memcpy(rig->accepted, features, sizeof(rig->accepted));
    return true;
}

void rig_place(struct rig *rig, unsigned queue, uint16_t size)
{
    const uint64_t at = RIG_BASE + (uint64_t)queue * RIG_RING_SPACE;

    rig->queues[queue] = (struct rig_queue){
        .size = size,
        .area = {at, at + VIRTQ_DESC_TABLE_SIZE(RIG_MAX_SIZE),
                 at + VIRTQ_DESC_TABLE_SIZE(RIG_MAX_SIZE) + 160},
        .table = queue,
    };
}

void rig_enable(struct rig *rig, unsigned queue)
{
    const struct rig_queue *q = &rig->queues[queue];

    vionet_device_write_queue_size(rig->device, queue, q->size);
    for (unsigned area = 0; area < 3; area++) {
        vionet_device_write_queue_area(rig->device, queue, (VionetQueueArea)area, q->area[area]);
    }
    vionet_device_write_queue_enable(rig->device, queue, 1);
}

unsigned rig_control(const struct rig *rig)
{
    if (!rig_has(rig, VIRTIO_NET_F_CTRL_VQ)) {
        return RIG_MAX_QUEUES;
    }
    return rig_has(rig, VIRTIO_NET_F_MQ) || rig_has(rig, VIRTIO_NET_F_RSS) ? rig->n_queues - 1 : 2;
}

void rig_run_all(struct rig *rig, uint16_t size)
{
    for (unsigned i = 0; i < rig->n_queues; i++) {
        if (vionet_device_queue_size(rig->device, i)) {
            rig_place(rig, i, size);
            rig_enable(rig, i);
        }
    }
    vionet_device_write_status(rig->device,
                               vionet_device_status(rig->device) | VIRTIO_STATUS_DRIVER_OK);
}

/* ---- posting ---- */

uint64_t rig_buffer(struct rig *rig, uint32_t len)
{
    uint64_t gpa = rig->buffer;

    if (len > RIG_BUFFERS_END - gpa) {
        gpa = RIG_BUFFERS;
    }
    rig->buffer = len > RIG_BUFFERS_END - gpa ? RIG_BUFFERS : gpa + len;
    return gpa;
}

void rig_store_desc(struct rig *rig, uint64_t at, uint64_t gpa, uint32_t len, uint16_t flags,
                    uint16_t next)
{
    rig_store64(rig, at, gpa);
    rig_store32(rig, at + 8, len);
    rig_store16(rig, at + 12, flags);
    rig_store16(rig, at + 14, next);
}

void rig_offer(struct rig *rig, unsigned queue, uint16_t head)
{
    struct rig_queue *q = &rig->queues[queue];

    rig_store16(rig, q->area[VIONET_AREA_DRIVER] + 4 + 2u * (q->posted & (q->size - 1u)), head);
    q->posted++;
}

void rig_publish(struct rig *rig, unsigned queue)
{
    const struct rig_queue *q = &rig->queues[queue];

    if (!rig_has(rig, VIRTIO_F_RING_PACKED)) {
        rig_store16(rig, q->area[VIONET_AREA_DRIVER] + 2, q->posted);
    }
}

/* ---- packed ---- */

/* Places run through 16 bits, further than any program comes. */
static uint64_t packed_desc(const struct rig_queue *q, uint16_t place)
{
    return q->area[VIONET_AREA_DESC] + 16u * (place % q->size);
}

static bool packed_wrap(const struct rig_queue *q, uint16_t place)
{
    return !(place / q->size & 1);
}

void rig_store_packed(struct rig *rig, unsigned queue, uint64_t gpa, uint32_t len, uint16_t id,
                      uint16_t flags)
{
    struct rig_queue *q = &rig->queues[queue];
    const uint16_t bit = packed_wrap(q, q->next) ? VIRTQ_DESC_F_AVAIL : VIRTQ_DESC_F_USED;

    rig_store_desc(rig, packed_desc(q, q->next++), gpa, len, id, flags ^ bit);
}

/* A list's id is its last descriptor's; what stands in the others means nothing. */
static void packed_store(struct rig *rig, const struct rig_queue *q, unsigned i,
                         const struct rig_piece *piece, uint16_t flags)
{
    const uint16_t place = (uint16_t)(q->next + i);
    const uint16_t bit = packed_wrap(q, place) ? VIRTQ_DESC_F_AVAIL : VIRTQ_DESC_F_USED;
    const uint16_t id = q->next % q->size;

    rig_store_desc(rig, packed_desc(q, place), piece->gpa, piece->len,
                   flags & VIRTQ_DESC_F_NEXT ? (uint16_t)~id : id,
                   (piece->writable ? VIRTQ_DESC_F_WRITE : 0) | flags | bit);
}

static uint16_t packed_post(struct rig *rig, struct rig_queue *q, const struct rig_piece *pieces,
                            unsigned n, uint64_t table)
{
    const uint16_t head = q->next % q->size;
    const struct rig_piece whole = {table, 16 * n, false};

    for (unsigned i = 0; table && i < n; i++) {
        rig_store_desc(rig, table + 16u * i, pieces[i].gpa, pieces[i].len, 0,
                       pieces[i].writable ? VIRTQ_DESC_F_WRITE : 0);
    }
    if (table) {
        packed_store(rig, q, 0, &whole, VIRTQ_DESC_F_INDIRECT);
        n = 1;
    }
    for (unsigned i = n; !table && i-- > 0;) {
        packed_store(rig, q, i, &pieces[i], i + 1 < n ? VIRTQ_DESC_F_NEXT : 0);
    }
    q->entries[head] = (uint8_t)n;
    q->next = (uint16_t)(q->next + n);
    return head;
}

static bool packed_next_used(struct rig *rig, struct rig_queue *q, uint32_t *head, uint32_t *len)
{
    const uint64_t desc = packed_desc(q, q->used);
    const uint16_t bits = VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED;
    const uint16_t wanted = packed_wrap(q, q->used) ? bits : 0;

    const uint64_t before = rig_load64(rig, desc + 8);

    rig_allow(rig, q->area[VIONET_AREA_DEVICE], PVIRTQ_EVENT_SIZE);
    if (q->used == q->next) {
        return false;
    }
    rig_allow(rig, desc + 8, 8);
    if ((rig_load16(rig, desc + 14) & bits) != wanted) {
        FUZZ_REQUIRE(rig_load64(rig, desc + 8) == before, "a descriptor is half used");
        return false;
    }
    *len = rig_load32(rig, desc + 8);
    *head = rig_load16(rig, desc + 12);
    FUZZ_REQUIRE(*head < q->size, "a buffer is used that has the id %u", *head);
    FUZZ_REQUIRE(rig_load16(rig, desc + 14) == (wanted | (*len ? VIRTQ_DESC_F_WRITE : 0)),
                 "a used descriptor has flags 0x%x", rig_load16(rig, desc + 14));
    q->used = (uint16_t)(q->used + q->entries[*head]);
    return true;
}

bool rig_next_used(struct rig *rig, unsigned queue, uint32_t *head, uint32_t *len)
{
    struct rig_queue *q = &rig->queues[queue];
    const uint64_t used = q->area[VIONET_AREA_DEVICE];
    const uint64_t element = used + 4 + 8u * (q->used & (q->size - 1u));

    if (rig_has(rig, VIRTIO_F_RING_PACKED)) {
        return packed_next_used(rig, q, head, len);
    }
    rig_allow(rig, used, VIRTQ_USED_SIZE(q->size));
    if (rig_load16(rig, used + 2) == q->used) {
        return false;
    }
    *head = rig_load32(rig, element);
    *len = rig_load32(rig, element + 4);
    q->used++;
    return true;
}

/* Entry i of n, in the descriptor table from q->next on, or in a table. */
static void store_piece(struct rig *rig, const struct rig_queue *q, uint64_t table,
                        const struct rig_piece *piece, unsigned i, unsigned n)
{
    const uint16_t mask = q->size - 1;
    const uint16_t at = table ? (uint16_t)i : (q->next + i) & mask;
    const uint16_t next = table ? (uint16_t)(i + 1) : (q->next + i + 1) & mask;
    const uint16_t flags = (uint16_t)((piece->writable ? VIRTQ_DESC_F_WRITE : 0) |
                                      (i + 1 < n ? VIRTQ_DESC_F_NEXT : 0));

    rig_store_desc(rig, (table ? table : q->area[VIONET_AREA_DESC]) + 16u * at, piece->gpa,
                   piece->len, flags, i + 1 < n ? next : 0);
}

uint16_t rig_post(struct rig *rig, unsigned queue, const struct rig_piece *pieces, unsigned n,
                  bool indirect)
{
    struct rig_queue *q = &rig->queues[queue];
    const uint16_t head = q->next % q->size;
    const uint64_t table = indirect ? RIG_TABLES + q->table++ % RIG_N_TABLES * RIG_TABLE : 0;

    if (rig_has(rig, VIRTIO_F_RING_PACKED)) {
        return packed_post(rig, q, pieces, n, table);
    }
    for (unsigned i = 0; i < n; i++) {
        store_piece(rig, q, table, &pieces[i], i, n);
    }
    if (indirect) {
        rig_store_desc(rig, q->area[VIONET_AREA_DESC] + 16u * head, table, 16 * n,
                       VIRTQ_DESC_F_INDIRECT, 0);
    }
    q->next = (uint16_t)(q->next + (indirect ? 1 : n));
    rig_offer(rig, queue, head);
    return head;
}

/* ---- the last question ---- */

static void require_used(struct rig *rig, unsigned queue, uint16_t head, uint32_t len)
{
    const uint64_t used = rig->queues[queue].area[VIONET_AREA_DEVICE];

    rig_allow(rig, used, VIRTQ_USED_SIZE(rig->queues[queue].size));
    FUZZ_REQUIRE(rig_load16(rig, used + 2) == 1, "queue %u: used index %u", queue,
                 rig_load16(rig, used + 2));
    FUZZ_REQUIRE(rig_load32(rig, used + 4) == head && rig_load32(rig, used + 8) == len,
                 "queue %u: used element %u, %u", queue, rig_load32(rig, used + 4),
                 rig_load32(rig, used + 8));
}

static void require_receives(struct rig *rig, uint8_t *octets, size_t n)
{
    const struct rig_piece piece = {rig_buffer(rig, 12 + (uint32_t)n), 12 + (uint32_t)n, true};
    const struct iovec iov = {octets, n};
    const VionetFrame frame = {.iov = &iov, .n_iov = 1};
    uint8_t found[64];
    uint16_t head;

    head = rig_post(rig, 0, &piece, 1, false);
    rig_publish(rig, 0);
    FUZZ_REQUIRE(vionet_device_receive(rig->device, 0, &frame, 1, NULL, 0) == 1,
                 "a frame is not delivered after a reset");
    rig_allow(rig, piece.gpa, piece.len);
    require_used(rig, 0, head, piece.len);
    rig_load(rig, piece.gpa + 12, found, n);
    FUZZ_REQUIRE(memcmp(found, octets, n) == 0, "another frame arrives after a reset");
}

static void require_transmits(struct rig *rig, size_t n)
{
    const struct rig_piece piece = {rig_buffer(rig, 12 + (uint32_t)n), 12 + (uint32_t)n, false};
    const uint8_t zero[128] = {0};
    VionetFrame frames[2];
    uint16_t head;

    rig_store(rig, piece.gpa, zero, piece.len);
    head = rig_post(rig, 1, &piece, 1, false);
    rig_publish(rig, 1);
    FUZZ_REQUIRE(vionet_device_transmit(rig->device, 0, frames, 2) == 1,
                 "a frame is not taken after a reset");
    FUZZ_REQUIRE(frames[0].len == n, "a frame of %u octets is taken after a reset", frames[0].len);
    vionet_device_complete(rig->device, 0, frames, 1);
    require_used(rig, 1, head, 0);
}

void rig_require_works(struct rig *rig)
{
    uint8_t octets[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,   0,   0,
                          0,    0,    1,    8,    6,    'p',  'i', 'n', 'g'};
    uint64_t features[VIONET_FEATURE_WORDS] = {0};

    rig_reset(rig);
    for (unsigned i = 0; i < RIG_REGIONS; i++) {
        if (!rig->regions[i].mapped) {
            map_region(rig, &rig->regions[i]);
        }
    }
    vionet_device_set_dma(rig->device, true);
    vionet_device_set_link(rig->device, true);
    vionet_features_set(features, VIRTIO_F_VERSION_1, true);
    FUZZ_REQUIRE(rig_negotiate(rig, features), "VERSION_1 is refused after a reset");
    rig_run_all(rig, 4);
    for (unsigned i = 0; i < 2; i++) {
        rig_allow(rig, rig->queues[i].area[VIONET_AREA_DEVICE], VIRTQ_USED_SIZE(4));
    }
    require_receives(rig, octets, sizeof(octets));
    require_transmits(rig, sizeof(octets));
    rig_require_unchanged(rig, "the exchange after a reset");
}
