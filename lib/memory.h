/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one gate to guest memory: guest physical address to bounded host ranges. A map is immutable;
 * the device replaces it whole when the embedder maps or unmaps (net/device.c), so that a queue sees
 * one map for the length of a burst. No other file does arithmetic on a guest address.
 *
 * Remote memory is not mapped here: it has no host pointers, and its octets are read and written by
 * operations of the host. memory_translate() and memory_pointer() do not find it; whoever does without
 * them goes the slow way, by memory_piece(), memory_read() and memory_write().
 */
#ifndef VIONET_MEMORY_H
#define VIONET_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <glib.h>

/* Mappings begin and end at multiples of this. */
#define MEMORY_PAGE 4096u
/* Host pointers of mappings are aligned to this, so that rings keep the alignment they have. */
#define MEMORY_HOST_ALIGN 16u

struct memory_region {
    uint64_t gpa;
    uint64_t size;
    uint8_t *host;
    unsigned flags; /* VIONET_MAP_*, MEMORY_REMOTE */
};

/* Of a region: remote. Its host is NULL. */
#define MEMORY_REMOTE (1u << 31)

/* How remote memory is reached: VionetHostOps. */
struct memory_remote {
    bool (*read)(void *opaque, uint64_t gpa, void *buf, size_t len);
    bool (*write)(void *opaque, uint64_t gpa, const void *buf, size_t len);
    void *opaque;
};

/* Which pages of MEMORY_PAGE octets the device has written: page % 8 of octet page / 8, set after it. */
struct memory_log {
    uint8_t *bits; /* NULL: nobody wants to know */
    uint64_t size; /* octets of it; what lies beyond is not noted */
};

struct memory_map {
    uint64_t
        serial; /* tells maps of one device apart, even where one stands at another's address */
    struct memory_log log;
    const struct memory_remote *remote; /* NULL: there are no remote regions */
    unsigned n_regions;                 /* sorted by gpa, without overlap */
    struct memory_region regions[];
};

/* Notes in log that len octets at gpa were written; or so many at a host pointer that the map gave. */
void memory_log_pages(const struct memory_log *log, uint64_t gpa, uint64_t len);
void memory_log_host(const struct memory_map *map, const void *host, uint64_t len);

/* The map of no memory, serial 1, remote NULL. Freed, like all maps, with g_free(). */
struct memory_map *memory_map_empty(void);

/* A new map with one region more or less; NULL with a VIONET_ERROR_MEMORY. The old one stays. */
struct memory_map *memory_map_with(const struct memory_map *map, const struct memory_region *region,
                                   GError **error);
struct memory_map *memory_map_without(const struct memory_map *map, uint64_t gpa, uint64_t size,
                                      GError **error);

/* A new map with that log. */
struct memory_map *memory_map_logged(const struct memory_map *map, const struct memory_log *log);

/*
 * The region of gpa, NULL if there is none. *hint, an index that the caller keeps, makes repeated
 * look-ups in one region quick; any value will do.
 */
const struct memory_region *memory_find(const struct memory_map *map, uint64_t gpa, unsigned *hint);

/*
 * Appends the host ranges of the len octets at gpa to iov, *n of max of which are used; ranges past
 * max are checked but not stored. False if any octet is not mapped memory, or not writable while
 * write.
 */
bool memory_translate(const struct memory_map *map, unsigned *hint, uint64_t gpa, uint64_t len,
                      bool write, struct iovec *iov, unsigned *n, unsigned max);

/* Host pointer to len octets at gpa if they are mapped memory in one piece, else NULL. */
uint8_t *memory_pointer(const struct memory_map *map, unsigned *hint, uint64_t gpa, uint64_t len,
                        bool write);

/*
 * The region that was looked in last, for looking up many pieces that mostly lie in one. All zero at
 * first; for one map, and for writing or for reading only.
 */
struct memory_window {
    uint64_t gpa;
    uint64_t size; /* 0: none */
    uint8_t *host;
};

/* The window where gpa is, all zero if that is not fit for it. */
struct memory_window memory_window_at(const struct memory_map *map, unsigned *hint, uint64_t gpa,
                                      bool write);

/* As memory_pointer(), through a window, which may live in registers. */
static inline uint8_t *memory_window_pointer(struct memory_window *window,
                                             const struct memory_map *map, unsigned *hint,
                                             uint64_t gpa, uint64_t len, bool write)
{
    if (G_UNLIKELY(gpa - window->gpa >= window->size)) {
        *window = memory_window_at(map, hint, gpa, write);
        if (window->size == 0) {
            return NULL;
        }
    }
    return G_LIKELY(len <= window->size - (gpa - window->gpa)) ? window->host + (gpa - window->gpa)
                                                               : NULL;
}

/* Octets in one region. */
struct memory_piece {
    uint64_t gpa;
    uint64_t len;
    uint8_t *host; /* NULL: remote */
};

/*
 * The first piece of the len octets (not 0) at gpa, in memory of either kind. False if that is not
 * memory, or not writable while write.
 */
bool memory_piece(const struct memory_map *map, unsigned *hint, uint64_t gpa, uint64_t len,
                  bool write, struct memory_piece *piece);

/* Whether all len octets are memory of either kind, and writable if write. */
bool memory_exists(const struct memory_map *map, unsigned *hint, uint64_t gpa, uint64_t len,
                   bool write);

/* Copies out of and into memory of either kind. False if it is not there, or the host cannot. */
bool memory_read(const struct memory_map *map, unsigned *hint, uint64_t gpa, void *buf, size_t len);
bool memory_write(const struct memory_map *map, unsigned *hint, uint64_t gpa, const void *buf,
                  size_t len);

#endif
