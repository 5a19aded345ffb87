#!/bin/sh
# Where a run lies when it is named by its own config.yaml.
. "$(dirname "$0")/common.sh"
export OMP_NUM_THREADS=2

awk 'BEGIN { for (i = 0; i < 400; i++) printf "the %d birds of hill %d sing\n", i * 7 % 99, i % 31 }' >text.txt
run 0 "$aerie" tokenizer train --input text.txt --output t.model --vocab-size 300
run 0 "$aerie" data prepare --input text.txt --tokenizer t.model --output set
run 0 "$aerie" pretrain run.dir=run data.train=set/train.h5 model.width=32 model.recurrent_width=32 model.mlp_width=48 model.heads=2 \
    model.blocks=3 model.window=16 train.row_tokens=32 train.batch_rows=2 train.steps=2 optim.schedule=constant

# A row that is longer than the set is told.
run 0 "$aerie" pretrain run.dir=long data.train=set/heldout.h5 model.width=32 model.heads=2 model.blocks=3 train.row_tokens=8000 --dry-run
warns "train.row_tokens: a row of 8000 is longer than all of set/heldout.h5"
run 0 "$aerie" pretrain run.dir=long data.train=set/heldout.h5 model.width=32 model.heads=2 model.blocks=3 train.row_tokens=80 --dry-run
grep -q "longer than all" err && fail "a shorter row is fine"

has_step() { # RUN STEP
    [ -e "$1/checkpoints/step-00000$2/DONE" ] || fail "$1 has no checkpoint of step $2"
}

mkdir elsewhere
mv run 'elsewhere/moved run'
run 0 "$aerie" pretrain 'elsewhere/moved run/config.yaml' train.steps=4
grep -qF "run.dir: elsewhere/moved run, where elsewhere/moved run/config.yaml lies; it was made as run" err || {
    fail "the folder that was taken is not told"
    cat err
}
has_step 'elsewhere/moved run' 4
absent run

# A copy goes on in its own folder, and the one that it was made from stays as it is.
cp -r 'elsewhere/moved run' copy
run 0 "$aerie" pretrain copy/config.yaml train.steps=5
has_step copy 5
absent 'elsewhere/moved run/checkpoints/step-000005'

# From inside, and by another folder's name of the same place: nothing to tell.
(cd copy && "$aerie" pretrain config.yaml data.train=../set/train.h5 train.steps=6 >../out 2>../err) || fail "from inside: $(cat err)"
has_step copy 6
ln -s copy link
run 0 "$aerie" pretrain link/config.yaml run.dir=link data.train=set/train.h5 train.steps=7
has_step copy 7
run 0 "$aerie" pretrain copy/config.yaml train.steps=8
has_step copy 8
absent run

# From another working directory: relative paths count from where the run was started, and from here on from there.
mkdir away
(cd away && "$aerie" pretrain ../copy/config.yaml train.steps=9 >../out 2>../err) || fail "from elsewhere: $(cat err)"
grep -qF "data.train: set/train.h5 is not here; taken from $work, where the run was started" err || fail "not told: $(cat err)"
has_step copy 9
mv set moved-set
(cd away && "$aerie" pretrain ../copy/config.yaml train.steps=10 >../out 2>../err)
[ $? = 3 ] || fail "data that is gone: $(cat err)"
mv moved-set set
sed -i 's|train: .*|train: set/train.h5|; s|from: .*|from: /nowhere|' copy/config.yaml
(cd away && "$aerie" pretrain ../copy/config.yaml train.steps=10 >../out 2>../err)
[ $? = 3 ] || fail "data that is nowhere: $(cat err)"
says "data.train: expected set/train.h5 here or at /nowhere/set/train.h5, where the run was started, found nothing at either"
run 0 "$aerie" pretrain copy/config.yaml train.steps=10
[ -e copy/checkpoints/step-000010/DONE ] || fail "copy has no checkpoint of step 10"

# The command line has the last word, and a recipe of one's own is no run.
run 0 "$aerie" pretrain copy/config.yaml run.dir=other train.steps=1
has_step other 1
mkdir recipes
sed 's/^  dir: .*/  dir: third/' copy/config.yaml >recipes/config.yaml
run 0 "$aerie" pretrain recipes/config.yaml train.steps=1
has_step third 1

# A project's recipe is no run, though its runs lie in a folder "checkpoints" beside it, and it is never written.
recipe() { # FOLDER RUN
    mkdir -p "$1"
    printf 'run:\n  dir: %s\ndata: {train: set/train.h5}\nmodel: {width: 32, recurrent_width: 32, mlp_width: 48, heads: 2, blocks: 3, window: 16}\n' "$2" >"$1/config.yaml"
    printf 'train: {row_tokens: 32, batch_rows: 2, steps: 2}\noptim: {schedule: constant}\n' >>"$1/config.yaml"
    cp "$1/config.yaml" "$1.recipe"
}
recipe project project/checkpoints/exp1
run 0 "$aerie" pretrain project/config.yaml
run 0 "$aerie" pretrain project/config.yaml train.steps=3
has_step project/checkpoints/exp1 3
equal project/config.yaml project.recipe "a recipe beside a folder of runs"
run 2 "$aerie" pretrain project/config.yaml run.dir=project
says "expected a run (config.yaml) or an empty folder"
equal project/config.yaml project.recipe "a recipe in the folder that is to be the run's"

recipe foreign fourth
echo '{"step": 1, "loss": 2.5}' >foreign/metrics.jsonl
run 0 "$aerie" pretrain foreign/config.yaml
has_step fourth 2
equal foreign/config.yaml foreign.recipe "a recipe beside somebody's metrics"

# One that was put in the place of a run's own stays in a copy.
cp project.recipe fourth/config.yaml
run 0 "$aerie" pretrain fourth/config.yaml train.steps=3
has_step fourth 3
equal fourth/config.yaml.before project.recipe "a recipe in a run's folder"
finish
