/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The front-end's memory; see memory.h. Called by server.c. Files that become too short are dealt with in
 * sharing.c.
 */
#include "memory.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PAGE 4096u

struct region {
    uint64_t guest;
    uint64_t user;
    uint64_t size;
    struct sharing mapping;
};

struct memory {
    VionetFrontend *frontend;
    VionetDevice *device; /* its */
    GArray *regions;      /* of struct region */
    struct sharing_loss loss;
};

struct memory *memory_new(VionetFrontend *frontend)
{
    struct memory *memory = g_new0(struct memory, 1);

    memory->frontend = frontend;
    memory->device = vionet_frontend_device(frontend);
    memory->loss.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    memory->regions = g_array_new(FALSE, FALSE, sizeof(struct region));
    return memory;
}

static struct region *region_at(const struct memory *memory, guint i)
{
    return &g_array_index(memory->regions, struct region, i);
}

/* The device lets go of a region, and it is forgotten. */
static void forget(struct memory *memory, guint i)
{
    struct region *region = region_at(memory, i);

    vionet_device_unmap(memory->device, region->guest, region->size, NULL);
    vionet_frontend_settle(memory->frontend);
    sharing_unmap(&region->mapping);
    g_array_remove_index_fast(memory->regions, i);
}

static void forget_all(struct memory *memory)
{
    while (memory->regions->len > 0) {
        forget(memory, memory->regions->len - 1);
    }
}

void memory_free(struct memory *memory)
{
    if (memory) {
        forget_all(memory);
        g_array_unref(memory->regions);
        if (memory->loss.fd >= 0) {
            close(memory->loss.fd);
        }
        g_free(memory);
    }
}

bool memory_is_lost(const struct memory *memory)
{
    return atomic_load(&((struct memory *)memory)->loss.lost);
}

struct sharing_loss *memory_loss(struct memory *memory)
{
    return &memory->loss;
}

/* ---- Regions ---- */

/* User addresses lie apart; guest addresses the device looks at. */
static bool is_possible(const struct memory *memory, const struct vhost_user_region *region)
{
    if (region->size == 0 || (region->guest | region->size | region->offset) % PAGE ||
        region->user > UINT64_MAX - (region->size - 1) ||
        memory->regions->len >= MEMORY_MAX_REGIONS) {
        return false;
    }
    for (guint i = 0; i < memory->regions->len; i++) {
        const struct region *other = region_at(memory, i);

        if (region->user - other->user < other->size || other->user - region->user < region->size) {
            return false;
        }
    }
    return true;
}

static bool add(struct memory *memory, const struct vhost_user_region *from, int fd)
{
    struct region region = {.guest = from->guest, .user = from->user, .size = from->size};

    if (!is_possible(memory, from) ||
        sharing_map(&region.mapping, fd, from->offset, from->size, false, &memory->loss) != 0) {
        return false;
    }
    if (!vionet_device_map(memory->device, region.guest, region.mapping.host, region.size, 0,
                           NULL)) {
        sharing_unmap(&region.mapping);
        return false;
    }
    g_array_append_val(memory->regions, region);
    return true;
}

bool memory_set(struct memory *memory, const struct message *message)
{
    struct vhost_user_region region;
    struct vhost_user_table table;

    memcpy(&table, message->payload, sizeof(table));
    if (table.n_regions > VHOST_USER_TABLE_REGIONS || table.n_regions != message->n_fds ||
        message->header.size < sizeof(table) + table.n_regions * sizeof(region)) {
        return false;
    }
    forget_all(memory);
    for (unsigned i = 0; i < table.n_regions; i++) {
        memcpy(&region, message->payload + sizeof(table) + i * sizeof(region), sizeof(region));
        if (!add(memory, &region, message->fds[i])) {
            forget_all(memory);
            return false;
        }
    }
    return true;
}

bool memory_add(struct memory *memory, const struct message *message)
{
    struct vhost_user_single_region single;

    memcpy(&single, message->payload, sizeof(single));
    return add(memory, &single.region, message->fds[0]);
}

bool memory_remove(struct memory *memory, const struct message *message)
{
    struct vhost_user_single_region single;

    memcpy(&single, message->payload, sizeof(single));
    for (guint i = 0; i < memory->regions->len; i++) {
        const struct region *region = region_at(memory, i);

        if (region->guest == single.region.guest && region->user == single.region.user &&
            region->size == single.region.size) {
            forget(memory, i);
            return true;
        }
    }
    return false;
}

bool memory_user_to_guest(const struct memory *memory, uint64_t user, uint64_t *guest)
{
    for (guint i = 0; i < memory->regions->len; i++) {
        const struct region *region = region_at(memory, i);
        const uint64_t offset = user - region->user;

        if (offset < region->size) {
            *guest = region->guest + offset;
            return true;
        }
    }
    return false;
}
