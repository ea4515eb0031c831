/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A session with a vhost-user back-end, for faults to happen in: the library's own front-end of unit/vhost_front.h,
 * apart from the vfio-user client, with which its protocol has words in common.
 */
#ifndef TEST_FAULTS_SCENE_VHOST_USER_H
#define TEST_FAULTS_SCENE_VHOST_USER_H

/* Makes both; the front-end's socket. */
int scene_vhost_user_begin(void);
/* From the first message to the front-end's going. */
void scene_vhost_user_run(void);
/* The front-end, which was interrupted, goes. */
void scene_vhost_user_hang_up(void);
/* Another one can work; all is freed. */
void scene_vhost_user_end(void);

#endif
