/* SPDX-License-Identifier: BSD-3-Clause */
/* A session with a vhost-user back-end, whose allocations count; of test_allocations.c, which says what for. */
#ifndef TEST_FAULTS_SCENE_VHOST_USER_H
#define TEST_FAULTS_SCENE_VHOST_USER_H

void scene_vhost_user(void);

#endif
