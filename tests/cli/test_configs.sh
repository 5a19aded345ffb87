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

# What only their full size shows.
run 0 "$aerie" plan "$configs/lora-2b-int4.yaml" model.init= model.preset=recurrentgemma-2b --json
prints '"parameters":'
run 0 "$aerie" plan "$configs/rlhf-2b-lora.yaml" model.init= model.preset=recurrentgemma-2b data.train= data.heldout= --json
prints '"parameters":'
finish
