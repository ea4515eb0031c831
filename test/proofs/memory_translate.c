/* SPDX-License-Identifier: BSD-3-Clause */
/* P4: translation of guest addresses (lib/memory.c). Each entry point is a claim; see README.md. */
#include "maps.h"

#define RANGES MAP_REGIONS

void translate(void)
{
    const struct memory_map *map = any_map();
    const uint64_t gpa = any_64(), len = any_64(), some = any_64();
    const unsigned max = any_below(RANGES + 1);
    const bool write = any_bool();
    struct iovec iov[RANGES];
    unsigned hint = any_32(), n = 0;
    uint64_t sum = 0;

    assume(some < len);
    if (!memory_translate(map, &hint, gpa, len, write, iov, &n, max)) {
        claim(n <= max, "no more ranges than there is room for");
        reached("refused");
        return;
    }
    reached("accepted");
    claim(n <= max, "no more ranges than there is room for");
    claim(len - 1 <= UINT64_MAX - gpa, "it ends in the address space");
    claim(map_has(gpa + some, write), "every octet is memory, and writable if it is to be");
    for (unsigned i = 0; i < RANGES; i++) {
        if (i < n) {
            claim(iov[i].iov_len > 0 &&
                      map_leads(iov[i].iov_base, gpa + sum, iov[i].iov_len, write),
                  "each range lies in one region, where the one before ended");
            sum += iov[i].iov_len;
        }
    }
    claim(n == max ? sum <= len : sum == len, "ranges have all octets that there is room for");
}

void pointer(void)
{
    const struct memory_map *map = any_map();
    const uint64_t gpa = any_64(), len = any_64();
    const bool write = any_bool();
    struct memory_window window = {0};
    unsigned hint = any_32();
    uint8_t *p = memory_pointer(map, &hint, gpa, len, write);

    claim(!p || map_leads(p, gpa, len, write), "a pointer has its octets in one region");
    if (any_bool()) { /* it has been used before */
        window = memory_window_at(map, &hint, any_64(), write);
    }
    p = memory_window_pointer(&window, map, &hint, gpa, len, write);
    claim(!p || map_leads(p, gpa, len, write), "so has one through a window");
    if (p) {
        reached("found");
    }
}

void piece(void)
{
    const struct memory_map *map = any_map();
    const uint64_t gpa = any_64(), len = any_64(), some = any_64();
    const bool write = any_bool();
    struct memory_piece piece;
    unsigned hint = any_32();

    assume(some < len);
    claim(!memory_exists(map, &hint, gpa, len, write) || map_has(gpa + some, write),
          "what exists is memory");
    if (memory_piece(map, &hint, gpa, len, write, &piece)) {
        reached("found");
        claim(piece.len > 0 && piece.len <= len && piece.gpa == gpa,
              "a piece is not empty, nor longer");
        claim(map_leads(piece.host, gpa, piece.len, write), "and lies in one region");
        claim(piece.len == len || piece.len <= UINT64_MAX - gpa,
              "what follows it is in the address space");
    }
}

/* memory_map_with() keeps what any_map() assumes: sorted, apart, in the address space. */
void regions(void)
{
    const struct memory_map *map = any_map();
    struct memory_region region = {
        .gpa = any_64(), .size = any_64(), .host = (uint8_t *)(any_64() & ~UINT64_C(15))};
    struct memory_map *next;

    assume(region.size < UINT64_C(1) << 44);
    next = memory_map_with(map, &region, NULL);
    if (next) {
        reached("added");
        claim(next->n_regions == map->n_regions + 1, "one more");
        for (unsigned i = 0; i < MAP_REGIONS + 1; i++) {
            const struct memory_region *r = &next->regions[i];

            if (i < next->n_regions) {
                claim(r->size > 0 && r->gpa % MEMORY_PAGE == 0 && r->size % MEMORY_PAGE == 0 &&
                          r->size - 1 <= UINT64_MAX - r->gpa,
                      "in pages, and in the address space");
                claim(i == 0 || r->gpa > r[-1].gpa + (r[-1].size - 1), "in order, without overlap");
            }
        }
    }
}
