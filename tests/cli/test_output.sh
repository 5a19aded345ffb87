#!/bin/sh
. "$(dirname "$0")/common.sh"
tiny=$fixtures/tiny
lines=$here/tiny_lines.jsonl

echo kept >old.jsonl
run 2 "$aerie" score --model "$tiny" --input "$lines" --output old.jsonl
says "--force"
[ "$(cat old.jsonl)" = kept ] || fail "a refused output was touched"
run 0 "$aerie" score --model "$tiny" --input "$lines" --output old.jsonl --force
grep -q logprobs old.jsonl || fail "--force replaces the output"

# The longest names that files and folders may have leave no room for what temporary ones add.
longest=$(printf '%0255d' 7)
run 0 "$aerie" score --model "$tiny" --input "$lines" --output "$longest"
equal "$longest" old.jsonl
rm "$longest"
run 0 "$aerie" export --model "$tiny" --output "$longest"
[ "$(ls -d 000*)" = "$longest" ] || fail "a temporary folder of the longest name is left"
run 0 "$aerie" export --model "$tiny" --output "$longest" --force

# Nor is what is read ever replaced.
cp "$lines" mine.jsonl
run 2 "$aerie" score --model "$tiny" --input mine.jsonl --output ./mine.jsonl --force
says "--output: ./mine.jsonl is the file of --input too"
equal mine.jsonl "$lines"

# A link is followed, and stays one; one that leads nowhere is refused before any work.
echo old >target.jsonl
ln -s target.jsonl link.jsonl
run 2 "$aerie" score --model "$tiny" --input "$lines" --output link.jsonl
says "link.jsonl: exists already"
run 0 "$aerie" score --model "$tiny" --input "$lines" --output link.jsonl --force
[ -L link.jsonl ] || fail "the link was replaced"
grep -q logprobs target.jsonl || fail "what the link leads to is not written"
ln -s nowhere dangling
run 2 "$aerie" score --model "$tiny" --input "$lines" --output dangling
says "dangling: a link that leads nowhere"
run 2 "$aerie" export --model "$tiny" --output dangling
says "dangling: a link that leads nowhere"
mkdir real
ln -s real hf
run 0 "$aerie" export --model "$tiny" --output hf
[ -L hf ] && [ -f real/config.json ] || fail "export does not follow a link to an empty folder"
run 2 "$aerie" export --model "$tiny" --output hf
says "exists already"
run 0 "$aerie" export --model "$tiny" --output hf --force
[ -L hf ] && [ -f real/config.json ] || fail "--force replaces the link"
absent real.part real.before hf.part hf.before nowhere

mkdir folder
run 2 "$aerie" score --model "$tiny" --input "$lines" --output folder
says "found a folder"
run 2 "$aerie" score --model "$tiny" --input "$lines" --output old.jsonl/x
run 2 "$aerie" score --model "$tiny" --input "$lines" --output /dev/null/x
says "expected a folder, found a file in the way"
run 0 "$aerie" score --model "$tiny" --input "$lines" --output new/folder/x
grep -q logprobs new/folder/x || fail "folders on the way are not made"
printf '{"tokens": [1, 2]}\nnonsense\n' >bad
run 3 "$aerie" score --model "$tiny" --input bad --output y
says "bad:2: expected JSON, found an error at column 1: expected a value"
absent y
# However long the path is, the line's number is told.
deep=$(printf '%0200d/%0200d/%0200d' 0 0 0)
mkdir -p "$deep"
mv bad "$deep"
run 3 "$aerie" score --model "$tiny" --input "$deep/bad" --output y
says "bad:2: expected JSON"
run 3 "$aerie" generate --model "$tiny" --input "$deep/bad" --output y
says "bad:2: expected JSON"
echo '{"tokens": [1, 2]}' >prompts
run 4 "$aerie" generate --model "$tiny" --input prompts --max-new 2 --output /dev/full
says "no space left"
run 0 "$aerie" generate --model "$tiny" --input prompts --max-new 2 --output deep/down/x

run 4 "$aerie" score --model "$tiny" --input "$lines" --output /dev/full
says "no space left"
"$aerie" score --model "$tiny" --input "$lines" >/dev/full 2>err
[ $? = 4 ] || fail "a full standard output has status 4"
"$aerie" --help >/dev/full 2>err
[ $? = 4 ] || fail "help on a full disk has status 4"

# Nobody reads on: no failure, nothing said.
i=0
while [ $i -lt 300 ]; do cat "$lines"; i=$((i + 1)); done >many
("$aerie" score --model "$tiny" --input many --quiet 2>err; echo $? >status) | head -n 1 >first
[ "$(cat status)" = 0 ] || fail "a closed pipe ended with status $(cat status)"
[ -s err ] && fail "a closed pipe was told: $(cat err)"

# What appears at the output meanwhile stays, and so does the result.
mkfifo feed
"$aerie" score --model "$tiny" --input - --output late.jsonl <feed >out 2>err &
pid=$!
exec 3>feed
head -n 1 "$lines" >&3
i=0
while [ ! -s "late.jsonl.part-$pid" ] && [ $i -lt 200 ]; do sleep 0.1; i=$((i + 1)); done
echo precious >late.jsonl
exec 3>&-
wait $pid
[ $? = 2 ] || fail "an output that appeared was replaced"
says "late.jsonl: has appeared meanwhile"
[ "$(cat late.jsonl)" = precious ] || fail "late.jsonl was touched"
grep -q logprobs "late.jsonl.part-$pid" || fail "the result is lost"

# A signal leaves nothing half-written. The program waits for its second line when it comes.
mkfifo pipe
"$aerie" score --model "$tiny" --input - --output stopped.jsonl <pipe >out 2>err &
pid=$!
exec 3>pipe
head -n 1 "$lines" >&3
i=0
while [ ! -s "stopped.jsonl.part-$pid" ] && [ $i -lt 200 ]; do sleep 0.1; i=$((i + 1)); done
kill -TERM $pid
wait $pid
got=$?
exec 3>&-
[ $got = 130 ] || fail "SIGTERM ended with status $got"
one_line_of_error
absent stopped.jsonl stopped.jsonl.part-*

run 0 "$aerie" score --model "$tiny" --input "$lines" --output whole.jsonl
# Streams that the caller closed: nothing that is printed lands in a file, and a result is whole.
for closed in '2>&-' '>&-' '<&-' '>&- 2>&-' '<&- >&- 2>&-'; do
    eval '"$aerie" score --model "$tiny" --input "$lines" --output closed.jsonl --force' "$closed" || fail "status $? with $closed"
    equal closed.jsonl whole.jsonl "closed streams: $closed"
done
seq 1 400 >text
run 0 "$aerie" tokenizer train --input text --output t.model --vocab-size 273
eval '"$aerie" data prepare --input text --tokenizer t.model --output prepared --heldout 0 >&-' || fail "a report that nobody hears is no failure: status $?"
run 0 "$aerie" data validate prepared/train.h5
# But results that are lost are a failure, and so is an input that is not there.
lost() {
    want=$1
    shift
    eval '"$aerie" '"$* 2>err"
    got=$?
    [ $got = "$want" ] || fail "status $got, expected $want: $*"
    says "Bad file descriptor"
}
lost 2 'score --model "$tiny" --input "$lines" --quiet >&-'
lost 2 'generate --model "$tiny" --input prompts --max-new 2 --quiet >&-'
lost 2 'tokenizer encode --tokenizer t.model --input text >&-'
lost 2 'inspect "$tiny" >&-'
lost 2 '--version >&-'
lost 3 'score --model "$tiny" --input - --quiet <&-'
lost 3 'tokenizer encode --tokenizer t.model <&-'
finish
