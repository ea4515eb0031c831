/* SPDX-License-Identifier: BSD-3-Clause */
/* P10: reading saved state (lib/net/state_format.c, lib/record.c). Each entry point is a claim; see README.md. */
#include "net/state_format.c"

unsigned proof_loads, proof_stores;

size_t strnlen(const char *text, size_t most)
{
    size_t n = 0;

    while (n < most && text[n]) {
        n++;
    }
    return n;
}

#ifndef STATE
#define STATE 96
#endif

/* State that came from anywhere, in an object of its own length. */
static const uint8_t *any_state(size_t *len)
{
    uint8_t *octets;

    *len = any_below(STATE + 1);
    octets = malloc(*len);
    assume(octets != NULL);
    return octets;
}

/* The header, and sections one after the other. */
void sections_any(void)
{
    size_t len;
    const uint8_t *octets = any_state(&len);
    struct section section;
    uint32_t n_sections = 0;

    if (!read_header(octets, len, &n_sections, NULL)) {
        return;
    }
    claim(len >= HEADER_SIZE, "a header that is taken is there");
    octets += HEADER_SIZE;
    len -= HEADER_SIZE;
    for (unsigned i = 0; i < STATE / SECTION_SIZE + 1; i++) {
        const size_t before = len;

        if (!next_section(&octets, &len, &section, NULL)) {
            break;
        }
        claim(len + SECTION_SIZE + section.len == before,
              "a section takes up what it says, and not more than there is");
        claim(__CPROVER_r_ok(section.octets, section.len), "what is in it lies in the state");
        claim(section.name[NAME_LEN - 1] == 0, "its name ends");
        reached("a section");
    }
}

/* One section's record, of the kind KIND. */
void record_any(void)
{
    const struct record *record = &state_records[KIND];
    const unsigned version = any_below(record->version + 1u);
    size_t len;
    const uint8_t *octets = any_state(&len);
    void *structure = calloc(1, record->size);

    assume(structure != NULL);
    if (record_read(record, version, octets, len, structure, NULL)) {
        reached("read");
    }
    record_clear(record, structure); /* what was allocated for it can be freed, once */
}
