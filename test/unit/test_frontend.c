/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The frontend (device/): option lists, properties one by one and together, every error sentence,
 * and the life cycle of a frontend. Frames are test_backends.c's.
 */
#include <string.h>

#include <glib.h>

#include <vionet/spec.h>

#include "frontend.h"
#include "options.h"
#include "properties.h"
#include "property.h"

/* ---- Option lists ---- */

static void assert_options(const char *text, const char *expected)
{
    GPtrArray *options = options_parse(text, NULL);
    GString *found = g_string_new(NULL);

    g_assert_nonnull(options);
    for (guint i = 0; i < options->len; i++) {
        const struct option *option = g_ptr_array_index(options, i);

        g_string_append_printf(found, "<%s|%s>", option->name,
                               option->value ? option->value : "(none)");
    }
    g_assert_cmpstr(found->str, ==, expected);
    g_string_free(found, TRUE);
    g_ptr_array_unref(options);
}

static void test_options(void)
{
    assert_options("", "");
    assert_options("a", "<a|(none)>");
    assert_options("a=", "<a|>");
    assert_options("a=1,b=2", "<a|1><b|2>");
    assert_options("pcap,in=a,,b", "<pcap|(none)><in|a,b>");
    assert_options("in=a,,", "<in|a,>");
    assert_options("in=,,,,,b=c=d", "<in|,,><b|c=d>");
    assert_options("in=x,,,b", "<in|x,><b|(none)>");
}

static void test_options_without_a_name(void)
{
    static const char *const texts[] = {",", "a=1,", ",a=1", "=1", "a,=2"};

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        GError *error = NULL;
        char *expected = g_strdup_printf("an option without a name in \"%s\"", texts[i]);

        g_assert_null(options_parse(texts[i], &error));
        g_assert_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG);
        g_assert_cmpstr(error->message, ==, expected);
        g_error_free(error);
        g_free(expected);
    }
}

static void test_nearest_name(void)
{
    static const char *const names[] = {
        "a-name-that-is-longer-than-any-that-is-guessed-at", "queues", "rss", "host_mtu", NULL,
    };
    static const char *const none[] = {NULL};

    g_assert_cmpstr(options_nearest("queus", names), ==, "queues");
    g_assert_cmpstr(options_nearest("quueues", names), ==, "queues");
    g_assert_cmpstr(options_nearest("rsx", names), ==, "rss");
    g_assert_cmpstr(options_nearest("host-mtu", names), ==, "host_mtu");
    g_assert_cmpstr(options_nearest("rss", names), ==, "rss");
    g_assert_null(options_nearest("x", none));
    g_assert_null(options_nearest("bandwidth", names));
    g_assert_null(options_nearest("a-name-that-is-longer-than-any-that-is-guessed-at", names));
}

static void test_numbers(void)
{
    static const char *const wrong[] = {"",   " 1",   "1 ",  "+1",    "-1",
                                        "1x", "x",    "0x",  "0x ",   "0xg",
                                        "11", "0x0b", "1.5", "0x0x1", "99999999999999999999"};
    uint64_t number = 77;

    g_assert_true(options_number("10", 2, 10, &number) && number == 10);
    g_assert_true(options_number("0xA", 2, 10, &number) && number == 10);
    g_assert_true(options_number("0X2", 2, 10, &number) && number == 2);
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        number = 77;
        g_assert_false(options_number(wrong[i], 1, 10, &number));
        g_assert_cmpuint(number, ==, 77);
    }
}

/* ---- Properties ---- */

static VionetProperties parse(const char *text)
{
    VionetProperties properties;
    GError *error = NULL;

    properties_parse(text, &properties, &error);
    g_assert_no_error(error);
    return properties;
}

static bool has(const VionetProperties *properties, unsigned bit)
{
    return vionet_features_test(properties->config.features, bit);
}

static void assert_refused(const char *text, const char *sentence)
{
    VionetProperties properties;
    GError *error = NULL;

    g_assert_false(properties_parse(text, &properties, &error));
    g_assert_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG);
    g_assert_cmpstr(error->message, ==, sentence);
    g_assert_null(strchr(error->message, '\n'));
    g_error_free(error);
    g_assert_false(properties_parse(text, &properties, NULL));
}

static void test_defaults(void)
{
    const VionetProperties properties = parse("");
    VionetConfig config;
    VionetPciConfig pci;

    vionet_config_init(&config);
    vionet_pci_config_init(&pci);
    g_assert_cmpmem(properties.config.features, sizeof(config.features), config.features,
                    sizeof(config.features));
    g_assert_true(properties.config.dialect == config.dialect);
    g_assert_cmpmem(properties.config.mac, 6, config.mac, 6);
    g_assert_cmpuint(properties.config.max_pairs, ==, config.max_pairs);
    g_assert_cmpuint(properties.config.hash_types, ==, config.hash_types);
    g_assert_cmpuint(properties.pci.n_vectors, ==, pci.n_vectors);
    g_assert_cmpuint(properties.pci.notify_multiplier, ==, pci.notify_multiplier);
    g_assert_false(properties.pci.notify_data_valid);
    g_assert_cmpuint(properties.asked[0] | properties.asked[1], ==, 0);
}

static void test_as_in_the_manual(void)
{
    const VionetProperties properties =
        parse("mac=52:54:00:ab:cd:ef,mq=on,queues=4,rss=on,hash=on,hash-tunnel=draft-v10,"
              "notify-data=0x1af4");
    static const uint8_t mac[6] = {0x52, 0x54, 0x00, 0xab, 0xcd, 0xef};

    g_assert_cmpmem(properties.config.mac, 6, mac, 6);
    g_assert_cmpuint(properties.config.max_pairs, ==, 4);
    g_assert_true(has(&properties, VIRTIO_NET_F_MQ));
    g_assert_true(has(&properties, VIRTIO_NET_F_RSS));
    g_assert_true(has(&properties, VIRTIO_NET_F_HASH_REPORT));
    g_assert_true(has(&properties, VIRTIO_NET_F_HASH_TUNNEL_DRAFT));
    g_assert_false(has(&properties, VIRTIO_NET_F_HASH_TUNNEL));
    g_assert_true(has(&properties, VIRTIO_F_NOTIFICATION_DATA));
    g_assert_cmpstr(properties.config.dialect->name, ==, "draft-v10");
    g_assert_true(properties.pci.notify_data_valid);
    g_assert_cmphex(properties.pci.notify_data, ==, 0x1af4);
}

static uint64_t number_at(const void *at, size_t width)
{
    switch (width) {
    case 1:
        return *(const uint8_t *)at;
    case 2:
        return *(const uint16_t *)at;
    default:
        g_assert_cmpuint(width, ==, 4);
        return *(const uint32_t *)at;
    }
}

/* Each property that is a number, with values at its bounds and past them. */
static void test_numeric_properties(void)
{
    static const struct {
        const char *name;
        const char *low;
        uint64_t low_value;
        const char *high;
        uint64_t high_value;
        const char *wrong[3];
        const char *expected;
        size_t offset;
        size_t width;
    } rows[] = {
    /* clang-format off */
#define MEMBER(m) offsetof(VionetProperties, m), sizeof(((VionetProperties *)NULL)->m)
        {"queues", "1", 1, "256", 256, {"0", "257", "many"}, "1 to 256", MEMBER(config.max_pairs)},
        {"rx_queue_size", "2", 2, "32768", 32768, {"1", "65536", "100"},
         "a power of two from 2 to 32768", MEMBER(config.receive_queue_size)},
        {"tx_queue_size", "2", 2, "32768", 32768, {"0", "32769", "3"},
         "a power of two from 2 to 32768", MEMBER(config.transmit_queue_size)},
        {"ctrl_queue_size", "2", 2, "32768", 32768, {"0", "-2", "6"},
         "a power of two from 2 to 32768", MEMBER(config.control_queue_size)},
        {"host_mtu", "68", 68, "65535", 65535, {"67", "65536", "1500 "}, "68 to 65535",
         MEMBER(config.mtu)},
        {"speed", "0", 0, "2147483647", 2147483647, {"2147483648", "fast", "-1"},
         "0 to 2147483647 or unknown", MEMBER(config.speed)},
        {"speed", "unknown", 0xffffffff, "10000", 10000, {"4294967295", "", "1G"},
         "0 to 2147483647 or unknown", MEMBER(config.speed)},
        {"duplex", "half", 0, "full", 1, {"0", "1", "both"}, "half or full or unknown",
         MEMBER(config.duplex)},
        {"duplex", "unknown", 0xff, "full", 1, {"", "Full", "255"}, "half or full or unknown",
         MEMBER(config.duplex)},
        {"max-frame", "1514", 1514, "65550", 65550, {"1513", "65551", "64k"}, "1514 to 65550",
         MEMBER(config.max_frame)},
        {"rss-key-size", "40", 40, "255", 255, {"39", "256", "0"}, "40 to 255",
         MEMBER(config.rss_max_key_size)},
        {"rss-table", "128", 128, "32768", 32768, {"64", "129", "65536"},
         "a power of two from 128 to 32768", MEMBER(config.rss_max_table)},
        {"rss-contexts", "1", 1, "1024", 1024, {"0", "1025", "many"}, "1 to 1024",
         MEMBER(config.max_rss_contexts)},
        {"vectors", "0", 0, "2048", 2048, {"2049", "65535", "none"}, "0 to 2048 or auto",
         MEMBER(pci.n_vectors)},
        {"vectors", "auto", 0xffff, "3", 3, {"0xffff", "Auto", "1,,2"}, "0 to 2048 or auto",
         MEMBER(pci.n_vectors)},
        {"notify-multiplier", "2", 2, "65536", 65536, {"1", "6", "131072"},
         "a power of two from 2 to 65536 or 0", MEMBER(pci.notify_multiplier)},
        {"notify-multiplier", "0", 0, "4", 4, {"0x3", "page", ""},
         "a power of two from 2 to 65536 or 0", MEMBER(pci.notify_multiplier)},
        {"notify-data", "0", 0, "0xffff", 0xffff, {"0x10000", "on", "0x"}, "0x0000 to 0xffff",
         MEMBER(pci.notify_data)},
        {"notif-config-base", "0", 0, "65535", 0xffff, {"65536", "off", "0xx"}, "0x0000 to 0xffff",
         MEMBER(config.notif_config_base)},
        {"subsystem-vendor", "0", 0, "0xFFFF", 0xffff, {"0x1ffff", "red hat", "1af4"},
         "0x0000 to 0xffff", MEMBER(pci.subsystem_vendor)},
        {"subsystem-device", "0x40", 0x40, "0xffff", 0xffff, {"0x3f", "1", "0x10000"},
         "0x0040 to 0xffff", MEMBER(pci.subsystem_device)},
#undef MEMBER
        /* clang-format on */
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const char *const good[2] = {rows[i].low, rows[i].high};
        const uint64_t values[2] = {rows[i].low_value, rows[i].high_value};

        for (unsigned j = 0; j < 2; j++) {
            char *text = g_strdup_printf("%s=%s", rows[i].name, good[j]);
            const VionetProperties properties = parse(text);
            const char *member = (const char *)&properties + rows[i].offset;

            g_assert_cmpuint(number_at(member, rows[i].width), ==, values[j]);
            g_free(text);
        }
        for (unsigned j = 0; j < 3; j++) {
            const char *bad = rows[i].wrong[j];
            char *text = g_strdup_printf("%s=%s", rows[i].name, bad);
            char *sentence =
                g_strdup_printf("property %s=%s: expected %s", rows[i].name,
                                strcmp(bad, "1,,2") == 0 ? "1,2" : bad, rows[i].expected);

            assert_refused(text, sentence);
            g_free(sentence);
            g_free(text);
        }
    }
}

static void test_what_properties_turn_on(void)
{
    static const struct {
        const char *text;
        int on;
        int off; /* and stays off */
    } rows[] = {
        {"mac=02:00:00:00:00:01", VIRTIO_NET_F_MAC, -1},
        {"host_mtu=1500", VIRTIO_NET_F_MTU, -1},
        {"speed=1000", VIRTIO_NET_F_SPEED_DUPLEX, -1},
        {"duplex=full", VIRTIO_NET_F_SPEED_DUPLEX, VIRTIO_NET_F_MTU},
        {"queues=2", VIRTIO_NET_F_MQ, VIRTIO_NET_F_RSS},
        {"queues=2,mq=off", VIRTIO_NET_F_RSS, VIRTIO_NET_F_MQ},
        {"mq=off,queues=2", VIRTIO_NET_F_RSS, VIRTIO_NET_F_MQ},
        {"queues=2,rss=off", VIRTIO_NET_F_MQ, VIRTIO_NET_F_RSS},
        {"queues=2,rss=on", VIRTIO_NET_F_MQ, -1},
        {"queues=2,rss=on,mq=off", VIRTIO_NET_F_RSS, VIRTIO_NET_F_MQ},
        {"queues=1", VIRTIO_NET_F_STATUS, VIRTIO_NET_F_MQ},
        {"queues=1,mq=off,rss=off", VIRTIO_NET_F_STATUS, VIRTIO_NET_F_MQ},
        {"hash-tunnel=ratified", VIRTIO_NET_F_HASH_TUNNEL, VIRTIO_NET_F_HASH_TUNNEL_DRAFT},
        {"hash-tunnel=draft-v10", VIRTIO_NET_F_HASH_TUNNEL_DRAFT, VIRTIO_NET_F_HASH_TUNNEL},
        {"hash-tunnel=draft-v7", VIRTIO_NET_F_HASH_TUNNEL_DRAFT, VIRTIO_NET_F_HASH_TUNNEL},
        {"hash-tunnel=off", VIRTIO_NET_F_STATUS, VIRTIO_NET_F_HASH_TUNNEL},
        {"tunnel-types=vxlan", VIRTIO_NET_F_HASH_TUNNEL, -1},
        {"notify-data=1", VIRTIO_F_NOTIFICATION_DATA, VIRTIO_F_NOTIF_CONFIG_DATA},
        {"notif-config-base=1", VIRTIO_F_NOTIF_CONFIG_DATA, VIRTIO_F_NOTIFICATION_DATA},
        {"notif-config-base=1,notification_data=on", VIRTIO_F_NOTIFICATION_DATA, -1},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const VionetProperties properties = parse(rows[i].text);

        g_assert_true(has(&properties, (unsigned)rows[i].on));
        g_assert_true(rows[i].off < 0 || !has(&properties, (unsigned)rows[i].off));
    }
}

static void test_link_and_lenience(void)
{
    g_assert_true(parse("link=on").config.link_up);
    g_assert_false(parse("link=off").config.link_up);
    g_assert_true(parse("notify-data-lenient=on,notify-data=7").pci.notify_data_lenient);
    g_assert_false(parse("notify-data-lenient=off").pci.notify_data_lenient);
    assert_refused("link=up", "property link=up: expected on or off");
    assert_refused("notify-data-lenient=very",
                   "property notify-data-lenient=very: expected on or off");
}

/* A transitional function, by QEMU's names. */
static void test_legacy(void)
{
    g_assert_false(parse("").pci.legacy);
    g_assert_false(parse("disable-legacy=on").pci.legacy);
    g_assert_true(parse("disable-legacy=off").pci.legacy);
    g_assert_false(parse("disable-legacy=off").pci.no_modern);
    g_assert_true(parse("disable-modern=on,disable-legacy=off").pci.no_modern);
    g_assert_false(parse("disable-legacy=off").pci.legacy_big_endian);
    g_assert_true(parse("disable-legacy=off,legacy-endian=big").pci.legacy_big_endian);
    assert_refused("disable-legacy=auto", "property disable-legacy=auto: expected on or off");
    assert_refused("legacy-endian=middle", "property legacy-endian=middle: expected little or big");
    assert_refused("disable-modern=on", "property disable-modern=on contradicts disable-legacy=on");
}

static void test_mac(void)
{
    static const char *const wrong[] = {
        "",
        "52:54:00:12:34",
        "52:54:00:12:34:5",
        "52:54:00:12:34:56:78",
        "52:54:00:12:34:5g",
        "52.54.00.12.34.56",
        "53:54:00:12:34:56",
        "ff:ff:ff:ff:ff:ff",
        "00:00:00:00:00:00",
        " 2:54:00:12:34:56",
    };
    static const uint8_t mac[6] = {0x02, 0xab, 0xcd, 0xef, 0x01, 0x99};
    VionetProperties properties = parse("mac=02:AB:cd:Ef:01:99");

    g_assert_cmpmem(properties.config.mac, 6, mac, 6);
    properties = parse("mac=02-ab-cd-ef-01-99");
    g_assert_cmpmem(properties.config.mac, 6, mac, 6);
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        char *text = g_strdup_printf("mac=%s", wrong[i]);
        char *sentence = g_strdup_printf("property mac=%s: expected six octets such as "
                                         "52:54:00:12:34:56, not a group address, not all zero",
                                         wrong[i]);

        assert_refused(text, sentence);
        g_free(text);
        g_free(sentence);
    }
}

static void test_switch_words(void)
{
    static const char *const on[] = {"on", "yes", "true", "y"};
    static const char *const off[] = {"off", "no", "false", "n"};

    for (size_t i = 0; i < G_N_ELEMENTS(on); i++) {
        char *text = g_strdup_printf("rss=%s,mrg_rxbuf=%s", on[i], off[i]);
        const VionetProperties properties = parse(text);

        g_assert_true(has(&properties, VIRTIO_NET_F_RSS));
        g_assert_false(has(&properties, VIRTIO_NET_F_MRG_RXBUF));
        g_free(text);
    }
    assert_refused("rss=On", "property rss=On: expected on or off");
    assert_refused("rss=1", "property rss=1: expected on or off");
    assert_refused("rss=", "property rss=: expected on or off");
    assert_refused("mq=on,,rss=on", "property mq=on,rss=on: expected on or off");
}

/* Every feature has a property that turns it on and off, and nothing but defaults that need it. */
static void test_every_feature(void)
{
    const VionetDialect *dialect;
    const VionetFeature *feature;

    for (unsigned d = 0; (dialect = vionet_dialect_at(d)) != NULL; d++) {
        char *start = g_strdup_printf("hash-tunnel=%s", dialect->name);

        for (unsigned i = 0; (feature = vionet_feature_at(dialect, i)) != NULL; i++) {
            VionetProperties after;
            char *text;

            if ((int)feature->bit == dialect->feature || feature->bit == VIRTIO_NET_F_MTU) {
                continue; /* hash-tunnel and host_mtu */
            }
            for (unsigned on = 0; on < 2; on++) {
                VionetProperties before = parse(start);

                text = g_strdup_printf("%s,%s=%s", start, feature->property, on ? "on" : "off");
                after = parse(text);
                vionet_features_set(before.config.features, feature->bit, on);
                vionet_features_set(before.asked, feature->bit, true);
                vionet_features_settle(dialect, before.config.features, before.asked);
                g_assert_cmpmem(after.config.features, sizeof(after.config.features),
                                before.config.features, sizeof(before.config.features));
                g_assert_cmpmem(after.asked, sizeof(after.asked), before.asked,
                                sizeof(before.asked));
                g_free(text);
            }
        }
        g_free(start);
    }
}

static void test_dialects(void)
{
    const VionetDialect *dialect;

    for (unsigned i = 0; (dialect = vionet_dialect_at(i)) != NULL; i++) {
        char *text = g_strdup_printf("hash-tunnel=%s", dialect->name);
        const VionetProperties properties = parse(text);

        g_assert_true(properties.config.dialect == dialect);
        g_assert_cmphex(properties.config.tunnel_types, ==, dialect->all_types);
        g_assert_true(has(&properties, VIRTIO_NET_F_MRG_RXBUF)); /* the defaults are all there */
        g_free(text);
    }
    assert_refused("hash-tunnel=on",
                   "property hash-tunnel=on: expected ratified or draft-v10 or draft-v7 or off");
    assert_refused("hash_tunnel=on", "unknown property hash_tunnel (did you mean hash-tunnel?)");
}

static void test_tunnel_types(void)
{
    g_assert_cmphex(parse("tunnel-types=gre-2784+vxlan+nvgre").config.tunnel_types, ==, 0x111);
    g_assert_cmphex(parse("tunnel-types=all").config.tunnel_types, ==, 0x1ff);
    g_assert_cmphex(parse("tunnel-types=none").config.tunnel_types, ==, 0);
    g_assert_cmphex(parse("hash-tunnel=draft-v7,tunnel-types=gre+geneve").config.tunnel_types, ==,
                    0xa00);
    g_assert_cmphex(parse("tunnel-types=ipip,hash-tunnel=draft-v10").config.tunnel_types, ==, 0x10);
    assert_refused("tunnel-types=gre",
                   "property tunnel-types=gre: expected all, none, or some of gre-2784+gre-2890+"
                   "gre-7676+gre-udp+vxlan+vxlan-gpe+geneve+ipip+nvgre");
    assert_refused("hash-tunnel=draft-v7,tunnel-types=gre+ipip",
                   "property tunnel-types=gre+ipip: expected all, none, or some of "
                   "gre+vxlan+geneve");
    assert_refused("hash-tunnel=draft-v7,tunnel-types=",
                   "property tunnel-types=: expected all, none, or some of gre+vxlan+geneve");
    assert_refused("hash-tunnel=draft-v7,tunnel-types=gre+",
                   "property tunnel-types=gre+: expected all, none, or some of gre+vxlan+geneve");
    assert_refused("tunnel-types=vxlan,hash-tunnel=off",
                   "property tunnel-types=vxlan contradicts hash-tunnel=off");
}

static void test_hash_types(void)
{
    g_assert_cmphex(parse("hash-types=ipv4+tcpv4").config.hash_types, ==, 0x003);
    g_assert_cmphex(parse("hash-types=udpv6-ex+ipv6-ex+udpv4").config.hash_types, ==, 0x144);
    g_assert_cmphex(parse("hash-types=all").config.hash_types, ==, 0x1ff);
    g_assert_cmphex(parse("hash-types=none").config.hash_types, ==, 0);
    assert_refused("hash-types=ipv4+sctp",
                   "property hash-types=ipv4+sctp: expected all, none, or some of ipv4+tcpv4+udpv4+"
                   "ipv6+tcpv6+udpv6+ipv6-ex+tcpv6-ex+udpv6-ex");
}

static void test_form(void)
{
    assert_refused("mq", "property mq has no value (mq=VALUE)");
    assert_refused("mq=on,mq=on", "property mq is given twice, mq=on and mq=on");
    assert_refused("queues=4,mq=on,queues=8",
                   "property queues is given twice, queues=4 and queues=8");
    assert_refused("hash-tunnel=off,hash-tunnel=ratified",
                   "property hash-tunnel is given twice, hash-tunnel=off and hash-tunnel=ratified");
    assert_refused("mq=on,", "an option without a name in \"mq=on,\"");
    assert_refused("queus=4", "unknown property queus (did you mean queues?)");
    assert_refused("host-mtu=1500", "unknown property host-mtu (did you mean host_mtu?)");
    assert_refused("guest_tos4=on", "unknown property guest_tos4 (did you mean guest_tso4?)");
    assert_refused("netdev=net0", "unknown property netdev");
}

static void test_contradictions(void)
{
    assert_refused("queues=4,mq=off,rss=off", "property queues=4 contradicts mq=off and rss=off");
    assert_refused("speed_duplex=off,speed=10", "property speed=10 contradicts speed_duplex=off");
    assert_refused("duplex=half,speed_duplex=off",
                   "property duplex=half contradicts speed_duplex=off");
    assert_refused("mac=52:54:00:00:00:01,has_mac=off",
                   "property mac=52:54:00:00:00:01 contradicts has_mac=off");
    assert_refused("notify-data=5,notify-multiplier=0",
                   "property notify-data=5 contradicts notify-multiplier=0");
    assert_refused("notify-data=5,notification_data=off",
                   "property notify-data=5 contradicts notification_data=off");
    assert_refused("notif_config_data=on,notify-data=5",
                   "property notify-data=5 contradicts notif_config_data=on");
    assert_refused("notif-config-base=0x10,notify-data=5",
                   "property notify-data=5 contradicts notif-config-base=0x10");
    assert_refused("notif-config-base=0x10,notif_config_data=off",
                   "property notif-config-base=0x10 contradicts notif_config_data=off");
    assert_refused("notify-data-lenient=yes",
                   "property notify-data-lenient=yes: expected notify-data=VALUE with it");
    assert_refused(
        "vq_notf_coal=on,hash-tunnel=draft-v10",
        "property vq_notf_coal=on contradicts hash-tunnel=draft-v10, where feature bit 52 "
        "is VIRTIO_NET_F_HASH_TUNNEL_DRAFT");
    assert_refused("vq_notf_coal=maybe,hash-tunnel=draft-v10",
                   "property vq_notf_coal=maybe: expected on or off");
    /* These agree. */
    parse("vq_notf_coal=off,hash-tunnel=draft-v10");
    parse("notify-data=5,notif_config_data=off,notification_data=on,notify-multiplier=4");
    parse("vq_notf_coal=on,hash-tunnel=off");
}

/* What is shown of a value can be read again, and is what was written. */
static void test_values_are_shown(void)
{
    static const char *const texts[] = {
        "mac=02:ab:cd:ef:01:99",
        "queues=17",
        "rx_queue_size=1024",
        "tx_queue_size=512",
        "ctrl_queue_size=16",
        "host_mtu=9000",
        "speed=40000",
        "speed=unknown",
        "duplex=half",
        "duplex=full",
        "duplex=unknown",
        "link=off",
        "max-frame=9018",
        "rss-key-size=52",
        "rss-table=256",
        "hash-types=ipv4+tcpv6",
        "hash-types=none",
        "hash-tunnel=draft-v7",
        "hash-tunnel=off",
        "tunnel-types=vxlan+geneve",
        "vectors=9",
        "vectors=auto",
        "notify-multiplier=0",
        "notify-multiplier=4096",
        "notify-data=0x00ff",
        "notif-config-base=0x1000",
        "subsystem-vendor=0xbeef",
        "subsystem-device=0x0041",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        char **pair = g_strsplit(texts[i], "=", 2);
        const struct property *property = property_find(pair[0]);
        const VionetProperties properties = parse(texts[i]);
        char *shown = property->kind->show(property, &properties);

        g_assert_cmpstr(shown, ==, pair[1]);
        g_free(shown);
        g_strfreev(pair);
    }
}

/* The table: names are unique, each row has help, and what it makes on exists. */
static void test_property_rows(void)
{
    const VionetDialect *dialect = vionet_dialect_at(0);
    const struct property *property;

    for (unsigned i = 0; (property = property_at(i)) != NULL; i++) {
        g_assert_true(property_find(property->name) == property);
        g_assert_cmpuint(strlen(property->help), >, 0);
        g_assert_true(property->makes_on < 0 ||
                      properties_feature(dialect, (unsigned)property->makes_on));
        g_assert_cmpint(property->makes_on, !=, VIRTIO_NET_F_CSUM); /* forgotten */
        g_assert_cmpuint(property->offset + property->width, <=, sizeof(VionetProperties));
    }
    g_assert_null(property_find("csum"));
}

/* Fisher and Yates's, with numbers that are the same each time. */
static char *shuffled(char **parts, GRand *random)
{
    const unsigned n = g_strv_length(parts);

    for (unsigned i = n; i > 1; i--) {
        const unsigned j = (unsigned)g_rand_int_range(random, 0, (gint32)i);
        char *kept = parts[i - 1];

        parts[i - 1] = parts[j];
        parts[j] = kept;
    }
    return g_strjoinv(",", parts);
}

static void test_order_does_not_matter(void)
{
    const char *text = "hash-tunnel=draft-v7,tunnel-types=gre+vxlan,queues=8,mq=off,hash=on,"
                       "vq_notf_coal=off,host_mtu=9000,notify-data=9,notify-data-lenient=on,"
                       "notify-multiplier=8,speed=100,csum=on,link=off,mac=02:00:00:00:00:07";
    const VionetProperties expected = parse(text);
    GRand *random = g_rand_new_with_seed(7);
    char **parts = g_strsplit(text, ",", -1);

    g_assert_true(has(&expected, VIRTIO_NET_F_RSS));
    for (unsigned i = 0; i < 500; i++) {
        char *other = shuffled(parts, random);
        VionetProperties properties;
        GError *error = NULL;

        properties_parse(other, &properties, &error);
        g_assert_no_error(error);
        /* Both are zeroed before they are filled, padding included. */
        g_assert_cmpmem(&properties.config.features, sizeof(properties.config.features),
                        &expected.config.features, sizeof(expected.config.features));
        g_assert_cmpmem(properties.asked, sizeof(properties.asked), expected.asked,
                        sizeof(expected.asked));
        g_assert_true(properties.config.dialect == expected.config.dialect);
        g_assert_cmphex(properties.config.tunnel_types, ==, 0x600);
        g_assert_cmpuint(properties.config.max_pairs, ==, 8);
        g_assert_cmpuint(properties.config.mtu, ==, 9000);
        g_assert_cmpuint(properties.config.speed, ==, 100);
        g_assert_false(properties.config.link_up);
        g_assert_cmpuint(properties.pci.notify_data, ==, 9);
        g_assert_true(properties.pci.notify_data_valid && properties.pci.notify_data_lenient);
        g_assert_cmpuint(properties.pci.notify_multiplier, ==, 8);
        g_free(other);
    }
    g_strfreev(parts);
    g_rand_free(random);
}

static void test_help(void)
{
    static const char *const lines[] = {
        "\n  mac=52:54:00:12:34:56           MAC address (six octets such as ",
        "\n  queues=1                        queue pairs; more than 1 turns on mq, unless it is "
        "off, or rss then (1 to 256)\n",
        "\n  vectors=auto ",
        "\n  hash-tunnel=off                 inner-header hashing",
        "\n  notify-data=0x0000              identifier in notifications, as in the draft of "
        "January 2020 (0x0000 to 0xffff); turns on VIRTIO_F_NOTIFICATION_DATA (bit 38), which is "
        "off by default\n",
        "\n  hash-types=all ",
        "\n  mrg_rxbuf=on ",
        "\n  rss=off                         receive-side scaling; VIRTIO_NET_F_RSS (bit 60)\n",
        "\n  draft-v7: all, none, or some of gre+vxlan+geneve\n",
    };
    const VionetDialect *dialect = vionet_dialect_at(0);
    const VionetFeature *feature;
    char *help = properties_help();

    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_assert_nonnull(strstr(help, lines[i]));
    }
    for (unsigned i = 0; (feature = vionet_feature_at(dialect, i)) != NULL; i++) {
        g_assert_nonnull(strstr(help, feature->name));
    }
    g_assert_null(strstr(help, "hash_tunnel"));
    g_free(help);
}

static void test_feature_rows(void)
{
    const VionetDialect *draft = vionet_dialect_find("draft-v7");

    g_assert_cmpstr(properties_feature(draft, 52)->name, ==, "VIRTIO_NET_F_HASH_TUNNEL_DRAFT");
    g_assert_cmpstr(properties_feature(vionet_dialect_find("off"), 52)->name, ==,
                    "VIRTIO_NET_F_VQ_NOTF_COAL");
    g_assert_null(properties_feature(draft, 51));
    g_assert_null(properties_feature(draft, 127));
}

/* ---- Life ---- */

struct host {
    unsigned events[VIONET_EVENT_OFFLOADS + 1];
    unsigned timers;
};

static void host_event(void *opaque, const VionetEvent *event)
{
    struct host *host = opaque;

    host->events[event->kind]++;
}

static uint64_t host_clock_ns(void *opaque)
{
    (void)opaque;
    return 1;
}

static void host_timer(void *opaque, unsigned queue, uint64_t deadline_ns)
{
    struct host *host = opaque;

    (void)queue;
    (void)deadline_ns;
    host->timers++;
}

static void host_msi(void *opaque, unsigned vector, uint64_t address, uint32_t data)
{
    (void)opaque;
    (void)vector;
    (void)address;
    (void)data;
}

static void host_intx(void *opaque, bool level)
{
    (void)opaque;
    (void)level;
}

static const VionetFrontendOps all_ops = {
    .size = sizeof(all_ops),
    .msi = host_msi,
    .intx = host_intx,
    .clock_ns = host_clock_ns,
    .timer = host_timer,
    .event = host_event,
};

static VionetFrontend *make(const char *properties, const VionetFrontendOps *ops, void *opaque)
{
    GError *error = NULL;
    VionetFrontend *frontend = vionet_frontend_new(properties, "null", ops, opaque, &error);

    g_assert_no_error(error);
    g_assert_nonnull(frontend);
    return frontend;
}

static void realize(VionetFrontend *frontend)
{
    GError *error = NULL;

    vionet_frontend_realize(frontend, &error);
    g_assert_no_error(error);
    g_assert_nonnull(vionet_frontend_device(frontend));
    g_assert_nonnull(vionet_frontend_pci(frontend));
}

static uint32_t pci_read(VionetFrontend *frontend, uint32_t offset, unsigned size)
{
    return vionet_pci_config_read(vionet_frontend_pci(frontend), offset, size);
}

static void assert_not_configured(const char *properties, const char *backend, const char *sentence)
{
    GError *error = NULL;

    g_assert_null(vionet_frontend_new(properties, backend, NULL, NULL, &error));
    g_assert_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG);
    g_assert_cmpstr(error->message, ==, sentence);
    g_error_free(error);
    g_assert_null(vionet_frontend_new(properties, backend, NULL, NULL, NULL));
}

static void test_configuring_fails(void)
{
    assert_not_configured("queus=1", "null", "unknown property queus (did you mean queues?)");
    assert_not_configured("", "null,x=1",
                          "backend null: option x does not exist (null: swallows what the guest "
                          "sends)");
    assert_not_configured("notf_coal=on", "null",
                          "property notf_coal=on: this emulator has no timer for it");
    assert_not_configured("vq_notf_coal=on", "null",
                          "property vq_notf_coal=on: this emulator has no timer for it");
    assert_not_configured(
        "threads=on", "dgram,remote.type=inet,remote.host=127.0.0.1,remote.port=9",
        "property threads=on: backend dgram: is for one thread, it has no queues");
}

static void test_realize_and_unrealize(gconstpointer properties)
{
    VionetFrontend *frontend = make(properties, &all_ops, &(struct host){0});

    for (unsigned i = 0; i < 50; i++) {
        g_assert_null(vionet_frontend_device(frontend));
        g_assert_null(vionet_frontend_pci(frontend));
        vionet_frontend_unrealize(frontend);
        vionet_frontend_reset(frontend);
        g_assert_false(vionet_frontend_poll(frontend, 1));
        realize(frontend);
        g_assert_cmphex(pci_read(frontend, 0, 4), ==, 0x10411af4);
        g_assert_cmpuint(vionet_device_config(vionet_frontend_device(frontend))->mac[5], ==, 5);
        g_assert_cmpuint(vionet_device_config(vionet_frontend_device(frontend))->max_pairs, ==, 2);
        g_assert_false(vionet_frontend_can_receive(frontend));
        g_assert_cmpuint(vionet_frontend_held(frontend), ==, 0);
        vionet_frontend_reset(frontend);
        vionet_frontend_unrealize(frontend);
    }
    realize(frontend);
    vionet_frontend_free(frontend); /* unrealizes */
    vionet_frontend_free(NULL);
}

/* Which thread's event loop is for a queue: none is for those that may be the control queue. */
static void test_queues_of_threads(void)
{
    VionetFrontend *frontend = make("queues=3,threads=on", &all_ops, &(struct host){0});
    GMainContext *contexts[8];

    for (unsigned i = 0; i < 8; i++) {
        contexts[i] = vionet_frontend_queue_context(frontend, i);
    }
    g_assert_nonnull(contexts[0]);
    g_assert_true(contexts[1] == contexts[0]);
    g_assert_null(contexts[2]);
    g_assert_nonnull(contexts[3]);
    g_assert_true(contexts[3] != contexts[0]);
    g_assert_true(contexts[4] == contexts[5] && contexts[4] != contexts[3]);
    g_assert_null(contexts[6]);
    g_assert_null(contexts[7]);
    vionet_frontend_free(frontend);
    frontend = make("queues=3", &all_ops, &(struct host){0});
    g_assert_null(vionet_frontend_queue_context(frontend, 0));
    vionet_frontend_settle(frontend);
    vionet_frontend_free(frontend);
}

static void test_realizing_twice(void)
{
    VionetFrontend *frontend = make("", NULL, NULL);
    GError *error = NULL;
    VionetDevice *device;

    realize(frontend);
    device = vionet_frontend_device(frontend);
    g_assert_false(vionet_frontend_realize(frontend, &error));
    g_assert_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG);
    g_assert_cmpstr(error->message, ==, "the device is realized already");
    g_assert_true(vionet_frontend_device(frontend) == device);
    g_error_free(error);
    vionet_frontend_free(frontend);
}

/* What the device refuses is an error when it is configured, not later. */
static void test_the_devices_rules(void)
{
    static const char *const properties[] = {
        "ctrl_vq=off,mq=on",                              /* asked for, and not possible */
        "ctrl_vq=off,ctrl_rx=on", "hash-tunnel=ratified", /* neither rss nor hash */
        "version_1=off",                                  /* always offered */
    };

    for (size_t i = 0; i < G_N_ELEMENTS(properties); i++) {
        GError *error = NULL;

        g_assert_null(vionet_frontend_new(properties[i], "null", &all_ops, NULL, &error));
        g_assert_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG);
        g_error_free(error);
    }
}

/* Turning off a feature turns off the defaults that need it. */
static void test_off_takes_dependents_along(void)
{
    VionetFrontend *frontend = make("ctrl_vq=off", &all_ops, NULL);
    const VionetConfig *config;

    realize(frontend);
    config = vionet_device_config(vionet_frontend_device(frontend));
    g_assert_false(vionet_features_test(config->features, VIRTIO_NET_F_CTRL_VQ));
    g_assert_false(vionet_features_test(config->features, VIRTIO_NET_F_CTRL_RX));
    g_assert_false(vionet_features_test(config->features, VIRTIO_NET_F_GUEST_ANNOUNCE));
    g_assert_true(vionet_features_test(config->features, VIRTIO_NET_F_MRG_RXBUF));
    vionet_frontend_free(frontend);
}

/* What the library refuses comes through, and leaves a frontend that can still be freed. */
static void test_realizing_fails(void)
{
    static const char *const properties[] = {
        "notify-data=1,notify-multiplier=2", /* the function's rules */
    };

    for (size_t i = 0; i < G_N_ELEMENTS(properties); i++) {
        VionetFrontend *frontend = make(properties[i], &all_ops, NULL);

        for (unsigned again = 0; again < 2; again++) {
            GError *error = NULL;

            g_assert_false(vionet_frontend_realize(frontend, &error));
            g_assert_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG);
            g_assert_null(vionet_frontend_device(frontend));
            g_assert_null(vionet_frontend_pci(frontend));
            g_error_free(error);
        }
        vionet_frontend_free(frontend);
    }
}

/* Offset of the capability with that id in configuration space, 0 if there is none. */
static unsigned find_cap(VionetFrontend *frontend, uint8_t id)
{
    unsigned at = pci_read(frontend, 0x34, 1);

    for (unsigned i = 0; at != 0 && i < 48; i++, at = pci_read(frontend, at + 1, 1)) {
        if (pci_read(frontend, at, 1) == id) {
            return at;
        }
    }
    return 0;
}

static void test_interrupts_as_the_emulator_has_them(void)
{
    const VionetFrontendOps with_msi = {.size = sizeof(with_msi), .msi = host_msi};
    const VionetFrontendOps with_intx = {.size = sizeof(with_intx), .intx = host_intx};
    const VionetFrontendOps *const rows[] = {NULL, &with_msi, &with_intx, &all_ops};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        VionetFrontend *frontend = make(rows[i] && rows[i]->msi ? "vectors=3" : "", rows[i], NULL);
        const unsigned msix = 0x11;

        realize(frontend);
        g_assert_cmpint(find_cap(frontend, msix) != 0, ==, rows[i] && rows[i]->msi);
        g_assert_cmpint(pci_read(frontend, 0x3d, 1) == 1, ==, rows[i] && rows[i]->intx);
        if (rows[i] && rows[i]->msi) {
            g_assert_cmpuint(pci_read(frontend, find_cap(frontend, msix) + 2, 2) & 0x7ff, ==, 2);
        }
        vionet_frontend_free(frontend);
    }
}

static void test_subsystem_ids(void)
{
    VionetFrontend *frontend = make("subsystem-vendor=0x1234,subsystem-device=0x5678", NULL, NULL);

    realize(frontend);
    g_assert_cmphex(pci_read(frontend, 0x2c, 4), ==, 0x56781234);
    vionet_frontend_free(frontend);
}

/* An emulator built against a shorter table: what it does not know is as if NULL. */
static void test_older_tables(void)
{
    VionetFrontendOps ops = all_ops;
    struct host host = {0};
    VionetFrontend *frontend;

    ops.size = offsetof(VionetFrontendOps, event);
    frontend = make("notf_coal=on,ctrl_vq=on", &ops, &host);
    realize(frontend);
    vionet_frontend_reset(frontend);
    g_assert_cmpuint(host.events[VIONET_EVENT_RESET], ==, 0);
    vionet_frontend_free(frontend);
}

static void test_events_come_through(void)
{
    struct host host = {0};
    VionetFrontend *frontend = make("", &all_ops, &host);

    realize(frontend);
    vionet_frontend_reset(frontend);
    g_assert_cmpuint(host.events[VIONET_EVENT_RESET], ==, 1);
    vionet_frontend_free(frontend);
}

static void test_timers_are_offered_on_request(void)
{
    VionetFrontend *frontend = make("notf_coal=on,vq_notf_coal=on", &all_ops, NULL);
    const uint64_t *features;

    realize(frontend);
    features = vionet_device_config(vionet_frontend_device(frontend))->features;
    g_assert_true(vionet_features_test(features, VIRTIO_NET_F_NOTF_COAL));
    g_assert_true(vionet_features_test(features, VIRTIO_NET_F_VQ_NOTF_COAL));
    vionet_frontend_free(frontend);
    /* Bit 52 is not a timer's here. */
    vionet_frontend_free(make("hash-tunnel=draft-v10,hash=on", NULL, NULL));
}

static void test_the_manual_can_be_realized(void)
{
    VionetFrontend *frontend =
        make("mac=52:54:00:ab:cd:ef,mq=on,queues=4,rss=on,hash=on,hash-tunnel=draft-v10,"
             "notify-data=0x1af4",
             &all_ops, NULL);

    realize(frontend);
    vionet_frontend_free(frontend);
}

/* ---- Looking through all properties ---- */

static void test_properties_one_by_one(void)
{
    GHashTable *seen = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, NULL);
    VionetPropertyInfo info;
    unsigned n_switches = 0;

    for (unsigned i = 0; properties_at(i, &info); i++) {
        char *text = g_strdup_printf("%s=%s", info.name, info.by_default);
        VionetProperties properties;
        GError *error = NULL;
        bool on;

        g_assert_true(g_hash_table_add(seen, (gpointer)info.name)); /* once each */
        g_assert_cmpstr(info.help, !=, "");
        g_assert_true(properties_parse(text, &properties, &error) ||
                      strcmp(info.name, "tunnel-types") == 0); /* of no dialect */
        g_clear_error(&error);
        g_assert_true(!info.is_switch || property_read_switch(info.by_default, &on));
        n_switches += info.is_switch;
        g_free(text);
        g_free(info.by_default);
    }
    g_assert_true(g_hash_table_contains(seen, "queues"));
    g_assert_true(g_hash_table_contains(seen, "vq_notf_coal")); /* not in every dialect */
    g_assert_cmpuint(n_switches, >, 40);
    g_assert_cmpuint(g_hash_table_size(seen), >, n_switches);
    g_hash_table_unref(seen);
}

/* ---- A backend of one's own ---- */

struct own_backend {
    VionetBackend backend;
    unsigned n_opened;
    unsigned n_closed;
    bool refuses;
};

static void own_close(VionetBackend *backend)
{
    ((struct own_backend *)backend)->n_closed++;
}

static bool own_send(VionetBackend *backend, const VionetFrame *frames, size_t n)
{
    return false;
}

static size_t own_receive(VionetBackend *backend, VionetFrame *frames, size_t n)
{
    return 0;
}

static void own_complete(VionetBackend *backend, const VionetFrame *frames, size_t n)
{
}

static const struct backend_ops own_ops = {
    .name = "own",
    .close = own_close,
    .send = own_send,
    .receive = own_receive,
    .complete = own_complete,
};

static VionetBackend *own_open(void *from, GError **error)
{
    struct own_backend *own = from;

    own->n_opened++;
    own->backend.ops = &own_ops;
    own->backend.suits = UINT64_C(1) << VIRTIO_NET_F_CSUM;
    if (own->refuses) {
        g_set_error_literal(error, VIONET_ERROR, VIONET_ERROR_CONFIG, "no");
        return NULL;
    }
    return &own->backend;
}

static void test_a_backend_of_ones_own(void)
{
    struct own_backend own = {.refuses = true};
    GError *error = NULL;
    VionetFrontend *frontend;

    /* Nothing is opened for properties that are wrong. */
    g_assert_null(vionet_frontend_new_over("queus=1", own_open, &own, &all_ops, NULL, &error));
    g_assert_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG);
    g_clear_error(&error);
    g_assert_cmpuint(own.n_opened, ==, 0);

    g_assert_null(vionet_frontend_new_over("", own_open, &own, &all_ops, NULL, &error));
    g_assert_cmpstr(error->message, ==, "no");
    g_clear_error(&error);
    g_assert_cmpuint(own.n_opened, ==, 1);
    g_assert_cmpuint(own.n_closed, ==, 0);

    own.refuses = false;
    frontend = vionet_frontend_new_over("", own_open, &own, &all_ops, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(vionet_frontend_backend(frontend) == &own.backend);
    realize(frontend);
    g_assert_true(vionet_features_test(
        vionet_device_config(vionet_frontend_device(frontend))->features, VIRTIO_NET_F_CSUM));
    vionet_frontend_free(frontend);
    g_assert_cmpuint(own.n_closed, ==, 1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/options/parse", test_options);
    g_test_add_func("/options/no-name", test_options_without_a_name);
    g_test_add_func("/options/nearest", test_nearest_name);
    g_test_add_func("/options/number", test_numbers);
    g_test_add_func("/properties/defaults", test_defaults);
    g_test_add_func("/properties/as-in-the-manual", test_as_in_the_manual);
    g_test_add_func("/properties/numbers", test_numeric_properties);
    g_test_add_func("/properties/turn-on", test_what_properties_turn_on);
    g_test_add_func("/properties/link-and-lenience", test_link_and_lenience);
    g_test_add_func("/properties/legacy", test_legacy);
    g_test_add_func("/properties/mac", test_mac);
    g_test_add_func("/properties/switch-words", test_switch_words);
    g_test_add_func("/properties/every-feature", test_every_feature);
    g_test_add_func("/properties/dialects", test_dialects);
    g_test_add_func("/properties/tunnel-types", test_tunnel_types);
    g_test_add_func("/properties/hash-types", test_hash_types);
    g_test_add_func("/properties/form", test_form);
    g_test_add_func("/properties/contradictions", test_contradictions);
    g_test_add_func("/properties/shown", test_values_are_shown);
    g_test_add_func("/properties/rows", test_property_rows);
    g_test_add_func("/properties/order-does-not-matter", test_order_does_not_matter);
    g_test_add_func("/properties/help", test_help);
    g_test_add_func("/properties/feature-rows", test_feature_rows);
    g_test_add_func("/properties/one-by-one", test_properties_one_by_one);
    g_test_add_func("/frontend/a-backend-of-ones-own", test_a_backend_of_ones_own);
    g_test_add_func("/frontend/configuring-fails", test_configuring_fails);
    g_test_add_data_func("/frontend/realize-and-unrealize", "mac=02:00:00:00:00:05,queues=2",
                         test_realize_and_unrealize);
    g_test_add_data_func("/frontend/threads/realize-and-unrealize",
                         "mac=02:00:00:00:00:05,queues=2,threads=on", test_realize_and_unrealize);
    g_test_add_func("/frontend/threads/queues", test_queues_of_threads);
    g_test_add_func("/frontend/realizing-twice", test_realizing_twice);
    g_test_add_func("/frontend/the-devices-rules", test_the_devices_rules);
    g_test_add_func("/frontend/off-takes-dependents-along", test_off_takes_dependents_along);
    g_test_add_func("/frontend/realizing-fails", test_realizing_fails);
    g_test_add_func("/frontend/interrupts", test_interrupts_as_the_emulator_has_them);
    g_test_add_func("/frontend/subsystem-ids", test_subsystem_ids);
    g_test_add_func("/frontend/older-tables", test_older_tables);
    g_test_add_func("/frontend/events", test_events_come_through);
    g_test_add_func("/frontend/timers", test_timers_are_offered_on_request);
    g_test_add_func("/frontend/as-in-the-manual", test_the_manual_can_be_realized);
    return g_test_run();
}
