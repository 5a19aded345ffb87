#!/bin/sh
# Several reward models from one command, killed between and within its runs, end as if it had been left alone.
. "$(dirname "$0")/common.sh"
export OMP_NUM_THREADS=1 # so small a model has no work for more

awk 'BEGIN { for (i = 0; i < 100; i++) printf "is %d more than %d? yes, it is; no, it is not.\n", i, i % 31 }' >text.txt
run 0 "$aerie" tokenizer train --input text.txt --output t.model --vocab-size 300
run 0 "$aerie" data prepare --input text.txt --tokenizer t.model --output text
for seed in 1 2; do
    run 0 "$aerie" pretrain run.dir=base$seed data.train=text/train.h5 model.width=32 model.recurrent_width=32 \
        model.mlp_width=64 model.heads=2 model.blocks=3 model.window=16 train.row_tokens=32 train.batch_rows=2 \
        train.steps=2 train.sample_tokens=0 run.seed=$seed
done
awk 'BEGIN { for (i = 0; i < 32; i++)
         printf "{\"prompt\": \"is %d more than %d?\", \"chosen\": \"yes, it is\", \"rejected\": \"no, it is not\"}\n", i + 9, i % 5 }' >pairs.jsonl
head -24 pairs.jsonl >train.jsonl
tail -8 pairs.jsonl >heldout.jsonl

members() { # FOLDER [WORD...]: all runs in FOLDER/run
    mkdir -p "$1"
    cd "$1" || exit 1
    shift
    ${as:-} "$aerie" reward run.dir=run model.init=../base1 data.train=../train.jsonl data.heldout=../heldout.jsonl \
        train.row_tokens=128 train.batch_rows=4 train.steps=6 train.checkpoint_every=3 train.keep=0 optim.lr=1e-3 \
        reward.members=3 reward.head_steps=4 "$@"
    status=$?
    cd "$work" || exit 1
    return $status
}
run 0 members whole reward.member_inits=../base1,../base2
grep -qE '^3 .*0\.01 +3 +[0-9.]+ % \( *[0-9.]+ to +[0-9.]+\) +[0-9.]+ +[0-9.]+ %  yes +\.\./base1$' out || fail "the table: $(cat out)"
grep -q '^average ' out || fail "the table lacks the average: $(cat out)"
cp whole/run/members.json table.json
run 0 members whole reward.member_inits=../base1,../base2 --json
grep -q '^{"head":"run/head","heldout_pairs":8,"members":\[{"member":1,"run":"run/members/1"' out || fail "--json: $(cat out)"
equal table.json whole/run/members.json "the same command again"

run 0 "$aerie" inspect whole/run
grep -qE '^kind +members and their average' out || fail "inspect of the folder: $(cat out)"
grep -qE '^ +3 +run/members/3 +../base1 +0.01 +3 ' out || fail "inspect of the folder lacks the members: $(cat out)"

# The average is a model like any other, the one that merge makes of the members.
run 0 "$aerie" inspect whole/run/average
grep -qE '^score head +yes' out || fail "inspect: $(cat out)"
run 0 "$aerie" merge --output merged whole/run/members/1 whole/run/members/2 whole/run/members/3
run 0 "$aerie" export --model whole/run/average --output exported
equal merged/model.safetensors exported/model.safetensors
run 0 "$aerie" score --reward --model whole/run/average --input pairs.jsonl
cp out average.out
run 0 "$aerie" score --reward --model whole/run --input pairs.jsonl
equal average.out out "the folder as a model"
run 0 "$aerie" score --reward --model merged --input pairs.jsonl
paste -d, average.out out | awk -F'[:,}]' -v shift="$(sed -n 's/.*"reward_shift": *\([-0-9.e+]*\).*/\1/p' whole/run/average/model.json)" '
    NR > 24 { s += $2 + $4 } { d = $7 - $2 - shift } d * d > 1e-14 { bad = 1 }
    END { exit bad || shift == "" || NR != 32 || s * s > 1e-12 }' || fail "rewards of the average: $(paste average.out out)"
grep -q '"reward_std": *[0-9]' whole/run/members.json || fail "members.json lacks the deviations"
run 0 "$aerie" reward run.dir=again model.init=whole/run/average data.train=train.jsonl train.row_tokens=128 train.steps=1
run 0 "$aerie" plot whole/run
[ -s whole/run/report.html ] || fail "no report of the members"

same_as_whole() {
    equal whole/run/members.json "$1/run/members.json"
    for file in average/weights.h5 head/checkpoints/step-000004/weights.h5 members/1/checkpoints/step-000006/optimizer.h5 \
        members/2/checkpoints/step-000006/weights.h5 members/3/checkpoints/step-000006/optimizer.h5; do
        equal "whole/run/$file" "$1/run/$file"
    done
}

# Killed or asked to stop within each of its runs, as soon as a part of it is there, and started again.
wait_for() { # PROCESS PATH
    tries=0
    while ! [ -e "$2" ] && kill -0 "$1" 2>/dev/null && [ $tries -lt 3000 ]; do
        tries=$((tries + 1))
        sleep 0.01
    done
}
hit() { # SIGNAL PATH: sets got
    (as=exec members killed reward.member_inits=../base1,../base2) >killed.out 2>killed.err &
    child=$!
    wait_for $child "killed/run/$2"
    kill -"$1" $child 2>/dev/null
    wait $child 2>/dev/null
    got=$?
}
kills=0
kill_at() {
    hit KILL "$1"
    case $got in
    137) kills=$((kills + 1)) ;;
    0) ;;
    *) fail "killed at $1: $(cat killed.err)" ;;
    esac
}
kill_at rendered
kill_at head/checkpoints/step-000003/DONE
kill_at members/1/config.yaml
hit TERM members/2/config.yaml
[ $got = 130 ] || [ $got = 0 ] || fail "SIGTERM ended with status $got: $(cat killed.err)"
[ $got = 0 ] || absent killed/run/members/3
kill_at members/3/checkpoints/step-000003/DONE
kill_at average.part
[ $kills -ge 3 ] || fail "only $kills kills found a run that was alive"
run 0 members killed reward.member_inits=../base1,../base2
same_as_whole killed
absent killed/run/average.part

# ---- refusals ----

run 2 members whole reward.member_inits=../base2
says "model.init"
run 2 members more reward.member_inits=../base1,../base2,../base1,../base2
says "at most one for each of the 3 members"
absent more/run
run 3 members more reward.member_inits=../base1,../nowhere
absent more/run
run 2 members more lora.rank=2
says "lora.rank: expected 0"
run 0 members more --dry-run
absent more/run
run 4 members more train.memory_gb=0.001 # known after the JSON lines are rendered
says "train.memory_gb"
absent more/run
run 2 "$aerie" reward run.dir=base1 model.init=base2 data.train=train.jsonl train.row_tokens=128 reward.members=2
says "run.dir: base1: expected an empty folder, or one of reward.members"
run 2 "$aerie" reward run.dir=whole/run model.init=base1 data.train=train.jsonl train.row_tokens=128 train.steps=1
says "run.dir"
run 2 "$aerie" reward run.dir=none model.init=base1 data.train=train.jsonl train.row_tokens=128 reward.member_inits=base2
says "reward.member_inits"
run 2 "$aerie" reward run.dir=none model.init=base1 data.train=train.jsonl train.row_tokens=128 reward.head_steps=20
says "reward.head_steps: expected reward.members of 2 or more beside it"
run 2 "$aerie" reward run.dir=none model.init=base1 data.train=train.jsonl train.row_tokens=128 reward.average=2
says "reward.average: expected reward.members of 2 or more beside it"
run 2 "$aerie" reward run.dir=none model.init=base1 data.train=train.jsonl train.row_tokens=128 --json
says "reward.members"
run 3 "$aerie" reward run.dir=none model.init=base1 data.train=train.jsonl train.row_tokens=128 train.steps=1 reward.head=base2
says "reward.head: base2: expected a reward model"

# Without held-out pairs there is an average and no figures.
run 0 "$aerie" reward run.dir=blind model.init=base1 data.train=train.jsonl train.row_tokens=128 train.batch_rows=4 \
    train.steps=2 reward.members=2 reward.head_steps=2 --json
prints '"accuracy":null'
run 0 "$aerie" score --reward --model blind/average --input train.jsonl
awk -F'[:,}]' '{ s += $2 + $4 } END { exit !(NR == 24 && s * s < 1e-12) }' out || fail "not shifted to mean 0: $(cat out)"

# A run of one model goes on by its own configuration, and so does a member.
run 0 "$aerie" reward again/config.yaml
run 0 "$aerie" reward blind/members/1/config.yaml
finish
