#!/bin/sh
. "$(dirname "$0")/common.sh"

# The report of a pipeline, and methods of rlhf side by side.

steps() { # FIELDS of a line
    awk -v fields="$1" 'BEGIN { for (s = 1; s <= 20; s++)
        printf "{\"step\": %d, \"tokens\": %d, %s, \"grad_norm\": 1.5, \"lr\": 0.001, \"tokens_per_s\": 900}\n", s, s * 512, fields }'
}

text_run() { # NAME SECTIONS
    mkdir -p "$1"
    { steps '"loss": 2.5'; echo '{"step": 20, "eval_loss": 2.25, "bits_per_byte": 2.1}'; } >"$1/metrics.jsonl"
    printf 'run:\n  dir: "%s"\n  seed: 1\noptim:\n  lr: 0.001\n%s\n' "$1" "$2" >"$1/config.yaml"
}

# Rewards of the prompts: 0 and 1 in turn before; GAIN more after.
rlhf_run() { # NAME METHOD SEED GAIN [PROMPTS]
    mkdir -p "$1/evaluations"
    { echo '{"step": 0, "eval_reward": 0.5, "eval_kl": 0}'
      steps '"reward_mean": 0.5, "kl": 0.75, "entropy": 1.5, "length_mean": 9, "loss": -0.25'
      echo '{"step": 10, "eval_reward": 0.6, "eval_kl": 1.5, "higher_is_better": true}'
      echo "{\"step\": 20, \"eval_reward\": 0.7, \"eval_kl\": 2.5, \"higher_is_better\": true}"; } >"$1/metrics.jsonl"
    printf 'run:\n  dir: "%s"\n  seed: %s\noptim:\n  lr: 0.001\nrl:\n  method: "%s"\n' "$1" "$3" "$2" >"$1/config.yaml"
    for step in 0 20; do
        awk -v gain="$4" -v n="${5:-40}" -v step="$step" 'BEGIN { for (i = 0; i < n; i++)
            printf "{\"prompt\": \"a\", \"answer\": \"b\\u0000\", \"reward\": %g, \"rewards\": {}, \"kl\": %g, \"tokens\": %d, \"truncated\": %s}\n",
                   i % 2 + (step ? gain : 0), step ? 2.5 : 0, 8 + i % 3, i % 4 == 0 ? "true" : "false" }' \
            >"$1/evaluations/step-$(printf %06d $step).jsonl"
    done
}

text_run base ""
text_run tuned "sft:
  average: tokens"
text_run judge "reward:
  center: 0.0"
cat >judge/calibration.json <<'END'
{"step": 20, "bins": [{"pairs": 9, "probability": 0.53, "right": 0.6},
 {"pairs": 0}, {"pairs": 0}, {"pairs": 0}, {"pairs": 0}, {"pairs": 0}, {"pairs": 0}, {"pairs": 0}, {"pairs": 0}, {"pairs": 0}]}
END
rlhf_run grpo-1 grpo 1 1
rlhf_run grpo-2 grpo 2 2
rlhf_run bond bond 1 0.25

# ---- the page ----
run 0 "$aerie" plot base tuned judge grpo-1 bond grpo-2 --output all.html
for words in "1. pretraining" "2. supervised tuning" "3. reward model" "4. rlhf: grpo" "5. rlhf: bond" \
    "methods side by side" "calibration: share of pairs" "loss, nats per token" "KL from the reference, nats an answer" \
    "entropy, nats a token" "length, tokens an answer" "held-out reward against divergence" "width=device-width" \
    'method: &quot;bond&quot;' "</html>"; do
    grep -qF -- "$words" all.html || fail "the page lacks $words"
done
grep -qE '<script|src=|href="http|url\(' all.html && fail "the page needs scripts or other files"
[ "$(grep -c '<summary>configuration' all.html)" = 6 ] || fail "not every run has its configuration"
[ "$(grep -o '<svg' all.html | wc -l)" = "$(grep -o '</svg>' all.html | wc -l)" ] || fail "a picture has no end"
# Four parts each of pretraining and tuning, one more of the reward model, 8 of each method, the last one of all.
[ "$(grep -o '<svg' all.html | wc -l)" = 30 ] || fail "$(grep -o '<svg' all.html | wc -l) pictures"
# One stage alone has no section.
run 0 "$aerie" plot base --output one.html
grep -q 'id="stage-1"\|side by side' one.html && fail "sections of a single stage"

# ---- the table: 0 and 1 in turn have a deviation of 1/2, so a gain of 1 is 2 deviations ----
run 0 "$aerie" plot bond base --json
prints '"label":"bond","method":"bond","runs":["bond"],"seeds":[1],"prompts":40,"start_std":0.5'
prints '"before":{"value":0.5,'
prints '"after":{"value":0.75,'
prints '"gain":{"value":0.5,'
prints '"kl":{"value":2.5,"low":2.5,"high":2.5}'
prints '"length":{"value":8.975,'
prints '"truncated":{"value":0.25,'
prints '"resamples":2000'
cp out first
run 0 "$aerie" plot bond base --json
equal first out "the table has other bits"
# Seeds of one method: the mean of both, and an interval that spans them.
run 0 "$aerie" plot grpo-1 bond grpo-2 --json
prints '"label":"grpo","method":"grpo","runs":["grpo-1","grpo-2"],"seeds":[1,2],"prompts":40'
prints '"after":{"value":2.0,'
sed 's/.*"label":"grpo",.*"gain":{"value":\([^,]*\),"low":\([^,]*\),"high":\([^}]*\)}.*"label":"bond".*/\1 \2 \3/' out >gain
awk '{ exit !($1 == 3 && $2 > 1.5 && $2 <= 2 && $3 >= 4 && $3 < 5) }' gain || fail "gain of the seeds: $(cat gain)"
# The same seed twice, or another key: rows of their own.
cp -r grpo-1 again
run 0 "$aerie" plot grpo-1 again --table
prints "grpo: grpo-1"
prints "grpo: again"
cp -r grpo-2 other
sed 's/lr: 0.001/lr: 0.002/' grpo-2/config.yaml >other/config.yaml
run 0 "$aerie" plot grpo-1 other --table
prints "grpo: other"
# Without what was before there is no gain; without lines nothing is known.
cp -r bond late
rm late/evaluations/step-000000.jsonl
run 0 "$aerie" plot late --json
prints '"before":{"value":null,'
prints '"gain":{"value":null,'
prints '"after":{"value":0.75,'
rm -r late/evaluations
run 0 "$aerie" plot late --table
prints "bond                         1       0                        -"
# The last evaluation whose lines are there.
mv bond/evaluations/step-000020.jsonl bond/evaluations/step-000010.jsonl
run 0 "$aerie" plot bond --json
prints '"after":{"value":0.75,'
# An answer without a reward is in no mean of rewards.
sed 's/"reward": 0.25/"reward": null/' bond/evaluations/step-000010.jsonl >bond/evaluations/step-000020.jsonl
run 0 "$aerie" plot bond --json
prints '"after":{"value":1.25,"low":1.25,"high":1.25}'
echo '{"reward": 1}' >>bond/evaluations/step-000020.jsonl
run 3 "$aerie" plot bond --table
says "bond/evaluations/step-000020.jsonl:41: tokens"
run 2 "$aerie" plot base tuned --table
says "expected runs of rlhf"
run 2 "$aerie" plot grpo-1 --table --output x.svg
says "--output"
absent x.svg

# ---- pictures ----
run 0 "$aerie" plot grpo-1 grpo-2 again --output frontier.svg
grep -q 'held-out reward against divergence' frontier.svg || fail "several runs of rlhf are no picture of reward and divergence"
grep -q 'grpo: again' frontier.svg || fail "the label of a run"
grep -q ', mean of 2<' frontier.svg || fail "two seeds of a row have no mean"
[ "$(grep -c '<g id="gnuplot_plot_' frontier.svg)" = 5 ] || fail "expected a frame, three runs and a mean"
run 0 "$aerie" plot grpo-1 --output curves.svg
grep -q 'reward, mean of the answers' curves.svg || fail "curves of one run"
run 0 "$aerie" plot grpo-1 base --output mixed.svg
grep -q 'against divergence' mixed.svg && fail "runs of other stages are no picture of reward and divergence"

# ---- folders that are no run: best_of_n, and WARP with its runs ----
mkdir best
cat >best/best_of_n.json <<'END'
{"prompts": 30, "table": [{"n": 1, "reward": 0.5, "reward_low": 0.4, "reward_high": 0.6, "kl_bound": 0},
 {"n": 4, "reward": 0.8, "reward_low": 0.7, "reward_high": 0.875, "kl_bound": 0.636}]}
END
echo '{"run.seed": 7}' >best/asked.json
run 0 "$aerie" plot best grpo-1 --output frontier.png
run 0 "$aerie" plot best --json
prints '"label":"best_of_n","method":"best_of_n","runs":["best"],"seeds":[7],"prompts":30,"start_std":null'
prints '"after":{"value":0.8,"low":0.7,"high":0.875}'
prints '"gain":{"value":null,'
prints '"kl":{"value":0.636,"low":null,"high":null}'
mkdir -p warp/round-1/merged
cp -r grpo-1 warp/round-1/member-1
cp -r grpo-2 warp/round-1/member-2
sed -i 's/grpo/warp/' warp/round-1/member-?/config.yaml
cat >warp/warp.json <<'END'
{"frontier": [{"e": 0, "answers": 24, "reward": 0.5, "reward_std": 0.25, "kl": 0, "length": 9, "truncated": 0.5},
 {"e": 1, "answers": 24, "reward": 0.75, "reward_std": 0.25, "kl": 1.5, "length": 8, "truncated": 0.25}]}
END
run 0 "$aerie" plot warp --json
prints '"runs":["warp"],"seeds":[0],"prompts":24,"start_std":0.25'
prints '"gain":{"value":1.0,"low":null,"high":null},"kl":{"value":1.5,'
grep -q 'round-1' out && fail "runs of WARP are rows beside it: $(cat out)"
run 0 "$aerie" plot warp/ --table
grep -q 'member' out && fail "runs of WARP are rows beside it: $(cat out)"
run 0 "$aerie" plot warp/round-1/member-1 warp/round-1/member-2 --json
prints '"runs":["round-1/member-1","round-1/member-2"]'
run 0 "$aerie" plot warp best --output merged.svg
[ "$(grep -c '<g id="gnuplot_plot_' merged.svg)" = 3 ] || fail "expected a frame and a line for each folder, none for its runs"
run 0 "$aerie" plot warp best --output merged.html
for words in "1. rlhf: warp" "2. rlhf: best_of_n" "KL at most, nats" "last merge (e = 1)" "round-1/member-2" \
    "held-out reward against divergence"; do
    grep -qF -- "$words" merged.html || fail "the page lacks $words"
done
run 0 "$aerie" plot best
[ -s best/report.html ] || fail "no report of best_of_n"
run 3 "$aerie" plot best --output none.svg
says "best: expected numbers over the steps of a run, found none"
echo '{"table": 1}' >best/best_of_n.json
run 3 "$aerie" plot best
says "best_of_n.json: table: expected a list"
[ "$(head -c 4 frontier.png | od -An -c | tr -d ' ')" = '211PNG' ] || fail "frontier.png is a picture"
finish
