/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The published vectors (test/vectors) and the captures (test/captures), line by line and packet by
 * packet: by the library's functions, by the reference, through the whole device, cut at every octet,
 * in pieces, and mutated. VIONET_SOURCE_ROOT is the root of the source tree; "." if it is not set.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include <glib.h>

#include <vionet/spec.h>

#include "machine/machine.h"
#include "reference/reference.h"
#include "reference/suite.h"

#define ALL_HASH_TYPES 0x1ffu
#define PAIRS          4
#define TABLE          128

enum { OFF, DRAFT_V7, DRAFT_V10, RATIFIED, N_DIALECTS };

static const struct {
    const char *name;
    enum reference_dialect reference;
} dialects[N_DIALECTS] = {
    [OFF] = {"off", REFERENCE_OFF},
    [DRAFT_V7] = {"draft-v7", REFERENCE_DRAFT_V7},
    [DRAFT_V10] = {"draft-v10", REFERENCE_DRAFT_V10},
    [RATIFIED] = {"ratified", REFERENCE_RATIFIED},
};

static const VionetDialect *row_of(unsigned dialect)
{
    return vionet_dialect_find(dialects[dialect].name);
}

/* ---- reading ---- */

static char *path_of(const char *name)
{
    const char *root = g_getenv("VIONET_SOURCE_ROOT");

    return g_build_filename(root ? root : ".", "test", name, NULL);
}

/* The lines of a file that are vectors. */
static char **read_lines(const char *name)
{
    GPtrArray *kept = g_ptr_array_new();
    char *path = path_of(name);
    GError *error = NULL;
    char **lines;
    char *text;

    g_file_get_contents(path, &text, NULL, &error);
    g_assert_no_error(error);
    lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        if (**line && **line != '#') {
            g_ptr_array_add(kept, *line);
        } else {
            g_free(*line);
        }
    }
    g_ptr_array_add(kept, NULL);
    g_free(lines);
    g_free(text);
    g_free(path);
    return (char **)g_ptr_array_free(kept, FALSE);
}

static uint8_t *from_hex(const char *text, size_t *len)
{
    uint8_t *octets;

    *len = strlen(text) / 2;
    octets = malloc(*len); /* exactly, for the sanitizers */
    g_assert_nonnull(octets);
    for (size_t i = 0; i < *len; i++) {
        octets[i] = (uint8_t)(g_ascii_xdigit_value(text[2 * i]) << 4 |
                              g_ascii_xdigit_value(text[2 * i + 1]));
    }
    return octets;
}

static uint32_t number(const char *text)
{
    return strcmp(text, "-") == 0 ? 0 : (uint32_t)g_ascii_strtoull(text, NULL, 16);
}

/* A copy of n octets in a block of exactly that size. */
static uint8_t *exact_copy(const uint8_t *octets, size_t n)
{
    uint8_t *copy = malloc(n);

    g_assert_true(copy || !n);
    if (n) {
        memcpy(copy, octets, n);
    }
    return copy;
}

/* ---- toeplitz.txt ---- */

static void check_tuple(char **fields)
{
    const bool ipv6 = strchr(fields[1], ':') != NULL;
    const int family = ipv6 ? AF_INET6 : AF_INET;
    const size_t n = ipv6 ? 16 : 4;
    const unsigned sport = (unsigned)atoi(fields[2]);
    const unsigned dport = (unsigned)atoi(fields[4]);
    uint8_t input[VIONET_HASH_INPUT_MAX];
    VionetHashKey *key;
    uint8_t *octets;
    size_t len;

    octets = from_hex(fields[0], &len);
    g_assert_cmpint(inet_pton(family, fields[1], input), ==, 1);
    g_assert_cmpint(inet_pton(family, fields[3], input + n), ==, 1);
    input[2 * n] = (uint8_t)(sport >> 8);
    input[2 * n + 1] = (uint8_t)sport;
    input[2 * n + 2] = (uint8_t)(dport >> 8);
    input[2 * n + 3] = (uint8_t)dport;
    key = vionet_hash_key_new(octets, len);
    g_assert_cmphex(vionet_toeplitz(key, input, 2 * n), ==, number(fields[5]));
    g_assert_cmphex(vionet_toeplitz(key, input, 2 * n + 4), ==, number(fields[6]));
    g_assert_cmphex(reference_toeplitz(octets, len, input, 2 * n + 4), ==, number(fields[6]));
    g_assert_cmphex(reference_toeplitz_shift(octets, len, input, 2 * n + 4), ==, number(fields[6]));
    vionet_hash_key_free(key);
    free(octets);
}

static void test_toeplitz(void)
{
    char **lines = read_lines("vectors/toeplitz.txt");

    g_assert_cmpuint(g_strv_length(lines), >=, 1900);
    for (char **line = lines; *line; line++) {
        char **fields = g_strsplit(*line, " ", -1);

        g_assert_cmpuint(g_strv_length(fields), ==, 7);
        check_tuple(fields);
        g_strfreev(fields);
    }
    g_strfreev(lines);
}

/* ---- frames.txt ---- */

struct result {
    unsigned report;
    uint32_t hash;
    unsigned tunnel;
};

struct vector {
    char *name;
    struct result expected[N_DIALECTS]; /* with all types of each dialect */
    char **types;                       /* all that the frame is, in any dialect */
    uint8_t *frame;                     /* a block of exactly len octets */
    size_t len;
};

static GPtrArray *vectors; /* read once; only looked at by the tests */

static unsigned report_named(const char *name)
{
    for (unsigned report = 0; report < 10; report++) {
        if (strcmp(vionet_report_name(report), name) == 0) {
            return report;
        }
    }
    g_error("no report is called %s", name);
}

static unsigned tunnel_named(const char *name)
{
    static const char *const names[] = {"NONE", "GRE", "VXLAN", "GENEVE"};

    for (unsigned tunnel = 0; tunnel < G_N_ELEMENTS(names); tunnel++) {
        if (strcmp(names[tunnel], name) == 0) {
            return tunnel;
        }
    }
    g_error("no tunnel is called %s", name);
}

static struct vector *parse_vector(const char *line)
{
    struct vector *vector = g_new0(struct vector, 1);
    char **f = g_strsplit(line, " ", -1);

    g_assert_cmpuint(g_strv_length(f), ==, 12);
    vector->name = g_strdup(f[0]);
    vector->expected[OFF] = (struct result){report_named(f[1]), number(f[2]), 0};
    vector->expected[DRAFT_V7] =
        (struct result){report_named(f[3]), number(f[4]), tunnel_named(f[5])};
    vector->expected[DRAFT_V10] = (struct result){report_named(f[6]), number(f[7]), 0};
    vector->expected[RATIFIED] = (struct result){report_named(f[8]), number(f[9]), 0};
    vector->types = g_strsplit(strcmp(f[10], "-") == 0 ? "" : f[10], ",", -1);
    vector->frame = from_hex(f[11], &vector->len);
    g_strfreev(f);
    return vector;
}

static void free_vector(void *data)
{
    struct vector *vector = data;

    g_free(vector->name);
    g_strfreev(vector->types);
    free(vector->frame);
    g_free(vector);
}

static void read_vectors(void)
{
    char **lines = read_lines("vectors/frames.txt");

    vectors = g_ptr_array_new_with_free_func(free_vector);
    for (char **line = lines; *line; line++) {
        g_ptr_array_add(vectors, parse_vector(*line));
    }
    g_strfreev(lines);
}

static const struct vector *vector_at(unsigned i)
{
    return g_ptr_array_index(vectors, i);
}

/* ---- judging ---- */

static void assert_result(const char *name, unsigned dialect, const struct result *found,
                          const struct result *expected)
{
    if (found->report != expected->report || found->hash != expected->hash ||
        found->tunnel != expected->tunnel) {
        g_error("%s, %s: %s 0x%08x tunnel %u, not %s 0x%08x tunnel %u", name,
                dialects[dialect].name, vionet_report_name(found->report), found->hash,
                found->tunnel, vionet_report_name(expected->report), expected->hash,
                expected->tunnel);
    }
}

static struct result by_flow(unsigned dialect, const VionetHashKey *key, uint32_t hash_types,
                             const VionetFlow *flow)
{
    struct result result;

    result.report = vionet_flow_report(flow, hash_types);
    result.hash = vionet_hash_flow(key, flow, result.report);
    result.tunnel = result.report ? vionet_dialect_report(row_of(dialect), flow->tunnels) : 0;
    return result;
}

static struct result by_library(unsigned dialect, const VionetHashKey *key, uint32_t hash_types,
                                uint32_t tunnel_types, const uint8_t *frame, size_t len)
{
    VionetFlow flow;

    vionet_dissect(frame, len, vionet_dialect_tunnels(row_of(dialect), tunnel_types), &flow);
    return by_flow(dialect, key, hash_types, &flow);
}

static struct result by_reference(unsigned dialect, uint32_t hash_types, uint32_t tunnel_types,
                                  const uint8_t *frame, size_t len)
{
    struct reference_result result;

    reference_hash(frame, len, dialects[dialect].reference, hash_types | (tunnel_types & 0xe00),
                   tunnel_types, suite_key, sizeof(suite_key), &result);
    return (struct result){result.report, result.hash, result.tunnel};
}

static VionetHashKey *new_suite_key(void)
{
    return vionet_hash_key_new(suite_key, sizeof(suite_key));
}

/* ---- whole frames ---- */

static void test_library(const void *data)
{
    const unsigned dialect = GPOINTER_TO_UINT(data);
    VionetHashKey *key = new_suite_key();

    g_assert_cmpuint(vectors->len, >=, 2600);
    for (unsigned i = 0; i < vectors->len; i++) {
        const struct vector *v = vector_at(i);
        struct result found =
            by_library(dialect, key, ALL_HASH_TYPES, row_of(dialect)->all_types, v->frame, v->len);

        assert_result(v->name, dialect, &found, &v->expected[dialect]);
    }
    vionet_hash_key_free(key);
}

static void test_reference(const void *data)
{
    const unsigned dialect = GPOINTER_TO_UINT(data);

    for (unsigned i = 0; i < vectors->len; i++) {
        const struct vector *v = vector_at(i);
        struct result found =
            by_reference(dialect, ALL_HASH_TYPES, row_of(dialect)->all_types, v->frame, v->len);

        assert_result(v->name, dialect, &found, &v->expected[dialect]);
    }
}

/* "If at least one type of the list is enabled, report and hash are the ratified ones." */
static void test_each_type_alone(const void *data)
{
    const unsigned dialect = GPOINTER_TO_UINT(data);
    VionetHashKey *key = new_suite_key();

    for (const VionetTunnelType *type = row_of(dialect)->types; type->name; type++) {
        for (unsigned i = 0; i < vectors->len; i++) {
            const struct vector *v = vector_at(i);
            const bool inner = g_strv_contains((const char *const *)v->types, type->name);
            struct result found =
                by_library(dialect, key, ALL_HASH_TYPES, type->bit, v->frame, v->len);

            found.tunnel = 0;
            assert_result(v->name, dialect, &found, &v->expected[inner ? RATIFIED : OFF]);
        }
    }
    vionet_hash_key_free(key);
}

/* ---- through the device ---- */

static struct machine *new_machine(unsigned dialect)
{
    const VionetDialect *row = row_of(dialect);
    struct machine_setup setup;
    struct machine *machine;
    GError *error = NULL;

    machine_setup_init(&setup);
    setup.device.dialect = row;
    setup.device.tunnel_types = row->all_types;
    setup.device.max_pairs = PAIRS;
    vionet_features_set(setup.device.features, VIRTIO_NET_F_RSS, true);
    vionet_features_set(setup.device.features, VIRTIO_NET_F_HASH_REPORT, true);
    if (row->feature >= 0) {
        vionet_features_set(setup.device.features, (unsigned)row->feature, true);
    }
    machine = machine_new(&setup, &error);
    g_assert_no_error(error);
    g_assert_true(machine_boot(machine, features_known()));
    return machine;
}

static struct machine *new_hashing_machine(unsigned dialect)
{
    const VionetDialect *row = row_of(dialect);
    struct machine *machine = new_machine(dialect);
    const struct net_rss rss = {
        .hash_types = ALL_HASH_TYPES | (row->types_in_hash_types ? row->all_types : 0),
        .table_len = TABLE,
        .unclassified_queue = 2,
        .max_tx_vq = PAIRS,
        .key = suite_key,
        .key_len = sizeof(suite_key),
        .has_tunnel_types = row->types_after_key,
        .tunnel_types = row->all_types,
    };

    g_assert_cmpint(net_control_rx(machine->net, VIRTIO_NET_CTRL_RX_PROMISC, true), ==,
                    VIRTIO_NET_OK);
    g_assert_cmpint(net_control_rss(machine->net, &rss), ==, VIRTIO_NET_OK);
    if (row->types_by_command) {
        g_assert_cmpint(net_control_hash_tunnel(machine->net, row->all_types), ==, VIRTIO_NET_OK);
    }
    return machine;
}

/* Delivers a frame in pieces; its packet header and its queue are as expected. */
static void check_delivery(struct machine *machine, unsigned dialect, const struct vector *v,
                           const struct iovec *pieces, unsigned n)
{
    const struct result *expected = &v->expected[dialect];
    const VionetFrame frame = {.iov = pieces, .n_iov = n};
    struct guest_packet packet;
    VionetVerdict verdict;
    struct result found;

    vionet_device_receive(machine->device, 0, &frame, 1, &verdict, 0);
    g_assert_cmpuint(verdict, ==, VIONET_DELIVERED);
    g_assert_true(net_receive(machine->net, &packet));
    g_assert_cmpmem(packet.data, packet.len, v->frame, v->len);
    found = (struct result){packet.header.hash_report, packet.header.hash_value,
                            packet.header.hash_report_tunnel};
    assert_result(v->name, dialect, &found, expected);
    g_assert_cmpuint(packet.pair, ==, expected->report ? expected->hash % TABLE % PAIRS : 2);
}

static void test_device(const void *data)
{
    const unsigned dialect = GPOINTER_TO_UINT(data);
    struct machine *machine = new_hashing_machine(dialect);

    for (unsigned i = 0; i < vectors->len; i++) {
        const struct vector *v = vector_at(i);
        const struct iovec whole = {v->frame, v->len};

        check_delivery(machine, dialect, v, &whole, 1);
    }
    machine_finish(machine);
}

/* A burst of all frames arrives in each queue in order, and none is lost or duplicated. */
static void test_device_bursts(const void *data)
{
    const unsigned dialect = GPOINTER_TO_UINT(data);
    struct machine *machine = new_hashing_machine(dialect);
    const unsigned burst = 48;

    for (unsigned first = 0; first < vectors->len; first += burst) {
        const unsigned n = MIN(burst, vectors->len - first);
        VionetVerdict verdicts[48];
        struct iovec pieces[48];
        VionetFrame frames[48];

        memset(frames, 0, sizeof(frames));
        for (unsigned i = 0; i < n; i++) {
            const struct vector *v = vector_at(first + i);

            pieces[i] = (struct iovec){v->frame, v->len};
            frames[i].iov = &pieces[i];
            frames[i].n_iov = 1;
        }
        g_assert_cmpuint(
            vionet_device_receive(machine->device, 0, frames, n, verdicts, VIONET_RECEIVE_HOLD), ==,
            n);
        for (unsigned i = 0; i < n; i++) {
            const struct vector *v = vector_at(first + i);
            const struct result *expected = &v->expected[dialect];
            const unsigned pair = expected->report ? expected->hash % TABLE % PAIRS : 2;
            struct guest_packet packet;

            g_assert_true(net_receive_pair(machine->net, pair, &packet));
            g_assert_cmpmem(packet.data, packet.len, v->frame, v->len);
            g_assert_cmphex(packet.header.hash_value, ==, expected->hash);
            g_assert_cmpuint(packet.header.hash_report, ==, expected->report);
        }
    }
    machine_finish(machine);
}

/* ---- cut and in pieces ---- */

/* All vectors in a slow run, else every so many. */
static unsigned stride(unsigned usual)
{
    return g_test_slow() ? 1 : usual;
}

static void test_cut(void)
{
    VionetHashKey *key = new_suite_key();

    for (unsigned i = 0; i < vectors->len; i += stride(7)) {
        const struct vector *v = vector_at(i);

        for (size_t len = 0; len <= v->len; len++) {
            const unsigned dialect = (unsigned)(i + len) % N_DIALECTS;
            const uint32_t types = row_of(dialect)->all_types;
            uint8_t *cut = exact_copy(v->frame, len);
            struct result found = by_library(dialect, key, ALL_HASH_TYPES, types, cut, len);
            struct result expected = by_reference(dialect, ALL_HASH_TYPES, types, cut, len);

            assert_result(v->name, dialect, &found, &expected);
            free(cut);
        }
    }
    vionet_hash_key_free(key);
}

/* A first part either gives the flow of the whole frame, or says that it is short of octets. */
static void check_prefix(const struct vector *v, unsigned dialect, const VionetHashKey *key,
                         size_t len)
{
    const unsigned tunnels = vionet_dialect_tunnels(row_of(dialect), row_of(dialect)->all_types);
    uint8_t *prefix = exact_copy(v->frame, len);
    struct result found;
    VionetFlow flow;

    vionet_dissect(prefix, len, tunnels, &flow);
    found = by_flow(dialect, key, ALL_HASH_TYPES, &flow);
    if (!flow.short_of_octets) {
        assert_result(v->name, dialect, &found, &v->expected[dialect]);
    }
    free(prefix);
}

static void test_prefixes(void)
{
    VionetHashKey *key = new_suite_key();

    for (unsigned i = 0; i < vectors->len; i += stride(2)) {
        const struct vector *v = vector_at(i);

        for (size_t len = 0; len <= v->len; len++) {
            for (unsigned dialect = 0; dialect < N_DIALECTS; dialect++) {
                check_prefix(v, dialect, key, len);
            }
        }
    }
    vionet_hash_key_free(key);
}

/* Two pieces, each a block of its own, cut at every octet. */
static void test_two_pieces(const void *data)
{
    const unsigned dialect = GPOINTER_TO_UINT(data);
    struct machine *machine = new_hashing_machine(dialect);

    for (unsigned i = dialect; i < vectors->len; i += stride(23)) {
        const struct vector *v = vector_at(i);

        for (size_t cut = 0; cut <= v->len; cut++) {
            struct iovec pieces[2] = {
                {exact_copy(v->frame, cut), cut},
                {exact_copy(v->frame + cut, v->len - cut), v->len - cut},
            };

            check_delivery(machine, dialect, v, pieces, 2);
            free(pieces[0].iov_base);
            free(pieces[1].iov_base);
        }
    }
    machine_finish(machine);
}

/* Pieces of one, two, three, ... octets each, with empty ones between them. */
static void test_many_pieces(const void *data)
{
    const unsigned dialect = GPOINTER_TO_UINT(data);
    struct machine *machine = new_hashing_machine(dialect);
    struct iovec pieces[2 * 512];

    for (unsigned i = 0; i < vectors->len; i += stride(5)) {
        const struct vector *v = vector_at(i);
        const size_t step = 1 + i % 31;
        unsigned n = 0;

        for (size_t at = 0; at < v->len; at += step) {
            pieces[n++] = (struct iovec){v->frame + at, 0};
            pieces[n++] = (struct iovec){v->frame + at, MIN(step, v->len - at)};
        }
        check_delivery(machine, dialect, v, pieces, n);
    }
    machine_finish(machine);
}

/* ---- captures ---- */

/* The packets of all captures, each in a block of its own. */
static GPtrArray *read_captures(void)
{
    GPtrArray *packets = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    char *folder = path_of("captures");
    GError *error = NULL;
    GDir *dir = g_dir_open(folder, 0, &error);
    const char *name;

    g_assert_no_error(error);
    while ((name = g_dir_read_name(dir)) != NULL) {
        char *path = g_build_filename(folder, name, NULL);
        gsize size = 0;
        char *octets = NULL;

        if (g_str_has_suffix(name, ".pcap")) {
            g_file_get_contents(path, &octets, &size, &error);
            g_assert_no_error(error);
        }
        for (gsize at = 24; at + 16 <= size;) { /* classic pcap, little-endian */
            uint32_t len;

            memcpy(&len, octets + at + 8, sizeof(len));
            len = GUINT32_FROM_LE(len);
            g_assert_cmpuint(len, <=, size - at - 16);
            g_ptr_array_add(packets, g_bytes_new(octets + at + 16, len));
            at += 16 + len;
        }
        g_free(octets);
        g_free(path);
    }
    g_dir_close(dir);
    g_free(folder);
    return packets;
}

static void mutate(GRand *random, uint8_t *octets, size_t len)
{
    for (int n = g_rand_int_range(random, 1, 5); n > 0 && len > 12; n--) {
        uint8_t *at = &octets[g_rand_int_range(random, 12, (gint32)len)];

        switch (g_rand_int_range(random, 0, 4)) {
        case 0:
            *at = (uint8_t)g_rand_int(random);
            break;
        case 1:
            *at ^= (uint8_t)(1u << g_rand_int_range(random, 0, 8));
            break;
        case 2:
            *at = (uint8_t)(*at + g_rand_int_range(random, -4, 5));
            break;
        default: /* a number that means something somewhere */
            *at = (const uint8_t[]){
                0, 4, 6, 17, 43, 44, 47, 51, 60, 0x45, 0x60, 0xff}[g_rand_int_range(random, 0, 12)];
            break;
        }
    }
}

static void test_mutated_captures(const void *data)
{
    const unsigned dialect = GPOINTER_TO_UINT(data);
    const unsigned rounds = g_test_slow() ? 200000 : 10000;
    const guint32 seed = g_test_slow() ? (guint32)g_test_rand_int_range(0, G_MAXINT32) : dialect;
    GRand *random = g_rand_new_with_seed(seed);
    GPtrArray *packets = read_captures();
    VionetHashKey *key = new_suite_key();

    g_test_message("seed %u", seed);
    g_assert_cmpuint(packets->len, >=, 2000);
    for (unsigned i = 0; i < rounds; i++) {
        gsize len;
        const uint8_t *octets = g_bytes_get_data(packets->pdata[i % packets->len], &len);
        const uint32_t hash_types = g_rand_int(random) & ALL_HASH_TYPES;
        const uint32_t types = g_rand_int(random) & row_of(dialect)->all_types;
        struct result found, expected;
        uint8_t *mutant;

        len -= g_rand_boolean(random) && len ? (gsize)g_rand_int_range(random, 0, (gint32)len) : 0;
        mutant = exact_copy(octets, len);
        mutate(random, mutant, len);
        found = by_library(dialect, key, hash_types, types, mutant, len);
        expected = by_reference(dialect, hash_types, types, mutant, len);
        assert_result("mutant", dialect, &found, &expected);
        free(mutant);
    }
    vionet_hash_key_free(key);
    g_ptr_array_unref(packets);
    g_rand_free(random);
}

static void add_for_each(const char *path, GTestDataFunc function, unsigned first)
{
    for (unsigned dialect = first; dialect < N_DIALECTS; dialect++) {
        char *whole = g_strdup_printf("/vectors/%s/%s", dialects[dialect].name, path);

        g_test_add_data_func(whole, GUINT_TO_POINTER(dialect), function);
        g_free(whole);
    }
}

int main(int argc, char **argv)
{
    int failed;

    g_test_init(&argc, &argv, NULL);
    read_vectors();
    g_test_add_func("/vectors/toeplitz", test_toeplitz);
    add_for_each("frames-by-library", test_library, OFF);
    add_for_each("frames-by-reference", test_reference, OFF);
    add_for_each("frames-with-each-tunnel-type-alone", test_each_type_alone, DRAFT_V7);
    add_for_each("H-04-frames-through-device", test_device, OFF);
    add_for_each("H-04-bursts-through-device", test_device_bursts, OFF);
    g_test_add_func("/vectors/P-11-cut-at-every-octet", test_cut);
    g_test_add_func("/vectors/P-11-first-part-is-enough-or-says-so", test_prefixes);
    add_for_each("P-11-H-04-two-pieces-through-device", test_two_pieces, OFF);
    add_for_each("P-11-H-04-many-pieces-through-device", test_many_pieces, OFF);
    add_for_each("mutated-captures-like-reference", test_mutated_captures, OFF);
    failed = g_test_run();
    g_ptr_array_unref(vectors);
    return failed;
}
