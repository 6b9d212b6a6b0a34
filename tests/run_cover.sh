#!/bin/bash
# Line coverage of the last unit test run of VARIANT=cover, as a table:   tests/run_cover.sh BUILD
set -euo pipefail

readonly BUILD=$1
lcov --quiet --capture --directory "$BUILD" --base-directory . --no-external \
    --output-file "$BUILD/all.info"
lcov --quiet --remove "$BUILD/all.info" '*/tests/*' --output-file "$BUILD/lines.info"

# A record of lcov: SF: file, DA:line,count for each line that has code.
awk -F '[:,]' -v here="$PWD/" '
    function row(name, hit, all) { printf "  %-40s %5d of %5d  %5.1f %%\n", name, hit, all, 100 * hit / all }
    /^SF:/ { file = substr($0, 4); sub(here, "", file); layer = file; sub("/.*", "", layer) }
    /^DA:/ { all[file]++; sum[layer]++; total++; if ($3 > 0) { hit[file]++; got[layer]++; covered++ } }
    END {
        sort = "sort"
        for (file in all) row(file, hit[file], all[file]) | sort
        close(sort)
        print ""
        for (layer in sum) row(layer, got[layer], sum[layer]) | sort
        close(sort)
        row("all", covered, total)
    }' "$BUILD/lines.info"
