/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cursor over ranges; see iov.h. Called by the data path and the control queue. Ranges may be empty,
 * and those of guest memory may change while they are copied: nothing is decided on what is read.
 */
#include "iov.h"

#include <string.h>

#include <glib.h>

size_t iov_length(const struct iovec *iov, unsigned n)
{
    size_t len = 0;

    for (unsigned i = 0; i < n; i++) {
        len += iov[i].iov_len;
    }
    return len;
}

/* The octets left in the cursor's present range, after stepping over ranges that are used up. */
static size_t cursor_here(struct iov_cursor *cursor)
{
    while (cursor->n > 0 && cursor->offset == cursor->iov[0].iov_len) {
        cursor->iov++;
        cursor->n--;
        cursor->offset = 0;
    }
    return cursor->n > 0 ? cursor->iov[0].iov_len - cursor->offset : 0;
}

static inline unsigned char *cursor_pointer(const struct iov_cursor *cursor)
{
    return (unsigned char *)cursor->iov[0].iov_base + cursor->offset;
}

size_t iov_read(struct iov_cursor *from, void *buf, size_t len)
{
    size_t done = 0;
    size_t here;

    while (done < len && (here = cursor_here(from)) > 0) {
        here = MIN(here, len - done);
        memcpy((unsigned char *)buf + done, cursor_pointer(from), here);
        from->offset += here;
        done += here;
    }
    return done;
}

size_t iov_write(struct iov_cursor *to, const void *buf, size_t len)
{
    size_t done = 0;
    size_t here;

    while (done < len && (here = cursor_here(to)) > 0) {
        here = MIN(here, len - done);
        memcpy(cursor_pointer(to), (const unsigned char *)buf + done, here);
        to->offset += here;
        done += here;
    }
    return done;
}

size_t iov_copy(struct iov_cursor *to, struct iov_cursor *from, size_t len)
{
    size_t done = 0;

    while (done < len) {
        size_t room = cursor_here(to);
        size_t here = cursor_here(from);

        here = MIN(MIN(here, room), len - done);
        if (here == 0) {
            break;
        }
        memcpy(cursor_pointer(to), cursor_pointer(from), here);
        to->offset += here;
        from->offset += here;
        done += here;
    }
    return done;
}

size_t iov_skip(struct iov_cursor *cursor, size_t len)
{
    size_t done = 0;
    size_t here;

    while (done < len && (here = cursor_here(cursor)) > 0) {
        here = MIN(here, len - done);
        cursor->offset += here;
        done += here;
    }
    return done;
}

unsigned iov_rest(const struct iov_cursor *cursor, struct iovec *iov, unsigned max)
{
    struct iov_cursor at = *cursor;
    unsigned n = 0;

    while (n < max && cursor_here(&at) > 0) {
        iov[n].iov_base = cursor_pointer(&at);
        iov[n].iov_len = at.iov[0].iov_len - at.offset;
        at.offset = at.iov[0].iov_len;
        n++;
    }
    return n;
}
