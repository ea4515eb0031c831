/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a vhost-user back-end leaves that is killed with the guest's frames in its hands (INFLIGHT_SHMFD): the
 * next one loses none of the driver's buffers and gives none back twice, in rings of either format, wherever
 * it was killed. The driver model sees to that; the back-end that dies is a child of this process.
 */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vionet/spec.h>
#include <vionet/transport.h>

#include "vhost_front.h"

#define F_PACKED   (UINT64_C(1) << 34)
#define F_INDIRECT (UINT64_C(1) << 28)

/* As it goes over the wire. */
struct about {
    uint64_t size, offset;
    uint16_t rings, ring_size;
    uint32_t padding;
};

struct scene {
    struct front *front;
    bool packed;
    struct about about;
    int fd;
    uint8_t *region;
    unsigned number; /* of the next frame */
};

static uint64_t give(struct scene *scene)
{
    return front_ack(scene->front, SET_INFLIGHT_FD, &scene->about, sizeof(scene->about), &scene->fd,
                     1);
}

static bool get(struct front *front, struct about *about)
{
    front_post(front, GET_INFLIGHT_FD, 0, about, sizeof(*about), NULL, 0);
    front_settle(front);
    g_assert_true(front_reply(front, GET_INFLIGHT_FD));
    g_assert_cmpuint(front->len, ==, sizeof(*about));
    memcpy(about, front->data, sizeof(*about));
    g_assert_cmpint(front->reply_fd >= 0, ==, about->size > 0);
    return about->size > 0;
}

static uint64_t features(const struct scene *scene)
{
    return scene->packed ? (F_DRIVER | F_PACKED) & ~F_INDIRECT : F_DRIVER & ~F_INDIRECT;
}

/* From its beginning, as a front-end knows it which was never told of another place. */
static void start_rings(struct scene *scene)
{
    struct front *front = scene->front;

    g_assert_cmpuint(front_set_memory(front), ==, 0);
    g_assert_cmpuint(give(scene), ==, 0);
    for (unsigned i = 0; i < 2; i++) {
        g_assert_cmpuint(front_state(front, SET_VRING_ENABLE, i, 1), ==, 0);
        front_set_ring(front, i, scene->packed ? 0x80008000 : 0);
    }
}

static struct scene *begin(bool packed)
{
    struct scene *scene = g_new0(struct scene, 1);
    struct front *front = g_new0(struct front, 1);

    scene->front = front;
    scene->packed = packed;
    front_init(front, packed ? "packed=on" : "", "loopback");
    front_connect(front);
    front_negotiate(front, features(scene));
    scene->about = (struct about){.rings = 2, .ring_size = RING_SIZE};
    g_assert_true(get(front, &scene->about));
    scene->fd = dup(front->reply_fd);
    scene->region = mmap(NULL, scene->about.size, PROT_READ | PROT_WRITE, MAP_SHARED, scene->fd, 0);
    g_assert_true(scene->region != MAP_FAILED);
    start_rings(scene);
    front_fill(front);
    return scene;
}

static void end(struct scene *scene)
{
    munmap(scene->region, scene->about.size);
    close(scene->fd);
    front_end(scene->front);
    g_free(scene->front);
    g_free(scene);
}

static void echo(struct scene *scene, unsigned n)
{
    while (n-- > 0) {
        front_echo(scene->front, scene->number++);
    }
}

/* A back-end that takes n frames, gives those of the list back, and is killed. */
static void die(struct scene *scene, unsigned n, const char *back)
{
    VionetDevice *device = vionet_frontend_device(vionet_vhost_user_frontend(scene->front->server));
    const pid_t child = fork();
    int status;

    if (child == 0) {
        VionetFrame frames[RING_SIZE];
        const size_t taken = vionet_device_transmit(device, 0, frames, n);

        for (; taken == n && *back; back++) {
            vionet_device_complete(device, 0, &frames[*back - '0'], 1);
        }
        kill(taken == n ? getpid() : 0, SIGKILL);
        _exit(1);
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_true(WIFSIGNALED(status));
}

/* Another one comes; what this process has of the one before did nothing since. */
static void come_again(struct scene *scene)
{
    front_close(scene->front);
    front_connect(scene->front);
    front_negotiate(scene->front, features(scene));
    start_rings(scene);
    front_settle(scene->front);
}

static void transmit(struct scene *scene, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        front_transmit(scene->front, scene->number++);
    }
}

/* All n buffers are given back, and those frames come once more that had not been. */
static void expect(struct scene *scene, unsigned n, unsigned again)
{
    g_assert_cmpuint(front_reclaim(scene->front), ==, n);
    for (unsigned i = scene->number - again; i < scene->number; i++) {
        g_assert_cmpint(front_receive(scene->front), ==, i);
    }
    g_assert_cmpint(front_receive(scene->front), ==, -1);
    front_kick(scene->front, 0);
}

/* Of five of seven frames taken, some are given back, in whatever order. */
static void test_killed(gconstpointer packed)
{
    static const struct {
        const char *back;
        unsigned shown; /* in the order of taking: the used ones */
    } deaths[] = {{"", 0}, {"0", 1}, {"341", 0}, {"1023", 4}, {"10", 2}, {"402", 1}, {"43210", 5}};
    struct scene *scene = begin(GPOINTER_TO_INT(packed));

    for (unsigned round = 0; round < 4 * G_N_ELEMENTS(deaths); round++) {
        const unsigned i = round % G_N_ELEMENTS(deaths);

        echo(scene, 13); /* so that the ring's end is passed in the middle, too */
        transmit(scene, 7);
        die(scene, 5, deaths[i].back);
        come_again(scene);
        expect(scene, 7, 7 - deaths[i].shown);
    }
    echo(scene, 3 * RING_SIZE);
    end(scene);
}

/* ---- In the middle of showing ---- */

#define PLACES 16 /* in a packed ring's region: two indices, two wrap counters */

static uint64_t *places_of(const struct scene *scene)
{
    return (uint64_t *)(scene->region + scene->about.size / 2 + PLACES);
}

/* Both places, one from each. */
static uint64_t mix(uint64_t before, uint64_t after)
{
    const uint64_t old = UINT64_C(0xff00ffff0000);

    return (after & ~old) | (before & old);
}

/*
 * A burst of used descriptors of a packed ring is written from the second on, then the first. Killed before
 * any of them, before the first, and behind it: what had been given back comes to the driver, and goes
 * out no second time.
 */
static void test_killed_showing(void)
{
    struct scene *scene = begin(true);
    uint8_t before[16 * RING_SIZE], after[16 * RING_SIZE];
    uint64_t places;
    uint8_t *descs;

    descs = guest_ptr(scene->front->memory, scene->front->rings[1].area.desc_gpa, sizeof(before));
    for (unsigned round = 0; round < 60; round++) {
        unsigned first;

        echo(scene, 5);
        transmit(scene, 3);
        memcpy(before, descs, sizeof(before));
        places = GUINT64_FROM_LE(*places_of(scene));
        first = places & 0x7fff;
        g_assert_cmpuint(first, <, RING_SIZE);
        die(scene, 3, "210"); /* shown at once */
        memcpy(after, descs, sizeof(after));
        g_assert_cmpint(memcmp(before, after, sizeof(before)), !=, 0);
        *places_of(scene) = GUINT64_TO_LE(mix(places, GUINT64_FROM_LE(*places_of(scene))));
        if (round % 3 == 0) {
            memcpy(descs, before, sizeof(before));
        } else if (round % 3 == 1) {
            memcpy(descs + 16 * first, before + 16 * first, 16);
        }
        come_again(scene);
        expect(scene, 3, 0);
    }
    end(scene);
}

/* ---- When it says nothing ---- */

/* GET_VRING_BASE: the front-end knows the place, and may choose another. */
static void test_told(gconstpointer packed)
{
    struct scene *scene = begin(GPOINTER_TO_INT(packed));
    struct front *front = scene->front;

    echo(scene, RING_SIZE + 5);
    for (unsigned round = 0; round < 3; round++) {
        uint32_t base[2];

        for (unsigned i = 0; i < 2; i++) {
            base[i] = front_get_base(front, i);
            g_assert_cmphex(base[i] & 0xff, ==, scene->packed ? (round * 2 + 5) : (69 + round * 2));
        }
        g_assert_cmpuint(give(scene), ==, 0);
        for (unsigned i = 0; i < 2; i++) {
            front_set_ring(front, i, base[i]);
        }
        g_assert_cmpuint(give(scene), ==, 1); /* not while they run */
        echo(scene, 1);
        g_assert_cmpuint(front_set_memory(front), ==, 0);
        echo(scene, 1);
    }
    end(scene);
}

static void test_refused(void)
{
    static const struct about wrong[] = {
        {0, 0, 0, RING_SIZE, 0}, {0, 0, 4, RING_SIZE, 0}, {0, 0, 65535, RING_SIZE, 0},
        {0, 0, 2, 0, 0},         {0, 0, 2, 32769, 0},     {0, 0, 65535, 65535, 0},
    };
    struct scene *scene = begin(false);
    struct front *front = scene->front;
    struct about about;
    const struct about good = scene->about;

    front_close(front);
    front_connect(front);
    front_negotiate(front, features(scene));
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        about = wrong[i];
        g_assert_false(get(front, &about));
        scene->about = wrong[i];
        scene->about.size = good.size;
        g_assert_cmpuint(give(scene), ==, 1);
    }
    for (unsigned i = 0; i < 1000; i++) { /* U-06: none is left */
        about = (struct about){.rings = 2, .ring_size = RING_SIZE};
        g_assert_true(get(front, &about));
        g_assert_cmpuint(give(scene), ==, i ? 0 : 1);
        scene->about = good;
    }
    g_assert_cmpuint(front_count_maps(), <, 10);
    scene->about.size = good.size - 1;
    g_assert_cmpuint(give(scene), ==, 1);
    scene->about.size = good.size + 1;
    g_assert_cmpuint(give(scene), ==, 1);
    scene->about.size = UINT64_MAX;
    g_assert_cmpuint(give(scene), ==, 1);
    scene->about = good;
    scene->about.offset = 64;
    g_assert_cmpuint(give(scene), ==, 1);
    scene->about.offset = 1;
    g_assert_cmpuint(give(scene), ==, 1);
    scene->about.offset = UINT64_MAX - 63;
    g_assert_cmpuint(give(scene), ==, 1);
    scene->about = good;
    g_assert_cmpuint(front_number(front, SET_PROTOCOL_FEATURES, P_ALL & ~P_INFLIGHT), ==, 0);
    g_assert_cmpuint(give(scene), ==, 1);
    g_assert_false(get(front, &about));
    end(scene);
}

/* U-07: whatever stands there, and while it is used; the next session works. */
static void test_nonsense(gconstpointer packed)
{
    GRand *rand = g_rand_new_with_seed(7);

    for (unsigned round = 0; round < 200; round++) {
        struct scene *scene = begin(GPOINTER_TO_INT(packed));
        struct front *front = scene->front;

        echo(scene, 3);
        front_close(front);
        for (unsigned i = 0; i < 40; i++) {
            const guint32 at = i < 20 ? g_rand_int_range(rand, 8, 64)
                                      : g_rand_int_range(rand, 8, (gint32)scene->about.size);

            /* of the ring's header mostly, and it says that it is one */
            scene->region[at] = (uint8_t)g_rand_int_range(rand, 0, 256);
            scene->region[at / 2 + scene->about.size / 2] = (uint8_t)g_rand_int_range(rand, 0, 256);
        }
        for (unsigned i = 0; i < 2; i++) {
            uint8_t *ring = scene->region + i * scene->about.size / 2;

            memcpy(ring + 8, "\1\0\100\0", 4);
            ring[22] = scene->packed ? 2 : 1;
        }
        front_connect(front);
        front_negotiate(front, features(scene));
        front_set_memory(front);
        g_assert_cmpuint(give(scene), ==, 0);
        for (unsigned i = 0; i < 2; i++) {
            front_state(front, SET_VRING_ENABLE, i, 1);
            front_set_ring(front, i, 0);
        }
        front_transmit(front, 1);
        front_kick(front, 1);
        memset(scene->region, 0xff, scene->about.size);
        front_transmit(front, 2);
        front_kick(front, 1);
        g_assert_cmpint(ftruncate(scene->fd, 0), ==, 0);
        front_transmit(front, 3);
        front_kick(front, 1);
        front_close(front);
        front_works(front);
        end(scene);
    }
    g_rand_free(rand);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    front_quiet();
    g_test_add_data_func("/vhost-inflight/killed/split", GINT_TO_POINTER(0), test_killed);
    g_test_add_data_func("/vhost-inflight/killed/packed", GINT_TO_POINTER(1), test_killed);
    g_test_add_func("/vhost-inflight/killed/while-showing", test_killed_showing);
    g_test_add_data_func("/vhost-inflight/told/split", GINT_TO_POINTER(0), test_told);
    g_test_add_data_func("/vhost-inflight/told/packed", GINT_TO_POINTER(1), test_told);
    g_test_add_func("/vhost-inflight/U-06/refused", test_refused);
    g_test_add_data_func("/vhost-inflight/U-07/split", GINT_TO_POINTER(0), test_nonsense);
    g_test_add_data_func("/vhost-inflight/U-07/packed", GINT_TO_POINTER(1), test_nonsense);
    return g_test_run();
}
