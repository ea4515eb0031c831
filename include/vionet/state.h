/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The whole state of a device as octets: everything that the driver has negotiated and configured, where
 * each queue stands, what is counted, and the registers of the transport in front. For migration and
 * snapshots: the driver cannot tell that another device goes on. docs/state.md has the format, which is
 * little-endian, versioned, and describes itself in sections.
 *
 *     source                                       target
 *     vionet_device_set_paused(device, true)       vionet_device_set_paused(device, true)
 *     bytes = vionet_device_save(device, &error)   vionet_device_load(device, octets, len, &error)
 *                                                  vionet_device_set_paused(device, false)
 *
 * Guest memory is not part of it. It is to be there, as it was when the source was saved, when the target
 * goes on; what a device writes meanwhile is told by vionet_device_set_dirty_log(). What the host decided
 * stays its own: mappings, logs, polling, the link. (If the link is another one, the driver is told.)
 *
 * All functions here are control functions as vionet/device.h defines them.
 */
#ifndef VIONET_STATE_H
#define VIONET_STATE_H

#include <vionet/device.h>

VIONET_BEGIN_DECLS

#define VIONET_STATE_ERROR (vionet_state_error_quark())
VIONET_EXPORT GQuark vionet_state_error_quark(void);

typedef enum VionetStateError {
    VIONET_STATE_ERROR_NOT_PAUSED, /* vionet_device_set_paused() comes first */
    VIONET_STATE_ERROR_NOT_FRESH,  /* a driver has touched the device that was to be loaded */
    VIONET_STATE_ERROR_FORMAT,     /* this is not saved state, or it was cut or garbled */
    VIONET_STATE_ERROR_VERSION,    /* a newer version wrote it */
    VIONET_STATE_ERROR_SECTION,    /* a section is missing, there twice, or needed and not known */
    VIONET_STATE_ERROR_CONFIG,     /* the device saved was made with another configuration */
    VIONET_STATE_ERROR_FEATURES,   /* it had features that this one does not offer */
    VIONET_STATE_ERROR_VALUE,      /* a field is out of range, or contradicts another */
    VIONET_STATE_ERROR_MEMORY,     /* there is no memory for it */
} VionetStateError;

/* The version of the format that is written; all up to it are read. */
#define VIONET_STATE_VERSION 1

/*
 * Makes the device stand still, or go on. While it is paused no queue is worked on, as if the driver were
 * not running: received frames are dropped (or held by who asked first: vionet_device_running()),
 * registers keep their values and take new ones, notifications are not lost. Frames that were taken by
 * transmit may be completed; the driver is shown that later. On return no data function works on a queue.
 * What the device has still to tell its host goes on in those data functions that were under way, so that
 * who saves it lets them return first. Going on, each queue is looked at once. Off at first.
 */
VIONET_EXPORT void vionet_device_set_paused(VionetDevice *device, bool paused);

/*
 * The state of a paused device, which stays as it is and may go on. Frames taken by transmit and not
 * completed are for this device's host to send; the one that is loaded gives their buffers back to the
 * driver. The registers of a PCI function or an MMIO window are part of it. NULL with
 * VIONET_STATE_ERROR_NOT_PAUSED.
 */
VIONET_EXPORT GBytes *vionet_device_save(VionetDevice *device, GError **error);

/*
 * Takes up a state, in a paused device with the configuration of the one that was saved (it may offer more
 * features), which no driver has touched since it was made or reset. False with VIONET_STATE_ERROR, and
 * the device as it was, if anything is wrong with the state: octets may come from anywhere. Host operations
 * are called as if a driver had done it all now: event for what it negotiated and configured. Memory
 * need not be mapped before the device goes on.
 */
VIONET_EXPORT bool vionet_device_load(VionetDevice *device, const void *octets, size_t len,
                                      GError **error);

/*
 * Whether what the device writes to its queues is noted in the dirty log too, where they lie: of all queues,
 * whenever they start. For hosts whose log alone knows what the device writes; one that is told of a queue
 * by its driver's front-end has vionet_device_write_queue_log(), which this overrides. Off at first; a reset
 * leaves it.
 */
VIONET_EXPORT void vionet_device_set_dirty_queues(VionetDevice *device, bool on);

/* ---- For transports ---- */

/* What a driver can be to a transport, as bits. */
typedef enum VionetStateDriver {
    VIONET_STATE_DRIVER_MODERN = 1 << 0,     /* with FEATURES_OK */
    VIONET_STATE_DRIVER_LEGACY = 1 << 1,     /* vionet_device_begin_legacy() */
    VIONET_STATE_DRIVER_LEGACY_BIG = 1 << 2, /* the same, of a big-endian guest */
} VionetStateDriver;

/*
 * A section of a transport's own registers, or of something else that stands beside the device. Both numbers and
 * octets are the transport's to define; see
 * docs/state.md for what the format promises. All operations are called from within
 * vionet_device_save() and vionet_device_load().
 */
typedef struct VionetStateSection {
    size_t size;      /* of this structure */
    const char *name; /* up to 15 octets, not one that the device or another transport has */
    uint16_t version; /* that save writes; newer ones are refused before parse is called */
    void (*save)(void *opaque, GByteArray *octets);
    /*
     * Looks at what was saved. Changes nothing: what it makes of it is handed to take, once the device's
     * part is in place, or to drop if something else is wrong. NULL with a VIONET_STATE_ERROR.
     */
    void *(*parse)(void *opaque, unsigned version, const uint8_t *octets, size_t len,
                   GError **error);
    void (*take)(void *opaque, void *parsed);
    void (*drop)(void *opaque, void *parsed);
    /* Who does not know it, or only older versions, may do without; else it refuses the state. */
    bool skippable;
    /*
     * Asked where a state has none, or one of a newer version that may be skipped: whether to go on without. Then take
     * gets NULL, and drop is not called; if not, with a VIONET_STATE_ERROR. NULL: such a state is refused.
     */
    bool (*missing)(void *opaque, GError **error);
    /* VionetStateDriver: those that this transport lets in. A state of another is refused. 0: it does not say. */
    unsigned drivers;
} VionetStateSection;

/*
 * Adds a section, which is copied but for its name, to all states of the device, and to what those have to fit that
 * are loaded; removes the one of that name.
 */
VIONET_EXPORT void vionet_device_add_state_section(VionetDevice *device,
                                                   const VionetStateSection *section, void *opaque);
VIONET_EXPORT void vionet_device_remove_state_section(VionetDevice *device, const char *name);

VIONET_END_DECLS

#endif
