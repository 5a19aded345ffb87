#!/bin/bash
# Installs the Debian packages that aerie is built from. Says and does nothing when all are there.
# usage: scripts/install-packages.sh [--build-only]     --build-only: without what only tests and style checks need
set -euo pipefail

packages=(build-essential cmake ninja-build pkg-config git libopenblas-openmp-dev libdnnl-dev libhdf5-dev
    libsentencepiece-dev libedit-dev libjansson-dev libmicrohttpd-dev libseccomp-dev libyaml-dev libunistring-dev
    libpcre2-dev nettle-dev zlib1g-dev bubblewrap gnuplot-nox)
case "${1:-}" in
"") packages+=(libcriterion-dev clang-format clang-tidy) ;;
--build-only) ;;
*)
    echo "usage: scripts/install-packages.sh [--build-only]" >&2
    exit 2
    ;;
esac

missing=()
for package in "${packages[@]}"; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "expected root or sudo to install packages, found neither; install these by hand: ${missing[*]}" >&2
        exit 4
    fi
    as_root=(sudo)
fi

echo "installing ${missing[*]}" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q "$@" >>"$log" 2>&1
}
if ! { apt update && apt install -y --no-install-recommends "${missing[@]}"; }; then
    cat "$log" >&2
    echo "installing packages failed; aerie needs Debian 12 or a release with these packages: ${missing[*]}" >&2
    exit 4
fi
