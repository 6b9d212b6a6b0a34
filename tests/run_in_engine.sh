#!/bin/bash
# Runs a command with the tests' own Docker engine:   tests/run_in_engine.sh COMMAND...
#
# The engine is started unless it runs, and then also stopped: at the end, a failure, an interrupt.
# The command finds it by DOCKER_HOST and SEGUE_TEST_ENGINE. Needs root or sudo.
set -euo pipefail

cd "$(dirname "$0")/.."
if [ "$(id -u)" = 0 ]; then as_root=; else as_root=sudo; fi

engine() { $as_root ${SEGUE_TEST_DOCKER+env SEGUE_TEST_DOCKER="$SEGUE_TEST_DOCKER"} \
    tests/docker/engine.sh "$@"; }

if ! engine status >/dev/null 2>&1; then
    trap 'engine stop' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    engine start
fi
DOCKER_HOST=$(engine env | sed -n 's/^DOCKER_HOST=//p')
[ -z "$as_root" ] || sudo chown "$(id -u)" "${DOCKER_HOST#unix://}"
export DOCKER_HOST SEGUE_TEST_ENGINE=$DOCKER_HOST
"$@"
