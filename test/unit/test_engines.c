/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every way of hashing that this processor has, against the Toeplitz hash as it is defined: key bit by
 * input bit, every length, inputs at the end of their memory, bursts of every size. And the forms for
 * bursts against those for one.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <glib.h>

#include <vionet/hash.h>
#include <vionet/spec.h>

#include "reference/reference.h"

#define BITS(octets) (8 * (octets))

static uint32_t next_random(void)
{
    return (uint32_t)g_test_rand_int();
}

static void fill_random(uint8_t *octets, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        octets[i] = (uint8_t)next_random();
    }
}

/* Memory of which the octet past the end cannot be read. */
struct edge {
    uint8_t *map;
    size_t page;
};

static void edge_init(struct edge *edge)
{
    edge->page = (size_t)sysconf(_SC_PAGESIZE);
    edge->map =
        mmap(NULL, 2 * edge->page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    g_assert_true(edge->map != MAP_FAILED);
    g_assert_cmpint(mprotect(edge->map + edge->page, edge->page, PROT_NONE), ==, 0);
}

static uint8_t *edge_copy(const struct edge *edge, const uint8_t *octets, size_t n)
{
    return memcpy(edge->map + edge->page - n, octets, n);
}

static void edge_free(struct edge *edge)
{
    munmap(edge->map, 2 * edge->page);
}

/* ---- the list ---- */

static void test_list(void)
{
    const uint8_t octet = 0;
    unsigned n = 0;

    for (; vionet_hash_engine_at(n); n++) {
        for (unsigned other = 0; other < n; other++) {
            g_assert_cmpstr(vionet_hash_engine_at(n), !=, vionet_hash_engine_at(other));
        }
        g_test_message("this processor hashes by %s", vionet_hash_engine_at(n));
    }
    g_assert_cmpuint(n, >, 0);
    g_assert_cmpstr(vionet_hash_engine_at(n - 1), ==, "table");
    g_assert_null(vionet_hash_engine_at(n + 1));
    g_assert_null(vionet_hash_key_new_for("abacus", &octet, 1));
}

/* ---- each engine ---- */

/* One bit of the key and one of the input: the hash is one bit, or nothing, at a place to be told. */
static void test_bit_by_bit(gconstpointer engine)
{
    for (unsigned key_bit = 0; key_bit < BITS(VIONET_HASH_KEY_USED); key_bit++) {
        uint8_t octets[VIONET_HASH_KEY_USED] = {0};
        VionetHashKey *key;

        octets[key_bit / 8] = (uint8_t)(0x80 >> key_bit % 8);
        key = vionet_hash_key_new_for(engine, octets, sizeof(octets));
        for (unsigned bit = 0; bit < BITS(VIONET_HASH_INPUT_MAX); bit++) {
            const unsigned at = key_bit - bit; /* huge if the key's bit comes first */
            const uint32_t expected = at < 32 ? UINT32_C(0x80000000) >> at : 0;
            uint8_t input[VIONET_HASH_INPUT_MAX] = {0};
            const uint8_t *inputs[1] = {input};
            uint32_t hash;

            input[bit / 8] = (uint8_t)(0x80 >> bit % 8);
            g_assert_cmphex(vionet_toeplitz(key, input, 36), ==, expected);
            g_assert_cmphex(vionet_toeplitz(key, input, 12), ==, bit < 96 ? expected : 0);
            vionet_toeplitz_burst(key, inputs, 36, 1, &hash);
            g_assert_cmphex(hash, ==, expected);
        }
        vionet_hash_key_free(key);
    }
}

/* The same with every lane of a burst: the input with the bit stands among others without. */
static void test_bit_by_bit_in_bursts(gconstpointer engine)
{
    static const size_t lens[] = {12, 36};
    const uint8_t none[VIONET_HASH_INPUT_MAX] = {0};

    for (unsigned key_bit = 0; key_bit < BITS(VIONET_HASH_KEY_USED); key_bit++) {
        uint8_t octets[VIONET_HASH_KEY_USED] = {0};
        VionetHashKey *key;

        octets[key_bit / 8] = (uint8_t)(0x80 >> key_bit % 8);
        key = vionet_hash_key_new_for(engine, octets, sizeof(octets));
        for (unsigned l = 0; l < G_N_ELEMENTS(lens); l++) {
            for (unsigned bit = 0; bit < BITS(lens[l]); bit++) {
                const unsigned at = key_bit - bit;
                const unsigned lane = (key_bit + bit) % 16;
                uint8_t input[VIONET_HASH_INPUT_MAX] = {0};
                const uint8_t *inputs[16];
                uint32_t hashes[16];

                for (unsigned i = 0; i < 16; i++) {
                    inputs[i] = i == lane ? input : none;
                }
                input[bit / 8] = (uint8_t)(0x80 >> bit % 8);
                vionet_toeplitz_burst(key, inputs, lens[l], 16, hashes);
                for (unsigned i = 0; i < 16; i++) {
                    g_assert_cmphex(hashes[i], ==,
                                    i == lane && at < 32 ? UINT32_C(0x80000000) >> at : 0);
                }
            }
        }
        vionet_hash_key_free(key);
    }
}

static void test_random(gconstpointer engine)
{
    struct edge edge;

    edge_init(&edge);
    for (unsigned round = 0; round < 200; round++) {
        uint8_t octets[64];
        uint8_t input[64];
        const size_t key_len = next_random() % sizeof(octets);
        VionetHashKey *key;

        fill_random(octets, sizeof(octets));
        key = vionet_hash_key_new_for(engine, octets, key_len);
        for (size_t len = 0; len <= sizeof(input); len++) {
            const size_t used = MIN(len, VIONET_HASH_INPUT_MAX);

            fill_random(input, sizeof(input));
            g_assert_cmphex(vionet_toeplitz(key, edge_copy(&edge, input, used), len), ==,
                            reference_toeplitz(octets, key_len, input, used));
        }
        vionet_hash_key_free(key);
    }
    edge_free(&edge);
}

#define MOST 70

/* Inputs in the last octets that can be read; each overlaps the next but for one octet. */
static void test_bursts(gconstpointer engine)
{
    static const size_t lens[] = {0, 1, 8, 11, 12, 13, 32, 35, 36, 40};
    const uint8_t *inputs[MOST];
    uint32_t hashes[MOST + 1];
    uint8_t octets[40];
    struct edge edge;
    VionetHashKey *key;

    edge_init(&edge);
    fill_random(edge.map, edge.page);
    fill_random(octets, sizeof(octets));
    key = vionet_hash_key_new_for(engine, octets, sizeof(octets));
    for (unsigned l = 0; l < G_N_ELEMENTS(lens); l++) {
        const size_t used = MIN(lens[l], VIONET_HASH_INPUT_MAX);

        for (unsigned n = 0; n <= MOST; n++) {
            for (unsigned i = 0; i < n; i++) {
                inputs[i] = edge.map + edge.page - used - (n - 1 - i);
            }
            hashes[n] = 0x600d600d;
            vionet_toeplitz_burst(key, inputs, lens[l], n, hashes);
            for (unsigned i = 0; i < n; i++) {
                g_assert_cmphex(hashes[i], ==,
                                reference_toeplitz(octets, sizeof(octets), inputs[i], used));
            }
            g_assert_cmphex(hashes[n], ==, 0x600d600d);
        }
    }
    vionet_hash_key_free(key);
    edge_free(&edge);
}

/* ---- flows and frames ---- */

#define FRAME_ROOM 200

struct frame {
    size_t len;
    uint8_t octets[FRAME_ROOM];
};

static void store16(uint8_t *at, size_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/*
 * A frame of one of many shapes: either IP version, IPv4 with options, IPv6 with a home address,
 * TCP, UDP or neither, not IP at all, cut; random otherwise.
 */
static void make_frame(struct frame *frame)
{
    const bool ipv6 = next_random() % 2;
    const bool more = next_random() % 4 == 0; /* options, an extension header */
    const uint8_t protocol = (const uint8_t[]){6, 17, 17, 1}[next_random() % 4];
    uint8_t *ip = frame->octets + 14;
    size_t header = ipv6 ? 40 : 20;

    fill_random(frame->octets, sizeof(frame->octets));
    store16(frame->octets + 12, ipv6 ? 0x86dd : 0x0800);
    if (next_random() % 16 == 0) {
        store16(frame->octets + 12, 0x0806);
    }
    if (ipv6) {
        ip[0] = 0x60;
        ip[6] = more ? 60 : protocol;
        if (more) {
            memcpy(ip + 40, (const uint8_t[]){protocol, 2, 1, 2, 0, 0, 0xc9, 16}, 8);
            header += 24;
        }
        store16(ip + 4, header - 40 + 30);
    } else {
        header += more ? 8 : 0;
        ip[0] = (uint8_t)(0x40 | header / 4);
        store16(ip + 2, header + 30);
        store16(ip + 6, 0);
        ip[9] = protocol;
    }
    store16(ip + header + 2, 0x8000 | next_random()); /* no tunnel's */
    frame->len = 14 + header + 30;
    if (next_random() % 16 == 0) {
        frame->len = next_random() % frame->len;
    }
}

/* Frames that end where memory does, so that what is read past them shows. */
static void exact_frames(const struct frame *frames, unsigned n, uint8_t *copies[], size_t lens[])
{
    for (unsigned i = 0; i < n; i++) {
        lens[i] = frames[i].len;
        copies[i] = malloc(lens[i] ? lens[i] : 1);
        memcpy(copies[i], frames[i].octets, lens[i]);
    }
}

static void check_frames(const VionetHashKey *key, const uint8_t *const frames[],
                         const size_t lens[], unsigned n, uint32_t hash_types)
{
    VionetFrameHash results[2 * MOST];
    uint8_t reports[2 * MOST];
    uint32_t hashes[2 * MOST];
    VionetFlow flows[2 * MOST];

    vionet_hash_frames(key, frames, lens, n, VIONET_TUNNEL_ALL, hash_types, results);
    for (unsigned i = 0; i < n; i++) {
        vionet_dissect(frames[i], lens[i], VIONET_TUNNEL_ALL, &flows[i]);
    }
    vionet_hash_flows(key, flows, n, hash_types, reports, hashes);
    for (unsigned i = 0; i < n; i++) {
        const unsigned report = vionet_flow_report(&flows[i], hash_types);
        const uint32_t hash = vionet_hash_flow(key, &flows[i], report);

        g_assert_cmpuint(reports[i], ==, report);
        g_assert_cmphex(hashes[i], ==, hash);
        g_assert_cmpuint(results[i].report, ==, report);
        g_assert_cmphex(results[i].hash, ==, hash);
        g_assert_cmphex(results[i].tunnels, ==, flows[i].tunnels);
        g_assert_cmpint(results[i].short_of_octets, ==, flows[i].short_of_octets);
    }
}

static void check_one_like_reference(const uint8_t *frame, size_t len, const VionetHashKey *key,
                                     const uint8_t *octets, uint32_t hash_types)
{
    struct reference_result expected;
    VionetFrameHash result;

    vionet_hash_frames(key, &frame, &len, 1, 0, hash_types, &result);
    reference_hash(frame, len, REFERENCE_OFF, hash_types, 0, octets, 40, &expected);
    g_assert_cmpuint(result.report, ==, expected.report);
    g_assert_cmphex(result.hash, ==, expected.hash);
}

static void test_flows_and_frames(gconstpointer engine)
{
    static struct frame frames[2 * MOST];
    uint8_t *copies[2 * MOST];
    size_t lens[2 * MOST];
    uint8_t octets[40];
    VionetHashKey *key;

    fill_random(octets, sizeof(octets));
    key = vionet_hash_key_new_for(engine, octets, sizeof(octets));
    for (unsigned round = 0; round < 60; round++) {
        const unsigned n = round < 40 ? round : next_random() % (2 * MOST);
        const uint32_t hash_types = round % 2 ? 0x1ff : next_random() & 0x1ff;

        for (unsigned i = 0; i < n; i++) {
            make_frame(&frames[i]);
        }
        exact_frames(frames, n, copies, lens);
        check_frames(key, (const uint8_t *const *)copies, lens, n, hash_types);
        for (unsigned i = 0; i < n; i++) {
            check_one_like_reference(copies[i], lens[i], key, octets, hash_types);
            free(copies[i]);
        }
    }
    vionet_hash_key_free(key);
}

static void add_for(const char *engine, const char *name, GTestDataFunc test)
{
    char *path = g_strdup_printf("/engines/%s/%s", engine, name);

    g_test_add_data_func(path, engine, test);
    g_free(path);
}

int main(int argc, char **argv)
{
    const char *engine;

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/engines/list", test_list);
    for (unsigned i = 0; (engine = vionet_hash_engine_at(i)) != NULL; i++) {
        add_for(engine, "every-key-bit-and-input-bit", test_bit_by_bit);
        add_for(engine, "every-key-bit-and-input-bit-in-bursts", test_bit_by_bit_in_bursts);
        add_for(engine, "every-length-like-reference", test_random);
        add_for(engine, "bursts-of-every-size-like-reference", test_bursts);
        add_for(engine, "flows-and-frames-like-one-by-one", test_flows_and_frames);
    }
    return g_test_run();
}
