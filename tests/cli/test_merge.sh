#!/bin/sh
. "$(dirname "$0")/common.sh"
tiny=$fixtures/tiny

awk 'BEGIN { for (i = 0; i < 200; i++) printf "the %d birds of the hill sing %d songs to a river\n", i, i * i }' >book.txt
run 0 "$aerie" tokenizer train --input book.txt --output t.model --vocab-size 330
run 0 "$aerie" data prepare --input book.txt --tokenizer t.model --output book --split-on '\n'
run 0 "$aerie" pretrain run.dir=run model.preset=small-1m model.width=64 model.blocks=3 data.train=book/train.h5 \
    train.row_tokens=32 train.batch_rows=2 train.steps=4 train.checkpoint_every=2 optim.lr=1e-2 optim.warmup_steps=0
two=run/checkpoints/step-000002

# Checkpoints, runs and folders mix; the mean of a model with itself scores as the model does.
run 0 "$aerie" merge --output one run run
run 0 "$aerie" inspect one --json
prints '"whole":true'
prints '"method":"mean"'
printf '{"text": "the 3 birds of the hill"}\n' >lines.jsonl
run 0 "$aerie" score --model run --input lines.jsonl --output of_run
run 0 "$aerie" score --model one --input lines.jsonl --output of_one
equal of_run of_one "the mean of a model with itself scores otherwise"
run 0 "$aerie" merge --output self one run one
equal one/model.safetensors self/model.safetensors "the mean of a model with itself"
run 0 "$aerie" merge --output parts run run --shard-bytes 50k
[ -e parts/model.safetensors.index.json ] || fail "--shard-bytes gives several files"
run 0 "$aerie" score --model parts --input lines.jsonl --output of_parts
equal of_run of_parts "a merge in several files scores otherwise"
run 0 "$aerie" merge --output mean $two one
cmp -s mean/model.safetensors one/model.safetensors && fail "the mean of two models is one of them"
run 0 "$aerie" merge --output heavy $two one --weights 0,3
equal heavy/model.safetensors one/model.safetensors "all weight on one model"
run 0 "$aerie" merge --output late $two one --method ema --decay 0
equal late/model.safetensors one/model.safetensors "a moving average that forgets"
run 0 "$aerie" merge --output half $two one --method ema --decay 0.5
equal half/model.safetensors mean/model.safetensors "a moving average of two halves"
run 0 "$aerie" merge --output way --method lerp --base $two --amount 0.5 run
equal way/model.safetensors mean/model.safetensors "half the way to a model"
run 0 "$aerie" merge --output arc --method slerp --base "$two" --amount 1 one mean --dtype bf16
run 0 "$aerie" merge --output short mean mean --dtype bf16
equal arc/model.safetensors short/model.safetensors "slerp up to its second model"
run 0 "$aerie" merge --output all --method slerp --base "$two" one mean heavy

# merge.json says what was done.
says_origin() { # FOLDER REST
    tr -d '\n' <"$1/merge.json" | sed 's/  */ /g; s/"aerie merge [^"]*"/"aerie merge"/; s/\([[{]\) /\1/g; s/ \([]}]\)/\1/g' >origin
    printf '{"made_by": "aerie merge", %s}' "$2" | cmp -s - origin || fail "$1/merge.json: found $(cat origin)"
}
newest=run/checkpoints/step-000004
says_origin one '"method": "mean", "models": ["'$newest'", "'$newest'"], "weights": null, "base": null, "amount": null, "decay": null'
says_origin heavy '"method": "mean", "models": ["'$two'", "one"], "weights": [0.0, 3.0], "base": null, "amount": null, "decay": null'
says_origin half '"method": "ema", "models": ["'$two'", "one"], "weights": null, "base": null, "amount": null, "decay": 0.5'
says_origin way '"method": "lerp", "models": ["'$newest'"], "weights": null, "base": "'$two'", "amount": 0.5, "decay": null'
says_origin arc '"method": "slerp", "models": ["one", "mean"], "weights": null, "base": "'$two'", "amount": 1.0, "decay": null'
says_origin all '"method": "slerp", "models": ["one", "mean", "heavy"], "weights": null, "base": "'$two'", "amount": null, "decay": null'

# What the first model, and no other, says of texts comes along in its own words.
cp -r one worded
echo '{"eos_token_id": [1, 107], "top_k": 7}' >worded/generation_config.json
echo '{"chat_template": "mine"}' >worded/tokenizer_config.json
run 0 "$aerie" merge --output first worded mean
run 0 "$aerie" merge --output second mean worded
for name in generation_config.json tokenizer_config.json; do
    equal first/$name worded/$name
    equal second/$name mean/$name
    equal one/$name mean/$name
done

# What is written can be used as any model.
run 0 "$aerie" generate --model all --prompt "the 3" --max-new 4 --temperature 0
run 0 "$aerie" pretrain run.dir=next model.init=short data.train=book/train.h5 train.row_tokens=32 train.batch_rows=2 \
    train.steps=1
equal run/checkpoints/step-000004/tokenizer.model all/tokenizer.model "the tokenizer"

# A signal while it writes: nothing is left.
many=$(for i in 1 2 3 4 5 6 7 8 9 10; do echo one mean half way all heavy late short arc self; done)
many="$many $many $many $many $many $many $many $many"
"$aerie" merge --output stopped $many --quiet >out 2>err &
merge=$!
tries=0
until [ -e stopped.part/model.safetensors.part ] || [ $tries = 500 ]; do
    tries=$((tries + 1))
    sleep 0.02
done
[ $tries = 500 ] && fail "the merge does not begin"
kill -TERM $merge
wait $merge
[ $? = 130 ] || fail "expected 130 of an interrupted merge"
one_line_of_error merge
absent stopped stopped.part

# Refusals name the field or the flag, and leave nothing.
run 3 "$aerie" merge --output bad run "$tiny"
says "vocab: expected 330 as in run/checkpoints/step-000004, found 64"
absent bad bad.part
cp -r one other
run 0 "$aerie" tokenizer train --input book.txt --output other.model --vocab-size 329
cp other.model other/tokenizer.model
run 3 "$aerie" merge --output bad one other
says "other/tokenizer.model: expected the tokenizer of one/tokenizer.model"
cp -r one torn
truncate -s 100000 torn/model.safetensors
run 3 "$aerie" merge --output bad one torn
says "torn/model.safetensors"
run 3 "$aerie" merge --output bad missing one
absent bad bad.part
run 2 "$aerie" merge --output one run run
says "exists already"
run 2 "$aerie" merge --output one one mean --force
says "holds what is read"
run 0 "$aerie" merge --output self mean mean --force
echo precious >self/notes.txt
run 2 "$aerie" merge --output self mean mean --force
says "notes.txt"
run 2 "$aerie" merge one
says "--output is missing"
run 2 "$aerie" merge --output bad
says "expected two models or more, found 0"
run 2 "$aerie" merge --output bad one
says "expected two models or more, found 1"
run 2 "$aerie" merge --output bad one --method slrep
says "--method"
run 2 "$aerie" merge --output bad one mean --method lerp --amount 0.5
says "--base is missing"
run 2 "$aerie" merge --output bad one mean --method lerp --base one
says "--amount is missing"
run 2 "$aerie" merge --output bad one mean --base one
says "--base"
run 2 "$aerie" merge --output bad one --method slerp --base one
says "two models or more"
run 2 "$aerie" merge --output bad one mean heavy --method slerp --base one --amount 0.5
says "all count alike"
run 2 "$aerie" merge --output bad one mean --decay 0.5
says "--decay"
for weights in 1 1,2,3 1,-1 0,0 1,x 1,2, ''; do
    run 2 "$aerie" merge --output bad one mean --weights "$weights"
    says "--weights: expected 2 numbers"
done
run 2 "$aerie" merge --output bad one mean --dtype f16
says "--dtype"
absent bad bad.part
finish
