#!/usr/bin/env python3
"""Compares tasks/*.yaml with the tasks of the same name of lm-eval (0.4.13): both read the rows below "hub/" of the files
in tests/benchmark/prompts, and every context, continuation, right choice, stop string and version must be equal, with the
examples that each draws, and no filter missing. Metrics of other names are shown.
usage: check-tasks.py AERIE [NAME...]        needs lm-eval and datasets; no network
"""

import functools
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tempfile
import types
from pathlib import Path

PROMPTS = Path(__file__).resolve().parent.parent / "tests/benchmark/prompts"
# Ours is not lm-eval's task of that name, and why.
OURS = {
    "bold": "lm-eval has no such task",
    "winobias": "lm-eval has no such task",
    "realtoxicityprompts_25": "lm-eval has no such task",
    "toxigen_generate": "lm-eval has no such task",
    "memorisation": "lm-eval has no such task",
    "perplexity": "of any documents, so lm-eval has none of the name",
}


def without_network():
    """Stands in for what the task files of lm-eval load: metrics of `evaluate`, the parsers of math_verify."""
    evaluate = types.ModuleType("evaluate")
    evaluate.load = lambda *_: types.SimpleNamespace(compute=lambda **_: ({"pass@1": 0.0}, {}))
    sys.modules["evaluate"] = evaluate
    names = {"antlr4": [], "math_verify": ["parse", "verify"], "sympy.parsing.latex": ["parse_latex"]}
    for name, members in names.items():
        module = types.ModuleType(name)
        for member in members:
            setattr(module, member, None)
        sys.modules[name] = module
    version = importlib.metadata.version
    importlib.metadata.version = lambda n: "4.11.0" if n == "antlr4-python3-runtime" else version(n)


def sections(path):
    """{heading: text} of a file of prompts."""
    parts = re.split(r"^==> (.*) <==\n", path.read_text(encoding="utf-8"), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def splits_of(files, leaf):
    """Rows below hub/ by the split that their file is called after, of the files that the leaf reads."""
    splits = {}
    for name, text in files.items():
        if not name.startswith("hub/"):
            continue
        stem = Path(name).stem
        if stem not in ("train", "validation", "test", "dev"):  # a part: all of its rows are tested
            if not leaf.endswith(stem.replace("-", "_")):
                continue
            stem = "test"
        splits[stem] = [json.loads(line) for line in text.splitlines()]
    return splits


@functools.cache
def task_manager():
    from lm_eval.tasks import TaskManager

    return TaskManager()


def load_theirs(name, splits):
    import datasets

    datasets.load_dataset = lambda *_, **__: datasets.DatasetDict(
        {split: datasets.Dataset.from_list(rows) for split, rows in splits.items()}
    )
    return task_manager().load([name])["tasks"][name]


def theirs(name, splits, shots):
    task = load_theirs(name, splits)
    if shots is not None:
        task.set_config("num_fewshot", shots)
    task.set_fewshot_seed(1234)
    task.build_all_requests()
    documents = {}
    for instance in task.instances:
        documents.setdefault(instance.doc_id, []).append(instance)
    return task, [documents[i] for i in sorted(documents)]


def gold_of(task, doc):
    target = task.doc_to_target(doc)
    if task.multiple_input:
        return [task.doc_to_text(doc)]
    if isinstance(target, str):
        return [task.doc_to_choice(doc).index(target)]
    return [int(x) for x in (target if isinstance(target, list) else [target])]


def compare(leaf, ours, instances, task, say):
    first = instances[0]
    if first.request_type == "loglikelihood":
        arguments = [list(i.args) for i in instances]
        mine = [list(p) for p in zip(ours["contexts"], ours["continuations"])]
        if mine != arguments:
            say(f"document {ours['doc_id']}: {next((m, a) for m, a in zip(mine, arguments) if m != a)}")
        if leaf.startswith("bbq"):
            from lm_eval.tasks.bbq import utils

            gold = [int(x) for x in utils.doc_to_targets(first.doc) if x < len(mine)]
            if ours["facts"]["biased"] != utils.doc_to_biased_answer(first.doc):
                say(f"document {ours['doc_id']}: biased {ours['facts']['biased']}")
        elif leaf.startswith("truthfulqa"):
            gold = [i for i, x in enumerate(first.doc[leaf[-3:] + "_targets"]["labels"]) if x == 1]
        else:
            gold = gold_of(task, first.doc)
        if ours["gold"] != gold:
            say(f"document {ours['doc_id']}: right are {ours['gold']}, in lm-eval {gold}")
        return
    context, settings = first.args
    if ours["context"] != context:
        say(f"document {ours['doc_id']}:\n{ours['context']!r}\n{context!r}")
    if ours["stop"] != settings["until"]:
        say(f"stops {ours['stop']}, in lm-eval {settings['until']}")
    if ours["max_new"] != settings.get("max_gen_toks", 256):
        say(f"max_new {ours['max_new']}, in lm-eval {settings.get('max_gen_toks', 256)}")


def metrics_of(task):
    names = [m["metric"] for m in task.config.metric_list]
    return [getattr(n, "__name__", n) for n in names]


def check(aerie, leaf, shots, files, folder):
    faults = []
    flags = [] if shots is None else ["--num-fewshot", str(shots)]
    shown = subprocess.run(
        [aerie, "eval", "show", leaf, folder, "--n", "1000", "--json", *flags], capture_output=True, text=True, check=True
    )
    ours = [json.loads(line) for line in shown.stdout.splitlines()]
    about = json.loads(subprocess.run([aerie, "eval", "ls", leaf, "--json"], capture_output=True, text=True, check=True).stdout)
    task, documents = theirs(leaf, splits_of(files, leaf), shots)
    if len(ours) != len(documents):
        faults.append(f"{len(ours)} documents, in lm-eval {len(documents)}")
    for mine, instances in zip(ours, documents):
        compare(leaf, mine, instances, task, faults.append)
    version = task.config.metadata.get("version") if task.config.metadata else None
    if str(float(about["version"])) != str(float(version or 0)):
        faults.append(f"version {about['version']}, in lm-eval {version}")
    filters = [f["name"] for f in task.config.filter_list or [{"name": "none"}]]
    if about["kind"] == "generate" and not set(filters) <= set(about["filters"]):
        faults.append(f"filters {about['filters']}, in lm-eval {filters}")
    metrics = metrics_of(task)
    note = "" if about["metrics"] == metrics else f"; metrics {about['metrics']}, in lm-eval {metrics}"
    note += "" if set(about["filters"]) <= set(filters) else f"; filters {about['filters']}, in lm-eval {filters}"
    return faults, f"{len(documents)} documents" + note


def main():
    without_network()
    aerie, *names = sys.argv[1:]
    bad = 0
    for path in sorted(PROMPTS.glob("*.txt")):
        if (names and path.stem not in names) or path.stem in OURS:
            continue
        files = sections(path)
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                if name.startswith("hub/"):
                    place = Path(folder) / name.removeprefix("hub/")
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.write_text(text, encoding="utf-8")
            for heading in files:
                words = heading.split()
                if words[0] != "show":
                    continue
                shots = int(words[3]) if len(words) > 3 else None
                faults, note = check(aerie, words[1], shots, files, folder)
                print(f"{words[1]}: {'equal' if not faults else 'DIFFERENT'}, {note}")
                for fault in faults:
                    print("   ", fault)
                bad += len(faults)
    sys.exit(bad > 0)


if __name__ == "__main__":
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        os.environ[name] = "1"
    main()
