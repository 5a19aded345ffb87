#!/bin/sh
. "$(dirname "$0")/common.sh"

# A model of a few steps with a tokenizer: the verbs in the order a stranger uses them.
awk 'BEGIN { for (i = 0; i < 300; i++) printf "the %d birds of the höhe sing %d songs to a river — quietly\n", i, i * i }' >book.txt
run 0 "$aerie" tokenizer train --input book.txt --output t.model --vocab-size 340
run 0 "$aerie" data prepare --input book.txt --tokenizer t.model --output book
run 0 "$aerie" pretrain run.dir=run model.preset=small-1m model.width=64 model.blocks=3 data.train=book/train.h5 \
    data.heldout=book/heldout.h5 train.row_tokens=32 train.batch_rows=4 train.steps=12 train.eval_every=6 optim.lr=0.01 \
    train.sample_tokens=8
run 0 "$aerie" plot run
for words in "<svg" "held-out loss" "row_tokens" "sample after step-000012"; do
    grep -qF -- "$words" run/report.html || fail "the report lacks $words"
done

# Text is <bos> and its encoding.
words='the 7 birds, höhe'
ids=$(echo "$words" | "$aerie" tokenizer encode --tokenizer t.model | sed 's/ /, /g')
{
    echo "{\"text\": \"$words\"}"
    echo "{\"tokens\": [2, $ids]}"
} >lines
run 0 "$aerie" score --model run --input lines
head -n 1 out >first
tail -n 1 out >second
equal first second "text and its tokens"
echo "{\"tokens\": [$ids]}" >lines
run 0 "$aerie" score --model run --input lines
cp out bare
echo "{\"text\": \"$words\"}" >lines
run 0 "$aerie" score --model run/checkpoints/step-000012 --input lines --no-bos
equal out bare "--no-bos"
echo '{"text": ""}' >lines
run 0 "$aerie" score --model run --input lines
prints '{"logprobs":[],"sum":0.0,"count":0}'
run 3 "$aerie" score --model run --input lines --no-bos
echo '{"text": "a", "loss_mask": [1, 1]}' >lines
run 3 "$aerie" score --model run --input lines
says 'goes with "tokens" only'

# What streams is the text of the answer; the prompt is scored like text.
speak() { run 0 "$aerie" generate --model run --max-new 40 --temperature 1 --seed 3 --ignore-eos "$@"; }
speak --prompt "$words"
cp out streamed
speak --prompt "$words" --json
sed 's/.*"text":"//; s/","finish":"length"}$//' out >escaped
printf '%b\n' "$(cat escaped)" >text
equal streamed text "streamed and whole text"
list_of tokens <out | paste -sd' ' >new
run 0 "$aerie" tokenizer decode --tokenizer t.model --input new --json
grep -qF -- "\"$(cat escaped)\"" out || fail "the text is that of the tokens"
iconv -f UTF-8 -t UTF-8 streamed >/dev/null 2>&1 || fail "what streams is UTF-8"
speak --prompt "$words" --output answers
grep -q '^{"tokens":' answers || fail "--output holds a line of JSON"

# A stop string cuts the text before it and ends the answer, wherever its bytes fall among the tokens.
cut=$(head -n 1 streamed | cut -c 4-6)
[ -n "$cut" ] || fail "the test needs a first line of six characters: $(cat streamed)"
speak --prompt "$words" --stop "$cut" --stop "never said"
all=$(cat streamed)
[ "$(cat out)" = "${all%%"$cut"*}" ] || fail "stop '$cut': $(cat out)"
speak --prompt "$words" --stop "$cut" --json
prints '"finish":"stop"'

# Prompts of a file, whatever the batch.
printf '{"prompt": "the birds"}\n{"prompt": ""}\n{"prompt": "höhe —"}\n{"tokens": [2, 9]}\n{"prompt": "1987"}\n' >prompts
speak --input prompts --batch 1
cp out one
speak --input prompts --batch 4
equal one out "batch 4"
[ "$(grep -c '"text":' one)" = 5 ] || fail "every answer has text"
speak --input prompts --stop "$cut" --batch 3
cp out stops
speak --input prompts --stop "$cut"
equal stops out "stop strings and the batch"
echo '{"prompt": 3}' >bad
run 3 "$aerie" generate --model run --input bad
says 'bad:1: prompt: expected text'
run 2 "$aerie" generate --model run --prompt "$(printf 'a\377')"
says "UTF-8"
# A dialogue is a prompt: the tokens that training sees of it, up to the place of the answer.
cat >dialogues <<EOF
{"messages": [{"role": "user", "content": "the 7 birds?"}]}
{"messages": [{"role": "system", "content": "Sing."}, {"role": "user", "content": "the höhe?"}, {"role": "assistant", "content": "a river"}, {"role": "user", "content": " <eos> more "}], "id": 3}
EOF
run 0 "$aerie" data render --kind prompts --tokenizer t.model --input dialogues
cp out rendered
for input in dialogues rendered; do
    run 0 "$aerie" generate --model run --input $input --output $input.answers --max-new 20 --temperature 1 --seed 5
    grep '^warning' err && fail "a warning for $input"
done
equal dialogues.answers rendered.answers "dialogues and their tokens"
[ "$(wc -l <dialogues.answers)" = 2 ] || fail "an answer for each dialogue"
while read -r line message; do
    { head -n 1 dialogues && echo "$line"; } >bad
    run 3 "$aerie" generate --model run --input bad --max-new 2
    says "$(echo "$message" | tr _ ' ')"
    [ "$(wc -l <out)" = 1 ] || fail "the lines before a bad one are answered"
done <<'EOF'
{"messages":[]} bad:2:_messages
{"messages":[{"role":"user","content":"a"},{"role":"model","content":"b"}]} bad:2:_messages:_expected_a_turn_of_the_user_last
{"messages":[{"role":"user","content":"a"}],"prompt":"a"} bad:2:_expected_one_of
{"messages":[{"role":"model","content":"a"}]} bad:2:_messages
EOF

# A heavy penalty: greedy answers have no token twice.
run 0 "$aerie" generate --model run --input dialogues --max-new 30 --temperature 0 --ignore-eos --repetition-penalty 100
while read -r answer; do
    echo "$answer" | list_of tokens | sort | uniq -d | grep . && fail "a token came again: $answer"
done <out
run 0 "$aerie" generate --model run --input dialogues --max-new 20 --temperature 1 --seed 5 --repetition-penalty 1
equal out dialogues.answers "a penalty of 1"
run 2 "$aerie" generate --model run --input dialogues --repetition-penalty 0
says "--repetition-penalty"
finish
