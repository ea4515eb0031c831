/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory for the rings' journals; see inflight.h. Called by server.c and vrings.c. It is the front-end's as
 * much as ours: of what it says of it nothing is believed but what the file has.
 */
#include "inflight.h"

#include <sys/mman.h>
#include <unistd.h>

#include <vionet/transport.h>

#define ALIGNMENT 64u /* of each journal: two threads write to none of the other's cache lines */

static uint64_t stride(uint32_t ring_size)
{
    const uint64_t size = vionet_queue_journal_size((uint16_t)ring_size);

    return (size + ALIGNMENT - 1) & ~(uint64_t)(ALIGNMENT - 1);
}

static bool is_possible(const struct vhost_user_inflight *about, unsigned max_rings)
{
    return about->n_rings > 0 && about->n_rings <= max_rings && about->ring_size > 0 &&
           about->ring_size <= VIONET_MAX_QUEUE_SIZE;
}

int inflight_make(struct vhost_user_inflight *about, unsigned max_rings)
{
    int fd;

    if (!is_possible(about, max_rings)) {
        return -1;
    }
    about->size = about->n_rings * stride(about->ring_size);
    about->offset = 0;
    fd = memfd_create("vionet-inflight", MFD_CLOEXEC);
    if (fd >= 0 && ftruncate(fd, (off_t)about->size) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

bool inflight_take(struct inflight *inflight, const struct vhost_user_inflight *about, int fd,
                   unsigned max_rings, struct sharing_loss *loss)
{
    struct sharing mapping;

    if (!is_possible(about, max_rings) || about->offset % ALIGNMENT ||
        about->size < about->n_rings * stride(about->ring_size) ||
        sharing_map(&mapping, fd, about->offset, about->size, false, loss) != 0) {
        return false;
    }
    inflight_drop(inflight);
    *inflight = (struct inflight){mapping, about->n_rings, about->ring_size};
    return true;
}

void inflight_drop(struct inflight *inflight)
{
    sharing_unmap(&inflight->mapping);
    *inflight = (struct inflight){.n_rings = 0};
}

void *inflight_journal(const struct inflight *inflight, unsigned ring, uint32_t size)
{
    if (!inflight->mapping.host || ring >= inflight->n_rings || size > inflight->ring_size) {
        return NULL;
    }
    return (uint8_t *)inflight->mapping.host + ring * stride(inflight->ring_size);
}
