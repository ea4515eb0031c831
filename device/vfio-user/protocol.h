/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vfio-user protocol, version 0.1: what stands in its messages (QEMU's docs/interop/vfio-user.rst,
 * whose structures are those of <linux/vfio.h>). All numbers are in the host's byte order; both ends
 * are on one host. Used by the server; tests write their messages by hand.
 */
#ifndef DEVICE_VFIO_USER_PROTOCOL_H
#define DEVICE_VFIO_USER_PROTOCOL_H

#include <stdint.h>

#define VFIO_USER_MAJOR 0
#define VFIO_USER_MINOR 1

enum {
    VFIO_USER_VERSION = 1,
    VFIO_USER_DMA_MAP = 2,
    VFIO_USER_DMA_UNMAP = 3,
    VFIO_USER_DEVICE_GET_INFO = 4,
    VFIO_USER_DEVICE_GET_REGION_INFO = 5,
    VFIO_USER_DEVICE_GET_REGION_IO_FDS = 6,
    VFIO_USER_DEVICE_GET_IRQ_INFO = 7,
    VFIO_USER_DEVICE_SET_IRQS = 8,
    VFIO_USER_REGION_READ = 9,
    VFIO_USER_REGION_WRITE = 10,
    VFIO_USER_DMA_READ = 11,  /* from the server */
    VFIO_USER_DMA_WRITE = 12, /* from the server */
    VFIO_USER_DEVICE_RESET = 13,
    VFIO_USER_REGION_WRITE_MULTI = 15,
    VFIO_USER_DEVICE_FEATURE = 16,
    VFIO_USER_MIG_DATA_READ = 17,
    VFIO_USER_MIG_DATA_WRITE = 18,
    VFIO_USER_N_COMMANDS
};

#define VFIO_USER_TYPE_MASK    0xfu
#define VFIO_USER_TYPE_COMMAND 0u
#define VFIO_USER_TYPE_REPLY   1u
#define VFIO_USER_NO_REPLY     0x10u
#define VFIO_USER_ERROR        0x20u

struct vfio_user_header {
    uint16_t id;
    uint16_t command;
    uint32_t size; /* of the message, this header included */
    uint32_t flags;
    uint32_t error;
};

struct vfio_user_version {
    uint16_t major;
    uint16_t minor;
    /* JSON up to a NUL follows, or nothing */
};

struct vfio_user_dma_map {
    uint32_t argsz;
    uint32_t flags;
    uint64_t offset;
    uint64_t address;
    uint64_t size;
};

#define VFIO_USER_DMA_MAP_READ  1u
#define VFIO_USER_DMA_MAP_WRITE 2u

struct vfio_user_dma_unmap {
    uint32_t argsz;
    uint32_t flags;
    uint64_t address;
    uint64_t size;
};

#define VFIO_USER_DMA_UNMAP_DIRTY 1u /* with a bitmap of what was written */
#define VFIO_USER_DMA_UNMAP_ALL   2u

struct vfio_user_device_info {
    uint32_t argsz;
    uint32_t flags;
    uint32_t num_regions;
    uint32_t num_irqs;
};

#define VFIO_USER_DEVICE_RESETS 1u
#define VFIO_USER_DEVICE_PCI    2u

/* Regions and interrupts of a PCI function, by index. */
enum {
    VFIO_USER_REGION_BAR0,
    VFIO_USER_REGION_ROM = 6,
    VFIO_USER_REGION_CONFIG,
    VFIO_USER_REGION_VGA,
    VFIO_USER_N_REGIONS
};

enum {
    VFIO_USER_IRQ_INTX,
    VFIO_USER_IRQ_MSI,
    VFIO_USER_IRQ_MSIX,
    VFIO_USER_IRQ_ERROR,
    VFIO_USER_IRQ_REQUEST,
    VFIO_USER_N_IRQS
};

struct vfio_user_region_info {
    uint32_t argsz;
    uint32_t flags;
    uint32_t index;
    uint32_t cap_offset;
    uint64_t size;
    uint64_t offset;
};

#define VFIO_USER_REGION_READABLE  1u
#define VFIO_USER_REGION_WRITEABLE 2u

struct vfio_user_region_io_fds {
    uint32_t argsz;
    uint32_t flags;
    uint32_t index;
    uint32_t count;
};

struct vfio_user_io_fd {
    uint64_t offset;
    uint64_t size;
    uint32_t fd_index;
    uint32_t type;
    uint32_t flags;
    uint32_t padding;
    uint64_t datamatch;
};

#define VFIO_USER_IO_FD_IOEVENTFD 0u
#define VFIO_USER_IO_FD_ON_DATA   1u /* KVM_IOEVENTFD_FLAG_DATAMATCH */

struct vfio_user_irq_info {
    uint32_t argsz;
    uint32_t flags;
    uint32_t index;
    uint32_t count;
};

#define VFIO_USER_IRQ_EVENTFD    1u
#define VFIO_USER_IRQ_MASKABLE   2u
#define VFIO_USER_IRQ_AUTOMASKED 4u
#define VFIO_USER_IRQ_NORESIZE   8u

struct vfio_user_irq_set {
    uint32_t argsz;
    uint32_t flags;
    uint32_t index;
    uint32_t start;
    uint32_t count;
};

#define VFIO_USER_IRQ_SET_NONE    1u
#define VFIO_USER_IRQ_SET_BOOL    2u
#define VFIO_USER_IRQ_SET_FDS     4u
#define VFIO_USER_IRQ_SET_DATA    7u
#define VFIO_USER_IRQ_SET_MASK    8u
#define VFIO_USER_IRQ_SET_UNMASK  16u
#define VFIO_USER_IRQ_SET_TRIGGER 32u
#define VFIO_USER_IRQ_SET_ACTION  56u

/* Of a read or a write, and of their replies; data follow a write and the reply to a read. */
struct vfio_user_region_access {
    uint64_t offset;
    uint32_t region;
    uint32_t count;
};

/* Of a read or a write of the client's memory, and of their replies. */
struct vfio_user_dma_access {
    uint64_t address;
    uint64_t count;
};

struct vfio_user_write_multi {
    uint64_t offset;
    uint32_t region;
    uint32_t count; /* 1 to 8 */
    uint8_t data[8];
};

struct vfio_user_device_feature {
    uint32_t argsz;
    uint32_t flags;
};

#define VFIO_USER_FEATURE_MASK  0xffffu
#define VFIO_USER_FEATURE_GET   0x10000u
#define VFIO_USER_FEATURE_SET   0x20000u
#define VFIO_USER_FEATURE_PROBE 0x40000u

_Static_assert(sizeof(struct vfio_user_header) == 16, "16 octets");
_Static_assert(sizeof(struct vfio_user_version) == 4, "4 octets");
_Static_assert(sizeof(struct vfio_user_dma_map) == 32, "32 octets");
_Static_assert(sizeof(struct vfio_user_dma_unmap) == 24, "24 octets");
_Static_assert(sizeof(struct vfio_user_device_info) == 16, "16 octets");
_Static_assert(sizeof(struct vfio_user_region_info) == 32, "32 octets");
_Static_assert(sizeof(struct vfio_user_region_io_fds) == 16, "16 octets");
_Static_assert(sizeof(struct vfio_user_io_fd) == 40, "40 octets");
_Static_assert(sizeof(struct vfio_user_irq_info) == 16, "16 octets");
_Static_assert(sizeof(struct vfio_user_irq_set) == 20, "20 octets");
_Static_assert(sizeof(struct vfio_user_region_access) == 16, "16 octets");
_Static_assert(sizeof(struct vfio_user_dma_access) == 16, "16 octets");
_Static_assert(sizeof(struct vfio_user_write_multi) == 24, "24 octets");
_Static_assert(sizeof(struct vfio_user_device_feature) == 8, "8 octets");

#endif
