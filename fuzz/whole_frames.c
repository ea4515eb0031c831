/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames of fuzz_whole both ways, and the accounts of them (see whole_run.h). */
#include <string.h>

#include "reference/reference.h"
#include "whole_run.h"

/* ---- towards the guest ---- */

static enum reference_dialect reference_dialect(const struct whole *whole)
{
    const VionetDialect *dialect = whole->model.config->dialect;

    if (!control_tunnels(&whole->model)) {
        return REFERENCE_OFF;
    }
    return dialect->types_in_hash_types ? REFERENCE_DRAFT_V7
           : dialect->types_after_key   ? REFERENCE_DRAFT_V10
                                        : REFERENCE_RATIFIED;
}

/* What its header has to say of the hash, and the pair that a table gives it. */
static void foretell(struct whole *whole, struct whole_in *in)
{
    const struct control_model *model = &whole->model;
    struct reference_result result = {0};

    if (!whole->modelled) {
        return;
    }
    in->completed = control_completes(model, &in->traffic->frame);
    if (model->key_len) {
        reference_hash(in->traffic->octets, in->traffic->len, reference_dialect(whole),
                       model->hash_types | (model->tunnel_types & 0xe00), model->tunnel_types,
                       model->key, model->key_len, &result);
    }
    in->has_hash = guest_driver_has(whole->machine->driver, VIRTIO_NET_F_HASH_REPORT);
    in->report = result.report;
    in->hash = result.hash;
    in->tunnel = result.tunnel;
    in->by_table = model->by_table;
    if (model->by_table) {
        in->pair = result.report ? model->table[result.hash & model->mask] : model->unclassified;
    }
}

static void count_verdict(VionetVerdict verdict)
{
    fuzz_reach[DELIVERED].count += verdict == VIONET_DELIVERED;
    fuzz_reach[HELD].count += verdict == VIONET_HELD;
    fuzz_reach[FILTERED].count += verdict == VIONET_DROP_FILTER || verdict == VIONET_DROP_VLAN;
    fuzz_reach[REFUSED].count += verdict == VIONET_DROP_OFFLOAD;
}

/* Filters and offloads are foretold; buffers are not, nor what comes in front of the filters. */
static void require_verdict(const struct whole *whole, const struct whole_in *in,
                            VionetVerdict verdict)
{
    const VionetVerdict expected =
        control_verdict(&whole->model, in->traffic->octets, &in->traffic->frame);

    FUZZ_REQUIRE(verdict < VIONET_N_VERDICTS, "verdict %d", verdict);
    if (!whole_exact(whole) || !whole->modelled || in->traffic->odd || in->traffic->len < 16) {
        return;
    }
    if (verdict == VIONET_DELIVERED || verdict == VIONET_DROP_FILTER ||
        verdict == VIONET_DROP_VLAN || verdict == VIONET_DROP_OFFLOAD) {
        FUZZ_REQUIRE(verdict == expected, "a frame is %s, not %s", vionet_verdict_name(verdict),
                     vionet_verdict_name(expected));
    }
}

static void deliver(struct whole *whole, struct whole_in *in, unsigned n, unsigned lane,
                    unsigned flags)
{
    VionetFrame frames[WHOLE_BURST];
    VionetVerdict verdicts[WHOLE_BURST];
    size_t delivered = 0;
    size_t said;

    for (unsigned i = 0; i < n; i++) {
        frames[i] = in[i].traffic->frame;
        foretell(whole, &in[i]);
    }
    said = vionet_device_receive(whole->machine->device, lane, frames, n, verdicts, flags);
    whole_look(whole, "frames");
    for (unsigned i = 0; i < n; i++) {
        in[i].delivered = verdicts[i] == VIONET_DELIVERED;
        in[i].logged = whole->logged;
        delivered += in[i].delivered;
        whole->offered += verdicts[i] != VIONET_HELD;
        whole->undone |= verdicts[i] == VIONET_HELD || verdicts[i] == VIONET_DROP_NO_BUFFER ||
                         verdicts[i] == VIONET_DROP_BUFFER_TOO_SMALL;
        count_verdict(verdicts[i]);
        require_verdict(whole, &in[i], verdicts[i]);
    }
    FUZZ_REQUIRE(said == delivered, "%zu frames are delivered, and %zu verdicts say so", said,
                 delivered);
}

void whole_act_deliver(struct whole *whole)
{
    const uint8_t how = input_8(&whole->input);
    unsigned n = 1 + how % WHOLE_BURST;
    struct whole_in *in = &whole->in[whole->n_in];

    if (n > WHOLE_MAX_SENT - whole->n_in) {
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        in[i] = (struct whole_in){.traffic = g_new(struct traffic_frame, 1)};
        traffic_make(&whole->input, whole->n_in + i, in[i].traffic);
        fuzz_reach[SEGMENTS_IN].count += in[i].traffic->frame.gso_size != 0;
    }
    whole->n_in += n;
    fuzz_reach[OFFERED].count += n;
    deliver(whole, in, n, (how >> 4 & 3) % whole->model.config->max_pairs,
            how & 0x80 ? VIONET_RECEIVE_HOLD : 0);
}

void whole_deliver_one(struct whole *whole, const uint8_t *octets, size_t len)
{
    struct whole_in *in = &whole->in[whole->n_in];
    struct traffic_frame *traffic;

    if (whole->n_in == WHOLE_MAX_SENT) {
        return;
    }
    traffic = g_new0(struct traffic_frame, 1);
    memcpy(traffic->octets, octets, len);
    traffic->octets[10] = (uint8_t)(whole->n_in >> 8);
    traffic->octets[11] = (uint8_t)whole->n_in;
    traffic->len = len;
    traffic->pieces[0] = (struct iovec){traffic->octets, len};
    traffic->frame = (VionetFrame){.iov = traffic->pieces, .n_iov = 1, .len = (uint32_t)len};
    *in = (struct whole_in){.traffic = traffic};
    whole->n_in++;
    deliver(whole, in, 1, 0, 0);
}

static void require_header(const struct whole *whole, const struct whole_in *in,
                           const struct net_header *header)
{
    const VionetFrame *frame = &in->traffic->frame;

    if (in->has_hash) {
        FUZZ_REQUIRE(header->hash_value == in->hash && header->hash_report == in->report &&
                         header->hash_report_tunnel == in->tunnel,
                     "hash 0x%08x, report %u, tunnel %u; not 0x%08x, %u, %u", header->hash_value,
                     header->hash_report, header->hash_report_tunnel, in->hash, in->report,
                     in->tunnel);
        fuzz_reach[HASHED].count += in->report != 0;
        fuzz_reach[HASHED_INNER].count +=
            in->report && whole->model.tunnel_types && in->traffic->frame.len > 80;
    }
    if (in->traffic->odd) {
        return;
    }
    FUZZ_REQUIRE(header->gso_type == frame->gso_type && header->gso_size == frame->gso_size,
                 "gso_type 0x%x, gso_size %u; not 0x%x, %u", header->gso_type, header->gso_size,
                 frame->gso_type, frame->gso_size);
    FUZZ_REQUIRE(!(header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) ==
                     (in->completed || !(frame->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)),
                 "flags 0x%x", header->flags);
}

/* A packet that arrived in an honest driver is one that was delivered, once, where it belongs. */
static void account_packet(struct whole *whole, const struct guest_packet *packet)
{
    uint32_t serial;
    struct whole_in *in;

    FUZZ_REQUIRE(traffic_serial(packet->data, packet->len, &serial) && serial < whole->n_in,
                 "a packet of %u octets arrives that nobody sent", packet->len);
    in = &whole->in[serial];
    FUZZ_REQUIRE(in->delivered && !in->received, "frame %u arrives %s", serial,
                 in->received ? "twice" : "and was not delivered");
    in->received = true;
    REACHED(RECEIVED);
    if (in->logged) {
        FUZZ_REQUIRE(whole_is_logged(whole, packet->raw_header), "frame %u is written, not logged",
                     serial);
        REACHED(LOGGED);
    }
    fuzz_reach[MERGED].count += packet->n_buffers > 1;
    fuzz_reach[COMPLETED].count += in->completed;
    fuzz_reach[BY_TABLE].count += in->by_table;
    if (!whole->modelled) { /* its commands are not known, which may have turned off offloads */
        in->completed =
            (in->traffic->frame.flags & ~packet->header.flags) & VIRTIO_NET_HDR_F_NEEDS_CSUM;
    }
    FUZZ_REQUIRE(traffic_same(in->traffic, packet->data, packet->len, in->completed),
                 "frame %u arrives as another", serial);
    require_header(whole, in, &packet->header);
    FUZZ_REQUIRE(!in->by_table || packet->pair == in->pair, "frame %u: pair %u, not %u", serial,
                 packet->pair, in->pair);
    FUZZ_REQUIRE(whole->queues_reset || serial + 1 > whole->last_received[packet->pair],
                 "frame %u overtakes another", serial);
    whole->last_received[packet->pair] = serial + 1;
}

static bool receive_one(struct whole *whole)
{
    struct guest_packet packet;

    if (!net_receive(whole->machine->net, &packet)) {
        return false;
    }
    if (!whole->tainted) {
        account_packet(whole, &packet);
    }
    return true;
}

void whole_act_receive(struct whole *whole)
{
    unsigned n = 1 + input_8(&whole->input) % 32;

    while (n-- && receive_one(whole)) {
    }
    whole_look(whole, "receiving");
}

/* ---- from the guest ---- */

static struct net_header header_of(const VionetFrame *frame)
{
    return (struct net_header){
        .flags = frame->flags,
        .gso_type = frame->gso_type,
        .hdr_len = frame->hdr_len,
        .gso_size = frame->gso_size,
        .csum_start = frame->csum_start,
        .csum_offset = frame->csum_offset,
        .outer_th_offset = frame->outer_th_offset,
        .inner_nh_offset = frame->inner_nh_offset,
    };
}

/* how: 0x07 frames, 0x18 layout, 0x20 not shown yet, 0xc0 pair */
void whole_act_send(struct whole *whole)
{
    const uint8_t how = input_8(&whole->input);
    const uint32_t cut[2] = {5 + (how >> 3 & 3), 40};
    struct guest_net *net = whole->machine->net;
    const struct net_layout layout = {
        .shape = how & 8 ? NET_CUTS : NET_WHOLE,
        .indirect = (how & 16) && guest_driver_has(net_driver(net), VIRTIO_F_INDIRECT_DESC),
        .cuts = cut,
        .n_cuts = 2,
    };
    const unsigned pair = (how >> 6) % whole_pairs(whole);

    for (unsigned i = 0; i <= (how & 7) && whole->n_out < WHOLE_MAX_SENT; i++) {
        struct whole_out out = {.traffic = g_new(struct traffic_frame, 1), .pair = pair};

        traffic_make(&whole->input, whole->n_out, out.traffic);
        out.header = header_of(&out.traffic->frame);
        if (!net_transmit_add(net, pair, &layout, &out.header, out.traffic->octets,
                              (uint32_t)out.traffic->len)) {
            g_free(out.traffic);
            break;
        }
        whole->out[whole->n_out++] = out;
        whole->offered++;
        REACHED(SENT);
        fuzz_reach[SEGMENTS_OUT].count += out.header.gso_size != 0;
    }
    if (!(how & 0x20)) {
        net_transmit_flush(net, pair);
    }
    whole_look(whole, "sending");
}

/* A frame that the host gets lies in guest memory, whatever the driver is like. */
static size_t copy_out(const struct whole *whole, const VionetFrame *frame, uint8_t *octets,
                       size_t room)
{
    size_t len = 0;

    for (unsigned i = 0; i < frame->n_iov; i++) {
        const struct iovec *piece = &frame->iov[i];

        len += piece->iov_len;
        if (len <= room && piece->iov_len) {
            memcpy(octets + len - piece->iov_len, piece->iov_base, piece->iov_len);
        } else {
            for (size_t at = 0; at < piece->iov_len; at++) {
                (void)((const volatile uint8_t *)piece->iov_base)[at];
            }
        }
    }
    FUZZ_REQUIRE(len == frame->len, "a frame of %u octets in pieces of %zu", frame->len, len);
    FUZZ_REQUIRE(whole->tainted || len <= room, "a frame of %zu octets is taken", len);
    return len;
}

/* The oldest frame of a pair that the host has not got. */
static struct whole_out *next_out(struct whole *whole, unsigned pair, unsigned *from)
{
    for (; *from < whole->n_out; (*from)++) {
        if (whole->out[*from].pair == pair && !whole->out[*from].settled) {
            return &whole->out[(*from)++];
        }
    }
    return NULL;
}

/* Frames come in order; those that are passed over are as many as were dropped. */
static int account_taken(struct whole *whole, const VionetFrame *frame, unsigned pair,
                         uint64_t *drops)
{
    uint8_t octets[TRAFFIC_MAX];
    const size_t len = copy_out(whole, frame, octets, sizeof(octets));
    unsigned from = 0;
    struct whole_out *out;

    if (whole->tainted) {
        return -1;
    }
    while ((out = next_out(whole, pair, &from)) != NULL) {
        out->settled = true;
        if (len == out->traffic->len && memcmp(octets, out->traffic->octets, len) == 0) {
            FUZZ_REQUIRE(frame->flags == out->header.flags || out->traffic->odd,
                         "a frame with flags 0x%x is taken with 0x%x", out->header.flags,
                         frame->flags);
            FUZZ_REQUIRE(frame->gso_type == out->header.gso_type || out->traffic->odd,
                         "a frame with gso_type 0x%x is taken with 0x%x", out->header.gso_type,
                         frame->gso_type);
            return (int)(out - whole->out);
        }
        FUZZ_REQUIRE(*drops > 0, "a frame of the guest is passed over, and none was dropped");
        --*drops;
        REACHED(DROPPED);
    }
    FUZZ_REQUIRE(false, "a frame of %zu octets is taken that nobody sent", len);
}

static uint64_t drops_of(const struct whole *whole, unsigned pair)
{
    return vionet_device_counter(whole->machine->device, 2 * pair + 1, VIONET_COUNTER_DROPS);
}

static size_t take(struct whole *whole, unsigned pair, size_t n)
{
    struct whole_taken *taken = &whole->taken[whole->n_taken];
    VionetFrame frames[WHOLE_BURST];
    uint64_t drops = drops_of(whole, pair);
    unsigned from = 0;
    struct whole_out *out;

    n = vionet_device_transmit(whole->machine->device, pair, frames, n);
    drops = drops_of(whole, pair) - drops;
    whole_look(whole, "taking");
    for (size_t i = 0; i < n; i++) {
        taken[i] =
            (struct whole_taken){frames[i], pair, account_taken(whole, &frames[i], pair, &drops)};
    }
    while (drops && !whole->tainted && (out = next_out(whole, pair, &from)) != NULL) {
        out->settled = true;
        drops--;
        REACHED(DROPPED);
    }
    FUZZ_REQUIRE(whole->tainted || !drops, "more frames are dropped than were sent");
    whole->n_taken += (unsigned)n;
    fuzz_reach[TAKEN].count += n;
    return n;
}

void whole_act_take(struct whole *whole)
{
    const uint8_t how = input_8(&whole->input);

    if (WHOLE_MAX_OUT - whole->n_taken < WHOLE_BURST) {
        whole_complete_all(whole);
    }
    take(whole, (how >> 4) % WHOLE_MAX_PAIRS % whole->model.config->max_pairs,
         1 + how % WHOLE_BURST);
}

void whole_take_again(struct whole *whole, unsigned pair)
{
    int first = -1; /* the oldest of them */

    for (unsigned i = whole->n_taken; i-- > 0;) {
        const struct whole_taken taken = whole->taken[i];

        if (taken.pair != pair) {
            continue;
        }
        whole->taken[i] = whole->taken[--whole->n_taken];
        vionet_device_complete(whole->machine->device, pair, &taken.frame, 1);
        if (taken.out >= 0 && (first < 0 || taken.out < first)) {
            first = taken.out;
        }
    }
    for (unsigned i = (unsigned)first; first >= 0 && i < whole->n_out; i++) {
        struct whole_out *out = &whole->out[i];

        if (out->pair == pair && out->settled) {
            out->settled = false;
            whole->offered++;
        }
    }
}

static void complete(struct whole *whole, unsigned i)
{
    const struct whole_taken taken = whole->taken[i];

    whole->taken[i] = whole->taken[--whole->n_taken];
    vionet_device_complete(whole->machine->device, taken.pair, &taken.frame, 1);
}

void whole_complete_all(struct whole *whole)
{
    while (whole->n_taken) {
        complete(whole, whole->n_taken - 1);
    }
    whole_look(whole, "completing");
}

void whole_act_complete(struct whole *whole)
{
    const uint8_t how = input_8(&whole->input);

    for (unsigned i = 0; i <= how >> 5 && whole->n_taken; i++) {
        complete(whole, how % whole->n_taken);
    }
    whole_look(whole, "completing");
}

void whole_act_reclaim(struct whole *whole)
{
    net_reclaim(whole->machine->net, input_8(&whole->input) % whole_pairs(whole));
    whole_look(whole, "reclaiming");
}

/* ---- the accounts ---- */

static void require_verdicts_add_up(const struct whole *whole)
{
    uint64_t sum = 0;
    uint64_t under_way = 0;

    for (unsigned i = 0; i < VIONET_N_VERDICTS; i++) {
        sum += i == VIONET_HELD ? 0 : vionet_device_verdicts(whole->machine->device, i);
    }
    for (unsigned i = 0; i < whole->n_out; i++) {
        under_way += !whole->out[i].settled;
    }
    FUZZ_REQUIRE(sum == whole->traced, "%llu verdicts, and %llu frames traced",
                 (unsigned long long)sum, (unsigned long long)whole->traced);
    FUZZ_REQUIRE(sum + under_way == whole->offered, "%llu verdicts on %llu frames",
                 (unsigned long long)sum, (unsigned long long)(whole->offered - under_way));
}

void whole_settle(struct whole *whole)
{
    struct machine *machine = whole->machine;

    whole_complete_all(whole);
    for (unsigned pair = 0; pair < whole_pairs(whole); pair++) {
        net_transmit_flush(machine->net, pair);
        while (take(whole, pair, WHOLE_BURST)) {
            whole_complete_all(whole);
        }
    }
    while (receive_one(whole)) {
    }
    machine_advance(machine, UINT64_C(1) << 45);
    whole_look(whole, "settling");
    if (!whole_exact(whole)) {
        return;
    }
    for (unsigned i = 0; i < whole->n_in; i++) {
        FUZZ_REQUIRE(whole->in[i].delivered == whole->in[i].received || whole->in[i].lost,
                     "frame %u was delivered, and does not arrive", i);
    }
    for (unsigned i = 0; i < whole->n_out; i++) {
        FUZZ_REQUIRE(whole->out[i].settled, "frame %u of the guest is never taken", i);
    }
    for (unsigned pair = 0; pair < whole_pairs(whole); pair++) {
        net_reclaim(machine->net, pair);
        FUZZ_REQUIRE(net_transmit_pending(machine->net, pair) == 0,
                     "pair %u: a transmit buffer never comes back", pair);
    }
    require_verdicts_add_up(whole);
    for (unsigned queue = 0; queue < 2 * whole_pairs(whole); queue++) {
        virtq_verify(guest_queue_ring(machine->driver, queue));
    }
    whole_look(whole, "a look at the rings");
    REACHED(SETTLED);
}

void whole_forget_frames(struct whole *whole)
{
    for (unsigned i = 0; i < whole->n_in; i++) {
        whole->in[i].received = whole->in[i].delivered = false;
    }
    for (unsigned i = 0; i < whole->n_out; i++) {
        whole->out[i].settled = true;
    }
    memset(whole->last_received, 0, sizeof(whole->last_received));
    whole->offered = whole->traced = 0;
}

void whole_forget_queue(struct whole *whole, unsigned queue)
{
    for (unsigned i = 0; i < whole->n_in; i++) {
        whole->in[i].lost |= whole->in[i].delivered && !whole->in[i].received;
    }
    for (unsigned i = 0; i < whole->n_out; i++) {
        struct whole_out *out = &whole->out[i];

        if (queue == 2 * out->pair + 1 && !out->settled) {
            out->settled = true;
            whole->offered--;
        }
    }
    for (unsigned i = 0; i < whole->n_taken; i++) {
        if (queue == 2 * whole->taken[i].pair + 1) {
            whole->taken[i].out = -1;
        }
    }
    whole->queues_reset = true;
}

void whole_free_frames(struct whole *whole)
{
    for (unsigned i = 0; i < whole->n_in; i++) {
        g_free(whole->in[i].traffic);
    }
    for (unsigned i = 0; i < whole->n_out; i++) {
        g_free(whole->out[i].traffic);
    }
}
