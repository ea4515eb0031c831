/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Expectations: what holds, how each way of not holding is named, and which files are refused. The
 * lines of ndjson here are written by hand after the contract of vionet-replay, not by its code.
 */
#include "expect.h"

#include "json.h"
#include "pcapng_file.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define VXLAN 2

/* settings.c asks for the device's limits, which nothing here depends on. */
const struct session_limits *session_limits(void)
{
    static const struct session_limits limits = {1, 1, 1};

    return &limits;
}

static const char *const one_capture[] = {"one.pcap"};
static const char *const two_captures[] = {"one.pcap", "two.pcap"};

static const struct replay_result tcp = {
    .queue = 2, .hashed = true, .hash = 0x51ccc178, .report = 2, .tunnel = VXLAN};
static const struct replay_result no_hash = {.queue = 0};
static const struct replay_result runt = {.dropped = true, .reason = "runt"};

static const char tcp_line[] = "{\"packet\": 1, \"length\": 98, \"queue\": 2, "
                               "\"hash\": \"0x51ccc178\", \"report\": \"TCPv4\"}\n";

static void collect(const char *line, void *opaque)
{
    g_ptr_array_add(opaque, g_strdup(line));
}

static struct expectations *load(const char *text, gssize len, const char *const *captures,
                                 unsigned n, GPtrArray *told, GError **error)
{
    struct expectations *expectations;
    g_autofree char *name = NULL;
    int fd = g_file_open_tmp("vionet-replay-XXXXXX", &name, NULL);

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    g_assert_true(g_file_set_contents(name, text, len, NULL));
    expectations = expect_load(name, captures, n, collect, told, error);
    g_unlink(name);
    return expectations;
}

/* Expectations of one capture, which must be usable. */
static struct expectations *load_text(const char *text, GPtrArray *told)
{
    g_autoptr(GError) error = NULL;
    struct expectations *expectations = load(text, -1, one_capture, 1, told, &error);

    g_assert_no_error(error);
    g_assert_nonnull(expectations);
    return expectations;
}

static void finish(struct expectations *expectations, GPtrArray *told)
{
    expect_finish(expectations);
    g_assert_cmpuint(expect_mismatches(expectations), ==, told->len);
    expect_free(expectations);
}

static void assert_told(GPtrArray *told, unsigned i, const char *line)
{
    g_assert_cmpuint(i, <, told->len);
    g_assert_cmpstr(g_ptr_array_index(told, i), ==, line);
}

static void test_line_of_the_contract_holds(void)
{
    g_autoptr(GPtrArray) told = g_ptr_array_new_with_free_func(g_free);
    struct expectations *e = load_text(tcp_line, told);

    expect_check(e, 0, 1, 98, &tcp, false);
    finish(e, told);
    g_assert_cmpuint(told->len, ==, 0);
}

static void test_each_field_is_named(void)
{
    g_autoptr(GPtrArray) told = g_ptr_array_new_with_free_func(g_free);
    struct expectations *e =
        load_text("{\"packet\": 1, \"length\": 99, \"queue\": 3, \"hash\": \"0x00000001\", "
                  "\"report\": \"UDPv6_EX\", \"tunnel\": \"GRE\"}\n",
                  told);

    expect_check(e, 0, 1, 98, &tcp, true);
    finish(e, told);
    g_assert_cmpuint(told->len, ==, 5);
    assert_told(told, 0, "packet 1: length: expected 99, found 98");
    assert_told(told, 1, "packet 1: queue: expected 3, found 2");
    assert_told(told, 2, "packet 1: hash: expected 0x00000001, found 0x51ccc178");
    assert_told(told, 3, "packet 1: report: expected UDPv6_EX, found TCPv4");
    assert_told(told, 4, "packet 1: tunnel: expected GRE, found VXLAN");
}

static void test_tunnel_where_there_is_none_is_named(void)
{
    g_autoptr(GPtrArray) told = g_ptr_array_new_with_free_func(g_free);
    struct expectations *e = load_text("{\"packet\": 1, \"tunnel\": \"VXLAN\"}", told);

    expect_check(e, 0, 1, 98, &tcp, false);
    finish(e, told);
    assert_told(told, 0, "packet 1: tunnel: expected VXLAN, found no such field");
}

static void test_null_is_not_a_hash(void)
{
    g_autoptr(GPtrArray) told = g_ptr_array_new_with_free_func(g_free);
    struct expectations *e = load_text("{\"packet\": 1, \"hash\": null}\n"
                                       "{\"packet\": 2, \"hash\": \"0x00000000\"}\n"
                                       "{\"packet\": 3, \"hash\": null}\n",
                                       told);

    expect_check(e, 0, 1, 98, &tcp, false);
    expect_check(e, 0, 2, 98, &no_hash, false);
    expect_check(e, 0, 3, 98, &no_hash, false);
    finish(e, told);
    g_assert_cmpuint(told->len, ==, 2);
    assert_told(told, 0, "packet 1: hash: expected null, found 0x51ccc178");
    assert_told(told, 1, "packet 2: hash: expected 0x00000000, found null");
}

static void test_missing_and_surplus_packets_are_named(void)
{
    g_autoptr(GPtrArray) told = g_ptr_array_new_with_free_func(g_free);
    struct expectations *e =
        load_text("{\"packet\": 2}\n\n{\"packet\": 1}\r\n{\"packet\": 5}\n{\"packet\": 9}", told);

    for (unsigned packet = 2; packet <= 6; packet++) {
        expect_check(e, 0, packet, 98, &tcp, false);
    }
    finish(e, told);
    g_assert_cmpuint(told->len, ==, 5);
    assert_told(told, 0, "packet 1: packet: expected one, found none");
    assert_told(told, 1, "packet 3: packet: expected none, found one");
    assert_told(told, 2, "packet 4: packet: expected none, found one");
    assert_told(told, 3, "packet 6: packet: expected none, found one");
    assert_told(told, 4, "packet 9: packet: expected one, found none");
}

static void test_drops_are_compared(void)
{
    g_autoptr(GPtrArray) told = g_ptr_array_new_with_free_func(g_free);
    struct expectations *e = load_text("{\"packet\": 1, \"length\": 9, \"dropped\": \"runt\"}\n"
                                       "{\"packet\": 2, \"dropped\": \"oversize\"}\n"
                                       "{\"packet\": 3, \"dropped\": \"runt\"}\n"
                                       "{\"packet\": 4, \"queue\": 0}\n"
                                       "{\"packet\": 5, \"length\": 9}\n",
                                       told);

    expect_check(e, 0, 1, 9, &runt, false);
    expect_check(e, 0, 2, 9, &runt, false);
    expect_check(e, 0, 3, 98, &tcp, false);
    expect_check(e, 0, 4, 9, &runt, false);
    expect_check(e, 0, 5, 9, &runt, false);
    finish(e, told);
    g_assert_cmpuint(told->len, ==, 3);
    assert_told(told, 0, "packet 2: dropped: expected oversize, found runt");
    assert_told(told, 1, "packet 3: dropped: expected runt, found a delivered packet");
    assert_told(told, 2, "packet 4: dropped: expected a delivered packet, found runt");
}

static void test_captures_are_told_apart(void)
{
    static const char text[] = "{\"capture\": \"one.pcap\", \"packet\": 1, \"queue\": 2}\n"
                               "{\"capture\": \"two.pcap\", \"packet\": 1, \"queue\": 0}\n"
                               "{\"capture\": \"three.pcap\", \"packet\": 1}\n"
                               "{\"capture\": \"three.pcap\", \"packet\": 2}\n";
    g_autoptr(GPtrArray) told = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;
    struct expectations *e = load(text, -1, two_captures, 2, told, &error);

    g_assert_no_error(error);
    expect_check(e, 0, 1, 98, &tcp, false);
    expect_check(e, 1, 1, 98, &tcp, false);
    finish(e, told);
    g_assert_cmpuint(told->len, ==, 3);
    assert_told(told, 0, "two.pcap: packet 1: queue: expected 0, found 2");
    assert_told(told, 1, "three.pcap: packet 1: packet: expected one, found none");
    assert_told(told, 2, "three.pcap: packet 2: packet: expected one, found none");
}

static void test_capture_named_twice_is_two_captures(void)
{
    static const char *const captures[] = {"one.pcap", "one.pcap"};
    static const char text[] = "{\"capture\": \"one.pcap\", \"packet\": 1, \"queue\": 2}\n"
                               "{\"capture\": \"one.pcap\", \"packet\": 2, \"queue\": 2}\n"
                               "{\"capture\": \"one.pcap\", \"packet\": 1, \"queue\": 0}\n";
    g_autoptr(GPtrArray) told = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;
    struct expectations *e = load(text, -1, captures, 2, told, &error);

    g_assert_no_error(error);
    expect_check(e, 0, 1, 98, &tcp, false);
    expect_check(e, 0, 2, 98, &tcp, false);
    expect_check(e, 1, 1, 98, &no_hash, false);
    finish(e, told);
    g_assert_cmpuint(told->len, ==, 0);
}

static void test_any_file_name_survives_json(void)
{
    static const char *const names[] = {"plain", "a \"quoted\\\" name/\t\n\x01\x7f",
                                        "\xc3\xa9\xf0\x9f\x98\x80", "\xff\x80\xc3", "\xed\xa0\x80"};

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        const char *const captures[] = {"other", names[i]};
        g_autoptr(GPtrArray) told = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GString) text = g_string_new("{\"packet\": 1, \"capture\": ");
        g_autoptr(GError) error = NULL;
        struct expectations *e;

        json_append_string(text, names[i]);
        g_string_append(text, "}");
        g_assert_true(g_utf8_validate(text->str, -1, NULL));
        g_assert_null(strchr(text->str, '\n'));
        e = load(text->str, -1, captures, 2, told, &error);
        g_assert_no_error(error);
        expect_check(e, 1, 1, 98, &tcp, false);
        finish(e, told);
        g_assert_cmpuint(told->len, ==, 0);
    }
}

static void test_octets_that_are_not_utf8_are_written_as_python_does(void)
{
    g_autoptr(GString) text = g_string_new(NULL);

    json_append_string(text, "\xff\xc3\xa9\"/\x1f");
    g_assert_cmpstr(text->str, ==, "\"\\udcff\xc3\xa9\\\"/\\u001f\"");
}

/* ---- Files that are refused ---- */

struct refused {
    const char *name;
    const char *text;
    const char *complaint;
};

static const struct refused refused_files[] = {
    {"not-json", "hello", "line 1: expected '{'"},
    {"second-line", "{\"packet\": 1}\nhello", "line 2: expected '{'"},
    {"no-packet", "{\"queue\": 1}", "no \"packet\""},
    {"packet-0", "{\"packet\": 0}", "a number from 1"},
    {"packet-as-text", "{\"packet\": \"1\"}", "a number from 1"},
    {"packet-twice", "{\"packet\": 1}\n{\"packet\": 1}", "packet 1 twice"},
    {"key-twice", "{\"packet\": 1, \"packet\": 1}", "\"packet\" twice"},
    {"unknown-key", "{\"packet\": 1, \"colour\": 2}", "no key \"colour\""},
    {"negative", "{\"packet\": -1}", "expected a string"},
    {"fraction", "{\"packet\": 1.5}", "whole number"},
    {"exponent", "{\"packet\": 1e3}", "whole number"},
    {"leading-zero", "{\"packet\": 01}", "whole number"},
    {"too-large", "{\"packet\": 18446744073709551616}", "whole number"},
    {"queue-too-large", "{\"packet\": 1, \"queue\": 4294967296}", "the number of a queue"},
    {"true", "{\"packet\": true}", "expected a string"},
    {"array", "{\"packet\": [1]}", "expected a string"},
    {"comma-at-the-end", "{\"packet\": 1,}", "expected '\"'"},
    {"two-objects", "{\"packet\": 1}{\"packet\": 2}", "something follows"},
    {"unfinished", "{\"packet\": 1", "expected '}'"},
    {"unfinished-string", "{\"packet\": 1, \"report\": \"TC", "without an end"},
    {"unfinished-escape", "{\"packet\": 1, \"report\": \"\\", "unknown escape"},
    {"unfinished-unicode", "{\"packet\": 1, \"report\": \"\\u00", "four hexadecimal digits"},
    {"nul-in-a-string", "{\"packet\": 1, \"dropped\": \"\\u0000\"}", "not 0000"},
    {"half-a-pair", "{\"packet\": 1, \"dropped\": \"\\ud83d\"}", "surrogate"},
    {"tab-in-a-string", "{\"packet\": 1, \"dropped\": \"\t\"}", "control character"},
    {"not-utf8", "{\"packet\": 1, \"dropped\": \"\xff\"}", "not UTF-8"},
    {"hash-without-0x", "{\"packet\": 1, \"hash\": \"51ccc178\"}", "null or a string such as"},
    {"hash-too-short", "{\"packet\": 1, \"hash\": \"0x51ccc17\"}", "null or a string such as"},
    {"hash-with-a-sign", "{\"packet\": 1, \"hash\": \"0x-1ccc178\"}", "null or a string such as"},
    {"hash-as-number", "{\"packet\": 1, \"hash\": 1}", "null or a string such as"},
    {"report-in-small-letters", "{\"packet\": 1, \"report\": \"tcpv4\"}", "name of a report"},
    {"tunnel-of-no-report", "{\"packet\": 1, \"tunnel\": \"NVGRE\"}", "\"GENEVE\""},
    {"dropped-with-a-queue", "{\"packet\": 1, \"queue\": 1, \"dropped\": \"runt\"}", "length only"},
    {"pcap", "\xd4\xc3\xb2\xa1", "cannot carry hashes"},
    {"pcapng-broken", "\x0a\x0d\x0d\x0a", "pcapng block at offset 0: truncated"},
};

static void test_refused_file(gconstpointer data)
{
    const struct refused *refused = data;
    g_autoptr(GError) error = NULL;

    g_assert_null(load(refused->text, -1, one_capture, 1, NULL, &error));
    g_assert_nonnull(error);
    g_assert_nonnull(strstr(error->message, refused->complaint));
    g_assert_null(strchr(error->message, '\n'));
}

static void test_line_without_capture_is_refused_among_several(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(load("{\"packet\": 1}", -1, two_captures, 2, NULL, &error));
    g_assert_nonnull(strstr(error->message, "no \"capture\""));
}

static void test_endless_line_is_refused(void)
{
    g_autofree char *text = g_strnfill(1000000, ' ');
    g_autoptr(GError) error = NULL;

    g_assert_null(load(text, -1, one_capture, 1, NULL, &error));
    g_assert_nonnull(strstr(error->message, "longer than"));
}

static void test_nul_octet_is_refused(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(load("{\"packet\": 1}\0", 14, one_capture, 1, NULL, &error));
    g_assert_nonnull(strstr(error->message, "not a text"));
}

/* ---- pcapng ---- */

/* A pcapng file of two packets on the first interface and one on the second, as text. */
static char *pcapng_sample(bool marked, size_t *size)
{
    struct pcapng_packet packet = {.octets = (const uint8_t *)"x", .length = 1};
    char *text = NULL;
    FILE *file = open_memstream(&text, size);

    pcapng_write_section(file, "test", NULL);
    pcapng_write_interface(file, 65535, 6, "one");
    pcapng_write_interface(file, 65535, 6, "two");
    pcapng_write_packet(file, &packet);
    packet.has_queue = marked;
    pcapng_write_packet(file, &packet);
    packet.interface = 1;
    packet.queue = 2;
    packet.has_hash = marked;
    packet.hash = 0x51ccc178;
    pcapng_write_packet(file, &packet);
    fclose(file);
    return text;
}

static void test_pcapng_of_one_capture(void)
{
    g_autoptr(GPtrArray) told = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;
    size_t size;
    char *text = pcapng_sample(true, &size);
    struct expectations *e = load(text, (gssize)size, one_capture, 1, told, &error);

    g_assert_no_error(error);
    expect_check(e, 0, 1, 1, &runt, false); /* not marked: anything but another length holds */
    expect_check(e, 0, 2, 1, &tcp, false);
    expect_check(e, 0, 3, 2, &tcp, false);
    finish(e, told);
    g_assert_cmpuint(told->len, ==, 3);
    assert_told(told, 0, "packet 2: queue: expected 0, found 2");
    assert_told(told, 1, "packet 2: hash: expected null, found 0x51ccc178");
    assert_told(told, 2, "packet 3: length: expected 1, found 2");
    free(text);
}

static void test_pcapng_interfaces_are_captures(void)
{
    g_autoptr(GPtrArray) told = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;
    size_t size;
    char *text = pcapng_sample(true, &size);
    struct expectations *e = load(text, (gssize)size, two_captures, 2, told, &error);

    g_assert_no_error(error);
    expect_check(e, 0, 1, 1, &tcp, false);
    expect_check(e, 0, 2, 1, &no_hash, false);
    expect_check(e, 1, 1, 1, &tcp, false);
    finish(e, told);
    g_assert_cmpuint(told->len, ==, 0);
    free(text);
}

static void test_pcapng_without_marks_is_refused(void)
{
    g_autoptr(GError) error = NULL;
    size_t size;
    char *text = pcapng_sample(false, &size);

    g_assert_null(load(text, (gssize)size, one_capture, 1, NULL, &error));
    g_assert_nonnull(strstr(error->message, "no packet carries"));
    free(text);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/replay/expect/line-holds", test_line_of_the_contract_holds);
    g_test_add_func("/replay/expect/each-field-is-named", test_each_field_is_named);
    g_test_add_func("/replay/expect/tunnel-without-field",
                    test_tunnel_where_there_is_none_is_named);
    g_test_add_func("/replay/expect/null-is-not-a-hash", test_null_is_not_a_hash);
    g_test_add_func("/replay/expect/missing-and-surplus",
                    test_missing_and_surplus_packets_are_named);
    g_test_add_func("/replay/expect/drops", test_drops_are_compared);
    g_test_add_func("/replay/expect/captures", test_captures_are_told_apart);
    g_test_add_func("/replay/expect/same-capture-twice", test_capture_named_twice_is_two_captures);
    g_test_add_func("/replay/expect/any-file-name", test_any_file_name_survives_json);
    g_test_add_func("/replay/expect/not-utf8-as-python",
                    test_octets_that_are_not_utf8_are_written_as_python_does);
    for (unsigned i = 0; i < G_N_ELEMENTS(refused_files); i++) {
        g_autofree char *path = g_strconcat("/replay/expect/refused/", refused_files[i].name, NULL);

        g_test_add_data_func(path, &refused_files[i], test_refused_file);
    }
    g_test_add_func("/replay/expect/refused/no-capture",
                    test_line_without_capture_is_refused_among_several);
    g_test_add_func("/replay/expect/refused/endless-line", test_endless_line_is_refused);
    g_test_add_func("/replay/expect/refused/nul-octet", test_nul_octet_is_refused);
    g_test_add_func("/replay/expect/pcapng/one-capture", test_pcapng_of_one_capture);
    g_test_add_func("/replay/expect/pcapng/interfaces", test_pcapng_interfaces_are_captures);
    g_test_add_func("/replay/expect/pcapng/without-marks", test_pcapng_without_marks_is_refused);
    return g_test_run();
}
