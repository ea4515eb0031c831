/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The QOM type vionet-pci: a NIC (nic.h) that is a PCI function. Called by QEMU.
 *
 *     QEMU's header, BARs, ROM --> VionetPci --> nic.c: VionetDevice, frontend --> -netdev
 *                                   |  ^
 *     msi_send_message, pci_set_irq <-'  '-- notifiers.c
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
#include "qemu/module.h"

#include <vionet/spec.h>

#include "compat.h"
#include "nic.h"
#include "notifiers.h"
#include "saved_state.h"
#include "standby.h"

#define TYPE_VIONET_PCI "vionet-pci"
OBJECT_DECLARE_SIMPLE_TYPE(VionetQemu, VIONET_PCI)

struct VionetQemu {
    PCIDevice pci_device;
    struct nic nic;
    OnOffAuto ioeventfd;
    struct standby_options standby_options;
    VionetPci *pci; /* what follows is there while the device is realized */
    MemoryRegion bars[VIONET_PCI_N_BARS];
    struct bar {
        VionetQemu *self;
        unsigned number;
    } bar[VIONET_PCI_N_BARS]; /* what each region's accesses are told */
    struct notifiers *notifiers;
    struct standby *standby;
    VMChangeStateEntry *run_state; /* for it, behind the NIC's own */
};

/* ---- What the NIC asks of its type ---- */

static void host_msi(void *opaque, unsigned vector, uint64_t address, uint32_t data)
{
    VionetQemu *self = container_of(opaque, VionetQemu, nic);

    msi_send_message(&self->pci_device, (MSIMessage){address, data});
}

static void host_intx(void *opaque, bool level)
{
    VionetQemu *self = container_of(opaque, VionetQemu, nic);

    pci_set_irq(&self->pci_device, level);
}

static void host_event(void *opaque, const VionetEvent *event)
{
    VionetQemu *self = container_of(opaque, VionetQemu, nic);

    standby_follow(self->standby, event);
}

static const VionetFrontendOps transport = {
    .size = sizeof(transport),
    .msi = host_msi,
    .intx = host_intx,
    .event = host_event,
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
    nic_settle(&self->nic);
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
    nic_settle(&bar->self->nic);
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

/*
 * What of the header is the library's to say. A transitional function has another device and revision than the
 * class.
 */
static void fill_header(VionetQemu *self)
{
    static const uint8_t copied[] = {
        PCI_DEVICE_ID,       PCI_DEVICE_ID + 1,    PCI_REVISION_ID,
        PCI_SUBSYSTEM_ID,    PCI_SUBSYSTEM_ID + 1, PCI_SUBSYSTEM_VENDOR_ID,
        PCI_CAPABILITY_LIST, PCI_INTERRUPT_PIN,    PCI_SUBSYSTEM_VENDOR_ID + 1,
    };
    uint8_t *config = self->pci_device.config;

    for (size_t i = 0; i < G_N_ELEMENTS(copied); i++) {
        config[copied[i]] = (uint8_t)vionet_pci_config_read(self->pci, copied[i], 1);
    }
    pci_set_word(config + PCI_STATUS, pci_get_word(config + PCI_STATUS) | PCI_STATUS_CAP_LIST);
}

/* ---- Life ---- */

static void kicked(void *opaque, unsigned queue)
{
    nic_kick(opaque, queue);
}

/* Under TCG they spare a virtual CPU nothing, as no notification moves frames, and are a system call more. */
static bool wants_notifiers(const VionetQemu *self)
{
    return self->ioeventfd == ON_OFF_AUTO_ON ||
           (self->ioeventfd == ON_OFF_AUTO_AUTO && kvm_enabled());
}

static void run_state_changed(void *opaque, bool running, RunState state)
{
    VionetQemu *self = opaque;

    if (running) {
        standby_runs(self->standby);
    }
}

/* Backwards from where it got to. */
static void exit_device(PCIDevice *pci_device)
{
    VionetQemu *self = VIONET_PCI(pci_device);

    if (self->run_state) {
        qemu_del_vm_change_state_handler(self->run_state);
    }
    standby_free(self->standby);
    notifiers_free(self->notifiers);
    self->run_state = NULL;
    self->standby = NULL;
    self->notifiers = NULL;
    nic_unrealize(&self->nic);
    self->pci = NULL;
}

static void realize_device(PCIDevice *pci_device, Error **errp)
{
    VionetQemu *self = VIONET_PCI(pci_device);
    g_autoptr(GError) error = NULL;

    if (!nic_realize(&self->nic, &transport, errp)) {
        return;
    }
    self->pci = vionet_frontend_pci(self->nic.frontend);
    self->standby = standby_new(&self->standby_options, DEVICE(self), self->nic.device, &error);
    if (!self->standby) {
        error_setg(errp, "%s", error->message);
        exit_device(pci_device);
        return;
    }
    self->run_state = qdev_add_vm_change_state_handler(DEVICE(self), run_state_changed, self);
    add_bars(self);
    fill_header(self);
    if (wants_notifiers(self)) {
        self->notifiers = notifiers_new(self->pci, self->bars,
                                        2 * vionet_device_config(self->nic.device)->max_pairs,
                                        kicked, &self->nic);
    }
    nic_start(&self->nic);
}

static void reset_device(DeviceState *device)
{
    VionetQemu *self = VIONET_PCI(device);

    vionet_frontend_reset(self->nic.frontend);
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
            VMSTATE_VIONET_DEVICE(nic.device, VionetQemu),
            VMSTATE_END_OF_LIST(),
        },
};

static QomProperties *properties_of(Object *object)
{
    return &VIONET_PCI(object)->nic.properties;
}

static struct standby *standby_of(Object *object)
{
    return VIONET_PCI(object)->standby;
}

static void init_instance(Object *object)
{
    nic_init(&VIONET_PCI(object)->nic, object);
}

static void finalize_instance(Object *object)
{
    nic_finalize(&VIONET_PCI(object)->nic);
}

static COMPAT_CONST_PROPERTY Property properties[] = {
    DEFINE_NIC_PROPERTIES(VionetQemu, nic.conf),
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
