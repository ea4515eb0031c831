// SPDX-License-Identifier: BSD-3-Clause
// Code that a frame overwrites: a driver of its own that runs what the device writes.
//
//   codepage PCI-ADDRESS
//
// The device is one of virtio-net over PCI without a driver, INTx and IOMMU. A receive buffer in this process's memory
// has a function that says 1. It is called; then "ready" is printed, and a frame waited for that has at CODE the
// octets of one that says 2. Nothing is asked of the device from then on, as that could be when it says what it wrote:
// the used ring is in memory. What the function says a while after that has moved is printed.
//
// An emulator that translates code, and was not told of the write, runs the old one.
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
    PAGE = 4096,
    HEADER = 12, // of a packet
    CODE = 64,   // of the frame
    ENTRIES = 4, // of the queue
    // in the queue's page
    AVAIL = 1024,
    USED = 2048,
    // of PCI
    COMMAND = 4,
    CAPABILITIES = 0x34,
    VENDOR_SPECIFIC = 9,
    COMMON_CFG = 1,
    NOTIFY_CFG = 2,
    // of the common configuration
    DRIVER_FEATURE_SELECT = 8,
    DRIVER_FEATURE = 12,
    STATUS = 20,
    QUEUE_SELECT = 22,
    QUEUE_SIZE = 24,
    QUEUE_ENABLE = 28,
    QUEUE_NOTIFY_OFF = 30,
    QUEUE_DESC = 32,
    QUEUE_DRIVER = 40,
    QUEUE_DEVICE = 48,
};

struct region {
    volatile uint8_t *at;
    uint32_t multiplier; // of NOTIFY_CFG
};

static void die(const char *what)
{
    fprintf(stderr, "codepage: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int open_file(const char *address, const char *name, int flags)
{
    char path[128];
    int fd;

    snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", address, name);
    fd = open(path, flags);
    if (fd < 0)
        die(path);
    return fd;
}

static void enable(const char *address)
{
    int fd = open_file(address, "enable", O_WRONLY);

    if (write(fd, "1", 1) != 1)
        die("enable");
    close(fd);
}

// Memory and bus mastering on; then the capability of that type.
static struct region find_region(const char *address, uint8_t type)
{
    int config = open_file(address, "config", O_RDWR), bar;
    struct region region = {0};
    uint16_t command;
    uint32_t offset, length;
    uint8_t at, capability[20];
    char name[16];

    pread(config, &command, 2, COMMAND);
    command |= 6;
    if (pwrite(config, &command, 2, COMMAND) != 2 || pread(config, &at, 1, CAPABILITIES) != 1)
        die("configuration space");
    for (; at; at = capability[1]) {
        if (pread(config, capability, sizeof(capability), at) != sizeof(capability))
            die("a capability");
        if (capability[0] == VENDOR_SPECIFIC && capability[3] == type)
            break;
    }
    close(config);
    memcpy(&offset, capability + 8, 4);
    memcpy(&length, capability + 12, 4);
    memcpy(&region.multiplier, capability + 16, 4);
    snprintf(name, sizeof(name), "resource%u", capability[4]);
    bar = open_file(address, name, O_RDWR);
    region.at = mmap(NULL, (length + offset % PAGE + PAGE - 1) & ~(uint32_t)(PAGE - 1),
                     PROT_READ | PROT_WRITE, MAP_SHARED, bar, offset & ~(uint32_t)(PAGE - 1));
    if (!at || region.at == MAP_FAILED)
        die(name);
    region.at += offset % PAGE;
    close(bar);
    return region;
}

// A page that stays where it is.
static uint8_t *new_page(uint64_t *physical)
{
    int map = open("/proc/self/pagemap", O_RDONLY);
    uint8_t *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE, -1, 0);
    uint64_t entry;

    if (page == MAP_FAILED || pread(map, &entry, 8, (off_t)((uintptr_t)page / PAGE * 8)) != 8 ||
        !(entry >> 63))
        die("memory");
    *physical = (entry & ((UINT64_C(1) << 55) - 1)) * PAGE;
    close(map);
    return page;
}

static void write_8(struct region common, unsigned at, uint8_t value)
{
    common.at[at] = value;
}

static void write_16(struct region common, unsigned at, uint16_t value)
{
    *(volatile uint16_t *)(common.at + at) = htole16(value);
}

static void write_32(struct region common, unsigned at, uint32_t value)
{
    *(volatile uint32_t *)(common.at + at) = htole32(value);
}

static void write_64(struct region common, unsigned at, uint64_t value)
{
    write_32(common, at, (uint32_t)value);
    write_32(common, at + 4, (uint32_t)(value >> 32));
}

// VERSION_1 alone is accepted. Queue 0 gets the page as its one buffer.
static volatile uint16_t *start(const char *address, uint64_t buffer)
{
    struct region common = find_region(address, COMMON_CFG),
                  notify = find_region(address, NOTIFY_CFG);
    uint64_t queue;
    uint8_t *page = new_page(&queue);
    const uint32_t length = PAGE;
    const uint16_t flags = 2, one = 1; // VIRTQ_DESC_F_WRITE

    memset(page, 0, PAGE);
    memcpy(page, &buffer, 8);
    memcpy(page + 8, &length, 4);
    memcpy(page + 12, &flags, 2);
    memcpy(page + AVAIL + 2, &one, 2);
    write_8(common, STATUS, 0);
    write_8(common, STATUS, 3);
    write_32(common, DRIVER_FEATURE_SELECT, 0);
    write_32(common, DRIVER_FEATURE, 0);
    write_32(common, DRIVER_FEATURE_SELECT, 1);
    write_32(common, DRIVER_FEATURE, 1);
    write_8(common, STATUS, 11);
    write_16(common, QUEUE_SELECT, 0);
    write_16(common, QUEUE_SIZE, ENTRIES);
    write_64(common, QUEUE_DESC, queue);
    write_64(common, QUEUE_DRIVER, queue + AVAIL);
    write_64(common, QUEUE_DEVICE, queue + USED);
    write_16(common, QUEUE_ENABLE, 1);
    write_8(common, STATUS, 15);
    *(volatile uint16_t *)(notify.at + notify.multiplier *
                                           *(volatile uint16_t *)(common.at + QUEUE_NOTIFY_OFF)) =
        0;
    return (volatile uint16_t *)(page + USED + 2);
}

int main(int argc, char **argv)
{
    static const uint8_t says_1[] = {0xb8, 1, 0, 0, 0, 0xc3}; // mov $1, %eax; ret
    uint64_t physical;
    uint8_t *buffer = new_page(&physical);
    int (*says)(void) = (int (*)(void))(uintptr_t)(buffer + HEADER + CODE);
    volatile uint16_t *used;
    time_t until;

    if (argc != 2) {
        fprintf(stderr, "usage: codepage PCI-ADDRESS\n");
        return 2;
    }
    memcpy(buffer + HEADER + CODE, says_1, sizeof(says_1));
    enable(argv[1]);
    used = start(argv[1], physical);
    printf("%d\nready\n", says());
    fflush(stdout);
    for (until = time(NULL) + 30; *used == 0;)
        if (time(NULL) > until)
            die("no frame");
    usleep(200000); // the device's burst is over
    printf("%d\n", says());
    return 0;
}
