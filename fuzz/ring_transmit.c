/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames from the driver: each must be the readable octets of the next chain, or that chain be one to
 * be dropped; and what is completed becomes used. See ring_run.h.
 */
#include <string.h>

#include "ring_run.h"

/* 5.1.6.2: whether a frame of len octets with this header is to be passed on. */
static bool header_good(const struct run *run, const uint8_t *hdr, uint64_t len)
{
    static const uint8_t features[] = {[1] = VIRTIO_NET_F_HOST_TSO4,
                                       [3] = VIRTIO_NET_F_HOST_UFO,
                                       [4] = VIRTIO_NET_F_HOST_TSO6,
                                       [5] = VIRTIO_NET_F_HOST_USO};
    const uint8_t base = hdr[1] & 0x7f;
    const bool needs_csum = hdr[0] & VIRTIO_NET_HDR_F_NEEDS_CSUM;
    const uint32_t end = (hdr[6] | hdr[7] << 8) + (uint32_t)(hdr[8] | hdr[9] << 8) + 2u;

    if (needs_csum && (!rig_has(&run->rig, VIRTIO_NET_F_CSUM) || end > len)) {
        return false;
    }
    if (hdr[1] == VIRTIO_NET_HDR_GSO_NONE ||
        (hdr[1] == VIRTIO_NET_HDR_GSO_ECN && rig_has(&run->rig, VIRTIO_NET_F_HOST_ECN))) {
        return true;
    }
    return needs_csum && base < sizeof(features) && features[base] &&
           rig_has(&run->rig, features[base]) && (hdr[4] | hdr[5]) &&
           (!(hdr[1] & VIRTIO_NET_HDR_GSO_ECN) || rig_has(&run->rig, VIRTIO_NET_F_HOST_ECN));
}

/* Whether the device has to drop a chain. */
static bool to_be_dropped(const struct run *run, const struct model_chain *chain)
{
    uint8_t hdr[HEADER_MAX] = {0};
    size_t at = 0;

    if (chain->out_len < run->hdr_len + 14u || chain->out_len - run->hdr_len > VIONET_MAX_FRAME ||
        !run->link) {
        return true;
    }
    for (unsigned i = 0; i < chain->n && at < run->hdr_len; i++) {
        const struct rig_piece *piece = &chain->pieces[i];

        for (uint32_t j = 0; !piece->writable && j < piece->len && at < run->hdr_len; j++) {
            rig_load(&run->rig, piece->gpa + j, &hdr[at++], 1);
        }
    }
    return !header_good(run, hdr, chain->out_len - run->hdr_len);
}

/* The frame's ranges are the chain's readable octets behind the header, no more and no less. */
static void require_ranges(const struct run *run, const struct model_chain *chain,
                           const VionetFrame *frame)
{
    uint64_t skip = run->hdr_len;
    unsigned n = 0;

    FUZZ_REQUIRE(frame->len == chain->out_len - run->hdr_len, "a frame of %u octets, not %llu",
                 frame->len, (unsigned long long)(chain->out_len - run->hdr_len));
    for (unsigned i = 0; i < chain->n; i++) {
        uint64_t gpa = chain->pieces[i].gpa;
        uint64_t left = chain->pieces[i].writable ? 0 : chain->pieces[i].len;

        while (left) {
            const uint64_t run_len = rig_run(&run->rig, gpa);
            const uint64_t part = left < run_len ? left : run_len;

            if (skip < part) {
                FUZZ_REQUIRE(n < frame->n_iov &&
                                 frame->iov[n].iov_base == rig_host(&run->rig, gpa + skip) &&
                                 frame->iov[n].iov_len == part - skip,
                             "range %u of a frame is another", n);
                n++;
                skip = 0;
            } else {
                skip -= part;
            }
            gpa += part;
            left -= part;
        }
    }
    FUZZ_REQUIRE(n == frame->n_iov, "a frame of %u ranges, not %u", frame->n_iov, n);
}

static void keep(struct run *run, const VionetFrame *frame, unsigned pair, uint32_t turn, bool is)
{
    FUZZ_REQUIRE(run->n_outs < RUN_MAX_OUT, "more frames are out than the rings have entries");
    run->outs[run->n_outs++] = (struct out){*frame, pair, turn, is};
    REACHED(TAKEN);
}

/* What the device did with the chains: a frame each, or dropped, up to the first that stopped it. */
static void account_transmit(struct run *run, unsigned pair, const VionetFrame *frames, size_t n,
                             size_t asked)
{
    static struct model_chain chain;
    struct model *model = model_of(run, 2 * pair + 1);
    unsigned budget = run->rig.queues[2 * pair + 1].size;
    enum model_found found = MODEL_NONE;
    size_t taken = 0;

    while (budget && taken < asked &&
           (found = model_look(model, &run->rig, 0, &chain)) == MODEL_CHAIN) {
        if (to_be_dropped(run, &chain)) {
            model_give(model, &run->rig, model_take(model, &chain));
            REACHED(DROPPED);
        } else if (taken < n) {
            require_ranges(run, &chain, &frames[taken]);
            keep(run, &frames[taken], pair, model_take(model, &chain), true);
            taken++;
        } else {
            break;
        }
        budget--;
    }
    FUZZ_REQUIRE(taken == n, "pair %u: %zu frames were taken, %zu were there", pair, n, taken);
    model_require_used(model, &run->rig);
    if (taken == asked) {
        return;
    }
    if (!budget) {
        FUZZ_REQUIRE(model_look(model, &run->rig, 0, &chain) != MODEL_CHAIN ||
                         run->poll[2 * pair + 1] ||
                         run->rig.kicks[2 * pair + 1] != run->old_kicks[2 * pair + 1],
                     "pair %u: the rest is forgotten", pair);
    } else if (found == MODEL_CHAIN) {
        REACHED(STARVED);
        run->starved[pair] = true;
        FUZZ_REQUIRE(model->n_taken > 0, "pair %u: a frame is not taken", pair);
    } else if (found == MODEL_WRONG) {
        FUZZ_REQUIRE(run->rig.faulted[2 * pair + 1], "pair %u: a wrong chain is passed over", pair);
    } else {
        require_kicks_wanted(run, 2 * pair + 1);
    }
}

/* All octets of a frame can be read. */
static void read_frame(const VionetFrame *frame)
{
    static uint8_t copy[VIONET_MAX_FRAME];
    const size_t len = vionet_frame_linearize(frame, copy, sizeof(copy));

    FUZZ_REQUIRE(len == 0 || len == frame->len, "a frame of %u octets has %zu", frame->len, len);
}

void act_transmit(struct run *run)
{
    const uint8_t how = input_8(&run->input);
    const unsigned pair = how % run->pairs;
    const size_t asked = 1 + (how >> 4) * 4u;
    VionetFrame frames[64];
    size_t n;

    before(run);
    n = vionet_device_transmit(run->rig.device, pair, frames, asked);
    check_memory(run, "transmit");
    FUZZ_REQUIRE(n == 0 || live(run, 2 * pair + 1), "frames come from a queue that does not run");
    FUZZ_REQUIRE(n <= asked, "%zu frames, %zu were asked for", n, asked);
    require_jump_noticed(run, 2 * pair + 1);
    for (size_t i = 0; i < n; i++) {
        read_frame(&frames[i]);
    }
    if (known(run, 2 * pair + 1) && live(run, 2 * pair + 1) &&
        model_parts_good(model_of(run, 2 * pair + 1), &run->rig)) {
        account_transmit(run, pair, frames, n, asked);
    } else {
        for (size_t i = 0; i < n && run->n_outs < RUN_MAX_OUT; i++) {
            keep(run, &frames[i], pair, 0, false);
        }
    }
    after(run, "transmit");
}

static void drop_out(struct run *run, unsigned i)
{
    run->n_outs--;
    memmove(&run->outs[i], &run->outs[i + 1], (run->n_outs - i) * sizeof(run->outs[0]));
}

void forget_outs(struct run *run, unsigned queue)
{
    for (unsigned i = run->n_outs; i-- > 0;) {
        if (2 * run->outs[i].pair + 1 == queue) {
            const VionetFrame stale = run->outs[i].frame;

            drop_out(run, i);
            before(run);
            vionet_device_complete(run->rig.device, queue / 2, &stale, 1);
            after(run, "a late completion");
        }
    }
}

/* The queue only waits for bus mastering; or for a reset, if the driver has failed. */
static bool is_paused(const struct run *run, unsigned queue)
{
    return run->running && (!run->dma || run->failed) && run->models[queue].started &&
           !run->models[queue].broken;
}

static void await(struct run *run, unsigned pair, uint32_t turn)
{
    FUZZ_REQUIRE(run->n_pending[pair] < RIG_MAX_SIZE, "more is completed than was out");
    run->pending[pair][run->n_pending[pair]++] = turn;
}

/* In whatever order it comes. */
static void account_awaited(struct run *run, struct model *model, unsigned pair, uint32_t id)
{
    uint32_t turn;
    unsigned i = 0;

    while (i < run->n_pending[pair] && model_head(model, run->pending[pair][i]) != id) {
        i++;
    }
    FUZZ_REQUIRE(i < run->n_pending[pair], "pair %u: buffer %u was not completed", pair, id);
    turn = run->pending[pair][i];
    run->pending[pair][i] = run->pending[pair][--run->n_pending[pair]];
    model_give(model, &run->rig, turn);
}

void account_resumed(struct run *run)
{
    for (unsigned pair = 0; pair < run->pairs; pair++) {
        struct model *model = model_of(run, 2 * pair + 1);
        uint32_t id, len;

        if (!known(run, 2 * pair + 1) || !live(run, 2 * pair + 1) ||
            !model_parts_good(model, &run->rig)) {
            continue;
        }
        if (rig_has(&run->rig, VIRTIO_F_IN_ORDER)) {
            for (; run->n_pending[pair]; run->n_pending[pair]--) {
                model_give(model, &run->rig, run->pending[pair][run->n_pending[pair] - 1]);
            }
        }
        while (model_unseen(model, &run->rig, &id, &len)) {
            account_awaited(run, model, pair, id);
        }
        FUZZ_REQUIRE(run->n_pending[pair] == 0, "pair %u: %u completions are lost", pair,
                     run->n_pending[pair]);
        model_require_used(model, &run->rig);
    }
}

void complete(struct run *run, unsigned i)
{
    const struct out out = run->outs[i];
    const unsigned queue = 2 * out.pair + 1;
    struct model *model = model_of(run, queue);
    const VionetFrame twice[2] = {out.frame, out.frame};
    bool given;

    before(run);
    given = live(run, queue) && model_parts_good(model, &run->rig);
    vionet_device_complete(run->rig.device, out.pair, twice, 1 + (run->serial & 1));
    drop_out(run, i);
    check_memory(run, "complete");
    if (given) {
        REACHED(COMPLETED);
        FUZZ_REQUIRE(!run->starved[out.pair] || run->rig.kicks[queue] != run->old_kicks[queue],
                     "pair %u: it stopped for want of slots, and nobody is told of one", out.pair);
        run->starved[out.pair] = false;
    }
    if (known(run, queue)) {
        if (given && out.known) {
            model_give(model, &run->rig, out.turn);
        } else if (is_paused(run, queue) && out.known) {
            await(run, out.pair, out.turn);
        }
        model_require_used(model, &run->rig);
    }
    after(run, "complete");
}

void act_complete(struct run *run)
{
    const uint8_t how = input_8(&run->input);

    for (unsigned n = 1 + (how >> 5); n > 0 && run->n_outs; n--) {
        complete(run, how & 1 ? (how & 31) % run->n_outs : 0);
    }
}
