#!/bin/sh
. "$(dirname "$0")/common.sh"

# A model of a few steps, asked tasks of each kind.
awk 'BEGIN { for (i = 0; i < 300; i++) printf "the %d birds of the höhe sing %d songs to a river — quietly\n", i, i * i }' >book.txt
run 0 "$aerie" tokenizer train --input book.txt --output t.model --vocab-size 340
run 0 "$aerie" data prepare --input book.txt --tokenizer t.model --output book
run 0 "$aerie" pretrain run.dir=run model.preset=small-1m model.width=64 model.blocks=3 data.train=book/train.h5 \
    train.row_tokens=32 train.batch_rows=4 train.steps=12 optim.lr=0.01

mkdir data
awk 'BEGIN { for (i = 0; i < 40; i++)
    printf "{\"q\": \"how do the %d birds sing?\", \"options\": [\"quietly\", \"to a river\", \"%d songs of the birds to the höhe — quietly, quietly, quietly to a river\", \"the\"], \"right\": %d, \"kind\": \"k%d\"}\n", i, i * i, i % 4, i % 3 }' >data/rows.jsonl
cat >choice.yaml <<'EOR'
format: 1
task: choice
version: 1.5
kind: choice
rows: {file: rows.jsonl}
prompt: "Q: {{q}}\nA:"
choices: "{{options}}"
gold: "{{right}}"
by: "{{kind}}"
fewshot: {count: 3, file: rows.jsonl, pick: drawn}
metrics: [acc, acc_norm, acc_bytes, acc_tokens, acc_mutual_info]
EOR
cat >answer.yaml <<'EOR'
format: 1
task: answer
version: 1
kind: generate
rows: {file: rows.jsonl}
prompt: "{{q}} the"
answer: "{{options[0]}}"
repeats: 3
temperature: 0.9
max_new: 12
stop: ["\n"]
filters:
  - name: none
    steps: [take_first]
  - name: maj
    steps: [{regex: '[a-z]+'}, majority]
metrics: [exact_match]
EOR
cat >text.yaml <<'EOR'
format: 1
task: text
version: 1
kind: rolling
rows: {file: rows.jsonl}
text: "{{q}} {{options[2]}}"
metrics: [word_perplexity, byte_perplexity, bits_per_byte]
EOR

ask() { # FOLDER FLAGS..
    folder=$1
    shift
    run 0 "$aerie" eval --model run --tasks choice.yaml,answer.yaml,text.yaml --data data --output "$folder" --log-samples "$@"
}
# What does not hang on the clock and the flags that change the speed only.
plain() { grep -vE '"(date|total_evaluation_time_seconds|batch_size|tokens_read|tokens_asked|new_tokens)":' "$1/results.json"; }
same() { # FOLDER FOLDER WHY
    plain "$1" >first
    plain "$2" >second
    equal first second "$3"
    for task in choice answer text; do equal "$1/samples_$task.jsonl" "$2/samples_$task.jsonl" "$3"; done
}

ask one
prints "|Tasks "
prints "|acc_mutual_info"
prints "<bos>: yes; chat template: none; prompts cut: 0 of 480 requests"
cp out table
[ "$(wc -l <one/samples_choice.jsonl)" = 40 ] || fail "a line for each document"
[ "$(wc -l <one/samples_answer.jsonl)" = 80 ] || fail "a line for each document and filter"
grep -q '"by_group"' one/results.json && grep -q '"k2": {' one/results.json || fail "metrics of groups"

# The same bits for every batch, without sharing, with one thread, and from the journal.
for batch in 1 7; do
    ask "batch$batch" --batch "$batch"
    same one "batch$batch" "batch $batch"
done
ask whole --no-sharing
same one whole "without sharing"
ask thread --threads 1
same one thread "one thread"
cp -r one again
ask again
grep -q '480 of 480 requests were done before' err || fail "the journal is not read: $(cat err)"
same one again "from the journal"
equal table out "the table"

# A run that was killed goes on; a torn line at the end of the journal is dropped.
mkdir part
head -200 one/requests.jsonl >part/requests.jsonl
printf '{"likelihood":3,"logp' >>part/requests.jsonl
ask part
same one part "after a kill"
for wait in 0.05 0.1 0.2 0.3; do
    "$aerie" eval --model run --tasks choice.yaml,answer.yaml,text.yaml --data data --output killed --log-samples >/dev/null 2>&1 &
    sleep $wait
    kill -9 $! 2>/dev/null
    wait $! 2>/dev/null
done
ask killed
same one killed "after kills"

# Names of folders that are no UTF-8, or patterns to others.
odd=$(printf 'run-\351')
cp -r run "$odd"
mkdir 'data [1]*'
cp data/rows.jsonl 'data [1]*/'
sed 's/rows: {file: rows.jsonl}/rows: {file: "r*.jsonl"}/' text.yaml >pattern.yaml
run 0 "$aerie" eval --model "$odd" --tasks pattern.yaml --data 'data [1]*' --output odd --limit 2
for key in model_name model_args; do
    grep -q "\"$key\": \"run-?\"" odd/results.json || fail "$key is not in the results"
done

# Other settings, and what is wrong with the input.
run 2 "$aerie" eval --model run --tasks choice.yaml,answer.yaml,text.yaml --data data --output one --num-fewshot 2
says "one: holds an evaluation with other settings: num_fewshot: expected 2, found null"
sed 's/quietly"/loudly"/' data/rows.jsonl >data/other
mv data/rows.jsonl kept
mv data/other data/rows.jsonl
run 2 "$aerie" eval --model run --tasks choice.yaml,answer.yaml,text.yaml --data data --output one
says "one: holds an evaluation of other prompts, from other rows or tasks; take another folder or remove this one"
mv kept data/rows.jsonl
run 2 "$aerie" eval --model run --tasks choice.yaml --data data
says "--output is missing"
run 2 "$aerie" eval --model run --tasks , --data data --output x
says "--tasks: expected names"
run 2 "$aerie" eval --model run --tasks choice.yaml,text.yaml,choice.yaml --data data --output x
says "--tasks: expected each task once, found choice twice"
run 2 "$aerie" eval --model run --tasks helaswag --data data --output x
says "did you mean hellaswag?"
run 3 "$aerie" eval --model run --tasks hellaswag --data data --output x
says "hellaswag"
run 3 "$aerie" eval --model "$fixtures/tiny" --tasks choice.yaml --data data --output x
says "has no tokenizer"
absent x
# Rows and output are looked at before a model is loaded.
run 3 "$aerie" eval --model nowhere --tasks hellaswag --data data --output x
says "hellaswag"
mkdir badrows && { head -n 3 data/rows.jsonl; echo '{"q": "no options?", "right": 0}'; } >badrows/rows.jsonl
run 3 "$aerie" eval --model nowhere --tasks choice.yaml --data badrows --output x
says "badrows/rows.jsonl:4"
run 2 "$aerie" eval --model nowhere --tasks choice.yaml --data data --output /proc/none/x
says "/proc"
run 3 "$aerie" eval --model nowhere --tasks choice.yaml --data data --output x
says "nowhere"
absent x
echo '{"likelihood":99999,"logprob":-1.0,"greedy":true}' >>again/requests.jsonl
run 3 "$aerie" eval --model run --tasks choice.yaml,answer.yaml,text.yaml --data data --output again
says "again/requests.jsonl:482: expected a request of this evaluation"

# What is cut is counted; dialogues are told apart.
run 0 "$aerie" eval --model run --tasks choice.yaml --data data --output cut --max-length 60
prints "prompts cut: "
prints "<bos>: yes"
grep -q 'prompts cut: 0 ' out && fail "cut prompts are not counted"
grep -qE '"cut_prompts": [1-9]' cut/results.json || fail "cut prompts are not in the results"
run 0 "$aerie" eval --model run --tasks choice.yaml --data data --output turns --apply-chat-template --limit 4
prints "chat template: turns"
grep -q '"chat_template": "{{ bos_token }}' turns/results.json || fail "the template is not in the results"
grep -A3 '"n-samples"' turns/results.json | grep -q '"original": 40' || fail "the number of all documents"

# The first rows alone are what they are among all; drawn examples come from the seed.
run 0 "$aerie" eval run --model run --tasks choice.yaml --data data --output few --limit 5 --log-samples
head -5 one/samples_choice.jsonl >first
equal first few/samples_choice.jsonl "the first rows"
grep -q '"limit": 5' few/results.json || fail "the limit is not in the results"
run 0 "$aerie" eval --model run --tasks choice.yaml --data data --output seed7 --seed 7 --log-samples
cmp -s one/samples_choice.jsonl seed7/samples_choice.jsonl && fail "another seed draws the same examples"
run 0 "$aerie" eval --model run --tasks choice.yaml --data data --output seed7-again --seed 7 --log-samples
equal seed7/samples_choice.jsonl seed7-again/samples_choice.jsonl "the same seed"

# An adapter is part of the model, in a dialogue or not; a narrower type changes numbers and is told.
awk 'BEGIN { for (i = 0; i < 8; i++) printf "{\"prompt\": \"how many birds?\", \"completion\": \"%d birds\"}\n", i }' >chat.jsonl
run 0 "$aerie" sft run.dir=tuned model.init=run data.train=chat.jsonl train.steps=3 lora.rank=2 optim.lr=0.05 train.row_tokens=64 \
    train.batch_rows=2
run 0 "$aerie" export --model run --adapter tuned --output merged
run 0 "$aerie" eval --model run --adapter tuned --tasks choice.yaml --data data --output adapted --log-samples
grep -q '"adapter": "tuned"' adapted/results.json || fail "the adapter is not in the results"
cmp -s one/samples_choice.jsonl adapted/samples_choice.jsonl && fail "the adapter changes nothing"
run 0 "$aerie" eval --model merged --tasks choice.yaml --data data --output merged-results --log-samples
equal adapted/samples_choice.jsonl merged-results/samples_choice.jsonl "an adapter and its merged model"
run 2 "$aerie" eval --model run --tasks choice.yaml --data data --output adapted
says "adapted: holds an evaluation of another model; take another folder or remove this one"
run 2 "$aerie" eval --model run --adapter tuned --tasks choice.yaml --data data --output one
says "one: holds an evaluation of another model; take another folder or remove this one"
run 2 "$aerie" eval --model run --tasks choice.yaml --data data --output adapted --dtype bf16
says "adapted: holds an evaluation with other settings: dtype: expected"
run 0 "$aerie" eval --model run --tasks choice.yaml --data data --output half --dtype bf16 --log-samples
grep -q '"model_dtype": "bf16"' half/results.json || fail "the type is not in the results"
cmp -s one/samples_choice.jsonl half/samples_choice.jsonl && fail "bf16 has the numbers of f32"

# Groups: the mean over all rows of the parts, with the pooled standard error.
cat >group.yaml <<'EOR'
format: 1
task: group
version: 1
kind: choice
rows: {file: rows.jsonl, where: "{{ (part == 'small') == (right == 0) }}"}
prompt: "Q: {{q}}\nA:"
choices: "{{options}}"
gold: "{{right}}"
metrics: [acc]
parts: [small, large]
EOR
run 0 "$aerie" eval --model run --tasks group.yaml --data data --output group
prints "|group  "
awk -F'[:,]' '/"acc,none": [0-9]*\./ { v[++n] = $3 } /"acc_stderr,none"/ { e[++m] = $3 } END {
    mean = (10 * v[2] + 30 * v[3]) / 40; pooled = sqrt((90 * e[2] ^ 2 + 870 * e[3] ^ 2) / 38 / 40)
    exit !(n >= 3 && (v[1] - mean) ^ 2 < 1e-20 && (e[1] - pooled) ^ 2 < 1e-20) }' group/results.json || fail "numbers of the group"
finish
