/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The QOM type vionet-mmio: a NIC (nic.h) behind the library's window of memory-mapped registers, on the ISA bus,
 * whose interrupts have numbers that a guest's tables can name. Called by QEMU.
 *
 *     addr=... --> VionetMmio --> nic.c: VionetDevice, frontend --> -netdev
 *     irq=...  <--'
 *
 * A guest finds it where it is told of it: by ACPI (LNRO0005, in a table that -acpitable adds), a device tree, or
 * its kernel's command line.
 *
 * Threads. All with QEMU's big lock: accesses from virtual CPUs, the rest from the main loop.
 */
#include "qemu/osdep.h"

#include "hw/irq.h"
#include "hw/isa/isa.h"
#include "hw/qdev-properties.h"
#include "qapi/error.h"
#include "qemu/module.h"

#include <vionet/mmio.h>

#include "compat.h"
#include "nic.h"
#include "saved_state.h"

#define TYPE_VIONET_MMIO "vionet-mmio"
OBJECT_DECLARE_SIMPLE_TYPE(VionetMmioQemu, VIONET_MMIO)

struct VionetMmioQemu {
    ISADevice isa_device;
    struct nic nic;
    uint64_t addr;
    uint32_t irq;
    uint32_t version;
    VionetMmio *mmio;
    MemoryRegion window;
    qemu_irq line;
};

/* ---- Interrupts ---- */

/* The window takes the device's interrupts over as it is made, and before that there are none. */
static void host_interrupt(void *opaque, unsigned queue)
{
    g_assert_not_reached();
}

static const VionetFrontendOps transport = {
    .size = sizeof(transport),
    .interrupt = host_interrupt,
};

static void window_interrupt(void *opaque, bool level)
{
    VionetMmioQemu *self = opaque;

    qemu_set_irq(self->line, level);
}

static const VionetMmioOps window_interrupts = {
    .size = sizeof(window_interrupts),
    .interrupt = window_interrupt,
};

/* ---- The window ---- */

static uint64_t window_read(void *opaque, hwaddr offset, unsigned size)
{
    VionetMmioQemu *self = opaque;

    return vionet_mmio_read(self->mmio, offset, size);
}

static void window_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    VionetMmioQemu *self = opaque;

    vionet_mmio_write(self->mmio, offset, size, value);
    nic_settle(&self->nic);
}

static const MemoryRegionOps window_ops = {
    .read = window_read,
    .write = window_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = {.min_access_size = 1, .max_access_size = 8, .unaligned = true},
    .impl = {.min_access_size = 1, .max_access_size = 8, .unaligned = true},
};

/* ---- Life ---- */

static bool check_place(const VionetMmioQemu *self, Error **errp)
{
    if (self->addr == 0 || self->addr > UINT64_MAX - VIONET_MMIO_SIZE) {
        error_setg(errp, "property addr is the window's address, and needed");
        return false;
    }
    if (self->irq >= ISA_NUM_IRQS) {
        error_setg(errp, "property irq is from 0 to %d", ISA_NUM_IRQS - 1);
        return false;
    }
    return true;
}

static bool open_window(VionetMmioQemu *self, Error **errp)
{
    VionetMmioConfig config;
    GError *error = NULL;

    vionet_mmio_config_init(&config);
    config.version = self->version;
    self->mmio = vionet_mmio_new(self->nic.device, &config, &window_interrupts, self, &error);
    if (!self->mmio) {
        error_setg(errp, "%s", error->message);
        g_error_free(error);
        return false;
    }
    memory_region_init_io(&self->window, OBJECT(self), &window_ops, self, TYPE_VIONET_MMIO,
                          VIONET_MMIO_SIZE);
    memory_region_add_subregion_overlap(isa_address_space(&self->isa_device), self->addr,
                                        &self->window, 1);
    return true;
}

/* For good: nothing is taken out of an ISA bus. */
static void realize_device(DeviceState *device, Error **errp)
{
    VionetMmioQemu *self = VIONET_MMIO(device);

    if (!check_place(self, errp) || !nic_realize(&self->nic, &transport, errp)) {
        return;
    }
    if (!open_window(self, errp)) {
        nic_unrealize(&self->nic);
        return;
    }
    self->line = isa_get_irq(&self->isa_device, self->irq);
    nic_start(&self->nic);
}

static void reset_device(DeviceState *device)
{
    vionet_mmio_reset(VIONET_MMIO(device)->mmio);
}

/* The window's registers are a section of the device's state. */
static const VMStateDescription vmstate = {
    .name = TYPE_VIONET_MMIO,
    .version_id = 1,
    .minimum_version_id = 1,
    .fields =
        (COMPAT_CONST_FIELD VMStateField[]){
            VMSTATE_VIONET_DEVICE(nic.device, VionetMmioQemu),
            VMSTATE_END_OF_LIST(),
        },
};

static QomProperties *properties_of(Object *object)
{
    return &VIONET_MMIO(object)->nic.properties;
}

static void init_instance(Object *object)
{
    nic_init(&VIONET_MMIO(object)->nic, object);
}

static void finalize_instance(Object *object)
{
    nic_finalize(&VIONET_MMIO(object)->nic);
}

static COMPAT_CONST_PROPERTY Property properties[] = {
    DEFINE_NIC_PROPERTIES(VionetMmioQemu, nic.conf),
    DEFINE_PROP_UINT64("addr", VionetMmioQemu, addr, 0),
    DEFINE_PROP_UINT32("irq", VionetMmioQemu, irq, 5),
    DEFINE_PROP_UINT32("version", VionetMmioQemu, version, 2), COMPAT_END_OF_PROPERTIES};

static void init_class(ObjectClass *class, void *data)
{
    DeviceClass *device_class = DEVICE_CLASS(class);

    device_class->desc = "virtio network device of vionet, over MMIO";
    set_bit(DEVICE_CATEGORY_NETWORK, device_class->categories);
    device_class->realize = realize_device;
    device_class->vmsd = &vmstate;
    compat_set_reset(device_class, reset_device);
    device_class_set_props(device_class, properties);
    qom_properties_add(class, properties_of);
}

static const TypeInfo type_info = {
    .name = TYPE_VIONET_MMIO,
    .parent = TYPE_ISA_DEVICE,
    .instance_size = sizeof(VionetMmioQemu),
    .instance_init = init_instance,
    .instance_finalize = finalize_instance,
    .class_init = init_class,
};

static void register_types(void)
{
    type_register_static(&type_info);
}

type_init(register_types)
