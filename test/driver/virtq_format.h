/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between virtq.c and a ring format: virtq.c keeps the record of buffers by id and judges what
 * comes back; a format knows where the octets go. For virtq.c and the formats only.
 */
#ifndef TEST_DRIVER_VIRTQ_FORMAT_H
#define TEST_DRIVER_VIRTQ_FORMAT_H

#include "virtq.h"

enum chain_state { CHAIN_FREE, CHAIN_ADDED, CHAIN_PUBLISHED };

/* The driver's record of one buffer, found by its id. */
struct virtq_chain {
    void *cookie;
    uint32_t capacity; /* writable octets */
    uint32_t order;    /* how many buffers were added before it, modulo 2^32 */
    uint16_t entries;  /* ring entries it occupies */
    enum chain_state state;
};

/* A list as it goes into the ring: n_direct segments, then perhaps a table of the rest. */
struct virtq_list {
    const struct virtq_segment *segments;
    unsigned n_direct;
    bool table;
    uint64_t table_gpa;
    uint32_t table_len;
};

struct virtq_format {
    /* Check the parts and make the ring ready; NULL if they are no good. */
    struct virtq *(*make)(struct guest_memory *memory, const struct virtq_options *options);
    void (*destroy)(struct virtq *vq);
    /* Write the n segments of an indirect table. */
    void (*write_table)(const struct virtq *vq, uint8_t *table,
                        const struct virtq_segment *segments, unsigned n);
    /* Put a list into the ring, where there is room for it, and say its id. */
    uint16_t (*place)(struct virtq *vq, const struct virtq_list *list, unsigned entries);
    void (*publish)(struct virtq *vq);
    bool (*must_kick)(struct virtq *vq);
    uint16_t (*position)(const struct virtq *vq);
    /* The used element at the used position, which stays where it is. */
    bool (*used)(struct virtq *vq, uint32_t *id, uint32_t *len);
    /* How many buffers came back since the ring was made, modulo 2^16, polled or not. */
    uint16_t (*used_total)(const struct virtq *vq);
    /* Whether the device has got so many buffers further than the used position. */
    bool (*advanced)(struct virtq *vq, unsigned buffers);
    /* Move the used position over a buffer of so many entries; its entries are free. */
    void (*release)(struct virtq *vq, uint16_t id, uint16_t entries);
    /* The same for an element that names no buffer in flight; whether it was offered raw. */
    bool (*skip)(struct virtq *vq, uint32_t id);
    void (*disable)(struct virtq *vq);
    bool (*enable)(struct virtq *vq, uint16_t n);
    bool (*verify)(struct virtq *vq);
    void (*spoil)(struct virtq *vq);
};

/* Common to all formats; a format's own struct begins with it. */
struct virtq {
    const struct virtq_format *format;
    struct guest_memory *memory;
    struct complaints *complaints;
    char *name;
    struct virtq_options options;
    struct virtq_chain *chains; /* by id */
    uint16_t *order;            /* ids in the order they were added, a ring of a power of two */
    uint32_t order_mask;
    uint32_t first_order; /* of the oldest buffer in flight, with IN_ORDER */
    uint32_t next_order;  /* of the next buffer added */
    unsigned unpublished; /* buffers added since the last publish */
    unsigned published;   /* buffers the device can see and has not given back */
    unsigned foreign;     /* buffers offered raw that no record stands for */
    unsigned detached;    /* where virtq_detach goes on */
    unsigned room;        /* free ring entries */
    bool broken;
    bool batch; /* a used element closed several buffers, up to batch_id */
    uint16_t batch_id;
    uint32_t batch_len;
};

/* Enter a buffer placed at an id into the record; for virtq.c and for what formats place raw. */
void virtq_record(struct virtq *vq, uint16_t id, const struct virtq_chain *chain);
/* A complaint of this queue; and one after which it is broken. */
void virtq_complain(struct virtq *vq, const char *format, ...) G_GNUC_PRINTF(2, 3);
void virtq_break(struct virtq *vq, const char *format, ...) G_GNUC_PRINTF(2, 3);

extern const struct virtq_format split_format;
extern const struct virtq_format packed_format;

#endif
