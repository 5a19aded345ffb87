#!/usr/bin/env python3
"""Holds the adapters of aerie against PEFT, in both directions.

usage: check-peft.py AERIE

Needs what check-transformers.py needs, and peft. Adapters that PEFT saved (with random values) must give the same log-probabilities here
beside their base, and so must their merged exports in transformers. Adapters that `aerie sft` trained and `aerie export --peft` wrote must
give them there. What PEFT can do and aerie cannot must be refused. Documents are no longer than the window, where the two agree by
definition. Prints one line a case and "passed"; exit status 1 when something differs.
"""
import importlib.machinery
import importlib.util
import json
import os
import subprocess
import sys
import tempfile

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import RecurrentGemmaForCausalLM

loader = importlib.machinery.SourceFileLoader(
    "check_transformers", os.path.join(os.path.dirname(os.path.abspath(__file__)), "check-transformers.py"))
common = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
loader.exec_module(common)

IMPORTS = {  # how PEFT is asked for them
    "two projections": dict(r=4, lora_alpha=9, target_modules=["q_proj", "linear_x"]),
    "all linear maps, by root": dict(r=3, lora_alpha=5, target_modules="all-linear", use_rslora=True),
    "a regular expression": dict(r=2, target_modules=r".*\.[02]\.(mlp_block\.up_proj|temporal_block\..*_proj)"),
    "some layers": dict(r=2, target_modules=["down_proj", "gate_proj"], layers_to_transform=[0, 3]),
    "but for some": dict(r=2, target_modules=["down_proj", "linear_out"], exclude_modules=["down_proj"]),
    "with modules": dict(r=5, target_modules=["v_proj", "linear_y"],
                         modules_to_save=["rg_lru", "conv_1d", "temporal_pre_norm", "final_norm"]),
    "with one module": dict(r=1, target_modules=["o_proj"], modules_to_save=["model.layers.1.channel_pre_norm"]),
}
REFUSED = {  # and what the message names
    "use_dora": dict(r=2, target_modules=["q_proj"], use_dora=True),
    "bias": dict(r=2, target_modules=["q_proj"], bias="all"),
    "rank_pattern": dict(r=2, target_modules=["q_proj", "k_proj"], rank_pattern={"k_proj": 3}),
    "alpha_pattern": dict(r=2, target_modules=["q_proj", "k_proj"], alpha_pattern={"k_proj": 3}),
    "embed_tokens": dict(r=2, target_modules=["q_proj", "embed_tokens"]),
    "modules_to_save": dict(r=2, target_modules=["q_proj"], modules_to_save=["embed_tokens"]),
    "conv_1d": dict(r=64, target_modules=["linear_x", "conv_1d"]),
    "lora_bias": dict(r=2, target_modules=["o_proj"], lora_bias=True),
}
TRAINED = {  # keys of aerie sft
    "every projection": ["lora.rank=4", "lora.alpha=6"],
    "two projections, by root": ["lora.rank=3", "lora.alpha=2.5", "lora.rslora=true", "lora.targets=q_proj,linear_x"],
    "with modules": ["lora.rank=2", "lora.also=conv,gates,recurrent,norms"],
}


def make_base(folder, seed=0):
    model = common.make_model(seed)
    model.save_pretrained(folder)
    return model


def make_adapter(base, folder, seed, options):
    """Random values in all that would have trained."""
    torch.manual_seed(seed)
    model = RecurrentGemmaForCausalLM.from_pretrained(base, dtype=torch.float32)
    adapted = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **options))
    with torch.no_grad():
        for p in adapted.parameters():
            if p.requires_grad:
                p.add_(0.3 * torch.randn_like(p) / max(1, p.shape[-1]) ** 0.5)
    adapted.save_pretrained(folder)
    return adapted.eval()


def logprobs_here(aerie, texts, *flags):
    answers = common.run(aerie, "score", "--input", "-", "--quiet", *flags, lines=[{"tokens": t} for t in texts])
    return [torch.tensor(a["logprobs"]).double() for a in answers]


def logprobs_there(model, texts):
    return [common.logits_of(model, t).log_softmax(-1)[:-1].gather(1, torch.tensor(t[1:])[:, None])[:, 0] for t in texts]


def furthest(a, b):
    return max((x - y).abs().max().item() for x, y in zip(a, b, strict=True))


def tell(good, what, **distances):
    print(f"{'ok  ' if good else 'FAIL'} {what}: " + ", ".join(f"{k.replace('_', ' ')} {v:.1e}" for k, v in distances.items()), flush=True)
    return good


def check_import(aerie, base, texts, work):
    good, plain = True, logprobs_here(aerie, texts, "--model", base)
    for seed, (name, options) in enumerate(IMPORTS.items()):
        folder, merged, again = (os.path.join(work, f"{kind}-{seed}") for kind in ("peft", "merged", "again"))
        theirs = logprobs_there(make_adapter(base, folder, seed, options), texts)
        ours = logprobs_here(aerie, texts, "--model", base, "--adapter", folder)
        common.run(aerie, "export", "--model", base, "--adapter", folder, "--output", merged, "--quiet")
        exported = RecurrentGemmaForCausalLM.from_pretrained(merged, dtype=torch.float32).eval()
        common.run(aerie, "export", "--model", base, "--adapter", folder, "--peft", "--output", again, "--quiet")
        back = PeftModel.from_pretrained(RecurrentGemmaForCausalLM.from_pretrained(base, dtype=torch.float32), again).eval()
        d = dict(here=furthest(ours, theirs), merged=furthest(logprobs_there(exported, texts), theirs),
                 and_back=furthest(logprobs_there(back, texts), theirs), from_the_base=furthest(plain, theirs))
        right = max(d["here"], d["merged"], d["and_back"]) <= common.LIMIT and d["from_the_base"] > 100 * common.LIMIT
        good &= tell(right, f"from PEFT, {name}", **d)
    return good


def check_refusals(aerie, base, work):
    good = True
    for seed, (name, options) in enumerate(REFUSED.items()):
        folder = os.path.join(work, f"refused-{seed}")
        make_adapter(base, folder, seed, options)
        done = subprocess.run([aerie, "score", "--model", base, "--adapter", folder, "--quiet"], input="{\"tokens\": [2, 3]}\n",
                              capture_output=True, text=True)
        refused = done.returncode == 3 and name in done.stderr
        print(f"{'ok  ' if refused else 'FAIL'} from PEFT, {name} is refused{'' if refused else ': ' + done.stderr}")
        good &= refused
    return good


def check_cache(model, prompt, name):
    """Whether decoding there with a cache finds the adapter's modules as scoring does."""
    answers = [model.generate(input_ids=torch.tensor([prompt]), max_new_tokens=20, do_sample=False, use_cache=cached,
                              eos_token_id=None, pad_token_id=0)[0].tolist() for cached in (True, False)]
    same = answers[0] == answers[1]
    print(f"{'ok  ' if same else 'FAIL'} to PEFT, {name}: answers with and without a cache {'are equal' if same else 'DIFFER'}")
    return same


def check_export(aerie, base, texts, work):
    good, plain = True, logprobs_here(aerie, texts, "--model", base)
    examples = os.path.join(work, "examples.jsonl")
    with open(examples, "w") as f:
        for i in range(16):
            tokens = [2] + [3 + (i * 37 + k * 11) % 490 for k in range(20)]
            f.write(json.dumps({"tokens": tokens, "loss_mask": [0] * 5 + [1] * 16}) + "\n")
    for number, (name, keys) in enumerate(TRAINED.items()):
        run, folder = os.path.join(work, f"run-{number}"), os.path.join(work, f"written-{number}")
        common.run(aerie, "sft", f"run.dir={run}", f"model.init={base}", f"data.train={examples}", "train.row_tokens=64",
                   "train.batch_rows=2", "train.steps=12", "optim.lr=0.02", *keys)
        common.run(aerie, "export", "--model", run, "--peft", "--output", folder, "--quiet")
        ours = logprobs_here(aerie, texts, "--model", run)
        model = PeftModel.from_pretrained(RecurrentGemmaForCausalLM.from_pretrained(base, dtype=torch.float32), folder).eval()
        theirs = logprobs_there(model, texts)
        d = dict(there=furthest(theirs, ours), from_the_base=furthest(plain, ours))
        good &= tell(d["there"] <= common.LIMIT and d["from_the_base"] > 100 * common.LIMIT, f"to PEFT, {name}", **d)
        good &= check_cache(model, texts[2][:5], name)
    return good


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    aerie = os.path.abspath(sys.argv[1])
    torch.set_num_threads(1)  # the models are tiny
    with tempfile.TemporaryDirectory() as work:
        base = os.path.join(work, "base")
        config = make_base(base).config
        texts = common.documents(config.vocab_size, config.attention_window_size)
        good = check_import(aerie, base, texts, work)
        good &= check_refusals(aerie, base, work)
        good &= check_export(aerie, base, texts, work)
    print("passed" if good else "failed")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
