#!/bin/sh
. "$(dirname "$0")/common.sh"

# A small model of dialogues, and pairs in which an answer that says "yes" is the better one.
awk 'BEGIN { for (i = 0; i < 400; i++) printf "user %d asks: is %d more than %d? yes, it is; no, it is not.\n", i % 7, i, i % 31 }' >text.txt
run 0 "$aerie" tokenizer train --input text.txt --output t.model --vocab-size 300
run 0 "$aerie" data prepare --input text.txt --tokenizer t.model --output text
run 0 "$aerie" pretrain run.dir=base data.train=text/train.h5 model.width=32 model.recurrent_width=32 \
    model.mlp_width=64 model.heads=2 model.blocks=3 model.window=16 train.row_tokens=32 train.batch_rows=2 \
    train.steps=3 train.sample_tokens=0
awk 'BEGIN { for (i = 0; i < 24; i++)
         printf "{\"prompt\": \"is %d more than %d?\", \"chosen\": \"yes, it is\", \"rejected\": \"no, it is not\"}\n", i + 9, i % 5 }' >pairs.jsonl
run 0 "$aerie" data prepare --kind pairs --input pairs.jsonl --tokenizer t.model --output pairs --heldout 0.25
train() { # RUN KEYS...
    of=$1
    shift
    "$aerie" reward run.dir="$of" data.train=pairs/train.h5 data.heldout=pairs/heldout.h5 train.row_tokens=128 \
        train.batch_rows=6 train.steps=6 optim.lr=3e-3 "$@"
}
run 0 train learnt model.init=base

# ---- rewards ----

rewards() { # OUTPUT FLAGS...
    to=$1
    shift
    run 0 "$aerie" score --reward --output "$to" --force "$@"
}
rewards pairs.out --model learnt --input pairs.jsonl
[ "$(grep -cE '^\{"chosen":-?[0-9.e-]+,"rejected":-?[0-9.e-]+\}$' pairs.out)" = 24 ] || fail "rewards of pairs: $(cat pairs.out)"
[ "$(awk -F'[:,}]' '$2 > $4' pairs.out | wc -l)" = 24 ] || fail "it has learnt nothing"
# What training said of the last quarter of them, which is held out: rewards are shifted to mean 0 there.
scale() { # FILE NAME
    [ -f "$1" ] && sed -n "s/.*\"reward_$2\": *\([-0-9.e+]*\).*/\1/p" "$1"
}
about() { # OUTPUT FIRST MEAN STD: mean and standard deviation of the rewards from line FIRST on
    awk -F'[:,}]' -v first="$2" -v mean="$3" -v std="$4" 'NR >= first { n += 2; s += $2 + $4; q += $2 * $2 + $4 * $4 }
        END { m = s / n; v = sqrt(q / n - m * m); d = m - mean; e = v - std; exit !(n && d * d < 1e-10 && e * e < 1e-10) }' "$1" ||
        fail "$1: not of mean $3 and standard deviation $4: $(cat "$1")"
}
last=learnt/checkpoints/step-000006/model.json
about pairs.out 19 0 "$(scale $last std)"
awk -F'[:,}]' -v shift="$(scale $last shift)" 'NR > 18 { s += ($2 + $4) / 2; d += $2 - $4 } END { print s / 6 + shift, d / 6 }' \
    pairs.out >mine
sed -n 's/.*"eval_margin_mean": *\([^,]*\), *"eval_reward_mean": *\([^,]*\),.*/\2 \1/p' learnt/metrics.jsonl | tail -1 >told
paste mine told | awk '{ d = $1 - $3; e = $2 - $4 } END { exit !(NF == 4 && d * d < 1e-9 && e * e < 1e-9) }' ||
    fail "rewards $(cat mine), in training $(cat told)"
# Every number stands for itself: alone, with one thread, and as dialogues of other layouts.
while read -r line; do echo "$line" | "$aerie" score --reward --model learnt 2>/dev/null; done <pairs.jsonl >single
equal pairs.out single "line by line"
OMP_NUM_THREADS=1 "$aerie" score --reward --model learnt --input pairs.jsonl >threads 2>/dev/null
equal pairs.out threads "one thread"
sed 's/"chosen": \("[^"]*"\), "rejected".*/"completion": \1}/' pairs.jsonl >chosen.jsonl
sed 's/{"prompt": \("[^"]*"\), "completion": \("[^"]*"\)}/{"messages": [{"role": "user", "content": \1}, {"role": "model", "content": \2}, {"role": "user", "content": "why?"}]}/' \
    chosen.jsonl >messages.jsonl
sed 's/"prompt"/"question"/' chosen.jsonl >mapped.jsonl
run 0 "$aerie" data render --model base --kind chat --input chosen.jsonl
cp out tokens.jsonl
sed 's/, *"loss_mask".*/}/' tokens.jsonl >bare.jsonl
sed 's/\]/, 7, 9]/g' tokens.jsonl | sed 's/, 7, 9\]}$/, 0, 0]}/' >longer.jsonl
sed 's/{"chosen":\(.*\),"rejected".*/{"reward":\1}/' pairs.out >want
for rows in chosen messages tokens bare longer; do
    rewards "$rows.out" --model learnt --input "$rows.jsonl"
    equal want "$rows.out" "$rows"
done
rewards mapped.out --model learnt --input mapped.jsonl --map prompt=question
equal want mapped.out "--map"
run 0 "$aerie" data render --model base --kind pairs --input pairs.jsonl
cp out pair-tokens.jsonl
rewards pair-tokens.out --model learnt --input pair-tokens.jsonl
equal pairs.out pair-tokens.out "pairs in token ids"
{ head -1 chosen.jsonl; echo; head -1 pairs.jsonl; } >mixed.jsonl
rewards mixed.out --model learnt --input mixed.jsonl
grep -q '^warning' err && fail "warned of sound rows: $(cat err)"
sed 's/"prompt"/"weigth": 1, &/' mixed.jsonl >noted.jsonl
rewards noted.out --model learnt --input noted.jsonl
warns 'noted.jsonl:1: "weigth" is no key of rows of chat'
[ "$(grep -c '^warning' err)" = 1 ] || fail "told once: $(cat err)"
{ head -1 want; head -1 pairs.out; } | cmp -s - mixed.out || fail "rows of both kinds: $(cat mixed.out)"

# ---- folders ----

run 0 "$aerie" export --model learnt --output exported
grep -q "reward model" exported/README.md || fail "the card does not say what it is"
rewards exported.out --model exported --input pairs.jsonl
equal pairs.out exported.out "exported"
[ "$(scale exported/config.json shift)" = "$(scale $last shift)" ] || fail "export loses the shift"
# Folders of before have no shift.
cp -r exported before
sed -i '/"reward_shift"/d; s/"reward_std": [^,]*/"_": 0/' before/config.json
rewards before.out --model before --input pairs.jsonl
paste -d, pairs.out before.out | awk -F'[:,}]' -v shift="$(scale $last shift)" '{ d = $7 - $2 - shift } d * d > 1e-14 { exit 1 }' ||
    fail "a folder without a shift: $(paste pairs.out before.out | head -2)"
# Without held-out pairs, those of training are measured; checkpoints between have no shift.
run 0 "$aerie" reward run.dir=blind model.init=base data.train=pairs/train.h5 train.row_tokens=128 train.batch_rows=6 \
    train.steps=4 train.checkpoint_every=2 train.keep=0 optim.lr=3e-3
grep -q "rewards of 36 training answers: standard deviation" err || fail "the scale is not told: $(cat err)"
head -18 pairs.jsonl >first.jsonl
rewards blind.out --model blind --input first.jsonl
about blind.out 1 0 "$(scale blind/checkpoints/step-000004/model.json std)"
[ -z "$(scale blind/checkpoints/step-000002/model.json shift)" ] || fail "a scale that nobody measured"
run 0 "$aerie" export --model exported --output again
equal exported/model.safetensors again/model.safetensors "exported again"
run 0 "$aerie" export --model exported --output narrow --dtype bf16
run 0 "$aerie" inspect narrow --tensors --json
prints '"score_head":true'
grep -q '"tensor":"score.weight","dtype":"F32","shape":\[1,32\]' out || fail "the head in bf16: $(cat out)"
rewards narrow.out --model narrow --input pairs.jsonl
run 0 "$aerie" inspect learnt
grep -qE '^score head +yes' out || fail "inspect does not show the head: $(cat out)"
run 0 "$aerie" inspect base --json
prints '"score_head":false'
run 0 train second model.init=exported run.seed=2
run 0 "$aerie" merge --output mean learnt second
run 0 "$aerie" merge --output mean-exported exported second
equal mean/model.safetensors mean-exported/model.safetensors
rewards mean.out --model mean --input pairs.jsonl
[ -z "$(scale mean/config.json shift)" ] || fail "a mean with the shift of one of its models"
run 3 "$aerie" merge --output mixed learnt base
says "expected score.weight, the head of a reward model, as in learnt"
run 3 "$aerie" merge --output mixed base learnt
says "expected no score.weight as in base"
run 0 "$aerie" quantize --model learnt --output q8 --dtype int8
rewards q8.out --model q8 --input pairs.jsonl
rewards int8.out --model learnt --input pairs.jsonl --dtype int8
equal q8.out int8.out "quantised"
run 0 "$aerie" tokenizer trim --model learnt --input text.txt --output trimmed
rewards trimmed.out --model trimmed --input pairs.jsonl

# Weights after an evaluation have none of it.
run 0 train between model.init=base train.steps=4 train.eval_every=2 train.checkpoint_every=3 train.keep=0
[ -f between/checkpoints/step-000003/model.json ] || fail "no checkpoint of step 3"
[ -z "$(scale between/checkpoints/step-000003/model.json shift)" ] || fail "a shift of other weights"
[ -n "$(scale between/checkpoints/step-000004/model.json shift)" ] || fail "no shift at the end"

# With adapters: beside their base, and merged.
run 0 train adapted model.init=base lora.rank=2
rewards adapted.out --model adapted --input pairs.jsonl
rewards beside.out --model base --adapter adapted --input pairs.jsonl
equal adapted.out beside.out
run 0 "$aerie" export --model adapted --output merged
rewards merged.out --model merged --input pairs.jsonl
equal adapted.out merged.out "merged"
about adapted.out 19 0 "$(scale adapted/checkpoints/step-000006/model.json std)"
run 0 "$aerie" inspect adapted
grep -qE '^score head +yes' out || fail "inspect does not show the head of an adapter: $(cat out)"

# What rows do not hold is told, of held-out pairs too.
awk 'BEGIN { for (i = 0; i < 60; i++) s = s " and so on"
    printf "{\"prompt\": \"is it?\", \"chosen\": \"yes%s\", \"rejected\": \"no\"}\n", s }' >long.jsonl
cat pairs.jsonl long.jsonl >mixed.jsonl
run 0 "$aerie" reward run.dir=dropped model.init=base data.train=pairs.jsonl data.heldout=mixed.jsonl train.row_tokens=128 \
    train.batch_rows=6 train.steps=1 data.too_long=drop
warns "data.too_long: data.heldout: 1 pair longer than a row is left out"
run 3 "$aerie" reward run.dir=named model.init=base data.train=mixed.jsonl train.row_tokens=128 train.steps=1
says "row 25 of mixed.jsonl: expected at most the 128 tokens of a row for both answers"

# Where an evaluation measures something else from now on, the best begins anew.
measure() { # RUN FIRST CHANGE
    run 0 train "$1" model.init=base optim.schedule=constant train.eval_every=1 train.steps=2 "$2"
    run 0 train "$1" model.init=base optim.schedule=constant train.eval_every=1 train.steps=3 "$2" "$3" run.override="${3%%=*}"
}
anew="run.override: scores do not compare with those up to here"
measure centred run.seed=1 reward.center=1
warns "$anew"
measure too-long run.seed=1 data.too_long=drop
warns "$anew"
measure cut-rows data.too_long=drop train.row_tokens=144
warns "$anew"
measure rows run.seed=1 train.row_tokens=144
grep -q "$anew" err && fail "rows that hold every pair measure the same"

# As a language model it is used with a warning; what trains language models refuses it.
echo '{"text": "is 9 more than 0?"}' >line.jsonl
for model in learnt exported adapted; do
    run 0 "$aerie" score --model $model --input line.jsonl
    warns "$model: a reward model"
    run 0 "$aerie" generate --model $model --prompt is --max-new 3
    warns "$model: a reward model"
done
run 3 "$aerie" pretrain run.dir=none model.init=learnt data.train=text/train.h5 train.steps=1 train.row_tokens=32
says "score.weight: expected a model without the head of a reward model"

# ---- refusals ----

run 3 "$aerie" score --reward --model base --input pairs.jsonl --output none.out
says "base: expected a reward model, found none: the head score.weight is missing; train one: aerie reward model.init=base"
refuse() { # LINE WORDS
    printf '%s\n\n%s\n' "$(head -1 pairs.jsonl)" "$1" >line
    run 3 "$aerie" score --reward --model learnt --input line --output none.out
    says "line:3: "
    says "$2"
    absent none.out none.out.part-*
}
refuse '{"prompt": "a"}' "expected"
refuse '{"prompt": "a", "chosen": "b"}' "rejected"
refuse '{"prompt": "a", "chosen": "b", "rejected": "b"}' "expected"
refuse '{"tokens": [1, 300]}' "tokens[1]: expected 0 to 299, found 300"
refuse '{"tokens": []}' "empty list"
refuse '{"tokens": [1], "loss_mask": [2]}' "loss_mask[0]"
refuse '{"text": 5}' "expected"
refuse '[1]' "expected"
refuse '{"messages": [{"role": "user", "content": "a"}]}' "expected"
: >empty
run 3 "$aerie" score --reward --model learnt --input empty
says "found an empty file"
run 2 "$aerie" score --reward --model learnt --input pairs.jsonl --top 2
says "--top"
run 2 "$aerie" score --model learnt --input line.jsonl --map prompt=question
says "--reward"
finish
