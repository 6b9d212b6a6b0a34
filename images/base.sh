#!/bin/bash
# Makes debian:bookworm-slim available to the Docker engine of DOCKER_HOST: nothing to do when it is
# there, else pulled, else (no registry within reach) built by debootstrap from Debian's packages
# and trimmed as the published slim image is.
set -euo pipefail

readonly IMAGE=debian:bookworm-slim PULL_SECONDS=60

docker image inspect "$IMAGE" >/dev/null 2>&1 && exit
timeout $PULL_SECONDS docker pull -q "$IMAGE" 2>/dev/null && exit

echo "base.sh: $IMAGE cannot be pulled, building it from Debian's packages" >&2
command -v debootstrap >/dev/null || {
    echo "base.sh: debootstrap is missing (Debian: apt-get install debootstrap)" >&2
    exit 1
}
[ "$(id -u)" = 0 ] || { echo "base.sh: debootstrap needs root" >&2; exit 1; }

root=$(mktemp -d "${TMPDIR:-/var/tmp}/segue-base.XXXXXX")
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
# A mount namespace of its own, so that an interrupted debootstrap leaves no mount behind.
unshare --mount debootstrap --variant=minbase bookworm "$root/rootfs" >"$root/log" 2>&1 || {
    tail -n 20 "$root/log" >&2
    exit 1
}
cd "$root/rootfs"

# Later installs leave out what is removed here.
cat >etc/dpkg/dpkg.cfg.d/slim <<'CFG'
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/man/*
path-exclude /usr/share/info/*
path-exclude /usr/share/lintian/*
path-exclude /usr/share/locale/*
CFG
cat >etc/apt/apt.conf.d/slim <<'CFG'
Acquire::Languages "none";
Acquire::GzipIndexes "true";
APT::Install-Recommends "false";
CFG
# Security updates come from the sibling archive of whichever mirror was used.
sed -i 's|^\(deb .*\)/debian/\? bookworm main.*|&\n\1/debian-security bookworm-security main|' \
    etc/apt/sources.list
printf '#!/bin/sh\nexit 101\n' >usr/sbin/policy-rc.d   # no package may start a service
chmod 755 usr/sbin/policy-rc.d
find usr/share/doc -type f ! -name copyright -delete
rm -rf usr/share/{man,info,lintian,locale}/* var/lib/apt/lists/* var/cache/apt/* var/cache/debconf/* \
    var/log/*.log var/log/apt etc/machine-id tmp/* dev/*
: >etc/resolv.conf
: >etc/hostname

tar --numeric-owner --sort=name --mtime=@0 -c . |
    docker import -c 'CMD ["bash"]' -c 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
        - "$IMAGE" >/dev/null
