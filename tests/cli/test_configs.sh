#!/bin/sh
. "$(dirname "$0")/common.sh"

# Every configuration that comes with the program is read and planned: a key that was renamed is found here.
attention=$fixtures/attention
configs=$here/../../configs
awk 'BEGIN { for (i = 0; i < 300; i++) printf "the %d birds sing %d songs to a river\n", i, i * i }' >book.txt
run 0 "$aerie" tokenizer train --input book.txt --output t.model --vocab-size 300
run 0 "$aerie" data prepare --input book.txt --tokenizer t.model --output text

echo '{"tokens": [2, 5, 6]}' >prompts.jsonl

planned=0
for config in "$configs"/*.yaml; do
    name=$(basename "$config" .yaml)
    grep -q '^  steps:' "$config" && epochs= || epochs=train.epochs=1000 # the fixtures are few rows
    case $name in
    *reward*) set -- reward model.init="$attention" data.train="$fixtures/tuning/pairs.jsonl" data.heldout="$fixtures/tuning/pairs.jsonl" $epochs ;;
    *rlhf*) set -- rlhf model.init="$attention" data.train=prompts.jsonl data.heldout=prompts.jsonl \
        rl.rewards='[{kind: length, max: 9}]' train.steps=1000 ;;
    *dpo*) set -- rlhf model.init="$attention" data.train="$fixtures/tuning/pairs.jsonl" data.heldout="$fixtures/tuning/pairs.jsonl" $epochs ;;
    *sft* | *tune* | *lora*) set -- sft model.init="$attention" data.train="$fixtures/tuning/sft.jsonl" data.heldout="$fixtures/tuning/sft.jsonl" $epochs ;;
    *) set -- pretrain data.train=text/train.h5 data.heldout= ;;
    esac
    verb=$1
    shift
    run 0 "$aerie" "$verb" "$config" "$@" run.dir="dry-$name" --dry-run
    grep -q "steps\? of " err || [ "$verb" = pretrain ] || fail "$name: no plan: $(cat err)"
    absent "dry-$name" runs
    planned=$((planned + 1))
done
[ $planned -ge 12 ] || fail "expected twelve configurations or more, found $planned"

# Steps on the command line take the place of the epochs of the file, and epochs that of its steps.
pairs="model.init=$attention data.train=$fixtures/tuning/pairs.jsonl data.heldout=$fixtures/tuning/pairs.jsonl run.dir=short"
trial="train.steps=20 optim.warmup_steps=2 train.eval_every=10 train.checkpoint_every=10"
run 0 "$aerie" rlhf "$configs/dpo.yaml" $pairs $trial --dry-run
grep -q "20 steps of " err || fail "not the steps that were given: $(cat err)"
run 0 "$aerie" reward "$configs/quickstart-reward.yaml" $pairs train.epochs=1000 optim.schedule=constant --dry-run
grep -q "750 steps of " err || fail "not the epochs that were given: $(cat err)"
run 2 "$aerie" rlhf "$configs/dpo.yaml" $pairs train.steps=20 train.epochs=1 --dry-run
says "of 1 epoch, found 20; leave out train.steps, or give train.epochs=0"
for name in dpo reward sft rlhf; do
    grep -qF "$trial" "$configs/$name.yaml" || fail "$name.yaml does not say how to try it"
done

# What only their full size shows.
run 0 "$aerie" plan "$configs/lora-2b-int4.yaml" model.init= model.preset=recurrentgemma-2b --json
prints '"parameters":'
run 0 "$aerie" plan "$configs/rlhf-2b-lora.yaml" model.init= model.preset=recurrentgemma-2b data.train= data.heldout= --json
prints '"parameters":'
finish
