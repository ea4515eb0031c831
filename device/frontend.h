/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The thin frontend: a device as QEMU makes one, from a line of properties and a backend. It is one
 * PCI function; the emulator forwards configuration space and BAR accesses to it (vionet/pci.h),
 * maps the guest's memory (vionet/device.h) and sends its interrupts. An emulator that has a transport of
 * its own (vionet/transport.h) gives the operation interrupt, and there is no PCI function then.
 *
 * Life: new (configured: nothing of it can be seen by a guest) - realize (there are a device and a
 * PCI function) - unrealize - free. A frontend can be realized again; device, PCI function and
 * mappings are new ones then, the backend and what waits in it stay.
 *
 * Threads: like QEMU with its big lock. Functions of one frontend, and all accesses to its device
 * and PCI function, are for one thread at a time. Operations are called from within those; from an
 * operation everything may be called but vionet_frontend_unrealize() and vionet_frontend_free(). A
 * frontend that is moving frames does not begin to do so again when it is called from within: it
 * goes on.
 *
 * With threads=on each queue pair has a thread of its own, from realize to unrealize, which moves
 * frames between the device and the backend's queue of that number. The rest stays as above, for one
 * thread. What differs: operations but for wake may be called from any thread, several at a time;
 * vionet_frontend_queue_context() says where a queue's notifications are best watched; memory is
 * taken back with vionet_frontend_settle(); and none can be remote.
 *
 * Errors are of domain VIONET_ERROR, one line each.
 */
#ifndef DEVICE_FRONTEND_H
#define DEVICE_FRONTEND_H

#include <vionet/device.h>
#include <vionet/pci.h>

#include "backend.h"

typedef struct VionetFrontend VionetFrontend;

/*
 * What the frontend asks of its emulator; each may be NULL. Without msi there is no MSI-X, without
 * intx no interrupt pin; without clock_ns and timer, which come together, no interrupt coalescing.
 */
typedef struct VionetFrontendOps {
    size_t size; /* of this structure */
    /* As in VionetPciOps. */
    void (*msi)(void *opaque, unsigned vector, uint64_t address, uint32_t data);
    void (*intx)(void *opaque, bool level);
    /* As in VionetHostOps: call vionet_device_timer() when the time has come. */
    uint64_t (*clock_ns)(void *opaque);
    void (*timer)(void *opaque, unsigned queue, uint64_t deadline_ns);
    /* As in VionetHostOps, after the frontend has seen the event. */
    void (*event)(void *opaque, const VionetEvent *event);
    /*
     * There is more to be moved than the guest's notification should pay for: call
     * vionet_frontend_poll() soon, not from here. Without it the rest waits for the next poll or
     * notification.
     */
    void (*wake)(void *opaque);
    /* As in VionetHostOps; may not call the frontend either. */
    void (*trace)(void *opaque, const VionetTrace *trace);
    /* As in VionetHostOps, for memory that is mapped with vionet_device_map_remote(). Not with threads=on. */
    bool (*dma_read)(void *opaque, uint64_t gpa, void *buf, size_t len);
    bool (*dma_write)(void *opaque, uint64_t gpa, const void *buf, size_t len);
    /*
     * As in VionetHostOps: the emulator is the transport, and the driver's side chooses the queues'
     * sizes. They are then allowed to be 1024, or what the properties say if that is more.
     */
    void (*interrupt)(void *opaque, unsigned queue);
    /*
     * A notification, which may hold up a virtual CPU, leads to wake, which must be there, and to nothing
     * else: frames move in vionet_frontend_poll(). Until that finds no more of them, the guest is asked not
     * to notify again. Not with threads=on.
     */
    bool defers;
} VionetFrontendOps;

/*
 * Configures a frontend: properties as properties_help() lists them, backend as backend_help()
 * does. The backend is opened. A feature that properties turn on and that the operations cannot
 * serve is an error; frames that the backend does not take as they are, the frontend segments and
 * finishes. ops is copied, opaque handed to each operation. NULL on error.
 */
VionetFrontend *vionet_frontend_new(const char *properties, const char *backend,
                                    const VionetFrontendOps *ops, void *opaque, GError **error);

/*
 * The same over a backend that open(from) makes, after the properties were found good: for an emulator
 * that has a network of its own. Its struct backend_ops need have no name that backend_open() knows.
 */
typedef VionetBackend *VionetBackendOpen(void *from, GError **error);
VionetFrontend *vionet_frontend_new_over(const char *properties, VionetBackendOpen *open,
                                         void *from, const VionetFrontendOps *ops, void *opaque,
                                         GError **error);

/* Unrealizes if need be, closes the backend, frees; NULL is ignored. */
void vionet_frontend_free(VionetFrontend *frontend);

/* Makes the device and, unless there is interrupt, its PCI function. False, and nothing made, on error or if they are there. */
bool vionet_frontend_realize(VionetFrontend *frontend, GError **error);

/* Takes them away; frames that are held are dropped. Harmless if there are none. */
void vionet_frontend_unrealize(VionetFrontend *frontend);

/* Resets the function as a reset of the bus does, or the device. Harmless if there is none. */
void vionet_frontend_reset(VionetFrontend *frontend);

/*
 * The guest has gone, as a machine that is switched off: resets the function, and lets the backend
 * forget what it keeps for that guest. Another may come.
 */
void vionet_frontend_forget_guest(VionetFrontend *frontend);

/* The device and its PCI function, NULL if there is none; the backend. Theirs stays theirs. */
VionetDevice *vionet_frontend_device(const VionetFrontend *frontend);
VionetPci *vionet_frontend_pci(const VionetFrontend *frontend);
VionetBackend *vionet_frontend_backend(const VionetFrontend *frontend);

/*
 * Asks the backend for up to n frames for the guest, and moves what else there is to be moved.
 * Frames that the guest has no room for are held, and go when it makes room; until its driver runs,
 * nothing is asked of the backend. True if there is more that could be moved at once, or may soon be
 * (poll-us).
 */
bool vionet_frontend_poll(VionetFrontend *frontend, size_t n);

/*
 * Lets the backend live with an event loop: its sources go to context, and what they bring goes to
 * the guest without vionet_frontend_poll() being called for it. All of the frontend is then for the
 * thread that runs context. Once; the backend's sources go when it is closed.
 */
void vionet_frontend_attach(VionetFrontend *frontend, GMainContext *context);

/*
 * Whether frames for the guest can go on: its driver runs, and none are held. An emulator that
 * watches a backend's descriptor stops watching while this is false.
 */
bool vionet_frontend_can_receive(const VionetFrontend *frontend);

/* Frames held now, by threads not counted. */
unsigned vionet_frontend_held(const VionetFrontend *frontend);

/*
 * The event loop of the thread that serves a queue, to which sources that watch for the queue's
 * notifications may be attached; they call vionet_device_kick(). NULL: the queue is for the thread of
 * the frontend. (So are all without threads=on, and always those that may be the control queue.)
 */
GMainContext *vionet_frontend_queue_context(const VionetFrontend *frontend, unsigned queue);

/*
 * Waits until no thread uses guest memory any more that the device was told to forget before
 * (vionet_device_unmap()). Then that memory may go. Nothing to do without threads=on.
 */
void vionet_frontend_settle(VionetFrontend *frontend);

#endif
