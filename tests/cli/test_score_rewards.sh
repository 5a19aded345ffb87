#!/bin/sh
. "$(dirname "$0")/common.sh"

# Rewards of answers as rl.rewards gives them, before there is a run.

cat >rows.jsonl <<'END'
{"prompt": "What is 6 * 7?", "answer": "It is 42.", "meta": {"answer": "42"}}

{"prompt": "What is 6 * 7?", "answer": "It is 41.", "meta": {"answer": "42"}}
END
given() { # LINE...: what the last command printed
    printf '%s\n' "$@" | cmp -s - out || fail "expected $*, found $(cat out)"
}
# ---- rules need no model ----

run 0 "$aerie" score --rewards '[{kind: number}, {kind: regex, pattern: "[.]$", weight: 0.5, name: ends}]' --input rows.jsonl
given '{"reward":1.5,"parts":{"number":1.0,"ends":1.0}}' '{"reward":0.5,"parts":{"number":0.0,"ends":1.0}}'
printf 'rl:\n  method: grpo\n  rewards:\n    - kind: words\n      list: [it, 42]\n' >grpo.yaml
run 0 "$aerie" score --rewards grpo.yaml --input rows.jsonl
given '{"reward":1.0,"parts":{"words":1.0}}' '{"reward":0.5,"parts":{"words":0.5}}'

# ---- programs ----

run 0 "$aerie" score --input rows.jsonl \
    --rewards '[{kind: program, command: [sed, -u, "s/^.\"id\":0,.*/{\"id\":0,\"reward\":2}/; s/^.\"id\":1,.*/{\"id\":1,\"reward\":null}/"], on_error: skip}]'
given '{"reward":2.0,"parts":{"program":2.0}}' '{"reward":null,"parts":{"program":null}}'
warns "1 of 2 answers have no reward (on_error: skip)"
run 3 "$aerie" score --rewards '[{kind: program, command: "echo no >&2; exit 4"}]' --input rows.jsonl --output none
says 'rl.rewards[0]: echo no >&2; exit 4: expected {"id", "reward"} of 2 more answers, found the end of its output, exit code 4; it said last: "no"'
absent none

# ---- tokens of a model ----

awk 'BEGIN { for (i = 0; i < 400; i++) printf "user %d asks: is %d more than %d? yes, it is; no, it is not.\n", i % 7, i, i % 31 }' >text.txt
run 0 "$aerie" tokenizer train --input text.txt --output t.model --vocab-size 300
awk 'BEGIN { for (i = 0; i < 24; i++)
         printf "{\"prompt\": \"is %d more than %d?\", \"chosen\": \"yes, it is\", \"rejected\": \"no, it is not\"}\n", i + 9, i % 5 }' >pairs.jsonl
run 0 "$aerie" data prepare --input text.txt --tokenizer t.model --output text
run 0 "$aerie" pretrain run.dir=base data.train=text/train.h5 model.width=32 model.recurrent_width=32 model.mlp_width=64 \
    model.heads=2 model.blocks=3 model.window=16 train.row_tokens=32 train.batch_rows=2 train.steps=2 train.sample_tokens=0
run 0 "$aerie" reward run.dir=judge model.init=base data.train=pairs.jsonl train.row_tokens=128 train.batch_rows=6 train.steps=4
run 0 "$aerie" score --reward --model judge --input pairs.jsonl
sed 's/.*"chosen":\([^,]*\),.*/\1/' out >scored
sed 's/"chosen"/"answer"/; s/, "rejected.*/}/' pairs.jsonl >answers.jsonl
run 0 "$aerie" score --rewards '[{kind: model, path: judge}]' --model judge --input answers.jsonl
sed 's/{"reward":\([^,]*\),.*/\1/' out | paste - scored |
    awk '{ d = $1 - $2; n++; if (d * d > 1e-10) bad = 1 } END { exit bad || n != 24 }' ||
    fail "other rewards than of score --reward: $(paste out scored)"
# "yes, it is" and its end are more than one token
run 0 "$aerie" score --rewards '[{kind: length, max: 1}]' --model judge --input answers.jsonl
[ "$(sort -u out)" = '{"reward":-1.0,"parts":{"length":-1.0}}' ] || fail "lengths: $(cat out)"

# ---- what is refused ----

run 2 "$aerie" score --rewards '[{kind: length, max: 9}]' --input rows.jsonl
says "--model: expected a model whose tokenizer makes the tokens that rl.rewards[0] (length) reads, found none"
run 2 "$aerie" score --rewards '[{kind: exakt}]' --input rows.jsonl
says "did you mean exact?"
for list in nowhere.yaml nowhere.json no/where; do
    run 3 "$aerie" score --rewards $list --input rows.jsonl
    says "$list: expected a file, found nothing there"
done
run 2 "$aerie" score --rewards nowhere --input rows.jsonl
says "--rewards: expected a list of rewards"
run 2 "$aerie" score --rewards '[]' --input rows.jsonl
says "rl.rewards: expected at least one entry, such as {kind: exact}, found an empty list"
printf 'rl:\n  rewards: {kind: words, list: [it/they]}\n' >one.yaml
for list in '{kind: regex, pattern: a/b}' 'kind: exact' one.yaml; do
    run 2 "$aerie" score --rewards "$list" --input rows.jsonl
    says "rl.rewards: expected a list [{kind: ..., ...}, ...], found one mapping; put it in [ ]"
done
run 2 "$aerie" score --rewards text.txt --input rows.jsonl
run 2 "$aerie" score --rewards '[{kind: number}]' --top 3 --input rows.jsonl
says "found --top"
run 3 "$aerie" score --rewards '[{kind: exact, field: other}]' --input rows.jsonl
says "rows.jsonl:1: rl.rewards[0]: meta.other: expected text or a number, found no such key"
echo '{"prompt": "a"}' >bad.jsonl
run 3 "$aerie" score --rewards '[{kind: number}]' --input bad.jsonl
says "bad.jsonl:1: answer: expected text, found no such key"
run 3 "$aerie" score --rewards '[{kind: model, path: base}]' --model judge --input rows.jsonl
says "base: expected a reward model, found none"
finish
