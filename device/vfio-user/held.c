/* SPDX-License-Identifier: BSD-3-Clause */
/* See held.h. Called by waiting.c. */
#include "held.h"

#include <string.h>
#include <unistd.h>

#include <glib.h>

struct held {
    GQueue messages; /* of struct held_message */
    unsigned n_ordered;
    unsigned n_owed;
};

struct held *held_new(void)
{
    struct held *held = g_new0(struct held, 1);

    g_queue_init(&held->messages);
    return held;
}

void held_message_free(struct held_message *message)
{
    for (unsigned i = 0; i < message->message.n_fds; i++) {
        if (message->message.fds[i] >= 0) {
            close(message->message.fds[i]);
        }
    }
    g_free((void *)message->message.payload);
    g_free(message);
}

void held_free(struct held *held)
{
    struct held_message *message;

    if (!held) {
        return;
    }
    while ((message = held_take(held)) != NULL) {
        held_message_free(message);
    }
    g_free(held);
}

/* Whether a notification like that waits, and nothing that it would have to wait behind. */
static bool waits_already(const struct held *held, const struct stream_message *message)
{
    for (GList *at = held->messages.head; at && held->n_ordered == 0; at = at->next) {
        const struct held_message *one = at->data;

        if (one->message.header.command == message->header.command &&
            one->message.len == message->len &&
            memcmp(one->message.payload, message->payload, message->len) == 0) {
            return true;
        }
    }
    return false;
}

bool held_add(struct held *held, struct stream_message *message, bool answered, bool notification)
{
    struct held_message *copy;
    uint8_t *payload;

    if (answered && notification && waits_already(held, message)) {
        return true;
    }
    if (held->messages.length >= HELD_MAX) {
        return false;
    }
    payload = g_try_malloc(message->len);
    if (message->len > 0 && !payload) {
        return false;
    }
    if (payload) {
        memcpy(payload, message->payload, message->len);
    }
    copy = g_new0(struct held_message, 1);
    copy->message = *message;
    copy->message.payload = payload;
    message->n_fds = 0;
    copy->answered = answered;
    copy->notification = notification;
    held->n_ordered += !notification;
    held->n_owed += !answered;
    g_queue_push_tail(&held->messages, copy);
    return true;
}

struct held_message *held_take(struct held *held)
{
    struct held_message *message = g_queue_pop_head(&held->messages);

    if (message) {
        held->n_ordered -= !message->notification;
        held->n_owed -= !message->answered;
    }
    return message;
}

unsigned held_count(const struct held *held)
{
    return held->messages.length;
}

unsigned held_count_ordered(const struct held *held)
{
    return held->n_ordered;
}

bool held_owes(const struct held *held)
{
    return held->n_owed > 0;
}
