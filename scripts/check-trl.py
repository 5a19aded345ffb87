#!/usr/bin/env python3
"""Supervised tuning of aerie beside SFTTrainer of trl: the same weights, the same rows, in turn.

usage: check-trl.py AERIE [--rounds N] [--steps N] [--threads N] [--dtype f32|bf16]

Needs torch, transformers, trl, peft and datasets. All rows have one length, so that nothing is padded: the
recurrence of transformers would take padding on the left for text. The soft cap of the logits is so wide that it
changes nothing: the loss of trl 1.16 leaves it out (at 30, a first loss of 9.5137 where the model's own is 9.5094). Half of each row is an answer. The first loss
of both must agree to the digits that trl logs. Prints for all parameters, and for adapters of rank 16 beside every projection, the
answer tokens per second (medians over the steps behind the first two) and the peak memory of both, with their
ratios, and the medians of the rounds.
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
PROJECTIONS = ["linear_x", "linear_y", "linear_out", "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj",
               "down_proj"]
WARM_UP = 2


def write_rows(path, n):
    draw = random.Random(1)
    with open(path, "w") as f:
        for _ in range(n):
            tokens = [2] + [draw.randrange(3, SHAPE["vocab_size"]) for _ in range(PROMPT + ANSWER - 1)]
            f.write(json.dumps({"tokens": tokens, "loss_mask": [0] * PROMPT + [1] * ANSWER}) + "\n")


# ---- theirs, in a process of its own ----

def make_model(folder):
    import torch
    from transformers import RecurrentGemmaConfig, RecurrentGemmaForCausalLM
    torch.manual_seed(0)
    RecurrentGemmaForCausalLM(RecurrentGemmaConfig(**SHAPE)).float().save_pretrained(folder)


def trainer_of(o, rows, clock):
    import datasets
    import peft
    import tokenizers
    import torch
    import transformers
    import trl
    torch.set_num_threads(o.threads)
    model = transformers.RecurrentGemmaForCausalLM.from_pretrained(o.model, dtype=torch.float32)
    model.config.use_cache = False
    pieces = {"<pad>": 0, "<eos>": 1, "<bos>": 2, "<unk>": 3}
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel(pieces, unk_token="<unk>"))
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<eos>")
    lora = peft.LoraConfig(r=RANK, lora_alpha=32, target_modules=PROJECTIONS, task_type="CAUSAL_LM")
    args = trl.SFTConfig(output_dir=o.output, per_device_train_batch_size=BATCH, max_steps=o.steps, use_cpu=True,
                         bf16=o.dtype == "bf16", packing=False, max_length=None, learning_rate=1e-4, logging_steps=1,
                         lr_scheduler_type="constant", weight_decay=0.1, report_to="none", save_strategy="no",
                         gradient_checkpointing=False, completion_only_loss=True, disable_tqdm=True,
                         dataset_kwargs={"skip_prepare_dataset": True}, dataloader_pin_memory=False,
                         remove_unused_columns=False, train_sampling_strategy="sequential")
    data = datasets.Dataset.from_list([{"input_ids": r["tokens"], "labels": [
        t if counts else -100 for t, counts in zip(r["tokens"], r["loss_mask"])]} for r in rows])
    return trl.SFTTrainer(model=model, args=args, train_dataset=data, processing_class=tokenizer,
                          callbacks=[clock], peft_config=lora if o.lora else None)


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
    print(json.dumps({"step_s": statistics.median(steps), "loss": clock.losses[0],
                      "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


# ---- ours ----

def ours(o, lora, folder):
    run = os.path.join(folder, "run")
    subprocess.run(["rm", "-rf", run])
    keys = [f"run.dir={run}", f"model.init={folder}/model", f"data.train={folder}/rows.jsonl", "data.shuffle=false",
            "train.row_tokens=256", f"train.batch_rows={BATCH}", f"train.steps={o.steps}", f"train.dtype={o.dtype}",
            f"train.threads={o.threads}", "optim.lr=1e-4", "optim.schedule=constant", "train.checkpoint_every=0"]
    keys += [f"lora.rank={RANK}"] if lora else []
    done = subprocess.run([o.aerie, "sft", *keys], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"aerie sft: status {done.returncode}: {done.stderr}")
    lines = [json.loads(line) for line in open(f"{run}/metrics.jsonl")]
    return {"step_s": statistics.median(x["step_s"] for x in lines[WARM_UP:]), "loss": lines[0]["loss"],
            "peak": max(x["peak_rss_bytes"] for x in lines)}


# ---- in turn ----

def ask_theirs(o, lora, folder):
    command = [sys.executable, __file__, o.aerie, "--theirs", "--model", f"{folder}/model", "--rows",
               f"{folder}/rows.jsonl", "--output", f"{folder}/theirs", "--steps", str(o.steps), "--threads",
               str(o.threads), "--dtype", o.dtype] + (["--lora"] if lora else [])
    done = subprocess.run(command, capture_output=True, text=True,
                          env={**os.environ, "OMP_NUM_THREADS": str(o.threads), "TOKENIZERS_PARALLELISM": "false"})
    if done.returncode != 0:
        sys.exit(f"trl: status {done.returncode}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def compare(o, lora, folder):
    ratios, memory = [], []
    name = f"adapters of rank {RANK}" if lora else "all parameters"
    for i in range(o.rounds):
        a, t = ours(o, lora, folder), ask_theirs(o, lora, folder)
        if abs(a["loss"] - t["loss"]) > 1e-4 * t["loss"]:
            sys.exit(f"the first losses differ: {a['loss']} here, {t['loss']} there")
        ratios.append(t["step_s"] / a["step_s"])
        memory.append(a["peak"] / t["peak"])
        tokens = BATCH * ANSWER
        print(f"{name}, {o.dtype}, round {i + 1}: {tokens / a['step_s']:.0f} and {tokens / t['step_s']:.0f} answer "
              f"tokens/s ({ratios[-1]:.2f} x), {a['peak'] / 1e6:.0f} and {t['peak'] / 1e6:.0f} MB "
              f"({memory[-1]:.2f} x), losses {a['loss']:.5f} and {t['loss']:.5f}", flush=True)
    print(f"{name}, {o.dtype}: {statistics.median(ratios):.2f} x the speed, {statistics.median(memory):.2f} x the "
          f"memory (medians)", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("aerie")
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
        make_model(f"{folder}/model")
        write_rows(f"{folder}/rows.jsonl", BATCH * o.steps)
        for lora in [False, True]:
            compare(o, lora, folder)


if __name__ == "__main__":
    main()
