/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The text of --help, 80 columns wide; see help.h.
 */
#include "help.h"

#include "settings.h"

#include <stdio.h>
#include <string.h>

#define MARGIN 24 /* where the explanations begin */
#define WIDTH  80

static const char introduction[] =
    "Usage: " USAGE "\n"
    "\n"
    "Feeds every packet of pcap or pcapng captures of Ethernet to a virtio-net\n"
    "device, drives the device as a guest driver would, and prints the receive queue,\n"
    "hash and hash report that the driver finds for each packet. '-' is standard\n"
    "input.\n";

static const char output_section[] =
    "\n"
    "Output\n"
    "  --format FORMAT       table (default), for people, with a summary at its end;\n"
    "                        or ndjson, for programs: a line of JSON for each packet\n"
    "  --compare             instead of the table: how packets spread over the queues\n"
    "                        by outer and by inner header, side by side, with the\n"
    "                        number of different hashes; with --format ndjson the\n"
    "                        lines stay and the comparison goes to standard error\n"
    "  --report FILE         the comparison as one HTML page, complete in itself\n"
    "  --write FILE          a pcapng copy of the packets, each with its hash\n"
    "                        (epb_hash, Toeplitz), its queue (epb_queue) and a\n"
    "                        comment; of several captures each is an interface\n"
    "  Tables have colour on a terminal only, and not if NO_COLOR is set.\n";

static const char check_section[] =
    "\n"
    "Checking\n"
    "  --expect FILE         compare with a file of --format ndjson or --write (or of\n"
    "                        another tool that notes hashes in pcapng), and name each\n"
    "                        difference on standard error; keys that a line lacks\n"
    "                        are not compared\n";

static const char ending[] =
    "\n"
    "Other\n"
    "  -h, --help            this text\n"
    "  --version             the version\n"
    "\n"
    "Exit status\n"
    "  0  all packets went through and all expectations held\n"
    "  1  an expectation did not hold\n"
    "  2  the command line or a file was unusable; packets before a truncated tail\n"
    "     are still processed\n"
    "\n"
    "Examples\n"
    "  What inner hashing does for a capture of VXLAN, with eight queues:\n"
    "    vionet-replay --compare --queues 8 vxlan.pcap\n"
    "  GRE only, as in the draft of March 2023, for a program to read:\n"
    "    vionet-replay --dialect draft-v10 --tunnel-types gre --format ndjson a.pcap\n"
    "  Keep what is right today, and check against it tomorrow:\n"
    "    vionet-replay --format ndjson a.pcap >a.ndjson\n"
    "    vionet-replay --expect a.ndjson a.pcap\n"
    "  Hashes and queues in Wireshark:\n"
    "    vionet-replay --write hashed.pcapng a.pcap\n";

/* Prints words after an indented label, wrapped at the margin. */
static void print_words(const char *label, const char *words)
{
    g_auto(GStrv) list = g_strsplit(words, " ", -1);
    size_t column;

    printf("  %-*s", MARGIN - 2, label);
    column = MAX((size_t)MARGIN, strlen(label) + 2);
    for (char **word = list; *word; word++) {
        if (word != list && column + 1 + strlen(*word) > WIDTH) {
            printf("\n%*s", MARGIN, "");
            column = MARGIN;
        } else if (word != list) {
            putchar(' ');
            column++;
        }
        fputs(*word, stdout);
        column += strlen(*word);
    }
    putchar('\n');
}

static void append_names(GString *text, const struct named_bit *table)
{
    for (; table->name; table++) {
        g_string_append_printf(text, " %s", table->name);
    }
}

static void print_dialects(void)
{
    g_autoptr(GString) text = g_string_new("which text the device follows:");
    const struct dialect *dialect;

    for (unsigned i = 0; (dialect = dialect_at(i)) != NULL; i++) {
        g_string_append_printf(text, " %s%s", dialect->name,
                               dialect->id == REPLAY_RATIFIED ? " (default)" : "");
    }
    print_words("--dialect NAME", text->str);
}

static void print_tunnel_types(void)
{
    const struct dialect *dialect;

    print_words("--tunnel-types LIST",
                "encapsulations whose inner header is hashed: all (default), "
                "none, or a comma list of the dialect's:");
    for (unsigned i = 0; (dialect = dialect_at(i)) != NULL; i++) {
        g_autoptr(GString) text = g_string_new(NULL);

        if (dialect->tunnel_types->name) {
            g_string_append_printf(text, "%s:", dialect->name);
            append_names(text, dialect->tunnel_types);
            print_words("", text->str);
        }
    }
}

static void print_hash_types(void)
{
    g_autoptr(GString) text = g_string_new("all (default), none, or a comma list of");

    append_names(text, hash_types());
    print_words("--hash-types LIST", text->str);
}

static void print_device_section(void)
{
    const struct session_limits *limits = session_limits();
    g_autofree char *key = g_strdup_printf("hash key in hexadecimal, 1 to %zu octets (default: the "
                                           "40 of Microsoft's RSS verification suite)",
                                           limits->max_key);
    g_autofree char *queues =
        g_strdup_printf("queue pairs, 1 to %u (default 4)", limits->max_queues);
    g_autofree char *indirection =
        g_strdup_printf("length of the indirection table, a power of two up to %u (default 128); "
                        "entry i is queue i mod the number of queues",
                        limits->max_indirection);

    printf("\nDevice\n");
    print_words("--key HEX", key);
    print_words("--queues N", queues);
    print_words("--indirection LENGTH", indirection);
    print_words("--ring FORMAT", "split (default) or packed");
}

void help_print(void)
{
    fputs(introduction, stdout);
    printf("\nHashing\n");
    print_dialects();
    print_tunnel_types();
    print_hash_types();
    print_device_section();
    fputs(output_section, stdout);
    fputs(check_section, stdout);
    fputs(ending, stdout);
}
