/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Driver notifications (VIRTIO 1.4, 2.9, 4.1.4.4, 4.1.5.2, and the draft of January 2020): what the
 * capability says, what each form of notification names, every value that can be written, and what
 * forms are not offered together. Which queue a write names is worked out here a second time.
 */
#include <string.h>

#include <vionet/spec.h>
#include <vionet/transport.h>

#include "driver/queue.h"
#include "machine/machine.h"

#define PAIRS    2
#define N_QUEUES 5
#define NOBODY   0xffffffffu

static const uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5};

/* ---- forms ---- */

struct form {
    const char *name;
    bool data;   /* VIRTIO_F_NOTIFICATION_DATA */
    bool config; /* VIRTIO_F_NOTIF_CONFIG_DATA */
    bool draft;  /* notify_data_valid */
    bool lenient;
    uint16_t base;
    uint16_t notify_data;
};

static const struct form forms[] = {
    {"index", false, false, false, false, 0, 0},
    {"index-and-position", true, false, false, false, 0, 0},
    {"config-data", false, true, false, false, 0x1230, 0},
    {"config-data-from-0", false, true, false, false, 0, 0},
    {"config-data-up-to-the-last", false, true, false, false, 0x10000 - N_QUEUES, 0},
    {"config-data-and-position", true, true, false, false, 0x1230, 0},
    {"draft", true, false, true, false, 0, 0xbeef},
    {"draft-lenient", true, false, true, true, 0, 0xbeef},
    {"draft-value-like-an-index", true, false, true, false, 0, 2},
    {"draft-value-like-an-index-lenient", true, false, true, true, 0, 2},
};

static const uint32_t multipliers[] = {0, 2, 4, 4096};

/* 4.1.4.4.1 and the draft: which multipliers go with a form. */
static bool goes_with(const struct form *form, uint32_t multiplier)
{
    return !(form->data && multiplier % 4) && !(form->draft && multiplier == 0);
}

static struct machine *new_machine(const struct form *form, uint32_t multiplier, GError **error)
{
    struct machine_setup setup;

    machine_setup_init(&setup);
    setup.device.max_pairs = PAIRS;
    setup.device.notif_config_base = form->base;
    setup.net.transmit_size = 2048;
    vionet_features_set(setup.device.features, VIRTIO_NET_F_MQ, true);
    vionet_features_set(setup.device.features, VIRTIO_F_NOTIFICATION_DATA, form->data);
    vionet_features_set(setup.device.features, VIRTIO_F_NOTIF_CONFIG_DATA, form->config);
    setup.pci.notify_multiplier = multiplier;
    setup.pci.notify_data_valid = form->draft;
    setup.pci.notify_data = form->notify_data;
    setup.pci.notify_data_lenient = form->lenient;
    return machine_new(&setup, error);
}

static struct machine *boot(const struct form *form, uint32_t multiplier)
{
    struct machine *machine = new_machine(form, multiplier, NULL);

    if (!machine || !machine_boot(machine, features_known())) {
        g_error("%s, %u: the machine does not boot", form->name, multiplier);
    }
    return machine;
}

static uint64_t kicks(const struct machine *machine, unsigned queue)
{
    return vionet_device_counter(machine->device, queue, VIONET_COUNTER_KICKS);
}

/* The queue that was notified since the counts were taken; NOBODY if none, or more than one. */
static unsigned who(const struct machine *machine, uint64_t before[N_QUEUES])
{
    unsigned found = NOBODY, n = 0;

    for (unsigned queue = 0; queue < N_QUEUES; queue++) {
        const uint64_t now = kicks(machine, queue);

        if (now != before[queue]) {
            found = queue;
            n += (unsigned)(now - before[queue]);
        }
        before[queue] = now;
    }
    return n == 1 ? found : NOBODY;
}

/* What a write of these 16 bits at queue's address names, with the features negotiated. */
static unsigned named(const struct form *form, uint32_t multiplier, unsigned queue, uint16_t id)
{
    unsigned by_value = NOBODY;

    if (form->config) {
        by_value = (uint16_t)(id - form->base);
    } else if (form->draft) {
        /* The address alone tells; the value only has to be right. */
        return id == form->notify_data || (form->lenient && id == queue) ? queue : NOBODY;
    } else {
        by_value = id;
    }
    if (by_value >= N_QUEUES || (multiplier && by_value != queue)) {
        return NOBODY;
    }
    return by_value;
}

static void write_at(struct machine *machine, uint64_t offset, unsigned size, uint64_t value)
{
    const struct pci_window *notify = &machine->driver->pci.notify;

    vionet_pci_bar_write(machine->pci, notify->bar, notify->offset + offset, size, value);
}

/* ---- what the capability says ---- */

static void check_capability(const struct form *form, uint32_t multiplier)
{
    struct machine *machine = boot(form, multiplier);
    struct pci_function *pci = &machine->driver->pci;
    const unsigned width = form->data ? 4 : 2;

    g_assert_cmpuint(pci->notify_off_multiplier, ==, multiplier);
    g_assert_cmpuint(pci->notify.offset % width, ==, 0);
    g_assert_cmpuint(pci->notify.cap_len, ==, form->draft ? 24 : 20);
    g_assert_cmpuint(pci->notify.length, >=, width);
    for (unsigned queue = 0; queue < N_QUEUES; queue++) {
        unsigned bar = 77;
        uint64_t offset = 0, off;

        guest_common_write(machine->driver, 22, 2, queue);
        off = guest_common_read(machine->driver, 30, 2);
        g_assert_cmpuint(pci->notify.length, >=, off * multiplier + width);
        g_assert_cmpuint(guest_common_read(machine->driver, 56, 2), ==,
                         form->config ? form->base + queue : 0);
        g_assert_cmpint(vionet_pci_notify_address(machine->pci, queue, &bar, &offset), ==,
                        multiplier != 0);
        if (multiplier) {
            g_assert_cmpuint(bar, ==, pci->notify.bar);
            g_assert_cmpuint(offset, ==, pci->notify.offset + off * multiplier);
        }
    }
    g_assert_false(
        vionet_pci_notify_address(machine->pci, N_QUEUES, &(unsigned){0}, &(uint64_t){0}));
    if (form->draft) {
        g_assert_cmphex(pci->notify_data, ==, form->notify_data);
        g_assert_cmpuint(pci->notify_data_valid, !=, 0);
    } else {
        g_assert_cmpuint(pci->notify_data_valid, ==, 0);
    }
    machine_finish(machine);
}

/* ---- what drivers do ---- */

/* Each queue is notified as the text asks for, and hears of it; frames and commands go through. */
static void check_driver(const struct form *form, uint32_t multiplier)
{
    struct machine *machine = boot(form, multiplier);
    uint64_t before[N_QUEUES] = {0};
    struct guest_packet packet;

    who(machine, before);
    for (unsigned queue = 0; queue < N_QUEUES; queue++) {
        who(machine, before);
        guest_queue_notify(machine->driver, queue);
        g_assert_cmpuint(who(machine, before), ==, queue);
    }
    for (unsigned i = 0; i < 300; i++) {
        const unsigned pair = i % PAIRS;

        g_assert_true(net_transmit(machine->net, pair, NULL, frame, sizeof(frame)));
        g_assert_cmpuint(machine_drain(machine, pair), ==, 1);
        g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
        g_assert_true(net_receive(machine->net, &packet));
        g_assert_cmpint(net_control_rx(machine->net, 0, i % 2), ==, VIRTIO_NET_OK);
    }
    g_assert_null(machine_violation(machine, VIONET_VIOLATION_NOTIFY_QUEUE));
    g_assert_null(machine_violation(machine, VIONET_VIOLATION_NOTIFY_DATA));
    machine_finish(machine);
}

/* ---- every value (C-02) ---- */

static void check_value(struct machine *machine, const struct form *form, uint32_t multiplier,
                        unsigned queue, unsigned size, uint64_t value, uint64_t before[N_QUEUES])
{
    const unsigned expected = named(form, multiplier, queue, (uint16_t)value);

    write_at(machine, (uint64_t)queue * multiplier, size, value);
    if (who(machine, before) != expected) {
        g_test_message("%s, multiplier %u, queue %u, %u octets: 0x%" G_GINT64_MODIFIER "x",
                       form->name, multiplier, queue, size, value);
        g_test_fail();
    }
}

static void check_values(struct machine *machine, const struct form *form, uint32_t multiplier)
{
    uint64_t before[N_QUEUES] = {0};

    who(machine, before);
    for (unsigned queue = 0; queue < (multiplier ? N_QUEUES : 1); queue++) {
        for (unsigned value = 0; value < 0x10000; value++) {
            check_value(machine, form, multiplier, queue, 2, value, before);
            check_value(machine, form, multiplier, queue, 4, value | 0x8001u << 16, before);
        }
    }
}

static void check_all_values(const struct form *form, uint32_t multiplier)
{
    /* Before DRIVER_OK nothing is executed, but nothing is out of place either. */
    static const struct form nothing_negotiated = {.name = "before"};
    struct machine *machine = new_machine(form, multiplier, NULL);

    if (!machine || !guest_driver_probe(machine->driver)) {
        g_error("no machine");
    }
    check_values(machine, &nothing_negotiated, multiplier);
    g_assert_cmpuint(machine->kicks, ==, 0);
    g_assert_true(machine_boot(machine, features_known()));
    check_values(machine, form, multiplier);
    g_assert_cmphex(guest_driver_status(machine->driver), ==, 0xf);
    machine_finish(machine);
}

/* Writes that no form knows: one octet, off the queue's address, past the last queue. */
static void check_places(const struct form *form, uint32_t multiplier)
{
    struct machine *machine = boot(form, multiplier);
    const uint32_t length = machine->driver->pci.notify.length;
    uint64_t before[N_QUEUES] = {0};

    who(machine, before);
    for (uint64_t offset = 0; offset < length + 64; offset += offset < 64 ? 1 : 61) {
        const bool address = multiplier ? offset % multiplier == 0 : offset == 0;

        for (unsigned id = 0; id < N_QUEUES; id++) {
            write_at(machine, offset, 1, id);
            g_assert_cmpuint(who(machine, before), ==, NOBODY);
            if (!address || offset >= length) {
                write_at(machine, offset, 2, id);
                write_at(machine, offset, 4, id);
                write_at(machine, offset, 8, id);
                g_assert_cmpuint(who(machine, before), ==, NOBODY);
            }
        }
    }
    machine_finish(machine);
}

/* Nothing is read from there. */
static void check_reads(const struct form *form, uint32_t multiplier)
{
    struct machine *machine = boot(form, multiplier);
    const struct pci_window *notify = &machine->driver->pci.notify;
    uint64_t before[N_QUEUES] = {0};

    who(machine, before);
    for (uint64_t offset = 0; offset < notify->length; offset++) {
        for (unsigned size = 1; size <= 8; size *= 2) {
            g_assert_cmphex(
                vionet_pci_bar_read(machine->pci, notify->bar, notify->offset + offset, size), ==,
                0);
        }
    }
    g_assert_cmpuint(who(machine, before), ==, NOBODY);
    machine_finish(machine);
}

struct check {
    const char *path;
    void (*function)(const struct form *form, uint32_t multiplier);
};

static const struct check checks[] = {
    {"/notify/capability-covers-each-queue", check_capability},
    {"/notify/driver-reaches-each-queue", check_driver},
    {"/notify/C-02/each-value-at-each-queue", check_all_values},
    {"/notify/C-02/other-places-and-widths", check_places},
    {"/notify/reads-give-zero", check_reads},
};

static void run_check(gconstpointer data)
{
    const struct check *check = data;

    for (unsigned f = 0; f < G_N_ELEMENTS(forms); f++) {
        for (unsigned m = 0; m < G_N_ELEMENTS(multipliers); m++) {
            if (goes_with(&forms[f], multipliers[m])) {
                check->function(&forms[f], multipliers[m]);
            }
        }
    }
}

/* ---- features that the driver declines ---- */

/* The form follows what was negotiated, not what was offered; the draft is offered and not agreed. */
static void test_declined(void)
{
    static const struct form index = {.name = "index"};
    static const unsigned declined[] = {VIRTIO_F_NOTIFICATION_DATA, VIRTIO_F_NOTIF_CONFIG_DATA};

    for (unsigned f = 0; f < G_N_ELEMENTS(forms); f++) {
        struct machine *machine = new_machine(&forms[f], 4, NULL);
        struct guest_features wanted = features_known();

        features_remove(&wanted, declined[0]);
        features_remove(&wanted, declined[1]);
        g_assert_true(machine_boot(machine, wanted));
        g_assert_cmphex(guest_common_read(machine->driver, 56, 2), ==, 0);
        check_values(machine, &index, 4);
        machine_finish(machine);
    }
}

/* From one life to the next: what a reset ends is over. */
static void test_form_after_reset(void)
{
    static const struct form index = {.name = "index"};
    const struct form *form = &forms[2];
    struct machine *machine = boot(form, 4);

    g_assert_true(guest_driver_reset(machine->driver));
    check_values(machine, &index, 4);
    g_assert_true(machine_boot(machine, features_known()));
    check_values(machine, form, 4);
    machine_finish(machine);
}

/* ---- events ---- */

static void test_events(void)
{
    struct machine *machine = boot(&forms[6], 4); /* the draft */
    const VionetEvent *event;

    machine_forget_events(machine);
    write_at(machine, 4 * 3, 4, 0x12345678);
    event = machine_violation(machine, VIONET_VIOLATION_NOTIFY_DATA);
    g_assert_nonnull(event);
    g_assert_cmpuint(event->queue, ==, 3);
    g_assert_cmphex(event->value, ==, 0x12345678);
    machine_finish(machine);
    machine = boot(&forms[0], 0);
    machine_forget_events(machine);
    write_at(machine, 0, 2, 1234);
    event = machine_violation(machine, VIONET_VIOLATION_NOTIFY_QUEUE);
    g_assert_nonnull(event);
    g_assert_cmpuint(event->value, ==, 1234);
    g_assert_cmpuint(vionet_device_violations(machine->device, VIONET_VIOLATION_NOTIFY_QUEUE), ==,
                     1);
    machine_finish(machine);
}

/* notifications without buffers are answered by constant work and no event. */
static void test_storm(void)
{
    struct machine *machine = boot(&forms[0], 4);

    machine_forget_events(machine);
    for (unsigned i = 0; i < 1000000; i++) {
        write_at(machine, 4 * (i % N_QUEUES), 2, i % N_QUEUES);
    }
    g_assert_cmpuint(machine->n_events, ==, 0);
    g_assert_cmpuint(kicks(machine, 4), >=, 200000);
    g_assert_cmpint(net_control_rx(machine->net, 0, true), ==, VIRTIO_NET_OK);
    machine_finish(machine);
}

/* ---- what is not offered together ---- */

static void test_refusals(void)
{
    static const struct {
        struct form form;
        uint32_t multiplier;
        const char *words; /* NULL: it is fine */
    } rows[] = {
        {{.name = "index"}, 0, NULL},
        {{.name = "index"}, 1, "multiplier"},
        {{.name = "index"}, 2, NULL},
        {{.name = "index"}, 3, "multiplier"},
        {{.name = "index"}, 6, "multiplier"},
        {{.name = "index"}, 8, NULL},
        {{.name = "index"}, 65536, NULL},
        {{.name = "index"}, 131072, "multiplier"},
        {{.name = "index"}, 0x80000000, "multiplier"},
        {{.name = "index"}, 0xffffffff, "multiplier"},
        {{.name = "position", .data = true}, 0, NULL},
        {{.name = "position", .data = true}, 2, "multiplier"},
        {{.name = "position", .data = true}, 4, NULL},
        {{.name = "draft", .data = true, .draft = true}, 0, "multiplier"},
        {{.name = "draft", .data = true, .draft = true}, 4, NULL},
        {{.name = "draft", .draft = true}, 4, "VIRTIO_F_NOTIFICATION_DATA"},
        {{.name = "both", .data = true, .config = true, .draft = true},
         4,
         "VIRTIO_F_NOTIF_CONFIG_DATA"},
        {{.name = "base", .config = true, .base = 0x10000 - N_QUEUES}, 4, NULL},
        {{.name = "base", .config = true, .base = 0x10000 - N_QUEUES + 1}, 4, "notif_config_base"},
        {{.name = "base", .config = true, .base = 0xffff}, 0, "notif_config_base"},
        {{.name = "base of no use", .base = 0xffff}, 0, NULL},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        GError *error = NULL;
        struct machine *machine = new_machine(&rows[i].form, rows[i].multiplier, &error);

        g_assert_cmpint(machine != NULL, ==, rows[i].words == NULL);
        if (rows[i].words) {
            g_assert_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG);
            g_assert_nonnull(strstr(error->message, rows[i].words));
        }
        g_clear_error(&error);
        machine_free(machine);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_set_nonfatal_assertions();
    for (unsigned i = 0; i < G_N_ELEMENTS(checks); i++) {
        g_test_add_data_func(checks[i].path, &checks[i], run_check);
    }
    g_test_add_func("/notify/declined-forms-are-not-used", test_declined);
    g_test_add_func("/notify/form-ends-with-a-reset", test_form_after_reset);
    g_test_add_func("/notify/wrong-ones-are-events", test_events);
    g_test_add_func("/notify/X-02/storm", test_storm);
    g_test_add_func("/notify/refused/each-with-its-reason", test_refusals);
    return g_test_run();
}
