/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client's memory; see dma.h. Called by server.c.
 */
#include "dma.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "sharing.h"

#define PAGE 4096u

/* ---- Regions ---- */

struct region {
    uint64_t gpa;
    uint64_t size;
    struct sharing mapping;
    bool remote;
    bool readonly;
    bool known; /* to the device */
    bool gone;  /* the client has taken it back */
};

struct dma {
    VionetFrontend *frontend;
    VionetDevice *device; /* its */
    bool has_threads;
    GArray *regions; /* of struct region */
    unsigned n_gone;
    unsigned n_remote; /* that have not gone */
    bool held;         /* the device's map stays as it is */
    struct sharing_loss loss;
};

struct dma *dma_new(VionetFrontend *frontend)
{
    struct dma *dma = g_new0(struct dma, 1);

    dma->frontend = frontend;
    dma->device = vionet_frontend_device(frontend);
    dma->has_threads = vionet_frontend_queue_context(frontend, 0);
    dma->loss.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    dma->regions = g_array_new(FALSE, FALSE, sizeof(struct region));
    return dma;
}

static struct region *region_at(const struct dma *dma, guint i)
{
    return &g_array_index(dma->regions, struct region, i);
}

/* The device lets go of a region, and it is forgotten. */
static void forget(struct dma *dma, guint i)
{
    struct region *region = region_at(dma, i);

    if (region->known) {
        vionet_device_unmap(dma->device, region->gpa, region->size, NULL);
        vionet_frontend_settle(dma->frontend);
    }
    sharing_unmap(&region->mapping);
    dma->n_gone -= region->gone;
    g_array_remove_index_fast(dma->regions, i);
}

/* The client takes a region back. */
static void release(struct dma *dma, guint i)
{
    struct region *region = region_at(dma, i);

    dma->n_remote -= region->remote;
    if (!dma->held) {
        forget(dma, i);
        return;
    }
    if (region->mapping.host && !sharing_detach(&region->mapping)) {
        sharing_tell(&dma->loss);
    }
    region->gone = true;
    dma->n_gone++;
}

/* Makes a region known to the device. */
static bool introduce(struct dma *dma, struct region *region)
{
    const unsigned flags = region->readonly ? VIONET_MAP_READONLY : 0;

    if (region->mapping.host) {
        region->known = vionet_device_map(dma->device, region->gpa, region->mapping.host,
                                          region->size, flags, NULL);
    } else {
        region->known =
            vionet_device_map_remote(dma->device, region->gpa, region->size, flags, NULL);
    }
    return region->known;
}

void dma_hold(struct dma *dma)
{
    dma->held = true;
}

bool dma_is_held(const struct dma *dma)
{
    return dma->held;
}

void dma_settle(struct dma *dma)
{
    if (!dma->held) {
        return;
    }
    dma->held = false;
    for (guint i = dma->regions->len; i > 0; i--) {
        if (region_at(dma, i - 1)->gone) {
            forget(dma, i - 1);
        }
    }
    for (guint i = 0; i < dma->regions->len; i++) {
        struct region *region = region_at(dma, i);

        if (!region->known && (region->mapping.host || region->remote)) {
            introduce(dma, region);
        }
    }
}

bool dma_is_remote(const struct dma *dma, uint64_t address, uint64_t len)
{
    for (guint i = 0; i < dma->regions->len; i++) {
        const struct region *region = region_at(dma, i);

        if (address - region->gpa < region->size && region->remote && !region->gone) {
            return len <= region->size - (address - region->gpa);
        }
    }
    return false;
}

bool dma_has_remote(const struct dma *dma)
{
    return dma->n_remote > 0;
}

void dma_free(struct dma *dma)
{
    if (dma) {
        while (dma->regions->len > 0) {
            forget(dma, dma->regions->len - 1);
        }
        g_array_unref(dma->regions);
        if (dma->loss.fd >= 0) {
            close(dma->loss.fd);
        }
        g_free(dma);
    }
}

bool dma_lost(const struct dma *dma)
{
    return atomic_load(&((struct dma *)dma)->loss.lost);
}

int dma_loss_fd(const struct dma *dma)
{
    return dma->loss.fd;
}

/* ---- Mapping ---- */

static bool overlaps(const struct dma *dma, const struct vfio_user_dma_map *map)
{
    for (guint i = 0; i < dma->regions->len; i++) {
        const struct region *region = region_at(dma, i);

        if (!region->gone &&
            (map->address - region->gpa < region->size || region->gpa - map->address < map->size)) {
            return true;
        }
    }
    return false;
}

static int check_map(const struct dma *dma, const struct vfio_user_dma_map *map, unsigned n_fds)
{
    const uint32_t both = VFIO_USER_DMA_MAP_READ | VFIO_USER_DMA_MAP_WRITE;

    if (map->argsz < sizeof(*map) || !(map->flags & both) || map->flags & ~both || n_fds > 1 ||
        map->size == 0 || (map->address | map->size | (n_fds ? map->offset : 0)) % PAGE ||
        map->address + (map->size - 1) < map->address || map->size > SIZE_MAX / 2) {
        return EINVAL;
    }
    if (overlaps(dma, map)) {
        return EEXIST;
    }
    return dma->regions->len < DMA_MAX_REGIONS ? 0 : ENOSPC;
}

static int map_file(struct dma *dma, const struct vfio_user_dma_map *map, int fd,
                    struct region *region)
{
    return (map->size | map->offset) % sharing_page_size(fd)
               ? EINVAL
               : sharing_map(&region->mapping, fd, map->offset, map->size, region->readonly,
                             &dma->loss);
}

/* The same for what the message asks for, of either kind. */
static int make_region(struct dma *dma, const struct vfio_user_dma_map *map,
                       const struct stream_message *message, struct region *region)
{
    int error = 0;

    *region = (struct region){
        .gpa = map->address,
        .size = map->size,
        .readonly = !(map->flags & VFIO_USER_DMA_MAP_WRITE),
    };
    if (!(map->flags & VFIO_USER_DMA_MAP_READ)) {
        return 0;
    }
    region->remote = message->n_fds == 0 && !dma->has_threads;
    if (message->n_fds > 0) {
        error = map_file(dma, map, message->fds[0], region);
    }
    if (error || dma->held || !(region->mapping.host || region->remote) || introduce(dma, region)) {
        return error;
    }
    sharing_unmap(&region->mapping);
    return EINVAL;
}

int dma_map(struct dma *dma, struct stream_message *message)
{
    struct vfio_user_dma_map map;
    struct region region;
    int error;

    memcpy(&map, message->payload, sizeof(map));
    error = check_map(dma, &map, message->n_fds);
    if (error == 0) {
        error = make_region(dma, &map, message, &region);
    }
    if (error == 0) {
        dma->n_remote += region.remote;
        g_array_append_val(dma->regions, region);
    }
    return error;
}

int dma_unmap(struct dma *dma, const struct stream_message *message)
{
    struct vfio_user_dma_unmap unmap;

    memcpy(&unmap, message->payload, sizeof(unmap));
    if (unmap.argsz < sizeof(unmap) || unmap.flags & ~VFIO_USER_DMA_UNMAP_ALL) {
        return EINVAL;
    }
    if (unmap.flags & VFIO_USER_DMA_UNMAP_ALL) {
        if (unmap.address || unmap.size) {
            return EINVAL;
        }
        for (guint i = dma->regions->len; i > 0; i--) {
            if (!region_at(dma, i - 1)->gone) {
                release(dma, i - 1);
            }
        }
        return 0;
    }
    for (guint i = 0; i < dma->regions->len; i++) {
        const struct region *region = region_at(dma, i);

        if (!region->gone && region->gpa == unmap.address && region->size == unmap.size) {
            release(dma, i);
            return 0;
        }
    }
    return ENOENT;
}
