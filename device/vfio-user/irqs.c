/* SPDX-License-Identifier: BSD-3-Clause */
/* Interrupts over vfio-user; see irqs.h. Called by server.c. */
#include "irqs.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include <glib-unix.h>

#include "eventfds.h"
#include "thread_memory.h"

#define VECTOR_ENTRY   16 /* octets of one in the MSI-X table, which begins its BAR */
#define VECTOR_CONTROL 12

struct irq {
    _Alignas(LINE_PAIR) pthread_mutex_t
        lock; /* changes are made with it, and looked at with it but by the event loop */
    int fd;   /* -1: nobody is told */
    bool masked;
};

struct irqs {
    GMainContext *context;
    bool has_pin;
    bool level;    /* of INTx, whose lock it is under */
    int unmask_fd; /* the client's, which unmasks INTx; -1 */
    GSource *unmask_source;
    unsigned n_vectors;
    struct irq *intx; /* the first of irqs[] */
    struct irq *vectors;
    struct irq irqs[];
};

/* ---- Signals ---- */

static void signal_irq(struct irq *irq)
{
    pthread_mutex_lock(&irq->lock);
    if (irq->fd >= 0) {
        eventfds_signal(irq->fd);
    }
    pthread_mutex_unlock(&irq->lock);
}

static void mask(struct irq *irq, bool masked)
{
    pthread_mutex_lock(&irq->lock);
    irq->masked = masked;
    pthread_mutex_unlock(&irq->lock);
}

/* With the lock of INTx. */
static void update_locked(struct irqs *irqs)
{
    if (irqs->level && !irqs->intx->masked && irqs->intx->fd >= 0) {
        irqs->intx->masked = true;
        eventfds_signal(irqs->intx->fd);
    }
}

static void update_intx(struct irqs *irqs)
{
    pthread_mutex_lock(&irqs->intx->lock);
    update_locked(irqs);
    pthread_mutex_unlock(&irqs->intx->lock);
}

void irqs_intx(struct irqs *irqs, bool level)
{
    pthread_mutex_lock(&irqs->intx->lock);
    irqs->level = level;
    update_locked(irqs);
    pthread_mutex_unlock(&irqs->intx->lock);
}

void irqs_msi(struct irqs *irqs, unsigned vector)
{
    if (vector < irqs->n_vectors) {
        signal_irq(&irqs->vectors[vector]);
    }
}

/* ---- Descriptors ---- */

static void replace_fd(struct irq *irq, int fd)
{
    pthread_mutex_lock(&irq->lock);
    if (irq->fd >= 0) {
        close(irq->fd);
    }
    irq->fd = fd;
    irq->masked = false;
    pthread_mutex_unlock(&irq->lock);
}

static gboolean unmask_asked(gint fd, GIOCondition condition, gpointer data)
{
    struct irqs *irqs = data;

    (void)condition;
    if (eventfds_take(fd)) {
        mask(irqs->intx, false);
        update_intx(irqs);
    }
    return G_SOURCE_CONTINUE;
}

static void watch_unmask(struct irqs *irqs, int fd)
{
    if (irqs->unmask_source) {
        g_source_destroy(irqs->unmask_source);
        g_clear_pointer(&irqs->unmask_source, g_source_unref);
        close(irqs->unmask_fd);
    }
    irqs->unmask_fd = fd;
    if (fd >= 0) {
        irqs->unmask_source = g_unix_fd_source_new(fd, G_IO_IN);
        g_source_set_callback(irqs->unmask_source, G_SOURCE_FUNC(unmask_asked), irqs, NULL);
        g_source_attach(irqs->unmask_source, irqs->context);
    }
}

/* ---- Life ---- */

struct irqs *irqs_new(unsigned n_vectors, bool has_pin, GMainContext *context)
{
    struct irqs *irqs = thread_memory_new0(sizeof(*irqs) + (1 + n_vectors) * sizeof(irqs->irqs[0]));

    irqs->context = context;
    irqs->has_pin = has_pin;
    irqs->n_vectors = n_vectors;
    irqs->unmask_fd = -1;
    irqs->intx = irqs->irqs;
    irqs->vectors = irqs->irqs + 1;
    for (unsigned i = 0; i < 1 + n_vectors; i++) {
        pthread_mutex_init(&irqs->irqs[i].lock, NULL);
        irqs->irqs[i].fd = -1;
    }
    return irqs;
}

void irqs_clear(struct irqs *irqs)
{
    watch_unmask(irqs, -1);
    for (unsigned i = 0; i < 1 + irqs->n_vectors; i++) {
        replace_fd(&irqs->irqs[i], -1);
    }
}

void irqs_free(struct irqs *irqs)
{
    if (irqs) {
        irqs_clear(irqs);
        for (unsigned i = 0; i < 1 + irqs->n_vectors; i++) {
            pthread_mutex_destroy(&irqs->irqs[i].lock);
        }
        g_aligned_free(irqs);
    }
}

uint32_t irqs_count(const struct irqs *irqs, uint32_t index)
{
    switch (index) {
    case VFIO_USER_IRQ_INTX:
        return irqs->has_pin ? 1 : 0;
    case VFIO_USER_IRQ_MSIX:
        return irqs->n_vectors;
    default:
        return 0;
    }
}

uint32_t irqs_flags(const struct irqs *irqs, uint32_t index)
{
    if (irqs_count(irqs, index) == 0) {
        return 0;
    }
    return VFIO_USER_IRQ_EVENTFD | VFIO_USER_IRQ_MASKABLE |
           (index == VFIO_USER_IRQ_INTX ? VFIO_USER_IRQ_AUTOMASKED : 0);
}

/* ---- What the client sets ---- */

/* A command that was found in order. */
struct irq_command {
    struct vfio_user_irq_set set;
    uint32_t data;         /* one of VFIO_USER_IRQ_SET_DATA */
    uint32_t action;       /* one of VFIO_USER_IRQ_SET_ACTION */
    const uint8_t *chosen; /* an octet for each interrupt, NULL: all of them */
    struct irq *first;
};

static bool is_one_bit(uint32_t bits)
{
    return bits && !(bits & (bits - 1));
}

static int check_data(const struct irq_command *command, const struct stream_message *message)
{
    const size_t more = message->len - sizeof(command->set);
    const uint32_t count = command->set.count;

    switch (command->data) {
    case VFIO_USER_IRQ_SET_NONE:
        return message->n_fds > 0 ? EINVAL : 0;
    case VFIO_USER_IRQ_SET_BOOL:
        return message->n_fds > 0 || more < count ? EINVAL : 0;
    default:
        if (message->n_fds != 0 && message->n_fds != count) {
            return EINVAL;
        }
        for (unsigned i = 0; i < message->n_fds; i++) {
            if (!eventfds_accept(message->fds[i])) {
                return EINVAL;
            }
        }
        return 0;
    }
}

static int read_command(struct irqs *irqs, const struct stream_message *message,
                        struct irq_command *command)
{
    struct vfio_user_irq_set *set = &command->set;

    memcpy(set, message->payload, sizeof(*set));
    command->data = set->flags & VFIO_USER_IRQ_SET_DATA;
    command->action = set->flags & VFIO_USER_IRQ_SET_ACTION;
    if (set->argsz < sizeof(*set) || !is_one_bit(command->data) || !is_one_bit(command->action) ||
        set->flags & ~(VFIO_USER_IRQ_SET_DATA | VFIO_USER_IRQ_SET_ACTION) ||
        set->index > VFIO_USER_IRQ_MSIX ||
        (uint64_t)set->start + set->count > irqs_count(irqs, set->index)) {
        return EINVAL;
    }
    command->first = (set->index == VFIO_USER_IRQ_MSIX ? irqs->vectors : irqs->intx) + set->start;
    command->chosen =
        command->data == VFIO_USER_IRQ_SET_BOOL ? message->payload + sizeof(*set) : NULL;
    return check_data(command, message);
}

static void disable_all(struct irqs *irqs, uint32_t index)
{
    if (index == VFIO_USER_IRQ_INTX) {
        watch_unmask(irqs, -1);
        replace_fd(irqs->intx, -1);
    }
    for (unsigned i = 0; index == VFIO_USER_IRQ_MSIX && i < irqs->n_vectors; i++) {
        replace_fd(&irqs->vectors[i], -1);
    }
}

static void act(struct irq *irq, uint32_t action)
{
    if (action == VFIO_USER_IRQ_SET_TRIGGER) {
        signal_irq(irq);
    } else {
        mask(irq, action == VFIO_USER_IRQ_SET_MASK);
    }
}

/* Descriptors that tell the client of masks are for functions that mask by themselves. */
static int set_fds(struct irqs *irqs, const struct irq_command *command,
                   struct stream_message *message)
{
    if (command->action == VFIO_USER_IRQ_SET_UNMASK && command->set.index == VFIO_USER_IRQ_INTX) {
        watch_unmask(irqs, message->n_fds ? message->fds[0] : -1);
    } else if (command->action == VFIO_USER_IRQ_SET_TRIGGER) {
        for (uint32_t i = 0; i < command->set.count; i++) {
            replace_fd(&command->first[i], message->n_fds ? message->fds[i] : -1);
        }
    } else {
        return EINVAL;
    }
    message->n_fds = 0;
    return 0;
}

int irqs_set(struct irqs *irqs, struct stream_message *message)
{
    struct irq_command command;
    int error = read_command(irqs, message, &command);

    if (error) {
        return error;
    }
    if (command.data == VFIO_USER_IRQ_SET_FDS) {
        error = set_fds(irqs, &command, message);
    } else if (command.set.count == 0 && command.action == VFIO_USER_IRQ_SET_TRIGGER &&
               command.data == VFIO_USER_IRQ_SET_NONE) {
        disable_all(irqs, command.set.index);
    } else {
        for (uint32_t i = 0; i < command.set.count; i++) {
            if (!command.chosen || command.chosen[i]) {
                act(&command.first[i], command.action);
            }
        }
    }
    update_intx(irqs);
    return error;
}

void irqs_apply(const struct irqs *irqs, VionetPci *pci)
{
    for (unsigned i = 0; i < irqs->n_vectors; i++) {
        const struct irq *irq = &irqs->vectors[i];

        vionet_pci_bar_write(pci, IRQS_BAR, (uint64_t)i * VECTOR_ENTRY + VECTOR_CONTROL, 4,
                             irq->fd < 0 || irq->masked);
    }
}
