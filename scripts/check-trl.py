#!/usr/bin/env python3
"""Tuning of aerie beside SFTTrainer, DPOTrainer and RLOOTrainer of trl: the same weights, the same rows, in turn.

usage: check-trl.py AERIE [--method sft|dpo|rloo] [--rounds N] [--steps N] [--threads N] [--dtype f32|bf16]
                    [--pair-answer N]

Needs torch, transformers, trl, peft and datasets. All rows have one length, so that nothing is padded: the
recurrence of transformers would take padding on the left for text. The soft cap of the logits is so wide that it
changes nothing: the loss of trl 1.16 leaves it out (at 30, a first loss of 9.5137 where the model's own is 9.5094).

SFT: half of each row is an answer. The first loss of both must agree to the digits that trl logs. Prints for all
parameters, and for adapters of rank 16 beside every projection, the seconds of a step and the answer tokens per second
(medians over the steps behind the first two), the processor's seconds a step and the peak memory of both, with their
ratios, and the medians of the rounds. The processor's seconds are all of aerie's run by its steps, and those of trl
behind the first two steps; where other work shares the machine, they are the sounder measure.

DPO has 256000 pieces and a small body, and takes the same pairs in every step, so that losses fall: those of the last
step must agree to a hundredth of what they fell by. Both score the reference once before the first step
(precompute_ref_log_probs), which is not timed. Prints pairs per second. An answer has 32 tokens, or --pair-answer.

RLOO is one update with 4 answers to each of 8 prompts (`rl.method=reinforce`), with the body and the pieces of SFT: 32
tokens of a prompt and at most 32 of an answer, at temperature 1, a reference, beta 0.05, and adapters of rank 8. The
reward is the share of an answer's tokens whose id is below half of the vocabulary; a program gives it to aerie (this
script), a function to trl. An answer ends early where it draws the end token, of which the chance is about 1 to 8192 a
token. Both draw their own answers, so only these must agree: the first mean reward within 0.05, and a first divergence
of 0 in both, since the reference is the start. Times are those behind the first step.
"""
import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile

SHAPE = dict(vocab_size=8192, hidden_size=384, intermediate_size=2304, num_attention_heads=6, num_key_value_heads=1,
             lru_width=384, num_hidden_layers=9, attention_window_size=512, logits_soft_cap=1e4)
PROMPT, ANSWER, BATCH, RANK = 128, 128, 8, 16
PAIR_SHAPE = dict(SHAPE, vocab_size=256000, hidden_size=256, intermediate_size=1536, num_attention_heads=4, lru_width=256,
                  num_hidden_layers=3)
PAIR_PROMPT, PAIRS = 32, 4
PROJECTIONS = ["linear_x", "linear_y", "linear_out", "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj",
               "down_proj"]
RL_PROMPT, RL_ANSWER, RL_PROMPTS, RL_SAMPLES, RL_RANK, RL_BETA = 32, 32, 8, 4, 8, 0.05
RATE = {"sft": 1e-4, "dpo": 1e-5, "rloo": 1e-5}
WARM_UP = {"sft": 2, "dpo": 2, "rloo": 1}


def write_rows(path, n):
    draw = random.Random(1)
    with open(path, "w") as f:
        for _ in range(n):
            tokens = [2] + [draw.randrange(3, SHAPE["vocab_size"]) for _ in range(PROMPT + ANSWER - 1)]
            f.write(json.dumps({"tokens": tokens, "loss_mask": [0] * PROMPT + [1] * ANSWER}) + "\n")


def write_pairs(path, answer):
    draw = random.Random(1)

    def ids(n):
        return [draw.randrange(3, PAIR_SHAPE["vocab_size"]) for _ in range(n)]

    with open(path, "w") as f:
        for _ in range(PAIRS):
            f.write(json.dumps({"prompt_tokens": [2] + ids(PAIR_PROMPT - 1), "chosen_tokens": ids(answer),
                                "rejected_tokens": ids(answer)}) + "\n")


def write_prompts(path, n):
    draw = random.Random(1)
    with open(path, "w") as f:
        for _ in range(n):
            tokens = [2] + [draw.randrange(4, SHAPE["vocab_size"]) for _ in range(RL_PROMPT - 1)]
            f.write(json.dumps({"tokens": tokens}) + "\n")


def share_of_low(tokens):
    """The reward of RLOO."""
    return sum(t < SHAPE["vocab_size"] // 2 for t in tokens) / len(tokens)


def give_rewards():
    """The program that aerie asks."""
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps({"id": asked["id"], "reward": share_of_low(asked["answer_tokens"])}), flush=True)


# ---- theirs, in a process of its own ----

def make_model(folder, shape):
    import torch
    from transformers import RecurrentGemmaConfig, RecurrentGemmaForCausalLM
    torch.manual_seed(0)
    RecurrentGemmaForCausalLM(RecurrentGemmaConfig(**shape)).float().save_pretrained(folder)


def arguments_of(o):
    """What both trainers are told alike."""
    return dict(output_dir=o.output, max_steps=o.steps, use_cpu=True, bf16=o.dtype == "bf16",
                learning_rate=RATE[o.method], logging_steps=1, lr_scheduler_type="constant", report_to="none", save_strategy="no",
                gradient_checkpointing=False, disable_tqdm=True, dataloader_pin_memory=False,
                remove_unused_columns=False)


def in_order():
    """What the trainers of given rows are told besides."""
    return dict(max_length=None, train_sampling_strategy="sequential")


def sft_trainer(o, rows, common):
    import datasets
    import trl
    args = trl.SFTConfig(per_device_train_batch_size=BATCH, packing=False, weight_decay=0.1, completion_only_loss=True,
                         dataset_kwargs={"skip_prepare_dataset": True}, **in_order(), **arguments_of(o))
    data = datasets.Dataset.from_list([{"input_ids": r["tokens"], "labels": [
        t if counts else -100 for t, counts in zip(r["tokens"], r["loss_mask"])]} for r in rows])
    return trl.SFTTrainer(args=args, train_dataset=data, **common)


def dpo_trainer(o, rows, common):
    import datasets
    import trl

    class Trainer(trl.DPOTrainer):
        def _prepare_dataset(self, dataset, *rest):
            return dataset  # pairs in tokens already

    args = trl.DPOConfig(per_device_train_batch_size=PAIRS, beta=0.1, weight_decay=0.0, adam_beta2=0.95,
                         precompute_ref_log_probs=True, precompute_ref_batch_size=PAIRS, **in_order(),
                         **arguments_of(o))
    data = datasets.Dataset.from_list([{"prompt_ids": r["prompt_tokens"], "chosen_ids": r["chosen_tokens"],
                                        "rejected_ids": r["rejected_tokens"]} for r in rows] * o.steps)
    return Trainer(args=args, train_dataset=data, **common)


def rloo_trainer(o, rows, common):
    import datasets
    import trl

    def reward(completion_ids, **rest):
        return [share_of_low(ids) for ids in completion_ids]

    args = trl.RLOOConfig(per_device_train_batch_size=RL_PROMPTS * RL_SAMPLES, num_generations=RL_SAMPLES,
                          max_completion_length=RL_ANSWER, temperature=1.0, beta=RL_BETA, num_iterations=1,
                          steps_per_generation=1, shuffle_dataset=False, weight_decay=0.0, adam_beta2=0.95,
                          **arguments_of(o))
    data = datasets.Dataset.from_list([{"prompt": " ".join(map(piece_of, r["tokens"]))} for r in rows])
    return trl.RLOOTrainer(args=args, train_dataset=data, reward_funcs=reward, **common)


def piece_of(token):
    return ["<pad>", "<eos>", "<bos>", "<unk>"][token] if token < 4 else f"t{token}"


def trainer_of(o, rows, clock):
    import peft
    import tokenizers
    import torch
    import transformers
    torch.set_num_threads(o.threads)
    model = transformers.RecurrentGemmaForCausalLM.from_pretrained(o.model, dtype=torch.float32)
    model.config.use_cache = o.method == "rloo"  # answers are written with it
    pieces = {piece_of(t): t for t in range(SHAPE["vocab_size"])}
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel(pieces, unk_token="<unk>"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<eos>")
    lora = peft.LoraConfig(r=rank_of(o), lora_alpha=32, target_modules=PROJECTIONS, task_type="CAUSAL_LM")
    common = dict(model=model, processing_class=tokenizer, callbacks=[clock], peft_config=lora if o.lora else None)
    return {"sft": sft_trainer, "dpo": dpo_trainer, "rloo": rloo_trainer}[o.method](o, rows, common)


def rank_of(o):
    return RL_RANK if o.method == "rloo" else RANK


def theirs(o):
    import time

    import transformers

    class Clock(transformers.TrainerCallback):
        ends, busy, losses, logged = [], [], [], []

        def on_step_end(self, args, state, control, **kw):
            self.ends.append(time.time())
            self.busy.append(time.process_time())

        def on_log(self, args, state, control, logs=None, **kw):
            if "loss" in logs:
                self.losses.append(float(logs["loss"]))
                self.logged.append(logs)

    clock = Clock()
    rows = [json.loads(line) for line in open(o.rows)]
    trainer_of(o, rows, clock).train()
    behind = WARM_UP[o.method]
    steps = [b - a for a, b in zip(clock.ends[behind - 1:], clock.ends[behind:])]
    # trl logs the divergence of a token, aerie that of an answer
    print(json.dumps({"reward": float(clock.logged[0].get("reward", 0)),
                      "kl": float(clock.logged[0].get("kl", 0)) * RL_ANSWER,
                      "step_s": statistics.median(steps),
                      "busy_s": (clock.busy[-1] - clock.busy[behind - 1]) / len(steps),
                      "loss": clock.losses[0], "last": clock.losses[o.steps - 1],
                      "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


# ---- ours ----

def busy_of_children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def keys_of_method(o):
    if o.method == "rloo":
        rewards = json.dumps([{"kind": "program", "command": [sys.executable, os.path.abspath(__file__), "-",
                                                              "--rewards"]}])
        return ["rl.method=reinforce", f"rl.rewards={rewards}", f"rl.samples={RL_SAMPLES}", f"rl.max_new={RL_ANSWER}",
                f"rl.beta={RL_BETA}", f"train.batch_rows={RL_PROMPTS}", f"train.row_tokens={RL_PROMPT + RL_SAMPLES * RL_ANSWER}",
                "optim.weight_decay=0"]
    if o.method == "dpo":
        return ["rl.method=dpo", f"train.batch_rows={PAIRS}", f"train.row_tokens={2 * (PAIR_PROMPT + o.pair_answer)}",
                "optim.weight_decay=0"]
    return [f"train.batch_rows={BATCH}", f"train.row_tokens={PROMPT + ANSWER}"]


def ours(o, lora, folder):
    run = os.path.join(folder, "run")
    subprocess.run(["rm", "-rf", run])
    keys = [f"run.dir={run}", f"model.init={folder}/model", f"data.train={folder}/rows.jsonl", "data.shuffle=false",
            f"train.steps={o.steps}", f"train.dtype={o.dtype}", f"train.threads={o.threads}", f"optim.lr={RATE[o.method]}",
            "optim.schedule=constant", "train.checkpoint_every=0"]
    keys += [f"lora.rank={rank_of(o)}"] if lora else []
    keys += keys_of_method(o)
    verb = "sft" if o.method == "sft" else "rlhf"
    before = busy_of_children()
    done = subprocess.run([o.aerie, verb, *keys], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"aerie {verb}: status {done.returncode}: {done.stderr}")
    lines = [json.loads(line) for line in open(f"{run}/metrics.jsonl")]
    return {"step_s": statistics.median(x["step_s"] for x in lines[WARM_UP[o.method]:]), "loss": lines[0]["loss"],
            "reward": lines[0].get("reward_mean", 0), "kl": lines[0].get("kl", 0),
            "busy_s": (busy_of_children() - before) / o.steps,
            "last": lines[o.steps - 1]["loss"], "peak": max(x["peak_rss_bytes"] for x in lines)}


# ---- in turn ----

def ask_theirs(o, lora, folder):
    command = [sys.executable, __file__, o.aerie, "--theirs", "--model", f"{folder}/model", "--rows",
               f"{folder}/rows.jsonl", "--output", f"{folder}/theirs", "--steps", str(o.steps), "--threads",
               str(o.threads), "--dtype", o.dtype, "--method", o.method] + (["--lora"] if lora else [])
    done = subprocess.run(command, capture_output=True, text=True,
                          env={**os.environ, "OMP_NUM_THREADS": str(o.threads), "TOKENIZERS_PARALLELISM": "false"})
    if done.returncode != 0:
        sys.exit(f"trl: status {done.returncode}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def check_losses(o, a, t):
    if o.method == "rloo":
        if abs(a["reward"] - t["reward"]) > 0.05:
            sys.exit(f"the first mean rewards differ: {a['reward']} here, {t['reward']} there")
        if max(abs(a["kl"]), abs(t["kl"])) > 1e-3:
            sys.exit(f"the first divergence is not 0: {a['kl']} here, {t['kl']} there")
        return
    if abs(a["loss"] - t["loss"]) > 1e-4 * t["loss"]:
        sys.exit(f"the first losses differ: {a['loss']} here, {t['loss']} there")
    if o.method == "dpo" and abs(a["last"] - t["last"]) > 0.01 * (t["loss"] - t["last"]):
        sys.exit(f"the last losses differ: {a['last']} here, {t['last']} there")


def compare(o, lora, folder):
    ratios, busy, memory = [], [], []
    name = f"{o.method}, " + (f"adapters of rank {rank_of(o)}" if lora else "all parameters")
    work, unit, shown = {"sft": (BATCH * ANSWER, "answer tokens", "loss"), "dpo": (PAIRS, "pairs", "last"),
                         "rloo": (RL_PROMPTS * RL_SAMPLES * RL_ANSWER, "answer tokens", "reward")}[o.method]
    for i in range(o.rounds):
        a, t = ours(o, lora, folder), ask_theirs(o, lora, folder)
        check_losses(o, a, t)
        ratios.append(t["step_s"] / a["step_s"])
        busy.append(t["busy_s"] / a["busy_s"])
        memory.append(a["peak"] / t["peak"])
        print(f"{name}, {o.dtype}, round {i + 1}: {a['step_s']:.3g} and {t['step_s']:.3g} s a step "
              f"({a['busy_s']:.3g} and {t['busy_s']:.3g} of the processor), "
              f"{work / a['step_s']:.4g} and {work / t['step_s']:.4g} {unit}/s "
              f"({ratios[-1]:.2f} x), {a['peak'] / 1e6:.0f} and {t['peak'] / 1e6:.0f} MB "
              f"({memory[-1]:.2f} x), {shown} {a[shown]:.5f} and {t[shown]:.5f}", flush=True)
    print(f"{name}, {o.dtype}: {statistics.median(ratios):.2f} x the speed, 1/{statistics.median(busy):.2f} of the "
          f"processor's time, {statistics.median(memory):.2f} x the memory (medians)", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("aerie")
    p.add_argument("--method", choices=["sft", "dpo", "rloo"], default="sft")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--steps", type=int, default=7)
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    p.add_argument("--pair-answer", type=int, default=32, help="dpo: tokens of an answer (default 32), after 32 of a prompt")
    for flag in ["--theirs", "--lora", "--rewards"]:
        p.add_argument(flag, action="store_true", help=argparse.SUPPRESS)
    for flag in ["--model", "--rows", "--output"]:
        p.add_argument(flag, help=argparse.SUPPRESS)
    o = p.parse_args()
    if o.rewards:
        return give_rewards()
    if o.theirs:
        return theirs(o)
    with tempfile.TemporaryDirectory() as folder:
        make_model(f"{folder}/model", PAIR_SHAPE if o.method == "dpo" else SHAPE)
        if o.method == "dpo":
            write_pairs(f"{folder}/rows.jsonl", o.pair_answer)
        elif o.method == "rloo":
            write_prompts(f"{folder}/rows.jsonl", RL_PROMPTS * o.steps)
        else:
            write_rows(f"{folder}/rows.jsonl", BATCH * o.steps)
        for lora in [False, True]:
            compare(o, lora, folder)


if __name__ == "__main__":
    main()
