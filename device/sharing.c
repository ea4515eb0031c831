/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mapped files of a peer; see sharing.h. Called by vfio-user/dma.c, vhost-user/memory.c and server.c.
 *
 * SIGBUS. The kernel raises it in the thread that touches a page of a file that has become too short.
 * The handler puts anonymous memory in place of the mapping and returns, so that the access goes on
 * with zeroes: of all of it, for a mapping in pieces could need more of them than a process may have. It
 * knows whose pages these are from a table of ranges that it reads without a lock: a slot is filled
 * before its memory is handed out and cleared after everybody has let go of it. Any other SIGBUS is left
 * to what was there before.
 */
#include "sharing.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <glib.h>
#include <linux/magic.h>

#define PAGE 4096u

/* ---- Memory that disappears ---- */

struct range {
    _Atomic uintptr_t begin; /* 0: the slot is free */
    _Atomic uintptr_t end;
    _Atomic(struct sharing_loss *) loss;
};

static struct range ranges[SHARING_MAX];
static struct sigaction before;

static bool replace(uintptr_t begin, uintptr_t end)
{
    return end > begin &&
           mmap((void *)begin, end - begin, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED;
}

void sharing_tell(struct sharing_loss *loss)
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
            sharing_tell(atomic_load(&ranges[i].loss));
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

static bool guard(const struct sharing *sharing, struct sharing_loss *loss)
{
    guard_once();
    for (size_t i = 0; i < G_N_ELEMENTS(ranges); i++) {
        if (!atomic_load(&ranges[i].begin)) {
            atomic_store(&ranges[i].loss, loss);
            atomic_store(&ranges[i].end, (uintptr_t)sharing->begin + sharing->len);
            atomic_store(&ranges[i].begin, (uintptr_t)sharing->begin);
            return true;
        }
    }
    return false;
}

static void unguard(const struct sharing *sharing)
{
    for (size_t i = 0; i < G_N_ELEMENTS(ranges); i++) {
        if (atomic_load(&ranges[i].begin) == (uintptr_t)sharing->begin) {
            atomic_store(&ranges[i].begin, 0);
            return;
        }
    }
}

/* ---- Mapping ---- */

uint64_t sharing_page_size(int fd)
{
    struct statfs system;

    /* Huge pages are mapped and unmapped whole. The type is of 32 bits, and signed where a long is. */
    return fstatfs(fd, &system) == 0 && (uint32_t)system.f_type == HUGETLBFS_MAGIC
               ? (uint64_t)system.f_bsize
               : PAGE;
}

/* The file has what is to be mapped. */
static bool has_octets(int fd, uint64_t offset, uint64_t size)
{
    struct stat file;

    return fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && file.st_size >= 0 &&
           offset <= (uint64_t)file.st_size && size <= (uint64_t)file.st_size - offset;
}

int sharing_map(struct sharing *sharing, int fd, uint64_t offset, uint64_t size, bool readonly,
                struct sharing_loss *loss)
{
    const uint64_t page = sharing_page_size(fd);
    const uint64_t lead = offset % page;

    sharing->host = NULL;
    if (size == 0 || size > SIZE_MAX / 4 || !has_octets(fd, offset, size)) {
        return EINVAL;
    }
    sharing->len = (size_t)((lead + size + page - 1) / page * page);
    sharing->begin = mmap(NULL, sharing->len, readonly ? PROT_READ : PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_NORESERVE, fd, (off_t)(offset - lead));
    if (sharing->begin == MAP_FAILED) {
        return errno;
    }
    if (!guard(sharing, loss)) {
        munmap(sharing->begin, sharing->len);
        return ENOSPC;
    }
    sharing->host = (uint8_t *)sharing->begin + lead;
    return 0;
}

void sharing_unmap(struct sharing *sharing)
{
    if (sharing->host) {
        unguard(sharing);
        munmap(sharing->begin, sharing->len);
        sharing->host = NULL;
    }
}

bool sharing_detach(const struct sharing *sharing)
{
    return replace((uintptr_t)sharing->begin, (uintptr_t)sharing->begin + sharing->len);
}

/* ---- In the event loop ---- */

struct loss_source {
    GSource source;
    bool (*is_lost)(void *opaque);
    void (*lost)(void *opaque);
    void *opaque;
};

static gboolean loss_check(GSource *source)
{
    const struct loss_source *loss = (const struct loss_source *)source;

    return loss->is_lost(loss->opaque);
}

static gboolean loss_prepare(GSource *source, gint *timeout)
{
    *timeout = -1;
    return loss_check(source);
}

static gboolean loss_dispatch(GSource *source, GSourceFunc callback, gpointer data)
{
    const struct loss_source *loss = (const struct loss_source *)source;

    (void)callback;
    (void)data;
    loss->lost(loss->opaque);
    return G_SOURCE_REMOVE;
}

GSource *sharing_watch(GMainContext *context, int fd, bool (*is_lost)(void *opaque),
                       void (*lost)(void *opaque), void *opaque)
{
    static GSourceFuncs functions = {
        .prepare = loss_prepare,
        .check = loss_check,
        .dispatch = loss_dispatch,
    };
    GSource *source = g_source_new(&functions, sizeof(struct loss_source));
    struct loss_source *loss = (struct loss_source *)source;

    loss->is_lost = is_lost;
    loss->lost = lost;
    loss->opaque = opaque;
    if (fd >= 0) {
        g_source_add_unix_fd(source, fd, G_IO_IN);
    }
    g_source_attach(source, context);
    return source;
}
