#!/bin/bash
# Line coverage of the last unit test run of VARIANT=cover, as a table:   tests/run_cover.sh BUILD
set -euo pipefail

readonly BUILD=$1
lcov --quiet --capture --directory "$BUILD" --base-directory . --no-external \
    --output-file "$BUILD/all.info" 2>"$BUILD/lcov.log"
lcov --quiet --remove "$BUILD/all.info" '*/tests/*' --output-file "$BUILD/lines.info"

# A record of lcov: SF: file, DA:line,count for each line that has code.
awk -F '[:,]' -v here="$PWD/" '
    /^SF:/ { file = substr($0, 4); sub(here, "", file); layer = file; sub("/.*", "", layer) }
    /^DA:/ { all[file]++; all[layer "/"]++; all["~ all"]++ }
    /^DA:/ && $3 > 0 { hit[file]++; hit[layer "/"]++; hit["~ all"]++ }
    END { for (name in all)
              printf "  %-44s %5d of %5d  %5.1f %%\n", name, hit[name], all[name],
                     100 * hit[name] / all[name] }' "$BUILD/lines.info" | sort | sed 's/~ all/all  /'
