#!/usr/bin/env python3
"""Holds `aerie eval` against lm-eval (EleutherAI's evaluation harness), row by row.

usage: check-lm-eval.py AERIE [--data FOLDER] [--tasks NAME,..] [--models NAME,..] [--rows N] [--keep FOLDER]
       check-lm-eval.py AERIE --speed [--rounds N] [--rows N]

Needs torch, transformers, lm_eval, sentencepiece and protobuf. Writes a few rows of each benchmark in the layout of its
Hugging Face copy, and makes small models: three that transformers saves with random weights and one that aerie trains.
Both programs read the same files; lm-eval reads them through its own task files and its backend `hf` in float32. A row
passes when both asked the same texts, log-likelihoods differ by 1e-4 nats or less, and answers, and what every metric
says of the document, are equal. A decision between two choices closer than that is a tie. Aggregates and standard
errors must agree too. --data adds real rows where the folder has them (gsm8k-test.jsonl, crows-pairs.csv, bbq*.jsonl.gz).
Prints a table; exit status 1 when something differs. With --speed: how long both take in turn, for rows as those of
HellaSwag (no examples) and MMLU (five) and a RecurrentGemma of 25 M parameters in float32.
"""
import argparse
import csv
import gzip
import importlib.util
import json
import logging
import math
import os
import random
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false", TQDM_DISABLE="1")
if "--speed" not in sys.argv:  # the models are small, and threads that wait take the processors of others
    os.environ["OMP_WAIT_POLICY"] = "passive"

import datasets  # noqa: E402
import torch  # noqa: E402
from lm_eval.evaluator import simple_evaluate  # noqa: E402
from lm_eval.loggers import EvaluationTracker  # noqa: E402
from lm_eval.models.huggingface import HFLM  # noqa: E402
from lm_eval.tasks import TaskManager  # noqa: E402
from lm_eval.utils import make_table  # noqa: E402
from transformers import RecurrentGemmaConfig, RecurrentGemmaForCausalLM  # noqa: E402

LIMIT = 1e-4  # nats
WINDOW = 8192  # beyond all prompts: transformers and aerie agree by definition only inside the window
SEED = 1234

# ---- rows, in the layouts of the copies that lm-eval reads ----

NOUNS = "owl river mouse teacher captain winter stone letter market garden lantern engine harbour sister doctor window".split()
VERBS = "sees follows paints forgets carries answers breaks finds sells waters counts moves".split()
TAILS = "quietly;in the morning;with a red hat;near the old bridge;for 12 coins;again and again;because of the rain;at 7 o’clock".split(";")


class Words:
    """Small talk, the same from one run to the next."""

    def __init__(self, name):
        self.r = random.Random(name)

    def pick(self, items):
        return self.r.choice(items)

    def clause(self):
        return f"the {self.pick(NOUNS)} {self.pick(VERBS)} the {self.pick(NOUNS)} {self.pick(TAILS)}"

    def sentence(self):
        clause = self.clause()
        return clause[0].upper() + clause[1:] + "."

    def question(self):
        return f"Who {self.pick(VERBS)} the {self.pick(NOUNS)} {self.pick(TAILS)}"

    def choices(self, n):
        return self.r.sample([f"{self.pick(['a', 'the'])} {noun}{tail}" for noun in NOUNS for tail in ("", " " + self.pick(TAILS))], n)


def lettered(w, letters):
    return {"text": w.choices(len(letters)), "label": letters}


def hellaswag(w):
    return {"activity_label": w.pick(["Baking cookies", "Playing [title] chess"]), "ctx_a": w.sentence(), "ctx_b": w.clause(),
            "endings": [w.clause() + w.pick(["", ". [header] Then [substeps] rest."]) for _ in range(4)], "label": str(w.r.randrange(4))}


def winogrande(w):
    a, b = w.r.sample(NOUNS, 2)
    return {"sentence": f"The {a} met the {b} and _ {w.pick(VERBS)} the {w.pick(NOUNS)} {w.pick(TAILS)}.", "option1": f"the {a}",
            "option2": f"the {b}", "answer": w.pick("12")}


def arc(w):
    letters = w.pick([list("ABCD"), list("1234"), list("ABC")])
    return {"question": w.question() + "?", "choices": lettered(w, letters), "answerKey": w.pick(letters)}


def multiple(w, key):
    return {key: w.question() + "?", "choices": lettered(w, list("ABCDE" if key == "question" else "ABCD")), "answerKey": w.pick("ABCD")}


def truthful(w):
    row = {"question": w.question() + "?"}
    for name, right in (("mc1_targets", 1), ("mc2_targets", 3)):
        row[name] = {"choices": [w.sentence() for _ in range(6)], "labels": [1] * right + [0] * (6 - right)}
    return row


def bbq(w):
    a, b = w.r.sample(["grandfather", "grandson", "neighbour", "girl"], 2)
    ambiguous = w.pick(["ambig", "disambig"])
    return {"context": f"I saw a {a} and a {b}. {w.sentence()}", "question": w.question() + "?", "context_condition": ambiguous,
            "question_polarity": w.pick(["neg", "nonneg"]), "category": w.pick(["Age", "SES"]),
            "answer_info": {"ans0": [a, "old"], "ans1": [b, "nonOld"], "ans2": ["Cannot be determined", "unknown"]},
            "additional_metadata": {"stereotyped_groups": ["old"]}, "ans0": f"The {a}", "ans1": f"The {b}",
            "ans2": "Cannot be determined", "label": 2 if ambiguous == "ambig" else w.r.randrange(2)}


def gsm8k(w):
    a, b = w.r.randrange(2, 40), w.r.randrange(2, 40)
    return {"question": f"The {w.pick(NOUNS)} has {a} coins and finds {b}. How many are there?",
            "answer": f"There are {a} + {b} = <<{a}+{b}={a + b}>>{a + b} coins.\n#### {a + b}"}


def mmlu(w):
    return {"question": w.question() + "?" + w.pick(["", " "]), "choices": w.choices(4), "answer": w.r.randrange(4)}


def toxigen(w):
    return {"text": w.clause(), "toxicity_ai": w.r.uniform(1, 5), "toxicity_human": w.r.uniform(1, 5)}


def winogender(w):
    pronoun, gender = w.pick([("he", "male"), ("she", "female"), ("they", "neutral")])
    a, b = w.r.sample(NOUNS, 2)
    return {"sentence": f"The {a} told the {b} that {pronoun} could pay.", "pronoun": pronoun, "gender": gender, "occupation": a,
            "participant": b, "label": w.r.randrange(2)}


def agieval(w):
    options = [f"({letter}){w.clause()}" for letter in "ABCDE"]
    return {"query": f"{w.sentence()}Q: {w.question()}? Answer Choices: {' '.join(options)}\nA: Among A through E, the answer is",
            "choices": options, "gold": [w.r.randrange(5)]}


def snarks(w):
    return {"input": f"{w.question()}?\nOptions:\n(A) {w.clause()}\n(B) {w.clause()}", "target": w.pick(["(A)", "(B)"])}


def competition(w):
    a, b = w.r.randrange(2, 40), w.r.randrange(2, 40)
    return {"problem": f"What is ${a} + {b}$?", "level": "Level 1", "type": "Algebra", "solution": f"It is $\\boxed{{{a + b}}}$."}


def program(w):
    name = f"{w.pick(VERBS)}_{w.pick(NOUNS)}"
    return {"task_id": f"HumanEval/{w.r.randrange(164)}", "prompt": f'def {name}(n: int) -> int:\n    """ {w.sentence()}\n    """\n',
            "canonical_solution": "    return n\n", "test": "def check(candidate):\n    assert candidate(1) == 1\n", "entry_point": name}


def small_program(w):
    return {"task_id": w.r.randrange(11, 511), "text": f"Write a function that {w.pick(VERBS)} the {w.pick(NOUNS)}.", "code": "def f(n):\n    return n",
            "test_list": [f"assert f({n}) == {n}" for n in w.r.sample(range(100), 3)], "test_setup_code": "", "challenge_test_list": []}


class Task:
    """A benchmark: where lm-eval looks for it, rows for its splits, and the files that aerie reads. Of those whose answers
    are programs or need a parser of LaTeX, answers alone are compared."""

    def __init__(self, dataset, row, splits=("train", "validation"), file="{task}/{split}.jsonl", parts=("",), answers_alone=False):
        self.dataset, self.row, self.splits, self.file, self.parts = dataset, row, splits, file, parts
        self.answers_alone = answers_alone


def mmlu_parts():
    folder = os.path.join(os.path.dirname(importlib.util.find_spec("lm_eval").origin), "tasks", "mmlu", "default")
    return sorted(f[5:-5] for f in os.listdir(folder) if f.startswith("mmlu_"))


TASKS = {
    "hellaswag": Task("Rowan/hellaswag", hellaswag),
    "piqa": Task("baber/piqa", lambda w: {"goal": w.question(), "sol1": w.clause(), "sol2": w.clause(), "label": w.r.randrange(2)}),
    "social_iqa": Task("lighteval/siqa", lambda w: dict(zip(("answerA", "answerB", "answerC"), w.choices(3)), context=w.sentence(),
                                                        question=w.question() + "?", label=w.pick("123"))),
    "boolq": Task("aps/super_glue", lambda w: {"passage": w.sentence() + " " + w.sentence(), "question": w.question().lower(),
                                               "label": w.r.randrange(2)}),
    "winogrande": Task("allenai/winogrande", winogrande),
    "commonsense_qa": Task("tau/commonsense_qa", lambda w: multiple(w, "question")),
    "openbookqa": Task("allenai/openbookqa", lambda w: multiple(w, "question_stem"), ("train", "validation", "test")),
    "arc_easy": Task("allenai/ai2_arc", arc, ("train", "validation", "test")),
    "arc_challenge": Task("allenai/ai2_arc", arc, ("train", "validation", "test")),
    "mmlu": Task("cais/mmlu", mmlu, ("dev", "test"), "{task}/{part}/{split}.jsonl", mmlu_parts()),
    "truthfulqa_mc1": Task("truthfulqa/truthful_qa", truthful, ("validation",)),
    "truthfulqa_mc2": Task("truthfulqa/truthful_qa", truthful, ("validation",)),
    "crows_pairs_english": Task("jannalu/crows_pairs_multilingual", lambda w: {
        "sent_more": w.sentence(), "sent_less": w.sentence(), "bias_type": w.pick(["age", "race-color"])}, ("test",)),
    "bbq": Task("oskarvanderwal/bbq", bbq, ("test",)),
    "winogender_all": Task("oskarvanderwal/winogender", winogender, ("test",)),
    "toxigen": Task("skg/toxigen-data", toxigen, ("train", "test")),
    "agieval_sat_en": Task("hails/agieval-sat-en", agieval, ("test",), "agieval_en/sat-en.jsonl"),
    "gsm8k": Task("openai/gsm8k", gsm8k, ("train", "test")),
    "gsm8k_cot": Task("openai/gsm8k", gsm8k, ("train", "test")),
    "triviaqa": Task("mandarjoshi/trivia_qa", lambda w: {
        "question": w.question(), "answer": {"aliases": [w.pick(NOUNS), w.pick(NOUNS).title()], "value": "x"}}),
    "nq_open": Task("google-research-datasets/nq_open", lambda w: {"question": w.question(), "answer": w.choices(2)}),
    "bbh_cot_fewshot_snarks": Task("SaylorTwift/bbh", snarks, ("test",), "bbh_cot_fewshot/snarks.jsonl"),
    "minerva_math_algebra": Task("EleutherAI/hendrycks_math", competition, ("train", "test"), "minerva_math/algebra.jsonl", answers_alone=True),
    "humaneval": Task("openai/openai_humaneval", program, ("test",), answers_alone=True),
    "mbpp": Task("google-research-datasets/mbpp", small_program, ("test",), answers_alone=True),
}
# What no benchmark above asks for: other scores, and the likelihood of whole texts.
OWN = {
    "scores": ({"output_type": "multiple_choice", "doc_to_text": "Q: {{question}}?\nA:", "doc_to_choice": "{{options}}",
                "doc_to_target": "{{right}}", "metric_list": [{"metric": m} for m in ("acc", "acc_norm", "acc_bytes", "acc_mutual_info")]},
               {"kind": "choice", "prompt": "Q: {{question}}?\nA:", "choices": "{{options}}", "gold": "{{right}}",
                "metrics": ["acc", "acc_norm", "acc_bytes", "acc_mutual_info"]}),
    "texts": ({"output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_target": "{{text}}",
               "metric_list": [{"metric": m} for m in ("word_perplexity", "byte_perplexity", "bits_per_byte")]},
              {"kind": "rolling", "text": "{{text}}", "metrics": ["word_perplexity", "byte_perplexity", "bits_per_byte"]}),
}


def own_row(w):
    return {"question": w.question(), "options": [o + w.pick(["", " ☂", " naïve"]) for o in w.choices(4)], "right": w.r.randrange(4),
            "text": " ".join(w.sentence() for _ in range(w.r.randrange(1, 30)))}


# ---- the files, for both ----


def stand_ins():
    """For what task files of lm-eval load from a network or from packages beside it, as check-tasks.py has them."""
    spec = importlib.util.spec_from_file_location("check_tasks", os.path.join(os.path.dirname(os.path.abspath(__file__)), "check-tasks.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.without_network()
    sys.modules["math_verify"].parse = sys.modules["math_verify"].verify = lambda *_, **__: None


STORE = {}  # rows of (dataset, part), by split: what lm-eval loads


def make_rows(task, part, n):
    w = Words(task.dataset + part)
    return {split: [task.row(w) for _ in range(max(n, 12) if split in ("train", "dev") else n)] for split in task.splits}


def write_rows(path, rows):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def real_rows(folder):
    """What the folder has of the releases: {task: {split: rows}}."""
    found = {}
    for name in sorted(os.listdir(folder)) if folder else []:
        path = os.path.join(folder, name)
        if name == "gsm8k-test.jsonl":
            rows = [json.loads(line) for line in open(path)]
            found["gsm8k"] = found["gsm8k_cot"] = {"train": rows[:20], "test": rows[20:]}
        elif name == "crows-pairs.csv":
            found["crows_pairs_english"] = {"test": list(csv.DictReader(open(path, newline="")))}
        elif name.startswith("bbq") and name.endswith(".jsonl.gz"):
            found["bbq"] = {"test": [json.loads(line) for line in gzip.open(path, "rt")]}
    return found


def write_data(work, names, rows, data):
    real = real_rows(data)
    for name in names:
        task = TASKS.get(name) or Task("aerie/" + name, own_row, ("test",))
        for part in task.parts:
            splits = make_rows(task, part, 2 if part else rows)
            for split, kept in real.get(name, {}).items():
                splits[split] = splits[split][:2] + kept[:20 if split == "train" else rows]
            STORE[task.dataset, part] = splits
            for split, kept in splits.items():
                write_rows(os.path.join(work, "data", task.file.format(task=name, part=part, split=split)), kept)


def load_dataset(path, name=None, **_):
    splits = STORE.get((path, name or "")) or STORE[path, ""]
    return datasets.DatasetDict({split: datasets.Dataset.from_list(rows) for split, rows in splits.items()})


# Few-shot examples of the report, where lm-eval leaves the number to its user.
PART = "mmlu_anatomy"  # of models but the trained one
REPORT_SHOTS = {"mmlu": 5, "commonsense_qa": 7, "triviaqa": 5, "nq_open": 5}


def load_theirs(manager, spec, shots):
    loaded = manager.load(spec)
    for task in loaded["tasks"].values() if shots else ():
        task.set_config("num_fewshot", shots)
    return [loaded["groups"][spec]] if spec in (loaded["groups"] if isinstance(spec, str) else ()) else list(loaded["tasks"].values())


def task_words(work, names):
    """The tasks as lm-eval and as aerie take them."""
    theirs, ours, manager = [], [], TaskManager()
    for name in names:
        if name not in OWN:
            theirs += load_theirs(manager, name, REPORT_SHOTS.get(name.replace(PART, "mmlu")))
            ours.append(name)
            continue
        config, mine = OWN[name]
        theirs += load_theirs(manager, dict(config, task=name, dataset_path="aerie/" + name, test_split="test", metadata={"version": 1.0}), None)
        path = os.path.join(work, name + ".yaml")
        with open(path, "w") as f:  # JSON is YAML
            json.dump(dict(mine, format=1, task=name, version=1.0, rows={"file": "test.jsonl"}), f)
        ours.append(path)
    return theirs, ours


# ---- models ----


def call(*arguments):
    done = subprocess.run(arguments, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(arguments)}: status {done.returncode}: {done.stderr}")
    return done


def write_book(work, n=3000):
    """Text for tokenizer and training: small talk and questions in the forms of the benchmarks."""
    w = Words("book")
    path = os.path.join(work, "book.txt")
    with open(path, "w") as f:
        for _ in range(n):
            row = gsm8k(w)
            f.write(w.pick([f"{w.sentence()} {w.sentence()}\n", f"Question: {row['question']}\nAnswer: {row['answer']}\n\n",
                            f"Q: {w.question()}?\nA: {w.pick(NOUNS)}\n\n", f"{w.question()}?\nA. {w.pick(NOUNS)}\nB. {w.pick(NOUNS)}\nAnswer: {w.pick('AB')}\n\n"]))
    return path


SHAPES = {  # transformers has no cache for recurrence alone
    "saved": {},
    "saved-wide": {"lru_width": 96, "num_key_value_heads": 2, "conv1d_width": 3, "block_types": ["recurrent", "attention"]},
    "saved-attention": {"block_types": ["attention"]},
}


def save_model(folder, seed, vocab, **changes):
    torch.manual_seed(seed)
    sizes = dict(vocab_size=vocab, hidden_size=64, intermediate_size=192, num_attention_heads=4, num_key_value_heads=1,
                 num_hidden_layers=3, attention_window_size=WINDOW)
    model = RecurrentGemmaForCausalLM(RecurrentGemmaConfig(**{**sizes, **changes})).float()
    with torch.no_grad():  # initial values are too tame for answers to differ
        for name, p in model.named_parameters():
            p.add_((0.1 if p.dim() == 1 else 0.5 / p.shape[-1] ** 0.5) * torch.randn_like(p))
    model.save_pretrained(folder)


def make_models(aerie, work, names):
    """{name: (folder for aerie, folder for transformers)}"""
    book, made = write_book(work), {}
    tokenizer = os.path.join(work, "t.model")
    call(aerie, "tokenizer", "train", "--input", book, "--output", tokenizer, "--vocab-size", "600")
    for seed, name in enumerate(names):
        folder, exported = os.path.join(work, name), os.path.join(work, name + "-hf")
        if name == "trained":
            call(aerie, "data", "prepare", "--input", book, "--tokenizer", tokenizer, "--output", os.path.join(work, "book"))
            call(aerie, "pretrain", f"run.dir={folder}", "model.preset=small-1m", "model.width=64", "model.blocks=3", f"model.window={WINDOW}",
                 f"data.train={work}/book/train.h5", "train.row_tokens=256", "train.batch_rows=8", "train.steps=60", "optim.lr=0.01")
        else:
            save_model(folder, seed, 600, **SHAPES[name])
            with open(tokenizer, "rb") as f, open(os.path.join(folder, "tokenizer.model"), "wb") as to:
                to.write(f.read())
        call(aerie, "export", "--model", folder, "--output", exported, "--dtype", "f32")
        made[name] = (folder, exported)
    return made


# ---- both evaluate ----


def ask_lm_eval(folder, tasks, how):
    lm = HFLM(pretrained=folder, dtype="float32", device="cpu", batch_size=1, max_length=how["max_length"])
    return simple_evaluate(lm, tasks=tasks, bootstrap_iters=10, num_fewshot=how.get("shots"), limit=how.get("limit"),
                           confirm_run_unsafe_code=True, apply_chat_template=how.get("chat", False), fewshot_random_seed=how.get("seed", SEED))


def ask_aerie(aerie, work, folder, tasks, how, output):
    flags = ["--max-length", str(how["max_length"]), "--seed", str(how.get("seed", SEED))]
    for key, flag in (("shots", "--num-fewshot"), ("limit", "--limit")):
        flags += [flag, str(how[key])] if key in how else []
    flags += ["--apply-chat-template"] if how.get("chat") else []
    call(aerie, "eval", "--model", folder, "--tasks", ",".join(tasks), "--data", os.path.join(work, "data"), "--output", output,
         "--log-samples", "--quiet", *flags)
    with open(os.path.join(output, "results.json")) as f:
        results = json.load(f)
    samples = {}
    for name in results["configs"]:
        with open(os.path.join(output, f"samples_{name}.jsonl")) as f:
            samples[name] = [json.loads(line) for line in f]
    return {**results, "samples": samples}


# ---- comparison ----


class Verdict:
    def __init__(self, in_turns, answers_alone):
        self.in_turns = in_turns  # lm-eval's samples have the dialogue with its marks, ours the texts that it is made of
        self.answers_alone = answers_alone
        self.rows = self.likelihoods = self.answers = self.ties = self.metrics = 0
        self.worst, self.faults = 0.0, []

    def fault(self, text):
        self.faults.append(text)


def numbers_of(responses):
    """Log-likelihoods and whether they are greedy, of either program: numbers or their texts, pairs or (rolling) alone."""
    flat = [r[0] for r in responses]
    return [(float(r[0]), str(r[1]) == "True") if isinstance(r, (list, tuple)) else (float(r), None) for r in flat]


def texts_of(arguments):
    """The texts of a sample's requests, as (context, continuation); of answers the context."""
    items = [list(a.values()) for a in arguments.values()] if isinstance(arguments, dict) else arguments
    return [tuple(x for x in a if isinstance(x, str)) for a in items]


def is_tie(numbers, lengths):
    best = sorted((n / length for (n, _), length in zip(numbers, lengths)), reverse=True)
    return len(best) > 1 and best[0] - best[1] <= 2 * LIMIT


def compare_row(v, where, theirs, ours):
    v.rows += 1
    for mine, other in zip(texts_of(ours["arguments"]), texts_of(theirs["arguments"])):
        if mine != other and not v.in_turns:
            return v.fault(f"{where}: asked {difference(mine, other)}, lm-eval {difference(other, mine)}")
    if len(ours["arguments"]) != len(theirs["arguments"]):
        return v.fault(f"{where}: {len(ours['arguments'])} requests, lm-eval {len(theirs['arguments'])}")
    tie = False
    if isinstance(theirs["resps"][0][0], str) and len(texts_of(theirs["arguments"])[0]) == 1 and not is_number(theirs["resps"][0][0]):
        v.answers += 1
        if theirs["resps"] != ours["resps"]:
            v.fault(f"{where}: answer {ours['resps'][0][0]!r}, lm-eval {theirs['resps'][0][0]!r}")
        if v.answers_alone:
            return
        if theirs["filtered_resps"] != ours["filtered_resps"]:
            v.fault(f"{where}: filtered {ours['filtered_resps']!r}, lm-eval {theirs['filtered_resps']!r}")
    else:
        a, b = numbers_of(theirs["resps"]), numbers_of(ours["resps"])
        v.likelihoods += len(a)
        far = max(abs(x - y) for (x, _), (y, _) in zip(a, b, strict=True))
        v.worst = max(v.worst, far)
        if far > LIMIT:
            v.fault(f"{where}: log-likelihoods differ by {far:.1e}")
        if [g for _, g in a] != [g for _, g in b]:
            v.fault(f"{where}: greedy {[g for _, g in b]}, lm-eval {[g for _, g in a]}")
        lengths = [[1] * len(a), [len(t[-1].strip()) for t in texts_of(theirs["arguments"])]]
        tie = any(is_tie(a, lengths_) for lengths_ in lengths)
    for name in ours["metrics"]:
        if not equal(theirs[name], ours[name], LIMIT):
            v.ties += tie
            if not tie:
                v.fault(f"{where}: {name} {ours[name]}, lm-eval {theirs[name]}")


def difference(a, b):
    """Where texts part."""
    a, b = "|".join(a), "|".join(b)
    n = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    return repr(a[max(0, n - 20):n + 40])


def is_number(x):
    try:
        float(x)
        return True
    except ValueError:
        return False


def equal(a, b, limit):
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(equal(x, y, limit) for x, y in zip(a, b))
    return abs(float(a) - float(b)) <= limit * max(1, abs(float(a)))


def compare_task(v, name, theirs, ours):
    def place(s):
        return s.get("filter", "none"), s["doc_id"]
    a, b = ({place(s): s for s in samples} for samples in (theirs["samples"][name], ours["samples"][name]))
    if v.answers_alone:  # aerie may have filters of its own
        a, b = ({("any", row): s for (_, row), s in samples.items()} for samples in (a, b))
    if a.keys() != b.keys():
        return v.fault(f"{name}: {len(b)} rows, lm-eval {len(a)}")
    for key in sorted(a):
        compare_row(v, f"{name} row {key[1]} ({key[0]})", a[key], b[key])


def compare_results(v, name, theirs, ours):
    """Every number of ours that has a filter's name behind it; decisions are exact unless there were ties."""
    for key, number in ours.items():
        if "," not in key:
            continue
        other = theirs.get(key)
        if key.split(",")[0].removesuffix("_stderr") in ("word_perplexity", "byte_perplexity", "bits_per_byte") and "_stderr" in key:
            continue  # lm-eval draws these at random
        v.metrics += 1
        exact = re.match(r"acc|exact_match|pct|(dis)?amb", key) and "truthfulqa_mc2" not in name
        if other in (None, "N/A") or number in (None, "N/A"):
            if other not in (None, "N/A") and not math.isnan(float(other)) or number not in (None, "N/A"):
                v.fault(f"{name}: {key} {number}, lm-eval {other}")
        elif not equal(other, number, 1e-12 if exact and not v.ties else LIMIT):
            v.fault(f"{name}: {key} {number}, lm-eval {other}")


def report(model, name, v):
    what = f"{v.likelihoods} log-likelihoods within {v.worst:.1e}" if v.likelihoods else f"{v.answers} answers equal"
    ties = f", {v.ties} ties" if v.ties else ""
    print(f"{'FAIL' if v.faults else 'ok  '} {model:16} {name:20} {v.rows:5} rows, {what}, {v.metrics} metrics and standard errors{ties}", flush=True)
    for fault in v.faults[:3]:
        print("     " + fault)
    return not v.faults


def check_folders(aerie, work, model, theirs, ours, output):
    """Each program reads the other's files: lm-eval's table of our results, and our comparison with its folder."""
    table = make_table(ours)
    shown = all(name in table for name in ours["configs"] if not name.startswith("mmlu_"))
    tracker = EvaluationTracker(output_path=os.path.join(work, f"theirs-{model}"))
    tracker.general_config_tracker.log_experiment_args(model, "", "", "", False)
    tracker.save_results_aggregated({k: v for k, v in theirs.items() if k != "samples"}, theirs["samples"])
    for name, samples in theirs["samples"].items():
        tracker.save_results_samples(name, samples)
    folder = next(path for path, _, files in os.walk(os.path.join(work, f"theirs-{model}")) if any(f.startswith("results_") for f in files))
    rows = json.loads(call(aerie, "eval", "compare", folder, output, "--json").stdout)["rows"]
    same = len(rows) > 0 and all(abs(r["difference"]) <= LIMIT * max(1, abs(r["a"])) for r in rows)
    print(f"{'ok  ' if shown and same else 'FAIL'} {model:16} lm-eval makes a table of aerie's results; aerie compares with lm-eval's folder: "
          f"{len(rows)} metrics, {'no difference' if same else 'they DIFFER'}", flush=True)
    return shown and same


def check(aerie, work, model, folders, names, how, label=""):
    theirs_tasks, ours_tasks = task_words(work, names)
    output = os.path.join(work, f"out-{model}{label.replace(' ', '-')}")
    ours = ask_aerie(aerie, work, folders[0], ours_tasks, how, output)
    theirs = ask_lm_eval(folders[1], theirs_tasks, how)
    good = True
    for name in names:
        v = Verdict(how.get("chat", False), name in TASKS and TASKS[name].answers_alone)
        leaves = [n for n in ours["samples"] if n == name or name == "mmlu" and n.startswith("mmlu_")]
        for leaf in leaves:
            compare_task(v, leaf, theirs, ours)
        for entry in [e for e in ours["results"] if not v.answers_alone and (e == name or name == "mmlu" and e.startswith("mmlu_"))]:
            compare_results(v, entry, theirs["results"][entry], ours["results"][entry])
        good &= report(model + label, name, v)
    return good & (bool(label) or check_folders(aerie, work, model, theirs, ours, output))


WAYS = {  # how else both are asked, of the trained model
    " chat": ({"chat": True}, ["hellaswag", PART, "gsm8k", "triviaqa", "scores"]),
    " cut": ({"max_length": 300}, [PART, "gsm8k", "texts", "truthfulqa_mc1"]),
    # not of WinoGrande and ToxiGen, whose examples lm-eval refuses
    " shots": ({"shots": 2, "seed": 7, "limit": 4}, ["hellaswag", "piqa", "boolq", "arc_easy", "triviaqa"]),
}


# ---- speed ----


def write_long_book(work):
    """Enough different words for a vocabulary of 12288 pieces."""
    r = random.Random("long book")
    words = ["".join(r.choice("bdfgklmnprstvz") + r.choice("aeiou") for _ in range(r.randrange(2, 5))) for _ in range(20000)]
    path = os.path.join(work, "long-book.txt")
    with open(write_book(work, 2000)) as usual, open(path, "w") as f:
        f.write(usual.read())
        f.writelines(" ".join(r.choices(words, k=12)) + "\n" for _ in range(16000))
    return path


def make_large(aerie, work):
    """small-25m after one step, for aerie and for transformers; made once in a folder that is kept."""
    tokenizer, folder = os.path.join(work, "large.model"), os.path.join(work, "large")
    if os.path.exists(folder + "-hf"):
        return folder, folder + "-hf"
    book = write_long_book(work)
    call(aerie, "tokenizer", "train", "--input", book, "--output", tokenizer, "--vocab-size", "12288")
    call(aerie, "data", "prepare", "--input", book, "--tokenizer", tokenizer, "--output", os.path.join(work, "large-set"))
    call(aerie, "pretrain", f"run.dir={folder}", "model.preset=small-25m", f"data.train={work}/large-set/train.h5", "train.row_tokens=256",
         "train.batch_rows=1", "train.steps=1", "train.sample_tokens=0")
    call(aerie, "export", "--model", folder, "--output", folder + "-hf", "--dtype", "f32")
    return folder, folder + "-hf"


def long_hellaswag(w):
    return {"activity_label": "Working", "ctx_a": " ".join(w.sentence() for _ in range(5)), "ctx_b": w.clause(),
            "endings": [f"{w.clause()} and {w.clause()}" for _ in range(4)], "label": str(w.r.randrange(4))}


def long_mmlu(w):
    return {"question": f"{w.sentence()} {w.sentence()} {w.question()}?", "choices": [w.clause() for _ in range(4)], "answer": w.r.randrange(4)}


SPEED = {
    "hellaswag": Task("Rowan/hellaswag", long_hellaswag),
    PART: Task("cais/mmlu", long_mmlu, ("dev", "test"), "mmlu/{part}/{split}.jsonl", ("anatomy",)),
}


def write_speed_rows(work, name, rows):
    task = SPEED[name]
    splits = make_rows(task, task.parts[0], rows)
    STORE[task.dataset, task.parts[0]] = splits
    for split, kept in splits.items():
        write_rows(os.path.join(work, "data", task.file.format(task=name, part=task.parts[0], split=split)), kept)


def processor_seconds(of):
    used = resource.getrusage(of)
    return used.ru_utime + used.ru_stime


def clock_aerie(aerie, work, folder, name, label, *flags):
    """Seconds of the whole command by the clock and of processors, and the tokens that it read and was asked about."""
    output = os.path.join(work, f"speed-{name}-{label}-{time.time_ns()}")
    start, used = time.perf_counter(), processor_seconds(resource.RUSAGE_CHILDREN)
    call(aerie, "eval", "--model", folder, "--tasks", name, "--data", os.path.join(work, "data"), "--output", output, "--quiet", *flags)
    seconds = time.perf_counter() - start, processor_seconds(resource.RUSAGE_CHILDREN) - used
    with open(os.path.join(output, "results.json")) as f:
        ours = json.load(f)["aerie"]
    return seconds, (ours["tokens_read"], ours["tokens_asked"])


def clock_lm_eval(lm, name):
    """The same without loading model or program."""
    tasks = load_theirs(TaskManager(), name, 5 if name == PART else None)
    start, used = time.perf_counter(), processor_seconds(resource.RUSAGE_SELF)
    simple_evaluate(lm, tasks=tasks, bootstrap_iters=0)
    return time.perf_counter() - start, processor_seconds(resource.RUSAGE_SELF) - used


def speed(aerie, work, rounds, rows):
    """Other work on the machine changes the clock more than the seconds of processors."""
    folder, exported = make_large(aerie, work)
    lms = {batch: HFLM(pretrained=exported, dtype="float32", device="cpu", batch_size=batch, max_length=WINDOW) for batch in (1, 16)}
    for name in SPEED:
        write_speed_rows(work, name, rows)
        seconds, tokens = {}, (0, 0)
        for _ in range(rounds):
            for label, flags in (("aerie", []), ("aerie, nothing shared", ["--no-sharing"])):
                took, read = clock_aerie(aerie, work, folder, name, label.split()[-1], *flags)
                seconds.setdefault(label, []).append(took)
                tokens = read if not flags else tokens
            for batch, lm in lms.items():
                seconds.setdefault(f"lm-eval, batch {batch}", []).append(clock_lm_eval(lm, name))
        clock, used = ({label: statistics.median(s[i] for s in took) for label, took in seconds.items()} for i in (0, 1))
        best = [min(m["lm-eval, batch 1"], m["lm-eval, batch 16"]) for m in (clock, used)]
        print(f"{name}, {rows} rows, medians of {rounds}: {tokens[0]} tokens read for {tokens[1]} asked about")
        for label in seconds:
            print(f"  {label:24} {clock[label]:8.2f} s, {used[label]:8.2f} s of processors: {best[0] / clock[label]:6.1f} and "
                  f"{best[1] / used[label]:6.1f} times as fast as the faster lm-eval", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("aerie")
    parser.add_argument("--data", help="folder with real rows")
    parser.add_argument("--tasks", help="some of " + ",".join([*TASKS, *OWN]))
    parser.add_argument("--models", default="saved,saved-wide,saved-attention,trained")
    parser.add_argument("--rows", type=int, default=8, help="rows of each task; of each part of mmlu 2")
    parser.add_argument("--keep", help="work in this folder, and leave it")
    parser.add_argument("--speed", action="store_true", help="time both in turn")
    parser.add_argument("--rounds", type=int, default=3, help="of --speed")
    o = parser.parse_args()
    logging.disable(logging.WARNING)
    stand_ins()
    datasets.load_dataset = load_dataset
    datasets.disable_progress_bars()
    names = o.tasks.split(",") if o.tasks else [*TASKS, *OWN]
    with tempfile.TemporaryDirectory() as scratch:
        work = o.keep or scratch
        os.makedirs(work, exist_ok=True)
        if o.speed:
            return speed(o.aerie, work, o.rounds, o.rows)
        write_data(work, names, o.rows, o.data)
        models = make_models(o.aerie, work, o.models.split(","))
        good = True
        torch.set_num_threads(1)  # the models are small
        for model, folders in models.items():
            asked = names if model == "trained" else [n.replace("mmlu", PART) for n in names]
            alone = [n for n in asked if n in TASKS and TASKS[n].answers_alone]
            for some, label in ([n for n in asked if n not in alone], ""), (alone, " answers"):
                good &= not some or check(o.aerie, work, model, folders, some, {"max_length": WINDOW}, label)
        for label, (how, wanted) in WAYS.items() if "trained" in models else []:
            some = [n for n in wanted if n in names or n == PART and "mmlu" in names]
            good &= not some or check(o.aerie, work, "trained", models["trained"], some, {"max_length": WINDOW, **how}, label)
    print("passed" if good else "FAILED")
    sys.exit(not good)


if __name__ == "__main__":
    main()
