/* SPDX-License-Identifier: BSD-3-Clause */
/* P9: commands of the control queue, with every payload (lib/net/control.c). See README.md. */
#include "net/control.c"

unsigned proof_loads, proof_stores;

#ifndef PAYLOAD
#define PAYLOAD 40
#endif
#define TABLE  4 /* rss_max_table */
#define KEY    4 /* rss_max_key_size */
#define QUEUES 3

static VionetDevice the_device;
static struct queue the_queues[QUEUES];
static struct view the_view;
static struct outcome the_outcomes[QUEUES];
static struct steering *the_contexts[1];
static VionetDialect the_dialect;

/* ---- outside ---- */

enum queue_kind device_queue_kind(const VionetDevice *device, unsigned index)
{
    return index < QUEUES ? (enum queue_kind)any_below(4) : QUEUE_NONE;
}

void queue_coalesce_set(struct queue *queue, _Atomic(struct memory_map *) *map,
                        uint32_t max_packets, uint32_t max_usecs, struct outcome *outcome)
{
    claim(queue >= the_queues && queue < the_queues + QUEUES, "a queue that there is");
}

unsigned vionet_dialect_tunnels(const VionetDialect *dialect, uint32_t types)
{
    return any_32();
}

uint64_t stats_types(const struct view *view)
{
    return any_64();
}

bool stats_check(const VionetDevice *device, const uint8_t *entries, size_t n)
{
    claim(__CPROVER_r_ok(entries, n * sizeof(struct virtio_net_ctrl_queue_stats_entry)),
          "entries lie in the payload");
    return any_bool();
}

size_t stats_reply(VionetDevice *device, const uint8_t *entries, size_t n, struct iov_cursor *to,
                   uint64_t room)
{
    return any_32();
}

bool header_set_offloads(struct view *view, uint64_t mask)
{
    return any_bool();
}

bool filter_set_table(struct view *view, const uint8_t *payload, size_t len)
{
    claim(__CPROVER_r_ok(payload, len), "a table lies in the payload");
    return any_bool();
}

size_t iov_write(struct iov_cursor *to, const void *buf, size_t len)
{
    claim(__CPROVER_r_ok(buf, len), "what is answered is there");
    return any_below((uint32_t)len + 1);
}

bool steering_try_set_key(struct steering *steering, const uint8_t *key, size_t len)
{
    claim(len <= KEY && __CPROVER_r_ok(key, len),
          "a key lies in the payload, and is none too long");
    return any_bool();
}

bool steering_try_set_table(struct steering *steering, const uint16_t *pairs, unsigned n)
{
    claim(n > 0 && n <= TABLE && (n & (n - 1)) == 0, "a table has a length that it may have");
    for (unsigned i = 0; i < TABLE; i++) {
        claim(i >= n || pairs[i] < the_device.config.max_pairs, "and names pairs that there are");
    }
    return any_bool();
}

void steering_clear(struct steering *steering)
{
}

/* ---- the claim ---- */

/* The row ROW of the table, run as execute() does: a payload of its least length, or more. */
void command_any(void)
{
    const struct command *row = &commands[ROW];
    struct request request = {.device = &the_device, .view = &the_view};
    uint8_t *payload;

    request.len = any_below(PAYLOAD + 1);
    request.room = any_64();
    payload = malloc(request.len);
    assume(payload != NULL);
    request.payload = payload;
    the_device.config.max_pairs = (uint16_t)(1 + any_below(4));
    the_device.config.rss_max_table = TABLE;
    the_device.config.rss_max_key_size = KEY;
    the_device.config.hash_types = any_32();
    the_device.config.tunnel_types = any_32();
    the_device.config.max_rss_contexts = 1;
    the_dialect.feature = (int)any_below(129) - 1;
    the_dialect.types_after_key = any_bool();
    the_dialect.types_in_hash_types = any_bool();
    the_dialect.all_types = any_32();
    the_device.config.dialect = the_view.dialect = &the_dialect;
    the_device.rss_contexts = the_contexts;
    the_device.outcomes = the_outcomes;
    the_device.queues = the_queues;
    the_device.n_queues = QUEUES;
    the_view.big_endian = any_bool();
    for (unsigned i = 0; i < VIONET_FEATURE_WORDS; i++) {
        the_view.features[i] = any_64();
    }
    for (unsigned i = 0; i < QUEUES; i++) {
        the_queues[i].index = (uint16_t)i;
        the_queues[i].enabled = any_bool();
    }
    if (request.len < row->min || (row->exact && request.len != row->min)) {
        return;
    }
    claim(row->reply <= REPLY_MAX, "an answer has room");
    if (row->run(&request, row) == ANSWER_OK) {
        reached("done");
    } else {
        reached("refused");
    }
}
