/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Drivers that break the rules of the rings (VIRTIO 1.4, 2.6 to 2.8), in each kind of queue, direct
 * and indirect, in rings of several sizes and forms; split, or packed if VIONET_TEST_RING says so. What has to follow is always the same:
 * the call returns; the violation is named, with queue, descriptor and value; it is counted; the
 * status says DEVICE_NEEDS_RESET and the driver is told; no octet of guest memory has changed but
 * the words by which that queue asks for notifications; the other queues go on; a reset mends
 * all.
 *
 * Letters with numbers are those of the catalogue of what broke other devices.
 */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include <glib.h>

#include <vionet/spec.h>
#include <vionet/transport.h>

#include "driver/bytes.h"
#include "driver/net_private.h"
#include "driver/packed.h"
#include "driver/queue.h"
#include "driver/split.h"
#include "machine/machine.h"

#define NEXT  VIRTQ_DESC_F_NEXT
#define WRITE VIRTQ_DESC_F_WRITE
#define TABLE VIRTQ_DESC_F_INDIRECT
#define PAGE  UINT64_C(4096)

#define MEMORY_BASE UINT64_C(0x100000)
#define AREA_SIZE   UINT64_C(0x8000)

/* Id of the buffers that are written by hand in packed rings: the device need not know what it is. */
#define ID 0xfedc

static bool packed; /* the format, of all rings of this run */

/* ---- An attack ---- */

enum victim { RECEIVE, TRANSMIT, CONTROL, N_VICTIMS };

static const char *const victim_names[] = {"receive", "transmit", "control"};

struct variant {
    uint16_t size;
    bool event_idx, in_order;
    bool no_indirect;
    bool in_table; /* the chain stands in an indirect table */
};

struct attack {
    struct machine *machine;
    struct variant variant;
    enum victim victim;
    unsigned index;   /* of the queue */
    struct virtq *vq; /* its ring */
    uint64_t area;    /* memory for whatever is wanted, of AREA_SIZE */
    uint64_t table;   /* the rest of it: room for a table */
    uint64_t end;     /* where guest memory ends */
    uint16_t avail;   /* index of the next buffer (split) */
    bool too_small;   /* the ring, for what was to be written into it (packed) */
    uint8_t *copy;    /* of all guest memory, just before */
    VionetFrame out[256];
    size_t n_out; /* frames that the host still has when the attack comes */
};

/* What the device has to say to it. */
struct verdict {
    VionetViolation violation;
    unsigned descriptor;
    uint64_t value;
};

static uint64_t memory_size(uint16_t size)
{
    return size > 256 ? UINT64_C(24) << 20 : UINT64_C(384) << 10;
}

/* What a device has at least, so that a driver can have a ring of that size. */
static uint16_t device_size(uint16_t size)
{
    uint16_t power = 2;

    while (power < size) {
        power *= 2;
    }
    return power;
}

static struct machine *machine_for(const struct variant *variant)
{
    struct guest_features wanted = features_known();
    struct machine_setup setup;
    struct machine *machine;
    GError *error = NULL;

    machine_setup_init(&setup);
    setup.device.max_pairs = 2;
    vionet_features_set(setup.device.features, VIRTIO_NET_F_MQ, true);
    vionet_features_set(setup.device.features, VIRTIO_F_IN_ORDER, true);
    setup.ring = packed ? MACHINE_PACKED : MACHINE_SPLIT;
    setup.device.receive_queue_size = device_size(variant->size);
    setup.device.transmit_queue_size = device_size(variant->size);
    setup.device.control_queue_size = device_size(variant->size);
    setup.driver.queue_size = variant->size;
    setup.memory_size = memory_size(variant->size);
    setup.net = (struct net_options){
        .receive_buffers = 4,
        .transmit_size = 2048,
        .transmit_buffers = 4,
        .control_size = 4096,
        .hold = true,
    };
    if (!variant->event_idx) {
        features_remove(&wanted, VIRTIO_F_EVENT_IDX);
    }
    if (!variant->in_order) {
        features_remove(&wanted, VIRTIO_F_IN_ORDER);
    }
    if (variant->no_indirect) {
        features_remove(&wanted, VIRTIO_F_INDIRECT_DESC);
    }
    machine = machine_new(&setup, &error);
    g_assert_no_error(error);
    g_assert_true(machine_boot(machine, wanted));
    g_assert_cmpint(net_control_pairs(machine->net, 2), ==, VIRTIO_NET_OK);
    machine_assert_no_complaints(machine);
    machine_forget_events(machine);
    return machine;
}

static void attack_begin(struct attack *attack, enum victim victim, const struct variant *variant)
{
    static const unsigned indices[] = {0, 1, 4};

    *attack = (struct attack){.victim = victim, .variant = *variant, .index = indices[victim]};
    attack->machine = machine_for(variant);
    attack->vq = guest_queue_ring(attack->machine->driver, attack->index);
    attack->area = guest_alloc(attack->machine->memory, 2 * AREA_SIZE, PAGE);
    g_assert_cmphex(attack->area, !=, GUEST_NONE);
    attack->table = attack->area + AREA_SIZE;
    attack->end = MEMORY_BASE + memory_size(variant->size);
    attack->avail = split_read_avail_idx(attack->vq);
    guest_fill(attack->machine->memory, attack->area, 2 * AREA_SIZE, 0);
    guest_driver_take_interrupts(attack->machine->driver, 0);
}

static void attack_end(struct attack *attack)
{
    /* The host is done with what it had: too late for the driver, but not for the device. */
    vionet_device_complete(attack->machine->device, 0, attack->out, attack->n_out);
    g_assert_cmpuint(vionet_device_counter(attack->machine->device, 1, VIONET_COUNTER_STALE), ==,
                     attack->n_out);
    complaints_clear(guest_driver_complaints(attack->machine->driver));
    attack->machine->net->options.hold = false;
    g_assert_true(machine_works(attack->machine));
    machine_assert_no_complaints(attack->machine);
    machine_free(attack->machine);
    g_free(attack->copy);
}

/* Where the i-th descriptor that is put stands in the ring. */
static unsigned at(const struct attack *attack, unsigned i)
{
    return packed ? packed_slot(attack->vq, i) : i;
}

/* What the flags of that one are besides. */
static uint16_t there(const struct attack *attack, unsigned i)
{
    return packed ? packed_available(attack->vq, i) : 0;
}

/*
 * Writes a descriptor; and makes one available. Packed: next is the one behind it, and with its flags
 * it is available; nobody looks before the attack.
 */
static void put(struct attack *attack, unsigned i, uint64_t addr, uint32_t len, uint16_t flags,
                uint16_t next)
{
    const struct split_desc desc = {addr, len, flags, next};
    const struct packed_desc packed_desc = {addr, len, ID, flags | there(attack, i)};

    if (!packed) {
        g_assert_true(split_write_desc(attack->vq, i, &desc));
    } else if (i < attack->variant.size) {
        g_assert_true(packed_write_desc(attack->vq, at(attack, i), &packed_desc));
    } else {
        attack->too_small = true;
    }
}

static void put_entry(const struct attack *attack, unsigned i, uint64_t addr, uint32_t len,
                      uint16_t flags, uint16_t next)
{
    const struct packed_desc entry = {addr, len, ID, flags};
    const struct split_desc desc = {addr, len, flags, next};

    g_assert_true(packed ? packed_write_table(attack->machine->memory, attack->table, i, &entry)
                         : split_write_table(attack->machine->memory, attack->table, i, &desc));
}

static void offer(struct attack *attack, uint16_t head)
{
    if (packed) {
        return;
    }
    g_assert_true(split_write_avail(attack->vq, attack->avail % attack->variant.size, head));
    split_write_avail_idx(attack->vq, ++attack->avail);
}

/* An element of the chain under attack, wherever that stands; a table has n. */
static void element(struct attack *attack, unsigned i, uint64_t addr, uint32_t len, uint16_t flags,
                    uint16_t next)
{
    if (attack->variant.in_table) {
        put_entry(attack, i, addr, len, flags, next);
    } else {
        put(attack, i, addr, len, flags, next);
    }
}

static void offer_chain(struct attack *attack, unsigned n)
{
    if (attack->variant.in_table) {
        put(attack, 0, attack->table, 16 * n, TABLE, 0);
    }
    offer(attack, 0);
}

/* The descriptor that a violation in element i of the chain is about. */
static unsigned at_element(const struct attack *attack, unsigned i)
{
    return at(attack, attack->variant.in_table ? 0 : i);
}

/* By what name the device knows the buffer under attack, once it has taken it. */
static unsigned name_of(const struct attack *attack)
{
    return packed ? ID : at(attack, 0);
}

/* Most elements of a chain: the ring's size, in a table 1024 at least. */
static unsigned limit_of(const struct attack *attack)
{
    return attack->variant.in_table ? MAX(attack->variant.size, 1024) : attack->variant.size;
}

/* Flags of an element of the kind that the queue takes, for element i of a chain. */
static uint16_t way(const struct attack *attack, unsigned i)
{
    switch (attack->victim) {
    case RECEIVE:
        return WRITE;
    case TRANSMIT:
        return 0;
    default:
        return i ? WRITE : 0;
    }
}

/* ---- Carrying it out ---- */

static void deliver(struct machine *machine)
{
    static const uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 6};

    machine_deliver(machine, frame, sizeof(frame));
}

/* Has the device look at the queue. */
static void trigger(const struct attack *attack)
{
    struct machine *machine = attack->machine;
    VionetFrame frames[8];

    guest_queue_notify(machine->driver, attack->index);
    switch (attack->victim) {
    case RECEIVE:
        deliver(machine);
        break;
    case TRANSMIT:
        vionet_device_transmit(machine->device, 0, frames, G_N_ELEMENTS(frames));
        break;
    default:
        break; /* the notification does it */
    }
}

static void copy_memory(struct attack *attack)
{
    const uint64_t size = memory_size(attack->variant.size);

    g_free(attack->copy);
    attack->copy = g_memdup2(guest_ptr(attack->machine->memory, MEMORY_BASE, size), size);
}

/* Nothing has changed but the words that ask for notifications of that queue. */
static void assert_memory(const struct attack *attack)
{
    const struct virtq_area *area = &virtq_options(attack->vq)->area;
    const uint64_t words[] = {area->device_gpa,
                              packed ? area->device_gpa + 2
                                     : area->device_gpa + 4 + 8u * attack->variant.size};
    const uint64_t size = memory_size(attack->variant.size);
    const uint8_t *now = guest_ptr(attack->machine->memory, MEMORY_BASE, size);

    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        memcpy(attack->copy + (words[i] - MEMORY_BASE), now + (words[i] - MEMORY_BASE), 2);
    }
    for (uint64_t i = 0; i < size && memcmp(now, attack->copy, size) != 0; i++) {
        if (now[i] != attack->copy[i]) {
            g_test_message("0x%" G_GINT64_MODIFIER "x has changed", MEMORY_BASE + i);
            g_assert_not_reached();
        }
    }
}

static unsigned count_violations(const struct machine *machine)
{
    unsigned n = 0;

    for (unsigned i = 0; i < MIN(machine->n_events, MACHINE_MAX_EVENTS); i++) {
        n += machine->events[i].kind == VIONET_EVENT_VIOLATION;
    }
    return n;
}

/* D-12: the sentence names the section, and no number that is not the event's: no address of ours, no octets. */
static void assert_sentence(const VionetEvent *event)
{
    const VionetViolationInfo *info = vionet_violation_info(event->violation);
    const char *number;
    char text[256];

    vionet_event_describe(event, text, sizeof(text));
    g_assert_nonnull(strstr(text, info->section));
    g_assert_null(strchr(text, '%'));
    g_assert_true(info->fatal);
    for (number = strstr(text, "0x"); number; number = strstr(number + 2, "0x")) {
        g_assert_cmphex(g_ascii_strtoull(number, NULL, 16), ==, event->value);
    }
}

static void assert_verdict(const struct attack *attack, const struct verdict *verdict)
{
    const struct machine *machine = attack->machine;
    const VionetEvent *event = machine_violation(machine, verdict->violation);

    g_assert_nonnull(event);
    g_assert_cmpuint(event->queue, ==, attack->index);
    g_assert_cmphex(event->descriptor, ==, verdict->descriptor);
    g_assert_cmphex(event->value, ==, verdict->value);
    g_assert_cmpuint(count_violations(machine), ==, 1);
    g_assert_cmpuint(vionet_device_violations(machine->device, verdict->violation), ==, 1);
    assert_sentence(event);
}

/* Frames on the other pair, commands if that queue was spared. */
static void others_go_on(const struct attack *attack)
{
    static const uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 6};
    struct machine *machine = attack->machine;
    struct guest_packet packet;

    g_assert_true(net_transmit(machine->net, 1, NULL, frame, sizeof(frame)));
    g_assert_cmpuint(machine_drain(machine, 1), ==, 1);
    g_assert_cmpuint(net_reclaim(machine->net, 1), ==, 1);
    if (attack->victim == TRANSMIT) {
        net_post(machine->net, 0, 1);
    } else {
        g_assert_true(attack->victim == RECEIVE ||
                      net_transmit(machine->net, 0, NULL, frame, sizeof(frame)));
        g_assert_cmpuint(machine_drain(machine, 0), ==, attack->victim == CONTROL);
        net_post(machine->net, attack->victim == RECEIVE, 1);
    }
    g_assert_cmpint(machine_deliver(machine, frame, sizeof(frame)), ==, VIONET_DELIVERED);
    g_assert_true(net_receive_pair(machine->net, attack->victim == RECEIVE, &packet));
    g_assert_cmpmem(packet.data, packet.len, frame, sizeof(frame));
    if (attack->victim != CONTROL) {
        g_assert_cmpint(net_control_rx(machine->net, VIRTIO_NET_CTRL_RX_PROMISC, true), ==,
                        VIRTIO_NET_OK);
    }
}

static uint8_t status_of(const struct attack *attack)
{
    return guest_driver_status(attack->machine->driver);
}

/* Triggers what was prepared and asserts all that has to follow. */
static void carry_out(struct attack *attack, const struct verdict *verdict)
{
    g_assert_false(status_of(attack) & VIRTIO_STATUS_DEVICE_NEEDS_RESET);
    copy_memory(attack);
    trigger(attack);
    assert_verdict(attack, verdict);
    g_assert_true(status_of(attack) & VIRTIO_STATUS_DEVICE_NEEDS_RESET);
    g_assert_cmpuint(guest_driver_take_interrupts(attack->machine->driver, 0), ==, 1);
    for (unsigned i = 0; i < 3; i++) {
        trigger(attack);
    }
    assert_verdict(attack, verdict); /* said once */
    assert_memory(attack);
    g_assert_cmpuint(guest_driver_take_interrupts(attack->machine->driver, 0), ==, 0);
    others_go_on(attack);
}

/* ---- What is done ---- */

/* Prepares an attack and says what has to follow. False if it is none in a ring of that size. */
typedef bool spoil(struct attack *attack, uint64_t arg, struct verdict *verdict);

/* 0 and 1 stand for the ring's size and one more. */
static uint16_t past_the_ring(const struct attack *attack, uint64_t arg)
{
    return (uint16_t)(arg < 2 ? attack->variant.size + arg : arg);
}

/* */
static bool spoil_head(struct attack *attack, uint64_t arg, struct verdict *verdict)
{
    const uint16_t head = past_the_ring(attack, arg);

    if (head < attack->variant.size) {
        return false;
    }
    offer(attack, head);
    *verdict = (struct verdict){VIONET_VIOLATION_HEAD_RANGE, VIONET_NONE, head};
    return true;
}

/* arg is how far ahead, 0 and 1 stand for one and two more than the ring. */
static bool spoil_index(struct attack *attack, uint64_t arg, struct verdict *verdict)
{
    const uint16_t jump = (uint16_t)(past_the_ring(attack, arg) + (arg < 2 ? 1 : 0));

    if (jump <= attack->variant.size) {
        return false;
    }
    for (unsigned i = 0; i < attack->variant.size; i++) {
        split_write_avail(attack->vq, i, 0);
    }
    put(attack, 0, attack->area, 100, way(attack, 0), 0);
    split_write_avail_idx(attack->vq, (uint16_t)(attack->avail + jump));
    *verdict = (struct verdict){VIONET_VIOLATION_AVAIL_JUMP, VIONET_NONE, jump};
    return true;
}

/* octets of each element in the high half, where the cycle begins in the low one. */
#define CYCLE(octets, from) ((uint64_t)(octets) << 32 | (from))
#define LAST                0xffffffffu

static bool spoil_cycle(struct attack *attack, uint64_t arg, struct verdict *verdict)
{
    const unsigned n = attack->variant.size;
    const unsigned back_to = (uint32_t)arg == LAST ? n - 1 : (uint32_t)arg;

    for (unsigned i = 0; i < n; i++) {
        element(attack, i, attack->area, (uint32_t)(arg >> 32), NEXT | way(attack, i),
                (uint16_t)(i + 1 < n ? i + 1 : back_to));
    }
    if (attack->victim == CONTROL) {
        /* Back to writable ones, else another rule is broken first. */
        element(attack, n - 1, attack->area, (uint32_t)(arg >> 32), NEXT | WRITE,
                (uint16_t)(n - 1));
    }
    offer_chain(attack, n);
    *verdict = (struct verdict){VIONET_VIOLATION_CHAIN_LENGTH, at(attack, 0), limit_of(attack)};
    return true;
}

static bool spoil_self_cycle(struct attack *attack, uint64_t arg, struct verdict *verdict)
{
    const uint16_t flags = attack->victim == CONTROL ? WRITE : way(attack, 0);

    element(attack, 0, attack->area, (uint32_t)arg, NEXT | flags, 0);
    offer_chain(attack, 1);
    *verdict = (struct verdict){VIONET_VIOLATION_CHAIN_LENGTH, 0, limit_of(attack)};
    return true;
}

/* arg is next, 0 and 1 stand for the first two beyond. */
static bool spoil_next(struct attack *attack, uint64_t arg, struct verdict *verdict)
{
    const unsigned n = attack->variant.in_table ? 2 : attack->variant.size;
    const uint16_t next = (uint16_t)(arg < 2 ? n + arg : arg);

    element(attack, 0, attack->area, 10, NEXT | way(attack, 0), 1);
    element(attack, 1, attack->area, 10, NEXT | way(attack, 1), next);
    offer_chain(attack, n);
    *verdict = (struct verdict){VIONET_VIOLATION_NEXT_RANGE, 0, next};
    return true;
}

/* arg is the table's length; 0 there is as bad as any. */
static bool spoil_table_length(struct attack *attack, uint64_t arg, struct verdict *verdict)
{
    const unsigned i = packed ? 0 : 1;

    put(attack, i, attack->table, (uint32_t)arg, TABLE, 0);
    put_entry(attack, 0, attack->area, 100, way(attack, 0), 0);
    offer(attack, 1);
    *verdict = (struct verdict){VIONET_VIOLATION_INDIRECT_LENGTH, at(attack, i), arg};
    return true;
}

static bool spoil_table_too_long(struct attack *attack, uint64_t arg, struct verdict *verdict)
{
    return spoil_table_length(attack, 16 * (MAX(attack->variant.size, 1024) + arg), verdict);
}

/* Places that are no memory, or not all of it. */
enum place {
    BELOW,
    ABOVE,
    ACROSS_THE_END,
    NULL_ADDRESS,
    BAR_REGISTERS,
    BAR_TABLE,
    TOP_PAGE,
    TOP_OCTET,
    FAR,
    READ_ONLY,
};

/* An address of that kind, of which the first octets octets would be good if any are. */
static uint64_t address_of(const struct attack *attack, enum place place, uint64_t octets)
{
    const struct pci_function *pci = &attack->machine->driver->pci;

    switch (place) {
    case BELOW:
        return MEMORY_BASE - PAGE;
    case ABOVE:
        return attack->end;
    case ACROSS_THE_END:
        return attack->end - octets;
    case BAR_REGISTERS:
        return pci->bars[pci->common.bar].address;
    case BAR_TABLE:
        return pci->bars[pci->msix.table_bar].address;
    case TOP_PAGE:
        return UINT64_MAX - PAGE + 1;
    case TOP_OCTET:
        return UINT64_MAX;
    case FAR:
        return UINT64_C(1) << 63;
    case READ_ONLY:
        return UINT64_C(0x80000000);
    default:
        return 0;
    }
}

static bool spoil_table_address(struct attack *attack, uint64_t arg, struct verdict *verdict)
{
    const uint64_t addr = address_of(attack, (enum place)arg, 16);
    const uint64_t table = attack->table;

    if (arg == ACROSS_THE_END) {
        attack->table = addr;
        put_entry(attack, 0, attack->area, 100, NEXT | way(attack, 0), 1);
        attack->table = table;
    }
    put(attack, 0, addr, 32, TABLE, 0);
    offer(attack, 0);
    *verdict = (struct verdict){VIONET_VIOLATION_ADDRESS, at(attack, 0),
                                arg == ACROSS_THE_END ? attack->end : addr};
    return true;
}

/* D-01 to D-06, R-18, R-19: a buffer there. */
static bool spoil_address(struct attack *attack, uint64_t arg, struct verdict *verdict)
{
    const uint64_t addr = address_of(attack, (enum place)arg, 10);
    const uint32_t len = arg == TOP_PAGE ? 8192 : arg == TOP_OCTET ? 1 : 100;
    static uint8_t page[4096] __attribute__((aligned(4096)));
    unsigned i = 0;

    if (arg == READ_ONLY) {
        vionet_device_map(attack->machine->device, addr, page, 4096, VIONET_MAP_READONLY, NULL);
    }
    if (attack->victim == CONTROL) {
        /* The command itself is right; where its answer should go is not. */
        bytes_put16(guest_ptr(attack->machine->memory, attack->area, 2), 0);
        element(attack, i++, attack->area, 3, NEXT, 1);
    }
    element(attack, i, addr, len, way(attack, i), 0);
    offer_chain(attack, i + 1);
    *verdict = (struct verdict){VIONET_VIOLATION_ADDRESS, at_element(attack, i), addr};
    return true;
}

/* arg is a length that is more than there is. */
static bool spoil_length(struct attack *attack, uint64_t arg, struct verdict *verdict)
{
    for (unsigned i = 0; i < 2; i++) {
        element(attack, i, attack->area, (uint32_t)arg, (i ? 0 : NEXT) | way(attack, i), 1);
    }
    offer_chain(attack, 2);
    *verdict = (struct verdict){VIONET_VIOLATION_ADDRESS, at_element(attack, 0), attack->area};
    return true;
}

static bool spoil_length_of_last_page(struct attack *attack, uint64_t arg, struct verdict *verdict)
{
    element(attack, 0, attack->end - PAGE, (uint32_t)arg, way(attack, 0), 0);
    offer_chain(attack, 1);
    *verdict =
        (struct verdict){VIONET_VIOLATION_ADDRESS, at_element(attack, 0), attack->end - PAGE};
    return true;
}

/* 2^32 octets and one, all of them memory, through a table. */
static bool spoil_octets(struct attack *attack, uint64_t arg, struct verdict *verdict)
{
    const uint16_t flags = attack->victim == TRANSMIT ? 0 : WRITE;
    const uint32_t each = 1u << 22;

    (void)arg;
    if (attack->variant.size != 256) {
        return false; /* slow, and all the same */
    }
    for (unsigned i = 0; i < 1024; i++) {
        put_entry(attack, i, 0x40000000, each, flags | (i < 1023 ? NEXT : 0), (uint16_t)(i + 1));
    }
    put_entry(attack, 1023, 0x40000000, each + 1, flags, 0);
    offer_chain(attack, 1024);
    *verdict =
        (struct verdict){VIONET_VIOLATION_CHAIN_OCTETS, at(attack, 0), (UINT64_C(1) << 32) + 1};
    return true;
}

/* readable behind writable; octets of the writable one. */
static bool spoil_order(struct attack *attack, uint64_t arg, struct verdict *verdict)
{
    element(attack, 0, attack->area, (uint32_t)arg, NEXT | WRITE, 1);
    element(attack, 1, attack->area + 100, 100, 0, 0);
    offer_chain(attack, 2);
    *verdict = (struct verdict){VIONET_VIOLATION_READABLE_AFTER_WRITABLE, at_element(attack, 1),
                                at(attack, 0)};
    return true;
}

/* */
static bool spoil_nested(struct attack *attack, uint64_t arg, struct verdict *verdict)
{
    for (unsigned i = 0; i < arg; i++) {
        put_entry(attack, i, attack->area, 10, NEXT | way(attack, i), (uint16_t)(i + 1));
    }
    put_entry(attack, (unsigned)arg, attack->table, 32, TABLE, 0);
    offer_chain(attack, (unsigned)arg + 1);
    *verdict = (struct verdict){VIONET_VIOLATION_INDIRECT_NESTED, 0, arg};
    return true;
}

/* arg has flags that stand beside both. */
static bool spoil_table_and_next(struct attack *attack, uint64_t arg, struct verdict *verdict)
{
    const uint16_t flags = (uint16_t)(TABLE | NEXT | arg);
    const unsigned i = packed ? 0 : 1;

    put_entry(attack, 0, attack->area, 100, way(attack, 0), 0);
    put(attack, 0, attack->area, 10, NEXT | way(attack, 0), 1);
    put(attack, i, attack->table, 16, flags, 0);
    offer(attack, 0);
    *verdict = (struct verdict){VIONET_VIOLATION_INDIRECT_WITH_NEXT, at(attack, i),
                                flags | there(attack, i)};
    return true;
}

/* 2.8.7: a list is of descriptors or of one table; arg is how many stand in front of it. */
static bool spoil_mixed(struct attack *attack, uint64_t arg, struct verdict *verdict)
{
    const unsigned n = (unsigned)arg;

    for (unsigned i = 0; i < n; i++) {
        put(attack, i, attack->area, 10, NEXT | way(attack, i), 0);
    }
    put_entry(attack, 0, attack->area, 100, way(attack, n), 0);
    put(attack, n, attack->table, 16, TABLE, 0);
    *verdict = (struct verdict){VIONET_VIOLATION_INDIRECT_MIXED, at(attack, n), at(attack, 0)};
    return true;
}

/* 2.8.6: the last of a list is not there; arg has its bits AVAIL and USED, in a round of 1. */
static bool spoil_unavailable(struct attack *attack, uint64_t arg, struct verdict *verdict)
{
    const unsigned n = attack->variant.size - 1u;
    struct packed_desc desc = {attack->area, 10, ID, way(attack, n)};

    if (n == 0) {
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        put(attack, i, attack->area, 10, NEXT | way(attack, i), 0);
    }
    desc.flags |= there(attack, n) == VIRTQ_DESC_F_AVAIL
                      ? (uint16_t)arg
                      : (uint16_t)arg ^ (VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED);
    g_assert_true(packed_write_desc(attack->vq, at(attack, n), &desc));
    *verdict = (struct verdict){VIONET_VIOLATION_CHAIN_UNAVAILABLE, at(attack, n), at(attack, 0)};
    return true;
}

static bool spoil_unasked_table(struct attack *attack, uint64_t arg, struct verdict *verdict)
{
    (void)arg;
    put_entry(attack, 0, attack->area, 100, way(attack, 0), 0);
    offer_chain(attack, 1);
    *verdict = (struct verdict){VIONET_VIOLATION_INDIRECT_NOT_NEGOTIATED, at(attack, 0),
                                TABLE | there(attack, 0)};
    return true;
}

/* 5.1.6.3.1: arg is the room in the buffer, less than a header. */
static bool spoil_receive_buffer(struct attack *attack, uint64_t arg, struct verdict *verdict)
{
    element(attack, 0, attack->area, 20, NEXT, 1);
    element(attack, 1, attack->area + 100, (uint32_t)arg, WRITE, 0);
    offer_chain(attack, 2);
    *verdict = (struct verdict){VIONET_VIOLATION_RECEIVE_BUFFER, name_of(attack), arg};
    return true;
}

/* 5.1.6.5: readable octets in the low half, writable ones in the high half. */
static bool spoil_command(struct attack *attack, uint64_t arg, struct verdict *verdict)
{
    element(attack, 0, attack->area, (uint32_t)arg, NEXT, 1);
    element(attack, 1, attack->area + 100, (uint32_t)(arg >> 32), WRITE, 0);
    offer_chain(attack, 2);
    *verdict =
        (struct verdict){VIONET_VIOLATION_CONTROL_UNANSWERABLE, name_of(attack), (uint32_t)arg};
    return true;
}

/* the same head again while it is out; elsewhere no buffer is, between two calls. */
static bool spoil_head_twice(struct attack *attack, uint64_t arg, struct verdict *verdict)
{
    (void)arg;
    element(attack, 0, attack->area, 12 + 60, 0, 0);
    offer_chain(attack, 1);
    attack->n_out = vionet_device_transmit(attack->machine->device, 0, attack->out, 2);
    g_assert_cmpuint(attack->n_out, ==, 1);
    offer(attack, 0);
    *verdict = (struct verdict){VIONET_VIOLATION_HEAD_IN_FLIGHT, 0, 1};
    return true;
}

/* more out than there are descriptors. */
static bool spoil_too_many(struct attack *attack, uint64_t arg, struct verdict *verdict)
{
    (void)arg;
    if (attack->variant.size > 256) {
        return false;
    }
    for (uint16_t i = 0; i < attack->variant.size; i++) {
        put(attack, i, attack->area, 12 + 60, 0, 0);
        offer(attack, i);
    }
    attack->n_out = vionet_device_transmit(attack->machine->device, 0, attack->out, 256);
    g_assert_cmpuint(attack->n_out, ==, attack->variant.size);
    offer(attack, 0);
    *verdict = (struct verdict){VIONET_VIOLATION_AVAIL_JUMP, VIONET_NONE, 1};
    if (packed) {
        /* The place of the first one, as if that had been given back. */
        const uint16_t next_round = packed_available(attack->vq, attack->variant.size);
        const struct packed_desc desc = {attack->area, 12 + 60, ID, next_round};

        g_assert_true(packed_write_desc(attack->vq, at(attack, 0), &desc));
        verdict->value = attack->variant.size + 1u;
    }
    return true;
}

/* ---- The table ---- */

/* Where the chain of a case stands: in the ring, in a table, in either. */
enum { RING = 1, IN_TABLE = 2, EITHER = 3 };

static const struct hostile_case {
    const char *name;
    spoil *spoil;
    uint64_t arg;
    unsigned where;
    enum { IN_BOTH, IN_SPLIT, IN_PACKED } format;
} hostile_cases[] = {
    {"R-04/head-is-the-size", spoil_head, 0, RING, IN_SPLIT},
    {"R-04/head-is-one-more", spoil_head, 1, RING, IN_SPLIT},
    {"R-04/head-is-7fff", spoil_head, 0x7fff, RING, IN_SPLIT},
    {"R-04/head-is-ffff", spoil_head, 0xffff, RING, IN_SPLIT},
    {"R-05/avail-index-one-past-queue-size", spoil_index, 0, RING, IN_SPLIT},
    {"R-05/avail-index-two-past-queue-size", spoil_index, 1, RING, IN_SPLIT},
    {"R-05/avail-index-8000-ahead", spoil_index, 0x8000, RING, IN_SPLIT},
    {"R-05/avail-index-goes-back", spoil_index, 0xffff, RING, IN_SPLIT},
    {"R-02/head-twice", spoil_head_twice, 0, EITHER, IN_SPLIT},
    {"R-02/more-than-the-ring", spoil_too_many, 0, RING, IN_BOTH},
    {"R-06/next-is-itself", spoil_self_cycle, 1, EITHER, IN_SPLIT},
    {"R-06/whole-ring-is-a-cycle", spoil_cycle, CYCLE(1, 0), EITHER, IN_SPLIT},
    {"R-06/whole-ring-goes-on", spoil_cycle, CYCLE(1, 0), RING, IN_PACKED},
    {"R-06/cycle-of-all-but-the-first", spoil_cycle, CYCLE(1, 1), EITHER, IN_SPLIT},
    {"R-06/cycle-behind-honest-steps", spoil_cycle, CYCLE(1, LAST), EITHER, IN_SPLIT},
    {"R-01/cycle-without-octets", spoil_cycle, CYCLE(0, 0), EITHER, IN_SPLIT},
    {"R-01/whole-ring-without-octets", spoil_cycle, CYCLE(0, 0), RING, IN_PACKED},
    {"R-01/next-is-itself-without-octets", spoil_self_cycle, 0, EITHER, IN_SPLIT},
    {"R-07/next-is-the-size", spoil_next, 0, EITHER, IN_SPLIT},
    {"R-07/next-is-one-more", spoil_next, 1, EITHER, IN_SPLIT},
    {"R-07/next-is-ffff", spoil_next, 0xffff, EITHER, IN_SPLIT},
    {"R-08/table-of-0", spoil_table_length, 0, RING, IN_BOTH},
    {"R-08/table-of-1", spoil_table_length, 1, RING, IN_BOTH},
    {"R-08/table-of-15", spoil_table_length, 15, RING, IN_BOTH},
    {"R-08/table-of-17", spoil_table_length, 17, RING, IN_BOTH},
    {"R-08/table-of-fffffff0", spoil_table_length, 0xfffffff0, RING, IN_BOTH},
    {"R-08/table-of-ffffffff", spoil_table_length, 0xffffffff, RING, IN_BOTH},
    {"R-08/table-longer-than-the-limit", spoil_table_too_long, 1, RING, IN_BOTH},
    {"R-08/table-below-memory", spoil_table_address, BELOW, RING, IN_BOTH},
    {"R-08/table-above-memory", spoil_table_address, ABOVE, RING, IN_BOTH},
    {"R-08/table-across-its-end", spoil_table_address, ACROSS_THE_END, RING, IN_BOTH},
    {"R-08/table-at-0", spoil_table_address, NULL_ADDRESS, RING, IN_BOTH},
    {"R-08/table-at-the-top", spoil_table_address, TOP_PAGE, RING, IN_BOTH},
    {"R-19/table-at-the-last-octet", spoil_table_address, TOP_OCTET, RING, IN_BOTH},
    {"D-02/table-in-the-registers", spoil_table_address, BAR_REGISTERS, RING, IN_BOTH},
    {"D-02/table-in-the-vectors", spoil_table_address, BAR_TABLE, RING, IN_BOTH},
    {"R-09/table-in-table-first", spoil_nested, 0, IN_TABLE, IN_SPLIT},
    {"R-09/table-in-table-second", spoil_nested, 1, IN_TABLE, IN_SPLIT},
    {"R-09/table-goes-on", spoil_table_and_next, 0, RING, IN_BOTH},
    {"R-09/table-goes-on-writable", spoil_table_and_next, WRITE, RING, IN_BOTH},
    {"R-09/table-second", spoil_mixed, 1, RING, IN_PACKED},
    {"R-09/table-third", spoil_mixed, 2, RING, IN_PACKED},
    {"R-13/last-is-of-the-round-before", spoil_unavailable, 0, RING, IN_PACKED},
    {"R-13/last-is-of-the-round-after", spoil_unavailable, VIRTQ_DESC_F_USED, RING, IN_PACKED},
    {"R-13/last-is-used", spoil_unavailable, VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED, RING,
     IN_PACKED},
    {"R-09/table-not-negotiated", spoil_unasked_table, 0, IN_TABLE, IN_BOTH},
    {"R-18/two-lengths-of-ffffffff", spoil_length, 0xffffffff, EITHER, IN_BOTH},
    {"R-18/fffffff0-in-the-last-page", spoil_length_of_last_page, 0xfffffff0, EITHER, IN_BOTH},
    {"R-18/one-octet-past-the-last-page", spoil_length_of_last_page, 4097, EITHER, IN_BOTH},
    {"R-18/more-than-2-32-octets", spoil_octets, 0, IN_TABLE, IN_BOTH},
    {"R-19/buffer-at-the-top", spoil_address, TOP_PAGE, EITHER, IN_BOTH},
    {"R-19/buffer-at-the-last-octet", spoil_address, TOP_OCTET, EITHER, IN_BOTH},
    {"D-01/buffer-below-memory", spoil_address, BELOW, EITHER, IN_BOTH},
    {"D-01/buffer-above-memory", spoil_address, ABOVE, EITHER, IN_BOTH},
    {"D-01/buffer-across-its-end", spoil_address, ACROSS_THE_END, EITHER, IN_BOTH},
    {"D-01/buffer-at-0", spoil_address, NULL_ADDRESS, EITHER, IN_BOTH},
    {"D-01/buffer-at-2-63", spoil_address, FAR, EITHER, IN_BOTH},
    {"D-02/buffer-in-the-registers", spoil_address, BAR_REGISTERS, EITHER, IN_BOTH},
    {"D-02/buffer-in-the-vectors", spoil_address, BAR_TABLE, EITHER, IN_BOTH},
    {"D-01/buffer-in-read-only-memory", spoil_address, READ_ONLY, EITHER, IN_BOTH},
    {"R-20/readable-behind-writable", spoil_order, 100, EITHER, IN_BOTH},
    {"R-20/readable-behind-one-octet", spoil_order, 1, EITHER, IN_BOTH},
    {"R-20/no-room-to-receive", spoil_receive_buffer, 0, EITHER, IN_BOTH},
    {"R-20/room-of-1-to-receive", spoil_receive_buffer, 1, EITHER, IN_BOTH},
    {"R-20/room-of-a-header-less-one", spoil_receive_buffer, 11, EITHER, IN_BOTH},
    {"R-20/command-without-answer", spoil_command, 10, EITHER, IN_BOTH},
    {"R-20/command-of-0", spoil_command, UINT64_C(10) << 32, EITHER, IN_BOTH},
    {"R-20/command-of-1", spoil_command, UINT64_C(10) << 32 | 1, EITHER, IN_BOTH},
    {"R-20/command-of-nothing", spoil_command, 0, EITHER, IN_BOTH},
};

/* A case in one kind of queue. */
struct hostile_test {
    const struct hostile_case *row;
    enum victim victim;
};

static struct hostile_test hostile_tests[G_N_ELEMENTS(hostile_cases) * N_VICTIMS];

static void map_room_for_octets(struct attack *attack, void *room)
{
    g_assert_true(
        vionet_device_map(attack->machine->device, 0x40000000, room, (1u << 22) + 4096, 0, NULL));
}

/* Whether the case is one in that variant: then it is carried out. */
static bool run_variant(const struct hostile_test *test, const struct variant *variant)
{
    void *room = test->row->spoil == spoil_octets
                     ? mmap(NULL, (1u << 22) + 4096, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                     : NULL;
    struct verdict verdict;
    struct attack attack;
    bool applies;

    attack_begin(&attack, test->victim, variant);
    if (room) {
        map_room_for_octets(&attack, room);
    }
    applies = test->row->spoil(&attack, test->row->arg, &verdict) && !attack.too_small;
    if (applies) {
        g_test_message("size %u%s%s%s", variant->size, variant->event_idx ? ", EVENT_IDX" : "",
                       variant->in_order ? ", IN_ORDER" : "",
                       variant->in_table ? ", in a table" : "");
        carry_out(&attack, &verdict);
    }
    attack_end(&attack);
    if (room) {
        munmap(room, (1u << 22) + 4096);
    }
    return applies;
}

/* Every size and form; the largest ring in one form. */
static void test_hostile(gconstpointer data)
{
    static const uint16_t split_sizes[] = {2, 4, 256};
    static const uint16_t packed_sizes[] = {1, 2, 4, 5, 256};
    const uint16_t *sizes = packed ? packed_sizes : split_sizes;
    const struct hostile_test *test = data;
    unsigned n = 0;

    for (size_t s = 0; s < (packed ? G_N_ELEMENTS(packed_sizes) : G_N_ELEMENTS(split_sizes)); s++) {
        for (unsigned form = 0; form < 8; form++) {
            const struct variant variant = {
                .size = sizes[s],
                .event_idx = form & 1,
                .in_order = form & 2,
                .in_table = form & 4,
                .no_indirect = test->row->spoil == spoil_unasked_table,
            };

            if (variant.size == 1 && variant.no_indirect) {
                continue; /* no command fits */
            }
            n += (test->row->where & (variant.in_table ? IN_TABLE : RING)) &&
                 run_variant(test, &variant);
        }
    }
    if (test->row->spoil == spoil_head || test->row->spoil == spoil_index ||
        (packed && test->row->spoil == spoil_cycle) || test->row->spoil == spoil_unavailable) {
        n += run_variant(test, &(struct variant){.size = 32768, .event_idx = true});
    }
    g_assert_cmpuint(n, >, 0);
}

static bool applies_to(const struct hostile_case *row, enum victim victim)
{
    if (row->format == (packed ? IN_SPLIT : IN_PACKED)) {
        return false;
    }
    if (row->spoil == spoil_receive_buffer) {
        return victim == RECEIVE;
    }
    if (row->spoil == spoil_command) {
        return victim == CONTROL;
    }
    if (row->spoil == spoil_head_twice || row->spoil == spoil_too_many) {
        return victim == TRANSMIT;
    }
    return !(row->spoil == spoil_address && row->arg == READ_ONLY && victim == TRANSMIT);
}

static const char *suite(void)
{
    return packed ? "/hostile/packed" : "/hostile";
}

static void add_hostile_cases(void)
{
    unsigned n = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(hostile_cases); i++) {
        for (unsigned v = 0; v < N_VICTIMS; v++) {
            char *path;

            if (!applies_to(&hostile_cases[i], (enum victim)v)) {
                continue;
            }
            path = g_strdup_printf("%s/%s/%s", suite(), hostile_cases[i].name, victim_names[v]);
            hostile_tests[n] = (struct hostile_test){&hostile_cases[i], (enum victim)v};
            g_test_add_data_func(path, &hostile_tests[n++], test_hostile);
            g_free(path);
        }
    }
}

/* ---- Queues that cannot start ---- */

/* A part of a queue, and an address that it cannot have. */
static const struct setup_case {
    const char *name;
    VionetViolation violation;
    VionetQueueArea area;
    uint64_t gpa;
    bool packed;
} setup_cases[] = {
    {"G-06/descriptors-misaligned", VIONET_VIOLATION_RING_MISALIGNED, VIONET_AREA_DESC, 0x140008,
     false},
    {"G-06/available-ring-misaligned", VIONET_VIOLATION_RING_MISALIGNED, VIONET_AREA_DRIVER,
     0x140001, false},
    {"G-06/used-ring-misaligned", VIONET_VIOLATION_RING_MISALIGNED, VIONET_AREA_DEVICE, 0x140002,
     false},
    {"C-10/descriptors-at-0", VIONET_VIOLATION_RING_ADDRESS, VIONET_AREA_DESC, 0, false},
    {"C-10/available-ring-at-0", VIONET_VIOLATION_RING_ADDRESS, VIONET_AREA_DRIVER, 0, false},
    {"C-10/used-ring-at-0", VIONET_VIOLATION_RING_ADDRESS, VIONET_AREA_DEVICE, 0, false},
    {"C-10/descriptors-across-the-end", VIONET_VIOLATION_RING_ADDRESS, VIONET_AREA_DESC, 0x15fff0,
     false},
    {"C-10/available-ring-across-the-end", VIONET_VIOLATION_RING_ADDRESS, VIONET_AREA_DRIVER,
     0x15fffe, false},
    {"C-10/used-ring-across-the-end", VIONET_VIOLATION_RING_ADDRESS, VIONET_AREA_DEVICE, 0x15fffc,
     false},
    {"C-10/descriptors-at-the-top", VIONET_VIOLATION_RING_ADDRESS, VIONET_AREA_DESC,
     UINT64_MAX - 15, false},
    {"C-10/available-ring-at-the-top", VIONET_VIOLATION_RING_ADDRESS, VIONET_AREA_DRIVER,
     UINT64_MAX - 1, false},
    {"D-02/used-ring-at-the-top", VIONET_VIOLATION_RING_ADDRESS, VIONET_AREA_DEVICE, UINT64_MAX - 3,
     false},
    {"D-02/used-ring-in-a-bar", VIONET_VIOLATION_RING_ADDRESS, VIONET_AREA_DEVICE, 1, false},
    {"D-02/used-ring-in-read-only-memory", VIONET_VIOLATION_RING_ADDRESS, VIONET_AREA_DEVICE,
     0x80000000, false},
    {"G-06/descriptor-ring-misaligned", VIONET_VIOLATION_RING_MISALIGNED, VIONET_AREA_DESC,
     0x140008, true},
    {"G-06/driver-events-misaligned", VIONET_VIOLATION_RING_MISALIGNED, VIONET_AREA_DRIVER,
     0x140002, true},
    {"G-06/device-events-misaligned", VIONET_VIOLATION_RING_MISALIGNED, VIONET_AREA_DEVICE,
     0x140002, true},
    {"C-10/descriptor-ring-at-0", VIONET_VIOLATION_RING_ADDRESS, VIONET_AREA_DESC, 0, true},
    {"C-10/driver-events-at-0", VIONET_VIOLATION_RING_ADDRESS, VIONET_AREA_DRIVER, 0, true},
    {"C-10/device-events-at-0", VIONET_VIOLATION_RING_ADDRESS, VIONET_AREA_DEVICE, 0, true},
    {"C-10/descriptor-ring-across-the-end", VIONET_VIOLATION_RING_ADDRESS, VIONET_AREA_DESC,
     0x15fff0, true},
    {"C-10/driver-events-behind-the-end", VIONET_VIOLATION_RING_ADDRESS, VIONET_AREA_DRIVER,
     0x160000, true},
    {"C-10/descriptor-ring-at-the-top", VIONET_VIOLATION_RING_ADDRESS, VIONET_AREA_DESC,
     UINT64_MAX - 15, true},
    {"C-10/device-events-at-the-top", VIONET_VIOLATION_RING_ADDRESS, VIONET_AREA_DEVICE,
     UINT64_MAX - 3, true},
    {"D-02/device-events-in-a-bar", VIONET_VIOLATION_RING_ADDRESS, VIONET_AREA_DEVICE, 1, true},
    {"D-02/descriptor-ring-in-read-only-memory", VIONET_VIOLATION_RING_ADDRESS, VIONET_AREA_DESC,
     0x80000000, true},
    {"D-02/device-events-in-read-only-memory", VIONET_VIOLATION_RING_ADDRESS, VIONET_AREA_DEVICE,
     0x80000000, true},
};

/* Starts the driver with that part of one queue misplaced. */
static uint64_t start_misplaced(struct machine *machine, const struct setup_case *row,
                                unsigned victim)
{
    struct guest_driver *driver = machine->driver;
    const struct pci_function *pci = &driver->pci;
    const uint64_t gpa = row->gpa == 1 ? pci->bars[pci->common.bar].address : row->gpa;

    g_assert_true(guest_driver_reset(driver));
    guest_driver_acknowledge(driver);
    guest_driver_read_features(driver);
    g_assert_true(guest_driver_negotiate(driver, features_known()));
    guest_queue_locate(driver);
    guest_common_write(driver, offsetof(struct virtio_pci_common_cfg, config_msix_vector), 2, 0);
    for (unsigned i = 0; i < driver->n_queues; i++) {
        if (i != victim) {
            g_assert_true(guest_queue_setup(driver, i, 0));
            continue;
        }
        vionet_device_write_queue_area(machine->device, i, VIONET_AREA_DESC, 0x140000);
        vionet_device_write_queue_area(machine->device, i, VIONET_AREA_DRIVER, 0x142000);
        vionet_device_write_queue_area(machine->device, i, VIONET_AREA_DEVICE, 0x144000);
        vionet_device_write_queue_area(machine->device, i, row->area, gpa);
        vionet_device_write_queue_enable(machine->device, i, 1);
        g_assert_true(vionet_device_queue_enabled(machine->device, i));
    }
    guest_driver_take_interrupts(driver, 0);
    machine_forget_events(machine);
    guest_driver_ok(driver);
    return gpa;
}

static void test_setup(gconstpointer data)
{
    static uint8_t page[4096] __attribute__((aligned(4096)));
    const struct setup_case *row = data;

    for (unsigned victim = 0; victim < 5; victim++) {
        const struct variant variant = {.size = 4, .event_idx = victim % 2};
        struct machine *machine = machine_for(&variant);
        const VionetEvent *event;
        uint64_t gpa;

        g_assert_true(
            vionet_device_map(machine->device, 0x80000000, page, 4096, VIONET_MAP_READONLY, NULL));
        gpa = start_misplaced(machine, row, victim);
        event = machine_violation(machine, row->violation);
        g_assert_nonnull(event);
        g_assert_cmpuint(event->queue, ==, victim);
        g_assert_cmphex(event->descriptor, ==, VIONET_NONE);
        g_assert_cmphex(event->value, ==, gpa);
        g_assert_cmpuint(count_violations(machine), ==, 1);
        assert_sentence(event);
        g_assert_cmphex(guest_driver_status(machine->driver), ==,
                        VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER |
                            VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_DRIVER_OK |
                            VIRTIO_STATUS_DEVICE_NEEDS_RESET);
        g_assert_cmpuint(guest_driver_take_interrupts(machine->driver, 0), ==, 1);
        for (unsigned i = 0; i < 5; i++) {
            guest_queue_notify_raw(machine->driver, i, 2, i);
        }
        deliver(machine);
        machine_drain(machine, victim / 2);
        g_assert_cmpuint(count_violations(machine), ==, 1);
        machine->net->options.hold = false;
        g_assert_true(machine_works(machine));
        machine_assert_no_complaints(machine);
        machine_free(machine);
    }
}

/* ---- Again and again ---- */

/* a thousand notifications for the same bad chain: one event, and the others are served. */
static void test_a_thousand_kicks(void)
{
    for (unsigned victim = 0; victim < N_VICTIMS; victim++) {
        const struct variant variant = {.size = 4};
        struct verdict verdict;
        struct attack attack;

        attack_begin(&attack, (enum victim)victim, &variant);
        g_assert_true(spoil_address(&attack, ABOVE, &verdict));
        carry_out(&attack, &verdict);
        for (unsigned i = 0; i < 1000; i++) {
            trigger(&attack);
            others_go_on(&attack);
        }
        assert_verdict(&attack, &verdict);
        g_assert_cmpuint(guest_driver_take_interrupts(attack.machine->driver, 0), ==, 0);
        attack_end(&attack);
    }
}

/* Each queue that is broken has its own event; the driver is told of its state once. */
static void test_queue_after_queue(void)
{
    const struct variant variant = {.size = 4, .event_idx = true};
    struct machine *machine = machine_for(&variant);
    static const unsigned order[] = {3, 0, 4, 1, 2};

    guest_driver_take_interrupts(machine->driver, 0);
    for (unsigned i = 0; i < 5; i++) {
        virtq_spoil(guest_queue_ring(machine->driver, order[i]));
        guest_queue_notify(machine->driver, order[i]);
        deliver(machine);
        machine_drain(machine, 0);
        machine_drain(machine, 1);
        g_assert_cmpuint(count_violations(machine), ==, i + 1);
        g_assert_cmpuint(machine->events[machine->n_events - 1].queue, ==, order[i]);
        g_assert_cmpuint(
            vionet_device_violations(machine->device, packed ? VIONET_VIOLATION_INDIRECT_LENGTH
                                                             : VIONET_VIOLATION_HEAD_RANGE),
            ==, i + 1);
    }
    g_assert_cmpuint(guest_driver_take_interrupts(machine->driver, 0), ==, 1);
    complaints_clear(guest_driver_complaints(machine->driver));
    machine->net->options.hold = false;
    g_assert_true(machine_works(machine));
    machine_free(machine);
}

/* What came before the bad chain in the same burst was right, and is seen. */
static void test_honest_part_of_a_burst(void)
{
    const struct variant variant = {.size = 256};
    struct iovec piece;
    VionetFrame frames[8];
    VionetVerdict verdicts[8];
    uint8_t octets[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 6};
    struct attack attack;

    attack_begin(&attack, RECEIVE, &variant);
    for (uint16_t i = 0; i < 3; i++) {
        put(&attack, packed ? 0 : i, attack.area + 256u * i, 100, WRITE, 0);
        packed_offer(attack.vq, 1, ID, NULL);
        offer(&attack, i);
    }
    if (packed) {
        put(&attack, 0, 0, 0, TABLE, 0);
    } else {
        offer(&attack, 256);
    }
    piece = (struct iovec){octets, sizeof(octets)};
    for (unsigned i = 0; i < 8; i++) {
        frames[i] = (VionetFrame){.iov = &piece, .n_iov = 1};
    }
    guest_driver_take_interrupts(attack.machine->driver, 1);
    g_assert_cmpuint(vionet_device_receive(attack.machine->device, 0, frames, 8, verdicts, 0), ==,
                     3);
    for (unsigned i = 0; i < 8; i++) {
        g_assert_cmpint(verdicts[i], ==, i < 3 ? VIONET_DELIVERED : VIONET_DROP_NOT_RUNNING);
    }
    g_assert_cmpuint(virtq_used_total(attack.vq), ==, 3);
    g_assert_cmpuint(guest_driver_take_interrupts(attack.machine->driver, 1), ==, 1);
    g_assert_nonnull(machine_violation(attack.machine, packed ? VIONET_VIOLATION_INDIRECT_LENGTH
                                                              : VIONET_VIOLATION_HEAD_RANGE));
    attack_end(&attack);
}

/* U-06: any one of a burst of buffers leads nowhere; those before it are as if there were no other. */
static void check_bad_one(unsigned bad, enum victim victim, bool event_idx)
{
    const struct variant variant = {.size = 64, .event_idx = event_idx};
    uint8_t octets[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 6};
    const struct iovec piece = {octets, sizeof(octets)};
    VionetFrame frames[32];
    struct verdict verdict;
    struct attack attack;

    attack_begin(&attack, victim, &variant);
    verdict = (struct verdict){VIONET_VIOLATION_ADDRESS, VIONET_NONE, attack.end};
    for (uint16_t i = 0; i < G_N_ELEMENTS(frames); i++) {
        put(&attack, packed ? 0 : i, i == bad ? attack.end : attack.area + 256u * i, 100,
            way(&attack, 0), 0);
        if (i == bad) {
            verdict.descriptor = at(&attack, packed ? 0 : i);
        }
        packed_offer(attack.vq, 1, ID, NULL);
        offer(&attack, i);
        frames[i] = (VionetFrame){.iov = &piece, .n_iov = 1};
    }
    if (victim == RECEIVE) {
        g_assert_cmpuint(
            vionet_device_receive(attack.machine->device, 0, frames, G_N_ELEMENTS(frames), NULL, 0),
            ==, bad);
        for (unsigned i = 0; i < G_N_ELEMENTS(frames); i++) {
            const uint64_t gpa = attack.area + 256u * i;

            g_assert_true((guest_differs(attack.machine->memory, gpa, 100, 0) == 100) ==
                          (i >= bad));
        }
        g_assert_cmpuint(virtq_used_total(attack.vq), ==, bad);
    } else {
        attack.n_out =
            vionet_device_transmit(attack.machine->device, 0, attack.out, G_N_ELEMENTS(frames));
        g_assert_cmpuint(attack.n_out, ==, bad);
    }
    assert_verdict(&attack, &verdict);
    attack_end(&attack);
}

static void test_bad_one_of_a_burst(void)
{
    for (unsigned bad = 0; bad < 32; bad++) {
        for (unsigned event_idx = 0; event_idx < 2; event_idx++) {
            check_bad_one(bad, RECEIVE, event_idx);
            check_bad_one(bad, TRANSMIT, event_idx);
        }
    }
}

/* P-03: a frame over three buffers, the second of which is bad: none of them is reported. */
static void test_second_of_three(void)
{
    for (unsigned form = 0; form < 4; form++) {
        const struct variant variant = {.size = 4, .event_idx = form & 1, .in_order = form & 2};
        struct verdict verdict;
        struct attack attack;

        attack_begin(&attack, RECEIVE, &variant);
        for (uint16_t i = 0; i < 3; i++) {
            put(&attack, i, i == 1 ? attack.end : attack.area + 256u * i, 30, WRITE, 0);
            offer(&attack, i);
        }
        verdict = (struct verdict){VIONET_VIOLATION_ADDRESS, at(&attack, 1), attack.end};
        copy_memory(&attack);
        trigger(&attack);
        assert_verdict(&attack, &verdict);
        g_assert_cmpuint(virtq_used_total(attack.vq), ==, 0);
        g_assert_cmpuint(guest_driver_take_interrupts(attack.machine->driver, 1), ==, 0);
        /*
         * The first buffer was the device's to write, and the slots of a used ring; a packed ring has
         * none to spare. Nothing else.
         */
        memcpy(attack.copy + (attack.area - MEMORY_BASE),
               guest_ptr(attack.machine->memory, attack.area, 30), 30);
        if (!packed) {
            const uint64_t used = virtq_options(attack.vq)->area.device_gpa + 4;

            memcpy(attack.copy + (used - MEMORY_BASE), guest_ptr(attack.machine->memory, used, 32),
                   32);
        }
        assert_memory(&attack);
        attack_end(&attack);
    }
}

/* A buffer with room for all but one octet of the header, for each header there is. */
static void test_header_less_one(void)
{
    static const struct {
        uint8_t feature;
        uint32_t header;
    } rows[] = {{VIRTIO_NET_F_MAC, 12}, {VIRTIO_NET_F_HASH_REPORT, 20}};

    for (size_t k = 0; k < 2 * G_N_ELEMENTS(rows); k++) {
        struct guest_features wanted = features_known();
        const uint32_t header = rows[k / 2].header;
        struct virtq_segment segment;
        struct machine_setup setup;
        struct machine *machine;

        machine_setup_init(&setup);
        vionet_features_set(setup.device.features, rows[k / 2].feature, true);
        setup.net.hold = true;
        if (k % 2) {
            features_remove(&wanted, VIRTIO_NET_F_MRG_RXBUF);
        }
        machine = machine_new(&setup, NULL);
        g_assert_true(machine_boot(machine, wanted));
        segment = (struct virtq_segment){guest_alloc(machine->memory, 64, 16), header - 1, true};
        g_assert_true(virtq_add(guest_queue_ring(machine->driver, 0), &segment, 1, NULL));
        guest_queue_kick(machine->driver, 0);
        guest_fill(machine->memory, segment.gpa, 64, 0x77);
        deliver(machine);
        g_assert_nonnull(machine_violation(machine, VIONET_VIOLATION_RECEIVE_BUFFER));
        g_assert_cmpuint(machine_violation(machine, VIONET_VIOLATION_RECEIVE_BUFFER)->value, ==,
                         header - 1);
        g_assert_cmpuint(guest_differs(machine->memory, segment.gpa, 64, 0x77), ==, 64);
        machine_free(machine);
    }
}

/* ---- The control queue ---- */

/* more commands than an index counts, in rings that they do not divide. */
static void test_70000_commands(void)
{
    static const uint16_t sizes[] = {2, 64};

    for (size_t k = 0; k < 4 * G_N_ELEMENTS(sizes); k++) {
        const struct variant variant = {
            .size = sizes[k / 4], .event_idx = k & 1, .in_order = k & 2};
        struct machine *machine = machine_for(&variant);

        for (unsigned i = 1; i < 70000; i++) {
            if (net_control_rx(machine->net, VIRTIO_NET_CTRL_RX_PROMISC, i % 2) != VIRTIO_NET_OK) {
                g_test_message("command %u", i);
                g_test_fail();
                break;
            }
            g_assert_cmpuint(net_control_used_len(machine->net), ==, 1);
        }
        g_assert_cmpuint(vionet_device_counter(machine->device, 4, VIONET_COUNTER_COMMANDS_OK), ==,
                         70000);
        machine_assert_no_complaints(machine);
        machine_free(machine);
    }
}

/* as many pairs as there can be; the control queue behind them, and nothing behind that. */
static void test_most_pairs(void)
{
    struct machine_setup setup;
    struct machine *machine;
    GError *error = NULL;

    machine_setup_init(&setup);
    setup.device.max_pairs = VIONET_MAX_PAIRS;
    vionet_features_set(setup.device.features, VIRTIO_NET_F_MQ, true);
    setup.driver.queue_size = 4;
    setup.net.receive_buffers = 2;
    setup.net.transmit_buffers = 1;
    setup.net.transmit_size = 256;
    machine = machine_new(&setup, &error);
    g_assert_no_error(error);
    g_assert_true(machine_boot(machine, features_known()));
    g_assert_cmpuint(machine->driver->control, ==, 512);
    g_assert_cmpint(net_control_pairs(machine->net, 256), ==, VIRTIO_NET_OK);
    g_assert_cmpint(net_control_pairs(machine->net, 257), ==, VIRTIO_NET_ERR);
    g_assert_true(net_reset_queue(machine->net, 512, 0));
    g_assert_cmpint(net_control_pairs(machine->net, 200), ==, VIRTIO_NET_OK);
    machine_forget_events(machine);
    for (unsigned i = 513; i < 520; i++) {
        vionet_device_kick(machine->device, i);
        g_assert_false(vionet_device_reset_queue(machine->device, i));
        vionet_device_write_queue_enable(machine->device, i, 1);
        vionet_device_timer(machine->device, i);
        vionet_device_set_poll(machine->device, i, true);
        g_assert_cmpuint(vionet_device_queue_size(machine->device, i), ==, 0);
    }
    g_assert_nonnull(machine_violation(machine, VIONET_VIOLATION_NOTIFY_QUEUE));
    g_assert_nonnull(machine_violation(machine, VIONET_VIOLATION_QUEUE_SELECT));
    g_assert_true(net_transmit(machine->net, 255, NULL, "0123456789abcdef", 16));
    g_assert_cmpuint(machine_drain(machine, 255), ==, 1);
    machine_assert_no_complaints(machine);
    machine_free(machine);
}

/* the driver has a new command for each that is answered. */
struct refill {
    unsigned left;
    unsigned calls;
};

static void add_command(struct machine *machine)
{
    struct net_control *control = &machine->net->control;
    struct virtq *vq = guest_queue_ring(machine->driver, 4);
    const struct virtq_segment segments[2] = {{control->command.gpa, 3, false},
                                              {control->reply.gpa, 1, true}};
    struct virtq_used used;

    while (virtq_poll(vq, &used)) {
    }
    g_assert_true(virtq_add(vq, segments, 2, machine));
    virtq_publish(vq);
}

static void refill_on_event(struct machine *machine, const VionetEvent *event)
{
    struct refill *refill = machine->user;

    g_assert_cmpint(event->kind, ==, VIONET_EVENT_FILTER);
    refill->calls++;
    if (refill->left) {
        refill->left--;
        add_command(machine);
    }
}

static void test_commands_without_end(void)
{
    static const uint16_t sizes[] = {2, 4, 64};

    for (size_t k = 0; k < 2 * G_N_ELEMENTS(sizes); k++) {
        const struct variant variant = {.size = sizes[k / 2], .event_idx = k % 2};
        struct machine *machine = machine_for(&variant);
        struct refill refill = {.left = 1000};
        uint64_t kicks;
        unsigned rounds = 0;

        memset(machine->net->control.command.host, 0, 3); /* PROMISC off */
        machine->user = &refill;
        machine->on_event = refill_on_event;
        add_command(machine);
        guest_queue_notify(machine->driver, 4);
        g_assert_cmpuint(refill.calls, ==, variant.size); /* and back it came */
        /* There is more, and it says so; the host goes on when it likes. */
        while (refill.calls < 1001 && rounds++ < 1001) {
            g_assert_cmpuint(machine->last_kick, ==, 4);
            kicks = machine->kicks;
            deliver(machine); /* others run in between */
            vionet_device_kick(machine->device, 4);
            g_assert_cmpuint(machine->kicks, ==, kicks + (refill.calls < 1001));
        }
        g_assert_cmpuint(refill.calls, ==, 1001);
        machine_assert_no_complaints(machine);
        machine->on_event = NULL;
        machine_free(machine);
    }
}

/* ---- Rings that are not in use (R-23) ---- */

static struct machine *machine_fenced(struct net_options net, uint64_t size)
{
    const struct guest_extent extent = {MEMORY_BASE, size};
    const struct guest_memory_options memory = {
        .extents = &extent, .n_extents = 1, .guard_pages = true};
    struct machine_setup setup;
    struct machine *machine;
    GError *error = NULL;

    machine_setup_init(&setup);
    setup.memory = &memory;
    setup.device.max_pairs = 2;
    for (unsigned bit = 0; bit < 128; bit++) {
        static const uint8_t offered[] = {
            VIRTIO_NET_F_MQ,        VIRTIO_NET_F_RSS,          VIRTIO_NET_F_HASH_REPORT,
            VIRTIO_NET_F_NOTF_COAL, VIRTIO_NET_F_VQ_NOTF_COAL, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS,
            VIRTIO_NET_F_CSUM,      VIRTIO_NET_F_GUEST_CSUM,
        };

        if (memchr(offered, (int)bit, sizeof(offered))) {
            vionet_features_set(setup.device.features, bit, true);
        }
    }
    setup.net = net;
    machine = machine_new(&setup, &error);
    g_assert_no_error(error);
    return machine;
}

/* From here on the device's view of guest memory faults, or not any more. */
static void fence(struct machine *machine, bool on)
{
    const struct guest_region *regions;
    const unsigned n = guest_memory_regions(machine->memory, &regions);

    for (unsigned i = 0; i < n; i++) {
        g_assert_cmpint(
            mprotect(regions[i].host, regions[i].size, on ? PROT_NONE : PROT_READ | PROT_WRITE), ==,
            0);
    }
}

/* All that a host may call, with frames that wait on its side. */
static void call_everything(struct machine *machine)
{
    static const uint8_t octets[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 6};
    const struct iovec piece = {(void *)octets, sizeof(octets)};
    const VionetFrame frame = {.iov = &piece, .n_iov = 1};
    VionetVerdict verdict;
    VionetFrame frames[4];

    fence(machine, true);
    for (unsigned i = 0; i < 6; i++) {
        vionet_device_kick(machine->device, i);
        vionet_device_timer(machine->device, i);
        vionet_device_set_poll(machine->device, i, true);
        vionet_device_set_poll(machine->device, i, false);
    }
    for (unsigned i = 0; i < 2; i++) {
        g_assert_cmpuint(vionet_device_transmit(machine->device, i, frames, 4), ==, 0);
        g_assert_cmpuint(
            vionet_device_receive(machine->device, i, &frame, 1, &verdict, VIONET_RECEIVE_HOLD), ==,
            0);
        g_assert_cmpint(verdict, !=, VIONET_HELD); /* nobody would come for it */
    }
    fence(machine, false);
}

static void send_some(struct machine *machine)
{
    g_assert_true(net_transmit(machine->net, 0, NULL, "0123456789abcdef", 16));
    g_assert_true(net_transmit(machine->net, 1, NULL, "0123456789abcdef", 16));
}

static void before_driver_ok(struct machine *machine)
{
    struct guest_driver *driver = machine->driver;

    call_everything(machine);
    g_assert_true(guest_driver_probe(driver));
    g_assert_true(guest_driver_reset(driver));
    call_everything(machine);
    guest_driver_acknowledge(driver);
    guest_driver_read_features(driver);
    g_assert_true(guest_driver_negotiate(driver, features_known()));
    call_everything(machine);
    g_assert_true(guest_queue_setup_all(driver));
    machine->net = net_new(driver, &machine->net_options);
    g_assert_true(net_start(machine->net));
    send_some(machine);
    call_everything(machine);
    guest_driver_ok(driver);
    g_assert_cmpuint(machine_drain(machine, 0), ==, 1);
}

static void after_reset(struct machine *machine)
{
    VionetFrame frames[2];

    g_assert_true(machine_boot(machine, features_known()));
    send_some(machine);
    g_assert_cmpuint(vionet_device_transmit(machine->device, 0, frames, 2), ==, 1);
    vionet_device_write_status(machine->device, 0);
    fence(machine, true);
    vionet_device_complete(machine->device, 0, frames, 1);
    fence(machine, false);
    call_everything(machine);
    g_assert_cmphex(guest_driver_status(machine->driver), ==, 0);
}

static void after_queue_reset(struct machine *machine)
{
    VionetFrame frames[2];

    g_assert_true(machine_boot(machine, features_known()));
    send_some(machine);
    g_assert_cmpuint(vionet_device_transmit(machine->device, 0, frames, 2), ==, 1);
    for (unsigned i = 0; i < 5; i++) {
        g_assert_true(vionet_device_reset_queue(machine->device, i));
    }
    fence(machine, true);
    vionet_device_complete(machine->device, 0, frames, 1);
    fence(machine, false);
    call_everything(machine);
}

static void without_bus_master(struct machine *machine)
{
    g_assert_true(machine_boot(machine, features_known()));
    send_some(machine);
    vionet_device_set_dma(machine->device, false);
    call_everything(machine);
    vionet_device_set_dma(machine->device, true);
    g_assert_cmpuint(machine_drain(machine, 0), ==, 1);
}

static void after_failed(struct machine *machine)
{
    g_assert_true(machine_boot(machine, features_known()));
    send_some(machine);
    guest_driver_add_status(machine->driver, VIRTIO_STATUS_FAILED);
    call_everything(machine);
}

static void never_enabled(struct machine *machine)
{
    struct guest_driver *driver = machine->driver;

    g_assert_true(guest_driver_probe(driver));
    g_assert_true(guest_driver_reset(driver));
    guest_driver_acknowledge(driver);
    guest_driver_read_features(driver);
    g_assert_true(guest_driver_negotiate(driver, features_known()));
    for (unsigned i = 0; i < 5; i++) {
        vionet_device_write_queue_size(machine->device, i, 0); /* refused */
        g_assert_cmpuint(vionet_device_queue_size(machine->device, i), >, 0);
    }
    guest_driver_ok(driver);
    call_everything(machine);
}

static const struct idle_case {
    const char *name;
    void (*run)(struct machine *machine);
} idle_cases[] = {
    {"before-DRIVER_OK", before_driver_ok},   {"after-reset", after_reset},
    {"after-queue-reset", after_queue_reset}, {"without-bus-master", without_bus_master},
    {"after-FAILED", after_failed},           {"never-enabled", never_enabled},
};

/* A touch of guest memory ends the program. */
static void test_idle(gconstpointer data)
{
    const struct idle_case *row = data;
    struct machine *machine;

    if (!g_test_subprocess()) {
        g_test_trap_subprocess(NULL, 0, 0);
        g_test_trap_assert_passed();
        return;
    }
    machine = machine_fenced((struct net_options){.receive_buffers = 8, .transmit_buffers = 4},
                             UINT64_C(8) << 20);
    row->run(machine);
    machine_free(machine);
}

/* ---- Read twice ---- */

/*
 * A part of guest memory in which every page faults until it is touched, and again once another has
 * been touched: what is read in it is logged page by page, in the order of reading. A page that was
 * left has other content, so that what is read twice is not the same.
 */
static struct watch {
    uint8_t *device; /* as the device sees it */
    uint8_t *driver; /* the same memory, never fenced */
    unsigned n_pages;
    int current;
    unsigned n_log;
    uint16_t log[4096];
    struct sigaction before;
} watch;

static void on_fault(int number, siginfo_t *info, void *context)
{
    const uintptr_t at = (uintptr_t)info->si_addr - (uintptr_t)watch.device;
    const unsigned page = (unsigned)(at / PAGE);

    (void)context;
    if ((uintptr_t)info->si_addr < (uintptr_t)watch.device || page >= watch.n_pages ||
        watch.n_log >= G_N_ELEMENTS(watch.log)) {
        sigaction(number, &watch.before, NULL);
        return;
    }
    if (watch.current >= 0) {
        mprotect(watch.device + (size_t)watch.current * PAGE, PAGE, PROT_NONE);
        watch.driver[(size_t)watch.current * PAGE] ^= 0xff;
    }
    mprotect(watch.device + page * PAGE, PAGE, PROT_READ | PROT_WRITE);
    watch.current = (int)page;
    watch.log[watch.n_log++] = (uint16_t)page;
}

static void watch_begin(struct machine *machine, uint64_t gpa, unsigned n_pages)
{
    const struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    const struct guest_region *regions;

    guest_memory_regions(machine->memory, &regions);
    watch.device = (uint8_t *)regions[0].host + (gpa - regions[0].gpa);
    watch.driver = guest_ptr(machine->memory, gpa, n_pages * PAGE);
    watch.n_pages = n_pages;
    watch.current = -1;
    watch.n_log = 0;
    g_assert_cmpint(sigaction(SIGSEGV, &action, &watch.before), ==, 0);
    g_assert_cmpint(mprotect(watch.device, n_pages * PAGE, PROT_NONE), ==, 0);
}

static void watch_end(void)
{
    g_assert_cmpint(mprotect(watch.device, watch.n_pages * PAGE, PROT_READ | PROT_WRITE), ==, 0);
    g_assert_cmpint(sigaction(SIGSEGV, &watch.before, NULL), ==, 0);
}

/* The first n pages were touched, each once, in their order; others are not looked at. */
static void assert_read_once(unsigned n)
{
    g_assert_cmpuint(watch.n_log, >=, n);
    for (unsigned i = 0; i < n; i++) {
        g_assert_cmpuint(watch.log[i], ==, i);
    }
    for (unsigned i = n; i < watch.n_log; i++) {
        g_assert_cmpuint(watch.log[i], >=, n);
    }
}

/* Octets on pages of their own, as segments of one octet. */
static void spread(struct machine *machine, uint64_t gpa, const uint8_t *octets, unsigned n,
                   struct virtq_segment *segments)
{
    for (unsigned i = 0; i < n; i++) {
        g_assert_true(guest_write(machine->memory, gpa + i * PAGE, &octets[i], 1));
        segments[i] = (struct virtq_segment){gpa + i * PAGE, 1, false};
    }
}

/* T-03, T-06: a packet header is read once; what is checked is what is used. */
static void test_header_is_read_once(void)
{
    struct machine *machine = machine_fenced(
        (struct net_options){.receive_buffers = 8, .transmit_buffers = 4}, UINT64_C(8) << 20);
    struct virtq_segment segments[21];
    /* NEEDS_CSUM at 14 + 6. */
    static const uint8_t header[20] = {1, 0, 0, 0, 0, 0, 14, 0, 6, 0};
    VionetFrame frames[2];
    uint64_t gpa;

    g_assert_true(machine_boot(machine, features_known()));
    g_assert_cmpuint(net_header_size(machine->net), ==, 20);
    g_assert_cmpint(net_control_pairs(machine->net, 2), ==, VIRTIO_NET_OK); /* flows are learnt */
    gpa = guest_alloc(machine->memory, 21 * PAGE, PAGE);
    spread(machine, gpa, header, 20, segments);
    segments[20] = (struct virtq_segment){gpa + 20 * PAGE, 60, false};
    g_assert_true(virtq_add(guest_queue_ring(machine->driver, 1), segments, 21, machine));
    guest_queue_kick(machine->driver, 1);
    watch_begin(machine, gpa, 20);
    g_assert_cmpuint(vionet_device_transmit(machine->device, 0, frames, 2), ==, 1);
    watch_end();
    assert_read_once(20);
    g_assert_cmpuint(frames[0].flags, ==, VIRTIO_NET_HDR_F_NEEDS_CSUM);
    g_assert_cmpuint(frames[0].csum_start, ==, 14);
    g_assert_cmpuint(frames[0].csum_offset, ==, 6);
    vionet_device_complete(machine->device, 0, frames, 1);
    machine_assert_no_complaints(machine);
    machine_free(machine);
}

/* Sends a command whose octets have a page each, and its answer's too; asserts it is obeyed. */
static void command_is_read_once(struct machine *machine, uint64_t gpa, const uint8_t *octets,
                                 unsigned len, unsigned reply)
{
    struct virtq *vq = guest_queue_ring(machine->driver, 4);
    struct virtq_segment *segments = g_new(struct virtq_segment, len + reply + 1);
    const uint64_t table = guest_alloc(machine->memory, 16 * (uint64_t)(len + reply + 1), 16);
    struct virtq_used used;

    g_test_message("class %u, command %u of %u octets", octets[0], octets[1], len);
    spread(machine, gpa, octets, len, segments);
    for (unsigned i = len; i < len + reply + 1; i++) {
        segments[i] = (struct virtq_segment){gpa + i * PAGE, 1, true};
        guest_fill(machine->memory, segments[i].gpa, 1, 0xee);
    }
    g_assert_true(virtq_add_indirect(vq, segments, len + reply + 1, 0, table, machine));
    virtq_publish(vq);
    watch_begin(machine, gpa, len + reply + 1);
    guest_queue_notify(machine->driver, 4);
    watch_end();
    assert_read_once(len);
    g_assert_true(virtq_poll(vq, &used));
    g_assert_cmpuint(used.len, ==, reply + 1);
    g_assert_cmpuint(*(uint8_t *)guest_ptr(machine->memory, gpa + (len + reply) * PAGE, 1), ==,
                     VIRTIO_NET_OK);
    g_free(segments);
}

/* T-04, T-06: so is a command, the longest as the shortest. */
static void test_commands_are_read_once(void)
{
    static const struct {
        unsigned len, reply;
        uint8_t octets[32];
    } commands[] = {
        {3, 0, {0, 0, 1}},
        {26, 0, {1, 0, 1, 0, 0, 0, 2, 1, 1, 1, 1, 1, 2, 0, 0, 0, 3, 1, 1, 1, 1, 1, 3, 1, 1, 1}},
        {8, 0, {1, 1, 2, 0, 0, 0, 0, 9}},
        {4, 0, {2, 0, 5, 0}},
        {4, 0, {2, 1, 5, 0}},
        {4, 0, {4, 0, 2, 0}},
        {10, 0, {5, 0, 2, 0, 0, 0, 0, 0, 0, 0}},
        {10, 0, {6, 0, 4, 0, 0, 0, 100, 0, 0, 0}},
        {10, 0, {6, 1, 4, 0, 0, 0, 100, 0, 0, 0}},
        {14, 0, {6, 2, 1, 0, 0, 0, 4, 0, 0, 0, 100, 0, 0, 0}},
        {6, 8, {6, 3, 1, 0, 0, 0}},
    };
    static const uint8_t key[40] = {0x6d, 0x5a, 0x56, 0xda};
    const struct net_rss rss = {
        .hash_types = 0x1ff, .table_len = 128, .max_tx_vq = 2, .key = key, .key_len = 40};
    struct machine *machine = machine_fenced(
        (struct net_options){.receive_buffers = 8, .transmit_buffers = 4}, UINT64_C(16) << 20);
    const uint64_t gpa = guest_alloc(machine->memory, 400 * PAGE, PAGE);

    g_assert_true(machine_boot(machine, features_known()));
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        uint8_t octets[32];

        memcpy(octets, commands[i].octets, sizeof(octets));
        if (octets[0] == 1 && octets[1] == 0) {
            /* One unicast and, by its count, two multicast addresses: 2 + 4 + 6 + 4 + 12. */
            uint8_t table[28] = {0};

            memcpy(table, octets, 26);
            command_is_read_once(machine, gpa, table, 28, 0);
            continue;
        }
        command_is_read_once(machine, gpa, octets, commands[i].len, commands[i].reply);
    }
    for (unsigned hash = 0; hash < 2; hash++) {
        GByteArray *octets = hash ? net_hash_encode(&rss) : net_rss_encode(&rss);
        const uint8_t front[2] = {VIRTIO_NET_CTRL_MQ, hash ? VIRTIO_NET_CTRL_MQ_HASH_CONFIG
                                                           : VIRTIO_NET_CTRL_MQ_RSS_CONFIG};

        g_byte_array_prepend(octets, front, 2);
        command_is_read_once(machine, gpa, octets->data, octets->len, 0);
        g_byte_array_unref(octets);
    }
    machine_assert_no_complaints(machine);
    machine_free(machine);
}

/* ---- Rewritten while it is read ---- */

/* A word of guest memory that another thread turns to and fro. */
struct flipper {
    uint64_t *word;
    uint64_t good, evil;
    bool stop;
};

static gpointer flip(gpointer data)
{
    struct flipper *flipper = data;

    for (unsigned i = 0; !__atomic_load_n(&flipper->stop, __ATOMIC_RELAXED); i++) {
        __atomic_store_n(flipper->word, i % 3 ? flipper->good : flipper->evil, __ATOMIC_RELAXED);
        for (unsigned k = 0; k < i % 64; k++) {
            __atomic_signal_fence(__ATOMIC_SEQ_CST);
        }
    }
    return NULL;
}

/* Length, flags and next of a descriptor as one word. */
#define REST(len, flags, next) \
    ((uint64_t)(uint32_t)(len) | (uint64_t)(flags) << 32 | (uint64_t)(next) << 48)

enum flipped { OF_DESC, OF_TABLE, OF_AREA };

/* In the chain d0 -> d1, or its table, or the octets at area: which word, and what it becomes. */
static const struct flip_case {
    const char *name;
    enum victim victim;
    enum flipped what;
    unsigned word;
    uint64_t evil; /* relative addresses: see flip_value() */
    bool relative;
} flip_cases[] = {
    {"T-01/length-of-a-receive-buffer", RECEIVE, OF_DESC, 1, REST(0xfffffff0, WRITE, 0), false},
    {"T-01/length-0-of-a-receive-buffer", RECEIVE, OF_DESC, 1, REST(0, WRITE, 0), false},
    {"T-01/length-of-a-frame", TRANSMIT, OF_DESC, 3, REST(0xffffffff, 0, 0), false},
    {"T-01/length-of-a-command", CONTROL, OF_DESC, 1, REST(0x7fffffff, NEXT, 1), false},
    {"T-01/room-for-an-answer", CONTROL, OF_DESC, 3, REST(0, WRITE, 0), false},
    {"T-02/next-of-a-frame", TRANSMIT, OF_DESC, 1, REST(20, NEXT, 0xffff), false},
    {"T-02/cycle-of-a-frame", TRANSMIT, OF_DESC, 1, REST(20, NEXT, 0), false},
    {"T-02/address-of-a-receive-buffer", RECEIVE, OF_DESC, 0, UINT64_MAX - 5, false},
    {"T-02/address-at-the-end", RECEIVE, OF_DESC, 0, 50, true},
    {"T-02/direction-of-a-receive-buffer", RECEIVE, OF_DESC, 1, REST(200, 0, 0), false},
    {"T-02/direction-of-an-answer", CONTROL, OF_DESC, 3, REST(16, 0, 0), false},
    {"T-02/becomes-a-table", TRANSMIT, OF_DESC, 3, REST(64, TABLE, 0), false},
    {"T-04/length-in-a-table", TRANSMIT, OF_TABLE, 1, REST(0x10000, NEXT, 1), false},
    {"T-06/next-in-a-table", CONTROL, OF_TABLE, 1, REST(16, NEXT, 0xfffe), false},
    {"T-06/table-in-a-table", RECEIVE, OF_TABLE, 1, REST(64, TABLE | WRITE, 0), false},
    {"T-03/checksum-in-a-header", TRANSMIT, OF_AREA, 0, UINT64_C(0xffff000000000001), false},
    {"T-03/segments-in-a-header", TRANSMIT, OF_AREA, 0, UINT64_C(0x0022000000008101), false},
    {"T-06/entries-in-a-command", CONTROL, OF_AREA, 0, UINT64_C(0xffffffff0001), false},
    {"T-06/class-of-a-command", CONTROL, OF_AREA, 0, UINT64_C(0x0000000100000104), false},
};

static uint64_t *flip_word(const struct attack *attack, const struct flip_case *row)
{
    const uint64_t gpa = row->what == OF_DESC    ? virtq_options(attack->vq)->area.desc_gpa
                         : row->what == OF_TABLE ? attack->table
                                                 : attack->area;

    return guest_ptr(attack->machine->memory, gpa + 8 * (uint64_t)row->word, 8);
}

/* The chain while it is honest: for a frame 20 + 200 octets, for a command a MAC_TABLE_SET. */
static void honest_chain(struct attack *attack)
{
    static const uint8_t command[16] = {1, 0};

    if (attack->victim == CONTROL) {
        guest_write(attack->machine->memory, attack->area, command, sizeof(command));
        element(attack, 0, attack->area, 10, NEXT, 1);
        element(attack, 1, attack->area + 1024, 16, WRITE, 0);
    } else if (attack->victim == TRANSMIT) {
        element(attack, 0, attack->area, 20, NEXT, 1);
        element(attack, 1, attack->area + 1024, 200, 0, 0);
    } else {
        element(attack, 0, attack->area, 200, WRITE, 0);
    }
    if (attack->variant.in_table) {
        put(attack, 0, attack->table, 64, TABLE, 0);
    }
}

/* Uses of the chain: the device takes it, or breaks and is reset; it is never led astray. */
static void run_flips(struct attack *attack, unsigned n)
{
    struct machine *machine = attack->machine;
    VionetFrame frames[4];
    static uint8_t copy[VIONET_MAX_FRAME];
    uint32_t id, len;

    for (unsigned i = 0; i < n; i++) {
        if (guest_driver_status(machine->driver) & VIRTIO_STATUS_DEVICE_NEEDS_RESET) {
            g_assert_true(machine_boot(machine, features_known()));
            attack->vq = guest_queue_ring(machine->driver, attack->index);
            attack->avail = 0;
            honest_chain(attack);
        }
        offer(attack, 0);
        guest_queue_notify(machine->driver, attack->index);
        if (attack->victim == RECEIVE) {
            deliver(machine);
        } else if (attack->victim == TRANSMIT) {
            const size_t taken = vionet_device_transmit(machine->device, 0, frames, 4);

            for (size_t k = 0; k < taken; k++) {
                g_assert_cmpuint(frames[k].len, <=, VIONET_MAX_FRAME);
                vionet_frame_linearize(&frames[k], copy, sizeof(copy));
            }
            vionet_device_complete(machine->device, 0, frames, taken);
        }
        if (split_read_used_idx(attack->vq) == attack->avail) {
            g_assert_true(split_read_used(
                attack->vq, (uint16_t)(attack->avail - 1) % attack->variant.size, &id, &len));
            g_assert_cmpuint(id, ==, 0);
            g_assert_cmpuint(len, <=, attack->victim == RECEIVE ? 200 : attack->victim == CONTROL);
        }
    }
}

static void test_flips(gconstpointer data)
{
    const struct flip_case *row = data;
    const struct variant variant = {.size = 256, .in_table = row->what == OF_TABLE};
    struct flipper flipper;
    struct attack attack;
    uint64_t canary;
    GThread *thread;

    attack_begin(&attack, row->victim, &variant);
    canary = guest_alloc(attack.machine->memory, 2 * PAGE, PAGE);
    g_assert_cmphex(canary, !=, GUEST_NONE);
    guest_fill(attack.machine->memory, canary, 2 * PAGE, 0x77);
    honest_chain(&attack);
    flipper = (struct flipper){.word = flip_word(&attack, row)};
    flipper.good = *flipper.word;
    flipper.evil = row->relative ? attack.end - row->evil : row->evil;
    thread = g_thread_new("flipper", flip, &flipper);
    run_flips(&attack, g_test_slow() ? 100000 : 1000);
    __atomic_store_n(&flipper.stop, true, __ATOMIC_RELAXED);
    g_thread_join(thread);
    g_assert_cmpuint(guest_differs(attack.machine->memory, canary, 2 * PAGE, 0x77), ==, 2 * PAGE);
    attack_end(&attack);
}

/* A packed ring that its driver never leaves alone. */
struct scribbler {
    uint64_t *ring;
    unsigned size;
    uint64_t addrs[4];
    bool stop;
};

static gpointer scribble(gpointer data)
{
    static const uint32_t lens[] = {20, 0xfffffff0, 0, 200, 32, 4096, 16, 2};
    static const uint16_t kinds[] = {0, WRITE, NEXT, NEXT | WRITE, TABLE, 0, WRITE, TABLE | NEXT};
    struct scribbler *scribbler = data;
    uint32_t dice = 1;

    while (!__atomic_load_n(&scribbler->stop, __ATOMIC_RELAXED)) {
        uint64_t *desc;
        uint64_t rest;

        dice = dice * 1664525 + 1013904223;
        desc = scribbler->ring + 2 * ((dice >> 24) % scribbler->size);
        rest = lens[dice >> 8 & 7] | (uint64_t)(dice >> 16) << 32 |
               (uint64_t)kinds[dice >> 11 & 7] << 48;
        rest |= (uint64_t)(dice >> 14 & 1 ? VIRTQ_DESC_F_AVAIL : VIRTQ_DESC_F_USED) << 48;
        __atomic_store_n(desc, scribbler->addrs[dice >> 15 & 3], __ATOMIC_RELAXED);
        __atomic_store_n(desc + 1, rest, __ATOMIC_RELAXED);
    }
    return NULL;
}

/* T-01, T-02: descriptors change under the device's eyes, all words of all of them. */
static void test_scribbled_ring(gconstpointer data)
{
    const struct variant variant = {.size = 8, .event_idx = true};
    const enum victim victim = (enum victim)GPOINTER_TO_UINT(data);
    struct scribbler scribbler;
    struct attack attack;
    VionetFrame frames[8];
    uint64_t canary;
    const uint64_t enough = g_test_slow() ? 5000 : 200;
    uint64_t n_taken = 0;
    uint64_t n_broken = 0;
    GThread *thread;

    attack_begin(&attack, victim, &variant);
    canary = guest_alloc(attack.machine->memory, 2 * PAGE, PAGE);
    g_assert_cmphex(canary, !=, GUEST_NONE);
    guest_fill(attack.machine->memory, canary, 2 * PAGE, 0x77);
    scribbler = (struct scribbler){
        .ring = guest_ptr(attack.machine->memory, virtq_options(attack.vq)->area.desc_gpa, 128),
        .size = 8,
        .addrs = {attack.area, attack.table, attack.end - 50, UINT64_MAX - 5},
    };
    thread = g_thread_new("scribbler", scribble, &scribbler);
    /* Until both have been at it: how soon that is, is the scheduler's affair. */
    while (n_broken < enough || (n_taken < 10 && victim != CONTROL)) {
        if (status_of(&attack) & VIRTIO_STATUS_DEVICE_NEEDS_RESET) {
            n_broken++;
            n_taken +=
                vionet_device_counter(attack.machine->device, attack.index, VIONET_COUNTER_PACKETS);
            g_assert_true(machine_boot(attack.machine, features_known()));
        }
        g_thread_yield();
        guest_queue_notify(attack.machine->driver, attack.index);
        if (victim == RECEIVE) {
            deliver(attack.machine);
        } else if (victim == TRANSMIT) {
            const size_t n = vionet_device_transmit(attack.machine->device, 0, frames, 8);

            for (size_t k = 0; k < n; k++) {
                g_assert_cmpuint(frames[k].len, <=, VIONET_MAX_FRAME);
            }
            vionet_device_complete(attack.machine->device, 0, frames, n);
        }
    }
    __atomic_store_n(&scribbler.stop, true, __ATOMIC_RELAXED);
    g_thread_join(thread);
    g_assert_cmpuint(guest_differs(attack.machine->memory, canary, 2 * PAGE, 0x77), ==, 2 * PAGE);
    /* What broke last may have had frames out, which were stale then: counted anew. */
    g_assert_true(machine_boot(attack.machine, features_known()));
    attack_end(&attack);
}

/* ---- Neighbours ---- */

/* Z-14: what one guest does to its device is nothing to another device in the process. */
static void test_two_devices(void)
{
    const struct variant variant = {.size = 4, .event_idx = true};
    struct machine *other = machine_for(&variant);
    static const uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 6};
    uint64_t n = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(hostile_cases); i++) {
        for (unsigned v = 0; v < N_VICTIMS; v++) {
            struct guest_packet packet;
            struct verdict verdict;
            struct attack attack;

            if (!applies_to(&hostile_cases[i], (enum victim)v) ||
                !(hostile_cases[i].where & RING)) {
                continue;
            }
            attack_begin(&attack, (enum victim)v, &variant);
            hostile_cases[i].spoil(&attack, hostile_cases[i].arg, &verdict);
            trigger(&attack);
            net_post(other->net, 0, 1);
            g_assert_cmpint(machine_deliver(other, frame, sizeof(frame)), ==, VIONET_DELIVERED);
            g_assert_true(net_receive_pair(other->net, 0, &packet));
            g_assert_true(net_transmit(other->net, 1, NULL, frame, sizeof(frame)));
            g_assert_cmpuint(machine_drain(other, 1), ==, 1);
            n++;
            attack_end(&attack);
        }
    }
    g_assert_cmpuint(vionet_device_counter(other->device, 0, VIONET_COUNTER_PACKETS), ==, n);
    g_assert_cmpuint(vionet_device_counter(other->device, 3, VIONET_COUNTER_PACKETS), ==, n);
    g_assert_cmpuint(count_violations(other), ==, 0);
    machine_assert_no_complaints(other);
    machine_free(other);
}

static void add_tables(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(setup_cases); i++) {
        char *path = g_strdup_printf("%s/%s", suite(), setup_cases[i].name);

        if (setup_cases[i].packed == packed) {
            g_test_add_data_func(path, &setup_cases[i], test_setup);
        }
        g_free(path);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(idle_cases); i++) {
        char *path = g_strdup_printf("%s/R-23/%s", suite(), idle_cases[i].name);

        g_test_add_data_func(path, &idle_cases[i], test_idle);
        g_free(path);
    }
    for (unsigned v = 0; v < N_VICTIMS && packed; v++) {
        char *path = g_strdup_printf("%s/T-02/all-words-change/%s", suite(), victim_names[v]);

        g_test_add_data_func(path, GUINT_TO_POINTER(v), test_scribbled_ring);
        g_free(path);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(flip_cases) && !packed; i++) {
        char *path = g_strdup_printf("/hostile/%s", flip_cases[i].name);

        g_test_add_data_func(path, &flip_cases[i], test_flips);
        g_free(path);
    }
}

/* Tests of their own. */
static const struct {
    const char *name;
    void (*run)(void);
} single_tests[] = {
    {"R-12/a-thousand-kicks", test_a_thousand_kicks},
    {"R-12/queue-after-queue", test_queue_after_queue},
    {"R-25/honest-part-of-a-burst", test_honest_part_of_a_burst},
    {"U-06/bad-one-of-a-burst", test_bad_one_of_a_burst},
    {"P-03/second-of-three-buffers", test_second_of_three},
    {"R-20/room-of-any-header-less-one", test_header_less_one},
    {"R-16/70000-commands", test_70000_commands},
    {"R-17/most-pairs", test_most_pairs},
    {"R-21/commands-without-end", test_commands_without_end},
    {"T-03/header-is-read-once", test_header_is_read_once},
    {"T-06/commands-are-read-once", test_commands_are_read_once},
    {"Z-14/two-devices", test_two_devices},
};

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    packed = g_strcmp0(g_getenv("VIONET_TEST_RING"), "packed") == 0;
    add_hostile_cases();
    add_tables();
    for (size_t i = 0; i < G_N_ELEMENTS(single_tests); i++) {
        char *path = g_strdup_printf("%s/%s", suite(), single_tests[i].name);

        g_test_add_func(path, single_tests[i].run);
        g_free(path);
    }
    return g_test_run();
}
