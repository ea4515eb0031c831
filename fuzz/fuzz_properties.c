/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Text of command lines: the device's properties, and options of the backend user. What is refused is refused with
 * a line that says why; what is taken makes a device if vionet_config_check() says so, and not if it does not.
 *
 * Input: 1 octet what is read: properties, options of the backend user, or members of the configurations of device,
 * function and window, and a mapping, as numbers; then the text, or pairs of a member and an edgy number.
 */
#include <string.h>

#include <vionet/mmio.h>
#include <vionet/pci.h>

#include "backend.h"
#include "input.h"
#include "options.h"
#include "properties.h"
#include "reach.h"
#include "slirp_options.h"

#define MAX_TEXT   4096
#define MANY_PAIRS 16 /* devices with more, or with larger queues, are checked and not made */
#define LARGE      1024

enum {
    TEXTS,
    PARSED,
    REFUSED,
    CONFIGS_GOOD,
    CONFIGS_BAD,
    DEVICES,
    OPTIONS,
    READ,
    FORWARDS,
    NEAREST,
    RAW,
    TRANSPORTS,
    MAPPED
};

struct reach fuzz_reach[] = {
    [TEXTS] = {"lists of properties", 10, 0},
    [PARSED] = {"of them taken", 10, 0},
    [REFUSED] = {"texts refused", 250, 0},
    [CONFIGS_GOOD] = {"configurations that are good", 100, 0},
    [CONFIGS_BAD] = {"configurations that are not", 60, 0},
    [DEVICES] = {"devices made", 100, 0},
    [OPTIONS] = {"lists of options", 10, 0},
    [READ] = {"of them taken", 10, 0},
    [FORWARDS] = {"forwards taken", 1, 0},
    [NEAREST] = {"names that were nearly right", 3, 0},
    [RAW] = {"configurations made of numbers", 150, 0},
    [TRANSPORTS] = {"functions and windows made", 150, 0},
    [MAPPED] = {"mappings made", 90, 0},
    {NULL, 0, 0},
};

#define REACHED(what) (fuzz_reach[what].count++)

static void refused(GError *error)
{
    FUZZ_REQUIRE(error && error->message[0] && !strchr(error->message, '\n'),
                 "refused without a line that says why");
    fuzz_reach[NEAREST].count += strstr(error->message, "mean") != NULL;
    g_error_free(error);
    REACHED(REFUSED);
}

static uint64_t host_clock(void *opaque)
{
    (void)opaque;
    return 1;
}

static void host_timer(void *opaque, unsigned queue, uint64_t deadline_ns)
{
    (void)opaque;
    (void)queue;
    (void)deadline_ns;
}

static void host_interrupt(void *opaque, unsigned queue)
{
    (void)opaque;
    (void)queue;
}

/* The check foretells what becomes of it. */
static void make_device(const VionetConfig *config)
{
    const VionetHostOps ops = {.size = sizeof(ops),
                               .interrupt = host_interrupt,
                               .clock_ns = host_clock,
                               .timer = host_timer};
    const bool small = config->max_pairs <= MANY_PAIRS && config->receive_queue_size <= LARGE &&
                       config->transmit_queue_size <= LARGE;
    const bool good = vionet_config_check(config, &ops, NULL);
    GError *error = NULL;
    VionetDevice *device;

    fuzz_reach[good ? CONFIGS_GOOD : CONFIGS_BAD].count++;
    if (good && !small) {
        return;
    }
    device = vionet_device_new(config, &ops, NULL, &error);
    FUZZ_REQUIRE(!device == !good, "a device is made, or is not, in spite of the check");
    if (device) {
        REACHED(DEVICES);
    } else {
        refused(error);
    }
    vionet_device_free(device);
}

static void read_properties(const char *text)
{
    VionetProperties properties;
    GError *error = NULL;

    REACHED(TEXTS);
    if (!properties_parse(text, &properties, &error)) {
        refused(error);
        return;
    }
    REACHED(PARSED);
    make_device(&properties.config);
    properties_suit(&properties, UINT64_MAX);
    make_device(&properties.config);
}

/* Values by option, as backend.c hands them to a backend: one of each, none of them empty. */
static void read_values(const GPtrArray *list)
{
    const char *values[BACKEND_MAX_OPTIONS][3] = {{NULL}};
    const char *const *places[BACKEND_MAX_OPTIONS] = {NULL};
    GError *error = NULL;
    const struct reader reader = {&backend_slirp, places, &error};
    SlirpConfig config = {0};

    for (guint i = 0; i < list->len; i++) {
        const struct option *option = list->pdata[i];

        for (unsigned which = 0; backend_slirp.options[which].name; which++) {
            if (option->value && option->value[0] &&
                strcmp(option->name, backend_slirp.options[which].name) == 0) {
                values[which][0] = option->value;
                places[which] = values[which];
            }
        }
    }
    if (!slirp_options_read(&reader, &config)) {
        refused(error);
        error = NULL;
    } else {
        REACHED(READ);
    }
    if (places[SLIRP_HOSTFWD]) {
        struct slirp_forward forward = {0};

        if (slirp_options_forward(&reader, places[SLIRP_HOSTFWD][0], &forward)) {
            REACHED(FORWARDS);
            FUZZ_REQUIRE(forward.host_len && forward.host_len <= sizeof(forward.host),
                         "an address of %u octets", (unsigned)forward.host_len);
        } else {
            refused(error);
        }
    }
}

static void read_options(const char *text)
{
    GError *error = NULL;
    GPtrArray *list = options_parse(text, &error);

    REACHED(OPTIONS);
    if (!list) {
        refused(error);
        return;
    }
    read_values(list);
    g_ptr_array_unref(list);
}

/* ---- numbers ---- */

struct raw {
    VionetConfig device;
    VionetPciConfig pci;
    VionetMmioConfig mmio;
    uint32_t gpa, size, flags, host;
};

/* Sizes of no version of a structure, too small or too large: one in between would cut a pointer in two. */
static size_t no_size(uint32_t value, size_t size)
{
    return value < sizeof(size_t) ? value : size + value;
}

static void set_member(struct raw *raw, uint8_t member, uint32_t value)
{
    VionetConfig *device = &raw->device;

    switch (member) {
    case 0:
        device->size = no_size(value, sizeof(*device));
        break;
    case 1:
        vionet_features_set(device->features, value, false);
        break;
    case 2:
        vionet_features_set(device->features, value, true);
        break;
    case 3:
        device->dialect = vionet_dialect_at(value);
        break;
    case 4:
        device->mac[0] = (uint8_t)value;
        break;
    case 5:
        device->max_pairs = (uint16_t)value;
        break;
    case 6:
        device->receive_queue_size = (uint16_t)value;
        break;
    case 7:
        device->transmit_queue_size = (uint16_t)value;
        break;
    case 8:
        device->control_queue_size = (uint16_t)value;
        break;
    case 9:
        device->mtu = (uint16_t)value;
        break;
    case 10:
        device->duplex = (uint8_t)value;
        break;
    case 11:
        device->rss_max_key_size = (uint8_t)value;
        break;
    case 12:
        device->rss_max_table = (uint16_t)value;
        break;
    case 13:
        device->hash_types = value;
        break;
    case 14:
        device->tunnel_types = value;
        break;
    case 15:
        device->max_frame = value;
        break;
    case 16:
        device->notif_config_base = (uint16_t)value;
        break;
    case 17:
        device->max_rss_contexts = (uint16_t)value;
        break;
    case 18:
        raw->pci.size = no_size(value, sizeof(raw->pci));
        break;
    case 19:
        raw->pci.n_vectors = (uint16_t)value;
        break;
    case 20:
        raw->pci.notify_multiplier = value;
        break;
    case 21:
        raw->pci.notify_data_valid = value;
        break;
    case 22:
        raw->pci.notify_data = (uint16_t)value;
        break;
    case 23:
        raw->pci.subsystem_device = (uint16_t)value;
        break;
    case 24:
        raw->pci.legacy = value;
        break;
    case 25:
        raw->pci.no_modern = value;
        break;
    case 26:
        raw->mmio.size = no_size(value, sizeof(raw->mmio));
        break;
    case 27:
        raw->mmio.version = value;
        break;
    case 28:
        raw->mmio.legacy_big_endian = value;
        break;
    case 29:
        raw->gpa = value;
        break;
    case 30:
        raw->size = value;
        break;
    default:
        raw->host = value & 31;
        break;
    }
}

static void host_msi(void *opaque, unsigned vector, uint64_t address, uint32_t data)
{
    (void)opaque;
    (void)vector;
    (void)address;
    (void)data;
}

static void make_transports(const struct raw *raw, VionetDevice *device)
{
    const VionetPciOps bus = {.size = sizeof(bus), .msi = host_msi};
    const VionetMmioOps board = {.size = sizeof(board)};
    GError *error = NULL;
    VionetPci *pci = vionet_pci_new(device, &raw->pci, &bus, NULL, &error);
    VionetMmio *mmio;

    fuzz_reach[TRANSPORTS].count += pci != NULL;
    if (!pci) {
        refused(error);
        error = NULL;
    }
    vionet_pci_free(pci);
    mmio = vionet_mmio_new(device, &raw->mmio, &board, NULL, &error);
    fuzz_reach[TRANSPORTS].count += mmio != NULL;
    if (!mmio) {
        refused(error);
    }
    vionet_mmio_free(mmio);
}

/* A mapping that is refused, of either kind, is none; one that is made can be taken back, once. */
static void make_mappings(const struct raw *raw, VionetDevice *device)
{
    static uint8_t memory[3 * 4096] __attribute__((aligned(4096)));
    const uint64_t gpa = raw->gpa & 0x80000000u ? UINT64_MAX << 31 | raw->gpa : raw->gpa;
    const bool small = raw->size <= sizeof(memory) - 64;

    for (unsigned remote = 0; remote < 2; remote++) {
        GError *error = NULL;
        const bool made =
            remote || !small
                ? vionet_device_map_remote(device, gpa, raw->size, 0, &error)
                : vionet_device_map(device, gpa, memory + raw->host, raw->size, 0, &error);

        if (!made) {
            refused(error);
            FUZZ_REQUIRE(!vionet_device_unmap(device, gpa, raw->size, NULL),
                         "it is mapped after all");
            continue;
        }
        REACHED(MAPPED);
        FUZZ_REQUIRE(!vionet_device_map(device, gpa, memory, 4096, 0, NULL), "mapped twice");
        FUZZ_REQUIRE(vionet_device_unmap(device, gpa, raw->size, NULL) &&
                         !vionet_device_unmap(device, gpa, raw->size, NULL),
                     "a mapping is taken back never, or twice");
    }
}

static void read_numbers(struct input *input)
{
    const uint8_t how = input_8(input);
    const VionetHostOps ops = {.size = sizeof(ops),
                               .clock_ns = how & 1 ? NULL : host_clock,
                               .timer = how & 1 ? NULL : host_timer};
    struct raw raw = {.gpa = 0x10000, .size = 0x2000};
    GError *error = NULL;
    VionetDevice *device;

    vionet_config_init(&raw.device);
    vionet_pci_config_init(&raw.pci);
    vionet_mmio_config_init(&raw.mmio);
    while (!input_ended(input)) {
        const uint8_t member = input_8(input) % 32;

        set_member(&raw, member, input_edgy(input, 16));
    }
    REACHED(RAW);
    make_device(&raw.device);
    if (raw.device.max_pairs > MANY_PAIRS || raw.device.receive_queue_size > LARGE ||
        raw.device.transmit_queue_size > LARGE) {
        return;
    }
    device = vionet_device_new(&raw.device, &ops, NULL, &error);
    if (!device) {
        refused(error);
        return;
    }
    make_transports(&raw, device);
    make_mappings(&raw, device);
    vionet_features_settle(vionet_device_config(device)->dialect, raw.device.features, NULL);
    vionet_device_free(device);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = input_of(data, size);
    const uint8_t how = input_8(&input);
    char text[MAX_TEXT + 1] = {0};

    if (how % 4 == 2) {
        read_numbers(&input);
        return 0;
    }
    input_octets(&input, text, input.left < MAX_TEXT ? input.left : MAX_TEXT);
    g_strdelimit(text, "\n", ' '); /* a command line is one */
    if (how & 1) {
        read_options(text);
    } else {
        read_properties(text);
    }
    return 0;
}
