/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The door for emulators: the calls that put the device into a machine, and what a guest's firmware
 * would see of it. There is no guest here, so that the frame is refused for want of a driver; a guest
 * needs nothing more than its accesses forwarded to the four functions of vionet/pci.h.
 */
#include <stdio.h>
#include <stdlib.h>

#include <vionet/device.h>
#include <vionet/pci.h>

#define GUEST_MEMORY (1u << 20)

static void on_kick(void *opaque, unsigned queue)
{
    (void)opaque;
    printf("the driver notified queue %u: call vionet_device_transmit()\n", queue);
}

static void on_event(void *opaque, const VionetEvent *event)
{
    char text[256];

    (void)opaque;
    vionet_event_describe(event, text, sizeof(text));
    printf("event: %s\n", text);
}

static void send_msi(void *opaque, unsigned vector, uint64_t address, uint32_t data)
{
    (void)opaque;
    printf("vector %u: write %u to 0x%llx\n", vector, data, (unsigned long long)address);
}

static int fail(GError *error)
{
    fprintf(stderr, "%s\n", error->message);
    g_error_free(error);
    return 1;
}

int main(void)
{
    const VionetHostOps host = {.size = sizeof(host), .kick = on_kick, .event = on_event};
    const VionetPciOps bus = {.size = sizeof(bus), .msi = send_msi};
    void *memory = aligned_alloc(4096, GUEST_MEMORY);
    static const uint8_t octets[60];
    const struct iovec piece = {(void *)octets, sizeof(octets)};
    const VionetFrame frame = {.iov = &piece, .n_iov = 1};
    VionetVerdict verdict;
    GError *error = NULL;
    VionetConfig config;
    VionetPciConfig pci_config;
    VionetDevice *device;
    VionetPci *pci;

    vionet_config_init(&config);
    vionet_pci_config_init(&pci_config);
    device = vionet_device_new(&config, &host, NULL, &error);
    if (!device) {
        return fail(error);
    }
    if (!vionet_device_map(device, 0, memory, GUEST_MEMORY, 0, &error)) {
        return fail(error);
    }
    pci = vionet_pci_new(device, &pci_config, &bus, NULL, &error);
    if (!pci) {
        return fail(error);
    }
    printf("vendor and device 0x%08x\n", vionet_pci_config_read(pci, 0, 4));
    vionet_device_receive(device, 0, &frame, 1, &verdict, 0);
    printf("a frame now: %s\n", vionet_verdict_name(verdict));

    vionet_pci_free(pci);
    vionet_device_free(device);
    free(memory);
    return 0;
}
