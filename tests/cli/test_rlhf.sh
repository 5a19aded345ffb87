#!/bin/sh
. "$(dirname "$0")/common.sh"

# A small model of dialogues, and questions whose right answers are known.
awk 'BEGIN { for (i = 0; i < 400; i++) printf "user %d asks: is %d more than %d? yes, it is; no, it is not.\n", i % 7, i, i % 31 }' >text.txt
run 0 "$aerie" tokenizer train --input text.txt --output t.model --vocab-size 300
run 0 "$aerie" data prepare --input text.txt --tokenizer t.model --output text
run 0 "$aerie" pretrain run.dir=base data.train=text/train.h5 model.width=32 model.recurrent_width=32 \
    model.mlp_width=64 model.heads=2 model.blocks=3 model.window=16 train.row_tokens=32 train.batch_rows=2 \
    train.steps=3 train.sample_tokens=0
awk 'BEGIN { for (i = 0; i < 24; i++)
         printf "{\"prompt\": \"is %d more than %d?\", \"meta\": {\"answer\": \"yes\"}}\n", i + 9, i % 5 }' >prompts.jsonl
rlhf() { # RUN KEYS...
    of=$1
    shift
    "$aerie" rlhf run.dir="$of" model.init=base data.train=prompts.jsonl data.heldout=prompts.jsonl train.row_tokens=96 \
        train.batch_rows=4 train.eval_every=2 rl.max_new=12 rl.eval_prompts=6 "$@"
}
rewards='rl.rewards=[{kind: exact}, {kind: length, name: short, max: 6, weight: 0.1}]'

# ---- a plan writes nothing ----

run 0 rlhf plan "$rewards" --dry-run
for words in "models beside it" "method: reinforce; divergence from model.init" "reward: exact (exact)" \
    "reward: short (length)" "prompts: 24, 24 held out; 6 steps of 4 prompts and 16 answers: 1 epoch"; do
    grep -qF "$words" err || { fail "the plan lacks '$words'" && cat err; }
done
[ -e plan ] && fail "a plan has written"

# ---- a run: metrics, samples, what checkpoints hold ----

run 0 rlhf learnt "$rewards" train.steps=4
for number in reward_mean reward_std reward_exact reward_short kl entropy length_mean truncated_fraction dead_groups \
    ratio_mean clip_fraction beta loss eval_reward eval_reward_short eval_kl eval_length eval_truncated; do
    grep -q "\"$number\":" learnt/metrics.jsonl || fail "metrics lack $number"
done
[ "$(grep -c 'reward .*: exact .*, short ' learnt/samples/step-000004.txt)" = 4 ] || fail "samples: $(cat learnt/samples/*)"
grep -q "is 9 more than 0?" learnt/samples/step-000004.txt || fail "samples lack the prompt"
run 0 "$aerie" generate --model learnt --prompt "is 9 more than 0?" --max-new 3
run 0 "$aerie" inspect learnt
grep -q "objective  *rlhf" out || fail "inspect does not tell the objective"
run 0 rlhf critic "$rewards" rl.method=ppo train.steps=3 rl.passes=2 optim.schedule=constant
warns "ppo.lambda 0.95 leans on the critic"
run 0 rlhf critic "$rewards" rl.method=ppo train.steps=4 rl.passes=2 optim.schedule=constant
grep -q "leans on the critic" err && fail "a warning though the critic has learnt"
# All answers are worth 1, which a new critic that says 0 of all places misses by 1.
run 0 rlhf critic-of-ends 'rl.rewards=[{kind: regex, pattern: "^"}]' rl.method=ppo train.steps=1 ppo.lambda=1 rl.beta=0
grep -q "leans on the critic" err && fail "a warning though nothing leans on the critic"
grep -q '"step":1,.*"critic_loss":1.0,' critic-of-ends/metrics.jsonl || fail "a new critic does not begin at zero"
for file in critic.h5 answers.h5; do
    [ -e critic/checkpoints/step-000003/$file ] || fail "a checkpoint lacks $file"
done
run 0 rlhf anchor "$rewards" rl.method=jbond train.steps=1 lora.rank=2
for file in anchor.h5 adapter.json; do
    [ -e anchor/checkpoints/step-000001/$file ] || fail "a checkpoint lacks $file"
done
run 0 rlhf small rl.method=distill distill.teacher=learnt train.steps=2 optim.schedule=constant
grep -q '"eval_kl":' small/metrics.jsonl || fail "distillation is not evaluated"
# From another working directory the teacher is the one that the run was started with.
mkdir away
(cd away && "$aerie" rlhf ../small/config.yaml train.steps=3 >../out 2>../err) || fail "from elsewhere: $(cat err)"
grep -qF "distill.teacher: learnt is not here; taken from $work, where the run was started" err || fail "not told: $(cat err)"

# And a program works where it did, so that its command means what it meant; later starts know its folder.
cat >judge.sh <<'END'
while IFS= read -r line; do
    id=${line#*:}
    echo "{\"id\": ${id%%,*}, \"reward\": 1}"
done
END
judge='rl.rewards=[{kind: program, command: [sh, ./judge.sh]}]'
run 0 rlhf judged "$judge" train.steps=1 optim.schedule=constant
for steps in 2 3; do
    (cd away && "$aerie" rlhf ../judged/config.yaml train.steps=$steps >../out 2>../err) || fail "from elsewhere: $(cat err)"
    told=$(grep -cF "rl.rewards: 1 program runs in $work, where the run was started" err)
    [ $steps$told = 21 ] || [ $steps$told = 30 ] || fail "told $told times: $(cat err)"
done
run 0 rlhf judged "$judge" train.steps=4 optim.schedule=constant
run 2 rlhf judged 'rl.rewards=[{kind: program, command: [sh, ./judge.sh], folder: away}]' train.steps=5 optim.schedule=constant
says "rl.rewards: the run in this folder was started with"
# One that is given now counts from here.
sed 's/reward[^:]*: 1/reward\\": 2/' judge.sh >away/judge.sh
(cd away && "$aerie" rlhf ../judged/config.yaml "$judge" train.steps=5 >../out 2>../err) || fail "given anew: $(cat err)"
grep '"step": *5,' judged/metrics.jsonl | grep -q '"reward_mean": *2' || fail "a program of another folder: $(tail -n 1 judged/metrics.jsonl)"

# Where no answer has a reward there is no mean of rewards, and no best evaluation.
nan='rl.rewards=[{kind: program, command: [sed, -u, "s/,.*/,\"reward\":NaN}/"], on_error: skip}]'
run 0 rlhf unjudged "$nan" train.steps=2
for number in reward_mean reward_std reward_program eval_reward eval_reward_std eval_reward_program; do
    grep -q "\"$number\":" unjudged/metrics.jsonl || fail "metrics lack $number"
    grep -q "\"$number\":[^n]" unjudged/metrics.jsonl && fail "$number of no answer: $(cat unjudged/metrics.jsonl)"
done
grep -q "step 2: no held-out reward, KL " err || fail "not told: $(cat err)"
grep -q "best so far" err && fail "an evaluation without rewards is the best"
run 5 rlhf stopped "$nan" train.skip_limit=1
says "because none of its answers counts; no answer has a reward: look at rl.rewards, and at what its program writes"

# ---- refusals ----

run 2 rlhf none
says "rl.rewards: expected what answers are worth, which rl.method=reinforce learns from, found none"
run 2 rlhf none 'rl.rewards=[]'
says "rl.rewards: expected at least one entry"
run 2 rlhf none 'rl.rewards={kind: exact}'
says "found one mapping; put it in [ ]"
run 3 rlhf none 'rl.rewards=[{kind: program, command: [nosuchprog]}]' --dry-run
says "rl.rewards[0].command: expected a program, found that nosuchprog does not start: No such file or directory"
run 0 rlhf none 'rl.rewards=[{kind: program, command: nosuchprog}]' --dry-run
run 2 rlhf none "$rewards" rl.methode=ppo
says 'did you mean "rl.method"'
run 2 rlhf none "$rewards" grpo.std=false
says "grpo.std: expected rl.method=grpo beside it, found reinforce"
run 2 rlhf none "$rewards" rl.max_new=96
says "rl.max_new: expected less than train.row_tokens (96)"
run 3 rlhf none "$rewards" train.row_tokens=20
says "aerie: row 1 of prompts.jsonl: expected at most 8 tokens"
says "raise train.row_tokens to"
run 3 rlhf none "$rewards" train.row_tokens=20 --dry-run
says "aerie: row 1 of prompts.jsonl: expected at most 8 tokens"
run 3 rlhf none "$rewards" train.row_tokens=13 data.too_long=drop
says "aerie: prompts.jsonl: expected a prompt that leaves 12 tokens of a row of 13, found none: the longest has "
says "; raise train.row_tokens to "
echo '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}' >answered.jsonl
run 3 rlhf none "$rewards" data.train=answered.jsonl
grep -q "expected a turn of the user last, found an answer; leave it out: the model answers$" err || fail "answered: $(cat err)"
run 3 rlhf none 'rl.rewards=[{kind: exact, field: name}]'
says "row 1 of prompts.jsonl"
run 4 rlhf none "$rewards" train.memory_gb=0.001
says "train.memory_gb"
run 2 rlhf learnt "$rewards" train.steps=4 rl.method=grpo
says "rl.method: the run in this folder was started with"
grep -q "of that shape" err && fail "a shape is named: $(cat err)"
run 2 rlhf learnt "$rewards" train.steps=4 rl.method=grpo run.override=rl.method
says "run.override: rl.method: a run keeps what it was started with"
run 5 rlhf guarded "$rewards" train.steps=4 rl.guard_entropy=50
says "rl.guard_entropy: step 1: the mean entropy of a token (nats) is"
says "below the bound of 50: lower rl.guard_entropy"
# Folders of several runs, and of answers alone, go again too; what lies in them stays.
run 4 rlhf none "$rewards" rl.method=warp train.memory_gb=0.001
run 3 "$aerie" rlhf run.dir=none model.init=base data.train=prompts.jsonl rl.method=best_of_n rl.max_new=12 \
    train.row_tokens=96 'rl.rewards=[{kind: program, command: [./nowhere]}]'
says "rl.rewards[0].command: expected a program, found that ./nowhere does not start"
[ -e none ] && fail "a refused run has written: $(find none)"
finish
