/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keys and the Toeplitz hash of octets (VIRTIO 1.4, 5.1.6.4.3.5). What computes it is an engine
 * (engine.h), the first of the list below that the processor runs, chosen when a key is made.
 */
#include <vionet/hash.h>

#include "hash/engine.h"
#include "lines.h"

#include <glib.h>
#include <string.h>

/* Best first; the last one runs everywhere. */
static const struct hash_engine *const engines[] = {
#ifdef HASH_ENGINE_AVX512
    &hash_engine_avx512,
#endif
#ifdef HASH_ENGINE_PCLMUL
    &hash_engine_pclmul,
#endif
#ifdef HASH_ENGINE_PMULL
    &hash_engine_pmull,
#endif
    &hash_engine_table,
};

static const struct hash_engine *engine_at(unsigned i)
{
    for (unsigned e = 0; e < G_N_ELEMENTS(engines); e++) {
        if (engines[e]->runs() && i-- == 0) {
            return engines[e];
        }
    }
    return NULL;
}

const char *vionet_hash_engine_at(unsigned i)
{
    const struct hash_engine *engine = engine_at(i);

    return engine ? engine->name : NULL;
}

static const struct hash_engine *engine_find(const char *name)
{
    const struct hash_engine *engine;

    for (unsigned i = 0; (engine = engine_at(i)) != NULL; i++) {
        if (strcmp(engine->name, name) == 0) {
            return engine;
        }
    }
    return NULL;
}

/* The quickest that this processor has. */
static const struct hash_engine *engine_first(void)
{
    const struct hash_engine *engine = engine_at(0);

    g_assert(engine); /* one of them is for all processors */
    return engine;
}

/* Octets of a key with what its engine makes of it. */
static size_t size_of_key(const struct hash_engine *engine)
{
    return sizeof(VionetHashKey) + engine->room;
}

static VionetHashKey *make_key(VionetHashKey *made, const struct hash_engine *engine,
                               const uint8_t *key, size_t len)
{
    uint8_t padded[HASH_KEY_PADDED] = {0};

    if (len) {
        memcpy(padded, key, MIN(len, VIONET_HASH_KEY_USED));
    }
    made->engine = *engine;
    engine->prepare(made->prepared, padded);
    return made;
}

static VionetHashKey *new_key(const struct hash_engine *engine, const uint8_t *key, size_t len)
{
    return make_key(g_aligned_alloc(1, size_of_key(engine), _Alignof(VionetHashKey)), engine, key,
                    len);
}

VionetHashKey *hash_key_try_new(const uint8_t *key, size_t len)
{
    const struct hash_engine *engine = engine_first();
    VionetHashKey *made = lines_try_new0(1, size_of_key(engine));

    return made ? make_key(made, engine, key, len) : NULL;
}

VionetHashKey *vionet_hash_key_new(const uint8_t *key, size_t len)
{
    return new_key(engine_first(), key, len);
}

VionetHashKey *vionet_hash_key_new_for(const char *engine, const uint8_t *key, size_t len)
{
    const struct hash_engine *found = engine_find(engine);

    return found ? new_key(found, key, len) : NULL;
}

void vionet_hash_key_free(VionetHashKey *key)
{
    g_aligned_free(key);
}

/* Any length: zeros after the input add nothing to its hash. Apart, to keep its frame out of the others'. */
static __attribute__((noinline)) uint32_t hash_any(const VionetHashKey *key, const uint8_t *input,
                                                   size_t len)
{
    uint8_t padded[VIONET_HASH_INPUT_MAX] = {0};

    if (len) { /* input may be NULL without */
        memcpy(padded, input, MIN(len, sizeof(padded)));
    }
    return key->engine.v6(key->prepared, padded, padded + 16, padded + 32);
}

uint32_t vionet_toeplitz(const VionetHashKey *key, const uint8_t *input, size_t len)
{
    if (len == 12) {
        return key->engine.v4(key->prepared, input, input + 8);
    }
    if (len >= VIONET_HASH_INPUT_MAX) {
        return key->engine.v6(key->prepared, input, input + 16, input + 32);
    }
    return hash_any(key, input, len);
}

void vionet_toeplitz_burst(const VionetHashKey *key, const uint8_t *const inputs[], size_t len,
                           size_t n, uint32_t hashes[])
{
    const struct hash_engine *engine = &key->engine;

    if (len == 12) {
        engine->burst12(key->prepared, inputs, n, hashes);
    } else if (len >= VIONET_HASH_INPUT_MAX) {
        engine->burst36(key->prepared, inputs, n, hashes);
    } else {
        for (size_t i = 0; i < n; i++) {
            hashes[i] = hash_any(key, inputs[i], len);
        }
    }
}
