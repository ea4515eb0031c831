/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory by a MemoryListener; see guest_memory.h. Called by nic.c and QEMU.
 *
 * The device notes the pages of the buffers that it writes (vionet_device_set_dirty_log()) while somebody
 * cares: always under TCG, which translates code from these pages, else while a migration logs. The
 * queues' own areas are not noted but taken as written whenever the log is read: they are few pages that
 * are written all the time, and the last reading is of a machine that stands still.
 *
 * A page is told of when the burst is over that wrote it, a moment after the used ring has moved: a guest that executes
 * at that very moment what came, on a virtual CPU that TCG runs beside us, may execute what was there before.
 */
#include "qemu/osdep.h"

#include "guest_memory.h"

#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qemu/units.h"

#include <vionet/transport.h>

#include "compat.h"

#define PAGE        4096u
#define BITS        64u        /* pages of a word of the log */
#define MOST_LOGGED (16 * TiB) /* of guest memory: beyond, the log would be half a gibibyte */

/* Memory that is mapped. */
struct piece {
    uint64_t gpa;
    uint64_t size;
    bool readonly;
    MemoryRegion *region; /* a reference */
};

struct guest_memory {
    VionetDevice *device;
    MemoryListener listener;
    GArray *pieces; /* struct piece */
    bool migrates;
    uint64_t end;   /* of what is mapped */
    uint64_t *log;  /* NULL while nobody cares */
    size_t n_words; /* of it */
};

static struct guest_memory *memory_of(MemoryListener *listener)
{
    return container_of(listener, struct guest_memory, listener);
}

/* ---- What the device wrote ---- */

/* Of anything else QEMU would think that it was given octets to write there. */
static bool is_writable(const struct guest_memory *memory, uint64_t gpa)
{
    for (guint i = 0; i < memory->pieces->len; i++) {
        const struct piece *piece = &g_array_index(memory->pieces, struct piece, i);

        if (gpa >= piece->gpa && gpa - piece->gpa < piece->size) {
            return !piece->readonly;
        }
    }
    return false;
}

/* As after a DMA by QEMU's own functions, of which these two are the ends. */
static void tell_page(const struct guest_memory *memory, uint64_t gpa)
{
    hwaddr len = PAGE;
    void *host;

    if (!is_writable(memory, gpa)) {
        return;
    }
    host = address_space_map(&address_space_memory, gpa, &len, true, MEMTXATTRS_UNSPECIFIED);
    if (host) {
        address_space_unmap(&address_space_memory, host, len, true, len);
    }
}

void guest_memory_settle(struct guest_memory *memory)
{
    if (memory->n_words == 0 ||
        buffer_is_zero(memory->log, memory->n_words * sizeof(memory->log[0]))) {
        return;
    }
    for (size_t i = 0; i < memory->n_words; i++) {
        uint64_t word = qatomic_read(&memory->log[i]);

        if (word == 0) {
            continue;
        }
        word = le64_to_cpu(qatomic_xchg(&memory->log[i], 0));
        for (; word; word &= word - 1) {
            tell_page(memory, (i * BITS + (unsigned)ctz64(word)) * PAGE);
        }
    }
}

static void tell_area(const struct guest_memory *memory, unsigned queue, VionetQueueArea area)
{
    const uint64_t size = vionet_device_queue_size(memory->device, queue);
    const uint64_t gpa = vionet_device_queue_area(memory->device, queue, area);

    /* Of any area 16 octets for each descriptor and 8 besides are the most. */
    for (uint64_t page = gpa / PAGE; page <= (gpa + 16 * size + 8) / PAGE; page++) {
        tell_page(memory, page * PAGE);
    }
}

static void tell_queues(const struct guest_memory *memory)
{
    for (unsigned i = 0; i < vionet_device_num_queues(memory->device); i++) {
        if (vionet_device_queue_enabled(memory->device, i)) {
            tell_area(memory, i, VIONET_AREA_DESC);
            tell_area(memory, i, VIONET_AREA_DEVICE);
        }
    }
}

/* Makes, grows or ends the log, as it is needed. What it had is told. */
static void fit_log(struct guest_memory *memory)
{
    const bool wanted = tcg_enabled() || memory->migrates;
    const size_t n_words =
        wanted ? DIV_ROUND_UP(MIN(memory->end, MOST_LOGGED), (uint64_t)PAGE * BITS) : 0;
    uint64_t *old = memory->log;

    if (n_words == memory->n_words) {
        return;
    }
    vionet_device_set_dirty_log(memory->device, NULL, 0);
    guest_memory_settle(memory);
    memory->log = n_words > 0 ? g_new0(uint64_t, n_words) : NULL;
    memory->n_words = n_words;
    vionet_device_set_dirty_log(memory->device, memory->log, n_words * sizeof(memory->log[0]));
    g_free(old);
}

/* ---- What QEMU tells ---- */

/* The whole pages of a section, and what comes before them in it; false if there are none. */
static bool whole_pages(const MemoryRegionSection *section, struct piece *piece, uint64_t *before)
{
    const uint64_t begin = section->offset_within_address_space;
    const uint64_t end = begin + int128_get64(section->size);

    piece->gpa = ROUND_UP(begin, PAGE);
    piece->size = ROUND_DOWN(end, PAGE) - piece->gpa;
    *before = piece->gpa - begin;
    return ROUND_DOWN(end, PAGE) > piece->gpa;
}

static void region_add(MemoryListener *listener, MemoryRegionSection *section)
{
    struct guest_memory *memory = memory_of(listener);
    struct piece piece = {.readonly = section->readonly, .region = section->mr};
    GError *error = NULL;
    uint64_t before;
    uint8_t *host;

    if (!memory_region_is_ram(section->mr) || memory_region_is_ram_device(section->mr) ||
        memory_region_is_romd(section->mr) || !whole_pages(section, &piece, &before)) {
        return;
    }
    host = (uint8_t *)memory_region_get_ram_ptr(section->mr) + section->offset_within_region;
    if (!vionet_device_map(memory->device, piece.gpa, host + before, piece.size,
                           piece.readonly ? VIONET_MAP_READONLY : 0, &error)) {
        error_report("vionet-pci: memory at 0x%" PRIx64 ": %s", piece.gpa, error->message);
        g_error_free(error);
        return;
    }
    memory_region_ref(piece.region);
    g_array_append_val(memory->pieces, piece);
    memory->end = MAX(memory->end, piece.gpa + piece.size);
}

static void remove_piece(struct guest_memory *memory, guint i)
{
    const struct piece piece = g_array_index(memory->pieces, struct piece, i);

    vionet_device_unmap(memory->device, piece.gpa, piece.size, NULL);
    memory_region_unref(piece.region);
    g_array_remove_index_fast(memory->pieces, i);
}

static void region_del(MemoryListener *listener, MemoryRegionSection *section)
{
    struct guest_memory *memory = memory_of(listener);
    struct piece gone;
    uint64_t before;

    if (!whole_pages(section, &gone, &before)) {
        return;
    }
    for (guint i = 0; i < memory->pieces->len; i++) {
        if (g_array_index(memory->pieces, struct piece, i).gpa == gone.gpa) {
            remove_piece(memory, i);
            return;
        }
    }
}

static void commit(MemoryListener *listener)
{
    fit_log(memory_of(listener));
}

COMPAT_LOG_SYNC_GLOBAL(log_sync_global)
{
    struct guest_memory *memory = memory_of(listener);

    guest_memory_settle(memory);
    tell_queues(memory);
}

COMPAT_LOG_GLOBAL_START(log_global_start)
{
    memory_of(listener)->migrates = true;
    fit_log(memory_of(listener));
    COMPAT_LOG_GLOBAL_STARTED;
}

static void log_global_stop(MemoryListener *listener)
{
    memory_of(listener)->migrates = false;
    fit_log(memory_of(listener));
}

/* ---- Life ---- */

struct guest_memory *guest_memory_new(VionetDevice *device)
{
    struct guest_memory *memory = g_new0(struct guest_memory, 1);

    memory->device = device;
    memory->pieces = g_array_new(FALSE, FALSE, sizeof(struct piece));
    memory->listener = (MemoryListener){
        .name = "vionet-pci",
        .region_add = region_add,
        .region_del = region_del,
        .commit = commit,
        .log_global_start = log_global_start,
        .log_global_stop = log_global_stop,
        .log_sync_global = log_sync_global,
    };
    memory_listener_register(&memory->listener, &address_space_memory);
    return memory;
}

void guest_memory_free(struct guest_memory *memory)
{
    if (!memory) {
        return;
    }
    memory_listener_unregister(&memory->listener);
    vionet_device_set_dirty_log(memory->device, NULL, 0);
    g_array_unref(memory->pieces);
    g_free(memory->log);
    g_free(memory);
}
