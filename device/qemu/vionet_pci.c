/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The QOM type vionet-pci: a frontend (device/frontend.h) as a device of QEMU. Called by QEMU.
 *
 *     QEMU's header, BARs, ROM --> frontend: VionetPci, VionetDevice --> netdev.c --> -netdev
 *                                     |        ^          ^
 *     msi_send_message, pci_set_irq <-'   notifiers.c  guest_memory.c
 *
 * Configuration space. The header (BARs, expansion ROM, interrupt line) is QEMU's, which maps what it
 * says; the capabilities behind it are the library's, MSI-X with table and masks among them. Both are
 * told of every write to the header, as bus mastering and INTx are the business of both. So the whole
 * function is in the library's saved state, and QEMU's MSI-X, whose masks and vectors in use would have to
 * be kept in step with the library's, has no part in it: a message is sent as any device of QEMU sends it.
 *
 * Threads. All with QEMU's big lock: accesses from virtual CPUs, the rest from the main loop.
 */
#include "qemu/osdep.h"

#include "hw/pci/msi.h"
#include "hw/qdev-properties.h"
#include "qapi/error.h"
#include "qemu/log.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qemu/timer.h"

#include <vionet/spec.h>
#include <vionet/state.h>
#include <vionet/transport.h>

#include "compat.h"
#include "frontend.h"
#include "guest_memory.h"
#include "netdev.h"
#include "notifiers.h"
#include "qom_properties.h"
#include "rx_filter.h"
#include "saved_state.h"
#include "standby.h"

#define TYPE_VIONET_PCI "vionet-pci"
OBJECT_DECLARE_SIMPLE_TYPE(VionetQemu, VIONET_PCI)

struct VionetQemu {
    PCIDevice pci_device;
    NICConf conf;
    OnOffAuto ioeventfd;
    QomProperties properties;
    struct standby_options standby_options;
    VionetFrontend *frontend; /* what follows is there while the device is realized */
    VionetDevice *device;
    VionetPci *pci;
    MemoryRegion bars[VIONET_PCI_N_BARS];
    struct bar {
        VionetQemu *self;
        unsigned number;
    } bar[VIONET_PCI_N_BARS]; /* what each region's accesses are told */
    struct guest_memory *memory;
    struct notifiers *notifiers;
    struct standby *standby;
    QEMUBH *wake;
    VMChangeStateEntry *run_state;
    unsigned n_timers;
    struct queue_timer {
        VionetQemu *device;
        unsigned queue;
        QEMUTimer *timer;
    } * timers;
};

/* ---- What the device asks of its emulator ---- */

static void host_msi(void *opaque, unsigned vector, uint64_t address, uint32_t data)
{
    VionetQemu *self = opaque;

    msi_send_message(&self->pci_device, (MSIMessage){address, data});
}

static void host_intx(void *opaque, bool level)
{
    VionetQemu *self = opaque;

    pci_set_irq(&self->pci_device, level);
}

/* The guest's time: it stands still with the guest. */
static uint64_t host_clock_ns(void *opaque)
{
    return (uint64_t)qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
}

static void queue_timer_expired(void *opaque)
{
    struct queue_timer *timer = opaque;

    vionet_device_timer(timer->device->device, timer->queue);
    guest_memory_settle(timer->device->memory);
}

static void host_timer(void *opaque, unsigned queue, uint64_t deadline_ns)
{
    VionetQemu *self = opaque;
    struct queue_timer *timer = &self->timers[queue];

    timer_mod_ns(timer->timer, (int64_t)MIN(deadline_ns, (uint64_t)INT64_MAX));
}

static void host_wake(void *opaque)
{
    VionetQemu *self = opaque;

    qemu_bh_schedule(self->wake);
}

static void host_event(void *opaque, const VionetEvent *event)
{
    VionetQemu *self = opaque;
    VionetFilter filter = {.size = sizeof(filter)};
    char text[160];

    switch (event->kind) {
    case VIONET_EVENT_VIOLATION:
        vionet_event_describe(event, text, sizeof(text));
        qemu_log_mask(LOG_GUEST_ERROR, "vionet-pci %s: %s\n", self->pci_device.name, text);
        break;
    case VIONET_EVENT_RESET:
        netdev_drop(vionet_frontend_backend(self->frontend));
        break;
    case VIONET_EVENT_FILTER:
        vionet_device_filter(vionet_frontend_device(self->frontend), &filter);
        netdev_filter_changed(vionet_frontend_backend(self->frontend), filter.mac);
        break;
    default:
        break;
    }
    standby_follow(self->standby, event);
}

static const VionetFrontendOps frontend_ops = {
    .size = sizeof(frontend_ops),
    .msi = host_msi,
    .intx = host_intx,
    .clock_ns = host_clock_ns,
    .timer = host_timer,
    .event = host_event,
    .wake = host_wake,
    .defers = true,
};

/* ---- Moving frames ---- */

static void woken(void *opaque)
{
    VionetQemu *self = opaque;

    if (runstate_is_running() && vionet_frontend_poll(self->frontend, 0)) {
        qemu_bh_schedule(self->wake);
    }
    guest_memory_settle(self->memory);
}

static void kicked(void *opaque, unsigned queue)
{
    VionetQemu *self = opaque;

    vionet_device_kick(self->device, queue);
    woken(self);
}

/*
 * The machine stops, after what is here has gone in, as its memory is looked at next; or it goes on, and
 * each queue is looked at.
 */
static void run_state_changed(void *opaque, bool running, RunState state)
{
    VionetQemu *self = opaque;

    if (!running) {
        netdev_hurry(vionet_frontend_backend(self->frontend));
    }
    vionet_device_set_paused(self->device, !running);
    if (running) {
        netdev_hurry(vionet_frontend_backend(self->frontend));
        host_wake(self);
        standby_runs(self->standby);
    }
    guest_memory_settle(self->memory);
}

/* ---- What the NIC asks of its device ---- */

static bool nic_is_wanted(void *opaque)
{
    const VionetQemu *self = opaque;

    return self->device && vionet_device_running(self->device);
}

static void nic_link_switched(void *opaque, bool up)
{
    VionetQemu *self = opaque;

    vionet_device_set_link(self->device, up);
}

static void nic_describe_filter(void *opaque, RxFilterInfo *info)
{
    VionetQemu *self = opaque;
    VionetFilter filter = {.size = sizeof(filter)};

    vionet_device_filter(self->device, &filter);
    rx_filter_describe(&filter, info);
}

static void nic_announce(void *opaque)
{
    VionetQemu *self = opaque;

    vionet_device_announce(self->device);
}

static const struct netdev_ops netdev_ops = {
    .is_wanted = nic_is_wanted,
    .link_switched = nic_link_switched,
    .describe_filter = nic_describe_filter,
    .announce = nic_announce,
};

/* ---- PCI ---- */

static uint32_t config_read(PCIDevice *pci_device, uint32_t offset, int size)
{
    VionetQemu *self = VIONET_PCI(pci_device);

    return offset < PCI_CONFIG_HEADER_SIZE
               ? pci_default_read_config(pci_device, offset, size)
               : vionet_pci_config_read(self->pci, offset, (unsigned)size);
}

static void config_write(PCIDevice *pci_device, uint32_t offset, uint32_t value, int size)
{
    VionetQemu *self = VIONET_PCI(pci_device);

    if (offset < PCI_CONFIG_HEADER_SIZE) {
        pci_default_write_config(pci_device, offset, value, size);
    }
    vionet_pci_config_write(self->pci, offset, (unsigned)size, value);
    guest_memory_settle(self->memory);
}

static uint64_t bar_read(void *opaque, hwaddr offset, unsigned size)
{
    const struct bar *bar = opaque;

    return vionet_pci_bar_read(bar->self->pci, bar->number, offset, size);
}

static void bar_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    const struct bar *bar = opaque;

    vionet_pci_bar_write(bar->self->pci, bar->number, offset, size, value);
    guest_memory_settle(bar->self->memory);
}

static const MemoryRegionOps bar_ops = {
    .read = bar_read,
    .write = bar_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = {.min_access_size = 1, .max_access_size = 8, .unaligned = true},
    .impl = {.min_access_size = 1, .max_access_size = 8, .unaligned = true},
};

/* As the library's header says of them: that is where a driver reads their types from. */
static void add_bars(VionetQemu *self)
{
    for (unsigned i = 0; i < VIONET_PCI_N_BARS; i++) {
        const uint64_t size = vionet_pci_bar_size(self->pci, i);
        const uint32_t offset = PCI_BASE_ADDRESS_0 + 4 * i;
        g_autofree char *name = g_strdup_printf(TYPE_VIONET_PCI "-bar%u", i);

        if (size == 0) {
            continue;
        }
        self->bar[i] = (struct bar){self, i};
        memory_region_init_io(&self->bars[i], OBJECT(self), &bar_ops, &self->bar[i], name, size);
        pci_register_bar(&self->pci_device, (int)i,
                         (uint8_t)(vionet_pci_config_read(self->pci, offset, 4) & 0xf),
                         &self->bars[i]);
    }
}

/* What of the header is not in the class. */
static void fill_header(VionetQemu *self)
{
    static const uint8_t copied[] = {
        PCI_DEVICE_ID,           PCI_DEVICE_ID + 1,           PCI_REVISION_ID,
        PCI_SUBSYSTEM_VENDOR_ID, PCI_SUBSYSTEM_VENDOR_ID + 1, PCI_SUBSYSTEM_ID,
        PCI_SUBSYSTEM_ID + 1,    PCI_CAPABILITY_LIST,         PCI_INTERRUPT_PIN};
    uint8_t *config = self->pci_device.config;

    for (size_t i = 0; i < G_N_ELEMENTS(copied); i++) {
        config[copied[i]] = (uint8_t)vionet_pci_config_read(self->pci, copied[i], 1);
    }
    pci_set_word(config + PCI_STATUS, pci_get_word(config + PCI_STATUS) | PCI_STATUS_CAP_LIST);
}

/* ---- Life ---- */

static VionetBackend *open_netdev(void *from, GError **error)
{
    VionetQemu *self = from;

    return netdev_new(&self->conf, DEVICE(self), &netdev_ops, self);
}

static void new_timers(VionetQemu *self)
{
    self->n_timers = vionet_device_num_queues(self->device);
    self->timers = g_new0(struct queue_timer, self->n_timers);
    for (unsigned i = 0; i < self->n_timers; i++) {
        self->timers[i] = (struct queue_timer){self, i, NULL};
        self->timers[i].timer =
            timer_new_ns(QEMU_CLOCK_VIRTUAL, queue_timer_expired, &self->timers[i]);
    }
}

static void free_timers(VionetQemu *self)
{
    for (unsigned i = 0; i < self->n_timers; i++) {
        timer_free(self->timers[i].timer);
    }
    g_clear_pointer(&self->timers, g_free);
    self->n_timers = 0;
}

/* Backwards from where it got to. */
static void exit_device(PCIDevice *pci_device)
{
    VionetQemu *self = VIONET_PCI(pci_device);

    standby_free(self->standby);
    notifiers_free(self->notifiers);
    if (self->run_state) {
        qemu_del_vm_change_state_handler(self->run_state);
        qemu_bh_delete(self->wake);
    }
    guest_memory_free(self->memory);
    free_timers(self);
    vionet_frontend_free(self->frontend);
    self->standby = NULL;
    self->notifiers = NULL;
    self->run_state = NULL;
    self->memory = NULL;
    self->frontend = NULL;
    self->device = NULL;
    self->pci = NULL;
}

static bool make_frontend(VionetQemu *self, GError **error)
{
    g_autofree char *text = qom_properties_text(&self->properties, self->conf.macaddr.a);

    self->frontend = vionet_frontend_new_over(text, open_netdev, self, &frontend_ops, self, error);
    if (!self->frontend || !vionet_frontend_realize(self->frontend, error)) {
        return false;
    }
    self->device = vionet_frontend_device(self->frontend);
    self->pci = vionet_frontend_pci(self->frontend);
    return true;
}

static bool make_standby(VionetQemu *self, GError **error)
{
    self->standby = standby_new(&self->standby_options, DEVICE(self), self->device, error);
    return self->standby;
}

/* Under TCG they spare a virtual CPU nothing, as no notification moves frames, and are a system call more. */
static bool wants_notifiers(const VionetQemu *self)
{
    return self->ioeventfd == ON_OFF_AUTO_ON ||
           (self->ioeventfd == ON_OFF_AUTO_AUTO && kvm_enabled());
}

static void realize_device(PCIDevice *pci_device, Error **errp)
{
    VionetQemu *self = VIONET_PCI(pci_device);
    g_autoptr(GError) error = NULL;

    qemu_macaddr_default_if_unset(&self->conf.macaddr);
    if (!make_frontend(self, &error) || !make_standby(self, &error)) {
        error_setg(errp, "%s", error->message);
        exit_device(pci_device);
        return;
    }
    new_timers(self);
    self->memory = guest_memory_new(self->device);
    vionet_device_set_paused(self->device, !runstate_is_running());
    self->wake = qemu_bh_new_guarded(woken, self, &DEVICE(self)->mem_reentrancy_guard);
    self->run_state = qdev_add_vm_change_state_handler(DEVICE(self), run_state_changed, self);
    add_bars(self);
    fill_header(self);
    if (wants_notifiers(self)) {
        self->notifiers = notifiers_new(
            self->pci, self->bars, 2 * vionet_device_config(self->device)->max_pairs, kicked, self);
    }
    vionet_frontend_attach(self->frontend, NULL);
}

static void reset_device(DeviceState *device)
{
    VionetQemu *self = VIONET_PCI(device);

    vionet_frontend_reset(self->frontend);
}

/* A guest that still has its primary goes nowhere. */
static int before_save(void *opaque)
{
    const VionetQemu *self = opaque;

    return standby_may_save(self->standby) ? 0 : -EBUSY;
}

static int before_load(void *opaque)
{
    VionetQemu *self = opaque;

    standby_loads(self->standby);
    return 0;
}

static int after_load(void *opaque, int version)
{
    VionetQemu *self = opaque;

    standby_loaded(self->standby);
    return 0;
}

static bool unplug_is_pending(void *opaque)
{
    const VionetQemu *self = opaque;

    return standby_is_waited_for(self->standby);
}

static const VMStateDescription vmstate = {
    .name = TYPE_VIONET_PCI,
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_save = before_save,
    .pre_load = before_load,
    .post_load = after_load,
    .dev_unplug_pending = unplug_is_pending,
    .fields =
        (COMPAT_CONST_FIELD VMStateField[]){
            VMSTATE_PCI_DEVICE(pci_device, VionetQemu),
            VMSTATE_VIONET_DEVICE(device, VionetQemu),
            VMSTATE_END_OF_LIST(),
        },
};

static QomProperties *properties_of(Object *object)
{
    return &VIONET_PCI(object)->properties;
}

static struct standby *standby_of(Object *object)
{
    return VIONET_PCI(object)->standby;
}

static void init_instance(Object *object)
{
    VionetQemu *self = VIONET_PCI(object);

    qom_properties_init(&self->properties);
    device_add_bootindex_property(object, &self->conf.bootindex, "bootindex", "/ethernet-phy@0",
                                  DEVICE(object));
}

static void finalize_instance(Object *object)
{
    qom_properties_finalize(&VIONET_PCI(object)->properties);
}

static COMPAT_CONST_PROPERTY Property properties[] = {
    DEFINE_NIC_PROPERTIES(VionetQemu, conf),
    DEFINE_PROP_ON_OFF_AUTO("ioeventfd", VionetQemu, ioeventfd, ON_OFF_AUTO_AUTO),
    DEFINE_STANDBY_PROPERTIES(VionetQemu, standby_options), COMPAT_END_OF_PROPERTIES};

static void init_class(ObjectClass *class, void *data)
{
    DeviceClass *device_class = DEVICE_CLASS(class);
    PCIDeviceClass *pci_class = PCI_DEVICE_CLASS(class);

    pci_class->realize = realize_device;
    pci_class->exit = exit_device;
    pci_class->config_read = config_read;
    pci_class->config_write = config_write;
    pci_class->vendor_id = VIRTIO_PCI_VENDOR_ID;
    pci_class->device_id = VIRTIO_PCI_DEVICE_ID_NET;
    pci_class->revision = 1;
    pci_class->class_id = PCI_CLASS_NETWORK_ETHERNET;
    pci_class->romfile = "efi-virtio.rom";
    device_class->desc = "virtio network device of vionet";
    set_bit(DEVICE_CATEGORY_NETWORK, device_class->categories);
    device_class->vmsd = &vmstate;
    compat_set_reset(device_class, reset_device);
    device_class_set_props(device_class, properties);
    qom_properties_add(class, properties_of);
    standby_add_properties(class, standby_of);
}

static const TypeInfo type_info = {
    .name = TYPE_VIONET_PCI,
    .parent = TYPE_PCI_DEVICE,
    .instance_size = sizeof(VionetQemu),
    .instance_init = init_instance,
    .instance_finalize = finalize_instance,
    .class_init = init_class,
    .interfaces = (InterfaceInfo[]){{INTERFACE_CONVENTIONAL_PCI_DEVICE}, {}},
};

static void register_types(void)
{
    type_register_static(&type_info);
}

type_init(register_types)
