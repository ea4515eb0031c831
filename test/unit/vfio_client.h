/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vfio-user server and a client that writes its messages octet by octet. Both live in one thread:
 * a call is sent, the server's event loop runs until it has nothing to do, the reply is there. Every
 * reply is held against its header before anything in it is used. The numbers of the protocol are
 * written out here once more, from its text; none come from the server.
 */
#ifndef TEST_UNIT_VFIO_CLIENT_H
#define TEST_UNIT_VFIO_CLIENT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "driver/driver.h"
#include "driver/net.h"
#include "server.h"

enum {
    VERSION = 1,
    DMA_MAP = 2,
    DMA_UNMAP = 3,
    GET_INFO = 4,
    GET_REGION_INFO = 5,
    GET_REGION_IO_FDS = 6,
    GET_IRQ_INFO = 7,
    SET_IRQS = 8,
    REGION_READ = 9,
    REGION_WRITE = 10,
    DMA_READ = 11,
    DMA_WRITE = 12,
    DEVICE_RESET = 13,
    WRITE_MULTI = 15,
    FEATURE = 16,
    MIG_READ = 17,
    MIG_WRITE = 18,
    LAST_COMMAND = 18
};

#define CONFIG_REGION 7
#define BAR_MSIX      1
#define BAR_VIRTIO    4
#define INTX          0
#define MSIX          2

/* Of SET_IRQS. */
#define DATA_NONE 1u
#define DATA_BOOL 2u
#define DATA_FDS  4u
#define MASK      8u
#define UNMASK    16u
#define TRIGGER   32u

#define NO_REPLY 0x10u

/* ---- The server ---- */

struct host {
    GMainContext *context;
    VionetVfioUser *server;
    unsigned connected; /* calls of the operation */
    unsigned gone;
    pthread_mutex_t lock; /* of the next two: a device with threads tells from any */
    unsigned events;
    VionetEvent last_event;
    void (*on_event)(void *opaque, const VionetEvent *event);
    void *opaque;
};

/* What the server logs is not shown, and a warning is no failure. */
void host_quiet(void);
void host_init(struct host *host, const char *properties, const char *backend);
void host_end(struct host *host);

/* Runs the event loop until nothing is ready. Fails if that takes for ever. */
void host_settle(struct host *host);
/* Runs it, and sleeps in it, until fd can be read; false after two seconds. */
bool host_wait(struct host *host, int fd);

/* ---- The client ---- */

#define MAX_REPLY (128 * 1024)
#define MAX_FDS   64

struct client {
    struct host *host;
    int fd;
    int out;     /* where messages go: fd, unless a responder (vfio_responder.h) reads what comes */
    uint16_t id; /* of the last message */
    /* the last reply */
    uint32_t error;
    size_t len; /* of its payload */
    uint8_t data[MAX_REPLY];
    unsigned n_fds;
    int fds[MAX_FDS];
};

/* Connects. With client_open() the protocol is agreed upon too. */
void client_connect(struct client *client, struct host *host);
void client_open(struct client *client, struct host *host);
/* Goes away, and lets the server see it. */
void client_close(struct client *client);

/* Sends octets as they are, with descriptors. False if the socket does not take them all. */
bool client_send(struct client *client, const void *octets, size_t len, const int *fds,
                 unsigned n_fds);
/* Puts a message together: 16 octets of header, then the payload. */
GByteArray *message_new(uint16_t id, uint16_t command, uint32_t flags, const void *payload,
                        size_t len);
void client_post(struct client *client, uint16_t command, uint32_t flags, const void *payload,
                 size_t len, const int *fds, unsigned n_fds);
/* Takes the next reply that is there; false if there is none. Anything but a reply is a failure. */
bool client_reply(struct client *client, uint16_t command);
/* Sends a command, runs the server, takes the reply; its errno value. */
uint32_t client_call(struct client *client, uint16_t command, const void *payload, size_t len);
uint32_t client_call_fds(struct client *client, uint16_t command, const void *payload, size_t len,
                         const int *fds, unsigned n_fds);
/* Whether the server has ended the connection. Replies that are there are thrown away. */
bool client_is_lost(struct client *client);

/* Numbers in the last reply's payload, which must have them. */
uint16_t reply_16(const struct client *client, size_t at);
uint32_t reply_32(const struct client *client, size_t at);
uint64_t reply_64(const struct client *client, size_t at);

/* Payloads. */
struct dma_map {
    uint32_t argsz, flags;
    uint64_t offset, address, size;
};
struct dma_unmap {
    uint32_t argsz, flags;
    uint64_t address, size;
};
struct set_irqs {
    uint32_t argsz, flags, index, start, count;
};
struct region_access {
    uint64_t offset;
    uint32_t region, count;
};

uint32_t client_version(struct client *client, const char *json);
uint32_t client_map(struct client *client, uint64_t address, uint64_t size, uint32_t flags, int fd,
                    uint64_t offset);
uint32_t client_unmap(struct client *client, uint64_t address, uint64_t size);
uint32_t client_unmap_all(struct client *client);
uint32_t client_set_irqs(struct client *client, uint32_t flags, uint32_t index, uint32_t start,
                         uint32_t count, const int *fds, unsigned n_fds);
uint32_t client_read(struct client *client, uint32_t region, uint64_t offset, void *to,
                     uint32_t count);
uint32_t client_write(struct client *client, uint32_t region, uint64_t offset, const void *from,
                      uint32_t count);

/* What is there in this process. */
unsigned count_fds(void);
unsigned count_maps(void);
/* There are to be so many descriptors: at once, but for those that a device's thread had in its hands. */
void await_fds(unsigned n);
int new_eventfd(void);
int new_memfd(uint64_t size);
/* What was added to an eventfd since it was asked last. */
uint64_t eventfd_count(int fd);

/* ---- A guest behind the client ---- */

#define GUEST_VECTORS 16

struct guest {
    struct client client;
    struct guest_access access;
    struct guest_memory *memory;
    struct guest_driver *driver;
    struct guest_net *net;
    int vectors[GUEST_VECTORS];
    unsigned n_vectors;
    int intx;
    bool dead; /* the connection was lost; accesses read as ones */
};

/* A client whose guest has memory and interrupts; the driver has not touched the device. */
void guest_open(struct guest *guest, struct host *host, bool intx);
/*
 * The same in two steps: a client that is open is given memory (1 MiB to 33 MiB), and then it maps that,
 * in parts of which the odd ones are not shared (parts 1: none is), and has interrupts.
 */
void guest_begin(struct guest *guest);
void guest_connect(struct guest *guest, bool intx, unsigned parts);
/* The guest's driver starts the device and fills the receive queues. */
void guest_boot(struct guest *guest);
/* Interrupts that came by eventfd reach the driver; how many. */
unsigned guest_interrupts(struct guest *guest);
/* Waits for an interrupt and a packet; false if they do not come. */
bool guest_wait(struct guest *guest, struct guest_packet *packet);
/* Sends a frame of that number, sees it come back with an interrupt. */
void guest_echo(struct guest *guest, unsigned number);
/* The driver has nothing to complain of; all is freed, the connection closed. */
void guest_close(struct guest *guest);

/* A new client can boot the device and have frames come back. */
void host_works(struct host *host);

#endif
