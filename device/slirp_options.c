/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The options of the backend "user"; see slirp_options.h. Defaults are QEMU's: 10.0.2.0/24 and
 * fec0::/64, with the host at 2, the name server at 3 and the guest from 15 on.
 */
#include "slirp_options.h"

#include <string.h>

#include "options.h"

/* libslirp 4.7 writes past its buffers for TFTP and DHCPv6 if they are for shorter packets. */
#define MTU_MIN 1500
#define MTU_MAX 65521 /* IF_MTU_MAX, which libslirp's header does not have */

/* What libslirp's fields and DHCP's options have room for. */
#define HOSTNAME_MAX 32
#define BOOTFILE_MAX 127
#define OPTION_MAX   255
#define LABEL_MAX    63
#define SEARCH_MAX   16

/* ---- IPv4 ---- */

/* Takes "address/bits" or "address/mask" apart; false if it is neither. */
static bool split_net(const char *value, struct in_addr *net, struct in_addr *mask)
{
    char **parts = g_strsplit(value, "/", 2);
    uint64_t bits = 24;
    bool good = inet_pton(AF_INET, parts[0], net) == 1;

    if (good && parts[1] && inet_pton(AF_INET, parts[1], mask) == 1) {
        bits = (uint64_t)__builtin_popcount(mask->s_addr);
        good = bits >= 4 && bits <= 29 && mask->s_addr == htonl(UINT32_MAX << (32 - bits));
    } else if (good && parts[1]) {
        good = options_number(parts[1], 4, 29, &bits);
    }
    if (good) {
        mask->s_addr = htonl(UINT32_MAX << (32 - bits));
        net->s_addr &= mask->s_addr;
    }
    g_strfreev(parts);
    return good;
}

static bool read_net(const struct reader *reader, SlirpConfig *config)
{
    const char *value = reader_value(reader, SLIRP_NET);

    return split_net(value ? value : "10.0.2.0/24", &config->vnetwork, &config->vnetmask) ||
           reader_refuse(reader, SLIRP_NET, value,
                         "expected an IPv4 network with 4 to 29 bits, such as 10.0.2.0/24");
}

/* Reads an address of the network, by default the one at number. */
static bool read_address(const struct reader *reader, unsigned option, uint32_t number,
                         const SlirpConfig *config, struct in_addr *address)
{
    const char *value = reader_value(reader, option);
    const uint32_t rest = ~ntohl(config->vnetmask.s_addr);
    uint32_t here;

    address->s_addr = config->vnetwork.s_addr | htonl(number & rest);
    if (value && inet_pton(AF_INET, value, address) != 1) {
        return reader_refuse(reader, option, value, "expected an IPv4 address");
    }
    here = ntohl(address->s_addr) & rest;
    if ((address->s_addr & config->vnetmask.s_addr) == config->vnetwork.s_addr && here != 0 &&
        here != rest) {
        return true;
    }
    return value ? reader_refuse(reader, option, value, "expected an address of a host in net")
                 : reader_refuse_without(reader, option, "has no default in so small a net");
}

static bool has_any(const struct reader *reader, const unsigned *options, size_t n, const char *why)
{
    for (size_t i = 0; i < n; i++) {
        if (reader_value(reader, options[i])) {
            return !reader_refuse(reader, options[i], reader_value(reader, options[i]), "%s", why);
        }
    }
    return false;
}

static bool read_ipv4(const struct reader *reader, SlirpConfig *config)
{
    static const unsigned options[] = {SLIRP_NET, SLIRP_HOST, SLIRP_DHCPSTART, SLIRP_DNS};

    if (!config->in_enabled) {
        return !has_any(reader, options, G_N_ELEMENTS(options), "expected ipv4=on with it");
    }
    if (!read_net(reader, config) || !read_address(reader, SLIRP_HOST, 2, config, &config->vhost) ||
        !read_address(reader, SLIRP_DNS, 3, config, &config->vnameserver) ||
        !read_address(reader, SLIRP_DHCPSTART, 15, config, &config->vdhcp_start)) {
        return false;
    }
    if (config->vhost.s_addr == config->vnameserver.s_addr) {
        return reader_refuse_without(reader, SLIRP_DNS, "is the address of host: expected another");
    }
    if (config->vhost.s_addr == config->vdhcp_start.s_addr ||
        config->vnameserver.s_addr == config->vdhcp_start.s_addr) {
        return reader_refuse_without(reader, SLIRP_DHCPSTART,
                                     "is the address of host or dns: expected another");
    }
    return true;
}

/* ---- IPv6 ---- */

static bool same_prefix(const struct in6_addr *one, const struct in6_addr *other, unsigned bits)
{
    const unsigned whole = bits / 8;
    const uint8_t mask = (uint8_t)(0xff00 >> bits % 8);

    return memcmp(one, other, whole) == 0 &&
           (bits % 8 == 0 || ((one->s6_addr[whole] ^ other->s6_addr[whole]) & mask) == 0);
}

/* Reads an address of the prefix, by default the one at number. */
static bool read_address6(const struct reader *reader, unsigned option, uint8_t number,
                          const SlirpConfig *config, struct in6_addr *address)
{
    const char *value = reader_value(reader, option);

    *address = config->vprefix_addr6;
    address->s6_addr[15] |= number;
    if (value && inet_pton(AF_INET6, value, address) != 1) {
        return reader_refuse(reader, option, value, "expected an IPv6 address");
    }
    return same_prefix(address, &config->vprefix_addr6, config->vprefix_len) ||
           reader_refuse(reader, option, value, "expected an address in ipv6-prefix");
}

static bool read_prefix6(const struct reader *reader, SlirpConfig *config)
{
    const char *value = reader_value(reader, SLIRP_IPV6_PREFIX);
    uint64_t bits = 64;

    if (inet_pton(AF_INET6, value ? value : "fec0::", &config->vprefix_addr6) != 1) {
        return reader_refuse(reader, SLIRP_IPV6_PREFIX, value,
                             "expected an IPv6 prefix, such as fec0::");
    }
    if (!reader_number(reader, SLIRP_IPV6_PREFIXLEN, 1, 126, &bits)) {
        return false;
    }
    config->vprefix_len = (uint8_t)bits;
    for (unsigned bit = config->vprefix_len; bit < 128; bit++) {
        config->vprefix_addr6.s6_addr[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
    }
    return true;
}

static bool read_ipv6(const struct reader *reader, SlirpConfig *config)
{
    static const unsigned options[] = {SLIRP_IPV6_PREFIX, SLIRP_IPV6_PREFIXLEN, SLIRP_IPV6_HOST,
                                       SLIRP_IPV6_DNS};

    if (!config->in6_enabled) {
        return !has_any(reader, options, G_N_ELEMENTS(options), "expected ipv6=on with it");
    }
    if (!read_prefix6(reader, config) ||
        !read_address6(reader, SLIRP_IPV6_HOST, 2, config, &config->vhost6) ||
        !read_address6(reader, SLIRP_IPV6_DNS, 3, config, &config->vnameserver6)) {
        return false;
    }
    return memcmp(&config->vhost6, &config->vnameserver6, sizeof(config->vhost6)) != 0 ||
           reader_refuse_without(reader, SLIRP_IPV6_DNS,
                                 "is the address of ipv6-host: expected another");
}

static bool read_families(const struct reader *reader, SlirpConfig *config)
{
    config->in_enabled = true;
    config->in6_enabled = true;
    if (!reader_switch(reader, SLIRP_IPV4, &config->in_enabled) ||
        !reader_switch(reader, SLIRP_IPV6, &config->in6_enabled)) {
        return false;
    }
    if (!config->in_enabled && !config->in6_enabled) {
        return reader_refuse(reader, SLIRP_IPV6, "off", "expected ipv4=on or ipv6=on");
    }
    return read_ipv4(reader, config) && read_ipv6(reader, config);
}

/* ---- Names ---- */

static bool read_text(const struct reader *reader, unsigned option, size_t most, const char **text)
{
    const char *value = reader_value(reader, option);

    *text = value;
    return !value || strlen(value) <= most ||
           reader_refuse(reader, option, value, "expected at most %zu octets", most);
}

/* Whether a name consists of labels as DNS has them. */
static bool is_domain(const char *name)
{
    size_t label = 0;

    if (strlen(name) > OPTION_MAX) {
        return false;
    }
    for (; *name; name++) {
        label = *name == '.' ? 0 : label + 1;
        if (label > LABEL_MAX || (label == 0 && (name[1] == '.' || name[1] == '\0'))) {
            return false;
        }
    }
    return true;
}

static bool read_search(const struct reader *reader, SlirpConfig *config)
{
    const char *const *names = reader->values[SLIRP_DNSSEARCH];

    for (unsigned i = 0; names && names[i]; i++) {
        if (names[i][0] == '.' || !is_domain(names[i])) {
            return reader_refuse(reader, SLIRP_DNSSEARCH, names[i],
                                 "expected a domain name, such as example.org");
        }
        if (i == SEARCH_MAX) {
            return reader_refuse(reader, SLIRP_DNSSEARCH, names[i], "expected at most %d of them",
                                 SEARCH_MAX);
        }
    }
    config->vdnssearch = (const char **)names;
    return true;
}

static bool read_names(const struct reader *reader, SlirpConfig *config)
{
    const char *directory;

    if (!read_text(reader, SLIRP_HOSTNAME, HOSTNAME_MAX, &config->vhostname) ||
        !read_text(reader, SLIRP_DOMAINNAME, OPTION_MAX, &config->vdomainname) ||
        !read_text(reader, SLIRP_BOOTFILE, BOOTFILE_MAX, &config->bootfile) ||
        !read_text(reader, SLIRP_TFTP_SERVER_NAME, OPTION_MAX, &config->tftp_server_name)) {
        return false;
    }
    directory = reader_value(reader, SLIRP_TFTP);
    if (directory && !g_file_test(directory, G_FILE_TEST_IS_DIR)) {
        return reader_refuse(reader, SLIRP_TFTP, directory, "expected a directory");
    }
    config->tftp_path = directory;
    return read_search(reader, config);
}

bool slirp_options_read(const struct reader *reader, SlirpConfig *config)
{
    bool restricted = false;
    uint64_t mtu = MTU_MIN;

    *config = (SlirpConfig){.version = 4};
    if (!read_families(reader, config) || !read_names(reader, config) ||
        !reader_switch(reader, SLIRP_RESTRICT, &restricted) ||
        !reader_number(reader, SLIRP_MTU, MTU_MIN, MTU_MAX, &mtu)) {
        return false;
    }
    config->restricted = restricted;
    config->if_mtu = mtu;
    config->if_mru = mtu;
    return true;
}

/* ---- Forwarding ---- */

/* Reads "[address]:port"; without an address it is any. */
static bool read_endpoint(const char *text, struct sockaddr_in *endpoint)
{
    const char *colon = strchr(text, ':');
    char *address;
    uint64_t port;
    bool good;

    if (!colon || !options_number(colon + 1, 1, UINT16_MAX, &port)) {
        return false;
    }
    *endpoint = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address = g_strndup(text, (gsize)(colon - text));
    good = *address == '\0' || inet_pton(AF_INET, address, &endpoint->sin_addr) == 1;
    g_free(address);
    return good;
}

/* Reads "protocol:[address]:port" or "unix:path". */
static bool read_host(const char *text, struct slirp_forward *forward)
{
    forward->udp = g_str_has_prefix(text, "udp:");
    if (g_str_has_prefix(text, "unix:")) {
        forward->host.local.sun_family = AF_UNIX;
        forward->host_len = sizeof(forward->host.local);
        return text[5] != '\0' && g_strlcpy(forward->host.local.sun_path, text + 5,
                                            sizeof(forward->host.local.sun_path)) <
                                      sizeof(forward->host.local.sun_path);
    }
    forward->host_len = sizeof(forward->host.inet);
    return (forward->udp || g_str_has_prefix(text, "tcp:")) &&
           read_endpoint(text + 4, &forward->host.inet);
}

bool slirp_options_forward(const struct reader *reader, const char *value,
                           struct slirp_forward *forward)
{
    const char *dash = strrchr(value, '-');
    bool good = false;

    memset(forward, 0, sizeof(*forward));
    if (dash) {
        char *host = g_strndup(value, (gsize)(dash - value));

        good = read_host(host, forward) && read_endpoint(dash + 1, &forward->guest);
        g_free(host);
    }
    return good || reader_refuse(reader, SLIRP_HOSTFWD, value,
                                 "expected tcp:[hostaddr]:hostport-[guestaddr]:guestport, the "
                                 "same with udp, or unix:path-[guestaddr]:guestport");
}
