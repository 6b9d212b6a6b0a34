#!/bin/bash
# Runs unit test programs, several at a time:   tests/run_unit.sh VARIANT PROGRAM...
#
# A line for each program; all that it said only if it failed, else it lies beside it in PROGRAM.log.
# Tests that need a Docker engine find it by SEGUE_TEST_ENGINE; under CI they fail without it, so a
# run without an engine (`make test` has one) leaves them out by hiding CI from them.
set -uo pipefail

readonly VARIANT=$1 SECONDS_MAX=300
shift
[ -n "${SEGUE_TEST_ENGINE-}" ] || unset CI
export SECONDS_MAX

# The sanitizers say where, and are heard even by a parent that only looks at the exit status.
export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1:${ASAN_OPTIONS-}
export UBSAN_OPTIONS=print_stacktrace=1:${UBSAN_OPTIONS-}
export TSAN_OPTIONS=second_deadlock_stack=1:${TSAN_OPTIONS-}

run_one() {
    local program=$1 log=$1.log status=0 passed skipped
    timeout --foreground -k 5 "$SECONDS_MAX" "$program" >"$log" 2>&1 </dev/null || status=$?
    passed=$(grep -c '^\[       OK \]' "$log")
    skipped=$(sed '/test(s) run/,$d' "$log" | grep -c '^\[  SKIPPED \]')
    if [ "$status" = 0 ] && [ "$passed" -gt 0 ]; then
        [ "$skipped" = 0 ] && skipped= || skipped=", $skipped skipped"
        echo "ok      $program: $passed tests$skipped"
        grep -i '^skipped: ' "$log" | sort -u
        return 0
    fi
    { cat "$log"; echo "FAILED  $program: exit status $status"; } >&2
    return 1
}
export -f run_one

summary=$(mktemp)
trap 'rm -f "$summary"' EXIT
printf '%s\0' "$@" | xargs -0 -n 1 -P "$(nproc)" bash -c 'run_one "$1"' bash | tee "$summary"
status=${PIPESTATUS[1]}
awk -v variant="$VARIANT" -v programs=$# '
    /^ok / { ok++; for (i = 2; i <= NF; i++) { if ($i ~ /^tests/) passed += $(i - 1);
                                               if ($i == "skipped") skipped += $(i - 1) } }
    END { printf "unit tests (%s): %d of %d programs passed, %d tests, %d skipped\n",
                 variant, ok, programs, passed, skipped }' "$summary"
exit "$status"
