#!/bin/sh
. "$(dirname "$0")/common.sh"

# Benchmarks that a run asks at its evaluations: eval.tasks.
awk 'BEGIN { for (i = 0; i < 300; i++) printf "the %d birds of the hoehe sing %d songs to a river\n", i, i * i }' >book.txt
run 0 "$aerie" tokenizer train --input book.txt --output t.model --vocab-size 340
run 0 "$aerie" data prepare --input book.txt --tokenizer t.model --output book
awk 'BEGIN { for (i = 0; i < 40; i++)
    printf "{\"q\": \"how do the %d birds sing?\", \"options\": [\"quietly\", \"to a river\", \"the\"], \"right\": %d}\n", i, i % 3 }' >rows.jsonl
cat >choice.yaml <<'EOR'
format: 1
task: choice
version: 1
kind: choice
rows: {file: rows.jsonl}
prompt: "Q: {{q}}\nA:"
choices: "{{options}}"
gold: "{{right}}"
fewshot: {count: 2, file: rows.jsonl, pick: drawn}
metrics: [acc, acc_norm]
EOR
cat >answer.yaml <<'EOR'
format: 1
task: answer
version: 1
kind: generate
rows: {file: rows.jsonl}
prompt: "{{q}} the"
answer: "{{options[0]}}"
max_new: 12
stop: ["\n"]
filters:
  - name: none
    steps: [take_first]
  - name: maj
    steps: [{regex: '[a-z]+'}, majority]
metrics: [exact_match]
EOR
shape="model.preset=small-1m model.width=64 model.blocks=3 data.train=book/train.h5 data.heldout=book/heldout.h5
    train.row_tokens=32 train.batch_rows=4 train.steps=12 train.eval_every=6 optim.lr=0.01"
tasks="eval.tasks=choice.yaml,answer.yaml eval.limit=17"

run 0 "$aerie" pretrain run.dir=plain $shape
run 0 "$aerie" pretrain run.dir=asked $shape $tasks
grep -q '^step 6: asks choice.yaml,answer.yaml, 68 requests$' err || fail "what is asked is not told: $(cat err)"
grep -q '^evaluate 100%  68/68' err || fail "no progress: $(cat err)"
grep -q 'held-out loss .*, choice acc 0\.[0-9]*, answer exact_match 0\.[0-9]*' err || fail "not told: $(cat err)"
[ "$(grep -c '"eval_choice_acc_norm":' asked/metrics.jsonl)" = 2 ] || fail "not a number for each evaluation"
grep -q '"eval_answer_exact_match":.*"eval_answer_exact_match_maj":' asked/metrics.jsonl || fail "filters have a number each"
equal plain/checkpoints/step-000012/weights.h5 asked/checkpoints/step-000012/weights.h5 "what is asked changes the weights"

# The numbers are those of aerie eval.
number() { # NAME_IN_RESULTS NAME_IN_METRICS
    grep "\"$1\":" results/results.json | sed 's/.*: *//; s/,$//' | head -n 1 >theirs
    tail -n 1 asked/metrics.jsonl | sed "s/.*\"$2\": *\([-0-9.e+]*\).*/\1/" >ours
    awk 'NR == FNR { a = $1 + 0; next } { d = a - $1; exit !($1 != "" && d < 1e-8 && d > -1e-8) }' theirs ours ||
        fail "$1: $(cat theirs) in results.json, $(cat ours) in metrics.jsonl"
}
run 0 "$aerie" eval --model asked --tasks choice.yaml,answer.yaml --data . --limit 17 --dtype f32 --output results
number acc,none eval_choice_acc
number acc_norm,none eval_choice_acc_norm
number exact_match,maj eval_answer_exact_match_maj


# A model that is tuned, adapters beside it, is asked too.
attention=$fixtures/attention
run 2 "$aerie" sft run.dir=none model.init="$attention" data.train=$fixtures/tuning/sft.jsonl train.row_tokens=48 $tasks
says "eval.tasks: expected data.heldout beside it"
absent none

# A stop while benchmarks are asked cuts the evaluation, not the step; the same command makes it.
awk 'BEGIN { for (i = 0; i < 20000; i++) print "{\"q\": \"how do the " i " birds sing?\", \"options\": [\"quietly\", \"the\"], \"right\": 0}" }' \
    >rows_many.jsonl
sed 's/^task: choice/task: many/; s/rows.jsonl/rows_many.jsonl/' choice.yaml >many.yaml
long="$shape eval.tasks=many.yaml eval.limit=20000"
"$aerie" pretrain run.dir=cut $long >out 2>err &
child=$!
for i in $(seq 600); do grep -q '^step 6: asks' err && break; sleep 0.1; done
kill -USR1 $child
wait $child
got=$?
[ $got = 130 ] || fail "an evaluation that is cut ends with $got"
grep -q '^stopping the evaluation; ' err || fail "not told that the evaluation stops: $(cat err)"
says "stopped at step 6 of 12, saved, before the end of its evaluation; the same command evaluates it and goes on"

# What is wrong is said before the first step.
run 2 "$aerie" pretrain run.dir=bad $shape eval.tasks=hellaswagg
says "hellaswagg"
absent bad
run 3 "$aerie" pretrain run.dir=bad $shape eval.tasks=hellaswag
says "hellaswag"
absent bad
echo '{"q": "no options?", "right": 0}' >>rows.jsonl
run 3 "$aerie" pretrain run.dir=bad $shape eval.tasks=choice.yaml eval.limit=-1
says "rows.jsonl:41"
absent bad
run 2 "$aerie" reward run.dir=bad model.init=asked data.train=$fixtures/tuning/pairs.jsonl \
    data.heldout=$fixtures/tuning/pairs.jsonl train.row_tokens=64 $tasks
says "eval.tasks: expected none with this verb"
absent bad
finish
