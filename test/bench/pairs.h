/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Queue pairs on threads: how many frames they move in a second, one alone and all together. Called by
 * bench.c, which prints it.
 */
#ifndef BENCH_PAIRS_H
#define BENCH_PAIRS_H

/* Millions of frames in a second, each sent by a driver and received again. */
struct pairs_rate {
    double one; /* one thread moves the frames of one pair, the others rest */
    double all; /* each thread those of its own pair */
};

#define PAIRS_MAX 8

/*
 * The medians of interleaved rounds, with frames of len octets, for n pairs, at most PAIRS_MAX. Each
 * thread stays on a processor of its own if there are so many.
 */
struct pairs_rate pairs_measure(unsigned n, unsigned len, unsigned rounds);

#endif
