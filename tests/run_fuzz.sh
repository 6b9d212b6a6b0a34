#!/bin/bash
# Feeds fuzz targets a fixed number of inputs each, grown from real files:
#   [FUZZ_RUNS=50000] tests/run_fuzz.sh build/fuzz/fuzz_NAME...
#
# Inputs that reach new code are kept in build/fuzz/corpus/NAME and tried first the next time; one
# that fails is left in build/fuzz/found. tests/fuzz/corpus/NAME holds odd ones, made by hand, and what
# once failed.
set -euo pipefail

readonly RUNS=${FUZZ_RUNS:-50000}

seeds_of() {
    case $1 in
    json) find tests/data examples images -name '*.json' -o -name '*.orchest' -o -name '*.ipynb' ;;
    notebook) find examples images tests/data -name '*.ipynb' ;;
    pipeline) find tests/data examples -name '*.orchest' -o -name '*pipeline*.json' ;;
    *) ;;   # only what tests/fuzz/corpus has
    esac
}

fuzz() {
    local program=$1 name=${1##*/fuzz_} seeds kept log
    seeds=$(dirname "$program")/seeds/$name
    kept=$(dirname "$program")/corpus/$name
    log=$program.log
    rm -rf "$seeds"
    mkdir -p "$seeds" "$kept" "$(dirname "$program")/found"
    seeds_of "$name" | while read -r file; do cp "$file" "$seeds/${file//\//-}"; done
    [ ! -d "tests/fuzz/corpus/$name" ] || cp "tests/fuzz/corpus/$name"/* "$seeds/"
    if ! "$program" -seed=1 -runs="$RUNS" -timeout=20 -rss_limit_mb=2048 \
        -artifact_prefix="$(dirname "$program")/found/$name-" "$kept" "$seeds" >"$log" 2>&1; then
        tail -n 60 "$log" >&2
        echo "FAILED  $program; all it said is in $log" >&2
        return 1
    fi
    echo "ok      $program: $(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "$log") inputs," \
        "$(find "$kept" -type f | wc -l) kept"
}

failed=0
for program in "$@"; do fuzz "$program" || failed=$((failed + 1)); done
echo "fuzz: $(($# - failed)) of $# targets passed"
[ $failed = 0 ]
