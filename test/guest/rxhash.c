// SPDX-License-Identifier: BSD-3-Clause
// Prints what the kernel of the guest knows of each packet that an interface received: the hash, the queue.
//
//   rxhash [-s] [-n COUNT] [-t SECONDS] INTERFACE
//
// prints "ready" when packets are seen from now on, then a line for each:
//
//   INDEX HASH QUEUE LENGTH BYTES
//
// and at the end, after COUNT packets or SECONDS (counted from the last packet), "end SHOWN LOST".
// HASH is skb->hash, eight hexadecimal digits, read where nothing has touched it since the driver: in a
// filter (eBPF) that sees the packet before the packet socket. QUEUE is the receive queue that the driver
// recorded, or "-". BYTES are the first 96 of the frame.
//
// With -s HASH is what skb_get_hash() makes of it, by TPACKET_V3: the same if the driver called it a hash
// over ports (PKT_HASH_TYPE_L4), and another, the kernel's own, in every other case. QUEUE is "-" then.
#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { head_bytes = 96, map_entries = 65536 };

// What the filter leaves in the map for each packet.
struct seen {
    uint32_t hash;
    uint32_t queue; // plus one; 0: none recorded
    uint32_t length;
    uint32_t copied;
    uint8_t head[head_bytes];
};

static long count = -1;
static double patience = 5;
static long shown, lost;

static void die(const char *what)
{
    fprintf(stderr, "rxhash: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void show(uint32_t hash, long queue, unsigned length, const uint8_t *head, unsigned bytes)
{
    printf("%ld %08x ", shown++, hash);
    if (queue >= 0)
        printf("%ld", queue);
    else
        printf("-");
    printf(" %u ", length);
    for (unsigned i = 0; i < bytes; i++)
        printf("%02x", head[i]);
    printf("\n");
}

static int packet_socket(const char *interface)
{
    // Of no protocol, so nothing comes before everything is set up and bind says which.
    int fd = socket(AF_PACKET, SOCK_RAW, 0);
    if (fd < 0)
        die("packet socket");
    if (if_nametoindex(interface) == 0)
        die(interface);
    return fd;
}

static void begin(int fd, const char *interface)
{
    struct sockaddr_ll to = {.sll_family = AF_PACKET,
                             .sll_protocol = htons(ETH_P_ALL),
                             .sll_ifindex = (int)if_nametoindex(interface)};
    if (bind(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
        die("bind");
    printf("ready\n");
    fflush(stdout);
}

static int bpf(int command, union bpf_attr *attr)
{
    return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

#define INSN(c, d, s, o, i)                                                             \
    (struct bpf_insn)                                                                   \
    {                                                                                   \
        .code = (c), .dst_reg = (d), .src_reg = (s), .off = (short)(o), .imm = (int)(i) \
    }
#define MOV(d, s)          INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define MOVI(d, i)         INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define ADDI(d, i)         INSN(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, i)
#define LDW(d, s, o)       INSN(BPF_LDX | BPF_W | BPF_MEM, d, s, o, 0)
#define STW(d, o, s)       INSN(BPF_STX | BPF_W | BPF_MEM, d, s, o, 0)
#define STI(d, o, i)       INSN(BPF_ST | BPF_DW | BPF_MEM, d, 0, o, i)
#define CALL(f)            INSN(BPF_JMP | BPF_CALL, 0, 0, 0, f)
#define JUMPI(op, d, i, o) INSN(BPF_JMP | (op) | BPF_K, d, 0, o, i)

// A map that is a queue of struct seen, and the filter that fills it and keeps no packet.
static int attach_filter(int fd)
{
    union bpf_attr attr = {.map_type = BPF_MAP_TYPE_QUEUE,
                           .value_size = sizeof(struct seen),
                           .max_entries = map_entries};
    int map = bpf(BPF_MAP_CREATE, &attr);
    if (map < 0)
        die("bpf: queue map");
    enum { at = -(int)sizeof(struct seen) };
    struct bpf_insn program[64];
    int n = 0;
    program[n++] = MOV(6, 1);
    for (unsigned i = 0; i < sizeof(struct seen); i += 8)
        program[n++] = STI(10, at + (int)i, 0);
    // Frames that the guest sends pass here too.
    program[n++] = LDW(0, 6, offsetof(struct __sk_buff, pkt_type));
    int skip_outgoing = n++;
    program[n++] = LDW(0, 6, offsetof(struct __sk_buff, hash));
    program[n++] = STW(10, at + (int)offsetof(struct seen, hash), 0);
    program[n++] = LDW(0, 6, offsetof(struct __sk_buff, queue_mapping));
    program[n++] = STW(10, at + (int)offsetof(struct seen, queue), 0);
    program[n++] = LDW(4, 6, offsetof(struct __sk_buff, len));
    program[n++] = STW(10, at + (int)offsetof(struct seen, length), 4);
    program[n++] = JUMPI(BPF_JLT, 4, head_bytes, 1);
    program[n++] = MOVI(4, head_bytes);
    program[n++] = STW(10, at + (int)offsetof(struct seen, copied), 4);
    int skip_empty = n++;
    program[n++] = MOV(1, 6);
    program[n++] = MOVI(2, 0);
    program[n++] = MOV(3, 10);
    program[n++] = ADDI(3, at + (int)offsetof(struct seen, head));
    program[n++] = CALL(BPF_FUNC_skb_load_bytes);
    program[n++] = INSN(BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, map);
    program[n++] = INSN(0, 0, 0, 0, 0);
    program[n++] = MOV(2, 10);
    program[n++] = ADDI(2, at);
    program[n++] = MOVI(3, 0);
    program[n++] = CALL(BPF_FUNC_map_push_elem);
    // What the map has no room for goes to the socket, one byte of it, to be counted.
    program[n++] = JUMPI(BPF_JEQ, 0, 0, 2);
    program[n++] = MOVI(0, 1);
    program[n++] = INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    program[skip_outgoing] = JUMPI(BPF_JEQ, 0, PACKET_OUTGOING, n - skip_outgoing - 1);
    program[skip_empty] = JUMPI(BPF_JLT, 4, 1, n - skip_empty - 1);
    program[n++] = MOVI(0, 0);
    program[n++] = INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);

    static char log[65536];
    memset(&attr, 0, sizeof(attr));
    attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
    attr.insns = (uintptr_t)program;
    attr.insn_cnt = (uint32_t)n;
    attr.license = (uintptr_t) "GPL";
    attr.log_buf = (uintptr_t)log;
    attr.log_size = sizeof(log);
    attr.log_level = 1;
    int filter = bpf(BPF_PROG_LOAD, &attr);
    if (filter < 0) {
        fprintf(stderr, "%s", log);
        die("bpf: filter");
    }
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &filter, sizeof(filter)) < 0)
        die("bpf: attach");
    return map;
}

static void raw(const char *interface)
{
    int fd = packet_socket(interface);
    int map = attach_filter(fd);
    begin(fd, interface);
    double last = now();
    while (shown != count && now() - last < patience) {
        struct seen seen;
        union bpf_attr attr = {.map_fd = (uint32_t)map, .value = (uintptr_t)&seen};
        if (bpf(BPF_MAP_LOOKUP_AND_DELETE_ELEM, &attr) < 0) {
            if (errno != ENOENT)
                die("bpf: pop");
            fflush(stdout);
            usleep(2000);
            continue;
        }
        last = now();
        show(seen.hash, (long)seen.queue - 1, seen.length, seen.head, seen.copied);
    }
    char byte;
    while (recv(fd, &byte, 1, MSG_DONTWAIT) >= 0)
        lost++;
    struct tpacket_stats stats = {0};
    socklen_t size = sizeof(stats);
    if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size) == 0)
        lost += stats.tp_drops;
}

static void software(const char *interface)
{
    int fd = packet_socket(interface);
    int version = TPACKET_V3;
    struct tpacket_req3 req = {.tp_block_size = 1 << 18,
                               .tp_block_nr = 32,
                               .tp_frame_size = 2048,
                               .tp_frame_nr = (1 << 18) / 2048 * 32,
                               .tp_retire_blk_tov = 20,
                               .tp_feature_req_word = TP_FT_REQ_FILL_RXHASH};
    size_t size = (size_t)req.tp_block_size * req.tp_block_nr;
    if (setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) < 0 ||
        setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof(req)) < 0)
        die("TPACKET_V3");
    uint8_t *ring = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (ring == MAP_FAILED)
        die("mmap");
    begin(fd, interface);
    double last = now();
    for (unsigned b = 0; shown != count && now() - last < patience;) {
        struct tpacket_block_desc *block = (void *)(ring + (size_t)b * req.tp_block_size);
        if (!(__atomic_load_n(&block->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER)) {
            fflush(stdout);
            struct pollfd wait = {.fd = fd, .events = POLLIN};
            poll(&wait, 1, 20);
            continue;
        }
        uint8_t *at = (uint8_t *)block + block->hdr.bh1.offset_to_first_pkt;
        for (unsigned i = 0; i < block->hdr.bh1.num_pkts && shown != count; i++) {
            struct tpacket3_hdr *packet = (void *)at;
            struct sockaddr_ll *from = (void *)(at + TPACKET_ALIGN(sizeof(*packet)));
            unsigned bytes = packet->tp_snaplen < head_bytes ? packet->tp_snaplen : head_bytes;
            if (from->sll_pkttype != PACKET_OUTGOING)
                show(packet->hv1.tp_rxhash, -1, packet->tp_len, at + packet->tp_mac, bytes);
            at += packet->tp_next_offset;
        }
        last = now();
        __atomic_store_n(&block->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
        b = (b + 1) % req.tp_block_nr;
    }
    struct tpacket_stats_v3 stats = {0};
    socklen_t length = sizeof(stats);
    if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &length) == 0)
        lost = stats.tp_drops;
}

int main(int argc, char **argv)
{
    int by_software = 0;
    for (int option; (option = getopt(argc, argv, "sn:t:")) != -1;) {
        switch (option) {
        case 's':
            by_software = 1;
            break;
        case 'n':
            count = atol(optarg);
            break;
        case 't':
            patience = atof(optarg);
            break;
        default:
            return 2;
        }
    }
    if (optind != argc - 1) {
        fprintf(stderr, "usage: rxhash [-s] [-n COUNT] [-t SECONDS] INTERFACE\n");
        return 2;
    }
    if (by_software)
        software(argv[optind]);
    else
        raw(argv[optind]);
    printf("end %ld %ld\n", shown, lost);
    return 0;
}
