#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Looks at the sources of lib/ and device/ with cppcheck. What it says and is wrong stands below, with the reason.
#
#   analyse.sh BUILD_DIR     a configured build directory of this tree, for its generated headers
#
# Exit status: 0 nothing found; 1 what it found is on standard error; 2 usage.
set -euo pipefail

if [ "$#" -ne 1 ]; then
    echo "usage: analyse.sh BUILD_DIR" >&2
    exit 2
fi
build=$(cd "$1" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# v = CPU_LE16(v) does nothing where the CPU's order is little-endian.
# An indirect table has an entry at least, which walk_enter() has seen to: the loop runs at least once.
cppcheck -j "$(nproc)" --quiet --error-exitcode=1 --std=c11 --enable=warning,portability \
    -Iinclude -Ilib -Idevice "-I$build/include" -i device/qemu -D_GNU_SOURCE -D__x86_64__ \
    '-DG_GNUC_PRINTF(a,b)=' '-DG_GNUC_NULL_TERMINATED=' \
    --suppress=selfAssignment:lib/bytes.h --suppress=uninitvar:lib/ring/split.c \
    lib device
