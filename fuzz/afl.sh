#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Runs a fuzz target under AFL++, the second engine (Debian's afl++), from its corpus:
#
#   fuzz/afl.sh SECONDS WORK_DIR TARGET...
#
# Prints a line of executions and paths for each. Fails if one crashed or hung: what did it is in
# WORK_DIR/runs/TARGET/default/. What it found beside is kept there too.
set -u
source=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [ $# -lt 3 ]; then
    echo "usage: $0 SECONDS WORK_DIR TARGET..." >&2
    exit 2
fi
seconds=$1
work=$(mkdir -p "$2" && cd "$2" && pwd) || exit 2
shift 2

driver=$(find /usr/lib/afl /usr/local/lib/afl -name libAFLDriver.a 2>/dev/null | head -n 1)
CC=afl-clang-fast CFLAGS='-O1 -g' AFL_USE_ASAN=1 AFL_QUIET=1 LIB_FUZZING_ENGINE=${driver:?AFL++ is not installed} \
    OUT=$work/out WORK=$work "$source/fuzz/oss-fuzz-build.sh" "$@" >"$work/build.log" 2>&1 || {
    tail -n 20 "$work/build.log"
    exit 1
}

# Machines of continuous integration let nobody set core_pattern or the governor.
export AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_SKIP_CPUFREQ=1 AFL_NO_AFFINITY=1 AFL_NO_UI=1 AFL_QUIET=1
export AFL_AUTORESUME=1
failed=0
for target in "$@"; do
    run=$work/runs/$target
    mkdir -p "$run"
    afl-fuzz -i "$source/fuzz/corpus/$target" -o "$run" -V "$seconds" -t 5000+ -m none -- "$work/out/$target" \
        >"$run/log" 2>&1 </dev/null
    stats=$run/default/fuzzer_stats
    if ! [ -s "$stats" ]; then
        tail -n 20 "$run/log"
        failed=1
        continue
    fi
    read -r runs paths crashes hangs < <(awk '
        $1 == "execs_done" { runs = $3 } $1 == "corpus_count" { paths = $3 }
        $1 == "saved_crashes" { crashes = $3 } $1 == "saved_hangs" { hangs = $3 }
        END { print runs, paths, crashes, hangs }' "$stats")
    echo "$target: $runs executions, $paths inputs, $crashes crashes, $hangs hangs"
    if [ "$runs" -eq 0 ] || [ "$crashes" -gt 0 ] || [ "$hangs" -gt 0 ]; then failed=1; fi
done
exit $failed
