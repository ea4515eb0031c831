/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What holds around every call into the device: memory, used rings of commands, broken queues and
 * notifications, against the model. See ring_run.h.
 */
#include "ring_run.h"

bool known(const struct run *run, unsigned queue)
{
    const struct model *model = &run->models[queue];

    return model->started && !model->broken && !model->rude && !run->wild;
}

bool live(const struct run *run, unsigned queue)
{
    return run->running && !run->failed && run->dma && run->models[queue].started &&
           !run->models[queue].broken;
}

void before(struct run *run)
{
    for (unsigned i = 0; i < run->n_models; i++) {
        struct model *model = model_of(run, i);

        if (known(run, i)) {
            model_note(model, &run->rig);
            fuzz_reach[RUDE].count += model->rude;
        } else {
            model_note_jump(model, &run->rig);
        }
        run->old_used[i] = model->used;
        run->old_interrupts[i] = run->rig.interrupts[i];
        run->old_kicks[i] = run->rig.kicks[i];
    }
    if (run->raw && !run->wild &&
        (run->rig.spoiled || model_writes_over_rings(run->models, run->n_models, &run->rig))) {
        REACHED(WILD);
        run->wild = true;
    }
}

void check_memory(struct run *run, const char *after)
{
    if (!rig_changed(&run->rig)) {
        return;
    }
    for (unsigned i = 0; i < run->n_models; i++) {
        if (run->wild) {
            rig_allow_all(&run->rig);
        } else if (run->dma) {
            model_allow(model_of(run, i), &run->rig);
        }
    }
    rig_require_unchanged(&run->rig, after);
}

/* Whether the rules are broken where the device is, or further on in what is there. */
static bool justified(const struct run *run, const struct model *model)
{
    static struct model_chain chain;
    const bool control = model->queue == rig_control(&run->rig);
    uint16_t heads[RIG_MAX_SIZE];

    if (run->wild || model->rude || model->wrong || !model_parts_good(model, &run->rig)) {
        return true;
    }
    for (unsigned ahead = 0; ahead < RIG_MAX_SIZE; ahead++) {
        const enum model_found found = model_look(model, &run->rig, ahead, &chain);

        if (found != MODEL_CHAIN) {
            return found == MODEL_WRONG;
        }
        /* The same buffer again before it came back, which a frame over several finds. */
        for (unsigned i = 0; i < ahead && !model->packed; i++) {
            if (heads[i] == chain.head) {
                return true;
            }
        }
        heads[ahead] = chain.head;
        if (control ? chain.out_len < 2 || chain.in_len < 1
                    : model->queue % 2 == 0 && chain.in_len < run->hdr_len) {
            return true;
        }
    }
    return false;
}

static void check_faults(struct run *run)
{
    bool any = false;

    for (unsigned i = 0; i < run->n_models; i++) {
        struct model *model = model_of(run, i);

        any = any || run->rig.faulted[i];
        if (!run->rig.faulted[i] || model->broken) {
            continue;
        }
        FUZZ_REQUIRE(model->started && justified(run, model), "queue %u is called broken: %s", i,
                     vionet_violation_info(run->rig.fault[i])->name);
        model->broken = true;
        REACHED(BROKEN);
    }
    FUZZ_REQUIRE(!any || (vionet_device_status(run->rig.device) & VIRTIO_STATUS_DEVICE_NEEDS_RESET),
                 "a queue is broken, but DEVICE_NEEDS_RESET is clear");
}

/* Notifications of what became used, by the driver's wishes. */
static void check_interrupts(struct run *run)
{
    for (unsigned i = 0; i < run->n_models; i++) {
        const struct model *model = model_of(run, i);
        const bool notified = run->rig.interrupts[i] != run->old_interrupts[i];

        if (!known(run, i) || model->used == run->old_used[i]) {
            continue;
        }
        fuzz_reach[USED_PACKED].count += model->packed;
        if (model_wants_interrupt(model, &run->rig, run->old_used[i])) {
            REACHED(WANTED_INTERRUPTS);
            FUZZ_REQUIRE(notified, "queue %u: the driver is not notified", i);
        } else {
            FUZZ_REQUIRE(!notified || rig_has(&run->rig, VIRTIO_F_EVENT_IDX),
                         "queue %u: the driver is notified against its wish", i);
        }
    }
}

void require_kicks_wanted(struct run *run, unsigned queue)
{
    if (known(run, queue) && live(run, queue) && !run->poll[queue]) {
        REACHED(KICKS_CHECKED);
        FUZZ_REQUIRE(model_would_kick(model_of(run, queue), &run->rig),
                     "queue %u is empty, and the device wants no notification", queue);
    }
}

void require_jump_noticed(struct run *run, unsigned queue)
{
    const struct model *model = &run->models[queue];

    if (model->jumped && !run->wild && live(run, queue) && model_parts_good(model, &run->rig)) {
        REACHED(JUMPS);
        FUZZ_REQUIRE(run->rig.faulted[queue], "queue %u: more buffers than it holds are believed",
                     queue);
    }
}

/* ---- commands ---- */

static void account_command(struct run *run, struct model *model, uint32_t id, uint32_t len)
{
    static struct model_chain chain;

    FUZZ_REQUIRE(model_look(model, &run->rig, 0, &chain) == MODEL_CHAIN && chain.head == id,
                 "command %u is answered, which was not sent", id);
    FUZZ_REQUIRE(len >= 1 && len <= 9 && len <= chain.in_len, "an answer of %u octets", len);
    model_use(model, &chain, len);
    REACHED(COMMANDS);
}

/* The control queue is worked off whenever the device feels like it: on a kick, on DRIVER_OK. */
static void account_commands(struct run *run)
{
    const unsigned queue = rig_control(&run->rig);
    static struct model_chain chain;
    struct model *model;
    uint32_t id, len;

    if (queue >= run->n_models || !known(run, queue)) {
        return;
    }
    model = model_of(run, queue);
    while (model_unseen(model, &run->rig, &id, &len)) {
        account_command(run, model, id, len);
    }
    model_require_used(model, &run->rig);
    fuzz_reach[COMMANDS_OK].count +=
        vionet_device_counter(run->rig.device, queue, VIONET_COUNTER_COMMANDS_OK) -
        run->commands_ok;
    run->commands_ok = vionet_device_counter(run->rig.device, queue, VIONET_COUNTER_COMMANDS_OK);
    if (live(run, queue) && !run->rig.faulted[queue] && model_parts_good(model, &run->rig) &&
        run->rig.kicks[queue] == run->old_kicks[queue]) {
        const enum model_found found = model_look(model, &run->rig, 0, &chain);

        FUZZ_REQUIRE(found != MODEL_WRONG || model->used == run->old_used[queue],
                     "a wrong command was passed over");
    }
}

/* All was accounted for that was to become used; no ring shows anything else. */
static void check_rings(struct run *run)
{
    for (unsigned i = 0; i < run->n_models; i++) {
        if (known(run, i)) {
            model_require_used(model_of(run, i), &run->rig);
        }
    }
}

void after(struct run *run, const char *what)
{
    check_memory(run, what);
    account_commands(run);
    check_rings(run);
    check_faults(run);
    check_interrupts(run);
}
