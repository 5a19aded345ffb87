#!/bin/sh
# One small run, killed with SIGKILL at random moments (every other time while a checkpoint is being written) and started again each
# time, ends with the weights, optimiser and metrics of the run that was left alone, to the bit; and so does one whose disk was full.
# usage: kills.sh AERIE FIXTURES [KILLS]
. "$(dirname "$0")/../cli/common.sh"
kills=${3:-5}
export OMP_NUM_THREADS=2

# Steps in proportion to the kills, so that each finds something to interrupt.
steps=$((60 + 12 * kills))
awk 'BEGIN { srand(7); for (i = 0; i < 4000; i++) printf "the %d birds of hill %d sing %d songs\n", rand() * 99, i % 31, rand() * 999 }' >text.txt
run 0 "$aerie" tokenizer train --input text.txt --output t.model --vocab-size 300
run 0 "$aerie" data prepare --input text.txt --tokenizer t.model --output set --heldout 0.01

train() { # FOLDER [KEY...]
    folder=$1
    shift
    ${as:-} "$aerie" pretrain run.dir="$folder" data.train=set/train.h5 data.heldout=set/heldout.h5 \
        model.width=64 model.recurrent_width=64 model.mlp_width=128 model.heads=2 model.blocks=3 model.window=16 \
        train.row_tokens=32 train.batch_rows=2 train.steps=$steps train.checkpoint_every=4 train.eval_every=25 \
        train.keep=2 train.keep_every=50 train.sample_tokens=0 optim.lr=3e-3 "$@"
}

# What a clock or the system has measured is left out.
told() {
    sed -E 's/"(tokens_per_s|flops_fraction|step_s|peak_rss_bytes)": ?[^,}]*,? ?//g' "$1/metrics.jsonl" >"$1.told"
    [ "$(wc -l <"$1.told")" -gt "$steps" ] || fail "$1: $(wc -l <"$1.told") lines of metrics"
}

last() {
    printf '%s/checkpoints/step-%06d' "$1" $steps
}

same_as_whole() {
    told "$1"
    equal whole.told "$1.told" "metrics.jsonl"
    for file in weights.h5 optimizer.h5; do equal "$(last whole)/$file" "$(last "$1")/$file"; done
    ls whole/checkpoints >whole.list
    ls "$1/checkpoints" >"$1.list"
    [ "$(readlink whole/checkpoints/best)" = "$(readlink "$1/checkpoints/best")" ] || fail "$1: another best"
    ls "$1"/checkpoints/*.partial >/dev/null 2>&1 && fail "$1: a half-written checkpoint was left behind"
}

run 0 train whole
told whole

# The processor's own randomness, so that each call finds other moments; the seed of a failure is printed.
seed=${SEED:-$(od -An -N3 -tu4 /dev/urandom | tr -d ' ')}
moments=$(awk -v seed="$seed" -v n="$kills" 'BEGIN { srand(seed); for (i = 0; i < n; i++) printf "%.3f ", 0.1 + rand() * 0.9 }')
during=0
done_early=0
number=0
for moment in $moments; do
    number=$((number + 1))
    as=exec train killed >killed.out 2>killed.err &
    child=$!
    if [ $((number % 2)) = 0 ]; then
        # from the moment on, until a checkpoint is half written
        sleep "$moment"
        tries=0
        while [ $tries -lt 2000 ] && kill -0 $child 2>/dev/null; do
            set -- killed/checkpoints/step-*.partial
            [ -e "$1" ] && break
            tries=$((tries + 1))
        done
    else
        sleep "$moment"
    fi
    kill -KILL $child 2>/dev/null
    wait $child 2>/dev/null
    status=$?
    case $status in
    137) ls killed/checkpoints/step-*.partial >/dev/null 2>&1 && during=$((during + 1)) ;;
    0) done_early=$((done_early + 1)) ;;
    *)
        fail "kill $number of seed $seed: status $status"
        cat killed.err
        break
        ;;
    esac
done
run 0 train killed
same_as_whole killed
echo "$kills kills (seed $seed): $during while a checkpoint was half written, $done_early came after the end"
[ "$kills" -lt 20 ] || [ "$during" -gt 0 ] || fail "no kill fell into a save"
[ "$done_early" -lt "$kills" ] || fail "every kill came too late"

# ---- a full disk: no file may grow beyond the metrics there are and some more of them ----

as=exec train full >full.out 2>full.err &
child=$!
tries=0
while [ ! -e full/checkpoints/step-000008/DONE ] && [ $tries -lt 500 ] && sleep 0.02; do tries=$((tries + 1)); done
kill -TERM $child
wait $child
[ $? = 130 ] || fail "SIGTERM: status other than 130"
before=$(ls full/checkpoints | grep -v best)
blocks=$(($(stat -c %s full/metrics.jsonl) / 512 + 60))
limited() {
    (
        trap '' XFSZ
        ulimit -f $blocks
        train full
    )
}
run 4 limited
says "full/checkpoints/step-"
for folder in $before; do [ -e "full/checkpoints/$folder/DONE" ] || fail "$folder is gone"; done
run 0 train full
same_as_whole full
finish
