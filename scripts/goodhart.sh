#!/bin/bash
# What becomes of a learnt reward when answers are chosen by it or a policy learns from it, with the true reward known:
# stories as a prompt asks for them, graded by the rule of aerie-stories. Reward models of few, more and many graded
# pairs stand for the truth; the truth and what they say are measured against the divergence from the tuned model. Then
# averages of weights: of reward models (WARM) against wrong labels, of policies (WARP) on their way back.
set -euo pipefail
. "$(dirname "$0")/stages.sh"
. "$(dirname "$0")/writing.sh"

stages=(build base data tune proxies best learn guard curves warm warp)
usage="usage: scripts/goodhart.sh [--dir FOLDER] [--base RUN] [--seed N] [--pairs A,B,..] [--asked N] [--answers N]
                           [--prompts N] [--steps N] [--sft-steps N] [--warm-pairs N] [--warm-steps N] [--members N]
                           [--warp-steps N] [--until STAGE] [KEY=VALUE ...]

  --dir FOLDER    where everything goes (default: runs/goodhart in the repository)
  --base RUN      a pretrained run on these stories, such as runs/quickstart/run (default: one is trained here)
  --seed N        of every run (default 1)
  --pairs A,B,..  graded pairs that each proxy, a reward model, learns from (default 250,1000,4000)
  --asked N       held-out prompts of best-of-n (default 64)
  --answers N     answers to each of these, of which the best of n is taken for n = 1, 2, 4, .. N (default 256)
  --prompts N     held-out prompts of an evaluation (default 128)
  --steps N       updates of a policy that learns from a proxy, 32 answers each (default 80)
  --sft-steps N   updates of tuning (default 120)
  --warm-pairs N  graded pairs of WARM, a quarter of them with the wrong label (default 1000)
  --warm-steps N  updates of a member of WARM, 16 pairs each (default 250)
  --members N     reward models that WARM averages (default 4)
  --warp-steps N  updates of each of the six runs of WARP (default 8)
  --until STAGE   the last stage: build, base, data, tune, proxies, best, learn, guard, curves, warm or warp (default)
  KEY=VALUE       a key of aerie rlhf, such as optim.lr=2e-4, for the policies that learn from a proxy

The same command again goes on where it stopped; runs that are finished are left alone."

root=$(cd "$(dirname "$0")/.." && pwd)
dir=$root/runs/goodhart
base=
seed=1
pairs=250,1000,4000
asked=64
prompts=128
answers=256
steps=80
sft_steps=120 # the rule then gives 0.74 (deviation 0.10); after 300 it gives 0.89, too near its best of about 0.97
warm_pairs=1000 # read four times: one reading learns no wrong label by heart
warm_steps=250
members=4
warp_steps=8
until=${stages[-1]}
more=()

read_flags "--dir --base --pairs --until" \
    "--seed --asked --answers --prompts --steps --sft-steps --warm-pairs --warm-steps --members --warp-steps" "" "$@"

proxies=${pairs//,/ }
for n in $proxies; do whole_number --pairs "$n"; done
smallest=$(printf '%s\n' $proxies | sort -n | head -n 1)
is_one_of "$until" "${stages[@]}" || refuse 2 "--until: expected one of ${stages[*]}, found $until"
settle_folders goodhart "a learnt reward and the truth"
find_programs
goodhart="awk -f $root/scripts/goodhart.awk"

enter() {
    mkdir -p "$dir/seed-$seed"
    cd "$dir/seed-$seed"
}

# The number FIELD of the evaluation at STEP of a run.
evaluated_at() { # RUN STEP FIELD
    sed -n "s/^{\"step\":$2,.*\"$3\":\([-0-9.e+]*\).*/\1/p" "$1/metrics.jsonl" | tail -n 1
}

# head takes fewer rows where a file is short, and figures would be of other numbers than the flags say.
has_rows() { # FLAG ROWS FILE
    local rows
    rows=$(wc -l <"$dir/chat/$3")
    [ "$2" -le "$rows" ] || refuse 2 "$1 $2: expected at most $rows, the rows of $dir/chat/$3"
}

stage_tune() {
    local n
    for n in $proxies; do has_rows --pairs "$n" graded-train.jsonl; done
    has_rows --asked "$asked" prompts-heldout.jsonl
    has_rows --warm-pairs "$warm_pairs" graded-train.jsonl
    enter
    tune
}

# ---- reward models of few pairs and of many ----

# Few pairs are read several times: 4, 2 and 1 times for 250, 1000 and 4000.
stage_proxies() {
    local n
    enter
    for n in $proxies; do
        head -n "$n" ../chat/graded-train.jsonl >"graded-$n.jsonl"
        learn_reward "proxy-$n" "graded-$n.jsonl" \
            "$(awk -v n="$n" 'BEGIN { steps = int(sqrt(4000 * n) / 16); print steps < 1 ? 1 : steps }')"
    done
    for n in $proxies; do
        printf 'proxy of %5d pairs: ' "$n"
        grep -o '"eval_accuracy\(_low\|_high\)\?":[0-9.]*' "proxy-$n/metrics.jsonl" | tail -n 3 | cut -d: -f2 |
            awk '{ x[NR] = 100 * $1 } END { printf "%.1f %% (%.1f to %.1f) of held-out pairs right\n", x[1], x[2], x[3] }'
    done
}

# ---- best-of-n ----

# Every answer with its prompt's number, what the rule says and what each proxy says, a line each: scored.txt.
score_answers() {
    local n sources=$rule
    [ "$(cat scored.done 2>/dev/null)" != "$asked $answers $proxies" ] || return 0
    for n in $proxies; do sources+=", {kind: model, name: proxy-$n, path: proxy-$n}"; done
    $goodhart -v task=texts "drawn-$asked/answers.jsonl" >texts.jsonl
    "$aerie" score --rewards "[$sources]" --model sft --input texts.jsonl --output scored.jsonl --force --quiet
    $goodhart -v task=scored -v answers="$answers" -v proxies="$proxies" scored.jsonl >scored.txt
    echo "$asked $answers $proxies" >scored.done
}

stage_best() {
    local n column=2
    enter
    head -n "$asked" ../chat/prompts-heldout.jsonl >"asked-$asked.jsonl"
    draw_answers "drawn-$asked" "asked-$asked.jsonl" rl.samples="$answers"
    score_answers
    $goodhart -v task=standard -v proxies="$proxies" scored.txt >standard.txt
    for n in $proxies; do
        column=$((column + 1))
        sort -k1,1n -k$column,${column}g scored.txt |
            $goodhart -v task=best -v answers="$answers" -v column=$column -v name="$n" standard.txt -
    done >best.txt
    echo "the answer that a proxy likes best of n, in deviations of the tuned model's answers:"
    awk 'BEGIN { print "proxy      n    KL, nats   proxy says   it is worth" }
         { printf "%5d %6d %11.3f %12.3f %13.3f\n", $2, $3, $4, $6, $5 }' best.txt
}

# ---- a policy against each proxy ----

# A proxy counts in deviations of its rewards, so that beta means the same for all. The rule has no weight; it is
# measured.
learn_from_proxy() { # RUN PAIRS KEY...
    local run=$1 n=$2 weight
    shift 2
    weight=$(grep -ho '"reward_std": *[0-9.e+-]*' "proxy-$n"/checkpoints/step-*/model.json | tail -n 1 |
        awk -F: '{ printf "%.6g", 1 / $2 }')
    learn_from "$run" reinforce \
        "[{kind: model, name: proxy, path: proxy-$n, weight: $weight}, ${rule/%\}/, weight: 0\}}]" "$steps" \
        train.batch_rows=8 rl.samples=4 rl.beta=0.01 optim.lr=1e-4 train.eval_every=$(((steps + 15) / 16)) "${more[@]}" "$@"
}

stage_learn() {
    local n
    enter
    for n in $proxies; do learn_from_proxy "rl-$n" "$n"; done
    for n in $proxies; do
        $goodhart -v task=learnt -v name="$n" standard.txt "rl-$n/metrics.jsonl"
    done >learnt.txt
    echo "policies that learn from a proxy, in deviations of the tuned model's answers:"
    awk 'BEGIN { print "proxy   step    KL, nats   proxy says   it is worth" }
         { printf "%5d %6d %11.3f %12.3f %13.3f\n", $2, $3, $4, $6, $5 }' learnt.txt
}

# The smallest proxy once more, with the divergence bounded by what it was where the truth was at its best.
stage_guard() {
    local bound run count
    enter
    bound=$(awk -v n="$smallest" '$2 == n && (best == "" || $5 > best) { best = $5; kl = $4 } END { printf "%.3g", kl }' learnt.txt)
    [ "$bound" != 0 ] || {
        echo "not needed: no evaluation was better than the tuned model"
        return
    }
    may_stop=guard learn_from_proxy guarded "$smallest" rl.guard_kl="$bound"
    grep -a 'rl.guard_kl: ' guarded.log | tail -n 1 || echo "nothing went past the bound of $bound nats"
    for run in sft guarded "rl-$smallest"; do prompts=$((4 * prompts)) evaluate "$run"; done
    count=$(wc -l <../chat/prompts-heldout.jsonl)
    [ "$count" -le $((4 * prompts)) ] || count=$((4 * prompts))
    echo "true reward of $count answers: tuned $(evaluated_at evaluated/sft 0 eval_reward)," \
        "guarded $(evaluated_at evaluated/guarded 0 eval_reward)," \
        "to the end $(evaluated_at "evaluated/rl-$smallest" 0 eval_reward)"
}

# ---- curves ----

stage_curves() {
    enter
    cat best.txt learnt.txt >curves.txt
    $goodhart -v task=fit curves.txt >fits.txt
    { echo "method,pairs,n_or_step,kl,gold,proxy" && tr ' ' , <curves.txt; } >curves.csv
    awk -f "$root/scripts/goodhart-picture.awk" fits.txt curves.txt >goodhart.svg
    awk 'BEGIN { print "d = sqrt(KL); best-of-n: d (a - b d), learning: d (a - b ln d)"
                 print "method   proxy  reward       a        b      R2   best at KL" }
         { printf "%-6s %7d  %-6s %7.3f  %7.3f  %6.3f   %s\n", $1, $2, $3, $4, $5, $6, $7 }' fits.txt
    echo "$PWD: curves.csv, goodhart.svg"
}

# ---- averages of reward models ----

# What a reward model makes of pairs, as they are labelled: "chosen rejected" a line.
judge_pairs() { # MODEL PAIRS OUTPUT
    [ ! "$3" -nt "$1" ] || return 0
    "$aerie" score --reward --model "$1" --input "$2" --quiet |
        sed 's/.*"chosen": *\([-0-9.e+]*\),.*"rejected": *\([-0-9.e+]*\).*/\1 \2/' >"$3.part"
    mv "$3.part" "$3"
}

stage_warm() {
    local m run=warm-$warm_pairs noisy=noisy-$warm_pairs.jsonl flipped=flipped-$warm_pairs.jsonl judged=judged-$warm_pairs
    enter
    head -n "$warm_pairs" ../chat/graded-train.jsonl |
        $goodhart -v task=flip -v seed="$seed" -v flipped="$flipped" >"$noisy"
    learn_reward "$run" "$noisy" "$warm_steps" reward.members="$members" optim.lr=2e-4 train.eval_every=0
    mkdir -p "$judged"
    for m in $(seq "$members"); do
        judge_pairs "$run/members/$m" ../chat/graded-heldout.jsonl "$judged/heldout-$m.txt"
        judge_pairs "$run/members/$m" "$flipped" "$judged/flipped-$m.txt"
    done
    judge_pairs "$run/average" ../chat/graded-heldout.jsonl "$judged/heldout-average.txt"
    judge_pairs "$run/average" "$flipped" "$judged/flipped-average.txt"
    echo "$(wc -l <"$flipped") of $(wc -l <"$noisy") labels of the training pairs are wrong; held-out labels are right"
    paste -d ' ' $(seq -f "$judged/heldout-%g.txt" "$members") "$judged/heldout-average.txt" >"$judged/heldout.txt"
    paste -d ' ' $(seq -f "$judged/flipped-%g.txt" "$members") "$judged/flipped-average.txt" >"$judged/flipped.txt"
    $goodhart -v task=warm "$judged/heldout.txt" "$judged/flipped.txt"
}

# ---- the way back of averaged policies ----

stage_warp() {
    enter
    learn_warp "$warp_steps"
    echo "from the tuned model (e = 0) to the last merge (e = 1); a line straight between them would have KL e KL(1):"
    grep -a -A 6 '^ *e  ' warp.log
}

run_stages "$until" "${stages[@]}"
