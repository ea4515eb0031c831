/* SPDX-License-Identifier: BSD-3-Clause */
/* The vfio-user server with a client that does not share its memory, or not all of it. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>

#include <vionet/spec.h>
#include <vionet/transport.h>

#include "driver/control.h"
#include "vfio_client.h"
#include "vfio_responder.h"

#define STATUS_REGISTER 20

struct scene {
    struct host host;
    struct guest guest;
    struct responder responder;
};

struct scene_options {
    bool twin;
    bool bare;
    unsigned parts;         /* 0: 1 */
    unsigned max_data;      /* 0: not said */
    const char *properties; /* NULL: none */
};

static struct scene *scene_new(const struct scene_options *options)
{
    struct scene *scene = g_new0(struct scene, 1);
    struct client *client = &scene->guest.client;
    char *json = g_strdup_printf("{\"capabilities\":{\"max_msg_fds\":16,\"write_multiple\":true,"
                                 "\"twin_socket\":{\"supported\":%s}%s}}",
                                 options->twin ? "true" : "false",
                                 options->max_data ? ",\"max_data_xfer_size\":64" : "");
    int twin = -1;

    host_init(&scene->host, options->properties ? options->properties : "", "loopback");
    client_connect(client, &scene->host);
    g_assert_cmpuint(client_version(client, json), ==, 0);
    g_assert_cmpuint(client->n_fds, ==, options->twin);
    if (options->twin) {
        twin = dup(client->fds[0]);
    }
    guest_begin(&scene->guest);
    scene->responder.bare = options->bare;
    scene->responder.max_data = options->max_data ? options->max_data : 65536;
    responder_start(&scene->responder, client, scene->guest.memory, twin);
    guest_connect(&scene->guest, false, options->parts ? options->parts : 1);
    g_free(json);
    return scene;
}

static void scene_end(struct scene *scene)
{
    scene->guest.client.len = 0;
    responder_end(&scene->responder, &scene->guest.client);
    guest_close(&scene->guest);
    host_works(&scene->host);
    host_end(&scene->host);
    g_free(scene);
}

static bool is_connected(struct scene *scene)
{
    host_settle(&scene->host);
    return vionet_vfio_user_is_connected(scene->host.server);
}

/* The driver sends a frame, and does not care what becomes of it. */
static void send_frame(struct scene *scene)
{
    uint8_t frame[200] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2};

    g_assert_true(net_transmit(scene->guest.net, 0, NULL, frame, sizeof(frame)));
}

/* ---- Traffic ---- */

static void pass_traffic(const struct scene_options *options)
{
    const unsigned fds = count_fds();
    struct scene *scene = scene_new(options);

    guest_boot(&scene->guest);
    for (unsigned i = 0; i < 40; i++) {
        guest_echo(&scene->guest, i);
        g_assert_cmpint(net_control_vlan_add(scene->guest.net, (uint16_t)(i + 1)), ==,
                        VIRTIO_NET_OK);
    }
    g_assert_cmpuint(scene->responder.n_requests, >, 40);
    g_assert_cmpuint(scene->host.events, >, 0);
    g_assert_true(is_connected(scene));
    scene_end(scene);
    g_assert_cmpuint(count_fds(), ==, fds);
}

static void test_traffic(void)
{
    pass_traffic(&(struct scene_options){0});
    pass_traffic(&(struct scene_options){.bare = true});
    pass_traffic(&(struct scene_options){.parts = 1024});
}

static void test_traffic_twin(void)
{
    pass_traffic(&(struct scene_options){.twin = true});
    pass_traffic(&(struct scene_options){.twin = true, .parts = 1024});
}

static void test_little_data(void)
{
    pass_traffic(&(struct scene_options){.max_data = 64});
    pass_traffic(&(struct scene_options){.max_data = 64, .twin = true});
}

/* ---- Wrong answers ---- */

static void misbehave(enum misdeed misdeed, bool twin)
{
    struct scene *scene = scene_new(&(struct scene_options){.twin = twin});
    const bool harmless = misdeed == ERROR_ANSWER || misdeed == NO_MISDEED;

    guest_boot(&scene->guest);
    guest_echo(&scene->guest, 1);
    scene->responder.misdeed = misdeed;
    scene->responder.act_at = scene->responder.n_requests + 1;
    send_frame(scene);
    if (misdeed == TWO_ANSWERS && is_connected(scene)) {
        send_frame(scene);
    }
    g_assert_true(is_connected(scene) == harmless);
    g_assert_cmpuint(scene->host.gone, ==, !harmless);
    if (misdeed == ERROR_ANSWER) {
        g_assert_cmphex(guest_driver_status(scene->guest.driver) & VIRTIO_STATUS_DEVICE_NEEDS_RESET,
                        !=, 0);
        g_assert_cmpint(scene->host.last_event.kind, ==, VIONET_EVENT_VIOLATION);
        g_assert_cmpint(scene->host.last_event.violation, ==, VIONET_VIOLATION_RING_ADDRESS);
        guest_boot(&scene->guest);
        guest_echo(&scene->guest, 2);
    }
    scene->guest.dead = !harmless;
    scene_end(scene);
}

static void test_misdeeds(void)
{
    for (enum misdeed misdeed = NO_MISDEED; misdeed < N_MISDEEDS; misdeed++) {
        misbehave(misdeed, false);
    }
}

static void test_misdeeds_twin(void)
{
    for (enum misdeed misdeed = NO_MISDEED; misdeed < N_MISDEEDS; misdeed++) {
        if (misdeed != GO_AWAY) {
            misbehave(misdeed, true);
        }
    }
}

/* ---- A client that does one thing at a time ---- */

/* What it does before it answers; acts is how often that worked out. */
static atomic_uint acts;

static uint8_t nested_status(struct responder *responder)
{
    const struct region_access access = {STATUS_REGISTER, BAR_VIRTIO, 1};
    uint8_t answer[17] = {0};

    g_assert_cmpint(
        responder_call(responder, REGION_READ, &access, sizeof(access), answer, sizeof(answer)), ==,
        17);
    return answer[16];
}

static int nested_write(struct responder *responder, uint32_t region, uint64_t offset,
                        uint64_t value, uint32_t size)
{
    struct {
        struct region_access access;
        uint64_t value;
    } write = {{offset, region, size}, value};
    uint8_t answer[16];

    return responder_call(responder, REGION_WRITE, &write, sizeof(write.access) + size, answer,
                          sizeof(answer));
}

static void act_read(struct responder *responder)
{
    g_assert_cmphex(nested_status(responder) & VIRTIO_STATUS_FEATURES_OK, !=, 0);
    acts++;
}

/* MSI-X table, a notification (twice), information. */
static void act_write(struct responder *responder)
{
    const uint32_t info[4] = {16, 0, 0, 0};
    uint8_t answer[64];

    g_assert_cmpint(nested_write(responder, BAR_MSIX, 16 * 9, 0x1000, 4), ==, 16);
    g_assert_cmpint(nested_write(responder, BAR_VIRTIO, 0x3000, 0, 2), ==, 16);
    g_assert_cmpint(nested_write(responder, BAR_VIRTIO, 0x3000, 0, 2), ==, 16);
    g_assert_cmpint(nested_write(responder, BAR_VIRTIO, UINT64_MAX, 0, 2), ==, -EINVAL);
    g_assert_cmpint(responder_call(responder, GET_INFO, info, sizeof(info), answer, sizeof(answer)),
                    ==, 16);
    act_read(responder);
}

/* Memory comes and goes. */
static void act_map(struct responder *responder)
{
    const struct dma_map map = {sizeof(map), 3, 0, UINT64_C(1) << 40, 1 << 20};
    const struct dma_unmap unmap = {sizeof(unmap), 0, map.address, map.size};
    uint8_t answer[64];

    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmpint(responder_call(responder, DMA_MAP, &map, sizeof(map), answer, 64), ==, 0);
        g_assert_cmpint(responder_call(responder, DMA_MAP, &map, sizeof(map), answer, 64), ==,
                        -EEXIST);
        g_assert_cmpint(responder_call(responder, DMA_UNMAP, &unmap, sizeof(unmap), answer, 64), ==,
                        24);
        g_assert_cmpint(responder_call(responder, DMA_UNMAP, &unmap, sizeof(unmap), answer, 64), ==,
                        -ENOENT);
    }
    acts++;
}

/* At each request of a boot and a frame. */
static void act_at_each(void (*act)(struct responder *responder), const char *properties)
{
    for (unsigned n = 1;; n++) {
        struct scene *scene = scene_new(&(struct scene_options){.properties = properties});
        const unsigned before = acts;

        scene->responder.on_request = act;
        scene->responder.act_at = n;
        guest_boot(&scene->guest);
        guest_echo(&scene->guest, 1);
        g_assert_cmpint(net_control_vlan_add(scene->guest.net, 7), ==, VIRTIO_NET_OK);
        scene->responder.act_at = 0;
        guest_echo(&scene->guest, 2);
        g_assert_true(is_connected(scene));
        scene_end(scene);
        if (acts == before) {
            g_assert_cmpuint(n, >, 20);
            break;
        }
    }
}

static void test_read_while_waiting(void)
{
    act_at_each(act_read, NULL);
}

static void test_write_while_waiting(void)
{
    act_at_each(act_write, NULL);
    act_at_each(act_write, "notify-multiplier=0");
}

static void test_map_while_waiting(void)
{
    act_at_each(act_map, NULL);
}

/* The driver resets the device, by the register or by the bus, and sees that it is reset. */
static void act_reset(struct responder *responder)
{
    g_assert_cmpint(nested_write(responder, BAR_VIRTIO, STATUS_REGISTER, 0, 1), ==, 16);
    g_assert_cmphex(nested_status(responder), ==, 0);
    acts++;
}

static void act_bus_reset(struct responder *responder)
{
    uint8_t answer[16];

    g_assert_cmpint(responder_call(responder, DEVICE_RESET, NULL, 0, answer, 16), ==, 0);
    g_assert_cmphex(nested_status(responder), ==, 0);
    acts++;
}

/* The client acts in its own time; how often it did. */
static unsigned wait_for_act(struct scene *scene, unsigned before)
{
    host_settle(&scene->host);
    for (unsigned i = 0; i < 3000 && scene->responder.n_requests >= scene->responder.act_at; i++) {
        host_settle(&scene->host);
        if (acts > before) {
            break;
        }
        g_usleep(1000);
    }
    return acts - before;
}

static void reset_at_each(void (*act)(struct responder *responder))
{
    unsigned n_acts = 1;

    for (unsigned n = 1; n_acts > 0; n++) {
        struct scene *scene = scene_new(&(struct scene_options){0});
        const unsigned before = acts;

        guest_boot(&scene->guest);
        guest_echo(&scene->guest, 1);
        scene->responder.on_request = act;
        scene->responder.act_at = scene->responder.n_requests + n;
        send_frame(scene);
        n_acts = wait_for_act(scene, before);
        g_assert_true(n_acts == 1 || n > 12);
        g_assert_true(is_connected(scene));
        scene->responder.act_at = 0;
        scene->guest.driver->probed = false;
        guest_boot(&scene->guest);
        guest_echo(&scene->guest, 2);
        scene_end(scene);
    }
}

static void test_reset_while_waiting(void)
{
    reset_at_each(act_reset);
}

static void test_bus_reset_while_waiting(void)
{
    reset_at_each(act_bus_reset);
}

/* All memory goes; from then on none of it is asked for. */
static void act_unmap_all(struct responder *responder)
{
    const struct dma_unmap unmap = {sizeof(unmap), 2, 0, 0};
    uint8_t answer[64];

    g_assert_cmpint(responder_call(responder, DMA_UNMAP, &unmap, sizeof(unmap), answer, 64), ==,
                    24);
    acts++;
}

static void test_unmap_while_waiting(void)
{
    for (unsigned parts = 1; parts <= 1024; parts += 1023) {
        for (unsigned n = 1; n < 8; n++) {
            struct scene *scene = scene_new(&(struct scene_options){.parts = parts});
            unsigned before;

            guest_boot(&scene->guest);
            guest_echo(&scene->guest, 1);
            scene->responder.on_request = act_unmap_all;
            before = scene->responder.n_requests;
            scene->responder.act_at = before + n;
            send_frame(scene);
            host_settle(&scene->host);
            g_assert_true(is_connected(scene));
            g_assert_cmpuint(scene->responder.n_requests, <=, before + n);
            scene_end(scene);
        }
    }
}

/* More commands than are kept, and no answer. */
static void act_flood(struct responder *responder)
{
    struct {
        struct region_access access;
        uint16_t select;
    } write = {{22, BAR_VIRTIO, 2}, 0};

    for (unsigned i = 0; i < 2000; i++) {
        write.select = (uint16_t)i;
        responder_post(responder, REGION_WRITE, NO_REPLY, &write, sizeof(write.access) + 2);
    }
    acts++;
}

static void test_flood(void)
{
    struct scene *scene = scene_new(&(struct scene_options){0});
    const unsigned before = acts;

    guest_boot(&scene->guest);
    scene->responder.on_request = act_flood;
    scene->responder.act_at = scene->responder.n_requests + 1;
    send_frame(scene);
    g_assert_false(is_connected(scene));
    scene->guest.dead = true;
    scene_end(scene);
    g_assert_cmpuint(acts, ==, before + 1);
}

/* A reply to nothing, and one to what was never given up. */
static void test_unasked_reply(void)
{
    struct scene *scene = scene_new(&(struct scene_options){0});

    guest_boot(&scene->guest);
    client_post(&scene->guest.client, DMA_READ, 1, NULL, 0, NULL, 0);
    g_assert_false(is_connected(scene));
    scene->guest.dead = true;
    scene_end(scene);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    host_quiet();
    g_test_add_func("/vfio-remote/traffic", test_traffic);
    g_test_add_func("/vfio-remote/traffic-twin", test_traffic_twin);
    g_test_add_func("/vfio-remote/little-data", test_little_data);
    g_test_add_func("/vfio-remote/misdeeds", test_misdeeds);
    g_test_add_func("/vfio-remote/misdeeds-twin", test_misdeeds_twin);
    g_test_add_func("/vfio-remote/while-waiting/read", test_read_while_waiting);
    g_test_add_func("/vfio-remote/while-waiting/write", test_write_while_waiting);
    g_test_add_func("/vfio-remote/while-waiting/map", test_map_while_waiting);
    g_test_add_func("/vfio-remote/while-waiting/unmap", test_unmap_while_waiting);
    g_test_add_func("/vfio-remote/while-waiting/reset", test_reset_while_waiting);
    g_test_add_func("/vfio-remote/while-waiting/bus-reset", test_bus_reset_while_waiting);
    g_test_add_func("/vfio-remote/flood", test_flood);
    g_test_add_func("/vfio-remote/unasked-reply", test_unasked_reply);
    return g_test_run();
}
