/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names: violations with the sections of the specification (VIRTIO 1.4) that they are against, the
 * verdicts on frames, the counters, and the sentence that an event makes. Tables, read by whoever
 * prints.
 */
#include <stdio.h>
#include <string.h>

#include <vionet/device.h>

/* clang-format off */
static const VionetViolationInfo violations[VIONET_N_VIOLATIONS] = {
    [VIONET_VIOLATION_QUEUE_SIZE] = {"queue-size", "2.7", true,
                                     "queue %q: size %v, which no queue of its format has"},
    [VIONET_VIOLATION_RING_MISALIGNED] = {"ring-misaligned", "2.7", true,
                                          "queue %q: part at %x is not aligned"},
    [VIONET_VIOLATION_RING_ADDRESS] = {"ring-outside-memory", "2.7", true,
                                       "queue %q: part at %x is not guest memory"},
    [VIONET_VIOLATION_AVAIL_JUMP] = {"avail-index-jump", "2.7.13.3.1", true,
                                     "queue %q: available index is %v ahead, which is more buffers "
                                     "than the queue can hold"},
    [VIONET_VIOLATION_HEAD_RANGE] = {"head-out-of-range", "2.7.6", true,
                                     "queue %q: available ring names descriptor %v, which the table "
                                     "does not have"},
    [VIONET_VIOLATION_HEAD_IN_FLIGHT] = {"head-in-flight", "2.7.13.1", true,
                                         "descriptor %d of queue %q: made available again (index %v) "
                                         "before it was used"},
    [VIONET_VIOLATION_NEXT_RANGE] = {"next-out-of-range", "2.7.5", true,
                                     "descriptor %d of queue %q: chain goes on at %v, which the table "
                                     "does not have"},
    [VIONET_VIOLATION_CHAIN_LENGTH] = {"chain-too-long", "2.7.5", true,
                                       "descriptor %d of queue %q: its chain is longer than %v "
                                       "descriptors, or a loop"},
    [VIONET_VIOLATION_CHAIN_OCTETS] = {"chain-too-large", "2.7.5", true,
                                       "descriptor %d of queue %q: its chain has more than 2^32 "
                                       "octets (%v so far)"},
    [VIONET_VIOLATION_ADDRESS] = {"address-outside-memory", "2.7.5", true,
                                  "descriptor %d of queue %q: address %x is, or leads, outside guest "
                                  "memory"},
    [VIONET_VIOLATION_READABLE_AFTER_WRITABLE] = {"readable-after-writable", "2.7.4.2", true,
                                                  "descriptor %d of queue %q: device-readable behind "
                                                  "a device-writable one, in the chain of %v"},
    [VIONET_VIOLATION_INDIRECT_NOT_NEGOTIATED] = {"indirect-not-negotiated", "2.7.5.3.1", true,
                                                  "descriptor %d of queue %q: indirect (flags %x), "
                                                  "which was not negotiated"},
    [VIONET_VIOLATION_INDIRECT_NESTED] = {"indirect-nested", "2.7.5.3.1", true,
                                          "descriptor %d of queue %q: entry %v of its indirect table "
                                          "is indirect"},
    [VIONET_VIOLATION_INDIRECT_WITH_NEXT] = {"indirect-with-next", "2.7.5.3.1", true,
                                             "descriptor %d of queue %q: both INDIRECT and NEXT "
                                             "(flags %x)"},
    [VIONET_VIOLATION_INDIRECT_LENGTH] = {"indirect-length", "2.7.5.3", true,
                                          "descriptor %d of queue %q: indirect table of %v octets"},
    [VIONET_VIOLATION_INDIRECT_MIXED] = {"indirect-in-list", "2.8.7", true,
                                         "descriptor %d of queue %q: indirect, in a list of several "
                                         "that begins at %v"},
    [VIONET_VIOLATION_CHAIN_UNAVAILABLE] = {"list-not-available", "2.8.6", true,
                                            "descriptor %d of queue %q: not available, though the "
                                            "list that begins at %v goes on there"},
    [VIONET_VIOLATION_RECEIVE_BUFFER] = {"receive-buffer-too-small", "5.1.6.3.1", true,
                                         "descriptor %d of queue %q: receive buffer of %v octets does "
                                         "not hold the packet header"},
    [VIONET_VIOLATION_CONTROL_UNANSWERABLE] = {"control-unanswerable", "5.1.6.5", true,
                                               "descriptor %d of queue %q: command of %v octets has no "
                                               "class and command, or no room for the answer"},
    [VIONET_VIOLATION_DRIVER_OK_EARLY] = {"driver-ok-early", "3.1.1", true,
                                          "DRIVER_OK (status %x) without FEATURES_OK"},
    [VIONET_VIOLATION_FEATURES_NOT_OFFERED] = {"feature-not-offered", "2.2.1", false,
                                               "feature bit %v accepted, but not offered"},
    [VIONET_VIOLATION_FEATURES_DEPENDENCY] = {"feature-dependency", "2.2.1", false,
                                              "feature bit %v accepted without one that it requires, "
                                              "or required and not accepted"},
    [VIONET_VIOLATION_FEATURES_LATE] = {"features-late", "3.1.1", false,
                                        "features written (%x) after FEATURES_OK, or, by a "
                                        "legacy driver, too late"},
    [VIONET_VIOLATION_STATUS_BIT_CLEARED] = {"status-bit-cleared", "2.1.1", false,
                                             "status written as %x, which clears a bit"},
    [VIONET_VIOLATION_QUEUE_SELECT] = {"queue-select", "4.1.4.3", false,
                                       "queue %q does not exist, and was written to"},
    [VIONET_VIOLATION_QUEUE_SIZE_WRITE] = {"queue-size-write", "4.1.4.3.2", false,
                                           "queue %q: size %v is above the maximum or no power of "
                                           "two"},
    [VIONET_VIOLATION_QUEUE_WRITE_ENABLED] = {"queue-write-enabled", "4.1.5.1.3", false,
                                              "queue %q: register written (%x) while it is enabled"},
    [VIONET_VIOLATION_QUEUE_DISABLE] = {"queue-disable", "4.1.4.3.2", false,
                                        "queue %q: %v written to queue_enable"},
    [VIONET_VIOLATION_QUEUE_ENABLE_EARLY] = {"queue-enable-early", "3.1.1", false,
                                             "queue %q: enabled before FEATURES_OK (status %x)"},
    [VIONET_VIOLATION_QUEUE_RESET] = {"queue-reset", "4.1.4.3.2", false,
                                      "queue %q: reset (%v) without the feature, or of a queue that "
                                      "is not enabled"},
    [VIONET_VIOLATION_VECTOR_RANGE] = {"vector-out-of-range", "4.1.5.1.2", false,
                                       "queue %q: MSI-X vector %v does not exist"},
    [VIONET_VIOLATION_CONFIG_WRITE] = {"config-write", "5.1.4", false,
                                       "configuration space written at offset %v"},
    [VIONET_VIOLATION_NOTIFY_QUEUE] = {"notify-unknown-queue", "4.1.5.2", false,
                                       "notification %x names no queue"},
    [VIONET_VIOLATION_NOTIFY_DATA] = {"notify-wrong-data", "4.1.5.2", false,
                                      "queue %q: notification %x does not carry the identifier"},
    [VIONET_VIOLATION_QUEUE_ALIGN] = {"queue-align", "2.7.2", false,
                                      "queue %q: alignment %v of the used ring is no power of two"},
    [VIONET_VIOLATION_LEGACY_LATE] = {"legacy-late", "2.2.3", false,
                                      "the legacy interface written to after FEATURES_OK (status "
                                      "%x)"},
    [VIONET_VIOLATION_COMMAND_UNKNOWN] = {"command-unknown", "5.1.6.5", false,
                                          "command %x (class, command) does not exist"},
    [VIONET_VIOLATION_COMMAND_NOT_NEGOTIATED] = {"command-not-negotiated", "5.1.6.5", false,
                                                 "command %x (class, command) needs a feature that "
                                                 "was not negotiated"},
    [VIONET_VIOLATION_COMMAND_LENGTH] = {"command-length", "5.1.6.5", false,
                                         "command %x (class, command): payload or answer has the "
                                         "wrong length"},
    [VIONET_VIOLATION_COMMAND_VALUE] = {"command-value", "5.1.6.5", false,
                                        "command %x (class, command): a value is not allowed"},
};
/* clang-format on */

static const char *const verdicts[VIONET_N_VERDICTS] = {
    [VIONET_DELIVERED] = "delivered",
    [VIONET_HELD] = "held",
    [VIONET_DROP_RUNT] = "runt",
    [VIONET_DROP_OVERSIZE] = "oversize",
    [VIONET_DROP_NOT_RUNNING] = "not-running",
    [VIONET_DROP_LINK_DOWN] = "link-down",
    [VIONET_DROP_FILTER] = "filter",
    [VIONET_DROP_VLAN] = "vlan",
    [VIONET_DROP_MTU] = "mtu",
    [VIONET_DROP_OFFLOAD] = "offload",
    [VIONET_DROP_QUEUE_DISABLED] = "queue-disabled",
    [VIONET_DROP_NO_BUFFER] = "no-buffer",
    [VIONET_DROP_BUFFER_TOO_SMALL] = "buffer-too-small",
    [VIONET_DROP_MALFORMED] = "malformed",
};

static const char *const counters[VIONET_N_COUNTERS] = {
    [VIONET_COUNTER_PACKETS] = "packets",
    [VIONET_COUNTER_OCTETS] = "octets",
    [VIONET_COUNTER_KICKS] = "kicks",
    [VIONET_COUNTER_INTERRUPTS] = "interrupts",
    [VIONET_COUNTER_DROPS] = "drops",
    [VIONET_COUNTER_STALE] = "stale-completions",
    [VIONET_COUNTER_COMMANDS_OK] = "commands-ok",
    [VIONET_COUNTER_COMMANDS_ERR] = "commands-err",
    [VIONET_COUNTER_CSUM_VALID] = "csum-valid",
    [VIONET_COUNTER_CSUM_NEEDS] = "csum-needs",
    [VIONET_COUNTER_CSUM_NONE] = "csum-none",
    [VIONET_COUNTER_GSO_PACKETS] = "gso-packets",
    [VIONET_COUNTER_GSO_OCTETS] = "gso-octets",
};

static const char *const kinds[] = {
    [VIONET_EVENT_VIOLATION] = "violation",
    [VIONET_EVENT_FEATURES] = "features accepted",
    [VIONET_EVENT_RUNNING] = "driver runs",
    [VIONET_EVENT_RESET] = "device reset",
    [VIONET_EVENT_FILTER] = "receive filter changed",
    [VIONET_EVENT_STEERING] = "steering changed",
    [VIONET_EVENT_ANNOUNCED] = "driver announced itself",
    [VIONET_EVENT_OFFLOADS] = "receive offloads switched",
};

const VionetViolationInfo *vionet_violation_info(VionetViolation violation)
{
    return (unsigned)violation < VIONET_N_VIOLATIONS ? &violations[violation] : NULL;
}

const char *vionet_verdict_name(VionetVerdict verdict)
{
    return (unsigned)verdict < VIONET_N_VERDICTS ? verdicts[verdict] : "unknown";
}

const char *vionet_counter_name(VionetCounter counter)
{
    return (unsigned)counter < VIONET_N_COUNTERS ? counters[counter] : "unknown";
}

static void append_number(GString *text, const char *format, uint64_t value)
{
    g_string_append_printf(text, format, value);
}

/* A queue or descriptor. */
static void append_index(GString *text, unsigned index)
{
    if (index == VIONET_NONE) {
        g_string_append(text, "(none)");
    } else {
        append_number(text, "%" G_GUINT64_FORMAT, index);
    }
}

static void append_text(GString *text, const char *template, const VionetEvent *event)
{
    for (const char *p = template; *p; p++) {
        if (*p != '%') {
            g_string_append_c(text, *p);
            continue;
        }
        switch (*++p) {
        case 'q':
            append_index(text, event->queue);
            break;
        case 'd':
            append_index(text, event->descriptor);
            break;
        case 'v':
            append_number(text, "%" G_GUINT64_FORMAT, event->value);
            break;
        default: /* %x */
            append_number(text, "0x%" G_GINT64_MODIFIER "x", event->value);
            break;
        }
    }
}

void vionet_event_describe(const VionetEvent *event, char *buf, size_t size)
{
    const VionetViolationInfo *info = vionet_violation_info(event->violation);
    GString *text = g_string_new(NULL);

    if (event->kind == VIONET_EVENT_VIOLATION && info) {
        append_text(text, info->text, event);
        g_string_append_printf(text, " (%s)", info->section);
    } else if ((unsigned)event->kind < G_N_ELEMENTS(kinds)) {
        g_string_append(text, kinds[event->kind]);
    }
    g_strlcpy(buf, text->str, size);
    g_string_free(text, TRUE);
}
