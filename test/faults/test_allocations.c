/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * No memory for what a peer makes us allocate (docs/security.md, "Faults"). Each scenario runs once for each of
 * its allocations, in a process of its own, and that one fails. Then either the device goes on, and is as usable as
 * before; or GLib ends the process in its usual way, with "failed to allocate": for no more than SMALL octets.
 * Nothing else may become of it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vionet/spec.h>
#include <vionet/state.h>
#include <vionet/transport.h>

#include "driver/bytes.h"
#include "failing_malloc.h"
#include "machine/machine.h"

#ifdef TEST_FAULTS_SERVERS
#include "fifo.h"
#include "scene_vhost_user.h"
#include "unit/vfio_client.h"
#include "vfio-user/held.h"
#include "vfio-user/stream.h"
#endif

#define SMALL    (128u * 1024) /* octets at once that need not be tried */
#define MAX_RUNS 5000

static unsigned n_injected;
static unsigned n_survived;
static size_t largest; /* allocation that ended the process */

/* ---- a process for each fault ---- */

/* What a process tells at its end. */
struct report {
    unsigned seen;
    size_t failed;
};

struct run {
    void (*scenario)(void);
    size_t at_least;
};

static void run_child(const struct run *run, unsigned nth, const int ends[2])
{
    const struct rlimit no_core = {0, 0};
    struct report report;

    setrlimit(RLIMIT_CORE, &no_core);
    dup2(ends[1], STDERR_FILENO);
    g_assert_nonnull(freopen("/dev/null", "w", stdout)); /* GLib's word about a missing converter */
    failing_malloc_set(nth, run->at_least);
    run->scenario();
    report = (struct report){failing_malloc_seen(), failing_malloc_failed()};
    if (write(ends[1], &report, sizeof(report)) != sizeof(report)) {
        _exit(1);
    }
    _exit(0);
}

/* All that the process had to say, with a zero behind it. */
static GByteArray *read_all(int fd)
{
    GByteArray *all = g_byte_array_new();
    uint8_t piece[4096];
    ssize_t n;

    while ((n = read(fd, piece, sizeof(piece))) > 0) {
        g_byte_array_append(all, piece, (guint)n);
    }
    g_byte_array_append(all, (const guint8 *)"", 1);
    return all;
}

/* Ended by GLib for want of memory: how much it was; 0 if it was something else. */
static size_t refused_octets(const char *said)
{
    const char *at = strstr(said, "failed to allocate ");
    const guint64 octets = at ? g_ascii_strtoull(at + strlen("failed to allocate "), NULL, 10) : 0;

    /* Of text and locks it does not say how much it was. */
    return at ? MAX(octets, 1)
              : strstr(said, "Unexpected error from C library during 'malloc'") != NULL;
}

static struct report run_once(const struct run *run, unsigned nth)
{
    struct report report = {0};
    GByteArray *said;
    int ends[2], status;
    pid_t child;

    g_assert_cmpint(pipe(ends), ==, 0);
    child = fork();
    g_assert_cmpint(child, >=, 0);
    if (child == 0) {
        close(ends[0]);
        run_child(run, nth, ends);
    }
    close(ends[1]);
    said = read_all(ends[0]);
    close(ends[0]);
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && said->len == sizeof(report) + 1) {
        memcpy(&report, said->data, sizeof(report));
    } else {
        report.failed = refused_octets((const char *)said->data);
        if (!WIFSIGNALED(status) || report.failed == 0 || report.failed > SMALL) {
            g_test_message("allocation %u, status %#x: %s", nth, (unsigned)status, said->data);
            g_test_fail();
        }
        largest = MAX(largest, report.failed);
    }
    g_byte_array_unref(said);
    return report;
}

/* Until none fails any more, of those of at_least octets. Whether it goes_on each time. */
static void run_all(void (*scenario)(void), size_t at_least, bool goes_on)
{
    const struct run run = {scenario, at_least};
    unsigned survived = 0;
    unsigned n = 0;
    struct report report;

    for (;;) {
        report = run_once(&run, n + 1);
        if (report.failed == 0 || g_test_failed()) {
            break;
        }
        n++;
        survived += report.seen > 0;
        g_assert_cmpuint(n, <, MAX_RUNS);
    }
    if (g_test_failed()) {
        return;
    }
    g_assert_cmpuint(n, >, 0);
    g_assert_true(!goes_on || survived == n);
    g_test_message("faults injected: %u, survived: %u", n, survived);
    n_injected += n;
    n_survived += survived;
}

/* ---- the library ---- */

static struct guest_access access_of_device;

static uint32_t config_read(void *opaque, uint32_t offset, unsigned size)
{
    uint32_t value;

    failing_malloc_enter();
    value = access_of_device.config_read(opaque, offset, size);
    failing_malloc_leave();
    return value;
}

static void config_write(void *opaque, uint32_t offset, unsigned size, uint32_t value)
{
    failing_malloc_enter();
    access_of_device.config_write(opaque, offset, size, value);
    failing_malloc_leave();
}

static uint64_t bar_read(void *opaque, unsigned bar, uint64_t offset, unsigned size)
{
    uint64_t value;

    failing_malloc_enter();
    value = access_of_device.bar_read(opaque, bar, offset, size);
    failing_malloc_leave();
    return value;
}

static void bar_write(void *opaque, unsigned bar, uint64_t offset, unsigned size, uint64_t value)
{
    failing_malloc_enter();
    access_of_device.bar_write(opaque, bar, offset, size, value);
    failing_malloc_leave();
}

/* A machine with all features and four pairs, in which what the device allocates for its driver counts from now on. */
static struct machine *make_machine(enum machine_memory kind)
{
    struct machine_setup setup;
    struct machine *machine;

    machine_setup_init(&setup);
    machine_setup_offer_all(&setup);
    setup.device.max_pairs = 4;
    setup.device.rss_max_table = 32768;
    setup.device.rss_max_key_size = 255;
    setup.device.max_rss_contexts = 4;
    setup.kind = kind;
    machine = machine_new(&setup, NULL);
    g_assert_nonnull(machine);
    return machine;
}

static void watch(struct machine *machine)
{
    access_of_device = machine->access;
    machine->access.config_read = config_read;
    machine->access.config_write = config_write;
    machine->access.bar_read = bar_read;
    machine->access.bar_write = bar_write;
}

static void end_machine(struct machine *machine)
{
    failing_malloc_end();
    g_assert_true(machine_works(machine));
    machine_finish(machine);
}

static void assert_answered(int answer)
{
    g_assert_true(answer == VIRTIO_NET_OK || answer == VIRTIO_NET_ERR);
}

static void set_rss(struct guest_net *net)
{
    static const uint8_t key[255] = {1, 2, 3};
    const struct net_rss rss = {
        .hash_types = 0x3f,
        .table_len = 32768,
        .max_tx_vq = 4,
        .key = key,
        .key_len = sizeof(key),
    };

    assert_answered(net_control_rss(net, &rss));
    assert_answered(net_control_context_add(net, 1, &rss));
    assert_answered(net_control_context_modify(net, 1, &rss));
    assert_answered(net_control_context_delete(net, 1));
    assert_answered(net_control_hash(net, &rss));
}

static void command_all(struct guest_net *net)
{
    const struct net_stats_entry entries[] = {{0, 1}, {1, 2}};
    const uint8_t addresses[6 * 64] = {2};
    uint8_t replies[512];
    uint32_t packets, usecs;
    uint64_t types;
    uint16_t max;

    for (uint8_t mode = VIRTIO_NET_CTRL_RX_PROMISC; mode <= VIRTIO_NET_CTRL_RX_NOBCAST; mode++) {
        assert_answered(net_control_rx(net, mode, true));
        assert_answered(net_control_rx(net, mode, false));
    }
    assert_answered(net_control_mac_table(net, addresses, 32, addresses, 32));
    assert_answered(net_control_mac(net, addresses));
    assert_answered(net_control_vlan_add(net, 5));
    assert_answered(net_control_vlan_del(net, 5));
    assert_answered(net_control_announce_ack(net));
    set_rss(net);
    assert_answered(net_control_pairs(net, 2));
    assert_answered(net_control_offloads(net, 0));
    assert_answered(net_control_coalesce_tx(net, 4, 50));
    assert_answered(net_control_coalesce_rx(net, 4, 50));
    assert_answered(net_control_coalesce_queue(net, 0, 4, 50));
    assert_answered(net_control_coalesce_get(net, 0, &packets, &usecs));
    assert_answered(net_control_hash_tunnel(net, 0));
    assert_answered(net_control_stats_query(net, &types));
    assert_answered(net_control_stats_get(net, entries, 2, replies, sizeof(replies)));
    assert_answered(net_control_context_max(net, &max));
}

static void scene_commands(void)
{
    struct machine *machine = make_machine(MACHINE_MAPPED);

    g_assert_true(machine_boot(machine, features_known()));
    watch(machine);
    command_all(machine->net);
    end_machine(machine);
}

static void scene_life(void)
{
    struct machine *machine = make_machine(MACHINE_MAPPED);

    watch(machine);
    g_assert_true(machine_boot(machine, features_known()));
    g_assert_true(net_reset_queue(machine->net, 1, 0));
    end_machine(machine);
}

/* The memory map changes under a driver: what cannot be mapped is refused, or the process ends. */
static void scene_memory(void)
{
    static uint8_t page[8192] __attribute__((aligned(4096)));
    struct machine *machine = make_machine(MACHINE_MAPPED);
    const uint64_t gpa = UINT64_C(1) << 40;

    g_assert_true(machine_boot(machine, features_known()));
    watch(machine);
    failing_malloc_enter();
    for (unsigned i = 0; i < 3; i++) {
        g_assert_true(vionet_device_map(machine->device, gpa, page, 4096, 0, NULL));
        g_assert_true(vionet_device_map_remote(machine->device, gpa + 4096, 4096, 0, NULL));
        g_assert_true(vionet_device_unmap(machine->device, gpa, 4096, NULL));
        g_assert_true(vionet_device_unmap(machine->device, gpa + 4096, 4096, NULL));
    }
    failing_malloc_leave();
    end_machine(machine);
}

static void scene_load(void)
{
    struct machine *machine = make_machine(MACHINE_MAPPED);
    struct machine_device made;
    GError *error = NULL;
    GBytes *state;

    g_assert_true(machine_boot(machine, features_known()));
    watch(machine);
    set_rss(machine->net);
    made = machine_make_device(machine);
    vionet_device_set_paused(machine->device, true);
    failing_malloc_enter();
    state = vionet_device_save(machine->device, NULL);
    if (!vionet_device_load(made.device, g_bytes_get_data(state, NULL), g_bytes_get_size(state),
                            &error)) {
        failing_malloc_leave();
        g_assert_error(error, VIONET_STATE_ERROR, VIONET_STATE_ERROR_MEMORY);
        g_assert_cmpuint(vionet_device_status(made.device), ==, 0);
        machine_free_device(&made);
        vionet_device_set_paused(machine->device, false);
    } else {
        failing_malloc_leave();
        machine_replace(machine, &made);
    }
    end_machine(machine);
}

#define STATE_LENGTH  16 /* of the header: octets of all */
#define SECTION_LEN   24
#define SECTION_OCTET 28
#define LONG_LIST     100000u

/* A state whose list of flows is far longer than any that a device saves. */
static GByteArray *long_state(VionetDevice *device)
{
    GBytes *saved = vionet_device_save(device, NULL);
    gsize size;
    const uint8_t *octets = g_bytes_get_data(saved, &size);
    const uint8_t *at = memmem(octets, size, "flows\0\0\0", 8);
    const uint32_t before = bytes_get32(at + SECTION_LEN);
    const uint32_t after = 4 + LONG_LIST * 4;
    GByteArray *made = g_byte_array_new();
    uint8_t *section;

    g_byte_array_append(made, octets, (guint)(at - octets) + SECTION_OCTET);
    g_byte_array_set_size(made, made->len + after);
    section = made->data + (at - octets);
    memset(section + SECTION_OCTET, 0xff, after); /* which are no pairs */
    bytes_put32(section + SECTION_LEN, after);
    bytes_put32(section + SECTION_OCTET, LONG_LIST);
    at += SECTION_OCTET + before;
    g_byte_array_append(made, at, (guint)(octets + size - at));
    bytes_put64(made->data + STATE_LENGTH, made->len);
    g_bytes_unref(saved);
    return made;
}

static void scene_load_long(void)
{
    struct machine *machine = make_machine(MACHINE_MAPPED);
    struct machine_device made;
    GError *error = NULL;
    GByteArray *state;
    int right;

    g_assert_true(machine_boot(machine, features_known()));
    watch(machine);
    made = machine_make_device(machine);
    vionet_device_set_paused(machine->device, true);
    state = long_state(machine->device);
    failing_malloc_enter();
    g_assert_false(vionet_device_load(made.device, state->data, state->len, &error));
    failing_malloc_leave();
    right = failing_malloc_failed() ? VIONET_STATE_ERROR_MEMORY : VIONET_STATE_ERROR_VALUE;
    g_assert_true(g_error_matches(error, VIONET_STATE_ERROR, right));
    g_clear_error(&error);
    g_byte_array_unref(state);
    machine_free_device(&made);
    vionet_device_set_paused(machine->device, false);
    end_machine(machine);
}

/* A chain of 200 KiB in memory that has to be fetched. */
static void scene_bounce(void)
{
    struct machine_setup setup;
    struct machine *machine;
    const uint32_t len = 200 * 1024;
    uint8_t *octets = g_malloc0(len);
    VionetFrame out;

    machine_setup_init(&setup);
    setup.kind = MACHINE_REMOTE;
    setup.net.transmit_size = len;
    machine = machine_booted(&setup, features_known());
    watch(machine);
    g_assert_true(net_transmit_octets(machine->net, 0, NULL, octets, len));
    net_transmit_flush(machine->net, 0);
    failing_malloc_enter();
    g_assert_cmpuint(vionet_device_transmit(machine->device, 0, &out, 1), ==, 0);
    failing_malloc_leave();
    g_assert_true(machine_violated(machine, VIONET_VIOLATION_ADDRESS) ==
                  (failing_malloc_failed() > 0));
    machine_forget_events(machine);
    end_machine(machine);
    g_free(octets);
}

static void test_commands(void)
{
    run_all(scene_commands, 0, true);
}

static void test_life(void)
{
    run_all(scene_life, 0, false);
}

static void test_memory(void)
{
    run_all(scene_memory, 0, false);
}

static void test_load(void)
{
    run_all(scene_load, 0, false);
    run_all(scene_load_long, SMALL, true);
}

static void test_bounce(void)
{
    run_all(scene_bounce, SMALL, true);
}

#ifdef TEST_FAULTS_SERVERS

/* ---- the servers ---- */

/* The linker puts this in place of GLib's for the clients, which let the servers run so (--wrap). */
gboolean __real_g_main_context_iteration(GMainContext *context, gboolean may_block);
gboolean __wrap_g_main_context_iteration(GMainContext *context, gboolean may_block);

gboolean __wrap_g_main_context_iteration(GMainContext *context, gboolean may_block)
{
    gboolean went_on;

    failing_malloc_enter();
    went_on = __real_g_main_context_iteration(context, may_block);
    failing_malloc_leave();
    return went_on;
}

/* A session of each kind of message. What can be refused for want of memory is a scenario of its own. */
static void scene_vfio_user(void)
{
    static const uint8_t write_multi[8] = {0};
    const uint32_t info[4] = {16, 0, 0, 0};
    const uint32_t region_info[8] = {32, 0, 4, 0, 0, 0, 0, 0};
    const uint32_t io_fds[4] = {16 + 40 * 3, 0, 4, 0};
    struct guest *guest = g_new0(struct guest, 1);
    struct client *client = &guest->client;
    struct host host;
    int fd;

    host_init(&host, "queues=2,rss=on", "loopback");
    guest_open(guest, &host, false);
    client_call(client, GET_INFO, info, sizeof(info));
    client_call(client, GET_REGION_INFO, region_info, sizeof(region_info));
    client_call(client, GET_REGION_IO_FDS, io_fds, sizeof(io_fds));
    client_call(client, WRITE_MULTI, write_multi, sizeof(write_multi));
    client_call(client, FEATURE, info, sizeof(info));
    client_call(client, MIG_READ, NULL, 0);
    fd = new_memfd(1 << 20);
    g_assert_cmpuint(client_map(client, UINT64_C(1) << 40, 1 << 20, 3, fd, 0), ==, 0);
    g_assert_cmpuint(client_map(client, UINT64_C(1) << 41, 1 << 20, 3, -1, 0), ==, 0);
    close(fd);
    guest_boot(guest);
    g_assert_cmpuint(client_unmap(client, UINT64_C(1) << 41, 1 << 20), ==, 0);
    assert_answered(net_control_pairs(guest->net, 2));
    g_assert_cmpuint(client_call(client, DEVICE_RESET, NULL, 0), ==, 0);
    guest_boot(guest);
    guest_close(guest);
    g_free(guest);
    failing_malloc_end();
    host_works(&host);
    host_end(&host);
}

/* As many mappings as a client may have, and one more. */
static void scene_mappings(void)
{
    struct client *client = g_new0(struct client, 1);
    const int fd = new_memfd(4096);
    struct host host;
    unsigned n = 0;

    host_init(&host, "", "loopback");
    client_open(client, &host);
    while (client_map(client, (uint64_t)n * 8192, 4096, 3, n % 2 ? -1 : fd, 0) == 0) {
        n++;
    }
    g_assert_cmpuint(client->error, ==, ENOSPC);
    g_assert_cmpuint(n, ==, 2048);
    client_close(client);
    close(fd);
    g_free(client);
    failing_malloc_end();
    host_works(&host);
    host_end(&host);
}

/* A frame that loopback has to keep: without memory it is dropped, and the next one is not. */
static void scene_frames(void)
{
    struct frame_fifo *fifo = frame_fifo_new(4);
    uint8_t octets[60000] = {0};
    const struct iovec iov = {octets, sizeof(octets)};
    const VionetFrame frame = {.iov = &iov, .n_iov = 1, .len = sizeof(octets)};
    VionetFrame taken;
    unsigned n_kept = 0;

    failing_malloc_enter();
    for (unsigned i = 0; i < 2; i++) {
        n_kept += frame_fifo_put(fifo, &frame);
    }
    failing_malloc_leave();
    g_assert_cmpuint(n_kept, ==, failing_malloc_failed() ? 1 : 2);
    g_assert_cmpuint(frame_fifo_waiting(fifo), ==, n_kept);
    g_assert_cmpuint(frame_fifo_take(fifo, &taken, 1), ==, 1);
    g_assert_cmpuint(taken.len, ==, sizeof(octets));
    frame_fifo_free(fifo);
}

/* The longest command, which comes while the device waits: it is kept, or the client is lost. */
static void scene_held(void)
{
    struct held *held = held_new();
    uint8_t *payload = g_malloc0(STREAM_MAX_DATA);
    struct stream_message message = {.payload = payload, .len = STREAM_MAX_DATA};
    struct held_message *kept;

    failing_malloc_enter();
    g_assert_true(held_add(held, &message, false, false) == (failing_malloc_failed() == 0));
    failing_malloc_leave();
    kept = held_take(held);
    g_assert_true((kept != NULL) == (failing_malloc_failed() == 0));
    if (kept) {
        g_assert_cmpmem(kept->message.payload, kept->message.len, payload, STREAM_MAX_DATA);
        held_message_free(kept);
    }
    held_free(held);
    g_free(payload);
}

/* The longest answer, to a client that does not read: it is kept, or the client is lost. */
static void scene_kept(void)
{
    uint8_t *payload = g_malloc0(STREAM_MAX_DATA);
    const int little = 4096;
    struct stream *stream;
    bool sent;
    int ends[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), ==, 0);
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &little, sizeof(little));
    stream = stream_new(ends[0]);
    failing_malloc_enter();
    sent = stream_send(stream, (struct vfio_user_header){0}, payload, STREAM_MAX_DATA, NULL, 0);
    failing_malloc_leave();
    g_assert_true(sent == (failing_malloc_failed() == 0));
    g_assert_true(stream_is_full(stream) == sent);
    stream_free(stream);
    close(ends[1]);
    g_free(payload);
}

static void test_vfio_user(void)
{
    run_all(scene_vfio_user, 0, false);
    run_all(scene_held, STREAM_MAX_DATA, true);
    run_all(scene_kept, STREAM_MAX_DATA / 2, true);
}

static void scene_vhost_user(void)
{
    scene_vhost_user_begin();
    scene_vhost_user_run();
    failing_malloc_end();
    scene_vhost_user_end();
}

static void test_vhost_user(void)
{
    run_all(scene_vhost_user, 0, false);
}

static void test_mappings(void)
{
    const struct run run = {scene_mappings, SMALL + 1};
    const struct report report = run_once(&run, 0);

    g_assert_cmpuint(report.seen, ==, 0);
}

#define SMALL_FRAME 60000

static void test_frames(void)
{
    run_all(scene_frames, SMALL_FRAME, true);
}

#endif

int main(int argc, char **argv)
{
    int status;

    g_setenv("G_SLICE", "always-malloc", TRUE); /* or some are hidden in pools */
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/faults/allocations/commands", test_commands);
    g_test_add_func("/faults/allocations/life", test_life);
    g_test_add_func("/faults/allocations/memory", test_memory);
    g_test_add_func("/faults/allocations/load", test_load);
    g_test_add_func("/faults/allocations/bounce", test_bounce);
#ifdef TEST_FAULTS_SERVERS
    host_quiet();
    g_test_add_func("/faults/allocations/vfio-user", test_vfio_user);
    g_test_add_func("/faults/allocations/vhost-user", test_vhost_user);
    g_test_add_func("/faults/allocations/mappings", test_mappings);
    g_test_add_func("/faults/allocations/frames", test_frames);
#endif
    status = g_test_run();
    g_print("# faults injected: %u, survived: %u, ended by GLib: %u, of %zu octets at most\n",
            n_injected, n_survived, n_injected - n_survived, largest);
    return status;
}
