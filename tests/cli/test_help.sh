#!/bin/sh
. "$(dirname "$0")/common.sh"

run 0 "$aerie" --help
for verb in tokenizer data plan pretrain sft reward rlhf plot score generate chat eval judge merge inspect bench; do prints "  $verb "; done
prints "prepare, render, validate, inspect"
prints "results of eval"
prints "examples"
run 0 "$aerie" --version
prints "aerie "

while read -r verb; do
    for help in --help -h; do
        run 0 "$aerie" $verb $help
        prints "usage: aerie ${verb%% *}"
        [ -s err ] && fail "$verb $help writes to stderr"
    done
done <<EOF
tokenizer
tokenizer train
tokenizer encode
tokenizer decode
tokenizer inspect
tokenizer trim
data
data prepare
data validate
data inspect
plan
pretrain
sft
reward
rlhf
plot
score
generate
chat
quantize
judge
judge make
judge serve
judge add
judge report
export
merge
inspect
eval
eval ls
eval validate
eval show
bench
bench train
bench decode
bench ops
bench limits
EOF
run 0 "$aerie" help score
prints "usage: aerie score"
run 2 "$aerie" help scroe
says "did you mean score?"

# How whole numbers may be written is said once, where there are any.
for verb in pretrain plan score bench; do
    run 0 "$aerie" $verb --help
    [ "$(grep -c "4M, 5G" out)" = 1 ] || fail "$verb --help does not say once how numbers are written"
done
run 0 "$aerie" data render --help
grep -q "4M, 5G" out && fail "data render has no numbers"

# What a verb that tunes does where no key says otherwise, which is not what pretraining does.
for defaults in sft:2:2e-4 reward:1:1e-4 rlhf:1:1e-4; do
    verb=${defaults%%:*} rest=${defaults#*:}
    run 0 "$aerie" $verb --help
    grep -q "train.epochs  *real  *${rest%:*} " out || fail "$verb --help lacks the default of train.epochs"
    grep -q "optim.lr  *real  *${rest#*:} .*wider than 1024" out || fail "$verb --help lacks the default of optim.lr"
    grep -q "train.steps .*train.epochs says how many" out || fail "$verb --help lacks the default of train.steps"
    [ "$(grep -c "file of JSON lines" out)" = 2 ] || fail "$verb --help says nothing of JSON lines"
    grep -q "lora.also .*only way to train control tokens" out || fail "$verb --help says nothing of control tokens"
done
run 0 "$aerie" pretrain --help
grep -q "optim.lr  *real  *1e-3 " out || fail "pretrain --help has another default of optim.lr"

shows_usage "$aerie"
shows_usage "$aerie" tokenizer
shows_usage "$aerie" data
shows_usage "$aerie" eval
run 2 "$aerie" scroe
says "did you mean score?"
run 2 "$aerie" xyzzy
says "no such verb"

run 2 "$aerie" score --modle m
says "did you mean --model?"
run 2 "$aerie" score
says "--model is missing"
run 2 "$aerie" generate --model m
says "either --prompt or --input"
run 2 "$aerie" generate --model m --prompt a --input b
says "found both"
run 2 "$aerie" generate --model m --prompt a --stop ""
says "empty string"
run 2 "$aerie" generate --model m --prompt a --top-p 1.5
says "--top-p"
run 2 "$aerie" bench trian
says "did you mean train?"
run 2 "$aerie" bench train --shape s24
says "s23"
run 2 "$aerie" bench decode --shape small-1m --prefill 1,x
says "--prefill"
run 2 "$aerie" bench train --dtype f16
says "f32|bf16|auto"

# A word that belongs to no flag.
run 2 "$aerie" export run
says "export: unexpected 'run'; did you mean --model run or --output run?"
run 2 "$aerie" export run --output x
says "export: unexpected 'run'; did you mean --model run?"
run 2 "$aerie" tokenizer encode --tokenizer t.model hello
says "encode: unexpected 'hello'; did you mean --input hello or --output hello?"
run 2 "$aerie" score --model m --input=a --output b c
says "score: unexpected 'c'; --help lists the flags"

# One file: of two the second would win unseen.
echo "model: {preset: small-1m}" >one.yaml
cp one.yaml two.yaml
run 0 "$aerie" plan one.yaml --json
for verb in plan pretrain; do
    run 2 "$aerie" $verb one.yaml run.seed=1 two.yaml
    says "two.yaml: expected one CONFIG.yaml, found one.yaml before it"
done

# A shape from two places.
echo "model: {preset: small-1m, init: $fixtures/tiny}" >both.yaml
run 2 "$aerie" plan both.yaml
says "model.preset: the shape comes from model.init; leave this key out"

# The least memory that is named would do.
# Adapters beside 4-bit integers take less than a model all of which trains.
run 0 "$aerie" plan model.preset=small-25m train.row_tokens=512 --json
number() { sed -n "s/.*\"$1\": *\([0-9.e+]*\).*/\1/p" out; }
all_flops=$(number step_flops)
all_moments=$(number optimizer)
run 0 "$aerie" plan model.preset=small-25m train.row_tokens=512 lora.rank=4 model.base_dtype=int4 --json
echo "$all_flops $(number step_flops) $all_moments $(number optimizer)" |
    awk '{ exit !($2 / $1 > 0.666 && $2 / $1 < 0.667 && $4 > 0 && $4 < $3 / 10) }' || fail "the plan of adapters"
# The configuration of a verb that tunes: its sections, its epochs, its examples that are not there yet.
for section in sft.exact_match=8 reward.center=0.01 rl.method=dpo; do
    run 0 "$aerie" plan model.preset=small-1m train.row_tokens=512 train.epochs=2 data.train=chat.jsonl data.heldout=held.jsonl $section
    prints "depend on the data"
    grep -q "1000 steps\|in all" out && fail "a plan counts steps that it cannot know: $(cat out)"
done
run 0 "$aerie" plan model.preset=small-1m train.row_tokens=512 train.epochs=2 'data.train=[{"path": "chat.jsonl", "weight": 2}]' --json
grep -q '"total_flops": *null' out || fail "totals of steps that are not known: $(cat out)"
run 0 "$aerie" plan model.preset=small-1m train.row_tokens=512 train.epochs=2 data.train=chat.jsonl optim.warmup_steps=2000
run 2 "$aerie" plan model.preset=small-1m train.row_tokens=512 train.steps=100 optim.warmup_steps=2000
says "optim.warmup_steps: expected at most train.steps (100), found 2000"
run 0 "$aerie" plan model.preset=small-1m train.row_tokens=512 train.steps=7
prints "in 7 steps"
run 2 "$aerie" plan model.preset=small-1m sft.exact_mach=8
says "did you mean"
run 2 "$aerie" plan model.preset=small-25m lora.rank=4 lora.targets=nothing
says "lora.targets: expected all, or some of"
run 4 "$aerie" plan model.preset=small-1m train.row_tokens=512 train.memory_gb=0.01
says "would fit; with less "
least=$(grep -o 'train.memory_gb=[0-9.]*' err)
run 0 "$aerie" plan model.preset=small-1m train.row_tokens=512 $least

run 4 "$aerie" plan model.preset=small-1m train.row_tokens=512 train.memory_gb=0.001
says "found train.memory_gb below what the program has taken"

# Keys at fault are named.
run 2 "$aerie" plan model.preset=small-1m model.width=36
says "model.width: expected a multiple of 8 with model.heads=2"
run 0 "$aerie" plan model.preset=small-1m model.vocab=300 --dtype f32

# A place that cannot be is told before anything is read.
run 2 "$aerie" pretrain run.dir=one.yaml/run data.train=none.h5
says "run.dir: one.yaml: expected a folder, found a file in the way"
finish
