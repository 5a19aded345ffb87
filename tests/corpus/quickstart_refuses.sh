#!/bin/sh
# What scripts/quickstart.sh refuses before it installs or builds anything.
# usage: quickstart_refuses.sh ROOT
set -eu
quickstart=$1/scripts/quickstart.sh
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

fail() {
    echo "$*" >&2
    exit 1
}

refused() { # STATUS PART-OF-MESSAGE ARGUMENT...
    want=$1
    part=$2
    shift 2
    status=0
    "$quickstart" "$@" >out 2>err || status=$?
    [ "$status" -eq "$want" ] || fail "$*: expected status $want, found $status: $(cat err)"
    [ ! -s out ] || fail "$*: expected nothing on stdout"
    [ "$(wc -l <err)" -eq 1 ] && grep -qF "$part" err || fail "$*: expected one line with \"$part\", found: $(cat err)"
}

"$quickstart" --help | grep -q '^usage: ' || fail "--help shows no usage"
refused 2 "no such flag" --bogus
refused 2 "needs a value" --dir
refused 2 "whole number" --minutes 0
refused 2 "whole number" --minutes soon
refused 3 "missing.txt" missing.txt
mkdir full
echo kept >full/file
refused 2 "expected an empty folder" --dir full
[ "$(ls full)" = file ] || fail "a refused folder was changed"
mkdir other
echo stories >other/source
echo words >book.txt
refused 2 "was begun with stories" --dir other book.txt
[ "$(cat other/source)" = stories ] || fail "the source of a refused folder was changed"
refused 2 "expected one text" book.txt other.txt
