#!/usr/bin/env python3
"""Holds aerie against RecurrentGemmaForCausalLM and GemmaForCausalLM of transformers, in both directions.

usage: check-transformers.py AERIE [FIXTURES]

Needs torch, transformers, jinja2, safetensors, sentencepiece and protobuf. Exported tokenizers of several kinds must give the same
ids there. The chat template that `aerie export` writes must render dialogues as
docs/interfaces.md says. Folders that transformers saved with random weights (F32 and BF16, one file and sharded) must score and
continue here as there; so must, there, folders that `aerie export` wrote. Documents are no longer than the window, where the two
agree by definition; Gemma has none. Prints one line a case and "passed"; exit status 1 when something differs.
"""
import json
import os
import random
import subprocess
import sys
import tempfile

import jinja2
import sentencepiece
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GemmaConfig, RecurrentGemmaConfig
from transformers.utils.chat_template_utils import render_jinja_template

LIMIT = 2e-4  # on log-probabilities
WINDOW, PROMPT, ANSWER = 64, 12, 40
LONGEST = 300  # of documents that Gemma reads

SHAPES = {
    "usual": {},
    "wide recurrence": {"lru_width": 96, "num_key_value_heads": 2, "conv1d_width": 3},
    "all key heads": {"num_key_value_heads": 4, "block_types": ["attention", "recurrent"], "logits_soft_cap": 12.0},
    "rope": {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0, "partial_rotary_factor": 1.0}},
    "only recurrence": {"block_types": ["recurrent"]},
    "only attention": {"block_types": ["attention"]},
}
GEMMA_SHAPES = {
    "Gemma": {},
    "Gemma, two key heads": {"num_key_value_heads": 2, "head_dim": 32},
    "Gemma, all key heads": {"num_key_value_heads": 4, "rope_parameters": {"rope_type": "default", "rope_theta": 500.0}},
    "Gemma, a width without a root": {"hidden_size": 48, "num_attention_heads": 3},
}


def run(*arguments, lines=None):
    text = None if lines is None else "".join(json.dumps(line) + "\n" for line in lines)
    done = subprocess.run(arguments, input=text, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(arguments)}: status {done.returncode}: {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def make_model(seed, gemma=False, **changes):
    torch.manual_seed(seed)
    sizes = dict(vocab_size=500, hidden_size=64, intermediate_size=192, num_attention_heads=4, num_key_value_heads=1,
                 num_hidden_layers=5, **({"head_dim": 16} if gemma else {"attention_window_size": WINDOW}))
    config = (GemmaConfig if gemma else RecurrentGemmaConfig)(**{**sizes, **changes})
    model = AutoModelForCausalLM.from_config(config).float().eval()
    with torch.no_grad():  # initial values are too tame: biases and norms of 0 would hide a swap
        for name, p in model.named_parameters():
            if p.dim() == 1 or name.endswith("bias") or "norm" in name:
                p.add_(0.2 * torch.randn_like(p))
            elif "embed" in name or "lm_head" in name:
                p.copy_(torch.randn_like(p) / p.shape[-1] ** 0.5)
            else:
                p.add_(0.5 * torch.randn_like(p) / p.shape[-1] ** 0.5)
    return model


def documents(vocabulary, window):
    generator = torch.Generator().manual_seed(1)
    lengths = [2, 3, 5, window // 2, window - 1, window]
    return [torch.randint(3, vocabulary, (n,), generator=generator).tolist() for n in lengths if n >= 2]


def logits_of(model, tokens):
    with torch.no_grad():
        return model(torch.tensor([tokens]), use_cache=False).logits[0].double()


def is_greedy(model, prompt, answer):
    """Whether each token of the answer is the likeliest behind all before it: then it is the greedy continuation."""
    best = logits_of(model, prompt + answer).argmax(-1).tolist()
    return best[len(prompt) - 1:-1] == answer


def compare(aerie, folder, model, what):
    """The largest difference of a log-probability; continuations must be equal."""
    config, worst = model.config, 0.0
    window = getattr(config, "attention_window_size", LONGEST)
    texts = documents(config.vocab_size, window)
    answers = run(aerie, "score", "--model", folder, "--input", "-", "--quiet", lines=[{"tokens": t} for t in texts])
    for tokens, answer in zip(texts, answers, strict=True):
        logprobs = logits_of(model, tokens).log_softmax(-1)[:-1].gather(1, torch.tensor(tokens[1:])[:, None])[:, 0]
        worst = max(worst, (logprobs - torch.tensor(answer["logprobs"]).double()).abs().max().item())
    prompt_tokens = min(PROMPT, window // 2)
    count = min(ANSWER, window - prompt_tokens)
    prompts = [t[:prompt_tokens] for t in texts if len(t) >= prompt_tokens]
    answers = run(aerie, "generate", "--model", folder, "--input", "-", "--quiet", "--temperature", "0", "--ignore-eos",
                  "--max-new", str(count), lines=[{"tokens": p} for p in prompts])
    same = all(len(a["tokens"]) == count and is_greedy(model, p, a["tokens"])
               for p, a in zip(prompts, answers, strict=True))
    good = worst <= LIMIT and same
    print(f"{'ok  ' if good else 'FAIL'} {what}: log-probabilities within {worst:.1e}, "
          f"{len(prompts)} continuations of {count} tokens {'equal' if same else 'DIFFER'}", flush=True)
    return good


def load(folder, dtype):
    """In float32; embeddings are scaled in the type that the folder has, as they would be in a model of that type."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    if hasattr(model.model.embed_tokens, "embed_scale"):
        scale = model.model.embed_tokens.embed_scale
        scale.copy_(scale.to(dtype))
    return model


def check_import(aerie, work):
    good = True
    shapes = [(name, False, changes) for name, changes in SHAPES.items()]
    shapes += [(name, True, changes) for name, changes in GEMMA_SHAPES.items()]
    for seed, (name, gemma, changes) in enumerate(shapes):
        model = make_model(seed, gemma, **changes)
        for dtype in ("float32", "bfloat16"):
            for shard in ("5GB", "100KB"):
                folder = os.path.join(work, f"{seed}-{dtype}-{shard}")
                model.to(getattr(torch, dtype)).save_pretrained(folder, max_shard_size=shard)
                sharded = os.path.exists(os.path.join(folder, "model.safetensors.index.json"))
                assert sharded == (shard != "5GB"), folder
                loaded = load(folder, getattr(torch, dtype))
                good &= compare(aerie, folder, loaded, f"import, {name}, {dtype}, {'shards' if sharded else 'one file'}")
    return good


def check_export(aerie, source, name, work):
    good = True
    for dtype in ("f32", "bf16"):
        for shard in ("0", "50k"):
            folder = os.path.join(work, f"out-{name}-{dtype}-{shard}")
            run(aerie, "export", "--model", source, "--output", folder, "--dtype", dtype, "--shard-bytes", shard, "--quiet")
            model, info = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
            faults = [k for k in ("missing_keys", "unexpected_keys", "mismatched_keys") if info[k]]
            if faults:
                print(f"FAIL export, {name}: {', '.join(f'{k}: {info[k]}' for k in faults)}")
                good = False
            good &= compare(aerie, folder, model.eval(), f"export, {name}, {dtype}, {'one file' if shard == '0' else 'shards'}")
    return good


DIALOGUES = {  # messages, whether an answer is asked for, and what they are to a model
    "one question": (
        [("user", "Who sees the owl?")], True,
        "<bos><start_of_turn>user\nWho sees the owl?<end_of_turn>\n<start_of_turn>model\n"),
    "question, answer, question": (
        [("user", " Spaces  stay "), ("assistant", "They\n\ndo."), ("user", "{{ 'as text' }}")], True,
        "<bos><start_of_turn>user\n Spaces  stay <end_of_turn>\n<start_of_turn>model\nThey\n\ndo.<end_of_turn>\n"
        "<start_of_turn>user\n{{ 'as text' }}<end_of_turn>\n<start_of_turn>model\n"),
    "a system message, answered": (
        [("system", "Be terse."), ("user", "Grüße?"), ("assistant", "Ja.")], False,
        "<bos><start_of_turn>user\nBe terse.\n\nGrüße?<end_of_turn>\n<start_of_turn>model\nJa.<end_of_turn>\n"),
}
REFUSED = [[("assistant", "first")], [("user", "a"), ("user", "b")], [("user", "a"), ("system", "b")], [("user", "a"), ("tool", "b")]]


def messages_of(turns):
    return [{"role": role, "content": text} for role, text in turns]


def render(config, turns, asks):
    """As apply_chat_template does it, which needs a tokenizer to have been loaded."""
    names = {k: config[k] for k in ("bos_token", "eos_token", "pad_token", "unk_token")}
    texts, _ = render_jinja_template([messages_of(turns)], chat_template=config["chat_template"],
                                     add_generation_prompt=asks, **names)
    return texts[0]


def is_refused(config, turns):
    try:
        render(config, turns, True)
    except jinja2.exceptions.TemplateError:
        return True
    return False


def check_template(aerie, work):
    text, source, folder = (os.path.join(work, name) for name in ("text", "with-tokenizer", "chat"))
    with open(text, "w") as f:
        f.writelines(f"The {i}th owl sees {i * 7 % 31} mice and takes {i % 5}.\n" for i in range(400))
    make_model(0).save_pretrained(source)
    for arguments in (["tokenizer", "train", "--input", text, "--output", os.path.join(source, "tokenizer.model"),
                       "--vocab-size", "300"], ["export", "--model", source, "--output", folder, "--quiet"]):
        subprocess.run([aerie, *arguments], check=True, capture_output=True)
    with open(os.path.join(folder, "tokenizer_config.json")) as f:
        config = json.load(f)
    good = True
    for name, (turns, asks, want) in DIALOGUES.items():
        same = render(config, turns, asks) == want
        print(f"{'ok  ' if same else 'FAIL'} chat template, {name}")
        good &= same
    refused = all(is_refused(config, turns) for turns in REFUSED)
    print(f"{'ok  ' if refused else 'FAIL'} chat template, turns out of order are refused")
    return good and refused


GEMMA = dict(pad_id=0, eos_id=1, bos_id=2, unk_id=3, pad_piece="<pad>", eos_piece="<eos>", bos_piece="<bos>", byte_fallback=True,
             add_dummy_prefix=False, remove_extra_whitespaces=False, normalization_rule_name="identity", split_digits=True, vocab_size=600)
SYMBOLS = ["<start_of_turn>", "<end_of_turn>", "\n", "\n\n", *("\u2581" * i for i in range(2, 6)), "<td>", "New\u2581York"]
TOKENIZERS = {  # how sentencepiece is asked for them
    "BPE": dict(GEMMA, model_type="bpe"),
    "unigram": dict(GEMMA, model_type="unigram"),
    "sentencepiece's defaults": dict(vocab_size=300),
    "sentencepiece's defaults, BPE": dict(vocab_size=300, model_type="bpe"),
    "user-defined symbols, BPE": dict(GEMMA, model_type="bpe", user_defined_symbols=SYMBOLS),
    "user-defined symbols, unigram": dict(GEMMA, model_type="unigram", user_defined_symbols=SYMBOLS),
    "words across spaces": dict(GEMMA, model_type="unigram", split_by_whitespace=False),
}
LINES = ["", "The 12th owl sees 3 mice.", "  two  spaces ", "x\ty", "caf\u00e9 12345", "\U0001F600 hi", "NEW LINE", "<td>New York</td> <0x41>",
         "\u65e5\u672c\u8a9e", "\u00a0\u3000wide", "a" * 300]


def check_tokenizer(aerie, name, options, work):
    """Ids of an exported tokenizer in transformers, line by line, and what each decodes to."""
    folder = os.path.join(work, f"tokenizer-{len(os.listdir(work))}")
    source, text = os.path.join(folder, "source"), os.path.join(folder, "text")
    sentences = [f"The {i}th owl of New York sees {i * 7 % 31} mice and takes {i % 5}; {i * i} more hide." for i in range(400)]
    make_model(0, vocab_size=600).save_pretrained(source)
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(sentences), model_prefix=os.path.join(folder, "m"),
                                             hard_vocab_limit=False, minloglevel=5, **options)
    os.rename(os.path.join(folder, "m.model"), os.path.join(source, "tokenizer.model"))
    subprocess.run([aerie, "export", "--model", source, "--output", os.path.join(folder, "out"), "--quiet"], check=True,
                   capture_output=True)
    rng = random.Random(1)
    words = " ".join(sentences)
    lines = LINES + [words[k:k + rng.randrange(1, 80)] for k in (rng.randrange(len(words)) for _ in range(300))]
    lines += ["".join(rng.choice("ab.,'0 -\u00e9\U0001F600<>x") for _ in range(rng.randrange(1, 25))) for _ in range(300)]
    with open(text, "w") as f:
        f.write("".join(line + "\n" for line in lines))
    done = subprocess.run([aerie, "tokenizer", "encode", "--tokenizer", os.path.join(source, "tokenizer.model"), "--input", text],
                          capture_output=True, text=True, check=True)
    theirs = AutoTokenizer.from_pretrained(os.path.join(folder, "out"))
    ours = [[int(i) for i in line.split()] for line in done.stdout.split("\n")[:-1]]
    differ = sum(ids != theirs(line, add_special_tokens=False)["input_ids"] for line, ids in zip(lines, ours, strict=True))
    print(f"{'FAIL' if differ else 'ok  '} tokenizer, {name}: {len(lines)} lines, {differ} differ")
    return differ == 0


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    aerie = os.path.abspath(sys.argv[1])
    torch.set_num_threads(1)  # the models are tiny
    fixtures = sys.argv[2] if len(sys.argv) > 2 else os.path.join(os.path.dirname(__file__), "..", "tests", "fixtures")
    with tempfile.TemporaryDirectory() as work:
        good = check_template(aerie, work)
        for name, options in TOKENIZERS.items():
            good &= check_tokenizer(aerie, name, options, work)
        good &= check_import(aerie, work)
        for name in ("tiny", "window", "hawk", "attention", "gemma"):
            good &= check_export(aerie, os.path.join(fixtures, name), name, work)
    print("passed" if good else "failed")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
