# Shared by align.sh and goodhart.sh: the writing task of aerie-stories, whose true reward a rule knows, from a base to
# runs of rlhf. Sourced after stages.sh. The script sets $usage, $more, $root, $dir, $base, $seed, $sft_steps and $prompts; stages run
# in $dir, everything that begins with a tuned model in a folder inside it.

rule='{kind: program, name: grade, command: aerie-stories --grade -}'

is_one_of() { # WORD WORD...
    local word=$1
    shift
    [[ " $* " == *" $word "* ]]
}

# The command line into variables named as the flags: --sft-steps N into $sft_steps, a switch as yes; KEY=VALUE into $more.
read_flags() { # TEXT_FLAGS NUMBER_FLAGS SWITCHES ARGUMENT...
    local texts=$1 numbers=$2 switches=$3 variable
    shift 3
    while [ $# -gt 0 ]; do
        variable=${1#--}
        variable=${variable//-/_}
        if [ "$1" = -h ] || [ "$1" = --help ]; then
            echo "$usage"
            exit 0
        elif is_one_of "$1" $switches; then
            printf -v "$variable" yes
        elif is_one_of "$1" $texts $numbers; then
            [ $# -ge 2 ] || refuse 2 "$1 needs a value; --help says more"
            is_one_of "$1" $texts || whole_number "$1" "$2"
            printf -v "$variable" %s "$2"
            shift
        elif [[ "$1" = -* ]]; then
            refuse 2 "$1: no such flag; --help lists those there are"
        elif [[ "$1" = *=* ]]; then
            more+=("$1")
        else
            refuse 2 "expected KEY=VALUE, found $1"
        fi
        shift
    done
}

# Where the base and everything else are, as absolute paths.
settle_folders() { # MARK WORDS
    [ -z "$base" ] || [ -d "$base" ] || refuse 3 "--base $base: expected a run, found no folder"
    [ -z "$base" ] || base=$(realpath "$base")
    dir=$(own_folder "$dir" "$1")
    echo "$2" >"$dir/$1"
}

find_programs() {
    aerie=${AERIE:-$root/build/release/cli/aerie}
    # Rewards name aerie-stories, the program that grades stories, without its folder.
    export PATH="${AERIE_STORIES:-$root/build/release/corpus}:$PATH"
}

# Other failures have the status of a guard too, such as steps that are skipped one after another.
stopped_by_guard() { # STATUS LOG
    [ "$1" -eq 5 ] && grep -aq 'aerie: rl\.guard_' "$2"
}

# A run of the current folder, unless it is finished with the same keys; its output goes to RUN.log. With may_stop=guard,
# a run that a guard of rlhf stops is finished too.
train() { # RUN VERB KEY...
    local run=$1 verb=$2 started=$SECONDS status=0
    shift 2
    if [ "$(cat "$run.done" 2>/dev/null)" = "$*" ]; then
        echo "$run: finished before"
        return
    fi
    "$aerie" "$verb" run.dir="$run" "$@" >"$run.log" 2>&1 || status=$?
    [ $status -eq 0 ] || { [ "${may_stop:-}" = guard ] && stopped_by_guard $status "$run.log"; } || {
        tail -n 3 "$run.log" >&2
        refuse 1 "$PWD/$run stopped; all of its output is in $PWD/$run.log"
    }
    echo "$*" >"$run.done"
    echo "$run: $(grep -a '^step .*held-out' "$run.log" | tail -n 1 || true) ($((SECONDS - started)) s)"
}

# ---- stages ----

stage_build() {
    [ -x "$aerie" ] && command -v aerie-stories >/dev/null || build "$root" "$dir/build.log"
    echo "$aerie"
}

stage_base() {
    cd "$dir"
    if [ -n "$base" ]; then
        echo "$base"
        return
    fi
    base=$dir/base
    [ -f stories.jsonl ] || aerie-stories --bytes 4M --seed 1 >stories.jsonl
    [ -f tokenizer.model ] || "$aerie" tokenizer train --input stories.jsonl --output tokenizer.model --vocab-size 1024
    [ -f tokens/heldout.h5 ] ||
        "$aerie" data prepare --input stories.jsonl --tokenizer tokenizer.model --output tokens --force
    train base pretrain "$root/configs/quickstart.yaml" data.train=tokens/train.h5 data.heldout=tokens/heldout.h5 \
        train.steps=2000
}

stage_data() {
    cd "$dir"
    if [ ! -f chat/writing-heldout.jsonl ]; then
        rm -rf chat.part
        aerie-stories --chat chat.part --rows 15000
        mv chat.part chat
    fi
    [ -f prompts/train.h5 ] || "$aerie" data prepare --kind prompts --input chat/prompts-train.jsonl --model "$base" \
        --output prompts --heldout 0 --force --quiet
    echo "$dir/chat: $(ls chat | wc -l) files"
}

# ---- runs ----

tune() {
    train sft sft model.init="$base" data.train=../chat/writing-train.jsonl data.heldout=../chat/writing-heldout.jsonl \
        run.seed="$seed" train.row_tokens=1024 train.batch_rows=2 train.steps="$sft_steps" train.eval_every=100 \
        train.checkpoint_every=100 optim.lr=1e-3 optim.warmup_steps=$((sft_steps / 15)) optim.lr_final_ratio=0.05 optim.beta2=0.98
}

# A reward model of graded pairs, which goes on from the tuned model.
learn_reward() { # RUN PAIRS STEPS KEY...
    local run=$1 pairs=$2 steps=$3
    shift 3
    train "$run" reward model.init=sft data.train="$pairs" data.heldout=../chat/graded-heldout.jsonl \
        run.seed="$seed" train.row_tokens=1024 train.batch_rows=16 train.steps="$steps" \
        train.eval_every=100 train.checkpoint_every=100 reward.center=0.01 optim.lr=6e-4 optim.warmup_steps=$((steps / 30)) \
        optim.lr_final_ratio=0.05 optim.beta2=0.98 "$@"
}

# A run of a method that writes answers; REWARDS is the list rl.rewards.
learn_from() { # RUN METHOD REWARDS STEPS KEY...
    local run=$1 method=$2 rewards=$3 steps=$4
    shift 4
    train "$run" rlhf rl.method="$method" model.init=sft data.train=../prompts/train.h5 \
        data.heldout=../chat/prompts-heldout.jsonl rl.rewards="$rewards" rl.max_new=200 rl.eval_prompts="$prompts" \
        run.seed="$seed" train.row_tokens=1024 train.steps="$steps" train.eval_every=25 train.checkpoint_every=25 \
        optim.schedule=cosine optim.warmup_steps=$((steps / 20)) optim.lr_final_ratio=0.1 optim.weight_decay=0 optim.beta2=0.98 \
        "$@"
}

# Three rounds of two runs each, of STEPS updates.
learn_warp() { # STEPS KEY...
    local steps=$1
    shift
    learn_from warp warp "[$rule]" "$steps" train.batch_rows=16 rl.samples=4 rl.beta=0.01 warp.mu=0.05 \
        train.eval_every=0 optim.lr=3e-4 optim.schedule=constant optim.warmup_steps=0 "$@"
}

# Answers of the tuned model to PROMPTS, the best ones by the rule first. It trains nothing, so keys of training are not
# for it.
draw_answers() { # RUN PROMPTS KEY...
    local run=$1 asked=$2
    shift 2
    train "$run" rlhf rl.method=best_of_n model.init=sft data.train="$asked" rl.rewards="[$rule]" \
        rl.max_new=200 run.seed="$seed" train.row_tokens=1024 train.batch_rows=16 "$@"
}

# Answers of MODEL to the held-out prompts, with the true reward: a run of one step at rate 0, which changes nothing.
evaluate() { # MODEL
    mkdir -p evaluated
    train "evaluated/$1" rlhf rl.method=reinforce model.init="$1" rl.reference=sft data.train=../prompts/train.h5 \
        data.heldout=../chat/prompts-heldout.jsonl rl.rewards="[$rule]" rl.max_new=200 rl.eval_prompts="$prompts" \
        run.seed="$seed" train.row_tokens=1024 train.steps=1 train.batch_rows=1 optim.lr=0
}
