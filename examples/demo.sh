#!/bin/bash
# Runs the example project and shows what came out:   examples/demo.sh process|docker
#
# `make demo` has built the release and installed the Python modules. In containers it runs on the
# engine that answers, the user's own, or else on the tests' own, which is started for this.
set -euo pipefail

readonly LAUNCHER=$1 PIPELINE=examples/wine/pipeline.json OUT=build/demo
cd "$(dirname "$0")/.."
export PATH=$PWD/build/venv/bin:$PATH JUPYTER_PATH=$PWD/build/venv/share/jupyter

prepare_docker() {
    .ci/packages.sh docker
    if docker version >/dev/null 2>&1; then
        echo "Docker: the engine of ${DOCKER_HOST:-this machine}"
    elif [ -z "${IN_ENGINE-}" ]; then
        .ci/packages.sh engine
        echo "Docker: no engine answers, starting one of our own for this"
        IN_ENGINE=yes exec tests/run_in_engine.sh "$0" "$LAUNCHER"
    fi
    docker image inspect segue/python >/dev/null 2>&1 || {
        echo "Docker: building the image segue/python, a matter of minutes"
        make image-python
    }
}

case $LAUNCHER in
process) ;;
docker) prepare_docker ;;
*)
    echo "demo.sh: LAUNCHER is process or docker, not $LAUNCHER" >&2
    exit 2
    ;;
esac

# A state directory's path is short, for the kernels' sockets; so it is not below OUT.
SEGUE_STATE=$(mktemp -d /tmp/segue-demo.XXXXXX)
export SEGUE_STATE
trap 'rm -rf "$SEGUE_STATE"' EXIT
trap : INT   # segue stops by itself
rm -rf $OUT

build/release/segue run $PIPELINE --launcher "$LAUNCHER" --output $OUT/executed
build/venv/bin/python examples/results.py "$SEGUE_STATE" $PIPELINE $OUT
