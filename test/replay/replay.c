/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The loop over captures and packets, and what surrounds it; see replay.h. Read from the bottom up:
 * replay_run opens, replays and concludes; replay_capture is one capture; handle is one packet.
 */
#include "replay.h"

#include "capture.h"
#include "compare.h"
#include "expect.h"
#include "output.h"
#include "pcapng_file.h"
#include "progress.h"
#include "replay_error.h"
#include "report.h"
#include "tally.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct replay {
    const struct options *options;
    struct replay_session *session;
    struct replay_session *outer; /* dialect off, beside it; NULL unless compared */
    struct tally *tally;
    struct tally *outer_tally;
    uint64_t changed;
    struct output *output;
    struct expectations *expectations;
    FILE *written;   /* --write */
    FILE *page;      /* --report */
    unsigned digits; /* of the time stamps written for this capture */
    struct progress *progress;
    uint64_t packets; /* of all captures */
    uint64_t octets;  /* of the captures before this one */
    bool begun;       /* a capture could be opened */
};

/* A packet of a capture, on its way. */
struct step {
    unsigned capture;
    uint64_t number;
    const struct capture_packet *packet;
};

static void tell_mismatch(const char *line, void *opaque)
{
    struct replay *replay = opaque;

    progress_clear(replay->progress);
    fflush(stdout);
    fprintf(stderr, "vionet-replay: %s\n", line);
}

/* The device is under test: what the driver found is not believed to be in range. */
static bool check_result(const struct replay *replay, const struct replay_result *result,
                         GError **error)
{
    if (result->dropped) {
        return result->reason ? true : complain(error, "dropped without a reason");
    }
    if (result->queue >= replay->options->settings.queues) {
        return complain(error, "received on queue %u, which does not exist", result->queue);
    }
    if (!report_name(result->report) || !tunnel_name(result->tunnel)) {
        return complain(error, "hash_report %u, tunnel %u is not in the specification",
                        result->report, result->tunnel);
    }
    return true;
}

static bool feed(const struct replay *replay, struct replay_session *session,
                 const struct step *step, struct replay_result *result, GError **error)
{
    memset(result, 0, sizeof(*result));
    if (session_feed(session, step->packet->octets, step->packet->length, result, error) &&
        check_result(replay, result, error)) {
        return true;
    }
    g_prefix_error(error, "%s: packet %" G_GUINT64_FORMAT ": ",
                   replay->options->captures[step->capture], step->number);
    return false;
}

static bool write_failed(const struct replay *replay, GError **error)
{
    return complain(error, "--write: %s: %s", replay->options->write, g_strerror(errno));
}

static bool report_failed(const struct replay *replay, GError **error)
{
    return complain(error, "--report: %s: %s", replay->options->report, g_strerror(errno));
}

/* Time since 1970 in the unit of the interface. */
static uint64_t time_in_digits(const struct capture_packet *packet, unsigned digits)
{
    uint64_t units = 1;
    uint64_t nanoseconds = 1000000000;

    for (unsigned i = 0; i < digits; i++) {
        units *= 10;
        nanoseconds /= 10;
    }
    return packet->seconds * units + packet->nanoseconds / nanoseconds;
}

/* Hands the packet to the copy, with what is known of it. */
static bool write_packet(const struct replay *replay, const struct step *step,
                         const struct replay_result *result, GError **error)
{
    const struct capture_packet *packet = step->packet;
    g_autofree char *comment = NULL;
    struct pcapng_packet copy = {
        .interface = step->capture,
        .time = time_in_digits(packet, replay->digits),
        .octets = packet->octets,
        .length = (uint32_t)packet->length,
        .original_length = packet->original_length,
        .has_hash = !result->dropped && result->hashed,
        .hash = result->hash,
        .has_queue = !result->dropped,
        .queue = result->queue,
    };

    if (result->dropped) {
        comment = g_strdup_printf("dropped: %s", result->reason);
    } else if (dialect_of(&replay->options->settings)->reports_tunnel) {
        comment = g_strdup_printf("report %s, tunnel %s", report_name(result->report),
                                  tunnel_name(result->tunnel));
    } else {
        comment = g_strdup_printf("report %s", report_name(result->report));
    }
    copy.comment = comment;
    return pcapng_write_packet(replay->written, &copy) || write_failed(replay, error);
}

/* The same packet through the device that hashes outer headers. */
static bool compare_packet(struct replay *replay, const struct step *step,
                           const struct replay_result *inner, GError **error)
{
    struct replay_result outer;

    if (!feed(replay, replay->outer, step, &outer, error)) {
        return false;
    }
    tally_add(replay->outer_tally, &outer);
    replay->changed += inner->hashed != outer.hashed || (outer.hashed && inner->hash != outer.hash);
    return true;
}

static bool check_output(GError **error)
{
    return !ferror(stdout) || complain(error, "standard output: %s", g_strerror(errno));
}

static bool handle(struct replay *replay, const struct step *step, GError **error)
{
    const struct options *options = replay->options;
    size_t length = step->packet->length;
    struct replay_result result;

    if (!feed(replay, replay->session, step, &result, error)) {
        return false;
    }
    output_packet(replay->output, step->number, length, &result);
    if (!check_output(error)) {
        return false;
    }
    if (replay->tally) {
        tally_add(replay->tally, &result);
    }
    if (replay->outer && !compare_packet(replay, step, &result, error)) {
        return false;
    }
    if (replay->written && !write_packet(replay, step, &result, error)) {
        return false;
    }
    if (replay->expectations) {
        expect_check(replay->expectations, step->capture, step->number, length, &result,
                     dialect_of(&options->settings)->reports_tunnel);
    }
    return true;
}

static bool open_written(struct replay *replay, GError **error)
{
    g_autofree char *settings = settings_describe(&replay->options->settings);
    g_autofree char *comment = g_strconcat("hashes and queues by vionet-replay ", settings, NULL);

    replay->written = fopen(replay->options->write, "wb");
    if (!replay->written) {
        return write_failed(replay, error);
    }
    return pcapng_write_section(replay->written, "vionet-replay " REPLAY_VERSION, comment) ||
           write_failed(replay, error);
}

/* Files to write are not opened, and so not overwritten, before there is a capture to read. */
static bool open_files(struct replay *replay, GError **error)
{
    const struct options *options = replay->options;

    if (options->report) {
        replay->page = fopen(options->report, "wb");
        if (!replay->page) {
            return report_failed(replay, error);
        }
    }
    return !options->write || open_written(replay, error);
}

static bool begin_capture(struct replay *replay, const struct capture *capture, const char *name,
                          GError **error)
{
    g_autofree char *shown = display_name(name);

    if (!replay->begun && !open_files(replay, error)) {
        return false;
    }
    replay->begun = true;
    if (replay->written) {
        replay->digits = capture_digits(capture);
        if (!pcapng_write_interface(replay->written, capture_snaplen(capture), replay->digits,
                                    shown)) {
            return write_failed(replay, error);
        }
    }
    output_capture(replay->output, name);
    return true;
}

static bool replay_packets(struct replay *replay, struct capture *capture, unsigned index,
                           GError **error)
{
    struct capture_packet packet;
    struct step step = {.capture = index, .packet = &packet};
    enum capture_outcome outcome;

    while ((outcome = capture_next(capture, &packet, error)) == CAPTURE_PACKET) {
        step.number++;
        if (!handle(replay, &step, error)) {
            return false;
        }
        replay->packets++;
        if (progress_is_due(replay->progress, replay->packets)) {
            progress_update(replay->progress, replay->octets + capture_position(capture),
                            replay->packets);
        }
    }
    return outcome == CAPTURE_END;
}

static bool replay_capture(struct replay *replay, unsigned index, GError **error)
{
    const char *name = replay->options->captures[index];
    struct capture *capture = capture_open(name, error);
    bool done;

    if (!capture) {
        return false;
    }
    done = begin_capture(replay, capture, name, error) &&
           replay_packets(replay, capture, index, error);
    capture_close(capture);
    replay->octets += capture_size(name);
    return done;
}

static bool open_sessions(struct replay *replay, GError **error)
{
    const struct options *options = replay->options;
    struct replay_settings outer = options->settings;

    replay->session = session_new(&options->settings, error);
    if (!replay->session) {
        return false;
    }
    if (!options->compare && !options->report) {
        return true;
    }
    outer.dialect = REPLAY_OFF;
    outer.tunnel_types = 0;
    replay->outer_tally = tally_new(outer.queues);
    replay->outer = session_new(&outer, error);
    return replay->outer != NULL;
}

static bool open_all(struct replay *replay, GError **error)
{
    const struct options *options = replay->options;
    enum output_format format = options->ndjson    ? OUTPUT_NDJSON
                                : options->compare ? OUTPUT_NOTHING
                                                   : OUTPUT_TABLE;
    uint64_t size = 0;

    for (unsigned i = 0; i < options->n_captures; i++) {
        size += capture_size(options->captures[i]);
    }
    replay->progress = progress_new(size, format == OUTPUT_NOTHING || !isatty(STDOUT_FILENO));
    replay->output = output_new(format, &options->settings, options->n_captures > 1);
    if (!options->ndjson || options->compare || options->report) {
        replay->tally = tally_new(options->settings.queues);
    }
    if (options->expect) {
        replay->expectations = expect_load(options->expect, (const char *const *)options->captures,
                                           options->n_captures, tell_mismatch, replay, error);
        if (!replay->expectations) {
            return false;
        }
    }
    return open_sessions(replay, error);
}

/* "vxlan.pcap" or "3 captures" */
static char *subject(const struct options *options)
{
    if (options->n_captures > 1) {
        return g_strdup_printf("%u captures", options->n_captures);
    }
    return display_name(strcmp(options->captures[0], "-") == 0 ? "standard input"
                                                               : options->captures[0]);
}

static void conclude_comparison(const struct replay *replay, GError **error)
{
    const struct options *options = replay->options;
    g_autofree char *name = subject(options);
    const struct comparison comparison = {
        .settings = &options->settings,
        .subject = name,
        .outer = replay->outer_tally,
        .inner = replay->tally,
        .changed = replay->changed,
    };

    if (options->compare) {
        compare_print(&comparison, options->ndjson ? stderr : stdout);
    }
    if (replay->page && !report_write(&comparison, replay->page)) {
        report_failed(replay, error);
    }
}

static void conclude_expectations(struct replay *replay, bool complete)
{
    const struct options *options = replay->options;
    uint64_t mismatches;

    if (complete) {
        expect_finish(replay->expectations);
    }
    mismatches = expect_mismatches(replay->expectations);
    if (mismatches) {
        g_autofree char *line = g_strdup_printf("%" G_GUINT64_FORMAT " %s did not hold", mismatches,
                                                mismatches == 1 ? "expectation" : "expectations");

        tell_mismatch(line, replay);
    } else if (complete && !options->ndjson) {
        printf("\nEvery expectation held.\n");
    }
}

/* Prints what stands at the end, also of a replay that broke off. */
static void conclude(struct replay *replay, bool complete, GError **error)
{
    progress_clear(replay->progress);
    if (!replay->options->compare) {
        output_summary(replay->output, replay->tally);
    }
    if (replay->outer) {
        conclude_comparison(replay, error);
    }
    if (replay->expectations) {
        conclude_expectations(replay, complete);
    }
}

/* Closes what was written and flushes standard output: what fails late fails here. */
static void finish_files(struct replay *replay, GError **error)
{
    GError *late = NULL;

    if (replay->written && fclose(replay->written) != 0) {
        write_failed(replay, &late);
    }
    replay->written = NULL;
    if (replay->page && fclose(replay->page) != 0) {
        report_failed(replay, late ? NULL : &late);
    }
    replay->page = NULL;
    if (fflush(stdout) != 0 || ferror(stdout)) {
        complain(late ? NULL : &late, "standard output: %s", g_strerror(errno));
    }
    if (late) {
        g_propagate_error(error, late);
    }
}

static void replay_clear(struct replay *replay)
{
    if (replay->written) {
        fclose(replay->written);
    }
    if (replay->page) {
        fclose(replay->page);
    }
    progress_free(replay->progress);
    output_free(replay->output);
    expect_free(replay->expectations);
    session_free(replay->session);
    session_free(replay->outer);
    tally_free(replay->tally);
    tally_free(replay->outer_tally);
}

static void replay_captures(struct replay *replay, GError **error)
{
    bool done = true;

    for (unsigned i = 0; i < replay->options->n_captures && done; i++) {
        done = replay_capture(replay, i, error);
    }
}

/* Of several errors the first is told. */
bool replay_run(const struct options *options, uint64_t *mismatches, GError **error)
{
    struct replay replay = {.options = options};
    GError *first = NULL;

    if (open_all(&replay, &first)) {
        replay_captures(&replay, &first);
    }
    if (replay.begun) {
        conclude(&replay, first == NULL, first ? NULL : &first);
        finish_files(&replay, first ? NULL : &first);
    }
    *mismatches = replay.expectations ? expect_mismatches(replay.expectations) : 0;
    replay_clear(&replay);
    if (first) {
        g_propagate_error(error, first);
    }
    return first == NULL;
}
