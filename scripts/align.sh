#!/bin/bash
# Methods of RLHF side by side on a task whose true reward is known: stories as a prompt asks for them, graded by the rule
# of aerie-stories. A small model is pretrained and tuned on writing; each method goes on from there; the answers to
# held-out prompts give a table and a picture of reward against divergence.
set -euo pipefail
. "$(dirname "$0")/stages.sh"
. "$(dirname "$0")/writing.sh"

online="reinforce grpo ppo bond jbond online_dpo"
offline="dpo ipo kto"
folders="warp best_of_n" # whose run.dir holds a table of its own
usage="usage: scripts/align.sh [--dir FOLDER] [--seeds N] [--methods A,B,..] [--steps N] [--prompts N] [--pairs N]
                        [--reward rule|model] [--sft-steps N] [--judge-steps N] [--base RUN] [--until STAGE]
                        [KEY=VALUE ...]
       scripts/align.sh --exact-match [--dir FOLDER] [--seeds N] [--steps N] [--prompts N] [--sft-steps N] [--base RUN]
                        [--until STAGE] [KEY=VALUE ...]

  --dir FOLDER    where everything goes (default: runs/align in the repository)
  --seeds N       tuned models, each with a run of every method (default 1)
  --methods A,B   of ${online// /, }, ${offline// /, }, ${folders// /, } (default: all)
  --steps N       updates of a method that writes answers (default 75), or of --exact-match (default 110)
  --prompts N     held-out prompts that are answered in an evaluation (default 512)
  --pairs N       prompts that the tuned model answers four times, for methods that learn from pairs (default 1500)
  --reward KIND   what methods that write answers learn from: the rule itself (default), or a model of graded pairs
  --sft-steps N   updates of tuning (default 120, with --exact-match 290)
  --judge-steps N updates of the reward model (default 600)
  --base RUN      a pretrained run on these stories, such as runs/quickstart/run (default: one is trained here)
  --until STAGE   the last stage: build, base, data, tune, judge, pairs, learn or results (default); with --exact-match
                  build, base, data, questions or answers (default)
  --exact-match   instead: from 40 to 70 % right answers to questions upwards, with the exact answer as the reward
  KEY=VALUE       a key of aerie rlhf, such as optim.lr=1e-4, for every method

The same command again goes on where it stopped; runs that are finished are left alone."

root=$(cd "$(dirname "$0")/.." && pwd)
dir=$root/runs/align
seeds=1
methods="$online $offline $folders"
steps=
prompts=512
pairs=1500
reward=rule
sft_steps=
judge_steps=600
base=
until=
exact_match=no
more=()

read_flags "--dir --methods --reward --base --until" "--seeds --steps --prompts --pairs --sft-steps --judge-steps" \
    --exact-match "$@"

methods=${methods//,/ }
for method in $methods; do
    is_one_of "$method" $online $offline $folders ||
        refuse 2 "--methods: expected some of $online $offline $folders, found $method"
done
is_one_of "$reward" rule model || refuse 2 "--reward: expected rule or model, found $reward"
if [ $exact_match = no ]; then
    stages=(build base data tune judge pairs learn results)
    sft_steps=${sft_steps:-120} steps=${steps:-75}
else
    stages=(build base data questions answers)
    sft_steps=${sft_steps:-290} steps=${steps:-110}
fi
until=${until:-${stages[-1]}}
is_one_of "$until" "${stages[@]}" || refuse 2 "--until: expected one of ${stages[*]}, found $until"
settle_folders align "one task, every method"
find_programs

# ---- from the base to what methods begin with ----

# Calls FUNCTION in the folder of each seed, where $seed is its number.
each_seed() { # FUNCTION
    for seed in $(seq "$seeds"); do
        mkdir -p "$dir/seed-$seed"
        cd "$dir/seed-$seed"
        "$1"
    done
    cd "$root"
}

judge() {
    learn_reward judge ../chat/graded-train.jsonl "$judge_steps"
}

stage_tune() {
    each_seed tune
}

stage_judge() {
    if [ "$reward" = model ]; then each_seed judge; else echo "not needed: the rule itself is the reward"; fi
}

# Offline methods learn best from what the policy itself writes: four answers to each prompt, the best and the worst.
write_pairs() {
    [ ! -f pairs.jsonl ] || return 0
    local k
    head -n "$pairs" ../chat/prompts-train.jsonl >asked.jsonl
    sed 's/^{"prompt":\("[^"]*"\).*/{"messages": [{"role": "user", "content": \1}]}/' asked.jsonl >messages.jsonl
    for k in 1 2 3 4; do
        "$aerie" generate --model sft --input messages.jsonl --output "answers-$k.jsonl" --force --max-new 200 \
            --temperature 1 --seed $((10 * seed + k)) --batch 64 --quiet
        aerie-stories --grade asked.jsonl "answers-$k.jsonl" >"grades-$k.jsonl" 2>>pairs.log
    done
    paste asked.jsonl answers-[1-4].jsonl grades-[1-4].jsonl | awk -f "$root/scripts/best-and-worst.awk" >pairs.part
    mv pairs.part pairs.jsonl
    echo "seed $seed: $(wc -l <pairs.jsonl) pairs"
}

stage_pairs() {
    local method
    for method in $methods; do
        ! is_one_of "$method" $offline || {
            each_seed write_pairs
            return
        }
    done
    echo "not needed: no method learns from pairs"
}

# ---- methods ----

# What a method needs beside what all have in common. An update reads some 64 answers. A reward deviates by 0.1 here, so a
# nat of divergence may cost a small part of that.
keys_of() { # METHOD
    case "$1" in
    reinforce) echo optim.lr=4e-4 rl.beta=0.008 train.batch_rows=16 rl.samples=4 ;;
    grpo) echo optim.lr=2e-4 rl.beta=0.06 train.batch_rows=16 rl.samples=4 train.steps=$((steps * 2)) ;;
    ppo) echo optim.lr=4e-4 rl.beta=0.008 ppo.lambda=1 train.batch_rows=64 ;;
    bond) echo optim.lr=5e-4 train.batch_rows=8 rl.samples=4 train.steps=$((steps * 2)) ;;
    jbond) echo optim.lr=8e-4 jbond.eta=0.1 train.batch_rows=48 train.steps=$((steps * 8 / 5)) ;;
    online_dpo) echo optim.lr=2.5e-4 rl.beta=0.15 train.batch_rows=32 train.steps=$((steps * 7 / 3)) ;;
    dpo) echo optim.lr=1e-4 rl.beta=0.3 ;;
    ipo) echo optim.lr=1e-4 rl.beta=10 ;; # its margin is by token: 1 / (2 beta) = 0.05 nats, 5 in a story
    kto) echo optim.lr=1e-4 rl.beta=0.2 ;;
    esac
}

# The folder of a run: what another reward taught lies elsewhere.
run_of() { # METHOD
    if [ "$reward" = model ] && is_one_of "$1" $online; then echo "$1-by-model"; else echo "$1"; fi
}

learn_online() { # METHOD
    local rewards="[$rule]"
    [ "$reward" = rule ] || rewards="[{kind: model, name: judge, path: judge}, ${rule/%\}/, weight: 0\}}]"
    learn_from "$(run_of "$1")" "$1" "$rewards" "$steps" $(keys_of "$1") "${more[@]}"
}

learn_offline() { # METHOD
    train "$1" rlhf rl.method="$1" model.init=sft data.train=pairs.jsonl run.seed="$seed" train.row_tokens=1024 \
        train.batch_rows=16 train.epochs=1 train.checkpoint_every=50 optim.schedule=cosine optim.warmup_steps=$((pairs / 400)) \
        optim.lr_final_ratio=0.1 optim.weight_decay=0 optim.beta2=0.98 $(keys_of "$1") "${more[@]}"
}

# A run of WARP has a quarter of the updates, so that all six have half as much again. N is 16.
learn_in_folder() { # METHOD
    if [ "$1" = warp ]; then
        learn_warp $(((steps + 3) / 4)) "${more[@]}"
    else
        draw_answers best_of_n ../chat/prompts-few.jsonl
    fi
}

# What plot reads of a run that did not measure the true reward itself: the tuned model before, METHOD after.
judged() { # METHOD
    local run to line='s/^{"step":0,/{"step":'
    run=$(run_of "$1")
    to=judged/$run
    evaluate sft
    evaluate "$run"
    mkdir -p "$to/evaluations"
    printf 'run:\n  seed: %s\nrl:\n  method: %s\n' "$seed" "$1" >"$to/config.yaml"
    cp evaluated/sft/evaluations/step-000000.jsonl "$to/evaluations/step-000000.jsonl"
    cp "evaluated/$run/evaluations/step-000000.jsonl" "$to/evaluations/step-000001.jsonl"
    grep '^{"step":0,' evaluated/sft/metrics.jsonl >"$to/metrics.jsonl"
    sed -n "${line}1,/p" "evaluated/$run/metrics.jsonl" >>"$to/metrics.jsonl"
}

# Where the figures of METHOD are: in its own run, when that was evaluated by the rule.
figures_in() { # METHOD
    if is_one_of "$1" $folders || { [ "$reward" = rule ] && is_one_of "$1" $online; }; then
        echo "$1"
    else
        echo "judged/$(run_of "$1")"
    fi
}

learn() {
    local method
    echo "seed $seed"
    for method in $methods; do
        if is_one_of "$method" $folders; then
            learn_in_folder "$method"
        elif is_one_of "$method" $online; then
            learn_online "$method"
        else
            learn_offline "$method"
        fi
        [ "$(figures_in "$method")" = "$method" ] || judged "$method"
    done
}

stage_learn() {
    head -n "$prompts" "$dir/chat/prompts-heldout.jsonl" >"$dir/chat/prompts-few.jsonl"
    each_seed learn
}

stage_results() {
    local seed method runs=()
    cd "$dir"
    for seed in $(seq "$seeds"); do
        for method in $methods; do runs+=("seed-$seed/$(figures_in "$method")"); done
    done
    "$aerie" plot "${runs[@]}" --output frontier.png --force
    "$aerie" plot "${runs[@]}" --output report.html --force
    "$aerie" plot "${runs[@]}" --json >results.json
    "$aerie" plot "${runs[@]}" --table
    echo "$dir: frontier.png, report.html, results.json"
}

# ---- questions with one right answer ----

# Dialogues without their last answer, which is what the model is asked for. Stories told again are left out.
questions_of() { # SPLIT
    [ -f "../chat/questions-$1.jsonl" ] ||
        awk -f "$root/scripts/questions.awk" "../chat/chat-$1.jsonl" >"../chat/questions-$1.jsonl"
}

learn_questions() {
    echo "seed $seed"
    questions_of train
    questions_of heldout
    train questions-sft sft model.init="$base" data.train=../chat/chat-train.jsonl data.heldout=../chat/chat-heldout.jsonl \
        run.seed="$seed" train.row_tokens=1024 train.batch_rows=2 train.steps="$sft_steps" \
        train.checkpoint_every=250 sft.exact_match="$prompts" optim.lr=2e-3 optim.warmup_steps=$((sft_steps / 12)) \
        optim.lr_final_ratio=0.02 optim.beta2=0.98
    train questions-rlhf rlhf rl.method=reinforce model.init=questions-sft data.train=../chat/questions-train.jsonl \
        data.heldout=../chat/questions-heldout.jsonl rl.rewards='[{kind: exact}]' rl.beta=0.001 rl.max_new=40 \
        rl.samples=8 rl.eval_prompts="$prompts" run.seed="$seed" train.row_tokens=1024 train.batch_rows=64 \
        train.steps="$steps" train.eval_every=50 train.checkpoint_every=50 optim.lr=6e-4 optim.warmup_steps=$((steps / 30)) \
        optim.lr_final_ratio=0.1 optim.weight_decay=0 optim.beta2=0.98 "${more[@]}"
}

stage_questions() {
    each_seed learn_questions
}

stage_answers() {
    cd "$dir"
    "$aerie" plot $(seq -f "seed-%g/questions-rlhf" "$seeds") --table
}

run_stages "$until" "${stages[@]}"
