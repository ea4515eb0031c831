/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The machine that tests run in: one vionet PCI function or MMIO window, guest memory mapped into it, and the guest
 * driver model wired to its registers and interrupts. Suites, vionet-replay, benchmarks and fuzzers
 * build it and then speak to the guest side (driver, net) or the host side (device, pci).
 *
 *     struct machine *machine = machine_new(&setup, &error);
 *     machine_boot(machine, features_known());
 *     machine_deliver(machine, frame, len);
 *     net_receive(machine->net, &packet);
 *
 * Host operations are recorded; a test that wants to act on them sets on_kick or on_event.
 */
#ifndef TEST_MACHINE_H
#define TEST_MACHINE_H

#include <vionet/device.h>
#include <vionet/mmio.h>
#include <vionet/pci.h>
#include <vionet/state.h>

#include "driver/control.h"
#include "driver/driver.h"
#include "driver/net.h"

struct machine;

/*
 * How the device reaches guest memory: mapped; by operations of the host; or in runs of a few pages of
 * either kind in turn, where a driver's allocations begin. VIONET_TEST_REMOTE=remote or mixed in the
 * environment is for machines whose test does not say.
 */
enum machine_memory { MACHINE_DEFAULT, MACHINE_MAPPED, MACHINE_REMOTE, MACHINE_MIXED };

/*
 * Which format the rings have. VIONET_TEST_RING in the environment is for machines whose test does not
 * say, one or more of: split, packed, in-order, no-event-idx, no-indirect; these are offered and wanted
 * then, or not. Without either it is as features are offered and wanted.
 */
enum machine_ring { MACHINE_NEGOTIATED, MACHINE_SPLIT, MACHINE_PACKED };

/*
 * How the driver reaches the device. VIONET_TEST_TRANSPORT in the environment is for machines whose test
 * does not say: pci, pci-legacy, mmio, mmio-legacy; a legacy one with -big behind it has a big-endian
 * guest. Without either it is PCI.
 */
enum machine_transport {
    MACHINE_ANY_TRANSPORT,
    MACHINE_PCI,
    MACHINE_PCI_LEGACY,
    MACHINE_PCI_LEGACY_BIG,
    MACHINE_MMIO,
    MACHINE_MMIO_LEGACY,
    MACHINE_MMIO_LEGACY_BIG,
};

/* All zero (machine_setup_init) is a machine with the library's defaults. */
struct machine_setup {
    VionetConfig device;
    VionetPciConfig pci;
    bool no_msi; /* the host has no MSI operation */
    bool no_intx;
    const struct guest_memory_options *memory; /* NULL: memory_size octets at 1 MiB */
    uint64_t memory_size;                      /* 0: 64 MiB */
    enum machine_memory kind;
    enum machine_ring ring;
    enum machine_transport transport;
    struct guest_driver_options driver; /* but for its transport */
    struct net_options net;
    void (*on_trace)(struct machine *machine,
                     const VionetTrace *trace); /* NULL: no trace operation */
};

#define MACHINE_MAX_EVENTS 256

struct machine {
    VionetDevice *device;
    enum machine_transport transport;
    VionetPci *pci;   /* NULL over MMIO */
    VionetMmio *mmio; /* NULL over PCI */
    struct guest_access access;
    struct guest_memory *memory;
    struct guest_driver *driver;
    struct guest_net *net; /* once booted */
    struct net_options net_options;
    struct machine_setup setup;     /* what another device is made of */
    struct guest_features ring_on;  /* what machine_boot() wants in any case */
    struct guest_features ring_off; /* and does not want */

    /* what the host was told */
    unsigned n_events; /* all; the first MACHINE_MAX_EVENTS are kept */
    VionetEvent events[MACHINE_MAX_EVENTS];
    uint64_t violations[VIONET_N_VIOLATIONS];       /* as machine_violated() found them */
    uint64_t kicks;                                 /* kick operations, all queues */
    unsigned last_kick;                             /* queue of the last */
    uint64_t now_ns;                                /* the clock: moves only when a test moves it */
    uint64_t deadline_ns[2 * VIONET_MAX_PAIRS + 1]; /* timers, 0: none */
    /* remote memory */
    uint64_t n_dma;       /* operations on it; the driver's addresses they had are checked */
    uint64_t dma_fail_at; /* the one that fails, and all behind it; 0: none */
    uint64_t dma_written; /* octets */
    void (*on_dma)(struct machine *machine, uint64_t gpa, size_t len, bool write); /* before it */
    void (*on_kick)(struct machine *machine, unsigned queue);
    void (*on_event)(struct machine *machine, const VionetEvent *event);
    void (*on_trace)(struct machine *machine, const VionetTrace *trace);
    void *user;
};

/* The library's defaults in everything. */
void machine_setup_init(struct machine_setup *setup);

/* Offers every feature that a device of its dialect can have. */
void machine_setup_offer_all(struct machine_setup *setup);

/* Builds the machine; the driver has not touched the device yet. */
struct machine *machine_new(const struct machine_setup *setup, GError **error);
void machine_free(struct machine *machine);

/* Nothing is to be said against the device by its driver; and the same, before the machine is freed. */
void machine_assert_no_complaints(struct machine *machine);
void machine_finish(struct machine *machine);

/* Whether the driver was found to have violated a rule since this, whatever the rule, was last asked. */
bool machine_violated(struct machine *machine, VionetViolation violation);

/* What a guest can do to *pci, which is looked up at each access; pci must outlive it. */
struct guest_access machine_access(VionetPci *const *pci);

/*
 * Resets and starts the driver with the features that are wanted and offered, and fills the receive
 * queues. False with complaints.
 */
bool machine_boot(struct machine *machine, struct guest_features wanted);

/* Builds one and boots it; the program ends if either fails. */
struct machine *machine_booted(const struct machine_setup *setup, struct guest_features wanted);

/*
 * Another device, made as the machine's was and in the same memory, paused and not yet in its place; its
 * operations are the machine's.
 */
struct machine_device {
    VionetDevice *device;
    VionetPci *pci;
    VionetMmio *mmio;
};
struct machine_device machine_make_device(struct machine *machine);
void machine_free_device(struct machine_device *made);

/* It takes the place of the machine's device, which is freed, and goes on. */
void machine_replace(struct machine *machine, struct machine_device *made);

/* Pauses and saves the device, and lets another go on in its place: the driver cannot tell. */
void machine_migrate(struct machine *machine);

/* One frame from the host to the guest, in one piece, on lane 0. */
VionetVerdict machine_deliver(struct machine *machine, const void *frame, size_t len);

/* Takes all that the guest sent on a pair and gives it back; how many frames. */
size_t machine_drain(struct machine *machine, unsigned pair);

/* The first event of that violation since the last machine_forget_events(); NULL if none. */
const VionetEvent *machine_violation(const struct machine *machine, VionetViolation violation);
void machine_forget_events(struct machine *machine);

/* Moves the clock and calls the timers that fall due. */
void machine_advance(struct machine *machine, uint64_t ns);

/* The device is as usable as after its making: resets, boots, and passes a frame each way. */
bool machine_works(struct machine *machine);

#endif
