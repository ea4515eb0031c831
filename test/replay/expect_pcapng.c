/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Expectations from pcapng: the hash and queue options of its packets, written by --write or by any
 * other tool that notes them, such as DPDK's dumpcap.
 */
#include "expectation.h"
#include "pcapng_file.h"
#include "replay_error.h"

/* Numbers packets over each capture; a single capture owns the packets of all interfaces. */
static void add_packet(struct expectations *e, GArray *counts, const struct pcapng_packet *packet)
{
    struct expectation expectation = {.length = packet->length, .says = SAYS_LENGTH};

    expectation.capture = e->n_captures > 1 ? packet->interface : 0;
    while (e->captures->len <= expectation.capture) {
        g_ptr_array_add(e->captures, (gpointer) "an interface without a capture");
    }
    if (counts->len < e->captures->len) {
        g_array_set_size(counts, e->captures->len);
    }
    expectation.packet = ++g_array_index(counts, uint64_t, expectation.capture);
    if (packet->has_hash) {
        expectation.says |= SAYS_HASH;
        expectation.hash = packet->hash;
    }
    if (packet->has_queue) {
        expectation.says |= packet->has_hash ? SAYS_QUEUE : SAYS_QUEUE | SAYS_NO_HASH;
        expectation.queue = packet->queue;
    }
    g_array_append_val(e->table, expectation);
}

bool expect_read_pcapng(struct expectations *e, FILE *file, GError **error)
{
    struct pcapng_reader *reader = pcapng_reader_new(file);
    g_autoptr(GArray) counts = g_array_new(FALSE, TRUE, sizeof(uint64_t));
    struct pcapng_packet packet;
    enum pcapng_outcome outcome;
    bool marked = false;

    while ((outcome = pcapng_reader_next(reader, &packet, error)) == PCAPNG_PACKET) {
        marked |= packet.has_hash || packet.has_queue;
        add_packet(e, counts, &packet);
    }
    pcapng_reader_free(reader);
    if (outcome == PCAPNG_BROKEN) {
        return false;
    }
    return marked || complain(error, "no packet carries a hash or a queue");
}
