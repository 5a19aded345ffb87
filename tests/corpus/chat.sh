#!/bin/sh
# The files of questions: rows, repeatability, what is held out, and refusals.
# usage: chat.sh AERIE-STORIES
set -eu
stories=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

fail() {
    echo "$*" >&2
    exit 1
}

lines() { # FILE COUNT
    [ "$(wc -l <"$folder/$1")" -eq "$2" ] || fail "$1: expected $2 rows, found $(wc -l <"$folder/$1")"
}

"$stories" --chat "$folder/a/b" --rows 400 --seed 3 >"$folder/out"
[ ! -s "$folder/out" ] || fail "expected nothing on stdout"
"$stories" --seed 3 --rows 400 --chat "$folder/c"
"$stories" --chat "$folder/d" --rows 400
diff -r "$folder/a/b" "$folder/c" || fail "one seed gave two sets of files"
for name in chat pairs; do
    lines "c/$name-train.jsonl" 400
    lines "c/$name-heldout.jsonl" 20
    ! cmp -s "$folder/c/$name-train.jsonl" "$folder/d/$name-train.jsonl" || fail "two seeds gave the same $name"
done

cd "$folder/c"
message='{"role":"user","content":"[^"]*?"},{"role":"assistant","content":"[^"]*\."}'
! grep -vq '^{"messages":\['"$message"'\(,'"$message"'\)*\],"kinds":\[\("[a-z -]*",*\)*\]}$' chat-*.jsonl ||
    fail "a row is no dialogue"
! grep -vqE '^\{"prompt":"[^"]*\?","chosen":"[^"]*\.","rejected":"[^"]*","kind":"[a-z -]*","fault":"(wrong|stray|cut)"\}$' \
    pairs-*.jsonl || fail "a row is no pair"
! grep -qE '"chosen":"([^"]*)","rejected":"\1"' pairs-*.jsonl || fail "a pair of one answer"
! grep '"fault":"cut"' pairs-*.jsonl | grep -q '"rejected":"[^"]*\."' || fail "a cut answer ends like a sentence"
for fault in wrong stray cut; do
    grep -q "\"fault\":\"$fault\"" pairs-train.jsonl || fail "no pair with the fault $fault"
done
for turns in 1 2 3 4; do
    awk -v n="$turns" 'gsub(/"role":"user"/, "") == n {found = 1} END {exit !found}' chat-train.jsonl ||
        fail "no dialogue of $turns turns"
done

# No tale is in two files.
tales() {
    sed 's/^[^:]*:\(\[{"role":"user","content":\)*"\([^\\]*\).*/\2/' "$@"
}
[ "$(tales chat-*.jsonl pairs-*.jsonl | sort | uniq -d | wc -l)" -eq 0 ] || fail "a tale is there twice"
[ "$(tales chat-train.jsonl | head -n 1 | cut -c 1-2)" != '{"' ] || fail "this test found no tales"

refused() { # STATUS PART-OF-MESSAGE ARGUMENT...
    want=$1
    part=$2
    shift 2
    status=0
    "$stories" "$@" >"$folder/out" 2>"$folder/err" || status=$?
    [ "$status" -eq "$want" ] || fail "expected status $want for $*, found $status"
    [ "$(wc -l <"$folder/err")" -eq 1 ] && grep -qF "$part" "$folder/err" || fail "$*: $(cat "$folder/err")"
}
cksum ./* >"$folder/before"
refused 2 "chat-train.jsonl: exists" --chat "$folder/c" --rows 10
cksum ./* | cmp - "$folder/before" || fail "a refused folder was changed"
refused 2 "$folder/before" --chat "$folder/before"
