/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files that a peer shares, mapped. The peer may be hostile: should it make a file shorter than it said,
 * so that octets are gone, who touches them would be killed; here it meets zeroes instead, and a flag
 * says so, in whatever thread it was. Used by the vfio-user and vhost-user servers.
 *
 * Threads: mapping and unmapping are for one thread at a time; the memory is for any.
 */
#ifndef DEVICE_SHARING_H
#define DEVICE_SHARING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

/* All of this process's: more are refused. */
#define SHARING_MAX 4096

/* What is told of a file that became too short: the thread that met it need not be the event loop's. */
struct sharing_loss {
    atomic_bool lost;
    int fd; /* an eventfd that is signalled too, or -1 */
};

struct sharing {
    void *host;  /* what was asked for; NULL: nothing is mapped */
    void *begin; /* of the whole pages that are mapped for it */
    size_t len;
};

/*
 * Maps size octets (not 0) at offset of a file, which has to have them now; both may be of any size, the
 * pages of any size too. loss is told when octets are missed, and must outlive the mapping. Returns 0, or
 * an errno value.
 */
int sharing_map(struct sharing *sharing, int fd, uint64_t offset, uint64_t size, bool readonly,
                struct sharing_loss *loss);

/* Takes it away again; harmless if nothing is mapped. */
void sharing_unmap(struct sharing *sharing);

/* Puts zeroes of our own in the place of the peer's octets, at the same addresses. False if that fails. */
bool sharing_detach(const struct sharing *sharing);

/* Tells that octets are missed. */
void sharing_tell(struct sharing_loss *loss);

/*
 * A source, attached to context, that calls lost() once, as soon as is_lost() says that memory is missing:
 * it may go whenever the device moves frames, not only within a message or this thread. fd: what wakes the
 * loop for it (sharing_loss), or -1.
 */
GSource *sharing_watch(GMainContext *context, int fd, bool (*is_lost)(void *opaque),
                       void (*lost)(void *opaque), void *opaque);

/* Octets of a page of the file. */
uint64_t sharing_page_size(int fd);

#endif
