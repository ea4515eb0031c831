/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A cursor over a list of ranges: copy in, copy out, skip. Used wherever a frame, a chain or a
 * command lies in pieces. Moving past the end stops at the end; results tell how far it went.
 */
#ifndef VIONET_IOV_H
#define VIONET_IOV_H

#include <stddef.h>
#include <sys/uio.h>

struct iov_cursor {
    const struct iovec *iov;
    unsigned n;    /* ranges left, iov[0] included */
    size_t offset; /* octets of iov[0] behind the cursor */
};

static inline struct iov_cursor iov_begin(const struct iovec *iov, unsigned n)
{
    return (struct iov_cursor){iov, n, 0};
}

/* Octets of all ranges. */
size_t iov_length(const struct iovec *iov, unsigned n);

/* Copies up to len octets from the cursor to buf and moves it; the number copied. */
size_t iov_read(struct iov_cursor *from, void *buf, size_t len);

/* Copies up to len octets from buf to the cursor and moves it; the number copied. */
size_t iov_write(struct iov_cursor *to, const void *buf, size_t len);

/* Copies up to len octets from one cursor to the other and moves both; the number copied. */
size_t iov_copy(struct iov_cursor *to, struct iov_cursor *from, size_t len);

/* Moves the cursor by up to len octets; the number moved. */
size_t iov_skip(struct iov_cursor *cursor, size_t len);

/* Writes up to max ranges that are left from the cursor on to iov; the number written. */
unsigned iov_rest(const struct iov_cursor *cursor, struct iovec *iov, unsigned max);

#endif
