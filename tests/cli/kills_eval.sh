#!/bin/sh
# An evaluation with likelihoods and sampled answers, killed with SIGKILL at random moments and started again each time, ends with the results and samples of the
# one that was left alone, to the bit; with other batches too. Only kills of a living process count.
# usage: kills_eval.sh AERIE FIXTURES [KILLS]
. "$(dirname "$0")/common.sh"
kills=${3:-5}
export OMP_NUM_THREADS=2

awk 'BEGIN { srand(7); for (i = 0; i < 2000; i++) printf "the %d birds of hill %d sing %d songs\n", rand() * 99, i % 31, rand() * 999 }' >text.txt
run 0 "$aerie" tokenizer train --input text.txt --output t.model --vocab-size 300
run 0 "$aerie" data prepare --input text.txt --tokenizer t.model --output set --heldout 0.01
run 0 "$aerie" pretrain run.dir=run data.train=set/train.h5 model.preset=small-1m model.width=64 model.blocks=3 model.window=32 \
    train.row_tokens=64 train.batch_rows=4 train.steps=6 train.sample_tokens=0
awk 'BEGIN { srand(3); for (i = 0; i < 150; i++)
    printf "{\"q\": \"how many birds of hill %d?\", \"options\": [\"%d birds\", \"the %d songs of the birds of hill %d\", \"none\"], \"right\": %d}\n", i, rand() * 99, rand() * 99, i % 31, i % 3 }' >rows.jsonl
cat >choice.yaml <<'EOR'
{format: 1, task: choice, version: 1, kind: choice, rows: {file: rows.jsonl}, prompt: "{{q}}\nA:", choices: "{{options}}", gold: "{{right}}",
 fewshot: {count: 3, file: rows.jsonl, pick: drawn}, metrics: [acc, acc_norm]}
EOR
cat >answer.yaml <<'EOR'
{format: 1, task: answer, version: 1, kind: generate, rows: {file: rows.jsonl}, prompt: "{{q}} the", answer: "{{options[0]}}", repeats: 2,
 temperature: 0.9, max_new: 24, stop: ["\n"], filters: [{name: none, steps: [take_first]}], metrics: [exact_match]}
EOR

evaluate() { # FOLDER BATCH
    "$aerie" eval --model run --tasks choice.yaml,answer.yaml --output "$1" --log-samples --quiet --batch "$2" >out 2>err
}
evaluate alone 64 || fail "the evaluation: $(cat err)"

# same FOLDER: what does not hang on the clock, the batch and the process that ended it.
same() {
    for folder in alone "$1"; do
        grep -vE '"(date|total_evaluation_time_seconds|batch_size|tokens_read|tokens_asked|new_tokens)":' $folder/results.json >$folder.plain
    done
    equal alone.plain "$1.plain" "results after kills"
    for task in choice answer; do equal "alone/samples_$task.jsonl" "$1/samples_$task.jsonl" "samples after kills"; done
}

done_kills=0 round=0
while [ $done_kills -lt "$kills" ]; do
    round=$((round + 1))
    set -- 64 7 1 16
    shift $((round % 4))
    "$aerie" eval --model run --tasks choice.yaml,answer.yaml --output killed --log-samples --quiet --batch "$1" >/dev/null 2>&1 &
    pid=$!
    sleep "$(awk -v seed=$round 'BEGIN { srand(seed); printf "%.3f", 0.05 + rand() * 0.6 }')"
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    case $? in
    137) done_kills=$((done_kills + 1)) ;;
    0) same killed && rm -r killed ;;
    *) fail "an evaluation ended with an error" ;;
    esac
done
evaluate killed 7 || fail "the last evaluation: $(cat err)"
same killed
echo "$done_kills kills in $round rounds"
finish
