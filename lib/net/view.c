/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Making, copying and freeing views (see view.h). Control side only; the data path reads members.
 */
#include "net/view.h"

#include <string.h>

#include "hash/engine.h"
#include "lines.h"
#include "net/header.h"

#include <vionet/spec.h>

struct view *view_new(const VionetConfig *config)
{
    struct view *view = lines_new0(1, sizeof(*view));

    view->link_up = config->link_up;
    view->max_frame = config->max_frame;
    view->dialect = config->dialect;
    view->steering.n_pairs = 1;
    memcpy(view->filter.mac, config->mac, 6);
    view->hdr_len = header_length(view);
    view->plain = header_plain_word(view);
    return view;
}

void view_begin_legacy(struct view *view, const VionetConfig *config, bool big_endian)
{
    static const uint64_t nothing[VIONET_FEATURE_WORDS];

    view->legacy = true;
    view->big_endian = big_endian;
    view_negotiate(view, config, nothing);
}

void view_negotiate(struct view *view, const VionetConfig *config, const uint64_t *features)
{
    memcpy(view->features, features, sizeof(view->features));
    view->mergeable = view_has(view, VIRTIO_NET_F_MRG_RXBUF);
    view->reports_hash = view_has(view, VIRTIO_NET_F_HASH_REPORT);
    view->hdr_len = header_length(view);
    view->plain = header_plain_word(view);
    view->mtu = view_has(view, VIRTIO_NET_F_MTU) ? config->mtu : 0;
    view->offloads = header_offloads(view);
    view->filter.vlan_filter = view_has(view, VIRTIO_NET_F_CTRL_VLAN);
}

static struct view *copy_to(struct view *copy, const struct view *view)
{
    *copy = *view;
    if (copy->steering.key) {
        g_atomic_ref_count_inc(&copy->steering.key->refs);
    }
    if (copy->steering.table) {
        g_atomic_ref_count_inc(&copy->steering.table->refs);
    }
    return copy;
}

struct view *view_copy(const struct view *view)
{
    return copy_to(lines_new0(1, sizeof(*view)), view);
}

struct view *view_try_copy(const struct view *view)
{
    struct view *copy = lines_try_new0(1, sizeof(*copy));

    return copy ? copy_to(copy, view) : NULL;
}

static void key_unref(struct shared_key *key)
{
    if (key && g_atomic_ref_count_dec(&key->refs)) {
        vionet_hash_key_free(key->key);
        g_free(key);
    }
}

static void table_unref(struct shared_table *table)
{
    if (table && g_atomic_ref_count_dec(&table->refs)) {
        g_free(table);
    }
}

void steering_clear(struct steering *steering)
{
    key_unref(steering->key);
    table_unref(steering->table);
    steering->key = NULL;
    steering->table = NULL;
}

void view_free(struct view *view)
{
    steering_clear(&view->steering);
    g_aligned_free(view);
}

static struct shared_key *key_try_new(const uint8_t *key, size_t len)
{
    struct shared_key *shared = g_try_malloc(sizeof(*shared) + len);

    if (!shared) {
        return NULL;
    }
    shared->key = hash_key_try_new(key, len);
    if (!shared->key) {
        g_free(shared);
        return NULL;
    }
    g_atomic_ref_count_init(&shared->refs);
    shared->len = (uint8_t)len;
    memcpy(shared->octets, key, len);
    return shared;
}

bool steering_try_set_key(struct steering *steering, const uint8_t *key, size_t len)
{
    struct shared_key *shared = len ? key_try_new(key, len) : NULL;

    if (len && !shared) {
        return false;
    }
    key_unref(steering->key);
    steering->key = shared;
    return true;
}

bool steering_try_set_table(struct steering *steering, const uint16_t *pairs, unsigned n)
{
    struct shared_table *table = g_try_malloc(sizeof(*table) + n * sizeof(pairs[0]));

    if (!table) {
        return false;
    }
    g_atomic_ref_count_init(&table->refs);
    table->mask = (uint16_t)(n - 1);
    memcpy(table->pairs, pairs, n * sizeof(pairs[0]));
    table_unref(steering->table);
    steering->table = table;
    return true;
}
