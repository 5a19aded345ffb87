#!/bin/sh
# An objective of the tests' own runs on the engine as it is: it learns, goes on to the same bits after kills, and its run is drawn.
# usage: toy.sh AERIE FIXTURES TRAIN_TOY
toy=$(realpath "$3")
. "$(dirname "$0")/../cli/common.sh"
steps=1500
export OMP_NUM_THREADS=2

train() { # FOLDER [KEY...]
    folder=$1
    shift
    ${as:-} "$toy" run.dir="$folder" train.steps=$steps train.checkpoint_every=10 train.eval_every=100 train.keep=2 \
        optim.lr=0.1 optim.weight_decay=0 "$@"
}

last() {
    printf '%s/checkpoints/step-%06d' "$1" $steps
}

told() { # what no clock has measured
    sed -E 's/"(tokens_per_s|flops_fraction|step_s|peak_rss_bytes)": ?[^,}]*,? ?//g' "$1/metrics.jsonl" >"$1.told"
}

run 0 train whole
told whole
[ "$(grep -c squared_error whole.told)" = $steps ] || fail "a line for each step"
tail -1 whole.told | grep -q '"eval_closeness":0.9[0-9]*,"higher_is_better":true' || fail "it does not learn: $(tail -1 whole.told)"
grep -q '"eval_closeness"' "$(last whole)/state.json" || fail "the best of the evaluations is not remembered"
grep -q '"head.f32"' "$(last whole)/DONE" || fail "DONE lacks the objective's file"

# ---- kills ----

seed=${SEED:-$(od -An -N3 -tu4 /dev/urandom | tr -d ' ')}
hit=0
starts=0
while [ $hit -lt 4 ] && [ $starts -lt 60 ]; do
    starts=$((starts + 1))
    as=exec train killed >killed.out 2>killed.err &
    child=$!
    before=$(cat killed/metrics.jsonl 2>/dev/null | wc -l)
    tries=0
    while [ "$(cat killed/metrics.jsonl 2>/dev/null | wc -l)" -le $((before + 40)) ] && [ $tries -lt 2000 ] && kill -0 $child 2>/dev/null; do
        tries=$((tries + 1))
    done
    sleep "$(awk -v seed="$seed" -v n=$starts 'BEGIN { srand(seed + n); rand(); printf "%.3f", rand() * 0.05 }')"
    kill -KILL $child 2>/dev/null
    wait $child 2>/dev/null
    [ $? = 137 ] && hit=$((hit + 1))
    [ -e "$(last killed)/DONE" ] && rm -rf killed
done
[ $hit -gt 0 ] || fail "no run was killed"
run 0 train killed
told killed
equal whole.told killed.told "metrics.jsonl (seed $seed)"
for file in head.f32 optimizer.h5; do equal "$(last whole)/$file" "$(last killed)/$file"; done
[ "$(readlink whole/checkpoints/best)" = "$(readlink killed/checkpoints/best)" ] || fail "another best"

# ---- what a resumed run keeps ----

run 2 train killed run.seed=5
says "run.seed: the run in this folder was started with 1, found 5"
run 2 train killed toy.counted=4
says "toy.counted: the run in this folder was started with 3, found 4"
[ -e killed/config.yaml.before ] && fail "the run took its own config.yaml for another's"

# ---- a first start that was killed before its first checkpoint ----

cp -r whole young
rm -r young/checkpoints
run 0 train young train.steps=20
[ "$(grep -c squared_error young/metrics.jsonl)" = 20 ] || fail "a run without a checkpoint does not start anew"

# ---- a run of another objective ----

sed 's/"objective": "toy"/"objective": "other"/' "$(last killed)/state.json" >state.json
cmp -s state.json "$(last killed)/state.json" && fail "state.json does not name the objective"
run 0 "$aerie" inspect killed
! grep -qE 'weights.h5|model.json' out || fail "inspect looks for files of pretraining: $(cat out)"

# ---- pictures ----

run 0 "$aerie" plot whole --output whole.svg
for words in "squared error" "worst error" "eval closeness" "learning rate"; do
    grep -qF "$words" whole.svg || fail "the picture lacks $words"
done
run 0 "$aerie" plot whole
for words in "<th>squared_error</th>" "<th>eval_closeness</th>"; do
    grep -qF "$words" whole/report.html || fail "the report lacks $words"
done
finish
