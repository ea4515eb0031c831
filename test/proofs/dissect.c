/* SPDX-License-Identifier: BSD-3-Clause */
/* P8: dissection of any frame of up to FRAME octets. Each entry point is a claim; see README.md. */
#include "hash/dissect.h"

unsigned proof_loads, proof_stores;

#ifndef FRAME
#define FRAME 96
#endif

/* A frame in an object of its own length: one octet read beyond it is an error of the proof. */
static const uint8_t *any_frame(size_t *len)
{
    uint8_t *frame;

    *len = any_below(FRAME + 1);
    frame = malloc(*len);
    assume(frame != NULL);
    return frame;
}

static bool inside(const uint8_t *frame, size_t len, const uint8_t *p, size_t octets)
{
    return __CPROVER_same_object(frame, p) && __CPROVER_POINTER_OFFSET(p) + octets <= len;
}

static void check_flow(const uint8_t *frame, size_t len, const VionetFlow *flow)
{
    claim(flow->addr_len == 0 || flow->addr_len == 4 || flow->addr_len == 16,
          "addresses of some version");
    claim(!flow->addr_len || (inside(frame, len, flow->src, flow->addr_len) &&
                              inside(frame, len, flow->dst, flow->addr_len)),
          "addresses lie in the frame");
    claim(!flow->ports || inside(frame, len, flow->ports, 4), "ports lie in the frame");
    claim(!flow->ex_src ||
              (inside(frame, len, flow->ex_src, 16) && inside(frame, len, flow->ex_dst, 16)),
          "addresses of extension headers do");
}

void dissect_any(void)
{
    const unsigned tunnels = any_32();
    VionetFlow flow;
    size_t len;
    const uint8_t *frame = any_frame(&len);

    dissect_general(frame, len, tunnels, &flow);
    check_flow(frame, len, &flow);
    if (flow.ports && flow.tunnels) {
        reached("ports in a tunnel");
    }
    if (flow.ex_src && flow.ex_src != flow.src) {
        reached("a home address");
    }
}

void dissect_straight_any(void)
{
    const unsigned tunnels = any_32();
    VionetFlow flow = {0};
    size_t len;
    const uint8_t *frame = any_frame(&len);

    vionet_dissect(frame, len, tunnels, &flow);
    check_flow(frame, len, &flow);
}
