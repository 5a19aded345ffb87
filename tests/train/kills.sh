#!/bin/sh
# One small run of a training verb, killed with SIGKILL at random moments (every other time while a checkpoint is being written) and started again each
# time, ends with the weights, optimiser, models beside and metrics of the run that was left alone, to the bit; so does one whose disk was full.
# Only kills that ended a living process count: a run that comes to its end is compared and begun again, until there are enough.
# usage: kills.sh AERIE FIXTURES [KILLS [pretrain|sft|reward|dpo|ppo|jbond|program]]
. "$(dirname "$0")/../cli/common.sh"
kills=${3:-5}
kind=${4:-pretrain} # a verb, a method of rlhf, or one whose rewards come from a slow program
steps=120
[ "$kind" != program ] || steps=60
export OMP_NUM_THREADS=2

awk 'BEGIN { srand(7); for (i = 0; i < 4000; i++) printf "the %d birds of hill %d sing %d songs\n", rand() * 99, i % 31, rand() * 999 }' >text.txt
run 0 "$aerie" tokenizer train --input text.txt --output t.model --vocab-size 300
run 0 "$aerie" data prepare --input text.txt --tokenizer t.model --output set --heldout 0.01

shape='model.width=64 model.recurrent_width=64 model.mlp_width=128 model.heads=2 model.blocks=3 model.window=16'
common="train.steps=$steps train.checkpoint_every=4 train.eval_every=25 train.keep=2 train.keep_every=50 train.sample_tokens=0"

# Rows of tuning stay JSON lines, which a run renders first: a kill may fall into that too.
rows() { # KEYS OF A ROW...
    awk -v keys="$1" 'BEGIN { srand(9); for (i = 0; i < 240; i++) { n = int(rand() * 99)
        row = keys; gsub("QUESTION", "how many birds sing on hill " i % 31 "?", row)
        gsub("RIGHT", n " birds sing", row); gsub("WRONG", "the songs of " n, row); print row } }'
}
verb=$kind
case $kind in
pretrain) keys="data.train=set/train.h5 data.heldout=set/heldout.h5 $shape train.row_tokens=64 train.batch_rows=4 optim.lr=3e-3" ;;
sft) row='{"prompt": "QUESTION", "completion": "RIGHT"}' ;;
reward | dpo) row='{"prompt": "QUESTION", "chosen": "RIGHT", "rejected": "WRONG"}' ;;
ppo | jbond | program) row='{"prompt": "QUESTION"}' ;;
*) fail "expected pretrain, sft, reward, dpo, ppo, jbond or program, found $kind" && finish ;;
esac

# The longer the answer, the better; each takes some time, in which a file in the folder that it is given tells so.
cat >slow.sh <<'END'
while read -r line; do
    : >"$1/$$"
    sleep 0.01
    answer=${line#*'"answer":'} id=${line#*'"id":'}
    rm -f "$1/$$"
    echo "{\"id\": ${id%%,*}, \"reward\": ${#answer}}"
done
END
mkdir calls
by_length='rl.rewards=[{"kind":"length","target":4}]'
by_program="rl.rewards=[{\"kind\":\"program\",\"command\":[\"sh\",\"$work/slow.sh\",\"$work/calls\"]}]"
if [ "$verb" != pretrain ]; then
    run 0 "$aerie" pretrain run.dir=base data.train=set/train.h5 $shape train.row_tokens=64 train.batch_rows=4 train.steps=3 \
        train.sample_tokens=0
    rows "$row" >all.jsonl
    head -200 all.jsonl >train.jsonl
    tail -40 all.jsonl >heldout.jsonl
    keys="model.init=base data.train=train.jsonl data.heldout=heldout.jsonl train.row_tokens=160 train.batch_rows=4 optim.lr=1e-3"
    online="$keys rl.max_new=8 rl.eval_prompts=4"
    # a critic, and answers that have updates to come in two of three checkpoints; an anchor that moves with every step
    case $kind in
    dpo) verb=rlhf keys="$keys rl.method=dpo" ;;
    ppo) verb=rlhf keys="$online rl.method=ppo rl.passes=3 rl.samples=2 $by_length" ;;
    jbond) verb=rlhf keys="$online rl.method=jbond jbond.eta=0.05 $by_length" ;;
    program) verb=rlhf keys="$online rl.method=reinforce rl.samples=2 $by_program" ;;
    esac
fi

train() { # FOLDER [KEY...]
    folder=$1
    shift
    # shellcheck disable=SC2086
    ${as:-} "$aerie" $verb run.dir="$folder" $keys $common "$@"
}

# What a clock or the system has measured is left out.
told() {
    sed -E 's/"(tokens_per_s|flops_fraction|step_s|peak_rss_bytes)": ?[^,}]*,? ?//g' "$1/metrics.jsonl" >"$1.told"
    sed -n 's/^{"step": *\([0-9]*\),.*"grad_norm".*/\1/p' "$1/metrics.jsonl" >"$1.steps"
    seq $steps >all.steps
    equal all.steps "$1.steps" "a step is missing or twice in metrics.jsonl"
}

last() {
    printf '%s/checkpoints/step-%06d' "$1" $steps
}

same_as_whole() {
    told "$1"
    equal whole.told "$1.told" "metrics.jsonl"
    for file in "$(last whole)"/*.h5; do equal "$file" "$(last "$1")/${file##*/}"; done
    ls whole/checkpoints >whole.list
    ls "$1/checkpoints" >"$1.list"
    equal whole.list "$1.list" "checkpoints that are kept"
    [ "$(readlink whole/checkpoints/best)" = "$(readlink "$1/checkpoints/best")" ] || fail "$1: another best"
}

now_ms() {
    echo $(($(date +%s%N) / 1000000))
}

began=$(now_ms)
run 0 train whole
length=$(($(now_ms) - began))
told whole

# ---- kills ----

# The system's own randomness, so that each call finds other moments; the seed of a failure is printed.
seed=${SEED:-$(od -An -N3 -tu4 /dev/urandom | tr -d ' ')}

# Within the first part of what a whole run takes, so that one start seldom reaches the end.
moment() { # NUMBER
    awk -v seed="$seed" -v n="$1" -v length_ms="$length" \
        'BEGIN { srand(seed + 7919 * n); rand(); printf "%.3f", 0.01 + rand() * 0.35 * length_ms / 1000 }'
}

# A half-written checkpoint: one that an earlier kill has left looks as it did.
mark() {
    stat -c '%n %i %.9Z' killed/checkpoints/step-*.partial 2>/dev/null
}

in_a_save() {
    seen=$(mark) && [ "$seen" != "$left" ]
}

wait_for_a_save() { # PROCESS
    while kill -0 "$1" 2>/dev/null && ! [ -e "$(last killed)/DONE" ] && ! in_a_save; do :; done
}

# Whether a reward was being made; the program outlives its run by a moment.
in_a_call() {
    ls calls | grep -q . && rm -f calls/*
}

hit=0
during=0
called=0
whole_again=0
starts=0
while [ $hit -lt "$kills" ]; do
    starts=$((starts + 1))
    left=$(mark)
    as=exec train killed >killed.out 2>killed.err &
    child=$!
    sleep "$(moment $starts)"
    [ $((starts % 2)) = 1 ] || wait_for_a_save $child
    kill -KILL $child 2>/dev/null
    wait $child 2>/dev/null
    case $? in
    137)
        hit=$((hit + 1))
        in_a_call && called=$((called + 1))
        in_a_save && during=$((during + 1))
        ! [ -L killed/checkpoints/best ] || [ -e killed/checkpoints/best/DONE ] || fail "kill $hit of seed $seed: best leads nowhere"
        ;;
    0)
        whole_again=$((whole_again + 1))
        same_as_whole killed
        rm -rf killed
        ;;
    *)
        fail "start $starts of seed $seed: neither killed nor done"
        cat killed.err
        break
        ;;
    esac
    [ $starts -lt $((10 * kills + 50)) ] || { fail "seed $seed: $starts starts for $hit kills" && break; }
done
run 0 train killed
same_as_whole killed
echo "$hit kills of $kind (seed $seed), $during while a checkpoint was half written, $called in the call of a reward program;" \
    "$((whole_again + 1)) runs came to their end, in $((starts + 1)) starts"
[ "$kills" -lt 20 ] || [ $during -gt $((kills / 10)) ] || fail "only $during kills fell into a save"
[ "$kills" -lt 20 ] || [ "$kind" != program ] || [ $called -gt $((kills / 20)) ] || fail "only $called kills fell into a call"

# ---- a full disk: no file may grow beyond the metrics there are and some more of them ----

# A signal that comes when the run has no more steps finds it done, or without its handler: then once more.
stop_early() {
    for attempt in 1 2 3 4 5; do
        rm -rf full
        as=exec train full >full.out 2>full.err &
        child=$!
        tries=0
        while ! [ -e full/checkpoints/step-000008/DONE ] && ! [ -e full/checkpoints/step-000012/DONE ] &&
            [ $tries -lt 3000 ]; do
            tries=$((tries + 1))
            sleep 0.01
        done
        kill -TERM $child
        wait $child
        case $? in
        130) return ;;
        0 | 143) ;;
        *) break ;;
        esac
    done
    fail "SIGTERM: status other than 130"
    cat full.err
}
stop_early
ls full/checkpoints/*.partial >/dev/null 2>&1 && {
    fail "a stop has left a half-written checkpoint: $(ls full/checkpoints | tr '\n' ' ')"
    cat full.err
}

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
says "no space left on the disk"
ls full/checkpoints/*.partial >/dev/null 2>&1 && fail "a half-written checkpoint was left behind"
for folder in $before; do [ -e "full/checkpoints/$folder/DONE" ] || fail "$folder is gone"; done
echo '{"tokens": [2, 5, 7, 11]}' >line.jsonl
run 0 "$aerie" inspect full
run 0 "$aerie" score --model full --input line.jsonl
run 0 train full
same_as_whole full
finish
