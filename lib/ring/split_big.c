/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The split virtqueue with words in big-endian order, which only legacy drivers have (VIRTIO 1.4,
 * 2.7.3): split.c once more.
 */
#define SPLIT_BIG_ENDIAN
#include "ring/split.c" /* NOLINT(bugprone-suspicious-include) */
