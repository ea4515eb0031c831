/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Event notifiers for queues; see notifiers.h. Called by vionet_pci.c and QEMU's main loop.
 */
#include "qemu/osdep.h"

#include "notifiers.h"

#include "qemu/event_notifier.h"
#include "qemu/main-loop.h"

#include "compat.h"

struct notifier {
    EventNotifier event;
    struct notifiers *all;
    unsigned queue;
    MemoryRegion *bar;
    uint64_t offset;
};

struct notifiers {
    void (*kicked)(void *opaque, unsigned queue);
    void *opaque;
    unsigned n;
    struct notifier one[];
};

static void happened(EventNotifier *event)
{
    const struct notifier *notifier = container_of(event, struct notifier, event);

    if (event_notifier_test_and_clear(event)) {
        notifier->all->kicked(notifier->all->opaque, notifier->queue);
    }
}

/*
 * Notifications have 2 octets, or 4 (VIRTIO_F_NOTIFICATION_DATA). A size of 0 stands for all, which a
 * kernel may lack.
 */
static void put(struct notifier *notifier, bool there)
{
    static const unsigned any[] = {0};
    static const unsigned both[] = {2, 4};
    const bool has_any = compat_has_any_size();
    const unsigned *sizes = has_any ? any : both;

    for (unsigned i = 0; i < (has_any ? G_N_ELEMENTS(any) : G_N_ELEMENTS(both)); i++) {
        if (there) {
            memory_region_add_eventfd(notifier->bar, notifier->offset, sizes[i], false, 0,
                                      &notifier->event);
        } else {
            memory_region_del_eventfd(notifier->bar, notifier->offset, sizes[i], false, 0,
                                      &notifier->event);
        }
    }
}

static void put_all(struct notifiers *notifiers, bool there)
{
    memory_region_transaction_begin();
    for (unsigned i = 0; i < notifiers->n; i++) {
        put(&notifiers->one[i], there);
    }
    memory_region_transaction_commit();
}

static void close_all(struct notifiers *notifiers)
{
    for (unsigned i = 0; i < notifiers->n; i++) {
        event_notifier_set_handler(&notifiers->one[i].event, NULL);
        event_notifier_cleanup(&notifiers->one[i].event);
    }
    g_free(notifiers);
}

static bool open_one(struct notifiers *notifiers, const VionetPci *pci, MemoryRegion *bars,
                     unsigned queue)
{
    struct notifier *notifier = &notifiers->one[queue];
    unsigned bar;

    if (!vionet_pci_notify_address(pci, queue, &bar, &notifier->offset) ||
        event_notifier_init(&notifier->event, 0) < 0) {
        return false;
    }
    notifier->all = notifiers;
    notifier->queue = queue;
    notifier->bar = &bars[bar];
    event_notifier_set_handler(&notifier->event, happened);
    notifiers->n++;
    return true;
}

struct notifiers *notifiers_new(const VionetPci *pci, MemoryRegion *bars, unsigned n_queues,
                                void (*kicked)(void *opaque, unsigned queue), void *opaque)
{
    struct notifiers *notifiers =
        g_malloc0(sizeof(*notifiers) + n_queues * sizeof(notifiers->one[0]));

    notifiers->kicked = kicked;
    notifiers->opaque = opaque;
    while (notifiers->n < n_queues) {
        if (!open_one(notifiers, pci, bars, notifiers->n)) {
            close_all(notifiers);
            return NULL;
        }
    }
    put_all(notifiers, true);
    return notifiers;
}

void notifiers_free(struct notifiers *notifiers)
{
    if (notifiers) {
        put_all(notifiers, false);
        close_all(notifiers);
    }
}
