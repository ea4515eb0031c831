# SPDX-License-Identifier: BSD-3-Clause
#
# The Toeplitz hash, one bit at a time, written down as the definition reads, and the key of
# Microsoft's RSS verification suite. This is the only thing that the oracle, the capture
# generator and the vector generator have in common.
"""Bitwise Toeplitz hash."""

MICROSOFT_KEY = bytes.fromhex(
    "6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa")


def toeplitz(key, octets):
    """Return the 32-bit Toeplitz hash of `octets` under `key` (both bytes).

    Number the bits of the input b0 b1 b2 ... and those of the key k0 k1 k2 ..., the most
    significant bit of each octet first. The hash is the exclusive or, over every i with bi set, of
    the 32-bit word ki ... ki+31, whose most significant bit is ki. Key bits past the end are zero.
    """
    key_bits = 8 * len(octets) + 31                     # as many as the last word reaches
    padded = key.ljust((key_bits + 7) // 8, b"\0")
    window = int.from_bytes(padded, "big")
    shift = 8 * len(padded) - 32                        # brings k0 ... k31 to the bottom
    result = 0
    for octet in octets:
        for bit in (0x80, 0x40, 0x20, 0x10, 0x08, 0x04, 0x02, 0x01):
            if octet & bit:
                result ^= window >> shift & 0xffffffff
            shift -= 1
    return result
