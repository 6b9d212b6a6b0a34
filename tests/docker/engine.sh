#!/bin/bash
# The tests' own Docker engine: dockerd and containerd from Debian's docker.io, beside whatever
# engine the user runs and without a trace in it.
#
#   engine.sh start     start it unless it runs; returns when it answers
#   engine.sh env       print DOCKER_HOST=unix://... (for `env $(...)` and `export $(...)`)
#   engine.sh status    print what runs; exit status 3 when nothing does
#   engine.sh stop      stop it with its containers; images stay for the next start
#
# Everything lies in SEGUE_TEST_DOCKER (default: build/docker of this tree); only sockets and
# run-time state lie in a short directory under /tmp, for a socket's path may have 107 bytes.
#
# Both daemons live in a mount and a pid namespace of their own. So their mounts are never seen
# outside, the end of the namespace's first process is the end of every shim and container, and what
# dockerd and containerd keep at fixed paths (/etc/docker, /run/docker) can be covered. All of
# them hold the lock file open: a free lock means that nothing of the engine is left, even after a
# kill -9 of any part, and what lies in the recorded run directory is then waste.
#
# Containers have no bridge here: `--network none` and `--network host` work, no packet rule of the
# machine is touched. Cgroups are one subtree, named like the run directory and removed with it.
set -euo pipefail

readonly START_SECONDS=90 STOP_SECONDS=40
HERE=$(cd "$(dirname "$0")" && pwd)
DIR=$(realpath -m "${SEGUE_TEST_DOCKER:-$HERE/../../build/docker}")
readonly HERE DIR LOCK=$DIR/lock RECORD=$DIR/run LOG=$DIR/engine.log

say() { echo "engine.sh: $*" >&2; }
die() { say "$@"; exit 1; }

# The record names the run directory; the pid of the namespace's keeper lies in that. Both are
# believed only while the lock is held.
run_dir() { [ -s "$RECORD" ] && cat "$RECORD"; }
socket_of() { echo "$1/docker.sock"; }
is_free() { [ ! -e "$LOCK" ] || flock -n "$LOCK" true; }
answers() {
    local run
    run=$(run_dir) &&
        curl -fsS -m 5 --unix-socket "$(socket_of "$run")" http://engine/_ping >/dev/null 2>&1
}

cgroup_dirs() {   # every directory of the named subtree, the deepest first
    find /sys/fs/cgroup -mindepth 1 -maxdepth 2 -type d -name "$1" 2>/dev/null |
        while read -r top; do find "$top" -depth -type d; done
}
remove_waste() {
    local run
    run=$(run_dir) || return 0
    case $run in /tmp/segue-docker.*) ;; *) die "$RECORD names $run, which is not ours" ;; esac
    cgroup_dirs "$(basename "$run")" | while read -r dir; do rmdir "$dir" 2>/dev/null || true; done
    rm -rf "$run"
    rm -f "$RECORD"
}

need_tools() {
    [ "$(id -u)" = 0 ] || die "a Docker engine can only be started by root (this is uid $(id -u));" \
        "run the Docker tests as root, or leave them out"
    local tool missing=
    for tool in dockerd containerd runc curl flock unshare pgrep; do
        command -v "$tool" >/dev/null || missing+=" $tool"
    done
    [ -z "$missing" ] || die "not installed:$missing" \
        "(Debian: apt-get install docker.io containerd runc curl util-linux procps)"
    unshare --mount --pid --fork true 2>/dev/null ||
        die "mount and pid namespaces are refused here; a container needs --privileged for this"
}

start() {
    local run deadline=$((SECONDS + START_SECONDS))
    need_tools
    mkdir -p "$DIR"
    exec 9>>"$LOCK"
    until flock -n 9; do   # held: it runs, or just starts or stops
        if answers; then
            say "runs already"
            return
        fi
        [ $SECONDS -lt $deadline ] || die "an engine holds $LOCK but does not answer; see $LOG"
        sleep 0.1
    done
    remove_waste
    run=$(mktemp -d /tmp/segue-docker.XXXXXX)
    chmod 755 "$run"   # the socket itself guards the engine
    echo "$run" >"$RECORD"
    setsid unshare --mount --propagation slave --pid --fork --kill-child --mount-proc \
        "$HERE/engine.sh" inside "$run" >"$LOG" 2>&1 </dev/null &
    local keeper=$!
    echo $keeper >"$run/pid"
    exec 9>&-   # from here on only the engine holds it
    until answers; do
        if [ $SECONDS -ge $deadline ] || is_free; then
            tail -n 25 "$LOG" >&2
            stop
            die "the engine did not come up; all of its log is in $LOG"
        fi
        sleep 0.1
    done
}

# The first process of the namespaces. When it ends, the kernel ends all others.
inside() {
    local run=$1 fixed containerd_pid dockerd_pid
    trap 'kill -TERM $dockerd_pid 2>/dev/null' TERM INT
    mount_cgroups
    for fixed in /run/containerd /run/docker /etc/docker; do
        mkdir -p $fixed && mount -t tmpfs -o mode=755 tmpfs $fixed
    done
    echo '{}' >"$run/daemon.json"
    cat >"$run/containerd.toml" <<TOML
version = 2
root = "$DIR/containerd"
state = "$run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "$run/containerd.sock"
[ttrpc]
  address = "$run/containerd.ttrpc"
TOML
    containerd --config "$run/containerd.toml" &
    containerd_pid=$!
    dockerd --config-file "$run/daemon.json" --host "unix://$(socket_of "$run")" \
        --containerd "$run/containerd.sock" --pidfile "$run/dockerd.pid" \
        --data-root "$DIR/data" --exec-root "$run/exec" \
        --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/$(basename "$run")" \
        --bridge=none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false \
        --userland-proxy=false --shutdown-timeout 10 &
    dockerd_pid=$!
    wait -n || true   # a signal, or one of the two has ended: the other must not go on alone
    kill -TERM $dockerd_pid 2>/dev/null || true
    wait $dockerd_pid || true
    kill -TERM $containerd_pid 2>/dev/null || true
    wait $containerd_pid || true
    cgroup_dirs "$(basename "$run")" | while read -r dir; do rmdir "$dir" 2>/dev/null || true; done
}

# Where nobody has mounted cgroups, they are mounted in this namespace alone. A controller belongs
# to version 2 unless version 1 has taken it (column 2 of /proc/cgroups).
mount_cgroups() {
    awk '$3 ~ /^cgroup2?$/ && $2 ~ /^\/sys\/fs\/cgroup/ {found = 1} END {exit !found}' \
        /proc/mounts && return
    mountpoint -q /sys || mount -t sysfs sysfs /sys
    if ! awk '$1 == "memory" && $2 != 0 {taken = 1} END {exit !taken}' /proc/cgroups &&
        grep -qw cgroup2 /proc/filesystems; then
        mount -t cgroup2 cgroup2 /sys/fs/cgroup
        return
    fi
    mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
    local name
    for name in $(awk '!/^#/ && $4 == 1 {print $1}' /proc/cgroups); do
        mkdir "/sys/fs/cgroup/$name"
        mount -t cgroup -o "$name" cgroup "/sys/fs/cgroup/$name" || rmdir "/sys/fs/cgroup/$name"
    done
}

stop() {
    local run keeper
    if ! is_free; then
        run=$(run_dir) || die "an engine holds $LOCK but $RECORD does not say where it is"
        keeper=$(cat "$run/pid")
        pkill -TERM -P "$keeper" || true
        if ! flock -w $STOP_SECONDS "$LOCK" true; then
            say "did not stop in $STOP_SECONDS s, killed"
            pkill -KILL -P "$keeper" || true
            flock -w $STOP_SECONDS "$LOCK" true || die "could not be killed; see $LOG"
        fi
    fi
    remove_waste
}

status() {
    local run
    if is_free; then
        echo "no engine in $DIR"
        return 3
    fi
    run=$(run_dir) && echo "engine in $DIR, pid $(cat "$run/pid"), unix://$(socket_of "$run")"
    answers || { echo "does not answer; see $LOG"; return 3; }
    docker -H "unix://$(socket_of "$run")" info --format \
        '{{.ServerVersion}}, {{.Driver}}, cgroup v{{.CgroupVersion}}, {{.Images}} images, {{.ContainersRunning}} running'
}

print_env() {
    local run
    if is_free || ! run=$(run_dir); then
        die "no engine runs in $DIR (engine.sh start)"
    fi
    echo "DOCKER_HOST=unix://$(socket_of "$run")"
}

main() {
    case ${1-} in
    start) start ;;
    stop) stop ;;
    status) status ;;
    env) print_env ;;
    inside) inside "$2" ;;
    *) sed -n 's/^# \{0,1\}//; 2,9p' "$0" >&2; exit 2 ;;
    esac
}

# One line, read at once: this file may be edited while the engine runs.
main "$@"; exit
