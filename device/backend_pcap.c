/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The backend "pcap": frames for the guest come from a capture file, each once and in order, as
 * fast as they are asked for; frames from the guest are recorded in one. Called through backend.c;
 * uses libpcap. Either file may be missing.
 *
 * The input is any Ethernet capture that libpcap reads; a packet that was cut short is replayed as
 * short as it was captured. The output is a classic capture with the time of day in microseconds,
 * flushed after each burst, so that it is whole even if the process is killed.
 */
#include "backend.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include <pcap/pcap.h>

#include "fifo.h"

#define QUEUE_FRAMES 64
#define SNAPLEN      262144 /* libpcap's own most for Ethernet */

enum { OPTION_IN, OPTION_OUT };

struct capture {
    VionetBackend backend;
    struct frame_fifo *fifo; /* read and not yet taken back */
    pcap_t *in;              /* NULL: none, or at its end */
    pcap_t *out;             /* what the dumper was made for */
    pcap_dumper_t *dumper;   /* NULL: none, or it failed */
};

static void capture_close(VionetBackend *backend)
{
    struct capture *capture = (struct capture *)backend;

    frame_fifo_free(capture->fifo);
    if (capture->in) {
        pcap_close(capture->in);
    }
    if (capture->dumper) {
        pcap_dump_close(capture->dumper);
    }
    if (capture->out) {
        pcap_close(capture->out);
    }
    g_free(capture);
}

/* ---- Opening ---- */

static bool refuse_file(const char *option, const char *file, const char *why, GError **error)
{
    g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG, "backend pcap: %s=%s: %s", option, file,
                why);
    return false;
}

static bool open_in(struct capture *capture, const char *file, GError **error)
{
    char message[PCAP_ERRBUF_SIZE];

    capture->in = pcap_open_offline(file, message);
    if (!capture->in) {
        return refuse_file("in", file, message, error);
    }
    if (pcap_datalink(capture->in) != DLT_EN10MB) {
        return refuse_file("in", file, "not a capture of Ethernet frames", error);
    }
    return true;
}

static bool open_out(struct capture *capture, const char *file, GError **error)
{
    capture->out = pcap_open_dead(DLT_EN10MB, SNAPLEN);
    capture->dumper = pcap_dump_open(capture->out, file);
    if (!capture->dumper) {
        return refuse_file("out", file, pcap_geterr(capture->out), error);
    }
    return pcap_dump_flush(capture->dumper) == 0 ||
           refuse_file("out", file, g_strerror(errno), error);
}

/* Whether two names lead to one file, which writing would destroy before it is read. */
static bool same_file(const char *one, const char *other)
{
    struct stat a;
    struct stat b;

    return stat(one, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

static bool open_files(struct capture *capture, const char *in, const char *out, GError **error)
{
    if (!in && !out) {
        g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG,
                    "backend pcap: expected in=FILE or out=FILE");
        return false;
    }
    if (in && out && same_file(in, out)) {
        return refuse_file("out", out, "is the file that is read", error);
    }
    return (!in || open_in(capture, in, error)) && (!out || open_out(capture, out, error));
}

static VionetBackend *capture_open(backend_values values, GError **error)
{
    struct capture *capture = g_new0(struct capture, 1);

    capture->fifo = frame_fifo_new(QUEUE_FRAMES);
    if (!open_files(capture, backend_value(values, OPTION_IN), backend_value(values, OPTION_OUT),
                    error)) {
        capture_close(&capture->backend);
        return NULL;
    }
    return &capture->backend;
}

/* ---- From the guest ---- */

static void write_frame(struct capture *capture, const VionetFrame *frame)
{
    const gint64 now = g_get_real_time();
    struct pcap_pkthdr header = {
        .ts = {.tv_sec = (time_t)(now / G_USEC_PER_SEC),
               .tv_usec = (suseconds_t)(now % G_USEC_PER_SEC)},
        .caplen = frame->len,
        .len = frame->len,
    };

    pcap_dump((u_char *)capture->dumper, &header, frame->iov[0].iov_base);
}

static bool capture_send(VionetBackend *backend, const VionetFrame *frames, size_t n)
{
    struct capture *capture = (struct capture *)backend;

    for (size_t i = 0; i < n && capture->dumper; i++) {
        write_frame(capture, &frames[i]);
    }
    if (capture->dumper && pcap_dump_flush(capture->dumper) != 0) {
        g_warning("backend pcap: writing failed, nothing more is recorded");
        pcap_dump_close(capture->dumper);
        capture->dumper = NULL;
    }
    if (capture->out && !capture->dumper) {
        backend->counters.dropped += n;
    }
    return false;
}

/* ---- To the guest ---- */

/* Reads one frame into the queue, which has room; false at the end of the capture. */
static bool read_frame(struct capture *capture)
{
    struct pcap_pkthdr *header;
    const u_char *octets;
    const int result = pcap_next_ex(capture->in, &header, &octets);

    if (result == 1) {
        struct iovec iov = {(void *)octets, header->caplen};
        VionetFrame frame = {.iov = &iov, .n_iov = 1, .len = header->caplen};

        if (!frame_fifo_put(capture->fifo, &frame)) {
            capture->backend.counters.dropped++;
        }
        return true;
    }
    if (result != PCAP_ERROR_BREAK) {
        g_warning("backend pcap: reading ends early: %s", pcap_geterr(capture->in));
    }
    pcap_close(capture->in);
    capture->in = NULL;
    return false;
}

static size_t capture_receive(VionetBackend *backend, VionetFrame *frames, size_t n)
{
    struct capture *capture = (struct capture *)backend;
    size_t taken = 0;

    while (taken < n && capture->in && frame_fifo_has_room(capture->fifo) && read_frame(capture)) {
        taken += frame_fifo_take(capture->fifo, &frames[taken], n - taken);
    }
    return taken;
}

static void capture_complete(VionetBackend *backend, const VionetFrame *frames, size_t n)
{
    struct capture *capture = (struct capture *)backend;

    frame_fifo_give_back(capture->fifo, frames, n);
}

const struct backend_ops backend_pcap = {
    .name = "pcap",
    .help = "pcap,in=FILE,out=FILE: replays a capture to the guest, records what it sends",
    .options = {[OPTION_IN] = {"in", false}, [OPTION_OUT] = {"out", false}},
    .open = capture_open,
    .close = capture_close,
    .send = capture_send,
    .receive = capture_receive,
    .complete = capture_complete,
};
