/* SPDX-License-Identifier: BSD-3-Clause */
/* See scene_vhost_user.h. Apart from the rest, as both protocols have words in common. */
#include "scene_vhost_user.h"

#include "failing_malloc.h"
#include "unit/vhost_front.h"

void scene_vhost_user(void)
{
    const uint64_t inflight[3] = {0, 0, 2 | (uint64_t)RING_SIZE << 16};
    struct front front;

    front_init(&front, "", "loopback");
    front_connect(&front);
    front_start(&front, F_DRIVER | F_LOG_ALL);
    front_ask(&front, GET_QUEUE_NUM, NULL, 0);
    front_ask(&front, GET_MAX_MEM_SLOTS, NULL, 0);
    front_ask(&front, GET_INFLIGHT_FD, inflight, 20);
    front_ask(&front, GET_STATUS, NULL, 0);
    front_transmit(&front, 1);
    front_kick(&front, 1);
    front_get_base(&front, 1);
    front_close(&front);
    failing_malloc_end();
    front_works(&front);
    front_end(&front);
}
