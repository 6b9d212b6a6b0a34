#!/bin/bash
# Installs what a machine lacks, by apt, and says what:   .ci/packages.sh SET...
#
# Each need is looked for in its own way, so that a compiler or library from elsewhere will do. Where
# there is no apt, what is missing is named, and it is an error.
set -euo pipefail

readonly PYTHON=${PYTHON:-python3} LOG=build/packages.log
cd "$(dirname "$0")/.."

# A line for each need: Debian's package, how to look for it, for what.
needs_of() {
    case $1 in
    build)
        echo gcc command cc
        echo libc6-dev header stdio.h
        echo libzmq3-dev header zmq.h
        echo libcurl4-openssl-dev header curl/curl.h
        echo libmicrohttpd-dev header microhttpd.h
        echo libsqlite3-dev header sqlite3.h
        echo pkgconf command pkg-config
        echo libglib2.0-dev pkg-config glib-2.0
        echo tzdata file /usr/share/zoneinfo/Europe/Berlin
        echo libssl-dev header openssl/evp.h
        echo libwslay-dev header wslay/wslay.h
        ;;
    cmocka) echo libcmocka-dev header cmocka.h ;;
    python) echo python3-venv python "$PYTHON" ;;
    fuzz)
        echo clang command clang
        echo libclang-rt-14-dev clang-can -fsanitize=fuzzer,address,undefined
        ;;
    format) echo clang-format command clang-format ;;
    tidy) echo clang-tidy command clang-tidy ;;
    cover) echo lcov command lcov ;;
    bench)
        echo parallel command parallel
        echo wrk command wrk
        ;;
    integration)
        echo nodejs command node   # a step may be a script of either
        echo r-base-core command Rscript
        echo procps command pgrep
        ;;
    node)
        echo nodejs command node
        echo npm command npm
        ;;
    browser)   # and the kernels that tests/gateway runs
        echo chromium command chromium
        echo r-base-core command Rscript
        echo r-cran-irkernel R-package IRkernel
        echo procps command pgrep
        ;;
    docker)
        echo docker.io command docker
        echo docker-compose command docker-compose
        ;;
    engine)   # tests/docker/engine.sh and images/base.sh
        echo docker.io command dockerd
        echo containerd command containerd
        echo runc command runc
        echo curl command curl
        echo procps command pgrep
        echo debootstrap command debootstrap
        ;;
    *)
        echo "packages.sh: no set is called $1" >&2
        return 1
        ;;
    esac
}

is_there() {
    case $1 in
    command) command -v "$2" >/dev/null ;;
    header) cc -E -include "$2" -x c /dev/null >/dev/null 2>&1 ;;
    clang-can)
        echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' |
            clang "$2" -o /dev/null -x c - 2>/dev/null
        ;;
    pkg-config) pkg-config --exists "$2" 2>/dev/null ;;
    file) [ -e "$2" ] ;;
    R-package) Rscript -e "library($2)" >/dev/null 2>&1 ;;
    python) "$2" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ;;
    esac
}

missing() {   # packages of "package kind what" lines whose need is not met
    local package kind what
    while read -r package kind what; do
        is_there "$kind" "$what" || echo "$package"
    done | sort -u
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

needs=$(for set in "$@"; do needs_of "$set"; done)
mkdir -p build
exec 9>build/packages.lock   # one installs, others wait and then find what they need
flock 9
packages=$(missing <<<"$needs" | xargs)
[ -n "$packages" ] || exit 0
if ! command -v apt-get >/dev/null; then
    echo "packages.sh: this machine lacks what Debian calls: $packages" >&2
    exit 1
fi

echo "installing $packages"
as_root env DEBIAN_FRONTEND=noninteractive sh -ec '
    apt-get update -q
    apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"
' sh $packages </dev/null >$LOG 2>&1 9>&- || {
    tail -n 20 $LOG >&2
    echo "packages.sh: apt-get failed; all it said is in $LOG" >&2
    exit 1
}

packages=$(missing <<<"$needs" | xargs)
[ -z "$packages" ] && exit
echo "packages.sh: installed, yet not found by the compiler or on PATH: $packages" >&2
case $packages in *python3-venv*)
    echo "packages.sh: $(command -v "$PYTHON") is older than 3.11 or has no ensurepip; name another" \
        "one: make PYTHON=/usr/bin/python3" >&2 ;;
esac
exit 1
