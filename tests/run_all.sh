#!/bin/bash
# `make test`: every stage in turn, in one Docker engine, with a table at the end of what passed.
#
# A stage that fails does not keep the others from being tried. All that a stage said is also in
# build/results/STAGE.log.
set -uo pipefail

readonly RESULTS=build/results
cd "$(dirname "$0")/.."
MAKE=${MAKE:-make} JOBS=${JOBS:-$(nproc)}

# Everything that is to be installed or built comes first, so that the tests' times are their own.
readonly STAGES=(packages build images
    layers fmt tidy hardening check check-asan check-tsan fuzz sdk integration integration-asan judge gateway-judge docker-test demo demo-experiment)

prepare_packages() {
    .ci/packages.sh build cmocka python fuzz format tidy integration node browser docker engine &&
        $MAKE build/venv/tests.installed build/venv/examples.installed build/venv-gateway/tests.installed \
            build/node/installed
}
build_programs() { $MAKE -j"$JOBS" all && $MAKE -j"$JOBS" VARIANT=release all; }

run_stage() {
    case $1 in
    packages) prepare_packages ;;
    build) build_programs ;;
    fmt) $MAKE fmt CHECK=1 ;;
    check) $MAKE -j"$JOBS" check ;;
    *) $MAKE "$1" ;;
    esac
}

# Runs a stage and notes "STAGE ok|FAILED SECONDS what its last line says".
stage() {
    local name=$1 log=$RESULTS/$1.log begin=$SECONDS verdict=ok
    printf '\n==== %s\n' "$name"
    run_stage "$name" 2>&1 </dev/null | tee "$log"
    [ "${PIPESTATUS[0]}" = 0 ] || verdict=FAILED
    printf '%s\t%s\t%d\t%s\n' "$name" $verdict $((SECONDS - begin)) \
        "$(sed 's/\x1b\[[0-9;]*m//g' "$log" | grep -E "$TELLING" | tail -n 1)" >>$RESULTS/summary
    [ $verdict = ok ]
}
# The line that says the most: of run_unit.sh, run_fuzz.sh, layers.py or pytest.
readonly TELLING='^(unit tests \(|fuzz: |layers: |[0-9]+ of [0-9]+ sets done|=* ?[0-9]+ (passed|failed|skipped|error)|SUCCESS|FAILURE)'

inside_engine() {
    local name
    for name in "${STAGES[@]:2}"; do stage "$name"; done
    return 0
}

closing() {
    printf '\n==== results\n'
    awk -F '\t' '{ printf "%-12s %-7s %5d s  %s\n", $1, $2, $3, $4; failed += $2 != "ok" }
                 END { print ""; if (failed) print failed " of " NR " stages FAILED"
                       else print "all " NR " stages passed" }' $RESULTS/summary
    ! grep -q FAILED $RESULTS/summary
}

if [ "${1-}" = inside ]; then
    inside_engine
    exit
fi
rm -rf $RESULTS
mkdir -p $RESULTS
trap 'exit 130' INT
trap 'exit 143' TERM
stage packages && stage build || { closing; exit 1; }
tests/run_in_engine.sh "$0" inside ||
    printf 'engine\tFAILED\t0\tno Docker engine: the stages after it did not run\n' >>$RESULTS/summary
closing
