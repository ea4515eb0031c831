/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a transport asks of the device: status, features, configuration space, queues (VIRTIO 1.4,
 * chapter 2 and 3). vionet/pci.h is one user; a memory-mapped register file or a vhost protocol is
 * another. All are control functions as vionet/device.h defines them, but for vionet_device_kick() of
 * a receive or transmit queue. Whatever value a driver sends may be passed in unchecked: queue indices
 * that do not exist read as 0 and ignore writes.
 */
#ifndef VIONET_TRANSPORT_H
#define VIONET_TRANSPORT_H

#include <vionet/device.h>

VIONET_BEGIN_DECLS

/* Offered feature bits 32 * window to 32 * window + 31, any window (2.2). */
VIONET_EXPORT uint32_t vionet_device_offered(const VionetDevice *device, uint32_t window);

/* The driver's feature bits of a window, and a write of them; only before FEATURES_OK. */
VIONET_EXPORT uint32_t vionet_device_driver_features(const VionetDevice *device, uint32_t window);
VIONET_EXPORT void vionet_device_write_driver_features(VionetDevice *device, uint32_t window,
                                                       uint32_t value);

/* Whether a feature is negotiated: FEATURES_OK is set and both sides have it. */
VIONET_EXPORT bool vionet_device_negotiated(const VionetDevice *device, unsigned bit);

/*
 * Device status (2.1). Writing 0 resets the device, which is complete on return; other values go
 * through the state machine: FEATURES_OK is only taken if the features hold together, DRIVER_OK
 * starts the queues, a bit once set stays.
 */
VIONET_EXPORT uint8_t vionet_device_status(const VionetDevice *device);
VIONET_EXPORT void vionet_device_write_status(VionetDevice *device, uint8_t value);

/* The same reset, but by the machine: a reset of the bus or of a function, power switched off. */
VIONET_EXPORT void vionet_device_reset(VionetDevice *device);

/*
 * Reads len octets of the device-specific configuration space at offset; octets past its end are 0.
 */
VIONET_EXPORT void vionet_device_config_read(VionetDevice *device, uint32_t offset, void *buf,
                                             size_t len);

/*
 * A driver's write to it, which has no effect but a violation (5.1.4). A legacy driver may set mac, as
 * long as it has not accepted VIRTIO_NET_F_CTRL_MAC_ADDR.
 */
VIONET_EXPORT void vionet_device_config_write(VionetDevice *device, uint32_t offset,
                                              const void *buf, size_t len);

/* config_generation: differs between two reads whenever a value read in between may differ (2.5.1). */
VIONET_EXPORT uint8_t vionet_device_config_generation(const VionetDevice *device);

/* Queues that the device has at most: all pairs and the control queue. */
VIONET_EXPORT unsigned vionet_device_num_queues(const VionetDevice *device);

/*
 * Data: index of the control queue, which depends on the features negotiated, or offered until then
 * (5.1.2); VIONET_NONE if there is none.
 */
VIONET_EXPORT unsigned vionet_device_control_queue(const VionetDevice *device);

typedef enum VionetQueueArea {
    VIONET_AREA_DESC,   /* Descriptor Area */
    VIONET_AREA_DRIVER, /* Driver Area */
    VIONET_AREA_DEVICE, /* Device Area */
} VionetQueueArea;

/* Size in descriptors: the maximum after reset, then what the driver wrote; 0 if there is no queue. */
VIONET_EXPORT uint16_t vionet_device_queue_size(const VionetDevice *device, unsigned queue);
VIONET_EXPORT void vionet_device_write_queue_size(VionetDevice *device, unsigned queue,
                                                  uint16_t size);

/* The most that may be written there. */
VIONET_EXPORT uint16_t vionet_device_queue_max_size(const VionetDevice *device, unsigned queue);

/* Guest physical address of a part. Not writable while the queue is enabled. */
VIONET_EXPORT uint64_t vionet_device_queue_area(const VionetDevice *device, unsigned queue,
                                                VionetQueueArea area);
VIONET_EXPORT void vionet_device_write_queue_area(VionetDevice *device, unsigned queue,
                                                  VionetQueueArea area, uint64_t gpa);

/*
 * Enabled state. Writing 1 makes the queue live (now, or at DRIVER_OK); the parts are checked then.
 * Writing 0 is the driver's violation and has no effect (4.1.4.3).
 */
VIONET_EXPORT bool vionet_device_queue_enabled(const VionetDevice *device, unsigned queue);
VIONET_EXPORT void vionet_device_write_queue_enable(VionetDevice *device, unsigned queue,
                                                    uint16_t value);

/*
 * Queue reset (2.6.1, VIRTIO_F_RING_RESET): on return the queue is disabled, with the state of a new
 * device's. False, and no effect, if the queue does not exist or the feature is not negotiated.
 */
VIONET_EXPORT bool vionet_device_reset_queue(VionetDevice *device, unsigned queue);

/*
 * Takes a queue away as its reset does, whatever was negotiated: for a transport whose drivers may do
 * that. No effect on one that is not enabled.
 */
VIONET_EXPORT void vionet_device_disable_queue(VionetDevice *device, unsigned queue);

/*
 * Where a queue is to go on that another device had before, instead of at its beginning. Split: the index
 * of the next available buffer; buffers between what that device took and what it gave back are lost to
 * the driver. Packed: the place of the next available buffer with its wrap counter in bit 15, and in the
 * upper half those of the next used one, 0 for the same. Not writable while the queue is enabled.
 */
VIONET_EXPORT void vionet_device_write_queue_base(VionetDevice *device, unsigned queue,
                                                  uint32_t base);

/*
 * Stops an enabled queue where it stands, which *base says: enabling it again goes on there, in this
 * device or another. Its other registers stay, and may be written. Of a queue that was paused
 * (vionet_device_set_dma()) the driver is shown what was completed meanwhile; of one that was loaded (vionet/state.h)
 * and never ran, what was out where it comes from. False, with nothing done, if there is
 * no such queue; and as long as frames that were taken from it have not been completed: then no others
 * are taken, and this is to be called again.
 */
VIONET_EXPORT bool vionet_device_stop_queue(VionetDevice *device, unsigned queue, uint32_t *base);

/*
 * Whether what the device writes to a queue's Device Area is noted in the dirty log, and the address
 * that stands for that part there. Off after a reset of the queue or the device; writable at any time.
 */
VIONET_EXPORT void vionet_device_write_queue_log(VionetDevice *device, unsigned queue, bool logs,
                                                 uint64_t gpa);

/*
 * A journal, by which another process goes on with a queue whose process died in the middle: memory that
 * outlives it, aligned to 8, of as many octets as vionet_queue_journal_size() says for the queue's size. The
 * device gives buffers back in the order in which they were taken, and notes there what the driver's memory
 * does not say. A queue that starts with a journal which was not cleared since it was in use goes on from
 * there, whatever its base: none of the driver's buffers is lost or used twice; frames that had been taken
 * and not given back are taken again. It stays the caller's, and has to be there until the queue is stopped.
 * NULL: none, as after a reset of the queue or the device. Not writable while the queue is enabled.
 */
VIONET_EXPORT void vionet_device_write_queue_journal(VionetDevice *device, unsigned queue,
                                                     void *journal);
VIONET_EXPORT size_t vionet_queue_journal_size(uint16_t size);

/* Says of a journal that nothing is to be learnt from it: its queue was stopped, and its base is known. */
VIONET_EXPORT void vionet_queue_journal_clear(void *journal);

/*
 * Whether a transmit queue's frames are given back without being sent (counted as of a disabled queue): a
 * transport may have rings that are disabled and yet have to be emptied. Off after a reset of the queue or
 * the device; writable at any time.
 */
VIONET_EXPORT void vionet_device_write_queue_discard(VionetDevice *device, unsigned queue,
                                                     bool discards);

/*
 * The legacy interface (2.2.3 and the other sections of that name), for transports that have it. A legacy
 * driver has no FEATURES_OK and no features above bit 31: what it writes of window 0 holds at once,
 * without what cannot be accepted, as long as no queue runs. It may use its queues before DRIVER_OK.
 * Rings, packet headers, commands and configuration space have its guest's order of octets, which nothing
 * in the interface tells.
 *
 * From here to reset the driver is a legacy one, which may be said again and again. False, with a
 * violation, if the driver has negotiated as others do.
 */
VIONET_EXPORT bool vionet_device_begin_legacy(VionetDevice *device, bool big_endian);

/*
 * A legacy driver's queue, in one piece at gpa with its used ring at a multiple of align: its areas are
 * set, and it is enabled (2.7.2). gpa 0 takes it away. An align that is no power of two is the driver's
 * violation, as is a queue that is enabled already; neither has an effect.
 */
VIONET_EXPORT void vionet_device_write_legacy_queue(VionetDevice *device, unsigned queue,
                                                    uint64_t gpa, uint32_t align);

/* A legacy driver notifies before DRIVER_OK: its queues run from now on. */
VIONET_EXPORT void vionet_device_start_legacy(VionetDevice *device);

/*
 * Commands of the control queue are executed elsewhere, by a front-end that keeps that queue: the device
 * filters no frames then, that having been done, and passes them to so many queue pairs. From
 * FEATURES_OK to reset; the number may be changed.
 */
VIONET_EXPORT void vionet_device_delegate_control(VionetDevice *device, unsigned pairs);

/*
 * The driver notified a queue. Commands of the control queue are executed before this returns (a
 * control function then); for the others the kick operation is called (a data function).
 */
VIONET_EXPORT void vionet_device_kick(VionetDevice *device, unsigned queue);

/*
 * A violation that the transport itself has seen (a bad vector, a notification that names no queue).
 * queue and descriptor may be VIONET_NONE.
 */
VIONET_EXPORT void vionet_device_violation(VionetDevice *device, VionetViolation violation,
                                           unsigned queue, unsigned descriptor, uint64_t value);

/*
 * Takes over the interrupt operation: the device calls this instead of the embedder's. NULL gives it
 * back. Only while no data function runs.
 */
VIONET_EXPORT void vionet_device_set_interrupt(VionetDevice *device,
                                               void (*interrupt)(void *opaque, unsigned queue),
                                               void *opaque);

VIONET_END_DECLS

#endif
