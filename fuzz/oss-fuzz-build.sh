#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Builds all fuzz targets for an engine, as OSS-Fuzz's build.sh does and with its variables: CC, CFLAGS,
# LIB_FUZZING_ENGINE (what links a target with the engine), OUT (where programs and corpora go), and WORK. In its
# image libglib2.0-dev, libpcap-dev, libslirp-dev, libjson-glib-dev, libseccomp-dev, meson and ninja-build are to be
# installed; STATIC=yes links what is not there when targets run.
set -eu
source=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
: "${CC:=clang}" "${CFLAGS=-O1 -g -fsanitize=address,fuzzer-no-link}" "${LIB_FUZZING_ENGINE:=-fsanitize=fuzzer}"
: "${OUT:?where programs go}" "${WORK:=$OUT/work}"
export CC CFLAGS

static=()
if [ "${STATIC-}" = yes ]; then static=(--prefer-static); fi
mkdir -p "$OUT" "$WORK"
rm -rf "$WORK/vionet"
meson setup "$WORK/vionet" "$source" --buildtype=plain --default-library=static "${static[@]}" -Db_lundef=false \
    -Dfuzz=enabled "-Dfuzz_engine=$LIB_FUZZING_ENGINE" -Dtests=disabled -Dreplay=enabled -Ddevice=enabled
mapfile -t targets < <(ninja -C "$WORK/vionet" -t targets all | sed -n 's|^\(fuzz/fuzz_[A-Za-z0-9_-]*\): .*|\1|p')
if [ $# -gt 0 ]; then targets=("${@/#/fuzz/}"); fi
ninja -C "$WORK/vionet" "${targets[@]}"

for target in "${targets[@]}"; do
    name=${target#fuzz/}
    cp "$WORK/vionet/$target" "$OUT/"
    (cd "$source/fuzz/corpus/$name" && python3 -m zipfile -c "$OUT/${name}_seed_corpus.zip" ./*)
done
