# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# The steps of ./check: running them one after the other, their logs and times, and the count of results.
# Sourced by ./check. Each step is a line on standard output; what it printed is in its log.
#
#   step NAME COMMAND...            one result: the command's exit status
#   tests NAME DIR OPTION...        one result for each test that meson test runs in DIR
#   tap NAME COMMAND...             one result for each line of TAP that the command prints
#   skip NAME WHAT_IS_MISSING       one skipped result
#   record STATUS NAME [DETAIL]     one result of something that was no step: passed, failed, skipped

work=build-check
logs=$work/logs
results=$work/results.tsv

# One run at a time: two would spoil each other's build directories.
start_steps()
{
    mkdir -p "$logs" && exec 9>"$work/lock" || return
    if ! flock -n 9; then
        echo "another ./check is running in this tree" >&2
        return 1
    fi
    trap 'printf "\ninterrupted\n"; exit 130' INT TERM
    : >"$results"
}

# The name of a step as part of a file name: "gcc: tests" is gcc-tests.
slug()
{
    printf '%s' "$1" | tr -cs 'A-Za-z0-9' '-'
}

log_of()
{
    printf '%s/%s.log' "$logs" "$(slug "$1")"
}

begin_step()
{
    printf '%-44s ' "$1"
    step_began=$SECONDS
}

# end_step NAME LOG FILE: takes the step's results from FILE and says how it went.
end_step()
{
    local passed failed skipped said
    passed=$(grep -c '^passed' "$3")
    failed=$(grep -c '^failed' "$3")
    skipped=$(grep -c '^skipped' "$3")
    cat "$3" >>"$results"
    if [ "$passed $failed $skipped" = "1 0 0" ]; then
        said=passed
    elif [ "$passed $failed $skipped" = "0 1 0" ]; then
        said=FAILED
    else
        said="$passed passed, $failed failed"
        [ "$skipped" -gt 0 ] && said+=", $skipped skipped"
    fi
    printf '%s (%d s)\n' "$said" "$((SECONDS - step_began))"
    [ "$failed" -eq 0 ] && return 0
    list failed 20 "$3"
    echo "    from $2:"
    excerpt "$2" | cut -c 1-300 | sed 's/^/    | /'
    return 1
}

# excerpt LOG: the part that tells most about a failure: of TAP what failed, its comments and what is not TAP;
# of anything else the end.
excerpt()
{
    if grep -q '^not ok' "$1"; then
        awk '/^ok|^1\.\./ { bad = 0; next } /^not ok/ { bad = 1 } bad || !/^#/' "$1" | head -n 60
    else
        tail -n 50 "$1"
    fi
}

# list STATUS AT_MOST FILE: the results of that status.
list()
{
    awk -F'\t' -v status="$1" -v at_most="$2" '
        $1 != status { next }
        ++n <= at_most { print "    " $2 ($3 == $2 ? "" : ", " $3) ($4 == "" ? "" : ": " $4) }
        END { if (n > at_most) print "    and " n - at_most " more" }' "$3"
}

step()
{
    local name=$1 log exit_status
    shift
    log=$(log_of "$name")
    begin_step "$name"
    "$@" >"$log" 2>&1 </dev/null 9>&-
    exit_status=$?
    if [ "$exit_status" -eq 0 ]; then
        result passed "$name" >"$log.results"
    else
        result failed "$name" "exit status $exit_status" >"$log.results"
    fi
    end_step "$name" "$log" "$log.results"
}

tests()
{
    local name=$1 dir=$2 log logbase
    shift 2
    log=$(log_of "$name")
    logbase=$(slug "$name")
    begin_step "$name"
    rm -f "$dir/meson-logs/$logbase"*
    meson test -C "$dir" --no-rebuild --print-errorlogs --logbase "$logbase" "$@" \
        >"$log" 2>&1 </dev/null 9>&-
    python3 test/tools/results.py meson "$name" "$dir" "$logbase" $? >"$log.results" 2>>"$log"
    end_test_step "$name" "$log"
}

tap()
{
    local name=$1 log
    shift
    log=$(log_of "$name")
    begin_step "$name"
    "$@" >"$log" 2>"$log.errors" </dev/null 9>&-
    python3 test/tools/results.py tap "$name" "$log" $? >"$log.results" 2>>"$log.errors"
    # Tests report on standard output; what they had to say besides comes after it.
    cat "$log.errors" >>"$log"
    rm -f "$log.errors"
    end_test_step "$name" "$log"
}

# A report that could not be read is a failure too.
end_test_step()
{
    if ! [ -s "$2.results" ]; then
        result failed "$1" "no results could be read" >"$2.results"
    fi
    end_step "$1" "$2" "$2.results"
}

skip()
{
    printf '%-44s skipped: %s\n' "$1" "$2"
    record skipped "$1" "$2"
}

record()
{
    result "$@" >>"$results"
}

# A line of results: status, step, test (here the step itself), detail.
result()
{
    printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$2" "${3-}"
}

# Lists what failed and what was skipped, each reason for skipping once, and ends with the line that counts.
# Fails if anything failed or nothing passed.
end_steps()
{
    local passed failed skipped
    passed=$(grep -c '^passed' "$results")
    failed=$(grep -c '^failed' "$results")
    skipped=$(grep -c '^skipped' "$results")
    if [ "$failed" -gt 0 ]; then
        printf '\nFailed (logs in %s/):\n' "$logs"
        list failed 100 "$results"
    fi
    if [ "$skipped" -gt 0 ]; then
        printf '\nSkipped:\n'
        awk -F'\t' '$1 == "skipped" { count[$2 ": " $4]++ }
            END { for (what in count) print "    " what " (" count[what] ")" }' "$results" | sort
    fi
    printf '\n%d s in all\n' "$SECONDS"
    if [ "$skipped" -gt 0 ]; then
        echo "$passed passed, $failed failed, $skipped skipped"
    else
        echo "$passed passed, $failed failed"
    fi
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}
