/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages of a vfio-user client as input: commands in order or with a field of them spoiled, raw
 * octets, descriptors of all kinds, in pieces and in heaps, answers taken or not; between them what
 * the client's guest does, rings and frames, and files that become shorter; clients that go away and
 * come again. One server for all inputs, whose backend is the loopback.
 *
 * What must hold all along: replies are whole, in order, of the size and type that they say; the
 * event loop comes to rest; after each connection no descriptor and no mapping is left. In the end
 * the next client boots the device and has a frame come back.
 *
 * Input: actions, an octet each with its operands (see actions[]).
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vionet/pci.h>
#include <vionet/spec.h>

#include "input.h"
#include "process.h"
#include "protocol.h"
#include "reach.h"
#include "server.h"
#include "stream.h"

#define MAX_ACTIONS  128
#define FILES        "vfio-fuzz" /* the name of all files that are sent */
#define MAX_COMINGS  12
#define MAX_PAYLOAD  1024
#define MAX_EXPECTED 1024

#define MEMORY      UINT64_C(0x10000) /* where the first file is in the guest's memory */
#define MEMORY_SIZE 0x10000u
#define RINGS       4
#define RING_SPACE  0x1000u
#define RING_SIZE   16
#define BUFFERS     (MEMORY + RINGS * RING_SPACE)
#define BUFFER_SIZE 0x400u
#define BAR_VIRTIO  4
#define N_VECTORS   4

enum {
    CONNECTED,
    AGREED,
    LOST,
    REPLIES,
    ERRORS,
    MAPS,
    IRQS_SET,
    SIGNALS,
    NOTIFIED,
    WRITES,
    BOOTS,
    TAKEN,
    DELIVERED,
    SHORTER,
    RAW,
    WORKS,
};

struct reach fuzz_reach[] = {
    [CONNECTED] = {"connections", 50, 0},
    [AGREED] = {"of them agreed on a version", 50, 0},
    [LOST] = {"of them ended by the server", 10, 0},
    [REPLIES] = {"replies", 500, 0},
    [ERRORS] = {"of them errors", 50, 0},
    [MAPS] = {"mappings made", 50, 0},
    [IRQS_SET] = {"interrupts set", 20, 0},
    [SIGNALS] = {"interrupts by eventfd", 20, 0},
    [NOTIFIED] = {"notifications by eventfd", 5, 0},
    [WRITES] = {"writes to regions done", 100, 0},
    [BOOTS] = {"times DRIVER_OK", 50, 0},
    [TAKEN] = {"frames taken from the driver", 50, 0},
    [DELIVERED] = {"frames delivered", 50, 0},
    [SHORTER] = {"files made shorter", 5, 0},
    [RAW] = {"raw messages", 10, 0},
    [WORKS] = {"next clients for whom it worked", 50, 0},
    {NULL, 0, 0},
};

#define REACHED(what) (fuzz_reach[what].count++)

/* Descriptors that a client can send; the first ones are files. */
enum { FILE_LARGE, FILE_SECOND, FILE_PAGE, FILE_EMPTY, FILE_HUGE, EVENT, N_EVENTS = 6 };
enum { PIPE_IN = EVENT + N_EVENTS, PIPE_OUT, FOLDER, DEVICE, N_KINDS };

static GMainContext *context;
static VionetVfioUser *server;
static int kinds[N_KINDS];
static unsigned base_fds;
static unsigned base_maps;

struct run {
    struct input input;
    int fd; /* -1: not connected */
    unsigned n_comings;
    uint16_t id;
    bool wild;     /* what was sent cannot be foretold replies of */
    bool stubborn; /* replies are not taken */
    struct {
        uint16_t id;
        uint16_t command;
    } expected[MAX_EXPECTED];
    unsigned n_expected;
    unsigned n_replies; /* of those expected */
    int notify[STREAM_MAX_FDS];
    unsigned n_notify;
    uint16_t posted[RINGS];
};

/* ---- The process ---- */

static int new_file(uint64_t size, unsigned flags)
{
    const int fd = memfd_create(FILES, MFD_CLOEXEC | flags);

    return fd >= 0 && ftruncate(fd, (off_t)size) == 0 ? fd : memfd_create(FILES, 0);
}

static void set_up(void)
{
    GError *error = NULL;
    int ends[2];

    process_drop_log();
    context = g_main_context_new();
    server = vionet_vfio_user_new("vectors=4,guest_announce=off", "loopback", context, NULL, NULL,
                                  &error);
    FUZZ_REQUIRE(server, "%s", error->message);
    FUZZ_REQUIRE(pipe(ends) == 0, "no pipe");
    kinds[FILE_LARGE] = new_file(MEMORY_SIZE, 0);
    kinds[FILE_SECOND] = new_file(MEMORY_SIZE, 0);
    kinds[FILE_PAGE] = new_file(4096, 0);
    kinds[FILE_EMPTY] = new_file(0, 0);
    kinds[FILE_HUGE] = new_file(4 << 20, MFD_HUGETLB);
    for (unsigned i = 0; i < N_EVENTS; i++) {
        kinds[EVENT + i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    }
    kinds[PIPE_IN] = ends[0];
    kinds[PIPE_OUT] = ends[1];
    kinds[FOLDER] = open("/", O_RDONLY | O_DIRECTORY);
    kinds[DEVICE] = open("/dev/null", O_RDWR);
    base_maps = process_count_maps(FILES);
}

/* ---- Guest memory: the large file ---- */

static void store(uint64_t gpa, const void *from, size_t n)
{
    if (gpa >= MEMORY && gpa - MEMORY < MEMORY_SIZE && n <= MEMORY_SIZE - (gpa - MEMORY)) {
        FUZZ_REQUIRE(pwrite(kinds[FILE_LARGE], from, n, (off_t)(gpa - MEMORY)) == (ssize_t)n,
                     "memory cannot be written");
    }
}

/* Zeroes, and in each buffer a header and a frame for everybody. */
static void clear_memory(void)
{
    static const uint8_t frame[72] = {[12] = 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2};

    for (unsigned i = FILE_LARGE; i <= FILE_SECOND; i++) {
        FUZZ_REQUIRE(ftruncate(kinds[i], 0) == 0 && ftruncate(kinds[i], MEMORY_SIZE) == 0,
                     "no memory");
    }
    for (unsigned i = 0; i < 4; i++) {
        store(BUFFERS + i * BUFFER_SIZE, frame, sizeof(frame));
    }
}

/* ---- Replies ---- */

static void forget_fds(struct run *run)
{
    while (run->n_notify > 0) {
        close(run->notify[--run->n_notify]);
    }
}

static void keep_fds(struct run *run, struct msghdr *msg)
{
    FUZZ_REQUIRE(!(msg->msg_flags & MSG_CTRUNC), "more descriptors than were agreed upon");
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        forget_fds(run);
        run->n_notify = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(run->notify, CMSG_DATA(c), run->n_notify * sizeof(int));
    }
}

/* Receives len octets; false if nothing is there, or the server has gone. */
static bool take(struct run *run, void *to, size_t len)
{
    size_t got = 0;

    for (unsigned rounds = 0; got < len; rounds++) {
        union {
            struct cmsghdr header;
            char room[CMSG_SPACE(STREAM_MAX_FDS * sizeof(int))];
        } control;
        struct iovec iov = {(uint8_t *)to + got, len - got};
        struct msghdr msg = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
        const ssize_t n = recvmsg(run->fd, &msg, MSG_CMSG_CLOEXEC);

        if (n > 0) {
            keep_fds(run, &msg);
            got += (size_t)n;
        } else if (n < 0 && errno == EAGAIN && got > 0) {
            FUZZ_REQUIRE(rounds < 1000, "half a reply");
            process_settle(context);
        } else {
            return false;
        }
    }
    return true;
}

static void check_expected(struct run *run, const struct vfio_user_header *header)
{
    if (run->wild) {
        return;
    }
    FUZZ_REQUIRE(run->n_replies < run->n_expected, "a reply to nothing");
    FUZZ_REQUIRE(header->id == run->expected[run->n_replies].id &&
                     header->command == run->expected[run->n_replies].command,
                 "reply %u to command %u, not %u to %u", header->id, header->command,
                 run->expected[run->n_replies].id, run->expected[run->n_replies].command);
    run->n_replies++;
}

static void count_reply(const struct vfio_user_header *header)
{
    static const int counters[VFIO_USER_N_COMMANDS] = {
        [VFIO_USER_VERSION] = AGREED,
        [VFIO_USER_DMA_MAP] = MAPS,
        [VFIO_USER_DEVICE_SET_IRQS] = IRQS_SET,
        [VFIO_USER_REGION_WRITE] = WRITES,
        [VFIO_USER_REGION_WRITE_MULTI] = WRITES,
    };

    REACHED(REPLIES);
    if (header->error) {
        REACHED(ERRORS);
    } else if (header->command < VFIO_USER_N_COMMANDS && counters[header->command]) {
        REACHED(counters[header->command]);
    }
}

static bool take_reply(struct run *run)
{
    static uint8_t payload[STREAM_MAX_MESSAGE];
    struct vfio_user_header header;
    size_t len;

    if (!take(run, &header, sizeof(header))) {
        return false;
    }
    FUZZ_REQUIRE(header.size >= sizeof(header) && header.size <= STREAM_MAX_MESSAGE,
                 "a reply of %u octets", header.size);
    FUZZ_REQUIRE(header.flags == VFIO_USER_TYPE_REPLY ||
                     (header.flags == (VFIO_USER_TYPE_REPLY | VFIO_USER_ERROR) && header.error),
                 "a reply of flags 0x%x, error %u", header.flags, header.error);
    len = header.size - sizeof(header);
    FUZZ_REQUIRE(!header.error || len == 0, "an error with %zu octets", len);
    FUZZ_REQUIRE(len == 0 || take(run, payload, len), "a reply without its payload");
    check_expected(run, &header);
    count_reply(&header);
    return true;
}

static void take_replies(struct run *run)
{
    while (run->fd >= 0 && !run->stubborn && take_reply(run)) {
        process_settle(context);
    }
}

/* ---- The connection ---- */

static void count_frames(void)
{
    const VionetDevice *device = vionet_frontend_device(vionet_vfio_user_frontend(server));

    fuzz_reach[DELIVERED].count += vionet_device_counter(device, 0, VIONET_COUNTER_PACKETS);
    fuzz_reach[TAKEN].count += vionet_device_counter(device, 1, VIONET_COUNTER_PACKETS);
}

static void go_away(struct run *run)
{
    if (run->fd < 0) {
        return;
    }
    process_settle(context);
    if (vionet_vfio_user_is_connected(server)) {
        take_replies(run);
        count_frames();
    } else {
        REACHED(LOST);
    }
    close(run->fd);
    run->fd = -1;
    forget_fds(run);
    process_settle(context);
    FUZZ_REQUIRE(!vionet_vfio_user_is_connected(server), "a client that has gone is served");
    FUZZ_REQUIRE(process_count_fds() == base_fds, "%u descriptors, not %u", process_count_fds(),
                 base_fds);
}

static void come(struct run *run)
{
    int ends[2];

    go_away(run);
    FUZZ_REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0,
                 "no socket");
    FUZZ_REQUIRE(vionet_vfio_user_serve(server, ends[1]), "the next client is turned away");
    run->fd = ends[0];
    run->n_comings++;
    run->wild = run->stubborn = false;
    run->n_expected = run->n_replies = 0;
    memset(run->posted, 0, sizeof(run->posted));
    REACHED(CONNECTED);
}

/* ---- Messages out ---- */

struct out {
    uint8_t octets[sizeof(struct vfio_user_header) + MAX_PAYLOAD];
    size_t len; /* header included */
    int fds[STREAM_MAX_FDS + 4];
    unsigned n_fds;
};

static ssize_t transmit(struct run *run, const uint8_t *octets, size_t len, const int *fds,
                        unsigned n_fds)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE((STREAM_MAX_FDS + 4) * sizeof(int))];
    } control = {.room = {0}};
    struct iovec iov = {(void *)octets, len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (n_fds > 0) {
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        control.header = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                                          .cmsg_type = SCM_RIGHTS,
                                          .cmsg_len = CMSG_LEN(n_fds * sizeof(int))};
        memcpy(CMSG_DATA(&control.header), fds, n_fds * sizeof(int));
    }
    return sendmsg(run->fd, &msg, MSG_NOSIGNAL);
}

/* A client whose octets are not taken gives up: it does not take answers. */
static void send_octets(struct run *run, const uint8_t *octets, size_t len, const int *fds,
                        unsigned n_fds)
{
    while (run->fd >= 0 && len > 0) {
        const ssize_t n = transmit(run, octets, len, fds, n_fds);

        if (n <= 0) {
            go_away(run);
            return;
        }
        octets += n;
        len -= (size_t)n;
        n_fds = 0;
    }
}

static void expect(struct run *run, const struct vfio_user_header *header)
{
    if (header->flags & VFIO_USER_NO_REPLY) {
        return;
    }
    if (run->n_expected == MAX_EXPECTED) {
        run->wild = true;
        return;
    }
    run->expected[run->n_expected].id = header->id;
    run->expected[run->n_expected++].command = header->command;
}

static void begin(struct run *run, struct out *out, uint16_t command, const void *payload,
                  size_t len)
{
    const struct vfio_user_header header = {
        .id = ++run->id, .command = command, .size = (uint32_t)(sizeof(header) + len)};

    memset(out, 0, sizeof(*out));
    memcpy(out->octets, &header, sizeof(header));
    memcpy(out->octets + sizeof(header), payload, len);
    out->len = sizeof(header) + len;
}

/* In order: sent, answered, the answer taken. */
static void call(struct run *run, uint16_t command, const void *payload, size_t len, int fd)
{
    struct out out;
    struct vfio_user_header header;

    begin(run, &out, command, payload, len);
    memcpy(&header, out.octets, sizeof(header));
    expect(run, &header);
    send_octets(run, out.octets, out.len, &fd, fd >= 0 ? 1 : 0);
    process_settle(context);
    take_replies(run);
}

static void add_fds(struct run *run, struct out *out)
{
    unsigned n = input_below(&run->input, STREAM_MAX_FDS + 4);

    for (out->n_fds = 0; n > 0; n--) {
        const int fd = kinds[input_below(&run->input, N_KINDS)];

        if (fd >= 0) {
            out->fds[out->n_fds++] = fd;
        }
    }
}

static void spoil(struct run *run, struct out *out, unsigned how)
{
    struct input *input = &run->input;
    const size_t payload = out->len - sizeof(struct vfio_user_header);
    struct vfio_user_header header;
    const size_t at = sizeof(header) + 4 * input_below(input, (unsigned)(payload / 4 + 1));
    uint32_t word;
    uint32_t value;

    memcpy(&header, out->octets, sizeof(header));
    memcpy(&word, out->octets + at, sizeof(word));
    switch (how) {
    case 1: /* cut, or with more behind it */
        out->len = sizeof(header) + input_below(input, 96);
        header.size = (uint32_t)out->len;
        break;
    case 2:
    case 3: /* another word */
        value = input_edgy(input, word);
        memcpy(out->octets + at, &value, sizeof(value));
        break;
    case 4:
        header.command = input_8(input);
        break;
    case 5:
        header.flags = input_8(input);
        break;
    case 6: /* what comes next is part of it, or it of what comes next */
        header.size = input_edgy(input, header.size);
        run->wild = true;
        break;
    default:
        header.error = input_edgy(input, 0);
        break;
    }
    memcpy(out->octets, &header, sizeof(header));
}

/*
 * With an octet of how: in the low three bits what is spoiled, then without reply, with other
 * descriptors, in two pieces, without a turn of the server after it.
 */
static void post(struct run *run, uint16_t command, const void *payload, size_t len, int fd)
{
    const uint8_t how = input_8(&run->input);
    struct out out;
    struct vfio_user_header header;
    size_t cut = 0;

    begin(run, &out, command, payload, len);
    out.fds[0] = fd;
    out.n_fds = fd >= 0 ? 1 : 0;
    if (how & 7) {
        spoil(run, &out, how & 7);
    }
    memcpy(&header, out.octets, sizeof(header));
    header.flags |= how & 8 ? VFIO_USER_NO_REPLY : 0;
    memcpy(out.octets, &header, sizeof(header));
    if (how & 16) {
        add_fds(run, &out);
    }
    expect(run, &header);
    if (how & 32) {
        cut = input_below(&run->input, (unsigned)out.len);
        send_octets(run, out.octets, cut, out.fds, out.n_fds);
        process_settle(context);
    }
    send_octets(run, out.octets + cut, out.len - cut, out.fds, cut ? 0 : out.n_fds);
    if (!(how & 64)) {
        process_settle(context);
        take_replies(run);
    }
}

/* ---- Actions: messages ---- */

static const char *const versions[] = {
    "{\"capabilities\":{\"max_msg_fds\":16,\"write_multiple\":true}}",
    "{}",
    "{\"capabilities\":{\"max_msg_fds\":1}}",
    "{\"capabilities\":{\"max_msg_fds\":0,\"max_data_xfer_size\":4096}}",
};

static void say_version(struct run *run, const char *text,
                        void (*say)(struct run *, uint16_t, const void *, size_t, int))
{
    uint8_t payload[MAX_PAYLOAD] = {0, 0, 1, 0};

    memcpy(payload + 4, text, strlen(text) + 1);
    say(run, VFIO_USER_VERSION, payload, 4 + strlen(text) + 1, -1);
}

static void act_version(struct run *run)
{
    say_version(run, versions[input_below(&run->input, G_N_ELEMENTS(versions))], post);
}

static void act_version_text(struct run *run)
{
    uint8_t payload[MAX_PAYLOAD] = {0, 0, 1, 0};
    size_t n = input_below(&run->input, 256);
    const uint8_t *text = input_take(&run->input, &n);

    if (n > 0) {
        memcpy(payload + 4, text, n);
    }
    post(run, VFIO_USER_VERSION, payload, 4 + n + 1, -1);
}

static uint64_t pages(struct run *run)
{
    return (uint64_t)input_8(&run->input) * 4096;
}

static void act_map(struct run *run)
{
    const uint8_t what = input_8(&run->input);
    const struct vfio_user_dma_map map = {
        .argsz = sizeof(map),
        .flags = 1 + (what & 3) % 3,
        .offset = pages(run),
        .address = pages(run),
        .size = pages(run),
    };

    post(run, VFIO_USER_DMA_MAP, &map, sizeof(map),
         what & 4 ? -1 : kinds[(what >> 3) % (FILE_HUGE + 1)]);
}

static void act_unmap(struct run *run)
{
    const uint8_t all = input_8(&run->input) & 1;
    const struct vfio_user_dma_unmap unmap = {
        .argsz = sizeof(unmap),
        .flags = all ? VFIO_USER_DMA_UNMAP_ALL : 0,
        .address = all ? 0 : pages(run),
        .size = all ? 0 : pages(run),
    };

    post(run, VFIO_USER_DMA_UNMAP, &unmap, sizeof(unmap), -1);
}

static void act_ask(struct run *run)
{
    static const uint16_t commands[] = {
        VFIO_USER_DEVICE_GET_INFO,          VFIO_USER_DEVICE_GET_REGION_INFO,
        VFIO_USER_DEVICE_GET_REGION_IO_FDS, VFIO_USER_DEVICE_GET_IRQ_INFO,
        VFIO_USER_DEVICE_FEATURE,           VFIO_USER_MIG_DATA_READ,
        VFIO_USER_MIG_DATA_WRITE,           VFIO_USER_DEVICE_RESET,
    };
    static const uint8_t lengths[] = {16, 32, 16, 16, 8, 8, 16, 0};
    const unsigned i = input_below(&run->input, G_N_ELEMENTS(commands));
    const uint32_t payload[8] = {4096, 0, input_8(&run->input)};

    post(run, commands[i], payload, lengths[i], -1);
}

static void act_set_irqs(struct run *run)
{
    const uint8_t what = input_8(&run->input);
    uint8_t payload[sizeof(struct vfio_user_irq_set) + 8] = {0};
    struct vfio_user_irq_set set = {
        .argsz = sizeof(payload),
        .flags = 1u << what % 3 | 8u << (what >> 2) % 3,
        .index = what & 0x10 ? VFIO_USER_IRQ_INTX : VFIO_USER_IRQ_MSIX,
    };

    set.start = what >> 5 & 3;
    set.count = what & 0x80 ? input_below(&run->input, 8) : 1;
    memset(payload + sizeof(set), what & 0x20 ? 1 : 0, 8);
    memcpy(payload, &set, sizeof(set));
    post(run, VFIO_USER_DEVICE_SET_IRQS, payload, sizeof(payload),
         set.flags & VFIO_USER_IRQ_SET_FDS ? kinds[EVENT + what % N_EVENTS] : -1);
}

static void act_read(struct run *run)
{
    const struct vfio_user_region_access access = {
        .region = input_below(&run->input, 10),
        .offset = input_16(&run->input),
        .count = input_edgy(&run->input, 256),
    };

    post(run, VFIO_USER_REGION_READ, &access, sizeof(access), -1);
}

static void act_write(struct run *run)
{
    uint8_t payload[sizeof(struct vfio_user_region_access) + 32];
    const struct vfio_user_region_access access = {
        .region = input_below(&run->input, 10),
        .offset = input_16(&run->input),
        .count = input_8(&run->input) % 33,
    };

    memcpy(payload, &access, sizeof(access));
    input_octets(&run->input, payload + sizeof(access), 32);
    post(run, VFIO_USER_REGION_WRITE, payload, sizeof(access) + access.count, -1);
}

static void act_raw(struct run *run)
{
    size_t n = input_8(&run->input);
    struct out out = {.n_fds = 0};
    const uint8_t *octets;

    if (input_8(&run->input) & 1) {
        add_fds(run, &out);
    }
    octets = input_take(&run->input, &n);
    if (n > 0 && run->fd >= 0) {
        REACHED(RAW);
        run->wild = true;
        send_octets(run, octets, n, out.fds, out.n_fds);
        process_settle(context);
        take_replies(run);
    }
}

static void act_come(struct run *run)
{
    const uint8_t how = input_8(&run->input);

    come(run);
    if (how & 1) {
        say_version(run, versions[how >> 1 & 3], call);
    }
}

static void act_stubborn(struct run *run)
{
    run->stubborn = input_8(&run->input) & 1;
    take_replies(run);
}

/* ---- Actions: the guest ---- */

/* A register, through a message that wants no reply. */
static void poke(struct run *run, uint64_t offset, uint32_t count, uint64_t value)
{
    uint8_t payload[sizeof(struct vfio_user_region_access) + 8];
    const struct vfio_user_region_access access = {offset, BAR_VIRTIO, count};
    struct out out;
    uint32_t flags = VFIO_USER_NO_REPLY;

    memcpy(payload, &access, sizeof(access));
    memcpy(payload + sizeof(access), &value, 8);
    begin(run, &out, VFIO_USER_REGION_WRITE, payload, sizeof(access) + count);
    memcpy(out.octets + offsetof(struct vfio_user_header, flags), &flags, sizeof(flags));
    send_octets(run, out.octets, out.len, NULL, 0);
}

#define COMMON(field) offsetof(struct virtio_pci_common_cfg, field)
#define POKE(run, field, value) \
    poke(run, COMMON(field), sizeof(((struct virtio_pci_common_cfg *)NULL)->field), value)

static void start_queue(struct run *run, unsigned queue)
{
    const uint64_t at = MEMORY + queue * RING_SPACE;

    POKE(run, queue_select, queue);
    POKE(run, queue_size, RING_SIZE);
    POKE(run, queue_msix_vector, queue);
    poke(run, COMMON(queue_desc), 8, at);
    poke(run, COMMON(queue_driver), 8, at + 0x400);
    poke(run, COMMON(queue_device), 8, at + 0x800);
    POKE(run, queue_enable, 1);
}

static void boot(struct run *run)
{
    const uint8_t master[sizeof(struct vfio_user_region_access) + 2] = {
        4, [8] = VFIO_USER_REGION_CONFIG, [12] = 2, [16] = 6};
    const uint8_t zeroes[0xc00] = {0};

    call(run, VFIO_USER_REGION_WRITE, master, sizeof(master), -1);
    POKE(run, device_status, 0);
    for (unsigned queue = 0; queue < 2; queue++) {
        store(MEMORY + queue * RING_SPACE, zeroes, sizeof(zeroes));
        run->posted[queue] = 0;
    }
    POKE(run, device_status, 3);
    POKE(run, driver_feature_select, 1);
    POKE(run, driver_feature, 1); /* VERSION_1 */
    POKE(run, device_status, 11);
    start_queue(run, 0);
    start_queue(run, 1);
    POKE(run, device_status, 15);
    process_settle(context);
    take_replies(run);
    REACHED(BOOTS);
}

static void act_boot(struct run *run)
{
    boot(run);
}

/* The map and the interrupts that a client makes before its guest boots. */
static void equip(struct run *run)
{
    const struct vfio_user_dma_map map = {sizeof(map), 3, 0, MEMORY, MEMORY_SIZE};
    struct vfio_user_irq_set set = {sizeof(set), VFIO_USER_IRQ_SET_FDS | VFIO_USER_IRQ_SET_TRIGGER,
                                    VFIO_USER_IRQ_MSIX, 0, 1};
    const uint8_t msix_on[sizeof(struct vfio_user_region_access) + 2] = {
        [8] = VFIO_USER_REGION_CONFIG, [12] = 2, [16] = 0, 0x80};
    uint8_t enable[sizeof(msix_on)];

    call(run, VFIO_USER_DMA_MAP, &map, sizeof(map), kinds[FILE_LARGE]);
    for (set.start = 0; set.start < 2; set.start++) {
        call(run, VFIO_USER_DEVICE_SET_IRQS, &set, sizeof(set), kinds[EVENT + set.start]);
    }
    memcpy(enable, msix_on, sizeof(enable));
    for (unsigned cap = 0x40; cap < 0x100;
         cap += 4) { /* only where MSI-X stands it has an effect */
        VionetPci *pci = vionet_frontend_pci(vionet_vfio_user_frontend(server));

        if (vionet_pci_config_read(pci, cap, 1) == 0x11) {
            enable[0] = (uint8_t)(cap + 2);
            call(run, VFIO_USER_REGION_WRITE, enable, sizeof(enable), -1);
            return;
        }
    }
}

static void act_equip(struct run *run)
{
    equip(run);
}

static void post_buffer(struct run *run, unsigned queue, uint64_t gpa, uint32_t len, uint16_t flags)
{
    const uint64_t ring = MEMORY + queue * RING_SPACE;
    const uint16_t slot = run->posted[queue] % RING_SIZE;
    const uint16_t next = (uint16_t)(run->posted[queue] + 1);
    const struct {
        uint64_t gpa;
        uint32_t len;
        uint16_t flags, next;
    } desc = {gpa, len, flags, (uint16_t)((slot + 1) % RING_SIZE)};

    store(ring + 16u * slot, &desc, sizeof(desc));
    store(ring + 0x404 + 2u * slot, &slot, 2);
    store(ring + 0x402, &next, 2);
    run->posted[queue] = next;
}

static void post_plain(struct run *run, unsigned queue)
{
    const uint16_t i = run->posted[queue];

    post_buffer(run, queue, BUFFERS + (queue ? i % 4u : 4u + i % 16u) * BUFFER_SIZE,
                queue ? 72 : BUFFER_SIZE, queue ? 0 : 2);
}

/* Buffers for the device, in order or anywhere. */
static void act_post(struct run *run)
{
    const uint8_t what = input_8(&run->input);
    unsigned n = 1 + (what >> 2 & 7);

    if (what & 2) {
        post_buffer(run, what & 1, MEMORY + input_16(&run->input), input_edgy(&run->input, 72),
                    input_8(&run->input) & 7);
        return;
    }
    while (n--) {
        post_plain(run, what & 1);
    }
}

static void notify(struct run *run, unsigned queue)
{
    VionetPci *pci = vionet_frontend_pci(vionet_vfio_user_frontend(server));
    unsigned bar;
    uint64_t offset = 0;

    vionet_pci_notify_address(pci, queue, &bar, &offset);
    poke(run, offset, 2, queue);
    process_settle(context);
    take_replies(run);
}

static void act_notify(struct run *run)
{
    const uint8_t what = input_8(&run->input);
    const uint64_t one = 1;

    if (!(what & 0x80) || run->n_notify == 0) {
        notify(run, what % 3);
        return;
    }
    REACHED(NOTIFIED);
    (void)!write(run->notify[what % run->n_notify], &one, sizeof(one));
    process_settle(context);
    take_replies(run);
}

static void act_memory(struct run *run)
{
    uint8_t octets[32];
    const uint64_t gpa = MEMORY + input_16(&run->input);
    const unsigned n = 1 + input_below(&run->input, sizeof(octets));

    input_octets(&run->input, octets, n);
    store(gpa, octets, n);
}

static void act_shorten(struct run *run)
{
    const uint8_t what = input_8(&run->input);

    REACHED(SHORTER);
    FUZZ_REQUIRE(ftruncate(kinds[what & 1], (off_t)(what >> 1) * 512) == 0, "no file");
}

static void act_event(struct run *run)
{
    const uint8_t what = input_8(&run->input);
    const uint64_t n = what & 0x80 ? UINT64_MAX - 1 : 1;

    (void)!write(kinds[EVENT + what % N_EVENTS], &n, sizeof(n));
    process_settle(context);
    take_replies(run);
}

static void (*const actions[])(struct run *run) = {
    act_version, act_version_text, act_map,      act_map,    act_unmap,   act_ask,
    act_ask,     act_set_irqs,     act_set_irqs, act_read,   act_write,   act_write,
    act_raw,     act_come,         act_stubborn, act_boot,   act_equip,   act_post,
    act_post,    act_notify,       act_notify,   act_memory, act_shorten, act_event,
};

/* ---- An input ---- */

static void take_signals(void)
{
    for (unsigned i = 0; i < N_EVENTS; i++) {
        uint64_t n;

        fuzz_reach[SIGNALS].count += read(kinds[EVENT + i], &n, sizeof(n)) == sizeof(n);
    }
}

static void require_works(struct run *run)
{
    const VionetDevice *device = vionet_frontend_device(vionet_vfio_user_frontend(server));

    clear_memory();
    come(run);
    say_version(run, versions[0], call);
    equip(run);
    boot(run);
    post_plain(run, 0);
    post_plain(run, 1);
    notify(run, 0);
    notify(run, 1);
    FUZZ_REQUIRE(vionet_device_counter(device, 1, VIONET_COUNTER_PACKETS) == 1,
                 "no frame is taken from the next client");
    FUZZ_REQUIRE(vionet_device_counter(device, 0, VIONET_COUNTER_PACKETS) == 1,
                 "no frame comes back to the next client");
    FUZZ_REQUIRE(run->n_replies == run->n_expected, "%u replies to %u commands", run->n_replies,
                 run->n_expected);
    REACHED(WORKS);
    go_away(run);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run run;

    if (!server) {
        set_up();
    }
    memset(&run, 0, sizeof(run));
    run.fd = -1;
    run.input = input_of(data, size);
    base_fds = process_count_fds(); /* libFuzzer may have opened something meanwhile */
    clear_memory();
    come(&run);
    for (unsigned i = 0; i < MAX_ACTIONS && !input_ended(&run.input); i++) {
        if (run.fd < 0 || !vionet_vfio_user_is_connected(server)) {
            come(&run);
            say_version(&run, versions[0], call);
        }
        if (run.n_comings > MAX_COMINGS) {
            break;
        }
        actions[input_below(&run.input, G_N_ELEMENTS(actions))](&run);
    }
    take_signals();
    go_away(&run);
    require_works(&run);
    take_signals();
    FUZZ_REQUIRE(process_count_maps(FILES) == base_maps, "%u mappings, not %u",
                 process_count_maps(FILES), base_maps);
    return 0;
}
