/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libpcap as the reader of captures; see capture.h. libpcap itself refuses interfaces of different
 * link types in one file, bad block lengths and truncated packets.
 */
#include "capture.h"

#include "pcapng_file.h"
#include "replay_error.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct capture {
    const char *name;
    char *shown;
    pcap_t *pcap;
    uint64_t packets;
    bool regular;      /* can be opened a second time */
    bool microseconds; /* a pcap file of the kind that counts them */
};

static const uint8_t microsecond_magics[2][4] = {{0xa1, 0xb2, 0xc3, 0xd4},
                                                 {0xd4, 0xc3, 0xb2, 0xa1}};

uint64_t capture_size(const char *name)
{
    struct stat status;

    if (strcmp(name, "-") == 0 || stat(name, &status) != 0 || !S_ISREG(status.st_mode)) {
        return 0;
    }
    return (uint64_t)status.st_size;
}

/* Looks at the first octets of a regular file; of a pipe they could not be given back. */
static void look_at_magic(struct capture *capture, FILE *file)
{
    uint8_t magic[4];

    capture->regular = capture_size(capture->name) != 0;
    if (!capture->regular) {
        return;
    }
    if (fread(magic, sizeof(magic), 1, file) == 1) {
        for (unsigned i = 0; i < G_N_ELEMENTS(microsecond_magics); i++) {
            capture->microseconds |= memcmp(magic, microsecond_magics[i], sizeof(magic)) == 0;
        }
    }
    rewind(file);
}

/* Takes file over. */
static bool open_pcap(struct capture *capture, FILE *file, GError **error)
{
    char reason[PCAP_ERRBUF_SIZE];
    int link;

    capture->pcap =
        pcap_fopen_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, reason);
    if (!capture->pcap) {
        fclose(file);
        return complain(error, "%s: %s", capture->shown, reason);
    }
    link = pcap_datalink(capture->pcap);
    if (link != DLT_EN10MB) {
        const char *description = pcap_datalink_val_to_description_or_dlt(link);

        return complain(error, "%s: not an Ethernet capture: its link type is %s", capture->shown,
                        description);
    }
    return true;
}

struct capture *capture_open(const char *name, GError **error)
{
    struct capture *capture = g_new0(struct capture, 1);
    FILE *file = strcmp(name, "-") == 0 ? stdin : fopen(name, "rb");

    capture->name = name;
    capture->shown = strcmp(name, "-") == 0 ? g_strdup("standard input") : display_name(name);
    if (!file) {
        complain(error, "%s: %s", capture->shown, g_strerror(errno));
        capture_close(capture);
        return NULL;
    }
    look_at_magic(capture, file);
    if (!open_pcap(capture, file, error)) {
        capture_close(capture);
        return NULL;
    }
    return capture;
}

/* libpcap sign-extends the 32 unsigned bits of a pcap file's seconds. */
static uint64_t unsigned_seconds(time_t seconds)
{
    return seconds < 0 ? (uint32_t)seconds : (uint64_t)seconds;
}

enum capture_outcome capture_next(struct capture *capture, struct capture_packet *packet,
                                  GError **error)
{
    struct pcap_pkthdr *header;
    const u_char *octets;

    switch (pcap_next_ex(capture->pcap, &header, &octets)) {
    case 1:
        break;
    case PCAP_ERROR_BREAK:
        return CAPTURE_END;
    default:
        complain(error, "%s: after packet %" G_GUINT64_FORMAT ": %s", capture->shown,
                 capture->packets, pcap_geterr(capture->pcap));
        return CAPTURE_BROKEN;
    }
    capture->packets++;
    packet->octets = octets;
    packet->length = header->caplen;
    packet->original_length = header->len;
    packet->seconds = unsigned_seconds(header->ts.tv_sec);
    packet->nanoseconds = (uint32_t)header->ts.tv_usec; /* by the precision asked for */
    return CAPTURE_PACKET;
}

uint32_t capture_snaplen(const struct capture *capture)
{
    return (uint32_t)pcap_snapshot(capture->pcap);
}

unsigned capture_digits(const struct capture *capture)
{
    FILE *file;
    unsigned digits;

    if (capture->microseconds) {
        return 6;
    }
    file = capture->regular ? fopen(capture->name, "rb") : NULL;
    if (!file) {
        return 9;
    }
    digits = pcapng_file_digits(file);
    fclose(file);
    return digits;
}

uint64_t capture_position(const struct capture *capture)
{
    off_t position = capture->regular ? ftello(pcap_file(capture->pcap)) : -1;

    return position > 0 ? (uint64_t)position : 0;
}

void capture_close(struct capture *capture)
{
    if (!capture) {
        return;
    }
    if (capture->pcap) {
        pcap_close(capture->pcap);
    }
    g_free(capture->shown);
    g_free(capture);
}
