/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Traces; see trace.h. Called by main.c, and for each frame from within the device: blocks are
 * collected in memory, and written when there are enough of them or when the loop has time.
 */
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <vionet/version.h>

#include "pcapng.h"

#define ENOUGH      (256 * 1024) /* octets to be written at once */
#define PATIENCE_MS 100          /* and the longest that less waits */

struct trace {
    pthread_mutex_t lock; /* of all that changes */
    char *path;
    int fd;        /* -1: it has ended */
    off_t written; /* octets, all of whole blocks */
    uint32_t snaplen;
    GByteArray *blocks; /* not written yet */
    GMainContext *context;
    GSource *source; /* writes them; NULL while there are none */
    uint8_t *octets; /* of a frame, in one piece */
};

/* ---- Writing ---- */

/* False, with errno set, if it did not go as a whole. */
static bool write_all(struct trace *trace)
{
    const GByteArray *blocks = trace->blocks;
    guint done = 0;

    while (done < blocks->len) {
        const ssize_t n = write(trace->fd, blocks->data + done, blocks->len - done);

        if (n < 0 && errno != EINTR) {
            return false;
        }
        done += n > 0 ? (guint)n : 0;
    }
    trace->written += blocks->len;
    return true;
}

/* Ends a file that cannot be gone on with. */
static void give_up(struct trace *trace)
{
    const int why = errno;

    if (ftruncate(trace->fd, trace->written) == 0) {
        g_warning("trace %s: %s; it ends here", trace->path, g_strerror(why));
    } else {
        g_warning("trace %s: %s; its end is missing", trace->path, g_strerror(why));
    }
    close(trace->fd);
    trace->fd = -1;
}

static void flush(struct trace *trace)
{
    if (trace->source) {
        g_source_destroy(trace->source);
        g_clear_pointer(&trace->source, g_source_unref);
    }
    if (trace->fd >= 0 && !write_all(trace)) {
        give_up(trace);
    }
    g_byte_array_set_size(trace->blocks, 0);
}

static gboolean flush_late(gpointer data)
{
    struct trace *trace = data;

    pthread_mutex_lock(&trace->lock);
    flush(trace);
    pthread_mutex_unlock(&trace->lock);
    return G_SOURCE_REMOVE;
}

static void flush_in_time(struct trace *trace)
{
    if (trace->blocks->len >= ENOUGH) {
        flush(trace);
    } else if (!trace->source) {
        trace->source = g_timeout_source_new(PATIENCE_MS);
        g_source_set_callback(trace->source, flush_late, trace, NULL);
        g_source_attach(trace->source, trace->context);
    }
}

/* ---- Blocks ---- */

static void put_head(struct trace *trace)
{
    struct utsname host = {0};
    char *os;

    uname(&host);
    os = g_strdup_printf("%s %s", host.sysname, host.release);
    pcapng_put_section(trace->blocks, &(struct pcapng_section){
                                          .hardware = host.machine,
                                          .os = os,
                                          .application = "vionet-device " VIONET_VERSION,
                                      });
    pcapng_put_interface(trace->blocks, &(struct pcapng_interface){
                                            .name = "vionet",
                                            .description = "inbound: to the guest",
                                            .snaplen = trace->snaplen,
                                            .digits = 9,
                                        });
    g_free(os);
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* As much of a frame as is kept and can be had; how many octets. */
static uint32_t gather(struct trace *trace, const VionetFrame *frame)
{
    const size_t most = MIN(trace->snaplen, VIONET_MAX_FRAME);
    size_t n = 0;

    for (unsigned i = 0; i < frame->n_iov && n < most; i++) {
        const size_t here = MIN(frame->iov[i].iov_len, most - n);

        memcpy(trace->octets + n, frame->iov[i].iov_base, here);
        n += here;
    }
    return (uint32_t)n;
}

static char *comment_on(const VionetTrace *frame)
{
    if (frame->verdict != VIONET_DELIVERED) {
        return g_strdup_printf("dropped: %s", vionet_verdict_name(frame->verdict));
    }
    return frame->report ? g_strdup_printf("report: %s", vionet_report_name(frame->report)) : NULL;
}

static void add(struct trace *trace, const VionetTrace *frame)
{
    struct pcapng_packet packet = {
        .time = now_ns(),
        .octets = trace->octets,
        .original_length = (uint32_t)frame->len,
        .flags = frame->transmit ? PCAPNG_OUTBOUND : PCAPNG_INBOUND,
        .has_hash = frame->report != 0,
        .hash = frame->hash,
        .has_queue = frame->queue != VIONET_NONE,
        .queue = frame->queue / 2,
    };
    char *comment;

    if (trace->fd < 0) {
        return;
    }
    comment = comment_on(frame);
    packet.length = gather(trace, frame->frame);
    packet.comment = comment;
    pcapng_put_packet(trace->blocks, &packet);
    g_free(comment);
    flush_in_time(trace);
}

void trace_add(struct trace *trace, const VionetTrace *frame)
{
    pthread_mutex_lock(&trace->lock);
    add(trace, frame);
    pthread_mutex_unlock(&trace->lock);
}

/* ---- Life ---- */

struct trace *trace_open(const char *path, uint32_t snaplen, GMainContext *context, GError **error)
{
    const int fd =
        open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
    struct trace *trace = g_new0(struct trace, 1);

    pthread_mutex_init(&trace->lock, NULL);
    trace->path = g_strdup(path);
    trace->fd = fd;
    trace->snaplen = snaplen;
    trace->blocks = g_byte_array_new();
    trace->context = context;
    trace->octets = g_malloc(VIONET_MAX_FRAME);
    put_head(trace);
    if (fd < 0 || !write_all(trace)) {
        g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG, "trace %s: %s", path,
                    g_strerror(errno));
        g_byte_array_set_size(trace->blocks, 0);
        trace_close(trace);
        return NULL;
    }
    g_byte_array_set_size(trace->blocks, 0);
    return trace;
}

void trace_close(struct trace *trace)
{
    if (!trace) {
        return;
    }
    flush(trace);
    if (trace->fd >= 0) {
        close(trace->fd);
    }
    g_byte_array_unref(trace->blocks);
    pthread_mutex_destroy(&trace->lock);
    g_free(trace->octets);
    g_free(trace->path);
    g_free(trace);
}
