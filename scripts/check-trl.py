#!/usr/bin/env python3
"""Tuning of aerie beside SFTTrainer and DPOTrainer of trl: the same weights, the same rows, in turn.

usage: check-trl.py AERIE [--method sft|dpo] [--rounds N] [--steps N] [--threads N] [--dtype f32|bf16]

Needs torch, transformers, trl, peft and datasets. All rows have one length, so that nothing is padded: the
recurrence of transformers would take padding on the left for text. The soft cap of the logits is so wide that it
changes nothing: the loss of trl 1.16 leaves it out (at 30, a first loss of 9.5137 where the model's own is 9.5094). Half of each row is an answer. The first loss
of both must agree to the digits that trl logs. Prints for all parameters, and for adapters of rank 16 beside every projection, the
answer tokens per second (medians over the steps behind the first two) and the peak memory of both, with their
ratios, and the medians of the rounds.

DPO has 256000 pieces and a small body, and takes the same pairs in every step, so that losses fall: those of the last
step must agree to a hundredth of what they fell by. Both score the reference once before the first step
(precompute_ref_log_probs), which is not timed. Prints pairs per second.
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
PAIR_PROMPT, PAIR_ANSWER, PAIRS = 32, 32, 4
PROJECTIONS = ["linear_x", "linear_y", "linear_out", "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj",
               "down_proj"]
RATE = {"sft": 1e-4, "dpo": 1e-5}
WARM_UP = 2


def write_rows(path, n):
    draw = random.Random(1)
    with open(path, "w") as f:
        for _ in range(n):
            tokens = [2] + [draw.randrange(3, SHAPE["vocab_size"]) for _ in range(PROMPT + ANSWER - 1)]
            f.write(json.dumps({"tokens": tokens, "loss_mask": [0] * PROMPT + [1] * ANSWER}) + "\n")


def write_pairs(path):
    draw = random.Random(1)

    def ids(n):
        return [draw.randrange(3, PAIR_SHAPE["vocab_size"]) for _ in range(n)]

    with open(path, "w") as f:
        for _ in range(PAIRS):
            f.write(json.dumps({"prompt_tokens": [2] + ids(PAIR_PROMPT - 1), "chosen_tokens": ids(PAIR_ANSWER),
                                "rejected_tokens": ids(PAIR_ANSWER)}) + "\n")


# ---- theirs, in a process of its own ----

def make_model(folder, shape):
    import torch
    from transformers import RecurrentGemmaConfig, RecurrentGemmaForCausalLM
    torch.manual_seed(0)
    RecurrentGemmaForCausalLM(RecurrentGemmaConfig(**shape)).float().save_pretrained(folder)


def arguments_of(o):
    """What both trainers are told alike."""
    return dict(output_dir=o.output, max_steps=o.steps, use_cpu=True, bf16=o.dtype == "bf16", max_length=None,
                learning_rate=RATE[o.method], logging_steps=1, lr_scheduler_type="constant", report_to="none", save_strategy="no",
                gradient_checkpointing=False, disable_tqdm=True, dataloader_pin_memory=False, remove_unused_columns=False,
                train_sampling_strategy="sequential")


def sft_trainer(o, rows, common):
    import datasets
    import trl
    args = trl.SFTConfig(per_device_train_batch_size=BATCH, packing=False, weight_decay=0.1, completion_only_loss=True,
                         dataset_kwargs={"skip_prepare_dataset": True}, **arguments_of(o))
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
                         precompute_ref_log_probs=True, precompute_ref_batch_size=PAIRS, **arguments_of(o))
    data = datasets.Dataset.from_list([{"prompt_ids": r["prompt_tokens"], "chosen_ids": r["chosen_tokens"],
                                        "rejected_ids": r["rejected_tokens"]} for r in rows] * o.steps)
    return Trainer(args=args, train_dataset=data, **common)


def trainer_of(o, rows, clock):
    import peft
    import tokenizers
    import torch
    import transformers
    torch.set_num_threads(o.threads)
    model = transformers.RecurrentGemmaForCausalLM.from_pretrained(o.model, dtype=torch.float32)
    model.config.use_cache = False
    pieces = {"<pad>": 0, "<eos>": 1, "<bos>": 2, "<unk>": 3}
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel(pieces, unk_token="<unk>"))
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<eos>")
    lora = peft.LoraConfig(r=RANK, lora_alpha=32, target_modules=PROJECTIONS, task_type="CAUSAL_LM")
    common = dict(model=model, processing_class=tokenizer, callbacks=[clock], peft_config=lora if o.lora else None)
    return (dpo_trainer if o.method == "dpo" else sft_trainer)(o, rows, common)


def theirs(o):
    import time

    import transformers

    class Clock(transformers.TrainerCallback):
        ends, losses = [], []

        def on_step_end(self, args, state, control, **kw):
            self.ends.append(time.time())

        def on_log(self, args, state, control, logs=None, **kw):
            if "loss" in logs:
                self.losses.append(float(logs["loss"]))

    clock = Clock()
    rows = [json.loads(line) for line in open(o.rows)]
    trainer_of(o, rows, clock).train()
    steps = [b - a for a, b in zip(clock.ends[WARM_UP - 1:], clock.ends[WARM_UP:])]
    print(json.dumps({"step_s": statistics.median(steps), "loss": clock.losses[0], "last": clock.losses[o.steps - 1],
                      "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


# ---- ours ----

def ours(o, lora, folder):
    run = os.path.join(folder, "run")
    subprocess.run(["rm", "-rf", run])
    keys = [f"run.dir={run}", f"model.init={folder}/model", f"data.train={folder}/rows.jsonl", "data.shuffle=false",
            f"train.steps={o.steps}", f"train.dtype={o.dtype}", f"train.threads={o.threads}", f"optim.lr={RATE[o.method]}",
            "optim.schedule=constant", "train.checkpoint_every=0"]
    keys += [f"lora.rank={RANK}"] if lora else []
    keys += (["rl.method=dpo", f"train.batch_rows={PAIRS}", f"train.row_tokens={2 * (PAIR_PROMPT + PAIR_ANSWER)}",
              "optim.weight_decay=0"] if o.method == "dpo" else
             [f"train.batch_rows={BATCH}", f"train.row_tokens={PROMPT + ANSWER}"])
    verb = "rlhf" if o.method == "dpo" else "sft"
    done = subprocess.run([o.aerie, verb, *keys], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"aerie {verb}: status {done.returncode}: {done.stderr}")
    lines = [json.loads(line) for line in open(f"{run}/metrics.jsonl")]
    return {"step_s": statistics.median(x["step_s"] for x in lines[WARM_UP:]), "loss": lines[0]["loss"],
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
    if abs(a["loss"] - t["loss"]) > 1e-4 * t["loss"]:
        sys.exit(f"the first losses differ: {a['loss']} here, {t['loss']} there")
    if o.method == "dpo" and abs(a["last"] - t["last"]) > 0.01 * (t["loss"] - t["last"]):
        sys.exit(f"the last losses differ: {a['last']} here, {t['last']} there")


def compare(o, lora, folder):
    ratios, memory = [], []
    name = f"{o.method}, " + (f"adapters of rank {RANK}" if lora else "all parameters")
    work, unit, loss = (PAIRS, "pairs", "last") if o.method == "dpo" else (BATCH * ANSWER, "answer tokens", "loss")
    for i in range(o.rounds):
        a, t = ours(o, lora, folder), ask_theirs(o, lora, folder)
        check_losses(o, a, t)
        ratios.append(t["step_s"] / a["step_s"])
        memory.append(a["peak"] / t["peak"])
        print(f"{name}, {o.dtype}, round {i + 1}: {work / a['step_s']:.4g} and {work / t['step_s']:.4g} {unit}/s "
              f"({ratios[-1]:.2f} x), {a['peak'] / 1e6:.0f} and {t['peak'] / 1e6:.0f} MB "
              f"({memory[-1]:.2f} x), losses {a[loss]:.5f} and {t[loss]:.5f}", flush=True)
    print(f"{name}, {o.dtype}: {statistics.median(ratios):.2f} x the speed, {statistics.median(memory):.2f} x the "
          f"memory (medians)", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("aerie")
    p.add_argument("--method", choices=["sft", "dpo"], default="sft")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--steps", type=int, default=7)
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    for flag in ["--theirs", "--lora"]:
        p.add_argument(flag, action="store_true", help=argparse.SUPPRESS)
    for flag in ["--model", "--rows", "--output"]:
        p.add_argument(flag, help=argparse.SUPPRESS)
    o = p.parse_args()
    if o.theirs:
        return theirs(o)
    with tempfile.TemporaryDirectory() as folder:
        make_model(f"{folder}/model", PAIR_SHAPE if o.method == "dpo" else SHAPE)
        if o.method == "dpo":
            write_pairs(f"{folder}/rows.jsonl")
        else:
            write_rows(f"{folder}/rows.jsonl", BATCH * o.steps)
        for lora in [False, True]:
            compare(o, lora, folder)


if __name__ == "__main__":
    main()
