#!/bin/bash
# An experiment on the example project: the service runs one pipeline over a grid of parameters, and
# the table of results has the best set on top.
#
# `make demo-experiment` has built the release and installed the Python modules. The service is one
# of its own, on a free port, and ends with this.
set -euo pipefail

readonly SEGUE=${SEGUE:-build/release/segue}
cd "$(dirname "$0")/.."
readonly OUT=$PWD/build/demo-experiment LOG=$PWD/build/demo-experiment/serve.log
export PATH=$PWD/build/venv/bin:$PATH JUPYTER_PATH=$PWD/build/venv/share/jupyter
unset SEGUE_TOKEN

# A state directory's path is short, for the kernels' sockets; so it is not below OUT.
SEGUE_STATE=$(mktemp -d /tmp/segue-demo.XXXXXX)
export SEGUE_STATE
service=

# Runs outlive a service that stops, so they are ended first.
finish() {
    trap '' INT TERM
    if [ -n "$service" ]; then
        end_runs
        jobs -p | xargs -r kill 2>/dev/null || true
        wait
    fi
    chmod -R u+w "$SEGUE_STATE" # what jobs hold is read-only
    rm -rf "$SEGUE_STATE"
}

end_runs() {
    "$SEGUE" jobs abort Forest >/dev/null 2>&1 || return 0 # it has ended, or was never made
    for ((tries = 0; tries < 100; tries++)); do
        [ -n "$("$SEGUE" runs --json --status PENDING --status STARTED)" ] || return 0
        sleep 0.1
    done
}

# In a session of its own: a Ctrl-C is for us.
start_service() {
    setsid "$SEGUE" serve --listen 127.0.0.1:0 --projects "$OUT" --max-background-steps "$(nproc)" \
        >"$LOG" 2>&1 </dev/null &
    service=$!
    for ((tries = 0; tries < 300; tries++)); do
        SEGUE_URL=$(sed -n 's/.* event=listening .*url=\([^ ]*\).*/\1/p' "$LOG")
        [ -z "$SEGUE_URL" ] || return 0
        kill -0 "$service" 2>/dev/null || break
        sleep 0.1
    done
    echo "demo_experiment.sh: the service does not start" >&2
    cat "$LOG" >&2
    exit 1
}

trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
rm -rf "$OUT"
mkdir -p "$OUT"
cp -R examples/wine "$OUT/wine"
touch "$LOG"
start_service
export SEGUE_URL

# Bash hears of signals while it waits, and not while a program runs in front of it.
"$SEGUE" jobs create "$OUT/wine/forest.json" --objective accuracy --wait \
    --grid "Random forest:trees=3,10,30" --grid "Random forest:depth=1..4" &
wait $!
"$SEGUE" jobs results Forest --csv >"$OUT/results.csv"
echo
echo "the same as a file: ${OUT#"$PWD"/}/results.csv"
