/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages of a vhost-user front-end as input: requests in order or with a field of them spoiled, as one
 * was seen to send them, raw octets, descriptors of all kinds, in pieces; between them what the front-end's guest does, rings and
 * frames, and files that become shorter; front-ends that go away and come again. One server for all
 * inputs, whose backend is the loopback.
 *
 * What must hold all along: replies are whole and of the size that they say; the event loop comes to
 * rest; after each connection no descriptor and no mapping is left. In the end the next front-end runs
 * its rings and has a frame come back.
 *
 * Input: actions, an octet each with its operands (see act()).
 */
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vionet/spec.h>

#include "input.h"
#include "process.h"
#include "reach.h"
#include "vhost-user/protocol.h"
#include "vhost-user/server.h"

#define MAX_ACTIONS 96
#define FILES       "fuzz-vhost" /* the name of all files that are sent */
#define MAX_COMINGS 8

#define MEMORY      UINT64_C(0x100000) /* where the first file is for the guest */
#define USER        UINT64_C(0x7f0000000000)
#define MEMORY_SIZE 0x10000u
#define RING_SIZE   16
#define RING_SPACE  0x1000u
#define BUFFERS     0x4000u
#define BUFFER_SIZE 0x400u
#define FRAME       60u
#define HEADER      12u

enum {
    CONNECTED,
    REPLIES,
    REFUSED,
    ENDED,
    MEMORIES,
    RAN,
    TAKEN,
    DELIVERED,
    LOGGED,
    SHORTER,
    WORKS
};

struct reach fuzz_reach[] = {
    [CONNECTED] = {"connections", 50, 0},
    [REPLIES] = {"replies", 500, 0},
    [REFUSED] = {"of them refusals", 50, 0},
    [ENDED] = {"connections ended by the server", 10, 0},
    [MEMORIES] = {"memory set", 50, 0},
    [RAN] = {"sessions in which rings ran", 30, 0},
    [TAKEN] = {"frames taken from the driver", 50, 0},
    [DELIVERED] = {"frames delivered", 50, 0},
    [LOGGED] = {"pages noted", 20, 0},
    [SHORTER] = {"files made shorter", 5, 0},
    [WORKS] = {"next front-ends for whom it worked", 50, 0},
    {NULL, 0, 0},
};

#define REACHED(what) (fuzz_reach[what].count++)

/* Descriptors that a front-end can send. */
enum { FILE_MEMORY, FILE_PAGE, FILE_EMPTY, FILE_LOG, EVENT, N_EVENTS = 4 };
enum { PIPE = EVENT + N_EVENTS, FOLDER, SOCKET, FILE_INFLIGHT, N_KINDS };

static GMainContext *context;
static VionetVhostUser *server;
static int kinds[N_KINDS];
static uint8_t *memory;
static unsigned base_fds;
static unsigned base_maps;

struct run {
    struct input input;
    int fd; /* -1: not connected */
    unsigned n_comings;
    bool acks;
    uint16_t posted[3];
};

/* ---- The process ---- */

/* Rings without a descriptor for kicks are polled for ever: a few rounds then have to do. */
static void turn(void)
{
    for (unsigned i = 0; i < 20 && g_main_context_iteration(context, FALSE); i++) {
    }
}

static int make_file(off_t size)
{
    const int fd = memfd_create(FILES, MFD_CLOEXEC);

    FUZZ_REQUIRE(fd >= 0 && ftruncate(fd, size) == 0, "no files in memory");
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void set_up(void)
{
    static const VionetVhostUserOps ops = {.size = sizeof(ops)};
    int ends[2];

    process_drop_log();
    kinds[FILE_MEMORY] = make_file(MEMORY_SIZE);
    kinds[FILE_PAGE] = make_file(4096);
    kinds[FILE_EMPTY] = make_file(0);
    kinds[FILE_LOG] = make_file(4096);
    kinds[FILE_INFLIGHT] = make_file(4096);
    for (unsigned i = 0; i < N_EVENTS; i++) {
        kinds[EVENT + i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    FUZZ_REQUIRE(pipe2(ends, O_CLOEXEC) == 0, "no pipes");
    kinds[PIPE] = ends[1];
    FUZZ_REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "no sockets");
    kinds[SOCKET] = ends[1];
    kinds[FOLDER] = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    memory = mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, kinds[FILE_MEMORY], 0);
    FUZZ_REQUIRE(memory != MAP_FAILED, "no memory");
    context = g_main_context_new();
    server = vionet_vhost_user_new("queues=1", "loopback", context, &ops, NULL, NULL);
    FUZZ_REQUIRE(server, "no server");
    process_settle(context);
    base_maps = process_count_maps(FILES);
}

/* ---- Messages ---- */

static void come(struct run *run)
{
    int ends[2];

    if (run->n_comings++ >= MAX_COMINGS) {
        return;
    }
    FUZZ_REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0,
                 "no sockets");
    FUZZ_REQUIRE(vionet_vhost_user_serve(server, ends[1]), "nobody else is there");
    run->fd = ends[0];
    run->acks = false;
    REACHED(CONNECTED);
}

static void go(struct run *run)
{
    if (run->fd < 0) {
        return;
    }
    if (vionet_frontend_device(vionet_vhost_user_frontend(server)) &&
        vionet_device_running(vionet_frontend_device(vionet_vhost_user_frontend(server)))) {
        REACHED(RAN);
    }
    close(run->fd);
    run->fd = -1;
    turn();
    process_settle(context);
    FUZZ_REQUIRE(!vionet_vhost_user_is_connected(server), "it has gone");
    FUZZ_REQUIRE(process_count_fds() == base_fds, "%u descriptors, %u before", process_count_fds(),
                 base_fds);
    FUZZ_REQUIRE(process_count_maps(FILES) == base_maps, "%u mappings, %u before",
                 process_count_maps(FILES), base_maps);
}

/* Takes the replies that are there; the last one's first number. */
static uint64_t take_replies(struct run *run)
{
    uint64_t number = 0;
    uint32_t header[3];
    uint8_t data[1024];

    while (run->fd >= 0 && recv(run->fd, header, sizeof(header), 0) == sizeof(header)) {
        FUZZ_REQUIRE(header[1] == 5 && header[2] <= 512, "flags %x, size %u", header[1], header[2]);
        FUZZ_REQUIRE(header[2] == 0 || recv(run->fd, data, header[2], 0) == (ssize_t)header[2],
                     "it is whole");
        number = 0;
        memcpy(&number, data, MIN(header[2], sizeof(number)));
        REACHED(REPLIES);
        fuzz_reach[REFUSED].count += header[0] != VHOST_USER_GET_FEATURES && number == 1;
    }
    return number;
}

static void look(struct run *run)
{
    turn();
    take_replies(run);
    if (run->fd >= 0 && !vionet_vhost_user_is_connected(server)) {
        REACHED(ENDED);
        go(run);
    }
}

static void send_octets(struct run *run, const void *octets, size_t len, const int *fds, unsigned n)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(16 * sizeof(int))];
    } control = {.room = {0}};
    struct iovec iov = {(void *)octets, len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (run->fd < 0) {
        return;
    }
    if (n > 0) {
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
        control.header = (struct cmsghdr){
            .cmsg_level = SOL_SOCKET,
            .cmsg_type = SCM_RIGHTS,
            .cmsg_len = CMSG_LEN(n * sizeof(int)),
        };
        memcpy(CMSG_DATA(&control.header), fds, n * sizeof(int));
    }
    (void)!sendmsg(run->fd, &msg, MSG_NOSIGNAL);
}

static void request(struct run *run, uint32_t number, const void *payload, uint32_t len,
                    const int *fds, unsigned n)
{
    const uint32_t header[3] = {number, run->acks ? 9 : 1, len};
    uint8_t octets[sizeof(header) + 512];

    memcpy(octets, header, sizeof(header));
    memcpy(octets + sizeof(header), payload, len);
    send_octets(run, octets, sizeof(header) + len, fds, n);
}

/* ---- Requests as they should be ---- */

static uint32_t area_offset(unsigned ring, unsigned area)
{
    static const uint32_t offsets[3] = {0, 0x400, 0x800};

    return ring * RING_SPACE + offsets[area];
}

/*
 * Payload and descriptors of a request, for a ring, as a front-end that keeps to the protocol sends them.
 * Returns the payload's size.
 */
static uint32_t proper(uint32_t number, unsigned ring, uint64_t payload[8], int *fd)
{
    memset(payload, 0, 8 * sizeof(payload[0]));
    *fd = -1;
    switch (number) {
    case VHOST_USER_SET_FEATURES:
        payload[0] = UINT64_C(1) << 32 | 1u << 30 | 1u << 28 | (ring & 1 ? 1u << 26 : 0) |
                     (ring & 2 ? 1u << 17 : 0);
        return 8;
    case VHOST_USER_SET_PROTOCOL_FEATURES:
        payload[0] = 0x1b23f;
        return 8;
    case VHOST_USER_SET_MEM_TABLE:
        memcpy(payload, (uint64_t[]){1, MEMORY, MEMORY_SIZE, USER, 0}, 40);
        *fd = kinds[FILE_MEMORY];
        return 40;
    case VHOST_USER_ADD_MEM_REG:
    case VHOST_USER_REM_MEM_REG:
        memcpy(payload, (uint64_t[]){0, MEMORY + ring * 0x100000, 4096, USER + ring * 0x100000, 0},
               40);
        *fd = number == VHOST_USER_ADD_MEM_REG ? kinds[FILE_PAGE] : -1;
        return 40;
    case VHOST_USER_SET_LOG_BASE:
        payload[0] = 4096;
        *fd = kinds[FILE_LOG];
        return 16;
    case VHOST_USER_SET_BACKEND_REQ_FD:
        *fd = kinds[SOCKET];
        return 0;
    case VHOST_USER_GET_INFLIGHT_FD:
    case VHOST_USER_SET_INFLIGHT_FD:
        payload[0] = 4096;
        payload[2] = 3 | RING_SIZE << 16;
        *fd = number == VHOST_USER_SET_INFLIGHT_FD ? kinds[FILE_INFLIGHT] : -1;
        return 24;
    case VHOST_USER_SET_VRING_NUM:
        payload[0] = ring | (uint64_t)RING_SIZE << 32;
        return 8;
    case VHOST_USER_SET_VRING_BASE:
    case VHOST_USER_GET_VRING_BASE:
        payload[0] = ring;
        return 8;
    case VHOST_USER_SET_VRING_ENABLE:
        payload[0] = ring | UINT64_C(1) << 32;
        return 8;
    case VHOST_USER_SET_VRING_ADDR:
        payload[0] = ring | UINT64_C(1) << 32;
        payload[1] = USER + area_offset(ring, 0);
        payload[2] = USER + area_offset(ring, 2);
        payload[3] = USER + area_offset(ring, 1);
        payload[4] = MEMORY + area_offset(ring, 2);
        return 40;
    case VHOST_USER_SET_VRING_KICK:
    case VHOST_USER_SET_VRING_CALL:
    case VHOST_USER_SET_VRING_ERR:
        payload[0] = ring;
        *fd = kinds[number == VHOST_USER_SET_VRING_KICK ? EVENT + ring % 2 : EVENT + 2 + ring % 2];
        return 8;
    case VHOST_USER_GET_CONFIG:
    case VHOST_USER_SET_CONFIG:
        payload[0] = (uint64_t)12 << 32;
        return 24;
    case VHOST_USER_SEND_RARP:
    case VHOST_USER_NET_SET_MTU:
    case VHOST_USER_SET_STATUS:
        payload[0] = 1500;
        return 8;
    default:
        return 0;
    }
}

static void ask(struct run *run, uint32_t number, unsigned ring)
{
    uint64_t payload[8];
    int fd;
    const uint32_t len = proper(number, ring, payload, &fd);

    request(run, number, payload, len, &fd, fd >= 0);
    run->acks |= number == VHOST_USER_SET_PROTOCOL_FEATURES;
}

static void boot(struct run *run, unsigned features)
{
    static const uint32_t each[] = {VHOST_USER_SET_VRING_NUM,  VHOST_USER_SET_VRING_BASE,
                                    VHOST_USER_SET_VRING_ADDR, VHOST_USER_SET_VRING_CALL,
                                    VHOST_USER_SET_VRING_KICK, VHOST_USER_SET_VRING_ENABLE};

    memset(memory, 0, BUFFERS);
    memset(run->posted, 0, sizeof(run->posted));
    ask(run, VHOST_USER_SET_OWNER, 0);
    ask(run, VHOST_USER_SET_PROTOCOL_FEATURES, 0);
    ask(run, VHOST_USER_SET_FEATURES, features);
    if (features & 1) {
        ask(run, VHOST_USER_SET_LOG_BASE, 0);
    }
    if (features & 2) {
        ask(run, VHOST_USER_SET_INFLIGHT_FD, 0);
    }
    ask(run, VHOST_USER_SET_MEM_TABLE, 0);
    look(run);
    for (unsigned ring = 0; ring < (features & 2 ? 3 : 2); ring++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(each); i++) {
            ask(run, each[i], ring);
        }
    }
    look(run);
    REACHED(MEMORIES);
}

/* ---- The guest ---- */

static void store(uint32_t at, const void *octets, size_t len)
{
    memcpy(memory + at, octets, len);
}

static void post(struct run *run, unsigned ring, uint32_t len, uint16_t flags)
{
    const uint16_t slot = run->posted[ring] % RING_SIZE;
    const uint32_t buffer = BUFFERS + (ring * RING_SIZE + slot) * BUFFER_SIZE;
    struct {
        uint64_t addr;
        uint32_t len;
        uint16_t flags, next;
    } desc = {MEMORY + buffer, len, flags, 0};

    store(area_offset(ring, 0) + 16u * slot, &desc, sizeof(desc));
    store(area_offset(ring, 1) + 4 + 2u * slot, &slot, 2);
    run->posted[ring]++;
    store(area_offset(ring, 1) + 2, &run->posted[ring], 2);
}

static void kick(unsigned ring)
{
    const uint64_t one = 1;

    (void)!write(kinds[EVENT + ring % 2], &one, sizeof(one));
}

static uint16_t used(unsigned ring)
{
    uint16_t idx;

    memcpy(&idx, memory + area_offset(ring, 2) + 2, 2);
    return idx;
}

static void traffic(struct run *run, unsigned n)
{
    const uint16_t taken = used(1);
    const uint16_t delivered = used(0);

    for (unsigned i = 0; i < n; i++) {
        post(run, 0, BUFFER_SIZE, 2);
        memset(memory + BUFFERS + (RING_SIZE + run->posted[1] % RING_SIZE) * BUFFER_SIZE, 0,
               HEADER);
        memset(memory + BUFFERS + (RING_SIZE + run->posted[1] % RING_SIZE) * BUFFER_SIZE + HEADER,
               0xff, FRAME);
        post(run, 1, HEADER + FRAME, 0);
    }
    kick(0);
    kick(1);
    look(run);
    fuzz_reach[TAKEN].count += (uint16_t)(used(1) - taken) <= n ? (uint16_t)(used(1) - taken) : 0;
    fuzz_reach[DELIVERED].count +=
        (uint16_t)(used(0) - delivered) <= n ? (uint16_t)(used(0) - delivered) : 0;
}

/* ---- Actions ---- */

static void spoiled_request(struct run *run)
{
    const uint32_t number = input_edgy(&run->input, input_8(&run->input) % 48);
    const unsigned ring = input_below(&run->input, 4);
    const unsigned how = input_8(&run->input);
    uint64_t payload[64] = {0};
    uint32_t len;
    int fds[12];
    unsigned n_fds;

    len = proper(number, ring, payload, &fds[0]);
    n_fds = fds[0] >= 0;
    if (how & 1) {
        payload[input_below(&run->input, 8)] = input_64(&run->input);
    }
    if (how & 2) {
        len = input_below(&run->input, 512);
    }
    if (how & 4) {
        n_fds = input_below(&run->input, G_N_ELEMENTS(fds));
        for (unsigned i = 0; i < n_fds; i++) {
            fds[i] = kinds[input_below(&run->input, N_KINDS)];
        }
    }
    if (how & 8) {
        uint8_t *octet = (uint8_t *)payload + input_below(&run->input, 48);

        *octet = input_8(&run->input);
    }
    run->acks = !(how & 16) && run->acks;
    request(run, number, payload, len, fds, n_fds);
    run->acks |= (how & 16) != 0;
}

static void raw_octets(struct run *run)
{
    size_t len = input_below(&run->input, 64);
    const uint8_t *octets = input_take(&run->input, &len);
    const int fd = kinds[input_below(&run->input, N_KINDS)];

    send_octets(run, octets, len, &fd, len % 3 == 1);
}

/* As a front-end was seen to send it. */
static void whole_message(struct run *run)
{
    const uint32_t number = input_8(&run->input);
    const unsigned n_fds = input_below(&run->input, 4);
    uint8_t payload[300];
    int fds[4];
    unsigned len;

    for (unsigned i = 0; i < n_fds; i++) {
        fds[i] = kinds[input_below(&run->input, N_KINDS)];
    }
    len = input_below(&run->input, sizeof(payload));
    input_octets(&run->input, payload, len);
    request(run, number, payload, len, fds, n_fds);
    run->acks |= number == VHOST_USER_SET_PROTOCOL_FEATURES;
}

static void scribble(struct run *run)
{
    const uint32_t at = input_below(&run->input, BUFFERS);

    memory[at] = input_8(&run->input);
    kick(at & 1);
}

/* Shorter, looked at by the device, and as long as before. */
static void shorten(struct run *run)
{
    const unsigned which = input_below(&run->input, 2) ? FILE_LOG : FILE_MEMORY;
    const off_t size = which == FILE_LOG ? 4096 : MEMORY_SIZE;

    kick(1);
    FUZZ_REQUIRE(ftruncate(kinds[which], 0) == 0, "ftruncate");
    look(run);
    FUZZ_REQUIRE(ftruncate(kinds[which], size) == 0, "ftruncate");
    REACHED(SHORTER);
}

static void note_log(void)
{
    uint8_t log[4096];

    if (pread(kinds[FILE_LOG], log, sizeof(log), 0) == sizeof(log)) {
        for (size_t i = 0; i < sizeof(log); i++) {
            fuzz_reach[LOGGED].count += (uint64_t)__builtin_popcount(log[i]);
        }
        FUZZ_REQUIRE(ftruncate(kinds[FILE_LOG], 0) == 0 &&
                         ftruncate(kinds[FILE_LOG], sizeof(log)) == 0,
                     "ftruncate");
    }
}

static void act(struct run *run)
{
    switch (input_below(&run->input, 10)) {
    case 0:
        go(run);
        come(run);
        break;
    case 1:
        boot(run, input_8(&run->input) & 3);
        break;
    case 2:
        spoiled_request(run);
        break;
    case 3:
        whole_message(run);
        break;
    case 4: {
        const uint32_t number = input_below(&run->input, VHOST_USER_N_REQUESTS);

        ask(run, number, input_below(&run->input, 4));
        break;
    }
    case 5:
        raw_octets(run);
        break;
    case 6:
        traffic(run, 1 + input_below(&run->input, RING_SIZE));
        break;
    case 7:
        scribble(run);
        break;
    case 8:
        shorten(run);
        break;
    default:
        look(run);
        break;
    }
}

/* The next front-end boots, and has frames come back. */
static void require_works(void)
{
    struct run run = {.fd = -1};
    uint16_t before;

    for (unsigned i = 0; i < N_EVENTS; i++) {
        uint64_t count;

        (void)!read(kinds[EVENT + i], &count, sizeof(count));
    }
    come(&run);
    boot(&run, 0);
    FUZZ_REQUIRE(run.fd >= 0, "it is served");
    before = used(1);
    traffic(&run, 4);
    FUZZ_REQUIRE(run.fd >= 0 && (uint16_t)(used(1) - before) == 4, "%u frames taken",
                 (uint16_t)(used(1) - before));
    FUZZ_REQUIRE(used(0) >= 4, "%u frames came back", used(0));
    REACHED(WORKS);
    go(&run);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run run = {.input = input_of(data, size), .fd = -1};

    if (!server) {
        set_up();
    }
    FUZZ_REQUIRE(ftruncate(kinds[FILE_INFLIGHT], 0) == 0 &&
                     ftruncate(kinds[FILE_INFLIGHT], 4096) == 0,
                 "ftruncate");
    base_fds = process_count_fds(); /* libFuzzer opens some between inputs, to name functions */
    come(&run);
    for (unsigned i = 0; i < MAX_ACTIONS && !input_ended(&run.input); i++) {
        act(&run);
        if (i % 4 == 3) {
            look(&run);
        }
    }
    look(&run);
    go(&run);
    note_log();
    require_works();
    return 0;
}
