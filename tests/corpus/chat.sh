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
for name in chat pairs writing graded prompts; do
    lines "c/$name-train.jsonl" 400
    lines "c/$name-heldout.jsonl" 20
    ! cmp -s "$folder/c/$name-train.jsonl" "$folder/d/$name-train.jsonl" || fail "two seeds gave the same $name"
done

cd "$folder/c"
message='{"role":"user","content":"[^"]*[?.]"},{"role":"assistant","content":"[^"]*\."}'
! grep -vq '^{"messages":\['"$message"'\(,'"$message"'\)*\],"kinds":\[\("[a-z -]*",*\)*\]}$' chat-*.jsonl ||
    fail "a row is no dialogue"
again='^{"messages":\[{"role":"user","content":"\([^"]*\)\\n\\nTell the story again\."},'
again=$again'{"role":"assistant","content":"\1"}\],"kinds":\["again"\]}$'
n=$(grep -c "$again" chat-train.jsonl)
[ "$n" -gt 90 ] && [ "$n" -lt 180 ] && [ "$n" -eq "$(grep -c '"again"' chat-train.jsonl)" ] ||
    fail "expected a third of 400 tales told again word for word, found $n"
! grep -q '"again"' chat-heldout.jsonl || fail "a held-out row is no question"
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

task='Write a story about [A-Z][a-z]*, an? [a-z ]* and the [a-z]*\.'
! grep -vqE '^\{"messages":\[\{"role":"user","content":"'"$task"'"\},\{"role":"assistant","content":"[^"]*\."\}\]\}$' \
    writing-*.jsonl || fail "a row is no writing"
! grep -vqE '^\{"prompt":"'"$task"'","meta":\{"name":"[A-Za-z]*","thing":"[a-z ]*","place":"[a-z]*"\}\}$' \
    prompts-*.jsonl || fail "a row is no prompt"
! grep -vqE '^\{"prompt":"'"$task"'","chosen":"[^"]+","rejected":"[^"]+","rewards":\[[0-9.]+,[0-9.]+\]\}$' \
    graded-*.jsonl || fail "a row is no graded pair"

# The rewards in the file are those of the rule; the chosen answer has more.
sed 's/"chosen"/"text"/' graded-train.jsonl >"$folder/chosen"
sed 's/"rejected"/"text"/' graded-train.jsonl >"$folder/rejected"
for which in chosen rejected; do
    "$stories" --grade graded-train.jsonl "$folder/$which" 2>"$folder/mean" | sed 's/.*"reward":\([0-9.]*\),.*/\1/' \
        >"$folder/$which.rewards"
    grep -q '^400 answers, mean reward 0\.' "$folder/mean" || fail "no mean: $(cat "$folder/mean")"
done
paste -d, "$folder/chosen.rewards" "$folder/rejected.rewards" >"$folder/found"
sed 's/.*"rewards":\[\(.*\)\]}/\1/' graded-train.jsonl | cmp - "$folder/found" || fail "other rewards than in the file"
awk -F, '$1 - $2 < 0.0199 {exit 1}' "$folder/found" || fail "a rejected answer has a higher reward, or almost the same one"

# A model may write NUL; it counts as the character that stands for it, a backslash before u0000 as itself.
head -n 1 prompts-train.jsonl >"$folder/asked"
for answer in 'a\u0000b' 'a\ufffdb' 'a\\u0000b'; do
    printf '{"text":"%s c d."}\n' "$answer" >"$folder/told"
    "$stories" --grade "$folder/asked" "$folder/told" >>"$folder/nul" 2>/dev/null || fail "an answer with $answer is refused"
done
[ "$(sort -u "$folder/nul" | wc -l)" = 1 ] || fail "NUL has another grade: $(cat "$folder/nul")"

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
# As a program that rewards: each answer before the next request, and the rewards of the two files.
mkfifo "$folder/requests" "$folder/replies"
"$stories" --grade - <"$folder/requests" >"$folder/replies" &
exec 3>"$folder/requests" 4<"$folder/replies"
sed 's/.*"chosen":/{"id":7,"prompt":"PROMPT","answer":/; s/,"rejected.*/}/' graded-train.jsonl | head -n 1 >"$folder/request"
prompt=$(sed 's/.*"prompt":"\([^"]*\)".*/\1/; q' graded-train.jsonl)
for i in 1 2 3; do
    sed "s/PROMPT/$prompt/" "$folder/request" >&3
    read -r reply <&4
    want=$(sed 's/.*"rewards":\[\([^,]*\),.*/\1/; q' graded-train.jsonl)
    [ "$reply" = "{\"id\":7,\"reward\":$want}" ] || fail "expected the reward $want, found $reply"
done
exec 3>&- 4<&-
wait $! || fail "the program that rewards ended with $?"
cksum ./* >"$folder/before"
refused 2 "chat-train.jsonl: exists" --chat "$folder/c" --rows 10
cksum ./* | cmp - "$folder/before" || fail "a refused folder was changed"
refused 2 "expected two files" --grade prompts-train.jsonl
echo '{"prompt": "x", "answer": "y"}' >"$folder/bare"
refused 3 "id: expected that of an answer" --grade - <"$folder/bare"
echo '{"id": 1, "prompt": "Why?", "answer": "y"}' >"$folder/bare"
refused 3 ":1: prompt: expected" --grade - <"$folder/bare"
refused 3 missing.jsonl --grade prompts-train.jsonl missing.jsonl
refused 3 "pairs-heldout.jsonl:1: prompt" --grade pairs-heldout.jsonl "$folder/chosen"
refused 3 "prompts-train.jsonl:1: text: expected text" --grade prompts-train.jsonl prompts-train.jsonl
head -n 3 "$folder/chosen" >"$folder/three"
more() { # PROMPTS ANSWERS
    status=0
    "$stories" --grade "$1" "$2" >"$folder/out" 2>"$folder/err" || status=$?
    [ "$status" -eq 3 ] && grep -q ':4: expected as many rows' "$folder/err" || fail "rows that are left: $(cat "$folder/err")"
}
more graded-train.jsonl "$folder/three"
more "$folder/three" "$folder/chosen"
refused 2 "$folder/before" --chat "$folder/before"
