/* SPDX-License-Identifier: BSD-3-Clause */
/* See scene_vhost_user.h. */
#include "scene_vhost_user.h"

#include "unit/vhost_front.h"

static struct front front;

int scene_vhost_user_begin(void)
{
    front_quiet();
    front_init(&front, "", "loopback");
    front_connect(&front);
    return front.fd;
}

void scene_vhost_user_run(void)
{
    const uint64_t inflight[3] = {0, 0, 2 | (uint64_t)RING_SIZE << 16};

    front_start(&front, F_DRIVER | F_LOG_ALL);
    front_ask(&front, GET_QUEUE_NUM, NULL, 0);
    front_ask(&front, GET_MAX_MEM_SLOTS, NULL, 0);
    front_ask(&front, GET_INFLIGHT_FD, inflight, 20);
    front_ask(&front, GET_STATUS, NULL, 0);
    front_transmit(&front, 1);
    front_kick(&front, 1);
    front_get_base(&front, 1);
    front_close(&front);
}

void scene_vhost_user_hang_up(void)
{
    front_close(&front);
}

void scene_vhost_user_end(void)
{
    front_works(&front);
    front_end(&front);
}
