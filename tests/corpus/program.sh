#!/bin/sh
# The program over the stories: sizes, repeatability, forms and refusals.
# usage: program.sh AERIE-STORIES
set -eu
stories=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

fail() {
    echo "$*" >&2
    exit 1
}

"$stories" --bytes 200k --seed 3 >"$folder/a"
"$stories" --seed 3 --bytes 200000 >"$folder/b"
"$stories" --bytes 200k --seed 4 >"$folder/c"
cmp "$folder/a" "$folder/b"
! cmp -s "$folder/a" "$folder/c" || fail "two seeds gave the same stories"

# The stories of a seed stay as they are: runs that were trained on them go on.
[ "$("$stories" --bytes 200k --seed 3 | cksum)" = "3606682386 200810" ] || fail "the stories of seed 3 have changed"
[ "$("$stories" --bytes 50k --seed 9 --text | cksum)" = "1135905223 50575" ] || fail "the plain text has changed"

bytes=$(wc -c <"$folder/a")
last=$(tail -n 1 "$folder/a" | wc -c)
[ "$bytes" -ge 200000 ] || fail "expected 200000 bytes, found $bytes"
[ $((bytes - last)) -lt 200000 ] || fail "expected the last story to reach 200000 bytes, found $bytes without need"
! grep -vq '^{"text":"[^\\].*\."}$' "$folder/a" || fail "a line is not {\"text\": ...} ending in a sentence"

"$stories" --bytes 50k --text >"$folder/t"
[ "$(tail -n 1 "$folder/t")" = '<|end|>' ] || fail "plain text does not end in <|end|>"
[ "$(wc -c <"$folder/t")" -ge 50000 ] || fail "plain text is too short"

refused() {
    status=0
    "$stories" "$@" >"$folder/out" 2>"$folder/err" || status=$?
    [ "$status" -eq 2 ] || fail "expected status 2 for $*, found $status"
    [ ! -s "$folder/out" ] && [ "$(wc -l <"$folder/err")" -eq 1 ] || fail "expected one line on stderr for $*"
}
refused --bytes
refused --bytes many
refused --bytes 3Mx
refused --bytes -1
refused --bytes 99999999999999999999
refused --seed
refused --size 3M
refused --chat
refused --rows
refused --rows few
status=0
"$stories" --bytes 300k >/dev/full 2>"$folder/err" || status=$?
[ "$status" -eq 4 ] || fail "expected status 4 on a full disk, found $status"
for form in "" --text; do
    status=0
    "$stories" --bytes 1k $form >&- 2>"$folder/err" || status=$?
    [ "$status" -eq 2 ] || fail "expected status 2 with a closed standard output, found $status"
done
