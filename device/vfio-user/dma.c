/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client's memory; see dma.h. Called by server.c.
 *
 * SIGBUS. The kernel raises it in the thread that touches a page of a file that has become too short.
 * The handler puts anonymous memory in place of the region and returns, so that the access goes on
 * with zeroes: of all of it, for a mapping in pieces could need more of them than a process may have. It
 * knows whose pages these are from a table of ranges that it reads without a lock: a slot is filled
 * before its memory is handed to the device and cleared after the device has let go of it. Any other
 * SIGBUS is left to what was there before.
 */
#include "dma.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#define PAGE 4096u

/* ---- Memory that disappears ---- */

/* What the handler tells: the thread that it interrupts need not be the event loop's. */
struct loss {
    atomic_bool lost;
    int fd; /* an eventfd, or -1 */
};

struct range {
    _Atomic uintptr_t begin; /* 0: the slot is free */
    _Atomic uintptr_t end;
    _Atomic(struct loss *) loss;
};

/* A process has few devices; regions beyond these cannot be guarded, and are refused for that. */
static struct range ranges[2 * DMA_MAX_REGIONS];
static struct sigaction before;

static bool replace(uintptr_t begin, uintptr_t end)
{
    return end > begin &&
           mmap((void *)begin, end - begin, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED;
}

static void tell(struct loss *loss)
{
    const uint64_t one = 1;

    atomic_store(&loss->lost, true);
    if (loss->fd >= 0) {
        (void)!write(loss->fd, &one, sizeof(one));
    }
}

static bool mend(uintptr_t address)
{
    for (size_t i = 0; i < G_N_ELEMENTS(ranges); i++) {
        const uintptr_t begin = atomic_load(&ranges[i].begin);
        const uintptr_t end = atomic_load(&ranges[i].end);

        if (begin && address >= begin && address < end) {
            tell(atomic_load(&ranges[i].loss));
            return replace(begin, end) ||
                   replace(address & ~(uintptr_t)(PAGE - 1), (address | (PAGE - 1)) + 1);
        }
    }
    return false;
}

static void bus_error(int number, siginfo_t *info, void *context)
{
    const int saved = errno;
    const bool mended = info->si_code > 0 && mend((uintptr_t)info->si_addr);

    errno = saved;
    (void)context;
    if (!mended) {
        sigaction(number, &before, NULL); /* the access is made again, and meets this one */
    }
}

static void guard_once(void)
{
    static gsize done;
    struct sigaction action = {.sa_sigaction = bus_error, .sa_flags = SA_SIGINFO};

    if (g_once_init_enter(&done)) {
        sigemptyset(&action.sa_mask);
        sigaction(SIGBUS, &action, &before);
        g_once_init_leave(&done, 1);
    }
}

static bool guard(void *host, uint64_t size, struct loss *loss)
{
    guard_once();
    for (size_t i = 0; i < G_N_ELEMENTS(ranges); i++) {
        if (!atomic_load(&ranges[i].begin)) {
            atomic_store(&ranges[i].loss, loss);
            atomic_store(&ranges[i].end, (uintptr_t)host + size);
            atomic_store(&ranges[i].begin, (uintptr_t)host);
            return true;
        }
    }
    return false;
}

static void unguard(const void *host)
{
    for (size_t i = 0; i < G_N_ELEMENTS(ranges); i++) {
        if (atomic_load(&ranges[i].begin) == (uintptr_t)host) {
            atomic_store(&ranges[i].begin, 0);
            return;
        }
    }
}

/* ---- Regions ---- */

struct region {
    uint64_t gpa;
    uint64_t size;
    void *host; /* NULL: not mapped */
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
    struct loss loss;
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
    if (region->host) {
        unguard(region->host);
        munmap(region->host, region->size);
    }
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
    if (region->host && !replace((uintptr_t)region->host, (uintptr_t)region->host + region->size)) {
        tell(&dma->loss);
    }
    region->gone = true;
    dma->n_gone++;
}

/* Makes a region known to the device. */
static bool introduce(struct dma *dma, struct region *region)
{
    const unsigned flags = region->readonly ? VIONET_MAP_READONLY : 0;

    if (region->host) {
        region->known =
            vionet_device_map(dma->device, region->gpa, region->host, region->size, flags, NULL);
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

        if (!region->known && (region->host || region->remote)) {
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

/* Huge pages are mapped and unmapped whole. */
static uint64_t page_size(int fd)
{
    struct statfs system;

    return fstatfs(fd, &system) == 0 && system.f_type == HUGETLBFS_MAGIC ? (uint64_t)system.f_bsize
                                                                         : PAGE;
}

/* The file has what is to be mapped. */
static int check_file(int fd, const struct vfio_user_dma_map *map)
{
    struct stat file;

    if (fstat(fd, &file) != 0 || !S_ISREG(file.st_mode) ||
        (map->size | map->offset) % page_size(fd)) {
        return EINVAL;
    }
    return map->offset + map->size < map->size || file.st_size < 0 ||
                   map->offset + map->size > (uint64_t)file.st_size
               ? EINVAL
               : 0;
}

static int map_file(struct dma *dma, const struct vfio_user_dma_map *map, int fd, bool readonly,
                    void **host)
{
    const int error = check_file(fd, map);

    if (error) {
        return error;
    }
    *host = mmap(NULL, map->size, readonly ? PROT_READ : PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_NORESERVE, fd, (off_t)map->offset);
    if (*host == MAP_FAILED) {
        return errno;
    }
    if (!guard(*host, map->size, &dma->loss)) {
        munmap(*host, map->size);
        return ENOSPC;
    }
    return 0;
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
        error = map_file(dma, map, message->fds[0], region->readonly, &region->host);
    }
    if (error || dma->held || !(region->host || region->remote) || introduce(dma, region)) {
        return error;
    }
    if (region->host) {
        unguard(region->host);
        munmap(region->host, region->size);
    }
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
