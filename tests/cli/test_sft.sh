#!/bin/sh
. "$(dirname "$0")/common.sh"
attention=$fixtures/attention
rows=$fixtures/tuning/sft.jsonl

keys="data.train=$rows train.batch_rows=3 train.steps=4 train.row_tokens=48 data.shuffle=false optim.lr=1e-3"

# The numbers of a metrics file under one name, one a line.
numbers() { sed "s/.*\"$2\": *\([-0-9.e+]*\).*/\1/" "$1/metrics.jsonl"; }
# near A B TOLERANCE: two lists of numbers agree.
near() {
    paste "$1" "$2" | awk -v t="$3" '{ d = $1 - $2; s = $1 < 0 ? -$1 : $1
        if (NF != 2 || d > t * (1 + s) || -d > t * (1 + s)) bad = 1 } END { exit bad || NR == 0 }' ||
        fail "$1 and $2 differ by more than $3: $(paste "$1" "$2" | tr '\n' ' ')"
}

# A dry run shows the plan and leaves nothing behind.
run 0 "$aerie" sft run.dir=dry model.init="$attention" $keys --dry-run
grep -q "examples: 12 in" err || fail "the dry run does not tell the examples"
absent dry

run 0 "$aerie" sft run.dir=whole model.init="$attention" $keys
[ -f whole/checkpoints/step-000004/DONE ] || fail "no checkpoint"
absent whole/checkpoints/step-000004/adapter.json
run 0 "$aerie" score --model whole --input "$here/tiny_lines.jsonl" --output scored

# A run that goes on asks model.init for nothing, not even for the default of optim.lr.
cp -r "$attention" moves
unpaced=${keys% optim.lr=*}
run 0 "$aerie" sft run.dir=stays model.init=moves $unpaced train.steps=2 optim.schedule=constant
rm -r moves
run 0 "$aerie" sft run.dir=stays model.init=moves $unpaced optim.schedule=constant
[ -f stays/checkpoints/step-000004/DONE ] || fail "no checkpoint"
run 0 "$aerie" sft run.dir=stays model.init=moved $unpaced optim.schedule=constant train.steps=5
[ -f stays/checkpoints/step-000005/DONE ] || fail "no checkpoint"
cp -r "$attention" moved
run 2 "$aerie" sft run.dir=stays model.init="$fixtures/window" $unpaced optim.schedule=constant train.steps=6
says "model.init: the run in this folder was started with "
# A schedule is held against the steps of the epochs, whatever train.steps is by default; what fails leaves nothing.
run 2 "$aerie" sft run.dir=short/run model.init="$attention" data.train="$rows" train.batch_rows=3 train.epochs=2 \
    train.row_tokens=48 optim.warmup_steps=500
says "train.epochs: 2 of this data are "
says "optim.warmup_steps: expected at most train.steps ("
says "found 500; give optim.warmup_steps=1, or train for more steps"
absent short
run 0 "$aerie" sft run.dir=long model.init="$attention" data.train="$rows" train.batch_rows=3 train.epochs=1000 \
    train.row_tokens=48 optim.warmup_steps=1100 --dry-run
# plan counts the steps of epochs where there is a set of dialogues, as sft does.
run 0 "$aerie" data prepare --kind chat --input "$rows" --model "$attention" --output prepared --heldout 0
epochs="model.init=$attention data.train=prepared/train.h5 train.batch_rows=3 train.epochs=5 train.row_tokens=48"
run 0 "$aerie" sft run.dir=none $epochs --dry-run
steps=$(sed -n 's/.* \([0-9]*\) steps of 3 rows.*/\1/p' err)
run 0 "$aerie" plan $epochs
prints "TFLOPs in ${steps:-no} steps"
run 2 "$aerie" plan $epochs optim.warmup_steps=$((steps + 1))
says "optim.warmup_steps: expected at most train.steps ($steps)"
# Few steps of epochs are told.
run 0 "$aerie" sft run.dir=few model.init="$attention" data.train="$rows" train.batch_rows=3 train.epochs=2 train.row_tokens=48
warns "train.epochs: 2 epochs of this data are only "
grep -q "train.batch_rows or train.row_tokens" err || fail "no way to more steps is named: $(cat err)"

# Answers of an evaluation end where those of generate do: a model that names its end has no other one without a tokenizer.
mkdir ends
sed 's/"eos_token_id": *1/"eos_token_id": 60/' "$attention/config.json" >ends/config.json
cp "$attention/model.safetensors" ends
echo '{"tokens": [2, 11, 7, 1, 8, 60], "loss_mask": [0, 0, 1, 1, 1, 1]}' >one.jsonl
run 0 "$aerie" sft run.dir=ended model.init=ends data.train=one.jsonl data.heldout=one.jsonl train.batch_rows=1 train.steps=40 \
    train.row_tokens=16 train.eval_every=40 sft.exact_match=1 optim.lr=1e-2
[ "$(numbers ended eval_exact_match | tail -1)" = 1.0 ] || fail "the answer is cut: $(tail -1 ended/metrics.jsonl)"

# Adapters: the folder says beside what, and opens by itself.
run 0 "$aerie" sft run.dir=beside model.init="$attention" $keys lora.rank=4
grep -q '"rank": *4' beside/checkpoints/step-000004/adapter.json || fail "adapter.json lacks the rank"
run 0 "$aerie" score --model beside --input "$here/tiny_lines.jsonl" --output adapted
run 0 "$aerie" score --model "$attention" --adapter beside --input "$here/tiny_lines.jsonl" --output explicit
equal adapted explicit
run 2 "$aerie" sft run.dir=beside model.init="$attention" $keys lora.rank=8
says "lora.rank"
says "adapters keep the rank, scale, targets and base"
grep -q "of that shape" err && fail "a shape is named: $(cat err)"
run 2 "$aerie" sft run.dir=beside model.init="$attention" $keys lora.rank=4 lora.alpha=8
says "lora.alpha: the run in this folder was started with 32.0, found 8.0"
# The rate that adapters have by default is not what is at fault where there are none any more.
run 0 "$aerie" sft run.dir=rated model.init="$attention" ${keys% optim.lr=*} lora.rank=4
run 2 "$aerie" sft run.dir=rated model.init="$attention" ${keys% optim.lr=*}
says "lora.rank: the run in this folder was started with 4, found 0"
# A base that moved is the same base; another one, or its integers, is none.
cp -r "$attention" base
go="$keys optim.schedule=constant lora.rank=4"
run 0 "$aerie" sft run.dir=onward model.init=base $go train.steps=2
run 0 "$aerie" quantize --model base --output as-integers --dtype int8
mv base elsewhere
run 3 "$aerie" sft run.dir=onward model.init="$fixtures/window" $go
run 3 "$aerie" sft run.dir=onward model.init=as-integers $go
says "expected the base that the run was started with, found its matrices as integers"
run 0 "$aerie" sft run.dir=onward model.init=elsewhere $go
grep -q "model.init: elsewhere in the place of base" err || fail "the other place is not told: $(cat err)"
run 0 "$aerie" sft run.dir=at-once model.init="$attention" $go
numbers onward loss >a
numbers at-once loss >b
equal a b
run 0 "$aerie" score --model onward --input "$here/tiny_lines.jsonl" --output onward-scored
run 2 "$aerie" reward run.dir=beside model.init="$attention" data.train="$fixtures/tuning/pairs.jsonl" train.steps=1
says "was made by sft"

# A base of 4-bit integers trains as the float32 numbers that its integers mean.
run 0 "$aerie" quantize --model "$attention" --output integers --dtype int4
run 0 "$aerie" export --model integers --output twin --dtype f32
run 0 "$aerie" sft run.dir=from-integers model.init=integers model.base_dtype=int4 $keys lora.rank=4
run 0 "$aerie" sft run.dir=from-twin model.init=twin $keys lora.rank=4
for name in loss grad_norm; do
    numbers from-integers $name >a
    numbers from-twin $name >b
    near a b 1e-5
done

# Bad input: one line, and 3 for what a file holds.
row() { printf '%s\n' "$2" >"$1.jsonl"; }
refused() { # NAME WORDS
    run 3 "$aerie" sft run.dir="bad-$1" model.init="$attention" data.train="$1.jsonl" train.steps=1 train.row_tokens=48
    says "$2"
    absent "bad-$1/checkpoints"
}
row masked '{"tokens": [2, 5, 7], "loss_mask": [0, 0, 0]}'
refused masked "masked.jsonl"
row short '{"tokens": [2, 5, 7], "loss_mask": [0, 1]}'
refused short "short.jsonl:1: loss_mask"
row beyond '{"tokens": [2, 5, 64], "loss_mask": [0, 0, 1]}'
refused beyond "beyond.jsonl:1"
row text '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}'
refused text "text.jsonl:1"
row pair '{"prompt_tokens": [2], "chosen_tokens": [3], "rejected_tokens": [4]}'
refused pair "pair.jsonl:1"
: >empty.jsonl
refused empty "empty.jsonl"
refused missing "missing.jsonl"
awk 'BEGIN { printf "{\"tokens\": [2"; for (i = 0; i < 60; i++) printf ", 7"
    printf "], \"loss_mask\": [0"; for (i = 0; i < 60; i++) printf ", 1"; print "]}" }' >long.jsonl
refused long "row 1 of long.jsonl: expected at most the 48 tokens of a row, found 61"
cat "$rows" long.jsonl >mixed.jsonl
run 0 "$aerie" sft run.dir=dropped model.init="$attention" data.train=mixed.jsonl train.steps=1 train.row_tokens=48 \
    data.too_long=drop
warns "data.too_long: data.train: 1 example of 61 tokens is left out"
run 3 "$aerie" sft run.dir=named model.init="$attention" data.train=mixed.jsonl train.steps=1 train.row_tokens=48
says "row 13 of mixed.jsonl: expected at most the 48 tokens of a row, found 61"
for how in drop cut; do
    run 0 "$aerie" sft run.dir=heldout-$how model.init="$attention" data.train="$rows" data.heldout=mixed.jsonl \
        train.steps=1 train.row_tokens=48 data.too_long=$how sft.exact_match=5 train.sample_tokens=1
    grep -q "1 step of 8 rows: " err || fail "one step is not told: $(cat err)"
    warns "sft.exact_match: 5 of the answers that are expected are longer than train.sample_tokens, 1,"
    case $how in
    drop) warns "data.too_long: data.heldout: 1 example of 61 tokens is left out" ;;
    cut) warns "data.too_long: data.heldout: 1 example lost 13 tokens at the end" ;;
    esac
done

run 2 "$aerie" sft run.dir=none data.train="$rows"
says "model.init: expected the model to start from, found none"
run 2 "$aerie" sft run.dir=none model.init="$attention" data.train="$rows" lora.rnak=4
says "did you mean \"lora.rank\""
run 3 "$aerie" sft run.dir=none model.init=nowhere data.train="$rows"
absent none
finish
